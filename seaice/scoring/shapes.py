"""Shapes of artificial gaps: for every kind of gap a function that places its gaps in a field."""

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

# Distances between two gaps of whole maps, in maps; smaller ones are used if there is no room.
_DISTANCES = (6, 4, 2, 1)
_TRIES = 20  # for each distance, because a run may be placed where it leaves no room for the next
_SQUARE = 32  # cells, side of the squares that have a coastal strip or not
_POLE_DISTANCE = 7.0  # degrees from the pole within which a disc is cut if the pole is not observed
_LEAST_CLEAR_SHARE = 0.1  # least share of the observed cells of a map that clouds leave


@dataclass(frozen=True)
class GapSettings:
    """Sizes and numbers of the gaps of every kind.

    Attributes
    ----------
    outage_days : tuple of int
        Length of every outage, maps in a row.
    single_days : int
        Number of single maps that are removed.
    last_days : int
        Number of maps that are removed at the end of the record.
    orbits : int
        Largest number of orbits that are removed on a day; the number is drawn from 0 on.
    pole_radius : float
        Radius of the pole hole, degrees of arc.
    cloud_share : float
        Share of the maps that get the missing cells of another map, 0..1.
    coast_cells : int
        Width of the strips along the coast, cells.
    coast_share : float
        Share of the coastal squares of 32 x 32 cells that get a strip, 0..1.

    Raises
    ------
    InputError
        If a number lies outside its range.
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
class GapShape:
    """Shape of one gap: the maps and cells that it removes, whether they are observed or not.

    Attributes
    ----------
    days : int
        Length of the gap, maps in a row; 0 if the kind has no length.
    frames : slice
        The maps.
    cells : ndarray of bool, shape (y, x) or (maps, y, x)
        The cells on all of these maps, or on each of them.
    """

    days: int
    frames: slice
    cells: np.ndarray


@dataclass(frozen=True)
class GapContext:
    """Field into which gaps are cut, with all that the functions of the kinds need.

    Attributes
    ----------
    gappy : GappyField
        The field with its own gaps.
    observed : ndarray of bool, shape (time, y, x)
        Cells that are observed and were not removed by an earlier kind.
    grid : Grid or None
        Grid of the field; None for grids of latitude and longitude.
    settings : GapSettings
    held_out_cells : ndarray of bool, shape (time, y, x), or None
        Cells of the kind ``given``.
    """

    gappy: GappyField
    observed: np.ndarray
    grid: Grid | None
    settings: GapSettings
    held_out_cells: np.ndarray | None = None

    @property
    def is_absent(self) -> np.ndarray:
        """Whether a map has no observation, bool (time,)."""
        return np.array([not frame.any() for frame in self.observed])


ShapeFunction = Callable[[GapContext, np.random.Generator], list[GapShape]]


def place_given(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Return the cells that the user chose, such as published cross-validation points."""
    cells = context.held_out_cells
    if cells is None:
        raise InputError("the kind given wants cells to hold out; give held_out_file")
    if cells.dtype != np.bool_ or cells.shape != context.observed.shape:
        raise InputError(
            f"expected cells to hold out as bool {context.observed.shape}, found "
            f"{cells.dtype} of {cells.shape}; write them on the grid of the field"
        )
    return [GapShape(0, slice(0, len(cells)), cells)]


