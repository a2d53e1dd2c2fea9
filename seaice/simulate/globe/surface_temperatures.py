"""Brightness temperatures of water and of ice at every footprint, distributed as in real samples.

Factors of weather and of ice type are random fields over the globe; they are computed at every second
scan and every fourth sample of 89 GHz, and linear between. Their sums are the normal scores of channels
(:mod:`seaice.simulate.globe.temperature_statistics`); the noise of the instrument is a part of a score,
not added to it. Within 20 days around its first day a season passes into the next, and between 30
degrees north and south one hemisphere into the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from seaice.simulate.globe.plane_waves import PlaneWaves
from seaice.simulate.globe.temperature_statistics import (
    CHANNELS,
    SCORES,
    Surface,
    TemperatureStatistics,
    read_statistics,
)
from seaice.simulate.scan_geometry import SAMPLES, compute_days, compute_footprints

_FACTORS = 8
_SCAN_STEP, _SAMPLE_STEP = 2, 4
_YEAR = 365.25
# Middle and half length of summer, days of the year.
_SUMMER = {"north": (196.5, 76.5), "south": (29.75, 90.75)}
_TRANSITION = 20.0
_WIDEST_SCORE = 4.0
_STEPS = 512  # of the table of temperatures, a unit of the score

# Added at the equator, kelvin (vertical, horizontal), and less towards the samples at 50 degrees.
_WARMTH = {
    "6.9": (8, 4), "7.3": (8, 4), "10.7": (7, 5), "18.7": (10, 12), "23.8": (25, 45), "36.5": (8, 14),
    "89": (15, 30),
}  # fmt: skip
_SQUARE_OF_50 = np.float32(np.sin(np.radians(50)) ** 2)


@lru_cache(maxsize=8)
def _draw_factors(seed: int, surface: Surface) -> tuple[PlaneWaves, ...]:
    """Random fields of one seed: weather passes within days, ice changes within weeks."""
    rng = np.random.default_rng([seed, 33, surface == "ice"])
    if surface == "water":
        return tuple(PlaneWaves.draw(rng, 12, 3_000, 80, slope=0.4, days=3) for _ in range(_FACTORS))
    return tuple(PlaneWaves.draw(rng, 12, 3_000, 80, slope=0.4, days=30) for _ in range(_FACTORS))


@dataclass(frozen=True)
class _Class:
    """Scores of a class at the lattice, and its weight in every scan."""

    statistics: TemperatureStatistics
    weight: np.ndarray
    scores: np.ndarray


class SurfaceTemperatures:
    """Temperatures of one surface in a run of scans.

    Parameters
    ----------
    scans : ndarray of int
        Consecutive numbers, :mod:`seaice.simulate.scan_geometry`.
    surface : {"water", "ice"}
    seed : int
    """

    def __init__(self, scans: np.ndarray, surface: Surface, *, seed: int) -> None:
        self._surface = surface
        first = int(scans[0]) // _SCAN_STEP * _SCAN_STEP
        lattice = np.arange(first, int(scans[-1]) + _SCAN_STEP + 1, _SCAN_STEP)
        samples = np.arange(-_SAMPLE_STEP, SAMPLES + _SAMPLE_STEP, _SAMPLE_STEP)
        points = compute_footprints(lattice, "89A", samples=samples)
        x, y, z = (part.astype(np.float32) for part in (points.x, points.y, points.z))
        fields = [
            factor.evaluate_on_sphere(x, y, z, compute_days(lattice))
            for factor in _draw_factors(seed, surface)
        ]
        self._scan = (scans - first) / _SCAN_STEP
        self._classes = [
            _Class(statistics, weight, _combine(statistics.loadings, fields))
            for statistics, weight in _weigh_classes(surface, compute_days(scans), z)
        ]

    def compute(
        self, frequency: str, z: np.ndarray, sample: np.ndarray, noise: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compute the temperatures of a frequency, kelvin, float32 (scans, samples), V and H.

        Parameters
        ----------
        frequency : str
        z : ndarray of float32, shape (scans, samples)
            Sines of the latitudes.
        sample : ndarray of float, shape (samples,)
            Positions along the scan in samples of 89 GHz.
        noise : tuple of ndarray
            Standard normal, of both polarizations.
        """
        band = frequency.rstrip("AB")
        column = np.asarray(sample / _SAMPLE_STEP + 1, np.float32)
        warm = np.maximum(_SQUARE_OF_50 - z * z, 0) / _SQUARE_OF_50
        kelvin = []
        for side, polarization in enumerate("VH"):
            channel = CHANNELS.index(band + polarization)
            total = np.float32(_WARMTH[band][side]) * warm
            for kind in self._classes:
                score = self._interpolate(kind.scores[channel], column)
                score += np.float32(kind.statistics.noise[channel]) * noise[side]
                values = _look_up(kind.statistics.quantiles[channel].tobytes(), score)
                values *= kind.weight[:, None]
                values *= _weigh_hemisphere(kind.statistics.hemisphere, z)
                total += values
            kelvin.append(total)
        return kelvin[0], kelvin[1]

    def _interpolate(self, lattice: np.ndarray, column: np.ndarray) -> np.ndarray:
        first_column = column.astype(np.int64)
        wide = lattice[:, first_column]
        wide += (column - first_column).astype(np.float32) * (lattice[:, first_column + 1] - wide)
        before = self._scan.astype(np.int64)
        part = (self._scan - before).astype(np.float32)[:, None]
        rows = wide[before]
        rows += part * (wide[before + 1] - rows)
        return np.asarray(rows)


