"""Difference between the errors of two methods on the same cells, with a confidence interval.

The errors of one day depend on each other, and so do those of one outage. The interval is therefore
computed by a circular moving-block bootstrap over days (Politis and Romano 1992): whole days are
drawn, in blocks of neighbouring days. With few blocks the interval is somewhat too narrow: in a test
with 24 independent runs of days it held the true difference 87 times in 100, and with blocks of
single days 57 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.scoring.forecasts.blocks import FEWEST_BLOCKS, draw_blocks

Measure = Literal["rmse", "mae"]


@dataclass(frozen=True)
class PairedDifference:
    """Error measure of one method minus that of another on the same cells.

    Attributes
    ----------
    difference : float
        Difference in the unit of the field; below 0 the first method is better.
    low, high : float
        95 percent confidence interval; NaN if there are too few days.
    days : int
        Number of days with a cell.
    block_days : int
        Length of the blocks of the bootstrap, days.
    cells : int
        Number of cells that both methods fill.
    """

    difference: float
    low: float
    high: float
    days: int
    block_days: int
    cells: int

    @property
    def decided(self) -> bool:
        """Whether 0 lies outside the interval."""
        return bool(self.low > 0 or self.high < 0)


def compare_paired(
    error: np.ndarray,
    reference_error: np.ndarray,
    day: np.ndarray,
    *,
    measure: Measure = "rmse",
    block_days: int = 5,
    samples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """Compare the errors of two methods on the same cells.

    Parameters
    ----------
    error, reference_error : ndarray of float, shape (cells,)
        Filled value minus true value of each method; a cell that is NaN in one is left out.
    day : ndarray of int, shape (cells,)
        Number of the map of each cell.
    measure : {"rmse", "mae"}
        Error measure to compare: root mean square or mean absolute error.
    block_days : int
        Length of the blocks. It should be about one and a half times the number of days whose errors
        depend on each other, such as the longest outage: shorter blocks cut most of these in two.
    samples : int
        Number of bootstrap samples.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    PairedDifference
        ``error`` minus ``reference_error``.

    Raises
    ------
    InputError
        For an unknown measure, or blocks or samples below 1.

    Examples
    --------
    >>> day = np.repeat(np.arange(30), 2)
    >>> result = compare_paired(np.full(60, 2.0), np.full(60, 3.0), day, block_days=3)
    >>> result.difference, result.low, result.high, result.decided
    (-1.0, -1.0, -1.0, True)
    """
    if measure not in ("rmse", "mae"):
        raise InputError(f"expected the measure rmse or mae, found {measure!r}")
    if block_days < 1 or samples < 1:
        raise InputError(f"expected blocks and samples of at least 1, found {block_days}, {samples}")
    common = np.isfinite(error) & np.isfinite(reference_error)
    days, day_index = np.unique(day[common], return_inverse=True)
    power = 2 if measure == "rmse" else 1
    # Per day: the sums of squared or absolute errors of both methods, and the number of cells.
    sums = [
        np.bincount(
            day_index, weights=np.abs(e[common].astype(np.float64)) ** power, minlength=days.size
        )
        for e in (error, reference_error)
    ]
    count = np.bincount(day_index, minlength=days.size)

    def compute_difference(drawn: np.ndarray) -> np.ndarray:
        """Compute the difference over the drawn days (last axis), which may repeat."""
        cells = count[drawn].sum(axis=-1)
        mean, reference_mean = (total[drawn].sum(axis=-1) / cells for total in sums)
        if measure == "rmse":
            return np.sqrt(mean) - np.sqrt(reference_mean)
        return mean - reference_mean

    if not days.size:
        return PairedDifference(np.nan, np.nan, np.nan, 0, block_days, 0)
    difference = float(compute_difference(np.arange(days.size)))
    low = high = np.nan
    if days.size >= FEWEST_BLOCKS * block_days:
        drawn = draw_blocks(days.size, block_days, samples=samples, seed=seed)
        low, high = (float(q) for q in np.percentile(compute_difference(drawn), (2.5, 97.5)))
    return PairedDifference(difference, low, high, int(days.size), block_days, int(common.sum()))
