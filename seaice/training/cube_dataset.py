"""Dataset for PyTorch of any variables: several files on one grid side by side as channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seaice import InputError
from seaice.dates import DateRange
from seaice.flags import Surface, is_ocean
from seaice.training.channels import Channel, OpenChannel, check_grids, list_channels, open_channel
from seaice.training.chunks.arrays import shift_slice
from seaice.training.chunks.requests import FrameRequest
from seaice.training.items import check_parts
from seaice.training.reader import Quantity
from seaice.training.splits import RunningMoments, Statistics
from seaice.training.window_dataset import (
    WindowDataset,
    check_number,
    count_threads,
    load_statistics,
)
from seaice.training.windows import (
    DayShares,
    Window,
    check_blocks,
    check_count,
    check_share,
    find_region_slices,
)

PARTS = ("inputs", "targets", "input_missing", "target_missing", "dates", "ocean", "origin")
_USUAL_PARTS = PARTS[:4]
# What says to the readers that values are wanted as they are, NaN too.
_VALUES: Quantity = "concentration"


class CubeDataset(WindowDataset):
    """Dataset of samples of one or several variables on one grid, which become channels.

    An item is a dict of ``inputs`` and ``targets``, float32 tensors (T, C, H, W), and of
    ``input_missing`` and ``target_missing``, bool tensors of the same shapes: where they are True
    there is no value, over land too, and the value is ``missing_value``. Which days make a sample is
    told by :class:`seaice.training.dataset.ConsolidatedSICDataset`, and so are the options of the same
    names; as there, every process opens the files for itself.

    Days are matched by date. A map of several days (weeks, months: ``time_bnds``) holds for each of
    them, a map without a time for all. Concentration is given as fractions, any other variable in the
    units of its file.

    Parameters
    ----------
    channels : path, sequence or mapping
        Files, or pairs (file, variable): cubes, filled fields, grids of freeboard or of brightness
        temperature, or any CF file on a grid. A mapping names the channels:
        ``{"ice": "cube.nc", "freeboard": ("freeboard.nc", "freeboard_mean")}``. Without a variable it
        is ice concentration, else the only variable that can be a field.
    start_time, end_time, input_length, pred_length, input_gap, pred_shift, pred_gap, samples_gap
        As of ConsolidatedSICDataset.
    preload_data : bool
        Read all maps into memory at the start.
    inputs, targets : sequence of str, optional
        Names of the channels of inputs and of targets, in their order; by default all.
    blocks, region, bounds, patch_size, seed, smallest_ocean_share
        As of ConsolidatedSICDataset. Ocean is told by the first channel with a mask, else it is every
        cell.
    largest_missing_share : float or mapping of str to float
        Largest share of ocean cells outside the pole hole without a value, on any day of a sample and
        in any channel; by default 1, no limit, because grids of tracks and swaths are sparse. A
        mapping has limits for the channels that it names.
    keep_absent : bool
        Whether samples are kept on whose days a channel has no map; all its cells are then missing.
    missing_value : float
        Value of cells without one, after normalisation; NaN is allowed.
    statistics : mapping of str to Statistics or Path, optional
        By channel (:func:`measure_channel_statistics`); inputs of these channels are normalised.
    returns : sequence of str, optional
        Parts of an item, out of those above and dates, ocean and origin, as of ConsolidatedSICDataset.
    transform : callable, optional
        Function that is applied to every item.

    Attributes
    ----------
    channels : list of Channel
    inputs, targets : tuple of str
        Names of the channels.

    Raises
    ------
    InputError
        If a file or variable cannot be used, the channels lie on different cells, or no sample is
        left.
    """

    def __init__(
        self,
        channels: Any,
        start_time: Any,
        end_time: Any,
        input_length: int,
        pred_length: int,
        input_gap: int = 1,
        pred_shift: int = 1,
        pred_gap: int = 1,
        samples_gap: int = 1,
        preload_data: bool = False,
        *,
        inputs: Sequence[str] | None = None,
        targets: Sequence[str] | None = None,
        blocks: Sequence[DateRange] | None = None,
        region: tuple[int, int, int, int] | None = None,
        bounds: tuple[float, float, float, float] | None = None,
        patch_size: int | tuple[int, int] | None = None,
        seed: int = 0,
        smallest_ocean_share: float = 0.0,
        largest_missing_share: float | Mapping[str, float] = 1.0,
        keep_absent: bool = False,
        missing_value: float = 0.0,
        statistics: Mapping[str, Statistics | Path | str] | None = None,
        returns: Sequence[str] | None = None,
        transform: Callable[[Any], Any] | None = None,
    ) -> None:
        self.channels = list_channels(channels)
        names = tuple(channel.name for channel in self.channels)
        self._name = ", ".join(names)
        self.inputs = _check_names("inputs", inputs, names)
        self.targets = _check_names("targets", targets, names)
        self.window = Window(input_length, pred_length, input_gap, pred_shift, pred_gap)
        self.date_range = DateRange.parse(start_time, end_time)
        self._returns = check_parts(_USUAL_PARTS if returns is None else returns, PARTS)
        self._missing_value = check_number("missing_value", missing_value)
        self._statistics = _load_all_statistics(statistics, names)
        self._transform = transform
        self._seed = check_count("seed", seed, 0)
        check_share("smallest_ocean_share", smallest_ocean_share)
        limits = _list_limits(largest_missing_share, names)
        starts = self.window.list_starts(self.date_range, samples_gap)
        opened = [open_channel(channel, self.date_range) for channel in self.channels]
        self._set_region(check_grids(opened), *find_region_slices(opened[0].grid, region, bounds))
        surface = _find_surface(opened)[self._rows, self._columns]
        self.ocean = is_ocean(surface)
        if not self.ocean.any():
            raise InputError(f"{self.grid} holds no ocean cell; choose another region")
        counted = self.ocean & (surface != Surface.POLE_HOLE)
        counted = counted if counted.any() else self.ocean
        shares = self._measure_shares(opened, limits, counted, keep_absent=keep_absent)
        limit = 1.0
        if isinstance(largest_missing_share, Mapping):
            is_within = shares.missing <= np.array(list(limits.values()))[:, np.newaxis]
            shares = replace(shares, missing=np.where(is_within.all(axis=0), 0.0, 2.0))
        else:
            limit = largest_missing_share
            shares = replace(shares, missing=shares.missing.max(axis=0))
        days = self._select_samples(starts, shares, blocks, limit, 1.0, self._name)
        self._maps = np.stack([channel.maps for channel in opened])[:, days]
        self._readers = {channel.channel.name: channel.reader for channel in opened}
        self._set_patches(patch_size, self.ocean, smallest_ocean_share)
        if preload_data:
            for maps, reader in zip(self._maps, self._readers.values(), strict=True):
                reader.preload(maps[maps >= 0], self._rows, self._columns, count_threads())

    def _measure_shares(
        self,
        channels: Sequence[OpenChannel],
        limits: Mapping[str, float],
        counted: np.ndarray,
        *,
        keep_absent: bool,
    ) -> DayShares:
        """Measure the share of missing cells by channel and day; 0 where no limit asks for it."""
        absent = np.stack([channel.maps for channel in channels]) < 0
        shares = np.zeros(absent.shape)
        for channel, limit, of_days in zip(channels, limits.values(), shares, strict=True):
            if limit >= 1:
                continue
            for position in np.unique(channel.maps[channel.maps >= 0]).tolist():
                values = channel.read(position, self._rows, self._columns)
                missing = np.count_nonzero(np.isnan(values) & counted) / np.count_nonzero(counted)
                of_days[channel.maps == position] = missing
            of_days[channel.maps < 0] = 1.0
            channel.reader.close()
        position = np.where(absent.any(axis=0) & (not keep_absent), -1, 0)
        return DayShares(position, shares, np.zeros(len(position)))

    def _pack_item(self, parts: dict[str, torch.Tensor]) -> Any:
        return parts

    def _build_items(
        self, numbers: Sequence[int], parts: Sequence[str]
    ) -> list[dict[str, torch.Tensor]]:
        requests: dict[str, list[FrameRequest]] = {name: [] for name in self._readers}
        boxes = [(number, *self._locate_sample(number)) for number in numbers]
        sides = [side for side in ("input", "target") if any(p.startswith(side) for p in parts)]
        frames = [{side: self._make_frames(side, *box, requests) for side in sides} for box in boxes]
        for name, of_channel in requests.items():
            if of_channel:
                self._readers[name].read(_VALUES, of_channel, count_threads())
        return [self._make_item(box, item, parts) for box, item in zip(boxes, frames, strict=True)]

    def _make_frames(
        self,
        side: str,
        number: int,
        rows: slice,
        columns: slice,
        requests: dict[str, list[FrameRequest]],
    ) -> np.ndarray:
        """Make the array (T, C, rows, columns) of inputs or targets, and the requests that fill it."""
        names, split = getattr(self, f"{side}s"), self.window.input_length
        days = slice(None, split) if side == "input" else slice(split, None)
        order = list(self._readers)
        maps = np.stack([self._maps[order.index(name), number, days] for name in names], axis=1)
        shape = (*maps.shape, rows.stop - rows.start, columns.stop - columns.start)
        frames = np.empty(shape, np.float32)
        frames[maps < 0] = np.nan
        for channel, name in enumerate(names):
            lookup = self._readers[name].make_lookup(_VALUES, np.asarray)
            for first, last in _list_runs(maps[:, channel] >= 0):
                positions = maps[first:last, channel].tolist()
                out = frames[first:last, channel]
                requests[name].append(FrameRequest(positions, rows, columns, out, lookup))
        return frames

    def _make_item(
        self,
        box: tuple[int, slice, slice],
        frames: Mapping[str, np.ndarray],
        parts: Sequence[str],
    ) -> dict[str, torch.Tensor]:
        number, rows, columns = box
        arrays: dict[str, np.ndarray] = {}
        for side, values in frames.items():
            arrays[f"{side}_missing"] = np.isnan(values)
            for channel, name in enumerate(self.inputs if side == "input" else ()):
                if name in self._statistics:
                    values[:, channel] -= np.float32(self._statistics[name].mean)
                    values[:, channel] /= np.float32(self._statistics[name].std)
            values[arrays[f"{side}_missing"]] = self._missing_value
            arrays[f"{side}s"] = values
        if "dates" in parts:
            arrays["dates"] = self._dates[number].copy()
        if "origin" in parts:
            arrays["origin"] = np.array([rows.start, columns.start])
        if "ocean" in parts:
            cells = shift_slice(rows, -self._rows.start), shift_slice(columns, -self._columns.start)
            arrays["ocean"] = self.ocean[cells].astype(np.float32)[np.newaxis]
        return {part: torch.from_numpy(arrays[part]) for part in parts}

    def close(self) -> None:
        """Close the files in this process; the next item opens them again."""
        for reader in self._readers.values():
            reader.close()


def measure_channel_statistics(
    channels: Any,
    blocks: Sequence[DateRange],
    *,
    region: tuple[int, int, int, int] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> dict[str, Statistics]:
    """Measure mean and standard deviation of every channel over some blocks of days.

    Every map that holds for one of the days counts once, with its ocean cells that have a value.

    Parameters
    ----------
    channels : path, sequence or mapping
        As of :class:`CubeDataset`.
    blocks : sequence of DateRange
        Those of the training part.
    region, bounds : optional
        See :func:`seaice.training.windows.find_region_slices`.

    Returns
    -------
    dict of str to Statistics
        By the name of the channel, for ``statistics=`` of the Datasets of all parts.

    Raises
    ------
    InputError
        If a channel cannot be used or holds no two different values.
    """
    blocks = check_blocks(blocks)
    if not blocks:
        raise InputError("expected blocks of days to measure, found none")
    days = [day for block in blocks for day in (block.start, block.end)]
    date_range = DateRange(min(days), max(days))
    inside = np.array([any(day in block for block in blocks) for day in date_range])
    opened = [open_channel(channel, date_range) for channel in list_channels(channels)]
    rows, columns = find_region_slices(check_grids(opened), region, bounds)
    ocean = is_ocean(_find_surface(opened)[rows, columns])
    measured = {}
    for channel in opened:
        moments = RunningMoments()
        for position in np.unique(channel.maps[inside & (channel.maps >= 0)]).tolist():
            moments.add(channel.read(position, rows, columns)[ocean])
        channel.reader.close()
        try:
            measured[channel.channel.name] = moments.finish(blocks, channel.channel.path.name)
        except InputError as error:
            raise InputError(f"{channel.channel}: {error}") from None
    return measured


def _find_surface(channels: Sequence[OpenChannel]) -> np.ndarray:
    """Return the surface classes of the first channel that tells them, else ocean everywhere."""
    surfaces = (channel.surface for channel in channels if channel.surface is not None)
    return next(surfaces, np.full(channels[0].grid.shape, Surface.OCEAN, np.uint8))


def _check_names(
    option: str, selection: Sequence[str] | None, names: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names of some channels; InputError for anything else."""
    if selection is None:
        return names
    listed = () if isinstance(selection, str) else tuple(selection)
    if not listed or any(name not in names for name in listed):
        raise InputError(f"expected {option} as a list out of {', '.join(names)}, found {selection!r}")
    return listed


