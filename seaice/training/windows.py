"""Windows on a cube: which days a training sample takes, which cells, and which are usable."""

from __future__ import annotations

import logging
import math
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.dates import DateRange
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.regions import Box

logger = logging.getLogger(__name__)

# Why a window is no sample: key of ``dropped`` and how a message says it.
REASONS = {
    "outside_blocks": "not within one block",
    "absent_day": "with a day the cube lacks",
    "missing_cells": "with a day of too many missing ocean cells",
    "filled_cells": "of too many filled ocean cells",
}


@dataclass(frozen=True)
class Window:
    """Which days are inputs and which are targets, counted from a sample's first day.

    Attributes
    ----------
    input_length, pred_length : int
        Number of input days and of target days.
    input_gap, pred_gap : int
        Days from one input (target) to the next; 1 is every day.
    pred_shift : int
        Days from the last input to the first target; 1 is the next day.

    Examples
    --------
    >>> Window(input_length=3, pred_length=2, input_gap=2, pred_shift=1, pred_gap=1).offsets.tolist()
    [0, 2, 4, 5, 6]
    """

    input_length: int
    pred_length: int
    input_gap: int = 1
    pred_shift: int = 1
    pred_gap: int = 1

    def __post_init__(self) -> None:
        for name in ("input_length", "pred_length", "input_gap", "pred_gap", "pred_shift"):
            minimum = 0 if name == "pred_shift" else 1
            # Plain integers from here on: one of numpy's smaller kinds could overflow.
            object.__setattr__(self, name, check_count(name, getattr(self, name), minimum))

    @property
    def input_span(self) -> int:
        """Days from the first to the last input, both counted."""
        return self.input_gap * (self.input_length - 1) + 1

    @property
    def pred_span(self) -> int:
        """Days from the first to the last target, both counted."""
        return self.pred_gap * (self.pred_length - 1) + 1

    @property
    def span(self) -> int:
        """Days from the first input to the last target, both counted."""
        return self.input_span + self.pred_shift + self.pred_span - 1

    @property
    def offsets(self) -> np.ndarray:
        """Days after the first of every input, then of every target; int64 (Tin + Tout,)."""
        inputs = np.arange(self.input_length) * self.input_gap
        targets = np.arange(self.pred_length) * self.pred_gap + self.input_span + self.pred_shift - 1
        return np.concatenate([inputs, targets])

    def starts(self, period: DateRange, samples_gap: int = 1) -> np.ndarray:
        """First days of all windows within a period, every ``samples_gap`` days.

        Returns
        -------
        ndarray of int64
            Days after the period's first.

        Raises
        ------
        InputError
            If not even one window fits.
        """
        samples_gap = check_count("samples_gap", samples_gap, 1)
        count = len(period) - self.span + 1
        if count < 1:
            raise InputError(
                f"a window takes {self.span} days and the period {period} has only {len(period)}; "
                "lengthen the period or shorten input_length, pred_length or the gaps"
            )
        return np.arange(0, count, samples_gap)


@dataclass(frozen=True)
class DayShares:
    """How much of the ocean of each calendar day of a period is missing or filled.

    Attributes
    ----------
    position : ndarray of int64, shape (days,)
        Where the day lies on the cube's axis; -1 if the cube lacks it.
    missing : ndarray of float64, shape (days,)
        Share of the ocean cells outside the pole hole that have no value; of those in it
        where there are no others.
    filled : ndarray of float64, shape (days,)
        Share of all ocean cells whose value was not measured.
    """

    position: np.ndarray
    missing: np.ndarray
    filled: np.ndarray


def day_shares(
    cube: CubeFile, period: DateRange, rows: slice, columns: slice, *, filled: bool = False
) -> DayShares:
    """Measure the missing and filled shares of a part of the grid, day by day.

    Takes the cube's own daily counts where they decide: all of them for the whole grid,
    and for a part those that are zero. For other days the day's flags are read.

    Parameters
    ----------
    filled : bool
        Measure the filled share too; otherwise it is 0 throughout.
    """
    number = {day: i for i, day in enumerate(cube.dates)}
    position = np.array([number.get(day, -1) for day in period], dtype=np.int64)
    surface = cube.surface[rows, columns]
    ocean = surface != Surface.LAND
    judged = ocean & (surface != Surface.POLE_HOLE)
    missing = "missing_ocean_cells"
    if not judged.any():  # a part wholly within the pole hole
        judged, missing = ocean, "missing_pole_cells"
    whole = surface.shape == cube.surface.shape
    counts = {"missing": _stored_counts(cube, missing, position, whole)}
    if filled:
        counts["filled"] = _stored_counts(cube, "filled_ocean_cells", position, whole)
    unknown = np.logical_or.reduce([c < 0 for c in counts.values()]) & (position >= 0)
    if unknown.any():
        logger.info("%s: counting cells in the flags of %d days", cube.path.name, unknown.sum())
    observed, land, not_filled = (cube.flag_value(m) for m in ("observed", "land", "not_filled"))
    for i in np.flatnonzero(unknown):
        flags = cube.flags(int(position[i]), rows, columns)
        counts["missing"][i] = np.count_nonzero((flags == not_filled) & judged)
        if filled:
            invented = (flags != observed) & (flags != land) & (flags != not_filled)
            counts["filled"][i] = np.count_nonzero(invented & ocean)
    nothing = np.zeros(position.size)
    return DayShares(
        position,
        np.maximum(counts["missing"], 0) / max(1, np.count_nonzero(judged)),
        np.maximum(counts["filled"], 0) / max(1, np.count_nonzero(ocean)) if filled else nothing,
    )


