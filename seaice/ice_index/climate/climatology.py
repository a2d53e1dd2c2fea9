"""Mean, spread and percentiles of every day of the year, from one's own years or from a file."""

from __future__ import annotations

import csv
from calendar import isleap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.ice_index.climate.days import DAYS_OF_YEAR
from seaice.ice_index.conventions import check_areas

PERCENTILES = (10, 25, 50, 75, 90)
LEAST_YEARS, FEW_YEARS = 2, 10
_MILLION = 1e6


@dataclass(frozen=True)
class Climatology:
    """What is usual on every day of the year.

    Attributes
    ----------
    first_year, last_year : int
    mean, standard_deviation : ndarray of float64, shape (366,)
        km2; the deviation with n - 1 years. NaN where no year, or only one, has a value.
    percentiles : ndarray of float64, shape (5, 366)
        :data:`PERCENTILES`, linear between values, km2.
    years : ndarray of int64, shape (366,)
        Years with a value; -1 where a file does not tell them.
    source : str
        File that it was read from; empty for years of the series itself.
    """

    first_year: int
    last_year: int
    mean: np.ndarray
    standard_deviation: np.ndarray
    percentiles: np.ndarray
    years: np.ndarray
    source: str = ""

    @property
    def label(self) -> str:
        """Its years and where they are from, such as ``1981-2010``; stands in every output."""
        return f"{self.first_year}-{self.last_year}" + f" of {self.source}" * bool(self.source)

    def includes(self, year: int) -> bool:
        """Whether a year is one of its own."""
        return self.first_year <= year <= self.last_year


def compute_climatology(
    years: np.ndarray, table: np.ndarray, *, first_year: int, last_year: int
) -> Climatology | None:
    """Compute the climatology of some years by day of the year, as NSIDC does.

    The series ends with 31 December of the last year: 1 January after it is not day 366 of it.

    Parameters
    ----------
    years, table : ndarray
        Of :func:`seaice.ice_index.climate.days.arrange_by_year`.
    first_year, last_year : int
        The years that count, both included.

    Returns
    -------
    Climatology or None
        None if fewer than two of the years have any value.

    Examples
    --------
    >>> years, table = np.arange(2001, 2004), np.full((3, 366), np.nan)
    >>> table[:, 0] = 1e6, 2e6, 6e6
    >>> usual = compute_climatology(years, table, first_year=2001, last_year=2003)
    >>> float(usual.mean[0]), float(usual.percentiles[1, 0])
    (3000000.0, 1500000.0)
    """
    chosen = (years >= first_year) & (years <= last_year)
    values = table[chosen].copy()
    is_last = years[chosen] == last_year
    if not isleap(last_year):
        values[is_last, DAYS_OF_YEAR - 1] = np.nan
    if np.count_nonzero(~np.isnan(values).all(axis=1)) < LEAST_YEARS:
        return None
    count = np.count_nonzero(~np.isnan(values), axis=0)
    mean, deviation = np.full((2, DAYS_OF_YEAR), np.nan)
    percentiles = np.full((len(PERCENTILES), DAYS_OF_YEAR), np.nan)
    has_value, has_spread = count > 0, count > 1
    mean[has_value] = np.nanmean(values[:, has_value], axis=0)
    percentiles[:, has_value] = np.nanpercentile(values[:, has_value], PERCENTILES, axis=0)
    deviation[has_spread] = np.nanstd(values[:, has_spread], axis=0, ddof=1)
    return Climatology(first_year, last_year, mean, deviation, percentiles, count)


_NSIDC_START, _NSIDC_COLUMNS = "std Years =", 8
COLUMNS = (
    "day_of_year", "region", "quantity", "mean_km2", "standard_deviation_km2",
    *(f"percentile_{level}_km2" for level in PERCENTILES), "years", "climatology",
)  # fmt: skip


def read_climatology(path: Path) -> dict[tuple[str, str], Climatology]:
    """Read a climatology that NSIDC publishes, or an earlier climatology.csv of ``ice_index.py``.

    Parameters
    ----------
    path : Path
        ``N_seaice_extent_climatology_1981-2010_v3.0.csv`` or alike, in million km2; or a table of
        this package.

    Returns
    -------
    dict of (str, str) to Climatology
        By quantity and region; that of NSIDC is the extent of the region ``""``, the whole hemisphere.

    Raises
    ------
    InputError
        If it is neither.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a climatology as CSV, found {error}") from None
    try:
        if lines and lines[0].startswith(_NSIDC_START):
            return {("extent", ""): _read_nsidc(lines, path)}
        if lines and set(COLUMNS) <= set(lines[0].split(",")):
            return dict(_read_own(lines, path))
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected numbers of a climatology, found {error}") from None
    raise InputError(
        f"{path} is no climatology: expected a file of NSIDC that begins with {_NSIDC_START!r}, or a "
        "climatology.csv of ice_index.py"
    )


def _read_nsidc(lines: list[str], path: Path) -> Climatology:
    first, last = map(int, lines[0].partition("=")[2].split("-"))
    rows = [list(map(float, line.split(","))) for line in lines[2:] if line.strip()]
    table = np.full((DAYS_OF_YEAR, _NSIDC_COLUMNS - 1), np.nan)
    for day, *values in rows:
        if not 1 <= day <= DAYS_OF_YEAR or len(values) != len(table[0]):
            raise ValueError(f"day {day:g} of the year with {len(values)} values")
        table[int(day) - 1] = values
    if not rows:
        raise ValueError("no day")
    table *= _MILLION
    check_areas(table, path)
    unknown = np.full(DAYS_OF_YEAR, -1)
    return Climatology(first, last, table[:, 0], table[:, 1], table[:, 2:].T, unknown, path.name)


def _read_own(lines: list[str], path: Path) -> Iterator[tuple[tuple[str, str], Climatology]]:
    rows: dict[tuple[str, str], list[dict[str, str]]] = {}
    for row in csv.DictReader(lines):
        rows.setdefault((row["quantity"], row["region"]), []).append(row)
    for key, own_rows in rows.items():
        table = np.full((DAYS_OF_YEAR, len(PERCENTILES) + 3), np.nan)
        for row in own_rows:
            table[int(row["day_of_year"]) - 1] = [float(row[name] or "nan") for name in COLUMNS[3:-1]]
        years = own_rows[0]["climatology"].split(" ")[0]
        first, last = map(int, years.split("-"))
        count = np.nan_to_num(table[:, -1], nan=-1).astype(int)
        yield key, Climatology(first, last, table[:, 0], table[:, 1], table[:, 2:-1].T, count, path.name)
