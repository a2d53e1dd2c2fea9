"""Sharpening: finer channels with the temperatures that water and ice have at the place.

Weather and the kind of ice are smooth, concentration is not. The base tells at a coarse footprint how
far water and ice are from their means; with these, few channels suffice at a finer footprint. What
remains unknown of them, and what varies within the coarse footprint, is in the covariances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from seaice.retrieval.algorithm import Temperatures
from seaice.retrieval.algorithms.base import NOISE
from seaice.retrieval.tie_points import Signatures

# Share of the variance of the surfaces that lies within the coarse footprint.
FINE_SHARE = 0.2
# Standard deviation of a concentration about that of the next coarser footprint: this much, and a share
# of the c (1 - c) that leads and floes can make at most.
PRIOR_WIDTH = 0.02
# Noise of one measurement, kelvin (JAXA, GCOM-W1 AMSR2 data users' manual).
NOISES = {"6.9": 0.34, "7.3": 0.43, "10.7": 0.7, "18.7": 0.7, "23.8": 0.6, "36.5": 0.7, "89": 1.2}
_ENTRIES = 201


@dataclass(frozen=True, eq=False)
class LocalSignatures:
    """Temperatures of water and ice near a place, given what the base saw there.

    Attributes
    ----------
    signatures : Signatures
        Of all channels.
    channels : tuple of str
        Of the base.
    fine_channels : tuple of str
        That sharpen.
    """

    signatures: Signatures
    channels: tuple[str, ...]
    fine_channels: tuple[str, ...]

    @cached_property
    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Covariances of water, ice and noise: of the base, of fine with base, of fine channels."""
        joint = self.signatures.select((*self.channels, *self.fine_channels))
        size = len(self.channels)
        covariances = np.stack([joint.water.covariance, joint.ice.covariance])
        noise = NOISE**2 * np.eye(size)[None]
        return (
            np.concatenate([covariances[:, :size, :size], noise]),
            np.ascontiguousarray(covariances[:, size:, :size]),
            np.ascontiguousarray(covariances[:, size:, size:]),
        )

    def find(
        self, temperatures: Temperatures, concentration: np.ndarray, noise: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Tell how far water and ice are from their means, as the mixture's misfit has it.

        Parameters
        ----------
        temperatures : mapping of str to ndarray
            Of the channels of the base.
        concentration : ndarray of float32
            Of the base, unclipped.
        noise : mapping of str to ndarray
            Added variances by channel.

        Returns
        -------
        ndarray of float32, shape (2 * fine channels, ...)
            Kelvin of water, then of ice.
        """
        from seaice.retrieval import _sharpen_kernels

        means = self.signatures.select(self.channels)
        covariances, crossed, _ = self._parts
        results = np.empty((2 * len(self.fine_channels), concentration.size), np.float32)
        _sharpen_kernels.find_local(
            _stack(temperatures, self.channels),
            _stack_noise(noise, self.channels, concentration.shape),
            concentration.ravel(),
            means.water.mean,
            means.ice.mean - means.water.mean,
            covariances,
            crossed,
            results,
        )
        return results.reshape(-1, *concentration.shape)

    @cached_property
    def tables(self) -> np.ndarray:
        """What the base leaves unknown of water, ice and both together, by its concentration."""
        covariances, crossed, fine = self._parts
        tables = np.empty((_ENTRIES, 3, *fine.shape[1:]))
        for entry, ice in enumerate(np.linspace(0, 1, _ENTRIES)):
            covariance = np.tensordot([(1 - ice) ** 2, ice**2, 1], covariances, 1)
            water, of_ice = (1 - ice) * crossed[0], ice * crossed[1]
            seen_water = water @ np.linalg.solve(covariance, water.T)
            seen_ice = of_ice @ np.linalg.solve(covariance, of_ice.T)
            shared = -water @ np.linalg.solve(covariance, of_ice.T)
            tables[entry] = (
                (1 + FINE_SHARE) * fine[0] - seen_water,
                (1 + FINE_SHARE) * fine[1] - seen_ice,
                shared + shared.T,
            )
        return tables


@dataclass(frozen=True, eq=False)
class Coarse:
    """What the coarser steps tell at the places of a finer one; arrays of one shape.

    Attributes
    ----------
    base : ndarray of float32
        Concentration of the base.
    local : ndarray of float32, shape (2 * fine channels, ...)
        As of :meth:`LocalSignatures.find`.
    concentration, standard_error : ndarray of float32
        Of the next coarser step, which may be the base.
    """

    base: np.ndarray
    local: np.ndarray
    concentration: np.ndarray
    standard_error: np.ndarray


def sharpen(
    temperatures: Temperatures,
    coarse: Coarse,
    signatures: LocalSignatures,
    *,
    noise: Mapping[str, np.ndarray],
    unevenness: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Retrieve the concentration from fine channels and what coarser steps tell.

    O(pixels).

    Parameters
    ----------
    temperatures : mapping of str to ndarray of float32
        Kelvin, NaN where missing; of ``signatures.fine_channels``, at one footprint.
    coarse : Coarse
    signatures : LocalSignatures
    noise : mapping of str to ndarray
        Added variances by channel.
    unevenness : float
        Variance of the concentration within the next coarser footprint, as a share of c (1 - c).

    Returns
    -------
    concentration, standard_error : ndarray of float32
        Unclipped share; NaN where a channel or the base is missing.
    """
    from seaice.retrieval import _sharpen_kernels

    channels = signatures.fine_channels
    shape = coarse.base.shape
    means = signatures.signatures.select(channels)
    clipped = np.clip(coarse.concentration, 0, 1)
    variance = coarse.standard_error**2 + PRIOR_WIDTH**2 + unevenness * clipped * (1 - clipped)
    prior = np.stack([coarse.concentration.ravel(), 1 / variance.ravel()], dtype=np.float32)
    results = np.empty((2, coarse.base.size), np.float32)
    _sharpen_kernels.sharpen(
        _stack(temperatures, channels),
        _stack_noise(noise, channels, shape),
        coarse.local.reshape(2 * len(channels), -1),
        coarse.base.ravel(),
        prior,
        np.stack([means.water.mean, means.ice.mean]),
        np.array([NOISES[channel[:-1]] ** 2 for channel in channels]),
        signatures.tables,
        results,
    )
    concentration, variance = results.reshape(2, *shape)
    return concentration, np.sqrt(variance)


def _stack(temperatures: Temperatures, channels: Sequence[str]) -> np.ndarray:
    stacked = np.stack([temperatures[channel] for channel in channels], dtype=np.float32)
    return stacked.reshape(len(channels), -1)


def _stack_noise(
    noise: Mapping[str, np.ndarray], channels: Sequence[str], shape: tuple[int, ...]
) -> np.ndarray:
    zeros = np.zeros(shape, np.float32)
    return _stack({channel: noise.get(channel, zeros) for channel in channels}, channels)
