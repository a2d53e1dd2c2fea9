"""Drawing fields on maps in the projection of their grid.

The functions draw on axes of cartopy; they read no file and open no window. The axes have the
projection of the grid: a cell is a rectangle, an image is not resampled to another projection, and
the coordinates of the axes are x and y of the grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.cf import ICE_EDGE
from seaice.drawing import palette
from seaice.drawing.cell_image import (
    average_blocks,
    classify_blocks,
    draw_cells,
)
from seaice.drawing.coastlines import Coastlines
from seaice.drawing.decorations import (
    REFERENCE_HEIGHT,
    compute_text_scale,
    draw_colorbar,
    draw_heading,
    draw_legend,
    draw_scale_bar,
    draw_title,
    get_text_scale,
)
from seaice.drawing.graticule import draw_graticule
from seaice.drawing.palette import Swatch
from seaice.drawing.projection import make_projection
from seaice.flags import Surface
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
    "make_map_figure",
    "make_map_panels",
    "make_projection",
]

# Order of drawing, lowest first.
_BACKGROUND_ORDER, _LAND_ORDER, _FIELD_ORDER, _WATER_ORDER, _LINE_ORDER = 0.1, 0.5, 1, 1.5, 3


def make_map_figure(
    grid: Grid, *, height: float = REFERENCE_HEIGHT, graticule: bool = True
) -> tuple[Figure, GeoAxes]:
    """Make a figure with one map that shows the whole grid.

    Parameters
    ----------
    grid : Grid
    height : float
        Largest height of the map in inches; texts and lines are scaled with it.
    graticule : bool
        Whether to draw and label meridians and parallels.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Made without pyplot, so that no window can appear. Save it with ``figure.savefig``.
    ax : cartopy.mpl.geoaxes.GeoAxes
        Axes in the projection of the grid, with limits at its outer edges. There is space for a
        title above, a colour bar to the right and a legend below.
    """
    figure, axes = make_map_panels(grid, 1, height=height, graticule=graticule)
    return figure, axes[0]


def make_map_panels(
    grid: Grid,
    count: int,
    *,
    height: float = REFERENCE_HEIGHT,
    graticule: bool = True,
    right: float = 1.3,
    bottom: float = 0.85,
    top: float = 0.85,
) -> tuple[Figure, list[GeoAxes]]:
    """Make a figure with ``count`` maps of the grid side by side (see :func:`make_map_figure`).

    Parameters
    ----------
    grid : Grid
    count : int
        Number of maps.
    height, graticule
        See :func:`make_map_figure`.
    right, bottom, top : float
        Space beside, below and above the maps, inches at a text scale of 1.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    west, east, south, north = grid.extent
    aspect = (east - west) / (north - south)
    height = min(height, 1.2 * height / aspect)  # limits the width of the map of a wide grid
    width = height * aspect
    unit = compute_text_scale(max(width, height), count)
    left, right, top, bottom, gap = (unit * inches for inches in (0.6, right, top, bottom, 0.95))
    figure_width = left + count * width + (count - 1) * gap + right
    figure_height = top + height + bottom
    figure = Figure(figsize=(figure_width, figure_height), facecolor="white")
    FigureCanvasAgg(figure)
    projection = make_projection(grid)
    axes = []
    for number in range(count):
        box = (
            (left + number * (width + gap)) / figure_width,
            bottom / figure_height,
            width / figure_width,
            height / figure_height,
        )
        ax = figure.add_axes(box, projection=projection)
        ax.set_xlim(west, east)
        ax.set_ylim(south, north)
        ax.spines["geo"].set(linewidth=0.8 * unit, edgecolor=palette.TEXT)
        if graticule:
            draw_graticule(ax, grid, unit=unit, zorder=_LINE_ORDER)
        axes.append(ax)
    return figure, axes


