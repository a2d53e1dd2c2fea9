"""Train a network on patches."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice import InputError
from seaice.download.partial_file import file_sha256
from seaice.report import Report, listing
from seaice.runtime.atomic_write import exclusive
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.splits import load_split
from seaice.segmentation.data.targets import output_count
from seaice.segmentation.evaluation.pooled import leading
from seaice.segmentation.networks.registry import (
    build,
    family,
    has_backbone,
)
from seaice.segmentation.training.distributed import (
    Processes,
    joined,
)

if TYPE_CHECKING:
    from seaice.segmentation.training.trainer import (
        Material,
        Plan,
    )

logger = logging.getLogger(__name__)

Mode = Literal["scratch", "probing", "finetune"]
_EPOCHS = {"scratch": 50, "probing": 30, "finetune": 50}
_RATES = {"scratch": 1e-4, "probing": 1e-4, "finetune": 1e-5}


def train(
    *,
    patch_dir: Path,
    output_dir: Path,
    model: str = "unet",
    mode: str = "scratch",
    options: Sequence[str] = (),
    weights: str | None = None,
    inputs: str = "sar",
    task: str = "classes",
    ice_threshold: float = 0.20,
    epochs: int | None = None,
    updates: int | None = None,
    learning_rate: float | None = None,
    batch_size: int = 16,
    patience: int = 10,
    augment: bool = False,
    class_weights: bool = False,
    fraction: float = 1.0,
    fraction_by: str = "scene",
    seed: int = 42,
    device: str = "auto",
    workers: int = 0,
    precision: str = "auto",
    resume: bool = True,
) -> Report:
    """Train on the scenes of ``train.txt`` and choose the best epoch by those of ``validation.txt``.

    AdamW (weight decay 1e-4), cosine to 1e-6 by epoch, gradients cut at 1. The same command run again
    goes on after the last finished epoch. Several GPUs: start it with torchrun.

    Parameters
    ----------
    patch_dir : Path
        Patches, manifest and split.
    output_dir : Path
        Made where it does not exist: ``best.pt``, ``last.pt``, ``log.csv``, ``settings.json``.
    model : str
        See :data:`seaice.segmentation.networks.registry.NAMES`.
    mode : {"scratch", "probing", "finetune"}
        From random weights; the head alone on a frozen pretrained backbone; everything from
        pretrained weights.
    options : sequence of str
        Of the model, as KEY=VALUE, e.g. base=8.
    weights : str, optional
        For probing and finetune: a local file of the backbone, or "random". Otherwise they are
        fetched.
    inputs : {"sar", "sar+amsr2"}
    task : {"classes", "sic", "sic-regression"}
        See :mod:`seaice.segmentation.data.targets`.
    ice_threshold : float
        Fraction from which on a pixel is ice.
    epochs : int, optional
        50, for probing 30.
    updates : int, optional
        In all, shared out over the epochs; otherwise an epoch is one pass over the patches.
    learning_rate : float, optional
        1e-4, for finetune 1e-5.
    batch_size : int
        Of all processes together.
    patience : int
        Epochs without a better validation score before it ends; 0: never.
    augment : bool
        Turn and mirror the training patches.
    class_weights : bool
        Weigh classes by the inverse of their share.
    fraction : float
        Of the training scenes (or patches), for studies of data efficiency.
    fraction_by : {"scene", "patch"}
    seed : int
    device : str
    workers : int
        Processes that read patches; the result does not depend on them.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Mixed precision is for GPUs of NVIDIA only.
    resume : bool

    Returns
    -------
    Report
        ``values``: best_epoch, epochs, updates, parameters, patches, the scores of the best epoch.

    Raises
    ------
    InputError
        If something given cannot be used, or the folder holds another training.
    """
    settings: dict[str, Any] = {
        "model": model,
        "mode": mode,
        "options": parsed_options(options),
        "weights": weights,
        "inputs": inputs,
        "task": task,
        "ice_threshold": float(ice_threshold),
        "epochs": _EPOCHS.get(mode, 50) if epochs is None else epochs,
        "updates": updates,
        "learning_rate": _RATES.get(mode, 1e-4) if learning_rate is None else learning_rate,
        "batch_size": batch_size,
        "patience": patience,
        "augment": augment,
        "class_weights": class_weights,
        "fraction": fraction,
        "fraction_by": fraction_by,
        "seed": seed,
    }
    _check(settings)
    patch_dir, output_dir = Path(patch_dir), Path(output_dir)
    parts = chosen_rows(patch_dir, settings)
    settings |= {
        "split_digest": load_split(patch_dir).digest,
        "patches_sha256": file_sha256(patch_dir / "patches.csv"),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    with joined(device) as processes, _sole(output_dir, processes):
        return _train(settings, parts, processes, patch_dir, output_dir, workers, precision, resume)


def _sole(output_dir: Path, processes: Processes) -> AbstractContextManager[None]:
    """One training at a time in a folder; its processes count as one."""
    return exclusive(output_dir / "training") if processes.is_first else nullcontext()


def parsed_options(options: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE as a dict; numbers, true and false are read as such.

    Raises
    ------
    InputError
        If a text has no equals sign.

    Examples
    --------
    >>> parsed_options(["base=8", "size=tiny"])
    {'base': 8, 'size': 'tiny'}
    """
    made: dict[str, Any] = {}
    for text in options:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise InputError(f"expected an option of the model as KEY=VALUE, found {text!r}")
        try:
            made[key] = json.loads(value)
        except ValueError:
            made[key] = value
    return made


