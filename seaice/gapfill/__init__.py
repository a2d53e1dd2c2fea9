"""Filling of missing ocean cells: what a method is, and how its steps fill days.

A method is a frozen dataclass; its fields are its parameters. It never changes an observed cell,
never fills or uses land, and flags every value it computes. :mod:`seaice.gapfill.methods` lists
the methods by name.

A daily method (:class:`DailyMethod`) fills a stack (time, y, x) in which frame i + 1 is the
calendar day after frame i; an absent day is a frame of NaN. It consists of steps. Each step fills
one day in place, from the days around it as the step before has left them. Within the steps a day
is a vector of its ocean cells (:class:`seaice.gapfill.ocean_cells.OceanCells`). :func:`run_steps`
runs the steps over an array, :class:`seaice.gapfill.stream.FillStream` over days that are read one
by one. Methods for fields of any kind are in :mod:`seaice.gapfill.field`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.ocean_cells import OceanCells
from seaice.runtime.options import check_ranges
from seaice.runtime.threads import each_band


class Filled(NamedTuple):
    """A filled stack; all arrays have the shape (days, rows, columns), or (days, ocean cells).

    Attributes
    ----------
    values : ndarray of float32
        The field, in the unit of the input; NaN over land and where a cell is still missing.
    flag : ndarray of uint8
        :class:`seaice.flags.FillFlag` of every cell.
    days_back_forward : ndarray of uint8
        10 x days back + days forward of a fill in time, else 0.
    change : ndarray of uint8
        Absolute difference between the two values that a fill in time lies between, in whole units
        of the input, at most 255; else 0. The expected error depends on it.
    """

    values: np.ndarray
    flag: np.ndarray
    days_back_forward: np.ndarray
    change: np.ndarray

    def day(self, i: int) -> Filled:
        """The arrays of one day, without the first axis; no copy."""
        return Filled(*(array[i] for array in self))


class Frames(NamedTuple):
    """Consecutive days as vectors of ocean cells, and the one of them that is to be filled.

    Attributes
    ----------
    values : ndarray of float32, shape (slots, cells)
        The i-th of the days is ``values[order[i]]``; as in :class:`Filled`.
    flag : ndarray of uint8, shape (slots, cells)
        In the same order.
    order : ndarray of int64, shape (days,)
        The slot of each day.
    cells : OceanCells
    day : Filled
        The day to fill, arrays (cells,): its ``values`` and ``flag`` are those of its slot; what
        the other days hold in ``days_back_forward`` and ``change`` is not kept.
    gaps : ndarray of int32
        Numbers of the cells of the day that were not observed, filled by now or not; in order.
    ice : ndarray of bool, shape (slots, rows of blocks, columns of blocks)
        Whether a block of 8 x 8 cells, or one beside it, holds an observed value other than 0; empty
        unless a step needs it.
    """

    values: np.ndarray
    flag: np.ndarray
    order: np.ndarray
    cells: OceanCells
    day: Filled
    gaps: np.ndarray
    ice: np.ndarray

    def missing(self) -> np.ndarray:
        """Numbers of the cells of the day that are flagged NOT_FILLED, int32, in order."""
        return select_cells(self.gaps, self.day.flag, FillFlag.NOT_FILLED)


class FillStep(NamedTuple):
    """One step of a daily method.

    Attributes
    ----------
    reach : int
        Number of days to either side whose values the step uses as the steps before have left them.
    fill_day : callable
        ``fill_day(frames, t)`` fills cells of the t-th day of ``frames`` that are flagged
        NOT_FILLED, in place, and flags them. It changes nothing else. Its sources are only cells
        whose flag says that they had a value before this step. ``frames`` holds the days within
        reach and sight, as far as they exist.
    sight : int
        Number of days to either side of which it uses observed values alone, those flagged
        OBSERVED. No step changes them, so no other step has to come before.
    rewrites : bool
        The step puts other values in place of those that earlier steps have filled. It then waits
        until these have no more use for the day.
    needs_ice : bool
        The step uses ``frames.ice``.
    """

    reach: int
    fill_day: Callable[[Frames, int], None]
    sight: int = 0
    rewrites: bool = False
    needs_ice: bool = False

    @property
    def width(self) -> int:
        """Number of days to either side that the step looks at."""
        return max(self.reach, self.sight)


def lead_of_steps(steps: Sequence[FillStep]) -> list[int]:
    """How many days each step has to go beyond the days that are asked for, on either side."""
    leads = [0] * len(steps)
    for k in range(len(steps) - 2, -1, -1):
        later = steps[k + 1]
        leads[k] = leads[k + 1] + max(later.reach, steps[k].reach if later.rewrites else 0)
    return leads


def reach_of_steps(steps: Sequence[FillStep]) -> int:
    """Number of days to either side that a value filled by some steps may depend on.

    Examples
    --------
    >>> steps = [FillStep(0, print, sight=9), FillStep(3, print), FillStep(0, print, sight=16)]
    >>> reach_of_steps(steps)
    16
    """
    leads = lead_of_steps(steps)
    return max(lead + step.width for step, lead in zip(steps, leads, strict=True))


@dataclass(frozen=True, kw_only=True)
class FillingMethod(ABC):
    """A rule that computes filled values; the fields of a subclass are its parameters.

    Ranges that are written in the annotations of the fields
    (:class:`seaice.runtime.options.Range`) are checked when a method is made.

    Attributes
    ----------
    name : str
        The method's name on the command line and in files.

    Raises
    ------
    InputError
        For a parameter out of its range.
    """

    name: ClassVar[str]

    def __post_init__(self) -> None:
        check_ranges(self)

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> Self:
        """The method with these parameters, and the defaults for all others."""
        return cls(**parameters)

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, eq=False)
class Record:
    """Observed days, for a method that is fitted to them.

    Attributes
    ----------
    first, last : int
        First and last day.
    cells : OceanCells
    read : callable
        ``read(day, frame)`` puts the raw values of a day into ``frame``, float32 (rows, columns),
        NaN for missing.
    """

    first: int
    last: int
    cells: OceanCells
    read: Callable[[int, np.ndarray], None]

    @classmethod
    def of_stack(cls, stack: np.ndarray, ocean: np.ndarray) -> Self:
        """The record of a stack (time, y, x) of consecutive days, the first of which is day 0."""

        def read(day: int, frame: np.ndarray) -> None:
            frame[:] = stack[day]

        return cls(0, len(stack) - 1, OceanCells(ocean), read)


@dataclass(frozen=True, kw_only=True)
class DailyMethod(FillingMethod):
    """A method that fills calendar day after calendar day.

    Attributes
    ----------
    concentration_only : bool
        The method knows what 0 and 100 percent of ice are.
    """

    concentration_only: ClassVar[bool] = False

    @property
    def notes(self) -> dict[str, Any]:
        """What a report says of the method besides its parameters, by name."""
        return {}

    def fit(self, record: Record) -> Self:
        """The method, fitted to a record if it has something to fit."""
        return self

    def attributes(self) -> dict[str, Any]:
        """Global attributes of a file that was filled by this method, besides its parameters."""
        return {}

    def restore(self, attributes: Mapping[str, Any]) -> Self:
        """The method as it filled a file with these :meth:`attributes`, in all that is not given.

        Raises
        ------
        InputError
            If the attributes cannot be read.
        """
        return self

    @abstractmethod
    def steps(self, hole: np.ndarray | None = None) -> list[FillStep]:
        """The steps of the method, in their order.

        Parameters
        ----------
        hole : ndarray of bool, shape (y, x), optional
            The pole hole. Its cells may be sources; a step that fills in space leaves them to the
            rule of the pole hole (:mod:`seaice.gapfill.pole_hole`).
        """

    def describe(self, kilometres: float) -> str:
        """The method in words, for files and reports; ``kilometres`` is the width of a cell."""
        return ", ".join(f"{name} {value}" for name, value in self.parameters.items())

    @property
    def reach(self) -> int:
        """Number of days to either side that a filled value may depend on."""
        return reach_of_steps(self.steps())

    def fill(
        self,
        stack: np.ndarray,
        ocean: np.ndarray,
        *,
        hole: np.ndarray | None = None,
        days: slice = slice(None),
    ) -> Filled:
        """Fill the missing ocean cells of a stack.

        Parameters
        ----------
        stack : ndarray of float32, shape (time, y, x)
            One frame a calendar day; NaN is missing. It is not changed.
        ocean : ndarray of bool, shape (y, x)
            True where cells may be filled and used.
        hole : ndarray of bool, shape (y, x), optional
            The pole hole; see :meth:`steps`.
        days : slice
            Frames to return; the others serve as sources.

        Raises
        ------
        InputError
            For arrays of the wrong kind or ``days`` with a step.
        """
        return run_steps(stack, ocean, self.steps(hole), days)


def check_stack(stack: np.ndarray, ocean: np.ndarray) -> None:
    """Refuse arrays that no daily method can work on.

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


