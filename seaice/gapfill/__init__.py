"""Gap filling: pure functions of (time, y, x) stacks, and their registry.

A method is a function ``fill(stack, ocean, **parameters) -> Filled``. It never changes
an observed cell, never fills or uses land, and flags every value it invents. Days are
calendar days: frame i + 1 is the day after frame i, an absent day is a frame of NaN.

A method that works day by day also names its ``stages``: each fills one day, where it lies,
from the days around it that the stage before has seen. :func:`fill_stack` runs them over an
array, :class:`seaice.gapfill.stream.FillStream` over days that are read one by one.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.runtime.threads import each_band


class Filled(NamedTuple):
    """What a method returns; all arrays have the shape (days, rows, columns).

    Attributes
    ----------
    values : ndarray of float32
        The field, in the unit of the input; NaN over land and where nothing may be said.
    flag : ndarray of uint8
        :class:`seaice.flags.FillFlag` of every cell.
    days_back_forward : ndarray of uint8
        10 x days back + days forward of a fill in time, else 0.
    change : ndarray of uint8
        How far the two values lie apart between which a fill in time runs, in whole units of the
        input, at most 255; else 0. The expected error depends on it.
    """

    values: np.ndarray
    flag: np.ndarray
    days_back_forward: np.ndarray
    change: np.ndarray

    def day(self, i: int) -> Filled:
        """One day of it, shape (rows, columns); no copy."""
        return Filled(*(array[i] for array in self))


class Frames(NamedTuple):
    """Consecutive days: the i-th of them is ``filled.day(order[i])``.

    Attributes
    ----------
    filled : Filled
        Arrays of shape (slots, rows, columns).
    order : ndarray of int64, shape (days,)
    """

    filled: Filled
    order: np.ndarray


class Stage(NamedTuple):
    """One step of a method.

    Attributes
    ----------
    reach : int
        Days to either side that it looks at.
    fill_day : callable
        ``fill_day(frames, t)`` fills cells of the t-th day of ``frames`` that are flagged
        NOT_FILLED, in place, and flags them. It changes nothing else, and takes as sources
        only cells whose flag says that they were there before this step.
    """

    reach: int
    fill_day: Callable[[Frames, int], None]


@dataclass(frozen=True)
class Method:
    """A registered method.

    Attributes
    ----------
    name : str
    module : str
        Holds the function ``fill``; imported on first use, so that listing methods
        costs nothing.
    """

    name: str
    module: str

    @property
    def fill(self) -> Callable[..., Filled]:
        """The function."""
        function: Callable[..., Filled] = importlib.import_module(self.module).fill
        return function

    def stages(self, parameters: Mapping[str, Any]) -> list[Stage]:
        """Its steps, for the science parameters among ``parameters`` (checked here)."""
        function = importlib.import_module(self.module).stages
        return list(function(**_known_to(function, parameters)))

    def reach(self, parameters: Mapping[str, Any]) -> int:
        """How many days before or after a day its result may depend on."""
        return sum(stage.reach for stage in self.stages(parameters))

    def own(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The method's science parameters among ``parameters``; None is the method's default."""
        known = inspect.signature(self.fill).parameters
        given = _known_to(self.fill, parameters)
        return {k: known[k].default if v is None else v for k, v in given.items()}


def _known_to(function: Callable[..., Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(function).parameters
    return {k: v for k, v in parameters.items() if k in known}


METHODS: dict[str, Method] = {
    name: Method(name, f"seaice.gapfill.{name}")
    for name in ("departure", "hybrid", "temporal", "gaussian")
}


def get_method(name: str) -> Method:
    """Look up a method; InputError for an unknown name."""
    if name not in METHODS:
        raise InputError(f"unknown method {name!r}; known are {', '.join(METHODS)}")
    return METHODS[name]


def check_stack(stack: np.ndarray, ocean: np.ndarray) -> None:
    """Refuse arrays no method can work on.

    Raises
    ------
    InputError
        If ``stack`` is not float32 (time, y, x) or ``ocean`` not bool (y, x) of its shape.
    """
    if stack.ndim != 3 or stack.dtype != np.float32:
        raise InputError(
            f"expected a float32 stack (time, y, x), found {stack.dtype} of shape {stack.shape}"
        )
    if ocean.dtype != np.bool_ or ocean.shape != stack.shape[1:]:
        raise InputError(
            f"expected a bool mask of shape {stack.shape[1:]}, found {ocean.dtype} of {ocean.shape}"
        )


def fill_stack(
    stack: np.ndarray, ocean: np.ndarray, stages: Sequence[Stage], days: slice = slice(None)
) -> Filled:
    """Run the stages of a method over a stack.

    Parameters
    ----------
    stack : ndarray of float32, shape (time, y, x)
        One frame a calendar day; NaN is missing. It is not changed.
    ocean : ndarray of bool, shape (y, x)
        True where cells may be filled and used.
    stages : sequence of Stage
    days : slice
        Frames to return; the others serve as sources.

    Raises
    ------
    InputError
        For arrays of the wrong kind or days with a step.
    """
    check_stack(stack, ocean)
    first, end, step = days.indices(len(stack))
    if step != 1:
        raise InputError("days must be a slice of step 1")
    filled = empty(stack.shape)
    filled.values[...] = stack
    for t in range(len(stack)):
        begin_day(filled.day(t), ocean)
    frames = Frames(filled, np.arange(len(stack)))
    for k, stage in enumerate(stages):
        later = sum(s.reach for s in stages[k + 1 :])
        for t in range(max(0, first - later), min(len(stack), max(first, end) + later)):
            stage.fill_day(frames, t)
    return Filled(*(array[days] for array in filled))


def empty(shape: tuple[int, ...]) -> Filled:
    """Arrays of a shape, not yet written."""
    return Filled(np.empty(shape, np.float32), *(np.empty(shape, np.uint8) for _ in range(3)))


def begin_day(day: Filled, ocean: np.ndarray) -> None:
    """Flag what a raw frame in ``day.values`` holds, and make land missing."""
    from seaice.gapfill import _kernels

    each_band(_kernels.classify, len(ocean), ocean, *day)
