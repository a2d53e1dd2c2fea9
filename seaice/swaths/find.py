"""Finding the swaths of archives and granules, by UTC day and orbit direction, before they are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.report import describe_contents
from seaice.sources.amsr2.channels import DEFAULT_CHANNELS, Channel
from seaice.sources.amsr2.l1b import (
    identify_granule,
    is_granule,
    looks_like_granule,
    read_granule,
)
from seaice.sources.amsr2.sensors import GranuleName
from seaice.sources.amsr2.swath import (
    UNKNOWN,
    Swath,
    as_utc,
    name_positions,
)
from seaice.swaths.archive import (
    SwathArchive,
    is_archive,
    is_hdf5,
    load_swaths,
)

_HALF_ORBIT = timedelta(minutes=52)  # with both overlaps
_LONGEST_SWATH = timedelta(hours=3)  # a longer one is damaged
_MOST_OPEN = 8  # archives at the same time: a classic one takes room on the disk while it is open


@dataclass(frozen=True)
class SwathLocation:
    """A file and the swath in it.

    Attributes
    ----------
    path : Path
        An archive or a granule.
    index : int or None
        Number of the swath in the archive; None: the file is a granule.
    granule_id : str
        Empty if unknown.
    """

    path: Path
    index: int | None
    granule_id: str


@dataclass(frozen=True)
class ListedSwath:
    """A swath that was listed and not read yet.

    Attributes
    ----------
    location : SwathLocation
    start, end : datetime
        UTC of the first and last scan; of a granule a span that holds them.
    orbit_type : str
        "A" ascending, "D" descending, "U" unknown.
    sensor, level : str
        "unknown" where an archive does not say.
    """

    location: SwathLocation
    start: datetime
    end: datetime
    orbit_type: str
    sensor: str = UNKNOWN
    level: str = UNKNOWN


class OpenArchives:
    """Archives that stay open while several days are read from them; at most a few at a time."""

    def __init__(self) -> None:
        self._open: dict[tuple[Path, int, int], SwathArchive] = {}

    def get(self, path: Path) -> SwathArchive:
        """The archive, opened the first time, and again if it has been replaced since."""
        try:
            status = path.stat()
            key = (path, status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:
            key = (path, 0, 0)
        archive = self._open.pop(key, None)
        if archive is None:  # not «if not archive»: an archive without swaths is false
            archive = load_swaths(path)
        self._open[key] = archive  # the one used last stands last
        while len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open))).close()
        return archive

    def read(self, location: SwathLocation, channels: Sequence[str]) -> Swath:
        """Read a swath; of a granule only these channels, of an archive all that it has.

        Raises
        ------
        InputError
            If it cannot be read.
        """
        if location.index is None:
            return read_granule(location.path, channels=channels)
        return self.get(location.path)[location.index]

    def close(self) -> None:
        """Close all archives."""
        while self._open:
            self._open.popitem()[1].close()


def find_swaths(
    inputs: Sequence[Path], channels: Sequence[Channel], archives: OpenArchives
) -> tuple[list[ListedSwath], list[str]]:
    """Find all swaths of archives, granules and folders of them, in order of time.

    A swath that several files hold is listed once. Of a granule that was processed several times
    the newest version is listed.

    Parameters
    ----------
    inputs : sequence of Path
    channels : sequence of Channel
        Channels that a swath of an archive must have, with positions.
    archives : OpenArchives

    Returns
    -------
    listed : list of ListedSwath
    problems : list of str
        Files and swaths that cannot be used, with the reason.

    Raises
    ------
    InputError
        If a folder holds no archives and no granules.
    """
    newest: dict[Any, ListedSwath] = {}
    problems: list[str] = []
    for path in _list_files(inputs):
        try:
            for swath in _list_swaths(path, channels, archives, problems):
                key, version = _identify(swath.location)
                if key not in newest or version > _identify(newest[key].location)[1]:
                    newest[key] = swath
        except InputError as error:
            problems.append(str(error))
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            problems.append(f"the archive cannot be read ({' '.join(str(reason).split())}): {path}")
    listed = sorted(newest.values(), key=lambda swath: (swath.start, swath.location.granule_id))
    return listed, problems


def _identify(location: SwathLocation) -> tuple[Any, str]:
    """A key that all versions of a granule share, and the version."""
    name = GranuleName.parse(location.granule_id)
    if name is not None:
        return (name.sensor, name.start, name.path_number, name.orbit_type), name.version
    return location.granule_id or (location.path, location.index), ""


def _list_files(inputs: Sequence[Path]) -> Iterator[Path]:
    for path in dict.fromkeys(inputs):
        if not path.is_dir():
            if not path.exists():
                raise InputError(
                    f"expected archives, granules or folders of them, found no such file: {path}"
                )
            yield path
            continue
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and (file.suffix.lower() == ".npz" or looks_like_granule(file))
        )
        # Hidden folders hold the checkpoints of a collection.
        visible = [
            file
            for file in files
            if not any(part.startswith(".") for part in file.relative_to(path).parts)
        ]
        if not visible:
            raise InputError(
                f"expected archives (.npz, .h5) or granules, found none in {path}: "
                f"{describe_contents(path)}"
            )
        yield from visible


def _list_swaths(
    path: Path, channels: Sequence[Channel], archives: OpenArchives, problems: list[str]
) -> Iterator[ListedSwath]:
    """The usable swaths of a file; reasons why others cannot be used go to ``problems``."""
    if _may_be_granule(path):
        name = identify_granule(path)
        lacking = [channel.name for channel in channels if name.level not in channel.levels]
        if lacking:
            raise InputError(
                f"expected the channels {', '.join(lacking)}, found a granule of {name.level}: {path}; "
                f"choose others with --channels, such as {DEFAULT_CHANNELS[name.level][0]}"
            )
        # The name gives the minute of the first scan; the times of the scans are read later.
        location = SwathLocation(path, None, name.granule_id)
        end = name.start + _HALF_ORBIT
        yield ListedSwath(location, name.start, end, name.orbit_type, name.sensor, name.level)
        return
    refused: Counter[str] = Counter()
    entries = archives.get(path).entries
    for index, entry in enumerate(entries):
        try:
            swath = _parse_entry(entry, path, index, channels)
        except InputError as error:
            refused[str(error)] += 1
        except (TypeError, ValueError, AttributeError, OverflowError):
            refused[f"the metadata of swaths are none: {path}"] += 1
        else:
            yield swath
    for reason, count in refused.items():
        is_partial = count < len(entries)
        problems.append(f"{reason} ({count} of {len(entries)} swaths)" if is_partial else reason)


def _may_be_granule(path: Path) -> bool:
    """Whether a file is no archive, by what it holds; by its name where it cannot be opened."""
    is_named = GranuleName.parse(path.name) is not None
    if not is_hdf5(path):
        return is_named
    return not is_archive(path) and (is_named or bool(is_granule(path)))


def _parse_entry(
    entry: dict[str, Any], path: Path, index: int, channels: Sequence[Channel]
) -> ListedSwath:
    """A swath of an archive by its metadata; refused if it cannot be gridded."""
    names = [str(name) for name in entry.get("channels") or []]
    lacking = [channel.name for channel in channels if channel.name not in names]
    if lacking:
        available = ", ".join(names) or "channels without names"
        raise InputError(
            f"expected the channels {', '.join(lacking)}, found {available} in {path}; choose some of "
            "these, or collect it again with amsr2_processor.py --channels"
        )
    positions = entry.get("positions") or {}
    without = {c.name: c.positions for c in channels if c.positions not in positions}
    if without:
        raise InputError(
            f"the archive carries no positions of {', '.join(without)}: {path}; collect it again "
            "with amsr2_processor.py --coordinates"
        )
    try:
        start, end = (as_utc(str(entry[name])) for name in ("start_time", "end_time"))
    except (KeyError, ValueError):
        raise InputError(f"the archive does not say when its swaths were scanned: {path}") from None
    if not timedelta(0) <= end - start <= _LONGEST_SWATH:
        raise InputError(
            f"expected a swath of less than {_LONGEST_SWATH}, found one from {start:%Y-%m-%d %H:%M} to "
            f"{end:%Y-%m-%d %H:%M}: {path}"
        )
    orbit = str(entry.get("orbit_type") or "")[:1]
    location = SwathLocation(path, index, str(entry.get("granule_id") or ""))
    name = GranuleName.parse(location.granule_id)
    sensor, level = (str(entry.get(key) or getattr(name, key, UNKNOWN)) for key in ("sensor", "level"))
    return ListedSwath(location, start, end, orbit if orbit in ("A", "D") else "U", sensor, level)


def group_by_day(
    listed: Sequence[ListedSwath], *, start: date | None, end: date | None
) -> dict[tuple[date, str], list[SwathLocation]]:
    """Group swaths by UTC day and orbit direction; one that crosses midnight belongs to both days.

    Parameters
    ----------
    listed : sequence of ListedSwath
    start, end : date or None
        First and last day; None: no limit.
    """
    groups: dict[tuple[date, str], list[SwathLocation]] = {}
    for swath in listed:
        day = swath.start.astimezone(UTC).date()
        while day <= swath.end.astimezone(UTC).date():
            if (start is None or start <= day) and (end is None or day <= end):
                groups.setdefault((day, swath.orbit_type), []).append(swath.location)
            day += timedelta(days=1)
    return dict(sorted(groups.items()))


def find_channels(inputs: Sequence[Path], archives: OpenArchives) -> list[str]:
    """Channels to take where none is asked for.

    Those of the first archive that has swaths, else the default of the first granule; empty if there
    is neither.
    """
    of_granules: list[str] = []
    for path in _list_files(inputs):
        try:
            if _may_be_granule(path):
                of_granules = of_granules or list(DEFAULT_CHANNELS[identify_granule(path).level])
                continue
            entries = archives.get(path).entries
        except Exception:  # find_swaths reports it
            continue
        if entries:
            names = [str(name) for name in entries[0].get("channels") or []]
            return [name for name in names if name_positions(name) != UNKNOWN]
    return of_granules
