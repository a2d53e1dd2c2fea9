"""Differences between two methods on the same cells, with an interval.

Errors of one day go together, and so do those of one outage. The interval comes from a circular
moving-block bootstrap over days (Politis and Romano 1992): whole days are drawn, in blocks of
neighbouring days. With few such blocks it is somewhat too narrow: where 24 runs of days have errors
of their own it holds the truth 87 times in 100, with single days for blocks 57 times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from seaice import InputError

Measure = Literal["rmse", "mae"]

_FEWEST_BLOCKS = 4  # with fewer of them the interval would only look like one


@dataclass(frozen=True)
class PairedDifference:
    """One method less another.

    Attributes
    ----------
    difference : float
        Unit of the field; below 0 the first is better.
    low, high : float
        95 percent interval; NaN where the days are too few for it.
    days : int
    block_days : int
        Length of the blocks.
    cells : int
    """

    difference: float
    low: float
    high: float
    days: int
    block_days: int
    cells: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return bool(self.low > 0 or self.high < 0)


def paired_difference(
    error_one: np.ndarray,
    error_other: np.ndarray,
    day: np.ndarray,
    *,
    measure: Measure = "rmse",
    block_days: int = 5,
    samples: int = 2000,
    seed: int = 0,
) -> PairedDifference:
    """How much better or worse one method is than another.

    Parameters
    ----------
    error_one, error_other : ndarray of float, shape (cells,)
        Fill less truth; cells that are NaN in either are left out.
    day : ndarray of int, shape (cells,)
        Number of the map; days without a cell are passed over.
    measure : {"rmse", "mae"}
    block_days : int
        About one and a half times as long as errors go together, such as the longest outage:
        shorter blocks cut most of them in two.
    samples : int
    seed : int

    Raises
    ------
    InputError
        For an unknown measure, or blocks or samples below 1.

    Examples
    --------
    >>> day = np.repeat(np.arange(30), 2)
    >>> made = paired_difference(np.full(60, 2.0), np.full(60, 3.0), day, block_days=3)
    >>> made.difference, made.low, made.high, made.decided
    (-1.0, -1.0, -1.0, True)
    """
    if measure not in ("rmse", "mae"):
        raise InputError(f"expected the measure rmse or mae, found {measure!r}")
    if block_days < 1 or samples < 1:
        raise InputError(f"expected blocks and samples of at least 1, found {block_days}, {samples}")
    known = np.isfinite(error_one) & np.isfinite(error_other)
    days, place = np.unique(day[known], return_inverse=True)
    power = 2 if measure == "rmse" else 1
    sums = [
        np.bincount(place, weights=np.abs(error[known].astype(np.float64)) ** power, minlength=days.size)
        for error in (error_one, error_other)
    ]
    count = np.bincount(place, minlength=days.size)

    def difference(drawn: np.ndarray) -> np.ndarray:
        cells = count[drawn].sum(axis=-1)
        one, other = (total[drawn].sum(axis=-1) / cells for total in sums)
        return np.sqrt(one) - np.sqrt(other) if measure == "rmse" else one - other

    if not days.size:
        return PairedDifference(np.nan, np.nan, np.nan, 0, block_days, 0)
    whole = float(difference(np.arange(days.size)))
    low = high = np.nan
    blocks = -(-days.size // block_days)
    if days.size >= _FEWEST_BLOCKS * block_days:
        starts = np.random.default_rng(seed).integers(0, days.size, (samples, blocks, 1))
        drawn = (starts + np.arange(block_days)) % days.size
        drawn = drawn.reshape(samples, -1)[:, : days.size]
        low, high = (float(q) for q in np.percentile(difference(drawn), (2.5, 97.5)))
    return PairedDifference(whole, low, high, int(days.size), block_days, int(known.sum()))