def _load_all_statistics(statistics: Any, names: tuple[str, ...]) -> dict[str, Statistics]:
    if statistics is None:
        return {}
    if not isinstance(statistics, Mapping) or any(name not in names for name in statistics):
        names_given = list(statistics) if isinstance(statistics, Mapping) else statistics
        raise InputError(
            f"expected statistics by channel, out of {', '.join(names)}, found {names_given!r}"
        )
    loaded = {name: load_statistics(of_channel) for name, of_channel in statistics.items()}
    return {name: of_channel for name, of_channel in loaded.items() if of_channel is not None}


def _list_limits(share: Any, names: tuple[str, ...]) -> dict[str, float]:
    """Return the largest missing share by channel."""
    limits = share if isinstance(share, Mapping) else dict.fromkeys(names, share)
    for name, limit in limits.items():
        if name not in names:
            raise InputError(
                f"expected largest_missing_share by channel, out of {', '.join(names)}, found {name!r}"
            )
        check_share("largest_missing_share", limit)
    return {name: float(limits.get(name, 1.0)) for name in names}


def _list_runs(present: np.ndarray) -> list[tuple[int, int]]:
    """List the runs of True as pairs (first, one after the last).

    Examples
    --------
    >>> _list_runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], present.astype(np.int8), [0]])))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


__all__ = ["PARTS", "Channel", "CubeDataset", "measure_channel_statistics"]
