"""Ice charts as labels on scenes and grids, and beside cubes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import format_timestamp, parse_timestamp
from seaice.grids import Grid, describe_grid, parse_grid
from seaice.report import Progress, Report, format_count
from seaice.runtime.digests import digest_file
from seaice.runtime.output_checks import Output, check_outputs
from seaice.segmentation.charts.cells import GridCells, ScenePixels, read_scene_pixels
from seaice.segmentation.charts.comparison import (
    COLUMNS,
    ComparisonRow,
    compare_with_cube,
    format_rows,
    write_comparison,
)
from seaice.segmentation.charts.image_scene import (
    check_scene_name,
    describe_image,
    make_image_layers,
    open_image_pixels,
)
from seaice.segmentation.charts.label_file import (
    measure_labels,
    write_grid_labels,
    write_scene_labels,
)
from seaice.segmentation.charts.raster import ChartRaster, draw_chart
from seaice.segmentation.mapping.input_scene import ImageOptions
from seaice.sources.ice_chart.chart import IceChart, read_chart
from seaice.sources.sentinel1.file import Noise, is_image
from seaice.sources.sentinel1.geotiff_image import Unit

logger = logging.getLogger(__name__)

# Ice drifts some kilometres a day: labels of a scene from another day lie beside their ice.
_MOST_HOURS = 24.0


def label(
    *,
    chart: Sequence[Path],
    output_file: Path,
    scene: Path | None = None,
    grid: str | None = None,
    cube: Path | None = None,
    against: Path | None = None,
    date: str | None = None,
    noise: Noise | None = None,
    bands: Sequence[str] | None = None,
    unit: Unit | None = None,
) -> Report:
    """Draw an ice chart on a scene, a grid or the grid of a cube; or compare charts with a cube.

    Total concentration, and the classes of concentration (SIC), of the dominant stage of development
    (SOD) and of the dominant form (FLOE), as the AI4Arctic scenes have them. Codes that are ambiguous
    are missing, and counted in the file.

    Parameters
    ----------
    chart : sequence of Path
        Ice chart in SIGRID-3: a shapefile (.shp, .zip, .tar) or a GeoPackage (.gpkg); several with
        ``against``.
    output_file : Path
        NetCDF file; beside a scene as ``SCENE_reference.nc``, ``patches`` reads it. Of an image of
        Sentinel-1 the whole scene, ``YYYYMMDDThhmmss_cis_prep.nc``. With ``against`` a table (.csv).
    scene : Path, optional
        Scene, ``*_prep.nc``, on whose pixels the chart is drawn, or an image of Sentinel-1 (SAFE folder,
        its zip, or GeoTIFF), which becomes a scene with its chart.
    grid : str, optional
        Grid instead: n3125, ``EPSG:CODE:STEP:WEST,SOUTH,EAST,NORTH`` or a file to take it from.
    cube : Path, optional
        Cube instead, on whose grid the chart is drawn.
    against : Path, optional
        Cube that the charts are compared with, on its grid and on the days of the charts: bias, area on
        the wrong side of 15 percent and distance of the edges, by class.
    date : str, optional
        Day or time of the chart (UTC), where its name does not say it.
    noise : {"esa", "esa_floor", "none", "nersc"}, optional
        Of an image, what is done about thermal noise, by default esa_floor; of a GeoTIFF, what was done.
        See :func:`seaice.sources.sentinel1.file.open_image`.
    bands : sequence of str, optional
        Of a GeoTIFF, the polarisations of its bands, HH and HV, where it does not name them.
    unit : {"dB", "linear"}, optional
        Of a GeoTIFF, where its values leave doubt.

    Returns
    -------
    Report
        ``values``: ``polygons``, and ``areas``, see
        :func:`seaice.segmentation.charts.label_file.measure_labels`; with ``against`` ``rows``.

    Raises
    ------
    InputError
        If a file cannot be used, there is not one of ``scene``, ``grid``, ``cube`` and ``against``, or
        chart and cells do not meet.
    """
    targets = {"scene": scene, "grid": grid, "cube": cube, "against": against}
    named = [name for name, value in targets.items() if value is not None]
    if len(named) != 1:
        raise InputError(
            "expected one of --scene, --grid, --cube and --against, found "
            f"{' and '.join(f'--{name}' for name in named) or 'none'}"
        )
    charts = [Path(chart)] if isinstance(chart, str | Path) else [Path(path) for path in chart]
    output_file, time = Path(output_file), None if date is None else parse_timestamp(date)
    output = Output("output_file", output_file, "labels" if against is None else "table", COLUMNS)
    check_outputs([output], [*charts, *(Path(p) for p in (scene, cube, against) if p is not None)])
    if against is not None:
        return _compare_charts(charts, Path(against), output_file, time)
    if len(charts) != 1:
        raise InputError(f"expected one --chart, found {len(charts)}; several go with --against")
    options = ImageOptions(noise, tuple(bands) if bands else None, unit)
    drawn = read_chart(charts[0], time)
    if scene is not None and is_image(Path(scene)):
        return _label_image(drawn, Path(scene), output_file, options)
    if options != ImageOptions():
        raise InputError(
            "expected --noise, --bands and --unit with an image of Sentinel-1, found "
            f"{scene or 'no --scene'}; leave them out"
        )
    if scene is not None:
        return _label_scene(drawn, read_scene_pixels(Path(scene)), output_file)
    return _label_grid(drawn, _choose_grid(grid, cube), output_file)


def _choose_grid(grid: str | None, cube: Path | None) -> Grid:
    if grid is not None:
        return parse_grid(grid)
    assert cube is not None
    with CubeFile(cube) as file:
        return file.grid


def _label_scene(chart: IceChart, scene: ScenePixels, output_file: Path) -> Report:
    raster = draw_chart(chart, scene)
    write_scene_labels(output_file, chart, raster, scene, _list_parameters(chart, scene=scene.name))
    return _report_scene(chart, raster, scene, output_file)


def _label_image(chart: IceChart, path: Path, output_file: Path, options: ImageOptions) -> Report:
    """Write an image of Sentinel-1 with its chart as a scene."""
    image, pixels = open_image_pixels(path, options)
    name = check_scene_name(output_file, image)
    raster = draw_chart(chart, pixels)
    write_scene_labels(
        output_file,
        chart,
        raster,
        pixels,
        _list_parameters(chart, scene=image.name, noise=image.noise),
        image_layers=make_image_layers(image),
        image_attributes=describe_image(image, chart, name),
    )
    return _report_scene(chart, raster, pixels, output_file)


def _report_scene(chart: IceChart, raster: ChartRaster, scene: ScenePixels, output_file: Path) -> Report:
    report = _report_labels(chart, raster, output_file, f"the scene {scene.name}")
    share = float((raster.share > 0).mean())
    report.lines.append(f"{100 * share:.1f} percent of the pixels have a concentration")
    if chart.time is not None and scene.start is not None:
        hours = (chart.time - scene.start).total_seconds() / 3600
        report.lines.append(f"chart and scene are {abs(hours):.1f} hours apart")
        if abs(hours) > _MOST_HOURS:
            logger.warning(
                "%s is of %s, the scene %s of %s: ice drifts, and labels lie beside it",
                *(chart.path, format_timestamp(chart.time), scene.name, format_timestamp(scene.start)),
            )
    if scene.has_chart:
        logger.warning("%s holds a chart of its own, which patches reads instead", scene.path)
    return report


def _label_grid(chart: IceChart, grid: Grid, output_file: Path) -> Report:
    day = _choose_day(chart)
    raster = draw_chart(chart, GridCells(grid))
    parameters = _list_parameters(chart, grid=describe_grid(grid))
    write_grid_labels(output_file, chart, raster, grid, day, parameters)
    return _report_labels(chart, raster, output_file, f"the grid {grid}")


def _choose_day(chart: IceChart) -> date:
    if chart.time is None:
        raise InputError(
            f"expected the date of the chart in its name, found {chart.path.name} with the layer "
            f"{chart.layer}; give --date"
        )
    return chart.time.date()


def _list_parameters(chart: IceChart, **target: str) -> dict[str, Any]:
    return {"chart": chart.path.name, "chart_sha256": digest_file(chart.path), **target}


def _report_labels(chart: IceChart, raster: ChartRaster, output_file: Path, where: str) -> Report:
    areas = measure_labels(chart, raster)
    polygons = int((raster.covered > 0).sum())
    report = Report(outputs=[output_file])
    report.values |= {"polygons": polygons, "repaired": chart.repaired, "areas": areas}
    report.lines.append(
        f"{output_file}: {format_count(polygons, 'polygon')} of {chart.path.name} on {where}"
    )
    for name, rows in areas.items():
        texts = [f"{text} {row['km2']:,.0f} km2 ({row['polygons']:g})" for text, row in rows.items()]
        report.lines.append(f"{name}, area and number of polygons: {'; '.join(texts) or 'no sea'}")
    return report


def _compare_charts(
    charts: Sequence[Path], cube: Path, output_file: Path, time: datetime | None
) -> Report:
    if time is not None and len(charts) > 1:
        raise InputError(f"expected one --chart with --date, found {len(charts)}; leave --date out")
    report = Report()
    rows: list[ComparisonRow] = []
    with CubeFile(cube) as file, Progress(total=len(charts), label="charts", logger=logger) as progress:
        for path in charts:
            try:
                chart = read_chart(path, time)
                of_chart = compare_with_cube(chart, file, _choose_day(chart))
            except InputError as error:
                if len(charts) == 1:
                    raise
                report.failed.append(str(error))
                progress.unit(str(error))
                continue
            rows += of_chart
            progress.unit(f"{path.name}: {format_count(of_chart[0].cells, 'cell')}")
            report.lines += [f"{cube.name} less {path.name}, {of_chart[0].day}:", *format_rows(of_chart)]
            distance = of_chart[0].edge_km
            text = "none, one of both has no edge" if np.isnan(distance) else f"{distance:.1f} km"
            report.lines.append(f"mean distance of the ice edges: {text}")
    if rows:
        write_comparison(output_file, rows)
        report.outputs.append(output_file)
    report.values["rows"] = [asdict(row) for row in rows]
    return report
