"""Maps as HEALPix cells: nested order, true longitude, equal areas.

The angles are theta = 90 degrees - latitude and phi = longitude. The mirrored phi = 360 degrees -
longitude of plots of the sky is never used: cells at wrong places cannot be joined with other data.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np

from seaice import InputError
from seaice.gapfill.field import GappyField
from seaice.grids.sphere import compute_unit_vectors
from seaice.settings import install_command

# Linear size of a cell against the spacing of the grid: about five points a cell, so that
# nearly every cell in the sea has some.
CELL_PER_SPACING = 2.0
LARGEST_NSIDE = 8192
# Blocks of 8 x 8 cells make a region, so that three coarser scales have whole cells.
BLOCK_LEVELS = 3


def healpy() -> ModuleType:
    """The library; InputError that says how to install it."""
    try:
        import healpy as library
    except ImportError as error:
        raise InputError(f"HEALPix cells need healpy ({error}): {install_command('healpy')}") from None
    return library


@dataclass(frozen=True)
class Cells:
    """Maps on those HEALPix cells that hold at least one sea point of a grid.

    Attributes
    ----------
    nside : int
        A power of two; the sphere has ``12 * nside**2`` cells.
    ids : ndarray of int64, shape (cell,)
        Nested numbers, ascending.
    values : ndarray of float64, shape (time, cell)
        Mean of the observed points; NaN where there is none.
    observed_points : ndarray of int32, shape (time, cell)
        Number of points of which ``values`` is the mean.
    sea_points : ndarray of int32, shape (cell,)
        Sea points of the grid in the cell, observed or not.
    points : ndarray of int32, shape (cell,)
        All points of the grid in the cell; more than ``sea_points`` on a coast.
    cell_of_point : ndarray of int64, shape (y, x)
        Position in ``ids`` of each sea point, -1 on land.
    """

    nside: int
    ids: np.ndarray
    values: np.ndarray
    observed_points: np.ndarray
    sea_points: np.ndarray
    points: np.ndarray
    cell_of_point: np.ndarray

    @property
    def observed_share(self) -> np.ndarray:
        """Observed share of the sea points, float64 (time, cell), 0..1; 1 is a cell seen whole."""
        share: np.ndarray = self.observed_points / self.sea_points
        return share


def positions(gappy: GappyField) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of a field, degrees, float64 (y, x).

    Raises
    ------
    InputError
        If the field does not have them for every sea cell.
    """
    if gappy.latitude is None or gappy.longitude is None:
        raise InputError(
            "expected latitude and longitude of every cell, found none; a method on the sphere needs "
            "a file with coordinates or a grid mapping"
        )
    latitude = np.asarray(gappy.latitude, np.float64)
    longitude = np.asarray(gappy.longitude, np.float64)
    good = np.isfinite(longitude) & (np.abs(latitude) <= 90)
    if not good[gappy.sea].all():
        raise InputError(
            f"expected latitudes of -90 to 90 degrees and finite longitudes, found "
            f"{int((~good & gappy.sea).sum())} sea cells without; mask them out as land"
        )
    return latitude, longitude


def check_nside(nside: int) -> int:
    """Return ``nside`` unchanged; InputError if it is not a power of two within the limits."""
    if not (1 <= nside <= LARGEST_NSIDE and nside & (nside - 1) == 0):
        raise InputError(f"expected nside as a power of two from 1 to {LARGEST_NSIDE}, found {nside}")
    return nside


def choose_nside(latitude: np.ndarray, longitude: np.ndarray, sea: np.ndarray) -> int:
    """The finest cells that are at least twice as wide as the spacing of a grid.

    Parameters
    ----------
    latitude, longitude : ndarray of float64, shape (y, x)
        Degrees.
    sea : ndarray of bool, shape (y, x)

    Returns
    -------
    int
        nside, at least 1.
    """
    position = compute_unit_vectors(latitude, longitude, axis=-1)
    sizes = []
    for axis in (0, 1):
        step = np.linalg.norm(np.diff(position, axis=axis), axis=-1)
        both = np.logical_and(*(sea.take(range(a, sea.shape[axis] - 1 + a), axis=axis) for a in (0, 1)))
        if both.any():
            sizes.append(float(np.median(step[both])))
    spacing = float(np.prod(sizes) ** (1 / len(sizes))) if sizes else 1.0
    finest = np.sqrt(np.pi / 3) / (CELL_PER_SPACING * max(spacing, 1e-9))
    return int(2 ** np.clip(np.floor(np.log2(finest)), 0, np.log2(LARGEST_NSIDE)))


