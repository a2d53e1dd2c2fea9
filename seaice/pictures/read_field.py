"""Reading one map of a gridded file: one variable at one time step, with missing cells as NaN."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from seaice import (
    InputError,
    cf,
    masks,
)
from seaice.drawing.source import describe_source
from seaice.flags import find_flag_value
from seaice.gridding.file import TimeStep
from seaice.grids import Grid
from seaice.open_file import open_netcdf, summarise_error
from seaice.open_file.address import Address, Place
from seaice.report import format_count

# The variable that is drawn by default, in order of preference: by standard name, else by name.
_MAIN_STANDARD_NAMES = ("sea_ice_freeboard", "brightness_temperature", "sea_ice_area_fraction")
_MAIN_NAMES = (
    r"freeboard_mean", r"height_mean", r"brightness_temperature_(?!.*_(std|count)$).*",
    r"sea_ice_conc", r"surface", r"land_mask",
)  # fmt: skip
_PACKED_DAYS = "days_back_forward"


@dataclass(frozen=True)
class MapField:
    """Field of one time step to be drawn on a map.

    Attributes
    ----------
    name : str
        Name of the variable.
    values : ndarray of float32, shape (rows, columns)
        Values, or codes of a flag variable. NaN is missing; a count of 0 is missing too.
    grid : Grid
    step : TimeStep or None
        Time step; None for a variable without time.
    attributes : mapping
        Attributes of the variable.
    source : str
        File and grid, for a subtitle.
    is_count : bool
        Whether the variable is a number of something.
    is_main : bool
        Whether it is the variable that is drawn by default.
    land : ndarray of bool, shape (rows, columns), or None
        Land; None if no mask was read.
    observed : ndarray of bool, shape (rows, columns), or None
        Cells of a cube that were observed; None for any other file.
    missing : str
        Meaning of a cell without a value, for the legend.
    notes : tuple of str
        Lines for the report, such as codes that became missing.
    """

    name: str
    values: np.ndarray
    grid: Grid
    step: TimeStep | None
    attributes: Mapping[str, Any]
    source: str
    is_count: bool = False
    is_main: bool = True
    land: np.ndarray | None = field(default=None, repr=False)
    observed: np.ndarray | None = field(default=None, repr=False)
    missing: str = "no observation"
    notes: tuple[str, ...] = ()

    @property
    def long_name(self) -> str:
        """Name of the variable in words."""
        return str(self.attributes.get("long_name", self.name.replace("_", " ")))

    @property
    def units(self) -> str:
        """Units; empty for a number without unit."""
        units = str(self.attributes.get("units", "")).strip()
        return "" if units == "1" else units

    @property
    def flags(self) -> dict[int, str] | None:
        """Meaning of every code, 0..255, of a flag variable; None for any other variable."""
        if not {"flag_values", "flag_meanings"} <= set(self.attributes):
            return None
        codes = np.atleast_1d(self.attributes["flag_values"]).tolist()
        if np.nanmin(self.values, initial=0) < 0 or np.nanmax(self.values, initial=0) > 255:
            return None
        words = str(self.attributes["flag_meanings"]).split()
        return {int(code): word for code, word in zip(codes, words, strict=False)}

    @property
    def has_value(self) -> np.ndarray:
        """Whether a cell has a value, bool (rows, columns)."""
        return ~np.isnan(self.values)

    @property
    def stamp(self) -> str:
        """The time step for a file name: 20220107, 202201 or 20220101_20220301."""
        if self.step is None:
            return ""
        if _is_month(self.step):
            return f"{self.step.start:%Y%m}"
        first, last = (f"{day:%Y%m%d}" for day in (self.step.start, self.step.end))
        return first if first == last else f"{first}_{last}"


def describe_step(step: TimeStep) -> str:
    """Return a time step as text.

    Examples
    --------
    >>> describe_step(TimeStep(date(2022, 1, 7), date(2022, 1, 7)))
    '2022-01-07'
    >>> describe_step(TimeStep(date(2022, 1, 1), date(2022, 1, 31)))
    'January 2022'
    >>> describe_step(TimeStep(date(2022, 1, 1), date(2022, 3, 31)))
    '2022-01-01 to 2022-03-31'
    """
    return f"{step.start:%B %Y}" if _is_month(step) else str(step)


def _is_month(step: TimeStep) -> bool:
    next_day = step.end + timedelta(days=1)
    return step.start.day == next_day.day == 1 and 28 <= (next_day - step.start).days <= 31


def is_gridded(dataset: Any) -> bool:
    """Whether an open NetCDF file holds maps with a time axis, or surface classes."""
    names = list_maps(dataset)
    has_time = any(len(dataset.variables[name].dimensions) == 3 for name in names)
    return has_time or "surface" in names or "land_mask" in names


def is_own_grid(path: Place, variable: str | None) -> bool:
    """Whether :func:`read_field` reads a variable: on a grid of this toolbox, or a flag variable."""
    if isinstance(path, Address) or not path.is_file():
        return False
    with open_netcdf(path) as dataset:
        names = list_maps(dataset)
        if variable in names and "status_flag" in getattr(dataset[variable], "standard_name", ""):
            return True
        return bool(names) and hasattr(dataset, "grid_id")


def read_field(
    path: Place, variable: str | None, day: date | None, land_mask_file: Path | None = None
) -> MapField:
    """Read one variable of a gridded file of this toolbox at one time step.

    Parameters
    ----------
    path : Path
        NetCDF file with variables (time, y, x) or (y, x).
    variable : str or None
        Name of the variable; by default the main one of the file.
    day : date or None
        A day within the time step; needed if there are several steps.
    land_mask_file : Path, optional
        Mask on the same grid, to show land.

    Raises
    ------
    InputError
        If the file is unreadable or has no such variable, or no time step holds the day.
    """
    if isinstance(path, Address) or not path.is_file():
        raise InputError(f"--variable needs a NetCDF file, found {path}")
    with open_netcdf(path) as dataset:
        name, is_main = _choose_variable(dataset, path, variable)
        stored = dataset.variables[name]
        attributes = {key: stored.getncattr(key) for key in stored.ncattrs()}
        file_attributes = {key: dataset.getncattr(key) for key in dataset.ncattrs()}
        grid = cf.read_grid(dataset)
        step: TimeStep | None = None
        index: tuple[int, ...] = ()
        if len(stored.dimensions) == 3:
            steps = list_time_steps(dataset, path, stored.dimensions[0])
            number = _choose_step(steps, path, day)
            step, index = steps[number], (number,)
        elif day is not None:
            raise InputError(f"{name} of {path} has no time; leave --date out")
        is_count = stored.dtype.kind in "iu" and not {"scale_factor", "flag_values"} & set(attributes)
        values = _read_values(stored, index, grid, path, raw="flag_values" in attributes)
        land, observed = _read_origin(dataset, name, index, grid, path)
    if is_count and re.search(r"(^|_)count$", name):
        values[values == 0] = np.nan
    if name == _PACKED_DAYS:
        values = _find_nearest_days(values)
        attributes |= {
            "long_name": "days to the nearest observation used by a fill in time",
            "units": "days",
        }
    return MapField(
        name=name,
        values=values,
        grid=grid,
        step=step,
        attributes=attributes,
        source=describe_source(file_attributes, f"{path.name} · {grid}"),
        is_count=is_count,
        is_main=is_main,
        land=land if land_mask_file is None else read_land(land_mask_file, path, grid),
        observed=observed,
        missing="no observation" if observed is None else "no value",
    )


def _read_origin(
    dataset: Any, name: str, index: tuple[int, ...], grid: Grid, path: Path
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Read which cells are land and which were observed from the flags of a cube; None without flags."""
    flag = dataset.variables.get("fill_flag")
    if name == "fill_flag" or not index or flag is None or flag.ndim != 3:
        return None, None
    codes = _read_values(flag, index, grid, path, raw=True)
    attributes = {key: flag.getncattr(key) for key in flag.ncattrs()}
    land, observed = (codes == find_flag_value(attributes, word) for word in ("land", "observed"))
    return land, observed


