"""Filling in time: each cell from its own nearest observed days.

The rule of the NOAA/NSIDC Climate Data Record of passive microwave sea ice
concentration (Meier et al. 2021, doi:10.7265/efmz-2t65): linear between the nearest
observed day before and after, each at most ``max_gap_days`` away; from one side alone
at most ``one_sided_days``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import numpy as np

from seaice import InputError
from seaice.gapfill import DailyMethod, FillStep, Frames
from seaice.runtime.options import Range
from seaice.runtime.threads import each_band

# The flag days_back_forward holds one decimal digit for either side.
LARGEST_GAP = 9
GapDays = Annotated[int, Range(0, LARGEST_GAP, "DAYS")]


@dataclass(frozen=True, kw_only=True)
class Temporal(DailyMethod):
    """Fill each missing ocean cell from the nearest observed days of the same cell.

    Parameters
    ----------
    max_gap_days : int
        Largest distance to the day before and to the day after, 0 to 9 days.
    one_sided_days : int
        Largest distance where only one side is within reach, 0 to max_gap_days days.
    past_only : bool
        Use earlier days alone (real time).

    Raises
    ------
    InputError
        For parameters out of range.

    Examples
    --------
    >>> stack = np.array([40, np.nan, np.nan, np.nan, np.nan, 80], np.float32).reshape(6, 1, 1)
    >>> filled = Temporal().fill(stack, np.ones((1, 1), bool))
    >>> filled.values[2, 0, 0], filled.days_back_forward[2, 0, 0]
    (np.float32(56.0), np.uint8(23))
    """

    name: ClassVar[str] = "temporal"

    max_gap_days: GapDays = 5
    one_sided_days: GapDays = 3
    past_only: bool = False

    def __post_init__(self) -> None:
        longest = self.max_gap_days
        if longest >= 0 and not 0 <= self.one_sided_days <= longest:
            raise InputError(
                f"one_sided_days must be 0 to max_gap_days ({longest}), found {self.one_sided_days}"
            )
        super().__post_init__()

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """Make the method; a short ``max_gap_days`` lowers the default of ``one_sided_days``."""
        limits = {"one_sided_days": cls.one_sided_days}
        if "max_gap_days" in parameters:
            limits["one_sided_days"] = min(cls.one_sided_days, max(0, parameters["max_gap_days"]))
        return cls(**{**limits, **parameters})

    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The one step of this method."""
        return [FillStep(0, self._fill_in_time, sight=self.max_gap_days)]

    def describe(self, kilometres: float) -> str:
        """The limits in words."""
        return (
            f"in time {self.max_gap_days} days to either side, {self.one_sided_days} from one side alone"
        )

    def _fill_in_time(self, frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        todo, day = frames.missing(), frames.day
        sources = (frames.values, frames.flag, day.days_back_forward, day.change, frames.order, t)
        limits = (self.max_gap_days, self.one_sided_days, self.past_only)
        each_band(_kernels.temporal, len(todo), todo, *sources, *limits)
