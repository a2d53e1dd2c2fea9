"""Axes of a field: its dimensions, its times as days, and the positions of its cells."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError, grids
from seaice.dates import from_day_number
from seaice.grids import Grid
from seaice.open_file import summarise_error
from seaice.open_file.address import Place

if TYPE_CHECKING:
    import xarray as xr

_NAMES = {
    "latitude": ("lat", "latitude", "nav_lat"),
    "longitude": ("lon", "longitude", "nav_lon"),
    "time": ("time", "t", "date"),
    "projection_y_coordinate": ("y", "yc"),
    "projection_x_coordinate": ("x", "xc"),
}
_CF_AXES = {"time": "T", "projection_y_coordinate": "Y", "projection_x_coordinate": "X"}
_MOST_DAYS = 2_900_000  # a little more than the days up to the year 9999
_UNITS = {"latitude": "degrees_n", "longitude": "degrees_e"}
_PROJECTED = ("projection_y_coordinate", "projection_x_coordinate")


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
        field is read or written, because row 0 of a :class:`seaice.grids.grid.Grid` is the smallest y.
    mirrored : bool
        The same of columns: whether column 0 of the file is the largest x of ``grid``.
    rows, columns : ndarray of float64 or None
        Numbers along the two dimensions as stored, in metres where they are lengths; None if the file
        has none.
    variables : tuple of str
        Names of the variables that hold times, rows and columns.
    time_variable : str or None
        Name of the variable with the times; None if there are none.
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
    mirrored: bool = False
    rows: np.ndarray | None = None
    columns: np.ndarray | None = None
    variables: tuple[str, ...] = ()
    time_variable: str | None = None

    @classmethod
    def of_grid(cls, grid: Grid) -> FieldAxes:
        """Return the axes of one map on a grid, row 0 in the south."""
        return cls(None, "y", "x", grid.shape, np.zeros(1), grid=grid)

    @classmethod
    def of_positions(cls, latitude: np.ndarray, longitude: np.ndarray) -> FieldAxes:
        """Return the axes of one map with the positions of its cells, degrees (rows, columns)."""
        rows, columns = latitude.shape
        return cls(None, "y", "x", (rows, columns), np.zeros(1), latitude, longitude)

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
                return self.turn(self.latitude), self.turn(self.longitude)
            longitude, latitude = np.meshgrid(self.longitude, self.latitude)
            return latitude, longitude
        if self.grid is not None:
            longitude, latitude = self.grid.longitude_latitude()
            return latitude, longitude
        return None, None

    def turn(self, field: np.ndarray) -> np.ndarray:
        """Turn maps (..., rows, columns) from the order of the file to that of the grid, or back."""
        return field[..., :: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]

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


def read_axes(
    dataset: xr.Dataset, array: xr.DataArray, path: Place, *, with_positions: bool = True
) -> FieldAxes:
    """Read the axes of a variable of an open file.

    Parameters
    ----------
    dataset : xarray.Dataset
    array : xarray.DataArray
        Variable of the dataset.
    path : Path or Address
        Path of the file, for messages.
    with_positions : bool
        Whether latitudes and longitudes of every cell are read; those of rows and columns are always.

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
    # Some files have columns before rows. (In which direction rows run does not matter here.)
    for y_quantity, x_quantity in (tuple(_UNITS), _PROJECTED):
        if _is_axis_of(dataset, x, y_quantity) and _is_axis_of(dataset, y, x_quantity):
            y, x = x, y
            break
    shape = (array.sizes[y], array.sizes[x])
    latitude, longitude = (
        _read_position(dataset, quantity, (y, x), with_positions) for quantity in _UNITS
    )
    if latitude is None or longitude is None:
        latitude = longitude = None
    names = tuple(
        _find_coordinate(dataset, dimension, quantity)
        for dimension, quantity in zip((time, y, x), ("time", *_PROJECTED), strict=True)
    )
    (rows, has_metres), (columns, has_metres_too) = (_read_numbers(dataset, n) for n in names[1:])
    is_regular = latitude is not None and latitude.ndim == 1
    grid, flipped, mirrored = None, False, False
    if rows is not None and columns is not None and not is_regular:
        if has_metres and has_metres_too:
            grid, flipped, mirrored = _recognise_grid(dataset, array, rows, columns)
        else:
            # Kilometres without units, if they are those of a registered grid.
            grid, flipped, mirrored = _recognise_grid(None, array, 1000 * rows, 1000 * columns)
    return FieldAxes(
        time=time,
        y=y,
        x=x,
        shape=shape,
        days=_read_days(dataset, array, time, names[0], path),
        latitude=latitude,
        longitude=longitude,
        grid=grid,
        flipped=flipped,
        mirrored=mirrored,
        rows=rows,
        columns=columns,
        variables=tuple(name for name in names if name is not None and name in dataset.variables),
        time_variable=names[0] if names[0] in dataset.variables else None,
    )


