"""The training cache: the concentration of a cube as one plain array that is mapped into memory.

A folder with a file of equal frames, day after day, that every process maps and the kernel
shares among them, and a small JSON file that says what it holds and which cube it was made
of. Nothing is decompressed when it is read. Flags stay in the cube.
"""

from __future__ import annotations

import json
import logging
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import DateRange
from seaice.report import Progress, Report, listing
from seaice.runtime.atomic_write import (
    HeldByAnother,
    atomic,
    exclusive,
)
from seaice.runtime.threads import allowed_processors
from seaice.training.chunks.arrays import (
    ArraySource,
    MappedFile,
    Placed,
)
from seaice.training.chunks.encodings import ENCODINGS
from seaice.training.chunks.requests import FrameRequest
from seaice.training.chunks.watched_file import FileState
from seaice.training.reader import (
    CubeReader,
    cube_sha256,
    cube_state,
)

logger = logging.getLogger(__name__)

DESCRIPTION = "cache.json"
_ARRAY = "concentration-"
_FORMAT = 1
_ADVICE = "delete it or run cache_cube.py --force"
_WAIT = 0.2  # seconds between two looks at a cache that another process is making
_AT_ONCE = 4  # days in memory while a cache is made


@dataclass(frozen=True)
class Description:
    """What a cache holds, as written beside it.

    Attributes
    ----------
    format : int
    dtype : str
        Key of :data:`seaice.training.chunks.encodings.ENCODINGS`.
    array : str
        Name of the file with the frames.
    shape : tuple of int
        Days, rows and columns.
    days : tuple of str
        ISO dates.
    crc32 : tuple of int
        Of every day's bytes.
    grid : dict
        Fields of :class:`seaice.grids.Grid`.
    cube, cube_sha256 : str
        Name and digest of the cube.
    cube_size, cube_mtime_ns : int
        Of its file when the cache was made.
    """

    format: int
    dtype: str
    array: str
    shape: tuple[int, int, int]
    days: tuple[str, ...]
    crc32: tuple[int, ...]
    grid: dict[str, Any]
    cube: str
    cube_sha256: str
    cube_size: int
    cube_mtime_ns: int

    @property
    def frame_bytes(self) -> int:
        """Size of a day."""
        return self.shape[1] * self.shape[2] * ENCODINGS[self.dtype].codes.itemsize

    @classmethod
    def read(cls, folder: Path) -> Description:
        """Read the description in a folder; InputError if there is none that can be used."""
        path = folder / DESCRIPTION
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            lists = {name: tuple(stored[name]) for name in ("shape", "days", "crc32")}
            description = cls(**stored | lists)
            known = description.format == _FORMAT and description.dtype in ENCODINGS
            known &= len(description.days) == len(description.crc32) == description.shape[0]
        except FileNotFoundError:
            raise InputError(f"no cache in {folder}; make it with cache_cube.py") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} describes no cache ({error}); {_ADVICE}") from None
        if not known:
            raise InputError(f"{path} describes a cache of another version; {_ADVICE}")
        return description


def cache_cube(
    *,
    cube_file: Path,
    output_dir: Path,
    dtype: Literal["float16", "uint8", "int16"] = "float16",
    start_date: date | None = None,
    end_date: date | None = None,
    verify: bool = False,
    force: bool = False,
) -> Report:
    """Make the training cache of a cube, or check one.

    Parameters
    ----------
    cube_file : Path
        A cube of ``consolidate_data.py``.
    output_dir : Path
        Folder of the cache; made if it is not there.
    dtype : {"float16", "uint8", "int16"}
        How a fraction is stored: wrong by at most 0.024 percent in two bytes, by at most
        0.2 percent in one, not at all in two.
    start_date, end_date : date, optional
        By default the first and the last day of the cube.
    verify : bool
        Make nothing: read the whole cache that is there and compare its checksums.
    force : bool
        Replace a cache that is there.

    Returns
    -------
    Report
        With ``verify``, days that are damaged are failures.

    Raises
    ------
    InputError
        If the cube cannot be used, the folder holds something else, or a cache of
        something else and ``force`` is not given.
    """
    folder = Path(output_dir).absolute()
    _check_options(dtype, verify=verify, force=force)
    state = cube_state(Path(cube_file))
    with CubeFile(Path(cube_file)) as cube:
        assert state is not None
        days = _chosen_days(cube, start_date, end_date)
        if verify:
            return _verified(folder, cube, state)
        with _writing(folder):
            if (folder / DESCRIPTION).exists() and not force:
                there = Description.read(folder)
                _check_whole(folder, there)
                _check_made_of(folder, there, cube, state)
                _check_same(folder, there, dtype, days)
                head = f"{folder}: complete already, made of the same cube"
            else:
                there = _build(folder, cube, state, dtype, days)
                head = f"{folder}: made of {cube.path}"
    size = there.frame_bytes * there.shape[0] / 1e6
    error = ENCODINGS[dtype].largest_error
    what = f"{len(days)} days {days[0]} to {days[-1]} on {cube.grid} as {dtype}, {size:.1f} MB"
    lines = [head, what, f"largest error of a value: {error:.3g} percent"]
    return Report(lines, [], [folder / DESCRIPTION, folder / there.array], {"bytes": int(size * 1e6)})


