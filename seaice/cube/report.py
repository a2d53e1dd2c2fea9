"""The report of a consolidation: its days and its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from seaice.cube.batches import FinishedDay
from seaice.cube.file import CubeFile
from seaice.cube.recipe import Recipe
from seaice.cube.target import Target
from seaice.daily.folder import DailyGrids, DayRecord, describe_days
from seaice.flags import DayStatus, FillFlag
from seaice.gapfill.temporal import Temporal
from seaice.report import Report, format_count, listing


def report_complete(recipe: Recipe, days: DailyGrids, target: Target) -> Report:
    """The report of a run that found its cube complete; it has the lines of the run that wrote it."""
    lines, left_out = describe_days(_read_records(target, days), days.unnamed)
    inputs = "the same inputs"
    if target.append:
        since = target.date_range.end - timedelta(days=2 * recipe.method.reach - 1)
        inputs += f" (present days before {since} were not compared)"
    head = f"{target.path}: complete already, made with the same parameters from {inputs}"
    return Report([head, *lines], outputs=[target.path], left_out=left_out)


def report_written(
    written: Sequence[FinishedDay], recipe: Recipe, days: DailyGrids, target: Target
) -> Report:
    """The report of a run that wrote days; the days it lists are those of the whole cube."""
    date_range, grid = target.date_range, recipe.grid
    records = _read_records(target, days)
    lines, left_out = describe_days(records, days.unnamed)
    statuses = Counter(record.status for record in records)
    head = [
        f"{target.path}: {format_count(len(date_range), 'day')} {date_range} on {grid}",
        f"days: {statuses[DayStatus.PRESENT]} present, {statuses[DayStatus.ABSENT]} absent, "
        f"{statuses[DayStatus.REJECTED]} rejected",
        f"fill {recipe.method.name}: {recipe.method.describe(grid.kilometres)}",
    ]
    first = written[0].record.day
    if first > date_range.start:
        head.insert(1, f"written now: {first} to {date_range.end}; earlier days are unchanged")
    cells = _count_cells(written)
    total = sum(cells.values())
    for name, count in cells.items():
        head.append(f"  {name.replace('_', ' '):<20} {count:>12} cells {100 * count / total:7.3f} %")
    incomplete = [str(day.record.day) for day in written if day.counts["missing"]]
    if incomplete:
        lines.append(f"days with ocean cells left missing: {listing(incomplete)}")
    ends = _one_sided_ends(written, recipe, days, target)
    if ends:
        lines.append(f"filled from one side at the ends of the period: {listing(ends)}")
    return Report(head + lines, [], [target.path], {"cells": cells}, left_out)


def _count_cells(written: Sequence[FinishedDay]) -> dict[str, int]:
    """Cells by name over all days, in the order of the flags, then what is missing."""
    totals: Counter[str] = Counter()
    for day in written:
        totals.update(day.counts)
    names = [*(flag.meaning for flag in FillFlag), "missing", "missing_pole_hole"]
    return {name: totals[name] for name in names if name in totals}


def _read_records(target: Target, days: DailyGrids) -> list[DayRecord]:
    """Records of all days of the cube, those of earlier runs too."""
    with CubeFile(target.path) as cube:
        rows = zip(
            cube.dates,
            cube.variable("day_status"),
            cube.texts("day_reason"),
            cube.texts("input_file"),
            strict=True,
        )
        return [
            DayRecord(day, DayStatus(status), reason, days.is_special(day), file)
            for day, status, reason, file in rows
        ]


def _one_sided_ends(
    written: Sequence[FinishedDay], recipe: Recipe, days: DailyGrids, target: Target
) -> list[str]:
    """Days at the ends of the date range that could not look beyond it."""
    method = recipe.method
    if days.period != target.date_range or not isinstance(method, Temporal) or method.past_only:
        return []
    edge = timedelta(days=method.max_gap_days)
    first, last = target.date_range.start + edge, target.date_range.end - edge
    names = [flag.meaning for flag in FillFlag if flag.is_one_sided]
    one_sided = [day for day in written if any(day.counts.get(name) for name in names)]
    return [str(d.record.day) for d in one_sided if d.record.day < first or d.record.day > last]
