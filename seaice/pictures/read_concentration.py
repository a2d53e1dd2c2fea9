"""What the pictures show, read from daily files, cubes and masks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import (
    InputError,
    masks,
)
from seaice.cube.file import CubeFile
from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.flags import FillFlag, find_flag_value
from seaice.grids import Grid
from seaice.masks import Mask, find_pole_hole
from seaice.open_file import open_netcdf
from seaice.pictures.read_field import is_gridded
from seaice.sources.bremen.names import (
    DayFile,
    RejectedDay,
)
from seaice.sources.bremen.reader import read_day

Kind = Literal["daily", "cube", "mask", "gridded"]


@dataclass(frozen=True)
class Day:
    """One day to draw.

    Attributes
    ----------
    concentration : ndarray of float32, shape (rows, columns)
        Percent; NaN is no value.
    grid : Grid
    date : datetime.date or None
        None where nothing tells it.
    source : str
        Where it comes from, for a subtitle.
    land : ndarray of bool or None
        None where land and missing cannot be told apart.
    hole : ndarray of bool
        The pole hole.
    missing : str
        What no value off land means.
    """

    concentration: np.ndarray
    grid: Grid
    date: date | None
    source: str
    land: np.ndarray | None
    hole: np.ndarray
    missing: str


def kind_of(path: Path) -> Kind:
    """Tell a cube, a mask and gridded statistics from a daily file by their variables.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if path.suffix == ".zarr" or (path / "zarr.json").is_file():
        return "cube"  # whose reader says what is wrong with the folder
    if path.is_dir():
        raise InputError(f"expected a file, found the folder {path}")
    if not _begins_as_netcdf(path):
        return "daily"
    try:
        with open_netcdf(path) as dataset:
            names = set(dataset.variables)
            if "fill_flag" in names:
                return "cube"
            if "nan_ratio" in names:
                return "mask"
            return "gridded" if is_gridded(dataset) else "daily"
    except (InputError, OSError, RuntimeError):
        return "daily"  # whose reader says what is wrong with the file


