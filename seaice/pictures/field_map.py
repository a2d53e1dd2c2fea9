"""A map of gridded statistics: cut to the data, single cells wide enough to be seen."""

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
    block_mean,
    draw_cells,
)
from seaice.drawing.decorations import (
    REFERENCE_HEIGHT,
    inches_of,
    text_scale,
    unit_of,
)
from seaice.drawing.palette import Swatch
from seaice.grids import Grid
from seaice.pictures.colour_scale import (
    Scale,
    scale_of,
)
from seaice.pictures.read_field import (
    Field,
    span_of,
)

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from matplotlib.figure import Figure

Extent = Literal["data", "grid"]
EXTENTS: tuple[Extent, ...] = ("data", "grid")

_MARGIN = 0.06  # of the longer side of the data
_SMALLEST = 20  # cells along the shorter side of a cut
_FLATTEST = 0.62  # shorter to longer side of a cut: room for title and legend
_SMALL_PART = 0.5  # of the grid: from here down a map is cut to its data
_SPARSE = 0.3  # share of cells with a value: from here down they are drawn wider
_VISIBLE = 0.016  # inches a lonely cell needs to be seen
_WIDEST = 4  # cells that one may grow to either side
_TITLE, _SUBTITLE = 0.094, 0.061  # inches a letter takes on a map of the usual size
_BACKGROUND, _FIELD = 0.1, 1.0  # as in maps


@dataclass(frozen=True)
class View:
    """The part of a field that is drawn.

    Attributes
    ----------
    field : Field
        Cut.
    whole : Grid
        Of the file.
    """

    field: Field
    whole: Grid

    @property
    def grid(self) -> Grid:
        """Of the part."""
        return self.field.grid

    @property
    def land(self) -> np.ndarray | None:
        """Land of the part, bool (rows, columns)."""
        return self.field.land

    @property
    def is_cut(self) -> bool:
        """Whether it is less than the whole grid."""
        return self.grid.shape != self.whole.shape


