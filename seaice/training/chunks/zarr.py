"""The chunks of a variable of a Zarr v3 group whose days are one shard each.

A shard is a file of chunks with an index at its end (the sharding codec of the Zarr
specification). Only its metadata and its bytes are looked at here, no library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from seaice.cube.shards import (
    Layout,
    key_separator,
    layout_of,
    read_index,
)
from seaice.training.chunks.netcdf import (
    ChunkDamage,
    Places,
    Tiling,
)
from seaice.training.chunks.watched_file import (
    FileState,
    WatchedFile,
    another_cube,
)


class ShardChunks:
    """The chunks of a variable of a Zarr group, one file a day.

    Parameters
    ----------
    tiling : Tiling
    folder : Path
        Of the array, absolute.
    separator : str
        Between the parts of a file's name: ``c/7/0/0`` or ``c.7.0.0``.
    state : FileState
        Of the group's ``zarr.json`` when its axes were read.
    """

    def __init__(self, tiling: Tiling, folder: Path, separator: str, state: FileState) -> None:
        self.tiling = tiling
        self._folder, self._separator, self._state = folder, separator, state

    def check(self) -> None:
        """Raise InputError if the group was written to or replaced since it was listed."""
        try:
            same = FileState.of(self._folder.parent / "zarr.json") == self._state
        except FileNotFoundError:
            same = False
        if not same:
            raise another_cube(self._folder.parent)

    def places(self, day: int) -> Places:
        """The chunks of the day at a position.

        Raises
        ------
        OSError
            If the file is cut off or its index does not fit its checksum.
        ChunkDamage
            If a cube of this toolbox has lost the file.
        """
        path = self._folder / self._separator.join(["c", str(day), "0", "0"])
        tiles = self.tiling.tiles[0] * self.tiling.tiles[1]
        try:
            file = WatchedFile(path)
        except FileNotFoundError:
            # This toolbox joins the names with dots and writes every shard: this one is lost.
            if self._separator == ".":
                raise ChunkDamage(f"{path} is not there") from None
            return _nothing(WatchedFile(self._folder / "zarr.json"), tiles)
        offset, size = read_index(file.handle(), tiles, path).T
        return Places(file, offset, size, np.zeros(tiles, np.uint32))

    def close(self) -> None:
        """Nothing is held open between two reads."""


def _nothing(file: WatchedFile, tiles: int) -> Places:
    none = np.zeros(tiles, np.int64)
    return Places(file, none, none - 1, none.astype(np.uint32))


def list_shards(path: Path, name: str, state: FileState) -> ShardChunks | None:
    """Look at the metadata of a variable of a Zarr v3 group.

    Parameters
    ----------
    path : Path
        Folder of the group, absolute.
    name : str
    state : FileState
        Of its ``zarr.json`` when its axes were read.

    Returns
    -------
    ShardChunks or None
        None where a day is not one shard over the whole grid of tiles that are compressed
        with zstd or gzip or not at all, or the metadata cannot be read.
    """
    try:
        stored = json.loads((path / name / "zarr.json").read_text(encoding="utf-8"))
        layout, separator = layout_of(stored), key_separator(stored)
        tiling = _tiling(name, stored, layout) if layout else None
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return ShardChunks(tiling, path / name, separator, state) if tiling and separator else None


def _tiling(name: str, stored: dict[str, Any], layout: Layout) -> Tiling | None:
    """The tiling of an array of a day to a shard; None if it is another library's business."""
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
