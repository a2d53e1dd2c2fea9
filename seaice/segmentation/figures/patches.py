"""Pictures of patches through a trained model: panels of mixed ones, and all by their features."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.segmentation.data.labels import (
    CLASS_NAMES,
    IGNORED,
)
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.splits import (
    Part,
    Split,
    load_split,
)
from seaice.segmentation.figures import (
    embedding,
    panels,
)
from seaice.sources.ai4arctic.scene import unscaled
from seaice.sources.ai4arctic.tables import SAR_CHANNELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from seaice.segmentation.networks.checkpoint import TrainedModel


def loaded(checkpoint: Path, patch_dir: Path, device: str) -> tuple[TrainedModel, list[PatchRow], Split]:
    """Model, manifest and split, if they belong together.

    Raises
    ------
    InputError
        If the model was trained with another split.
    """
    from seaice.segmentation.networks.checkpoint import load_model
    from seaice.segmentation.training.distributed import chosen_device

    parts = load_split(patch_dir)
    model = load_model(checkpoint, chosen_device(device))
    if model.note.get("split_digest") != parts.digest:
        raise InputError(
            f"expected the split that {checkpoint} was trained with, found another in {patch_dir}"
        )
    return model, read_manifest(patch_dir), parts


def most_mixed(rows: Sequence[PatchRow], count: int) -> list[PatchRow]:
    """Patches closest to half ice; of one scene a second only when all scenes have one."""
    order = sorted(rows, key=lambda row: (abs(row.ice_share - 0.5), row.file))
    seen: dict[str, int] = {}
    ranked = []
    for row in order:
        seen[row.scene] = seen.get(row.scene, 0) + 1
        ranked.append((seen[row.scene], row))
    mixed = [pair for pair in ranked if 0.2 <= pair[1].ice_share <= 0.8]
    return [row for _, row in sorted(mixed, key=lambda pair: pair[0])[:count]]


def panels_figure(
    checkpoint: Path, patch_dir: Path, split: str, count: int, device: str, report: Report
) -> Figure:
    """Mixed patches in rows: HH, HV, chart, prediction, difference.

    Raises
    ------
    InputError
        If there is no mixed patch.
    """
    if split not in ("validation", "test"):
        raise InputError(f"expected split validation or test, found {split!r}")
    model, manifest, parts = loaded(checkpoint, patch_dir, device)
    part: Part = "test" if split == "test" else "validation"
    rows = most_mixed(parts.rows(part, manifest), count)
    if not rows:
        raise InputError(
            f"expected patches with 20 to 80 percent ice in {split}, found none in {patch_dir}"
        )
    figure = panels.new_figure(9.6, 1.75 * len(rows) + 1.35)
    heights = [1.0] * len(rows) + [0.07]
    grid = figure.subplots(len(rows) + 1, 5, squeeze=False, height_ratios=heights)
    for ax, title in zip(grid[0], ("HH", "HV", "ice chart", "prediction", "difference"), strict=True):
        ax.set_title(title, fontsize=9)
    for axes, row in zip(grid[:-1], rows, strict=True):
        images, mean_iou = _patch(axes, model, patch_dir, row)
        start = row.scene.split("_")[0]
        text = f"{start[:8]}\n{row.service}\n{100 * row.ice_share:.0f} % ice\nmIoU {mean_iou:.2f}"
        axes[0].set_ylabel(text, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
        report.values[row.file] = {"iou_mean": mean_iou, "ice_share": row.ice_share}
    for column, label in enumerate(("HH (dB)", "HV (dB)", "chart (percent)")):
        panels.draw_bar(figure, images[column], label, cax=grid[-1][column], orientation="horizontal")
    for ax in grid[-1][3:]:
        ax.set_axis_off()
    panels.draw_length(grid[-2][3], rows[-1].size)
    predicted = {-1 - code: replace(panels.SURFACE[code], label=f"predicted {name}")
                 for code, name in enumerate(CLASS_NAMES)}  # fmt: skip
    panels.draw_key(figure, predicted | dict(panels.AGREEMENT))
    title = f"{model.note['model']}: patches of {split} scenes closest to half ice"
    figure.suptitle(title, fontsize=10, color=palette.TEXT)
    return figure


def _patch(
    axes: Sequence[Any], model: TrainedModel, patch_dir: Path, row: PatchRow
) -> tuple[list[Any], float]:
    """Draw the five pictures of a patch; returns the first three and the mean IoU."""
    import torch

    from seaice.segmentation.data.patch_dataset import PatchDataset
    from seaice.segmentation.data.targets import decided
    from seaice.segmentation.evaluation.metrics import (
        confusion,
        scores,
    )

    image, sic = PatchDataset(patch_dir, [row], inputs=model.inputs)[0]
    device = next(model.network.parameters()).device
    made = decided(model.likelihoods(image[None].to(device)), model.task)[0].cpu().numpy()
    predicted = made if model.task == "classes" else (made >= model.rule.first_class).astype(np.uint8)
    assert isinstance(sic, torch.Tensor)
    truth = model.rule.classes(sic.numpy())
    sar = image[:2].numpy()
    there = (sar != 0).any(axis=0)
    shown = []
    for ax, name, channel, stored in zip(axes, panels.channel_names(), SAR_CHANNELS, sar, strict=False):
        decibels = np.where(there, unscaled(channel, stored), np.nan)
        shown.append(panels.draw_sar(ax, decibels, name))
    shown.append(panels.draw_chart(axes[2], sic.numpy()))
    # Nothing was learned of land, nor is it scored.
    shown_classes = np.where(truth == IGNORED, np.uint8(IGNORED), predicted)
    panels.draw_codes(axes[3], shown_classes, panels.SURFACE)
    panels.draw_codes(axes[4], panels.agreement(truth, predicted), panels.AGREEMENT)
    return shown, float(scores(confusion(truth, predicted))["iou_mean"])


def embedding_figure(
    checkpoint: Path, patch_dir: Path, count: int, device: str, numbers: Path, report: Report
) -> Figure:
    """Patches of validation by their features and the votes of training patches.

    Parameters
    ----------
    checkpoint, patch_dir : Path
    count : int
        Most patches of either part.
    device : str
    numbers : Path
        JSON to write.
    report : Report
        Gets the numbers too.
    """
    model, manifest, parts = loaded(checkpoint, patch_dir, device)
    asked, known = (
        embedding.embed(model, patch_dir, embedding.spread(parts.rows(part, manifest), count))
        for part in ("validation", "train")
    )
    points, explained = embedding.principal_plane(asked.features)
    found, fewest = embedding.neighbour_votes(known, asked)
    ice = float((asked.ice_share >= embedding.HALF).mean())
    content = {
        "checkpoint": str(checkpoint),
        "model": model.note["model"],
        "split_digest": parts.digest,
        "features": asked.features.shape[1],
        "asked_patches": len(asked.scenes),
        "asked_scenes": len(set(asked.scenes)),
        "voting_patches": len(known.scenes),
        "voting_scenes": len(set(known.scenes)),
        "fewest_voters": fewest,
        "explained_variance": explained,
        "accuracy_by_neighbours": {str(k): value for k, value in found.items()},
        "majority": max(ice, 1 - ice),
    }
    with atomic(numbers) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    report.outputs.append(numbers)
    report.values.update(content)
    told = ", ".join(f"{k}: {value:.3f}" for k, value in found.items())
    report.lines.append(f"right by so many neighbours: {told}; majority {content['majority']:.3f}")
    figure = panels.new_figure(9.2, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    dots = panels.draw_embedding(left, points, asked.ice_share, explained)
    panels.draw_bar(figure, dots, "ice (percent of the patch)", ax=left, shrink=0.8, pad=0.02)
    left.set_title(
        f"{len(asked.scenes)} patches of {len(set(asked.scenes))} validation scenes", fontsize=9
    )
    panels.draw_neighbours(right, found, content["majority"])
    right.set_title(
        f"votes of {len(known.scenes)} patches of {len(set(known.scenes))} training scenes", fontsize=9
    )
    figure.suptitle(f"Features of {model.note['model']}", fontsize=10, color=palette.TEXT)
    return figure
