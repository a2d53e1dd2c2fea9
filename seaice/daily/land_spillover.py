"""Land spill-over: false ice along shores, where the view of a radiometer holds land and water.

Land is as bright as ice to a radiometer. Two filters set such ice to open water; both look at the cells
a little further out, which no land reaches. Rings are the cells at a distance of 1, 2 and 3 cells from
what is no sea, diagonals included. Land reaches more cells of finer grids than those that the
filters were made for, which have more rings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

_REACH = 2  # rings that land reaches
_LAND_PERCENT = 90.0  # concentration that land alone pretends
_ICE_EDGE = 15.0  # percent


@dataclass(frozen=True)
class Shore:
    """What the filters need to know of a land mask; computed once for all days.

    Attributes
    ----------
    ring : ndarray of uint8, shape (rows, columns)
        Distance to what is no sea, in cells: 0 there, 1 to 3, and 4 for all further out.
    outer_count : ndarray of uint16, same shape
        Cells of ring 3 within the window of 7 x 7 cells about a cell.
    land_percent : ndarray of float32, same shape
        Concentration that the land in the window would pretend alone: 90 percent of its share. Only
        in rings 1 and 2, else -1.
    reach : int
        Rings that land reaches, where these are not 2: ring 3 is the one beyond, and the window
        reaches as far.
    """

    ring: np.ndarray
    outer_count: np.ndarray
    land_percent: np.ndarray
    reach: int = _REACH

    @cached_property
    def steps(self) -> tuple[_Step, ...]:
        """The order in which ring 3 reaches the cells nearer to the shore."""
        return tuple(_order_steps(self.ring, self.reach))

    @property
    def is_near(self) -> np.ndarray:
        """Whether a cell lies in a ring that land reaches, 1 or 2."""
        return (self.ring >= 1) & (self.ring <= self.reach)

    def count_outer(self, mask: np.ndarray) -> np.ndarray:
        """Count the cells of ring 3 and of a mask within the window about every cell."""
        return _count_in_window((self.ring == self.reach + 1) & mask, self.reach)


def find_shore(land: np.ndarray, *, reach: int = _REACH) -> Shore:
    """Find the rings of sea along the land.

    Parameters
    ----------
    land : ndarray of bool, shape (rows, columns)
        Land, lakes and coast: all that is no sea.
    reach : int
        Rings that land reaches; 2 on cells of 12.5 and 25 kilometres.

    Examples
    --------
    >>> find_shore(np.array([[True, False, False, False, False]])).ring
    array([[0, 1, 2, 3, 4]], dtype=uint8)
    """
    from scipy.ndimage import binary_dilation

    land = np.asarray(land, dtype=bool)
    reached, ring = land, np.where(land, 0, reach + 2).astype(np.uint8)
    for distance in range(1, reach + 2):
        grown = binary_dilation(reached, structure=np.ones((3, 3), bool))
        ring[grown & ~reached] = distance
        reached = grown
    window = np.float32((2 * reach + 3) ** 2)
    land_percent = _LAND_PERCENT * _count_in_window(land, reach) / window
    land_percent[(ring < 1) | (ring > reach)] = -1
    outer_count = _count_in_window(ring == reach + 1, reach)
    return Shore(ring, outer_count, land_percent.astype(np.float32), reach)


def _count_in_window(mask: np.ndarray, reach: int) -> np.ndarray:
    """Count the cells of a mask within the window about every cell; edges are mirrored."""
    from scipy.ndimage import correlate1d

    ones = np.ones(2 * reach + 3, np.uint16)
    counts = correlate1d(mask.astype(np.uint16), ones, axis=0, mode="reflect")
    return np.asarray(correlate1d(counts, ones, axis=1, mode="reflect"))


def remove_land_spillover(
    concentration: np.ndarray, shore: Shore, *, improved: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Set ice to open water that is likely to be land seen from the side.

    The rule is that of the NASA Team 2 algorithm as the climate record of NOAA and NSIDC applies it
    (Meier et al. 2024, doi:10.7265/rjzb-pf78). Of cells in rings 1 and 2 those become open water

    1. about which every cell of ring 3 in the window is open water; a missing one keeps the ice;
    2. whose concentration is not above what the land in the window would pretend alone.

    Parameters
    ----------
    concentration : ndarray, shape (rows, columns)
        Percent, NaN where missing.
    shore : Shore
    improved : bool
        Apply the other filter of that record instead: the ice of ring 3 is carried on to the shore,
        cell by cell the mean of the neighbours that have it, a missing cell as 100 percent; where less
        than 15 percent arrive, the ice is removed.

    Returns
    -------
    filtered : ndarray, same shape and type
        0 at removed cells, else as before.
    is_removed : ndarray of bool, same shape
        Where ice was removed.

    Examples
    --------
    >>> shore = find_shore(np.array([[True, True, True, False, False, False, False]]))
    >>> ice = np.array([[np.nan, np.nan, np.nan, 60, 30, 0, 0]], np.float32)
    >>> remove_land_spillover(ice, shore)[0].tolist()
    [[nan, nan, nan, 0.0, 0.0, 0.0, 0.0]]
    """
    is_ice = shore.is_near & (concentration > 0)
    if improved:
        is_removed = is_ice & (_carry_to_shore(concentration, shore) < _ICE_EDGE)
    else:
        open_count = shore.count_outer(concentration == 0)
        is_open_behind = (open_count > 0) & (open_count == shore.outer_count)
        is_removed = is_ice & (is_open_behind | (concentration <= shore.land_percent))
    filtered = concentration.copy()
    filtered[is_removed] = 0
    return filtered, is_removed


def _carry_to_shore(concentration: np.ndarray, shore: Shore) -> np.ndarray:
    """Carry the concentration of ring 3 over rings 2 and 1; NaN where none arrives."""
    rows, columns = concentration.shape
    carried = np.full((rows + 2, columns + 2), np.nan)
    is_source = shore.ring == shore.reach + 1
    inside = carried[1:-1, 1:-1]
    inside[is_source] = np.where(np.isnan(concentration), 100.0, concentration)[is_source]
    flat = carried.reshape(-1)
    for step in shore.steps:
        total = np.where(step.is_source, flat[step.neighbours], 0).sum(axis=1)
        flat[step.cells] = total / step.is_source.sum(axis=1)
    return inside


class _Step(NamedTuple):
    """Cells that get a value at once, from those of their four neighbours that have one.

    Positions are those of the flat field with a margin of one cell.
    """

    cells: np.ndarray
    neighbours: np.ndarray  # (cells, 4)
    is_source: np.ndarray  # (cells, 4)


def _order_steps(ring: np.ndarray, reach: int) -> Iterator[_Step]:
    """Order the cells of rings 2 and 1 by when ring 3 reaches them.

    Bays to which no way over these rings leads are reached over land.
    """
    padded = np.pad(ring, 1, constant_values=255)
    flat, width = padded.reshape(-1), padded.shape[1]
    offsets = np.array([-width, width, -1, 1])
    has_value = flat == reach + 1
    is_near = (flat >= 1) & (flat <= reach)
    for is_open in (is_near, flat <= reach):
        latest = np.flatnonzero(has_value)
        while latest.size and (is_near & ~has_value).any():
            cells = np.unique(latest[:, np.newaxis] + offsets)
            cells = cells[(cells >= 0) & (cells < flat.size)]
            cells = cells[is_open[cells] & ~has_value[cells]]
            neighbours = cells[:, np.newaxis] + offsets
            if cells.size:
                yield _Step(cells, neighbours, has_value[neighbours])
            has_value[cells] = True
            latest = cells
