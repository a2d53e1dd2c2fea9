"""Errors of an ice edge: areas on its wrong side, and the areas where a probability of ice errs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.cf import ICE_EDGE, is_ice


@dataclass(frozen=True)
class IceEdgeError:
    """Areas between two ice edges, in the unit of the cell areas.

    Attributes
    ----------
    overestimate : float
        Area with ice in the forecast and not in the reference (O).
    underestimate : float
        Area with ice in the reference and not in the forecast (U).
    compared : float
        Area of the cells that have a value in both.
    """

    overestimate: float
    underestimate: float
    compared: float

    @property
    def integrated(self) -> float:
        """Integrated ice-edge error, O + U = absolute extent error + misplacement error."""
        return self.overestimate + self.underestimate

    @property
    def extent_difference(self) -> float:
        """Extent of the forecast less that of the reference, O - U."""
        return self.overestimate - self.underestimate

    @property
    def absolute_extent(self) -> float:
        """Absolute extent error, ``abs(O - U)``."""
        return abs(self.extent_difference)

    @property
    def misplacement(self) -> float:
        """Misplacement error, 2 min(O, U)."""
        return 2 * min(self.overestimate, self.underestimate)


def ice_edge_error(
    forecast: np.ndarray, reference: np.ndarray, area: np.ndarray, threshold: float = ICE_EDGE
) -> IceEdgeError:
    """Compute the integrated ice-edge error of Goessling et al. 2016, doi:10.1002/2015GL067232.

    Parameters
    ----------
    forecast, reference : ndarray of float, same shape
        Concentration as a fraction; NaN is missing. Only cells with a value in both count.
    area : ndarray, same shape
        True area of the cells.
    threshold : float
        A cell is ice from this concentration on (>=, as for the extent, where the paper has
        >), so that ``extent_difference`` is the difference of the two extents.

    Returns
    -------
    IceEdgeError
        All NaN where no cell has a value in both.

    Examples
    --------
    >>> error = ice_edge_error(np.array([1, 1, 1, 0]), np.array([0, 0, 1, 1]), np.ones(4))
    >>> error.overestimate, error.underestimate, error.integrated, error.misplacement
    (2.0, 1.0, 3.0, 2.0)
    """
    common = ~(np.isnan(forecast) | np.isnan(reference))
    if not common.any():
        return IceEdgeError(np.nan, np.nan, 0.0)
    over, under = find_wrong_side(forecast, reference, threshold)
    return IceEdgeError(
        float(area[common & over].sum()), float(area[common & under].sum()), float(area[common].sum())
    )


def find_wrong_side(
    forecast: np.ndarray, reference: np.ndarray, threshold: float = ICE_EDGE
) -> tuple[np.ndarray, np.ndarray]:
    """Find the cells with ice in the forecast alone, and those with ice in the reference alone."""
    ice_forecast, ice_reference = is_ice(forecast, threshold), is_ice(reference, threshold)
    return ice_forecast & ~ice_reference, ice_reference & ~ice_forecast


def compute_spatial_probability_score(
    probability: np.ndarray, reference: np.ndarray, area: np.ndarray, threshold: float = ICE_EDGE
) -> float:
    """Compute the spatial probability score of Goessling and Jung 2018, doi:10.1002/qj.3242.

    It is the integral of the squared errors of the probability of ice, and the integrated ice-edge
    error where all probabilities are 0 or 1.

    Parameters
    ----------
    probability : ndarray of float
        Probability of ice, 0..1; NaN is missing.
    reference : ndarray of float, same shape
        Concentration as a fraction; NaN is missing.
    area : ndarray, same shape
        True area of the cells.
    threshold : float
        A cell of the reference is ice from this concentration on.

    Returns
    -------
    float
        In the unit of the areas; NaN where no cell has a value in both.

    Examples
    --------
    >>> compute_spatial_probability_score(np.array([0.5, 1.0]), np.array([0.9, 0.0]), np.full(2, 8.0))
    10.0
    """
    common = ~(np.isnan(probability) | np.isnan(reference))
    if not common.any():
        return np.nan
    error = probability[common].astype(np.float64) - is_ice(reference[common], threshold)
    return float(np.sum(area[common] * error**2))


def compute_binary_accuracy(
    forecast: np.ndarray, reference: np.ndarray, threshold: float = ICE_EDGE
) -> float:
    """Compute the percentage of cells on the right side of the threshold, all cells alike.

    IceNet (doi:10.1038/s41467-021-25257-4) takes it over the cells of an active region, and so does
    whoever compares with it: over all cells of a grid it is near 100 whatever the forecast.

    Examples
    --------
    >>> compute_binary_accuracy(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.1, np.nan]))
    50.0
    """
    common = ~(np.isnan(forecast) | np.isnan(reference))
    if not common.any():
        return np.nan
    over, under = find_wrong_side(forecast[common], reference[common], threshold)
    return float(100 * (1 - np.mean(over | under)))
