"""Consolidation: a folder of daily grids becomes one gap-free, flagged cube.

The days are streamed: a window of one batch and its neighbours on either side is in
memory, whatever the length of the period. Cost is O(days x cells).
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.atomic import atomic
from seaice.cube_file import CubeFile
from seaice.cube_job import Job, Settings
from seaice.cube_report import Totals, already_done, day_line, finished
from seaice.cube_update import Existing, appended_period, first_stale_day, read_existing
from seaice.cube_writer import CubeWriter, create
from seaice.daily import DailyGrids, DayRecord
from seaice.gapfill import Method, get_method
from seaice.grids import Grid
from seaice.land_mask import assumed_pole_hole
from seaice.masks import DayStatus, Surface, read_mask
from seaice.period import Period
from seaice.report import Progress, Report

logger = logging.getLogger(__name__)

# Frames filled at a time are limited to about this much memory, whatever the batch size.
_BATCH_BYTES = 175_000_000


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
    one_sided_days: int = 3,
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
        Most days to fill at a time; no influence on the result.
    time_window, space_window, alpha, sigma
        Of the Gaussian fill (:func:`seaice.gapfill.gaussian.fill`): days, cells, 1, cells.
    max_gap_days, one_sided_days : int
        Of the fill in time (:func:`seaice.gapfill.temporal.fill`), days.
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
        "one_sided_days": one_sided_days,
        "past_only": past_only,
    }
    output_file = Path(output_file)
    period = Period.of(start_date, end_date)
    existing = read_existing(output_file, append=append, force=force)
    if append:
        period = appended_period(existing, period)
    chosen = get_method(method)
    parameters = {"method": method, **chosen.own(options), "pole_hole": pole_hole, "halo": halo}
    _check(chosen, parameters, batch_size)
    reach = chosen.reach(parameters)
    mask = read_mask(land_mask_file) if land_mask_file else None
    days = DailyGrids(
        source_dir=source_dir,
        period=period.widened(reach) if halo else period,
        grid=mask.grid if mask else (existing.grid if existing and append else None),
        grid_id=grid,
        bad_days_file=bad_days_file,
    )
    surface = mask.surface if mask else _surface_without_mask(days.grid)
    parameters["surface_sha256"] = hashlib.sha256(surface.tobytes()).hexdigest()
    settings = Settings(chosen, parameters, days.grid, surface, pole_hole == "fill")
    job = Job(settings, days, period, output_file, batch_size, lat_lon, land_mask_file)
    notes = [] if mask else [_no_mask_note(parameters, days.grid)]
    return _run(job, existing, notes, append=append)


def _check(method: Method, parameters: dict[str, Any], batch_size: int) -> None:
    """Let the method refuse its parameters before any file is read."""
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, found {batch_size}")
    stack, ocean = np.zeros((1, 1, 1), np.float32), np.ones((1, 1), bool)
    method.fill(stack, ocean, **method.own(parameters))


def _surface_without_mask(grid: Grid) -> np.ndarray:
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
    if existing is not None and (append or existing.period == job.period):
        first = first_stale_day(job, existing, append=append)
        if first is None:
            return already_done(job, notes)
    else:
        first = job.period.start
    with atomic(job.output_file, verify=lambda path: _verify(path, job)) as temporary:
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
    return finished(job, totals, notes, first if append else None)


def _stream(job: Job, period: Period, writer: CubeWriter) -> Totals:
    settings, reach = job.settings, job.settings.reach
    frame = 4 * settings.grid.rows * settings.grid.columns
    batch = int(np.clip(_BATCH_BYTES // frame, 1, min(job.batch_size, len(period))))
    stack = np.full((batch + 2 * reach, *settings.grid.shape), np.nan, np.float32)
    records: dict[date, DayRecord] = {}
    one_day = timedelta(days=1)
    following = period.start - reach * one_day
    totals = Totals()
    with Progress(total=len(period), label="days", logger=logger) as progress:
        for offset in range(0, len(period), batch):
            first = period.start + offset * one_day
            count = min(batch, len(period) - offset)
            for i in range(len(stack)):  # frame by frame, so that no copy of the stack is made
                day = first + (i - reach) * one_day
                if day < following:
                    stack[i] = stack[i + batch]
                else:
                    records[day] = _read_into(job, day, stack[i])
            following = first + (batch + reach) * one_day
            # Days the cube may not look at do not exist: they must not be filled and then used.
            seen = [first + (i - reach) * one_day in job.days.period for i in range(len(stack))]
            begin, end = seen.index(True), len(seen) - seen[::-1].index(True)
            inner = slice(reach - begin, reach - begin + count)
            filled = settings.fill(stack[begin:end], inner)
            done = [records.pop(first + k * one_day) for k in range(count)]
            for record, counts in zip(done, writer.write(filled, done), strict=True):
                totals.add(record, counts)
                progress.unit(day_line(record, counts))
    return totals


def _read_into(job: Job, day: date, frame: np.ndarray) -> DayRecord:
    """Read a day into a frame of the window; days the cube may not look at stay missing."""
    if day not in job.days.period:
        frame[:] = np.nan
        return DayRecord(day, DayStatus.ABSENT, "outside the period")
    concentration, record = job.days.read(day)
    frame[:] = np.nan if concentration is None else concentration
    return record


def _verify(path: Path, job: Job) -> None:
    with CubeFile(path) as cube:
        if cube.dates != list(job.period):
            raise OSError(f"the file just written does not hold every day of {job.period}: {path}")
        cube.concentration(-1)
