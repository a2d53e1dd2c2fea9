"""The ASI algorithm: the polarisation difference at 89 GHz alone (Spreen et al. 2008).

Sharp, as the footprint is 4 km, and blind to the difference of ice and weather, so that filters of the
coarser channels decide where there is water. Spreen, Kaleschke, Heygster 2008, doi:10.1029/2005JC003384.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.algorithms.bootstrap import CHANNELS as BOOTSTRAP_CHANNELS
from seaice.retrieval.algorithms.bootstrap import retrieve_bootstrap
from seaice.retrieval.algorithms.gradient_ratio import compute_gradient_ratio
from seaice.retrieval.tie_points import Signatures

CHANNELS = (*BOOTSTRAP_CHANNELS, "89V", "89H")
# Polarisation differences of open water and of closed ice, kelvin.
OPEN_WATER, CLOSED_ICE = 47.0, 11.7
# Gradient ratios of 36.5 and 23.8 to 18.7 GHz, vertical, above which there is no ice.
CLOUD_WATER, WATER_VAPOUR = 0.045, 0.04
# How steeply the concentration follows the difference at both tie points, times the difference.
_SLOPE_AT_WATER, _SLOPE_AT_ICE = -1.14, -0.14


@lru_cache
def solve_cubic(open_water: float = OPEN_WATER, closed_ice: float = CLOSED_ICE) -> tuple[float, ...]:
    """Solve for the coefficients of the concentration as a cubic of the polarisation difference.

    Returns
    -------
    tuple of 4 floats
        Of the cube first.

    Examples
    --------
    >>> [f"{value:.4g}" for value in solve_cubic()]
    ['1.64e-05', '-0.001618', '0.01916', '0.971']
    """
    points = np.array([open_water, closed_ice])
    powers = np.arange(3, -1, -1)
    values = points[:, None] ** powers
    slopes = powers * values  # each times the difference
    right = np.array([0, 1, _SLOPE_AT_WATER, _SLOPE_AT_ICE])
    return tuple(float(v) for v in np.linalg.solve(np.concatenate([values, slopes]), right))


def compute_asi(
    difference: np.ndarray, open_water: float = OPEN_WATER, closed_ice: float = CLOSED_ICE
) -> np.ndarray:
    """Compute the concentration of polarisation differences.

    Parameters
    ----------
    difference : ndarray
        89V - 89H, kelvin.
    open_water, closed_ice : float
        Its tie points.

    Returns
    -------
    ndarray of float32
        0..1 between the tie points; beyond them the line that touches the cubic there.

    Examples
    --------
    >>> [f"{share:.4f}" for share in compute_asi(np.array([25.0, 11.7]))]
    ['0.6950', '1.0000']
    """
    inside = np.clip(difference, closed_ice, open_water)
    slope = np.where(difference > open_water, _SLOPE_AT_WATER / open_water, _SLOPE_AT_ICE / closed_ice)
    cubic = np.polyval(solve_cubic(open_water, closed_ice), inside)
    return np.asarray(cubic + slope * (difference - inside), np.float32)


def retrieve_asi(temperatures: Temperatures, signatures: Signatures) -> Retrieval:
    """Retrieve the concentration by ASI, with its weather filters and that of Bootstrap."""
    concentration = compute_asi(temperatures["89V"] - temperatures["89H"])
    with np.errstate(invalid="ignore"):
        is_open_water = (
            (compute_gradient_ratio(temperatures, "36.5V", "18.7V") > CLOUD_WATER)
            | (compute_gradient_ratio(temperatures, "23.8V", "18.7V") > WATER_VAPOUR)
            | (retrieve_bootstrap(temperatures, signatures).filter() <= 0)
        )
    return Retrieval(concentration, is_open_water)
