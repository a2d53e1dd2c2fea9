"""Features that a network computes of patches, and whether patches of a kind have similar ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.segmentation.data.patch_manifest import PatchRow

if TYPE_CHECKING:
    import torch

    from seaice.segmentation.networks.checkpoint import TrainedModel

NEIGHBOURS = (1, 3, 5, 10)
HALF_ICE = 0.5  # share of ice from which on a patch counts as ice


@dataclass(frozen=True)
class PatchFeatures:
    """Features of patches.

    Attributes
    ----------
    features : ndarray of float64, shape (patches, width)
    ice_share : ndarray of float64, shape (patches,)
        As in the manifest: class 2 and above.
    scenes : tuple of str
    """

    features: np.ndarray
    ice_share: np.ndarray
    scenes: tuple[str, ...]


def pick_evenly(rows: Sequence[PatchRow], count: int) -> list[PatchRow]:
    """Pick at most ``count`` rows, evenly from first to last."""
    if len(rows) <= count:
        return list(rows)
    return [rows[k] for k in np.linspace(0, len(rows) - 1, count).round().astype(int)]


def _find_extractor(model: TrainedModel) -> Callable[[torch.Tensor], torch.Tensor]:
    extract_features = getattr(model.network, "extract_features", None)
    if extract_features is None:
        raise InputError(
            f"expected a network with a method extract_features(images), found none in "
            f"{model.metadata['model']}"
        )
    return extract_features  # type: ignore[no-any-return]


def embed_patches(model: TrainedModel, patch_dir: Path, rows: Sequence[PatchRow]) -> PatchFeatures:
    """Compute features of patches: those of the deepest layer or of a backbone, averaged over each.

    Raises
    ------
    InputError
        If the network has no method ``extract_features``.
    """
    import torch

    from seaice.segmentation.data.patch_dataset import PatchDataset

    extract_features = _find_extractor(model)
    device = next(model.network.parameters()).device
    data, averaged = PatchDataset(patch_dir, rows, inputs=model.inputs), []
    with torch.inference_mode():
        # One patch at a time, because the last digits depend on the batch.
        for number in range(len(data)):
            feature_map = extract_features(data[number][0][None].to(device))
            averaged.append(feature_map.float().mean(dim=(-2, -1))[0].cpu().numpy())
    features = np.stack(averaged).astype(np.float64)
    shares = np.array([row.ice_share for row in rows])
    return PatchFeatures(features, shares, tuple(row.scene for row in rows))


def compute_tokens(model: TrainedModel, patch_dir: Path, rows: Sequence[PatchRow]) -> list[np.ndarray]:
    """Features of every place of some patches, float64 (width, h, w) each.

    Raises
    ------
    InputError
        If the network has no method ``extract_features``.
    """
    import torch

    from seaice.segmentation.data.patch_dataset import PatchDataset

    extract_features = _find_extractor(model)
    device = next(model.network.parameters()).device
    data = PatchDataset(patch_dir, rows, inputs=model.inputs)
    with torch.inference_mode():
        # One patch at a time, because the last digits depend on the batch.
        images = [data[number][0][None].to(device) for number in range(len(data))]
        return [extract_features(image)[0].double().cpu().numpy() for image in images]


def colour_tokens(tokens: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Colour places by the three directions in which the features of all of them differ most.

    Places of one colour are alike to the network. Between the 2nd and the 98th percentile along a
    direction a colour goes from 0 to 1.

    Parameters
    ----------
    tokens : sequence of ndarray of float64, shape (width, h, w)

    Returns
    -------
    list of ndarray of float64, shape (h, w, 3)
        Red, green and blue; the largest component of each direction is positive.

    Examples
    --------
    >>> places = np.zeros((3, 1, 2))
    >>> places[0] = [[0.0, 4.0]]
    >>> colour_tokens([places])[0][0, :, 0].tolist()
    [0.0, 1.0]
    """
    features = np.concatenate([field.reshape(len(field), -1).T for field in tokens])
    axes = _find_directions(features - features.mean(axis=0), 3)
    points = (features - features.mean(axis=0)) @ axes.T
    low, high = np.percentile(points, (2, 98), axis=0)
    scaled = ((points - low) / np.where(high > low, high - low, 1)).clip(0, 1)
    colours = np.zeros((len(features), 3))
    colours[:, : scaled.shape[1]] = scaled
    ends = np.cumsum([field[0].size for field in tokens])[:-1]
    parts = zip(np.split(colours, ends), tokens, strict=True)
    return [part.reshape(*field.shape[1:], 3) for part, field in parts]


