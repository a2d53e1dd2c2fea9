"""Compiled loops of the expected error; see :mod:`seaice.gapfill._kernels` for the conventions."""

from __future__ import annotations

import numpy as np

from seaice.gapfill._kernels import PART, has_value_in_time
from seaice.runtime.compiled_kernels import compile_loop

# Logarithms of 1 to 256: days, changes and distances are whole numbers.
LOGARITHM = np.log(np.arange(1.0, 257.0))


@compile_loop
def distance_in_time_filled(flag, index, distance):  # type: ignore[no-untyped-def]
    """Steps along rows and columns to the nearest cell observed or filled in time, at most 255.

    Of every cell of the grid, also on land. Two sweeps: down and to the right, then up and to the
    left; each takes the distance of the neighbours that it has passed, plus one.
    """
    rows, columns = index.shape
    for y in range(rows):
        for x in range(columns):
            c = index[y, x]
            d = 0 if c >= 0 and has_value_in_time(flag[c]) else 255
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
def _is_source_at(flag, index, y, x):  # type: ignore[no-untyped-def]
    if not (0 <= y < index.shape[0] and 0 <= x < index.shape[1]):
        return False
    c = index[y, x]
    return c >= 0 and has_value_in_time(flag[c])


@compile_loop
def near_distance(chosen, rows, columns, flag, index, limit, distance):  # type: ignore[no-untyped-def]
    """The same distance for the cells ``chosen`` alone; False if it is above ``limit`` somewhere.

    Ring after ring is searched. Beside a cell the distance is at most one less than its own.
    """
    previous = -2
    for i in range(chosen.size):
        c = chosen[i]
        y, x = np.int64(rows[c]), np.int64(columns[c])
        beside = c == previous + 1 and x > 0 and index[y, x - 1] == previous
        ring = max(1, distance[i - 1] - 1) if beside else 1
        previous = c
        while ring <= limit:
            hit = False
            for k in range(ring):
                hit = (
                    _is_source_at(flag, index, y - ring + k, x + k)
                    or _is_source_at(flag, index, y + k, x + ring - k)
                    or _is_source_at(flag, index, y + ring - k, x - k)
                    or _is_source_at(flag, index, y - k, x - ring + k)
                )
                if hit:
                    break
            if hit:
                break
            ring += 1
        if ring > limit:
            return False
        distance[i] = ring
    return True


@compile_loop
def _find_even(cell, above, below, out):  # type: ignore[no-untyped-def]
    """0 for cells of a run with the same value in the 3 x 3 cells about them, -1 for others.

    ``cell``, ``above`` and ``below`` are the values of the run and of the rows beside it, from the
    column before the run to the one behind it.
    """
    for k in range(out.size):
        v = cell[k + 1]
        is_even = (
            (cell[k] == v)
            & (cell[k + 2] == v)
            & (above[k] == v)
            & (above[k + 1] == v)
            & (above[k + 2] == v)
            & (below[k] == v)
            & (below[k + 1] == v)
            & (below[k + 2] == v)
        )
        out[k] = 0.0 if is_even else -1.0


@compile_loop
def _roughness_at(y, x, values, index):  # type: ignore[no-untyped-def]
    n, first, total, squares = 0, 0.0, 0.0, 0.0
    for p in range(max(0, y - 1), min(index.shape[0], y + 2)):
        for q in range(max(0, x - 1), min(index.shape[1], x + 2)):
            c = index[p, q]
            if c < 0:
                continue
            v = np.float64(values[c])
            if v == v:
                if n == 0:
                    first = v
                n += 1
                total += v - first
                squares += (v - first) * (v - first)
    mean = total / n
    return np.sqrt(max(0.0, squares / n - mean * mean))


@compile_loop
def measure_roughness(cells, rows, columns, values, index, inner, out):  # type: ignore[no-untyped-def]
    """Standard deviation of the values in the 3 x 3 cells about each cell, which has one itself."""
    i = 0
    while i < cells.size:
        c, n = np.int64(cells[i]), 1
        y, x = np.int64(rows[c]), np.int64(columns[c])
        out[i] = -1.0
        if inner[c]:
            while i + n < cells.size and cells[i + n] == c + n and inner[c + n]:
                n += 1
            a, b = np.int64(index[y - 1, x]), np.int64(index[y + 1, x])
            beside = values[a - 1 : a + n + 1], values[b - 1 : b + n + 1]
            _find_even(values[c - 1 : c + n + 1], *beside, out[i : i + n])
        for k in range(n):
            if out[i + k] < 0.0:
                out[i + k] = _roughness_at(y, x + k, values, index)
        i += n


