"""Filling in time, corrected by how observed neighbours departed from the same fill.

The estimate is linear between the nearest observed days before and after, as in
:mod:`seaice.gapfill.temporal`, with three differences. It reaches as far as
``days_back_forward`` can tell. The value of a day d days away is a mean of the cell and the
cells beside it, Gaussian with a variance of ``spread`` x d: what lies between the days has
moved by then. And where cells nearby are observed on the day itself, their mean departure
from the fill in time between the same two days is added, weighted by distance and shrunk
where they are few.

What is left is filled as in :mod:`seaice.gapfill.gaussian`, with a narrower window. A filled
value depends on days up to 12 days away: 9 in time, then 3 around.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from seaice.gapfill import FillStep, Frames
from seaice.gapfill.gaussian import Alpha, Gaussian, Sigma
from seaice.gapfill.hybrid import Hybrid
from seaice.gapfill.temporal import LARGEST_GAP, GapDays, Temporal
from seaice.runtime.options import Range
from seaice.runtime.threads import each_band

# Weight of "no departure" against one neighbour at distance 0.
SHRINKAGE = 0.2
# Neighbours farther away than this many widths hardly count.
_WIDTHS = 2.5


@dataclass(frozen=True, kw_only=True)
class Departure(Hybrid):
    """Fill in time, correct by the neighbours of the same day, fill the rest in space and time.

    Every value lies within the range of its sources. Only observed cells are sources of the
    first step. Cells are flagged as filled in time (``TEMPORAL_...``) where no neighbour could tell
    of a departure, else DEPARTURE_TWO_SIDED or DEPARTURE_ONE_SIDED; both have
    ``days_back_forward``.

    Parameters
    ----------
    spread : float
        Variance of the smearing of a source, cells squared for every day of distance; only
        the cells beside it take part. 0: none.
    neighbour_sigma : float
        Width of the weights of the neighbours' departures, cells. 0: no correction.

    Raises
    ------
    InputError
        For parameters out of range.

    See Also
    --------
    seaice.gapfill.temporal.Temporal : max_gap_days, one_sided_days, past_only.
    seaice.gapfill.gaussian.Gaussian : time_window, space_window, alpha, sigma.

    Examples
    --------
    >>> stack = np.full((3, 1, 3), 50, np.float32)
    >>> stack[1] = [[62, np.nan, 62]]
    >>> filled = Departure().fill(stack, np.ones((1, 3), bool))
    >>> round(float(filled.values[1, 0, 1]), 1), int(filled.flag[1, 0, 1])
    (60.7, 10)
    """

    name: ClassVar[str] = "departure"

    max_gap_days: GapDays = LARGEST_GAP
    one_sided_days: GapDays = LARGEST_GAP
    spread: Annotated[float, Range(0, 100)] = 0.2
    neighbour_sigma: Annotated[float, Range(0, 100, "CELLS")] = 1.5
    alpha: Alpha = 4.0
    sigma: Sigma = 1.5

    def describe(self, kilometres: float) -> str:
        """The three parts of the method in words."""
        cells = self.neighbour_sigma
        return (
            f"{Temporal.describe(self, kilometres)}; smeared by {self.spread:g} cells squared a day, "
            f"corrected by neighbours of the day, sigma {cells:g} cells ({cells * kilometres:.4g} km); "
            f"{Gaussian.describe(self, kilometres)}"
        )

    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The steps of both methods; open water is filled without a look at values."""
        first, *later = super().steps(hole)
        return [first._replace(needs_ice=True), *later]

    def _fill_in_time(self, frames: Frames, t: int) -> None:
        self._fill_cells(frames, t, frames.missing(), self._refilled_gaps())

    def _refilled_gaps(self) -> np.ndarray:
        """Gaps that a later step fills again where there is ice about, by 10 x days back + forward."""
        return np.zeros(256, bool)

    def _fill_cells(self, frames: Frames, t: int, todo: np.ndarray, is_refilled: np.ndarray) -> None:
        from seaice.gapfill import _kernels

        day, cells = frames.day, frames.cells
        observed, near = np.zeros((2, *(-(-n // _kernels.BLOCK) for n in cells.ocean.shape)), np.uint8)
        sources = (frames.values, frames.flag, frames.ice, day.days_back_forward, day.change)
        where = (frames.order, t, cells.index, cells.inner, cells.rows, cells.columns, observed, near)
        limits = (self.max_gap_days, self.one_sided_days)
        rule = (limits, self.past_only, self._smearing(), self._neighbour_weights(), SHRINKAGE)
        each_band(_kernels.departure, len(todo), todo, *sources, *where, *rule, is_refilled)

    def _smearing(self) -> np.ndarray:
        """Weight of the next row or column on a day 0, 1, 2, ... days away (float64)."""
        weights = np.zeros(self.max_gap_days + 1)
        if self.spread > 0:
            weights[1:] = np.exp(-1 / (2 * self.spread * np.arange(1, self.max_gap_days + 1)))
        return weights

    def _neighbour_weights(self) -> np.ndarray:
        """Weights of a departure by distance 0, 1, 2, ... cells (float64)."""
        sigma = self.neighbour_sigma
        if sigma == 0:
            return np.ones(1)
        return np.exp(-(np.arange(np.ceil(_WIDTHS * sigma) + 1) ** 2) / (2 * sigma**2))
