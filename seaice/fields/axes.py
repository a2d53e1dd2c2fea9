"""Axes of a field: its dimensions, its times as days, and the positions of its cells."""

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
_MOST_DAYS = 2_900_000  # a little more than the days up to the year 9999
_UNITS = {"latitude": "degrees_n", "longitude": "degrees_e"}


@dataclass(frozen=True)
class FieldAxes:
    """Dimensions and coordinates of a stack of maps.

    Attributes
    ----------
    time : str or None
        Name of the time dimension; None for one map without a time.
    y, x : str
        Names of the dimensions of rows and of columns.
    shape : (int, int)
        Number of rows and columns.
    days : ndarray of float64, shape (maps,)
        Time of every map, days since 1970-01-01.
    latitude, longitude : ndarray of float64 or None
        Degrees: (rows,) and (columns,) on a regular grid, (rows, columns) on a curvilinear one.
        None if the file does not have both.
    grid : Grid or None
        The grid of square cells with these coordinates; None if there is none.
    flipped : bool
        Whether row 0 of the file is the largest y of ``grid``. Rows are then turned round when a
        field is read or written, because row 0 of a :class:`seaice.grids.Grid` is the smallest y.
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
        """Whether the last column is a neighbour of the first, as on a global grid."""
        lon = self.longitude
        if lon is None or lon.ndim != 1 or lon.size < 3:
            return False
        step = float(np.median(np.abs(np.diff(lon))))
        return bool(abs(abs(lon[-1] - lon[0]) + step - 360) < 0.5 * step)

    def compute_positions(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return latitude and longitude of every cell.

        Returns
        -------
        latitude, longitude : ndarray of float64, shape (rows, columns), or None
            Degrees; both are None if the positions are not known.
        """
        if self.latitude is not None and self.longitude is not None:
            if self.latitude.ndim == 2:
                return self.turn_rows(self.latitude), self.turn_rows(self.longitude)
            longitude, latitude = np.meshgrid(self.longitude, self.latitude)
            return latitude, longitude
        if self.grid is not None:
            longitude, latitude = self.grid.longitude_latitude()
            return latitude, longitude
        return None, None

    def turn_rows(self, field: np.ndarray) -> np.ndarray:
        """Turn rows (the last axis but one) from the order of the file to that of the grid, or back."""
        return field[..., ::-1, :] if self.flipped else field

    def select_maps(self, maps: slice) -> FieldAxes:
        """Return the axes of some of the maps."""
        return replace(self, days=self.days[maps])

    def drop_time(self) -> FieldAxes:
        """Return the axes of one map without a time."""
        return replace(self, time=None, days=np.zeros(1))

    def describe_days(self) -> str:
        """Return the first and the last day as text, for messages."""
        first, last = (from_day_number(int(np.floor(d))) for d in (self.days[0], self.days[-1]))
        return f"{first} to {last}"


def read_axes(dataset: xr.Dataset, array: xr.DataArray, path: Path) -> FieldAxes:
    """Read the axes of a variable of an open file.

    Parameters
    ----------
    dataset : xarray.Dataset
    array : xarray.DataArray
        Variable of the dataset.
    path : Path
        Path of the file, for messages.

    Raises
    ------
    InputError
        If it is no map or stack of maps, or its times cannot be read.
    """
    longer_than_one = [str(d) for d in array.dims if array.sizes[d] > 1]
    time = _find_time_dimension(dataset, array)
    dimensions = [d for d in map(str, array.dims) if d != time]
    if len(dimensions) > 2:
        dimensions = [d for d in dimensions if d in longer_than_one]
    if len(dimensions) != 2 or (time is None and len(longer_than_one) > 2):
        sizes = ", ".join(f"{d} {n}" for d, n in array.sizes.items())
        raise InputError(f"{path}: expected {array.name} as (time, y, x) or (y, x), found ({sizes})")
    y, x = dimensions
    shape = (array.sizes[y], array.sizes[x])
    # Some files have columns before rows. (In which direction rows run does not matter here.)
    for y_quantity, x_quantity in (_UNITS, ("projection_y_coordinate", "projection_x_coordinate")):
        if _is_axis_of(dataset, x, y_quantity) and _is_axis_of(dataset, y, x_quantity):
            (y, x), shape = (x, y), shape[::-1]
            break
    latitude, longitude = (_read_position(dataset, quantity, (y, x)) for quantity in _UNITS)
    if latitude is None or longitude is None:
        latitude = longitude = None
    is_regular = latitude is not None and latitude.ndim == 1
    grid, flipped = (None, False) if is_regular else _recognise_grid(dataset, array, y, x)
    days = _read_days(dataset, array, time, path)
    return FieldAxes(time, y, x, shape, days, latitude, longitude, grid, flipped)


def _find_time_dimension(dataset: xr.Dataset, array: xr.DataArray) -> str | None:
    for dimension in map(str, array.dims):
        if _is_axis_of(dataset, dimension, "time"):
            return dimension
    # The first of three dimensions without a coordinate numbers the maps.
    is_numbered = array.ndim == 3 and array.dims[0] not in dataset.coords
    return str(array.dims[0]) if is_numbered else None


def _is_axis_of(dataset: xr.Dataset, dimension: str, quantity: str) -> bool:
    """Whether a dimension is the axis of a quantity (a key of ``_NAMES``), by name or standard name."""
    if dimension in _NAMES[quantity]:
        return True
    if dimension not in dataset.coords:
        return False
    return dataset[dimension].attrs.get("standard_name") == quantity


def _read_position(dataset: xr.Dataset, quantity: str, dimensions: tuple[str, str]) -> np.ndarray | None:
    """Read latitude or longitude on the dimensions (y, x).

    The variable is recognised by its standard name, units or name. None if there is none.
    """
    for name, variable in dataset.variables.items():
        attributes: dict[str, Any] = variable.attrs
        units = str(attributes.get("units", "")).lower().replace(" ", "_")
        is_described = attributes.get("standard_name") == quantity or units.startswith(_UNITS[quantity])
        is_named = str(name).lower() in _NAMES[quantity]
        if not (is_described or is_named) or variable.dtype.kind not in "fiu":
            continue
        own_dimension = (dimensions[0],) if quantity == "latitude" else (dimensions[1],)
        if variable.dims in (own_dimension, dimensions, dimensions[::-1]):
            order = own_dimension if variable.dims == own_dimension else dimensions
            return np.asarray(variable.transpose(*order).values, np.float64)
    return None


def _read_days(dataset: xr.Dataset, array: xr.DataArray, time: str | None, path: Path) -> np.ndarray:
    """Read the time of every map as days since 1970-01-01; maps without times are numbered from 0."""
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


def _recognise_grid(
    dataset: xr.Dataset, array: xr.DataArray, y: str, x: str
) -> tuple[Grid | None, bool]:
    """Recognise the grid of projected coordinates, and whether row 0 of the file is the largest y."""
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
