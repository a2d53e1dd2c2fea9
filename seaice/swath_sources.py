"""Swaths to be gridded: in archives, in granules, sorted by UTC day and orbit direction."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.archive import SwathArchive, load_swaths
from seaice.channels import Channel
from seaice.sources.amsr2_l1b import GranuleName, read_granule
from seaice.swath import Swath, as_utc, frequency_of

logger = logging.getLogger(__name__)

_HALF_ORBIT = timedelta(minutes=52)  # with both overlaps


@dataclass(frozen=True)
class Place:
    """Where a swath is to be read.

    Attributes
    ----------
    path : Path
        Of an archive or a granule.
    index : int or None
        Its number in the archive; None: the file is a granule.
    granule_id : str
    """

    path: Path
    index: int | None
    granule_id: str


@dataclass(frozen=True)
class Found:
    """A swath and what is known of it before it is read."""

    place: Place
    start: datetime
    end: datetime
    orbit_type: str


class OpenArchives:
    """Archives that stay open while several days are read from them."""

    def __init__(self) -> None:
        self._open: dict[Path, SwathArchive] = {}

    def get(self, path: Path) -> SwathArchive:
        """The archive, opened the first time."""
        if path not in self._open:
            self._open[path] = load_swaths(path)
        return self._open[path]

    def read(self, place: Place, channels: Sequence[str]) -> Swath:
        """A swath with the channels asked for, if it has them.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        if place.index is None:
            return read_granule(place.path, channels=channels)
        return self.get(place.path)[place.index]

    def close(self) -> None:
        """Close them all."""
        while self._open:
            self._open.popitem()[1].close()


def find_swaths(
    inputs: Sequence[Path], channels: Sequence[Channel], archives: OpenArchives
) -> tuple[list[Found], list[str]]:
    """All swaths of archives, granules and folders of them, each once, in order of time.

    Parameters
    ----------
    inputs : sequence of Path
    channels : sequence of Channel
        Those that an archive must have, with positions.
    archives : OpenArchives

    Returns
    -------
    found : list of Found
    problems : list of str
        Files and swaths that cannot be used, with the reason.
    """
    found: dict[str, Found] = {}
    problems: list[str] = []
    for path in _files(inputs):
        try:
            for number, swath in enumerate(_swaths_of(path, channels, archives)):
                found.setdefault(swath.place.granule_id or f"{path} {number}", swath)
        except InputError as error:
            problems.append(str(error))
    return sorted(found.values(), key=lambda each: (each.start, each.place.granule_id)), problems


def _files(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in dict.fromkeys(inputs):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in (".npz", ".h5"))
            visible = [p for p in inside if not any(part.startswith(".") for part in p.parts)]
            if not visible:
                raise InputError(f"expected archives (.npz, .h5) or L1B granules, found none in {path}")
            yield from visible
        else:
            yield path


def _swaths_of(path: Path, channels: Sequence[Channel], archives: OpenArchives) -> Iterator[Found]:
    name = GranuleName.parse(path.name)
    if name is not None:
        # A granule says its own times when it is read; its name says where to look.
        end = name.start + _HALF_ORBIT
        yield Found(Place(path, None, name.granule_id), name.start, end, name.orbit_type)
        return
    for index, entry in enumerate(archives.get(path).entries):
        _check_entry(entry, path, channels)
        place = Place(path, index, str(entry.get("granule_id") or ""))
        orbit = str(entry.get("orbit_type") or "U")[:1]
        yield Found(place, as_utc(str(entry["start_time"])), as_utc(str(entry["end_time"])), orbit)


def _check_entry(entry: dict[str, Any], path: Path, channels: Sequence[Channel]) -> None:
    """Refuse an archive that cannot be gridded, by its first swath that shows it."""
    has = [str(name) for name in entry.get("channels") or []]
    lacking = [channel.name for channel in channels if channel.name not in has]
    if lacking:
        there = ", ".join(has) or "channels without names"
        raise InputError(f"expected the channels {', '.join(lacking)}, found {there} in {path}")
    positions = entry.get("positions") or {}
    without = [c.frequency for c in channels if c.frequency not in positions]
    if without:
        raise InputError(
            f"the archive carries no positions of {', '.join(without)} GHz: {path}; collect it again "
            "with amsr2_processor.py --coordinates"
        )
    try:
        as_utc(str(entry["start_time"]))
        as_utc(str(entry["end_time"]))
    except (KeyError, ValueError):
        raise InputError(f"the archive does not say when its swaths were scanned: {path}") from None


def by_day(
    found: Sequence[Found], *, start: date | None, end: date | None
) -> dict[tuple[date, str], list[Place]]:
    """Swaths of every UTC day and orbit direction; one over midnight stands in both days."""
    units: dict[tuple[date, str], list[Place]] = {}
    for swath in found:
        day = swath.start.astimezone(UTC).date()
        while day <= swath.end.astimezone(UTC).date():
            if (start is None or start <= day) and (end is None or day <= end):
                units.setdefault((day, swath.orbit_type), []).append(swath.place)
            day += timedelta(days=1)
    return dict(sorted(units.items()))


def channels_of(archives: OpenArchives, inputs: Sequence[Path]) -> list[str]:
    """Channels that the first archive has; none where there is no archive."""
    for path in _files(inputs):
        if GranuleName.parse(path.name) is None:
            entries = archives.get(path).entries
            names = [str(name) for name in (entries[0].get("channels") or [])] if entries else []
            return [name for name in names if frequency_of(name) != "unknown"]
    return []
