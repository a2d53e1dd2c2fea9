"""Pictures of many years: years over each other by day, and anomalies of months with their trends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice.drawing.decorations import write_plain_text
from seaice.ice_index.climate.climatology import PERCENTILES
from seaice.ice_index.climate.days import DAYS_OF_YEAR, arrange_by_year
from seaice.ice_index.climate.record import ALL_MONTHS, MONTH_NAMES, ClimateRecord, locate_months
from seaice.ice_index.climate.trend import Trend
from seaice.ice_index.series import MILLION
from seaice.runtime.atomic_write import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _HIGHLIGHT, _TREND = "#14304f", "#c8452c", "#14304f"
_ABOVE, _BELOW = "#3f8fc5", "#d9694f"
_NOTE_HEIGHT = 0.05  # share of the picture below the axes, for two lines
_MANY_YEARS = 8  # so many have lines of their own in the legend
_COMMON_YEAR = 2023  # of which the axis takes days and months


@write_plain_text()
def draw_years(record: ClimateRecord, path: Path, *, note: str) -> None:
    """Draw all years over each other by day of the year, the last one highlighted.

    Behind them lie mean, two standard deviations and the percentiles of the climatology.

    Parameters
    ----------
    record : ClimateRecord
    path : Path
        The format is that of its ending.
    note : str
        Line below the legend.
    """
    figure, (ax,) = _make_figure(1, 1, (8.8, 5.4))
    days = np.arange(1, DAYS_OF_YEAR + 1)
    _draw_usual(ax, record, days)
    years, table = arrange_by_year(record.dates, record.filled)
    _draw_earlier_years(ax, years[:-1], table[:-1] / MILLION, days)
    current = table[-1] / MILLION
    ax.plot(days, current, color=_HIGHLIGHT, linewidth=2.2, label=str(years[-1]), zorder=5)
    last = np.flatnonzero(~np.isnan(current))
    if last.size and last[-1] < DAYS_OF_YEAR - 5:
        ax.plot(days[last[-1]], current[last[-1]], "o", color=_HIGHLIGHT, markersize=5, zorder=6)
    first_days = [date(_COMMON_YEAR, month, 1).timetuple().tm_yday for month in range(1, 13)]
    ax.set_xticks(first_days, labels=[])
    ax.set_xticks([day + 15 for day in first_days], [name[:3] for name in MONTH_NAMES], minor=True)
    ax.tick_params(which="minor", length=0)
    ax.set_xlim(1, DAYS_OF_YEAR)
    ax.set_ylim(bottom=max(0.0, ax.get_ylim()[0]))
    ax.set_ylabel(f"{record.quantity}, million km²")
    ax.set_title(f"Sea ice {record.quantity} of {years[0]} to {years[-1]}: {record.region}", fontsize=11)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, frameon=False)
    _finish(figure, path, _name_source(record, note))


def _draw_usual(ax: Axes, record: ClimateRecord, days: np.ndarray) -> None:
    """Draw mean, deviations and percentiles of the climatology."""
    usual = record.climatology
    if usual is None:
        return
    mean, spread, levels = (
        usual.mean / MILLION,
        usual.standard_deviation / MILLION,
        usual.percentiles / MILLION,
    )
    ax.fill_between(days, np.maximum(mean - 2 * spread, 0), mean + 2 * spread, color="#eceff2",
                    linewidth=0, label="mean ± 2 standard deviations")  # fmt: skip
    ax.fill_between(days, levels[0], levels[-1], color="#d5dde5", linewidth=0,
                    label=f"{PERCENTILES[0]}th to {PERCENTILES[-1]}th percentile")  # fmt: skip
    ax.fill_between(days, levels[1], levels[-2], color="#b9c7d5", linewidth=0,
                    label=f"{PERCENTILES[1]}th to {PERCENTILES[-2]}th percentile")  # fmt: skip
    ax.plot(days, levels[2], color="#5f7388", linewidth=1, linestyle=(0, (4, 2)), label="median")
    ax.plot(
        days,
        mean,
        color=_INK,
        linewidth=1.6,
        label=f"mean of {usual.first_year}-{usual.last_year}",
        zorder=4,
    )


def _draw_earlier_years(ax: Axes, years: np.ndarray, table: np.ndarray, days: np.ndarray) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    shown = colormaps["viridis"](np.linspace(0.05, 0.9, max(len(years), 2)))
    labelled = set(
        np.linspace(0, len(years) - 1, min(len(years), _MANY_YEARS)).round().astype(int).tolist()
    )
    # Many lines would hide the bands behind them.
    width, strength = (0.7, 0.8) if len(years) <= 2 * _MANY_YEARS else (0.5, 0.4)
    for number, (year, values) in enumerate(zip(years.tolist(), table, strict=True)):
        ax.plot(days, values, color=to_hex(shown[number]), linewidth=width, alpha=strength,
                label=str(year) if number in labelled else None)  # fmt: skip


def draw_anomalies(record: ClimateRecord, path: Path, *, note: str) -> None:
    """Draw the anomalies of all months, and of every calendar month, each with its trend and interval.

    Parameters
    ----------
    record : ClimateRecord
        With a climatology.
    path : Path
    note : str
        Line below the panels.
    """
    figure = _make_canvas((9.2, 8.2))
    layout = figure.add_gridspec(4, 4, height_ratios=(1.5, 1, 1, 1))
    top = figure.add_subplot(layout[0, :])
    months, anomaly = record.months, record.month_anomaly / MILLION
    _draw_panel(top, locate_months(months), anomaly, record.trends[ALL_MONTHS], width=1 / 12)
    top.set_title(f"all months: {_describe_trend(record.trends[ALL_MONTHS])}", fontsize=9)
    first: Axes | None = None
    for number, name in enumerate(MONTH_NAMES):
        ax = figure.add_subplot(layout[1 + number // 4, number % 4], sharex=first, sharey=first)
        first = first or ax
        own = months.of_month(number + 1)
        trend = _subtract_usual(record.trends[name], record.month_mean[own])
        _draw_panel(ax, months.year[own] + 0.0, anomaly[own], trend, width=0.8)
        ax.set_title(f"{name[:3]}: {_describe_trend(trend)}", fontsize=7)
        ax.tick_params(labelsize=7, labelbottom=number >= 8, labelleft=number % 4 == 0)
        ax.locator_params(axis="x", nbins=4, integer=True)
    top.locator_params(axis="x", integer=True)
    top.tick_params(labelsize=8)
    figure.supylabel("anomaly, million km²", fontsize=9)
    figure.suptitle(
        f"Sea ice {record.quantity}, monthly means less those of {record.label}: {record.region}",
        fontsize=11,
    )
    text = "trends in million km² a decade, bands and brackets: 95 % interval of the slope, reduced for "
    text += f"lag-1 autocorrelation; {note}"
    _finish(figure, path, text)


def _subtract_usual(trend: Trend, usual: np.ndarray) -> Trend:
    """The trend of a month as that of its anomalies."""
    return trend._replace(value=trend.value - (usual[0] if usual.size else np.nan))


def _draw_panel(ax: Axes, time: np.ndarray, anomaly: np.ndarray, trend: Trend, *, width: float) -> None:
    ax.bar(time, anomaly, width=width, color=np.where(anomaly >= 0, _ABOVE, _BELOW), linewidth=0)
    ax.axhline(0, color="#8a8a8a", linewidth=0.6)
    has_value = ~np.isnan(anomaly)
    if np.isfinite(trend.slope) and has_value.any():
        ends = np.linspace(time[has_value].min(), time[has_value].max(), 50)
        if np.isfinite(trend.low):
            low, high = (end / MILLION for end in trend.bound(ends))
            ax.fill_between(ends, low, high, color=_TREND, alpha=0.18, linewidth=0)
        ax.plot(ends, trend.predict(ends) / MILLION, color=_TREND, linewidth=1.3)
    ax.grid(axis="y", color="#e4e4e4", linewidth=0.5)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _describe_trend(trend: Trend) -> str:
    if not np.isfinite(trend.slope):
        return "too few years for a trend"
    text = f"{10 * trend.slope / MILLION:+.2f}"
    if not np.isfinite(trend.low):
        return f"{text} (no interval)"
    return f"{text} ({10 * trend.low / MILLION:+.2f} to {10 * trend.high / MILLION:+.2f})"


def _name_source(record: ClimateRecord, note: str) -> str:
    return f"climatology {record.label}; {note}"


def _make_canvas(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(rect=(0, _NOTE_HEIGHT, 1, 1 - _NOTE_HEIGHT))
    figure = Figure(figsize=size, facecolor="white", layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _make_figure(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, Sequence[Axes]]:
    figure = _make_canvas(size)
    panels = figure.subplots(rows, columns, squeeze=False)
    for ax in panels.flat:
        ax.grid(color="#e4e4e4", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, list(panels.flat)


def _finish(figure: Figure, path: Path, text: str) -> None:
    import textwrap

    wrapped = "\n".join(textwrap.wrap(text, 165, max_lines=2))
    figure.text(0.01, 0.01, wrapped, fontsize=7, color="#555555", va="bottom")
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=150, format=path.suffix.lower().lstrip("."))
