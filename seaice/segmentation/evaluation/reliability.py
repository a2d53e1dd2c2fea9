"""How far probabilities can be believed: how often each degree of confidence is right."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.segmentation.data.labels import IGNORED

if TYPE_CHECKING:
    import torch

BINS = 20


@dataclass
class Reliability:
    """Counts of pixels by the probability of their most probable class.

    Attributes
    ----------
    before, after : ndarray of float64, shape (3, BINS)
        Number of pixels, sum of that probability, and number of pixels where the class is right;
        with the logits as they are, and divided by the temperature.
    """

    before: np.ndarray = field(default_factory=lambda: np.zeros((3, BINS)))
    after: np.ndarray = field(default_factory=lambda: np.zeros((3, BINS)))

    def add(self, logits: torch.Tensor, truth: torch.Tensor, temperature: float = 1.0) -> None:
        """Count the labelled pixels of logits (B, K, H, W) and truth (B, H, W) of uint8."""
        is_labelled = truth != IGNORED
        classes = logits.float().argmax(dim=1)
        is_right = (classes == truth)[is_labelled].numpy()
        for counts, divisor in ((self.before, 1.0), (self.after, temperature)):
            largest = (logits.float() / divisor).softmax(dim=1).amax(dim=1)
            counts += count_confidences(largest[is_labelled].numpy(), is_right)

    def describe(self, temperature: float) -> dict[str, Any]:
        """Describe the counts for a report: calibration errors and curves before and after."""
        return {"temperature": temperature} | {
            name: {"calibration_error": compute_calibration_error(counts), **describe_curve(counts)}
            for name, counts in (("before", self.before), ("after", self.after))
        }


def count_confidences(confidence: np.ndarray, is_right: np.ndarray) -> np.ndarray:
    """Count pixels by confidence; float64 (3, BINS), see :class:`Reliability`.

    Parameters
    ----------
    confidence : ndarray of float, shape (n,)
        0 to 1; 1 counts in the last bin.
    is_right : ndarray of bool, shape (n,)

    Examples
    --------
    >>> counts = count_confidences(np.array([0.62, 0.64, 1.0]), np.array([True, False, True]))
    >>> counts[:, 12].round(2).tolist(), counts[:, 19].tolist()
    ([2.0, 1.26, 1.0], [1.0, 1.0, 1.0])
    """
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    return np.stack(
        [np.bincount(bins, weights, BINS) for weights in (None, confidence, is_right)]
    ).astype(np.float64)


def compute_calibration_error(counts: np.ndarray) -> float:
    """Compute the expected calibration error: the mean distance of confidence and accuracy.

    Parameters
    ----------
    counts : ndarray of float64, shape (3, BINS)

    Returns
    -------
    float
        0 is perfect; NaN without a pixel.

    Examples
    --------
    >>> round(compute_calibration_error(count_confidences(np.full(4, 0.9), np.arange(4) < 3)), 6)
    0.15
    """
    pixels, confidence, right = counts
    return float(np.abs(confidence - right).sum() / pixels.sum()) if pixels.any() else float("nan")


def describe_curve(counts: np.ndarray) -> dict[str, list[float]]:
    """Describe the reliability diagram: bins with pixels, their mean confidence and accuracy."""
    pixels, confidence, right = counts[:, counts[0] > 0]
    return {
        "confidence": np.round(confidence / pixels, 6).tolist(),
        "accuracy": np.round(right / pixels, 6).tolist(),
        "pixels": pixels.astype(np.int64).tolist(),
    }
