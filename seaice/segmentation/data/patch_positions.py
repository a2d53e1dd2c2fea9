"""Positions in a scene where patches can be cut, and the draw among them.

Every position of a grid over the scene is judged by its valid pixels and its ice; some are then drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from seaice import InputError
from seaice.runtime.digests import digest_parts

PatchKind = Literal["water", "mixed", "ice"]
Sampling = Literal["stratified", "random"]

KINDS: tuple[PatchKind, ...] = get_args(PatchKind)
# A patch is mixed if ice is more than 5 and less than 95 percent of its valid pixels.
MIXED = (0.05, 0.95)
# Shares of ice in patches that count as about half ice, as in the study of the published patches.
ABOUT_HALF_ICE = (0.2, 0.8)
# Positions along the length of one patch.
_POSITIONS_PER_PATCH = 8


@dataclass(frozen=True)
class PatchPositions:
    """Positions of patches in a scene, with the number of valid pixels and of ice in each patch.

    Attributes
    ----------
    rows, columns : ndarray of int64, shape (n,)
        Upper left pixels.
    valid_pixels : ndarray of int64, shape (n,)
        Pixels with SAR and class.
    ice_pixels : ndarray of int64, shape (n,)
        Valid pixels that are ice.
    size : int
        Pixels along a side.
    """

    rows: np.ndarray
    columns: np.ndarray
    valid_pixels: np.ndarray
    ice_pixels: np.ndarray
    size: int

    @property
    def valid_share(self) -> np.ndarray:
        """Share of valid pixels in each patch, float64 (n,)."""
        share: np.ndarray = self.valid_pixels / self.size**2
        return share

    @property
    def ice_share(self) -> np.ndarray:
        """Share of ice among the valid pixels, float64 (n,); NaN in a patch without a valid pixel."""
        with np.errstate(invalid="ignore"):
            share: np.ndarray = self.ice_pixels / np.where(self.valid_pixels, self.valid_pixels, np.nan)
        return share

    @property
    def kinds(self) -> np.ndarray:
        """Index into :data:`KINDS`, int64 (n,)."""
        share = self.ice_share
        numbers: np.ndarray = (share > MIXED[0]).astype(np.int64) + (share >= MIXED[1])
        return numbers

    def select(self, selection: np.ndarray) -> PatchPositions:
        """Select some of the positions, by a bool array or by indices."""
        return PatchPositions(
            self.rows[selection],
            self.columns[selection],
            self.valid_pixels[selection],
            self.ice_pixels[selection],
            self.size,
        )


def make_scene_generator(seed: int, scene: str) -> np.random.Generator:
    """Random generator of a scene; its numbers depend on the seed and the name of the scene alone."""
    digest = bytes.fromhex(digest_parts([scene]))
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


def space_positions(length: int, size: int, offset: int) -> np.ndarray:
    """First pixels of patches along an axis: every eighth of a patch, and both ends.

    Examples
    --------
    >>> space_positions(length=30, size=16, offset=1).tolist()
    [0, 1, 3, 5, 7, 9, 11, 13, 14]
    """
    step = max(1, size // _POSITIONS_PER_PATCH)
    inner = np.arange(offset % step, length - size + 1, step)
    return np.unique(np.concatenate([[0], inner, [length - size]]))


def find_positions(
    valid: np.ndarray, ice: np.ndarray, *, size: int, offset: tuple[int, int] = (0, 0)
) -> PatchPositions:
    """Count valid pixels and ice of the patch at every position. Exact; O(pixels).

    Parameters
    ----------
    valid, ice : ndarray of bool, shape (lines, samples)
    size : int
        Pixels along a side of a patch.
    offset : (int, int)
        Shift of the positions, in pixels.

    Raises
    ------
    InputError
        If the scene is smaller than a patch.

    Examples
    --------
    >>> valid = np.ones((4, 6), bool)
    >>> positions = find_positions(valid, np.arange(6) >= np.full((4, 1), 3), size=4)
    >>> positions.columns.tolist(), positions.ice_pixels.tolist()
    ([0, 1, 2], [4, 8, 12])
    """
    if min(valid.shape) < size:
        raise InputError(
            f"expected a scene of at least {size} x {size} pixels, found {valid.shape[0]} x "
            f"{valid.shape[1]}; give a smaller --size"
        )
    rows = space_positions(valid.shape[0], size, offset[0])
    columns = space_positions(valid.shape[1], size, offset[1])
    valid_pixels, ice_pixels = (_sum_squares(mask, rows, columns, size) for mask in (valid, ice & valid))
    corners = np.meshgrid(rows, columns, indexing="ij")
    return PatchPositions(corners[0].ravel(), corners[1].ravel(), valid_pixels, ice_pixels, size)


def _sum_squares(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    """Number of true pixels in the patch at every row and column, int64 (rows * columns,).

    Along each axis the mask is cut at the edges of all patches, summed between neighbouring cuts, and
    the sums are accumulated. The count of a patch is then a difference of two of these, and no table
    of the size of the scene is needed.
    """
    table: np.ndarray = mask.view(np.uint8)
    for axis, starts in enumerate((rows, columns)):
        cuts = np.unique(np.concatenate([[0], starts, starts + size, [mask.shape[axis]]]))
        inner = cuts[cuts < mask.shape[axis]]
        # Sums of few lines of a mask fit into a byte, and bytes are added many at a time.
        is_small = axis == 0 and np.diff(cuts).max() <= 255
        dtype = np.uint8 if is_small else np.int64
        parts = np.add.reduceat(table, inner, axis=axis, dtype=dtype).astype(np.int64)
        pad = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        total = np.pad(np.cumsum(parts, axis=axis), pad)
        first, last = np.searchsorted(cuts, starts), np.searchsorted(cuts, starts + size)
        table = np.take(total, last, axis=axis) - np.take(total, first, axis=axis)
    return table.ravel()


@dataclass(frozen=True)
class DrawSettings:
    """How positions are drawn.

    Attributes
    ----------
    count : int
        Most patches of a scene.
    mixed_share : float
        Wished share of mixed patches, 0 to 1; the rest is half water, half ice. Where a scene has too
        few of a kind, the other kinds take their number.
    max_overlap : float
        Largest common share of the area of two patches, 0 to 1.
    sampling : {"stratified", "random"}
        "random" draws from all positions alike.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    count: int = 20
    mixed_share: float = 0.5
    max_overlap: float = 0.25
    sampling: Sampling = "stratified"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"expected per_scene of at least 1, found {self.count}")
        for name in ("mixed_share", "max_overlap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"expected {name} from 0 to 1, found {getattr(self, name)}")
        if self.sampling not in get_args(Sampling):
            raise InputError(f"expected sampling stratified or random, found {self.sampling!r}")

    @property
    def quotas(self) -> Mapping[int, float]:
        """Wished number of patches by index of their kind."""
        unmixed = self.count * (1 - self.mixed_share) / 2
        return {0: unmixed, 1: self.count * self.mixed_share, 2: unmixed}


def draw_positions(
    positions: PatchPositions, settings: DrawSettings, rng: np.random.Generator
) -> PatchPositions:
    """Draw positions one after the other, each of the kind that lacks most and is still available.

    Parameters
    ----------
    positions : PatchPositions
        All that may be drawn.
    settings : DrawSettings
    rng : numpy.random.Generator

    Returns
    -------
    PatchPositions
        In the order of rows and columns; fewer than asked for where there is no more room.
    """
    order = rng.permutation(positions.rows.size)
    is_stratified = settings.sampling == "stratified"
    kinds = positions.kinds if is_stratified else np.ones(positions.rows.size, np.int64)
    lacking = dict(settings.quotas)
    free = np.ones(order.size, bool)
    drawn: list[int] = []
    while len(drawn) < settings.count and free.any():
        available = [kind for kind in lacking if (free & (kinds == kind)).any()]
        scarcest = max(available, key=lambda kind: (lacking[kind], kind == 1))
        index = int(order[np.argmax((free & (kinds == scarcest))[order])])
        lacking[scarcest] -= 1
        drawn.append(index)
        # With the margin an overlap of 0.57 allows 5700 of 10000 pixels in spite of rounding.
        common = _count_common_pixels(positions, index)
        free &= common <= settings.max_overlap * positions.size**2 + 1e-6
        free[index] = False
    in_order = sorted(drawn, key=lambda index: (positions.rows[index], positions.columns[index]))
    return positions.select(np.array(in_order, dtype=np.int64))


def _count_common_pixels(positions: PatchPositions, index: int) -> np.ndarray:
    """Pixels that the patch at each position has in common with the patch of that index."""
    down = positions.size - np.abs(positions.rows - positions.rows[index])
    across = positions.size - np.abs(positions.columns - positions.columns[index])
    common: np.ndarray = np.maximum(down, 0) * np.maximum(across, 0)
    return common
