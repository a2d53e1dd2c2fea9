"""What a consolidation says of its days and its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta

from seaice.cube.batches import FinishedDay
from seaice.cube.file import CubeFile
from seaice.cube.job import (
    Job,
    describe_windows,
)
from seaice.daily.folder import (
    DayRecord,
    describe_days,
)
from seaice.flags import DayStatus
from seaice.report import Report, listing


def day_line(record: DayRecord, counts: dict[str, int]) -> str:
    """The log line of a finished day."""
    filled = sum(counts[k] for k in counts if k not in ("observed", "missing", "missing_pole_hole"))
    missing = counts["missing"] + counts["missing_pole_hole"]
    reason = f" ({record.reason})" if record.reason else ""
    return (
        f"{record.day} {record.status.name.lower()}{reason}: {counts['observed']} cells observed, "
        f"{filled} filled, {missing} missing"
    )


class Totals:
    """Counts over the days of a run."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self.incomplete: list[str] = []
        self.one_sided: list[date] = []

    @classmethod
    def of(cls, days: Iterable[FinishedDay]) -> Totals:
        """Count written days."""
        totals = cls()
        for made in days:
            totals.add(made.record, made.counts)
        return totals

    def add(self, record: DayRecord, counts: dict[str, int]) -> None:
        """Count one written day."""
        self.cells.update(counts)
        if counts["missing"]:
            self.incomplete.append(str(record.day))
        if counts["temporal_one_sided"] or counts["departure_one_sided"]:
            self.one_sided.append(record.day)


def already_done(job: Job, notes: list[str], *, append: bool) -> Report:
    """The report of a run that found its cube complete; it names what the first run named."""
    lines, failed = describe_days(_records(job))
    inputs = "the same inputs"
    if append:
        since = job.period.end - timedelta(days=2 * job.settings.reach - 1)
        inputs += f" (present days before {since} were not compared)"
    head = f"{job.output_file}: complete already, made with the same parameters from {inputs}"
    return Report([head, *lines, *notes], failed, [job.output_file])


def _records(job: Job) -> list[DayRecord]:
    """What the cube says of each of its days, those of earlier runs too."""
    with CubeFile(job.output_file) as cube:
        rows = zip(
            cube.dates,
            cube.variable("day_status"),
            cube.texts("day_reason"),
            cube.texts("input_file"),
            strict=True,
        )
        return [
            DayRecord(day, DayStatus(status), reason, job.days.is_special(day), file)
            for day, status, reason, file in rows
        ]


def finished(job: Job, totals: Totals, notes: list[str], written_from: date) -> Report:
    """The report of a run that wrote days; the days are those of the whole cube."""
    period, grid = job.period, job.settings.grid
    records = _records(job)
    lines, failed = describe_days(records)
    found = Counter(r.status for r in records)
    head = [
        f"{job.output_file}: {len(period)} days {period} on {grid}",
        f"days: {found[DayStatus.PRESENT]} present, {found[DayStatus.ABSENT]} absent, "
        f"{found[DayStatus.REJECTED]} rejected",
        f"fill {job.settings.parameters['method']}: {describe_windows(job.settings.parameters, grid)}",
    ]
    if written_from > period.start:
        head.insert(1, f"written now: {written_from} to {period.end}; earlier days are unchanged")
    total = sum(totals.cells.values())
    for name, count in totals.cells.items():
        head.append(f"  {name.replace('_', ' '):<20} {count:>12} cells {100 * count / total:7.3f} %")
    if totals.incomplete:
        lines.append(f"days with ocean cells left missing: {listing(totals.incomplete)}")
    ends = _one_sided_ends(job, totals)
    if ends:
        lines.append(f"filled from one side at the ends of the period: {listing(ends)}")
    return Report(head + lines + notes, failed, [job.output_file], {"cells": dict(totals.cells)})


def _one_sided_ends(job: Job, totals: Totals) -> list[str]:
    if job.days.period != job.period or job.settings.parameters.get("past_only"):
        return []
    edge = timedelta(days=job.settings.parameters.get("max_gap_days", 0))
    start, end = job.period.start, job.period.end
    return [str(d) for d in totals.one_sided if d < start + edge or d > end - edge]
