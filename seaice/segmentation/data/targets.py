"""What a network is asked for: water and ice, or the concentration of the chart.

``classes``: two logits, cross entropy. ``sic``: eleven logits, one by class of concentration, cross
entropy, predicted is the expected class. ``sic-regression``: one number, its logistic function is the
concentration, squared error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from seaice import InputError
from seaice.segmentation.data.labels import (
    IGNORED,
    LabelRule,
)
from seaice.sources.ai4arctic.tables import SIC_PERCENT

if TYPE_CHECKING:
    import torch

Task = Literal["classes", "sic", "sic-regression"]
TASKS: tuple[Task, ...] = get_args(Task)
LEVELS = len(SIC_PERCENT)


def output_count(task: str) -> int:
    """Channels a network needs.

    Raises
    ------
    InputError
        If there is no such task.
    """
    counts = {"classes": 2, "sic": LEVELS, "sic-regression": 1}
    if task not in counts:
        raise InputError(f"expected a task among {', '.join(TASKS)}, found {task!r}")
    return counts[task]


def table_size(task: str) -> int:
    """Classes that are counted in scores: 2, or the 11 of concentration."""
    return 2 if task == "classes" else LEVELS


def truth_table(task: str, rule: LabelRule) -> np.ndarray:
    """From the classes of a chart to those that are learned and counted, uint8 (256,).

    What is no class is ignored.
    """
    table = np.full(256, IGNORED, np.uint8)
    levels = np.arange(LEVELS, dtype=np.uint8)
    table[:LEVELS] = rule.classes(levels) if task == "classes" else levels
    return table


def loss_sums(
    logits: torch.Tensor, truth: torch.Tensor, task: str, weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the losses of the known pixels and of their weights; the loss is their quotient.

    Parameters
    ----------
    logits : Tensor of float, shape (B, K, H, W)
    truth : Tensor of uint8, shape (B, H, W)
        By :func:`truth_table`; 255: ignored.
    task : str
    weights : Tensor of float, shape (K,), optional
        By class; not for sic-regression.
    """
    from torch.nn import functional

    known = truth != IGNORED
    if task == "sic-regression":
        wanted = truth.float() / (LEVELS - 1)
        squares = (logits[:, 0].float().sigmoid() - wanted) ** 2
        return squares[known].sum(), known.sum().float()
    target = truth.long()
    total = functional.cross_entropy(
        logits.float(), target, weight=weights, ignore_index=IGNORED, reduction="sum"
    )
    if weights is None:
        return total, known.sum().float()
    return total, weights[target[known]].sum()


def likelihoods(logits: torch.Tensor, task: str) -> torch.Tensor:
    """What can be averaged over overlapping tiles, float32 (B, K, H, W).

    Probabilities of the classes; for sic-regression the concentration as a fraction.
    """
    return logits.float().sigmoid() if task == "sic-regression" else logits.float().softmax(dim=1)


def concentration(likely: torch.Tensor, task: str) -> torch.Tensor:
    """Expected concentration as a fraction (B, H, W); for classes the probability of ice."""
    import torch

    if task == "classes":
        return likely[:, 1]
    if task == "sic-regression":
        return likely[:, 0]
    levels = torch.arange(LEVELS, dtype=likely.dtype, device=likely.device) / (LEVELS - 1)
    return torch.einsum("bkhw,k->bhw", likely, levels)


def decided(likely: torch.Tensor, task: str) -> torch.Tensor:
    """The class of every pixel, uint8 (B, H, W): 0 or 1, or the nearest class of concentration."""
    import torch

    if task == "classes":
        return likely.argmax(dim=1).to(torch.uint8)
    return (concentration(likely, task) * (LEVELS - 1)).round().clamp(0, LEVELS - 1).to(torch.uint8)