def open_cache(
    folder: Path, cube: CubeFile, state: FileState, dtype: str, positions: np.ndarray
) -> ArraySource:
    """The source of a cube's concentration in a cache; the cache is made where there is none.

    One process makes it; the others wait for it.

    Parameters
    ----------
    folder : Path
        Absolute.
    cube : CubeFile
    state : FileState
        Of the cube before it was opened.
    dtype : str
        That the cache has or gets; see :func:`cache_cube`.
    positions : ndarray of int64
        Days on the cube's time axis that will be asked for.

    Raises
    ------
    InputError
        If the cache is one of another cube, of another type, cut off, or lacks a day.
    """
    _check_options(dtype)
    if not (folder / DESCRIPTION).exists():
        _build_once(folder, cube, state, dtype)
    there = Description.read(folder)
    _check_whole(folder, there)
    _check_made_of(folder, there, cube, state)
    if there.dtype != dtype:
        raise InputError(
            f"expected a cache of {dtype} in {folder}, found {there.dtype}; give "
            f"cache_dtype={there.dtype!r} or another folder"
        )
    held = np.array([cube.index(day) for day in there.days], dtype=np.int64)
    lacking = np.setdiff1d(positions, held)
    if lacking.size:
        raise InputError(
            f"{folder} holds {there.days[0]} to {there.days[-1]} and not {cube.dates[lacking[0]]}; "
            "choose days within or make it anew with cache_cube.py --force"
        )
    encoding = ENCODINGS[dtype]
    frames = MappedFile(folder / there.array, encoding.codes, there.shape)
    return ArraySource(frames, Placed(held, 0, 0), encoding.values())


def damaged_days(folder: Path, description: Description) -> list[str]:
    """Days of a cache whose bytes do not fit their checksum, ISO dates."""
    found = []
    with (folder / description.array).open("rb") as file:
        for day, expected in zip(description.days, description.crc32, strict=True):
            if zlib.crc32(file.read(description.frame_bytes)) != expected:
                found.append(day)
    return found


def _check_options(dtype: str, *, verify: bool = False, force: bool = False) -> None:
    if dtype not in ENCODINGS:
        raise InputError(f"expected one of {', '.join(ENCODINGS)} for a cache, found {dtype!r}")
    if verify and force:
        raise InputError("--verify makes nothing and --force replaces the cache: give one of them")


def _chosen_days(cube: CubeFile, start: date | None, end: date | None) -> list[date]:
    if not cube.dates:
        raise InputError(f"{cube.path} holds no day; make it anew with consolidate_data.py")
    period = DateRange(start or cube.dates[0], end or cube.dates[-1])
    for day in (period.start, period.end):
        if not cube.dates[0] <= day <= cube.dates[-1]:
            raise InputError(
                f"{cube.path} reaches from {cube.dates[0]} to {cube.dates[-1]}, found {day}; "
                "choose days within"
            )
    return [day for day in cube.dates if day in period]


def _check_whole(folder: Path, there: Description) -> None:
    path = folder / there.array
    expected = there.frame_bytes * there.shape[0]
    found = path.stat().st_size if path.is_file() else 0
    if found != expected:
        raise InputError(f"{path} is cut off: expected {expected} bytes, found {found}; {_ADVICE}")


def _check_made_of(folder: Path, there: Description, cube: CubeFile, state: FileState) -> None:
    """Refuse a cache of another cube; a cube that looks untouched is not read for that."""
    if (there.cube_size, there.cube_mtime_ns) == (state.size, state.mtime_ns):
        return
    logger.info(
        "%s has another size or time than when %s was made; comparing digests", cube.path, folder
    )
    if there.cube_sha256 != cube_sha256(cube.path):
        raise InputError(
            f"{folder} was made of another cube than {cube.path} (of {there.cube}, SHA-256 "
            f"{there.cube_sha256[:12]}...); {_ADVICE}"
        )


def _check_same(folder: Path, there: Description, dtype: str, days: Sequence[date]) -> None:
    wanted = dtype, str(days[0]), str(days[-1]), len(days)
    found = there.dtype, there.days[0], there.days[-1], len(there.days)
    if wanted != found:
        raise InputError(
            f"expected a cache of {dtype} from {days[0]} to {days[-1]} in {folder}, found one of "
            f"{there.dtype} from {there.days[0]} to {there.days[-1]}; --force replaces it"
        )


