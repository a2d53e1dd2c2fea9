"""Draw the results of segmentation: curves, patches, maps of scenes, data efficiency and features."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np

from seaice import InputError
from seaice.daily.source import is_daily_name
from seaice.drawing import palette
from seaice.report import Report
from seaice.runtime.atomic_write import atomic
from seaice.runtime.json_files import parse_json
from seaice.runtime.options import Count, Range
from seaice.runtime.output_checks import (
    Output,
    check_outputs,
)
from seaice.segmentation.data.splits import ScoredPart
from seaice.segmentation.figures import panels
from seaice.segmentation.figures.patches import (
    draw_embedding_figure,
    draw_panels_figure,
    draw_tokens_figure,
)
from seaice.segmentation.figures.reliability import draw_reliability_figure
from seaice.segmentation.mapping.scene_map import LAND, SceneMap, read_scene_map
from seaice.segmentation.training.log import LOG_FILE, read_log

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind = Literal["curves", "panels", "scene", "efficiency", "embedding", "tokens", "reliability"]
KINDS: tuple[Kind, ...] = get_args(Kind)
ScoreName = Literal["iou_mean", "iou_water", "iou_ice", "r2", "accuracy", "f1_mean", "f1", "combined"]
SCORES: Mapping[str, str] = {
    "iou_mean": "mean IoU",
    "iou_water": "IoU of water",
    "iou_ice": "IoU of ice",
    "r2": "R2 of concentration",
    "accuracy": "accuracy",
    "f1_mean": "mean F1",
    "f1": "F1 of types of ice",
    "combined": "combined score",
}
# Scores that may choose the best epoch; those that are drawn by epoch, of one head and of several.
_LEADING = ("combined", "r2", "iou_mean", "f1")
_CURVES = {name: SCORES[name] for name in ("iou_mean", "iou_water", "iou_ice", "r2", "f1")}
_CURVES_OF_HEADS = {
    "combined": SCORES["combined"],
    "classes_iou_mean": SCORES["iou_mean"],
    "sic_r2": "R2 of concentration",
    "sod_f1": "F1 of stage of development",
    "floe_f1": "F1 of floe size",
}
_COUNTS = {"panels": 6, "tokens": 6, "embedding": 300}
_TITLE = 10
_MOST_COLUMNS = 4


def plot(
    *,
    kind: Kind,
    output_file: Path,
    input_files: Sequence[Path] = (),
    labels: Sequence[str] = (),
    checkpoint: Path | None = None,
    patch_dir: Path | None = None,
    split: ScoredPart = "test",
    score: ScoreName = "iou_mean",
    count: Count | None = None,
    device: str = "auto",
    dpi: Annotated[int, Range(20, 1200, "N")] = 150,
) -> Report:
    """Draw a figure of results.

    Parameters
    ----------
    kind : {"curves", "panels", "scene", "efficiency", "embedding", "tokens", "reliability"}
        curves: losses and validation scores by epoch; panels: mixed patches with chart, prediction and
        difference; scene: the map of a scene; efficiency: scores by the share of the training scenes;
        embedding: patches by their features, and how often their nearest neighbours in other scenes
        are of the same kind; tokens: features of every place of mixed patches as colours;
        reliability: how often each degree of confidence is right.
    output_file : Path
        Figure; for an embedding its numbers too, in a .json file of the same name.
    input_files : sequence of Path
        curves: log.csv or folders of trainings; efficiency: efficiency.json or their folders;
        scene: one map of predict; reliability: scores of evaluate as .json.
    labels : sequence of str
        Labels of the input files; by default the names of their folders.
    checkpoint, patch_dir : Path, optional
        ``best.pt`` of a training and its patches, for panels, embedding and tokens.
    split : {"validation", "test"}
        Part whose patches are in panels and tokens. In an embedding training patches vote on those of
        validation.
    score : str
        Score that efficiency shows.
    count : int, optional
        Number of patches; by default 6 panels or tokens, 300 in an embedding.
    device
        See :func:`seaice.segmentation.training.train.train`.
    dpi : int
        Dots per inch.

    Returns
    -------
    Report

    Raises
    ------
    InputError
        If a needed parameter is missing, or a parameter or file cannot be used.
    """
    if kind not in KINDS:
        raise InputError(f"expected a kind out of {', '.join(KINDS)}, found {kind!r}")
    output_file, files = Path(output_file), [Path(file) for file in input_files]
    check_outputs([Output("output_file", output_file, "picture")], files, is_daily_file=is_daily_name)
    if (count is not None and count < 1) or not 20 <= dpi <= 1200:
        raise InputError(f"expected count of at least 1 and dpi of 20 to 1200, found {count}, {dpi}")
    report = Report(outputs=[output_file])
    if kind in _COUNTS:
        if checkpoint is None or patch_dir is None or files or labels:
            raise InputError(f"{kind}: expected --checkpoint and --patch_dir, and no --input_files")
        paths = Path(checkpoint), Path(patch_dir)
        number = _COUNTS[kind] if count is None else count
        if kind != "embedding":
            draw = draw_panels_figure if kind == "panels" else draw_tokens_figure
            figure = draw(*paths, split, number, device, report)
        else:
            numbers_file = output_file.with_suffix(".json")
            figure = draw_embedding_figure(*paths, number, device, numbers_file, report)
    else:
        if not files or checkpoint is not None or patch_dir is not None or count is not None:
            raise InputError(
                f"{kind}: expected --input_files, and no --checkpoint, --patch_dir or --count"
            )
        figure = _draw_files(kind, files, labels, score, report)
    with atomic(output_file) as part:
        figure.savefig(part, dpi=dpi, format=output_file.suffix.lower().lstrip("."))
    report.lines.append(str(output_file))
    return report


def _draw_files(
    kind: Kind, files: Sequence[Path], labels: Sequence[str], score: str, report: Report
) -> Figure:
    if kind in ("scene", "reliability"):
        if len(files) != 1 or labels:
            source = "map of predict" if kind == "scene" else "file of evaluate"
            raise InputError(f"{kind}: expected one {source} and no labels, found {len(files)}")
        return (_draw_scene if kind == "scene" else draw_reliability_figure)(files[0], report)
    draw: dict[str, Callable[[Mapping[str, Path]], Figure]] = {
        "curves": lambda named: _draw_curves(named, report),
        "efficiency": lambda named: _draw_efficiency(named, score, report),
    }
    file_name = {"curves": LOG_FILE, "efficiency": "efficiency.json"}[kind]
    files = [file / file_name if file.is_dir() else file for file in files]
    names = list(labels) or [file.absolute().parent.name for file in files]
    if len(names) != len(files) or len(set(names)) != len(names):
        raise InputError(
            f"expected a label of its own for each of {len(files)} files, found {', '.join(names)}; "
            "give --labels"
        )
    return draw[kind](dict(zip(names, files, strict=True)))


def _draw_curves(named: Mapping[str, Path], report: Report) -> Figure:
    logs = {label: read_log(path) for label, path in named.items()}
    figure = panels.make_figure(9.2, 3.6)
    left, right = figure.subplots(1, 2)
    panels.draw_losses(left, logs)
    # The score that chooses the best epoch is drawn first.
    leading = [name for name in _LEADING if all(name in log for log in logs.values())]
    curves = _CURVES_OF_HEADS if leading[:1] == ["combined"] else _CURVES
    order = sorted(curves, key=lambda name: name not in leading[:1])
    panels.draw_validation(right, logs, {name: curves[name] for name in order})
    for label, log in logs.items():
        report.values[label] = {"epochs": len(log["epoch"])}
    return figure


def _read_study(path: Path, score: str) -> tuple[dict[str, list[dict[str, Any]]], dict[str, float], str]:
    """Read ``efficiency.json``: lines by inputs, the score of every baseline, and a description."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        table, lines = content["table"], dict[str, list[dict[str, Any]]]()
        for line in table:
            lines.setdefault(line["inputs"], []).extend([line] * (line["score"] == score))
        baselines = [line for line in content["baselines"] if line["subset"] == "all"]
        levels = {line["method"]: line["scores"].get(score, {}).get("value") for line in baselines}
        description = f"{content['split']} scenes, equal {content['equal']}, {table[0]['seeds']} seeds"
        available = sorted({line["score"] for line in table})
        has_score = any(line["mean"] is not None for group in lines.values() for line in group)
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise InputError(
            f"expected efficiency.json of segmentation.py data-efficiency, found another: {path}"
        ) from None
    if not has_score:
        raise InputError(f"expected the score {score} in {path}, found {', '.join(available)}")
    return lines, {name: value for name, value in levels.items() if value is not None}, description


