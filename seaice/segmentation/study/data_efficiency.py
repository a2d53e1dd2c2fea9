"""Study of data efficiency: scores by the share of the training scenes and by inputs, several seeds."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from seaice import InputError
from seaice.report import Report
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.runtime.digests import digest_file
from seaice.runtime.json_files import parse_json, write_json
from seaice.runtime.networks.device import Precision
from seaice.runtime.options import Count, Range, Share
from seaice.segmentation.data.inputs import list_channels
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import SCORED_PARTS, ScoredPart, SplitMode, load_split
from seaice.segmentation.evaluation.metrics import (
    compute_seed_interval,
    round_for_json,
)
from seaice.segmentation.heads.head import Task, join_tasks
from seaice.segmentation.study.evaluate import (
    evaluate,
    format_score,
    score_baselines,
)
from seaice.segmentation.training.distributed import expect_one_process
from seaice.segmentation.training.train import Mode, train

logger = logging.getLogger(__name__)


def data_efficiency(
    *,
    patch_dir: Path,
    output_dir: Path,
    fractions: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 1.0),
    seeds: Count = 3,
    equal: Literal["updates", "epochs"] = "updates",
    fraction_by: SplitMode = "scene",
    split: ScoredPart = "test",
    model: str = "unet",
    mode: Mode = "scratch",
    options: Sequence[str] = (),
    weights: str | None = None,
    inputs: Sequence[str] = ("sar",),
    task: Sequence[Task] = ("classes",),
    ice_threshold: Share = 0.20,
    epochs: Count = 20,
    updates: Count | None = None,
    learning_rate: float | None = None,
    batch_size: Count = 16,
    patience: Annotated[int, Range(0, unit="N")] = 10,
    augment: bool = False,
    seed: Annotated[int, Range(0, unit="N")] = 42,
    device: str = "auto",
    workers: Annotated[int, Range(0, unit="N")] = 0,
    precision: Precision = "auto",
) -> Report:
    """Train with parts of the training scenes, several seeds each, and score all on the same scenes.

    With one seed a smaller part is contained in a larger one. Several inputs make an ablation: each is
    trained in the same way and compared with the first, seed by seed. Finished trainings are kept, an
    interrupted one is continued.

    Parameters
    ----------
    patch_dir : Path
        Patches, manifest and split.
    output_dir : Path
        Made where it does not exist: a folder for each training, ``efficiency.json``,
        ``efficiency.csv``.
    fractions : sequence of float
    seeds : int
        Trainings of each fraction, with seeds seed, seed + 1, ...
    equal : {"updates", "epochs"}
        What all trainings have in common. updates: every training has the updates of ``epochs`` passes
        over all patches, and never ends early; epochs: passes over its own patches, so that a small
        part is trained less.
    fraction_by : {"scene", "patch"}
        Whether parts are of scenes or of patches.
    split : {"validation", "test"}
        Scenes that are scored.
    epochs : int
        Number of epochs; each ends with a validation.
    updates : int, optional
        Number of updates for ``equal="updates"``.
    inputs : sequence of str
        Channels that the models get as input, such as sar and sar+amsr2.
    model, mode, options, weights, task, ice_threshold, learning_rate, batch_size, patience, \
    augment, seed, device, workers, precision
        See :func:`seaice.segmentation.training.train.train`.

    Returns
    -------
    Report
        ``values["table"]``: for each inputs, fraction and score the mean over seeds with its 95
        percent interval by Student's t. ``differences``: of several inputs from the first, by seed.
        ``baselines``: scores of baselines that need no network, learned from all training patches,
        with intervals over scenes.

    Raises
    ------
    InputError
        If a parameter or a file cannot be used, or a folder holds another training.
    """
    fractions, inputs = sorted({float(fraction) for fraction in fractions}), tuple(inputs)
    _check(fractions, inputs, seeds, equal, split, epochs, updates)
    expect_one_process("data-efficiency")
    patch_dir, output_dir = Path(patch_dir), Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    if equal == "updates" and updates is None:
        rows = load_split(patch_dir).select_rows("train", read_manifest(patch_dir))
        updates = epochs * max(1, len(rows) // batch_size)
    shared: dict[str, Any] = {
        "model": model,
        "mode": mode,
        "options": tuple(options),
        "weights": weights,
        "task": join_tasks(task),
        "ice_threshold": ice_threshold,
        "epochs": epochs,
        "updates": updates if equal == "updates" else None,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "patience": 0 if equal == "updates" else patience,
        "augment": augment,
        "fraction_by": fraction_by,
    }
    machine = {"device": device, "workers": workers}
    runs: list[dict[str, Any]] = []
    with exclusive(output_dir / "efficiency.json"):
        trainings = list(product(range(seeds), inputs, fractions))
        for seed_number, run_inputs, fraction in trainings:
            key = {"inputs": run_inputs, "fraction": fraction, "seed": seed + seed_number}
            name = f"{run_inputs}, fraction {fraction:g}, seed {seed + seed_number}"
            logger.info("training %d of %d: %s", len(runs) + 1, len(trainings), name)
            folder = output_dir / name.replace(", ", "_").replace(" ", "_")
            result = _train_and_score(patch_dir, folder, shared | key, split, machine, precision)
            runs.append(key | result)
            logger.info("%s: done", name)
        settings = shared | {"options": list(options), "inputs": list(inputs)}
        content: dict[str, Any] = {"equal": equal, "split": split, "settings": settings}
        content |= {"table": _make_table(runs), "differences": _compare_inputs(runs, inputs)}
        content["baselines"] = score_baselines(patch_dir, split, LabelRule(ice_threshold))
        return _write_study(output_dir, content | {"runs": runs})


def _check(
    fractions: Sequence[float],
    inputs: Sequence[str],
    seeds: int,
    equal: str,
    split: ScoredPart,
    epochs: int,
    updates: int | None,
) -> None:
    if not inputs or len(set(inputs)) < len(inputs):
        raise InputError(f"expected inputs, each once, found {', '.join(inputs) or 'none'}")
    for run_inputs in inputs:
        list_channels(run_inputs)
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise InputError(f"expected fractions above 0, up to 1, found {list(fractions)}")
    if seeds < 1 or epochs < 1:
        raise InputError(f"expected seeds and epochs of at least 1, found {seeds} and {epochs}")
    if equal not in ("updates", "epochs") or split not in SCORED_PARTS:
        raise InputError(
            f"expected equal updates or epochs and split validation or test, found {equal}, {split}"
        )
    if equal == "epochs" and updates is not None:
        raise InputError("expected no number of updates for equal epochs; use --equal updates")


def _train_and_score(
    patch_dir: Path,
    folder: Path,
    settings: dict[str, Any],
    split: ScoredPart,
    machine: dict[str, Any],
    precision: Precision,
) -> dict[str, Any]:
    """Train and score once, or read the result of an earlier run."""
    result_file, scores_file = folder / "run.json", folder / f"{split}.json"
    identity = json.loads(json.dumps(settings)) | {
        "split_digest": load_split(patch_dir).digest,
        "patches_sha256": digest_file(patch_dir / "patches.csv"),
    }
    if result_file.is_file():
        return _read_result(result_file, identity | {"split": split})
    trained = train(
        patch_dir=patch_dir, output_dir=folder, **settings, **machine, precision=precision
    ).values
    scored = evaluate(
        checkpoint=folder / "best.pt",
        patch_dir=patch_dir,
        output_file=scores_file,
        split=split,
        baselines=False,
        repeats=1,
        **machine,
    ).values
    keys = ("patches", "updates", "epochs", "best_epoch")
    values = {
        f"{name}{ending}": interval["value"]
        for line, ending in zip(scored["results"], ("", "_mixed"), strict=False)
        for name, interval in line["scores"].items()
    }
    result = {key: trained[key] for key in keys} | {"scores": values}
    write_json(result_file, {"settings": identity, "split": split, "result": result})
    # It serves only to continue a training, and is three times as large as the model.
    (folder / "last.pt").unlink(missing_ok=True)
    return result


def _read_result(path: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Read the result of a finished run; refuses one of other settings."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        earlier = content["settings"] | {"split": content["split"]}
        result: dict[str, Any] = content["result"]
        missing = {"scores", "patches", "updates"} - set(result)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"a finished run is damaged ({error}): {path}; remove it to score again"
        ) from None
    changed = [key for key in settings if earlier.get(key) != settings[key]]
    if changed or missing:
        raise InputError(
            f"expected a run with the same settings in {path.parent}, found another "
            f"{', '.join(changed or sorted(missing))}; choose another --output_dir"
        )
    return result


def _make_table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds; a line for each inputs, fraction and score."""
    table = []
    for (inputs, fraction), group in _group_runs(runs).items():
        for name in group[0]["scores"]:
            table.append(
                {
                    "inputs": inputs,
                    "fraction": fraction,
                    "score": name,
                    "patches": float(np.mean([run["patches"] for run in group])),
                    "updates": max(run["updates"] for run in group),
                    "seeds": len(group),
                    **_summarise_seeds([run["scores"].get(name) for run in group]),
                }
            )
    return table


