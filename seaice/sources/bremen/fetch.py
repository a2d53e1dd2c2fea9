"""Download of the University of Bremen daily grids: the stage behind download.py."""

from __future__ import annotations

import errno
import importlib.util
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from seaice import InputError, grids
from seaice.dates import (
    DateRange,
    parse_date,
)
from seaice.download.manifest import NAME as MANIFEST_NAME
from seaice.download.manifest import Manifest
from seaice.download.mirrors import MIRROR_POLICY
from seaice.download.partial_file import (
    PartialFile,
    strip_login,
)
from seaice.grids import Grid
from seaice.report import Progress, Report, format_count
from seaice.runtime.threads import work_off
from seaice.settings import install_command
from seaice.sources.bremen import names as bremen
from seaice.sources.bremen.names import (
    DayFile,
    Form,
    Sensor,
)
from seaice.sources.bremen.worker import (
    DayWorker,
    Outcome,
    Task,
    record_absence,
)

logger = logging.getLogger(__name__)

# Upstream publishes 3.125 and 6.25 km; the coarser ones are for trials on own servers.
GRIDS = tuple(name for name in grids.list_grid_ids() if name[0] in "ns")
FORMS: tuple[Form, ...] = ("nc", "hdf", "tif")
_FIRST_DELAY = MIRROR_POLICY.delay  # tests make it short
# Sizes of real files: n6250 nc 0.26-0.53, hdf 0.39, s6250 hdf 0.53, n6250 tif 0.1 bytes a cell.
_BYTES_PER_CELL: dict[str, float] = {"nc": 0.45, "hdf": 0.45, "tif": 0.1}
# From so many files in the manifest their mean size is a better guess.
_ENOUGH_FILES = 5
# Outcomes of days, in log lines.
_WORDS = {
    "downloaded": "downloaded",
    "updated": "changed upstream, fetched again",
    "there": "kept",
    "absent": "absent upstream, as known",
    "missing": "not upstream",
    "unpublished": "not published yet",
    "failed": "failed",
}
_ABSENT = ("missing", "unpublished")


def fetch_days(
    *,
    start_date: date,
    end_date: date,
    output_dir: Path,
    grid: str = "n3125",
    sensor: Literal["auto", "AMSR2", "AMSR-E"] = "auto",
    form: Form = "nc",
    base_url: Sequence[str] | None = None,
    force: bool = False,
    update: bool = False,
    check: bool = False,
    processes: int = 4,
    retries: int = 6,
    timeout: float = 30.0,
    dry_run: bool = False,
    default_hosts: Sequence[str] = (),
) -> Report:
    """Download every day of a date range into a folder, each file whole and verified.

    Parameters
    ----------
    start_date, end_date : date
        First and last day.
    output_dir : Path
        Receives the files, named as upstream, and ``manifest.jsonl``. Made if missing.
    grid : str
        Bremen grid, such as ``n3125`` or ``s6250``.
    sensor : {"auto", "AMSR2", "AMSR-E"}
        ``auto`` takes the sensor that measured on each day.
    form : {"nc", "hdf", "tif"}
        NetCDF, or its HDF4 or GeoTIFF sibling.
    base_url : sequence of str, optional
        Hosts in order of preference, http or https, with the layout of the archive below.
    force : bool
        Fetch every day again; a file is replaced when its successor is complete.
    update : bool
        Fetch days again that changed upstream.
    check : bool
        Compare the SHA-256 of the files already there with the manifest.
    processes : int
        Files fetched at the same time.
    retries : int
        Further attempts per host after a time-out, a broken connection or an answer
        that asks for patience.
    timeout : float
        Longest silence of a server, seconds.
    dry_run : bool
        Only say what would be fetched.
    default_hosts : sequence of str
        Taken where ``base_url`` is not given; by default :data:`seaice.sources.bremen.names.HOSTS`.

    Returns
    -------
    Report
        ``left_out`` names the days that are not upstream, except those known to be absent there;
        ``failed`` those that could not be fetched.

    Raises
    ------
    InputError
        If nothing can be asked for or the disk cannot hold it.
    """
    date_range = DateRange(parse_date(start_date), parse_date(end_date))
    folder = _check_folder(Path(output_dir))
    task = Task(
        folder=folder,
        grid=_get_grid(grid),
        hosts=_check_hosts(base_url or default_hosts or bremen.HOSTS),
        manifest=Manifest(folder),
        absent=bremen.read_special_days().absent,
        today=_today(),
        force=force,
        update=update,
        check=check,
        policy=replace(MIRROR_POLICY, retries=retries, delay=_FIRST_DELAY, timeout=timeout),
    )
    _check_form(form)
    plan = make_plan(task, date_range, sensor=sensor, form=form)
    if len(plan.impossible) == len(date_range):
        raise InputError(f"nothing to fetch: {'; '.join(_group_by_reason(plan.impossible))}")
    for line in _group_by_reason(plan.impossible):
        logger.warning("%s", line)
    if dry_run:
        return _describe_plan(task, plan)
    _prepare_folder(task, plan)
    start = time.monotonic()
    outcomes, reason = _fetch_all(task, plan, threads=processes)
    is_right_address = _has_any_file(task, plan, outcomes)
    if is_right_address:
        _record_absences(task, plan, outcomes)
    report = _report(task, plan, outcomes, reason, seconds=time.monotonic() - start)
    if not is_right_address and not report.failed and any(o.kind in _ABSENT for o in outcomes):
        addresses = " and ".join(map(strip_login, task.hosts))
        report.failed.append(
            f"not one file of {plan.grid_id} was found at {addresses}: is the address right "
            "(--base_url), the grid, the period?"
        )
    return report


