"""Finished days of a cube that is not complete yet: batches on disk that survive any stop.

Beside the output stands a folder ``.NAME.days`` with one file a batch. A batch file holds the
packed chunks of its days, then an index (JSON) and a short trailer; it is written under
another name, flushed and renamed, so that a batch is either whole or absent. The index
holds the recipe's fingerprint and the signatures of the input files; a batch with others than
those of the run at hand is not used.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import re
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from itertools import accumulate
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
from seaice.flags import DayStatus, FillFlag
from seaice.runtime.atomic_write import (
    explain_full_disk,
    flush,
    open_own_folder,
)

logger = logging.getLogger(__name__)

_MAGIC = b"ICEDAYS1"
_TRAILER = struct.Struct("<QI8s")  # length and CRC-32 of the index, magic
_SUFFIX = ".days"
_BATCH_NAME = re.compile(r"\d{4}-\d\d-\d\d_\d{4}-\d\d-\d\d\.days")
TOKEN_FILE = "run"


@dataclass(frozen=True)
class FinishedDay:
    """One finished day.

    Attributes
    ----------
    record : DayRecord
    counts : dict of str to int
        Cells by name, see :class:`seaice.cube.packing.PackedDay`.
    """

    record: DayRecord
    counts: dict[str, int]

    def describe(self) -> str:
        """The log line of the day."""
        record, counts = self.record, self.counts
        filled = sum(counts.get(flag.meaning, 0) for flag in FillFlag if flag.is_filled)
        missing = counts["missing"] + counts["missing_pole_hole"]
        reason = f" ({record.reason})" if record.reason else ""
        observed = counts.get(FillFlag.OBSERVED.meaning, 0)
        return (
            f"{record.day} {record.status.name.lower()}{reason}: {observed} cells observed, "
            f"{filled} filled, {missing} missing"
        )


class Batch:
    """A batch file and its index.

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
        if _checksum(text) != checksum:
            raise ValueError("damaged index")
        index = json.loads(text)
        self.made_of: dict[str, Any] = index["made_of"]
        self._entries: list[dict[str, Any]] = index["days"]
        self.days = [_finished_day(entry) for entry in self._entries]

    @property
    def numbers(self) -> list[int]:
        """Day numbers of the days in the batch."""
        return [day_number(day.record.day) for day in self.days]

    def chunks(self) -> Iterator[tuple[FinishedDay, dict[str, list[bytes]]]]:
        """Every day with its packed chunks; OSError if they are damaged."""
        with self.path.open("rb") as file:
            for day, entry in zip(self.days, self._entries, strict=True):
                sizes: dict[str, list[int]] = entry["sizes"]
                content = file.read(sum(map(sum, sizes.values())))
                if _checksum(content) != entry["crc32"]:
                    raise OSError(
                        f"{self.path} is damaged at {day.record.day}; remove it and run the same "
                        "command again"
                    )
                view, chunks = memoryview(content), {}
                for name, lengths in sizes.items():
                    ends = accumulate(lengths)
                    chunks[name] = [
                        bytes(view[end - n : end]) for n, end in zip(lengths, ends, strict=True)
                    ]
                    view = view[sum(lengths) :]
                yield day, chunks


def _finished_day(entry: Mapping[str, Any]) -> FinishedDay:
    stored = dict(entry["record"])
    stored |= {"day": date.fromisoformat(stored["day"]), "status": DayStatus(stored["status"])}
    return FinishedDay(DayRecord(**stored), entry["counts"])


