"""One day carried to another grid: values, how much of a cell had one, flags and errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from seaice.flags import Surface, is_ocean
from seaice.regridding.weights import Weights
from seaice.runtime.threads import count_threads, for_each

FLAG_RULE = (
    "the flag that covers the largest part of the values of a cell, of equal parts the lower code; "
    "days_back_forward as on the largest part with that flag"
)
ERROR_RULE = (
    "weighted sum of the errors of the source cells, as if they erred alike: an upper bound; a value "
    "without an error adds none"
)
_CELLS = 1 << 15
_ROUNDING = 1e-6  # of shares


class CarriedDay(NamedTuple):
    """A day on the target grid.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, columns)
        NaN is missing.
    share : ndarray of float32, shape (rows, columns)
        Part of the cell that is not land and had a value, 0 to 1; NaN of a cell that is all land.
    flags, days : ndarray of uint8, shape (rows, columns), or None
    errors : ndarray of float32, shape (rows, columns), or None
    """

    values: np.ndarray
    share: np.ndarray
    flags: np.ndarray | None
    days: np.ndarray | None
    errors: np.ndarray | None


def carry_day(
    weights: Weights,
    shape: tuple[int, int],
    values: np.ndarray,
    *,
    smallest_share: float = 0.5,
    flags: np.ndarray | None = None,
    days: np.ndarray | None = None,
    errors: np.ndarray | None = None,
    missing_flag: int = 255,
) -> CarriedDay:
    """Carry a day to another grid.

    Parameters
    ----------
    weights : Weights
    shape : (int, int)
        Rows and columns of the target.
    values : ndarray of float32, shape of the source
        NaN is missing, and never counts as 0.
    smallest_share : float
        A target cell has a value where at least so much of what is not land had one.
    flags, days : ndarray of uint8, shape of the source, optional
        Carried by :data:`FLAG_RULE`.
    errors : ndarray of float32, shape of the source, optional
        Expected standard errors, carried by :data:`ERROR_RULE`; NaN: none.
    missing_flag : int
        Flag of cells without a value.

    Examples
    --------
    >>> from seaice.grids import Grid
    >>> from seaice.regridding.weights import compute_weights
    >>> fine = Grid("fine", 1, 2, 1.0, 0.0, 60.0, "EPSG:4326")
    >>> coarse = Grid("coarse", 1, 1, 2.0, 0.0, 60.0, "EPSG:4326")
    >>> weights = compute_weights(fine, coarse, np.ones((1, 2), bool), "conservative")
    >>> day = carry_day(weights, (1, 1), np.array([[0.2, np.nan]], np.float32), smallest_share=0.2)
    >>> round(float(day.values[0, 0]), 3), round(float(day.share[0, 0]), 2)
    (0.2, 0.25)
    """
    from seaice.regridding import _apply_kernels

    size = shape[0] * shape[1]
    none = np.zeros(0, np.float32)
    flat = np.ascontiguousarray(values, np.float32).ravel()
    mean, share = np.empty(size, np.float32), np.empty(size, np.float32)
    error = none if errors is None else np.empty(size, np.float32)
    source_error = none if errors is None else np.ascontiguousarray(errors, np.float32).ravel()
    matrix = weights.indptr, weights.indices, weights.weights
    flag, day = np.empty(size, np.uint8), np.empty(0 if days is None else size, np.uint8)
    codes = [
        np.zeros(0, np.uint8) if part is None else np.ascontiguousarray(part, np.uint8).ravel()
        for part in (flags, days)
    ]

    def carry_cells(first: int) -> None:
        part = first, min(size, first + _CELLS), *matrix
        _apply_kernels.average(
            *part, weights.room, smallest_share, flat, source_error, mean, share, error
        )
        if flags is not None:
            _apply_kernels.choose_codes(*part, flat, mean, *codes, missing_flag, flag, day)

    for_each(carry_cells, range(0, size, _CELLS), threads=count_threads())
    return CarriedDay(
        mean.reshape(shape),
        share.reshape(shape),
        flag.reshape(shape) if flags is not None else None,
        day.reshape(shape) if flags is not None and days is not None else None,
        error.reshape(shape) if errors is not None else None,
    )


def carry_surface(
    weights: Weights,
    shape: tuple[int, int],
    surface: np.ndarray,
    *,
    smallest_ocean_share: float = 0.5,
) -> np.ndarray:
    """Carry surface classes: ocean or not by its part, then the class of the largest part of it.

    Parameters
    ----------
    weights : Weights
        Of a source in which every cell counts as ocean, so that none was left out.
    shape : (int, int)
        Rows and columns of the target.
    surface : ndarray of uint8, shape of the source
        Codes of :class:`seaice.flags.Surface`.
    smallest_ocean_share : float
        A cell is ocean where at least so much of it is; with 0, where any of it is.

    Returns
    -------
    ndarray of uint8, shape ``shape``
        A cell that the source does not reach counts as land: it is neither filled nor counted.
    """
    from seaice.regridding import _apply_kernels

    size = shape[0] * shape[1]
    surface = np.ascontiguousarray(surface, np.uint8).ravel()
    matrix = weights.indptr, weights.indices, weights.weights
    ocean = is_ocean(surface)
    part, whole, none = (np.empty(size, np.float32) for _ in range(3))
    _apply_kernels.average(
        0, size, *matrix, weights.room, 0.0, ocean.astype(np.float32), none[:0], part, whole, none[:0]
    )
    # Half and half is ocean: no value is lost there.
    is_ocean_cell = (part > _ROUNDING) & (part >= smallest_ocean_share - _ROUNDING)
    is_reached = whole > max(_ROUNDING, min(0.5, smallest_ocean_share) - _ROUNDING)
    result = np.full(size, Surface.LAND, np.uint8)
    for side, is_chosen in ((ocean, is_ocean_cell), (~ocean, ~is_ocean_cell)):
        classes, chosen = np.where(side, np.float32(0), np.float32(np.nan)), np.empty(size, np.uint8)
        mean = np.where(is_chosen & is_reached, np.float32(0), np.float32(np.nan))
        _apply_kernels.choose_codes(
            0, size, *matrix, classes, mean, surface, surface[:0], int(Surface.LAND), chosen, chosen[:0]
        )
        has_class = ~np.isnan(mean)
        result[has_class] = chosen[has_class]
    return result.reshape(shape)
