"""Compiled loop of exact coverage: which part of every cell lies within a ring."""

import math

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

_NARROW = 1e-12  # columns; an edge that crosses fewer runs upright


@compile_loop
def add_ring(x: np.ndarray, y: np.ndarray, sign: float, change: np.ndarray) -> None:
    """Add the coverage of a ring, as changes from column to column.

    The running sum of ``change`` along a row is the covered part of each cell. An edge changes the
    coverage of the cell that it crosses by the area to its right within the cell, and that of all cells
    further right by its height in the row. Over the edges of a closed ring these add up to the area
    inside: the scan conversion of outline fonts, exact for straight edges.

    Parameters
    ----------
    x, y : ndarray of float64, shape (points,)
        Columns and rows of a closed ring that runs anticlockwise, whole numbers at the edges of cells.
    sign : float
        1; -1 for a ring that bounds a hole or runs clockwise.
    change : ndarray of float64, shape (rows, columns + 1)
        Is added to. An edge left of the first column covers all of its rows.
    """
    rows, columns = change.shape[0], change.shape[1] - 1
    for i in range(x.size - 1):
        x0, y0, x1, y1, direction = x[i], y[i], x[i + 1], y[i + 1], -sign
        if y0 > y1:
            x0, y0, x1, y1, direction = x1, y1, x0, y0, sign
        if y0 == y1 or y1 <= 0 or y0 >= rows or min(x0, x1) >= columns:
            continue
        slope = (x1 - x0) / (y1 - y0)
        for row in range(max(0, math.floor(y0)), min(rows, math.ceil(y1))):
            low, high = max(y0, float(row)), min(y1, row + 1.0)
            ends = x0 + (low - y0) * slope, x0 + (high - y0) * slope
            left, right = min(ends), max(ends)
            height = (high - low) * direction
            if right <= 0:
                change[row, 0] += height
            elif left < columns and right - left < _NARROW:
                cell = int(max(left, 0.0))
                change[row, cell] += height * (cell + 1 - left)
                change[row, cell + 1] += height * (left - cell)
            elif left < columns:
                density = height / (right - left)
                change[row, 0] += density * max(-left, 0.0)
                begin = max(left, 0.0)
                end = min(right, float(columns))
                for cell in range(int(begin), math.ceil(end)):
                    first, last = max(begin, float(cell)), min(end, cell + 1.0)
                    piece = density * (last - first)
                    part = 0.5 * (first + last) - cell
                    change[row, cell] += piece * (1 - part)
                    change[row, cell + 1] += piece * part
