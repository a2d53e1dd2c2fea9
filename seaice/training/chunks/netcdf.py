"""Chunk table of a NetCDF-4 file: one walk over the index that HDF5 keeps of its chunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice.open_file import open_hdf5
from seaice.training.chunks.table import ChunkLocations, Tiling
from seaice.training.chunks.watched_file import FileState, WatchedFile

Filter = Literal["shuffle", "deflate", "zstd"]

# Filters by their numbers in the HDF5 registry. A variable with any other filter, or with these in
# another order than listed below, is read by the NetCDF library.
_FILTERS: dict[int, Filter] = {1: "deflate", 2: "shuffle", 32015: "zstd"}
_PIPELINES = ((), ("deflate",), ("zstd",), ("shuffle",), ("shuffle", "deflate"), ("shuffle", "zstd"))


class NetCDFChunkTable:
    """Table of the chunks of a variable of a NetCDF-4 file.

    Parameters
    ----------
    tiling : Tiling
    file : WatchedFile
    offset, size : ndarray of int64, shape (days, tiles)
        See :class:`seaice.training.chunks.table.ChunkLocations`.
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
        self._file.get_handle()

    def locate(self, day: int) -> ChunkLocations:
        """Locate the chunks of the day at a position of the time axis."""
        return ChunkLocations(self._file, self._offset[day], self._size[day], self._skipped[day])

    def close(self) -> None:
        """Close the file in this process."""
        self._file.close()


def list_netcdf_chunks(path: Path, name: str, state: FileState) -> NetCDFChunkTable | None:
    """List the chunks of a variable of a NetCDF-4 file.

    Parameters
    ----------
    path : Path
        Absolute.
    name : str
        Name of the variable: ``sea_ice_conc`` or ``fill_flag``.
    state : FileState
        State of the file when its axes were read.

    Returns
    -------
    NetCDFChunkTable or None
        None if the NetCDF library has to read the variable: chunks of several days, other types or
        filters, or an index that cannot be read.
    """
    try:
        with open_hdf5(path) as file:
            tiling = _read_tiling(file, name)
            if tiling is None:
                return None
            chunks: list[tuple[int, ...]] = []
            file[name].id.chunk_iter(
                lambda c: chunks.append((*c.chunk_offset, c.byte_offset, c.size, c.filter_mask))
            )
    except (OSError, KeyError, RuntimeError, TypeError, ValueError):
        return None
    return NetCDFChunkTable(tiling, WatchedFile(path, state), *_arrange_by_tile(tiling, chunks))


def _arrange_by_tile(
    tiling: Tiling, chunks: list[tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sort the entries of HDF5's index into arrays (days, tiles): offset, size and filter mask.

    An entry is the day, row and column of the first cell of a chunk, its offset, size and mask.
    """
    days, (rows, columns) = tiling.shape[0], tiling.tile_counts
    offset = np.zeros((days, rows * columns), np.int64)
    size = np.full(offset.shape, -1, np.int64)
    skipped = np.zeros(offset.shape, np.uint32)
    if chunks:
        day, row, column, first_byte, length, mask = np.array(chunks, np.int64).T
        index = (day, row // tiling.tile[0] * columns + column // tiling.tile[1])
        offset[index], size[index], skipped[index] = first_byte, length, mask
    return offset, size, skipped


def _read_tiling(file: Any, name: str) -> Tiling | None:
    """Read the tiling of a variable of an open h5py file; None if the NetCDF library has to read it."""
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
        or file.userblock_size  # offsets of chunks would not count from the start of the file
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
