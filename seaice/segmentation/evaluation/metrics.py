"""Scores of water and ice maps from pooled counts of pixels.

Counts are exact integers of one table: rows what the chart says, columns what was predicted. A
pooled score does not depend on the size or the order of batches, as a mean over batches does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import (
    ICE,
    IGNORED,
    WATER,
    LabelRule,
)

KILOMETRES = 0.08
SCORES = ("iou_mean", "iou_water", "iou_ice", "accuracy", "f1_mean", "f1_water", "f1_ice")


def confusion(truth: np.ndarray, predicted: np.ndarray, classes: int = 2) -> np.ndarray:
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
    >>> confusion(np.array([0, 1, 1, 255], np.uint8), np.array([0, 1, 0, 1])).tolist()
    [[1, 0], [1, 1]]
    """
    known = truth != IGNORED
    flat = truth[known].astype(np.int64) * classes + predicted[known]
    return np.bincount(flat, minlength=classes**2).reshape(classes, classes)


def as_water_and_ice(counts: np.ndarray, rule: LabelRule) -> np.ndarray:
    """Counts of concentration classes (..., 11, 11) as counts of water and ice (..., 2, 2)."""
    cut = [0, rule.first_class]
    found: np.ndarray = np.add.reduceat(np.add.reduceat(counts, cut, axis=-2), cut, axis=-1)
    return found


def scores(counts: np.ndarray) -> dict[str, float]:
    """Intersection over union, F1 and accuracy of a table of water and ice.

    Parameters
    ----------
    counts : ndarray, shape (2, 2)

    Returns
    -------
    dict of str to float
        By the names of :data:`SCORES`. NaN for a class that is neither there nor predicted; a mean
        is of the classes that have a score.

    Examples
    --------
    >>> scores(np.array([[6, 2], [1, 3]]))["iou_water"]
    0.6666666666666666
    """
    values = score_arrays(np.asarray(counts)[None])
    return {name: float(value[0]) for name, value in values.items()}


def score_arrays(counts: np.ndarray) -> dict[str, np.ndarray]:
    """:func:`scores` of many tables (n, 2, 2) at once, float64 (n,) each."""
    counts = np.asarray(counts, np.float64)
    right = np.diagonal(counts, axis1=1, axis2=2)
    either = counts.sum(axis=1) + counts.sum(axis=2) - right
    total = counts.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = right / either
        f1 = 2 * right / (either + right)
        accuracy = right.sum(axis=1) / total
    made = {"accuracy": accuracy}
    for name, values in (("iou", iou), ("f1", f1)):
        there = np.isfinite(values)
        with np.errstate(invalid="ignore"):
            made[f"{name}_mean"] = np.where(there, values, 0).sum(axis=1) / there.sum(axis=1)
        made[f"{name}_water"], made[f"{name}_ice"] = values[:, WATER], values[:, ICE]
    return {name: made[name] for name in SCORES}


def mean_over_batches(counts: np.ndarray, batch_size: int = 16) -> dict[str, float]:
    """Mean over batches of the IoU of each batch, as published scores were made.

    It depends on the size and order of the batches; use it only for comparison with them.

    Parameters
    ----------
    counts : ndarray, shape (patches, 2, 2)
        In the order in which they were scored.
    batch_size : int

    Returns
    -------
    dict
        ``iou_water``, ``iou_ice``: means over the batches where the union is not empty;
        ``iou_mean``: of the two.
    """
    starts = np.arange(0, len(counts), batch_size)
    each = score_arrays(np.add.reduceat(counts, starts, axis=0))
    made = {}
    for name in ("iou_water", "iou_ice"):
        there = each[name][np.isfinite(each[name])]
        made[name] = float(there.mean()) if there.size else float("nan")
    return made | {"iou_mean": (made["iou_water"] + made["iou_ice"]) / 2}


def r2(counts: np.ndarray) -> float:
    """Coefficient of determination between class numbers, as the AutoICE challenge takes it.

    Parameters
    ----------
    counts : ndarray of integer, shape (classes, classes)

    Returns
    -------
    float
        1 is perfect, 0 no better than the mean; NaN if all pixels are of one class.
    """
    table = [[int(value) for value in line] for line in counts]
    total = sum(map(sum, table))
    first = sum(k * sum(line) for k, line in enumerate(table))
    second = sum(k * k * sum(line) for k, line in enumerate(table))
    wrong = sum((k - p) ** 2 * n for k, line in enumerate(table) for p, n in enumerate(line))
    # Python integers, so that billions of pixels squared are exact.
    spread = second * total - first * first
    return 1 - wrong * total / spread if spread else float("nan")


class Interval(NamedTuple):
    """A value and the bounds that hold it with a given confidence; NaN where they are unknown."""

    value: float
    low: float
    high: float


def r2_arrays(counts: np.ndarray) -> np.ndarray:
    """:func:`r2` of many tables (n, classes, classes) at once, in float64."""
    numbers = np.arange(counts.shape[-1], dtype=np.float64)
    true = np.asarray(counts, np.float64).sum(axis=2)
    total, first, second = true.sum(axis=1), true @ numbers, true @ numbers**2
    squares = (numbers[:, None] - numbers) ** 2
    spread = second * total - first**2
    with np.errstate(invalid="ignore", divide="ignore"):
        found: np.ndarray = np.where(
            spread > 0, 1 - (counts * squares).sum((1, 2)) * total / spread, np.nan
        )
    return found