def _draw_efficiency(named: Mapping[str, Path], score: str, report: Report) -> Figure:
    studies: dict[str, Sequence[Mapping[str, Any]]] = {}
    levels: dict[str, float] = {}
    descriptions = set()
    for label, path in named.items():
        lines, study_levels, description = _read_study(path, score)
        for inputs, group in lines.items():
            parts = [label] * (len(named) > 1 or len(lines) == 1) + [inputs] * (len(lines) > 1)
            studies[", ".join(parts)] = group
        levels |= study_levels
        descriptions.add(description)
    figure = panels.make_figure(7.4, 3.9)
    ax = figure.subplots()
    panels.draw_efficiency(ax, studies, SCORES.get(score, score), levels)
    ax.set_title(
        f"{'; '.join(sorted(descriptions))}\nmeans with 95 % intervals, circles: single seeds",
        fontsize=8,
        color=palette.TEXT,
    )
    report.values |= {"studies": studies, "levels": levels}
    return figure


def _draw_scene(path: Path, report: Report) -> Figure:
    scene_map, attributes = read_scene_map(path)
    lines, samples = scene_map.surface.shape
    names = _choose_layers(scene_map)
    width, rows = 4.3, -(-(1 + len(names)) // _MOST_COLUMNS)
    columns = -(-(1 + len(names)) // rows)
    figure = panels.make_figure(columns * width, rows * (width * lines / samples + 0.35) + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[1 + len(names) :]:
        ax.set_axis_off()
    codes = panels.thin_image(scene_map.surface)
    thinning = -(-samples // codes.shape[1])
    panels.draw_codes(axes[0], codes, panels.SURFACE)
    present = {
        code: panels.SURFACE[code] for code in panels.SURFACE if (scene_map.surface == code).any()
    }
    axes[0].set_title("water and ice", fontsize=_TITLE - 1)
    panels.draw_legend(figure, present)
    for ax, name in zip(axes[1:], names, strict=False):
        values = panels.thin_image(scene_map.layers[name])
        ax.set_title(name.replace("_", " "), fontsize=_TITLE - 1)
        if name in panels.TYPES:
            panels.draw_types(figure, ax, values, name, land=codes == LAND)
            continue
        is_doubt = name.endswith(("_uncertainty", "_disagreement"))
        colours = palette.RATIO if is_doubt else palette.ICE
        image = panels.draw_percent(ax, values, land=codes == LAND, colours=colours)
        panels.draw_colour_bar(figure, image, "percent", ax=ax, shrink=0.9, pad=0.02)
    panels.draw_compass(axes[0], scene_map.positions)
    panels.draw_scale_bar(axes[0], codes.shape[1], thinning)
    latitude, longitude = scene_map.positions.latitude.mean(), scene_map.positions.longitude
    figure.suptitle(
        f"{attributes.get('scene_id', path.stem)}, {scene_map.start:%Y-%m-%d %H:%M} UTC, near "
        f"{_format_position(float(latitude), float(_average_longitude(longitude)))}",
        fontsize=_TITLE,
        color=palette.TEXT,
    )
    report.values["shape"] = [lines, samples]
    return figure


def _choose_layers(scene_map: SceneMap) -> list[str]:
    """Layers of a map that are drawn: of many the concentration and classes, then uncertainties."""
    names = list(scene_map.layers)
    if len(names) < _MOST_COLUMNS:
        return names
    shown = [name for name in names if name in panels.TYPES or name == "ice_concentration"]
    return shown + [name for name in names if name.endswith("_uncertainty")]


def _average_longitude(longitude: np.ndarray) -> float:
    """Mean of longitudes, which may lie on both sides of the date line."""
    directions = np.exp(1j * np.radians(longitude))
    return float(np.degrees(np.angle(directions.mean())))


def _format_position(latitude: float, longitude: float) -> str:
    north, east = "N" if latitude >= 0 else "S", "E" if longitude >= 0 else "W"
    return f"{abs(latitude):.1f}° {north}, {abs(longitude):.1f}° {east}"
