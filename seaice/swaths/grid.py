"""Daily grids of brightness temperatures from swaths, one file for each day and orbit direction."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.gridding import BucketAccumulator, locate_cells, project
from seaice.gridding.file import (
    TimeStep,
    write_gridded,
)
from seaice.grids import Grid, get_grid
from seaice.open_file import open_netcdf
from seaice.report import Progress, Report, format_count
from seaice.runtime.output_kinds import check_replaceable, name_kind
from seaice.runtime.workers import Engine
from seaice.settings import install_command
from seaice.sources.amsr2.channels import (
    as_channel,
    as_channels,
)
from seaice.sources.amsr2.l1b import DEFAULT_CHANNELS
from seaice.sources.amsr2.swath import (
    Swath,
    get_temperature_name,
)
from seaice.swaths.archive import REFERENCES, SOURCE, describe_failure, format_period
from seaice.swaths.find import (
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

# Radius in kilometres within which a pixel counts for a cell, by frequency: half the longer axis of
# its footprint, and at least the distance of two pixels. JAXA, AMSR2 Data Users' Manual.
FOOTPRINTS = {
    "6.9": 31.0,
    "7.3": 29.0,
    "10.7": 21.0,
    "18.7": 11.0,
    "23.8": 13.0,
    "36.5": 10.0,
    "89A": 5.0,
    "89B": 5.0,
}
# A footprint holds a few dozen pixel centres where swaths overlap. With the 8 of pyresample the
# farther ones would be left out, with a warning.
_NEIGHBOURS = 128

_archives = OpenArchives()  # of this process, while a stage runs in it


@dataclass(frozen=True)
class GriddingTask:
    """Settings that all days of a run share.

    Attributes
    ----------
    grid : str
        Id of the grid.
    channels : tuple of str
    resample : {"bucket", "nearest", "gaussian"}
    output_dir : Path
    """

    grid: str
    channels: tuple[str, ...]
    resample: Resample
    output_dir: Path

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters that the content of a file depends on besides its swaths."""
        return {"grid": self.grid, "channels": list(self.channels), "resample": self.resample}

    def locate_file(self, day: date, orbit: str) -> Path:
        """Path of the file of a day and direction."""
        ending = "" if self.resample == "bucket" else f"_{self.resample}"
        return self.output_dir / f"AMSR2_TB_{self.grid}_{day:%Y%m%d}_{orbit}{ending}.nc"


@dataclass(frozen=True)
class FinishedGrid:
    """Result of one day and direction.

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
    channels: Sequence[str] | None = None,
    resample: Resample = "bucket",
    orbit: Literal["A", "D", "both"] = "both",
    start_date: date | None = None,
    end_date: date | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> Report:
    """Grid the swaths of archives or granules by UTC day and orbit direction.

    Parameters
    ----------
    input : sequence of Path
        Archives of any layout, L1B granules, or folders of them. A swath that several files
        hold is used once.
    output_dir : Path
        Folder of the files ``AMSR2_TB_GRID_YYYYMMDD_A.nc``; created if it does not exist.
    grid : str
        Id of a registered grid.
    channels : sequence of str, optional
        Names of the channels; by default all channels of the first archive, or 36.5H of granules.
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
    get_grid(grid)
    if resample != "bucket":
        _import_pyresample()
    report = Report()
    try:
        chosen_channels = as_channels(channels or find_channels(input, _archives) or DEFAULT_CHANNELS)
        listed, report.left_out = find_swaths(input, chosen_channels, _archives)
        names = tuple(channel.name for channel in chosen_channels)
        task = GriddingTask(grid, names, resample, output_dir)
        units = [
            (task, day, direction, tuple(locations))
            for (day, direction), locations in group_by_day(
                listed, start=start_date, end=end_date
            ).items()
            if orbit in ("both", direction)
        ]
        if not units:
            if report.left_out:
                report.failed.append(_NOTHING_USED)
                return report
            raise InputError("expected swaths of the days and orbits asked for, found none in the input")
        output_dir.mkdir(parents=True, exist_ok=True)
        for _, day, direction, _ in units:
            check_replaceable(task.locate_file(day, direction), name_kind("swath grid"))
        _work(units, report, Engine(workers, dask))
    finally:
        _archives.close()
    return report


def _work(
    units: list[tuple[GriddingTask, date, str, tuple[SwathLocation, ...]]],
    report: Report,
    engine: Engine,
) -> None:
    results: dict[int, FinishedGrid] = {}
    with (
        Progress(total=len(units), label="days", logger=logger) as progress,
        engine.start() as workers,
    ):

        def note_result(number: int, result: FinishedGrid) -> None:
            results[number] = result
            progress.unit(f"{units[number][1]} {units[number][2]}: {result.text}")

        workers.do(grid_day, units, note_result)
    for _, result in sorted(results.items()):  # in the order of the days, whichever finished first
        report.left_out += result.problems
        if result.path is not None:
            report.outputs.append(result.path)
            report.lines.append(f"{result.path}: {result.text}")
    if report.left_out and not report.outputs:
        report.failed.append(_NOTHING_USED)


