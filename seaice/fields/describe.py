"""Description of a file of fields: its grid, its days and its variables."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.dates import DateRange, format_runs, from_day_number
from seaice.fields.axes import FieldAxes, read_axes, read_periods
from seaice.fields.open import open_field
from seaice.open_file.address import Place, find_zarr_format
from seaice.report import format_count, listing

_ENDINGS = (".nc", ".nc4", ".zarr")


def is_field_file(path: Place) -> bool:
    """Whether a path is a single file or a Zarr group, and no folder of files."""
    return path.is_file() or (path.is_dir() and find_zarr_format(path) is not None)


def list_field_files(folder: Path) -> list[Path]:
    """List the NetCDF files and Zarr groups in a folder and its subfolders, in order."""
    paths = (path for path in folder.rglob("*") if path.suffix in _ENDINGS)
    within = (path for path in paths if not any(p.suffix == ".zarr" for p in path.parents))
    return sorted(path for path in within if is_field_file(path))


def describe_fields(path: Place) -> tuple[list[str], tuple[int, int]]:
    """Describe the maps of a file.

    Returns
    -------
    lines : list of str
    shape : (int, int)
        Rows and columns of the first map.

    Raises
    ------
    InputError
        If it cannot be read or holds no map.
    """
    with open_field(path) as dataset:
        groups: dict[tuple[str, str], tuple[tuple[int, int], list[str]]] = {}
        for name, array in dataset.data_vars.items():
            if array.ndim < 2 or array.dtype.kind not in "fiu":
                continue
            try:
                axes = read_axes(dataset, array, path, with_positions=False)
            except InputError:
                continue  # no map: bounds, texts, tables
            if {axes.y, axes.x} & {"bnds", "nv"} or min(axes.shape) < 2:
                continue
            periods = read_periods(dataset, axes, path)
            cells, days = _describe_cells(axes), _describe_days(axes, periods)
            units = array.attrs.get("units")
            text = f"{name} ({units})" if units not in (None, "1", "") else str(name)
            _, texts = groups.setdefault((cells, days), (axes.shape, []))
            texts.append(text)
    if not groups:
        raise InputError(f"{path} holds no map, that is no variable (time, y, x) or (y, x)")
    lines = [f"file: {path}"]
    for (cells, days), (_, texts) in groups.items():
        lines += [f"grid: {cells}", f"{days}: {', '.join(texts)}"]
    return lines, next(iter(groups.values()))[0]


def _describe_cells(axes: FieldAxes) -> str:
    if axes.grid is not None:
        return str(axes.grid)
    rows, columns = axes.shape
    kind = " of latitude and longitude" if axes.latitude is not None else " without a projection"
    return f"{rows} x {columns} cells{kind}"


def _describe_days(axes: FieldAxes, periods: np.ndarray | None) -> str:
    if periods is None:
        return "one map without a time" if axes.time is None else f"{len(axes.days)} maps without days"
    if not len(periods):
        return "no map"
    days = [from_day_number(int(number)) for number in (periods[0, 0], periods[-1, 1])]
    text = f"{format_count(len(periods), 'map')}, {days[0]} to {days[1]}"
    lengths = set((np.diff(periods, axis=1) + 1).ravel().tolist())
    if lengths != {1}:
        return f"{text}, of {min(lengths)} to {max(lengths)} days each"
    first_days = set(periods[:, 0].tolist())
    absent = [
        day for day in DateRange(*days) if (day - days[0]).days + int(periods[0, 0]) not in first_days
    ]
    return text + (f", without {listing(format_runs(absent))}" if absent else "")
