"""Scores of an algorithm on samples of known concentration, and on linear mixtures of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.retrieval.algorithm import Algorithm, Retrieval
from seaice.retrieval.tie_points import Hemisphere, TiePoints, is_fitted_day
from seaice.sources.round_robin import RoundRobinSamples

Season = Literal["all", "winter", "summer"]
SEASONS: tuple[Season, ...] = ("all", "winter", "summer")
WINTER_MONTHS: dict[Hemisphere, tuple[int, ...]] = {
    "north": (10, 11, 12, 1, 2, 3, 4),
    "south": (5, 6, 7, 8, 9, 10),
}
MIXTURES = (15, 30, 50, 75)
_PAIRS = 6000
# With fewer samples of water in a month, a sample of ice is mixed with water of any month.
_LEAST_IN_MONTH = 30
_ICE_LIMIT = 0.15
_DENSE_LIMIT = 0.85


@dataclass(frozen=True)
class SampleScores:
    """How an algorithm does on samples of one sensor, hemisphere and season.

    Concentrations are neither clipped nor filtered, in percent. None: there are no samples, or the
    algorithm knows no standard error.

    Attributes
    ----------
    algorithm, sensor, hemisphere, season : str
    samples_0, samples_1 : int
        Number of samples of open water and of closed ice.
    bias_0, std_0, bias_1, std_1 : float or None
        Mean error and standard deviation.
    water_above_15, ice_below_85 : float or None
        Percent of the samples.
    rmse_15, rmse_30, rmse_50, rmse_75 : float or None
        Root of the mean square error of linear mixtures of so many percent of ice.
    cut_15 : float or None
        Percent of the mixtures of 15 percent that the filter sets to open water.
    water_after_filter : float or None
        Percent of the samples of water that have 15 percent of ice after the filter.
    within_1_sigma_0, within_1_sigma_1, within_2_sigma_0, within_2_sigma_1 : float or None
        Percent of the samples whose error is at most one or two standard errors.
    error_ratio_0, error_ratio_15, error_ratio_30, error_ratio_50, error_ratio_75, error_ratio_1
        Root of the mean square error over that of the standard errors.
    """

    algorithm: str
    sensor: str
    hemisphere: str
    season: str
    samples_0: int
    samples_1: int
    bias_0: float | None = None
    std_0: float | None = None
    bias_1: float | None = None
    std_1: float | None = None
    water_above_15: float | None = None
    ice_below_85: float | None = None
    rmse_15: float | None = None
    rmse_30: float | None = None
    rmse_50: float | None = None
    rmse_75: float | None = None
    cut_15: float | None = None
    water_after_filter: float | None = None
    within_1_sigma_0: float | None = None
    within_1_sigma_1: float | None = None
    within_2_sigma_0: float | None = None
    within_2_sigma_1: float | None = None
    error_ratio_0: float | None = None
    error_ratio_15: float | None = None
    error_ratio_30: float | None = None
    error_ratio_50: float | None = None
    error_ratio_75: float | None = None
    error_ratio_1: float | None = None


def select_samples(
    samples: RoundRobinSamples,
    sensor: str,
    hemisphere: Hemisphere,
    *,
    held_out: bool = False,
    source: object = "",
) -> RoundRobinSamples:
    """Select the samples of a sensor and hemisphere.

    Raises
    ------
    InputError
        If there are none.
    """
    sign = 1 if hemisphere == "north" else -1
    is_chosen = (samples.sensor == sensor) & (sign * samples.latitude > 0)
    if not is_chosen.any():
        sensors = ", ".join(sorted(set(samples.sensor.tolist())))
        sides = " and ".join(
            side
            for side, is_side in (("north", samples.latitude > 0), ("south", samples.latitude < 0))
            if is_side.any()
        )
        raise InputError(
            f"expected samples of {sensor} in the {hemisphere}, found {sensors} in the {sides}: {source}"
        )
    if held_out:
        is_chosen &= ~is_fitted_day(samples.day)
        if not is_chosen.any():
            raise InputError(
                f"expected samples of days that no tie point was fitted to, found none: {source}"
            )
    return samples.select(is_chosen)


def score_samples(
    algorithm: Algorithm,
    samples: RoundRobinSamples,
    tie_points: TiePoints,
    *,
    hemisphere: Hemisphere,
    season: Season = "all",
    seed: int = 0,
) -> SampleScores:
    """Score an algorithm on samples of one sensor and hemisphere.

    Parameters
    ----------
    algorithm : Algorithm
    samples : RoundRobinSamples
    tie_points : TiePoints
    hemisphere : {"north", "south"}
        Of the samples.
    season : {"all", "winter", "summer"}
    seed : int

    Returns
    -------
    SampleScores
    """
    is_winter = np.isin(samples.month, WINTER_MONTHS[hemisphere])
    in_season = np.ones(len(samples), bool) if season == "all" else is_winter == (season == "winter")
    complete = ~np.isnan(samples.stack(algorithm.channels)).any(0)
    water, ice = (
        np.flatnonzero(in_season & complete & (samples.concentration == truth)) for truth in (0, 1)
    )
    kelvin = {channel: samples.temperatures[channel] for channel in algorithm.channels}
    half_months = 2 * (samples.month - 1) + (_day_of_month(samples) > 15)

    def retrieve(first: np.ndarray, second: np.ndarray, share: float) -> Retrieval:
        """Retrieve mixtures: a share of the first samples and the rest of the second."""
        mixed = {
            name: share * values[first] + (1 - share) * values[second] for name, values in kelvin.items()
        }
        return _retrieve_by_day(algorithm, mixed, half_months[first], tie_points, hemisphere)

    values: dict[str, float | None] = {}
    if water.size:
        values |= _score_water(retrieve(water, water, 1))
    if ice.size:
        values |= _score_ice(retrieve(ice, ice, 1))
    all_water = np.flatnonzero(complete & (samples.concentration == 0))
    if ice.size and all_water.size:
        first, second = _draw_pairs(samples.month, ice, all_water, seed)
        for percent in MIXTURES:
            values |= _score_mixtures(retrieve(first, second, percent / 100), percent)
    return SampleScores(
        algorithm.name, tie_points.sensor, hemisphere, season, int(water.size), int(ice.size), **values
    )


def _day_of_month(samples: RoundRobinSamples) -> np.ndarray:
    days = samples.time.astype("datetime64[D]")
    return np.asarray((days - days.astype("datetime64[M]")).astype(np.int64)) + 1


def _retrieve_by_day(
    algorithm: Algorithm,
    temperatures: Mapping[str, np.ndarray],
    half_months: np.ndarray,
    tie_points: TiePoints,
    hemisphere: Hemisphere,
) -> Retrieval:
    """Retrieve places, each with the signatures of the middle of its half month."""
    size = half_months.size
    concentration, error = np.full(size, np.nan, np.float32), np.full(size, np.nan, np.float32)
    is_open_water = np.zeros(size, bool)
    for half in np.unique(half_months):
        is_of_half = half_months == half
        day = date(2001, half // 2 + 1, 8 if half % 2 == 0 else 23)
        result = algorithm.retrieve(
            {name: values[is_of_half] for name, values in temperatures.items()},
            tie_points.choose(day, hemisphere=hemisphere),
        )
        concentration[is_of_half], is_open_water[is_of_half] = result.concentration, result.is_open_water
        if result.standard_error is not None:
            error[is_of_half] = result.standard_error
    return Retrieval(concentration, is_open_water, None if np.isnan(error).all() else error)


def _draw_pairs(
    months: np.ndarray, ice: np.ndarray, water: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw samples of ice, and for each one of water of its month, or of any where these are few."""
    rng = np.random.default_rng(seed)
    first = rng.choice(ice, _PAIRS)
    second = rng.choice(water, _PAIRS)
    for month in range(1, 13):
        of_month = water[months[water] == month]
        is_here = months[first] == month
        if of_month.size >= _LEAST_IN_MONTH:
            second[is_here] = rng.choice(of_month, int(is_here.sum()))
    return first, second


