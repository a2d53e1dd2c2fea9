"""Compiled loops of the sharpening, one pixel after the other."""

from __future__ import annotations

import numpy as np

from seaice.retrieval.algorithms._kernels import solve
from seaice.runtime.compiled_kernels import compile_loop

_compile = compile_loop(error_model="numpy")
_MOST_STEPS = 60
_RESTS = 1e-5


@_compile
def find_local(kelvin, noise, concentration, water, difference, covariances, crossed, results):  # type: ignore[no-untyped-def]
    """Most likely temperatures of water and of ice at a pixel, from what is left of its mixture.

    Parameters
    ----------
    kelvin, noise : float32 (channels, pixels)
        Of the base, and variances to be added.
    concentration : float32 (pixels,)
    water, difference : float64 (channels,)
    covariances : float64 (3, channels, channels)
        Of water, ice, and the noise of all pixels.
    crossed : float64 (2, fine channels, channels)
        Covariance of the fine channels with those of the base: water, ice.
    results : float32 (2 * fine channels, pixels)
        How far water, then ice, are from their means.
    """
    channels, pixels = kelvin.shape
    fine = crossed.shape[1]
    residual, matrix = np.empty(channels), np.empty((channels, channels))
    for pixel in range(pixels):
        total = 0.0
        for k in range(channels):
            residual[k] = kelvin[k, pixel] - water[k] - concentration[pixel] * difference[k]
            total += residual[k] + noise[k, pixel]
        if not np.isfinite(total):
            results[:, pixel] = np.nan
            continue
        ice = min(max(concentration[pixel], 0.0), 1.0)
        for i in range(channels):
            for j in range(i + 1):
                of_water = (1 - ice) * (1 - ice) * covariances[0, i, j]
                matrix[i, j] = of_water + ice * ice * covariances[1, i, j]
            matrix[i, i] += covariances[2, i, i] + noise[i, pixel]
        solve(matrix, residual)
        for k in range(fine):
            of_water, of_ice = 0.0, 0.0
            for i in range(channels):
                of_water += crossed[0, k, i] * residual[i]
                of_ice += crossed[1, k, i] * residual[i]
            results[k, pixel] = (1 - ice) * of_water
            results[fine + k, pixel] = ice * of_ice


@_compile
def sharpen(kelvin, noise, local, base, prior, means, own_noise, tables, results):  # type: ignore[no-untyped-def]
    """Concentration and its variance from fine channels and the local temperatures of the surfaces.

    Parameters
    ----------
    kelvin, noise : float32 (channels, pixels)
        Temperatures, and variances to be added.
    local : float32 (2 * channels, pixels)
        As of :func:`find_local`.
    base : float32 (pixels,)
        Concentration that the local temperatures belong to.
    prior : float32 (2, pixels)
        Another estimate of the concentration, and one over its variance, which may be 0.
    means : float64 (2, channels)
        Of water, ice.
    own_noise : float64 (channels,)
        Variance of the noise of the channels.
    tables : float64 (entries, 3, channels, channels)
        What remains unknown of water, of ice, and of the two together, at base concentrations 0 to 1.
    results : float32 (2, pixels)
    """
    channels, pixels = kelvin.shape
    last = len(tables) - 1
    above_water, difference, line = np.empty(channels), np.empty(channels), np.empty(channels)
    matrix = np.empty((channels, channels))
    for pixel in range(pixels):
        total = base[pixel] + prior[0, pixel] * prior[1, pixel]
        for k in range(channels):
            water = means[0, k] + local[k, pixel]
            above_water[k] = kelvin[k, pixel] - water
            difference[k] = means[1, k] + local[channels + k, pixel] - water
            total += above_water[k] + difference[k] + noise[k, pixel]
        if not np.isfinite(total):
            results[:, pixel] = np.nan
            continue
        table = tables[int(min(max(base[pixel], 0.0), 1.0) * last + 0.5)]
        concentration, precision = base[pixel], 0.0
        for _ in range(_MOST_STEPS):
            ice = min(max(concentration, 0.0), 1.0)
            a, b, c = (1 - ice) * (1 - ice), ice * ice, ice * (1 - ice)
            for i in range(channels):
                for j in range(i + 1):
                    matrix[i, j] = a * table[0, i, j] + b * table[1, i, j] + c * table[2, i, j]
                matrix[i, i] += own_noise[i] + noise[i, pixel]
                line[i] = difference[i]
            solve(matrix, line)
            estimate = prior[0, pixel] * prior[1, pixel]
            precision = prior[1, pixel]
            for k in range(channels):
                estimate += line[k] * above_water[k]
                precision += line[k] * difference[k]
            estimate /= precision
            change = abs(estimate - concentration)
            concentration = estimate
            if change < _RESTS:
                break
        results[0, pixel] = concentration
        results[1, pixel] = 1 / precision
