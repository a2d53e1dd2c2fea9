"""Fetching ICESat-2 granules from NASA: whole files, each under its name when it is complete."""

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
    HeldByAnother,
    exclusive,
    flush,
)
from seaice.runtime.threads import work_off
from seaice.sources.icesat2.backends import SIGNATURE
from seaice.sources.icesat2.earthdata import (
    LOGIN_HOST,
    import_earthaccess,
    log_in,
)
from seaice.sources.icesat2.search import ListedGranule

logger = logging.getLogger(__name__)

_STOPPED = "stopped before it was fetched"


@dataclass(frozen=True)
class Fetched:
    """What fetching came to.

    Attributes
    ----------
    paths : tuple of Path
        Granules that are there now, in the order of the catalogue.
    kept : int
        How many of them were there before.
    failed : tuple of str
        One line for each that is not there, with its name.
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
) -> Fetched:
    """Fetch granules; complete ones are kept, what fails is listed and the rest goes on.

    A file gets its name when it is complete: of the size in the catalogue, if that says one, and
    an HDF5 file to its end.

    Parameters
    ----------
    granules : sequence of ListedGranule
    folder : Path
        Made if it does not exist.
    threads : int
        Granules at a time.
    retry_policy : RetryPolicy
        Further attempts after those of earthaccess, which makes three.
    stop : threading.Event, optional
        When set, no further granule is begun; those are listed as failed.

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
    kept = {each.file_name for each in granules if _fault(folder / each.file_name, each.size) is None}
    missing = [each for each in granules if each.file_name not in kept]
    if missing:
        log_in()
    reasons = _fetch_all(missing, folder, retry_policy, threads=threads, stop=stop)
    paths = [folder / each.file_name for each in granules if each.file_name not in reasons]
    failed = [f"{name}: {reason}" for name, reason in reasons.items()]
    return Fetched(tuple(paths), len(kept), tuple(failed))


def _fetch_all(
    granules: Sequence[ListedGranule],
    folder: Path,
    retry_policy: RetryPolicy,
    *,
    threads: int,
    stop: threading.Event,
) -> dict[str, str]:
    """Fetch granules in several threads; the reasons of those that failed, by file name."""
    reasons = dict.fromkeys((each.file_name for each in granules), _STOPPED)
    workers = work_off(granules, lambda: _Worker(folder, retry_policy, stop), threads=threads, stop=stop)
    with closing(workers) as outcomes:
        for name, reason in outcomes:
            if reason is None:
                del reasons[name]
            else:
                reasons[name] = reason
    return reasons


class _Worker:
    """Fetches granules one after the other, in one thread."""

    def __init__(self, folder: Path, retry_policy: RetryPolicy, stop: threading.Event) -> None:
        self._folder, self._retry_policy, self._stop = folder, retry_policy, stop

    def do(self, granule: ListedGranule) -> tuple[str, str | None]:
        """Fetch a granule; its file name, and the reason if it failed."""
        return granule.file_name, _fetch(granule, self._folder, self._retry_policy, self._stop)

    def close(self) -> None:
        """Hold nothing open between two granules."""


class _Failure(Exception):
    """A granule could not be fetched; the message is the reason."""

    def __init__(self, reason: str, *, may_pass: bool = True) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


def _fetch(
    granule: ListedGranule, folder: Path, retry_policy: RetryPolicy, stop: threading.Event
) -> str | None:
    """Fetch one granule; the reason if it failed."""
    target = folder / granule.file_name
    try:
        with exclusive(target):
            retry(
                lambda: _attempt(granule, target),
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
    except HeldByAnother as error:
        return str(error)
    logger.info("%s: fetched", granule.file_name)
    return None


def _attempt(granule: ListedGranule, target: Path) -> None:
    """Fetch a granule once; :class:`_Failure` if that failed."""
    from earthaccess.exceptions import EulaNotAccepted

    # A folder of its own: earthaccess chooses the name, and would keep a page it once took for data.
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        fetched = import_earthaccess().download(
            granule.url,
            local_path=scratch,
            provider=granule.provider,
            threads=1,
            show_progress=False,
            force=True,
        )
        fault = _fault(Path(fetched[0]), granule.size) if fetched else "nothing came"
        if fault is None:
            flush(Path(fetched[0]))
            os.replace(fetched[0], target)
            flush(target.parent)
    except EulaNotAccepted:
        raise _Failure(
            f"its licence is not accepted; do so at https://{LOGIN_HOST}", may_pass=False
        ) from None
    except Exception as error:  # whatever the libraries below raise, the other granules go on
        raise _Failure(" ".join(str(error).split())[:200] or type(error).__name__) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if fault is not None:
        raise _Failure(fault)


def _fault(path: Path, size: int | None) -> str | None:
    """What is wrong with a file that should be a whole granule."""
    if not path.is_file():
        return "not there"
    with path.open("rb") as file:
        start = file.read(512)
    if is_web_page(start):
        return (
            "a web page came in place of the granule: the login is not accepted, or its licence is not; "
            f"see https://{LOGIN_HOST}"
        )
    if not start.startswith(SIGNATURE):
        return f"no HDF5 file came, but {path.stat().st_size} bytes of something else"
    if size is not None and path.stat().st_size != size:
        return f"{path.stat().st_size} bytes came where the catalogue says {size}"
    try:
        open_hdf5(path).close()  # the library knows where the file should end
    except UnreadableFile as error:
        return f"the file cannot be read ({error.reason})"
    return None
