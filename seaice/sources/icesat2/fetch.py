"""Fetching ICESat-2 granules from NASA: each file gets its name when it is complete."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from seaice import InputError
from seaice.download.retry import (
    DEFAULT_POLICY,
    GaveUp,
    RetryPolicy,
    Stopped,
    retry,
)
from seaice.open_file import UnreadableFile, is_web_page, open_hdf5
from seaice.runtime.atomic_write import (
    exclusive,
    flush,
    is_disk_trouble,
)
from seaice.runtime.threads import work_off
from seaice.sources.icesat2.backends import SIGNATURE
from seaice.sources.icesat2.earthdata import LOGIN_HOST, import_earthaccess, log_in
from seaice.sources.icesat2.search import ListedGranule

logger = logging.getLogger(__name__)

_STOPPED = "stopped before it was fetched"


@dataclass(frozen=True)
class FetchResult:
    """The granules of a fetch.

    Attributes
    ----------
    paths : tuple of Path
        Complete granules in the folder, in the order of the catalogue.
    kept : int
        Number of them that were complete before the fetch.
    failed : tuple of str
        One line for each granule that could not be fetched: its name and the reason.
    """

    paths: tuple[Path, ...]
    kept: int
    failed: tuple[str, ...]


def fetch_granules(
    granules: Sequence[ListedGranule],
    folder: Path,
    *,
    threads: int = 4,
    retry_policy: RetryPolicy = DEFAULT_POLICY,
    stop: threading.Event | None = None,
) -> FetchResult:
    """Fetch granules into a folder; a granule that fails does not stop the others.

    A complete granule in the folder is kept. A file is complete if it has the size that the
    catalogue states, if it states one, and is a readable HDF5 file to its end.

    Parameters
    ----------
    granules : sequence of ListedGranule
    folder : Path
        Created if it does not exist.
    threads : int
        Number of granules fetched at the same time.
    retry_policy : RetryPolicy
        Attempts of one granule. In each of them earthaccess makes three of its own.
    stop : threading.Event, optional
        When it is set, no further granule is begun; those left are listed as failed.

    Returns
    -------
    FetchResult

    Raises
    ------
    InputError
        If there is no login.
    """
    if threads < 1:
        raise InputError(f"expected at least one thread, found {threads}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    stop = stop or threading.Event()
    complete = {
        granule.file_name
        for granule in granules
        if _find_fault(folder / granule.file_name, granule.size) is None
    }
    missing = [granule for granule in granules if granule.file_name not in complete]
    if missing:
        log_in()
    reasons = _fetch_all(missing, folder, retry_policy, threads=threads, stop=stop)
    paths = [folder / granule.file_name for granule in granules if granule.file_name not in reasons]
    failed = [f"{name}: {reason}" for name, reason in reasons.items()]
    return FetchResult(tuple(paths), len(complete), tuple(failed))


def _fetch_all(
    granules: Sequence[ListedGranule],
    folder: Path,
    retry_policy: RetryPolicy,
    *,
    threads: int,
    stop: threading.Event,
) -> dict[str, str]:
    """Fetch granules in several threads; return the reasons of failures by file name."""
    reasons = dict.fromkeys((granule.file_name for granule in granules), _STOPPED)
    workers = work_off(granules, lambda: _Worker(folder, retry_policy, stop), threads=threads, stop=stop)
    with closing(workers) as outcomes:
        for name, reason in outcomes:
            if reason is None:
                del reasons[name]
            else:
                reasons[name] = reason
    return reasons


class _Worker:
    """Fetches granules one after the other in a worker thread."""

    def __init__(self, folder: Path, retry_policy: RetryPolicy, stop: threading.Event) -> None:
        self._folder, self._retry_policy, self._stop = folder, retry_policy, stop

    def do(self, granule: ListedGranule) -> tuple[str, str | None]:
        """Fetch a granule; return its file name and the reason if it failed."""
        return granule.file_name, _fetch(granule, self._folder, self._retry_policy, self._stop)

    def close(self) -> None:
        """Close nothing: no connection stays open between two granules."""


class _Failure(Exception):
    """A granule could not be fetched; the message is the reason.

    Attributes
    ----------
    may_pass : bool
        Whether another attempt may succeed.
    """

    def __init__(self, reason: str, *, may_pass: bool = True) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


def _fetch(
    granule: ListedGranule, folder: Path, retry_policy: RetryPolicy, stop: threading.Event
) -> str | None:
    """Fetch one granule, with further attempts; return the reason if all of them failed."""
    target = folder / granule.file_name
    try:
        with exclusive(target):
            retry(
                lambda: _fetch_once(granule, target),
                retry_policy,
                stop=stop,
                errors=(_Failure,),
                may_pass=lambda error: isinstance(error, _Failure) and error.may_pass,
                announce=lambda error, _: logger.warning(
                    "%s: %s; trying again", granule.file_name, error
                ),
            )
    except GaveUp as end:
        return str(end.error)
    except Stopped:
        return _STOPPED
    except (InputError, OSError) as error:  # another run holds it, or the disk
        if isinstance(error, OSError) and is_disk_trouble(error):
            stop.set()
        return str(error)
    logger.info("%s: fetched", granule.file_name)
    return None


def _fetch_once(granule: ListedGranule, target: Path) -> None:
    """Fetch a granule in one attempt; raise :class:`_Failure` if that fails."""
    from earthaccess.exceptions import EulaNotAccepted

    # In a folder of its own: earthaccess chooses the file name, and it keeps a file of that name, even
    # if it is a web page that came in place of the granule.
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        files = import_earthaccess().download(
            granule.url,
            local_path=scratch,
            provider=granule.provider,
            threads=1,
            show_progress=False,
            force=True,
        )
        fault = _find_fault(Path(files[0]), granule.size) if files else "nothing came"
        if fault is None:
            flush(Path(files[0]))
            os.replace(files[0], target)
            flush(target.parent)
    except EulaNotAccepted:
        raise _Failure(
            f"its licence is not accepted; do so at https://{LOGIN_HOST}", may_pass=False
        ) from None
    except Exception as error:  # of any library: the other granules are fetched all the same
        raise _Failure(" ".join(str(error).split())[:200] or type(error).__name__) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if fault is not None:
        raise _Failure(fault)


def _find_fault(path: Path, size: int | None) -> str | None:
    """Find the reason why a file is not a complete granule; None if it is complete.

    Parameters
    ----------
    path : Path
    size : int or None
        Size in bytes that the catalogue states.
    """
    if not path.is_file():
        return "there is no such file"
    with path.open("rb") as file:
        start = file.read(512)
    if is_web_page(start):
        return (
            "a web page came in place of the granule: the login is not accepted, or its licence is not; "
            f"see https://{LOGIN_HOST}"
        )
    if not start.startswith(SIGNATURE):
        return f"{path.stat().st_size} bytes came that are not an HDF5 file"
    if size is not None and path.stat().st_size != size:
        return f"{path.stat().st_size} bytes came where the catalogue says {size}"
    try:
        open_hdf5(path).close()  # the library knows where the file should end
    except UnreadableFile as error:
        return f"the file cannot be read ({error.reason})"
    return None
