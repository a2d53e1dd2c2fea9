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