def _verified(folder: Path, cube: CubeFile, state: FileState) -> Report:
    there = Description.read(folder)
    _check_whole(folder, there)
    _check_made_of(folder, there, cube, state)
    bad = damaged_days(folder, there)
    lines = [f"{folder}: {len(there.days) - len(bad)} of {len(there.days)} days fit their checksums"]
    failed = [f"{folder} is damaged at {listing(bad)}; make it again with --force"] if bad else []
    return Report(lines, failed, [folder / DESCRIPTION], {"damaged": bad})


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the right to make a cache in a folder that holds nothing else."""
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"expected a folder for the cache, found a file: {folder}; choose another place"
        )
    if not folder.parent.is_dir():
        raise InputError(f"the folder of the cache does not exist: {folder.parent}; make it first")
    folder.mkdir(exist_ok=True)
    names = [p.name for p in folder.iterdir() if not p.name.startswith((".", _ARRAY))]
    if names and DESCRIPTION not in names:
        raise InputError(
            f"expected a new or empty folder for the cache, found {listing(sorted(names))} in {folder}; "
            "choose another folder"
        )
    with exclusive(folder / DESCRIPTION):
        yield


def _build_once(folder: Path, cube: CubeFile, state: FileState, dtype: str) -> None:
    """Make the cache of all days, or wait until another process has."""
    said = False
    while True:
        try:
            with _writing(folder):
                if not (folder / DESCRIPTION).exists():
                    _build(folder, cube, state, dtype, cube.dates)
            return
        except HeldByAnother as error:
            if not said:
                logger.info("%s; waiting for it", str(error).partition(";")[0])
            said = True
            time.sleep(_WAIT)


def _build(
    folder: Path, cube: CubeFile, state: FileState, dtype: str, days: Sequence[date]
) -> Description:
    """Write the frames, then the description: only with that is the cache there."""
    shape = (len(days), *cube.grid.shape)
    needed = int(np.prod(shape, dtype=np.int64)) * ENCODINGS[dtype].codes.itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"a cache of {len(days)} days as {dtype} takes {needed / 1e6:.0f} MB, {folder} has "
            f"{free / 1e6:.0f} MB free; choose another place, fewer days or uint8"
        )
    digest = cube_sha256(cube.path)
    # By its content, so that one that is replaced is whole as long as its description stands.
    name = f"{_ARRAY}{digest[:12]}-{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}.{dtype}"
    with atomic(folder / name, locked=True) as temporary, temporary.open("wb") as file:
        checksums = _write_frames(file, cube, state, dtype, days)
        if cube_state(cube.path) != state:
            raise InputError(f"{cube.path} was replaced while its cache was made; run the same again")
    described = Description(
        format=_FORMAT,
        dtype=dtype,
        array=name,
        shape=shape,
        days=tuple(map(str, days)),
        crc32=tuple(checksums),
        grid=asdict(cube.grid),
        cube=cube.path.name,
        cube_sha256=digest,
        cube_size=state.size,
        cube_mtime_ns=state.mtime_ns,
    )
    with atomic(folder / DESCRIPTION, locked=True) as temporary:
        temporary.write_text(json.dumps(asdict(described), indent=1) + "\n", encoding="utf-8")
    for older in folder.glob(f"{_ARRAY}*"):
        if older.name != name:
            older.unlink()
    return described


def _write_frames(
    file: BinaryIO, cube: CubeFile, state: FileState, dtype: str, days: Sequence[date]
) -> list[int]:
    encoding, threads = ENCODINGS[dtype], allowed_processors()
    reader = CubeReader(cube, state)
    paint = reader.paint("concentration", encoding.encode)
    rows, columns = (slice(0, cells) for cells in cube.grid.shape)
    stack = np.empty((_AT_ONCE, *cube.grid.shape), encoding.codes)
    checksums = []
    with Progress(total=len(days), label="cache", logger=logger) as progress:
        for first in range(0, len(days), _AT_ONCE):
            some = days[first : first + _AT_ONCE]
            positions = [cube.index(day) for day in some]
            frames = stack[: len(some)]
            reader.read(
                "concentration", [FrameRequest(positions, rows, columns, frames, paint)], threads
            )
            for day, frame in zip(some, frames, strict=True):
                if encoding.beyond is not None and (frame == encoding.beyond).any():
                    raise InputError(
                        f"{cube.path} holds values outside 0..1 at {day}, which {dtype} cannot keep; "
                        "take float16"
                    )
                checksums.append(zlib.crc32(frame.data))
                file.write(frame.data)
            progress.unit(f"{some[0]} to {some[-1]} as {dtype}", count=len(some))
    reader.close()
    return checksums
