"""Drawing fields on a map in the grid's own projection.

Nothing here knows a file or opens a window: every function draws on axes it is
given. The axes are cartopy's, in the very projection of the grid, so that a cell is
a rectangle, an image needs no resampling to another projection, and projected
coordinates of the axes are those of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.drawing import palette
from seaice.drawing.cell_image import (
    block_class,
    block_mean,
    draw_cells,
)
from seaice.drawing.coastlines import Coastlines
from seaice.drawing.decorations import (
    REFERENCE_HEIGHT,
    draw_colorbar,
    draw_heading,
    draw_legend,
    draw_scale_bar,
    draw_title,
    text_scale,
    unit_of,
)
from seaice.drawing.graticule import draw_graticule
from seaice.drawing.palette import Swatch
from seaice.drawing.projection import projection
from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

__all__ = [
    "draw_classes",
    "draw_coastlines",
    "draw_colorbar",
    "draw_concentration",
    "draw_frame",
    "draw_heading",
    "draw_ice_edge",
    "draw_land",
    "draw_legend",
    "draw_no_value",
    "draw_outline",
    "draw_pole_hole",
    "draw_ratio",
    "draw_scale_bar",
    "draw_title",
    "polar_figure",
    "polar_panels",
    "projection",
]

# Order of drawing, lowest first.
_BACKGROUND, _LAND, _FIELD, _LINES = 0.1, 0.5, 1, 3


def polar_figure(
    grid: Grid, *, height: float = REFERENCE_HEIGHT, graticule: bool = True
) -> tuple[Figure, GeoAxes]:
    """Make a figure with one map that shows the whole grid.

    Parameters
    ----------
    grid : Grid
    height : float
        Largest height of the map in inches; text and lines scale with it.
    graticule : bool
        Draw and label meridians and parallels.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not known to pyplot: no window can appear. Save it with ``figure.savefig``.
    ax : cartopy.mpl.geoaxes.GeoAxes
        In the grid's projection, limits at the outer edges of the grid. Room is left
        for a title above, a colour bar on the right and a legend below.
    """
    figure, axes = polar_panels(grid, 1, height=height, graticule=graticule)
    return figure, axes[0]


def polar_panels(
    grid: Grid,
    count: int,
    *,
    height: float = REFERENCE_HEIGHT,
    graticule: bool = True,
    right: float = 1.3,
    bottom: float = 0.85,
    top: float = 0.85,
) -> tuple[Figure, list[GeoAxes]]:
    """Make a figure with ``count`` maps of the grid side by side (see :func:`polar_figure`).

    Parameters
    ----------
    right, bottom, top : float
        Room beside, below and above the maps, inches on a map of the usual height.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    west, east, south, north = grid.extent
    aspect = (east - west) / (north - south)
    height = min(height, 1.2 * height / aspect)  # a long flat grid becomes no banner
    width = height * aspect
    unit = text_scale(max(width, height), count)
    left, right, top, bottom, gap = (unit * inches for inches in (0.6, right, top, bottom, 0.95))
    figure_width = left + count * width + (count - 1) * gap + right
    figure_height = top + height + bottom
    figure = Figure(figsize=(figure_width, figure_height), facecolor="white")
    FigureCanvasAgg(figure)
    plane = projection(grid)
    axes = []
    for number in range(count):
        box = (
            (left + number * (width + gap)) / figure_width,
            bottom / figure_height,
            width / figure_width,
            height / figure_height,
        )
        ax = figure.add_axes(box, projection=plane)
        ax.set_xlim(west, east)
        ax.set_ylim(south, north)
        ax.spines["geo"].set(linewidth=0.8 * unit, edgecolor=palette.TEXT)
        if graticule:
            draw_graticule(ax, grid, unit=unit, zorder=_LINES)
        axes.append(ax)
    return figure, axes


def draw_concentration(
    ax: GeoAxes, concentration: np.ndarray, grid: Grid, land: np.ndarray | None = None
) -> AxesImage:
    """Draw a sea ice concentration.

    Parameters
    ----------
    ax : GeoAxes
        From :func:`polar_figure`.
    concentration : ndarray of float, shape (rows, columns)
        Percent, 0..100. NaN, no value, shows a hatched grey.
    grid : Grid
        Row 0 is its smallest y.
    land : ndarray of bool, shape (rows, columns), optional
        True on land, where no value of the field shows. Where cells are smaller than dots
        a dot shows land only if no other cell in it has a value.

    Returns
    -------
    AxesImage
        For :func:`draw_colorbar`, and for :func:`draw_frame` to show another day.
    """
    _check_shape(concentration, grid)
    draw_no_value(ax, grid)
    if land is not None:
        draw_land(ax, land, grid)
    return _values(ax, concentration, grid, palette.ice_colormap(), 100, land=land)


