"""Where to cut patches out of a scene: every place of a lattice is judged, then some are drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.sources.ai4arctic.scene import COARSE

Kind = Literal["water", "mixed", "ice"]
Sampling = Literal["stratified", "random"]

KINDS: tuple[Kind, ...] = ("water", "mixed", "ice")
# A patch is mixed if ice is more than 5 and less than 95 percent of its valid pixels.
MIXED = (0.05, 0.95)
# Places of the lattice along one patch.
_PLACES_PER_PATCH = 8


@dataclass(frozen=True)
class Candidates:
    """Places of patches in a scene.

    Attributes
    ----------
    rows, columns : ndarray of int64, shape (n,)
        Upper left pixels.
    valid : ndarray of int64, shape (n,)
        Number of valid pixels.
    ice : ndarray of int64, shape (n,)
        Number of valid pixels that are ice.
    size : int
        Pixels along a side.
    """

    rows: np.ndarray
    columns: np.ndarray
    valid: np.ndarray
    ice: np.ndarray
    size: int

    @property
    def valid_share(self) -> np.ndarray:
        """Of the pixels of the patch, float64 (n,)."""
        found: np.ndarray = self.valid / self.size**2
        return found

    @property
    def ice_share(self) -> np.ndarray:
        """Of the valid pixels, float64 (n,); NaN without any."""
        with np.errstate(invalid="ignore"):
            found: np.ndarray = self.ice / np.where(self.valid, self.valid, np.nan)
        return found

    @property
    def kinds(self) -> np.ndarray:
        """Index into :data:`KINDS`, int64 (n,)."""
        share = self.ice_share
        found: np.ndarray = (share > MIXED[0]).astype(np.int64) + (share >= MIXED[1])
        return found

    def where(self, wanted: np.ndarray) -> Candidates:
        """Those of a bool array or of indices."""
        rows, columns = self.rows[wanted], self.columns[wanted]
        return Candidates(rows, columns, self.valid[wanted], self.ice[wanted], self.size)


def scene_random(seed: int, scene: str) -> np.random.Generator:
    """Random numbers of a scene: by its name, whoever cuts it and whatever came before."""
    digest = hashlib.sha256(scene.encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])


def lattice(length: int, size: int, offset: int) -> np.ndarray:
    """Starts of patches along an axis: every eighth of a patch, and both ends.

    Examples
    --------
    >>> lattice(length=30, size=16, offset=1).tolist()
    [0, 1, 3, 5, 7, 9, 11, 13, 14]
    """
    step = max(1, size // _PLACES_PER_PATCH)
    inner = np.arange(offset % step, length - size + 1, step)
    return np.unique(np.concatenate([[0], inner, [length - size]]))


def candidates(
    valid: np.ndarray, ice: np.ndarray, *, size: int, offset: tuple[int, int] = (0, 0)
) -> Candidates:
    """Count valid pixels and ice at every place of a lattice. Exact; O(pixels).

    Sums are taken between the lines of the lattice and then added up, so that no table of the
    size of the scene is needed.

    Parameters
    ----------
    valid, ice : ndarray of bool, shape (lines, samples)
    size : int
    offset : (int, int)
        Of the lattice, in pixels.

    Raises
    ------
    InputError
        If the scene is smaller than a patch.

    Examples
    --------
    >>> valid = np.ones((4, 6), bool)
    >>> found = candidates(valid, np.arange(6) >= np.full((4, 1), 3), size=4)
    >>> found.columns.tolist(), found.ice.tolist()
    ([0, 1, 2], [4, 8, 12])
    """
    if min(valid.shape) < size:
        raise InputError(
            f"expected a scene of at least {size} x {size} pixels, found {valid.shape[0]} x "
            f"{valid.shape[1]}; give a smaller --size"
        )
    rows = lattice(valid.shape[0], size, offset[0])
    columns = lattice(valid.shape[1], size, offset[1])
    counts = [_sums(mask, rows, columns, size) for mask in (valid, ice & valid)]
    here = np.meshgrid(rows, columns, indexing="ij")
    return Candidates(here[0].ravel(), here[1].ravel(), counts[0], counts[1], size)


def _sums(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: int) -> np.ndarray:
    table: np.ndarray = mask.view(np.uint8)
    for axis, starts in enumerate((rows, columns)):
        lines = np.unique(np.concatenate([[0], starts, starts + size, [mask.shape[axis]]]))
        inner = lines[lines < mask.shape[axis]]
        # Sums of few lines of a mask fit into a byte, and bytes are added many at a time.
        is_small = axis == 0 and np.diff(lines).max() <= 255
        kind = np.uint8 if is_small else np.int64
        parts = np.add.reduceat(table, inner, axis=axis, dtype=kind).astype(np.int64)
        pad = [(1, 0) if a == axis else (0, 0) for a in (0, 1)]
        total = np.pad(np.cumsum(parts, axis=axis), pad)
        first, last = np.searchsorted(lines, starts), np.searchsorted(lines, starts + size)
        table = np.take(total, last, axis=axis) - np.take(total, first, axis=axis)
    return table.ravel()


@dataclass(frozen=True)
class Choice:
    """How places are drawn.

    Attributes
    ----------
    count : int
        At most so many.
    mixed_share : float
        Wanted share of mixed patches; the rest is half water, half ice. What a kind lacks goes
        to the others.
    max_overlap : float
        Largest common share of the area of two patches.
    sampling : {"stratified", "random"}
        "random" draws from all places alike.
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
        if self.sampling not in ("stratified", "random"):
            raise InputError(f"expected sampling stratified or random, found {self.sampling!r}")

    @property
    def quotas(self) -> Mapping[int, float]:
        """Wanted number by index of kind."""
        rest = self.count * (1 - self.mixed_share) / 2
        return {0: rest, 1: self.count * self.mixed_share, 2: rest}


