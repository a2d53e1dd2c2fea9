"""Filling the days of a cube: runs of days, filled, packed and kept as batches.

A run of days is the unit of work. Where worker processes share the days, recipe and source go to
them through the connection of their engine, never through a file that another user could replace.
"""

from __future__ import annotations

import logging
import pickle
import uuid
import zlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from seaice.cube.batches import (
    TOKEN_FILE,
    Batch,
    BatchWriter,
    FinishedBatches,
    FinishedDay,
    iso,
    name_full_disk,
    runs,
)
from seaice.cube.packing import Packer
from seaice.cube.recipe import Recipe
from seaice.daily.folder import JUDGING_DAYS, DailyGrids, DayRecord
from seaice.daily.land_spillover import Shore, remove_land_spillover
from seaice.daily.neighbours import NEIGHBOUR_DAYS
from seaice.daily.source import DayContent, flag_values
from seaice.dates import DateRange, day_number, from_day_number
from seaice.flags import FillFlag
from seaice.gapfill import Filled, expected_error
from seaice.gapfill.ocean_cells import OceanCells
from seaice.gapfill.stream import FillStream
from seaice.report import Progress
from seaice.runtime.threads import use_threads
from seaice.runtime.workers import Engine, split_days

logger = logging.getLogger(__name__)

# Days that are packed and written, the last one of them while the next is filled.
_BEHIND = 2
# Spans for each worker: enough that all end at about the same time; each costs the reading of
# the days within reach of its ends.
_SPANS_PER_WORKER = 4


class Superseded(RuntimeError):
    """The run that asked for these days is over."""


@dataclass(frozen=True)
class FillTask:
    """What to fill: a recipe, and the source it is applied to.

    Attributes
    ----------
    recipe : Recipe
    days : DailyGrids
        The source. With a halo its date range is wider than the cube's.
    batch_size : int
        Days of a batch.
    """

    recipe: Recipe
    days: DailyGrids
    batch_size: int

    def inputs_of(self, first: int, last: int) -> range:
        """The days whose files a run of days depends on."""
        # A day is judged by those around it.
        source, reach = self.days.period, self.recipe.method.reach
        begin = max(day_number(source.start), first - reach - JUDGING_DAYS)
        return range(begin, min(day_number(source.end), last + reach + NEIGHBOUR_DAYS) + 1)

    def is_current(self, numbers: range) -> Callable[[Batch], bool]:
        """Whether a batch holds days of ``numbers``, made of this recipe from the files of now."""
        signature = cache(lambda number: self.days.make_signature(from_day_number(number)))
        fingerprint = self.recipe.fingerprint

        def check(batch: Batch) -> bool:
            first, last = batch.numbers[0], batch.numbers[-1]
            inputs = {iso(number): signature(number) for number in self.inputs_of(first, last)}
            same = batch.made_of == {"fingerprint": fingerprint, "inputs": inputs}
            return same and first in numbers and last in numbers

        return check


def fill_days(task: FillTask, finished: FinishedBatches, date_range: DateRange, engine: Engine) -> None:
    """Fill the days of a date range, all but those that a stopped run has finished already."""
    numbers = range(day_number(date_range.start), day_number(date_range.end) + 1)
    withdraw(finished.path)  # workers that a killed run has left somewhere
    batches = finished.open(task.is_current(numbers))
    usable = {number for batch in batches for number in batch.numbers}
    pending = [number for number in numbers if number not in usable]
    if usable:
        logger.info(
            "%d of %d days are finished already, in %s", len(usable), len(numbers), finished.path
        )
    with Progress(total=len(pending), label="days", logger=logger) as progress:
        if engine.is_here:
            filler = DayFiller(task, finished.path)
            for first, last in runs(pending):
                filler.fill(first, last, lambda day: progress.unit(day.describe()))
        elif pending:
            _share_days(task, finished, pending, engine, progress)


