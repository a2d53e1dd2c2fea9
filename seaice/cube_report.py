"""What a consolidation says of its days and its cells."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

from seaice.cube_file import CubeFile
from seaice.cube_job import Job
from seaice.cube_writer import describe_windows
from seaice.daily import DayRecord, describe_days
from seaice.masks import DayStatus
from seaice.report import Report, listing


def day_line(record: DayRecord, counts: dict[str, int]) -> str:
    """The log line of a finished day."""
    filled = sum(counts[k] for k in counts if k not in ("observed", "missing", "missing_pole_hole"))
    missing = counts["missing"] + counts["missing_pole_hole"]
    return (
        f"{record.day} {record.status.name.lower()}: {counts['observed']} cells observed, "
        f"{filled} filled, {missing} missing {record.reason}"
    ).rstrip()


class Totals:
    """Counts over the days of a run."""

    def __init__(self) -> None:
        self.records: list[DayRecord] = []
        self.cells: Counter[str] = Counter()
        self.incomplete: list[str] = []
        self.one_sided: list[date] = []

    def add(self, record: DayRecord, counts: dict[str, int]) -> None:
        """Count one written day."""
        self.records.append(record)
        self.cells.update(counts)
        if counts["missing"]:
            self.incomplete.append(str(record.day))
        if counts["temporal_one_sided"]:
            self.one_sided.append(record.day)


def already_done(job: Job, notes: list[str]) -> Report:
    """The report of a run that found its cube complete; it names what the first run named."""
    records = []
    with CubeFile(job.output_file) as cube:
        status, reasons = cube.variable("day_status"), cube.texts("day_reason")
        for i, (day, file) in enumerate(zip(cube.dates, cube.texts("input_file"), strict=True)):
            known = job.days.is_known(day)
            records.append(DayRecord(day, DayStatus(status[i]), reasons[i], known, file))
    lines, failed = describe_days(records)
    head = f"{job.output_file}: complete already, made with the same parameters from the same inputs"
    return Report([head, *lines, *notes], failed, [job.output_file])


def finished(job: Job, totals: Totals, notes: list[str], redone_from: date | None) -> Report:
    """The report of a run that wrote days."""
    period, grid = job.period, job.settings.grid
    lines, failed = describe_days(totals.records)
    found = Counter(r.status for r in totals.records)
    head = [
        f"{job.output_file}: {len(period)} days {period} on {grid}",
        f"days: {found[DayStatus.PRESENT]} present, {found[DayStatus.ABSENT]} absent, "
        f"{found[DayStatus.REJECTED]} rejected",
        f"fill {job.settings.parameters['method']}: {describe_windows(job.settings.parameters, grid)}",
    ]
    if redone_from is not None and redone_from > period.start:
        head.insert(1, f"written now: {redone_from} to {period.end}; earlier days are unchanged")
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
    edge = timedelta(days=job.settings.parameters.get("max_gap_days", 0))
    start, end = job.period.start, job.period.end
    return [str(d) for d in totals.one_sided if d < start + edge or d > end - edge]