def _today() -> date:
    return datetime.now(UTC).date()


def _check_folder(folder: Path) -> Path:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"expected a folder for the files, but {existing} is a file; choose another")
    return folder


def _get_grid(grid: str) -> Grid:
    if grid not in GRIDS:
        raise InputError(f"unknown Bremen grid {grid!r}; known are {', '.join(GRIDS)}")
    return grids.get_grid(grid)


def _check_hosts(addresses: Iterable[str]) -> list[str]:
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InputError(
                "expected a host as http://NAME/PATH or https://NAME/PATH, without query, found "
                f"{strip_login(address)!r}; correct --base_url or SEAICE_BREMEN_HOSTS"
            )
    return list(dict.fromkeys(addresses))


def _check_form(form: Form) -> None:
    if form not in FORMS:
        raise InputError(f"unknown form {form!r}; known are {', '.join(FORMS)}")
    if form == "hdf" and importlib.util.find_spec("pyhdf") is None:
        raise InputError(
            f"checking HDF4 files needs pyhdf: {install_command('pyhdf')} "
            "(or take the NetCDF form, --form nc)"
        )


def _describe_plan(task: Task, plan: Plan) -> Report:
    report = Report(lines=[strip_login(task.list_urls(file)[0]) for file in plan.to_do])
    size = estimate_bytes(task, plan)
    report.lines.append(
        f"would ask for {format_count(len(plan.to_do), 'file')} (at most about "
        f"{_format_bytes(size)}) for "
        f"{task.folder}; {len(plan.recorded)} already there, {len(plan.absent)} known to be absent "
        "upstream"
    )
    report.left_out = _group_by_reason(plan.impossible)
    report.values = {"to_do": len(plan.to_do), "there": len(plan.recorded), "bytes": size}
    return report


def _prepare_folder(task: Task, plan: Plan) -> None:
    """Create the folder and compare its free space with the bytes to fetch."""
    task.folder.mkdir(parents=True, exist_ok=True)
    if plan.to_do and not os.access(task.folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(task.folder))
    need, free = estimate_bytes(task, plan), shutil.disk_usage(task.folder).free
    # The estimate is good to a factor of two: refuse only what is certain not to fit.
    if need / 2 > free:
        raise InputError(
            f"{format_count(len(plan.to_do), 'file')} need about {_format_bytes(need)}, {task.folder} "
            f"has {_format_bytes(free)} free; make space, choose another --output_dir or "
            "a shorter period"
        )
    if need > free:
        logger.warning(
            "about %s needed, %s free: the disk may become full",
            _format_bytes(need),
            _format_bytes(free),
        )
    logger.info(
        "%s to ask for, about %s, %s free; %d already there, %d known to be absent upstream",
        format_count(len(plan.to_do), "file"),
        _format_bytes(need),
        _format_bytes(free),
        len(plan.recorded),
        len(plan.absent),
    )


