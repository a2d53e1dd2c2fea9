"""Train a network on patches: the stage, its settings, and what it reports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from seaice import InputError
from seaice.report import Report, format_count, listing
from seaice.runtime.atomic_write import exclusive
from seaice.runtime.digests import digest_file
from seaice.runtime.json_files import write_json
from seaice.runtime.networks.device import Precision
from seaice.runtime.networks.model_options import parse_options
from seaice.runtime.options import Count, Range, Share
from seaice.segmentation.data.inputs import list_channels
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    describe_noise,
    read_manifest,
)
from seaice.segmentation.data.splits import SplitMode, load_split
from seaice.segmentation.evaluation.head_scores import choose_leading_score
from seaice.segmentation.heads.head import Task, count_outputs, join_tasks, list_heads
from seaice.segmentation.networks.registry import (
    build_network,
    find_family,
    has_backbone,
)
from seaice.segmentation.training.distributed import (
    ProcessGroup,
    join_processes,
)

if TYPE_CHECKING:
    from seaice.segmentation.training.trainer import (
        Trainer,
        TrainingPlan,
        TrainingSetup,
    )

logger = logging.getLogger(__name__)

Mode = Literal["scratch", "probing", "finetune"]
# Defaults by mode.
_EPOCHS = {"scratch": 50, "probing": 30, "finetune": 50}
_LEARNING_RATES = {"scratch": 1e-4, "probing": 1e-4, "finetune": 1e-5}
# Options of a network that follow from parameters of the stage.
_SET_BY_MODE = frozenset({"pretrained", "frozen"})
_SET_BY_MODEL = frozenset({"name", "channels", "classes"})


def train(
    *,
    patch_dir: Path,
    output_dir: Path,
    model: str = "unet",
    mode: Mode = "scratch",
    options: Sequence[str] = (),
    weights: str | None = None,
    inputs: str = "sar",
    task: Sequence[Task] = ("classes",),
    ice_threshold: Share = 0.20,
    epochs: Count | None = None,
    updates: Count | None = None,
    learning_rate: float | None = None,
    batch_size: Count = 16,
    patience: Annotated[int, Range(0, unit="N")] = 10,
    augment: bool = False,
    class_weights: bool = False,
    calibrate: bool = False,
    fraction: Share = 1.0,
    fraction_by: SplitMode = "scene",
    seed: Annotated[int, Range(0, unit="N")] = 42,
    device: str = "auto",
    workers: Annotated[int, Range(0, unit="N")] = 0,
    precision: Precision = "auto",
    channels_last: bool = False,
    resume: bool = True,
) -> Report:
    """Train on the scenes of ``train.txt`` and choose the best epoch by those of ``validation.txt``.

    AdamW (weight decay 1e-4); the learning rate falls by epoch to 1e-6 along a cosine; gradients are
    clipped at a norm of 1. The same command run again continues after the last finished epoch. On
    several GPUs start it with torchrun.

    Parameters
    ----------
    patch_dir : Path
        Patches, manifest and split.
    output_dir : Path
        Made where it does not exist: ``best.pt``, ``last.pt``, ``log.csv``, ``settings.json``.
    model : str
        unet, terramind, timm:NAME, smp:ARCHITECTURE:ENCODER or MODULE:FUNCTION.
    mode : {"scratch", "probing", "finetune"}
        From random weights; the head alone on a frozen pretrained backbone; everything from
        pretrained weights.
    options : sequence of str
        Options of the model as KEY=VALUE, such as base=8.
    weights : str, optional
        For probing and finetune: a local file of weights of the backbone, or "random". By default the
        weights are fetched.
    inputs : str
        Channels that the model gets as input, joined by +: sar (HH and HV), hh, hv, incidence,
        distance, amsr2, era5, or one channel such as t2m.
    task : sequence of {"classes", "sic", "sic-regression", "sod", "floe"}
        Predict water and ice, eleven classes of concentration, or concentration as a number; stage of
        development; floe size. Several are heads of one network, each of a chart of its own.
    ice_threshold : float
        Concentration from which on a pixel is ice, a fraction; charts are in tenths, so that 0.15
        is the same as 0.20.
    epochs : int, optional
        Number of epochs; each ends with a validation. By default 50, for probing 30.
    updates : int, optional
        Number of all updates, spread evenly over the epochs; by default an epoch is one pass over the
        patches.
    learning_rate : float, optional
        Learning rate of AdamW at the start; by default 1e-4, for finetune 1e-5.
    batch_size : int
        Patches in a step, of all processes together.
    patience : int
        Epochs without a better validation score after which the training ends; 0: it never ends early.
    augment : bool
        Turn and mirror the training patches.
    class_weights : bool
        Weigh classes by the inverse of their share.
    calibrate : bool
        Fit a temperature to the validation scenes, so that probabilities can be believed, and store
        it in ``best.pt``; also of a training that is finished already.
    fraction : float
        Share of the training scenes (or patches) that is used, for studies of data efficiency.
    fraction_by : {"scene", "patch"}
        Whether a fraction is of scenes or of patches.
    seed : int
        Seed of the random numbers.
    device : str
        Device: auto, cpu, cuda, cuda:1 or mps.
    workers : int
        Processes that read patches; the result does not depend on them.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Precision of numbers in training: by default bf16 or fp16 on GPUs of NVIDIA, else fp32. fp16 is
        for GPUs only; processors with instructions for bf16 are more than twice as fast with it.
    channels_last : bool
        Keep the channels of a pixel together in memory, as mixed precision always does: a third
        faster in fp32, with other last digits.
    resume : bool
        Continue an interrupted training of the folder; otherwise start anew.

    Returns
    -------
    Report
        ``values``: best_epoch, epochs, updates, parameters, patches, the scores of the best epoch.

    Raises
    ------
    InputError
        If a parameter or a file cannot be used, or the folder holds another training.
    """
    settings: dict[str, Any] = {
        "model": model,
        "mode": mode,
        "options": parse_options(options),
        "weights": weights,
        "inputs": inputs,
        "task": join_tasks(task),
        "ice_threshold": float(ice_threshold),
        "epochs": _EPOCHS.get(mode, 50) if epochs is None else epochs,
        "updates": updates,
        "learning_rate": _LEARNING_RATES.get(mode, 1e-4) if learning_rate is None else learning_rate,
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
    parts = select_patches(patch_dir, settings)
    settings |= {
        "split_digest": load_split(patch_dir).digest,
        "patches_sha256": digest_file(patch_dir / "patches.csv"),
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    with join_processes(device) as processes, _lock_folder(output_dir, processes):
        plan = _make_plan(settings, processes, precision, workers, channels_last)
        return _train(settings, plan, parts, processes, patch_dir, output_dir, resume, calibrate)


def _lock_folder(output_dir: Path, processes: ProcessGroup) -> AbstractContextManager[None]:
    """Allow one training at a time in a folder; the first process holds the right for all."""
    return exclusive(output_dir / "training") if processes.is_first else nullcontext()


def _check(settings: dict[str, Any]) -> None:
    """Refuse settings that cannot be used, before any file is read."""
    model, mode = settings["model"], settings["mode"]
    allowed = ["scratch"]
    allowed += ["finetune"] if find_family(model) != "unet" else []
    allowed += ["probing"] if has_backbone(model) else []
    if mode not in allowed:
        raise InputError(f"expected mode {' or '.join(allowed)} for {model}, found {mode!r}")
    if settings["weights"] is not None and mode == "scratch":
        raise InputError("expected no weights for mode scratch; use probing or finetune")
    for names, parameters in (
        (_SET_BY_MODE, "--mode and --weights"),
        (_SET_BY_MODEL, "--model, --inputs and --task"),
    ):
        reserved = sorted(names & set(settings["options"]))
        if reserved:
            raise InputError(
                f"expected no option {', '.join(reserved)}, found it in --options; it follows from "
                f"{parameters}"
            )
    list_channels(settings["inputs"])
    count_outputs(settings["task"])
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
    # Seeds of the epochs are computed from it and must fit into 64 bits.
    if not 0 <= settings["seed"] < 2**32:
        raise InputError(f"expected a seed from 0 to {2**32 - 1}, found {settings['seed']}")
    if settings["class_weights"] and "sic-regression" in settings["task"].split("+"):
        raise InputError("class_weights are for classes; leave them out for sic-regression")


def select_patches(patch_dir: Path, settings: dict[str, Any]) -> tuple[list[PatchRow], list[PatchRow]]:
    """Select the patches for training (a fraction of them) and for validation."""
    from seaice.segmentation.data.patch_dataset import select_subset

    manifest, split = read_manifest(patch_dir), load_split(patch_dir)
    rows = select_subset(
        split.select_rows("train", manifest),
        settings["fraction"],
        by=settings["fraction_by"],
        seed=settings["seed"],
    )
    return rows, split.select_rows("validation", manifest)


def resolve_options(settings: dict[str, Any]) -> dict[str, Any]:
    """Options of the network, with those that follow from the mode and the weights."""
    options = dict(settings["options"])
    if find_family(settings["model"]) == "unet":
        return options
    pretrained: bool | str = settings["mode"] != "scratch"
    if settings["weights"] is not None:
        pretrained = False if settings["weights"] == "random" else settings["weights"]
    options["pretrained"] = pretrained
    if has_backbone(settings["model"]):
        options["frozen"] = settings["mode"] == "probing"
    return options


def _make_plan(
    settings: dict[str, Any],
    processes: ProcessGroup,
    precision: str,
    workers: int,
    channels_last: bool,
) -> TrainingPlan:
    from seaice.runtime.networks.precision import choose_memory_format, choose_precision
    from seaice.segmentation.training.trainer import TrainingPlan

    keys = ("epochs", "updates", "learning_rate", "batch_size", "patience", "seed")
    used = choose_precision(precision, processes.device, on_processor=("fp32", "bf16"))
    return TrainingPlan(
        **{key: settings[key] for key in keys},
        precision=used,
        workers=workers,
        memory_format=choose_memory_format(used, channels_last=channels_last),
    )


def _train(
    settings: dict[str, Any],
    plan: TrainingPlan,
    parts: tuple[list[PatchRow], list[PatchRow]],
    processes: ProcessGroup,
    patch_dir: Path,
    output_dir: Path,
    resume: bool,
    calibrate: bool,
) -> Report:
    """Train in this process; the first process reports."""
    import torch

    from seaice.segmentation.training.trainer import Trainer

    devices = [processes.device] if processes.device.type == "cuda" else []
    # The caller's random numbers stay as if none had been drawn here.
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(settings["seed"])
        setup = _prepare_setup(settings, parts, patch_dir)
        trainer = Trainer(setup, plan, processes, output_dir, resume=resume)
        earlier_epochs = trainer.epoch
        if processes.is_first:
            _write_settings(output_dir / "settings.json", settings, parts)
        if torch.cuda.device_count() > 1 and processes.count == 1:
            logger.info("one of several GPUs is used; torchrun --nproc_per_node N takes N of them")
        trainer.run()
    if not processes.is_first:
        return Report()
    if calibrate:
        _calibrate(trainer)
    return _make_report(settings, parts[0], trainer, earlier_epochs)


def _calibrate(trainer: Trainer) -> None:
    """Add the temperatures of the best model to its checkpoint; the trainer then holds that model."""
    from seaice.runtime.networks.checkpoint_file import load_state, save_checkpoint
    from seaice.segmentation.data.patch_dataset import iterate_batches
    from seaice.segmentation.evaluation.calibration import fit_temperatures
    from seaice.segmentation.networks.checkpoint import read_checkpoint
    from seaice.segmentation.training.trainer import BEST_FILE

    path, setup = trainer.folder / BEST_FILE, trainer.setup
    content = read_checkpoint(path)
    load_state(trainer.network, content["state"], path)
    temperatures = fit_temperatures(
        trainer.network,
        iterate_batches(trainer.make_loader(setup.validation, batch_size=trainer.plan.batch_size)),
        task=setup.task,
        rule=setup.rule,
        device=trainer.device,
        pixels=len(setup.validation) * setup.validation.size**2,
    )
    save_checkpoint(path, content | {"temperatures": temperatures})


def _prepare_setup(
    settings: dict[str, Any], parts: tuple[list[PatchRow], list[PatchRow]], patch_dir: Path
) -> TrainingSetup:
    """Build the network and open the patches; random weights are drawn here."""
    from seaice.segmentation.data.patch_dataset import PatchDataset
    from seaice.segmentation.networks.checkpoint import describe_model
    from seaice.segmentation.training.trainer import TrainingSetup

    options, rule = resolve_options(settings), LabelRule(settings["ice_threshold"])
    inputs, task = settings["inputs"], settings["task"]
    charts = [head.chart for head in list_heads(task)]
    data = [
        PatchDataset(
            patch_dir, rows, inputs=inputs, charts=charts, augment=augment, seed=settings["seed"]
        )
        for rows, augment in zip(parts, (settings["augment"], False), strict=True)
    ]
    channels = data[0].channels
    network = build_network(settings["model"], channels=channels, classes=count_outputs(task), **options)
    metadata = describe_model(
        model=settings["model"], options=options, inputs=inputs, channels=channels, task=task, rule=rule
    )
    metadata |= {
        "split_digest": settings["split_digest"],
        "patch_size": data[0].size,
        "noise": describe_noise(patch_dir),
        "settings": settings,
    }
    weights = _weigh_classes(patch_dir, parts[0], task, rule) if settings["class_weights"] else None
    return TrainingSetup(network, data[0], data[1], task, rule, weights, metadata)


def _weigh_classes(
    patch_dir: Path, rows: list[PatchRow], task: str, rule: LabelRule
) -> list[np.ndarray]:
    """Weigh the classes of every head by the inverse of their share.

    The mean weight is 1, an absent class has 0.
    """
    from seaice.segmentation.data.patch_dataset import read_patch
    from seaice.segmentation.heads.targets import make_label_tables

    heads, tables = list_heads(task), make_label_tables(task, rule)
    counts, names = np.zeros((len(heads), 256), np.int64), [head.chart for head in heads]
    for row in rows:
        charts = read_patch(patch_dir / row.file, row.size, charts=names)[1]
        for table, chart, count in zip(tables, charts, counts, strict=True):
            count += np.bincount(table[chart].ravel(), minlength=256)
    return [_invert_shares(count[: head.classes]) for head, count in zip(heads, counts, strict=True)]


def _invert_shares(counts: np.ndarray) -> np.ndarray:
    pixels = counts.astype(np.float64)
    weights = np.divide(pixels.sum(), pixels, out=np.zeros_like(pixels), where=pixels > 0)
    return weights / max(weights[pixels > 0].mean(), 1e-12) if pixels.any() else weights


def _write_settings(
    path: Path, settings: dict[str, Any], parts: tuple[list[PatchRow], list[PatchRow]]
) -> None:
    scenes = [sorted({row.scene for row in rows}) for rows in parts]
    counts = {"train_patches": len(parts[0]), "validation_patches": len(parts[1])}
    write_json(path, settings | counts | {"train_scenes": scenes[0], "validation_scenes": scenes[1]})


def _make_report(
    settings: dict[str, Any], rows: list[PatchRow], trainer: Trainer, earlier_epochs: int
) -> Report:
    from seaice.segmentation.networks.checkpoint import get_temperatures, read_checkpoint
    from seaice.segmentation.training.log import LOG_FILE
    from seaice.segmentation.training.trainer import (
        BEST_FILE,
        LAST_FILE,
    )

    folder, history = trainer.folder, trainer.history
    score = choose_leading_score(settings["task"])
    checkpoint = read_checkpoint(folder / BEST_FILE)
    best = checkpoint["metrics"]
    trained = sum(parameter.numel() for parameter in trainer.trained)
    total = sum(parameter.numel() for parameter in trainer.network.parameters())
    ending = "all epochs done" if len(history) >= trainer.plan.epochs else "no better score any more"
    report = Report(
        outputs=[folder / file for file in (BEST_FILE, LAST_FILE, LOG_FILE, "settings.json")]
    )
    report.lines = [
        f"{settings['model']} ({settings['mode']}), {settings['inputs']}: {total:,} parameters, "
        f"{trained:,} trained, on {len(rows)} patches of "
        f"{listing(sorted({row.scene for row in rows}), limit=3)}",
        trainer.setup.rule.describe(),
        f"{format_count(len(history), 'epoch')}, {history[-1]['updates']:.0f} updates ({ending})"
        + (f", {earlier_epochs} of them before" if earlier_epochs else ""),
        f"{folder / BEST_FILE}: epoch {best['epoch']:.0f}, validation {score} {best[score]:.4f}",
    ]
    temperatures = get_temperatures(checkpoint)
    if temperatures:
        texts = [f"{name} {value:.3f}" for name, value in temperatures.items()]
        report.lines.append(f"temperatures fitted to the validation scenes: {', '.join(texts)}")
    report.values = {
        "temperatures": temperatures,
        "best_epoch": int(best["epoch"]),
        "epochs": len(history),
        "updates": int(history[-1]["updates"]),
        "parameters": total,
        "patches": len(rows),
        "metrics": best,
    }
    return report
