"""The training loop: updates, validation, checkpoints, and going on after a stop.

What an update does depends on the settings and its number alone: the order of the patches, how they are
turned and the random numbers of every epoch come of the seed. So a training that goes on ends as one
that was never stopped.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from seaice import InputError
from seaice.report import Progress
from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import (
    PatchDataset,
    Updates,
)
from seaice.segmentation.data.targets import (
    loss_sums,
    table_size,
    truth_table,
)
from seaice.segmentation.evaluation.pooled import (
    leading,
    score_network,
    summary,
)
from seaice.segmentation.networks.checkpoint import (
    load_state,
    read_checkpoint,
    save_checkpoint,
)
from seaice.segmentation.training.distributed import Processes

logger = logging.getLogger(__name__)

BEST, LAST, LOG = "best.pt", "last.pt", "log.csv"
WEIGHT_DECAY, LAST_RATE, LARGEST_GRADIENT = 1e-4, 1e-6, 1.0


@dataclass(frozen=True)
class Plan:
    """How long and how fast to train.

    Attributes
    ----------
    epochs : int
        Times of validation.
    updates : int or None
        In all, over all epochs alike; None: every epoch is one pass over the patches.
    learning_rate : float
        Of the first epoch; falls to 1e-6 along a cosine.
    batch_size : int
        Of all processes together.
    patience : int
        Epochs without a better score before it ends; 0: never.
    seed : int
    precision : str
        "fp32", "bf16" or "fp16".
    workers : int
        Processes that read patches.
    """

    epochs: int
    updates: int | None
    learning_rate: float
    batch_size: int
    patience: int
    seed: int
    precision: str
    workers: int

    def bounds(self, epoch: int, per_pass: int) -> tuple[int, int]:
        """First update of an epoch (from 0), and the one after its last."""
        if self.updates is None:
            return epoch * per_pass, (epoch + 1) * per_pass
        return self.updates * epoch // self.epochs, self.updates * (epoch + 1) // self.epochs


@dataclass(frozen=True)
class Material:
    """What is trained, on what.

    Attributes
    ----------
    network : nn.Module
    train, validation : PatchDataset
    task : str
    rule : LabelRule
    weights : ndarray or None
        Of the classes in the loss.
    note : mapping
        What every checkpoint says besides the weights; ``settings`` must be the same to go on.
    """

    network: nn.Module
    train: PatchDataset
    validation: PatchDataset
    task: str
    rule: LabelRule
    weights: np.ndarray | None
    note: Mapping[str, Any]


def precision_for(precision: str, device: torch.device) -> str:
    """What "auto" means on a device: bf16 or fp16 on a GPU, fp32 elsewhere.

    Raises
    ------
    InputError
        If mixed precision is asked for without a GPU.
    """
    if precision not in ("auto", "fp32", "bf16", "fp16"):
        raise InputError(f"expected precision auto, fp32, bf16 or fp16, found {precision!r}")
    if device.type != "cuda":
        if precision in ("bf16", "fp16"):
            raise InputError(
                f"expected a GPU for {precision}, found {device.type}; use --precision fp32"
            )
        return "fp32"
    if precision == "auto":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return precision


def batches_of(loader: DataLoader) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of a loader; what a worker found wrong is said in one line as without workers."""
    try:
        yield from loader
    except InputError as error:
        # A worker hands on its traceback; the message is the last line.
        last = str(error).strip().splitlines()[-1]
        raise InputError(last.removeprefix("seaice.InputError: ")) from None


