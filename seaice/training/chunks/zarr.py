"""Chunk table of a Zarr v3 group that stores every day in one shard.

A shard is a file of chunks with an index at its end (the sharding codec of the Zarr
specification). Only metadata and indexes are read here, without the zarr library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from seaice.cube.shards import (
    Layout,
    key_separator,
    layout_of,
    read_index,
)
from seaice.runtime.json_files import parse_json
from seaice.training.chunks.table import ChunkDamage, ChunkLocations, Tiling
from seaice.training.chunks.watched_file import FileState, WatchedFile, make_changed_cube_error


class ZarrChunkTable:
    """Table of the chunks of a variable of a Zarr group with one file for every day.

    Parameters
    ----------
    tiling : Tiling
    folder : Path
        Folder of the array, absolute.
    separator : str
        Separator in the names of the files: ``c/7/0/0`` or ``c.7.0.0``.
    state : FileState
        State of the group's ``zarr.json`` when its axes were read.
    """

    def __init__(self, tiling: Tiling, folder: Path, separator: str, state: FileState) -> None:
        self.tiling = tiling
        self._folder, self._separator, self._state = folder, separator, state

    def check(self) -> None:
        """Raise InputError if the group was written to or replaced since it was listed."""
        try:
            unchanged = FileState.read(self._folder.parent / "zarr.json") == self._state
        except FileNotFoundError:
            unchanged = False
        if not unchanged:
            raise make_changed_cube_error(self._folder.parent)

    def locate(self, day: int) -> ChunkLocations:
        """Locate the chunks of the day at a position of the time axis.

        Raises
        ------
        OSError
            If the file is cut off or its index does not fit its checksum.
        ChunkDamage
            If the file of the day is absent although this toolbox wrote the cube.
        """
        path = self._folder / self._separator.join(["c", str(day), "0", "0"])
        tiles = self.tiling.tile_counts[0] * self.tiling.tile_counts[1]
        try:
            file = WatchedFile(path)
        except FileNotFoundError:
            # Other writers leave out a shard without values. This toolbox writes every shard, with
            # dots in its name, so here the file was lost.
            if self._separator == ".":
                raise ChunkDamage(f"{path} is not there") from None
            return _locate_no_chunk(WatchedFile(self._folder / "zarr.json"), tiles)
        offset, size = read_index(file.get_handle(), tiles, path).T
        return ChunkLocations(file, offset, size, np.zeros(tiles, np.uint32))

    def close(self) -> None:
        """Do nothing: no file stays open between two reads."""


def _locate_no_chunk(file: WatchedFile, tiles: int) -> ChunkLocations:
    """Return the locations of a day without any stored chunk."""
    zeros = np.zeros(tiles, np.int64)
    return ChunkLocations(file, zeros, zeros - 1, zeros.astype(np.uint32))


def list_zarr_chunks(path: Path, name: str, state: FileState) -> ZarrChunkTable | None:
    """Make the chunk table of a variable of a Zarr v3 group from its metadata.

    Parameters
    ----------
    path : Path
        Folder of the group, absolute.
    name : str
        Name of the variable.
    state : FileState
        State of the group's ``zarr.json`` when its axes were read.

    Returns
    -------
    ZarrChunkTable or None
        None if a library has to read the variable: a day is not one shard over the whole grid, the
        tiles are compressed otherwise than with zstd or gzip, or the metadata cannot be read.
    """
    try:
        stored = parse_json((path / name / "zarr.json").read_text(encoding="utf-8"))
        layout, separator = layout_of(stored), key_separator(stored)
        tiling = _read_tiling(name, stored, layout) if layout else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return ZarrChunkTable(tiling, path / name, separator, state) if tiling and separator else None


def _read_tiling(name: str, stored: dict[str, Any], layout: Layout) -> Tiling | None:
    """Read the tiling of an array from its metadata; None if a library has to read the array."""
    attributes = stored["attributes"]
    packed = {"scale_factor", "_FillValue"} <= set(attributes)
    if len(stored["shape"]) != 3 or layout.dtype != ("int16" if packed else "uint8"):
        return None
    return Tiling(
        name=name,
        shape=tuple(stored["shape"]),
        tile=layout.tile,
        dtype="<i2" if packed else "|u1",
        fill=int(layout.fill),
        filters=(layout.codec,) if layout.codec else (),
        scale=float(attributes["scale_factor"]) if packed else None,
        missing=int(attributes["_FillValue"]) if packed else None,
    )
