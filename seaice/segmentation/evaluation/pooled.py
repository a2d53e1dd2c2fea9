"""Counts of every patch by a network or a rule, in the order of the patches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.targets import (
    decided,
    likelihoods,
    loss_sums,
    table_size,
    truth_table,
)
from seaice.segmentation.evaluation.metrics import (
    EdgeSums,
    as_water_and_ice,
    confusion,
    edge_sums,
    r2,
    scores,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

Batches = Iterable[tuple["torch.Tensor", "torch.Tensor"]]


@dataclass
class PatchCounts:
    """What was counted, patch by patch.

    Attributes
    ----------
    tables : list of ndarray of int64
        (2, 2), or (11, 11) for concentration: rows the chart, columns the prediction.
    edges : list of EdgeSums
        Empty if they were not asked for.
    loss, weight : float
        Sums over all pixels.
    """

    tables: list[np.ndarray] = field(default_factory=list)
    edges: list[EdgeSums] = field(default_factory=list)
    loss: float = 0.0
    weight: float = 0.0

    def add(self, truth: np.ndarray, predicted: np.ndarray, rule: LabelRule | None, size: int) -> None:
        """Count one patch; with a rule the ice edge too."""
        self.tables.append(confusion(truth, predicted, size))
        if rule is not None:
            is_ice = predicted >= (rule.first_class if size > 2 else 1)
            labels = truth if size == 2 else truth_table("classes", rule)[truth]
            self.edges.append(edge_sums(labels, is_ice))


def score_network(
    network: nn.Module,
    batches: Batches,
    *,
    task: str,
    rule: LabelRule,
    device: torch.device,
    with_edges: bool = False,
) -> PatchCounts:
    """Run a network over patches, in evaluation mode.

    Parameters
    ----------
    network : nn.Module
    batches : iterable of (images, sic)
    task : str
    rule : LabelRule
    device : torch.device
    with_edges : bool
        Measure ice edges, which takes longer.
    """
    import torch

    table, size = torch.from_numpy(truth_table(task, rule)), table_size(task)
    counts = PatchCounts()
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for images, sic in batches:
                truth = table[sic.long()]
                logits = network(images.to(device, non_blocking=True))
                loss, weight = loss_sums(logits, truth.to(device), task)
                counts.loss += float(loss)
                counts.weight += float(weight)
                made = decided(likelihoods(logits, task), task).cpu().numpy()
                for real, predicted in zip(truth.numpy(), made, strict=True):
                    counts.add(real, predicted, rule if with_edges else None, size)
    finally:
        network.train(was_training)
    return counts


def summary(table: np.ndarray, rule: LabelRule) -> dict[str, float]:
    """All scores of a table (2, 2) or (11, 11); R2 of the latter only."""
    if table.shape[0] == 2:
        return scores(table)
    return scores(as_water_and_ice(table, rule)) | {"r2": r2(table)}


def leading(task: str) -> str:
    """The score by which a checkpoint is chosen."""
    return "iou_mean" if task == "classes" else "r2"