def _find_time_dimension(dataset: xr.Dataset, array: xr.DataArray) -> str | None:
    for dimension in map(str, array.dims):
        if _is_axis_of(dataset, dimension, "time"):
            return dimension
    # The first of three dimensions without a coordinate numbers the maps.
    is_numbered = array.ndim == 3 and array.dims[0] not in dataset.coords
    return str(array.dims[0]) if is_numbered else None


def _find_coordinate(dataset: xr.Dataset, dimension: str | None, quantity: str) -> str | None:
    """Find the variable with the numbers along a dimension: its own, else one that says so.

    Climate data records of NOAA and NSIDC have ``time(tdim)`` and ``ygrid(y)``.
    """
    if dimension is None or dimension in dataset.variables:
        return dimension
    for name, variable in dataset.variables.items():
        if variable.dims == (dimension,) and _describes(variable, quantity):
            return str(name)
    return None


def _describes(variable: Any, quantity: str) -> bool:
    """Whether the attributes of a variable are those of a quantity (a key of ``_NAMES``)."""
    attributes = variable.attrs
    units = str(attributes.get("units", "")).lower().replace(" ", "_")
    if attributes.get("standard_name") is not None:
        return bool(attributes["standard_name"] == quantity)
    if quantity in _UNITS:
        return units.startswith(_UNITS[quantity])
    if quantity == "time" and "_since_" in units:
        return True
    is_angle = units.startswith(tuple(_UNITS.values()))
    return attributes.get("axis") == _CF_AXES[quantity] and not is_angle


def _is_axis_of(dataset: xr.Dataset, dimension: str, quantity: str) -> bool:
    """Whether a dimension is the axis of a quantity (a key of ``_NAMES``), by name or attributes."""
    if dimension.lower() in _NAMES[quantity]:
        return True
    name = _find_coordinate(dataset, dimension, quantity)
    return name is not None and _describes(dataset.variables[name], quantity)


def _read_numbers(dataset: xr.Dataset, name: str | None) -> tuple[np.ndarray | None, bool]:
    """Read the numbers of a coordinate variable and whether they are metres; None without any."""
    if name is None or name not in dataset.variables or dataset[name].ndim != 1:
        return None, False
    try:
        return grids.read_metres(dataset[name]), True
    except InputError:
        values = np.asarray(dataset[name].values)
        return (values.astype(np.float64) if values.dtype.kind in "fiu" else None), False


