"""Named polygons of vector files, and the cells of a grid whose centres lie in them.

Points are tested in the plane of the file, longitude and latitude or its map projection, so that an
edge is straight there (RFC 7946, section 3.1.1) and no edge has to be cut into pieces for the grid.
Two things have no meaning in a plane of degrees and get one: an edge over more than 180 degrees of
longitude runs the shorter way, across the date line, and a ring round a pole encloses the pole.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.grids import Grid
from seaice.regions.vector_files import read_vector_file
from seaice.report import listing

if TYPE_CHECKING:
    from pyproj import CRS

logger = logging.getLogger(__name__)

# Properties that usually hold a name, in order; capital letters do not matter.
_NAME_PROPERTIES = ("name", "region", "label", "title", "id")
_MOST_REGIONS = 254  # codes of cells are uint8
# Cells of a region that may also lie in an earlier one, such as along a border drawn twice.
_SLIVER = 0.01
_ROUND = 1e-9  # degrees


@dataclass(frozen=True)
class Ring:
    """A closed line, and whether it bounds a hole.

    Attributes
    ----------
    points : ndarray of float64, shape (points, 2)
        x and y, or longitude and latitude; the last point is the first one.
    is_hole : bool
    """

    points: np.ndarray
    is_hole: bool


@dataclass(frozen=True)
class PolygonFile:
    """Named polygons of a file.

    Attributes
    ----------
    path : Path
    polygons : dict of str to list of list of Ring
        The polygons of every name: the outer ring of each, then its holes.
    crs : pyproj.CRS
        Coordinate reference system of the points, x before y.
    """

    path: Path
    polygons: dict[str, list[list[Ring]]]
    crs: CRS


def read_polygons(path: Path, property_name: str | None = None) -> PolygonFile:
    """Read the named polygons of a GeoJSON file, a shapefile or a GeoPackage.

    Parameters
    ----------
    path : Path
        See :func:`seaice.regions.vector_files.read_vector_file`.
    property_name : str, optional
        Property that holds the names; polygons of one name are one region. By default the first of
        ``name``, ``region``, ``label``, ``title`` and ``id`` that the file has, else numbers.

    Raises
    ------
    InputError
        If the file cannot be read, holds no polygon, has none of the property, does not tell its
        reference system, or if a ring crosses itself or lies outside of all degrees.
    """
    file = read_vector_file(path)
    crs = file.crs
    outlines = [
        (properties, geometry)
        for properties, geometry in file.features
        if geometry["type"] in ("Polygon", "MultiPolygon") and geometry["coordinates"]
    ]
    if not outlines:
        raise InputError(f"{path} holds no polygon; expected polygons with a name each")
    names = _name_features([properties for properties, _ in outlines], path, property_name)
    polygons: dict[str, list[list[Ring]]] = {}
    for name, (_, geometry) in zip(names, outlines, strict=True):
        parts = geometry["coordinates"]
        parts = [parts] if geometry["type"] == "Polygon" else parts
        polygons.setdefault(name, []).extend(read_rings(part, path, name) for part in parts)
    if len(polygons) > _MOST_REGIONS:
        raise InputError(
            f"{path}: expected at most {_MOST_REGIONS} names of regions, found {len(polygons)}; "
            "name another property as FILE:PROPERTY"
        )
    if crs.is_geographic:
        polygons = {
            name: [[unroll_ring(ring, path, name) for ring in rings] for rings in parts]
            for name, parts in polygons.items()
        }
    _check_rings(polygons, path)
    return PolygonFile(path, polygons, crs)


def draw_polygons(file: PolygonFile, grid: Grid) -> tuple[dict[int, str], np.ndarray]:
    """Give every cell of a grid the number of the polygon that its centre lies in.

    A centre on an edge belongs to the polygon; of two polygons that share an edge to the first.

    Parameters
    ----------
    file : PolygonFile
    grid : Grid

    Returns
    -------
    names : dict of int to str
        Names by number, from 1.
    codes : ndarray of uint8, shape (rows, columns)
        0 outside of all polygons.

    Raises
    ------
    InputError
        If no centre lies in any polygon, or a region shares more than 1 percent of its cells with
        earlier ones.
    """
    x, y = (axis.ravel() for axis in _transform_centres(grid, file.crs))
    order = np.argsort(y)  # so that a ring is compared with the cells of its latitudes alone
    x, y = x[order], y[order]
    sorted_codes = np.zeros(grid.shape, np.uint8).ravel()
    names = dict(enumerate(file.polygons, start=1))
    for number, name in names.items():
        parts = [_find_cells(rings, x, y, wraps=file.crs.is_geographic) for rings in file.polygons[name]]
        inside = np.unique(np.concatenate(parts))
        _check_overlap(inside, sorted_codes, names, number, file.path)
        sorted_codes[inside[sorted_codes[inside] == 0]] = number
    codes = np.empty_like(sorted_codes)
    codes[order] = sorted_codes
    if not codes.any():
        raise InputError(
            f"no cell centre of the grid {grid} lies in a polygon of {file.path}; check its hemisphere "
            f"and its reference system ({file.crs.name})"
        )
    return names, codes.reshape(grid.shape)


def _check_overlap(
    inside: np.ndarray, codes: np.ndarray, names: Mapping[int, str], number: int, path: Path
) -> None:
    """Refuse a region that shares more than a sliver with one that was drawn before."""
    shared = np.bincount(codes[inside], minlength=number)
    for earlier in (np.flatnonzero(shared[1:]) + 1).tolist():
        count = shared[earlier]
        if count > _SLIVER * min(len(inside), int(np.count_nonzero(codes == earlier))):
            raise InputError(
                f"{path}: {count} cells lie both in {names[earlier]} and in {names[number]}; put "
                "regions that overlap into files of their own and name all of them"
            )
        logger.info("%s: %d cells on a border count in %s alone", path, count, names[earlier])


def _transform_centres(grid: Grid, crs: CRS) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of all cell centres in another reference system, infinite where there are none."""
    from pyproj import Transformer

    transformer = Transformer.from_crs(grid.crs, crs, always_xy=True)
    x, y = transformer.transform(*np.meshgrid(grid.x, grid.y))
    return np.asarray(x), np.asarray(y)


