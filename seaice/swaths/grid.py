"""Grids of brightness temperatures from swaths, one file for each time step and orbit direction."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.gridding import BucketAccumulator, locate_cells, project
from seaice.gridding.file import TimeStep, write_gridded
from seaice.gridding.period import Period
from seaice.grids import Grid, describe_grid, parse_grid
from seaice.open_file import open_netcdf
from seaice.report import Progress, Report, format_count
from seaice.runtime.output_kinds import check_replaceable, name_kind
from seaice.runtime.workers import Engine
from seaice.settings import install_command
from seaice.sources.amsr2.channels import (
    DEFAULT_CHANNELS,
    as_channel,
    as_channels,
)
from seaice.sources.amsr2.swath import (
    UNKNOWN,
    Swath,
    describe_sensor,
    get_temperature_name,
)
from seaice.swaths.archive import describe_failure, describe_product, format_period
from seaice.swaths.find import (
    ListedSwath,
    OpenArchives,
    SwathLocation,
    find_channels,
    find_swaths,
    group_by_day,
)
from seaice.swaths.grid_variables import define_temperature_variables

logger = logging.getLogger(__name__)

Resample = Literal["bucket", "nearest", "gaussian"]
RESAMPLES = ("bucket", "nearest", "gaussian")
_DIRECTIONS = {"A": "ascending", "D": "descending", "U": "unknown"}
_NOTHING_USED = "no swath of the input could be used; nothing is written"

# Radius in kilometres within which a pixel counts for a cell, by footprint or frequency: half the longer
# axis of its footprint, and at least the distance of two pixels. JAXA, AMSR2 Data Users' Manual.
FOOTPRINTS = {
    "6.9": 31.0,
    "7.3": 29.0,
    "10.7": 21.0,
    "18.7": 11.0,
    "23.8": 13.0,
    "36.5": 10.0,
    "89A": 5.0,
    "89B": 5.0,
    "res06": 31.0,
    "res10": 21.0,
    "res23": 13.0,
    "res36": 10.0,
}
# A footprint holds a few dozen pixel centres where swaths overlap. With the 8 of pyresample the
# farther ones would be left out, with a warning.
_NEIGHBOURS = 128

_archives = OpenArchives()  # of this process, while a stage runs in it


@dataclass(frozen=True)
class GriddingTask:
    """Settings that all time steps of a run share.

    Attributes
    ----------
    grid : Grid
    period : Period
        Length of a time step.
    channels : tuple of str
    resample : {"bucket", "nearest", "gaussian"}
    output_dir : Path
    first, last : date or None
        First and last UTC day of the scans to use; None: no limit.
    sensor, level : str
        Of all swaths.
    """

    grid: Grid
    period: Period
    channels: tuple[str, ...]
    resample: Resample
    output_dir: Path
    first: date | None = None
    last: date | None = None
    sensor: str = "AMSR2"
    level: str = "L1B"

    def describe(self, step: TimeStep) -> dict[str, Any]:
        """Describe what the content of a file depends on besides its swaths."""
        described = {
            "grid": describe_grid(self.grid),
            "channels": list(self.channels),
            "resample": self.resample,
        }
        # A day is used as a whole or not at all.
        longer = {"period": self.period.name, "days": str(self.cut(step))}
        return described if step.start == step.end else described | longer

    def cut(self, step: TimeStep) -> TimeStep:
        """Return the days of a time step that are to be used."""
        first, last = self.first or step.start, self.last or step.end
        return TimeStep(max(first, step.start), min(last, step.end))

    def locate_file(self, step: TimeStep, orbit: str) -> Path:
        """Path of the file of a time step and direction."""
        ending = "" if self.resample == "bucket" else f"_{self.resample}"
        days = f"{step.start:%Y%m%d}"
        if self.period.name == "month":
            days = f"{step.start:%Y%m}"
        elif step.end != step.start:
            days += f"_{step.end:%Y%m%d}"
        return self.output_dir / f"{self.sensor}_TB_{self.grid.id}_{days}_{orbit}{ending}.nc"


@dataclass(frozen=True)
class FinishedGrid:
    """Result of one time step and direction.

    Attributes
    ----------
    path : Path or None
        None if no file was written.
    text : str
        Line for the log.
    problems : tuple of str
        Swaths that could not be read, with the reason.
    """

    path: Path | None
    text: str
    problems: tuple[str, ...] = ()


def grid_swaths(
    *,
    input: Sequence[Path],
    output_dir: Path,
    grid: str = "n12500",
    period: str = "day",
    channels: Sequence[str] | None = None,
    resample: Resample = "bucket",
    orbit: Literal["A", "D", "both"] = "both",
    start_date: date | None = None,
    end_date: date | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> Report:
    """Grid the swaths of archives or granules by time step and orbit direction.

    Parameters
    ----------
    input : sequence of Path
        Archives of any layout, granules of L1B or L1R, or folders of them, all of one sensor. A swath
        that several files hold is used once.
    output_dir : Path
        Folder of the files ``AMSR2_TB_GRID_YYYYMMDD_A.nc`` (of several days
        ``..._YYYYMMDD_YYYYMMDD_A.nc``, of months ``..._YYYYMM_A.nc``; of another sensor with its name);
        created if it does not exist.
    grid : str
        See :func:`seaice.grids.parse.parse_grid`.
    period : str
        Time steps: ``day``, ``week``, ``month``, ``all`` at once, or days such as ``5D``; see
        :class:`seaice.gridding.period.Period`.
    channels : sequence of str, optional
        Names of the channels, of L1R such as ``res23-36.5V``; by default all channels of the first
        archive, or 36.5H of granules (of L1R that at its finest footprint).
    resample : {"bucket", "nearest", "gaussian"}
        "bucket": mean, standard deviation and number of the pixels whose centres lie in a cell,
        and their mean time. The others interpolate with pyresample, within the footprint of a pixel.
    orbit : {"A", "D", "both"}
    start_date, end_date : date, optional
        UTC days; all by default. A pixel belongs to the day of its scan, not of its granule.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`.

    Returns
    -------
    Report
        ``outputs``: the files, whether written now or complete before.

    Raises
    ------
    InputError
        If there is nothing to grid.
    """
    if resample not in RESAMPLES:
        raise InputError(f"expected a way to resample out of {', '.join(RESAMPLES)}, found {resample!r}")
    target, cadence = parse_grid(grid), Period.parse(period, origin=start_date)
    if resample != "bucket":
        _import_pyresample()
    report = Report()
    try:
        chosen_channels = as_channels(
            channels or find_channels(input, _archives) or DEFAULT_CHANNELS["L1B"]
        )
        listed, report.left_out = find_swaths(input, chosen_channels, _archives)
        names = tuple(channel.name for channel in chosen_channels)
        sensor, level = _find_product(listed)
        task = GriddingTask(
            target, cadence, names, resample, output_dir, start_date, end_date, sensor, level
        )
        by_day = group_by_day(listed, start=start_date, end=end_date)
        units = [
            (task, step, direction, locations)
            for (step, direction), locations in _group_by_step(by_day, task).items()
            if orbit in ("both", direction)
        ]
        if not units:
            if report.left_out:
                report.failed.append(_NOTHING_USED)
                return report
            raise InputError("expected swaths of the days and orbits asked for, found none in the input")
        output_dir.mkdir(parents=True, exist_ok=True)
        for _, step, direction, _ in units:
            check_replaceable(task.locate_file(step, direction), name_kind("swath grid"))
        _work(units, report, Engine(workers, dask))
    finally:
        _archives.close()
    return report


def _find_product(listed: Sequence[ListedSwath]) -> tuple[str, str]:
    """Sensor and level of swaths, those of AMSR2 L1B where they do not say; of two sensors none is."""
    sensors = {swath.sensor: swath for swath in listed if swath.sensor != UNKNOWN}
    if len(sensors) > 1:
        paths = ", ".join(f"{name} ({swath.location.path})" for name, swath in sensors.items())
        raise InputError(f"expected swaths of one sensor, found {paths}: grid each sensor for itself")
    levels = {swath.level for swath in listed} - {UNKNOWN}
    return next(iter(sensors), "AMSR2"), "L1R" if levels == {"L1R"} else "L1B"


def _group_by_step(
    by_day: Mapping[tuple[date, str], Sequence[SwathLocation]], task: GriddingTask
) -> dict[tuple[TimeStep, str], tuple[SwathLocation, ...]]:
    """Group swaths by time step and orbit direction; a swath is listed once in every step it is in."""
    if not by_day:
        return {}
    first = task.first or min(day for day, _ in by_day)
    last = task.last or max(day for day, _ in by_day)
    step_of = {task.period.find_step(step.start): step for step in task.period.list_steps(first, last)}
    groups: dict[tuple[TimeStep, str], dict[SwathLocation, None]] = {}
    for (day, direction), locations in by_day.items():
        step = step_of[task.period.find_step(day)]
        groups.setdefault((step, direction), {}).update(dict.fromkeys(locations))
    return {key: tuple(locations) for key, locations in groups.items()}


def _work(
    units: list[tuple[GriddingTask, TimeStep, str, tuple[SwathLocation, ...]]],
    report: Report,
    engine: Engine,
) -> None:
    results: dict[int, FinishedGrid] = {}
    with (
        Progress(total=len(units), label="time steps", logger=logger) as progress,
        engine.start() as workers,
    ):

        def note_result(number: int, result: FinishedGrid) -> None:
            results[number] = result
            progress.unit(f"{units[number][1]} {units[number][2]}: {result.text}")

        workers.do(grid_step, units, note_result)
    for _, result in sorted(results.items()):  # in the order of time, whichever finished first
        report.left_out += result.problems
        if result.path is not None:
            report.outputs.append(result.path)
            report.lines.append(f"{result.path}: {result.text}")
    if report.left_out and not report.outputs:
        report.failed.append(_NOTHING_USED)


def grid_step(
    task: GriddingTask, step: TimeStep, orbit: str, locations: tuple[SwathLocation, ...]
) -> FinishedGrid:
    """Write the file of one time step and direction, the unit of work."""
    path = task.locate_file(step, orbit)
    granules = [location.granule_id or location.path.name for location in locations]
    if _is_done(path, task.describe(step), granules):
        return FinishedGrid(path, f"{format_count(len(granules), 'swath')}, already there")
    problems = []
    span = _find_span(task.cut(step), step)
    gridder = (
        _BucketGridder(task.grid, task.channels) if task.resample == "bucket" else _Interpolator(task)
    )
    used, readable = 0, []
    for location, name in zip(locations, granules, strict=True):
        try:
            swath = _archives.read(location, task.channels)
            used += gridder.add(swath, span)
            readable.append(name)
        except Exception as error:
            problems.append(describe_failure(location.path, error))
    if not used:
        return FinishedGrid(None, "no scan of this time on the grid", tuple(problems))
    fields = gridder.compute_fields()
    # The attributes list readable swaths only: a later run that can read more repeats this day.
    attributes = _make_attributes(task, step, orbit, readable)
    write_gridded(
        path,
        grid=task.grid,
        steps=[step],
        variables=define_temperature_variables(task.channels, statistics=task.resample == "bucket"),
        fields=lambda _: fields,
        attributes=attributes,
        labels={"orbit": _DIRECTIONS[orbit]},
    )
    text = f"{used} of {len(locations)} swaths, {gridder.summarise()}"
    return FinishedGrid(path, text, tuple(problems))


class _Span(NamedTuple):
    """Times of the scans to use, and the start of the time step, seconds since 1970 UTC."""

    first: float
    end: float
    start: float


def _find_span(days: TimeStep, step: TimeStep) -> _Span:
    first, end, start = (
        datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        for day in (days.start, days.end + timedelta(days=1), step.start)
    )
    return _Span(first, end, start)


def select_scans(swath: Swath, start: float, end: float | None = None) -> np.ndarray:
    """Select the scans of one UTC day, or of several.

    The time of a scan without a time is interpolated between the neighbouring scans, so that every
    scan belongs to one day.

    Parameters
    ----------
    swath : Swath
    start, end : float
        First second and the one after the last, since 1970-01-01T00:00:00 UTC; by default those of
        the day that begins at ``start``.

    Returns
    -------
    ndarray of bool, shape (scans,)
        True for scans of the days.

    Raises
    ------
    InputError
        If the swath has no scan times.
    """
    times = swath.scan_times
    if times is None or not np.isfinite(times).any():
        raise InputError(f"expected scan times, found none: {swath.granule_id or 'a swath'}")
    is_timed, scans = np.isfinite(times), np.arange(times.size)
    all_times = np.interp(scans, scans[is_timed], times[is_timed])
    return (all_times >= start) & (all_times < (start + 86400 if end is None else end))


class _BucketGridder:
    """Sums pixels by the cell that holds their centre."""

    def __init__(self, grid: Grid, channels: Sequence[str]) -> None:
        self._channels = channels
        self._grid = grid
        self._sums = {channel: BucketAccumulator(grid) for channel in channels}
        self._times = BucketAccumulator(grid)

    def add(self, swath: Swath, span: _Span) -> bool:
        """Add the scans of the days; returns whether any pixel lies on the grid."""
        rows = select_scans(swath, span.first, span.end)
        cells: dict[str, np.ndarray] = {}  # by the name of the positions
        hits_grid = False
        # All channels are read before one is summed: a swath that fails is in no sum.
        for channel, pixels in {c: _read_pixels(swath, c, rows) for c in self._channels}.items():
            lat, lon, kelvin = pixels
            positions = as_channel(channel).positions
            if positions not in cells:
                cells[positions] = locate_cells(lat, lon, self._grid)
            pixel_cells = cells[positions]
            hits_grid = hits_grid or bool((pixel_cells >= 0).any())
            self._sums[channel].add_cells(pixel_cells, kelvin)
            if channel == self._channels[0]:
                assert swath.scan_times is not None
                scan_hours = (swath.scan_times[rows] - span.start) / 3600
                hours = np.broadcast_to(scan_hours[:, None], kelvin.shape)
                self._times.add_cells(pixel_cells, np.where(np.isnan(kelvin), np.nan, hours))
        return hits_grid

    def compute_fields(self) -> dict[str, np.ndarray]:
        """Fields of the variables of the file, shape (rows, columns)."""
        fields = {}
        for channel, sums in self._sums.items():
            name, buckets = get_temperature_name(channel), sums.get_buckets()
            fields[name] = buckets.make_field("mean")
            fields[f"{name}_std"] = buckets.make_field("std")
            fields[f"{name}_count"] = buckets.make_field("count")
        fields["observation_time"] = self._times.get_buckets().make_field("mean")
        return fields

    def summarise(self) -> str:
        """Text for the log."""
        buckets = self._sums[self._channels[0]].get_buckets()
        outside = buckets.dropped["outside"]
        return f"{buckets.observations} pixels in {buckets.cells.size} cells, {outside} beyond"


class _Interpolator:
    """Interpolates pixels to the centres of cells with pyresample."""

    def __init__(self, task: GriddingTask) -> None:
        self._grid, self._task = task.grid, task
        self._points: dict[str, list[np.ndarray]] = {channel: [] for channel in task.channels}

    def add(self, swath: Swath, span: _Span) -> bool:
        """Add the scans of the days; returns whether any pixel lies near the grid."""
        rows = select_scans(swath, span.first, span.end)
        hits_grid = False
        for channel, pixels in {c: _read_pixels(swath, c, rows) for c in self._points}.items():
            lat, lon, kelvin = (values.ravel() for values in pixels)
            near = _lie_near(lat, lon, self._grid, _measure_reach(channel)) & np.isfinite(kelvin)
            hits_grid = hits_grid or bool(near.any())
            self._points[channel].append(np.stack([lat[near], lon[near], kelvin[near]]))
        return hits_grid

    def compute_fields(self) -> dict[str, np.ndarray]:
        """Fields of the variables of the file, shape (rows, columns)."""
        return {
            get_temperature_name(channel): self._interpolate(channel, np.hstack(points))
            for channel, points in self._points.items()
        }

    def _interpolate(self, channel: str, points: np.ndarray) -> np.ndarray:
        if not points.size:
            return np.full(self._grid.shape, np.nan)
        geometry, kd_tree = _import_pyresample()
        grid, reach = self._grid, _measure_reach(channel)
        west, east, south, north = grid.extent
        area = geometry.AreaDefinition(
            grid.id, grid.id, grid.id, grid.crs, grid.columns, grid.rows, (west, south, east, north)
        )
        swath = geometry.SwathDefinition(lons=points[1], lats=points[0])
        options = {"radius_of_influence": reach, "fill_value": np.nan}
        if self._task.resample == "nearest":
            field = kd_tree.resample_nearest(swath, points[2], area, **options)
        else:
            options |= {"sigmas": reach / 2, "neighbours": _NEIGHBOURS}
            field = kd_tree.resample_gauss(swath, points[2], area, **options)
        return np.asarray(field)[::-1]  # pyresample has the north in row 0, our grids the south

    def summarise(self) -> str:
        """Text for the log."""
        points = self._points[self._task.channels[0]]
        return f"{sum(part.shape[1] for part in points)} pixels near the grid"


def _lie_near(lat: np.ndarray, lon: np.ndarray, grid: Grid, reach: float) -> np.ndarray:
    """Whether points lie on a grid or at most ``reach`` metres beyond its edges."""
    x, y = project(lat, lon, grid)
    west, east, south, north = grid.extent
    if not grid.is_geographic:
        return (x > west - reach) & (x < east + reach) & (y > south - reach) & (y < north + reach)
    degrees = reach * grid.step / (1000 * grid.kilometres)
    # Meridians approach each other towards the poles.
    along = np.minimum(degrees / np.maximum(np.cos(np.radians(lat)), 1e-9), 180.0)
    in_longitude = (x - west + along) % 360 <= east - west + 2 * along
    return in_longitude & (y > south - degrees) & (y < north + degrees)


def _measure_reach(channel: str) -> float:
    """Radius in metres within which a pixel counts for a cell."""
    parts = as_channel(channel)
    return FOOTPRINTS[parts.footprint or parts.frequency] * 1000


def _read_pixels(
    swath: Swath, channel: str, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude, longitude and kelvin of the pixels of some scans."""
    kelvin = swath.kelvin(channel)
    positions = swath.positions.get(as_channel(channel).positions)
    if positions is None:
        raise InputError(f"expected positions of {channel}, found none in {swath.granule_id}")
    shapes = kelvin.shape, positions.latitude.shape, positions.longitude.shape
    if len(set(shapes)) > 1 or len(kelvin) != rows.size:
        raise InputError(
            f"expected temperatures and positions of one shape, found {shapes[0]} and {shapes[1]} of "
            f"{rows.size} scans: {channel} of {swath.granule_id or 'a swath'}"
        )
    return positions.latitude[rows], positions.longitude[rows], kelvin[rows]


def _import_pyresample() -> tuple[Any, Any]:
    try:
        from pyresample import geometry, kd_tree
    except ImportError as error:
        raise InputError(
            f"--resample nearest and gaussian need pyresample ({error}): {install_command('pyresample')}"
        ) from None
    return geometry, kd_tree


def _make_attributes(
    task: GriddingTask, step: TimeStep, orbit: str, granules: list[str]
) -> Mapping[str, Any]:
    days, product = task.cut(step), describe_product(task.sensor, task.level)
    first, last = (datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (days.start, days.end))
    span = "on one UTC day" if step.start == step.end else f"from {days}, UTC"
    return {
        **cf.describe_file(
            title=f"{task.sensor} brightness temperatures on the grid {task.grid}",
            summary=f"Pixels of {_DIRECTIONS[orbit]} half orbits scanned {span}, by grid cell.",
            source=product["source"],
            stage="grid_swaths",
            parameters=task.describe(step),
            references=product["references"],
            call={"days": step, "orbit": orbit},
        ),
        **describe_sensor(task.sensor),
        "orbit_direction": _DIRECTIONS[orbit],
        "time_coverage": format_period(first, last.replace(hour=23, minute=59, second=59)),
        "input_granules": " ".join(granules),
    }


def _is_done(path: Path, parameters: Mapping[str, Any], granules: list[str]) -> bool:
    """Whether the file exists and was made with the same parameters of the same swaths."""
    if not path.exists():
        return False
    try:
        with open_netcdf(path) as dataset:
            same = json.loads(dataset.getncattr("parameters")) == json.loads(json.dumps(parameters))
            return bool(same and dataset.getncattr("input_granules") == " ".join(granules))
    except (OSError, AttributeError, ValueError):
        return False
