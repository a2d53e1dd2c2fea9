"""Compiled loops over the cells of a day. No checks here."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop


@compile_loop
def average_boxes(values, side, every, means):  # type: ignore[no-untyped-def]
    """Average the values of boxes of ``side`` rows and columns, of every ``every``-th row of them.

    ``means`` (boxes down, boxes across) float32 receives NaN where fewer than half of the values of a
    box that are looked at are there. Of the columns every ``every``-th is looked at too.
    """
    rows, columns = means.shape
    sums, counts = np.empty(columns, np.float32), np.empty(columns, np.int32)
    enough = (side // every) ** 2
    for i in range(rows):
        sums[:] = 0
        counts[:] = 0
        for k in range(every // 2, side, every):
            line = values[i * side + k]
            for j in range(columns):
                total, count = np.float32(0), 0
                for x in range(j * side + every // 2, (j + 1) * side, every):
                    value = line[x]
                    is_value = value == value
                    total += value if is_value else np.float32(0)
                    count += is_value
                sums[j] += total
                counts[j] += count
        for j in range(columns):
            means[i, j] = sums[j] / counts[j] if 2 * counts[j] >= enough and counts[j] else np.nan


@compile_loop
def compare_boxes(day, reference, area, edge, sums):  # type: ignore[no-untyped-def]
    """Add up what changed from ``reference`` to ``day`` where both have a value.

    ``sums`` (11,) float64 receives: extent of ice on ``reference`` and on ``day``; area of ice on
    ``reference`` and on ``day`` in percent; area with ice on either; the absolute change there; then
    the sums of the normal equations of the displacement: yy, xy, xx, yd, xd.
    """
    rows, columns = day.shape
    sums[:] = 0
    for i in range(rows):
        for j in range(columns):
            new, old = day[i, j], reference[i, j]
            if not (new == new and old == old):
                continue
            weight = np.float64(area[i, j])
            difference = np.float64(new) - np.float64(old)
            has_old, has_new = old >= edge, new >= edge
            sums[0] += weight if has_old else 0.0
            sums[1] += weight if has_new else 0.0
            sums[2] += weight * old
            sums[3] += weight * new
            if not (has_old or has_new):
                continue
            sums[4] += weight
            sums[5] += weight * abs(difference)
            if 0 < i < rows - 1 and 0 < j < columns - 1:
                y = day[i + 1, j] - day[i - 1, j] + reference[i + 1, j] - reference[i - 1, j]
                x = day[i, j + 1] - day[i, j - 1] + reference[i, j + 1] - reference[i, j - 1]
                if y == y and x == x:
                    y, x = 0.25 * np.float64(y), 0.25 * np.float64(x)
                    sums[6] += weight * y * y
                    sums[7] += weight * x * y
                    sums[8] += weight * x * x
                    sums[9] += weight * y * difference
                    sums[10] += weight * x * difference


@compile_loop
def mark_odd_boxes(day, reference, reach, margin, odd):  # type: ignore[no-untyped-def]
    """Mark boxes more than ``margin`` beyond all values of ``reference`` within ``reach`` boxes.

    ``odd`` (rows, columns) int8 receives 1 above, -1 below, 0 elsewhere.
    """
    rows, columns = day.shape
    for i in range(rows):
        for j in range(columns):
            odd[i, j] = 0
            value = day[i, j]
            difference = value - reference[i, j]
            if not (difference > margin or difference < -margin):  # also where either is missing
                continue
            is_odd = True
            for y in range(max(0, i - reach), min(rows, i + reach + 1)):
                for x in range(max(0, j - reach), min(columns, j + reach + 1)):
                    near = reference[y, x]
                    if near == near:
                        change = value - near if difference > 0 else near - value
                        is_odd = is_odd and change > margin
            if is_odd:
                odd[i, j] = 1 if difference > 0 else -1
