"""Filling the pole hole from its surroundings on the same day.

The NOAA/NSIDC record puts the mean of the ring around the hole into it. Here the ring is
weighted by inverse squared distance instead: the same at the centre, continuous at the rim.
Sources are the cells of the hole and of the ring that have a value, observed or filled; on a
day with none the hole stays missing.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill import Filled, FillStep, Frames


def pole_hole_step(hole: np.ndarray) -> FillStep:
    """The rule of the pole hole as a last step of any daily method.

    Parameters
    ----------
    hole : ndarray of bool, shape (y, x)
        True at the cells to fill, which are then flagged POLE_HOLE.
    """
    cells = np.argwhere(hole)
    sources = _with_rim(cells, hole)

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        day = frames.filled.day(int(frames.order[t]))
        values = np.empty(len(cells))
        _kernels.pole_hole(day.values, day.flag, cells, sources, values)
        filled = ~np.isnan(values)
        rows, columns = cells[filled].T
        day.values[rows, columns] = values[filled]
        day.flag[rows, columns] = _kernels.POLE_HOLE

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
    frames, step = Frames(copy, np.arange(len(copy.values))), pole_hole_step(hole)
    for t in range(len(copy.values)):
        step.fill_day(frames, t)
    return copy


def _with_rim(cells: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The cells of the hole and those beside them, int64 (n, 2)."""
    from scipy.ndimage import binary_dilation

    if not cells.size:
        return cells
    corner = np.maximum(cells.min(axis=0) - 1, 0)
    box = tuple(slice(a, b + 2) for a, b in zip(corner, cells.max(axis=0), strict=True))
    return np.argwhere(binary_dilation(hole[box], structure=np.ones((3, 3), bool))) + corner
