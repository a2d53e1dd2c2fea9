"""Picture of how algorithms do on samples of known concentration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice.drawing import palette
from seaice.retrieval.judging.sample_scores import MIXTURES, SampleScores
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WATER, _ICE, _FILTERED = "#1f6f9f", "#e8921f", "#9bc4dc"


def draw_sample_scores(scores: Sequence[SampleScores], path: Path, *, dpi: int = 150) -> None:
    """Draw bias and scatter of water and ice, errors of mixtures, and false ice, of all seasons.

    Parameters
    ----------
    scores : sequence of SampleScores
        Those of the season ``all`` are drawn.
    path : Path
    dpi : int
    """
    from matplotlib.figure import Figure

    rows = [row for row in scores if row.season == "all"]
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True, width_ratios=(1.3, 1, 1))
    heights = np.arange(len(rows))
    _draw_pure(panels[0], rows, heights)
    _draw_mixtures(panels[1], rows, heights)
    _draw_false_ice(panels[2], rows, heights)
    for panel in panels:
        panel.set_axisbelow(True)
        panel.grid(axis="x", color="#e4e4e4", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
        panel.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4)
    panels[0].set_yticks(heights, [row.algorithm for row in rows])
    panels[0].invert_yaxis()
    first = rows[0]
    figure.suptitle(
        f"{first.sensor}, {first.hemisphere}: {first.samples_0} samples of open water, "
        f"{first.samples_1} of closed ice",
        fontsize=10,
        color=palette.TEXT,
    )
    with atomic(path) as part:
        figure.savefig(part, dpi=dpi, format=path.suffix.lower().lstrip(".") or "png")


def _draw_pure(panel: Axes, rows: Sequence[SampleScores], heights: np.ndarray) -> None:
    for offset, colour, label, bias, spread in (
        (-0.14, _WATER, "open water", "bias_0", "std_0"),
        (0.14, _ICE, "closed ice", "bias_1", "std_1"),
    ):
        panel.errorbar(
            _list_values(rows, bias),
            heights + offset,
            xerr=_list_values(rows, spread),
            fmt="o",
            markersize=4,
            capsize=2,
            color=colour,
            label=label,
        )
    panel.axvline(0, color=palette.TEXT, linewidth=0.8)
    panel.set_xscale("symlog", linthresh=5)
    ticks = [-20, -5, -2, 0, 2, 5, 20, 60]
    panel.set_xticks(ticks, [str(tick) for tick in ticks])
    panel.minorticks_off()
    panel.set_xlabel("bias and standard deviation, %", fontsize=8)


def _draw_mixtures(panel: Axes, rows: Sequence[SampleScores], heights: np.ndarray) -> None:
    for percent, marker in zip(MIXTURES, "o^sD", strict=True):
        values = _list_values(rows, f"rmse_{percent}")
        panel.plot(values, heights, marker, markersize=4, linestyle="", label=f"{percent} %")
    panel.set_xscale("log")
    panel.set_xticks([2, 5, 10, 20, 40], ["2", "5", "10", "20", "40"])
    panel.minorticks_off()
    panel.set_xlabel("RMSE of mixtures, %", fontsize=8)


def _draw_false_ice(panel: Axes, rows: Sequence[SampleScores], heights: np.ndarray) -> None:
    for offset, colour, label, name in (
        (-0.26, _WATER, "water > 15 %", "water_above_15"),
        (0, _FILTERED, "after the filter", "water_after_filter"),
        (0.26, _ICE, "15 % cut", "cut_15"),
    ):
        values = _list_values(rows, name)
        panel.barh(heights + offset, values, 0.24, color=colour, label=label)
        for height, value in zip(heights + offset, values, strict=True):
            if np.isfinite(value):
                panel.annotate(
                    f"{value:.1f}",
                    (value, height),
                    xytext=(2, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=6,
                    color=palette.TEXT,
                )
    panel.set_xlabel("% of samples or mixtures", fontsize=8)


def _list_values(rows: Sequence[SampleScores], name: str) -> np.ndarray:
    return np.array([np.nan if (value := getattr(row, name)) is None else value for row in rows])
