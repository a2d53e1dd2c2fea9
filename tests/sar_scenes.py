"""Simulated SAR scenes for tests, made once for each of them."""

from pathlib import Path

import h5py
import numpy as np

from seaice.simulate import SimulatedScene, write_scenes

SIZE = (160, 190)


def scenes_in(folder: Path, *, scenes: int = 4, test_scenes: int = 1) -> list[SimulatedScene]:
    return write_scenes(folder, scenes=scenes, test_scenes=test_scenes, size=SIZE, seed=3)


def rewrite(path: Path, name: str, values: np.ndarray | None) -> None:
    """Replace a variable of a file, or remove it."""
    with h5py.File(path, "r+") as file:
        del file[name]
        if values is not None:
            file[name] = values


def write_checkpoint(path: Path, **further) -> Path:
    """Write a small network of random weights as a training would."""
    import torch

    from seaice.runtime.networks.checkpoint_file import save_checkpoint
    from seaice.segmentation.data.labels import LabelRule
    from seaice.segmentation.networks.checkpoint import describe_model
    from seaice.segmentation.networks.registry import build_network

    torch.manual_seed(4)
    options = {"base": 2, "depth": 2}
    network = build_network("unet", channels=2, classes=2, **options)
    note = describe_model(
        model="unet", options=options, inputs="sar", channels=2, task="classes", rule=LabelRule()
    )
    content = {"state": network.state_dict(), "epoch": 3, "metrics": {}, "patch_size": 64}
    save_checkpoint(path, note | content | further)
    return path
