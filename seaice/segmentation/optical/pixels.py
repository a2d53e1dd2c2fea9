"""Images on the pixels of a scene: each pixel from the best image that shows it without cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seaice.segmentation.charts.cells import ScenePixels
from seaice.sources.sentinel2.bands import CLOUD, NO_DATA, Raster, read_classes, read_reflectance
from seaice.sources.sentinel2.catalogue import Image

# What is seen at a pixel.
MISSING, CLEAR, CLOUDED = 0, 1, 2
MASK_CLASSES = {"no_image": MISSING, "clear": CLEAR, "cloud_or_shadow": CLOUDED}
_NO_IMAGE = 255
_BAND_LINES = 256


@dataclass
class OpticalPixels:
    """Reflectance on the pixels of a scene, as it is put together.

    Attributes
    ----------
    reflectance : dict of str to ndarray of float32, shape (lines, samples)
        By band; NaN where the mask is not clear.
    mask : ndarray of uint8, shape (lines, samples)
        Values of :data:`MASK_CLASSES`.
    source : ndarray of uint8, shape (lines, samples)
        Number of the image in the list; 255 where none is clear.
    """

    reflectance: dict[str, np.ndarray]
    mask: np.ndarray
    source: np.ndarray

    @classmethod
    def make(cls, shape: tuple[int, int], bands: Sequence[str]) -> OpticalPixels:
        """Pixels without an image."""
        reflectance = {band: np.full(shape, np.nan, np.float32) for band in bands}
        return cls(reflectance, np.zeros(shape, np.uint8), np.full(shape, _NO_IMAGE, np.uint8))

    def add(self, scene: ScenePixels, image: Image, number: int) -> int:
        """Take the pixels that an image shows without cloud and no earlier one did; returns how many."""
        classes = read_classes(image)
        window = find_window(scene, classes)
        if window is None:
            return 0
        bands = {band: read_reflectance(image, band) for band in self.reflectance}
        count = 0
        for first in range(window[0].start, window[0].stop, _BAND_LINES):
            rows = np.arange(first, min(first + _BAND_LINES, window[0].stop))
            columns = np.arange(window[1].start, window[1].stop)
            x, y = _project(scene, rows, columns, classes.crs)
            seen = classes.sample(x, y, NO_DATA[0])
            values = {band: raster.sample(x, y, np.nan) for band, raster in bands.items()}
            has_value = ~np.isin(seen, NO_DATA)
            for sampled in values.values():
                has_value &= np.isfinite(sampled)
            part = np.s_[rows[0] : rows[-1] + 1, window[1]]
            is_free = self.mask[part] != CLEAR
            is_cloud = np.isin(seen, CLOUD)
            taken = is_free & has_value & ~is_cloud
            self.mask[part][is_free & has_value & is_cloud] = CLOUDED
            self.mask[part][taken] = CLEAR
            self.source[part][taken] = number
            for band, field in self.reflectance.items():
                field[part][taken] = values[band][taken]
            count += int(np.count_nonzero(taken))
        return count


def find_window(scene: ScenePixels, raster: Raster) -> tuple[slice, slice] | None:
    """Lines and samples that an image may show; None if it lies elsewhere."""
    from pyproj import Transformer

    rows, columns = raster.values.shape
    along = np.linspace(0, 1, 33)
    u, v = (part.ravel() for part in np.meshgrid(along, along))
    x = raster.corner[0] + u * columns * raster.step[0]
    y = raster.corner[1] - v * rows * raster.step[1]
    to_plane = Transformer.from_crs(raster.crs, scene.projection, always_xy=True)
    px, py = to_plane.transform(x, y)
    west, south, east, north = scene.box
    # Positions far from the scene are not those of its pixels.
    near = (px >= west) & (px <= east) & (py >= south) & (py <= north)
    if not near.any():
        return None
    samples, lines = scene.locate(px[near], py[near])
    on_plane = np.isfinite(samples) & np.isfinite(lines)
    if not on_plane.any():
        return None
    parts = []
    for places, count in ((lines[on_plane], scene.shape[0]), (samples[on_plane], scene.shape[1])):
        # Between two points of the raster lie some kilometres of the scene.
        margin = np.ptp(places) / 16 + 64
        first, end = int(max(0, places.min() - margin)), int(min(count, places.max() + margin))
        if first >= end:
            return None
        parts.append(slice(first, end))
    return parts[0], parts[1]


def _project(
    scene: ScenePixels, rows: np.ndarray, columns: np.ndarray, crs: str
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pixels in the projection of an image."""
    from pyproj import Transformer

    latitude, longitude = scene.positions.interpolate(rows[:, None], columns[None])
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(longitude, latitude)
    return np.asarray(x), np.asarray(y)
