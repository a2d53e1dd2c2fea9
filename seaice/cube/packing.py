"""Packing filled days into the chunks of a cube: rounding, shuffling, compressing.

A day of a gridded variable is cut into tiles, row by row from the first. Each becomes one
chunk in exactly the bytes that the file stores, so that the cube is put together by copying.
The tiles of a day are packed in parallel.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.flags import FillFlag
from seaice.gapfill import Filled, expected_error
from seaice.gapfill.ocean_cells import OceanCells
from seaice.runtime.threads import for_each

PACKED = ("sea_ice_conc", "fill_flag", "days_back_forward", "sea_ice_conc_error")
COMPRESSIONS = ("zlib", "zstd", "none")
# A higher level costs several times as much and saves a few percent of the file.
LEVEL = 1
# Flag, days and error of land.
_ON_LAND = np.array([FillFlag.LAND, 0, expected_error.NONE], np.uint8).reshape(3, 1, 1)


@dataclass(frozen=True)
class Packing:
    """How the daily fields of a cube become chunks.

    Attributes
    ----------
    compression : str
        One of ``COMPRESSIONS``.
    zarr : bool
        Zarr v3 instead of NetCDF-4. Zarr has no shuffle of its own, and its deflate is gzip.
    shape, tile : (int, int)
        Rows and columns of the grid and of a chunk.
    """

    compression: str
    zarr: bool
    shape: tuple[int, int]
    tile: tuple[int, int]

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise InputError(
                f"expected a compression out of {', '.join(COMPRESSIONS)}, found {self.compression!r}"
            )

    @property
    def shuffled(self) -> bool:
        """Whether the bytes of a concentration are sorted by significance."""
        return self.compression == "zlib" and not self.zarr

    @property
    def corners(self) -> list[tuple[int, int]]:
        """First row and column of every tile, in the order of the chunks."""
        return [
            (y, x)
            for y in range(0, self.shape[0], self.tile[0])
            for x in range(0, self.shape[1], self.tile[1])
        ]

    def compressor(self) -> Callable[[np.ndarray], bytes]:
        """The function that makes a chunk's bytes out of an array in memory order."""
        header = 31 if self.zarr else 15  # gzip or zlib around the same deflate
        if self.compression == "none":  # deflate that only copies: its wrapping has a checksum
            return lambda octets: zlib.compress(octets.data, 0, header)
        if self.compression == "zstd":
            from numcodecs import zstd

            return lambda octets: bytes(zstd.compress(octets, LEVEL, checksum=True))
        from isal import isal_zlib

        return lambda octets: bytes(isal_zlib.compress(octets, LEVEL, header))


def decompress(codec: str, data: bytes | memoryview, size: int) -> bytes | memoryview:
    """Decompress a chunk: the inverse of :meth:`Packing.compressor`.

    Parameters
    ----------
    codec : {"zstd", "gzip", "deflate", ""}
        Name of the compression in the containers; empty is none. Deflate is in the wrapping of zlib.
    data : bytes
        A chunk.
    size : int
        Bytes that are expected.

    Raises
    ------
    ValueError
        If there is another number of bytes or they are damaged; the message says it in few words.
    """
    if codec:
        data = _inflated(codec, data, size)
    if len(data) != size:
        raise ValueError(f"expected {size} bytes in a chunk, found {len(data)}")
    return data


def _inflated(codec: str, data: bytes | memoryview, size: int) -> bytes:
    from isal import isal_zlib

    damage: Any = (isal_zlib.error, RuntimeError, ValueError, EOFError)
    try:
        if codec == "zstd":
            from numcodecs import zstd

            return bytes(zstd.decompress(data))
        # A byte more than there is: a buffer that is full before the checksum is read would be doubled.
        return bytes(isal_zlib.decompress(data, 31 if codec == "gzip" else 15, size + 1))
    except damage as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from None


class PackedDay(NamedTuple):
    """A day, ready to be stored.

    Attributes
    ----------
    chunks : dict of str to list of bytes
        Chunks of all tiles, for every variable in ``PACKED``.
    counts : dict of str to int
        Cells of every flag that occurs, by its meaning, and of ``missing`` and
        ``missing_pole_hole``: ocean that is still missing, outside the pole hole and in it.
    """

    chunks: dict[str, list[bytes]]
    counts: dict[str, int]


