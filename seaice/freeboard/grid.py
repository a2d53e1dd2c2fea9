"""ICESat-2 freeboard by grid cell and day or month, weighted by segment length as in ATL20.

References
----------
Petty et al. (2023), ATLAS/ICESat-2 L3B Daily and Monthly Gridded Sea Ice Freeboard (ATL20),
doi:10.5067/ATLAS/ATL20.004.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.dates import from_day_number
from seaice.freeboard.area import (
    Area,
    read_area,
)
from seaice.freeboard.granule import (
    SECONDS_A_DAY,
    GranuleResult,
    GranuleTask,
    PointsWriter,
    grid_granule,
)
from seaice.freeboard.grid_variables import define_freeboard_variables
from seaice.gridding import Buckets, MergeTree
from seaice.gridding.file import TimeStep, write_gridded
from seaice.gridding.period import Period
from seaice.grids import Grid, describe_grid, parse_grid
from seaice.report import Progress, Report, describe_contents, format_count
from seaice.runtime import atomic_write
from seaice.runtime.workers import Engine
from seaice.sources.icesat2.names import GranuleFiles, GranuleName, read_folder
from seaice.sources.icesat2.tracks import Selection

logger = logging.getLogger(__name__)

# Grids of the two hemispheres where the user names none.
_GRIDS = {"north": "ease2n6250", "south": "ease2s6250"}
_REFERENCES = (
    "ATL10 doi:10.5067/ATLAS/ATL10.006; ATL07 doi:10.5067/ATLAS/ATL07.006; "
    "ATL20 doi:10.5067/ATLAS/ATL20.004"
)


def grid_freeboard(
    *,
    output_file: Path,
    input_dir: Path | None = None,
    start_date: date | None = None,
    end_date: date | None = None,
    bbox: Sequence[float] | None = None,
    region: str | None = None,
    cloud: bool = False,
    download_dir: Path = Path("data/icesat2"),
    product: Literal["ATL10", "ATL07"] = "ATL10",
    release: str = "006",
    grid: str | None = None,
    period: str = "day",
    beams: Literal["strong", "weak", "all"] = "strong",
    surface: Literal["ice", "lead", "all"] = "all",
    max_quality: int = 5,
    preset: Literal["none", "atl20"] = "none",
    min_count: int = 1,
    engine: Literal["h5py", "h5coro"] = "h5py",
    points: Path | None = None,
    workers: int = 1,
    dask: str | None = None,
) -> Report:
    """Grid the freeboard of ICESat-2 granules, weighted by segment length.

    Parameters
    ----------
    output_file : Path
        NetCDF.
    input_dir : Path, optional
        Folder of granules; without it they are searched for and fetched through earthaccess.
    start_date, end_date : date, optional
        UTC days of the segments. Needed for a search; by default all segments of a folder are used.
    bbox : sequence of four float, optional
        West, south, east, north, degrees. Segments outside are not used, and the grid is cropped.
    region : str, optional
        ``arctic``, ``antarctic``, ``ross_sea`` or a GeoJSON file, with the same effect as a box.
    cloud : bool
        Read granules on S3 (from within AWS us-west-2) instead of fetching them.
    download_dir : Path
        Folder for fetched granules; a granule that it holds already is not fetched again.
    product : {"ATL10", "ATL07"}
        Freeboard, or heights above the mean sea surface.
    release : str
        Release of the product, for the search.
    grid : str, optional
        See :func:`seaice.grids.parse.parse_grid`; by default ``ease2n6250`` or ``ease2s6250``, by the
        hemisphere of the area or else of the granules.
    period : str
        Time steps: ``day``, ``week``, ``month``, ``all`` at once, or days such as ``5D``; see
        :class:`seaice.gridding.period.Period`.
    beams : {"strong", "weak", "all"}
    surface : {"ice", "lead", "all"}
        Kinds of segments.
    max_quality : int
        Worst quality flag that is used, from 1 (best) to 5; invalid segments (-1) are never used.
    preset : {"none", "atl20"}
        The published filters of ATL20; see :class:`seaice.sources.icesat2.tracks.Selection`.
    min_count : int
        A cell with fewer segments in a time step has a count and no values.
    engine : {"h5py", "h5coro"}
        Reader of the granules.
    points : Path, optional
        GeoParquet file for the segments used.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`.

    Returns
    -------
    Report
        ``values``: ``segments``, ``kept`` (number of segments used), ``dropped`` by filter,
        ``granules``, ``failed``.

    Raises
    ------
    InputError
        If there is nothing to grid.
    """
    cadence = Period.parse(period, origin=start_date)
    selection = Selection(surface=surface, max_quality=max_quality, preset=preset)
    if cloud and input_dir is not None:
        raise InputError("expected --input_dir or --cloud, found both: granules of a folder or on S3")
    area = read_area(region, bbox)
    grid = grid or _choose_grid(area)
    if grid is not None:
        _cut_grid(grid, area)  # refused before anything is read or fetched
    with atomic_write.exclusive(output_file, kind="freeboard grid"):
        report = Report()
        # Opened before granules are fetched, so that a folder that does not exist shows at once.
        with PointsWriter(points) as writer:
            if input_dir is not None:
                sources: Sequence[Any] = _list_folder(input_dir, product, report)
            else:
                query = _Query(product, release, area, start_date, end_date, cloud, download_dir)
                sources = query.obtain_granules(report)
            task = GranuleTask(
                grid=_cut_grid(grid or _choose_grid_of(sources), area),
                period=cadence,
                beams=beams,
                selection=selection,
                engine=engine,
                area=area,
                first=start_date,
                last=end_date,
                points=points is not None,
            )
            run = _Run(
                task=task,
                product=product,
                output_file=output_file,
                min_count=min_count,
                points=points,
            )
            run.work(sources, Engine(workers, dask), report, writer)
        run.write(report)
    return report


def _cut_grid(name: str, area: Area | None) -> Grid:
    grid = parse_grid(name)
    return area.crop(grid) if area else grid


def _choose_grid(area: Area | None) -> str | None:
    """Choose the grid of the hemisphere that holds an area; None if both hold some of it."""
    if area is None or area.bbox[1] * area.bbox[3] < 0:
        return None
    return _GRIDS["north" if area.bbox[3] > 0 else "south"]


def _choose_grid_of(sources: Sequence[Any]) -> str:
    """Choose the grid of the hemisphere of granules.

    Raises
    ------
    InputError
        If there are granules of both hemispheres.
    """
    parsed = [
        source.name if isinstance(source, GranuleFiles) else GranuleName.parse(source.name)
        for source in sources
    ]
    hemispheres = {name.hemisphere for name in parsed if name is not None}
    if len(hemispheres) != 1:
        raise InputError(
            f"expected granules of one hemisphere, found {' and '.join(sorted(hemispheres)) or 'none'}; "
            f"choose with --grid {_GRIDS['north']} or {_GRIDS['south']}"
        )
    return _GRIDS[hemispheres.pop()]


def _list_folder(
    folder: Path, product: Literal["ATL10", "ATL07"], report: Report
) -> tuple[GranuleFiles, ...]:
    """List the granules of a folder; files that are none by name or content go to the report."""
    listed = read_folder(folder, product=product)
    for path in listed.unrecognised:
        report.left_out.append(f"{path}: no granule of ICESat-2 by its name or its content")
    if not listed.granules:
        count = len(listed.unrecognised)
        more = (
            f", {format_count(count, 'file')} not recognised, such as {listed.unrecognised[0]}"
            if count
            else ""
        )
        raise InputError(
            f"expected {product} granules, found none in "
            f"{folder}{more or f': {describe_contents(folder)}'}"
        )
    return listed.granules


@dataclass(frozen=True)
class _Query:
    """A search for granules at NASA."""

    product: Literal["ATL10", "ATL07"]
    release: str
    area: Area | None
    start: date | None
    end: date | None
    cloud: bool
    folder: Path

    def obtain_granules(self, report: Report) -> Sequence[Any]:
        """Search granules and fetch them, or open them on S3; failed fetches go to the report."""
        from seaice.sources.icesat2.fetch import fetch_granules
        from seaice.sources.icesat2.search import (
            find_granules,
            open_in_place,
        )

        if self.start is None or self.end is None:
            raise InputError(
                "expected --input_dir, or --start_date and --end_date to search, found neither"
            )
        first = datetime.combine(self.start, datetime.min.time(), UTC)
        granules = find_granules(
            short_name=self.product,
            version=self.release,
            bbox=self.area.catalogue_bbox if self.area else None,
            start=first,
            end=datetime.combine(self.end, datetime.max.time(), UTC),
        )
        if not granules:
            raise InputError(
                f"expected {self.product} granules of release {self.release} from {self.start} to "
                f"{self.end}, NASA lists none; another release may have them (--release)"
            )
        logger.info("%s of %s found", format_count(len(granules), "granule"), self.product)
        if self.cloud:
            return open_in_place(granules)
        fetched = fetch_granules(granules, self.folder)
        report.failed += fetched.failed
        return fetched.paths


class _Run:
    """The granules of a run, summed by time step."""

    def __init__(
        self, *, task: GranuleTask, product: str, output_file: Path, min_count: int, points: Path | None
    ) -> None:
        self._task = task
        self._product = product
        self._output_file = output_file
        self._min_count = min_count
        self._points = points
        self._values: dict[int, MergeTree] = {}
        self._uncertainties: dict[int, MergeTree] = {}
        self._dropped: dict[str, int] = {}
        self._segments = self._used = self._repeated = 0
        self._names: list[str] = []  # of the granules that could be read
        self._times: list[tuple[float, float]] = []  # of the first and last segment of a granule

    def work(self, sources: Sequence[Any], engine: Engine, report: Report, writer: PointsWriter) -> None:
        """Read and sum all granules in any order, and merge their sums in the order of ``sources``."""
        waiting: dict[int, GranuleResult] = {}
        following = 0  # number of the granule to be merged next
        with (
            Progress(total=len(sources), label="granules", logger=logger) as progress,
            engine.start() as workers,
        ):

            def note_result(number: int, result: GranuleResult) -> None:
                nonlocal following
                waiting[number] = result
                progress.unit(f"{result.name}: {result.text}")
                while following in waiting:
                    self._merge(waiting.pop(following), report, writer)
                    following += 1

            workers.do(grid_granule, [(self._task, source) for source in sources], note_result)

    def _merge(self, result: GranuleResult, report: Report, writer: PointsWriter) -> None:
        if result.error:
            report.left_out.append(result.error)
        if not result.is_read:
            return
        self._names.append(result.name)
        for step, (value, uncertainty) in result.buckets.items():
            self._values.setdefault(step, MergeTree(self._task.grid)).add(value)
            self._uncertainties.setdefault(step, MergeTree(self._task.grid)).add(uncertainty)
        for name, count in result.dropped.items():
            self._dropped[name] = self._dropped.get(name, 0) + count
        self._segments += result.segments
        self._repeated += result.repeated
        self._used += result.used
        if result.times is not None:
            self._times.append(result.times)
        writer.add(result.points)

    def write(self, report: Report) -> None:
        """Write the file and report what it holds."""
        if self._points is not None and self._used:
            report.outputs.append(self._points)
            report.lines.append(f"{self._points}: {self._used} segments")
        report.values |= {
            "segments": self._segments,
            "kept": self._used,
            "dropped": dict(self._dropped),
            "granules": len(self._names),
            "failed": len(report.left_out) + len(report.failed),
        }
        report.lines += self._summarise()
        if not self._used:
            report.failed.append(
                f"no segment of {self._segments} is left after the filters; no grid is written "
                f"({self._task.grid.id}, {self._task.grid.hemisphere or 'both hemispheres'})"
            )
            return
        steps = self._list_steps()
        noun = "freeboard" if self._product == "ATL10" else "height"

        def make_fields(index: int) -> dict[str, np.ndarray]:
            number = self._task.number_step(steps[index].start)
            if number not in self._values:
                empty = Buckets.make_empty(self._task.grid)
                return _make_fields(empty, empty, noun, self._min_count)
            values = self._values[number].get_buckets()
            uncertainties = self._uncertainties[number].get_buckets()
            return _make_fields(values, uncertainties, noun, self._min_count)

        write_gridded(
            self._output_file,
            grid=self._task.grid,
            steps=steps,
            variables=define_freeboard_variables(self._product),
            fields=make_fields,
            attributes=self._make_attributes(),
            locked=True,
        )
        report.outputs.append(self._output_file)
        size = self._output_file.stat().st_size / 1e6
        count = format_count(len(steps), "time step")
        report.lines.append(f"{self._output_file}: {count}, {size:.1f} MB")

    def _list_steps(self) -> list[TimeStep]:
        """Time steps from the first to the last day of the options, or else of the segments."""
        first = self._task.first or _find_day(min(time for time, _ in self._times))
        last = self._task.last or _find_day(max(time for _, time in self._times))
        return self._task.period.list_steps(first, last)

    def _summarise(self) -> list[str]:
        lines = [f"{len(self._names)} granules, {self._segments} segments, {self._used} used"]
        lines += [f"  dropped: {name}: {count}" for name, count in self._dropped.items() if count]
        if self._repeated:
            lines.append(f"  in several files of one granule, taken once: {self._repeated}")
        if self._times:
            first, last = min(time for time, _ in self._times), max(time for _, time in self._times)
            lines.append(f"  segments used from {_format_time(first)} to {_format_time(last)} UTC")
        return lines

    def _make_attributes(self) -> Mapping[str, Any]:
        task = self._task
        parameters = {
            "product": self._product,
            "grid": describe_grid(task.grid),
            "period": task.period.name,
            "beams": task.beams,
            "surface": task.selection.surface,
            "max_quality": task.selection.max_quality,
            "preset": task.selection.preset,
            "min_count": self._min_count,
            "area": task.area.name if task.area else None,
        }
        quantity = (
            "total freeboard of sea ice" if self._product == "ATL10" else "sea ice surface heights"
        )
        return {
            **cf.describe_file(
                title=f"ICESat-2 {quantity} on the grid {task.grid.id}",
                summary="Segments by the cell that holds their centre, weighted by their length.",
                source=f"ICESat-2 {self._product}, NASA/NSIDC",
                stage="grid_freeboard",
                parameters=parameters,
                references=_REFERENCES,
                call={"start_date": task.first, "end_date": task.last},
            ),
            "platform": "ICESat-2",
            "instrument": "ATLAS",
            "input_granules": " ".join(self._names),
            "segments_dropped": json.dumps(self._dropped),
        }


def _make_fields(
    values: Buckets, uncertainties: Buckets, noun: str, min_count: int
) -> dict[str, np.ndarray]:
    """Fields by the names of :func:`define_freeboard_variables`, shape (rows, columns)."""
    count = values.make_field("count")
    fields = {
        f"{noun}_mean": values.make_field("mean"),
        f"{noun}_std": values.make_field("std"),
        f"{noun}_uncertainty": uncertainties.make_field("mean"),
        "segment_length_mean": values.make_field("weight_mean"),
    }
    for field in fields.values():
        field[count < min_count] = np.nan
    return {**fields, "segment_count": count, "track_count": values.make_field("track_count")}


def _find_day(seconds: float) -> date:
    return from_day_number(int(seconds // SECONDS_A_DAY))


def _format_time(seconds: float) -> str:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")