def _stored_counts(cube: CubeFile, name: str, position: np.ndarray, whole: bool) -> np.ndarray:
    """A day's count from the cube's summary, -1 where it does not tell."""
    counts = np.full(position.size, -1, dtype=np.int64)
    if not cube.has(name):  # a cube without the summary
        return counts
    present = position >= 0
    counts[present] = cube.variable(name)[position[present]]
    if not whole:
        counts[counts > 0] = -1  # they may lie outside the part
    return counts


def pole_hole_is_missing(cube: CubeFile, position: np.ndarray, rows: slice, columns: slice) -> bool:
    """Whether a part of the grid holds pole hole cells without a value on one of some days."""
    surface = cube.surface[rows, columns]
    hole = surface == Surface.POLE_HOLE
    if not hole.any():
        return False
    whole = surface.shape == cube.surface.shape
    counts = _stored_counts(cube, "missing_pole_cells", position, whole)
    not_filled = cube.flag_value("not_filled")
    return bool((counts > 0).any()) or any(
        (cube.flags(int(day), rows, columns)[hole] == not_filled).any() for day in position[counts < 0]
    )


def usable(
    days: np.ndarray,
    shares: DayShares,
    *,
    block: np.ndarray,
    largest_missing_share: float,
    largest_filled_share: float,
) -> tuple[np.ndarray, dict[str, int]]:
    """Tell which windows are samples, and count the others by their first reason.

    Parameters
    ----------
    days : ndarray of int64, shape (windows, Tin + Tout)
        Days of every window after the period's first.
    shares : DayShares
    block : ndarray of int64, shape (days of the period,)
        Number of the block a day belongs to; -1 is none.
    largest_missing_share : float
        Of any day of a window.
    largest_filled_share : float
        Of a window: the mean over its days.

    Returns
    -------
    keep : ndarray of bool, shape (windows,)
    dropped : dict of str to int
        Number of windows for every key of ``REASONS``.
    """
    blocks = block[days]
    verdicts = {
        "outside_blocks": (blocks < 0).any(axis=1) | (blocks != blocks[:, :1]).any(axis=1),
        "absent_day": (shares.position[days] < 0).any(axis=1),
        "missing_cells": (shares.missing[days] > largest_missing_share).any(axis=1),
        "filled_cells": shares.filled[days].mean(axis=1) > largest_filled_share,
    }
    keep = np.ones(len(days), dtype=bool)
    dropped = {}
    for reason in REASONS:
        dropped[reason] = int(np.count_nonzero(keep & verdicts[reason]))
        keep &= ~verdicts[reason]
    return keep, dropped


def block_list(blocks: Iterable[DateRange]) -> list[DateRange]:
    """The blocks, or an InputError that says what was given in their place."""
    if isinstance(blocks, Mapping):
        names = ", ".join(map(str, blocks))
        raise InputError(
            f"expected the blocks of one part, found all parts: {names}; choose one, such as "
            f"blocks[{next(iter(blocks), 'train')!r}]"
        )
    if isinstance(blocks, DateRange):
        raise InputError("expected blocks as a list of DateRange, found a DateRange; put it in a list")
    advice = "take one part of date_blocks, or DateRange.parse(first, last)"
    if not isinstance(blocks, Iterable):
        raise InputError(f"expected blocks as a list of DateRange, found {blocks!r}; {advice}")
    listed = list(blocks)
    for block in listed:
        if not isinstance(block, DateRange):
            raise InputError(f"expected blocks as a list of DateRange, found {block!r} in it; {advice}")
    return listed


