"""Scores of every map of forecasts: by method, region, initial day and lead."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property

import numpy as np

from seaice import InputError
from seaice.cf import is_ice
from seaice.forecast.file import ForecastFile
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.scoring.maps import ErrorMaps
from seaice.forecast.scoring.regions import ScoredRegion
from seaice.grids.sphere import compute_unit_vectors
from seaice.report import Progress, format_count
from seaice.scoring.forecasts.cell_errors import compute_cell_errors
from seaice.scoring.forecasts.edge_geometry import (
    EdgePair,
    compare_fractions,
    find_edge_cells,
    measure_edge_length,
    share_windows,
)
from seaice.scoring.forecasts.ice_edge import (
    compute_binary_accuracy,
    compute_spatial_probability_score,
    ice_edge_error,
)
from seaice.scoring.forecasts.members import (
    ProbabilitySums,
    SpreadSkill,
    compare_spread_with_error,
    compute_fair_crps,
    count_ranks,
)

logger = logging.getLogger(__name__)

# A lead of an initial day with fewer of the active cells observed is left out.
LEAST_OBSERVED = 0.8
# A forecast without a value on more of the observed cells was made with another mask.
_MOST_WITHOUT_FORECAST = 0.01
_PROBABILITY_STEPS = 20  # of a probability that is no share of members
SCORES = (
    "square", "absolute", "signed", "over", "under", "edge_km", "hausdorff_km", "edge_length",
    "accuracy", "fss_difference", "fss_total", "crps", "sps",
)  # fmt: skip


@dataclass
class MemberScores:
    """What only an ensemble or a probability has, over the first region.

    Attributes
    ----------
    probability : ProbabilitySums
        Of ice, over all initial days and leads.
    ranks : ndarray of int64, shape (days, members + 1), or None
        Counts of the rank histogram by initial day; None without members.
    spread : list of SpreadSkill
        Of every map, in ten bins.
    """

    probability: ProbabilitySums
    ranks: np.ndarray | None
    spread: list[SpreadSkill] = field(default_factory=list)


@dataclass
class DailyScores:
    """Scores of every map.

    Attributes
    ----------
    methods : list of str
    regions : list of ScoredRegion
        The active region first.
    initial_days : list of date
    leads : list of int
    values : dict of str to ndarray of float64, shape (methods, regions, days, leads)
        By the names of :data:`SCORES`, in fractions, km2 and km; NaN where a map was left out.
    cells : ndarray of int64, shape (regions, days, leads)
        Number of scored cells.
    area, reference_length : ndarray of float64, shape (regions, days, leads)
        Their true area, km2, and the length of the observed edge in them, km.
    members : dict of str to MemberScores
        By method, of ensembles and probabilities.
    left_out : list of str
        Leads of initial days that were left out, with the reason.
    """

    methods: list[str]
    regions: list[ScoredRegion]
    initial_days: list[date]
    leads: list[int]
    values: dict[str, np.ndarray]
    cells: np.ndarray
    area: np.ndarray
    reference_length: np.ndarray
    members: dict[str, MemberScores] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @classmethod
    def allocate(
        cls, methods: list[str], regions: list[ScoredRegion], initial_days: list[date], leads: list[int]
    ) -> DailyScores:
        """Make scores that are all missing."""
        shape = (len(regions), len(initial_days), len(leads))
        values = {name: np.full((len(methods), *shape), np.nan) for name in SCORES}
        cells = np.zeros(shape, np.int64)
        return cls(
            methods, regions, initial_days, leads, values, cells, np.zeros(shape), np.full(shape, np.nan)
        )

    @property
    def has_score(self) -> np.ndarray:
        """Whether the active region of an initial day and lead was scored, bool (days, leads)."""
        return np.asarray(self.cells[0] > 0)


@dataclass(frozen=True)
class MapForecast:
    """Forecast of one method for one day.

    Attributes
    ----------
    members : ndarray of float32, shape (members, rows, columns)
    probability : ndarray of float32, shape (rows, columns), or None
        Of ice, where the method has one of its own.
    """

    members: np.ndarray
    stated_probability: np.ndarray | None

    @property
    def is_single(self) -> bool:
        """Whether there is one member and no probability."""
        return len(self.members) == 1 and self.stated_probability is None

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean of the members, float32 (rows, columns)."""
        return self.members[0] if len(self.members) == 1 else self.members.mean(axis=0)

    @cached_property
    def probability(self) -> np.ndarray:
        """Probability of ice, that of the method, else the share of the members; (rows, columns)."""
        if self.stated_probability is not None:
            return self.stated_probability
        share = is_ice(self.members).mean(axis=0, dtype=np.float32)
        return np.where(np.isnan(self.mean), np.float32(np.nan), share)


