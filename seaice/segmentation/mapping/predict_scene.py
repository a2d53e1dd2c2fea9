"""A whole scene through a trained model: tiles, blended into a map of water and ice."""

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
from seaice.segmentation.mapping.geotiff import expect_image
from seaice.segmentation.mapping.scene_map import (
    LAND,
    MISSING,
    SceneMap,
    land_of,
)
from seaice.segmentation.mapping.tiles import (
    Predict,
    blend,
)
from seaice.sources.ai4arctic.scene import (
    Scene,
    SceneName,
)

if TYPE_CHECKING:
    from seaice.segmentation.networks.checkpoint import TrainedModel

# Layers of the map by what the network was trained for.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "classes": ("ice_probability",),
    "sic": ("ice_probability", "ice_concentration"),
    "sic-regression": ("ice_concentration",),
}
TILE = 224


def predictor(model: TrainedModel) -> Predict:
    """A model as a function of arrays, whose channels are the layers of its task."""
    import torch

    from seaice.segmentation.data.targets import concentration

    device = next(model.network.parameters()).device

    def some(images: np.ndarray) -> np.ndarray:
        likely = model.likelihoods(torch.from_numpy(images).to(device))
        layers = {"ice_concentration": concentration(likely, model.task)}
        if model.task == "classes":
            layers["ice_probability"] = layers["ice_concentration"]
        elif model.task == "sic":
            layers["ice_probability"] = likely[:, model.rule.first_class :].sum(dim=1)
        return torch.stack([layers[name] for name in LAYERS[model.task]], dim=1).cpu().numpy()

    def one_by_one(images: np.ndarray) -> np.ndarray:
        return np.concatenate([some(images[k : k + 1]) for k in range(len(images))])

    # The last bits of a convolution depend on the batch. A processor gains nothing from large ones.
    return one_by_one if device.type == "cpu" else some


def surface_of(layers: Mapping[str, np.ndarray], rule: LabelRule) -> np.ndarray:
    """Water and ice as scores count them, uint8; missing where the layers are NaN."""
    level = layers.get("ice_concentration")
    with np.errstate(invalid="ignore"):
        if level is None:
            is_ice = layers["ice_probability"] > 0.5
        else:
            is_ice = np.rint(level * 10) >= rule.first_class
    known = np.isfinite(next(iter(layers.values())))
    made: np.ndarray = np.where(known, np.where(is_ice, ICE, WATER), MISSING).astype(np.uint8)
    return made


def map_scene(
    scene: Scene,
    run: Predict,
    names: tuple[str, ...],
    rule: LabelRule,
    *,
    with_amsr2: bool = False,
    tile: int = TILE,
    overlap: int = TILE // 4,
    batch_size: int = 8,
) -> SceneMap:
    """Predict a scene; land and pixels without SAR are missing in all layers.

    Parameters
    ----------
    scene : Scene
    run : callable
        See :func:`seaice.segmentation.mapping.tiles.blend`; its channels are ``names``.
    names : tuple of str
    rule : LabelRule
    with_amsr2 : bool
        Give it the brightness temperatures too.
    tile, overlap, batch_size : int
    """
    known = SceneName.parse(scene.name)
    if known is None:
        raise InputError(
            f"expected a scene named YYYYMMDDThhmmss_dmi_prep.nc or ..._cis_prep.nc, found {scene.path}"
        )
    # What may be lacking is read before the long part.
    amsr2, positions = scene.amsr2() if with_amsr2 else None, scene.positions()
    expect_image(positions, scene.spacing)
    land, there = land_of(scene), (scene.sar() != 0).any(axis=0)
    if not (there & ~land).any():
        raise InputError("expected pixels of water or ice, found all land or without SAR; give another")
    made = blend(scene.sar(), run, amsr2=amsr2, size=tile, overlap=overlap, batch_size=batch_size)
    made[:, land] = np.nan
    layers = dict(zip(names, np.clip(made, 0, 1, out=made), strict=True))
    surface = surface_of(layers, rule)
    surface[land & there] = LAND
    return SceneMap(surface, layers, positions, known.start)
