"""Compiled loops that follow the ice of cells day by day."""

from __future__ import annotations

import numpy as np

from seaice.ice_index.dates.events import MOST, NO_DAY, VALUE
from seaice.runtime.compiled_kernels import compile_loop

INFINITE, MISSING = np.float64(np.inf), np.float64(np.nan)
# Rows of ``last``, and of ``first``; of ``above`` and ``thresholds``.
OPENING, RETREAT = 0, 1
FIRST_ICE, ADVANCE, CLOSING = 0, 1, 2
EDGE, CLOSED = 0, 1


@compile_loop
def follow_day(  # type: ignore[no-untyped-def]
    begin, end, number, is_before_minimum, is_averaged, cells, concentration, flag, is_trusted, error,
    width, thresholds, run_days, last, first, run_start, run_length, ice_free, valued, above,
    is_above_last, total, summed,
):  # fmt: skip
    """Follow the cells from ``begin`` to ``end`` over day ``number`` of the ice year.

    A missing value may stand for anything, a filled one for all within ``width`` expected errors. For
    the dates by the values themselves a missing day neither makes nor breaks a run of ice.
    """
    for i in range(begin, end):
        c = cells[i]
        value = np.float64(concentration[c])
        has_value = value == value
        most, least = value, value
        if not has_value:
            most, least = INFINITE, -INFINITE
        elif not is_trusted[flag[c]]:
            spread = width * np.float64(error[c]) if error.size > 0 else MISSING
            if spread == spread:
                most, least = value + spread, value - spread
            else:
                most, least = INFINITE, -INFINITE
        if has_value:
            valued[0 if is_before_minimum else 1, i] += 1
            if is_averaged:
                total[i] += value
                summed[i] += 1
            for k in range(2):
                is_above = value >= thresholds[k]
                above[k, i] += is_above
                if is_before_minimum:
                    is_above_last[k, i] = is_above
        for reading in range(3):
            amount = most if reading == MOST else (value if reading == VALUE else least)
            # A comparison with NaN is False: without a value no day of ice, and no ice-free day.
            is_ice = amount >= thresholds[EDGE]
            if amount < thresholds[EDGE]:
                ice_free[reading, i] += 1
            if is_before_minimum:
                if is_ice:
                    last[RETREAT, reading, i] = number
                if amount >= thresholds[CLOSED]:
                    last[OPENING, reading, i] = number
                continue
            if amount >= thresholds[CLOSED] and first[CLOSING, reading, i] == NO_DAY:
                first[CLOSING, reading, i] = number
            if is_ice and first[FIRST_ICE, reading, i] == NO_DAY:
                first[FIRST_ICE, reading, i] = number
            if first[ADVANCE, reading, i] == NO_DAY:
                if is_ice:
                    if run_length[reading, i] == 0:
                        run_start[reading, i] = number
                    run_length[reading, i] += 1
                    if run_length[reading, i] >= run_days:
                        first[ADVANCE, reading, i] = run_start[reading, i]
                elif amount == amount:
                    run_length[reading, i] = 0
