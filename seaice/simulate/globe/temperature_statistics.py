"""How brightness temperatures of open water and of closed ice are distributed, by hemisphere and season.

A compact model of real samples: quantiles of each channel, and the correlations of the normal scores of
the channels (a Gaussian copula) as loadings on a few factors, to which white noise of the instrument is
added. The packaged file was made of AMSR2 samples (L1R, JAXA version 2) of the Round Robin Data Package
of the ESA Climate Change Initiative (Pedersen et al. 2019, doi:10.6084/m9.figshare.6626549, CC BY 4.0),
of every fourth day alone, so that whoever fits to the other days can be judged on simulated swaths.
``benchmarks/temperature_statistics.py`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.runtime.atomic_write import atomic
from seaice.sources.round_robin import RoundRobinSamples, read_samples

Surface = Literal["water", "ice"]
CHANNELS = tuple(f"{f}{p}" for f in ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5", "89") for p in "VH")
# Noise of single observations, kelvin.
NOISE = {"6.9": 0.34, "7.3": 0.43, "10.7": 0.70, "18.7": 0.70, "23.8": 0.60, "36.5": 0.70, "89": 1.20}
SCORES = np.arange(-3.25, 3.3, 0.25)  # normal scores whose quantiles are kept
_FACTORS = 8
_FEWEST = 100
_ROUNDS, _DRAWS = 8, 40_000
PACKAGED = Path(__file__).with_name("temperature_statistics.json")


@dataclass(frozen=True)
class TemperatureStatistics:
    """Distribution of the temperatures of one surface in one hemisphere and season.

    Attributes
    ----------
    surface : {"water", "ice"}
    hemisphere : {"north", "south"}
    season : {"winter", "summer"}
        Winter is October to April in the north, May to October in the south.
    samples, days : int
        Number of samples and of different days of which it was made.
    quantiles : ndarray of float64, shape (14, scores)
        Kelvin at normal scores of -3.25 to 3.25.
    loadings : ndarray of float64, shape (14, factors)
        Part of each factor in the normal score of a channel.
    noise : ndarray of float64, shape (14,)
        Standard deviation of the white noise in the normal score: what the factors leave of 1.
    """

    surface: Surface
    hemisphere: Literal["north", "south"]
    season: Literal["winter", "summer"]
    samples: int
    days: int
    quantiles: np.ndarray
    loadings: np.ndarray
    noise: np.ndarray

    def correlate(self) -> np.ndarray:
        """Correlations of the normal scores of all channels, float64 (14, 14)."""
        return np.asarray(self.loadings @ self.loadings.T + np.diag(self.noise**2))


def list_classes(
    samples: RoundRobinSamples, hemisphere: str
) -> Iterator[tuple[Surface, str, np.ndarray]]:
    """List surface, season and mask of the samples of each class."""
    month = samples.month
    winter = (month >= 10) | (month <= 4) if hemisphere == "north" else (month >= 5) & (month <= 10)
    for surface, is_surface in (
        ("water", samples.concentration == 0),
        ("ice", samples.concentration == 1),
    ):
        for season, is_season in (("winter", winter), ("summer", ~winter)):
            yield surface, season, is_surface & is_season  # type: ignore[misc]


def fit_statistics(paths: Sequence[Path]) -> list[TemperatureStatistics]:
    """Fit the distributions of all classes to the AMSR2 samples of every fourth day.

    Parameters
    ----------
    paths : sequence of Path
        Files of :func:`seaice.sources.round_robin.read_samples`, each of one hemisphere.

    Raises
    ------
    InputError
        If a class has fewer than 100 samples in both seasons together. With fewer than that in one
        season, the seasons are pooled.
    """
    statistics = []
    for path in paths:
        samples = read_samples(path)
        samples = samples.select((samples.sensor == "AMSR2") & (samples.day % 4 == 3))
        hemisphere: Any = "north" if np.median(samples.latitude) > 0 else "south"
        for surface, season, mask in list_classes(samples, hemisphere):
            if mask.sum() < _FEWEST:
                mask = samples.concentration == (surface == "ice")
            if mask.sum() < _FEWEST:
                raise InputError(
                    f"expected {_FEWEST} samples of {surface} in the {hemisphere} or more, "
                    f"found {mask.sum()}: {path}"
                )
            subset = samples.select(mask)
            fitted = _fit_copula(subset.stack(CHANNELS))
            days = len(np.unique(subset.day))
            statistics.append(
                TemperatureStatistics(surface, hemisphere, season, len(subset), days, *fitted)  # type: ignore[arg-type]
            )
    return statistics


def _fit_copula(kelvin: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quantiles, loadings and noise of temperatures (channels, samples).

    The correlations of the scores are changed until those of the temperatures are right: where quantiles
    are far from a straight line, the correlations of ranks do not give them.
    """
    from scipy.special import ndtr

    quantiles = np.quantile(kelvin, ndtr(SCORES), axis=1).T
    instrument = np.repeat(list(NOISE.values()), 2) / kelvin.std(1)
    variance = np.minimum(instrument**2, 0.3)
    draws = np.random.default_rng(0).standard_normal((_FACTORS + len(kelvin), _DRAWS))
    target = np.corrcoef(kelvin)
    correlations = target.copy()
    for _ in range(_ROUNDS):
        loadings = _factorize(correlations, variance)
        scores = loadings @ draws[:_FACTORS] + np.sqrt(variance)[:, None] * draws[_FACTORS:]
        drawn = [np.interp(row, SCORES, levels) for row, levels in zip(scores, quantiles, strict=True)]
        correlations += target - np.corrcoef(drawn)
    # Of one sign in all classes, so that seasons can pass into each other.
    return quantiles, loadings * np.where(loadings.sum(0) < 0, -1, 1), np.sqrt(variance)


def _factorize(correlations: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Loadings whose products are the correlations, with the variance of the noise on the diagonal."""
    eigenvalues, vectors = np.linalg.eigh(correlations - np.diag(noise))
    loadings = (vectors * np.sqrt(np.maximum(eigenvalues, 0)))[:, : -_FACTORS - 1 : -1]
    return np.asarray(loadings * np.sqrt((1 - noise) / (loadings**2).sum(1))[:, None])


def write_statistics(path: Path, statistics: Sequence[TemperatureStatistics]) -> None:
    """Write distributions as JSON."""
    rows = []
    for distribution in statistics:
        row = {
            name: getattr(distribution, name)
            for name in ("surface", "hemisphere", "season", "samples", "days")
        }
        for name, digits in (("quantiles", 1), ("loadings", 3), ("noise", 4)):
            row[name] = np.round(getattr(distribution, name), digits).tolist()
        rows.append(json.dumps(row, separators=(",", ":")))
    source = "AMSR2 samples of RRDP, doi:10.6084/m9.figshare.6626549, days whose ordinal leaves 3 by 4"
    text = f'{{"source": {json.dumps(source)},\n"classes": [\n' + ",\n".join(rows) + "\n]}\n"
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@lru_cache(maxsize=1)
def read_statistics() -> tuple[TemperatureStatistics, ...]:
    """Read the packaged distributions."""
    rows = json.loads(PACKAGED.read_text(encoding="utf-8"))["classes"]
    for row in rows:
        row |= {name: np.array(row[name]) for name in ("quantiles", "loadings", "noise")}
    return tuple(TemperatureStatistics(**row) for row in rows)
