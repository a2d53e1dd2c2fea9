"""The training loop: updates, validation, checkpoints, and going on after a stop.

An update depends on the settings and its number alone: the order of the patches, their orientation and
the random numbers of every epoch follow from the seed. So a training that is continued ends like one
that was never stopped.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

from seaice import InputError
from seaice.report import Progress
from seaice.runtime.networks.checkpoint_file import load_state, save_checkpoint
from seaice.runtime.networks.precision import set_precision
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.patch_dataset import (
    PatchDataset,
    UpdateSampler,
    iterate_batches,
)
from seaice.segmentation.evaluation.head_scores import (
    choose_leading_score,
    split_counts,
    summarise_counts,
)
from seaice.segmentation.evaluation.patch_counts import count_predictions
from seaice.segmentation.heads.head import list_heads, split_outputs, weigh_heads
from seaice.segmentation.heads.targets import look_up_labels, make_label_tables, sum_losses
from seaice.segmentation.networks.backbone import run_network
from seaice.segmentation.networks.checkpoint import read_checkpoint
from seaice.segmentation.training.distributed import ProcessGroup
from seaice.segmentation.training.log import (
    LOG_FILE,
    format_epoch,
    write_log,
    write_tensorboard,
)

logger = logging.getLogger(__name__)

BEST_FILE, LAST_FILE = "best.pt", "last.pt"
WEIGHT_DECAY = 1e-4
LAST_LEARNING_RATE = 1e-6
LARGEST_GRADIENT = 1.0  # norm to which gradients are clipped


@dataclass(frozen=True)
class TrainingPlan:
    """How long, how fast and how precisely to train.

    Attributes
    ----------
    epochs : int
        Number of epochs; each ends with a validation.
    updates : int or None
        Number of all updates, spread evenly over the epochs; None: every epoch is one pass over the
        patches.
    learning_rate : float
        Learning rate of the first epoch; falls to 1e-6 along a cosine.
    batch_size : int
        Patches in a batch of all processes together.
    patience : int
        Epochs without a better score after which the training ends; 0: it never ends early.
    seed : int
    precision : str
        "fp32", "bf16" or "fp16".
    workers : int
        Processes that read patches.
    memory_format : torch.memory_format
        Order of batches in memory.
    """

    epochs: int
    updates: int | None
    learning_rate: float
    batch_size: int
    patience: int
    seed: int
    precision: str
    workers: int
    memory_format: torch.memory_format = torch.contiguous_format

    def find_updates(self, epoch: int, per_pass: int) -> tuple[int, int]:
        """Find the first update of an epoch (from 0), and the one after its last.

        Parameters
        ----------
        epoch : int
            Number of the epoch, from 0.
        per_pass : int
            Updates in one pass over the patches.
        """
        if self.updates is None:
            return epoch * per_pass, (epoch + 1) * per_pass
        return self.updates * epoch // self.epochs, self.updates * (epoch + 1) // self.epochs


@dataclass(frozen=True)
class TrainingSetup:
    """The network that is trained, and the patches, labels and weights that it is trained with.

    Attributes
    ----------
    network : nn.Module
    train, validation : PatchDataset
    task : str
    rule : LabelRule
    class_weights : list of ndarray of float64, shape (classes,), or None
        Weight of each class in the loss, by head; None: all 1.
    metadata : mapping
        All that every checkpoint holds besides the weights. A training is continued only if its
        ``settings`` are the same.
    """

    network: nn.Module
    train: PatchDataset
    validation: PatchDataset
    task: str
    rule: LabelRule
    class_weights: Sequence[np.ndarray] | None
    metadata: Mapping[str, Any]


class Trainer:
    """A training in a folder, where it writes ``best.pt``, ``last.pt`` and ``log.csv``.

    Parameters
    ----------
    setup : TrainingSetup
    plan : TrainingPlan
    processes : ProcessGroup
    folder : Path
    resume : bool
        Continue from ``last.pt`` where it exists.

    Attributes
    ----------
    trained : list of Parameter
        Parameters of the network without those of a frozen backbone.
    history : list of dict
        Numbers of every finished epoch.

    Raises
    ------
    InputError
        If ``last.pt`` is of another training.
    """

    def __init__(
        self,
        setup: TrainingSetup,
        plan: TrainingPlan,
        processes: ProcessGroup,
        folder: Path,
        *,
        resume: bool,
    ) -> None:
        self.setup, self.plan, self.processes, self.folder = setup, plan, processes, folder
        self.device = processes.device
        self.network = setup.network.to(self.device).to(memory_format=plan.memory_format)  # type: ignore[call-overload]
        self.trained = [p for p in self.network.parameters() if p.requires_grad]
        rate = plan.learning_rate
        self.optimizer = torch.optim.AdamW(self.trained, lr=rate, weight_decay=WEIGHT_DECAY)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(
            self.optimizer, T_max=plan.epochs, eta_min=min(LAST_LEARNING_RATE, rate)
        )
        # Gradients in fp16 are scaled up, so that small ones do not become 0.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=plan.precision == "fp16")
        part = (processes.number, processes.count)
        self.updates = UpdateSampler(len(setup.train), plan.batch_size, seed=plan.seed, part=part)
        self.history: list[dict[str, float]] = []
        self.heads, self.head_weights = list_heads(setup.task), weigh_heads(setup.task)
        self.class_weights = [
            None if weights is None else torch.from_numpy(weights).float().to(self.device)
            for weights in setup.class_weights or (None,) * len(self.heads)
        ]
        self.label_tables = torch.from_numpy(make_label_tables(setup.task, setup.rule))
        if resume and (folder / LAST_FILE).is_file():
            self._resume(folder / LAST_FILE)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the score has not improved for ``patience`` epochs."""
        since_best = self.epoch - self.best_epoch
        patience = self.plan.patience
        return self.epoch >= self.plan.epochs or bool(patience and since_best >= patience)

    @property
    def best_epoch(self) -> int:
        """Number of the epoch with the best score, the first of equals; 0 before the first."""
        scores = [line[choose_leading_score(self.setup.task)] for line in self.history]
        return 1 + scores.index(max(scores)) if scores else 0

    def run(self) -> list[dict[str, float]]:
        """Train to the end; returns the numbers of every epoch.

        Raises
        ------
        InputError
            If no pixel has a class, or the loss is no longer finite.
        """
        forward = self._wrap_network()
        train = self.make_loader(self.setup.train, batch_sampler=self.updates)
        count = len(self.setup.validation)
        own_patches = range(self.processes.number, count, self.processes.count)
        validation = self.make_loader(
            self.setup.validation, sampler=own_patches, batch_size=self.plan.batch_size
        )
        with Progress(total=self.plan.epochs, label="epochs", logger=logger) as progress:
            if self.epoch:
                progress.unit(f"going on after epoch {self.epoch}", count=self.epoch)
            while not self.finished:
                line = self._train_epoch(forward, train, validation)
                self.history.append(line)
                self._save_epoch(line)
                progress.unit(format_epoch(line, choose_leading_score(self.setup.task)))
        return self.history

    def _wrap_network(self) -> nn.Module:
        """The network, wrapped so that several processes train it together where there are several."""
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
            # A backbone may have layers that do not contribute to its output.
            find_unused_parameters=hasattr(self.network, "backbone"),
        )

    def make_loader(self, patches: PatchDataset, **options: Any) -> DataLoader:
        """Make a loader of patches; the options go to torch."""
        workers = self.plan.workers
        return DataLoader(
            patches,
            num_workers=workers,
            # By default a loader draws from torch's generator, by which dropout draws too.
            generator=torch.Generator(),
            persistent_workers=workers > 0,
            pin_memory=self.device.type == "cuda",
            **options,
        )

    def _train_epoch(
        self, forward: nn.Module, train: DataLoader, validation: DataLoader
    ) -> dict[str, float]:
        """Train one epoch and validate; returns its line of the log."""
        began, epoch = time.perf_counter(), self.epoch
        # The primes make the seeds of different trainings, epochs and processes differ.
        torch.manual_seed((self.plan.seed * 1_000_003 + epoch) * 1009 + self.processes.number)
        rate = float(self.optimizer.param_groups[0]["lr"])
        self.updates.start, self.updates.stop = self.plan.find_updates(epoch, self.updates.per_pass)
        forward.train()
        sums = np.zeros((len(self.heads), 2))
        for images, charts in iterate_batches(train):
            sums += self._update(forward, images, charts)
        self._expect_labels(sums[:, 1], "in the patches of train, found none; cut others")
        self.scheduler.step()
        scores, loss = self._validate(validation)
        return {
            "epoch": epoch + 1,
            "updates": self.updates.stop,
            "learning_rate": rate,
            "train_loss": self._average_losses(sums),
            "validation_loss": loss,
            **scores,
            "seconds": round(time.perf_counter() - began, 3),
        }

    def _send(self, images: torch.Tensor) -> torch.Tensor:
        """Images on the device, in the order of memory of the plan."""
        moved = images.to(self.device, non_blocking=True)
        return moved.contiguous(memory_format=self.plan.memory_format)

    def _average_losses(self, sums: np.ndarray) -> float:
        """Mean loss of all heads, from the sums of losses and weights (heads, 2)."""
        means = sums[:, 0] / sums[:, 1]
        return float(sum(weight * mean for weight, mean in zip(self.head_weights, means, strict=True)))

    def _expect_labels(self, pixels: np.ndarray, message: str) -> None:
        """Refuse patches without a labelled pixel for one of the heads; ``pixels`` are by head."""
        for head, count in zip(self.heads, pixels, strict=True):
            if not count:
                chart = "" if head.chart == "SIC" else f" of {head.chart}"
                raise InputError(f"expected pixels with a class{chart} {message}")

    def _update(self, forward: nn.Module, images: torch.Tensor, charts: torch.Tensor) -> np.ndarray:
        """Make one update; returns the sums of losses and weights by head over all processes."""
        truths = look_up_labels(self.label_tables, charts).to(self.device, non_blocking=True)
        with set_precision(self.plan.precision, self.device):
            logits = run_network(forward, self._send(images))
        losses = [
            sum_losses(part, truths[:, number], self.heads[number].name, self.class_weights[number])
            for number, part in enumerate(split_outputs(logits, self.setup.task))
        ]
        sums = np.array([[float(loss.detach()), float(weight)] for loss, weight in losses])
        sums = self.processes.sum_over_processes(sums)
        self._expect_finite(float(sums[:, 0].sum()), "loss")
        self.optimizer.zero_grad(set_to_none=True)
        # The mean over the pixels of all processes. DistributedDataParallel averages gradients over the
        # processes, which divides by their number; the factor undoes that.
        mean = sum(
            head_weight * (loss * self.processes.count / max(weight, 1.0))
            for head_weight, (loss, _), weight in zip(self.head_weights, losses, sums[:, 1], strict=True)
        )
        self.scaler.scale(mean).backward()
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.trained, LARGEST_GRADIENT)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return sums

    def _expect_finite(self, loss: float, name: str) -> None:
        if not math.isfinite(loss):
            raise InputError(
                f"expected a finite {name}, found {loss} in epoch {self.epoch + 1}; the files of the "
                "epochs before are kept; train in another folder with a smaller learning_rate"
            )

    def _validate(self, validation: DataLoader) -> tuple[dict[str, float], float]:
        """Scores and loss of all validation patches."""
        if self.processes.count > 1:
            # Running statistics of batch normalisation differ by process; all take those of the first.
            for buffer in self.network.buffers():
                torch.distributed.broadcast(buffer, 0)
        with set_precision(self.plan.precision, self.device):
            counts = count_predictions(
                self.network,
                ((self._send(images), charts) for images, charts in iterate_batches(validation)),
                task=self.setup.task,
                rule=self.setup.rule,
                device=self.device,
            )
        total = sum(counts.tables, np.zeros(sum(head.classes**2 for head in self.heads), np.int64))
        total = self.processes.sum_over_processes(total)
        sums = self.processes.sum_over_processes(np.stack([counts.loss, counts.weight], axis=1))
        tables = split_counts(total, self.setup.task)
        pixels = np.array([table.sum() for table in tables])
        self._expect_labels(pixels, "for validation, found none; cut other patches")
        # The last update of an epoch may have made the weights infinite, which no later update shows.
        self._expect_finite(float(sums[:, 0].sum()), "loss of validation")
        scores = summarise_counts(total, self.setup.task, self.setup.rule)
        if not math.isfinite(scores[choose_leading_score(self.setup.task)]):
            raise InputError(
                "expected several classes of concentration in the patches of validation, found one, so "
                "that there is no R2; cut more scenes, or make the split again"
            )
        has_one_class = any((table.sum(axis=1) > 0).sum() == 1 for table in tables)
        if self.epoch == 0 and self.processes.is_first and has_one_class:
            logger.warning("the patches of validation have one class only: the best epoch means little")
        return scores, self._average_losses(sums)

    def _save_epoch(self, line: dict[str, float]) -> None:
        """Write the checkpoints and the log of an epoch, the best model first."""
        if not self.processes.is_first:
            return
        content = {
            **self.setup.metadata,
            "state": self.network.state_dict(),
            "epoch": self.epoch,
            "updates": line["updates"],
            "metrics": {key: float(value) for key, value in line.items()},
        }
        if self.best_epoch == self.epoch:
            save_checkpoint(self.folder / BEST_FILE, content)
        progress = {
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "history": self.history,
        }
        save_checkpoint(self.folder / LAST_FILE, content | progress)
        write_log(self.folder / LOG_FILE, self.history)
        write_tensorboard(self.folder / "tensorboard", line)

    def _resume(self, path: Path) -> None:
        """Continue from a checkpoint of the same settings; the number of epochs may be larger.

        Raises
        ------
        InputError
            If its settings differ, or it cannot be continued.
        """
        checkpoint = read_checkpoint(path)
        settings, earlier = self.setup.metadata["settings"], checkpoint.get("settings", {})
        changed = [f"{key} {earlier.get(key)}" for key in settings if earlier.get(key) != settings[key]]
        # A total of updates is spread over the epochs: other epochs would begin at other updates.
        may_differ = self.plan.updates is None and checkpoint.get("epoch", 0) <= self.plan.epochs
        is_extended = may_differ and changed == [f"epochs {earlier.get('epochs')}"]
        if is_extended:
            changed = []
        if changed or "optimizer" not in checkpoint:
            raise InputError(
                f"expected a training with the same settings in {self.folder}, found one of "
                f"{', '.join(changed) or 'another kind'}; choose another --output_dir, or start anew "
                "with --no_resume"
            )
        load_state(self.network, checkpoint["state"], path)
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.scheduler.load_state_dict(checkpoint["scheduler"])
        self.scaler.load_state_dict(checkpoint["scaler"])
        self.history = list(checkpoint["history"])
        if is_extended:
            self._follow_other_cosine(earlier["epochs"])

    def _follow_other_cosine(self, earlier_epochs: int) -> None:
        """Set the learning rate of the next epoch to that of a training with the epochs of the plan."""
        scheduler, epochs = self.scheduler, self.plan.epochs
        scheduler.T_max = epochs
        share = (1 + math.cos(math.pi * self.epoch / epochs)) / 2
        rate = scheduler.eta_min + share * (self.plan.learning_rate - scheduler.eta_min)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.epoch < epochs:
            logger.warning(
                "going on to %d epochs instead of %d with the learning rate of the longer training: not "
                "what %d epochs at once would have given",
                epochs,
                earlier_epochs,
                epochs,
            )
