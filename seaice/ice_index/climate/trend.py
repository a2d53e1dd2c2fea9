"""Straight lines through yearly or monthly values, with an interval that knows that years are alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice.ice_index.trend import count_independent, fit_lines

LEVEL = 0.95
_LEAST_VALUES = 3


class Trend(NamedTuple):
    """A straight line through values in time.

    Attributes
    ----------
    slope, low, high : float
        Change in one unit of time, and the ends of its 95 percent interval; the ends are NaN where
        the values are too few, or too much alike from one to the next, to bound it.
    middle, value : float
        Mean time and mean value, through which the line runs.
    size : int
        Number of values.
    autocorrelation : float
        Of the residuals, from one value to the next.
    effective_count : float
        Number of independent values that say as much.
    """

    slope: float
    low: float
    high: float
    middle: float
    value: float
    size: int
    autocorrelation: float
    effective_count: float

    def predict(self, time: np.ndarray) -> np.ndarray:
        """Return the values of the line at some times."""
        return self.value + self.slope * (time - self.middle)

    def bound(self, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends of the lines through the middle with slopes of the interval."""
        reach = np.abs(time - self.middle) * (self.high - self.slope)
        return self.predict(time) - reach, self.predict(time) + reach


def fit_trend(time: np.ndarray, values: np.ndarray, *, step: float = 1.0) -> Trend:
    """Fit a straight line by least squares, with the interval of its slope.

    The number of independent values (:mod:`seaice.ice_index.trend`) counts both for the variance of the
    residuals and for the degrees of freedom of Student's t. A negative correlation counts as 0.

    Parameters
    ----------
    time : ndarray of float64, shape (values,)
        Ascending, such as years.
    values : ndarray of float64, shape (values,)
        NaN is left out.
    step : float
        Time between neighbours; only such pairs tell how alike residuals are.

    Returns
    -------
    Trend
        All NaN with fewer than three values.

    Examples
    --------
    >>> trend = fit_trend(np.arange(5.0), np.array([1.0, 3.0, 4.0, 7.0, 9.0]))
    >>> round(trend.slope, 3), round(trend.low, 3), round(trend.high, 3)
    (2.0, 1.48, 2.52)
    """
    from scipy.stats import t as student

    values = np.asarray(values, np.float64)
    count = int(np.count_nonzero(~np.isnan(values)))
    if count < _LEAST_VALUES:
        absent = np.nan
        return Trend(absent, absent, absent, absent, absent, count, absent, absent)
    lines = fit_lines(np.asarray(time, np.float64), values[:, np.newaxis], step=step)
    slope, middle, mean, _, spread, squares, correlation = (float(part[0]) for part in lines)
    correlation = float(np.clip(correlation, -0.99, 0.99))
    effective = float(count_independent(lines.size, np.array([max(correlation, 0.0)]))[0])
    half = np.nan
    if effective > 2:
        error = np.sqrt(squares / (effective - 2) / spread)
        half = float(student.ppf((1 + LEVEL) / 2, effective - 2) * error)
    return Trend(slope, slope - half, slope + half, middle, mean, count, correlation, effective)
