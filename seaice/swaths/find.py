"""Swaths to be gridded: in archives, in granules, sorted by UTC day and orbit direction."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.sources.amsr2.channels import Channel
from seaice.sources.amsr2.l1b import (
    GranuleName,
    read_granule,
)
from seaice.sources.amsr2.swath import (
    Swath,
    as_utc,
    frequency_of,
)
from seaice.swaths.archive import (
    SwathArchive,
    load_swaths,
)

logger = logging.getLogger(__name__)

_HALF_ORBIT = timedelta(minutes=52)  # with both overlaps
_LONGEST = timedelta(hours=3)  # of a swath; more is damage
_MOST_OPEN = 8  # archives; a classic one takes room on the disk while it is open


@dataclass(frozen=True)
class SwathLocation:
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
class ListedSwath:
    """A swath and what is known of it before it is read."""

    place: SwathLocation
    start: datetime
    end: datetime
    orbit_type: str


class OpenArchives:
    """Archives that stay open while several days are read from them, a few at a time."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, int, int], SwathArchive] = {}

    def get(self, path: Path) -> SwathArchive:
        """The archive, opened the first time, and again where it has been replaced."""
        try:
            state = path.stat()
            key = (path, state.st_ino, state.st_mtime_ns)
        except FileNotFoundError:
            key = (path, 0, 0)
        archive = self._open.pop(key, None)
        if archive is None:  # one without swaths is false
            archive = load_swaths(path)
        self._open[key] = archive  # the last one used stands last
        while len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return archive

    def read(self, place: SwathLocation, channels: Sequence[str]) -> Swath:
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
) -> tuple[list[ListedSwath], list[str]]:
    """All swaths of archives, granules and folders of them, each once, in order of time.

    Of a granule that was processed several times the newest version is taken.

    Parameters
    ----------
    inputs : sequence of Path
    channels : sequence of Channel
        Those that an archive must have, with positions.
    archives : OpenArchives

    Returns
    -------
    found : list of ListedSwath
    problems : list of str
        Files and swaths that cannot be used, with the reason.
    """
    found: dict[Any, ListedSwath] = {}
    problems: list[str] = []
    for path in _files(inputs):
        try:
            for swath in _swaths_of(path, channels, archives, problems):
                key, version = _identity(swath.place)
                if key not in found or version > _identity(found[key].place)[1]:
                    found[key] = swath
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"the archive cannot be read ({error.strerror or error}): {path}")
    return sorted(found.values(), key=lambda each: (each.start, each.place.granule_id)), problems


def _identity(place: SwathLocation) -> tuple[Any, str]:
    """What two versions of a granule have in common, and the version."""
    name = GranuleName.parse(place.granule_id)
    if name is not None:
        return (name.start, name.path_number, name.orbit_type), name.version
    return place.granule_id or (place.path, place.index), ""


def _files(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in dict.fromkeys(inputs):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix in (".npz", ".h5"))
            visible = [
                p for p in inside if not any(s.startswith(".") for s in p.relative_to(path).parts)
            ]
            if not visible:
                raise InputError(f"expected archives (.npz, .h5) or L1B granules, found none in {path}")
            yield from visible
        else:
            yield path


def _swaths_of(
    path: Path, channels: Sequence[Channel], archives: OpenArchives, problems: list[str]
) -> Iterator[ListedSwath]:
    name = GranuleName.parse(path.name)
    if name is not None:
        # A granule says its own times when it is read; its name says where to look.
        end = name.start + _HALF_ORBIT
        yield ListedSwath(SwathLocation(path, None, name.granule_id), name.start, end, name.orbit_type)
        return
    refused: dict[str, int] = {}
    entries = archives.get(path).entries
    for index, entry in enumerate(entries):
        try:
            swath = _entry_of(entry, path, index, channels)
        except InputError as error:
            refused[str(error)] = refused.get(str(error), 0) + 1
        else:
            yield swath
    for reason, count in refused.items():
        all_of_them = count == len(entries)
        problems.append(reason if all_of_them else f"{reason} ({count} of {len(entries)} swaths)")


def _entry_of(entry: dict[str, Any], path: Path, index: int, channels: Sequence[Channel]) -> ListedSwath:
    """A swath of an archive by its metadata; refused where it cannot be gridded."""
    has = [str(name) for name in entry.get("channels") or []]
    lacking = [channel.name for channel in channels if channel.name not in has]
    if lacking:
        there = ", ".join(has) or "channels without names"
        raise InputError(
            f"expected the channels {', '.join(lacking)}, found {there} in {path}; take what is there, "
            "or collect it again with amsr2_processor.py --channels"
        )
    positions = entry.get("positions") or {}
    without = [c.frequency for c in channels if c.frequency not in positions]
    if without:
        raise InputError(
            f"the archive carries no positions of {', '.join(without)} GHz: {path}; collect it again "
            "with amsr2_processor.py --coordinates"
        )
    try:
        start, end = (as_utc(str(entry[name])) for name in ("start_time", "end_time"))
    except (KeyError, ValueError):
        raise InputError(f"the archive does not say when its swaths were scanned: {path}") from None
    if not timedelta(0) <= end - start <= _LONGEST:
        raise InputError(
            f"expected a swath of less than {_LONGEST}, found one from {start:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M}: {path}"
        )
    orbit = str(entry.get("orbit_type") or "")[:1]
    place = SwathLocation(path, index, str(entry.get("granule_id") or ""))
    return ListedSwath(place, start, end, orbit if orbit in ("A", "D") else "U")


def by_day(
    found: Sequence[ListedSwath], *, start: date | None, end: date | None
) -> dict[tuple[date, str], list[SwathLocation]]:
    """Swaths of every UTC day and orbit direction; one over midnight stands in both days."""
    units: dict[tuple[date, str], list[SwathLocation]] = {}
    for swath in found:
        day = swath.start.astimezone(UTC).date()
        while day <= swath.end.astimezone(UTC).date():
            if (start is None or start <= day) and (end is None or day <= end):
                units.setdefault((day, swath.orbit_type), []).append(swath.place)
            day += timedelta(days=1)
    return dict(sorted(units.items()))


def channels_of(archives: OpenArchives, inputs: Sequence[Path]) -> list[str]:
    """Channels of the first archive that has swaths; none where there is no archive."""
    for path in _files(inputs):
        if GranuleName.parse(path.name) is None:
            try:
                entries = archives.get(path).entries
            except (InputError, OSError):  # named when the swaths are looked for
                continue
            if entries:
                names = [str(name) for name in entries[0].get("channels") or []]
                return [name for name in names if frequency_of(name) != "unknown"]
    return []
