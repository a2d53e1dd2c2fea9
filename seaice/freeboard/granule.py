"""One ICESat-2 granule summed by grid cell and time step: the unit of work of the freeboard grids."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from seaice import InputError
from seaice.dates import (
    day_number,
    from_day_number,
)
from seaice.freeboard.area import Area
from seaice.gridding import BucketAccumulator, Buckets, cells_of
from seaice.grids import Grid
from seaice.runtime import atomic_write
from seaice.settings import install_command
from seaice.sources.icesat2.tracks import (
    Selection,
    Track,
    select,
)

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


@dataclass(frozen=True)
class Task:
    """What all granules of a run share.

    Attributes
    ----------
    grid : Grid
    period : {"day", "month", "all"}
    beams : {"strong", "weak", "all"}
    selection : Selection
    engine : {"h5py", "h5coro"}
    area : Area or None
        Segments beyond are not used.
    first, last : date or None
        UTC days; segments of others are not used.
    points : bool
        Return the segments used.
    """

    grid: Grid
    period: Literal["day", "month", "all"]
    beams: Literal["strong", "weak", "all"]
    selection: Selection
    engine: Literal["h5py", "h5coro"]
    area: Area | None
    first: date | None
    last: date | None
    points: bool

    def step_of(self, day: date) -> int:
        """Number of the time step that holds a day."""
        if self.period == "day":
            return day_number(day)
        return 12 * day.year + day.month if self.period == "month" else 0


@dataclass
class Result:
    """What became of a granule.

    Attributes
    ----------
    name : str
    error : str
        Empty, or why it could not be used.
    text : str
        For people, one line.
    segments, kept : int
    dropped : dict of str to int
        Segments by the filter that dropped them.
    buckets : dict of int to (Buckets, Buckets)
        Sums of values and of uncertainties by time step.
    times : (float, float) or None
        First and last segment used, seconds since 1970 UTC.
    points : list of dict
        Arrays of the segments used, by track.
    """

    name: str
    error: str = ""
    text: str = ""
    segments: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    buckets: dict[int, tuple[Buckets, Buckets]] = field(default_factory=dict)
    times: tuple[float, float] | None = None
    points: list[dict[str, Any]] = field(default_factory=list)


def grid_granule(task: Task, source: Any) -> Result:
    """Read a granule and sum its segments; a granule that fails says so in its result.

    Parameters
    ----------
    task : Task
    source : Path or CloudGranule
    """
    from seaice.sources.icesat2.granule import read_granule

    name = str(getattr(source, "stem", None) or source.name).removesuffix(".h5")
    try:
        extras = task.selection.extras
        granule = read_granule(source, beams=task.beams, engine=task.engine, extras=extras)
    except InputError as error:
        return Result(name, error=str(error), text=f"failed: {error}")
    result = Result(granule.name)
    if granule.in_transition:
        result.dropped["the spacecraft turned"] = granule.in_transition
        result.segments += granule.in_transition
    sums: dict[int, tuple[BucketAccumulator, BucketAccumulator]] = {}
    for track in granule.tracks:
        _add_track(track, task, result, sums)
    result.buckets = {step: (one.result(), other.result()) for step, (one, other) in sums.items()}
    beams = ", ".join(track.beam for track in granule.tracks) or "no beam of this kind"
    result.text = f"{beams}: {result.kept} of {result.segments} segments"
    if granule.skipped:
        result.text += f" ({'; '.join(granule.skipped)})"
    return result


def _add_track(
    track: Track,
    task: Task,
    result: Result,
    sums: dict[int, tuple[BucketAccumulator, BucketAccumulator]],
) -> None:
    kept, dropped = select(track, task.selection)
    days = np.floor(track.time / 86400)
    left = int(kept.sum())
    for name, passes in _places(track, days, task):
        kept &= passes
        still = int(kept.sum())
        dropped[name] = left - still
        left = still
    cells = cells_of(track.latitude[kept], track.longitude[kept], task.grid)
    dropped["outside the grid"] = int((cells < 0).sum())
    inside = np.flatnonzero(kept)[cells >= 0]
    cells = cells[cells >= 0]
    result.segments += len(track)
    result.kept += inside.size
    for name, count in dropped.items():
        result.dropped[name] = result.dropped.get(name, 0) + count
    if inside.size:
        _sum(track, inside, cells, days[inside].astype(np.int64), task, sums)
        first, last = float(track.time[inside].min()), float(track.time[inside].max())
        known = result.times or (first, last)
        result.times = min(first, known[0]), max(last, known[1])
        if task.points:
            arrays = {name: getattr(track, name)[inside] for name in POINT_FIELDS}
            result.points.append({"granule": track.granule, "beam": track.beam, **arrays})


def _sum(
    track: Track,
    inside: np.ndarray,
    cells: np.ndarray,
    days: np.ndarray,
    task: Task,
    sums: dict[int, tuple[BucketAccumulator, BucketAccumulator]],
) -> None:
    """Add segments, given by their places in the track, to the sums of their time steps."""
    known, which = np.unique(days, return_inverse=True)
    step_of = np.array([task.step_of(from_day_number(day)) for day in known.tolist()])[which]
    for step in np.unique(step_of).tolist():
        here = step_of == step
        rows = inside[here]
        if step not in sums:
            sums[step] = BucketAccumulator(task.grid), BucketAccumulator(task.grid)
        value, uncertainty = sums[step]
        # A beam that changes from strong to weak comes as two tracks and is one.
        value.add_cells(cells[here], track.value[rows], track.length[rows], track=track.beam)
        uncertainty.add_cells(cells[here], track.uncertainty[rows], track.length[rows])


def _places(track: Track, days: np.ndarray, task: Task) -> list[tuple[str, np.ndarray]]:
    """Filters of time and place, in their order."""
    filters = []
    with np.errstate(invalid="ignore"):
        if task.first is not None:
            filters.append(("before the first day", days >= day_number(task.first)))
        if task.last is not None:
            filters.append(("after the last day", days <= day_number(task.last)))
    if task.area is not None:
        filters.append(
            (f"outside the area {task.area.name}", task.area.holds(track.latitude, track.longitude))
        )
    return filters


_NOTHING = {
    "granule": "",
    "beam": "",
    **dict.fromkeys(("time", "longitude", "latitude"), np.empty(0)),
    **dict.fromkeys(("value", "length", "uncertainty"), np.empty(0, np.float32)),
    **dict.fromkeys(("quality", "surface_type"), np.empty(0, np.int8)),
}


_UNITS = {"value": "m", "length": "m", "uncertainty": "m"}


class PointsWriter:
    """Writes a GeoParquet file (version 1.1) with one row group a track.

    Parameters
    ----------
    path : Path or None
        None: nothing is written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stack = ExitStack()
        self._part: Path | None = None
        self._writer: Any = None

    def __enter__(self) -> Self:
        if self._path is not None:
            _pyarrow()
            self._part = self._stack.enter_context(atomic_write.atomic(self._path))
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if self._part is not None and self._writer is None and error[0] is None:
                # Without a segment there is a file without rows, not the one of an earlier run.
                self._write(_table(_pyarrow()[0], _NOTHING))
            if self._writer is not None:
                self._writer.close()
        except BaseException as failure:
            # A full disk may show here only: what is half written goes all the same.
            self._stack.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stack.__exit__(*error)

    def add(self, tracks: Sequence[dict[str, Any]]) -> None:
        """Write the segments of tracks; each a dictionary of arrays, beam and granule."""
        if self._part is None:
            return
        for track in tracks:
            self._write(_table(_pyarrow()[0], track))

    def _write(self, table: Any) -> None:
        if self._writer is None:
            parquet = _pyarrow()[1]
            self._writer = parquet.ParquetWriter(self._part, table.schema, compression="zstd")
        self._writer.write_table(table)


def _table(pyarrow: Any, track: dict[str, Any]) -> Any:
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
    columns["geometry"] = pyarrow.array(_wkb(track["longitude"], track["latitude"]), pyarrow.binary())
    table = pyarrow.table(columns)
    return table.replace_schema_metadata({"geo": json.dumps(_geo()), "units": json.dumps(_UNITS)})


def _wkb(longitude: np.ndarray, latitude: np.ndarray) -> list[bytes]:
    """Points as well-known binary, little endian."""
    record = np.zeros(longitude.size, [("order", "u1"), ("type", "<u4"), ("x", "<f8"), ("y", "<f8")])
    record["order"], record["type"], record["x"], record["y"] = 1, 1, longitude, latitude
    whole = record.tobytes()
    size = record.dtype.itemsize
    return [whole[start : start + size] for start in range(0, len(whole), size)]


def _geo() -> dict[str, Any]:
    column = {
        "encoding": "WKB",
        "geometry_types": ["Point"],
    }  # without crs: longitude, latitude on WGS 84
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InputError(f"--points needs pyarrow ({error}): {install_command('pyarrow')}") from None
    return pyarrow, pyarrow.parquet
