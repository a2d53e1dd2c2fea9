"""Work on a granule: fetch it, extract its swath, store the swath, delete the granule."""

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

# done: the swath is on the disk; failed and absent: it is not, with a reason; stopped: given up on
# the way because the run ends.
Kind = Literal["done", "failed", "absent", "stopped"]

_PAUSE = 0.5  # seconds between two granules of a careful run


@dataclass(frozen=True)
class GranuleOutcome:
    """Result of the work on a granule.

    Attributes
    ----------
    granule_id : str
    kind : {"done", "failed", "absent", "stopped"}
        "done": the swath is on the disk; "failed": all attempts failed; "absent": the server has no
        such file; "stopped": the run ended before the granule was done.
    text : str
        Reason or detail for the log.
    received : int
        Bytes that were fetched.
    stored : int
        Bytes of the swath on the disk.
    fatal : bool
        Whether every other granule would fail for the same reason.
    """

    granule_id: str
    kind: Kind
    text: str = ""
    received: int = 0
    stored: int = 0
    fatal: bool = False


@dataclass(frozen=True)
class CollectionTask:
    """Settings and state that all worker threads of a collection share.

    Attributes
    ----------
    checkpoints : Checkpoints
    channels : tuple of str
    coordinates : bool
    overlap : {"trim", "keep"}
    granule_dir : Path or None
        Folder to which granules are moved; None: they are deleted.
    gate : LoginGate or None
        Way to the server; None: the granules are local files.
    retry_policy : RetryPolicy
    careful : bool
        Whether to pause between two granules.
    stop : threading.Event
        When set, no further granule is begun.
    """

    checkpoints: Checkpoints
    channels: tuple[str, ...]
    coordinates: bool
    overlap: Overlap
    granule_dir: Path | None = None
    gate: LoginGate | None = None
    retry_policy: RetryPolicy = DEFAULT_POLICY
    careful: bool = False
    stop: threading.Event = field(default_factory=threading.Event)


class GranuleWorker:
    """Works on granules one after the other, in one thread."""

    def __init__(self, task: CollectionTask) -> None:
        self._task = task
        self._session = Session(task.gate) if task.gate else None
        self._refusals = 0  # of a connection, one after the other

    def close(self) -> None:
        """Close the connection."""
        if self._session:
            self._session.close()

    def do(self, granule: Listed) -> GranuleOutcome | None:
        """Work on a granule; None if the server takes no more connections than other threads have."""
        task = self._task
        try:
            work = self._read_local if task.gate is None else self._try_to_fetch
            outcome = work(granule)
        except Stopped:
            return GranuleOutcome(granule.granule_id, "stopped")
        except LoginRefused as error:
            outcome = GranuleOutcome(granule.granule_id, "failed", str(error), fatal=True)
        except OSError as error:
            text = f"{error.strerror or error}: {error.filename or task.checkpoints.folder}"
            # A full disk stops every other granule too.
            fatal = is_disk_trouble(error)
            outcome = GranuleOutcome(granule.granule_id, "failed", text, fatal=fatal)
        except Exception as error:  # a library's, on an odd file
            text = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            outcome = GranuleOutcome(granule.granule_id, "failed", text)
        if outcome is not None and outcome.fatal:
            task.stop.set()  # before this thread takes another granule
        if task.careful and not task.stop.is_set():
            task.stop.wait(_PAUSE)
        return outcome

    def _read_local(self, granule: Listed) -> GranuleOutcome | None:
        began = time.monotonic()
        try:
            swath = self._read_swath(Path(granule.remote), granule)
        except InputError as error:
            return GranuleOutcome(granule.granule_id, "failed", str(error))
        return self._store(granule, swath, 0, began)

    def _try_to_fetch(self, granule: Listed) -> GranuleOutcome | None:
        """Try until the granule is done or absent, or no attempt is left.

        Returns None if other threads have all connections that the server allows.
        """
        task, began = self._task, time.monotonic()

        def attempt() -> GranuleOutcome | None:
            try:
                received, swath = self._fetch(granule)
            except Absent as error:
                return GranuleOutcome(granule.granule_id, "absent", str(error))
            except Refused:
                if self._wait_for_other_threads():
                    return None
                raise
            except (Interrupted, InputError) as error:
                if not isinstance(error, LoginRefused):
                    self._refusals = 0  # this thread was admitted
                raise
            self._refusals = 0
            outcome = self._store(granule, swath, received, began)
            self._locate_part(granule).unlink(missing_ok=True)  # not before the swath is safe
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
            text = f"{end.error} ({attempts})"
            # If no thread was admitted, no granule can be fetched.
            fatal = self._refusals > 0
            return GranuleOutcome(granule.granule_id, "failed", text, fatal=fatal)

    def _locate_part(self, granule: Listed) -> Path:
        return self._task.checkpoints.folder / f"{granule.granule_id}.h5.part"

    def _count_bytes(self, granule: Listed) -> int:
        """Bytes of a granule that were fetched so far."""
        part = self._locate_part(granule)
        return part.stat().st_size if part.exists() else 0

    def _wait_for_other_threads(self) -> bool:
        """After a refusal: wait if other threads have all connections, and return whether they do."""
        task, self._refusals = self._task, self._refusals + 1
        assert task.gate is not None
        if not task.gate.is_full():
            return False
        if self._refusals == 1:
            logger.info("the server takes no further connection; this thread waits for the others")
        task.retry_policy.wait(min(self._refusals, 4), task.stop)
        return True

    def _fetch(self, granule: Listed) -> tuple[int, Swath]:
        """Fetch a granule and read its swath; also returns the number of bytes fetched."""
        task = self._task
        assert self._session is not None
        local_copy = task.granule_dir / f"{granule.granule_id}.h5" if task.granule_dir else None
        if local_copy and local_copy.exists() and granule.size in (None, 0, local_copy.stat().st_size):
            try:
                return 0, self._read_swath(local_copy, granule)
            except InputError:
                logger.warning("%s: the granule cannot be used; it is fetched again", local_copy)
        part = self._locate_part(granule)
        received = self._session.fetch(granule.remote, part, granule.size, task.stop)
        try:
            swath = self._read_swath(part, granule)
        except InputError:
            part.unlink()  # complete but unusable: the next attempt begins anew
            raise
        if local_copy:
            os.replace(part, local_copy)
        return received, swath

    def _read_swath(self, path: Path, granule: Listed) -> Swath:
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

    def _store(self, granule: Listed, swath: Swath, received: int, began: float) -> GranuleOutcome:
        stored = self._task.checkpoints.add(swath)
        metadata = swath.summarise()
        text = f"{metadata['shape'][0]} scans, {metadata['orbit_type']}"
        zeros = swath.details.get("zero_count")
        if zeros:
            text += f", {zeros} zeros masked"
        if received:
            text += f", {received / 1e6:.1f} MB in {time.monotonic() - began:.1f} s"
        return GranuleOutcome(granule.granule_id, "done", text, received, stored)
