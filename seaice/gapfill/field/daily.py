"""The daily methods for fields of any kind: the maps are laid on calendar days."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import DailyMethod, Filled, Record
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.gapfill.field import FieldFill, GappyField, finish

# Runs of days farther apart than any window are filled apart: the days between would cost memory.
_LONGEST_PAUSE = 31


def fill_by_day(gappy: GappyField, method: DailyMethod) -> FieldFill:
    """Fill a field by a daily method; days without a map are frames of NaN.

    The steps round to float32. Of float64 maps they get departures from the mean, as half a step
    of float32 at 290 K is 1.5e-5 K; float32 maps stay as they are, so that 0 stays 0.
    Concentration is filled in percent, as the expected errors are.

    Raises
    ------
    InputError
        If two maps are of one day, or the method is for concentration and the field is none.
    """
    if method.concentration_only and not gappy.is_concentration:
        raise InputError(
            f"{method} fills ice concentration alone; take departure, or say --concentration if it is"
        )
    numbers = np.floor(gappy.days).astype(np.int64)
    if (np.diff(numbers) == 0).any():
        raise InputError(
            f"{method} wants one map a day, found two on one; take one time of day, or another method"
        )
    slots = numbers - numbers[0]
    scale = 100 / gappy.valid_range[1] if gappy.is_concentration else 1.0
    double = gappy.values.dtype == np.float64 and not gappy.is_concentration
    centre = float(np.mean(gappy.values[gappy.observed])) if double else 0.0
    values = np.full(gappy.values.shape, np.nan)
    error = np.full(gappy.values.shape, np.nan, np.float32) if gappy.is_concentration else None
    flag = np.full(gappy.values.shape, FillFlag.NOT_FILLED, np.uint8)
    notes: dict[str, Any] = {}
    for part in _runs(slots):
        days = slots[part] - slots[part][0]
        stack = np.full((days[-1] + 1, *gappy.sea.shape), np.nan, np.float32)
        stack[days] = np.where(gappy.observed[part], scale * (gappy.values[part] - centre), np.nan)
        fitted = method.fit(Record.of_stack(stack, gappy.sea))
        filled = fitted.fill(stack, gappy.sea)
        notes |= fitted.notes
        values[part] = filled.values[days] / scale + centre
        flag[part] = filled.flag[days]
        if error is not None:
            error[part] = [_expected_error(filled.day(day)) / scale for day in days]
    return finish(gappy, values, flag, error=error, notes=notes)


def _expected_error(day: Filled) -> np.ndarray:
    """Expected error of a filled day in percent, float32; NaN where there is none."""
    code = of_day(day, read_table())
    return np.where(code == NONE, np.nan, code * STEP).astype(np.float32)


def _runs(slots: np.ndarray) -> list[slice]:
    """Runs of maps without a long pause."""
    cuts = [0, *(np.flatnonzero(np.diff(slots) > _LONGEST_PAUSE) + 1).tolist(), len(slots)]
    return [slice(a, b) for a, b in pairwise(cuts)]
