"""Measures of the errors of filled values at held-out cells.

All functions take one value for each cell, in any order, as flat arrays. A cell that was not filled
is left out of every measure and counted separately. A measure of no cells is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from seaice.cf import ROUNDING, is_ice
from seaice.scoring.forecasts.ice_edge import find_wrong_side

MARGINAL = (0.15, 0.80)  # concentrations of the marginal ice zone, ends included
BETWEEN = (0.05, 0.95)  # concentrations between open water and closed ice, ends excluded


@dataclass(frozen=True)
class HeldOutCells:
    """Held-out cells as flat arrays.

    Attributes
    ----------
    truth : ndarray of float, shape (cells,)
        The observed values that were hidden.
    day : ndarray of int, shape (cells,)
        Number of the map of each cell.
    area : ndarray of float, shape (cells,), or None
        Area of each cell, km2; None if it is not known.
    full : float or None
        Value of full ice in the unit of the field, such as 1 or 100; None if the field is no
        concentration.
    """

    truth: np.ndarray
    day: np.ndarray
    area: np.ndarray | None = None
    full: float | None = None

    def select(self, chosen: np.ndarray) -> HeldOutCells:
        """Return some of the cells, by a bool or index array."""
        area = None if self.area is None else self.area[chosen]
        return HeldOutCells(self.truth[chosen], self.day[chosen], area, self.full)


@dataclass(frozen=True)
class Measures:
    """Error measures of one method on one set of held-out cells.

    An error is the filled value minus the true one. All measures but the first three are over the
    filled cells, each with the same weight.

    Attributes
    ----------
    held_out, filled : int
        Number of cells, and of those that were filled.
    unfilled_share : float
        Share of the cells that were not filled, 0..1.
    rmse, mae, bias : float
        Root mean square, mean absolute and mean error, unit of the field.
    correlation : float
        Pearson correlation of filled and true values; NaN if one of the two does not vary.
    rmse_marginal, rmse_between : float
        Root mean square error where the true concentration lies within :data:`MARGINAL` and within
        :data:`BETWEEN`. These and all measures below are NaN if the field is no concentration.
    edge_disagreement : float
        Share of the cells on the wrong side of :data:`seaice.cf.ICE_EDGE`, 0..1.
    ice_edge_error : float
        Integrated ice-edge error of Goessling et al. 2016 (doi:10.1002/2015GL067232), mean over
        the days, km2. This and all measures below are NaN if cell areas are not known.
    overestimate, underestimate : float
        The two parts of it: area with ice in the fill alone, and in the truth alone, km2.
    extent_error, area_error : float
        Extent and ice area of the filled values minus those of the true values, mean over the days,
        km2.
    extent_error_absolute, area_error_absolute : float
        Means of the absolute values of the same daily differences, km2.
    """

    held_out: int
    filled: int
    unfilled_share: float
    rmse: float
    mae: float
    bias: float
    correlation: float
    rmse_marginal: float
    rmse_between: float
    edge_disagreement: float
    ice_edge_error: float
    overestimate: float
    underestimate: float
    extent_error: float
    extent_error_absolute: float
    area_error: float
    area_error_absolute: float

    @staticmethod
    def names() -> list[str]:
        """List the names of the measures, in order."""
        return [item.name for item in fields(Measures)]


def measure(fill: np.ndarray, cells: HeldOutCells) -> Measures:
    """Compute all measures of the filled values of some cells.

    Parameters
    ----------
    fill : ndarray of float, shape (cells,)
        Filled values; NaN if the method did not fill the cell.
    cells : HeldOutCells

    Examples
    --------
    >>> cells = HeldOutCells(np.array([10.0, 20.0, 90.0]), np.zeros(3, int), np.full(3, 625.0), 100.0)
    >>> result = measure(np.array([16.0, 20.0, np.nan]), cells)
    >>> result.filled, result.mae, result.edge_disagreement, result.overestimate
    (2, 3.0, 0.5, 625.0)
    """
    is_filled = np.isfinite(fill)
    filled_cells = cells.select(is_filled)
    value, truth = fill[is_filled].astype(np.float64), filled_cells.truth.astype(np.float64)
    error = value - truth
    concentration_measures = dict.fromkeys(Measures.names()[7:10], np.nan)
    area_measures = dict.fromkeys(Measures.names()[10:], np.nan)
    if cells.full is not None:
        concentration = truth / cells.full
        is_wrong = is_ice(value / cells.full) != is_ice(concentration)
        concentration_measures = {
            "rmse_marginal": compute_root_mean_square(error[is_marginal(concentration)]),
            "rmse_between": compute_root_mean_square(error[is_between(concentration)]),
            "edge_disagreement": _compute_mean(is_wrong),
        }
        day, area = filled_cells.day, filled_cells.area
        if area is not None and value.size:
            area_measures = _measure_areas(value / cells.full, concentration, day, area)
    return Measures(
        held_out=fill.size,
        filled=int(is_filled.sum()),
        unfilled_share=_compute_mean(~is_filled),
        rmse=compute_root_mean_square(error),
        mae=_compute_mean(np.abs(error)),
        bias=_compute_mean(error),
        correlation=compute_correlation(value, truth),
        **concentration_measures,
        **area_measures,
    )


def compute_root_mean_square(error: np.ndarray) -> float:
    """Compute the root mean square; NaN for an empty array."""
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64)))) if error.size else np.nan


def compute_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Compute Pearson's correlation; NaN if one of the two does not vary."""
    if first.size < 2:
        return np.nan
    a, b = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else np.nan


