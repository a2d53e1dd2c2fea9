"""Finished days of a cube that is not whole yet: batches on disk that survive any stop.

Beside the output stands a folder ``.NAME.days`` with one file a batch. A batch file holds the
packed chunks of its days, then an index (JSON) and a short trailer; it is written under
another name, flushed and renamed, so that a batch is there whole or not at all. The index
tells what the batch was made of. A batch made of something else than the run at hand would
use is not used.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import shutil
import struct
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, Self

from seaice.cube.packing import (
    PACKED,
    PackedDay,
)
from seaice.daily.folder import DayRecord
from seaice.dates import (
    day_number,
    from_day_number,
)
from seaice.flags import DayStatus
from seaice.runtime.atomic_write import (
    explain_full_disk,
    flush,
)

logger = logging.getLogger(__name__)

_MAGIC = b"ICEDAYS1"
_TRAILER = struct.Struct("<QI8s")  # length and CRC-32 of the index, magic
_SUFFIX = ".days"


@dataclass(frozen=True)
class FinishedDay:
    """One finished day.

    Attributes
    ----------
    record : DayRecord
    counts : dict of str to int
        The number of cells of every kind in :data:`seaice.cube.packing.COUNTED`.
    """

    record: DayRecord
    counts: dict[str, int]


class Batch:
    """A batch file, as its index tells.

    Parameters
    ----------
    path : Path

    Raises
    ------
    ValueError
        If the file is no whole batch.
    OSError
        If it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size < _TRAILER.size:
                raise ValueError("truncated")
            file.seek(size - _TRAILER.size)
            length, checksum, magic = _TRAILER.unpack(file.read(_TRAILER.size))
            if magic != _MAGIC or length + _TRAILER.size > size:
                raise ValueError("no batch file")
            file.seek(size - _TRAILER.size - length)
            text = file.read(length)
        if zlib.crc32(text) != checksum:
            raise ValueError("damaged index")
        index = json.loads(text)
        self.made_of: dict[str, Any] = index["made_of"]
        self._entries: list[dict[str, Any]] = index["days"]
        self.days = [_made(entry) for entry in self._entries]

    @property
    def numbers(self) -> list[int]:
        """Its days."""
        return [day_number(made.record.day) for made in self.days]

    def chunks(self) -> Iterator[tuple[FinishedDay, dict[str, list[bytes]]]]:
        """Every day with its packed chunks; OSError if they are damaged."""
        with self.path.open("rb") as file:
            for made, entry in zip(self.days, self._entries, strict=True):
                sizes: dict[str, list[int]] = entry["sizes"]
                content = file.read(sum(sum(some) for some in sizes.values()))
                if zlib.crc32(content) != entry["crc32"]:
                    raise OSError(
                        f"{self.path} is damaged at {made.record.day}; remove it and run the same "
                        "command again"
                    )
                view, chunks = memoryview(content), {}
                for name, some in sizes.items():
                    chunks[name] = [bytes(view[end - n : end]) for n, end in _ends(some)]
                    view = view[sum(some) :]
                yield made, chunks


def _ends(sizes: list[int]) -> Iterator[tuple[int, int]]:
    end = 0
    for size in sizes:
        end += size
        yield size, end


def _made(entry: Mapping[str, Any]) -> FinishedDay:
    stored = dict(entry["record"])
    stored |= {"day": date.fromisoformat(stored["day"]), "status": DayStatus(stored["status"])}
    return FinishedDay(DayRecord(**stored), entry["counts"])


