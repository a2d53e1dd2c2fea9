"""The ocean cells of a grid, row after row: days are filled as vectors of them, without the land."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from seaice.runtime.threads import each_band


class Runs(NamedTuple):
    """Ocean cells beside each other in a row, which lie beside each other in a vector too.

    Attributes
    ----------
    cell, row, column, length : ndarray of int32 or int16, shape (runs,)
        The first cell of each run, where it lies, and how many cells there are.
    ends : ndarray of int64, shape (tiles + 1,)
        Where the grid is cut into tiles, no run crosses a border; those of the i-th tile are
        ``ends[i]`` to ``ends[i + 1]``. Without tiles they are all of one.
    """

    cell: np.ndarray
    row: np.ndarray
    column: np.ndarray
    length: np.ndarray
    ends: np.ndarray

    def of_tile(self, i: int) -> Runs:
        """The runs of one tile."""
        part = slice(self.ends[i], self.ends[i + 1])
        ends = np.array([0, self.ends[i + 1] - self.ends[i]])
        return Runs(self.cell[part], self.row[part], self.column[part], self.length[part], ends)


@dataclass(frozen=True, eq=False)
class OceanCells:
    """The numbers of the ocean cells of a grid, counted row after row from the first.

    Parameters
    ----------
    ocean : ndarray of bool, shape (rows, columns)

    Examples
    --------
    >>> cells = OceanCells(np.array([[True, False, True], [False, True, True]]))
    >>> cells.index.tolist(), cells.first.tolist()
    ([[0, -1, 1], [-1, 2, 3]], [0, 2, 4])
    >>> cells.expand(np.array([5, 6, 7, 8]), fill=0).tolist()
    [[5, 0, 6], [0, 7, 8]]
    """

    ocean: np.ndarray

    @classmethod
    def everywhere(cls, shape: tuple[int, ...]) -> OceanCells:
        """All cells of a grid, as if there were no land: a vector is then the field, flattened."""
        return cls(np.ones(shape, bool))

    def __len__(self) -> int:
        return int(self.first[-1])

    @cached_property
    def first(self) -> np.ndarray:
        """The cells of row y are the numbers first[y] to first[y + 1] - 1, int64 (rows + 1)."""
        return np.concatenate([[0], np.cumsum(np.count_nonzero(self.ocean, axis=1))])

    @cached_property
    def index(self) -> np.ndarray:
        """Number of every cell of the grid, -1 on land, int32 (rows, columns)."""
        index = np.full(self.ocean.shape, -1, np.int32)
        index[self.ocean] = np.arange(len(self))
        return index

    @cached_property
    def rows(self) -> np.ndarray:
        """The row of every ocean cell, int16 or int32 (cells)."""
        return np.repeat(self._numbers(self.ocean.shape[0]), np.diff(self.first))

    @cached_property
    def columns(self) -> np.ndarray:
        """The column of every ocean cell, int16 or int32 (cells)."""
        columns = self._numbers(self.ocean.shape[1])
        return np.broadcast_to(columns, self.ocean.shape)[self.ocean]

    @cached_property
    def inner(self) -> np.ndarray:
        """Whether all eight neighbours of an ocean cell are ocean, bool (cells).

        Those in a row are then beside each other in a vector too.
        """
        padded = np.pad(self.ocean, 1)
        rows, columns = self.ocean.shape
        inner = self.ocean.copy()
        for y in range(3):
            for x in range(3):
                inner &= padded[y : y + rows, x : x + columns]
        return inner[self.ocean]

    def runs(self, tile: tuple[int, int]) -> Runs:
        """The runs of cells, tile after tile; ``tile`` is the rows and columns of one."""
        rows, columns = self.rows.astype(np.int64), self.columns.astype(np.int64)
        position = rows * self.ocean.shape[1] + columns
        is_start = np.diff(position, prepend=-2) != 1
        cell = np.flatnonzero(is_start | (columns % tile[1] == 0))
        length = np.diff(cell, append=len(self))
        tiles = [-(-cells // size) for cells, size in zip(self.ocean.shape, tile, strict=True)]
        of_tile = rows[cell] // tile[0] * tiles[1] + columns[cell] // tile[1]
        order = np.argsort(of_tile, kind="stable")
        ends = np.concatenate([[0], np.cumsum(np.bincount(of_tile, minlength=tiles[0] * tiles[1]))])
        cell, length = cell[order].astype(np.int32), length[order].astype(np.int32)
        return Runs(cell, self.rows[cell], self.columns[cell], length, ends)

    @cached_property
    def rows_of_runs(self) -> Runs:
        """The runs of cells in the order of their numbers."""
        return self.runs(self.ocean.shape)

    def _numbers(self, count: int) -> np.ndarray:
        # One byte less for each of millions of cells; the same type for rows and columns.
        return np.arange(count, dtype=np.int16 if max(self.ocean.shape) < 1 << 15 else np.int32)

    def compress(self, field: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """The values of a field (..., rows, columns) at the ocean cells, shape (..., cells)."""
        if out is None:
            out = np.empty((*field.shape[:-2], len(self)), field.dtype)
        for grid, vector in self._pairs(field, out):
            self._run("compress", grid, vector)
        return out

    def expand(self, vector: np.ndarray, fill: Any, out: np.ndarray | None = None) -> np.ndarray:
        """A field (..., rows, columns) of values (..., cells), with ``fill`` on land."""
        if out is None:
            out = np.empty((*vector.shape[:-1], *self.ocean.shape), vector.dtype)
        for grid, values in self._pairs(out, vector):
            self._run("expand", values, out.dtype.type(fill), grid)
        return out

    def _pairs(self, field: np.ndarray, vector: np.ndarray) -> Any:
        count = math.prod(vector.shape[:-1])
        return zip(
            field.reshape(count, *self.ocean.shape), vector.reshape(count, len(self)), strict=True
        )

    def _run(self, kernel: str, *arguments: Any) -> None:
        from seaice.gapfill import _kernels

        each_band(getattr(_kernels, kernel), len(self.ocean), self.index, *arguments)
