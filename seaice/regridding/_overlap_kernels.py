"""Compiled loops that cut polygons by the lines of a grid and measure the pieces."""

import math

import numpy as np
from numba import njit

from seaice.runtime.compiled_kernels import compile_loop

# A piece of less than this share of a cell is rounding of a common edge.
_LEAST_SHARE = 1e-10


@njit(inline="always")
def _keep_side(xs, ys, count, axis, line, sign, out_x, out_y):  # type: ignore[no-untyped-def]
    """Keep the part of a polygon on one side of a line parallel to an axis; return its corners.

    Sutherland and Hodgman (1974), doi:10.1145/360767.360802. Of a polygon that falls into several
    parts, these stay joined along the line, which changes no area.
    """
    size = 0
    for k in range(count):
        m = k + 1 if k + 1 < count else 0
        here = sign * ((xs[k] if axis == 0 else ys[k]) - line)
        next_ = sign * ((xs[m] if axis == 0 else ys[m]) - line)
        if here <= 0:
            out_x[size], out_y[size] = xs[k], ys[k]
            size += 1
        if (here < 0 < next_) or (next_ < 0 < here):
            # From the lower end on, so that neighbours that share the edge get the same corner.
            if here < next_:
                share = here / (here - next_)
                x, y = xs[k] + share * (xs[m] - xs[k]), ys[k] + share * (ys[m] - ys[k])
            else:
                share = next_ / (next_ - here)
                x, y = xs[m] + share * (xs[k] - xs[m]), ys[m] + share * (ys[k] - ys[m])
            out_x[size] = line if axis == 0 else x
            out_y[size] = y if axis == 0 else line
            size += 1
    return size


@njit(inline="always")
def _measure(xs, ys, count, x0, y0):  # type: ignore[no-untyped-def]
    """Area of a polygon, positive anticlockwise, and its first moments about a point."""
    area = moment_x = moment_y = 0.0
    for k in range(count):
        m = k + 1 if k + 1 < count else 0
        ax, ay, bx, by = xs[k] - x0, ys[k] - y0, xs[m] - x0, ys[m] - y0
        cross = ax * by - bx * ay
        area += cross
        moment_x += cross * (ax + bx)
        moment_y += cross * (ay + by)
    return 0.5 * area, moment_x / 6, moment_y / 6


