"""Expected error of a filling by modes.

The modes are taken as the background covariance of an optimal interpolation of each map from its
observed cells (Beckers et al. 2006, doi:10.5194/os-2-183-2006): what a map's few values leave open
of the amplitudes of the modes. To it comes what lies outside of the modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def expected_error(
    residual: np.ndarray, spatial: np.ndarray, hidden: np.ndarray, cross_validation_error: float
) -> np.ndarray:
    """Standard error of the estimate of every cell in every map.

    The noise of an observed cell is the variance outside of the modes. As neighbours err alike, a
    map's cells count for less than their number: the noise that the interpolation sees is that
    variance times a factor of at least 1, such that the mean expected variance at the held-out
    cells is their cross-validated one. What no factor can explain scales all variances.

    Parameters
    ----------
    residual : ndarray of float64, shape (cells, maps)
        Observed less fitted value; NaN where nothing is observed.
    spatial : ndarray of float64, shape (cells, modes)
        Spatial modes, each with the standard deviation of its amplitude over the maps.
    hidden : ndarray of bool, shape (cells, maps)
        The cells held out for ``cross_validation_error``.
    cross_validation_error : float
        In the unit of ``residual``.

    Returns
    -------
    ndarray of float64, shape (cells, maps)
    """
    seen = np.isfinite(residual)
    outside = max(float(np.mean(residual[seen] ** 2)), np.finfo(float).tiny)
    maps = range(seen.shape[1])
    known = [spatial[seen[:, t] & ~hidden[:, t]] for t in maps]
    products = [part.T @ part for part in known]
    asked = [spatial[hidden[:, t]] for t in maps]
    wanted = cross_validation_error**2

    def at_held_out(factor: float) -> float:
        open_ = [_open(asked[t], products[t], factor * outside) for t in maps]
        return outside + float(np.mean(np.concatenate(open_)))

    factor = _bisected(at_held_out, wanted)
    scale = wanted / at_held_out(factor)
    made = np.empty(seen.shape)
    for t in maps:
        all_known = spatial[seen[:, t]]
        made[:, t] = outside + _open(spatial, all_known.T @ all_known, factor * outside)
    return np.sqrt(scale * made)


def _open(cells: np.ndarray, product: np.ndarray, noise: float) -> np.ndarray:
    """Variance of the modes at cells that observations leave open, (cells,)."""
    strength, axes = np.linalg.eigh(product)
    share = noise / (np.maximum(strength, 0.0) + noise)
    left: np.ndarray = (cells @ axes) ** 2 @ share
    return left


def _bisected(function: Callable[[float], float], wanted: float) -> float:
    """Where a rising function of a factor from 1 to 1e8 comes to ``wanted``; else the nearer end."""
    low, high = 0.0, 8.0
    for _ in range(40):
        middle = (low + high) / 2
        if function(10.0**middle) < wanted:
            low = middle
        else:
            high = middle
    return float(10.0 ** ((low + high) / 2))