def run_steps(
    stack: np.ndarray, ocean: np.ndarray, steps: Sequence[FillStep], days: slice = slice(None)
) -> Filled:
    """Run the steps of a method over a stack; see :meth:`DailyMethod.fill`."""
    check_stack(stack, ocean)
    first, end, stride = days.indices(len(stack))
    if stride != 1:
        raise InputError("days must be a slice of step 1")
    cells = OceanCells(ocean)
    filled = allocate_days((len(stack), len(cells)))
    ice = allocate_ice(len(stack), cells, steps)
    for i, frame in enumerate(stack):
        put_raw_day(frame, filled.values[i], filled.flag[i], cells, ice[i] if len(ice) else None)
    filled.days_back_forward[:] = 0
    filled.change[:] = 0
    gaps = [find_gaps(flag) for flag in filled.flag]
    for step, lead in zip(steps, lead_of_steps(steps), strict=True):
        # Earlier steps go beyond the days asked for: the later ones look at their values.
        for t in range(max(0, first - lead), min(len(stack), max(first, end) + lead)):
            order = np.arange(max(0, t - step.width), min(len(stack), t + step.width + 1))
            frames = Frames(filled.values, filled.flag, order, cells, filled.day(t), gaps[t], ice)
            step.fill_day(frames, t - int(order[0]))
    fills = (np.nan, FillFlag.LAND, 0, 0)
    return Filled(*(cells.expand(a[days], fill) for a, fill in zip(filled, fills, strict=True)))


