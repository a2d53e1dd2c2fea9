"""Collecting the swaths of a period into an archive: search, fetch, extract, put together."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from seaice import (
    InputError,
    cf,
)
from seaice.dates import parse_timestamp
from seaice.download.retry import RetryPolicy
from seaice.report import Progress, Report, listing
from seaice.runtime import atomic_write
from seaice.runtime.threads import work_off
from seaice.sources.amsr2.catalogue import (
    Listed,
    Orbit,
    account,
    gaps,
    newest,
    now,
    search_granules,
)
from seaice.sources.amsr2.channels import as_channels
from seaice.sources.amsr2.l1b import (
    DEFAULT_CHANNELS,
    GranuleName,
    Overlap,
    list_granules,
    start_of,
)
from seaice.sources.amsr2.sftp import LoginGate
from seaice.sources.amsr2.swath import as_utc
from seaice.swaths.archive import (
    LAYOUTS,
    SUFFIXES,
    ArchiveName,
    format_period,
    load_swaths,
)
from seaice.swaths.archive.checkpoint import (
    Checkpoints,
    locate_checkpoints,
)
from seaice.swaths.granule_worker import (
    GranuleWorker,
    Outcome,
    Task,
)

logger = logging.getLogger(__name__)

Layout = Literal["swath_array", "hdf5"]
MOST_THREADS = 16
KEPT_DIR = "l1b"  # folder of the granules that are kept

_IN_A_ROW = 10  # failures after which a careful run stops
_REFERENCES = "JAXA GCOM-W1 AMSR2 Level 1B brightness temperatures, https://gportal.jaxa.jp"


def collect_swaths(
    *,
    start: datetime | str,
    end: datetime | str,
    output_dir: Path,
    input_dir: Path | None = None,
    channels: Sequence[str] = DEFAULT_CHANNELS,
    coordinates: bool = True,
    layout: Layout = "swath_array",
    orbit: Orbit = "both",
    bbox: Sequence[float] | None = None,
    overlap: Overlap = "trim",
    threads: int = 4,
    save_interval: int = 100,
    max_retries: int = 3,
    retry_delay: float = 5.0,
    timeout: float = 60.0,
    robust: bool = False,
    keep_hdf5: bool = False,
    username: str | None = None,
    password: str | None = None,
    ask: Callable[[str, bool], str] | None = None,
) -> Report:
    """Collect the AMSR2 L1B swaths of a period into one archive.

    Every finished granule is on the disk at once, and the same call continues after a kill
    or a failure. An archive that lacks granules is called ``..._incomplete`` and lists them.

    Parameters
    ----------
    start, end : datetime or str
        First and last second, UTC; a date alone means its first and its last second.
    output_dir : Path
        Made where it does not exist.
    input_dir : Path, optional
        Folder of L1B granules to take instead of fetching them; they stay.
    channels : sequence of str
        Such as "36.5H"; see :data:`seaice.sources.amsr2.channels.CHANNELS`.
    coordinates : bool
        Positions as well, co-registered for every frequency.
    layout : {"swath_array", "hdf5"}
        See :mod:`seaice.swaths.archive`.
    orbit : {"A", "D", "both"}
        Ascending or descending half orbits.
    bbox : sequence of four float, optional
        West, south, east, north, degrees: only granules that meet it.
    overlap : {"trim", "keep"}
        Scans before and after the nominal part, which the neighbour granules have too.
    threads : int
        Granules worked on at a time, 1..16, each with its own connection.
    save_interval : int
        Say after so many granules what is done and how long the rest will take.
    max_retries : int
        Further attempts at a granule.
    retry_delay : float
        Seconds before the first of them; doubled each time.
    timeout : float
        Longest silence of a server, seconds.
    robust : bool
        One granule at a time, with a pause after each; stops after 10 failures in a row.
    keep_hdf5 : bool
        Keep the granules in ``output_dir/l1b``.
    username, password : str, optional
        G-Portal account; else from ~/.netrc, else asked for.
    ask : callable, optional
        Asks a person; takes the question and whether the answer is secret.

    Returns
    -------
    Report
        ``values``: granules ``listed``, ``done``, ``failed``, ``absent``, ``received`` bytes.

    Raises
    ------
    InputError
        If there is nothing to collect, no account, or an archive of other parameters.
    """
    request = Request(
        start=parse_timestamp(start),
        end=parse_timestamp(end, last=True),
        input_dir=input_dir,
        channels=tuple(channel.name for channel in as_channels(channels)),
        coordinates=coordinates,
        layout=layout,
        orbit=orbit,
        bbox=tuple(bbox) if bbox else None,
        overlap=overlap,
    )
    request.check()
    retry_policy = RetryPolicy(retries=max_retries, delay=retry_delay, timeout=timeout)
    with atomic_write.exclusive(request.path(_made(output_dir))):
        earlier = earlier_archive(request, output_dir)
        if earlier and earlier.is_settled:
            return _without_leftovers(request, output_dir, earlier)
        listed = wanted_granules(request, retry_policy)
        if earlier and earlier.holds(listed):
            return _without_leftovers(request, output_dir, earlier)
        door = None
        if input_dir is None:
            door = LoginGate(*account(username, password, ask=ask), timeout=timeout)
        collection = _Collection(request, output_dir, listed)
        task = Task(
            checkpoints=collection.checkpoints,
            channels=request.channels,
            coordinates=coordinates,
            overlap=overlap,
            keep=_made(output_dir / KEPT_DIR) if keep_hdf5 and door else None,
            door=door,
            retry_policy=retry_policy,
            careful=robust,
        )
        collection.work(
            task, threads=1 if robust else min(threads, MOST_THREADS), interval=save_interval
        )
        return collection.finish()


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"expected a folder, or a place where one can be made, found a file: {folder}; choose "
            "another"
        ) from None
    return folder


def _without_leftovers(request: Request, output_dir: Path, earlier: Earlier) -> Report:
    """The report of a finished archive, which a kill may have left with what came before it."""
    request.path(output_dir, complete=False).unlink(missing_ok=True)
    shutil.rmtree(locate_checkpoints(earlier.path), ignore_errors=True)
    return earlier.report()


class _Collection:
    """The granules of a run and what became of them."""

    def __init__(self, request: Request, output_dir: Path, listed: list[Listed]) -> None:
        self._request = request
        self._output_dir = output_dir
        self._listed = listed
        self._ids = [granule.granule_id for granule in listed]
        self._asked = now()
        self._received = 0
        self._not_tried = ""  # why some were not
        path = request.path(output_dir)
        self.checkpoints = Checkpoints(path, layout=request.layout, parameters=request.parameters)
        self._take_over(path)

    def _take_over(self, path: Path) -> None:
        """Use the swaths of an earlier archive of this name that lacks what came since."""
        if not path.exists():
            return
        with load_swaths(path) as swaths:
            for index, entry in enumerate(swaths.entries):
                name = str(entry.get("granule_id"))
                if name in self._ids and not self.checkpoints.is_done(name):
                    self.checkpoints.add(swaths[index])

    def work(self, task: Task, *, threads: int, interval: int) -> None:
        """Fetch and extract what is not done."""
        waiting = [
            granule for granule in self._listed if not self.checkpoints.is_done(granule.granule_id)
        ]
        there = len(self._listed) - len(waiting)
        logger.info("%d granules listed, %d of them done before", len(self._listed), there)
        pace = _Pace(total=len(self._listed), done=there, interval=interval)
        in_a_row = 0
        with (
            Progress(total=len(waiting), label="granules", logger=logger) as progress,
            contextlib.closing(
                work_off(waiting, lambda: GranuleWorker(task), threads=threads, stop=task.stop)
            ) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.kind == "stopped":
                    continue
                self._take(outcome)
                progress.unit(f"{outcome.granule_id}: {outcome.kind}: {outcome.text}")
                pace.count(outcome, progress_logger=logger)
                in_a_row = in_a_row + 1 if outcome.kind == "failed" else 0
                if outcome.fatal:
                    self._not_tried = outcome.text
                elif task.careful and in_a_row >= _IN_A_ROW:
                    self._not_tried = f"stopped after {_IN_A_ROW} failures in a row"
                    task.stop.set()

    def _take(self, outcome: Outcome) -> None:
        self._received += outcome.received
        if outcome.kind in ("failed", "absent"):
            state: Literal["failed", "absent"] = "failed" if outcome.kind == "failed" else "absent"
            with contextlib.suppress(OSError):  # of a full disk the report says enough
                self.checkpoints.note(outcome.granule_id, state, outcome.text)

    def finish(self) -> Report:
        """Put the archive together and say what is in it and what is not."""
        request = self._request
        done = [name for name in self._ids if self.checkpoints.is_done(name)]
        missing = self._missing()
        report = Report()
        states = [entry["state"] for entry in missing]
        report.values |= {
            "listed": len(self._ids),
            "done": len(done),
            "failed": states.count("failed"),
            "absent": states.count("absent"),
            "received": self._received,
        }
        report.failed += _grouped(missing)
        if not done:
            report.failed.append(f"no swath of {len(self._ids)} was collected; no archive is written")
            return report
        path = request.path(self._output_dir, complete=not missing)
        title = f"AMSR2 L1B brightness temperatures, {', '.join(request.channels)}"
        with atomic_write.atomic(path, verify=_opens, locked=not missing) as part:
            self.checkpoints.assemble(part, done, self._info(title, missing))
        if missing:
            lacking = len(self._ids) - len(done)
            text = f"lacks {lacking} of {len(self._ids)} granules: the same command continues"
            if not lacking:
                text = "has gaps: add granules to the folder and run the same command again"
            report.failed.append(f"{path.name} {text}")
        else:
            request.path(self._output_dir, complete=False).unlink(missing_ok=True)
            self.checkpoints.remove()
        report.outputs.append(path)
        megabytes = path.stat().st_size / 1e6
        report.lines.append(f"{path}: {len(done)} of {len(self._ids)} granules, {megabytes:.1f} MB")
        return report

    def _missing(self) -> list[dict[str, str]]:
        missing = self.checkpoints.list_missing(self._ids)
        if self._not_tried:
            missing = [
                {**entry, "reason": f"not tried: {self._not_tried}"}
                if entry["reason"] == "not tried"
                else entry
                for entry in missing
            ]
        if self._request.input_dir is not None:
            request = self._request
            for before, after in gaps(
                self._listed, start=request.start, end=request.end, orbit=request.orbit
            ):
                text = f"no granule between {before:%Y-%m-%d %H:%M} and {after:%Y-%m-%d %H:%M}"
                missing.append({"granule_id": "", "state": "gap", "reason": text})
        return missing

    def _info(self, title: str, missing: list[dict[str, str]]) -> dict[str, Any]:
        """What the archive says about itself."""
        request = self._request
        attributes = cf.global_attributes(
            title=title,
            summary="Swaths as they were measured, one for each half orbit, in order of time.",
            source="AMSR2 on GCOM-W1, product L1SGBTBR of JAXA",
            stage="collect_swaths",
            parameters=request.parameters,
            references=_REFERENCES,
            call={"start": request.start.isoformat(), "end": request.end.isoformat()},
        )
        return {
            **attributes,
            "parameters": request.parameters,
            "period": format_period(request.start, request.end),
            "complete": not missing,
            "granules_listed": len(self._ids),
            "missing": missing,
            "catalogue_asked": self._asked,
        }


def _opens(path: Path) -> None:
    with load_swaths(path) as swaths:
        if not len(swaths):
            raise InputError(f"no swath was written: {path}")


def _grouped(missing: list[dict[str, str]]) -> list[str]:
    """One line for each reason, with the granules that share it."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for entry in missing:
        reason = (
            entry["reason"].replace(entry["granule_id"], "…") if entry["granule_id"] else entry["reason"]
        )
        by_reason.setdefault((entry["state"], reason), []).append(entry["granule_id"])
    lines = []
    for (state, reason), names in by_reason.items():
        said = "" if state == "failed" else f"{state}: "  # «failed» stands before every line
        lines.append(f"{said}{listing(names)}: {reason}" if names[0] else f"{said}{reason}")
    return lines


