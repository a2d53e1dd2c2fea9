"""Cells of the 2 km grid of brightness temperatures that lie under the pixels of a scene.

A cell covers 25 x 25 pixels. Where the size of a scene is no multiple of 25, pixels may lie beyond the
last cell; they take its value.
"""

from __future__ import annotations

import numpy as np

from seaice.sources.ai4arctic.tables import COARSE


def find_coarse_bounds(
    starts: np.ndarray | int, size: int, cells: int
) -> tuple[np.ndarray | int, np.ndarray | int]:
    """First cell, and the one after the last, under runs of pixels along an axis.

    Parameters
    ----------
    starts : int or ndarray of int
        First pixel of each run.
    size : int
        Pixels of a run.
    cells : int
        Cells of the scene along the axis.
    """
    first = np.minimum(starts // COARSE, cells - 1)
    return first, np.minimum((starts + size - 1) // COARSE, cells - 1) + 1


def find_coarse_window(start: int, size: int, cells: int) -> slice:
    """Cells under a run of pixels along an axis, as a slice; see :func:`find_coarse_bounds`.

    Examples
    --------
    >>> find_coarse_window(24, 224, 200), find_coarse_window(5190, 10, 207)
    (slice(0, 10, None), slice(206, 207, None))
    """
    first, end = find_coarse_bounds(start, size, cells)
    return slice(int(first), int(end))


def expand_coarse(coarse: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    """Repeat values of cells for every pixel of a patch.

    Parameters
    ----------
    coarse : ndarray, shape (channels, h, w)
        The cells under the patch, by :func:`find_coarse_window`.
    corner : (int, int)
        Row and column of the upper left pixel of the patch in the scene.
    size : int
        Pixels along a side of the patch.

    Returns
    -------
    ndarray, shape (channels, size, size)
    """
    rows, columns = (
        np.minimum((start + np.arange(size)) // COARSE - start // COARSE, cells - 1)
        for start, cells in zip(corner, coarse.shape[1:], strict=True)
    )
    expanded: np.ndarray = coarse[:, rows[:, None], columns[None, :]]
    return expanded
