"""Filling in time, corrected by how observed neighbours departed from the same fill.

The estimate is linear between the nearest observed days before and after, as in
:mod:`seaice.gapfill.temporal`, with three differences. It reaches as far as
``days_back_forward`` can tell. The value of a day d days away is a mean of the cell and the
cells beside it, Gaussian with a variance of ``spread`` x d: what lies between the days has
moved by then. And where cells nearby are observed on the day itself, their mean departure
from the fill in time between the same two days is added, weighted by distance and shrunk
where they are few.

What is left is filled as in :mod:`seaice.gapfill.gaussian`, with a narrower window.
"""

from __future__ import annotations

import numpy as np

from seaice import InputError
from seaice.gapfill import Filled, Frames, Stage, fill_stack, gaussian
from seaice.gapfill.temporal import LARGEST_GAP, check_limits
from seaice.runtime.threads import each_band

# Weight of "no departure" against one neighbour at distance 0.
SHRINKAGE = 0.2
# Neighbours farther away than this many widths hardly count.
_WIDTHS = 2.5


def stages(
    *,
    max_gap_days: int = LARGEST_GAP,
    one_sided_days: int = LARGEST_GAP,
    spread: float = 0.2,
    neighbour_sigma: float = 1.5,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 4.0,
    sigma: float = 1.5,
    past_only: bool = False,
    hole: np.ndarray | None = None,
) -> list[Stage]:
    """The steps of this method; the parameters are those of :func:`fill`."""
    check_limits(max_gap_days=max_gap_days, one_sided_days=one_sided_days)
    beside = _beside(spread, max_gap_days)
    weight_s = _neighbour_weights(neighbour_sigma)

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        limits = (max_gap_days, one_sided_days)
        rule = (limits, past_only, beside, weight_s, SHRINKAGE)
        rows = frames.filled.flag.shape[1]
        each_band(_kernels.departure, rows, *frames.filled, frames.order, t, *rule)

    rest = gaussian.stages(
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
        hole=hole,
    )
    return [Stage(max_gap_days, fill_day), *rest]


def fill(
    stack: np.ndarray,
    ocean: np.ndarray,
    *,
    max_gap_days: int = LARGEST_GAP,
    one_sided_days: int = LARGEST_GAP,
    spread: float = 0.2,
    neighbour_sigma: float = 1.5,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 4.0,
    sigma: float = 1.5,
    past_only: bool = False,
    hole: np.ndarray | None = None,
    days: slice = slice(None),
) -> Filled:
    """Fill in time, correct by the neighbours of the same day, fill the rest in space and time.

    Every value lies within the range of its sources. Only observed cells are sources of the
    first step.

    Parameters
    ----------
    stack : ndarray of float32, shape (time, y, x)
        One frame a calendar day; NaN is missing.
    ocean : ndarray of bool, shape (y, x)
        True where cells may be filled and used.
    max_gap_days : int
        Largest distance to the day before and to the day after, 0..9 days.
    one_sided_days : int
        Largest distance where only one side is within reach, 0..max_gap_days days.
    spread : float
        Variance of the smearing of a source, cells squared for every day of distance; only
        the cells beside it take part. 0: none.
    neighbour_sigma : float
        Width of the weights of the neighbours' departures, cells. 0: no correction.
    time_window, space_window, alpha, sigma
        Of :func:`seaice.gapfill.gaussian.fill`: days, cells, cells squared a day squared, cells.
    past_only : bool
        Use the day itself and earlier days alone.
    hole : ndarray of bool, shape (y, x), optional
        Ocean cells that the last step leaves to the rule of the pole hole.
    days : slice
        Frames to return; the others serve as sources.

    Returns
    -------
    Filled
        Flagged as filled in time (TEMPORAL_...) where no neighbour could tell of a departure,
        else DEPARTURE_TWO_SIDED or DEPARTURE_ONE_SIDED; ``days_back_forward`` of both.

    Raises
    ------
    InputError
        For parameters out of range or arrays of the wrong kind.

    Examples
    --------
    >>> stack = np.full((3, 1, 3), 50, np.float32)
    >>> stack[1] = [[62, np.nan, 62]]
    >>> filled = fill(stack, np.ones((1, 3), bool))
    >>> round(float(filled.values[1, 0, 1]), 1), int(filled.flag[1, 0, 1])
    (60.7, 10)
    """
    steps = stages(
        max_gap_days=max_gap_days,
        one_sided_days=one_sided_days,
        spread=spread,
        neighbour_sigma=neighbour_sigma,
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
        hole=hole,
    )
    return fill_stack(stack, ocean, steps, days)


def _beside(spread: float, max_gap_days: int) -> np.ndarray:
    """Weight of the next row or column on a day 0, 1, 2, ... days away (float64)."""
    if not (np.isfinite(spread) and spread >= 0):
        raise InputError(f"expected a spread of at least 0 cells squared a day, found {spread}")
    weights = np.zeros(max_gap_days + 1)
    if spread > 0:
        weights[1:] = np.exp(-1 / (2 * spread * np.arange(1, max_gap_days + 1)))
    return weights


def _neighbour_weights(sigma: float) -> np.ndarray:
    """Weights of a departure by distance 0, 1, 2, ... cells (float64)."""
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"expected a neighbour_sigma of at least 0 cells, found {sigma}")
    if sigma == 0:
        return np.ones(1)
    return np.exp(-(np.arange(np.ceil(_WIDTHS * sigma) + 1) ** 2) / (2 * sigma**2))
