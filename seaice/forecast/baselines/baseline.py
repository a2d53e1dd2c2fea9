"""What every baseline is: a rule that is fitted on training days and forecasts from a record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from seaice.dates import DateRange
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import Schedule

# Concentration by (leads, rows, columns), with members in front of an ensemble; and a probability.
Maps = np.ndarray | tuple[np.ndarray, np.ndarray]
# From the record up to the initial day, which it cannot read beyond, and that day.
Rule = Callable[[SeaIceRecord, date], Maps]


@dataclass(frozen=True)
class Training:
    """What a baseline may learn from.

    Attributes
    ----------
    record : SeaIceRecord
        Ends with the last training day.
    period : DateRange
    leads : tuple of int
    """

    record: SeaIceRecord
    period: DateRange
    leads: tuple[int, ...]

    @classmethod
    def of(cls, record: SeaIceRecord, schedule: Schedule) -> Training:
        """What may be learnt before a test."""
        training = schedule.training
        return cls(record.up_to(training.end), training, schedule.leads)

    @cached_property
    def active(self) -> np.ndarray:
        """The active region of the training days, bool (rows, columns)."""
        return self.record.find_active_region(self.period)


@dataclass(frozen=True)
class Baseline:
    """A rule by which ice is forecast.

    Attributes
    ----------
    title : str
        What it does, in a line.
    fit : callable
        Returns the rule, fitted on training days.
    references : str
    history : int
        Days that it looks back on, the initial day included.
    years : int
        Years of training days that it needs at least; 0 for none.
    members : int or None
        Members of the ensemble.
    has_probability : bool
        Whether it forecasts the probability of ice too.
    advice : str
        A warning for whoever uses it.
    """

    title: str
    fit: Callable[[Training], Rule]
    references: str = "none"
    history: int = 1
    years: int = 0
    members: int | None = None
    has_probability: bool = False
    advice: str = ""
