"""What all layouts of a swath archive have in common."""

from __future__ import annotations

import io
import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Protocol, Self, overload

import numpy as np

from seaice import InputError
from seaice.sources.amsr2.swath import (
    Swath,
    as_utc,
)

LAYOUTS = ("swath_array", "flat", "hdf5")
SUFFIXES = {"swath_array": ".npz", "flat": ".npz", "hdf5": ".h5"}
INDEX = "index.json"  # the member or dataset that describes an archive
FORMAT = "AMSR2 swath archive"
VERSION = 1

# Twelve years of half orbits, and ten times the index of one: more is damage or malice.
MOST_SWATHS = 1 << 17
LARGEST_INDEX = 1 << 26
_MOST_VALUES = 1 << 22

_NAME = re.compile(
    r"AMSR2_(?P<what>temp_only|swaths)_(?P<start>\d{8}_\d{6})_to_(?P<end>\d{8}_\d{6})(?P<incomplete>_incomplete)?"
)


class SwathArchive(Sequence[Swath]):
    """Swaths of a file, each read when it is asked for.

    Attributes
    ----------
    path : Path
    layout : str
        "swath_array", "flat" or "hdf5".
    info : dict
        What the file says about itself: ``period``, ``complete``, ``missing`` (granules that
        should be there, with reasons), ``parameters``, ... Empty in old archives.
    entries : list of dict
        Metadata of every swath.
    damage : str
        Empty, or what is wrong with the file as a whole.
    """

    path: Path
    layout: str
    info: dict[str, Any]
    entries: list[dict[str, Any]]
    damage: str = ""

    @abstractmethod
    def _read(self, index: int) -> Swath: ...

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __len__(self) -> int:
        return len(self.entries)

    @overload
    def __getitem__(self, index: int) -> Swath: ...
    @overload
    def __getitem__(self, index: slice) -> list[Swath]: ...
    def __getitem__(self, index: int | slice) -> Swath | list[Swath]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"swath {index} of {len(self)}: {self.path}")
        return self._read(place)

    def __iter__(self) -> Iterator[Swath]:
        return (self._read(index) for index in range(len(self)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class ArchiveWriter(Protocol):
    """Writes an archive swath by swath, with memory for one of them."""

    def add(self, swath: Swath) -> None:
        """Write a swath."""

    def copy(self, archive: SwathArchive, index: int) -> None:
        """Write a swath of another archive, as it lies there where both have one layout."""

    def finish(self, info: Mapping[str, Any]) -> None:
        """Write what describes the archive, and close it."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...


@dataclass(frozen=True)
class ArchiveName:
    """What the name of an archive says.

    Attributes
    ----------
    start, end : datetime
        UTC, whole seconds.
    coordinates : bool
        With positions: ``AMSR2_swaths_...``; without: ``AMSR2_temp_only_...``.
    complete : bool
        False: ``..._incomplete``.
    """

    start: datetime
    end: datetime
    coordinates: bool
    complete: bool = True

    @property
    def stem(self) -> str:
        """File name without its suffix.

        Examples
        --------
        >>> day = datetime(2020, 1, 1, tzinfo=UTC)
        >>> ArchiveName(day, day, coordinates=False).stem
        'AMSR2_temp_only_20200101_000000_to_20200101_000000'
        """
        what = "swaths" if self.coordinates else "temp_only"
        first, last = (f"{time:%Y%m%d_%H%M%S}" for time in (self.start, self.end))
        return f"AMSR2_{what}_{first}_to_{last}" + ("" if self.complete else "_incomplete")

    @classmethod
    def parse(cls, name: str) -> ArchiveName | None:
        """The parts of a file name; None of any other name."""
        found = _NAME.match(name)
        if not found:
            return None
        try:
            start, end = (
                datetime.strptime(found[which], "%Y%m%d_%H%M%S").replace(tzinfo=UTC)
                for which in ("start", "end")
            )
        except ValueError:
            return None
        return cls(start, end, found["what"] == "swaths", found["incomplete"] is None)


def period_text(start: datetime, end: datetime) -> str:
    """The ``period`` of an archive: «ISO to ISO»."""
    return f"{start:%Y-%m-%dT%H:%M:%S} to {end:%Y-%m-%dT%H:%M:%S}"


def period_of(archive: SwathArchive) -> tuple[datetime, datetime] | None:
    """First and last second an archive is meant for, as it says or as it is called."""
    said = str(archive.info.get("period", "")).split(" to ")
    if len(said) == 2:
        try:
            return as_utc(said[0].strip()), as_utc(said[1].strip())
        except ValueError:
            pass
    name = ArchiveName.parse(archive.path.name)
    return (name.start, name.end) if name else None


def described(
    entries: Sequence[Mapping[str, Any]], layout: str, info: Mapping[str, Any]
) -> dict[str, Any]:
    """The index of an archive: its own description and one entry a swath."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "layout": layout,
        "num_swaths": len(entries),
        **info,
        "swaths": list(entries),
    }


def parsed(content: bytes, where: str) -> Any:
    """What a JSON text says; NaN becomes None.

    Raises
    ------
    InputError
        If it is none, or longer than any that an archive needs.
    """
    if len(content) > LARGEST_INDEX:
        raise InputError(
            f"expected at most {LARGEST_INDEX} bytes of text, found {len(content)}: {where}"
        )
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise InputError(f"refused: {where} unpacks to absurdly much")
    try:
        return json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise InputError(f"damaged: {where} cannot be read ({error})") from None


def entries_of(index: Any, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Description and entries of an index that was read.

    Raises
    ------
    InputError
        If it is no index of an archive.
    """
    if not isinstance(index, dict) or not isinstance(index.get("swaths"), list):
        raise InputError(f"expected the index of a swath archive, found something else: {path}")
    entries = index.pop("swaths")
    if not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"damaged: the index of the archive lists no swaths: {path}")
    places = [str(entry.get("member", entry.get("group"))) for entry in entries]
    if len(set(places)) < len(places) or len(places) > MOST_SWATHS:
        raise InputError(f"damaged: the index of the archive lists a swath more than once: {path}")
    return index, entries


def plain_npy(array: np.ndarray) -> bytes:
    """An array as the content of a .npy file, without pickle."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_header(file: IO[bytes], where: str) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and dtype of the array that follows in a file.

    Raises
    ------
    InputError
        If it does not begin as numpy's files do.
    """
    try:
        version = np.lib.format.read_magic(file)  # type: ignore[arg-type]
        read: Any = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except InputError:
        raise
    # A header is a text that numpy hands to the parser of Python: it raises whatever it likes.
    except Exception as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"damaged: {where} is no array ({reason})") from None
    return shape, dtype


def read_text(content: bytes, where: str) -> str:
    """The one text in the content of a .npy file.

    Raises
    ------
    InputError
        If it holds anything else.
    """
    file = io.BytesIO(content)
    shape, dtype = read_header(file, where)
    rest = content[file.tell() :]
    if dtype.kind != "U" or shape not in ((), (1,)) or dtype.itemsize != len(rest):
        raise InputError(f"expected a text, found {dtype} {shape}: {where}")
    return str(np.frombuffer(rest, dtype)[0]) if rest else ""
