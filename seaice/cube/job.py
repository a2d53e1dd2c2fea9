"""What a consolidation makes: its settings and its job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import seaice
from seaice import cf
from seaice.cube.batches import FinishedDay
from seaice.cube.packing import (
    COUNTED,
    Storage,
)
from seaice.daily.folder import DailyGrids
from seaice.dates import (
    DateRange,
    day_number,
)
from seaice.flags import Surface
from seaice.gapfill import DailyMethod, FillStep
from seaice.gapfill.expected_error import ErrorTable
from seaice.gapfill.pole_hole import pole_hole_step
from seaice.grids import Grid
from seaice.runtime.digests import digest_parts


@dataclass(frozen=True)
class Settings:
    """What a cube depends on besides its input days."""

    method: DailyMethod
    parameters: dict[str, Any]
    grid: Grid
    surface: np.ndarray
    fill_pole_hole: bool
    error_table: ErrorTable

    @property
    def ocean(self) -> np.ndarray:
        """True where cells are filled and used, bool (rows, columns)."""
        return self.surface != Surface.LAND

    @property
    def hole(self) -> np.ndarray:
        """The pole hole, bool (rows, columns)."""
        return self.surface == Surface.POLE_HOLE

    @property
    def reach(self) -> int:
        """Days to either side that a filled value may depend on."""
        return self.method.reach

    def steps(self) -> list[FillStep]:
        """The steps of the method, the pole hole last."""
        steps = self.method.steps(self.hole)
        return [*steps, pole_hole_step(self.hole)] if self.fill_pole_hole else steps


@dataclass(frozen=True)
class Job:
    """One run: what to make, from which days, where to.

    Attributes
    ----------
    settings : Settings
    days : DailyGrids
        The source; its period is wider than the cube's with ``--halo``.
    period : DateRange
        The days of the cube.
    output_file : Path
    batch_size : int
    storage : Storage
    lat_lon : bool
    land_mask_file : Path or None
        Named in the history.
    """

    settings: Settings
    days: DailyGrids
    period: DateRange
    output_file: Path
    batch_size: int
    storage: Storage
    lat_lon: bool
    land_mask_file: Path | None

    @property
    def fingerprint(self) -> str:
        """Digest of everything but the input that a packed day depends on."""
        told = [
            self.settings.parameters,
            vars(self.storage),
            vars(self.settings.grid),
            seaice.__version__,
        ]
        text = json.dumps(told, default=str, sort_keys=True)
        return digest_parts([text])

    def attributes(self) -> dict[str, Any]:
        """Global attributes of the cube."""
        attributes = cube_attributes(
            parameters=self.settings.parameters,
            grid=self.settings.grid,
            call={
                "source_dir": self.days.source_dir,
                "start_date": self.period.start,
                "end_date": self.period.end,
                "land_mask_file": self.land_mask_file,
            },
            period=self.period,
        )
        attributes["halo_inputs"] = json.dumps(self.halo_inputs())
        return attributes

    def halo_inputs(self) -> dict[str, str]:
        """Digests of the days outside the cube that help to fill its ends, by ISO date."""
        outside = (day for day in self.days.period if day not in self.period)
        return {str(day): self.days.make_signature(day) for day in outside if day in self.days.files}


PER_DAY = ("missing_ocean_cells", "missing_pole_cells", "filled_ocean_cells", "day_status")


def table_of(days: Sequence[FinishedDay]) -> dict[str, np.ndarray | Sequence[str]]:
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
    *, parameters: Mapping[str, Any], call: Mapping[str, Any], grid: Grid, period: DateRange
) -> dict[str, Any]:
    """Global attributes of a cube; the windows are told in kilometres too."""
    attributes = cf.describe_file(
        title="Daily sea ice concentration, gaps filled and flagged",
        summary="Every day of the period on one grid. Each value carries a flag that says whether "
        "it was observed or how it was filled; land and what could not be filled is missing.",
        source="daily ASI sea ice concentration grids from AMSR2 and AMSR-E, University of Bremen",
        stage="consolidate",
        parameters=parameters,
        call=call,
        references=cf.BREMEN_REFERENCES,
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
