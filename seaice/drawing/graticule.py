"""Meridians and parallels on a map in the projection of a grid, with labels that do not overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice.drawing import palette
from seaice.drawing.decorations import make_text_outline
from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from pyproj import Transformer

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30)  # degrees between two lines
Edge = Literal["left", "right", "bottom", "top"]


@dataclass(frozen=True)
class GraticuleLine:
    """A meridian or parallel on the map of a grid.

    Attributes
    ----------
    kind : {"meridian", "parallel"}
    value : float
        Degrees east (-180..180) or degrees north.
    x, y : ndarray of float64, shape (points,)
        Points of the line in the map projection, metres; NaN outside the grid.
    """

    kind: Literal["meridian", "parallel"]
    value: float
    x: np.ndarray
    y: np.ndarray

    @property
    def label(self) -> str:
        """The value as text, such as ``30°W``."""
        return format_degrees(self.value, "E" if self.kind == "meridian" else "N")


def format_degrees(value: float, positive: Literal["E", "N"]) -> str:
    """Format a longitude or latitude, with the letter for positive values given.

    Examples
    --------
    >>> [format_degrees(value, "E") for value in (-45, 0, 180)] + [format_degrees(62.5, "N")]
    ['45°W', '0°', '180°', '62.5°N']
    """
    if value == 0 or abs(value) == 180:
        return f"{abs(value):g}°"
    letter = positive if value > 0 else {"E": "W", "N": "S"}[positive]
    return f"{abs(value):g}°{letter}"


def make_graticule(grid: Grid) -> list[GraticuleLine]:
    """Make the meridians and parallels within a grid, about six of each."""
    longitude, latitude = _sample_positions(grid)
    low, high = float(np.nanmin(latitude)), float(np.nanmax(latitude))
    if grid.is_geographic:
        low, high = max(low, -90.0), min(high, 90.0)
    has_pole = is_pole_inside(grid)
    if has_pole:
        # The corners of a grid of a whole hemisphere lie beyond the equator; parallels end there.
        low, high = (max(low, 0.0), 90.0) if grid.hemisphere == "north" else (-90.0, min(high, 0.0))
    parallel_step = _choose_step(high - low)
    if grid.is_geographic:
        west, span = grid.west, grid.columns * grid.step
    else:
        west, span = (-180.0, 360.0) if has_pole else _find_longitude_span(longitude)
    meridian_step = 30.0 if has_pole else _choose_step(span)
    project = _make_transformer(grid)
    lines = []
    for value in _list_multiples(west, west + span, meridian_step):
        if has_pole and value <= -180:
            continue  # 180 is the same line
        # Near the pole, where the meridians meet, only every third one is drawn.
        end = 90.0 if not has_pole or value % 90 == 0 else 90.0 - parallel_step
        latitudes = np.linspace(max(low, -end), min(high, end), 1000)
        longitudes = np.full_like(latitudes, value)
        lines.append(
            _make_line("meridian", _wrap_longitude(value), longitudes, latitudes, grid, project)
        )
    for value in _list_multiples(low, high, parallel_step):
        if abs(value) < 90:
            longitudes = np.linspace(west, west + span, 1441)
            latitudes = np.full_like(longitudes, value)
            lines.append(_make_line("parallel", value, longitudes, latitudes, grid, project))
    return [line for line in lines if np.isfinite(line.x).any()]


def is_pole_inside(grid: Grid) -> bool:
    """Whether the pole of the hemisphere of a grid lies as a point within its outer edges."""
    if grid.is_geographic:
        return False
    x, y = _make_transformer(grid).transform(0.0, 90.0 if grid.hemisphere == "north" else -90.0)
    west, east, south, north = grid.extent
    return bool(west < x < east and south < y < north)


def _make_transformer(grid: Grid) -> Transformer:
    """Make the transformer from longitude and latitude to x and y of a grid."""
    from pyproj import Transformer

    return Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)


def _sample_positions(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes and latitudes of 41 x 41 points; NaN where the projection has no inverse."""
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 41), np.linspace(south, north, 41))
    to_degrees = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    longitude, latitude = to_degrees.transform(xs, ys)
    off_earth = ~(np.isfinite(longitude) & np.isfinite(latitude))
    return np.where(off_earth, np.nan, longitude), np.where(off_earth, np.nan, latitude)


def _find_longitude_span(longitude: np.ndarray) -> tuple[float, float]:
    """Find the shortest arc that holds all longitudes: its western end and its width, degrees."""
    values = np.sort(longitude[np.isfinite(longitude)] % 360)
    gaps = np.diff(np.append(values, values[0] + 360))
    widest = int(np.argmax(gaps))  # the arc is all but the widest gap
    first = float(values[(widest + 1) % values.size])
    return first, 360.0 - float(gaps[widest])


def _choose_step(span: float) -> float:
    """Choose the smallest step that divides a span into at most six parts."""
    return next((step for step in _STEPS if span / step <= 6), _STEPS[-1])


def _list_multiples(low: float, high: float, step: float) -> list[float]:
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(n) * step, 6) for n in np.arange(first, last + 1)]


def _wrap_longitude(longitude: float) -> float:
    """Bring a longitude to the range above -180 and up to 180."""
    wrapped = (longitude + 180) % 360 - 180
    return 180.0 if wrapped == -180 else wrapped


def _make_line(
    kind: Literal["meridian", "parallel"],
    value: float,
    longitude: np.ndarray,
    latitude: np.ndarray,
    grid: Grid,
    project: Transformer,
) -> GraticuleLine:
    x, y = (np.array(v) for v in project.transform(longitude, latitude))
    west, east, south, north = grid.extent
    outside = ~((x >= west) & (x <= east) & (y >= south) & (y <= north))
    x[outside] = y[outside] = np.nan
    return GraticuleLine(kind, value, x, y)