@compile_loop
def cut_polygons(
    xs: np.ndarray,
    ys: np.ndarray,
    edges: np.ndarray,
    columns: int,
    wraps: bool,
    cell_area: np.ndarray,
    slope_x: np.ndarray,
    slope_y: np.ndarray,
    numbers: np.ndarray,
    cells: np.ndarray,
    areas: np.ndarray,
) -> int:
    """Cut polygons by the cells of a grid and measure the pieces, by polygon, row and column.

    Parameters
    ----------
    xs, ys : ndarray of float64, shape (polygons, corners)
        Corners: x in columns from the western edge of the grid on, y in the unit of ``edges``. A
        polygon with a corner that is not finite is left out.
    edges : ndarray of float64, shape (rows + 1,)
        y of the lines between rows, ascending.
    columns : int
    wraps : bool
        Whether the first column lies beside the last.
    cell_area : ndarray of float64, shape (rows, columns)
        True area of the cells.
    slope_x, slope_y : ndarray of float32, shape (rows, columns) or (0, 0)
        Relative change of the true area of a unit of the plane from one cell to the next.
    numbers, cells : ndarray of int64, shape (pieces,)
        Out: number of the polygon, and flat number of the cell, of every piece.
    areas : ndarray of float64, shape (pieces,)
        Out: true area of the pieces.

    Returns
    -------
    int
        Number of pieces; -1 if there is no room for all of them.
    """
    rows = edges.size - 1
    corners = xs.shape[1]
    # Every cut of a polygon adds at most as many corners as it has edges.
    room = 8 * corners + 32
    rest_x, rest_y = np.empty(room), np.empty(room)
    spare_x, spare_y = np.empty(room), np.empty(room)
    strip_x, strip_y = np.empty(room), np.empty(room)
    piece_x, piece_y = np.empty(room), np.empty(room)
    is_sloped = slope_x.shape[0] > 0
    count = 0
    for p in range(xs.shape[0]):
        low_x = low_y = np.inf
        high_x = high_y = -np.inf
        is_finite = True
        for k in range(corners):
            x, y = xs[p, k], ys[p, k]
            is_finite = is_finite and math.isfinite(x) and math.isfinite(y)
            rest_x[k], rest_y[k] = x, y
            low_x, high_x = min(low_x, x), max(high_x, x)
            low_y, high_y = min(low_y, y), max(high_y, y)
        if not is_finite or high_y <= edges[0] or low_y >= edges[rows]:
            continue
        if not wraps and (high_x <= 0 or low_x >= columns):
            continue
        whole = _measure(rest_x, rest_y, corners, rest_x[0], rest_y[0])[0]
        if whole == 0:
            continue
        sign = 1.0 if whole > 0 else -1.0
        j = max(0, int(np.searchsorted(edges, low_y, side="right")) - 1)
        size = corners
        if low_y < edges[j]:
            size = _keep_side(rest_x, rest_y, size, 1, edges[j], -1.0, spare_x, spare_y)
            rest_x, spare_x, rest_y, spare_y = spare_x, rest_x, spare_y, rest_y
        while j < rows and size > 2 and high_y > edges[j]:
            bottom, top = edges[j], edges[j + 1]
            if high_y <= top:
                strip = size
                for k in range(size):
                    strip_x[k], strip_y[k] = rest_x[k], rest_y[k]
                size = 0
            else:
                strip = _keep_side(rest_x, rest_y, size, 1, top, 1.0, strip_x, strip_y)
                size = _keep_side(rest_x, rest_y, size, 1, top, -1.0, spare_x, spare_y)
                rest_x, spare_x, rest_y, spare_y = spare_x, rest_x, spare_y, rest_y
            count = _cut_strip(
                strip_x, strip_y, strip, piece_x, piece_y, j, bottom, top, columns, wraps, sign,
                cell_area, slope_x, slope_y, is_sloped, p, numbers, cells, areas, count,
            )  # fmt: skip
            if count < 0:
                return -1
            j += 1
    return count


@njit
def _cut_strip(  # type: ignore[no-untyped-def]
    xs, ys, size, piece_x, piece_y, j, bottom, top, columns, wraps, sign,
    cell_area, slope_x, slope_y, is_sloped, p, numbers, cells, areas, count,
):  # fmt: skip
    """Cut the part of a polygon in one row by the columns; return the number of pieces so far."""
    if size < 3:
        return count
    low = high = xs[0]
    for k in range(1, size):
        low, high = min(low, xs[k]), max(high, xs[k])
    first, last = math.floor(low), math.ceil(high)
    if not wraps:
        first, last = max(first, 0), min(last, columns)
    spare_x, spare_y = np.empty(xs.size), np.empty(xs.size)
    rest_x, rest_y = xs, ys
    if low < first:
        size = _keep_side(rest_x, rest_y, size, 0, first, -1.0, spare_x, spare_y)
        rest_x, spare_x, rest_y, spare_y = spare_x, rest_x, spare_y, rest_y
    height = top - bottom
    for i in range(first, last):
        if size < 3:
            break
        if high <= i + 1:
            piece = size
            for k in range(size):
                piece_x[k], piece_y[k] = rest_x[k], rest_y[k]
        else:
            piece = _keep_side(rest_x, rest_y, size, 0, i + 1, 1.0, piece_x, piece_y)
            size = _keep_side(rest_x, rest_y, size, 0, i + 1, -1.0, spare_x, spare_y)
            rest_x, spare_x, rest_y, spare_y = spare_x, rest_x, spare_y, rest_y
        if piece < 3:
            continue
        area, moment_x, moment_y = _measure(piece_x, piece_y, piece, i + 0.5, 0.5 * (bottom + top))
        share = sign * area / height
        if share < _LEAST_SHARE:
            continue
        column = i % columns
        if is_sloped:
            share += sign * (slope_x[j, column] * moment_x + slope_y[j, column] * moment_y)
        if count >= numbers.size:
            return -1
        numbers[count], cells[count] = p, j * columns + column
        areas[count] = share * cell_area[j, column]
        count += 1
    return count
