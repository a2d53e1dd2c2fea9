"""Panels of figures: curves, patches, maps of scenes; each function draws one on axes it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.scoring.figure_style import LINE_COLOURS
from seaice.segmentation.data.labels import (
    ICE,
    IGNORED,
    WATER,
)
from seaice.segmentation.mapping import head_layers
from seaice.segmentation.mapping.scene_map import (
    LAND,
    MISSING,
)
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.ai4arctic.tables import (
    NO_CLASS,
    PIXEL_METRES,
    SAR_CHANNELS,
    SIC_PERCENT,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

SURFACE: Mapping[int, Swatch] = {
    WATER: Swatch("water", palette.ICE[2]),
    ICE: Swatch("ice", palette.ICE[-1]),
    LAND: Swatch("land", palette.LAND),
    MISSING: Swatch("no SAR", palette.NO_VALUE),
}
# Correct predictions have pale colours, wrong ones strong colours.
AGREEMENT: Mapping[int, Swatch] = {
    0: Swatch("water in both", "#9fb4c7"),
    1: Swatch("ice in both", "#eef2f4"),
    2: Swatch("ice missed", "#e8921f"),
    3: Swatch("false ice", "#b0489f"),
    4: Swatch("not in the chart", palette.NO_VALUE),
}
# Names of the classes of layers of types of ice.
TYPES: Mapping[str, tuple[str, ...]] = dict(head_layers.TYPES.values())
# Range of the grey scale, dB.
DECIBELS = {"HH": (-26.0, -4.0), "HV": (-34.0, -16.0)}
_FONT_SIZE = 8
_DASHES = ("--", "-.", ":", (0, (8, 4)))
_MOST_PIXELS = 1200  # along a side of an image


def make_figure(width: float, height: float) -> Figure:
    """Make a figure without pyplot, which keeps figures in memory.

    Parameters
    ----------
    width, height : float
        Inches.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_legend(figure: Figure, classes: Mapping[int, Swatch]) -> None:
    """Draw the names and colours of classes below a figure."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=s.colour, edgecolor=palette.TEXT_SOFT, linewidth=0.5, label=s.label)
        for s in classes.values()
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(4, len(handles)),
        fontsize=8,
        frameon=False,
    )


def draw_colour_bar(figure: Figure, image: Any, label: str, **options: Any) -> None:
    """Draw a colour bar; the options go to matplotlib."""
    bar = figure.colorbar(image, **options)
    bar.set_label(label, fontsize=8)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.outline.set_linewidth(0.5)


def style_axes(ax: Axes) -> None:
    """Style axes with a thin frame, a pale grid and small numbers."""
    ax.tick_params(labelsize=_FONT_SIZE, colors=palette.TEXT, length=3)
    ax.grid(color="#e3e6e8", linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(linewidth=0.6, color=palette.TEXT_SOFT)


def draw_losses(ax: Axes, logs: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Draw the losses of trainings by epoch: training dashed, validation solid.

    Parameters
    ----------
    ax : Axes
    logs : mapping of str to mapping of str to ndarray
        Columns of ``log.csv`` by the label of the training.
    """
    for number, (label, log) in enumerate(logs.items()):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        name = f"{label}, " if len(logs) > 1 else ""
        ax.plot(log["epoch"], log["train_loss"], "--", color=colour, lw=1.2, label=f"{name}training")
        ax.plot(log["epoch"], log["validation_loss"], color=colour, lw=1.6, label=f"{name}validation")
    _label_epochs(ax, logs)
    # One epoch with a very large loss must not flatten all others.
    losses = np.concatenate([log[f"{p}_loss"] for log in logs.values() for p in ("train", "validation")])
    losses = losses[np.isfinite(losses)]
    if losses.size:
        ax.set_ylim(0, min(1.08 * losses.max(), 3 * float(np.median(losses))) or 1)
    ax.set_ylabel("loss", fontsize=_FONT_SIZE + 1)
    ax.legend(fontsize=_FONT_SIZE, frameon=False)
    style_axes(ax)


