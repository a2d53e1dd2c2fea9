"""Figures of scores: maps of the errors of one day, histograms and power spectra."""

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
from seaice.grids.sphere import compute_unit_vectors
from seaice.pictures.colour_scale import round_range
from seaice.runtime.atomic_write import atomic
from seaice.scoring.figure_style import (
    choose_line_style,
    find_common_cells,
    format_units,
    style_panel,
)
from seaice.scoring.score import Scores
from seaice.scoring.spectra import Spectrum, compute_radial_spectrum, make_taper

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

# From too little to too much ice, white for no error, with equal steps of lightness on both sides.
DIFFERENCE_COLOURS = (
    "#123f73", "#2f6fae", "#74a9d3", "#bcd8ea", "#f7f7f5", "#f3cdb2", "#dc8f66", "#b4512f", "#742113",
)  # fmt: skip
_NOT_HELD_OUT = "#d7dcde"
_MOST_COLUMNS = 4
_MOST_SPECTRUM_DAYS = 8
_LARGEST_FLAT_EXTENT = 40.0  # degrees of latitude; a larger map is no plane for Fourier spectra


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
        Grid of the field; None for grids of latitude and longitude.
    title : str
        Name of the field.
    frame : int, optional
        Number of the map whose errors are drawn; by default that of :func:`choose_frame`.
    dpi : int
        Dots per inch of the picture.

    Returns
    -------
    list of str
        Panels that could not be drawn, with the reason.

    Raises
    ------
    InputError
        If no method has a result or nothing is held out on the map.
    """
    if not scores.finished_runs:
        raise InputError("no method has a result, so there is nothing to draw")
    frame = choose_frame(scores) if frame is None else frame
    if not (scores.cells.day == frame).any():
        raise InputError(f"nothing is held out on map {frame}; choose another")
    figure, maps, (left, right) = _make_figure(scores, len(scores.finished_runs) + 1)
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
        gridspec = left.get_gridspec()
        assert gridspec is not None
        left.set_subplotspec(gridspec[0, :])  # the left panel gets the width of both
        notes.append(f"no power spectra: {error}")
    day = from_day_number(int(np.floor(scores.gappy.days[frame])))
    count = int((scores.cells.day == frame).sum())
    name = f"{title}, " if title else ""
    figure.suptitle(
        f"{name}{day}: {count} cells held out (light grey: kept, dark grey: not filled)",
        fontsize=10,
        color=palette.TEXT,
    )
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=dpi, format=path.suffix.lower().lstrip("."))
    return notes


def choose_frame(scores: Scores) -> int:
    """Choose the map to draw: the one with the longest gap among those with many common cells.

    Common cells are held-out cells that every method fills; many are 90 percent of the largest number
    on any map.
    """
    common = find_common_cells(scores)
    counts = np.bincount(scores.cells.day[common | ~common.any()], minlength=len(scores.gappy.values))
    has_many = counts >= 0.9 * counts.max()
    number = scores.held_out.number
    # A gap as long as the record, such as a pole hole, is on every map and does not count.
    days = np.array([0, *(g.days if g.days < len(number) else 0 for g in scores.held_out.gaps)])
    lengths = [days[np.unique(number[t])].max() if has_many[t] else -1 for t in range(len(number))]
    return int(np.argmax(lengths))


def _make_figure(scores: Scores, panels: int) -> tuple[Figure, list[Axes], tuple[Axes, Axes]]:
    """Make a figure with maps in rows of at most four, and two wide panels below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(_MOST_COLUMNS, panels)
    rows = -(-panels // columns)
    height, width = scores.gappy.sea.shape
    aspect = float(np.clip(height / width, 0.4, 1.6))
    maps_height = rows * (11.0 / columns * aspect + 0.45)
    figure = Figure(figsize=(11.8, maps_height + 4.3), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    parts: Any = figure.subfigures(2, 1, height_ratios=(maps_height, 3.9))
    above, below = parts
    axes = above.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax in axes[panels:]:
        ax.set_axis_off()
    left, right = below.subplots(1, 2)
    return figure, axes[:panels], (left, right)


def _draw_maps(scores: Scores, axes: Sequence[Axes], grid: Grid | None, frame: int) -> None:
    truth = np.where(scores.gappy.sea, scores.gappy.values[frame], np.nan)
    limits = (0.0, scores.cells.full or 1.0)
    if scores.cells.full is None:
        percentiles = np.percentile(truth[np.isfinite(truth)], (2, 98))
        limits = round_range(*(float(q) for q in percentiles))
    colours = palette.ICE if scores.cells.full is not None else palette.TEMPERATURE
    units = scores.gappy.units
    extent = _compute_extent(scores, grid)
    truth_image = draw_map(axes[0], truth, scores.gappy.sea, colours, limits, extent=extent)
    axes[0].set_title("truth", fontsize=9)
    _draw_colorbar(axes[0], truth_image, "" if units == "1" else units)
    errors = [scores.make_map(run.values - scores.cells.truth, frame) for run in scores.finished_runs]
    largest = _choose_largest(errors)
    for ax, run, error in zip(axes[1:], scores.finished_runs, errors, strict=True):
        held_out = scores.held_out.number[frame] > 0
        image = draw_map(
            ax, error, scores.gappy.sea, DIFFERENCE_COLOURS, (-largest, largest), extent=extent,
            not_held_out=scores.gappy.sea & ~held_out,
        )  # fmt: skip
        errors_of_map = error[np.isfinite(error)]
        text = "fills nothing here"
        if errors_of_map.size:
            text = f"RMSE {_format_short(np.sqrt(np.mean(errors_of_map**2)))}"
        unfilled = held_out & ~np.isfinite(error)
        if unfilled.any() and errors_of_map.size:
            text += f", {100 * unfilled.sum() / held_out.sum():.1f} % unfilled"
        ax.set_title(f"{run.label}: {text}", fontsize=9)
    _draw_colorbar(axes[1:], image, f"error{format_units(units)}")


def draw_map(
    ax: Axes,
    values: np.ndarray,
    sea: np.ndarray,
    colours: Sequence[str],
    limits: tuple[float, float],
    *,
    extent: tuple[float, float, float, float] | None = None,
    not_held_out: np.ndarray | None = None,
) -> AxesImage:
    """Draw a map of values, with land, missing cells, and cells that were not held out.

    Parameters
    ----------
    ax : Axes
    values : ndarray of float, shape (y, x)
        NaN is missing and drawn in dark grey.
    sea : ndarray of bool, shape (y, x)
        True over sea.
    colours : sequence of str
        Colours from the lowest to the highest value.
    limits : (float, float)
        Values of the first and the last colour.
    extent : (west, east, south, north), optional
        Edges of the map, kilometres or degrees.
    not_held_out : ndarray of bool, shape (y, x), optional
        Cells that are drawn in light grey.
    """
    from matplotlib.colors import LinearSegmentedColormap, ListedColormap

    background = np.where(sea, 1, 0)
    if not_held_out is not None:
        background[not_held_out] = 2
    options: dict[str, Any] = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    greys = ListedColormap([palette.LAND, palette.NO_VALUE, _NOT_HELD_OUT])
    ax.imshow(background, cmap=greys, vmin=-0.5, vmax=2.5, **options)
    ramp = LinearSegmentedColormap.from_list("seaice_score", colours, N=255)
    image = ax.imshow(np.ma.masked_invalid(values), cmap=ramp, vmin=limits[0], vmax=limits[1], **options)
    ax.set_xticks([])
    ax.set_yticks([])
    if extent is not None and abs(extent[0]) <= 360:
        # Degrees: a degree of longitude is shorter than one of latitude.
        middle = np.radians((extent[2] + extent[3]) / 2)
        ax.set_aspect(1 / max(math.cos(middle), 0.1))
    ax.spines[:].set(linewidth=0.6, color=palette.TEXT_SOFT)
    return image


def draw_histograms(ax: Axes, scores: Scores, *, bins: int = 81) -> None:
    """Draw histograms of the errors of every method, in the same bins.

    The errors are those of the cells that every method fills. The legend names their mean and
    standard deviation. The outermost bins hold all larger errors.
    """
    common = find_common_cells(scores)
    truth = scores.cells.truth[common]
    errors = [run.values[common] - truth for run in scores.finished_runs]
    edges = np.linspace(-1, 1, bins + 1) * _choose_largest(errors, percentile=99.9)
    for number, (run, error) in enumerate(zip(scores.finished_runs, errors, strict=True)):
        counts, _ = np.histogram(np.clip(error, edges[0], edges[-1]), edges)
        label = run.label
        if error.size:
            label += f": bias {_format_short(error.mean())}, spread {_format_short(error.std())}"
        ax.stairs(counts, edges, label=label, baseline=None, **choose_line_style(number))
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=0)
    units = format_units(scores.gappy.units)
    ax.set_xlabel(f"error{units}; larger ones in the outermost bins", fontsize=8)
    ax.set_ylabel("cells", fontsize=8)
    ax.set_title(f"Errors on the {common.sum()} cells that all fill", fontsize=9)
    style_panel(ax)


def draw_spectra(ax: Axes, scores: Scores, grid: Grid | None) -> None:
    """Draw the power spectra of the truth and of the error of every method.

    The spectra are means over at most eight maps, those with the most held-out cells that every
    method fills. Each map is multiplied by a taper, which falls to 0 at the edges of these cells.

    Raises
    ------
    InputError
        If the field covers too much of the sphere, or no map has enough of these cells side by side.
    """
    dy, dx = measure_cell_size(scores, grid)
    labels = ["truth", *(run.label for run in scores.finished_runs)]
    truth = scores.cells.truth
    spectra_of_maps: list[list[Spectrum]] = []
    for frame, taper in _make_tapers(scores):
        fields = [truth, *(run.values - truth for run in scores.finished_runs)]
        maps = [scores.make_map(field, frame) for field in fields]
        spectra_of_maps.append([compute_radial_spectrum(values, taper, dy, dx) for values in maps])
    for number, label in enumerate(labels):
        spectra = [spectra_of_map[number] for spectra_of_map in spectra_of_maps]
        power = np.mean([spectrum.power for spectrum in spectra], axis=0)
        style = choose_line_style(number - 1) if number else {"color": palette.TEXT, "linewidth": 1.6}
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
    ax.set_ylabel(f"power{format_units(scores.gappy.units, squared=True, more='km²')}", fontsize=8)
    days = f"{len(spectra_of_maps)} days" if len(spectra_of_maps) > 1 else "1 day"
    ax.set_title(f"Power spectra, {days}, corrected for the share of the map", fontsize=9)
    style_panel(ax)


def is_globe(scores: Scores, grid: Grid | None) -> bool:
    """Whether the field covers too much of the sphere for a flat map."""
    latitude = scores.gappy.latitude
    if (grid is not None and not grid.is_geographic) or latitude is None:
        return False
    span = np.nanmax(latitude) - np.nanmin(latitude)
    return bool(scores.gappy.wraps or span > _LARGEST_FLAT_EXTENT)


def measure_cell_size(scores: Scores, grid: Grid | None) -> tuple[float, float]:
    """Return the height and the width of the cells, km.

    Raises
    ------
    InputError
        If the field has no coordinates or covers too much of the sphere for a flat map.
    """
    if grid is not None and not grid.is_geographic:
        return grid.kilometres, grid.kilometres
    latitude, longitude = scores.gappy.latitude, scores.gappy.longitude
    if latitude is None or longitude is None or min(latitude.shape) < 2:
        raise InputError("the field has no coordinates")
    if is_globe(scores, grid):
        raise InputError(
            f"{np.nanmax(latitude) - np.nanmin(latitude):.0f} degrees of latitude are no plane; "
            f"score at most {_LARGEST_FLAT_EXTENT:g}"
        )
    unit = compute_unit_vectors(latitude, longitude)
    # Positions of swaths may be missing at corners, and their rows follow no parallel.
    chords = (np.linalg.norm(np.diff(unit, axis=axis), axis=0) for axis in (1, 2))
    dy, dx = (float(np.nanmean(2 * np.arcsin(chord / 2))) * 6371.0 for chord in chords)
    return dy, dx


def _make_tapers(scores: Scores) -> list[tuple[int, np.ndarray]]:
    """Make the tapers of the maps with the most common cells: number of the map, weights (y, x)."""
    common = find_common_cells(scores)
    counts = np.bincount(scores.cells.day[common], minlength=len(scores.gappy.values))
    tapers = []
    for frame in np.argsort(-counts, kind="stable")[:_MOST_SPECTRUM_DAYS]:
        # Maps with few cells are left out, because each map has the same weight in the mean.
        if counts[frame] < max(1, counts.max() / 2):
            break
        taper = make_taper(np.isfinite(scores.make_map(np.where(common, 1.0, np.nan), int(frame))))
        if np.sum(taper > 0.5) >= 100:
            tapers.append((int(frame), taper))
    if not tapers:
        raise InputError(
            "no map has 100 cells within a gap, away from its edges, that every method fills"
        )
    return tapers


def _compute_extent(scores: Scores, grid: Grid | None) -> tuple[float, float, float, float] | None:
    if grid is not None and not grid.is_geographic:
        west, east, south, north = (edge / 1000 for edge in grid.extent)
        return west, east, south, north
    latitude, longitude = scores.gappy.latitude, scores.gappy.longitude
    if latitude is None or longitude is None:
        return None
    if not np.array_equal(latitude, latitude[:, :1] + 0 * longitude[:1]):
        return None  # a swath, drawn by its rows and columns
    # Row 0 is drawn at the bottom, whether latitudes ascend or descend.
    return (
        float(longitude[0, 0]), float(longitude[0, -1]), float(latitude[0, 0]), float(latitude[-1, 0]),
    )  # fmt: skip


def _choose_largest(errors: Sequence[np.ndarray], percentile: float = 99.0) -> float:
    """Choose the end of a symmetric scale that covers a percentile of the errors other than 0."""
    sizes = np.concatenate([np.abs(e[np.isfinite(e)]).ravel() for e in errors])
    sizes = sizes[sizes > 0]
    return round_range(0.0, float(np.percentile(sizes, percentile)))[1] if sizes.size else 1.0


def _draw_colorbar(axes: Any, image: AxesImage, label: str) -> None:
    """Draw a colour bar below one map, or below several with arrows for larger errors."""
    is_list = not hasattr(axes, "figure")
    figure = axes[0].figure if is_list else axes.figure
    bar = figure.colorbar(
        image, ax=axes, orientation="horizontal", aspect=40 if is_list and len(axes) > 1 else 20,
        shrink=0.8, pad=0.02, extend="both" if is_list else "neither",
    )  # fmt: skip
    bar.ax.tick_params(labelsize=7, colors=palette.TEXT)
    bar.set_label(label, size=8, color=palette.TEXT)


def _format_short(value: float) -> str:
    return f"{value:.3g}"
