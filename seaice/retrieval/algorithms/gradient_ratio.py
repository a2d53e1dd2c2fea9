"""Ratios of brightness temperatures, and the weather filters that are made of them."""

from __future__ import annotations

import numpy as np

from seaice.retrieval.algorithm import Temperatures


def compute_gradient_ratio(temperatures: Temperatures, upper: str, lower: str) -> np.ndarray:
    """Compute the gradient ratio (upper - lower) / (upper + lower) of two channels.

    Examples
    --------
    >>> kelvin = {"36.5V": np.array([225.0]), "18.7V": np.array([230.0])}
    >>> compute_gradient_ratio(kelvin, "36.5V", "18.7V").round(6).tolist()
    [-0.010989]
    """
    high, low = temperatures[upper], temperatures[lower]
    return np.asarray((high - low) / (high + low))
