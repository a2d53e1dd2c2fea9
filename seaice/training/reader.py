"""Reading a cube from any process: opened on first use in each, and fit to be pickled."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice.cube.file import CubeFile
from seaice.download.partial_file import file_sha256
from seaice.flags import Surface
from seaice.training.chunks.arrays import (
    ArraySource,
    Placed,
    ValueSource,
)
from seaice.training.chunks.netcdf import list_chunks
from seaice.training.chunks.requests import (
    FrameRequest,
    LookupTable,
    Source,
    paint_values,
)
from seaice.training.chunks.tiles import TileSource
from seaice.training.chunks.watched_file import (
    FileState,
    another_cube,
)
from seaice.training.chunks.zarr import list_shards

Name = Literal["concentration", "flags"]

_VARIABLES: dict[Name, str] = {"concentration": "sea_ice_conc", "flags": "fill_flag"}


class CubeReader:
    """Days of parts of a cube: from its chunks, from memory, or from a cache of it.

    Not for several threads of one process.

    Parameters
    ----------
    cube : CubeFile
        Open; it is looked at here and not kept.
    state : FileState
        Of the cube as it was before it was opened (:func:`cube_state`).
    names : sequence of str
        What will be asked for: ``concentration``, ``flags``.
    cached : Source, optional
        Serves the concentration in the place of the cube.
    """

    def __init__(
        self,
        cube: CubeFile,
        state: FileState,
        names: Sequence[Name] = ("concentration",),
        cached: Source | None = None,
    ) -> None:

        self._sources: dict[Name, Source] = {
            name: cached if cached and name == "concentration" else _source(cube, state, name)
            for name in names
        }

    def paint(self, name: Name, convert: Callable[[np.ndarray], np.ndarray]) -> LookupTable:
        """What :class:`FrameRequest` need so that they hold converted values.

        Parameters
        ----------
        name : str
        convert : callable
            Given fractions, float32 with NaN, or the codes of flags, uint8; gives as many
            values of the output's dtype, each from its own cell alone.
        """
        values = self._sources[name].values
        if values is None:
            values = np.arange(256, dtype=np.uint8) if name == "flags" else np.zeros(0, np.float32)
        return LookupTable(convert(values), convert)

    def read(self, name: Name, frames: Sequence[FrameRequest], threads: int = 1) -> None:
        """Fill ``out`` of all the frames.

        Raises
        ------
        InputError
            If the cube or its cache is not what it was, or is damaged.
        """
        self._sources[name].read(frames, threads)

    def preload(self, days: np.ndarray, rows: slice, columns: slice, threads: int = 1) -> None:
        """Keep some days of a part of the grid in memory, as stored, for all further reading."""
        held = np.unique(days)
        shape = (held.size, rows.stop - rows.start, columns.stop - columns.start)
        placed = Placed(held, rows.start, columns.start)
        for name, source in self._sources.items():
            paint = _as_stored(name, source)
            stack = np.empty(shape, paint.table.dtype)
            # Few days at a time, for a source that takes them through arrays of its own.
            for first in range(0, held.size, 8):
                some = slice(first, first + 8)
                source.read(
                    [FrameRequest(held[some].tolist(), rows, columns, stack[some], paint)], threads
                )
            source.close()
            if stack.dtype == np.float32:
                self._sources[name] = ValueSource(stack, placed)
            else:
                self._sources[name] = ArraySource(stack, placed, source.values)

    def close(self) -> None:
        """Close what this process holds open; the next read opens it again."""
        for source in self._sources.values():
            source.close()


def _as_stored(name: Name, source: Source) -> LookupTable:
    """Codes as they are, or the values of a source without any."""
    if name == "flags":
        return LookupTable(np.arange(256, dtype=np.uint8), lambda codes: codes)
    if source.values is None:
        return LookupTable(np.zeros(0, np.float32), lambda values: values)
    return LookupTable(
        np.arange(source.values.size).astype(np.uint16 if source.values.size > 256 else np.uint8)
    )


def cube_state(path: Path) -> FileState | None:
    """State of a cube's file, or of the ``zarr.json`` of its folder; None if there is none."""
    try:
        return FileState.of(path / "zarr.json" if path.is_dir() else path)
    except OSError:
        return None


def cube_sha256(path: Path) -> str:
    """SHA-256 of a cube, hexadecimal: of its file, or of the names and files in its folder."""
    if not path.is_dir():
        return file_sha256(path)
    whole = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        whole.update(f"{file.relative_to(path).as_posix()} {file_sha256(file)}\n".encode())
    return whole.hexdigest()


def _source(cube: CubeFile, state: FileState, name: Name) -> Source:
    # Absolute: the file is opened again when the process may be in another folder.
    path = Path(cube.path).absolute()
    table = (list_shards if path.is_dir() else list_chunks)(path, _VARIABLES[name], state)
    kind = "|u1" if name == "flags" else "<i2"
    if table is None or table.tiling.dtype != kind:
        return LibrarySource(path, state, name)
    if table.tiling.shape != (len(cube.dates), *cube.grid.shape):
        return LibrarySource(path, state, name)
    return TileSource(table, path, cube.dates, cube.surface == Surface.LAND)


class LibrarySource:
    """A variable of a cube in any layout the NetCDF library can read.

    HDF5 handles may be neither shared between processes nor pickled. The file is therefore
    opened when a process first reads, and a handle inherited through fork is neither used
    nor closed.

    Parameters
    ----------
    path : Path
        Absolute.
    state : FileState
    name : str
        ``concentration`` or ``flags``.
    """

    values: np.ndarray | None = None

    def __init__(self, path: Path, state: FileState, name: Name) -> None:
        self.path, self._state, self._name = path, state, name
        self._cube: CubeFile | None = None
        self._process: int | None = None
        self._inherited: CubeFile | None = None

    def read(self, frames: Sequence[FrameRequest], threads: int) -> None:
        """Fill ``out`` of all the frames; every run of adjacent days is one read."""
        read = getattr(self._open(), self._name)
        for some in frames:
            distinct, place = np.unique(some.days, return_inverse=True)
            runs = np.split(distinct, np.flatnonzero(np.diff(distinct) > 1) + 1)
            for run in runs:
                stack = read(slice(int(run[0]), int(run[-1]) + 1), some.rows, some.columns)
                for number, day in enumerate(distinct[place].tolist()):
                    if run[0] <= day <= run[-1]:
                        paint_values(some, number, stack[day - int(run[0])])

    def _open(self) -> CubeFile:
        if self._cube is None or self._process != os.getpid():
            # Before, so that a file put in its place meanwhile cannot be taken for it.
            if cube_state(self.path) not in (self._state, None):
                raise another_cube(self.path)
            self._inherited, self._cube = self._cube, CubeFile(self.path)
            self._process = os.getpid()
        return self._cube

    def close(self) -> None:
        """Close this process's handle; the next read opens it again."""
        if self._cube is not None and self._process == os.getpid():
            self._cube.close()
            self._cube = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cube": None, "_process": None, "_inherited": None}
