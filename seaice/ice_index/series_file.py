"""Series of earlier runs and of NSIDC, read from files and joined in time."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError, cf
from seaice.dates import parse_date, read_days
from seaice.ice_index.climate.days import extend_days
from seaice.ice_index.conventions import POLE_HOLE_RULES, PRESETS, check_areas
from seaice.ice_index.series import COLUMNS, MILLION, IndexSeries, name_column
from seaice.open_file import is_netcdf, open_netcdf
from seaice.report import format_count

_NSIDC_HEADER = ("Year", "Month", "Day", "Extent", "Missing")
_NSIDC_COLUMNS = {"extent": 3, "missing_area": 4}


def read_series(path: Path, *, whole_grid: str) -> IndexSeries:
    """Read a series that ``ice_index.py`` or NSIDC wrote.

    Parameters
    ----------
    path : Path
        CSV or NetCDF of ``ice_index.py``, or daily extent of the Sea Ice Index such as
        ``N_seaice_extent_daily_v4.0.csv`` (million km2, with two lines of header).
    whole_grid : str
        Name of the region of NSIDC's series.

    Raises
    ------
    InputError
        If it is none of these, or a day or a number in it cannot be read.
    """
    if not path.is_file():
        raise InputError(
            f"no such series: {path}; expected CSV or NetCDF of ice_index.py, or CSV of NSIDC"
        )
    if is_netcdf(path):
        return _read_netcdf(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            header = [name.strip() for name in next(csv.reader(lines), [])]
            if tuple(header[:5]) == _NSIDC_HEADER:
                return _read_nsidc(path, lines, whole_grid)
            if {"date", "region", "extent_km2", "threshold"} <= set(header):
                return _read_own(
                    path, [dict(zip(header, row, strict=False)) for row in csv.reader(lines)]
                )
    except UnicodeDecodeError:
        pass
    except InputError:
        raise
    except (ValueError, IndexError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected days and numbers, found {error}") from None
    raise InputError(
        f"{path} is no series: expected CSV or NetCDF of ice_index.py, or daily extent of NSIDC's Sea "
        "Ice Index"
    )


def _read_nsidc(path: Path, lines: Iterator[str], whole_grid: str) -> IndexSeries:
    next(lines, None)  # units
    rows = [[part.strip() for part in row[:5]] for row in csv.reader(lines)]
    rows = [row for row in rows if any(row)]
    days = [date(int(year), int(month), int(day)) for year, month, day, *_ in rows]
    preset = PRESETS["nsidc"]

    def read_column(name: str) -> np.ndarray | None:
        if name not in _NSIDC_COLUMNS:
            return None
        return MILLION * np.array([[float(row[_NSIDC_COLUMNS[name]] or "nan")] for row in rows])

    return _build_series(
        days,
        [whole_grid],
        read_column,
        threshold=preset.threshold,
        pole_hole=preset.pole_hole,
        path=path,
        references="Sea Ice Index, NSIDC G02135, doi:10.7265/a98x-0f50",
    )


def _read_own(path: Path, rows: list[dict[str, str]]) -> IndexSeries:
    rows = [row for row in rows if row]
    _check_rows(path, rows)
    days = sorted({parse_date(row["date"]) for row in rows})
    regions = list(dict.fromkeys(row["region"] for row in rows))
    place = {day: number for number, day in enumerate(days)}

    def read_column(name: str) -> np.ndarray | None:
        column = name_column(name)
        if column not in rows[0]:
            return None
        values = np.full((len(days), len(regions)), np.nan)
        for row in rows:
            values[place[parse_date(row["date"])], regions.index(row["region"])] = float(
                row[column] or "nan"
            )
        return values

    sentence = rows[0].get("pole_hole_rule", "")
    return _build_series(
        days,
        regions,
        read_column,
        threshold=float(rows[0]["threshold"]),
        pole_hole=next((name for name, rule in POLE_HOLE_RULES.items() if rule == sentence), sentence),
        surface_rule=rows[0].get("surface_rule", ""),
        path=path,
    )


def _check_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Refuse a table without rows, with a part of a row, with a row twice, or of two thresholds."""
    if not rows:
        raise InputError(f"{path} holds no day")
    part = next((row for row in rows if len(row) < len(rows[0])), None)
    if part:
        raise InputError(
            f"{path}: expected {len(rows[0])} columns in every row, found {len(part)} in that of "
            f"{part['date']}; make the table again"
        )
    if len({(row["date"], row["region"]) for row in rows}) < len(rows):
        raise InputError(f"{path}: expected one row a day and region; drop what is there twice")
    thresholds = {row["threshold"] for row in rows}
    if len(thresholds) > 1:
        raise InputError(
            f"{path}: expected one threshold, found {' and '.join(sorted(thresholds))}; series of two "
            "thresholds are no one series"
        )


