"""Style of the figures of scores: line colours, panels and units of axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.scoring.score import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# When all colours are used, they are used again with the next of the styles.
LINE_COLOURS = ("#004075", "#e8921f", "#189a69", "#b34ba2", "#7a5c3c", "#5db1e1", "#e94962")
_STYLES = ("-", "--", ":")


def find_common_cells(scores: Scores) -> np.ndarray:
    """Find the held-out cells that every method fills; bool (cells,)."""
    common: np.ndarray = np.logical_and.reduce([np.isfinite(run.values) for run in scores.finished_runs])
    return common


def choose_line_style(number: int) -> dict[str, Any]:
    """Choose colour, dashes and width of the line of the method with a number."""
    width = max(2.6 - 0.6 * number, 1.1)  # narrower lines lie above wider ones
    style = _STYLES[number // len(LINE_COLOURS) % len(_STYLES)]
    return {"color": LINE_COLOURS[number % len(LINE_COLOURS)], "linestyle": style, "linewidth": width}


def style_panel(ax: Axes) -> None:
    """Give a panel of lines its grid, ticks and legend."""
    ax.set_axisbelow(True)
    ax.grid(color="#e4e4e4", linewidth=0.6)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=7, frameon=False)


def format_units(units: str, *, squared: bool = False, more: str = "") -> str:
    """Format units for the label of an axis; empty for numbers without unit.

    Examples
    --------
    >>> format_units("K"), format_units("K", squared=True, more="km²"), format_units("1", squared=True)
    (' (K)', ' ((K)² km²)', '')
    """
    unit = "" if units == "1" else f"({units})²" if squared else units
    text = " ".join(part for part in (unit, more) if part)
    return f" ({text})" if text else ""