def aggregate(gappy: GappyField, *, nside: int | None = None) -> Cells:
    """Mean of the observed points of every cell, and how many they are.

    Parameters
    ----------
    gappy : GappyField
        With latitude and longitude.
    nside : int, optional
        A power of two; by default :func:`choose_nside`.

    Raises
    ------
    InputError
        For a field without coordinates or without sea, or a wrong nside.
    """
    latitude, longitude = positions(gappy)
    sea = gappy.sea
    if not sea.any():
        raise InputError("expected sea cells, found none; check the mask (true = sea)")
    nside = choose_nside(latitude, longitude, sea) if nside is None else check_nside(nside)
    valid = np.isfinite(longitude) & (np.abs(latitude) <= 90)
    numbers = np.full(sea.shape, -1, np.int64)
    numbers[valid] = healpy().ang2pix(nside, longitude[valid], latitude[valid], nest=True, lonlat=True)
    ids, index = np.unique(numbers[sea], return_inverse=True)
    cell_of_point = np.full(sea.shape, -1, np.int64)
    cell_of_point[sea] = index
    # All points of the grid in the cells with sea, land points on a coast too.
    all_points = np.searchsorted(ids, numbers[valid])
    in_cells = ids[np.minimum(all_points, ids.size - 1)] == numbers[valid]
    all_points = all_points[(all_points < ids.size) & in_cells]
    values, counts = cell_means(gappy.values, gappy.observed, cell_of_point, ids.size)
    return Cells(
        nside,
        ids,
        values,
        counts.astype(np.int32),
        np.bincount(index, minlength=ids.size).astype(np.int32),
        np.bincount(all_points, minlength=ids.size).astype(np.int32),
        cell_of_point,
    )


