"""Shards of Zarr v3: the encoded chunks of one day in one file, an index with checksum at its end.

The sharding codec of the Zarr specification (``sharding_indexed``), for the layout that
:mod:`seaice.cube_zarr` writes: a shard spans the whole grid. Reading here costs a tenth of
a millisecond where zarr-python takes several for the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# No folder for every day: "c.7.0.0", not "c/7/0/0". Readers take it from the metadata.
CHUNK_KEYS: dict[str, Any] = {"name": "default", "separator": "."}

_ABSENT = 2**64 - 1  # offset and length of a chunk that was not stored
_CHECKSUM = 4  # bytes of the CRC32C behind the index


@dataclass(frozen=True)
class Layout:
    """How the grid lies in a shard.

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

    @property
    def index_bytes(self) -> int:
        """Size of the index with its checksum."""
        return 16 * self.tiles[0] * self.tiles[1] + _CHECKSUM


def layout_of(metadata: Any) -> Layout | None:
    """The layout of an array whose shards span the grid; None if it is another's.

    Parameters
    ----------
    metadata : zarr.core.metadata.ArrayV3Metadata
    """
    stored = metadata.to_dict()
    codec = stored["codecs"][0]
    inner = [c["name"] for c in codec.get("configuration", {}).get("codecs", ())]
    if codec["name"] != "sharding_indexed" or not has_own_keys(metadata) or inner[:1] != ["bytes"]:
        return None
    sharding = codec["configuration"]
    outer, tile = stored["chunk_grid"]["configuration"]["chunk_shape"], sharding["chunk_shape"]
    layout = Layout(
        grid=tuple(stored["shape"][-2:]),
        tile=tuple(tile[-2:]),
        dtype=stored["data_type"],
        codec="".join(inner[1:]),
        fill=metadata.fill_value,
    )
    as_written = (
        layout.codec in ("zstd", "gzip", "")
        and outer[-2:] == layout.shard
        and set(outer[:-2]) <= {1}
        and sharding["codecs"][0].get("configuration", {}).get("endian", "little") == "little"
        and [c["name"] for c in sharding["index_codecs"]] == ["bytes", "crc32c"]
        and sharding["index_location"] == "end"
        and len(stored["codecs"]) == 1
    )
    return layout if as_written else None


def has_own_keys(metadata: Any) -> bool:
    """Whether the chunk files of an array are named as this module names them."""
    keys = metadata.to_dict()["chunk_key_encoding"]
    return bool(keys.get("configuration", {}).get("separator") == CHUNK_KEYS["separator"])


def write_shard(path: Path, chunks: Sequence[bytes]) -> None:
    """Write a shard of encoded chunks, row by row of tiles; it appears whole or not at all.

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
        index = _read_index(handle, layout, path)
        for i, inner_rows, outer_rows in _pieces(rows, layout.tile[0]):
            for j, inner_columns, outer_columns in _pieces(columns, layout.tile[1]):
                offset, length = map(int, index[i, j])
                target = out[outer_rows, outer_columns]
                if offset == length == _ABSENT:
                    target[...] = layout.fill
                    continue
                tile = _decoded(os.pread(handle, length, offset), layout, path)
                target[...] = tile[inner_rows, inner_columns]
    finally:
        os.close(handle)


def _read_index(handle: int, layout: Layout, path: Path) -> np.ndarray:
    from google_crc32c import value as crc32c

    size = os.fstat(handle).st_size
    table = os.pread(handle, layout.index_bytes, max(0, size - layout.index_bytes))
    index, checksum = table[:-_CHECKSUM], table[-_CHECKSUM:]
    if len(table) < layout.index_bytes or crc32c(index) != int.from_bytes(checksum, "little"):
        raise OSError(f"{path} is truncated or damaged: its index does not fit its checksum")
    return np.frombuffer(index, "<u8").reshape(*layout.tiles, 2)


def _pieces(part: slice, tile: int) -> list[tuple[int, slice, slice]]:
    """Number of every tile that a range touches, its cells in the tile and in the range."""
    pieces = []
    for number in range(part.start // tile, -(-part.stop // tile)):
        first, last = max(part.start, number * tile), min(part.stop, (number + 1) * tile)
        inner = slice(first - number * tile, last - number * tile)
        pieces.append((number, inner, slice(first - part.start, last - part.start)))
    return pieces


def _decoded(chunk: bytes, layout: Layout, path: Path) -> np.ndarray:
    from isal import isal_zlib

    damaged: Any = isal_zlib.error  # of a type that is neither of the others
    size = layout.tile[0] * layout.tile[1] * np.dtype(layout.dtype).itemsize
    try:
        if layout.codec == "zstd":
            from numcodecs.zstd import Zstd

            chunk = Zstd().decode(chunk)
        elif layout.codec == "gzip":
            chunk = isal_zlib.decompress(chunk, 31, size)
        return np.frombuffer(chunk, np.dtype(layout.dtype).newbyteorder("<")).reshape(layout.tile)
    except (RuntimeError, ValueError, EOFError, damaged) as error:
        raise OSError(f"{path} is damaged: {error}") from None
