"""Windows of a cube: the days and cells of training samples, and which windows can be samples."""

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
from seaice.flags import Surface, is_ocean
from seaice.grids import Grid
from seaice.regions import Box

logger = logging.getLogger(__name__)

# Reasons why a window is no sample: key of ``ConsolidatedSICDataset.dropped``, and text for messages.
REASONS = {
    "outside_blocks": "not within one block",
    "absent_day": "with a day the cube lacks",
    "missing_cells": "with a day of too many missing ocean cells",
    "filled_cells": "of too many filled ocean cells",
}


@dataclass(frozen=True)
class Window:
    """Days of a sample: which are inputs and which are targets, counted from its first day.

    Attributes
    ----------
    input_length, pred_length : int
        Number of input days and of target days.
    input_gap, pred_gap : int
        Days from one input (target) to the next; 1 is every day.
    pred_shift : int
        Days from the last input to the first target; 1 is the next day.

    Raises
    ------
    InputError
        If a length or gap is no whole number of at least 1, or ``pred_shift`` none of at least 0.

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
            # Python's integers: sums of numpy's smaller types could overflow.
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
        """Days from the first day to every input, then to every target; int64 (Tin + Tout,)."""
        inputs = np.arange(self.input_length) * self.input_gap
        targets = np.arange(self.pred_length) * self.pred_gap + self.input_span + self.pred_shift - 1
        return np.concatenate([inputs, targets])

    def list_starts(self, date_range: DateRange, samples_gap: int = 1) -> np.ndarray:
        """List the first days of the windows within a date range, one every ``samples_gap`` days.

        Returns
        -------
        ndarray of int64
            Days counted from the first day of the date range.

        Raises
        ------
        InputError
            If the date range is shorter than one window.
        """
        samples_gap = check_count("samples_gap", samples_gap, 1)
        count = len(date_range) - self.span + 1
        if count < 1:
            raise InputError(
                f"a window takes {self.span} days and the date range {date_range} has only "
                f"{len(date_range)}; lengthen it or shorten input_length, pred_length or the gaps"
            )
        return np.arange(0, count, samples_gap)


@dataclass(frozen=True)
class DayShares:
    """Shares of missing and filled ocean cells on every day of a date range, for a part of the grid.

    Attributes
    ----------
    position : ndarray of int64, shape (days,)
        Position of the day on the time axis of the cube; -1 if the cube lacks the day.
    missing : ndarray of float64, shape (days,)
        Share of the ocean cells outside the pole hole that are missing, 0..1. If all ocean cells of
        the part lie in the pole hole, the share of these.
    filled : ndarray of float64, shape (days,)
        Share of all ocean cells whose value is filled, 0..1.
    """

    position: np.ndarray
    missing: np.ndarray
    filled: np.ndarray


def measure_day_shares(
    cube: CubeFile, date_range: DateRange, rows: slice, columns: slice, *, filled: bool = False
) -> DayShares:
    """Measure the shares of missing and filled cells of a part of the grid, day by day.

    The daily counts that the cube stores are used where they are enough: all of them for the whole
    grid, and the zeros for a part. For other days the flags of the day are read.

    Parameters
    ----------
    cube : CubeFile
    date_range : DateRange
    rows, columns : slice
        The part of the grid.
    filled : bool
        Whether to measure the filled share too; otherwise it is 0 on all days.
    """
    positions_by_day = {day: i for i, day in enumerate(cube.dates)}
    position = np.array([positions_by_day.get(day, -1) for day in date_range], dtype=np.int64)
    surface = cube.surface[rows, columns]
    ocean = is_ocean(surface)
    counted = ocean & (surface != Surface.POLE_HOLE)
    missing_variable = "missing_ocean_cells"
    if not counted.any():  # the part lies wholly in the pole hole
        counted, missing_variable = ocean, "missing_pole_cells"
    is_whole_grid = surface.shape == cube.surface.shape
    missing = _read_stored_counts(cube, missing_variable, position, is_whole_grid)
    filled_cells = np.zeros(position.size, dtype=np.int64)
    if filled:
        filled_cells = _read_stored_counts(cube, "filled_ocean_cells", position, is_whole_grid)
    not_stored = ((missing < 0) | (filled_cells < 0)) & (position >= 0)
    if not_stored.any():
        logger.info("%s: counting cells in the flags of %d days", cube.path.name, not_stored.sum())
    observed, land, not_filled = (cube.flag_value(m) for m in ("observed", "land", "not_filled"))
    for i in np.flatnonzero(not_stored):
        flags = cube.flags(int(position[i]), rows, columns)
        missing[i] = np.count_nonzero((flags == not_filled) & counted)
        if filled:
            is_filled = (flags != observed) & (flags != land) & (flags != not_filled)
            filled_cells[i] = np.count_nonzero(is_filled & ocean)
    return DayShares(
        position,
        np.maximum(missing, 0) / max(1, np.count_nonzero(counted)),
        np.maximum(filled_cells, 0) / max(1, np.count_nonzero(ocean)),
    )


def _read_stored_counts(
    cube: CubeFile, name: str, position: np.ndarray, is_whole_grid: bool
) -> np.ndarray:
    """Read daily counts that the cube stores of its whole grid.

    Returns
    -------
    ndarray of int64, shape (days,)
        -1 for a day that the cube lacks, a cube without counts, and cells that may lie outside the
        part of the grid.
    """
    counts = np.full(position.size, -1, dtype=np.int64)
    if not cube.has(name):
        return counts
    present = position >= 0
    # Programs that insert days store counts as floats, NaN on these days.
    counts[present] = np.nan_to_num(cube.variable(name)[position[present]], nan=-1)
    if not is_whole_grid:
        counts[counts > 0] = -1
    return counts


def is_pole_hole_missing(cube: CubeFile, position: np.ndarray, rows: slice, columns: slice) -> bool:
    """Whether a cell of the pole hole is missing in a part of the grid on at least one of some days."""
    surface = cube.surface[rows, columns]
    hole = surface == Surface.POLE_HOLE
    if not hole.any():
        return False
    is_whole_grid = surface.shape == cube.surface.shape
    counts = _read_stored_counts(cube, "missing_pole_cells", position, is_whole_grid)
    not_filled = cube.flag_value("not_filled")
    return bool((counts > 0).any()) or any(
        (cube.flags(int(day), rows, columns)[hole] == not_filled).any() for day in position[counts < 0]
    )


def select_windows(
    days: np.ndarray,
    shares: DayShares,
    *,
    block: np.ndarray,
    largest_missing_share: float,
    largest_filled_share: float,
) -> tuple[np.ndarray, dict[str, int]]:
    """Select the windows that are samples, and count the others by the first reason that applies.

    Parameters
    ----------
    days : ndarray of int64, shape (windows, Tin + Tout)
        Days of every window, counted from the first day of the date range.
    shares : DayShares
    block : ndarray of int64, shape (days of the date range,)
        Number of the block that a day belongs to; -1 for none.
    largest_missing_share : float
        Limit for every day of a window.
    largest_filled_share : float
        Limit for the mean over the days of a window.

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


