"""Drop-in-the-bucket grids: exact statistics of located observations by grid cell.

Every observation falls into the cell that holds it. Statistics are kept for the cells that were
met only, so that granules, days and machines can be combined, exactly and in any order:
combining gives what all observations together would have given.

References
----------
Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample
variances, Stanford STAN-CS-79-773.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from seaice import InputError
from seaice.gridding.projection import cells_of, project
from seaice.grids import Grid
from seaice.runtime import threads

__all__ = [
    "BucketAccumulator",
    "Buckets",
    "MergeTree",
    "bucket_statistics",
    "cells_of",
    "merge_all",
    "project",
]

FIELDS = (
    "count",
    "weight_sum",
    "mean",
    "std",
    "weight_mean",
    "minimum",
    "maximum",
    "track_count",
)
DROPPED = ("outside", "no_position", "no_value", "no_weight")

_AT_ONCE = 1 << 20  # points between two looks at how many cells were met
_COLUMNS = 6


@dataclass(frozen=True)
class Buckets:
    """Statistics of the cells of a grid that were met.

    Attributes
    ----------
    grid : Grid
    cells : ndarray of int32, shape (met,)
        Flat index (row times columns plus column), ascending.
    table : ndarray of float64, shape (met, 6)
        Number, sum of weights, weighted mean, weighted sum of squared deviations from it,
        lowest and highest value.
    tracks : ndarray of int32, shape (met,)
        Number of tracks (calls of :meth:`BucketAccumulator.add`) that met the cell.
    dropped : dict of str to int
        Observations that were left out: ``outside`` the grid, ``no_position``, ``no_value`` (not
        finite), ``no_weight`` (not finite or not positive).
    """

    grid: Grid
    cells: np.ndarray
    table: np.ndarray
    tracks: np.ndarray
    dropped: dict[str, int]

    @property
    def observations(self) -> int:
        """How many observations are in the cells together."""
        return int(self.table[:, 0].sum())

    def values(self, name: str) -> np.ndarray:
        """One statistic of the cells met, float64, shape (met,); see :meth:`field`."""
        number, weight, mean, squares, lowest, highest = self.table.T
        if name == "std":
            return np.sqrt(squares / weight)
        found = {
            "count": number,
            "weight_sum": weight,
            "mean": mean,
            "weight_mean": weight / number,
            "minimum": lowest,
            "maximum": highest,
            "track_count": self.tracks.astype(np.float64),
        }
        if name not in found:
            raise InputError(f"expected a statistic out of {', '.join(FIELDS)}, found {name!r}")
        return found[name]

    def field(self, name: str) -> np.ndarray:
        """One statistic as a field of the grid.

        Parameters
        ----------
        name : str
            ``count``, ``weight_sum``, ``mean`` (weighted), ``std`` (weighted, of the population:
            0 of one observation), ``weight_mean``, ``minimum``, ``maximum``, ``track_count``.

        Returns
        -------
        ndarray, shape (rows, columns)
            int32 of the counts, 0 where nothing was met; float64 of the others, NaN there.
        """
        values = self.values(name)
        if name.endswith("count"):
            flat = np.zeros(self.grid.rows * self.grid.columns, np.int32)
        else:
            flat = np.full(self.grid.rows * self.grid.columns, np.nan)
        flat[self.cells] = values
        return flat.reshape(self.grid.shape)

    def merge(self, other: Buckets) -> Buckets:
        """The statistics of both together. O(cells met).

        Raises
        ------
        InputError
            If they are of two grids.
        """
        from seaice.gridding import _kernels

        if self.grid != other.grid:
            raise InputError(
                f"expected statistics of one grid, found {self.grid.id} and {other.grid.id}"
            )
        most = self.cells.size + other.cells.size
        cells, table = np.empty(most, np.int32), np.empty((most, _COLUMNS))
        mine, theirs = np.empty(self.cells.size, np.int64), np.empty(other.cells.size, np.int64)
        met = _kernels.merge(
            self.cells, self.table, other.cells, other.table, cells, table, mine, theirs
        )
        tracks = np.zeros(met, np.int32)
        tracks[mine] += self.tracks
        tracks[theirs] += other.tracks
        dropped = {name: self.dropped[name] + other.dropped[name] for name in DROPPED}
        return Buckets(self.grid, cells[:met].copy(), table[:met].copy(), tracks, dropped)

    @classmethod
    def empty(cls, grid: Grid) -> Buckets:
        """Of no observation at all."""
        none = np.empty(0, np.int32)
        return cls(grid, none, np.empty((0, _COLUMNS)), none, dict.fromkeys(DROPPED, 0))


class BucketAccumulator:
    """Takes in tracks of observations one after the other, in constant memory.

    The memory is that of the cells met (60 bytes each) and one number for each cell of the
    grid. Statistics depend on the order of the observations within rounding only, and on the
    number of threads not at all.

    Parameters
    ----------
    grid : Grid

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> sums = BucketAccumulator(get_grid("ease2n25000"))
    >>> sums.add(np.full(3, 80.0), np.full(3, 5.0), np.array([0.1, 0.3, 0.2]), np.array([10, 30, 60.0]))
    >>> buckets = sums.result()
    >>> buckets.values("count").tolist(), buckets.values("mean").round(6).tolist()
    ([3.0], [0.22])
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._slot_of = np.full(grid.rows * grid.columns, -1, np.int32)
        # A power of two: see _kernels.add.
        self._owners = 1 << (max(1, threads.count_threads()).bit_length() - 1)
        self._tables = [np.empty((0, _COLUMNS)) for _ in range(self._owners)]
        self._cells = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._tracks = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._met_by = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._used = [0] * self._owners
        self._dropped = np.zeros((self._owners, len(DROPPED)), np.int64)
        self._track = 0
        self._name: str | None = None

    def add(
        self,
        lat: np.ndarray,
        lon: np.ndarray,
        values: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        track: str | None = None,
    ) -> None:
        """Add the observations of one track.

        Parameters
        ----------
        lat, lon : ndarray of float, shape (points,)
            Degrees north and east.
        values : ndarray of float, shape (points,)
            What is observed; what is not finite is not counted.
        weights : ndarray of float, shape (points,), optional
            1 by default; what is not positive is not counted.
        track : str, optional
            A name; what is added under the name of the last one belongs to the same track.

        Raises
        ------
        InputError
            If the arrays have different lengths.
        """
        self.add_cells(cells_of(lat, lon, self.grid), values, weights, track=track)

    def add_cells(
        self,
        cells: np.ndarray,
        values: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        track: str | None = None,
    ) -> None:
        """Add the observations of one track by their cells, as :func:`cells_of` gives them."""
        values = np.ascontiguousarray(values).reshape(-1)
        given = (
            np.empty(0, values.dtype) if weights is None else np.ascontiguousarray(weights).reshape(-1)
        )
        if values.size != cells.size or (weights is not None and given.size != cells.size):
            raise InputError(
                f"expected arrays of one length, found {cells.size} places, {values.size} values, "
                f"{given.size} weights"
            )
        if track is None or track != self._name:
            self._track += 1
        self._name = track
        for first in range(0, cells.size, _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            part = values[rows].astype(np.float64), given[rows].astype(np.float64)
            self._add_part(cells[rows], *part)

    def _add_part(self, cells: np.ndarray, values: np.ndarray, weights: np.ndarray) -> None:
        def share(owner: int) -> None:
            from seaice.gridding import _kernels

            self._make_room(owner, cells.size)
            self._used[owner] = _kernels.add(
                cells,
                values,
                weights,
                owner,
                self._owners,
                self._slot_of,
                self._tables[owner],
                self._cells[owner],
                self._tracks[owner],
                self._met_by[owner],
                self._track,
                self._used[owner],
                self._dropped[owner],
            )

        threads.for_each(share, range(self._owners))

    def _make_room(self, owner: int, points: int) -> None:
        """Room for as many new cells as points may bring."""
        used, room = self._used[owner], len(self._cells[owner])
        wanted = min(used + points, self._slot_of.size)
        if wanted <= room:
            return
        room = min(self._slot_of.size, max(wanted, 2 * room))
        for columns in (self._tables, self._cells, self._tracks, self._met_by):
            before = columns[owner]
            columns[owner] = np.zeros((room, *before.shape[1:]), before.dtype)
            columns[owner][:used] = before[:used]

    def result(self) -> Buckets:
        """The statistics so far; more may be added after."""
        used = list(zip(range(self._owners), self._used, strict=True))
        cells = np.concatenate([self._cells[owner][:n] for owner, n in used])
        order = np.argsort(cells, kind="stable")
        table = np.concatenate([self._tables[owner][:n] for owner, n in used])
        tracks = np.concatenate([self._tracks[owner][:n] for owner, n in used])
        dropped = dict(zip(DROPPED, self._dropped.sum(axis=0).tolist(), strict=True))
        return Buckets(self.grid, cells[order], table[order], tracks[order], dropped)


def bucket_statistics(
    lat: np.ndarray,
    lon: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    grid: Grid,
) -> Buckets:
    """Statistics by grid cell of one track of observations. O(points).

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees north and east.
    values : ndarray of float, shape (points,)
        What is not finite is not counted.
    weights : ndarray of float, shape (points,), optional
        1 by default; what is not positive is not counted.
    grid : Grid

    Returns
    -------
    Buckets

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> buckets = bucket_statistics([84.0], [0.0], [0.25], grid=get_grid("ease2n25000"))
    >>> np.argwhere(buckets.field("count")).tolist()
    [[333, 360]]
    """
    sums = BucketAccumulator(grid)
    sums.add(np.asarray(lat), np.asarray(lon), np.asarray(values), _optional(weights))
    return sums.result()


def _optional(values: Any) -> np.ndarray | None:
    return None if values is None else np.asarray(values)


class MergeTree:
    """Combines statistics as they come, in the memory of a few of them.

    Two are combined as soon as both hold equally many parts, as a binary counter carries: the
    same parts in the same order give the same bits, whoever made them.

    Parameters
    ----------
    grid : Grid
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._waiting: list[tuple[int, Buckets]] = []  # parts in it, and their sum

    def add(self, buckets: Buckets) -> None:
        """Take in one more part."""
        level = 1
        while self._waiting and self._waiting[-1][0] == level:
            buckets = self._waiting.pop()[1].merge(buckets)
            level *= 2
        self._waiting.append((level, buckets))

    def result(self) -> Buckets:
        """All parts together; more may be added after."""
        if not self._waiting:
            return Buckets.empty(self._grid)
        whole = self._waiting[-1][1]
        for _, buckets in reversed(self._waiting[:-1]):
            whole = buckets.merge(whole)
        return whole


def merge_all(parts: Iterable[Buckets], grid: Grid) -> Buckets:
    """All statistics together; see :class:`MergeTree`."""
    tree = MergeTree(grid)
    for part in parts:
        tree.add(part)
    return tree.result()