def _begins_as_netcdf(path: Path) -> bool:
    """Whether the first bytes are those of HDF5 or classic NetCDF, whatever the name says."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError:
        return False  # the reader of daily files says why
    return head == b"\x89HDF\r\n\x1a\n" or head[:3] == b"CDF"


def read_any(path: Path, day: date | None, land_mask_file: Path | None) -> Day:
    """Read a day from a daily file or a cube.

    Raises
    ------
    InputError
        If the file is missing or no such file, or does not hold the day.
    """
    if kind_of(path) != "cube":
        return read_daily(path, day, land_mask_file=land_mask_file)
    if land_mask_file is not None:
        raise InputError(f"{path} is a cube and knows its land; leave --land_mask_file out")
    with CubeFile(path) as cube:
        return read_cube_day(cube, day)


def read_daily(
    path: Path, day: date | None, *, grid: Grid | None = None, land_mask_file: Path | None = None
) -> Day:
    """Read a daily file; its name must agree with ``day`` if both tell a date."""
    name = DayFile.parse(path.name)
    if name is not None and day not in (None, name.day):
        raise InputError(f"{path} is of {name.day}, --date says {day}; change one of them")
    try:
        concentration, found = read_day(path, grid=grid)
    except RejectedDay as error:
        raise InputError(f"{path} cannot be drawn: {error}") from None
    land, hole = None, find_pole_hole(np.isnan(concentration), found)
    if land_mask_file is not None:
        mask = masks.read_mask(land_mask_file)
        if not mask.grid.same_cells(found):
            raise InputError(
                f"{land_mask_file} lies on another grid than {path}: {mask.grid}, expected {found}"
            )
        land = mask.land
    sensor = f"University of Bremen ASI, {name.sensor}" if name else path.name
    return Day(
        concentration=concentration,
        grid=found,
        date=name.day if name else day,
        source=f"{sensor} · {found}",
        land=land,
        hole=hole,
        missing="not observed",
    )


def read_cube_day(cube: CubeFile, day: date | None) -> Day:
    """Read one day of an open cube; without a date it must hold one day only."""
    if day is None:
        if len(cube.dates) != 1:
            raise InputError(
                f"{cube.path} holds {len(cube.dates)} days from {cube.dates[0]} to {cube.dates[-1]}; "
                "choose one with --date"
            )
        day = cube.dates[0]
    number = cube.index(day)
    land = cube.surface == cube.flag_value("land", "surface")
    invented = _invented(cube, cube.flags(number)) & ~land
    return Day(
        concentration=cube.concentration(number) * np.float32(100),
        grid=cube.grid,
        date=day,
        source=f"{cube.path.name} · {cube.grid} · {share(int(invented.sum()), int((~land).sum()))} of "
        "ocean cells filled",
        land=land,
        hole=cube.surface == cube.flag_value("pole_hole", "surface"),
        missing="not filled",
    )


def _invented(cube: CubeFile, flags: np.ndarray) -> np.ndarray:
    told = [cube.flag_value(name) for name in ("observed", "land", "not_filled")]
    return ~np.isin(flags, told)


def share(count: int, total: int) -> str:
    """A part in percent, never rounded to nothing or to all.

    Examples
    --------
    >>> share(1, 3), share(1, 100_000), share(0, 5), share(99_999, 100_000)
    ('33.3 %', '< 0.1 %', '0 %', '> 99.9 %')
    """
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if 0 < percent < 100 else f"{percent:.0f} %"


def fill_classes(cube: CubeFile, flags: np.ndarray, ocean: np.ndarray) -> dict[int, Swatch]:
    """Flags that occur, by their meaning in the file, with the share of ocean cells in the label.

    Parameters
    ----------
    flags : ndarray of uint8, shape (rows, columns)
        One day of ``fill_flag``.
    ocean : ndarray of bool, shape (rows, columns)
        Cells the shares refer to.
    """
    known: dict[int, Swatch] = {}
    spare = iter(palette.SPARE * 50)
    for flag in FillFlag:
        name = flag.name.lower()
        try:
            code = cube.flag_value(name)
        except KeyError:
            continue  # a file made before there was this method
        known[code] = palette.FILL.get(name) or Swatch(name.replace("_", " "), next(spare))
    codes, counts = np.unique(flags[ocean], return_counts=True)
    present = {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
    for code in present:
        known.setdefault(code, Swatch(f"other method (code {code})", next(spare)))
    total = int(ocean.sum())
    return {
        code: replace(swatch, label=f"{swatch.label}, {share(present[code], total)}")
        for code, swatch in known.items()
        if code in present
    }


@dataclass(frozen=True)
class Pair:
    """A day as read, and the same day of a cube.

    Attributes
    ----------
    raw, filled : Day
        Both with the land of the cube.
    flags : ndarray of uint8, shape (rows, columns)
        How the filled values came about.
    classes : dict of int to Swatch
        The flags that occur; of ocean with its share of ocean cells in the label.
    observed_code, land_code : int
        Two of the codes.
    """

    raw: Day
    filled: Day
    flags: np.ndarray
    classes: dict[int, Swatch]
    observed_code: int
    land_code: int

    def findings(self) -> list[str]:
        """Whether the cube was made from this file: one or more lines."""
        raw, filled = self.raw.concentration, self.filled.concentration
        observed = self.flags == self.observed_code
        there = ~np.isnan(raw) & (self.flags != self.land_code)
        both = observed & there
        largest = float(np.abs(raw[both] - filled[both]).max()) if both.any() else 0.0
        lines = [
            f"{int(both.sum())} observed cells, kept in the cube within {largest:.3f} percent",
            *(swatch.label for code, swatch in self.classes.items() if code != self.land_code),
        ]
        stray = int((observed ^ there).sum())
        if stray or largest > 0.01:
            lines.append(
                f"the cube was not made from this file alone: {stray} cells are observed in one "
                "of the two only"
            )
        return lines


def read_pair(original_file: Path, consolidated_file: Path, day: date) -> Pair:
    """Read a daily file and the same day of a cube.

    Raises
    ------
    InputError
        If a file is missing or of the wrong kind, the day is not in the cube, or the grids differ.
    """
    for path, kind, option in (
        (original_file, "daily", "--original_file: expected a daily file"),
        (consolidated_file, "cube", "--consolidated_file: expected a cube"),
    ):
        found = kind_of(path)
        if found != kind:
            name = {"daily": "daily file", "gridded": "file of gridded statistics"}.get(found, found)
            raise InputError(f"{option}, found {path}, a {name}")
    with CubeFile(consolidated_file) as cube:
        filled = read_cube_day(cube, day)
        flags = cube.flags(cube.index(day))
        ocean = cube.surface != cube.flag_value("land", "surface")
        classes = fill_classes(cube, flags, ocean)
        observed_code, land_code = cube.flag_value("observed"), cube.flag_value("land")
    raw = read_daily(original_file, day, grid=filled.grid)
    if not ocean.all():
        classes[land_code] = palette.LAND_SWATCH
    return Pair(replace(raw, land=~ocean), filled, flags, classes, observed_code, land_code)


def read_surface(path: Path) -> tuple[Mask, dict[int, Swatch], str]:
    """Read a mask with its classes by their meaning in the file.

    Returns
    -------
    mask : Mask
    classes : dict of int to Swatch
        Classes that occur, with their share of all cells in the label.
    source : str
        For a subtitle.
    """
    kind = kind_of(path)
    if kind != "mask":
        advice = (
            "draw it with visualization.py"
            if kind in ("cube", "gridded")
            else "make one with create_mask.py"
        )
        raise InputError(f"expected a mask of create_mask.py, found no mask: {path}; {advice}")
    mask = masks.read_mask(path)
    with open_netcdf(path) as dataset:
        attributes = {k: dataset["surface"].getncattr(k) for k in dataset["surface"].ncattrs()}
        parameters = json.loads(getattr(dataset, "parameters", "{}"))
    classes = _surface_classes(path, mask.surface, attributes)
    parts = [path.name, str(mask.grid)]
    if "days_used" in parameters:
        parts.append(f"{parameters['days_used']} days read")
    if "threshold" in parameters:
        parts.append(f"land: missing on {100 * parameters['threshold']:g} % of them or more")
    return mask, classes, " · ".join(parts)


def _surface_classes(
    path: Path, surface: np.ndarray, attributes: Mapping[str, Any]
) -> dict[int, Swatch]:
    codes, counts = np.unique(surface, return_counts=True)
    present = {int(code): int(count) for code, count in zip(codes, counts, strict=True)}
    classes = {}
    for name, swatch in palette.SURFACE.items():
        try:
            code = find_flag_value(attributes, name)
        except KeyError:
            continue  # a class this file does not have
        if code in present:
            label = f"{swatch.label}, {share(present[code], surface.size)}"
            classes[code] = replace(swatch, label=label)
    unknown = sorted(set(present) - set(classes))
    if unknown:
        raise InputError(f"{path}: its surface holds codes its flag_meanings do not explain: {unknown}")
    return classes
