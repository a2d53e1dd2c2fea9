"""Fetch a granule, extract its swath, put it on the disk, delete the granule."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from seaice import InputError
from seaice.download.retry import (
    DEFAULT_POLICY,
    GaveUp,
    RetryPolicy,
    Stopped,
    retry,
)
from seaice.runtime.atomic_write import is_disk_trouble
from seaice.sources.amsr2.catalogue import Listed
from seaice.sources.amsr2.l1b import (
    Overlap,
    read_granule,
)
from seaice.sources.amsr2.sftp import (
    Absent,
    Interrupted,
    LoginGate,
    LoginRefused,
    Refused,
    Session,
)
from seaice.sources.amsr2.swath import Swath
from seaice.swaths.archive.checkpoint import Checkpoints

logger = logging.getLogger(__name__)

# done: on the disk; failed, absent: not, and why; stopped: given up in the middle.
Kind = Literal["done", "failed", "absent", "stopped"]

_SETTLE = 0.5  # seconds between two granules of a careful run


@dataclass(frozen=True)
class Outcome:
    """What became of one granule.

    Attributes
    ----------
    granule_id : str
    kind : Kind
    text : str
        Reason or detail, for people.
    received : int
        Bytes that came over the line.
    kept : int
        Bytes of the swath on the disk.
    fatal : bool
        No other granule can be had either.
    """

    granule_id: str
    kind: Kind
    text: str = ""
    received: int = 0
    kept: int = 0
    fatal: bool = False


@dataclass(frozen=True)
class Task:
    """What all workers of a run share.

    Attributes
    ----------
    checkpoints : Checkpoints
    channels : tuple of str
    coordinates : bool
    overlap : {"trim", "keep"}
    keep : Path or None
        Folder in which granules are kept; None: they are deleted.
    door : LoginGate or None
        None: the granules are local files.
    retry_policy : RetryPolicy
    careful : bool
        Leave the server in peace between two granules.
    """

    checkpoints: Checkpoints
    channels: tuple[str, ...]
    coordinates: bool
    overlap: Overlap
    keep: Path | None = None
    door: LoginGate | None = None
    retry_policy: RetryPolicy = DEFAULT_POLICY
    careful: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


class GranuleWorker:
    """Works on granules one after the other, in one thread."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._session = Session(task.door) if task.door else None
        self._turned_away = 0

    def close(self) -> None:
        """Close the connection."""
        if self._session:
            self._session.close()

    def do(self, granule: Listed) -> Outcome | None:
        """One granule; None where the server takes no more connections than others have."""
        task = self._task
        try:
            work = self._extract_local if task.door is None else self._fetch_and_extract
            outcome = work(granule)
        except Stopped:
            return Outcome(granule.granule_id, "stopped")
        except LoginRefused as error:
            outcome = Outcome(granule.granule_id, "failed", str(error), fatal=True)
        except OSError as error:
            fatal = is_disk_trouble(error)
            place = error.filename or task.checkpoints.folder
            text = f"{error.strerror or error}: {place}"
            outcome = Outcome(granule.granule_id, "failed", text, fatal=fatal)
        if outcome is not None and outcome.fatal:
            task.stop.set()  # before this thread takes another
        if task.careful and not task.stop.is_set():
            task.stop.wait(_SETTLE)
        return outcome

    def _extract_local(self, granule: Listed) -> Outcome | None:
        began = time.monotonic()
        try:
            swath = self._swath(Path(granule.remote), granule)
        except InputError as error:
            return Outcome(granule.granule_id, "failed", str(error))
        return self._put(granule, swath, 0, began)

    def _fetch_and_extract(self, granule: Listed) -> Outcome | None:
        """Try until it is done, absent, or no attempt is left; None where others fill the server."""
        task, began = self._task, time.monotonic()

        def attempt() -> Outcome | None:
            try:
                received, swath = self._attempt(granule)
            except Absent as error:
                return Outcome(granule.granule_id, "absent", str(error))
            except Refused:
                if self._others_are_in():
                    return None
                raise
            except (Interrupted, InputError) as error:
                if not isinstance(error, LoginRefused):
                    self._turned_away = 0  # this thread was let in
                raise
            self._turned_away = 0
            outcome = self._put(granule, swath, received, began)
            self._part(granule).unlink(missing_ok=True)  # not before the swath is safe
            return outcome

        try:
            return retry(
                attempt,
                task.retry_policy,
                stop=task.stop,
                errors=(Refused, Interrupted, InputError),
                may_pass=lambda error: not isinstance(error, LoginRefused),
                announce=lambda error, failures: logger.info(
                    "%s: %s; trying again (%d of %d)",
                    granule.granule_id,
                    error,
                    failures,
                    task.retry_policy.retries,
                ),
                count_bytes=lambda: self._count_bytes(granule),
            )
        except GaveUp as end:
            if isinstance(end.error, LoginRefused):
                raise end.error from None
            attempts = f"{end.failures} attempts" if end.failures > 1 else "1 attempt"
            # Nobody is let in: the next granule would meet the same.
            fatal = self._turned_away > 0
            text = f"{end.error} ({attempts})"
            return Outcome(granule.granule_id, "failed", text, fatal=fatal)

    def _part(self, granule: Listed) -> Path:
        return self._task.checkpoints.folder / f"{granule.granule_id}.h5.part"

    def _count_bytes(self, granule: Listed) -> int:
        """Bytes of a granule that have arrived."""
        part = self._part(granule)
        return part.stat().st_size if part.exists() else 0

    def _others_are_in(self) -> bool:
        """After being turned away: whether others have a session; waits before the next try."""
        task, self._turned_away = self._task, self._turned_away + 1
        assert task.door is not None
        if not task.door.is_full():
            return False
        if self._turned_away == 1:
            logger.info("the server takes no further connection; this thread waits for the others")
        task.retry_policy.wait(min(self._turned_away, 4), task.stop)
        return True

    def _attempt(self, granule: Listed) -> tuple[int, Swath]:
        """Bring the granule here and read it; returns the bytes that came."""
        task = self._task
        assert self._session is not None
        kept = task.keep / f"{granule.granule_id}.h5" if task.keep else None
        if kept and kept.exists() and kept.stat().st_size == (granule.size or kept.stat().st_size):
            try:
                return 0, self._swath(kept, granule)
            except InputError:
                logger.warning("%s: the kept granule is no good; it is fetched again", kept)
        part = self._part(granule)
        received = self._session.fetch(granule.remote, part, granule.size, task.stop)
        try:
            swath = self._swath(part, granule)
        except InputError:
            part.unlink()  # complete and no good: begin anew
            raise
        if kept:
            os.replace(part, kept)
        return received, swath

    def _swath(self, path: Path, granule: Listed) -> Swath:
        task = self._task
        swath = read_granule(
            path, channels=task.channels, coordinates=task.coordinates, overlap=task.overlap
        )
        if swath.granule_id != granule.granule_id:
            raise InputError(
                f"expected the granule {granule.granule_id}, found {swath.granule_id}: {path}"
            )
        if swath.is_empty:
            raise InputError(f"expected brightness temperatures, found none that is valid: {path.name}")
        return swath

    def _put(self, granule: Listed, swath: Swath, received: int, began: float) -> Outcome:
        kept = self._task.checkpoints.add(swath)
        said = swath.summary()
        text = f"{said['shape'][0]} scans, {said['orbit_type']}"
        zeros = swath.details.get("zero_count")
        if zeros:
            text += f", {zeros} zeros masked"
        if received:
            text += f", {received / 1e6:.1f} MB in {time.monotonic() - began:.1f} s"
        return Outcome(granule.granule_id, "done", text, received, kept)
