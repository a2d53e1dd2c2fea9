"""Drop-in-the-bucket grids: exact statistics of located observations by grid cell.

Every observation belongs to the cell that holds it. Statistics are stored only for cells with
observations, and the statistics of granules, days or machines can be merged in any order: the
result is that of all observations together.

References
----------
Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for computing sample
variances, Stanford STAN-CS-79-773.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.gridding.projection import locate_cells, project
from seaice.grids import Grid
from seaice.runtime import threads

__all__ = [
    "BucketAccumulator",
    "Buckets",
    "MergeTree",
    "compute_buckets",
    "locate_cells",
    "merge_all",
    "project",
]

# Names of the statistics, and of the reasons why an observation is left out.
STATISTICS = (
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

_POINTS_AT_A_TIME = 1 << 20  # the tables grow at most once for so many points
_COLUMNS = 6  # of the table of sums; their order is that of _kernels


@dataclass(frozen=True)
class Buckets:
    """Statistics of the cells of a grid that hold observations.

    Attributes
    ----------
    grid : Grid
    cells : ndarray of int32, shape (cells,)
        Index of the cell (row times columns plus column), ascending.
    table : ndarray of float64, shape (cells, 6)
        Number, sum of weights, weighted mean, weighted sum of squared deviations from it,
        lowest and highest value.
    tracks : ndarray of int32, shape (cells,)
        Number of tracks (calls of :meth:`BucketAccumulator.add`) with observations in the cell.
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
        """Number of observations in all cells."""
        return int(self.table[:, 0].sum())

    def compute(self, name: str) -> np.ndarray:
        """Compute a statistic of the cells with observations.

        Parameters
        ----------
        name : str
            ``count``, ``weight_sum``, ``mean`` (weighted), ``std`` (weighted, of the population:
            0 of a single observation), ``weight_mean``, ``minimum``, ``maximum``, ``track_count``.

        Returns
        -------
        ndarray of float64, shape (cells,)

        Raises
        ------
        InputError
            If there is no such statistic.
        """
        number, weight, mean, squares, lowest, highest = self.table.T
        if name == "std":
            return np.sqrt(squares / weight)
        statistics = {
            "count": number,
            "weight_sum": weight,
            "mean": mean,
            "weight_mean": weight / number,
            "minimum": lowest,
            "maximum": highest,
            "track_count": self.tracks.astype(np.float64),
        }
        if name not in statistics:
            raise InputError(f"expected a statistic out of {', '.join(STATISTICS)}, found {name!r}")
        return statistics[name]

    def make_field(self, name: str) -> np.ndarray:
        """Make a field of the grid of a statistic.

        Parameters
        ----------
        name : str
            See :meth:`compute`.

        Returns
        -------
        ndarray, shape (rows, columns)
            Counts as int32, 0 in cells without observations; the others as float64, NaN there.
        """
        values = self.compute(name)
        if name.endswith("count"):
            field = np.zeros(self.grid.rows * self.grid.columns, np.int32)
        else:
            field = np.full(self.grid.rows * self.grid.columns, np.nan)
        field[self.cells] = values
        return field.reshape(self.grid.shape)

    def merge(self, buckets: Buckets) -> Buckets:
        """Statistics of the observations of both. O(cells with observations).

        Raises
        ------
        InputError
            If the two have different grids.
        """
        from seaice.gridding import _kernels

        if self.grid != buckets.grid:
            raise InputError(
                f"expected statistics of one grid, found {self.grid.id} and {buckets.grid.id}"
            )
        most = self.cells.size + buckets.cells.size
        cells, table = np.empty(most, np.int32), np.empty((most, _COLUMNS))
        rows_a, rows_b = np.empty(self.cells.size, np.int64), np.empty(buckets.cells.size, np.int64)
        size = _kernels.merge(
            self.cells, self.table, buckets.cells, buckets.table, cells, table, rows_a, rows_b
        )
        tracks = np.zeros(size, np.int32)
        tracks[rows_a] += self.tracks
        tracks[rows_b] += buckets.tracks
        dropped = {name: self.dropped[name] + buckets.dropped[name] for name in DROPPED}
        return Buckets(self.grid, cells[:size].copy(), table[:size].copy(), tracks, dropped)

    @classmethod
    def make_empty(cls, grid: Grid) -> Buckets:
        """Statistics without any observation."""
        empty = np.empty(0, np.int32)
        return cls(grid, empty, np.empty((0, _COLUMNS)), empty, dict.fromkeys(DROPPED, 0))


