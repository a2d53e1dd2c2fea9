"""Filling in time first, then in space and time for what is left.

Sources of the second stage are observed and temporally filled values, never a value of
the same stage. The pole hole is left to its own rule.
"""

from __future__ import annotations

import numpy as np

from seaice.gapfill import Filled, Stage, fill_stack, gaussian, temporal


def stages(
    *,
    max_gap_days: int = 5,
    one_sided_days: int = temporal.ONE_SIDED_DAYS,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
    hole: np.ndarray | None = None,
) -> list[Stage]:
    """The steps of both methods, one after the other; their parameters."""
    return [
        *temporal.stages(max_gap_days=max_gap_days, one_sided_days=one_sided_days, past_only=past_only),
        *gaussian.stages(
            time_window=time_window,
            space_window=space_window,
            alpha=alpha,
            sigma=sigma,
            past_only=past_only,
            hole=hole,
        ),
    ]


def fill(
    stack: np.ndarray,
    ocean: np.ndarray,
    *,
    max_gap_days: int = 5,
    one_sided_days: int = temporal.ONE_SIDED_DAYS,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
    hole: np.ndarray | None = None,
    days: slice = slice(None),
) -> Filled:
    """Fill in time (:mod:`seaice.gapfill.temporal`), the rest by :mod:`seaice.gapfill.gaussian`.

    Parameters, returns and errors are those of the two methods.

    Examples
    --------
    >>> stack = np.full((3, 1, 3), np.nan, np.float32)
    >>> stack[0], stack[2] = [[10, 20, np.nan]], [[30, 40, np.nan]]
    >>> filled = fill(stack, np.ones((1, 3), bool))
    >>> filled.values[1, 0, :2], filled.flag[1, 0]
    (array([20., 30.], dtype=float32), array([1, 1, 3], dtype=uint8))
    """
    steps = stages(
        max_gap_days=max_gap_days,
        one_sided_days=one_sided_days,
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
        hole=hole,
    )
    return fill_stack(stack, ocean, steps, days)
