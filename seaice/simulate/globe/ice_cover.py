"""An invented ice cover of the Earth on any UTC day: the truth behind simulated swaths.

A chart of 5 km cells on a polar stereographic projection holds the share of ice in the sea, as if there
were no land. The pack is nearly closed, with leads of a few kilometres and openings of 5 to 30; towards
the edge it breaks into floes, within 15 to 60 km. Ice moves once a day, at midnight. A footprint sees
the chart averaged by a Gaussian as wide as itself, so that all channels see one and the same ice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.drawing.gshhg import find_land
from seaice.grids import Grid
from seaice.grids.sphere import compute_unit_vectors
from seaice.simulate.globe.plane_waves import PlaneWaves
from seaice.swaths.orbit import EARTH_RADIUS

CELL = 5.0  # kilometres
_LOWEST_SINE = np.float32(np.sin(np.radians(48)))  # no ice is nearer to the equator
_SCALE = EARTH_RADIUS * (1 + np.sin(np.radians(70)))  # true at 70 degrees
_YEAR = 365.25
_FWHM = 2.3548  # of a Gaussian of unit standard deviation
# A value between the cells is a mean of four of them, a Gaussian of this variance, square kilometres.
_CHART_VARIANCE = CELL**2 / 6
_TRUNCATE = 2.5  # standard deviations of a footprint
_SOFTNESS = 0.3  # of the margins of floes, in standard deviations of their field
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class IceFields:
    """The random fields of the ice of one hemisphere, functions of place and day.

    Attributes
    ----------
    meander : PlaneWaves
        Departure of the ice edge from its latitude.
    width : PlaneWaves
        Width of the marginal ice zone.
    closure : PlaneWaves
        How closed the pack is.
    floes : PlaneWaves
        Positive on floes; how much of it is, depends on the distance to the edge and on the closure.
    cracks : PlaneWaves
        Zero along leads.
    divergence : PlaneWaves
        Positive where leads are open.
    """

    meander: PlaneWaves
    width: PlaneWaves
    closure: PlaneWaves
    floes: PlaneWaves
    cracks: PlaneWaves
    divergence: PlaneWaves

    @classmethod
    @lru_cache(maxsize=8)
    def draw(cls, seed: int, hemisphere: Literal["north", "south"]) -> IceFields:
        """Draw the fields of a seed."""
        rng = np.random.default_rng([seed, 32, hemisphere == "south"])

        def draw(count: int, coarsest: float, finest: float, slope: float, days: float) -> PlaneWaves:
            return PlaneWaves.draw(rng, count, coarsest, finest, slope=slope, days=days, dimensions=2)

        return cls(
            draw(12, 3_500, 120, 0.7, 40),
            draw(4, 2_500, 500, 0.5, 40),
            draw(4, 2_000, 400, 0.5, 30),
            draw(32, 120, 11, 0.25, 12),
            draw(10, 600, 80, 0.5, 12),
            draw(4, 2_000, 600, 0.5, 12),
        )


@dataclass(frozen=True)
class IceChart:
    """The share of ice in the sea of a part of a hemisphere on a day.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, columns)
        0..1 in cells of 5 km.
    row, column : int
        Of the first cell, counted from the pole.
    """

    values: np.ndarray
    row: int
    column: int

    def average(self, footprint: float) -> IceChart:
        """Average over footprints of a diameter, kilometres; the chart itself for the finest."""
        from scipy.ndimage import gaussian_filter

        variance = (footprint / _FWHM) ** 2 - _CHART_VARIANCE
        if variance <= 0:
            return self
        sigma = np.sqrt(variance) / CELL
        smooth = gaussian_filter(self.values, sigma, truncate=_TRUNCATE, mode="nearest")
        return IceChart(smooth, self.row, self.column)

    def read(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Read the chart between its cells, float32; kilometres of the projection."""
        row, column = y / np.float32(CELL), x / np.float32(CELL)
        low_row, left_column = np.floor(row), np.floor(column)
        up, right = row - low_row, column - left_column
        i, j = low_row.astype(np.int32) - self.row, left_column.astype(np.int32) - self.column
        flat, width = self.values.ravel(), self.values.shape[1]
        first = i * width + j
        low, high = flat[first], flat[first + width]
        low += right * (flat[first + 1] - low)
        high += right * (flat[first + width + 1] - high)
        return np.asarray(low + up * (high - low))


