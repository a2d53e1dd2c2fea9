"""Daily sea ice extent and area of a cube.

Extent is the area of the cells with at least 15 percent ice; area is the ice in them.
Both use true cell areas. A missing cell does not count as open water: its area is reported
beside the result.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seaice import InputError, cf
from seaice.cf import ICE_EDGE, is_ice
from seaice.cube.file import CubeFile
from seaice.daily.source import is_daily_name
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.ice_index.climate.climatology import read_climatology
from seaice.ice_index.climate.folder import plan_outputs, summarise_records, write_folder
from seaice.ice_index.climate.periods import LEAST_DAYS
from seaice.ice_index.climate.record import describe_climate
from seaice.ice_index.conventions import POLE_HOLE_RULES, SURFACE_RULES, choose_convention
from seaice.ice_index.dates.events import CLOSED_ICE, RUN_DAYS, DateRule
from seaice.ice_index.dates.stage import DEFAULT_MAPS, CubeDays, DateRequest, write_ice_dates
from seaice.ice_index.interval import ErrorBlocks, Interval, bound_sums
from seaice.ice_index.series import (
    IndexSeries,
    draw_series,
    write_csv,
    write_netcdf,
)
from seaice.ice_index.series_file import check_hemispheres, cut_series, join_series, read_series
from seaice.masks import read_mask
from seaice.pictures.animation import (
    animate,
    check_animation,
    select_days,
)
from seaice.regions import Regions, find_region_file, read_regions
from seaice.report import Progress, Report, add_picture, listing
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)

logger = logging.getLogger(__name__)

WHOLE_GRID = "whole grid"


class IceIndex(NamedTuple):
    """Sums of a day by region: ndarrays of float64, shape (regions,), in km2 except the last.

    Attributes
    ----------
    extent, area : ndarray
        NaN where a region has no cell with a value.
    missing_area : ndarray
        Area of the cells without a value, except those that ``pole_hole_as_ice`` counts.
    pole_hole_as_ice : ndarray
        Area of the cells that count as ice only because they are in the pole hole.
    filled_share : ndarray
        Share (0..1) of ``extent`` in cells that were not observed; NaN where extent is 0.
    """

    extent: np.ndarray
    area: np.ndarray
    missing_area: np.ndarray
    pole_hole_as_ice: np.ndarray
    filled_share: np.ndarray


_LARGEST_FRACTION = 1.5  # retrievals overshoot 1 a little; percent lies far above


def extent_and_area(
    concentration: np.ndarray,
    cell_area: np.ndarray,
    *,
    region: np.ndarray | None = None,
    count: int = 1,
    observed: np.ndarray | None = None,
    pole_hole: np.ndarray | None = None,
    threshold: float = ICE_EDGE,
    pole_hole_rule: str = "filled",
) -> IceIndex:
    """Compute the sea ice extent and area of one day by region.

    Parameters
    ----------
    concentration : ndarray of float, any shape
        Fraction 0..1; NaN is missing.
    cell_area : ndarray, same shape
        True area of the cells, km2.
    region : ndarray of int, same shape, optional
        0 = left out (such as land), 1..``count`` = number of the region. By default
        all cells are in region 1.
    count : int
        Number of regions.
    observed : ndarray of bool, same shape, optional
        False where the value was filled. By default every value was observed.
    pole_hole : ndarray of bool, same shape, optional
        True in the pole hole.
    threshold : float
        A cell is ice-covered from this concentration on.
    pole_hole_rule : {"filled", "ice", "exclude"}
        See :data:`POLE_HOLE_RULES`.

    Returns
    -------
    IceIndex

    Examples
    --------
    >>> day = extent_and_area(np.array([0.10, 0.15, 0.90, np.nan]), np.full(4, 100.0))
    >>> [float(v[0]) for v in (day.extent, day.area, day.missing_area)]
    [200.0, 105.0, 100.0]
    """
    concentration = np.ma.filled(concentration, np.nan)
    if concentration.dtype.kind == "f" and (concentration > _LARGEST_FRACTION).any():
        raise InputError(
            f"expected concentration as fractions of 1, found up to {np.nanmax(concentration):g}; "
            "divide percent by 100"
        )
    for name, array in (("cell_area", cell_area), ("region", region), ("observed", observed)):
        if array is not None and np.shape(array) != concentration.shape:
            raise InputError(
                f"expected {name} in the shape of the concentration of one day, "
                f"{concentration.shape}, found {np.shape(array)}; give one day at a time"
            )
    has_value = ~np.isnan(concentration)
    observed = has_value if observed is None else observed & has_value
    region = np.ones(concentration.shape, dtype=np.intp) if region is None else region
    hole = np.zeros(has_value.shape, dtype=bool) if pole_hole is None else pole_hole
    assumed_ice = hole & {"filled": ~has_value, "ice": ~observed, "exclude": np.False_}[pole_hole_rule]
    left_out = hole if pole_hole_rule == "exclude" else assumed_ice
    used = has_value & ~left_out
    ice = used & is_ice(concentration, threshold)

    def sum_by_region(cells: np.ndarray, weight: np.ndarray = cell_area) -> np.ndarray:
        sums = np.bincount(region[cells].ravel(), weights=weight[cells].ravel(), minlength=count + 1)
        return sums[1 : count + 1]

    # 0 would be wrong for a region in which no cell has a value.
    is_unknown = sum_by_region(used) == 0
    extent = np.where(is_unknown, np.nan, sum_by_region(ice | assumed_ice))
    area = np.where(is_unknown, np.nan, sum_by_region(ice, concentration * cell_area))
    not_observed = sum_by_region((ice & ~observed) | assumed_ice)
    share = np.divide(not_observed, extent, out=np.full(count, np.nan), where=extent > 0)
    missing_area = sum_by_region(~has_value & ~left_out)
    return IceIndex(extent, area, missing_area, sum_by_region(assumed_ice), share)


def ice_index(
    *,
    input_file: Path | Sequence[Path] = (),
    series_file: Sequence[Path] = (),
    start_date: date | None = None,
    end_date: date | None = None,
    land_mask_file: Path | None = None,
    output_csv: Path | None = None,
    output_file: Path | None = None,
    output_dir: Path | None = None,
    plot: Path | None = None,
    animation: Path | None = None,
    region: Sequence[str] | None = None,
    preset: str = "toolbox",
    threshold: float | None = None,
    pole_hole: str | None = None,
    climatology_years: Sequence[int] | None = None,
    climatology_file: Path | None = None,
    least_days: int = LEAST_DAYS,
    fps: float = 10,
    pixels: int = 800,
    dates_file: Path | None = None,
    dates_plot: Path | None = None,
    trend_plot: Path | None = None,
    map_of: Sequence[str] = DEFAULT_MAPS,
    ice_year: Sequence[str] | None = None,
    closed_threshold: float = CLOSED_ICE,
    run_days: int = RUN_DAYS,
    trend_months: Sequence[int] = (),
) -> Report:
    """Write the daily extent and area of a cube, for the whole grid and by region.

    Parameters
    ----------
    input_file : Path or sequence of Path
        Cubes of ``consolidate_data.py``.
    series_file : sequence of Path
        Series of earlier runs, or daily extent of NSIDC (see
        :func:`seaice.ice_index.series_file.read_series`). On a day that several sources have the first
        one counts, cubes before series.
    start_date, end_date : date, optional
        First and last day of series and animation; by default those of the sources.
    land_mask_file : Path, optional
        Mask of ``create_mask.py``: cells that are no ocean in it do not count, nor do cells on which
        ice is not possible in the month of the day, where the mask tells it.
    output_csv, output_file, plot : Path, optional
        CSV, NetCDF and picture of the series.
    output_dir : Path, optional
        Folder of climatology, anomalies, months, years, trends and pictures of a series of years.
    animation : Path, optional
        The days of the cube as GIF or MP4 (see :func:`seaice.pictures.animation.animate`).
    region : sequence of str, optional
        Boxes, polygons and region files (see :func:`seaice.regions.read_regions`).
    preset : {"toolbox", "nsidc"}
        See :data:`seaice.ice_index.conventions.PRESETS`.
    threshold : float, optional
        A cell is ice-covered from this concentration on, fraction; by default that of the preset.
    pole_hole : {"filled", "ice", "exclude"}, optional
        See :data:`POLE_HOLE_RULES`; by default that of the preset.
    climatology_years : (int, int), optional
        First and last year of the climatology; by default all years but the last one.
    climatology_file : Path, optional
        A published climatology (see :func:`seaice.ice_index.climate.climatology.read_climatology`).
    least_days : int
        Days with a value that a monthly mean needs.
    fps : float
        Days a second of the animation.
    pixels : int
        Longer side of a frame of the animation.
    dates_file, dates_plot, trend_plot : Path, optional
        Dates of retreat and advance by cell as NetCDF, and maps of the dates and of their trends; see
        :class:`seaice.ice_index.dates.stage.DateRequest`.
    map_of : sequence of str
        Quantities that the maps show.
    ice_year : sequence of two str, optional
        First day of ice years and day of the minimum, MM-DD; by default those of the hemisphere.
    closed_threshold : float
        Concentration of closed ice, fraction.
    run_days : int
        Days of ice in a row that make an advance.
    trend_months : sequence of int
        Months whose mean concentration has a trend; by default all of the ice year.

    Returns
    -------
    Report
        ``values["series"]`` is the :class:`seaice.ice_index.series.IndexSeries`, and
        ``values["climate"]`` with an ``output_dir`` the list of
        :class:`seaice.ice_index.climate.record.ClimateRecord`.
    """
    cubes = [input_file] if isinstance(input_file, str | Path) else list(input_file)
    region = list(region or [])
    _check_climatology(output_dir, climatology_years, climatology_file)
    of_cubes = {
        "--region": region,
        "--land_mask_file": land_mask_file,
        "--threshold": threshold,
        "--pole_hole": pole_hole,
        "--animation": animation,
    }
    _check_sources(
        cubes, series_file, [name for name, value in of_cubes.items() if value not in (None, [])]
    )
    threshold, pole_hole = choose_convention(
        preset,
        threshold=threshold,
        pole_hole=pole_hole,
        has_mask=land_mask_file is not None or not cubes,
    )
    check_outputs(
        [
            Output("output_csv", output_csv, "table", ("date", "region")),
            Output("output_file", output_file, "series"),
            Output("plot", plot, "picture"),
            Output("animation", animation, "animation"),
            Output("dates_file", dates_file, "dates"),
            Output("dates_plot", dates_plot, "picture"),
            Output("trend_plot", trend_plot, "picture"),
            *(plan_outputs(Path(output_dir)) if output_dir is not None else []),
        ],
        [
            *cubes,
            *series_file,
            land_mask_file,
            climatology_file,
            *(find_region_file(text) for text in region),
        ],
        is_daily_file=is_daily_name,
    )
    if animation is not None:
        check_animation(Path(animation), fps=fps, pixels=pixels)
    request = DateRequest(
        dates_file=dates_file,
        dates_plot=dates_plot,
        trend_plot=trend_plot,
        rule=DateRule(threshold, closed_threshold, run_days, tuple(trend_months)),
        ice_year=ice_year,
        map_of=map_of,
    )
    request.check(has_cube=bool(cubes))
    _check_grids({}, [*series_file, climatology_file])
    published = None if climatology_file is None else read_climatology(Path(climatology_file))
    is_only = len(cubes) + len(series_file) == 1
    parts: list[IndexSeries] = []
    notes: list[str] = []
    grids: dict[str, Grid] = {}
    for path in cubes:
        with CubeFile(path) as cube:
            grids[str(path)] = cube.grid
            _check_grids(grids, [*series_file, climatology_file])
            days = (select_days if is_only else _select_overlap)(cube, start_date, end_date)
            if not days:
                continue
            counted = _Counted.of(cube, days, land_mask_file)
            part, lines = _compute_series(
                cube, days, region, counted, threshold=threshold, pole_hole=pole_hole
            )
        parts.append(part)
        notes += lines
    notes += _compare_grids(grids)
    parts += [read_series(Path(path), whole_grid=WHOLE_GRID) for path in series_file]
    if not parts:
        raise InputError(f"no cube has a day from {start_date} to {end_date}; choose other days")
    series, lines = join_series(parts)
    if series_file or not is_only:
        series = cut_series(series, start_date, end_date)
    report = Report(lines=series.summarise() + notes + lines, values={"series": series})
    for write, output in ((write_csv, output_csv), (write_netcdf, output_file)):
        if output is not None:
            write(series, Path(output))
            report.outputs.append(Path(output))
            report.lines.append(f"wrote {output}")
    if output_dir is not None:
        records = describe_climate(
            series,
            climatology_years=climatology_years,
            published=published,
            least_days=least_days,
        )
        report.values["climate"] = records
        report.lines += summarise_records(records)
        write_folder(report, Path(output_dir), series, records)
    if dates_file is not None:
        _write_dates(report, cubes, (start_date, end_date), land_mask_file, request)
    if plot is not None:
        with add_picture(report, Path(plot), is_asked=True):
            draw_series(series, Path(plot))
            report.lines.append(f"wrote {plot}")
    if animation is not None:
        with add_picture(report, Path(animation), is_asked=True):
            moving = animate(
                input_file=cubes[0],
                output_file=animation,
                start_date=start_date,
                end_date=end_date,
                fps=fps,
                pixels=pixels,
            )
            report.lines += moving.lines
    return report


def _check_sources(
    cubes: Sequence[Path], series_file: Sequence[Path], options_of_cubes: Sequence[str]
) -> None:
    """Refuse a run without a source, and options that change only the numbers of a cube without one."""
    if not cubes and not series_file:
        raise InputError(
            "expected --input_file or --series_file, found neither; name a cube or a series"
        )
    if options_of_cubes and not cubes:
        raise InputError(
            f"{listing(list(options_of_cubes))}: expected an --input_file, found series alone, whose "
            "numbers stand; name a cube"
        )
    if "--animation" in options_of_cubes and len(cubes) != 1:
        raise InputError(f"expected one --input_file for --animation, found {len(cubes)}; name one cube")


def _check_grids(grids: Mapping[str, Grid], files: Sequence[Path | None]) -> None:
    """Refuse cubes, series and a climatology of both hemispheres."""
    names = [Path(path).name for path in files if path is not None]
    check_hemispheres(names, {name: grid.hemisphere for name, grid in grids.items()})


def _compare_grids(grids: Mapping[str, Grid]) -> list[str]:
    """A line where cubes lie on several grids, which may not hold the same ocean."""
    each = list(grids.values())
    if all(grid.same_cells(each[0]) for grid in each):
        return []
    places = "; ".join(f"{name}: {grid.describe_place()}" for name, grid in grids.items())
    return [
        "the cubes lie on different grids, so that a step between them may be no change of the ice "
        f"({places})"
    ]


def _check_climatology(
    output_dir: Path | None, climatology_years: Sequence[int] | None, climatology_file: Path | None
) -> None:
    """Refuse options of the climatology that do not fit together."""
    if climatology_years is not None:
        first, last = climatology_years
        if last <= first:
            raise InputError(
                "expected --climatology_years FIRST LAST, two years or more, found "
                f"{first} {last}; exchange or widen them"
            )
        if climatology_file is not None:
            raise InputError(
                "expected --climatology_file or --climatology_years, found both; leave one out"
            )
    if output_dir is None and (climatology_file is not None or climatology_years is not None):
        raise InputError("a climatology needs --output_dir, the folder of its tables and pictures")


def _write_dates(
    report: Report,
    cubes: Sequence[Path],
    period: tuple[date | None, date | None],
    land_mask_file: Path | None,
    request: DateRequest,
) -> None:
    """Write the dates by cell of all cubes together."""
    with ExitStack() as stack:
        parts = []
        for path in cubes:
            cube = stack.enter_context(CubeFile(path))
            days = _select_overlap(cube, *period)
            if days:
                parts.append(CubeDays(cube, days, _Counted.of(cube, days, land_mask_file).ocean))
        write_ice_dates(parts, request, report)


def _select_overlap(cube: CubeFile, start: date | None, end: date | None) -> range:
    """Positions of the days of a cube within a date range, none if it lies elsewhere."""
    inside = [
        number
        for number, day in enumerate(cube.dates)
        if (start is None or day >= start) and (end is None or day <= end)
    ]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


@dataclass(frozen=True)
class _Counted:
    """Cells that count.

    Attributes
    ----------
    ocean : ndarray of bool, shape (rows, columns)
    rule : str
        Which cells these are, as a sentence.
    months : mapping of int to ndarray of bool, shape (rows, columns)
        Cells on which ice is possible, for every month; empty if they are not told.
    """

    ocean: np.ndarray
    rule: str
    months: Mapping[int, np.ndarray]

    @classmethod
    def of(cls, cube: CubeFile, numbers: range, land_mask_file: Path | None) -> _Counted:
        """Cells of a cube that count, by its surface and a mask."""
        if land_mask_file is None:
            return cls(cube.ocean, SURFACE_RULES["cube"], {})
        mask = read_mask(land_mask_file)
        if not mask.grid.same_cells(cube.grid):
            raise InputError(
                f"{land_mask_file} lies on another grid than {cube.path}: {mask.grid.describe_place()}, "
                f"expected {cube.grid.describe_place()}"
            )
        months = {cube.dates[number].month for number in numbers}
        absent = sorted(months - mask.valid_ice.keys())
        if mask.valid_ice and absent:
            raise InputError(
                f"{land_mask_file} does not tell where ice is possible in month "
                f"{', '.join(map(str, absent))}; make it with --valid_ice of these months too, or "
                "choose other days"
            )
        rule = SURFACE_RULES["months" if mask.valid_ice else "mask"].format(
            mask=Path(land_mask_file).name
        )
        return cls(cube.ocean & mask.ocean, rule, mask.valid_ice)


def _compute_series(
    cube: CubeFile,
    numbers: range,
    region: Sequence[str],
    counted: _Counted,
    *,
    threshold: float,
    pole_hole: str,
) -> tuple[IndexSeries, list[str]]:
    """The series, and a line for every region file whose regions do not cover all ocean."""
    divisions = read_divisions(cube, counted.ocean, region)
    ocean = np.flatnonzero(counted.ocean)
    cell_area = cube.grid.cell_area().ravel()[ocean]
    codes = [division.codes.ravel()[ocean] for division in divisions]
    regions = list(zip(codes, (len(division.names) for division in divisions), strict=True))
    summing = _DaySums(
        cube=cube,
        cells=ocean,
        cell_area=cell_area,
        hole=(cube.surface == Surface.POLE_HOLE).ravel()[ocean],
        blocks=ErrorBlocks.of(cube.grid.shape, ocean, kilometres=cube.grid.kilometres),
        threshold=threshold,
        pole_hole_rule=pole_hole,
        valid_ice={month: valid.ravel()[ocean] for month, valid in counted.months.items()},
    )
    days: list[list[np.ndarray]] = []
    with Progress(total=len(numbers), label="days", logger=logger) as progress:
        for number in numbers:
            days.append(summing.sum_day(number, regions))
            extent = days[-1][0][0] / 1e6
            text = "without any value" if np.isnan(extent) else f"extent {extent:.3f} million km2"
            progress.unit(f"{cube.dates[number]} {text}")
    notes = [] if cube.has("surface") else [_NO_SURFACE.format(name=cube.path.name)]
    names = IceIndex._fields + Interval._fields
    series = IndexSeries(
        dates=[cube.dates[number] for number in numbers],
        regions=[name for division in divisions for name in division.names],
        **{name: np.stack([day[i] for day in days]) for i, name in enumerate(names)},
        threshold=threshold,
        pole_hole=pole_hole,
        pole_hole_rule=POLE_HOLE_RULES[pole_hole],
        source=cube.path.name,
        references=str(cube.attributes.get("references", "")),
        is_simulated=cf.is_simulated(cube.attributes),
        surface_rule=counted.rule,
    )
    notes += [
        f"{text}: {cell_area[code == 0].sum() / 1e6:.3f} million km2 of ocean lie in none of its regions"
        for text, code, division in zip(region, codes[1:], divisions[1:], strict=True)
        if len(division.names) > 1 and not code.all()
    ]
    return series, notes


_NO_SURFACE = (
    "{name} tells no land: every cell counts as ocean, land as ocean without a value; "
    "fill_gaps.py fill --mask_file writes a mask beside the values"
)


@dataclass(frozen=True, kw_only=True)
class _DaySums:
    """What the sums of every day of a cube share; arrays have the shape (ocean cells,)."""

    cube: CubeFile
    cells: np.ndarray
    cell_area: np.ndarray
    hole: np.ndarray
    blocks: ErrorBlocks
    threshold: float
    pole_hole_rule: str
    valid_ice: Mapping[int, np.ndarray]

    def sum_day(self, number: int, regions: Sequence[tuple[np.ndarray, int]]) -> list[np.ndarray]:
        """Sums and intervals of a day: the fields of IceIndex and Interval over all regions.

        ``regions`` has codes of the cells and their number for every division of the ocean.
        """
        concentration = self.cube.concentration(number).ravel()[self.cells]
        measured = self.cube.flag_value("observed")
        observed = self.cube.flags(number).ravel()[self.cells] == measured
        is_filled = ~observed & ~np.isnan(concentration)
        if self.pole_hole_rule != "filled":
            is_filled &= ~self.hole
        error = self.cube.standard_error(number)
        days = _read_days(self.cube, number).ravel()[self.cells]
        parts = []
        is_valid = self.valid_ice.get(self.cube.dates[number].month)
        for all_codes, count in regions:
            code = all_codes if is_valid is None else np.where(is_valid, all_codes, 0)
            inside = np.flatnonzero(code)
            sums = extent_and_area(
                concentration[inside],
                self.cell_area[inside],
                region=code[inside],
                count=count,
                observed=observed[inside],
                pole_hole=self.hole[inside],
                threshold=self.threshold,
                pole_hole_rule=self.pole_hole_rule,
            )
            interval = bound_sums(
                sums.extent,
                sums.area,
                concentration=concentration,
                cell_area=self.cell_area,
                is_filled=is_filled,
                error=None if error is None else error.ravel()[self.cells],
                days_back_forward=days,
                blocks=self.blocks,
                region=code,
                threshold=self.threshold,
            )
            parts.append([*sums, *interval])
        return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _read_days(cube: CubeFile, number: int) -> np.ndarray:
    """10 x days back + days forward, uint8; 0 where a cube does not tell them."""
    if not cube.has("days_back_forward"):
        return np.zeros(cube.grid.shape, np.uint8)
    return np.nan_to_num(cube.variable("days_back_forward", number)).astype(np.uint8)


def read_divisions(cube: CubeFile, ocean: np.ndarray, region: Sequence[str]) -> list[Regions]:
    """The whole grid, then the regions of the options, without those that hold no ocean cell."""
    divisions = [Regions((WHOLE_GRID,), ocean.astype(np.uint8))]
    for text in region:
        regions = read_regions(text, cube.grid)
        counts = np.bincount(regions.codes[ocean].ravel(), minlength=len(regions.names) + 1)[1:]
        with_ocean = np.flatnonzero(counts)
        if not with_ocean.size:
            raise InputError(f"no ocean cell of {cube.path} lies in {text!r}; check the region")
        if with_ocean.size < len(regions.names):
            empty = [name for name, cells in zip(regions.names, counts, strict=True) if not cells]
            logger.info("without ocean cells on this grid: %s", listing(empty))
        new_codes = np.zeros(len(regions.names) + 1, dtype=np.uint8)
        new_codes[with_ocean + 1] = np.arange(1, with_ocean.size + 1)
        names = tuple(regions.names[number] for number in with_ocean)
        divisions.append(Regions(names, new_codes[regions.codes]))
    all_names = [name for division in divisions for name in division.names]
    repeated = sorted({name for name in all_names if all_names.count(name) > 1})
    if repeated:
        raise InputError(f"--region names {listing(repeated)} twice; give boxes a name as NAME=...")
    return divisions