def _check(settings: dict[str, Any]) -> None:
    """Refuse what cannot be trained, before anything is read."""
    model, mode = settings["model"], settings["mode"]
    kind = family(model)
    allowed = ["scratch", *(["finetune"] if kind != "unet" else [])]
    allowed += ["probing"] if has_backbone(model) else []
    if mode not in allowed:
        raise InputError(f"expected mode {' or '.join(allowed)} for {model}, found {mode!r}")
    if settings["weights"] is not None and mode == "scratch":
        raise InputError("expected no weights for mode scratch; use probing or finetune")
    taken = {"pretrained", "frozen"} & set(settings["options"])
    if taken:
        raise InputError(f"{', '.join(sorted(taken))} is what --mode and --weights say; leave it out")
    taken = {"name", "channels", "classes"} & set(settings["options"])
    if taken:
        raise InputError(
            f"{', '.join(sorted(taken))} is what --model, --inputs and --task say; leave it out"
        )
    output_count(settings["task"])
    LabelRule(settings["ice_threshold"])
    for name in ("epochs", "batch_size"):
        if settings[name] < 1:
            raise InputError(f"expected {name} of at least 1, found {settings[name]}")
    if settings["updates"] is not None and settings["updates"] < settings["epochs"]:
        raise InputError(
            f"expected at least one update for each of {settings['epochs']} epochs, found "
            f"{settings['updates']}; give fewer epochs"
        )
    if not 0 < settings["learning_rate"] < 10 or settings["patience"] < 0:
        raise InputError(
            "expected a learning_rate between 0 and 10 and patience of at least 0, found "
            f"{settings['learning_rate']} and {settings['patience']}"
        )
    # Those of the epochs are made of it, and fit into 64 bits.
    if not 0 <= settings["seed"] < 2**32:
        raise InputError(f"expected a seed from 0 to {2**32 - 1}, found {settings['seed']}")
    if settings["class_weights"] and settings["task"] == "sic-regression":
        raise InputError("class_weights are for classes; leave them out for sic-regression")


def chosen_rows(patch_dir: Path, settings: dict[str, Any]) -> tuple[list[PatchRow], list[PatchRow]]:
    """Patches for training (the wanted fraction) and for validation."""
    from seaice.segmentation.data.patch_dataset import subset

    manifest, split = read_manifest(patch_dir), load_split(patch_dir)
    rows = subset(
        split.rows("train", manifest),
        settings["fraction"],
        by=settings["fraction_by"],
        seed=settings["seed"],
    )
    return rows, split.rows("validation", manifest)


def network_options(settings: dict[str, Any]) -> dict[str, Any]:
    """Options of the network that the mode and the weights stand for."""
    options = dict(settings["options"])
    if family(settings["model"]) == "unet":
        return options
    start: bool | str = settings["mode"] != "scratch"
    if settings["weights"] is not None:
        start = False if settings["weights"] == "random" else settings["weights"]
    options["pretrained"] = start
    if has_backbone(settings["model"]):
        options["frozen"] = settings["mode"] == "probing"
    return options


def _train(
    settings: dict[str, Any],
    parts: tuple[list[PatchRow], list[PatchRow]],
    processes: Processes,
    patch_dir: Path,
    output_dir: Path,
    workers: int,
    precision: str,
    resume: bool,
) -> Report:
    import torch

    from seaice.segmentation.training.trainer import (
        Plan,
        Trainer,
        precision_for,
    )

    keys = ("epochs", "updates", "learning_rate", "batch_size", "patience", "seed")
    used = precision_for(precision, processes.device)
    plan = Plan(**{key: settings[key] for key in keys}, precision=used, workers=workers)
    devices = [processes.device] if processes.device.type == "cuda" else []
    # The caller's own random numbers go on as if nothing had been drawn here.
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings["seed"])
        material = _material(settings, parts, patch_dir)
        trainer = Trainer(material, plan, processes, output_dir, resume=resume)
        went_on = trainer.epoch
        if processes.is_first:
            _write_settings(output_dir / "settings.json", settings, parts)
        if torch.cuda.device_count() > 1 and processes.count == 1:
            logger.info("one of several GPUs is used; torchrun --nproc_per_node N takes N of them")
        history = trainer.run()
    if not processes.is_first:
        return Report()
    return _reported(settings, parts, plan, history, material, output_dir, went_on)


