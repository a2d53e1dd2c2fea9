"""Compiled loops over one day. Arrays and scalars in, output arrays passed in; no checks here.

Days come as ``frames`` (slots, rows, columns) and ``order``: frame ``order[i]`` is the i-th
calendar day, so that a ring of frames serves as well as a stack. Every output is a sum in
one fixed order over its own sources: the result depends neither on the number of threads
nor on how many days are in memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

TILE = 32

OBSERVED, TWO_SIDED, ONE_SIDED, GAUSSIAN, POLE_HOLE = 0, 1, 2, 3, 4
LAND, NOT_FILLED = 254, 255


@njit(parallel=True, cache=True)
def classify(frame, ocean, values, flag, days):  # type: ignore[no-untyped-def]
    """Copy a raw frame and flag observed, land and missing cells."""
    rows, columns = ocean.shape
    for y in prange(rows):
        for x in range(columns):
            v = frame[y, x]
            days[y, x] = 0
            if not ocean[y, x]:
                values[y, x] = np.nan
                flag[y, x] = LAND
            else:
                values[y, x] = v
                flag[y, x] = OBSERVED if v == v else NOT_FILLED


@njit(parallel=True, cache=True)
def temporal(  # type: ignore[no-untyped-def]
    frames, order, t, max_gap, one_sided, past_only, values, flag, days
):
    """Fill what is flagged NOT_FILLED from the nearest observed days of the same cell."""
    rows, columns = flag.shape
    far = 1000
    for y in prange(rows):
        for x in range(columns):
            if flag[y, x] != NOT_FILLED:
                continue
            b, f = far, far
            for k in range(1, min(max_gap, t) + 1):
                v = frames[order[t - k], y, x]
                if v == v:
                    b = k
                    break
            for k in range(1, 0 if past_only else min(max_gap, order.size - 1 - t) + 1):
                v = frames[order[t + k], y, x]
                if v == v:
                    f = k
                    break
            if b < far and f < far:
                p = np.float64(frames[order[t - b], y, x])
                n = np.float64(frames[order[t + f], y, x])
                values[y, x] = p + b * (n - p) / (b + f)
                flag[y, x] = TWO_SIDED
                days[y, x] = 10 * b + f
            elif b <= one_sided:
                values[y, x] = frames[order[t - b], y, x]
                flag[y, x] = ONE_SIDED
                days[y, x] = 10 * b
            elif f <= one_sided:
                values[y, x] = frames[order[t + f], y, x]
                flag[y, x] = ONE_SIDED
                days[y, x] = f


@njit(cache=True)
def _need_box(need, flag, y0, y1, x0, x1):  # type: ignore[no-untyped-def]
    """Bounding box of the cells to fill within a tile; empty if top >= bottom."""
    top, bottom, left, right = y1, y0 - 1, x1, x0 - 1
    for y in range(y0, y1):
        for x in range(x0, x1):
            if flag[y, x] == NOT_FILLED and need[y, x]:
                top, bottom = min(top, y), max(bottom, y)
                left, right = min(left, x), max(right, x)
    return top, bottom + 1, left, right + 1


@njit(cache=True)
def _gaussian_box(  # type: ignore[no-untyped-def]
    frames, order, t, lead, ocean, need, weight_t, weight_s, box, smallest, values, flag
):
    """Three one-dimensional passes of sum(w v) and sum(w) over one box of cells."""
    rows, columns = ocean.shape
    top, bottom, left, right = box
    reach_t, reach_s = weight_t.size - 1, weight_s.size - 1
    a0, a1 = max(0, top - reach_s), min(rows, bottom + reach_s)
    b0, b1 = max(0, left - reach_s), min(columns, right + reach_s)
    over_t = np.zeros((2, a1 - a0, b1 - b0))
    for s in range(max(0, t - reach_t), min(order.size, t + lead + 1)):
        w = weight_t[abs(s - t)]
        frame = frames[order[s]]
        for y in range(a0, a1):
            for x in range(b0, b1):
                v = frame[y, x]
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
    frames, order, t, past_only, ocean, need, weight_t, weight_s, smallest, values, flag
):
    """Fill what is flagged NOT_FILLED from a space-time window of ``frames``.

    ``frames`` are never written to, so a value of this pass feeds no other. Only tiles that
    hold something to fill are worked on, and of them only the box around those cells.
    """
    rows, columns = ocean.shape
    lead = 0 if past_only else weight_t.size - 1
    for band in prange((rows + TILE - 1) // TILE):
        y0 = band * TILE
        y1 = min(rows, y0 + TILE)
        for x0 in range(0, columns, TILE):
            box = _need_box(need, flag, y0, y1, x0, min(columns, x0 + TILE))
            if box[0] < box[1]:
                _gaussian_box(
                    frames,
                    order,
                    t,
                    lead,
                    ocean,
                    need,
                    weight_t,
                    weight_s,
                    box,
                    smallest,
                    values,
                    flag,
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
