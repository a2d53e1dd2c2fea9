"""Compiled loops over the ocean cells of one day. Arrays are changed in place; no checks here.

Days are vectors of ocean cells (:class:`seaice.gapfill.ocean_cells.OceanCells`), kept in arrays
(slots, cells); slot ``order[i]`` holds the i-th calendar day, so that a ring of days serves as
well as a stack. ``index[y, x]`` is the number of a cell, -1 on land; ``rows`` and ``columns`` say
where a cell lies. ``todo`` lists cells that are flagged NOT_FILLED; a call works on those from
``i0`` to ``i1``.

Whether a cell may be a source follows from its flag, so a day can be filled in place. Every output
is a sum in one fixed order over its own sources: the result depends neither on the parts in which
the list is worked off nor on how many days are in memory.

Comparing a value with itself (``v == v``) is the test for NaN: it is false for NaN alone, and it is
compiled to one instruction. Sums are in float64, values and flags stay float32 and uint8.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.runtime.compiled_kernels import compile_loop

# Side of the squares of cells that are filled at a time: their sources stay in the processor's cache.
TILE = 32
# Side of the squares of which it is asked whether anything in them was observed: small beside the
# window about a cell.
BLOCK = 4
UNKNOWN, NO, YES = 0, 1, 2

# Plain numbers: compiled code takes them as constants.
OBSERVED = int(FillFlag.OBSERVED)
TWO_SIDED, ONE_SIDED = int(FillFlag.TEMPORAL_TWO_SIDED), int(FillFlag.TEMPORAL_ONE_SIDED)
GAUSSIAN, POLE_HOLE = int(FillFlag.SPACETIME_GAUSSIAN), int(FillFlag.POLE_HOLE)
DEPARTURE_TWO_SIDED = int(FillFlag.DEPARTURE_TWO_SIDED)
DEPARTURE_ONE_SIDED = int(FillFlag.DEPARTURE_ONE_SIDED)
LAND, NOT_FILLED = int(FillFlag.LAND), int(FillFlag.NOT_FILLED)


@compile_loop
def compress(y0, y1, index, field, vector):  # type: ignore[no-untyped-def]
    """Copy the ocean cells of rows of a field into a vector."""
    for y in range(y0, y1):
        for x in range(index.shape[1]):
            c = index[y, x]
            if c >= 0:
                vector[c] = field[y, x]


@compile_loop
def expand(y0, y1, index, vector, fill, field):  # type: ignore[no-untyped-def]
    """Copy a vector of ocean cells into rows of a field, whose land becomes ``fill``."""
    for y in range(y0, y1):
        for x in range(index.shape[1]):
            c = index[y, x]
            field[y, x] = vector[c] if c >= 0 else fill


@compile_loop
def compress_raw_day(i0, i1, cell, row, column, length, field, values, flag):  # type: ignore[no-untyped-def]
    """Copy runs of ocean cells of a raw field, and flag the cells as observed or missing.

    The runs are those of :class:`seaice.gapfill.ocean_cells.Runs`.
    """
    for i in range(i0, i1):
        a, x, n = cell[i], column[i], length[i]
        source, vector, code = field[row[i], x : x + n], values[a : a + n], flag[a : a + n]
        for k in range(n):
            v = source[k]
            vector[k] = v
            code[k] = OBSERVED if v == v else NOT_FILLED


@compile_loop
def list_gaps(flag, gaps):  # type: ignore[no-untyped-def]
    """List the cells of a day that are not flagged OBSERVED; returns how many there are."""
    count = 0
    for c in range(flag.size):
        gaps[count] = c
        count += flag[c] != OBSERVED
    return count


@compile_loop
def has_value_in_time(code):  # type: ignore[no-untyped-def]
    """Whether a cell of this flag is observed or filled in time (codes 0, 1, 2, 10 and 11)."""
    return code <= ONE_SIDED or code in (DEPARTURE_TWO_SIDED, DEPARTURE_ONE_SIDED)


@compile_loop(inline=True)
def _distance_to_observed(flag, order, t, step, limit, c):  # type: ignore[no-untyped-def]
    """Days to the nearest observed value of a cell in one direction; 0 if there is none."""
    for k in range(1, limit + 1):
        if flag[order[t + step * k], c] == OBSERVED:
            return k
    return 0


@compile_loop
def temporal(  # type: ignore[no-untyped-def]
    i0, i1, todo, values, flag, days, change, order, t, max_gap, one_sided, past_only
):
    """Fill cells from the nearest observed days of the same cell.

    ``days`` and ``change`` (cells) are those of the day that is filled.
    """
    here = order[t]
    before = min(max_gap, t)
    after = 0 if past_only else min(max_gap, order.size - 1 - t)
    for i in range(i0, i1):
        c = todo[i]
        b = _distance_to_observed(flag, order, t, -1, before, c)
        f = _distance_to_observed(flag, order, t, 1, after, c)
        if b > 0 and f > 0:
            p = np.float64(values[order[t - b], c])
            n = np.float64(values[order[t + f], c])
            values[here, c] = p + b * (n - p) / (b + f)
            flag[here, c] = TWO_SIDED
            days[c] = 10 * b + f
            change[c] = np.uint8(min(abs(n - p) + 0.5, 255.0))
        elif 0 < b <= one_sided:
            values[here, c] = values[order[t - b], c]
            flag[here, c] = ONE_SIDED
            days[c] = 10 * b
        elif 0 < f <= one_sided:
            values[here, c] = values[order[t + f], c]
            flag[here, c] = ONE_SIDED
            days[c] = f


@compile_loop(inline=True)
def _spread(values, flag, slot, index, inner, c, y, x, beside):  # type: ignore[no-untyped-def]
    """Mean of the observed cells of a day at and around an observed one, by rows and columns."""
    total, weight = np.float64(values[slot, c]), 1.0
    if beside == 0.0:
        return total
    if inner[c]:
        for q in range(y - 1, y + 2):
            middle = index[q, x]
            w_row = 1.0 if q == y else beside
            for r in range(-1, 2):
                n = middle + r
                if n != c and flag[slot, n] == OBSERVED:
                    w = w_row if r == 0 else w_row * beside
                    total += w * values[slot, n]
                    weight += w
        return total / weight
    for q in range(max(0, y - 1), min(index.shape[0], y + 2)):
        for r in range(max(0, x - 1), min(index.shape[1], x + 2)):
            n = index[q, r]
            if n >= 0 and n != c and flag[slot, n] == OBSERVED:
                w = beside if q == y or r == x else beside * beside
                total += w * values[slot, n]
                weight += w
    return total / weight


@compile_loop
def _is_block_observed(flag, slot, index, row, column):  # type: ignore[no-untyped-def]
    """Whether a block of :data:`BLOCK` x :data:`BLOCK` cells holds an observed one."""
    for y in range(row * BLOCK, min(index.shape[0], (row + 1) * BLOCK)):
        for x in range(column * BLOCK, min(index.shape[1], (column + 1) * BLOCK)):
            c = index[y, x]
            if c >= 0 and flag[slot, c] == OBSERVED:
                return True
    return False


@compile_loop
def _is_block_near(flag, slot, index, answers, row, column, margin):  # type: ignore[no-untyped-def]
    """Whether a block, or one within ``margin`` blocks of it, holds an observed cell."""
    observed = answers[0]
    for q in range(max(0, row - margin), min(observed.shape[0], row + margin + 1)):
        for r in range(max(0, column - margin), min(observed.shape[1], column + margin + 1)):
            if observed[q, r] == UNKNOWN:
                observed[q, r] = YES if _is_block_observed(flag, slot, index, q, r) else NO
            if observed[q, r] == YES:
                return True
    return False


@compile_loop(inline=True)
def _is_any_near(flag, slot, index, answers, y, x, reach):  # type: ignore[no-untyped-def]
    """Whether there may be an observed cell within reach: whether a block within reach has one.

    ``answers`` (2, rows, columns of blocks) remembers for each block whether it holds one and whether
    one is near. Two threads may look at a block at a time; both write the same.
    """
    row, column = y // BLOCK, x // BLOCK
    if answers[1, row, column] == UNKNOWN:
        is_near = _is_block_near(flag, slot, index, answers, row, column, -(-reach // BLOCK))
        answers[1, row, column] = YES if is_near else NO
    return answers[1, row, column] == YES


@compile_loop(inline=True)
def _departure_beside(  # type: ignore[no-untyped-def]
    values, flag, index, here, before, after, share, y, x, weight_s
):
    """Sums over the neighbours observed on all three days, and the range of their values.

    Returns sum(w departure), sum(w), smallest and largest value on the day itself.
    """
    reach = weight_s.size - 1
    total, weight, low, high = 0.0, 0.0, np.inf, -np.inf
    for q in range(max(0, y - reach), min(index.shape[0], y + reach + 1)):
        w_row = weight_s[abs(q - y)]
        for r in range(max(0, x - reach), min(index.shape[1], x + reach + 1)):
            c = index[q, r]
            # OBSERVED is 0, so the bits of the three flags together are 0 if all three are observed.
            if c < 0 or flag[here, c] | flag[before, c] | flag[after, c]:
                continue
            v, p = np.float64(values[here, c]), np.float64(values[before, c])
            w = w_row * weight_s[abs(r - x)]
            total += w * (v - p - share * (values[after, c] - p))
            weight += w
            low, high = min(low, v), max(high, v)
    return total, weight, low, high


@compile_loop
def departure(  # type: ignore[no-untyped-def]
    i0, i1, todo, values, flag, days, change, order, t, index, inner, rows, columns, answers, limits,
     past_only, beside, weight_s, shrinkage,
):  # fmt: skip
    """Fill cells in time, and correct by how observed neighbours departed.

    All sources are flagged OBSERVED, on this day and on others; what is written here is not.
    ``days`` and ``change`` (cells) are those of the day that is filled; ``beside[d]`` is the weight
    of the next row or column on a day d days away. ``answers`` are those of
    :func:`_is_any_near`, unknown at first.
    """
    here = order[t]
    max_gap, one_sided = limits
    before = min(max_gap, t)
    after = 0 if past_only else min(max_gap, order.size - 1 - t)
    reach = weight_s.size - 1
    for m in range(i0, i1):
        c = todo[m]
        b = _distance_to_observed(flag, order, t, -1, before, c)
        f = _distance_to_observed(flag, order, t, 1, after, c)
        two = b > 0 and f > 0
        if not two and not 0 < b + f <= one_sided:
            continue
        y, x = np.int64(rows[c]), np.int64(columns[c])
        # From one side alone both ends are the same day: the estimate is its value.
        i, k = order[t - b if b > 0 else t + f], order[t + f if f > 0 else t - b]
        p = n = _spread(values, flag, i, index, inner, c, y, x, beside[b if b > 0 else f])
        if two:
            n = _spread(values, flag, k, index, inner, c, y, x, beside[f])
        estimate = p + b * (n - p) / (b + f)
        weight = 0.0
        if reach > 0 and _is_any_near(flag, here, index, answers, y, x, reach):
            total, weight, low, high = _departure_beside(
                values, flag, index, here, i, k, b / (b + f), y, x, weight_s
            )
            estimate += total / (weight + shrinkage)
        if weight > 0.0:
            low, high = min(low, p, n), max(high, p, n)
            values[here, c] = min(max(estimate, low), high)
            flag[here, c] = DEPARTURE_TWO_SIDED if two else DEPARTURE_ONE_SIDED
        else:
            values[here, c] = estimate
            flag[here, c] = TWO_SIDED if two else ONE_SIDED
        days[c] = 10 * b + f
        # Rounded to the nearest whole unit, as the conversion drops the fraction.
        change[c] = np.uint8(min(abs(n - p) + 0.5, 255.0))


@compile_loop
def _sums_over_time(values, flag, order, t, lead, index, weight_t, box):  # type: ignore[no-untyped-def]
    """Sums w v and w over the days of the window, for every cell of a box of the grid."""
    top, bottom, left, right = box
    sums = np.zeros((2, bottom - top, right - left))
    for s in range(max(0, t + 1 - weight_t.size), min(order.size, t + lead + 1)):
        w = weight_t[abs(s - t)]
        frame, code = values[order[s]], flag[order[s]]
        for y in range(top, bottom):
            for x in range(left, right):
                c = index[y, x]
                if c >= 0 and has_value_in_time(code[c]):
                    sums[0, y - top, x - left] += w * frame[c]
                    sums[1, y - top, x - left] += w
    return sums


@compile_loop
def _gaussian_tile(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, index, rows, columns, weight_t, weight_s, smallest, todo
):
    """Three one-dimensional passes of sum(w v) and sum(w) over the box around some cells.

    The cells are in the order of their rows; every row is summed up once.
    """
    here, reach = order[t], weight_s.size - 1
    left, right = np.int64(columns[todo[0]]), np.int64(columns[todo[0]])
    for c in todo:
        left, right = min(left, np.int64(columns[c])), max(right, np.int64(columns[c]))
    a0, a1 = max(0, rows[todo[0]] - reach), min(index.shape[0], rows[todo[-1]] + reach + 1)
    b0, b1 = max(0, left - reach), min(index.shape[1], right + reach + 1)
    over_t = _sums_over_time(values, flag, order, t, lead, index, weight_t, (a0, a1, b0, b1))
    over_y = np.zeros((2, b1 - b0))
    summed = np.int64(-1)
    for c in todo:
        y, x = np.int64(rows[c]), np.int64(columns[c])
        if y != summed:
            summed = y
            over_y[:] = 0.0
            for q in range(max(a0, y - reach), min(a1, y + reach + 1)):
                w = weight_s[abs(q - y)]
                for r in range(b1 - b0):
                    over_y[0, r] += w * over_t[0, q - a0, r]
                    over_y[1, r] += w * over_t[1, q - a0, r]
        total, weight = 0.0, 0.0
        for q in range(max(b0, x - reach), min(b1, x + reach + 1)):
            w = weight_s[abs(q - x)]
            total += w * over_y[0, q - b0]
            weight += w * over_y[1, q - b0]
        if weight > smallest:
            values[here, c] = total / weight
            flag[here, c] = GAUSSIAN


@compile_loop
def gaussian(  # type: ignore[no-untyped-def]
    i0, i1, ends, todo, values, flag, order, t, past_only, index, rows, columns, weight_t, weight_s,
    smallest,
):  # fmt: skip
    """Fill cells from a space-time window, tile by tile: ``todo[ends[i] : ends[i + 1]]`` are of one.

    Sources are observed values and those filled in time; what this pass writes bears another
    flag and feeds no other value.
    """
    lead = 0 if past_only else weight_t.size - 1
    for i in range(i0, i1):
        _gaussian_tile(
            values, flag, order, t, lead, index, rows, columns, weight_t, weight_s, smallest,
            todo[ends[i] : ends[i + 1]],
        )  # fmt: skip


@compile_loop
def pole_hole(hole, sources, values, filled):  # type: ignore[no-untyped-def]
    """Inverse-distance-squared mean of the ``values`` of ``sources`` (n, 2) for every ``hole`` cell.

    Without a source nothing is written.
    """
    for i in range(hole.shape[0]):
        y, x = hole[i]
        total, weight = 0.0, 0.0
        for j in range(sources.shape[0]):
            p, q = sources[j]
            w = 1.0 / ((p - y) * (p - y) + (q - x) * (q - x))
            total += w * values[j]
            weight += w
        if weight > 0.0:
            filled[i] = total / weight
