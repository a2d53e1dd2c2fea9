"""Compiled loops. Arrays and scalars in, output arrays passed in; no checks here.

Every output is a sum in one fixed order over its own sources, so the result depends
neither on the number of threads nor on how the days are cut into batches.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

TILE = 32

OBSERVED, TWO_SIDED, ONE_SIDED, GAUSSIAN, POLE_HOLE = 0, 1, 2, 3, 4
LAND, NOT_FILLED = 254, 255


@njit(parallel=True, cache=True)
def classify(stack, first, end, ocean, values, flag):  # type: ignore[no-untyped-def]
    """Copy frames first..end-1 and flag observed, land and missing cells."""
    rows, columns = ocean.shape
    for y in prange(rows):
        for t in range(first, end):
            for x in range(columns):
                v = stack[t, y, x]
                if not ocean[y, x]:
                    values[t - first, y, x] = np.nan
                    flag[t - first, y, x] = LAND
                else:
                    values[t - first, y, x] = v
                    flag[t - first, y, x] = OBSERVED if v == v else NOT_FILLED


@njit(parallel=True, cache=True)
def temporal(stack, first, end, max_gap, one_sided, past_only, values, flag, days):  # type: ignore[no-untyped-def]
    """Fill what is flagged NOT_FILLED from the nearest observed days of the same cell.

    O(days x cells): one pass forwards finds the last observed day, one backwards the next.
    """
    depth, rows, columns = stack.shape
    start = max(0, first - max_gap)
    stop = min(depth, end + max_gap)
    for y in prange(rows):
        before = np.full(columns, -1000000, np.int64)
        after = np.full(columns, 1000000, np.int64)
        back = np.empty((end - first, columns), np.int64)
        for t in range(start, end):
            for x in range(columns):
                if stack[t, y, x] == stack[t, y, x]:
                    before[x] = t
            if t >= first:
                back[t - first] = before
        for t in range(stop - 1, first - 1, -1):
            for x in range(columns):
                if stack[t, y, x] == stack[t, y, x]:
                    after[x] = t
            if t >= end:
                continue
            k = t - first
            for x in range(columns):
                if flag[k, y, x] != NOT_FILLED:
                    continue
                b = t - back[k, x]
                f = 1000000 if past_only else after[x] - t
                if b <= max_gap and f <= max_gap:
                    p = np.float64(stack[t - b, y, x])
                    n = np.float64(stack[t + f, y, x])
                    values[k, y, x] = p + b * (n - p) / (b + f)
                    flag[k, y, x] = TWO_SIDED
                    days[k, y, x] = 10 * b + f
                elif b <= one_sided:
                    values[k, y, x] = stack[t - b, y, x]
                    flag[k, y, x] = ONE_SIDED
                    days[k, y, x] = 10 * b
                elif f <= one_sided:
                    values[k, y, x] = stack[t + f, y, x]
                    flag[k, y, x] = ONE_SIDED
                    days[k, y, x] = f


@njit(cache=True)
def _need_box(need, flag, y0, y1, x0, x1):  # type: ignore[no-untyped-def]
    """Bounding box of the cells to fill within a tile; empty if top > bottom."""
    top, bottom, left, right = y1, y0 - 1, x1, x0 - 1
    for y in range(y0, y1):
        for x in range(x0, x1):
            if flag[y, x] == NOT_FILLED and need[y, x]:
                top, bottom = min(top, y), max(bottom, y)
                left, right = min(left, x), max(right, x)
    return top, bottom + 1, left, right + 1


@njit(cache=True)
def _gaussian_box(  # type: ignore[no-untyped-def]
    source, t, lead, ocean, need, weight_t, weight_s, box, smallest, values, flag
):
    """Three one-dimensional passes of sum(w v) and sum(w) over one box of cells."""
    depth, rows, columns = source.shape
    top, bottom, left, right = box
    reach_t, reach_s = weight_t.size - 1, weight_s.size - 1
    a0, a1 = max(0, top - reach_s), min(rows, bottom + reach_s)
    b0, b1 = max(0, left - reach_s), min(columns, right + reach_s)
    over_t = np.zeros((2, a1 - a0, b1 - b0))
    for s in range(max(0, t - reach_t), min(depth, t + lead + 1)):
        w = weight_t[abs(s - t)]
        for y in range(a0, a1):
            for x in range(b0, b1):
                v = source[s, y, x]
                seen = ocean[y, x] and v == v
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
            if flag[y, x] != NOT_FILLED or not need[y, x]:
                continue
            total, weight = 0.0, 0.0
            for q in range(max(b0, x - reach_s), min(b1, x + reach_s + 1)):
                w = weight_s[abs(q - x)]
                total += w * over_y[0, q - b0]
                weight += w * over_y[1, q - b0]
            if weight > smallest:
                values[y, x] = total / weight
                flag[y, x] = GAUSSIAN


@njit(parallel=True, cache=True)
def gaussian(  # type: ignore[no-untyped-def]
    source, first, end, past_only, ocean, need, weight_t, weight_s, smallest, values, flag
):
    """Fill what is flagged NOT_FILLED from a space-time window of ``source``.

    ``source`` is never written to, so a value of this pass feeds no other. Only tiles that
    hold something to fill are worked on, and of them only the box around those cells.
    """
    rows, columns = ocean.shape
    bands = (rows + TILE - 1) // TILE
    lead = 0 if past_only else weight_t.size - 1
    for job in prange(bands * (end - first)):
        k = job // bands
        y0 = (job % bands) * TILE
        y1 = min(rows, y0 + TILE)
        for x0 in range(0, columns, TILE):
            box = _need_box(need, flag[k], y0, y1, x0, min(columns, x0 + TILE))
            if box[0] < box[1]:
                _gaussian_box(
                    source,
                    first + k,
                    lead,
                    ocean,
                    need,
                    weight_t,
                    weight_s,
                    box,
                    smallest,
                    values[k],
                    flag[k],
                )


@njit(cache=True)
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


@njit(parallel=True, cache=True)
def pack(values, flag, hole, steps, fill_value, packed, counts):  # type: ignore[no-untyped-def]
    """Round values to whole steps (``steps`` a unit) and count the flags of every row.

    Columns of ``counts`` (rows, 7): observed, two-sided, one-sided, Gaussian, pole hole,
    missing ocean outside the pole hole, missing pole hole.
    """
    rows, columns = flag.shape
    for y in prange(rows):
        counts[y] = 0
        for x in range(columns):
            code = flag[y, x]
            if code in (LAND, NOT_FILLED):
                packed[y, x] = fill_value
                if code == NOT_FILLED:
                    counts[y, 6 if hole[y, x] else 5] += 1
            else:
                packed[y, x] = np.int16(np.rint(np.float64(values[y, x]) * steps))
                counts[y, code] += 1
