"""Score a trained model on scenes it has not seen, beside rules that need no network."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import seaice
from seaice import InputError
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.splits import (
    Split,
    load_split,
)
from seaice.segmentation.evaluation import baselines as rules
from seaice.segmentation.evaluation.metrics import (
    EdgeSums,
    Interval,
    as_water_and_ice,
    bootstrap,
    edge_kilometres,
    mean_over_batches,
    plain,
    pooled_by,
    r2_arrays,
    score_arrays,
    write_json,
)
from seaice.segmentation.training.distributed import expect_one_process

if TYPE_CHECKING:
    from seaice.segmentation.networks.checkpoint import TrainedModel

logger = logging.getLogger(__name__)

SPLITS = ("validation", "test")


class Scored(NamedTuple):
    """Counts of one method: tables (patches, k, k), edges (patches, 6)."""

    method: str
    tables: np.ndarray
    edges: np.ndarray


def evaluate(
    *,
    checkpoint: Path,
    patch_dir: Path,
    output_file: Path,
    split: str = "test",
    baselines: bool = True,
    batch_mean_iou: bool = False,
    batch_size: int = 16,
    repeats: int = 1000,
    seed: int = 0,
    device: str = "auto",
    workers: int = 0,
) -> Report:
    """Score a checkpoint on the patches of a part of the split.

    Scores are of all pixels pooled, with 95 percent intervals by drawing scenes; of all patches
    and of the mixed ones; with the distance between ice edges; and by scene.

    Parameters
    ----------
    checkpoint : Path
        ``best.pt`` of a training.
    patch_dir : Path
        With the split that the model was trained with.
    output_file : Path
        To write: .json has everything, .csv the table of scores.
    split : {"validation", "test"}
        The checkpoint was chosen by validation, so that its scores there are a little too good.
    baselines : bool
        Also score thresholds on HV and on the texture of HH, the majority and chance.
    batch_mean_iou : bool
        Also the mean over batches of their IoU, as in published scores; it depends on the batches.
    batch_size : int
    repeats : int
        Draws of scenes.
    seed : int
        Of the draws.
    device : str
    workers : int

    Returns
    -------
    Report
        ``values``: the content of the JSON file.

    Raises
    ------
    InputError
        If the checkpoint is none or of another split, or there is nothing to score.
    """
    output_file = Path(output_file)
    if output_file.suffix not in (".json", ".csv"):
        raise InputError(f"expected an output_file of .json or .csv, found {output_file}")
    if split not in SPLITS or batch_size < 1 or repeats < 1 or seed < 0:
        raise InputError(
            f"expected split validation or test, batch_size and repeats of at least 1 and a seed of at "
            f"least 0, found {split}, {batch_size}, {repeats} and {seed}"
        )
    expect_one_process("evaluate")
    model, rows, parts = _prepared(Path(checkpoint), Path(patch_dir), split, device)
    scored = [_of_model(model, Path(patch_dir), rows, batch_size, workers)]
    if not scored[0].tables.sum():
        raise InputError(f"expected pixels with a class in {split}, found none: {patch_dir}; cut others")
    if baselines:
        learned, found = _of_rules(Path(patch_dir), parts, rows, model.rule)
        scored += found
    content = _head(model, Path(checkpoint), split, parts, rows)
    if baselines:
        content["thresholds"], content["train_ice_share"] = learned.thresholds, learned.ice_share
    content["results"] = [
        line for each in scored for line in _lines(each, rows, model.rule, repeats=repeats, seed=seed)
    ]
    content["scenes"] = _by_scene(scored[0], rows, model.rule)
    if batch_mean_iou:
        content["batch_mean_iou"] = _batch_means(scored[0], model.rule, batch_size)
    _write(output_file, content)
    return _reported(output_file, content)


def _prepared(
    checkpoint: Path, patch_dir: Path, split: str, device: str
) -> tuple[TrainedModel, list[PatchRow], Split]:
    from seaice.segmentation.networks.checkpoint import load_model
    from seaice.segmentation.training.distributed import chosen_device

    parts = load_split(patch_dir)
    rows = parts.rows("test" if split == "test" else "validation", read_manifest(patch_dir))
    model = load_model(checkpoint, chosen_device(device))
    if model.note.get("split_digest") != parts.digest:
        raise InputError(
            f"expected the split that {checkpoint} was trained with, found another in {patch_dir}: its "
            "scenes may have been trained on; train again, or give the folder of that training"
        )
    return model, rows, parts


def _of_model(
    model: TrainedModel, patch_dir: Path, rows: Sequence[PatchRow], batch_size: int, workers: int
) -> Scored:
    from torch.utils.data import DataLoader

    from seaice.segmentation.data.patch_dataset import PatchDataset
    from seaice.segmentation.evaluation.pooled import score_network
    from seaice.segmentation.training.trainer import batches_of

    data = PatchDataset(patch_dir, rows, inputs=model.inputs)
    loader = DataLoader(data, batch_size=batch_size, num_workers=workers)
    counts = score_network(
        model.network,
        batches_of(loader),
        task=model.task,
        rule=model.rule,
        device=next(model.network.parameters()).device,
        with_edges=True,
    )
    name = model.note["model"] + (f" {model.inputs}" if model.inputs != "sar" else "")
    return Scored(name, np.stack(counts.tables), np.array(counts.edges, np.float64))


def _of_rules(
    patch_dir: Path, parts: Split, rows: Sequence[PatchRow], rule: LabelRule
) -> tuple[rules.Baselines, list[Scored]]:
    learned = rules.learned(patch_dir, parts.rows("train", read_manifest(patch_dir)), rule)
    found = learned.score(patch_dir, rows, rule)
    return learned, [Scored(name, *counts) for name, counts in found.items()]


def score_baselines(
    patch_dir: Path, split: str, rule: LabelRule, *, repeats: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Scores of what needs no network, as in the ``results`` of :func:`evaluate`."""
    parts = load_split(patch_dir)
    rows = parts.rows("test" if split == "test" else "validation", read_manifest(patch_dir))
    scored = _of_rules(patch_dir, parts, rows, rule)[1]
    return [line for each in scored for line in _lines(each, rows, rule, repeats=repeats, seed=seed)]


