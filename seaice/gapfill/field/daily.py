"""The methods of the daily cube for any field: its maps are laid on calendar days."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gapfill import Filled, get_method
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.gapfill.field import FieldFill, GappyField, finish


def fill_daily(gappy: GappyField, *, method: str, **parameters: Any) -> FieldFill:
    """Run a method of the cube; days without a map are frames of NaN.

    The stages round to float32. Of float64 maps they see departures from the mean, as half a step
    of float32 at 290 K is 1.5e-5 K; float32 maps stay as they are, so that 0 stays 0.
    """
    numbers = np.floor(gappy.days).astype(np.int64)
    if (np.diff(numbers) == 0).any():
        raise InputError(
            f"{method} wants one map a day, found two on one; take one time of day, or another method"
        )
    slots = numbers - numbers[0]
    # Runs of days farther apart than any window would only cost memory.
    # Concentration is filled in percent, as the expected errors are.
    scale = 100 / gappy.valid_range[1] if gappy.is_concentration else 1.0
    double = gappy.values.dtype == np.float64 and not gappy.is_concentration
    centre = float(np.mean(gappy.values[gappy.observed])) if double else 0.0
    filled = np.full(gappy.values.shape, np.nan)
    error = np.full(gappy.values.shape, np.nan, np.float32) if gappy.is_concentration else None
    flag = np.full(gappy.values.shape, 255, np.uint8)
    for part in _runs(slots):
        days = slots[part] - slots[part][0]
        stack = np.full((days[-1] + 1, *gappy.sea.shape), np.nan, np.float32)
        stack[days] = np.where(gappy.observed[part], scale * (gappy.values[part] - centre), np.nan)
        made: Filled = get_method(method).fill(stack, gappy.sea, **parameters)
        filled[part] = made.values[days] / scale + centre
        flag[part] = made.flag[days]
        if error is not None:
            error[part] = [_expected(made.day(day)) / scale for day in days]
    return finish(gappy, filled, flag, error=error)


def _expected(day: Filled) -> np.ndarray:
    """Expected error of a filled day in percent, float32; NaN where there is none."""
    code = of_day(day, read_table())
    return np.where(code == NONE, np.nan, code * STEP).astype(np.float32)


def _runs(slots: np.ndarray, apart: int = 31) -> list[slice]:
    """Runs of maps without a pause of more than ``apart`` days."""
    cuts = [0, *(np.flatnonzero(np.diff(slots) > apart) + 1).tolist(), len(slots)]
    return [slice(a, b) for a, b in pairwise(cuts)]
