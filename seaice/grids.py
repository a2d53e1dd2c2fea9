"""Grids: shape, map projection, cell centres and cell areas, and their CF attributes.

Row 0 is always the smallest y, as in the University of Bremen files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice import InputError

if TYPE_CHECKING:
    from pyproj import CRS

Hemisphere = Literal["north", "south"]

# First part of a grid id: EPSG code, then the west, south, east and north edge in metres. The
# outer edges are the same for every cell size. Polar stereographic: NSIDC, Hughes 1980
# ellipsoid, as in the Bremen files. EASE-Grid 2.0: Brodzik et al. 2012, doi:10.3390/ijgi1010032.
_FAMILIES: dict[str, tuple[int, float, float, float, float]] = {
    "n": (3411, -3_850_000, -5_350_000, 3_750_000, 5_850_000),
    "s": (3412, -3_950_000, -3_950_000, 3_950_000, 4_350_000),
    "ease2n": (6931, -9_000_000, -9_000_000, 9_000_000, 9_000_000),
    "ease2s": (6932, -9_000_000, -9_000_000, 9_000_000, 9_000_000),
}
# Second part of a grid id: the cell sizes of every family, metres.
_STEPS: dict[str, tuple[int, ...]] = {
    "n": (3125, 6250, 12500, 25000),
    "s": (3125, 6250, 12500, 25000),
    "ease2n": (6250, 12500, 25000),
    "ease2s": (6250, 12500, 25000),
}


@dataclass(frozen=True)
class Grid:
    """A regular grid of square cells in a map projection.

    Attributes
    ----------
    id : str
        Name of the grid, such as ``n3125`` or ``ease2s25000``; ``custom`` for a grid of a
        file that is none of the registered ones.
    rows, columns : int
        Number of cells in y and in x.
    step : float
        Side of a cell, metres.
    west, south : float
        x of the outer edge of the first column and y of that of the first row, metres.
    projection : str
        Map projection, in any form :meth:`pyproj.CRS.from_user_input` reads, e.g. ``EPSG:3411``.

    Raises
    ------
    InputError
        If there is no row or no column, or the cell size is not above 0.

    Examples
    --------
    >>> grid = get_grid("n25000")
    >>> grid.shape, float(grid.x[0]), float(grid.y[0])
    ((448, 304), -3837500.0, -5337500.0)
    """

    id: str
    rows: int
    columns: int
    step: float
    west: float
    south: float
    projection: str

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or not self.step > 0:
            raise InputError(
                f"a grid needs at least one cell of positive size, found {self.rows} rows, "
                f"{self.columns} columns, step {self.step}"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.rows, self.columns

    @property
    def x(self) -> np.ndarray:
        """The x of the cell centres, metres, float64 (columns,), ascending."""
        return self.west + (np.arange(self.columns) + 0.5) * self.step

    @property
    def y(self) -> np.ndarray:
        """The y of the cell centres, metres, float64 (rows,), ascending."""
        return self.south + (np.arange(self.rows) + 0.5) * self.step

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer edges (west, east, south, north) in metres, in the order of matplotlib."""
        return (
            self.west,
            self.west + self.columns * self.step,
            self.south,
            self.south + self.rows * self.step,
        )

    @property
    def crs(self) -> CRS:
        """The map projection as an object of pyproj."""
        return _read_crs(self.projection)

    @property
    def hemisphere(self) -> Hemisphere:
        """The hemisphere that the projection is made for; north where it does not say."""
        attributes = _describe_projection(self.projection)
        latitude = attributes.get(
            "latitude_of_projection_origin", attributes.get("standard_parallel", 90.0)
        )
        return "south" if latitude < 0 else "north"

    @property
    def kilometres(self) -> float:
        """Side of a cell in kilometres."""
        return self.step / 1000

    def longitude_latitude(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of the cell centres.

        Returns
        -------
        longitude, latitude : ndarray of float64, shape (rows, columns)
            Degrees east (-180..180) and degrees north, on the ellipsoid of the projection.
        """
        return self.transform_to_degrees(*np.meshgrid(self.x, self.y))

    def transform_to_degrees(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return longitude and latitude of points of the projection, in degrees."""
        from pyproj import Transformer

        crs = self.crs
        transformer = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
        longitude, latitude = transformer.transform(x, y)
        return longitude, latitude

    def cell_area(self) -> np.ndarray:
        """True area of every cell.

        Returns
        -------
        ndarray of float64, shape (rows, columns)
            Square kilometres: the area in the projection divided by its areal scale (1 for
            equal-area projections; k squared for the polar stereographic one, Snyder 1987,
            USGS Professional Paper 1395, eq. 21-32, doi:10.3133/pp1395).
        """
        nominal = self.kilometres**2
        name = _describe_projection(self.projection).get("grid_mapping_name")
        if name == "lambert_azimuthal_equal_area":
            return np.full(self.shape, nominal)
        if name == "polar_stereographic":
            return np.asarray(nominal / self._compute_polar_stereographic_scale() ** 2)
        longitude, latitude = self.longitude_latitude()
        from pyproj import Proj

        factors = Proj(self.crs).get_factors(longitude, latitude)
        return np.asarray(nominal / factors.areal_scale)

    def _compute_polar_stereographic_scale(self) -> np.ndarray:
        """Point scale k at every cell centre, float64 (rows, columns).

        It depends on the distance to the pole alone.
        """
        from pyproj import Transformer

        crs = self.crs
        geod = crs.get_geod()
        distance = self.distance_to_pole()
        # Every polar stereographic projection has an ellipsoid and a pole.
        assert geod is not None
        assert distance is not None
        # 65,536 exact values, linear in between: wrong by less than one part in 10^9.
        nodes = np.linspace(1.0, distance.max() + 1.0, 1 << 16)
        to_geographic = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
        x0, y0 = self._locate_pole()
        latitude = to_geographic.transform(np.full_like(nodes, x0), y0 + nodes)[1]
        phi = np.radians(np.abs(latitude))
        # Radius of the parallel over that of the equator: Snyder's eq. 14-15.
        m = np.cos(phi) / np.sqrt(1 - geod.es * np.sin(phi) ** 2)
        return np.interp(distance, nodes, nodes / (geod.a * m))

    def _locate_pole(self) -> tuple[float, float]:
        """Return x and y of the pole, metres."""
        attributes = _describe_projection(self.projection)
        return attributes.get("false_easting", 0.0), attributes.get("false_northing", 0.0)

    def distance_to_pole(self) -> np.ndarray | None:
        """Distance of the cell centres to the pole, measured in the map projection.

        Returns
        -------
        ndarray of float64, shape (rows, columns), or None
            Metres, true to within 3 % near the pole. None where the projection is not
            centred on a pole.
        """
        attributes = _describe_projection(self.projection)
        polar = ("polar_stereographic", "lambert_azimuthal_equal_area")
        if attributes.get("grid_mapping_name") not in polar:
            return None
        if abs(attributes.get("latitude_of_projection_origin", 0.0)) != 90:
            return None
        x0, y0 = self._locate_pole()
        return np.hypot(self.x[np.newaxis, :] - x0, self.y[:, np.newaxis] - y0)

    def same_cells(self, other: Grid) -> bool:
        """Whether both grids have the same cells, to within a hundredth of a cell.

        The ellipsoids are not compared: files of one product name either Hughes 1980 or
        WGS 84 for the same projected coordinates. These lie at most 150 m apart.
        """
        return self._has_same_numbers(other) and _lie_alike(self.projection, other.projection)

    def _has_same_numbers(self, other: Grid) -> bool:
        """Whether both grids have the same projected coordinates, whatever meridian points down."""
        tolerance = 0.01 * self.step
        return (
            self.shape == other.shape
            and abs(self.step - other.step) * max(self.shape) <= tolerance
            and abs(self.west - other.west) <= tolerance
            and abs(self.south - other.south) <= tolerance
            and self.hemisphere == other.hemisphere
        )

    def crop(self, rows: slice, columns: slice) -> Grid:
        """Return the grid of a rectangle of cells.

        Parameters
        ----------
        rows, columns : slice
            Half-open index ranges without a step.

        Raises
        ------
        InputError
            If the rectangle is empty.
        """
        row0, row1, row_step = rows.indices(self.rows)
        column0, column1, column_step = columns.indices(self.columns)
        if row_step != 1 or column_step != 1 or row1 <= row0 or column1 <= column0:
            raise InputError(
                f"expected a non-empty index range within {self.rows} rows and {self.columns} "
                f"columns, found rows {rows.start}:{rows.stop}, columns {columns.start}:{columns.stop}"
            )
        return replace(
            self,
            id=f"{self.id}_part",
            rows=row1 - row0,
            columns=column1 - column0,
            west=self.west + column0 * self.step,
            south=self.south + row0 * self.step,
        )

    def to_cf(self) -> dict[str, Any]:
        """Return the attributes of the CF grid-mapping variable."""
        return dict(_describe_projection(self.projection))

    def describe_place(self) -> str:
        """Describe the cells and where they lie, for messages about two grids that look alike."""
        half = {"n": "north", "s": "south"}.get(self.hemisphere, self.hemisphere)
        return f"{self} from x {self.west / 1000:g} km and y {self.south / 1000:g} km in the {half}"

    def __str__(self) -> str:
        return f"{self.id} ({self.rows} x {self.columns} cells of {self.kilometres:g} km)"


def list_grid_ids() -> list[str]:
    """List the ids of all registered grids."""
    return [f"{family}{step}" for family, steps in _STEPS.items() for step in steps]


def get_grid(grid_id: str) -> Grid:
    """Return the registered grid with an id.

    Raises
    ------
    InputError
        If no registered grid has this id; the message lists all ids.
    """
    match = re.fullmatch(r"(ease2n|ease2s|n|s)(\d+)", grid_id)
    if match is None or int(match[2]) not in _STEPS[match[1]]:
        raise InputError(f"unknown grid {grid_id!r}; expected one of {', '.join(list_grid_ids())}")
    code, west, south, east, north = _FAMILIES[match[1]]
    step = float(match[2])
    return Grid(
        id=grid_id,
        rows=round((north - south) / step),
        columns=round((east - west) / step),
        step=step,
        west=west,
        south=south,
        projection=f"EPSG:{code}",
    )


def recognise_grid(x: np.ndarray, y: np.ndarray, attributes: Mapping[str, Any] | None = None) -> Grid:
    """Recognise a grid by its coordinates.

    Parameters
    ----------
    x, y : ndarray
        Cell-centre coordinates in metres, ascending and evenly spaced.
    attributes : mapping, optional
        Attributes of the CF grid-mapping variable of the file. Without them a grid is
        accepted only if its cells are those of a registered one.

    Returns
    -------
    Grid
        The registered grid with these cells (with the projection of the file where that
        differs), else a grid with the id ``custom``.

    Raises
    ------
    InputError
        If the coordinates are not evenly spaced and ascending, the cells are not square, or
        the projection is not given and cannot be told from the coordinates.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    step = _measure_spacing(x, "x")
    step_y = _measure_spacing(y, "y")
    if abs(step_y - step) > 1e-6 * step:
        raise InputError(f"cells are not square: {step:g} m in x, {step_y:g} m in y")
    projection = _recognise_projection(attributes) if attributes else None
    custom = Grid(
        id="custom",
        rows=y.size,
        columns=x.size,
        step=step,
        west=float(x[0]) - step / 2,
        south=float(y[0]) - step / 2,
        projection=projection or "EPSG:3411",
    )
    matches = []
    for grid_id in list_grid_ids():
        registered = get_grid(grid_id)
        candidate = custom if projection else replace(custom, projection=registered.projection)
        if not registered._has_same_numbers(candidate) or not _have_same_family(registered, candidate):
            continue
        if _lie_alike(registered.projection, candidate.projection):
            matches.append(replace(registered, projection=candidate.projection))
        elif grid_id[0] in "ns":
            # The edges of these grids belong to one projection. Some files of NSIDC name the meridian
            # at the top, 135 degrees, where that at the bottom is meant.
            matches.append(registered)
    if len(matches) == 1:
        return matches[0]
    if projection is None:
        raise InputError(
            f"cannot tell the projection of a grid of {y.size} x {x.size} cells of {step:g} m: "
            "expected a grid-mapping variable or the cells of a registered grid"
        )
    return custom


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
        chosen = {d: parts.get(d, slice(None)) for d in dimensions}
        if self.is_usual(dimensions):
            return read_stored(tuple(chosen.values()))
        backwards: set[str] = set()
        sizes = {"y": self.grid.rows, "x": self.grid.columns}
        for name, is_turned in (("y", self.turned_rows), ("x", self.turned_columns)):
            part = chosen.get(name)
            if is_turned and isinstance(part, slice):
                chosen[name], is_backwards = _mirror_slice(part, sizes[name])
                backwards |= {name} if is_backwards else set()
        values = read_stored(tuple(chosen.values()))
        stored = [d for d in dimensions if isinstance(chosen[d], slice)]
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

    Parameters and errors are those of :func:`recognise_grid`, but both coordinates may descend.
    """
    turned = [values.ndim == 1 and values.size > 1 and bool(values[0] > values[-1]) for values in (x, y)]
    x, y = (v[::-1] if is_turned else v for v, is_turned in zip((x, y), turned, strict=True))
    return CellLayout(recognise_grid(x, y, attributes), turned_rows=turned[1], turned_columns=turned[0])


# Units of projected coordinates in metres.
_METRES = {
    **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("km", "kilometre", "kilometres", "kilometer", "kilometers"), 1000.0),
}
# Numbers that are not larger and follow each other more closely may be kilometres: no map of the
# Earth reaches further, and cells are not larger.
_LARGEST_KILOMETRES, _LARGEST_STEP = 20_000.0, 200.0


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
    units = getattr(coordinate, "units", None)
    return convert_to_metres(np.asarray(coordinate[:]), units, coordinate.name)


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


