"""Sums of the segments of an ICESat-2 granule by grid cell and time step, and the file of segments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

import seaice
from seaice import InputError
from seaice.dates import (
    day_number,
    from_day_number,
)
from seaice.freeboard.area import Area
from seaice.gridding import BucketAccumulator, Buckets, locate_cells
from seaice.gridding.period import Period
from seaice.grids import Grid
from seaice.runtime import atomic_write
from seaice.settings import install_command
from seaice.sources.icesat2.tracks import (
    Granule,
    Selection,
    Track,
    select_segments,
)

# Attributes of a track that are written for every segment.
POINT_FIELDS = (
    "time",
    "longitude",
    "latitude",
    "value",
    "length",
    "uncertainty",
    "quality",
    "surface_type",
)
SECONDS_A_DAY = 86400

# Sums of the values and of the uncertainties, by the number of the time step.
_Sums = dict[int, tuple[BucketAccumulator, BucketAccumulator]]


@dataclass(frozen=True)
class GranuleTask:
    """Settings that all granules of a run share.

    Attributes
    ----------
    grid : Grid
    period : Period
        Length of a time step.
    beams : {"strong", "weak", "all"}
    selection : Selection
    engine : {"h5py", "h5coro"}
        Reader of the granules.
    area : Area or None
        Segments outside are not used; None: all are used.
    first, last : date or None
        First and last UTC day of the segments to use; None: no limit.
    points : bool
        Whether the results carry the segments used.
    """

    grid: Grid
    period: Period
    beams: Literal["strong", "weak", "all"]
    selection: Selection
    engine: Literal["h5py", "h5coro"]
    area: Area | None
    first: date | None
    last: date | None
    points: bool

    def number_step(self, day: date) -> int:
        """Number of the time step that holds a day: that of its first day."""
        return day_number(self.period.find_step(day).start)


@dataclass
class GranuleResult:
    """Sums of a granule.

    Attributes
    ----------
    name : str
    error : str
        Why a file of the granule could not be read; empty if all were.
    text : str
        Line for the log.
    is_read : bool
        Whether a file of the granule was read.
    segments, used : int
        Number of segments in the granule, and of those in the sums.
    repeated : int
        Number of segments that were in another file of the granule already.
    dropped : dict of str to int
        Number of segments by the filter that dropped them.
    buckets : dict of int to (Buckets, Buckets)
        Statistics of the values and of the uncertainties by the number of the time step.
    times : (float, float) or None
        First and last segment used, seconds since 1970 UTC; None without segments.
    points : list of dict
        Arrays of the segments used, by track.
    """

    name: str
    error: str = ""
    text: str = ""
    is_read: bool = False
    segments: int = 0
    used: int = 0
    repeated: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, tuple[Buckets, Buckets]] = field(default_factory=dict)
    times: tuple[float, float] | None = None
    points: list[dict[str, Any]] = field(default_factory=list)


def grid_granule(task: GranuleTask, source: Any) -> GranuleResult:
    """Read a granule and sum its segments, the unit of work; the result names failures.

    Parameters
    ----------
    task : GranuleTask
    source : Path, CloudGranule or GranuleFiles
        Of several files of one granule every segment is taken once.
    """
    result: GranuleResult | None = None
    errors: list[str] = []
    texts: list[str] = []
    sums: _Sums = {}
    earlier_times: dict[str, np.ndarray] = {}  # times of the segments of each beam
    for file in getattr(source, "paths", (source,)):
        name = str(getattr(file, "stem", None) or file.name).removesuffix(".h5")
        try:
            granule = _read(file, task)
        except InputError as error:
            errors.append(str(error))
            continue
        result = result or GranuleResult(granule.name)
        texts.append(_add_granule(granule, task, result, sums, earlier_times))
        if granule.name != result.name:
            texts[-1] = f"{granule.name}: {texts[-1]}"
    text = "; ".join([*texts, *(f"failed: {error}" for error in errors)])
    if result is None:
        return GranuleResult(name, error="; ".join(errors), text=text)
    result.error, result.text = "; ".join(errors), text
    result.buckets = {
        step: (values.get_buckets(), uncertainties.get_buckets())
        for step, (values, uncertainties) in sums.items()
    }
    return result


def _read(source: Any, task: GranuleTask) -> Granule:
    from seaice.sources.icesat2.granule import read_granule

    extras = task.selection.extras
    return read_granule(source, beams=task.beams, engine=task.engine, extras=extras)


def _add_granule(
    granule: Granule,
    task: GranuleTask,
    result: GranuleResult,
    sums: _Sums,
    earlier_times: dict[str, np.ndarray],
) -> str:
    """Add the segments of a file that no file of its granule had before; return a line for the log."""
    result.is_read = True
    if granule.transition_count:
        name = "the spacecraft turned"
        result.dropped[name] = result.dropped.get(name, 0) + granule.transition_count
        result.segments += granule.transition_count
    segments, used, repeated = result.segments, result.used, 0
    times: dict[str, list[np.ndarray]] = {}
    for track in granule.tracks:
        is_new = ~np.isin(track.time, earlier_times.get(track.beam, ()))
        times.setdefault(track.beam, []).append(track.time)
        repeated += len(track) - int(is_new.sum())
        _add_track(track if is_new.all() else _cut(track, is_new), task, result, sums)
    for beam, parts in times.items():
        earlier_times[beam] = np.concatenate([earlier_times.get(beam, np.empty(0)), *parts])
    beams = ", ".join(track.beam for track in granule.tracks) or "no beam of this kind"
    text = f"{beams}: {result.used - used} of {result.segments - segments} segments"
    notes = list(granule.notes)
    if repeated:
        result.repeated += repeated
        notes.append(f"{repeated} more are those of another file of this granule")
    return f"{text} ({'; '.join(notes)})" if notes else text


def _cut(track: Track, mask: np.ndarray) -> Track:
    """Return a track with some of its segments."""
    arrays = {
        field.name: array[mask]
        for field in fields(track)
        if isinstance(array := getattr(track, field.name), np.ndarray)
    }
    return replace(track, **arrays)


def _add_track(track: Track, task: GranuleTask, result: GranuleResult, sums: _Sums) -> None:
    passes, dropped = select_segments(track, task.selection)
    days = np.floor(track.time / SECONDS_A_DAY)
    remaining = int(passes.sum())
    for name, passes_filter in _apply_filters(track, days, task):
        passes &= passes_filter
        dropped[name] = remaining - int(passes.sum())
        remaining -= dropped[name]
    cells = locate_cells(track.latitude[passes], track.longitude[passes], task.grid)
    dropped["outside the grid"] = int((cells < 0).sum())
    used = np.flatnonzero(passes)[cells >= 0]
    cells = cells[cells >= 0]
    result.segments += len(track)
    result.used += used.size
    for name, count in dropped.items():
        result.dropped[name] = result.dropped.get(name, 0) + count
    if used.size:
        _sum_segments(track, used, cells, days[used].astype(np.int64), task, sums)
        first, last = float(track.time[used].min()), float(track.time[used].max())
        earliest, latest = result.times or (first, last)
        result.times = min(first, earliest), max(last, latest)
        if task.points:
            arrays = {name: getattr(track, name)[used] for name in POINT_FIELDS}
            result.points.append({"granule": track.granule, "beam": track.beam, **arrays})


def _sum_segments(
    track: Track,
    used: np.ndarray,
    cells: np.ndarray,
    days: np.ndarray,
    task: GranuleTask,
    sums: _Sums,
) -> None:
    """Add segments to the sums of their time steps.

    ``used`` has the numbers of the segments in the track, ``cells`` and ``days`` their cells and days.
    """
    unique_days, inverse = np.unique(days, return_inverse=True)
    steps = np.array([task.number_step(from_day_number(day)) for day in unique_days.tolist()])[inverse]
    for step in np.unique(steps).tolist():
        in_step = steps == step
        rows = used[in_step]
        if step not in sums:
            sums[step] = BucketAccumulator(task.grid), BucketAccumulator(task.grid)
        values, uncertainties = sums[step]
        # A beam that changes from strong to weak is read as two tracks but counts as one.
        values.add_cells(cells[in_step], track.value[rows], track.length[rows], track=track.beam)
        uncertainties.add_cells(cells[in_step], track.uncertainty[rows], track.length[rows])


def _apply_filters(track: Track, days: np.ndarray, task: GranuleTask) -> list[tuple[str, np.ndarray]]:
    """Names of the filters of time and area in their order, and which segments pass each."""
    filters = []
    with np.errstate(invalid="ignore"):
        if task.first is not None:
            filters.append(("before the first day", days >= day_number(task.first)))
        if task.last is not None:
            filters.append(("after the last day", days <= day_number(task.last)))
    if task.area is not None:
        inside = task.area.contains(track.latitude, track.longitude)
        filters.append((f"outside the area {task.area.name}", inside))
    return filters


_NO_SEGMENTS: dict[str, Any] = {
    "granule": "",
    "beam": "",
    **dict.fromkeys(("time", "longitude", "latitude"), np.empty(0)),
    **dict.fromkeys(("value", "length", "uncertainty"), np.empty(0, np.float32)),
    **dict.fromkeys(("quality", "surface_type"), np.empty(0, np.int8)),
}
_UNITS = {"value": "m", "length": "m", "uncertainty": "m"}
# GeoParquet metadata. Without a crs, coordinates are longitude and latitude on WGS 84.
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Point"]}},
}


class PointsWriter:
    """Writes segments to a GeoParquet file (version 1.1), with a row group for each track.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.

    Raises
    ------
    InputError
        If pyarrow is not installed.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self._part: Path | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        if self._path is not None:
            _import_pyarrow()
            self._part = self._stack.enter_context(atomic_write.atomic(self._path))
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if self._part is not None and self._writer is None and error[0] is None:
                # A run without segments writes a file without rows, which replaces an earlier one.
                self._write(_make_table(_import_pyarrow()[0], _NO_SEGMENTS))
            if self._writer is not None:
                self._writer.close()
        except BaseException as failure:
            # A full disk may show only now: remove the unfinished file in this case too.
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(*error)

    def add(self, tracks: Sequence[dict[str, Any]]) -> None:
        """Write the segments of tracks; see ``points`` of :class:`GranuleResult`."""
        if self._part is None:
            return
        for track in tracks:
            self._write(_make_table(_import_pyarrow()[0], track))

    def _write(self, table: Any) -> None:
        if self._writer is None:
            parquet = _import_pyarrow()[1]
            self._writer = parquet.ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table)


