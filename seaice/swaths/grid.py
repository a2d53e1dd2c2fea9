"""Daily grids of brightness temperatures from swaths, one file a day and orbit direction."""

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
from seaice.gridding import BucketAccumulator, cells_of
from seaice.gridding.file import (
    Step,
    write_gridded,
)
from seaice.grids import Grid, get_grid
from seaice.open_file import open_netcdf
from seaice.report import Progress, Report
from seaice.runtime.workers import Engine
from seaice.settings import install_command
from seaice.sources.amsr2.channels import (
    as_channel,
    as_channels,
)
from seaice.sources.amsr2.l1b import DEFAULT_CHANNELS
from seaice.sources.amsr2.swath import (
    Swath,
    temperature_name,
)
from seaice.swaths.archive import format_period
from seaice.swaths.find import (
    OpenArchives,
    SwathLocation,
    by_day,
    channels_of,
    find_swaths,
)
from seaice.swaths.grid_variables import temperature_variables

logger = logging.getLogger(__name__)

Resample = Literal["bucket", "nearest", "gaussian"]
RESAMPLES = ("bucket", "nearest", "gaussian")

# Reach of a pixel in kilometres, by frequency: half the longer axis of its footprint, at least
# the distance of two pixels. JAXA, AMSR2 Data Users' Manual.
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
_NEIGHBOURS = 128
_REFERENCES = "JAXA GCOM-W1 AMSR2 Level 1B brightness temperatures, https://gportal.jaxa.jp"

_archives = OpenArchives()  # of this process, while a stage runs in it


@dataclass(frozen=True)
class Task:
    """What all days of a run share."""

    grid: str
    channels: tuple[str, ...]
    resample: Resample
    output_dir: Path

    @property
    def parameters(self) -> dict[str, Any]:
        """What the content of a file depends on besides its swaths."""
        return {"grid": self.grid, "channels": list(self.channels), "resample": self.resample}

    def path(self, day: date, orbit: str) -> Path:
        """Where the file of a day belongs."""
        ending = "" if self.resample == "bucket" else f"_{self.resample}"
        return self.output_dir / f"AMSR2_TB_{self.grid}_{day:%Y%m%d}_{orbit}{ending}.nc"


