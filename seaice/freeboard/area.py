"""Areas of the Earth to which observations and grids are cut: a box, a named region, a polygon."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gridding import project
from seaice.grids import Grid
from seaice.regions.vector_files import GEOJSON_ENDINGS, is_vector_file, read_vector_file
from seaice.runtime.json_files import parse_json

# Name -> west, south, east, north in degrees.
NAMED_AREAS = {
    "arctic": (-180.0, 60.0, 180.0, 90.0),
    "antarctic": (-180.0, -90.0, 180.0, -60.0),
    "ross_sea": (-180.0, -78.0, -160.0, -74.0),
}
_LATTICE = 361  # points along each side of a box that are projected to find its cells


@dataclass(frozen=True)
class Area:
    """An area of the Earth.

    Attributes
    ----------
    name : str
        Name for messages and files.
    bbox : (float, float, float, float)
        West, south, east, north in degrees; west may be greater than east.
    shape : shapely geometry or None
        Polygons in the plane of longitude and latitude; None: the whole box.
    """

    name: str
    bbox: tuple[float, float, float, float]
    shape: Any = None

    def contains(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Whether points lie in the area, edges included; false of NaN.

        Parameters
        ----------
        latitude, longitude : ndarray of float, any shape
            Degrees.

        Returns
        -------
        ndarray of bool, same shape
        """
        west, south, _, north = self.bbox
        with np.errstate(invalid="ignore"):
            inside = (latitude >= south) & (latitude <= north)
            inside &= (longitude - west) % 360 <= self.width
        if self.shape is not None:
            import shapely

            in_box = np.flatnonzero(inside)
            lon, lat = longitude[in_box], latitude[in_box]
            # Polygons may continue beyond 180 degrees: also try the longitude of the polygon's turn.
            turned = lon + 360 * np.ceil((west - lon) / 360)
            in_shape = shapely.intersects_xy(self.shape, lon, lat)
            inside[in_box] = in_shape | shapely.intersects_xy(self.shape, turned, lat)
        return np.asarray(inside)

    @property
    def width(self) -> float:
        """Degrees from west to east, at most 360."""
        west, _, east, _ = self.bbox
        return 360.0 if east - west >= 360 else (east - west) % 360 or 360.0

    @property
    def catalogue_bbox(self) -> tuple[float, float, float, float]:
        """The box with longitudes from -180 to 180, as catalogues need it."""
        west, south, east, north = self.bbox
        if self.width == 360:
            return -180.0, south, 180.0, north
        return west - 360 * (west > 180), south, east - 360 * (east > 180), north

    def crop(self, grid: Grid) -> Grid:
        """Crop a grid to the area; the result holds all cells of the grid inside the area.

        Raises
        ------
        InputError
            If the grid has no cell in the area.
        """
        (west, south, _, north), width = self.bbox, self.width
        lon, lat = np.meshgrid(
            west + np.linspace(0, width, _LATTICE), np.linspace(south, north, _LATTICE)
        )
        x, y = project(lat.ravel(), lon.ravel(), grid)
        x_low, x_high, y_low, y_high = grid.extent
        if grid.is_geographic:
            # Points a little west of the grid lie beside it, not a circle away.
            middle = (x_low + x_high) / 2
            x = middle + (x - middle + 180) % 360 - 180
        # A cell may lie between the points of the lattice: add their distance (111 km a degree).
        degree = 1.0 if grid.is_geographic else 111_000
        reach = 1.5 * degree * max(width, north - south) / (_LATTICE - 1)
        near = (x > x_low - reach) & (x < x_high + reach) & (y > y_low - reach) & (y < y_high + reach)
        if not near.any():
            raise InputError(
                f"the area {self.name} lies beyond the grid {grid.id}: choose a grid of the other "
                "hemisphere or another area"
            )
        columns = _find_range(x[near], grid.west, grid.step, grid.columns)
        rows = _find_range(y[near], grid.south, grid.step, grid.rows)
        return grid.crop(rows, columns)


def _find_range(values: np.ndarray, start: float, step: float, count: int) -> slice:
    first = int(np.floor((values.min() - start) / step)) - 1
    last = int(np.floor((values.max() - start) / step)) + 2
    return slice(min(max(first, 0), count - 1), max(min(last, count), 1))


def read_area(region: str | Path | None, bbox: Sequence[float] | None) -> Area | None:
    """Read the area that the options ``region`` or ``bbox`` name; None without either.

    Parameters
    ----------
    region : str or Path, optional
        ``arctic``, ``antarctic``, ``ross_sea``, or polygons in degrees: GeoJSON, a shapefile or
        a GeoPackage.
    bbox : sequence of four float, optional
        West, south, east, north, degrees.

    Raises
    ------
    InputError
        If there are both, or either describes no area.
    """
    if region is not None and bbox is not None:
        raise InputError("expected --region or --bbox, found both")
    if bbox is not None:
        return Area("box", _check_bbox(tuple(map(float, bbox))))
    if region is None:
        return None
    if str(region) in NAMED_AREAS:
        return Area(str(region), NAMED_AREAS[str(region)])
    return _read_polygons(Path(region))


