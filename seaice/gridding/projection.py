"""From latitude and longitude to the cells of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seaice import InputError
from seaice.grids import Grid
from seaice.runtime.threads import for_each

_BLOCK = 1 << 17  # points at a time for one thread: what it works on stays in the cache
_POLAR = {"lambert_azimuthal_equal_area": 0, "polar_stereographic": 1}


@dataclass(frozen=True)
class PolarProjection:
    """Numbers of a polar projection that the compiled loops know.

    Attributes
    ----------
    kind : int
        0 Lambert azimuthal equal-area, 1 stereographic.
    pole : float
        1 north, -1 south.
    lon0 : float
        Degrees east of the meridian that points down (north) or up (south).
    a, e : float
        Semi-major axis in metres and eccentricity of the ellipsoid.
    factor : float
        Metres in the plane for the tangent of half the conformal colatitude (stereographic).
    east, north : float
        Of the pole in the plane, metres.
    """

    kind: int
    pole: float
    lon0: float
    a: float
    e: float
    factor: float
    east: float
    north: float

    @property
    def numbers(self) -> tuple[int, float, float, float, float, float, float, float]:
        """As the compiled loops take them."""
        ellipsoid = (self.a, self.e, self.factor)
        return (self.kind, self.pole, self.lon0, *ellipsoid, self.east, self.north)


@lru_cache(maxsize=32)
def polar_projection(projection: str) -> PolarProjection | None:
    """The numbers of a polar projection; None of any other.

    Parameters
    ----------
    projection : str
        As :attr:`seaice.grids.Grid.projection`.
    """
    from pyproj import CRS

    crs = CRS.from_user_input(projection)
    said = crs.to_cf()
    kind = _POLAR.get(said.get("grid_mapping_name", ""))
    ellipsoid = crs.ellipsoid
    metric = all(axis.unit_name == "metre" for axis in crs.axis_info)
    if kind is None or ellipsoid is None or not metric or said.get("prime_meridian_name") != "Greenwich":
        return None
    a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    e = math.sqrt(1 - (b / a) ** 2)
    parallel = said.get("standard_parallel")
    origin = said.get("latitude_of_projection_origin", math.copysign(90, parallel or 90))
    if abs(origin) != 90 or e > 0.1 or said.get("towgs84"):
        return None
    lon0 = said.get("straight_vertical_longitude_from_pole", said.get("longitude_of_projection_origin"))
    if lon0 is None:
        return None
    scale = said.get("scale_factor_at_projection_origin")
    factor = _factor(a, e, None if parallel is None else abs(parallel), scale)
    east, north = said.get("false_easting", 0.0), said.get("false_northing", 0.0)
    return PolarProjection(kind, math.copysign(1, origin), lon0, a, e, factor, east, north)


def _factor(a: float, e: float, parallel: float | None, scale: float | None) -> float:
    """Snyder's a m / t of the standard parallel, or what a scale at the pole makes."""
    if parallel is None or parallel == 90:
        return 2 * a * (scale or 1.0) / math.sqrt((1 + e) ** (1 + e) * (1 - e) ** (1 - e))
    sine, cosine = math.sin(math.radians(parallel)), math.cos(math.radians(parallel))
    m = cosine / math.sqrt(1 - (e * sine) ** 2)
    t = math.tan(math.radians(90 - parallel) / 2) * math.exp(e * math.atanh(e * sine))
    return a * m / t


def project(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """X and y of points in the plane of a grid, metres.

    The closed form of polar projections, several threads at once; pyproj of any other. They
    agree within a micrometre farther than 1 km from the pole, where pyproj is less exact.

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees north and east; NaN: unknown. Latitudes are those of the grid's own ellipsoid.
    grid : Grid

    Returns
    -------
    x, y : ndarray of float64, shape (points,)
        NaN where unknown.
    """
    lat, lon = _as_places(lat, lon)
    known = polar_projection(grid.projection)
    if known is None:
        return _by_pyproj(lat, lon, grid)
    from seaice.gridding import _kernels

    x, y = np.empty_like(lat), np.empty_like(lat)

    def part(rows: slice) -> None:
        _kernels.project(lat[rows], lon[rows], *known.numbers, x[rows], y[rows])

    for_each(part, _blocks(lat.size))
    return x, y


def cells_of(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    """Flat index (row times columns plus column) of the cell of every point.

    A cell holds its western and northern edge and neither of the others, as in grids that are
    described from their upper left corner, so that every point belongs to one cell at most.

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees; see :func:`project`.
    grid : Grid

    Returns
    -------
    ndarray of int32, shape (points,)
        -1: beyond the grid. -2: no position (not finite, or no latitude).

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> grid = get_grid("ease2n25000")
    >>> divmod(int(cells_of(np.array([84.0]), np.array([0.0]), grid)[0]), grid.columns)
    (333, 360)
    """
    from seaice.gridding import _kernels

    if grid.rows * grid.columns >= 2**31:
        raise InputError(f"expected a grid of less than 2**31 cells, found {grid.rows} x {grid.columns}")
    lat, lon = _as_places(lat, lon)
    cells = np.empty(lat.size, np.int32)
    place = (grid.west, grid.south, grid.step, grid.rows, grid.columns)
    known = polar_projection(grid.projection)

    def part(rows: slice) -> None:
        if known is not None:
            _kernels.cells_of_places(lat[rows], lon[rows], *known.numbers, *place, cells[rows])
            return
        x, y = _by_pyproj(lat[rows], lon[rows], grid)
        _kernels.cells_of_points(x, y, *place, cells[rows])

    for_each(part, _blocks(lat.size))
    return cells


def _as_places(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lat = np.ascontiguousarray(lat, np.float64).reshape(-1)
    lon = np.ascontiguousarray(lon, np.float64).reshape(-1)
    if lat.shape != lon.shape:
        raise InputError(f"expected as many longitudes as latitudes, found {lon.size} and {lat.size}")
    return lat, lon


def _by_pyproj(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    from pyproj import Transformer

    crs = grid.crs
    transformer = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    with np.errstate(invalid="ignore"):
        known = (np.abs(lat) <= 90) & np.isfinite(lon)
    x, y = transformer.transform(np.where(known, lon, 0.0), np.where(known, lat, 0.0))
    return np.where(known, x, np.nan), np.where(known, y, np.nan)


def _blocks(size: int) -> list[slice]:
    return [slice(first, min(size, first + _BLOCK)) for first in range(0, size, _BLOCK)]
