"""Land spill-over: false ice along shores, where the view of a radiometer holds land and water.

Land is as bright as ice to a radiometer. Two filters set such ice to open water; both look at the cells
a little further out, which no land reaches. Rings are the cells at a distance of 1, 2 and 3 cells from
what is no sea, diagonals included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_WINDOW = 7  # cells on a side
_LAND_PERCENT = 90.0  # concentration that land alone pretends
_ICE_EDGE = 15.0  # percent


@dataclass(frozen=True)
class Shore:
    """What the filters need to know of a land mask; computed once for all days.

    Attributes
    ----------
    ring : ndarray of uint8, shape (rows, columns)
        Distance to what is no sea, in cells: 0 there, 1 to 3, and 4 for all further out.
    outer_count : ndarray of uint8, same shape
        Cells of ring 3 within the window of 7 x 7 cells about a cell.
    land_percent : ndarray of float32, same shape
        Concentration that the land in the window would pretend alone: 90 percent of its share. Only
        in rings 1 and 2, else -1.
    """

    ring: np.ndarray
    outer_count: np.ndarray
    land_percent: np.ndarray

    @property
    def is_near(self) -> np.ndarray:
        """Whether a cell lies in ring 1 or 2."""
        return (self.ring == 1) | (self.ring == 2)


def find_shore(land: np.ndarray) -> Shore:
    """Find the rings of sea along the land.

    Parameters
    ----------
    land : ndarray of bool, shape (rows, columns)
        Land, lakes and coast: all that is no sea.

    Examples
    --------
    >>> find_shore(np.array([[True, False, False, False, False]])).ring
    array([[0, 1, 2, 3, 4]], dtype=uint8)
    """
    from scipy.ndimage import binary_dilation

    land = np.asarray(land, dtype=bool)
    reached, ring = land, np.where(land, 0, 4).astype(np.uint8)
    for distance in (1, 2, 3):
        grown = binary_dilation(reached, structure=np.ones((3, 3), bool))
        ring[grown & ~reached] = distance
        reached = grown
    land_percent = _LAND_PERCENT * _count_in_window(land) / np.float32(_WINDOW**2)
    land_percent[(ring != 1) & (ring != 2)] = -1
    return Shore(ring, _count_in_window(ring == 3), land_percent.astype(np.float32))


def _count_in_window(mask: np.ndarray) -> np.ndarray:
    """Count the cells of a mask within the window about every cell; edges are mirrored."""
    from scipy.ndimage import correlate1d

    ones = np.ones(_WINDOW, np.uint8)
    counts = correlate1d(mask.astype(np.uint8), ones, axis=0, mode="reflect")
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
        open_count = _count_in_window((shore.ring == 3) & (concentration == 0))
        is_open_behind = (open_count > 0) & (open_count == shore.outer_count)
        is_removed = is_ice & (is_open_behind | (concentration <= shore.land_percent))
    filtered = concentration.copy()
    filtered[is_removed] = 0
    return filtered, is_removed


def _carry_to_shore(concentration: np.ndarray, shore: Shore) -> np.ndarray:
    """Carry the concentration of ring 3 over rings 2 and 1; NaN where none arrives.

    Bays that no way over these rings leads to are reached over land.
    """
    carried = np.full(concentration.shape, np.nan, np.float64)
    is_source = shore.ring == 3
    carried[is_source] = np.where(np.isnan(concentration), 100.0, concentration)[is_source]
    for is_open in (shore.is_near, shore.ring < 3):
        while np.isnan(carried[shore.is_near]).any():
            mean = _average_neighbours(carried)
            is_new = is_open & np.isnan(carried) & ~np.isnan(mean)
            if not is_new.any():
                break
            carried[is_new] = mean[is_new]
    return carried


def _average_neighbours(values: np.ndarray) -> np.ndarray:
    """Average the four neighbours that have a value; NaN where none has."""
    padded = np.pad(values, 1, constant_values=np.nan)
    sides = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    count = np.sum([~np.isnan(side) for side in sides], axis=0)
    total = np.sum([np.nan_to_num(side) for side in sides], axis=0)
    return np.divide(total, count, out=np.full(values.shape, np.nan), where=count > 0)
