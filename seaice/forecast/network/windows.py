"""Training days in memory, and windows cut from them: what a network sees and should forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from seaice import InputError
from seaice.cf import CONCENTRATION_SCALE
from seaice.dates import DateRange
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import LEAST_OBSERVED
from seaice.runtime.digests import describe_array, digest_parts

_STEP = np.float32(CONCENTRATION_SCALE)
# Days that a network looks back on, the initial day included.
PAST_DAYS = 7
# The newest day, the daily changes before it and the ocean.
CHANNELS = PAST_DAYS + 1


def compute_channels(past: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    """Compute the channels of a network from the last days.

    Parameters
    ----------
    past : ndarray of float32, shape (days, rows, columns)
        The newest first; 0 outside the ocean.
    ocean : ndarray of bool, shape (rows, columns)

    Returns
    -------
    ndarray of float32, shape (days + 1, rows, columns)

    Examples
    --------
    >>> past = np.array([0.5, 0.25, 0.75], np.float32).reshape(3, 1, 1)
    >>> compute_channels(past, np.ones((1, 1), bool)).ravel().tolist()
    [0.5, 0.25, -0.5, 1.0]
    """
    return np.concatenate([past[:1], past[:-1] - past[1:], ocean[np.newaxis]]).astype(np.float32)


def read_channels(record: SeaIceRecord, day: date) -> np.ndarray:
    """Channels of an initial day, float32 (channels, rows, columns); no later day is read."""
    past = [record.read_input(day - timedelta(days=back)) for back in range(PAST_DAYS)]
    return compute_channels(np.nan_to_num(np.stack(past)), record.ocean)


@dataclass(frozen=True)
class Batch:
    """Windows of a training step.

    Attributes
    ----------
    inputs : ndarray of float32, shape (windows, channels, rows, columns)
    base : ndarray of float32, shape (windows, leads, rows, columns)
        What increments are added to.
    targets, weights : ndarray of float32, shape (windows, leads, rows, columns)
        Observed concentration, with weight 1; weight 0 where it was not observed.
    """

    inputs: np.ndarray
    base: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class TrainingDays:
    """Windows of training days: an initial day with the six before it, and the days at the leads.

    A window may also run backwards in time: the days after it are its past, and it forecasts those
    before. Then ice grows as often as it melts.

    Parameters
    ----------
    record : SeaIceRecord
    period : DateRange
        The only days that are read, as inputs and as targets.
    leads : sequence of int
    active : ndarray of bool, shape (rows, columns)
        Cells that are learnt.
    forecast_base : callable, optional
        Forecast of an initial day that increments are added to, (leads, rows, columns); by default
        the initial day persists. A day for which it raises InputError is not trained on.
    """

    def __init__(
        self,
        record: SeaIceRecord,
        period: DateRange,
        leads: Sequence[int],
        active: np.ndarray,
        forecast_base: Callable[[SeaIceRecord, date], np.ndarray] | None = None,
    ) -> None:
        self.days, self.leads, self.active = list(period), tuple(leads), active
        self._ocean = record.ocean
        self._stored = np.stack([_store(record, day) for day in self.days])
        self._bases: dict[int, np.ndarray] = {}
        observed = [record.measure_observed(day) >= LEAST_OBSERVED for day in self.days]
        last = len(self.days) - 1
        windows = [n for n in range(PAST_DAYS - 1, last - min(self.leads) + 1) if observed[n]]
        if forecast_base is not None:
            self._bases = _forecast_bases(record, forecast_base, {n: self.days[n] for n in windows})
            windows = [n for n in windows if n in self._bases]
        self.forwards = windows
        turned = range(min(self.leads), last - PAST_DAYS + 2)
        self.backwards = [n for n in turned if observed[n]] if forecast_base is None else []
        if not windows:
            needed = PAST_DAYS + min(self.leads)
            raise InputError(
                f"expected at least {needed} training days in a row, most of the ocean observed, found "
                f"{len(self.days)} of {period}; take a longer cube or an earlier first day"
            )

    @property
    def digest(self) -> str:
        """SHA-256 of all that is learnt from."""
        arrays = [self._stored, self.active, self._ocean, *self._bases.values()]
        return digest_parts(describe_array(array) for array in arrays)

    def measure_base(self) -> np.ndarray:
        """Mean squared error of what increments are added to, by lead, float64 (leads,)."""
        everywhere = (slice(None), slice(None))
        sums = np.zeros((2, len(self.leads)))
        for number in self.forwards:
            _, base, targets, weights = self.cut(number, everywhere)
            sums[0] += (weights * (targets - base) ** 2).sum(axis=(1, 2))
            sums[1] += weights.sum(axis=(1, 2))
        return np.asarray(sums[0] / sums[1].clip(1))

    def draw(self, rng: np.random.Generator, *, count: int, size: int, share_backwards: float) -> Batch:
        """Draw windows at random: days, direction in time, place, quarter turn and reflection."""
        size = min(size, *self.active.shape)
        cells = np.flatnonzero(self.active)
        windows = []
        for _ in range(count):
            is_turned = bool(self.backwards) and rng.random() < share_backwards
            number = int(rng.choice(self.backwards if is_turned else self.forwards))
            middle = np.unravel_index(int(rng.choice(cells)), self.active.shape)
            corner = [
                int(np.clip(m - rng.integers(size), 0, length - size))
                for m, length in zip(middle, self.active.shape, strict=True)
            ]
            place = (slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size))
            turns, is_flipped = int(rng.integers(4)), bool(rng.integers(2))
            maps = self.cut(number, place, backwards=is_turned)
            turned = [np.rot90(values, turns, axes=(-2, -1)) for values in maps]
            windows.append([values[..., ::-1] if is_flipped else values for values in turned])
        return Batch(*(np.stack(maps) for maps in zip(*windows, strict=True)))

    def cut(
        self, number: int, place: tuple[slice, slice], *, backwards: bool = False
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inputs, base, targets and weights of one window, see :class:`Batch`."""
        direction = -1 if backwards else 1
        past = self._stored[[number - direction * back for back in range(PAST_DAYS)]][:, *place]
        values = np.where(past < 0, -1 - past, past)
        is_unknown = _carry_on(values, past >= 0) if backwards else None
        inputs = compute_channels(values.astype(np.float32) * _STEP, self._ocean[place])
        targets = np.full((len(self.leads), *inputs.shape[1:]), -1, np.int16)
        for row, lead in enumerate(self.leads):
            day = number + direction * lead
            if 0 <= day < len(self.days):
                targets[row] = self._stored[day][place]
        weights = (targets >= 0) & self.active[place]
        if is_unknown is not None:
            weights &= ~is_unknown
        base = np.broadcast_to(inputs[0], targets.shape)
        if self._bases:
            base = self._bases[number][:, *place].astype(np.float32) * _STEP
            inputs = np.concatenate([inputs, base - inputs[:1]])
        return inputs, base, targets.clip(0).astype(np.float32) * _STEP, weights.astype(np.float32)


