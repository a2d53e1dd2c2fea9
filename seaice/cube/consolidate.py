"""Consolidation: a folder of daily grids becomes one gap-free, flagged cube.

The days are streamed: the days within reach of a fill (21 for the default) are in memory,
whatever the length of the period. Cost is O(days x cells). Finished batches are kept on disk,
so that a stopped run continues.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.cf import choose_chunk_shape
from seaice.cube import (
    netcdf,
)
from seaice.cube import (
    zarr as cube_zarr,
)
from seaice.cube.batches import (
    Batch,
    FinishedBatches,
    FinishedDay,
    runs,
)
from seaice.cube.existing import (
    Existing,
    appended_period,
    check_output,
    first_stale_day,
    read_existing,
)
from seaice.cube.file import CubeFile
from seaice.cube.fill_days import (
    DayMaker,
    check_current,
    is_current,
    make_days,
    publish,
    withdraw,
)
from seaice.cube.job import (
    Job,
    Settings,
    table_of,
)
from seaice.cube.packing import Storage
from seaice.cube.report import (
    Totals,
    already_done,
    day_line,
    finished,
)
from seaice.daily.folder import DailyGrids
from seaice.dates import (
    DateRange,
    day_number,
)
from seaice.flags import Surface
from seaice.gapfill import DailyMethod
from seaice.gapfill.departure import Departure
from seaice.gapfill.expected_error import read_table
from seaice.grids import Grid
from seaice.masks import assume_pole_hole, read_mask
from seaice.report import Progress, Report
from seaice.runtime.atomic_write import (
    atomic,
    clear,
    exclusive,
)
from seaice.runtime.digests import digest_parts
from seaice.runtime.workers import (
    Engine,
    split_days,
)


def consolidate(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    output_file: Path,
    land_mask_file: Path | None = None,
    method: DailyMethod = Departure(),
    batch_size: int = 30,
    pole_hole: Literal["fill", "keep"] = "fill",
    halo: bool = False,
    append: bool = False,
    lat_lon: bool = False,
    compression: Literal["zlib", "zstd", "none"] = "zlib",
    workers: int = 1,
    dask: str | None = None,
    grid: str | None = None,
    bad_days_file: Path | None = None,
    error_table: Path | None = None,
    force: bool = False,
) -> Report:
    """Make or extend a cube of every day from ``start_date`` to ``end_date``.

    Parameters
    ----------
    source_dir : Path
        Folder of daily files.
    start_date, end_date : date
        The days of the cube. Absent days are there too, filled or missing.
    output_file : Path
        NetCDF file to write, or Zarr v3 group if the name ends in ``.zarr``; equal content.
    land_mask_file : Path, optional
        From ``create_mask.py``. Without it every cell counts as ocean and the Gaussian
        fill smears ``space_window`` cells of invented ice onto the land.
    method : DailyMethod
        How to fill; see :mod:`seaice.gapfill`.
    batch_size : int
        Days that are kept together when they are finished: what a stop costs at most. No
        influence on the result.
    pole_hole : str
        ``fill`` it from its surroundings, or ``keep`` it missing.
    halo : bool
        Let days outside the period serve as sources for those at its ends.
    append : bool
        Extend the cube at ``output_file`` to ``end_date`` and redo the trailing days
        whose fill can now look further forward.
    lat_lon : bool
        Store latitude and longitude of every cell too.
    compression : str
        Of the daily fields: ``zlib``, which every HDF5 reads, ``zstd``, which is read and
        written faster but needs HDF5's Zstandard filter, or ``none``.
    workers : int
        Local processes that share the days.
    dask : str, optional
        ``local`` or the address of a dask.distributed scheduler, whose workers share the days.
    grid : str, optional
        Take only files of this grid id.
    bad_days_file : Path, optional
        YAML list of days not to use.
    error_table : Path, optional
        Coefficients of the expected errors, from ``fill_gaps.py calibrate``; by default those of
        this package.
    force : bool
        Make the cube again even if it is there, complete and made of the same.

    Returns
    -------
    Report
        Rejected days are failures.

    Raises
    ------
    InputError
        For options out of range, unusable inputs, or an output that is another file or is
        being written by another run.
    """
    table = read_table(error_table)
    engine = Engine(workers, dask)
    output_file = Path(output_file)
    check_output(output_file, land_mask_file)
    period = DateRange.parse(start_date, end_date)
    parameters = {"method": method.name, **method.parameters, "pole_hole": pole_hole, "halo": halo}
    parameters["compression"] = compression
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, found {batch_size}")
    mask = read_mask(land_mask_file) if land_mask_file else None
    with exclusive(output_file):
        existing = read_existing(output_file, append=append, force=force)
        if append:
            period = appended_period(existing, period)
        kept = existing if append and not mask else None
        days = DailyGrids(
            source_dir=source_dir,
            period=period.widen(method.reach) if halo else period,
            grid=mask.grid if mask else (kept.grid if kept else None),
            grid_id=grid,
            bad_days_file=bad_days_file,
        )
        surface = mask.surface if mask else (kept.surface if kept else _ocean_all(days.grid))
        parameters["surface_sha256"] = digest_parts([surface.tobytes()])
        parameters["error_table"] = table.digest
        settings = Settings(method, parameters, days.grid, surface, pole_hole == "fill", table)
        storage = _storage(output_file, compression, days.grid.shape, append=append)
        job = Job(settings, days, period, output_file, batch_size, storage, lat_lon, land_mask_file)
        notes = [] if mask or kept else [_no_mask_note(parameters, days.grid)]
        return run(job, existing, notes, append=append, engine=engine)


def _storage(output_file: Path, compression: str, shape: tuple[int, int], *, append: bool) -> Storage:
    zarr = output_file.suffix == ".zarr"
    container = cube_zarr if zarr else netcdf
    # An earlier version may have chosen other chunks.
    tile = container.stored_tile(output_file) if append else None
    return Storage(compression, zarr, shape, tile or choose_chunk_shape(shape))


def _ocean_all(grid: Grid) -> np.ndarray:
    surface = np.full(grid.shape, Surface.OCEAN, np.uint8)
    surface[assume_pole_hole(grid)] = Surface.POLE_HOLE
    return surface


def _no_mask_note(parameters: dict[str, Any], grid: Grid) -> str:
    cost = ""
    if "space_window" in parameters:
        cost = (
            f": up to {parameters['space_window'] * grid.kilometres:.4g} km of coast get invented "
            "values and land cannot be told from missing data"
        )
    return f"no --land_mask_file, so land counts as ocean{cost}; create_mask.py makes one"


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
    spool = FinishedBatches.beside(job.output_file)
    try:
        _make(job, spool, DateRange(first, job.period.end), engine)
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
    return cube_zarr if job.storage.zarr else netcdf


def _clear(job: Job) -> None:
    """Remove what a run left that was killed when its cube was there; keep a started append's days."""
    clear(job.output_file)
    spool = FinishedBatches.beside(job.output_file)
    inside = range(day_number(job.period.start), day_number(job.period.end) + 1)
    if all(number in inside for batch in spool.batches() for number in batch.numbers):
        spool.remove()


