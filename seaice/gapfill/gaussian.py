"""Filling from a window in space and time, weighted by a Gaussian.

w = exp(-(dx^2 + dy^2 + alpha dt^2) / (2 sigma^2)) with dx, dy in cells and dt in days;
the value is sum(w v) / sum(w) over the source cells of the window (normalised
convolution, Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np

from seaice.gapfill import DailyMethod, FillStep, Frames
from seaice.runtime.options import Range
from seaice.runtime.threads import each_band

# A cell stays missing where the sum of weights is below this: its sources are too far away.
SMALLEST_WEIGHT = 1e-6
Sigma = Annotated[float, Range(0.01, 1e6, "CELLS")]
Alpha = Annotated[float, Range(0, 1e6)]


@dataclass(frozen=True, kw_only=True)
class Gaussian(DailyMethod):
    """Fill each missing ocean cell with the weighted mean of a space-time window.

    The kernel is separable; it is applied as three one-dimensional passes, only around
    cells that are to be filled: O(window_t + 2 window_s) a cell instead of their product.

    Parameters
    ----------
    time_window : int
        Largest distance in time of the Gaussian window, days.
    space_window : int
        Largest distance along rows and columns of the Gaussian window, cells.
    alpha : float
        Weight of a day against a cell in the Gaussian, cells squared a day squared.
    sigma : float
        Width of the Gaussian, cells.
    past_only : bool
        Use the day itself and earlier days alone.

    Raises
    ------
    InputError
        For parameters out of range.

    Examples
    --------
    >>> stack = np.array([[[10, np.nan, 30]]], np.float32)
    >>> Gaussian().fill(stack, np.ones((1, 3), bool)).values[0, 0]
    array([10., 20., 30.], dtype=float32)
    """

    name: ClassVar[str] = "gaussian"

    time_window: Annotated[int, Range(0, 30, "DAYS")] = 3
    space_window: Annotated[int, Range(0, 500, "CELLS")] = 7
    alpha: Alpha = 15.0
    sigma: Sigma = 7.0
    past_only: bool = False

    def window_weights(self) -> tuple[np.ndarray, np.ndarray]:
        """The factors of the kernel in time and in space, by distance 0, 1, 2, ... (float64)."""
        variance = self.sigma**2
        in_time = np.exp(-self.alpha * np.arange(self.time_window + 1.0) ** 2 / (2 * variance))
        in_space = np.exp(-(np.arange(self.space_window + 1.0) ** 2) / (2 * variance))
        return in_time, in_space

    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The one step of this method."""
        return [FillStep(self.time_window, partial(self._fill_in_window, hole=hole))]

    def describe(self, kilometres: float) -> str:
        """The window in words, in days, cells and kilometres."""
        cells = self.space_window
        return (
            f"in space and time {cells} cells ({cells * kilometres:.4g} km) and {self.time_window} "
            f"days, sigma {self.sigma:g} cells ({self.sigma * kilometres:.4g} km)"
        )

    def _fill_in_window(self, frames: Frames, t: int, *, hole: np.ndarray | None) -> None:
        from seaice.gapfill import _kernels

        todo, cells = frames.missing(), frames.cells
        rows, columns = cells.rows[todo], cells.columns[todo]
        if hole is not None:
            outside = ~hole[rows, columns]
            todo, rows, columns = todo[outside], rows[outside], columns[outside]
        tiles = rows // _kernels.TILE * np.int64(cells.ocean.shape[1]) + columns // _kernels.TILE
        todo = todo[np.argsort(tiles, kind="stable")]
        ends = np.concatenate([[0], np.cumsum(np.unique(tiles, return_counts=True)[1])])
        where = (frames.order, t, self.past_only, cells.index, cells.rows, cells.columns)
        rule = (*self.window_weights(), SMALLEST_WEIGHT)
        each_band(
            _kernels.gaussian, len(ends) - 1, ends, todo, frames.values, frames.flag, *where, *rule
        )