def _find_nearest_days(packed: np.ndarray) -> np.ndarray:
    """Find the days to the nearest observation in 10 x days back + days forward; NaN for 0."""
    back, forward = np.divmod(np.where(packed > 0, packed, np.nan), 10)
    return np.fmin(np.where(back > 0, back, np.nan), np.where(forward > 0, forward, np.nan))


def list_maps(dataset: Any) -> list[str]:
    """List the variables of an open file that are maps, (time, y, x) or (y, x)."""
    return [
        name
        for name, variable in dataset.variables.items()
        if variable.dimensions[-2:] == ("y", "x")
        and variable.ndim in (2, 3)
        and variable.dtype != str
        and variable.dtype.kind in "fiu"
    ]


def _choose_variable(dataset: Any, path: Path, variable: str | None) -> tuple[str, bool]:
    """Choose the named variable or the main one, and tell whether it is the main one."""
    names = list_maps(dataset)
    listed_names = ", ".join(names) or "no variable (time, y, x) or (y, x)"
    main = find_main_variable(dataset, names)
    if variable is None and main is None:
        raise InputError(f"{path}: choose a variable with --variable; it holds {listed_names}")
    if variable is not None and variable not in names:
        raise InputError(f"{path} has no map called {variable!r}; it holds {listed_names}")
    return (variable or str(main)), variable in (None, main)


