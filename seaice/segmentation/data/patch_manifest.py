"""What is known about a folder of patches: the journal of its scenes, and the manifest.

``.scenes.jsonl`` gets a line as soon as a scene is cut; ``patches.csv`` and ``patches.json`` are
written of it at the end of a run.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import seaice
from seaice import InputError
from seaice.download.partial_file import file_sha256
from seaice.report import listing
from seaice.runtime.atomic_write import atomic
from seaice.runtime.json_lines import (
    append_line,
    objects,
)
from seaice.segmentation.data.patches import (
    MIXED,
    Choice,
)
from seaice.sources.ai4arctic.scene import SceneName

COLUMNS = (
    "file",
    "scene",
    "service",
    "row",
    "column",
    "size",
    "ice_share",
    "valid_share",
    "kind",
)
_JOURNAL = ".scenes.jsonl"
_TOLD = {"parameters", "scene", "service", "original_id", "input", "reference", "patches", "places"}


@dataclass(frozen=True)
class PatchTask:
    """What all scenes of a run share."""

    output_dir: Path
    size: int
    seed: int
    max_invalid: float
    choice: Choice

    @property
    def parameters(self) -> dict[str, Any]:
        """What the patches of a scene depend on besides the scene."""
        return {
            "size": self.size,
            "per_scene": self.choice.count,
            "seed": self.seed,
            "max_invalid": self.max_invalid,
            "mixed_share": self.choice.mixed_share,
            "max_overlap": self.choice.max_overlap,
            "sampling": self.choice.sampling,
        }


class PatchRow(NamedTuple):
    """A line of ``patches.csv``.

    Attributes
    ----------
    file, scene, service : str
    row, column : int
        Upper left pixel in the scene.
    size : int
        Pixels along a side.
    ice_share : float
        Share of the valid pixels with class 2 or above.
    valid_share : float
        Share of pixels with SAR and class.
    kind : str
        "water", "mixed" or "ice".
    """

    file: str
    scene: str
    service: str
    row: int
    column: int
    size: int
    ice_share: float
    valid_share: float
    kind: str


def patches_of(folder: Path, scene: str) -> list[Path]:
    """Patch files of a scene, and those a killed run has left half written."""
    return [*folder.glob(f"{scene}_patch*.npz"), *folder.glob(f".{scene}_patch*.npz.part")]


def identity_of(path: Path) -> dict[str, Any]:
    """Name, size, time and digest of an input."""
    found = path.stat()
    times = {"size": found.st_size, "mtime_ns": found.st_mtime_ns}
    return {"file": path.name, **times, "sha256": file_sha256(path)}


def is_whole(task: PatchTask, path: Path, record: dict[str, Any]) -> bool:
    """Whether the patches of a scene are there, unharmed, and made of what is there now."""
    reference = path.with_name(f"{path.stem}_reference.nc")
    if record["parameters"] != task.parameters or not _is_same(path, record["input"]):
        return False
    if reference.is_file() != (record["reference"] is not None):
        return False
    if record["reference"] is not None and not _is_same(reference, record["reference"]):
        return False
    for row in record["patches"]:
        file = task.output_dir / row["file"]
        if not file.is_file() or file.stat().st_size != row["bytes"]:
            return False
        if file_sha256(file) != row["sha256"]:
            return False
    return True


def _is_same(path: Path, known: dict[str, Any]) -> bool:
    if not path.is_file():
        return False
    found = path.stat()
    if found.st_size != known["size"]:
        return False
    return found.st_mtime_ns == known["mtime_ns"] or file_sha256(path) == known["sha256"]


class Journal:
    """Records of the scenes that are cut, by name, on disk as they come."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _JOURNAL
        self.records: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            for record in objects(self.path.read_bytes()):
                # A damaged line is none: its scene is cut again.
                if record and record.keys() >= _TOLD:
                    self.records[str(record["scene"])] = record

    def add(self, record: dict[str, Any]) -> None:
        """Note a scene that is cut."""
        append_line(self.path, record)
        self.records[record["scene"]] = record

    def forget(self, scene: str) -> None:
        """Know nothing of a scene any more, until it is added again."""
        self.records.pop(scene, None)


