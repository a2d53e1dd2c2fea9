"""Ice years: from the maximum of the ice over its minimum to the next maximum."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Self

from seaice import InputError
from seaice.grids import Grid

# First day of the ice year and day of the minimum, month and day. The Arctic ones are those of Bliss et
# al. (2019) and Stammerjohn et al. (2012), as is the Antarctic minimum; Antarctic ice is at its maximum
# in the middle of September.
_SEASONS = {"north": ("03-01", "09-15"), "south": ("09-15", "02-15")}


@dataclass(frozen=True)
class IceYear:
    """One ice year.

    Attributes
    ----------
    start : date
        First day, near the maximum.
    minimum : date
        Last day on which the ice may retreat; it may advance from the next day on.
    end : date
        Day after the last.
    """

    start: date
    minimum: date
    end: date

    @property
    def label(self) -> int:
        """Calendar year of the minimum, after which the ice year is named."""
        return self.minimum.year

    @property
    def days_before(self) -> int:
        """Number of days up to the minimum, which counts."""
        return (self.minimum - self.start).days + 1

    @property
    def days_after(self) -> int:
        """Number of days after the minimum."""
        return (self.end - self.minimum).days - 1

    @property
    def first_day_of_year(self) -> int:
        """Day of the calendar year on which it starts, 1 = 1 January."""
        return self.start.timetuple().tm_yday

    def __len__(self) -> int:
        return (self.end - self.start).days

    def __str__(self) -> str:
        return f"ice year {self.label} ({self.start} to {self.end - timedelta(days=1)})"


@dataclass(frozen=True)
class Season:
    """Calendar days on which every ice year starts and has its minimum.

    Attributes
    ----------
    start, minimum : (int, int)
        Month and day.
    """

    start: tuple[int, int]
    minimum: tuple[int, int]

    @classmethod
    def of(cls, grid: Grid, days: Sequence[str] | None = None) -> Self:
        """Make the season of a grid, by default that of its hemisphere.

        Parameters
        ----------
        grid : Grid
        days : sequence of two str, optional
            First day and day of the minimum as MM-DD.

        Raises
        ------
        InputError
            If a day is no calendar day of every year, or the grid lies in no one hemisphere.

        Examples
        --------
        >>> from seaice.grids import get_grid
        >>> Season.of(get_grid("s25000"))
        Season(start=(9, 15), minimum=(2, 15))
        """
        if days is None:
            if grid.hemisphere is None:
                raise InputError(
                    f"expected a grid of the Arctic or the Antarctic, found {grid.describe_place()}; "
                    "say with --ice_year MM-DD MM-DD on which day ice years start and have their minimum"
                )
            days = _SEASONS[grid.hemisphere]
        start, minimum = (_parse_calendar_day(text) for text in days)
        if start == minimum:
            raise InputError(
                f"--ice_year: expected a first day and another day of the minimum, found {days[0]} twice"
            )
        return cls(start, minimum)

    def make_year(self, number: int) -> IceYear:
        """Make the ice year that starts in a calendar year."""
        start = date(number, *self.start)
        minimum = date(number + (self.minimum < self.start), *self.minimum)
        return IceYear(start, minimum, date(number + 1, *self.start))

    def list_years(self, first: date, last: date) -> list[IceYear]:
        """List the ice years that have a day from first to last."""
        years = [self.make_year(number) for number in range(first.year - 1, last.year + 1)]
        return [year for year in years if year.start <= last and year.end > first]


def _parse_calendar_day(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,2})-?(\d{2})", text.strip())
    try:
        if match is None:
            raise ValueError
        day = date(2001, int(match[1]), int(match[2]))  # no leap year
    except ValueError:
        raise InputError(
            f"--ice_year: expected days of every year as MM-DD, such as 03-01, found {text!r}"
        ) from None
    return day.month, day.day
