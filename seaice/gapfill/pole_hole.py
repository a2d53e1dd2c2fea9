"""Filling the pole hole from its surroundings on the same day.

The NOAA/NSIDC record puts the mean of the ring around the hole into it. We weight the
ring by inverse squared distance instead: the same at the centre, continuous at the rim.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill import Filled


def fill(filled: Filled, ocean: np.ndarray, hole: np.ndarray) -> Filled:
    """Fill what a method left missing inside the pole hole.

    Sources are the valid cells of the hole and of the ring of cells around it, whatever
    they came from (observed or filled); a day with none stays missing.

    Parameters
    ----------
    filled : Filled
        A method's result; it is not changed.
    ocean, hole : ndarray of bool, shape (y, x)

    Returns
    -------
    Filled
        With flag POLE_HOLE where this rule spoke.
    """
    from scipy.ndimage import binary_dilation

    from seaice.gapfill import _kernels

    holes = np.nonzero(hole & ocean)
    if holes[0].size == 0:
        return filled
    cells = np.stack(holes, axis=1)
    corner = np.maximum(cells.min(axis=0) - 1, 0)
    box = tuple(slice(a, b + 2) for a, b in zip(corner, cells.max(axis=0), strict=True))
    rim = binary_dilation(hole[box], structure=np.ones((3, 3), bool)) & ocean[box]
    around = np.argwhere(rim) + corner
    values, flag = filled.values.copy(), filled.flag.copy()
    found = np.empty(len(cells))
    rows, columns = cells.T
    for k in range(len(values)):
        _kernels.pole_hole(filled.values[k], filled.flag[k], cells, around, found)
        said = ~np.isnan(found)
        values[k, rows[said], columns[said]] = found[said]
        flag[k, rows[said], columns[said]] = _kernels.POLE_HOLE
    return Filled(values, flag, filled.days_back_forward)
