"""Which days a test forecasts from, and which days it may learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from seaice import InputError
from seaice.dates import DateRange
from seaice.forecast.record import SeaIceRecord

# An initial day is used if so much of the ocean was observed on it.
LEAST_OBSERVED = 0.8


def parse_leads(text: str) -> tuple[int, ...]:
    """Read leads in days, such as ``1-7`` or ``1,3,7-10``.

    Raises
    ------
    InputError
        If the text lists no whole numbers from 1 on in order.

    Examples
    --------
    >>> parse_leads("1-3,7")
    (1, 2, 3, 7)
    """
    leads: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})\s*(?:-\s*(\d{1,4}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        leads += range(first, last + 1)
        if first < 1 or last < first or sorted(set(leads)) != leads:
            raise InputError(
                f"expected leads in days, in order from 1 on, such as 1-7 or 1,3,7; found {text!r}"
            )
    return tuple(leads)


@dataclass(frozen=True)
class Schedule:
    """The days of a test.

    Attributes
    ----------
    initial_days : tuple of date
        Days that are forecast from.
    leads : tuple of int
    training : DateRange
        Days that climatologies, coefficients and masks are taken from; none lies after the first
        initial day.
    lost : tuple of str
        Initial days of the test that cannot be used, with the reason.
    """

    initial_days: tuple[date, ...]
    leads: tuple[int, ...]
    training: DateRange
    lost: tuple[str, ...]


def make_schedule(
    record: SeaIceRecord,
    *,
    test: DateRange,
    leads: Iterable[int],
    training: DateRange | None = None,
    history: int = 1,
) -> Schedule:
    """Choose the initial days all of whose targets lie in a test, and the training days before them.

    Parameters
    ----------
    record : SeaIceRecord
    test : DateRange
        First and last target.
    leads : iterable of int
        Days.
    training : DateRange, optional
        By default all days of the record before the test.
    history : int
        Days that a forecast looks back on, the initial day included.

    Raises
    ------
    InputError
        If the record does not reach over the test, no initial day can be used, or training days lie
        after the first one.
    """
    leads = tuple(leads)
    first, last = record.days[0], record.days[-1]
    if test.end > last:
        raise InputError(
            f"the test ends on {test.end}, after the last day of {record.path}, {last}: end it there"
        )
    start, end = test.start - timedelta(days=min(leads)), test.end - timedelta(days=max(leads))
    if end < start:
        raise InputError(
            f"the test {test} has {len(test)} days, too few for leads {min(leads)} to {max(leads)}: "
            "lengthen it or shorten the leads"
        )
    days, lost = [], []
    for day in DateRange(start, end):
        reason = _refuse(record, day, history)
        if reason:
            lost.append(f"initial day {day}: {reason}")
        else:
            days.append(day)
    if not days:
        raise InputError(f"no day of the test {test} can be forecast from; {lost[0]}")
    latest = min(days[0], test.start - timedelta(days=1))
    training = training or DateRange(min(first, latest), latest)
    if training.end > latest:
        raise InputError(
            f"the training days {training} reach beyond {latest}, the last day that the first forecast "
            "may know: end them there"
        )
    if training.start < first:
        raise InputError(f"the training days {training} begin before {record.path}, {first}")
    return Schedule(tuple(days), leads, training, tuple(lost))


def _refuse(record: SeaIceRecord, day: date, history: int) -> str:
    """Reason why a day cannot be forecast from; empty if it can."""
    before = (day - record.days[0]).days + 1
    if before < history:
        return f"{max(0, before)} days of the cube up to it, {history} are needed"
    share = record.measure_observed(day)
    return "" if share >= LEAST_OBSERVED else f"{share:.0%} of the ocean observed"
