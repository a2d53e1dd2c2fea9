"""Files of chart labels: on the pixels of a scene, as ``patches`` reads them, or on a grid."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.dates import format_timestamp
from seaice.flags import flag_attributes
from seaice.gridding.file import DIMENSIONS, FILL, TimeStep, write_gridded
from seaice.grids import Grid
from seaice.segmentation.charts.cells import ScenePixels
from seaice.segmentation.charts.raster import ChartRaster
from seaice.segmentation.mapping.scene_map import (
    FRACTION_FILL,
    PACKING,
    Layer,
    pack_fractions,
    write_layers,
)
from seaice.sources.ai4arctic.tables import FLOE_NAMES, NO_CLASS, SIC_PERCENT, SOD_NAMES
from seaice.sources.ice_chart.chart import LABELS, IceChart
from seaice.sources.ice_chart.codes import PolygonType

REFERENCES = (
    "SIGRID-3: a vector archive format for sea ice charts, JCOMM Technical Report 23 (2014); classes: "
    "Stokholm, A. et al. (2024), The AutoICE Challenge, The Cryosphere 18, 3471, "
    "doi:10.5194/tc-18-3471-2024"
)
CLASS_NAMES: Mapping[str, tuple[str, ...]] = {
    "SIC": tuple(f"{percent} percent" for percent in SIC_PERCENT),
    "SOD": SOD_NAMES,
    "FLOE": FLOE_NAMES,
}
_LONG_NAMES = {
    "SIC": "class of the total concentration of sea ice in an ice chart",
    "SOD": "class of the dominant stage of development of sea ice in an ice chart",
    "FLOE": "class of the dominant form of sea ice in an ice chart",
}
_CONCENTRATION = {
    "standard_name": "sea_ice_area_fraction",
    "long_name": "total concentration of sea ice in an ice chart",
    "units": "1",
}


def measure_labels(chart: IceChart, raster: ChartRaster) -> dict[str, dict[str, dict[str, float]]]:
    """Measure the areas of the classes of a chart within the cells, exactly as its polygons cover them.

    Returns
    -------
    dict
        For each of ``SIC``, ``SOD`` and ``FLOE``, by the name of a class or the reason why there is
        none: number of ``polygons`` of water and ice that meet the cells, and their area ``km2``.
    """
    areas: dict[str, dict[str, dict[str, float]]] = {}
    for name in LABELS:
        rows: dict[str, dict[str, float]] = {}
        for labels, covered in zip(chart.labels, raster.covered.tolist(), strict=True):
            label = getattr(labels, name.lower())
            text = label.reason or ("" if label.value == NO_CLASS else CLASS_NAMES[name][label.value])
            if text and covered > 0:
                row = rows.setdefault(text, {"polygons": 0, "km2": 0.0})
                row["polygons"] += 1
                row["km2"] += covered
        areas[name] = {
            text: {"polygons": row["polygons"], "km2": round(row["km2"], 3)}
            for text, row in sorted(rows.items(), key=lambda item: _rank_row(name, item[0]))
        }
    return areas


def _rank_row(name: str, text: str) -> tuple[int, str]:
    names = CLASS_NAMES[name]
    return (names.index(text), "") if text in names else (len(names), text)


def describe_labels(name: str, areas: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Describe the variable of a chart: its classes, and what has no class and why."""
    meanings = [text.replace(" ", "_") for text in CLASS_NAMES[name]]
    without = {text: row for text, row in areas.items() if text not in CLASS_NAMES[name]}
    with_class = {text: row["km2"] for text, row in areas.items() if text in CLASS_NAMES[name]}
    return {
        "long_name": _LONG_NAMES[name],
        "flag_values": np.arange(len(meanings), dtype=np.uint8),
        "flag_meanings": " ".join(meanings),
        "area_of_classes_km2": json.dumps(with_class),
        "without_class": json.dumps(without),
        "comment": "without_class: number and area (km2) of polygons of water and ice without a class, "
        "by reason; of a cell, the class of its largest part",
    }


