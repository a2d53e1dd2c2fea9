"""Training cache: the concentration of a cube as one array that is mapped into memory.

A cache is a folder with two files: the frames, day after day without compression, and a JSON
description of them and of the cube that they were read from. Every process maps the frames, and
the operating system keeps one copy for all. Flags are not in the cache; they are read from the cube.
"""

from __future__ import annotations

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

import seaice
from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import DateRange
from seaice.report import Progress, Report, format_count, listing
from seaice.runtime.atomic_write import (
    HeldByAnother,
    atomic,
    exclusive,
)
from seaice.runtime.json_files import parse_json, write_json
from seaice.runtime.threads import allowed_processors
from seaice.training.chunks.arrays import ArrayCoverage, ArraySource, MappedFile
from seaice.training.chunks.encodings import ENCODINGS
from seaice.training.chunks.requests import FrameRequest
from seaice.training.chunks.watched_file import FileState
from seaice.training.reader import CubeReader, digest_cube, read_cube_state

logger = logging.getLogger(__name__)

DESCRIPTION_FILE = "cache.json"
_ARRAY_PREFIX = "concentration-"
_FORMAT = 1
_ADVICE = "delete it or run cache_cube.py --force"
_WAIT_SECONDS = 0.2  # between two looks at a cache that another process is making
_DAYS_AT_ONCE = 4  # in memory while a cache is made


@dataclass(frozen=True)
class CacheDescription:
    """Content of a cache and its cube, as written to ``cache.json``.

    Attributes
    ----------
    format : int
        Version of the layout of the folder.
    dtype : str
        Encoding: a key of :data:`seaice.training.chunks.encodings.ENCODINGS`.
    array : str
        Name of the file with the frames.
    shape : tuple of int
        Number of days, rows and columns.
    days : tuple of str
        Days as ISO dates.
    crc32 : tuple of int
        CRC-32 of the bytes of every day.
    grid : dict
        Fields of :class:`seaice.grids.grid.Grid`.
    cube, cube_sha256 : str
        Name and digest of the cube.
    cube_size, cube_mtime_ns : int
        Size (bytes) and time of change (nanoseconds) of the cube when the cache was made.
    software : str
        Program and version that made the cache.
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
    software: str = ""

    @property
    def frame_bytes(self) -> int:
        """Number of bytes of a day."""
        return self.shape[1] * self.shape[2] * ENCODINGS[self.dtype].code_dtype.itemsize

    @property
    def array_bytes(self) -> int:
        """Number of bytes of all days."""
        return self.frame_bytes * self.shape[0]

    @classmethod
    def read(cls, folder: Path) -> CacheDescription:
        """Read the description in a folder; InputError if there is none or it cannot be used."""
        path = folder / DESCRIPTION_FILE
        try:
            stored = parse_json(path.read_text(encoding="utf-8"))
            lists = {name: tuple(stored[name]) for name in ("shape", "days", "crc32")}
            description = cls(**stored | lists)
            is_readable = description.format == _FORMAT and description.dtype in ENCODINGS
            # A name in the folder: whatever else a description of somebody else may say.
            is_readable &= Path(description.array).name == description.array
            is_readable &= description.array.startswith(_ARRAY_PREFIX)
            is_readable &= len(description.days) == len(description.crc32) == description.shape[0]
        except FileNotFoundError:
            raise InputError(f"no cache in {folder}; make it with cache_cube.py") from None
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} describes no cache ({error}); {_ADVICE}") from None
        if not is_readable:
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
        Folder of the cache; it is made if it does not exist.
    dtype : {"float16", "uint8", "int16"}
        Encoding of a fraction: two bytes with an error of at most 0.024 percent, one byte with an
        error of at most 0.2 percent, or two bytes without error.
    start_date, end_date : date, optional
        First and last day of the cache; by default those of the cube.
    verify : bool
        Write nothing, but read an existing cache and compare its checksums.
    force : bool
        Replace an existing cache.

    Returns
    -------
    Report
        With ``verify``, damaged days are listed as failed.

    Raises
    ------
    InputError
        If the cube cannot be used, the folder holds other files, or it holds another cache and
        ``force`` is not given.
    """
    folder = Path(output_dir).absolute()
    _check_options(dtype, verify=verify, force=force)
    state = read_cube_state(Path(cube_file))
    with CubeFile(Path(cube_file)) as cube:
        assert state is not None
        days = _choose_days(cube, start_date, end_date)
        if verify:
            return _verify(folder, cube, state)
        description = None if force else _read_complete(folder, cube, state, dtype, days)
        outcome = f"{folder}: complete already, made of the same cube"
        if description is None:
            with _hold_folder(folder):
                # Another process may have made it before the lock was free.
                description = None if force else _read_complete(folder, cube, state, dtype, days)
                if description is None:
                    description = _build(folder, cube, state, dtype, days)
                    outcome = f"{folder}: made of {cube.path}"
    size = description.array_bytes
    error = ENCODINGS[dtype].largest_error
    content = (
        f"{format_count(len(days), 'day')} {days[0]} to {days[-1]} on {cube.grid} as {dtype}, "
        f"{size / 1e6:.1f} MB"
    )
    return Report(
        lines=[outcome, content, f"largest error of a value: {error:.3g} percent"],
        outputs=[folder / DESCRIPTION_FILE, folder / description.array],
        values={"bytes": size},
    )


