"""Training, validation and test by whole scenes, written once as lists."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import seaice
from seaice import InputError
from seaice.report import Report, listing
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
    scene_notes,
)
from seaice.sources.ai4arctic.scene import (
    SceneName,
    same_scene_groups,
)

logger = logging.getLogger(__name__)

Block = Literal["pass", "region", "season"]
Mode = Literal["scene", "patch"]
Part = Literal["train", "validation", "test"]

PARTS: tuple[Part, ...] = ("train", "validation", "test")
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
    mode: Mode = "scene"

    @property
    def digest(self) -> str:
        """SHA-256 of the lists, hexadecimal."""
        text = "\n".join([self.mode, *(f"{part}:{','.join(getattr(self, part))}" for part in PARTS)])
        return hashlib.sha256(text.encode()).hexdigest()

    def check(self) -> None:
        """Refuse a split in which something is in two parts, or two scenes of one start are parted.

        Raises
        ------
        InputError
        """
        seen: dict[str, str] = {}
        for part in PARTS:
            for name in getattr(self, part):
                # Two charts of one SAR scene differ in the service only.
                key = name if self.mode == "patch" else name.split("_")[0]
                if seen.setdefault(key, part) != part:
                    raise InputError(
                        f"expected every scene in one part, found {name} in {seen[key]} and {part}; "
                        "make the split again with --force"
                    )

    def rows(self, part: Part, manifest: Sequence[PatchRow]) -> list[PatchRow]:
        """Lines of the manifest that belong to a part, in their order.

        Raises
        ------
        InputError
            If there is none.
        """
        names = set(getattr(self, part))
        rows = [r for r in manifest if (r.scene if self.mode == "scene" else r.file) in names]
        if not rows:
            raise InputError(
                f"expected patches for {part}, found none of its {len(names)} scenes in the manifest; "
                "cut more scenes, or make the split again"
            )
        lost = sorted(names - {r.scene if self.mode == "scene" else r.file for r in rows})
        if lost:
            logger.warning("no patches any more for %s: %s", part, listing(lost))
        return rows


def split_scenes(
    *,
    patch_dir: Path,
    split: Mode = "scene",
    by: Block = "pass",
    validation_share: float = 0.15,
    test_share: float = 0.15,
    seed: int = 0,
    force: bool = False,
) -> Report:
    """Divide the scenes of a folder of patches and write ``train.txt`` and the others beside them.

    Test are the official test scenes. Training scenes of the same pass as one of them are left
    out: they show the same ice a minute earlier or later.

    Parameters
    ----------
    patch_dir : Path
        Where ``patches.csv`` is.
    split : {"scene", "patch"}
        "patch" divides patches at random, as published numbers were made. Its scores are too
        good, since patches of one scene stand on both sides; a warning says so.
    by : {"pass", "region", "season"}
        What is never parted between training and validation: scenes of one pass of the
        satellite; scenes of one region of the charts; scenes of one season of one year. Passes are
        never parted.
    validation_share : float
        Of the scenes that are not for testing.
    test_share : float
        Used only where none of the scenes is an official test scene.
    seed : int
        Of the order in which groups are dealt.
    force : bool
        Replace a split with other content.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a part would be empty, or another split is there.
    """
    if by not in ("pass", "region", "season") or split not in ("scene", "patch"):
        raise InputError(
            f"expected --split scene or patch, --by pass, region or season, found {split}, {by}"
        )
    for name, share in (("validation_share", validation_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise InputError(f"expected {name} above 0 and below 1, found {share}")
    patch_dir = Path(patch_dir)
    manifest, notes = read_manifest(patch_dir), scene_notes(patch_dir)
    scenes = sorted({row.scene for row in manifest})
    left_out: list[str] = []
    if split == "patch":
        logger.warning(
            "--split patch puts patches of one scene into training and validation; its scores are too "
            "good and only fit for comparison with published ones"
        )
        made = _by_patch(manifest, validation_share, seed)
    else:
        originals = {name: str(note.get("original_id", "")) for name, note in notes.items()}
        made, left_out = divide(
            scenes, by=by, originals=originals, shares=(validation_share, test_share), seed=seed
        )
    made.check()
    settings = {"split": split, "by": by, "validation_share": validation_share}
    settings |= {"test_share": test_share, "seed": seed}
    return _write(patch_dir, made, settings | {"left_out": left_out}, force=force)


def divide(
    scenes: Sequence[str],
    *,
    by: Block = "pass",
    originals: Mapping[str, str] | None = None,
    shares: tuple[float, float] = (0.15, 0.15),
    seed: int = 0,
) -> tuple[Split, list[str]]:
    """Deal whole groups of scenes to the parts.

    Parameters
    ----------
    scenes : sequence of str
    by : {"pass", "region", "season"}
    originals : mapping of str to str, optional
        Raw names by name, which tell orbit and region.
    shares : (float, float)
        Of validation and, where no official test scene is there, of test.
    seed : int

    Returns
    -------
    Split, list of str
        Scenes that are in no part, because they are of the pass of a test scene.

    Raises
    ------
    InputError
        If there are too few groups, or regions are asked for and not known.
    """
    originals = originals or {}
    passes = same_scene_groups(scenes, originals)
    official = {name for name in scenes if _parsed(name).is_test}
    left_out: list[str] = []
    groups = passes
    if official:
        near = [group for group in passes if official & set(group)]
        left_out = sorted(name for group in near for name in group if name not in official)
        groups = [group for group in passes if not official & set(group)]
        if not groups:
            raise InputError(
                f"expected scenes to train with, found none beside the official test scenes "
                f"({len(official)}) and their passes; fetch some with segmentation.py download --split "
                "train, and cut them"
            )
    groups = _joined(groups, by, originals)
    test = sorted(official)
    if not official:
        chosen = _dealt(groups, shares[1], f"{seed} test", "test", by)
        test = sorted(name for group in chosen for name in group)
        groups = [group for group in groups if group not in chosen]
    chosen = _dealt(groups, shares[0], f"{seed} validation", "validation", by)
    validation = sorted(name for group in chosen for name in group)
    train = sorted(name for group in groups if group not in chosen for name in group)
    return Split(tuple(train), tuple(validation), tuple(test)), left_out


def _joined(
    passes: Sequence[tuple[str, ...]], by: Block, originals: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Passes that share a block become one group."""
    if by == "pass":
        return list(passes)
    groups: list[tuple[set[str], tuple[str, ...]]] = []
    for names in passes:
        blocks = {_block(name, by, originals) for name in names}
        touching = [group for group in groups if group[0] & blocks]
        groups = [group for group in groups if not group[0] & blocks]
        for more, others in touching:
            blocks, names = blocks | more, names + others
        groups.append((blocks, tuple(sorted(names))))
    return sorted(names for _, names in groups)