def describe_chart(
    chart: IceChart, raster: ChartRaster, parameters: Mapping[str, Any], grid: Grid | None
) -> dict[str, Any]:
    """Describe a file of labels by global attributes."""
    attributes = cf.describe_file(
        title="Concentration, stage of development and form of sea ice in an ice chart",
        summary="total concentration, and the classes of concentration, of the dominant stage of "
        "development and of the dominant form, by the codes of the chart's polygons",
        source=f"ice chart {chart.path.name}",
        stage="label",
        parameters=parameters,
        references=REFERENCES,
        grid=grid,
    )
    return attributes | {
        "chart_layer": chart.layer,
        "chart_time": "" if chart.time is None else format_timestamp(chart.time),
        "chart_crs": chart.crs.name,
        "chart_polygons": int((raster.covered > 0).sum()),
        "repaired_polygons": chart.repaired,
        "unknown_codes": json.dumps(dict(chart.unknown_codes)),
        "overlap_km2": round(raster.overlap, 3),
    }


def _describe_kind() -> dict[str, Any]:
    return {
        "standard_name": "status_flag",
        "long_name": "type of the polygon of an ice chart",
        **flag_attributes(PolygonType),
    }


def write_scene_labels(
    path: Path,
    chart: IceChart,
    raster: ChartRaster,
    scene: ScenePixels,
    parameters: Mapping[str, Any],
    *,
    image_layers: Mapping[str, Layer] | None = None,
    image_attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write labels on the pixels of a scene: ``SIC``, ``SOD``, ``FLOE`` as AI4Arctic files have them.

    Parameters
    ----------
    path : Path
    chart : IceChart
    raster : ChartRaster
    scene : ScenePixels
    parameters : mapping
    image_layers, image_attributes : mapping, optional
        SAR and its attributes, where the file is to be a whole scene.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    areas = measure_labels(chart, raster)
    layers = dict(image_layers or {})
    for name in LABELS:
        # Without a _FillValue, as in AI4Arctic files, so that programs read whole numbers.
        described = describe_labels(name, areas[name]) | {"chart_fill_value": np.uint8(NO_CLASS)}
        layers[name] = Layer(raster.classes[name], described)
    layers["sea_ice_conc"] = Layer(
        pack_fractions(raster.concentration), _CONCENTRATION | PACKING, FRACTION_FILL
    )
    layers["polygon_type"] = Layer(raster.kind, _describe_kind())
    attributes = describe_chart(chart, raster, parameters, None) | {"scene_id": scene.name}
    attributes |= image_attributes or {}
    if chart.time is not None and scene.start is not None:
        attributes["hours_from_scene_to_chart"] = (chart.time - scene.start).total_seconds() / 3600
    has_points = image_layers is not None
    write_layers(path, layers, scene.positions, scene.start, attributes, with_points=has_points)


def write_grid_labels(
    path: Path,
    chart: IceChart,
    raster: ChartRaster,
    grid: Grid,
    day: date,
    parameters: Mapping[str, Any],
) -> None:
    """Write labels on a grid, as one day of maps.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    areas = measure_labels(chart, raster)
    concentration = _CONCENTRATION | {
        "cell_methods": "area: mean",
        "ancillary_variables": "chart_share",
        "comment": "mean over the part of the cell that the chart tells of",
    }
    share = {
        "long_name": "part of the cell where the chart tells the concentration",
        "units": "1",
        "comment": "area of ice: sea_ice_conc * chart_share * area of the cell",
    }
    variables = [
        cf.Variable("sea_ice_conc", DIMENSIONS, "f4", concentration, FILL),
        cf.Variable("chart_share", DIMENSIONS, "f4", share, FILL),
        cf.Variable("polygon_type", DIMENSIONS, "u1", _describe_kind()),
        *(cf.Variable(n, DIMENSIONS, "u1", describe_labels(n, areas[n]), NO_CLASS) for n in LABELS),
    ]
    fields = {
        "sea_ice_conc": raster.concentration,
        "chart_share": raster.share,
        "polygon_type": raster.kind,
        **raster.classes,
    }
    write_gridded(
        path,
        grid=grid,
        steps=[TimeStep(day, day)],
        variables=variables,
        fields=lambda number: fields,
        attributes=describe_chart(chart, raster, parameters, grid),
    )