def _fetch_all(task: Task, plan: Plan, *, threads: int) -> tuple[list[Outcome], str]:
    """Fetch the days of a plan; returns their outcomes, and why the run ended early if it did."""
    names = {file.day: file.name for file in plan.to_do}
    outcomes: list[Outcome] = []
    reason, silent = "", 0
    with (
        closing(work_off(plan.to_do, _make_starter(task), threads=threads, stop=task.stop)) as results,
        Progress(total=len(plan.to_do), label="download", logger=logger) as progress,
    ):
        for outcome in results:
            if outcome.kind == "stopped":
                continue
            outcomes.append(outcome)
            text = f": {outcome.text}" if outcome.text else ""
            progress.unit(f"{names[outcome.day]}: {_WORDS[outcome.kind]}{text}")
            silent = silent + 1 if outcome.unreachable else 0
            if outcome.fatal and not reason:
                reason = outcome.text
            elif silent >= _limit_silence(threads, any_answered=task.pauses.any_answered) and not reason:
                reason = f"no host gave an answer for {silent} files in a row"
            if reason:
                task.stop.set()
    return outcomes, reason


def _has_any_file(task: Task, plan: Plan, outcomes: Sequence[Outcome]) -> bool:
    """Whether any file of the grid has ever come: an address without one may be a wrong one."""
    if plan.recorded or any(outcome.kind in ("downloaded", "updated", "there") for outcome in outcomes):
        return True
    fetched = (DayFile.parse(record.name) for record in task.manifest if not record.absent)
    return any(file is not None and file.grid_id == plan.grid_id for file in fetched)


def _record_absences(task: Task, plan: Plan, outcomes: Sequence[Outcome]) -> None:
    files = {file.day: file for file in plan.to_do}
    for outcome in outcomes:
        if outcome.everywhere:
            record_absence(task.manifest, files[outcome.day])


def _limit_silence(threads: int, *, any_answered: bool) -> int:
    """Return after how many files in a row without an answer a run ends.

    Each has been tried for about a minute; an outage of some minutes shall not end the
    run of a night, but without a network at the beginning it ends soon.
    """
    return max(16, 4 * threads) if any_answered else max(4, threads)


def _make_starter(task: Task) -> Callable[[], DayWorker]:
    return lambda: DayWorker(task)


def _report(task: Task, plan: Plan, outcomes: list[Outcome], reason: str, *, seconds: float) -> Report:
    report = Report()
    counts = Counter(str(outcome.kind) for outcome in outcomes)
    counts["there"] += len(plan.recorded)
    counts["absent"] += len(plan.absent)
    tried = {outcome.day for outcome in outcomes}
    not_tried = {f.day: f"not tried: {reason}" for f in plan.to_do if f.day not in tried}
    absences = {o.day: _explain_outcome(o) for o in outcomes if o.kind in _ABSENT} | plan.impossible
    failures = {o.day: o.text for o in outcomes if o.kind == "failed"} | not_tried
    received = sum(outcome.received for outcome in outcomes)
    summary = [f"{counts['downloaded']} downloaded", f"{counts['there']} already there"]
    if counts["updated"]:
        summary.append(f"{counts['updated']} changed upstream and fetched again")
    if counts["absent"]:
        summary.append(f"{counts['absent']} absent upstream as known")
    if absences:
        summary.append(f"{len(absences)} not upstream")
    summary.append(f"{len(failures)} failed")
    days = format_count(len(plan.date_range), "day")
    report.lines.append(f"{plan.grid_id}, {plan.date_range}, {days}: {', '.join(summary)}")
    if received:
        rate = _format_bytes(received / max(seconds, 1e-3))
        report.lines.append(f"{_format_bytes(received)} received in {seconds:.0f} s ({rate}/s)")
    if counts["downloaded"] + counts["there"] + counts["updated"]:
        report.lines.append(f"files and {MANIFEST_NAME} are in {task.folder}")
    absent = plan.absent | {o.day: o.text for o in outcomes if o.kind == "absent"}
    report.lines += [f"absent upstream, as known: {line}" for line in _group_by_reason(absent)]
    report.left_out = _group_by_reason(absences)
    report.failed = _group_by_reason(failures)
    present = {o.day for o in outcomes if o.kind in ("downloaded", "updated", "there")}
    files = plan.recorded + [file for file in plan.to_do if file.day in present]
    report.outputs = [task.locate(file) for file in sorted(files, key=lambda f: f.day)]
    report.values = {**counts, "failed": len(failures), "bytes": received}
    return report


def _explain_outcome(outcome: Outcome) -> str:
    if outcome.kind == "unpublished":
        return (
            f"not published yet: a day appears early on the next day (UTC), run the same command later; "
            f"{outcome.text}"
        )
    return f"not upstream: {outcome.text}"


