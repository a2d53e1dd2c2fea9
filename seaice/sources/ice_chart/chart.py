"""Reading a SIGRID-3 ice chart: polygons, their codes, classes and areas."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.regions.polygons import read_rings, unroll_ring
from seaice.regions.vector_files import VECTOR_ENDINGS, is_vector_file, read_vector_file
from seaice.report import format_count, listing
from seaice.sources.ice_chart.codes import (
    COLUMNS,
    CONCENTRATION_PERCENT,
    FORM_CLASSES,
    NOT_SET,
    POLYGON_TYPES,
    STAGE_CLASSES,
    UNDETERMINED,
    normalise_code,
)
from seaice.sources.ice_chart.egg import Label, PolygonLabels, Reason, label_polygon

if TYPE_CHECKING:
    from pyproj import CRS

logger = logging.getLogger(__name__)

LABELS = ("SIC", "SOD", "FLOE")
_CHORD_METRES, _CHORD_DEGREES = 2000.0, 0.05
# Dates in names: 20201102T1800Z (Canada), 202011021420 (Denmark), 20201102.
_TIME = re.compile(r"(?<!\d)((?:19|20)\d{6})[T_]?(\d{4})?(?:\d{2})?Z?(?!\d)")


@dataclass(frozen=True)
class IceChart:
    """Polygons of an ice chart.

    Attributes
    ----------
    path : Path
    layer : str
        Name of the layer within the file.
    crs : pyproj.CRS
        Of the polygons, x before y.
    time : datetime or None
        UTC, from the name of the layer or the file; None if neither states it.
    polygons : ndarray of object, shape (polygons,)
        shapely geometries, valid. Of a chart in degrees, longitudes go on beyond 180.
    labels : tuple of PolygonLabels
        What the codes of each polygon say.
    repaired : int
        Number of polygons that crossed themselves and were repaired.
    unknown_codes : dict of str to int
        Number of polygons by column and code, such as ``CT 9-``, of codes that no table has.
    """

    path: Path
    layer: str
    crs: CRS
    time: datetime | None
    polygons: np.ndarray
    labels: tuple[PolygonLabels, ...]
    repaired: int
    unknown_codes: Mapping[str, int]

    @cached_property
    def areas(self) -> np.ndarray:
        """True area of every polygon on the ellipsoid, square kilometres, float64 (polygons,)."""
        import shapely
        from pyproj import Transformer

        geographic = self.crs.geodetic_crs
        geod = self.crs.get_geod()
        assert geographic is not None and geod is not None
        transform = Transformer.from_crs(self.crs, geographic, always_xy=True).transform
        degrees = shapely.transform(self.split_edges(), transform, interleaved=False)
        areas = [
            geod.geometry_area_perimeter(polygon)[0] for polygon in shapely.orient_polygons(degrees)
        ]
        return np.array(areas) / 1e6

    def split_edges(self) -> np.ndarray:
        """Split edges, which are straight in the plane of the chart, into chords for other planes.

        Returns
        -------
        ndarray of object, shape (polygons,)
            Polygons whose edges are at most 2 km (0.05 degrees) long: in another projection these leave
            the true edge by centimetres.
        """
        import shapely

        chord = _CHORD_DEGREES if self.crs.is_geographic else _CHORD_METRES
        return np.asarray(shapely.segmentize(self.polygons, chord))

    def get_classes(self, name: str) -> np.ndarray:
        """Class of every polygon in a chart, uint8 (polygons,); 255: none.

        Parameters
        ----------
        name : {"SIC", "SOD", "FLOE"}
        """
        return np.array([label.value for label in self._get_labels(name)], np.uint8)

    @property
    def kinds(self) -> np.ndarray:
        """Type of every polygon, a :class:`seaice.sources.ice_chart.codes.PolygonType`, uint8."""
        return np.array([labels.kind for labels in self.labels], np.uint8)

    @property
    def concentration(self) -> np.ndarray:
        """Total concentration of every polygon, 0..1, float64; NaN where not known, and on land."""
        return np.array([labels.percent for labels in self.labels]) / 100

    def _get_labels(self, name: str) -> list[Label]:
        return [getattr(labels, name.lower()) for labels in self.labels]

    def count_without_class(self) -> dict[str, dict[str, dict[str, float]]]:
        """Count the polygons of water and ice that have no class.

        Returns
        -------
        dict
            By chart and reason: number of ``polygons``, and their area ``km2``.
        """
        counts: dict[str, dict[str, dict[str, float]]] = {name: {} for name in LABELS}
        for name, by_reason in counts.items():
            for label, area in zip(self._get_labels(name), self.areas, strict=True):
                if label.reason:
                    count = by_reason.setdefault(label.reason, {"polygons": 0, "km2": 0.0})
                    count["polygons"] += 1
                    count["km2"] = round(count["km2"] + float(area), 3)
        return counts


def read_chart(path: Path, time: datetime | None = None) -> IceChart:
    """Read an ice chart.

    Parameters
    ----------
    path : Path
        SIGRID-3 polygons: a shapefile (.shp, or in a .zip or .tar archive) or a GeoPackage (.gpkg).
    time : datetime, optional
        UTC, instead of that of the name.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column of :data:`seaice.sources.ice_chart.codes.COLUMNS`, or
        holds no polygon.
    """
    path = Path(path)
    if not is_vector_file(path):
        raise InputError(
            f"expected an ice chart, a file ending in {', '.join(VECTOR_ENDINGS)}, found {path}"
        )
    file = read_vector_file(path)
    columns = _find_columns([properties for properties, _ in file.features], path)
    shapes, codes, repaired = [], [], 0
    for number, (properties, geometry) in enumerate(file.features, start=1):
        for part in _list_parts(geometry):
            shape, is_repaired = _make_polygon(part, file.crs, path, f"polygon {number}")
            if shape is None:
                continue
            shapes.append(shape)
            codes.append({name: normalise_code(properties.get(columns[name])) for name in COLUMNS})
            repaired += is_repaired
    if not shapes:
        raise InputError(f"{path}: expected polygons of an ice chart, found none")
    if repaired:
        logger.warning("%s: repaired %s that crossed itself", path, format_count(repaired, "polygon"))
    polygons = np.empty(len(shapes), object)
    polygons[:] = shapes
    labels = tuple(label_polygon(each) for each in codes)
    time = time or _read_time(file.layer) or _read_time(path.name)
    unknown_codes = _count_unknown(codes)
    if unknown_codes:
        texts = [f"{code} ({count})" for code, count in unknown_codes.items()]
        logger.warning("%s: codes that no table has, by polygons: %s", path, listing(texts))
    return IceChart(path, file.layer, file.crs, time, polygons, labels, repaired, unknown_codes)


def _find_columns(properties: Sequence[Mapping[str, Any]], path: Path) -> dict[str, str]:
    """Find the columns of a chart by name, whatever the case of its letters."""
    available = list(dict.fromkeys(name for each in properties for name in each))
    by_name = {name.upper(): name for name in reversed(available)}
    missing = [name for name in COLUMNS if name not in by_name]
    if missing:
        raise InputError(
            f"{path} is no SIGRID-3 ice chart: expected the columns {', '.join(COLUMNS)}, found no "
            f"{', '.join(missing)} among {listing(available) or 'none'}"
        )
    return {name: by_name[name] for name in COLUMNS}


def _list_parts(geometry: Mapping[str, Any]) -> list[Any]:
    """List the polygons of a geometry, each as its rings."""
    if geometry["type"] == "Polygon":
        return [geometry["coordinates"]]
    return list(geometry["coordinates"]) if geometry["type"] == "MultiPolygon" else []


def _make_polygon(rings: Any, crs: CRS, path: Path, name: str) -> tuple[Any, bool]:
    """Make a valid polygon; returns it (None: without an area) and whether it was repaired."""
    import shapely

    lines = read_rings(rings, path, name)
    if crs.is_geographic:
        lines = [unroll_ring(line, path, name) for line in lines]
    polygon = shapely.Polygon(lines[0].points, [line.points for line in lines[1:]])
    if polygon.is_valid:
        return polygon, False
    valid = shapely.make_valid(polygon)
    parts = [part for part in shapely.get_parts([valid]) if part.geom_type.endswith("Polygon")]
    return (shapely.union_all(parts), True) if parts else (None, True)


def _read_time(name: str) -> datetime | None:
    for match in _TIME.finditer(name):
        with suppress(ValueError):
            return datetime.strptime(match[1] + (match[2] or "0000"), "%Y%m%d%H%M").replace(tzinfo=UTC)
    return None


def _count_unknown(codes: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Count the polygons by column and code, of codes that no table has."""
    counts = Counter(text for each in codes for text in _list_unknown(each))
    return dict(sorted(counts.items()))


def _list_unknown(codes: Mapping[str, str]) -> Iterator[str]:
    tables: dict[str, Mapping[str, Any]] = {
        "C": CONCENTRATION_PERCENT,
        "S": STAGE_CLASSES,
        "F": FORM_CLASSES,
    }
    for column, code in codes.items():
        if column == "POLY_TYPE":
            if code.upper() not in POLYGON_TYPES:
                yield f"{column} {code}"
        elif code not in (NOT_SET, UNDETERMINED) and code not in tables[column[0]]:
            yield f"{column} {code}"


__all__ = ["LABELS", "IceChart", "Reason", "read_chart"]
