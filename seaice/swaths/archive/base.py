"""Common parts of all layouts of a swath archive: the reader, the writer, the index."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self, overload

from seaice import InputError
from seaice.cf import add_history
from seaice.report import format_count
from seaice.sources.amsr2.sensors import SENSORS
from seaice.sources.amsr2.swath import (
    Swath,
    as_utc,
)
from seaice.swaths.archive.names import (
    ArchiveName,
)

SUFFIXES = {"swath_array": ".npz", "hdf5": ".h5"}
LAYOUTS = tuple(SUFFIXES)
INDEX = "index.json"  # the member or dataset that describes an archive
FORMAT = "AMSR2 swath archive"
VERSION = 1

# Limits that no archive with measurements reaches; a file beyond them is damaged or hostile.
MOST_SWATHS = 1 << 17  # twelve years of half orbits
LARGEST_INDEX = 1 << 26  # bytes; ten times the index of twelve years
LARGEST_ARRAY = 1 << 28  # bytes; the largest array of a half orbit has 16 MB
_MOST_VALUES = 1 << 22  # of an index
_DEEPEST_NOTE = 64  # containers within containers


class SwathArchive(Sequence[Swath]):
    """Swaths of a file; each is read when it is asked for.

    Attributes
    ----------
    path : Path
    layout : str
        "swath_array" or "hdf5"; "separate_arrays" of older programs is only read.
    info : dict
        Description in the file: ``period``, ``complete``, ``missing`` (granules that should be
        in the archive, with reasons), ``parameters``, ... Empty in old archives.
    entries : list of dict
        Metadata of every swath.
    damage : str
        Damage of the file as a whole, in words; empty if there is none.
    """

    path: Path
    layout: str
    info: dict[str, Any]
    entries: list[dict[str, Any]]
    damage: str = ""

    @property
    def layout_of_copies(self) -> str:
        """Layout of parts and repaired copies."""
        return self.layout if self.layout in LAYOUTS else "swath_array"

    @abstractmethod
    def _read(self, index: int) -> Swath: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __len__(self) -> int:
        return len(self.entries)

    def __repr__(self) -> str:
        swaths = format_count(len(self), "swath")
        return f"<swath archive {self.path.name}: {self.layout}, {swaths}>"

    @overload
    def __getitem__(self, index: int) -> Swath: ...
    @overload
    def __getitem__(self, index: slice) -> list[Swath]: ...
    def __getitem__(self, index: int | slice) -> Swath | list[Swath]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"swath {index} of {len(self)}: {self.path}")
        return self._read(number)

    def __iter__(self) -> Iterator[Swath]:
        return (self._read(index) for index in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ArchiveWriter(Protocol):
    """Writes an archive swath by swath, with memory for a single swath."""

    def add(self, swath: Swath) -> None:
        """Write a swath."""

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive; between HDF5 archives without unpacking it."""

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write the description of the archive and close the file."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


def find_period(archive: SwathArchive) -> tuple[datetime, datetime] | None:
    """Start and end of the period that an archive covers, in UTC; None if it is not known.

    They are read from ``period`` in the metadata of the archive, or else from the file name.
    """
    times = str(archive.info.get("period", "")).split(" to ")
    if len(times) == 2:
        try:
            return as_utc(times[0].strip()), as_utc(times[1].strip())
        except ValueError:
            pass
    name = ArchiveName.parse(archive.path.name)
    return (name.start, name.end) if name else None


def describe_failure(path: Path, error: Exception) -> str:
    """Say in one line which file failed, and why; also where a library raised the error."""
    reason = " ".join(str(error).split())
    if isinstance(error, InputError):
        return reason if path.name in reason else f"{path}: {reason}"
    return f"{path} cannot be read ({type(error).__name__}: {reason[:200]})"


def describe_product(sensor: str, level: str) -> dict[str, str]:
    """Source and references of archives and of the grids that are made of them."""
    owner = SENSORS[sensor if sensor in SENSORS else "AMSR2"]
    letter = "R" if level == "L1R" else "B"
    return {
        "source": f"{owner.name} on {owner.platform}, product L1SG{letter}TBR of JAXA",
        "references": f"JAXA {owner.platform} {owner.name} Level 1{letter} brightness temperatures, "
        "https://gportal.jaxa.jp",
    }


def make_index(
    entries: Sequence[Mapping[str, Any]], layout: str, info: Mapping[str, Any]
) -> dict[str, Any]:
    """Index of an archive: its description and the metadata of every swath."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "layout": layout,
        "num_swaths": len(entries),
        **info,
        "swaths": list(entries),
    }


def inherit_info(archive: SwathArchive, *, line: str) -> dict[str, Any]:
    """Description for an archive that is made of another one.

    Parameters
    ----------
    archive : SwathArchive
    line : str
        Line for the history.

    Returns
    -------
    dict
        The description of ``archive`` without what the writer adds.
    """
    own = ("format", "version", "layout", "num_swaths", "swaths")
    info = {key: value for key, value in archive.info.items() if key not in own}
    return {**info, **add_history({"history": line}, str(archive.info.get("history", "")))}


def parse_json(content: bytes, label: str) -> Any:
    """Parse a JSON text; NaN becomes None.

    Parameters
    ----------
    content : bytes
    label : str
        Name of the text in messages.

    Raises
    ------
    InputError
        If it is not JSON, or longer than the text of any archive.
    """
    if len(content) > LARGEST_INDEX:
        raise InputError(
            f"expected at most {LARGEST_INDEX} bytes of text, found {len(content)}: {label}"
        )
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InputError(f"refused: {label} holds more than {_MOST_VALUES} values")
    try:
        value = json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise InputError(f"damaged: {label} cannot be read ({error})") from None
    if not _is_shallow(value):
        raise InputError(f"refused: {label} holds notes within notes without end")
    return value


def _is_shallow(value: Any) -> bool:
    """Whether a value of JSON can be copied and written again, which is done container by container."""
    level = [value]
    for _ in range(_DEEPEST_NOTE):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return True
        level = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
    return not level
