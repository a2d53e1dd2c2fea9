"""Scores of every head of a network, and the combined score of the AutoICE challenge.

References
----------
Stokholm et al. 2024, The AutoICE Challenge, The Cryosphere 18, 3471, doi:10.5194/tc-18-3471-2024.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.evaluation.metrics import (
    compute_r2,
    compute_r2_arrays,
    compute_score_arrays,
    compute_scores,
    merge_classes,
)
from seaice.segmentation.heads.head import CHART_WEIGHTS, Head, list_heads, weigh_heads


def split_counts(counts: np.ndarray, task: str) -> list[np.ndarray]:
    """Split vectors of counts (..., n) into the tables (..., k, k) of the heads.

    Examples
    --------
    >>> [table.shape for table in split_counts(np.zeros((5, 11 * 11 + 6 * 6)), "sic+sod")]
    [(5, 11, 11), (5, 6, 6)]
    """
    sizes = [head.classes for head in list_heads(task)]
    parts = np.split(counts, np.cumsum(np.square(sizes))[:-1], axis=-1)
    return [
        part.reshape(*counts.shape[:-1], size, size) for part, size in zip(parts, sizes, strict=True)
    ]


def compute_f1_arrays(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Compute F1 and accuracy of many tables (n, k, k) of types of ice.

    Returns
    -------
    dict of str to ndarray of float64, shape (n,)
        ``f1``: mean over the classes, weighted by their true pixels, as in the challenge;
        ``accuracy``; ``f1_K`` of class K, NaN if it is neither true nor predicted. NaN without a pixel.

    Examples
    --------
    >>> compute_f1_arrays(np.array([[[1, 0], [1, 2]]]))["f1"].round(3).tolist()
    [0.767]
    """
    counts = np.asarray(counts, np.float64)
    correct, true = np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2)
    total = true.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * correct / (true + counts.sum(axis=1))
        weighted = (np.nan_to_num(f1, nan=0.0) * true).sum(axis=1) / total
        scores = {"f1": weighted, "accuracy": correct.sum(axis=1) / total}
    return scores | {f"f1_{k}": f1[:, k] for k in range(counts.shape[-1])}


def compute_challenge_scores(tables: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Compute the scores of the AutoICE challenge, in percent and rounded to 3 digits as there.

    Parameters
    ----------
    tables : mapping of str to ndarray of int64, shape (k, k)
        Pixels by true and predicted class of SIC, SOD and FLOE, of all scenes together.

    Returns
    -------
    dict of str to float
        R2 of SIC, F1 of SOD and FLOE, and ``combined``, two fifths, two fifths and one fifth of them.
    """
    scores = {"SIC": compute_r2(tables["SIC"])}
    scores |= {name: float(compute_f1_arrays(tables[name][None])["f1"][0]) for name in ("SOD", "FLOE")}
    rounded = {name: round(100 * value, 3) for name, value in scores.items()}
    total = sum(CHART_WEIGHTS[name] * value for name, value in rounded.items())
    return rounded | {"combined": round(total / sum(CHART_WEIGHTS.values()), 3)}


def measure_table(table: np.ndarray, head: Head, rule: LabelRule) -> dict[str, float]:
    """Compute all scores of the table (k, k) of a head; R2 is exact."""
    if head.is_type:
        values = compute_f1_arrays(table[None])
        return {name: float(values[name][0]) for name in ("f1", "accuracy")}
    if head.name == "classes":
        return compute_scores(table)
    return compute_scores(merge_classes(table, rule)) | {"r2": compute_r2(table)}


def summarise_counts(counts: np.ndarray, task: str, rule: LabelRule) -> dict[str, float]:
    """Compute all scores of a vector of counts (n,).

    Of one head by their names, of several with the head before it, and ``combined``: the leading
    scores of the heads, weighted as in the challenge.
    """
    heads = list_heads(task)
    by_head = [
        measure_table(table, head, rule)
        for head, table in zip(heads, split_counts(counts, task), strict=True)
    ]
    if len(heads) == 1:
        return by_head[0]
    leading = [scores[head.score] for head, scores in zip(heads, by_head, strict=True)]
    combined = sum(w * score for w, score in zip(weigh_heads(task), leading, strict=True))
    return {
        f"{head.name}_{name}": value
        for head, scores in zip(heads, by_head, strict=True)
        for name, value in scores.items()
    } | {"combined": combined}


def compute_head_score_arrays(counts: np.ndarray, task: str, rule: LabelRule) -> dict[str, np.ndarray]:
    """Compute the scores of many vectors of counts (n, m) at once, as :func:`summarise_counts`.

    F1 of every class of types of ice is added.
    """
    heads, by_head = list_heads(task), []
    for head, tables in zip(heads, split_counts(counts, task), strict=True):
        if head.is_type:
            by_head.append(compute_f1_arrays(tables))
        elif head.name == "classes":
            by_head.append(compute_score_arrays(tables))
        else:
            merged = compute_score_arrays(merge_classes(tables, rule))
            by_head.append(merged | {"r2": compute_r2_arrays(tables)})
    if len(heads) == 1:
        return by_head[0]
    leading = [scores[head.score] for head, scores in zip(heads, by_head, strict=True)]
    combined = sum(w * score for w, score in zip(weigh_heads(task), leading, strict=True))
    named = {
        f"{head.name}_{name}": values
        for head, scores in zip(heads, by_head, strict=True)
        for name, values in scores.items()
    }
    return named | {"combined": np.asarray(combined)}


def choose_leading_score(task: str) -> str:
    """Name of the score by which the best epoch is chosen."""
    heads = list_heads(task)
    return heads[0].score if len(heads) == 1 else "combined"
