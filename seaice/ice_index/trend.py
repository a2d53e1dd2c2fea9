"""Straight lines through values of many years, for one series or for all cells of a grid at once.

Neighbouring residuals that are alike tell less than independent ones: n values count as
n (1 - r) / (1 + r), where r is the correlation of the residuals from one value to the next (Santer et
al. 2000, J. Geophys. Res. 105, 7337-7356, eq. 4 to 6, doi:10.1029/1999JD901105).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Lines(NamedTuple):
    """Lines of least squares through columns of values; ndarrays of shape (columns,).

    Attributes
    ----------
    slope : ndarray of float64
        Change in one unit of time.
    middle, mean : ndarray of float64
        Mean time and mean value of a column.
    size : ndarray of int64
        Number of values.
    spread : ndarray of float64
        Sum of the squared distances of the times from their mean.
    squares : ndarray of float64
        Sum of the squared residuals.
    correlation : ndarray of float64
        Of the residuals, from one value to the next; 0 without such pairs.
    """

    slope: np.ndarray
    middle: np.ndarray
    mean: np.ndarray
    size: np.ndarray
    spread: np.ndarray
    squares: np.ndarray
    correlation: np.ndarray


def fit_lines(time: np.ndarray, values: np.ndarray, *, step: float = 1.0) -> Lines:
    """Fit a line of least squares to every column.

    Parameters
    ----------
    time : ndarray of float64, shape (times,)
        Ascending.
    values : ndarray of float64, shape (times, columns)
        NaN is left out; every column has a value.
    step : float
        Time between neighbours; only such pairs tell how alike residuals are.

    Examples
    --------
    >>> lines = fit_lines(np.arange(4.0), np.array([[1.0], [3.0], [5.0], [7.0]]))
    >>> float(lines.slope[0]), float(lines.mean[0]), int(lines.size[0])
    (2.0, 4.0, 4)
    """
    has_value = ~np.isnan(values)
    count = has_value.sum(axis=0)
    own_time = np.where(has_value, time[:, np.newaxis], np.nan)
    middle, mean = np.nanmean(own_time, axis=0), np.nanmean(values, axis=0)
    own_time -= middle
    departure = values - mean
    spread = np.nansum(own_time**2, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.nansum(own_time * departure, axis=0) / spread
    residual = np.where(has_value, departure - slope * own_time, 0.0)
    squares = (residual**2).sum(axis=0)
    # Of the values of a column, not of the rows: without a value there is no neighbour.
    is_next = (np.abs(np.diff(time) - step) < step / 100)[:, np.newaxis] & has_value[1:] & has_value[:-1]
    products = np.where(is_next, residual[1:] * residual[:-1], 0.0).sum(axis=0)
    variance = np.maximum(squares / count, np.finfo(float).tiny)
    correlation = products / np.maximum(is_next.sum(axis=0), 1) / variance
    return Lines(slope, middle, mean, count, spread, squares, correlation)


def count_independent(count: np.ndarray, correlation: np.ndarray) -> np.ndarray:
    """Number of independent values that say as much; ``correlation`` is 0 or more.

    Examples
    --------
    >>> count_independent(np.array([30]), np.array([0.5])).tolist()
    [10.0]
    """
    return count * (1 - correlation) / (1 + correlation)
