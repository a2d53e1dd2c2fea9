"""Pictures of scores: maps of the errors of one day, histograms, power spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.dates import from_day_number
from seaice.drawing import palette
from seaice.grids import Grid
from seaice.pictures.colour_scale import round_range
from seaice.runtime.atomic_write import atomic
from seaice.scoring.figure_style import (
    bracketed,
    dress,
    filled_by_all,
    line_style,
)
from seaice.scoring.score import Scores
from seaice.scoring.spectra import Spectrum, radial_spectrum, taper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# Too little to too much, white between, of equal lightness on either side.
DIFFERENCE = (
    "#123f73", "#2f6fae", "#74a9d3", "#bcd8ea", "#f7f7f5", "#f3cdb2", "#dc8f66", "#b4512f", "#742113",
)  # fmt: skip
_KEPT = "#d7dcde"
_COLUMNS = 4
_SPECTRUM_DAYS = 8
_PLANE = 40.0  # degrees of latitude up to which a map of longitudes passes for a plane


def draw_scores(
    scores: Scores,
    path: Path,
    *,
    grid: Grid | None = None,
    title: str = "",
    frame: int | None = None,
    dpi: int = 150,
) -> list[str]:
    """Draw the errors of every method and save the picture.

    Parameters
    ----------
    scores : Scores
    path : Path
    grid : Grid, optional
        None for grids of latitude and longitude.
    title : str
        What the field is.
    frame : int, optional
        Map whose errors are drawn; by default that of the longest gap among those on which
        all methods fill about as many held-out cells as on any.
    dpi : int

    Returns
    -------
    list of str
        What could not be drawn, and why.

    Raises
    ------
    InputError
        If no method has a result or nothing is held out on the map.
    """
    if not scores.ran:
        raise InputError("no method has a result, so there is nothing to draw")
    frame = default_frame(scores) if frame is None else frame
    if not (scores.cells.day == frame).any():
        raise InputError(f"nothing is held out on map {frame}; choose another")
    figure, maps, (left, right) = _figure(scores, len(scores.ran) + 1)
    _draw_maps(scores, maps, grid, frame)
    draw_histograms(left, scores)
    notes = []
    try:
        if is_globe(scores, grid):
            from seaice.scoring.angular import draw_angular_spectra

            draw_angular_spectra(right, scores)
        else:
            draw_spectra(right, scores, grid)
    except InputError as error:
        right.remove()
        both = left.get_gridspec()
        assert both is not None
        left.set_subplotspec(both[0, :])
        notes.append(f"no power spectra: {error}")
    day = from_day_number(int(np.floor(scores.gappy.days[frame])))
    count = int((scores.cells.day == frame).sum())
    what = f"{title}, " if title else ""
    figure.suptitle(
        f"{what}{day}: {count} cells held out (light grey: kept, dark grey: not filled)",
        fontsize=10,
        color=palette.TEXT,
    )
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=path.suffix.lower().lstrip("."))
    return notes


def default_frame(scores: Scores) -> int:
    """The map to draw: see :func:`draw_scores`."""
    common = filled_by_all(scores)
    counts = np.bincount(scores.cells.day[common | ~common.any()], minlength=len(scores.gappy.values))
    rich = counts >= 0.9 * counts.max()
    number = scores.held_out.number
    # A gap as long as the record, such as a pole hole, is on every map.
    days = np.array([0, *(g.days if g.days < len(number) else 0 for g in scores.held_out.gaps)])
    lengths = [days[np.unique(number[t])].max() if rich[t] else -1 for t in range(len(number))]
    return int(np.argmax(lengths))


def _figure(scores: Scores, panels: int) -> tuple[Figure, list[Axes], tuple[Axes, Axes]]:
    """Maps in rows of at most four, two wide panels below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_COLUMNS, panels)
    rows = -(-panels // columns)
    height, width = scores.gappy.sea.shape
    aspect = float(np.clip(height / width, 0.4, 1.6))
    each = 11.0 / columns
    tall = rows * (each * aspect + 0.45)
    figure = Figure(figsize=(11.8, tall + 4.3), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=(tall, 3.9))
    above, below = parts
    axes = above.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes[panels:]:
        ax.set_axis_off()
    left, right = below.subplots(1, 2)
    return figure, axes[:panels], (left, right)


def _draw_maps(scores: Scores, axes: Sequence[Axes], grid: Grid | None, frame: int) -> None:
    truth = np.where(scores.gappy.sea, scores.gappy.values[frame], np.nan)
    known = truth[np.isfinite(truth)]
    limits = (0.0, scores.cells.full or 1.0)
    if scores.cells.full is None:
        limits = round_range(*(float(q) for q in np.percentile(known, (2, 98))))
    colours = palette.ICE if scores.cells.full is not None else palette.TEMPERATURE
    units = scores.gappy.units
    first = draw_map(axes[0], truth, scores.gappy.sea, colours, limits, extent=_extent(scores, grid))
    axes[0].set_title("truth", fontsize=9)
    _bar(axes[0], first, "" if units == "1" else units)
    errors = [scores.map_of(run.values - scores.cells.truth, frame) for run in scores.ran]
    largest = _largest(errors)
    for ax, run, error in zip(axes[1:], scores.ran, errors, strict=True):
        held_out = scores.held_out.number[frame] > 0
        image = draw_map(
            ax, error, scores.gappy.sea, DIFFERENCE, (-largest, largest), extent=_extent(scores, grid),
            kept=scores.gappy.sea & ~held_out,
        )  # fmt: skip
        made = error[np.isfinite(error)]
        told = f"RMSE {_short(np.sqrt(np.mean(made**2)))}" if made.size else "fills nothing here"
        left = held_out & ~np.isfinite(error)
        if left.any() and made.size:
            told += f", {100 * left.sum() / held_out.sum():.1f} % unfilled"
        ax.set_title(f"{run.label}: {told}", fontsize=9)
    _bar(axes[1:], image, f"error{bracketed(units)}")


def draw_map(
    ax: Axes,
    values: np.ndarray,
    sea: np.ndarray,
    colours: Sequence[str],
    limits: tuple[float, float],
    *,
    extent: tuple[float, float, float, float] | None = None,
    kept: np.ndarray | None = None,
) -> AxesImage:
    """Draw a map with land, cells that were kept, and cells without a value.

    Parameters
    ----------
    ax : Axes
    values : ndarray of float, shape (y, x)
        NaN is no value: a darker grey.
    sea : ndarray of bool, shape (y, x)
    colours : sequence of str
        Lowest to highest.
    limits : (float, float)
    extent : (west, east, south, north), optional
    kept : ndarray of bool, shape (y, x), optional
        Cells that are not looked at: a light grey.
    """
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap

    ground = np.where(sea, 1, 0)
    if kept is not None:
        ground[kept] = 2
    options: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    plain = ListedColormap([palette.LAND, palette.NO_VALUE, _KEPT])
    ax.imshow(ground, cmap=plain, vmin=-0.5, vmax=2.5, **options)
    ramp = LinearSegmentedColormap.from_list("seaice_score", colours, N=255)
    image = ax.imshow(np.ma.masked_invalid(values), cmap=ramp, vmin=limits[0], vmax=limits[1], **options)
    ax.set_xticks([])
    ax.set_yticks([])
    if extent is not None and abs(extent[0]) <= 360:  # degrees
        middle = np.radians((extent[2] + extent[3]) / 2)
        ax.set_aspect(1 / max(math.cos(middle), 0.1))
    ax.spines[:].set(linewidth=0.6, color=palette.TEXT_SOFT)
    return image


def draw_histograms(ax: Axes, scores: Scores, *, bins: int = 81) -> None:
    """Draw how often errors of each size occur: the same bins for all, counts as they are.

    Over the cells that every method fills. The legend has bias and spread. Errors beyond the ends
    lie in the outermost bins.
    """
    common = filled_by_all(scores)
    truth = scores.cells.truth[common]
    errors = [run.values[common] - truth for run in scores.ran]
    edges = np.linspace(-1, 1, bins + 1) * _largest(errors, percentile=99.9)
    for number, (run, error) in enumerate(zip(scores.ran, errors, strict=True)):
        counts, _ = np.histogram(np.clip(error, edges[0], edges[-1]), edges)
        label = run.label
        if error.size:
            label += f": bias {_short(error.mean())}, spread {_short(error.std())}"
        ax.stairs(counts, edges, label=label, baseline=None, **line_style(number))
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(f"error{bracketed(scores.gappy.units)}; larger ones in the outermost bins", fontsize=8)
    ax.set_ylabel("cells", fontsize=8)
    ax.set_title(f"Errors on the {common.sum()} cells that all fill", fontsize=9)
    dress(ax)


def draw_spectra(ax: Axes, scores: Scores, grid: Grid | None) -> None:
    """Draw the power of the truth and of every method's error against the wavelength.

    Means over the maps, at most eight, with the most held-out cells that every method fills; each
    under a window that falls to 0 at the edges of those cells, corrected for their share.

    Raises
    ------
    InputError
        On a globe, or if no map has enough cells together.
    """
    dy, dx = cell_size(scores, grid)
    labels = ["truth", *(run.label for run in scores.ran)]
    found: list[list[Spectrum]] = []
    for frame, window in _windows(scores):
        fields = [scores.map_of(scores.cells.truth, frame)]
        fields += [scores.map_of(run.values - scores.cells.truth, frame) for run in scores.ran]
        found.append([radial_spectrum(field, window, dy, dx) for field in fields])
    for number, (label, spectra) in enumerate(zip(labels, zip(*found, strict=True), strict=True)):
        power = np.mean([one.power for one in spectra], axis=0)
        style = line_style(number - 1) if number else {"color": palette.TEXT, "linewidth": 1.6}
        ax.plot(
            1 / spectra[0].wavenumber,
            power,
            label=label if number == 0 else f"error of {label}",
            **style,
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.invert_xaxis()
    ax.set_xlabel("wavelength (km)", fontsize=8)
    ax.set_ylabel(f"power{bracketed(scores.gappy.units, squared=True, more='km²')}", fontsize=8)
    days = f"{len(found)} days" if len(found) > 1 else "1 day"
    ax.set_title(f"Power spectra, {days}, corrected for the share of the map", fontsize=9)
    dress(ax)


def is_globe(scores: Scores, grid: Grid | None) -> bool:
    """Whether the field covers too much of the sphere for a plane."""
    latitude = scores.gappy.latitude
    if grid is not None or latitude is None:
        return False
    return bool(scores.gappy.wraps or np.ptp(latitude) > _PLANE)


def cell_size(scores: Scores, grid: Grid | None) -> tuple[float, float]:
    """Height and width of the cells, km.

    Raises
    ------
    InputError
        On a grid of latitude and longitude that is too large for a plane, or without coordinates.
    """
    if grid is not None:
        return grid.kilometres, grid.kilometres
    latitude, longitude = scores.gappy.latitude, scores.gappy.longitude
    if latitude is None or longitude is None or min(latitude.shape) < 2:
        raise InputError("the field has no coordinates")
    if is_globe(scores, grid):
        raise InputError(
            f"{np.ptp(latitude):.0f} degrees of latitude are no plane; score at most {_PLANE:g}"
        )
    degree = 6371.0 * math.pi / 180
    dy = float(np.abs(np.diff(latitude, axis=0)).mean())
    dx = float(np.abs(np.diff(longitude, axis=1)).mean())
    return dy * degree, dx * degree * math.cos(math.radians(float(latitude.mean())))


def _windows(scores: Scores) -> list[tuple[int, np.ndarray]]:
    common = filled_by_all(scores)
    counts = np.bincount(scores.cells.day[common], minlength=len(scores.gappy.values))
    found = []
    for frame in np.argsort(-counts, kind="stable")[:_SPECTRUM_DAYS]:
        # A day of a few wedges says little beside one of a whole map.
        if counts[frame] < max(1, counts.max() / 2):
            break
        window = taper(np.isfinite(scores.map_of(np.where(common, 1.0, np.nan), int(frame))))
        if np.sum(window > 0.5) >= 100:
            found.append((int(frame), window))
    if not found:
        raise InputError(
            "no map has 100 cells within a gap, away from its edges, that every method fills"
        )
    return found


def _extent(scores: Scores, grid: Grid | None) -> tuple[float, float, float, float] | None:
    if grid is not None:
        west, east, south, north = (edge / 1000 for edge in grid.extent)
        return west, east, south, north
    latitude, longitude = scores.gappy.latitude, scores.gappy.longitude
    if latitude is None or longitude is None:
        return None
    # Row 0 lies below, whichever way the latitudes run.
    return (
        float(longitude[0, 0]), float(longitude[0, -1]), float(latitude[0, 0]), float(latitude[-1, 0]),
    )  # fmt: skip


def _largest(errors: Sequence[np.ndarray], percentile: float = 99.0) -> float:
    """End of a symmetric scale that holds most errors that are not 0."""
    sizes = np.concatenate([np.abs(e[np.isfinite(e)]).ravel() for e in errors])
    sizes = sizes[sizes > 0]
    return round_range(0.0, float(np.percentile(sizes, percentile)))[1] if sizes.size else 1.0


def _bar(axes: Any, image: AxesImage, label: str) -> None:
    several = not hasattr(axes, "figure")
    figure = axes[0].figure if several else axes.figure
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", aspect=40 if several and len(axes) > 1 else 20,
        shrink=0.8, pad=0.02, extend="both" if several else "neither",
    )  # fmt: skip
    bar.ax.tick_params(labelsize=7, colors=palette.TEXT)
    bar.set_label(label, size=8, color=palette.TEXT)


def _short(value: float) -> str:
    return f"{value:.3g}"
