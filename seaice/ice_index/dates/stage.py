"""Dates of the ice by cell from the days of a cube, streamed, and their outputs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError, cf
from seaice.cube.file import CubeFile
from seaice.drawing.source import describe_source
from seaice.flags import FillFlag
from seaice.ice_index.dates.events import EVENTS, REFERENCES, DateRule, DateStatus
from seaice.ice_index.dates.file import ICE_FREE, MEAN, DatesWriter, name_months, open_dates_file
from seaice.ice_index.dates.ice_year import IceYear, Season
from seaice.ice_index.dates.maps import DatePanel, TrendPanel, draw_date_maps, draw_trend_maps
from seaice.ice_index.dates.season_state import SeasonState
from seaice.ice_index.dates.trend import LEAST_YEARS
from seaice.report import Progress, Report, add_picture, format_count, listing

logger = logging.getLogger(__name__)

# Names of quantities on maps, and their variables.
QUANTITIES: dict[str, str] = {
    **{name: event.variable for name, event in EVENTS.items()},
    ICE_FREE: ICE_FREE,
    "concentration": MEAN,
}
DEFAULT_MAPS = ("retreat", "advance")
# Values that count as they are: those measured, and those that a rule set to open water.
_TRUSTED = (FillFlag.OBSERVED, FillFlag.SPILLOVER_REMOVED)


@dataclass(frozen=True, kw_only=True)
class DateRequest:
    """What is asked for of the dates by cell.

    Attributes
    ----------
    dates_file, dates_plot, trend_plot : Path or None
        File, maps of the last ice year that has dates, and maps of trends.
    rule : DateRule
    ice_year : sequence of two str, or None
        First day of ice years and day of the minimum, MM-DD; by default those of the hemisphere.
    map_of : sequence of str
        Names of :data:`QUANTITIES` that the pictures show.
    """

    dates_file: Path | None
    dates_plot: Path | None = None
    trend_plot: Path | None = None
    rule: DateRule
    ice_year: Sequence[str] | None = None
    map_of: Sequence[str] = DEFAULT_MAPS

    def check(self, *, has_cube: bool) -> None:
        """Refuse what cannot be done; InputError."""
        if self.dates_file is not None and not has_cube:
            raise InputError("--dates_file needs the cells of a cube; give --input_file too")
        for name in ("dates_plot", "trend_plot"):
            if getattr(self, name) is not None and self.dates_file is None:
                raise InputError(f"--{name} draws what --dates_file holds; give --dates_file too")
        strange = [name for name in self.map_of if name not in QUANTITIES]
        if strange:
            raise InputError(
                f"--map_of: expected {listing(list(QUANTITIES))}, found {listing(strange)}; change it"
            )
        if "concentration" in self.map_of and self.dates_plot is not None:
            raise InputError(
                "--map_of concentration has a trend and no date; leave --dates_plot out, or the name"
            )
        if not self.rule.threshold <= self.rule.closed_threshold:
            raise InputError(
                f"expected --closed_threshold of at least --threshold, {self.rule.threshold:g}, found "
                f"{self.rule.closed_threshold:g}; change one"
            )


class CubeDays(NamedTuple):
    """Days of a cube that count.

    Attributes
    ----------
    cube : CubeFile
    numbers : range
        Positions on its axis.
    ocean : ndarray of bool, shape (rows, columns)
        Cells that count.
    """

    cube: CubeFile
    numbers: range
    ocean: np.ndarray

    @property
    def dates(self) -> list[date]:
        """The days."""
        return self.cube.dates[self.numbers.start : self.numbers.stop]


def choose_ice_years(first: date, last: date, season: Season) -> list[IceYear]:
    """Choose the ice years of which the days from first to last are half of a side of the minimum.

    Raises
    ------
    InputError
        If there is none.
    """
    years = []
    for year in season.list_years(first, last):
        parts = (
            (year.start, year.minimum, year.days_before),
            (year.minimum + timedelta(days=1), year.end - timedelta(days=1), year.days_after),
        )
        shares = [((min(b, last) - max(a, first)).days + 1) / length for a, b, length in parts]
        if max(shares) >= 0.5:
            years.append(year)
    if not years:
        year = season.list_years(first, last)[0]
        raise InputError(
            f"too few days for dates by cell: expected half of the days before or after the minimum of "
            f"{year}, found {first} to {last}; choose more days, or --ice_year"
        )
    return years


def write_ice_dates(parts: Sequence[CubeDays], request: DateRequest, report: Report) -> None:
    """Find the dates of every ocean cell in every ice year, and write what is asked for.

    Parameters
    ----------
    parts : sequence of CubeDays
        One or more, on one grid. On a day of several the first one counts.
    request : DateRequest
        With a ``dates_file``.
    report : Report
        Gets lines, outputs and failures.

    Raises
    ------
    InputError
        If the grids differ, the days hold no half ice year, or too few ice years for maps of trends.
    """
    assert request.dates_file is not None
    if not parts:
        raise InputError("--dates_file: no cube has a day of the date range; change --start_date")
    cube = parts[0].cube
    for part in parts:
        if not part.cube.grid.same_cells(cube.grid):
            raise InputError(
                f"--dates_file: expected cubes on one grid, found {part.cube.path} on another one than "
                f"{cube.path}; put it on that grid with regrid.py"
            )
    season = Season.of(cube.grid, request.ice_year)
    first, last = min(part.dates[0] for part in parts), max(part.dates[-1] for part in parts)
    years = choose_ice_years(first, last, season)
    if request.trend_plot is not None and len(years) < LEAST_YEARS:
        raise InputError(
            f"--trend_plot: expected at least {LEAST_YEARS} ice years, found {len(years)} "
            f"({years[0].label} to {years[-1].label}); choose more days or leave it out"
        )
    ocean = np.all([part.ocean for part in parts], axis=0)
    cells = np.flatnonzero(ocean)
    with open_dates_file(
        Path(request.dates_file),
        grid=cube.grid,
        years=years,
        cells=cells,
        rule=request.rule,
        attributes=_describe([part.cube for part in parts], season, request),
    ) as writer:
        _follow_years(DayReader(parts), years, cells, request.rule, writer)
        report.lines += _summarise(writer, years)
        if len(years) >= LEAST_YEARS:
            writer.write_trends(np.array([year.label for year in years]))
        else:
            report.lines.append(
                f"no trends by cell: {format_count(len(years), 'ice year')} of the {LEAST_YEARS} needed"
            )
        _draw(cube, ocean, years, writer, request, report)
    report.outputs.append(Path(request.dates_file))
    report.lines.append(f"wrote {request.dates_file}")


def _describe(cubes: Sequence[CubeFile], season: Season, request: DateRequest) -> dict[str, object]:
    rule = request.rule
    definitions = "; ".join(
        f"{event.variable}: {event.define(rule.threshold, rule.closed_threshold, rule.run_days)}"
        for event in EVENTS.values()
    )
    is_simulated = any(cf.is_simulated(cube.attributes) for cube in cubes)
    names = listing([cube.path.name for cube in cubes])
    references = dict.fromkeys(str(cube.attributes.get("references", "")) for cube in cubes)
    return cf.describe_file(
        title="Dates of the sea ice by cell and ice year",
        summary=f"{definitions}. Ice years start on {_format_day(season.start)}; their minimum is on "
        f"{_format_day(season.minimum)}.",
        source=f"{'simulated ' * is_simulated}sea ice concentration of {names}",
        stage="ice_dates",
        parameters={
            "input_file": names,
            **rule._asdict(),
            "ice_year": [_format_day(season.start), _format_day(season.minimum)],
        },
        references="; ".join(text for text in (REFERENCES, *references) if text),
        grid=cubes[0].grid,
    )


def _format_day(day: tuple[int, int]) -> str:
    return f"{day[0]:02}-{day[1]:02}"


def _follow_years(
    reader: DayReader,
    years: Sequence[IceYear],
    cells: np.ndarray,
    rule: DateRule,
    writer: DatesWriter,
) -> None:
    """Go through the days once and write every ice year when it ends."""
    with Progress(total=sum(map(len, years)), label="days", logger=logger) as progress:
        for position, year in enumerate(years):
            state = SeasonState.begin(year, cells, rule)
            for number in range(len(year)):
                day = year.start + timedelta(days=number)
                state.follow(number, day.month, *reader.read(day))
                progress.unit(f"{day} of {year}")
            writer.write_year(position, state)


class DayReader:
    """Reads days of cubes as flat arrays; a day that no cube has is without any value.

    Parameters
    ----------
    parts : sequence of CubeDays
    """

    def __init__(self, parts: Sequence[CubeDays]) -> None:
        self._parts = [(part.cube, _list_trusted(part.cube)) for part in parts]
        self._positions: dict[date, tuple[int, int]] = {}
        for number, part in enumerate(parts):
            for position, day in zip(part.numbers, part.dates, strict=True):
                self._positions.setdefault(day, (number, position))
        shape = parts[0].cube.grid.shape
        self._missing = np.full(shape[0] * shape[1], np.nan, np.float32)
        self._no_flag = np.zeros(self._missing.size, np.uint8)

    def read(self, day: date) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
        """Concentration, flags, which flags are trusted, and expected errors of a day."""
        if day not in self._positions:
            return self._missing, self._no_flag, self._parts[0][1], None
        number, position = self._positions[day]
        cube, is_trusted = self._parts[number]
        concentration = cube.concentration(position).ravel()
        flag = cube.flags(position).ravel()
        error = None
        if not is_trusted[flag[~np.isnan(concentration)]].all():
            error = cube.standard_error(position)
        return concentration, flag, is_trusted, None if error is None else error.ravel()


def _list_trusted(cube: CubeFile) -> np.ndarray:
    """Which flags of a cube stand for values that count as they are, bool (256,)."""
    is_trusted = np.zeros(256, bool)
    for flag in _TRUSTED:
        with suppress(KeyError):  # the cube knows no such flag
            is_trusted[cube.flag_value(flag.meaning)] = True
    return is_trusted


def _summarise(writer: DatesWriter, years: Sequence[IceYear]) -> list[str]:
    """Lines about the dates of the last ice year that has any, and about the width of intervals."""
    last_day = years[-1].end - timedelta(days=1)
    lines = [f"dates by cell of {format_count(len(years), 'ice year')}, {years[0].start} to {last_day}"]
    for event in EVENTS.values():
        position = _find_last_with(writer, event.variable, len(years))
        if position is None:
            lines.append(f"{event.title}: no cell has a date")
            continue
        day = writer.read(event.variable, position)
        width = writer.read(f"{event.variable}_latest", position)
        width -= writer.read(f"{event.variable}_earliest", position)
        has_date = ~np.isnan(day)
        share = (width[has_date] > 0).mean()
        interval = f" of {np.median(width[width > 0]):g} days in the median" if share else ""
        middle = _name_day(years[position], float(np.median(day[has_date])))
        lines.append(
            f"{event.title} {years[position].label}: {format_count(int(has_date.sum()), 'cell')}, "
            f"median {middle}; {100 * share:.1f} percent within an interval{interval}"
        )
    return lines


def _name_day(year: IceYear, day: float) -> str:
    return str(year.start + timedelta(days=round(day) - year.first_day_of_year))


def _find_last_with(writer: DatesWriter, variable: str, count: int) -> int | None:
    """Position of the last ice year in which a variable has a value anywhere; None if in none."""
    for position in reversed(range(count)):
        if not np.isnan(writer.read(variable, position)).all():
            return position
    return None


def _draw(
    cube: CubeFile,
    ocean: np.ndarray,
    years: Sequence[IceYear],
    writer: DatesWriter,
    request: DateRequest,
    report: Report,
) -> None:
    """Draw the pictures that are asked for."""
    common: dict[str, Any] = {"grid": cube.grid, "land": ~ocean}
    source = describe_source(cube.attributes, cube.path.name)
    if request.dates_plot is not None:
        path = Path(request.dates_plot)
        with add_picture(report, path, is_asked=True):
            panels = [_make_date_panel(writer, name, years) for name in request.map_of]
            draw_date_maps(panels, path=path, title="Dates of the sea ice", source=source, **common)
            report.lines.append(f"wrote {path}")
    if request.trend_plot is not None:
        path = Path(request.trend_plot)
        with add_picture(report, path, is_asked=True):
            trends = [_make_trend_panel(writer, name, request.rule) for name in request.map_of]
            title = f"Trends of the ice years {years[0].label} to {years[-1].label}"
            draw_trend_maps(trends, path=path, title=title, source=source, **common)
            report.lines.append(f"wrote {path}")


def _make_date_panel(writer: DatesWriter, name: str, years: Sequence[IceYear]) -> DatePanel:
    variable = QUANTITIES[name]
    position = _find_last_with(writer, variable, len(years))
    position = len(years) - 1 if position is None else position
    status_of = EVENTS["retreat" if name == ICE_FREE else name].variable
    values = writer.read(variable, position)
    status = writer.read(f"{status_of}_status", position)
    if name == ICE_FREE:  # the whole ice year or none of it has colours of its own
        values[np.isin(status, (DateStatus.NEVER_ICE, DateStatus.ICE_ALL_SEASON))] = np.nan
    year = None if name == ICE_FREE else years[position]
    return DatePanel(f"{_title(name)}, {years[position].label}", values, status, year)


def _make_trend_panel(writer: DatesWriter, name: str, rule: DateRule) -> TrendPanel:
    months = f", {name_months(rule.months)}" if name == "concentration" else ""
    slope, p_value = writer.read_trend(QUANTITIES[name])
    units = "percent in ten years" if name == "concentration" else "days in ten years"
    return TrendPanel(f"{_title(name)}{months}", units, slope, p_value)


def _title(name: str) -> str:
    other = {ICE_FREE: "Ice-free days", "concentration": "Concentration"}
    return other.get(name) or EVENTS[name].title
