"""Latitude and longitude of SAR pixels from a coarse grid of geolocation points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Radius of the sphere that has the area of the Earth.
EARTH_METRES = 6371007.2
# Pixel spacings of both readings of a grid must differ by so much before it is turned.
_CLEARER = 0.005


@dataclass(frozen=True)
class Geolocation:
    """Geolocation points of a scene.

    Attributes
    ----------
    lines, samples : ndarray of float64, shape (m,), (n,)
        Row and column numbers of the points in the SAR grid, increasing.
    latitude, longitude : ndarray of float64, shape (m, n)
        Degrees north and east.
    shape : (int, int)
        Of the SAR grid.
    """

    lines: np.ndarray
    samples: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    shape: tuple[int, int]

    def at(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of pixels, by cubic interpolation of unit vectors.

        Vectors have neither a date line nor a pole, so that any scene may hold either. Rows of
        shape (n, 1) with columns of shape (1, m) are taken as a grid, which is much faster.

        Parameters
        ----------
        rows, columns : array_like
            Of pixel centres, broadcast together; fractions are allowed.

        Returns
        -------
        latitude, longitude : ndarray of float64
            Degrees; longitude -180..180.
        """
        rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
        vectors = unit_vectors(self.latitude, self.longitude)
        x, y, z = (self._interpolator(part)(rows, columns) for part in vectors)
        length = np.sqrt(x * x + y * y + z * z)
        return np.degrees(np.arcsin(np.clip(z / length, -1, 1))), np.degrees(np.arctan2(y, x))

    def _interpolator(self, part: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        from scipy.interpolate import RectBivariateSpline

        order = (min(3, self.lines.size - 1), min(3, self.samples.size - 1))
        spline = RectBivariateSpline(self.lines, self.samples, part, kx=order[0], ky=order[1], s=0)

        def at(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            if rows.ndim == columns.ndim == 2 and rows.shape[1] == columns.shape[0] == 1:
                order_r, order_c = np.argsort(rows[:, 0]), np.argsort(columns[0])
                made = np.empty((rows.size, columns.size))
                made[np.ix_(order_r, order_c)] = spline(rows[order_r, 0], columns[0, order_c])
                return made
            return np.asarray(spline.ev(*np.broadcast_arrays(rows, columns)))

        return at


def unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Normals of the ellipsoid at places in degrees, float64, shape (3, ...)."""
    phi, lam = np.radians(latitude, dtype=np.float64), np.radians(longitude, dtype=np.float64)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)])


def lines_first(
    latitude: np.ndarray, longitude: np.ndarray, shape: tuple[int, int], pixel_metres: float
) -> tuple[np.ndarray, np.ndarray]:
    """The grid of points with lines down and samples across, turned if it is stored otherwise.

    The dataset names the axis of samples first, whatever its order, so that names prove
    nothing. The order is taken in which the pixels have the spacing they should have in
    both directions; where a scene is square and both fit, the order of the file.

    Parameters
    ----------
    latitude, longitude : ndarray, shape (m, n)
        Degrees.
    shape : (int, int)
        Lines and samples of the SAR grid.
    pixel_metres : float
    """
    points = unit_vectors(latitude, longitude)
    down, across = (_extent(points, axis) for axis in (1, 2))

    def wrong(lines: float, samples: float) -> float:
        spacings = lines / (shape[0] - 1), samples / (shape[1] - 1)
        return float(sum(abs(np.log(max(spacing, 1e-9) / pixel_metres)) for spacing in spacings))

    if wrong(across, down) + _CLEARER < wrong(down, across):
        return latitude.T, longitude.T
    return latitude, longitude


def _extent(points: np.ndarray, axis: int) -> float:
    """Mean length of the lines of points along an axis, metres."""
    steps = np.sqrt((np.diff(points, axis=axis) ** 2).sum(axis=0))
    return float(steps.sum(axis=axis - 1).mean() * EARTH_METRES)
