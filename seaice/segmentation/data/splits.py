"""The split of scenes into training, validation and test, written as lists beside the patches."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np

import seaice
from seaice import InputError
from seaice.report import Report, listing
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.runtime.digests import digest_parts, sort_by_digest
from seaice.runtime.json_files import parse_json
from seaice.runtime.options import Range, Share
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
    read_scene_notes,
)
from seaice.sources.ai4arctic.scene import (
    SceneName,
    group_same_scenes,
)

logger = logging.getLogger(__name__)

SplitBlock = Literal["pass", "region", "season"]
SplitMode = Literal["scene", "patch"]
Part = Literal["train", "validation", "test"]
ScoredPart = Literal["validation", "test"]

PARTS: tuple[Part, ...] = get_args(Part)
SCORED_PARTS: tuple[ScoredPart, ...] = get_args(ScoredPart)
_NOTE = "split.json"
_SEASONS = {12: "DJF", 1: "DJF", 2: "DJF", 3: "MAM", 4: "MAM", 5: "MAM"} | {
    **dict.fromkeys((6, 7, 8), "JJA"),
    **dict.fromkeys((9, 10, 11), "SON"),
}


@dataclass(frozen=True)
class Split:
    """Which scenes (or, to reproduce published numbers, which patches) are in which part.

    Attributes
    ----------
    train, validation, test : tuple of str
        Scene names; file names of patches if ``mode`` is "patch".
    mode : {"scene", "patch"}
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    mode: SplitMode = "scene"

    @property
    def digest(self) -> str:
        """SHA-256 of the lists, hexadecimal."""
        text = "\n".join([self.mode, *(f"{part}:{','.join(getattr(self, part))}" for part in PARTS)])
        return digest_parts([text])

    def check(self) -> None:
        """Refuse a split in which a name, or scenes of one start time, are in two parts.

        Raises
        ------
        InputError
        """
        part_of: dict[str, str] = {}
        for part in PARTS:
            for name in getattr(self, part):
                # Two charts of one SAR scene differ in the service only.
                key = name if self.mode == "patch" else name.split("_")[0]
                if part_of.setdefault(key, part) != part:
                    raise InputError(
                        f"expected every scene in one part, found {name} in {part_of[key]} and {part}; "
                        "make the split again with --force"
                    )

    def select_rows(self, part: Part, manifest: Sequence[PatchRow]) -> list[PatchRow]:
        """Select the lines of a manifest that belong to a part, in their order.

        Raises
        ------
        InputError
            If no line does.
        """
        names = set(getattr(self, part))
        rows = [row for row in manifest if self._key(row) in names]
        if not rows:
            raise InputError(
                f"expected patches for {part}, found none of its {len(names)} scenes in the manifest; "
                "cut more scenes, or make the split again"
            )
        absent = sorted(names - {self._key(row) for row in rows})
        if absent:
            logger.warning("no patches any more for %s: %s", part, listing(absent))
        return rows

    def _key(self, row: PatchRow) -> str:
        """The name by which the split lists a patch."""
        return row.scene if self.mode == "scene" else row.file


