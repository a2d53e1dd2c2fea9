"""Consolidation: a folder of daily grids becomes one gap-free, flagged cube.

The days are streamed: the days within reach of a fill (21 for the default) are in memory,
whatever the length of the period. Cost is O(days x cells). Finished batches are kept on disk,
so that a stopped run continues.
"""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError, cube_netcdf, cube_run, cube_zarr
from seaice.atomic import exclusive
from seaice.cube_job import Job, Settings
from seaice.cube_update import appended_period, check_output, read_existing
from seaice.daily import DailyGrids
from seaice.engine import Engine
from seaice.gapfill import get_method
from seaice.gapfill.expected_error import read_table
from seaice.grids import Grid
from seaice.land_mask import assumed_pole_hole
from seaice.masks import Surface, read_mask
from seaice.packing import Storage
from seaice.period import Period
from seaice.products import tile_of
from seaice.report import Report


def consolidate(
    *,
    source_dir: Path,
    start_date: date,
    end_date: date,
    output_file: Path,
    land_mask_file: Path | None = None,
    method: Literal["departure", "hybrid", "temporal", "gaussian"] = "departure",
    batch_size: int = 30,
    time_window: int = 3,
    space_window: int = 7,
    alpha: float | None = None,
    sigma: float | None = None,
    max_gap_days: int | None = None,
    one_sided_days: int | None = None,
    spread: float = 0.2,
    neighbour_sigma: float = 1.5,
    pole_hole: Literal["fill", "keep"] = "fill",
    past_only: bool = False,
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
    method : str
        See :mod:`seaice.gapfill`.
    batch_size : int
        Days that are kept together when they are finished: what a stop costs at most. No
        influence on the result.
    time_window, space_window, alpha, sigma
        Of the Gaussian fill (:func:`seaice.gapfill.gaussian.fill`): days, cells, cells squared
        a day squared, cells. alpha and sigma are by default 4 and 1.5 where it follows
        ``departure``, else 15 and 7.
    max_gap_days, one_sided_days : int
        Of the fill in time (:func:`seaice.gapfill.temporal.fill`), days: by default 9 and 9 for
        ``departure``, else 5 and 3; one-sided ``max_gap_days`` where that is less.
    spread, neighbour_sigma : float
        Of ``departure`` (:func:`seaice.gapfill.departure.fill`), cells squared a day and cells.
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
    options = {
        "time_window": time_window,
        "space_window": space_window,
        "alpha": alpha,
        "sigma": sigma,
        "max_gap_days": max_gap_days,
        "one_sided_days": one_sided_days,
        "spread": spread,
        "neighbour_sigma": neighbour_sigma,
        "past_only": past_only,
    }
    table = read_table(error_table)
    engine = Engine(workers, dask)
    output_file = Path(output_file)
    check_output(output_file, land_mask_file)
    period = Period.of(start_date, end_date)
    chosen = get_method(method)
    parameters = {"method": method, **chosen.own(options), "pole_hole": pole_hole, "halo": halo}
    if one_sided_days is None and "one_sided_days" in parameters:
        longest = parameters["max_gap_days"]
        parameters["one_sided_days"] = min(parameters["one_sided_days"], longest)
    parameters["compression"] = compression
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
        parameters["error_table"] = table.digest
        settings = Settings(chosen, parameters, days.grid, surface, pole_hole == "fill", table)
        storage = _storage(output_file, compression, days.grid.shape, append=append)
        job = Job(settings, days, period, output_file, batch_size, storage, lat_lon, land_mask_file)
        notes = [] if mask or kept else [_no_mask_note(parameters, days.grid)]
        return cube_run.run(job, existing, notes, append=append, engine=engine)


def _storage(output_file: Path, compression: str, shape: tuple[int, int], *, append: bool) -> Storage:
    zarr = output_file.suffix == ".zarr"
    container = cube_zarr if zarr else cube_netcdf
    # An earlier version may have chosen other chunks.
    tile = container.stored_tile(output_file) if append else None
    return Storage(compression, zarr, shape, tile or tile_of(shape))


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
