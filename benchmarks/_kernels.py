"""The windowed loops that the Gaussian fill is measured against."""

from __future__ import annotations

import numpy as np
from numba import njit, prange


@njit(parallel=True, cache=True)
def windowed_loop(stack, wanted, t, kernel, smallest, values):  # type: ignore[no-untyped-def]
    """Fill the ``wanted`` missing cells of day ``t`` from the window around each.

    ``kernel`` (2 a + 1, 2 b + 1, 2 b + 1) holds the weights, computed beforehand.
    """
    days, rows, columns = stack.shape
    a, b = kernel.shape[0] // 2, kernel.shape[1] // 2
    for y in prange(rows):
        for x in range(columns):
            values[y, x] = stack[t, y, x]
            if stack[t, y, x] == stack[t, y, x] or not wanted[y, x]:
                continue
            total, weight = 0.0, 0.0
            for s in range(max(0, t - a), min(days, t + a + 1)):
                for q in range(max(0, y - b), min(rows, y + b + 1)):
                    for r in range(max(0, x - b), min(columns, x + b + 1)):
                        v = stack[s, q, r]
                        if v == v:
                            w = kernel[s - t + a, q - y + b, r - x + b]
                            total += w * v
                            weight += w
            values[y, x] = total / weight if weight > smallest else np.nan


@njit(parallel=True, cache=True)
def plain_loop(  # type: ignore[no-untyped-def]
    stack, wanted, t, time_window, space_window, alpha, sigma, smallest, values
):
    """The same as the formula stands: the weight of every source computed where it is used."""
    days, rows, columns = stack.shape
    for y in prange(rows):
        for x in range(columns):
            values[y, x] = stack[t, y, x]
            if not np.isnan(stack[t, y, x]) or not wanted[y, x]:
                continue
            total, weight = 0.0, 0.0
            for dt in range(-time_window, time_window + 1):
                for dy in range(-space_window, space_window + 1):
                    for dx in range(-space_window, space_window + 1):
                        s, q, r = t + dt, y + dy, x + dx
                        if s < 0 or s >= days or q < 0 or q >= rows or r < 0 or r >= columns:
                            continue
                        v = stack[s, q, r]
                        if np.isnan(v):
                            continue
                        w = np.exp(-(dx * dx + dy * dy + alpha * dt * dt) / (2 * sigma * sigma))
                        total += w * v
                        weight += w
            values[y, x] = total / weight if weight > smallest else np.nan
