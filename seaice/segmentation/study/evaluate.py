"""Score a trained model, and baselines that need no network, on scenes that it was not trained on."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

import seaice
from seaice import InputError
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.runtime.json_files import write_json
from seaice.runtime.options import Count, Range
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.splits import (
    SCORED_PARTS,
    ScoredPart,
    Split,
    load_split,
)
from seaice.segmentation.evaluation.baselines import (
    Baselines,
    learn_baselines,
)
from seaice.segmentation.evaluation.head_scores import (
    compute_challenge_scores,
    compute_head_score_arrays,
    split_counts,
)
from seaice.segmentation.evaluation.metrics import (
    EdgeDistances,
    Interval,
    average_over_batches,
    compute_edge_kilometres,
    compute_intervals,
    merge_classes,
    pool_by_key,
    round_for_json,
)
from seaice.segmentation.evaluation.patch_counts import PatchCounts, count_predictions
from seaice.segmentation.heads.head import list_heads
from seaice.segmentation.networks.checkpoint import (
    TrainedModel,
    load_model_of_split,
)
from seaice.segmentation.training.distributed import expect_one_process

logger = logging.getLogger(__name__)

# Scores that the report shows.
_REPORTED_SCORES = (
    *("combined", "iou_mean", "r2", "f1"),
    *("classes_iou_mean", "sic_r2", "sic-regression_r2", "sod_f1", "floe_f1", "ice_edge_km"),
)


class MethodCounts(NamedTuple):
    """Counts of all patches by a network or a baseline.

    Attributes
    ----------
    method : str
    task : str
    tables : ndarray, shape (patches, n)
        Pixels by true and predicted class, see
        :func:`seaice.segmentation.evaluation.head_scores.split_counts`.
    edges : ndarray, shape (patches, 6)
        :class:`EdgeDistances`.
    """

    method: str
    task: str
    tables: np.ndarray
    edges: np.ndarray


def evaluate(
    *,
    checkpoint: Path,
    patch_dir: Path,
    output_file: Path,
    split: ScoredPart = "test",
    baselines: bool = True,
    batch_mean_iou: bool = False,
    batch_size: Count = 16,
    repeats: Count = 1000,
    seed: Annotated[int, Range(0, unit="N")] = 0,
    device: str = "auto",
    workers: Annotated[int, Range(0, unit="N")] = 0,
) -> Report:
    """Score a checkpoint on the patches of a part of the split.

    Pixels are pooled over patches, once over all and once over the mixed ones. Each score has a 95
    percent interval by drawing scenes. Further written are the distance between ice edges and the
    scores of every scene.

    Parameters
    ----------
    checkpoint : Path
        ``best.pt`` of a training.
    patch_dir : Path
        Patches with the split that the model was trained with.
    output_file : Path
        File to write: .json for all results, .csv for the table of scores.
    split : {"validation", "test"}
        Scenes to score. The checkpoint was chosen by validation, so that its scores there are a
        little too good.
    baselines : bool
        Also score thresholds on HV and on the texture of HH, the majority and chance.
    batch_mean_iou : bool
        Also average the IoU over batches, as the published scores do; the mean depends on the batches.
    batch_size : int
        Patches at a time.
    repeats : int
        Draws of scenes for the intervals.
    seed : int
        Seed of the draws.
    device, workers
        See :func:`seaice.segmentation.training.train.train`.

    Returns
    -------
    Report
        ``values``: the content of the JSON file.

    Raises
    ------
    InputError
        If the checkpoint cannot be used or is of another split, or there is nothing to score.
    """
    output_file = Path(output_file)
    if output_file.suffix not in (".json", ".csv"):
        raise InputError(f"expected an output_file of .json or .csv, found {output_file}")
    if split not in SCORED_PARTS or batch_size < 1 or repeats < 1 or seed < 0:
        raise InputError(
            f"expected split validation or test, batch_size and repeats of at least 1 and a seed of at "
            f"least 0, found {split}, {batch_size}, {repeats} and {seed}"
        )
    expect_one_process("evaluate")
    checkpoint, patch_dir = Path(checkpoint), Path(patch_dir)
    parts = load_split(patch_dir)
    rows = parts.select_rows(split, read_manifest(patch_dir))
    model = load_model_of_split(checkpoint, parts, patch_dir, device)
    method, patch_counts = _count_model(model, patch_dir, rows, batch_size, workers)
    counts = [method]
    if not method.tables.sum():
        raise InputError(f"expected pixels with a class in {split}, found none: {patch_dir}; cut others")
    with_thresholds = baselines and not list_heads(model.task)[0].is_type
    if with_thresholds:
        learned, baseline_counts = _count_baselines(patch_dir, parts, rows, model.rule)
        counts += baseline_counts
    if baselines and model.task != "classes":
        counts.append(_count_majority(model, method, patch_dir, parts))
    content = _describe_evaluation(model, checkpoint, split, parts, rows)
    if with_thresholds:
        content["thresholds"], content["train_ice_share"] = learned.thresholds, learned.ice_share
    content["results"] = [
        line
        for method_counts in counts
        for line in _score_subsets(method_counts, rows, model.rule, repeats=repeats, seed=seed)
    ]
    content["scenes"] = _score_scenes(method, rows, model.rule)
    content["reliability"] = {
        name: counted.describe(model.temperatures.get(name, 1.0))
        for name, counted in patch_counts.reliability.items()
    }
    charts = [head.chart for head in list_heads(model.task)]
    if set(charts) == {"SIC", "SOD", "FLOE"} and not model.task.startswith("classes"):
        tables = split_counts(method.tables.sum(axis=0), model.task)
        content["challenge"] = compute_challenge_scores(dict(zip(charts, tables, strict=True)))
    if batch_mean_iou:
        content["batch_mean_iou"] = _score_batches(method, model.rule, batch_size)
    _write_results(output_file, content)
    return _make_report(output_file, content)


def _count_model(
    model: TrainedModel, patch_dir: Path, rows: Sequence[PatchRow], batch_size: int, workers: int
) -> tuple[MethodCounts, PatchCounts]:
    from torch.utils.data import DataLoader

    from seaice.segmentation.data.patch_dataset import PatchDataset, iterate_batches

    charts = [head.chart for head in list_heads(model.task)]
    data = PatchDataset(patch_dir, rows, inputs=model.inputs, charts=charts)
    loader = DataLoader(data, batch_size=batch_size, num_workers=workers)
    counts = count_predictions(
        model.network,
        iterate_batches(loader),
        task=model.task,
        rule=model.rule,
        device=next(model.network.parameters()).device,
        with_edges=True,
        temperatures=model.temperatures,
        with_reliability=True,
    )
    method = model.metadata["model"] + (f" {model.inputs}" if model.inputs != "sar" else "")
    edges = np.array(counts.edges, np.float64)
    return MethodCounts(method, model.task, np.stack(counts.tables), edges), counts


def _count_majority(
    model: TrainedModel, counts: MethodCounts, patch_dir: Path, parts: Split
) -> MethodCounts:
    """Predict the most frequent class of the training patches everywhere, for every head."""
    from seaice.segmentation.data.patch_dataset import read_patch
    from seaice.segmentation.heads.targets import make_label_tables

    heads, tables = list_heads(model.task), make_label_tables(model.task, model.rule)
    charts, labels = [head.chart for head in heads], np.zeros((len(heads), 256), np.int64)
    for row in parts.select_rows("train", read_manifest(patch_dir)):
        for number, chart in enumerate(read_patch(patch_dir / row.file, row.size, charts=charts)[1]):
            labels[number] += np.bincount(tables[number][chart].ravel(), minlength=256)
    predicted = []
    for head, table, label in zip(heads, split_counts(counts.tables, model.task), labels, strict=True):
        majority = np.zeros_like(table)
        majority[..., int(label[: head.classes].argmax())] = table.sum(axis=-1)
        predicted.append(majority.reshape(len(table), -1))
    edges = np.zeros_like(counts.edges)
    return MethodCounts("majority class", model.task, np.concatenate(predicted, axis=1), edges)


def _count_baselines(
    patch_dir: Path, parts: Split, rows: Sequence[PatchRow], rule: LabelRule
) -> tuple[Baselines, list[MethodCounts]]:
    """Learn the baselines from all training patches and count their predictions on ``rows``."""
    train_rows = parts.select_rows("train", read_manifest(patch_dir))
    learned = learn_baselines(patch_dir, train_rows, rule)
    by_method = learned.count_patches(patch_dir, rows, rule)
    return learned, [
        MethodCounts(name, "classes", tables.reshape(len(tables), -1), edges)
        for name, (tables, edges) in by_method.items()
    ]


def score_baselines(
    patch_dir: Path, split: ScoredPart, rule: LabelRule, *, repeats: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Score the baselines alone; returns lines as in the ``results`` of :func:`evaluate`."""
    parts = load_split(patch_dir)
    rows = parts.select_rows(split, read_manifest(patch_dir))
    return [
        line
        for counts in _count_baselines(patch_dir, parts, rows, rule)[1]
        for line in _score_subsets(counts, rows, rule, repeats=repeats, seed=seed)
    ]


