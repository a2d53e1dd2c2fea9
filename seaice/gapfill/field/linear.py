"""Filling by linear interpolation along rows, columns or time, between observed ends only.

An interval whose ends are parted by land is not used: what lies on the other side of a headland may
be another sea. Nothing is extrapolated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, GappyField, finish

AXES = ("both", "x", "y", "time")
# Cells worked on at a time along the time axis.
_CELLS = 1 << 16


def fill_field(gappy: GappyField, *, axis: str = "both", limit: int = 0) -> FieldFill:
    """Fill each missing sea cell from the nearest observed cells of its row, column or series.

    Distances are degrees (those of longitude times the cosine of the latitude) where all rows share
    their longitudes and all columns their latitudes, days along time, and cells elsewhere. Rows
    that wrap are circles; their two ends must be two cells.

    Parameters
    ----------
    gappy : GappyField
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
    >>> fill_field(field, axis="x").values[0, 0]
    array([10., 20., 30., nan], dtype=float32)
    """
    if axis not in AXES:
        raise InputError(f"unknown axis {axis!r}; known are {', '.join(AXES)}")
    if limit < 0:
        raise InputError(f"limit must not be negative (0: any gap), found {limit}")
    if axis == "time" and len(gappy.values) < 3:
        raise InputError(
            f"axis time wants at least 3 maps, found {len(gappy.values)}; take axis both, or more maps"
        )
    estimate = np.full(gappy.values.shape, np.nan)
    if axis == "time":
        _along_time(gappy, limit, estimate)
    else:
        places = _places(gappy)
        for t in range(len(gappy.values)):
            estimate[t] = _in_map(gappy, t, axis, limit, places)
    return finish(gappy, estimate, FillFlag.LINEAR, notes={"axis": axis})


class Interpolant(NamedTuple):
    """Values between two ends and what they are worth.

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
    values: np.ndarray, land: np.ndarray, places: np.ndarray, *, limit: int, circle: float = 0.0
) -> Interpolant:
    """Linear interpolation along the last axis of lines.

    Parameters
    ----------
    values : ndarray of float64, shape (lines, n)
        NaN is missing.
    land : ndarray of bool, shape (lines, n)
        No interval reaches over it.
    places : ndarray of float64, shape (n,)
        Rising.
    limit : int
        Largest number of missing cells between the ends; 0: any.
    circle : float
        Length of the circle that the lines are; 0: they have ends.
    """
    n = values.shape[1]
    if circle:
        values, land = np.tile(values, 3), np.tile(land, 3)
        places = np.concatenate([places - circle, places, places + circle])
    before = _nearest(values, land)
    after = values.shape[1] - 1 - _nearest(values[:, ::-1], land[:, ::-1])[:, ::-1]
    exists = (before >= 0) & (after < values.shape[1])
    if limit:
        exists &= after - before - 1 <= limit
    if circle:
        exists &= after - before < n
    before, after = np.where(exists, before, 0), np.where(exists, after, 0)
    a, b = places - places[before], places[after] - places
    left, right = np.take_along_axis(values, before, 1), np.take_along_axis(values, after, 1)
    span = np.where(exists & (a + b > 0), a + b, np.nan)
    made = Interpolant((left * b + right * a) / span, a * b / span)
    return Interpolant(*(part[:, n : 2 * n] for part in made)) if circle else made


def _nearest(values: np.ndarray, land: np.ndarray) -> np.ndarray:
    """Index of the last value up to each cell, -1 where land or nothing comes first."""
    index = np.arange(values.shape[1])
    last = np.maximum.accumulate(np.where(np.isnan(values), -1, index), axis=1)
    shore = np.maximum.accumulate(np.where(land, index, -1), axis=1)
    return np.where(last > shore, last, -1)


def _in_map(gappy: GappyField, t: int, axis: str, limit: int, places: Places) -> np.ndarray:
    """The interpolants of one map along its rows and columns, put together."""
    values = np.where(gappy.observed[t], gappy.values[t], np.nan).astype(np.float64)
    land = ~gappy.sea
    found = []
    if axis in ("x", "both"):
        row = interpolate(values, land, places.x, limit=limit, circle=places.circle)
        found.append(Interpolant(row.values, row.spread * places.shrink[:, None]))
    if axis in ("y", "both"):
        column = interpolate(values.T, land.T, places.y, limit=limit)
        found.append(Interpolant(column.values.T, column.spread.T))
    total, weight = np.zeros((2, *values.shape))
    for part in found:
        there = np.isnan(values) & np.isfinite(part.values)
        total[there] += part.values[there] / part.spread[there]
        weight[there] += 1 / part.spread[there]
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1.0), np.nan)


class Places(NamedTuple):
    """Where cells lie along rows and columns.

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


def _places(gappy: GappyField) -> Places:
    rows, columns = gappy.sea.shape
    if not _regular(gappy):
        x, y = np.arange(columns, dtype=float), np.arange(rows, dtype=float)
        return Places(x, y, np.ones(rows), float(columns) if gappy.wraps else 0.0)
    assert gappy.latitude is not None and gappy.longitude is not None
    latitude, longitude = gappy.latitude[:, 0], np.unwrap(gappy.longitude[0], period=360)
    # At a pole all cells of a row are one place.
    shrink = np.maximum(np.cos(np.radians(latitude)), 1e-6)
    x, y = np.abs(longitude - longitude[0]), np.abs(latitude - latitude[0])
    return Places(x, y, shrink, 360.0 if gappy.wraps else 0.0)


def _along_time(gappy: GappyField, limit: int, estimate: np.ndarray) -> None:
    """The interpolants of the series of the sea cells, into ``estimate``."""
    rows, columns = np.nonzero(gappy.sea)
    for first in range(0, rows.size, _CELLS):
        y, x = rows[first : first + _CELLS], columns[first : first + _CELLS]
        series = gappy.values[:, y, x].T.astype(np.float64)
        series[~np.isfinite(series)] = np.nan
        made = interpolate(series, np.zeros(series.shape, bool), gappy.days, limit=limit)
        estimate[:, y, x] = made.values.T
