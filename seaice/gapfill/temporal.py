"""Filling in time: each cell from its own nearest observed days.

The rule of the NOAA/NSIDC Climate Data Record of passive microwave sea ice
concentration (Meier et al. 2021, doi:10.7265/efmz-2t65): linear between the nearest
observed day before and after, each at most ``max_gap_days`` away; from one side alone
at most ``one_sided_days``.
"""

from __future__ import annotations

import numpy as np

from seaice import InputError
from seaice.gapfill import Filled, Frames, Stage, fill_stack
from seaice.runtime.threads import each_band

# days_back_forward holds one decimal digit for either side.
LARGEST_GAP = 9
ONE_SIDED_DAYS = 3


def stages(
    *, max_gap_days: int = 5, one_sided_days: int = ONE_SIDED_DAYS, past_only: bool = False
) -> list[Stage]:
    """The one step of this method; the parameters are those of :func:`fill`."""
    check_limits(max_gap_days=max_gap_days, one_sided_days=one_sided_days)

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        rows = frames.filled.flag.shape[1]
        limits = (max_gap_days, one_sided_days, past_only)
        each_band(_kernels.temporal, rows, *frames.filled, frames.order, t, *limits)

    return [Stage(max_gap_days, fill_day)]


def fill(
    stack: np.ndarray,
    ocean: np.ndarray,
    *,
    max_gap_days: int = 5,
    one_sided_days: int = ONE_SIDED_DAYS,
    past_only: bool = False,
    days: slice = slice(None),
) -> Filled:
    """Fill each missing ocean cell from the nearest observed days of the same cell.

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
    past_only : bool
        Use earlier days alone (real time).
    days : slice
        Frames to return; the others serve as sources.

    Returns
    -------
    Filled

    Raises
    ------
    InputError
        For limits out of range or arrays of the wrong kind.

    Examples
    --------
    >>> stack = np.array([40, np.nan, np.nan, np.nan, np.nan, 80], np.float32).reshape(6, 1, 1)
    >>> filled = fill(stack, np.ones((1, 1), bool))
    >>> filled.values[2, 0, 0], filled.days_back_forward[2, 0, 0]
    (np.float32(56.0), np.uint8(23))
    """
    steps = stages(max_gap_days=max_gap_days, one_sided_days=one_sided_days, past_only=past_only)
    return fill_stack(stack, ocean, steps, days)


def check_limits(*, max_gap_days: int, one_sided_days: int) -> None:
    """Refuse limits that ``days_back_forward`` could not decode or that contradict each other."""
    if not 0 <= max_gap_days <= LARGEST_GAP:
        raise InputError(f"max_gap_days must be 0 to {LARGEST_GAP}, found {max_gap_days}")
    if not 0 <= one_sided_days <= max_gap_days:
        raise InputError(
            f"one_sided_days must be 0 to max_gap_days ({max_gap_days}), found {one_sided_days}"
        )
