"""The part of the sphere on which scattering statistics are taken."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.gapfill import sphere

# Blocks of 8 x 8 cells make a region, so that three coarser scales have whole cells.
BLOCK_LEVELS = 3


@dataclass(frozen=True)
class Region:
    """The cells that are worked on: those with sea, and the land and coast around them.

    Attributes
    ----------
    nside : int
    ids : ndarray of int64, shape (cell,)
        Nested numbers, ascending; whole blocks, or the whole sphere.
    at : ndarray of int64, shape (sea cell,)
        Where the cells of the field are among ``ids``.
    neighbours : ndarray of int64, shape (8, cell)
        Positions in ``ids``, -1 where there is none.
    """

    nside: int
    ids: np.ndarray
    at: np.ndarray
    neighbours: np.ndarray

    @property
    def sea(self) -> np.ndarray:
        """True at cells with sea points, bool (cell,)."""
        found = np.zeros(self.ids.size, bool)
        found[self.at] = True
        return found

    def spread_out(self, values: np.ndarray) -> np.ndarray:
        """Values of the sea cells on all cells: land takes means of its neighbours, ring by ring."""
        out = np.full(self.ids.size, np.nan)
        out[self.at] = values
        while (empty := np.isnan(out)).any():
            around = np.where(self.neighbours[:, empty] >= 0, out[self.neighbours[:, empty]], np.nan)
            known = np.isfinite(around)
            means = np.where(known, around, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
            means[~known.any(axis=0)] = np.nan
            if np.isnan(means).all():
                means[:] = np.mean(values)  # blocks that touch no sea at all
            out[empty] = means
        return out


def make_region(cells: sphere.Cells) -> Region:
    """Whole blocks around the sea; the whole sphere where that is most of it."""
    library = sphere.healpy()
    nside = cells.nside
    levels = min(BLOCK_LEVELS, int(np.log2(nside)))
    block_nside = nside >> levels
    blocks = np.unique(cells.ids >> 2 * levels)
    beside = library.get_all_neighbours(block_nside, blocks, nest=True) if block_nside > 1 else blocks
    blocks = np.unique(np.concatenate([blocks, np.ravel(beside)]))
    blocks = blocks[blocks >= 0]
    if blocks.size > 6 * block_nside**2:
        blocks = np.arange(12 * block_nside**2)
    ids = (blocks[:, None] * 4**levels + np.arange(4**levels)).ravel()
    around = library.get_all_neighbours(nside, ids, nest=True)
    found = np.minimum(np.searchsorted(ids, around), ids.size - 1)
    neighbours = np.where((around >= 0) & (ids[found] == around), found, -1)
    return Region(nside, ids, np.searchsorted(ids, cells.ids), neighbours)