def check_blocks(blocks: Iterable[DateRange]) -> list[DateRange]:
    """Return the blocks as a list; InputError for anything but date ranges."""
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


def number_blocks(date_range: DateRange, blocks: Iterable[DateRange] | None) -> np.ndarray:
    """Number the block of every day of a date range.

    Returns
    -------
    ndarray of int64, shape (days,)
        -1 for a day in no block; 0 for all days if there are no blocks.
    """
    if blocks is None:
        return np.zeros(len(date_range), dtype=np.int64)
    numbers = np.full(len(date_range), -1, dtype=np.int64)
    for number, block in enumerate(check_blocks(blocks)):
        first = max(0, (block.start - date_range.start).days)
        numbers[first : max(0, (block.end - date_range.start).days + 1)] = number
    return numbers


def find_region_slices(
    grid: Grid,
    region: tuple[int, int, int, int] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
) -> tuple[slice, slice]:
    """Find the rows and columns of a region.

    Parameters
    ----------
    grid : Grid
    region : (ymin, ymax, xmin, xmax), optional
        Half-open index ranges: rows ymin to ymax - 1. Row 0 is the southernmost row.
    bounds : (west, south, east, north), optional
        Metres in the map projection: all cells whose centres lie within, see
        :meth:`seaice.regions.Box.from_bounds` (whose order is west, east, south, north).

    Returns
    -------
    rows, columns : slice
        The whole grid if neither is given.

    Raises
    ------
    InputError
        If both are given, one is not four numbers, or the region is empty or leaves the grid.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> find_region_slices(get_grid("n25000"), bounds=(-50_000, 0, 50_000, 25_000))
    (slice(214, 215, None), slice(152, 156, None))
    """
    if region is not None and bounds is not None:
        raise InputError("give either region (row and column numbers) or bounds (metres), not both")
    if region is None and bounds is None:
        return slice(0, grid.rows), slice(0, grid.columns)
    box = _read_bounds(grid, bounds) if region is None else _read_region(region)
    box.check(grid)
    return box.rows, box.columns


