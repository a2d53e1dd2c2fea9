"""Pictures of the scores of forecasts: skill by lead, errors by day, maps of two days, reliability."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.cf import ICE_EDGE
from seaice.drawing import palette
from seaice.forecast.file import ForecastFile
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.scoring.daily import DailyScores
from seaice.forecast.scoring.summary import ALL_LEADS, PERCENT, ScoreRow
from seaice.report import format_count
from seaice.runtime.atomic_write import atomic
from seaice.scoring.figure_style import choose_line_style, style_panel
from seaice.scoring.forecasts.blocks import (
    FEWEST_BLOCKS,
    LEAST_BLOCKS,
    BlockBootstrap,
    Estimate,
    choose_block_days,
)
from seaice.scoring.pictures import DIFFERENCE_COLOURS, draw_map

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 150
_EDGE_COLOURS = {"forecast": "#dc267f", "observed": "#ffb000"}
_MOST_HEAT_MAPS = 8


def draw_skill(rows: Sequence[ScoreRow], reference: str, blocks: float, path: Path) -> None:
    """Draw skill by lead with bands, RMSE by lead, and the two parts of the ice-edge error.

    Rows of the first region are drawn. The bands of few ``blocks`` are marked as too narrow.
    """
    region = rows[0].region
    by_method: dict[str, list[ScoreRow]] = {}
    for row in rows:
        if row.region == region and row.lead != ALL_LEADS:
            by_method.setdefault(row.method, []).append(row)
    has_skill = len(by_method) > 1
    figure = _make_figure(11.8, 8.4 if has_skill else 4.4)
    panels = figure.subplots(1 + has_skill, 2, squeeze=False)
    rmse_panel, edge_panel = panels[-1]
    skill_panels = panels[0] if has_skill else ()
    for number, (method, lines) in enumerate(by_method.items()):
        style, leads = choose_line_style(number), [int(row.lead) for row in lines]
        rmse_panel.plot(
            leads, [row.rmse.value for row in lines], label=method, marker="o", ms=3, **style
        )
        if method == reference:
            continue
        for ax, name in zip(skill_panels, ("skill_rmse", "skill_iiee"), strict=True):
            values = np.array([getattr(row, name) for row in lines])
            ax.plot(leads, values[:, 0], label=method, marker="o", ms=3, **style)
            ax.fill_between(leads, values[:, 1], values[:, 2], color=style["color"], alpha=0.13, lw=0)
    for ax, title in zip(skill_panels, ("RMSE", "ice-edge error"), strict=False):
        ax.axhline(0, color=palette.TEXT, linewidth=0.9, label=reference)
        ax.set_title(f"Skill of the {title}{_describe_bands(blocks)}", fontsize=9)
        ax.set_ylabel(f"less error than {reference} (%)", fontsize=8)
    rmse_panel.set_title("RMSE", fontsize=9)
    rmse_panel.set_ylabel("RMSE (% of concentration)", fontsize=8)
    _draw_edge_parts(edge_panel, by_method)
    for ax in panels.flat:
        ax.set_xlabel("lead (days)", fontsize=8)
        ax.set_xticks(sorted({int(row.lead) for lines in by_method.values() for row in lines}))
        style_panel(ax)
    first = next(iter(by_method.values()))[0]
    figure.suptitle(
        f"{region}: {first.cells} cells, {first.area_km2 / 1e6:.1f} million km², "
        f"{format_count(first.starts, 'initial day')}",
        fontsize=11, color=palette.TEXT,
    )  # fmt: skip
    _save(figure, path)


def _describe_bands(blocks: float) -> str:
    if blocks < LEAST_BLOCKS:
        return ", too few days for intervals"
    end = f", of {blocks:.1f} blocks: too narrow" if blocks < FEWEST_BLOCKS else " by blocks of days"
    return f"; bands: 95 % intervals{end}"


def _draw_edge_parts(ax: Axes, by_method: dict[str, list[ScoreRow]]) -> None:
    """Draw the area of too much ice upwards and that of too little downwards, a bar a method."""
    width = 0.8 / len(by_method)
    for number, (method, lines) in enumerate(by_method.items()):
        colour = choose_line_style(number)["color"]
        positions = np.array([int(row.lead) for row in lines]) + (number + 0.5) * width - 0.4
        ax.bar(positions, [row.over for row in lines], width, color=colour, label=method)
        ax.bar(positions, [-row.under for row in lines], width, color=colour, alpha=0.55)
    ax.axhline(0, color=palette.TEXT, linewidth=0.9)
    ax.set_title("Ice-edge error: above 0 too much ice, below 0 too little", fontsize=9)
    ax.set_ylabel("area (1000 km²)", fontsize=8)


def draw_heat_maps(daily: DailyScores, reference: str, path: Path) -> None:
    """Draw RMSE of the reference, and how far the other methods are above or below, by day and lead."""
    from matplotlib.colors import LinearSegmentedColormap

    rmse = PERCENT * np.sqrt(daily.values["square"][:, 0])
    base = daily.methods.index(reference)
    compared = [m for m in range(len(daily.methods)) if m != base][: _MOST_HEAT_MAPS - 1]
    height = float(np.clip(0.16 * len(daily.initial_days) + 1.6, 3.5, 12))
    figure = _make_figure(2.2 + 2.1 * (len(compared) + 1), height)
    panels = figure.subplots(1, len(compared) + 1, squeeze=False, sharey=True)[0]
    image = _draw_heat_map(panels[0], rmse[base], daily, "viridis", None)
    panels[0].set_title(f"{reference}: RMSE", fontsize=9)
    _draw_bar(figure, image, panels[:1], "%")
    if compared:
        changes = rmse[compared] - rmse[base]
        largest = float(np.nanpercentile(np.abs(changes), 99)) or 1.0
        colours = LinearSegmentedColormap.from_list("seaice_better", DIFFERENCE_COLOURS, N=255)
        for ax, number, change in zip(panels[1:], compared, changes, strict=True):
            image = _draw_heat_map(ax, change, daily, colours, (-largest, largest))
            ax.set_title(f"{daily.methods[number]}", fontsize=9)
        label = f"RMSE minus that of {reference} (percent points); blue is better"
        _draw_bar(figure, image, panels[1:], label, extend="both")
    _save(figure, path)


def _draw_heat_map(
    ax: Axes, values: np.ndarray, daily: DailyScores, colours: Any, limits: tuple[float, float] | None
) -> Any:
    low, high = limits or (None, None)
    ax.set_facecolor(palette.NO_OBSERVATION)
    image = ax.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto", interpolation="nearest")
    ax.set_xticks(range(len(daily.leads)), [str(lead) for lead in daily.leads], fontsize=7)
    step = max(1, len(daily.initial_days) // 25)
    rows = range(0, len(daily.initial_days), step)
    ax.set_yticks(list(rows), [str(daily.initial_days[row]) for row in rows], fontsize=7)
    ax.set_xlabel("lead (days)", fontsize=8)
    return image


def draw_days(
    daily: DailyScores,
    record: SeaIceRecord,
    files: dict[str, ForecastFile],
    reference: str,
    path: Path,
) -> None:
    """Draw forecast, truth and difference of the worst and the median day at the longest lead.

    They are those of the method with the smallest RMSE at this lead, other than the reference.
    """
    lead = _find_longest_lead(daily)
    number = daily.leads.index(lead)
    method = _choose_method(daily, reference, number)
    square = daily.values["square"][daily.methods.index(method), 0, :, number]
    scored = np.flatnonzero(~np.isnan(square))
    ordered = scored[np.argsort(square[scored], kind="stable")]
    numbers = {"worst": ordered[-1], "median": ordered[(len(ordered) - 1) // 2]}
    cut = _find_box(daily.regions[0].cells)
    height, width = (part.stop - part.start for part in cut)
    figure = _make_figure(11.8, 2 * (3.7 * height / width + 0.7) + 0.9)
    panels = figure.subplots(2, 3)
    for row, (name, position) in zip(panels, numbers.items(), strict=True):
        day = daily.initial_days[position]
        rmse = PERCENT * float(np.sqrt(square[position]))
        images = _draw_day(row, record, files[method], day, lead, cut)
        row[0].set_title(f"{method} from {day}", fontsize=9)
        row[1].set_title(f"observed on {day + timedelta(lead)}", fontsize=9)
        row[2].set_title(f"{name} day: RMSE {rmse:.2f} %", fontsize=9)
    for columns, image, label in (
        (panels[:, :2], images[0], "concentration"),
        (panels[:, 2], images[1], "forecast minus observed"),
    ):
        _draw_bar(figure, image, columns, label)
    figure.suptitle(
        f"{method}, lead of {lead} days; edges at {100 * ICE_EDGE:g} %: forecast in pink, "
        "observed in yellow",
        fontsize=10, color=palette.TEXT,
    )  # fmt: skip
    _save(figure, path)


def _find_longest_lead(daily: DailyScores) -> int:
    return daily.leads[int(np.flatnonzero(daily.has_score.any(axis=0))[-1])]


def _choose_method(daily: DailyScores, reference: str, lead_number: int) -> str:
    means = np.nanmean(daily.values["square"][:, 0, :, lead_number], axis=1)
    compared = [m for m, name in enumerate(daily.methods) if name != reference]
    return daily.methods[min(compared, key=lambda m: means[m])] if compared else reference


def _find_box(cells: np.ndarray) -> tuple[slice, slice]:
    """Smallest box of rows and columns around cells."""
    rows, columns = np.flatnonzero(cells.any(axis=1)), np.flatnonzero(cells.any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _draw_day(
    axes: Sequence[Axes],
    record: SeaIceRecord,
    file: ForecastFile,
    day: date,
    lead: int,
    cut: tuple[slice, slice],
) -> tuple[Any, Any]:
    forecast = file.read(day, [lead])[:, 0].mean(axis=0)[cut]
    observed = record.read_observed(day + timedelta(lead))[cut]
    sea = record.ocean[cut]
    difference = np.where(np.isnan(observed), np.nan, forecast - observed)
    image = draw_map(axes[0], forecast, sea, palette.ICE, (0.0, 1.0))
    draw_map(axes[1], observed, sea, palette.ICE, (0.0, 1.0))
    difference_image = draw_map(axes[2], difference, sea, DIFFERENCE_COLOURS, (-0.5, 0.5))
    fields = {"observed": observed, "forecast": np.where(np.isnan(observed), np.nan, forecast)}
    for ax, shown in zip(axes, (("forecast",), ("observed",), tuple(fields)), strict=True):
        for name in shown:
            if np.nanmin(fields[name]) < ICE_EDGE <= np.nanmax(fields[name]):
                ax.contour(
                    np.ma.masked_invalid(fields[name]), levels=[ICE_EDGE],
                    colors=[_EDGE_COLOURS[name]], linewidths=1.0,
                )  # fmt: skip
    return image, difference_image


def draw_members(daily: DailyScores, path: Path) -> None:
    """Draw reliability, ranks and spread of ensembles and probabilities."""
    figure = _make_figure(11.8, 4.3)
    reliability, histogram, comparison = figure.subplots(1, 3)
    reliability.plot([0, 1], [0, 1], color=palette.TEXT_SOFT, linewidth=0.8, label="reliable")
    for number, (method, members) in enumerate(daily.members.items()):
        style = choose_line_style(number)
        brier = members.probability.compute_brier_score()
        reliability.plot(
            brier.probability, brier.frequency, marker="o", ms=4,
            label=f"{method}: {brier.score:.4f} = {brier.reliability:.4f} - {brier.resolution:.4f} + "
            f"{brier.uncertainty:.4f}",
            **style,
        )  # fmt: skip
        if members.ranks is None:
            continue
        _draw_ranks(histogram, members.ranks, method, style, max(daily.leads))
        squares = [
            np.nanmean(np.array([getattr(part, name) for part in members.spread]) ** 2, axis=0)
            for name in ("spread", "error")
        ]
        spread, error = (PERCENT * np.sqrt(square) for square in squares)
        comparison.plot(spread, error, marker="o", ms=4, label=method, **style)
    largest = max(comparison.get_xlim()[1], comparison.get_ylim()[1])
    comparison.plot([0, largest], [0, largest], color=palette.TEXT_SOFT, linewidth=0.8, label="equal")
    for ax, title, x_label, y_label in (
        (reliability, "Brier score = reliability - resolution + uncertainty", "probability of ice",
         "observed frequency"),
        (histogram, "Ranks of the observation among the members", "members below it",
         "share of the cells"),
        (comparison, "Spread and error, tenths of the cells", "spread (%)", "RMSE of the mean (%)"),
    ):  # fmt: skip
        ax.set_title(title, fontsize=9)
        ax.set_xlabel(x_label, fontsize=8)
        ax.set_ylabel(y_label, fontsize=8)
        if ax.has_data():
            style_panel(ax)
    if not histogram.has_data():
        for ax in (histogram, comparison):
            ax.set_axis_off()
    _save(figure, path)


def _draw_ranks(
    ax: Axes, ranks: np.ndarray, method: str, style: dict[str, Any], longest_lead: int
) -> None:
    """Draw the share of each rank, with intervals by blocks of initial days."""
    bootstrap = BlockBootstrap(len(ranks), choose_block_days(longest_lead))
    totals = ranks.sum(axis=1).astype(np.float64)

    def estimate_share(counts: np.ndarray) -> Estimate:
        return bootstrap.estimate(lambda weights: (weights @ counts) / (weights @ totals))

    values, low, high = np.array([estimate_share(counts) for counts in ranks.T.astype(np.float64)]).T
    positions = np.arange(values.size)
    ax.stairs(values, np.arange(values.size + 1) - 0.5, label=method, **style)
    ax.vlines(positions, low, high, color=style["color"], linewidth=1.2)
    ax.axhline(1 / values.size, color=palette.TEXT_SOFT, linewidth=0.8)
    ax.set_ylim(bottom=0)


def _make_figure(width: float, height: float) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_bar(figure: Figure, image: Any, axes: Any, label: str, extend: Any = "neither") -> None:
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", aspect=30, shrink=0.7, pad=0.02, extend=extend
    )
    bar.ax.tick_params(labelsize=7)
    bar.set_label(label, size=8)


def _save(figure: Figure, path: Path) -> None:
    with atomic(path) as part:
        figure.savefig(part, dpi=_DPI, format=path.suffix.lower().lstrip("."))
