"""Land within the footprints: taken out of the temperatures before they are averaged or combined.

After Maass and Kaleschke (2010, Tellus A 62, 393-410): what a footprint on the coast sees is a
mixture of the sea and of the land nearby.
"""

from __future__ import annotations

import numpy as np

# Share of land above which a pixel tells what land looks like, and from which nothing of the sea.
LAND, NO_SEA = 0.95, 0.5
_REACH = 3.0  # footprints
_LEAST_PIXELS = 3
_MOST_NEIGHBOURS = 4096


def remove_land(
    kelvin: np.ndarray, position: np.ndarray, share: np.ndarray, *, footprint: float
) -> tuple[np.ndarray, np.ndarray]:
    """Take the land out of brightness temperatures of a swath.

    Parameters
    ----------
    kelvin : ndarray of float32, shape (channels, scans, pixels)
        Of one frequency; NaN where missing.
    position : ndarray of float64, shape (3, scans, pixels)
        As of :func:`seaice.retrieval.footprints.place_on_sphere`.
    share : ndarray of float32, shape (scans, pixels)
        Of land in the footprints, 0..1.
    footprint : float
        Mean diameter, kilometres.

    Returns
    -------
    kelvin : ndarray of float32
        Of the sea; NaN where half of the footprint or more is land, or no land is near that tells its
        temperature.
    variance : ndarray of float32
        Of the error that the temperature of land leaves, square kelvin.
    """
    from seaice.retrieval import _land_kernels

    is_coast = (share > 0) & (share < NO_SEA)
    is_land = share > LAND
    land = np.full((2, *kelvin.shape), np.nan, np.float32)
    for channel, values in enumerate(kelvin):
        land_values = values[is_land & np.isfinite(values)]
        if (
            len(land_values) >= _LEAST_PIXELS
        ):  # far from land, as about an island, that of the whole pass
            land[0, channel], land[1, channel] = np.median(land_values), np.std(land_values)
    _land_kernels.describe_land(
        position,
        np.ascontiguousarray(kelvin.reshape(len(kelvin), -1), np.float32),
        is_land.ravel(),
        is_coast,
        _REACH * footprint,
        _LEAST_PIXELS,
        _MOST_NEIGHBOURS,
        land,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        sea = (kelvin - share * land[0]) / (1 - share)
        variance = (share * land[1] / (1 - share)) ** 2
    nothing = np.float32(np.nan)
    sea = np.where(is_coast, sea, np.where(share >= NO_SEA, nothing, kelvin))
    return sea, np.where(is_coast, variance, np.where(share >= NO_SEA, nothing, np.float32(0)))
