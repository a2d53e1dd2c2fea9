"""Map projection of a SAR scene: which pixel lies at every cell of a regular grid.

A scene has positions at a few geolocation points only. They are projected once, and splines through
them give the map coordinates of every pixel. The inverse, from map coordinates to pixels, is found by
iteration at some cells of the grid and interpolated to all others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seaice import InputError
from seaice.gridding import project
from seaice.grids import Grid
from seaice.grids.sphere import compute_unit_vectors
from seaice.sources.ai4arctic.geolocation import (
    EARTH_RADIUS_METRES,
    Geolocation,
)

# Polar stereographic on WGS 84, true at 70 degrees, which is common for sea ice.
_EPSG_CODES = {"north": 3413, "south": 3976}
_NODE_SPACING = 32  # cells between those where the pixel is found by iteration
_BAND = 512  # rows at a time
_TOLERANCE = 1e-4  # pixels; smaller steps end the iteration
_MOST_STEPS = 60


def expect_image(positions: Geolocation, spacing: float) -> None:
    """Refuse geolocation points that are not those of an image.

    Parameters
    ----------
    positions : Geolocation
    spacing : float
        Expected distance of pixels, metres; half and twice as much are accepted.

    Raises
    ------
    InputError
        If neighbouring points have another distance.
    """
    points = compute_unit_vectors(positions.latitude, positions.longitude)
    pixel_steps = np.diff(positions.lines)[:, None], np.diff(positions.samples)[None]
    for axis, pixels in enumerate(pixel_steps, start=1):
        metres = EARTH_RADIUS_METRES * np.sqrt((np.diff(points, axis=axis) ** 2).sum(axis=0)) / pixels
        if not spacing / 2 <= metres.min() <= metres.max() <= 2 * spacing:
            raise InputError(
                f"expected geolocation points with {spacing:g} m by pixel, found {metres.min():.4g} to "
                f"{metres.max():.4g} m; fetch the scene again"
            )


class SceneProjection:
    """Polar stereographic projection of the pixels of a scene, and its inverse.

    Parameters
    ----------
    positions : Geolocation
        Geolocation points of the scene.
    step : float
        Cell size, metres.

    Attributes
    ----------
    grid : Grid
        Cells around the whole scene, edges at multiples of the step. Row 0 is the smallest y.
    epsg_code : int
        Code of the map projection.
    """

    def __init__(self, positions: Geolocation, step: float = 80.0) -> None:
        from scipy.interpolate import RectBivariateSpline

        self._shape = positions.shape
        self.epsg_code = _EPSG_CODES["north" if float(positions.latitude.mean()) >= 0 else "south"]
        # Coordinates depend on the projection of a grid alone, not on its extent.
        any_grid = Grid("custom", 1, 1, step, 0.0, 0.0, f"EPSG:{self.epsg_code}")
        x, y = project(positions.latitude.ravel(), positions.longitude.ravel(), any_grid)
        shape = positions.latitude.shape
        orders = {"kx": min(3, shape[0] - 1), "ky": min(3, shape[1] - 1), "s": 0}
        self._splines = [
            RectBivariateSpline(positions.lines, positions.samples, values.reshape(shape), **orders)
            for values in (x, y)
        ]
        # A linear fit of the coordinates; its inverse starts and steers the iteration of find_pixels.
        lines, samples = np.meshgrid(positions.lines, positions.samples, indexing="ij")
        design = np.stack([lines.ravel(), samples.ravel(), np.ones(x.size)], axis=1)
        fitted = np.linalg.lstsq(design, np.stack([x, y], axis=1), rcond=None)[0]
        self._inverse = np.linalg.inv(fitted[:2].T)
        self._offset = fitted[2]
        self.grid = self._make_grid(step, any_grid.projection)

    def _make_grid(self, step: float, projection: str) -> Grid:
        """Make a grid around the outline of the scene, half a pixel outside the centres of its edge."""
        last = np.array(self._shape) - 0.5
        lines, samples = (np.linspace(-0.5, end, 200) for end in last)
        sides = [np.broadcast_arrays(lines, sample) for sample in (-0.5, last[1])]
        sides += [np.broadcast_arrays(line, samples) for line in (-0.5, last[0])]
        points = [self.locate_pixels(*side) for side in sides]
        x, y = (np.concatenate([point[k] for point in points]) for k in (0, 1))
        west, south = (float(np.floor(values.min() / step)) * step for values in (x, y))
        columns = int(np.ceil((x.max() - west) / step))
        rows = int(np.ceil((y.max() - south) / step))
        return Grid("custom", rows, columns, step, west, south, projection)

    def locate_pixels(self, lines: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y of pixels, metres; beyond the edges of the scene they go on linearly.

        Parameters
        ----------
        lines, samples : ndarray of float64, same shape
            Whole numbers are centres of pixels.
        """
        rows = np.clip(lines, 0, self._shape[0] - 1)
        columns = np.clip(samples, 0, self._shape[1] - 1)
        down, right = lines - rows, samples - columns
        x, y = (
            spline.ev(rows, columns)
            + down * spline.ev(rows, columns, dx=1)
            + right * spline.ev(rows, columns, dy=1)
            for spline in self._splines
        )
        return x, y

    def find_pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lines and samples, with fractions, at map coordinates; the inverse of :meth:`locate_pixels`.

        Parameters
        ----------
        x, y : ndarray of float64, same shape
            Metres.

        Raises
        ------
        InputError
            If the iteration does not converge: the geolocation points are not those of an image.
        """
        lines, samples = self._inverse @ np.stack([x.ravel(), y.ravel()] - self._offset[:, None])
        for _ in range(_MOST_STEPS):
            reached = self.locate_pixels(lines, samples)
            steps = self._inverse @ np.stack([x.ravel() - reached[0], y.ravel() - reached[1]])
            lines, samples = lines + steps[0], samples + steps[1]
            if np.abs(steps).max() < _TOLERANCE:
                return lines.reshape(x.shape), samples.reshape(x.shape)
        raise InputError(
            "expected geolocation points of an image, found points whose projection has no inverse"
        )

    def resample(self, layers: Sequence[np.ndarray], fill: int = 255) -> list[np.ndarray]:
        """The nearest pixel at every cell of the grid.

        Parameters
        ----------
        layers : sequence of ndarray of uint8, shape (lines, samples)
        fill : int
            Value of cells outside the scene.

        Returns
        -------
        list of ndarray of uint8, shape (rows, columns)
        """
        from scipy.interpolate import RectBivariateSpline

        nodes = [np.linspace(0, n - 1, max(4, -(-n // _NODE_SPACING) + 1)) for n in self.grid.shape]
        ys = self.grid.south + (nodes[0] + 0.5) * self.grid.step
        xs = self.grid.west + (nodes[1] + 0.5) * self.grid.step
        at_nodes = self.find_pixels(*np.meshgrid(xs, ys))
        splines = [RectBivariateSpline(*nodes, values, s=0) for values in at_nodes]
        resampled = [np.full(self.grid.shape, fill, np.uint8) for _ in layers]
        columns = np.arange(self.grid.columns)
        for first in range(0, self.grid.rows, _BAND):
            rows = np.arange(first, min(first + _BAND, self.grid.rows))
            line, sample = (np.rint(spline(rows, columns)).astype(np.int32) for spline in splines)
            inside = (line >= 0) & (line < self._shape[0])
            inside &= (sample >= 0) & (sample < self._shape[1])
            for field, layer in zip(resampled, layers, strict=True):
                field[rows[0] : rows[-1] + 1][inside] = layer[line[inside], sample[inside]]
        return resampled