class Packer:
    """Packs the filled days of a grid.

    A tile in which nothing was missing has the same flags, days and errors on every such day, and
    one without ocean the same concentration too: these chunks are made once.

    Parameters
    ----------
    packing : Packing
    cells : OceanCells
        Cells of the days.
    hole : ndarray of bool, shape (rows, columns)
        The pole hole, counted apart.
    """

    def __init__(self, packing: Packing, cells: OceanCells, hole: np.ndarray) -> None:
        self._packing = packing
        self._cells = cells
        self._hole = cells.compress(hole)
        runs = cells.runs(packing.tile)
        self._runs = [runs.of_tile(i)[:-1] for i in range(len(packing.corners))]
        self._compress = packing.compressor()
        self._codes_of_observed: dict[int, list[bytes]] = {}
        self._values_of_land: dict[int, bytes] = {}

    def pack(self, filled: Filled, error: np.ndarray, gaps: np.ndarray) -> PackedDay:
        """Pack a filled day.

        Parameters
        ----------
        filled : Filled
            Filled fields of one day, shape (cells,); values in percent.
        error : ndarray of uint8, shape (cells,)
            As :func:`seaice.gapfill.expected_error.of_cells` gives it.
        gaps : ndarray of int32
            Numbers of the cells that were not observed.
        """
        from seaice.cube import _kernels

        corners, height_width = self._packing.corners, self._packing.tile
        counts = np.zeros((2, 256), np.int64)
        counts[0, FillFlag.OBSERVED] = len(filled.flag) - len(gaps)
        tiled = [-(-n // size) for n, size in zip(self._packing.shape, height_width, strict=True)]
        marks = np.zeros(tiled, bool)
        where = (gaps, self._cells.rows, self._cells.columns)
        _kernels.count_gaps(*where, filled.flag, self._hole, height_width, marks, counts)
        has_gaps = marks.reshape(-1)

        def pack_tile(tile: int) -> list[bytes]:
            values = self._pack_values(tile, corners[tile], filled.values)
            if has_gaps[tile]:
                return [values, *self._pack_codes(tile, corners[tile], filled, error)]
            if tile not in self._codes_of_observed:
                codes = self._pack_codes(tile, corners[tile], filled, error)
                self._codes_of_observed[tile] = codes
            return [values, *self._codes_of_observed[tile]]

        tiles = for_each(pack_tile, range(len(corners)))
        chunks = dict(zip(PACKED, map(list, zip(*tiles, strict=True)), strict=True))
        return PackedDay(chunks, name_counts(counts))

    def _pack_values(self, tile: int, corner: tuple[int, int], values: np.ndarray) -> bytes:
        from seaice.cube import _kernels

        if tile in self._values_of_land:
            return self._values_of_land[tile]
        runs, packing = self._runs[tile], self._packing
        rule = (0.01 / cf.CONCENTRATION_SCALE, np.int16(cf.CONCENTRATION_FILL))
        if packing.shuffled:
            words = np.empty((2, *packing.tile), np.uint8)
            words[0], words[1] = rule[1] & 0xFF, (rule[1] >> 8) & 0xFF
            _kernels.pack_shuffled(*runs, values, corner, *rule, words)
        else:
            words = np.full(packing.tile, rule[1])
            _kernels.pack(*runs, values, corner, *rule, words)
        chunk = self._compress(words)
        if not len(runs[0]):
            self._values_of_land[tile] = chunk
        return chunk

    def _pack_codes(
        self, tile: int, corner: tuple[int, int], filled: Filled, error: np.ndarray
    ) -> list[bytes]:
        """The chunks of the flags, the days and the errors."""
        from seaice.cube import _kernels

        vectors = (filled.flag, filled.days_back_forward, error)
        octets = np.zeros((len(vectors), *self._packing.tile), np.uint8)
        bottom, right = (n - k for n, k in zip(self._packing.shape, corner, strict=True))
        octets[:, :bottom, :right] = _ON_LAND
        _kernels.cut(*self._runs[tile], vectors, corner, octets)
        return [self._compress(part) for part in octets]


def name_counts(counts: np.ndarray) -> dict[str, int]:
    """Counts of cells by name, see :class:`PackedDay`.

    Parameters
    ----------
    counts : ndarray of int64, shape (2, 256)
        Number of cells by flag; second row: cells of the pole hole that are not filled.
    """
    cells = counts.sum(axis=0)
    by_flag = {flag.meaning: int(cells[flag]) for flag in FillFlag if flag < FillFlag.LAND}
    outside, inside = counts[:, FillFlag.NOT_FILLED].tolist()
    present = {name: count for name, count in by_flag.items() if count}
    return {**present, "missing": outside, "missing_pole_hole": inside}
