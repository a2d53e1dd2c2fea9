"""Confidence intervals of scores of forecasts that follow each other, by blocks of initial days.

Forecasts from neighbouring days err alike, so that drawing single days makes intervals far too
narrow. Circular moving blocks (Politis and Romano 1992) keep neighbours together, and the forecast
and its reference are drawn as a pair. With few blocks the intervals are still too narrow:
:func:`measure_interval_coverage` measures how often they hold the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.scoring.forecasts.cell_errors import compute_skill

LEVEL = 0.95
FEWEST_BLOCKS = 4  # below it an interval is too narrow by far, and says so
LEAST_BLOCKS = 2  # below it there is none
_LEAST_BLOCK_DAYS = 10

# From how often each initial day is drawn, shape (..., days), to the score of the sample, shape (...).
Statistic = Callable[[np.ndarray], np.ndarray]


class Estimate(NamedTuple):
    """A score with its confidence interval.

    Attributes
    ----------
    value, low, high : float
        ``low`` and ``high`` are NaN where there are fewer than two blocks.
    """

    value: float
    low: float
    high: float


def choose_block_days(lead: int) -> int:
    """Choose the length of the blocks for a lead in days: the lead, and at least ten days."""
    return max(_LEAST_BLOCK_DAYS, lead)


def draw_blocks(days: int, block_days: int, *, samples: int, seed: int) -> np.ndarray:
    """Draw days in circular moving blocks.

    Returns
    -------
    ndarray of int, shape (samples, days)
        Numbers of the drawn days.
    """
    if block_days < 1 or samples < 1:
        raise InputError(f"expected blocks and samples of at least 1, found {block_days}, {samples}")
    blocks = -(-days // block_days)
    starts = np.random.default_rng(seed).integers(0, days, (samples, blocks, 1))
    drawn = (starts + np.arange(block_days)) % days
    return np.asarray(drawn.reshape(samples, -1)[:, :days])


class BlockBootstrap:
    """Bootstrap samples of initial days, the same for all scores, so that differences are paired.

    Parameters
    ----------
    days : int
        Number of initial days, in order.
    block_days : int
        Length of the blocks.
    samples : int
        Number of bootstrap samples.
    seed : int

    Examples
    --------
    >>> squares = np.arange(40.0)
    >>> bootstrap = BlockBootstrap(40, 10)
    >>> estimate = bootstrap.estimate(lambda weights: weights @ squares / weights.sum(axis=-1))
    >>> estimate.value, bool(estimate.low < 19.5 < estimate.high)
    (19.5, True)
    """

    def __init__(self, days: int, block_days: int, *, samples: int = 2000, seed: int = 0) -> None:
        self.days = days
        self.block_days = block_days
        self.blocks = days / block_days
        self._weights: np.ndarray | None = None
        if self.blocks >= LEAST_BLOCKS:
            self._weights = _count_days(days, block_days, samples, seed)

    @property
    def is_short(self) -> bool:
        """Whether there are too few days for intervals that hold what they promise."""
        return self.blocks < FEWEST_BLOCKS

    def estimate(self, statistic: Statistic) -> Estimate:
        """Estimate a score and its 95 percent interval."""
        value = float(statistic(np.ones(self.days)))
        if self._weights is None or np.isnan(value):
            return Estimate(value, np.nan, np.nan)
        tail = 50 * (1 - LEVEL)
        low, high = np.nanpercentile(statistic(self._weights), (tail, 100 - tail))
        return Estimate(value, float(low), float(high))


def measure_interval_coverage(
    *,
    days: int,
    block_days: int,
    correlation: float,
    series: int = 1000,
    samples: int = 1000,
    seed: int = 0,
) -> float:
    """Measure how often the interval of a skill holds the true skill, in simulated series.

    The errors of a forecast and of its reference share part of their ups and downs, and each part
    follows itself from day to day with the correlation. The true skill is 10 percent.

    Parameters
    ----------
    days : int
        Length of the series.
    block_days : int
        Length of the blocks; 1 for plain resampling of days.
    correlation : float
        Correlation of the errors of a day with those of the day before, 0..1.
    series, samples : int
        Number of series and of bootstrap samples of each.
    seed : int

    Returns
    -------
    float
        Percent of the series; 95 would be right.
    """
    shared, first, second = _simulate_errors((3, days, series), correlation, seed)
    reference, forecast = 1 + 0.2 * (shared + first), 0.9 * (1 + 0.2 * (shared + second))
    weights = _count_days(days, block_days, samples, seed)
    skill = compute_skill(weights @ forecast, weights @ reference)
    low, high = np.percentile(skill, (2.5, 97.5), axis=0)
    return float(100 * np.mean((low <= 10) & (high >= 10)))


def _count_days(days: int, block_days: int, samples: int, seed: int) -> np.ndarray:
    """How often each sample draws each day, float64 (samples, days)."""
    drawn = draw_blocks(days, block_days, samples=samples, seed=seed)
    positions = np.arange(samples)[:, np.newaxis] * days + drawn
    counts = np.bincount(positions.ravel(), minlength=samples * days)
    return counts.reshape(samples, days).astype(np.float64)


def _simulate_errors(shape: tuple[int, ...], correlation: float, seed: int) -> np.ndarray:
    """Simulate autoregressive series of variance 1 along the second axis, float64."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).standard_normal(shape)
    noise[:, 1:] *= np.sqrt(1 - correlation**2)
    return np.asarray(lfilter([1.0], [1.0, -correlation], noise, axis=1))