def _read_position(
    dataset: xr.Dataset, quantity: str, dimensions: tuple[str, str], with_cells: bool
) -> np.ndarray | None:
    """Read latitude or longitude on the dimensions (y, x), of every cell only ``with_cells``.

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
        of_cells = (dimensions, dimensions[::-1]) if with_cells else ()
        if variable.dims in (own_dimension, *of_cells):
            order = own_dimension if variable.dims == own_dimension else dimensions
            return np.asarray(variable.transpose(*order).values, np.float64)
    return None


def _read_days(
    dataset: xr.Dataset, array: xr.DataArray, time: str | None, name: str | None, path: Place
) -> np.ndarray:
    """Read the time of every map as days since 1970-01-01; maps without times are numbered from 0."""
    if time is None:
        return np.zeros(1)
    if name is None or name not in dataset.variables:
        return np.arange(array.sizes[time], dtype=np.float64)
    values = _decode_times(dataset, name, path)
    if values.dtype.kind in "fiu":
        if not (np.abs(values.astype(np.float64)) <= _MOST_DAYS).all():
            raise InputError(
                f"{path}: {name} has no units and cannot be days; give it units such as "
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


def read_periods(dataset: xr.Dataset, axes: FieldAxes, path: Place) -> np.ndarray | None:
    """Read the first and the last day of every map: of its bounds if it has any, else of its time.

    Returns
    -------
    ndarray of int64, shape (maps, 2), or None
        Days since 1970-01-01; None without times.

    Raises
    ------
    InputError
        If the bounds cannot be read.
    """
    if axes.time is None or axes.time_variable is None:
        return None
    days = np.floor(axes.days).astype(np.int64)
    time = dataset[axes.time_variable]
    name = str(time.attrs.get("bounds", f"{axes.time_variable}_bnds"))
    if name not in dataset.variables or dataset[name].shape != (days.size, 2):
        return np.stack([days, days], axis=1)
    import xarray as xr

    # Bounds may have units of their own.
    counted = dataset[name].attrs if "units" in dataset[name].attrs else time.attrs
    units = {k: v for k, v in counted.items() if k in ("units", "calendar")}
    bounds = xr.Variable(("map", "end"), dataset[name].values, units)
    values = _decode_times(xr.Dataset({name: bounds}), name, path)
    if values.dtype.kind != "M":
        return np.stack([days, days], axis=1)
    since = (values.astype("M8[s]") - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")
    first = np.floor(since[:, 0]).astype(np.int64)
    # The upper bound is not part of a step: midnight belongs to the day before.
    return np.stack([first, np.maximum(first, np.ceil(since[:, 1]).astype(np.int64) - 1)], axis=1)


def _decode_times(dataset: xr.Dataset, name: str, path: Place) -> np.ndarray:
    """Decode the times of a variable by its units and calendar; numbers if it has no such units."""
    import xarray as xr

    variable = dataset[name].variable
    units = str(variable.attrs.get("units", ""))
    if units.lower().startswith(("month", "year", "season")):
        raise InputError(
            f"{path}: {name} counts in «{units}», whose lengths differ; write it as «days since» a date"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoded = xr.decode_cf(
                xr.Dataset({"t": variable.to_base_variable()}), decode_timedelta=False
            )
            return np.asarray(decoded["t"].values)
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: the times in {name} cannot be read with the units «{units}» "
            f"({summarise_error(error)}); write it as «days since» a date"
        ) from None


def _recognise_grid(
    dataset: xr.Dataset | None, array: xr.DataArray, rows: np.ndarray, columns: np.ndarray
) -> tuple[Grid | None, bool, bool]:
    """Recognise the grid of projected coordinates, and whether rows and columns descend in the file.

    Without a dataset, and thus without its grid mapping, only registered grids are recognised.
    """
    mapping = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping"))
    attributes = {}
    if dataset is not None and mapping in dataset.variables:
        attributes = dict(dataset[mapping].attrs)
    # A grid mapping that describes no projection leaves the cells of a registered grid what they are.
    for described in (attributes, None):
        try:
            layout = grids.recognise_layout(columns, rows, described)
        except InputError:
            continue  # coordinates in other units, or cells that are not square
        if layout.grid.is_geographic:
            break  # the axes have latitudes and longitudes of their own
        return layout.grid, layout.turned_rows, layout.turned_columns
    return None, False, False
