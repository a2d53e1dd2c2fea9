"""The base retrieval: the concentration that explains all channels best, each weighed by what it knows.

The temperatures of water and of ice are normal, with the means and covariances of the tie points; a
mixture is linear. At a concentration c the covariance is S(c) = (1-c)^2 S_water + c^2 S_ice + noise, the
estimate v . (T - water) with v = S(c)^-1 d / (d' S(c)^-1 d) for d = ice - water, and its variance
1 / (d' S(c)^-1 d). The weights are taken at the estimate itself, until it rests: at open water those
that scatter least over water, at closed ice those that scatter least there. The blend of two lines of
Lavergne et al. (2019, doi:10.5194/tc-13-49-2019) is of this kind, for three channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.tie_points import Signatures

CHANNELS = ("18.7V", "18.7H", "23.8V", "23.8H", "36.5V", "36.5H", "89V", "89H")
COARSE_CHANNELS = CHANNELS[:6]
ALL_CHANNELS = ("6.9V", "6.9H", "10.7V", "10.7H", *CHANNELS)
# Below this base concentration a place is open water: it cuts ice of 15 percent nearly nowhere. With the
# channels at 6.9 and 10.7 GHz less is enough.
OPEN_WATER = 0.08
OPEN_WATER_LOW_CHANNELS = 0.06
# Kelvin, of a channel after the average over a coarser footprint.
NOISE = 0.3
_ENTRIES = 201


class _Tables:
    """What depends on the concentration alone, at 201 concentrations from 0 to 1."""

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, signatures: Signatures, channels: tuple[str, ...]) -> _Tables:
        """The tables of some channels; those of the same signatures are computed once."""
        return cls(signatures.select(channels))

    def __init__(self, signatures: Signatures) -> None:
        self.water = signatures.water.mean
        self.difference = signatures.ice.mean - signatures.water.mean
        size = len(self.water)
        self.covariances = np.stack(
            [signatures.water.covariance, signatures.ice.covariance, NOISE**2 * np.eye(size)]
        )
        self.lines = np.empty((_ENTRIES, size))
        self.variances = np.empty(_ENTRIES)
        self.roots = np.empty((_ENTRIES, size, size))
        for entry, ice in enumerate(np.linspace(0, 1, _ENTRIES)):
            covariance = np.tensordot([(1 - ice) ** 2, ice**2, 1], self.covariances, 1)
            line = np.linalg.solve(covariance, self.difference)
            self.variances[entry] = 1 / (self.difference @ line)
            self.lines[entry] = line * self.variances[entry]
            self.roots[entry] = np.linalg.inv(np.linalg.cholesky(covariance))


def retrieve_base(
    temperatures: Temperatures,
    signatures: Signatures,
    *,
    channels: Sequence[str] = CHANNELS,
    open_water: float = OPEN_WATER,
    noise: Mapping[str, np.ndarray] | None = None,
) -> Retrieval:
    """Retrieve the concentration from all channels, weighed by their covariances.

    O(pixels); a million pixels take about a second.

    Parameters
    ----------
    temperatures : mapping of str to ndarray of float32
        Kelvin; NaN where missing. A place without one of the channels has no concentration.
    signatures : Signatures
        Of the day and the hemisphere.
    channels : sequence of str
        At least two.
    open_water : float
        Concentration below which a place is open water.
    noise : mapping of str to ndarray, optional
        Variances of channels, square kelvin, that are added place by place, as of a correction.

    Examples
    --------
    >>> from datetime import date
    >>> from seaice.retrieval.tie_points import find_packaged_tie_points
    >>> signatures = find_packaged_tie_points("AMSR2", "north").choose(date(2020, 1, 15))
    >>> kelvin = dict(zip(signatures.channels, signatures.ice.mean, strict=True))
    >>> places = {channel: np.array([mean]) for channel, mean in kelvin.items()}
    >>> retrieve_base(places, signatures).concentration.round(5)
    array([1.], dtype=float32)
    """
    from seaice.retrieval.algorithms import _kernels

    tables = _Tables.of(signatures, tuple(channels))
    kelvin = np.stack([temperatures[channel] for channel in channels], dtype=np.float32)
    shape = kelvin.shape[1:]
    flat = kelvin.reshape(len(channels), -1)
    results = np.empty((3, flat.shape[1]), np.float32)
    if noise is None:
        _kernels.retrieve(
            flat,
            tables.water,
            tables.difference,
            tables.lines,
            tables.variances,
            tables.roots,
            results,
        )
    else:
        zeros = np.zeros(shape, np.float32)
        added = np.stack([noise.get(channel, zeros) for channel in channels], dtype=np.float32)
        _kernels.retrieve_noisy(
            flat,
            added.reshape(flat.shape),
            tables.water,
            tables.difference,
            tables.covariances,
            results,
        )
    concentration, variance, misfit = results.reshape(3, *shape)
    with np.errstate(invalid="ignore"):
        is_open_water = concentration < open_water
    limit = np.float32(chi_square_limit(len(channels) - 1))
    return Retrieval(concentration, is_open_water, np.sqrt(variance), misfit / limit)


@lru_cache
def chi_square_limit(degrees: int) -> float:
    """99.9 percent point of chi-square of so many degrees of freedom."""
    from scipy.stats import chi2

    return float(chi2.ppf(0.999, degrees))