def _block(name: str, by: Block, originals: Mapping[str, str]) -> str:
    scene = _parsed(name)
    if by == "season":
        year = scene.start.year + (scene.start.month == 12)
        return f"{year} {_SEASONS[scene.start.month]}"
    raw = SceneName.parse(Path(originals.get(name, "")).name)
    if raw is None or not raw.region:
        raise InputError(
            f"expected the region of {name} in its original_id, found {originals.get(name)!r}; "
            "use --by pass or season"
        )
    return raw.region


def _parsed(name: str) -> SceneName:
    found = SceneName.parse(name)
    if found is None:
        raise InputError(f"expected a scene name such as 20180124T194759_dmi_prep, found {name!r}")
    return found


def _dealt(
    groups: Sequence[tuple[str, ...]], share: float, key: str, part: str, by: Block
) -> list[tuple[str, ...]]:
    """Groups of about a share of the scenes, in an order that no library version changes."""
    if len(groups) < 2:
        raise InputError(
            f"expected at least two groups of scenes (by {by}) to divide, found {len(groups)}: {part} "
            "or train would be empty; cut more scenes, or choose another --by"
        )
    order = sorted(groups, key=lambda g: hashlib.sha256(f"{key} {g[0]}".encode()).digest())
    count = sum(map(len, groups))
    wanted = min(max(1, round(share * count)), count - 1)
    chosen: list[tuple[str, ...]] = []
    for group in order:
        if sum(map(len, chosen)) + len(group) <= wanted:
            chosen.append(group)
    return chosen or [min(order, key=len)]