def _find_directions(centred: np.ndarray, count: int) -> np.ndarray:
    """Directions of largest variance, (count, width)."""
    axes = np.linalg.svd(centred, full_matrices=False)[2][:count]
    # The sign of a direction means nothing and differs between libraries.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    return axes * np.where(largest < 0, -1, 1)


def find_principal_components(features: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Find the two directions of largest variance, and the patches in their plane.

    Parameters
    ----------
    features : ndarray of float64, shape (n, width)

    Returns
    -------
    points : ndarray of float64, shape (n, 2)
        Along both directions. The largest component of each direction is positive.
    explained : list of float
        Share of the variance along each direction.

    Raises
    ------
    InputError
        If there are fewer than three patches or two features.

    Examples
    --------
    >>> points, explained = find_principal_components(np.array([[0.0, 0.0], [3, 4], [6, 8]]))
    >>> points[:, 0].round(6).tolist(), round(explained[0], 6)
    ([-5.0, 0.0, 5.0], 1.0)
    """
    if features.shape[0] < 3 or features.shape[1] < 2:
        raise InputError(
            f"expected at least 3 patches and 2 features, found {features.shape[0]} and "
            f"{features.shape[1]}; cut more patches"
        )
    centred = features - features.mean(axis=0)
    sizes = np.linalg.svd(centred, compute_uv=False)
    axes = _find_directions(centred, 2)
    total = float((sizes**2).sum())
    explained = (sizes[:2] ** 2 / total).tolist() if total else [0.0, 0.0]
    return centred @ axes.T, explained


def score_neighbour_votes(
    voters: PatchFeatures, judged: PatchFeatures, numbers: Sequence[int] = NEIGHBOURS
) -> tuple[Mapping[int, float], int]:
    """Score how often the nearest patches, by vote, tell whether a patch is ice.

    Patches are near if the cosine of their features is large. Patches of the same scene do not vote. If
    votes are equal, the nearest patch decides.

    Parameters
    ----------
    voters : PatchFeatures
        Patches that vote.
    judged : PatchFeatures
        Patches that are voted on.
    numbers : sequence of int
        Numbers of votes; a number larger than the voters in other scenes is left out.

    Returns
    -------
    accuracy : mapping of int to float
        Share of the patches that are voted right, by the number of votes.
    fewest : int
        Least number of voters that a patch has.
    """
    cosines = _normalise(judged.features) @ _normalise(voters.features).T
    same_scene = np.array(judged.scenes)[:, None] == np.array(voters.scenes)[None, :]
    cosines[same_scene] = -np.inf
    fewest = int((~same_scene).sum(axis=1).min())
    order = np.argsort(-cosines, axis=1, kind="stable")
    votes = (voters.ice_share >= HALF_ICE)[order]
    truth = judged.ice_share >= HALF_ICE
    accuracy = {}
    for number in numbers:
        if number > fewest:
            continue
        ice = votes[:, :number].sum(axis=1)
        outcome = np.where(2 * ice == number, votes[:, 0], 2 * ice > number)
        accuracy[number] = float((outcome == truth).mean())
    return accuracy, fewest


def _normalise(features: np.ndarray) -> np.ndarray:
    """Vectors of length 1; a vector of zeros stays so."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    normalised: np.ndarray = features / np.where(length > 0, length, 1)
    return normalised
