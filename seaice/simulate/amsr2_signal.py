"""Invented brightness temperatures everywhere on the globe, at any time, in every AMSR2 channel.

Land is that of the Earth (:mod:`seaice.drawing.gshhg`). Ice and weather are sums of plane waves through
the sphere: smooth, the same at every resolution, and computed at any point on its own. The noise of a
scan is a part of one endless stream of numbers. So the value of a footprint depends on seed, scan,
position and channel alone. Nothing here was measured; levels follow the usual ones of ocean, ice and
land at an incidence of 55 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from seaice.drawing.gshhg import compute_land_share
from seaice.simulate.scan_geometry import (
    FREQUENCIES,
    SAMPLES,
    Footprints,
    compute_days,
)
from seaice.swaths.orbit import EARTH_RADIUS

_YEAR = 365.25
_NOISE_STEPS = 4096


@dataclass(frozen=True)
class _Levels:
    """Brightness temperatures of a frequency, kelvin (vertical, horizontal), its noise and footprint.

    Attributes
    ----------
    ocean : tuple
        Cold and calm, under a clear sky.
    weather : tuple
        Added under the heaviest clouds and wind.
    warmth : tuple
        Added at the equator.
    young_ice, old_ice : tuple
    noise : float
        Standard deviation.
    footprint : float
        Mean diameter, kilometres.
    """

    ocean: tuple[float, float]
    weather: tuple[float, float]
    warmth: tuple[float, float]
    young_ice: tuple[float, float]
    old_ice: tuple[float, float]
    noise: float
    footprint: float


_LEVELS = {
    "6.9": _Levels((158, 76), (4, 10), (8, 4), (253, 229), (248, 222), 0.34, 48),
    "7.3": _Levels((159, 77), (4, 10), (8, 4), (253, 229), (247, 221), 0.43, 46),
    "10.7": _Levels((164, 82), (6, 14), (7, 5), (253, 230), (242, 216), 0.70, 33),
    "18.7": _Levels((183, 105), (14, 28), (10, 12), (252, 232), (231, 211), 0.70, 18),
    "23.8": _Levels((195, 130), (22, 40), (25, 45), (250, 233), (223, 208), 0.60, 20),
    "36.5": _Levels((206, 138), (16, 34), (8, 14), (247, 231), (213, 206), 0.70, 9.5),
    "89A": _Levels((238, 190), (20, 50), (15, 30), (234, 224), (211, 207), 1.00, 4),
    "89B": _Levels((238, 190), (20, 50), (15, 30), (234, 224), (211, 207), 1.00, 4),
}
_LAND = (288.0, 274.0)
_LAND_COOLER_AT_POLES = (33.0, 31.0)


@dataclass(frozen=True)
class _Waves:
    """A sum of plane waves of unit variance, as a function of position and time.

    Attributes
    ----------
    vectors : ndarray of float32, shape (waves, 3)
        Radians for each Earth radius.
    phases : ndarray of float64, shape (waves,)
    rates : ndarray of float64, shape (waves,)
        Radians a day.
    amplitudes : ndarray of float32, shape (waves,)
    """

    vectors: np.ndarray
    phases: np.ndarray
    rates: np.ndarray
    amplitudes: np.ndarray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        count: int,
        coarsest: float,
        finest: float,
        slope: float,
        days: float = np.inf,
    ) -> _Waves:
        """Waves of ``coarsest`` to ``finest`` kilometres that pass within about ``days``."""
        directions = rng.standard_normal((count, 3))
        directions /= np.sqrt((directions**2).sum(1, keepdims=True))
        numbers = 2 * np.pi * EARTH_RADIUS / np.geomspace(coarsest, finest, count)
        amplitudes = numbers**-slope
        return cls(
            (directions * numbers[:, None]).astype(np.float32),
            rng.uniform(0, 2 * np.pi, count),
            2 * np.pi / days * rng.uniform(0.5, 1.5, count),
            (amplitudes * np.sqrt(2 / (amplitudes**2).sum())).astype(np.float32),
        )

    def evaluate(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, days: np.ndarray) -> np.ndarray:
        """Evaluate the sum at positions, float32 (scans, samples); ``days`` for each scan."""
        phases = np.mod(self.phases + self.rates * days[:, None], 2 * np.pi).astype(np.float32)
        total = np.zeros_like(x)
        for vector, phase, amplitude in zip(self.vectors, phases.T, self.amplitudes, strict=True):
            wave = vector[0] * x
            wave += vector[1] * y
            wave += vector[2] * z
            wave += phase[:, None]
            np.sin(wave, out=wave)
            wave *= amplitude
            total += wave
        return total


@dataclass(frozen=True)
class _World:
    """The fields of one seed."""

    ice_edge: _Waves
    leads: _Waves
    age: _Waves
    weather: _Waves

    @classmethod
    @lru_cache(maxsize=8)
    def draw(cls, seed: int) -> _World:
        rng = np.random.default_rng([seed, 30])
        return cls(
            _Waves.draw(rng, 4, 6_000, 900, 0.7, days=40),
            _Waves.draw(rng, 5, 500, 150, 0.2, days=6),
            _Waves.draw(rng, 3, 5_000, 800, 0.5),
            _Waves.draw(rng, 5, 5_000, 700, 0.5, days=3),
        )


@dataclass(frozen=True)
class ObservedTemperatures:
    """Brightness temperatures of one frequency in a run of scans.

    Attributes
    ----------
    vertical, horizontal : ndarray of uint16, shape (scans, samples)
        Brightness temperature in steps of 0.01 kelvin.
    land : ndarray of uint8, shape (scans, samples)
        Percent of the footprint.
    """

    vertical: np.ndarray
    horizontal: np.ndarray
    land: np.ndarray


def observe(
    scans: np.ndarray, frequency: str, footprints: Footprints, *, seed: int
) -> ObservedTemperatures:
    """Observe brightness temperatures and shares of land at the footprints of a frequency.

    Parameters
    ----------
    scans : ndarray of int
        Numbers of the scans, :mod:`seaice.simulate.scan_geometry`; consecutive.
    frequency : str
    footprints : Footprints
        Footprints of the beams of these scans.
    seed : int
        Seed of the invented world and the noise.
    """
    levels = _LEVELS[frequency]
    world = _World.draw(seed)
    days = compute_days(scans)
    x, y, z = (part.astype(np.float32) for part in (footprints.x, footprints.y, footprints.z))
    land = compute_land_share(*footprints.latitude_longitude(), footprint=levels.footprint)
    edge = world.ice_edge.evaluate(x, y, z, days)
    ice = _compute_ice(z, edge, days) * (1 - land)
    age = world.age.evaluate(x, y, z, days)
    # Positions are shifted by other fields, so that a few waves do not look like stripes.
    bend = np.float32(0.05) * edge, np.float32(0.05) * age
    leads = world.leads.evaluate(x + bend[0], y + bend[1], z, days)
    ice *= 1 - np.float32(0.2) * _ramp(leads - np.float32(0.9))
    weather = world.weather.evaluate(x + 3 * bend[1], y, z + 2 * bend[0], days)
    weather = _ramp(np.float32(0.4) * weather - np.float32(0.1))
    age = _ramp(age + np.float32(14) * (z - np.float32(0.99)))
    warmth = 1 - z * z
    noise = _draw_noise(scans, frequency, seed)
    kelvin = []
    for side in (0, 1):
        ocean = _mix(levels.ocean[side], levels.weather[side], weather)
        ocean += np.float32(levels.warmth[side]) * warmth
        frozen = _mix(levels.young_ice[side], levels.old_ice[side] - levels.young_ice[side], age)
        frozen += np.float32(3) * weather
        solid = _mix(_LAND[side] - _LAND_COOLER_AT_POLES[side], _LAND_COOLER_AT_POLES[side], warmth)
        total = ocean + ice * (frozen - ocean) + land * (solid - ocean)
        total += np.float32(levels.noise) * noise[side]
        kelvin.append(np.rint(total * np.float32(100)).astype(np.uint16))
    return ObservedTemperatures(kelvin[0], kelvin[1], np.rint(land * np.float32(100)).astype(np.uint8))


def _mix(base: float, difference: float, share: np.ndarray) -> np.ndarray:
    return np.float32(base) + np.float32(difference) * share


def _ramp(values: np.ndarray) -> np.ndarray:
    """From 0 at -0.5 to 1 at 0.5."""
    return np.clip(values + np.float32(0.5), 0, 1)


def _compute_ice(z: np.ndarray, edge: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Share of ice if all were sea; widest in March in the north, in September in the south."""
    season = np.cos(2 * np.pi * (np.mod(days, _YEAR) - 70) / _YEAR)
    north = np.sin(np.radians(74 - 7 * season)).astype(np.float32)[:, None]
    south = np.sin(np.radians(66 + 4 * season)).astype(np.float32)[:, None]
    wavy = np.float32(0.03) * edge
    return _ramp((z - north + wavy) * 60) + _ramp((-z - south + wavy) * 60)


def _draw_noise(scans: np.ndarray, frequency: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal noise of both polarisations, float32 (scans, samples).

    Each scan takes its own numbers of a counter-based generator, whichever scan a run begins with.
    """
    samples = SAMPLES if frequency.startswith("89") else SAMPLES // 2
    draw_count = 2 * samples  # 16-bit draws of a scan
    counters = -(-draw_count // 16)  # one counter of Philox gives four words of 64 bits
    entropy = np.random.SeedSequence([seed, 31, FREQUENCIES.index(frequency)])
    stream = np.random.Philox(entropy).advance(counters * int(scans[0]))
    words = np.asarray(stream.random_raw(4 * counters * len(scans))).astype("<u8", copy=False)
    draws = words.view("<u2").reshape(len(scans), -1)[:, :draw_count] >> 4
    normal = _list_normal_quantiles()[draws]
    return normal[:, :samples], normal[:, samples:]


@lru_cache(maxsize=1)
def _list_normal_quantiles() -> np.ndarray:
    quantile = NormalDist().inv_cdf
    values = [quantile((i + 0.5) / _NOISE_STEPS) for i in range(_NOISE_STEPS)]
    return np.array(values, np.float32)
