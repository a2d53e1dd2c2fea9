"""Files of statistics by grid cell and time: freeboard, brightness temperature.

Their variables, and a writer that takes one time step after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.dates import day_number
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.runtime import atomic_write

_DIMENSIONS = ("time", "y", "x")
FILL = float(np.float32(9.96921e36))  # the netCDF default for float32


@dataclass(frozen=True)
class Step:
    """A time step.

    Attributes
    ----------
    start, end : date
        First and last UTC day.
    """

    start: date
    end: date

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start} to {self.end}"


def _mean(name: str, long_name: str, units: str, *, method: str, **more: Any) -> Variable:
    attributes = {"long_name": long_name, "units": units, "cell_methods": method, **more}
    return Variable(name, _DIMENSIONS, "f4", attributes, FILL)


def _number(name: str, long_name: str) -> Variable:
    attributes = {"long_name": long_name, "units": "1", "cell_methods": "area: time: sum"}
    return Variable(name, _DIMENSIONS, "i4", attributes)


def write_gridded(
    path: Path,
    *,
    grid: Grid,
    steps: Sequence[Step],
    variables: Sequence[Variable],
    fields: Callable[[int], Mapping[str, np.ndarray]],
    attributes: Mapping[str, Any],
    locked: bool = False,
) -> None:
    """Write a file, one time step in memory at a time.

    Parameters
    ----------
    path : Path
    grid : Grid
    steps : sequence of Step
    variables : sequence of Variable
    fields : callable
        Given the number of a step, the field of every variable, shape (rows, columns); NaN
        where there is no value.
    attributes : mapping
        Global attributes.
    locked : bool
        The caller holds :func:`seaice.runtime.atomic_write.exclusive` for this path.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import netCDF4

    starts = np.array([day_number(step.start) for step in steps])
    ends = np.array([day_number(step.end) + 1 for step in steps])
    with (
        atomic_write.atomic(path, verify=_opens, locked=locked) as part,
        netCDF4.Dataset(part, "w") as dataset,
    ):
        dataset.setncatts(dict(attributes))
        cf.write_grid(dataset, grid)
        cf.write_time(dataset, starts, ends)
        made = {row.name: cf.define(dataset, row) for row in variables}
        for number in range(len(steps)):
            for name, field in fields(number).items():
                made[name][number] = _stored(field, made[name].dtype)


def _stored(field: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind != "f":
        return field.astype(dtype)
    return np.where(np.isnan(field), FILL, field).astype(dtype)


def _opens(path: Path) -> None:
    open_netcdf(path).close()


def days_of(start: date, end: date) -> list[Step]:
    """One step for every day."""
    return [Step(day, day) for day in (start + timedelta(n) for n in range((end - start).days + 1))]


def months_of(start: date, end: date) -> list[Step]:
    """One step for every calendar month that has a day of the period, whole months."""
    steps, first = [], start.replace(day=1)
    while first <= end:
        following = (first + timedelta(days=32)).replace(day=1)
        steps.append(Step(first, following - timedelta(days=1)))
        first = following
    return steps
