"""Prediction of a whole scene by a trained model: the map of water and ice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
    LabelRule,
)
from seaice.segmentation.mapping.input_scene import MapInput
from seaice.segmentation.mapping.scene_map import (
    LAND,
    MISSING,
    SceneMap,
    find_land,
)
from seaice.segmentation.mapping.scene_projection import expect_image
from seaice.segmentation.mapping.tiles import (
    Predict,
    blend_tiles,
)

if TYPE_CHECKING:
    from seaice.segmentation.networks.checkpoint import TrainedModel

# Layers of the map, by the task of the network.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "classes": ("ice_probability",),
    "sic": ("ice_probability", "ice_concentration"),
    "sic-regression": ("ice_concentration",),
}
# Pixels along a side.
TILE_SIZE = 224


def make_predictor(model: TrainedModel) -> Predict:
    """Make a function of arrays from a model; its output channels are the layers of the task."""
    import torch

    from seaice.segmentation.data.targets import compute_concentration

    device = next(model.network.parameters()).device

    def predict_batch(images: np.ndarray) -> np.ndarray:
        predictions = model.predict(torch.from_numpy(images).to(device))
        layers = {"ice_concentration": compute_concentration(predictions, model.task)}
        if model.task == "classes":
            layers["ice_probability"] = layers["ice_concentration"]
        elif model.task == "sic":
            layers["ice_probability"] = predictions[:, model.rule.first_ice_class :].sum(dim=1)
        return torch.stack([layers[name] for name in LAYERS[model.task]], dim=1).cpu().numpy()

    def predict_singly(images: np.ndarray) -> np.ndarray:
        return np.concatenate([predict_batch(images[k : k + 1]) for k in range(len(images))])

    # The last bits of a convolution depend on the batch. A processor gains nothing from large ones.
    return predict_singly if device.type == "cpu" else predict_batch


def classify_surface(layers: Mapping[str, np.ndarray], rule: LabelRule) -> np.ndarray:
    """Classify pixels as water or ice, as scores count them, uint8; missing where layers are NaN."""
    level = layers.get("ice_concentration")
    with np.errstate(invalid="ignore"):
        if level is None:
            is_ice = layers["ice_probability"] > 0.5
        else:
            is_ice = np.rint(level * 10) >= rule.first_ice_class
    has_value = np.isfinite(next(iter(layers.values())))
    surface: np.ndarray = np.where(has_value, np.where(is_ice, ICE, WATER), MISSING).astype(np.uint8)
    return surface


def map_scene(
    scene: MapInput,
    predict: Predict,
    names: tuple[str, ...],
    rule: LabelRule,
    *,
    with_amsr2: bool = False,
    tile: int = TILE_SIZE,
    overlap: int = TILE_SIZE // 4,
    batch_size: int = 8,
) -> SceneMap:
    """Predict a scene; land and pixels without SAR are missing in all layers.

    Parameters
    ----------
    scene : Scene or ScaledImage
    predict : callable
        See :func:`seaice.segmentation.mapping.tiles.blend_tiles`; its channels are ``names``.
    names : tuple of str
        Names of the layers.
    rule : LabelRule
    with_amsr2 : bool
        Whether the images have the brightness temperatures too.
    tile, overlap, batch_size : int

    Raises
    ------
    InputError
        If the scene has no valid name, no pixel of water or ice, or no positions of an image.
    """
    start = scene.start
    # Variables that a scene may lack are read before the prediction, which takes long.
    amsr2, positions = scene.read_amsr2() if with_amsr2 else None, scene.read_positions()
    expect_image(positions, scene.spacing)
    land, has_sar = find_land(scene), (scene.read_sar() != 0).any(axis=0)
    if not (has_sar & ~land).any():
        raise InputError("expected pixels of water or ice, found all land or without SAR; give another")
    fields = blend_tiles(
        scene.read_sar(), predict, amsr2=amsr2, size=tile, overlap=overlap, batch_size=batch_size
    )
    fields[:, land] = np.nan
    # Rounding of the weights may lead a little out of 0 to 1.
    layers = dict(zip(names, np.clip(fields, 0, 1, out=fields), strict=True))
    surface = classify_surface(layers, rule)
    surface[land & has_sar] = LAND
    return SceneMap(surface, layers, positions, start)
