"""Collecting the swaths of a period into an archive: search, fetch, extract, put together."""

from __future__ import annotations

import contextlib
import json
import logging
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
from seaice.report import Progress, Report, describe_contents, format_count, listing
from seaice.runtime import atomic_write
from seaice.runtime.threads import work_off
from seaice.sources.amsr2.catalogue import (
    Listed,
    Orbit,
    find_account,
    find_gaps,
    format_now,
    search_granules,
    select_newest,
)
from seaice.sources.amsr2.channels import DEFAULT_CHANNELS, PRESETS, as_channels, find_level
from seaice.sources.amsr2.l1b import (
    Overlap,
    find_granules,
    read_start,
)
from seaice.sources.amsr2.sensors import LEVELS, GranuleName, Level, get_sensor
from seaice.sources.amsr2.sftp import LoginGate
from seaice.sources.amsr2.swath import as_utc
from seaice.swaths.archive import (
    LAYOUTS,
    SUFFIXES,
    ArchiveName,
    check_readable,
    describe_product,
    format_period,
    load_swaths,
)
from seaice.swaths.archive.checkpoint import (
    NOT_TRIED,
    Checkpoints,
    locate_checkpoints,
    remove_checkpoints,
)
from seaice.swaths.granule_worker import (
    CollectionTask,
    GranuleOutcome,
    GranuleWorker,
)

logger = logging.getLogger(__name__)

Layout = Literal["swath_array", "hdf5"]
MOST_THREADS = 16
GRANULE_DIR = "l1b"  # folder inside the output folder for granules that are not deleted

_MOST_FAILURES_IN_A_ROW = 10  # a careful run stops after so many
_SETTLED = timedelta(days=30)  # so long after its end a period gets no further granules


def collect_swaths(
    *,
    start: datetime | str,
    end: datetime | str,
    output_dir: Path,
    input_dir: Path | None = None,
    sensor: str | None = None,
    level: Level | None = None,
    preset: str | None = None,
    channels: Sequence[str] | None = None,
    coordinates: bool = True,
    layout: Layout = "hdf5",
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
    accept_host_key: str | None = None,
    ask: Callable[[str, bool], str] | None = None,
) -> Report:
    """Collect the swaths of a period into one archive.

    Every finished granule is on the disk at once, and the same call continues after a kill
    or a failure. An archive that lacks granules is called ``..._incomplete`` and lists them.

    Parameters
    ----------
    start, end : datetime or str
        First and last second, UTC; a date alone means its first and its last second.
    output_dir : Path
        Folder of the archive; created if it does not exist.
    input_dir : Path, optional
        Folder of granules to read instead of fetching them; they are not deleted.
    sensor : str, optional
        One of :data:`seaice.sources.amsr2.sensors.SENSORS`; by default AMSR2, or the sensor of a folder
        that has granules of one only.
    level : {"L1B", "L1R"}, optional
        L1R is resampled to common footprints. By default the level that has the channels, else the level
        of a folder that has granules of one only, else L1B.
    preset : {"concentration"}, optional
        The channels that an ice concentration is retrieved from, with positions.
    channels : sequence of str, optional
        Such as "36.5H", of L1R "res23-36.5H"; see :mod:`seaice.sources.amsr2.channels`. By default
        36.5H, of L1R that at its finest footprint.
    coordinates : bool
        Also store positions, co-registered for every frequency.
    layout : {"hdf5", "swath_array"}
        See :mod:`seaice.swaths.archive`.
    orbit : {"A", "D", "both"}
        Ascending or descending half orbits.
    bbox : sequence of four float, optional
        West, south, east, north, degrees: only granules that meet this box.
    overlap : {"trim", "keep"}
        Scans before and after the nominal part, which the neighbouring granules repeat.
    threads : int
        Granules that are worked on at the same time, 1..16, each with a connection of its own.
    save_interval : int
        Number of granules after which the log tells the state of the run.
    max_retries : int
        Further attempts at a granule.
    retry_delay : float
        Seconds before the first further attempt; doubled each time.
    timeout : float
        Longest silence of a server, seconds.
    robust : bool
        One granule at a time, with a pause after each; stops after 10 failures in a row.
    keep_hdf5 : bool
        Move the granules to ``output_dir/l1b`` instead of deleting them.
    username, password : str, optional
        G-Portal account; else from ~/.netrc, else asked for.
    accept_host_key : str, optional
        Fingerprint (``SHA256:...``) of the key of the server, where ~/.ssh/known_hosts has none.
    ask : callable, optional
        Asks a person; its arguments are the question and whether the answer is secret.

    Returns
    -------
    Report
        ``values``: granules ``listed``, ``done``, ``failed``, ``absent``, ``received`` bytes.

    Raises
    ------
    InputError
        If there is nothing to collect, no account, or an archive of other parameters.
    """
    sensor, level = _choose_product(sensor, level, channels, preset, input_dir)
    request = Request(
        start=parse_timestamp(start),
        end=parse_timestamp(end, last=True),
        input_dir=input_dir,
        sensor=sensor,
        level=level,
        channels=_choose_channels(channels, preset, level, coordinates=coordinates),
        coordinates=coordinates,
        layout=layout,
        orbit=orbit,
        bbox=tuple(bbox) if bbox else None,
        overlap=overlap,
    )
    request.check()
    retry_policy = RetryPolicy(retries=max_retries, delay=retry_delay, timeout=timeout)
    archive = request.locate_archive(_make_folder(output_dir))
    with atomic_write.exclusive(archive, look_first=True):
        finished = find_finished_archive(request, output_dir)
        if finished and finished.is_settled:
            return _report_finished(request, output_dir, finished)
        left_out: list[str] = []
        listed = list_requested_granules(request, retry_policy, left_out)
        if finished and finished.holds(listed):
            return _report_finished(request, output_dir, finished)
        gate = None
        if input_dir is None:
            account = find_account(username, password, ask=ask)
            gate = LoginGate(*account, timeout=timeout, accepted_key=accept_host_key)
        collection = _Collection(request, output_dir, listed)
        task = CollectionTask(
            checkpoints=collection.checkpoints,
            channels=request.channels,
            coordinates=coordinates,
            overlap=overlap,
            granule_dir=_make_folder(output_dir / GRANULE_DIR) if keep_hdf5 and gate else None,
            gate=gate,
            retry_policy=retry_policy,
            careful=robust,
        )
        collection.work(
            task, threads=1 if robust else min(threads, MOST_THREADS), interval=save_interval
        )
        report = collection.finish()
        report.left_out += left_out
        return report


