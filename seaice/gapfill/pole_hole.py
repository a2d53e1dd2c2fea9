"""Filling the pole hole from its surroundings on the same day.

The NOAA/NSIDC record puts the mean of the ring around the hole into it. Here the ring is
weighted by inverse squared distance instead: the same at the centre, continuous at the rim.
Sources are the cells of the hole and of the ring that have a value, observed or filled; on a
day with none the hole stays missing.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.gapfill import Filled, FillStep, Frames, allocate_ice, find_gaps
from seaice.gapfill.ocean_cells import OceanCells


def pole_hole_step(hole: np.ndarray) -> FillStep:
    """The rule of the pole hole as a last step of any daily method.

    Parameters
    ----------
    hole : ndarray of bool, shape (y, x)
        True at the cells to fill, which are then flagged POLE_HOLE.
    """
    hole_cells = np.argwhere(hole)
    sources = _with_rim(hole_cells, hole)

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        day, index = frames.day, frames.cells.index
        numbers, source_numbers = index[*hole_cells.T], index[*sources.T]
        missing = (numbers >= 0) & (day.flag[numbers] == FillFlag.NOT_FILLED)
        valid = (source_numbers >= 0) & ~np.isnan(day.values[source_numbers])
        if not missing.any() or not valid.any():
            return
        values = np.empty(np.count_nonzero(missing))
        source_values = day.values[source_numbers[valid]]
        _kernels.pole_hole(hole_cells[missing], sources[valid], source_values, values)
        day.values[numbers[missing]] = values
        day.flag[numbers[missing]] = FillFlag.POLE_HOLE

    return FillStep(0, fill_day)


def fill_pole_hole(filled: Filled, hole: np.ndarray) -> Filled:
    """Fill what a method left missing inside the pole hole; the argument is not changed.

    Parameters
    ----------
    filled : Filled
        The result of a daily method, shape (days, rows, columns).
    hole : ndarray of bool, shape (y, x)
    """
    copy = Filled(*(array.copy() for array in filled))
    cells, step = OceanCells.everywhere(hole.shape), pole_hole_step(hole)
    vectors = Filled(*(array.reshape(len(array), hole.size) for array in copy))
    ice = allocate_ice(0, cells, [])
    for t in range(len(vectors.values)):
        gaps, order = find_gaps(vectors.flag[t]), np.array([t])
        day = vectors.day(t)
        step.fill_day(Frames(vectors.values, vectors.flag, order, cells, day, gaps, ice), 0)
    return copy


def _with_rim(cells: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The cells of the hole and those beside them, int64 (n, 2)."""
    from scipy.ndimage import binary_dilation

    if not cells.size:
        return cells
    corner = np.maximum(cells.min(axis=0) - 1, 0)
    box = tuple(slice(a, b + 2) for a, b in zip(corner, cells.max(axis=0), strict=True))
    return np.argwhere(binary_dilation(hole[box], structure=np.ones((3, 3), bool))) + corner
