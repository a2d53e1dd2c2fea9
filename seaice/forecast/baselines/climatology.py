"""Baselines of many years: climatology and its probability, trend, anomalies that persist or fade.

Every one of them forecasts for all ocean; where no training year has a value it takes that of the
nearest cell.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from seaice.cf import ICE_EDGE
from seaice.forecast.baselines.baseline import Rule, Training
from seaice.forecast.baselines.calendar_days import (
    HALF_WINDOW,
    WindowSums,
    find_calendar_day,
    list_calendar_days,
)
from seaice.forecast.record import SeaIceRecord

# Below this spread of the anomalies of a cell they do not persist.
_LEAST_SPREAD = 0.01
_ROUNDING = 1e-6
# Cells on a side of the squares over which the memory of anomalies is pooled.
_POOL = 3


def fit_climatology(training: Training) -> Rule:
    """Average the training years near every calendar day, and the share of days with ice."""
    climatology = Climatology(training)

    def forecast(record: SeaIceRecord, day: date) -> tuple[np.ndarray, np.ndarray]:
        targets = _list_targets(day, training)
        maps = [[f(t) for t in targets] for f in (climatology.average, climatology.compute_probability)]
        return np.stack(maps[0]), np.stack(maps[1])

    return forecast


def fit_trend(training: Training) -> Rule:
    """Fit a straight line over the training years of every cell and calendar day."""
    climatology = Climatology(training, has_trend=True)

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        return np.stack([climatology.extrapolate(target) for target in _list_targets(day, training)])

    return forecast


def fit_anomaly(training: Training) -> Rule:
    """Keep the departure of the initial day from its climatology."""
    climatology = Climatology(training)

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        anomaly = record.read_input(day) - climatology.average(day)
        means = [climatology.average(target) for target in _list_targets(day, training)]
        return np.asarray((np.stack(means) + anomaly).clip(0, 1))

    return forecast


def fit_damped_anomaly(training: Training) -> Rule:
    """Fit which part of an anomaly is left after every lead, by cell and calendar day."""
    climatology = Climatology(training)
    memory = AnomalyMemory(training, climatology)

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        anomaly = record.read_input(day) - climatology.average(day)
        means = [climatology.average(target) for target in _list_targets(day, training)]
        return np.asarray((np.stack(means) + memory.measure(day) * anomaly).clip(0, 1))

    return forecast


def _list_targets(day: date, training: Training) -> list[date]:
    return [day + timedelta(days=lead) for lead in training.leads]


class Climatology:
    """Mean, probability of ice and trend of the training years near a calendar day.

    Parameters
    ----------
    training : Training
    has_trend : bool
        Whether :meth:`extrapolate` is asked for.
    """

    def __init__(self, training: Training, *, has_trend: bool = False) -> None:
        self._record, self._period = training.record, training.period
        self._cells = training.record.ocean & ~training.record.hole
        self._has_trend = has_trend
        kept = 2 * HALF_WINDOW + 2 * max(training.leads) + 2
        self._sums = WindowSums(training.period, self._read_terms, kept=kept)
        self._average = lru_cache(maxsize=kept)(self._compute_average)

    def average(self, day: date) -> np.ndarray:
        """Mean concentration, float32 (rows, columns)."""
        return self._average(list_calendar_days(day))

    def compute_probability(self, day: date) -> np.ndarray:
        """Share of the training days near the calendar day that had ice, float32 (rows, columns)."""
        return self._make_map(list_calendar_days(day), lambda sums: sums[2] / sums[0])

    def extrapolate(self, day: date) -> np.ndarray:
        """Concentration by the straight line over the years, within 0 to 1, float32 (rows, columns)."""
        year = self._find_year(day)
        return self._make_map(list_calendar_days(day), lambda sums: _extrapolate(sums, year))

    def _compute_average(self, calendar_days: tuple[int, ...]) -> np.ndarray:
        return self._make_map(calendar_days, lambda sums: sums[1] / sums[0])

    def _read_terms(self, day: date) -> np.ndarray:
        """Terms to be summed: count, concentration, ice; for a trend also products with the year."""
        values = self._record.read_observed(day)[self._cells]
        is_known = np.isfinite(values)
        known = np.nan_to_num(values)
        terms = [is_known, known, known >= ICE_EDGE - _ROUNDING]
        if self._has_trend:
            year = self._find_year(day)
            terms += [is_known * year, is_known * year**2, known * year]
        return np.array(terms, np.float32)

    def _find_year(self, day: date) -> float:
        """Years from the middle of the training days to a day."""
        middle = self._period.start + (self._period.end - self._period.start) / 2
        return (day - middle).days / 365.25

    def _make_map(
        self, calendar_days: tuple[int, ...], compute: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        field = np.full(self._cells.shape, np.float32(np.nan))
        with np.errstate(divide="ignore", invalid="ignore"):
            values = [compute(self._sums.sum(number)) for number in calendar_days]
        field[self._cells] = np.mean(values, axis=0).clip(0, 1)
        return self._record.complete(field)


def _extrapolate(sums: np.ndarray, year: float) -> np.ndarray:
    count, total, _, years, squares, products = sums.astype(np.float64)
    spread = count * squares - years**2
    slope = np.where(spread > 0, (count * products - years * total) / spread, 0)
    return np.asarray((total + slope * (count * year - years)) / count)


class AnomalyMemory:
    """Which part of an anomaly is left after every lead: least squares near a calendar day.

    Pooled over squares of 3 x 3 cells; between 0 and 1, and 0 where anomalies spread by less than a
    percent.

    Parameters
    ----------
    training : Training
    climatology : Climatology
    """

    def __init__(self, training: Training, climatology: Climatology) -> None:
        self._record, self._leads = training.record, training.leads
        self._climatology = climatology
        self._cells = training.record.ocean & ~training.record.hole
        self._sums = WindowSums(training.period, self._read_products, kept=2)

    def measure(self, day: date) -> np.ndarray:
        """Part that is left, float32 (leads, rows, columns)."""
        sums = np.stack([self._pool(term) for term in self._sums.sum(find_calendar_day(day))])
        (count, squares), pairs = sums[:2], sums[2:]
        products, weights = pairs[: len(self._leads)], pairs[len(self._leads) :]
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(weights > 0, products / weights, 0).clip(0, 1)
            part[:, ~(squares / count >= _LEAST_SPREAD**2)] = 0
        return part

    def _read_products(self, day: date) -> np.ndarray:
        """Count and square of the anomaly; by lead its product with the later one, and its square."""
        anomaly = self._read_anomaly(day)
        later = [self._read_anomaly(day + timedelta(days=lead)) for lead in self._leads]
        products = [anomaly * other for other in later]
        squares = [np.where(np.isfinite(product), anomaly**2, 0) for product in products]
        return np.nan_to_num(
            np.array([np.isfinite(anomaly), anomaly**2, *products, *squares], np.float32)
        )

    def _read_anomaly(self, day: date) -> np.ndarray:
        """Departure of a training day from its climatology, float32 (cells,); NaN after the last one."""
        if day > self._record.days[-1]:
            return np.full(np.count_nonzero(self._cells), np.float32(np.nan))
        return np.asarray(
            (self._record.read_observed(day) - self._climatology.average(day))[self._cells]
        )

    def _pool(self, term: np.ndarray) -> np.ndarray:
        """Mean of a term over the square about every cell."""
        from scipy.ndimage import uniform_filter

        field = np.zeros(self._cells.shape, np.float32)
        field[self._cells] = term
        return np.asarray(uniform_filter(field, _POOL, mode="constant"))