def _read_netcdf(path: Path) -> IndexSeries:
    with open_netcdf(path) as dataset:
        if not {"sea_ice_extent", "region_name", "threshold", "time"} <= set(dataset.variables):
            raise InputError(f"{path} is no series: expected NetCDF of ice_index.py")
        time = dataset["time"]
        days = read_days(
            np.asarray(time[:]), {name: time.getncattr(name) for name in ("units", "calendar")}
        )
        stored = {
            name: attributes.get("standard_name", name) for name, (_, attributes) in COLUMNS.items()
        }

        def read_variable(name: str) -> np.ndarray | None:
            if stored[name] not in dataset.variables:
                return None
            return np.ma.filled(np.ma.masked_invalid(dataset[stored[name]][:]), np.nan).astype(
                np.float64
            )

        parameters = json.loads(getattr(dataset, "parameters", "{}"))
        return _build_series(
            days,
            [str(name) for name in dataset["region_name"][:]],
            read_variable,
            threshold=float(dataset["threshold"][...]),
            pole_hole=str(parameters.get("pole_hole", "")),
            surface_rule=str(getattr(dataset, "surface_rule", "")),
            path=path,
            references=str(getattr(dataset, "references", "")),
            is_simulated=cf.is_simulated({"source": str(getattr(dataset, "source", ""))}),
        )


def _build_series(
    days: list[date],
    regions: list[str],
    read_column: Callable[[str], np.ndarray | None],
    *,
    threshold: float,
    pole_hole: str,
    path: Path,
    surface_rule: str = "",
    references: str = "",
    is_simulated: bool = False,
) -> IndexSeries:
    """A series of consecutive days; a day that is not listed has no value."""
    if not days:
        raise InputError(f"{path} holds no day")
    if len(set(days)) < len(days) or days != sorted(days):
        raise InputError(
            f"{path}: expected days in order, once each; sort it and drop what is there twice"
        )
    all_days = extend_days(days)
    position = np.array([(day - days[0]).days for day in days])
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        columns[name] = np.full((len(all_days), len(regions)), np.nan)
        values = read_column(name)
        if values is not None:
            if name in ("extent", "area", "missing_area"):
                check_areas(values, path)
            columns[name][position] = values
    return IndexSeries(
        dates=all_days,
        regions=regions,
        **columns,
        threshold=threshold,
        pole_hole=pole_hole,
        pole_hole_rule=POLE_HOLE_RULES.get(pole_hole, pole_hole),
        surface_rule=surface_rule,
        source=path.name,
        references=references,
        is_simulated=is_simulated,
    )


def check_hemispheres(names: Iterable[str], cubes: Mapping[str, str | None]) -> None:
    """Refuse sources of both hemispheres.

    Parameters
    ----------
    names : iterable of str
        Names of files; those of NSIDC begin with their hemisphere, such as ``N_seaice_extent_daily``.
    cubes : mapping of str to str or None
        Hemisphere of every cube by its name, ``"north"`` or ``"south"``.

    Raises
    ------
    InputError
        If one lies in the north and another in the south.
    """
    halves = {"N_": "north", "S_": "south"}
    named = {name: halves[name[:2]] for name in names if name[1:].startswith("_seaice_extent_")}
    by_half = {half: name for name, half in {**named, **cubes}.items() if half}
    if len(by_half) > 1:
        raise InputError(
            f"expected sources of one hemisphere, found {by_half['north']} of the north and "
            f"{by_half['south']} of the south; choose files of one"
        )


