"""Reading the concentration of a day from a daily file or a cube, and surface classes from a mask."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np

from seaice import InputError, masks
from seaice.cube.file import CubeFile
from seaice.daily.source import find_product_of, read_product_file
from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.drawing.source import describe_source
from seaice.fields.stack import find_concentration
from seaice.flags import FillFlag, Surface
from seaice.grids import Grid
from seaice.masks import Mask, find_pole_hole
from seaice.open_file import is_netcdf, open_netcdf
from seaice.open_file.address import Address, Place
from seaice.pictures.read_field import is_gridded, read_land
from seaice.report import format_count
from seaice.runtime.json_files import parse_json
from seaice.sources import RejectedDay
from seaice.sources.bremen.names import DayFile
from seaice.sources.bremen.reader import read_attributes, read_day
from seaice.sources.products import CellClass, Product

FileKind = Literal["daily", "cube", "mask", "gridded"]


@dataclass(frozen=True)
class MapDay:
    """Concentration of one day to be drawn on a map.

    Attributes
    ----------
    concentration : ndarray of float32, shape (rows, columns)
        Percent; NaN is missing.
    grid : Grid
    date : datetime.date or None
        The day; None if neither the file nor an option tells it.
    source : str
        Product, grid and share of filled cells, for a subtitle.
    land : ndarray of bool, shape (rows, columns), or None
        Land; None if it cannot be told from missing cells.
    hole : ndarray of bool, shape (rows, columns)
        The pole hole.
    missing : str
        Meaning of a missing ocean cell, for the legend.
    surface : ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.Surface`, of which lakes and water without ice are drawn.
    """

    concentration: np.ndarray
    grid: Grid
    date: date | None
    source: str
    land: np.ndarray | None
    hole: np.ndarray
    missing: str
    surface: np.ndarray | None = None

    def cut(self, rows: slice, columns: slice) -> MapDay:
        """Cut the part in a range of rows and of columns."""
        return replace(
            self,
            concentration=self.concentration[rows, columns],
            grid=self.grid.crop(rows, columns),
            land=None if self.land is None else self.land[rows, columns],
            hole=self.hole[rows, columns],
            surface=None if self.surface is None else self.surface[rows, columns],
        )


def recognise_kind(path: Place) -> FileKind:
    """Recognise by its content whether a file is a daily file, a cube, a mask or another gridded file.

    Raises
    ------
    InputError
        If there is no such file.
    """
    if isinstance(path, Address):
        return "gridded" if find_concentration(path) is None else "cube"
    if not path.exists():
        raise InputError(f"no such file: {path}")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"expected a file, found a pipe or a device: {path}")  # which is waited for
    if path.suffix == ".zarr" or (path / "zarr.json").is_file():
        # A damaged cube is reported by the reader of cubes.
        if not path.is_dir() or not any(path.iterdir()) or (path / "sea_ice_conc").exists():
            return "cube"
        has_flags = (path / "fill_flag").exists()
        return "cube" if has_flags and find_concentration(path) is not None else "gridded"
    if path.is_dir():
        raise InputError(f"expected a file, found the folder {path}")
    if find_product_of(path) is not None:
        return "daily"
    if not is_netcdf(path):
        return "daily"
    try:
        with open_netcdf(path) as dataset:
            names = set(dataset.variables)
            if "sea_ice_conc" in names and names & {"fill_flag", "forecast_reference_time"}:
                return "cube"
            if "nan_ratio" in names:
                return "mask"
            if "fill_flag" in names and find_concentration(path) is not None:
                return "cube"
            is_daily = "z" in names or DayFile.parse(path.name) is not None
            return "gridded" if is_gridded(dataset) or not is_daily else "daily"
    except (InputError, OSError, RuntimeError):
        return "daily"  # a damaged file is reported by the reader of daily files


def read_map_day(path: Place, day: date | None, land_mask_file: Path | None) -> MapDay:
    """Read a day from a daily file, or from a cube or another stack of concentration.

    Raises
    ------
    InputError
        If the file is missing, is neither of the two, or does not hold the day.
    """
    if isinstance(path, Path) and recognise_kind(path) == "daily":
        return read_daily(path, day, land_mask_file=land_mask_file)
    with CubeFile(path) as cube:
        if land_mask_file is None:
            return read_cube_day(cube, day)
        if cube.has("surface"):
            raise InputError(f"{path} is a cube and knows its land; leave --land_mask_file out")
        return replace(read_cube_day(cube, day), land=read_land(land_mask_file, path, cube.grid))


def read_daily(
    path: Path, day: date | None, *, grid: Grid | None = None, land_mask_file: Path | None = None
) -> MapDay:
    """Read a daily file; InputError if its name has another date than ``day``."""
    described = find_product_of(path)
    if described is not None:
        return _read_product(path, described, day, grid, land_mask_file)
    name = DayFile.parse(path.name)
    attributes = read_attributes(path)
    if name is not None and day not in (None, name.day):
        raise InputError(f"{path} is of {name.day}, --date says {day}; change one of them")
    try:
        concentration, grid = read_day(path, grid=grid)
    except RejectedDay as error:
        raise InputError(f"{path} cannot be drawn: {error}") from None
    product = f"University of Bremen ASI, {name.sensor}" if name else path.name
    return MapDay(
        concentration=concentration,
        grid=grid,
        date=name.day if name else day,
        source=describe_source(attributes, f"{product} · {grid}"),
        land=None if land_mask_file is None else read_land(land_mask_file, path, grid),
        hole=find_pole_hole(np.isnan(concentration), grid),
        missing="not observed",
    )


def _read_product(
    path: Path, product: Product, day: date | None, grid: Grid | None, land_mask_file: Path | None
) -> MapDay:
    """Read a file of a described product; its land and lakes are those of its own classes."""
    try:
        of_mask = None if land_mask_file is None else masks.read_mask(land_mask_file).grid
        content, file_day = read_product_file(path, product, day, grid or of_mask)
    except RejectedDay as error:
        raise InputError(f"{path} cannot be drawn: {error}") from None
    if grid is not None and not grid.same_cells(content.grid):
        raise InputError(
            f"{path} lies on another grid: expected {grid.describe_place()}, found "
            f"{content.grid.describe_place()}"
        )
    is_hole, surface = find_pole_hole(np.isnan(content.concentration), content.grid), None
    land = None if land_mask_file is None else read_land(land_mask_file, path, content.grid)
    if content.classes is not None:
        is_hole = content.classes == CellClass.POLE_HOLE
        if land is None:
            land = np.isin(content.classes, (CellClass.LAND, CellClass.COAST, CellClass.LAKE))
            surface = np.where(content.classes == CellClass.LAKE, Surface.LAKE, 0).astype(np.uint8)
    return MapDay(
        concentration=content.concentration,
        grid=content.grid,
        date=file_day,
        source=describe_source(read_attributes(path), f"{product.title} · {content.grid}"),
        land=land,
        hole=is_hole,
        missing="not observed",
        surface=surface,
    )


def read_cube_day(cube: CubeFile, day: date | None) -> MapDay:
    """Read one day of an open cube; without ``day`` the cube must hold one day only."""
    if day is None:
        if len(cube.dates) != 1:
            raise InputError(
                f"{cube.path} holds {len(cube.dates)} days from {cube.dates[0]} to {cube.dates[-1]}; "
                "choose one with --date"
            )
        day = cube.dates[0]
    number = cube.index(day)
    land = ~cube.ocean
    origin = f"{cube.path.name} · {cube.grid}"
    if cube.has("fill_flag"):
        codes = [cube.flag_value(name) for name in ("observed", "land", "not_filled")]
        is_filled = ~np.isin(cube.flags(number), codes) & ~land
        origin += f" · {format_share(int(is_filled.sum()), int((~land).sum()))} of ocean cells filled"
    return MapDay(
        concentration=cube.concentration(number) * np.float32(100),
        grid=cube.grid,
        date=day,
        source=describe_source(cube.attributes, origin),
        land=land & ~find_outside(cube) if cube.has("surface") else None,
        hole=cube.surface == Surface.POLE_HOLE,
        missing="not filled" if cube.has("fill_flag") else "no value",
        surface=cube.surface,
    )


def find_outside(cube: CubeFile) -> np.ndarray:
    """Cells of a regridded cube that its input did not reach: they are no ocean, and no land."""
    if not cube.has("land_share"):
        return np.zeros(cube.grid.shape, bool)
    return ~(cube.variable("land_share") <= 1)


def format_share(count: int, total: int) -> str:
    """Format a share in percent; only 0 is written as 0 % and only all as 100 %.

    Examples
    --------
    >>> [format_share(*pair) for pair in ((1, 3), (1, 100_000), (0, 5), (99_999, 100_000))]
    ['33.3 %', '< 0.1 %', '0 %', '> 99.9 %']
    """
    percent = 100 * count / total if total else 0.0
    if 0 < percent < 0.05:
        return "< 0.1 %"
    if 99.95 <= percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if 0 < percent < 100 else f"{percent:.0f} %"


def make_flag_swatches(cube: CubeFile, flags: np.ndarray, ocean: np.ndarray) -> dict[int, Swatch]:
    """Make legend entries for the flags that occur, with their share of ocean cells in the label.

    Parameters
    ----------
    cube : CubeFile
        Cube whose attributes tell the meaning of the flags.
    flags : ndarray of uint8, shape (rows, columns)
        ``fill_flag`` of one day.
    ocean : ndarray of bool, shape (rows, columns)
        Ocean cells.
    """
    swatches: dict[int, Swatch] = {}
    spare_colours = iter(palette.SPARE * 50)
    for flag in FillFlag:
        name = flag.name.lower()
        try:
            code = cube.flag_value(name)
        except KeyError:
            continue  # the file is older than this method
        swatches[code] = palette.FILL.get(name) or Swatch(name.replace("_", " "), next(spare_colours))
    counts = _count_codes(flags[ocean])
    for code in counts:
        swatches.setdefault(code, Swatch(f"other method (code {code})", next(spare_colours)))
    total = int(ocean.sum())
    return {
        code: replace(swatch, label=f"{swatch.label}, {format_share(counts[code], total)}")
        for code, swatch in swatches.items()
        if code in counts
    }


def _count_codes(codes: np.ndarray) -> dict[int, int]:
    """Count how often every code occurs."""
    values, counts = np.unique(codes, return_counts=True)
    return {int(code): int(count) for code, count in zip(values, counts, strict=True)}


@dataclass(frozen=True)
class DayComparison:
    """A day of a daily file, and the same day of a cube.

    Attributes
    ----------
    raw, filled : MapDay
        The day of the daily file and that of the cube, both with the land of the cube.
    flags : ndarray of uint8, shape (rows, columns)
        ``fill_flag`` of the cube.
    classes : dict of int to Swatch
        Legend entries of the flags that occur, with their share of ocean cells in the label.
    of_file_codes : tuple of int
        Codes in ``flags`` of values that are those of the file.
    removed_codes : tuple of int
        Codes of values of the file that were set to others.
    land_code : int
        Code of land.
    """

    raw: MapDay
    filled: MapDay
    flags: np.ndarray
    classes: dict[int, Swatch]
    of_file_codes: tuple[int, ...]
    removed_codes: tuple[int, ...]
    land_code: int

    def describe(self) -> list[str]:
        """Return lines for the report: observed cells, flags, and whether file and cube agree."""
        raw, filled = self.raw.concentration, self.filled.concentration
        observed_in_cube = np.isin(self.flags, self.of_file_codes)
        observed_in_file = ~np.isnan(raw) & ~np.isin(self.flags, (self.land_code, *self.removed_codes))
        common = observed_in_cube & observed_in_file
        largest = float(np.abs(raw[common] - filled[common]).max()) if common.any() else 0.0
        lines = [
            f"{int(common.sum())} observed cells, kept in the cube within {largest:.3f} percent",
            *(swatch.label for code, swatch in self.classes.items() if code != self.land_code),
        ]
        only_in_one = int((observed_in_cube ^ observed_in_file).sum())
        if only_in_one or largest > 0.01:
            lines.append(
                f"the cube was not made from this file alone: {only_in_one} cells are observed in one "
                "of the two only"
            )
        return lines


def read_comparison(original_file: Path, consolidated_file: Place, day: date) -> DayComparison:
    """Read a daily file and the same day of a cube.

    Raises
    ------
    InputError
        If a file is missing or of another kind, the cube lacks the day, or the grids differ.
    """
    for path, expected_kind, option in (
        (original_file, "daily", "--original_file: expected a daily file"),
        (consolidated_file, "cube", "--consolidated_file: expected a cube"),
    ):
        kind = recognise_kind(path)
        if kind == "gridded" and expected_kind == "cube" and find_concentration(path) is not None:
            kind = "cube"
        if kind != expected_kind:
            name = {"daily": "daily file", "gridded": "file of gridded statistics"}.get(kind, kind)
            raise InputError(f"{option}, found {path}, a {name}")
    with CubeFile(consolidated_file) as cube:
        filled = read_cube_day(cube, day)
        flags = cube.flags(cube.index(day))
        ocean = cube.ocean
        classes = make_flag_swatches(cube, flags, ocean)
        of_file = _list_codes(cube, FillFlag.OBSERVED, FillFlag.PRODUCER_INTERPOLATED)
        removed = _list_codes(cube, FillFlag.SPILLOVER_REMOVED)
        land_code = cube.flag_value("land")
    raw = read_daily(original_file, day, grid=filled.grid)
    if not ocean.all():
        classes[land_code] = palette.LAND_SWATCH
    raw = replace(raw, land=~ocean, surface=filled.surface)
    return DayComparison(raw, filled, flags, classes, of_file, removed, land_code)


def _list_codes(cube: CubeFile, *flags: FillFlag) -> tuple[int, ...]:
    """List the codes that flags have in a cube; one made by an earlier version lacks some."""
    codes = []
    for flag in flags:
        with suppress(KeyError):
            codes.append(cube.flag_value(flag.meaning))
    return tuple(codes)


def read_surface(path: Path) -> tuple[Mask, dict[int, Swatch], str]:
    """Read a mask and legend entries of its surface classes.

    Returns
    -------
    mask : Mask
    classes : dict of int to Swatch
        Legend entries of the classes that occur, with their share of all cells in the label.
    source : str
        File, grid and threshold, for a subtitle.

    Raises
    ------
    InputError
        If the file is no mask, or has a class without a meaning.
    """
    kind = recognise_kind(path)
    if kind != "mask":
        advice = (
            "draw it with visualization.py"
            if kind in ("cube", "gridded")
            else "make one with create_mask.py"
        )
        raise InputError(f"expected a mask of create_mask.py, found no mask: {path}; {advice}")
    mask = masks.read_mask(path)
    with open_netcdf(path) as dataset:
        parameters = parse_json(getattr(dataset, "parameters", "{}"))
        file_attributes = {name: dataset.getncattr(name) for name in dataset.ncattrs()}
    classes = _make_surface_swatches(mask.surface)
    parts = [path.name, str(mask.grid)]
    if "days_used" in parameters:
        parts.append(f"{format_count(parameters['days_used'], 'day')} read")
    if "threshold" in parameters:
        parts.append(f"land: missing on {100 * parameters['threshold']:g} % of them or more")
    return mask, classes, describe_source(file_attributes, " · ".join(parts))


def _make_surface_swatches(surface: np.ndarray) -> dict[int, Swatch]:
    counts = _count_codes(surface)
    codes = {name: int(Surface[name.upper()]) for name in palette.SURFACE}
    return {
        code: replace(
            palette.SURFACE[name],
            label=f"{palette.SURFACE[name].label}, {format_share(counts[code], surface.size)}",
        )
        for name, code in codes.items()
        if code in counts
    }