class BatchWriter:
    """Writes one batch; leaving without :meth:`commit` leaves nothing.

    Parameters
    ----------
    folder : Path
        Folder of the finished batches.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Two machines may make the same batch at once; the content is the same.
        self._temporary = folder / f"{uuid.uuid4().hex}.part"
        self._file = self._temporary.open("xb")
        self._days: list[dict[str, Any]] = []

    def add(self, record: DayRecord, packed: PackedDay) -> None:
        """Append a day; days come in order."""
        checksum = 0
        with name_full_disk(self._folder):
            for name in PACKED:
                for chunk in packed.chunks[name]:
                    self._file.write(chunk)
                    checksum = _checksum(chunk, checksum)
        stored = asdict(record) | {"day": str(record.day), "status": int(record.status)}
        sizes = {name: [len(chunk) for chunk in packed.chunks[name]] for name in PACKED}
        self._days.append({"record": stored, "counts": packed.counts, "crc32": checksum, "sizes": sizes})

    def commit(self, made_of: Mapping[str, Any]) -> None:
        """Give the batch its name; from now on it survives any stop."""
        text = json.dumps({"made_of": made_of, "days": self._days}).encode()
        first, last = (self._days[i]["record"]["day"] for i in (0, -1))
        with name_full_disk(self._folder):
            self._file.write(text)
            self._file.write(_TRAILER.pack(len(text), _checksum(text), _MAGIC))
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


def _checksum(data: bytes, before: int = 0) -> int:
    """CRC-32 of data that follow others with the CRC-32 ``before``; many times as fast as zlib's."""
    from isal import isal_zlib

    return int(isal_zlib.crc32(data, before))


@contextlib.contextmanager
def name_full_disk(folder: Path) -> Iterator[None]:
    """Name the folder and its free space in the error of a full disk."""
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
        """The folder of an output."""
        output = Path(output).resolve()
        return cls(output.with_name(f".{output.name}{_SUFFIX}"))

    def open(self, is_current: Callable[[Batch], bool]) -> list[Batch]:
        """Make the folder or take it over from a run that was stopped.

        Parameters
        ----------
        is_current : callable
            Whether a batch has the recipe and the input files of this run; others are removed.

        Returns
        -------
        list of Batch
            Batches that can be used, by day.
        """
        open_own_folder(self.path)
        for part in self._list_begun():
            part.unlink(missing_ok=True)
        usable: list[Batch] = []
        covered: set[int] = set()
        for path in self.paths():
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

    def paths(self) -> list[Path]:
        """The batch files, whole or not, by first day."""
        return sorted(p for p in self.path.glob(f"*{_SUFFIX}") if _BATCH_NAME.fullmatch(p.name))

    def batches(self) -> list[Batch]:
        """Every whole batch, by day."""
        batches = []
        for path in self.paths():
            # Others may be writing: a file that is gone or not whole is no batch.
            with contextlib.suppress(ValueError, KeyError, TypeError, FileNotFoundError):
                batches.append(Batch(path))
        return sorted(batches, key=lambda batch: batch.numbers)

    def leave(self) -> int:
        """Clear up after a run that was stopped; returns the number of finished days that are kept."""
        kept = sum(len(batch.days) for batch in self.batches())
        if kept:
            for path in self._list_scratch():
                path.unlink(missing_ok=True)
        else:
            self.remove()
        return kept

    def remove(self) -> None:
        """Remove the folder, unless somebody has put something else into it."""
        for path in [*self.paths(), *self._list_scratch()]:
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _list_scratch(self) -> list[Path]:
        """Files that mean nothing once a run is over."""
        earlier = self.path / "task.pickle"  # of version 0.1
        return [*self._list_begun(), self.path / TOKEN_FILE, earlier]

    def _list_begun(self) -> list[Path]:
        """Batches that were not written to their end."""
        return list(self.path.glob(f"{'[0-9a-f]' * 32}.part"))


def runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First and last of every run of adjacent days.

    Examples
    --------
    >>> runs([3, 4, 5, 8])
    [(3, 5), (8, 8)]
    """
    ends: list[tuple[int, int]] = []
    for number in numbers:
        if ends and number == ends[-1][1] + 1:
            ends[-1] = ends[-1][0], number
        else:
            ends.append((number, number))
    return ends


def iso(number: int) -> str:
    """A day number as an ISO date."""
    return str(from_day_number(number))
