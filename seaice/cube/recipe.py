"""The recipe of a cube: all that its values depend on besides the files of the days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import seaice
from seaice.cube.packing import Packing
from seaice.daily.land_spillover import Shore, find_shore
from seaice.flags import Surface, is_ocean
from seaice.gapfill import DailyMethod, FillStep
from seaice.gapfill.expected_error import ErrorTable
from seaice.gapfill.pole_hole import pole_hole_step
from seaice.grids import Grid
from seaice.runtime.digests import digest_parts


@dataclass(frozen=True)
class Recipe:
    """How the days of a cube are filled and packed.

    Attributes
    ----------
    method : DailyMethod
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.flags.Surface`.
    pole_hole : {"fill", "keep"}
        Whether the pole hole is filled from its surroundings or stays missing.
    halo : bool
        Whether days outside the date range of the cube are source values.
    error_table : ErrorTable
        Coefficients of the expected errors.
    packing : Packing
    removes_land_spillover : bool
        Whether false ice along shores is set to open water before the days are filled.
    rejects : {"suspicious"}, optional
        Days that are rejected beside those whose files cannot be used.
    """

    method: DailyMethod
    grid: Grid
    surface: np.ndarray
    pole_hole: Literal["fill", "keep"]
    halo: bool
    error_table: ErrorTable
    packing: Packing
    removes_land_spillover: bool = False
    rejects: Literal["suspicious"] | None = None

    @property
    def ocean(self) -> np.ndarray:
        """True where cells are filled and used, bool (rows, columns)."""
        return is_ocean(self.surface)

    @property
    def hole(self) -> np.ndarray:
        """The pole hole, bool (rows, columns)."""
        return self.surface == Surface.POLE_HOLE

    @property
    def shore(self) -> Shore | None:
        """Where false ice is removed; None if it is kept."""
        if not self.removes_land_spillover:
            return None
        # Water without ice in any month is no land, though it is not filled.
        return find_shore(np.isin(self.surface, (Surface.LAND, Surface.LAKE)))

    def steps(self) -> list[FillStep]:
        """The steps of the method, then that of the pole hole."""
        steps = self.method.steps(self.hole)
        return [*steps, pole_hole_step(self.hole)] if self.pole_hole == "fill" else steps

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters that the cube stores; an append must have the same."""
        filtered = {"land_spillover": "removed"} if self.removes_land_spillover else {}
        rejected = {"reject": self.rejects} if self.rejects else {}
        return {
            "method": self.method.name,
            **self.method.parameters,
            **filtered,
            **rejected,
            "pole_hole": self.pole_hole,
            "halo": self.halo,
            "compression": self.packing.compression,
            "surface_sha256": digest_parts([self.surface.tobytes()]),
            "error_table": self.error_table.digest,
        }

    @property
    def fingerprint(self) -> str:
        """Digest of the whole recipe; finished days of another one are not used."""
        parts = [self.parameters, vars(self.packing), vars(self.grid), seaice.__version__]
        return digest_parts([_as_text(parts)])


def are_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two sets of parameters are stored as the same text."""
    return _as_text(one) == _as_text(other)


def _as_text(value: Any) -> str:
    return json.dumps(value, default=str, sort_keys=True)
