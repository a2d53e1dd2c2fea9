"""What is asked of a source: days of a part of the grid, and what their values become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class ValueConversion:
    """What an item shows in the place of stored concentration.

    Attributes
    ----------
    mean, std : float or None
        Normalise by them; None leaves the fractions.
    missing_value : float
        In the place of NaN.
    """

    mean: float | None
    std: float | None
    missing_value: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Render a copy of fractions, float32 with NaN; land is not known here."""
        values = values.copy()
        if self.mean is not None and self.std is not None:
            values -= np.float32(self.mean)
            values /= np.float32(self.std)
        np.copyto(values, self.missing_value, where=np.isnan(values))
        return values


class LookupTable(NamedTuple):
    """How a value is made of what is stored, by code or from its float32 value.

    Attributes
    ----------
    table : ndarray
        A value for every code, (65536,) or (256,); its dtype is that of the output.
    convert : callable, optional
        The same of an array of float32 with NaN: for sources that have no codes.
    """

    table: np.ndarray
    convert: Callable[[np.ndarray], np.ndarray] | None = None


class FrameRequest(NamedTuple):
    """Days of a part of the grid, and where they go.

    Attributes
    ----------
    days : sequence of int
        Positions on the cube's time axis, in any order, repeated or not.
    rows, columns : slice
        In the cube's grid.
    out : ndarray, shape (days, rows, columns)
        C-contiguous, of the dtype of ``paint.table``.
    paint : LookupTable
    land : ndarray of bool, shape (rows, columns), optional
        C-contiguous; True where ``land_value`` goes.
    land_value : float
    """

    days: Sequence[int]
    rows: slice
    columns: slice
    out: np.ndarray
    paint: LookupTable
    land: np.ndarray | None = None
    land_value: float = 0.0


class Source(Protocol):
    """Days of one variable of a cube.

    Attributes
    ----------
    values : ndarray of float32, optional
        What every code stands for; None for flags, and where there are no codes.
    """

    values: np.ndarray | None

    def read(self, frames: Sequence[FrameRequest], threads: int) -> None:
        """Fill ``out`` of all the frames, which do not overlap in memory."""

    def close(self) -> None:
        """Let go of what this process holds open; the next read opens it again."""


NO_LAND = np.zeros((1, 1), dtype=bool)


def paint_codes(
    look_up: Callable[..., None],
    frames: FrameRequest,
    number: int,
    where: tuple[int, ...],
    *codes: Any,
    land: bool,
) -> None:
    """Call a loop of :mod:`._kernels` for one day of some frames.

    Parameters
    ----------
    look_up : callable
    frames : FrameRequest
    number : int
        Of the day within the frames.
    where : (row, column, to_row, to_column, height, width)
        Of the rectangle, in the codes and in the output.
    *codes
        What the loop takes its codes from.
    land : bool
        Whether land may lie in the rectangle.
    """
    table, out = frames.paint.table, frames.out[number]
    with_land = land and frames.land is not None
    mask = frames.land if with_land else NO_LAND
    look_up(*codes, table, out, *where, mask, table.dtype.type(frames.land_value), with_land)


def paint_values(frames: FrameRequest, number: int, values: np.ndarray) -> None:
    """Put one day of float32 values with NaN into some frames, of a source without codes."""
    assert frames.paint.convert is not None
    out = frames.out[number]
    out[...] = frames.paint.convert(values)
    if frames.land is not None:
        np.copyto(out, frames.land_value, where=frames.land)
