"""Reading a cube from any process: opened on first use in each, and fit to be pickled."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube_file import CubeFile

_KINDS = {"concentration": np.float32, "flags": np.uint8}


class CubeReader:
    """Days of a part of a cube, from the file or from memory.

    HDF5 handles may be neither shared between processes nor pickled. The file is therefore
    opened when a process first reads, and a handle inherited through fork is neither used
    nor closed. Not for several threads of one process.

    Parameters
    ----------
    cube : CubeFile
        Open; it is looked at here and not kept.
    rows, columns : slice
        Part of the grid that may be asked for.
    """

    def __init__(self, cube: CubeFile, rows: slice, columns: slice) -> None:
        # Absolute: the file is opened again when the process may be in another folder.
        self.path = Path(cube.path).absolute()
        self._rows, self._columns = rows, columns
        self._identity = (cube.grid.shape, cube.dates[0])
        self._loaded: dict[str, np.ndarray] = {}
        self._loaded_days = np.array([], dtype=np.int64)
        self._forget()

    def _forget(self) -> None:
        self._cube: CubeFile | None = None
        self._process: int | None = None
        self._inherited: CubeFile | None = None

    def preload(self, cube: CubeFile, names: Sequence[str], days: np.ndarray) -> None:
        """Keep some days of ``concentration`` or ``flags`` in memory, read one at a time."""
        self._loaded_days = np.unique(days)
        shape = (self._rows.stop - self._rows.start, self._columns.stop - self._columns.start)
        for name in names:
            read = getattr(cube, name)
            stack = np.empty((self._loaded_days.size, *shape), dtype=_KINDS[name])
            for frame, day in zip(stack, self._loaded_days, strict=True):
                frame[...] = read(int(day), self._rows, self._columns)
            self._loaded[name] = stack

    def days(self, name: str, days: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
        """``concentration`` or ``flags`` of given days, as :class:`CubeFile` gives them.

        Parameters
        ----------
        days : ndarray of int64, shape (n,)
            Positions on the time axis, in any order, repeated or not. Every run of adjacent
            days is one read.
        rows, columns : slice
            In the cube's grid.

        Returns
        -------
        ndarray, shape (n, rows, columns)
            The caller's own.
        """
        distinct, place = np.unique(days, return_inverse=True)
        if name in self._loaded:
            within = np.searchsorted(self._loaded_days, distinct)
            rows, columns = shifted(rows, -self._rows.start), shifted(columns, -self._columns.start)
            stack = self._loaded[name][within, rows, columns]
        else:
            read = getattr(self._open(), name)
            runs = np.split(distinct, np.flatnonzero(np.diff(distinct) > 1) + 1)
            pieces = [read(slice(int(run[0]), int(run[-1]) + 1), rows, columns) for run in runs]
            stack = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        in_order = np.array_equal(place, np.arange(distinct.size))
        return stack if in_order else stack[place]

    def _open(self) -> CubeFile:
        if self._cube is None or self._process != os.getpid():
            cube = CubeFile(self.path)
            if (cube.grid.shape, cube.dates[0]) != self._identity:
                cube.close()
                raise InputError(f"{self.path} is another cube than before; make the Dataset anew")
            self._inherited, self._cube, self._process = self._cube, cube, os.getpid()
        return self._cube

    def close(self) -> None:
        """Close this process's handle; the next read opens it again."""
        if self._cube is not None and self._process == os.getpid():
            self._cube.close()
            self._cube = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cube": None, "_process": None, "_inherited": None}


def shifted(part: slice, by: int) -> slice:
    """The range moved by a number of cells."""
    return slice(part.start + by, part.stop + by)
