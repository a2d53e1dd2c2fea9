"""A network ready to forecast: what it sees, what its increments are added to, and grids by tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.dates import DateRange
from seaice.forecast.baselines.baseline import Training
from seaice.forecast.baselines.increments import WINDOW_DAYS
from seaice.forecast.baselines.registry import BASELINES
from seaice.forecast.network.edges import move_edges
from seaice.forecast.network.windows import CHANNELS, PAST_DAYS, read_channels
from seaice.forecast.record import SeaIceRecord
from seaice.runtime.networks import checkpoint_file
from seaice.runtime.networks.own_function import import_function

if TYPE_CHECKING:
    import torch
    from torch import nn

FORMAT = "seaice forecast 1"
STAGE = "forecast.py train"
_KINDS: dict[str, type | None] = {
    "model": str,
    "options": dict,
    "leads": list,
    "on": None,
    "name": str,
    "training_days": list,
    "kilometres": float,
    "settings": dict,
    "state": dict,
    "step": int,
    "seconds": float,
    "optimizer": dict,
}
# From the record up to the initial day, and that day, to maps (leads, rows, columns).
BaseRule = Callable[[SeaIceRecord, date], np.ndarray]
# Grids with longer axes are forecast by tiles, which see so many cells around what is kept of them.
TILE, _MARGIN = 1024, 64
# Sizes of cells that count as one.
_SAME_SIZE = 0.1


def list_bases() -> list[str]:
    """Baselines that increments of a network can be added to: those of one forecast."""
    return [name for name, baseline in BASELINES.items() if not baseline.members]


def build_network(
    model: str, *, leads: int, on: str | None = None, options: dict[str, Any] | None = None
) -> nn.Module:
    """Build a network that computes increments.

    Parameters
    ----------
    model : str
        ``half``, or MODULE:FUNCTION: called with ``channels``, ``leads`` and the options it returns a
        torch module that takes (B, channels, rows, columns) and gives (B, leads, rows, columns).
    leads : int
    on : str, optional
        Baseline whose increments are further channels, one a lead.
    options : dict, optional

    Raises
    ------
    InputError
        If there is no such network or option.
    """
    from torch import nn

    from seaice.forecast.network.half import Half

    if model != "half" and ":" not in model:
        raise InputError(f"expected half or MODULE:FUNCTION as a model, found {model!r}")
    make = Half if model == "half" else import_function(model)
    channels = CHANNELS + (leads if on else 0)
    try:
        network = make(channels=channels, leads=leads, **(options or {}))
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise InputError(f"{model} does not take these options ({error})") from None
    if not isinstance(network, nn.Module):
        raise InputError(f"expected {model} to return a torch module, found {type(network).__name__}")
    return network


def fit_base(on: str, record: SeaIceRecord, period: DateRange, leads: tuple[int, ...]) -> BaseRule:
    """Fit the baseline that increments are added to on training days.

    Days of the period that the record does not hold are left out; if it holds none, its last days
    tell the active region.
    """
    first, last = max(period.start, record.days[0]), min(period.end, record.days[-1])
    if last < first:
        first, last = max(record.days[0], record.days[-1] - timedelta(days=WINDOW_DAYS)), record.days[-1]
    fitted = BASELINES[on].fit(Training(record.up_to(last), DateRange(first, last), leads))

    def forecast(record: SeaIceRecord, day: date) -> np.ndarray:
        maps = fitted(record, day)
        return maps[0] if isinstance(maps, tuple) else maps

    return forecast


@dataclass(frozen=True)
class Forecaster:
    """A network and what its increments are added to.

    Attributes
    ----------
    network : nn.Module
    leads : tuple of int
    device : torch.device
    base : callable or None
        Rule of a baseline; None: the initial day persists.
    edges : tuple of float
        Concentrations that are made 15 percent, one a lead; empty: none are.
    """

    network: nn.Module
    leads: tuple[int, ...]
    device: torch.device
    base: BaseRule | None = None
    edges: tuple[float, ...] = ()

    def forecast(self, record: SeaIceRecord, day: date) -> np.ndarray:
        """Forecast from an initial day, float32 (leads, rows, columns); NaN outside the ocean."""
        seen = record.up_to(day)
        inputs = read_channels(seen, day)
        base = np.broadcast_to(inputs[:1], (len(self.leads), *inputs.shape[1:]))
        if self.base is not None:
            base = np.nan_to_num(self.base(seen, day))
            inputs = np.concatenate([inputs, base - inputs[:1]])
        forecast = (base + self.compute_increments(inputs)).clip(0, 1)
        if self.edges:
            forecast = move_edges(forecast, self.edges)
        forecast[:, np.isnan(seen.read_input(day))] = np.nan
        return forecast

    def compute_increments(self, inputs: np.ndarray, tile: int = TILE) -> np.ndarray:
        """Compute increments of a whole grid, by tiles where it is large.

        Parameters
        ----------
        inputs : ndarray of float32, shape (channels, rows, columns)
            Of :func:`read_channels`; a tile without ocean is not computed.
        tile : int
            Cells on a side of what is kept of a tile; a multiple of 8.

        Returns
        -------
        ndarray of float32, shape (leads, rows, columns)
        """
        import torch

        self.network.eval()
        increments = np.empty((len(self.leads), *inputs.shape[1:]), np.float32)
        with torch.inference_mode():
            for kept, seen, part in list_tiles(inputs.shape[1:], tile):
                if not inputs[PAST_DAYS, *kept].any():
                    increments[:, *kept] = 0
                    continue
                patch = np.ascontiguousarray(inputs[:, *seen])[np.newaxis]
                output = self.network(torch.from_numpy(patch).to(self.device))[0]
                expected = (len(self.leads), *patch.shape[2:])
                if output.shape != expected:
                    raise InputError(
                        f"expected increments of shape {expected} from the network, found "
                        f"{tuple(output.shape)}: one map a lead, as large as its input"
                    )
                increments[:, *kept] = output.float().cpu().numpy()[:, *part]
        return increments


Window = tuple[slice, slice]


class Tile(NamedTuple):
    """A part of a grid.

    Attributes
    ----------
    kept : (slice, slice)
        Cells of the grid that are kept of it.
    seen : (slice, slice)
        Those that a network sees.
    part : (slice, slice)
        The kept ones within the seen ones.
    """

    kept: Window
    seen: Window
    part: Window


def list_tiles(shape: tuple[int, ...], tile: int) -> Iterator[Tile]:
    """List the tiles of a grid; one alone where no side is much longer than a tile."""
    axes = []
    for length in shape:
        parts = []
        for start in range(0, length, tile) if length > tile + _MARGIN else [0]:
            end = min(start + tile, length) if length > tile + _MARGIN else length
            first = max(0, start - _MARGIN)
            seen = slice(first, min(end + _MARGIN, length))
            parts.append((slice(start, end), seen, slice(start - first, end - first)))
        axes.append(parts)
    for rows, columns in product(*axes):
        yield Tile(*zip(rows, columns, strict=True))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ``forecast.py train``.

    Raises
    ------
    InputError
        If the file is missing, damaged, or no such checkpoint.
    """
    return checkpoint_file.read_checkpoint(
        path, stage=STAGE, mark=FORMAT, kinds=_KINDS, advice="give last.pt of a training"
    )


def load_forecaster(path: Path, record: SeaIceRecord, device: torch.device) -> Forecaster:
    """Load the network of a checkpoint, for the days of a record.

    Raises
    ------
    InputError
        If it cannot be read, or was trained on cells of another size.
    """
    content = read_checkpoint(path)
    expected, cell = content["kilometres"], record.grid.kilometres
    if abs(cell / expected - 1) > _SAME_SIZE:
        raise InputError(
            f"{path} was trained on cells of {expected:g} km, {record.path} has cells of {cell:g} km: "
            "train on a cube with such cells"
        )
    leads, on = tuple(content["leads"]), content["on"]
    network = build_network(content["model"], leads=len(leads), on=on, options=content["options"])
    checkpoint_file.load_state(network, content["state"], path)
    edges = tuple(content.get("edges", ()))
    forecaster = Forecaster(network.to(device).eval(), leads, device, edges=edges)
    if on is None:
        return forecaster
    period = DateRange(*map(date.fromisoformat, content["training_days"]))
    return replace(forecaster, base=fit_base(on, record, period, leads))


def count_history(on: str | None) -> int:
    """Days that a forecast looks back on, the initial day included."""
    return max(PAST_DAYS, BASELINES[on].history if on else 0)
