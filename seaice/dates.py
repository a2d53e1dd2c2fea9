"""Calendar days, date ranges and timestamps, read in any usual form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from seaice import InputError

if TYPE_CHECKING:
    import numpy as np

EPOCH = date(1970, 1, 1)
_TIME_OF_DAY = re.compile(r"\d{2}(:\d{2}){0,2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?")


def parse_date(value: Any) -> date:
    """Read a calendar day.

    Parameters
    ----------
    value : date, datetime, numpy.datetime64, int or str
        ``20240131``, ``"20240131"``, ``"2024-01-31"`` or a date object. A time of
        day is ignored.

    Returns
    -------
    datetime.date

    Raises
    ------
    InputError
        If the value is not an existing day.

    Examples
    --------
    >>> parse_date(20240229)
    datetime.date(2024, 2, 29)
    >>> parse_date("2024-02-29 00:00:00")
    datetime.date(2024, 2, 29)
    """
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    # numpy.datetime64 and pandas print a time behind a T, or a blank.
    text, separator, time_of_day = str(value).strip().partition("T")
    if not separator:
        text, separator, time_of_day = text.partition(" ")
        if separator and not _TIME_OF_DAY.fullmatch(time_of_day):
            raise InputError(f"expected a date as YYYYMMDD or YYYY-MM-DD, found {str(value)!r}")
    digits = text.replace("-", "")
    has_date_form = len(text) == 8 or (len(text) == 10 and text[4] == text[7] == "-")
    if has_date_form and len(digits) == 8 and digits.isascii() and digits.isdigit():
        try:
            return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError as error:
            raise InputError(f"{text!r} is not a day of the calendar ({error})") from None
    raise InputError(f"expected a date as YYYYMMDD or YYYY-MM-DD, found {text!r}")


def day_number(day: date) -> int:
    """Number of days from 1970-01-01 to a day, as in the time axis of every file this package writes."""
    return (day - EPOCH).days


def from_day_number(number: int) -> date:
    """Day that lies a number of days after 1970-01-01; the inverse of :func:`day_number`."""
    return EPOCH + timedelta(days=int(number))


def read_days(values: np.ndarray, attributes: Mapping[str, Any]) -> list[date]:
    """Read a time axis as calendar days, by its units and its calendar; the time of day is left out.

    Parameters
    ----------
    values : ndarray, shape (days,)
        The axis as stored.
    attributes : mapping
        CF attributes: ``units`` such as ``days since 1970-01-01``, and ``calendar``.

    Raises
    ------
    InputError
        If it is no axis of times, or its days are not in order, once each.

    Examples
    --------
    >>> import numpy as np
    >>> read_days(np.array([12.0, 36.0]), {"units": "hours since 2020-02-29"})
    [datetime.date(2020, 2, 29), datetime.date(2020, 3, 1)]
    """
    units, calendar = str(attributes.get("units", "")), str(attributes.get("calendar", "standard"))
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise InputError(f"expected a list of times, found {values.dtype} of shape {values.shape}")
    numbers = values.tolist()
    if any(number - number != 0 for number in numbers):  # NaN or infinite
        raise InputError(f"of {values.size} times some are missing")
    try:
        if (
            values.dtype.kind in "iu"
            and units == "days since 1970-01-01"
            and calendar in _REAL_CALENDARS
        ):
            days = [from_day_number(number) for number in numbers]
        else:
            days = _decode_days(values, units, calendar)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"expected times such as days since 1970-01-01 of the real calendar, found {units!r} of "
            f"the calendar {calendar!r} ({error})"
        ) from None
    for before, day in pairwise(days):
        if day <= before:
            raise InputError(
                f"expected days in order, once each, found {day} after {before}; sort the file by time "
                "and drop what is there twice"
            )
    return days


_REAL_CALENDARS = ("standard", "gregorian", "proleptic_gregorian")


def _decode_days(values: np.ndarray, units: str, calendar: str) -> list[date]:
    import netCDF4

    times: Any = netCDF4.num2date(values, units, calendar, only_use_cftime_datetimes=True)
    return [date(time.year, time.month, time.day) for time in times]


@dataclass(frozen=True)
class DateRange:
    """A first and a last calendar day, both included.

    Attributes
    ----------
    start, end : date
        First and last day.

    Raises
    ------
    InputError
        If the last day lies before the first.

    Examples
    --------
    >>> len(DateRange(date(2024, 2, 28), date(2024, 3, 1)))
    3
    """

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise InputError(
                f"the date range ends ({self.end}) before it starts ({self.start}); exchange the dates"
            )

    @classmethod
    def parse(cls, start: Any, end: Any) -> DateRange:
        """Read a date range from two days in any form that :func:`parse_date` accepts."""
        return cls(parse_date(start), parse_date(end))

    def __len__(self) -> int:
        return (self.end - self.start).days + 1

    def __iter__(self) -> Iterator[date]:
        for offset in range(len(self)):
            yield self.start + timedelta(days=offset)

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and self.start <= day <= self.end

    def __str__(self) -> str:
        return f"{self.start} to {self.end}"

    def widen(self, days: int) -> DateRange:
        """Return the date range with ``days`` more days before its first and after its last day."""
        first = max(date.min.toordinal(), self.start.toordinal() - days)
        last = min(date.max.toordinal(), self.end.toordinal() + days)
        return DateRange(date.fromordinal(first), date.fromordinal(last))


def parse_timestamp(value: Any, *, last: bool = False) -> datetime:
    """Read a timestamp: a date and a time of day in UTC, to the second.

    Parameters
    ----------
    value : datetime, date or str
        ``YYYY-MM-DD HH:MM:SS``, with T or without seconds, or a date as
        :func:`parse_date` reads it. A time without a time zone is taken as UTC.
    last : bool
        Whether a date without a time means its last second instead of its first.

    Returns
    -------
    datetime
        In UTC, without fractions of a second.

    Raises
    ------
    InputError
        If the value is no timestamp.

    Examples
    --------
    >>> parse_timestamp("20200101", last=True).isoformat()
    '2020-01-01T23:59:59+00:00'
    >>> parse_timestamp("2020-01-01 06:30").isoformat()
    '2020-01-01T06:30:00+00:00'
    """
    if isinstance(value, str):
        value = _parse_text(value.strip())
    if isinstance(value, datetime):
        try:
            timestamp = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise InputError(f"expected a timestamp of the years 1 to 9999, found {value}") from None
        return timestamp.replace(microsecond=0)
    if isinstance(value, date):
        return datetime.combine(value, time(23, 59, 59) if last else time(0), UTC)
    raise InputError(f"expected a date or a timestamp, found {value!r}")


def format_timestamp(time: datetime) -> str:
    """Return the text of a time in UTC, to the second.

    Examples
    --------
    >>> format_timestamp(datetime(2024, 1, 1, 12, tzinfo=UTC))
    '2024-01-01T12:00:00Z'
    """
    return f"{time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _parse_text(text: str) -> date | datetime:
    if ":" in text or "T" in text[1:]:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"expected YYYY-MM-DD HH:MM:SS (UTC), found {text!r}") from None
    return parse_date(text)


def format_runs(days: Sequence[date]) -> list[str]:
    """Format days in order as runs: ``2024-01-01`` or ``2024-01-03 to 2024-01-09``."""
    members = set(days)
    starts = [day for day in days if day - timedelta(days=1) not in members]
    ends = [day for day in days if day + timedelta(days=1) not in members]
    return [
        str(start) if start == end else f"{start} to {end}"
        for start, end in zip(starts, ends, strict=True)
    ]
