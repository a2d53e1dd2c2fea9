"""A regular grid of square cells in a map projection, or in latitude and longitude."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice import InputError
from seaice.grids.projection import (
    describe_projection,
    is_latitude_longitude,
    lie_alike,
    read_crs,
)

if TYPE_CHECKING:
    from pyproj import CRS

Hemisphere = Literal["north", "south"]
Units = Literal["m", "degrees"]


@dataclass(frozen=True)
class Grid:
    """A regular grid of square cells in a map projection, or in latitude and longitude.

    On a grid of latitude and longitude, x is the longitude and y the latitude, and all lengths are in
    degrees. Longitudes ascend without a jump from the western edge on, which may be any: -180..180,
    0..360 and 170..190 are all in order.

    Attributes
    ----------
    id : str
        Name of the grid, such as ``n3125`` or ``ease2s25000``; for a grid that is none of the
        registered ones such as ``epsg3413_25000``, or ``custom`` without an EPSG code. It is not
        compared: grids are equal by their cells and their projection.
    rows, columns : int
        Number of cells in y and in x.
    step : float
        Side of a cell, in :attr:`units`.
    west, south : float
        x of the outer edge of the first column and y of that of the first row, in :attr:`units`.
    projection : str
        Map projection, in any form :meth:`pyproj.CRS.from_user_input` reads, e.g. ``EPSG:3411``; that
        of a grid of latitude and longitude is ``EPSG:4326`` or another geographic one.

    Raises
    ------
    InputError
        If there is no row or no column, or the cell size is not above 0.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> grid = get_grid("n25000")
    >>> grid.shape, float(grid.x[0]), float(grid.y[0])
    ((448, 304), -3837500.0, -5337500.0)
    """

    id: str = field(compare=False)
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
        """The x of the cell centres, in :attr:`units`, float64 (columns,), ascending."""
        return self.west + (np.arange(self.columns) + 0.5) * self.step

    @property
    def y(self) -> np.ndarray:
        """The y of the cell centres, in :attr:`units`, float64 (rows,), ascending."""
        return self.south + (np.arange(self.rows) + 0.5) * self.step

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Outer edges (west, east, south, north) in :attr:`units`, in the order of matplotlib."""
        return (
            self.west,
            self.west + self.columns * self.step,
            self.south,
            self.south + self.rows * self.step,
        )

    @property
    def crs(self) -> CRS:
        """The map projection as an object of pyproj."""
        return read_crs(self.projection)

    @property
    def is_geographic(self) -> bool:
        """Whether x and y are longitude and latitude, in degrees."""
        return is_latitude_longitude(self.projection)

    @property
    def units(self) -> Units:
        """Unit of ``step``, ``west``, ``south``, ``x`` and ``y``."""
        return "degrees" if self.is_geographic else "m"

    @property
    def hemisphere(self) -> Hemisphere | None:
        """The hemisphere of a projection about a pole, else that of all cells; None if of both."""
        origin = describe_projection(self.projection).get("latitude_of_projection_origin", 0.0)
        if abs(origin) == 90:
            return "south" if origin < 0 else "north"
        return _find_hemisphere(self)

    @property
    def kilometres(self) -> float:
        """Side of a cell in kilometres; of a grid of latitude and longitude, along the equator."""
        return self.step * self._metres_per_unit / 1000

    @property
    def _metres_per_unit(self) -> float:
        return float(np.radians(self._ellipsoid[0])) if self.is_geographic else 1.0

    @property
    def _ellipsoid(self) -> tuple[float, float]:
        """Semi-major axis in metres, and eccentricity."""
        geod = self.crs.get_geod()
        assert geod is not None  # a projection always has one
        return geod.a, float(np.sqrt(geod.es))

    def wrap_longitude(self, x: np.ndarray) -> np.ndarray:
        """Turn longitudes by whole circles to the range that begins at the western edge of the grid.

        The x of a grid in a map projection stay as they are.

        Examples
        --------
        >>> grid = Grid("globe", 720, 1440, 0.25, 0.0, -90.0, "EPSG:4326")
        >>> grid.wrap_longitude(np.array([-0.125, 0.0, 360.0])).tolist()
        [359.875, 0.0, 0.0]
        """
        if not self.is_geographic:
            return x
        x = np.asarray(x, np.float64)
        outside = ~((x >= self.west) & (x < self.west + 360))
        with np.errstate(invalid="ignore"):
            turned = self.west + (x - self.west) % 360
        # Of a longitude just below the edge the remainder may be rounded to a whole circle.
        turned = np.where(turned >= self.west + 360, self.west, turned)
        return np.where(outside, turned, x)

    def longitude_latitude(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of the cell centres.

        Returns
        -------
        longitude, latitude : ndarray of float64, shape (rows, columns)
            Degrees east (-180..180) and degrees north, on the ellipsoid of the projection.
        """
        return self.transform_to_degrees(*np.meshgrid(self.x, self.y))

    def transform_to_degrees(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return longitude (-180..180) and latitude of points of the projection, in degrees."""
        if self.is_geographic:
            x = np.asarray(x, np.float64)
            return np.where(np.abs(x) <= 180, x, (x + 180) % 360 - 180), np.asarray(y, np.float64)
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
            USGS Professional Paper 1395, eq. 21-32, doi:10.3133/pp1395). Cells of latitude and
            longitude have the exact area of their part of the ellipsoid (eq. 3-12); what of a cell
            lies beyond a pole does not count.
        """
        if self.is_geographic:
            return np.broadcast_to(self._compute_areas_by_latitude(), self.shape).copy()
        nominal = self.kilometres**2
        name = describe_projection(self.projection).get("grid_mapping_name")
        if name == "lambert_azimuthal_equal_area":
            return np.full(self.shape, nominal)
        if name == "polar_stereographic":
            return np.asarray(nominal / self._compute_polar_stereographic_scale() ** 2)
        longitude, latitude = self.longitude_latitude()
        from pyproj import Proj

        factors = Proj(self.crs).get_factors(longitude, latitude)
        return np.asarray(nominal / factors.areal_scale)

    def _compute_areas_by_latitude(self) -> np.ndarray:
        """Area of a cell of every row of latitude, square kilometres, float64 (rows, 1)."""
        a, e = self._ellipsoid
        edges = np.radians(np.clip(self.south + np.arange(self.rows + 1) * self.step, -90, 90))
        sine = np.sin(edges)
        # Area from the equator on, in a wedge of one radian.
        wedge = sine / (1 - (e * sine) ** 2) + (np.arctanh(e * sine) / e if e else sine)
        areas = np.diff(0.5 * a**2 * (1 - e**2) * wedge) * np.radians(self.step)
        return areas[:, np.newaxis] / 1e6

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
        attributes = describe_projection(self.projection)
        return attributes.get("false_easting", 0.0), attributes.get("false_northing", 0.0)

    def distance_to_pole(self) -> np.ndarray | None:
        """Distance of the cell centres to the pole, measured in the map projection.

        Returns
        -------
        ndarray of float64, shape (rows, columns), or None
            Metres, true to within 3 % near the pole; on a grid of latitude and longitude, along the
            meridians to the South Pole if the grid lies in the south, else to the North Pole. None
            where the projection is not centred on a pole.
        """
        if self.is_geographic:
            return np.broadcast_to(self._measure_meridians(), self.shape).copy()
        attributes = describe_projection(self.projection)
        polar = ("polar_stereographic", "lambert_azimuthal_equal_area")
        if attributes.get("grid_mapping_name") not in polar:
            return None
        if abs(attributes.get("latitude_of_projection_origin", 0.0)) != 90:
            return None
        x0, y0 = self._locate_pole()
        return np.hypot(self.x[np.newaxis, :] - x0, self.y[:, np.newaxis] - y0)

    def _measure_meridians(self) -> np.ndarray:
        """Distance of every row of latitude to the pole, metres, float64 (rows, 1)."""
        geod = self.crs.get_geod()
        assert geod is not None
        latitude = np.clip(self.y, -90, 90)
        zero, pole = np.zeros_like(latitude), -90.0 if self.hemisphere == "south" else 90.0
        return np.asarray(geod.inv(zero, latitude, zero, np.full_like(latitude, pole))[2])[:, np.newaxis]

    def same_cells(self, other: Grid) -> bool:
        """Whether both grids have the same cells, to within a hundredth of a cell.

        The ellipsoids are not compared: files of one product name either Hughes 1980 or
        WGS 84 for the same projected coordinates. These lie at most 150 m apart. Longitudes are
        compared by place: a western edge at 0 is the same as one at 360.
        """
        return self.has_same_numbers(other) and lie_alike(self.projection, other.projection)

    def has_same_numbers(self, other: Grid) -> bool:
        """Whether both grids have the same projected coordinates, whatever meridian points down."""
        tolerance = 0.01 * self.step
        west = abs(self.west - other.west)
        if self.is_geographic:
            west = abs((west + 180) % 360 - 180)
        return (
            self.shape == other.shape
            and abs(self.step - other.step) * max(self.shape) <= tolerance
            and west <= tolerance
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
        return dict(describe_projection(self.projection))

    def describe_place(self) -> str:
        """Describe the cells and where they lie, for messages about two grids that look alike."""
        if self.is_geographic:
            return f"{self} from longitude {self.west:g} and latitude {self.south:g}"
        half = f" in the {self.hemisphere}" if self.hemisphere else ""
        return f"{self} from x {self.west / 1000:g} km and y {self.south / 1000:g} km{half}"

    def describe_step(self) -> str:
        """Describe the side of a cell, such as ``25 km`` or ``0.25 degrees``."""
        return f"{self.step:g} degrees" if self.is_geographic else f"{self.step / 1000:g} km"

    def __str__(self) -> str:
        return f"{self.id} ({self.rows} x {self.columns} cells of {self.describe_step()})"


@lru_cache(maxsize=32)
def _find_hemisphere(grid: Grid) -> Hemisphere | None:
    """Find the hemisphere of a grid from the latitudes of its outer edges; None if it has both."""
    west, east, south, north = grid.extent
    x, y = np.linspace(west, east, 31), np.linspace(south, north, 31)
    ring_x = np.concatenate([x, x, np.full(31, west), np.full(31, east)])
    ring_y = np.concatenate([np.full(31, south), np.full(31, north), y, y])
    latitude = grid.transform_to_degrees(ring_x, ring_y)[1]
    latitude = latitude[np.isfinite(latitude)]
    if not latitude.size or (latitude.min() < -1e-9 and latitude.max() > 1e-9):
        return None
    return "north" if latitude.max() > 1e-9 else "south"
