"""Filling by relaxation: Laplace's equation in the gaps, solved by Gauss-Seidel with over-relaxation.

Every missing cell becomes the weighted mean of its four neighbours. Observed cells are fixed;
through land and the borders of the map nothing flows. So a filled value lies within the range of
the observed values about its gap, and does not depend on where the sweeps began.

Cells in a map projection have equal weights. On a grid of latitudes and longitudes the weights
are the fluxes between cells on the sphere (finite volumes): the length of the common border over
the distance of the centres. Rows that wrap are circles.

The over-relaxation factor is 2 / (1 + sqrt(1 - r^2)) with the spectral radius r of the averaging
(Young 1954, doi:10.1090/S0002-9947-1954-0059635-7). It is estimated from the changes while the sweeps
run, for each gap, as the right factor depends on how wide the gap is. A sweep costs O(cells of
the gap), and a gap n cells wide takes O(n) sweeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, NamedTuple

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.gapfill.field.linear import cell_positions
from seaice.runtime.options import Range
from seaice.runtime.threads import for_each


@dataclass(frozen=True, kw_only=True)
class Relaxation(FieldMethod):
    """Fill each gap with the solution of Laplace's equation, map by map.

    A gap that touches no observed cell stays missing; one that did not reach the tolerance is filled
    with what the sweeps came to, and counted in the notes. The error at the end is about the
    tolerance; where it was compared with a direct solution, up to four times that.

    Parameters
    ----------
    over_relaxation : float
        Factor of the changes, below 2; 1: plain Gauss-Seidel; 0: the best one for each gap.
    tolerance : float
        Iterations end when those to come would change a gap by less, in standard deviations of the data
        (of the map).
    max_iterations : int
        Largest number of sweeps over a gap; a gap that would need more is reported.

    Raises
    ------
    InputError
        For parameters out of range.

    Examples
    --------
    >>> values = np.array([[[10, np.nan, np.nan, 40, np.nan]]], np.float32)
    >>> field = GappyField(values, np.ones((1, 5), bool), np.zeros(1))
    >>> Relaxation(tolerance=1e-9).fill(field).values[0, 0]
    array([10., 20., 30., 40., 40.], dtype=float32)
    """

    name: ClassVar[str] = "relaxation"

    over_relaxation: float = 0.0
    tolerance: float = 1e-4
    max_iterations: Annotated[int, Range(1)] = 10_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.tolerance > 0 and 0 <= self.over_relaxation < 2):
            raise InputError(
                f"expected a tolerance above 0 and an over_relaxation of at least 0 and below 2, found "
                f"{self.tolerance} and {self.over_relaxation}"
            )

    def fill(self, gappy: GappyField) -> FieldFill:
        """Fill every map.

        Returns
        -------
        FieldFill
            In ``notes``: ``converged`` (whether every gap reached the tolerance),
            ``gaps_not_converged``, ``gaps`` (those filled), ``iterations`` (of the slowest gap),
            ``largest_last_change`` and ``largest_remainder`` (what further sweeps would about change),
            both in the unit of the field, and ``unreached_cells`` (left missing).
        """
        links = Links.of(gappy)
        estimate = np.full(gappy.values.shape, np.nan)
        maps = range(len(gappy.values))
        parts = for_each(lambda t: self._fill_map(gappy, t, links, estimate[t]), maps)
        sweeps, changes, remainders, is_left = np.concatenate([np.zeros((4, 0)), *parts], axis=1)
        unreached = int((gappy.missing & np.isnan(estimate)).sum())
        notes = {
            "converged": not is_left.any(),
            "gaps_not_converged": int(is_left.sum()),
            "gaps": int((sweeps > 0).sum()),
            "iterations": int(sweeps.max(initial=0)),
            "largest_last_change": float(changes.max(initial=0.0)),
            "largest_remainder": float(remainders.max(initial=0.0)),
            "unreached_cells": unreached,
        }
        return finish(gappy, estimate, FillFlag.RELAXATION, notes=notes)

    def _fill_map(self, gappy: GappyField, t: int, links: Links, estimate: np.ndarray) -> np.ndarray:
        """Fill one map into ``estimate``; sweeps, last changes, remainders and failures by gap."""
        from seaice.gapfill.field import _relaxation_kernels

        observed, missing = gappy.observed[t], gappy.missing[t]
        if not (observed.any() and missing.any()):
            return np.zeros((4, 0))
        sources = gappy.values[t][observed].astype(np.float64)
        # Departures from the mean of the map keep their digits at 290 K as well.
        centre = sources.mean()
        values = np.zeros(missing.shape)
        values[observed] = sources - centre
        gaps = Gaps.of(missing, wraps=gappy.wraps)
        rule = (self.over_relaxation, self.tolerance * sources.std(), self.max_iterations)
        report = np.zeros((3, gaps.ends.size))
        _relaxation_kernels.relax_gaps(
            values.ravel(),
            np.zeros(values.size),
            missing.ravel(),
            gaps.cells,
            gaps.ends,
            *links.gather(gaps.cells),
            rule,
            *report,
        )
        estimate.flat[gaps.cells] = values.flat[gaps.cells] + centre
        return np.vstack([report, report[2] > rule[1]])


class Gaps(NamedTuple):
    """The missing cells of a map, gap by gap.

    Attributes
    ----------
    cells : ndarray of int64, shape (n,)
        Flat indices; within a gap in row order.
    ends : ndarray of int64, shape (gaps,)
        One past the last cell of each gap.
    """

    cells: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, missing: np.ndarray, *, wraps: bool) -> Gaps:
        """Find the gaps: missing cells that are joined by their sides."""
        from scipy.ndimage import label
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        labels, count = label(missing)
        if wraps:
            seam = labels[missing[:, 0] & missing[:, -1]][:, [0, -1]].T
            pairs = coo_array((np.ones(seam.shape[1]), tuple(seam)), shape=(count + 1, count + 1))
            labels = connected_components(pairs, directed=False)[1][labels]
        cells = np.flatnonzero(missing)
        numbers = labels.ravel()[cells]
        counts = np.bincount(numbers)
        return cls(cells[np.argsort(numbers, kind="stable")], np.cumsum(counts[counts > 0]))


class Links(NamedTuple):
    """Weights of the links between neighbours; 0 where land or the border is a wall.

    Attributes
    ----------
    right : ndarray of float64, shape (rows, columns)
        To the next column, from the last one over the seam to the first.
    below : ndarray of float64, shape (rows, columns)
        To the next row.
    """

    right: np.ndarray
    below: np.ndarray

    @classmethod
    def of(cls, gappy: GappyField) -> Links:
        """Weigh the links of a field by the length of the common border over the distance."""
        position = cell_positions(gappy)
        to_right, width = _measure_cells(position.x, position.circle)
        to_below, height = _measure_cells(position.y, 0.0)
        shrink, sea = position.shrink, gappy.sea
        border = (shrink + np.roll(shrink, -1)) / 2
        # Cells of a row at a pole are triangles, a quarter as wide in their middle as the next row.
        beside = np.pad(shrink, 1, mode="reflect")
        shrink = np.maximum(shrink, np.minimum(beside[:-2], beside[2:]) / 4)
        right = np.outer(height / shrink, 1 / to_right) * (sea & np.roll(sea, -1, axis=1))
        below = np.outer(border / to_below, width) * (sea & np.roll(sea, -1, axis=0))
        return cls(right, below)

    def gather(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Neighbours, links and totals of cells, as the compiled loops want them."""
        rows, columns = self.right.shape
        y, x = np.divmod(cells, columns)
        above, left = (y - 1) % rows, (x - 1) % columns
        weights = [self.below[above, x], self.right[y, left], self.right[y, x], self.below[y, x]]
        links = np.stack(weights, axis=1)
        totals = links.sum(axis=1)
        links /= np.where(totals > 0, totals, 1.0)[:, None]
        sides = [(above, x), (y, left), (y, (x + 1) % columns), ((y + 1) % rows, x)]
        neighbours = np.stack([row * columns + column for row, column in sides], axis=1)
        # A gap that nothing reaches is NaN, and 0 times NaN is no 0.
        return np.where(links > 0, neighbours, cells[:, None]), links, totals


def _measure_cells(positions: np.ndarray, circle: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance from each cell to the next, infinite at a border, and width of each cell."""
    if positions.size == 1:
        return np.full(1, np.inf), np.ones(1)
    last = circle - (positions[-1] - positions[0]) if circle else np.inf
    to_next = np.append(np.diff(positions), last)
    to_former = np.roll(to_next, 1)
    # A cell at a border is as wide as it is far from its one neighbour.
    twice = np.where(np.isinf(to_next), to_former, to_next)
    twice += np.where(np.isinf(to_former), to_next, to_former)
    return to_next, twice / 2