def _by_patch(manifest: Sequence[PatchRow], share: float, seed: int) -> Split:
    """A random part of the patches, scene or not; test are the patches of official scenes."""
    official = sorted(row.file for row in manifest if _parsed(row.scene).is_test)
    files = sorted({row.file for row in manifest} - set(official))
    count = int(share * len(files))
    if not 0 < count < len(files):
        raise InputError(f"expected patches for training and validation, found {len(files)} in all")
    order = np.random.RandomState(seed).permutation(len(files))
    validation = sorted(files[i] for i in order[:count])
    train = sorted(files[i] for i in order[count:])
    return Split(tuple(train), tuple(validation), tuple(official), "patch")


def _write(folder: Path, split: Split, settings: dict[str, Any], *, force: bool) -> Report:
    with exclusive(folder / _NOTE):
        text = "already there"
        if not ((folder / _NOTE).exists() and _is_same(folder, split)):
            if not (force or _is_begun(folder, split)):
                raise InputError(
                    f"expected no split or the same one, found another in {folder}; keep it, or "
                    "--force to replace it (models trained with it can then not be compared)"
                )
            # The note goes first and comes last: without it the lists are no split.
            (folder / _NOTE).unlink(missing_ok=True)
            for name, content in _files(split, settings):
                with atomic(folder / name, locked=name == _NOTE) as part:
                    part.write_text(content, encoding="utf-8")
            text = "written"
    counts: dict[str, Any] = {part: len(getattr(split, part)) for part in PARTS}
    what = "scenes" if split.mode == "scene" else "patches"
    report = Report(outputs=[folder / f"{part}.txt" for part in PARTS], values=counts | {})
    numbers = ", ".join(f"{count} {part}" for part, count in counts.items())
    report.lines.append(f"{folder / _NOTE}: {numbers} ({what}), {text}")
    left_out = settings["left_out"]
    if left_out:
        report.lines.append(f"left out, of the pass of a test scene: {listing(left_out)}")
    report.values["left_out"] = left_out
    return report


def _files(split: Split, settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _lists(split)
    note = settings | {"digest": split.digest, "version": seaice.__version__}
    yield _NOTE, json.dumps(note, indent=1) + "\n"


def _lists(split: Split) -> Iterator[tuple[str, str]]:
    for part in PARTS:
        yield f"{part}.txt", "".join(f"{name}\n" for name in getattr(split, part))


def _is_same(folder: Path, split: Split) -> bool:
    try:
        return load_split(folder) == split
    except InputError:
        return False


def _is_begun(folder: Path, split: Split) -> bool:
    """Whether there is nothing of another split: what a killed run left is some of its own lists."""
    return not (folder / _NOTE).exists() and all(
        (folder / name).read_bytes() == text.encode()
        for name, text in _lists(split)
        if (folder / name).exists()
    )


def not_dealt(folder: Path, scenes: Sequence[str]) -> list[str]:
    """Scenes that the split of a folder puts into no part and does not leave out either."""
    try:
        split = load_split(folder)
        left_out = json.loads((folder / _NOTE).read_text(encoding="utf-8")).get("left_out", [])
    except (InputError, FileNotFoundError):
        return []
    known = {name.partition("_patch")[0] for part in PARTS for name in getattr(split, part)}
    return sorted(set(scenes) - known - set(left_out))


def load_split(patch_dir: Path) -> Split:
    """The split of a folder of patches, checked.

    Raises
    ------
    InputError
        If there is none, it was changed by hand, or a scene is in two parts.
    """
    folder = Path(patch_dir)
    try:
        lists = [tuple((folder / f"{part}.txt").read_text(encoding="utf-8").split()) for part in PARTS]
        note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        found = Split(lists[0], lists[1], lists[2], note["split"])
    except FileNotFoundError as error:
        raise InputError(f"no split: {error.filename}; make it with segmentation.py split") from None
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / _NOTE} is damaged ({error}); make the split again") from None
    found.check()
    if note.get("digest") != found.digest:
        raise InputError(
            f"expected the lists that {folder / _NOTE} tells of, found others; make the split again "
            "with --force"
        )
    for part in ("train", "validation"):
        if not getattr(found, part):
            raise InputError(f"expected scenes in {folder / part}.txt, found none; make the split again")
    return found
