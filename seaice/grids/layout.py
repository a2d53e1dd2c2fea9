"""The cells of a file: its coordinates with their units, and the order in which it stores cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.grids.grid import Grid
from seaice.grids.projection import LATITUDE_LONGITUDE, is_latitude_longitude, list_projections
from seaice.grids.registry import recognise_grid


@dataclass(frozen=True)
class CellLayout:
    """Order in which a file stores the cells of a grid.

    Files of other programs may run from north to south, from east to west, or keep columns before
    rows. A field read by :meth:`read` always has its rows from the smallest y on, its columns from
    the smallest x on, and days before rows before columns.

    Attributes
    ----------
    grid : Grid
    turned_rows, turned_columns : bool
        Whether y (x) descends in the file.
    """

    grid: Grid
    turned_rows: bool = False
    turned_columns: bool = False

    def is_usual(self, dimensions: Sequence[str]) -> bool:
        """Whether a variable of these dimensions is stored in the order in which it is read."""
        gridded = "y" in dimensions or "x" in dimensions
        turned = gridded and (self.turned_rows or self.turned_columns)
        return not turned and list(dimensions) == _sort_dimensions(dimensions)

    def read(
        self,
        dimensions: Sequence[str],
        read_stored: Callable[[tuple[int | slice, ...]], np.ndarray],
        parts: Mapping[str, int | slice],
    ) -> np.ndarray:
        """Read a part of a variable in the order time, y, x, each ascending.

        Parameters
        ----------
        dimensions : sequence of str
            Dimensions of the variable in the file: ``time``, ``y``, ``x`` or others.
        read_stored : callable
            Reads the part of the stored array that an index describes.
        parts : mapping of str to int or slice
            Part of each dimension, counted in the order of the result; all of those left out. The
            parts of ``y`` and ``x`` are slices.
        """
        selection = {d: parts.get(d, slice(None)) for d in dimensions}
        if self.is_usual(dimensions):
            return read_stored(tuple(selection.values()))
        backwards: set[str] = set()
        sizes = {"y": self.grid.rows, "x": self.grid.columns}
        for name, is_turned in (("y", self.turned_rows), ("x", self.turned_columns)):
            part = selection.get(name)
            if is_turned and isinstance(part, slice):
                selection[name], is_backwards = _mirror_slice(part, sizes[name])
                backwards |= {name} if is_backwards else set()
        values = read_stored(tuple(selection.values()))
        stored = [d for d in dimensions if isinstance(selection[d], slice)]
        ordered = _sort_dimensions(stored)
        values = values.transpose([stored.index(d) for d in ordered])
        step = tuple(slice(None, None, -1 if d in backwards else 1) for d in ordered)
        return np.ascontiguousarray(values[step])


def _sort_dimensions(dimensions: Sequence[str]) -> list[str]:
    """Sort dimensions: time, then rows, then columns, then all others in their order."""
    rank = {"time": 0, "y": 1, "x": 2}
    return sorted(dimensions, key=lambda d: rank.get(d, 3))


def _mirror_slice(part: slice, size: int) -> tuple[slice, bool]:
    """Return a slice of an axis as one of the same axis in the other direction.

    Returns
    -------
    slice
        With a positive step.
    bool
        Whether what it selects has to be turned round.
    """
    cells = range(*part.indices(size))
    if not cells:
        return slice(0, 0), False
    low, high = sorted((size - 1 - cells[0], size - 1 - cells[-1]))
    return slice(low, high + 1, abs(cells.step)), cells.step > 0


def recognise_layout(
    x: np.ndarray, y: np.ndarray, attributes: Mapping[str, Any] | None = None
) -> CellLayout:
    """Recognise a grid by its coordinates, whichever way they run.

    Parameters and errors are those of :func:`recognise_grid`, but both coordinates may descend, and
    longitudes may jump by a whole circle, as from 179.5 to -179.5.
    """
    x, y = np.asarray(x), np.asarray(y)
    if _describes_degrees(attributes) and x.ndim == 1:
        x = np.unwrap(x.astype(np.float64), period=360)
    turned = [values.ndim == 1 and values.size > 1 and bool(values[0] > values[-1]) for values in (x, y)]
    x, y = (v[::-1] if is_turned else v for v, is_turned in zip((x, y), turned, strict=True))
    return CellLayout(recognise_grid(x, y, attributes), turned_rows=turned[1], turned_columns=turned[0])


def _describes_degrees(attributes: Mapping[str, Any] | None) -> bool:
    return bool(attributes) and is_latitude_longitude(next(list_projections(attributes or {})))


# Units of projected coordinates in metres.
_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
}
_DEGREES = {
    f"degree{plural}{end}".lower()
    for plural in ("", "s")
    for end in ("", "_north", "_east", "_n", "_e", "n", "e", "north", "east")
}
_ANGLES = {"longitude", "latitude", "lon", "lat"}
# Numbers that are not larger and follow each other more closely may be kilometres: no map of the
# Earth reaches further, and cells are not larger.
_LARGEST_KILOMETRES, _LARGEST_STEP = 20_000.0, 200.0


class Coordinate(NamedTuple):
    """A coordinate variable of a file.

    Attributes
    ----------
    name : str
    values : ndarray
    attributes : mapping
        Its CF attributes.
    """

    name: str
    values: np.ndarray
    attributes: Mapping[str, Any]

    @classmethod
    def read(cls, variable: Any) -> Coordinate:
        """Read a coordinate variable of an open file (netCDF4.Variable or xarray.DataArray)."""
        names = (name for name in ("units", "standard_name") if hasattr(variable, name))
        attributes = {name: getattr(variable, name) for name in names}
        return cls(str(variable.name), np.asarray(variable[:]), attributes)

    @property
    def units(self) -> str | None:
        """The units as the file names them."""
        units = self.attributes.get("units")
        return None if units is None else str(units).strip()

    @property
    def is_in_degrees(self) -> bool:
        """Whether it is a longitude or latitude: by its units, or without any by its names."""
        if self.units is not None:
            return self.units.lower().replace(" ", "_") in _DEGREES
        return not _ANGLES.isdisjoint({str(self.attributes.get("standard_name")), self.name.lower()})

    def convert_to_metres(self) -> np.ndarray:
        """The values in metres; see :func:`convert_to_metres`."""
        return convert_to_metres(self.values, self.units, self.name)


def read_layout(x: Coordinate, y: Coordinate, attributes: Mapping[str, Any] | None = None) -> CellLayout:
    """Read the grid of a file from its two coordinates and its grid mapping.

    Parameters
    ----------
    x, y : Coordinate
        In metres or kilometres, or longitude and latitude in degrees. They may descend.
    attributes : mapping, optional
        Attributes of the grid-mapping variable; see :func:`recognise_grid`. Longitude and latitude
        need none.

    Raises
    ------
    InputError
        If units and grid mapping contradict each other; see also :func:`recognise_grid` and
        :func:`read_metres`.
    """
    described = _describes_degrees(attributes)
    in_degrees = [c.is_in_degrees or (described and c.units is None) for c in (x, y)]
    if not any(in_degrees):
        if described:
            raise InputError(
                f"the grid mapping describes latitude and longitude, but {x.name} and {y.name} are in "
                f"{x.units} and {y.units}"
            )
        return recognise_layout(x.convert_to_metres(), y.convert_to_metres(), attributes)
    if not all(in_degrees) or (attributes and not described):
        raise InputError(
            f"expected {x.name} and {y.name} in metres, or both in degrees with a grid mapping of "
            f"latitude and longitude, found {x.units or 'no units'} and {y.units or 'no units'}"
        )
    for values, name in ((x.values, x.name), (y.values, y.name)):
        if values.dtype.kind not in "fiu":
            raise InputError(f"expected numbers of degrees in {name}, found {values.dtype}")
    return recognise_layout(x.values, y.values, attributes or {"epsg_code": LATITUDE_LONGITUDE})


def read_metres(coordinate: Any) -> np.ndarray:
    """Read a coordinate variable of an open NetCDF file in metres.

    Parameters
    ----------
    coordinate : netCDF4.Variable or xarray.DataArray
        Its ``units`` are metres, kilometres or not named.

    Returns
    -------
    ndarray of float64
        Coordinates in metres, in the shape of the variable.

    Raises
    ------
    InputError
        If it holds no numbers, its units are neither metres nor kilometres, or it names none and
        its numbers could be kilometres.
    """
    return Coordinate.read(coordinate).convert_to_metres()


def convert_to_metres(values: np.ndarray, units: Any, name: str) -> np.ndarray:
    """Convert projected coordinates to metres; see :func:`read_metres`."""
    text = "m" if units is None else str(units).strip()
    if values.dtype.kind not in "fiu" or text.lower() not in _METRES:
        raise InputError(f"expected {name} in m or km, found {values.dtype} in {text!r}")
    metres = values.astype(np.float64) * _METRES[text.lower()]
    if units is None and metres.ndim == 1 and metres.size > 1:
        steps, largest = np.abs(np.diff(metres)), np.abs(metres).max()
        if steps.max() <= _LARGEST_STEP and largest <= _LARGEST_KILOMETRES:
            raise InputError(
                f"{name} names no units: its steps of {steps.max():g} may be metres or kilometres; "
                f"give {name} the attribute units, m or km"
            )
    return metres
