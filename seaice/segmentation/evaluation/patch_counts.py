"""Counts of true and predicted classes in every patch, by a network, in the order of the patches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.evaluation.metrics import (
    EdgeDistances,
    count_confusion,
    measure_edge_distances,
)
from seaice.segmentation.evaluation.reliability import Reliability
from seaice.segmentation.heads.head import Head, list_heads, split_outputs
from seaice.segmentation.heads.targets import (
    convert_logits,
    decide_classes,
    look_up_labels,
    make_label_table,
    make_label_tables,
    sum_losses,
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
        For each patch the tables (k, k) of all heads one after the other as one vector, see
        :func:`seaice.segmentation.evaluation.head_scores.split_counts`.
    edges : list of EdgeDistances
        Empty if the edges were not measured.
    loss, weight : ndarray of float64, shape (heads,)
        Sums over all pixels, by :func:`seaice.segmentation.heads.targets.sum_losses`.
    reliability : dict of str to Reliability
        By head; empty if it was not measured.
    """

    loss: np.ndarray
    weight: np.ndarray
    tables: list[np.ndarray] = field(default_factory=list)
    edges: list[EdgeDistances] = field(default_factory=list)
    reliability: dict[str, Reliability] = field(default_factory=dict)


def count_predictions(
    network: nn.Module,
    batches: Batches,
    *,
    task: str,
    rule: LabelRule,
    device: torch.device,
    with_edges: bool = False,
    temperatures: Mapping[str, float] | None = None,
    with_reliability: bool = False,
) -> PatchCounts:
    """Run a network over patches in evaluation mode and count its predictions.

    Parameters
    ----------
    network : nn.Module
        Left in the mode in which it was.
    batches : iterable of (images, charts)
        As :class:`seaice.segmentation.data.patch_dataset.PatchDataset` gives them, a chart for each
        head.
    task : str
    rule : LabelRule
    device : torch.device
    with_edges : bool
        Measure ice edges, which takes longer.
    temperatures : mapping of str to float, optional
        See :func:`seaice.segmentation.heads.targets.convert_logits`.
    with_reliability : bool
        Count how often each degree of confidence is right, with and without the temperatures.
    """
    import torch

    from seaice.segmentation.networks.backbone import run_network

    heads, tables = list_heads(task), torch.from_numpy(make_label_tables(task, rule))
    counts = PatchCounts(np.zeros(len(heads)), np.zeros(len(heads)))
    if with_reliability:
        counts.reliability = {head.name: Reliability() for head in heads if head.has_probabilities}
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            for images, charts in batches:
                truths = look_up_labels(tables, charts)
                logits = run_network(network, images.to(device, non_blocking=True))
                predicted = []
                for number, part in enumerate(split_outputs(logits, task)):
                    name, truth = heads[number].name, truths[:, number]
                    loss, weight = sum_losses(part, truth.to(device), name)
                    counts.loss[number] += float(loss)
                    counts.weight[number] += float(weight)
                    classes = decide_classes(convert_logits(part, name, temperatures), name)
                    predicted.append(classes.cpu().numpy())
                    if name in counts.reliability:
                        temperature = (temperatures or {}).get(name, 1.0)
                        counts.reliability[name].add(part.cpu(), truth, temperature)
                for patch, true_patch in enumerate(truths.numpy()):
                    _count_patch(
                        counts, heads, true_patch, [p[patch] for p in predicted], rule, with_edges
                    )
    finally:
        network.train(was_training)
    return counts


def _count_patch(
    counts: PatchCounts,
    heads: tuple[Head, ...],
    truths: np.ndarray,
    predicted: list[np.ndarray],
    rule: LabelRule,
    with_edges: bool,
) -> None:
    tables = [
        count_confusion(truth, classes, head.classes).ravel()
        for head, truth, classes in zip(heads, truths, predicted, strict=True)
    ]
    counts.tables.append(np.concatenate(tables))
    if not with_edges:
        return
    # The first head is that of concentration, where there is one.
    head, truth, is_ice = heads[0], truths[0], predicted[0] > 0
    if head.is_type:
        counts.edges.append(EdgeDistances())
        return
    if head.name != "classes":
        is_ice = predicted[0] >= rule.first_ice_class
        truth = make_label_table("classes", rule)[truth]
    counts.edges.append(measure_edge_distances(truth, is_ice))