def draw_concentration(
    ax: GeoAxes,
    concentration: np.ndarray,
    grid: Grid,
    land: np.ndarray | None = None,
    *,
    limits: tuple[float, float] = (0.0, 100.0),
) -> AxesImage:
    """Draw sea ice concentration on a map.

    Parameters
    ----------
    ax : GeoAxes
        Axes of :func:`make_map_figure`.
    concentration : ndarray of float, shape (rows, columns)
        Percent, 0..100. A cell with NaN is shown in hatched grey.
    grid : Grid
    land : ndarray of bool, shape (rows, columns), optional
        True over land, where no value is shown. If cells are smaller than dots, a dot shows land
        only if none of its cells has a value.
    limits : (float, float)
        Percent of the first and of the last colour.

    Returns
    -------
    AxesImage
        Image for :func:`draw_colorbar`, and for :func:`draw_frame`, which shows another day in it.
    """
    _check_shape(concentration, grid)
    draw_no_value(ax, grid)
    if land is not None:
        draw_land(ax, land, grid)
    colormap: Any = palette.make_ice_colormap()
    arrows = {
        (False, False): "neither",
        (True, False): "min",
        (False, True): "max",
        (True, True): "both",
    }
    colormap.colorbar_extend = arrows[limits[0] > 0, limits[1] < 100]
    return _draw_values(ax, concentration, grid, colormap, limits, land=land)


def draw_frame(image: AxesImage, concentration: np.ndarray, *, title: str | None = None) -> list[Any]:
    """Show another field in an image of :func:`draw_concentration`, for animations.

    Returns
    -------
    list of matplotlib artists
        The artists that changed.

    Raises
    ------
    InputError
        If the field has another shape.
    """
    shape = np.shape(np.asarray(image.get_array()))
    if concentration.shape != shape:
        raise InputError(
            f"expected a field of {shape} cells like the first, found {concentration.shape}"
        )
    image.set_data(concentration)
    changed: list[Any] = [image]
    if title is not None:
        changed.append(draw_title(image.axes, title))
    return changed


def draw_no_value(ax: GeoAxes, grid: Grid) -> None:
    """Fill the map with hatched grey, which stays visible wherever a field has no value."""
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
        zorder=_BACKGROUND_ORDER,
    )
    patch.set_hatch_linewidth(0.4 * get_text_scale(ax))
    ax.add_patch(patch)


def draw_land(ax: GeoAxes, land: np.ndarray, grid: Grid, *, colour: str = palette.LAND) -> AxesImage:
    """Draw the land of a mask below the field, which covers it wherever it has a value."""
    _check_shape(land, grid)
    return _draw_class_numbers(ax, np.where(land, 0, -1), grid, [colour], zorder=_LAND_ORDER)


def draw_water(ax: GeoAxes, surface: np.ndarray | None, grid: Grid) -> list[Swatch]:
    """Draw water that is no ocean of the map: lakes, and ocean without ice in any month.

    Parameters
    ----------
    ax : GeoAxes
    surface : ndarray of uint8, shape (rows, columns), or None
        Codes of :class:`seaice.flags.Surface`.
    grid : Grid

    Returns
    -------
    list of Swatch
        Legend entries of the classes that occur.
    """
    if surface is None:
        return []
    _check_shape(surface, grid)
    present = [code for code in (Surface.LAKE, Surface.NEVER_ICE) if (surface == code).any()]
    if not present:
        return []
    swatches = [palette.SURFACE[code.name.lower()] for code in present]
    table = np.full(256, -1, np.int16)
    table[present] = range(len(present))
    colours = [swatch.colour for swatch in swatches]
    _draw_class_numbers(ax, table[surface], grid, colours, zorder=_WATER_ORDER)
    return swatches


