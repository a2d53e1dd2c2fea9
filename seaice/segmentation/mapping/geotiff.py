"""A SAR scene on a map: which pixel lies at every cell of a regular grid, and GeoTIFF.

A scene has places at a few geolocation points only. They are projected once; what lies between is
a smooth function, turned round by iteration at some cells and interpolated to all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.gridding import project
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic
from seaice.sources.ai4arctic.geolocation import (
    Geolocation,
    unit_vectors,
)

# Polar stereographic on WGS 84, true at 70 degrees: what geographic software expects of sea ice.
_PLANES = {"north": 3413, "south": 3976}
_NODES = 32  # cells between places where the pixel is sought
_BAND = 512  # rows at a time
_CLOSE = 1e-4  # pixels
EARTH_METRES = 6371007.2
# Keys of a projected plane whose code says all, with values that belong to areas.
_KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1)


def expect_image(positions: Geolocation, spacing: float) -> None:
    """Refuse geolocation points that are not those of an image.

    Parameters
    ----------
    positions : Geolocation
    spacing : float
        What pixels should be apart, metres; half and twice as much is let pass.

    Raises
    ------
    InputError
    """
    points = unit_vectors(positions.latitude, positions.longitude)
    pixels = np.diff(positions.lines)[:, None], np.diff(positions.samples)[None]
    for axis, between in enumerate(pixels, start=1):
        metres = EARTH_METRES * np.sqrt((np.diff(points, axis=axis) ** 2).sum(axis=0)) / between
        if not spacing / 2 <= metres.min() <= metres.max() <= 2 * spacing:
            raise InputError(
                f"expected geolocation points with {spacing:g} m by pixel, found {metres.min():.4g} to "
                f"{metres.max():.4g} m; fetch the scene again"
            )


class ScenePlane:
    """Pixels of a scene and places in a polar stereographic plane, both ways.

    Parameters
    ----------
    positions : Geolocation
        Of the scene.
    step : float
        Cell size, metres.

    Attributes
    ----------
    grid : Grid
        Cells around the whole scene, edges at multiples of the step. Row 0 is the smallest y.
    code : int
        EPSG code of the plane.
    """

    def __init__(self, positions: Geolocation, step: float = 80.0) -> None:
        from scipy.interpolate import RectBivariateSpline

        self._shape = positions.shape
        self.code = _PLANES["north" if float(positions.latitude.mean()) >= 0 else "south"]
        plane = Grid("custom", 1, 1, step, 0.0, 0.0, f"EPSG:{self.code}")
        x, y = project(positions.latitude.ravel(), positions.longitude.ravel(), plane)
        form = positions.latitude.shape
        orders = {"kx": min(3, form[0] - 1), "ky": min(3, form[1] - 1), "s": 0}
        self._splines = [
            RectBivariateSpline(positions.lines, positions.samples, part.reshape(form), **orders)
            for part in (x, y)
        ]
        lines, samples = np.meshgrid(positions.lines, positions.samples, indexing="ij")
        design = np.stack([lines.ravel(), samples.ravel(), np.ones(x.size)], axis=1)
        fitted = np.linalg.lstsq(design, np.stack([x, y], axis=1), rcond=None)[0]
        self._inverse = np.linalg.inv(fitted[:2].T)
        self._offset = fitted[2]
        self.grid = self._around(step, plane.projection)

    def _around(self, step: float, projection: str) -> Grid:
        last = np.array(self._shape) - 0.5
        lines, samples = (np.linspace(-0.5, end, 200) for end in last)
        edge = [(lines, s) for s in (-0.5, last[1])] + [(r, samples) for r in (-0.5, last[0])]
        points = [self.places(*np.broadcast_arrays(*one)) for one in edge]
        x, y = (np.concatenate([point[k] for point in points]) for k in (0, 1))
        west, south = (float(np.floor(v.min() / step)) * step for v in (x, y))
        columns, rows = (int(np.ceil((v.max() - v0) / step)) for v, v0 in ((x, west), (y, south)))
        return Grid("custom", rows, columns, step, west, south, projection)

    def places(self, lines: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates x and y of pixel centres, metres; straight on beyond the edges of the scene."""
        rows, columns = (
            np.clip(v, 0, end - 1) for v, end in zip((lines, samples), self._shape, strict=True)
        )
        down, right = lines - rows, samples - columns
        x, y = (
            spline.ev(rows, columns)
            + down * spline.ev(rows, columns, dx=1)
            + right * spline.ev(rows, columns, dy=1)
            for spline in self._splines
        )
        return x, y

    def pixels(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lines and samples, with fractions, of places in the plane; the inverse of :meth:`places`.

        Raises
        ------
        InputError
            If the geolocation points are not those of an image.
        """
        lines, samples = self._inverse @ np.stack([x.ravel(), y.ravel()] - self._offset[:, None])
        for _ in range(60):
            found = self.places(lines, samples)
            missing = np.stack([x.ravel() - found[0], y.ravel() - found[1]])
            steps = self._inverse @ missing
            lines, samples = lines + steps[0], samples + steps[1]
            if np.abs(steps).max() < _CLOSE:
                return lines.reshape(x.shape), samples.reshape(x.shape)
        raise InputError("expected geolocation points of an image, found none that can be turned round")

    def resample(self, layers: Sequence[np.ndarray], fill: int = 255) -> list[np.ndarray]:
        """The nearest pixel at every cell of the grid.

        Parameters
        ----------
        layers : sequence of ndarray of uint8, shape (lines, samples)
        fill : int
            Where the scene does not reach.

        Returns
        -------
        list of ndarray of uint8, shape (rows, columns)
        """
        from scipy.interpolate import RectBivariateSpline

        nodes = [np.linspace(0, n - 1, max(4, -(-n // _NODES) + 1)) for n in self.grid.shape]
        ys = self.grid.south + (nodes[0] + 0.5) * self.grid.step
        xs = self.grid.west + (nodes[1] + 0.5) * self.grid.step
        wanted = self.pixels(*np.meshgrid(xs, ys))
        splines = [RectBivariateSpline(*nodes, part, s=0) for part in wanted]
        made = [np.full(self.grid.shape, fill, np.uint8) for _ in layers]
        columns = np.arange(self.grid.columns)
        for first in range(0, self.grid.rows, _BAND):
            rows = np.arange(first, min(first + _BAND, self.grid.rows))
            line, sample = (np.rint(spline(rows, columns)).astype(np.int32) for spline in splines)
            inside = (line >= 0) & (line < self._shape[0])
            inside &= (sample >= 0) & (sample < self._shape[1])
            for out, layer in zip(made, layers, strict=True):
                out[rows[0] : rows[-1] + 1][inside] = layer[line[inside], sample[inside]]
        return made


def write_geotiff(
    path: Path,
    field: np.ndarray,
    plane: ScenePlane,
    *,
    colours: Sequence[tuple[int, int, int]] | None = None,
    description: str = "",
) -> None:
    """Write one band of uint8 with its place on the map; 255 is no data.

    Parameters
    ----------
    path : Path
    field : ndarray of uint8, shape (rows, columns)
        On the grid of the plane, row 0 the smallest y; the file is north up.
    plane : ScenePlane
    colours : sequence of (int, int, int), optional
        Red, green and blue of 256 values.
    description : str

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    from PIL import Image, TiffImagePlugin

    grid = plane.grid
    image = Image.fromarray(np.ascontiguousarray(field[::-1]))
    if colours is not None:
        image.putpalette([part for colour in colours for part in colour])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    north = grid.south + grid.rows * grid.step
    for number, kind, value in (
        (270, 2, description),
        (33550, 12, (grid.step, grid.step, 0.0)),
        (33922, 12, (0.0, 0.0, 0.0, grid.west, north, 0.0)),
        (34735, 3, (*_KEYS, plane.code)),
        (42113, 2, "255"),
    ):
        tags.tagtype[number] = kind
        tags[number] = value
    with atomic(path) as part:
        image.save(part, format="TIFF", compression="tiff_adobe_deflate", tiffinfo=tags)
