"""A polar sea between the coasts of the Earth, with an invented ice cover that grows, melts and drifts.

Every field of ice and weather is a sum of random octaves on the map projection in metres, so that one
seed gives the same ice at every resolution, and any day can be computed on its own. No ice here was
measured; the numbers are tuned to the look and the statistics of daily AMSR2 maps (share of ice, of
exact 0 and 100 percent, change from day to day).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from seaice import InputError
from seaice.drawing.gshhg import find_land
from seaice.grids import Grid

_MARGIN = 400_000.0  # metres of noise beyond the grid, from which moving patterns enter
_DAYS_OF_YEAR = 365.25
_FINEST = 3125.0


@dataclass(frozen=True)
class Pattern:
    """A random field: its octaves, and how fast it is renewed and moves.

    Attributes
    ----------
    stream : int
        Number of the stream of random numbers; every pattern has its own.
    coarsest, finest : float
        Cell sizes of the first and the last octave, metres, 3125 times powers of two.
    slope : float
        An octave of cell size h has the amplitude (h / coarsest) ** slope.
    renewal : float
        Days after which nothing of the field is left; 0 for a field that never changes.
    speed : float
        Metres a day.
    """

    stream: int
    coarsest: float
    finest: float
    slope: float
    renewal: float = 0.0
    speed: float = 0.0

    def list_octaves(self) -> list[float]:
        """Cell sizes, metres, descending."""
        count = round(np.log2(self.coarsest / self.finest)) + 1
        return [self.coarsest / 2**i for i in range(count)]

    def compute_amplitude(self, octave: float) -> float:
        """Weight of an octave that gives the field a standard deviation of 1."""
        # A quadratic B-spline with unit random coefficients has the mean variance 0.55
        # along each axis.
        variance = 0.55**2 * sum((h / self.coarsest) ** (2 * self.slope) for h in self.list_octaves())
        return float((octave / self.coarsest) ** self.slope / np.sqrt(variance))


_CLIMATE = Pattern(2, 1_600_000, 100_000, slope=1.0)
_WEATHER = Pattern(3, 800_000, 200_000, slope=0.7, renewal=6, speed=12_000)
_EDDIES = Pattern(4, 100_000, 6_250, slope=0.15, renewal=4, speed=7_000)
_LEADS = Pattern(5, 200_000, 6_250, slope=0.3, renewal=4, speed=6_000)
_AIR = Pattern(9, 200_000, 12_500, slope=0.4, renewal=1)  # clouds and wind: new every day


@dataclass(frozen=True)
class _Hemisphere:
    """Properties of a hemisphere: shares of the sea that are ice, and days of the year."""

    least_ice: float
    most_ice: float
    day_of_most: float
    day_of_least: float


_NORTH = _Hemisphere(least_ice=0.11, most_ice=0.355, day_of_most=75, day_of_least=258)
_SOUTH = _Hemisphere(least_ice=0.07, most_ice=0.39, day_of_most=265, day_of_least=52)


class SyntheticSea:
    """The sea on one grid, with the invented ice of one seed.

    Parameters
    ----------
    grid : Grid
        A registered grid of the ``n`` or ``s`` family.
    seed : int, optional
        Not negative.

    Attributes
    ----------
    land : ndarray of bool, shape (rows, columns)
    """

    def __init__(self, grid: Grid, *, seed: int = 0) -> None:
        if grid.id[:1] not in "ns" or not grid.id[1:].isdigit():
            raise InputError(f"expected a grid n... or s... of the Bremen files, found {grid.id}")
        if seed < 0:
            raise InputError(f"expected a seed of 0 or more, found {seed}")
        self.grid = grid
        self._seed = seed
        self._knots: dict[tuple[int, int], np.ndarray] = {}
        north = grid.hemisphere == "north"
        self._hemisphere = _NORTH if north else _SOUTH
        radius, azimuth = _compute_polar_coordinates(grid)
        longitude, latitude = grid.longitude_latitude()
        self.land = find_land(latitude, longitude, step=grid.step)
        self._cold = -radius + 330 * self._make_field(_CLIMATE, 0)
        self._cold += (
            _compute_northern_currents(radius, azimuth) if north else _compute_southern_currents(azimuth)
        )
        self._cold_at_sea = np.sort(self._sample(self._cold)[~self._sample(self.land)])

    def compute_truth(self, day: date) -> np.ndarray:
        """Compute the concentration of all sea on a day.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            Percent, 0..100; exactly 0 is open water. NaN over land.
        """
        summer = (1 - self._compute_season(day)) / 2
        air = self._evaluate(_AIR, day)
        inside = self._measure_distance_inside(day, summer) + 8 * air
        openings = self._compute_openings(day, summer, air)
        np.maximum(inside, 0, out=inside)
        # Deep in the pack a quarter of the openings is left.
        openings *= np.float32(0.25) + np.float32(0.75) * np.exp(inside * np.float32(-1 / 150))
        # From the edge inwards concentration rises to 100 percent in three to four widths.
        width = np.float32(45 + 15 * summer)
        ice = np.minimum(np.float32(1.03) * (1 - np.exp(-((inside / width) ** np.float32(1.2)))), 1)
        ice *= 100 - openings
        np.clip(ice, 0, 100, out=ice)
        ice[self.land] = np.nan
        return ice

    def draw_coastal_dropouts(self, day: date) -> np.ndarray:
        """Draw the sea cells beside a coast that have no value on a day: specks of a few cells.

        Returns
        -------
        ndarray of bool, shape (rows, columns)
        """
        rng = np.random.default_rng([self._seed, 6, day.toordinal()])
        rows, columns = self.grid.shape
        coarse = rng.random((rows // 2 + 1, columns // 2 + 1), dtype=np.float32)
        blocks = coarse.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns]
        ragged = rng.random(self.grid.shape, dtype=np.float32)
        return _find_beside(self.land) & (blocks < 0.105 * 6250 / self.grid.step) & (ragged < 0.7)

    def _measure_distance_inside(self, day: date, summer: float) -> np.ndarray:
        """Distance from the ice edge into the pack, negative on the water, float32."""
        ice_share = self._hemisphere.least_ice + (
            self._hemisphere.most_ice - self._hemisphere.least_ice
        ) * (1 - summer)
        threshold = self._cold_at_sea[int((1 - ice_share) * (self._cold_at_sea.size - 1))]
        inside = self._cold - threshold
        inside += 32 * self._evaluate(_WEATHER, day)
        inside += 30 * self._evaluate(_EDDIES, day)
        return inside

    def _compute_openings(self, day: date, summer: float, air: np.ndarray) -> np.ndarray:
        """Percent of open water within the pack: 0 in a third of it, little in most of it."""
        depth = self._evaluate(_LEADS, day)
        depth += np.float32(0.35) * air + np.float32(0.35 + 0.4 * summer)
        np.maximum(depth, 0, out=depth)
        depth *= np.float32(2.3)
        np.expm1(depth, out=depth)
        depth *= np.float32(0.4 + 0.6 * summer)
        depth /= 1 + depth / np.float32(70)
        return depth

    def _compute_season(self, day: date) -> float:
        """-1 at the least and 1 at the most ice of a year, flat near both."""
        most, least = self._hemisphere.day_of_most, self._hemisphere.day_of_least
        number = day.timetuple().tm_yday
        since = (number - most) % _DAYS_OF_YEAR
        melt = (least - most) % _DAYS_OF_YEAR
        phase = since / melt if since < melt else 1 + (since - melt) / (_DAYS_OF_YEAR - melt)
        return float(np.tanh(2 * np.cos(np.pi * phase)) / np.tanh(2))

    def _sample(self, field: np.ndarray) -> np.ndarray:
        """Take a cell about every 25 km: enough for shares, and alike at every resolution."""
        every = max(1, round(25_000 / self.grid.step))
        return field[every // 2 :: every, every // 2 :: every]

    def _evaluate(self, pattern: Pattern, day: date) -> np.ndarray:
        """A changing pattern on a day, float32 (rows, columns), unit standard deviation."""
        knot, since = divmod(day.toordinal(), pattern.renewal)
        share = since / pattern.renewal
        angle = np.pi / 2 * share**2 * (3 - 2 * share)
        level = self._choose_cell_size(pattern)
        old = self._move_pattern(pattern, int(knot), since, level)
        old *= np.float32(np.cos(angle))
        if angle > 0:
            new = self._move_pattern(pattern, int(knot) + 1, since - pattern.renewal, level)
            new *= np.float32(np.sin(angle))
            old += new
        return self._refine(old, level)

    def _make_field(self, pattern: Pattern, knot: int) -> np.ndarray:
        """Make a pattern that does not change."""
        level = self._choose_cell_size(pattern)
        return self._refine(self._make_canvas_of_grid(pattern, knot, level), level)

    def _choose_cell_size(self, pattern: Pattern) -> float:
        """Cell size at which a pattern is made and moved: no finer than its finest detail."""
        return max(self.grid.step, min(pattern.finest / 2, 100_000))

    def _make_canvas_of_grid(self, pattern: Pattern, knot: int, level: float) -> np.ndarray:
        pad = round(_MARGIN / level) - 2
        return self._make_canvas(pattern, knot, level)[pad:-pad, pad:-pad].copy()

    def _move_pattern(self, pattern: Pattern, knot: int, days: float, level: float) -> np.ndarray:
        """The pattern of a knot after ``days`` of drift; two cells wider than the grid on each side."""
        key = (pattern.stream, knot)
        if key not in self._knots:
            outdated = [k for k in self._knots if k[0] == key[0] and abs(k[1] - knot) > 1]
            for old in outdated:
                del self._knots[old]
            self._knots[key] = self._make_canvas(pattern, knot, level)
        direction = np.random.default_rng([self._seed, 7, *key]).uniform(0, 2 * np.pi)
        shift = pattern.speed * days / level * np.array([np.sin(direction), np.cos(direction)])
        field = self._knots[key]
        pad = round(_MARGIN / level) - 2
        for axis in (0, 1):
            field = _shift(field, float(shift[axis]), pad, axis)
        return field

    def _make_canvas(self, pattern: Pattern, knot: int, level: float) -> np.ndarray:
        """Noise on the grid and its margin at cell size ``level``, float32."""
        field: np.ndarray | None = None
        size = pattern.coarsest
        while True:
            shape = [
                int(np.ceil((n * self.grid.step + 2 * _MARGIN) / size)) + 4 for n in self.grid.shape
            ]
            field = np.zeros(shape, np.float32) if field is None else _double(field, shape)
            if size >= max(pattern.finest, 2 * level):
                octave = round(np.log2(size / _FINEST))
                rng = np.random.default_rng([self._seed, pattern.stream, knot, octave])
                noise = rng.standard_normal(shape, dtype=np.float32)
                noise *= np.float32(pattern.compute_amplitude(size))
                field += noise
            if size <= level:
                return field[2:-2, 2:-2]
            size /= 2

    def _refine(self, field: np.ndarray, level: float) -> np.ndarray:
        """Bring a field with a rim of two cells from ``level`` to the grid, without the rim."""
        while level > self.grid.step:
            field = _double(field, [2 * n - 4 for n in field.shape])
            level /= 2
        return field[2:-2, 2:-2]


def _double(field: np.ndarray, shape: list[int]) -> np.ndarray:
    """Halve the cells of a field smoothly (quadratic B-spline subdivision, Chaikin 1974).

    Two cells are lost on each side of the doubled field, so a rim of two cells stays one.
    """
    for axis in (0, 1):
        field = np.moveaxis(field, axis, 0)
        middle = np.float32(0.75) * field[1:-1]
        finer = np.empty((2 * middle.shape[0], *middle.shape[1:]), np.float32)
        finer[0::2] = middle + np.float32(0.25) * field[:-2]
        finer[1::2] = middle + np.float32(0.25) * field[2:]
        field = np.moveaxis(finer, 0, axis)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])


def _shift(field: np.ndarray, cells: float, pad: int, axis: int) -> np.ndarray:
    """Move a field by a fraction of a cell or more and cut ``pad`` cells off both ends.

    The weights of a quadratic B-spline smooth nearly alike for every fraction; with linear
    interpolation the pattern would flicker as it moves.
    """
    field = np.moveaxis(field, axis, 0)
    full_cells = round(cells)
    part = full_cells - cells
    length = field.shape[0] - 2 * pad
    weights = (0.5 * (0.5 - part) ** 2, 0.75 - part**2, 0.5 * (0.5 + part) ** 2)
    first = pad - full_cells - 1
    moved = sum(
        np.float32(weight) * field[first + i : first + i + length] for i, weight in enumerate(weights)
    )
    return np.moveaxis(np.asarray(moved), 0, axis)


def _compute_polar_coordinates(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Kilometres from the pole and degrees counterclockwise from the x axis, float32."""
    x = (grid.x / 1000).astype(np.float32)
    y = (grid.y / 1000).astype(np.float32)[:, np.newaxis]
    return np.hypot(x, y), np.degrees(np.arctan2(y, x))


