"""What a network sees in patches: their features, and whether patches of a kind lie together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.segmentation.data.patch_manifest import PatchRow

if TYPE_CHECKING:
    from seaice.segmentation.networks.checkpoint import TrainedModel

NEIGHBOURS = (1, 3, 5, 10)
HALF = 0.5  # share of ice from which on a patch counts as ice


@dataclass(frozen=True)
class Embedded:
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


def spread(rows: Sequence[PatchRow], count: int) -> list[PatchRow]:
    """At most so many rows, evenly from first to last."""
    if len(rows) <= count:
        return list(rows)
    return [rows[k] for k in np.linspace(0, len(rows) - 1, count).round().astype(int)]


def embed(model: TrainedModel, patch_dir: Path, rows: Sequence[PatchRow]) -> Embedded:
    """Features of the deepest layer, or the tokens of a backbone, averaged over each patch.

    Raises
    ------
    InputError
        If the network does not tell its features.
    """
    import torch

    from seaice.segmentation.data.patch_dataset import PatchDataset

    see = getattr(model.network, "features", None)
    if see is None:
        raise InputError(
            f"expected a network with a method features(images), found none in {model.note['model']}"
        )
    device = next(model.network.parameters()).device
    data, found = PatchDataset(patch_dir, rows, inputs=model.inputs), []
    with torch.inference_mode():
        # One at a time: the last digits would depend on the batch.
        for number in range(len(data)):
            made = see(data[number][0][None].to(device))
            found.append(made.float().mean(dim=(-2, -1))[0].cpu().numpy())
    features = np.stack(found).astype(np.float64)
    shares = np.array([row.ice_share for row in rows])
    return Embedded(features, shares, tuple(row.scene for row in rows))


def principal_plane(features: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """The two directions of largest variance.

    Parameters
    ----------
    features : ndarray of float64, shape (n, width)

    Returns
    -------
    points : ndarray of float64, shape (n, 2)
        The largest part of each direction is positive.
    explained : list of float
        Share of the variance of both.

    Raises
    ------
    InputError
        If there are fewer than three patches or two features.

    Examples
    --------
    >>> points, explained = principal_plane(np.array([[0.0, 0.0], [3, 4], [6, 8]]))
    >>> points[:, 0].round(6).tolist(), round(explained[0], 6)
    ([-5.0, 0.0, 5.0], 1.0)
    """
    if features.shape[0] < 3 or features.shape[1] < 2:
        raise InputError(
            f"expected at least 3 patches and 2 features, found {features.shape[0]} and "
            f"{features.shape[1]}; cut more patches"
        )
    centred = features - features.mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    axes = directions[:2]
    # The sign of a direction means nothing and differs between libraries.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    axes = axes * np.where(largest < 0, -1, 1)
    total = float((sizes**2).sum())
    explained = (sizes[:2] ** 2 / total).tolist() if total else [0.0, 0.0]
    return centred @ axes.T, explained


def neighbour_votes(
    known: Embedded, asked: Embedded, numbers: Sequence[int] = NEIGHBOURS
) -> tuple[Mapping[int, float], int]:
    """How often the vote of the nearest patches (cosine) finds whether a patch is ice.

    A patch of the same scene is never asked for its vote. A tie goes to the nearest one.

    Parameters
    ----------
    known : Embedded
        Those who vote.
    asked : Embedded
    numbers : sequence of int
        Of votes; larger than there are voters in other scenes: left out.

    Returns
    -------
    accuracy : mapping of int to float
    fewest : int
        Voters that every patch had.
    """
    near = _unit(asked.features) @ _unit(known.features).T
    same = np.array(asked.scenes)[:, None] == np.array(known.scenes)[None, :]
    near[same] = -np.inf
    fewest = int((~same).sum(axis=1).min())
    order = np.argsort(-near, axis=1, kind="stable")
    votes = (known.ice_share >= HALF)[order]
    truth = asked.ice_share >= HALF
    found = {}
    for number in numbers:
        if number > fewest:
            continue
        ice = votes[:, :number].sum(axis=1)
        called = np.where(2 * ice == number, votes[:, 0], 2 * ice > number)
        found[number] = float((called == truth).mean())
    return found, fewest


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=1, keepdims=True)
    made: np.ndarray = features / np.where(length > 0, length, 1)
    return made
