"""Days out of the chunks of a file: what lies together is read at once, and decoded into place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.runtime.threads import each
from seaice.training.chunks.netcdf import (
    ChunkDamage,
    ChunkTable,
)
from seaice.training.chunks.requests import (
    FrameRequest,
    paint_codes,
)
from seaice.training.chunks.watched_file import WatchedFile

# One read and one thread's unit of work: large for a disk, small enough to share out evenly.
_RUN_BYTES = 1 << 19
# What a tile that is not read counts for in that.
_BLANK_COST = _RUN_BYTES // 8
# The shards of so many days are open at once.
_DAYS_AT_ONCE = 64

_NO_LAND, _SOME_LAND, _ALL_LAND = 0, 1, 2


class _Cut(NamedTuple):
    """The part of a tile that some frames take: row, column, to_row, to_column, height, width."""

    tile: int
    where: tuple[int, ...]
    land: int


class _Target(NamedTuple):
    """Where a part of a tile goes."""

    frames: FrameRequest
    number: int
    cut: _Cut


class _Chunk(NamedTuple):
    """A tile of a day and all that is made of it; a size below 0 is one that is not read."""

    file: WatchedFile
    offset: int
    size: int
    skipped: int
    day: int
    targets: list[_Target]


class TileSource:
    """A variable of a cube, chunk by chunk. Every chunk is read and decoded once a request.

    Parameters
    ----------
    table : ChunkTable
    path : Path
        Of the cube, for messages.
    dates : sequence of date
        Of the cube's time axis, for messages.
    land : ndarray of bool, shape (rows, columns)
        Of the whole grid. Tiles wholly of land are not read where land is put in anyway.

    Attributes
    ----------
    values : ndarray of float32, optional
        See :class:`seaice.training.chunks.requests.Source`.
    """

    def __init__(self, table: ChunkTable, path: Path, dates: Sequence[date], land: np.ndarray) -> None:
        self._table, self._path, self._dates = table, path, list(dates)
        self.values = table.tiling.values()
        self._land = _land_of_tiles(land, table.tiling.tile)

    @property
    def codes(self) -> np.dtype[np.unsignedinteger]:
        """Type of the numbers in a look-up table."""
        return self._table.tiling.codes

    def read(self, frames: Sequence[FrameRequest], threads: int) -> None:
        """Fill ``out`` of all the frames.

        Raises
        ------
        InputError
            If the cube was changed since, or is damaged.
        """
        self._table.check()
        wanted = self._wanted(frames)
        days = sorted(wanted)
        for first in range(0, len(days), _DAYS_AT_ONCE):
            chunks = [
                c for day in days[first : first + _DAYS_AT_ONCE] for c in self._chunks(day, wanted[day])
            ]
            runs = list(_runs(chunks))
            for run in runs:
                if run[0].size >= 0:
                    run[0].file.expect(run[0].offset, _bytes(run))
            height, width = self._table.tiling.tile
            each(self._decode, runs, threads, len(chunks) * height * width)

    def close(self) -> None:
        """Let go of what this process holds open."""
        self._table.close()

    def _wanted(self, frames: Sequence[FrameRequest]) -> dict[int, dict[int, list[_Target]]]:
        """By day and tile: everything that is made of it."""
        wanted: dict[int, dict[int, list[_Target]]] = {}
        for some in frames:
            cuts = self._cuts(some.rows, some.columns)
            for number, day in enumerate(some.days):
                tiles = wanted.setdefault(int(day), {})
                for cut in cuts:
                    tiles.setdefault(cut.tile, []).append(_Target(some, number, cut))
        return wanted

    def _cuts(self, rows: slice, columns: slice) -> list[_Cut]:
        height, width = self._table.tiling.tile
        across = self._table.tiling.tiles[1]
        cuts = []
        for i, row, to_row, high in _pieces(rows, height):
            for j, column, to_column, wide in _pieces(columns, width):
                tile = i * across + j
                cuts.append(_Cut(tile, (row, column, to_row, to_column, high, wide), self._land[tile]))
        return cuts

    def _chunks(self, day: int, tiles: dict[int, list[_Target]]) -> list[_Chunk]:
        try:
            places = self._table.places(day)
        except (ChunkDamage, OSError) as error:
            raise self._damaged(day, error) from None
        chunks = []
        for tile, targets in tiles.items():
            dry = all(t.cut.land == _ALL_LAND and t.frames.land is not None for t in targets)
            size = -1 if dry else int(places.size[tile])
            place = int(places.offset[tile]), size, int(places.skipped[tile])
            chunks.append(_Chunk(places.file, *place, day, targets))
        return chunks

    def _decode(self, run: Sequence[_Chunk]) -> None:
        """Read adjoining chunks, and paint what they hold; or what chunks without content stand for."""
        from seaice.training.chunks import _kernels

        tiling = self._table.tiling
        first = run[0]
        if first.size < 0:
            blank = np.full(tiling.tile, np.array(tiling.fill).astype(tiling.codes), tiling.codes)
            for chunk in run:
                for target in chunk.targets:
                    _paint(_kernels.look_up, target, blank)
            return
        day = first.day
        try:
            data = memoryview(first.file.read(first.offset, _bytes(run)))
            for chunk in run:
                day, begin = chunk.day, chunk.offset - first.offset
                cells, shuffled = tiling.decode(data[begin : begin + chunk.size], chunk.skipped)
                for target in chunk.targets:
                    if shuffled:
                        _paint(_kernels.look_up_shuffled, target, cells, tiling.tile[1])
                    else:
                        _paint(_kernels.look_up, target, cells.view(tiling.codes).reshape(tiling.tile))
        except (ChunkDamage, OSError) as error:
            raise self._damaged(day, error) from None

    def _damaged(self, day: int, error: Exception) -> InputError:
        return InputError(
            f"{self._path} is damaged: {self._table.tiling.name} cannot be read at {self._dates[day]} "
            f"({error}); make the cube again with consolidate_data.py --force"
        )


def _paint(look_up, target: _Target, *codes) -> None:  # type: ignore[no-untyped-def]
    cut = target.cut
    paint_codes(look_up, target.frames, target.number, cut.where, *codes, land=cut.land != _NO_LAND)


def _pieces(part: slice, tile: int) -> list[tuple[int, int, int, int]]:
    """Every tile that a range touches: its number, first cell in the tile and in the range, length."""
    pieces = []
    for number in range(part.start // tile, -(-part.stop // tile)):
        first, last = max(part.start, number * tile), min(part.stop, (number + 1) * tile)
        pieces.append((number, first - number * tile, first - part.start, last - first))
    return pieces


def _land_of_tiles(land: np.ndarray, tile: tuple[int, int]) -> list[int]:
    """Whether a tile holds no land, some, or nothing else; row by row of tiles."""
    height, width = tile
    kinds = []
    for row in range(0, land.shape[0], height):
        for column in range(0, land.shape[1], width):
            part = land[row : row + height, column : column + width]
            kinds.append(_ALL_LAND if part.all() else _SOME_LAND if part.any() else _NO_LAND)
    return kinds


def _runs(chunks: Iterable[_Chunk]) -> Iterator[list[_Chunk]]:
    """Chunks that adjoin in their file, up to a size; those that are not read by themselves."""
    run: list[_Chunk] = []
    total = 0
    for chunk in sorted(chunks, key=lambda c: (c.size >= 0, id(c.file), c.offset)):
        cost = chunk.size if chunk.size >= 0 else _BLANK_COST
        if run and not (_adjoin(run[-1], chunk) and total + cost <= _RUN_BYTES):
            yield run
            run, total = [], 0
        run.append(chunk)
        total += cost
    if run:
        yield run


def _bytes(run: Sequence[_Chunk]) -> int:
    return sum(chunk.size for chunk in run)


def _adjoin(one: _Chunk, other: _Chunk) -> bool:
    if one.size < 0 or other.size < 0:
        return one.size < 0 and other.size < 0
    return one.file is other.file and one.offset + one.size == other.offset
