"""Compiled loops that apply weights to the values, flags and errors of a day."""

import math

import numpy as np
from numba import njit

from seaice.runtime.compiled_kernels import compile_loop


@compile_loop
def average(
    first: int,
    end: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    room: np.ndarray,
    least: float,
    values: np.ndarray,
    errors: np.ndarray,
    mean: np.ndarray,
    share: np.ndarray,
    error: np.ndarray,
) -> None:
    """Average the values of source cells over target cells ``first`` to ``end``.

    Parameters
    ----------
    indptr, indices, weights, room : ndarray
        See :class:`seaice.regridding.weights.Weights`.
    least : float
        Smallest share of the room that must have a value.
    values : ndarray of float32, shape (source cells,)
        NaN is missing.
    errors : ndarray of float32, shape (source cells,) or (0,)
        Expected standard errors; NaN: none. They are taken to err alike within a target cell, so
        they add up: no other correlation gives a larger error.
    mean, share, error : ndarray of float32, shape (target cells,)
        Out; NaN where nothing may be said. ``error`` of shape (0,) where there are no errors.
    """
    has_errors = errors.size > 0
    for t in range(first, end):
        total = valid = deviation = 0.0
        is_uncertain = False
        for k in range(indptr[t], indptr[t + 1]):
            value = values[indices[k]]
            if math.isnan(value):
                continue
            weight = float(weights[k])
            total += weight * value
            valid += weight
            if has_errors and not math.isnan(errors[indices[k]]):
                deviation += weight * errors[indices[k]]
                is_uncertain = True
        part = min(1.0, valid / room[t]) if room[t] > 0 else np.nan
        if part > 1 - 1e-5:  # rounding of areas
            part = 1.0
        share[t] = part
        is_told = valid > 0 and part >= least - 1e-6
        mean[t] = total / valid if is_told else np.nan
        if has_errors:
            error[t] = deviation / valid if is_told and is_uncertain else np.nan


@njit(inline="always")
def _find_widest(  # type: ignore[no-untyped-def]
    start, stop, indices, weights, values, codes, flags, only, area
):
    """Find the code with the largest weight among cells with a value; of one flag if ``only`` >= 0.

    ``area`` holds 256 zeros, before and after.
    """
    low, high = 255, 0
    for k in range(start, stop):
        s = indices[k]
        if not math.isnan(values[s]) and (only < 0 or flags[s] == only):
            low, high = min(low, codes[s]), max(high, codes[s])
    if low >= high:  # the usual case: one code
        return low
    for k in range(start, stop):
        s = indices[k]
        if not math.isnan(values[s]) and (only < 0 or flags[s] == only):
            area[codes[s]] += weights[k]
    best = low
    for code in range(low, high + 1):
        if area[code] > area[best] * (1 + 1e-6):
            best = code
    area[low : high + 1] = 0
    return best


@compile_loop
def choose_codes(
    first: int,
    end: int,
    indptr: np.ndarray,
    indices: np.ndarray,
    weights: np.ndarray,
    values: np.ndarray,
    mean: np.ndarray,
    flags: np.ndarray,
    days: np.ndarray,
    missing: int,
    flag: np.ndarray,
    day: np.ndarray,
) -> None:
    """Choose the flag that covers the largest part of the values of a target cell, ties to the lower.

    Parameters
    ----------
    indptr, indices, weights : ndarray
        See :class:`seaice.regridding.weights.Weights`.
    values, flags, days : ndarray of float32, uint8 and uint8, shape (source cells,)
        ``days`` of shape (0,) where there are none.
    mean : ndarray of float32, shape (target cells,)
        Values of the target: only a cell with one gets a flag of its source cells.
    missing : int
        Flag of cells without a value.
    flag, day : ndarray of uint8, shape (target cells,)
        Out: the flag, and the code of ``days`` that covers the largest part of the cells with that flag.
    """
    area = np.zeros(256)
    has_days = days.size > 0
    for t in range(first, end):
        start, stop = indptr[t], indptr[t + 1]
        if math.isnan(mean[t]):
            flag[t] = missing
            if has_days:
                day[t] = 0
            continue
        flag[t] = _find_widest(start, stop, indices, weights, values, flags, flags, -1, area)
        if has_days:
            best = int(flag[t])
            day[t] = _find_widest(start, stop, indices, weights, values, days, flags, best, area)