def open_cache(
    folder: Path, cube: CubeFile, state: FileState, dtype: str, positions: np.ndarray
) -> ArraySource:
    """Open the cache of a cube as a source of its concentration; make the cache if there is none.

    If several processes need the cache, one makes it and the others wait.

    Parameters
    ----------
    folder : Path
        Absolute.
    cube : CubeFile
    state : FileState
        State of the cube before it was opened.
    dtype : str
        Encoding of the cache; see :func:`cache_cube`.
    positions : ndarray of int64
        Days that will be read, as positions on the time axis of the cube.

    Raises
    ------
    InputError
        If the cache belongs to another cube, has another encoding, is cut off, or lacks a day.
    """
    _check_options(dtype)
    if not (folder / DESCRIPTION_FILE).exists():
        _build_once(folder, cube, state, dtype)
    description = _read_checked(folder, cube, state)
    if description.dtype != dtype:
        raise InputError(
            f"expected a cache of {dtype} in {folder}, found {description.dtype}; give "
            f"cache_dtype={description.dtype!r} or another folder"
        )
    days = np.array([cube.index(day) for day in description.days], dtype=np.int64)
    lacking = np.setdiff1d(positions, days)
    if lacking.size:
        raise InputError(
            f"{folder} holds {description.days[0]} to {description.days[-1]} and not "
            f"{cube.dates[lacking[0]]}; choose days within or make it anew with cache_cube.py --force"
        )
    encoding = ENCODINGS[dtype]
    frames = MappedFile(folder / description.array, encoding.code_dtype, description.shape)
    return ArraySource(frames, ArrayCoverage(days, 0, 0), encoding.decode_all_codes())


def find_damaged_days(folder: Path, description: CacheDescription) -> list[str]:
    """Find the days of a cache whose bytes do not fit their checksum; ISO dates."""
    damaged = []
    with (folder / description.array).open("rb") as file:
        for day, expected in zip(description.days, description.crc32, strict=True):
            if zlib.crc32(file.read(description.frame_bytes)) != expected:
                damaged.append(day)
    return damaged


def _check_options(dtype: str, *, verify: bool = False, force: bool = False) -> None:
    if dtype not in ENCODINGS:
        raise InputError(f"expected one of {', '.join(ENCODINGS)} for a cache, found {dtype!r}")
    if verify and force:
        raise InputError("--verify makes nothing and --force replaces the cache: give one of them")


def _choose_days(cube: CubeFile, start: date | None, end: date | None) -> list[date]:
    if not cube.dates:
        raise InputError(f"{cube.path} holds no day; make it anew with consolidate_data.py")
    date_range = DateRange(start or cube.dates[0], end or cube.dates[-1])
    for day in (date_range.start, date_range.end):
        if not cube.dates[0] <= day <= cube.dates[-1]:
            raise InputError(
                f"{cube.path} reaches from {cube.dates[0]} to {cube.dates[-1]}, found {day}; "
                "choose days within"
            )
    return [day for day in cube.dates if day in date_range]


def _read_checked(folder: Path, cube: CubeFile, state: FileState) -> CacheDescription:
    """Read the description of a cache; InputError if the cache is cut off or of another cube."""
    description = CacheDescription.read(folder)
    path = folder / description.array
    size = path.stat().st_size if path.is_file() else 0
    if size != description.array_bytes:
        raise InputError(
            f"{path} is cut off: expected {description.array_bytes} bytes, found {size}; {_ADVICE}"
        )
    _check_same_cube(folder, description, cube, state)
    return description


def _read_complete(
    folder: Path, cube: CubeFile, state: FileState, dtype: str, days: Sequence[date]
) -> CacheDescription | None:
    """Read the description of the cache of these days without a lock; None if there is no cache."""
    if not (folder / DESCRIPTION_FILE).exists():
        return None
    description = _read_checked(folder, cube, state)
    _check_same_content(folder, description, dtype, days)
    return description


def _check_same_cube(
    folder: Path, description: CacheDescription, cube: CubeFile, state: FileState
) -> None:
    """Refuse a cache of another cube; the cube is read only if its size or time has changed."""
    if (description.cube_size, description.cube_mtime_ns) == (state.size, state.mtime_ns):
        return
    logger.info(
        "%s has another size or time than when %s was made; comparing digests", cube.path, folder
    )
    if description.cube_sha256 != digest_cube(cube.path):
        raise InputError(
            f"{folder} was made of another cube than {cube.path} (of {description.cube}, SHA-256 "
            f"{description.cube_sha256[:12]}...); {_ADVICE}"
        )