def draw_validation(
    ax: Axes, logs: Mapping[str, Mapping[str, np.ndarray]], scores: Mapping[str, str]
) -> None:
    """Draw the validation scores of trainings by epoch, with a dot at the best one.

    Parameters
    ----------
    ax : Axes
    logs : mapping of str to mapping of str to ndarray
        See :func:`draw_losses`.
    scores : mapping of str to str
        Names of the columns for the legend; of several trainings only the first column is drawn.
    """
    names = list(scores.items())[: 1 if len(logs) > 1 else None]
    number = 0
    for label, log in logs.items():
        for column, text in names:
            if column not in log:
                continue
            colour = LINE_COLOURS[number % len(LINE_COLOURS)]
            legend = label if len(logs) > 1 else text
            if column == names[0][0] and np.isfinite(log[column]).any():
                best = int(np.nanargmax(log[column]))
                ax.plot(log["epoch"][best], log[column][best], "o", color=colour, ms=5)
                legend += f", best {log[column][best]:.3f} (epoch {log['epoch'][best]:.0f})"
            ax.plot(log["epoch"], log[column], color=colour, lw=1.6, label=legend)
            number += 1
    _label_epochs(ax, logs)
    values = [log[column] for log in logs.values() for column, _ in names if column in log]
    # R2 can be below 0, and far below in the first epochs.
    ax.set_ylim(max(-1.0, 1.05 * float(np.nanmin(np.concatenate([[0.0], *values])))), 1.03)
    ax.set_ylabel(f"validation {names[0][1] if len(logs) > 1 else 'score'}", fontsize=_FONT_SIZE + 1)
    ax.legend(fontsize=_FONT_SIZE, frameon=False, loc="best")
    style_axes(ax)