def _choose_product(
    sensor: str | None,
    level: Level | None,
    channels: Sequence[str] | None,
    preset: str | None,
    folder: Path | None,
) -> tuple[str, Level]:
    """Choose sensor and level: as asked for, else by the channels, else by the granules of a folder."""
    if level not in (None, *LEVELS):
        raise InputError(f"expected a level out of {', '.join(LEVELS)}, found {level!r}")
    if preset not in (None, *PRESETS):
        raise InputError(f"expected a preset out of {', '.join(PRESETS)}, found {preset!r}")
    if preset and channels:
        raise InputError(
            f"expected --preset {preset} or --channels, found both: the preset chooses the channels"
        )
    of_channels = find_level(as_channels(channels)) if channels else None
    if level and of_channels and level != of_channels:
        raise InputError(
            f"expected channels of {level}, found {' '.join(channels or ())} of {of_channels}"
        )
    names = _list_names(folder) if folder and not (sensor and level) else []
    sensors, levels = {name.sensor for name in names}, {name.level for name in names}
    if sensor is None:
        sensor = sensors.pop() if len(sensors) == 1 else "AMSR2"
    level = level or of_channels or (levels.pop() if len(levels) == 1 else "L1B")
    return get_sensor(sensor).name, level


def _list_names(folder: Path) -> list[GranuleName]:
    """Names of the granules of a folder; where no file has the name of one, by what they hold."""
    names = [name for path in folder.rglob("*") if (name := GranuleName.parse(path.name))]
    return names or list(find_granules(folder)[0].values())


def _choose_channels(
    channels: Sequence[str] | None, preset: str | None, level: Level, *, coordinates: bool
) -> tuple[str, ...]:
    if preset and not coordinates:
        raise InputError(f"expected positions for --preset {preset}, found --no_coordinates")
    if channels:
        return tuple(channel.name for channel in as_channels(channels))
    return PRESETS[preset][level] if preset else DEFAULT_CHANNELS[level]


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(
            f"expected a folder or a name for a new one, found a file: {folder}; choose another"
        ) from None
    return folder