def _find_cells(rings: Sequence[Ring], x: np.ndarray, y: np.ndarray, *, wraps: bool) -> np.ndarray:
    """Positions of the points within a polygon, its edges included; ``y`` ascends."""
    latitudes = rings[0].points[:, 1]
    first, stop = (
        np.searchsorted(y, latitudes.min(), "left"),
        np.searchsorted(y, latitudes.max(), "right"),
    )
    cells = np.arange(first, stop)
    for ring in rings:  # the outer one, then its holes
        within = _lie_within_ring(ring, x[cells], y[cells], wraps=wraps)
        cells = cells[~within if ring.is_hole else within]
    return cells


def _lie_within_ring(ring: Ring, x: np.ndarray, y: np.ndarray, *, wraps: bool) -> np.ndarray:
    import shapely

    shape = shapely.Polygon(ring.points)
    west, south, east, north = shape.bounds
    if wraps and east - west >= 360 - _ROUND:  # no edge where it begins and ends
        turned_shapes = [shapely.Polygon(ring.points + np.array([turn, 0])) for turn in (-360, 0, 360)]
        shape = shapely.union_all(turned_shapes)
    shapely.prepare(shape)
    within = np.zeros(x.shape, dtype=bool)
    first, last = (np.floor((west + 180) / 360), np.ceil((east - 180) / 360)) if wraps else (0, 0)
    for turn in range(int(first), int(last) + 1):
        turned = x + 360.0 * turn
        near = np.flatnonzero((turned >= west) & (turned <= east) & (y >= south) & (y <= north))
        test = shapely.contains_xy if ring.is_hole else shapely.intersects_xy
        within[near] |= test(shape, turned[near], y[near])
    return within


def unroll_ring(ring: Ring, path: Path, name: str) -> Ring:
    """Let the longitudes of a ring go on beyond 180, and close a ring round a pole over the pole."""
    longitude, latitude = ring.points.T
    if np.abs(longitude).max() > 540 or np.abs(latitude).max() > 90 + _ROUND:
        raise InputError(
            f"{path}: expected longitude and latitude in degrees, found {longitude.min():g} to "
            f"{longitude.max():g} and {latitude.min():g} to {latitude.max():g} in {name}; a file "
            "in another reference system has to name it (GeoJSON: the member crs; shapefile: its .prj)"
        )
    steps = np.diff(longitude)
    turns = np.round(steps / 360) * 360
    # An edge over a whole circle runs all the way where edges along meridians lead to it and away.
    is_circle, is_meridian = np.abs(np.abs(steps) - 360) < _ROUND, np.abs(steps) < _ROUND
    turns[is_circle & np.roll(is_meridian, 1) & np.roll(is_meridian, -1)] = 0
    unrolled = longitude[0] + np.concatenate([[0.0], np.cumsum(steps - turns)])
    points = np.column_stack([unrolled, latitude])
    if abs(unrolled[-1] - unrolled[0]) > 180:
        pole = 90.0 if latitude.mean() > 0 else -90.0
        over_pole = [(unrolled[-1], pole), (unrolled[0], pole), points[0]]
        points = np.vstack([points, over_pole])
    return Ring(points, ring.is_hole)


def _check_rings(polygons: Mapping[str, list[list[Ring]]], path: Path) -> None:
    """Refuse rings that cross themselves: what lies inside of them is anybody's guess."""
    import shapely

    for name, parts in polygons.items():
        for ring in (ring for rings in parts for ring in rings):
            shape = shapely.Polygon(ring.points)
            if not shape.is_valid:
                reason = shapely.is_valid_reason(shape)
                raise InputError(
                    f"{path}: the polygon {name} crosses itself or touches itself along a line "
                    f"({reason}); repair it, for example with ogr2ogr -makevalid"
                )


def read_rings(lines: Any, path: Path, name: str) -> list[Ring]:
    """Read the rings of a polygon, its outer one first; InputError where they are none."""
    rings: list[Ring] = []
    with suppress(TypeError, ValueError, IndexError):
        for line in lines:
            points = np.array([point[:2] for point in line], dtype=np.float64)
            if points.ndim != 2 or len(points) < 3 or not np.isfinite(points).all():
                break
            if (points[0] != points[-1]).any():
                points = np.vstack([points, points[:1]])
            rings.append(Ring(points, is_hole=bool(rings)))
        else:
            if rings:
                return rings
    raise InputError(f"{path}: expected rings of at least three points with two numbers in {name}")


def _name_features(features: list[dict[str, Any]], path: Path, property_name: str | None) -> list[str]:
    """Names of features by a property, else by their numbers."""
    available = list(dict.fromkeys(key for properties in features for key in properties))
    if property_name is not None and property_name not in available:
        raise InputError(
            f"{path}: no polygon has the property {property_name!r}; there are "
            f"{listing(available) or 'none'}"
        )
    by_lower = {key.lower(): key for key in reversed(available)}
    usual = next((by_lower[key] for key in _NAME_PROPERTIES if key in by_lower), None)
    chosen = property_name or usual
    return [
        _describe_value(properties.get(chosen or "")) or f"region {number}"
        for number, properties in enumerate(features, start=1)
    ]


def _describe_value(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())
