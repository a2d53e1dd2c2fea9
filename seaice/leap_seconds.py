"""Conversion between UTC and TAI93, the time of satellite files, which counts leap seconds.

JAXA and NASA count seconds since 1993-01-01T00:00:00 UTC with leap seconds (TAI93). UTC as
computers keep it (seconds since 1970, 86400 a day) does not count them.

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
_TAI93 = _UTC - EPOCH_1993 + _COUNT  # the same instants in TAI93


def convert_tai93_to_utc(seconds: np.ndarray | float) -> np.ndarray:
    """Seconds since 1970-01-01T00:00:00 UTC, 86400 a day, from TAI93.

    Parameters
    ----------
    seconds : array_like of float
        Seconds since 1993-01-01T00:00:00 UTC, leap seconds counted. A negative or non-finite number
        is unknown.

    Returns
    -------
    ndarray of float64, same shape
        NaN where unknown. An instant within a leap second cannot be expressed in this count. It
        becomes the end of the second before it, so that time never runs backwards.

    Examples
    --------
    >>> float(convert_tai93_to_utc(615254408.0))  # 2012-07-01
    1341100800.0
    """
    tai93 = np.asarray(seconds, np.float64)
    tai93 = np.where(np.isfinite(tai93) & (tai93 >= 0), tai93, np.nan)
    leaps = np.searchsorted(_TAI93, tai93, side="right")
    leaps = np.where(np.isnan(tai93), 0, leaps)
    utc = tai93 + EPOCH_1993 - leaps
    ends = np.append(_UTC, np.inf)[leaps]  # the next leap second ends here
    return np.minimum(utc, np.where(np.isnan(utc), np.nan, ends - 1e-6))


def convert_utc_to_tai93(seconds: np.ndarray | float) -> np.ndarray:
    """TAI93 from seconds since 1970-01-01T00:00:00 UTC; NaN stays NaN.

    Examples
    --------
    >>> float(convert_utc_to_tai93(1341100800.0))  # 2012-07-01
    615254408.0
    """
    utc = np.asarray(seconds, np.float64)
    leaps = np.searchsorted(_UTC, np.nan_to_num(utc, nan=-np.inf), side="right")
    return utc - EPOCH_1993 + leaps


def convert_time_to_tai93(timestamp: datetime) -> float:
    """TAI93 of a UTC time.

    Raises
    ------
    InputError
        If the time has no zone.

    Examples
    --------
    >>> convert_time_to_tai93(datetime(2015, 7, 1, tzinfo=UTC))
    709862409.0
    """
    if timestamp.tzinfo is None:
        raise InputError(f"expected a time with its zone (UTC), found {timestamp.isoformat()}")
    return float(convert_utc_to_tai93((timestamp - _EPOCH) / timedelta(seconds=1)))


def convert_tai93_to_time(seconds: float, *, up: bool = False) -> datetime:
    """UTC time of TAI93 seconds, cut to whole milliseconds (``up``: to the next one)."""
    milliseconds = float(convert_tai93_to_utc(seconds)) * 1000
    rounded = np.ceil(milliseconds) if up else np.floor(milliseconds)
    return _EPOCH + timedelta(milliseconds=int(rounded))