def draw_frame(image: AxesImage, concentration: np.ndarray, *, title: str | None = None) -> list[Any]:
    """Show another field in an image of :func:`draw_concentration`; for animations.

    Returns
    -------
    list of matplotlib artists
        What changed.
    """
    first = np.shape(np.asarray(image.get_array()))
    if concentration.shape != first:
        raise InputError(
            f"expected a field of {first} cells like the first, found {concentration.shape}"
        )
    image.set_data(concentration)
    changed: list[Any] = [image]
    if title is not None:
        changed.append(draw_title(image.axes, title))
    return changed


def draw_no_value(ax: GeoAxes, grid: Grid) -> None:
    """Cover the map with the hatched grey that shows wherever a field has no value."""
    from matplotlib.patches import Rectangle

    west, east, south, north = grid.extent
    patch = Rectangle(
        (west, south),
        east - west,
        north - south,
        facecolor=palette.NO_VALUE,
        edgecolor=palette.NO_VALUE_HATCH,
        hatch=palette.HATCH,
        linewidth=0,
        zorder=_BACKGROUND,
    )
    patch.set_hatch_linewidth(0.4 * unit_of(ax))
    ax.add_patch(patch)


def draw_land(ax: GeoAxes, land: np.ndarray, grid: Grid) -> AxesImage:
    """Paint the land of a mask, below the field: that shows wherever it has a value."""
    _check_shape(land, grid)
    return _classes(ax, np.where(land, 0, -1), grid, [palette.LAND], zorder=_LAND)


def draw_classes(ax: GeoAxes, codes: np.ndarray, grid: Grid, classes: Mapping[int, Swatch]) -> AxesImage:
    """Draw a field of class codes, one plain colour for each.

    Parameters
    ----------
    codes : ndarray of int, shape (rows, columns)
    classes : mapping of int to Swatch
        Codes and their colours. A hatched class and a code that is not there show
        the hatched grey of a cell without a value.
    """
    _check_shape(codes, grid)
    draw_no_value(ax, grid)
    plain = [(code, swatch) for code, swatch in classes.items() if not swatch.hatched]
    table = np.full(256, -1, dtype=np.int16)
    for number, (code, _) in enumerate(plain):
        table[code] = number
    return _classes(ax, table[codes], grid, [swatch.colour for _, swatch in plain], zorder=_FIELD)


def draw_ratio(ax: GeoAxes, ratio: np.ndarray, grid: Grid) -> AxesImage:
    """Draw the share of days on which a cell is missing, 0..1."""
    _check_shape(ratio, grid)
    draw_no_value(ax, grid)
    return _values(ax, ratio, grid, palette.ratio_colormap(), 1)


def _classes(
    ax: GeoAxes, numbers: np.ndarray, grid: Grid, colours: Sequence[str], *, zorder: float
) -> AxesImage:
    """Cells in ``colours[number]``; -1 is transparent."""
    from matplotlib.colors import ListedColormap, Normalize

    land = colours.index(palette.LAND) if palette.LAND in colours else None
    return draw_cells(
        ax,
        numbers.astype(np.float32),
        grid,
        partial(block_class, land=land),
        cmap=ListedColormap(list(colours)).with_extremes(under=(0, 0, 0, 0)),
        norm=Normalize(-0.5, len(colours) - 0.5),
        zorder=zorder,
    )


def _values(
    ax: GeoAxes,
    field: np.ndarray,
    grid: Grid,
    colormap: Colormap,
    largest: float,
    land: np.ndarray | None = None,
) -> AxesImage:
    from matplotlib.colors import Normalize

    return draw_cells(
        ax, field, grid, block_mean, land=land, cmap=colormap, norm=Normalize(0, largest), zorder=_FIELD
    )


def _check_shape(field: np.ndarray, grid: Grid) -> None:
    if field.shape != grid.shape:
        raise InputError(f"expected a field on the grid {grid}, found an array of shape {field.shape}")


