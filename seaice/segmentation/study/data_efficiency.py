"""How a model gets better with more training scenes and inputs: several seeds, alike in updates."""

from __future__ import annotations

import csv
import json
import logging
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.download.partial_file import file_sha256
from seaice.report import Report
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import read_manifest
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.evaluation.metrics import (
    plain,
    seed_interval,
    write_json,
)
from seaice.segmentation.study.evaluate import (
    SPLITS,
    evaluate,
    score_baselines,
    score_told,
)
from seaice.segmentation.training.distributed import expect_one_process
from seaice.segmentation.training.train import train

logger = logging.getLogger(__name__)


def data_efficiency(
    *,
    patch_dir: Path,
    output_dir: Path,
    fractions: Sequence[float] = (0.05, 0.1, 0.25, 0.5, 1.0),
    seeds: int = 3,
    equal: str = "updates",
    fraction_by: str = "scene",
    split: str = "test",
    model: str = "unet",
    mode: str = "scratch",
    options: Sequence[str] = (),
    weights: str | None = None,
    inputs: Sequence[str] = ("sar",),
    task: str = "classes",
    ice_threshold: float = 0.20,
    epochs: int = 20,
    updates: int | None = None,
    learning_rate: float | None = None,
    batch_size: int = 16,
    patience: int = 10,
    augment: bool = False,
    seed: int = 42,
    device: str = "auto",
    workers: int = 0,
    precision: str = "auto",
) -> Report:
    """Train with parts of the training scenes, several seeds each, and score all on the same scenes.

    A smaller part is within a larger one of the same seed. Several inputs make an ablation: each is
    trained alike, and compared with the first by seed. Finished trainings are kept, one that was
    stopped goes on.

    Parameters
    ----------
    patch_dir, output_dir : Path
        Written: a folder for each training, ``efficiency.json``, ``efficiency.csv``.
    fractions : sequence of float
    seeds : int
        Trainings of each fraction, with seeds seed, seed + 1, ...
    equal : {"updates", "epochs"}
        updates: every training takes the updates of ``epochs`` passes over all patches, and never
        ends early; epochs: passes over its own patches, so that a small part is trained less.
    fraction_by : {"scene", "patch"}
    split : {"validation", "test"}
        What is scored.
    epochs : int
        Times of validation.
    updates : int, optional
        For equal updates: so many.
    inputs : sequence of {"sar", "sar+amsr2"}
    model, mode, options, weights, task, ice_threshold, learning_rate, batch_size, patience, \
    augment, seed, device, workers, precision
        See :func:`seaice.segmentation.training.train.train`.

    Returns
    -------
    Report
        ``values["table"]``: for each inputs, fraction and score the mean over seeds with its 95
        percent interval by Student's t. ``differences``: of several inputs from the first, by seed.
        ``baselines``: what needs no network, learnt from all training patches, with intervals over
        scenes.

    Raises
    ------
    InputError
    """
    fractions, inputs = sorted({float(fraction) for fraction in fractions}), tuple(inputs)
    _check(fractions, inputs, seeds, equal, split, epochs, updates)
    expect_one_process("data-efficiency")
    patch_dir, output_dir = Path(patch_dir), Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    if equal == "updates" and updates is None:
        rows = load_split(patch_dir).rows("train", read_manifest(patch_dir))
        updates = epochs * max(1, len(rows) // batch_size)
    shared: dict[str, Any] = {
        "model": model,
        "mode": mode,
        "options": tuple(options),
        "weights": weights,
        "task": task,
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
        for number, given, fraction in trainings:
            key = {"inputs": given, "fraction": fraction, "seed": seed + number}
            name = f"{given}, fraction {fraction:g}, seed {seed + number}"
            logger.info("training %d of %d: %s", len(runs) + 1, len(trainings), name)
            folder = output_dir / name.replace(", ", "_").replace(" ", "_")
            runs.append(key | _one(patch_dir, folder, shared | key, split, machine, precision))
            logger.info("%s: done", name)
        settings = shared | {"options": list(options), "inputs": list(inputs)}
        content: dict[str, Any] = {"equal": equal, "split": split, "settings": settings}
        content |= {"table": _table(runs), "differences": _differences(runs, inputs)}
        content["baselines"] = score_baselines(patch_dir, split, LabelRule(ice_threshold))
        return _written(output_dir, content | {"runs": runs})


def _check(
    fractions: Sequence[float],
    inputs: Sequence[str],
    seeds: int,
    equal: str,
    split: str,
    epochs: int,
    updates: int | None,
) -> None:
    from seaice.segmentation.data.patch_dataset import channel_count

    if not inputs or len(set(inputs)) < len(inputs):
        raise InputError(f"expected inputs, each once, found {', '.join(inputs) or 'none'}")
    for given in inputs:
        channel_count(given)
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        raise InputError(f"expected fractions above 0, up to 1, found {list(fractions)}")
    if seeds < 1 or epochs < 1:
        raise InputError(f"expected seeds and epochs of at least 1, found {seeds} and {epochs}")
    if equal not in ("updates", "epochs") or split not in SPLITS:
        raise InputError(
            f"expected equal updates or epochs and split validation or test, found {equal}, {split}"
        )
    if equal == "epochs" and updates is not None:
        raise InputError("expected no number of updates for equal epochs; use --equal updates")


def _one(
    patch_dir: Path,
    folder: Path,
    settings: dict[str, Any],
    split: str,
    machine: dict[str, Any],
    precision: str,
) -> dict[str, Any]:
    """Train and score once, or read what was found before."""
    done, scores = folder / "run.json", folder / f"{split}.json"
    identity = json.loads(json.dumps(settings)) | {
        "split_digest": load_split(patch_dir).digest,
        "patches_sha256": file_sha256(patch_dir / "patches.csv"),
    }
    if done.is_file():
        return _result(done, identity | {"split": split})
    trained = train(
        patch_dir=patch_dir, output_dir=folder, **settings, **machine, precision=precision
    ).values
    scored = evaluate(
        checkpoint=folder / "best.pt",
        patch_dir=patch_dir,
        output_file=scores,
        split=split,
        baselines=False,
        repeats=1,
        **machine,
    ).values
    keys = ("patches", "updates", "epochs", "best_epoch")
    values = {
        f"{name}{ending}": three["value"]
        for line, ending in zip(scored["results"], ("", "_mixed"), strict=False)
        for name, three in line["scores"].items()
    }
    result = {key: trained[key] for key in keys} | {"scores": values}
    write_json(done, {"settings": identity, "split": split, "result": result})
    # It is only needed to go on, and as large as the model three times over.
    (folder / "last.pt").unlink(missing_ok=True)
    return result


def _result(done: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    """What a finished run of the same settings found."""
    try:
        content = json.loads(done.read_text(encoding="utf-8"))
        there = content["settings"] | {"split": content["split"]}
        result: dict[str, Any] = content["result"]
        missing = {"scores", "patches", "updates"} - set(result)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"a finished run is damaged ({error}): {done}; remove it to score again"
        ) from None
    other = [key for key in wanted if there.get(key) != wanted[key]]
    if other or missing:
        raise InputError(
            f"expected a run with the same settings in {done.parent}, found another "
            f"{', '.join(other or sorted(missing))}; choose another --output_dir"
        )
    return result


def _table(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, by inputs, fraction and score."""
    table = []
    for (given, fraction), here in _grouped(runs).items():
        for name in here[0]["scores"]:
            table.append(
                {
                    "inputs": given,
                    "fraction": fraction,
                    "score": name,
                    "patches": float(np.mean([run["patches"] for run in here])),
                    "updates": max(run["updates"] for run in here),
                    "seeds": len(here),
                    **_spread([run["scores"].get(name) for run in here]),
                }
            )
    return table


def _grouped(runs: Sequence[dict[str, Any]]) -> dict[tuple[str, float], list[dict[str, Any]]]:
    groups: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for run in runs:
        groups.setdefault((run["inputs"], run["fraction"]), []).append(run)
    return groups


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    three = seed_interval([math.nan if value is None else value for value in values])
    named = {"mean": three.value, "low": three.low, "high": three.high}
    return {name: plain(value) for name, value in named.items()} | {"values": list(values)}


def _differences(runs: Sequence[dict[str, Any]], inputs: Sequence[str]) -> list[dict[str, Any]]:
    """What other inputs gain over the first: differences of trainings of the same seed."""
    made, groups = [], _grouped(runs)
    for (given, fraction), here in groups.items():
        if given == inputs[0]:
            continue
        first = groups[inputs[0], fraction]
        for name in here[0]["scores"]:
            ours, theirs = ([run["scores"].get(name) for run in group] for group in (here, first))
            gains = [
                None if one is None or two is None else one - two
                for one, two in zip(ours, theirs, strict=True)
            ]
            key = {"inputs": given, "against": inputs[0], "fraction": fraction, "score": name}
            made.append(key | _spread(gains))
    return made


def _written(folder: Path, content: dict[str, Any]) -> Report:
    results, table = folder / "efficiency.json", folder / "efficiency.csv"
    with atomic(results, locked=True) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic(table) as part, part.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in content["table"][0] if name != "values"]
        writer = csv.DictWriter(file, names, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(content["table"])
    report = Report(outputs=[results, table], values=content)
    for line in _headline(content["table"]):
        report.lines.append(
            f"{line['inputs']}, fraction {line['fraction']:g}: {_told(line)}, {line['seeds']} seeds, "
            f"{line['patches']:.0f} patches, {line['updates']} updates"
        )
    for line in _headline(content["differences"]):
        report.lines.append(
            f"{line['inputs']} less {line['against']}, fraction {line['fraction']:g}: {_told(line)}"
        )
    for line in content["baselines"]:
        if line["subset"] == "all":
            told = score_told("iou_mean", line["scores"]["iou_mean"])
            report.lines.append(f"{line['method']}: {told}")
    report.lines += [str(results), str(table)]
    return report


def _headline(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["score"] in ("iou_mean", "r2") and line["mean"] is not None]


def _told(line: dict[str, Any]) -> str:
    return score_told(line["score"], line | {"value": line["mean"]})
