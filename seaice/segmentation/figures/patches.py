"""Figures of patches and a trained model: mixed patches beside their charts, and features."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.report import Report
from seaice.runtime.json_files import write_json
from seaice.segmentation.data.labels import (
    CLASS_NAMES,
    IGNORED,
)
from seaice.segmentation.data.patch_manifest import (
    PatchRow,
    read_manifest,
)
from seaice.segmentation.data.patch_positions import ABOUT_HALF_ICE
from seaice.segmentation.data.splits import (
    SCORED_PARTS,
    ScoredPart,
    load_split,
)
from seaice.segmentation.figures import (
    embedding,
    panels,
)
from seaice.segmentation.networks.checkpoint import (
    TrainedModel,
    load_model_of_split,
)
from seaice.sources.ai4arctic.scene import unscale
from seaice.sources.ai4arctic.tables import SAR_CHANNELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def select_most_mixed(rows: Sequence[PatchRow], count: int) -> list[PatchRow]:
    """Select patches closest to half ice; every scene gives one before any gives a second."""
    order = sorted(rows, key=lambda row: (abs(row.ice_share - 0.5), row.file))
    scene_counts: Counter[str] = Counter()
    ranked = []
    for row in order:
        scene_counts[row.scene] += 1
        ranked.append((scene_counts[row.scene], row))
    mixed = [pair for pair in ranked if ABOUT_HALF_ICE[0] <= pair[1].ice_share <= ABOUT_HALF_ICE[1]]
    return [row for _, row in sorted(mixed, key=lambda pair: pair[0])[:count]]


def draw_panels_figure(
    checkpoint: Path, patch_dir: Path, split: ScoredPart, count: int, device: str, report: Report
) -> Figure:
    """Draw mixed patches in rows: HH, HV, chart, prediction, difference.

    Parameters
    ----------
    checkpoint, patch_dir : Path
    split : {"validation", "test"}
    count : int
        Most patches.
    device : str
    report : Report
        Scores of the patches are added to it.

    Raises
    ------
    InputError
        If there is no mixed patch, or the model was trained with another split.
    """
    model, rows = _select_patches(checkpoint, patch_dir, split, count, device)
    figure = panels.make_figure(9.6, 1.75 * len(rows) + 1.35)
    heights = [1.0] * len(rows) + [0.07]
    grid = figure.subplots(len(rows) + 1, 5, squeeze=False, height_ratios=heights)
    for ax, title in zip(grid[0], ("HH", "HV", "ice chart", "prediction", "difference"), strict=True):
        ax.set_title(title, fontsize=9)
    for axes, row in zip(grid[:-1], rows, strict=True):
        images, mean_iou = _draw_patch(axes, model, patch_dir, row)
        start = row.scene.split("_")[0]
        text = f"{start[:8]}\n{row.service}\n{100 * row.ice_share:.0f} % ice\nmIoU {mean_iou:.2f}"
        axes[0].set_ylabel(text, fontsize=8, rotation=0, ha="right", va="center", labelpad=6)
        report.values[row.file] = {"iou_mean": mean_iou, "ice_share": row.ice_share}
    for column, label in enumerate(("HH (dB)", "HV (dB)", "chart (percent)")):
        panels.draw_colour_bar(
            figure, images[column], label, cax=grid[-1][column], orientation="horizontal"
        )
    for ax in grid[-1][3:]:
        ax.set_axis_off()
    panels.draw_scale_bar(grid[-2][3], rows[-1].size)
    predicted = {-1 - code: replace(panels.SURFACE[code], label=f"predicted {name}")
                 for code, name in enumerate(CLASS_NAMES)}  # fmt: skip
    panels.draw_legend(figure, predicted | dict(panels.AGREEMENT))
    title = f"{model.metadata['model']}: patches of {split} scenes closest to half ice"
    figure.suptitle(title, fontsize=10, color=palette.TEXT)
    return figure


def _draw_patch(
    axes: Sequence[Any], model: TrainedModel, patch_dir: Path, row: PatchRow
) -> tuple[list[Any], float]:
    """Draw the five images of a patch; returns the first three and the mean IoU."""
    import torch

    from seaice.segmentation.data.patch_dataset import PatchDataset
    from seaice.segmentation.evaluation.metrics import (
        compute_scores,
        count_confusion,
    )
    from seaice.segmentation.heads.head import list_heads, split_outputs
    from seaice.segmentation.heads.targets import decide_classes

    image = PatchDataset(patch_dir, [row], inputs=model.inputs)[0][0]
    stored, (sic,) = PatchDataset(patch_dir, [row])[0]
    device = next(model.network.parameters()).device
    head = list_heads(model.task)[0]
    output = split_outputs(model.predict(image[None].to(device)), model.task)[0]
    predicted = decide_classes(output, head.name)[0].cpu().numpy()
    if head.name != "classes":
        first = 1 if head.is_type else model.rule.first_ice_class
        predicted = (predicted >= first).astype(np.uint8)
    assert isinstance(sic, torch.Tensor)
    truth = model.rule.label(sic.numpy())
    sar = stored.numpy()
    has_sar = (sar != 0).any(axis=0)
    images = []
    for ax, name, channel, values in zip(
        axes, panels.name_polarisations(), SAR_CHANNELS, sar, strict=False
    ):
        decibels = np.where(has_sar, unscale(channel, values), np.nan)
        images.append(panels.draw_sar(ax, decibels, name))
    images.append(panels.draw_chart(axes[2], sic.numpy()))
    # Pixels without a class, such as land, are neither learned nor scored, and not drawn.
    codes = np.where(truth == IGNORED, np.uint8(IGNORED), predicted)
    panels.draw_codes(axes[3], codes, panels.SURFACE)
    panels.draw_codes(axes[4], panels.compare_labels(truth, predicted), panels.AGREEMENT)
    return images, float(compute_scores(count_confusion(truth, predicted))["iou_mean"])


def draw_tokens_figure(
    checkpoint: Path, patch_dir: Path, split: ScoredPart, count: int, device: str, report: Report
) -> Figure:
    """Draw mixed patches in columns: HH, chart, and the features of the network as colours.

    Parameters are those of :func:`draw_panels_figure`.

    Raises
    ------
    InputError
        If there is no mixed patch, the model was trained with another split, or its network has no
        method ``extract_features``.
    """
    from seaice.segmentation.data.patch_dataset import PatchDataset

    model, rows = _select_patches(checkpoint, patch_dir, split, count, device)
    tokens = embedding.compute_tokens(model, patch_dir, rows)
    figure = panels.make_figure(1.75 * len(rows) + 0.9, 5.9)
    grid = figure.subplots(3, len(rows), squeeze=False)
    for column, (row, colours) in enumerate(zip(rows, embedding.colour_tokens(tokens), strict=True)):
        stored, (sic,) = PatchDataset(patch_dir, [row])[0]
        sar = stored.numpy()
        has_sar = (sar != 0).any(axis=0)
        decibels = np.where(has_sar, unscale(SAR_CHANNELS[0], sar[0]), np.nan)
        axes = grid[:, column]
        panels.draw_sar(axes[0], decibels, panels.name_polarisations()[0])
        panels.draw_chart(axes[1], np.asarray(sic))
        axes[2].imshow(colours, extent=(-0.5, row.size - 0.5, row.size - 0.5, -0.5))
        axes[2].set(xticks=[], yticks=[])
        axes[0].set_title(f"{row.scene.split('_')[0][:8]}\n{100 * row.ice_share:.0f} % ice", fontsize=8)
    for ax, label in zip(grid[:, 0], ("HH", "ice chart", "features"), strict=True):
        ax.set_ylabel(label, fontsize=9)
    shape = tokens[0].shape
    report.values["tokens"] = {"width": shape[0], "places": list(shape[1:])}
    title = f"{model.metadata['model']}: places of one colour are alike to the network"
    figure.suptitle(title, fontsize=10, color=palette.TEXT)
    return figure


def _select_patches(
    checkpoint: Path, patch_dir: Path, split: ScoredPart, count: int, device: str
) -> tuple[TrainedModel, list[PatchRow]]:
    """The model, and the most mixed patches of a part."""
    if split not in SCORED_PARTS:
        raise InputError(f"expected split validation or test, found {split!r}")
    parts = load_split(patch_dir)
    model = load_model_of_split(checkpoint, parts, patch_dir, device)
    rows = select_most_mixed(parts.select_rows(split, read_manifest(patch_dir)), count)
    if not rows:
        raise InputError(
            f"expected patches with 20 to 80 percent ice in {split}, found none in {patch_dir}"
        )
    return model, rows


def draw_embedding_figure(
    checkpoint: Path, patch_dir: Path, count: int, device: str, numbers: Path, report: Report
) -> Figure:
    """Draw validation patches by their features, and how training patches vote on them.

    Parameters
    ----------
    checkpoint, patch_dir : Path
    count : int
        Most patches of either part.
    device : str
    numbers : Path
        JSON file to write.
    report : Report
        The same numbers are added to it.

    Raises
    ------
    InputError
        If there are too few patches, or the model was trained with another split.
    """
    parts, manifest = load_split(patch_dir), read_manifest(patch_dir)
    model = load_model_of_split(checkpoint, parts, patch_dir, device)
    judged, voters = (
        embedding.embed_patches(
            model, patch_dir, embedding.pick_evenly(parts.select_rows(part, manifest), count)
        )
        for part in ("validation", "train")
    )
    points, explained = embedding.find_principal_components(judged.features)
    accuracy, fewest = embedding.score_neighbour_votes(voters, judged)
    ice = float((judged.ice_share >= embedding.HALF_ICE).mean())
    content = {
        "checkpoint": str(checkpoint),
        "model": model.metadata["model"],
        "split_digest": parts.digest,
        "features": judged.features.shape[1],
        "asked_patches": len(judged.scenes),
        "asked_scenes": len(set(judged.scenes)),
        "voting_patches": len(voters.scenes),
        "voting_scenes": len(set(voters.scenes)),
        "fewest_voters": fewest,
        "explained_variance": explained,
        "accuracy_by_neighbours": {str(k): value for k, value in accuracy.items()},
        "majority": max(ice, 1 - ice),
    }
    write_json(numbers, content)
    report.outputs.append(numbers)
    report.values.update(content)
    shares = ", ".join(f"{k}: {value:.3f}" for k, value in accuracy.items())
    report.lines.append(
        f"share of patches called right, by number of neighbours: {shares}; majority "
        f"{content['majority']:.3f}"
    )
    figure = panels.make_figure(9.2, 3.9)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    dots = panels.draw_embedding(left, points, judged.ice_share, explained)
    panels.draw_colour_bar(figure, dots, "ice (percent of the patch)", ax=left, shrink=0.8, pad=0.02)
    left.set_title(
        f"{len(judged.scenes)} patches of {len(set(judged.scenes))} validation scenes", fontsize=9
    )
    panels.draw_neighbours(right, accuracy, content["majority"])
    right.set_title(
        f"votes of {len(voters.scenes)} patches of {len(set(voters.scenes))} training scenes", fontsize=9
    )
    figure.suptitle(f"Features of {model.metadata['model']}", fontsize=10, color=palette.TEXT)
    return figure
