"""Values of daily maps at points: buoys, ships, animals."""

from __future__ import annotations

import logging
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaice import InputError, cf
from seaice.dates import from_day_number
from seaice.flags import flag_attributes
from seaice.gridding.projection import locate_cells
from seaice.regridding.point_table import PointTable, read_points
from seaice.regridding.source import Source, find_ocean, name_flags, select_maps
from seaice.regridding.weights import find_surrounding
from seaice.report import Progress, Report, format_count
from seaice.runtime.atomic_write import atomic
from seaice.runtime.output_checks import Output, check_outputs

if TYPE_CHECKING:
    import pandas as pd

logger = logging.getLogger(__name__)

COLUMNS = ("flag", "flag_meaning", "expected_error", "distance_km", "time_difference_hours", "reason")
_NO_FLAG = -1
_HOUR = np.timedelta64(3600, "s")


class Reason(IntEnum):
    """Why a point has no value."""

    VALUE = 0  # it has one
    NO_POSITION = 1
    NO_TIME = 2
    OUTSIDE_GRID = 3
    OUTSIDE_PERIOD = 4
    LAND = 5
    NO_VALUE = 6  # ocean without a value on the day


class Samples(NamedTuple):
    """Values at points, each of shape (points,).

    Attributes
    ----------
    values, errors : ndarray of float32
        NaN where there is none.
    flags : ndarray of int16
        -1 where there is none.
    distance : ndarray of float64
        Kilometres from the point to the centre of its cell; NaN outside the grid.
    time_difference : ndarray of float64
        Hours from the middle of the map's period to the point; NaN outside the period.
    reason : ndarray of uint8
        Codes of :class:`Reason`.
    """

    values: np.ndarray
    errors: np.ndarray
    flags: np.ndarray
    distance: np.ndarray
    time_difference: np.ndarray
    reason: np.ndarray


def sample_points(
    source: Source,
    time: np.ndarray | None,
    latitude: np.ndarray,
    longitude: np.ndarray,
    *,
    method: str = "nearest",
    smallest_share: float = 0.5,
    numbers: range | None = None,
) -> Samples:
    """Sample the maps of an input at points; the time is in proportion to maps and points.

    Every map is read once, and of it only the part where points are.

    Parameters
    ----------
    source : Source
    time : ndarray of datetime64, shape (points,), or None
        UTC, in any order; NaT: unknown. None only for one map without a time.
    latitude, longitude : ndarray of float64, shape (points,)
        Degrees, longitudes in any convention; NaN: unknown.
    method : {"nearest", "bilinear"}
        The cell that holds the point, or the four cells around it.
    smallest_share : float
        Least share of the weights of ocean cells that must have a value, for bilinear.
    numbers : range, optional
        Maps that are used; by default all.

    Raises
    ------
    InputError
        If the method is another, or times are needed.
    """
    if method not in ("nearest", "bilinear"):
        raise InputError(
            f"expected nearest or bilinear at points, found {method!r}; choose one of these"
        )
    count = latitude.size
    cells = locate_cells(latitude, longitude, source.grid).astype(np.int64)
    maps, difference = _match_maps(source, time, count, numbers)
    reason = np.full(count, Reason.VALUE, np.uint8)
    reason[maps < 0] = Reason.OUTSIDE_PERIOD
    reason[cells == -1] = Reason.OUTSIDE_GRID
    if time is not None:
        reason[np.isnat(time) & (maps < 0)] = Reason.NO_TIME
    reason[cells == -2] = Reason.NO_POSITION
    samples = Samples(
        np.full(count, np.nan, np.float32),
        np.full(count, np.nan, np.float32),
        np.full(count, _NO_FLAG, np.int16),
        _measure_distance(source, cells, latitude, longitude),
        difference,
        reason,
    )
    usable = np.flatnonzero(reason == Reason.VALUE)
    usable = usable[np.argsort(maps[usable], kind="stable")]
    starts = np.flatnonzero(np.diff(maps[usable], prepend=-1))
    groups = np.split(usable, starts[1:]) if usable.size else []
    ocean = find_ocean(source).ravel()
    with Progress(total=len(groups), label="maps", logger=logger) as progress:
        for points in groups:
            number = int(maps[points[0]])
            _sample_map(
                source,
                number,
                points,
                cells,
                latitude,
                longitude,
                method,
                smallest_share,
                ocean,
                samples,
            )
            name = "map" if source.periods is None else from_day_number(int(source.periods[number, 0]))
            progress.unit(f"{name} {format_count(points.size, 'point')}")
    return samples


