"""Artificial gaps: observed cells that are held out, so that filled values can be compared with them.

Only observed sea cells are held out. Every kind of gap has random numbers of its own, so that another
kind does not move its gaps. A cell that two kinds remove belongs to the one that comes first in
:data:`seaice.scoring.shapes.SHAPES`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.fields.alignment import match_cells
from seaice.fields.axes import FieldAxes, read_axes
from seaice.fields.open import open_field
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.scoring.shapes import SHAPES, GapContext, GapSettings, GapShape

if TYPE_CHECKING:
    from seaice.fields.read import FieldSource

_LARGEST_NUMBER = int(np.iinfo(np.uint16).max)
_HELD_OUT = "held_out"  # variable of a file with cells to hold out


@dataclass(frozen=True)
class Gap:
    """Artificial gap that was cut into a field.

    Attributes
    ----------
    kind : str
        Key of :data:`seaice.scoring.shapes.SHAPES`.
    days : int
        Length of the gap, maps in a row; 0 if the kind has no length.
    first : int
        Number of its first map.
    cells : int
        Number of observed cells that it removed.
    """

    kind: str
    days: int
    first: int
    cells: int


@dataclass(frozen=True)
class HeldOut:
    """Held-out cells of a field: observed cells that are hidden from the filling methods.

    Attributes
    ----------
    number : ndarray of uint16, shape (time, y, x)
        0 for a cell that is not held out, else 1 + the index of its gap in ``gaps``.
    gaps : tuple of Gap
    seed : int
        Seed of the random numbers.
    settings : GapSettings
    left_out : mapping of str to str
        Kinds of gaps that this field cannot have, with the reason.
    """

    number: np.ndarray
    gaps: tuple[Gap, ...]
    seed: int = 0
    settings: GapSettings = field(default_factory=GapSettings)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def mask(self) -> np.ndarray:
        """Whether a cell is held out, bool (time, y, x)."""
        mask: np.ndarray = self.number > 0
        return mask

    @property
    def kinds(self) -> list[str]:
        """Kinds of the gaps, in the order in which they were cut."""
        return list(dict.fromkeys(gap.kind for gap in self.gaps))

    def cut(self, gappy: GappyField) -> GappyField:
        """Return a copy of the field with NaN at the held-out cells, as a method gets it."""
        values = gappy.values.copy()
        values[self.mask] = np.nan
        return replace(gappy, values=values)

    def describe(self) -> dict[str, Any]:
        """Return seed, settings, and numbers of gaps and cells by kind, as values for JSON."""
        settings = vars(self.settings) | {"outage_days": list(self.settings.outage_days)}
        return {
            "seed": self.seed,
            "settings": settings,
            "left_out": dict(self.left_out),
            "held_out_cells": sum(gap.cells for gap in self.gaps),
            "kinds": {
                kind: {
                    "gaps": sum(gap.kind == kind for gap in self.gaps),
                    "cells": sum(gap.cells for gap in self.gaps if gap.kind == kind),
                }
                for kind in self.kinds
            },
        }


def cut_gaps(
    gappy: GappyField,
    kinds: Sequence[str] | None = None,
    *,
    grid: Grid | None = None,
    settings: GapSettings | None = None,
    held_out_cells: np.ndarray | None = None,
    seed: int = 0,
) -> HeldOut:
    """Cut gaps of some kinds into a field.

    Parameters
    ----------
    gappy : GappyField
    kinds : sequence of str, optional
        Keys of :data:`seaice.scoring.shapes.SHAPES`, in any order. By default every kind that the
        field can have; the others are named in ``left_out``.
    grid : Grid, optional
        Grid of the field. The kind ``orbits`` needs it, and ``pole_hole`` if the field has no
        latitudes.
    settings : GapSettings, optional
    held_out_cells : ndarray of bool, shape (time, y, x), optional
        Cells of the kind ``given``.
    seed : int
        Seed of the random numbers.

    Returns
    -------
    HeldOut

    Raises
    ------
    InputError
        If a kind is unknown, the field cannot have a kind or has no observed cell to remove for it,
        or the gaps would leave no observed cell.
    """
    unknown = [kind for kind in kinds or () if kind not in SHAPES]
    if unknown or (kinds is not None and not kinds):
        kind = unknown[0] if unknown else "none"
        raise InputError(f"expected kinds of gaps out of {', '.join(SHAPES)}, found {kind}")
    settings = settings or GapSettings()
    observed = gappy.observed
    context = GapContext(gappy, observed, grid, settings, held_out_cells)
    number = np.zeros(observed.shape, np.uint16)
    gaps: list[Gap] = []
    left_out: dict[str, str] = {}
    for kind in (k for k in SHAPES if kinds is None or k in kinds):
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        try:
            shapes = SHAPES[kind](context, rng)
            gaps_of_kind = list(_remove_cells(kind, shapes, number, observed, len(gaps)))
            if not gaps_of_kind:
                raise InputError(f"{kind} meets no observed cell that is still there; leave it out")
        except InputError as error:
            if kinds is not None:
                raise
            left_out[kind] = str(error)
            continue
        gaps += gaps_of_kind
    if not gaps:
        raise InputError(f"no gap can be cut into this field: {'; '.join(left_out.values())}")
    if not observed.any():
        raise InputError(
            f"the gaps ({', '.join(dict.fromkeys(gap.kind for gap in gaps))}) leave nothing observed of "
            f"{len(observed)} maps; ask for fewer or shorter ones"
        )
    return HeldOut(number, tuple(gaps), seed, settings, left_out)


def _remove_cells(
    kind: str, shapes: Sequence[GapShape], number: np.ndarray, observed: np.ndarray, gap_number: int
) -> Iterator[Gap]:
    """Remove the cells of shapes from ``observed`` and number them; yield gaps with observed cells.

    ``gap_number`` is the number of the last gap before.
    """
    for shape in shapes:
        cells = observed[shape.frames] & shape.cells
        count = int(cells.sum())
        if not count:
            continue
        gap_number += 1
        if gap_number > _LARGEST_NUMBER:
            raise InputError(
                f"more than {_LARGEST_NUMBER} gaps; ask for fewer kinds or a shorter period"
            )
        number[shape.frames][cells] = gap_number
        observed[shape.frames] &= ~cells
        yield Gap(kind, shape.days, shape.frames.start, count)


def count_days_missing(gappy: GappyField, held_out: HeldOut) -> np.ndarray:
    """Count the days without a value around every held-out cell, after all gaps are cut.

    The count is made along time at the cell and includes the gaps that the field has itself: it is
    the number of days between the last observed day before and the next one after. A gap at an end
    of the record ends with the record.

    Returns
    -------
    ndarray of uint16, shape (cells,)
        In the order of ``np.flatnonzero(held_out.number)``; at least 1.

    Examples
    --------
    >>> values = np.zeros((5, 1, 1), np.float32)
    >>> values[3] = np.nan
    >>> field = GappyField(values, np.ones((1, 1), bool), np.arange(5.0))
    >>> held_out = HeldOut(np.array([0, 0, 1, 0, 0], np.uint16).reshape(5, 1, 1), ())
    >>> count_days_missing(field, held_out).tolist()
    [2]
    """
    days = np.floor(gappy.days)
    distance = np.full(held_out.mask.sum(), 0.0, np.float32)
    counts = np.count_nonzero(held_out.number, axis=(1, 2))
    ends = np.cumsum(counts)
    # Once forward for the distance to the last observed day, once backward for that to the next one.
    for step, edge in ((1, days[0] - 1), (-1, days[-1] + 1)):
        last_observed = np.full(gappy.sea.shape, edge)
        for t in range(len(days))[::step]:
            is_cut = held_out.number[t] > 0
            distance[ends[t] - counts[t] : ends[t]] += np.abs(days[t] - last_observed[is_cut])
            last_observed[np.isfinite(gappy.values[t]) & ~is_cut] = days[t]
    return np.clip(distance - 1, 1, _LARGEST_NUMBER).astype(np.uint16)


def read_held_out(path: Path, source: FieldSource | None = None) -> np.ndarray:
    """Read cells to hold out, bool (time, y, x).

    Parameters
    ----------
    path : Path
        ``.npy`` with a bool array (time, y, x) in the order of the file of the field, NetCDF with a
        variable ``held_out``, or the folder of the DINEOF project's Alboran sample.
    source : FieldSource, optional
        The field, whose cells and days the result has. A file with positions is matched by the places
        of its cells, one with times by its days. Without a field, the cells are as stored.

    Raises
    ------
    InputError
        If the file is missing, unreadable, holds something else, or lies on other cells.
    """
    path = Path(path)
    if path.is_dir():
        from seaice.sources.alboran import read_alboran

        sample, cells = read_alboran(path)
        assert sample.latitude is not None
        assert sample.longitude is not None
        axes = FieldAxes.of_positions(sample.latitude, sample.longitude)
        axes = replace(axes, days=sample.days, time_variable="time")
        return cells if source is None else _arrange_cells(cells, axes, source, path)
    if not path.is_file():
        raise InputError(f"no such file of cells to hold out: {path}; check held_out_file")
    if path.suffix == ".npy":
        cells = _check_cells(_load_array(path), path)
        return cells if source is None else np.ascontiguousarray(source.axes.turn(cells))
    with open_field(path) as dataset:
        if _HELD_OUT not in dataset.variables:
            raise InputError(f"{path} has no variable {_HELD_OUT} (time, y, x); name it so")
        array = dataset[_HELD_OUT]
        if source is None:
            return _check_cells(np.asarray(array.values), path)
        axes = read_axes(dataset, array, path)
        order = (axes.y, axes.x) if axes.time is None else (axes.time, axes.y, axes.x)
        extra = [d for d in array.dims if d not in order]
        values = np.asarray(array.squeeze(extra).transpose(*order).values)
    return _arrange_cells(
        axes.turn(_check_cells(values.reshape(-1, *axes.shape), path)), axes, source, path
    )


def _load_array(path: Path) -> np.ndarray:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(
            f"{path} cannot be read as cells to hold out ({error}); write it again"
        ) from None


def _check_cells(values: np.ndarray, path: Path) -> np.ndarray:
    """Return where values are not 0; InputError if they are no flags of cells."""
    if values.ndim != 3 or values.dtype.kind not in "biu":
        raise InputError(
            f"expected bool or integers (time, y, x) in {path}, found {values.dtype} of {values.shape}"
        )
    return np.asarray(values != 0)


def _arrange_cells(cells: np.ndarray, axes: FieldAxes, source: FieldSource, path: Path) -> np.ndarray:
    """Bring cells onto the cells of a field, and its days where both have times."""
    cells = match_cells(axes, source.axes, path, _HELD_OUT).arrange(cells)
    days, expected = axes.days, source.axes.days
    if axes.time_variable is None or source.axes.time_variable is None:
        return cells
    if days.size == expected.size and np.abs(days - expected).max() < 1e-3:
        return cells
    numbers = {int(np.floor(day)): frame for frame, day in enumerate(days)}
    absent = [day for day in np.floor(expected).astype(int) if int(day) not in numbers]
    if absent:
        raise InputError(
            f"{path} has no cells to hold out for {from_day_number(absent[0])} and "
            f"{len(absent) - 1} more days of the field; choose days with --start_date and --end_date"
        )
    return cells[[numbers[int(day)] for day in np.floor(expected)]]
