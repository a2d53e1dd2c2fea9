"""Prediction of a whole scene by a trained model: the map of water and ice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.segmentation.data.inputs import list_channels
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
    LabelRule,
)
from seaice.segmentation.mapping.head_layers import LayerPlan
from seaice.segmentation.mapping.input_scene import MapInput
from seaice.segmentation.mapping.scene_map import (
    LAND,
    MISSING,
    SceneMap,
    find_land,
)
from seaice.segmentation.mapping.scene_projection import expect_image
from seaice.segmentation.mapping.tiles import Predict, iterate_bands
from seaice.segmentation.samples.scene_channels import read_channels

# Pixels along a side.
TILE_SIZE = 224


def classify_surface(layers: Mapping[str, np.ndarray], rule: LabelRule) -> np.ndarray:
    """Classify pixels as water or ice, as scores count them, uint8; missing where layers are NaN.

    Without a layer of concentration or probability ice is what has a type of ice.
    """
    level = layers.get("ice_concentration")
    with np.errstate(invalid="ignore"):
        if level is not None:
            is_ice = np.rint(level * 10) >= rule.first_ice_class
        elif "ice_probability" in layers:
            is_ice = layers["ice_probability"] > 0.5
        else:
            is_ice = next(layer for layer in layers.values() if layer.dtype == np.uint8) > 0
    first = next(layer for layer in layers.values() if layer.dtype != np.uint8)
    surface: np.ndarray = np.where(np.isfinite(first), np.where(is_ice, ICE, WATER), MISSING)
    return surface.astype(np.uint8)


def map_scene(
    scene: MapInput,
    predict: Predict,
    plan: LayerPlan,
    rule: LabelRule,
    *,
    inputs: str = "sar",
    tile: int = TILE_SIZE,
    overlap: int = TILE_SIZE // 4,
    batch_size: int = 8,
    sentinel2: Path | None = None,
) -> SceneMap:
    """Predict a scene; land and pixels without SAR are missing in all layers.

    Parameters
    ----------
    scene : Scene or ScaledImage
    predict : callable
        See :func:`seaice.segmentation.mapping.tiles.iterate_bands`; its channels are the numbers that
        the plan averages.
    plan : LayerPlan
    rule : LabelRule
    inputs : str
        Channels of the images, see :func:`seaice.segmentation.data.inputs.list_channels`.
    tile, overlap, batch_size : int
    sentinel2 : Path, optional
        File of optical images on the pixels of the scene; without it no pixel is seen by them.

    Raises
    ------
    InputError
        If the scene has no valid name, no pixel of water or ice, or no positions of an image.
    """
    start = scene.start
    # Variables that a scene may lack are read before the prediction, which takes long.
    channels = list_channels(inputs)
    pixels, cells = read_channels(scene, channels, sentinel2=sentinel2)
    positions = scene.read_positions()
    expect_image(positions, scene.spacing)
    land, has_sar = find_land(scene), (scene.read_sar() != 0).any(axis=0)
    if not (has_sar & ~land).any():
        raise InputError("expected pixels of water or ice, found all land or without SAR; give another")
    bands = iterate_bands(
        pixels,
        predict,
        coarse=cells,
        has_sar=has_sar,
        size=tile,
        overlap=overlap,
        batch_size=batch_size,
    )
    layers: dict[str, np.ndarray] = {}
    for first, band in bands:
        lines = slice(first, first + band.shape[1])
        band[:, land[lines]] = np.nan
        for name, layer in plan.finish(band).items():
            layers.setdefault(name, np.empty(land.shape, layer.dtype))[lines] = layer
    surface = classify_surface(layers, rule)
    surface[land & has_sar] = LAND
    return SceneMap(surface, layers, positions, start)
