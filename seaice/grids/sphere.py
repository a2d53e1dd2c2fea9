"""Positions in degrees as points of the unit sphere."""

from __future__ import annotations

import numpy as np


def compute_unit_vectors(latitude: np.ndarray, longitude: np.ndarray, *, axis: int = 0) -> np.ndarray:
    """Compute the unit vectors of positions; on an ellipsoid they are its normals there.

    Parameters
    ----------
    latitude, longitude : ndarray of float, one shape
        Degrees north and east; NaN: unknown.
    axis : int
        Axis of the result with x (0 N 0 E), y (0 N 90 E) and z (the north pole).

    Returns
    -------
    ndarray of float64
        The shape of the positions and an axis of length 3; NaN where a position is unknown.

    Examples
    --------
    >>> compute_unit_vectors(np.array([0.0, 90.0]), np.array([90.0, 0.0])).round(9).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    north, east = np.radians(latitude, dtype=np.float64), np.radians(longitude, dtype=np.float64)
    level = np.cos(north)
    return np.stack([level * np.cos(east), level * np.sin(east), np.sin(north)], axis=axis)
