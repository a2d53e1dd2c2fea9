"""ICESat-2 freeboard by grid cell, in the manner of ATL20: length-weighted, by day and month.

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
    area_of,
)
from seaice.freeboard.granule import (
    PointsWriter,
    Result,
    Task,
    grid_granule,
)
from seaice.freeboard.grid_variables import freeboard_variables
from seaice.gridding import Buckets, MergeTree
from seaice.gridding.file import (
    Step,
    days_of,
    months_of,
    write_gridded,
)
from seaice.grids import get_grid
from seaice.report import Progress, Report
from seaice.runtime import atomic_write
from seaice.runtime.workers import Engine
from seaice.sources.icesat2.tracks import Selection

logger = logging.getLogger(__name__)

PeriodName = Literal["day", "month", "all"]
PERIODS = ("day", "month", "all")

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
    grid: str = "ease2s6250",
    period: PeriodName = "day",
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
        UTC days, by the time of the segment. Needed for a search; else all that is there.
    bbox : sequence of four float, optional
        West, south, east, north, degrees. Segments beyond are not used, and the grid is cut.
    region : str, optional
        ``arctic``, ``antarctic``, ``ross_sea`` or a GeoJSON file; likewise.
    cloud : bool
        Read granules where they lie on S3 (in AWS us-west-2) instead of fetching them.
    download_dir : Path
        Where granules are fetched to; those that are there are kept.
    product : {"ATL10", "ATL07"}
        Freeboard, or heights above the mean sea surface.
    release : str
        Of the product, for the search.
    grid : str
        A registered grid.
    period : {"day", "month", "all"}
        Time steps: UTC days, calendar months, or one for all.
    beams : {"strong", "weak", "all"}
    surface : {"ice", "lead", "all"}
        Kinds of segments.
    max_quality : int
        Worst quality flag, 1 best to 5; -1, invalid, is never used.
    preset : {"none", "atl20"}
        What is published about ATL20; see :class:`seaice.sources.icesat2.tracks.Selection`.
    min_count : int
        A cell needs so many segments in a time step, else it has no value (its count stays).
    engine : {"h5py", "h5coro"}
    points : Path, optional
        Write the segments used as GeoParquet.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`.

    Returns
    -------
    Report
        ``values``: ``segments``, ``kept``, ``dropped`` by filter, ``granules``, ``failed``.

    Raises
    ------
    InputError
        If there is nothing to grid.
    """
    if period not in PERIODS:
        raise InputError(f"expected a period out of {', '.join(PERIODS)}, found {period!r}")
    selection = Selection(surface=surface, max_quality=max_quality, preset=preset)
    if cloud and input_dir is not None:
        raise InputError("expected --input_dir or --cloud, found both: granules of a folder or on S3")
    area, whole = area_of(region, bbox), get_grid(grid)
    cut = area.cut(whole) if area else whole
    run = _Run(
        task=Task(
            grid=cut,
            period=period,
            beams=beams,
            selection=selection,
            engine=engine,
            area=area,
            first=start_date,
            last=end_date,
            points=points is not None,
        ),
        product=product,
        output_file=output_file,
        min_count=min_count,
        points=points,
    )
    with atomic_write.exclusive(output_file):
        report = Report()
        # Opened before anything is fetched: a folder that is not there shows at once.
        with PointsWriter(points) as writer:
            if input_dir is not None:
                sources: Sequence[Any] = _listed(input_dir, product)
            else:
                query = _Query(product, release, area, start_date, end_date, cloud, download_dir)
                sources = query.sources(report)
            run.work(sources, Engine(workers, dask), report, writer)
        run.write(report)
    return report


def _listed(folder: Path, product: Literal["ATL10", "ATL07"]) -> list[Path]:
    from seaice.sources.icesat2.names import list_granules

    found = list_granules(folder, product=product)
    if not found:
        raise InputError(f"expected {product} granules, found none in {folder}")
    return found


@dataclass(frozen=True)
class _Query:
    """What is searched for at NASA."""

    product: Literal["ATL10", "ATL07"]
    release: str
    area: Area | None
    start: date | None
    end: date | None
    cloud: bool
    folder: Path

    def sources(self, report: Report) -> Sequence[Any]:
        """Granules, fetched or to be read in place; what could not be had goes to the report."""
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
        found = find_granules(
            short_name=self.product,
            version=self.release,
            bbox=self.area.usual_bbox if self.area else None,
            start=first,
            end=datetime.combine(self.end, datetime.max.time(), UTC),
        )
        if not found:
            raise InputError(
                f"expected {self.product} granules from {self.start} to {self.end}, NASA lists none"
            )
        logger.info("%d granules of %s found", len(found), self.product)
        if self.cloud:
            return open_in_place(found)
        fetched = fetch_granules(found, self.folder)
        report.failed += fetched.failed
        return fetched.paths