@dataclass(frozen=True)
class FinishedGrid:
    """What became of one day and direction."""

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
        Archives of any layout, L1B granules, or folders of them. A swath that is given twice is
        taken once.
    output_dir : Path
        FinishedGrid where it does not exist; ``AMSR2_TB_GRID_YYYYMMDD_A.nc``.
    grid : str
        A registered grid.
    channels : sequence of str, optional
        All of the first archive by default; 36.5H of granules.
    resample : {"bucket", "nearest", "gaussian"}
        "bucket": mean, standard deviation and number of the pixels whose centres lie in a cell,
        and their mean time. The others interpolate with pyresample, within the footprint.
    orbit : {"A", "D", "both"}
    start_date, end_date : date, optional
        UTC days; all by default. A day is that of the scan, not of the granule.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`.

    Returns
    -------
    Report
        ``outputs``: the files, made or found complete.

    Raises
    ------
    InputError
        If there is nothing to grid.
    """
    if resample not in RESAMPLES:
        raise InputError(f"expected a way to resample out of {', '.join(RESAMPLES)}, found {resample!r}")
    get_grid(grid)
    if resample != "bucket":
        _pyresample()
    report = Report()
    try:
        wanted = as_channels(channels or channels_of(_archives, input) or DEFAULT_CHANNELS)
        found, report.failed = find_swaths(input, wanted, _archives)
        task = Task(grid, tuple(channel.name for channel in wanted), resample, output_dir)
        units = [
            (task, day, direction, tuple(places))
            for (day, direction), places in by_day(found, start=start_date, end=end_date).items()
            if orbit in ("both", direction)
        ]
        if not units:
            if report.failed:
                return report
            raise InputError("expected swaths of the days and orbits asked for, found none in the input")
        output_dir.mkdir(parents=True, exist_ok=True)
        _work(units, report, Engine(workers, dask))
    finally:
        _archives.close()
    return report


def _work(
    units: list[tuple[Task, date, str, tuple[SwathLocation, ...]]], report: Report, engine: Engine
) -> None:
    results: dict[int, FinishedGrid] = {}
    with (
        Progress(total=len(units), label="days", logger=logger) as progress,
        engine.start() as crew,
    ):

        def tell(number: int, made: FinishedGrid) -> None:
            results[number] = made
            progress.unit(f"{units[number][1]} {units[number][2]}: {made.text}")

        crew.do(grid_day, units, tell)
    for number in range(len(units)):  # in the order of the days, whoever was first
        made = results[number]
        report.failed += made.problems
        if made.path is not None:
            report.outputs.append(made.path)
            report.lines.append(f"{made.path}: {made.text}")


def grid_day(task: Task, day: date, orbit: str, places: tuple[SwathLocation, ...]) -> FinishedGrid:
    """Make the file of one day and direction; the unit of work."""
    path = task.path(day, orbit)
    granules = [place.granule_id or place.path.name for place in places]
    if _is_done(path, task, granules):
        return FinishedGrid(path, f"{len(granules)} swaths, already there")
    grid, problems = get_grid(task.grid), []
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    gridder = _Buckets(grid, task.channels) if task.resample == "bucket" else _Points(grid, task)
    used, read = 0, []
    for place, name in zip(places, granules, strict=True):
        try:
            swath = _archives.read(place, task.channels)
            used += gridder.add(swath, midnight)
            read.append(name)
        except InputError as error:
            problems.append(str(error))
    if not used:
        return FinishedGrid(None, "no scan of this day on the grid", tuple(problems))
    fields = gridder.fields()
    # Without those that failed: a later run that can read them makes the file anew.
    attributes = _attributes(task, day, orbit, read)
    write_gridded(
        path,
        grid=grid,
        steps=[Step(day, day)],
        variables=temperature_variables(task.channels, statistics=task.resample == "bucket"),
        fields=lambda _: fields,
        attributes=attributes,
    )
    return FinishedGrid(path, f"{used} of {len(places)} swaths, {gridder.summary}", tuple(problems))


def rows_of_day(swath: Swath, midnight: float) -> np.ndarray:
    """Which scans were made within the UTC day that begins at ``midnight``; bool, shape (scans,).

    A scan of unknown time has that between its neighbours, so that every scan is of one day.

    Raises
    ------
    InputError
        If the swath has no scan times.
    """
    times = swath.scan_times
    if times is None or not np.isfinite(times).any():
        raise InputError(f"expected scan times, found none: {swath.granule_id or 'a swath'}")
    known, scans = np.isfinite(times), np.arange(times.size)
    filled = np.interp(scans, scans[known], times[known])
    return (filled >= midnight) & (filled < midnight + 86400)


class _Buckets:
    """Pixels by the cell that holds their centre."""

    def __init__(self, grid: Grid, channels: Sequence[str]) -> None:
        self._channels = channels
        self._grid = grid
        self._sums = {channel: BucketAccumulator(grid) for channel in channels}
        self._times = BucketAccumulator(grid)

    def add(self, swath: Swath, midnight: float) -> bool:
        """Take in the scans of the day; False if none falls on the grid."""
        rows = rows_of_day(swath, midnight)
        cells: dict[str, np.ndarray] = {}
        hit = False
        # All are read before one is summed: a swath that fails is in no sum.
        for channel, pixels in {c: _pixels(swath, c, rows) for c in self._channels}.items():
            lat, lon, kelvin = pixels
            frequency = as_channel(channel).frequency
            if frequency not in cells:
                cells[frequency] = cells_of(lat, lon, self._grid)
            here = cells[frequency]
            hit = hit or bool((here >= 0).any())
            self._sums[channel].add_cells(here, kelvin)
            if channel == self._channels[0]:
                assert swath.scan_times is not None
                hours = (swath.scan_times[rows] - midnight) / 3600
                each = np.broadcast_to(hours[:, None], kelvin.shape)
                self._times.add_cells(here, np.where(np.isnan(kelvin), np.nan, each))
        return hit

    def fields(self) -> dict[str, np.ndarray]:
        """The variables of the file."""
        made = {}
        for channel, sums in self._sums.items():
            name, found = temperature_name(channel), sums.result()
            made[name] = found.field("mean")
            made[f"{name}_std"] = found.field("std")
            made[f"{name}_count"] = found.field("count")
        made["observation_time"] = self._times.result().field("mean")
        return made

    @property
    def summary(self) -> str:
        """For people."""
        found = self._sums[self._channels[0]].result()
        return (
            f"{found.observations} pixels in {found.cells.size} cells, {found.dropped['outside']} beyond"
        )


class _Points:
    """Pixels interpolated to cell centres by pyresample."""

    def __init__(self, grid: Grid, task: Task) -> None:
        self._grid, self._task = grid, task
        self._parts: dict[str, list[np.ndarray]] = {channel: [] for channel in task.channels}

    def add(self, swath: Swath, midnight: float) -> bool:
        """Take in the scans of the day; False if none falls near the grid."""
        from seaice.gridding import project

        rows = rows_of_day(swath, midnight)
        hit = False
        for channel, pixels in {c: _pixels(swath, c, rows) for c in self._parts}.items():
            lat, lon, kelvin = (values.ravel() for values in pixels)
            frequency, parts = as_channel(channel).frequency, self._parts[channel]
            x, y = project(lat, lon, self._grid)
            west, east, south, north = self._grid.extent
            reach = FOOTPRINTS[frequency] * 1000
            near = (x > west - reach) & (x < east + reach) & (y > south - reach) & (y < north + reach)
            near &= np.isfinite(kelvin)
            hit = hit or bool(near.any())
            parts.append(np.stack([lat[near], lon[near], kelvin[near]]))
        return hit

    def fields(self) -> dict[str, np.ndarray]:
        """The variables of the file."""
        return {temperature_name(c): self._field(c, np.hstack(p)) for c, p in self._parts.items()}

    def _field(self, channel: str, points: np.ndarray) -> np.ndarray:
        if not points.size:
            return np.full(self._grid.shape, np.nan)
        geometry, kd_tree = _pyresample()
        grid, reach = self._grid, FOOTPRINTS[as_channel(channel).frequency] * 1000
        west, east, south, north = grid.extent
        area = geometry.AreaDefinition(
            grid.id, grid.id, grid.id, grid.crs, grid.columns, grid.rows, (west, south, east, north)
        )
        swath = geometry.SwathDefinition(lons=points[1], lats=points[0])
        common = {"radius_of_influence": reach, "fill_value": np.nan}
        if self._task.resample == "nearest":
            field = kd_tree.resample_nearest(swath, points[2], area, **common)
        else:
            # Footprints hold a few dozen pixel centres where swaths overlap; with 8, the default,
            # the farther ones would be left out, and a warning say so.
            more = {"sigmas": reach / 2, "neighbours": _NEIGHBOURS}
            field = kd_tree.resample_gauss(swath, points[2], area, **more, **common)
        return np.asarray(field)[::-1]  # row 0 is the south here

    @property
    def summary(self) -> str:
        """For people."""
        return (
            f"{sum(part.shape[1] for part in self._parts[self._task.channels[0]])} pixels near the grid"
        )


def _pixels(swath: Swath, channel: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Latitude, longitude and kelvin of scans."""
    frequency, kelvin = as_channel(channel).frequency, swath.kelvin(channel)
    places = swath.positions.get(frequency)
    if places is None:
        raise InputError(f"expected positions of {frequency} GHz, found none in {swath.granule_id}")
    shapes = kelvin.shape, places.latitude.shape, places.longitude.shape
    if len(set(shapes)) > 1 or len(kelvin) != rows.size:
        raise InputError(
            f"expected temperatures and positions of one shape, found {shapes[0]} and {shapes[1]} of "
            f"{rows.size} scans: {channel} of {swath.granule_id or 'a swath'}"
        )
    return places.latitude[rows], places.longitude[rows], kelvin[rows]


def _pyresample() -> tuple[Any, Any]:
    try:
        from pyresample import geometry, kd_tree
    except ImportError as error:
        raise InputError(
            f"--resample nearest and gaussian need pyresample ({error}): {install_command('pyresample')}"
        ) from None
    return geometry, kd_tree


def _attributes(task: Task, day: date, orbit: str, granules: list[str]) -> Mapping[str, Any]:
    directions = {"A": "ascending", "D": "descending", "U": "unknown"}
    first = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return {
        **cf.global_attributes(
            title=f"AMSR2 brightness temperatures on the grid {task.grid}",
            summary=f"Pixels of {directions[orbit]} half orbits scanned on one UTC day, by grid cell.",
            source="AMSR2 on GCOM-W1, product L1SGBTBR of JAXA",
            stage="grid_swaths",
            parameters=task.parameters,
            references=_REFERENCES,
            call={"day": day, "orbit": orbit},
        ),
        "platform": "GCOM-W1",
        "instrument": "AMSR2",
        "orbit_direction": directions[orbit],
        "time_coverage": format_period(first, first.replace(hour=23, minute=59, second=59)),
        "input_granules": " ".join(granules),
    }


def _is_done(path: Path, task: Task, granules: list[str]) -> bool:
    """Whether the file is there, made with the same parameters of the same swaths."""
    if not path.exists():
        return False
    try:
        with open_netcdf(path) as dataset:
            same = json.loads(dataset.getncattr("parameters")) == json.loads(json.dumps(task.parameters))
            return bool(same and dataset.getncattr("input_granules") == " ".join(granules))
    except (OSError, AttributeError, ValueError):
        return False
