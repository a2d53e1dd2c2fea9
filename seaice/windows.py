"""Windows on a cube: which days a training sample takes, which cells, and which are usable."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.cube_file import CubeFile
from seaice.grids import Grid
from seaice.masks import Surface
from seaice.period import Period
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
        for name in ("input_length", "pred_length", "input_gap", "pred_gap"):
            check_count(name, getattr(self, name), 1)
        check_count("pred_shift", self.pred_shift, 0)

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

    def starts(self, period: Period, samples_gap: int = 1) -> np.ndarray:
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
        check_count("samples_gap", samples_gap, 1)
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
        Share of the ocean cells outside the pole hole that have no value.
    filled : ndarray of float64, shape (days,)
        Share of all ocean cells whose value was not measured.
    """

    position: np.ndarray
    missing: np.ndarray
    filled: np.ndarray


def day_shares(
    cube: CubeFile, period: Period, rows: slice, columns: slice, *, filled: bool = False
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
    outside_pole = ocean & (surface != Surface.POLE_HOLE)
    whole = surface.shape == cube.surface.shape
    counts = {"missing": _stored_counts(cube, "missing_ocean_cells", position, whole)}
    if filled:
        counts["filled"] = _stored_counts(cube, "filled_ocean_cells", position, whole)
    unknown = np.logical_or.reduce([c < 0 for c in counts.values()]) & (position >= 0)
    if unknown.any():
        logger.info("%s: counting cells in the flags of %d days", cube.path.name, unknown.sum())
    observed, land, not_filled = (cube.flag_value(m) for m in ("observed", "land", "not_filled"))
    for i in np.flatnonzero(unknown):
        flags = cube.flags(int(position[i]), rows, columns)
        counts["missing"][i] = np.count_nonzero((flags == not_filled) & outside_pole)
        if filled:
            invented = (flags != observed) & (flags != land) & (flags != not_filled)
            counts["filled"][i] = np.count_nonzero(invented & ocean)
    nothing = np.zeros(position.size)
    return DayShares(
        position,
        np.maximum(counts["missing"], 0) / max(1, np.count_nonzero(outside_pole)),
        np.maximum(counts["filled"], 0) / max(1, np.count_nonzero(ocean)) if filled else nothing,
    )


def _stored_counts(cube: CubeFile, name: str, position: np.ndarray, whole: bool) -> np.ndarray:
    """A day's count from the cube's summary, -1 where it does not tell."""
    counts = np.full(position.size, -1, dtype=np.int64)
    try:
        stored = cube.variable(name)
    except (IndexError, KeyError):  # a cube without the summary
        return counts
    present = position >= 0
    counts[present] = stored[position[present]]
    if not whole:
        counts[counts > 0] = -1  # they may lie outside the part
    return counts


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


def block_numbers(period: Period, blocks: Sequence[Period] | None) -> np.ndarray:
    """Number of the block of every day of a period, -1 for none; int64 (days,)."""
    if blocks is None:
        return np.zeros(len(period), dtype=np.int64)
    numbers = np.full(len(period), -1, dtype=np.int64)
    for number, block in enumerate(blocks):
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
        In the projected plane, metres: all cells whose centre lies within.

    Returns
    -------
    rows, columns : slice
        The whole grid if neither is given.

    Raises
    ------
    InputError
        If both are given, or the rectangle is empty or leaves the grid.

    Examples
    --------
    >>> from seaice.grids import get_grid
    >>> region_slices(get_grid("n25000"), bounds=(-50_000, 0, 50_000, 25_000))
    (slice(214, 215, None), slice(152, 156, None))
    """
    if region is not None and bounds is not None:
        raise InputError("give either region (row and column numbers) or bounds (metres), not both")
    if bounds is not None:
        region = _region_of_bounds(grid, bounds)
    if region is None:
        return slice(0, grid.rows), slice(0, grid.columns)
    if len(region) != 4:
        raise InputError(f"expected a region (ymin, ymax, xmin, xmax), found {region!r}")
    box = Box(*(int(v) for v in region))
    box.check(grid)
    return box.rows, box.columns


def _region_of_bounds(grid: Grid, bounds: tuple[float, ...]) -> tuple[int, int, int, int]:
    west, south, east, north = bounds
    rows = np.flatnonzero((grid.y >= south) & (grid.y <= north))
    columns = np.flatnonzero((grid.x >= west) & (grid.x <= east))
    inside = (
        grid.west <= west <= east <= grid.west + grid.columns * grid.step
        and grid.south <= south <= north <= grid.south + grid.rows * grid.step
    )
    if not inside or not rows.size or not columns.size:
        left, right, bottom, top = grid.extent
        raise InputError(
            "expected bounds (west, south, east, north) with at least one cell centre within "
            f"{(left, bottom, right, top)} metres of {grid}, found {tuple(bounds)}"
        )
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


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


def check_count(name: str, value: int, minimum: int) -> None:
    """Refuse a count below its minimum; InputError names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < minimum:
        raise InputError(f"expected {name} as a whole number of at least {minimum}, found {value!r}")


def check_share(name: str, value: float) -> None:
    """Refuse a share outside 0..1; InputError names it."""
    if not 0 <= value <= 1:
        raise InputError(f"expected {name} from 0 to 1, found {value!r}")