def draw_ice_edge(ax: GeoAxes, concentration: np.ndarray, grid: Grid, *, level: float = 15.0) -> Swatch:
    """Draw the line at which the concentration passes ``level`` percent.

    The field is first averaged to at most about 900 rows, so that the line shows the
    ice edge and not every lead. A field that never passes the level gets no line, and
    the entry for the legend says so.
    """
    field, xs, ys = _coarse(concentration, grid, rows=900)
    if not (np.fmin.reduce(field, axis=None) < level < np.fmax.reduce(field, axis=None)):
        return palette.line(f"no ice edge ({level:g} %)", palette.ICE_EDGE)
    ax.contour(
        xs, ys, np.ma.masked_invalid(field), levels=[level], colors=[palette.ICE_EDGE],
        linewidths=0.8 * unit_of(ax), transform=ax.transData, zorder=_LINES,
    )  # fmt: skip
    return palette.line(f"ice edge ({level:g} %)", palette.ICE_EDGE)


def draw_outline(
    ax: GeoAxes, inside: np.ndarray, grid: Grid, *, colour: str = palette.COASTLINE, width: float = 0.5
) -> None:
    """Draw the outline of the cells that are True, such as the coast of a land mask."""
    _check_shape(inside, grid)
    if not inside.any() or inside.all():
        return
    field, xs, ys = _coarse(inside.astype(np.float32), grid, rows=1800)
    ax.contour(
        xs, ys, field, levels=[0.5], colors=[colour], linewidths=width * unit_of(ax),
        transform=ax.transData, zorder=_LINES,
    )  # fmt: skip


def _coarse(field: np.ndarray, grid: Grid, *, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of square blocks of cells (NaN where half of a block is missing), and their centres."""
    factor = -(-grid.rows // rows)
    if factor == 1:
        return field, grid.x, grid.y
    height, width = grid.rows // factor, grid.columns // factor
    blocks = field[: height * factor, : width * factor].reshape(height, factor, width, factor)
    known = np.isfinite(blocks)
    count = known.sum(axis=(1, 3), dtype=np.float32)
    total = np.where(known, blocks, 0).sum(axis=(1, 3), dtype=np.float32)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count * 2 > factor**2)
    xs = grid.x[: width * factor].reshape(width, factor).mean(axis=1)
    ys = grid.y[: height * factor].reshape(height, factor).mean(axis=1)
    return mean, xs, ys


def draw_coastlines(
    ax: GeoAxes, coastlines: Coastlines, *, paint: bool = True, width: float = 0.5
) -> None:
    """Draw coast outlines.

    Parameters
    ----------
    paint : bool
        Paint land as well, below the field: where that has a value it shows.
    width : float
        Of the lines, points on a map of the usual height.
    """
    import cartopy.crs as ccrs
    from matplotlib.collections import LineCollection

    if paint and coastlines.polygons:
        ax.add_geometries(
            coastlines.polygons,
            ccrs.PlateCarree(),
            facecolor=palette.LAND,
            edgecolor="none",
            zorder=_LAND,
        )
    ax.add_collection(
        LineCollection(
            _on_plane(ax, coastlines.lines),
            colors=palette.COASTLINE,
            linewidths=width * unit_of(ax),
            zorder=_LINES,
        ),
        autolim=False,
    )


def _on_plane(ax: GeoAxes, lines: Sequence[Any]) -> list[np.ndarray]:
    """Lines in degrees as runs of points on the plane of the axes, all projected at once."""
    from shapely import get_coordinates, get_parts

    runs = [get_coordinates(line) for line in get_parts(get_parts(lines))]
    if not runs:
        return []
    degrees = np.concatenate(runs)
    plane = ax.projection.transform_points(ax.projection.as_geodetic(), degrees[:, 0], degrees[:, 1])[
        :, :2
    ]
    plane[~np.isfinite(plane).all(axis=1)] = np.nan
    # Where a projection is cut, two neighbours lie far apart: no line may join them.
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    far = np.hypot(*np.diff(plane, axis=0).T) > max(1e6, (x1 - x0) / 2, (y1 - y0) / 2)
    ends = np.cumsum([len(run) for run in runs])[:-1]
    cuts = np.union1d(ends, np.flatnonzero(far) + 1)
    return [run for run in np.split(plane, cuts) if len(run) > 1]


def draw_pole_hole(ax: GeoAxes, hole: np.ndarray, grid: Grid) -> Swatch | None:
    """Draw the outline of the pole hole; None where there is no such cell."""
    if not hole.any():
        return None
    draw_outline(ax, hole, grid, colour=palette.POLE, width=0.9)
    return palette.line("pole hole", palette.POLE)
