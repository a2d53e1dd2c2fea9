"""Compiled loops over patches: the values about a box of cells on one day; see :mod:`._kernels`.

A patch holds a box and a margin about it, NaN where there is land or no value. Most patches have a
value everywhere; for these nothing is counted. Sums run over the cells in one order, so that they do
not depend on the box.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill._kernels import OBSERVED
from seaice.runtime.compiled_kernels import compile_loop

# Cells around a box that the patches of the ends of a gap hold; longer distances to a contour are cut.
MARGIN = 8
# A cell that is missing on a day takes its nearest observation within so many days.
NEAREST = 3

_NAN = np.float32(np.nan)
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
# Division by zero gives NaN or infinity: a check before every division would keep loops from being
# compiled for many cells at once.
_compile = compile_loop(error_model="numpy")


@_compile
def value_near(values, flag, order, s, away, end, cell):  # type: ignore[no-untyped-def]
    """A cell on the s-th day, or on the nearest day on which it is observed, not beyond the end."""
    for k in range(NEAREST + 1):
        for day in (s + away * k, s - away * k):
            is_usable = 0 <= day < order.size and (day - end) * away >= 0
            if is_usable and flag[order[day], cell] == OBSERVED:
                return values[order[day], cell]
    return _NAN


@_compile
def is_run(numbers):  # type: ignore[no-untyped-def]
    """Whether all cells of a part of a row are ocean: their numbers are then consecutive."""
    return numbers[0] >= 0 and np.int64(numbers[-1]) - numbers[0] == numbers.size - 1


@_compile
def _copy_run(values, flag, row):  # type: ignore[no-untyped-def]
    """Copy cells beside each other; returns the bits of all flags: 0 if all are observed."""
    codes = np.uint8(0)
    for j in range(row.size):
        row[j] = values[j]
        codes |= flag[j]
    return codes


@_compile
def fill_patch(values, flag, index, order, s, away, end, south, west, patch):  # type: ignore[no-untyped-def]
    """Values about a box on the s-th day; returns whether there is one in every cell.

    ``south`` and ``west`` are the row and column in which the patch begins, maybe beyond the grid. All
    rows are copied before any is looked at more closely, so that none waits for the memory of another.
    """
    rows, columns = patch.shape
    top, bottom = max(0, -south), min(rows, index.shape[0] - south)
    first, last = max(0, -west), min(columns, index.shape[1] - west)
    is_full = bottom - top == rows and last - first == columns
    if not is_full:
        patch[:] = _NAN
    is_usable = 0 <= s < order.size
    slot = order[s] if is_usable else order[end]
    codes = np.ones(rows, np.uint8)
    for i in range(top, bottom if is_usable else top):
        numbers = index[south + i, west + first : west + last]
        if is_run(numbers):
            a, n = np.int64(numbers[0]), numbers.size
            codes[i] = _copy_run(values[slot, a : a + n], flag[slot, a : a + n], patch[i, first:last])
    for i in range(top, bottom):
        if codes[i] == OBSERVED:
            continue
        numbers, row = index[south + i, west + first : west + last], patch[i, first:last]
        for j in range(row.size):
            cell = numbers[j]
            if cell < 0:
                row[j] = _NAN
                is_full = False
            elif is_usable and flag[slot, cell] == OBSERVED:
                row[j] = values[slot, cell]
            else:
                row[j] = value_near(values, flag, order, s, away, end, cell)
                is_full &= row[j] == row[j]
    return is_full


@_compile
def take_cells(values, flag, numbers, picked):  # type: ignore[no-untyped-def]
    """The values of some cells of a day, NaN where they are not observed."""
    for k in range(numbers.size):
        v, code = values[numbers[k]], flag[numbers[k]]
        picked[k] = v if code == OBSERVED else _NAN


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
    tenths = np.full((rows + 2 * _RIM, width), _FARTHEST, np.uint8)
    result = tenths[_RIM : _RIM + rows, :columns]
    sides = np.full((rows + 2, width), np.uint8(2), np.uint8)
    if not _find_sides(patch, level, sides):
        return result
    flat, other = tenths.reshape(-1), np.full(tenths.size, _FARTHEST, np.uint8)
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
def _find_sides(patch, level, sides):  # type: ignore[no-untyped-def]
    """Mark cells above a level by 1, below by 0; returns whether there are both."""
    low = high = np.uint8(0)
    for i in range(patch.shape[0]):
        row, cells = sides[i + 1], patch[i]
        for j in range(cells.size):
            v = cells[j]
            is_above, is_below = np.uint8(v >= level), np.uint8(v < level)
            high |= is_above
            low |= is_below
            row[j] = np.uint8(2 - is_above - 2 * is_below)
    return low != 0 and high != 0


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
