"""Days out of an array: in memory, or mapped from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.runtime.threads import each
from seaice.training.chunks.requests import (
    FrameRequest,
    paint_codes,
    paint_values,
)
from seaice.training.chunks.watched_file import FileState

# One thread's unit of work, cells.
_CELLS = 1 << 19


class Placed(NamedTuple):
    """Which days of the cube, and which part of the grid, an array holds.

    Attributes
    ----------
    days : ndarray of int64
        Positions on the cube's time axis, ascending.
    row, column : int
        Of its first cell in the cube's grid.
    """

    days: np.ndarray
    row: int
    column: int


class MappedFile:
    """An array in a file, mapped by every process that reads it; not pickled.

    Parameters
    ----------
    path : Path
        Absolute.
    dtype : dtype
    shape : tuple of int
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path, self._dtype, self._shape = path, dtype, shape
        self._state = FileState.of(path)
        self._array: np.ndarray | None = None

    def __call__(self) -> np.ndarray:
        """The array, for reading; InputError if the file was changed or replaced since."""
        if self._array is None:
            if not self.path.exists() or FileState.of(self.path) != self._state:
                raise InputError(f"{self.path} is another cache than before; make the Dataset anew")
            self._array = np.asarray(np.memmap(self.path, self._dtype, "r", shape=self._shape))
        return self._array

    def close(self) -> None:
        """Unmap the file in this process."""
        self._array = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}


class ArraySource:
    """Codes of some days in an array.

    Parameters
    ----------
    array : ndarray or MappedFile
        (days, rows, columns), uint16 or uint8.
    placed : Placed
    values : ndarray of float32, optional
        See :class:`seaice.training.chunks.requests.Source`.
    """

    def __init__(
        self, array: np.ndarray | MappedFile, placed: Placed, values: np.ndarray | None
    ) -> None:
        self._array, self._placed, self.values = array, placed, values

    def read(self, frames: Sequence[FrameRequest], threads: int) -> None:
        """Fill ``out`` of all the frames."""
        from seaice.training.chunks import _kernels

        array = self._array if isinstance(self._array, np.ndarray) else self._array()

        def paint(job: _Band) -> None:
            some = job.frames
            row = some.rows.start - self._placed.row + job.first
            column = some.columns.start - self._placed.column
            where = row, column, job.first, 0, job.height, some.out.shape[2]
            paint_codes(_kernels.look_up, some, job.number, where, array[job.place], land=True)

        cells = sum(some.out.size for some in frames)
        each(paint, list(_bands(frames, self._placed.days)), threads, cells)

    def close(self) -> None:
        """Let go of the file, if there is one."""
        if isinstance(self._array, MappedFile):
            self._array.close()


class ValueSource:
    """Concentration of some days in memory, of cubes whose layout has no codes.

    Parameters
    ----------
    array : ndarray of float32, shape (days, rows, columns)
        Fractions with NaN.
    placed : Placed
    """

    values: np.ndarray | None = None

    def __init__(self, array: np.ndarray, placed: Placed) -> None:
        self._array, self._placed = array, placed

    def read(self, frames: Sequence[FrameRequest], threads: int) -> None:
        """Fill ``out`` of all the frames."""
        for some in frames:
            rows = shifted(some.rows, -self._placed.row)
            columns = shifted(some.columns, -self._placed.column)
            places = np.searchsorted(self._placed.days, some.days)
            for number, place in enumerate(places):
                paint_values(some, number, self._array[place, rows, columns])

    def close(self) -> None:
        """Nothing is held open."""


class _Band(NamedTuple):
    """Some rows of one day of some frames, and where in the array the day lies."""

    frames: FrameRequest
    number: int
    place: int
    first: int
    height: int


def _bands(frames: Sequence[FrameRequest], held: np.ndarray) -> Iterator[_Band]:
    for some in frames:
        _, rows, columns = some.out.shape
        height = max(1, _CELLS // columns)
        for number, place in enumerate(np.searchsorted(held, some.days).tolist()):
            for first in range(0, rows, height):
                yield _Band(some, number, place, first, min(height, rows - first))


def shifted(part: slice, by: int) -> slice:
    """The range moved by a number of cells."""
    return slice(part.start + by, part.stop + by)
