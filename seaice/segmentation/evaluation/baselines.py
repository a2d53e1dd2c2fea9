"""What a model has to beat: thresholds on HV and on texture, the more frequent class, and chance.

All of them learn from the training patches alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.segmentation.data.labels import (
    ICE,
    WATER,
    LabelRule,
)
from seaice.segmentation.data.patch_manifest import PatchRow
from seaice.segmentation.data.targets import truth_table
from seaice.segmentation.evaluation.metrics import (
    EdgeSums,
    confusion,
    edge_sums,
    score_arrays,
)

TEXTURE_PIXELS = 25


def texture(image: np.ndarray) -> np.ndarray:
    """Standard deviation of HH around every pixel: in 25 x 25 pixels, those without SAR left out.

    Parameters
    ----------
    image : ndarray, shape (2, H, W)
        As stored; 0 in both channels where there is no SAR.

    Returns
    -------
    ndarray of float64, shape (H, W)
        In the units stored. What lies beyond the patch is mirrored.
    """
    from scipy.ndimage import uniform_filter

    there = (image != 0).any(axis=0)
    hh = np.where(there, image[0], 0).astype(np.float64)
    share, mean, square = (
        uniform_filter(field, TEXTURE_PIXELS, mode="reflect")
        for field in (there.astype(np.float64), hh, hh * hh)
    )
    share = np.maximum(share, 0.5 / TEXTURE_PIXELS**2)
    return np.sqrt(np.maximum(square / share - (mean / share) ** 2, 0))


@dataclass(frozen=True)
class Feature:
    """A number of every pixel that is larger over ice.

    Attributes
    ----------
    of : callable
        From an image (2, H, W) to (H, W).
    edges : ndarray
        Thresholds that are tried; what is beyond counts in the first and last bin.
    """

    of: Callable[[np.ndarray], np.ndarray]
    edges: np.ndarray


# Stored values lie about -6 to 6 standard deviations around the mean of the dataset.
FEATURES: Mapping[str, Feature] = {
    "threshold on HV": Feature(lambda image: image[1], np.linspace(-6.0, 6.0, 1201)),
    "threshold on texture of HH": Feature(texture, np.linspace(0.0, 3.0, 1201)),
}


@dataclass(frozen=True)
class Baselines:
    """What the training patches say.

    Attributes
    ----------
    thresholds : mapping of str to float
        By name of the feature: a pixel above it is ice; the best mean IoU of the training patches.
    ice_share : float
        Of the training pixels.
    """

    thresholds: Mapping[str, float]
    ice_share: float

    def score(
        self, patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Tables (n, 2, 2) and :class:`EdgeSums` (n, 6) of every patch, by name of the method.

        Those of majority and chance are exact expectations without an edge.
        """
        from seaice.segmentation.data.patch_dataset import read_patch

        tables: dict[str, list[np.ndarray]] = {name: [] for name in self.thresholds}
        edges: dict[str, list[EdgeSums]] = {name: [] for name in self.thresholds}
        known = []
        table = truth_table("classes", rule)
        for row in rows:
            image, sic = read_patch(patch_dir / row.file, row.size, with_amsr2=False)
            truth = table[sic]
            known.append([(truth == label).sum() for label in (WATER, ICE)])
            for name, threshold in self.thresholds.items():
                made = FEATURES[name].of(image) > threshold
                tables[name].append(confusion(truth, made))
                edges[name].append(edge_sums(truth, made))
        found = {
            name: (np.stack(tables[name]), np.array(edges[name], np.float64)) for name in self.thresholds
        }
        there = np.array(known, np.int64)[:, :, None]
        most = np.array([0.0, 1.0] if self.ice_share > 0.5 else [1.0, 0.0])
        chance = np.array([1 - self.ice_share, self.ice_share])
        none = np.zeros((len(rows), len(EdgeSums._fields)))
        return found | {"majority": (there * most, none), "chance": (there * chance, none)}


def learned(patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule) -> Baselines:
    """Choose the thresholds and count the ice of training patches.

    Raises
    ------
    InputError
        If no pixel of them has a class.
    """
    from seaice.segmentation.data.patch_dataset import read_patch

    table = truth_table("classes", rule)
    counts = {name: np.zeros((2, each.edges.size + 1), np.int64) for name, each in FEATURES.items()}
    for row in rows:
        image, sic = read_patch(patch_dir / row.file, row.size, with_amsr2=False)
        labels = table[sic]
        for name, feature in FEATURES.items():
            place = np.searchsorted(feature.edges, feature.of(image), side="left")
            for label in (WATER, ICE):
                here = place[labels == label]
                counts[name][label] += np.bincount(here, minlength=feature.edges.size + 1)
    total = next(iter(counts.values())).sum(axis=1)
    if not total.sum():
        raise InputError(
            f"expected pixels with a class in the patches of train, found none: {patch_dir}"
        )
    thresholds = {name: float(FEATURES[name].edges[_best(each)]) for name, each in counts.items()}
    return Baselines(thresholds, float(total[ICE] / total.sum()))


def _best(counts: np.ndarray) -> int:
    """Number of the edge with the best mean IoU, of counts (2, edges + 1) by label and bin."""
    # Below or at edge k lie the bins 0 to k, so that they are water.
    water = counts.cumsum(axis=1)[:, :-1]
    ice = counts.sum(axis=1, keepdims=True) - water
    tables = np.stack([water, ice], axis=-1).transpose(1, 0, 2)
    return int(np.nanargmax(score_arrays(tables)["iou_mean"]))
