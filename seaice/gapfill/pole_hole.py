"""Filling the pole hole from its surroundings on the same day.

The NOAA/NSIDC record puts the mean of the ring around the hole into it. We weight the
ring by inverse squared distance instead: the same at the centre, continuous at the rim.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill import Filled, Frames, Stage


def stage(hole: np.ndarray) -> Stage:
    """The rule as a last step of any method; ``hole`` is bool (rows, columns)."""
    cells = np.argwhere(hole)
    sources = _with_rim(cells, hole)

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        day = frames.filled.day(int(frames.order[t]))
        found = np.empty(len(cells))
        _kernels.pole_hole(day.values, day.flag, cells, sources, found)
        said = ~np.isnan(found)
        rows, columns = cells[said].T
        day.values[rows, columns] = found[said]
        day.flag[rows, columns] = _kernels.POLE_HOLE

    return Stage(0, fill_day)


def fill(filled: Filled, hole: np.ndarray) -> Filled:
    """Fill what a method left missing inside the pole hole.

    Sources are the valid cells of the hole and of the ring of cells around it, whatever
    they came from (observed or filled); a day with none stays missing.

    Parameters
    ----------
    filled : Filled
        A method's result; it is not changed.
    hole : ndarray of bool, shape (y, x)

    Returns
    -------
    Filled
        With flag POLE_HOLE where this rule spoke.
    """
    made = Filled(*(array.copy() for array in filled))
    step = stage(hole)
    for i in range(len(made.values)):
        step.fill_day(Frames(made, np.arange(len(made.values))), i)
    return made


def _with_rim(cells: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The cells of the hole and those beside them, int64 (n, 2)."""
    from scipy.ndimage import binary_dilation

    if not cells.size:
        return cells
    corner = np.maximum(cells.min(axis=0) - 1, 0)
    box = tuple(slice(a, b + 2) for a, b in zip(corner, cells.max(axis=0), strict=True))
    return np.argwhere(binary_dilation(hole[box], structure=np.ones((3, 3), bool))) + corner
