"""One ICESat-2 granule summed by grid cell and time step: the unit of work of the freeboard grids."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.area_of_interest import Area
from seaice.gridding import BucketAccumulator, Buckets, cells_of
from seaice.grids import Grid
from seaice.period import day_number, from_day_number
from seaice.sources.icesat2_tracks import Selection, Track, select

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
    from seaice.sources.icesat2 import read_granule

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