def bootstrap(
    sums: np.ndarray,
    measure: Callable[[np.ndarray], Mapping[str, np.ndarray]] = score_arrays,
    *,
    repeats: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Interval]:
    """Intervals of pooled scores, by drawing scenes with replacement.

    Scenes are drawn, not pixels or patches: neighbours are not independent.

    Parameters
    ----------
    sums : ndarray, shape (scenes, ...)
        What can be added up, e.g. tables (scenes, 2, 2).
    measure : callable
        From (n, ...) sums to scores (n,) by name.
    repeats : int
    level : float
    seed : int

    Returns
    -------
    dict of str to Interval
        With one scene the bounds are NaN.
    """
    pooled = {name: float(value[0]) for name, value in measure(sums.sum(axis=0)[None]).items()}
    count = len(sums)
    if count < 2:
        return {name: Interval(value, float("nan"), float("nan")) for name, value in pooled.items()}
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), repeats)
    found = {}
    for name, values in measure(np.tensordot(drawn, sums, axes=1)).items():
        there = values[np.isfinite(values)]
        bounds = ((1 - level) / 2, (1 + level) / 2)
        low, high = np.quantile(there, bounds) if there.size else (np.nan, np.nan)
        found[name] = Interval(pooled[name], float(low), float(high))
    return found


def seed_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Mean of runs that differ in their seed, with bounds by Student's t.

    Examples
    --------
    >>> [round(x, 4) for x in seed_interval([0.80, 0.82, 0.84])]
    [0.82, 0.7703, 0.8697]
    """
    from scipy.special import stdtrit

    array = np.asarray(values, np.float64)
    mean = float(array.mean())
    if array.size < 2:
        return Interval(mean, float("nan"), float("nan"))
    half = float(stdtrit(array.size - 1, (1 + level) / 2) * array.std(ddof=1) / np.sqrt(array.size))
    return Interval(mean, mean - half, mean + half)


class EdgeSums(NamedTuple):
    """Distances between two ice edges, in pixels, summed; can be added up over patches.

    Attributes
    ----------
    to_truth, predicted_pixels : float, int
        From every predicted edge pixel to the nearest true one.
    to_predicted, true_pixels : float, int
        The other way round.
    compared, one_sided : int
        Patches with both edges; patches where only one of the maps has an edge. The latter have
        no distance and are only counted.
    """

    to_truth: float = 0.0
    predicted_pixels: int = 0
    to_predicted: float = 0.0
    true_pixels: int = 0
    compared: int = 0
    one_sided: int = 0


def edge_kilometres(sums: np.ndarray) -> dict[str, np.ndarray]:
    """Distance of the ice edges of many :class:`EdgeSums` (n, 6).

    Returns
    -------
    dict
        ``ice_edge_km``: the mean of the two mean distances; NaN where no patch has both edges.
    """
    to_truth, made, to_made, real = np.asarray(sums, np.float64).T[:4]
    with np.errstate(invalid="ignore", divide="ignore"):
        return {"ice_edge_km": KILOMETRES * (to_truth / made + to_made / real) / 2}


def edge_pixels(labels: np.ndarray) -> np.ndarray:
    """Ice that has water beside it (4 neighbours), bool; what is ignored makes no edge.

    Examples
    --------
    >>> edge_pixels(np.array([[0, 1, 1, 255, 0]], np.uint8)).tolist()
    [[False, True, False, False, False]]
    """
    beside = np.zeros(labels.shape, bool)
    water = labels == WATER
    beside[1:] |= water[:-1]
    beside[:-1] |= water[1:]
    beside[:, 1:] |= water[:, :-1]
    beside[:, :-1] |= water[:, 1:]
    return beside & (labels == ICE)


def edge_sums(truth: np.ndarray, predicted: np.ndarray) -> EdgeSums:
    """Distances between the ice edges of two label maps, for one patch.

    Parameters
    ----------
    truth : ndarray of uint8, shape (rows, columns)
        0 water, 1 ice, 255 ignored.
    predicted : ndarray, same shape
        0 or 1; ignored where the truth is.
    """
    from scipy.ndimage import distance_transform_edt

    predicted = np.where(truth == IGNORED, np.uint8(IGNORED), predicted.astype(np.uint8))
    real, made = edge_pixels(truth), edge_pixels(predicted)
    if not real.any() or not made.any():
        return EdgeSums(one_sided=int(real.any() != made.any()))
    to_truth, to_made = distance_transform_edt(~real)[made], distance_transform_edt(~made)[real]
    return EdgeSums(float(to_truth.sum()), to_truth.size, float(to_made.sum()), to_made.size, compared=1)


def pooled_by(sums: np.ndarray, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Sums (n, ...) added up by key, in the order of the keys' names."""
    groups: dict[str, list[int]] = {key: [] for key in sorted(set(keys))}
    for number, key in enumerate(keys):
        groups[key].append(number)
    return {key: sums[index].sum(axis=0) for key, index in groups.items()}


def plain(value: float, digits: int = 6) -> float | None:
    """A value for JSON, which has no NaN: None instead."""
    return round(float(value), digits) if np.isfinite(value) else None


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write an object as JSON, whole or not at all."""
    with atomic(path) as part:
        part.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
