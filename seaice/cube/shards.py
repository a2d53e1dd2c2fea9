"""Shards of Zarr v3: the encoded chunks of one day in one file, an index with checksum at its end.

The sharding codec of the Zarr specification (``sharding_indexed``), for the layout that
:mod:`seaice.cube.zarr` writes: a shard spans the whole grid. Reading here costs a tenth of
a millisecond where zarr-python takes several for the same bytes.

A shard is the encoded chunks one after the other, then a table of offset and size (two little-endian
unsigned 64-bit numbers for each chunk), then the CRC32C checksum of the table in four bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice.cube.packing import decompress

# No folder for every day: "c.7.0.0", not "c/7/0/0". Readers take it from the metadata.
CHUNK_KEYS: dict[str, Any] = {"name": "default", "separator": "."}

_CHECKSUM = 4  # bytes of the CRC32C behind the index


@dataclass(frozen=True)
class Layout:
    """How a grid is divided into the chunks of a shard.

    Attributes
    ----------
    grid : tuple of int
        Rows and columns of the grid. The tiles at its far edges reach beyond it.
    tile : tuple of int
        Rows and columns of a chunk.
    dtype : str
        NumPy name of the stored type, little-endian.
    codec : {"zstd", "gzip", ""}
        Name of the codec behind the bytes; empty is none.
    fill : int or float
        Value of chunks that are not stored.
    """

    grid: tuple[int, int]
    tile: tuple[int, int]
    dtype: str
    codec: str
    fill: float

    @property
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        (rows, columns), (height, width) = self.grid, self.tile
        return -(-rows // height), -(-columns // width)

    @property
    def shard(self) -> tuple[int, int]:
        """Rows and columns of a shard, whole tiles."""
        return self.tiles[0] * self.tile[0], self.tiles[1] * self.tile[1]


def layout_of(stored: Mapping[str, Any]) -> Layout | None:
    """The layout of an array whose shards span the grid, one to a file; None for any other.

    Parameters
    ----------
    stored : mapping
        The array's metadata, as in its ``zarr.json``.
    """
    sharding, *others = stored["codecs"]
    inner = sharding.get("configuration", {})
    codecs = [c["name"] for c in inner.get("codecs", ())]
    if sharding["name"] != "sharding_indexed" or others or codecs[:1] != ["bytes"]:
        return None
    try:
        # NaN is a text in JSON.
        fill = np.dtype(stored["data_type"]).type(stored["fill_value"]).item()
    except (TypeError, ValueError, KeyError, OverflowError):  # a type that NumPy does not have
        return None
    outer = tuple(stored["chunk_grid"]["configuration"]["chunk_shape"])
    layout = Layout(
        grid=tuple(stored["shape"][-2:]),
        tile=tuple(inner["chunk_shape"][-2:]),
        dtype=stored["data_type"],
        codec="+".join(codecs[1:]),
        fill=fill,
    )
    as_written = (
        layout.codec in ("zstd", "gzip", "")
        and outer[-2:] == layout.shard
        and set(outer[:-2]) <= {1}
        and inner["codecs"][0].get("configuration", {}).get("endian", "little") == "little"
        and [c["name"] for c in inner["index_codecs"]] == ["bytes", "crc32c"]
        and inner.get("index_location", "end") == "end"
        and not stored.get("storage_transformers")
    )
    return layout if as_written else None


def key_separator(stored: Mapping[str, Any]) -> str | None:
    """Separator in the names of chunk files, ``c/7/0/0`` or ``c.7.0.0``; None for other names."""
    keys = stored["chunk_key_encoding"]
    if keys["name"] != "default":
        return None
    return str(keys.get("configuration", {}).get("separator", "/"))


def has_own_keys(stored: Mapping[str, Any]) -> bool:
    """Whether the chunk files of an array are named as this toolbox names them."""
    return key_separator(stored) == CHUNK_KEYS["separator"]


def own_layout(array: Any) -> Layout | None:
    """The layout of a zarr.Array that this toolbox wrote; None for any other."""
    stored = array.metadata.to_dict()
    return layout_of(stored) if has_own_keys(stored) else None


def write_shard(path: Path, chunks: Sequence[bytes]) -> None:
    """Write a shard of encoded chunks, row by row of tiles; a stopped write leaves no shard.

    An older file of that name is replaced, never changed: it may be linked from elsewhere.
    """
    from google_crc32c import value as crc32c

    index = np.empty((len(chunks), 2), "<u8")
    index[:, 1] = [len(chunk) for chunk in chunks]
    index[:, 0] = np.cumsum(index[:, 1]) - index[:, 1]
    table = index.tobytes()
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as file:
        file.writelines([*chunks, table, crc32c(table).to_bytes(4, "little")])
    os.replace(temporary, path)


def read_shard(path: Path, layout: Layout, rows: slice, columns: slice, out: np.ndarray) -> None:
    """Read a part of the grid.

    Parameters
    ----------
    path : Path
    layout : Layout
    rows, columns : slice
        Start and stop within the grid.
    out : ndarray, shape (rows, columns)
        Receives the values.

    Raises
    ------
    OSError
        If the file is missing or damaged; the message names it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        index = read_index(handle, layout.tiles[0] * layout.tiles[1], path)
        for i, inner_rows, outer_rows in _pieces(rows, layout.tile[0]):
            for j, inner_columns, outer_columns in _pieces(columns, layout.tile[1]):
                offset, size = index[i * layout.tiles[1] + j].tolist()
                target = out[outer_rows, outer_columns]
                if size < 0:
                    target[...] = layout.fill
                    continue
                tile = _decode(os.pread(handle, size, offset), layout, path)
                target[...] = tile[inner_rows, inner_columns]
    finally:
        os.close(handle)