def draw_classes(ax: GeoAxes, codes: np.ndarray, grid: Grid, classes: Mapping[int, Swatch]) -> AxesImage:
    """Draw a field of codes, such as flags or surface classes, in one colour for each code.

    Parameters
    ----------
    ax : GeoAxes
    codes : ndarray of int, shape (rows, columns)
        Codes 0..255.
    grid : Grid
    classes : mapping of int to Swatch
        Colour of every code. Codes of hatched classes and codes that are not listed are shown in
        hatched grey.
    """
    _check_shape(codes, grid)
    draw_no_value(ax, grid)
    plain = [(code, swatch) for code, swatch in classes.items() if not swatch.hatched]
    table = np.full(256, -1, dtype=np.int16)
    for number, (code, _) in enumerate(plain):
        table[code] = number
    return _draw_class_numbers(
        ax, table[codes], grid, [swatch.colour for _, swatch in plain], zorder=_FIELD_ORDER
    )


def draw_ratio(ax: GeoAxes, ratio: np.ndarray, grid: Grid) -> AxesImage:
    """Draw the share of days on which every cell is missing, 0..1."""
    _check_shape(ratio, grid)
    draw_no_value(ax, grid)
    return _draw_values(ax, ratio, grid, palette.make_ratio_colormap(), (0, 1))


def _draw_class_numbers(
    ax: GeoAxes, numbers: np.ndarray, grid: Grid, colours: Sequence[str], *, zorder: float
) -> AxesImage:
    """Draw every cell in ``colours[number]``; -1 is transparent."""
    from matplotlib.colors import ListedColormap, Normalize

    land = colours.index(palette.LAND) if palette.LAND in colours else None
    return draw_cells(
        ax,
        numbers.astype(np.float32),
        grid,
        partial(classify_blocks, land=land),
        cmap=ListedColormap(list(colours)).with_extremes(under=(0, 0, 0, 0)),
        norm=Normalize(-0.5, len(colours) - 0.5),
        zorder=zorder,
    )


def _draw_values(
    ax: GeoAxes,
    field: np.ndarray,
    grid: Grid,
    colormap: Colormap,
    limits: tuple[float, float],
    land: np.ndarray | None = None,
) -> AxesImage:
    from matplotlib.colors import Normalize

    return draw_cells(
        ax,
        field,
        grid,
        average_blocks,
        land=land,
        cmap=colormap,
        norm=Normalize(*limits),
        zorder=_FIELD_ORDER,
    )


def _check_shape(field: np.ndarray, grid: Grid) -> None:
    if field.shape != grid.shape:
        raise InputError(f"expected a field on the grid {grid}, found an array of shape {field.shape}")


def draw_ice_edge(
    ax: GeoAxes, concentration: np.ndarray, grid: Grid, *, level: float = 100 * ICE_EDGE
) -> Swatch:
    """Draw the line along which the concentration is ``level`` percent.

    The field is first averaged to at most about 900 rows, so that the line shows the ice edge and
    not every lead.

    Returns
    -------
    Swatch
        Entry for the legend. If the field does not reach the level, there is no line, and the entry
        says so.
    """
    field, xs, ys = _average_to_rows(concentration, grid, rows=900)
    if not (np.fmin.reduce(field, axis=None) < level < np.fmax.reduce(field, axis=None)):
        return palette.make_line_swatch(f"no ice edge ({level:g} %)", palette.ICE_EDGE)
    ax.contour(
        xs, ys, np.ma.masked_invalid(field), levels=[level], colors=[palette.ICE_EDGE],
        linewidths=0.8 * get_text_scale(ax), transform=ax.transData, zorder=_LINE_ORDER,
    )  # fmt: skip
    return palette.make_line_swatch(f"ice edge ({level:g} %)", palette.ICE_EDGE)


def draw_outline(
    ax: GeoAxes, inside: np.ndarray, grid: Grid, *, colour: str = palette.COASTLINE, width: float = 0.5
) -> None:
    """Draw the outline of the cells that are True, such as the coast of a land mask."""
    _check_shape(inside, grid)
    if not inside.any() or inside.all():
        return
    field, xs, ys = _average_to_rows(inside.astype(np.float32), grid, rows=1800)
    ax.contour(
        xs, ys, field, levels=[0.5], colors=[colour], linewidths=width * get_text_scale(ax),
        transform=ax.transData, zorder=_LINE_ORDER,
    )  # fmt: skip