def _lie_alike(first: str, second: str) -> bool:
    """Whether two projections put the same numbers at the same place, ellipsoids aside."""
    attributes, expected_attributes = _describe_projection(first), _describe_projection(second)
    if attributes.get("grid_mapping_name") != expected_attributes.get("grid_mapping_name"):
        return False
    for name in (
        "straight_vertical_longitude_from_pole",
        "longitude_of_projection_origin",
        "latitude_of_projection_origin",
        "standard_parallel",
    ):
        degrees, expected = attributes.get(name), expected_attributes.get(name)
        if isinstance(degrees, int | float) and isinstance(expected, int | float):
            difference = abs(degrees - expected) % 360
            if min(difference, 360 - difference) > 0.01:
                return False
    return all(
        abs(float(attributes.get(name, 0)) - float(expected_attributes.get(name, 0))) < 1
        for name in ("false_easting", "false_northing")
    )


def _have_same_family(first: Grid, second: Grid) -> bool:
    """Whether two grids have projections of one kind, such as polar stereographic."""
    kinds = {_describe_projection(grid.projection).get("grid_mapping_name") for grid in (first, second)}
    return len(kinds) == 1


def _measure_spacing(values: np.ndarray, name: str) -> float:
    if values.ndim != 1 or values.size < 2:
        raise InputError(f"expected a list of {name} coordinates, found shape {values.shape}")
    steps = np.diff(values)
    step = float((values[-1] - values[0]) / (values.size - 1))
    if not (
        np.isfinite(steps).all() and step > 0 and np.allclose(steps, step, rtol=0, atol=1e-3 * step)
    ):
        raise InputError(f"{name} coordinates are not ascending in even steps")
    return step


