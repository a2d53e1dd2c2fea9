"""How a training is watched: errors of network and persistence on days that it does not learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import product

import numpy as np

from seaice.dates import DateRange
from seaice.forecast.network.forecaster import TILE, BaseRule, Forecaster, Tile, list_tiles
from seaice.forecast.network.windows import PAST_DAYS, Batch, Maps, TrainingDays, unpack
from seaice.forecast.record import SeaIceRecord
from seaice.scoring.forecasts.cell_errors import (
    compute_cell_errors,
    compute_root_mean_square_error,
    compute_skill,
)

# Of a grid that is forecast by tiles so many parts of so many cells on a side are watched.
_PARTS, _PART = 32, 256


class Watch:
    """Errors of a network and of persistence on initial days that are not trained on.

    The days are kept in memory. Of a grid that is forecast by tiles, 32 parts of 256 x 256 cells are
    forecast, drawn once: all of it would take longer than the training.

    Parameters
    ----------
    record : SeaIceRecord
    initial_days : sequence of date
    last_day : date
        The last target.
    windows : TrainingDays
        Leads, active region and base of the training.
    base : callable, optional
        Rule of the baseline that increments are added to.
    """

    def __init__(
        self,
        record: SeaIceRecord,
        initial_days: Sequence[date],
        last_day: date,
        windows: TrainingDays,
        base: BaseRule | None = None,
    ) -> None:
        period = DateRange(initial_days[0] - timedelta(days=PAST_DAYS - 1), last_day)
        seen = record.up_to(last_day)
        self._days = TrainingDays(seen, period, windows.leads, windows.active, base)
        self._area = record.cell_area
        self._text = f"RMSE on {initial_days[0]} to {last_day}"
        self._parts = self._choose_parts(initial_days)
        self._persistence = self._measure(lambda maps: maps.inputs[:1].expand(maps.base.shape).numpy())

    def describe(self, forecaster: Forecaster) -> str:
        """Describe the errors of a network as it is, for the log."""

        def forecast(maps: Maps) -> np.ndarray:
            increments = forecaster.compute_increments(maps.inputs.numpy())
            return np.asarray((maps.base.numpy() + increments).clip(0, 1))

        by_lead, all_leads = self._measure(forecast)
        persistence, of_all = self._persistence
        leads = self._days.leads
        texts = [
            f"lead {leads[k]} {100 * by_lead[k]:.2f} % (persistence {100 * persistence[k]:.2f} %)"
            for k in sorted({0, len(leads) - 1})
        ]
        skill = float(compute_skill(all_leads, of_all))
        return f"; {self._text}: {', '.join(texts)}, skill {skill:+.1f} %"

    def _choose_parts(self, initial_days: Sequence[date]) -> list[tuple[int, Tile]]:
        """Numbers of initial days and what of the grid is forecast from them."""
        active = self._days.active
        is_large = max(active.shape) > TILE
        tiles = list(list_tiles(active.shape, _PART if is_large else TILE))
        days = [n for n in self._days.forwards if self._days.days[n] in initial_days]
        parts = [(n, tile) for n, tile in product(days, tiles) if active[tile.kept].any()]
        if not is_large or len(parts) <= _PARTS:
            return parts
        self._text += f" in {_PARTS} parts of {_PART} x {_PART} cells"
        drawn = np.random.default_rng(0).choice(len(parts), _PARTS, replace=False)
        return [parts[number] for number in sorted(drawn)]

    def _measure(self, forecast: Callable[[Maps], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """RMSE by lead and of all leads."""
        import torch

        squares = np.full((len(self._parts), len(self._days.leads)), np.nan)
        areas = np.zeros(len(self._parts))
        for row, (number, tile) in enumerate(self._parts):
            maps = unpack(Batch(*map(torch.from_numpy, self._days.cut(number, tile.seen))))
            observed = np.where(maps.weights > 0, maps.targets, np.float32(np.nan))
            area = self._area[tile.kept]
            areas[row] = area[self._days.active[tile.kept]].sum()
            for column, values in enumerate(forecast(maps)):
                kept = (column, *tile.part)
                errors = compute_cell_errors(values[tile.part], observed[kept], area)
                squares[row, column] = errors.square
        return compute_root_mean_square_error(squares, areas)
