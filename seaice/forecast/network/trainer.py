"""The training loop. A step depends on settings and its number alone, so that it can be continued."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from seaice import InputError
from seaice.cf import ICE_EDGE
from seaice.forecast.network.windows import Batch, Maps, TrainingDays, unpack
from seaice.report import Progress
from seaice.runtime.networks.checkpoint_file import load_state, save_checkpoint
from seaice.runtime.networks.precision import set_precision
from seaice.runtime.networks.prefetch import iterate_ahead

logger = logging.getLogger(__name__)

_RATE, _WARM_UP, _FIRST_PART, _LAST_PART = 1.5e-3, 0.3, 1 / 25, 1e-4
_LARGEST_GRADIENT = 0.5
# Weight of the cross entropy of ice and no ice, and the width of the edge in it.
_EDGE_WEIGHT, _EDGE_WIDTH = 0.01, 0.04
# Steps between two lines of the log, at each of which the checkpoint is written.
_STEPS_PER_LINE = 200


@dataclass(frozen=True)
class Plan:
    """How long and how a network is trained.

    Attributes
    ----------
    steps : int
    minutes : float or None
        The training ends after so much time even if steps are left.
    seed : int
    share_backwards : float
        Part of the windows that run backwards in time.
    batch_size, patch_size : int
        Windows of a step, and cells on their sides.
    precision : str
        fp32 or bf16.
    compiled : bool
        Compile the network.
    workers : int
        Threads that draw windows ahead.
    """

    steps: int
    minutes: float | None
    seed: int
    share_backwards: float = 0.0
    batch_size: int = 4
    patch_size: int = 128
    precision: str = "fp32"
    compiled: bool = False
    workers: int = 1


class Trainer:
    """A training that writes one checkpoint.

    Parameters
    ----------
    network : nn.Module
    days : TrainingDays
    plan : Plan
    path : Path
        The checkpoint.
    metadata : dict
        What the checkpoint holds besides weights; a training with other ``settings`` is not continued.
    device : torch.device
    """

    def __init__(
        self,
        network: nn.Module,
        days: TrainingDays,
        plan: Plan,
        *,
        path: Path,
        metadata: dict[str, Any],
        device: torch.device,
    ) -> None:
        self.network, self.days, self.plan, self.path = network.to(device), days, plan, path
        self.device, self._metadata = device, metadata
        self.step, self.seconds = 0, 0.0
        # One kernel for all weights.
        self._optimizer = torch.optim.AdamW(self.network.parameters(), lr=_RATE, fused=True)
        # Compiled for training alone: whole grids and tiles have other shapes.
        self._forward: Callable[[torch.Tensor], torch.Tensor] = (
            torch.compile(self.network, dynamic=False) if plan.compiled else self.network
        )
        errors = days.measure_base()
        # Leads count alike in units of the error that the network starts from.
        weights = torch.from_numpy((errors.mean() / errors.clip(1e-9)).astype(np.float32))
        self._lead_weights = weights.to(device)
        self.base_loss = float(errors.mean())

    def resume(self, content: dict[str, Any]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        InputError
            If it is of other settings or other days.
        """
        for name, value in self._metadata["settings"].items():
            before = content["settings"].get(name)
            if before != value:
                raise InputError(
                    f"{self.path} was trained with {name} {before}, not {value}; choose another "
                    "--output_dir, or --no_resume to train anew"
                )
        load_state(self.network, content["state"], self.path)
        self._optimizer.load_state_dict(content["optimizer"])
        self.step, self.seconds = content["step"], content["seconds"]

    @property
    def progress(self) -> float:
        """Part of the training that is done: by steps or by time, whichever is more."""
        by_time = self.seconds / (60 * self.plan.minutes) if self.plan.minutes else 0.0
        return max(self.step / self.plan.steps, by_time)

    def run(self, validate: Callable[[], str]) -> None:
        """Train to the end.

        Parameters
        ----------
        validate : callable
            Text about the network as it is, for every line of the log.
        """
        with (
            closing(self.read_ahead()) as batches,
            Progress(total=self.plan.steps, label="steps", logger=logger) as progress,
        ):
            if self.step:
                progress.unit(f"going on after step {self.step}", count=self.step)
            logged, errors = self.step, []
            begin = time.monotonic() - self.seconds
            while self.progress < 1:
                errors.append(self._train_step(next(batches)))
                self.step += 1
                self.seconds = time.monotonic() - begin
                if self.progress >= 1 or self.step % _STEPS_PER_LINE == 0:
                    text = f"step {self.step}: squared error {self._average(errors):.5f}"
                    self.save()
                    text += f" (base {self.base_loss:.5f}){validate()}"
                    progress.unit(text, count=self.step - logged)
                    logged, errors = self.step, []

    def read_ahead(self) -> Generator[Batch]:
        """Windows of the steps from this one on, drawn ahead of their use and sent to the device."""

        def draw(step: int) -> list[torch.Tensor]:
            plan, rng = self.plan, np.random.default_rng([self.plan.seed, step])
            batch = self.days.draw(
                rng, count=plan.batch_size, size=plan.patch_size, share_backwards=plan.share_backwards
            )
            return [torch.from_numpy(values) for values in batch]

        steps = range(self.step, self.plan.steps)
        batches = iterate_ahead(draw, steps, device=self.device, workers=self.plan.workers)
        with closing(batches):
            for tensors in batches:
                yield Batch(*tensors)

    def _average(self, errors: list[torch.Tensor]) -> float:
        """Mean of the errors of the last steps; asked for together, so that no step waits for a GPU."""
        values = torch.stack(errors).cpu()
        if not values.isfinite().all():
            step = self.step - len(errors) + int((~values.isfinite()).nonzero()[0])
            raise InputError(f"the error of step {step} is no number: choose another --seed")
        return float(values.double().mean())

    def save(self, edges: Sequence[float] = ()) -> None:
        """Write the checkpoint whole or not at all; ``edges`` belong to a finished training."""
        content = self._metadata | {
            "edges": list(edges),
            "state": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        save_checkpoint(self.path, content)

    def _train_step(self, batch: Batch) -> torch.Tensor:
        """Make one step; returns the squared error, on the device."""
        errors, loss = self.compute_loss(unpack(batch))
        loss.backward()
        self.update()
        return errors

    def compute_loss(self, maps: Maps) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared error and loss of windows."""
        self.network.train()
        with set_precision(self.plan.precision, self.device):
            increments = self._forward(maps.inputs)
        forecast = (maps.base + increments.float()).clamp(0, 1)
        return compute_loss(forecast, maps.targets, maps.weights, self._lead_weights)

    def update(self) -> None:
        """Move the weights down their gradient, at the rate of this step."""
        nn.utils.clip_grad_norm_(self.network.parameters(), _LARGEST_GRADIENT)
        for group in self._optimizer.param_groups:
            group["lr"] = _RATE * compute_rate(self.progress)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)


def compute_rate(progress: float) -> float:
    """Learning rate as a part of its peak: up along a cosine, then down to almost nothing.

    Examples
    --------
    >>> [round(compute_rate(part), 4) for part in (0.0, 0.3, 1.0)]
    [0.04, 1.0, 0.0001]
    """
    if progress < _WARM_UP:
        low, part = _FIRST_PART, progress / _WARM_UP
    else:
        low, part = _LAST_PART, (1 - progress) / (1 - _WARM_UP)
    return low + (1 - low) * (1 - math.cos(math.pi * max(part, 0.0))) / 2


def compute_loss(
    forecast: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor, lead_weights: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error over leads, and the loss: leads weighted, with the cross entropy of ice.

    All tensors but ``lead_weights`` (leads,) have the shape (windows, leads, rows, columns).
    """
    counts = weights.sum(dim=(0, 2, 3)).clamp(min=1)
    squares = ((forecast - targets) ** 2 * weights).sum(dim=(0, 2, 3)) / counts
    is_ice = (targets >= ICE_EDGE - 1e-6).float()
    entropy = (
        functional.binary_cross_entropy_with_logits(
            (forecast - ICE_EDGE) / _EDGE_WIDTH, is_ice, weight=weights, reduction="none"
        ).sum(dim=(0, 2, 3))
        / counts
    )
    loss = (lead_weights * (squares + _EDGE_WEIGHT * entropy)).mean()
    return squares.detach().mean(), loss
