"""A compressed tar archive in several parts, unpacked while it is read, without a joined copy."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, NamedTuple

from seaice import InputError
from seaice.runtime.atomic_write import atomic

logger = logging.getLogger(__name__)

_BLOCK = 1 << 20
# Bytes left free on the disk beside a member, for other programs that write to it.
_SPARE = 64 << 20
# Types of members that describe the next one, and the most bytes of such a description.
_DESCRIPTIONS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_LONGEST_DESCRIPTION = 1 << 20


class UnpackedFile(NamedTuple):
    """A file that was unpacked from an archive.

    Attributes
    ----------
    name : str
        Path in the archive.
    size : int
        Bytes.
    sha256 : str
        Hexadecimal.
    """

    name: str
    size: int
    sha256: str


class _Member(tarfile.TarInfo):
    """A member whose own description is of a reasonable size: the library reads it as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _DESCRIPTIONS and self.size > _LONGEST_DESCRIPTION:
            raise tarfile.ReadError(f"a header of {self.size} bytes")
        return super()._proc_member(archive)  # type: ignore[misc]


class JoinedFile(io.RawIOBase):
    """A file in several parts, read as if it were whole.

    Examples
    --------
    >>> with Joined([Path("train.tar.gzaa"), Path("train.tar.gzab")]) as file:  # doctest: +SKIP
    ...     start = file.read(2)
    """

    def __init__(self, parts: Sequence[Path]) -> None:
        self._remaining = list(parts)
        self._file: BinaryIO | None = None

    def readable(self) -> bool:
        """Whether the file can be read: always."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; returns their number, 0 after the last part."""
        while True:
            if self._file is None:
                if not self._remaining:
                    return 0
                self._file = self._remaining.pop(0).open("rb")
            count = self._file.readinto(buffer)  # type: ignore[attr-defined]
            if count:
                return int(count)
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Close the part that is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
        super().close()


def unpack_archive(
    parts: Sequence[Path],
    folder: Path,
    *,
    is_unpacked: Callable[[str, int], bool],
    report_file: Callable[[UnpackedFile], None],
) -> list[str]:
    """Write the files of an archive, each whole or not at all.

    If an archive is cut short, the files before the cut stay. Other damage shows only at the end
    of the archive, so that no file of it can be trusted: those that were written are removed.

    Parameters
    ----------
    parts : sequence of Path
        In order.
    folder : Path
        Files keep their path in the archive below it.
    is_unpacked : callable
        Given path and size of a file in the archive; where it returns True the file is passed over.
        An error it raises stops the run before the file is written.
    report_file : callable
        Called with every file that was written.

    Returns
    -------
    list of str
        Paths of all files in the archive.

    Raises
    ------
    InputError
        If the archive is damaged or cut short, has no file, or a member would lie outside the
        folder or is no plain file.
    OSError
        If the disk is full.
    """
    from isal import igzip, isal_zlib

    isal_error: Any = isal_zlib.error  # the stub of the library declares it as an object
    damage = (tarfile.TarError, EOFError, zlib.error, igzip.BadGzipFile, isal_error)
    names: list[str] = []
    written: list[Path] = []
    try:
        with (
            JoinedFile(parts) as raw,
            io.BufferedReader(raw, _BLOCK) as joined,
            igzip.IGzipFile(fileobj=joined, mode="rb") as plain,
            tarfile.open(fileobj=plain, mode="r|", bufsize=_BLOCK, tarinfo=_Member) as archive,
        ):
            for entry in archive:
                name = _check_name(entry, parts)
                if entry.isdir():
                    continue
                if not is_unpacked(name, entry.size):
                    content = archive.extractfile(entry)
                    assert content is not None
                    unpacked = _write_file(content, folder, name, entry.size)
                    written.append(folder / name)
                    report_file(unpacked)
                names.append(name)
            # Read on to the end of the stream: gzip keeps its checksum there, behind the tar archive.
            while plain.read(_BLOCK):
                pass
    except damage as error:
        is_cut = isinstance(error, EOFError)
        for path in () if is_cut else written:
            path.unlink()
        where = f"after {len(names)} files" if is_cut else f"and removed {len(written)} files of it"
        raise InputError(
            f"expected a whole tar.gz archive, found a damaged one ({error}) {where}: "
            f"{', '.join(str(part) for part in parts)}; remove it and run the same command again"
        ) from None
    if not names:
        raise InputError(f"expected files in the archive, found none: {parts[0]}; fetch it again")
    return names


def _check_name(entry: tarfile.TarInfo, parts: Sequence[Path]) -> str:
    """Path of a member below the folder; refuses links, devices and paths that lead out of it."""
    path = PurePosixPath(entry.name)
    is_plain = entry.isdir() or (entry.isfile() and not entry.issparse())
    is_outside = path.is_absolute() or ".." in path.parts or "\0" in entry.name
    if is_outside or not is_plain or (entry.isfile() and not path.parts):
        problem = "a path outside the folder" if is_outside else "a link or device"
        raise InputError(
            f"expected plain files below the folder, found {problem}: {entry.name!r} in {parts[0]}; the "
            "archive is not the one that was published, do not use it"
        )
    return str(path)


def _write_file(content: IO[bytes], folder: Path, name: str, size: int) -> UnpackedFile:
    """Write a member below the folder, whole or not at all."""
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if size + _SPARE > free:
        raise OSError(
            28, f"{size / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free", str(target.parent)
        )
    digest, count = hashlib.sha256(), 0
    with atomic(target) as part, part.open("wb") as file:
        while block := content.read(_BLOCK):
            file.write(block)
            digest.update(block)
            count += len(block)
        if count != size:
            raise tarfile.ReadError(f"{name} ends after {count} of {size} bytes")
    logger.debug("%s: %d bytes", target, size)
    return UnpackedFile(name, size, digest.hexdigest())
