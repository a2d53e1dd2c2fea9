"""Files of a product in SAFE format: a folder, or a zip of it that is read without unpacking."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path, PurePosixPath

from seaice import InputError

_MANIFEST = "manifest.safe"
_DOWNLOAD = "download the product again"
# Bytes of an XML document; those of EW products have up to 3 MB.
_LARGEST_DOCUMENT = 1 << 26


class SafeFiles:
    """Names and contents of the files of a product.

    Parameters
    ----------
    path : Path
        Folder ``NAME.SAFE`` or a zip that holds it.

    Attributes
    ----------
    path : Path
    name : str
        Name of the product without ``.SAFE``.
    names : tuple of str
        Files below the folder of the product, with ``/``, sorted.

    Raises
    ------
    InputError
        If there is no ``manifest.safe``, or a zip is damaged or has names that lead out of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = ""
        if path.is_dir():
            self.names = tuple(
                sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
            )
            folder = path.resolve().name
        else:
            folder = self._open_zip()
        self.name = folder.removesuffix(".SAFE")
        if _MANIFEST not in self.names:
            raise InputError(
                f"expected a product in SAFE format with {_MANIFEST}, found none: {path}; give the "
                "folder NAME.SAFE or the zip of it"
            )

    def _open_zip(self) -> str:
        """List the names in the zip; returns the name of its SAFE folder."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [name for name in archive.namelist() if not name.endswith("/")]
        except (OSError, zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise InputError(
                "expected the zip of a SAFE folder, found a damaged or cut file: "
                f"{self.path} ({error}); {_DOWNLOAD}"
            ) from None
        for name in members:
            if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name:
                raise InputError(
                    f"expected names below the SAFE folder, found {name!r}: {self.path}; {_DOWNLOAD}"
                )
        manifests = [name for name in members if PurePosixPath(name).name == _MANIFEST]
        self._root = min(manifests, key=len, default=_MANIFEST).removesuffix(_MANIFEST)
        self.names = tuple(
            sorted(
                name.removeprefix(self._root)
                for name in members
                if name.startswith(self._root) and name != self._root
            )
        )
        return PurePosixPath(self._root).name or self.path.name.removesuffix(".zip")

    def read_document(self, name: str) -> bytes:
        """Read a file of the product.

        Raises
        ------
        InputError
            If it cannot be read, or is larger than 64 MB.
        """
        try:
            if self.path.is_dir():
                with (self.path / name).open("rb") as file:
                    content = file.read(_LARGEST_DOCUMENT + 1)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(self._root + name) as member:
                    content = member.read(_LARGEST_DOCUMENT + 1)
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise InputError(
                f"expected a readable {name}, found {error}: {self.path}; {_DOWNLOAD}"
            ) from None
        except RuntimeError:  # of zipfile
            raise InputError(
                f"expected a zip without a password, found one: {self.path}; unpack it"
            ) from None
        if len(content) > _LARGEST_DOCUMENT:
            raise InputError(f"expected at most 64 MB in {name}, found more: {self.path}; {_DOWNLOAD}")
        return content

    def locate_raster(self, name: str) -> str:
        """Name by which GDAL opens a file of the product, in a zip too."""
        if self.path.is_dir():
            return str(self.path / name)
        return f"/vsizip/{{{self.path.resolve()}}}/{self._root}{name}"
