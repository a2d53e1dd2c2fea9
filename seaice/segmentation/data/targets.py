"""What a network predicts: water and ice, or the concentration of the ice chart.

``classes``: two logits, cross entropy. ``sic``: eleven logits, one for each class of concentration,
cross entropy; predicted is the expected class. ``sic-regression``: one number whose logistic function
is the concentration, squared error.
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

# What a network sees, and what it predicts.
Inputs = Literal["sar", "sar+amsr2"]
Task = Literal["classes", "sic", "sic-regression"]
TASKS: tuple[Task, ...] = get_args(Task)
LEVELS = len(SIC_PERCENT)


def count_outputs(task: str) -> int:
    """Number of channels that the output of a network has.

    Raises
    ------
    InputError
        If there is no such task.
    """
    counts = {"classes": 2, "sic": LEVELS, "sic-regression": 1}
    if task not in counts:
        raise InputError(f"expected a task among {', '.join(TASKS)}, found {task!r}")
    return counts[task]


def count_classes(task: str) -> int:
    """Number of classes that scores count: 2, or the 11 of concentration."""
    return 2 if task == "classes" else LEVELS


def make_label_table(task: str, rule: LabelRule) -> np.ndarray:
    """Look-up table from the class of a chart to the label that is learned and counted, uint8 (256,).

    A value that is no class becomes 255, which is ignored.
    """
    table = np.full(256, IGNORED, np.uint8)
    levels = np.arange(LEVELS, dtype=np.uint8)
    table[:LEVELS] = rule.label(levels) if task == "classes" else levels
    return table


def sum_losses(
    logits: torch.Tensor, truth: torch.Tensor, task: str, weights: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums of the losses and of the weights of all pixels with a label; the loss is their quotient.

    Sums can be added over batches and processes, which means cannot.

    Parameters
    ----------
    logits : Tensor of float, shape (B, K, H, W)
    truth : Tensor of uint8, shape (B, H, W)
        Labels of :func:`make_label_table`; 255: ignored.
    task : str
    weights : Tensor of float, shape (K,), optional
        Weight of each class; not for sic-regression.
    """
    from torch.nn import functional

    is_labelled = truth != IGNORED
    if task == "sic-regression":
        target = truth.float() / (LEVELS - 1)
        squares = (logits[:, 0].float().sigmoid() - target) ** 2
        return squares[is_labelled].sum(), is_labelled.sum().float()
    classes = truth.long()
    total = functional.cross_entropy(
        logits.float(), classes, weight=weights, ignore_index=IGNORED, reduction="sum"
    )
    if weights is None:
        return total, is_labelled.sum().float()
    return total, weights[classes[is_labelled]].sum()


def convert_logits(logits: torch.Tensor, task: str) -> torch.Tensor:
    """Predictions that can be averaged over overlapping tiles, float32 (B, K, H, W).

    They are probabilities of the classes; for sic-regression the concentration as a fraction.
    """
    return logits.float().sigmoid() if task == "sic-regression" else logits.float().softmax(dim=1)


def compute_concentration(predictions: torch.Tensor, task: str) -> torch.Tensor:
    """Expected concentration as a fraction (B, H, W); for classes the probability of ice.

    Parameters
    ----------
    predictions : Tensor of float32, shape (B, K, H, W)
        Predictions of :func:`convert_logits`.
    task : str
    """
    import torch

    if task == "classes":
        return predictions[:, 1]
    if task == "sic-regression":
        return predictions[:, 0]
    levels = torch.arange(LEVELS, dtype=predictions.dtype, device=predictions.device) / (LEVELS - 1)
    return torch.einsum("bkhw,k->bhw", predictions, levels)


def decide_classes(predictions: torch.Tensor, task: str) -> torch.Tensor:
    """Predicted class of every pixel, uint8 (B, H, W): 0 or 1, or the nearest class of concentration."""
    import torch

    if task == "classes":
        return predictions.argmax(dim=1).to(torch.uint8)
    levels = (compute_concentration(predictions, task) * (LEVELS - 1)).round()
    return levels.clamp(0, LEVELS - 1).to(torch.uint8)