def _average_to_rows(
    field: np.ndarray, grid: Grid, *, rows: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Average square blocks of cells so that at most about ``rows`` rows are left.

    Returns
    -------
    mean : ndarray of float, shape (blocks in y, blocks in x)
        NaN where half of a block or more is missing.
    x, y : ndarray of float64
        Centres of the blocks, metres.
    """
    factor = -(-grid.rows // rows)
    if factor == 1:
        return field, grid.x, grid.y
    height, width = grid.rows // factor, grid.columns // factor
    blocks = field[: height * factor, : width * factor].reshape(height, factor, width, factor)
    has_value = np.isfinite(blocks)
    count = has_value.sum(axis=(1, 3), dtype=np.float32)
    total = np.where(has_value, blocks, 0).sum(axis=(1, 3), dtype=np.float32)
    mean = np.divide(total, count, out=np.full_like(total, np.nan), where=count * 2 > factor**2)
    xs = grid.x[: width * factor].reshape(width, factor).mean(axis=1)
    ys = grid.y[: height * factor].reshape(height, factor).mean(axis=1)
    return mean, xs, ys


def draw_coastlines(
    ax: GeoAxes, coastlines: Coastlines, *, paint: bool = True, width: float = 0.5
) -> None:
    """Draw coastlines on a map.

    Parameters
    ----------
    ax : GeoAxes
    coastlines : Coastlines
    paint : bool
        Whether to fill the land areas too, below the field.
    width : float
        Width of the lines, points at a text scale of 1.
    """
    import cartopy.crs as ccrs
    from matplotlib.collections import LineCollection

    if paint and coastlines.polygons:
        ax.add_geometries(
            coastlines.polygons,
            ccrs.PlateCarree(),
            facecolor=palette.LAND,
            edgecolor="none",
            zorder=_LAND_ORDER,
        )
    ax.add_collection(
        LineCollection(
            _project_lines(ax, coastlines.lines),
            colors=palette.COASTLINE,
            linewidths=width * get_text_scale(ax),
            zorder=_LINE_ORDER,
        ),
        autolim=False,
    )


def _project_lines(ax: GeoAxes, lines: Sequence[Any]) -> list[np.ndarray]:
    """Project lines in degrees to the coordinates of the axes, all at once; arrays (points, 2)."""
    from shapely import get_coordinates, get_parts

    runs = [get_coordinates(line) for line in get_parts(get_parts(lines))]
    if not runs:
        return []
    degrees = np.concatenate(runs)
    geodetic = ax.projection.as_geodetic()
    points = ax.projection.transform_points(geodetic, degrees[:, 0], degrees[:, 1])[:, :2]
    points[~np.isfinite(points).all(axis=1)] = np.nan
    # At the edge of a projection two neighbours may lie far apart: no line must join them.
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    # No map in metres is as small as the globe in degrees.
    least = 1e6 if x1 - x0 > 360 else 0.0
    far = np.hypot(*np.diff(points, axis=0).T) > max(least, (x1 - x0) / 2, (y1 - y0) / 2)
    ends = np.cumsum([len(run) for run in runs])[:-1]
    cuts = np.union1d(ends, np.flatnonzero(far) + 1)
    return [run for run in np.split(points, cuts) if len(run) > 1]


def draw_pole_hole(ax: GeoAxes, hole: np.ndarray, grid: Grid) -> Swatch | None:
    """Draw the outline of the pole hole, and return its legend entry; None if no cell is in it."""
    if not hole.any():
        return None
    draw_outline(ax, hole, grid, colour=palette.POLE, width=0.9)
    return palette.make_line_swatch("pole hole", palette.POLE)
