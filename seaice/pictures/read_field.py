"""One field of a file of gridded statistics: which variable, which time step, what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from seaice.gridding.file import Step
from seaice.grids import Grid
from seaice.open_file import open_netcdf, summarise_error

# What a file is about, best first: a standard name of CF, or a name of ours.
_MAIN_STANDARD = ("sea_ice_freeboard", "brightness_temperature", "sea_ice_area_fraction")
_MAIN = (
    r"freeboard_mean", r"height_mean", r"brightness_temperature_(?!.*_(std|count)$).*",
    r"sea_ice_conc", r"surface", r"land_mask",
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """A field to draw.

    Attributes
    ----------
    name : str
        Of the variable.
    values : ndarray of float32, shape (rows, columns)
        NaN is no observation; so is a count of 0. Of a flag variable its codes.
    grid : Grid
    step : Step or None
        None where the variable has no time.
    attributes : mapping
        Of the variable.
    source : str
        Where it comes from, for a subtitle.
    is_count : bool
    is_main : bool
        It is what the file is about.
    land : ndarray of bool, shape (rows, columns), or None
    """

    name: str
    values: np.ndarray
    grid: Grid
    step: Step | None
    attributes: Mapping[str, Any]
    source: str
    is_count: bool = False
    is_main: bool = True
    land: np.ndarray | None = field(default=None, repr=False)

    @property
    def long_name(self) -> str:
        """What the file calls it; else its name, in words."""
        return str(self.attributes.get("long_name", self.name.replace("_", " ")))

    @property
    def units(self) -> str:
        """Units, empty for a plain number."""
        units = str(self.attributes.get("units", "")).strip()
        return "" if units == "1" else units

    @property
    def flags(self) -> dict[int, str] | None:
        """Meaning of every code, 0..255, of a flag variable; None for any other."""
        if not {"flag_values", "flag_meanings"} <= set(self.attributes):
            return None
        codes = np.atleast_1d(self.attributes["flag_values"]).tolist()
        if np.nanmin(self.values, initial=0) < 0 or np.nanmax(self.values, initial=0) > 255:
            return None
        words = str(self.attributes["flag_meanings"]).split()
        return {int(code): word for code, word in zip(codes, words, strict=False)}

    @property
    def known(self) -> np.ndarray:
        """True where there is a value, bool (rows, columns)."""
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


def span_of(step: Step) -> str:
    """A time step for people.

    Examples
    --------
    >>> span_of(Step(date(2022, 1, 7), date(2022, 1, 7)))
    '2022-01-07'
    >>> span_of(Step(date(2022, 1, 1), date(2022, 1, 31)))
    'January 2022'
    >>> span_of(Step(date(2022, 1, 1), date(2022, 3, 31)))
    '2022-01-01 to 2022-03-31'
    """
    return f"{step.start:%B %Y}" if _is_month(step) else str(step)


def _is_month(step: Step) -> bool:
    after = step.end + timedelta(days=1)
    return step.start.day == after.day == 1 and 28 <= (after - step.start).days <= 31


def is_gridded(dataset: Any) -> bool:
    """Whether an open NetCDF file holds statistics by time and cell, or a surface alone."""
    names = _fields_of(dataset)
    deep = any(len(dataset.variables[name].dimensions) == 3 for name in names)
    return deep or "surface" in names or "land_mask" in names


def read_field(
    path: Path, variable: str | None, day: date | None, land_mask_file: Path | None = None
) -> Field:
    """Read one variable at one time step.

    Parameters
    ----------
    path : Path
        NetCDF file with variables (time, y, x) or (y, x).
    variable : str or None
        By default what the file is about.
    day : date or None
        A day of the time step; needed if there is more than one step.
    land_mask_file : Path, optional
        Mask on the same grid.

    Raises
    ------
    InputError
        If the file is unreadable or holds no such variable, or no step has the day.
    """
    with _opened(path) as dataset:
        name, is_main = _choose(dataset, path, variable)
        stored = dataset.variables[name]
        attributes = {key: stored.getncattr(key) for key in stored.ncattrs()}
        grid = cf.read_grid(dataset)
        step: Step | None = None
        index: tuple[int, ...] = ()
        if len(stored.dimensions) == 3:
            steps = _steps_of(dataset, path, stored.dimensions[0])
            number = _number_of(steps, path, day)
            step, index = steps[number], (number,)
        elif day is not None:
            raise InputError(f"{name} of {path} has no time; leave --date out")
        counted = stored.dtype.kind in "iu" and not {"scale_factor", "flag_values"} & set(attributes)
        values = _values(stored, index, grid, path, raw="flag_values" in attributes)
    if counted and re.search(r"(^|_)count$", name):
        values[values == 0] = np.nan
    return Field(
        name=name,
        values=values,
        grid=grid,
        step=step,
        attributes=attributes,
        source=f"{path.name} · {grid}",
        is_count=counted,
        is_main=is_main,
        land=_land(land_mask_file, path, grid),
    )


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    if not path.is_file():
        raise InputError(f"--variable needs a NetCDF file, found {path}")
    with open_netcdf(path) as dataset:
        yield dataset


def _fields_of(dataset: Any) -> list[str]:
    """Names of the variables that are maps, (time, y, x) or (y, x)."""
    return [
        name
        for name, variable in dataset.variables.items()
        if variable.dimensions[-2:] == ("y", "x")
        and variable.ndim in (2, 3)
        and variable.dtype != str
        and variable.dtype.kind in "fiu"
    ]


def _choose(dataset: Any, path: Path, wanted: str | None) -> tuple[str, bool]:
    names = _fields_of(dataset)
    main = _main(dataset, names)
    if wanted is None and main is None:
        raise InputError(f"{path}: choose a variable with --variable; it holds {_listed(names)}")
    if wanted is not None and wanted not in names:
        raise InputError(f"{path} has no map called {wanted!r}; it holds {_listed(names)}")
    return (wanted or str(main)), wanted in (None, main)


def _main(dataset: Any, names: list[str]) -> str | None:
    for standard in _MAIN_STANDARD:
        for name in names:
            if getattr(dataset.variables[name], "standard_name", None) == standard:
                return name
    for pattern in _MAIN:
        for name in names:
            if re.fullmatch(pattern, name):
                return name
    return names[0] if len(names) == 1 else None


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "no variable (time, y, x) or (y, x)"


def _steps_of(dataset: Any, path: Path, axis: str) -> list[Step]:
    import netCDF4

    try:
        time = dataset.variables[axis]
        bounds = dataset.variables.get(getattr(time, "bounds", f"{axis}_bnds"))
        stored = np.ma.getdata((time if bounds is None else bounds)[:])
        pairs = stored.reshape(-1, 1) if bounds is None else stored
        moments: Any = netCDF4.num2date(
            pairs, time.units, only_use_cftime_datetimes=False, only_use_python_datetimes=True
        )
    except (AttributeError, KeyError, ValueError, OSError, RuntimeError) as error:
        raise InputError(f"{path}: its time axis cannot be read ({summarise_error(error)})") from None
    return [_step(row[0], row[-1]) for row in moments]


def _step(start: datetime, end: datetime) -> Step:
    # The end of a bound is the first instant that is no longer meant.
    last = max(start, end - timedelta(microseconds=1))
    return Step(start.date(), last.date())


def _number_of(steps: list[Step], path: Path, day: date | None) -> int:
    held = f"{len(steps)} time steps" if len(steps) != 1 else "one time step"
    if len(steps) > 6:
        held += f" from {span_of(steps[0])} to {span_of(steps[-1])}"
    elif steps:
        held += ": " + ", ".join(map(span_of, steps))
    if day is None:
        if len(steps) != 1:
            raise InputError(f"{path} holds {held}; choose one with --date")
        return 0
    fitting = [n for n, step in enumerate(steps) if step.start <= day <= step.end]
    if not fitting:
        raise InputError(f"{path} has no time step that holds {day}; it holds {held}")
    return min(fitting, key=lambda n: steps[n].end - steps[n].start)


def _values(variable: Any, index: tuple[int, ...], grid: Grid, path: Path, *, raw: bool) -> np.ndarray:
    variable.set_auto_maskandscale(not raw)
    try:
        found = np.ma.asarray(variable[index] if index else variable[:])
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path} is damaged: {variable.name} cannot be read ({summarise_error(error)})"
        ) from None
    values = np.ma.filled(found.astype(np.float32), np.nan)
    values[~np.isfinite(values)] = np.nan
    if values.shape != grid.shape:
        raise InputError(f"{path}: expected {variable.name} on {grid}, found shape {values.shape}")
    return values


def _land(land_mask_file: Path | None, path: Path, grid: Grid) -> np.ndarray | None:
    if land_mask_file is None:
        return None
    mask = masks.read_mask(land_mask_file)
    if not mask.grid.same_cells(grid):
        raise InputError(
            f"{land_mask_file} lies on another grid than {path}: {mask.grid}, expected {grid}"
        )
    return mask.land
