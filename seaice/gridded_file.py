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

from seaice import atomic, products
from seaice.channels import CHANNELS
from seaice.grids import Grid
from seaice.period import day_number
from seaice.products import Variable
from seaice.swath_xarray import temperature_name

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


def freeboard_variables(product: str = "ATL10") -> tuple[Variable, ...]:
    """Variables of a freeboard file; of heights above the mean sea surface for ATL07."""
    noun, standard = "freeboard", {"standard_name": "sea_ice_freeboard"}
    if product == "ATL07":
        noun, standard = "height", {}
    what = "sea ice freeboard" if product == "ATL10" else "surface height above the mean sea surface"
    weighted = "area: time: {} (weighted by segment length)"
    ancillary = f"{noun}_std {noun}_uncertainty segment_count segment_length_mean track_count"
    return (
        _mean(
            f"{noun}_mean",
            f"{what}, mean of the segments weighted by their length",
            "m",
            method=weighted.format("mean"),
            ancillary_variables=ancillary,
            **standard,
        ),
        _mean(
            f"{noun}_std",
            f"standard deviation of the {noun} of the segments, weighted by their length",
            "m",
            method=weighted.format("standard_deviation"),
        ),
        _mean(
            f"{noun}_uncertainty",
            f"uncertainty of the {noun} of a segment, mean weighted by segment length; errors of a "
            "10 km section are not independent, so it is not divided by the number of segments",
            "m",
            method=weighted.format("mean"),
        ),
        _number("segment_count", "number of segments"),
        _mean("segment_length_mean", "mean segment length", "m", method="area: time: mean"),
        _number("track_count", "number of ground tracks (beams of granules)"),
    )


def temperature_variables(channels: Sequence[str], *, statistics: bool) -> tuple[Variable, ...]:
    """Variables of a file of brightness temperatures.

    Parameters
    ----------
    channels : sequence of str
    statistics : bool
        With standard deviation, count and observation time of the buckets; without: a field
        that was interpolated has none.
    """
    rows = []
    for channel in channels:
        name, known = temperature_name(channel), CHANNELS.get(channel)
        what = "brightness temperature"
        if known:
            what += f" at {known.frequency.rstrip('AB')} GHz, {known.polarization} polarization"
        more: dict[str, Any] = {
            "standard_name": "brightness_temperature",
            "units_metadata": "temperature: on_scale",
        }
        if statistics:
            more["ancillary_variables"] = f"{name}_std {name}_count"
        rows.append(_mean(name, what, "K", method="area: time: mean", **more))
        if statistics:
            spread = f"standard deviation of the {what}"
            rows.append(
                _mean(
                    f"{name}_std",
                    spread,
                    "K",
                    method="area: time: standard_deviation",
                    units_metadata="temperature: difference",
                )
            )
            rows.append(_number(f"{name}_count", f"number of observations of the {what}"))
    if statistics:
        attributes = {
            "long_name": f"mean time of the observations of {temperature_name(channels[0])}, hours "
            "since 00:00 UTC of the day",
            "units": "h",
            "cell_methods": "area: mean",
        }
        rows.append(Variable("observation_time", _DIMENSIONS, "f4", attributes, FILL))
    return tuple(rows)


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
        The caller holds :func:`seaice.atomic.exclusive` for this path.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    import netCDF4

    starts = np.array([day_number(step.start) for step in steps])
    ends = np.array([day_number(step.end) + 1 for step in steps])
    with (
        atomic.atomic(path, verify=_opens, locked=locked) as part,
        netCDF4.Dataset(part, "w") as dataset,
    ):
        dataset.setncatts(dict(attributes))
        products.write_grid(dataset, grid)
        products.write_time(dataset, starts, ends)
        made = {row.name: products.define(dataset, row) for row in variables}
        for number in range(len(steps)):
            for name, field in fields(number).items():
                made[name][number] = _stored(field, made[name].dtype)


def _stored(field: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind != "f":
        return field.astype(dtype)
    return np.where(np.isnan(field), FILL, field).astype(dtype)


def _opens(path: Path) -> None:
    import netCDF4

    netCDF4.Dataset(path).close()


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
