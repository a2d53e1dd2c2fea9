"""Meridians and parallels on a map in a grid's projection, with labels that stay readable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from seaice.drawing import palette
from seaice.grids import Grid

if TYPE_CHECKING:
    from cartopy.mpl.geoaxes import GeoAxes
    from pyproj import Transformer

_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30)
Edge = Literal["left", "right", "bottom", "top"]


@dataclass(frozen=True)
class Line:
    """A meridian or parallel.

    Attributes
    ----------
    kind : {"meridian", "parallel"}
    value : float
        Degrees east (-180..180) or north.
    x, y : ndarray of float64
        Points on the plane, metres; NaN outside the grid.
    """

    kind: Literal["meridian", "parallel"]
    value: float
    x: np.ndarray
    y: np.ndarray

    @property
    def label(self) -> str:
        """The value with its hemisphere, such as ``30°W``."""
        return degrees(self.value, "E" if self.kind == "meridian" else "N")


def degrees(value: float, positive: Literal["E", "N"]) -> str:
    """A longitude or latitude for people.

    Examples
    --------
    >>> degrees(-45, "E"), degrees(0, "E"), degrees(180, "E"), degrees(62.5, "N")
    ('45°W', '0°', '180°', '62.5°N')
    """
    if value == 0 or abs(value) == 180:
        return f"{abs(value):g}°"
    letter = positive if value > 0 else {"E": "W", "N": "S"}[positive]
    return f"{abs(value):g}°{letter}"


def graticule(grid: Grid) -> list[Line]:
    """Meridians and parallels within a grid, at steps that give a handful of each."""
    longitude, latitude = _sample(grid)
    low, high = float(np.nanmin(latitude)), float(np.nanmax(latitude))
    polar = pole_inside(grid)
    if polar:
        # A whole-hemisphere grid has corners beyond the equator; parallels end there.
        low, high = (max(low, 0.0), 90.0) if grid.hemisphere == "north" else (-90.0, min(high, 0.0))
    parallel_step = _nice(high - low)
    west, span = (-180.0, 360.0) if polar else _longitude_span(longitude)
    meridian_step = 30.0 if polar else _nice(span)
    to_plane = _to_plane(grid)
    lines = []
    for value in _multiples(west, west + span, meridian_step):
        if polar and value <= -180:
            continue  # 180 is the same line
        # Only every third meridian goes on to the pole, where they would run together.
        end = 90.0 if not polar or value % 90 == 0 else 90.0 - parallel_step
        track = np.linspace(max(low, -end), min(high, end), 1000)
        lines.append(
            _line("meridian", _wrapped(value), np.full_like(track, value), track, grid, to_plane)
        )
    for value in _multiples(low, high, parallel_step):
        if abs(value) < 90:
            track = np.linspace(west, west + span, 1441)
            lines.append(_line("parallel", value, track, np.full_like(track, value), grid, to_plane))
    return [line for line in lines if np.isfinite(line.x).any()]


def pole_inside(grid: Grid) -> bool:
    """Whether the pole of the grid's hemisphere lies within its outer edges."""
    x, y = _to_plane(grid).transform(0.0, 90.0 if grid.hemisphere == "north" else -90.0)
    west, east, south, north = grid.extent
    return bool(west < x < east and south < y < north)


def _to_plane(grid: Grid) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)


def _sample(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 41), np.linspace(south, north, 41))
    to_degrees = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    longitude, latitude = to_degrees.transform(xs, ys)
    beyond = ~(np.isfinite(longitude) & np.isfinite(latitude))
    return np.where(beyond, np.nan, longitude), np.where(beyond, np.nan, latitude)


def _longitude_span(longitude: np.ndarray) -> tuple[float, float]:
    """First meridian and width of the shortest arc that holds all, whichever side of 180."""
    values = np.sort(longitude[np.isfinite(longitude)] % 360)
    gaps = np.diff(np.append(values, values[0] + 360))
    widest = int(np.argmax(gaps))
    first = float(values[(widest + 1) % values.size])
    return first, 360.0 - float(gaps[widest])


def _nice(span: float) -> float:
    return next((s for s in _STEPS if span / s <= 6), _STEPS[-1])


def _multiples(low: float, high: float, step: float) -> list[float]:
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(n) * step, 6) for n in np.arange(first, last + 1)]


def _wrapped(longitude: float) -> float:
    wrapped = (longitude + 180) % 360 - 180
    return 180.0 if wrapped == -180 else wrapped


def _line(
    kind: Literal["meridian", "parallel"],
    value: float,
    longitude: np.ndarray,
    latitude: np.ndarray,
    grid: Grid,
    to_plane: Transformer,
) -> Line:
    x, y = (np.array(v) for v in to_plane.transform(longitude, latitude))
    west, east, south, north = grid.extent
    outside = ~((x >= west) & (x <= east) & (y >= south) & (y <= north))
    x[outside] = y[outside] = np.nan
    return Line(kind, value, x, y)


