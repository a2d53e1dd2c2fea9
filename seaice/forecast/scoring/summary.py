"""Scores of forecasts over all initial days, with intervals and skill against a reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

import numpy as np

from seaice.forecast.scoring.daily import DailyScores
from seaice.scoring.forecasts.blocks import (
    LEAST_BLOCKS,
    BlockBootstrap,
    Estimate,
    choose_block_days,
    measure_interval_coverage,
)
from seaice.scoring.forecasts.cell_errors import average_leads, average_maps, compute_skill

ALL_LEADS: Literal["all"] = "all"
# Correlations of the errors of a day with those of the day before, between which real ones lie: of the
# differences between methods, and of the errors themselves a week ahead.
CORRELATIONS = (0.6, 0.87)
PERCENT, THOUSAND_KM2 = 100.0, 1e-3


@dataclass(frozen=True)
class ScoreRow:
    """A row of the table of scores.

    Errors are in percent of concentration, areas between edges in 1000 km2, distances in km.

    Attributes
    ----------
    method, region : str
    lead : int or "all"
        Of all leads, ``rmse`` is the root of the mean square over the leads, the areas (``iiee``,
        ``over``, ``under``, ``extent_error``, ``sps``) are sums over the leads, and the others means.
    starts : int
        Initial days with a score.
    cells : int
    area_km2 : float
        Cells of the region and their true area; of the marginal one means over the maps.
    rmse, mae, bias, iiee : Estimate or float
    over, under : float
        Parts of ``iiee``: ice forecast where none was, and none where ice was.
    extent_error : float
        Mean of the absolute differences between the extents of forecast and truth: ``iiee`` less twice
        the smaller of its parts of each day.
    edge_km : float
        Mean distance between the two edges (D_AVG).
    edge_length_ratio : float
        Length of the forecast edge over that of the observed one; below 1 the forecast is too smooth.
    skill_rmse, skill_iiee : Estimate
        Against the reference, percent.
    hausdorff_km, binary_accuracy, edge_fss, crps, sps : float
        Modified Hausdorff distance, km; percent of the cells on the right side of the edge; fractions
        skill score of edge cells in windows of 9 x 9 cells; fair CRPS, percent; spatial probability
        score, 1000 km2.
    """

    method: str
    region: str
    lead: int | Literal["all"]
    starts: int
    cells: int
    area_km2: float
    rmse: Estimate
    mae: float
    bias: float
    iiee: float
    over: float
    under: float
    extent_error: float
    edge_km: float
    edge_length_ratio: float
    skill_rmse: Estimate
    skill_iiee: Estimate
    hausdorff_km: float
    binary_accuracy: float
    edge_fss: float
    crps: float
    sps: float


class Summary:
    """Means of daily scores over initial days, with intervals.

    Parameters
    ----------
    daily : DailyScores
    reference : str
        Method that the others are compared with.
    days : ndarray of bool, shape (days,), optional
        Initial days that count; by default all.
    """

    def __init__(self, daily: DailyScores, reference: str, days: np.ndarray | None = None) -> None:
        self.daily = daily
        self.reference = daily.methods.index(reference)
        self.days = np.ones(len(daily.initial_days), bool) if days is None else days

    @cache  # noqa: B019 - a summary lives as long as its stage
    def make_bootstrap(self, lead: int) -> BlockBootstrap:
        """Make the bootstrap of the initial days for a lead; the same for all methods."""
        return BlockBootstrap(int(self.days.sum()), choose_block_days(lead))

    def select(self, name: str, method: int, region: int) -> np.ndarray:
        """Return a daily score, float64 (days, leads)."""
        return np.asarray(self.daily.values[name][method, region, self.days])

    def make_rows(self, *, has_intervals: bool = True) -> list[ScoreRow]:
        """Make the rows by method, region and lead, that of all leads last."""
        leads: list[int | Literal["all"]] = [*self.daily.leads, ALL_LEADS]
        return [
            self._make_row(method, region, lead, has_intervals)
            for method in range(len(self.daily.methods))
            for region in range(len(self.daily.regions))
            for lead in leads
        ]

    def _make_row(
        self, method: int, region: int, lead: int | Literal["all"], has_intervals: bool
    ) -> ScoreRow:
        scored = self.daily.regions[region]
        lead_numbers = [
            k for k, scored_lead in enumerate(self.daily.leads) if lead in (scored_lead, ALL_LEADS)
        ]
        select = partial(self._select_leads, method=method, region=region, lead_numbers=lead_numbers)
        select_reference = partial(
            self._select_leads, method=self.reference, region=region, lead_numbers=lead_numbers
        )
        square, over, under = select("square"), select("over"), select("under")
        bootstrap = self.make_bootstrap(max(self.daily.leads) if lead == ALL_LEADS else lead)
        pairs: list[tuple[Callable[..., np.ndarray], np.ndarray, np.ndarray | None]] = [
            (_compute_rmse, square, None),
            (_compute_rmse, square, select_reference("square")),
            (_sum_leads, over + under, select_reference("over") + select_reference("under")),
        ]
        rmse, skill_rmse, skill_iiee = (
            _estimate(pool, values, reference, bootstrap, has_intervals)
            for pool, values, reference in pairs
        )
        lengths = self.daily.reference_length[region][self.days][:, lead_numbers]
        cells, area = self._measure_region(region, lead_numbers)
        mean, total = partial(_pool, average_leads), partial(_pool, _add_leads)
        return ScoreRow(
            method=self.daily.methods[method],
            region=scored.name,
            lead=lead,
            starts=int((~np.isnan(square)).any(axis=1).sum()),
            cells=cells,
            area_km2=area,
            rmse=Estimate(*(PERCENT * value for value in rmse)),
            mae=PERCENT * mean(select("absolute")),
            bias=PERCENT * mean(select("signed")),
            iiee=THOUSAND_KM2 * total(over + under),
            over=THOUSAND_KM2 * total(over),
            under=THOUSAND_KM2 * total(under),
            extent_error=THOUSAND_KM2 * total(np.abs(over - under)),
            edge_km=mean(select("edge_km")),
            edge_length_ratio=_divide(np.nansum(select("edge_length")), np.nansum(lengths)),
            skill_rmse=skill_rmse,
            skill_iiee=skill_iiee,
            hausdorff_km=mean(select("hausdorff_km")),
            binary_accuracy=mean(select("accuracy")),
            edge_fss=1 - _divide(np.nansum(select("fss_difference")), np.nansum(select("fss_total"))),
            crps=PERCENT * mean(select("crps")),
            sps=THOUSAND_KM2 * total(select("sps")),
        )

    def _measure_region(self, region: int, lead_numbers: list[int]) -> tuple[int, float]:
        """Cells of a region and their area; of one that the truth chooses, means over the maps."""
        scored = self.daily.regions[region]
        if not scored.is_marginal:
            return int(scored.cells.sum()), scored.area
        has_score = self.daily.has_score[self.days][:, lead_numbers]
        if not has_score.any():
            return 0, 0.0
        cells, area = (
            values[region][self.days][:, lead_numbers][has_score].mean()
            for values in (self.daily.cells, self.daily.area)
        )
        return round(float(cells)), float(area)

    def _select_leads(
        self, name: str, *, method: int, region: int, lead_numbers: list[int]
    ) -> np.ndarray:
        return self.select(name, method, region)[:, lead_numbers]

    def describe_intervals(self) -> list[str]:
        """Say of each length of blocks whether the intervals hold what they promise."""
        lengths = {self.make_bootstrap(lead).block_days: lead for lead in self.daily.leads}
        lines = []
        for block_days, lead in lengths.items():
            bootstrap = self.make_bootstrap(lead)
            days = (
                f"initial days: {bootstrap.days}, which are {bootstrap.blocks:.1f} blocks of "
                f"{block_days} days"
            )
            if bootstrap.blocks < LEAST_BLOCKS:
                lines.append(f"{days}: too few days for an interval")
            elif bootstrap.is_short:
                lines.append(f"{days}: too few days, {self._describe_coverage(bootstrap)}")
            else:
                lines.append(f"{days}: {self._describe_coverage(bootstrap)}")
        return lines

    def measure_coverage(self, bootstrap: BlockBootstrap) -> list[float]:
        """Measure how often such intervals hold the truth, percent by :data:`CORRELATIONS`."""
        return [
            measure_interval_coverage(
                days=bootstrap.days, block_days=bootstrap.block_days, correlation=correlation, series=400
            )
            for correlation in CORRELATIONS
        ]

    def _describe_coverage(self, bootstrap: BlockBootstrap) -> str:
        shares = " and ".join(f"{share:.0f}" for share in self.measure_coverage(bootstrap))
        return (
            f"intervals that should hold the truth in 95 of 100 cases held it in {shares} of 100 "
            f"simulated series whose days follow each other with correlations of {CORRELATIONS[0]} and "
            f"{CORRELATIONS[1]}"
        )


def _estimate(
    pool: Callable[..., np.ndarray],
    values: np.ndarray,
    reference: np.ndarray | None,
    bootstrap: BlockBootstrap,
    has_interval: bool,
) -> Estimate:
    """Estimate a pooled score, or its skill against that of a reference."""

    def compute(weights: np.ndarray) -> np.ndarray:
        score = pool(values, weights)
        return score if reference is None else compute_skill(score, pool(reference, weights))

    if not has_interval:
        return Estimate(float(compute(np.ones(len(values)))), np.nan, np.nan)
    return bootstrap.estimate(compute)


def _compute_rmse(squares: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt(average_leads(average_maps(squares, weights))))


def _sum_leads(areas: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _add_leads(average_maps(areas, weights))


def _add_leads(values: np.ndarray) -> np.ndarray:
    has_score = ~np.isnan(values)
    sums = np.where(has_score, values, 0.0).sum(axis=-1)
    return np.asarray(np.where(has_score.any(axis=-1), sums, np.nan))


def _pool(combine: Callable[[np.ndarray], np.ndarray], values: np.ndarray) -> float:
    return float(combine(average_maps(values)))


def _divide(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else np.nan
