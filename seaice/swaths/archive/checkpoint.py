"""Finished swaths on the disk while an archive is collected, each written once.

``.NAME.swaths`` beside the archive holds one small archive of one swath for every finished
granule, made under another name and renamed, and ``journal.jsonl``, which says of every
granule what became of it. A kill costs the granules in the making and nothing else. The
final archive takes the finished ones as they lie there.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from seaice import InputError
from seaice.runtime import atomic_write
from seaice.runtime.json_lines import (
    append_line,
    objects,
)
from seaice.sources.amsr2.swath import Swath
from seaice.swaths.archive import (
    SUFFIXES,
    create_archive,
    load_swaths,
)

logger = logging.getLogger(__name__)

State = Literal["done", "failed", "absent"]
_JOURNAL, _PARAMETERS = "journal.jsonl", "parameters.json"


@dataclass(frozen=True)
class Entry:
    """What became of a granule.

    Attributes
    ----------
    granule_id : str
    state : {"done", "failed", "absent"}
        absent: listed in the catalogue, but the server has no such file.
    reason : str
        Why it is not done.
    size : int
        Bytes of its file here; 0 where it is not done.
    time : str
        UTC, ISO 8601.
    """

    granule_id: str
    state: State
    reason: str = ""
    size: int = 0
    time: str = ""


def checkpoint_folder(archive: Path) -> Path:
    """Where the finished swaths of an archive lie while it is collected."""
    return archive.with_name(f".{archive.stem}.swaths")


class Checkpoints:
    """The finished swaths of an archive that is being collected; safe for several threads.

    Parameters
    ----------
    archive : Path
        The archive that they are for. The caller holds the right to write it.
    layout : str
        Of the archive.
    parameters : mapping
        What was asked for. Finished swaths of other parameters are not taken.

    Raises
    ------
    InputError
        If the folder was made with other parameters.
    """

    def __init__(self, archive: Path, *, layout: str, parameters: Mapping[str, Any]) -> None:
        self.folder = checkpoint_folder(archive)
        # A classic archive cannot be put together from classic parts without undoing them.
        self._form = "hdf5" if layout == "hdf5" else "flat"
        self._layout = layout
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._begin(json.loads(json.dumps(dict(parameters))))

    def _begin(self, parameters: dict[str, Any]) -> None:
        self.folder.mkdir(exist_ok=True)
        note = self.folder / _PARAMETERS
        try:
            before = json.loads(note.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):  # new, or killed in the first moment
            before = None
        if before is None and not any(self.folder.glob(f"*{SUFFIXES[self._form]}")):
            with atomic_write.atomic(note) as part:
                part.write_text(json.dumps(parameters), encoding="utf-8")
            before = parameters
        if not isinstance(before, dict):
            raise InputError(
                f"expected checkpoints of a known run, found {note} lost: remove the folder"
            )
        if before != parameters:
            differing = sorted(k for k in before | parameters if before.get(k) != parameters.get(k))
            raise InputError(
                f"expected checkpoints of the same run, found some with another {', '.join(differing)}: "
                f"{self.folder}; give the former options, choose another folder, or remove it"
            )
        self._read_journal()
        self._compare_with_files()

    def _read_journal(self) -> None:
        try:
            text = (self.folder / _JOURNAL).read_bytes()
        except FileNotFoundError:
            return
        for content in objects(text):
            try:
                entry = Entry(**(content or {}))
            except TypeError:
                continue
            if isinstance(entry.granule_id, str) and entry.state in get_args(State):
                self._entries[entry.granule_id] = entry

    def _compare_with_files(self) -> None:
        """Believe the journal only where the files agree, and the files where it is silent."""
        for left in self.folder.glob(".*.part*"):
            left.unlink()  # of a killed run: nobody else may write here
        sizes = {path.stem: path.stat().st_size for path in self.folder.glob(f"*{SUFFIXES[self._form]}")}
        for name, entry in list(self._entries.items()):
            if entry.state == "done" and sizes.get(name) != entry.size:
                logger.warning("%s: not as the journal says; it is fetched again", self._path(name))
                del self._entries[name]
        for name in sizes.keys() - {e.granule_id for e in self._entries.values() if e.state == "done"}:
            try:
                with load_swaths(self._path(name)) as swaths:
                    found = swaths[0].granule_id  # reading it compares the checksum
            except (InputError, IndexError):
                found = ""
            if found == name:
                self._note(Entry(name, "done", size=sizes[name]))
            else:
                self._path(name).unlink()

    def _path(self, granule_id: str) -> Path:
        return self.folder / f"{granule_id}{SUFFIXES[self._form]}"

    def entry(self, granule_id: str) -> Entry | None:
        """What became of a granule; None: nothing is known."""
        return self._entries.get(granule_id)

    def is_done(self, granule_id: str) -> bool:
        """Whether a granule's swath is on the disk."""
        entry = self.entry(granule_id)
        return entry is not None and entry.state == "done"

    def add(self, swath: Swath) -> int:
        """Put a swath on the disk, whole and for good; returns its bytes."""
        path = self._path(swath.granule_id)
        with (
            atomic_write.atomic(path) as part,
            create_archive(part, layout=self._form, count=1) as writer,
        ):
            writer.add(swath)
            writer.finish({"title": f"checkpoint of {swath.granule_id}"})
        size = path.stat().st_size
        self._note(Entry(swath.granule_id, "done", size=size))
        return size

    def note(self, granule_id: str, state: Literal["failed", "absent"], reason: str) -> None:
        """Write down why a granule is not done."""
        self._note(Entry(granule_id, state, reason))

    def _note(self, entry: Entry) -> None:
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        with self._lock:
            append_line(self.folder / _JOURNAL, {**asdict(entry), "time": now})
            self._entries[entry.granule_id] = entry

    def assemble(self, path: Path, granule_ids: Sequence[str], info: Mapping[str, Any]) -> None:
        """Write finished swaths into an archive that must not exist, in the order given.

        Raises
        ------
        InputError
            If checkpoints are damaged; they are removed then, and noted as failed.
        """
        damaged = []
        with create_archive(path, layout=self._layout, count=len(granule_ids)) as writer:
            for name in granule_ids:
                try:
                    with load_swaths(self._path(name)) as swaths:
                        swaths[0]  # compares the checksum
                        writer.copy(swaths, 0)
                except (InputError, IndexError) as error:
                    self._path(name).unlink(missing_ok=True)
                    self.note(name, "failed", "its checkpoint was damaged")
                    damaged.append(str(error))
            if damaged:
                raise InputError(
                    f"{len(damaged)} checkpoints were damaged and are removed ({damaged[0]}): run the "
                    "same command again"
                )
            writer.finish(info)

    def missing(self, granule_ids: Iterable[str]) -> list[dict[str, str]]:
        """Those that are not done, with state and reason."""
        found = []
        for name in granule_ids:
            if not self.is_done(name):
                entry = self.entry(name) or Entry(name, "failed", "not tried")
                found.append({"granule_id": name, "state": entry.state, "reason": entry.reason})
        return found

    def remove(self) -> None:
        """Remove all of it: the archive is complete."""
        shutil.rmtree(self.folder)
