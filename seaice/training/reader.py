"""Reading a cube in any process: each opens the file on first use, and a reader can be pickled."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Protocol

import numpy as np

from seaice.cube.file import CubeFile
from seaice.open_file.address import Address, Place, digest_metadata
from seaice.runtime.digests import digest_file, digest_parts
from seaice.training.chunks.arrays import ArrayCoverage, ArraySource, ValueSource
from seaice.training.chunks.netcdf import list_netcdf_chunks
from seaice.training.chunks.requests import (
    FrameRequest,
    FrameSource,
    LookupTable,
    apply_conversion,
)
from seaice.training.chunks.tiles import TileSource
from seaice.training.chunks.watched_file import FileState, make_changed_cube_error
from seaice.training.chunks.zarr import list_zarr_chunks

Quantity = Literal["concentration", "flags"]

_VARIABLES: dict[Quantity, str] = {"concentration": "sea_ice_conc", "flags": "fill_flag"}
# Days read at a time into memory: a source without codes needs arrays of its own for them.
_PRELOAD_DAYS = 8


class FrameReader:
    """Reader of days from sources by quantity.

    Several threads of a process must not use one reader at the same time.

    Parameters
    ----------
    sources : mapping of str to FrameSource
    """

    def __init__(self, sources: Mapping[Quantity, FrameSource]) -> None:
        self._sources = dict(sources)

    def make_lookup(
        self, quantity: Quantity, convert: Callable[[np.ndarray], np.ndarray]
    ) -> LookupTable:
        """Make the look-up table with which a :class:`FrameRequest` gets converted values.

        Parameters
        ----------
        quantity : {"concentration", "flags"}
        convert : callable
            Takes an array of fractions, float32 with NaN, or of flag codes, uint8, and returns as
            many values of the output's dtype. A value depends on its own cell alone.
        """
        values = self._sources[quantity].values
        if values is None:
            values = np.arange(256, dtype=np.uint8) if quantity == "flags" else np.zeros(0, np.float32)
        return LookupTable(convert(values), convert)

    def read(self, quantity: Quantity, requests: Sequence[FrameRequest], threads: int = 1) -> None:
        """Fill the arrays of all requests.

        Raises
        ------
        InputError
            If the cube or its cache was changed since, or is damaged.
        """
        self._sources[quantity].read(requests, threads)

    def preload(self, days: np.ndarray, rows: slice, columns: slice, threads: int = 1) -> None:
        """Read days of a part of the grid into memory, as codes; later reads use only these.

        Parameters
        ----------
        days : ndarray of int64
            Positions on the time axis of the cube, in any order.
        rows, columns : slice
            The part of the grid.
        threads : int
            See :func:`seaice.runtime.threads.for_each`.
        """
        days = np.unique(days)
        shape = (days.size, rows.stop - rows.start, columns.stop - columns.start)
        coverage = ArrayCoverage(days, rows.start, columns.start)
        for quantity, source in self._sources.items():
            lookup = _make_identity_lookup(quantity, source)
            stack = np.empty(shape, lookup.table.dtype)
            for first in range(0, days.size, _PRELOAD_DAYS):
                part = slice(first, first + _PRELOAD_DAYS)
                request = FrameRequest(days[part].tolist(), rows, columns, stack[part], lookup)
                source.read([request], threads)
            source.close()
            if stack.dtype == np.float32:
                self._sources[quantity] = ValueSource(stack, coverage)
            else:
                self._sources[quantity] = ArraySource(stack, coverage, source.values)

    def close(self) -> None:
        """Close what this process holds open; the next read opens it again."""
        for source in self._sources.values():
            source.close()


class CubeReader(FrameReader):
    """Reader of days of a cube: from the chunks of its file, from memory, or from a training cache.

    Parameters
    ----------
    cube : CubeFile
        The open cube; the reader uses it only here.
    state : FileState
        State of the cube before it was opened (:func:`read_cube_state`).
    quantities : sequence of str
        The quantities that will be read: ``concentration``, ``flags``.
    cached : FrameSource, optional
        Source of the concentration instead of the cube.
    """

    def __init__(
        self,
        cube: CubeFile,
        state: FileState,
        quantities: Sequence[Quantity] = ("concentration",),
        cached: FrameSource | None = None,
    ) -> None:
        super().__init__(
            {
                quantity: cached
                if cached and quantity == "concentration"
                else _choose_source(cube, state, quantity)
                for quantity in quantities
            }
        )


def _make_identity_lookup(quantity: Quantity, source: FrameSource) -> LookupTable:
    """Make the look-up table that keeps the codes, or the values of a source without codes."""
    if quantity == "flags":
        return LookupTable(np.arange(256, dtype=np.uint8), lambda codes: codes)
    if source.values is None:
        return LookupTable(np.zeros(0, np.float32), lambda values: values)
    return LookupTable(
        np.arange(source.values.size).astype(np.uint16 if source.values.size > 256 else np.uint8)
    )


def read_cube_state(path: Place) -> FileState | None:
    """Read the state of a cube: of its file, or of the metadata of a group; None if it is absent."""
    if isinstance(path, Address):
        digest = digest_metadata(path)
        return FileState(0, int.from_bytes(digest[:8], "big"), 0)
    names = ("zarr.json", ".zgroup") if path.is_dir() else ("",)
    for name in names:
        with suppress(OSError):
            return FileState.read(path / name)
    return None


def digest_cube(path: Place) -> str:
    """Compute the SHA-256 of a cube: of its file, of the names and contents in its folder.

    Of an address it is that of the metadata, which list the days.
    """
    if isinstance(path, Address):
        return digest_metadata(path).hex()
    if not path.is_dir():
        return digest_file(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    return digest_parts(f"{p.relative_to(path).as_posix()} {digest_file(p)}\n" for p in files)


def _choose_source(cube: CubeFile, state: FileState, quantity: Quantity) -> FrameSource:
    """Choose chunks read directly where the layout of the file allows it, else the NetCDF library."""
    # Absolute: the file is opened again when the process may be in another folder.
    path = cube.path.absolute()
    if isinstance(path, Address) or not cube.stores_plain_codes:
        return LibrarySource(path, state, quantity)
    list_chunks = list_zarr_chunks if path.is_dir() else list_netcdf_chunks
    table = list_chunks(path, _VARIABLES[quantity], state)
    dtype, shape = "|u1" if quantity == "flags" else "<i2", (len(cube.dates), *cube.grid.shape)
    if table is None or table.tiling.dtype != dtype or table.tiling.shape != shape:
        return LibrarySource(path, state, quantity)
    return TileSource(table, path, cube.dates, ~cube.ocean)


class OpenedFile(Protocol):
    """A file that is open in one process."""

    def close(self) -> None:
        """Close it."""


class ProcessSource:
    """Source that reads a file by its library, each process by a handle of its own.

    HDF5 handles can be neither shared between processes nor pickled. Therefore every process opens
    the file when it first reads; a handle that it inherited through a fork is neither used nor
    closed.

    Parameters
    ----------
    path : Path or Address
        Absolute.
    state : FileState
        State of the file that is expected.
    """

    values: np.ndarray | None = None

    def __init__(self, path: Place, state: FileState) -> None:
        self.path, self._state = path, state
        self._file: OpenedFile | None = None
        self._process: int | None = None  # that opened the file
        self._inherited: OpenedFile | None = None  # kept only so that it is not closed here

    def _open_file(self) -> OpenedFile:
        """Open the file."""
        raise NotImplementedError

    def _read_days(self, file: Any, days: slice, rows: slice, columns: slice) -> np.ndarray:
        """Read neighbouring days of an open file."""
        raise NotImplementedError

    def read(self, requests: Sequence[FrameRequest], threads: int) -> None:
        """Fill the arrays of all requests; every run of neighbouring days is one read."""
        file = self._open()
        for request in requests:
            days = np.unique(request.days)
            for run in np.split(days, np.flatnonzero(np.diff(days) > 1) + 1):
                first, last = int(run[0]), int(run[-1])
                part = slice(first, last + 1), request.rows, request.columns
                stack = self._read_days(file, *part)
                for number, day in enumerate(request.days):
                    if first <= day <= last:
                        apply_conversion(request, number, stack[day - first])

    def _open(self) -> OpenedFile:
        if self._file is None or self._process != os.getpid():
            # Checked before the file is opened: a file that replaces it meanwhile is noticed later.
            if read_cube_state(self.path) not in (self._state, None):
                raise make_changed_cube_error(self.path)
            self._inherited, self._file = self._file, self._open_file()
            self._process = os.getpid()
        return self._file

    def close(self) -> None:
        """Close the file in this process; the next read opens it again."""
        if self._file is not None and self._process == os.getpid():
            self._file.close()
            self._file = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_file": None, "_process": None, "_inherited": None}


class LibrarySource(ProcessSource):
    """Source that reads a variable of a cube with its library, whatever its layout is.

    Parameters
    ----------
    path, state
        As of :class:`ProcessSource`.
    quantity : {"concentration", "flags"}
    """

    def __init__(self, path: Place, state: FileState, quantity: Quantity) -> None:
        super().__init__(path, state)
        self._quantity = quantity

    def _open_file(self) -> CubeFile:
        return CubeFile(self.path)

    def _read_days(self, file: CubeFile, days: slice, rows: slice, columns: slice) -> np.ndarray:
        values: np.ndarray = getattr(file, self._quantity)(days, rows, columns)
        return values
