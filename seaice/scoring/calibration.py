"""Fitting the expected error of filled concentration on gaps cut into observed fields.

The fit sees the days at both ends only. Coverage is told for those in the middle: the share of
the errors within one and within two expected errors, 68 and 95 percent for a normal distribution.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import DailyMethod, Filled, Record
from seaice.gapfill.expected_error import HIGH, LOW, NONE, STEP, TERMS, ErrorTable, of_day, terms_of
from seaice.gapfill.field import GappyField
from seaice.gapfill.methods import daily_methods
from seaice.gapfill.pole_hole import fill_pole_hole
from seaice.grids import Grid
from seaice.report import Progress
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


class _Cells:
    """An even sample of held-out cells: their terms and errors, at most :data:`_MOST_CELLS` of them.

    Every cell draws a lot, and those with the smallest are kept: which ones does not depend on how many
    come, so that memory is bounded and the sample is even.
    """

    def __init__(self) -> None:
        self._parts = [(np.empty(0), np.empty((0, len(TERMS))), np.empty(0))]
        self._largest = 1.0

    def select(self, lots: np.ndarray) -> np.ndarray:
        """Which of the cells with these lots may be kept, bool (n,); only these need be added."""
        return lots < self._largest

    def add(self, lots: np.ndarray, terms: np.ndarray, error: np.ndarray) -> None:
        """Add cells: lots (n,) from 0 to 1, terms (n, terms) and errors (n,) in percent."""
        self._parts.append((lots, terms, error))
        if sum(len(part[0]) for part in self._parts) > 2 * _MOST_CELLS:
            self.gather()

    def gather(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lots, terms and errors of the cells that are kept."""
        lots, terms, error = map(np.concatenate, zip(*self._parts, strict=True))
        if len(lots) > _MOST_CELLS:
            order = np.argpartition(lots, _MOST_CELLS)
            self._largest = float(lots[order[_MOST_CELLS]])
            smallest = np.sort(order[:_MOST_CELLS])
            lots, terms, error = lots[smallest], terms[smallest], error[smallest]
        self._parts = [(lots, terms, error)]
        return self._parts[0]

    def join(self, cells: _Cells) -> _Cells:
        """An even sample of the cells of both."""
        joined = _Cells()
        for part in (self.gather(), cells.gather()):
            joined.add(*part)
        return joined

    def __len__(self) -> int:
        return len(self.gather()[0])


class _Tally:
    """Cells, those within one and two expected errors, and sums of squares, by length of gap."""

    def __init__(self) -> None:
        self.sums = np.zeros((256, 5))

    def add(self, gap: np.ndarray, error: np.ndarray, expected: np.ndarray) -> None:
        """Add cells: days from value to value, 0 without; error and expected error in percent."""
        share = np.abs(error) / expected
        columns = np.stack([np.ones(len(gap)), share <= 1, share <= 2, error**2, expected**2])
        for k, column in enumerate(columns):
            self.sums[:, k] += np.bincount(gap, column, len(self.sums))


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
    middle = [(percent.only(judged), methods[0])]
    cells: dict[FillFlag, tuple[_Cells, _Cells]] = {flag: (_Cells(), _Cells()) for flag in FLAGS}
    lots = np.random.default_rng(0)
    total = (len(ends) + len(middle)) * len(seeds) * len(_GAPS)
    with Progress(total=total, label="kinds of gaps", logger=logger) as progress:
        for day, held_out, truth in _days(zip(ends, methods[::-1], strict=True), grid, seeds, progress):
            _add_cells(day, held_out, truth, lots, cells)
        models = {flag: _models(*pair) for flag, pair in cells.items() if any(map(len, pair))}
        table = ErrorTable(models, {})
        tallies: dict[FillFlag, tuple[_Tally, _Tally]] = {f: (_Tally(), _Tally()) for f in models}
        for day, held_out, truth in _days(middle, grid, seeds, progress):
            _count_cells(day, held_out, truth, table, tallies)
    return table, [row for flag, pair in tallies.items() for row in _coverage(flag, *pair)]


def judged_days(days: int, fit_share: float) -> slice:
    """Days in the middle, on which the fit to the other days is tested: other weather, same season."""
    count = round((1 - fit_share) * days)
    first = (days - count) // 2
    return slice(first, first + count)


def _fitted_methods(percent: GappyField) -> list[DailyMethod]:
    """All daily methods, those that can be fitted to the days of a field."""
    record = Record.of_stack(percent.values, percent.sea)
    return [method().fit(record) for method in daily_methods().values()]


def _days(
    parts: Iterable[tuple[GappyField, Sequence[DailyMethod]]],
    grid: Grid | None,
    seeds: Sequence[int],
    progress: Progress,
) -> Iterator[tuple[Filled, np.ndarray, np.ndarray]]:
    """Every day filled by all methods, for all kinds of gaps and seeds; held-out cells; the truth."""
    parts = [(_trim(part), methods) for part, methods in parts]
    for (percent, methods), seed, (kinds, lengths) in product(parts, seeds, _GAPS):
        name = f"{' and '.join(kinds)} of seed {seed}, {len(percent.days)} days"
        try:
            held_out = _cut(percent, kinds, lengths, grid, seed)
        except InputError as error:
            # A short part may lack what one kind of gap needs, such as ice on its last days.
            progress.unit(f"{name}: left out, {error}")
            continue
        for method in methods:
            filled = _fill(percent, held_out, method)
            for t in np.flatnonzero(held_out.any(axis=(1, 2))).tolist():
                day = filled.day(t)
                yield day, held_out[t] & ~np.isnan(day.values), percent.values[t]
        progress.unit(name)


