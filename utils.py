"""Front door of the package for training code and notebooks that run in a checkout.

It offers what ``seaice`` offers: ``from utils import load_swaths`` is ``from seaice import
load_swaths``. Nothing is loaded before it is used, so ``import utils`` costs nothing and needs
no torch. Every name is defined in the package ``seaice``, and pickles name it there.

Examples
--------
    from utils import ConsolidatedSICDataset, load_ocean_mask

    dataset = ConsolidatedSICDataset("cube.nc", 20240101, 20241231, input_length=7, pred_length=3)
    inputs, targets = dataset[0]
    ocean = load_ocean_mask("land_mask.nc")  # 1 = ocean: inputs * ocean sets land to 0
"""

from typing import Any

import seaice

__all__ = list(seaice.__all__)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(seaice, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
