"""What a head predicts: water and ice, concentration, stage of development or floe size.

``classes``: two logits, cross entropy. ``sic``: eleven logits, one for each class of concentration,
cross entropy; predicted is the expected class. ``sic-regression``: one number whose logistic function
is the concentration, squared error. ``sod`` and ``floe``: a logit for each class, cross entropy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.data.labels import (
    IGNORED,
    LabelRule,
)
from seaice.segmentation.heads.head import HEADS, list_heads, split_outputs
from seaice.sources.ai4arctic.tables import SIC_PERCENT

if TYPE_CHECKING:
    import torch

LEVELS = len(SIC_PERCENT)


def make_label_table(task: str, rule: LabelRule) -> np.ndarray:
    """Look-up table from the class of a chart to the label that is learned and counted, uint8 (256,).

    A value that is no class becomes 255, which is ignored.
    """
    table = np.full(256, IGNORED, np.uint8)
    if task == "classes":
        table[:LEVELS] = rule.label(np.arange(LEVELS, dtype=np.uint8))
    else:
        count = HEADS[task].classes
        table[:count] = np.arange(count)
    return table


def make_label_tables(task: str, rule: LabelRule) -> np.ndarray:
    """Tables of all heads of a task, uint8 (heads, 256)."""
    return np.stack([make_label_table(head.name, rule) for head in list_heads(task)])


def look_up_labels(tables: torch.Tensor, charts: torch.Tensor) -> torch.Tensor:
    """Labels of charts (B, heads, H, W) by the tables (heads, 256), uint8 as both."""
    import torch

    return torch.stack([table[charts[:, k].long()] for k, table in enumerate(tables)], dim=1)


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
        Name of one head.
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


def convert_logits(
    logits: torch.Tensor, task: str, temperatures: Mapping[str, float] | None = None
) -> torch.Tensor:
    """Predictions that can be averaged over overlapping tiles, float32 (B, K, H, W).

    They are probabilities of the classes; for sic-regression the concentration as a fraction.

    Parameters
    ----------
    logits : Tensor of float, shape (B, K, H, W)
    task : str
        One head, or several.
    temperatures : mapping of str to float, optional
        Number by which the logits of a head are divided, by its name.
    """
    import torch

    parts = []
    for head, part in zip(list_heads(task), split_outputs(logits, task), strict=True):
        part = part.float()
        if temperatures and head.name in temperatures:
            part = part / temperatures[head.name]
        parts.append(part.softmax(dim=1) if head.has_probabilities else part.sigmoid())
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def compute_concentration(predictions: torch.Tensor, task: str) -> torch.Tensor:
    """Expected concentration as a fraction (B, H, W); for classes the probability of ice.

    Parameters
    ----------
    predictions : Tensor of float32, shape (B, K, H, W)
        Predictions of :func:`convert_logits`, of one head of concentration.
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
    """Predicted class of every pixel by one head, uint8 (B, H, W).

    For sic it is the class nearest to the expected concentration, else the most probable one.
    """
    import torch

    if task == "classes" or HEADS[task].is_type:
        return predictions.argmax(dim=1).to(torch.uint8)
    levels = (compute_concentration(predictions, task) * (LEVELS - 1)).round()
    return levels.clamp(0, LEVELS - 1).to(torch.uint8)
