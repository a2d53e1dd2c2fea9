"""Cut the scenes of a folder into patches with a manifest; patches that are up to date are kept."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from seaice import InputError
from seaice.report import Progress, Report, format_count, listing
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.options import Count, Range, Share
from seaice.runtime.workers import Engine
from seaice.segmentation.data.patch_manifest import (
    PatchSettings,
    list_manifest_files,
    write_manifest,
)
from seaice.segmentation.data.patch_positions import (
    ABOUT_HALF_ICE,
    KINDS,
    DrawSettings,
    Sampling,
)
from seaice.segmentation.data.patch_writer import write_patches
from seaice.segmentation.data.scene_journal import (
    SceneJournal,
    describe_input,
    describe_optical,
    is_up_to_date,
    open_journal,
)
from seaice.segmentation.data.splits import list_unassigned
from seaice.sources.ai4arctic.scene import (
    list_scenes,
    open_scene,
)

logger = logging.getLogger(__name__)


class SceneOutcome(NamedTuple):
    """The record of a scene that was cut, or None and the reason why it could not be cut."""

    record: dict[str, Any] | None
    problem: str


def make_patches(
    *,
    input_dir: Path,
    output_dir: Path,
    size: Annotated[int, Range(8, unit="N")] = 224,
    per_scene: Count = 20,
    workers: int = 1,
    dask: str | None = None,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    max_invalid: Share = 0.7,
    mixed_share: Share = 0.5,
    max_overlap: Share = 0.25,
    sampling: Sampling = "stratified",
    sentinel2: Path | None = None,
    force: bool = False,
) -> Report:
    """Cut every scene into patches for training, validation and test.

    Positions are drawn by the ice in their patches, with random numbers of each scene's own. A scene
    is read once. The same command run again makes only patches that are missing or damaged, or whose
    scene has changed.

    Parameters
    ----------
    input_dir : Path
        Scenes, in folders below it too; test scenes with their ``*_reference.nc`` beside them.
    output_dir : Path
        Made where it does not exist: ``SCENE_patchNNN.npz``, ``patches.csv``, ``patches.json``.
    size : int
        Pixels of 80 m along a side.
    per_scene : int
        Most patches of a scene.
    workers : int
    dask : str, optional
        See :class:`seaice.runtime.workers.Engine`. The patches do not depend on them.
    seed : int
        Seed of the random numbers that place the patches.
    max_invalid : float
        Largest share of pixels without SAR or class, below 1.
    mixed_share : float
        Wished share of patches with 5 to 95 percent ice, where a scene has them.
    max_overlap : float
        Largest common share of the area of two patches; 0: none.
    sampling : {"stratified", "random"}
        Draw positions by the ice in their patches, or without regard to it.
    sentinel2 : Path, optional
        Folder of ``segmentation.py sentinel2``: patches get the optical bands and their mask too.
    force : bool
        Replace patches that were made with other parameters or of other scenes.

    Returns
    -------
    Report
        ``values``: number of patches by kind and of scenes cut and kept.

    Raises
    ------
    InputError
        If there is nothing to cut, or the folder holds patches that were made otherwise and ``force``
        is not set.
    """
    draw = DrawSettings(per_scene, mixed_share, max_overlap, sampling)
    if not 0 <= max_invalid < 1:
        raise InputError(f"expected max_invalid of at least 0 and below 1, found {max_invalid}")
    if size < 8:
        raise InputError(f"expected a size of at least 8 pixels, found {size}")
    paths = list_scenes(input_dir)
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    if sentinel2 is not None and not Path(sentinel2).is_dir():
        raise InputError(f"--sentinel2: expected a folder, found {sentinel2}; make it with sentinel2")
    optical = None if sentinel2 is None else Path(sentinel2)
    settings = PatchSettings(output_dir, size, seed, max_invalid, draw, optical)
    report = Report()
    with exclusive(output_dir / "patches.csv"):
        journal = open_journal(settings, [path.stem for path in paths], force=force)
        cut_count = _cut_scenes(settings, paths, journal, report, Engine(workers, dask))
        records = {p: journal.records[p.stem] for p in paths if p.stem in journal.records}
        # An earlier manifest is written anew even where no patch is left to list.
        has_patches = any(record["patches"] for record in records.values())
        if has_patches or list_manifest_files(output_dir)[0].exists():
            report.outputs += write_manifest(settings, list(records.values()))
    _summarise(report, records, cut_count, settings, len(paths))
    return report


def _cut_scenes(
    settings: PatchSettings, paths: Sequence[Path], journal: SceneJournal, report: Report, engine: Engine
) -> int:
    """Cut the scenes whose patches are not up to date; returns how many were cut."""
    outdated = []
    for path in paths:
        record = journal.records.get(path.stem)
        if record is None or not is_up_to_date(settings, path, record):
            journal.forget(path.stem)
            outdated.append(path)
    problems = {}
    with Progress(total=len(paths), label="scenes", logger=logger) as progress:
        if len(outdated) < len(paths):
            progress.unit("already there", count=len(paths) - len(outdated))
        with engine.start() as worker_group:

            def record_outcome(number: int, outcome: SceneOutcome) -> None:
                if outcome.record is None:
                    problems[number] = outcome.problem
                    progress.unit(outcome.problem)
                    return
                journal.add(outcome.record)
                progress.unit(f"{outcome.record['scene']}: {_format_counts([outcome.record])}")

            worker_group.do(cut_scene, [(settings, path) for path in outdated], record_outcome)
    report.left_out += [problems[number] for number in sorted(problems)]
    return len(outdated) - len(problems)


def cut_scene(settings: PatchSettings, path: Path) -> SceneOutcome:
    """Read a scene, draw positions and write their patches; the unit of work."""
    try:
        scene = open_scene(path)
        record = {
            "parameters": settings.parameters,
            "scene": scene.name,
            "service": scene.service,
            "original_id": scene.original,
            "noise": scene.noise,
            "input": describe_input(path),
            "reference": None if scene.reference is None else describe_input(scene.reference),
            "sentinel2": describe_optical(settings, scene.name),
        }
        return SceneOutcome(record | write_patches(settings, scene), "")
    except InputError as error:
        return SceneOutcome(None, str(error))


def _summarise(
    report: Report,
    cut: Mapping[Path, dict[str, Any]],
    cut_count: int,
    settings: PatchSettings,
    scene_count: int,
) -> None:
    records = list(cut.values())
    rows = [row for record in records for row in record["patches"]]
    empty = [path for path, record in cut.items() if not record["patches"]]
    report.left_out += [
        f"expected a position where a patch of {settings.size} x {settings.size} pixels has SAR and "
        f"class in at least {100 * (1 - settings.max_invalid):g} percent and no missing brightness "
        f"temperature, found none: {path}; leave the scene out, or give a smaller --size"
        for path in empty
    ]
    counts = Counter(row["kind"] for row in rows)
    low, high = ABOUT_HALF_ICE
    half_ice = sum(low <= row["ice_share"] <= high for row in rows)
    report.values |= {kind: counts[kind] for kind in KINDS}
    report.values |= {"patches": len(rows), "scenes_cut": cut_count}
    report.values |= {"scenes_kept": len(records) - cut_count, "half_and_half": half_ice}
    if rows:
        report.lines.append(
            f"{settings.output_dir}: {len(rows)} patches of {len(records) - len(empty)} scenes, "
            f"{_format_counts(records)}; {half_ice} have 20 to 80 percent ice"
        )
        scenes = [record["scene"] for record in records if record["patches"]]
        unassigned = list_unassigned(settings.output_dir, scenes)
        if unassigned:
            logger.warning(
                "the split in %s does not list %s; make it again with segmentation.py split --force",
                settings.output_dir,
                listing(unassigned),
            )
    else:
        report.failed.append(f"not one of {format_count(scene_count, 'scene')} gave a patch")


def _format_counts(records: Sequence[dict[str, Any]]) -> str:
    counts = Counter(row["kind"] for record in records for row in record["patches"])
    return ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
