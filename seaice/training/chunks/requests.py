"""Frame requests: which days and cells to read from a source, and how stored values are converted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class ValueConversion:
    """Conversion of concentrations to the values of a sample: normalisation, and a number for NaN.

    Attributes
    ----------
    mean, std : float or None
        Mean and standard deviation to normalise by; with None the values stay fractions.
    missing_value : float
        Number that replaces NaN, after normalisation.
    """

    mean: float | None
    std: float | None
    missing_value: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return a new array of converted fractions, float32 with NaN; land is not treated apart."""
        values = values.copy()
        if self.mean is not None and self.std is not None:
            values -= np.float32(self.mean)
            values /= np.float32(self.std)
        np.copyto(values, self.missing_value, where=np.isnan(values))
        return values


class LookupTable(NamedTuple):
    """Look-up table from stored code to output value.

    Attributes
    ----------
    table : ndarray, shape (65536,) or (256,)
        Output value of every code; its dtype is that of the output. Empty for a source without codes.
    convert : callable, optional
        The same conversion for an array of float32 with NaN, for sources without codes.
    """

    table: np.ndarray
    convert: Callable[[np.ndarray], np.ndarray] | None = None


class FrameRequest(NamedTuple):
    """Request to read some days of a rectangle of cells into an array.

    Attributes
    ----------
    days : sequence of int
        Positions on the time axis of the cube, in any order; a day may occur several times.
    rows, columns : slice
        The rectangle in the grid of the cube.
    out : ndarray, shape (days, rows, columns)
        Array to write to: C-contiguous, of the dtype of ``lookup.table``.
    lookup : LookupTable
    land : ndarray of bool, shape (rows, columns), optional
        True where ``land_value`` is written instead; C-contiguous.
    land_value : float
    """

    days: Sequence[int]
    rows: slice
    columns: slice
    out: np.ndarray
    lookup: LookupTable
    land: np.ndarray | None = None
    land_value: float = 0.0


class FrameSource(Protocol):
    """Source of the days of one variable of a cube.

    Attributes
    ----------
    values : ndarray of float32, shape (65536,) or (256,), optional
        Concentration of every code; None for flags and for sources without codes.
    """

    values: np.ndarray | None

    def read(self, requests: Sequence[FrameRequest], threads: int) -> None:
        """Fill the arrays of all requests; they must not overlap in memory."""

    def close(self) -> None:
        """Close what this process holds open; the next read opens it again."""


# Stands for the land of a request without land: the compiled loops need an array.
_NO_LAND = np.zeros((1, 1), dtype=bool)


def apply_lookup(
    loop: Callable[..., None],
    request: FrameRequest,
    number: int,
    rectangle: tuple[int, ...],
    *codes: Any,
    may_hold_land: bool,
) -> None:
    """Write one day of a request from codes, by a compiled loop of :mod:`._kernels`.

    Parameters
    ----------
    loop : callable
        ``look_up`` or ``look_up_shuffled``.
    request : FrameRequest
    number : int
        Index of the day in the request.
    rectangle : (row, column, to_row, to_column, height, width)
        First cell of the rectangle in the codes and in the output, and its size.
    *codes
        The arguments from which the loop takes its codes.
    may_hold_land : bool
        Whether land may lie in the rectangle; without land the loop is shorter.
    """
    table, out = request.lookup.table, request.out[number]
    with_land = may_hold_land and request.land is not None
    land = request.land if with_land else _NO_LAND
    # Codes of flags cannot hold every value of land, and flags have no land to write.
    land_value = table.dtype.type(request.land_value if with_land else 0)
    loop(*codes, table, out, *rectangle, land, land_value, with_land)


def apply_conversion(request: FrameRequest, number: int, values: np.ndarray) -> None:
    """Write one day of a request from values, float32 with NaN, of a source without codes."""
    assert request.lookup.convert is not None
    out = request.out[number]
    out[...] = request.lookup.convert(values)
    if request.land is not None:
        np.copyto(out, request.land_value, where=request.land)
