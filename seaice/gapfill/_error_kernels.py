"""Compiled loops of the expected error; see :mod:`seaice.gapfill._kernels` for the conventions."""

from __future__ import annotations

import numpy as np

from seaice.gapfill._kernels import has_value_in_time
from seaice.runtime.compiled_kernels import compile_loop

# Logarithms of 1 to 256: days, changes and distances are whole numbers.
LOGARITHM = np.log(np.arange(1.0, 257.0))


@compile_loop
def distance_in_time_filled(flag, distance):  # type: ignore[no-untyped-def]
    """Steps along rows and columns to the nearest cell observed or filled in time, at most 255.

    Two sweeps: down and to the right, then up and to the left; each takes the distance of the
    neighbours that it has passed, plus one.
    """
    rows, columns = flag.shape
    for y in range(rows):
        for x in range(columns):
            d = 0 if has_value_in_time(flag[y, x]) else 255
            if y > 0:
                d = min(d, distance[y - 1, x] + 1)
            if x > 0:
                d = min(d, distance[y, x - 1] + 1)
            distance[y, x] = min(d, 255)
    for y in range(rows - 1, -1, -1):
        for x in range(columns - 1, -1, -1):
            d = int(distance[y, x])
            if y < rows - 1:
                d = min(d, distance[y + 1, x] + 1)
            if x < columns - 1:
                d = min(d, distance[y, x + 1] + 1)
            distance[y, x] = min(d, 255)


@compile_loop
def _roughness(values, y, x):  # type: ignore[no-untyped-def]
    """Standard deviation of the values in the 3 x 3 cells about a cell."""
    n, first, total, squares = 0, 0.0, 0.0, 0.0
    for p in range(max(0, y - 1), min(values.shape[0], y + 2)):
        for q in range(max(0, x - 1), min(values.shape[1], x + 2)):
            v = np.float64(values[p, q])
            if v == v:
                if n == 0:
                    first = v
                n += 1
                total += v - first
                squares += (v - first) * (v - first)
    mean = total / n
    return np.sqrt(max(0.0, squares / n - mean * mean))


@compile_loop
def error_terms(values, days, change, distance, y, x, terms):  # type: ignore[no-untyped-def]
    """The terms of one filled cell (:data:`seaice.gapfill.expected_error.TERMS`)."""
    back, forward = days[y, x] // 10, days[y, x] % 10
    if back > 0 and forward > 0:
        near, span, differ = min(back, forward), back + forward, LOGARITHM[change[y, x]]
    else:
        near, span, differ = max(back, forward), max(back, forward), 0.0
    part = min(max(values[y, x] / 100.0, 0.0), 1.0)
    rough = np.log(_roughness(values, y, x) + 1.0)
    terms[0] = 1.0
    terms[1] = rough
    terms[2] = rough * rough
    terms[3] = differ
    terms[4] = differ * differ
    terms[5] = rough * differ
    terms[6] = LOGARITHM[near - 1] if near > 0 else -LOGARITHM[1]
    terms[7] = LOGARITHM[span - 1] if span > 0 else 0.0
    terms[8] = np.log(part * (1.0 - part) + 0.02)
    terms[9] = part
    terms[10] = part * part
    terms[11] = LOGARITHM[distance[y, x]]


@compile_loop
def expected_error(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, days, change, distance, models, has_model, low, high, step, most, none, out
):
    """Expected standard error of every filled cell in steps; ``none`` where there is none."""
    terms = np.empty(models.shape[2])
    for y in range(y0, y1):
        for x in range(flag.shape[1]):
            code = flag[y, x]
            if not has_model[code]:
                out[y, x] = none
                continue
            error_terms(values, days, change, distance, y, x, terms)
            v = values[y, x]
            model = models[code, 0 if low < v < high else 1]
            total = 0.0
            for k in range(terms.size):
                total += model[k] * terms[k]
            steps = np.ceil(np.exp(min(total, 5.0)) / step)
            out[y, x] = np.uint8(min(max(steps, 1.0), most))


@compile_loop
def error_terms_of(values, days, change, distance, cells, terms):  # type: ignore[no-untyped-def]
    """The terms of the ``cells`` (n, 2)."""
    for i in range(cells.shape[0]):
        error_terms(values, days, change, distance, cells[i, 0], cells[i, 1], terms[i])
