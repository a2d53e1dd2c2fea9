"""Sums over the training years by calendar day, from which climatologies are made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import lru_cache
from itertools import pairwise

import numpy as np

from seaice.dates import DateRange

# Days to either side of a calendar day that count with it.
HALF_WINDOW = 7
# Calendar days of a year; 29 February counts as half way between its neighbours.
_YEAR = 365
_LEAP_DAY = (2, 29)
# Any year without a 29 February.
_PLAIN_YEAR = 2001


def find_calendar_day(day: date) -> int:
    """Number of a calendar day, 0 to 364; 29 February has that of 28 February.

    Examples
    --------
    >>> [find_calendar_day(date(2024, 2, 28 + k)) for k in (0, 1)], find_calendar_day(date(2024, 3, 1))
    ([58, 58], 59)
    """
    last = 28 if (day.month, day.day) == _LEAP_DAY else day.day
    return date(_PLAIN_YEAR, day.month, last).timetuple().tm_yday - 1


def list_window(calendar_day: int) -> list[int]:
    """Calendar days that count with one.

    Examples
    --------
    >>> list_window(2)[:7]
    [360, 361, 362, 363, 364, 0, 1]
    """
    return [(calendar_day + k) % _YEAR for k in range(-HALF_WINDOW, HALF_WINDOW + 1)]


def list_calendar_days(day: date) -> tuple[int, ...]:
    """Calendar days of whose means that of a day is made: two for 29 February."""
    number = find_calendar_day(day)
    return (number, number + 1) if (day.month, day.day) == _LEAP_DAY else (number,)


def count_years(training: DateRange, test: DateRange) -> int:
    """Count the years of which every day of a test has training days near the same calendar day.

    Examples
    --------
    >>> test = DateRange(date(2010, 7, 1), date(2010, 7, 9))
    >>> count_years(DateRange(date(2001, 1, 1), date(2010, 6, 30)), test)
    9
    """
    by_day: dict[int, list[date]] = {}
    for day in training:
        by_day.setdefault(find_calendar_day(day), []).append(day)
    needed = {find_calendar_day(day) for day in test}
    windows = ([day for near in list_window(c) for day in by_day.get(near, ())] for c in needed)
    # Days about the turn of a year belong to one season.
    return min(_count_seasons(sorted(days)) for days in windows)


def _count_seasons(days: list[date]) -> int:
    """Count the runs of days that lie within a window of one another."""
    gaps = (later - day for day, later in pairwise(days))
    return bool(days) + sum(gap.days > 2 * HALF_WINDOW + 1 for gap in gaps)


class WindowSums:
    """Sums of maps over training days near a calendar day, kept for the days that were asked for last.

    Parameters
    ----------
    training : DateRange
    sum_day : callable
        Maps of one training day, float (terms, cells), to be added up.
    kept : int
        Calendar days whose sums are kept.
    """

    def __init__(self, training: DateRange, sum_day: Callable[[date], np.ndarray], *, kept: int) -> None:
        self._days: dict[int, list[date]] = {}
        for day in training:
            self._days.setdefault(find_calendar_day(day), []).append(day)
        self._sum_training_day = sum_day
        self._sum_calendar_day = lru_cache(maxsize=kept + 2 * HALF_WINDOW)(self._add_years)
        self.sum = lru_cache(maxsize=kept)(self._add_window)

    def _add_years(self, calendar_day: int) -> np.ndarray | None:
        total: np.ndarray | None = None
        for day in self._days.get(calendar_day, ()):
            maps = self._sum_training_day(day)
            total = maps if total is None else np.add(total, maps, out=total)
        return total

    def _add_window(self, calendar_day: int) -> np.ndarray:
        sums = [self._sum_calendar_day(near) for near in list_window(calendar_day)]
        return np.sum([maps for maps in sums if maps is not None], axis=0)
