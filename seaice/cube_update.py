"""What already stands at the output, and which of its days must be made (again)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.cube_file import CubeFile
from seaice.cube_job import Job
from seaice.cube_writer import same_parameters
from seaice.grids import Grid
from seaice.period import Period
from seaice.report import listing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Existing:
    """What a cube that stands at the output says of itself."""

    path: Path
    period: Period
    grid: Grid
    parameters: dict[str, Any]
    surface: np.ndarray
    status: np.ndarray
    files: list[str]
    digests: list[str]


def read_existing(output_file: Path, *, append: bool, force: bool) -> Existing | None:
    """Read the cube at the output, if there is one; refuse a file that is something else."""
    if not output_file.exists():
        if append:
            raise InputError(f"nothing to append to: {output_file} does not exist; run without --append")
        return None
    if force and not append:
        return None
    try:
        with CubeFile(output_file) as cube:
            return Existing(
                output_file,
                Period(cube.dates[0], cube.dates[-1]),
                cube.grid,
                cube.parameters,
                cube.surface,
                cube.variable("day_status"),
                cube.texts("input_file"),
                cube.texts("input_sha256"),
            )
    except (InputError, IndexError) as error:
        raise InputError(
            f"{output_file} exists and is no complete cube, so it is not touched ({error}); "
            "remove it, choose another --output_file or give --force"
        ) from None


def appended_period(existing: Existing | None, period: Period) -> Period:
    """The days of the cube after an append; InputError if they would not be contiguous."""
    assert existing is not None  # read_existing() has refused
    cube = existing.period
    if not cube.start <= period.start <= cube.end + timedelta(days=1):
        raise InputError(
            f"--start_date {period.start} leaves a hole or lies before the cube, which reaches from "
            f"{cube}; use --start_date {cube.start}"
        )
    return Period(cube.start, max(cube.end, period.end))


def first_stale_day(job: Job, existing: Existing, *, append: bool) -> date | None:
    """First day to make again; None if the cube is complete and made of the same."""
    same = same_parameters(existing.parameters, job.settings.parameters)
    if append and not same:
        changed = [
            f"{k} {existing.parameters.get(k)} -> {v}"
            for k, v in job.settings.parameters.items()
            if str(existing.parameters.get(k)) != str(v)
        ]
        raise InputError(
            f"{existing.path} was made with other parameters ({listing(changed)}); append with the "
            "same ones, or make a new cube"
        )
    if not same:
        return existing.period.start
    logger.info("looking for days whose input has changed since %s was made", existing.path)
    start, end = existing.period.start, existing.period.end
    reach = timedelta(days=job.settings.reach)
    trailing = end - reach + timedelta(days=1)
    # An append trusts the digests of days it does not read again: they may be many.
    new_days = _changed_days(job, existing, since=trailing - reach if append else start)
    stale: list[date] = [day - reach for day in new_days[:1]]
    if job.period.end > end:
        stale.append(trailing)
    if not stale:
        return None
    first = max(start, min(stale)) if append else start
    _refuse_lost(job, existing, since=first - reach)
    return first


def _changed_days(job: Job, existing: Existing, *, since: date) -> list[date]:
    """Days whose file is new, or (from ``since`` on) not the one the cube was made of."""
    changed = []
    for i, day in enumerate(existing.period):
        if day in job.days.files:
            new = not existing.files[i]
            if new or (day >= since and job.days.digest(day) != existing.digests[i]):
                changed.append(day)
    return changed


def _refuse_lost(job: Job, existing: Existing, *, since: date) -> None:
    """A day the cube has observed must not turn into an absent one."""
    lost = [
        str(day)
        for i, day in enumerate(existing.period)
        if day >= since and existing.files[i] and day not in job.days.files
    ]
    if lost:
        raise InputError(
            f"{existing.path} holds days whose files are no longer in the source folder "
            f"({listing(lost)}); put them back, or give another --output_file"
        )
