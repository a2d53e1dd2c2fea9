"""Scores of water and ice maps from pooled counts of pixels.

Counts are exact integers in a table: a row for each true class of the chart, a column for each
predicted class. Tables of all patches are added first and scored then (pooled), so that the score does
not depend on the size or the order of batches, as a mean of the scores of batches does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seaice.segmentation.data.labels import (
    ICE,
    IGNORED,
    WATER,
    LabelRule,
)
from seaice.sources.ai4arctic.tables import PIXEL_METRES

PIXEL_KILOMETRES = PIXEL_METRES / 1000
SCORES = ("iou_mean", "iou_water", "iou_ice", "accuracy", "f1_mean", "f1_water", "f1_ice")


def count_confusion(truth: np.ndarray, predicted: np.ndarray, classes: int = 2) -> np.ndarray:
    """Count pixels by true and predicted class.

    Parameters
    ----------
    truth : ndarray of uint8
        Classes, 255: ignored.
    predicted : ndarray of integer, same shape
    classes : int

    Returns
    -------
    ndarray of int64, shape (classes, classes)

    Examples
    --------
    >>> count_confusion(np.array([0, 1, 1, 255], np.uint8), np.array([0, 1, 0, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    is_counted = truth != IGNORED
    # One number for each pair of classes, so that one bincount counts all cells of the table.
    pairs = truth[is_counted].astype(np.int64) * classes + predicted[is_counted]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def merge_classes(counts: np.ndarray, rule: LabelRule) -> np.ndarray:
    """Merge counts of concentration classes (..., 11, 11) to counts of water and ice (..., 2, 2)."""
    first_classes = [0, rule.first_ice_class]
    by_label = np.add.reduceat(counts, first_classes, axis=-2)
    merged: np.ndarray = np.add.reduceat(by_label, first_classes, axis=-1)
    return merged


def compute_scores(counts: np.ndarray) -> dict[str, float]:
    """Compute intersection over union, F1 and accuracy of a table of water and ice.

    Parameters
    ----------
    counts : ndarray, shape (2, 2)

    Returns
    -------
    dict of str to float
        Scores by name, see :data:`SCORES`. NaN for a class that is neither true nor predicted anywhere;
        a mean is over the classes that have a score.

    Examples
    --------
    >>> compute_scores(np.array([[6, 2], [1, 3]]))["iou_water"]
    0.6666666666666666
    """
    values = compute_score_arrays(np.asarray(counts)[None])
    return {name: float(value[0]) for name, value in values.items()}


def compute_score_arrays(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores of many tables (n, 2, 2) as :func:`compute_scores` does; float64 (n,) each."""
    counts = np.asarray(counts, np.float64)
    correct = np.diagonal(counts, axis1=1, axis2=2)
    union = counts.sum(axis=1) + counts.sum(axis=2) - correct
    total = counts.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = correct / union
        # F1 is twice the intersection over the sum of both sets, which is union and intersection.
        f1 = 2 * correct / (union + correct)
        accuracy = correct.sum(axis=1) / total
    by_name = {"accuracy": accuracy}
    for name, values in (("iou", iou), ("f1", f1)):
        has_score = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            by_name[f"{name}_mean"] = np.where(has_score, values, 0).sum(axis=1) / has_score.sum(axis=1)
        by_name[f"{name}_water"], by_name[f"{name}_ice"] = values[:, WATER], values[:, ICE]
    return {name: by_name[name] for name in SCORES}


def average_over_batches(counts: np.ndarray, batch_size: int = 16) -> dict[str, float]:
    """Average the IoU of each batch over batches, as the published scores do.

    The mean depends on the size and order of the batches; use it only to compare with those scores.

    Parameters
    ----------
    counts : ndarray, shape (patches, 2, 2)
        Tables of the patches in the order in which they were scored.
    batch_size : int

    Returns
    -------
    dict
        ``iou_water``, ``iou_ice``: means over the batches where the union is not empty, NaN without
        such a batch; ``iou_mean``: mean of the two.
    """
    starts = np.arange(0, len(counts), batch_size)
    by_batch = compute_score_arrays(np.add.reduceat(counts, starts, axis=0))
    means = {}
    for name in ("iou_water", "iou_ice"):
        finite = by_batch[name][np.isfinite(by_batch[name])]
        means[name] = float(finite.mean()) if finite.size else float("nan")
    return means | {"iou_mean": (means["iou_water"] + means["iou_ice"]) / 2}


def compute_r2(counts: np.ndarray) -> float:
    """Compute the coefficient of determination between class numbers, as the AutoICE challenge does.

    Exact: with Python's integers sums over billions of pixels can be squared without rounding.

    Parameters
    ----------
    counts : ndarray of integer, shape (classes, classes)

    Returns
    -------
    float
        1 is perfect, 0 no better than the mean; NaN if all pixels are of one class.

    References
    ----------
    Stokholm et al. 2024, The AutoICE Challenge, The Cryosphere 18, 3471, doi:10.5194/tc-18-3471-2024.
    """
    table = [[int(value) for value in line] for line in counts]
    total = sum(map(sum, table))
    first_moment = sum(k * sum(line) for k, line in enumerate(table))
    second_moment = sum(k * k * sum(line) for k, line in enumerate(table))
    squared_errors = sum((k - p) ** 2 * n for k, line in enumerate(table) for p, n in enumerate(line))
    # The variance of the true classes, times the square of the number of pixels.
    variance = second_moment * total - first_moment * first_moment
    return 1 - squared_errors * total / variance if variance else float("nan")


class Interval(NamedTuple):
    """A value and the bounds of its confidence interval; bounds are NaN where they are unknown."""

    value: float
    low: float
    high: float


def compute_r2_arrays(counts: np.ndarray) -> np.ndarray:
    """Compute R2 of many tables (n, classes, classes) at once, as :func:`compute_r2` but in float64."""
    numbers = np.arange(counts.shape[-1], dtype=np.float64)
    true_counts = np.asarray(counts, np.float64).sum(axis=2)
    total = true_counts.sum(axis=1)
    first_moment, second_moment = true_counts @ numbers, true_counts @ numbers**2
    squares = (numbers[:, None] - numbers) ** 2
    variance = second_moment * total - first_moment**2
    with np.errstate(invalid="ignore", divide="ignore"):
        r2: np.ndarray = np.where(
            variance > 0, 1 - (counts * squares).sum((1, 2)) * total / variance, np.nan
        )
    return r2


def compute_intervals(
    sums: np.ndarray,
    measure: Callable[[np.ndarray], Mapping[str, np.ndarray]] = compute_score_arrays,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Compute bootstrap confidence intervals of the scores of all scenes together.

    The counts of all scenes are added, and the scores are computed from the sums. For the intervals
    this is repeated with scenes that are drawn with replacement. Scenes are drawn, not pixels or
    patches, because neighbours are not independent.

    Parameters
    ----------
    sums : ndarray, shape (scenes, ...)
        Counts of each scene that can be added, such as tables (scenes, 2, 2) of pixels by true and
        predicted class.
    measure : callable
        Function that computes scores (n,), by name, from n sums (n, ...).
    repeats : int
        Number of draws.
    level : float
        Confidence level, 0 to 1.
    seed : int

    Returns
    -------
    dict of str to Interval
        Score of all scenes together and bounds of its confidence interval, by the name of the
        score. With one scene the bounds are NaN.
    """
    pooled = {name: float(value[0]) for name, value in measure(sums.sum(axis=0)[None]).items()}
    count = len(sums)
    if count < 2:
        return {name: Interval(value, float("nan"), float("nan")) for name, value in pooled.items()}
    # How often each scene is in each draw, (repeats, scenes).
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), repeats)
    bounds = ((1 - level) / 2, (1 + level) / 2)
    intervals = {}
    for name, values in measure(np.tensordot(drawn, sums, axes=1)).items():
        finite = values[np.isfinite(values)]
        low, high = np.quantile(finite, bounds) if finite.size else (np.nan, np.nan)
        intervals[name] = Interval(pooled[name], float(low), float(high))
    return intervals


def compute_seed_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Compute the mean of runs that differ in their seed, with its interval by Student's t.

    With one run the bounds are NaN.

    Examples
    --------
    >>> [round(x, 4) for x in compute_seed_interval([0.80, 0.82, 0.84])]
    [0.82, 0.7703, 0.8697]
    """
    from scipy.special import stdtrit

    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if array.size < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stdtrit(array.size - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(array.size))
    return Interval(mean, mean - half, mean + half)


class EdgeDistances(NamedTuple):
    """Sums of the distances between two ice edges, in pixels; they can be added over patches.

    Attributes
    ----------
    to_truth, predicted_pixels : float, int
        Sum of the distances from every predicted edge pixel to the nearest true one, and their number.
    to_predicted, true_pixels : float, int
        The same from every true edge pixel to the nearest predicted one.
    compared, one_sided : int
        Number of patches where both maps have an edge; and of those where only one map has one, which
        have no distance.
    """

    to_truth: float = 0.0
    predicted_pixels: int = 0
    to_predicted: float = 0.0
    true_pixels: int = 0
    compared: int = 0
    one_sided: int = 0


def compute_edge_kilometres(
    sums: np.ndarray, pixel_kilometres: float = PIXEL_KILOMETRES
) -> dict[str, np.ndarray]:
    """Compute the distance of the ice edges in kilometres from many :class:`EdgeDistances` (n, 6).

    Returns
    -------
    dict
        ``ice_edge_km``, float64 (n,): the mean of the two mean distances; NaN where no patch has both
        edges.
    """
    to_truth, predicted_pixels, to_predicted, true_pixels = np.asarray(sums, np.float64).T[:4]
    with np.errstate(invalid="ignore", divide="ignore"):
        pixels = (to_truth / predicted_pixels + to_predicted / true_pixels) / 2
    return {"ice_edge_km": pixel_kilometres * pixels}


def find_edge_pixels(labels: np.ndarray) -> np.ndarray:
    """Find ice pixels with water beside them (4 neighbours), bool; ignored pixels make no edge.

    Examples
    --------
    >>> find_edge_pixels(np.array([[0, 1, 1, 255, 0]], np.uint8)).tolist()
    [[False, True, False, False, False]]
    """
    beside = np.zeros(labels.shape, bool)
    water = labels == WATER
    beside[1:] |= water[:-1]
    beside[:-1] |= water[1:]
    beside[:, 1:] |= water[:, :-1]
    beside[:, :-1] |= water[:, 1:]
    return beside & (labels == ICE)


def measure_edge_distances(truth: np.ndarray, predicted: np.ndarray) -> EdgeDistances:
    """Measure the distances between the ice edges of two label maps of one patch.

    Parameters
    ----------
    truth : ndarray of uint8, shape (rows, columns)
        0 water, 1 ice, 255 ignored.
    predicted : ndarray, same shape
        0 or 1; ignored where the truth is ignored.
    """
    from scipy.ndimage import distance_transform_edt

    predicted = np.where(truth == IGNORED, np.uint8(IGNORED), predicted.astype(np.uint8))
    true_edge, predicted_edge = find_edge_pixels(truth), find_edge_pixels(predicted)
    if not true_edge.any() or not predicted_edge.any():
        return EdgeDistances(one_sided=int(true_edge.any() != predicted_edge.any()))
    to_truth = distance_transform_edt(~true_edge)[predicted_edge]
    to_predicted = distance_transform_edt(~predicted_edge)[true_edge]
    return EdgeDistances(
        float(to_truth.sum()), to_truth.size, float(to_predicted.sum()), to_predicted.size, compared=1
    )


def pool_by_key(sums: np.ndarray, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Add up sums (n, ...) that have the same key; the result is sorted by key."""
    groups: dict[str, list[int]] = {key: [] for key in sorted(set(keys))}
    for number, key in enumerate(keys):
        groups[key].append(number)
    return {key: sums[index].sum(axis=0) for key, index in groups.items()}


def round_for_json(value: float, digits: int = 6) -> float | None:
    """Round a value for JSON; None for NaN and infinity, which JSON does not know."""
    return round(float(value), digits) if np.isfinite(value) else None
