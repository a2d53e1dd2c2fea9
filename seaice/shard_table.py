"""The chunks of a variable of a Zarr v3 group whose days are one shard each.

A shard is a file of chunks with an index at its end (the sharding codec of the Zarr
specification). Only its metadata and its bytes are looked at here, no library.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from seaice.chunk_table import ChunkDamage, Filter, Places, Tiling
from seaice.loading.watched_file import FileState, WatchedFile, another_cube

_CODECS: dict[str, tuple[Filter, ...]] = {"": (), "gzip": ("gzip",), "zstd": ("zstd",)}
_CHECKSUM = 4  # bytes of the CRC-32C behind the index


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
        ChunkDamage
            If the file is cut off, its index does not fit its checksum, or a cube of this
            toolbox has lost it.
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
        file.handle()
        # A chunk that was not stored has 2**64 - 1 here, which is -1 when read with a sign.
        offset, size = _index(file, tiles).T
        return Places(file, offset, size, np.zeros(tiles, np.uint32))

    def close(self) -> None:
        """Nothing is held open between two reads."""


def _nothing(file: WatchedFile, tiles: int) -> Places:
    none = np.zeros(tiles, np.int64)
    return Places(file, none, none - 1, none.astype(np.uint32))


def _index(file: WatchedFile, tiles: int) -> np.ndarray:
    from seaice.loading import _kernels

    length = 16 * tiles + _CHECKSUM
    table = file.read(max(0, file.state.size - length), length)
    stored = int.from_bytes(table[-_CHECKSUM:], "little")
    content = np.frombuffer(table[:-_CHECKSUM], np.uint8)
    if len(table) < length or _kernels.crc32c(content) != stored:
        raise ChunkDamage(f"the index of {file.path} does not fit its checksum")
    return content.view("<i8").reshape(tiles, 2)


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
        tiling = _tiling(name, stored)
        separator = stored["chunk_key_encoding"].get("configuration", {}).get("separator", "/")
        known = stored["chunk_key_encoding"]["name"] == "default"
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    return ShardChunks(tiling, path / name, separator, state) if tiling and known else None


def _tiling(name: str, stored: dict[str, Any]) -> Tiling | None:
    """The tiling that an array's metadata describe; None if it is another library's business."""
    (sharding,) = stored["codecs"]
    inner = sharding["configuration"]
    attributes = stored["attributes"]
    packed = {"scale_factor", "_FillValue"} <= set(attributes)
    order, *compression = inner["codecs"]
    codec = "+".join(c["name"] for c in compression)
    tiling = Tiling(
        name=name,
        shape=tuple(stored["shape"]),
        tile=tuple(inner["chunk_shape"][1:]),
        dtype="<i2" if packed else "|u1",
        fill=int(stored["fill_value"]),
        filters=_CODECS[codec],
        scale=float(attributes["scale_factor"]) if packed else None,
        missing=int(attributes["_FillValue"]) if packed else None,
    )
    shard = [1, *(n * cells for n, cells in zip(tiling.tiles, tiling.tile, strict=True))]
    usual = (
        sharding["name"] == "sharding_indexed"
        and order["name"] == "bytes"
        and order.get("configuration", {}).get("endian", "little") == "little"
        and [c["name"] for c in inner["index_codecs"]] == ["bytes", "crc32c"]
        and inner.get("index_location", "end") == "end"
        and stored["data_type"] == ("int16" if packed else "uint8")
        and inner["chunk_shape"][0] == 1
        and list(stored["chunk_grid"]["configuration"]["chunk_shape"]) == shard
        and not stored.get("storage_transformers")
    )
    return tiling if usual else None