def _check_bbox(bbox: tuple[float, ...]) -> tuple[float, float, float, float]:
    text = ", ".join(f"{value:g}" for value in bbox)
    if len(bbox) != 4 or not -90 <= bbox[1] < bbox[3] <= 90 or bbox[0] == bbox[2]:
        raise InputError(f"expected west, south, east, north with south below north, found {text}")
    west, south, east, north = bbox
    if not (-180 <= west <= 360 and -180 <= east <= 360):
        raise InputError(f"expected longitudes from -180 to 360 degrees, found {text}")
    return west, south, east, north


def _read_polygons(path: Path) -> Area:
    import shapely

    try:
        shapes = [shapely.geometry.shape(geometry) for geometry in _read_geometries(path) if geometry]
        polygons = [
            polygon
            for part in shapes
            if part.geom_type in ("Polygon", "MultiPolygon")
            for polygon in getattr(part, "geoms", (part,))
            if not polygon.is_empty
        ]
        for polygon in polygons:
            _check_polygon(polygon, path)
        turned = _bring_together(polygons)
        # The inside of a polygon that crosses itself is ambiguous: its parts are joined.
        shape = shapely.union_all([shapely.make_valid(polygon) for polygon in turned])
    except InputError:
        raise
    except FileNotFoundError:
        names = ", ".join(NAMED_AREAS)
        raise InputError(
            f"expected a region out of {names}, or a GeoJSON file or a shapefile, found {path}"
        ) from None
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        shapely.errors.ShapelyError,
    ) as error:
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"expected GeoJSON with polygons, found something else ({reason}): {path}"
        ) from None
    if not shape.area > 0:
        raise InputError(f"expected GeoJSON with polygons, found none with an area: {path}")
    west, south, east, north = shape.bounds
    return Area(path.stem, (west, south, east, north), shape)


def _check_polygon(polygon: Any, path: Path) -> None:
    """Refuse a polygon that is not in degrees, or whose ring goes round a pole without enclosing it.

    Polygons lie in the plane of longitude and latitude. There the last edge of a ring round the pole
    runs back over all longitudes, and almost nothing lies inside.
    """
    west, south, east, north = polygon.bounds
    if not (-180 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise InputError(
            f"{path}: expected longitudes from -180 to 360 and latitudes from -90 to 90 degrees, found "
            f"{west:g} to {east:g} and {south:g} to {north:g}"
        )
    longitude, latitude = np.asarray(polygon.exterior.coords)[:, :2].T
    steps = np.diff(longitude)
    is_at_pole = (np.abs(latitude[1:]) > 89.9) & (np.abs(latitude[:-1]) > 89.9)
    turns = np.where(is_at_pole, steps, (steps + 180) % 360 - 180).sum() / 360
    if round(turns) != 0 and polygon.area <= 0.5 * (east - west) * (north - south):
        pole = 90 if north > 0 else -90
        raise InputError(
            f"{path}: a ring goes round the pole but encloses almost nothing in longitude and latitude; "
            f"draw it on to -180 {pole} and 180 {pole}, or give --bbox"
        )


def _bring_together(polygons: Sequence[Any]) -> list[Any]:
    """Turn polygons by whole circles so that together they reach over the fewest degrees.

    GeoJSON (RFC 7946) splits a polygon at 180 degrees: one part ends there, the other begins at -180.
    """
    from shapely.affinity import translate

    bounds = [(polygon.bounds[0], polygon.bounds[2]) for polygon in polygons]
    best, width = 0.0, np.inf
    for start, _ in bounds:
        # Where all polygons begin at this longitude or east of it, they end here:
        end = max((west - start) % 360 + east - west for west, east in bounds)
        # Of equal widths the first is taken, with the longitudes of the file where they fit.
        if end < width - 1e-9:
            best, width = start, end
    shifts = [best + (west - best) % 360 - west for west, _ in bounds]
    if best + width > 360:
        shifts = [shift - 360 for shift in shifts]
    return [
        translate(polygon, xoff=shift) if shift else polygon
        for polygon, shift in zip(polygons, shifts, strict=True)
    ]


def _read_geometries(path: Path) -> list[Any]:
    """Geometries of a GeoJSON file, a shapefile or a GeoPackage in longitude and latitude."""
    is_geojson = path.suffix.lower() in GEOJSON_ENDINGS or not is_vector_file(path)
    if is_geojson or not path.is_file():
        return list(_list_geometries(parse_json(path.read_text(encoding="utf-8"))))
    file = read_vector_file(path)
    if not file.crs.is_geographic:
        raise InputError(
            f"{path}: expected polygons in longitude and latitude, found {file.crs.name}; transform it, "
            "for example with ogr2ogr -t_srs EPSG:4326"
        )
    return [geometry for _, geometry in file.features]


def _list_geometries(content: Any) -> Iterator[Any]:
    if content["type"] == "FeatureCollection":
        for feature in content["features"]:
            yield feature["geometry"]
    else:
        yield content["geometry"] if content["type"] == "Feature" else content
