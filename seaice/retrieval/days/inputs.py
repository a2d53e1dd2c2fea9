"""What a day is retrieved from: swaths of archives and granules, or gridded brightness temperatures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from seaice import InputError, cf
from seaice.dates import parse_date
from seaice.grids import Grid
from seaice.open_file import explain_damage, open_netcdf
from seaice.retrieval.algorithm import Algorithm
from seaice.sources.amsr2.channels import FOOTPRINT_SETS, as_channels
from seaice.sources.amsr2.sensors import GranuleName, Level
from seaice.sources.amsr2.swath import UNKNOWN, get_temperature_name
from seaice.swaths.find import OpenArchives, SwathLocation, find_swaths, group_by_day

_GRIDDED = re.compile(r"AMSR2_TB_(?P<grid>.+)_(?P<day>\d{8})_(?P<orbit>[ADU])(_nearest|_gaussian)?\.nc")

Source = SwathLocation | Path


@dataclass(frozen=True)
class DayInputs:
    """Sources of the days of a run.

    Attributes
    ----------
    by_day : dict of date to tuple
        Swaths in the order of time, or files of gridded temperatures.
    are_gridded : bool
    problems : list of str
        What cannot be used, with the reason.
    level : {"L1B", "L1R"}
        Of the swaths.
    """

    by_day: dict[date, tuple[Source, ...]]
    are_gridded: bool
    problems: list[str]
    level: Level = "L1B"


def find_inputs(
    paths: Sequence[Path],
    algorithms: Sequence[Algorithm],
    archives: OpenArchives,
    *,
    start: date | None,
    end: date | None,
) -> DayInputs:
    """Find swaths or gridded temperatures, by UTC day.

    Raises
    ------
    InputError
        If there are neither, or both.
    """
    gridded = _find_gridded(paths)
    if gridded:
        by_day: dict[date, list[Source]] = {}
        for path, day in gridded.items():
            if (start is None or start <= day) and (end is None or day <= end):
                by_day.setdefault(day, []).append(path)
        ordered = {day: tuple(sorted(by_day[day], key=_name_of)) for day in sorted(by_day)}
        return DayInputs(ordered, True, [])
    level: Level = "L1B"
    listed, problems = find_swaths(paths, as_channels(list_swath_channels(algorithms)), archives)
    if not listed:
        resampled = as_channels(list_swath_channels(algorithms, "L1R"))
        listed, problems_of_resampled = find_swaths(paths, resampled, archives)
        level, problems = ("L1R", problems_of_resampled) if listed else ("L1B", problems)
    groups: dict[date, list[Source]] = {}
    # In the order of time, whatever the direction.
    for swath in listed:
        for day, _ in group_by_day([swath], start=start, end=end):
            groups.setdefault(day, []).append(swath.location)
    by_time = {day: tuple(groups[day]) for day in sorted(groups)}
    return DayInputs(by_time, False, problems, level)


def _name_of(source: Source) -> str:
    assert isinstance(source, Path)
    return source.name


def name_source(source: Source) -> str:
    """Name of a source in the attributes of an output."""
    if isinstance(source, Path):
        return source.name
    return source.granule_id or f"{source.path.name}#{source.index}"


def list_swath_channels(algorithms: Sequence[Algorithm], level: Level = "L1B") -> list[str]:
    """Channels of a swath that algorithms need.

    Of Level 1B at 89 GHz those of the horn A; of Level 1R those at the coarsest footprint of the
    algorithms, and what sharpens it.

    Examples
    --------
    >>> from seaice.retrieval import get_algorithm
    >>> list_swath_channels([get_algorithm("base_6")], "L1R")[:2]
    ['res23-18.7V', 'res23-18.7H']
    """
    names = dict.fromkeys(channel for algorithm in algorithms for channel in algorithm.channels)
    if level == "L1B":
        return [f"89A{name[-1]}" if name.startswith("89") else name for name in names]
    coarsest = next(
        s for s, ghz in reversed(FOOTPRINT_SETS.items()) if all(n[:-1] in ghz for n in names)
    )
    sharper = [f"res36-{ghz}{p}" for ghz in FOOTPRINT_SETS["res36"] for p in "VH"]
    return [*(f"{coarsest}-{name}" for name in names), *sharper]


def _find_gridded(paths: Sequence[Path]) -> dict[Path, date]:
    """Find files of gridded temperatures and their days; none if the inputs are swaths."""
    gridded: dict[Path, date] = {}
    others: list[Path] = []
    for path in dict.fromkeys(paths):
        files = sorted(path.rglob("*.nc")) if path.is_dir() else [path]
        named = {file: match for file in files if (match := _GRIDDED.fullmatch(file.name))}
        gridded |= {file: parse_date(match["day"]) for file, match in named.items()}
        if not named:
            others.append(path)
    if gridded and others:
        raise InputError(
            f"expected either swaths or gridded temperatures (AMSR2_TB_GRID_DATE_A.nc), found both: "
            f"{next(iter(gridded))} and {others[0]}"
        )
    return gridded


@dataclass(frozen=True, eq=False)
class GriddedTemperatures:
    """A file of gridded temperatures.

    Attributes
    ----------
    kelvin : dict of str to ndarray of float32, shape (rows, columns)
        By the channels of algorithms, such as ``89H``.
    hours : ndarray of float32, shape (rows, columns)
        Mean time of observation since the day began; NaN where it is not told.
    sensor, product_version : str
        Of the granules of the file, such as "AMSR2" and "2"; "unknown" where it names none.
    """

    kelvin: dict[str, np.ndarray]
    hours: np.ndarray
    sensor: str = UNKNOWN
    product_version: str = UNKNOWN


def read_gridded_grid(path: Path) -> Grid:
    """Read the grid of a file of gridded temperatures."""
    with explain_damage(path, "NetCDF"), open_netcdf(path) as dataset:
        return cf.read_grid(dataset)


def read_gridded(path: Path, grid: Grid, algorithms: Sequence[Algorithm]) -> GriddedTemperatures:
    """Read the channels of algorithms from a file of ``grid_swaths.py``.

    Raises
    ------
    InputError
        If a channel is absent or the grid is another one.
    """
    names = dict.fromkeys(channel for algorithm in algorithms for channel in algorithm.channels)
    with explain_damage(path, "NetCDF"), open_netcdf(path) as dataset:
        of_file = cf.read_grid(dataset)
        if not of_file.same_cells(grid):
            raise InputError(
                f"expected temperatures on {grid}, found them on {of_file}: {path}; grid them again "
                "with grid_swaths.py, or choose --grid"
            )
        stored = {name: _find_variable(name, set(dataset.variables)) for name in names}
        absent = [name for name, variable in stored.items() if variable is None]
        if absent:
            raise InputError(
                f"expected the channels {', '.join(absent)}, found "
                f"{', '.join(n for n in dataset.variables if n.startswith('brightness'))}: {path}; "
                "grid them with grid_swaths.py --channels"
            )
        fields = {
            name: np.ma.filled(dataset[variable][0].astype(np.float32), np.nan)
            for name, variable in (stored | {"": "observation_time"}).items()
            if variable in dataset.variables
        }
        granules = str(getattr(dataset, "input_granules", "")).split()
    hours = fields.pop("", np.full(grid.shape, np.nan, np.float32))
    named = {(name.sensor, name.version[:1]) for name in map(GranuleName.parse, granules) if name}
    sensor, version = named.pop() if len(named) == 1 else (UNKNOWN, UNKNOWN)
    return GriddedTemperatures(fields, hours, sensor, version)


def _find_variable(channel: str, variables: set[str]) -> str | None:
    candidates = (
        [f"89A{channel[-1]}", f"89B{channel[-1]}", channel] if channel.startswith("89") else [channel]
    )
    names = [get_temperature_name(candidate) for candidate in candidates]
    return next((name for name in names if name in variables), None)