def _material(
    settings: dict[str, Any], parts: tuple[list[PatchRow], list[PatchRow]], patch_dir: Path
) -> Material:
    from seaice.segmentation.data.patch_dataset import PatchDataset
    from seaice.segmentation.networks.checkpoint import described
    from seaice.segmentation.training.trainer import Material

    options, rule = network_options(settings), LabelRule(settings["ice_threshold"])
    inputs, task = settings["inputs"], settings["task"]
    data = [
        PatchDataset(patch_dir, rows, inputs=inputs, augment=augment, seed=settings["seed"])
        for rows, augment in zip(parts, (settings["augment"], False), strict=True)
    ]
    channels = data[0].channels
    network = build(settings["model"], channels=channels, classes=output_count(task), **options)
    note = described(
        model=settings["model"], options=options, inputs=inputs, channels=channels, task=task, rule=rule
    )
    note |= {
        "split_digest": settings["split_digest"],
        "patch_size": data[0].size,
        "settings": settings,
    }
    balance = _balance(patch_dir, parts[0], task, rule) if settings["class_weights"] else None
    return Material(network, data[0], data[1], task, rule, balance, note)


def _balance(patch_dir: Path, rows: list[PatchRow], task: str, rule: LabelRule) -> np.ndarray:
    """Weights of the classes: the inverse of their share, of mean 1; 0 for what is not there."""
    from seaice.segmentation.data.patch_dataset import read_patch
    from seaice.segmentation.data.targets import (
        table_size,
        truth_table,
    )

    table, counts = truth_table(task, rule), np.zeros(256, np.int64)
    for row in rows:
        sic = read_patch(patch_dir / row.file, row.size, with_amsr2=False)[1]
        counts += np.bincount(table[sic].ravel(), minlength=256)
    known = counts[: table_size(task)].astype(np.float64)
    made = np.divide(known.sum(), known, out=np.zeros_like(known), where=known > 0)
    return made / max(made[known > 0].mean(), 1e-12) if known.any() else made


def _write_settings(
    path: Path, settings: dict[str, Any], parts: tuple[list[PatchRow], list[PatchRow]]
) -> None:
    from seaice.segmentation.evaluation.metrics import write_json

    scenes = [sorted({row.scene for row in rows}) for rows in parts]
    counts = {"train_patches": len(parts[0]), "validation_patches": len(parts[1])}
    write_json(path, settings | counts | {"train_scenes": scenes[0], "validation_scenes": scenes[1]})


def _reported(
    settings: dict[str, Any],
    parts: tuple[list[PatchRow], list[PatchRow]],
    plan: Plan,
    history: list[dict[str, float]],
    material: Material,
    output_dir: Path,
    went_on: int,
) -> Report:
    from seaice.segmentation.networks.checkpoint import read_checkpoint
    from seaice.segmentation.training.trainer import (
        BEST,
        LAST,
        LOG,
    )

    name = leading(settings["task"])
    best = read_checkpoint(output_dir / BEST)["metrics"]
    learning = sum(p.numel() for p in material.network.parameters() if p.requires_grad)
    total = sum(p.numel() for p in material.network.parameters())
    ends = "all epochs done" if len(history) >= plan.epochs else "no better score any more"
    report = Report(outputs=[output_dir / file for file in (BEST, LAST, LOG, "settings.json")])
    report.lines = [
        f"{settings['model']} ({settings['mode']}), {settings['inputs']}: {total:,} parameters, "
        f"{learning:,} trained, on {len(parts[0])} patches of "
        f"{listing(sorted({row.scene for row in parts[0]}), limit=3)}",
        material.rule.describe(),
        f"{len(history)} epochs, {history[-1]['updates']:.0f} updates ({ends})"
        + (f", {went_on} of them before" if went_on else ""),
        f"{output_dir / BEST}: epoch {best['epoch']:.0f}, validation {name} {best[name]:.4f}",
    ]
    report.values = {
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "updates": int(history[-1]["updates"]),
        "parameters": total,
        "patches": len(parts[0]),
        "metrics": best,
    }
    return report
