"""Cadence of gridded output: the time steps into which days are grouped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

from seaice import InputError
from seaice.gridding.file import TimeStep

FORM = "day, week, month, all or a number of days such as 5D"
_NAMES = ("day", "week", "month", "all")
_EPOCH = date(1970, 1, 1)
_MOST_DAYS = 3660


@dataclass(frozen=True)
class Period:
    """Length of the time steps of gridded output; every step is of whole UTC days.

    Attributes
    ----------
    name : str
        ``day``; ``week``, of ISO 8601, which begins on Monday; ``month`` of the calendar; ``all`` for
        one step of all days; or ``ND``, N days.
    origin : date
        A day on which a step of N days begins.
    """

    name: str = "day"
    origin: date = _EPOCH

    @classmethod
    def parse(cls, text: str, *, origin: date | None = None) -> Period:
        """Parse the text of an option.

        Parameters
        ----------
        text : str
            Name of a period.
        origin : date, optional
            First day of the first step of N days. By default steps are counted from 1970-01-01, so that
            they do not depend on the days with data.

        Raises
        ------
        InputError
            If there is no such period.

        Examples
        --------
        >>> [str(step) for step in Period.parse("week").list_steps(date(2020, 1, 1), date(2020, 1, 6))]
        ['2019-12-30 to 2020-01-05', '2020-01-06 to 2020-01-12']
        >>> Period.parse("5D", origin=date(2020, 1, 1)).find_step(date(2020, 1, 12))
        TimeStep(start=datetime.date(2020, 1, 11), end=datetime.date(2020, 1, 15))
        """
        match = re.fullmatch(r"0*([1-9]\d{0,3})[dD]", str(text))
        if match is not None and int(match[1]) <= _MOST_DAYS:
            days = int(match[1])
            return cls("day") if days == 1 else cls(f"{days}D", origin or _EPOCH)
        if text not in _NAMES:
            raise InputError(f"expected a period out of {FORM}, found {text!r}")
        return cls(text)

    @property
    def days(self) -> int:
        """Days of a step; 0 of months and of all days at once, which have no fixed number."""
        if self.name in ("month", "all"):
            return 0
        return {"day": 1, "week": 7}.get(self.name) or int(self.name[:-1])

    def find_step(self, day: date) -> TimeStep:
        """Find the time step that holds a day; that of ``all`` holds all dates."""
        if self.name == "all":
            return TimeStep(date.min, date.max)
        if self.name == "month":
            start = day.replace(day=1)
            following = (start + timedelta(days=32)).replace(day=1)
            return TimeStep(start, following - timedelta(days=1))
        # 1969-12-29 was a Monday.
        origin = date(1969, 12, 29) if self.name == "week" else self.origin
        start = day - timedelta(days=(day - origin).days % self.days)
        return TimeStep(start, start + timedelta(days=self.days - 1))

    def list_steps(self, first: date, last: date) -> list[TimeStep]:
        """List the time steps with a day from ``first`` to ``last``; but for ``all`` they are whole."""
        if self.name == "all":
            return [TimeStep(first, last)]
        steps = [self.find_step(first)]
        while steps[-1].end < last:
            steps.append(self.find_step(steps[-1].end + timedelta(days=1)))
        return steps
