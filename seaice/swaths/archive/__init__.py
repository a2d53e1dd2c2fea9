"""Archives of AMSR2 swaths: two layouts that are read alike.

``swath_array`` is the classic layout, an npz file with one pickled array of dictionaries; ``hdf5``
has a CF group for each swath. Older archives with an array of its own for each swath are read too.
"""

from __future__ import annotations

from pathlib import Path

from seaice import InputError
from seaice.open_file import DAMAGE, open_hdf5
from seaice.open_file.hdf5_damage import SIGNATURE
from seaice.swaths.archive.base import (
    INDEX,
    LAYOUTS,
    SUFFIXES,
    ArchiveWriter,
    SwathArchive,
    describe_failure,
    describe_product,
    find_period,
    inherit_info,
)
from seaice.swaths.archive.names import (
    ArchiveName,
    format_period,
)

__all__ = [
    "LAYOUTS",
    "SUFFIXES",
    "ArchiveName",
    "ArchiveWriter",
    "SwathArchive",
    "check_readable",
    "create_archive",
    "describe_failure",
    "describe_product",
    "find_period",
    "format_period",
    "inherit_info",
    "is_archive",
    "is_hdf5",
    "load_swaths",
]


def load_swaths(
    path: Path | str, *, salvage: bool = False, spill_dir: Path | str | None = None
) -> SwathArchive:
    """Open an archive of swaths in any layout, safely.

    Parameters
    ----------
    path : Path or str
        The layout is recognised by the content of the file, not by its suffix.
    salvage : bool
        Read what is left of a damaged npz archive; ``damage`` of the result describes the damage.
    spill_dir : Path or str, optional
        Folder for a temporary file with the arrays of a classic archive, which can only be read
        as a whole; the folder of the archive by default.

    Returns
    -------
    SwathArchive
        A sequence of :class:`seaice.sources.amsr2.swath.Swath`; each is read when it is asked for. Close
        the archive, or use it in a ``with`` statement.

    Raises
    ------
    InputError
        If the file is no archive or is damaged, or if the pickle of a classic archive asks for
        anything else than arrays, numbers, texts and plain containers.

    Examples
    --------
        with load_swaths("AMSR2_swaths_20200101_000000_to_20200131_235959.h5") as swaths:
            kelvin = swaths[0].kelvin("36.5H")  # float32, NaN where missing
            dataset = swaths[0].to_xarray()
    """
    from seaice.swaths.archive.classic import ClassicArchive
    from seaice.swaths.archive.hdf5 import Hdf5Archive
    from seaice.swaths.archive.separate import SeparateArchive, holds_separate_arrays

    path = Path(path)
    if is_hdf5(path):
        return Hdf5Archive(path)
    if holds_separate_arrays(path, salvage=salvage):
        return SeparateArchive(path, salvage=salvage)
    return ClassicArchive(path, salvage=salvage, spill_dir=Path(spill_dir) if spill_dir else None)


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 files do.

    Raises
    ------
    InputError
        If there is no such file, or it is a folder, a pipe or a device.
    """
    try:
        if not path.is_file() and not path.is_dir() and path.exists():
            raise InputError(f"expected a swath archive, found a pipe or a device: {path}")
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except (FileNotFoundError, IsADirectoryError) as error:
        raise InputError(
            f"expected a swath archive, found {str(error.strerror).lower()}: {path}"
        ) from None


def is_archive(path: Path) -> bool:
    """Whether an HDF5 file has the index of an archive; a file that cannot be opened has none."""
    try:
        with open_hdf5(path, for_names=True) as file:
            return INDEX in file
    except DAMAGE:
        return False


def check_readable(path: Path) -> None:
    """Open an archive and close it again.

    Raises
    ------
    InputError
        If it cannot be opened.
    """
    load_swaths(path).close()


def create_archive(path: Path, *, layout: str, count: int) -> ArchiveWriter:
    """Create an archive; use the writer in a ``with`` statement and call its ``finish``.

    Parameters
    ----------
    path : Path
        A file that does not exist yet.
    layout : str
        One of ``LAYOUTS``.
    count : int
        Number of swaths that will be written.

    Raises
    ------
    InputError
        If there is no such layout.
    """
    from seaice.swaths.archive.classic import ClassicWriter
    from seaice.swaths.archive.hdf5 import Hdf5Writer

    if layout == "swath_array":
        return ClassicWriter(path, count=count)
    if layout == "hdf5":
        return Hdf5Writer(path)
    raise InputError(f"expected a layout out of {', '.join(LAYOUTS)}, found {layout!r}")
