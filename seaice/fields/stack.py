"""A variable of a file of any origin, open for reading: a few maps and cells at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from seaice import InputError
from seaice.dates import day_number
from seaice.fields.axes import FieldAxes, read_axes, read_periods
from seaice.fields.mask import read_sea_of_input
from seaice.fields.open import (
    CONCENTRATION_NAMES,
    decode_stored,
    drop_fill_value,
    open_stored,
)
from seaice.fields.options import ReadOptions
from seaice.fields.plausible import check_concentration, drop_undeclared_codes
from seaice.fields.read import (
    LAND_CLASSES,
    choose_limits,
    choose_variable,
    drop_outside,
    find_code,
    is_named_concentration,
    keeps_zero_value,
    list_codes,
)
from seaice.flags import Surface, SurfaceClass, find_flag_value, read_flag_values
from seaice.grids import CellLayout, Grid, recognise_layout
from seaice.grids.projection import LATITUDE_LONGITUDE
from seaice.open_file import summarise_error
from seaice.open_file.address import Place
from seaice.units import find_conversion, normalise_name

if TYPE_CHECKING:
    import xarray as xr

WHOLE = slice(None)
Part = int | slice
# Names of ice concentration where a file holds several variables with its standard name.
_CONCENTRATIONS = ("sea_ice_conc", "ice_conc", "cdr_seaice_conc", "siconc", "sic")


class FieldStack:
    """Maps of one variable on a grid of square cells, read by their attributes where they are needed.

    What is no good value is NaN: declared fill values and codes, values outside the declared range
    and of poor quality, each told by its own cell. Rows run from the smallest y on. Not for sharing
    between processes or threads.

    Parameters
    ----------
    path : Path or Address
        NetCDF file or Zarr group.
    options : ReadOptions
        Variable, valid range and quality; masks and dates do not matter here.

    Raises
    ------
    InputError
        If the file is missing or unreadable, has no such variable, or it lies on no grid.

    Attributes
    ----------
    path : Path
    variable : str
    grid : Grid
    periods : ndarray of int64, shape (maps, 2), or None
        First and last day of every map, days since 1970-01-01; None for a map without a time.
    attributes, file_attributes : dict
        Attributes of the variable, and of the file.
    is_concentration : bool
        Whether the variable is ice concentration.
    """

    def __init__(self, path: Place, options: ReadOptions = ReadOptions()) -> None:
        self.path = path
        self._stored = open_stored(path)
        try:
            self._read_description(options)
        except BaseException:
            self._stored.close()
            raise

    def _read_description(self, options: ReadOptions) -> None:
        path, dataset = self.path, decode_stored(self._stored, self.path)
        self.variable = choose_variable(dataset, path, options.variable)
        self.is_concentration = self.variable in _CONCENTRATIONS or is_named_concentration(
            dataset[self.variable]
        )
        if self.is_concentration and keeps_zero_value(dataset[self.variable], options, path, []):
            drop_fill_value(self._stored[self.variable])
            dataset = decode_stored(self._stored, path)
        self._dataset, self._array = dataset, dataset[self.variable]
        self.attributes: dict[str, Any] = dict(self._array.attrs)
        self.file_attributes: dict[str, Any] = dict(dataset.attrs)
        self.axes = read_axes(dataset, self._array, path, with_positions=False)
        if self.axes.grid is None:
            self.axes = _find_degrees(self.axes)
        if self.axes.grid is None:
            raise InputError(
                f"{path}: {self.variable} lies on no grid of square cells, in a map projection or in "
                "degrees; regrid it first, or draw it with visualization.py"
            )
        self.grid: Grid = self.axes.grid
        self._layout = CellLayout(self.grid, self.axes.flipped, self.axes.mirrored)
        self.periods = read_periods(dataset, self.axes, path)
        units = str(self.attributes.get("units", "1"))
        self._factor = find_conversion(units, "1")[0] if self.is_concentration else 1.0
        self._codes = list_codes(self._array)
        limits = choose_limits(self._array, options, is_concentration=False)
        self._limits = limits if np.isfinite(limits).any() else None
        self._quality_level = options.quality_level if self.has("quality_level") else 0

    def find_map(self, day: date | None = None) -> int:
        """Find the map of the shortest step that holds a day; without a day the only map there is."""
        if self.periods is None or day is None:
            count = 1 if self.periods is None else len(self.periods)
            if count != 1:
                raise InputError(
                    f"{self.path} holds {count} maps of {self.variable}; choose one by its day"
                )
            return 0
        number = day_number(day)
        inside = np.flatnonzero((self.periods[:, 0] <= number) & (number <= self.periods[:, 1]))
        if not inside.size:
            raise InputError(
                f"{self.path} has no map of {self.variable} on {day}; it holds "
                f"{self.axes.describe_days()}"
            )
        return int(inside[np.argmin(np.diff(self.periods[inside], axis=1))])

    def has(self, name: str) -> bool:
        """Whether the file holds a variable on the cells of this one."""
        cells = {self.axes.y, self.axes.x}
        return name in self._dataset.variables and cells <= set(self._dataset[name].dims)

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Attributes of a variable of the file."""
        return dict(self._dataset[name].attrs)

    def read(self, maps: Part = WHOLE, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """Read values, float32 with NaN, in the order time, y, x; concentration as fractions."""
        values = self._read_stored(self._array, maps, rows, columns)
        if values.dtype.kind not in "fiu":
            raise InputError(f"{self.path}: expected numbers in {self.variable}, found {values.dtype}")
        values = np.array(values, np.float64 if values.dtype.itemsize > 4 else np.float32)
        values[~np.isfinite(values)] = np.nan
        for value, tolerance, _ in self._codes:
            values[find_code(values, value, tolerance)] = np.nan
        drop_undeclared_codes(values, self._array, self.file_attributes, [])
        if self.is_concentration and values.shape[-2:] == self.grid.shape:
            self._check_concentration(values, maps)
        if self._limits is not None:
            drop_outside(values, self._limits, [])
        if self._quality_level > 0:
            level = self.read_other("quality_level", maps, rows, columns)
            values[~(level >= self._quality_level)] = np.nan
        values = values.astype(np.float32)
        return values if self._factor == 1 else values * np.float32(self._factor)

    def _check_concentration(self, values: np.ndarray, maps: Part) -> None:
        """Refuse whole maps in another unit than the file says; values outside its range matter here."""
        is_percent = normalise_name(str(self.attributes.get("units", "1"))) == "%"
        days = np.atleast_1d(self.axes.days[maps])
        for number, frame in enumerate(values.reshape(-1, 1, *self.grid.shape)):
            axes = replace(self.axes, days=days[number : number + 1])
            check_concentration(frame, 100 if is_percent else 1, axes, self.path, self.variable)

    def read_other(
        self, name: str, maps: Part = WHOLE, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """Read another variable on the same cells, with its CF attributes applied, flags as stored."""
        return self._read_stored(self._dataset[name], maps, rows, columns)

    def _read_stored(self, array: xr.DataArray, maps: Part, rows: slice, columns: slice) -> np.ndarray:
        axes = self.axes
        array = array.squeeze([d for d in array.dims if d not in (axes.time, axes.y, axes.x)])
        names = {axes.time: "time", axes.y: "y", axes.x: "x"}
        dimensions = [names[str(d)] for d in array.dims]
        variable = array.variable
        try:
            return self._layout.read(
                dimensions,
                lambda index: np.asarray(variable[index].values),
                {"time": maps, "y": rows, "x": columns},
            )
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.path} is damaged: {array.name} cannot be read ({summarise_error(error)})"
            ) from None

    def find_ancillary(self, *words: str) -> str | None:
        """Find a variable on the same cells that belongs to this one and whose standard name ends so."""
        listed = str(self.attributes.get("ancillary_variables", "")).split()
        name = str(self.attributes.get("standard_name", "")).split(" ")[0]
        for candidate in dict.fromkeys([*listed, *map(str, self._dataset.data_vars)]):
            standard = (
                self._dataset[candidate].attrs.get("standard_name") if self.has(candidate) else None
            )
            if name and standard in [f"{name} {word}" for word in words]:
                return candidate
        return None

    def find_fill_flag(self) -> str | None:
        """Find the variable that says which values were observed: ``fill_flag``, or one named for it."""
        listed = str(self.attributes.get("ancillary_variables", "")).split()
        for name in dict.fromkeys(["fill_flag", *listed]):
            if self.has(name) and _tells_observed(self.attributes_of(name)):
                return name
        return None

    def read_surface(self) -> np.ndarray | None:
        """Read the surface classes, codes of :class:`seaice.flags.Surface`; None if the file has none.

        They are those of its ``surface`` or of another mask that explains itself; else land is where
        ``fill_flag`` says so on every day, else where a code among the data does.
        """
        sea = read_sea_of_input(self._dataset, self.axes, self.path, self.variable)
        if sea is None:
            return self._find_flagged_surface()
        if sea.surface is not None:
            return sea.surface
        ocean = sea.cells if sea.unknown is None else sea.cells | sea.unknown
        return np.where(ocean, Surface.OCEAN, Surface.LAND).astype(np.uint8)

    def _find_flagged_surface(self) -> np.ndarray | None:
        """Find the cells whose flag, or code among the data, means land on every day; None without."""
        flag, maps = self.find_fill_flag(), range(1 if self.periods is None else len(self.periods))
        surface = np.full(self.grid.shape, Surface.OCEAN, np.uint8)
        if flag is not None and "land" in read_flag_values(self.attributes_of(flag)):
            code = find_flag_value(self.attributes_of(flag), "land")
            stored = (self.read_other(flag, number).astype(np.int64) for number in maps)
            surface[np.all([codes % 256 == code for codes in stored], axis=0)] = Surface.LAND
            return surface
        codes = [code for code in self._codes if code[2] in LAND_CLASSES]
        for value, near, word in codes:
            stored = (self._read_stored(self._array, number, WHOLE, WHOLE) for number in maps)
            cells = np.all([find_code(values, value, near) for values in stored], axis=0)
            surface[cells] = Surface.LAKE if word == SurfaceClass.LAKE else Surface.LAND
        return surface if codes else None

    def close(self) -> None:
        """Close the file."""
        self._stored.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _find_degrees(axes: FieldAxes) -> FieldAxes:
    """Give axes of latitude and longitude the grid of equal degrees that they are, if they are one."""
    latitude, longitude = axes.latitude, axes.longitude
    if latitude is None or longitude is None or latitude.ndim != 1:
        return axes
    try:
        layout = recognise_layout(longitude, latitude, {"epsg_code": LATITUDE_LONGITUDE})
    except InputError:
        return axes
    return replace(axes, grid=layout.grid, flipped=layout.turned_rows, mirrored=layout.turned_columns)


def _tells_observed(attributes: dict[str, Any]) -> bool:
    try:
        return "observed" in read_flag_values(attributes)
    except InputError:
        return False


def find_concentration(path: Place) -> str | None:
    """Find the variable of a file that is ice concentration, by its name or its standard name.

    Returns
    -------
    str or None
        None if there is none.

    Raises
    ------
    InputError
        If the file cannot be read, or several variables could be meant.
    """
    with open_stored(path) as dataset:
        maps = {str(n): v for n, v in dataset.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "fiu"}
    for name in _CONCENTRATIONS:
        if name in maps:
            return name
    candidates = [n for n, v in maps.items() if v.attrs.get("standard_name") in CONCENTRATION_NAMES]
    if len(candidates) > 1:
        raise InputError(
            f"{path} holds several ice concentrations: {', '.join(candidates)}; keep one of them"
        )
    return candidates[0] if candidates else None
