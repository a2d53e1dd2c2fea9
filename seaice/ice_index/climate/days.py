"""Daily values in their order: short gaps, years beside each other, ranks, and means over some days."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

DAYS_OF_YEAR = 366


def fill_single_days(values: np.ndarray) -> np.ndarray:
    """Fill every missing day between two days that have a value by their mean.

    Longer gaps stay missing. This is the rule of NSIDC; the days of SMMR, which measured on every
    other day, become a full series by it.

    Parameters
    ----------
    values : ndarray of float64, shape (days,)
        Of consecutive days; NaN is missing.

    Returns
    -------
    ndarray of float64, shape (days,)

    Examples
    --------
    >>> fill_single_days(np.array([1.0, np.nan, 3.0, np.nan, np.nan, 2.0])).tolist()
    [1.0, 2.0, 3.0, nan, nan, 2.0]
    """
    filled = values.copy()
    means = (values[:-2] + values[2:]) / 2
    filled[1:-1] = np.where(np.isnan(values[1:-1]), means, values[1:-1])
    return filled


def find_day_of_year(dates: Sequence[date]) -> np.ndarray:
    """Day of the year of every date, 1 to 366, ndarray of int64."""
    return np.array([day.timetuple().tm_yday for day in dates], dtype=np.int64)


def arrange_by_year(dates: Sequence[date], values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Arrange a series as one row a year.

    Day 366 of a year without 29 February is 1 January of the next year, so that every day of the
    year has a value from every year, as NSIDC has it.

    Parameters
    ----------
    dates : sequence of date
        Consecutive days.
    values : ndarray of float64, shape (days,)

    Returns
    -------
    years : ndarray of int64, shape (years,)
    table : ndarray of float64, shape (years, 366)
        NaN where the series has no value.

    Examples
    --------
    >>> days = [date(2023, 12, 31), date(2024, 1, 1)]
    >>> years, table = arrange_by_year(days, np.array([5.0, 6.0]))
    >>> years.tolist(), table[0, 364:].tolist(), float(table[1, 0])
    ([2023, 2024], [5.0, 6.0], 6.0)
    """
    years = np.arange(dates[0].year, dates[-1].year + 1)
    table = np.full((len(years), DAYS_OF_YEAR), np.nan)
    for row, year in zip(table, years.tolist(), strict=True):
        start = (date(year, 1, 1) - dates[0]).days
        first, stop = max(start, 0), min(start + DAYS_OF_YEAR, len(values))
        row[first - start : stop - start] = values[first:stop]
    return years, table


def extend_days(dates: Sequence[date]) -> list[date]:
    """All days from the first to the last one."""
    count = (dates[-1] - dates[0]).days + 1
    return [dates[0] + timedelta(days=number) for number in range(count)]


def rank_among(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank every value among those of its column.

    Parameters
    ----------
    values : ndarray of float64, shape (years, columns)

    Returns
    -------
    rank : ndarray of float64, shape (years, columns)
        1 for the lowest; equal values have the lowest rank of them; NaN where there is no value.
    count : ndarray of int64, shape (columns,)
        Values of a column.

    Examples
    --------
    >>> rank_among(np.array([[4.0], [2.0], [np.nan], [2.0]]))[0].ravel().tolist()
    [3.0, 1.0, nan, 1.0]
    """
    ordered = np.sort(values, axis=0)  # NaN last
    rank = np.full(values.shape, np.nan)
    for column in range(values.shape[1]):
        rank[:, column] = np.searchsorted(ordered[:, column], values[:, column], "left") + 1
    return np.where(np.isnan(values), np.nan, rank), np.count_nonzero(~np.isnan(values), axis=0)


def average_trailing_days(values: np.ndarray, *, days: int = 5, least: int = 2) -> np.ndarray:
    """Mean of every day and the days before it, as NSIDC smooths its daily numbers.

    Parameters
    ----------
    values : ndarray of float64, shape (days,)
        Of consecutive days.
    days : int
        Days of the mean.
    least : int
        Days with a value that it needs; else NaN.

    Examples
    --------
    >>> average_trailing_days(np.array([1.0, 3.0, np.nan, np.nan, np.nan, np.nan, 2.0])).tolist()
    [nan, 2.0, 2.0, 2.0, 2.0, nan, nan]
    """
    padded = np.concatenate([np.full(days - 1, np.nan), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, days)
    count = np.count_nonzero(~np.isnan(windows), axis=1)
    total = np.nansum(windows, axis=1)
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count >= least)