def allocate_days(shape: tuple[int, ...]) -> Filled:
    """Arrays of a shape whose content is undefined."""
    return Filled(np.empty(shape, np.float32), *(np.empty(shape, np.uint8) for _ in range(3)))


def put_raw_day(
    frame: np.ndarray,
    values: np.ndarray,
    flag: np.ndarray,
    cells: OceanCells,
    blocks: np.ndarray | None = None,
) -> None:
    """Put the ocean cells of a raw frame (rows, columns) into vectors, flagged observed or missing.

    ``blocks`` receives where there is ice, as in ``Frames.ice``.
    """
    from seaice.gapfill import _kernels

    *runs, _ends = cells.rows_of_runs
    marks = np.zeros([n + 2 for n in blocks.shape] if blocks is not None else (2, 2), bool)
    inner = marks[1:-1, 1:-1]
    each_band(_kernels.compress_raw_day, len(runs[0]), *runs, frame, values, flag, inner)
    if blocks is not None:
        blocks[:] = find_beside(marks)


def find_beside(marks: np.ndarray) -> np.ndarray:
    """The blocks that are marked, or are beside one that is; the rim of ``marks`` is left out."""
    along = marks[:, 1:-1] | marks[:, :-2] | marks[:, 2:]
    return np.asarray(along[:-2] | along[1:-1] | along[2:])


def allocate_ice(slots: int, cells: OceanCells, steps: Sequence[FillStep]) -> np.ndarray:
    """Memory for ``Frames.ice``; empty where no step needs it."""
    from seaice.gapfill._kernels import ICE_BLOCK

    shape = [-(-n // ICE_BLOCK) for n in cells.ocean.shape]
    return np.zeros((slots if any(step.needs_ice for step in steps) else 0, *shape), bool)


def find_gaps(flag: np.ndarray) -> np.ndarray:
    """Numbers of the cells of a raw day that were not observed, int32, in order."""
    from seaice.gapfill import _kernels

    # One more: the loop writes before it knows whether a cell counts.
    gaps = np.empty(len(flag) + 1, np.int32)
    return gaps[: _kernels.list_gaps(flag, gaps)].copy()


def select_cells(cells: np.ndarray, codes: np.ndarray, code: int) -> np.ndarray:
    """Those of the ``cells``, numbers in order, whose code in ``codes`` (cells) is this one."""
    from seaice.gapfill import _kernels

    selected = np.empty(len(cells) + 1, np.int32)
    return selected[: _kernels.select_cells(cells, codes, int(code), selected)]
