"""Initial days whose observations look wrong: they throw forecasts off, and are scored apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from seaice.cf import is_ice
from seaice.forecast.record import SeaIceRecord

_MOST_MISSING = 0.01  # share of the active cells
_LARGEST_JUMP = 4.0  # standard deviations of the daily changes of the extent
_LEAST_CHANGES = 10  # with fewer changes their standard deviation says nothing


def find_bad_days(
    initial_days: Sequence[date], record: SeaIceRecord, active: np.ndarray
) -> dict[date, str]:
    """Find initial days with many missing cells, or with a jump of the extent.

    Parameters
    ----------
    initial_days : sequence of date
    record : SeaIceRecord
    active : ndarray of bool, shape (rows, columns)
        Cells that are judged.

    Returns
    -------
    dict of date to str
        The reason for each such day.
    """
    reasons = {}
    changes = np.full(len(initial_days), np.nan)
    for number, day in enumerate(initial_days):
        missing = 1 - record.measure_observed(day, active)
        if missing > _MOST_MISSING:
            reasons[day] = f"{100 * missing:.1f} % of the active cells missing"
        if record.days[0] < day:
            changes[number] = _measure_change(day, record, active)
    spread = np.nanstd(changes) if np.isfinite(changes).sum() >= _LEAST_CHANGES else np.nan
    for day, change in zip(initial_days, changes, strict=True):
        if abs(change) > _LARGEST_JUMP * spread:
            reasons.setdefault(day, f"the extent changes by {change / 1000:+.0f} thousand km2 in a day")
    return reasons


def _measure_change(day: date, record: SeaIceRecord, active: np.ndarray) -> float:
    """Change of the extent from the day before, km2, over cells observed on both; NaN without any."""
    today, before = record.read_observed(day), record.read_observed(day - timedelta(1))
    common = active & ~np.isnan(today) & ~np.isnan(before)
    if not common.any():
        return np.nan
    ice = is_ice(today[common]).astype(np.float64) - is_ice(before[common])
    return float(ice @ record.cell_area[common])