@dataclass(frozen=True)
class Request:
    """The swaths to be collected; see :func:`collect_swaths`."""

    start: datetime
    end: datetime
    input_dir: Path | None
    sensor: str
    level: Level
    channels: tuple[str, ...]
    coordinates: bool
    layout: str
    orbit: Orbit
    bbox: tuple[float, ...] | None
    overlap: Overlap

    def check(self) -> None:
        """Refuse a request that cannot be met.

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

    def has(self, name: GranuleName) -> bool:
        """Whether a granule is of the sensor and level."""
        return (name.sensor, name.level) == (self.sensor, self.level)

    def locate_archive(self, folder: Path, *, complete: bool = True) -> Path:
        """Path of the archive, which its name describes."""
        name = ArchiveName(self.start, self.end, self.coordinates, complete, self.sensor)
        return folder / f"{name.stem}{SUFFIXES[self.layout]}"

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters besides the period that the content of the archive depends on."""
        # Archives of AMSR2 L1B are older than the choice of both.
        return {
            **({} if self.level == "L1B" else {"level": self.level}),
            **({} if self.sensor == "AMSR2" else {"sensor": self.sensor}),
            "channels": list(self.channels),
            "coordinates": self.coordinates,
            "layout": self.layout,
            "orbit": self.orbit,
            "bbox": list(self.bbox) if self.bbox else None,
            "overlap": self.overlap,
            "from": "folder" if self.input_dir else "G-Portal",
        }


@dataclass(frozen=True)
class FinishedArchive:
    """A complete archive of an earlier run with the same parameters.

    Attributes
    ----------
    path : Path
    granule_ids : frozenset of str
    is_settled : bool
        Whether no granule can have appeared since, so that the catalogue need not be asked.
    """

    path: Path
    granule_ids: frozenset[str]
    is_settled: bool

    def holds(self, listed: list[Listed]) -> bool:
        """Whether the archive has all of these granules."""
        return self.granule_ids.issuperset(granule.granule_id for granule in listed)


def find_finished_archive(request: Request, output_dir: Path) -> FinishedArchive | None:
    """Find the archive of an earlier run under the name of a request; None if there is none.

    Raises
    ------
    InputError
        If it is damaged, or has other parameters.
    """
    path = request.locate_archive(output_dir)
    if not path.exists():
        return None
    try:
        with load_swaths(path) as swaths:
            info = swaths.info
            granule_ids = frozenset(str(entry.get("granule_id")) for entry in swaths.entries)
    except InputError as error:
        raise InputError(f"{error}; move it away and run the same command again") from None
    parameters = info.get("parameters")
    if parameters != request.parameters:
        differing = {
            key: value
            for key, value in (parameters or {}).items()
            if value != request.parameters.get(key)
        }
        raise InputError(
            f"{path} was made with other parameters ({json.dumps(differing)}): choose another "
            "--output_dir, or move the file away"
        )
    catalogue_date = as_utc(str(info.get("catalogue_asked") or "1970-01-01"))
    is_settled = request.input_dir is None and catalogue_date - request.end >= _SETTLED
    return FinishedArchive(path, granule_ids, is_settled)


def _report_finished(request: Request, output_dir: Path, finished: FinishedArchive) -> Report:
    """Report of a run without work; what a killed run left beside the archive is removed."""
    request.locate_archive(output_dir, complete=False).unlink(missing_ok=True)
    remove_checkpoints(locate_checkpoints(finished.path))
    count = len(finished.granule_ids)
    report = Report(outputs=[finished.path])
    report.values |= {"listed": count, "done": count, "failed": 0, "absent": 0, "received": 0}
    report.lines.append(f"{finished.path}: complete already, {format_count(count, 'swath')}")
    return report


def list_requested_granules(
    request: Request, retry_policy: RetryPolicy, left_out: list[str]
) -> list[Listed]:
    """Granules of a request in order of time, from the catalogue or from the input folder.

    Files of the folder that look like granules and cannot be read as such go to ``left_out``.

    Raises
    ------
    InputError
        If there is none.
    """
    if request.input_dir is None:
        listed = search_granules(
            start=request.start,
            end=request.end,
            sensor=request.sensor,
            level=request.level,
            orbit=request.orbit,
            bbox=request.bbox,
            retry_policy=retry_policy,
        )
        origin = "G-Portal"
    else:
        listed = select_newest(_list_folder(request, request.input_dir, left_out))
        for reason in left_out:
            logger.warning("left out: %s", reason)
        origin = f"{request.input_dir} ({describe_contents(request.input_dir)})"
    if not listed:
        first = get_sensor(request.sensor).first
        raise InputError(
            f"expected {request.sensor} {request.level} granules from {request.start:%Y-%m-%d %H:%M:%S} "
            f"to {request.end:%Y-%m-%d %H:%M:%S} (orbit: {request.orbit}), found none in {origin}; "
            + (listing(left_out) if left_out else f"{request.sensor} begins on {first:%Y-%m-%d}")
        )
    return listed


