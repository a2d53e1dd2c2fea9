"""Fetching a day of the University of Bremen: the file here, its content, and the one upstream."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.dates import format_timestamp
from seaice.download.http import (
    Busy,
    Fetched,
    Fetcher,
    claim_file,
)
from seaice.download.manifest import (
    Manifest,
    Record,
)
from seaice.download.mirrors import (
    MIRROR_POLICY,
    AbsentUpstream,
    Pauses,
    TransferError,
)
from seaice.download.partial_file import (
    Identity,
)
from seaice.download.retry import RetryPolicy, Stopped
from seaice.grids import Grid
from seaice.runtime.atomic_write import is_disk_trouble
from seaice.runtime.digests import digest_file
from seaice.sources.bremen.names import DayFile
from seaice.sources.bremen.reader import read_unjudged

logger = logging.getLogger(__name__)

# there: complete before the run; absent: listed as absent upstream; missing: not upstream though
# expected; unpublished: not upstream yet; stopped: given up in the middle.
Kind = Literal["downloaded", "updated", "there", "absent", "missing", "unpublished", "failed", "stopped"]

# The netCDF, HDF5 and HDF4 libraries are not safe to use from several threads.
_LIBRARY_LOCK = threading.Lock()

# Real files have less than one byte a cell; coordinates and attributes come on top.
_MOST_BYTES_PER_CELL = 16
_MOST_OTHER_BYTES = 1 << 24

# A day appears early on the next day; two days later it is overdue.
_PUBLISHED_WITHIN = timedelta(days=2)


@dataclass(frozen=True)
class Outcome:
    """The outcome of one day.

    Attributes
    ----------
    day : date
    kind : Kind
    text : str
        Reason or detail, for people.
    received : int
        Bytes that came over the line.
    unreachable : bool
        No host gave any answer.
    fatal : bool
        No other day can be written either.
    everywhere : bool
        Every host answered that it does not have the file.
    """

    day: date
    kind: Kind
    text: str = ""
    received: int = 0
    unreachable: bool = False
    fatal: bool = False
    everywhere: bool = False


@dataclass(frozen=True)
class Task:
    """Settings and state that all workers of a run share.

    Attributes
    ----------
    folder : Path
        Folder of the daily files.
    grid : Grid
        The grid every file must lie on.
    hosts : sequence of str
        Base addresses in order of preference.
    manifest : Manifest
    absent : mapping of date to str
        Days that are listed as absent on the server, with reasons.
    today : date
        Present day in UTC.
    force : bool
        Whether to fetch complete files again.
    update : bool
        Whether to fetch a file again if the server has another version.
    check : bool
        Whether to compare complete files with the digest in the manifest.
    policy : RetryPolicy
        Number of attempts, and waits between them.
    pauses : Pauses
        Hosts that are not asked for a while.
    stop : threading.Event
        Set when the run is to end.
    """

    folder: Path
    grid: Grid
    hosts: Sequence[str]
    manifest: Manifest
    absent: dict[date, str]
    today: date
    force: bool = False
    update: bool = False
    check: bool = False
    policy: RetryPolicy = MIRROR_POLICY
    pauses: Pauses = field(default_factory=Pauses)
    stop: threading.Event = field(default_factory=threading.Event)

    def locate(self, file: DayFile) -> Path:
        """Return the path that the file has or will have."""
        return self.folder / file.name

    def list_urls(self, file: DayFile) -> list[str]:
        """List the addresses of the file, in order of preference."""
        return [f"{host.rstrip('/')}/{file.url_path}" for host in self.hosts]

    def is_recorded(self, file: DayFile) -> bool:
        """Whether the file exists with the size in the manifest."""
        record = self.manifest.get(file.name)
        try:
            size = self.locate(file).stat().st_size
        except OSError:
            return False
        return record is not None and not record.absent and record.size == size


def check_content(path: Path, file: DayFile, grid: Grid) -> None:
    """Read a file, whatever its present name, as the day that it should be.

    Raises
    ------
    InputError
        If it cannot be read or lies on another grid; the message is the reason.
    """
    with _LIBRARY_LOCK, tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / file.name  # the readers go by the name
        link.symlink_to(path.absolute())
        read_unjudged(link, grid=grid)


class DayWorker:
    """Fetches days one after the other, in one thread."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._fetcher = Fetcher(policy=task.policy, pauses=task.pauses, stop=task.stop)

    def close(self) -> None:
        """Close the connections."""
        self._fetcher.close()

    def do(self, file: DayFile) -> Outcome | None:
        """Fetch one day where needed; None while another process is at it."""
        try:
            with claim_file(self._task.locate(file)):
                return self._do(file)
        except Busy as error:
            logger.debug("%s", error)
            return None
        except Stopped:
            return Outcome(file.day, "stopped")
        except TransferError as error:
            return Outcome(file.day, "failed", str(error), unreachable=error.unreachable)
        except InputError as error:
            return Outcome(file.day, "failed", str(error))
        except OSError as error:
            fatal = is_disk_trouble(error)
            if fatal:  # here, or this thread would begin another day before anyone hears of it
                self._task.stop.set()
            # The full disk may be that of temporary files.
            location = error.filename or (self._task.folder if fatal else self._task.locate(file))
            return Outcome(file.day, "failed", f"{error.strerror or error}: {location}", fatal=fatal)
        except Exception as error:  # whatever an answer was made of: the other days are fetched
            logger.debug("%s", file.name, exc_info=True)
            reason = " ".join(str(error).split())[:200]
            return Outcome(file.day, "failed", f"unexpected {type(error).__name__}: {reason}")

    def _do(self, file: DayFile) -> Outcome:
        task = self._task
        has_file = self._is_good(file)
        if has_file and not task.force and not task.update:
            return Outcome(file.day, "there", "already there")
        local = self._read_version(file) if has_file and not task.force else None
        start = time.monotonic()
        try:
            fetched = self._fetcher.fetch(
                task.list_urls(file),
                task.locate(file),
                check=lambda part: check_content(part, file, task.grid),
                local=local,
                fresh=task.force,
                limit=_MOST_BYTES_PER_CELL * task.grid.rows * task.grid.columns + _MOST_OTHER_BYTES,
            )
        except AbsentUpstream as error:
            return self._note_absence(file, error, has_file=has_file)
        if fetched is None:
            return Outcome(file.day, "there", "unchanged upstream")
        return self._note_arrival(file, fetched, time.monotonic() - start)

    def _is_good(self, file: DayFile) -> bool:
        """Whether the file of the day exists and may be kept."""
        task, path = self._task, self._task.locate(file)
        if not path.exists():
            return False
        task.manifest.refresh()  # another process may have fetched it just now
        record = task.manifest.get(file.name)
        if record is None or record.absent:
            return self._adopt(file)
        if not task.is_recorded(file):
            logger.warning("%s: not of the size in the manifest (%s bytes)", path, record.size)
            return False
        if task.check and digest_file(path) != record.sha256:
            logger.warning("%s: changed since it was downloaded (SHA-256)", path)
            return False
        return True

    def _adopt(self, file: DayFile) -> bool:
        """Add a file of unknown origin to the manifest if it is sound; whether it is."""
        path = self._task.locate(file)
        try:
            check_content(path, file, self._task.grid)
        except InputError as error:
            logger.warning("%s: no good: %s", path, error)
            return False
        size, digest = path.stat().st_size, digest_file(path)
        self._task.manifest.add(Record(file.name, _format_now(), size=size, sha256=digest))
        return True

    def _read_version(self, file: DayFile) -> Identity | None:
        record = self._task.manifest.get(file.name)
        if record is not None and (record.etag or record.last_modified):
            return record.identity
        # Of unknown origin: what was last modified before this copy was made is no newer.
        moment = datetime.fromtimestamp(self._task.locate(file).stat().st_mtime, UTC)
        return Identity("", None, last_modified=format_datetime(moment, usegmt=True))

    def _note_arrival(self, file: DayFile, fetched: Fetched, seconds: float) -> Outcome:
        manifest, identity = self._task.manifest, fetched.identity
        before = manifest.get(file.name)
        manifest.add(
            Record(
                file.name,
                _format_now(),
                size=identity.size,
                sha256=fetched.sha256,
                url=identity.url,
                last_modified=identity.last_modified,
                etag=identity.etag,
            )
        )
        megabytes = (identity.size or 0) / 1e6
        text = f"{megabytes:.2f} MB in {seconds:.1f} s"
        if fetched.continued:
            text += f", continued from {fetched.continued / 1e6:.2f} MB"
        kind: Kind = "downloaded"
        if self._task.update and before is not None and not before.absent:
            if before.sha256 == fetched.sha256:
                return Outcome(file.day, "there", f"unchanged upstream ({text})", fetched.received)
            kind = "updated"
        return Outcome(file.day, kind, text, fetched.received)

    def _note_absence(self, file: DayFile, error: AbsentUpstream, *, has_file: bool) -> Outcome:
        task = self._task
        if has_file:
            return Outcome(file.day, "there", f"no longer upstream, the copy here is kept: {error}")
        if file.day in task.absent:
            return Outcome(file.day, "absent", task.absent[file.day], everywhere=error.everywhere)
        is_young = task.today - file.day <= _PUBLISHED_WITHIN
        kind: Kind = "unpublished" if is_young else "missing"
        return Outcome(file.day, kind, str(error), everywhere=error.everywhere)


def record_absence(manifest: Manifest, file: DayFile) -> None:
    """Record that no host has the file, once."""
    before = manifest.get(file.name)
    if before is None or not before.absent:
        manifest.add(Record(file.name, _format_now(), absent=True))


def _format_now() -> str:
    return format_timestamp(datetime.now(UTC))