def draw_graticule(ax: GeoAxes, grid: Grid, *, unit: float, zorder: float) -> None:
    """Draw the meridians and parallels of a grid with their labels.

    The label of a meridian stands outside the frame, where the line ends. Parallels are labelled on
    the longest meridian if the pole lies on the map, else at the left edge.

    Parameters
    ----------
    ax : GeoAxes
        Axes in the projection of the grid.
    grid : Grid
    unit : float
        Text scale, see :func:`seaice.drawing.decorations.compute_text_scale`.
    zorder : float
        Order of drawing of the lines; labels on the map lie one above.
    """
    lines = make_graticule(grid)
    for line in lines:
        ax.plot(
            line.x, line.y, color=palette.GRATICULE, linewidth=0.45 * unit, alpha=0.75,
            transform=ax.transData, zorder=zorder, scalex=False, scaley=False,
        )  # fmt: skip
    has_pole = is_pole_inside(grid)
    labels: list[tuple[Edge, float]] = []
    for line in lines:
        if line.kind == "meridian":
            order: tuple[Edge, ...] = ("bottom", "top", "left", "right")
            _label_at_frame(ax, line, grid, unit, labels, order, label_all_ends=has_pole)
        elif not has_pole:
            _label_at_frame(ax, line, grid, unit, labels, ("left", "right"), label_all_ends=False)
    if has_pole:
        _label_parallels(ax, lines, unit, zorder)


def _list_ends(line: GraticuleLine) -> list[tuple[float, float]]:
    """List the first and the last point of every piece of a line within the grid."""
    inside = np.isfinite(line.x)
    # Alternately the index of the first point of a piece and of the first one after it.
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return [(line.x[i], line.y[i]) for start, stop in edges.reshape(-1, 2) for i in (start, stop - 1)]


def _label_at_frame(
    ax: GeoAxes,
    line: GraticuleLine,
    grid: Grid,
    unit: float,
    labels: list[tuple[Edge, float]],
    order: tuple[Edge, ...],
    *,
    label_all_ends: bool,
) -> None:
    """Label a line where it ends at the frame.

    ``labels`` holds edge and relative position of the labels drawn so far; a label that would overlap
    one of them is left out. Without ``label_all_ends`` only the end at the first edge of ``order`` is
    labelled.
    """
    west, east, south, north = grid.extent
    ends = []
    for x, y in _list_ends(line):
        # Distance to every edge as a share of the size of the map.
        distance: dict[Edge, float] = {
            "left": (x - west) / (east - west),
            "right": (east - x) / (east - west),
            "bottom": (y - south) / (north - south),
            "top": (north - y) / (north - south),
        }
        edge = min(distance, key=lambda e: distance[e])
        if distance[edge] < 0.01 and edge in order:
            position = distance["left"] if edge in ("bottom", "top") else distance["bottom"]
            ends.append((edge, position, x, y))
    ends.sort(key=lambda end: order.index(end[0]))
    for edge, position, x, y in ends if label_all_ends else ends[:1]:
        if any(e == edge and abs(p - position) < 0.05 for e, p in labels):
            continue
        labels.append((edge, position))
        _annotate(ax, line.label, edge, x, y, unit)


def _annotate(ax: GeoAxes, text: str, edge: Edge, x: float, y: float, unit: float) -> None:
    shift = {"left": (-3, 0), "right": (3, 0), "bottom": (0, -3), "top": (0, 3)}[edge]
    alignment: dict[str, Any] = {
        "left": {"ha": "right", "va": "center"},
        "right": {"ha": "left", "va": "center"},
        "bottom": {"ha": "center", "va": "top"},
        "top": {"ha": "center", "va": "bottom"},
    }[edge]
    ax.annotate(
        text, (x, y), xytext=(shift[0] * unit, shift[1] * unit), textcoords="offset points",
        fontsize=7 * unit, color=palette.TEXT_SOFT, annotation_clip=False, **alignment,
    )  # fmt: skip


def _label_parallels(ax: GeoAxes, lines: list[GraticuleLine], unit: float, zorder: float) -> None:
    """Label all parallels where they cross the longest meridian."""
    meridians = [line for line in lines if line.kind == "meridian"]
    if not meridians:
        return
    longest = max(meridians, key=lambda line: np.isfinite(line.x).sum())
    for parallel in (line for line in lines if line.kind == "parallel"):
        # The crossing is the pair of points, one of each line, that are nearest to each other.
        distance = np.hypot(
            parallel.x[:, np.newaxis] - longest.x[np.newaxis, :],
            parallel.y[:, np.newaxis] - longest.y[np.newaxis, :],
        )
        crossing = int(np.nanargmin(distance)) // longest.x.size
        x, y = parallel.x[crossing], parallel.y[crossing]
        if not _is_clear_of_frame(ax, x, y):
            continue
        ax.annotate(
            parallel.label, (x, y), ha="center", va="center",
            fontsize=6.5 * unit, color=palette.TEXT, zorder=zorder + 1, annotation_clip=True,
            path_effects=make_text_outline(unit),
        )  # fmt: skip


def _is_clear_of_frame(ax: GeoAxes, x: float, y: float) -> bool:
    """Whether a label centred at a point does not touch the frame."""
    (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
    x_share, y_share = (x - west) / (east - west), (y - south) / (north - south)
    return bool(0.04 < x_share < 0.96 and 0.02 < y_share < 0.98)