def _list_folder(request: Request, folder: Path, left_out: list[str]) -> Iterator[Listed]:
    borders = {timestamp.replace(second=0) for timestamp in (request.start, request.end)}
    granules, unusable = find_granules(folder)
    left_out += unusable
    by_product: dict[str, list[str]] = {}
    for path, name in granules.items():
        start = name.start
        if start in borders:  # the name has the minute only; the file has the second
            start = (read_start(path) or start).replace(microsecond=0)
        if not request.start <= start <= request.end or request.orbit not in ("both", name.orbit_type):
            continue
        if request.has(name):
            yield Listed(name.granule_id, str(path), path.stat().st_size, start, name.orbit_type)
        else:
            by_product.setdefault(f"{name.sensor} {name.level}", []).append(path.name)
    left_out += [f"granules of {product}: {listing(names)}" for product, names in by_product.items()]


class _Collection:
    """The granules of a run and their states."""

    def __init__(self, request: Request, output_dir: Path, listed: list[Listed]) -> None:
        self._request = request
        self._output_dir = output_dir
        self._listed = listed
        self._ids = [granule.granule_id for granule in listed]
        self._catalogue_date = format_now()
        self._received = 0  # bytes
        self._why_not_tried = ""
        path = request.locate_archive(output_dir)
        self.checkpoints = Checkpoints(path, layout=request.layout, parameters=request.parameters)
        if path.exists():
            self._reuse_swaths(path)

    def _reuse_swaths(self, path: Path) -> None:
        """Use the swaths of an earlier archive, which lacks granules that have appeared since."""
        with load_swaths(path) as swaths:
            for index, entry in enumerate(swaths.entries):
                name = str(entry.get("granule_id"))
                if name in self._ids and not self.checkpoints.is_done(name):
                    self.checkpoints.add(swaths[index])

    def work(self, task: CollectionTask, *, threads: int, interval: int) -> None:
        """Fetch and extract the granules that are not done."""
        waiting = [
            granule for granule in self._listed if not self.checkpoints.is_done(granule.granule_id)
        ]
        done = len(self._listed) - len(waiting)
        logger.info("%s listed, %d done before", format_count(len(self._listed), "granule"), done)
        interim = _InterimLog(total=len(self._listed), done=done, interval=interval)
        failures_in_a_row = 0
        with (
            Progress(total=len(waiting), label="granules", logger=logger) as progress,
            contextlib.closing(
                work_off(waiting, lambda: GranuleWorker(task), threads=threads, stop=task.stop)
            ) as outcomes,
        ):
            for outcome in outcomes:
                if outcome.kind == "stopped":
                    continue
                self._note_outcome(outcome)
                progress.unit(f"{outcome.granule_id}: {outcome.kind}: {outcome.text}")
                interim.count(outcome)
                failures_in_a_row = failures_in_a_row + 1 if outcome.kind == "failed" else 0
                if outcome.fatal:
                    self._why_not_tried = outcome.text
                elif task.careful and failures_in_a_row >= _MOST_FAILURES_IN_A_ROW:
                    self._why_not_tried = f"stopped after {_MOST_FAILURES_IN_A_ROW} failures in a row"
                    task.stop.set()

    def _note_outcome(self, outcome: GranuleOutcome) -> None:
        self._received += outcome.received
        if outcome.kind in ("failed", "absent"):
            state: Literal["failed", "absent"] = "failed" if outcome.kind == "failed" else "absent"
            with contextlib.suppress(OSError):  # the report names a full disk already
                self.checkpoints.note(outcome.granule_id, state, outcome.text)

    def finish(self) -> Report:
        """Assemble the archive and report which granules it has and which it lacks."""
        request = self._request
        done = [name for name in self._ids if self.checkpoints.is_done(name)]
        missing = self._list_missing()
        report = Report()
        states = [entry["state"] for entry in missing]
        report.values |= {
            "listed": len(self._ids),
            "done": len(done),
            "failed": states.count("failed"),
            "absent": states.count("absent"),
            "received": self._received,
        }
        # No further run mends what the server lacks, or what a folder lacks or holds damaged.
        final = ("absent", "gap") if request.input_dir is None else ("absent", "gap", "failed")
        report.left_out += _group_by_reason([entry for entry in missing if entry["state"] in final])
        report.failed += _group_by_reason([entry for entry in missing if entry["state"] not in final])
        if not done:
            report.failed.append(f"no swath of {len(self._ids)} was collected; no archive is written")
            return report
        path = request.locate_archive(self._output_dir, complete=not missing)
        with atomic_write.atomic(path, verify=check_readable, locked=not missing, checksum=True) as part:
            self.checkpoints.assemble(part, done, self._describe_archive(missing))
        if missing:
            lacking = len(self._ids) - len(done)
            text = f"lacks {lacking} of {len(self._ids)} granules: the same command continues"
            if not lacking:
                text = "has gaps: add granules to the folder and run the same command again"
            (report.failed or report.left_out).append(f"{path.name} {text}")
        else:
            request.locate_archive(self._output_dir, complete=False).unlink(missing_ok=True)
            self.checkpoints.remove()
        report.outputs.append(path)
        megabytes = path.stat().st_size / 1e6
        report.lines.append(f"{path}: {len(done)} of {len(self._ids)} granules, {megabytes:.1f} MB")
        return report

    def _list_missing(self) -> list[dict[str, str]]:
        """Granules and spans of time that the archive lacks, with state and reason."""
        request, missing = self._request, self.checkpoints.list_missing(self._ids)
        if self._why_not_tried:
            for entry in missing:
                if entry["reason"] == NOT_TRIED:
                    entry["reason"] = f"{NOT_TRIED}: {self._why_not_tried}"
        if request.input_dir is not None:  # no catalogue lists the granules that a folder lacks
            for before, after in find_gaps(
                self._listed,
                start=request.start,
                end=request.end,
                orbit=request.orbit,
                sensor=request.sensor,
            ):
                text = f"no granule between {before:%Y-%m-%d %H:%M} and {after:%Y-%m-%d %H:%M}"
                missing.append({"granule_id": "", "state": "gap", "reason": text})
        return missing

    def _describe_archive(self, missing: list[dict[str, str]]) -> dict[str, Any]:
        """Description in the index of the archive."""
        request = self._request
        product = describe_product(request.sensor, request.level)
        attributes = cf.describe_file(
            title=f"{request.sensor} {request.level} brightness temperatures, "
            + ", ".join(request.channels),
            summary="Swaths as they were measured, one for each half orbit, in order of time.",
            source=product["source"],
            stage="collect_swaths",
            parameters=request.parameters,
            references=product["references"],
            call={"start": request.start.isoformat(), "end": request.end.isoformat()},
        )
        return {
            **attributes,
            "parameters": request.parameters,
            "period": format_period(request.start, request.end),
            "complete": not missing,
            "granules_listed": len(self._ids),
            "missing": missing,
            "catalogue_asked": self._catalogue_date,
        }