def _read_region(region: Any) -> Box:
    try:
        ymin, ymax, xmin, xmax = (operator.index(v) for v in region)
    except (TypeError, ValueError):
        raise InputError(
            f"expected region as four whole numbers (ymin, ymax, xmin, xmax), found {region!r}"
        ) from None
    return Box(ymin, ymax, xmin, xmax)


def _read_bounds(grid: Grid, bounds: Any) -> Box:
    try:
        west, south, east, north = bounds
        are_numbers = all(isinstance(v, Real) and not math.isnan(v) for v in (west, south, east, north))
    except (TypeError, ValueError):
        are_numbers = False
    if not are_numbers:
        raise InputError(
            f"expected bounds as four numbers (west, south, east, north) in metres, found {bounds!r}"
        )
    return Box.from_bounds((west, east, south, north), grid)


def list_patch_corners(
    ocean: np.ndarray, size: tuple[int, int], smallest_ocean_share: float
) -> np.ndarray:
    """List the first cells of all patches that hold enough ocean, and at least one ocean cell.

    Parameters
    ----------
    ocean : ndarray of bool, shape (rows, columns)
    size : (rows, columns)
        Size of a patch.
    smallest_ocean_share : float
        Smallest share of ocean cells in a patch, 0..1.

    Returns
    -------
    ndarray of int32, shape (patches,)
        ``row * (number of columns a patch can start in) + column``.
    """
    height, width = size
    # sums[y, x] counts the ocean cells above and left of (y, x); four of them give any rectangle.
    sums = np.zeros((ocean.shape[0] + 1, ocean.shape[1] + 1), dtype=np.int64)
    sums[1:, 1:] = ocean.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    cells = sums[height:, width:] - sums[:-height, width:]
    cells += sums[:-height, :-width] - sums[height:, :-width]
    fewest_cells = max(1.0, smallest_ocean_share * height * width)
    return np.flatnonzero(cells >= fewest_cells).astype(np.int32)


def check_count(name: str, value: Any, minimum: int) -> int:
    """Return a whole number, of Python or numpy, as int; InputError if it is none or too small."""
    number = _read_whole_number(value)
    if number is None or number < minimum:
        raise InputError(f"expected {name} as a whole number of at least {minimum}, found {value!r}")
    return number


def check_pair(name: str, value: Any) -> tuple[int, int]:
    """Return ``size`` or ``(rows, columns)`` as a pair; InputError if a number is below 1 or none."""
    number = _read_whole_number(value)
    try:
        pair = [_read_whole_number(v) for v in value] if number is None else [number, number]
    except TypeError:
        pair = []
    rows, columns = pair if len(pair) == 2 else (None, None)
    if rows is None or columns is None or rows < 1 or columns < 1:
        raise InputError(
            f"expected {name} as a whole number of at least 1 or a pair of them (rows, columns), "
            f"found {value!r}"
        )
    return rows, columns


def _read_whole_number(value: Any) -> int | None:
    """Return a whole number as int, None for anything else (True and False too)."""
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_share(name: str, value: Any) -> None:
    """Raise InputError if a share is not a number from 0 to 1."""
    if not isinstance(value, Real) or not 0 <= float(value) <= 1:
        raise InputError(f"expected {name} from 0 to 1, found {value!r}")
