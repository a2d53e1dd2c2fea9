"""Drawing a chart on cells: exact shares of its polygons, and the classes that prevail."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gridding.cover import CellOutline
from seaice.regions.polygons import Ring, unroll_ring
from seaice.report import format_count
from seaice.runtime.threads import for_each
from seaice.segmentation.charts.cells import Cells, list_bands
from seaice.sources.ai4arctic.tables import NO_CLASS
from seaice.sources.ice_chart.chart import LABELS, IceChart
from seaice.sources.ice_chart.codes import PolygonType

logger = logging.getLogger(__name__)

# Length of the chords of the edges of a box around a scene.
_CHORD_METRES = 2000.0
_BAND_CELLS = 1 << 19
_LEAST_SHARE = 1e-6
# Whole circles by which a ring in degrees may be turned so that it meets a grid.
_TURNS = (-720, -360, 0, 360, 720)


@dataclass(frozen=True)
class ChartRaster:
    """A chart on cells.

    Attributes
    ----------
    kind : ndarray of uint8, shape (rows, columns)
        :class:`seaice.sources.ice_chart.codes.PolygonType` of the largest part of the cell.
    classes : dict of str to ndarray of uint8
        ``SIC``, ``SOD`` and ``FLOE``: class of the largest part of the cell, 255 where the largest part
        has none.
    concentration : ndarray of float32
        Mean over the part of the cell whose concentration is known, 0..1; NaN where there is none.
    share : ndarray of float32
        That part of the cell, 0..1.
    covered : ndarray of float64, shape (polygons,)
        Area of every polygon within the cells, square kilometres.
    overlap : float
        Area by which polygons cover cells more than once, square kilometres.
    """

    kind: np.ndarray
    classes: dict[str, np.ndarray]
    concentration: np.ndarray
    share: np.ndarray
    covered: np.ndarray
    overlap: float


def draw_chart(chart: IceChart, cells: Cells) -> ChartRaster:
    """Draw a chart on cells.

    Parameters
    ----------
    chart : IceChart
        In any reference system; it is transformed.
    cells : Cells

    Raises
    ------
    InputError
        If no polygon of the chart covers a part of a cell.
    """
    outlines = outline_polygons(chart, cells)
    shape = cells.shape
    raster = ChartRaster(
        kind=np.zeros(shape, np.uint8),
        classes={name: np.full(shape, NO_CLASS, np.uint8) for name in LABELS},
        concentration=np.full(shape, np.nan, np.float32),
        share=np.zeros(shape, np.float32),
        covered=np.zeros(len(outlines)),
        overlap=0.0,
    )
    bands = list_bands(shape, _BAND_CELLS)
    sums = for_each(partial(_draw_band, chart, outlines, cells, raster), bands)
    covered = np.sum([band[0] for band in sums], axis=0)
    if not covered.any():
        raise InputError(
            f"the chart {chart.path} and {cells.describe()} do not meet; give a chart that covers "
            "a part of it"
        )
    overlap = float(sum(band[1] for band in sums))
    if overlap > 1e-4 * covered.sum():
        logger.warning("%s: more than one polygon covers %.0f km2", chart.path, overlap)
    return ChartRaster(raster.kind, raster.classes, raster.concentration, raster.share, covered, overlap)


def outline_polygons(chart: IceChart, cells: Cells) -> list[CellOutline | None]:
    """Transform the polygons of a chart to the coordinates of cells; None: it does not meet them."""
    import shapely
    from pyproj import CRS, Transformer

    target = CRS.from_user_input(cells.projection)
    transform = Transformer.from_crs(chart.crs, target, always_xy=True).transform
    polygons = shapely.transform(chart.split_edges(), transform, interleaved=False)
    outlines: list[CellOutline | None] = []
    beyond = 0
    for number, polygon in enumerate(polygons, start=1):
        if not np.isfinite(shapely.get_coordinates(polygon)).all():
            beyond += 1
            outlines.append(None)
            continue
        if cells.box is not None:
            polygon = _cut_polygon(polygon, cells.box)
        rings = [ring for part in shapely.get_parts([polygon]) for ring in _list_rings(part)]
        if target.is_geographic:
            rings = _turn_rings([unroll_ring(r, chart.path, f"polygon {number}") for r in rings])
        outlines.append(_outline(rings, cells) if rings else None)
    if beyond:
        logger.warning(
            "%s: left out %s that cannot be projected", chart.path, format_count(beyond, "polygon")
        )
    return outlines


def _cut_polygon(polygon: Any, box: tuple[float, float, float, float]) -> Any:
    """Cut a polygon at a box; far from a scene its pixels cannot be located."""
    import shapely

    west, south, east, north = polygon.bounds
    if west >= box[2] or east <= box[0] or south >= box[3] or north <= box[1]:
        return shapely.Polygon()
    if west >= box[0] and east <= box[2] and south >= box[1] and north <= box[3]:
        return polygon
    # Corners that are transformed may let a ring touch itself.
    valid = polygon if polygon.is_valid else polygon.buffer(0)
    return shapely.segmentize(valid.intersection(shapely.box(*box)), _CHORD_METRES)


def _list_rings(part: Any) -> list[Ring]:
    import shapely

    if part.geom_type != "Polygon" or part.is_empty:
        return []
    return [
        Ring(shapely.get_coordinates(ring), is_hole)
        for ring, is_hole in [(part.exterior, False), *((ring, True) for ring in part.interiors)]
    ]


def _turn_rings(rings: Sequence[Ring]) -> list[Ring]:
    """Repeat rings in degrees after whole circles: a grid may begin at any longitude."""
    return [Ring(ring.points + np.array([turn, 0]), ring.is_hole) for ring in rings for turn in _TURNS]


def _outline(rings: Sequence[Ring], cells: Cells) -> CellOutline | None:
    """Locate all points of some rings at once."""
    points = np.concatenate([ring.points for ring in rings])
    ends = np.cumsum([len(ring.points) for ring in rings])[:-1]
    columns, rows = (np.split(part, ends) for part in cells.locate(*points.T))
    return CellOutline.of(
        [(x, y, ring.is_hole) for x, y, ring in zip(columns, rows, rings, strict=True)]
    )


def _draw_band(
    chart: IceChart,
    outlines: Sequence[CellOutline | None],
    cells: Cells,
    raster: ChartRaster,
    rows: range,
) -> tuple[np.ndarray, float]:
    """Draw some rows; returns the area of every polygon in them, and the area that several cover."""
    shape = len(rows), cells.shape[1]
    areas = cells.compute_areas(rows)
    values = {"kind": chart.kinds, **{name: chart.get_classes(name) for name in LABELS}}
    parts: dict[str, dict[int, np.ndarray]] = {name: {} for name in values}
    concentration = chart.concentration
    known, ice = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    total = np.zeros(shape, np.float32)
    covered = np.zeros(len(outlines))
    for number, outline in enumerate(outlines):
        covering = None if outline is None else outline.cover(rows, cells.shape[1])
        if covering is None:
            continue
        window, share = covering[:2], covering[2].astype(np.float32)
        covered[number] = np.sum(covering[2] * areas[window])
        total[window] += share
        for name, by_polygon in values.items():
            value = int(by_polygon[number])
            if value != NO_CLASS:
                part = parts[name].setdefault(value, np.zeros(shape, np.float32))
                part[window] += share
        if np.isfinite(concentration[number]):
            known[window] += share
            ice[window] += share * np.float32(concentration[number])
    band = slice(rows.start, rows.stop)
    raster.kind[band] = _find_largest(parts["kind"], shape, int(PolygonType.OUTSIDE_THE_CHART))
    for name in LABELS:
        raster.classes[name][band] = _find_largest(parts[name], shape, NO_CLASS)
    has_value = known > _LEAST_SHARE
    raster.share[band] = np.where(has_value, np.minimum(known, 1), 0)
    np.divide(ice, known, out=raster.concentration[band], where=has_value)
    return covered, float(np.sum(np.maximum(total - 1, 0, dtype=np.float64) * areas))


def _find_largest(parts: Mapping[int, np.ndarray], shape: tuple[int, int], rest: int) -> np.ndarray:
    """Find the value with the largest part of each cell; ``rest`` has what no value has."""
    largest = np.full(shape, rest, np.uint8)
    if not parts:
        return largest
    greatest = np.maximum(1 - np.sum(list(parts.values()), axis=0), 0)
    for value in sorted(parts):
        is_larger = parts[value] > greatest
        largest[is_larger] = value
        np.maximum(greatest, parts[value], out=greatest)
    return largest
