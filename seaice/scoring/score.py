"""Scores of filling methods: measures of their errors at held-out cells, by groups of cells."""

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
from seaice.scoring.gaps import HeldOut, count_days_missing
from seaice.scoring.measures import (
    Coverage,
    HeldOutCells,
    Measures,
    compute_cell_areas,
    measure,
    measure_coverage,
)
from seaice.scoring.paired import Measure, PairedDifference, compare_paired
from seaice.scoring.runs import MethodRun, run_methods

# Longest gaps of the classes of gap length, days; a last class holds all longer gaps.
CLASS_ENDS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class ScoreRow:
    """Measures of one method on one group of cells.

    Attributes
    ----------
    method : str
        Label of the method.
    group : {"all", "kind", "gap", "days missing", "flag"}
        Property by which the cells are grouped.
    name : str
        Its value: the kind of gap, kind and length, class of length, or flag.
    basis : {"own", "common"}
        Whether the cells are those that this method fills or those that every method fills.
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
    """Paired difference, ``method`` minus ``against``, on the cells of a group that both fill.

    Attributes
    ----------
    method, against : str
        Labels of the two methods.
    group, name : str
        The group of cells, see :class:`ScoreRow`.
    measure : {"rmse", "mae"}
    difference : PairedDifference
    """

    method: str
    against: str
    group: str
    name: str
    measure: Measure
    difference: PairedDifference


@dataclass(frozen=True)
class Scores:
    """Scores of several methods, with the fields that they were computed from.

    Attributes
    ----------
    rows : tuple of ScoreRow
    paired : tuple of PairedRow
    runs : tuple of MethodRun
        Runs of all methods, also of those that were refused.
    gappy : GappyField
        The field with its true values.
    held_out : HeldOut
        The gaps that were cut into it.
    cells : HeldOutCells
        The held-out cells.
    position : ndarray of int64, shape (cells,)
        Index of each held-out cell in its flattened map.
    """

    rows: tuple[ScoreRow, ...]
    paired: tuple[PairedRow, ...]
    runs: tuple[MethodRun, ...]
    gappy: GappyField
    held_out: HeldOut
    cells: HeldOutCells
    position: np.ndarray

    @property
    def finished_runs(self) -> list[MethodRun]:
        """Runs with a result."""
        return [run for run in self.runs if run.refused is None]

    def get_row(
        self, method: str, group: str = "all", name: str = "all", basis: str = "own"
    ) -> ScoreRow:
        """Return the row of a method and a group; InputError if there is none."""
        for row in self.rows:
            if (row.method, row.group, row.name, row.basis) == (method, group, name, basis):
                return row
        raise InputError(f"no score of {method} for {group} {name} ({basis})")

    def make_map(self, values: np.ndarray, frame: int) -> np.ndarray:
        """Put values of the held-out cells of one map on its grid.

        Parameters
        ----------
        values : ndarray, shape (cells,)
            One value for each held-out cell.
        frame : int
            Number of the map.

        Returns
        -------
        ndarray of float64, shape (y, x)
            NaN for other cells.
        """
        field = np.full(self.gappy.sea.shape, np.nan)
        of_map = self.cells.day == frame
        field.reshape(-1)[self.position[of_map]] = values[of_map]
        return field


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
    """Score methods: let them fill held-out cells and measure their errors.

    A method runs in a process of its own, on the field with NaN at the held-out cells. Besides the
    memory of the methods this needs that of the field, two bytes a cell for the gaps, and for every
    held-out cell about 100 bytes and 10 more for every method.

    Parameters
    ----------
    gappy : GappyField
        The field with its true values; it is not changed.
    held_out : HeldOut
        Gaps of :func:`seaice.scoring.gaps.cut_gaps`.
    methods : mapping of str to mapping
        Label to parameters; see :func:`seaice.scoring.runs.run_methods`.
    grid : Grid, optional
        Grid of the field, for the cell areas; without it they are computed from latitudes and
        longitudes.
    is_concentration : bool
        Whether the field is ice concentration. The upper end of ``gappy.valid_range`` (1 or 100) is
        then full ice, and the measures of the ice edge are computed.
    against : str, optional
        Label of the method that the others are compared with; by default the first one.
    own_process, work_dir
        See :func:`seaice.scoring.runs.run_methods`.

    Raises
    ------
    InputError
        If the gaps belong to another field, nothing is held out, a concentration has no valid range
        that starts at 0, a method is unknown or there is none, or ``against`` is no label.
    """
    _check_arguments(gappy, held_out, methods, is_concentration, against)
    flat_index = np.flatnonzero(held_out.number)
    frame, position = np.divmod(flat_index, gappy.sea.size)
    area = _compute_areas(gappy, grid)
    cells = HeldOutCells(
        truth=gappy.values.reshape(-1)[flat_index],
        day=frame.astype(np.int32),
        area=None if area is None else area.reshape(-1)[position],
        full=float(gappy.valid_range[1]) if is_concentration else None,
    )
    runs = run_methods(gappy, held_out, methods, own_process=own_process, work_dir=work_dir)
    groups = list(_group_cells(gappy, held_out, flat_index))
    rows = [row for group in groups for row in _score_group(runs, cells, *group)]
    rows += [row for run in runs if run.refused is None for row in _score_flags(run, cells)]
    paired = _compare_methods(runs, cells, groups, held_out, against or next(iter(methods)))
    return Scores(tuple(rows), tuple(paired), tuple(runs), gappy, held_out, cells, position)


def digest_field(gappy: GappyField) -> str:
    """SHA-256 of what a field holds: its sea, its days and every observed value."""

    def parts() -> Iterator[str | bytes]:
        yield repr((gappy.values.shape, gappy.values.dtype.str))
        yield np.packbits(gappy.sea).tobytes()
        yield np.ascontiguousarray(gappy.days, np.float64).tobytes()
        for frame in gappy.values:
            observed = np.where(np.isfinite(frame) & gappy.sea, frame, np.nan)
            yield observed.astype(frame.dtype).tobytes()

    return digest_parts(parts())


def _check_arguments(
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


def _compute_areas(gappy: GappyField, grid: Grid | None) -> np.ndarray | None:
    if grid is not None:
        return grid.cell_area()
    if gappy.latitude is None or gappy.longitude is None:
        return None
    return compute_cell_areas(gappy.latitude, gappy.longitude)


def _group_cells(
    gappy: GappyField, held_out: HeldOut, flat_index: np.ndarray
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Group held-out cells by kind and length of their gap; yield group, name and bool (cells,)."""
    number = held_out.number.reshape(-1)[flat_index]
    yield "all", "all", np.ones(number.size, bool)
    kinds = np.array([held_out.kinds.index(gap.kind) for gap in held_out.gaps])
    lengths = np.array([gap.days for gap in held_out.gaps])
    for k, kind in enumerate(held_out.kinds):
        yield "kind", kind, kinds[number - 1] == k
        lengths_of_kind = np.unique(lengths[kinds == k])
        for days in lengths_of_kind if lengths_of_kind.size > 1 else ():
            chosen = (kinds == k) & (lengths == days)
            yield "gap", f"{kind} of {days}", chosen[number - 1]
    missing = count_days_missing(gappy, held_out)
    for low, high in zip((0, *CLASS_ENDS), (*CLASS_ENDS, np.inf), strict=True):
        chosen = (missing > low) & (missing <= high)
        if chosen.any():
            first = low + 1
            name = str(first) if first == high else f"{first} to {high:g}"
            yield "days missing", name if np.isfinite(high) else f"{first} or more", chosen