def is_marginal(concentration: np.ndarray) -> np.ndarray:
    """Whether a concentration, 0..1, is that of the marginal ice zone: 15 to 80 percent."""
    low, high = MARGINAL
    mask: np.ndarray = (concentration >= low - ROUNDING) & (concentration <= high + ROUNDING)
    return mask


def is_between(concentration: np.ndarray) -> np.ndarray:
    """Whether a concentration, 0..1, lies above 5 and below 95 percent."""
    low, high = BETWEEN
    mask: np.ndarray = (concentration > low + ROUNDING) & (concentration < high - ROUNDING)
    return mask


def _measure_areas(
    value: np.ndarray, truth: np.ndarray, day: np.ndarray, area: np.ndarray
) -> dict[str, float]:
    """Compute the measures that are sums of areas, each as the mean over the days with a cell."""
    days, day_index = np.unique(day, return_inverse=True)

    def sum_by_day(weight: np.ndarray) -> np.ndarray:
        return np.bincount(day_index, weights=weight, minlength=days.size)

    over, under = (sum_by_day(area * cells) for cells in find_wrong_side(value, truth))
    # Ice area counts the ice of ice-covered cells alone, as ice_index.py does.
    ice = sum_by_day(area * (np.where(is_ice(value), value, 0) - np.where(is_ice(truth), truth, 0)))
    return {
        "ice_edge_error": _compute_mean(over + under),
        "overestimate": _compute_mean(over),
        "underestimate": _compute_mean(under),
        "extent_error": _compute_mean(over - under),
        "extent_error_absolute": _compute_mean(np.abs(over - under)),
        "area_error": _compute_mean(ice),
        "area_error_absolute": _compute_mean(np.abs(ice)),
    }


def _compute_mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else np.nan


@dataclass(frozen=True)
class Coverage:
    """Shares of cells whose errors are no larger than expected.

    Attributes
    ----------
    cells : int
        Number of cells with an expected error; of a concentration, only those whose filled value is
        above 5 and below 95 percent.
    within_one, within_two : float
        Share of these cells whose error is at most one and at most two expected errors, 0..1; about
        0.68 and 0.95 if the expected errors are right.
    """

    cells: int
    within_one: float
    within_two: float


def measure_coverage(fill: np.ndarray, expected: np.ndarray | None, cells: HeldOutCells) -> Coverage:
    """Compare the errors of filled values with the errors that the method expects.

    Parameters
    ----------
    fill : ndarray of float, shape (cells,)
        Filled values; NaN if the method did not fill the cell.
    expected : ndarray of float, shape (cells,), or None
        Expected standard errors, unit of the field; NaN for a cell without one, None for a method
        without any.
    cells : HeldOutCells
    """
    if expected is None:
        return Coverage(0, np.nan, np.nan)
    counted = np.isfinite(fill) & np.isfinite(expected)
    if cells.full is not None:
        counted &= is_between(np.where(np.isfinite(fill), fill, 0.0) / cells.full)
    error = np.abs(fill[counted].astype(np.float64) - cells.truth[counted])
    sigma = expected[counted]
    return Coverage(int(counted.sum()), _compute_mean(error <= sigma), _compute_mean(error <= 2 * sigma))


def compute_cell_areas(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray | None:
    """Compute the cell areas of a regular grid of latitude and longitude on a sphere of 6371 km.

    Parameters
    ----------
    latitude, longitude : ndarray of float64, shape (y, x)
        Degrees of the cell centres. On a regular grid latitude varies along y alone, and longitude
        along x alone.

    Returns
    -------
    ndarray of float64, shape (y, x), or None
        Square kilometres; None for a grid that is not regular or has one row or one column.

    Examples
    --------
    >>> latitude, longitude = np.meshgrid([-45.0, 45.0], [0.5, 1.5, 2.5], indexing="ij")
    >>> areas = compute_cell_areas(latitude, longitude)
    >>> areas.shape, round(float(areas.sum()) * 120 / (4 * np.pi * 6371**2), 12)
    ((2, 3), 1.0)
    """
    if min(latitude.shape) < 2:
        return None
    rows, columns = latitude[:, 0], longitude[0]
    regular = np.allclose(latitude, rows[:, None]) and np.allclose(longitude, columns[None, :])
    if not regular:
        return None
    edges = np.clip(_compute_edges(rows), -90, 90)
    height = np.abs(np.diff(np.sin(np.radians(edges))))
    width = np.abs(np.diff(_compute_edges(np.degrees(np.unwrap(np.radians(columns))))))
    areas: np.ndarray = 6371.0**2 * height[:, None] * np.radians(width)[None, :]
    return areas


def _compute_edges(centres: np.ndarray) -> np.ndarray:
    """Compute the edges of cells from their centres: halfway between neighbours."""
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = centres[0] - (middle[0] - centres[0]), centres[-1] + (centres[-1] - middle[-1])
    edges: np.ndarray = np.concatenate([[first], middle, [last]])
    return edges
