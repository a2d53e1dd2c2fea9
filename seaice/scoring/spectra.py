"""Power spectra of maps with missing cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice import InputError


class Spectrum(NamedTuple):
    """Radial power spectrum: the mean power in rings of equal wavenumber.

    Attributes
    ----------
    wavenumber : ndarray of float64, shape (rings,)
        Mean wavenumber of each ring, cycles per km.
    power : ndarray of float64, shape (rings,)
        Spectral density, unit of the field squared times km2. White noise with the standard
        deviation s on cells of a km2 has the density s squared times a in every ring.
    """

    wavenumber: np.ndarray
    power: np.ndarray


def make_taper(has_value: np.ndarray, width: float = 4.0) -> np.ndarray:
    """Make a taper: weights that fall to 0 over some cells towards missing cells and the map's edge.

    Parameters
    ----------
    has_value : ndarray of bool, shape (y, x)
        Whether a cell has a value.
    width : float
        Number of cells over which the weight falls.

    Returns
    -------
    ndarray of float64, shape (y, x)
        Weights 0..1: a squared sine of the distance to the nearest missing cell.
    """
    from scipy.ndimage import distance_transform_edt

    distance = distance_transform_edt(np.pad(has_value, 1))[1:-1, 1:-1]
    weights: np.ndarray = np.sin(np.pi / 2 * np.clip(distance / (width + 1), 0, 1)) ** 2
    return weights


def compute_radial_spectrum(
    field: np.ndarray, window: np.ndarray, dy: float, dx: float, *, rings: int = 40
) -> Spectrum:
    """Compute the power of a map by wavenumber, corrected for the share of the map with values.

    The weighted mean is subtracted first. A taper lowers the power by the mean of its square, so the
    power is divided by this mean (Hivon et al. 2002, doi:10.1086/338126, their factor w2 f_sky). The
    mixing of neighbouring wavenumbers by the taper is not corrected: a peak is as wide as the
    reciprocal of the size of the area with values.

    Parameters
    ----------
    field : ndarray of float, shape (y, x)
        NaN is missing.
    window : ndarray of float, shape (y, x)
        Weights 0..1, such as those of :func:`make_taper`; missing cells have no weight.
    dy, dx : float
        Height and width of a cell, km.
    rings : int
        Number of rings, of equal width in the logarithm of the wavenumber. Rings without a mode are
        left out of the result.

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
    # From the longest wave that fits into the map to the shortest along an axis: larger wavenumbers
    # occur in the corners of the spectrum alone.
    lowest, highest = 1 / min(field.shape[0] * dy, field.shape[1] * dx), 0.5 / max(dy, dx)
    edges = np.geomspace(lowest * (1 - 1e-9), highest * (1 + 1e-9), rings + 1)
    ring = np.digitize(k.ravel(), edges)
    count = np.bincount(ring, minlength=rings + 2)[1:-1]
    has_mode = count > 0
    mean_k, mean_p = (
        np.bincount(ring, weights=a.ravel(), minlength=rings + 2)[1:-1][has_mode] / count[has_mode]
        for a in (k, power)
    )
    return Spectrum(mean_k, mean_p)