def _make(job: Job, spool: FinishedBatches, period: DateRange, engine: Engine) -> None:
    wanted = range(day_number(period.start), day_number(period.end) + 1)
    withdraw(spool.path)  # workers that a killed run has left somewhere
    there = {number for batch in spool.open(is_current(job, wanted)) for number in batch.numbers}
    pending = [number for number in wanted if number not in there]
    if there:
        logger.info("%d of %d days are finished already, in %s", len(there), len(wanted), spool.path)
    with Progress(total=len(pending), label="days", logger=logger) as progress:

        def tell(made: FinishedDay) -> None:
            progress.unit(day_line(made.record, made.counts))

        if engine.is_here:
            maker = DayMaker(job, spool.path)
            for first, last in runs(pending):
                maker.make(first, last, tell)
        elif pending:
            _make_elsewhere(job, spool, pending, engine, tell)


def _make_elsewhere(
    job: Job,
    spool: FinishedBatches,
    pending: list[int],
    engine: Engine,
    tell: Callable[[FinishedDay], None],
) -> None:
    token = uuid.uuid4().hex
    publish(job, spool.path, token)
    found = runs(pending)
    parts = -(-_SPANS_PER_WORKER * engine.workers // len(found))
    # Few days: smaller batches, so that every worker gets some.
    size = min(job.batch_size, -(-len(pending) // engine.workers))
    cut = [span for a, b in found for span in split_days(a, b, parts=parts, multiple=size)]
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


def assemble(
    job: Job, spool: FinishedBatches, target: Path, *, append: bool, engine: Engine
) -> Sequence[FinishedDay]:
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


def _checked(job: Job, spool: FinishedBatches) -> list[Batch]:
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


def _put(cube: cube_zarr.Cube | netcdf.Cube, batch: Batch, start: int) -> None:
    for made, chunks in batch.chunks():
        cube.put_day(day_number(made.record.day) - start, chunks)


def _verify(path: Path, job: Job) -> None:
    with CubeFile(path) as cube:
        if cube.dates != list(job.period):
            raise OSError(f"the file just written does not hold every day of {job.period}: {path}")
        cube.concentration(-1)