class Trainer:
    """One training in a folder: ``best.pt``, ``last.pt``, ``log.csv``.

    Parameters
    ----------
    material : Material
    plan : Plan
    processes : Processes
    folder : Path
    resume : bool
        Go on from ``last.pt`` where it is there.
    """

    def __init__(
        self, material: Material, plan: Plan, processes: Processes, folder: Path, *, resume: bool
    ) -> None:
        self.material, self.plan, self.processes, self.folder = material, plan, processes, folder
        self.device = processes.device
        self.network = material.network.to(self.device)
        learning = [p for p in self.network.parameters() if p.requires_grad]
        rate = plan.learning_rate
        self.optimizer = torch.optim.AdamW(learning, lr=rate, weight_decay=WEIGHT_DECAY)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, T_max=plan.epochs, eta_min=min(LAST_RATE, rate)
        )
        half = plan.precision == "fp16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=half)
        part = (processes.number, processes.count)
        self.updates = Updates(len(material.train), plan.batch_size, seed=plan.seed, part=part)
        self.history: list[dict[str, float]] = []
        self.truth = torch.from_numpy(truth_table(material.task, material.rule))
        if resume and (folder / LAST).is_file():
            self._take_up(folder / LAST)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        since = self.epoch - self.best_epoch
        return self.epoch >= self.plan.epochs or bool(self.plan.patience and since >= self.plan.patience)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the best score, the first of equals; 0 before the first."""
        scores = [line[leading(self.material.task)] for line in self.history]
        return 1 + scores.index(max(scores)) if scores else 0

    def run(self) -> list[dict[str, float]]:
        """Train to the end; one line of numbers for each epoch."""
        forward = self._forward()
        loader = self._loader(self.material.train, batch_sampler=self.updates)
        count = len(self.material.validation)
        mine = range(self.processes.number, count, self.processes.count)
        check = self._loader(self.material.validation, sampler=mine, batch_size=self.plan.batch_size)
        with Progress(total=self.plan.epochs, label="epochs", logger=logger) as progress:
            if self.epoch:
                progress.unit(f"going on after epoch {self.epoch}", count=self.epoch)
            while not self.finished:
                line = self._one_epoch(forward, loader, check)
                self.history.append(line)
                self._keep(line)
                progress.unit(told(line, leading(self.material.task)))
        return self.history

    def _forward(self) -> nn.Module:
        """The network, and around it what keeps several processes together."""
        if self.processes.count == 1:
            return self.network
        from torch.nn.parallel import DistributedDataParallel

        on_gpu = self.device.type == "cuda"
        if on_gpu:
            # Statistics of the whole batch, as with one process.
            nn.SyncBatchNorm.convert_sync_batchnorm(self.network)
        elif self.processes.is_first and "running_mean" in str(self.network.state_dict().keys()):
            logger.warning(
                "on processors batch normalisation sees the share of one process, not the whole batch: "
                "the result is not that of one process"
            )
        return DistributedDataParallel(
            self.network,
            device_ids=[self.device.index] if on_gpu else None,
            # A backbone may have layers that lead nowhere.
            find_unused_parameters=hasattr(self.network, "backbone"),
        )

    def _loader(self, patches: PatchDataset, **options: Any) -> DataLoader:
        workers = self.plan.workers
        return DataLoader(
            patches,
            num_workers=workers,
            # With one of its own it draws none of the numbers by which a network drops features.
            generator=torch.Generator(),
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
            **options,
        )

    def _mixed(self) -> AbstractContextManager[Any]:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        if self.plan.precision not in kinds:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=kinds[self.plan.precision])

    def _one_epoch(self, forward: nn.Module, loader: DataLoader, check: DataLoader) -> dict[str, float]:
        began, epoch = time.perf_counter(), self.epoch
        torch.manual_seed((self.plan.seed * 1_000_003 + epoch) * 1009 + self.processes.number)
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.updates.start, self.updates.stop = self.plan.bounds(epoch, self.updates.per_pass)
        forward.train()
        sums = np.zeros(2)
        for images, sic in batches_of(loader):
            sums += self._update(forward, images, sic)
        if not sums[1]:
            raise InputError(
                "expected pixels with a class in the patches of train, found none; cut others"
            )
        self.scheduler.step()
        scores, loss = self._validate(check)
        return {
            "epoch": epoch + 1,
            "updates": self.updates.stop,
            "learning_rate": rate,
            "train_loss": float(sums[0] / sums[1]),
            "validation_loss": loss,
            **scores,
            "seconds": round(time.perf_counter() - began, 3),
        }

    def _update(self, forward: nn.Module, images: torch.Tensor, sic: torch.Tensor) -> np.ndarray:
        """One step; returns the sums of losses and weights of all processes."""
        truth = self.truth[sic.long()].to(self.device, non_blocking=True)
        weights = self.material.weights
        on_device = None if weights is None else torch.from_numpy(weights).float().to(self.device)
        with self._mixed():
            logits = _seen(forward, images.to(self.device, non_blocking=True))
        loss, weight = loss_sums(logits, truth, self.material.task, on_device)
        known = np.array([float(loss.detach()), float(weight)])
        known = self.processes.total(known)
        self._expect_finite(known[0], "loss")
        self.optimizer.zero_grad(set_to_none=True)
        # The mean over the pixels of all processes; averaging of gradients divides by their number.
        mean = loss * self.processes.count / max(known[1], 1.0)
        self.scaler.scale(mean).backward()
        self.scaler.unscale_(self.optimizer)
        learning = self.optimizer.param_groups[0]["params"]
        nn.utils.clip_grad_norm_(learning, LARGEST_GRADIENT)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return known

    def _expect_finite(self, loss: float, name: str) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"expected a finite {name}, found {loss} in epoch {self.epoch + 1}; what was kept is of "
                "the epochs before; train in another folder with a smaller learning_rate"
            )

    def _validate(self, check: DataLoader) -> tuple[dict[str, float], float]:
        if self.processes.count > 1:
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)  # running statistics differ by process
        with self._mixed():
            counts = score_network(
                self.network,
                batches_of(check),
                task=self.material.task,
                rule=self.material.rule,
                device=self.device,
            )
        size = table_size(self.material.task)
        table = sum(counts.tables, np.zeros((size, size), np.int64))
        table = self.processes.total(table)
        loss, weight = self.processes.total(np.array([counts.loss, counts.weight]))
        if not table.sum():
            raise InputError(
                "expected pixels with a class for validation, found none; cut other patches"
            )
        # The last update of an epoch may have broken what the next would find.
        self._expect_finite(loss, "loss of validation")
        found = summary(table, self.material.rule)
        if not math.isfinite(found[leading(self.material.task)]):
            raise InputError(
                "expected several classes of concentration in the patches of validation, found one, so "
                "that there is no R2; cut more scenes, or make the split again"
            )
        if self.epoch == 0 and self.processes.is_first and (table.sum(axis=1) > 0).sum() == 1:
            logger.warning("the patches of validation have one class only: the best epoch means little")
        return found, float(loss / weight)

    def _keep(self, line: dict[str, float]) -> None:
        """Write what must outlast a stop, the best model first."""
        if not self.processes.is_first:
            return
        content = {
            **self.material.note,
            "state": self.network.state_dict(),
            "epoch": self.epoch,
            "updates": line["updates"],
            "metrics": {key: float(value) for key, value in line.items()},
        }
        if self.best_epoch == self.epoch:
            save_checkpoint(self.folder / BEST, content)
        progress = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": self.history,
        }
        save_checkpoint(self.folder / LAST, content | progress)
        write_log(self.folder / LOG, self.history)
        to_tensorboard(self.folder / "tensorboard", line)

    def _take_up(self, path: Path) -> None:
        """Continue from a checkpoint of the same settings."""
        found = read_checkpoint(path)
        wanted, there = self.material.note["settings"], found.get("settings", {})
        other = [f"{key} {there.get(key)}" for key in wanted if there.get(key) != wanted[key]]
        if other or "optimizer" not in found:
            raise InputError(
                f"expected a training with the same settings in {self.folder}, found one of "
                f"{', '.join(other) or 'another kind'}; choose another --output_dir, or start anew with "
                "--no_resume"
            )
        load_state(self.network, found["state"], path)
        self.optimizer.load_state_dict(found["optimizer"])
        self.scheduler.load_state_dict(found["scheduler"])
        self.scaler.load_state_dict(found["scaler"])
        self.history = list(found["history"])


def _seen(forward: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Logits of a batch for training."""
    try:
        logits: torch.Tensor = forward(images)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise InputError(
            f"expected several values in each feature for batch normalisation, found one in a batch of "
            f"{len(images)} by process; give a larger batch_size, larger patches or less depth"
        ) from None
    return logits


def told(line: Mapping[str, float], name: str) -> str:
    """An epoch in one line; ``name`` is the score to tell."""
    return (
        f"epoch {line['epoch']:.0f}: loss {line['train_loss']:.4f}, validation "
        f"{line['validation_loss']:.4f}, {name} {line[name]:.4f} ({line['seconds']:.1f} s)"
    )


def write_log(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """The table of all epochs."""
    with atomic(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)


def to_tensorboard(folder: Path, line: Mapping[str, float]) -> None:
    """Also for TensorBoard, where it is installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    epoch = int(line["epoch"])
    with SummaryWriter(str(folder), purge_step=epoch) as writer:
        for name, value in line.items():
            if name not in ("epoch", "seconds"):
                writer.add_scalar(name, value, epoch)