def draw_chart(
    x: np.ndarray,
    y: np.ndarray,
    day: int,
    hemisphere: Literal["north", "south"],
    *,
    seed: int,
    margin: float,
) -> IceChart:
    """Chart the ice around positions on the projection.

    Parameters
    ----------
    x, y : ndarray of float
        Kilometres.
    day : int
        Days since 1970-01-01.
    hemisphere : {"north", "south"}
    seed : int
    margin : float
        Kilometres beyond the positions.
    """
    column, row = (int(np.floor((part.min() - margin) / CELL)) for part in (x, y))
    last_column, last_row = (int(np.ceil((part.max() + margin) / CELL)) + 1 for part in (x, y))
    x, y = np.arange(column, last_column + 1) * CELL, np.arange(row, last_row + 1) * CELL
    values = _compute_ice(IceFields.draw(seed, hemisphere), x, y, day, hemisphere)
    return IceChart(values, row, column)


def _compute_ice(
    fields: IceFields, x: np.ndarray, y: np.ndarray, day: int, hemisphere: Literal["north", "south"]
) -> np.ndarray:
    """Share of ice on a plane, float32 (rows, columns)."""
    from scipy.special import ndtr

    season = np.cos(2 * np.pi * (day % _YEAR - 70) / _YEAR) * (1 if hemisphere == "north" else -1)
    latitude = np.radians(74 - 7 * season if hemisphere == "north" else 66 - 4 * season)
    square = ((x / _SCALE) ** 2 + ((y / _SCALE) ** 2)[:, None]).astype(np.float32)
    sine = (1 - square) / (1 + square)
    inward = (sine - np.float32(np.sin(latitude))) * np.float32(EARTH_RADIUS / np.cos(latitude))
    inward += np.float32(250) * fields.meander.evaluate_on_grid(x, y, day)
    width = 30 * np.exp2(np.clip(fields.width.evaluate_on_grid(x, y, day), -1, 1))
    closed = np.float32(1.75 + 0.4 * season) + np.float32(0.35) * fields.closure.evaluate_on_grid(
        x, y, day
    )
    # The share of floes is that of a normal distribution: 15 to 85 percent within the width.
    level = np.minimum(np.float32(2.07) * inward / width, closed)
    if level.max() < -4:
        return np.zeros_like(level)
    floes = level + fields.floes.evaluate_on_grid(x, y, day)
    ice = ndtr(floes / np.float32(_SOFTNESS))
    is_open = np.clip(fields.divergence.evaluate_on_grid(x, y, day), 0, 1)
    crack = fields.cracks.evaluate_on_grid(x, y, day) / np.float32(0.08)
    ice *= 1 - is_open * np.exp(-crack * crack)
    ice[level < -4] = 0
    return np.asarray(ice, np.float32)