def block_numbers(period: DateRange, blocks: Iterable[DateRange] | None) -> np.ndarray:
    """Number of the block of every day of a period, -1 for none; int64 (days,)."""
    if blocks is None:
        return np.zeros(len(period), dtype=np.int64)
    numbers = np.full(len(period), -1, dtype=np.int64)
    for number, block in enumerate(block_list(blocks)):
        first = max(0, (block.start - period.start).days)
        numbers[first : max(0, (block.end - period.start).days + 1)] = number
    return numbers


def region_slices(
    grid: Grid,
    region: tuple[int, int, int, int] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> tuple[slice, slice]:
    """Rows and columns of a rectangle.

    Parameters
    ----------
    grid : Grid
    region : (ymin, ymax, xmin, xmax), optional
        Index ranges, half-open: rows ymin to ymax - 1. Row 0 is the south edge.
    bounds : (west, south, east, north), optional
        In the projected plane, metres: all cells whose centre lies within, see
        :meth:`seaice.regions.Box.from_bounds` (which takes them in another order).

    Returns
    -------
    rows, columns : slice
        The whole grid if neither is given.

    Raises
    ------
    InputError
        If both are given, they are no four numbers, or the rectangle is empty or leaves the grid.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> region_slices(get_grid("n25000"), bounds=(-50_000, 0, 50_000, 25_000))
    (slice(214, 215, None), slice(152, 156, None))
    """
    if region is not None and bounds is not None:
        raise InputError("give either region (row and column numbers) or bounds (metres), not both")
    if region is None and bounds is None:
        return slice(0, grid.rows), slice(0, grid.columns)
    box = _box_of_bounds(grid, bounds) if region is None else _box_of_region(region)
    box.check(grid)
    return box.rows, box.columns


def _box_of_region(region: Any) -> Box:
    try:
        ymin, ymax, xmin, xmax = (operator.index(v) for v in region)
    except (TypeError, ValueError):
        raise InputError(
            f"expected region as four whole numbers (ymin, ymax, xmin, xmax), found {region!r}"
        ) from None
    return Box(ymin, ymax, xmin, xmax)


def _box_of_bounds(grid: Grid, bounds: Any) -> Box:
    try:
        west, south, east, north = bounds
        known = all(isinstance(v, Real) and not math.isnan(v) for v in (west, south, east, north))
    except (TypeError, ValueError):
        known = False
    if not known:
        raise InputError(
            f"expected bounds as four numbers (west, south, east, north) in metres, found {bounds!r}"
        )
    return Box.from_bounds((west, east, south, north), grid)


def patch_corners(ocean: np.ndarray, size: tuple[int, int], smallest_ocean_share: float) -> np.ndarray:
    """All first cells of patches with enough ocean, and at least one cell of it.

    Parameters
    ----------
    ocean : ndarray of bool, shape (rows, columns)
    size : (rows, columns)
        Of a patch.
    smallest_ocean_share : float
        0..1.

    Returns
    -------
    ndarray of int32, shape (patches,)
        ``row * (number of columns a patch can start in) + column``.
    """
    height, width = size
    total = np.zeros((ocean.shape[0] + 1, ocean.shape[1] + 1), dtype=np.int64)
    total[1:, 1:] = ocean.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    cells = (total[height:, width:] - total[:-height, width:] - total[height:, :-width]) + total[
        :-height, :-width
    ]
    enough = max(1.0, smallest_ocean_share * height * width)
    return np.flatnonzero(cells >= enough).astype(np.int32)


def check_count(name: str, value: Any, minimum: int) -> int:
    """Read a count, of Python or numpy; InputError names it if it is below its minimum or none."""
    number = _whole(value)
    if number is None or number < minimum:
        raise InputError(f"expected {name} as a whole number of at least {minimum}, found {value!r}")
    return number


def check_pair(name: str, value: Any) -> tuple[int, int]:
    """Read ``size`` or ``(rows, columns)`` as a pair of at least 1; InputError names it."""
    number = _whole(value)
    try:
        pair = [_whole(v) for v in value] if number is None else [number, number]
    except TypeError:
        pair = []
    rows, columns = pair if len(pair) == 2 else (None, None)
    if rows is None or columns is None or rows < 1 or columns < 1:
        raise InputError(
            f"expected {name} as a whole number of at least 1 or a pair of them (rows, columns), "
            f"found {value!r}"
        )
    return rows, columns


def _whole(value: Any) -> int | None:
    """A whole number as Python's own, None for anything else (True and False too)."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_share(name: str, value: Any) -> None:
    """Refuse a share outside 0..1; InputError names it."""
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise InputError(f"expected {name} from 0 to 1, found {value!r}")
