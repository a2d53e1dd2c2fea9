"""Linear trends over years, with a test that knows that years are alike.

The correlation of a short series is estimated too low; it is corrected to first order for a series whose
trend was taken away (Marriott and Pope 1954, doi:10.1093/biomet/41.3-4.390).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice.ice_index.trend import count_independent, fit_lines

# Trends of fewer years say nothing.
LEAST_YEARS = 10
# Largest p-value of a trend that counts as significant.
SIGNIFICANCE = 0.05
_MOST_CORRELATION = 0.95
_CELLS_AT_ONCE = 1 << 16


class Trend(NamedTuple):
    """Trends of cells; arrays of float32 and int16, shape (cells,).

    Attributes
    ----------
    slope : ndarray
        Change in ten years; NaN with fewer than :data:`LEAST_YEARS` values.
    p_value : ndarray
        Probability of a slope at least as steep without any trend; NaN as the slope.
    years : ndarray
        Number of years with a value.
    """

    slope: np.ndarray
    p_value: np.ndarray
    years: np.ndarray


def compute_trend(values: np.ndarray, years: np.ndarray) -> Trend:
    """Compute the linear trend of every cell.

    Parameters
    ----------
    values : ndarray of float, shape (years, cells)
        NaN is missing.
    years : ndarray of int, shape (years,)
        Ascending.

    Returns
    -------
    Trend

    Examples
    --------
    >>> noise = np.array([1, -1, -1, 1] * 3)
    >>> trend = compute_trend((np.arange(12) + 0.1 * noise)[:, np.newaxis], np.arange(2001, 2013))
    >>> [round(float(part[0]), 3) for part in trend]
    [10.0, 0.0, 12.0]
    """
    count = (~np.isnan(values)).sum(axis=0).astype(np.int16)
    slope, p_value = (np.full(count.shape, np.nan, np.float32) for _ in range(2))
    cells = np.flatnonzero(count >= LEAST_YEARS)
    for begin in range(0, len(cells), _CELLS_AT_ONCE):
        part = cells[begin : begin + _CELLS_AT_ONCE]
        slope[part], p_value[part] = _fit(values[:, part].astype(np.float64), years)
    return Trend(slope, p_value, count)


def _fit(values: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope in ten years and p-value of cells that have enough values."""
    from scipy.special import stdtr

    lines = fit_lines(years.astype(np.float64), values)
    # To first order for a series whose trend was taken away. Years that repel each other add nothing.
    correlation = lines.correlation + (1 + 4 * lines.correlation) / lines.size
    correlation = np.clip(correlation, 0, _MOST_CORRELATION)
    effective = count_independent(lines.size, correlation)
    freedom = np.maximum(effective - 2, 0.1)  # with next to none, no slope is significant
    with np.errstate(divide="ignore", invalid="ignore"):
        score = lines.slope / np.sqrt(lines.squares / freedom / lines.spread)
    # Rounding is no scatter: a constant has no trend, and a straight line is certain.
    scale = np.nansum((values - lines.mean) ** 2, axis=0)
    score[lines.squares <= 1e-12 * scale] = np.inf
    score[scale <= 1e-12 * np.nansum(values**2, axis=0)] = 0.0
    return 10 * lines.slope, 2 * stdtr(freedom, -np.abs(score))
