"""Reading one map of a file of any origin: by its attributes, on latitude and longitude too."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.drawing.source import describe_source
from seaice.fields.axes import FieldAxes
from seaice.fields.open import open_field
from seaice.fields.options import ReadOptions
from seaice.fields.read import FieldSource, choose_variable, read_gappy
from seaice.fields.stack import FieldStack
from seaice.gridding.file import TimeStep
from seaice.grids import Grid
from seaice.open_file.address import Place
from seaice.pictures.read_field import MapField, read_land
from seaice.report import format_count

_RADIUS = 6371007.0  # metres, of the sphere on which latitude and longitude are drawn
# Values that nobody declared as codes are told by their distance: a few numbers, each in many cells,
# farther from all others than those are from each other.
_MOST_CODES, _FEWEST_CELLS, _FEWEST_VALUES = 8, 10, 20


def read_foreign_field(
    path: Place, variable: str | None, day: date | None, land_mask_file: Path | None = None
) -> MapField:
    """Read one variable of a file of any origin on one day (parameters as of ``read_field``).

    Raises
    ------
    InputError
        If the file is unreadable or has no such variable, several maps fit, or its cells are no grid.
    """
    options = ReadOptions(variable=variable, start_date=day, end_date=day, keep_filled=True)
    if variable is not None:
        flags = _read_flags(path, options)
        if flags is not None:
            return flags
    source = read_gappy(path, options)
    if len(source.field.values) != 1:
        first, last = (from_day_number(int(np.floor(source.field.days[i]))) for i in (0, -1))
        maps = format_count(len(source.field.values), "map")
        choice = "it cannot be chosen by its day" if first == last else "choose one with --date"
        raise InputError(f"{path} holds {maps} of {source.variable} from {first} to {last}; {choice}")
    values = source.field.values[0].astype(np.float32)
    codes = find_undeclared_codes(values)
    values[np.isin(values, codes)] = np.nan
    # What counts as sea matters for filling only.
    notes = [note for note in source.notes if note != source.sea.note]
    if codes:
        low, high = np.nanmin(values), np.nanmax(values)
        notes.append(
            f"{', '.join(f'{code:g}' for code in codes)} lie far from all other values ({low:g} to "
            f"{high:g}): codes that {source.variable} does not declare, drawn as no value"
        )
    land = None if source.sea.cells.all() else ~source.sea.cells
    values, land, grid = _place_on_grid(source, values, land)
    if land_mask_file is not None:
        land = read_land(land_mask_file, path, grid)
    where = _describe_grid(source.axes, grid)
    return MapField(
        name=source.variable,
        values=values,
        grid=grid,
        step=_make_step(source),
        attributes=source.attributes | {"units": source.field.units},
        source=describe_source(source.file_attributes, f"{path.name} · {where}"),
        is_count=False,
        is_main=variable is None,
        land=land,
        missing="no value",
        notes=tuple(notes),
    )


def _read_flags(path: Place, options: ReadOptions) -> MapField | None:
    """Read the codes of a flag variable on a grid on one day; None if the variable is none."""
    with open_field(path) as dataset:
        name = choose_variable(dataset, path, options.variable)
        if "status_flag" not in str(dataset[name].attrs.get("standard_name", "")):
            return None
    with FieldStack(path, ReadOptions(variable=name, quality_level=0)) as stack:
        number = stack.find_map(options.start_date)
        step = None
        if stack.periods is not None:
            step = TimeStep(*(from_day_number(day) for day in stack.periods[number].tolist()))
        values = stack.read_other(name, number).astype(np.float32)
        return MapField(
            name=name,
            values=values,
            grid=stack.grid,
            step=step,
            attributes=stack.attributes,
            source=describe_source(stack.file_attributes, f"{path.name} · {stack.grid}"),
            is_main=False,
            missing="no value",
        )


def find_undeclared_codes(values: np.ndarray) -> list[float]:
    """Find values that can only be codes, such as 2540 for land among tenths of a percent.

    Examples
    --------
    >>> field = np.append(np.repeat(np.arange(1001.0), 2), [2540.0] * 50 + [2550.0] * 20)
    >>> find_undeclared_codes(field), find_undeclared_codes(np.arange(1001.0))
    ([2540.0, 2550.0], [])
    """
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    codes: list[float] = []
    for step in (-1, 1):  # from the largest and from the smallest value inwards
        ordered, cells = distinct[::step], counts[::step]
        for number in range(min(_MOST_CODES, len(ordered) - _FEWEST_VALUES), 0, -1):
            outer, inner = ordered[:number], ordered[number:]
            is_far = abs(outer[-1] - inner[0]) > abs(inner[0] - inner[-1])
            if is_far and (cells[:number] >= _FEWEST_CELLS).all() and (outer == np.rint(outer)).all():
                codes += outer.tolist()
                break
    return sorted(codes)


def _make_step(source: FieldSource) -> TimeStep | None:
    if source.axes.time is None and not source.axes.days.any():
        return None
    day = from_day_number(int(np.floor(source.field.days[0])))
    return TimeStep(day, day)


def _describe_grid(axes: FieldAxes, grid: Grid) -> str:
    if axes.grid is not None:
        return str(grid)
    return f"{axes.shape[0]} x {axes.shape[1]} cells of latitude and longitude"


def _place_on_grid(
    source: FieldSource, values: np.ndarray, land: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None, Grid]:
    """Bring a map to a grid of square cells that can be drawn: its own, or one of equal degrees."""
    axes = source.axes
    if axes.grid is not None:
        return values, land, axes.grid
    latitude, longitude = axes.latitude, axes.longitude
    if latitude is None or longitude is None or latitude.ndim != 1 or min(axes.shape) < 2:
        raise InputError(
            f"{source.path}: {source.variable} lies on no grid of x and y or of latitude and longitude; "
            "grid_swaths.py and grid_freeboard.py make grids of swaths and tracks"
        )
    start, turn = longitude[0], np.sign(longitude[1] - longitude[0])
    longitude = start + turn * np.mod(turn * (longitude - start), 360)  # without the jump at 180 degrees
    step = float(min(np.abs(np.diff(latitude)).min(), np.abs(np.diff(longitude)).min()))
    south, north = latitude.min() - step / 2, latitude.max() + step / 2
    west, east = longitude.min() - step / 2, longitude.max() + step / 2
    rows, columns = max(1, round((north - south) / step)), max(1, round((east - west) / step))
    metres = np.radians(1.0) * _RADIUS
    centre = (west + east) / 2
    grid = Grid(
        "latitude-longitude", rows, columns, step * metres, (west - centre) * metres, south * metres,
        f"+proj=eqc +lat_ts=0 +lon_0={centre:.10g} +R={_RADIUS:.0f} +units=m +no_defs",
    )  # fmt: skip
    row = np.abs(latitude[:, None] - (south + (np.arange(rows) + 0.5) * step)).argmin(axis=0)
    column = np.abs(longitude[:, None] - (west + (np.arange(columns) + 0.5) * step)).argmin(axis=0)
    index = np.ix_(row, column)
    return values[index], None if land is None else land[index], grid
