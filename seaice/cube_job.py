"""What a consolidation makes: its settings and its job."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import seaice
from seaice.cube_table import cube_attributes
from seaice.daily import DailyGrids
from seaice.gapfill import Method, Stage
from seaice.gapfill.expected_error import ErrorTable
from seaice.grids import Grid
from seaice.masks import Surface
from seaice.packing import Storage
from seaice.period import Period


@dataclass(frozen=True)
class Settings:
    """What a cube depends on besides its input days."""

    method: Method
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
        return self.method.reach(self.parameters)

    def stages(self) -> list[Stage]:
        """The steps of the method, the pole hole last."""
        steps = self.method.stages({**self.parameters, "hole": self.hole})
        if self.fill_pole_hole:
            from seaice.gapfill import pole_hole

            steps.append(pole_hole.stage(self.hole))
        return steps


@dataclass(frozen=True)
class Job:
    """One run: what to make, from which days, where to.

    Attributes
    ----------
    settings : Settings
    days : DailyGrids
        The source; its period is wider than the cube's with ``--halo``.
    period : Period
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
    period: Period
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
        return hashlib.sha256(text.encode()).hexdigest()

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
        return {str(day): self.days.signature(day) for day in outside if day in self.days.files}
