"""What is kept of an ice year while its days go by, and its dates at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from seaice.cf import ROUNDING
from seaice.ice_index.dates.events import (
    EVENTS,
    LEAST,
    MOST,
    NO_DAY,
    VALUE,
    DateRule,
    DateStatus,
    Event,
)
from seaice.ice_index.dates.ice_year import IceYear
from seaice.runtime.threads import each_band

# Half width of the interval of a filled value in expected errors. Within 2.0 of them lie 95 percent of
# the errors of real ice (cells of ice and water, 25 km); a date needs a little more, because an ice edge
# that comes back in a gap is not foreseen.
WIDTH = 2.3
# A date needs values on half of the days of its side of the minimum. That there was no event is said
# only with values on nearly all of them.
_LEAST_SHARE, _LEAST_SHARE_WITHOUT_EVENT = 0.5, 0.9
_LEAST_SHARE_OF_MEAN = 2 / 3


class EventDates(NamedTuple):
    """Dates of one event in one ice year; arrays of shape (cells,).

    Attributes
    ----------
    day, earliest, latest : ndarray of int16
        Days from 1 January of the year in which the ice year starts, which is day 1; -1 where there
        is no date. The interval has no width where all days that matter were observed.
    status : ndarray of uint8
        Codes of :class:`DateStatus`.
    """

    day: np.ndarray
    earliest: np.ndarray
    latest: np.ndarray
    status: np.ndarray


class DayCounts(NamedTuple):
    """Number of ice-free days in one ice year, int16 (cells,); -1 without enough data.

    Attributes
    ----------
    days : ndarray
        Days with a value below the threshold.
    fewest, most : ndarray
        If every day that is not certain had ice, or none.
    """

    days: np.ndarray
    fewest: np.ndarray
    most: np.ndarray


@dataclass
class SeasonState:
    """State of the cells within an ice year: a few numbers a cell, whatever the number of days.

    The arrays are those of ``follow_day``; their last axis are
    the cells.
    """

    year: IceYear
    rule: DateRule
    cells: np.ndarray
    last: np.ndarray
    first: np.ndarray
    run_start: np.ndarray
    run_length: np.ndarray
    ice_free: np.ndarray
    valued: np.ndarray
    above: np.ndarray
    is_above_last: np.ndarray
    total: np.ndarray
    summed: np.ndarray
    averaged_days: int = 0

    @classmethod
    def begin(cls, year: IceYear, cells: np.ndarray, rule: DateRule) -> Self:
        """Begin an ice year.

        Parameters
        ----------
        year : IceYear
        cells : ndarray of int64, shape (cells,)
            Flat numbers of the cells that are followed.
        rule : DateRule
        """
        count = len(cells)
        return cls(
            year,
            rule,
            cells,
            last=np.full((2, 3, count), NO_DAY, np.int16),
            first=np.full((3, 3, count), NO_DAY, np.int16),
            run_start=np.full((3, count), NO_DAY, np.int16),
            run_length=np.zeros((3, count), np.int16),
            ice_free=np.zeros((3, count), np.int16),
            valued=np.zeros((2, count), np.int16),
            above=np.zeros((2, count), np.int16),
            is_above_last=np.zeros((2, count), np.bool_),
            total=np.zeros(count, np.float32),
            summed=np.zeros(count, np.int16),
        )

    def follow(
        self,
        number: int,
        month: int,
        concentration: np.ndarray,
        flag: np.ndarray,
        is_trusted: np.ndarray,
        error: np.ndarray | None,
    ) -> None:
        """Follow all cells over the next day.

        Parameters
        ----------
        number : int
            Day of the ice year, from 0; every day of it has to come, in order.
        month : int
        concentration : ndarray of float32, shape (cells of the grid,)
            Fraction 0..1; NaN is missing.
        flag : ndarray of uint8, shape (cells of the grid,)
        is_trusted : ndarray of bool, shape (256,)
            Whether a value with a flag counts as it is, as observed ones do.
        error : ndarray of float32, shape (cells of the grid,), or None
            Expected error of filled values, fraction. A filled value without one may be anything.
        """
        from seaice.ice_index.dates._date_kernels import follow_day

        is_averaged = not self.rule.months or month in self.rule.months
        self.averaged_days += is_averaged
        thresholds = np.array([self.rule.threshold, self.rule.closed_threshold]) - ROUNDING
        each_band(
            follow_day, len(self.cells), number, number < self.year.days_before, is_averaged,
            self.cells, concentration, flag, is_trusted,
            np.empty(0, np.float32) if error is None else error, WIDTH, thresholds,
            self.rule.run_days, self.last, self.first, self.run_start, self.run_length, self.ice_free,
            self.valued, self.above, self.is_above_last, self.total, self.summed,
        )  # fmt: skip

    def find_dates(self, name: str) -> EventDates:
        """Find the dates of an event at the end of the ice year."""
        event = EVENTS[name]
        is_last = event.side == "last"
        days = (self.last if is_last else self.first)[event.row]
        status = self._classify(event, days[VALUE])
        # The most ice makes the last day of ice late and the first day early.
        early, late = (days[LEAST], days[MOST]) if is_last else (days[MOST], days[LEAST])
        early = np.where(early == NO_DAY, 0, early)
        late = np.where(late == NO_DAY, len(self.year) - 1, late)
        first = self.year.first_day_of_year
        has_date = status == DateStatus.DATE
        day, earliest, latest = (
            np.where(has_date, array + first, NO_DAY).astype(np.int16)
            for array in (days[VALUE], early, late)
        )
        return EventDates(day, earliest, latest, status)

    def _classify(self, event: Event, day: np.ndarray) -> np.ndarray:
        """Status of an event, uint8 (cells,), from its dates by the values."""
        side, kind = int(event.side == "first"), int(event.is_closed_ice)
        length = (self.year.days_before, self.year.days_after)[side]
        valued, above = self.valued[side], self.above[kind]
        conditions = [
            (valued < _LEAST_SHARE * length, DateStatus.NOT_ENOUGH_DATA),
            (above == 0, DateStatus.NEVER_ICE),
            (above == self.valued.sum(axis=0, dtype=np.int16), DateStatus.ICE_ALL_SEASON),
            (self.is_above_last[kind], DateStatus.ICE_AT_MINIMUM),
            (day == NO_DAY, DateStatus.NOT_REACHED),
        ]
        choices = [np.uint8(status) for _, status in conditions]
        status = np.select([cells for cells, _ in conditions], choices, np.uint8(DateStatus.DATE))
        is_sparse = valued < _LEAST_SHARE_WITHOUT_EVENT * length
        status[is_sparse & (status != DateStatus.DATE)] = DateStatus.NOT_ENOUGH_DATA
        return status

    def count_ice_free_days(self) -> DayCounts:
        """Count the ice-free days of the ice year."""
        has_enough = self.valued.sum(axis=0) >= _LEAST_SHARE_WITHOUT_EVENT * len(self.year)
        return DayCounts(
            *(
                np.where(has_enough, self.ice_free[reading], NO_DAY).astype(np.int16)
                for reading in (VALUE, MOST, LEAST)
            )
        )

    def average(self) -> np.ndarray:
        """Average the concentration over the chosen months, float32 (cells,); NaN with too few days."""
        missing = np.full(self.total.shape, np.nan, np.float32)
        has_enough = self.summed >= max(1, _LEAST_SHARE_OF_MEAN * self.averaged_days)
        return np.divide(self.total, self.summed, out=missing, where=has_enough)
