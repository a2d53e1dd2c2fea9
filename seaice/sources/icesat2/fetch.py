"""Fetching ICESat-2 granules from NASA: whole files, each under its name when it is complete."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from seaice import InputError
from seaice.download.retry import (
    Halted,
    RetryPolicy,
)
from seaice.open_file import UnreadableFile, is_web_page, open_hdf5
from seaice.runtime.atomic_write import (
    HeldByAnother,
    exclusive,
    flush,
)
from seaice.sources.icesat2.backends import SIGNATURE
from seaice.sources.icesat2.earthdata import (
    LOGIN_HOST,
    login,
    package,
)
from seaice.sources.icesat2.search import ListedGranule

logger = logging.getLogger(__name__)


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
    found: Sequence[ListedGranule],
    folder: Path,
    *,
    threads: int = 4,
    patience: RetryPolicy | None = None,
    stop: threading.Event | None = None,
) -> Fetched:
    """Fetch granules; what is there whole is kept, what fails is listed and the rest goes on.

    A file gets its name when it is complete: of the size in the catalogue, if that says one, and
    an HDF5 file to its end.

    Parameters
    ----------
    found : sequence of ListedGranule
    folder : Path
        Made if it does not exist.
    threads : int
        Granules at a time.
    patience : RetryPolicy, optional
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
    patience, stop = patience or RetryPolicy(), stop or threading.Event()
    there = {each.file_name for each in found if _fault(folder / each.file_name, each.size) is None}
    missing = [each for each in found if each.file_name not in there]
    if missing:
        login()
    failed: list[str] = []
    with ThreadPoolExecutor(threads) as pool:
        jobs = [(each, pool.submit(_fetch, each, folder, patience, stop)) for each in missing]
        try:
            for each, job in jobs:
                reason = job.result()
                if reason is not None:
                    failed.append(f"{each.file_name}: {reason}")
        except BaseException:
            stop.set()
            raise
    paths = [folder / each.file_name for each in found]
    lost = {line.partition(": ")[0] for line in failed}
    return Fetched(tuple(path for path in paths if path.name not in lost), len(there), tuple(failed))


def _fetch(
    each: ListedGranule, folder: Path, patience: RetryPolicy, stop: threading.Event
) -> str | None:
    """Fetch one granule; the reason if it failed."""
    target = folder / each.file_name
    failures = 0
    try:
        with exclusive(target):
            while True:
                if stop.is_set():
                    raise Halted
                reason, may_pass = _attempt(each, target)
                if reason is None:
                    logger.info("%s: fetched", each.file_name)
                    return None
                failures += 1
                if failures > patience.retries or not may_pass:
                    return reason
                logger.warning("%s: %s; trying again", each.file_name, reason)
                patience.wait(failures, stop)
    except Halted:
        return "stopped before it was fetched"
    except HeldByAnother as error:
        return str(error)


def _attempt(each: ListedGranule, target: Path) -> tuple[str | None, bool]:
    """The reason for a failure, and whether it may pass."""
    from earthaccess.exceptions import EulaNotAccepted

    # A folder of its own: earthaccess chooses the name, and would keep a page it once took for data.
    scratch = target.with_name(f".{target.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        got = package().download(
            each.url,
            local_path=scratch,
            provider=each.provider,
            threads=1,
            show_progress=False,
            force=True,
        )
        if not got:
            return "nothing came", True
        fault = _fault(Path(got[0]), each.size)
        if fault is not None:
            return fault, True
        flush(Path(got[0]))
        os.replace(got[0], target)
        flush(target.parent)
        return None, True
    except EulaNotAccepted:
        return f"its licence is not accepted; do so at https://{LOGIN_HOST}", False
    except Exception as error:  # whatever the libraries below raise, the other granules go on
        return " ".join(str(error).split())[:200] or type(error).__name__, True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


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