def _match_maps(
    source: Source, time: np.ndarray | None, count: int, numbers: range | None
) -> tuple[np.ndarray, np.ndarray]:
    """Match points with the maps of their days, -1 without one; and the hours from their middle."""
    maps, difference = np.full(count, -1), np.full(count, np.nan)
    if source.periods is None:
        return np.zeros(count, np.int64), difference
    if time is None:
        raise InputError("expected times of the points, found none; name their column time")
    numbers = range(len(source.periods)) if numbers is None else numbers
    known = np.flatnonzero(~np.isnat(time))
    days = time[known].astype("M8[D]").astype(np.int64)
    first, last = source.periods[numbers.start : numbers.stop].T
    position = np.searchsorted(first, days, side="right") - 1
    inside = (position >= 0) & (days <= last[np.maximum(position, 0)])
    known, position = known[inside], position[inside]
    maps[known] = position + numbers.start
    twice = first[position] + last[position] + 1
    middle = twice.astype("m8[D]").astype("m8[s]") // 2 + np.datetime64("1970-01-01", "s")
    difference[known] = (time[known] - middle) / _HOUR
    return maps, difference


def _measure_distance(
    source: Source, cells: np.ndarray, latitude: np.ndarray, longitude: np.ndarray
) -> np.ndarray:
    """Measure the kilometres along the ellipsoid from points to the centres of their cells."""
    grid, inside = source.grid, np.flatnonzero(cells >= 0)
    row, column = np.divmod(cells[inside], grid.columns)
    centre = grid.transform_to_degrees(grid.x[column], grid.y[row])
    geod = grid.crs.get_geod()
    assert geod is not None
    distance = np.full(cells.size, np.nan)
    distance[inside] = geod.inv(longitude[inside], latitude[inside], *centre)[2] / 1000
    return distance


