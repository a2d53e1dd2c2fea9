"""The temperature that mends the probabilities of a network.

Logits are divided by one number, the temperature, before they become probabilities. It is the one with
the smallest cross entropy on the validation scenes; the most probable class stays the same.

References
----------
Guo et al. 2017, On Calibration of Modern Neural Networks, arXiv:1706.04599.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.data.labels import IGNORED, LabelRule
from seaice.segmentation.heads.head import list_heads, split_outputs
from seaice.segmentation.heads.targets import look_up_labels, make_label_tables

if TYPE_CHECKING:
    import torch
    from torch import nn

# Natural logarithm of the temperatures that are tried.
_LARGEST_LOGARITHM = 3.0
# Pixels of a head that a temperature is fitted to; more change its third digit at most.
_MOST_PIXELS = 1_000_000


def fit_temperatures(
    network: nn.Module,
    batches: Iterable[tuple[torch.Tensor, torch.Tensor]],
    *,
    task: str,
    rule: LabelRule,
    device: torch.device,
    pixels: int,
) -> dict[str, float]:
    """Fit the temperature of every head with probabilities to patches.

    Parameters
    ----------
    network : nn.Module
    batches : iterable of (images, charts)
    task : str
    rule : LabelRule
    device : torch.device
    pixels : int
        Pixels of all patches: of many every n-th line and sample is used.

    Returns
    -------
    dict of str to float
        By the name of the head; 1 where no pixel has a label.
    """
    import torch

    from seaice.segmentation.networks.backbone import run_network

    step = max(1, int(np.ceil(np.sqrt(pixels / _MOST_PIXELS))))
    heads, tables = list_heads(task), torch.from_numpy(make_label_tables(task, rule))
    kept: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {
        head.name: [] for head in heads if head.has_probabilities
    }
    network.eval()
    with torch.inference_mode():
        for images, charts in batches:
            truths = look_up_labels(tables, charts[..., ::step, ::step])
            logits = run_network(network, images.to(device))[..., ::step, ::step].float().cpu()
            for number, part in enumerate(split_outputs(logits, task)):
                if heads[number].name in kept:
                    is_labelled = truths[:, number] != IGNORED
                    chosen = part.movedim(1, -1)[is_labelled], truths[:, number][is_labelled].long()
                    kept[heads[number].name].append(chosen)
    return {
        name: _find_temperature(*(torch.cat(parts) for parts in zip(*pairs, strict=True)))
        for name, pairs in kept.items()
    }


def _find_temperature(logits: torch.Tensor, truth: torch.Tensor) -> float:
    """Temperature with the smallest mean cross entropy of logits (n, K) and classes (n,)."""
    from scipy.optimize import minimize_scalar
    from torch.nn import functional

    if not len(truth):
        return 1.0

    def measure(logarithm: float) -> float:
        return float(functional.cross_entropy(logits / float(np.exp(logarithm)), truth))

    bounds = (-_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
    best = minimize_scalar(measure, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    return float(np.exp(best.x))
