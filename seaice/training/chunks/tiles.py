"""Source whose days lie in the chunks of a file: neighbouring chunks are read together.

A request is served in three steps. Every tile that a request touches is listed with the parts of
output arrays that get its cells. Chunks that follow each other in a file are joined to runs, so that
a run is one read. Every run is read and decoded by a thread, which writes all parts of its chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.runtime.threads import for_each
from seaice.training.chunks.requests import FrameRequest, apply_lookup
from seaice.training.chunks.table import ChunkDamage, ChunkTable
from seaice.training.chunks.watched_file import WatchedFile

# Bytes that a thread reads and decodes at a time: many for a disk, few enough for even shares.
_RUN_BYTES = 1 << 19
# Bytes that a chunk without a read (never written, or wholly land) counts for in a run.
_BLANK_COST = _RUN_BYTES // 8
# Days of a Zarr cube whose shards are open at the same time.
_DAYS_AT_ONCE = 64

_NO_LAND, _SOME_LAND, _ALL_LAND = 0, 1, 2


class _TilePart(NamedTuple):
    """Part of a tile that a request asks for.

    ``rectangle`` is (row, column, to_row, to_column, height, width): its first cell in the tile and
    in the output array, and its size. ``land`` says how much land the whole tile holds.
    """

    tile: int
    rectangle: tuple[int, ...]
    land: int


class _Target(NamedTuple):
    """Rectangle of an output array, the request it belongs to and the day's index in the request."""

    request: FrameRequest
    number: int
    part: _TilePart


class _Chunk(NamedTuple):
    """Chunk of a day, its location, and all targets that get its cells; not read if size < 0."""

    file: WatchedFile
    offset: int
    size: int
    skipped: int
    day: int
    targets: list[_Target]


class TileSource:
    """Source whose days lie in the chunks of a file; in one call every chunk is decoded once.

    Parameters
    ----------
    table : ChunkTable
    path : Path
        Path of the cube, for messages.
    dates : sequence of date
        Time axis of the cube, for messages.
    land : ndarray of bool, shape (rows, columns)
        Land of the whole grid. A tile wholly of land is not read if the request replaces land.

    Attributes
    ----------
    values : ndarray of float32, optional
        Concentration of every code, see :class:`seaice.training.chunks.requests.FrameSource`.
    """

    def __init__(self, table: ChunkTable, path: Path, dates: Sequence[date], land: np.ndarray) -> None:
        self._table, self._path, self._dates = table, path, list(dates)
        self.values = table.tiling.decode_all_codes()
        self._land = _classify_tiles(land, table.tiling.tile)

    @property
    def code_dtype(self) -> np.dtype[np.unsignedinteger]:
        """Type of the codes, that is, of the indexes of a look-up table."""
        return self._table.tiling.code_dtype

    def read(self, requests: Sequence[FrameRequest], threads: int) -> None:
        """Fill the arrays of all requests.

        Raises
        ------
        InputError
            If the cube was changed since, or is damaged.
        """
        self._table.check()
        targets = self._collect_targets(requests)
        days = sorted(targets)
        for first in range(0, len(days), _DAYS_AT_ONCE):
            some_days = days[first : first + _DAYS_AT_ONCE]
            chunks = [chunk for day in some_days for chunk in self._list_chunks(day, targets[day])]
            runs = list(_join_runs(chunks))
            for run in runs:
                if run[0].size >= 0:
                    run[0].file.prefetch(run[0].offset, _count_bytes(run))
            height, width = self._table.tiling.tile
            for_each(self._decode, runs, threads=threads, cells=len(chunks) * height * width)

    def close(self) -> None:
        """Close what this process holds open."""
        self._table.close()

    def _collect_targets(self, requests: Sequence[FrameRequest]) -> dict[int, dict[int, list[_Target]]]:
        """Collect the targets of all requests by day and by tile."""
        targets: dict[int, dict[int, list[_Target]]] = {}
        for request in requests:
            parts = self._list_tile_parts(request.rows, request.columns)
            for number, day in enumerate(request.days):
                targets_of_day = targets.setdefault(int(day), {})
                for part in parts:
                    targets_of_day.setdefault(part.tile, []).append(_Target(request, number, part))
        return targets

    def _list_tile_parts(self, rows: slice, columns: slice) -> list[_TilePart]:
        height, width = self._table.tiling.tile
        tiles_per_row = self._table.tiling.tile_counts[1]
        parts = []
        for i, row, to_row, part_height in _split_range(rows, height):
            for j, column, to_column, part_width in _split_range(columns, width):
                tile = i * tiles_per_row + j
                rectangle = row, column, to_row, to_column, part_height, part_width
                parts.append(_TilePart(tile, rectangle, self._land[tile]))
        return parts

    def _list_chunks(self, day: int, targets: dict[int, list[_Target]]) -> list[_Chunk]:
        """List the chunks of a day that have targets, with their locations."""
        try:
            locations = self._table.locate(day)
        except (ChunkDamage, OSError) as error:
            raise self._make_damage_error(day, error) from None
        chunks = []
        for tile, of_tile in targets.items():
            only_land = all(t.part.land == _ALL_LAND and t.request.land is not None for t in of_tile)
            size = -1 if only_land else int(locations.size[tile])
            offset, skipped = int(locations.offset[tile]), int(locations.skipped[tile])
            chunks.append(_Chunk(locations.file, offset, size, skipped, day, of_tile))
        return chunks

    def _decode(self, run: Sequence[_Chunk]) -> None:
        """Read a run of chunks and write all their targets; a chunk that is not read is fill values."""
        from seaice.training.chunks import _kernels

        tiling = self._table.tiling
        first = run[0]
        if first.size < 0:
            fill = np.array(tiling.fill).astype(tiling.code_dtype)
            blank = np.full(tiling.tile, fill, tiling.code_dtype)
            for chunk in run:
                for target in chunk.targets:
                    _write_target(_kernels.look_up, target, blank)
            return
        day = first.day
        try:
            data = memoryview(first.file.read(first.offset, _count_bytes(run)))
            for chunk in run:
                day, start = chunk.day, chunk.offset - first.offset
                content, shuffled = tiling.decompress(data[start : start + chunk.size], chunk.skipped)
                for target in chunk.targets:
                    if shuffled:  # the loop undoes the shuffle too, of the cells that it takes
                        _write_target(_kernels.look_up_shuffled, target, content, tiling.tile[1])
                    else:
                        codes = content.view(tiling.code_dtype).reshape(tiling.tile)
                        _write_target(_kernels.look_up, target, codes)
        except (ChunkDamage, OSError) as error:
            raise self._make_damage_error(day, error) from None

    def _make_damage_error(self, day: int, error: Exception) -> InputError:
        return InputError(
            f"{self._path} is damaged: {self._table.tiling.name} cannot be read at {self._dates[day]} "
            f"({error}); make the cube again with consolidate_data.py --force"
        )


