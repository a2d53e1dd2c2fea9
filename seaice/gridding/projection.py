"""Projection of latitude and longitude into the plane and the cells of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.grids import Grid
from seaice.grids.projection import describe_projection, read_crs
from seaice.runtime.threads import for_each

if TYPE_CHECKING:
    from pyproj import Transformer

_BLOCK = 1 << 17  # points at a time for one thread: its data stay in the cache of the processor
_POLAR_KINDS = {"lambert_azimuthal_equal_area": 0, "polar_stereographic": 1}  # as in _kernels


@dataclass(frozen=True)
class PolarProjection:
    """Numbers of a polar projection for the compiled loops.

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
        Stereographic: distance from the pole, in metres, where the tangent of half the conformal
        colatitude is 1.
    east, north : float
        Position of the pole in the plane, metres.
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
        """The numbers in the order in which the compiled loops take them."""
        ellipsoid = (self.a, self.e, self.factor)
        return (self.kind, self.pole, self.lon0, *ellipsoid, self.east, self.north)


@lru_cache(maxsize=32)
def find_polar_projection(projection: str) -> PolarProjection | None:
    """Find the numbers of a projection; None if it is not one of the two polar ones.

    Parameters
    ----------
    projection : str
        See :attr:`seaice.grids.Grid.projection`.
    """
    crs, attributes = read_crs(projection), describe_projection(projection)
    kind = _POLAR_KINDS.get(attributes.get("grid_mapping_name", ""))
    ellipsoid = crs.ellipsoid
    is_metric = all(axis.unit_name == "metre" for axis in crs.axis_info)
    is_greenwich = attributes.get("prime_meridian_name") == "Greenwich"
    if kind is None or ellipsoid is None or not is_metric or not is_greenwich:
        return None
    a, b = ellipsoid.semi_major_metre, ellipsoid.semi_minor_metre
    e = math.sqrt(1 - (b / a) ** 2)
    parallel = attributes.get("standard_parallel")
    origin = attributes.get("latitude_of_projection_origin", math.copysign(90, parallel or 90))
    if abs(origin) != 90 or e > 0.1 or attributes.get("towgs84"):
        return None
    lon0 = attributes.get(
        "straight_vertical_longitude_from_pole", attributes.get("longitude_of_projection_origin")
    )
    if lon0 is None:
        return None
    scale = attributes.get("scale_factor_at_projection_origin")
    factor = _compute_factor(a, e, None if parallel is None else abs(parallel), scale)
    east, north = attributes.get("false_easting", 0.0), attributes.get("false_northing", 0.0)
    return PolarProjection(kind, math.copysign(1, origin), lon0, a, e, factor, east, north)


def _compute_factor(a: float, e: float, parallel: float | None, scale: float | None) -> float:
    """Factor of the stereographic projection, metres.

    Snyder (1987), doi:10.3133/pp1395: a m / t of the standard parallel (equation 21-34), or
    by the scale at the pole where the parallel is the pole (equation 21-33).
    """
    if parallel is None or parallel == 90:
        return 2 * a * (scale or 1.0) / math.sqrt((1 + e) ** (1 + e) * (1 - e) ** (1 - e))
    sine, cosine = math.sin(math.radians(parallel)), math.cos(math.radians(parallel))
    m = cosine / math.sqrt(1 - (e * sine) ** 2)
    t = math.tan(math.radians(90 - parallel) / 2) * math.exp(e * math.atanh(e * sine))
    return a * m / t


def project(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Project points into the plane of a grid.

    Polar projections are computed from their formulas in several threads, any other projection by
    pyproj. Both ways agree within a micrometre at points more than 1 km from the pole; at points
    nearer to the pole pyproj is less exact. Of a grid of latitude and longitude, longitudes are turned
    by whole circles to the range that begins at its western edge.

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees north and east; NaN: unknown. Latitudes refer to the ellipsoid of the grid.
    grid : Grid

    Returns
    -------
    x, y : ndarray of float64, shape (points,)
        In the units of the grid; NaN where unknown.
    """
    lat, lon = _as_points(lat, lon)
    from seaice.gridding import _kernels

    projection = find_polar_projection(grid.projection)
    x, y = np.empty_like(lat), np.empty_like(lat)

    def project_block(rows: slice) -> None:
        if projection is None:
            x[rows], y[rows] = _project_otherwise(lat[rows], lon[rows], grid)
        else:
            _kernels.project(lat[rows], lon[rows], *projection.numbers, x[rows], y[rows])

    for_each(project_block, _list_blocks(lat.size))
    return x, y


def locate_cells(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> np.ndarray:
    """Locate the cell of every point.

    A cell holds its western and northern edge and not its eastern and southern edge, as in grids
    that are described from their upper left corner, so that every point belongs to at most one cell.
    On a grid of latitude and longitude that ends there, the South Pole belongs to the last row.

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees; see :func:`project`.
    grid : Grid

    Returns
    -------
    ndarray of int32, shape (points,)
        Row times columns plus column. -1: beyond the grid. -2: no position (a value that is not
        finite, or a latitude beyond 90 degrees).

    Raises
    ------
    InputError
        If the grid has 2**31 cells or more, or there are not as many longitudes as latitudes.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> grid = get_grid("ease2n25000")
    >>> divmod(int(locate_cells(np.array([84.0]), np.array([0.0]), grid)[0]), grid.columns)
    (333, 360)
    """
    from seaice.gridding import _kernels

    if grid.rows * grid.columns >= 2**31:
        raise InputError(f"expected a grid of less than 2**31 cells, found {grid.rows} x {grid.columns}")
    lat, lon = _as_points(lat, lon)
    cells = np.empty(lat.size, np.int32)
    layout = (grid.west, grid.south, grid.step, grid.rows, grid.columns)
    projection = find_polar_projection(grid.projection)

    def locate_block(rows: slice) -> None:
        if projection is not None:
            _kernels.locate_cells(lat[rows], lon[rows], *projection.numbers, *layout, cells[rows])
            return
        x, y = _project_otherwise(lat[rows], lon[rows], grid)
        if grid.is_geographic and grid.south == -90:
            y = np.maximum(y, -90 + 1e-9 * grid.step)
        _kernels.locate_projected_cells(x, y, *layout, cells[rows])

    for_each(locate_block, _list_blocks(lat.size))
    return cells


def _as_points(lat: np.ndarray, lon: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lat = np.ascontiguousarray(lat, np.float64).reshape(-1)
    lon = np.ascontiguousarray(lon, np.float64).reshape(-1)
    if lat.shape != lon.shape:
        raise InputError(f"expected as many longitudes as latitudes, found {lon.size} and {lat.size}")
    return lat, lon


def _project_otherwise(lat: np.ndarray, lon: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Project points without compiled formulas; x and y are NaN where the position is unknown."""
    with np.errstate(invalid="ignore"):
        has_position = (np.abs(lat) <= 90) & np.isfinite(lon)
    lon, lat = np.where(has_position, lon, 0.0), np.where(has_position, lat, 0.0)
    if grid.is_geographic:
        x, y = grid.wrap_longitude(lon), lat
    else:
        x, y = _make_transformer(grid.projection).transform(lon, lat)
    return np.where(has_position, x, np.nan), np.where(has_position, y, np.nan)


@lru_cache(maxsize=8)
def _make_transformer(projection: str) -> Transformer:
    """Make the transformer of pyproj, which threads may share; it takes milliseconds to make."""
    from pyproj import Transformer

    crs = read_crs(projection)
    return Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)


def _list_blocks(size: int) -> list[slice]:
    return [slice(first, min(size, first + _BLOCK)) for first in range(0, size, _BLOCK)]
