"""All that a series of many years says about one quantity of one region."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from seaice import InputError
from seaice.ice_index.climate.climatology import (
    FEW_YEARS,
    LEAST_YEARS,
    Climatology,
    compute_climatology,
)
from seaice.ice_index.climate.days import arrange_by_year, fill_single_days, find_day_of_year, rank_among
from seaice.ice_index.climate.periods import Extremes, Months, Years, average_months, summarise_years
from seaice.ice_index.climate.trend import Trend, fit_trend
from seaice.ice_index.series import IndexSeries
from seaice.report import listing

logger = logging.getLogger(__name__)

QUANTITIES = ("extent", "area")
MONTH_NAMES = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
    "November", "December",
)  # fmt: skip
ANNUAL_MEAN, MINIMUM, MAXIMUM, ALL_MONTHS = "annual mean", "minimum", "maximum", "all months"
_NO_CLIMATOLOGY = "none"


@dataclass(frozen=True)
class ClimateRecord:
    """Days, months, years and trends of one quantity of one region, beside what is usual.

    Attributes
    ----------
    quantity, region : str
    dates : list of date
        Consecutive days.
    values : ndarray of float64, shape (days,)
        km2; NaN is missing.
    is_filled : ndarray of bool, shape (days,)
        Single missing days, filled by the mean of their neighbours in :attr:`filled`.
    filled : ndarray of float64, shape (days,)
        The values with single missing days filled.
    climatology : Climatology or None
    mean, deviation : ndarray of float64, shape (days,)
        Climatological mean and standard deviation of every day, km2; NaN where there are none.
    rank, ranked_years : ndarray, shape (days,)
        1 for the lowest of the day of the year in all years of the series, and how many these are.
    months : Months
    month_mean, month_rank, month_ranked : ndarray, shape (months,)
        Climatological mean of every month, km2, and rank among the same month of all years.
    years : Years
    trends : dict of str to Trend
        km2 a year: of every calendar month, of annual mean, minimum and maximum of single days, and of
        the anomalies of all months.
    """

    quantity: str
    region: str
    dates: list[date]
    values: np.ndarray
    is_filled: np.ndarray
    filled: np.ndarray
    climatology: Climatology | None
    mean: np.ndarray
    deviation: np.ndarray
    rank: np.ndarray
    ranked_years: np.ndarray
    months: Months
    month_mean: np.ndarray
    month_rank: np.ndarray
    month_ranked: np.ndarray
    years: Years
    trends: dict[str, Trend]

    @property
    def label(self) -> str:
        """Years and source of the climatology, for outputs."""
        return self.climatology.label if self.climatology else _NO_CLIMATOLOGY

    @property
    def anomaly(self) -> np.ndarray:
        """Value less the climatological mean of the day, km2, float64 (days,)."""
        return self.filled - self.mean

    @property
    def month_anomaly(self) -> np.ndarray:
        """Mean of the month less its climatological mean, km2, float64 (months,)."""
        return self.months.mean - self.month_mean

    def rank_years(self, extremes: Extremes | None) -> tuple[np.ndarray, int]:
        """Rank the extremes (or annual means, for None) of the years that count, 1 for the lowest."""
        values = (
            self.years.mean if extremes is None else np.where(extremes.counts, extremes.value, np.nan)
        )
        rank, count = rank_among(values[:, None])
        return rank[:, 0], int(count[0])


def describe_climate(
    series: IndexSeries,
    *,
    climatology_years: Sequence[int] | None = None,
    published: Mapping[tuple[str, str], Climatology] | None = None,
    least_days: int,
) -> list[ClimateRecord]:
    """Compare every day, month and year of a series with what is usual.

    Parameters
    ----------
    series : IndexSeries
        Its first region stands for the region of a published climatology.
    climatology_years : (int, int), optional
        First and last year of the climatology; by default all years but the last one.
    published : mapping, optional
        Climatology of :func:`seaice.ice_index.climate.climatology.read_climatology`, used where it has
        quantity and region.
    least_days : int
        Days that a month needs for a mean.

    Raises
    ------
    InputError
        If no quantity of any region has a climatology.
    """
    first, last = climatology_years or (series.dates[0].year, series.dates[-1].year - 1)
    records = []
    for number, region in enumerate(series.regions):
        for quantity in QUANTITIES:
            values = getattr(series, quantity)[:, number]
            if np.isnan(values).all():
                continue
            years, table = arrange_by_year(series.dates, fill_single_days(values))
            own = compute_climatology(years, table, first_year=first, last_year=last)
            usual = _find_published(published or {}, quantity, region, is_first=number == 0) or own
            records.append(
                _build_record(series.dates, values, quantity, region, usual, table, least_days)
            )
    _check_climatology(records, series, first, last, has_published=published is not None)
    return records


def _find_published(
    published: Mapping[tuple[str, str], Climatology], quantity: str, region: str, *, is_first: bool
) -> Climatology | None:
    return published.get((quantity, region)) or (published.get((quantity, "")) if is_first else None)


def _check_climatology(
    records: list[ClimateRecord], series: IndexSeries, first: int, last: int, *, has_published: bool
) -> None:
    without = [f"{record.quantity} of {record.region}" for record in records if not record.climatology]
    if len(without) == len(records):
        years = f"{first} to {last}" if last >= first else f"{series.dates[0].year} alone"
        advice = "the published one has other regions; " * has_published + "add years"
        raise InputError(
            f"expected at least {LEAST_YEARS} years with values for a climatology, found fewer in "
            f"{years} ({series.dates[0]} to {series.dates[-1]}); {advice} (--series_file), choose "
            "--climatology_years, or name a published one with --climatology_file"
        )
    if without:
        logger.warning("no climatology, so no anomaly: %s", listing(without))
    most = max(record.climatology.years.max() for record in records if record.climatology)
    if 0 < most < FEW_YEARS:
        logger.warning("the climatology has %d years only: its spread and percentiles are rough", most)


def _build_record(
    dates: list[date],
    values: np.ndarray,
    quantity: str,
    region: str,
    climatology: Climatology | None,
    table: np.ndarray,
    least_days: int,
) -> ClimateRecord:
    filled = fill_single_days(values)
    day = find_day_of_year(dates) - 1
    row = np.array([each.year for each in dates]) - dates[0].year
    rank, count = rank_among(table)
    absent = np.full(len(dates), np.nan)
    months = average_months(dates, values, least_days=least_days)
    years = summarise_years(dates, values, months, least_days=least_days)
    month_mean = _average_climatology(months, climatology)
    month_rank, month_ranked = _rank_months(months)
    return ClimateRecord(
        quantity=quantity,
        region=region,
        dates=dates,
        values=values,
        is_filled=np.isnan(values) & ~np.isnan(filled),
        filled=filled,
        climatology=climatology,
        mean=climatology.mean[day] if climatology else absent,
        deviation=climatology.standard_deviation[day] if climatology else absent,
        rank=rank[row, day],
        ranked_years=count[day],
        months=months,
        month_mean=month_mean,
        month_rank=month_rank,
        month_ranked=month_ranked,
        years=years,
        trends=dict(_fit_trends(months, years, months.mean - month_mean)),
    )


def _average_climatology(months: Months, climatology: Climatology | None) -> np.ndarray:
    """Climatological mean of every month: of the own monthly means, else of published days.

    Of published days those of a common year are taken in leap years too: otherwise their months would be
    compared with days one later in the season.
    """
    mean = np.full(len(months.mean), np.nan)
    if climatology is None:
        return mean
    for number in range(1, 13):
        positions = months.of_month(number)
        if climatology.source:
            start, stop = (date(2023, number, 1), date(2023 + number // 12, number % 12 + 1, 1))
            first = start.timetuple().tm_yday - 1
            mean[positions] = climatology.mean[first : first + (stop - start).days].mean()
            continue
        usual = months.mean[positions[[climatology.includes(y) for y in months.year[positions]]]]
        usual = usual[~np.isnan(usual)]
        mean[positions] = usual.mean() if usual.size >= LEAST_YEARS else np.nan
    return mean


def _rank_months(months: Months) -> tuple[np.ndarray, np.ndarray]:
    rank, count = np.full(len(months.mean), np.nan), np.zeros(len(months.mean), np.int64)
    for number in range(1, 13):
        positions = months.of_month(number)
        own_rank, own_count = rank_among(months.mean[positions][:, None])
        rank[positions], count[positions] = own_rank[:, 0], own_count[0]
    return rank, count


def _fit_trends(months: Months, years: Years, anomaly: np.ndarray) -> Iterator[tuple[str, Trend]]:
    for number, name in enumerate(MONTH_NAMES, start=1):
        positions = months.of_month(number)
        yield name, fit_trend(months.year[positions], months.mean[positions])
    yield ANNUAL_MEAN, fit_trend(years.year, years.mean)
    for name, extremes in ((MINIMUM, years.minimum), (MAXIMUM, years.maximum)):
        yield name, fit_trend(years.year, np.where(extremes.counts, extremes.value, np.nan))
    yield ALL_MONTHS, fit_trend(locate_months(months), anomaly, step=1 / 12)


def locate_months(months: Months) -> np.ndarray:
    """Middles of months on the axis of years, float64 (months,)."""
    return months.year + (months.month - 0.5) / 12
