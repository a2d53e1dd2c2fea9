"""Brightness temperatures everywhere on the globe, at any time, in every AMSR2 channel.

Land is that of the Earth (:mod:`seaice.drawing.gshhg`). Where ice lies and weather passes is invented
(:mod:`seaice.simulate.globe`); how warm water and ice look in each channel follows real samples, and a
footprint of both is their mixture. The noise of a scan is a part of one endless stream of numbers. So
the value of a footprint depends on seed, scan, position and channel alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import NormalDist

import numpy as np

from seaice.drawing.gshhg import compute_land_share
from seaice.simulate.globe.ice_cover import IceView
from seaice.simulate.globe.surface_temperatures import SurfaceTemperatures
from seaice.simulate.globe.temperature_statistics import NOISE
from seaice.simulate.scan_geometry import (
    FREQUENCIES,
    SAMPLES,
    Footprints,
    compute_days,
    compute_footprints,
    locate_samples,
)

_NOISE_STEPS = 4096
# Mean diameters of the footprints, kilometres.
FOOTPRINTS = {
    "6.9": 46.6, "7.3": 46.6, "10.7": 31.7, "18.7": 17.5, "23.8": 19.7, "36.5": 9.2,
    "89A": 3.9, "89B": 3.9,
}  # fmt: skip
_LAND = (288.0, 274.0)
_LAND_COOLER_AT_POLES = (33.0, 31.0)


@dataclass(frozen=True)
class Cover:
    """What footprints of one size see.

    Attributes
    ----------
    land : ndarray of float32, shape (scans, samples)
        Share of the footprint.
    ice : ndarray of float32, shape (scans, samples)
        Share of the footprint.
    """

    land: np.ndarray
    ice: np.ndarray

    @property
    def land_percent(self) -> np.ndarray:
        """Share of land in whole percent, uint8."""
        return np.rint(self.land * np.float32(100)).astype(np.uint8)


@dataclass(frozen=True)
class Radiation:
    """Brightness temperatures of footprints full of water, ice or land, of one frequency, kelvin.

    Each is a pair of float32 (scans, samples), vertical and horizontal; ``ice`` is None without ice.
    """

    water: tuple[np.ndarray, np.ndarray]
    ice: tuple[np.ndarray, np.ndarray] | None
    land: tuple[np.ndarray, np.ndarray]

    def thin(self, step: int) -> Radiation:
        """Every ``step``-th sample."""
        water, ice, land = (
            pair and (pair[0][:, ::step], pair[1][:, ::step])
            for pair in (self.water, self.ice, self.land)
        )
        return Radiation(water, ice, land)  # type: ignore[arg-type]

    def mix(self, cover: Cover) -> tuple[np.ndarray, np.ndarray]:
        """Temperatures of mixed footprints in steps of 0.01 kelvin, uint16, vertical and horizontal."""
        counts = []
        for side in (0, 1):
            total = self.water[side].copy()
            if self.ice is not None:
                total += cover.ice * (self.ice[side] - total)
            total += cover.land * (self.land[side] - self.water[side])
            total *= np.float32(100)
            counts.append(np.rint(total, out=total).astype(np.uint16))
        return counts[0], counts[1]


class Scene:
    """The globe below a run of scans.

    Parameters
    ----------
    scans : ndarray of int
        Numbers of the scans, :mod:`seaice.simulate.scan_geometry`; consecutive.
    seed : int
        Seed of the invented world and the noise.
    """

    def __init__(self, scans: np.ndarray, *, seed: int) -> None:
        self._scans = scans
        self._seed = seed
        self._water = SurfaceTemperatures(scans, "water", seed=seed)

    @cached_property
    def _ice_view(self) -> IceView:
        # Every ninth sample and the last one: between them a scan bends by less than 0.4 km.
        outline = np.append(np.arange(0.0, SAMPLES, 9), SAMPLES)
        x, y, z = _as_single(compute_footprints(self._scans, "89A", samples=outline))
        days = np.floor(compute_days(self._scans)).astype(int)
        return IceView(x, y, z, days, seed=self._seed)

    @cached_property
    def _ice(self) -> SurfaceTemperatures | None:
        return SurfaceTemperatures(self._scans, "ice", seed=self._seed) if self._ice_view else None

    def compute_cover(self, footprints: Footprints, diameter: float) -> Cover:
        """Compute what footprints of a diameter, kilometres, see; they belong to these scans."""
        land = compute_land_share(*footprints.latitude_longitude(), footprint=diameter)
        ice = self._ice_view.read(*_as_single(footprints), diameter)
        ice *= 1 - land
        return Cover(land, ice)

    def compute_radiation(
        self, frequency: str, footprints: Footprints, *, sample: np.ndarray | None = None
    ) -> Radiation:
        """Compute the temperatures of pure footprints of a frequency.

        Parameters
        ----------
        frequency : str
        footprints : Footprints
            Footprints in these scans.
        sample : ndarray of float, optional
            Their positions along the scan in samples of 89 GHz, those of the frequency by default.
        """
        z = footprints.z.astype(np.float32)
        noise = _draw_noise(self._scans, frequency, self._seed)
        sample = locate_samples(frequency) if sample is None else sample
        warmth = 1 - z * z
        level = np.float32(NOISE[frequency.rstrip("AB")])
        land = [
            np.float32(_LAND[side] - _LAND_COOLER_AT_POLES[side])
            + np.float32(_LAND_COOLER_AT_POLES[side]) * warmth
            + level * noise[side]
            for side in (0, 1)
        ]
        ice = None if self._ice is None else self._ice.compute(frequency, z, sample, noise)
        return Radiation(self._water.compute(frequency, z, sample, noise), ice, (land[0], land[1]))


def _as_single(footprints: Footprints) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = (part.astype(np.float32) for part in (footprints.x, footprints.y, footprints.z))
    return x, y, z


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
