"""Axes of a field: which dimension is which, times in days, positions of the cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, grids
from seaice.dates import from_day_number
from seaice.grids import Grid

if TYPE_CHECKING:
    import xarray as xr

_NAMES = {
    "latitude": ("lat", "latitude", "nav_lat"),
    "longitude": ("lon", "longitude", "nav_lon"),
    "time": ("time", "t", "date"),
    "projection_y_coordinate": ("y", "yc"),
    "projection_x_coordinate": ("x", "xc"),
}
_MOST_DAYS = 2_900_000  # what a calendar holds
_UNITS = {"latitude": "degrees_n", "longitude": "degrees_e"}


@dataclass(frozen=True)
class Axes:
    """Dimensions and coordinates of a stack of maps.

    Attributes
    ----------
    time : str or None
        Name of the dimension; None for one map without a time.
    y, x : str
        Names of the other two, in the order of the file.
    shape : (int, int)
        Rows and columns.
    days : ndarray of float64
        Days since 1970-01-01 of every map.
    latitude, longitude : ndarray of float64 or None
        (rows,) and (columns,) on a regular grid, (rows, columns) on a curvilinear one.
    grid : Grid or None
        The projected grid of square cells with these coordinates.
    flipped : bool
        Rows of the file go from north to south of a projected plane; fields are read and written
        the other way round, as row 0 of a :class:`Grid` is the smallest y.
    """

    time: str | None
    y: str
    x: str
    shape: tuple[int, int]
    days: np.ndarray
    latitude: np.ndarray | None = None
    longitude: np.ndarray | None = None
    grid: Grid | None = None
    flipped: bool = False

    @property
    def wraps(self) -> bool:
        """Whether the last column neighbours the first."""
        lon = self.longitude
        if lon is None or lon.ndim != 1 or lon.size < 3:
            return False
        step = float(np.median(np.abs(np.diff(lon))))
        return bool(abs(abs(lon[-1] - lon[0]) + step - 360) < 0.5 * step)

    def positions(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Latitude and longitude of every cell, float64 (rows, columns), or None twice."""
        if self.latitude is not None and self.longitude is not None:
            if self.latitude.ndim == 2:
                return self.upward(self.latitude), self.upward(self.longitude)
            longitude, latitude = np.meshgrid(self.longitude, self.latitude)
            return latitude, longitude
        if self.grid is not None:
            longitude, latitude = self.grid.longitude_latitude()
            return latitude, longitude
        return None, None

    def upward(self, field: np.ndarray) -> np.ndarray:
        """Rows (the last axis but one) in the order of the grid; also the way back."""
        return field[..., ::-1, :] if self.flipped else field

    def only(self, chosen: slice) -> Axes:
        """Those of some of the maps."""
        return replace(self, days=self.days[chosen])

    def flat(self) -> Axes:
        """Those of one map."""
        return replace(self, time=None, days=np.zeros(1))

    def span(self) -> str:
        """First and last day, for messages."""
        first, last = (from_day_number(int(np.floor(d))) for d in (self.days[0], self.days[-1]))
        return f"{first} to {last}"


def axes_of(dataset: xr.Dataset, array: xr.DataArray, path: Path) -> Axes:
    """Find the axes of a variable.

    Raises
    ------
    InputError
        If it is no map or stack of maps, or its times cannot be read.
    """
    wide = [str(d) for d in array.dims if array.sizes[d] > 1]
    time = _time_dimension(dataset, array)
    plane = [d for d in map(str, array.dims) if d != time]
    plane = [d for d in plane if d in wide] if len(plane) > 2 else plane
    if len(plane) != 2 or (time is None and len(wide) > 2):
        found = ", ".join(f"{d} {n}" for d, n in array.sizes.items())
        raise InputError(f"{path}: expected {array.name} as (time, y, x) or (y, x), found ({found})")
    y, x = plane
    shape = (array.sizes[y], array.sizes[x])
    # Ascending latitudes or rows do not matter; which of the two is the row does.
    for rows, columns in (_UNITS, ("projection_y_coordinate", "projection_x_coordinate")):
        if _is(dataset, x, rows) and _is(dataset, y, columns):
            (y, x), shape = (x, y), shape[::-1]
            break
    latitude, longitude = (_position(dataset, array, what, (y, x)) for what in _UNITS)
    if latitude is None or longitude is None:
        latitude = longitude = None
    regular = latitude is not None and latitude.ndim == 1
    grid, flipped = (None, False) if regular else _grid(dataset, array, y, x)
    days = _days(dataset, array, time, path)
    return Axes(time, y, x, shape, days, latitude, longitude, grid, flipped)


