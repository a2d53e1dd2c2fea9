"""Baselines that add a linear combination of features to the last day: ``damped`` and ``rolling``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache

import numpy as np

from seaice import InputError
from seaice.forecast.baselines.baseline import Rule, Training
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import LEAST_OBSERVED

# Days of which the mean is taken that ``damped`` leans to.
MEAN_DAYS = 10
# Days back of the differences of ``rolling``, and the days of its smoothed change.
_LAGS, _CHANGE_DAYS = (1, 2, 3, 6), 3
STENCIL_DAYS = max(_LAGS) + 1
# Widths of its means, and of the smoothing of the change: 3, 7, 15 and 5 cells of 25 km.
_MEAN_KILOMETRES, _CHANGE_KILOMETRES = (75.0, 175.0, 375.0), 125.0
# Days of targets on which ``rolling`` is fitted again for every initial day.
WINDOW_DAYS = 45
# Pairs of days without which a fit says nothing.
_LEAST_PAIRS = 7

# Features of a day from the days up to it, one map after the other: together they would take memory.
Features = Callable[[SeaIceRecord, date], Iterator[np.ndarray]]


def fit_damped(training: Training) -> Rule:
    """Fit which part of the way to the mean of ten days the ice goes by lead, on all training days."""
    fit = IncrementFit(training, compute_departure, MEAN_DAYS)
    days = {lead: list(training.period) for lead in training.leads}
    coefficients = fit.solve(training.record, days, "damped")
    return lambda record, day: fit.forecast(record, day, coefficients)


def fit_rolling(training: Training) -> Rule:
    """Refit ten coefficients of every lead for each initial day, on targets of the 45 days up to it."""
    fit = IncrementFit(training, Stencil(training.record), STENCIL_DAYS)

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        targets = [day - timedelta(days=back) for back in range(WINDOW_DAYS)]
        days = {lead: [t - timedelta(days=lead) for t in targets] for lead in training.leads}
        return fit.forecast(record, day, fit.solve(record, days, "rolling"))

    return forecast


class IncrementFit:
    """Least squares, weighted by area, of the increments of active cells on features.

    Sums of products are kept by initial day and lead, so that a window that moves by a day needs only
    those of its new target.

    Parameters
    ----------
    training : Training
        Tells leads and active cells.
    compute_features : callable
        Yields float32 (rows, columns), 0 outside the ocean.
    history : int
        Days that the features need.
    """

    def __init__(self, training: Training, compute_features: Features, history: int) -> None:
        self._leads, self._cells = training.leads, training.active
        self._area = training.record.cell_area[self._cells]
        self._compute, self._history = compute_features, history
        self._sums: dict[tuple[date, int], np.ndarray] = {}
        # Of the last days only: the next target needs those.
        self._features = lru_cache(maxsize=max(self._leads) + 1)(self._compute_active)

    def solve(self, record: SeaIceRecord, days: Mapping[int, Sequence[date]], name: str) -> np.ndarray:
        """Solve for the coefficients of every lead.

        Parameters
        ----------
        record : SeaIceRecord
        days : mapping of int to sequence of date
            Initial days of the pairs of every lead; those that the record does not hold, with their
            history and their target, are left out.
        name : str
            Name of the method, for messages.

        Returns
        -------
        ndarray of float64, shape (leads, features)
        """
        first, last = record.days[0] + timedelta(days=self._history - 1), record.days[-1]
        pairs = {
            (day, lead)
            for lead, starts in days.items()
            for day in starts
            if first <= day <= last - timedelta(days=lead) and _are_observed(record, day, lead)
        }
        for day, lead in sorted(pairs - self._sums.keys()):
            self._sums[day, lead] = self._sum_products(record, day, lead)
        return np.array([self._solve_lead(record, pairs, lead, name) for lead in self._leads])

    def forecast(self, record: SeaIceRecord, day: date, coefficients: np.ndarray) -> np.ndarray:
        """Add the increments to the last day, float32 (leads, rows, columns)."""
        maps = np.repeat(record.read_input(day)[np.newaxis], len(self._leads), axis=0)
        for feature, by_lead in zip(self._compute(record, day), coefficients.T, strict=True):
            for lead_map, coefficient in zip(maps, by_lead, strict=True):
                lead_map += np.float32(coefficient) * feature
        return maps.clip(0, 1, out=maps)

    def _solve_lead(
        self, record: SeaIceRecord, pairs: set[tuple[date, int]], lead: int, name: str
    ) -> np.ndarray:
        sums = [self._sums[pair] for pair in sorted(pairs) if pair[1] == lead]
        if len(sums) < _LEAST_PAIRS:
            needed = self._history + lead + _LEAST_PAIRS - 1
            raise InputError(
                f"{name} needs at least {needed} observed days to learn from for a lead of {lead}, "
                f"{record.path} has {len(record.days)} up to {record.days[-1]}, which hold {len(sums)} "
                "pairs of initial day and target; take a longer cube or shorter leads"
            )
        total = np.sum(sums, axis=0)
        return np.asarray(np.linalg.lstsq(total[:, :-1], total[:, -1], rcond=None)[0])

    def _sum_products(self, record: SeaIceRecord, day: date, lead: int) -> np.ndarray:
        """Sum products of the features with each other and, in the last column, with the increment."""
        features = self._features(record, day).astype(np.float64)
        target = record.read_observed(day + timedelta(days=lead))[self._cells]
        increment = target - record.read_input(day)[self._cells]
        weighted = features * np.where(np.isnan(increment), 0, self._area)
        return np.column_stack([weighted @ features.T, weighted @ np.nan_to_num(increment)])

    def _compute_active(self, record: SeaIceRecord, day: date) -> np.ndarray:
        return np.stack([feature[self._cells] for feature in self._compute(record, day)])


def _are_observed(record: SeaIceRecord, day: date, lead: int) -> bool:
    days = (day, day + timedelta(days=lead))
    return all(record.measure_observed(observed) >= LEAST_OBSERVED for observed in days)


def compute_departure(record: SeaIceRecord, day: date) -> Iterator[np.ndarray]:
    """Yield the departure of the mean of the last ten days from the last one."""
    days = (record.read_input(day - timedelta(days=back)) for back in range(MEAN_DAYS))
    yield np.nan_to_num(sum(days) / np.float32(MEAN_DAYS) - record.read_input(day))


class Stencil:
    """The ten features of ``rolling``.

    Four differences of past days from the last one, three means over boxes of ocean less the cell
    itself, the smoothed change of three days, x (1 - x) and x.

    Parameters
    ----------
    record : SeaIceRecord
        Tells the ocean and the size of its cells.
    """

    def __init__(self, record: SeaIceRecord) -> None:
        self._ocean, self._kilometres = record.ocean, record.grid.kilometres
        self._shares = {
            width: self._average(self._ocean.astype(np.float32), width)
            for width in (*_MEAN_KILOMETRES, _CHANGE_KILOMETRES)
        }

    def __call__(self, record: SeaIceRecord, day: date) -> Iterator[np.ndarray]:
        """Yield the features of a day, 0 outside the ocean."""
        last = np.nan_to_num(record.read_input(day))
        for lag in _LAGS:
            yield _read_past(record, day, lag) - last
        for width in _MEAN_KILOMETRES:
            yield self._smooth(last, width) - last
        yield self._smooth(last - _read_past(record, day, _CHANGE_DAYS), _CHANGE_KILOMETRES)
        yield last * (1 - last)
        yield last

    def _smooth(self, values: np.ndarray, width: float) -> np.ndarray:
        """Mean over the ocean cells of a box about every ocean cell."""
        mean = self._average(values, width) / self._shares[width].clip(1e-6)
        return np.where(self._ocean, mean, np.float32(0))

    def _average(self, values: np.ndarray, width: float) -> np.ndarray:
        from scipy.ndimage import uniform_filter

        cells = max(3, 2 * round((width / self._kilometres - 1) / 2) + 1)
        return np.asarray(uniform_filter(values, cells, mode="constant"))


def _read_past(record: SeaIceRecord, day: date, back: int) -> np.ndarray:
    return np.nan_to_num(record.read_input(day - timedelta(days=back)))
