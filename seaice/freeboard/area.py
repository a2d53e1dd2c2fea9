"""A part of the Earth to which observations and grids are cut: a box, a named region, a polygon."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gridding import project
from seaice.grids import Grid

# West, south, east, north in degrees.
NAMED = {
    "arctic": (-180.0, 60.0, 180.0, 90.0),
    "antarctic": (-180.0, -90.0, 180.0, -60.0),
    "ross_sea": (-180.0, -78.0, -160.0, -74.0),
}
_LATTICE = 361  # points along each side of a box that are projected to find its cells


@dataclass(frozen=True)
class Area:
    """A part of the Earth.

    Attributes
    ----------
    name : str
    bbox : (float, float, float, float)
        West, south, east, north in degrees; west may be greater than east.
    shape : shapely geometry or None
        In the plane of longitude and latitude; None: the whole box.
    """

    name: str
    bbox: tuple[float, float, float, float]
    shape: Any = None

    def holds(self, latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
        """Which points lie in it, edges included; bool, same shape. NaN does not."""
        west, south, _, north = self.bbox
        with np.errstate(invalid="ignore"):
            inside = (latitude >= south) & (latitude <= north)
            inside &= (longitude - west) % 360 <= self.width
        if self.shape is not None:
            import shapely

            where = np.flatnonzero(inside)
            lon, lat = longitude[where], latitude[where]
            # Polygons may go on beyond 180 degrees: points by the turn that the polygon is in.
            turned = lon + 360 * np.ceil((west - lon) / 360)
            found = shapely.intersects_xy(self.shape, lon, lat)
            inside[where] = found | shapely.intersects_xy(self.shape, turned, lat)
        return np.asarray(inside)

    @property
    def width(self) -> float:
        """Degrees from west to east, up to 360."""
        west, _, east, _ = self.bbox
        return 360.0 if east - west >= 360 else (east - west) % 360 or 360.0

    @property
    def usual_bbox(self) -> tuple[float, float, float, float]:
        """The box with longitudes from -180 to 180, as catalogues want it."""
        west, south, east, north = self.bbox
        if self.width == 360:
            return -180.0, south, 180.0, north
        return west - 360 * (west > 180), south, east - 360 * (east > 180), north

    def cut(self, grid: Grid) -> Grid:
        """The smallest part of a grid that holds all of the area that the grid has.

        Raises
        ------
        InputError
            If the grid has nothing of it.
        """
        (west, south, _, north), width = self.bbox, self.width
        lon, lat = np.meshgrid(
            west + np.linspace(0, width, _LATTICE), np.linspace(south, north, _LATTICE)
        )
        x, y = project(lat.ravel(), lon.ravel(), grid)
        left, right, bottom, top = grid.extent
        # Points of the lattice lie apart: one of the distance to the next on either side.
        reach = 1.5 * 111_000 * max(width, north - south) / (_LATTICE - 1)
        near = (x > left - reach) & (x < right + reach) & (y > bottom - reach) & (y < top + reach)
        if not near.any():
            raise InputError(
                f"the area {self.name} lies beyond the grid {grid.id}: choose a grid of the other "
                "hemisphere or another area"
            )
        columns = _range(x[near], grid.west, grid.step, grid.columns)
        rows = _range(y[near], grid.south, grid.step, grid.rows)
        return grid.crop(rows, columns)


def _range(values: np.ndarray, start: float, step: float, count: int) -> slice:
    first = int(np.floor((values.min() - start) / step)) - 1
    last = int(np.floor((values.max() - start) / step)) + 2
    return slice(min(max(first, 0), count - 1), max(min(last, count), 1))


def area_of(region: str | Path | None, bbox: Sequence[float] | None) -> Area | None:
    """The area of options: a box, ``arctic``, ``antarctic``, ``ross_sea`` or a GeoJSON file.

    Raises
    ------
    InputError
        If both are given, or either describes no area.
    """
    if region is not None and bbox is not None:
        raise InputError("expected --region or --bbox, found both")
    if bbox is not None:
        return Area("box", _checked(tuple(map(float, bbox))))
    if region is None:
        return None
    if str(region) in NAMED:
        return Area(str(region), NAMED[str(region)])
    return _from_geojson(Path(region))


def _checked(bbox: tuple[float, ...]) -> tuple[float, float, float, float]:
    said = ", ".join(f"{value:g}" for value in bbox)
    if len(bbox) != 4 or not -90 <= bbox[1] < bbox[3] <= 90 or bbox[0] == bbox[2]:
        raise InputError(f"expected west, south, east, north with south below north, found {said}")
    west, south, east, north = bbox
    if not (-180 <= west <= 360 and -180 <= east <= 360):
        raise InputError(f"expected longitudes from -180 to 360 degrees, found {said}")
    return west, south, east, north


def _from_geojson(path: Path) -> Area:
    import shapely

    known = ", ".join(NAMED)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shapes = [shapely.geometry.shape(geometry) for geometry in _geometries(content) if geometry]
        polygons = [shape for shape in shapes if shape.geom_type in ("Polygon", "MultiPolygon")]
        # A polygon that crosses itself has no inside that all agree on: its parts are taken.
        whole = shapely.union_all([shapely.make_valid(shape) for shape in polygons])
    except FileNotFoundError:
        raise InputError(f"expected a region out of {known}, or a GeoJSON file, found {path}") from None
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
    if whole.is_empty:
        raise InputError(f"expected GeoJSON with polygons, found none: {path}")
    west, south, east, north = whole.bounds
    return Area(path.stem, _checked((west, south, east, north)), whole)


def _geometries(content: Any) -> Iterator[Any]:
    if content["type"] == "FeatureCollection":
        for feature in content["features"]:
            yield feature["geometry"]
    else:
        yield content["geometry"] if content["type"] == "Feature" else content
