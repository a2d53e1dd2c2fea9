"""Exact shares of cells that lie within polygons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CellOutline:
    """A polygon in the coordinates of cells: columns and rows, whole numbers at the edges of cells.

    Attributes
    ----------
    rings : tuple of (ndarray, ndarray, float)
        Columns and rows of a closed ring, float64 (points,), and its sign: 1 where it runs
        anticlockwise and adds, else -1.
    columns, rows : (float, float)
        Smallest and largest of all points.
    """

    rings: tuple[tuple[np.ndarray, np.ndarray, float], ...]
    columns: tuple[float, float]
    rows: tuple[float, float]

    @classmethod
    def of(cls, rings: Sequence[tuple[np.ndarray, np.ndarray, bool]]) -> CellOutline:
        """Make an outline from columns and rows of rings, and whether each bounds a hole."""
        signed = []
        for columns, rows, is_hole in rings:
            x, y = columns - columns[0], rows - rows[0]
            area = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])
            signed.append((columns, rows, -1.0 if (area < 0) != is_hole else 1.0))
        x, y = (np.concatenate([ring[k] for ring in signed]) for k in (0, 1))
        return cls(tuple(signed), (float(x.min()), float(x.max())), (float(y.min()), float(y.max())))

    def cover(self, rows: range, columns: int) -> tuple[slice, slice, np.ndarray] | None:
        """Compute the part of every cell that lies within the polygon.

        Parameters
        ----------
        rows : range
            Rows of a grid, one after the other.
        columns : int
            Number of its columns.

        Returns
        -------
        rows, columns : slice
            Cells that the polygon may cover; the rows count from the first of ``rows``.
        share : ndarray of float64
            0 to 1, of these cells. Instead of the three, None where the polygon meets no cell.

        Examples
        --------
        >>> triangle = np.array([0.0, 2.0, 0.0, 0.0]), np.array([0.0, 0.0, 2.0, 0.0])
        >>> _, _, share = CellOutline.of([(*triangle, False)]).cover(range(2), 3)
        >>> share.tolist()
        [[1.0, 0.5], [0.5, 0.0]]
        """
        from seaice.gridding import _cover_kernels

        meets_rows = self.rows[0] < rows.stop and self.rows[1] > rows.start
        if not (meets_rows and self.columns[0] < columns and self.columns[1] > 0):
            return None
        first, left = max(rows.start, math.floor(self.rows[0])), max(0, math.floor(self.columns[0]))
        last = min(rows.stop, math.ceil(self.rows[1]))
        right = min(columns, math.ceil(self.columns[1]))
        change = np.zeros((last - first, right - left + 1))
        for x, y, sign in self.rings:
            _cover_kernels.add_ring(x - left, y - first, sign, change)
        share = np.clip(np.cumsum(change, axis=1)[:, :-1], 0, 1)
        return slice(first - rows.start, last - rows.start), slice(left, right), share
