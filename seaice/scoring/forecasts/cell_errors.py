"""Errors of concentration over the cells of one map, and their means over maps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class CellErrors(NamedTuple):
    """Means over the area of the cells with a value in both forecast and reference.

    Attributes
    ----------
    area : float
        Area of these cells.
    square, absolute, signed : float
        Mean squared, mean absolute and mean error; NaN where there is no cell.
    """

    area: float
    square: float
    absolute: float
    signed: float


def compute_cell_errors(forecast: np.ndarray, reference: np.ndarray, area: np.ndarray) -> CellErrors:
    """Compute the errors of one forecast map, forecast minus reference, weighted by cell area.

    Parameters
    ----------
    forecast, reference : ndarray of float, same shape
        Concentration; NaN is missing. Only cells with a value in both count.
    area : ndarray, same shape
        True area of the cells.

    Examples
    --------
    >>> errors = compute_cell_errors(np.array([0.5, 0.2, 1]), np.array([0.1, 0.2, np.nan]), np.ones(3))
    >>> errors.area, round(errors.square, 3), round(errors.absolute, 3), round(errors.signed, 3)
    (2.0, 0.08, 0.2, 0.2)
    """
    error = forecast.astype(np.float64) - reference
    common = ~np.isnan(error)
    error, weight = error[common], area[common].astype(np.float64)
    total = float(weight.sum())
    if not total:
        return CellErrors(0.0, np.nan, np.nan, np.nan)
    # Sums of products: a product of matrices starts threads, which costs more than it saves.
    return CellErrors(
        total, *(float(np.sum(weight * values)) / total for values in (error**2, np.abs(error), error))
    )


def average_maps(values: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Average the scores of maps over the initial days; a day without a score does not count.

    Parameters
    ----------
    values : ndarray of float, shape (days, leads)
        One score of each map, such as the mean squared error; NaN is missing.
    weights : ndarray, shape (..., days), optional
        How often each day counts, such as how often a bootstrap sample draws it; by default once.

    Returns
    -------
    ndarray of float64, shape (..., leads)
        NaN for a lead without a score.
    """
    has_score = ~np.isnan(values)
    weights = np.ones(len(values)) if weights is None else weights.astype(np.float64, copy=False)
    total, count = weights @ np.where(has_score, values, 0.0), weights @ has_score.astype(np.float64)
    return np.divide(total, count, out=np.full(count.shape, np.nan), where=count > 0)


def compute_root_mean_square_error(
    squares: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the root mean square error by lead and of all leads.

    Squares are averaged over the initial days first, and over the leads for that of all leads; the
    root comes last.

    Parameters
    ----------
    squares : ndarray of float, shape (days, leads)
        Mean squared errors of the maps; NaN is missing.
    weights : ndarray, shape (..., days), optional
        See :func:`average_maps`.

    Returns
    -------
    by_lead : ndarray of float64, shape (..., leads)
    all_leads : ndarray of float64, shape (...)

    Examples
    --------
    >>> by_lead, all_leads = compute_root_mean_square_error(np.array([[1.0, 9.0], [9.0, np.nan]]))
    >>> by_lead.round(3).tolist(), round(float(all_leads), 3)
    ([2.236, 3.0], 2.646)
    """
    means = average_maps(squares, weights)
    return np.sqrt(means), np.sqrt(average_leads(means))


def average_leads(values: np.ndarray) -> np.ndarray:
    """Average over the last axis, the leads; a lead without a score does not count."""
    return np.asarray(average_maps(np.moveaxis(values, -1, 0).reshape(values.shape[-1], -1))).reshape(
        values.shape[:-1]
    )


def compute_skill(score: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Compute the skill of scores whose best value is 0 against those of a reference, in percent.

    100 is perfect, 0 as good as the reference, below 0 worse. Where both are 0 there is none: NaN.

    Examples
    --------
    >>> compute_skill(np.array([3.0, 5.0]), np.array([4.0, 4.0])).tolist()
    [25.0, -25.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        skill = 100 * (1 - np.asarray(score, np.float64) / reference)
    return np.where(np.isfinite(skill), skill, np.nan)