def split_scenes(
    *,
    patch_dir: Path,
    split: SplitMode = "scene",
    by: SplitBlock = "pass",
    validation_share: Share = 0.15,
    test_share: Share = 0.15,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    force: bool = False,
) -> Report:
    """Divide the scenes of a folder of patches and write the lists of names beside them.

    The official test scenes are for testing. Training scenes of the same pass as one of them are left
    out: they show the same ice a minute earlier or later.

    Parameters
    ----------
    patch_dir : Path
        Folder with ``patches.csv``; ``train.txt``, ``validation.txt``, ``test.txt`` and ``split.json``
        are written there.
    split : {"scene", "patch"}
        Divide whole scenes, or patches at random, as published numbers were made. Scores of the
        latter are too good, since patches of one scene are in training and in validation.
    by : {"pass", "region", "season"}
        Which scenes stay together, in training or in validation: scenes of one pass of the
        satellite; scenes of one region of the charts; scenes of one season of one year. Scenes of one
        pass always stay together.
    validation_share : float
        Share of the scenes that are not for testing.
    test_share : float
        Share for testing where none of the scenes is an official test scene.
    seed : int
        Seed of the order in which groups are drawn.
    force : bool
        Replace a split with other content.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a part would be empty, or the folder holds another split and ``force`` is not set.
    """
    if by not in get_args(SplitBlock) or split not in get_args(SplitMode):
        raise InputError(
            f"expected --split scene or patch, --by pass, region or season, found {split}, {by}"
        )
    for name, share in (("validation_share", validation_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise InputError(f"expected {name} above 0 and below 1, found {share}")
    patch_dir = Path(patch_dir)
    manifest, notes = read_manifest(patch_dir), read_scene_notes(patch_dir)
    scenes = sorted({row.scene for row in manifest})
    left_out: list[str] = []
    if split == "patch":
        logger.warning(
            "--split patch puts patches of one scene into training and validation; its scores are too "
            "good and only fit for comparison with published ones"
        )
        parts = _divide_patches(manifest, validation_share, seed)
    else:
        originals = {name: str(note.get("original_id", "")) for name, note in notes.items()}
        parts, left_out = divide_scenes(
            scenes, by=by, originals=originals, shares=(validation_share, test_share), seed=seed
        )
    parts.check()
    settings = {"split": split, "by": by, "validation_share": validation_share}
    settings |= {"test_share": test_share, "seed": seed}
    return _write_split(patch_dir, parts, settings | {"left_out": left_out}, force=force)


def divide_scenes(
    scenes: Sequence[str],
    *,
    by: SplitBlock = "pass",
    originals: Mapping[str, str] | None = None,
    shares: tuple[float, float] = (0.15, 0.15),
    seed: int = 0,
) -> tuple[Split, list[str]]:
    """Divide scenes into training, validation and test, groups of scenes staying together.

    Parameters
    ----------
    scenes : sequence of str
    by : {"pass", "region", "season"}
    originals : mapping of str to str, optional
        Raw name of each scene, which contains orbit and region.
    shares : (float, float)
        Shares of validation and, where none of the scenes is an official test scene, of test.
    seed : int

    Returns
    -------
    split : Split
    left_out : list of str
        Scenes in no part, because they are of the same pass as a test scene.

    Raises
    ------
    InputError
        If there are too few groups, or the region of a scene is needed and unknown.
    """
    originals = originals or {}
    passes = group_same_scenes(scenes, originals)
    official = {name for name in scenes if _parse_scene_name(name).is_test}
    left_out: list[str] = []
    groups = passes
    if official:
        test_passes = [group for group in passes if official & set(group)]
        left_out = sorted(name for group in test_passes for name in group if name not in official)
        groups = [group for group in passes if not official & set(group)]
        if not groups:
            raise InputError(
                f"expected scenes to train with, found none beside the official test scenes "
                f"({len(official)}) and their passes; fetch some with segmentation.py download --split "
                "train, and cut them"
            )
    groups = _merge_passes(groups, by, originals)
    test = sorted(official)
    if not official:
        drawn = _draw_groups(groups, shares[1], f"{seed} test", "test", by)
        test = sorted(name for group in drawn for name in group)
        groups = [group for group in groups if group not in drawn]
    drawn = _draw_groups(groups, shares[0], f"{seed} validation", "validation", by)
    validation = sorted(name for group in drawn for name in group)
    train = sorted(name for group in groups if group not in drawn for name in group)
    return Split(tuple(train), tuple(validation), tuple(test)), left_out


def _merge_passes(
    passes: Sequence[tuple[str, ...]], by: SplitBlock, originals: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Join passes that share a block into one group."""
    if by == "pass":
        return list(passes)
    groups: list[tuple[set[str], tuple[str, ...]]] = []
    for names in passes:
        blocks = {_find_block(name, by, originals) for name in names}
        touching = [group for group in groups if group[0] & blocks]
        groups = [group for group in groups if not group[0] & blocks]
        for group_blocks, group_names in touching:
            blocks, names = blocks | group_blocks, names + group_names
        groups.append((blocks, tuple(sorted(names))))
    return sorted(names for _, names in groups)


def _find_block(name: str, by: SplitBlock, originals: Mapping[str, str]) -> str:
    """Season or region of a scene; December counts to the winter of the next year."""
    scene = _parse_scene_name(name)
    if by == "season":
        year = scene.start.year + (scene.start.month == 12)
        return f"{year} {_SEASONS[scene.start.month]}"
    raw_name = SceneName.parse(Path(originals.get(name, "")).name)
    if raw_name is None or not raw_name.region:
        raise InputError(
            f"expected the region of {name} in its original_id, found {originals.get(name)!r}; "
            "use --by pass or season"
        )
    return raw_name.region


def _parse_scene_name(name: str) -> SceneName:
    scene_name = SceneName.parse(name)
    if scene_name is None:
        raise InputError(f"expected a scene name such as 20180124T194759_dmi_prep, found {name!r}")
    return scene_name


def _draw_groups(
    groups: Sequence[tuple[str, ...]], share: float, key: str, part: str, by: SplitBlock
) -> list[tuple[str, ...]]:
    """Draw groups with about a share of the scenes; the order is by SHA-256, alike in every version."""
    if len(groups) < 2:
        raise InputError(
            f"expected at least two groups of scenes (by {by}) to divide, found {len(groups)}: {part} "
            "or train would be empty; cut more scenes, or choose another --by"
        )
    order = sort_by_digest(groups, key, lambda group: group[0])
    count = sum(map(len, groups))
    most = min(max(1, round(share * count)), count - 1)
    drawn: list[tuple[str, ...]] = []
    for group in order:
        if sum(map(len, drawn)) + len(group) <= most:
            drawn.append(group)
    return drawn or [min(order, key=len)]


def _divide_patches(manifest: Sequence[PatchRow], share: float, seed: int) -> Split:
    """Divide patches at random, whatever their scene; those of official test scenes are for testing."""
    official = sorted(row.file for row in manifest if _parse_scene_name(row.scene).is_test)
    files = sorted({row.file for row in manifest} - set(official))
    count = int(share * len(files))
    if not 0 < count < len(files):
        raise InputError(f"expected patches for training and validation, found {len(files)} in all")
    order = np.random.RandomState(seed).permutation(len(files))
    validation = sorted(files[i] for i in order[:count])
    train = sorted(files[i] for i in order[count:])
    return Split(tuple(train), tuple(validation), tuple(official), "patch")


def _write_split(folder: Path, split: Split, settings: dict[str, Any], *, force: bool) -> Report:
    """Write the lists and the note of a split, unless the folder holds it already."""
    with exclusive(folder / _NOTE):
        text = "already there"
        if not ((folder / _NOTE).exists() and _is_same(folder, split)):
            if not (force or _is_unfinished(folder, split)):
                raise InputError(
                    f"expected no split or the same one, found another in {folder}; keep it, or "
                    "--force to replace it (models trained with it can then not be compared)"
                )
            # The note is removed first and written last: without it the lists do not count as a split.
            (folder / _NOTE).unlink(missing_ok=True)
            for name, content in _format_files(split, settings):
                with atomic(folder / name, locked=name == _NOTE) as part:
                    part.write_text(content, encoding="utf-8")
            text = "written"
    counts: dict[str, Any] = {part: len(getattr(split, part)) for part in PARTS}
    items = "scenes" if split.mode == "scene" else "patches"
    report = Report(outputs=[folder / f"{part}.txt" for part in PARTS], values=dict(counts))
    numbers = ", ".join(f"{count} {part}" for part, count in counts.items())
    report.lines.append(f"{folder / _NOTE}: {numbers} ({items}), {text}")
    left_out = settings["left_out"]
    if left_out:
        report.lines.append(f"left out, of the same pass as a test scene: {listing(left_out)}")
    report.values["left_out"] = left_out
    return report


def _format_files(split: Split, settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Name and text of every file of a split, the note last."""
    yield from _format_lists(split)
    note = settings | {"digest": split.digest, "version": seaice.__version__}
    yield _NOTE, json.dumps(note, indent=1) + "\n"


def _format_lists(split: Split) -> Iterator[tuple[str, str]]:
    """Name and text of the list of every part."""
    for part in PARTS:
        yield f"{part}.txt", "".join(f"{name}\n" for name in getattr(split, part))


def _is_same(folder: Path, split: Split) -> bool:
    try:
        return load_split(folder) == split
    except InputError:
        return False


def _is_unfinished(folder: Path, split: Split) -> bool:
    """Whether the folder holds no list, or only lists of this split that a killed run left."""
    return not (folder / _NOTE).exists() and all(
        (folder / name).read_bytes() == text.encode()
        for name, text in _format_lists(split)
        if (folder / name).exists()
    )


def list_unassigned(folder: Path, scenes: Sequence[str]) -> list[str]:
    """List scenes that the split of a folder does not mention: in no part, and not left out either."""
    try:
        split = load_split(folder)
        left_out = parse_json((folder / _NOTE).read_text(encoding="utf-8")).get("left_out", [])
    except (InputError, FileNotFoundError):
        return []
    assigned = {name.partition("_patch")[0] for part in PARTS for name in getattr(split, part)}
    return sorted(set(scenes) - assigned - set(left_out))


def load_split(patch_dir: Path) -> Split:
    """Read and check the split of a folder of patches.

    Raises
    ------
    InputError
        If there is no split, it is damaged or was changed by hand, or a scene is in two parts.
    """
    folder = Path(patch_dir)
    try:
        lists = [tuple((folder / f"{part}.txt").read_text(encoding="utf-8").split()) for part in PARTS]
        note = parse_json((folder / _NOTE).read_text(encoding="utf-8"))
        split = Split(lists[0], lists[1], lists[2], note["split"])
    except FileNotFoundError as error:
        raise InputError(f"no split: {error.filename}; make it with segmentation.py split") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / _NOTE} is damaged ({error}); make the split again") from None
    split.check()
    if note.get("digest") != split.digest:
        raise InputError(
            f"expected the lists that {folder / _NOTE} describes, found others; make the split again "
            "with --force"
        )
    for part in ("train", "validation"):
        if not getattr(split, part):
            raise InputError(f"expected scenes in {folder / part}.txt, found none; make the split again")
    return split
