"""Filling by linear interpolation along rows, columns or time, between observed ends only.

An interval whose ends are parted by land is not used: what lies on the other side of a headland may
be another sea. Nothing is extrapolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish

AXES = ("both", "x", "y", "time")
# Cells worked on at a time along the time axis.
_CELLS = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Linear(FieldMethod):
    """Fill each missing sea cell from the nearest observed cells of its row, column or series.

    Distances are degrees (those of longitude times the cosine of the latitude) where all rows share
    their longitudes and all columns their latitudes, days along time, and cells elsewhere. Rows
    that wrap are circles; their two ends must be two cells.

    Parameters
    ----------
    axis : str
        x (along rows), y (along columns), time, or both: x and y, each weighted by
        (a + b) / (a b) for ends at distances a and b, or the one that exists.
    limit : int
        Largest number of missing cells between the two ends (of maps along time); 0: any.

    Raises
    ------
    InputError
        For an unknown axis or a negative limit.

    Examples
    --------
    >>> values = np.array([[[10, np.nan, 30, np.nan]]], np.float32)
    >>> field = GappyField(values, np.ones((1, 4), bool), np.zeros(1))
    >>> Linear(axis="x").fill(field).values[0, 0]
    array([10., 20., 30., nan], dtype=float32)
    """

    name: ClassVar[str] = "linear"

    axis: str = "both"
    limit: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.axis not in AXES:
            raise InputError(f"unknown axis {self.axis!r}; known are {', '.join(AXES)}")
        if self.limit < 0:
            raise InputError(f"limit must not be negative (0: any gap), found {self.limit}")

    def fill(self, gappy: GappyField) -> FieldFill:
        """Interpolate; InputError along time if there are fewer than three maps."""
        axis, limit = self.axis, self.limit
        if axis == "time" and len(gappy.values) < 3:
            raise InputError(
                f"axis time wants at least 3 maps, found {len(gappy.values)}; take axis both, or more "
                "maps"
            )
        estimate = np.full(gappy.values.shape, np.nan)
        if axis == "time":
            _along_time(gappy, limit, estimate)
        else:
            positions = cell_positions(gappy)
            for t in range(len(gappy.values)):
                estimate[t] = _in_map(gappy, t, axis, limit, positions)
        return finish(gappy, estimate, FillFlag.LINEAR, notes={"axis": axis})


class Interpolant(NamedTuple):
    """Interpolated values and how uncertain they are.

    Attributes
    ----------
    values : ndarray of float64
        NaN where there are not two ends.
    spread : ndarray of float64
        a b / (a + b) for ends at distances a and b: the variance of a random walk pinned at both.
    """

    values: np.ndarray
    spread: np.ndarray


def interpolate(
    values: np.ndarray, land: np.ndarray, positions: np.ndarray, *, limit: int, circle: float = 0.0
) -> Interpolant:
    """Linear interpolation along the last axis of lines.

    Parameters
    ----------
    values : ndarray of float64, shape (lines, n)
        NaN is missing.
    land : ndarray of bool, shape (lines, n)
        No interval reaches over it.
    positions : ndarray of float64, shape (n,)
        Rising.
    limit : int
        Largest number of missing cells between the ends; 0: any.
    circle : float
        Length of the circle that the lines are; 0: they have ends.
    """
    n = values.shape[1]
    if circle:
        values, land = np.tile(values, 3), np.tile(land, 3)
        positions = np.concatenate([positions - circle, positions, positions + circle])
    before = _nearest(values, land)
    after = values.shape[1] - 1 - _nearest(values[:, ::-1], land[:, ::-1])[:, ::-1]
    exists = (before >= 0) & (after < values.shape[1])
    if limit:
        exists &= after - before - 1 <= limit
    if circle:
        exists &= after - before < n
    before, after = np.where(exists, before, 0), np.where(exists, after, 0)
    a, b = positions - positions[before], positions[after] - positions
    left, right = np.take_along_axis(values, before, 1), np.take_along_axis(values, after, 1)
    span = np.where(exists & (a + b > 0), a + b, np.nan)
    interpolant = Interpolant((left * b + right * a) / span, a * b / span)
    return Interpolant(*(part[:, n : 2 * n] for part in interpolant)) if circle else interpolant


def _nearest(values: np.ndarray, land: np.ndarray) -> np.ndarray:
    """Index of the last value up to each cell, -1 where land or nothing comes first."""
    index = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, index), axis=1)
    shore = np.maximum.accumulate(np.where(land, index, -1), axis=1)
    return np.where(last > shore, last, -1)


def _in_map(gappy: GappyField, t: int, axis: str, limit: int, positions: Positions) -> np.ndarray:
    """The interpolants of one map along its rows and columns, put together."""
    values = np.where(gappy.observed[t], gappy.values[t], np.nan).astype(np.float64)
    land = ~gappy.sea
    interpolants = []
    if axis in ("x", "both"):
        row = interpolate(values, land, positions.x, limit=limit, circle=positions.circle)
        interpolants.append(Interpolant(row.values, row.spread * positions.shrink[:, None]))
    if axis in ("y", "both"):
        column = interpolate(values.T, land.T, positions.y, limit=limit)
        interpolants.append(Interpolant(column.values.T, column.spread.T))
    total, weight = np.zeros((2, *values.shape))
    for part in interpolants:
        filled = np.isnan(values) & np.isfinite(part.values)
        total[filled] += part.values[filled] / part.spread[filled]
        weight[filled] += 1 / part.spread[filled]
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)


class Positions(NamedTuple):
    """Positions of the cells along rows and columns.

    Attributes
    ----------
    x, y : ndarray of float64, shape (columns,) and (rows,)
        Rising.
    shrink : ndarray of float64, shape (rows,)
        Length of a unit of x in units of y.
    circle : float
        Length of a row that wraps, in units of x; 0 for rows with ends.
    """

    x: np.ndarray
    y: np.ndarray
    shrink: np.ndarray
    circle: float


def _regular(gappy: GappyField) -> bool:
    """All rows share their longitudes and all columns their latitudes, both of them in order."""
    if gappy.latitude is None or gappy.longitude is None:
        return False
    latitude, longitude = gappy.latitude, np.unwrap(gappy.longitude[0], period=360)
    alike = (gappy.longitude == gappy.longitude[:1]).all() and (latitude == latitude[:, :1]).all()
    return bool(alike and _in_order(longitude) and _in_order(latitude[:, 0]))


def _in_order(line: np.ndarray) -> bool:
    steps = np.diff(line)
    return bool((steps > 0).all() or (steps < 0).all())


def cell_positions(gappy: GappyField) -> Positions:
    """Degrees on a regular grid of latitudes and longitudes, cells elsewhere."""
    rows, columns = gappy.sea.shape
    if not _regular(gappy):
        x, y = np.arange(columns, dtype=float), np.arange(rows, dtype=float)
        return Positions(x, y, np.ones(rows), float(columns) if gappy.wraps else 0.0)
    assert gappy.latitude is not None and gappy.longitude is not None
    latitude, longitude = gappy.latitude[:, 0], np.unwrap(gappy.longitude[0], period=360)
    # At a pole all cells of a row are one place.
    shrink = np.maximum(np.cos(np.radians(latitude)), 1e-6)
    x, y = np.abs(longitude - longitude[0]), np.abs(latitude - latitude[0])
    return Positions(x, y, shrink, 360.0 if gappy.wraps else 0.0)


def _along_time(gappy: GappyField, limit: int, estimate: np.ndarray) -> None:
    """The interpolants of the series of the sea cells, into ``estimate``."""
    rows, columns = np.nonzero(gappy.sea)
    for first in range(0, rows.size, _CELLS):
        y, x = rows[first : first + _CELLS], columns[first : first + _CELLS]
        series = gappy.values[:, y, x].T.astype(np.float64)
        series[~np.isfinite(series)] = np.nan
        interpolant = interpolate(series, np.zeros(series.shape, bool), gappy.days, limit=limit)
        estimate[:, y, x] = interpolant.values.T
