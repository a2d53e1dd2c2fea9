"""Images of Sentinel-1 with a chart as scenes for training, in the layout of AI4Arctic.

What an image does not hold (AMSR2, weather, distance to land) the scene does not hold either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.segmentation.charts.cells import ScenePixels
from seaice.segmentation.mapping.input_scene import ImageOptions
from seaice.segmentation.mapping.scene_map import Layer
from seaice.sources.ai4arctic.names import SceneName
from seaice.sources.ai4arctic.tables import SAR_CHANNELS, SCALING
from seaice.sources.ice_chart.chart import IceChart
from seaice.sources.sentinel1.file import open_image
from seaice.sources.sentinel1.image import PIXEL_METRES, Sentinel1Image

_POLARISATIONS = ("HH", "HV")
_ANGLE = "sar_incidenceangle"


def check_scene_name(path: Path, image: Sentinel1Image) -> SceneName:
    """Check that a scene of an image would have the name by which ``patches`` lists it.

    Raises
    ------
    InputError
        If it has another one.
    """
    name = SceneName.parse(path.name)
    if (
        name is None
        or path.name != f"{name.name}.nc"
        or name.start != image.start.replace(microsecond=0)
    ):
        raise InputError(
            f"expected the name {image.start:%Y%m%dT%H%M%S}_cis_prep.nc (or dmi) for a scene of "
            f"{image.name}, found --output_file {path}; patches lists scenes by such names"
        )
    return name


def open_image_pixels(path: Path, options: ImageOptions) -> tuple[Sentinel1Image, ScenePixels]:
    """Open an image and its pixels.

    Raises
    ------
    InputError
        If the image cannot be used, or lacks HH or HV.
    """
    image = open_image(path, noise=options.noise, bands=options.bands, unit=options.unit)
    missing = [name for name in _POLARISATIONS if name not in image.decibels]
    if missing:
        raise InputError(
            f"expected HH and HV, as in the scenes of training, found no {' and no '.join(missing)}: "
            f"{path}"
        )
    return image, ScenePixels(path, image.name, image.positions, PIXEL_METRES, image.start)


def make_image_layers(image: Sentinel1Image) -> dict[str, Layer]:
    """Make the layers of the SAR in the scale of AI4Arctic; 0 where there is no SAR."""
    layers = {}
    for channel, polarisation in zip(SAR_CHANNELS, _POLARISATIONS, strict=True):
        scaled = _scale(channel, image.decibels[polarisation])
        # 0 would be no SAR.
        scaled[scaled == 0] = 1e-6
        stored = np.nan_to_num(scaled, nan=0.0)
        layers[channel] = Layer(stored, _describe_channel(channel, f"sigma nought {polarisation}", "dB"))
        layers[channel].attributes["variable_fill_value"] = np.float32(0)
    angle = image.interpolate_incidence()
    if angle is not None:
        described = _describe_channel(_ANGLE, "incidence angle", "degrees")
        layers[_ANGLE] = Layer(_scale(_ANGLE, angle), described)
    return layers


def _scale(channel: str, values: np.ndarray) -> np.ndarray:
    mean, deviation = SCALING[channel]
    return np.asarray((values - np.float32(mean)) / np.float32(deviation), np.float32)


def _describe_channel(channel: str, quantity: str, unit: str) -> dict[str, Any]:
    mean, deviation = SCALING[channel]
    return {
        "long_name": f"{quantity}, scaled",
        "units": "1",
        "comment": f"(value in {unit} - {mean}) / {deviation}",
    }


def describe_image(image: Sentinel1Image, chart: IceChart, name: SceneName) -> dict[str, Any]:
    """Describe a scene by the global attributes that AI4Arctic files have, and by its processing."""
    original = f"{image.name}_icechart_{chart.layer}.nc"
    raw = SceneName.parse(original)
    is_usual = raw is not None and raw.name == name.name
    return {
        "scene_id": f"{name.name}.nc",
        "original_id": original if is_usual else image.name,
        "ice_service": name.service,
        "flip": 0,
        "pixel_spacing": int(PIXEL_METRES),
        "noise": image.noise,
        **{f"sar_{key}": value for key, value in image.attributes.items()},
    }
