"""Baselines that a network has to beat: thresholds on HV and texture, the frequent class, and chance.

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
from seaice.segmentation.evaluation.metrics import (
    EdgeDistances,
    compute_score_arrays,
    count_confusion,
    measure_edge_distances,
)
from seaice.segmentation.heads.targets import make_label_table

# Pixels along a side of the square in which texture is measured.
TEXTURE_PIXELS = 25


def compute_texture(image: np.ndarray) -> np.ndarray:
    """Texture of HH: its standard deviation in the 25 x 25 pixels around each, where there is SAR.

    Parameters
    ----------
    image : ndarray, shape (2, H, W)
        As stored; 0 in both channels where there is no SAR.

    Returns
    -------
    ndarray of float64, shape (H, W)
        In the units stored. Beyond its edges the patch is continued by its mirror image.
    """
    from scipy.ndimage import uniform_filter

    has_sar = (image != 0).any(axis=0)
    hh = np.where(has_sar, image[0], 0).astype(np.float64)
    share, mean, square = (
        uniform_filter(field, TEXTURE_PIXELS, mode="reflect")
        for field in (has_sar.astype(np.float64), hh, hh * hh)
    )
    # Means count pixels without SAR as 0, so they are divided by the share of pixels with SAR. Where
    # there is none the share is set to that of half a pixel, and the texture becomes 0.
    share = np.maximum(share, 0.5 / TEXTURE_PIXELS**2)
    return np.sqrt(np.maximum(square / share - (mean / share) ** 2, 0))


@dataclass(frozen=True)
class Feature:
    """A number of every pixel that is larger over ice than over water.

    Attributes
    ----------
    compute : callable
        Function that computes the feature (H, W) from an image (2, H, W).
    edges : ndarray
        Thresholds that are tried, ascending. Values beyond them count in the first and last bin.
    """

    compute: Callable[[np.ndarray], np.ndarray]
    edges: np.ndarray


# Stored values lie about -6 to 6 standard deviations around the mean of the dataset.
FEATURES: Mapping[str, Feature] = {
    "threshold on HV": Feature(lambda image: image[1], np.linspace(-6.0, 6.0, 1201)),
    "threshold on texture of HH": Feature(compute_texture, np.linspace(0.0, 3.0, 1201)),
}


@dataclass(frozen=True)
class Baselines:
    """Rules without a network, learned from training patches.

    Attributes
    ----------
    thresholds : mapping of str to float
        Threshold above which a pixel is ice, by the name of the feature. It is the threshold with
        the best mean IoU in the training patches.
    ice_share : float
        Share of ice among the training pixels.
    """

    thresholds: Mapping[str, float]
    ice_share: float

    def count_patches(
        self, patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule
    ) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Count true and predicted labels of every patch.

        Returns
        -------
        dict of str to (ndarray, ndarray)
            Tables (n, 2, 2) and :class:`EdgeDistances` (n, 6), by the name of the method. Tables
            of majority and chance are expected values, and have no ice edge.
        """
        from seaice.segmentation.data.patch_dataset import read_patch

        tables: dict[str, list[np.ndarray]] = {name: [] for name in self.thresholds}
        edges: dict[str, list[EdgeDistances]] = {name: [] for name in self.thresholds}
        label_counts = []
        table = make_label_table("classes", rule)
        for row in rows:
            image, (sic,) = read_patch(patch_dir / row.file, row.size)
            truth = table[sic]
            label_counts.append([(truth == label).sum() for label in (WATER, ICE)])
            for name, threshold in self.thresholds.items():
                predicted = FEATURES[name].compute(image) > threshold
                tables[name].append(count_confusion(truth, predicted))
                edges[name].append(measure_edge_distances(truth, predicted))
        counts = {
            name: (np.stack(tables[name]), np.array(edges[name], np.float64)) for name in self.thresholds
        }
        # Rows of a table are true labels: each is shared out by how often a rule predicts each class.
        true_counts = np.array(label_counts, np.int64)[:, :, None]
        majority = np.array([0.0, 1.0] if self.ice_share > 0.5 else [1.0, 0.0])
        chance = np.array([1 - self.ice_share, self.ice_share])
        no_edges = np.zeros((len(rows), len(EdgeDistances._fields)))
        return counts | {
            "majority": (true_counts * majority, no_edges),
            "chance": (true_counts * chance, no_edges),
        }


def learn_baselines(patch_dir: Path, rows: Sequence[PatchRow], rule: LabelRule) -> Baselines:
    """Learn the thresholds and the share of ice from training patches.

    Raises
    ------
    InputError
        If no pixel of the patches has a class.
    """
    from seaice.segmentation.data.patch_dataset import read_patch

    table = make_label_table("classes", rule)
    counts = {name: np.zeros((2, f.edges.size + 1), np.int64) for name, f in FEATURES.items()}
    for row in rows:
        image, (sic,) = read_patch(patch_dir / row.file, row.size)
        labels = table[sic]
        for name, feature in FEATURES.items():
            bins = np.searchsorted(feature.edges, feature.compute(image), side="left")
            for label in (WATER, ICE):
                label_bins = bins[labels == label]
                counts[name][label] += np.bincount(label_bins, minlength=feature.edges.size + 1)
    total = next(iter(counts.values())).sum(axis=1)
    if not total.sum():
        raise InputError(
            f"expected pixels with a class in the patches of train, found none: {patch_dir}"
        )
    thresholds = {
        name: float(FEATURES[name].edges[_find_best_edge(bin_counts)])
        for name, bin_counts in counts.items()
    }
    return Baselines(thresholds, float(total[ICE] / total.sum()))


def _find_best_edge(counts: np.ndarray) -> int:
    """Index of the edge with the best mean IoU, from counts (2, edges + 1) by label and bin."""
    # Bins 0 to k lie below or at edge k, so a threshold at edge k makes their pixels water.
    water = counts.cumsum(axis=1)[:, :-1]
    ice = counts.sum(axis=1, keepdims=True) - water
    tables = np.stack([water, ice], axis=-1).transpose(1, 0, 2)
    return int(np.nanargmax(compute_score_arrays(tables)["iou_mean"]))