def _compute_northern_currents(radius: np.ndarray, azimuth: np.ndarray) -> np.ndarray:
    """Kilometres by which a warm or a cold current moves the ice edge."""
    outside = _compute_step(radius, 900, 300)
    return outside * (
        -1100 * _compute_sector(azimuth, -42, 28)  # the North Atlantic Current
        + 450 * _compute_sector(azimuth, -100, 22)  # Baffin Bay
        + 800 * _compute_sector(azimuth, -136, 18)  # Hudson Bay
        + 500 * _compute_sector(azimuth, 115, 30)  # the Sea of Okhotsk
    )


def _compute_southern_currents(azimuth: np.ndarray) -> np.ndarray:
    return 350 * _compute_sector(azimuth, 120, 60)


def _compute_step(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """A smooth step from 0 to 1."""
    return (0.5 + 0.5 * np.tanh((values - centre) / width)).astype(np.float32)


def _compute_sector(azimuth: np.ndarray, centre: float, width: float) -> np.ndarray:
    """1 in a direction, falling smoothly to 0 beside it."""
    away = (azimuth - centre + 180) % 360 - 180
    return np.exp(-((away / width) ** 2)).astype(np.float32)


def _find_beside(land: np.ndarray) -> np.ndarray:
    """Sea cells no more than two cells from land."""
    near = land.copy()
    for field in (near, near.T):
        for shifted in list(_neighbours(field)):
            field |= shifted
    return near & ~land


def _neighbours(field: np.ndarray) -> Iterator[np.ndarray]:
    """The field moved by one and by two cells along its first axis, either way."""
    for cells in (1, 2):
        for target, source in (
            (slice(cells, None), slice(None, -cells)),
            (slice(None, -cells), slice(cells, None)),
        ):
            moved = np.zeros_like(field)
            moved[target] = field[source]
            yield moved
