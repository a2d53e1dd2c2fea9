"""Scores of methods on gaps that were cut on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.grids import Grid
from seaice.runtime.digests import digest_parts
from seaice.scoring.gaps import HeldOut, days_missing
from seaice.scoring.measures import Cells, Coverage, Measures, cell_areas, coverage, measure
from seaice.scoring.paired import Measure, PairedDifference, paired_difference
from seaice.scoring.runs import MethodRun, run_methods

# Upper ends of the classes of gap length, days; a last class is open.
LENGTHS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Row:
    """The measures of one method on one group of cells.

    Attributes
    ----------
    method : str
        Label of the run.
    group : {"all", "kind", "gap", "days missing", "flag"}
        What the cells have in common.
    name : str
        Which of them: the kind of gap, kind and length, class of length, flag.
    basis : {"own", "common"}
        Cells that this method fills, or that every method fills.
    measures : Measures
    coverage : Coverage
    """

    method: str
    group: str
    name: str
    basis: str
    measures: Measures
    coverage: Coverage


@dataclass(frozen=True)
class PairedRow:
    """A paired difference, ``method`` less ``against``, on the cells of a group both fill."""

    method: str
    against: str
    group: str
    name: str
    measure: Measure
    difference: PairedDifference


@dataclass(frozen=True)
class Scores:
    """Everything that a scoring found.

    Attributes
    ----------
    rows : tuple of Row
    paired : tuple of PairedRow
    runs : tuple of MethodRun
        Also those that were refused.
    gappy : GappyField
        The truth.
    held_out : HeldOut
    cells : Cells
        The held-out cells.
    place : ndarray of int64, shape (cells,)
        Number of each in the flattened map.
    """

    rows: tuple[Row, ...]
    paired: tuple[PairedRow, ...]
    runs: tuple[MethodRun, ...]
    gappy: GappyField
    held_out: HeldOut
    cells: Cells
    place: np.ndarray

    @property
    def ran(self) -> list[MethodRun]:
        """The runs with a result."""
        return [run for run in self.runs if run.refused is None]

    def row(self, method: str, group: str = "all", name: str = "all", basis: str = "own") -> Row:
        """The row of a method and a group; InputError where there is none."""
        for row in self.rows:
            if (row.method, row.group, row.name, row.basis) == (method, group, name, basis):
                return row
        raise InputError(f"no score of {method} for {group} {name} ({basis})")

    def map_of(self, values: np.ndarray, frame: int) -> np.ndarray:
        """Values of the held-out cells of one map on its grid, float64 (y, x); NaN elsewhere."""
        made = np.full(self.gappy.sea.shape, np.nan)
        chosen = self.cells.day == frame
        made.reshape(-1)[self.place[chosen]] = values[chosen]
        return made


def score_fills(
    gappy: GappyField,
    held_out: HeldOut,
    methods: Mapping[str, Mapping[str, Any]],
    *,
    grid: Grid | None = None,
    is_concentration: bool = False,
    against: str | None = None,
    own_process: bool = True,
    work_dir: Path | None = None,
) -> Scores:
    """Let methods fill held-out cells and measure how far they lie from the truth.

    No method sees a held-out value: it gets the field with NaN there, in a process of its own.
    Memory besides the methods: the field, two bytes a cell for the gaps, and for every held-out
    cell about 100 bytes and 10 a method.

    Parameters
    ----------
    gappy : GappyField
        The truth; it is not changed.
    held_out : HeldOut
        From :func:`seaice.scoring.gaps.cut_gaps`.
    methods : mapping of str to mapping
        Label to parameters; see :func:`seaice.scoring.runs.run_methods`.
    grid : Grid, optional
        For true cell areas; without it they follow from latitudes and longitudes.
    is_concentration : bool
        The upper end of ``gappy.valid_range`` (1 or 100) is then closed ice, and the measures of
        the ice edge are made.
    against : str, optional
        Label of the method that the others are compared with; by default the first.
    own_process, work_dir
        See :func:`seaice.scoring.runs.run_methods`.

    Raises
    ------
    InputError
        For gaps of another field, nothing held out, a concentration without a valid
        range from 0 on, no or unknown methods, or an ``against`` that is none of them.
    """
    _check(gappy, held_out, methods, is_concentration, against)
    flat = np.flatnonzero(held_out.number)
    frame, place = np.divmod(flat, gappy.sea.size)
    area = _areas(gappy, grid)
    cells = Cells(
        truth=gappy.values.reshape(-1)[flat],
        day=frame.astype(np.int32),
        area=None if area is None else area.reshape(-1)[place],
        full=float(gappy.valid_range[1]) if is_concentration else None,
    )
    runs = run_methods(gappy, held_out, methods, own_process=own_process, work_dir=work_dir)
    groups = list(_groups(gappy, held_out, flat))
    rows = [row for group in groups for row in _rows(runs, cells, *group)]
    rows += [row for run in runs if run.refused is None for row in _flag_rows(run, cells)]
    paired = _paired(runs, cells, groups, held_out, against or next(iter(methods)))
    return Scores(tuple(rows), tuple(paired), tuple(runs), gappy, held_out, cells, place)


def checksum(gappy: GappyField) -> str:
    """SHA-256 of what a field holds: its sea, its days and every observed value."""

    def parts() -> Iterator[str | bytes]:
        yield repr((gappy.values.shape, gappy.values.dtype.str))
        yield np.packbits(gappy.sea).tobytes()
        yield np.ascontiguousarray(gappy.days, np.float64).tobytes()
        for frame in gappy.values:
            observed = np.where(np.isfinite(frame) & gappy.sea, frame, np.nan)
            yield observed.astype(frame.dtype).tobytes()

    return digest_parts(parts())


def _check(
    gappy: GappyField,
    held_out: HeldOut,
    methods: Mapping[str, Mapping[str, Any]],
    is_concentration: bool,
    against: str | None,
) -> None:
    if held_out.number.shape != gappy.values.shape:
        raise InputError(
            f"expected gaps for maps of {gappy.values.shape}, found {held_out.number.shape}; cut them "
            "out of the same field"
        )
    mask = held_out.mask
    if not mask.any():
        raise InputError("nothing is held out, so there is nothing to score")
    if not gappy.observed[mask].all():
        raise InputError("some held-out cells were never observed; cut them out of the same field")
    low, high = gappy.valid_range
    if is_concentration and not (low == 0 and 0 < high < np.inf):
        raise InputError(
            f"expected a concentration from 0 to full ice, found the valid range {low:g} to {high:g}; "
            "give valid_range"
        )
    if against is not None and against not in methods:
        raise InputError(f"expected --against one of {', '.join(methods)}, found {against!r}")


def _areas(gappy: GappyField, grid: Grid | None) -> np.ndarray | None:
    if grid is not None:
        return grid.cell_area()
    if gappy.latitude is None or gappy.longitude is None:
        return None
    return cell_areas(gappy.latitude, gappy.longitude)


def _groups(
    gappy: GappyField, held_out: HeldOut, flat: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Groups of held-out cells by what was cut and for how long: group, name, bool (cells,)."""
    number = held_out.number.reshape(-1)[flat]
    yield "all", "all", np.ones(number.size, bool)
    kinds = np.array([held_out.kinds.index(gap.kind) for gap in held_out.gaps])
    lengths = np.array([gap.days for gap in held_out.gaps])
    for k, kind in enumerate(held_out.kinds):
        yield "kind", kind, kinds[number - 1] == k
        of_kind = np.unique(lengths[kinds == k])
        for days in of_kind if of_kind.size > 1 else ():
            chosen = (kinds == k) & (lengths == days)
            yield "gap", f"{kind} of {days}", chosen[number - 1]
    missing = days_missing(gappy, held_out)
    for low, high in zip((0, *LENGTHS), (*LENGTHS, np.inf), strict=True):
        chosen = (missing > low) & (missing <= high)
        if chosen.any():
            first = low + 1
            name = str(first) if first == high else f"{first} to {high:g}"
            yield "days missing", name if np.isfinite(high) else f"{first} or more", chosen


