"""Finished swaths on the disk while an archive is collected, each written once.

The folder ``.NAME.swaths`` beside the archive holds an HDF5 archive of one swath for every
finished granule, written under another name and then renamed, and ``journal.jsonl``, which lists
the state of every granule. A kill loses only the granules that are being worked on. The final
archive is assembled from these files; if it is HDF5, their compressed bytes are copied.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from seaice import InputError
from seaice.dates import format_timestamp
from seaice.runtime import atomic_write
from seaice.runtime.json_files import (
    append_line,
    parse_json,
    parse_lines,
    write_json,
)
from seaice.sources.amsr2.sensors import GranuleName
from seaice.sources.amsr2.swath import Swath
from seaice.swaths.archive import (
    SUFFIXES,
    create_archive,
    load_swaths,
)

logger = logging.getLogger(__name__)

State = Literal["done", "failed", "absent"]
_JOURNAL, _PARAMETERS = "journal.jsonl", "parameters.json"
_LAYOUT = "hdf5"  # of the archives of one swath
_SUFFIX = SUFFIXES[_LAYOUT]
_UNFINISHED = re.compile(r"^\.(?=.*\.(part|lock))|\.part(\.\w+)?$|\.lock$")
NOT_TRIED = "not tried"  # the reason of a granule that the run has not come to


@dataclass(frozen=True)
class JournalEntry:
    """State of a granule in the journal.

    Attributes
    ----------
    granule_id : str
    state : {"done", "failed", "absent"}
        absent: listed in the catalogue, but the server has no such file.
    reason : str
        Why it is not done; empty if it is.
    size : int
        Bytes of its checkpoint; 0 if it is not done.
    time : str
        UTC, ISO 8601.
    """

    granule_id: str
    state: State
    reason: str = ""
    size: int = 0
    time: str = ""


def locate_checkpoints(archive: Path) -> Path:
    """Folder of the finished swaths of an archive while it is collected."""
    return archive.with_name(f".{archive.name}.swaths")


def remove_checkpoints(folder: Path) -> None:
    """Remove the folder with all that a collection writes into it; other files in it are left."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for file in folder.iterdir():
        if _is_own(file):
            file.unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:
        logger.warning("%s holds files of others and is left", folder)


def _is_own(file: Path) -> bool:
    """Whether a file in the folder has a name that a collection gives: also of a killed write."""
    name = _UNFINISHED.sub("", file.name)
    return name in (_JOURNAL, _PARAMETERS) or bool(
        name.endswith(_SUFFIX) and GranuleName.parse(name.removesuffix(_SUFFIX))
    )


