"""Archives of AMSR2 swaths: three layouts, one way to read them.

``swath_array`` is the classic layout (one pickled array of dictionaries), ``flat`` the same
content as plain arrays in a zip, ``hdf5`` one CF group a swath.
"""

from __future__ import annotations

from pathlib import Path

from seaice import InputError
from seaice.swaths.archive.base import (
    INDEX,
    LAYOUTS,
    SUFFIXES,
    ArchiveName,
    ArchiveWriter,
    SwathArchive,
    period_of,
    period_text,
)

__all__ = [
    "LAYOUTS",
    "SUFFIXES",
    "ArchiveName",
    "ArchiveWriter",
    "SwathArchive",
    "create_archive",
    "load_swaths",
    "period_of",
    "period_text",
]

_HDF5 = b"\x89HDF\r\n\x1a\n"


def load_swaths(
    path: Path | str, *, salvage: bool = False, spill_dir: Path | str | None = None
) -> SwathArchive:
    """Open an archive of swaths in any layout, safely.

    Parameters
    ----------
    path : Path or str
        ``.npz`` or ``.h5``; what it is shows in its content.
    salvage : bool
        Of a damaged npz archive take what is there; its ``damage`` says what is wrong.
    spill_dir : Path or str, optional
        Where the arrays of a classic archive are kept while it is open, as it can only be
        read whole; its own folder by default.

    Returns
    -------
    SwathArchive
        A sequence of :class:`seaice.sources.amsr2.swath.Swath`, each read when asked for. Close
        it, or use it in a ``with`` statement.

    Raises
    ------
    InputError
        If the file is no archive, is damaged, or is a classic one whose pickle asks for
        anything else than arrays, numbers, texts and plain containers.

    Examples
    --------
        with load_swaths("AMSR2_swaths_20200101_000000_to_20200131_235959.npz") as swaths:
            kelvin = swaths[0].kelvin("36.5H")  # float32, NaN where missing
            dataset = swaths[0].to_xarray()
    """
    from seaice.swaths.archive.classic import ClassicArchive
    from seaice.swaths.archive.flat import FlatArchive
    from seaice.swaths.archive.hdf5 import Hdf5Archive

    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"expected a swath archive, found {str(error.strerror).lower()}: {path}"
        ) from None
    if start == _HDF5:
        return Hdf5Archive(path)
    if _is_classic(path, salvage=salvage):
        return ClassicArchive(path, salvage=salvage, spill_dir=Path(spill_dir) if spill_dir else None)
    return FlatArchive(path, salvage=salvage)


def _is_classic(path: Path, *, salvage: bool) -> bool:
    from seaice.swaths.archive.classic import MEMBER
    from seaice.swaths.archive.zip_file import ZipReader

    reader = ZipReader(path, salvage=salvage)
    try:
        flat = INDEX in reader.members or any(name.startswith("swath_0") for name in reader.members)
        return MEMBER in reader.members or not flat
    finally:
        reader.close()


def create_archive(path: Path, *, layout: str, count: int) -> ArchiveWriter:
    """A writer of an archive; use it in a ``with`` statement and call ``finish``.

    Parameters
    ----------
    path : Path
        Must not exist.
    layout : str
        One of ``LAYOUTS``.
    count : int
        Number of swaths that will be written.
    """
    from seaice.swaths.archive.classic import ClassicWriter
    from seaice.swaths.archive.flat import FlatWriter
    from seaice.swaths.archive.hdf5 import Hdf5Writer

    if layout == "swath_array":
        return ClassicWriter(path, count=count)
    if layout == "flat":
        return FlatWriter(path)
    if layout == "hdf5":
        return Hdf5Writer(path)
    raise InputError(f"expected a layout out of {', '.join(LAYOUTS)}, found {layout!r}")
