"""The methods of the daily cube for any field: its maps are laid on calendar days."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gapfill import Filled, get_method
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.gapfill.field import FieldFill, GappyField, finish
from seaice.gapfill.temporal import LARGEST_GAP, ONE_SIDED_DAYS


def fill_temporal(
    gappy: GappyField,
    *,
    max_gap_days: int = 5,
    one_sided_days: int = ONE_SIDED_DAYS,
    past_only: bool = False,
) -> FieldFill:
    """Linear between the nearest observed days (:func:`seaice.gapfill.temporal.fill`).

    Parameters
    ----------
    gappy : GappyField
    max_gap_days : int
        Largest distance to the day before and to the day after, 0 to 9 days.
    one_sided_days : int
        Largest distance where only one side is within reach, days.
    past_only : bool
        Use earlier days alone.

    Raises
    ------
    InputError
        For two maps on one day or limits out of range.
    """
    return _filled(
        gappy,
        "temporal",
        max_gap_days=max_gap_days,
        one_sided_days=one_sided_days,
        past_only=past_only,
    )


def fill_gaussian(
    gappy: GappyField,
    *,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
) -> FieldFill:
    """Weighted mean of a space-time window (:func:`seaice.gapfill.gaussian.fill`).

    Parameters
    ----------
    gappy : GappyField
    time_window : int
        Reach in time, days.
    space_window : int
        Reach along rows and columns, cells.
    alpha : float
        Weight of a day against a cell, cells squared a day squared.
    sigma : float
        Width of the window, cells.
    past_only : bool
        Use earlier days alone.

    Raises
    ------
    InputError
        For two maps on one day or parameters out of range.
    """
    return _filled(
        gappy,
        "gaussian",
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
    )


def fill_hybrid(
    gappy: GappyField,
    *,
    max_gap_days: int = 5,
    one_sided_days: int = ONE_SIDED_DAYS,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
) -> FieldFill:
    """In time first, then in space and time (:func:`seaice.gapfill.hybrid.fill`).

    Parameters
    ----------
    gappy : GappyField
    max_gap_days, one_sided_days
        Of :func:`fill_temporal`.
    time_window, space_window, alpha, sigma
        Of :func:`fill_gaussian`.
    past_only : bool
        Use earlier days alone.

    Raises
    ------
    InputError
        For two maps on one day or parameters out of range.
    """
    return _filled(
        gappy,
        "hybrid",
        max_gap_days=max_gap_days,
        one_sided_days=one_sided_days,
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
    )


def fill_departure(
    gappy: GappyField,
    *,
    max_gap_days: int = LARGEST_GAP,
    one_sided_days: int = LARGEST_GAP,
    spread: float = 0.2,
    neighbour_sigma: float = 1.5,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 4.0,
    sigma: float = 1.5,
    past_only: bool = False,
) -> FieldFill:
    """In time, corrected by the neighbours of the day (:func:`seaice.gapfill.departure.fill`).

    Parameters
    ----------
    gappy : GappyField
    max_gap_days, one_sided_days
        Of :func:`fill_temporal`.
    spread : float
        Variance of the smearing of a source, cells squared for every day of distance.
    neighbour_sigma : float
        Width of the weights of the neighbours' departures, cells. 0: no correction.
    time_window, space_window, alpha, sigma
        Of :func:`fill_gaussian`.
    past_only : bool
        Use earlier days alone.

    Raises
    ------
    InputError
        For two maps on one day or parameters out of range.
    """
    return _filled(
        gappy,
        "departure",
        max_gap_days=max_gap_days,
        one_sided_days=one_sided_days,
        spread=spread,
        neighbour_sigma=neighbour_sigma,
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
    )


def _filled(gappy: GappyField, method: str, **parameters: Any) -> FieldFill:
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
