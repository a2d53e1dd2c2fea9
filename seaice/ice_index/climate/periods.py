"""Months and years of a daily series: means with the least number of days, lowest and highest days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from seaice.ice_index.climate.days import average_trailing_days, fill_single_days

LEAST_DAYS = 20


@dataclass(frozen=True)
class Months:
    """Means of calendar months.

    Attributes
    ----------
    year, month : ndarray of int64, shape (months,)
        All months from the first to the last day of the series.
    mean : ndarray of float64, shape (months,)
        km2; NaN where fewer days than the least number have a value.
    days, filled_days : ndarray of int64, shape (months,)
        Days with a value, and those of them that were filled from their two neighbours.
    """

    year: np.ndarray
    month: np.ndarray
    mean: np.ndarray
    days: np.ndarray
    filled_days: np.ndarray

    def of_month(self, number: int) -> np.ndarray:
        """Return the positions of a calendar month, 1 to 12."""
        return np.flatnonzero(self.month == number)


def average_months(dates: Sequence[date], values: np.ndarray, *, least_days: int = LEAST_DAYS) -> Months:
    """Average the daily values of every month, single missing days filled.

    Parameters
    ----------
    dates : sequence of date
        Consecutive days.
    values : ndarray of float64, shape (days,)
        NaN is missing.
    least_days : int
        A month with fewer days has no mean; NSIDC has 20.

    Examples
    --------
    >>> days = [date(2024, 2, day) for day in range(1, 30)]
    >>> months = average_months(days, np.arange(29.0))
    >>> float(months.mean[0]), int(months.days[0])
    (14.0, 29)
    """
    filled = fill_single_days(values)
    number = np.array([12 * day.year + day.month - 1 for day in dates])
    position, count = number - number[0], number[-1] - number[0] + 1
    has_value = ~np.isnan(filled)
    days = np.bincount(position[has_value], minlength=count)
    added = np.bincount(position[has_value & np.isnan(values)], minlength=count)
    total = np.bincount(position[has_value], weights=filled[has_value], minlength=count)
    mean = np.divide(total, days, out=np.full(count, np.nan), where=days >= max(least_days, 1))
    numbers = np.arange(number[0], number[-1] + 1)
    return Months(numbers // 12, numbers % 12 + 1, mean, days, added)


@dataclass(frozen=True)
class Extremes:
    """The lowest or highest days of years.

    Attributes
    ----------
    value, value_of_five : ndarray of float64, shape (years,)
        km2, of one day and of the mean of five days; NaN for a year without a value.
    day, day_of_five : list of date or None
        The first day with the value, and the last of the first five days.
    ties : ndarray of int64, shape (years,)
        Days with the value.
    counts : ndarray of bool, shape (years,)
        Whether the year has the season of the extreme, so that it is ranked and enters trends.
    """

    value: np.ndarray
    day: list[date | None]
    ties: np.ndarray
    value_of_five: np.ndarray
    day_of_five: list[date | None]
    counts: np.ndarray


@dataclass(frozen=True)
class Years:
    """Means and extremes of calendar years.

    Attributes
    ----------
    year : ndarray of int64, shape (years,)
    mean : ndarray of float64, shape (years,)
        Mean of all days, single missing days filled, km2; NaN unless every month has its least
        number of days.
    days : ndarray of int64, shape (years,)
        Days with a value that was not filled here.
    minimum, maximum : Extremes
    """

    year: np.ndarray
    mean: np.ndarray
    days: np.ndarray
    minimum: Extremes
    maximum: Extremes


def summarise_years(
    dates: Sequence[date], values: np.ndarray, months: Months, *, least_days: int = LEAST_DAYS
) -> Years:
    """Summarise the calendar years of a series.

    An extreme counts if the month in which it falls on the average of all years, the month before and
    the month after have their least number of days in the year: so the minimum of September counts
    in a year that ends with October, and in no year that begins with October.

    Parameters
    ----------
    dates, values
        As in :func:`average_months`.
    months : Months
        Of the same series.
    least_days : int
        As in :func:`average_months`.
    """
    filled = fill_single_days(values)
    number = np.array([day.year for day in dates])
    years = np.arange(number[0], number[-1] + 1)
    has_month = np.zeros((len(years), 12), dtype=bool)
    has_month[months.year - years[0], months.month - 1] = ~np.isnan(months.mean)
    is_whole = has_month.all(axis=1)
    has_value = ~np.isnan(filled)
    position = number - years[0]
    days = np.bincount(position[has_value], minlength=len(years))
    total = np.bincount(position[has_value], weights=filled[has_value], minlength=len(years))
    mean = np.divide(total, days, out=np.full(len(years), np.nan), where=is_whole)
    observed = np.bincount(position[~np.isnan(values)], minlength=len(years))
    minimum, maximum = (
        _find_extremes(dates, values, position, len(years), months, has_month, sign) for sign in (1, -1)
    )
    return Years(years, mean, observed, minimum, maximum)


def _find_extremes(
    dates: Sequence[date],
    values: np.ndarray,
    position: np.ndarray,
    count: int,
    months: Months,
    has_month: np.ndarray,
    sign: int,
) -> Extremes:
    """Lowest days of every year (``sign`` 1), or highest (-1)."""
    smooth = average_trailing_days(fill_single_days(values))
    single = [_find_lowest(dates, sign * values, position == year) for year in range(count)]
    five = [_find_lowest(dates, sign * smooth, position == year) for year in range(count)]
    return Extremes(
        value=np.array([sign * value for value, _, _ in single]),
        day=[day for _, day, _ in single],
        ties=np.array([ties for _, _, ties in single]),
        value_of_five=np.array([sign * value for value, _, _ in five]),
        day_of_five=[day for _, day, _ in five],
        counts=np.all(has_month[:, _find_season(months, sign)], axis=1),
    )


def _find_lowest(
    dates: Sequence[date], values: np.ndarray, is_chosen: np.ndarray
) -> tuple[float, date | None, int]:
    numbers = np.flatnonzero(is_chosen & ~np.isnan(values))
    if not numbers.size:
        return np.nan, None, 0
    lowest = values[numbers].min()
    first = numbers[values[numbers] == lowest]
    return float(lowest), dates[first[0]], first.size


def _find_season(months: Months, sign: int) -> list[int]:
    """Positions 0 to 11 of the month with the lowest mean of all years and of its two neighbours."""
    means = [
        np.nanmean(sign * months.mean[own]) if (~np.isnan(months.mean[own])).any() else np.inf
        for own in map(months.of_month, range(1, 13))
    ]
    lowest = int(np.argmin(means))
    # Without all months nobody knows the season.
    return (
        sorted({(lowest + offset) % 12 for offset in (-1, 0, 1)})
        if np.isfinite(means).all()
        else [*range(12)]
    )
