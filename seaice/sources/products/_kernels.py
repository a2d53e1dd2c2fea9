"""Compiled loops over the cells of a day. Flat arrays in, output arrays passed in; no checks here."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop


@compile_loop
def look_up_cells(bits, percent_table, class_table, percent, classes):  # type: ignore[no-untyped-def]
    """Look up percent and class of every stored number; returns the highest class."""
    highest = np.uint8(0)
    for i in range(bits.size):
        number = bits[i]
        cell_class = class_table[number]
        percent[i] = percent_table[number]
        classes[i] = cell_class
        highest = max(highest, cell_class)
    return highest


@compile_loop
def look_up_errors(bits, table, error):  # type: ignore[no-untyped-def]
    """Look up the standard error of every stored number."""
    for i in range(bits.size):
        error[i] = table[bits[i]]


@compile_loop
def look_up_flags(bits, table, merged, classes, is_interpolated):  # type: ignore[no-untyped-def]
    """Change classes by the flags of the cells; returns the highest entry of the table that was met.

    The lower three bits of an entry are a class, the next one says that a value is interpolated;
    ``merged`` has the new class by that class, times eight, plus the class before.
    """
    highest = np.uint8(0)
    for i in range(bits.size):
        entry = table[bits[i]]
        highest = max(highest, entry)
        classes[i] = merged[(entry & 7) << 3 | classes[i]]
        is_interpolated[i] |= entry >> 3 & 1
    return highest


@compile_loop
def clear_cells(classes, percent, error, is_interpolated):  # type: ignore[no-untyped-def]
    """Clear all at cells without a value; returns the highest percent and how many lie above 0."""
    highest, count = np.float32(-1), 0
    for i in range(classes.size):
        if classes[i]:
            percent[i] = np.nan
        elif percent[i] > 0:
            count += 1
        if classes[i] and error.size:
            error[i] = np.nan
        if classes[i] and is_interpolated.size:
            is_interpolated[i] = False
        if percent[i] > highest:
            highest = percent[i]
    return highest, count
