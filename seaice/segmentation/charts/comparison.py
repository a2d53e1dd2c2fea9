"""A cube of daily concentration beside ice charts: bias, misplaced ice and distance of edges."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cf import is_ice
from seaice.cube.file import CubeFile
from seaice.runtime.atomic_write import atomic
from seaice.scoring.forecasts.ice_edge import ice_edge_error
from seaice.segmentation.charts.cells import GridCells
from seaice.segmentation.charts.label_file import CLASS_NAMES
from seaice.segmentation.charts.raster import ChartRaster, draw_chart
from seaice.segmentation.data.labels import IGNORED
from seaice.segmentation.evaluation.metrics import compute_edge_kilometres, measure_edge_distances
from seaice.sources.ice_chart.chart import LABELS, IceChart

# Least part of a cell of which the chart has to tell the concentration.
LEAST_SHARE = 0.5


@dataclass(frozen=True)
class ComparisonRow:
    """A cube less a chart, over the cells of one class or of all.

    Attributes
    ----------
    chart, day : str
        File of the chart, and day.
    label : str
        ``all``, ``SIC``, ``SOD`` or ``FLOE``.
    class_name : str
        Name of the class; empty for all.
    cells, filled_cells : int
        Number of cells compared, and of those that the cube has not observed.
    area_km2 : float
        Their true area.
    chart_percent, cube_percent, bias_percent, rmse_percent : float
        Mean concentration of both, mean of cube less chart, and root mean square of it; cells weigh by
        their areas.
    over_km2, under_km2 : float
        Area with ice of 15 percent or more in the cube alone, and in the chart alone.
    edge_km : float
        Mean distance between the ice edges, over all cells; NaN for a class, and where one has no edge.
    """

    chart: str
    day: str
    label: str
    class_name: str
    cells: int
    filled_cells: int
    area_km2: float
    chart_percent: float
    cube_percent: float
    bias_percent: float
    rmse_percent: float
    over_km2: float
    under_km2: float
    edge_km: float


COLUMNS = tuple(item.name for item in fields(ComparisonRow))


def compare_with_cube(chart: IceChart, cube: CubeFile, day: date) -> list[ComparisonRow]:
    """Compare a chart with the same day of a cube, on the cells of the cube.

    The concentration of the chart in a cell is the mean of its polygons by area. Cells count where the
    cube has a value and the chart tells the concentration of at least half of the cell.

    Parameters
    ----------
    chart : IceChart
    cube : CubeFile
    day : date

    Returns
    -------
    list of ComparisonRow
        One for all cells, then one for every class that the largest part of a cell has.

    Raises
    ------
    InputError
        If the cube does not have the day, or no cell can be compared.
    """
    number = cube.index(day)
    raster = draw_chart(chart, GridCells(cube.grid))
    values = cube.concentration(number)
    compared = np.isfinite(values) & (raster.share >= LEAST_SHARE) & np.isfinite(raster.concentration)
    if not compared.any():
        raise InputError(
            f"the chart {chart.path} and the cube {cube.path} have no cell in common on {day}; choose "
            "another day"
        )
    filled = np.zeros(values.shape, bool)
    if cube.has("fill_flag"):
        filled = cube.flags(number) != cube.flag_value("observed")
    cells = _Cells(raster, values, compared, filled, cube.grid.cell_area())
    return [ComparisonRow(chart.path.name, str(day), **row) for row in cells.list_rows()]


@dataclass(frozen=True)
class _Cells:
    """Cells of a chart and a cube, ndarrays (rows, columns)."""

    raster: ChartRaster
    values: np.ndarray
    compared: np.ndarray
    filled: np.ndarray
    area: np.ndarray

    def list_rows(self) -> Iterator[dict[str, Any]]:
        """List the values of all rows."""
        overall = self._measure(self.compared)
        yield {"label": "all", "class_name": "", **overall, "edge_km": self._measure_edge()}
        for label in LABELS:
            classes = self.raster.classes[label]
            for value, name in enumerate(CLASS_NAMES[label]):
                selection = self.compared & (classes == value)
                if selection.any():
                    measures = self._measure(selection)
                    yield {"label": label, "class_name": name, **measures, "edge_km": np.nan}

    def _measure(self, selection: np.ndarray) -> dict[str, Any]:
        area = self.area[selection]
        chart = self.raster.concentration[selection].astype(np.float64)
        cube = self.values[selection].astype(np.float64)
        wrong = ice_edge_error(cube, chart, area)

        def average(values: np.ndarray) -> float:
            return float(np.average(values, weights=area))

        return {
            "cells": int(selection.sum()),
            "filled_cells": int((selection & self.filled).sum()),
            "area_km2": float(area.sum()),
            "chart_percent": 100 * average(chart),
            "cube_percent": 100 * average(cube),
            "bias_percent": 100 * average(cube - chart),
            "rmse_percent": 100 * float(np.sqrt(average((cube - chart) ** 2))),
            "over_km2": wrong.overestimate,
            "under_km2": wrong.underestimate,
        }

    def _measure_edge(self) -> float:
        """Measure the mean distance between the edges, kilometres."""
        truth = np.where(self.compared, is_ice(self.raster.concentration), IGNORED).astype(np.uint8)
        distances = measure_edge_distances(truth, is_ice(self.values))
        kilometres = float(np.sqrt(self.area[self.compared].mean()))
        sums = np.array([distances], np.float64)
        return float(compute_edge_kilometres(sums, kilometres)["ice_edge_km"][0])


def write_comparison(path: Path, rows: Sequence[ComparisonRow]) -> None:
    """Write rows as CSV.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([_format_value(getattr(row, name)) for name in COLUMNS])
    with atomic(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")


def _format_value(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4f}"
    return str(value)


def format_rows(rows: Sequence[ComparisonRow]) -> list[str]:
    """Format rows as lines of a table for reading."""
    lines = [
        f"{'':<6}{'':<22}{'cells':>8}{'km2':>11}{'chart %':>9}{'cube %':>8}{'bias':>7}{'RMSE':>7}"
        f"{'over km2':>10}{'under km2':>11}"
    ]
    for row in rows:
        lines.append(
            f"{row.label:<6}{row.class_name:<22}{row.cells:>8}{row.area_km2:>11.0f}"
            f"{row.chart_percent:>9.1f}{row.cube_percent:>8.1f}{row.bias_percent:>+7.1f}"
            f"{row.rmse_percent:>7.1f}{row.over_km2:>10.0f}{row.under_km2:>11.0f}"
        )
    return lines