def _share_days(
    task: FillTask,
    finished: FinishedBatches,
    pending: list[int],
    engine: Engine,
    progress: Progress,
) -> None:
    """Let the workers of an engine fill the pending days."""
    token = uuid.uuid4().hex
    # Small beside the days it stands for: it is sent with every run of days.
    packed_task = zlib.compress(pickle.dumps(task), 1)
    announce(finished.path, token)
    gaps = runs(pending)
    parts = -(-_SPANS_PER_WORKER * engine.workers // len(gaps))
    # Few days: smaller batches, so that every worker gets some.
    size = min(task.batch_size, -(-len(pending) // engine.workers))
    cut = [span for a, b in gaps for span in split_days(a, b, parts=parts, multiple=size)]
    units = [(finished.path, token, packed_task, engine.threads, a, b) for a, b in cut]
    waiting, reported = set(pending), set[Path]()

    def look() -> None:
        for path in finished.paths():
            if path in reported:
                continue
            reported.add(path)
            for day in Batch(path).days:
                if day_number(day.record.day) in waiting:
                    progress.unit(day.describe())

    try:
        with engine.start() as workers:
            workers.do(fill_days_of_task, units, lambda i, nothing: look(), look)
    finally:
        withdraw(finished.path)


def put_values(content: DayContent | None, frame: np.ndarray, shore: Shore | None) -> np.ndarray | None:
    """Put the values of a day into a frame, with a shore without false ice along it.

    Parameters
    ----------
    content : DayContent or None
        None puts NaN everywhere.
    frame : ndarray of float32, shape (rows, columns)
    shore : Shore or None
        Where false ice is set to open water.

    Returns
    -------
    ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.FillFlag` at values; None if every value was observed.
    """
    if content is None:
        frame[:] = np.nan
        return None
    if content.concentration is not frame:
        frame[:] = content.concentration
    flags = flag_values(content)
    if shore is not None:
        frame[:], removed = remove_land_spillover(frame, shore)
        flags = np.zeros(frame.shape, np.uint8) if flags is None else flags
        flags[removed] = FillFlag.SPILLOVER_REMOVED
    return flags


class DayFiller:
    """Fills consecutive days, compresses them into the chunks of a cube, and writes batch files.

    Reading the next days, filling a day and compressing the filled days go on at the same time, in
    different threads.

    Parameters
    ----------
    task : FillTask
    folder : Path
        Folder of the finished batches.
    """

    def __init__(self, task: FillTask, folder: Path) -> None:
        self._task = task
        self._recipe = recipe = task.recipe
        self._cells = OceanCells(recipe.ocean)
        self._packer = Packer(recipe.packing, self._cells, recipe.hole)
        self._shore = recipe.shore
        self._folder = folder
        self._records: dict[int, DayRecord] = {}
        self._signatures: dict[int, str] = {}
        self._written = range(0)
        self._errors: dict[int, np.ndarray] = {}  # of the values of the product, packed

    def fill(self, first: int, last: int, report: Callable[[FinishedDay], None]) -> None:
        """Fill the days from first to last, in batches; ``report`` is called with every day."""
        source, size = self._task.days.period, self._task.batch_size
        seen = day_number(source.start), day_number(source.end)
        recipe, self._written = self._recipe, range(first, last + 1)
        stream = FillStream(self._read, seen, self._cells, recipe.steps(), keep=_BEHIND - 1)
        days = enumerate(stream.days(first, last), start=first)
        with ThreadPoolExecutor(1, thread_name_prefix="writer") as writer:
            for begin in range(first, last + 1, size):
                end = min(last, begin + size - 1)
                behind: deque[Future[FinishedDay]] = deque()
                with BatchWriter(self._folder) as batch:
                    for number, (filled, gaps) in islice(days, end - begin + 1):
                        behind.append(writer.submit(self._pack, batch, number, filled, gaps))
                        if len(behind) >= _BEHIND:
                            report(behind.popleft().result())
                    while behind:
                        report(behind.popleft().result())
                    batch.commit(self._made_of(begin, end))
                self._forget(end + 1 - recipe.method.reach - JUDGING_DAYS)

    def _read(self, number: int, frame: np.ndarray) -> np.ndarray | None:
        days, day = self._task.days, from_day_number(number)
        # Days that only help to fill others are not judged.
        content, record = days.read_content(day, out=frame, judge=number in self._written)
        self._records[number] = record
        self._signatures[number] = days.make_signature(day, record)
        if content is not None and content.error is not None:
            self._errors[number] = expected_error.pack(self._cells.compress(content.error))
        return put_values(content, frame, self._shore)

    def _pack(self, batch: BatchWriter, number: int, filled: Filled, gaps: np.ndarray) -> FinishedDay:
        error = expected_error.of_cells(filled, self._cells, gaps, self._recipe.error_table)
        of_product = self._errors.pop(number, None)
        if of_product is not None:
            # Also where nothing is missing there are errors to store.
            gaps = np.arange(len(self._cells), dtype=np.int32)
            is_of_product = np.isin(filled.flag, (FillFlag.OBSERVED, FillFlag.PRODUCER_INTERPOLATED))
            np.copyto(error, of_product, where=is_of_product)
        packed = self._packer.pack(filled, error, gaps)
        record = self._records.pop(number)
        batch.add(record, packed)
        return FinishedDay(record, packed.counts)

    def _made_of(self, first: int, last: int) -> dict[str, Any]:
        inputs = self._task.inputs_of(first, last)
        return {
            "fingerprint": self._recipe.fingerprint,
            "inputs": {iso(number): self._sign(number) for number in inputs},
        }

    def _sign(self, number: int) -> str:
        """Signature of a day as it was read; days that only judge others may not have been read."""
        signature = self._signatures.get(number)
        return signature or self._task.days.make_signature(from_day_number(number))

    def _forget(self, before: int) -> None:
        for number in list(self._signatures):  # a copy: the reader goes on adding
            if number < before:
                del self._signatures[number]
                self._errors.pop(number, None)


def fill_days_of_task(
    folder: Path, token: str, packed_task: bytes, threads: int | None, first: int, last: int
) -> None:
    """Fill days of a task in a process of its own.

    Parameters
    ----------
    folder : Path
        Folder of the finished batches; the same for every machine.
    token : str
        Token of the run that asks. Work stops when the run is over.
    packed_task : bytes
        The :class:`FillTask`, pickled and deflated.
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
    filler = DayFiller(_unpack_task(packed_task), folder)
    # A worker that died at these days may have finished some of them.
    done = {number for batch in FinishedBatches(folder).batches() for number in batch.numbers}
    for a, b in runs([number for number in range(first, last + 1) if number not in done]):
        filler.fill(a, b, lambda day: check_current(folder, token))


def announce(folder: Path, token: str) -> None:
    """Mark a run as the one whose workers may use a folder."""
    with name_full_disk(folder):
        (folder / TOKEN_FILE).write_text(token)


def withdraw(folder: Path) -> None:
    """Stop the workers that still use a folder."""
    (folder / TOKEN_FILE).unlink(missing_ok=True)


def check_current(folder: Path, token: str) -> None:
    """Raise Superseded if the run that asks is over."""
    try:
        current = (folder / TOKEN_FILE).read_text() == token
    except FileNotFoundError:
        current = False
    if not current:
        raise Superseded(f"the run that asked for work in {folder} is over")


@lru_cache(maxsize=1)
def _unpack_task(packed_task: bytes) -> FillTask:
    task: FillTask = pickle.loads(zlib.decompress(packed_task))
    return task
