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
# Cells that are worked on together: what is computed on the way stays in the processor's cache.
PART = 512

# Plain numbers: compiled code takes them as constants.
OBSERVED = int(FillFlag.OBSERVED)
TWO_SIDED, ONE_SIDED = int(FillFlag.TEMPORAL_TWO_SIDED), int(FillFlag.TEMPORAL_ONE_SIDED)
GAUSSIAN, POLE_HOLE = int(FillFlag.SPACETIME_GAUSSIAN), int(FillFlag.POLE_HOLE)
DEPARTURE_TWO_SIDED = int(FillFlag.DEPARTURE_TWO_SIDED)
DEPARTURE_ONE_SIDED = int(FillFlag.DEPARTURE_ONE_SIDED)
KRIGED_ONE_SIDED = int(FillFlag.KRIGED_ONE_SIDED)
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
def compress_raw_day(  # type: ignore[no-untyped-def]
    i0, i1, cell, row, column, length, field, values, flag, blocks
):
    """Copy runs of ocean cells of a raw field, and flag the cells as observed or missing.

    The runs are those of :class:`seaice.gapfill.ocean_cells.Runs`. Blocks that hold a value other than
    0 are marked, unless ``blocks`` is empty. Two threads may mark a block; both write the same.
    """
    for i in range(i0, i1):
        a, x, n = cell[i], column[i], length[i]
        source, vector, code = field[row[i], x : x + n], values[a : a + n], flag[a : a + n]
        for k in range(n):
            v = source[k]
            vector[k] = v
            code[k] = OBSERVED if v == v else NOT_FILLED
        if blocks.size:
            _mark_ice(vector, x, blocks[row[i] // ICE_BLOCK])


# Side of the blocks of cells that are known to hold something other than 0, or not.
ICE_BLOCK = 8


@compile_loop
def _mark_ice(values, column, marks):  # type: ignore[no-untyped-def]
    """Mark the blocks of a row in which a run, which begins in a column, has a value other than 0."""
    x, first = np.int64(column), np.int64(column)
    while x < first + values.size:
        block = x // ICE_BLOCK
        end = min(first + values.size, (block + 1) * ICE_BLOCK)
        if not marks[block]:
            is_ice = False
            for k in range(x - first, end - first):
                is_ice |= (values[k] > 0) | (values[k] < 0)
            marks[block] = is_ice
        x = end


@compile_loop
def _is_open_water(ice, slot, y, x):  # type: ignore[no-untyped-def]
    """Whether all values of a day within :data:`ICE_BLOCK` cells are 0."""
    return not ice[slot, y // ICE_BLOCK, x // ICE_BLOCK]


# A cell that is missing on a day takes its nearest observation within so many days, where it is to tell
# what was around a gap.
NEAREST = 3


@compile_loop
def is_near_ice(ice, order, t, gap, y, x):  # type: ignore[no-untyped-def]
    """Whether there is ice about a cell on a day at an end of its gap, or on one that completes it.

    ``gap`` is 10 x days back + days forward; ``ice`` is that of :class:`seaice.gapfill.Frames`.
    """
    row, column = np.int64(y) // ICE_BLOCK, np.int64(x) // ICE_BLOCK
    back, forward = np.int64(gap) // 10, np.int64(gap) % 10
    is_near = False
    for k in range(NEAREST + 1):
        if back > 0 and t - back - k >= 0:
            is_near |= ice[order[t - back - k], row, column]
        if forward > 0 and t + forward + k < order.size:
            is_near |= ice[order[t + forward + k], row, column]
    return is_near


@compile_loop
def list_gaps(flag, gaps):  # type: ignore[no-untyped-def]
    """List the cells of a day that are not flagged OBSERVED; returns how many there are."""
    count = 0
    for c in range(flag.size):
        gaps[count] = c
        count += flag[c] != OBSERVED
    return count


@compile_loop
def select_cells(cells, codes, code, selected):  # type: ignore[no-untyped-def]
    """List those of some cells that have a code; returns how many there are."""
    count = 0
    for c in cells:
        selected[count] = c
        count += codes[c] == code
    return count


@compile_loop
def has_value_in_time(code):  # type: ignore[no-untyped-def]
    """Whether a cell of this flag is observed or filled in time (codes 0 to 2 and 10 to 15)."""
    return code <= ONE_SIDED or DEPARTURE_TWO_SIDED <= code <= KRIGED_ONE_SIDED


@compile_loop
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


@compile_loop
def _find_days(cells, flag, order, t, limits, past_only, back, forward):  # type: ignore[no-untyped-def]
    """Days to the nearest observed values of each cell before and after; 0 and 0 if too far."""
    max_gap, one_sided = limits
    before = min(max_gap, t)
    after = 0 if past_only else min(max_gap, order.size - 1 - t)
    for i in range(cells.size):
        b = _distance_to_observed(flag, order, t, -1, before, cells[i])
        f = _distance_to_observed(flag, order, t, 1, after, cells[i])
        if (b > 0 and f > 0) or b + f <= one_sided:
            back[i], forward[i] = b, f


@compile_loop
def _smear_run(values, flag, first, side, means):  # type: ignore[no-untyped-def]
    """The means of :func:`_smear` for cells beside each other, all of whose neighbours are ocean.

    ``first`` are the first cell, the one above it and the one below it. What is not observed counts
    as 0 with weight 0, so that many cells are done at once.
    """
    c, above, below = first
    n = means.size
    v, code = values[c - 1 : c + n + 1], flag[c - 1 : c + n + 1]
    v_above, code_above = values[above - 1 : above + n + 1], flag[above - 1 : above + n + 1]
    v_below, code_below = values[below - 1 : below + n + 1], flag[below - 1 : below + n + 1]
    for k in range(n):
        total, weight = np.float64(v[k + 1]), 1.0
        for r in range(3):
            w = side if r == 1 else side * side
            is_source = code_above[k + r] == OBSERVED
            total += w * (np.float64(v_above[k + r]) if is_source else 0.0)
            weight += w if is_source else 0.0
        for r in range(0, 3, 2):
            is_source = code[k + r] == OBSERVED
            total += side * (np.float64(v[k + r]) if is_source else 0.0)
            weight += side if is_source else 0.0
        for r in range(3):
            w = side if r == 1 else side * side
            is_source = code_below[k + r] == OBSERVED
            total += w * (np.float64(v_below[k + r]) if is_source else 0.0)
            weight += w if is_source else 0.0
        means[k] = total / weight


@compile_loop
def _smear_one(values, flag, slot, index, y, x, side):  # type: ignore[no-untyped-def]
    """The mean of :func:`_smear` for one cell."""
    total, weight = np.float64(values[slot, index[y, x]]), 1.0
    for q in range(max(0, y - 1), min(index.shape[0], y + 2)):
        for r in range(max(0, x - 1), min(index.shape[1], x + 2)):
            n = index[q, r]
            if n >= 0 and (q != y or r != x) and flag[slot, n] == OBSERVED:
                w = side if q == y or r == x else side * side
                total += w * values[slot, n]
                weight += w
    return total / weight


@compile_loop
def _smear(  # type: ignore[no-untyped-def]
    cells, days, step, values, flag, ice, order, t, index, inner, rows, columns, beside, means
):
    """Means of the observed cells at and around each cell, so many days away, by rows and columns.

    0 days stand for no day: the mean stays as it is, which is 0 at first.
    """
    i = 0
    while i < cells.size:
        c, d, n = cells[i], days[i], 1
        slot, side = order[t + step * d], beside[d]
        if d == 0 or _is_open_water(ice, slot, rows[c], columns[c]):
            block = (rows[c] // ICE_BLOCK, columns[c] // ICE_BLOCK)
            while (
                i + n < cells.size and days[i + n] == d
                and (rows[cells[i + n]] // ICE_BLOCK, columns[cells[i + n]] // ICE_BLOCK) == block
            ):  # fmt: skip
                n += 1
        elif side == 0.0:
            means[i] = values[slot, c]
        else:
            while (
                inner[c] and i + n < cells.size and cells[i + n] == c + n and days[i + n] == d
                and inner[c + n]
            ):  # fmt: skip
                n += 1
            if n == 1:
                means[i] = _smear_one(values, flag, slot, index, rows[c], columns[c], side)
            else:
                first = (np.int64(c), index[rows[c] - 1, columns[c]], index[rows[c] + 1, columns[c]])
                _smear_run(values[slot], flag[slot], first, side, means[i : i + n])
        i += n


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
def _is_block_near(flag, slot, index, observed, row, column, margin):  # type: ignore[no-untyped-def]
    """Whether a block, or one within ``margin`` blocks of it, holds an observed cell.

    ``observed`` (rows, columns of blocks) remembers the answer for each of them.
    """
    is_near = False
    for q in range(max(0, row - margin), min(observed.shape[0], row + margin + 1)):
        for r in range(max(0, column - margin), min(observed.shape[1], column + margin + 1)):
            if observed[q, r] == UNKNOWN:
                observed[q, r] = YES if _is_block_observed(flag, slot, index, q, r) else NO
            if observed[q, r] == YES:
                is_near = True
    return is_near


@compile_loop
def _has_neighbour(flag, slot, before, after, index, y, x, reach):  # type: ignore[no-untyped-def]
    """Whether a cell within so many rows and columns is observed on all three days."""
    for q in range(max(0, y - reach), min(index.shape[0], y + reach + 1)):
        for r in range(max(0, x - reach), min(index.shape[1], x + reach + 1)):
            n = index[q, r]
            if n >= 0 and not flag[slot, n] | flag[before, n] | flag[after, n]:
                return True
    return False


@compile_loop
def _departures_beside(  # type: ignore[no-untyped-def]
    cells, back, forward, values, flag, ice, order, t, index, rows, columns, observed, near, weight_s,
    is_refilled, sums
):  # fmt: skip
    """Sums over the neighbours of each cell that are observed on all three days, and their range.

    ``sums`` (n, 4) receives sum(w departure), sum(w), the smallest and the largest value on the day
    itself. Where all of them are 0 it is enough to know that there is one. ``observed`` and ``near``
    (rows, columns of blocks) remember for each block whether it holds an observed cell and whether
    one is near. Two threads may look at a block at a time; both write the same.
    """
    here, reach = order[t], weight_s.size - 1
    margin, v_here, code = -(-reach // BLOCK), values[here], flag[here]
    last, is_later, is_open = np.int64(-1), False, False
    for i in range(cells.size):
        c, b, f = cells[i], back[i], forward[i]
        sums[i, 1] = 0.0
        y, x = np.int64(rows[c]), np.int64(columns[c])
        if b + f == 0:
            continue
        # From one side alone both ends are the same day.
        before, after = order[t - b if b > 0 else t + f], order[t + f if f > 0 else t - b]
        key = ((y // ICE_BLOCK) * ice.shape[2] + x // ICE_BLOCK) * 256 + 10 * b + f
        if key != last:
            # Cells beside each other mostly have the same answers.
            last = key
            is_later = bool(is_refilled[10 * b + f] and is_near_ice(ice, order, t, 10 * b + f, y, x))
            is_open = (
                reach <= ICE_BLOCK
                and _is_open_water(ice, here, y, x)
                and _is_open_water(ice, before, y, x)
                and _is_open_water(ice, after, y, x)
            )
        if is_later:
            continue
        row, column = y // BLOCK, x // BLOCK
        if near[row, column] == UNKNOWN:
            is_near = _is_block_near(flag, here, index, observed, row, column, margin)
            near[row, column] = YES if is_near else NO
        if near[row, column] == NO:
            continue
        if is_open:
            is_beside = _has_neighbour(flag, here, before, after, index, y, x, reach)
            sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3] = 0.0, 1.0 if is_beside else 0.0, 0.0, 0.0
            continue
        share = b / (b + f)
        total, weight, low, high = 0.0, 0.0, np.float32(np.inf), np.float32(-np.inf)
        left, right = max(0, x - reach), min(index.shape[1], x + reach + 1)
        v_before, v_after = values[before], values[after]
        code_before, code_after = flag[before], flag[after]
        for q in range(max(0, y - reach), min(index.shape[0], y + reach + 1)):
            w_row, numbers = weight_s[abs(q - y)], index[q]
            for r in range(left, right):
                n = np.int64(numbers[r])
                # OBSERVED is 0: the bits of the flags together are 0 if all three are observed.
                if n < 0 or code[n] | code_before[n] | code_after[n]:
                    continue
                v, p = v_here[n], np.float64(v_before[n])
                w = w_row * weight_s[abs(r - x)]
                total += w * (v - p - share * (v_after[n] - p))
                weight += w
                low, high = v if v < low else low, v if v > high else high
        sums[i, 0], sums[i, 1], sums[i, 2], sums[i, 3] = total, weight, low, high


@compile_loop
def _combine(  # type: ignore[no-untyped-def]
    cells, back, forward, ends, sums, shrinkage, values, flag, here, days, change
):
    """Write the values of cells: between both ``ends`` (2, n), plus their neighbours' departure."""
    for i in range(cells.size):
        c, b, f = cells[i], back[i], forward[i]
        if b + f == 0:
            continue
        two = b > 0 and f > 0
        # From one side alone the estimate is the value of that side.
        p = ends[0, i] if b > 0 else ends[1, i]
        n = ends[1, i] if f > 0 else ends[0, i]
        estimate, weight = p + b * (n - p) / (b + f), sums[i, 1]
        if weight > 0.0:
            estimate += sums[i, 0] / (weight + shrinkage)
            low, high = min(sums[i, 2], p, n), max(sums[i, 3], p, n)
            values[here, c] = min(max(estimate, low), high)
            flag[here, c] = DEPARTURE_TWO_SIDED if two else DEPARTURE_ONE_SIDED
        else:
            values[here, c] = estimate
            flag[here, c] = TWO_SIDED if two else ONE_SIDED
        days[c] = 10 * b + f
        # Rounded to the nearest whole unit, as the conversion drops the fraction.
        change[c] = np.uint8(min(abs(n - p) + 0.5, 255.0))


@compile_loop
def departure(  # type: ignore[no-untyped-def]
    i0, i1, todo, values, flag, ice, days, change, order, t, index, inner, rows, columns, observed,
    near, limits, past_only, beside, weight_s, shrinkage, is_refilled,
):  # fmt: skip
    """Fill cells in time, and correct by how observed neighbours departed.

    All sources are flagged OBSERVED, on this day and on others; what is written here is not.
    ``days`` and ``change`` (cells) are those of the day that is filled; ``beside[d]`` is the weight
    of the next row or column on a day d days away. ``ice`` is that of
    :class:`seaice.gapfill.Frames`; ``observed`` and ``near`` are those of
    :func:`_departures_beside`, unknown at first. Gaps (10 x days back + days forward) that
    ``is_refilled`` are filled once more where there is ice about: no neighbours are looked at.
    """
    # Part by part: a call for each cell, with a dozen arrays, would cost more than its work.
    for first in range(i0, i1, PART):
        cells = todo[first : min(i1, first + PART)]
        back, forward = np.zeros((2, cells.size), np.int64)
        _find_days(cells, flag, order, t, limits, past_only, back, forward)
        ends, sums = np.zeros((2, cells.size)), np.zeros((cells.size, 4))
        where = (index, inner, rows, columns, beside)
        _smear(cells, back, -1, values, flag, ice, order, t, *where, ends[0])
        _smear(cells, forward, 1, values, flag, ice, order, t, *where, ends[1])
        if weight_s.size > 1:
            _departures_beside(
                cells, back, forward, values, flag, ice, order, t, index, rows, columns, observed,
                near, weight_s, is_refilled, sums,
            )  # fmt: skip
        _combine(cells, back, forward, ends, sums, shrinkage, values, flag, order[t], days, change)


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
