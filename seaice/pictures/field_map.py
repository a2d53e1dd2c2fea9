"""Map of a gridded field: cropped to its data, with single cells wide enough to be seen."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from seaice import InputError
from seaice.drawing import (
    draw,
    palette,
)
from seaice.drawing.cell_image import (
    average_blocks,
    draw_cells,
)
from seaice.drawing.decorations import (
    REFERENCE_HEIGHT,
    compute_text_scale,
    get_text_scale,
    measure_inches,
)
from seaice.drawing.palette import Swatch
from seaice.grids import Grid
from seaice.pictures.colour_scale import ColourScale, choose_scale
from seaice.pictures.read_field import MapField, describe_step

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.figure import Figure

Extent = Literal["data", "grid"]
EXTENTS: tuple[Extent, ...] = ("data", "grid")

_MARGIN = 0.06  # margin around the data, share of their longer side
_FEWEST_CELLS = 20  # cells along the shorter side of a cropped map
_SMALLEST_ASPECT = 0.62  # shorter to longer side of a cropped map, so that title and legend fit
_LARGEST_CROP = 0.5  # largest share of the grid to which a map is cropped by default
_SPARSE_SHARE = 0.3  # if fewer cells have a value, they are drawn wider
_VISIBLE_INCHES = 0.016  # size at which a single cell can be seen
_LARGEST_WIDENING = 4  # cells to either side
_TITLE_LETTER, _SUBTITLE_LETTER = 0.094, 0.061  # width of a letter, inches at a text scale of 1
_BACKGROUND_ORDER, _FIELD_ORDER = 0.1, 1.0  # order of drawing, as in seaice.drawing.draw


@dataclass(frozen=True)
class MapView:
    """Part of a field that a map shows.

    Attributes
    ----------
    field : MapField
        The field, cropped to the part.
    file_grid : Grid
        Grid of the whole field.
    """

    field: MapField
    file_grid: Grid

    @property
    def grid(self) -> Grid:
        """Grid of the part."""
        return self.field.grid

    @property
    def land(self) -> np.ndarray | None:
        """Land of the part, bool (rows, columns)."""
        return self.field.land

    @property
    def is_cropped(self) -> bool:
        """Whether the part is smaller than the whole grid."""
        return self.grid.shape != self.file_grid.shape


def crop_to_data(field: MapField, extent: Extent | None = None) -> MapView:
    """Crop a field to the surroundings of its values.

    Parameters
    ----------
    field : MapField
    extent : {"data", "grid"}, optional
        Whether to show the surroundings of the values or the whole grid; by default the former if
        they cover at most half of the grid.

    Raises
    ------
    InputError
        If no cell has a value.
    """
    rows, columns = (np.flatnonzero(field.has_value.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        time = f" in {describe_step(field.step)}" if field.step else ""
        raise InputError(f"nothing to draw: {field.source}: no cell of {field.name} has a value{time}")
    if extent == "grid":
        return MapView(field, field.grid)
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    longer = max(height, width)
    sides = [side + 2 * max(2, round(_MARGIN * longer)) for side in (height, width)]
    shortest = max(_FEWEST_CELLS, round(_SMALLEST_ASPECT * max(sides)))
    part_rows, part_columns = (
        _place_window(int(indices[0]), int(indices[-1]), max(side, shortest), cells)
        for indices, side, cells in zip((rows, columns), sides, field.grid.shape, strict=True)
    )
    part = part_rows, part_columns
    grid = field.grid.crop(*part)
    is_small = grid.rows * grid.columns <= _LARGEST_CROP * field.grid.rows * field.grid.columns
    if extent is None and not is_small:
        return MapView(field, field.grid)
    return MapView(cut_field(field, *part), field.grid)


def cut_field(field: MapField, rows: slice, columns: slice) -> MapField:
    """Cut the part of a field in a range of rows and of columns."""
    land, observed = (
        None if cells is None else cells[rows, columns] for cells in (field.land, field.observed)
    )
    values = field.values[rows, columns]
    grid = field.grid.crop(rows, columns)
    return replace(field, values=values, grid=grid, land=land, observed=observed)


def _place_window(first: int, last: int, length: int, cells: int) -> slice:
    """Place ``length`` cells around the range from first to last, but within 0 to ``cells``."""
    length = min(length, cells)
    start = min(max(0, (first + last + 1 - length) // 2), cells - length)
    return slice(start, start + length)


def make_field_figure(view: MapView, *, title: str | None = None) -> tuple[Figure, GeoAxes]:
    """Make a figure with an empty map of the part and its title, by default that of the field."""
    west, east, south, north = view.grid.extent
    aspect = (east - west) / (north - south)
    height = min(REFERENCE_HEIGHT, 1.2 * REFERENCE_HEIGHT / aspect)
    # Width of the map at a text scale of 1: letters grow with the map.
    width = height * aspect / compute_text_scale(max(height, height * aspect), 1)
    own_title, subtitle = _make_titles(view, width + 0.6)
    if title is None:
        title = own_title
    else:
        title = _wrap_text(title, (width + 0.6) / _TITLE_LETTER)
        subtitle = f"{own_title}\n{subtitle}"
    extra = 0.21 * title.count("\n") + 0.14 * subtitle.count("\n")
    figure, (ax,) = draw.make_map_panels(view.grid, 1, top=0.85 + extra)
    draw.draw_title(ax, title, subtitle)
    return figure, ax


def _make_titles(view: MapView, width: float) -> tuple[str, str]:
    """Make a title with the time step and a subtitle with the details, in lines of ``width`` inches."""
    field = view.field
    name, _, details = field.long_name.partition(";")
    step = "" if field.step is None else f", {describe_step(field.step)}"
    title = f"{name[:1].upper()}{name[1:]}{step}".replace(" GHz", "\u00a0GHz")
    source = " · ".join(part for part in (field.source, " ".join(details.split())) if part)
    return _wrap_text(title, width / _TITLE_LETTER), _wrap_text(source, width / _SUBTITLE_LETTER)


def _wrap_text(text: str, letters: float) -> str:
    """Divide a text into lines of about the same length, none longer than ``letters``."""
    count = -(-len(text) // max(20, int(letters)))
    lines = [text]
    for width in range(len(text) // count, max(20, int(letters)) + 1):
        lines = textwrap.wrap(text, width, break_on_hyphens=False)
        if len(lines) <= count:
            break
    return "\n".join(lines)


def draw_field_values(
    ax: GeoAxes, view: MapView, *, vmin: float | None = None, vmax: float | None = None
) -> tuple[list[Swatch], list[str]]:
    """Draw the values of a field with a colour bar; cells without a value are light grey.

    Of a cube, the light grey cells are those that were observed: only filled values have an expected
    error or days to an observation. Other cells without a value are hatched.

    If several cells lie in one dot of the picture, the dot shows the mean of those with a value. If
    few cells have a value and they are too small to be seen, they are drawn wider, but never over
    another cell with a value.

    Returns
    -------
    swatches : list of Swatch
        Entries for the legend.
    lines : list of str
        Description of the map, for the report.
    """
    scale = choose_scale(view.field, vmin=vmin, vmax=vmax)
    swatches = _draw_empty_cells(ax, view.field)
    if view.land is not None:
        draw.draw_land(ax, view.land, view.grid)
    widening = 0
    if view.field.has_value.mean() < _SPARSE_SHARE:
        inches = measure_inches(ax)[1] / view.grid.rows
        cells = _VISIBLE_INCHES * get_text_scale(ax) / inches
        widening = int(np.clip(np.ceil((cells - 1) / 2), 0, _LARGEST_WIDENING))
    values = widen(view.field.values, widening) * np.float32(scale.factor)
    image = draw_cells(
        ax,
        values,
        view.grid,
        average_blocks,
        cmap=scale.make_colormap(),
        norm=scale.make_norm(),
        zorder=_FIELD_ORDER,
    )
    bar = draw.draw_colorbar(ax, image, label=scale.label)
    if scale.ticks is not None:
        bar.set_ticks(list(scale.ticks), labels=[f"{tick:,g}" for tick in scale.ticks])
        bar.minorticks_off()
    return swatches, _describe_map(view, scale, 2 * widening + 1)


def _describe_map(view: MapView, scale: ColourScale, width: int) -> list[str]:
    """Describe a map in lines for the report: values, colours, part of the grid, widening."""
    field = view.field
    values = field.values[field.has_value] * scale.factor
    first, *_, last = scale.ticks if scale.ticks and len(scale.ticks) > 1 else scale.edges
    lines = [
        f"{field.name}: {values.size} cells with a value, {values.min():.4g} to {values.max():.4g}; "
        f"colours {first:g} to {last:g}"
    ]
    if view.is_cropped:
        lines.append(
            f"drawn: {view.grid.rows} x {view.grid.columns} of {view.file_grid.rows} x "
            f"{view.file_grid.columns} cells; --extent grid draws all"
        )
    if width > 1:
        lines.append(f"single cells are drawn {width} cells wide, so that they can be seen")
    return lines


def draw_field_classes(ax: GeoAxes, view: MapView) -> tuple[list[Swatch], list[str]]:
    """Draw a flag variable in one colour for every code that occurs.

    Returns
    -------
    swatches : list of Swatch
        Entries for the legend.
    lines : list of str
        Description of the map, for the report.
    """
    field, meanings = view.field, view.field.flags or {}
    codes = {int(code) for code in np.unique(field.values[field.has_value])}
    spare_colours = iter(palette.SPARE * 50)
    swatches = {}
    for code in sorted(codes):
        name = meanings.get(code, f"code {code}")
        swatch = palette.SURFACE.get(name) or palette.FILL.get(name)
        swatches[code] = swatch or Swatch(name.replace("_", " "), next(spare_colours))
    unused = next(code for code in range(255, -2, -1) if code not in codes)
    drawn = np.where(field.has_value, field.values, unused).astype(np.uint8)
    draw.draw_classes(ax, drawn, view.grid, swatches)
    labels = ", ".join(swatch.label for swatch in swatches.values())
    empty = [] if field.has_value.all() else [palette.make_no_value_swatch(field.missing)]
    return [*swatches.values(), *empty], [f"{field.name}: {labels}"]


def widen(values: np.ndarray, distance: int) -> np.ndarray:
    """Give cells without a value that of the nearest cell within some cells.

    Parameters
    ----------
    values : ndarray of float, shape (rows, columns)
        NaN is missing. Cells with a value keep it.
    distance : int
        Largest distance along rows and along columns, cells.

    Returns
    -------
    ndarray of float, shape (rows, columns)

    Examples
    --------
    >>> widen(np.array([[np.nan, np.nan, 5.0, 7.0]]), 1)
    array([[nan,  5.,  5.,  7.]])
    """
    if distance == 0:
        return values
    rows, columns = np.nonzero(~np.isnan(values))
    cell_values = values[rows, columns]
    wide = values.copy()
    steps = range(-distance, distance + 1)
    # The nearest neighbours first: a cell that got a value keeps it.
    shifts = sorted(((i, j) for i in steps for j in steps), key=lambda s: s[0] ** 2 + s[1] ** 2)
    for row_shift, column_shift in shifts:
        to_row, to_column = rows + row_shift, columns + column_shift
        inside = (to_row >= 0) & (to_row < values.shape[0]) & (to_column >= 0)
        inside &= to_column < values.shape[1]
        targets = to_row[inside], to_column[inside]
        empty = np.isnan(wide[targets])
        wide[targets[0][empty], targets[1][empty]] = cell_values[inside][empty]
    return wide


def _draw_empty_cells(ax: GeoAxes, field: MapField) -> list[Swatch]:
    """Draw what lies below the values, and return the legend entries of cells without one."""
    from matplotlib.patches import Rectangle

    empty = ~field.has_value if field.land is None else ~field.has_value & ~field.land
    if field.observed is not None:
        draw.draw_no_value(ax, field.grid)
        draw.draw_land(ax, field.observed, field.grid, colour=palette.NO_OBSERVATION)
        entries = [
            (empty & field.observed, Swatch("observed", palette.NO_OBSERVATION)),
            (empty & ~field.observed, palette.make_no_value_swatch(field.missing)),
        ]
        return [swatch for cells, swatch in entries if cells.any()]
    west, east, south, north = field.grid.extent
    ax.add_patch(
        Rectangle(
            (west, south), east - west, north - south, facecolor=palette.NO_OBSERVATION,
            edgecolor="none", linewidth=0, zorder=_BACKGROUND_ORDER,
        )
    )  # fmt: skip
    return [Swatch(field.missing, palette.NO_OBSERVATION)] if empty.any() else []
