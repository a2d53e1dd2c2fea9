"""Time of satellite files: seconds that count leap seconds, to UTC and back.

JAXA and NASA count seconds since 1993-01-01T00:00:00 UTC with leap seconds (TAI93). UTC as
a computer keeps it (seconds since 1970, 86400 a day) does not know them.

References
----------
International Earth Rotation and Reference Systems Service, Bulletin C; no leap second has
been announced after that of the end of 2016.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from seaice import InputError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_1993 = 725846400.0  # 1993-01-01T00:00:00 UTC in seconds since 1970-01-01

# UTC days that begin right after a leap second, since 1993.
_DAYS = (
    "1993-07-01",
    "1994-07-01",
    "1996-01-01",
    "1997-07-01",
    "1999-01-01",
    "2006-01-01",
    "2009-01-01",
    "2012-07-01",
    "2015-07-01",
    "2017-01-01",
)
_UTC = np.array(_DAYS, "datetime64[s]").astype(np.float64)
_COUNT = np.arange(1, len(_DAYS) + 1)
_TAI93 = _UTC - EPOCH_1993 + _COUNT  # the count of seconds at the same instants


def convert_tai93_to_utc(seconds: np.ndarray | float) -> np.ndarray:
    """Seconds since 1970-01-01T00:00:00 UTC, 86400 a day, from TAI93.

    Parameters
    ----------
    seconds : array_like of float
        Since 1993-01-01T00:00:00 UTC, leap seconds counted. Negative or not finite: unknown.

    Returns
    -------
    ndarray of float64, same shape
        NaN where unknown. An instant within a leap second, which has no place in this count,
        becomes the end of the second before it, so that time never runs backwards.

    Examples
    --------
    >>> float(convert_tai93_to_utc(615254408.0))  # 2012-07-01
    1341100800.0
    """
    given = np.asarray(seconds, np.float64)
    known = np.where(np.isfinite(given) & (given >= 0), given, np.nan)
    leaps = np.searchsorted(_TAI93, known, side="right")
    leaps = np.where(np.isnan(known), 0, leaps)
    utc = known + EPOCH_1993 - leaps
    ends = np.append(_UTC, np.inf)[leaps]  # the next leap second ends here
    return np.minimum(utc, np.where(np.isnan(utc), np.nan, ends - 1e-6))


def convert_utc_to_tai93(seconds: np.ndarray | float) -> np.ndarray:
    """TAI93 from seconds since 1970-01-01T00:00:00 UTC; NaN stays NaN.

    Examples
    --------
    >>> float(convert_utc_to_tai93(1341100800.0))  # 2012-07-01
    615254408.0
    """
    given = np.asarray(seconds, np.float64)
    leaps = np.searchsorted(_UTC, np.nan_to_num(given, nan=-np.inf), side="right")
    return given - EPOCH_1993 + leaps


def convert_time_to_tai93(moment: datetime) -> float:
    """TAI93 of a UTC time.

    Raises
    ------
    InputError
        If the time does not know its zone.

    Examples
    --------
    >>> convert_time_to_tai93(datetime(2015, 7, 1, tzinfo=UTC))
    709862409.0
    """
    if moment.tzinfo is None:
        raise InputError(f"expected a time with its zone (UTC), found {moment.isoformat()}")
    return float(convert_utc_to_tai93((moment - _EPOCH) / timedelta(seconds=1)))


def convert_tai93_to_time(seconds: float, *, up: bool = False) -> datetime:
    """UTC time of TAI93 seconds, cut to whole milliseconds (``up``: to the next one)."""
    milliseconds = float(convert_tai93_to_utc(seconds)) * 1000
    whole = np.ceil(milliseconds) if up else np.floor(milliseconds)
    return _EPOCH + timedelta(milliseconds=int(whole))
