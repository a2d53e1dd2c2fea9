"""Consolidation: a folder of daily grids becomes one gap-free, flagged cube.

The days are streamed: the days within reach of a fill (11 for the default) are in memory,
whatever the length of the period. Cost is O(days x cells).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.atomic import atomic, exclusive
from seaice.cube_file import CubeFile
from seaice.cube_job import Job, Settings
from seaice.cube_report import Totals, already_done, day_line, finished
from seaice.cube_update import (
    Existing,
    appended_period,
    check_output,
    first_stale_day,
    read_existing,
)
from seaice.cube_writer import CubeWriter, create
from seaice.daily import DailyGrids, DayRecord
from seaice.gapfill import get_method, temporal
from seaice.gapfill.stream import FillStream
from seaice.grids import Grid
from seaice.land_mask import assumed_pole_hole
from seaice.masks import Surface, read_mask
from seaice.period import Period, day_number, from_day_number
from seaice.report import Progress, Report

logger = logging.getLogger(__name__)


def consolidate(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    output_file: Path,
    land_mask_file: Path | None = None,
    method: Literal["hybrid", "temporal", "gaussian"] = "hybrid",
    batch_size: int = 30,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float = 15.0,
    sigma: float = 7.0,
    max_gap_days: int = 5,
    one_sided_days: int | None = None,
    pole_hole: Literal["fill", "keep"] = "fill",
    past_only: bool = False,
    halo: bool = False,
    append: bool = False,
    lat_lon: bool = False,
    grid: str | None = None,
    bad_days_file: Path | None = None,
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
        NetCDF file to write.
    land_mask_file : Path, optional
        From ``create_mask.py``. Without it every cell counts as ocean and the Gaussian
        fill smears ``space_window`` cells of invented ice onto the land.
    method : str
        See :mod:`seaice.gapfill`.
    batch_size : int
        Days between two flushes to the disk; no influence on the result.
    time_window, space_window, alpha, sigma
        Of the Gaussian fill (:func:`seaice.gapfill.gaussian.fill`): days, cells, 1, cells.
    max_gap_days, one_sided_days : int
        Of the fill in time (:func:`seaice.gapfill.temporal.fill`), days; one-sided by
        default 3, or ``max_gap_days`` where that is less.
    pole_hole : str
        ``fill`` it from its surroundings, or ``keep`` it missing.
    past_only : bool
        Fill from earlier days alone.
    halo : bool
        Let days outside the period serve as sources for those at its ends.
    append : bool
        Extend the cube at ``output_file`` to ``end_date`` and redo the trailing days
        whose fill can now look further forward.
    lat_lon : bool
        Store latitude and longitude of every cell too.
    grid : str, optional
        Take only files of this grid id.
    bad_days_file : Path, optional
        YAML list of days not to use.
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
    options = {
        "time_window": time_window,
        "space_window": space_window,
        "alpha": alpha,
        "sigma": sigma,
        "max_gap_days": max_gap_days,
        "one_sided_days": _one_sided(one_sided_days, max_gap_days),
        "past_only": past_only,
    }
    output_file = Path(output_file)
    check_output(output_file, land_mask_file)
    period = Period.of(start_date, end_date)
    chosen = get_method(method)
    parameters = {"method": method, **chosen.own(options), "pole_hole": pole_hole, "halo": halo}
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, found {batch_size}")
    reach = chosen.reach(parameters)
    mask = read_mask(land_mask_file) if land_mask_file else None
    with exclusive(output_file):
        existing = read_existing(output_file, append=append, force=force)
        if append:
            period = appended_period(existing, period)
        kept = existing if append and not mask else None
        days = DailyGrids(
            source_dir=source_dir,
            period=period.widened(reach) if halo else period,
            grid=mask.grid if mask else (kept.grid if kept else None),
            grid_id=grid,
            bad_days_file=bad_days_file,
        )
        surface = mask.surface if mask else (kept.surface if kept else _ocean_all(days.grid))
        parameters["surface_sha256"] = hashlib.sha256(surface.tobytes()).hexdigest()
        settings = Settings(chosen, parameters, days.grid, surface, pole_hole == "fill")
        job = Job(settings, days, period, output_file, batch_size, lat_lon, land_mask_file)
        notes = [] if mask or kept else [_no_mask_note(parameters, days.grid)]
        return _run(job, existing, notes, append=append)


def _one_sided(one_sided_days: int | None, max_gap_days: int) -> int:
    if one_sided_days is None:
        return min(temporal.ONE_SIDED_DAYS, max_gap_days)
    return one_sided_days


def _ocean_all(grid: Grid) -> np.ndarray:
    surface = np.full(grid.shape, Surface.OCEAN, np.uint8)
    surface[assumed_pole_hole(grid)] = Surface.POLE_HOLE
    return surface


def _no_mask_note(parameters: dict[str, Any], grid: Grid) -> str:
    cost = ""
    if "space_window" in parameters:
        cost = (
            f": up to {parameters['space_window'] * grid.kilometres:.4g} km of coast get invented "
            "values and land cannot be told from missing data"
        )
    return f"no --land_mask_file, so land counts as ocean{cost}; create_mask.py makes one"


def _run(job: Job, existing: Existing | None, notes: list[str], *, append: bool) -> Report:
    first = job.period.start
    if existing is not None:
        stale = first_stale_day(job, existing, append=append)
        if stale is None:
            return already_done(job, notes, append=append)
        first = stale
    verify = partial(_verify, job=job)
    with atomic(job.output_file, verify=verify, locked=True) as temporary:
        if append:
            shutil.copyfile(job.output_file, temporary)
        else:
            create(
                temporary,
                grid=job.settings.grid,
                surface=job.settings.surface,
                lat_lon=job.lat_lon,
                attributes=job.attributes(),
            )
        with CubeWriter(temporary, start=job.period.start, hole=job.settings.hole) as writer:
            totals = _stream(job, Period(first, job.period.end), writer)
            if append:
                writer.annotate(job.attributes())
    return finished(job, totals, notes, first)


def _stream(job: Job, period: Period, writer: CubeWriter) -> Totals:
    records: dict[int, DayRecord] = {}

    def read(number: int, frame: np.ndarray) -> None:
        found, records[number] = job.days.read(from_day_number(number), out=frame)
        if found is not frame:
            frame[:] = np.nan if found is None else found

    # Days the cube may not look at do not exist: they must not be filled and then used.
    seen = day_number(job.days.period.start), day_number(job.days.period.end)
    stream = FillStream(read, seen, job.settings.ocean, job.settings.stages())
    totals = Totals()
    with Progress(total=len(period), label="days", logger=logger) as progress:
        days = stream.days(day_number(period.start), day_number(period.end))
        for i, filled in enumerate(days, start=1):
            record = records.pop(day_number(period.start) + i - 1)
            counts = writer.write(filled, record)
            totals.add(record, counts)
            progress.unit(day_line(record, counts))
            if i % job.batch_size == 0:
                writer.flush()
    return totals


def _verify(path: Path, job: Job) -> None:
    with CubeFile(path) as cube:
        if cube.dates != list(job.period):
            raise OSError(f"the file just written does not hold every day of {job.period}: {path}")
        cube.concentration(-1)
