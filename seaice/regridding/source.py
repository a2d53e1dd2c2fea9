"""Maps that are carried to another grid, or to points: of a cube, or of any field on a grid."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile, is_cube
from seaice.dates import DateRange, day_number, from_day_number
from seaice.fields.open import open_stored
from seaice.fields.options import ReadOptions
from seaice.fields.stack import FieldStack, find_concentration
from seaice.flags import FillFlag, is_ocean, read_flag_values
from seaice.grids import Grid
from seaice.open_file.address import Place, locate
from seaice.units import find_conversion

WHOLE = slice(None)
_CLASSES = {"flag_values", "flag_masks", "flag_meanings"}


class SourceMap(NamedTuple):
    """A map as read, each of shape (rows, columns).

    Attributes
    ----------
    values : ndarray
        float32 with NaN; of classes the stored numbers.
    flags, days : ndarray of uint8, or None
    errors : ndarray of float32, or None
    """

    values: np.ndarray
    flags: np.ndarray | None = None
    days: np.ndarray | None = None
    errors: np.ndarray | None = None


class Source:
    """An input that is open: maps of one variable, row 0 in the south.

    Attributes
    ----------
    path : Place
    variable : str
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.Surface`.
    periods : ndarray of int64, shape (maps, 2), or None
        First and last day of every map, days since 1970-01-01; None of a map without a time.
    is_classes : bool
        Whether the numbers are classes, of which there is no mean.
    attributes, file_attributes : dict
    flag_attributes : dict or None
        Attributes of the flags; None without flags.
    """

    path: Place
    variable: str
    grid: Grid
    surface: np.ndarray | None
    periods: np.ndarray | None
    is_classes: bool
    attributes: dict[str, Any]
    file_attributes: dict[str, Any]
    flag_attributes: dict[str, Any] | None

    def read(self, number: int, rows: slice = WHOLE, columns: slice = WHOLE) -> SourceMap:
        """Read a map, or a part of it."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the file."""
        raise NotImplementedError


class CubeSource(Source):
    """The days of a cube of ``consolidate_data.py``."""

    is_classes = False
    variable = "sea_ice_conc"

    def __init__(self, path: Place) -> None:
        self.cube = CubeFile(path, only_cube=True)
        self.path, self.grid, self.surface = path, self.cube.grid, self.cube.surface
        first = np.array([day_number(day) for day in self.cube.dates], np.int64)
        self.periods = np.stack([first, first], axis=1)
        self.attributes = {
            "standard_name": "sea_ice_area_fraction",
            "long_name": "sea ice concentration",
            "units": "1",
        }
        self.file_attributes = self.cube.attributes
        codes = {flag.meaning: int(flag) for flag in FillFlag}
        self.flag_attributes = {
            "flag_values": list(codes.values()),
            "flag_meanings": " ".join(codes),
        }
        # A cube that another program wrote again may have other codes for the same meanings.
        self._codes = np.arange(256, dtype=np.uint8)
        for flag in FillFlag:
            try:
                self._codes[self.cube.flag_value(flag.meaning)] = flag
            except KeyError:  # an older cube without this flag
                continue

    def read(self, number: int, rows: slice = WHOLE, columns: slice = WHOLE) -> SourceMap:
        """Read a day."""
        cube, part = self.cube, (rows, columns)
        days = None
        if cube.has("days_back_forward"):
            days = np.nan_to_num(cube.variable("days_back_forward", number, *part)).astype(np.uint8)
        return SourceMap(
            cube.concentration(number, *part),
            self._codes[cube.flags(number, *part)],
            days,
            cube.standard_error(number, *part),
        )

    def close(self) -> None:
        """Close the file."""
        self.cube.close()


class FieldSource(Source):
    """Maps of one variable of any file on a grid of square cells."""

    def __init__(self, path: Place, variable: str | None) -> None:
        name = variable or find_concentration(path) or _choose_classes(path)
        self._field = field = FieldStack(path, ReadOptions(variable=name, quality_level=0))
        self.path, self.variable, self.grid = path, field.variable, field.grid
        self.periods = field.periods
        self.file_attributes, self.attributes = field.file_attributes, dict(field.attributes)
        self.is_classes = bool(_CLASSES & set(self.attributes)) and not field.is_concentration
        if field.is_concentration:
            self.attributes["units"] = "1"
        self.surface = None if self.is_classes else field.read_surface()
        self._flag = None if self.is_classes else field.find_fill_flag()
        self._error = None if self.is_classes else field.find_ancillary("standard_error")
        self.flag_attributes = None if self._flag is None else field.attributes_of(self._flag)

    def read(self, number: int, rows: slice = WHOLE, columns: slice = WHOLE) -> SourceMap:
        """Read a map."""
        field, part = self._field, (number, rows, columns)
        if self.is_classes:
            return SourceMap(field.read_other(self.variable, *part))
        flags = errors = None
        if self._flag is not None:
            stored = np.nan_to_num(field.read_other(self._flag, *part), nan=255)
            flags = (stored.astype(np.int64) % 256).astype(np.uint8)
        if self._error is not None:
            units = str(field.attributes_of(self._error).get("units", "1"))
            factor = find_conversion(units, "1")[0] if field.is_concentration else 1.0
            errors = (field.read_other(self._error, *part) * factor).astype(np.float32)
        return SourceMap(field.read(*part), flags, None, errors)

    def close(self) -> None:
        """Close the file."""
        self._field.close()


def _choose_classes(path: Place) -> str | None:
    """Choose the flags of a file that holds nothing but flags; None to choose among its fields."""
    with open_stored(path) as dataset:
        maps = {str(n): v for n, v in dataset.data_vars.items() if v.ndim >= 2 and v.dtype.kind in "fiu"}
    classes = [name for name, variable in maps.items() if _CLASSES & set(variable.attrs)]
    plain = [n for n in maps if n not in classes and n not in ("lat", "lon") and not n.endswith("_bnds")]
    return classes[0] if len(classes) == 1 and not plain else None


def open_source(path: Any, variable: str | None = None) -> CubeSource | FieldSource:
    """Open a cube or a field.

    Parameters
    ----------
    path : Path or str
        NetCDF file or Zarr group, also the address of one.
    variable : str, optional
        Variable to read; by default the concentration of a cube, else the only field of the file.

    Raises
    ------
    InputError
        If there is no such file, or it holds no field on a grid of square cells.
    """
    place = locate(path)
    if not place.is_dir() and hasattr(place, "exists") and not place.exists():
        raise InputError(f"no such file: {place}")
    if variable in (None, "sea_ice_conc") and is_cube(place):
        return CubeSource(place)
    return FieldSource(place, variable)


@lru_cache(maxsize=1)
def open_once(path: Any, variable: str | None) -> CubeSource | FieldSource:
    """Open an input that a worker reads map after map."""
    return open_source(path, variable)


def select_maps(source: Source, start_date: date | None, end_date: date | None) -> range:
    """Select the maps of a date range, as positions; by default all.

    Raises
    ------
    InputError
        If the input has no time although days are asked for, or no map within them.
    """
    if source.periods is None:
        if start_date is not None or end_date is not None:
            raise InputError(
                f"{source.path} holds one map without a time; leave out --start_date and --end_date"
            )
        return range(1)
    own = [from_day_number(int(number)) for number in (source.periods.min(), source.periods.max())]
    chosen = DateRange(start_date or own[0], end_date or max(own[1], start_date or own[1]))
    first, last = day_number(chosen.start), day_number(chosen.end)
    inside = np.flatnonzero((source.periods[:, 1] >= first) & (source.periods[:, 0] <= last))
    if not inside.size:
        raise InputError(
            f"{source.path} has no map of {chosen}: it reaches from {own[0]} to {own[1]}; choose other "
            "days"
        )
    return range(int(inside[0]), int(inside[-1]) + 1)


def find_ocean(source: Source) -> np.ndarray:
    """Find the cells that count, bool (rows, columns): all where the input does not tell land."""
    return np.ones(source.grid.shape, bool) if source.surface is None else is_ocean(source.surface)


def name_flags(source: Source) -> dict[int, str]:
    """Name the codes of the flags; empty without flags."""
    if source.flag_attributes is None:
        return {}
    return {code: word for word, code in read_flag_values(source.flag_attributes).items()}