def _write_target(loop, target: _Target, *codes) -> None:  # type: ignore[no-untyped-def]
    part = target.part
    may_hold_land = part.land != _NO_LAND
    apply_lookup(
        loop, target.request, target.number, part.rectangle, *codes, may_hold_land=may_hold_land
    )


def _split_range(part: slice, length: int) -> list[tuple[int, int, int, int]]:
    """Split an index range at the edges of tiles.

    Returns
    -------
    list of (tile, first, to_first, count)
        Number of the tile along this axis, first index within the tile and within the range, and
        number of cells.
    """
    pieces = []
    for tile in range(part.start // length, -(-part.stop // length)):
        first, stop = max(part.start, tile * length), min(part.stop, (tile + 1) * length)
        pieces.append((tile, first - tile * length, first - part.start, stop - first))
    return pieces


def _classify_tiles(land: np.ndarray, tile: tuple[int, int]) -> list[int]:
    """Whether every tile holds no land, some land or only land; tiles row by row."""
    height, width = tile
    classes = []
    for row in range(0, land.shape[0], height):
        for column in range(0, land.shape[1], width):
            cells = land[row : row + height, column : column + width]
            classes.append(_ALL_LAND if cells.all() else _SOME_LAND if cells.any() else _NO_LAND)
    return classes


def _join_runs(chunks: Iterable[_Chunk]) -> Iterator[list[_Chunk]]:
    """Join chunks that follow each other in a file, and chunks that are not read, to ``_RUN_BYTES``."""
    run: list[_Chunk] = []
    total = 0
    for chunk in sorted(chunks, key=lambda c: (c.size >= 0, id(c.file), c.offset)):
        cost = chunk.size if chunk.size >= 0 else _BLANK_COST
        if run and not (_belong_together(run[-1], chunk) and total + cost <= _RUN_BYTES):
            yield run
            run, total = [], 0
        run.append(chunk)
        total += cost
    if run:
        yield run


def _count_bytes(run: Sequence[_Chunk]) -> int:
    return sum(chunk.size for chunk in run)


def _belong_together(first: _Chunk, second: _Chunk) -> bool:
    """Whether the second chunk starts where the first ends, or neither is read."""
    if first.size < 0 or second.size < 0:
        return first.size < 0 and second.size < 0
    return first.file is second.file and first.offset + first.size == second.offset