def draw_graticule(ax: GeoAxes, grid: Grid, *, unit: float, zorder: float) -> None:
    """Draw the graticule of a grid.

    Meridians are labelled outside the frame where they leave it. Parallels are
    labelled on the longest meridian where the pole is on the map, else at the left edge.

    Parameters
    ----------
    ax : GeoAxes
        In the grid's projection.
    unit : float
        Factor for text and line sizes.
    """
    lines = graticule(grid)
    for line in lines:
        ax.plot(
            line.x, line.y, color=palette.GRATICULE, linewidth=0.45 * unit, alpha=0.75,
            transform=ax.transData, zorder=zorder, scalex=False, scaley=False,
        )  # fmt: skip
    polar = pole_inside(grid)
    taken: list[tuple[Edge, float]] = []
    for line in lines:
        if line.kind == "meridian":
            _label_at_frame(ax, line, grid, unit, taken, ("bottom", "top", "left", "right"), every=polar)
        elif not polar:
            _label_at_frame(ax, line, grid, unit, taken, ("left", "right"), every=False)
    if polar:
        _label_parallels(ax, lines, unit, zorder)


def _ends(line: Line) -> list[tuple[float, float]]:
    """First and last point of every piece of a line within the grid."""
    inside = np.isfinite(line.x)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(int)))
    return [(line.x[i], line.y[i]) for start, stop in edges.reshape(-1, 2) for i in (start, stop - 1)]


def _label_at_frame(
    ax: GeoAxes,
    line: Line,
    grid: Grid,
    unit: float,
    taken: list[tuple[Edge, float]],
    order: tuple[Edge, ...],
    *,
    every: bool,
) -> None:
    west, east, south, north = grid.extent
    candidates = []
    for x, y in _ends(line):
        away: dict[Edge, float] = {
            "left": (x - west) / (east - west),
            "right": (east - x) / (east - west),
            "bottom": (y - south) / (north - south),
            "top": (north - y) / (north - south),
        }
        edge = min(away, key=lambda e: away[e])
        if away[edge] < 0.01 and edge in order:
            candidates.append((edge, x, y))
    candidates.sort(key=lambda c: order.index(c[0]))
    for edge, x, y in candidates if every else candidates[:1]:
        along = (
            (x - west) / (east - west) if edge in ("bottom", "top") else (y - south) / (north - south)
        )
        if any(e == edge and abs(a - along) < 0.05 for e, a in taken):
            continue
        taken.append((edge, along))
        _annotate(ax, line.label, edge, x, y, unit)


def _annotate(ax: GeoAxes, text: str, edge: Edge, x: float, y: float, unit: float) -> None:
    shift = {"left": (-3, 0), "right": (3, 0), "bottom": (0, -3), "top": (0, 3)}[edge]
    placed: dict[str, Any] = {
        "left": {"ha": "right", "va": "center"},
        "right": {"ha": "left", "va": "center"},
        "bottom": {"ha": "center", "va": "top"},
        "top": {"ha": "center", "va": "bottom"},
    }[edge]
    ax.annotate(
        text, (x, y), xytext=(shift[0] * unit, shift[1] * unit), textcoords="offset points",
        fontsize=7 * unit, color=palette.TEXT_SOFT, annotation_clip=False, **placed,
    )  # fmt: skip


def _label_parallels(ax: GeoAxes, lines: list[Line], unit: float, zorder: float) -> None:
    from matplotlib.patheffects import withStroke

    meridians = [line for line in lines if line.kind == "meridian"]
    if not meridians:
        return
    longest = max(meridians, key=lambda line: np.isfinite(line.x).sum())
    for parallel in (line for line in lines if line.kind == "parallel"):
        # Where the parallel crosses that meridian: the pair of points nearest to each other.
        distance = np.hypot(
            parallel.x[:, np.newaxis] - longest.x[np.newaxis, :],
            parallel.y[:, np.newaxis] - longest.y[np.newaxis, :],
        )
        at = int(np.nanargmin(distance)) // longest.x.size
        if not _well_inside(ax, parallel.x[at], parallel.y[at]):
            continue
        ax.annotate(
            parallel.label, (parallel.x[at], parallel.y[at]), ha="center", va="center",
            fontsize=6.5 * unit, color=palette.TEXT, zorder=zorder + 1, annotation_clip=True,
            path_effects=[withStroke(linewidth=1.8 * unit, foreground="white", alpha=0.85)],
        )  # fmt: skip


def _well_inside(ax: GeoAxes, x: float, y: float) -> bool:
    """Whether a label centred there stays clear of the frame."""
    (west, east), (south, north) = ax.get_xlim(), ax.get_ylim()
    across, up = (x - west) / (east - west), (y - south) / (north - south)
    return bool(0.04 < across < 0.96 and 0.02 < up < 0.98)
