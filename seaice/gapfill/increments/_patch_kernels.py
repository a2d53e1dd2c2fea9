"""Compiled loops over patches: the values about a box of cells on one day; see :mod:`._kernels`.

A patch holds a box and a margin about it, NaN where there is land or no value. Most patches have a
value everywhere; for these nothing is counted. Sums run over the cells in one order, so that they do
not depend on the box.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill._kernels import NEAREST, OBSERVED
from seaice.runtime.compiled_kernels import compile_loop

# Cells around a box that the patches of the ends of a gap hold; longer distances to a contour are cut.
MARGIN = 8

_NAN = np.float32(np.nan)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
# Division by zero gives NaN or infinity: a check before every division would keep loops from being
# compiled for many cells at once.
_compile = compile_loop(error_model="numpy")
_compile_inline = compile_loop(error_model="numpy", inline=True)


@_compile_inline
def _take_day(s, away, end, k):  # type: ignore[no-untyped-def]
    """The k-th of the days that tell of the s-th, nearest first, -1 where it lies beyond the end.

    Of two as near, the one that lies further from the gap comes first.
    """
    day = s + away * ((k + 1) // 2) if k % 2 == 1 else s - away * (k // 2)
    return day if (day - end) * away >= 0 else -1


@_compile
def list_runs(index, origin, shape, runs, ends):  # type: ignore[no-untyped-def]
    """List the runs of ocean cells of a part of the grid.

    Parameters
    ----------
    index : ndarray of int32, shape (rows, columns)
        Number of every cell of the grid, -1 on land.
    origin, shape : (int, int)
        First row and column of the part, which may lie beyond the grid, and its rows and columns.
    runs : ndarray of int32, shape (m, 3)
        Receives the first column in the part, the first cell, and the number of cells, row by row.
    ends : ndarray of int32, shape (n,)
        Receives the number of runs of all rows before each, and at last of all of them.
    """
    count, (south, west) = 0, origin
    for i in range(shape[0]):
        ends[i] = count
        if not 0 <= south + i < index.shape[0]:
            continue
        j, stop = max(0, -west), min(shape[1], index.shape[1] - west)
        while j < stop:
            cell, n = np.int64(index[south + i, west + j]), 1
            if cell >= 0:
                # Numbers of ocean cells are consecutive.
                while j + n < stop and index[south + i, west + j + n] == cell + n:
                    n += 1
                runs[count, 0], runs[count, 1], runs[count, 2] = j, cell, n
                count += 1
            j += n
    ends[shape[0]] = count


@_compile
def cut_runs(all_runs, ends, origin, cells, members, box, margin, runs):  # type: ignore[no-untyped-def]
    """Cut out of runs what lies about some cells, at most ``margin`` away.

    Of every row everything between the first and the last of them is taken.

    Parameters
    ----------
    all_runs, ends, origin
        As of :func:`list_runs`, of a part that holds the box and its margin.
    cells, members : ndarray of int64, shape (n, 2) and (k,)
        Rows and columns, and which of them count; all of these lie in the box.
    box : (int, int, int, int)
        First row and column, and those behind the last: south, north, west, east.
    margin : int
    runs : ndarray of int32, shape (m, 4)
        Receives row and column in a patch of the box and its margin, first cell, and number of cells.

    Returns
    -------
    (int, bool)
        Number of runs, and whether they are all that was looked at: no land, nothing beyond the grid.
    """
    south, north, west, east = box
    rows, columns, count, lacking = north - south, east - west, 0, 0
    first, last = np.empty(rows, np.int64), np.empty(rows, np.int64)
    first[:] = columns
    last[:] = -1
    for m in members:
        i, j = cells[m, 0] - south, cells[m, 1] - west
        first[i], last[i] = min(first[i], j), max(last[i], j)
    down, across = south - margin - origin[0], west - margin - origin[1]
    for i in range(rows + 2 * margin):
        begin, end = columns, np.int64(-1)
        for k in range(max(0, i - 2 * margin), min(rows, i + 1)):
            begin, end = min(begin, first[k]), max(end, last[k])
        if end < 0:
            continue
        begin, end = begin + across, end + 2 * margin + 1 + across
        lacking += end - begin
        for r in range(ends[down + i], ends[down + i + 1]):
            j = max(begin, np.int64(all_runs[r, 0]))
            n = min(end, np.int64(all_runs[r, 0]) + all_runs[r, 2]) - j
            if n > 0:
                runs[count, 0], runs[count, 1] = i, j - across
                runs[count, 2], runs[count, 3] = all_runs[r, 1] + j - all_runs[r, 0], n
                count += 1
                lacking -= n
    return count, lacking == 0


@_compile
def fill_patch(values, flag, order, s, away, end, runs, patch):  # type: ignore[no-untyped-def]
    """Values of ``runs`` of cells on the s-th day, NaN elsewhere; returns whether each has one.

    A cell that is missing on the day has its value of the nearest day on which it is observed, not
    beyond the end.
    """
    patch[:] = _NAN
    # Not one slice a run: each would count references, and that costs more than to copy few cells.
    cells, width = patch.reshape(-1), patch.shape[1]
    is_lacking, count = np.ones(runs.shape[0], np.bool_), runs.shape[0]
    for k in range(2 * NEAREST + 1):
        day = _take_day(s, away, end, k)
        if not 0 <= day < order.size:
            continue
        frame, codes, count = values[order[day]], flag[order[day]], 0
        for r in range(runs.shape[0]):
            if not is_lacking[r]:
                continue
            # Unsigned: no check for negative numbers keeps the loop from taking many cells at once.
            place, cell = np.uintp(runs[r, 0] * width + runs[r, 1]), np.uintp(runs[r, 2])
            lacking = False
            for n in range(np.uintp(runs[r, 3])):
                v = frame[cell + n] if codes[cell + n] == OBSERVED else _NAN
                before = cells[place + n]
                v = before if before == before else v
                cells[place + n] = v
                lacking |= v != v
            is_lacking[r] = lacking
            count += lacking
        if count == 0:
            break
    return count == 0


@_compile
def take_cells(values, flag, order, s, away, end, numbers, picked):  # type: ignore[no-untyped-def]
    """Values of some cells on the s-th day, completed as in :func:`fill_patch`, NaN where none is."""
    picked[:] = _NAN
    for k in range(2 * NEAREST + 1):
        day = _take_day(s, away, end, k)
        if not 0 <= day < order.size:
            continue
        lacking, frame, codes = False, values[order[day]], flag[order[day]]
        for n in range(numbers.size):
            if k == 0 or picked[n] != picked[n]:
                v, code = frame[numbers[n]], codes[numbers[n]]
                picked[n] = v if code == OBSERVED else _NAN
                lacking |= code != OBSERVED
        if not lacking:
            break


@_compile
def _sum_along(cells, of_3, of_5, of_9):  # type: ignore[no-untyped-def]
    """Sums of 3, 5 and 9 cells in a row about every cell; those at the ends of a row mean nothing."""
    for k in range(of_3.size - 8):
        s = cells[k + 3] + cells[k + 4] + cells[k + 5]
        of_3[k + 4] = s
        s += cells[k + 2] + cells[k + 6]
        of_5[k + 4] = s
        s += cells[k] + cells[k + 1] + cells[k + 7] + cells[k + 8]
        of_9[k + 4] = s


@_compile
def _sum_across(sums, first, step, out):  # type: ignore[no-untyped-def]
    """Sums of 3 rows, which begin at ``first`` and ``step`` cells further each."""
    a, b, c = sums[first:], sums[first + step :], sums[first + 2 * step :]
    for k in range(out.size):
        out[k] = a[k] + b[k] + c[k]


@_compile
def _add_two(sums, first, step, out):  # type: ignore[no-untyped-def]
    """Add two more rows."""
    a, b = sums[first:], sums[first + step :]
    for k in range(out.size):
        out[k] = out[k] + a[k] + b[k]


@_compile
def _sum_squares(cells, width, sums, out):  # type: ignore[no-untyped-def]
    """Sums over 3 x 3, 5 x 5 and 9 x 9 cells of a patch of ``width`` columns, as :func:`average`."""
    _sum_along(cells, sums[0], sums[1], sums[2])
    for k, reach in enumerate((1, 2, 4)):
        first = (MARGIN - reach) * width
        _sum_across(sums[k], first, width, out[k])
        for row in range(3, 2 * reach, 2):
            _add_two(sums[k], first + row * width, width, out[k])


@_compile
def average(patch, is_full, means):  # type: ignore[no-untyped-def]
    """Means over 3 x 3, 5 x 5 and 9 x 9 cells about every cell of a box; NaN without a value.

    ``means`` (3, rows of the box, columns of the patch); the margin of the columns means nothing.
    """
    cells, width, size = patch.reshape(-1), patch.shape[1], means.shape[1] * means.shape[2]
    out = means.reshape(3, size)
    sums = np.empty((3, cells.size), np.float32)
    if is_full:
        _sum_squares(cells, width, sums, out)
        for k, reach in enumerate((1, 2, 4)):
            number = np.float32((2 * reach + 1) ** 2)
            for n in range(size):
                out[k, n] /= number
        return
    zeroed, valid = np.empty(cells.size, np.float32), np.empty(cells.size, np.float32)
    for n in range(cells.size):
        v = cells[n]
        zeroed[n] = v if v == v else _ZERO
        valid[n] = _ONE if v == v else _ZERO
    _sum_squares(zeroed, width, sums, out)
    numbers = np.empty((3, size), np.float32)
    _sum_squares(valid, width, sums, numbers)
    for k in range(3):
        for n in range(size):
            out[k, n] /= numbers[k, n]


@_compile
def average_3(patch, is_full, means):  # type: ignore[no-untyped-def]
    """Means over 3 x 3 cells about every cell of a box with a margin of one; NaN without a value.

    ``means`` (rows of the box, columns of the patch), as in :func:`average`.
    """
    cells, width = patch.reshape(-1), patch.shape[1]
    sums, out = np.empty(cells.size, np.float32), means.reshape(-1)
    sums[0] = sums[-1] = _ZERO
    if is_full:
        for k in range(cells.size - 2):
            sums[k + 1] = cells[k] + cells[k + 1] + cells[k + 2]
        _sum_across(sums, 0, width, out)
        for k in range(out.size):
            out[k] /= np.float32(9.0)
        return
    numbers, number = np.zeros(cells.size, np.float32), np.empty(out.size, np.float32)
    for k in range(cells.size - 2):
        u, v, w = cells[k], cells[k + 1], cells[k + 2]
        sums[k + 1] = (u if u == u else _ZERO) + (v if v == v else _ZERO) + (w if w == w else _ZERO)
        numbers[k + 1] = (
            (_ONE if u == u else _ZERO) + (_ONE if v == v else _ZERO) + (_ONE if w == w else _ZERO)
        )
    _sum_across(sums, 0, width, out)
    _sum_across(numbers, 0, width, number)
    for k in range(out.size):
        out[k] /= number[k]


@_compile
def find_extremes(patch, lowest, highest):  # type: ignore[no-untyped-def]
    """Smallest and largest value in the 3 x 3 cells about every cell of a box, as :func:`average`."""
    cells, width = patch.reshape(-1), patch.shape[1]
    low, high = np.empty(cells.size, np.float32), np.empty(cells.size, np.float32)
    for k in range(cells.size - 2):
        u, v, w = cells[k], cells[k + 1], cells[k + 2]
        least = u if u < np.float32(np.inf) else np.float32(np.inf)
        least = v if v < least else least
        low[k + 1] = w if w < least else least
        most = u if u > np.float32(-np.inf) else np.float32(-np.inf)
        most = v if v > most else most
        high[k + 1] = w if w > most else most
    first, out = (MARGIN - 1) * width, lowest.reshape(-1)
    a, b, c = low[first:], low[first + width :], low[first + 2 * width :]
    for k in range(out.size):
        least = a[k] if a[k] < b[k] else b[k]
        out[k] = least if least < c[k] else c[k]
    out = highest.reshape(-1)
    a, b, c = high[first:], high[first + width :], high[first + 2 * width :]
    for k in range(out.size):
        most = a[k] if a[k] > b[k] else b[k]
        out[k] = most if most > c[k] else c[k]


@_compile
def smear(patch, is_full, beside, smeared):  # type: ignore[no-untyped-def]
    """Means of the 3 x 3 cells about every cell of a box, weighted by rows and columns.

    ``smeared`` (rows of the box, columns of the patch), as in :func:`average`.
    """
    cells, width = patch.reshape(-1), patch.shape[1]
    total = smeared.reshape(-1)
    total[:] = _ZERO
    weight = np.zeros(1 if is_full else total.size, np.float32)
    for row in range(-1, 2):
        middle = _ONE if row == 0 else beside
        side = middle * beside
        source = cells[(MARGIN + row) * width - 1 :]
        if is_full:
            weight += side
            weight += middle
            weight += side
            for k in range(total.size):
                total[k] = total[k] + side * source[k] + middle * source[k + 1] + side * source[k + 2]
            continue
        for k in range(total.size):
            u, v, w = source[k], source[k + 1], source[k + 2]
            s = total[k] + (side * u if u == u else _ZERO)
            s += middle * v if v == v else _ZERO
            total[k] = s + (side * w if w == w else _ZERO)
            s = weight[k] + (side if u == u else _ZERO)
            s += middle if v == v else _ZERO
            weight[k] = s + (side if w == w else _ZERO)
    if is_full:
        for k in range(total.size):
            total[k] /= weight[0]
    else:
        for k in range(total.size):
            total[k] /= weight[k]


# Distances to a contour are kept in tenths of a cell; the rim keeps rows and columns of a patch apart.
_FARTHEST = np.uint8(10 * MARGIN)
_RIM = MARGIN


@_compile
def measure_tenths(patch, level):  # type: ignore[no-untyped-def]
    """Distance in tenths of a cell to the contour of a level, at most MARGIN cells, uint8.

    Cells beside the contour have half a cell; from there the steps to the eight neighbours, 1 or 1.4
    cells, are added up. A shortest way has steps of two directions, one of them straight and one
    diagonal, in any order: so all directions are gone through in turn, with one, two and four steps
    (diagonally two) at a time. Cells without a value are crossed.
    """
    rows, columns = patch.shape
    width = columns + _RIM
    tenths = np.empty((rows + 2 * _RIM, width), np.uint8)
    tenths[:] = _FARTHEST
    result = tenths[_RIM : _RIM + rows, :columns]
    if not _has_contour(patch.reshape(-1), level):
        return result
    sides = np.empty((rows + 2, width), np.uint8)
    sides[:] = np.uint8(2)
    _find_sides(patch, level, sides)
    flat, other = tenths.reshape(-1), np.empty(tenths.size, np.uint8)
    other[:] = _FARTHEST
    _find_contour(sides.reshape(-1), width, flat[_RIM * width : (_RIM + rows) * width])
    for shift in (1, width):
        _take_steps(flat, other, shift, np.uint8(10))
        _take_steps(other, flat, 2 * shift, np.uint8(20))
        _take_steps(flat, other, 4 * shift, np.uint8(40))
        flat, other = other, flat
    for shift in (width - 1, width + 1):
        _take_steps(flat, other, shift, np.uint8(14))
        _take_steps(other, flat, 2 * shift, np.uint8(28))
        _take_steps(flat, other, 2 * shift, np.uint8(28))
        flat, other = other, flat
    return result


@_compile
def _has_contour(cells, level):  # type: ignore[no-untyped-def]
    """Whether there are cells on both sides of a level."""
    any_above = any_below = False
    for k in range(cells.size):
        any_above |= cells[k] >= level
        any_below |= cells[k] < level
    return any_above and any_below


@_compile
def _find_sides(patch, level, sides):  # type: ignore[no-untyped-def]
    """Mark cells above a level by 1, below by 0."""
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            v = patch[i, j]
            sides[i + 1, j] = np.uint8(2 - np.uint8(v >= level) - 2 * np.uint8(v < level))


@_compile
def _find_contour(sides, width, tenths):  # type: ignore[no-untyped-def]
    """Half a cell for cells beside the contour: with 0, 1 or 2 a pair gives 1 across it alone."""
    above, here, below = sides[: tenths.size], sides[width - 1 :], sides[2 * width :]
    one = np.uint8(1)
    for k in range(tenths.size):
        v = here[k + 1]
        is_beside = (
            ((v ^ here[k]) == one)
            | ((v ^ here[k + 2]) == one)
            | ((v ^ above[k]) == one)
            | ((v ^ below[k]) == one)
        )
        tenths[k] = np.uint8(5) if is_beside else _FARTHEST


@_compile
def _take_steps(source, out, shift, cost):  # type: ignore[no-untyped-def]
    """Take the way over a cell ``shift`` cells before or behind where it is shorter."""
    count = out.size - 2 * shift
    before, here, after = source[:count], source[shift:], source[2 * shift :]
    target = out[shift:]
    for k in range(count):
        d = min(before[k], after[k])
        target[k] = min(here[k], np.uint8(d + cost))