def measure_of(size: int, rule: LabelRule) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Scores of tables (n, size, size): of water and ice, and R2 where classes are counted."""
    if size == 2:
        return score_arrays

    def measure(tables: np.ndarray) -> Mapping[str, np.ndarray]:
        return {**score_arrays(as_water_and_ice(tables, rule)), "r2": r2_arrays(tables)}

    return measure


def _lines(
    scored: Scored, rows: Sequence[PatchRow], rule: LabelRule, *, repeats: int, seed: int
) -> list[dict[str, Any]]:
    """Scores of all patches, and of the mixed ones."""
    made = []
    for subset in ("all", "mixed"):
        index = [i for i, row in enumerate(rows) if subset == "all" or row.kind == "mixed"]
        scenes = [rows[i].scene for i in index]
        if not index or not scored.tables[index].sum():
            continue
        tables = np.stack(list(pooled_by(scored.tables[index], scenes).values()))
        edges = np.stack(list(pooled_by(scored.edges[index], scenes).values()))
        found = bootstrap(tables, measure_of(tables.shape[-1], rule), repeats=repeats, seed=seed)
        found |= bootstrap(edges, edge_kilometres, repeats=repeats, seed=seed)
        sums = EdgeSums(*edges.sum(axis=0))
        made.append(
            {
                "method": scored.method,
                "subset": subset,
                "patches": len(index),
                "scenes": len(tables),
                "pixels": round(float(tables.sum())),
                "scores": {name: _three(interval) for name, interval in found.items()},
                "patches_with_both_edges": round(sums.compared),
                "patches_with_one_edge": round(sums.one_sided),
            }
        )
    return made


def _three(interval: Interval) -> dict[str, float | None]:
    return {name: plain(value) for name, value in interval._asdict().items()}


def _by_scene(scored: Scored, rows: Sequence[PatchRow], rule: LabelRule) -> dict[str, Any]:
    pooled = pooled_by(scored.tables, [row.scene for row in rows])
    measure = measure_of(scored.tables.shape[-1], rule)
    return {
        scene: {name: plain(value[0]) for name, value in measure(table[None]).items()}
        for scene, table in pooled.items()
    }


def _batch_means(scored: Scored, rule: LabelRule, batch_size: int) -> dict[str, Any]:
    tables = scored.tables
    if tables.shape[-1] > 2:
        tables = as_water_and_ice(tables, rule)
    found = {name: plain(value) for name, value in mean_over_batches(tables, batch_size).items()}
    return {"batch_size": batch_size, **found}


def _head(
    model: TrainedModel, checkpoint: Path, split: str, parts: Split, rows: Sequence[PatchRow]
) -> dict[str, Any]:
    keys = ("model", "options", "inputs", "task", "ice_threshold", "label_rule", "epoch", "split_digest")
    return {
        "checkpoint": str(checkpoint),
        **{key: model.note[key] for key in keys},
        "mode": model.note.get("settings", {}).get("mode"),
        "split": split,
        "split_mode": parts.mode,
        "patches": len(rows),
        "software": seaice.__version__,
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    if path.suffix == ".json":
        write_json(path, content)
        return
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "subset", "score", "value", "low", "high"))
        for line in content["results"]:
            for name, three in line["scores"].items():
                writer.writerow((line["method"], line["subset"], name, *three.values()))


def _reported(path: Path, content: dict[str, Any]) -> Report:
    first = content["results"][0]
    lines = [
        f"{content['split']}: {first['patches']} patches of {first['scenes']} scenes; "
        f"{content['label_rule']}"
    ]
    for line in content["results"]:
        told = [score_told(name, line["scores"].get(name)) for name in ("iou_mean", "r2", "ice_edge_km")]
        lines.append(f"{line['method']}, {line['subset']}: {', '.join(text for text in told if text)}")
    lines.append(str(path))
    if content["split_mode"] == "patch" and content["split"] == "validation":
        lines.append("patches of these scenes were trained on: the scores are too good")
    return Report(lines=lines, outputs=[path], values=content)


def score_told(name: str, three: Mapping[str, Any] | None) -> str:
    """A score with its interval as text; empty where there is none."""
    if three is None or three["value"] is None:
        return ""
    low, high = three["low"], three["high"]
    return f"{name} {three['value']:.4f}" + ("" if low is None else f" ({low:.4f} to {high:.4f})")
