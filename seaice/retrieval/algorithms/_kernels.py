"""Compiled loops of the retrieval, one pixel after the other."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

_compile = compile_loop(error_model="numpy")

# Steps until the concentration rests; a dozen suffice where the surface is water, ice or between.
_MOST_STEPS = 100
_RESTS = 1e-6


@_compile
def _find_entry(concentration, last):  # type: ignore[no-untyped-def]
    """Entry of a table over 0..1 at or below a concentration, and the share of the next one."""
    position = min(max(concentration, 0.0), 1.0) * last
    entry = min(int(position), last - 1)
    return entry, position - entry


@_compile
def retrieve(kelvin, water, difference, lines, variances, roots, results):  # type: ignore[no-untyped-def]
    """Concentration, variance and misfit of pixels without a noise of their own.

    Parameters
    ----------
    kelvin : float32 (channels, pixels)
    water, difference : float64 (channels,)
        Mean of water, and of ice less that of water.
    lines : float64 (entries, channels)
        Weights of the channels at concentrations from 0 to 1.
    variances : float64 (entries,)
    roots : float64 (entries, channels, channels)
        Lower triangle whose product with a residual has unit covariance.
    results : float32 (3, pixels)
    """
    channels, pixels = kelvin.shape
    last = len(variances) - 1
    above_water = np.empty(channels)
    for pixel in range(pixels):
        total = 0.0
        for k in range(channels):
            above_water[k] = kelvin[k, pixel] - water[k]
            total += above_water[k]
        if not np.isfinite(total):
            results[:, pixel] = np.nan
            continue
        concentration, entry, share = 0.5, 0, 0.0
        for _ in range(_MOST_STEPS):
            entry, share = _find_entry(concentration, last)
            estimate = 0.0
            for k in range(channels):
                weight = lines[entry, k] + share * (lines[entry + 1, k] - lines[entry, k])
                estimate += weight * above_water[k]
            change = abs(estimate - concentration)
            concentration = estimate
            if change < _RESTS:
                break
        entry, share = _find_entry(concentration, last)
        results[0, pixel] = concentration
        results[1, pixel] = variances[entry] + share * (variances[entry + 1] - variances[entry])
        nearest = entry + 1 if share > 0.5 else entry
        misfit = 0.0
        for i in range(channels):
            part = 0.0
            for j in range(i + 1):
                residual = above_water[j] - concentration * difference[j]
                part += roots[nearest, i, j] * residual
            misfit += part * part
        results[2, pixel] = misfit


@_compile
def solve(matrix, right):  # type: ignore[no-untyped-def]
    """Solve a symmetric positive definite system in place, by Cholesky's factors."""
    size = len(right)
    for j in range(size):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = np.sqrt(matrix[j, j])
        for i in range(j + 1, size):
            for k in range(j):
                matrix[i, j] -= matrix[i, k] * matrix[j, k]
            matrix[i, j] /= matrix[j, j]
    for i in range(size):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(size - 1, -1, -1):
        for k in range(i + 1, size):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@_compile
def retrieve_noisy(kelvin, noise, water, difference, covariances, results):  # type: ignore[no-untyped-def]
    """Concentration, variance and misfit of pixels with noise beside that of the surfaces.

    Parameters
    ----------
    kelvin, noise : float32 (channels, pixels)
        Temperatures, and variances to be added.
    water, difference : float64 (channels,)
    covariances : float64 (3, channels, channels)
        Of water, ice, and the noise of all pixels.
    results : float32 (3, pixels)
    """
    channels, pixels = kelvin.shape
    above_water, line, residual = np.empty(channels), np.empty(channels), np.empty(channels)
    matrix = np.empty((channels, channels))
    for pixel in range(pixels):
        total = 0.0
        for k in range(channels):
            above_water[k] = kelvin[k, pixel] - water[k]
            total += above_water[k] + noise[k, pixel]
        if not np.isfinite(total):
            results[:, pixel] = np.nan
            continue
        concentration, variance = 0.5, 0.0
        for _ in range(_MOST_STEPS):
            _cover(covariances, noise[:, pixel], concentration, matrix)
            line[:] = difference
            solve(matrix, line)
            estimate, precision = 0.0, 0.0
            for k in range(channels):
                estimate += line[k] * above_water[k]
                precision += line[k] * difference[k]
            variance = 1.0 / precision
            estimate *= variance
            change = abs(estimate - concentration)
            concentration = estimate
            if change < _RESTS:
                break
        _cover(covariances, noise[:, pixel], concentration, matrix)
        for k in range(channels):
            residual[k] = above_water[k] - concentration * difference[k]
            line[k] = residual[k]
        solve(matrix, line)
        results[0, pixel] = concentration
        results[1, pixel] = variance
        results[2, pixel] = (residual * line).sum()


@_compile
def _cover(covariances, noise, concentration, matrix):  # type: ignore[no-untyped-def]
    """Fill the lower triangle of the covariance at a concentration."""
    ice = min(max(concentration, 0.0), 1.0)
    of_water, of_ice = (1 - ice) * (1 - ice), ice * ice
    for i in range(len(noise)):
        for j in range(i + 1):
            matrix[i, j] = of_water * covariances[0, i, j] + of_ice * covariances[1, i, j]
        matrix[i, i] += covariances[2, i, i] + noise[i]
