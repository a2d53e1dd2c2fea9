"""Layers of a map from the predictions of all heads: classes, shares, and how sure they are.

Overlapping tiles, turned images and several checkpoints are members, whose predictions are averaged.
Numbers that give the uncertainty of a mean can be averaged too: the entropy of a member, or a square.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seaice.segmentation.heads.head import HEADS, Head, list_heads, split_outputs
from seaice.segmentation.heads.targets import LEVELS, compute_concentration
from seaice.segmentation.mapping.tiles import Predict
from seaice.sources.ai4arctic.tables import FLOE_NAMES, NO_CLASS, SOD_NAMES

if TYPE_CHECKING:
    import torch

    from seaice.segmentation.data.labels import LabelRule
    from seaice.segmentation.networks.checkpoint import TrainedModel

# Layers of heads of concentration without and with uncertainty; names of the layers of types of ice.
_SHARES: Mapping[str, tuple[str, ...]] = {
    "classes": ("ice_probability",),
    "sic": ("ice_probability", "ice_concentration"),
    "sic-regression": ("ice_concentration",),
}
TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "sod": ("stage_of_development", SOD_NAMES),
    "floe": ("floe_size", FLOE_NAMES),
}
_UNCERTAIN = ("uncertainty", "disagreement")
# Variances below this are rounding of float32, not spread.
_LEAST_VARIANCE = 1e-6
# Dimensions along which an image is mirrored: not, samples, lines, both.
_TURNS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))


@dataclass(frozen=True)
class LayerPlan:
    """Which layers a map has, by the heads of its network.

    Attributes
    ----------
    task : str
        One head or several.
    with_uncertainty : bool
    """

    task: str
    with_uncertainty: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all layers."""
        return tuple(name for head in list_heads(self.task) for name in self._list_layers(head))

    def _list_layers(self, head: Head) -> list[str]:
        uncertain = self.with_uncertainty
        if head.is_type:
            name = TYPES[head.name][0]
            ends = _UNCERTAIN if uncertain else ()
            return [name, f"{name}_probability", *(f"{name}_{end}" for end in ends)]
        layers = list(_SHARES[head.name])
        if uncertain and head.name == "sic":
            layers.append("ice_concentration_uncertainty")
        return [*layers, *([f"{layers[len(_SHARES[head.name]) - 1]}_disagreement"] if uncertain else [])]

    def measure(self, predictions: torch.Tensor, rule: LabelRule) -> torch.Tensor:
        """Numbers of one member that can be averaged, (B, C, H, W), of its predictions (B, K, H, W)."""
        import torch

        parts = []
        for head, part in zip(list_heads(self.task), split_outputs(predictions, self.task), strict=True):
            if head.is_type:
                parts += [part, *([_compute_entropy(part)] if self.with_uncertainty else [])]
                continue
            shares = [compute_concentration(part, head.name)]
            if head.name == "sic":
                shares.insert(0, part[:, rule.first_ice_class :].sum(dim=1))
            if self.with_uncertainty:
                if head.name == "sic":
                    levels = torch.arange(LEVELS, dtype=part.dtype, device=part.device) / (LEVELS - 1)
                    shares.append(torch.einsum("bkhw,k->bhw", part, levels**2))
                shares.append(shares[len(_SHARES[head.name]) - 1] ** 2)
            parts.append(torch.stack(shares, dim=1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def finish(self, band: np.ndarray) -> dict[str, np.ndarray]:
        """Layers of averaged numbers (C, lines, samples).

        Returns
        -------
        dict of str to ndarray, shape (lines, samples)
            In the order of ``names``: float32 from 0 to 1, NaN where the band is NaN; types of ice as
            uint8, 255 where the band is NaN.
        """
        layers: list[np.ndarray] = []
        start = 0
        for head in list_heads(self.task):
            count = self._count_numbers(head)
            numbers, start = band[start : start + count], start + count
            layers += (
                self._finish_type(head, numbers) if head.is_type else self._finish_share(head, numbers)
            )
        return dict(zip(self.names, layers, strict=True))

    def _count_numbers(self, head: Head) -> int:
        if head.is_type:
            return head.outputs + self.with_uncertainty
        return len(_SHARES[head.name]) + self.with_uncertainty * (1 + (head.name == "sic"))

    def _finish_type(self, head: Head, numbers: np.ndarray) -> list[np.ndarray]:
        probabilities = numbers[: head.outputs]
        missing = np.isnan(probabilities[0])
        classes = np.where(missing, NO_CLASS, probabilities.argmax(axis=0)).astype(np.uint8)
        layers = [classes, np.clip(probabilities.max(axis=0), 0, 1)]
        if self.with_uncertainty:
            # Of the mean, and how much of it is not already in each member alone.
            total = _compute_array_entropy(probabilities)
            layers += [total, np.clip(total - numbers[head.outputs], 0, 1)]
        return layers

    def _finish_share(self, head: Head, numbers: np.ndarray) -> list[np.ndarray]:
        count = len(_SHARES[head.name])
        # Rounding of the weights may lead a little out of 0 to 1.
        layers = [np.clip(share, 0, 1, out=share) for share in numbers[:count]]
        return layers + [_compute_spread(square, layers[-1]) for square in numbers[count:]]


def list_all_layers() -> tuple[str, ...]:
    """Names of all layers that a map of any task may have."""
    plans = [LayerPlan(name, with_uncertainty=True) for name in HEADS]
    return tuple(dict.fromkeys(name for plan in plans for name in plan.names))


def _compute_spread(square: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviation from the mean of squares and the mean."""
    variance = square - mean * mean
    return np.asarray(np.sqrt(np.where(variance < _LEAST_VARIANCE, 0, variance)) + 0 * mean)


def _compute_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Entropy (B, 1, H, W) of probabilities (B, K, H, W), as a share of the largest possible one."""
    entropy = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(dim=1, keepdim=True)
    return entropy / float(np.log(probabilities.shape[1]))


def _compute_array_entropy(probabilities: np.ndarray) -> np.ndarray:
    """The same of an array (K, lines, samples)."""
    largest = np.float32(np.log(len(probabilities)))
    entropy = np.zeros_like(probabilities[0])
    for share in probabilities:
        entropy -= share * np.log(np.maximum(share, np.float32(1e-12)))
    return np.clip(entropy / largest, 0, 1)


def make_predictor(models: Sequence[TrainedModel], plan: LayerPlan, *, flips: bool = False) -> Predict:
    """Make a function of arrays from models; it returns the numbers that :class:`LayerPlan` averages.

    Parameters
    ----------
    models : sequence of TrainedModel
        Of one task, with the same inputs.
    plan : LayerPlan
    flips : bool
        Predict each image also mirrored along both axes.
    """
    import torch

    device = next(models[0].network.parameters()).device
    turns = _TURNS if flips else _TURNS[:1]

    def predict_batch(images: np.ndarray) -> np.ndarray:
        tensor = torch.from_numpy(images).to(device)
        total, count = None, len(models) * len(turns)
        for model in models:
            for turn in turns:
                predictions = model.predict(tensor.flip(turn) if turn else tensor)
                numbers = plan.measure(predictions, model.rule)
                numbers = numbers.flip(turn) if turn else numbers
                total = numbers if total is None else total + numbers
        assert total is not None
        return np.asarray((total if count == 1 else total / count).cpu().numpy())

    def predict_singly(images: np.ndarray) -> np.ndarray:
        return np.concatenate([predict_batch(images[k : k + 1]) for k in range(len(images))])

    # The last bits of a convolution depend on the batch. A processor gains nothing from large ones.
    return predict_singly if device.type == "cpu" else predict_batch
