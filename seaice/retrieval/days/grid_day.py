"""The passes of a day on a grid: each pass first, then their mean.

The pixels of a pass are the corners of a mesh. Between them the concentration is linear. A cell much
larger than a footprint has the mean of the mesh over its area; else its middle counts, for a footprint
is a mean over a cell already. So no cell inside a pass stays empty, however small, no pixel is smeared
further than to its neighbours, and on coarse grids all pixels of a cell count. A Gaussian about each
pixel would need a reach of 7 kilometres to close the meshes of 10, which blurs what was sharpened.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntFlag

import numpy as np

from seaice.gridding import project
from seaice.grids import Grid
from seaice.retrieval.status import Status
from seaice.retrieval.swath import Concentration, SwathConcentration

# Kilometres between the points of a cell at which the mesh is read; pixels lie 5 to 10 apart.
_POINT_SPACING = 5.0
# Footprints that fit into a cell whose mean is more than a footprint at its middle.
_LARGE_CELL = 2.0
# Neighbours further apart lie on two sides of lost scans.
_LONGEST_SIDE = 25.0
# The errors of the passes of a day go together: they share ice and weather. Of n passes the smallest
# error is divided by the root of 1 + (n - 1) / 4.
_INDEPENDENCE = 0.25
# Standard error as a share of the range of a cell and its neighbours: a footprint is no cell, and all
# passes are wrong alike where ice changes from cell to cell. Fitted to simulated days of known ice on
# cells of 6.25, 12.5 and 25 kilometres.
_MOST_MISMATCH = 0.4


def _find_mismatch(kilometres: float) -> float:
    """Share of the range of a cell and its neighbours, by the side of a cell."""
    return min(_MOST_MISMATCH, 1 / math.sqrt(kilometres))


class DayFlag(IntFlag):
    """Bits of ``status_flag`` of a daily file; the first ones are those of :class:`Status`."""

    OPEN_WATER = 1
    LAND_CORRECTED = 2
    MISFIT = 4
    BASE_ONLY = 8
    LAND_SPILLOVER = 16
    TIE_POINTS_PACKAGED = 32
    TIE_POINTS_EXTRAPOLATED = 64
    SUMMER_MELT = 128
    LAND = 256


# Bits of a pixel that a cell takes over where they hold for half of it.
_SHARED = tuple((bit, DayFlag[name]) for name, bit in Status.__members__.items())
_FIRST_SHARE = 4


@dataclass(frozen=True, eq=False)
class DayConcentration:
    """Concentration of a day, arrays of the shape (rows, columns).

    Attributes
    ----------
    concentration : ndarray of float32
        Share of ice, neither clipped nor filtered; NaN where no pass has one.
    standard_error, misfit : ndarray of float32
    hours : ndarray of float32
        Mean time of the passes, hours since the day began.
    passes : ndarray of uint8
    status : ndarray of uint16
        Bits of :class:`DayFlag`.
    """

    concentration: np.ndarray
    standard_error: np.ndarray
    misfit: np.ndarray
    hours: np.ndarray
    passes: np.ndarray
    status: np.ndarray

    @property
    def filtered(self) -> np.ndarray:
        """The concentration from 0 to 1, and 0 over open water."""
        is_open_water = (self.status & (DayFlag.OPEN_WATER | DayFlag.LAND_SPILLOVER)) > 0
        clipped = np.clip(self.concentration, 0, 1)
        return np.where(is_open_water & np.isfinite(clipped), np.float32(0), clipped)


class PassSums:
    """Sums over the points of every cell for one pass; cleared as the pass is added to a day.

    Parameters
    ----------
    grid : Grid
    footprint : float
        Kilometres, of the pixels.
    """

    def __init__(self, grid: Grid, footprint: float) -> None:
        self.grid = grid
        is_large = grid.kilometres > _LARGE_CELL * footprint
        self.parts = math.ceil(grid.kilometres / _POINT_SPACING) if is_large else 1
        self.sums = np.zeros((*grid.shape, _FIRST_SHARE + len(_SHARED)), np.float32)
        self.hits = np.zeros(grid.shape, np.uint16)

    def spread(self, latitude: np.ndarray, longitude: np.ndarray, values: np.ndarray) -> None:
        """Spread values (scans, pixels, fields) over the points of the cells between them."""
        from seaice.retrieval.days import _grid_kernels

        grid, parts = self.grid, self.parts
        x, y = project(latitude.ravel(), longitude.ravel(), grid)
        step = grid.step / parts
        period = 360 / step if grid.is_geographic else 0.0
        columns, rows = (
            _extend((part.reshape(latitude.shape) - edge) / step - 0.5, turn)
            for part, edge, turn in ((x, grid.west, period), (y, grid.south, 0.0))
        )
        corners = np.pad(values, ((1, 1), (1, 1), (0, 0)), mode="edge")
        # Near a pole neighbours lie any number of degrees apart.
        longest = math.inf if period else _LONGEST_SIDE / (grid.kilometres / parts)
        _grid_kernels.spread_mesh(columns, rows, corners, parts, longest, period, self.sums, self.hits)


def _extend(places: np.ndarray, period: float) -> np.ndarray:
    """Extend the places of pixels by half a pixel on every side."""
    for axis in (0, 1):
        edges = []
        for first, second in ((0, 1), (-1, -2)):
            edge, inner = np.take(places, [first], axis), np.take(places, [second], axis)
            step = edge - inner
            if period:
                step -= period * np.round(step / period)
            edges.append(edge + step / 2)
        places = np.concatenate([edges[0], places, edges[1]], axis)
    return places


class DaySums:
    """Sums over the passes of a day for one algorithm.

    Parameters
    ----------
    sums : PassSums
        May be shared by several algorithms.
    start : float
        Seconds since 1970 at which the day begins.
    """

    def __init__(self, sums: PassSums, start: float) -> None:
        self._pass_sums = sums
        self._start = start
        shape = sums.grid.shape
        self._totals = np.zeros((*shape, 1 + sums.sums.shape[-1]), np.float32)
        self._passes = np.zeros(shape, np.uint8)

    def add(self, part: SwathConcentration) -> bool:
        """Add the scans of a swath that belong to the day; returns whether they meet the grid."""
        hours = (complete_times(part.time) - self._start) / 3600
        scans = np.flatnonzero((hours >= 0) & (hours < 24))
        if len(scans) < 2 or part.latitude.shape[1] < 2:
            return False
        values = self._stack(part, np.broadcast_to(hours[:, None], part.concentration.shape))
        self._pass_sums.spread(part.latitude[scans], part.longitude[scans], values[scans])
        return self._add_pass(-(-(self._pass_sums.parts**2) // 2))

    def add_cells(self, part: Concentration, hours: np.ndarray) -> bool:
        """Add a pass, or several as one, that lies on the cells of the grid already."""
        values = self._stack(part, hours)
        has_value = np.isfinite(part.concentration)
        self._pass_sums.sums[has_value] = values[has_value]
        self._pass_sums.hits[has_value] = 1
        return self._add_pass(1)

    def _stack(self, part: Concentration, hours: np.ndarray) -> np.ndarray:
        shares = [(part.status & bit) > 0 for bit, _ in _SHARED]
        fields = [part.concentration, part.standard_error, part.misfit, hours, *shares]
        return np.stack(fields, axis=-1, dtype=np.float32, casting="unsafe")

    def _add_pass(self, least: int) -> bool:
        from seaice.retrieval.days import _grid_kernels

        sums = self._pass_sums
        return bool(_grid_kernels.add_pass(sums.sums, sums.hits, least, self._totals, self._passes))

    def finish(self) -> DayConcentration:
        """The mean of the passes added so far."""
        weight = self._totals[..., 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            concentration, misfit, hours = (self._totals[..., k] / weight for k in (1, 3, 4))
            shrinking = np.sqrt(1 + _INDEPENDENCE * (np.maximum(self._passes, 1) - np.float32(1)))
            mismatch = _find_mismatch(self._pass_sums.grid.kilometres) * find_range(concentration)
            error = np.hypot(self._totals[..., 2] / shrinking, mismatch)
            error[self._passes == 0] = np.nan
        status = np.zeros(weight.shape, np.uint16)
        for number, (_, flag) in enumerate(_SHARED):
            share = self._totals[..., 1 + _FIRST_SHARE + number]
            status[(share >= 0.5 * weight) & (weight > 0)] |= np.uint16(flag)
        return DayConcentration(concentration, error, misfit, hours, self._passes, status)


def find_range(field: np.ndarray) -> np.ndarray:
    """Range of every cell and its eight neighbours, NaN left out; 0 where all are NaN.

    Examples
    --------
    >>> find_range(np.array([[0.25, 0.5, np.nan]], np.float32)).tolist()
    [[0.25, 0.25, 0.0]]
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    is_nan = np.isnan(field)
    highest = maximum_filter(np.where(is_nan, -np.float32(np.inf), field), 3, mode="nearest")
    lowest = minimum_filter(np.where(is_nan, np.float32(np.inf), field), 3, mode="nearest")
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(highest) & ~is_nan, highest - lowest, np.float32(0))


def complete_times(times: np.ndarray) -> np.ndarray:
    """Give scans without a time one between those of their neighbours; all NaN if none has one.

    Examples
    --------
    >>> complete_times(np.array([0.0, np.nan, 3.0])).tolist()
    [0.0, 1.5, 3.0]
    """
    is_timed = np.isfinite(times)
    if is_timed.all() or not is_timed.any():
        return times
    scans = np.arange(len(times))
    return np.interp(scans, scans[is_timed], times[is_timed])
