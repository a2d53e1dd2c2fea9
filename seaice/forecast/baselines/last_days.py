"""Baselines of the last days alone, which fit nothing: ``persistence``, ``mean3`` and ``lagged``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from seaice.forecast.baselines.baseline import Rule, Training
from seaice.forecast.record import SeaIceRecord

# Members of ``lagged``, and days of the mean of ``mean3``.
LAGGED_MEMBERS, MEAN3_DAYS = 7, 3


def fit_persistence(training: Training) -> Rule:
    """Nothing to fit: every day is as the initial day."""
    return lambda record, day: _repeat(record.read_input(day), training.leads)


def fit_mean3(training: Training) -> Rule:
    """Nothing to fit: every day is as the mean of the last three."""

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        return _repeat(np.mean(_read_last(record, day, MEAN3_DAYS), axis=0), training.leads)

    return forecast


def fit_lagged(training: Training) -> Rule:
    """Nothing to fit: each of the last seven days is a member, the newest first."""

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        days = _read_last(record, day, LAGGED_MEMBERS)
        return np.stack([_repeat(values, training.leads) for values in days])

    return forecast


def _read_last(record: SeaIceRecord, day: date, count: int) -> list[np.ndarray]:
    return [record.read_input(day - timedelta(days=back)) for back in range(count)]


def _repeat(values: np.ndarray, leads: Sequence[int]) -> np.ndarray:
    return np.broadcast_to(values, (len(leads), *values.shape))
