"""The journal of a folder of patches: ``.scenes.jsonl``, a line for each scene as soon as it is cut.

By it an interrupted run goes on, and a later run knows which scenes it must cut again. The manifest is
written from its records at the end of a run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seaice import InputError
from seaice.report import listing
from seaice.runtime.atomic_write import atomic
from seaice.runtime.digests import digest_file
from seaice.runtime.json_files import (
    append_line,
    parse_lines,
)
from seaice.segmentation.data.optical import locate_optical
from seaice.segmentation.data.patch_manifest import (
    PatchSettings,
    list_manifest_files,
)

_JOURNAL = ".scenes.jsonl"
_RECORD_KEYS = {
    "parameters", "scene", "service", "original_id", "input", "reference", "patches", "places"
}  # fmt: skip


def list_patch_files(folder: Path, scene: str) -> list[Path]:
    """List the patch files of a scene, and the unfinished ones that a killed run left."""
    return [*folder.glob(f"{scene}_patch*.npz"), *folder.glob(f".{scene}_patch*.npz.part")]


def describe_input(path: Path) -> dict[str, Any]:
    """Name, size in bytes, time of last change and digest of an input file."""
    status = path.stat()
    return {
        "file": path.name,
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "sha256": digest_file(path),
    }


def describe_optical(settings: PatchSettings, scene: str) -> dict[str, Any] | None:
    """The optical image that belongs to a scene, as :func:`describe_input`; None without one."""
    path = None if settings.sentinel2 is None else locate_optical(settings.sentinel2, scene)
    return None if path is None or not path.is_file() else describe_input(path)


def is_up_to_date(settings: PatchSettings, path: Path, record: dict[str, Any]) -> bool:
    """Whether all patches of a scene exist undamaged, made with these settings of these inputs.

    Parameters
    ----------
    settings : PatchSettings
    path : Path
        File of the scene.
    record : dict
        Record of the scene in the journal.
    """
    reference = path.with_name(f"{path.stem}_reference.nc")
    if record["parameters"] != settings.parameters or not _is_unchanged(path, record["input"]):
        return False
    if reference.is_file() != (record["reference"] is not None):
        return False
    if record["reference"] is not None and not _is_unchanged(reference, record["reference"]):
        return False
    if not _has_same_optical(settings, record):
        return False
    for row in record["patches"]:
        file = settings.output_dir / row["file"]
        if not file.is_file() or file.stat().st_size != row["bytes"]:
            return False
        if digest_file(file) != row["sha256"]:
            return False
    return True


def _has_same_optical(settings: PatchSettings, record: dict[str, Any]) -> bool:
    recorded = record.get("sentinel2")
    path = None if settings.sentinel2 is None else locate_optical(settings.sentinel2, record["scene"])
    if path is None or not path.is_file():
        return recorded is None
    return recorded is not None and _is_unchanged(path, recorded)


def _is_unchanged(path: Path, recorded: dict[str, Any]) -> bool:
    """Whether a file is the one that was recorded; it is read only where its time has changed."""
    if not path.is_file():
        return False
    status = path.stat()
    if status.st_size != recorded["size"]:
        return False
    return status.st_mtime_ns == recorded["mtime_ns"] or digest_file(path) == recorded["sha256"]


class SceneJournal:
    """Records of the scenes that are cut, by name; each is on disk as soon as it is added.

    Parameters
    ----------
    folder : Path
        Folder of the patches.

    Attributes
    ----------
    path : Path
    records : dict of str to dict
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _JOURNAL
        self.records: dict[str, dict[str, Any]] = {}
        if self.path.is_file():
            for record in parse_lines(self.path.read_bytes()):
                # A damaged line is passed over: its scene is cut again.
                if record and record.keys() >= _RECORD_KEYS:
                    self.records[str(record["scene"])] = record

    def add(self, record: dict[str, Any]) -> None:
        """Record a scene that is cut, in memory and on disk."""
        append_line(self.path, record)
        self.records[record["scene"]] = record

    def forget(self, scene: str) -> None:
        """Drop the record of a scene in memory; on disk a later line of the same scene replaces it."""
        self.records.pop(scene, None)

    def rewrite(self) -> None:
        """Write the file anew with the records in memory alone."""
        with atomic(self.path) as part:
            lines = [json.dumps(record) + "\n" for record in self.records.values()]
            part.write_text("".join(lines), encoding="utf-8")


def open_journal(settings: PatchSettings, scenes: Sequence[str], *, force: bool) -> SceneJournal:
    """Open the journal of a folder, or begin it; patches that do not belong to this run are removed.

    Parameters
    ----------
    settings : PatchSettings
    scenes : sequence of str
        Names of all scenes of the input.
    force : bool
        Patches of other parameters or scenes may be removed.

    Raises
    ------
    InputError
        If the folder holds patches of other parameters, of scenes that are not in the input, or of
        no journal, and ``force`` is not set.
    """
    folder = settings.output_dir
    journal = SceneJournal(folder)
    stray = next(folder.glob("*_patch*.npz"), None)
    if stray is not None and not journal.path.is_file() and not force:
        raise InputError(
            f"expected no patches or those of an earlier run, found {stray.name} and no {_JOURNAL} "
            f"that lists it: {folder}; choose another --output_dir, or --force to replace them"
        )
    journal.path.touch()
    expected = settings.parameters
    recorded = [record["parameters"] for record in journal.records.values()]
    differing = next((parameters for parameters in recorded if parameters != expected), None)
    absent = sorted(set(journal.records) - set(scenes))
    if differing is not None and not force:
        changed = [f"{k} {differing.get(k)}" for k in expected if differing.get(k) != expected[k]]
        raise InputError(
            f"expected a new folder or patches made with the same parameters, found patches of "
            f"{', '.join(changed)}: {folder}; choose another --output_dir, or --force to replace them"
        )
    if absent and not force:
        raise InputError(
            f"expected the scenes of the patches in {folder} in the input, found no {listing(absent)}; "
            "give the whole input, another --output_dir, or --force to remove their patches"
        )
    if differing is not None or absent:
        # Without a manifest nobody trains with the folder until all patches are made again.
        for path in list_manifest_files(folder):
            path.unlink(missing_ok=True)
        for scene in list(journal.records) if differing is not None else absent:
            journal.forget(scene)
            for path in list_patch_files(folder, scene):
                path.unlink()
        journal.rewrite()
    return journal
