"""The unit of work of a consolidation: a run of days, filled, packed and kept in a spool."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seaice.cube.batches import (
    Batch,
    BatchWriter,
    FinishedBatches,
    FinishedDay,
    full_disk_named,
    iso,
    runs,
)
from seaice.cube.job import Job
from seaice.cube.packing import pack_day
from seaice.daily.folder import DayRecord
from seaice.dates import (
    day_number,
    from_day_number,
)
from seaice.gapfill import Filled, expected_error
from seaice.gapfill.stream import FillStream
from seaice.runtime.threads import use_threads

# Days that are packed and written while the next ones are filled.
_BEHIND = 2
_JOB_FILE = "job.pickle"
_TOKEN_FILE = "run"


class Superseded(RuntimeError):
    """The run that asked for these days is over."""


class DayMaker:
    """Fills and packs runs of days; the results are batch files.

    Reading ahead, filling and packing behind go on at the same time, each in a thread.

    Parameters
    ----------
    job : Job
    folder : Path
        Of the spool.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self._folder = folder
        self._records: dict[int, DayRecord] = {}
        self._signatures: dict[int, str] = {}
        self._seen = day_number(job.days.period.start), day_number(job.days.period.end)

    def make(self, first: int, last: int, tell: Callable[[FinishedDay], None]) -> None:
        """Make the days from first to last, in batches; ``tell`` hears of every day."""
        settings, size = self._job.settings, self._job.batch_size
        stream = FillStream(self._read, self._seen, settings.ocean, settings.steps(), keep=_BEHIND)
        days = enumerate(stream.days(first, last), start=first)
        with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
            for begin in range(first, last + 1, size):
                end = min(last, begin + size - 1)
                behind: deque[Future[FinishedDay]] = deque()
                with BatchWriter(self._folder) as batch:
                    for number, filled in islice(days, end - begin + 1):
                        behind.append(writer.submit(self._add, batch, number, filled))
                        if len(behind) >= _BEHIND:
                            tell(behind.popleft().result())
                    while behind:
                        tell(behind.popleft().result())
                    batch.commit(self._made_of(begin, end))
                self._forget(end + 1 - self._job.settings.reach)

    def _read(self, number: int, frame: np.ndarray) -> None:
        day = from_day_number(number)
        found, record = self._job.days.read(day, out=frame)
        if found is not frame:
            frame[:] = np.nan if found is None else found
        self._records[number] = record
        self._signatures[number] = self._job.days.make_signature(day, record)

    def _add(self, batch: BatchWriter, number: int, filled: Filled) -> FinishedDay:
        error = expected_error.of_day(filled, self._job.settings.error_table)
        packed = pack_day(filled, error, self._job.settings.hole, self._job.storage)
        record = self._records.pop(number)
        batch.add(record, packed)
        return FinishedDay(record, packed.counts)

    def _made_of(self, first: int, last: int) -> dict[str, Any]:
        window = inputs_of(self._job, first, last)
        return {
            "fingerprint": self._job.fingerprint,
            "inputs": {iso(number): self._signatures[number] for number in window},
        }

    def _forget(self, before: int) -> None:
        for number in list(self._signatures):  # a copy: the reader goes on adding
            if number < before:
                del self._signatures[number]


def inputs_of(job: Job, first: int, last: int) -> range:
    """The days whose files a run of days depends on."""
    seen, reach = job.days.period, job.settings.reach
    begin = max(day_number(seen.start), first - reach)
    return range(begin, min(day_number(seen.end), last + reach) + 1)


def is_current(job: Job, wanted: range) -> Callable[[Batch], bool]:
    """Whether a batch holds wanted days, made as this job would make them from the files of now."""
    signature = cache(lambda number: job.days.make_signature(from_day_number(number)))

    def check(batch: Batch) -> bool:
        first, last = batch.numbers[0], batch.numbers[-1]
        inputs = {iso(number): signature(number) for number in inputs_of(job, first, last)}
        same = batch.made_of == {"fingerprint": job.fingerprint, "inputs": inputs}
        return same and first in wanted and last in wanted

    return check


def publish(job: Job, folder: Path, token: str) -> None:
    """Put the job where workers on any machine find it."""
    with full_disk_named(folder):
        (folder / _JOB_FILE).write_bytes(pickle.dumps(job))
        (folder / _TOKEN_FILE).write_text(token)


def withdraw(folder: Path) -> None:
    """Tell workers that are still at it to stop."""
    (folder / _TOKEN_FILE).unlink(missing_ok=True)


def make_days(folder: Path, token: str, threads: int | None, first: int, last: int) -> None:
    """Make the days of a published job in a process of its own.

    Parameters
    ----------
    folder : Path
        Of the spool; the same for every machine.
    token : str
        Of the run that asks. Work stops when the run is over.
    threads : int, optional
        Threads to use.
    first, last : int
        Day numbers.

    Raises
    ------
    Superseded
        If the run is over.
    """
    check_current(folder, token)
    use_threads(threads)
    maker = DayMaker(_job_of(folder, token), folder)
    # A worker that died at these days may have finished some of them.
    there = {number for batch in FinishedBatches(folder).batches() for number in batch.numbers}
    for a, b in runs([number for number in range(first, last + 1) if number not in there]):
        maker.make(a, b, lambda made: check_current(folder, token))


def check_current(folder: Path, token: str) -> None:
    """Raise Superseded if the run that asks is over."""
    try:
        current = (folder / _TOKEN_FILE).read_text() == token
    except FileNotFoundError:
        current = False
    if not current:
        raise Superseded(f"the run that asked for work in {folder} is over")


@lru_cache(maxsize=1)
def _job_of(folder: Path, token: str) -> Job:
    job: Job = pickle.loads((folder / _JOB_FILE).read_bytes())
    return job
