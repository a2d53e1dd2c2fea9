"""Filling from a window in space and time, weighted by a Gaussian.

w = exp(-(dx^2 + dy^2 + alpha dt^2) / (2 sigma^2)) with dx, dy in cells and dt in days;
the value is sum(w v) / sum(w) over the observed cells of the window (normalised
convolution, Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
"""

from __future__ import annotations

import numpy as np

from seaice import InputError
from seaice.gapfill import Filled, Frames, Stage, fill_stack
from seaice.runtime.threads import each_band

# Below this sum of weights nothing is said: such sources are too far away.
SMALLEST_WEIGHT = 1e-6


def weights(
    *, time_window: int, space_window: int, alpha: float, sigma: float
) -> tuple[np.ndarray, np.ndarray]:
    """One-dimensional factors of the kernel, by distance 0, 1, 2, ... (float64).

    Raises
    ------
    InputError
        For negative windows, a negative alpha or a sigma that is not positive.
    """
    if time_window < 0 or space_window < 0:
        raise InputError(
            f"time_window and space_window must not be negative, found {time_window} and {space_window}"
        )
    if not (sigma > 0 and np.isfinite(sigma) and alpha >= 0 and np.isfinite(alpha)):
        raise InputError(f"expected sigma above 0 and alpha of at least 0, found {sigma} and {alpha}")
    in_time = np.exp(-alpha * np.arange(time_window + 1.0) ** 2 / (2 * sigma**2))
    in_space = np.exp(-(np.arange(space_window + 1.0) ** 2) / (2 * sigma**2))
    return in_time, in_space


def stages(
    *,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
    hole: np.ndarray | None = None,
) -> list[Stage]:
    """The one step of this method; the parameters are those of :func:`fill`."""
    in_time, in_space = weights(
        time_window=time_window, space_window=space_window, alpha=alpha, sigma=sigma
    )

    outside_hole = None if hole is None else ~hole

    def fill_day(frames: Frames, t: int) -> None:
        from seaice.gapfill import _kernels

        values, flag, *_ = frames.filled
        need = np.ones(flag.shape[1:], bool) if outside_hole is None else outside_hole
        kernel = (in_time, in_space, SMALLEST_WEIGHT)
        each_band(_kernels.gaussian, len(need), values, flag, frames.order, t, past_only, need, *kernel)

    return [Stage(time_window, fill_day)]


def fill(
    stack: np.ndarray,
    ocean: np.ndarray,
    *,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    past_only: bool = False,
    hole: np.ndarray | None = None,
    days: slice = slice(None),
) -> Filled:
    """Fill each missing ocean cell with the weighted mean of a space-time window.

    The kernel is separable; it is applied as three one-dimensional passes, only around
    cells that need a value: O(window_t + 2 window_s) a cell instead of their product.

    Parameters
    ----------
    stack : ndarray of float32, shape (time, y, x)
        One frame a calendar day; NaN is missing.
    ocean : ndarray of bool, shape (y, x)
        True where cells may be filled and used.
    time_window : int
        Largest abs(dt), days.
    space_window : int
        Largest abs(dx) and abs(dy), cells.
    alpha : float
        Weight of a day against a cell, cells squared a day squared.
    sigma : float
        Width, cells.
    past_only : bool
        Use the day itself and earlier days alone.
    hole : ndarray of bool, shape (y, x), optional
        Ocean cells that are sources but not filled (the pole hole has its own rule).
    days : slice
        Frames to return; the others serve as sources.

    Returns
    -------
    Filled

    Raises
    ------
    InputError
        For parameters out of range or arrays of the wrong kind.

    Examples
    --------
    >>> stack = np.array([[[10, np.nan, 30]]], np.float32)
    >>> fill(stack, np.ones((1, 3), bool)).values[0, 0]
    array([10., 20., 30.], dtype=float32)
    """
    steps = stages(
        time_window=time_window,
        space_window=space_window,
        alpha=alpha,
        sigma=sigma,
        past_only=past_only,
        hole=hole,
    )
    return fill_stack(stack, ocean, steps, days)