def _sample_map(
    source: Source,
    number: int,
    points: np.ndarray,
    cells: np.ndarray,
    latitude: np.ndarray,
    longitude: np.ndarray,
    method: str,
    smallest_share: float,
    ocean: np.ndarray,
    samples: Samples,
) -> None:
    """Sample one map at some points, into the samples."""
    columns = source.grid.columns
    around, shares = cells[points][:, np.newaxis], np.ones((points.size, 1))
    if method == "bilinear" and not source.is_classes:
        around, shares = find_surrounding(source.grid, latitude[points], longitude[points])
    row, column = np.divmod(around, columns)
    own_row, own_column = np.divmod(cells[points], columns)
    rows = slice(int(min(row.min(), own_row.min())), int(max(row.max(), own_row.max())) + 1)
    part = slice(int(min(column.min(), own_column.min())), int(max(column.max(), own_column.max())) + 1)
    content = source.read(number, rows, part)

    def pick(values: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(values[y - rows.start, x - part.start])

    values = pick(content.values, row, column).astype(np.float64)
    is_ocean = ocean[around]
    weights = shares * (is_ocean & ~np.isnan(values))
    total, room = weights.sum(axis=1), (shares * is_ocean).sum(axis=1)
    has_value = (total > 0) & (total >= (smallest_share - 1e-6) * room) & ocean[cells[points]]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (weights * np.nan_to_num(values)).sum(axis=1) / total
    samples.values[points] = np.where(has_value, mean, np.nan)
    heaviest = np.argmax(weights, axis=1)
    of_flag = np.arange(points.size), heaviest
    if content.flags is not None:
        flag = np.where(
            has_value,
            pick(content.flags, row, column)[of_flag],
            pick(content.flags, own_row, own_column),
        )
        samples.flags[points] = flag
    if content.errors is not None:
        errors = pick(content.errors, row, column).astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = (weights * np.nan_to_num(errors)).sum(axis=1) / total
        is_uncertain = has_value & ((weights > 0) & ~np.isnan(errors)).any(axis=1)
        samples.errors[points] = np.where(is_uncertain, error, np.nan)
    lacking = np.where(ocean[cells[points]], Reason.NO_VALUE, Reason.LAND)
    samples.reason[points] = np.where(has_value, Reason.VALUE, lacking)


def sample_file(
    source: Source,
    points: Path,
    output_file: Path,
    method: str,
    start_date: date | None,
    end_date: date | None,
    smallest_share: float,
) -> Report:
    """Write the values at the points of a file; see :func:`seaice.regridding.stage.regrid`."""
    if output_file.suffix not in (".csv", ".nc"):
        raise InputError(f"expected an output of points that ends in .csv or .nc, found {output_file}")
    if output_file.suffix == ".csv":
        check_outputs(
            [Output("output_file", output_file, "table", (source.variable, *COLUMNS))], [points]
        )
    table = read_points(Path(points))
    if table.time is None and source.periods is not None:
        raise InputError(
            f"{points}: expected a column of times (time, date, timestamp, or year, month, day), found "
            f"{', '.join(map(str, table.frame.columns))}; add one, UTC"
        )
    samples = sample_points(
        source,
        table.time,
        table.latitude,
        table.longitude,
        method=method,
        smallest_share=smallest_share,
        numbers=select_maps(source, start_date, end_date),
    )
    counts = {reason.name.lower(): int((samples.reason == reason).sum()) for reason in Reason}
    if counts["outside_grid"] + counts["no_position"] == len(table.frame):
        raise InputError(
            f"{points}: none of the {len(table.frame)} points lies in {source.path}, "
            f"{source.grid.describe_place()}; check that latitude and longitude are not exchanged"
        )
    frame = _add_columns(table, source, samples)
    with atomic(output_file, kind="values at points" if output_file.suffix == ".nc" else "") as part:
        if output_file.suffix == ".csv":
            frame.to_csv(part, index=False, float_format="%.6g")
        else:
            _write_netcdf(part, table, frame, source, samples, method)
    return _report(source, samples, counts, output_file)


def _add_columns(table: PointTable, source: Source, samples: Samples) -> pd.DataFrame:
    """Add the values to the columns of a table, where earlier ones of a name become NAME_before."""
    import pandas as pd

    words = name_flags(source)
    texts = np.array(["", *(reason.name.lower() for reason in Reason if reason)])
    flags = pd.array(np.where(samples.flags < 0, 0, samples.flags), dtype="Int16")
    flags[samples.flags < 0] = pd.NA
    # One text a code: a million equal texts take no memory.
    names = np.array([words.get(code, "") for code in range(256)] + [""], object)
    added = {
        source.variable: samples.values,
        "flag": flags,
        "flag_meaning": names[samples.flags],
        "expected_error": samples.errors,
        "distance_km": samples.distance.round(4),
        "time_difference_hours": samples.time_difference.round(4),
        "reason": texts[samples.reason],
    }
    frame = table.frame.rename(columns={name: f"{name}_before" for name in added})
    return frame.assign(**added)


def _write_netcdf(
    path: Path, table: PointTable, frame: pd.DataFrame, source: Source, samples: Samples, method: str
) -> None:
    import pandas as pd
    import xarray as xr

    own = {table.names.get(q) for q in ("time", "latitude", "longitude")}
    added = {source.variable, *COLUMNS}
    data: dict[str, Any] = {}
    for name in frame.columns:
        if name in own or name in added:
            continue
        numbers = pd.to_numeric(frame[name], errors="coerce")
        kept = frame[name].astype(str) if numbers.isna().any() else numbers
        data[str(name).replace("/", "_")] = ("point", np.asarray(kept))
    coordinates: dict[str, Any] = {
        "lat": ("point", table.latitude, cf.LATITUDE),
        "lon": ("point", table.longitude, cf.LONGITUDE),
    }
    if table.time is not None:
        coordinates["time"] = ("point", table.time, {"standard_name": "time", "long_name": "time, UTC"})
    kept_attributes = ("standard_name", "long_name", "units")
    described = {k: source.attributes[k] for k in kept_attributes if k in source.attributes}
    data[source.variable] = ("point", samples.values, described)
    units = {"units": described.get("units", "1")}
    data["expected_error"] = ("point", samples.errors, {"long_name": "expected standard error", **units})
    long = "distance to the centre of the cell that holds the point"
    data["distance_km"] = ("point", samples.distance, {"long_name": long, "units": "km"})
    long = "hours from the middle of the period of the map to the point"
    data["time_difference_hours"] = ("point", samples.time_difference, {"long_name": long, "units": "h"})
    if source.flag_attributes is not None:
        flags = {k: source.flag_attributes[k] for k in ("flag_values", "flag_meanings")}
        flags["flag_values"] = np.asarray(flags["flag_values"], np.int16)
        data["flag"] = ("point", samples.flags, {"long_name": "flag of the value", **flags})
    described = {"long_name": "why a point has no value", **flag_attributes(Reason)}
    data["reason"] = ("point", samples.reason, described)
    dataset = xr.Dataset(data, coordinates)
    dataset.attrs = cf.describe_file(
        title=f"{source.variable} of {source.path.name} at points",
        summary="the value of the map of the day at every point, or the reason why there is none",
        source=str(source.file_attributes.get("source", source.path.name)),
        stage="sample_points",
        parameters={"method": method, "input": source.path.name},
        references=str(source.file_attributes.get("references", "see the input file")),
    )
    dataset.attrs["featureType"] = "point"
    encoding: dict[str, Any] = {name: {"_FillValue": None} for name in ("lat", "lon", "reason")}
    if "flag" in dataset:
        encoding["flag"] = {"_FillValue": np.int16(_NO_FLAG)}
    if "time" in dataset.coords:
        encoding["time"] = {"units": "seconds since 1970-01-01", "dtype": "f8"}
    dataset.to_netcdf(path, encoding=encoding)


def _report(source: Source, samples: Samples, counts: dict[str, int], output_file: Path) -> Report:
    total = samples.reason.size
    lines = [f"{source.variable}: {counts['value']} of {format_count(total, 'point')} have a value"]
    without = [
        f"{count} {name.replace('_', ' ')}"
        for name, count in counts.items()
        if name != "value" and count
    ]
    if without:
        lines.append(f"without a value: {', '.join(without)}")
    if counts["value"]:
        lines.append(f"largest distance to the centre of a cell: {np.nanmax(samples.distance):.2f} km")
    lines.append(f"wrote {output_file}")
    return Report(lines=lines, outputs=[output_file], values={"points": total, "counts": counts})
