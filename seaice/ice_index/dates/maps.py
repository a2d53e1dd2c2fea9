"""Maps of dates with the months on the colour bar, and maps of trends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seaice.drawing import draw, palette
from seaice.drawing.cell_image import average_blocks, draw_cells
from seaice.drawing.decorations import get_text_scale
from seaice.drawing.palette import Swatch
from seaice.grids import Grid
from seaice.ice_index.dates.events import DateStatus
from seaice.ice_index.dates.ice_year import IceYear
from seaice.ice_index.dates.trend import SIGNIFICANCE
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.colorbar import Colorbar
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_STATUS: dict[int, Swatch] = {
    DateStatus.ICE_ALL_SEASON: Swatch("ice all season", "#eef4f7"),
    DateStatus.NEVER_ICE: Swatch("never ice", "#b9c4cc"),
    DateStatus.ICE_AT_MINIMUM: Swatch("ice at the minimum", "#cfe0e8"),
    DateStatus.NOT_REACHED: Swatch("ice, but no such day", "#8fa0ab"),
    DateStatus.NOT_ENOUGH_DATA: palette.make_no_value_swatch("not enough data"),
    DateStatus.LAND: palette.LAND_SWATCH,
}
_ABOVE_CLASSES = 1.2  # order of drawing: above the classes, below lines
_LEAST_SPAN = 20.0  # days that the colours span at least
_PERCENTILES = (1, 99)
_DPI = 150


class DatePanel(NamedTuple):
    """One map of dates or of numbers of days.

    Attributes
    ----------
    title : str
    values : ndarray of float32, shape (rows, columns)
        Days; NaN where there is none.
    status : ndarray of uint8, shape (rows, columns)
        Codes of :class:`DateStatus`; a cell with a value may have any.
    year : IceYear or None
        The ice year of dates; None for numbers of days.
    """

    title: str
    values: np.ndarray
    status: np.ndarray
    year: IceYear | None


class TrendPanel(NamedTuple):
    """One map of a trend.

    Attributes
    ----------
    title, units : str
    slope, p_value : ndarray of float32, shape (rows, columns)
    """

    title: str
    units: str
    slope: np.ndarray
    p_value: np.ndarray


def draw_date_maps(
    panels: Sequence[DatePanel], grid: Grid, path: Path, *, land: np.ndarray, title: str, source: str
) -> None:
    """Draw maps of dates side by side, and save the picture.

    Parameters
    ----------
    panels : sequence of DatePanel
    grid : Grid
    path : Path
    land : ndarray of bool, shape (rows, columns)
    title, source : str
        Heading, and the line below it.
    """
    figure, axes = _make_figure(grid, len(panels))
    present = np.unique(np.concatenate([panel.status[np.isnan(panel.values)] for panel in panels]))
    for ax, panel in zip(axes, panels, strict=True):
        codes = np.where(np.isnan(panel.values), panel.status, DateStatus.DATE)
        draw.draw_classes(ax, codes, grid, _STATUS)
        draw.draw_outline(ax, land, grid)
        low, high = _choose_limits(panel.values, panel.year)
        image = _draw_values(ax, panel.values, grid, palette.FREEBOARD, (low, high))
        label = "days" if panel.year is None else "date"
        bar = draw.draw_colorbar(ax, image, label=label, below=ax)
        if panel.year is not None:
            _label_months(bar, panel.year, low, high)
        draw.draw_title(ax, panel.title)
    swatches = [swatch for code, swatch in _STATUS.items() if code in present]
    _finish(figure, axes, swatches, grid, path, title, source)


def draw_trend_maps(
    panels: Sequence[TrendPanel], grid: Grid, path: Path, *, land: np.ndarray, title: str, source: str
) -> None:
    """Draw maps of trends side by side, hatched where they are not significant, as the dates."""
    figure, axes = _make_figure(grid, len(panels))
    for ax, panel in zip(axes, panels, strict=True):
        codes = np.where(land, DateStatus.LAND, DateStatus.NEVER_ICE)
        draw.draw_classes(ax, codes, grid, _STATUS)
        draw.draw_outline(ax, land, grid)
        steep = np.nanpercentile(np.abs(panel.slope), 98) if np.isfinite(panel.slope).any() else 1.0
        limit = float(f"{max(steep, 1e-3):.1g}")
        image = _draw_values(ax, panel.slope, grid, palette.CHANGE, (-limit, limit))
        _hatch(ax, (panel.p_value > SIGNIFICANCE) & (panel.slope != 0), grid)
        draw.draw_colorbar(ax, image, label=panel.units, below=ax)
        draw.draw_title(ax, panel.title)
    swatches = [
        palette.LAND_SWATCH,
        Swatch("too few years with a value", _STATUS[DateStatus.NEVER_ICE].colour),
        Swatch(f"dots: not significant (p > {SIGNIFICANCE:g})", "#ffffff"),
    ]
    _finish(figure, axes, swatches, grid, path, title, source)


def _make_figure(grid: Grid, count: int) -> tuple[Figure, list[GeoAxes]]:
    return draw.make_map_panels(grid, count, height=6.0, right=2.7, bottom=1.0, top=1.15)


def _draw_values(
    ax: GeoAxes,
    values: np.ndarray,
    grid: Grid,
    colours: Sequence[str],
    limits: tuple[float, float],
) -> AxesImage:
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    colormap: Any = LinearSegmentedColormap.from_list("seaice_dates", colours, N=256)
    has_value = values[~np.isnan(values)]
    is_below = bool((has_value < limits[0]).any())
    is_above = bool((has_value > limits[1]).any())
    colormap.colorbar_extend = ("neither", "min", "max", "both")[is_below + 2 * is_above]
    return draw_cells(
        ax,
        values,
        grid,
        average_blocks,
        cmap=colormap.with_extremes(bad=(0, 0, 0, 0)),
        norm=Normalize(*limits),
        zorder=_ABOVE_CLASSES,
    )


def _choose_limits(values: np.ndarray, year: IceYear | None) -> tuple[float, float]:
    """Ends of a colour bar; without any value the days of the ice year."""
    has_value = values[~np.isnan(values)]
    if not has_value.size:
        first = 0.0 if year is None else float(year.first_day_of_year)
        return first, first + (_LEAST_SPAN if year is None else len(year))
    low, high = (float(value) for value in np.percentile(has_value, _PERCENTILES))
    wider = max(0.0, _LEAST_SPAN - (high - low)) / 2
    return low - wider, high + wider


def _label_months(bar: Colorbar, year: IceYear, low: float, high: float) -> None:
    """Name the first days of months on a colour bar of dates, or some days if there are few months."""
    days = [year.start + timedelta(days=n) for n in range(-31, len(year) + 31)]
    numbered = [(day, year.first_day_of_year + (day - year.start).days) for day in days]
    shown = [(day, number) for day, number in numbered if low <= number <= high]
    ticks = [(day, number) for day, number in shown if day.day == 1]
    if len(ticks) < 3:
        ticks = [(day, number) for day, number in shown if day.day in (1, 11, 21)]
    step = -(-len(ticks) // 8)
    ticks = ticks[::step]
    bar.set_ticks([number for _, number in ticks], labels=[f"{day.day} {day:%b}" for day, _ in ticks])
    bar.minorticks_off()


def _hatch(ax: GeoAxes, cells: np.ndarray, grid: Grid) -> None:
    """Cover cells with dots."""
    if not cells.any():
        return
    drawn = ax.contourf(
        grid.x, grid.y, cells.astype(np.float32), levels=[0.5, 1.5], colors="none", hatches=["...."],
        transform=ax.transData, zorder=_ABOVE_CLASSES + 0.1,
    )  # fmt: skip
    drawn.set(edgecolor="#4a4a4a", linewidth=0)
    drawn.set_hatch_linewidth(0.3 * get_text_scale(ax))


def _finish(
    figure: Figure,
    axes: Sequence[GeoAxes],
    swatches: Sequence[Swatch],
    grid: Grid,
    path: Path,
    title: str,
    source: str,
) -> None:
    """Draw what all maps share, and save."""
    draw.draw_scale_bar(axes[0], grid)
    draw.draw_legend(axes[-1], swatches, side="right")
    draw.draw_heading(figure, title, source)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, format=path.suffix.lower().lstrip("."))
