"""Decorations of a map: title, colour bar, legend, scale bar.

Sizes of texts and lines are multiplied by the text scale of the map, so that a small map has small
texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from matplotlib.legend import Legend

# Height of a map with a text scale of 1, inches.
REFERENCE_HEIGHT = 7.5
_TEXT_ORDER = 6  # order of drawing, above everything on the map


@contextmanager
def write_plain_text() -> Iterator[None]:
    """Let texts of pictures be as they are: names of files and regions with two $ are no formulas.

    It serves as a decorator too.
    """
    from matplotlib import rc_context

    with rc_context({"text.parse_math": False}):
        yield


def compute_text_scale(size: float, maps: int) -> float:
    """Compute the text scale of maps of a size: the factor for sizes of texts and lines.

    Parameters
    ----------
    size : float
        Longer side of a map, inches.
    maps : int
        Number of maps side by side. A wide figure is shown smaller, so its texts are larger.
    """
    return float(np.clip(size * (1 + 0.2 * (maps - 1)) / REFERENCE_HEIGHT, 0.45, 1.5))


def get_text_scale(ax: GeoAxes) -> float:
    """Return the text scale of a map in its figure (see :func:`compute_text_scale`)."""
    maps = sum(hasattr(axes, "projection") for axes in ax.figure.axes)
    return compute_text_scale(max(measure_inches(ax)), maps)


def measure_inches(ax: GeoAxes) -> tuple[float, float]:
    """Return the width and the height of a map in inches."""
    box = ax.get_position()
    width, height = ax.figure.get_size_inches()
    return box.width * width, box.height * height


def draw_colorbar(
    ax: GeoAxes,
    image: AxesImage,
    *,
    label: str = "sea ice concentration (%)",
    below: GeoAxes | None = None,
) -> Colorbar:
    """Draw a colour bar to the right of a map.

    Parameters
    ----------
    ax : GeoAxes
    image : AxesImage
        Image whose colours the bar explains.
    label : str
    below : GeoAxes, optional
        Last map of a row that starts with ``ax``: the bar is drawn below the row instead.
    """
    unit = get_text_scale(ax)
    box, (width, height) = ax.get_position(), ax.figure.get_size_inches()
    if below is None:
        rectangle = (
            box.x1 + 0.5 * unit / width,
            box.y0 + 0.15 * box.height,
            0.14 * unit / width,
            0.7 * box.height,
        )
    else:
        span = below.get_position().x1 - box.x0
        rectangle = (
            box.x0 + 0.2 * span,
            box.y0 - 0.45 * unit / height,
            0.6 * span,
            0.14 * unit / height,
        )
    bar_axes = ax.figure.add_axes(rectangle)
    orientation = "vertical" if below is None else "horizontal"
    bar = ax.figure.colorbar(image, cax=bar_axes, orientation=orientation)
    bar.outline.set(linewidth=0.5 * unit, edgecolor=palette.TEXT)
    bar_axes.tick_params(labelsize=8 * unit, width=0.5 * unit, length=2.5 * unit, colors=palette.TEXT)
    bar.set_label(label, size=8.5 * unit, color=palette.TEXT)
    return bar


def draw_title(ax: GeoAxes, title: str, subtitle: str | None = None) -> Any:
    """Write a title and a smaller subtitle above the labels of the meridians.

    A second call replaces both texts, as an animation needs it.

    Returns
    -------
    matplotlib.text.Text
        The title.
    """
    unit = get_text_scale(ax)
    top = 1 + 0.26 * unit / measure_inches(ax)[1]  # above the meridian labels
    # A subtitle of several lines lifts the title further.
    step = (0.2 + 0.14 * (subtitle or "").count("\n")) * unit / measure_inches(ax)[1]
    first = None
    for name, text, size, colour, lift in (
        ("title", title, 12, palette.TEXT, step if subtitle else 0),
        ("subtitle", subtitle, 8, palette.TEXT_SOFT, 0),
    ):
        if text is None:
            continue
        artist = next((t for t in ax.texts if t.get_gid() == name), None)
        if artist is None:
            artist = ax.text(
                0.5, top + lift, text, transform=ax.transAxes, ha="center", va="bottom",
                fontsize=size * unit, color=colour, gid=name, zorder=_TEXT_ORDER,
            )  # fmt: skip
        artist.set_text(text)
        first = first or artist
    return first


def draw_heading(figure: Figure, title: str, subtitle: str) -> None:
    """Write a title above several maps, which need 1.1 inches for it and for titles of their own."""
    ax = figure.axes[0]
    unit, (_, height) = get_text_scale(ax), figure.get_size_inches()
    for text, size, colour, down in (
        (title, 13, palette.TEXT, 0.18),
        (subtitle, 8, palette.TEXT_SOFT, 0.42),
    ):
        figure.text(
            0.5,
            1 - down * unit / height,
            text,
            ha="center",
            va="top",
            fontsize=size * unit,
            color=colour,
        )


def draw_legend(
    ax: GeoAxes,
    swatches: Sequence[Swatch],
    *,
    columns: int = 4,
    side: Literal["bottom", "right"] = "bottom",
    title: str | None = None,
    lower: float = 0.3,
) -> Legend:
    """Draw a legend below a map, or as one column to the right of it.

    Parameters
    ----------
    ax : GeoAxes
    swatches : sequence of Swatch
        Entries of the legend.
    columns : int
        Largest number of columns below the map.
    side : {"bottom", "right"}
    title : str, optional
    lower : float
        Distance below the map, inches at a text scale of 1.
    """
    unit = get_text_scale(ax)
    width, height = measure_inches(ax)
    if side == "bottom":
        columns = min(columns, len(swatches))
        anchor = {"loc": "upper center", "bbox_to_anchor": (0.5, -lower * unit / height)}
    else:
        columns = 1
        anchor = {"loc": "center left", "bbox_to_anchor": (1 + 0.5 * unit / width, 0.5)}
    legend = ax.legend(
        [_make_handle(swatch, unit) for swatch in swatches], [swatch.label for swatch in swatches],
        ncols=columns, title=title, fontsize=8 * unit, title_fontsize=8 * unit, labelcolor=palette.TEXT,
        frameon=False, handlelength=1.6, columnspacing=1.4, borderaxespad=0, alignment="left", **anchor,
    )  # fmt: skip
    ax.add_artist(legend)  # so that a second legend does not replace it
    return legend


def _make_handle(swatch: Swatch, unit: float) -> Any:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if swatch.kind == "line":
        return Line2D([], [], color=swatch.colour, linewidth=1.4 * unit)
    patch = Patch(
        facecolor=swatch.colour,
        edgecolor=palette.NO_VALUE_HATCH if swatch.hatched else palette.TEXT_SOFT,
        hatch=palette.HATCH if swatch.hatched else None,
        linewidth=0.4 * unit,
    )
    patch.set_hatch_linewidth(0.4 * unit)
    return patch


def draw_scale_bar(ax: GeoAxes, grid: Grid) -> None:
    """Draw a scale bar of a round length in the lower left corner of a map.

    The length is measured in the map projection. A polar stereographic map is true to scale at its
    standard parallel, a map of latitude and longitude along the parallel in its middle; the label names
    the parallel.
    """
    from matplotlib.patches import Rectangle

    west, east, south, north = grid.extent
    unit = get_text_scale(ax)
    parallel = grid.to_cf().get("standard_parallel")
    metres = 1.0  # of a unit of the map
    if grid.is_geographic:
        parallel = (south + north) / 2
        metres = 1000 * grid.kilometres / grid.step * float(np.cos(np.radians(parallel)))
    target = 0.22 * min(east - west, north - south) * metres
    power = 10 ** np.floor(np.log10(target))
    length = float(max(f * power for f in (1, 2, 5) if f * power <= target))
    true_at = ""
    if isinstance(parallel, int | float):
        letter = "N" if parallel > 0 else "S" if parallel < 0 else ""
        true_at = f" at {abs(parallel):g}°{letter}"
    per_inch = (east - west) / measure_inches(ax)[0]
    margin, thickness = 0.14 * unit * per_inch, 0.035 * unit * per_inch
    x0, y0 = west + margin, south + margin
    ax.add_patch(
        Rectangle(
            (x0, y0),
            length / metres,
            thickness,
            facecolor=palette.TEXT,
            edgecolor="white",
            linewidth=0.8 * unit,
            zorder=_TEXT_ORDER,
        )
    )
    label = f"{length / 1000:g} km{true_at}" if length >= 1000 else f"{length:g} m{true_at}"
    ax.text(
        x0, y0 + 2.2 * thickness, label, fontsize=7 * unit, color=palette.TEXT, ha="left", va="bottom",
        zorder=_TEXT_ORDER, path_effects=make_text_outline(unit),
    )  # fmt: skip


def make_text_outline(unit: float) -> list[Any]:
    """Make the path effects of a white outline, with which text can be read on any colour."""
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=1.8 * unit, foreground="white", alpha=0.85)]
