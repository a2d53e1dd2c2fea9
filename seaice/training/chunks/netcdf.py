"""Where every chunk of a gridded cube variable lies, so that it can be read past the library.

A table is listed once. For a NetCDF file that is a walk over HDF5's own index; the shards
of a Zarr group (:mod:`seaice.training.chunks.zarr`) carry an index each.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from seaice.cube.packing import decompress
from seaice.open_file import open_hdf5
from seaice.training.chunks.watched_file import (
    FileState,
    WatchedFile,
)

Filter = Literal["shuffle", "deflate", "zstd"]

# By HDF5's registered numbers; a pipeline of any other kind is left to the library.
_FILTERS: dict[int, Filter] = {1: "deflate", 2: "shuffle", 32015: "zstd"}
_PIPELINES = ((), ("deflate",), ("zstd",), ("shuffle",), ("shuffle", "deflate"), ("shuffle", "zstd"))


class ChunkDamage(Exception):
    """A chunk cannot be decoded; the message says why, in few words."""


@dataclass(frozen=True)
class Tiling:
    """How a gridded variable is cut into chunks one day deep, and how they are coded.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Days, rows and columns.
    tile : tuple of int
        Rows and columns of a chunk. The tiles at the far edges reach beyond the grid.
    dtype : str
        ``<i2`` or ``|u1``.
    fill : int
        Value of chunks that were never written.
    filters : tuple of str
        As they were applied when writing; at most one besides ``shuffle``.
    scale, missing : float and int, optional
        Of packed values: the scale factor and the code of NaN.
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
    def tiles(self) -> tuple[int, int]:
        """Rows and columns of tiles."""
        return -(-self.shape[1] // self.tile[0]), -(-self.shape[2] // self.tile[1])

    @cached_property
    def codes(self) -> np.dtype[Any]:
        """Unsigned integers of the stored width: the number of a value in a look-up table."""
        return np.dtype("<u2" if self.dtype == "<i2" else "u1")

    @cached_property
    def tile_bytes(self) -> int:
        """Size of a decoded chunk."""
        return self.tile[0] * self.tile[1] * self.codes.itemsize

    def values(self) -> np.ndarray | None:
        """What every code stands for, float32 (65536,) with NaN; None where nothing is packed."""
        if self.scale is None or self.missing is None:
            return None
        # The same operations as in CubeFile.concentration, so the same bits.
        packed = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
        values = packed * np.float32(self.scale)
        values[packed == self.missing] = np.nan
        return values

    def decode(self, data: bytes | memoryview, skipped: int) -> tuple[np.ndarray, bool]:
        """Undo the filters but the shuffle.

        Parameters
        ----------
        data : bytes
            A chunk as stored.
        skipped : int
            Bit i is set where filter i was not applied to this chunk.

        Returns
        -------
        cells : ndarray of uint8, shape (tile_bytes,)
        shuffled : bool
            Whether the bytes are still in the order of the shuffle filter.

        Raises
        ------
        ChunkDamage
        """
        applied = [f for i, f in enumerate(self.filters) if not skipped >> i & 1]
        codec = next((f for f in applied if f != "shuffle"), "")
        try:
            cells = decompress(codec, data, self.tile_bytes)
        except ValueError as error:
            raise ChunkDamage(str(error)) from None
        return np.frombuffer(cells, np.uint8), "shuffle" in applied and self.codes.itemsize > 1


class Places(NamedTuple):
    """The stored chunks of one day.

    Attributes
    ----------
    file : WatchedFile
        Open in this process; it stays so as long as this is held.
    offset, size : ndarray of int64, shape (tiles,)
        Row by row of tiles; a size below 0 is a chunk that was never written.
    skipped : ndarray of uint32, shape (tiles,)
        See :meth:`Tiling.decode`.
    """

    file: WatchedFile
    offset: np.ndarray
    size: np.ndarray
    skipped: np.ndarray


class ChunkTable(Protocol):
    """The chunks of one variable of a cube.

    Attributes
    ----------
    tiling : Tiling
    """

    tiling: Tiling

    def check(self) -> None:
        """Raise InputError if the cube is not the one that was listed."""

    def places(self, day: int) -> Places:
        """The chunks of the day at a position; ChunkDamage or OSError if they cannot be told."""

    def close(self) -> None:
        """Let go of what this process holds open."""


class FileChunks:
    """The chunks of a variable of a NetCDF file.

    Parameters
    ----------
    tiling : Tiling
    file : WatchedFile
    offset, size : ndarray of int64, shape (days, tiles)
    skipped : ndarray of uint32, shape (days, tiles)
    """

    def __init__(
        self,
        tiling: Tiling,
        file: WatchedFile,
        offset: np.ndarray,
        size: np.ndarray,
        skipped: np.ndarray,
    ) -> None:
        self.tiling = tiling
        self._file, self._offset, self._size, self._skipped = file, offset, size, skipped

    def check(self) -> None:
        """Raise InputError if the file was changed or replaced since it was listed."""
        self._file.handle()

    def places(self, day: int) -> Places:
        """The chunks of the day at a position."""
        return Places(self._file, self._offset[day], self._size[day], self._skipped[day])

    def close(self) -> None:
        """Close this process's descriptor."""
        self._file.close()


def list_chunks(path: Path, name: str, state: FileState) -> FileChunks | None:
    """List the chunks of a variable of a NetCDF file.

    Parameters
    ----------
    path : Path
        Absolute.
    name : str
        ``sea_ice_conc`` or ``fill_flag``.
    state : FileState
        The file as it was when its axes were read.

    Returns
    -------
    FileChunks or None
        None for a layout that is left to the NetCDF library: other than one day deep,
        other types or filters, or an index that cannot be read.
    """
    try:
        with open_hdf5(path) as file:
            tiling = _tiling(file, name)
            if tiling is None:
                return None
            found: list[tuple[int, ...]] = []
            file[name].id.chunk_iter(
                lambda c: found.append((*c.chunk_offset, c.byte_offset, c.size, c.filter_mask))
            )
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return None
    return FileChunks(tiling, WatchedFile(path, state), *_arranged(tiling, found))


def _arranged(tiling: Tiling, found: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    days, (rows, columns) = tiling.shape[0], tiling.tiles
    offset = np.zeros((days, rows * columns), np.int64)
    size = np.full(offset.shape, -1, np.int64)
    skipped = np.zeros(offset.shape, np.uint32)
    if found:
        day, row, column, begin, length, mask = np.array(found, np.int64).T
        place = (day, row // tiling.tile[0] * columns + column // tiling.tile[1])
        offset[place], size[place], skipped[place] = begin, length, mask
    return offset, size, skipped


def _tiling(file: Any, name: str) -> Tiling | None:
    """The tiling of an open h5py file's variable; None if it is to be left to the library."""
    dataset = file[name]
    creation = dataset.id.get_create_plist()
    filters = tuple(_FILTERS.get(creation.get_filter(i)[0]) for i in range(creation.get_nfilters()))
    packed = {"scale_factor", "_FillValue"} <= set(dataset.attrs)
    if (
        dataset.chunks is None
        or len(dataset.shape) != 3
        or dataset.chunks[0] != 1
        or dataset.dtype != np.dtype("<i2" if packed else "u1")
        or filters not in _PIPELINES
        or file.userblock_size
    ):
        return None
    return Tiling(
        name=name,
        shape=tuple(dataset.shape),
        tile=tuple(dataset.chunks[1:]),
        dtype="<i2" if packed else "|u1",
        fill=int(dataset.fillvalue),
        filters=tuple(f for f in filters if f is not None),
        scale=float(np.asarray(dataset.attrs["scale_factor"]).item()) if packed else None,
        missing=int(np.asarray(dataset.attrs["_FillValue"]).item()) if packed else None,
    )