def _carry_on(values: np.ndarray, is_observed: np.ndarray) -> np.ndarray:
    """Give cells without a value the one before it in a window that runs backwards.

    What the record filled in there comes from days that the window should forecast. Returns the cells
    whose newest value still does.
    """
    known = np.zeros(values.shape[1:], bool)
    for day in reversed(range(len(values))):
        if day + 1 < len(values):
            np.copyto(values[day], values[day + 1], where=known & ~is_observed[day])
        known |= is_observed[day]
    return ~known


def _store(record: SeaIceRecord, day: date) -> np.ndarray:
    """A day in steps of 0.0001: observed values from 0 on, others v as -1 - v; int16."""
    steps = np.rint(np.nan_to_num(record.read_input(day)) / _STEP).astype(np.int16)
    return np.where(np.isfinite(record.read_observed(day)), steps, -1 - steps)


def _forecast_bases(
    record: SeaIceRecord,
    forecast_base: Callable[[SeaIceRecord, date], np.ndarray],
    days: dict[int, date],
) -> dict[int, np.ndarray]:
    bases = {}
    for number, day in days.items():
        # The first days are too few to fit a rule on.
        with suppress(InputError):
            maps = forecast_base(record.up_to(day), day)
            bases[number] = np.rint(np.nan_to_num(maps) / _STEP).astype(np.int16)
    return bases
