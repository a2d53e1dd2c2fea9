"""What a cube says of its days and of itself, whatever it is stored in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seaice import products
from seaice.grids import Grid
from seaice.packing import COUNTED
from seaice.period import Period, day_number
from seaice.spool import Made

PER_DAY = ("missing_ocean_cells", "missing_pole_cells", "filled_ocean_cells", "day_status")


def table_of(days: Sequence[Made]) -> dict[str, np.ndarray | Sequence[str]]:
    """The per-day variables of a run of days, by name."""
    numbers = np.array([day_number(made.record.day) for made in days], np.int32)
    counts = {name: np.array([made.counts[name] for made in days], np.int32) for name in COUNTED}
    filled = np.sum([counts[name] for name in COUNTED[1:7]], axis=0).astype(np.int32)
    return {
        "time": numbers,
        "time_bnds": np.stack([numbers, numbers + 1], axis=1),
        "missing_ocean_cells": counts["missing"],
        "missing_pole_cells": counts["missing_pole_hole"],
        "filled_ocean_cells": filled,
        "day_status": np.array([made.record.status for made in days], np.uint8),
        "day_reason": [made.record.reason for made in days],
        "input_file": [made.record.file for made in days],
        "input_sha256": [made.record.sha256 for made in days],
    }


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
    if "neighbour_sigma" in parameters:
        cells = parameters["neighbour_sigma"]
        words.append(
            f"smeared by {parameters['spread']:g} cells squared a day, corrected by neighbours of "
            f"the day, sigma {cells:g} cells ({cells * grid.kilometres:.4g} km)"
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