def read_index(handle: int, tiles: int, path: Path) -> np.ndarray:
    """Read the offsets and sizes of the chunks of a shard.

    Parameters
    ----------
    handle : int
        Descriptor of the open file.
    tiles : int
        Chunks that a shard has.
    path : Path
        Path of the file, for messages.

    Returns
    -------
    ndarray of int64, shape (tiles, 2)
        Offset and size; both are -1 where a chunk was not stored.

    Raises
    ------
    OSError
        If the file is cut off or its index does not fit its checksum.
    """
    from google_crc32c import value as crc32c

    length = 16 * tiles + _CHECKSUM
    table = os.pread(handle, length, max(0, os.fstat(handle).st_size - length))
    index, checksum = table[:-_CHECKSUM], table[-_CHECKSUM:]
    if len(table) < length or crc32c(index) != int.from_bytes(checksum, "little"):
        raise OSError(f"{path} is truncated or damaged: its index does not fit its checksum")
    # A chunk that was not stored has 2**64 - 1 in both columns, all bits set: -1 as a signed number.
    return np.frombuffer(index, "<i8").reshape(tiles, 2)


def _pieces(part: slice, tile: int) -> list[tuple[int, slice, slice]]:
    """Number of every tile that a range touches, its cells in the tile and in the range."""
    pieces = []
    for number in range(part.start // tile, -(-part.stop // tile)):
        first, last = max(part.start, number * tile), min(part.stop, (number + 1) * tile)
        inner = slice(first - number * tile, last - number * tile)
        pieces.append((number, inner, slice(first - part.start, last - part.start)))
    return pieces


def _decode(chunk: bytes, layout: Layout, path: Path) -> np.ndarray:
    dtype = np.dtype(layout.dtype).newbyteorder("<")
    try:
        cells = decompress(layout.codec, chunk, layout.tile[0] * layout.tile[1] * dtype.itemsize)
    except ValueError as error:
        raise OSError(f"{path} is damaged: {error}") from None
    return np.frombuffer(cells, dtype).reshape(layout.tile)
