"""Patches of all scenes of a folder, with a manifest; what is there and whole is kept."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seaice import InputError
from seaice.report import Progress, Report, listing
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.workers import Engine
from seaice.segmentation.data.patch_manifest import (
    Journal,
    PatchTask,
    identity_of,
    is_whole,
    journal_of,
    manifest_of,
    write_manifest,
)
from seaice.segmentation.data.patch_writer import write_patches
from seaice.segmentation.data.patches import (
    KINDS,
    Choice,
    Sampling,
)
from seaice.segmentation.data.splits import not_dealt
from seaice.sources.ai4arctic.scene import (
    list_scenes,
    open_scene,
)

logger = logging.getLogger(__name__)

# Of the ice share, as in the study of mixed patches among the published ones.
_HALF_AND_HALF = (0.2, 0.8)


class Cut(NamedTuple):
    """What became of one scene: its record, or what is wrong with it."""

    record: dict[str, Any] | None
    problem: str


def make_patches(
    *,
    input_dir: Path,
    output_dir: Path,
    size: int = 224,
    per_scene: int = 20,
    workers: int = 1,
    dask: str | None = None,
    seed: int = 0,
    max_invalid: float = 0.7,
    mixed_share: float = 0.5,
    max_overlap: float = 0.25,
    sampling: Sampling = "stratified",
    force: bool = False,
) -> Report:
    """Cut every scene into patches for training, validation and test.

    Places are drawn from a lattice by the ice they hold, with random numbers of each scene's own.
    A scene is read once. The same command run again makes what is missing, damaged, or made of
    another file.

    Parameters
    ----------
    input_dir : Path
        Scenes, in folders below it too; test scenes with their ``*_reference.nc`` beside them.
    output_dir : Path
        Made where it does not exist: ``SCENE_patchNNN.npz``, ``patches.csv``, ``patches.json``.
    size : int
        Pixels of 80 m along a side.
    per_scene : int
        At most so many patches of a scene.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`. The patches do not depend on them.
    seed : int
        Of the places.
    max_invalid : float
        Largest share of pixels without SAR or class, below 1.
    mixed_share : float
        Wanted share of patches with 5 to 95 percent ice, where a scene has them.
    max_overlap : float
        Largest common share of the area of two patches; 0: none.
    sampling : {"stratified", "random"}
        "random" draws without regard to ice.
    force : bool
        Replace patches that were made with other parameters or of other scenes.

    Returns
    -------
    Report
        ``values``: number of patches by kind and of scenes made and kept.

    Raises
    ------
    InputError
        If there is nothing to cut, or what is there was made otherwise and ``force`` is not set.
    """
    choice = Choice(per_scene, mixed_share, max_overlap, sampling)
    if not 0 <= max_invalid < 1:
        raise InputError(f"expected max_invalid of at least 0 and below 1, found {max_invalid}")
    if size < 8:
        raise InputError(f"expected a size of at least 8 pixels, found {size}")
    paths = list_scenes(input_dir)
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    task = PatchTask(output_dir, size, seed, max_invalid, choice)
    report = Report()
    with exclusive(output_dir / "patches.csv"):
        journal = journal_of(task, [path.stem for path in paths], force=force)
        made = _work(task, paths, journal, report, Engine(workers, dask))
        records = {p: journal.records[p.stem] for p in paths if p.stem in journal.records}
        # A manifest that is there is written anew even if nothing is left to stand in it.
        there = any(record["patches"] for record in records.values())
        if there or manifest_of(output_dir)[0].exists():
            report.outputs += write_manifest(task, list(records.values()))
    _summarise(report, records, made, task)
    return report


def _work(
    task: PatchTask, paths: Sequence[Path], journal: Journal, report: Report, engine: Engine
) -> int:
    """Cut what is not there; the number of scenes that were cut."""
    todo = []
    for path in paths:
        record = journal.records.get(path.stem)
        if record is None or not is_whole(task, path, record):
            journal.forget(path.stem)
            todo.append(path)
    problems = {}
    with Progress(total=len(paths), label="scenes", logger=logger) as progress:
        if len(todo) < len(paths):
            progress.unit("already there", count=len(paths) - len(todo))
        with engine.start() as crew:

            def tell(number: int, cut: Cut) -> None:
                if cut.record is None:
                    problems[number] = cut.problem
                    progress.unit(cut.problem)
                    return
                journal.add(cut.record)
                progress.unit(f"{cut.record['scene']}: {_kinds_text([cut.record])}")

            crew.do(cut_scene, [(task, path) for path in todo], tell)
    report.failed += [problems[number] for number in sorted(problems)]
    return len(todo) - len(problems)


def cut_scene(task: PatchTask, path: Path) -> Cut:
    """Read a scene, choose places and write their patches; the unit of work."""
    try:
        scene = open_scene(path)
        record = {
            "parameters": task.parameters,
            "scene": scene.name,
            "service": scene.service,
            "original_id": scene.original,
            "input": identity_of(path),
            "reference": None if scene.reference is None else identity_of(scene.reference),
        }
        return Cut(record | write_patches(task, scene), "")
    except InputError as error:
        return Cut(None, str(error))


def _summarise(report: Report, cut: Mapping[Path, dict[str, Any]], made: int, task: PatchTask) -> None:
    records = list(cut.values())
    rows = [row for record in records for row in record["patches"]]
    empty = [path for path, record in cut.items() if not record["patches"]]
    report.failed += [
        f"expected a place of {task.size} x {task.size} pixels where at least "
        f"{100 * (1 - task.max_invalid):g} percent have SAR and class and no brightness temperature is "
        f"missing, found none: {path}; leave the scene out, or give a smaller --size"
        for path in empty
    ]
    counts = Counter(row["kind"] for row in rows)
    low, high = _HALF_AND_HALF
    between = sum(low <= row["ice_share"] <= high for row in rows)
    report.values |= {kind: counts[kind] for kind in KINDS}
    report.values |= {"patches": len(rows), "scenes_cut": made, "scenes_kept": len(records) - made}
    report.values |= {"half_and_half": between}
    if rows:
        report.lines.append(
            f"{task.output_dir}: {len(rows)} patches of {len(records) - len(empty)} scenes, "
            f"{_kinds_text(records)}; {between} have 20 to 80 percent ice"
        )
        strangers = not_dealt(task.output_dir, [r["scene"] for r in records if r["patches"]])
        if strangers:
            logger.warning(
                "the split in %s does not know %s; make it again with segmentation.py split --force",
                task.output_dir,
                listing(strangers),
            )


def _kinds_text(records: Sequence[dict[str, Any]]) -> str:
    counts = Counter(row["kind"] for record in records for row in record["patches"])
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