def _time_dimension(dataset: xr.Dataset, array: xr.DataArray) -> str | None:
    for dimension in map(str, array.dims):
        if _is(dataset, dimension, "time"):
            return dimension
    # A stack of maps whose first dimension has no coordinate: a count.
    counted = array.ndim == 3 and array.dims[0] not in dataset.coords
    return str(array.dims[0]) if counted else None


def _is(dataset: xr.Dataset, dimension: str, what: str) -> bool:
    if dimension in _NAMES[what]:
        return True
    if dimension not in dataset.coords:
        return False
    attributes = dataset[dimension].attrs
    return attributes.get("standard_name") == what


def _position(
    dataset: xr.Dataset, array: xr.DataArray, what: str, plane: tuple[str, str]
) -> np.ndarray | None:
    """Latitude or longitude, by standard name, units or name; of the plane's dimensions only."""
    for name, variable in dataset.variables.items():
        attributes: dict[str, Any] = variable.attrs
        units = str(attributes.get("units", "")).lower().replace(" ", "_")
        known = attributes.get("standard_name") == what or units.startswith(_UNITS[what])
        if not (known or str(name).lower() in _NAMES[what]) or variable.dtype.kind not in "fiu":
            continue
        own = (plane[0],) if what == "latitude" else (plane[1],)
        if variable.dims in (own, plane, plane[::-1]):
            order = own if variable.dims == own else plane
            return np.asarray(variable.transpose(*order).values, np.float64)
    return None


def _days(dataset: xr.Dataset, array: xr.DataArray, time: str | None, path: Path) -> np.ndarray:
    if time is None:
        return np.zeros(1)
    if time not in dataset.coords:
        return np.arange(array.sizes[time], dtype=np.float64)
    values = dataset[time].values
    if values.dtype.kind in "fiu":
        if not (np.abs(values.astype(np.float64)) <= _MOST_DAYS).all():
            raise InputError(
                f"{path}: {time} has no units and cannot be days; give it units such as "
                "«days since 1970-01-01»"
            )
        return values.astype(np.float64)
    if values.dtype.kind != "M":
        calendar = getattr(values.flat[0], "calendar", "unknown") if values.size else "none"
        raise InputError(f"{path}: expected times of the standard calendar, found {calendar}")
    if np.isnat(values).any():
        raise InputError(f"{path}: {int(np.isnat(values).sum())} times are missing; repair the file")
    since = values.astype("M8[ns]") - np.datetime64("1970-01-01T00:00:00", "ns")
    return np.asarray(since / np.timedelta64(1, "D"), np.float64)


def _grid(dataset: xr.Dataset, array: xr.DataArray, y: str, x: str) -> tuple[Grid | None, bool]:
    """The grid of projected coordinates, and whether the rows of the file run downward."""
    if y not in dataset.coords or x not in dataset.coords:
        return None, False
    mapping = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping"))
    attributes = dict(dataset[mapping].attrs) if mapping in dataset.variables else None
    try:
        columns, rows = (grids.read_metres(dataset[name]) for name in (x, y))
        flipped = rows.size > 1 and bool(rows[0] > rows[-1])
        return grids.recognise_grid(columns, rows[::-1] if flipped else rows, attributes), flipped
    except InputError:
        return None, False  # coordinates in degrees, or cells that are not square