def choose(places: Candidates, choice: Choice, rng: np.random.Generator) -> Candidates:
    """Draw places one after the other, each of the kind that lacks most and has places left.

    Parameters
    ----------
    places : Candidates
        All that may be taken.
    choice : Choice
    rng : numpy.random.Generator

    Returns
    -------
    Candidates
        In the order of rows and columns; fewer than asked for where there is no more room.
    """
    order = rng.permutation(places.rows.size)
    kinds = places.kinds if choice.sampling == "stratified" else np.ones(places.rows.size, np.int64)
    lacking = dict(choice.quotas)
    free = np.ones(order.size, bool)
    taken: list[int] = []
    while len(taken) < choice.count and free.any():
        left = [k for k in lacking if (free & (kinds == k)).any()]
        kind = max(left, key=lambda k: (lacking[k], k == 1))
        chosen = int(order[np.argmax((free & (kinds == kind))[order])])
        lacking[kind] -= 1
        taken.append(chosen)
        # The margin keeps 0.57 of 100 at 57.
        free &= _common(places, chosen) <= choice.max_overlap * places.size**2 + 1e-6
        free[chosen] = False
    inside = np.array(sorted(taken, key=lambda i: (places.rows[i], places.columns[i])), dtype=np.int64)
    return places.where(inside)


def _common(places: Candidates, chosen: int) -> np.ndarray:
    """Pixels that each place has in common with one of them."""
    down = places.size - np.abs(places.rows - places.rows[chosen])
    across = places.size - np.abs(places.columns - places.columns[chosen])
    found: np.ndarray = np.maximum(down, 0) * np.maximum(across, 0)
    return found


def coarse_window(start: int, size: int, cells: int) -> slice:
    """Cells of the 2 km grid that a run of pixels touches; the last one stands for what lies beyond.

    Examples
    --------
    >>> coarse_window(24, 224, 200), coarse_window(5190, 10, 207)
    (slice(0, 10, None), slice(206, 207, None))
    """
    first = min(start // COARSE, cells - 1)
    return slice(first, min((start + size - 1) // COARSE, cells - 1) + 1)