def join_series(parts: Sequence[IndexSeries]) -> tuple[IndexSeries, list[str]]:
    """Join series in time; on a day that several have, the first one with a value counts.

    Returns
    -------
    series : IndexSeries
        Of all days from the first to the last, and of all regions.
    notes : list of str
        A line for every overlap, with the largest difference, and one for conventions that differ.

    Raises
    ------
    InputError
        If the thresholds differ.
    """
    first = parts[0]
    if len(parts) == 1:
        return first, []
    for part in parts[1:]:
        if part.threshold != first.threshold:
            raise InputError(
                f"expected one threshold, found {first.threshold:g} in {first.source} and "
                f"{part.threshold:g} in {part.source}; series of two thresholds are no one series"
            )
    days = extend_days(sorted(day for part in parts for day in (part.dates[0], part.dates[-1])))
    regions = list(dict.fromkeys(name for part in parts for name in part.regions))
    columns: dict[str, Any] = {name: np.full((len(days), len(regions)), np.nan) for name in COLUMNS}
    notes = []
    for part in parts:
        start = (part.dates[0] - days[0]).days
        own = slice(start, start + len(part.dates)), [regions.index(name) for name in part.regions]
        is_free = np.isnan(columns["extent"][own])
        notes += _compare_overlap(columns["extent"][own], part)
        for name, joined in columns.items():
            joined[own] = np.where(is_free, getattr(part, name), joined[own])
    notes += _compare_conventions(parts)
    sources = ", ".join(dict.fromkeys(part.source for part in parts))
    return (
        replace(
            first,
            dates=days,
            regions=regions,
            **columns,
            source=sources,
            references="; ".join(dict.fromkeys(p.references for p in parts if p.references)),
            pole_hole_rule="; ".join(dict.fromkeys(part.pole_hole_rule for part in parts)),
            surface_rule="; ".join(dict.fromkeys(p.surface_rule for p in parts if p.surface_rule)),
            is_simulated=any(part.is_simulated for part in parts),
        ),
        notes,
    )


def _compare_overlap(extent: np.ndarray, part: IndexSeries) -> list[str]:
    difference = np.abs(extent - part.extent)
    shared = int(np.count_nonzero(~np.isnan(difference).all(axis=1)))
    if not shared:
        return []
    return [
        f"{part.source}: {format_count(shared, 'day')} that an earlier source has too are left out; the "
        f"extents differ by up to {np.nanmax(difference) / MILLION:.3f} million km2"
    ]


def _compare_conventions(parts: Sequence[IndexSeries]) -> list[str]:
    if len({(part.pole_hole_rule, part.surface_rule) for part in parts}) == 1:
        return []
    named = "; ".join(f"{part.source}: {part.pole_hole}" for part in parts)
    return [
        "the sources follow different conventions, so that a step between them may be no change of the "
        f"ice ({named})"
    ]


def cut_series(series: IndexSeries, start: date | None, end: date | None) -> IndexSeries:
    """Cut a series to the days from a first to a last one.

    Raises
    ------
    InputError
        If it has none of them.
    """
    chosen = [
        number
        for number, day in enumerate(series.dates)
        if (start is None or day >= start) and (end is None or day <= end)
    ]
    if not chosen:
        raise InputError(
            f"expected days from {start} to {end}, found {series.dates[0]} to {series.dates[-1]} in "
            f"{series.source}"
        )
    own = slice(chosen[0], chosen[-1] + 1)
    columns: dict[str, Any] = {name: getattr(series, name)[own] for name in COLUMNS}
    return replace(series, dates=series.dates[own], **columns)