def compute_daily_scores(
    files: dict[str, ForecastFile],
    record: SeaIceRecord,
    regions: list[ScoredRegion],
    initial_days: list[date],
    leads: list[int],
    *,
    finish_lead: Callable[[ErrorMaps, int], None] = lambda maps, number: None,
) -> DailyScores:
    """Score every map of all methods on the cells that were observed and that all methods forecast.

    Parameters
    ----------
    files : dict of str to ForecastFile
        By name of the method; all on the grid of the record.
    record : SeaIceRecord
    regions : list of ScoredRegion
        The active region first.
    initial_days : list of date
    leads : list of int
        Both are in every file.
    finish_lead : callable
        Gets the errors of every cell by lead, with the number of the lead.
    """
    scores = DailyScores.allocate(list(files), regions, initial_days, leads)
    judge = _MapJudge(scores, record)
    with Progress(total=len(leads), label="scoring", logger=logger) as progress:
        for k, lead in enumerate(leads):
            maps = ErrorMaps.allocate(len(files), record.grid)
            for d, day in enumerate(initial_days):
                observed = _read_target(scores, record, day, lead)
                if observed is not None:
                    forecasts = [_read_map(file, day, lead) for file in files.values()]
                    common = _find_common_cells(forecasts, observed, scores, day, lead)
                    if common is not None:
                        truth = np.where(common, observed, np.float32(np.nan))
                        judge.judge(forecasts, truth, d, k)
                        maps.add([forecast.mean for forecast in forecasts], truth)
            finish_lead(maps, k)
            progress.unit(f"lead of {format_count(lead, 'day')}")
    return scores


def _read_map(file: ForecastFile, day: date, lead: int) -> MapForecast:
    probability = file.read_probability(day, [lead])
    return MapForecast(file.read(day, [lead])[:, 0], None if probability is None else probability[0])


def _read_target(scores: DailyScores, record: SeaIceRecord, day: date, lead: int) -> np.ndarray | None:
    """Observed map of a target day; None, with a line, where it lacks too many of the active cells."""
    target = day + timedelta(lead)
    if not record.days[0] <= target <= record.days[-1]:
        scores.left_out.append(f"{day} + {lead}: the cube has no {target}")
        return None
    share = record.measure_observed(target, scores.regions[0].cells)
    if share < LEAST_OBSERVED:
        scores.left_out.append(
            f"{day} + {lead}: {100 * share:.0f} % of the active cells observed on {target}"
        )
        return None
    return record.read_observed(target)


def _find_common_cells(
    forecasts: Sequence[MapForecast], observed: np.ndarray, scores: DailyScores, day: date, lead: int
) -> np.ndarray | None:
    """Cells with a value in the observations and all forecasts, bool (rows, columns)."""
    has_value = ~np.isnan(observed)
    active = has_value & scores.regions[0].cells
    common = has_value
    for method, forecast in zip(scores.methods, forecasts, strict=True):
        has_forecast = ~np.isnan(forecast.mean)
        share = 1 - has_forecast[active].mean()
        if share == 1:
            scores.left_out.append(f"{day} + {lead}: {method} has no forecast")
            return None
        if share > _MOST_WITHOUT_FORECAST:
            raise InputError(
                f"expected values of {method} on the ocean of the mask, found none on "
                f"{100 * share:.1f} % of the observed active cells from {day}, lead {lead}; score with "
                "the mask that the forecast was made with"
            )
        common = common & has_forecast
    return common


