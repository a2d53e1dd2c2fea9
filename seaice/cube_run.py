"""Running a consolidation: what is finished already, the rest of the days, the whole cube."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType

from seaice import cube_netcdf, cube_zarr
from seaice.atomic import atomic, clear
from seaice.cube_days import (
    DayMaker,
    check_current,
    is_current,
    make_days,
    publish,
    withdraw,
)
from seaice.cube_file import CubeFile
from seaice.cube_job import Job
from seaice.cube_report import Totals, already_done, day_line, finished
from seaice.cube_table import table_of
from seaice.cube_update import Existing, first_stale_day
from seaice.engine import Engine, spans
from seaice.period import Period, day_number
from seaice.report import Progress, Report
from seaice.spool import Batch, Made, Spool, runs

logger = logging.getLogger(__name__)

# Spans for each worker: enough that all end at about the same time; each costs the reading of
# the days within reach of its ends.
_SPANS_PER_WORKER = 4


def run(
    job: Job, existing: Existing | None, notes: list[str], *, append: bool, engine: Engine
) -> Report:
    """Make what is stale and put the cube together; the caller holds the lock of the output."""
    first = job.period.start
    if existing is not None:
        stale = first_stale_day(job, existing, append=append)
        if stale is None:
            _clear(job)
            return already_done(job, notes, append=append)
        first = stale
    if append:
        _container(job).check_storage(job.output_file, job.storage)
    spool = Spool.beside(job.output_file)
    try:
        _make(job, spool, Period(first, job.period.end), engine)
        with atomic(job.output_file, verify=partial(_verify, job=job), locked=True) as temporary:
            days = assemble(job, spool, temporary, append=append, engine=engine)
    except BaseException:
        kept = spool.leave()
        if kept:
            logger.info("%d finished days are kept in %s; the same command goes on", kept, spool.path)
        raise
    spool.remove()
    return finished(job, Totals.of(days), notes, first)


def _container(job: Job) -> ModuleType:
    """What a cube of this ending is stored in."""
    return cube_zarr if job.storage.zarr else cube_netcdf


def _clear(job: Job) -> None:
    """Remove what a run left that was killed when its cube was there; keep a started append's days."""
    clear(job.output_file)
    spool = Spool.beside(job.output_file)
    inside = range(day_number(job.period.start), day_number(job.period.end) + 1)
    if all(number in inside for batch in spool.batches() for number in batch.numbers):
        spool.remove()


def _make(job: Job, spool: Spool, period: Period, engine: Engine) -> None:
    wanted = range(day_number(period.start), day_number(period.end) + 1)
    withdraw(spool.path)  # workers that a killed run has left somewhere
    there = {number for batch in spool.open(is_current(job, wanted)) for number in batch.numbers}
    pending = [number for number in wanted if number not in there]
    if there:
        logger.info("%d of %d days are finished already, in %s", len(there), len(wanted), spool.path)
    with Progress(total=len(pending), label="days", logger=logger) as progress:

        def tell(made: Made) -> None:
            progress.unit(day_line(made.record, made.counts))

        if engine.is_here:
            maker = DayMaker(job, spool.path)
            for first, last in runs(pending):
                maker.make(first, last, tell)
        elif pending:
            _make_elsewhere(job, spool, pending, engine, tell)


def _make_elsewhere(
    job: Job, spool: Spool, pending: list[int], engine: Engine, tell: Callable[[Made], None]
) -> None:
    token = uuid.uuid4().hex
    publish(job, spool.path, token)
    found = runs(pending)
    parts = -(-_SPANS_PER_WORKER * engine.workers // len(found))
    # Few days: smaller batches, so that every worker gets some.
    size = min(job.batch_size, -(-len(pending) // engine.workers))
    cut = [span for a, b in found for span in spans(a, b, parts=parts, multiple=size)]
    units = [(spool.path, token, engine.threads, a, b) for a, b in cut]
    waiting, told = set(pending), set[Path]()

    def look() -> None:
        for path in sorted(set(spool.path.glob("*.days")) - told):
            told.add(path)
            for made in Batch(path).days:
                if day_number(made.record.day) in waiting:
                    tell(made)

    try:
        with engine.start() as crew:
            crew.do(make_days, units, lambda i, found: look(), look)
    finally:
        withdraw(spool.path)


def assemble(job: Job, spool: Spool, target: Path, *, append: bool, engine: Engine) -> Sequence[Made]:
    """Put the cube together from the finished batches; returns the days that were written."""
    container = _container(job)
    if append:
        container.clone(job.output_file, target)
    else:
        settings = job.settings
        container.create(
            target,
            start=job.period.start,
            days=len(job.period),
            grid=settings.grid,
            surface=settings.surface,
            lat_lon=job.lat_lon,
            attributes=job.attributes(),
            compression=job.storage.compression,
        )
    batches = _checked(job, spool)
    days = [made for batch in batches for made in batch.days]
    start = day_number(job.period.start)
    with container.Cube(target) as cube:
        cube.put_table(day_number(days[0].record.day) - start, table_of(days))
        if append:
            cube.annotate(job.attributes())
        if engine.is_here or not job.storage.zarr:
            for batch in batches:
                _put(cube, batch, start)
            return days
    # Every day is files of its own, so that anyone may write them.
    token = uuid.uuid4().hex
    publish(job, spool.path, token)
    try:
        with engine.start() as crew:
            units = [(token, target, batch.path, start) for batch in batches]
            crew.do(put_batch, units, lambda i, found: None)
    finally:
        withdraw(spool.path)
    return days


def _checked(job: Job, spool: Spool) -> list[Batch]:
    """The batches of the spool, if they are every day once and made of the same."""
    batches, inputs = spool.batches(), dict[str, str]()
    numbers = [number for batch in batches for number in batch.numbers]
    if not numbers or numbers != list(range(numbers[0], day_number(job.period.end) + 1)):
        raise OSError(f"days are missing or there twice in {spool.path}; run the same command again")
    for batch in batches:
        for day, signature in batch.made_of["inputs"].items():
            if inputs.setdefault(day, signature) != signature:
                raise OSError(f"the input of {day} has changed meanwhile; run the same command again")
        if batch.made_of["fingerprint"] != job.fingerprint:
            raise OSError(f"{batch.path} was made by another run; run the same command again")
    return batches


def put_batch(token: str, target: Path, batch: Path, start: int) -> None:
    """Put the days of a batch into a Zarr cube whose axis begins with the day ``start``."""
    check_current(batch.parent, token)
    with cube_zarr.Cube(target) as cube:
        _put(cube, Batch(batch), start)


def _put(cube: cube_zarr.Cube | cube_netcdf.Cube, batch: Batch, start: int) -> None:
    for made, chunks in batch.chunks():
        cube.put_day(day_number(made.record.day) - start, chunks)


def _verify(path: Path, job: Job) -> None:
    with CubeFile(path) as cube:
        if cube.dates != list(job.period):
            raise OSError(f"the file just written does not hold every day of {job.period}: {path}")
        cube.concentration(-1)
