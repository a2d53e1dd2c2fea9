"""Power spectra of maps that are known on a part of the plane only."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice import InputError


class Spectrum(NamedTuple):
    """A radial power spectrum; arrays of float64, shape (rings,).

    Attributes
    ----------
    wavenumber : ndarray
        Mean of each ring, cycles per km.
    power : ndarray
        Spectral density, unit squared times km2: white noise of standard deviation s on cells of
        a km2 has s squared times a everywhere. NaN where nothing is known.
    """

    wavenumber: np.ndarray
    power: np.ndarray


def taper(known: np.ndarray, width: float = 4.0) -> np.ndarray:
    """A window that falls to 0 over ``width`` cells at the edge of what is known.

    Returns
    -------
    ndarray of float64, shape (y, x)
        0..1: a squared sine of the distance to the nearest cell that is not known, where the
        outside of the map counts as such.
    """
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(np.pad(known, 1))[1:-1, 1:-1]
    made: np.ndarray = np.sin(np.pi / 2 * np.clip(distance / (width + 1), 0, 1)) ** 2
    return made


def radial_spectrum(
    field: np.ndarray, window: np.ndarray, dy: float, dx: float, *, rings: int = 40
) -> Spectrum:
    """Power of a map by wavenumber, corrected for the share of the plane that is known.

    The mean under the window is taken out. The power under a window is lower by the mean of its
    square, the effective share of the sky; it is divided by that (Hivon et al. 2002,
    doi:10.1086/338126, their factor w2 f_sky). Modes that a window couples stay coupled: a peak is
    as wide as the reciprocal of what is known.

    Parameters
    ----------
    field : ndarray of float, shape (y, x)
        NaN where it is not known.
    window : ndarray of float, shape (y, x)
        0..1; values that are not known count as 0.
    dy, dx : float
        Size of a cell, km.
    rings : int
        Rings of equal width in the logarithm of the wavenumber; those without a mode are left out.

    Raises
    ------
    InputError
        If the window is 0 everywhere.
    """
    weight = np.where(np.isfinite(field), window, 0.0)
    share = float(np.mean(weight**2))
    if share == 0:
        raise InputError("no cell is known under the window; take a larger part of the map")
    values = np.where(weight > 0, field, 0.0)
    values = weight * (values - np.sum(weight * values) / np.sum(weight))
    power = np.abs(np.fft.fft2(values)) ** 2 * (dy * dx / values.size) / share
    ky, kx = np.fft.fftfreq(field.shape[0], dy), np.fft.fftfreq(field.shape[1], dx)
    k = np.hypot(ky[:, None], kx[None, :])
    # From the longest wave that fits to the shortest along an axis: beyond are corners only.
    lowest, highest = 1 / min(field.shape[0] * dy, field.shape[1] * dx), 0.5 / max(dy, dx)
    edges = np.geomspace(lowest * (1 - 1e-9), highest * (1 + 1e-9), rings + 1)
    ring = np.digitize(k.ravel(), edges)
    count = np.bincount(ring, minlength=rings + 2)[1:-1]
    kept = count > 0
    mean_k, mean_p = (
        np.bincount(ring, weights=a.ravel(), minlength=rings + 2)[1:-1][kept] / count[kept]
        for a in (k, power)
    )
    return Spectrum(mean_k, mean_p)
