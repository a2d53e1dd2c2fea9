"""NetCDF files of statistics by time and grid cell, written one time step after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import cf
from seaice.cf import Variable
from seaice.dates import day_number
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.runtime import atomic_write

DIMENSIONS = ("time", "y", "x")
FILL = float(np.float32(9.96921e36))  # the netCDF default for float32


@dataclass(frozen=True)
class TimeStep:
    """A time step of whole UTC days.

    Attributes
    ----------
    start, end : date
        First and last day.
    """

    start: date
    end: date

    def __str__(self) -> str:
        return str(self.start) if self.start == self.end else f"{self.start} to {self.end}"


def describe_statistic(
    name: str, long_name: str, units: str, *, cell_methods: str, **attributes: Any
) -> Variable:
    """Describe a variable of float32 numbers with NaN in cells without observations."""
    attributes = {
        "long_name": long_name,
        "units": units,
        "cell_methods": cell_methods,
        **attributes,
    }
    return Variable(name, DIMENSIONS, "f4", attributes, FILL)


def describe_count(name: str, long_name: str) -> Variable:
    """Describe a variable of whole numbers with 0 in cells without observations."""
    attributes = {"long_name": long_name, "units": "1", "cell_methods": "area: time: sum"}
    return Variable(name, DIMENSIONS, "i4", attributes)


def write_gridded(
    path: Path,
    *,
    grid: Grid,
    steps: Sequence[TimeStep],
    variables: Sequence[Variable],
    fields: Callable[[int], Mapping[str, np.ndarray]],
    attributes: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    locked: bool = False,
) -> None:
    """Write a file, one time step in memory at a time.

    Parameters
    ----------
    path : Path
    grid : Grid
    steps : sequence of TimeStep
    variables : sequence of Variable
    fields : callable
        Returns, for the number of a step, the field of every variable by name, shape (rows,
        columns); NaN where there is no value.
    attributes : mapping
        Global attributes.
    labels : mapping of str to str, optional
        Texts that hold for the whole file, by name. They are scalar coordinates, along which files can
        be put together.
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
        atomic_write.atomic(path, verify=_check_readable, locked=locked, checksum=True) as part,
        netCDF4.Dataset(part, "w") as dataset,
    ):
        dataset.setncatts({**attributes, **cf.describe_bounds(grid)})
        cf.write_grid(dataset, grid)
        cf.write_time(dataset, starts, ends)
        stored = {variable.name: cf.define_variable(dataset, variable) for variable in variables}
        for name, text in (labels or {}).items():
            dataset.createDimension(f"{name}_text", len(text))
            label = dataset.createVariable(name, "S1", (f"{name}_text",))
            label.setncattr("_Encoding", "utf-8")
            label[:] = cf.encode_text(text, len(text))
        for variable in stored.values() if labels else ():
            variable.setncattr("coordinates", " ".join(labels or ()))
        for number in range(len(steps)):
            for name, field in fields(number).items():
                stored[name][number] = _convert(field, stored[name].dtype)


def _convert(field: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind != "f":
        return field.astype(dtype)
    return np.where(np.isnan(field), FILL, field).astype(dtype)


def _check_readable(path: Path) -> None:
    open_netcdf(path).close()
