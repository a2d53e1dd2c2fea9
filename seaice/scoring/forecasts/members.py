"""Scores of ensembles and of probabilities: fair CRPS, spread, ranks, Brier score with its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


def compute_fair_crps(members: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Compute the fair continuous ranked probability score of Ferro 2014, doi:10.1002/qj.2270.

    Its expectation does not depend on the number of members. One member gives the absolute error.

    Parameters
    ----------
    members : ndarray of float, shape (members, ...)
    reference : ndarray of float, shape (...)

    Returns
    -------
    ndarray of float64, shape (...)
        In the unit of the values; NaN where a member or the reference is missing. Below 0 where
        members are farther from each other than from the reference.

    Examples
    --------
    >>> compute_fair_crps(np.array([[0.2], [0.6]]), np.array([0.3])).round(3).tolist()
    [0.0]
    """
    count = len(members)
    values = np.asarray(members, np.float64)
    score: np.ndarray = np.abs(values - reference).mean(axis=0)
    if count == 1:
        return score
    # A step from the k-th smallest to the next lies between k * (m - k) pairs of members.
    pairs = np.arange(1, count) * np.arange(count - 1, 0, -1)
    differences = np.tensordot(pairs, np.diff(np.sort(values, axis=0), axis=0), axes=1)
    return np.asarray(score - differences / (count * (count - 1)))


@dataclass(frozen=True)
class SpreadSkill:
    """Spread of the members against the error of their mean, in bins of equal numbers of cells.

    Attributes
    ----------
    spread : ndarray of float64, shape (bins,)
        Root of the mean variance of the members times (m + 1) / m (Fortin et al. 2014,
        doi:10.1175/JHM-D-14-0008.1): equal to ``error`` for a reliable ensemble.
    error : ndarray of float64, shape (bins,)
        Root mean square error of the mean of the members.
    """

    spread: np.ndarray
    error: np.ndarray


def compare_spread_with_error(
    members: np.ndarray, reference: np.ndarray, area: np.ndarray, bins: int = 10
) -> SpreadSkill:
    """Compare the spread of the members with the error of their mean.

    Parameters
    ----------
    members : ndarray of float, shape (members, cells)
        At least two.
    reference, area : ndarray, shape (cells,)
        Cells that are missing in one of the three do not count.
    bins : int
        Number of bins, from the cells of least to those of most spread.
    """
    values = np.asarray(members, np.float64)
    common = ~np.isnan(values.sum(axis=0) + reference)
    values, truth, weight = values[:, common], reference[common], area[common]
    count = len(values)
    variance = values.var(axis=0, ddof=1) * (count + 1) / count
    square = (values.mean(axis=0) - truth) ** 2
    spread: list[float] = []
    error: list[float] = []
    for part in np.array_split(np.argsort(variance, kind="stable"), bins):
        total = weight[part].sum()
        for means, values_of_cells in ((spread, variance), (error, square)):
            mean = np.sum(weight[part] * values_of_cells[part]) / total if total else np.nan
            means.append(np.sqrt(mean))
    return SpreadSkill(np.array(spread), np.array(error))


def count_ranks(
    members: np.ndarray, reference: np.ndarray, *, generator: np.random.Generator
) -> np.ndarray:
    """Count how many members lie below the reference: the bars of a rank histogram.

    Members equal to the reference get a random order with it. Cells where all members and the
    reference are equal, such as open water far from the ice, say nothing and do not count.

    Parameters
    ----------
    members : ndarray of float, shape (members, cells)
    reference : ndarray of float, shape (cells,)
        Cells with a missing value do not count.
    generator : numpy.random.Generator
        For the order of equal values.

    Returns
    -------
    ndarray of int64, shape (members + 1,)
        Number of cells with 0, 1, ... members below the reference; level for a reliable ensemble.
    """
    common = ~np.isnan(members.sum(axis=0) + reference)
    values, truth = members[:, common], reference[common]
    below, equal = (values < truth).sum(axis=0), (values == truth).sum(axis=0)
    varied = equal < len(members)
    ranks = below[varied] + generator.integers(0, equal[varied] + 1)
    return np.bincount(ranks, minlength=len(members) + 1)


class BrierScore(NamedTuple):
    """Brier score of a probability and its parts (Murphy 1973): reliability - resolution + uncertainty.

    Attributes
    ----------
    score : float
        Mean squared error of the probability.
    reliability : float
        Mean squared difference between the probability and how often the event then happens; best 0.
    resolution : float
        How far these frequencies differ from the mean frequency; better if larger.
    uncertainty : float
        Variance of the event, the same for every forecast.
    probability, frequency, share : ndarray of float64, shape (values,)
        Each probability that was forecast, how often the event then happened, and on what share of
        the area it was forecast: the curve of a reliability diagram.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    probability: np.ndarray
    frequency: np.ndarray
    share: np.ndarray


class ProbabilitySums:
    """Area and area of the event at each probability 0, 1/steps, ... 1; summed over maps.

    Parameters
    ----------
    steps : int
        Number of members where the probability is their share, so that no probability is rounded.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self._sums = np.zeros((3, steps + 1))  # area, area of the event, area times probability
        self._squares = 0.0

    def add(self, probability: np.ndarray, event: np.ndarray, area: np.ndarray) -> None:
        """Add cells: flat arrays of probability 0..1, bool event and area, without missing values."""
        number = np.rint(probability * self.steps).astype(np.intp)
        for row, weight in zip(self._sums, (area, area * event, area * probability), strict=True):
            row += np.bincount(number, weights=weight, minlength=self.steps + 1)
        self._squares += float(np.sum(area * (probability - event) ** 2))

    def compute_brier_score(self) -> BrierScore:
        """Compute the Brier score of all cells added so far; all NaN without a cell."""
        area, event, weighted = self._sums[:, self._sums[0] > 0]
        total = area.sum()
        if not total:
            nothing = np.zeros(0)
            return BrierScore(np.nan, np.nan, np.nan, np.nan, nothing, nothing, nothing)
        probability, frequency, share = weighted / area, event / area, area / total
        mean = event.sum() / total
        return BrierScore(
            self._squares / total,
            float(share @ (probability - frequency) ** 2),
            float(share @ (frequency - mean) ** 2),
            float(mean * (1 - mean)),
            probability,
            frequency,
            share,
        )