def _label_epochs(ax: Axes, logs: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch", fontsize=_FONT_SIZE + 1)
    last = max(float(log["epoch"][-1]) for log in logs.values())
    ax.set_xlim(0.5, last + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_efficiency(
    ax: Axes,
    studies: Mapping[str, Sequence[Mapping[str, Any]]],
    score_name: str,
    levels: Mapping[str, float],
) -> None:
    """Draw a score by the fraction of the training scenes: means, 95 percent intervals, every seed.

    Parameters
    ----------
    ax : Axes
    studies : mapping of str to sequence of mapping
        Lines of a table with ``fraction``, ``mean``, ``low``, ``high``, ``values``, by their label.
    score_name : str
        Name of the score, for the label of the axis.
    levels : mapping of str to float
        Score of each baseline by its name, drawn as a level line.
    """
    drawn: list[float] = list(levels.values())
    lowest = 0.0
    for number, (label, lines) in enumerate(studies.items()):
        colour = LINE_COLOURS[number % len(LINE_COLOURS)]
        # Shifted against each other, so that intervals of two models do not overlap.
        shift = 1.1 ** (number - (len(studies) - 1) / 2)
        lines = [line for line in lines if line["mean"] is not None]
        x = np.array([line["fraction"] for line in lines]) * shift
        mean = np.array([line["mean"] for line in lines])
        low, high = (
            np.array([line["mean"] if line[k] is None else line[k] for line in lines])
            for k in ("low", "high")
        )
        spread = np.abs(np.stack([mean - low, high - mean]))
        ax.errorbar(
            x, mean, spread, color=colour, lw=1.6, marker="o", ms=5, capsize=3, elinewidth=1, label=label
        )
        for position, line in zip(x, lines, strict=True):
            seeds = [value for value in line["values"] if value is not None]
            beside = [position * 1.035] * len(seeds)
            ax.plot(beside, seeds, "o", mfc="white", mec=colour, mew=0.8, ms=3.5)
            drawn += [line["mean"], *seeds]
            lowest = min([lowest, *seeds])
        drawn += [*low.tolist(), *high.tolist()]
    _label_fractions(ax, studies)
    for (name, value), dashes in zip(levels.items(), cycle(_DASHES), strict=False):
        ax.axhline(value, color=palette.TEXT_SOFT, lw=1, ls=dashes, zorder=1, label=name)
    if drawn:
        # Intervals of few seeds can reach beyond 0 to 1; the axis does not, unless a score (R2) does.
        margin = max(0.02, 0.08 * (max(drawn) - min(drawn)))
        least = lowest - margin if lowest < 0 else 0.0
        ax.set_ylim(max(least, min(drawn) - margin), min(1.0, max(drawn) + margin))
    ax.set_ylabel(score_name, fontsize=_FONT_SIZE + 1)
    ax.legend(fontsize=_FONT_SIZE, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    style_axes(ax)


def _label_fractions(ax: Axes, studies: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    from matplotlib.ticker import NullLocator

    fractions = sorted({line["fraction"] for lines in studies.values() for line in lines})
    ax.set_xscale("log")
    ax.set_xticks(fractions, [f"{100 * f:g} %" for f in fractions])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlim(fractions[0] / 1.25, fractions[-1] * 1.25)
    ax.set_xlabel("share of the training scenes", fontsize=_FONT_SIZE + 1)


def thin_image(field: np.ndarray) -> np.ndarray:
    """Take every n-th pixel, so that a side has no more than a picture has dots."""
    step = max(1, -(-max(field.shape[-2:]) // _MOST_PIXELS))
    return field[..., ::step, ::step]


def draw_sar(ax: Axes, decibels: np.ndarray, polarisation: str) -> AxesImage:
    """Draw SAR in grey, dB; NaN is no SAR.

    Parameters
    ----------
    ax : Axes
    decibels : ndarray of float, shape (lines, samples)
    polarisation : str
        HH or HV, for the range.
    """
    low, high = DECIBELS[polarisation]
    image = _draw_image(ax, np.ma.masked_invalid(decibels), cmap="gray", vmin=low, vmax=high)
    ax.set_facecolor(palette.NO_VALUE)
    return image


def draw_chart(ax: Axes, sic: np.ndarray) -> AxesImage:
    """Draw an ice chart in percent, from classes of uint8 (lines, samples); 255 is no class."""
    percent = np.ma.masked_equal(sic, NO_CLASS) * (SIC_PERCENT[1] - SIC_PERCENT[0])
    return _draw_ice_percent(ax, percent)


def draw_percent(
    ax: Axes,
    values: np.ndarray,
    *,
    land: np.ndarray | None = None,
    colours: Sequence[str] = palette.ICE,
) -> AxesImage:
    """Draw shares 0..1 (lines, samples) in percent, in the colours of ice; NaN is no value, or land."""
    image = _draw_ice_percent(ax, 100 * np.ma.masked_invalid(values), colours)
    if land is not None and land.any():
        from matplotlib.colors import ListedColormap

        below = np.ma.masked_equal(land.astype(np.uint8), 0)
        _draw_image(ax, below, cmap=ListedColormap([palette.LAND]), zorder=image.get_zorder() - 0.5)
    return image


def _draw_ice_percent(
    ax: Axes, percent: np.ma.MaskedArray, colours: Sequence[str] = palette.ICE
) -> AxesImage:
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("seaice_chart", colours, N=256)
    ax.set_facecolor(palette.NO_VALUE)
    return _draw_image(ax, percent, cmap=ramp, vmin=0, vmax=100)


def draw_codes(ax: Axes, codes: np.ndarray, classes: Mapping[int, Swatch]) -> AxesImage:
    """Draw classes of uint8 (lines, samples), each in its colour."""
    from matplotlib.colors import ListedColormap

    table = np.zeros(256, np.uint8)
    for number, code in enumerate(classes):
        table[code] = number
    colours = ListedColormap([swatch.colour for swatch in classes.values()])
    return _draw_image(ax, table[codes], cmap=colours, vmin=-0.5, vmax=len(classes) - 0.5)


def draw_types(figure: Figure, ax: Axes, codes: np.ndarray, name: str, *, land: np.ndarray) -> None:
    """Draw classes of a type of ice of uint8 (lines, samples), with their names beside."""
    labels = TYPES[name]
    classes = {
        code: Swatch(label, colour)
        for code, (label, colour) in enumerate(zip(labels, palette.ICE_TYPES, strict=False))
    }
    land_code = len(labels)
    classes |= {land_code: SURFACE[LAND], MISSING: SURFACE[MISSING]}
    image = draw_codes(ax, np.where(land, np.uint8(land_code), codes), classes)
    bar = figure.colorbar(
        image, ax=ax, shrink=0.9, pad=0.02, boundaries=np.arange(len(labels) + 1) - 0.5
    )
    bar.set_ticks(range(len(labels)), labels=list(labels))
    bar.ax.tick_params(labelsize=7, length=0)
    bar.outline.set_linewidth(0.5)


def compare_labels(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Compare labels of 0, 1, 255 with predictions of 0, 1; returns codes of :data:`AGREEMENT`."""
    codes = np.where(truth == predicted, predicted, np.where(truth == ICE, 2, 3)).astype(np.uint8)
    codes[truth == IGNORED] = 4
    return codes


def _draw_image(ax: Axes, field: np.ndarray, **options: Any) -> AxesImage:
    image = ax.imshow(field, interpolation="nearest", **options)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set(linewidth=0.6, color=palette.TEXT_SOFT)
    return image


def draw_scale_bar(ax: Axes, samples: int, thinning: int = 1) -> None:
    """Draw a scale bar of at most a third of the picture, in kilometres.

    Parameters
    ----------
    ax : Axes
    samples : int
        Pixels that are drawn along a line.
    thinning : int
        Every how many pixels one is drawn.
    """
    kilometres = samples * thinning * PIXEL_METRES / 1000
    length = max(value for value in (1, 2, 5, 10, 20, 50, 100) if value <= max(1, kilometres / 3))
    end = length / kilometres
    ax.plot([0, end], [-0.06, -0.06], color=palette.TEXT, lw=2, transform=ax.transAxes, clip_on=False)
    ax.text(
        end + 0.02,
        -0.06,
        f"{length} km",
        transform=ax.transAxes,
        fontsize=_FONT_SIZE - 1,
        va="center",
        color=palette.TEXT,
    )


def draw_compass(ax: Axes, positions: Geolocation) -> None:
    """Draw arrows to north and east: a scene is drawn in the direction of flight, often mirrored."""
    from matplotlib.transforms import ScaledTranslation

    # In points from the corner, so that no letter leaves a small scene.
    inwards = ScaledTranslation(-36 / 72, 36 / 72, ax.figure.dpi_scale_trans)
    lines, samples = (np.array([(n - 1) / 2]) for n in positions.shape)
    steps = [
        positions.interpolate(lines + down, samples + right) for down, right in ((0, 0), (1, 0), (0, 1))
    ]
    (latitude, longitude), below, beside = ((float(a[0]), float(b[0])) for a, b in steps)
    # A degree of longitude is shorter than one of latitude by this factor.
    shortening = np.cos(np.radians(latitude))
    # Change of latitude (north) and of longitude (east) from a pixel to those on its right and below.
    north = (beside[0] - latitude, below[0] - latitude)
    east = tuple(((v[1] - longitude + 180) % 360 - 180) * shortening for v in (beside, below))
    for text, direction in (("N", north), ("E", east)):
        right, down = np.array(direction) / max(np.hypot(*direction), 1e-12)
        options: dict[str, Any] = {
            "xycoords": ax.transAxes + inwards,
            "textcoords": "offset points",
            "fontsize": _FONT_SIZE - 1,
        }
        arrow = {"arrowstyle": "<|-", "color": palette.TEXT, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
        ax.annotate(
            text,
            (1, 0),
            (24 * right, -24 * down),
            ha="center",
            va="center",
            arrowprops=arrow,
            bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
            **options,
        )


def draw_embedding(
    ax: Axes, points: np.ndarray, ice_share: np.ndarray, explained: Sequence[float]
) -> Any:
    """Draw patches as points in the plane of their features, coloured by the share of ice.

    Parameters
    ----------
    ax : Axes
    points : ndarray of float, shape (n, 2)
    ice_share : ndarray of float, shape (n,)
        0..1.
    explained : sequence of float
        Share of the variance along both axes.
    """
    from matplotlib.colors import LinearSegmentedColormap

    ramp = LinearSegmentedColormap.from_list("seaice_share", palette.FREEBOARD, N=256)
    dots = ax.scatter(
        points[:, 0],
        points[:, 1],
        c=100 * ice_share,
        cmap=ramp,
        vmin=0,
        vmax=100,
        s=20,
        lw=0.3,
        edgecolors="white",
    )
    first = f"first component ({100 * explained[0]:.0f} % of the variance)"
    ax.set_xlabel(first, fontsize=_FONT_SIZE + 1)
    ax.set_ylabel(f"second component ({100 * explained[1]:.0f} %)", fontsize=_FONT_SIZE + 1)
    style_axes(ax)
    return dots


def draw_neighbours(ax: Axes, accuracy: Mapping[int, float], majority: float) -> None:
    """Draw the accuracy of the vote of the nearest neighbours, by their number."""
    numbers = list(accuracy)
    bars = ax.bar(range(len(numbers)), list(accuracy.values()), width=0.6, color=LINE_COLOURS[0])
    ax.bar_label(bars, fmt="%.2f", fontsize=_FONT_SIZE, color=palette.TEXT, padding=2)
    ax.axhline(majority, color=LINE_COLOURS[1], lw=1.4, ls="--", label="the more frequent class")
    ax.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    ax.set_xlabel("nearest neighbours in other scenes", fontsize=_FONT_SIZE + 1)
    ax.set_ylabel("share of patches called right", fontsize=_FONT_SIZE + 1)
    ax.set_ylim(0, 1.22)
    ax.set_yticks(np.arange(0, 1.01, 0.2))
    ax.legend(fontsize=_FONT_SIZE, frameon=False, loc="upper left")
    style_axes(ax)
    ax.grid(visible=False, axis="x")


def name_polarisations() -> tuple[str, ...]:
    """Names of the polarisations in the order of the SAR channels."""
    names = {"nersc_sar_primary": "HH", "nersc_sar_secondary": "HV"}
    return tuple(names[channel] for channel in SAR_CHANNELS)
