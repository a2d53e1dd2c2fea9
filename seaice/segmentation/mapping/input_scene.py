"""Inputs of a map: scenes of AI4Arctic, and images of Sentinel-1 in the scale of a network."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.drawing.gshhg import find_folder, find_land
from seaice.segmentation.mapping.input_checks import (
    CHANNELS,
    InputFigures,
    check_channels,
    check_figures,
    describe_noise_difference,
    measure_figures,
    measure_swath_steps,
    warn_of_angles,
    warn_of_steps,
)
from seaice.settings import install_command
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.ai4arctic.scene import Scene, list_scenes
from seaice.sources.ai4arctic.tables import SAR_CHANNELS, SCALING
from seaice.sources.sentinel1.file import Noise, is_image, list_images, open_image
from seaice.sources.sentinel1.geotiff_image import Unit
from seaice.sources.sentinel1.image import PIXEL_METRES, Sentinel1Image

logger = logging.getLogger(__name__)

_HH, _HV = SAR_CHANNELS
_ANGLE = "sar_incidenceangle"
# Pixels along a side of the squares that are land or not, far smaller than the cells of GSHHG.
_LAND_STEP = 8


class ImageOptions(NamedTuple):
    """How images are read, see :func:`seaice.sources.sentinel1.file.open_image`."""

    noise: Noise | None = None
    bands: tuple[str, ...] | None = None
    unit: Unit | None = None

    def describe(self) -> dict[str, Any]:
        """Options that are set, as JSON holds them."""
        bands = None if self.bands is None else list(self.bands)
        options = {"noise": self.noise, "bands": bands, "unit": self.unit}
        return {name: value for name, value in options.items() if value is not None}


def list_inputs(path: Path) -> list[Path]:
    """List the scenes and images of a folder, or the only one.

    Raises
    ------
    InputError
        If a folder has none.
    """
    if not path.is_dir() or is_image(path):
        return [path]
    images = list_images(path)
    has_scenes = not images or next(path.rglob("*_prep.nc"), None) is not None
    return [*images, *(list_scenes(path) if has_scenes else [])]


class ScaledImage:
    """An image of Sentinel-1 in the scale of a network, with what a map needs of a scene.

    Parameters
    ----------
    image : Sentinel1Image
    scaling : mapping of str to (float, float)
        Mean and deviation of every channel of the network, as its checkpoint holds them.
    trained_noise : str
        Noise correction of the scenes that the network was trained on.

    Attributes
    ----------
    name, path, start, shape
        Of the image.
    spacing : float
        Metres.
    original : str
        Name of the product.
    figures : InputFigures
    steps : list of float
        Steps of HV at the bounds of the sub-swaths, dB.

    Raises
    ------
    InputError
        If a channel is missing, or the values cannot be those that the network knows.
    """

    spacing = PIXEL_METRES

    def __init__(
        self, image: Sentinel1Image, scaling: Mapping[str, Sequence[float]], trained_noise: str
    ) -> None:
        check_channels(image, tuple(scaling))
        self.image, self._scaling = image, scaling
        self.path, self.name, self.start = image.path, image.path.stem, image.start
        self.shape, self.original = image.shape, str(image.attributes["product"])
        self._trained_noise = trained_noise
        logger.info("%s: positions by %s", image.name, image.residual)
        warn_of_angles(image)
        self.steps = self._check_noise()
        self._sar, self.figures = self._scale()
        logger.info("%s: %s", image.name, self.figures)
        check_figures(image, self.figures)

    def _check_noise(self) -> list[float]:
        """Compare the noise correction with that of the training; returns the steps."""
        image = self.image
        if _HV not in self._scaling:
            return []
        cross, deviation = image.decibels["HV"], float(self._scaling[_HV][1])
        darkest = float(np.nanquantile(cross[::4, ::4], 0.1))
        text = describe_noise_difference(image, self._trained_noise, darkest, deviation)
        if text:
            # The default correction is as near to the published scenes as ESA's noise vectors allow.
            is_usual = (self._trained_noise, image.noise) == ("nersc", "esa_floor")
            logger.log(logging.INFO if is_usual else logging.WARNING, "%s: %s", image.name, text)
        steps = measure_swath_steps(cross, image.swath_bounds)
        warn_of_steps(image, steps, deviation)
        return steps

    def _scale(self) -> tuple[np.ndarray, InputFigures]:
        """Channels HH and HV, 0 without SAR and where the network does not use a channel."""
        sar = np.zeros((len(SAR_CHANNELS), *self.shape), np.float32)
        scaled = {}
        for layer, channel in zip(sar, SAR_CHANNELS, strict=True):
            if channel in self._scaling:
                mean, deviation = self._scaling[channel]
                np.subtract(self.image.decibels[CHANNELS[channel]], np.float32(mean), out=layer)
                layer /= np.float32(deviation)
                scaled[CHANNELS[channel]] = layer
        figures = measure_figures(scaled)
        for layer in scaled.values():
            # 0 would be no SAR.
            layer[layer == 0] = 1e-6
            np.nan_to_num(layer, copy=False, nan=0.0)
        return sar, figures

    def read_sar(self) -> np.ndarray:
        """Read HH and HV, float32 (2, lines, samples); see :class:`ScaledImage`."""
        return self._sar

    def read_incidence(self) -> np.ndarray:
        """Read the scaled incidence angle, float32 (lines, samples)."""
        angle = self.image.interpolate_incidence()
        if angle is None:
            raise InputError(f"expected incidence angles, found none: {self.path}")
        mean, deviation = self._scaling[_ANGLE]
        return np.asarray((angle - mean) / deviation, np.float32)

    def read_distance(self) -> np.ndarray:
        """Zone of distance to land, scaled: zone 0 on land by GSHHG, NaN elsewhere or without its data.

        Cells of GSHHG are 1.25 minutes of arc, 2.3 km from south to north.
        """
        if find_folder() is None:
            logger.warning(
                "%s: land is not masked, its shape is not installed: %s",
                self.image.name,
                install_command("cartopy"),
            )
            return np.broadcast_to(np.float32(np.nan), self.shape)
        rows, columns = (np.arange(0, count, _LAND_STEP) + _LAND_STEP / 2 for count in self.shape)
        latitude, longitude = self.image.positions.interpolate(rows[:, None], columns[None])
        is_land = find_land(latitude, longitude, step=_LAND_STEP * PIXEL_METRES)
        mean, deviation = SCALING["distance_map"]
        zone = np.where(is_land, np.float32(-mean / deviation), np.float32(np.nan))
        lines, samples = self.shape
        return zone.repeat(_LAND_STEP, axis=0)[:lines].repeat(_LAND_STEP, axis=1)[:, :samples]

    def read_amsr2(self) -> np.ndarray:
        """Refuse brightness temperatures, which an image does not hold."""
        raise InputError(f"expected AMSR2, which the network was trained with, found none: {self.path}")

    def read_era5(self) -> np.ndarray:
        """Refuse fields of ERA5, which an image does not hold."""
        raise InputError(f"expected ERA5, which the network was trained with, found none: {self.path}")

    def read_positions(self) -> Geolocation:
        """Positions of the pixels."""
        return self.image.positions

    def describe(self) -> dict[str, Any]:
        """Describe the image and its processing, for the attributes of a map."""
        image = self.image
        attributes = {f"sar_{key}": value for key, value in image.attributes.items()}
        return attributes | {
            "sar_noise_correction": image.noise,
            "sar_noise_correction_of_training": self._trained_noise,
            "sar_pixel_spacing": PIXEL_METRES,
            "sar_positions": str(image.residual),
            "sar_input_figures": str(self.figures),
            "sar_sub_swath_steps": self.steps,
            "land": "not masked" if find_folder() is None else "by GSHHG 2.3 at 1.25 minutes of arc",
        }


MapInput = Scene | ScaledImage


def open_input(path: Path, metadata: Mapping[str, Any], options: ImageOptions) -> MapInput:
    """Open a scene, or an image in the scale of a network.

    Parameters
    ----------
    path : Path
    metadata : mapping
        Of the checkpoint.
    options : ImageOptions

    Raises
    ------
    InputError
        If it cannot be used.
    """
    if not is_image(path):
        if options != ImageOptions():
            raise InputError(
                f"expected --noise, --bands and --unit with an image of Sentinel-1, found {path}; leave "
                "them out"
            )
        return Scene(path)
    image = open_image(path, noise=options.noise, bands=options.bands, unit=options.unit)
    return ScaledImage(image, metadata["scaling"], str(metadata.get("noise", "nersc")))