def choose_measure(task: str, rule: LabelRule) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """Choose the function that scores vectors of counts (n, m) of a task."""
    return lambda counts: compute_head_score_arrays(counts, task, rule)


def _score_subsets(
    counts: MethodCounts, rows: Sequence[PatchRow], rule: LabelRule, *, repeats: int, seed: int
) -> list[dict[str, Any]]:
    """Score all patches, and the mixed ones alone; a subset without a counted pixel is left out."""
    lines = []
    for subset in ("all", "mixed"):
        index = [i for i, row in enumerate(rows) if subset == "all" or row.kind == "mixed"]
        scenes = [rows[i].scene for i in index]
        if not index or not counts.tables[index].sum():
            continue
        tables = np.stack(list(pool_by_key(counts.tables[index], scenes).values()))
        edges = np.stack(list(pool_by_key(counts.edges[index], scenes).values()))
        measure = choose_measure(counts.task, rule)
        intervals = compute_intervals(tables, measure, repeats=repeats, seed=seed)
        intervals |= compute_intervals(edges, compute_edge_kilometres, repeats=repeats, seed=seed)
        distances = EdgeDistances(*edges.sum(axis=0))
        lines.append(
            {
                "method": counts.method,
                "subset": subset,
                "patches": len(index),
                "scenes": len(tables),
                "pixels": round(float(split_counts(tables, counts.task)[0].sum())),
                "scores": {name: _round_interval(interval) for name, interval in intervals.items()},
                "patches_with_both_edges": round(distances.compared),
                "patches_with_one_edge": round(distances.one_sided),
            }
        )
    return lines


