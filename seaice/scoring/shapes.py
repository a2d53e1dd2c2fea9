"""The shapes of gaps: each kind as a function that says where its gaps lie."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.swaths.orbit import (
    SwathMap,
    list_half_orbits,
)

# Maps that stay between two gaps of whole days: wide, else as wide as the record allows.
_APART = (6, 4, 2, 1)
_TRIES = 20  # at each distance: a run may come to lie where it leaves no room for the next
_TILE = 32  # cells, side of the squares in which coastal strips lie or not
_POLE_DISTANCE = 7.0  # degrees: where the pole is not observed, its hole is cut this near to it
_KEPT_UNDER_CLOUDS = 0.1  # share of the observed cells of a map that clouds leave


@dataclass(frozen=True)
class GapSettings:
    """How large the gaps of each kind are and how many there are.

    Attributes
    ----------
    outage_days : tuple of int
        Maps in a row that each outage removes.
    single_days : int
        How many maps are removed alone.
    last_days : int
        Maps removed at the end of the record.
    orbits : int
        At most so many orbits are dropped on a day; the number is drawn from 0 on.
    pole_radius : float
        Of the pole hole, degrees of arc.
    cloud_share : float
        Share of the maps that receive the clouds of another, 0..1.
    coast_cells : int
        Width of the strips along the coast, cells.
    coast_share : float
        Share of the squares of 32 x 32 cells with a coast in which there is such a strip, 0..1.
    """

    outage_days: tuple[int, ...] = (2, 4, 8, 12)
    single_days: int = 4
    last_days: int = 3
    orbits: int = 4
    pole_radius: float = 2.0
    cloud_share: float = 0.3
    coast_cells: int = 2
    coast_share: float = 0.3

    def __post_init__(self) -> None:
        counts = (*self.outage_days, self.single_days, self.last_days, self.orbits, self.coast_cells)
        if min(counts) < 1:
            raise InputError(f"expected lengths and numbers of gaps of at least 1, found {min(counts)}")
        if not 0 < self.pole_radius <= 30:
            raise InputError(f"expected pole_radius of 0 to 30 degrees, found {self.pole_radius:g}")
        for name in ("cloud_share", "coast_share"):
            if not 0 < getattr(self, name) <= 1:
                raise InputError(f"expected {name} above 0 and at most 1, found {getattr(self, name):g}")


@dataclass(frozen=True)
class Cut:
    """A gap as a kind asks for it, observed or not.

    Attributes
    ----------
    days : int
        Its length, maps in a row.
    frames : slice
        The maps.
    cells : ndarray of bool, shape (y, x) or (maps, y, x)
    """

    days: int
    frames: slice
    cells: np.ndarray


@dataclass(frozen=True)
class GapContext:
    """What a kind may look at.

    Attributes
    ----------
    gappy : GappyField
    observed : ndarray of bool, shape (time, y, x)
        Still observed after the kinds before.
    grid : Grid or None
        None for grids of latitude and longitude.
    settings : GapSettings
    given : ndarray of bool, shape (time, y, x), or None
    """

    gappy: GappyField
    observed: np.ndarray
    grid: Grid | None
    settings: GapSettings
    given: np.ndarray | None = None

    @property
    def absent(self) -> np.ndarray:
        """Maps without any observation, bool (time,)."""
        return np.array([not frame.any() for frame in self.observed])


Shape = Callable[[GapContext, np.random.Generator], list[Cut]]


def given(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """Cells that somebody else has chosen, such as published cross-validation points."""
    if ground.given is None:
        raise InputError("the kind given wants cells to hold out; give held_out_file")
    if ground.given.dtype != np.bool_ or ground.given.shape != ground.observed.shape:
        raise InputError(
            f"expected cells to hold out as bool {ground.observed.shape}, found "
            f"{ground.given.dtype} of {ground.given.shape}; write them on the grid of the field"
        )
    return [Cut(0, slice(0, len(ground.given)), ground.given)]


def last_days(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """The end of the record, as in real time: nothing is known afterwards."""
    count, maps = ground.settings.last_days, len(ground.observed)
    if count >= maps:
        raise InputError(f"cannot cut the last {count} of {maps} maps; ask for fewer last_days")
    return [_whole(ground, maps - count, count)]


def outages(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """Runs of whole maps, the longest placed first."""
    return _place(ground, sorted(ground.settings.outage_days, reverse=True), rng)


def single_days(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """Whole maps alone."""
    return _place(ground, [1] * ground.settings.single_days, rng)


def pole_hole(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """A disc around the pole, on every map.

    Where the pole itself is not observed, a disc of the same size near it, all of whose cells are
    sea and were observed on at least half of the maps there are.
    """
    sine, longitude = _sphere(ground)
    near = np.cos(np.radians(ground.settings.pole_radius))
    often = ground.observed[~ground.absent].mean(axis=0) >= 0.5
    disc = sine > near
    if not disc.any():
        raise InputError(
            f"no cell within {ground.settings.pole_radius:g} degrees of the pole; leave out pole_hole"
        )
    if often[disc].all():
        return [Cut(len(ground.observed), slice(0, len(ground.observed)), disc)]
    cosine = np.sqrt(np.clip(1 - sine**2, 0, 1))
    centres = np.argwhere((sine > np.cos(np.radians(_POLE_DISTANCE))) & often)
    for y, x in rng.permutation(centres)[:2000]:
        turned = np.cos(longitude - longitude[y, x])
        disc = sine * sine[y, x] + cosine * cosine[y, x] * turned > near
        if often[disc].all():
            return [Cut(len(ground.observed), slice(0, len(ground.observed)), disc)]
    raise InputError(
        f"no disc of {ground.settings.pole_radius:g} degrees within {_POLE_DISTANCE:g} degrees of the "
        "pole is observed; leave out pole_hole or choose a smaller pole_radius"
    )


def coast(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """Strips of cells along the coast, on every map, in some squares of the grid."""
    from scipy.ndimage import binary_dilation

    sea = ground.gappy.sea
    if sea.all():
        raise InputError("the field has no land, so no coast; give a mask or leave out coast")
    cells = ground.settings.coast_cells
    strip = sea & binary_dilation(~sea, structure=np.ones((3, 3), bool), iterations=cells)
    row, column = np.indices(sea.shape) // _TILE
    square = row * (column.max() + 1) + column
    coastal = rng.permutation(np.unique(square[strip]))
    share = ground.settings.coast_share
    chosen = np.isin(square, coastal[: int(np.ceil(share * coastal.size))])
    maps = len(ground.observed)
    return [Cut(maps, slice(0, maps), strip & chosen)]


def clouds(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """What is missing on another map of the field, laid on this one.

    A map that finds no other gets its own gaps, moved by a random number of rows and columns.
    """
    missing = ground.gappy.missing
    share = missing.sum(axis=(1, 2)) / max(ground.gappy.sea.sum(), 1)
    donors = np.flatnonzero((share > 0.01) & (share < 0.99))
    if not donors.size:
        raise InputError("no map has gaps of its own to lay on another; leave out clouds")
    maps = np.flatnonzero(~ground.absent)
    chosen = rng.permutation(maps)[: max(1, round(ground.settings.cloud_share * maps.size))]
    cuts = []
    for t in np.sort(chosen):
        # The map itself comes last.
        for s in sorted(rng.permutation(donors), key=lambda s: s == t):
            pattern = missing[s]
            if s == t:
                pattern = np.roll(pattern, [rng.integers(n) for n in pattern.shape], axis=(0, 1))
            left = (ground.observed[t] & ~pattern).sum()
            if left >= _KEPT_UNDER_CLOUDS * ground.observed[t].sum():
                cuts.append(Cut(1, slice(t, t + 1), pattern))
                break
    return cuts


def orbits(ground: GapContext, rng: np.random.Generator) -> list[Cut]:
    """What the dropped orbits of a day alone would have seen (:mod:`seaice.swaths.orbit`)."""
    grid = ground.grid
    if grid is None or grid.distance_to_pole() is None or grid.shape != ground.gappy.sea.shape:
        raise InputError("orbits are known on polar grids only; leave out orbits")
    swaths = SwathMap(grid)
    cuts = []
    for t in np.flatnonzero(~ground.absent):
        halves = list_half_orbits(from_day_number(int(np.floor(ground.gappy.days[t]))))
        count = rng.integers(0, ground.settings.orbits + 1)
        dropped = set(rng.choice(len(halves) // 2, size=count, replace=False).tolist())
        kept = [half for i, half in enumerate(halves) if i // 2 not in dropped]
        if dropped:
            cuts.append(
                Cut(1, slice(t, t + 1), swaths.find_covered(halves) & ~swaths.find_covered(kept))
            )
    return cuts


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        # What is missing on every map comes first: on a missing day too it is that gap.
        "given": given,
        "pole_hole": pole_hole,
        "coast": coast,
        "last_days": last_days,
        "outages": outages,
        "single_days": single_days,
        "clouds": clouds,
        "orbits": orbits,
    }
)


def _whole(ground: GapContext, first: int, count: int) -> Cut:
    return Cut(count, slice(first, first + count), ground.gappy.sea)


def _place(ground: GapContext, lengths: list[int], rng: np.random.Generator) -> list[Cut]:
    """Whole maps in runs of these lengths, apart from each other and from absent maps."""
    for apart in np.repeat(_APART, _TRIES):
        taken = ground.absent.copy()
        cuts = []
        for length in lengths:
            starts = np.arange(apart, len(taken) - length - apart + 1)
            before = np.concatenate([[0], np.cumsum(taken)])
            free = before[starts + length + apart] == before[starts - apart]
            if not free.any():
                break
            first = int(rng.choice(starts[free]))
            taken[first : first + length] = True
            cuts.append(_whole(ground, first, length))
        else:
            return sorted(cuts, key=lambda cut: cut.frames.start)
    raise InputError(
        f"no room for whole maps missing in runs of {', '.join(map(str, lengths))} among "
        f"{len(ground.observed)} maps, {int(ground.absent.sum())} of them absent; ask for fewer or "
        "shorter ones"
    )


def _sphere(ground: GapContext) -> tuple[np.ndarray, np.ndarray]:
    """Sine of the latitude towards the nearer pole of the field, and longitude in radians."""
    latitude, longitude = ground.gappy.latitude, ground.gappy.longitude
    if ground.grid is not None and (latitude is None or longitude is None):
        longitude, latitude = ground.grid.longitude_latitude()
    if latitude is None or longitude is None:
        raise InputError("pole_hole wants latitudes and longitudes, the field has none; leave it out")
    towards = -1 if np.nanmax(latitude) < -np.nanmin(latitude) else 1
    return towards * np.sin(np.radians(latitude)), np.radians(longitude)