def place_last_days(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Remove the end of the record: as in near real time there are no later observations."""
    count, maps = context.settings.last_days, len(context.observed)
    if count >= maps:
        raise InputError(f"cannot cut the last {count} of {maps} maps; ask for fewer last_days")
    return [_remove_maps(context, maps - count, count)]


def place_outages(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Place outages, that is, runs of whole maps; the longest is placed first."""
    return _place_runs(context, sorted(context.settings.outage_days, reverse=True), rng)


def place_single_days(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Place gaps of one whole map."""
    return _place_runs(context, [1] * context.settings.single_days, rng)


def place_pole_hole(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Place a disc around the pole, on every map.

    If the pole itself is not observed, the disc lies near it: all its cells are sea and are observed
    on at least half of the maps with observations.
    """
    sine, longitude = _compute_positions(context)
    # A cell lies in a disc if the cosine of its angular distance to the centre is larger than this.
    smallest_cosine = np.cos(np.radians(context.settings.pole_radius))
    is_often_observed = context.observed[~context.is_absent].mean(axis=0) >= 0.5
    disc = sine > smallest_cosine
    if not disc.any():
        raise InputError(
            f"no cell within {context.settings.pole_radius:g} degrees of the pole; leave out pole_hole"
        )
    maps = len(context.observed)
    if is_often_observed[disc].all():
        return [GapShape(maps, slice(0, maps), disc)]
    cosine = np.sqrt(np.clip(1 - sine**2, 0, 1))
    centres = np.argwhere((sine > np.cos(np.radians(_POLE_DISTANCE))) & is_often_observed)
    for y, x in rng.permutation(centres)[:2000]:
        longitude_cosine = np.cos(longitude - longitude[y, x])
        disc = sine * sine[y, x] + cosine * cosine[y, x] * longitude_cosine > smallest_cosine
        if is_often_observed[disc].all():
            return [GapShape(maps, slice(0, maps), disc)]
    raise InputError(
        f"no disc of {context.settings.pole_radius:g} degrees within {_POLE_DISTANCE:g} degrees of the "
        "pole is observed; leave out pole_hole or choose a smaller pole_radius"
    )


def place_coast(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Place strips of cells along the coast, on every map, in some squares of the grid."""
    from scipy.ndimage import binary_dilation

    sea = context.gappy.sea
    if sea.all():
        raise InputError("the field has no land, so no coast; give a mask or leave out coast")
    cells = context.settings.coast_cells
    strip = sea & binary_dilation(~sea, structure=np.ones((3, 3), bool), iterations=cells)
    row, column = np.indices(sea.shape) // _SQUARE
    square = row * (column.max() + 1) + column  # number of the square of every cell
    coastal_squares = rng.permutation(np.unique(square[strip]))
    count = int(np.ceil(context.settings.coast_share * coastal_squares.size))
    in_square = np.isin(square, coastal_squares[:count])
    maps = len(context.observed)
    return [GapShape(maps, slice(0, maps), strip & in_square)]


def place_clouds(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Remove from some maps the cells that are missing on another map of the field.

    If no other map leaves enough cells, a map gets its own missing cells, moved by a random number of
    rows and columns.
    """
    missing = context.gappy.missing
    share = missing.sum(axis=(1, 2)) / max(context.gappy.sea.sum(), 1)
    donors = np.flatnonzero((share > 0.01) & (share < 0.99))
    if not donors.size:
        raise InputError("no map has gaps of its own to lay on another; leave out clouds")
    maps = np.flatnonzero(~context.is_absent)
    receivers = rng.permutation(maps)[: max(1, round(context.settings.cloud_share * maps.size))]
    shapes = []
    for t in np.sort(receivers):
        # In random order, but the map itself last.
        for donor in sorted(rng.permutation(donors), key=lambda s: s == t):
            pattern = missing[donor]
            if donor == t:
                pattern = np.roll(pattern, [rng.integers(n) for n in pattern.shape], axis=(0, 1))
            clear_cells = (context.observed[t] & ~pattern).sum()
            if clear_cells >= _LEAST_CLEAR_SHARE * context.observed[t].sum():
                shapes.append(GapShape(1, slice(t, t + 1), pattern))
                break
    return shapes


def place_orbits(context: GapContext, rng: np.random.Generator) -> list[GapShape]:
    """Remove the cells that only the dropped orbits of a day observe (:mod:`seaice.swaths.orbit`)."""
    grid = context.grid
    if grid is None or grid.distance_to_pole() is None or grid.shape != context.gappy.sea.shape:
        raise InputError("orbits are known on polar grids only; leave out orbits")
    swaths = SwathMap(grid)
    shapes = []
    for t in np.flatnonzero(~context.is_absent):
        halves = list_half_orbits(from_day_number(int(np.floor(context.gappy.days[t]))))
        count = rng.integers(0, context.settings.orbits + 1)
        dropped = set(rng.choice(len(halves) // 2, size=count, replace=False).tolist())
        remaining = [half for i, half in enumerate(halves) if i // 2 not in dropped]
        if dropped:
            cells = swaths.find_covered(halves) & ~swaths.find_covered(remaining)
            shapes.append(GapShape(1, slice(t, t + 1), cells))
    return shapes


# Kinds of gaps in the order in which they are cut. A cell belongs to the first kind that removes it,
# so the kinds that remove cells of every map come first.
SHAPES: Mapping[str, ShapeFunction] = MappingProxyType(
    {
        "given": place_given,
        "pole_hole": place_pole_hole,
        "coast": place_coast,
        "last_days": place_last_days,
        "outages": place_outages,
        "single_days": place_single_days,
        "clouds": place_clouds,
        "orbits": place_orbits,
    }
)


def _remove_maps(context: GapContext, first: int, count: int) -> GapShape:
    return GapShape(count, slice(first, first + count), context.gappy.sea)


def _place_runs(context: GapContext, lengths: list[int], rng: np.random.Generator) -> list[GapShape]:
    """Place runs of whole maps of some lengths, at a distance from each other and from absent maps."""
    for distance in np.repeat(_DISTANCES, _TRIES):
        is_removed = context.is_absent.copy()
        shapes = []
        for length in lengths:
            starts = np.arange(distance, len(is_removed) - length - distance + 1)
            removed_before = np.concatenate([[0], np.cumsum(is_removed)])
            # No removed map from `distance` before the run to `distance` after it.
            is_free = removed_before[starts + length + distance] == removed_before[starts - distance]
            if not is_free.any():
                break
            first = int(rng.choice(starts[is_free]))
            is_removed[first : first + length] = True
            shapes.append(_remove_maps(context, first, length))
        else:
            return sorted(shapes, key=lambda shape: shape.frames.start)
    raise InputError(
        f"no room for whole maps missing in runs of {', '.join(map(str, lengths))} among "
        f"{len(context.observed)} maps, {int(context.is_absent.sum())} of them absent; ask for fewer or "
        "shorter ones"
    )


def _compute_positions(context: GapContext) -> tuple[np.ndarray, np.ndarray]:
    """Return the sine of latitude, positive towards the field's pole, and longitude in radians."""
    latitude, longitude = context.gappy.latitude, context.gappy.longitude
    if context.grid is not None and (latitude is None or longitude is None):
        longitude, latitude = context.grid.longitude_latitude()
    if latitude is None or longitude is None:
        raise InputError("pole_hole wants latitudes and longitudes, the field has none; leave it out")
    sign = -1 if np.nanmax(latitude) < -np.nanmin(latitude) else 1
    return sign * np.sin(np.radians(latitude)), np.radians(longitude)
