"""Weights that carry the values of one grid to another: one sparse matrix a pair of grids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from seaice import InputError
from seaice.gridding.projection import locate_cells, project
from seaice.grids import Grid
from seaice.regridding.overlap import compute_overlaps, explain_apart

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Method = Literal["conservative", "nearest", "bilinear"]
METHODS: tuple[str, ...] = get_args(Method)

# A target finer than this by so much says nothing that the input does not: a line of the report.
SENSIBLE_REFINEMENT = 4.0


@dataclass(frozen=True)
class Weights:
    """What every ocean cell of a source adds to the cells of a target, and the land between them.

    Attributes
    ----------
    indptr : ndarray of int64, shape (target cells + 1,)
        Where the entries of a target cell begin.
    indices : ndarray of int32, shape (entries,)
        Source cells, ascending within a target cell.
    weights : ndarray of float32, shape (entries,)
        Common area in km2 (conservative), or shares of a whole of 1.
    room : ndarray of float32, shape (target cells,)
        What the weights of a cell would add up to if it lay in the source and had a value wherever it
        is not land. 0 where a cell is all land.
    land : ndarray of float32, shape (target cells,)
        Share of the cell that is land of the source; NaN of a cell outside it.
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray
    room: np.ndarray
    land: np.ndarray

    def save(self, folder: Path) -> None:
        """Save the arrays as files that several processes can share."""
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Weights:
        """Load saved arrays, mapped into memory."""
        names = ("indptr", "indices", "weights", "room", "land")
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))


def compute_matrix(source: Grid, target: Grid, method: str) -> tuple[csr_array, np.ndarray]:
    """Compute what every source cell adds to every target cell.

    Parameters
    ----------
    source, target : Grid
    method : {"conservative", "nearest", "bilinear"}
        Common areas of the cells; the source cell that holds the centre of a target cell; or the four
        source cells whose centres surround it, by the distances in the projection of the source.

    Returns
    -------
    matrix : scipy.sparse.csr_array of float64, shape (target cells, source cells)
        Square kilometres, or shares of 1.
    whole : ndarray of float64, shape (target cells,)
        The sum of a row where the target cell lies in the source.

    Raises
    ------
    InputError
        If there is no such method or the grids do not meet.
    """
    from scipy.sparse import csr_array

    if method not in METHODS:
        raise InputError(f"expected a method out of {', '.join(METHODS)}, found {method!r}")
    if method == "conservative":
        return compute_overlaps(source, target), target.cell_area().ravel()
    longitude, latitude = target.longitude_latitude()
    find = _find_nearest if method == "nearest" else find_surrounding
    cells, shares = find(source, latitude.ravel(), longitude.ravel())
    rows = np.repeat(np.arange(cells.shape[0]), cells.shape[1])
    keep = (cells.ravel() >= 0) & (shares.ravel() > 0)
    entries = shares.ravel()[keep], (rows[keep], cells.ravel()[keep])
    matrix = csr_array(entries, shape=(cells.shape[0], source.rows * source.columns))
    matrix.sum_duplicates()
    if not matrix.nnz:
        raise explain_apart(source, target)
    return matrix, np.ones(cells.shape[0])


def compute_weights(
    source: Grid, target: Grid, ocean: np.ndarray, method: str = "conservative"
) -> Weights:
    """Compute the weights of a pair of grids, see :func:`compute_matrix`.

    Parameters
    ----------
    ocean : ndarray of bool, shape of the source
        Cells that count; the others are land.

    Examples
    --------
    >>> fine = Grid("fine", 2, 2, 0.5, 0.0, 60.0, "EPSG:4326")
    >>> coarse = Grid("coarse", 1, 1, 1.0, 0.0, 60.0, "EPSG:4326")
    >>> weights = compute_weights(fine, coarse, np.array([[True, True], [True, False]]))
    >>> weights.indices.tolist(), round(float(weights.land[0]), 3)
    ([0, 1, 2], 0.248)
    """
    return leave_out_land(*compute_matrix(source, target, method), ocean)


def leave_out_land(matrix: csr_array, whole: np.ndarray, ocean: np.ndarray) -> Weights:
    """Drop the entries of land, which no day needs, and keep what they add up to."""
    ocean = ocean.ravel()
    covered = np.asarray(matrix.sum(axis=1)).ravel()
    is_ocean = ocean[matrix.indices]
    counts = np.concatenate([[0], np.cumsum(is_ocean)])
    sums = matrix @ ocean.astype(np.float64)
    # Areas are those of the middle of a cell, overlaps exact: a covered cell is covered wholly.
    whole = np.where(np.abs(covered - whole) < 1e-4 * whole, covered, np.maximum(whole, covered))
    land = np.divide(covered - sums, whole, out=np.full(covered.size, np.nan), where=covered > 0)
    land[np.abs(land) < 1e-6] = 0
    land[np.abs(land - 1) < 1e-6] = 1
    # What the source does not reach of a cell counts as ocean without a value, unless all else is land.
    room = np.where(sums <= 1e-6 * covered, 0, whole - (covered - sums))
    return Weights(
        indptr=counts[matrix.indptr].astype(np.int64),
        indices=matrix.indices[is_ocean].astype(np.int32),
        weights=matrix.data[is_ocean].astype(np.float32),
        room=room.astype(np.float32),
        land=land.astype(np.float32),
    )


def _find_nearest(
    source: Grid, latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the source cell that holds each point, (points, 1); -1 outside; and shares of 1."""
    cells = locate_cells(latitude, longitude, source).astype(np.int64)[:, np.newaxis]
    return np.maximum(cells, -1), np.ones(cells.shape)


def find_surrounding(
    source: Grid, latitude: np.ndarray, longitude: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Find the four cells whose centres surround points, with the shares of bilinear interpolation.

    Within half a cell of the edge of a grid its outermost centres count for what lies beyond them.

    Parameters
    ----------
    source : Grid
    latitude, longitude : ndarray of float, shape (points,)

    Returns
    -------
    cells : ndarray of int64, shape (points, 4)
        Flat numbers; -1 of points outside the grid or without a position.
    shares : ndarray of float64, shape (points, 4)
        They add up to 1.
    """
    cells = locate_cells(latitude, longitude, source)
    x, y = project(latitude, longitude, source)
    column, row = (x - source.west) / source.step - 0.5, (y - source.south) / source.step - 0.5
    column, row = (np.where(cells >= 0, part, 0.0) for part in (column, row))
    wraps = source.is_geographic and abs(source.columns * source.step - 360) < 0.01 * source.step
    left, right, east = _split(column, source.columns, wraps=wraps)
    below, above, north = _split(row, source.rows, wraps=False)
    around = np.stack([below, below, above, above], axis=1) * source.columns
    around += np.stack([left, right, left, right], axis=1)
    shares = np.stack(
        [(1 - north) * (1 - east), (1 - north) * east, north * (1 - east), north * east], axis=1
    )
    around[cells < 0] = -1
    return around, shares


def _split(
    position: np.ndarray, count: int, *, wraps: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split positions along an axis into the centres on both sides and the share of the second."""
    lower = np.floor(position)
    share = position - lower
    # A centre itself, but for rounding, has all the weight.
    share = np.where(share > 1 - 1e-9, 1.0, np.where(share < 1e-9, 0.0, share))
    first = lower.astype(np.int64)
    both = (first % count, (first + 1) % count) if wraps else _limit(first, count)
    return *both, share


def _limit(first: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    return np.clip(first, 0, count - 1), np.clip(first + 1, 0, count - 1)