def cell_means(
    maps: np.ndarray, used: np.ndarray, cell_of_point: np.ndarray, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the used points of each cell, and their number.

    Parameters
    ----------
    maps : ndarray of float, shape (time, y, x)
    used : ndarray of bool, shape (time, y, x)
        False over land.
    cell_of_point : ndarray of int64, shape (y, x)
    cells : int

    Returns
    -------
    means : ndarray of float64, shape (time, cell)
        NaN where nothing is used.
    counts : ndarray of int64, shape (time, cell)
    """
    means = np.full((len(maps), cells), np.nan)
    counts = np.zeros((len(maps), cells), np.int64)
    for t, (values, use) in enumerate(zip(maps, used, strict=True)):
        index = cell_of_point[use]
        counts[t] = np.bincount(index, minlength=cells)
        seen = counts[t] > 0
        sums = np.bincount(index, values[use].astype(np.float64), minlength=cells)
        means[t, seen] = sums[seen] / counts[t, seen]
    return means, counts


def to_points(
    ids: np.ndarray,
    values: np.ndarray,
    nside: int,
    latitude: np.ndarray,
    longitude: np.ndarray,
    *,
    nearest: bool = False,
) -> np.ndarray:
    """Values of cells at points.

    Bilinear among the four cells around a point, those without a value left out. On a smooth
    field this had a ninth of the error of the nearest cell, which shows its edges besides.

    Parameters
    ----------
    ids : ndarray of int64, shape (cell,)
        Nested numbers, ascending.
    values : ndarray of float, shape (cell,)
        NaN: no value.
    nside : int
    latitude, longitude : ndarray of float64, shape (point,)
        Degrees.
    nearest : bool
        Take the cell around the point instead.

    Returns
    -------
    ndarray of float64, shape (point,)
        NaN where no cell with a value is at hand.
    """
    library = healpy()
    if nearest:
        cells = library.ang2pix(nside, longitude, latitude, nest=True, lonlat=True)[None]
        weights = np.ones(cells.shape)
    else:
        cells, weights = library.get_interp_weights(nside, longitude, latitude, nest=True, lonlat=True)
    at = np.minimum(np.searchsorted(ids, cells), ids.size - 1)
    around = np.where(ids[at] == cells, values[at], np.nan)
    weights = np.where(np.isfinite(around), weights, 0.0)
    total = weights.sum(axis=0)
    sums = (weights * np.where(weights > 0, around, 0.0)).sum(axis=0)
    return np.where(total > 1e-9, sums / np.where(total > 1e-9, total, 1.0), np.nan)


def angular_spectrum(
    ids: np.ndarray, values: np.ndarray, nside: int, *, lmax: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Angular power spectrum of a map that covers part of the sphere.

    The mean over the valid cells is taken off, the rest of the sphere is set to zero, and the
    spectrum is divided by the share of the sphere that is covered. That corrects its height,
    not the mixing of neighbouring degrees: below degree 180 / (width in degrees) read nothing.

    Parameters
    ----------
    ids : ndarray of int64, shape (cell,)
        Nested numbers.
    values : ndarray of float, shape (cell,)
        NaN cells do not count.
    nside : int
    lmax : int, optional
        Highest degree; ``2 * nside`` by default, as the cells do not resolve more.

    Returns
    -------
    degree : ndarray of int64, shape (lmax + 1,)
    power : ndarray of float64, shape (lmax + 1,)
        Unit of ``values`` squared.

    Raises
    ------
    InputError
        If no cell has a value.
    """
    library = healpy()
    valid = np.isfinite(values)
    if not valid.any():
        raise InputError("expected cells with values, found none; choose a map with observations")
    whole = np.zeros(12 * check_nside(nside) ** 2)
    whole[ids[valid]] = values[valid] - values[valid].mean()
    lmax = 2 * nside if lmax is None else lmax
    power = library.anafast(library.reorder(whole, n2r=True), lmax=lmax)
    return np.arange(lmax + 1), power * whole.size / valid.sum()


@dataclass(frozen=True)
class Region:
    """The cells that are worked on: those with sea, and the land and coast around them.

    Attributes
    ----------
    nside : int
    ids : ndarray of int64, shape (cell,)
        Nested numbers, ascending; whole blocks, or the whole sphere.
    at : ndarray of int64, shape (sea cell,)
        Positions of the cells of the field in ``ids``.
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
        sea = np.zeros(self.ids.size, bool)
        sea[self.at] = True
        return sea

    def spread_out(self, values: np.ndarray) -> np.ndarray:
        """Values of the sea cells on all cells: land takes means of its neighbours, ring by ring."""
        out = np.full(self.ids.size, np.nan)
        out[self.at] = values
        while (empty := np.isnan(out)).any():
            around = np.where(self.neighbours[:, empty] >= 0, out[self.neighbours[:, empty]], np.nan)
            has_value = np.isfinite(around)
            means = np.where(has_value, around, 0).sum(axis=0) / np.maximum(has_value.sum(axis=0), 1)
            means[~has_value.any(axis=0)] = np.nan
            if np.isnan(means).all():
                means[:] = np.mean(values)  # blocks that touch no sea at all
            out[empty] = means
        return out


def make_region(cells: Cells) -> Region:
    """Make the region on which the cells of a field are worked on.

    The sphere is divided into blocks of 64 cells (fewer if ``nside`` is below 8). The region consists
    of all blocks with a sea cell and, if ``nside`` is above 8, the blocks next to them. If these are
    more than half of all blocks, the region is the whole sphere.
    """
    library = healpy()
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
    at = np.minimum(np.searchsorted(ids, around), ids.size - 1)
    neighbours = np.where((around >= 0) & (ids[at] == around), at, -1)
    return Region(nside, ids, np.searchsorted(ids, cells.ids), neighbours)