def _cut(
    percent: GappyField,
    kinds: Sequence[str],
    lengths: tuple[int, ...],
    grid: Grid | None,
    seed: int,
) -> np.ndarray:
    """Cells to hold out, bool (days, rows, columns); InputError if there is none of such gaps."""
    usable = [k for k in kinds if grid is not None or k not in ("orbits", "pole_hole")]
    if not usable:
        raise InputError("the grid is not known")
    if sum(lengths) + 10 > len(percent.days):
        raise InputError("too few days")
    settings = GapSettings(outage_days=lengths or (1,), single_days=2, orbits=8)
    return cut_gaps(percent, usable, grid=grid, settings=settings, seed=seed).mask


def _trim(percent: GappyField) -> GappyField:
    """Return a part without the empty days at its ends, into which no gap can be cut."""
    days = np.flatnonzero([percent.observed[day].any() for day in range(len(percent.days))])
    return percent.only(slice(int(days[0]), int(days[-1]) + 1)) if days.size else percent


def _fill(percent: GappyField, held_out: np.ndarray, method: DailyMethod) -> Filled:
    cut = np.where(held_out, np.nan, percent.values).astype(np.float32)
    cut[:, ~percent.sea] = np.nan
    filled = method.fill(cut, percent.sea)
    hole = held_out.all(axis=0) & percent.sea
    return fill_pole_hole(filled, hole) if hole.any() else filled


def _add_cells(
    day: Filled,
    held_out: np.ndarray,
    truth: np.ndarray,
    random: np.random.Generator,
    cells: Mapping[FillFlag, tuple[_Cells, _Cells]],
) -> None:
    """Add cells of a day to the samples of mixtures and of the rest of every way of filling."""
    for flag, samples in cells.items():
        positions = np.argwhere(held_out & (day.flag == flag))
        lots = random.random(len(positions))
        is_mixed = _is_mixed(day.values[*positions.T])
        for sample, of_kind in zip(samples, (is_mixed, ~is_mixed), strict=True):
            is_sampled = of_kind & sample.select(lots)
            sampled = positions[is_sampled]
            if len(sampled):
                error = truth[*sampled.T] - day.values[*sampled.T].astype(np.float64)
                sample.add(lots[is_sampled], terms_of(day, sampled), error)


def _count_cells(
    day: Filled,
    held_out: np.ndarray,
    truth: np.ndarray,
    table: ErrorTable,
    tallies: Mapping[FillFlag, tuple[_Tally, _Tally]],
) -> None:
    """Count cells of a day, mixtures and all, by how far their errors are from what is expected."""
    code = of_day(day, table)
    for flag, (mixed, every) in tallies.items():
        is_counted = held_out & (day.flag == flag) & (code != NONE)
        estimate = day.values[is_counted].astype(np.float64)
        error, expected = truth[is_counted] - estimate, code[is_counted] * STEP
        back, forward = np.divmod(day.days_back_forward[is_counted].astype(np.int64), 10)
        every.add(back + forward, error, expected)
        is_mixed = _is_mixed(estimate)
        mixed.add((back + forward)[is_mixed], error[is_mixed], expected[is_mixed])


def _is_mixed(estimate: np.ndarray) -> np.ndarray:
    """Whether an estimate is a mixture of ice and water."""
    return (estimate > LOW) & (estimate < HIGH)


def _models(mixed: _Cells, pure: _Cells) -> np.ndarray:
    """Coefficients for mixtures and for the rest; one set for both where mixtures are few."""
    if len(mixed) < _FEWEST:
        return np.stack([_fit(mixed.join(pure), mixed=False)] * 2)
    return np.stack([_fit(mixed, mixed=True), _fit(pure, mixed=False)])


def _fit(cells: _Cells, *, mixed: bool) -> np.ndarray:
    """Coefficients by the likelihood of Student's t, scaled to cover 68 and 95 percent.

    Errors have long tails: a normal likelihood would let a few of them set the scale.
    """
    from scipy.optimize import minimize

    _, terms, error = cells.gather()
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


def _coverage(flag: FillFlag, mixed: _Tally, every: _Tally) -> list[dict[str, Any]]:
    rows = []
    sums = mixed.sums if mixed.sums[:, 0].sum() >= _FEWEST else every.sums
    for gap in (None, *np.flatnonzero(sums[:, 0]).tolist()):
        cells, within_1, within_2, error, expected = sums.sum(axis=0) if gap is None else sums[gap]
        if cells < 200:
            continue
        row: dict[str, Any] = {"fill": flag.name.lower(), "gap_days": gap, "cells": int(cells)}
        row |= {"within_1": round(within_1 / cells, 4), "within_2": round(within_2 / cells, 4)}
        row |= {"rmse": round(float(np.sqrt(error / cells)), 3)}
        rows.append(row | {"expected": round(float(np.sqrt(expected / cells)), 3)})
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
