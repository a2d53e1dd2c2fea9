"""Comparison of a day with the days around it: ice that is gone on one day alone cannot be.

A product of a failed day may hold 0 percent where nothing was observed. Such a day looks like any
other, but for its neighbours: most of their ice is open water on this day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from seaice.grids import Grid

# Days before and after that a day is compared with.
NEIGHBOUR_DAYS = 3
# Share of the ice of the days around that may be open water on a day. From one day to the next the ice
# edge moves by a few percent of the ice; where there are no days on one side, it may be more.
_LARGEST_SHARE, _LARGEST_SHARE_ONE_SIDED = 0.25, 0.4
# Square kilometres of ice that are compared at least: the ice of a small region may drift away.
_SMALLEST_AREA = 200_000.0
# Cells that are compared, about: every n-th row and column of a fine grid is enough.
_CELLS = 200_000


@dataclass(frozen=True)
class DaySample:
    """Some cells of a day, evenly spread.

    Attributes
    ----------
    ice : ndarray of bool
        At least half of the cell is ice.
    is_open : ndarray of bool
        The cell is exactly 0 percent ice.
    observed : ndarray of bool
        The cell has a value.
    cell_area : float
        Square kilometres that a cell of the sample stands for.
    """

    ice: np.ndarray
    is_open: np.ndarray
    observed: np.ndarray
    cell_area: float


def sample_day(concentration: np.ndarray, grid: Grid) -> DaySample:
    """Take the sample of a day.

    Parameters
    ----------
    concentration : ndarray of float32, shape (rows, columns)
        Percent; NaN is missing.
    grid : Grid
    """
    step = max(1, round((concentration.size / _CELLS) ** 0.5))
    cells = concentration[step // 2 :: step, step // 2 :: step]
    return DaySample(cells >= 50, cells == 0, ~np.isnan(cells), (grid.kilometres * step) ** 2)


def measure_vanished_share(day: DaySample, *sides: Iterable[DaySample]) -> float:
    """Measure which share of the ice of the days around is open water on a day.

    Parameters
    ----------
    day : DaySample
    *sides : iterable of DaySample
        Days before, days after: a cell counts where there was ice on at least one day of each.

    Returns
    -------
    float
        0 where too little ice is compared.
    """
    cells = day.observed.copy()
    for side in sides:
        cells &= np.logical_or.reduce([sample.ice for sample in side])
    count = np.count_nonzero(cells)
    if count * day.cell_area < _SMALLEST_AREA:
        return 0.0
    return float(np.count_nonzero(cells & day.is_open) / count)


def exceeds_limit(share: float, *, one_sided: bool) -> bool:
    """Whether so much ice cannot be gone on one day."""
    return share > (_LARGEST_SHARE_ONE_SIDED if one_sided else _LARGEST_SHARE)