def _combine(loadings: np.ndarray, fields: list[np.ndarray]) -> np.ndarray:
    """Sums of the factors for every channel, float32 (channels, scans, samples).

    A matrix product would not promise the same bits for a scan in every run.
    """
    scores = np.zeros((len(loadings), *fields[0].shape), np.float32)
    for score, weights in zip(scores, loadings.astype(np.float32), strict=True):
        for weight, field in zip(weights, fields, strict=True):
            score += weight * field
    return scores


def _weigh_classes(
    surface: Surface, days: np.ndarray, z: np.ndarray
) -> list[tuple[TemperatureStatistics, np.ndarray]]:
    """Classes of a surface that count somewhere in a run of scans, and their weights in time."""
    weighed = []
    for statistics in read_statistics():
        if statistics.surface == surface and _weigh_hemisphere(statistics.hemisphere, z).any():
            weight = _weigh_season(statistics.hemisphere, statistics.season, days)
            if weight.any():
                weighed.append((statistics, weight))
    return weighed


def _weigh_season(
    hemisphere: Literal["north", "south"], season: Literal["winter", "summer"], days: np.ndarray
) -> np.ndarray:
    """Weight of a season in every scan, float32."""
    middle, half = _SUMMER[hemisphere]
    from_middle = np.abs(np.mod(days - middle + _YEAR / 2, _YEAR) - _YEAR / 2)
    winter = np.clip((from_middle - half) / _TRANSITION + 0.5, 0, 1).astype(np.float32)
    return winter if season == "winter" else 1 - winter


def _weigh_hemisphere(hemisphere: Literal["north", "south"], z: np.ndarray) -> np.ndarray:
    north = np.clip(z + np.float32(0.5), 0, 1)
    return north if hemisphere == "north" else 1 - north


def _look_up(quantiles: bytes, score: np.ndarray) -> np.ndarray:
    """Temperatures of normal scores, which are changed, float32."""
    score += np.float32(_WIDEST_SCORE)
    score *= np.float32(_STEPS)
    return _tabulate(quantiles).take(score.astype(np.int32), mode="clip")


@lru_cache(maxsize=128)
def _tabulate(quantiles: bytes) -> np.ndarray:
    """Temperatures at evenly spaced normal scores, float32; constant beyond the quantiles."""
    count = int(2 * _WIDEST_SCORE * _STEPS)
    scores = (np.arange(count) + 0.5) / _STEPS - _WIDEST_SCORE
    return np.interp(scores, SCORES, np.frombuffer(quantiles)).astype(np.float32)
