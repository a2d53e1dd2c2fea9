"""Training days in memory, and windows cut from them: what a network sees and should forecast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.cf import CONCENTRATION_SCALE
from seaice.dates import DateRange
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import LEAST_OBSERVED
from seaice.runtime.digests import describe_array, digest_parts

if TYPE_CHECKING:
    import torch

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
    channels = np.empty((len(past) + 1, *ocean.shape), np.float32)
    _fill_channels(channels, past, ocean)
    return channels


def _fill_channels(channels: Any, past: Any, ocean: Any) -> None:
    """Write the channels of a network into arrays of numpy, or into tensors of many windows."""
    days = past.shape[-3]
    channels[..., :1, :, :] = past[..., :1, :, :]
    channels[..., 1:days, :, :] = past[..., :-1, :, :] - past[..., 1:, :, :]
    channels[..., days, :, :] = ocean


def read_channels(record: SeaIceRecord, day: date) -> np.ndarray:
    """Channels of an initial day, float32 (channels, rows, columns); no later day is read."""
    past = [record.read_input(day - timedelta(days=back)) for back in range(PAST_DAYS)]
    return compute_channels(np.nan_to_num(np.stack(past)), record.ocean)


class Batch(NamedTuple):
    """Windows of a training step in steps of 0.0001, a quarter of the bytes of :class:`Maps`.

    Arrays of numpy, or tensors on any device; one window alone has no first axis.

    Attributes
    ----------
    past : int16, shape (windows, days, rows, columns)
        The newest first; 0 outside the ocean.
    ocean : bool, shape (windows, rows, columns)
    targets : int16, shape (windows, leads, rows, columns)
        Observed concentration; -1 where nothing is learnt.
    base : int16, shape (windows, leads or 0, rows, columns)
        What increments are added to; of no leads where that is the newest day.
    """

    past: Any
    ocean: Any
    targets: Any
    base: Any


class Maps(NamedTuple):
    """What a network computes with, unpacked from a :class:`Batch`.

    Attributes
    ----------
    inputs : tensor of float32, shape (windows, channels, rows, columns)
    base : tensor of float32, shape (windows, leads, rows, columns)
        What increments are added to.
    targets, weights : tensor of float32, shape (windows, leads, rows, columns)
        Observed concentration, with weight 1; weight 0 where nothing is learnt.
    """

    inputs: torch.Tensor
    base: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def unpack(batch: Batch) -> Maps:
    """Unpack windows on the device where they are.

    Parameters
    ----------
    batch : Batch of tensors
    """
    import torch

    step, leads = float(_STEP), batch.base.shape[-3]
    past, base = batch.past.float() * step, batch.base.float() * step
    days = past.shape[-3]
    inputs = past.new_empty(*past.shape[:-3], days + 1 + leads, *past.shape[-2:])
    _fill_channels(inputs, past, batch.ocean)
    newest = past[..., :1, :, :]
    if leads:
        torch.sub(base, newest, out=inputs[..., days + 1 :, :, :])
    else:
        base = newest.expand(batch.targets.shape)
    is_learnt = batch.targets >= 0
    return Maps(inputs, base, batch.targets.clamp(min=0).float() * step, is_learnt.float())


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

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all that is learnt from."""
        arrays = [self._stored, self.active, self._ocean, *self._bases.values()]
        return digest_parts(describe_array(array) for array in arrays)

    def measure_base(self) -> np.ndarray:
        """Mean squared error of what increments are added to, by lead, float64 (leads,)."""
        # Sums of whole numbers: exact in any order.
        squares, counts = np.zeros((2, len(self.leads)), np.int64)
        observed = np.stack([day[self.active] for day in self._stored])
        for number in self.forwards:
            newest = _unmark(observed[number])
            for row, lead in enumerate(self.leads):
                if number + lead < len(self.days):
                    target = observed[number + lead]
                    base = self._bases[number][row][self.active] if self._bases else newest
                    error = (target - base)[target >= 0].astype(np.int64)
                    squares[row] += error @ error
                    counts[row] += error.size
        return np.asarray(squares / counts.clip(1) * float(_STEP) ** 2)

    def draw(self, rng: np.random.Generator, *, count: int, size: int, share_backwards: float) -> Batch:
        """Draw windows at random: days, direction in time, place, quarter turn and reflection.

        Returns
        -------
        Batch of ndarray
        """
        sides = [min(size, length) for length in self.active.shape]
        windows = []
        for _ in range(count):
            is_turned = bool(self.backwards) and rng.random() < share_backwards
            number = int(rng.choice(self.backwards if is_turned else self.forwards))
            middle = np.unravel_index(int(rng.choice(self._active_cells)), self.active.shape)
            corner = [
                int(np.clip(m - rng.integers(side), 0, length - side))
                for m, side, length in zip(middle, sides, self.active.shape, strict=True)
            ]
            place = (slice(corner[0], corner[0] + sides[0]), slice(corner[1], corner[1] + sides[1]))
            turns, is_flipped = int(rng.integers(4)), bool(rng.integers(2))
            if sides[0] != sides[1]:
                turns &= 2  # half turns alone keep the shape
            maps = self.cut(number, place, backwards=is_turned)
            turned = [np.rot90(values, turns, axes=(-2, -1)) for values in maps]
            windows.append([values[..., ::-1] if is_flipped else values for values in turned])
        return Batch(*(np.stack(maps) for maps in zip(*windows, strict=True)))

    def cut(self, number: int, place: tuple[slice, slice], *, backwards: bool = False) -> Batch:
        """Cut one window of a day, see :class:`Batch`."""
        direction = -1 if backwards else 1
        stored = self._stored[:, *place]
        past = stored[[number - direction * back for back in range(PAST_DAYS)]]
        values = _unmark(past)
        is_learnt = self.active[place]
        if backwards:
            is_learnt = is_learnt & ~_carry_on(values, past >= 0)
        targets = np.full((len(self.leads), *values.shape[1:]), -1, np.int16)
        for row, lead in enumerate(self.leads):
            day = number + direction * lead
            if 0 <= day < len(self.days):
                np.copyto(targets[row], stored[day], where=is_learnt)
        base = self._bases[number][:, *place] if self._bases else targets[:0]
        return Batch(values, self._ocean[place], np.maximum(targets, -1), base)

    @cached_property
    def _active_cells(self) -> np.ndarray:
        return np.flatnonzero(self.active)


def _unmark(stored: np.ndarray) -> np.ndarray:
    """Values of a day as stored, observed or not: -1 - v, which is not v, becomes v."""
    return np.asarray(stored ^ (stored >> 15))


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