def _group_runs(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, float], list[dict[str, Any]]]:
    """Group the runs by inputs and fraction; within a group they differ in their seed."""
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["inputs"], run["fraction"]), []).append(run)
    return groups


def _summarise_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """Mean of the values with its interval, and the values; None where a value is unknown."""
    interval = compute_seed_interval([math.nan if value is None else value for value in values])
    numbers = {"mean": interval.value, "low": interval.low, "high": interval.high}
    return {name: round_for_json(value) for name, value in numbers.items()} | {"values": list(values)}


def _compare_inputs(runs: Sequence[dict[str, Any]], inputs: Sequence[str]) -> list[dict[str, Any]]:
    """Compare every other inputs with the first: differences of trainings with the same seed."""
    lines, groups = [], _group_runs(runs)
    for (group_inputs, fraction), group in groups.items():
        if group_inputs == inputs[0]:
            continue
        reference_group = groups[inputs[0], fraction]
        for name in group[0]["scores"]:
            values = [run["scores"].get(name) for run in group]
            references = [run["scores"].get(name) for run in reference_group]
            gains = [
                None if value is None or reference is None else value - reference
                for value, reference in zip(values, references, strict=True)
            ]
            key = {"inputs": group_inputs, "against": inputs[0], "fraction": fraction, "score": name}
            lines.append(key | _summarise_seeds(gains))
    return lines


def _write_study(folder: Path, content: dict[str, Any]) -> Report:
    """Write the results and their table, and report them."""
    results, table = folder / "efficiency.json", folder / "efficiency.csv"
    write_json(results, content, locked=True)
    with atomic(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in content["table"][0] if name != "values"]
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(content["table"])
    report = Report(outputs=[results, table], values=content)
    for line in _select_headlines(content["table"]):
        report.lines.append(
            f"{line['inputs']}, fraction {line['fraction']:g}: {_format_line(line)}, "
            f"{line['seeds']} seeds, {line['patches']:.0f} patches, {line['updates']} updates"
        )
    for line in _select_headlines(content["differences"]):
        report.lines.append(
            f"{line['inputs']} less {line['against']}, fraction {line['fraction']:g}: "
            f"{_format_line(line)}"
        )
    for line in content["baselines"]:
        if line["subset"] == "all":
            text = format_score("iou_mean", line["scores"]["iou_mean"])
            report.lines.append(f"{line['method']}: {text}")
    report.lines += [str(results), str(table)]
    return report


def _select_headlines(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["score"] in ("iou_mean", "r2") and line["mean"] is not None]


def _format_line(line: dict[str, Any]) -> str:
    return format_score(line["score"], line | {"value": line["mean"]})
