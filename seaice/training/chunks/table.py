"""Chunk tables: how a variable is cut into chunks, and where they lie in its files.

With a chunk table the chunks are read without the NetCDF library.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from seaice.cube.packing import decompress
from seaice.training.chunks.watched_file import WatchedFile


class ChunkDamage(Exception):
    """Raised when a chunk cannot be decoded; the message gives the reason in few words."""


@dataclass(frozen=True)
class Tiling:
    """Chunks of a variable (time, y, x): each one day deep, one for every tile of the grid.

    Attributes
    ----------
    name : str
        Name of the variable.
    shape : tuple of int
        Number of days, rows and columns.
    tile : tuple of int
        Rows and columns of a tile. Tiles at the last row and column reach beyond the grid.
    dtype : str
        Stored type, ``<i2`` or ``|u1``.
    fill : int
        Stored value of every cell of a chunk that was never written.
    filters : tuple of str
        Filters in the order in which they were applied when the chunk was written: ``shuffle``,
        ``deflate``, ``zstd`` or ``gzip``; at most one besides ``shuffle``.
    scale : float, optional
        Scale factor of packed values.
    missing : int, optional
        Stored value that means NaN, of packed values.
    """

    name: str
    shape: tuple[int, int, int]
    tile: tuple[int, int]
    dtype: str
    fill: int
    filters: tuple[str, ...]
    scale: float | None = None
    missing: int | None = None

    @cached_property
    def tile_counts(self) -> tuple[int, int]:
        """Number of tiles in y and in x."""
        return -(-self.shape[1] // self.tile[0]), -(-self.shape[2] // self.tile[1])

    @cached_property
    def code_dtype(self) -> np.dtype[Any]:
        """Unsigned type of the stored width: as such a number, a code is an index of a look-up table."""
        return np.dtype("<u2" if self.dtype == "<i2" else "u1")

    @cached_property
    def chunk_bytes(self) -> int:
        """Number of bytes of a chunk without compression."""
        return self.tile[0] * self.tile[1] * self.code_dtype.itemsize

    def decode_all_codes(self) -> np.ndarray | None:
        """Return the value of every possible code.

        Returns
        -------
        ndarray of float32, shape (65536,), or None
            Fractions with NaN; None for a variable without packed values.
        """
        if self.scale is None or self.missing is None:
            return None
        # The same operations as in CubeFile.concentration, so that the bits are the same too.
        packed = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
        values = packed * np.float32(self.scale)
        values[packed == self.missing] = np.nan
        return values

    def decompress(self, data: bytes | memoryview, skipped: int) -> tuple[np.ndarray, bool]:
        """Undo all filters of a chunk but the shuffle.

        Parameters
        ----------
        data : bytes
            The chunk as it is stored.
        skipped : int
            Bit i is set if filter i was not applied to this chunk (the filter mask of HDF5).

        Returns
        -------
        content : ndarray of uint8, shape (chunk_bytes,)
        shuffled : bool
            Whether the bytes are still in the order of the shuffle filter.

        Raises
        ------
        ChunkDamage
            If the data cannot be decompressed to the size of a chunk.
        """
        applied = [name for i, name in enumerate(self.filters) if not skipped >> i & 1]
        codec = next((name for name in applied if name != "shuffle"), "")
        try:
            content = decompress(codec, data, self.chunk_bytes)
        except ValueError as error:
            raise ChunkDamage(str(error)) from None
        # The shuffle of one-byte codes changes nothing.
        return np.frombuffer(content, np.uint8), "shuffle" in applied and self.code_dtype.itemsize > 1


class ChunkLocations(NamedTuple):
    """Locations of the stored chunks of one day in their file.

    Attributes
    ----------
    file : WatchedFile
        The file, open in this process as long as this object exists.
    offset, size : ndarray of int64, shape (tiles,)
        First byte and number of bytes of every chunk, tiles row by row. A size below 0 means that
        the chunk was never written.
    skipped : ndarray of uint32, shape (tiles,)
        Filter mask of every chunk, see :meth:`Tiling.decompress`.
    """

    file: WatchedFile
    offset: np.ndarray
    size: np.ndarray
    skipped: np.ndarray


class ChunkTable(Protocol):
    """Table of the chunks of one variable of a cube.

    Attributes
    ----------
    tiling : Tiling
    """

    tiling: Tiling

    def check(self) -> None:
        """Raise InputError if the cube was changed or replaced since it was listed."""

    def locate(self, day: int) -> ChunkLocations:
        """Locate the chunks of the day at a position of the time axis.

        Raises
        ------
        ChunkDamage, OSError
            If the file of the day is absent or its index cannot be read.
        """

    def close(self) -> None:
        """Close what this process holds open; the next call of :meth:`check` opens it again."""
