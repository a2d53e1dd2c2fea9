"""Sources whose days lie in an array: in memory, or mapped from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.runtime.threads import for_each
from seaice.training.chunks.requests import FrameRequest, apply_conversion, apply_lookup
from seaice.training.chunks.watched_file import FileState

# Cells that one thread converts at a time.
_CELLS = 1 << 19


class ArrayCoverage(NamedTuple):
    """Days of the cube and part of its grid that an array holds.

    Attributes
    ----------
    days : ndarray of int64, shape (days,)
        Positions on the time axis of the cube, ascending.
    row, column : int
        Position of the first cell of the array in the grid of the cube.
    """

    days: np.ndarray
    row: int
    column: int


class MappedFile:
    """Array in a file that every process maps into its memory for itself.

    When the object is pickled, only path, type and shape go along.

    Parameters
    ----------
    path : Path
        Absolute.
    dtype : dtype
    shape : tuple of int
    """

    def __init__(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self.path, self._dtype, self._shape = path, dtype, shape
        self._state = FileState.read(path)
        self._array: np.ndarray | None = None

    def get_array(self) -> np.ndarray:
        """Return the array, read-only; InputError if the file was changed or replaced since."""
        if self._array is None:
            if not self.path.exists() or FileState.read(self.path) != self._state:
                raise InputError(f"{self.path} is another cache than before; make the Dataset anew")
            self._array = np.asarray(np.memmap(self.path, self._dtype, "r", shape=self._shape))
        return self._array

    def close(self) -> None:
        """Unmap the file in this process."""
        self._array = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_array": None}


class ArraySource:
    """Source whose codes lie in an array.

    Parameters
    ----------
    array : ndarray or MappedFile
        Codes (days, rows, columns), uint16 or uint8.
    coverage : ArrayCoverage
    values : ndarray of float32, optional
        Concentration of every code, see :class:`seaice.training.chunks.requests.FrameSource`.
    """

    def __init__(
        self, array: np.ndarray | MappedFile, coverage: ArrayCoverage, values: np.ndarray | None
    ) -> None:
        self._array, self._coverage, self.values = array, coverage, values

    def read(self, requests: Sequence[FrameRequest], threads: int) -> None:
        """Fill the arrays of all requests."""
        from seaice.training.chunks import _kernels

        array = self._array if isinstance(self._array, np.ndarray) else self._array.get_array()

        def convert(band: _RowBand) -> None:
            request = band.request
            row = request.rows.start - self._coverage.row + band.first_row
            column = request.columns.start - self._coverage.column
            rectangle = row, column, band.first_row, 0, band.height, request.out.shape[2]
            codes = array[band.position]
            apply_lookup(_kernels.look_up, request, band.number, rectangle, codes, may_hold_land=True)

        cells = sum(request.out.size for request in requests)
        bands = _iterate_bands(requests, self._coverage.days)
        for_each(convert, bands, threads=threads, cells=cells)

    def close(self) -> None:
        """Unmap the file, if there is one."""
        if isinstance(self._array, MappedFile):
            self._array.close()


class ValueSource:
    """Source whose concentrations lie in memory, for a cube whose layout has no codes.

    Parameters
    ----------
    array : ndarray of float32, shape (days, rows, columns)
        Fractions; NaN is missing.
    coverage : ArrayCoverage
    """

    values: np.ndarray | None = None

    def __init__(self, array: np.ndarray, coverage: ArrayCoverage) -> None:
        self._array, self._coverage = array, coverage

    def read(self, requests: Sequence[FrameRequest], threads: int) -> None:
        """Fill the arrays of all requests."""
        for request in requests:
            rows = shift_slice(request.rows, -self._coverage.row)
            columns = shift_slice(request.columns, -self._coverage.column)
            positions = np.searchsorted(self._coverage.days, request.days)
            for number, position in enumerate(positions):
                apply_conversion(request, number, self._array[position, rows, columns])

    def close(self) -> None:
        """Do nothing: no file is open."""


class _RowBand(NamedTuple):
    """Some rows of one day of a request.

    ``number`` is the index of the day in the request, ``position`` that in the array of the source.
    """

    request: FrameRequest
    number: int
    position: int
    first_row: int
    height: int


def _iterate_bands(requests: Sequence[FrameRequest], days: np.ndarray) -> Iterator[_RowBand]:
    for request in requests:
        _, rows, columns = request.out.shape
        height = max(1, _CELLS // columns)
        for number, position in enumerate(np.searchsorted(days, request.days).tolist()):
            for first_row in range(0, rows, height):
                yield _RowBand(request, number, position, first_row, min(height, rows - first_row))


def shift_slice(part: slice, by: int) -> slice:
    """Return an index range moved by a number of cells."""
    return slice(part.start + by, part.stop + by)
