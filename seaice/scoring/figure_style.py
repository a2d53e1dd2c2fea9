"""How the figures of scores look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.scoring.score import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# One line style more for every round of the colours, so that two methods never look alike.
LINES = ("#0b4f8a", "#e8921f", "#2f9e62", "#b0489f", "#7a5c3e", "#5cb0e0", "#d6406b")


_STYLES = ("-", "--", ":")


def filled_by_all(scores: Scores) -> np.ndarray:
    """Which held-out cells every method fills, bool (cells,)."""
    made: np.ndarray = np.logical_and.reduce([np.isfinite(run.values) for run in scores.ran])
    return made


def line_style(number: int) -> dict[str, Any]:
    """Colour, dashes and width of the line of a method."""
    width = max(2.6 - 0.6 * number, 1.1)  # so that a line below another shows
    style = _STYLES[number // len(LINES) % len(_STYLES)]
    return {"color": LINES[number % len(LINES)], "linestyle": style, "linewidth": width}


def dress(ax: Axes) -> None:
    """Grid, ticks and legend of a panel of lines."""
    ax.set_axisbelow(True)
    ax.grid(color="#e4e4e4", linewidth=0.6)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=7, frameon=False)


def bracketed(units: str, *, squared: bool = False, more: str = "") -> str:
    """Units after the name of an axis; nothing for plain numbers.

    Examples
    --------
    >>> bracketed("K"), bracketed("K", squared=True, more="km²"), bracketed("1", squared=True)
    (' (K)', ' ((K)² km²)', '')
    """
    own = "" if units == "1" else f"({units})²" if squared else units
    text = " ".join(part for part in (own, more) if part)
    return f" ({text})" if text else ""