class BucketAccumulator:
    """Sums of observations by grid cell, to which tracks are added one after the other.

    The observations themselves are not kept: the memory does not grow with their number, but is 60
    bytes for each cell with observations and 4 bytes for each cell of the grid. The order of the
    observations changes the statistics within rounding only; the number of threads does not change
    them at all.

    Parameters
    ----------
    grid : Grid

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> sums = BucketAccumulator(get_grid("ease2n25000"))
    >>> lat, lon = np.full(3, 80.0), np.full(3, 5.0)
    >>> sums.add(lat, lon, values=np.array([0.1, 0.3, 0.2]), weights=np.array([10, 30, 60.0]))
    >>> buckets = sums.get_buckets()
    >>> buckets.compute("count").tolist(), buckets.compute("mean").round(6).tolist()
    ([3.0], [0.22])
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        # Every thread owns some of the cells and has tables of its own for them, with a row (slot)
        # for each cell with observations. A power of two of them: see _kernels.add.
        self._owners = 1 << (max(1, threads.count_threads()).bit_length() - 1)
        self._slot_of = np.full(grid.rows * grid.columns, -1, np.int32)  # row of a cell; -1: none
        self._tables = [np.empty((0, _COLUMNS)) for _ in range(self._owners)]
        self._cells = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._tracks = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._last_tracks = [np.empty(0, np.int32) for _ in range(self._owners)]
        self._used = [0] * self._owners  # rows in use
        self._dropped = np.zeros((self._owners, len(DROPPED)), np.int64)
        self._track = 0  # number of the current track
        self._name: str | None = None  # and its name

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
            Observed values; a value that is not finite is left out.
        weights : ndarray of float, shape (points,), optional
            1 by default; an observation whose weight is not positive is left out.
        track : str, optional
            Name of the track; observations under the name of the last track belong to it.

        Raises
        ------
        InputError
            If the arrays have different lengths.
        """
        self.add_cells(locate_cells(lat, lon, self.grid), values, weights, track=track)

    def add_cells(
        self,
        cells: np.ndarray,
        values: np.ndarray,
        weights: np.ndarray | None = None,
        *,
        track: str | None = None,
    ) -> None:
        """Add the observations of one track by their cells; see :func:`locate_cells`."""
        values = np.ascontiguousarray(values).reshape(-1)
        is_weighted = weights is not None
        weights = np.ascontiguousarray(weights).reshape(-1) if is_weighted else values[:0]
        if values.size != cells.size or (is_weighted and weights.size != cells.size):
            raise InputError(
                f"expected arrays of one length, found {cells.size} positions, {values.size} values, "
                f"{weights.size} weights"
            )
        if track is None or track != self._name:
            self._track += 1
        self._name = track
        for first in range(0, cells.size, _POINTS_AT_A_TIME):
            rows = slice(first, first + _POINTS_AT_A_TIME)
            part = values[rows].astype(np.float64), weights[rows].astype(np.float64)
            self._add_part(cells[rows], *part)

    def _add_part(self, cells: np.ndarray, values: np.ndarray, weights: np.ndarray) -> None:
        def add_own(owner: int) -> None:
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
                self._last_tracks[owner],
                self._track,
                self._used[owner],
                self._dropped[owner],
            )

        threads.for_each(add_own, range(self._owners))

    def _make_room(self, owner: int, points: int) -> None:
        """Enlarge the tables for as many new cells as the points may have."""
        used, room = self._used[owner], len(self._cells[owner])
        needed = min(used + points, self._slot_of.size)
        if needed <= room:
            return
        room = min(self._slot_of.size, max(needed, 2 * room))
        for tables in (self._tables, self._cells, self._tracks, self._last_tracks):
            table = tables[owner]
            tables[owner] = np.zeros((room, *table.shape[1:]), table.dtype)
            tables[owner][:used] = table[:used]

    def get_buckets(self) -> Buckets:
        """The statistics so far; more observations may be added later."""
        used = list(zip(range(self._owners), self._used, strict=True))
        cells = np.concatenate([self._cells[owner][:n] for owner, n in used])
        order = np.argsort(cells, kind="stable")
        table = np.concatenate([self._tables[owner][:n] for owner, n in used])
        tracks = np.concatenate([self._tracks[owner][:n] for owner, n in used])
        dropped = dict(zip(DROPPED, self._dropped.sum(axis=0).tolist(), strict=True))
        return Buckets(self.grid, cells[order], table[order], tracks[order], dropped)


def compute_buckets(
    lat: np.ndarray,
    lon: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    grid: Grid,
) -> Buckets:
    """Compute statistics by grid cell of one track of observations. O(points).

    Parameters
    ----------
    lat, lon : ndarray of float, shape (points,)
        Degrees north and east.
    values : ndarray of float, shape (points,)
        Observed values; a value that is not finite is left out.
    weights : ndarray of float, shape (points,), optional
        1 by default; an observation whose weight is not positive is left out.
    grid : Grid

    Returns
    -------
    Buckets

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> buckets = compute_buckets([84.0], [0.0], [0.25], grid=get_grid("ease2n25000"))
    >>> np.argwhere(buckets.make_field("count")).tolist()
    [[333, 360]]
    """
    sums = BucketAccumulator(grid)
    weights = None if weights is None else np.asarray(weights)
    sums.add(np.asarray(lat), np.asarray(lon), np.asarray(values), weights)
    return sums.get_buckets()


class MergeTree:
    """Merges statistics as they arrive, in the memory of a few of them.

    Two are merged as soon as both hold equally many parts, as in a binary counter: the same
    parts in the same order give the same bits, whichever worker computed them.

    Parameters
    ----------
    grid : Grid
    """

    def __init__(self, grid: Grid) -> None:
        self._grid = grid
        self._waiting: list[tuple[int, Buckets]] = []  # number of merged parts, and their statistics

    def add(self, buckets: Buckets) -> None:
        """Add a part."""
        count = 1
        while self._waiting and self._waiting[-1][0] == count:
            buckets = self._waiting.pop()[1].merge(buckets)
            count *= 2
        self._waiting.append((count, buckets))

    def get_buckets(self) -> Buckets:
        """Statistics of all parts together; more parts may be added later."""
        if not self._waiting:
            return Buckets.make_empty(self._grid)
        merged = self._waiting[-1][1]
        for _, buckets in reversed(self._waiting[:-1]):
            merged = buckets.merge(merged)
        return merged


def merge_all(parts: Iterable[Buckets], grid: Grid) -> Buckets:
    """Merge all statistics; see :class:`MergeTree`."""
    tree = MergeTree(grid)
    for part in parts:
        tree.add(part)
    return tree.get_buckets()
