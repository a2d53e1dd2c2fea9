"""Fitting the expected error of filled concentration on gaps cut into observed fields.

The fit sees the days at both ends only. Coverage is told for those in the middle: the share of
the errors within one and within two expected errors, 68 and 95 percent for a normal distribution.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import DailyMethod, Filled, Record
from seaice.gapfill.expected_error import HIGH, LOW, NONE, STEP, ErrorTable, of_day, terms_of
from seaice.gapfill.field import GappyField
from seaice.gapfill.methods import daily_methods
from seaice.gapfill.pole_hole import fill_pole_hole
from seaice.grids import Grid
from seaice.scoring.gaps import cut_gaps
from seaice.scoring.shapes import GapSettings

logger = logging.getLogger(__name__)

FLAGS = (
    FillFlag.TEMPORAL_TWO_SIDED,
    FillFlag.TEMPORAL_ONE_SIDED,
    FillFlag.DEPARTURE_TWO_SIDED,
    FillFlag.DEPARTURE_ONE_SIDED,
    FillFlag.INCREMENT_TWO_SIDED,
    FillFlag.INCREMENT_ONE_SIDED,
    FillFlag.KRIGED_TWO_SIDED,
    FillFlag.KRIGED_ONE_SIDED,
    FillFlag.SPACETIME_GAUSSIAN,
    FillFlag.POLE_HOLE,
)
# Kinds of gaps that are cut together, and lengths of outages; a pole hole and long outages stand
# alone, as they would take sources from others.
_GAPS: tuple[tuple[tuple[str, ...], tuple[int, ...]], ...] = (
    (("orbits", "single_days"), ()),
    (("orbits", "outages"), (2, 4)),
    (("outages",), (8,)),
    (("outages",), (12,)),
    (("outages",), (17,)),
    (("last_days", "orbits"), ()),
    (("pole_hole",), ()),
)
_MOST_CELLS = 60_000
_FEWEST = 500
_SHARES = (0.6827, 0.9545)
# Errors of packed fields are multiples of 0.1 percent or so: a smaller expectation means nothing.
_SMALLEST = 0.25


@dataclass
class Sample:
    """Held-out cells of one way of filling.

    Attributes
    ----------
    terms : ndarray of float64, shape (n, terms)
    estimate, error : ndarray of float64, shape (n,)
        Percent; the error is what was held out less the estimate.
    expected : ndarray of float64, shape (n,)
        Error that the tested table expects; NaN while it is fitted.
    gap : ndarray of int64, shape (n,)
        Days from value to value of a fill in time, else 0.
    """

    terms: np.ndarray
    estimate: np.ndarray
    error: np.ndarray
    expected: np.ndarray
    gap: np.ndarray

    @property
    def mixed(self) -> np.ndarray:
        """Whether the estimate is a mixture of ice and water."""
        return (self.estimate > LOW) & (self.estimate < HIGH)


def calibrate(
    percent: GappyField,
    *,
    grid: Grid | None,
    seeds: Sequence[int],
    fit_share: float,
) -> tuple[ErrorTable, list[dict[str, Any]]]:
    """Fit a table on the days at both ends of a field and test it on those in the middle.

    Parameters
    ----------
    percent : GappyField
        Concentration in percent, one map a day.
    grid : Grid or None
        Grid of the field; without one there are no orbit wedges and no pole hole.
    seeds : sequence of int
        Seeds of the gaps.
    fit_share : float
        Share of the days that the fit sees.

    Returns
    -------
    ErrorTable
    list of dict
        Coverage on the other days, a row for each way of filling and length of gap.
    """
    judged = judged_days(len(percent.days), fit_share)
    # Parts are filled apart from each other: what is fitted sees nothing of the days that judge it.
    ends = [percent.only(slice(0, judged.start)), percent.only(slice(judged.stop, None))]
    # A method that is fitted has not seen the days on which its errors are measured.
    methods = [_fitted_methods(end) for end in ends]
    of_ends = _samples(list(zip(ends, methods[::-1], strict=True)), grid, seeds, None)
    models = {flag: _models(sample) for flag, sample in of_ends.items()}
    table = ErrorTable(models, {})
    rows = []
    middle = [(percent.only(judged), methods[0])]
    for flag, sample in _samples(middle, grid, seeds, table).items():
        if flag in models:
            rows += _coverage(flag, sample)
    return table, rows


def judged_days(days: int, fit_share: float) -> slice:
    """Days in the middle, on which the fit to the other days is tested: other weather, same season."""
    count = round((1 - fit_share) * days)
    first = (days - count) // 2
    return slice(first, first + count)


def _fitted_methods(percent: GappyField) -> list[DailyMethod]:
    """All daily methods, those that can be fitted to the days of a field."""
    record = Record.of_stack(percent.values, percent.sea)
    return [method().fit(record) for method in daily_methods().values()]


def _samples(
    parts: Sequence[tuple[GappyField, Sequence[DailyMethod]]],
    grid: Grid | None,
    seeds: Sequence[int],
    table: ErrorTable | None,
) -> dict[FillFlag, Sample]:
    """Held-out cells of every way of filling, from all methods, kinds of gaps and seeds."""
    found: dict[FillFlag, list[Sample]] = {}
    parts = [(_trim(part), methods) for part, methods in parts]
    for (percent, methods), seed, (kinds, lengths) in product(parts, seeds, _GAPS):
        usable = [k for k in kinds if grid is not None or k not in ("orbits", "pole_hole")]
        if not usable or sum(lengths) + 10 > len(percent.days):
            continue
        settings = GapSettings(outage_days=lengths or (1,), single_days=2, orbits=8)
        try:
            held_out = cut_gaps(percent, usable, grid=grid, settings=settings, seed=seed)
        except InputError as error:
            # A short part may lack what one kind of gap needs, such as ice on its last days.
            logger.info("%s of seed %d: left out, %s", " and ".join(usable), seed, error)
            continue
        for method in methods:
            for flag, sample in _of_method(percent, held_out.mask, method, table):
                found.setdefault(flag, []).append(sample)
    return {flag: _joined(found[flag]) for flag in FLAGS if flag in found}


def _trim(percent: GappyField) -> GappyField:
    """Return a part without the empty days at its ends, into which no gap can be cut."""
    days = np.flatnonzero([percent.observed[day].any() for day in range(len(percent.days))])
    return percent.only(slice(int(days[0]), int(days[-1]) + 1)) if days.size else percent


def _of_method(
    percent: GappyField, held_out: np.ndarray, method: DailyMethod, table: ErrorTable | None
) -> Iterator[tuple[FillFlag, Sample]]:
    cut = np.where(held_out, np.nan, percent.values).astype(np.float32)
    cut[:, ~percent.sea] = np.nan
    filled = method.fill(cut, percent.sea)
    hole = held_out.all(axis=0) & percent.sea
    if hole.any():
        filled = fill_pole_hole(filled, hole)
    for t in range(len(cut)):
        day = filled.day(t)
        wanted = held_out[t] & ~np.isnan(day.values)
        for flag in FLAGS:
            cells = np.argwhere(wanted & (day.flag == flag))
            if len(cells):
                yield flag, _sample(day, percent.values[t], cells, table)


def _sample(day: Filled, truth: np.ndarray, cells: np.ndarray, table: ErrorTable | None) -> Sample:
    rows, columns = cells.T
    estimate = day.values[rows, columns].astype(np.float64)
    expected = np.full(len(cells), np.nan)
    if table is not None:
        code = of_day(day, table)[rows, columns]
        expected = np.where(code == NONE, np.nan, code * STEP)
    back, forward = np.divmod(day.days_back_forward[rows, columns].astype(np.int64), 10)
    return Sample(
        terms_of(day, cells), estimate, truth[rows, columns] - estimate, expected, back + forward
    )


def _joined(samples: Sequence[Sample]) -> Sample:
    names = ("terms", "estimate", "error", "expected", "gap")
    return Sample(*(np.concatenate([getattr(s, name) for s in samples]) for name in names))


def _models(sample: Sample) -> np.ndarray:
    """Coefficients for mixtures and for the rest; one set for both where mixtures are few."""
    mixed = sample.mixed
    if mixed.sum() < _FEWEST:
        return np.stack([_fit(sample, np.ones(len(mixed), bool), mixed=False)] * 2)
    return np.stack([_fit(sample, mixed, mixed=True), _fit(sample, ~mixed, mixed=False)])


def _fit(sample: Sample, cells: np.ndarray, *, mixed: bool) -> np.ndarray:
    """Coefficients by the likelihood of Student's t, scaled to cover 68 and 95 percent.

    Errors have long tails: a normal likelihood would let a few of them set the scale.
    """
    from scipy.optimize import minimize

    chosen = np.flatnonzero(cells)
    chosen = np.random.default_rng(0).permutation(chosen)[:_MOST_CELLS]
    terms, error = sample.terms[chosen], sample.error[chosen]
    error = np.sqrt(error**2 + _SMALLEST**2) if not mixed else error
    freedom = 6.0 if mixed else 30.0

    def likelihood(model: np.ndarray) -> tuple[float, np.ndarray]:
        logarithm = terms @ model
        square = (error / np.exp(logarithm)) ** 2
        value = logarithm + (freedom + 1) / 2 * np.log1p(square / freedom)
        slope = 1 - (freedom + 1) * square / (freedom + square)
        # A little against the odd direction that the days at hand leave open.
        return (
            float(value.mean() + 1e-4 * (model**2).sum()),
            terms.T @ slope / len(error) + 2e-4 * model,
        )

    model = np.zeros(terms.shape[1])
    model[0] = np.log(max(np.abs(error).mean(), _SMALLEST))
    model = minimize(likelihood, model, jac=True, method="L-BFGS-B").x
    if mixed:
        one, two = np.quantile(np.abs(error) / np.exp(terms @ model), _SHARES)
        model[0] += 0.5 * np.log(one * two / 2)
    return np.asarray(model)


def _coverage(flag: FillFlag, sample: Sample) -> list[dict[str, Any]]:
    rows = []
    for gap in (None, *np.unique(sample.gap).tolist()):
        judged = sample.mixed if sample.mixed.sum() >= _FEWEST else np.ones(len(sample.gap), bool)
        cells = judged if gap is None else judged & (sample.gap == gap)
        if cells.sum() < 200:
            continue
        share = np.abs(sample.error[cells]) / sample.expected[cells]
        row: dict[str, Any] = {"fill": flag.name.lower(), "gap_days": gap, "cells": int(cells.sum())}
        row |= {"within_1": round(float((share <= 1).mean()), 4)}
        row |= {"within_2": round(float((share <= 2).mean()), 4)}
        row |= {"rmse": round(float(np.sqrt((sample.error[cells] ** 2).mean())), 3)}
        rows.append(row | {"expected": round(float(np.sqrt((sample.expected[cells] ** 2).mean())), 3)})
    return rows


def percent_of(gappy: GappyField) -> GappyField:
    """A concentration in percent, float32, whatever its unit; valid_range ends at full ice."""
    values = (gappy.values * (100 / gappy.valid_range[1])).astype(np.float32)
    return replace(gappy, values=values, valid_range=(0.0, 100.0), units="%")


def described(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Coverage as lines of a report."""
    lines = ["fill                  gap days    cells  within 1  within 2   RMSE  expected"]
    for r in rows:
        gap = "all" if r["gap_days"] is None else str(r["gap_days"])
        lines.append(
            f"{r['fill']:<22}{gap:>8}{r['cells']:>9}{100 * r['within_1']:>8.1f} %"
            f"{100 * r['within_2']:>8.1f} %{r['rmse']:>7.2f}{r['expected']:>10.2f}"
        )
    return lines