class _MapJudge:
    """Computes the scores of maps and puts them into their places."""

    def __init__(self, scores: DailyScores, record: SeaIceRecord) -> None:
        self.scores = scores
        self.area = record.cell_area
        longitude, latitude = record.grid.longitude_latitude()
        self.points = compute_unit_vectors(latitude, longitude, axis=-1).astype(np.float32)
        self.generator = np.random.default_rng(0)

    def judge(self, forecasts: Sequence[MapForecast], truth: np.ndarray, d: int, k: int) -> None:
        """Score the forecasts of all methods for one initial day and lead."""
        cells = ~np.isnan(truth)
        edge = find_edge_cells(is_ice(truth), cells)
        shares = share_windows(edge)
        regions = [region.select(truth) & cells for region in self.scores.regions]
        for r, region in enumerate(regions):
            self.scores.cells[r, d, k] = np.count_nonzero(region)
            self.scores.area[r, d, k] = self.area[region].sum()
            self.scores.reference_length[r, d, k] = measure_edge_length(edge & region, self.area)
        for m, forecast in enumerate(forecasts):
            forecast_edge = find_edge_cells(is_ice(forecast.mean), cells)
            pair = EdgePair(forecast_edge, edge, self.points)
            forecast_shares = share_windows(forecast_edge)
            for r, region in enumerate(regions):
                values = self._judge_cells(forecast, truth, region)
                fractions = compare_fractions(forecast_shares[region], shares[region])
                values |= self._judge_edge(forecast_edge, pair, region) | {
                    "fss_difference": fractions.difference,
                    "fss_total": fractions.total,
                }
                for name, value in values.items():
                    self.scores.values[name][m, r, d, k] = value
            self._judge_members(self.scores.methods[m], forecast, truth, regions[0], d)

    def _judge_cells(
        self, forecast: MapForecast, truth: np.ndarray, region: np.ndarray
    ) -> dict[str, float]:
        value, observed, area = forecast.mean[region], truth[region], self.area[region]
        errors = compute_cell_errors(value, observed, area)
        ice = ice_edge_error(value, observed, area)
        crps = errors.absolute
        if len(forecast.members) > 1:
            crps = (
                float(np.average(compute_fair_crps(forecast.members[:, region], observed), weights=area))
                if area.size
                else np.nan
            )
        sps = ice.integrated
        if not forecast.is_single:
            sps = compute_spatial_probability_score(forecast.probability[region], observed, area)
        return {
            "square": errors.square,
            "absolute": errors.absolute,
            "signed": errors.signed,
            "over": ice.overestimate,
            "under": ice.underestimate,
            "accuracy": compute_binary_accuracy(value, observed),
            "crps": crps,
            "sps": sps,
        }

    def _judge_edge(self, edge: np.ndarray, pair: EdgePair, region: np.ndarray) -> dict[str, float]:
        distances = pair.average(region)
        return {
            "edge_km": distances.average,
            "hausdorff_km": distances.modified_hausdorff,
            "edge_length": measure_edge_length(edge & region, self.area),
        }

    def _judge_members(
        self, method: str, forecast: MapForecast, truth: np.ndarray, region: np.ndarray, d: int
    ) -> None:
        """Add a map to the scores of an ensemble or of a probability."""
        count = len(forecast.members)
        if forecast.is_single:
            return
        if method not in self.scores.members:
            steps = count if forecast.stated_probability is None else _PROBABILITY_STEPS
            ranks = np.zeros((len(self.scores.initial_days), count + 1), np.int64)
            self.scores.members[method] = MemberScores(
                ProbabilitySums(steps), ranks if count > 1 else None
            )
        scores = self.scores.members[method]
        observed, area = truth[region], self.area[region]
        scores.probability.add(forecast.probability[region], is_ice(observed), area)
        if scores.ranks is not None:
            members = forecast.members[:, region]
            scores.ranks[d] += count_ranks(members, observed, generator=self.generator)
            scores.spread.append(compare_spread_with_error(members, observed, area))