class IceView:
    """The ice of a run of scans, seen at footprints of any size.

    Parameters
    ----------
    x, y, z : ndarray of float32, shape (scans, samples)
        Unit vectors to positions that enclose all footprints but for 15 km.
    days : ndarray of int, shape (scans,)
        Days since 1970-01-01.
    seed : int
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, days: np.ndarray, *, seed: int
    ) -> None:
        self._charts: list[tuple[slice, Literal["north", "south"], IceChart]] = []
        self._averages: dict[tuple[int, float], IceChart] = {}
        for rows, day in _split_days(days):
            part = x[rows], y[rows], z[rows]
            for hemisphere, inside in _split_hemispheres(part[2]):
                plane = _project(*(values[inside] for values in part))
                margin = _TRUNCATE * 50 / _FWHM + 20
                chart = draw_chart(*plane, day, hemisphere, seed=seed, margin=margin)
                if chart.values.any():
                    self._charts.append((rows, hemisphere, chart))

    def __bool__(self) -> bool:
        return bool(self._charts)

    def read(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, footprint: float) -> np.ndarray:
        """Share of ice in the sea, float32 (scans, samples); the same scans, any samples of them."""
        share = np.zeros(x.shape, np.float32)
        for number, (rows, hemisphere, chart) in enumerate(self._charts):
            key = (number, footprint)
            if key not in self._averages:
                self._averages[key] = chart.average(footprint)
            part = x[rows], y[rows], z[rows]
            inside = dict(_split_hemispheres(part[2])).get(hemisphere)
            if inside is not None:
                plane = _project(*(values[inside] for values in part))
                share[rows][inside] = self._averages[key].read(*plane)
        return share


def _split_days(days: np.ndarray) -> Iterator[tuple[slice, int]]:
    """Runs of scans of one day; days never decrease."""
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), len(days)]
    for first, last in pairwise(starts):
        yield slice(first, last), int(days[first])


def _split_hemispheres(z: np.ndarray) -> Iterator[tuple[Literal["north", "south"], np.ndarray]]:
    """Where ice may be, each hemisphere that has such positions."""
    for hemisphere, inside in (("north", z > _LOWEST_SINE), ("south", z < -_LOWEST_SINE)):
        if inside.any():
            yield hemisphere, inside  # type: ignore[misc]


def _project(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    factor = np.float32(_SCALE) / (1 + np.abs(z))
    return x * factor, y * factor


def compute_true_concentration(
    latitude: np.ndarray, longitude: np.ndarray, day: date, *, seed: int = 0, footprint: float = 0.0
) -> np.ndarray:
    """Compute the true share of ice in the sea that simulated granules of a seed observe.

    Parameters
    ----------
    latitude, longitude : ndarray of float
        Degrees north and east, of one shape.
    day : date
        UTC day; the ice rests within a day.
    seed : int, optional
        Seed of the granules.
    footprint : float, optional
        Diameter of the Gaussian over which ice is averaged, kilometres; about 5 is the finest.

    Returns
    -------
    ndarray of float32
        0..1; NaN over land.

    Raises
    ------
    InputError
        If the footprint is negative, or wider than any of the sensor's.

    Examples
    --------
    >>> compute_true_concentration(np.array([85.0, 0.0]), np.array([0.0, -20.0]), date(2020, 3, 1))
    array([1., 0.], dtype=float32)
    """
    if not 0 <= footprint <= 100:
        raise InputError(f"expected a footprint of 0 to 100 km, found {footprint:g}")
    latitude, longitude = np.asarray(latitude), np.asarray(longitude)
    x, y, z = compute_unit_vectors(latitude, longitude).astype(np.float32)
    share = np.zeros(z.shape, np.float32)
    for hemisphere, inside in _split_hemispheres(z):
        plane = _project(x[inside], y[inside], z[inside])
        number = (day - _EPOCH).days
        margin = _TRUNCATE * footprint / _FWHM + 2 * CELL
        chart = draw_chart(*plane, number, hemisphere, seed=seed, margin=margin)
        share[inside] = chart.average(footprint).read(*plane)
    share[find_land(latitude, longitude, step=CELL * 1000)] = np.nan
    return share


def compute_true_day(grid: Grid, day: date, *, seed: int = 0) -> np.ndarray:
    """Compute the true daily concentration of the cells of a grid.

    Parameters
    ----------
    grid : Grid
    day : date
        UTC day.
    seed : int, optional
        Seed of the granules, :func:`seaice.simulate.amsr2.write_granule`.

    Returns
    -------
    ndarray of float32, shape (rows, columns)
        Share of ice in the sea, 0..1, averaged over the width of a cell; NaN over land.
    """
    longitude, latitude = grid.longitude_latitude()
    # A box has the variance of its width squared over twelve.
    footprint = _FWHM * grid.kilometres / np.sqrt(12)
    return compute_true_concentration(latitude, longitude, day, seed=seed, footprint=footprint)
