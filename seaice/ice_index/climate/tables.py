"""Records of many years as tables, and all of them as one NetCDF file."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.dates import day_number
from seaice.ice_index.climate.climatology import COLUMNS as CLIMATOLOGY_COLUMNS
from seaice.ice_index.climate.climatology import PERCENTILES
from seaice.ice_index.climate.days import DAYS_OF_YEAR
from seaice.ice_index.climate.periods import Extremes
from seaice.ice_index.climate.record import ALL_MONTHS, MAXIMUM, MINIMUM, MONTH_NAMES, ClimateRecord
from seaice.ice_index.series import format_number
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    import netCDF4

Row = dict[str, Any]
_ABSENT_DATE = -(2**31)


def write_table(
    path: Path, records: Iterable[ClimateRecord], list_rows: RowLister, convention: str
) -> None:
    """Write one of :data:`TABLES`: a row for every day, month or year of every record.

    Parameters
    ----------
    path : Path
    records : iterable of ClimateRecord
    list_rows : callable
        Value of :data:`TABLES`.
    convention : str
        What counts as ice, and what is left out; the last column.
    """
    rows = [row | {"convention": convention} for record in records for row in list_rows(record)]
    with atomic(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _name_record(record: ClimateRecord) -> Row:
    return {"region": record.region, "quantity": record.quantity}


def _name_climatology(record: ClimateRecord, year: int) -> Row:
    usual = record.climatology
    is_included = usual is not None and usual.includes(year)
    return {"climatology": record.label, "in_climatology": int(is_included)}


def list_climatology(record: ClimateRecord) -> Iterator[Row]:
    """Rows of the climatology: mean, standard deviation and percentiles by day of the year."""
    usual = record.climatology
    if usual is None:
        return
    for day in range(DAYS_OF_YEAR):
        values = usual.mean[day], usual.standard_deviation[day], *usual.percentiles[:, day]
        years = "" if usual.years[day] < 0 else int(usual.years[day])
        cells = [
            day + 1,
            record.region,
            record.quantity,
            *map(format_number, values),
            years,
            record.label,
        ]
        yield dict(zip(CLIMATOLOGY_COLUMNS, cells, strict=True))


def list_anomalies(record: ClimateRecord) -> Iterator[Row]:
    """Rows of days: value, what is usual, difference, and rank among the years."""
    standardised = np.divide(
        record.anomaly,
        record.deviation,
        out=np.full(len(record.dates), np.nan),
        where=record.deviation > 0,
    )
    for number, day in enumerate(record.dates):
        yield {
            "date": day,
            **_name_record(record),
            "value_km2": format_number(record.filled[number]),
            "is_filled": int(record.is_filled[number]),
            "climatological_mean_km2": format_number(record.mean[number]),
            "anomaly_km2": format_number(record.anomaly[number]),
            "standardised_anomaly": format_number(standardised[number], ".3f"),
            "rank_from_lowest": format_number(record.rank[number], ".0f"),
            "ranked_years": int(record.ranked_years[number]),
            **_name_climatology(record, day.year),
        }


def list_months(record: ClimateRecord) -> Iterator[Row]:
    """Rows of months: mean of the days, number of days, anomaly and rank."""
    months = record.months
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(record.month_mean > 0, 100 * record.month_anomaly / record.month_mean, np.nan)
    for number, (year, month) in enumerate(
        zip(months.year.tolist(), months.month.tolist(), strict=True)
    ):
        yield {
            "year": year,
            "month": month,
            **_name_record(record),
            "mean_km2": format_number(months.mean[number]),
            "days": int(months.days[number]),
            "filled_days": int(months.filled_days[number]),
            "climatological_mean_km2": format_number(record.month_mean[number]),
            "anomaly_km2": format_number(record.month_anomaly[number]),
            "anomaly_percent": format_number(percent[number], ".3f"),
            "rank_from_lowest": format_number(record.month_rank[number], ".0f"),
            "ranked_years": int(record.month_ranked[number]),
            **_name_climatology(record, year),
        }


def list_years(record: ClimateRecord) -> Iterator[Row]:
    """Rows of years: mean, lowest and highest day with date, and their ranks."""
    years = record.years
    mean_rank, mean_count = record.rank_years(None)
    extremes = [(MINIMUM, years.minimum), (MAXIMUM, years.maximum)]
    ranks = {name: record.rank_years(extreme) for name, extreme in extremes}
    for number, year in enumerate(years.year.tolist()):
        row = {
            "year": year,
            **_name_record(record),
            "days": int(years.days[number]),
            "mean_km2": format_number(years.mean[number]),
            "mean_rank_from_lowest": format_number(mean_rank[number], ".0f"),
            "mean_ranked_years": mean_count,
        }
        for name, extreme in extremes:
            rank, count = ranks[name]
            row |= _list_extreme(name, extreme, number) | {
                f"{name}_rank_from_lowest": format_number(rank[number], ".0f"),
                f"{name}_ranked_years": count,
            }
        yield row | _name_climatology(record, year)


def _list_extreme(name: str, extreme: Extremes, number: int) -> Row:
    return {
        f"{name}_km2": format_number(extreme.value[number]),
        f"{name}_date": extreme.day[number] or "",
        f"{name}_days": int(extreme.ties[number]),
        f"{name}_of_5_days_km2": format_number(extreme.value_of_five[number]),
        f"{name}_of_5_days_date": extreme.day_of_five[number] or "",
        f"{name}_counts": int(extreme.counts[number]),
    }


def list_trends(record: ClimateRecord) -> Iterator[Row]:
    """Rows of trends a decade, with their 95 percent intervals."""
    for name, trend in record.trends.items():
        usual = _average_usual(record, name)
        yield {
            "trend_of": name,
            **_name_record(record),
            "first_year": int(record.years.year[0]),
            "last_year": int(record.years.year[-1]),
            "values": trend.size,
            "trend_km2_per_decade": format_number(10 * trend.slope),
            "trend_low_km2_per_decade": format_number(10 * trend.low),
            "trend_high_km2_per_decade": format_number(10 * trend.high),
            "trend_percent_per_decade": format_number(
                1000 * trend.slope / usual if usual > 0 else np.nan, ".2f"
            ),
            "autocorrelation": format_number(trend.autocorrelation, ".3f"),
            "effective_values": format_number(trend.effective_count, ".1f"),
            "climatology": record.label,
        }


def _average_usual(record: ClimateRecord, name: str) -> float:
    """Mean over the years of the climatology of what has a trend, for percent; NaN if there is none."""
    years, usual = record.years, record.climatology
    if usual is None or name == ALL_MONTHS:
        return np.nan
    if name in MONTH_NAMES:
        means = record.month_mean[record.months.of_month(MONTH_NAMES.index(name) + 1)]
        return float(means[0]) if means.size else np.nan
    values = {MINIMUM: years.minimum, MAXIMUM: years.maximum}.get(name)
    all_values = years.mean if values is None else np.where(values.counts, values.value, np.nan)
    own = all_values[[usual.includes(year) for year in years.year.tolist()]]
    return float(own[~np.isnan(own)].mean()) if (~np.isnan(own)).any() else np.nan


RowLister = Callable[[ClimateRecord], Iterator[Row]]
TABLES: dict[str, RowLister] = {
    "climatology.csv": list_climatology,
    "anomalies.csv": list_anomalies,
    "months.csv": list_months,
    "years.csv": list_years,
    "trends.csv": list_trends,
}


def add_records(
    dataset: netCDF4.Dataset, regions: Sequence[str], records: Sequence[ClimateRecord]
) -> None:
    """Add what the records say to an open file of a series, with the dimensions of the series.

    Parameters
    ----------
    dataset : netCDF4.Dataset
    regions : sequence of str
        Names along the dimension region.
    records : sequence of ClimateRecord
    """
    _define_axes(dataset, records[0])
    for quantity in dict.fromkeys(record.quantity for record in records):
        own = [record for record in records if record.quantity == quantity]
        columns = [regions.index(record.region) for record in own]
        labels = "; ".join(dict.fromkeys(f"climatology {record.label}" for record in own))
        for name, dimensions, unit, text, read in _VARIABLES:
            values = np.stack([np.asarray(read(record), np.float64) for record in own])
            # CF: the unlimited time comes first, other axes of time come last.
            is_daily = dimensions == _DAY
            order = (*dimensions, "region") if is_daily else ("region", *dimensions)
            variable = dataset.createVariable(f"{quantity}_{name}", "f8", order, fill_value=np.nan)
            variable.setncatts(
                {"long_name": f"{text} of the {quantity}", "units": unit, "comment": labels}
            )
            if unit.startswith("days since"):
                variable.calendar = "standard"
            variable.coordinates = "region_name" + " trend_name" * ("trend" in dimensions)
            whole = np.full((len(regions), *values.shape[1:]), np.nan)
            whole[columns] = values
            variable[:] = whole.T if is_daily else whole


def _define_axes(dataset: netCDF4.Dataset, record: ClimateRecord) -> None:
    months = record.months
    starts = [
        day_number(date(year, month, 1))
        for year, month in zip(months.year.tolist(), months.month.tolist(), strict=True)
    ]
    axes = {
        "day_of_year": (np.arange(1, DAYS_OF_YEAR + 1), "day of the year", "1"),
        "percentile": (np.array(PERCENTILES), "percentile", "percent"),
        "month": (np.array(starts), "first day of the month", "days since 1970-01-01"),
        "year": (record.years.year, "calendar year", "1"),
    }
    for name, (values, text, unit) in axes.items():
        dataset.createDimension(name, len(values))
        variable = dataset.createVariable(name, "i4", (name,))
        variable.setncatts({"long_name": text, "units": unit})
        if name == "month":
            variable.setncatts({"standard_name": "time", "calendar": "standard"})
            variable.units_metadata = "leap_seconds: none"
        variable[:] = values
    dataset.createDimension("trend", len(record.trends))
    names = dataset.createVariable("trend_name", str, ("trend",))
    names.long_name = "what the trend is of"
    names[:] = np.array(list(record.trends), dtype=object)


def _list_trend(record: ClimateRecord, field: str) -> list[float]:
    factor = 10 if field in ("slope", "low", "high") else 1
    return [factor * getattr(trend, field) for trend in record.trends.values()]


def _list_dates(days: Sequence[date | None]) -> list[float]:
    return [np.nan if day is None else day_number(day) for day in days]


def _read_climatology(record: ClimateRecord, name: str) -> np.ndarray:
    usual = record.climatology
    shape = (len(PERCENTILES), DAYS_OF_YEAR) if name == "percentiles" else (DAYS_OF_YEAR,)
    return np.full(shape, np.nan) if usual is None else getattr(usual, name)


_DAY, _MONTH, _YEAR, _TREND = ("time",), ("month",), ("year",), ("trend",)
_OF_YEAR = ("day_of_year",)
_SINCE = "days since 1970-01-01"
_VARIABLES: list[tuple[str, tuple[str, ...], str, str, Callable[[ClimateRecord], Any]]] = [
    ("climatological_mean", _OF_YEAR, "km2", "mean", lambda r: _read_climatology(r, "mean")),
    ("standard_deviation", _OF_YEAR, "km2", "standard deviation (n - 1)",
     lambda r: _read_climatology(r, "standard_deviation")),
    ("percentiles", ("percentile", *_OF_YEAR), "km2", "percentiles (linear)",
     lambda r: _read_climatology(r, "percentiles")),
    ("anomaly", _DAY, "km2", "difference from the climatological mean", lambda r: r.anomaly),
    ("is_filled", _DAY, "1", "1 where a single missing day was filled from its neighbours",
     lambda r: r.is_filled),
    ("rank", _DAY, "1", "rank from the lowest among the years", lambda r: r.rank),
    ("ranked_years", _DAY, "1", "number of years that are ranked", lambda r: r.ranked_years),
    ("monthly_mean", _MONTH, "km2", "monthly mean of the daily values", lambda r: r.months.mean),
    ("monthly_days", _MONTH, "1", "number of days with a value in the month", lambda r: r.months.days),
    ("monthly_anomaly", _MONTH, "km2", "difference of the monthly mean from its climatological mean",
     lambda r: r.month_anomaly),
    ("monthly_rank", _MONTH, "1", "rank from the lowest of the monthly mean", lambda r: r.month_rank),
    ("annual_mean", _YEAR, "km2", "annual mean", lambda r: r.years.mean),
    ("minimum", _YEAR, "km2", "lowest day", lambda r: r.years.minimum.value),
    ("minimum_date", _YEAR, _SINCE, "date of the lowest day",
     lambda r: _list_dates(r.years.minimum.day)),
    ("minimum_of_5_days", _YEAR, "km2", "lowest trailing mean of five days",
     lambda r: r.years.minimum.value_of_five),
    ("minimum_counts", _YEAR, "1", "1 where the year has the season of the minimum",
     lambda r: r.years.minimum.counts),
    ("maximum", _YEAR, "km2", "highest day", lambda r: r.years.maximum.value),
    ("maximum_date", _YEAR, _SINCE, "date of the highest day",
     lambda r: _list_dates(r.years.maximum.day)),
    ("maximum_of_5_days", _YEAR, "km2", "highest trailing mean of five days",
     lambda r: r.years.maximum.value_of_five),
    ("maximum_counts", _YEAR, "1", "1 where the year has the season of the maximum",
     lambda r: r.years.maximum.counts),
    ("trend", _TREND, "km2 (10 year)-1", "trend", lambda r: _list_trend(r, "slope")),
    ("trend_low", _TREND, "km2 (10 year)-1", "lower end of the 95 percent interval of the trend",
     lambda r: _list_trend(r, "low")),
    ("trend_high", _TREND, "km2 (10 year)-1", "upper end of the 95 percent interval of the trend",
     lambda r: _list_trend(r, "high")),
    ("trend_effective_values", _TREND, "1", "number of independent values of the trend",
     lambda r: _list_trend(r, "effective_count")),
]  # fmt: skip