def grid_day(
    task: GriddingTask, day: date, orbit: str, locations: tuple[SwathLocation, ...]
) -> FinishedGrid:
    """Write the file of one day and direction, the unit of work."""
    path = task.locate_file(day, orbit)
    granules = [location.granule_id or location.path.name for location in locations]
    if _is_done(path, task, granules):
        return FinishedGrid(path, f"{format_count(len(granules), 'swath')}, already there")
    grid, problems = get_grid(task.grid), []
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    gridder = (
        _BucketGridder(grid, task.channels) if task.resample == "bucket" else _Interpolator(grid, task)
    )
    used, readable = 0, []
    for location, name in zip(locations, granules, strict=True):
        try:
            swath = _archives.read(location, task.channels)
            used += gridder.add(swath, midnight)
            readable.append(name)
        except Exception as error:
            problems.append(describe_failure(location.path, error))
    if not used:
        return FinishedGrid(None, "no scan of this day on the grid", tuple(problems))
    fields = gridder.compute_fields()
    # The attributes list readable swaths only: a later run that can read more repeats this day.
    attributes = _make_attributes(task, day, orbit, readable)
    write_gridded(
        path,
        grid=grid,
        steps=[TimeStep(day, day)],
        variables=define_temperature_variables(task.channels, statistics=task.resample == "bucket"),
        fields=lambda _: fields,
        attributes=attributes,
        labels={"orbit": _DIRECTIONS[orbit]},
    )
    text = f"{used} of {len(locations)} swaths, {gridder.summarise()}"
    return FinishedGrid(path, text, tuple(problems))


def select_scans(swath: Swath, midnight: float) -> np.ndarray:
    """Select the scans of the UTC day that begins at ``midnight``.

    The time of a scan without a time is interpolated between the neighbouring scans, so that every
    scan belongs to one day.

    Parameters
    ----------
    swath : Swath
    midnight : float
        Seconds since 1970-01-01T00:00:00 UTC.

    Returns
    -------
    ndarray of bool, shape (scans,)
        True for scans of the day.

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
    return (all_times >= midnight) & (all_times < midnight + 86400)


class _BucketGridder:
    """Sums pixels by the cell that holds their centre."""

    def __init__(self, grid: Grid, channels: Sequence[str]) -> None:
        self._channels = channels
        self._grid = grid
        self._sums = {channel: BucketAccumulator(grid) for channel in channels}
        self._times = BucketAccumulator(grid)

    def add(self, swath: Swath, midnight: float) -> bool:
        """Add the scans of the day; returns whether any pixel lies on the grid."""
        rows = select_scans(swath, midnight)
        cells: dict[str, np.ndarray] = {}  # by frequency
        hits_grid = False
        # All channels are read before one is summed: a swath that fails is in no sum.
        for channel, pixels in {c: _read_pixels(swath, c, rows) for c in self._channels}.items():
            lat, lon, kelvin = pixels
            frequency = as_channel(channel).frequency
            if frequency not in cells:
                cells[frequency] = locate_cells(lat, lon, self._grid)
            pixel_cells = cells[frequency]
            hits_grid = hits_grid or bool((pixel_cells >= 0).any())
            self._sums[channel].add_cells(pixel_cells, kelvin)
            if channel == self._channels[0]:
                assert swath.scan_times is not None
                scan_hours = (swath.scan_times[rows] - midnight) / 3600
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

    def __init__(self, grid: Grid, task: GriddingTask) -> None:
        self._grid, self._task = grid, task
        self._points: dict[str, list[np.ndarray]] = {channel: [] for channel in task.channels}

    def add(self, swath: Swath, midnight: float) -> bool:
        """Add the scans of the day; returns whether any pixel lies near the grid."""
        rows = select_scans(swath, midnight)
        hits_grid = False
        for channel, pixels in {c: _read_pixels(swath, c, rows) for c in self._points}.items():
            lat, lon, kelvin = (values.ravel() for values in pixels)
            x, y = project(lat, lon, self._grid)
            west, east, south, north = self._grid.extent
            reach = _measure_reach(channel)
            near = (x > west - reach) & (x < east + reach) & (y > south - reach) & (y < north + reach)
            near &= np.isfinite(kelvin)
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


def _measure_reach(channel: str) -> float:
    """Radius in metres within which a pixel counts for a cell."""
    return FOOTPRINTS[as_channel(channel).frequency] * 1000


def _read_pixels(
    swath: Swath, channel: str, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude, longitude and kelvin of the pixels of some scans."""
    frequency, kelvin = as_channel(channel).frequency, swath.kelvin(channel)
    positions = swath.positions.get(frequency)
    if positions is None:
        raise InputError(f"expected positions of {frequency} GHz, found none in {swath.granule_id}")
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
    task: GriddingTask, day: date, orbit: str, granules: list[str]
) -> Mapping[str, Any]:
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {
        **cf.describe_file(
            title=f"AMSR2 brightness temperatures on the grid {task.grid}",
            summary=f"Pixels of {_DIRECTIONS[orbit]} half orbits scanned on one UTC day, by grid cell.",
            source=SOURCE,
            stage="grid_swaths",
            parameters=task.parameters,
            references=REFERENCES,
            call={"day": day, "orbit": orbit},
        ),
        "platform": "GCOM-W1",
        "instrument": "AMSR2",
        "orbit_direction": _DIRECTIONS[orbit],
        "time_coverage": format_period(first, first.replace(hour=23, minute=59, second=59)),
        "input_granules": " ".join(granules),
    }


def _is_done(path: Path, task: GriddingTask, granules: list[str]) -> bool:
    """Whether the file exists and was made with the same parameters of the same swaths."""
    if not path.exists():
        return False
    try:
        with open_netcdf(path) as dataset:
            same = json.loads(dataset.getncattr("parameters")) == json.loads(json.dumps(task.parameters))
            return bool(same and dataset.getncattr("input_granules") == " ".join(granules))
    except (OSError, AttributeError, ValueError):
        return False