def journal_of(task: PatchTask, scenes: Sequence[str], *, force: bool) -> Journal:
    """The journal of a folder, begun if need be, if it tells of these parameters and scenes.

    Raises
    ------
    InputError
        If it does not, or there are patches and no journal, and they may not be replaced.
    """
    folder = task.output_dir
    journal = Journal(folder)
    unknown = next(folder.glob("*_patch*.npz"), None)
    if unknown is not None and not journal.path.is_file() and not force:
        raise InputError(
            f"expected no patches or those of an earlier run, found {unknown.name} and no {_JOURNAL} "
            f"that tells of it: {folder}; choose another --output_dir, or --force to replace them"
        )
    journal.path.touch()
    records = journal.records.values()
    other = next((r["parameters"] for r in records if r["parameters"] != task.parameters), None)
    gone = sorted(set(journal.records) - set(scenes))
    if other is not None and not force:
        wanted = task.parameters
        changed = [f"{key} {other.get(key)}" for key in wanted if other.get(key) != wanted[key]]
        raise InputError(
            f"expected a new folder or patches made with the same parameters, found patches of "
            f"{', '.join(changed)}: {folder}; choose another --output_dir, or --force to replace them"
        )
    if gone and not force:
        raise InputError(
            f"expected the scenes of the patches in {folder} in the input, found no {listing(gone)}; "
            "give the whole input, another --output_dir, or --force to remove their patches"
        )
    if other is not None or gone:
        # Without them the folder is none to train with until all is made again.
        for path in manifest_of(folder):
            path.unlink(missing_ok=True)
        for scene in list(journal.records) if other is not None else gone:
            journal.forget(scene)
            for path in patches_of(folder, scene):
                path.unlink()
        _rewrite(journal)
    return journal


def manifest_of(folder: Path) -> list[Path]:
    """Table and note of a folder of patches."""
    return [folder / "patches.csv", folder / "patches.json"]


def _rewrite(journal: Journal) -> None:
    with atomic(journal.path) as part:
        lines = [json.dumps(record) + "\n" for record in journal.records.values()]
        part.write_text("".join(lines), encoding="utf-8")


def write_manifest(task: PatchTask, records: Sequence[dict[str, Any]]) -> list[Path]:
    """Write ``patches.csv`` and ``patches.json`` of the records of all scenes."""
    table, note = manifest_of(task.output_dir)
    # The caller holds the right to write the table, and so the folder.
    with atomic(table, locked=True) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for record in records:
            shared = {"scene": record["scene"], "service": record["service"], "size": task.size}
            writer.writerows(row | shared for row in record["patches"])
    content = {
        "parameters": task.parameters,
        "mixed": f"more than {MIXED[0]} and less than {MIXED[1]} of the valid pixels are ice",
        "ice": "class 2 and above (20 percent or more)",
        "versions": {"seaice": seaice.__version__, "numpy": np.__version__},
        "scenes": {record["scene"]: _scene_note(record) for record in records},
    }
    with atomic(note) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return [table, note]


def _scene_note(record: dict[str, Any]) -> dict[str, Any]:
    raw = SceneName.parse(record["original_id"])
    inputs = [record["input"], *([record["reference"]] if record["reference"] else [])]
    return {
        "service": record["service"],
        "original_id": record["original_id"],
        "region": raw.region if raw else "",
        "places": record["places"],
        "patches": len(record["patches"]),
        "inputs": [{key: each[key] for key in ("file", "size", "sha256")} for each in inputs],
    }


def read_manifest(folder: Path) -> list[PatchRow]:
    """The lines of ``patches.csv``.

    Raises
    ------
    InputError
        If there is none, it is none, or it has no patch.
    """
    path = Path(folder) / "patches.csv"
    if not path.is_file():
        raise InputError(f"no manifest of patches: {path}; make it with segmentation.py patches")
    kinds = (str, str, str, int, int, int, float, float, str)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            head, *lines = [line for line in csv.reader(file, strict=True) if line] or [[]]
        if tuple(head) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        rows = [
            PatchRow(*(kind(text) for kind, text in zip(kinds, line, strict=True))) for line in lines
        ]
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({error}); make it again") from None
    if not rows:
        raise InputError(f"expected patches, found an empty manifest: {path}; make it again")
    return rows


def scene_notes(folder: Path) -> dict[str, dict[str, Any]]:
    """What ``patches.json`` says of every scene; empty without the file."""
    path = Path(folder) / "patches.json"
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))["scenes"]
        return {str(scene): dict(note) for scene, note in notes.items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error}); make it again") from None