def _recognise_projection(attributes: Mapping[str, Any]) -> str:
    """Return the projection of grid-mapping attributes: its EPSG code, or WKT where it has none."""
    values = ((name, tuple(np.atleast_1d(value).tolist())) for name, value in attributes.items())
    return _search_projection(tuple(sorted(values)))


@lru_cache(maxsize=32)
def _search_projection(values: tuple[tuple[str, tuple[Any, ...]], ...]) -> str:
    """Search the projection of attributes; PROJ takes 0.2 s where they name no datum."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    attributes = {name: value[0] if len(value) == 1 else list(value) for name, value in values}
    try:
        crs = CRS.from_cf(attributes)
    except (CRSError, KeyError) as error:
        raise InputError(f"the grid-mapping attributes describe no projection: {error}") from None
    for code, *_ in _FAMILIES.values():
        if _have_same_parameters(_describe_projection(f"EPSG:{code}"), crs.to_cf()):
            return f"EPSG:{code}"
    epsg = crs.to_epsg(min_confidence=70)
    return f"EPSG:{epsg}" if epsg else str(crs.to_wkt())


def _have_same_parameters(registered: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether the numbers of two projections agree, whatever their names are."""
    if registered.get("grid_mapping_name") != read.get("grid_mapping_name"):
        return False
    missing_in_cf = {"latitude_of_projection_origin"} - read.keys()
    return all(
        np.isclose(value, read.get(name, np.nan), rtol=1e-9, atol=1e-9)
        for name, value in registered.items()
        if isinstance(value, float) and name not in missing_in_cf
    )


@lru_cache(maxsize=32)
def _read_crs(projection: str) -> CRS:
    from pyproj import CRS

    return CRS.from_user_input(projection)


@lru_cache(maxsize=32)
def _describe_projection(projection: str) -> Mapping[str, Any]:
    """Return the CF attributes of a projection."""
    attributes = _read_crs(projection).to_cf()
    if attributes.get("grid_mapping_name") == "polar_stereographic":
        # CF requires it and pyproj leaves it out for variant B (a standard parallel).
        parallel = attributes.get("standard_parallel", 90.0)
        attributes.setdefault("latitude_of_projection_origin", float(np.copysign(90.0, parallel)))
    return attributes
