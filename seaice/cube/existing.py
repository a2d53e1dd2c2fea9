"""What already stands at the output, and which of its days must be made (again)."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.cube.file import CubeFile
from seaice.cube.job import (
    Job,
    same_parameters,
)
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import Grid
from seaice.report import listing
from seaice.sources.bremen.names import DayFile

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Existing:
    """What a cube that stands at the output says of itself."""

    path: Path
    period: DateRange
    grid: Grid
    parameters: dict[str, Any]
    surface: np.ndarray
    status: np.ndarray
    files: list[str]
    digests: list[str]
    halo_inputs: dict[str, str]
    lat_lon: bool


def check_output(output_file: Path, land_mask_file: Path | None) -> None:
    """Refuse names that another file of the user's has or should have.

    Raises
    ------
    InputError
        If the output is no ``.nc`` or ``.zarr``, or is the mask, or bears the name of a daily file.
    """
    if output_file.resolve().suffix != output_file.suffix:
        raise InputError(
            f"the output {output_file} is a link to a file of another kind, {output_file.resolve()}; "
            "choose another --output_file"
        )
    if output_file.suffix not in (".nc", ".zarr"):
        raise InputError(f"expected an output name that ends in .nc or .zarr, found {output_file}")
    if land_mask_file is not None and output_file.resolve() == Path(land_mask_file).resolve():
        raise InputError(f"the output would replace the mask: {output_file}; choose another name")
    if DayFile.parse(output_file.name) is not None:
        raise InputError(
            f"the output has the name of a daily file: {output_file}; choose another --output_file"
        )


def read_existing(output_file: Path, *, append: bool, force: bool) -> Existing | None:
    """Read the cube at the output, if there is one; refuse a file that is something else."""
    if not output_file.exists():
        if append:
            raise InputError(f"nothing to append to: {output_file} does not exist; run without --append")
        return None
    try:
        with CubeFile(output_file) as cube:
            if force and not append:
                return None
            return Existing(
                output_file,
                DateRange(cube.dates[0], cube.dates[-1]),
                cube.grid,
                # Cubes of the first version do not tell: they are all deflated.
                {"compression": "zlib", **cube.parameters},
                cube.surface,
                cube.variable("day_status"),
                cube.texts("input_file"),
                cube.texts("input_sha256"),
                json.loads(cube.attributes.get("halo_inputs", "{}")),
                cube.has("lat"),
            )
    except (InputError, IndexError, KeyError, ValueError) as error:
        raise InputError(
            f"{output_file} exists and is no complete cube, so it is not touched ({error}); "
            "remove it or choose another --output_file"
        ) from None


def appended_period(existing: Existing | None, period: DateRange) -> DateRange:
    """The days of the cube after an append; InputError if they would not be contiguous."""
    assert existing is not None  # read_existing() has refused
    cube = existing.period
    if not cube.start <= period.start <= cube.end + timedelta(days=1):
        raise InputError(
            f"--start_date {period.start} leaves a hole or lies before the cube, which reaches from "
            f"{cube}; use --start_date {cube.start}"
        )
    return DateRange(cube.start, max(cube.end, period.end))


def first_stale_day(job: Job, existing: Existing, *, append: bool) -> date | None:
    """First day to make (again); None if the cube is complete and made of the same.

    Raises
    ------
    InputError
        If what would be written lacks days that the cube has observed, or an append would
        mix parameters.
    """
    if append:
        return _first_to_append(job, existing)
    kept, new = existing.period, job.period
    if kept.start < new.start or kept.end > new.end or not existing.grid.same_cells(job.settings.grid):
        raise InputError(
            f"{existing.path} holds {kept} on {existing.grid}, which {new} on {job.settings.grid} would "
            "not replace; give --append to extend it, another --output_file, or --force"
        )
    same = kept == new and same_parameters(existing.parameters, job.settings.parameters)
    same = same and (existing.lat_lon or not job.lat_lon)
    logger.info("looking for days whose input has changed since %s was made", existing.path)
    if same and not _changed_days(job, existing, since=kept.start) and not _halo_changed(job, existing):
        return None
    _refuse_lost(job, existing, since=kept.start)
    return new.start


def _first_to_append(job: Job, existing: Existing) -> date | None:
    _refuse_other_parameters(job, existing)
    start, end = existing.period.start, existing.period.end
    reach = timedelta(days=job.settings.reach)
    trailing = end - reach + timedelta(days=1)
    logger.info("looking for days whose input has changed since %s was made", existing.path)
    always = [start] if _halo_changed(job, existing) else []
    always += [trailing] if job.period.end > end else []
    # An append trusts the digests of days it does not read again: they may be many. Those it
    # reads again it compares, and goes back further if they have changed.
    since = trailing - reach
    while True:
        stale = always + [day - reach for day in _changed_days(job, existing, since=since)[:1]]
        if not stale:
            return None
        first = max(start, min(stale))
        if first - reach >= since:
            break
        since = first - reach
    _refuse_lost(job, existing, since=first - reach)
    return first


def _refuse_other_parameters(job: Job, existing: Existing) -> None:
    if not same_parameters(existing.parameters, job.settings.parameters):
        changed = [
            "another land mask" if k == "surface_sha256" else f"{k} {existing.parameters.get(k)} -> {v}"
            for k, v in job.settings.parameters.items()
            if str(existing.parameters.get(k)) != str(v)
        ]
        raise InputError(
            f"{existing.path} was made with other parameters ({listing(changed)}); append with the "
            "same ones, or make a new cube"
        )
    if job.lat_lon and not existing.lat_lon:
        raise InputError(f"{existing.path} has no lat and lon; make it again with --force --lat_lon")


def _changed_days(job: Job, existing: Existing, *, since: date) -> list[date]:
    """Days whose file is new or judged otherwise, or (from ``since`` on) another one."""
    changed = []
    for i, day in enumerate(existing.period):
        present = existing.status[i] == DayStatus.PRESENT
        if day not in job.days.files:
            if existing.status[i] == DayStatus.REJECTED:
                changed.append(day)
        elif not present or job.days.is_bad(day) or (day >= since and job.days.has_choice(day)):
            again = job.days.read(day)[1]
            found = again.status, cf.cut_text(again.file), again.sha256
            if found != (existing.status[i], existing.files[i], existing.digests[i]):
                changed.append(day)
        elif day >= since and job.days.digest(day) != existing.digests[i]:
            changed.append(day)
    return changed


def _halo_changed(job: Job, existing: Existing) -> bool:
    """Whether a day outside the cube that helped to fill it is another one now."""
    now = job.halo_inputs()
    inside = {str(day) for day in job.period}
    return any(
        now.get(day) != existing.halo_inputs.get(day)
        for day in (now.keys() | existing.halo_inputs.keys()) - inside
        if day < str(existing.period.start) or job.period.end == existing.period.end
    )


def _refuse_lost(job: Job, existing: Existing, *, since: date) -> None:
    """A day the cube has observed must not turn into an absent one."""
    lost = [
        str(day)
        for i, day in enumerate(existing.period)
        if day >= since and existing.status[i] == DayStatus.PRESENT and day not in job.days.files
    ]
    if lost:
        raise InputError(
            f"{existing.path} holds days whose files are no longer in the source folder "
            f"({listing(lost)}); put them back, or give another --output_file"
        )
