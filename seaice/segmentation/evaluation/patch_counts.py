"""Counts of true and predicted classes in every patch, by a network, in the order of the patches."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.data.targets import (
    convert_logits,
    count_classes,
    decide_classes,
    make_label_table,
    sum_losses,
)
from seaice.segmentation.evaluation.metrics import (
    EdgeDistances,
    compute_r2,
    compute_scores,
    count_confusion,
    measure_edge_distances,
    merge_classes,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

Batches = Iterable[tuple["torch.Tensor", "torch.Tensor"]]


@dataclass
class PatchCounts:
    """Tables of true and predicted classes, ice edges, and losses of patches.

    Attributes
    ----------
    tables : list of ndarray of int64
        (2, 2), or (11, 11) for concentration: rows the chart, columns the prediction.
    edges : list of EdgeSums
        Empty if the edges were not measured.
    loss, weight : float
        Sums over all pixels, by :func:`seaice.segmentation.data.targets.sum_losses`.
    """

    tables: list[np.ndarray] = field(default_factory=list)
    edges: list[EdgeDistances] = field(default_factory=list)
    loss: float = 0.0
    weight: float = 0.0

    def add(self, truth: np.ndarray, predicted: np.ndarray, rule: LabelRule | None, size: int) -> None:
        """Count one patch; with a rule, measure its ice edges too.

        Parameters
        ----------
        truth, predicted : ndarray of uint8, shape (rows, columns)
            Labels by :func:`make_label_table`, 255: ignored; predicted classes.
        rule : LabelRule or None
        size : int
            Number of classes.
        """
        self.tables.append(count_confusion(truth, predicted, size))
        if rule is not None:
            is_ice = predicted >= (rule.first_ice_class if size > 2 else 1)
            labels = truth if size == 2 else make_label_table("classes", rule)[truth]
            self.edges.append(measure_edge_distances(labels, is_ice))


def count_predictions(
    network: nn.Module,
    batches: Batches,
    *,
    task: str,
    rule: LabelRule,
    device: torch.device,
    with_edges: bool = False,
) -> PatchCounts:
    """Run a network over patches in evaluation mode and count its predictions.

    Parameters
    ----------
    network : nn.Module
        Left in the mode in which it was.
    batches : iterable of (images, sic)
        As :class:`seaice.segmentation.data.patch_dataset.PatchDataset` gives them.
    task : str
    rule : LabelRule
    device : torch.device
    with_edges : bool
        Measure ice edges, which takes longer.
    """
    import torch

    from seaice.segmentation.networks.backbone import run_network

    table, size = torch.from_numpy(make_label_table(task, rule)), count_classes(task)
    counts = PatchCounts()
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for images, sic in batches:
                truth = table[sic.long()]
                logits = run_network(network, images.to(device, non_blocking=True))
                loss, weight = sum_losses(logits, truth.to(device), task)
                counts.loss += float(loss)
                counts.weight += float(weight)
                classes = decide_classes(convert_logits(logits, task), task).cpu().numpy()
                for true_patch, predicted in zip(truth.numpy(), classes, strict=True):
                    counts.add(true_patch, predicted, rule if with_edges else None, size)
    finally:
        network.train(was_training)
    return counts


def summarise_table(table: np.ndarray, rule: LabelRule) -> dict[str, float]:
    """Compute all scores of a table (2, 2) or (11, 11); R2, exact, of the latter only."""
    if table.shape[0] == 2:
        return compute_scores(table)
    return compute_scores(merge_classes(table, rule)) | {"r2": compute_r2(table)}


def choose_leading_score(task: str) -> str:
    """Name of the score by which the best epoch is chosen."""
    return "iou_mean" if task == "classes" else "r2"