class BatchWriter:
    """Writes one batch; leaving without :meth:`commit` leaves nothing.

    Parameters
    ----------
    folder : Path
        Of the spool.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Two machines may make the same batch at once; both say the same in it.
        self._temporary = folder / f"{uuid.uuid4().hex}.part"
        self._file = self._temporary.open("xb")
        self._days: list[dict[str, Any]] = []

    def add(self, record: DayRecord, packed: PackedDay) -> None:
        """Append a day; days come in order."""
        checksum = 0
        with full_disk_named(self._folder):
            for name in PACKED:
                for chunk in packed.chunks[name]:
                    self._file.write(chunk)
                    checksum = zlib.crc32(chunk, checksum)
        stored = asdict(record) | {"day": str(record.day), "status": int(record.status)}
        sizes = {name: [len(chunk) for chunk in packed.chunks[name]] for name in PACKED}
        self._days.append({"record": stored, "counts": packed.counts, "crc32": checksum, "sizes": sizes})

    def commit(self, made_of: Mapping[str, Any]) -> None:
        """Give the batch its name; from now on it survives any stop."""
        text = json.dumps({"made_of": made_of, "days": self._days}).encode()
        first, last = (self._days[i]["record"]["day"] for i in (0, -1))
        with full_disk_named(self._folder):
            self._file.write(text)
            self._file.write(_TRAILER.pack(len(text), zlib.crc32(text), _MAGIC))
            self._file.flush()
            flush(self._temporary)
        self._file.close()
        self._temporary.replace(self._folder / f"{first}_{last}{_SUFFIX}")
        flush(self._folder)

    def close(self) -> None:
        """Remove what was not committed."""
        with contextlib.suppress(OSError):  # a full disk once more: the rest of the buffer
            self._file.close()
        self._days.clear()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@contextlib.contextmanager
def full_disk_named(folder: Path) -> Iterator[None]:
    """Tell of a full disk with the folder and the room that is left."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise explain_full_disk(error, folder) from error
        raise


class FinishedBatches:
    """A folder of finished batches.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def beside(cls, output: Path) -> Self:
        """The spool of an output."""
        output = Path(output).resolve()
        return cls(output.with_name(f".{output.name}{_SUFFIX}"))

    def open(self, is_current: Callable[[Batch], bool]) -> list[Batch]:
        """Make the folder or take it over from a run that was stopped.

        Parameters
        ----------
        is_current : callable
            Whether a batch is made of what this run would use; others are removed.

        Returns
        -------
        list of Batch
            Those that can be used, by day.
        """
        self.path.mkdir(exist_ok=True)
        for left in self.path.glob("*.part"):
            left.unlink(missing_ok=True)
        usable: list[Batch] = []
        covered: set[int] = set()
        for path in sorted(self.path.glob(f"*{_SUFFIX}")):
            try:
                batch = Batch(path)
                if covered.isdisjoint(batch.numbers) and is_current(batch):
                    usable.append(batch)
                    covered.update(batch.numbers)
                    continue
                reason = "other input or other options, or days of another batch"
            except (ValueError, KeyError, TypeError, OSError) as error:
                reason = str(error)
            logger.info("%s is not used (%s)", path, reason)
            path.unlink()
        return usable

    def batches(self) -> list[Batch]:
        """Every whole batch there is, by day."""
        found = []
        for path in self.path.glob(f"*{_SUFFIX}"):
            # Others may be writing: a file that is gone or not whole is no batch.
            with contextlib.suppress(ValueError, KeyError, TypeError, FileNotFoundError):
                found.append(Batch(path))
        return sorted(found, key=lambda batch: batch.numbers)

    def leave(self) -> int:
        """Clear up after a run that has not come to its end; returns the finished days kept."""
        kept = sum(len(batch.days) for batch in self.batches())
        if kept:
            for path in self.path.iterdir():
                if path.suffix != _SUFFIX:
                    path.unlink(missing_ok=True)
        else:
            self.remove()
        return kept

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.path, ignore_errors=True)


def runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First and last of every run of adjacent days.

    Examples
    --------
    >>> runs([3, 4, 5, 8])
    [(3, 5), (8, 8)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def iso(number: int) -> str:
    """A day number as an ISO date."""
    return str(from_day_number(number))
