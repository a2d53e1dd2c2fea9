"""Front door for training code and notebooks: the Dataset of a cube, and the readers.

Nothing is loaded before it is used, so ``import utils`` costs nothing and needs no torch.
Every name is defined in the package ``seaice``, and pickles name it there.

Examples
--------
    from utils import ConsolidatedSICDataset, load_ocean_mask

    dataset = ConsolidatedSICDataset("cube.nc", 20240101, 20241231, input_length=7, pred_length=3)
    inputs, targets = dataset[0]
    ocean = load_ocean_mask("mask.nc")  # 1 = ocean: inputs * ocean sets land to 0
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ConsolidatedSICDataset": "seaice.training.dataset",
    "CubeFile": "seaice.cube.file",
    "DateRange": "seaice.dates",
    "Statistics": "seaice.training.splits",
    "cache_cube": "seaice.training.cache",
    "date_blocks": "seaice.training.splits",
    "extent_and_area": "seaice.ice_index.stage",
    "filling_reach": "seaice.training.splits",
    "fold_tensor": "seaice.training.space_depth",
    "ice_edge_error": "seaice.ice_index.stage",
    "load_ocean_mask": "seaice.training.dataset",
    "load_swaths": "seaice.swaths.archive",
    "measure_statistics": "seaice.training.splits",
    "read_mask": "seaice.masks",
    "unfold_StackOverChannel": "seaice.training.space_depth",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
