"""The manifest of a folder of downloaded files: size, digest and origin of each, and absent files.

``manifest.jsonl`` in the folder of the files holds one JSON object a line; a later line
about a name replaces an earlier one. Lines are appended under a lock of the kernel, so
that several runs may share a folder and a kill costs at most the line being written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from seaice.download.partial_file import Identity
from seaice.report import format_count
from seaice.runtime.json_files import (
    append_line,
    parse_lines,
)

logger = logging.getLogger(__name__)

NAME = "manifest.jsonl"


@dataclass(frozen=True)
class Record:
    """The entry of one file.

    Attributes
    ----------
    name : str
        File name.
    time : str
        When it was fetched, adopted, or looked for in vain (UTC, ISO 8601).
    size : int or None
        Bytes; None for a file that is absent upstream.
    sha256 : str
        Hexadecimal; empty for an absent file.
    url : str
        Where it came from, without user name and password; empty for a file that
        was there before the manifest.
    last_modified, etag : str
        As the server sent them, empty where not.
    absent : bool
        True: every host said that it has no such file.
    """

    name: str
    time: str
    size: int | None = None
    sha256: str = ""
    url: str = ""
    last_modified: str = ""
    etag: str = ""
    absent: bool = False

    @property
    def identity(self) -> Identity:
        """The version, for asking whether upstream has another."""
        return Identity(self.url, self.size, self.etag, self.last_modified)


class Manifest:
    """The records of one folder, as last read or written by this process.

    Parameters
    ----------
    folder : Path
        Need not exist as long as nothing is added.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / NAME
        self._records: dict[str, Record] = {}
        self._lock = threading.Lock()
        self._read_to = 0
        self.refresh()

    def get(self, name: str) -> Record | None:
        """The newest record of a file."""
        return self._records.get(name)

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._records.values()))

    def add(self, record: Record) -> None:
        """Append a record to the file.

        Raises
        ------
        OSError
            If it cannot be written whole; the file is then as it was before.
        """
        append_line(self.path, asdict(record))
        self._records[record.name] = record

    def refresh(self) -> None:
        """Read the lines that were appended since, by this or another process."""
        with self._lock:
            try:
                with self.path.open("rb") as file:
                    file.seek(self._read_to)
                    text = file.read()
            except FileNotFoundError:
                return
            lines = text[: text.rfind(b"\n") + 1]  # the last line may be half written
            self._read_to += len(lines)
            self._take_in(lines)

    def _take_in(self, text: bytes) -> None:
        record_fields = {field.name for field in fields(Record)}
        damaged = 0
        for content in parse_lines(text):
            try:
                parts = (content or {}).items()
                record = Record(**{key: value for key, value in parts if key in record_fields})
                if not _has_right_types(record):
                    raise TypeError("values of other types")
                self._records[record.name] = record
            except TypeError:
                damaged += 1
        if damaged:
            logger.warning("%s: %s left out", self.path, format_count(damaged, "damaged line"))


def _has_right_types(record: Record) -> bool:
    texts = (record.name, record.time, record.sha256, record.url, record.last_modified, record.etag)
    has_size = record.size is None or (isinstance(record.size, int) and record.size >= 0)
    return has_size and isinstance(record.absent, bool) and all(isinstance(text, str) for text in texts)