def _group_by_reason(reasons: dict[date, str]) -> list[str]:
    """Return one line for each run of consecutive days with one reason.

    Reasons that differ only in the day's own address are one; the first is shown.

    Examples
    --------
    >>> _group_by_reason({date(2024, 1, 1): "lost", date(2024, 1, 2): "lost", date(2024, 1, 4): "lost"})
    ['2024-01-01 to 2024-01-02 (2 days): lost', '2024-01-04: lost']
    """
    runs: list[list[date]] = []
    for day in sorted(reasons):
        last = runs[-1][-1] if runs else None
        follows = last is not None and day - last == timedelta(days=1)
        if last is not None and follows and _generalise(reasons[day]) == _generalise(reasons[last]):
            runs[-1].append(day)
        else:
            runs.append([day])
    lines = []
    for run in runs:
        days = f"{run[0]} to {run[-1]} ({len(run)} days)" if len(run) > 1 else f"{run[0]}"
        lines.append(f"{days}: {reasons[run[0]]}")
    return lines


def _generalise(reason: str) -> str:
    return " ".join(word for word in reason.split() if "://" not in word)


def _format_bytes(count: float) -> str:
    """Format a number of bytes: 950 kB, 4.1 MB, 1.7 GB."""
    for factor, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"


@dataclass
class Plan:
    """Every day of the date range in one of four lists.

    Attributes
    ----------
    date_range : DateRange
    grid_id, form : str
        Id of the grid and form (nc, hdf or tif) of all files.
    to_do : list of DayFile
        Files to fetch, or to compare with those of the server.
    recorded : list of DayFile
        Files that are in the manifest, and in the folder with the size in the manifest.
    absent : dict of date to str
        Days that are listed as absent on the server and not asked for, with reasons.
    impossible : dict of date to str
        No file can exist; with reasons.
    """

    date_range: DateRange
    grid_id: str
    form: Form
    to_do: list[DayFile] = field(default_factory=list)
    recorded: list[DayFile] = field(default_factory=list)
    absent: dict[date, str] = field(default_factory=dict)
    impossible: dict[date, str] = field(default_factory=dict)


def make_plan(task: Task, date_range: DateRange, *, sensor: str, form: Form) -> Plan:
    """Sort the days of a date range; see :class:`Plan`."""
    plan = Plan(date_range, task.grid.id, form)
    ask_again = task.force or task.update
    for day in date_range:
        reason = _explain_impossible(day, sensor, task)
        measured_by = _find_sensor(day, sensor)
        if sensor == "auto" and measured_by is None and day in task.absent:
            plan.absent[day] = task.absent[day]
        elif measured_by is None or reason:
            plan.impossible[day] = reason
        else:
            file = DayFile(measured_by, task.grid.id, day, bremen.VERSION, form)
            record = task.manifest.get(file.name)
            if day in task.absent and record is not None and record.absent and not ask_again:
                plan.absent[day] = task.absent[day]
            elif not ask_again and not task.check and task.is_recorded(file):
                plan.recorded.append(file)
            else:
                plan.to_do.append(file)
    return plan


def _find_sensor(day: date, sensor: str) -> Sensor | None:
    for name, first in bremen.FIRST_DAY.items():
        if sensor in ("auto", name) and first <= day <= bremen.LAST_DAY[name]:
            return name
    return None


def _explain_impossible(day: date, sensor: str, task: Task) -> str:
    """Explain why no file of this day can exist; empty if one can."""
    if day > task.today:
        return f"in the future (today is {task.today} UTC)"
    name: Sensor = "AMSR2" if sensor == "AMSR2" else "AMSR-E"
    if day < bremen.FIRST_DAY[name]:
        return f"before the first day of the {name} record, {bremen.FIRST_DAY[name]}"
    if sensor == "AMSR-E" and day > bremen.LAST_DAY[name]:
        return f"after the last day of the AMSR-E record, {bremen.LAST_DAY[name]}"
    return ""


def estimate_bytes(task: Task, plan: Plan) -> int:
    """Estimate the bytes that the files to fetch take beyond the files they replace."""
    sizes = []
    for record in task.manifest:
        file = DayFile.parse(record.name)
        if file and record.size and (file.grid_id, file.form) == (plan.grid_id, plan.form):
            sizes.append(record.size)
    typical = task.grid.rows * task.grid.columns * _BYTES_PER_CELL[plan.form]
    if len(sizes) >= _ENOUGH_FILES:
        typical = sum(sizes) / len(sizes)
    need = 0.0
    for file in plan.to_do:
        path = task.locate(file)
        existing = path.stat().st_size if path.is_file() else 0
        need += max(0.0, typical - existing - PartialFile(path).size)
    return round(need)
