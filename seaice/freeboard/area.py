"""Areas of the Earth to which observations and grids are cut: a box, a named region, a polygon."""

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
        left, right, bottom, top = grid.extent
        # A cell may lie between the points of the lattice: add their distance (111 km a degree).
        reach = 1.5 * 111_000 * max(width, north - south) / (_LATTICE - 1)
        near = (x > left - reach) & (x < right + reach) & (y > bottom - reach) & (y < top + reach)
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
        ``arctic``, ``antarctic``, ``ross_sea`` or a GeoJSON file.
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
    return _read_geojson(Path(region))


def _check_bbox(bbox: tuple[float, ...]) -> tuple[float, float, float, float]:
    text = ", ".join(f"{value:g}" for value in bbox)
    if len(bbox) != 4 or not -90 <= bbox[1] < bbox[3] <= 90 or bbox[0] == bbox[2]:
        raise InputError(f"expected west, south, east, north with south below north, found {text}")
    west, south, east, north = bbox
    if not (-180 <= west <= 360 and -180 <= east <= 360):
        raise InputError(f"expected longitudes from -180 to 360 degrees, found {text}")
    return west, south, east, north


def _read_geojson(path: Path) -> Area:
    import shapely

    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        shapes = [shapely.geometry.shape(geometry) for geometry in _list_geometries(content) if geometry]
        polygons = [part for part in shapes if part.geom_type in ("Polygon", "MultiPolygon")]
        # The inside of a polygon that crosses itself is ambiguous: its parts are joined.
        shape = shapely.union_all([shapely.make_valid(polygon) for polygon in polygons])
    except FileNotFoundError:
        names = ", ".join(NAMED_AREAS)
        raise InputError(f"expected a region out of {names}, or a GeoJSON file, found {path}") from None
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
    if shape.is_empty:
        raise InputError(f"expected GeoJSON with polygons, found none: {path}")
    west, south, east, north = shape.bounds
    return Area(path.stem, _check_bbox((west, south, east, north)), shape)


def _list_geometries(content: Any) -> Iterator[Any]:
    if content["type"] == "FeatureCollection":
        for feature in content["features"]:
            yield feature["geometry"]
    else:
        yield content["geometry"] if content["type"] == "Feature" else content
