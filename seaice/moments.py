"""Instants as people write them: a date, or a date and a time of day, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from seaice import InputError
from seaice.period import as_date


def as_moment(value: Any, *, last: bool = False) -> datetime:
    """UTC instant, to the second.

    Parameters
    ----------
    value : datetime, date or str
        ``YYYY-MM-DD HH:MM:SS``, with T or without seconds, or a date as
        :func:`seaice.period.as_date` reads it. Without a zone it is UTC.
    last : bool
        A date alone means its last second instead of its first.

    Raises
    ------
    InputError
        If it is no instant.

    Examples
    --------
    >>> as_moment("20200101", last=True).isoformat()
    '2020-01-01T23:59:59+00:00'
    >>> as_moment("2020-01-01 06:30").isoformat()
    '2020-01-01T06:30:00+00:00'
    """
    if isinstance(value, str):
        value = _parsed(value.strip())
    if isinstance(value, datetime):
        try:
            moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        except OverflowError:
            raise InputError(f"expected an instant of the years 1 to 9999, found {value}") from None
        return moment.replace(microsecond=0)
    if isinstance(value, date):
        return datetime.combine(value, time(23, 59, 59) if last else time(0), UTC)
    raise InputError(f"expected a date or an instant, found {value!r}")


def _parsed(text: str) -> date | datetime:
    if ":" in text or "T" in text[1:]:
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"expected YYYY-MM-DD HH:MM:SS (UTC), found {text!r}") from None
    return as_date(text)