def _group_by_reason(missing: list[dict[str, str]]) -> list[str]:
    """One line for each reason, with the granules that share it."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for entry in missing:
        name, reason = entry["granule_id"], entry["reason"]
        reason = reason.replace(name, "…") if name else reason
        by_reason.setdefault((entry["state"], reason), []).append(name)
    lines = []
    for (state, reason), names in by_reason.items():
        prefix = "" if state == "failed" else f"{state}: "  # the report puts «failed» before each line
        lines.append(f"{prefix}{listing(names)}: {reason}" if names[0] else f"{prefix}{reason}")
    return lines


class _InterimLog:
    """Logs the state of the run after every so many granules.

    Parameters
    ----------
    total : int
        Granules of the run.
    done : int
        Granules that earlier runs have finished.
    interval : int
        Granules between two lines.
    """

    def __init__(self, *, total: int, done: int, interval: int) -> None:
        self._total, self._done_before, self._interval = total, done, interval
        self._done = self._not_done = self._received = self._stored = 0
        self._began = time.monotonic()

    def count(self, outcome: GranuleOutcome) -> None:
        """Count an outcome; log the state if a line is due."""
        self._done += outcome.kind == "done"
        self._not_done += outcome.kind != "done"
        self._received += outcome.received
        self._stored += outcome.stored
        counted = self._done + self._not_done
        if counted % self._interval:
            return
        seconds = time.monotonic() - self._began
        seconds_left = (self._total - self._done_before - counted) * seconds / counted
        logger.info(
            "%d of %d granules are safe on the disk (%.1f MB now), %d failed or absent; "
            "%.1f MB/s; about %s left",
            self._done_before + self._done,
            self._total,
            self._stored / 1e6,
            self._not_done,
            self._received / 1e6 / max(seconds, 1e-9),
            str(timedelta(seconds=round(seconds_left))),
        )