def find_main_variable(dataset: Any, names: list[str]) -> str | None:
    """Find the variable that is drawn by default; None if none stands out."""
    for standard_name in _MAIN_STANDARD_NAMES:
        for name in names:
            if getattr(dataset.variables[name], "standard_name", None) == standard_name:
                return name
    for pattern in _MAIN_NAMES:
        for name in names:
            if re.fullmatch(pattern, name):
                return name
    return names[0] if len(names) == 1 else None


def list_time_steps(dataset: Any, path: Path, axis: str) -> list[TimeStep]:
    """List the time steps of an axis: from its bounds if it has any, else from its times."""
    import netCDF4

    try:
        time = dataset.variables[axis]
        bounds = dataset.variables.get(getattr(time, "bounds", f"{axis}_bnds"))
        stored = np.ma.getdata((time if bounds is None else bounds)[:])
        pairs = stored.reshape(-1, 1) if bounds is None else stored
        timestamps: Any = netCDF4.num2date(
            pairs, time.units, only_use_cftime_datetimes=False, only_use_python_datetimes=True
        )
    except (AttributeError, KeyError, ValueError, OSError, RuntimeError) as error:
        raise InputError(f"{path}: its time axis cannot be read ({summarise_error(error)})") from None
    return [_make_step(row[0], row[-1]) for row in timestamps]


def _make_step(start: datetime, end: datetime) -> TimeStep:
    # The upper bound of a step is not part of it: midnight belongs to the day before.
    last = max(start, end - timedelta(microseconds=1))
    return TimeStep(start.date(), last.date())


def _choose_step(steps: list[TimeStep], path: Path, day: date | None) -> int:
    """Choose the shortest step that holds a day, by its index; without a day the only step."""
    content = format_count(len(steps), "time step")
    if len(steps) > 6:
        content += f" from {describe_step(steps[0])} to {describe_step(steps[-1])}"
    elif steps:
        content += ": " + ", ".join(map(describe_step, steps))
    if day is None:
        if len(steps) != 1:
            raise InputError(f"{path} holds {content}; choose one with --date")
        return 0
    candidates = [n for n, step in enumerate(steps) if step.start <= day <= step.end]
    if not candidates:
        raise InputError(f"{path} has no time step that holds {day}; it holds {content}")
    return min(candidates, key=lambda n: steps[n].end - steps[n].start)


def _read_values(
    variable: Any, index: tuple[int, ...], grid: Grid, path: Path, *, raw: bool
) -> np.ndarray:
    """Read a map, float32 (rows, columns) with NaN; ``raw`` leaves codes as they are stored."""
    variable.set_auto_maskandscale(not raw)
    try:
        stored = np.ma.asarray(variable[index] if index else variable[:])
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path} is damaged: {variable.name} cannot be read ({summarise_error(error)})"
        ) from None
    values = np.ma.filled(stored.astype(np.float32), np.nan)
    values[~np.isfinite(values)] = np.nan
    if raw and hasattr(variable, "_FillValue"):
        # A code with a meaning is a value, whatever else the file says of it.
        is_code = np.isin(variable._FillValue, getattr(variable, "flag_values", ()))
        values[(stored == variable._FillValue).filled(False) & ~is_code] = np.nan
    if values.shape != grid.shape:
        raise InputError(f"{path}: expected {variable.name} on {grid}, found shape {values.shape}")
    return values


def read_land(land_mask_file: Path, path: Place, grid: Grid) -> np.ndarray:
    """Read the land of a mask, bool (rows, columns); InputError if it lies on another grid."""
    mask = masks.read_mask(land_mask_file)
    if not mask.grid.same_cells(grid):
        raise InputError(
            f"{land_mask_file} lies on another grid than {path}: {mask.grid}, expected {grid}"
        )
    return mask.land