def _round_interval(interval: Interval) -> dict[str, float | None]:
    return {name: round_for_json(value) for name, value in interval._asdict().items()}


def _score_scenes(counts: MethodCounts, rows: Sequence[PatchRow], rule: LabelRule) -> dict[str, Any]:
    pooled = pool_by_key(counts.tables, [row.scene for row in rows])
    measure = choose_measure(counts.task, rule)
    return {
        scene: {name: round_for_json(value[0]) for name, value in measure(table[None]).items()}
        for scene, table in pooled.items()
    }


def _score_batches(counts: MethodCounts, rule: LabelRule, batch_size: int) -> dict[str, Any]:
    head, tables = list_heads(counts.task)[0], split_counts(counts.tables, counts.task)[0]
    if head.is_type:
        raise InputError(
            f"expected a model of water and ice or concentration for --batch_mean_iou, found one of "
            f"{counts.task}; leave it out"
        )
    if head.classes > 2:
        tables = merge_classes(tables, rule)
    means = average_over_batches(tables, batch_size)
    return {"batch_size": batch_size} | {name: round_for_json(value) for name, value in means.items()}


def _describe_evaluation(
    model: TrainedModel, checkpoint: Path, split: ScoredPart, parts: Split, rows: Sequence[PatchRow]
) -> dict[str, Any]:
    keys = ("model", "options", "inputs", "task", "ice_threshold", "label_rule", "epoch", "split_digest")
    return {
        "checkpoint": str(checkpoint),
        **{key: model.metadata[key] for key in keys},
        "mode": model.metadata.get("settings", {}).get("mode"),
        "split": split,
        "split_mode": parts.mode,
        "patches": len(rows),
        "software": seaice.__version__,
    }


def _write_results(path: Path, content: dict[str, Any]) -> None:
    if path.suffix == ".json":
        write_json(path, content)
        return
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "subset", "score", "value", "low", "high"))
        for line in content["results"]:
            for name, interval in line["scores"].items():
                writer.writerow((line["method"], line["subset"], name, *interval.values()))


def _make_report(path: Path, content: dict[str, Any]) -> Report:
    first = content["results"][0]
    lines = [
        f"{content['split']}: {first['patches']} patches of {first['scenes']} scenes; "
        f"{content['label_rule']}"
    ]
    for line in content["results"]:
        texts = [format_score(name, line["scores"].get(name)) for name in _REPORTED_SCORES]
        lines.append(f"{line['method']}, {line['subset']}: {', '.join(text for text in texts if text)}")
    lines.append(str(path))
    if content["split_mode"] == "patch" and content["split"] == "validation":
        lines.append("patches of these scenes were trained on: the scores are too good")
    return Report(lines=lines, outputs=[path], values=content)


def format_score(name: str, interval: Mapping[str, Any] | None) -> str:
    """Format a score with its interval; an empty text where there is no value."""
    if interval is None or interval["value"] is None:
        return ""
    low, high = interval["low"], interval["high"]
    return f"{name} {interval['value']:.4f}" + ("" if low is None else f" ({low:.4f} to {high:.4f})")
