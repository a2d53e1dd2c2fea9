"""How far fills lie from the truth: pure functions of the cells that were held out.

Everything here takes one value a cell, in any order, as flat arrays. A cell without a fill is
left out of every measure and counted apart; it is neither ice nor water. Where there is nothing to
measure the answer is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

ICE_EDGE = 0.15  # concentration from which a cell is ice-covered, fraction
MARGINAL = (0.15, 0.80)  # true concentration in the marginal ice zone, ends included
BETWEEN = (0.05, 0.95)  # neither open water nor closed ice, ends left out
# A stored 0.15 comes back as the float32 just below 0.15; it must count as 15 percent.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Cells:
    """Held-out cells, flat.

    Attributes
    ----------
    truth : ndarray of float, shape (cells,)
    day : ndarray of int, shape (cells,)
        Number of the map.
    area : ndarray of float, shape (cells,), or None
        Of each cell, km2; None where it is not known.
    full : float or None
        What closed ice is in the unit of the field, such as 1 or 100; None where the field is no
        concentration.
    """

    truth: np.ndarray
    day: np.ndarray
    area: np.ndarray | None = None
    full: float | None = None

    def only(self, chosen: np.ndarray) -> Cells:
        """Some of the cells."""
        area = None if self.area is None else self.area[chosen]
        return Cells(self.truth[chosen], self.day[chosen], area, self.full)


@dataclass(frozen=True)
class Measures:
    """One method on one set of cells.

    Attributes
    ----------
    held_out, filled : int
        Cells, and those with a fill. All that follows is over the latter.
    unfilled_share : float
        0..1.
    rmse, mae, bias : float
        Unit of the field; fill less truth, every cell with the same weight.
    correlation : float
        Pearson's; NaN where one of the two does not vary.
    rmse_marginal, rmse_between : float
        Where the truth lies within :data:`MARGINAL` and :data:`BETWEEN`. This and what follows is
        NaN but for concentrations.
    edge_disagreement : float
        Share of the cells on the wrong side of :data:`ICE_EDGE`, 0..1.
    ice_edge_error : float
        Integrated ice-edge error of Goessling et al. 2016 (doi:10.1002/2015GL067232), mean over
        the days, km2. This and what follows is NaN where areas are not known.
    overestimate, underestimate : float
        Its parts: ice that is not there, ice that was missed.
    extent_error, area_error : float
        Extent and ice area with the fills put into the known truth, less those of the truth; mean
        over the days, km2.
    extent_error_absolute, area_error_absolute : float
        Means of the magnitudes of the daily ones, km2.
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
        """The names of the measures, in order."""
        return [item.name for item in fields(Measures)]


def measure(fill: np.ndarray, cells: Cells) -> Measures:
    """All measures of the fills of some cells.

    Parameters
    ----------
    fill : ndarray of float, shape (cells,)
        NaN where the method says nothing.
    cells : Cells

    Examples
    --------
    >>> cells = Cells(np.array([10.0, 20.0, 90.0]), np.zeros(3, int), np.full(3, 625.0), 100.0)
    >>> made = measure(np.array([16.0, 20.0, np.nan]), cells)
    >>> made.filled, made.mae, made.edge_disagreement, made.overestimate
    (2, 3.0, 0.5, 625.0)
    """
    known = np.isfinite(fill)
    kept = cells.only(known)
    value, truth = fill[known].astype(np.float64), kept.truth.astype(np.float64)
    error = value - truth
    spread = dict.fromkeys(Measures.names()[7:10], np.nan)
    areas = dict.fromkeys(Measures.names()[10:], np.nan)
    if cells.full is not None:
        share = truth / cells.full
        spread["rmse_marginal"] = root_mean_square(error[is_marginal(share)])
        spread["rmse_between"] = root_mean_square(error[is_between(share)])
        wrong = is_ice(value / cells.full) != is_ice(share)
        spread["edge_disagreement"] = _mean(wrong)
        if kept.area is not None and value.size:
            areas = _daily_areas(value / cells.full, share, kept.day, kept.area)
    return Measures(
        held_out=fill.size,
        filled=int(known.sum()),
        unfilled_share=_mean(~known),
        rmse=root_mean_square(error),
        mae=_mean(np.abs(error)),
        bias=_mean(error),
        correlation=correlation(value, truth),
        **spread,
        **areas,
    )