def _rows(
    runs: Sequence[MethodRun], cells: Cells, group: str, name: str, chosen: np.ndarray
) -> Iterator[Row]:
    here = cells.only(chosen)
    ran = [run for run in runs if run.refused is None]
    common = np.ones(here.truth.size, bool)
    for run in ran:
        common &= np.isfinite(run.values[chosen])
    shared = here.only(common)
    for run in ran:
        fill = run.values[chosen]
        error = None if run.error is None else run.error[chosen]
        yield Row(run.label, group, name, "own", measure(fill, here), coverage(fill, error, here))
        error = None if error is None else error[common]
        made = measure(fill[common], shared), coverage(fill[common], error, shared)
        yield Row(run.label, group, name, "common", *made)


def _flag_rows(run: MethodRun, cells: Cells) -> Iterator[Row]:
    """By how a value came about; where there is one flag it would only repeat the whole."""
    flags = np.unique(run.flag[np.isfinite(run.values)])
    for flag in flags if flags.size > 1 else ():
        chosen = (run.flag == flag) & np.isfinite(run.values)
        here, fill = cells.only(chosen), run.values[chosen]
        error = None if run.error is None else run.error[chosen]
        name = FillFlag(flag).name.lower()
        yield Row(run.label, "flag", name, "own", measure(fill, here), coverage(fill, error, here))


def _paired(
    runs: Sequence[MethodRun],
    cells: Cells,
    groups: Sequence[tuple[str, str, np.ndarray]],
    held_out: HeldOut,
    against: str,
) -> Iterator[PairedRow]:
    ran = {run.label: run for run in runs if run.refused is None}
    other = ran.get(against)
    if other is None:
        return
    number = held_out.number[held_out.number > 0]
    for group, name, chosen in groups:
        truth, day = cells.truth[chosen].astype(np.float64), cells.day[chosen]
        # Gaps as long as the record, such as a pole hole, have days that are alike but not one.
        spans = [held_out.gaps[n - 1].days for n in np.unique(number[chosen])]
        longest = max((s for s in spans if s < len(held_out.number)), default=1)
        for run in ran.values():
            if run.label == against:
                continue
            errors = run.values[chosen] - truth, other.values[chosen] - truth
            days = np.unique(day[np.isfinite(errors[0]) & np.isfinite(errors[1])]).size
            # One and a half times the longest where the days are enough for four blocks.
            block = max(5, longest, min(3 * longest // 2, days // 4))
            for which in ("rmse", "mae"):
                made = paired_difference(
                    *errors, day, measure=which, block_days=block, seed=held_out.seed
                )
                yield PairedRow(run.label, against, group, name, which, made)
