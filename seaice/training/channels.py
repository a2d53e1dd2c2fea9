"""Channels of a Dataset: one variable of a file each, and which of its maps holds for a day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import DateRange, day_number, from_day_number
from seaice.fields.options import ReadOptions
from seaice.fields.stack import FieldStack, find_concentration
from seaice.grids import Grid
from seaice.open_file import UnreadableFile
from seaice.open_file.address import Place, find_zarr_format, locate
from seaice.training.chunks.requests import FrameRequest
from seaice.training.chunks.watched_file import FileState, make_changed_cube_error
from seaice.training.reader import CubeReader, FrameReader, ProcessSource, read_cube_state


class Channel(NamedTuple):
    """A variable of a file.

    Attributes
    ----------
    name : str
        Name of the channel.
    path : Path or Address
        Absolute.
    variable : str or None
        Name of the variable; None for ice concentration, else for the only one that can be a field.
    """

    name: str
    path: Place
    variable: str | None

    def __str__(self) -> str:
        return f"{self.name} of {self.path}"


def list_channels(channels: Any) -> list[Channel]:
    """List channels that are given by name, or by their files alone.

    Parameters
    ----------
    channels : path, sequence or mapping
        Paths, or pairs (path, variable); a mapping has the names of the channels. Without names a
        channel is called after its variable, else after its file.

    Raises
    ------
    InputError
        If there are none, two have the same name, or one is no path.

    Examples
    --------
    >>> [channel.name for channel in list_channels(["a/cube.nc", ("b.nc", "freeboard_mean")])]
    ['cube', 'freeboard_mean']
    """
    if isinstance(channels, str | Path):
        channels = [channels]
    if isinstance(channels, Mapping):
        triples = [(str(name), *_split_source(source)) for name, source in channels.items()]
    elif isinstance(channels, Sequence):
        sources = [_split_source(source) for source in channels]
        triples = [(variable or locate(path).stem, path, variable) for path, variable in sources]
    else:
        triples = []
    if not triples:
        raise InputError(
            "expected channels as paths, pairs (path, variable) or a mapping of these, found "
            f"{channels!r}"
        )
    names = [name for name, _, _ in triples]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated is not None:
        raise InputError(
            f"two channels are called {repeated}; give names: {{'first': path, 'second': path}}"
        )
    return [Channel(name, locate(path).absolute(), variable) for name, path, variable in triples]


def _split_source(source: Any) -> tuple[str, str | None]:
    if isinstance(source, str | Path):
        return str(source), None
    if isinstance(source, Sequence) and len(source) == 2 and isinstance(source[0], str | Path):
        return str(source[0]), str(source[1])
    raise InputError(f"expected a path or (path, variable) for a channel, found {source!r}")


@dataclass(frozen=True)
class OpenChannel:
    """A channel ready to be read in any process.

    Attributes
    ----------
    channel : Channel
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.Surface`; None if the file does not tell.
    maps : ndarray of int64, shape (days,)
        Position of the map that holds for a day of the date range; -1 if there is none.
    reader : FrameReader
    """

    channel: Channel
    grid: Grid
    surface: np.ndarray | None
    maps: np.ndarray
    reader: FrameReader

    def read(self, position: int, rows: slice, columns: slice) -> np.ndarray:
        """Read one map, float32 (rows, columns) with NaN."""
        out = np.empty((1, rows.stop - rows.start, columns.stop - columns.start), np.float32)
        lookup = self.reader.make_lookup("concentration", np.asarray)
        self.reader.read("concentration", [FrameRequest([position], rows, columns, out, lookup)])
        return out[0]


def open_channel(channel: Channel, date_range: DateRange) -> OpenChannel:
    """Read which maps a channel has for some days; no file is open afterwards.

    Raises
    ------
    InputError
        If the file or the variable cannot be used.
    """
    if not channel.path.exists():
        raise InputError(f"no such file: {channel.path}, of the channel {channel.name}")
    state = read_cube_state(channel.path)
    if state is None:
        raise make_changed_cube_error(channel.path)
    cube = _open_cube(channel)
    if cube is not None:
        with cube:
            numbers = np.array([day_number(day) for day in cube.dates])
            maps = _match_days(np.stack([numbers, numbers], axis=1), date_range, channel)
            return OpenChannel(channel, cube.grid, cube.surface, maps, CubeReader(cube, state))
    variable = channel.variable or find_concentration(channel.path)
    with FieldStack(channel.path, ReadOptions(variable=variable)) as stack:
        maps = np.zeros(len(date_range), np.int64)  # a map without a time holds for every day
        if stack.periods is not None:
            maps = _match_days(stack.periods, date_range, channel)
        source = FieldSource(channel.path, state, stack.variable)
        reader = FrameReader({"concentration": source})
        return OpenChannel(channel, stack.grid, stack.read_surface(), maps, reader)


def _open_cube(channel: Channel) -> CubeFile | None:
    path = channel.path
    if channel.variable not in (None, "sea_ice_conc") or (path.is_dir() and find_zarr_format(path) == 2):
        return None
    try:
        return CubeFile(path, only_cube=True)
    except UnreadableFile:
        raise
    except InputError:
        return None


def _match_days(periods: np.ndarray, date_range: DateRange, channel: Channel) -> np.ndarray:
    """Find the map of every day: of the shortest step that holds it; -1 without one."""
    start = day_number(date_range.start)
    maps = np.full(len(date_range), -1, np.int64)
    lengths = periods[:, 1] - periods[:, 0]
    for number in np.argsort(-lengths, kind="stable"):
        first, last = np.clip(periods[number] - start + [0, 1], 0, maps.size)
        before = maps[first:last]
        repeated = before[(before >= 0) & (lengths[before] == lengths[number])]
        if repeated.size:
            day = from_day_number(int(max(periods[number, 0], periods[repeated[0], 0])))
            raise InputError(f"two maps of {channel} hold for {day}; keep one of them")
        maps[first:last] = number
    return maps


class FieldSource(ProcessSource):
    """Source that reads the maps of a variable of any file on a grid.

    Parameters
    ----------
    path, state
        As of :class:`seaice.training.reader.ProcessSource`.
    variable : str
    """

    def __init__(self, path: Place, state: FileState, variable: str) -> None:
        super().__init__(path, state)
        self._variable = variable

    def _open_file(self) -> FieldStack:
        return FieldStack(self.path, ReadOptions(variable=self._variable))

    def _read_days(self, file: FieldStack, days: slice, rows: slice, columns: slice) -> np.ndarray:
        values = file.read(days, rows, columns)
        return values if values.ndim == 3 else values[np.newaxis]


def check_grids(channels: Sequence[OpenChannel]) -> Grid:
    """Return the grid of all channels; InputError if they do not lie on the same cells."""
    first = channels[0]
    for channel in channels[1:]:
        if not channel.grid.same_cells(first.grid):
            raise InputError(
                f"{channel.channel} lies on {channel.grid}, other cells than {first.channel}, on "
                f"{first.grid}; bring one of them to the grid of the other"
            )
    return first.grid