def root_mean_square(error: np.ndarray) -> float:
    """Root of the mean square; NaN for nothing."""
    return float(np.sqrt(np.mean(np.square(error, dtype=np.float64)))) if error.size else np.nan


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; NaN where one of the two does not vary."""
    if one.size < 2:
        return np.nan
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else np.nan


def is_ice(share: np.ndarray) -> np.ndarray:
    """True from 15 percent of concentration on; ``share`` is 0..1."""
    made: np.ndarray = share >= ICE_EDGE - _ROUNDING
    return made


def is_marginal(share: np.ndarray) -> np.ndarray:
    """True in the marginal ice zone, 15 to 80 percent; ``share`` is 0..1."""
    low, high = MARGINAL
    made: np.ndarray = (share >= low - _ROUNDING) & (share <= high + _ROUNDING)
    return made


def is_between(share: np.ndarray) -> np.ndarray:
    """True above 5 and below 95 percent; ``share`` is 0..1."""
    low, high = BETWEEN
    made: np.ndarray = (share > low + _ROUNDING) & (share < high - _ROUNDING)
    return made


def _daily_areas(
    value: np.ndarray, truth: np.ndarray, day: np.ndarray, area: np.ndarray
) -> dict[str, float]:
    """The measures that are sums of areas, each the mean over the days that have a cell."""
    days, place = np.unique(day, return_inverse=True)

    def total(weight: np.ndarray) -> np.ndarray:
        return np.bincount(place, weights=weight, minlength=days.size)

    over = total(area * (is_ice(value) & ~is_ice(truth)))
    under = total(area * (is_ice(truth) & ~is_ice(value)))
    # Ice area is the ice in ice-covered cells, as ice_index.py has it.
    ice = total(area * (np.where(is_ice(value), value, 0) - np.where(is_ice(truth), truth, 0)))
    return {
        "ice_edge_error": _mean(over + under),
        "overestimate": _mean(over),
        "underestimate": _mean(under),
        "extent_error": _mean(over - under),
        "extent_error_absolute": _mean(np.abs(over - under)),
        "area_error": _mean(ice),
        "area_error_absolute": _mean(np.abs(ice)),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64)) if values.size else np.nan


@dataclass(frozen=True)
class Coverage:
    """How often an expected error holds what it promises.

    Attributes
    ----------
    cells : int
        Cells looked at: those with an expected error, of a concentration only where the fill is
        above 5 and below 95 percent.
    within_one, within_two : float
        Share of them whose error is within one and two expected errors, 0..1; about 0.68 and 0.95
        if the expected errors are right.
    """

    cells: int
    within_one: float
    within_two: float


def coverage(fill: np.ndarray, expected: np.ndarray | None, cells: Cells) -> Coverage:
    """Compare the errors of fills with those that the method expects.

    Parameters
    ----------
    fill : ndarray of float, shape (cells,)
    expected : ndarray of float, shape (cells,), or None
        Standard errors, unit of the field; NaN or None where there is none.
    cells : Cells
    """
    if expected is None:
        return Coverage(0, np.nan, np.nan)
    known = np.isfinite(fill) & np.isfinite(expected)
    if cells.full is not None:
        known &= is_between(np.where(np.isfinite(fill), fill, 0.0) / cells.full)
    error = np.abs(fill[known].astype(np.float64) - cells.truth[known])
    sigma = expected[known]
    return Coverage(int(known.sum()), _mean(error <= sigma), _mean(error <= 2 * sigma))


def cell_areas(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray | None:
    """Areas of the cells of a regular grid of latitude and longitude on a sphere of 6371 km.

    Parameters
    ----------
    latitude, longitude : ndarray of float64, shape (y, x)
        Degrees of the centres; one of them changes along y alone, the other along x alone.

    Returns
    -------
    ndarray of float64, shape (y, x), or None
        Square kilometres; None for a grid of another kind or of one row or column.

    Examples
    --------
    >>> latitude, longitude = np.meshgrid([-45.0, 45.0], [0.5, 1.5, 2.5], indexing="ij")
    >>> areas = cell_areas(latitude, longitude)
    >>> areas.shape, round(float(areas.sum()) * 120 / (4 * np.pi * 6371**2), 12)
    ((2, 3), 1.0)
    """
    if min(latitude.shape) < 2:
        return None
    rows, columns = latitude[:, 0], longitude[0]
    regular = np.allclose(latitude, rows[:, None]) and np.allclose(longitude, columns[None, :])
    if not regular:
        return None
    edges = np.clip(_edges(rows), -90, 90)
    height = np.abs(np.diff(np.sin(np.radians(edges))))
    width = np.abs(np.diff(_edges(np.degrees(np.unwrap(np.radians(columns))))))
    made: np.ndarray = 6371.0**2 * height[:, None] * np.radians(width)[None, :]
    return made


def _edges(centres: np.ndarray) -> np.ndarray:
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = centres[0] - (middle[0] - centres[0]), centres[-1] + (centres[-1] - middle[-1])
    made: np.ndarray = np.concatenate([[first], middle, [last]])
    return made
