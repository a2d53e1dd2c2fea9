"""The pictures of the report, each as the bytes of a PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.cube.file import CubeFile
from seaice.cube_report.coverage import Coverage
from seaice.drawing import draw, palette
from seaice.flags import FillFlag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 110
_WIDTH = 9.0  # inches
# So many days have a mark each.
_FEW_DAYS = 8
# Longer side of a thumbnail, dots.
_THUMBNAIL = 260
_FILLED, _MISSING = "#e8921f", "#3a3a3a"


def draw_coverage(coverage: Coverage) -> bytes:
    """Draw which share of the ocean was observed, filled and missing on every day."""
    figure, ax = _make_figure(2.9)
    parts = [100 * coverage.share_of(kind)[:, 0] for kind in ("observed", "filled", "missing")]
    colours = ("#3f8fc5", _FILLED, _MISSING)
    labels = ("observed", "filled", "missing")
    _stack(ax, coverage, parts, colours, labels)
    ax.set_ylabel("% of the ocean")
    ax.set_ylim(0, 100)
    return _save(figure)


def draw_flags(coverage: Coverage) -> bytes | None:
    """Draw how the filled values of every day came about; None where all were observed."""
    names = [name for name in coverage.flags if name != FillFlag.OBSERVED.meaning]
    if not names:
        return None
    figure, ax = _make_figure(2.9)
    shares = [100 * coverage.shares[:, 0, coverage.flags.index(name)] for name in names]
    swatches = name_flags(names)
    colours = [_MISSING if swatch.hatched else swatch.colour for swatch in swatches]
    _stack(ax, coverage, shares, colours, [swatch.label for swatch in swatches])
    ax.set_ylabel("% of the ocean")
    return _save(figure)


def name_flags(names: Sequence[str]) -> list[palette.Swatch]:
    """Label and colour of flags by their meanings."""
    spare = iter(palette.SPARE * 4)
    return [
        palette.FILL.get(name) or palette.Swatch(name.replace("_", " "), next(spare)) for name in names
    ]


def draw_regions(coverage: Coverage) -> bytes:
    """Draw the share of every region that was observed, day by day, as a table of colours."""
    names = coverage.regions
    figure, ax = _make_figure(1.0 + 0.24 * len(names))
    observed = 100 * coverage.share_of("observed").T
    days = np.array(coverage.dates, "datetime64[D]")
    edges = np.append(days, days[-1] + 1)
    image = ax.pcolormesh(edges, np.arange(len(names) + 1), observed, cmap="cividis", vmin=0, vmax=100)
    ax.set_yticks(np.arange(len(names)) + 0.5, [name.replace("_", " ") for name in names], fontsize=8)
    ax.invert_yaxis()
    figure.colorbar(image, ax=ax, label="% observed", pad=0.01, shrink=0.9)
    _style_dates(ax, coverage)
    return _save(figure)


def draw_errors(coverage: Coverage) -> bytes | None:
    """Draw the mean expected error of the filled cells of every day; None where none is told."""
    filled = np.array([name != FillFlag.OBSERVED.meaning for name in coverage.flags], bool)
    weights = np.where(np.isnan(coverage.error) | ~filled, 0, coverage.cells)
    total = weights.sum(axis=1)
    if not total.any():
        return None
    mean = (np.nan_to_num(coverage.error) * weights).sum(axis=1)
    mean = np.divide(mean, total, out=np.full(len(total), np.nan), where=total > 0)
    figure, ax = _make_figure(2.3)
    days = np.array(coverage.dates, "datetime64[D]")
    ax.plot(days, 100 * mean, color="#97330f", marker="o" if len(days) < 40 else None, markersize=3)
    ax.set_ylabel("percentage points")
    ax.set_ylim(0)
    _style_dates(ax, coverage)
    return _save(figure)


def draw_observed_days(cube: CubeFile, coverage: Coverage) -> bytes:
    """Draw the map of the share of days on which a cell was missing in its input."""
    figure, ax = draw.make_map_figure(cube.grid, height=5.5)
    missing = 1 - coverage.observed_days / len(coverage.dates)
    image = draw.draw_ratio(ax, np.where(cube.ocean, missing, np.nan).astype(np.float32), cube.grid)
    draw.draw_land(ax, ~cube.ocean, cube.grid)
    draw.draw_colorbar(ax, image, label="share of days without an observation")
    return _save(figure, dpi=150, bbox_inches="tight")


def draw_thumbnails(cube: CubeFile, days: Sequence[int]) -> bytes:
    """Draw the concentration that was observed on some days side by side, small; the rest is orange."""
    from matplotlib.colors import ListedColormap

    figure, axes = _make_figure(2.7, len(days))
    step = max(1, max(cube.grid.shape) // _THUMBNAIL)
    for ax, day in zip(np.atleast_1d(axes), days, strict=True):
        values = 100 * cube.concentration(day)[::step, ::step]
        is_observed = cube.flags(day)[::step, ::step] == cube.flag_value(FillFlag.OBSERVED.meaning)
        ocean = cube.ocean[::step, ::step]
        ax.imshow(np.where(ocean, np.nan, 1), cmap="Greys", vmin=0, vmax=3, origin="lower")
        ax.imshow(values, cmap=palette.make_ice_colormap(), vmin=0, vmax=100, origin="lower")
        rest = np.where(ocean & ~is_observed, 1, np.nan)
        ax.imshow(rest, cmap=ListedColormap([_FILLED]), origin="lower")
        ax.set_title(str(cube.dates[day]), fontsize=9)
        ax.set_axis_off()
    return _save(figure)


def _stack(
    ax: Axes,
    coverage: Coverage,
    parts: Sequence[np.ndarray],
    colours: Sequence[str],
    labels: Sequence[str],
) -> None:
    """Draw parts of every day on each other, as steps a day wide."""
    days = np.array(coverage.dates, "datetime64[D]")
    edges = np.append(days, days[-1] + 1)
    below = np.zeros(len(days))
    for part, colour, label in zip(parts, colours, labels, strict=True):
        ax.stairs(below + part, edges, baseline=below, fill=True, color=colour, label=label)
        below = below + part
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    _style_dates(ax, coverage)


def _style_dates(ax: Axes, coverage: Coverage) -> None:
    import matplotlib.dates as mdates

    is_short = len(coverage.dates) <= _FEW_DAYS  # an automatic locator would mark hours
    locator = mdates.DayLocator() if is_short else mdates.AutoDateLocator(minticks=2, maxticks=9)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
    ax.margins(x=0)
    ax.spines[["top", "right"]].set_visible(False)


def _make_figure(height: float, columns: int = 1) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _save(figure: Figure, **options: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", **({"dpi": _DPI} | options))
    return stream.getvalue()