def _make_table(pyarrow: Any, track: dict[str, Any]) -> Any:
    size = len(track["time"])
    columns = {
        "time": pyarrow.array(
            np.round(track["time"] * 1e6).astype(np.int64), pyarrow.timestamp("us", tz="UTC")
        ),
        "granule": pyarrow.array([track["granule"]] * size, pyarrow.string()),
        "beam": pyarrow.array([track["beam"]] * size, pyarrow.string()),
    }
    for name in ("value", "length", "uncertainty", "quality", "surface_type"):
        values = track[name]
        missing = np.isnan(values) if values.dtype.kind == "f" else None
        columns[name] = pyarrow.array(values, mask=missing)
    columns["geometry"] = pyarrow.array(
        _encode_points(track["longitude"], track["latitude"]), pyarrow.binary()
    )
    table = pyarrow.table(columns)
    metadata = {"geo": json.dumps(_GEO), "units": json.dumps(_UNITS)}
    return table.replace_schema_metadata(metadata | {"software": f"seaice {seaice.__version__}"})


def _encode_points(longitude: np.ndarray, latitude: np.ndarray) -> list[bytes]:
    """Points as well-known binary: byte order 1 (little endian), type 1 (point), x, y."""
    points = np.zeros(longitude.size, [("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    points["order"], points["type"], points["x"], points["y"] = 1, 1, longitude, latitude
    octets, size = points.tobytes(), points.dtype.itemsize
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def _import_pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"--points needs pyarrow ({error}): {install_command('pyarrow')}") from None
    return pyarrow, pyarrow.parquet
