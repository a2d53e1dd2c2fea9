"""Footprints of the channels, and fields brought from the pixels of one frequency to those of another.

A channel sees the Gaussian mean over its footprint. Before channels are combined the sharper ones are
averaged to the footprint of the least sharp, with a Gaussian whose variance is the difference of theirs.
Smooth fields are interpolated.
"""

from __future__ import annotations

import numpy as np

from seaice.grids.sphere import compute_unit_vectors
from seaice.swaths.orbit import EARTH_RADIUS

# Kilometres along and across the scan, between half powers (JAXA, GCOM-W1 AMSR2 data users' manual).
_SIZES = {
    "6.9": (35, 62),
    "7.3": (34, 58),
    "10.7": (24, 42),
    "18.7": (14, 22),
    "23.8": (15, 26),
    "36.5": (7, 12),
    "89": (3, 5),
}
FOOTPRINTS = {frequency: float(np.sqrt(a * b)) for frequency, (a, b) in _SIZES.items()}
"""Mean diameter of the footprints of a frequency, kilometres."""

_SIGMAS = float(np.sqrt(8 * np.log(2)))  # of a diameter between half powers
_REACH = 3.0  # sigmas
# A narrower Gaussian misses the pixels, which are 5 or 10 kilometres apart: interpolate.
_NARROWEST = 3.0
_MOST_NEIGHBOURS = 4096


def compute_sigma(fine: float, coarse: float) -> float:
    """Width of the Gaussian that makes one footprint of another, kilometres; 0 if it is no sharper.

    Examples
    --------
    >>> round(compute_sigma(3.9, 19.7), 2)
    8.2
    """
    return float(np.sqrt(max(coarse**2 - fine**2, 0.0))) / _SIGMAS


def place_on_sphere(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Kilometres from the centre of the Earth, float64 (3, scans, pixels)."""
    return EARTH_RADIUS * compute_unit_vectors(latitude, longitude)


def average(
    values: np.ndarray,
    position: np.ndarray,
    target: np.ndarray,
    *,
    sigma: float,
    needed: np.ndarray | None = None,
    least: float = 0.5,
) -> np.ndarray:
    """Average fields of a swath about other places, with the weights of a Gaussian on the ground.

    O(places times neighbours).

    Parameters
    ----------
    values : ndarray of float32, shape (fields, scans, pixels)
        NaN where missing.
    position, target : ndarray of float64, shape (3, scans, pixels)
        Of the values and of the results, as of :func:`place_on_sphere`; scans of one number.
    sigma : float
        Kilometres, above 0.
    needed : ndarray of bool, optional
        Results to be computed; others are NaN.
    least : float
        Share of the weight that must be on values; else the result is NaN.

    Returns
    -------
    ndarray of float32, shape (fields, scans, pixels)
        At the targets.
    """
    from seaice.retrieval import _footprint_kernels

    shape = target.shape[1:]
    results = np.empty((len(values), *shape), np.float32)
    _footprint_kernels.average(
        position,
        np.ascontiguousarray(values.reshape(len(values), -1), np.float32),
        target,
        np.ones(shape, bool) if needed is None else needed,
        sigma,
        _REACH * sigma,
        least,
        _MOST_NEIGHBOURS,
        results,
    )
    return results


def interpolate(values: np.ndarray, position: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Interpolate smooth fields of a swath linearly at other places.

    Beyond the edge of the swath the value is that of the edge; NaN where less than half of the weight
    is on values.

    Parameters
    ----------
    values : ndarray of float32, shape (fields, scans, pixels)
    position, target : ndarray of float64, shape (3, scans, pixels)
    """
    from seaice.retrieval import _footprint_kernels

    shape = target.shape[1:]
    rows, columns = np.empty(shape, np.float32), np.empty(shape, np.float32)
    _footprint_kernels.locate(position, target, rows, columns)
    results = np.empty((len(values), rows.size), np.float32)
    _footprint_kernels.interpolate(
        np.ascontiguousarray(values, np.float32), rows.ravel(), columns.ravel(), results
    )
    return results.reshape(len(values), *shape)


def match(
    values: np.ndarray,
    position: np.ndarray,
    target: np.ndarray,
    *,
    fine: float,
    coarse: float,
) -> np.ndarray:
    """Bring fields of one footprint to another footprint and other places.

    Parameters
    ----------
    values : ndarray of float32, shape (fields, scans, pixels)
    position, target : ndarray of float64, shape (3, scans, pixels)
    fine, coarse : float
        Kilometres. A coarser field cannot be made sharper: it is interpolated.
    """
    sigma = compute_sigma(fine, coarse)
    if sigma >= _NARROWEST:
        return average(values, position, target, sigma=sigma)
    return values if position is target else interpolate(values, position, target)


def average_grid(values: np.ndarray, *, sigma: float, least: float = 0.5) -> np.ndarray:
    """Average a field on a grid with the weights of a Gaussian.

    Parameters
    ----------
    values : ndarray of float32, shape (rows, columns)
        NaN where missing.
    sigma : float
        Cells.
    least : float
        Share of the weight that must be on values; else the result is NaN.
    """
    from scipy.ndimage import gaussian_filter

    is_value = np.isfinite(values)
    options = {"sigma": sigma, "truncate": _REACH, "mode": "constant"}
    weights = gaussian_filter(is_value.astype(np.float32), **options)
    sums = gaussian_filter(np.where(is_value, values, np.float32(0)), **options)
    # Beyond the edge there is nothing, which is no reason to be missing.
    full_weights = gaussian_filter(np.ones_like(weights), **options)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weights >= least * full_weights, sums / weights, np.float32(np.nan))
