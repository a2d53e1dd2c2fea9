"""Writing a consolidated cube: its variables, day after day, and its attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from seaice import products
from seaice.daily import DayRecord
from seaice.gapfill import Filled
from seaice.grids import Grid
from seaice.period import Period, day_number

TEXT_WIDTH = 160
COUNTED = (
    "observed",
    "temporal_two_sided",
    "temporal_one_sided",
    "spacetime_gaussian",
    "pole_hole",
    "missing",
    "missing_pole_hole",
)
_GRIDDED = ("sea_ice_conc", "fill_flag", "days_back_forward")
_PER_DAY = ("missing_ocean_cells", "missing_pole_cells", "filled_ocean_cells", "day_status")
_TEXTS = ("day_reason", "input_file", "input_sha256")


def create(
    path: Path, *, grid: Grid, surface: np.ndarray, lat_lon: bool, attributes: Mapping[str, Any]
) -> None:
    """Make an empty cube with all its variables; days are added by :class:`CubeWriter`."""
    import netCDF4

    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(dict(attributes))
        products.write_time(dataset)
        products.write_grid(dataset, grid, lat_lon=lat_lon)
        dataset.createDimension("text", TEXT_WIDTH)
        dataset.createDimension("digest", 64)
        products.define(dataset, "surface")[:] = surface
        for name in (*_GRIDDED, *_PER_DAY, *_TEXTS):
            products.define(dataset, name)


class CubeWriter:
    """Writes filled days into a cube, at any position of its time axis.

    Parameters
    ----------
    path : Path
        A cube made by :func:`create`, or a copy of a finished one.
    start : date
        First day of the axis.
    hole : ndarray of bool, shape (rows, columns)
        The pole hole, counted apart.
    """

    def __init__(self, path: Path, *, start: date, hole: np.ndarray) -> None:
        import netCDF4

        self._dataset = netCDF4.Dataset(path, "r+")
        self._dataset.set_auto_maskandscale(False)
        self._dataset.set_auto_chartostring(False)
        self._first = day_number(start)
        self._hole = hole
        self._packed = np.empty(hole.shape, np.int16)
        self._counts = np.empty((hole.shape[0], len(COUNTED)), np.int64)

    def write(self, filled: Filled, record: DayRecord) -> dict[str, int]:
        """Write a day.

        Parameters
        ----------
        filled : Filled
            Of one day, values in percent.
        record : DayRecord

        Returns
        -------
        dict
            The number of cells of every kind in ``COUNTED``.
        """
        from seaice.gapfill import _kernels

        _kernels.pack(
            filled.values,
            filled.flag,
            self._hole,
            0.01 / products.CONCENTRATION_SCALE,
            products.CONCENTRATION_FILL,
            self._packed,
            self._counts,
        )
        counts = dict(zip(COUNTED, map(int, self._counts.sum(axis=0)), strict=True))
        number = day_number(record.day)
        i = number - self._first
        put = self._dataset.variables
        put["time"][i] = number
        put["time_bnds"][i] = [number, number + 1]
        put["sea_ice_conc"][i] = self._packed
        put["fill_flag"][i] = filled.flag
        put["days_back_forward"][i] = filled.days_back_forward
        put["missing_ocean_cells"][i] = counts["missing"]
        put["missing_pole_cells"][i] = counts["missing_pole_hole"]
        put["filled_ocean_cells"][i] = sum(counts[name] for name in COUNTED[1:5])
        put["day_status"][i] = record.status
        put["day_reason"][i] = products.text_row(record.reason, TEXT_WIDTH)
        put["input_file"][i] = products.text_row(record.file, TEXT_WIDTH)
        put["input_sha256"][i] = products.text_row(record.sha256, 64)
        return counts

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._dataset.sync()

    def annotate(self, attributes: Mapping[str, Any]) -> None:
        """Replace global attributes; a ``history`` is put before the one there is."""
        attributes = dict(attributes)
        if "history" in attributes and "history" in self._dataset.ncattrs():
            earlier = self._dataset.getncattr("history")
            if earlier != attributes["history"]:
                attributes["history"] = f"{attributes['history']}\n{earlier}"
        self._dataset.setncatts(attributes)

    def close(self) -> None:
        """Close the file."""
        if self._dataset.isopen():
            self._dataset.close()

    def __enter__(self) -> CubeWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def cube_attributes(
    *, parameters: Mapping[str, Any], call: Mapping[str, Any], grid: Grid, period: Period
) -> dict[str, Any]:
    """Global attributes of a cube; the windows are told in kilometres too."""
    attributes = products.global_attributes(
        title="Daily sea ice concentration, gaps filled and flagged",
        summary="Every day of the period on one grid. Each value carries a flag that says whether "
        "it was observed or how it was filled; land and what could not be filled is missing.",
        source="daily ASI sea ice concentration grids from AMSR2 and AMSR-E, University of Bremen",
        stage="consolidate",
        parameters=parameters,
        call=call,
        references=products.BREMEN_REFERENCES,
    )
    attributes["time_coverage_start"] = f"{period.start}T00:00:00Z"
    attributes["time_coverage_end"] = f"{period.end}T23:59:59Z"
    attributes["time_coverage_resolution"] = "P1D"
    attributes["fill_windows"] = describe_windows(parameters, grid)
    return attributes


def describe_windows(parameters: Mapping[str, Any], grid: Grid) -> str:
    """The reach of a fill in words, in days, cells and kilometres."""
    words = []
    if "max_gap_days" in parameters:
        words.append(
            f"in time {parameters['max_gap_days']} days to either side, "
            f"{parameters['one_sided_days']} from one side alone"
        )
    if "space_window" in parameters:
        cells = parameters["space_window"]
        words.append(
            f"in space and time {cells} cells ({cells * grid.kilometres:.4g} km) and "
            f"{parameters['time_window']} days, sigma {parameters['sigma']:g} cells "
            f"({parameters['sigma'] * grid.kilometres:.4g} km)"
        )
    return "; ".join(words)


def same_parameters(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of parameters would be stored alike."""

    def stored(parameters: Mapping[str, Any]) -> str:
        return json.dumps(parameters, default=str, sort_keys=True)

    return stored(one) == stored(other)