def _check_same_content(
    folder: Path, description: CacheDescription, dtype: str, days: Sequence[date]
) -> None:
    """Refuse a cache of another encoding or other days."""
    expected = dtype, str(days[0]), str(days[-1]), len(days)
    first, last = description.days[0], description.days[-1]
    if expected != (description.dtype, first, last, len(description.days)):
        raise InputError(
            f"expected a cache of {dtype} from {days[0]} to {days[-1]} in {folder}, found one of "
            f"{description.dtype} from {first} to {last}; --force replaces it"
        )


def _verify(folder: Path, cube: CubeFile, state: FileState) -> Report:
    description = _read_checked(folder, cube, state)
    damaged, count = find_damaged_days(folder, description), len(description.days)
    lines = [f"{folder}: {count - len(damaged)} of {count} days fit their checksums"]
    failed = []
    if damaged:
        failed.append(f"{folder} is damaged at {listing(damaged)}; make it again with --force")
    return Report(lines, failed, [folder / DESCRIPTION_FILE], {"damaged": damaged})


@contextmanager
def _hold_folder(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that holds a cache or nothing; make the folder if need be."""
    if folder.exists() and not folder.is_dir():
        raise InputError(
            f"expected a folder for the cache, found a file: {folder}; choose another place"
        )
    if not folder.parent.is_dir():
        raise InputError(f"the folder of the cache does not exist: {folder.parent}; make it first")
    folder.mkdir(exist_ok=True)
    names = [p.name for p in folder.iterdir() if not p.name.startswith((".", _ARRAY_PREFIX))]
    if names and DESCRIPTION_FILE not in names:
        raise InputError(
            f"expected a new or empty folder for the cache, found {listing(sorted(names))} in {folder}; "
            "choose another folder"
        )
    with exclusive(folder / DESCRIPTION_FILE, look_first=True):
        yield


def _build_once(folder: Path, cube: CubeFile, state: FileState, dtype: str) -> None:
    """Make the cache of all days, or wait until another process has made it."""
    is_logged = False
    while True:
        try:
            with _hold_folder(folder):
                if not (folder / DESCRIPTION_FILE).exists():
                    _build(folder, cube, state, dtype, cube.dates)
            return
        except HeldByAnother as error:
            if not is_logged:
                logger.info("%s; waiting for it", str(error).partition(";")[0])
            is_logged = True
            time.sleep(_WAIT_SECONDS)


def _build(
    folder: Path, cube: CubeFile, state: FileState, dtype: str, days: Sequence[date]
) -> CacheDescription:
    """Write the frames, then the description, which makes the cache valid."""
    shape = (len(days), *cube.grid.shape)
    needed = int(np.prod(shape, dtype=np.int64)) * ENCODINGS[dtype].code_dtype.itemsize
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"a cache of {len(days)} days as {dtype} takes {needed / 1e6:.0f} MB, {folder} has "
            f"{free / 1e6:.0f} MB free; choose another place, fewer days or uint8"
        )
    digest = digest_cube(cube.path)
    # Named by content: the file of an older cache keeps its bytes as long as its description exists.
    name = f"{_ARRAY_PREFIX}{digest[:12]}-{days[0]:%Y%m%d}-{days[-1]:%Y%m%d}.{dtype}"
    with atomic(folder / name, locked=True) as temporary, temporary.open("wb") as file:
        checksums = _write_frames(file, cube, state, dtype, days)
        if read_cube_state(cube.path) != state:
            raise InputError(f"{cube.path} was replaced while its cache was made; run the same again")
    description = CacheDescription(
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
        software=f"seaice {seaice.__version__}",
    )
    write_json(folder / DESCRIPTION_FILE, asdict(description), locked=True)
    for older_file in folder.glob(f"{_ARRAY_PREFIX}*"):
        if older_file.name != name:
            older_file.unlink()
    return description


def _write_frames(
    file: BinaryIO, cube: CubeFile, state: FileState, dtype: str, days: Sequence[date]
) -> list[int]:
    """Write the frames of some days to an open file, and return the CRC-32 of each."""
    encoding, threads = ENCODINGS[dtype], allowed_processors()
    reader = CubeReader(cube, state)
    lookup = reader.make_lookup("concentration", encoding.encode)
    rows, columns = (slice(0, cells) for cells in cube.grid.shape)
    stack = np.empty((_DAYS_AT_ONCE, *cube.grid.shape), encoding.code_dtype)
    checksums = []
    with Progress(total=len(days), label="cache", logger=logger) as progress:
        for first in range(0, len(days), _DAYS_AT_ONCE):
            some_days = days[first : first + _DAYS_AT_ONCE]
            positions = [cube.index(day) for day in some_days]
            frames = stack[: len(some_days)]
            request = FrameRequest(positions, rows, columns, frames, lookup)
            reader.read("concentration", [request], threads)
            for day, frame in zip(some_days, frames, strict=True):
                if encoding.invalid_code is not None and (frame == encoding.invalid_code).any():
                    raise InputError(
                        f"{cube.path} holds values outside 0..1 at {day}, which {dtype} cannot keep; "
                        "take float16"
                    )
                checksums.append(zlib.crc32(frame.data))
                file.write(frame.data)
            progress.unit(f"{some_days[0]} to {some_days[-1]} as {dtype}", count=len(some_days))
    reader.close()
    return checksums
