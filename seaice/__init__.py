"""Satellite data about sea ice, from the archive to the training loop.

Importing this package does nothing but define names: no folder, no log file,
no network, no change of the environment. The names of ``__all__`` are loaded
from their modules when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seaice.cube.file import CubeFile as CubeFile
    from seaice.dates import DateRange as DateRange
    from seaice.ice_index.stage import extent_and_area as extent_and_area
    from seaice.masks import read_mask as read_mask
    from seaice.scoring.forecasts.ice_edge import ice_edge_error as ice_edge_error
    from seaice.swaths.archive import load_swaths as load_swaths
    from seaice.training.cache import cache_cube as cache_cube
    from seaice.training.cube_dataset import CubeDataset as CubeDataset
    from seaice.training.cube_dataset import measure_channel_statistics as measure_channel_statistics
    from seaice.training.dataset import ConsolidatedSICDataset as ConsolidatedSICDataset
    from seaice.training.dataset import load_ocean_mask as load_ocean_mask
    from seaice.training.space_depth import fold_tensor as fold_tensor
    from seaice.training.space_depth import unfold_StackOverChannel as unfold_StackOverChannel
    from seaice.training.splits import Statistics as Statistics
    from seaice.training.splits import date_blocks as date_blocks
    from seaice.training.splits import filling_reach as filling_reach
    from seaice.training.splits import measure_statistics as measure_statistics

__version__ = "0.2.0"

# The same imports for the running program; a test holds the two lists together.
_HOMES = {
    "ConsolidatedSICDataset": "seaice.training.dataset",
    "CubeDataset": "seaice.training.cube_dataset",
    "CubeFile": "seaice.cube.file",
    "DateRange": "seaice.dates",
    "Statistics": "seaice.training.splits",
    "cache_cube": "seaice.training.cache",
    "date_blocks": "seaice.training.splits",
    "extent_and_area": "seaice.ice_index.stage",
    "filling_reach": "seaice.training.splits",
    "fold_tensor": "seaice.training.space_depth",
    "ice_edge_error": "seaice.scoring.forecasts.ice_edge",
    "load_ocean_mask": "seaice.training.dataset",
    "load_swaths": "seaice.swaths.archive",
    "measure_channel_statistics": "seaice.training.cube_dataset",
    "measure_statistics": "seaice.training.splits",
    "read_mask": "seaice.masks",
    "unfold_StackOverChannel": "seaice.training.space_depth",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from seaice.settings import install_command

        raise ModuleNotFoundError(
            f"{name} needs {error.name}: {install_command(str(error.name))}", name=error.name
        ) from error


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class InputError(ValueError):
    """Something the caller gave cannot be used.

    The message is one line that says what was expected, what was found,
    where, and what to do. Scripts print it without a traceback and exit 1.
    """