class _Pace:
    """Says now and then how far the run is."""

    def __init__(self, *, total: int, done: int, interval: int) -> None:
        self._total, self._before, self._interval = total, done, interval
        self._done = self._other = self._received = self._kept = 0
        self._began = time.monotonic()

    def count(self, outcome: Outcome, *, progress_logger: logging.Logger) -> None:
        """Count an outcome; every so often log the state."""
        self._done += outcome.kind == "done"
        self._other += outcome.kind != "done"
        self._received += outcome.received
        self._kept += outcome.kept
        finished = self._done + self._other
        if finished % self._interval:
            return
        seconds = time.monotonic() - self._began
        left = (self._total - self._before - finished) * seconds / finished
        progress_logger.info(
            "%d of %d granules are safe on the disk (%.1f MB now), %d failed or absent; "
            "%.1f MB/s; about %s left",
            self._before + self._done,
            self._total,
            self._kept / 1e6,
            self._other,
            self._received / 1e6 / max(seconds, 1e-9),
            str(timedelta(seconds=round(left))),
        )


# So long after its end a period of the catalogue gets no further granules.
_SETTLED = timedelta(days=30)


@dataclass(frozen=True)
class Request:
    """What is to be collected; see :func:`collect_swaths`."""

    start: datetime
    end: datetime
    input_dir: Path | None
    channels: tuple[str, ...]
    coordinates: bool
    layout: str
    orbit: Orbit
    bbox: tuple[float, ...] | None
    overlap: Overlap

    def check(self) -> None:
        """Refuse what cannot be collected.

        Raises
        ------
        InputError
            If the parts of the request contradict each other.
        """
        if self.end < self.start:
            raise InputError(
                f"the period ends ({self.end}) before it starts ({self.start}); exchange the two"
            )
        if self.layout not in LAYOUTS:
            raise InputError(f"expected a layout out of {', '.join(LAYOUTS)}, found {self.layout!r}")
        if self.input_dir and self.bbox:
            raise InputError(
                "--bbox chooses in the catalogue of G-Portal; it does nothing for --input_dir"
            )
        if self.bbox and not -90 <= self.bbox[1] <= self.bbox[3] <= 90:
            raise InputError(
                f"expected the box as west south east north, south below north, found {self.bbox}"
            )

    def path(self, folder: Path, *, complete: bool = True) -> Path:
        """Where the archive belongs."""
        name = ArchiveName(self.start, self.end, self.coordinates, complete)
        return folder / f"{name.stem}{SUFFIXES[self.layout]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """What the content of the archive depends on besides the period."""
        return {
            "channels": list(self.channels),
            "coordinates": self.coordinates,
            "layout": self.layout,
            "orbit": self.orbit,
            "bbox": list(self.bbox) if self.bbox else None,
            "overlap": self.overlap,
            "from": "folder" if self.input_dir else "G-Portal",
        }


@dataclass(frozen=True)
class Earlier:
    """An archive that a former run has finished.

    Attributes
    ----------
    path : Path
    granule_ids : frozenset of str
    is_settled : bool
        Nothing can have come since; the catalogue need not be asked.
    """

    path: Path
    granule_ids: frozenset[str]
    is_settled: bool

    def holds(self, listed: list[Listed]) -> bool:
        """Whether all of these are in it."""
        return self.granule_ids.issuperset(granule.granule_id for granule in listed)

    def report(self) -> Report:
        """What the run says that finds nothing to do."""
        count = len(self.granule_ids)
        report = Report(outputs=[self.path])
        report.values |= {"listed": count, "done": count, "failed": 0, "absent": 0, "received": 0}
        report.lines.append(f"{self.path}: complete already, {count} swaths")
        return report


def earlier_archive(request: Request, output_dir: Path) -> Earlier | None:
    """The archive that is there already under the name of a request.

    Raises
    ------
    InputError
        If it is damaged, or was made with other parameters.
    """
    path = request.path(output_dir)
    if not path.exists():
        return None
    try:
        with load_swaths(path) as swaths:
            info, there = swaths.info, {str(entry.get("granule_id")) for entry in swaths.entries}
    except InputError as error:
        raise InputError(f"{error}; move it away and run the same command again") from None
    if info.get("parameters") != request.parameters:
        found = {
            k: v for k, v in (info.get("parameters") or {}).items() if v != request.parameters.get(k)
        }
        raise InputError(
            f"{path} was made with other parameters ({json.dumps(found)}): choose another --output_dir, "
            "or move the file away"
        )
    asked = as_utc(str(info.get("catalogue_asked") or "1970-01-01"))
    is_settled = request.input_dir is None and asked - request.end >= _SETTLED
    return Earlier(path, frozenset(there), is_settled)


def wanted_granules(request: Request, retry_policy: RetryPolicy) -> list[Listed]:
    """What should be in the archive, in order of time."""
    if request.input_dir is None:
        listed = search_granules(
            start=request.start,
            end=request.end,
            orbit=request.orbit,
            bbox=request.bbox,
            retry_policy=retry_policy,
        )
        where = "G-Portal"
    else:
        listed = newest(_in_folder(request, request.input_dir))
        where = str(request.input_dir)
    if not listed:
        raise InputError(
            f"expected L1B granules from {request.start:%Y-%m-%d %H:%M:%S} to "
            f"{request.end:%Y-%m-%d %H:%M:%S} (orbit: {request.orbit}), found none in "
            f"{where}; AMSR2 begins on 2012-07-02"
        )
    return listed


def _in_folder(request: Request, folder: Path) -> Iterator[Listed]:
    borders = {moment.replace(second=0) for moment in (request.start, request.end)}
    for path in list_granules(folder):
        name = GranuleName.parse(path.name)
        assert name is not None
        start = name.start
        if start in borders:  # the name has the minute only
            start = (start_of(path) or start).replace(microsecond=0)
        if request.start <= start <= request.end and request.orbit in ("both", name.orbit_type):
            yield Listed(name.granule_id, str(path), path.stat().st_size, start, name.orbit_type)