def _score_water(result: Retrieval) -> dict[str, float | None]:
    above = result.concentration > _ICE_LIMIT
    return _score_pure(result, 0) | {
        "water_above_15": _percent(above),
        "water_after_filter": _percent(above & ~result.is_open_water),
    }


def _score_ice(result: Retrieval) -> dict[str, float | None]:
    return _score_pure(result, 1) | {"ice_below_85": _percent(result.concentration < _DENSE_LIMIT)}


def _score_pure(result: Retrieval, truth: int) -> dict[str, float | None]:
    errors = result.concentration.astype(np.float64) - truth
    values: dict[str, float | None] = {
        f"bias_{truth}": float(100 * errors.mean()),
        f"std_{truth}": float(100 * errors.std()),
        f"error_ratio_{truth}": _compare_errors(errors, result.standard_error),
    }
    for count in (1, 2):
        error = result.standard_error
        values[f"within_{count}_sigma_{truth}"] = (
            None if error is None else _percent(np.abs(errors) <= count * error)
        )
    return values


def _score_mixtures(result: Retrieval, percent: int) -> dict[str, float | None]:
    errors = result.concentration.astype(np.float64) - percent / 100
    values: dict[str, float | None] = {
        f"rmse_{percent}": float(100 * np.sqrt((errors**2).mean())),
        f"error_ratio_{percent}": _compare_errors(errors, result.standard_error),
    }
    if percent == MIXTURES[0]:
        values["cut_15"] = _percent(result.is_open_water)
    return values


def _compare_errors(errors: np.ndarray, claimed: np.ndarray | None) -> float | None:
    if claimed is None:
        return None
    return float(np.sqrt((errors**2).mean() / (claimed.astype(np.float64) ** 2).mean()))


def _percent(is_counted: np.ndarray) -> float:
    return float(100 * is_counted.mean())
