"""The ice edge of a network: where its forecasts of training days have too much ice, it moves back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, timedelta

import numpy as np

from seaice.cf import ICE_EDGE, is_ice
from seaice.forecast.record import SeaIceRecord

# Concentrations that are tried as the edge; of those that fit alike the first counts.
_TRIED = ICE_EDGE + 0.01 * np.arange(16)
# From this concentration on a forecast stays as it is.
_UNCHANGED = 0.35
# Initial days that are forecast at most, at least, and cells of all of them together.
_MOST_DAYS, _FEWEST_DAYS, _MOST_CELLS = 30, 6, 5_000_000


def fit_edges(
    forecast: Callable[[SeaIceRecord, date], np.ndarray],
    record: SeaIceRecord,
    initial_days: Sequence[date],
    active: np.ndarray,
    leads: Sequence[int],
) -> tuple[float, ...]:
    """Find the concentration of forecasts that bounds as much ice as there was, on training days.

    A mean of edges that may be has 15 percent of ice too far out.

    Parameters
    ----------
    forecast : callable
        Forecast (leads, rows, columns) from the record and an initial day.
    record : SeaIceRecord
        Up to the last training day.
    initial_days : sequence of date
        Some of them are forecast from, at even distances.
    active : ndarray of bool, shape (rows, columns)
        Cells that count.
    leads : sequence of int

    Returns
    -------
    tuple of float
        For each lead the concentration, 0.15 to 0.30, with the least difference between the areas of too
        much and of too little ice over all days; 0.15 where there is too little, or no day tells.
    """
    most = int(np.clip(_MOST_CELLS // active.size, _FEWEST_DAYS, _MOST_DAYS))
    excess = np.zeros((len(leads), len(_TRIED)))
    for day in initial_days[:: -(-len(initial_days) // most) or 1]:
        for row, lead, values in zip(excess, leads, forecast(record, day), strict=True):
            if (target := day + timedelta(days=lead)) <= record.days[-1]:
                row += _measure_excess(values, record.read_observed(target), active, record)
    return tuple(float(tried) for tried in _TRIED[np.abs(excess).argmin(axis=1)].round(2))


def _measure_excess(
    values: np.ndarray, observed: np.ndarray, active: np.ndarray, record: SeaIceRecord
) -> np.ndarray:
    """Area of ice less that observed, for each concentration that is tried."""
    cells = active & np.isfinite(observed)
    area = np.broadcast_to(record.cell_area, active.shape)[cells]
    ice = area[is_ice(observed[cells])].sum()
    return np.array([area[is_ice(values[cells], tried)].sum() - ice for tried in _TRIED])


def move_edges(forecast: np.ndarray, edges: Sequence[float]) -> np.ndarray:
    """Move the edge of every lead to 15 percent: what lies below 35 percent is stretched or pressed.

    Parameters
    ----------
    forecast : ndarray of float32, shape (leads, rows, columns)
        0 to 1; NaN outside the ocean.
    edges : sequence of float
        Concentrations of :func:`fit_edges`.

    Returns
    -------
    ndarray of float32, shape (leads, rows, columns)

    Examples
    --------
    >>> move_edges(np.array([[[0.0, 0.1, 0.2, 0.275, 0.35, 0.9]]], np.float32), [0.2]).round(3).tolist()
    [[[0.0, 0.07500000298023224, 0.15000000596046448, 0.25, 0.3499999940395355, 0.8999999761581421]]]
    """
    moved = [
        np.interp(values, (0.0, edge, _UNCHANGED, 1.0), (0.0, ICE_EDGE, _UNCHANGED, 1.0))
        for values, edge in zip(forecast, edges, strict=True)
    ]
    return np.stack(moved).astype(np.float32)
