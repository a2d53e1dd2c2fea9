"""The cube that is already at the output, and which of its days must be filled (again)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
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
from seaice.cube.recipe import Recipe, are_same
from seaice.cube.target import Target, halo_inputs
from seaice.daily.folder import DailyGrids
from seaice.daily.neighbours import NEIGHBOUR_DAYS
from seaice.daily.source import is_daily_name
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import Grid
from seaice.report import listing
from seaice.runtime.json_files import parse_json
from seaice.runtime.output_checks import resolve_links
from seaice.runtime.output_kinds import OutputRefused

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ExistingCube:
    """The cube at the output, as far as a new run compares itself with it.

    Attributes
    ----------
    path : Path
    date_range : DateRange
    grid : Grid
    parameters : dict
        As the cube holds them (:attr:`seaice.cube.recipe.Recipe.parameters`).
    surface : ndarray of uint8, shape (rows, columns)
    status : ndarray of uint8, shape (days,)
        :class:`seaice.flags.DayStatus`.
    files, digests : list of str
        Name and SHA-256 of the file of every day; empty where there is none.
    halo_signatures : dict of str to str
        Signatures of the days outside the cube that were source values, by ISO date.
    lat_lon : bool
        Whether the cube has latitudes and longitudes.
    is_as_written : bool
        Whether axes and values are stored as this toolbox stores them, so that days can be added.
    attributes : mapping
        Global attributes.
    """

    path: Path
    date_range: DateRange
    grid: Grid
    parameters: dict[str, Any]
    surface: np.ndarray
    status: np.ndarray
    files: list[str]
    digests: list[str]
    halo_signatures: dict[str, str]
    lat_lon: bool
    is_as_written: bool
    attributes: Mapping[str, Any]


def check_output(output_file: Path, land_mask_file: Path | None) -> None:
    """Refuse an output name that belongs to another file, such as the mask or a daily file.

    Raises
    ------
    InputError
        If the output is no ``.nc`` or ``.zarr``, or is the mask, or bears the name of a daily file.
    """
    target = resolve_links(output_file)
    if target.suffix != output_file.suffix:
        raise InputError(
            f"the output {output_file} is a link to a file of another kind, {target}; "
            "choose another --output_file"
        )
    if output_file.suffix not in (".nc", ".zarr"):
        raise InputError(f"expected an output name that ends in .nc or .zarr, found {output_file}")
    if land_mask_file is not None and target == resolve_links(Path(land_mask_file)):
        raise InputError(f"the output would replace the mask: {output_file}; choose another name")
    if is_daily_name(output_file.name):
        raise InputError(
            f"the output has the name of a daily file: {output_file}; choose another --output_file"
        )


def read_existing(output_file: Path, *, append: bool, force: bool) -> ExistingCube | None:
    """Read the cube at the output, if there is one; refuse a file that is something else."""
    if not output_file.exists():
        if append:
            raise InputError(f"nothing to append to: {output_file} does not exist; run without --append")
        return None
    if force and not append:
        return None
    try:
        with CubeFile(output_file, only_cube=True) as cube:
            return ExistingCube(
                output_file,
                DateRange(cube.dates[0], cube.dates[-1]),
                cube.grid,
                # Cubes of the first version do not name it: they are all deflated.
                {"compression": "zlib", **cube.parameters},
                cube.surface,
                cube.variable("day_status"),
                cube.texts("input_file"),
                cube.texts("input_sha256"),
                parse_json(cube.attributes.get("halo_inputs", "{}")),
                cube.has("lat"),
                cube.is_as_written,
                dict(cube.attributes),
            )
    except (InputError, IndexError, KeyError, ValueError) as error:
        raise InputError(
            f"{output_file} exists and is no complete cube, so it is not touched ({error}); "
            "remove it or choose another --output_file"
        ) from None


def extend_date_range(existing: ExistingCube | None, date_range: DateRange) -> DateRange:
    """The days of the cube after an append; InputError if they would not be contiguous."""
    assert existing is not None  # read_existing() has refused
    cube = existing.date_range
    if not cube.start <= date_range.start <= cube.end + timedelta(days=1):
        raise InputError(
            f"--start_date {date_range.start} leaves a hole or lies before the cube, which reaches from "
            f"{cube}; use --start_date {cube.start}"
        )
    return DateRange(cube.start, max(cube.end, date_range.end))


def first_stale_day(
    existing: ExistingCube, recipe: Recipe, days: DailyGrids, target: Target
) -> date | None:
    """First day to fill (again); None if the cube is complete and made of the same inputs.

    Raises
    ------
    InputError
        If what would be written lacks days that the cube has observed, or an append would
        mix parameters.
    """
    if target.append:
        return _first_day_to_append(existing, recipe, days, target)
    old, new = existing.date_range, target.date_range
    if old.start < new.start or old.end > new.end or not existing.grid.same_cells(recipe.grid):
        raise OutputRefused(
            f"{existing.path} holds {old} on {existing.grid}, which {new} on {recipe.grid} would "
            "not replace; give --append to extend it, another --output_file, or --force"
        )
    changed = _list_changes(existing, recipe)
    if changed:
        raise OutputRefused(
            f"{existing.path} was made with other parameters ({listing(changed)}) and is not replaced; "
            "give the same ones, another --output_file, or --force"
        )
    logger.info("looking for days whose input has changed since %s was made", existing.path)
    if (
        old == new
        and (existing.lat_lon or not target.lat_lon)
        and not _changed_days(existing, days, since=old.start)
        and not _halo_changed(existing, days, target.date_range)
    ):
        return None
    _refuse_lost_days(existing, days, since=old.start)
    return new.start


def _first_day_to_append(
    existing: ExistingCube, recipe: Recipe, days: DailyGrids, target: Target
) -> date | None:
    _refuse_append(existing, recipe, target)
    start, end = existing.date_range.start, existing.date_range.end
    reach = timedelta(days=recipe.method.reach)
    # Days after the end of the cube also judge its last days.
    trailing = end - max(reach, timedelta(days=NEIGHBOUR_DAYS)) + timedelta(days=1)
    logger.info("looking for days whose input has changed since %s was made", existing.path)
    always = [start] if _halo_changed(existing, days, target.date_range) else []
    if target.date_range.end > end:
        always += [trailing, *(day - reach for day in _days_judged_otherwise(existing, days))]
    # An append trusts the digests of days it does not read again: they may be many. Those it
    # reads again it compares, and goes back further if they have changed.
    since = min(trailing - reach, target.compare_since or date.max)
    while True:
        stale = always + [day - reach for day in _changed_days(existing, days, since=since)[:1]]
        if not stale:
            return None
        first = max(start, min(stale))
        if first - reach >= since:
            break
        since = first - reach
    _refuse_lost_days(existing, days, since=first - reach)
    return first


def _refuse_append(existing: ExistingCube, recipe: Recipe, target: Target) -> None:
    """Refuse to extend a cube with days that would not be as those it has."""
    changed = _list_changes(existing, recipe)
    if changed:
        advice = "append with the same ones, or make a new cube"
        if recipe.parameters.keys() - existing.parameters.keys() - {"reject"}:  # stored where given
            advice = "an earlier version made it: extend it with that one, or make it again with --force"
        raise InputError(
            f"{existing.path} was made with other parameters ({listing(changed)}); {advice}"
        )
    if not existing.is_as_written:
        raise InputError(
            f"{existing.path} was stored again by another program, so no day can be added; make the "
            "cube again with --force to extend it"
        )
    if target.lat_lon and not existing.lat_lon:
        raise InputError(f"{existing.path} has no lat and lon; make it again with --force --lat_lon")


def _list_changes(existing: ExistingCube, recipe: Recipe) -> list[str]:
    """List the parameters that would be others than those of the cube."""
    old, new = existing.parameters, recipe.parameters
    if are_same(old, new):
        return []
    return [
        _NAMES_OF_PARAMETERS.get(name) or f"{name} {old.get(name, 'none')} -> {new.get(name, 'none')}"
        for name in [*new, *(old.keys() - new.keys())]
        if str(old.get(name)) != str(new.get(name))
    ]


# Parameters that are digests: their values say nothing to a reader.
_NAMES_OF_PARAMETERS = {
    "surface_sha256": "another land mask",
    "error_table": "another table of expected errors",
}


def _changed_days(existing: ExistingCube, days: DailyGrids, *, since: date) -> list[date]:
    """Days whose file is new or judged otherwise, or (from ``since`` on) another one."""
    changed = []
    for i, day in enumerate(existing.date_range):
        present = existing.status[i] == DayStatus.PRESENT
        if day not in days.files:
            if existing.status[i] == DayStatus.REJECTED:
                changed.append(day)
        elif not present or days.is_bad(day) or (day >= since and days.has_choice(day)):
            record = days.read(day)[1]
            now = record.status, cf.cut_text(record.file), record.sha256
            if now != (existing.status[i], existing.files[i], existing.digests[i]):
                changed.append(day)
        elif day >= since and days.digest(day) != existing.digests[i]:
            changed.append(day)
    return changed


def _days_judged_otherwise(existing: ExistingCube, days: DailyGrids) -> list[date]:
    """Days at the end of the cube that are judged otherwise now that days after them are there."""
    last = list(enumerate(existing.date_range))[-NEIGHBOUR_DAYS:]
    return [day for i, day in last if days.read(day, with_digest=False)[1].status != existing.status[i]]


def _halo_changed(existing: ExistingCube, days: DailyGrids, date_range: DateRange) -> bool:
    """Whether a source day outside the cube is another one now."""
    now, before = halo_inputs(days, date_range), existing.halo_signatures
    inside = {str(day) for day in date_range}
    old = existing.date_range
    return any(
        now.get(day) != before.get(day)
        for day in (now.keys() | before.keys()) - inside
        if day < str(old.start) or date_range.end == old.end
    )


def _refuse_lost_days(existing: ExistingCube, days: DailyGrids, *, since: date) -> None:
    """A day the cube has observed must not turn into an absent one."""
    lost = [
        str(day)
        for i, day in enumerate(existing.date_range)
        if day >= since and existing.status[i] == DayStatus.PRESENT and day not in days.files
    ]
    if lost:
        raise InputError(
            f"{existing.path} holds days whose files are no longer in the source folder "
            f"({listing(lost)}); put them back, or give another --output_file"
        )
