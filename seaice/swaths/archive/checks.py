"""What is looked at in a swath and in an archive of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from seaice.sources.amsr2.swath import (
    Swath,
    as_counts,
    expected_pixels,
)
from seaice.swaths.archive.base import (
    SwathArchive,
    period_of,
)

WARMEST, COLDEST = 350.0, 0.0  # kelvin; beyond is no natural brightness temperature
_OUT_OF_RANGE = 0.01  # share of a swath's measurements: a few are radio interference
_HALF_ORBIT = timedelta(minutes=49.4)
_SCAN = 1.5  # seconds


@dataclass(frozen=True)
class SwathCheck:
    """What was found in one swath.

    Attributes
    ----------
    index : int
    granule_id : str
    problems : tuple of str
        Empty: the swath is good.
    scans : int
        0 where it cannot be read.
    valid : float
        Share of pixels with a measurement.
    coldest, warmest : float
        Kelvin; NaN without measurements.
    start : datetime or None
    orbit_type : str
    digest : str
        Of the counts of the first channel.
    """

    index: int
    granule_id: str
    problems: tuple[str, ...] = ()
    scans: int = 0
    valid: float = 0.0
    coldest: float = float("nan")
    warmest: float = float("nan")
    start: datetime | None = None
    orbit_type: str = "U"
    digest: str = ""

    @property
    def name(self) -> str:
        """How to speak of it."""
        return self.granule_id or f"swath {self.index}"


def check_swath(swath: Swath, index: int, said: dict[str, object]) -> SwathCheck:
    """Look at one swath.

    Parameters
    ----------
    swath : Swath
    index : int
        Its place in the archive.
    said : dict
        Its entry in the index.
    """
    problems = [*_shape_problems(swath, said), *_position_problems(swath), *_time_problems(swath)]
    if swath.is_empty:
        problems.append("no pixel has a measurement")
    for channel in swath.channels[::-1]:  # the first one last: its values are reported
        kelvin = swath.kelvin(channel)
        known = kelvin[~np.isnan(kelvin)]
        beyond = np.count_nonzero((known > WARMEST) | (known <= COLDEST))
        if beyond > _OUT_OF_RANGE * known.size:
            where = "" if len(swath.channels) == 1 else f" of {channel}"
            problems.append(
                f"{beyond} of {known.size} values{where} outside {COLDEST:g} to {WARMEST:g} K"
            )
    counts = as_counts(swath.counts[swath.channels[0]])
    return SwathCheck(
        index=index,
        granule_id=swath.granule_id,
        problems=tuple(problems),
        scans=counts.shape[0],
        valid=known.size / max(1, counts.size),
        coldest=float(known.min()) if known.size else float("nan"),
        warmest=float(known.max()) if known.size else float("nan"),
        start=swath.start_time,
        orbit_type=swath.orbit_type,
        digest=hashlib.sha256(counts.tobytes()).hexdigest(),
    )


def _shape_problems(swath: Swath, said: dict[str, object]) -> list[str]:
    problems = []
    told = said.get("shape")
    if isinstance(told, list | tuple) and tuple(told) != swath.shape:
        problems.append(f"shape {swath.shape}, the metadata say {tuple(told)}")
    for channel, counts in swath.counts.items():
        pixels = expected_pixels(channel)
        if pixels is not None and counts.shape[1] != pixels:
            problems.append(f"{counts.shape[1]} pixels a scan of {channel}, expected {pixels}")
        if not counts.size:
            problems.append(f"{channel} is empty")
    return problems


def _position_problems(swath: Swath) -> list[str]:
    problems = []
    shapes = {counts.shape for counts in swath.counts.values()}
    for frequency, places in swath.positions.items():
        for what, values, limit in (
            ("latitude", places.latitude, 90),
            ("longitude", places.longitude, 360),
        ):
            if values.shape not in shapes:
                problems.append(f"{what} of {frequency} has the shape {values.shape}")
            with np.errstate(invalid="ignore"):
                wrong = np.count_nonzero(np.abs(values) > limit)
            if wrong:
                problems.append(f"{wrong} values of {what} beyond {limit} degrees")
    return problems


def _time_problems(swath: Swath) -> list[str]:
    times = swath.scan_times
    if times is None:
        return []
    if times.shape != (swath.shape[0],):
        return [f"{times.shape} scan times for {swath.shape[0]} scans"]
    known = times[np.isfinite(times)]
    steps = np.diff(known)
    if steps.size and (steps.min() <= 0 or steps.min() > 2 * _SCAN):
        return ["the scan times do not rise by 1.5 s"]
    return []


@dataclass
class ArchiveCheck:
    """What was found in an archive.

    Attributes
    ----------
    swaths : list of SwathCheck
    damage : str
        What is wrong with the file as a whole; empty if nothing.
    duplicates : list of (str, str)
        Names of two swaths that are one.
    gaps : list of (datetime, datetime)
        Spans in which half orbits should begin and none does.
    completeness : str
        "complete", "incomplete" or "unknown".
    missing : list of str
        Granules that the archive itself says it lacks.
    """

    swaths: list[SwathCheck] = field(default_factory=list)
    damage: str = ""
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    completeness: str = "unknown"
    missing: list[str] = field(default_factory=list)

    @property
    def good(self) -> list[SwathCheck]:
        """Swaths without a problem."""
        return [swath for swath in self.swaths if not swath.problems]

    @property
    def success_rate(self) -> float:
        """Share of good swaths, 0..1; 0 without any."""
        return len(self.good) / len(self.swaths) if self.swaths else 0.0

    @property
    def verdict(self) -> str:
        """GOOD above 95 percent good swaths, USABLE above 80, else DAMAGED."""
        if self.damage or self.success_rate <= 0.8:
            return "DAMAGED"
        return "GOOD" if self.success_rate > 0.95 else "USABLE"


def judge_together(check: ArchiveCheck, archive: SwathArchive) -> None:
    """Look at the swaths of an archive as a series: duplicates, gaps, completeness."""
    check.duplicates = _duplicates(check.swaths)
    told = archive.info.get("missing")
    entries = [entry for entry in (told if isinstance(told, list) else []) if isinstance(entry, dict)]
    # A gap that was noted lacks nobody knows how many; it shows in the times again.
    check.missing = [
        str(entry.get("granule_id") or entry.get("reason"))
        for entry in entries
        if entry.get("state") != "gap"
    ]
    check.gaps = _gaps(check.swaths, archive)
    complete = archive.info.get("complete")
    dated = bool(check.swaths) and all(swath.start for swath in check.swaths)
    if complete is False or check.missing or check.gaps:
        check.completeness = "incomplete"
    elif complete is True or (dated and period_of(archive) is not None):
        check.completeness = "complete"


def _duplicates(swaths: Sequence[SwathCheck]) -> list[tuple[str, str]]:
    found = []
    by_id: dict[str, SwathCheck] = {}
    by_content: dict[str, SwathCheck] = {}
    for swath in swaths:
        if swath.problems:
            continue  # the good one of two is no repetition of a damaged one
        before = by_id.get(swath.granule_id) if swath.granule_id else None
        before = before or by_content.get(swath.digest)
        if before is not None:
            found.append((f"swath {before.index}", f"swath {swath.index} ({swath.name})"))
            continue
        by_content[swath.digest] = swath
        if swath.granule_id:
            by_id[swath.granule_id] = swath
    return found


def _gaps(swaths: Sequence[SwathCheck], archive: SwathArchive) -> list[tuple[datetime, datetime]]:
    """Gaps between swaths and, of a whole archive, to the ends of its period."""
    times = sorted(swath.start for swath in swaths if swath.start)
    asked = archive.info.get("parameters")
    if not times or (isinstance(asked, dict) and asked.get("bbox")):
        return []
    kinds = {swath.orbit_type for swath in swaths}
    step = _HALF_ORBIT if kinds != {"A"} and kinds != {"D"} else 2 * _HALF_ORBIT
    period = period_of(archive)
    ends = [] if period is None or archive.info.get("part") else list(period)
    if ends:
        found = [(ends[0], times[0])] if times[0] - ends[0] > 1.25 * step else []
        found += _wide(times, 1.5 * step)
        return found + ([(times[-1], ends[1])] if ends[1] - times[-1] > 1.25 * step else [])
    return _wide(times, 1.5 * step)


def _wide(times: list[datetime], limit: timedelta) -> list[tuple[datetime, datetime]]:
    return [(before, after) for before, after in pairwise(times) if after - before > limit]