@compile_loop
def error_terms(cells, roughness, distance, values, days, change, terms):  # type: ignore[no-untyped-def]
    """The terms (n, terms) of filled cells (:data:`seaice.gapfill.expected_error.TERMS`)."""
    for i in range(cells.size):
        c = cells[i]
        back, forward = np.int64(days[c]) // 10, np.int64(days[c]) % 10
        if back > 0 and forward > 0:
            near, span, differ = min(back, forward), back + forward, LOGARITHM[change[c]]
        else:
            near, span, differ = max(back, forward), max(back, forward), 0.0
        part = min(max(values[c] / 100.0, 0.0), 1.0)
        mixture = part * (1.0 - part)
        # Many cells are open water or closed ice in the midst of the same: two logarithms less.
        rough = np.log(roughness[i] + 1.0) if roughness[i] > 0.0 else 0.0
        terms[i, 0] = 1.0
        terms[i, 1] = rough
        terms[i, 2] = rough * rough
        terms[i, 3] = differ
        terms[i, 4] = differ * differ
        terms[i, 5] = rough * differ
        terms[i, 6] = LOGARITHM[near - 1] if near > 0 else -LOGARITHM[1]
        terms[i, 7] = LOGARITHM[span - 1] if span > 0 else 0.0
        terms[i, 8] = np.log(mixture + 0.02) if mixture > 0.0 else np.log(0.0 + 0.02)
        terms[i, 9] = part
        terms[i, 10] = part * part
        terms[i, 11] = LOGARITHM[distance[c]]


@compile_loop
def _list_uneven(  # type: ignore[no-untyped-def]
    cells, roughness, distance, values, flag, days, change, computed, out
):
    """Look up the errors of cells in the midst of open water or closed ice; list all others.

    ``computed`` (2, flags, days) are the steps for water and ice, 0 where none have been computed.
    """
    count = 0
    for i in range(cells.size):
        c = cells[i]
        steps = np.uint8(0)
        if roughness[i] == 0.0 and change[c] == 0 and distance[c] == 0:
            if values[c] == 0.0:
                steps = computed[0, flag[c], days[c]]
            elif values[c] == 100.0:
                steps = computed[1, flag[c], days[c]]
        if steps > 0:
            out[c] = steps
        else:
            cells[count], roughness[count] = c, roughness[i]
            count += 1
    return count


@compile_loop
def expected_error(  # type: ignore[no-untyped-def]
    i0, i1, gaps, rows, columns, distance, values, flag, days, change, index, inner, models, has_model,
    low, high, step, most, out,
):  # fmt: skip
    """Expected standard error, in steps, of those of the cells ``gaps`` whose flag has a model."""
    cells, terms = np.empty(PART, np.int32), np.empty((PART, models.shape[2]))
    roughness = np.empty(PART)
    computed = np.zeros((2, 256, 100), np.uint8)
    # Part by part: a call for each cell, with a dozen arrays, would cost more than its work.
    for first in range(i0, i1, PART):
        count = 0
        for i in range(first, min(i1, first + PART)):
            if has_model[flag[gaps[i]]]:
                cells[count] = gaps[i]
                count += 1
        measure_roughness(cells[:count], rows, columns, values, index, inner, roughness)
        count = _list_uneven(
            cells[:count], roughness, distance, values, flag, days, change, computed, out
        )
        error_terms(cells[:count], roughness, distance, values, days, change, terms)
        for i in range(count):
            c = cells[i]
            v = values[c]
            kind = 0 if low < v < high else 1
            total = 0.0
            for k in range(terms.shape[1]):
                total += models[flag[c], kind, k] * terms[i, k]
            steps = np.uint8(min(max(np.ceil(np.exp(min(total, 5.0)) / step), 1.0), most))
            out[c] = steps
            if roughness[i] == 0.0 and change[c] == 0 and distance[c] == 0 and (v == 0.0 or v == 100.0):
                computed[np.int64(v > 0.0), flag[c], days[c]] = steps