class Checkpoints:
    """The finished swaths of an archive that is being collected; safe for several threads.

    Parameters
    ----------
    archive : Path
        The archive that is being collected. The caller holds the right to write it.
    layout : str
        Layout of the archive.
    parameters : mapping
        Parameters of the run. Finished swaths of other parameters are not used.

    Raises
    ------
    InputError
        If the folder holds checkpoints of other parameters.
    """

    def __init__(self, archive: Path, *, layout: str, parameters: Mapping[str, Any]) -> None:
        self.folder = locate_checkpoints(archive)
        self._layout = layout
        self._lock = threading.Lock()
        self._entries: dict[str, JournalEntry] = {}
        self._open_folder(json.loads(json.dumps(dict(parameters))))
        self._read_journal()
        self._compare_with_files()

    def _open_folder(self, parameters: dict[str, Any]) -> None:
        """Create the folder, or compare its parameters."""
        atomic_write.open_own_folder(self.folder)
        parameter_file = self.folder / _PARAMETERS
        try:
            earlier = parse_json(parameter_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # new, or killed at the very beginning
            earlier = None
        if earlier is None and not self._list_files():
            write_json(parameter_file, parameters)
            earlier = parameters
        if not isinstance(earlier, dict):
            raise InputError(
                f"expected the parameters of the checkpoints in {parameter_file}, found none: remove "
                "the folder"
            )
        if earlier != parameters:
            differing = sorted(k for k in earlier | parameters if earlier.get(k) != parameters.get(k))
            raise InputError(
                f"expected checkpoints of the same run, found some with another {', '.join(differing)}: "
                f"{self.folder}; give the former options, choose another folder, or remove it"
            )

    def _list_files(self) -> list[Path]:
        return [file for file in self.folder.glob(f"*{_SUFFIX}") if _is_own(file)]

    def _read_journal(self) -> None:
        try:
            text = (self.folder / _JOURNAL).read_bytes()
        except FileNotFoundError:
            return
        for content in parse_lines(text):
            try:
                entry = JournalEntry(**(content or {}))
            except TypeError:
                continue
            if isinstance(entry.granule_id, str) and entry.state in get_args(State):
                self._entries[entry.granule_id] = entry

    def _compare_with_files(self) -> None:
        """Drop lines of the journal whose file differs; add a line for a whole file without one."""
        for unfinished in self.folder.glob(".*.part*"):
            if _is_own(unfinished):
                unfinished.unlink()  # of a killed run: nobody else may write here
        sizes = {path.stem: path.stat().st_size for path in self._list_files()}
        for name, entry in list(self._entries.items()):
            if entry.state == "done" and sizes.get(name) != entry.size:
                logger.warning(
                    "%s: the journal lists another size; it is fetched again", self._locate(name)
                )
                del self._entries[name]
                if sizes.pop(name, None) is not None:
                    self._locate(name).unlink()
        for name in sizes.keys() - {e.granule_id for e in self._entries.values() if e.state == "done"}:
            try:
                with load_swaths(self._locate(name)) as swaths:
                    granule_id = swaths[0].granule_id  # reading a swath compares its checksum
            except (InputError, IndexError):
                granule_id = ""
            if granule_id == name:
                self._record(JournalEntry(name, "done", size=sizes[name]))
            else:
                self._locate(name).unlink()

    def _locate(self, granule_id: str) -> Path:
        return self.folder / f"{granule_id}{_SUFFIX}"

    def get_entry(self, granule_id: str) -> JournalEntry | None:
        """State of a granule; None if the journal has no line of it."""
        return self._entries.get(granule_id)

    def is_done(self, granule_id: str) -> bool:
        """Whether the swath of a granule is on the disk."""
        entry = self.get_entry(granule_id)
        return entry is not None and entry.state == "done"

    def add(self, swath: Swath) -> int:
        """Write a swath to the disk and note it as done; returns the bytes of its file."""
        path = self._locate(swath.granule_id)
        with (
            atomic_write.atomic(path, checksum=True) as part,
            create_archive(part, layout=_LAYOUT, count=1) as writer,
        ):
            writer.add(swath)
            writer.finish({"title": f"checkpoint of {swath.granule_id}"})
        size = path.stat().st_size
        self._record(JournalEntry(swath.granule_id, "done", size=size))
        return size

    def note(self, granule_id: str, state: Literal["failed", "absent"], reason: str) -> None:
        """Write into the journal why a granule is not done."""
        self._record(JournalEntry(granule_id, state, reason))

    def _record(self, entry: JournalEntry) -> None:
        time = format_timestamp(datetime.now(UTC))
        with self._lock:
            append_line(self.folder / _JOURNAL, {**asdict(entry), "time": time})
            self._entries[entry.granule_id] = entry

    def assemble(self, path: Path, granule_ids: Sequence[str], info: Mapping[str, Any]) -> None:
        """Write finished swaths into a new archive, in the order of ``granule_ids``.

        Raises
        ------
        InputError
            If checkpoints are damaged. They are removed, and noted as failed.
        """
        damaged = []
        with create_archive(path, layout=self._layout, count=len(granule_ids)) as writer:
            for name in granule_ids:
                try:
                    with load_swaths(self._locate(name)) as swaths:
                        swaths[0]  # compares the checksum, which a copy does not
                        writer.copy(swaths, 0)
                except (InputError, IndexError) as error:
                    self._locate(name).unlink(missing_ok=True)
                    self.note(name, "failed", "its checkpoint was damaged")
                    damaged.append(str(error))
            if damaged:
                raise InputError(
                    f"{len(damaged)} checkpoints were damaged and are removed ({damaged[0]}): run the "
                    "same command again"
                )
            writer.finish(info)

    def list_missing(self, granule_ids: Iterable[str]) -> list[dict[str, str]]:
        """Granules that are not done, with state and reason."""
        missing = []
        for name in granule_ids:
            if not self.is_done(name):
                entry = self.get_entry(name) or JournalEntry(name, "failed", NOT_TRIED)
                missing.append({"granule_id": name, "state": entry.state, "reason": entry.reason})
        return missing

    def remove(self) -> None:
        """Remove the folder, once the archive is complete."""
        remove_checkpoints(self.folder)