def _score_group(
    runs: Sequence[MethodRun], cells: HeldOutCells, group: str, name: str, chosen: np.ndarray
) -> Iterator[ScoreRow]:
    """Score all methods on the chosen cells: on those each one fills, then on those that all fill."""
    finished_runs = [run for run in runs if run.refused is None]
    common = chosen.copy()
    for run in finished_runs:
        common &= np.isfinite(run.values)
    for run in finished_runs:
        yield _score_cells(run, cells, chosen, group, name, "own")
        yield _score_cells(run, cells, common, group, name, "common")


def _score_cells(
    run: MethodRun, cells: HeldOutCells, chosen: np.ndarray, group: str, name: str, basis: str
) -> ScoreRow:
    of_group, fill = cells.select(chosen), run.values[chosen]
    error = None if run.error is None else run.error[chosen]
    coverage = measure_coverage(fill, error, of_group)
    return ScoreRow(run.label, group, name, basis, measure(fill, of_group), coverage)


def _score_flags(run: MethodRun, cells: HeldOutCells) -> Iterator[ScoreRow]:
    """Score a method on the cells of every flag; with one flag only, the row of all cells is enough."""
    flags = np.unique(run.flag[np.isfinite(run.values)])
    for flag in flags if flags.size > 1 else ():
        chosen = (run.flag == flag) & np.isfinite(run.values)
        yield _score_cells(run, cells, chosen, "flag", FillFlag(flag).name.lower(), "own")


def _compare_methods(
    runs: Sequence[MethodRun],
    cells: HeldOutCells,
    groups: Sequence[tuple[str, str, np.ndarray]],
    held_out: HeldOut,
    against: str,
) -> Iterator[PairedRow]:
    """Compare the methods with the one labelled ``against`` on every group of cells."""
    finished_runs = {run.label: run for run in runs if run.refused is None}
    reference = finished_runs.get(against)
    if reference is None:
        return
    number = held_out.number[held_out.number > 0]
    for group, name, chosen in groups:
        truth, day = cells.truth[chosen].astype(np.float64), cells.day[chosen]
        # A gap on every map, such as a pole hole, does not set the length of the blocks.
        lengths = [held_out.gaps[n - 1].days for n in np.unique(number[chosen])]
        longest = max((days for days in lengths if days < len(held_out.number)), default=1)
        for run in finished_runs.values():
            if run.label == against:
                continue
            errors = run.values[chosen] - truth, reference.values[chosen] - truth
            days = np.unique(day[np.isfinite(errors[0]) & np.isfinite(errors[1])]).size
            # One and a half times the longest gap if there are enough days for four blocks.
            block_days = max(5, longest, min(3 * longest // 2, days // 4))
            for name_of_measure in ("rmse", "mae"):
                difference = compare_paired(
                    *errors, day, measure=name_of_measure, block_days=block_days, seed=held_out.seed
                )
                yield PairedRow(run.label, against, group, name, name_of_measure, difference)
