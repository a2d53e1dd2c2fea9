"""Small folders of patches in the true layout, for tests of training and scoring."""

import csv
import json
from pathlib import Path

import numpy as np

from seaice.segmentation.data.patch_manifest import COLUMNS
from seaice.segmentation.data.splits import (
    PARTS,
    Split,
)

# A network and a training as small as can be.
SMALL = {
    "options": ("base=4", "depth=2"),
    "epochs": 3,
    "batch_size": 4,
    "learning_rate": 5e-3,
    "device": "cpu",
}
COUNTS = {"train": 4, "validation": 2, "test": 2}


def scene_names(count: int) -> list[str]:
    return [f"2019010{k + 1}T120000_{('dmi', 'cis')[k % 2]}_prep" for k in range(count)]


def one_patch(rng: np.random.Generator, size: int, kind: str) -> dict[str, np.ndarray]:
    """Ice to the right of a slanted edge: brighter in HV, under speckle; warm in AMSR2."""
    row, column = (int(k) for k in rng.integers(0, 60, 2))
    edge = {"water": size, "ice": 0, "mixed": size // 2}[kind] + rng.integers(-2, 3)
    slant = (np.arange(size)[:, None] - size / 2) * 0.3 if kind == "mixed" else 0
    ice = np.broadcast_to(np.arange(size)[None] >= edge + slant, (size, size))
    if kind != "mixed":
        ice = np.full((size, size), kind == "ice")
    sar = rng.normal(0, 0.6, (2, size, size)) + 1.2 * ice
    sar[:, :2, :3] = 0
    sic = np.where(ice, 8, 0).astype(np.uint8)
    sic[-1, :4] = 255
    sic[ice & (np.arange(size)[:, None] < 4)] = 3
    cells = [(k + size - 1) // 25 - k // 25 + 1 for k in (row, column)]
    share = float(ice.mean())
    amsr2 = (rng.normal(share, 0.1, (14, *cells))).astype(np.float32)
    # Young and old ice above and below the middle; small floes near the left, big ones at the right.
    down, across = np.mgrid[:size, :size] >= size // 2
    types = {"sod": np.where(down, 5, 2), "floe": np.where(across, 4, 2)}
    labels = {name: np.where(sic % 255 == 0, sic, kind) for name, kind in types.items()}
    return {
        "sar": sar.astype(np.float32),
        "sic": sic,
        **{name: label.astype(np.uint8) for name, label in labels.items()},
        "distance": np.zeros((size, size), np.float32),
        "amsr2": amsr2,
        "row": np.int64(row),
        "column": np.int64(column),
    }


def make_folder(folder: Path, *, size: int = 16, per_scene: int = 4, counts=COUNTS) -> Path:
    """Patches, manifest and split of a few scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    names = scene_names(sum(counts.values()))
    rows, lists, start = [], {}, 0
    for part in PARTS:
        lists[part] = tuple(names[start : start + counts[part]])
        start += counts[part]
    for number, scene in enumerate(names):
        rng = np.random.default_rng(number)
        for k in range(per_scene):
            kind = ("mixed", "ice", "mixed", "water")[k % 4]
            arrays = one_patch(rng, size, kind)
            service = scene.split("_")[1]
            file = f"{scene}_patch{k:03d}.npz"
            np.savez(folder / file, **arrays, scene=np.str_(scene), service=np.str_(service))
            known = arrays["sic"] != 255
            ice = (arrays["sic"] >= 2) & known
            place = (int(arrays["row"]), int(arrays["column"]))
            share = ice.sum() / known.sum()
            rows.append((file, scene, service, *place, size, share, known.mean(), kind))
    with (folder / "patches.csv").open("w", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([COLUMNS, *rows])
    write_split(folder, Split(**lists))
    return folder


def write_split(folder: Path, split: Split) -> None:
    for part in PARTS:
        (folder / f"{part}.txt").write_text("".join(f"{n}\n" for n in getattr(split, part)))
    note = {"split": split.mode, "digest": split.digest}
    (folder / "split.json").write_text(json.dumps(note))
