"""Latitude and longitude of SAR pixels, interpolated between geolocation points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seaice.grids.sphere import compute_unit_vectors

# Radius of the sphere whose surface is as large as that of the Earth.
EARTH_RADIUS_METRES = 6371007.2
# A grid of points is transposed only if its pixel spacing fits better by this much (sum of the absolute
# natural logarithms of the ratios to the expected spacing).
_LEAST_GAIN = 0.005


@dataclass(frozen=True)
class Geolocation:
    """Geolocation points of a scene: pixels whose latitude and longitude the file holds.

    Attributes
    ----------
    lines : ndarray of float64, shape (m,)
        Row numbers of the points in the SAR grid, increasing.
    samples : ndarray of float64, shape (n,)
        Column numbers of the points in the SAR grid, increasing.
    latitude, longitude : ndarray of float64, shape (m, n)
        Degrees north and east.
    shape : (int, int)
        Lines and samples of the SAR grid.
    """

    lines: np.ndarray
    samples: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    shape: tuple[int, int]

    def interpolate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Interpolate the latitude and longitude of pixels.

        The interpolation is cubic and in unit vectors, which are continuous at the date line and
        at the poles. Rows of shape (n, 1) with columns of shape (1, m) are computed as a grid,
        which is much faster.

        Parameters
        ----------
        rows, columns : array_like
            Numbers of pixel centres, broadcast together; fractions are allowed.

        Returns
        -------
        latitude, longitude : ndarray of float64
            Degrees; longitude -180..180.
        """
        rows, columns = np.asarray(rows, np.float64), np.asarray(columns, np.float64)
        vectors = compute_unit_vectors(self.latitude, self.longitude)
        x, y, z = (self._fit_spline(component)(rows, columns) for component in vectors)
        length = np.sqrt(x * x + y * y + z * z)
        return np.degrees(np.arcsin(np.clip(z / length, -1, 1))), np.degrees(np.arctan2(y, x))

    def _fit_spline(self, values: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """Fit a spline to values at the points; return the function that evaluates it."""
        from scipy.interpolate import RectBivariateSpline

        degree = (min(3, self.lines.size - 1), min(3, self.samples.size - 1))
        spline = RectBivariateSpline(self.lines, self.samples, values, kx=degree[0], ky=degree[1], s=0)

        def evaluate(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            if rows.ndim == columns.ndim == 2 and rows.shape[1] == columns.shape[0] == 1:
                # The spline evaluates a grid only for ascending coordinates.
                row_order, column_order = np.argsort(rows[:, 0]), np.argsort(columns[0])
                grid = np.empty((rows.size, columns.size))
                grid[np.ix_(row_order, column_order)] = spline(
                    rows[row_order, 0], columns[0, column_order]
                )
                return grid
            return np.asarray(spline.ev(*np.broadcast_arrays(rows, columns)))

        return evaluate


def orient_lines_first(
    latitude: np.ndarray, longitude: np.ndarray, shape: tuple[int, int], pixel_metres: float
) -> tuple[np.ndarray, np.ndarray]:
    """Transpose a grid of geolocation points if its first axis is not that of the SAR lines.

    The dataset names the axis of the samples first, whatever the order of the values, so that the
    names cannot decide. The order is used in which the pixel spacing fits better in both
    directions. If a scene is square and both orders fit, the order of the file is used.

    Parameters
    ----------
    latitude, longitude : ndarray, shape (m, n)
        Degrees.
    shape : (int, int)
        Lines and samples of the SAR grid.
    pixel_metres : float
        Expected distance between pixels.

    Returns
    -------
    latitude, longitude : ndarray, shape (m, n) or (n, m)
        Degrees, with lines along the first axis.
    """
    points = compute_unit_vectors(latitude, longitude)
    first_metres, second_metres = (_measure_extent(points, axis) for axis in (1, 2))

    def measure_misfit(line_metres: float, sample_metres: float) -> float:
        spacings = line_metres / (shape[0] - 1), sample_metres / (shape[1] - 1)
        return float(sum(abs(np.log(max(spacing, 1e-9) / pixel_metres)) for spacing in spacings))

    transposed_misfit = measure_misfit(second_metres, first_metres)
    if transposed_misfit + _LEAST_GAIN < measure_misfit(first_metres, second_metres):
        return latitude.T, longitude.T
    return latitude, longitude


def _measure_extent(points: np.ndarray, axis: int) -> float:
    """Measure the mean length in metres of the rows of points along an axis."""
    steps = np.sqrt((np.diff(points, axis=axis) ** 2).sum(axis=0))
    return float(steps.sum(axis=axis - 1).mean() * EARTH_RADIUS_METRES)
