"""Compiled loops over rows y0 to y1 of one day. Arrays are changed in place; no checks here.

Days come as arrays (slots, rows, columns) and ``order``: slot ``order[i]`` holds the i-th
calendar day, so that a ring of days serves as well as a stack. Whether a cell may be a source
follows from its flag, so a day can be filled in place. Every output is a sum in one
fixed order over its own sources: the result depends neither on the bands of rows nor on how
many days are in memory.

Comparing a value with itself (``v == v``) is the test for NaN: it is false for NaN alone, and it is
compiled to one instruction. Sums are in float64, values and flags stay float32 and uint8.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.runtime.compiled_kernels import compile_loop

# Side of the squares of cells that are filled at a time: their sources stay in the processor's cache.
TILE = 32

# Plain numbers: compiled code takes them as constants.
OBSERVED = int(FillFlag.OBSERVED)
TWO_SIDED, ONE_SIDED = int(FillFlag.TEMPORAL_TWO_SIDED), int(FillFlag.TEMPORAL_ONE_SIDED)
GAUSSIAN, POLE_HOLE = int(FillFlag.SPACETIME_GAUSSIAN), int(FillFlag.POLE_HOLE)
DEPARTURE_TWO_SIDED = int(FillFlag.DEPARTURE_TWO_SIDED)
DEPARTURE_ONE_SIDED = int(FillFlag.DEPARTURE_ONE_SIDED)
LAND, NOT_FILLED = int(FillFlag.LAND), int(FillFlag.NOT_FILLED)


@compile_loop
def has_value_in_time(code):  # type: ignore[no-untyped-def]
    """Whether a cell of this flag is observed or filled in time (codes 0, 1, 2, 10 and 11)."""
    return code <= ONE_SIDED or code in (DEPARTURE_TWO_SIDED, DEPARTURE_ONE_SIDED)


@compile_loop
def flag_raw_day(y0, y1, ocean, values, flag, days, change):  # type: ignore[no-untyped-def]
    """Flag observed, land and missing cells of a raw frame, and make land missing."""
    for y in range(y0, y1):
        for x in range(ocean.shape[1]):
            v = values[y, x]
            days[y, x] = 0
            change[y, x] = 0
            if not ocean[y, x]:
                values[y, x] = np.nan
                flag[y, x] = LAND
            else:
                flag[y, x] = OBSERVED if v == v else NOT_FILLED


@compile_loop
def temporal(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, days, change, order, t, max_gap, one_sided, past_only
):
    """Fill what is flagged NOT_FILLED from the nearest observed days of the same cell."""
    far = 1000  # no day
    here = order[t]
    before = min(max_gap, t)
    after = 0 if past_only else min(max_gap, order.size - 1 - t)
    for y in range(y0, y1):
        for x in range(flag.shape[2]):
            if flag[here, y, x] != NOT_FILLED:
                continue
            b, f = far, far
            for k in range(1, before + 1):
                if flag[order[t - k], y, x] == OBSERVED:
                    b = k
                    break
            for k in range(1, after + 1):
                if flag[order[t + k], y, x] == OBSERVED:
                    f = k
                    break
            if b < far and f < far:
                p = np.float64(values[order[t - b], y, x])
                n = np.float64(values[order[t + f], y, x])
                values[here, y, x] = p + b * (n - p) / (b + f)
                flag[here, y, x] = TWO_SIDED
                days[here, y, x] = 10 * b + f
                change[here, y, x] = np.uint8(min(abs(n - p) + 0.5, 255.0))
            elif b <= one_sided:
                values[here, y, x] = values[order[t - b], y, x]
                flag[here, y, x] = ONE_SIDED
                days[here, y, x] = 10 * b
            elif f <= one_sided:
                values[here, y, x] = values[order[t + f], y, x]
                flag[here, y, x] = ONE_SIDED
                days[here, y, x] = f


@compile_loop
def _distance_to_observed(flag, order, t, step, limit, y, x):  # type: ignore[no-untyped-def]
    """Days to the nearest observed value of a cell in one direction; 0 if there is none."""
    for k in range(1, limit + 1):
        if flag[order[t + step * k], y, x] == OBSERVED:
            return k
    return 0


@compile_loop
def _spread(values, flag, day, y, x, beside):  # type: ignore[no-untyped-def]
    """Mean of the observed cells at and around an observed one, weighted by rows and columns."""
    total, weight = np.float64(values[day, y, x]), 1.0
    if beside == 0.0:
        return total
    for q in range(max(0, y - 1), min(flag.shape[1], y + 2)):
        for r in range(max(0, x - 1), min(flag.shape[2], x + 2)):
            if flag[day, q, r] == OBSERVED and (q != y or r != x):
                w = beside if q == y or r == x else beside * beside
                total += w * values[day, q, r]
                weight += w
    return total / weight


@compile_loop
def _any_observed(flag, top, bottom, left, right):  # type: ignore[no-untyped-def]
    for y in range(max(0, top), min(flag.shape[0], bottom)):
        for x in range(max(0, left), min(flag.shape[1], right)):
            if flag[y, x] == OBSERVED:
                return True
    return False


@compile_loop
def _departure_beside(  # type: ignore[no-untyped-def]
    values, flag, here, before, after, share, y, x, weight_s
):
    """Sums over the neighbours observed on all three days, and the range of their values.

    Returns sum(w departure), sum(w), smallest and largest value on the day itself.
    """
    reach = weight_s.size - 1
    total, weight, low, high = 0.0, 0.0, np.inf, -np.inf
    for q in range(max(0, y - reach), min(flag.shape[1], y + reach + 1)):
        w_row = weight_s[abs(q - y)]
        for r in range(max(0, x - reach), min(flag.shape[2], x + reach + 1)):
            # OBSERVED is 0, so the bits of the three flags together are 0 if all three are observed.
            if flag[here, q, r] | flag[before, q, r] | flag[after, q, r]:
                continue
            v, p = np.float64(values[here, q, r]), np.float64(values[before, q, r])
            w = w_row * weight_s[abs(r - x)]
            total += w * (v - p - share * (values[after, q, r] - p))
            weight += w
            low, high = min(low, v), max(high, v)
    return total, weight, low, high


@compile_loop
def departure(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, days, change, order, t, limits, past_only, beside, weight_s, shrinkage
):
    """Fill what is flagged NOT_FILLED in time, and correct by how observed neighbours departed.

    All sources are flagged OBSERVED, on this day and on others; what is written here is not.
    ``beside[d]`` is the weight of the next row or column on a day d days away.
    """
    here, columns = order[t], flag.shape[2]
    max_gap, one_sided = limits
    before = min(max_gap, t)
    after = 0 if past_only else min(max_gap, order.size - 1 - t)
    reach = weight_s.size - 1
    for top in range(y0, y1, TILE):
        for left in range(0, columns, TILE):
            bottom, right = min(y1, top + TILE), min(columns, left + TILE)
            searched, near = reach == 0, False
            for y in range(top, bottom):
                for x in range(left, right):
                    if flag[here, y, x] != NOT_FILLED:
                        continue
                    b = _distance_to_observed(flag, order, t, -1, before, y, x)
                    f = _distance_to_observed(flag, order, t, 1, after, y, x)
                    two = b > 0 and f > 0
                    if not two and not 0 < b + f <= one_sided:
                        continue
                    if not searched:
                        searched = True
                        near = _any_observed(
                            flag[here], top - reach, bottom + reach, left - reach, right + reach
                        )
                    # From one side alone both ends are the same day: the estimate is its value.
                    i, k = order[t - b if b > 0 else t + f], order[t + f if f > 0 else t - b]
                    p = n = _spread(values, flag, i, y, x, beside[b if b > 0 else f])
                    if two:
                        n = _spread(values, flag, k, y, x, beside[f])
                    estimate = p + b * (n - p) / (b + f)
                    weight = 0.0
                    if near:
                        total, weight, low, high = _departure_beside(
                            values, flag, here, i, k, b / (b + f), y, x, weight_s
                        )
                        estimate += total / (weight + shrinkage)
                    if weight > 0.0:
                        low, high = min(low, p, n), max(high, p, n)
                        values[here, y, x] = min(max(estimate, low), high)
                        flag[here, y, x] = DEPARTURE_TWO_SIDED if two else DEPARTURE_ONE_SIDED
                    else:
                        values[here, y, x] = estimate
                        flag[here, y, x] = TWO_SIDED if two else ONE_SIDED
                    days[here, y, x] = 10 * b + f
                    # Rounded to the nearest whole unit, as the conversion drops the fraction.
                    change[here, y, x] = np.uint8(min(abs(n - p) + 0.5, 255.0))


@compile_loop
def _box_to_fill(may_fill, flag, y0, y1, x0, x1):  # type: ignore[no-untyped-def]
    """Bounding box of the cells to fill within a tile; empty if top >= bottom."""
    top, bottom, left, right = y1, y0 - 1, x1, x0 - 1
    for y in range(y0, y1):
        for x in range(x0, x1):
            if flag[y, x] == NOT_FILLED and may_fill[y, x]:
                top, bottom = min(top, y), max(bottom, y)
                left, right = min(left, x), max(right, x)
    return top, bottom + 1, left, right + 1


@compile_loop
def _gaussian_box(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, may_fill, weight_t, weight_s, box, smallest
):
    """Three one-dimensional passes of sum(w v) and sum(w) over one box of cells."""
    rows, columns = may_fill.shape
    here = order[t]
    top, bottom, left, right = box
    reach_t, reach_s = weight_t.size - 1, weight_s.size - 1
    a0, a1 = max(0, top - reach_s), min(rows, bottom + reach_s)
    b0, b1 = max(0, left - reach_s), min(columns, right + reach_s)
    over_t = np.zeros((2, a1 - a0, b1 - b0))
    for s in range(max(0, t - reach_t), min(order.size, t + lead + 1)):
        w = weight_t[abs(s - t)]
        frame, code = values[order[s]], flag[order[s]]
        for y in range(a0, a1):
            for x in range(b0, b1):
                v = frame[y, x]
                c = code[y, x]
                seen = has_value_in_time(c)
                over_t[0, y - a0, x - b0] += w * v if seen else 0.0
                over_t[1, y - a0, x - b0] += w if seen else 0.0
    over_y = np.zeros((2, b1 - b0))
    for y in range(top, bottom):
        over_y[:] = 0.0
        for q in range(max(a0, y - reach_s), min(a1, y + reach_s + 1)):
            w = weight_s[abs(q - y)]
            for x in range(b1 - b0):
                over_y[0, x] += w * over_t[0, q - a0, x]
                over_y[1, x] += w * over_t[1, q - a0, x]
        for x in range(left, right):
            if flag[here, y, x] != NOT_FILLED or not may_fill[y, x]:
                continue
            total, weight = 0.0, 0.0
            for q in range(max(b0, x - reach_s), min(b1, x + reach_s + 1)):
                w = weight_s[abs(q - x)]
                total += w * over_y[0, q - b0]
                weight += w * over_y[1, q - b0]
            if weight > smallest:
                values[here, y, x] = total / weight
                flag[here, y, x] = GAUSSIAN


@compile_loop
def gaussian(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, order, t, past_only, may_fill, weight_t, weight_s, smallest
):
    """Fill what is flagged NOT_FILLED from a space-time window.

    Sources are observed values and those filled in time; what this pass writes bears another
    flag and feeds no other value. Only tiles that hold something to fill are worked on, and of
    them only the box around those cells.
    """
    columns = may_fill.shape[1]
    lead = 0 if past_only else weight_t.size - 1
    for top in range(y0, y1, TILE):
        for left in range(0, columns, TILE):
            box = _box_to_fill(
                may_fill, flag[order[t]], top, min(y1, top + TILE), left, min(columns, left + TILE)
            )
            if box[0] < box[1]:
                _gaussian_box(values, flag, order, t, lead, may_fill, weight_t, weight_s, box, smallest)


@compile_loop
def pole_hole(values, flag, hole, cells, filled):  # type: ignore[no-untyped-def]
    """Inverse-distance-squared mean of the valid ``cells`` (n, 2) for every missing hole cell.

    ``filled`` receives the values, so that none of them is a source.
    """
    for i in range(hole.shape[0]):
        y, x = hole[i]
        filled[i] = np.nan
        if flag[y, x] != NOT_FILLED:
            continue
        total, weight = 0.0, 0.0
        for j in range(cells.shape[0]):
            p, q = cells[j]
            v = values[p, q]
            if v == v:
                w = 1.0 / ((p - y) * (p - y) + (q - x) * (q - x))
                total += w * v
                weight += w
        if weight > 0.0:
            filled[i] = total / weight
