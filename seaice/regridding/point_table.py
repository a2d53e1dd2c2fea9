"""Tables of points: times and positions found by the usual names, everything else kept as it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.open_file import open_xarray
from seaice.report import listing

if TYPE_CHECKING:
    import pandas as pd

# Names without units, blanks and capitals, the likeliest first.
_NAMES = {
    "time": (
        "time", "datetime", "date_time", "timestamp", "time_utc", "datetime_utc", "utc", "utc_time",
        "date_utc", "date", "day", "obs_time", "observation_time", "iso_time", "study_time",
    ),
    "latitude": ("latitude", "lat", "location_lat", "lat_n", "latitude_n", "y_lat", "gps_latitude"),
    "longitude": ("longitude", "lon", "long", "lng", "location_long", "lon_e", "longitude_e",
        "gps_longitude"),
}  # fmt: skip
_UNITS = re.compile(r"\s*[\(\[].*[\)\]]|_(deg|degrees|dd|degn|dege|degrees_north|degrees_east)$")
_CLOCK = r"\d{1,2}:\d{2}"


@dataclass(frozen=True)
class PointTable:
    """Points with times and positions.

    Attributes
    ----------
    frame : pandas.DataFrame
        All columns as in the file, as text where it is one.
    time : ndarray of datetime64[ns], shape (points,), or None
        UTC; NaT is unknown. None without times.
    latitude, longitude : ndarray of float64, shape (points,)
        Degrees in any convention; NaN is unknown.
    names : dict of str to str
        Columns of the quantities that were found.
    """

    frame: pd.DataFrame
    time: np.ndarray | None
    latitude: np.ndarray
    longitude: np.ndarray
    names: dict[str, str]


def read_points(path: Path) -> PointTable:
    """Read the points of a table (any ending but those of NetCDF) or of a NetCDF file.

    Raises
    ------
    InputError
        If the file is missing, no table, or has no columns of positions.
    """
    if not path.is_file():
        raise InputError(f"no such file of points: {path}")
    frame = _read_netcdf(path) if path.suffix in (".nc", ".nc4", ".cdf") else _read_table(path)
    names = _find_columns(frame)
    missing = [quantity for quantity in ("latitude", "longitude") if quantity not in names]
    if missing:
        raise InputError(
            f"{path}: expected columns latitude and longitude (or lat, lon), found "
            f"{listing(list(map(str, frame.columns)))}; name them in the first line"
        )
    if not len(frame):
        raise InputError(f"{path} holds no points, only the names of columns")
    positions = [_read_numbers(frame[names[quantity]]) for quantity in ("latitude", "longitude")]
    for quantity, values, limit in zip(("latitude", "longitude"), positions, (90, 360), strict=True):
        if not np.isfinite(values).any():
            raise InputError(
                f"{path}: expected degrees as decimal numbers in {names[quantity]}, found "
                f"{frame[names[quantity]].iloc[0]!r}; write them so"
            )
        values[~(np.abs(values) <= limit)] = np.nan
    latitude, longitude = positions
    return PointTable(frame, _read_times(frame, names, path), latitude, longitude, names)


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        separator = max(",;\t", key=header.count)
        options = {"keep_default_na": False, "encoding": "utf-8-sig", "skipinitialspace": True}
        frame = pd.read_csv(path, sep=separator, dtype=str, **options)
    except UnicodeDecodeError:
        raise InputError(
            f"{path} is no text in UTF-8; save the table as 'CSV UTF-8', or give a NetCDF file (.nc)"
        ) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read as a table ({reason}); check its columns") from None
    if not isinstance(frame.index, pd.RangeIndex):  # longer rows: the names would stand one too far left
        raise InputError(
            f"{path}: expected {len(frame.columns)} values a row as the first line has names, found "
            f"{len(frame.columns) + frame.index.nlevels}; name every column"
        )
    return frame


def _read_netcdf(path: Path) -> pd.DataFrame:
    with open_xarray(path, decode=True) as dataset:
        positions = {}
        for name, variable in dataset.variables.items():
            standard = str(variable.attrs.get("standard_name", ""))
            lower = _simplify(str(name))
            for quantity, usual in _NAMES.items():
                if standard == quantity or (lower in usual and quantity not in positions):
                    positions[quantity] = name
        shapes = {dataset[name].dims for q, name in positions.items() if q != "time"}
        if len(shapes) != 1 or any(len(dims) != 1 for dims in shapes):
            raise InputError(
                f"{path}: expected latitude and longitude of every point on one dimension, found "
                f"{listing([str(dims) for dims in shapes]) or 'none'}; for the cells of a grid give the "
                "file as --grid"
            )
        (dims,) = shapes
        columns = {
            str(name): np.asarray(variable.values)
            for name, variable in dataset.variables.items()
            if variable.dims == dims
        }
    import pandas as pd

    return pd.DataFrame(columns).rename(columns={positions[q]: q for q in positions if q in _NAMES})


def _simplify(name: str) -> str:
    plain = _UNITS.sub("", name.strip().lower())
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def _find_columns(frame: pd.DataFrame) -> dict[str, str]:
    """Find the columns of time, latitude and longitude; of several the likeliest."""
    simple = {_simplify(str(name)): str(name) for name in reversed(list(frame.columns))}
    names = {}
    for quantity, usual in _NAMES.items():
        name = next((simple[word] for word in usual if word in simple), None)
        if name is not None:
            names[quantity] = name
    for part in ("year", "month", "day", "hour", "minute", "second", "doy", "date", "time"):
        aliases = {"minute": ("minute", "min"), "doy": ("pos_doy", "doy", "day_of_year", "jday")}
        for word in aliases.get(part, (part,)):
            if word in simple:
                names.setdefault(f"part_{part}", simple[word])
    return names


def _read_numbers(column: pd.Series) -> np.ndarray:
    import pandas as pd

    return np.array(pd.to_numeric(column, errors="coerce"), np.float64)


def _read_times(frame: pd.DataFrame, names: dict[str, str], path: Path) -> np.ndarray | None:
    """Read the times of one column, of a date and a clock time, or of numbers of year and day."""
    import pandas as pd

    parts = {k.removeprefix("part_"): frame[v] for k, v in names.items() if k.startswith("part_")}
    if "year" in parts and ({"month", "day"} <= parts.keys() or "doy" in parts):
        return _combine_numbers(
            {k: _read_numbers(v) for k, v in parts.items() if k not in ("date", "time")}
        )
    if "time" not in names:
        return None
    column = frame[names["time"]]
    if column.dtype.kind == "M":
        return np.asarray(column.values, "M8[ns]")
    if {"date", "time"} <= parts.keys() and parts["time"].astype(str).str.match(_CLOCK).all():
        column = parts["date"].astype(str) + " " + parts["time"].astype(str)
    times = pd.to_datetime(column.astype(str), utc=True, format="ISO8601", errors="coerce")
    if times.isna().all():
        raise InputError(
            f"{path}: expected times such as 2024-01-31 06:00 (UTC) in {names['time']}, found "
            f"{column.iloc[0]!r}; write year, month, day in this order"
        )
    return np.asarray(times.dt.tz_localize(None).values, "M8[ns]")


def _combine_numbers(parts: dict[str, np.ndarray]) -> np.ndarray:
    """Combine numbers of years, months and days, or days of the year with fractions, to times.

    What is no day of the calendar, such as a blank month or 31 February, is NaT.
    """
    year = parts["year"]
    days = parts["doy" if "doy" in parts else "day"] - 1
    month = np.ones(year.size) if "doy" in parts else parts["month"]
    valid = (year > 1800) & (year < 2200) & (month >= 1) & (month < 13) & (days >= 0) & (days < 366)
    year, month, days = (np.where(valid, part, 1) for part in (year, month, days))
    start = (year.astype(np.int64) - 1970).astype("M8[Y]").astype("M8[M]") + (month.astype(np.int64) - 1)
    unit = "M8[Y]" if "doy" in parts else "M8[M]"
    day = start.astype("M8[D]") + np.floor(days).astype(np.int64)
    valid &= day.astype(unit) == start.astype(unit)
    seconds = days * 86400
    if "doy" not in parts or (days == np.floor(days)).all():
        for name, length in (("hour", 3600), ("minute", 60), ("second", 1)):
            seconds = seconds + length * np.nan_to_num(parts.get(name, np.zeros(year.size)))
    time = np.where(valid, start, np.datetime64("NaT")).astype("M8[ns]")
    return time + (seconds * 1e9).astype("m8[ns]")
