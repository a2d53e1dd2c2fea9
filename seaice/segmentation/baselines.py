"""What a model has to beat: a threshold on HV, the more frequent class, and chance.

All of them learn from the training patches alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.segmentation.labels import ICE, WATER, LabelRule
from seaice.segmentation.metrics import EdgeSums, confusion, edge_sums, score_arrays
from seaice.segmentation.patch_manifest import PatchRow
from seaice.segmentation.targets import truth_table

# Stored values of HV: about -6 to 6 deviations, and what is beyond in the first and last bin.
_EDGES = np.linspace(-6.0, 6.0, 1201)
NAMES = ("threshold on HV", "majority", "chance")


@dataclass(frozen=True)
class Baselines:
    """What the training patches say.

    Attributes
    ----------
    threshold : float
        A pixel with a stored HV above it is ice; the best mean IoU of the training patches.
    ice_share : float
        Of the training pixels.
    """

    threshold: float
    ice_share: float

    def score(
        self, patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Tables (n, 2, 2) and :class:`EdgeSums` (n, 6) of every patch, by name of the method.

        Those of majority and chance are exact expectations without an edge.
        """
        tables, edges = [], []
        table = truth_table("classes", rule)
        from seaice.segmentation.patch_dataset import read_patch

        for row in rows:
            image, sic = read_patch(patch_dir / row.file, row.size, with_amsr2=False)
            made = image[1] > self.threshold
            tables.append(confusion(table[sic], made))
            edges.append(edge_sums(table[sic], made))
        counted = np.stack(tables)
        there = counted.sum(axis=2)
        most = np.array([0.0, 1.0] if self.ice_share > 0.5 else [1.0, 0.0])
        chance = np.array([1 - self.ice_share, self.ice_share])
        none = np.zeros((len(rows), len(EdgeSums._fields)))
        return {
            NAMES[0]: (counted, np.array(edges, np.float64)),
            NAMES[1]: (there[:, :, None] * most, none),
            NAMES[2]: (there[:, :, None] * chance, none),
        }


def learned(patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule) -> Baselines:
    """Choose the threshold and count the ice of training patches.

    Raises
    ------
    InputError
        If no pixel of them has a class.
    """
    from seaice.segmentation.patch_dataset import read_patch

    table = truth_table("classes", rule)
    counts = np.zeros((2, _EDGES.size + 1), np.int64)
    for row in rows:
        image, sic = read_patch(patch_dir / row.file, row.size, with_amsr2=False)
        place = np.searchsorted(_EDGES, image[1], side="left")
        labels = table[sic]
        for label in (WATER, ICE):
            counts[label] += np.bincount(place[labels == label], minlength=counts.shape[1])
    if not counts.sum():
        raise InputError(
            f"expected pixels with a class in the patches of train, found none: {patch_dir}"
        )
    # Below or at edge k lie the bins 0 to k, so that they are water.
    water = counts.cumsum(axis=1)[:, :-1]
    ice = counts.sum(axis=1, keepdims=True) - water
    tables = np.stack([water, ice], axis=-1).transpose(1, 0, 2)
    best = int(np.nanargmax(score_arrays(tables)["iou_mean"]))
    return Baselines(float(_EDGES[best]), float(counts[ICE].sum() / counts.sum()))
