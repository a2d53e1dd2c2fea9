"""Consolidation: a folder of daily grids becomes one gap-free, flagged cube.

Three things meet here: the recipe (:class:`seaice.cube.recipe.Recipe`), the source
(:class:`seaice.daily.folder.DailyGrids`) and the target (:class:`seaice.cube.target.Target`).
The days are streamed: those within reach of the filling (33 for the default method: 16 to either
side and the day itself) are in memory, whatever the length of the date range. Cost is
O(days x cells). Finished batches are kept on disk, so that a stopped run continues.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.cf import choose_chunk_shape
from seaice.cube.batches import Batch, FinishedBatches
from seaice.cube.existing import (
    ExistingCube,
    check_output,
    extend_date_range,
    first_stale_day,
    read_existing,
)
from seaice.cube.file import CubeFile
from seaice.cube.fill_days import FillTask, fill_days, put_values
from seaice.cube.packing import Packing
from seaice.cube.recipe import Recipe
from seaice.cube.report import report_complete, report_written
from seaice.cube.target import Target, container_of
from seaice.daily.folder import DailyGrids, HealthRule
from seaice.daily.surface import SurfaceCount
from seaice.dates import DateRange, day_number, from_day_number
from seaice.flags import FillFlag, Surface, is_ocean
from seaice.gapfill import DailyMethod, Record
from seaice.gapfill.expected_error import read_table
from seaice.gapfill.gaussian import Gaussian
from seaice.gapfill.increments import Increments
from seaice.gapfill.ocean_cells import OceanCells
from seaice.masks import assume_pole_hole, read_mask
from seaice.report import Report, format_count
from seaice.runtime.atomic_write import atomic, clear, exclusive
from seaice.runtime.memory import release_memory
from seaice.runtime.workers import Engine

logger = logging.getLogger(__name__)


def consolidate(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    output_file: Path,
    land_mask_file: Path | None = None,
    method: DailyMethod = Increments(),
    batch_size: int = 30,
    pole_hole: Literal["fill", "keep"] = "fill",
    remove_land_spillover: bool = False,
    reject: Literal["suspicious"] | None = None,
    halo: bool = False,
    append: bool = False,
    compare_since: date | None = None,
    lat_lon: bool = False,
    compression: Literal["zlib", "zstd", "none"] = "zlib",
    workers: int = 1,
    dask: str | None = None,
    grid: str | None = None,
    product: Sequence[str | Path] = (),
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
        Mask of ``create_mask.py``. Without it every cell counts as ocean and the Gaussian
        fill smears ``space_window`` cells of invented ice onto the land.
    method : DailyMethod
        How to fill; see :mod:`seaice.gapfill`.
    batch_size : int
        Number of days that are stored together. A run that is stopped loses at most so many
        finished days. No influence on the result.
    pole_hole : str
        ``fill`` it from its surroundings, or ``keep`` it missing.
    remove_land_spillover : bool
        Set false ice along shores to open water, with a flag of its own, before the days are filled
        (:func:`seaice.daily.land_spillover.remove_land_spillover`). It needs a mask, or a product
        that tells land.
    reject : str, optional
        ``suspicious``: do not use days whose values are in doubt beside the days around
        (:mod:`seaice.daily.health.judge`). By default they are kept, and ``day_reason`` says why they
        are suspicious.
    halo : bool
        Let days outside the period serve as sources for those at its ends.
    append : bool
        Extend the cube at ``output_file`` to ``end_date`` and redo the trailing days
        whose fill can now look further forward.
    compare_since : date, optional
        With ``append``: compare the files from this day on with those that the cube was made of. By
        default only days within reach of the end are compared, and days that the cube lacks.
    lat_lon : bool
        Store latitude and longitude of every cell too.
    compression : str
        Compression of the daily fields: ``zlib``, which every HDF5 reads, ``zstd``, which is read
        and written faster but needs HDF5's Zstandard filter, or ``none``.
    workers : int
        Local processes that share the days.
    dask : str, optional
        ``local`` or the address of a dask.distributed scheduler, whose workers share the days.
    grid : str, optional
        Take only files of this grid.
    product : sequence of str or Path
        Products to read, in order of preference: a day that the first does not have comes from the
        next. By default that of the folder.
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
    date_range = DateRange.parse(start_date, end_date)
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, found {batch_size}")
    if compare_since is not None and not append:
        raise InputError(
            f"--compare_since {compare_since}: expected --append beside it, found none; leave it out, a "
            "run without --append compares all days"
        )
    mask = read_mask(land_mask_file) if land_mask_file else None
    with exclusive(output_file, kind="cube", look_first=True):
        existing = read_existing(output_file, append=append, force=force)
        if append:
            date_range = extend_date_range(existing, date_range)
        # Without a mask, a cube that is extended keeps its grid and its surface.
        ground = mask or (existing if append else None)
        days = DailyGrids(
            source_dir=source_dir,
            period=date_range.widen(method.reach) if halo else date_range,
            grid=ground.grid if ground else None,
            grid_id=grid,
            bad_days_file=bad_days_file,
            product=product,
            health=HealthRule(reject is not None, past_only=getattr(method, "past_only", False)),
        )
        surface = ground.surface if ground else _choose_surface(days)
        if remove_land_spillover and not (surface == Surface.LAND).any():
            raise InputError(
                "--remove_land_spillover needs to know the land: give --land_mask_file (create_mask.py "
                "makes one)"
            )
        packing = _choose_packing(output_file, compression, days.grid.shape, append=append)
        recipe = Recipe(
            method, days.grid, surface, pole_hole, halo, table, packing, remove_land_spillover, reject
        )
        target = Target(output_file, date_range, lat_lon, append, land_mask_file, compare_since)
        if not ground and is_ocean(surface).all():
            logger.warning("%s", _describe_missing_mask(recipe))
        del mask, ground  # a mask is more than its surface; the days need the memory
        return _write_cube(FillTask(recipe, days, batch_size), target, existing, engine)


def _fit(recipe: Recipe, days: DailyGrids) -> Recipe:
    """The recipe with its method fitted to the days, where it has something to fit."""
    # Days that are read for the fit must not be taken for days that were read to be filled.
    source, shore = days.select(days.period), recipe.shore

    def read(number: int, frame: np.ndarray) -> None:
        content, _ = source.read_content(from_day_number(number), out=frame, with_digest=False)
        flags = put_values(content, frame, shore)
        if flags is not None:
            frame[flags != FillFlag.OBSERVED] = np.nan

    period = days.period
    record = Record(day_number(period.start), day_number(period.end), OceanCells(recipe.ocean), read)
    fitted = replace(recipe, method=recipe.method.fit(record))
    release_memory()  # the days need it
    return fitted


def _choose_packing(
    output_file: Path, compression: str, shape: tuple[int, int], *, append: bool
) -> Packing:
    # An earlier version may have chosen other chunks.
    tile = container_of(output_file).stored_tile(output_file) if append else None
    return Packing(compression, output_file.suffix == ".zarr", shape, tile or choose_chunk_shape(shape))


def _choose_surface(days: DailyGrids) -> np.ndarray:
    """Surface classes where there is no mask: those of the first day, else ocean and the pole hole."""
    for day in days.files:
        content, _ = days.read_content(day, with_digest=False)
        if content is None:
            continue
        if content.classes is None:
            break
        logger.info("no --land_mask_file: land, lakes and pole hole are those of the file of %s", day)
        count = SurfaceCount()
        count.add(content, day)
        surface = count.classify(days.grid)
        # One day does not tell where the ocean is rarely observed.
        surface[surface == Surface.RARELY_OBSERVED_OCEAN] = Surface.OCEAN
        return surface
    surface = np.full(days.grid.shape, Surface.OCEAN, np.uint8)
    surface[assume_pole_hole(days.grid)] = Surface.POLE_HOLE
    return surface


def _describe_missing_mask(recipe: Recipe) -> str:
    cost = ""
    if isinstance(recipe.method, Gaussian):
        cost = (
            f": up to {recipe.method.space_window * recipe.grid.kilometres:.4g} km of coast get "
            "invented values and land cannot be told from missing data"
        )
    return f"no --land_mask_file, so land counts as ocean{cost}; create_mask.py makes one"


def _write_cube(task: FillTask, target: Target, existing: ExistingCube | None, engine: Engine) -> Report:
    """Fill the stale days and write the cube; the caller holds the lock of the output."""
    recipe, days, date_range = task.recipe, task.days, target.date_range
    finished = FinishedBatches.beside(target.path)
    first = date_range.start
    if existing is not None:
        same = replace(recipe, method=recipe.method.restore(existing.attributes))
        stale = first_stale_day(existing, same, days, target)
        if stale is None:
            _clear(target, finished)
            return report_complete(same, days, target)
        first = stale
        if target.append:
            recipe = same
    recipe = _fit(recipe, days)
    task = replace(task, recipe=recipe)
    if target.append:
        target.container.check_packing(target.path, recipe.packing)
    try:
        fill_days(task, finished, DateRange(first, date_range.end), engine)
        with atomic(
            target.path, verify=partial(_verify, target=target), locked=True, checksum=True
        ) as part:
            batches = _checked_batches(finished, recipe, date_range)
            target.write(part, recipe, days, batches, engine)
    except BaseException:
        kept = finished.leave()
        if kept:
            text = format_count(kept, "finished day")
            logger.info("%s in %s; the same command goes on", text, finished.path)
        raise
    finished.remove()
    written = [day for batch in batches for day in batch.days]
    return report_written(written, recipe, days, target)


def _clear(target: Target, finished: FinishedBatches) -> None:
    """Remove what a killed run left beside a complete cube; keep the days of a started append."""
    clear(target.path)
    first, last = day_number(target.date_range.start), day_number(target.date_range.end)
    if all(first <= number <= last for batch in finished.batches() for number in batch.numbers):
        finished.remove()


def _checked_batches(finished: FinishedBatches, recipe: Recipe, date_range: DateRange) -> list[Batch]:
    """The finished batches; OSError if a day lacks or is there twice, or they are of two recipes."""
    batches, signatures = finished.batches(), dict[str, str]()
    numbers = [number for batch in batches for number in batch.numbers]
    if not numbers or numbers != list(range(numbers[0], day_number(date_range.end) + 1)):
        raise OSError(f"days are missing or there twice in {finished.path}; run the same command again")
    for batch in batches:
        for day, signature in batch.made_of["inputs"].items():
            if signatures.setdefault(day, signature) != signature:
                raise OSError(f"the input of {day} has changed meanwhile; run the same command again")
        if batch.made_of["fingerprint"] != recipe.fingerprint:
            raise OSError(f"{batch.path} was made by another run; run the same command again")
    return batches


def _verify(path: Path, target: Target) -> None:
    with CubeFile(path, only_cube=True) as cube:
        if cube.dates != list(target.date_range):
            raise OSError(
                f"the file just written does not hold every day of {target.date_range}: {path}"
            )
        cube.concentration(-1)
