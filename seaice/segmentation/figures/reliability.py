"""Figure of reliability: how often each degree of confidence is right, before and after calibration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seaice import InputError
from seaice.drawing import palette
from seaice.report import Report
from seaice.runtime.json_files import parse_json
from seaice.scoring.figure_style import LINE_COLOURS
from seaice.segmentation.figures import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = {
    "classes": "water and ice",
    "sic": "ice concentration",
    "sod": "stage of development",
    "floe": "floe size",
}


def draw_reliability_figure(path: Path, report: Report) -> Figure:
    """Draw a panel for each head from the scores of ``segmentation.py evaluate``.

    Parameters
    ----------
    path : Path
        JSON file of scores.
    report : Report
        Calibration errors are added to it.

    Raises
    ------
    InputError
        If the file is another one, or its network has no probabilities.
    """
    heads = _read_curves(path)
    figure = panels.make_figure(3.4 * len(heads) + 0.6, 3.9)
    axes = figure.subplots(1, len(heads), squeeze=False)[0]
    for ax, (name, head) in zip(axes, heads.items(), strict=True):
        _draw_head(ax, head)
        ax.set_title(_NAMES.get(name, name), fontsize=9)
        errors = {key: head[key]["calibration_error"] for key in ("before", "after")}
        report.values[name] = errors | {"temperature": head["temperature"]}
        report.lines.append(
            f"{name}: calibration error {errors['before']:.4f}, with a temperature of "
            f"{head['temperature']:.3f} {errors['after']:.4f}"
        )
    figure.suptitle("Reliability of the most probable class", fontsize=10, color=palette.TEXT)
    return figure


def _read_curves(path: Path) -> Mapping[str, Any]:
    try:
        heads = parse_json(path.read_text(encoding="utf-8"))["reliability"]
        for head in heads.values():
            float(head["temperature"])
            for curve in (head["before"], head["after"]):
                list(zip(curve["confidence"], curve["accuracy"], curve["pixels"], strict=True))
    except OSError as error:
        raise InputError(f"cannot read {path} ({error.strerror})") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"expected the scores of segmentation.py evaluate as JSON, found another file: {path}; "
            "evaluate again"
        ) from None
    if not heads:
        raise InputError(f"expected heads with probabilities in {path}, found none; leave it out")
    return dict(heads)


def _draw_head(ax: Axes, head: Mapping[str, Any]) -> None:
    ax.plot([0, 1], [0, 1], color=palette.TEXT_SOFT, lw=1, ls="--")
    for number, key in enumerate(("before", "after")):
        curve = head[key]
        largest = max(curve["pixels"], default=1)
        sizes = [6 + 60 * pixels / largest for pixels in curve["pixels"]]
        temperature = 1.0 if key == "before" else head["temperature"]
        text = f"temperature {temperature:.2f}: error {curve['calibration_error']:.3f}"
        colour = LINE_COLOURS[number]
        ax.plot(curve["confidence"], curve["accuracy"], color=colour, lw=1.4, label=text)
        ax.scatter(curve["confidence"], curve["accuracy"], sizes, color=colour, zorder=3)
    ax.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    ax.set_xlabel("probability", fontsize=9)
    ax.set_ylabel("share of pixels that are right", fontsize=9)
    ax.legend(fontsize=7, frameon=False, loc="lower right")
    panels.style_axes(ax)
