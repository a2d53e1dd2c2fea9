"""The target of a consolidation: the cube to write, put together from finished batches."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from seaice import cf
from seaice.cube import netcdf
from seaice.cube import zarr as cube_zarr
from seaice.cube.batches import Batch, FinishedDay
from seaice.cube.file import CubeFile
from seaice.cube.fill_days import announce, check_current, withdraw
from seaice.cube.recipe import Recipe
from seaice.daily.folder import DailyGrids, DayRecord
from seaice.dates import DateRange, day_number
from seaice.flags import FillFlag
from seaice.runtime.workers import Engine


@dataclass(frozen=True)
class Target:
    """The cube that a run writes.

    Attributes
    ----------
    path : Path
    date_range : DateRange
        The days of the cube.
    lat_lon : bool
        Whether latitude and longitude of every cell are stored.
    append : bool
        Whether the cube is there already and is extended.
    land_mask_file : Path or None
        Named in the history.
    compare_since : date, optional
        An append compares the files from this day on with those that the cube was made of; by default
        those that it reads again.
    """

    path: Path
    date_range: DateRange
    lat_lon: bool
    append: bool
    land_mask_file: Path | None
    compare_since: date | None = None

    @property
    def container(self) -> ModuleType:
        """The module that writes cubes of this ending."""
        return container_of(self.path)

    def attributes(
        self, recipe: Recipe, days: DailyGrids, records: Sequence[DayRecord]
    ) -> dict[str, Any]:
        """Global attributes of the cube; ``records`` are those of the days to write."""
        earlier = None
        if self.append:
            with CubeFile(self.path) as cube:
                earlier = cube.attributes
        attributes = cf.describe_file(
            title="Daily sea ice concentration, gaps filled and flagged",
            summary="Every day of the period on one grid. Each value carries a flag that says whether "
            "it was observed or how it was filled; land and what could not be filled is missing.",
            stage="consolidate",
            parameters=recipe.parameters,
            call={
                "source_dir": days.source_dir,
                "start_date": self.date_range.start,
                "end_date": self.date_range.end,
                "land_mask_file": self.land_mask_file,
            },
            grid=recipe.grid,
            processing_level="Level 4",
            keywords=cf.CONCENTRATION_KEYWORDS,
            **days.describe_source(records, earlier),
        )
        attributes["time_coverage_start"] = f"{self.date_range.start}T00:00:00Z"
        attributes["time_coverage_end"] = f"{self.date_range.end}T23:59:59Z"
        attributes["time_coverage_resolution"] = "P1D"
        attributes["fill_windows"] = recipe.method.describe(recipe.grid.kilometres)
        attributes |= recipe.method.attributes()
        attributes["halo_inputs"] = json.dumps(halo_inputs(days, self.date_range))
        return attributes

    def write(
        self,
        part: Path,
        recipe: Recipe,
        days: DailyGrids,
        batches: Sequence[Batch],
        engine: Engine,
    ) -> None:
        """Put the cube together from batches, beside its place.

        Parameters
        ----------
        part : Path
            Where to write; the caller renames it to ``path``.
        recipe : Recipe
        days : DailyGrids
        batches : sequence of Batch
            Adjacent, up to the last day of the cube; before them come the days of the cube that
            is extended.
        engine : Engine
            Its workers write the days of a Zarr cube, where each day has files of its own.
        """
        records = [day.record for batch in batches for day in batch.days]
        attributes = self.attributes(recipe, days, records)
        if self.append:
            self.container.clone(self.path, part)
        else:
            self.container.create(
                part,
                start=self.date_range.start,
                days=len(self.date_range),
                grid=recipe.grid,
                surface=recipe.surface,
                lat_lon=self.lat_lon,
                attributes=attributes,
                compression=recipe.packing.compression,
            )
        start = day_number(self.date_range.start)
        with self.container.Cube(part) as cube:
            finished = [day for batch in batches for day in batch.days]
            cube.put_table(day_number(finished[0].record.day) - start, table_of(finished))
            if self.append:
                cube.annotate(attributes)
            if engine.is_here or not recipe.packing.zarr:
                for batch in batches:
                    _put(cube, batch, start)
                return
        token, folder = uuid.uuid4().hex, batches[0].path.parent
        announce(folder, token)
        try:
            with engine.start() as workers:
                units = [(token, part, batch.path, start) for batch in batches]
                workers.do(put_batch, units, lambda i, nothing: None)
        finally:
            withdraw(folder)


def container_of(path: Path) -> ModuleType:
    """The module that writes cubes of the ending of this path."""
    return cube_zarr if path.suffix == ".zarr" else netcdf


def halo_inputs(days: DailyGrids, date_range: DateRange) -> dict[str, str]:
    """Signatures of the days outside a cube that are source values of its ends, by ISO date."""
    outside = (day for day in days.period if day not in date_range)
    return {str(day): days.make_signature(day) for day in outside if day in days.files}


def table_of(days: Sequence[FinishedDay]) -> dict[str, np.ndarray | Sequence[str]]:
    """The per-day variables of a run of days, by name."""
    numbers = np.array([day_number(day.record.day) for day in days], np.int32)

    def cells(names: Sequence[str]) -> np.ndarray:
        return np.array([sum(day.counts.get(name, 0) for name in names) for day in days], np.int32)

    return {
        "time": numbers,
        "time_bnds": np.stack([numbers, numbers + 1], axis=1),
        "missing_ocean_cells": cells(["missing"]),
        "missing_pole_cells": cells(["missing_pole_hole"]),
        "filled_ocean_cells": cells([flag.meaning for flag in FillFlag if flag.is_filled]),
        "day_status": np.array([day.record.status for day in days], np.uint8),
        "day_reason": [day.record.reason for day in days],
        "input_file": [day.record.file for day in days],
        "input_sha256": [day.record.sha256 for day in days],
    }


def put_batch(token: str, part: Path, batch: Path, start: int) -> None:
    """Put the days of a batch into a Zarr cube whose axis begins with the day ``start``."""
    check_current(batch.parent, token)
    with cube_zarr.Cube(part) as cube:
        _put(cube, Batch(batch), start)


def _put(cube: cube_zarr.Cube | netcdf.Cube, batch: Batch, start: int) -> None:
    for day, chunks in batch.chunks():
        cube.put_day(day_number(day.record.day) - start, chunks)