def view_of(field: Field, extent: Extent | None = None) -> View:
    """Cut a field to the surroundings of its data.

    Parameters
    ----------
    field : Field
    extent : {"data", "grid"}, optional
        By default ``data`` where that is at most half of the grid.

    Raises
    ------
    InputError
        If no cell has a value.
    """
    rows, columns = (np.flatnonzero(field.known.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        when = f" in {span_of(field.step)}" if field.step else ""
        raise InputError(f"nothing to draw: {field.source}: no cell of {field.name} has a value{when}")
    if extent == "grid":
        return View(field, field.grid)
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    longer = max(height, width)
    sides = [side + 2 * max(2, round(_MARGIN * longer)) for side in (height, width)]
    least = max(_SMALLEST, round(_FLATTEST * max(sides)))
    down, along = (
        _window(int(places[0]), int(places[-1]), max(side, least), cells)
        for places, side, cells in zip((rows, columns), sides, field.grid.shape, strict=True)
    )
    grid = field.grid.crop(down, along)
    small = grid.rows * grid.columns <= _SMALL_PART * field.grid.rows * field.grid.columns
    if extent is None and not small:
        return View(field, field.grid)
    land = None if field.land is None else field.land[down, along]
    return View(replace(field, values=field.values[down, along], grid=grid, land=land), field.grid)


def _window(first: int, last: int, length: int, cells: int) -> slice:
    """``length`` cells around a range, moved where they would leave the grid."""
    length = min(length, cells)
    start = min(max(0, (first + last + 1 - length) // 2), cells - length)
    return slice(start, start + length)


def field_figure(view: View) -> tuple[Figure, GeoAxes]:
    """Make a figure with a map of the part, room for its title, and the title on it."""
    west, east, south, north = view.grid.extent
    aspect = (east - west) / (north - south)
    height = min(REFERENCE_HEIGHT, 1.2 * REFERENCE_HEIGHT / aspect)
    # Letters scale with the map, so what fits depends on its shape alone.
    room = height * aspect / text_scale(max(height, height * aspect), 1)
    title, subtitle = _texts(view, room + 0.6)
    more = 0.21 * title.count("\n") + 0.14 * subtitle.count("\n")
    figure, (ax,) = draw.polar_panels(view.grid, 1, top=0.85 + more)
    draw.draw_title(ax, title, subtitle)
    return figure, ax


def _texts(view: View, room: float) -> tuple[str, str]:
    """Title with the time step, and subtitle with the details, in lines of ``room`` inches."""
    field = view.field
    head, _, details = field.long_name.partition(";")
    step = "" if field.step is None else f", {span_of(field.step)}"
    title = f"{head[:1].upper()}{head[1:]}{step}".replace(" GHz", "\u00a0GHz")
    source = " · ".join(part for part in (field.source, " ".join(details.split())) if part)
    return _wrapped(title, room / _TITLE), _wrapped(source, room / _SUBTITLE)


def _wrapped(text: str, letters: float) -> str:
    """Lines of about the same length, none longer than ``letters``."""
    count = -(-len(text) // max(20, int(letters)))
    lines = [text]
    for width in range(len(text) // count, max(20, int(letters)) + 1):
        lines = textwrap.wrap(text, width, break_on_hyphens=False)
        if len(lines) <= count:
            break
    return "\n".join(lines)


def draw_field_values(
    ax: GeoAxes, view: View, *, vmin: float | None = None, vmax: float | None = None
) -> tuple[list[Swatch], list[str]]:
    """Draw a field with its colour bar; cells without observation show a light grey.

    Where several cells fall on one dot it shows the mean of those with a value, never
    of those without. Cells too small to be seen, and few, are drawn wider, over cells
    without a value only.

    Returns
    -------
    swatches : list of Swatch
        For the legend.
    lines : list of str
        What is drawn, in words.
    """
    scale = scale_of(view.field, vmin=vmin, vmax=vmax)
    _draw_no_observation(ax, view.grid)
    if view.land is not None:
        draw.draw_land(ax, view.land, view.grid)
    reach = 0
    if view.field.known.mean() < _SPARSE:
        inches = inches_of(ax)[1] / view.grid.rows
        reach = int(np.clip(np.ceil((_VISIBLE * unit_of(ax) / inches - 1) / 2), 0, _WIDEST))
    values = widen(view.field.values, reach) * np.float32(scale.factor)
    image = draw_cells(
        ax, values, view.grid, block_mean, cmap=scale.colormap(), norm=scale.norm(), zorder=_FIELD
    )
    bar = draw.draw_colorbar(ax, image, label=scale.label)
    if scale.ticks is not None:
        bar.set_ticks(list(scale.ticks), labels=[f"{tick:,g}" for tick in scale.ticks])
        bar.minorticks_off()
    return [palette.NO_OBSERVATION_SWATCH], _findings(view, scale, 2 * reach + 1)


def _findings(view: View, scale: Scale, width: int) -> list[str]:
    field = view.field
    values = field.values[field.known] * scale.factor
    first, *_, last = scale.ticks if scale.ticks and len(scale.ticks) > 1 else scale.edges
    lines = [
        f"{field.name}: {values.size} cells with a value, {values.min():.4g} to {values.max():.4g}; "
        f"colours {first:g} to {last:g}"
    ]
    if view.is_cut:
        lines.append(
            f"drawn: {view.grid.rows} x {view.grid.columns} of {view.whole.rows} x "
            f"{view.whole.columns} cells; --extent grid draws all"
        )
    if width > 1:
        lines.append(f"single cells are drawn {width} cells wide, so that they can be seen")
    return lines


def draw_field_classes(ax: GeoAxes, view: View) -> tuple[list[Swatch], list[str]]:
    """Draw a flag variable in one plain colour for each class that occurs (see above)."""
    field, meanings = view.field, view.field.flags or {}
    present = {int(code) for code in np.unique(field.values[field.known])}
    spare = iter(palette.SPARE * 50)
    swatches = {}
    for code in sorted(present):
        name = meanings.get(code, f"code {code}")
        known = palette.SURFACE.get(name) or palette.FILL.get(name)
        swatches[code] = known or Swatch(name.replace("_", " "), next(spare))
    draw.draw_classes(ax, field.values.astype(np.uint8), view.grid, swatches)
    return list(swatches.values()), [f"{field.name}: {', '.join(s.label for s in swatches.values())}"]


def widen(values: np.ndarray, reach: int) -> np.ndarray:
    """Give cells without a value that of the nearest cell within ``reach`` cells.

    Parameters
    ----------
    values : ndarray of float, shape (rows, columns)
        NaN is no value. Cells with a value keep theirs.
    reach : int
        Along rows and columns.

    Examples
    --------
    >>> widen(np.array([[np.nan, np.nan, 5.0, 7.0]]), 1)
    array([[nan,  5.,  5.,  7.]])
    """
    if reach == 0:
        return values
    rows, columns = np.nonzero(~np.isnan(values))
    found = values[rows, columns]
    wide = values.copy()
    span = range(-reach, reach + 1)
    for down, along in sorted(((i, j) for i in span for j in span), key=lambda s: s[0] ** 2 + s[1] ** 2):
        to_row, to_column = rows + down, columns + along
        inside = (to_row >= 0) & (to_row < values.shape[0]) & (to_column >= 0)
        inside &= to_column < values.shape[1]
        place = to_row[inside], to_column[inside]
        empty = np.isnan(wide[place])
        wide[place[0][empty], place[1][empty]] = found[inside][empty]
    return wide


def _draw_no_observation(ax: GeoAxes, grid: Grid) -> None:
    from matplotlib.patches import Rectangle

    west, east, south, north = grid.extent
    ax.add_patch(
        Rectangle(
            (west, south), east - west, north - south, facecolor=palette.NO_OBSERVATION,
            edgecolor="none", linewidth=0, zorder=_BACKGROUND,
        )
    )  # fmt: skip
