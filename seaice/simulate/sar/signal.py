"""An invented ice edge as a C-band SAR and a radiometer observe it: fields, backscatter, charts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    COARSE,
    NO_CLASS,
    PIXEL_METRES,
)

# Number of independent looks in a pixel of 80 m.
_LOOKS = 14.0
_NOISE_DB = -28.5  # of HV
_POLYGON_PIXELS = 55.0
_SUMMER = (6, 7, 8, 9)
# Steps of brightness between the stages of ice: new, young, thin and thick first-year, old; in summer
# the first two have melted.
_WINTER_STEPS, _SUMMER_STEPS = (-0.9, -0.3, 0.3, 0.9), (-0.5, 0.5)
_THIN_FIRST_YEAR = 3
# Distance to open water (less than a tenth of ice) in km from which floes are small, medium, big, vast.
_FLOE_KILOMETRES, _OPEN = (1.5, 4.0, 8.0, 14.0), 0.1
_LARGEST_TYPE = 5
_DOMINANT = 0.5

# Brightness temperature of calm open water and of cold first-year ice, K, by AMSR2 channel.
_WATER = (80, 160, 81, 161, 86, 166, 105, 185, 125, 200, 150, 215, 205, 245)
_ICE = (225, 250, 226, 251, 228, 251, 228, 249, 226, 245, 218, 236, 205, 222)
_RANGE_KM = (0.0, 0.5, 1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class SceneTruth:
    """A simulated scene in physical units.

    Attributes
    ----------
    ice : ndarray of bool, shape (lines, samples)
        Whether a pixel is ice; a chart, made of polygons, may differ.
    sic, sod, floe : ndarray of uint8, shape (lines, samples)
        Charts in classes; 255 over land and where there is no SAR.
    backscatter : ndarray of float32, shape (2, lines, samples)
        HH and HV, dB; NaN where there is no SAR.
    incidence : ndarray of float32, shape (lines, samples)
        Degrees.
    zone : ndarray of float32, shape (lines, samples)
        Zone of distance to land, 0: land.
    temperatures : ndarray of float32, shape (14, coarse lines, coarse samples)
        K.
    weather : ndarray of float32, shape (6, coarse lines, coarse samples)
        Winds, air and skin temperature, vapour, liquid water in the order of ERA5_FIELDS.
    centre : (float, float)
        Latitude and longitude, degrees.
    heading : float
        Direction of the lines, degrees clockwise from north.
    """

    ice: np.ndarray
    sic: np.ndarray
    sod: np.ndarray
    floe: np.ndarray
    backscatter: np.ndarray
    incidence: np.ndarray
    zone: np.ndarray
    temperatures: np.ndarray
    weather: np.ndarray
    centre: tuple[float, float]
    heading: float


@dataclass(frozen=True)
class _SeaState:
    """State of sea and ice: concentration 0..1, ice by pixel, land, wind in m/s, melt 0..1."""

    concentration: np.ndarray
    ice: np.ndarray
    land: np.ndarray
    wind: np.ndarray
    melt: float


def simulate_scene(
    rng: np.random.Generator, shape: tuple[int, int], *, centre: tuple[float, float], month: int
) -> SceneTruth:
    """Simulate a scene of a size around a centre; all random numbers come from ``rng``."""
    sea = _simulate_sea(rng, shape, melt=float(rng.uniform(0.5, 0.9)) if month in _SUMMER else 0.0)
    incidence = np.broadcast_to(np.linspace(19, 47, shape[1], dtype=np.float32), shape).copy()
    backscatter, kinds = _compute_backscatter(rng, sea, incidence)
    margin = _draw_margin(rng, shape)
    backscatter[:, margin] = np.nan
    no_class = sea.land | margin
    sic, polygons = _draw_chart(rng, sea)
    sod, floe = _draw_types(sea, kinds, sic, polygons, is_summer=month in _SUMMER)
    for chart in (sic, sod, floe):
        chart[no_class] = NO_CLASS
    heading = float(rng.choice([-18.0, 198.0]) + rng.uniform(-6, 6))
    temperatures, weather = _compute_coarse_fields(rng, sea, month)
    return SceneTruth(
        ice=sea.ice & ~sea.land,
        sic=sic,
        sod=sod,
        floe=floe,
        backscatter=backscatter,
        incidence=incidence,
        zone=_find_zones(sea.land),
        temperatures=temperatures,
        weather=weather,
        centre=centre,
        heading=heading,
    )


def _make_noise(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Make a smooth random field of unit variance; ``scale`` is the width of its bumps in pixels."""
    from scipy.ndimage import gaussian_filter, zoom

    step = max(1, int(scale / 3))
    coarse = (shape[0] // step + 8, shape[1] // step + 8)
    field = gaussian_filter(rng.standard_normal(coarse, np.float32), scale / step, mode="wrap")
    field = zoom(field, step, order=1)[: shape[0], : shape[1]] if step > 1 else field
    field = field[: shape[0], : shape[1]]
    return np.asarray((field - field.mean()) / max(float(field.std()), 1e-6), np.float32)


def _make_ramp(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Make a field that falls linearly across the scene in a random direction, -1.7 to 1.7."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.meshgrid(np.linspace(-1, 1, shape[0]), np.linspace(-1, 1, shape[1]), indexing="ij")
    return np.asarray(1.7 * (np.cos(angle) * x + np.sin(angle) * y), np.float32)


def _simulate_sea(rng: np.random.Generator, shape: tuple[int, int], melt: float) -> _SeaState:
    large = min(shape) / 6
    edge = (
        _make_ramp(rng, shape)
        + 0.8 * _make_noise(rng, shape, large)
        + 0.25 * _make_noise(rng, shape, large / 4)
    )
    # Half of the scene is ice on average; the marginal zone is where the field is near 0.
    concentration = 1 / (1 + np.exp(-5 * (edge - rng.normal(0, 0.5))))
    leads = np.abs(_make_noise(rng, shape, 22)) < 0.035 + 0.05 * np.abs(_make_noise(rng, shape, 60)) / 2
    floes = _make_noise(rng, shape, 5) + 0.5 * _make_noise(rng, shape, 2)
    share = _rank(floes)
    ice = (share < concentration * 1.04 - 0.02) & ~leads
    coast = (
        _make_ramp(rng, shape)
        + 0.35 * _make_noise(rng, shape, large / 2)
        + 0.15 * _make_noise(rng, shape, 9)
    )
    land = coast > 1.75
    speed = np.float32(rng.uniform(4, 11))
    wind = np.clip(speed + 2.5 * _make_noise(rng, shape, 70) + 0.5 * _make_noise(rng, shape, 12), 1, 20)
    return _SeaState(concentration, ice, land, wind, melt)


def _rank(field: np.ndarray) -> np.ndarray:
    """Ranks of a field as shares 0..1."""
    rank = np.empty(field.size, np.float32)
    rank[np.argsort(field, axis=None, kind="stable")] = np.linspace(0, 1, field.size, dtype=np.float32)
    return rank.reshape(field.shape)


def _compute_backscatter(
    rng: np.random.Generator, sea: _SeaState, incidence: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """HH and HV with speckle, dB, float32 (2, lines, samples), and how old ice looks, -1.5..1.5."""
    shape, slant = incidence.shape, incidence - 33
    gusts = 20 * np.log10(sea.wind / 7)
    # Water falls off faster with incidence angle than ice: bright near, dark far.
    water = -14.5 + 0.75 * gusts - 0.55 * slant, -27.0 + 0.55 * gusts - 0.10 * slant
    ridges = _make_noise(rng, shape, 1.3) * 1.6 + _make_noise(rng, shape, 18) * 1.5
    kinds = np.clip(_make_noise(rng, shape, 45), -1.5, 1.5)
    ice = -13.0 + ridges + kinds - 0.20 * slant, -23.5 + ridges + 1.4 * kinds - 0.12 * slant
    # Wet snow hides the ice: darker, with less of its texture, nearer to the sea.
    wet = -15.5 - 0.30 * slant, -26.3 - 0.10 * slant
    texture = 1 - 0.55 * sea.melt
    land = -9.0 + 2.0 * _make_noise(rng, shape, 3), -15.5 + 2.0 * _make_noise(rng, shape, 3)
    decibels = np.empty((2, *shape), np.float32)
    for k in range(2):
        mean = ice[k] - ridges - kinds
        frozen = (1 - sea.melt) * mean + sea.melt * wet[k] + texture * (ridges + kinds)
        level = np.where(sea.land, land[k], np.where(sea.ice, frozen, water[k]))
        power = 10 ** (level / 10) * rng.gamma(_LOOKS, 1 / _LOOKS, shape)
        if k == 1:
            power += 10 ** (_NOISE_DB / 10) * rng.gamma(_LOOKS, 1 / _LOOKS, shape)
        decibels[k] = 10 * np.log10(power)
    return decibels, kinds


def _draw_margin(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Pixels beyond the image: a slanted strip at one side."""
    width = shape[1] * rng.uniform(0.01, 0.04)
    slope = shape[1] * rng.uniform(-0.02, 0.02)
    edge = width + slope * np.linspace(-1, 1, shape[0])
    strip = np.arange(shape[1])[np.newaxis] < edge[:, np.newaxis]
    return strip if rng.random() < 0.5 else strip[:, ::-1]


def _draw_chart(rng: np.random.Generator, sea: _SeaState) -> tuple[np.ndarray, np.ndarray]:
    """Draw a chart: classes of concentration in polygons, which do not follow single floes, uint8.

    The number of the polygon of every pixel is returned too.
    """
    from scipy.ndimage import mean
    from scipy.spatial import cKDTree

    lines, samples = sea.ice.shape
    count = max(6, round(lines * samples / _POLYGON_PIXELS**2))
    middles = rng.uniform(0, 1, (count, 2)) * (lines, samples)
    # Polygons are drawn along steps of concentration, so these count as distance.
    sketch = sea.concentration[tuple(middles.astype(int).T)]
    step = 4
    rows, columns = np.arange(0, lines, step), np.arange(0, samples, step)
    points = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    along = 180 * sea.concentration[points[:, 0], points[:, 1]]
    tree = cKDTree(np.column_stack([middles, 180 * sketch]))
    nearest = tree.query(np.column_stack([points, along]))[1].reshape(rows.size, columns.size)
    polygon = nearest.repeat(step, axis=0).repeat(step, axis=1)[:lines, :samples]
    share = np.nan_to_num(mean(sea.ice, polygon, np.arange(count)))
    classes = np.clip(np.rint(share * 10 + rng.normal(0, 0.35, count)), 0, 10)
    classes[share < 0.02] = 0
    return np.asarray(classes.astype(np.uint8)[polygon]), polygon


def _draw_types(
    sea: _SeaState, kinds: np.ndarray, sic: np.ndarray, polygons: np.ndarray, *, is_summer: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Draw stage of development and floe size in the polygons of a chart, uint8.

    Older ice is brighter, above all in HV. Floes are larger the farther waves have to go through ice to
    reach them. A polygon whose most frequent type has less than half of the ice is ambiguous, 255.
    """
    from scipy.ndimage import distance_transform_edt

    stages = np.searchsorted(_SUMMER_STEPS if is_summer else _WINTER_STEPS, kinds)
    stages = stages + (_THIN_FIRST_YEAR if is_summer else 1)
    kilometres = distance_transform_edt(sea.concentration > _OPEN, sampling=PIXEL_METRES / 1000)
    sizes = np.searchsorted(_FLOE_KILOMETRES, kilometres) + 1
    return tuple(  # type: ignore[return-value]
        np.where(sic == 0, np.uint8(0), _find_frequent_types(types, sea.ice, polygons)[polygons])
        for types in (stages, sizes)
    )


def _find_frequent_types(types: np.ndarray, ice: np.ndarray, polygons: np.ndarray) -> np.ndarray:
    """Most frequent type in the ice of every polygon, uint8 (polygons,); 255 where it is ambiguous."""
    shape = int(polygons.max()) + 1, _LARGEST_TYPE + 1
    pairs = polygons[ice] * shape[1] + types[ice]
    counts = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    is_clear = counts.max(axis=1) >= _DOMINANT * np.maximum(counts.sum(axis=1), 1)
    return np.where(is_clear, counts.argmax(axis=1), NO_CLASS).astype(np.uint8)


def _find_zones(land: np.ndarray) -> np.ndarray:
    """Number of the zone of distance to land, float32; 10 is farthest, and where no land is."""
    from scipy.ndimage import distance_transform_edt

    if not land.any():
        return np.full(land.shape, len(_RANGE_KM), np.float32)
    km = distance_transform_edt(~land, sampling=PIXEL_METRES / 1000)
    return np.asarray(np.searchsorted(_RANGE_KM, km), np.float32)


def _compute_coarse_fields(
    rng: np.random.Generator, sea: _SeaState, month: int
) -> tuple[np.ndarray, np.ndarray]:
    """Brightness temperatures and weather on the 2 km grid."""
    from scipy.ndimage import gaussian_filter

    share, speed, land = (
        _average_blocks(field)
        for field in ((sea.ice & ~sea.land).astype(np.float32), sea.wind, sea.land.astype(np.float32))
    )
    shape = share.shape
    cloud = np.abs(_make_noise(rng, shape, max(2.0, min(shape) / 6)))
    summer = 0.5 - 0.5 * np.cos(2 * np.pi * (month - 1) / 12)
    channels = []
    for k in range(len(AMSR2_CHANNELS)):
        # Footprints shrink from 40 km to 4 km from the first to the last frequency.
        width = (6.0, 6.0, 4.5, 3.0, 3.0, 1.6, 0.8)[k // 2]
        water = _WATER[k] + (0.9 if k % 2 == 0 else 0.3) * speed + (k // 2) * 2.0 * cloud
        ice = _ICE[k] + 12 * sea.melt * (k // 2) / 6
        kelvin = share * ice + (1 - share - land) * water + land * 255
        channels.append(gaussian_filter(kelvin, width) + rng.normal(0, 0.8, shape))
    air = 255 + 20 * summer + 6 * (1 - share) + rng.normal(0, 0.3, shape)
    skin = air + rng.normal(0, 0.5, shape)
    angle = rng.uniform(0, 2 * np.pi)
    vapour, liquid = 3 + 10 * summer + cloud, 0.05 * cloud
    weather = [speed * np.cos(angle), speed * np.sin(angle), air, skin, vapour, liquid]
    return np.stack(channels).astype(np.float32), np.stack(weather).astype(np.float32)


def _average_blocks(field: np.ndarray) -> np.ndarray:
    """Average cells of 25 x 25 pixels; pixels at the end that fill no cell are left out."""
    rows, columns = (n // COARSE for n in field.shape)
    cells = field[: rows * COARSE, : columns * COARSE]
    return np.asarray(cells.reshape(rows, COARSE, columns, COARSE).mean(axis=(1, 3)), np.float32)