class _Run:
    """The granules of a run, summed by time step."""

    def __init__(
        self, *, task: Task, product: str, output_file: Path, min_count: int, points: Path | None
    ) -> None:
        self._task = task
        self._product = product
        self._output_file = output_file
        self._min_count = min_count
        self._points = points
        self._values: dict[int, MergeTree] = {}
        self._uncertainties: dict[int, MergeTree] = {}
        self._dropped: dict[str, int] = {}
        self._segments = self._kept = 0
        self._names: list[str] = []  # of the granules that could be read
        self._times: list[tuple[float, float]] = []

    def work(self, sources: Sequence[Any], engine: Engine, report: Report, writer: PointsWriter) -> None:
        """Read and sum all granules, in any order; combine them in the order given."""
        waiting: dict[int, Result] = {}
        done = 0
        with (
            Progress(total=len(sources), label="granules", logger=logger) as progress,
            engine.start() as crew,
        ):

            def tell(number: int, result: Result) -> None:
                nonlocal done
                waiting[number] = result
                progress.unit(f"{result.name}: {result.text}")
                while done in waiting:
                    self._take(waiting.pop(done), report, writer)
                    done += 1

            crew.do(grid_granule, [(self._task, source) for source in sources], tell)

    def _take(self, result: Result, report: Report, writer: PointsWriter) -> None:
        if result.error:
            report.failed.append(result.error)
            return
        self._names.append(result.name)
        for step, (value, uncertainty) in result.buckets.items():
            self._values.setdefault(step, MergeTree(self._task.grid)).add(value)
            self._uncertainties.setdefault(step, MergeTree(self._task.grid)).add(uncertainty)
        for name, count in result.dropped.items():
            self._dropped[name] = self._dropped.get(name, 0) + count
        self._segments += result.segments
        self._kept += result.kept
        if result.times is not None:
            self._times.append(result.times)
        writer.add(result.points)

    def write(self, report: Report) -> None:
        """Write the file and say what is in it."""
        if self._points is not None and self._kept:
            report.outputs.append(self._points)
            report.lines.append(f"{self._points}: {self._kept} segments")
        report.values |= {
            "segments": self._segments,
            "kept": self._kept,
            "dropped": dict(self._dropped),
            "granules": len(self._names),
            "failed": len(report.failed),
        }
        report.lines += self._summary()
        if not self._kept:
            report.failed.append(
                f"no segment of {self._segments} is left after the filters; no grid is written"
            )
            return
        steps = self._steps()
        noun = "freeboard" if self._product == "ATL10" else "height"

        def fields(number: int) -> dict[str, np.ndarray]:
            key = self._key(steps[number])
            if key not in self._values:
                nothing = Buckets.empty(self._task.grid)
                return _fields(nothing, nothing, noun, self._min_count)
            pair = self._values[key].result(), self._uncertainties[key].result()
            return _fields(*pair, noun, self._min_count)

        write_gridded(
            self._output_file,
            grid=self._task.grid,
            steps=steps,
            variables=freeboard_variables(self._product),
            fields=fields,
            attributes=self._attributes(),
            locked=True,
        )
        report.outputs.append(self._output_file)
        size = self._output_file.stat().st_size / 1e6
        count = f"{len(steps)} time step{'s' * (len(steps) != 1)}"
        report.lines.append(f"{self._output_file}: {count}, {size:.1f} MB")

    def _key(self, step: Step) -> int:
        if self._task.period == "all":
            return 0
        return self._task.step_of(step.start)

    def _steps(self) -> list[Step]:
        """Time steps of the file: of the days asked for, else of those with segments."""
        first = self._task.first or _day(min(t for t, _ in self._times))
        last = self._task.last or _day(max(t for _, t in self._times))
        if self._task.period == "all":
            return [Step(first, last)]
        return (days_of if self._task.period == "day" else months_of)(first, last)

    def _summary(self) -> list[str]:
        lines = [f"{len(self._names)} granules, {self._segments} segments, {self._kept} used"]
        lines += [f"  dropped: {name}: {count}" for name, count in self._dropped.items() if count]
        if self._times:
            first, last = min(t for t, _ in self._times), max(t for _, t in self._times)
            lines.append(f"  segments used from {_text(first)} to {_text(last)} UTC")
        return lines

    def _attributes(self) -> Mapping[str, Any]:
        task = self._task
        parameters = {
            "product": self._product,
            "grid": task.grid.id,
            "period": task.period,
            "beams": task.beams,
            "surface": task.selection.surface,
            "max_quality": task.selection.max_quality,
            "preset": task.selection.preset,
            "min_count": self._min_count,
            "area": task.area.name if task.area else None,
        }
        what = "sea ice freeboard" if self._product == "ATL10" else "sea ice surface heights"
        return {
            **cf.global_attributes(
                title=f"ICESat-2 {what} on the grid {task.grid.id}",
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


def _fields(value: Buckets, uncertainty: Buckets, noun: str, min_count: int) -> dict[str, np.ndarray]:
    count = value.field("count")
    made = {
        f"{noun}_mean": value.field("mean"),
        f"{noun}_std": value.field("std"),
        f"{noun}_uncertainty": uncertainty.field("mean"),
        "segment_length_mean": value.field("weight_mean"),
    }
    for field in made.values():
        field[count < min_count] = np.nan
    return {**made, "segment_count": count, "track_count": value.field("track_count")}


def _day(seconds: float) -> date:
    return from_day_number(int(seconds // 86400))


def _text(seconds: float) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
