"""Checks of a swath, and of the swaths of an archive as a series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from seaice.runtime.digests import digest_parts
from seaice.sources.amsr2.swath import (
    Swath,
    as_counts,
    list_expected_pixels,
)
from seaice.swaths.archive.base import (
    SwathArchive,
    find_period,
)

WARMEST, COLDEST = 350.0, 0.0  # kelvin; no natural brightness temperature lies beyond
# Share of the measurements of a swath that may lie beyond: some are radio interference.
_MOST_OUT_OF_RANGE = 0.01
_HALF_ORBIT = timedelta(minutes=49.4)
_SCAN = 1.5  # seconds from a scan to the next
_ROBUST_LIMIT = 6  # robust standard deviations from the median
_FEWEST_TO_COMPARE = 3


@dataclass(frozen=True)
class SwathCheck:
    """Result of checking a swath.

    Attributes
    ----------
    index : int
        Number of the swath in the archive.
    granule_id : str
    problems : tuple of str
        Empty if the swath is good.
    scans : int
        0 if it cannot be read.
    valid : float
        Share of pixels of the first channel with a measurement, 0..1.
    coldest, warmest : float
        Range of the first channel in kelvin; NaN without measurements.
    start : datetime or None
        UTC of the first scan; None if unknown.
    orbit_type : str
        "A" ascending, "D" descending, "U" unknown.
    digest : str
        SHA-256 of the counts of the first channel, hexadecimal.
    shares : mapping of str to float
        Share of pixels with a measurement by channel, 0..1.
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
    shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name for messages."""
        return self.granule_id or f"swath {self.index}"


def check_swath(swath: Swath, index: int, metadata: Mapping[str, object]) -> SwathCheck:
    """Check the shapes, positions, times and temperatures of a swath.

    Parameters
    ----------
    swath : Swath
    index : int
        Number of the swath in the archive.
    metadata : mapping
        Metadata of the swath in the index.
    """
    problems = [*_check_shapes(swath, metadata), *_check_positions(swath), *_check_times(swath)]
    if swath.is_empty:
        problems.append("no pixel has a measurement")
    shares = {}
    for channel in swath.channels[::-1]:  # the first channel last: its values are reported
        kelvin = swath.kelvin(channel)
        measured = kelvin[~np.isnan(kelvin)]
        shares[channel] = measured.size / max(1, kelvin.size)
        count = np.count_nonzero((measured > WARMEST) | (measured <= COLDEST))
        if count > _MOST_OUT_OF_RANGE * measured.size:
            label = "" if len(swath.channels) == 1 else f" of {channel}"
            problems.append(
                f"{count} of {measured.size} values{label} outside {COLDEST:g} to {WARMEST:g} K"
            )
    counts = as_counts(swath.counts[swath.channels[0]])
    return SwathCheck(
        index=index,
        granule_id=swath.granule_id,
        problems=tuple(problems),
        scans=counts.shape[0],
        valid=shares[swath.channels[0]],
        shares=dict(reversed(shares.items())),
        coldest=float(measured.min()) if measured.size else float("nan"),
        warmest=float(measured.max()) if measured.size else float("nan"),
        start=swath.start_time,
        orbit_type=swath.orbit_type,
        digest=digest_parts([counts.tobytes()]),
    )


def _check_shapes(swath: Swath, metadata: Mapping[str, object]) -> list[str]:
    problems = []
    shape = metadata.get("shape")
    if isinstance(shape, list | tuple) and tuple(shape) != swath.shape:
        problems.append(f"shape {swath.shape}, the metadata say {tuple(shape)}")
    for channel, counts in swath.counts.items():
        pixels = list_expected_pixels(channel, swath.sensor)
        if pixels and counts.shape[1] not in pixels:
            problems.append(f"{counts.shape[1]} pixels a scan of {channel}, expected {pixels[0]}")
        if not counts.size:
            problems.append(f"{channel} is empty")
    return problems


def _check_positions(swath: Swath) -> list[str]:
    problems = []
    shapes = {counts.shape for counts in swath.counts.values()}
    for frequency, positions in swath.positions.items():
        for name, values, limit in (
            ("latitude", positions.latitude, 90),
            ("longitude", positions.longitude, 360),
        ):
            if values.shape not in shapes:
                problems.append(f"{name} of {frequency} has the shape {values.shape}")
            with np.errstate(invalid="ignore"):
                count = np.count_nonzero(np.abs(values) > limit)
            if count:
                problems.append(f"{count} values of {name} beyond {limit} degrees")
    return problems


def _check_times(swath: Swath) -> list[str]:
    times = swath.scan_times
    if times is None:
        return []
    if times.shape != (swath.shape[0],):
        return [f"{times.shape} scan times for {swath.shape[0]} scans"]
    steps = np.diff(times[np.isfinite(times)])
    if steps.size and (steps.min() <= 0 or steps.min() > 2 * _SCAN):
        return ["the scan times do not rise by 1.5 s"]
    return []


@dataclass
class ArchiveCheck:
    """Result of checking an archive.

    Attributes
    ----------
    swaths : list of SwathCheck
    damage : str
        Damage of the file as a whole, in words; empty if there is none.
    duplicates : list of (SwathCheck, SwathCheck)
        A swath, and a later one with the same granule or the same counts.
    gaps : list of (datetime, datetime)
        Spans of time in which half orbits should begin and none does.
    completeness : str
        "complete", "incomplete" or "unknown".
    missing : list of str
        Granules that the archive lacks according to its description.
    """

    swaths: list[SwathCheck] = field(default_factory=list)
    damage: str = ""
    duplicates: list[tuple[SwathCheck, SwathCheck]] = field(default_factory=list)
    gaps: list[tuple[datetime, datetime]] = field(default_factory=list)
    completeness: str = "unknown"
    missing: list[str] = field(default_factory=list)

    @property
    def good(self) -> list[SwathCheck]:
        """Swaths without a problem."""
        return [swath for swath in self.swaths if not swath.problems]

    @property
    def success_rate(self) -> float:
        """Share of good swaths, 0..1; 0 in an archive without swaths."""
        return len(self.good) / len(self.swaths) if self.swaths else 0.0

    @property
    def verdict(self) -> str:
        """GOOD with more than 95 percent good swaths, USABLE with more than 80, else DAMAGED."""
        if self.damage or self.success_rate <= 0.8:
            return "DAMAGED"
        return "GOOD" if self.success_rate > 0.95 else "USABLE"


def check_series(check: ArchiveCheck, archive: SwathArchive) -> None:
    """Find duplicates and gaps among the swaths of an archive, and whether it is complete."""
    check.duplicates = _find_duplicates(check.swaths)
    listed = archive.info.get("missing")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    # A gap in the description has an unknown number of granules; it shows in the times again.
    check.missing = [
        str(entry.get("granule_id") or entry.get("reason"))
        for entry in entries
        if entry.get("state") != "gap"
    ]
    check.gaps = _find_gaps(check.swaths, archive)
    complete = archive.info.get("complete")
    dated = bool(check.swaths) and all(swath.start for swath in check.swaths)
    if complete is False or check.missing or check.gaps:
        check.completeness = "incomplete"
    elif complete is True or (dated and find_period(archive) is not None):
        check.completeness = "complete"


def find_odd_values(values: Sequence[float], *, least: float) -> list[int]:
    """Numbers of values far from the median: beyond six robust standard deviations, and ``least``.

    The robust standard deviation is 1.4826 times the median of the distances from the median, which a
    few odd values do not change.

    Examples
    --------
    >>> find_odd_values([1980, 1975, 1983, 700, 1978], least=40)
    [3]
    """
    array = np.asarray(values, np.float64)
    if array.size < _FEWEST_TO_COMPARE:
        return []
    distances = np.abs(array - np.median(array))
    limit = max(_ROBUST_LIMIT * 1.4826 * float(np.median(distances)), least)
    return [int(index) for index in np.flatnonzero(distances > limit)]


def _find_duplicates(swaths: Sequence[SwathCheck]) -> list[tuple[SwathCheck, SwathCheck]]:
    duplicates = []
    by_id: dict[str, SwathCheck] = {}
    by_content: dict[str, SwathCheck] = {}
    for swath in swaths:
        if swath.problems:
            continue  # a good swath does not repeat a damaged one
        earlier = by_id.get(swath.granule_id) if swath.granule_id else None
        earlier = earlier or by_content.get(swath.digest)
        if earlier is not None:
            duplicates.append((earlier, swath))
            continue
        by_content[swath.digest] = swath
        if swath.granule_id:
            by_id[swath.granule_id] = swath
    return duplicates


def _find_gaps(swaths: Sequence[SwathCheck], archive: SwathArchive) -> list[tuple[datetime, datetime]]:
    """Gaps between swaths and, unless the archive is a part of another, to the ends of its period."""
    times = sorted(swath.start for swath in swaths if swath.start)
    parameters = archive.info.get("parameters")
    if not times or (isinstance(parameters, dict) and parameters.get("bbox")):
        return []
    directions = {swath.orbit_type for swath in swaths}
    step = _HALF_ORBIT if directions not in ({"A"}, {"D"}) else 2 * _HALF_ORBIT
    gaps = [(first, second) for first, second in pairwise(times) if second - first > 1.5 * step]
    period = find_period(archive)
    if period is None or archive.info.get("part"):
        return gaps
    start, end = period
    if times[0] - start > 1.25 * step:
        gaps.insert(0, (start, times[0]))
    if end - times[-1] > 1.25 * step:
        gaps.append((times[-1], end))
    return gaps
