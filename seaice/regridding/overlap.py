"""True areas in which the cells of two grids overlap.

The lines of one grid (the plane) cut the cells of the other one (the polygons). The plane is that of a
polar projection where there is one, else latitude and longitude, with the sine of the authalic latitude
as y, so that equal areas are equal in the plane too. Edges of polygons are curves there and followed
by as many corners as it takes. Polygons share their corners, so they divide the plane without gaps: the
pieces of a cell of the plane add up to its true area.

A cell costs a time in proportion to its corners and its pieces; all cells, to their number. Candidates
come from the coordinates themselves, without a search.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.gridding.projection import find_polar_projection, project
from seaice.grids import Grid
from seaice.runtime.threads import for_each

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_POLYGONS_AT_A_TIME = 1 << 14
# The largest distance of an edge from its chord, in cells of the plane, and the most chords of an edge.
_LARGEST_DEVIATION = 2e-5
_MOST_CHORDS = 32
# No projection in use magnifies areas so much where it is used.
_LARGEST_MAGNIFICATION = 64.0


def compute_overlaps(source: Grid, target: Grid) -> csr_array:
    """Compute the true areas in which the cells of two grids overlap.

    Parameters
    ----------
    source, target : Grid
        Any two projections; each has the latitudes of its own ellipsoid.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (target cells, source cells)
        Square kilometres; indices of a row ascend. Cells are numbered row by row.

    Raises
    ------
    InputError
        If the grids do not meet.

    Examples
    --------
    >>> fine = Grid("fine", 4, 4, 0.5, 0.0, 60.0, "EPSG:4326")
    >>> coarse = Grid("coarse", 1, 1, 2.0, 0.0, 60.0, "EPSG:4326")
    >>> areas = compute_overlaps(fine, coarse)
    >>> areas.shape, bool(np.isclose(areas.sum(), coarse.cell_area().sum()))
    ((1, 16), True)
    """
    from scipy.sparse import coo_array

    plane_is_target = _rank_plane(target) < _rank_plane(source)
    plane, polygons = (target, source) if plane_is_target else (source, target)
    cutting = _Plane.of(plane)
    chords = _count_chords(cutting, polygons)
    area = polygons.cell_area()
    band = max(1, _POLYGONS_AT_A_TIME // polygons.columns)
    bands = [range(first, min(first + band, polygons.rows)) for first in range(0, polygons.rows, band)]
    pieces = for_each(lambda rows: _cut_band(cutting, polygons, area, rows, chords), bands)
    numbers, cells, areas = (np.concatenate(part) for part in zip(*pieces, strict=True))
    if not areas.size:
        raise explain_apart(source, target)
    rows, columns = (cells, numbers) if plane_is_target else (numbers, cells)
    shape = (target.rows * target.columns, source.rows * source.columns)
    overlaps = coo_array((areas, (rows, columns)), shape=shape).tocsr()
    overlaps.sum_duplicates()
    return overlaps


def explain_apart(source: Grid, target: Grid) -> InputError:
    """Return the error of two grids without a common part."""
    return InputError(
        f"the grids do not meet: {source.describe_place()}, and {target.describe_place()}; choose a "
        "grid that covers a part of the input"
    )


def _rank_plane(grid: Grid) -> tuple[int, float, int]:
    """Rank of a grid as the plane: polar before geographic, fine before coarse, then equal areas."""
    polar = find_polar_projection(grid.projection)
    if polar is not None:
        return 0, grid.kilometres, polar.kind
    return (1 if grid.is_geographic else 2), grid.kilometres, 0


@dataclass(frozen=True)
class _Plane:
    """A grid whose lines cut polygons; see :func:`seaice.regridding._overlap_kernels.cut_polygons`.

    ``unit`` is the true area of a unit of the plane, square kilometres, about.
    """

    grid: Grid
    edges: np.ndarray
    unit: float
    wraps: bool
    cell_area: np.ndarray
    slope_x: np.ndarray
    slope_y: np.ndarray

    @classmethod
    def of(cls, grid: Grid) -> _Plane:
        """Make the plane of a grid."""
        cell_area = grid.cell_area()
        none = np.zeros((0, 0), np.float32)
        if grid.is_geographic:
            edges = _compute_authalic_sine(grid, grid.south + np.arange(grid.rows + 1) * grid.step)
            wraps = abs(grid.columns * grid.step - 360) < 0.01 * grid.step
            unit = cell_area.sum() / grid.columns / (edges[-1] - edges[0])
            return cls(grid, edges, unit, wraps, cell_area, none, none)
        edges, unit = np.arange(grid.rows + 1, dtype=np.float64), grid.kilometres**2
        if min(grid.shape) < 2 or np.ptp(cell_area) <= 1e-12 * cell_area.max():
            return cls(grid, edges, unit, False, cell_area, none, none)
        slopes = (np.gradient(cell_area, axis=axis) / cell_area for axis in (1, 0))
        slope_x, slope_y = (slope.astype(np.float32) for slope in slopes)
        return cls(grid, edges, unit, False, cell_area, slope_x, slope_y)

    def locate(self, x: np.ndarray, y: np.ndarray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Locate points of another grid in the plane, float64: columns, and the unit of the edges."""
        own = self.grid
        if grid.projection != own.projection:
            longitude, latitude = grid.transform_to_degrees(x.ravel(), y.ravel())
            x, y = (part.reshape(x.shape) for part in project(latitude, longitude, own))
        if own.is_geographic:
            return (x - own.west) / own.step, _compute_authalic_sine(own, y)
        return (x - own.west) / own.step, (y - own.south) / own.step


def _compute_authalic_sine(grid: Grid, latitude: np.ndarray) -> np.ndarray:
    """Compute the area from the equator to a latitude, in a unit of the ellipsoid (Snyder 3-12)."""
    _, e = grid._ellipsoid
    sine = np.sin(np.radians(np.clip(latitude, -90, 90)))
    return sine / (1 - (e * sine) ** 2) + (np.arctanh(e * sine) / e if e else sine)


def _count_chords(plane: _Plane, polygons: Grid) -> int:
    """Count the chords that follow an edge of the polygons closely enough, from a sample of edges."""
    if polygons.projection == plane.grid.projection:
        return 1
    half = 0.5 * polygons.step
    x = _sample(polygons.west, polygons.step, polygons.columns)
    y = _sample(polygons.south, polygons.step, polygons.rows)
    x, y = (part.ravel() for part in np.meshgrid(x, y))
    worst = 0.0
    for dx, dy in ((half, 0.0), (0.0, half)):
        ends = [plane.locate(x + k * dx, _clip(y + k * dy, polygons), polygons) for k in range(3)]
        (ax, ay), (bx, by), (cx, cy) = ends
        if plane.grid.is_geographic:
            bx, cx = (_unwrap(part, ax, plane.grid) for part in (bx, cx))
        height = np.diff(plane.edges).min()
        with np.errstate(invalid="ignore"):
            length = np.hypot(cx - ax, (cy - ay) / height)
            deviation = np.hypot(bx - 0.5 * (ax + cx), (by - 0.5 * (ay + cy)) / height)
        is_near = (bx > -1) & (bx < plane.grid.columns + 1)
        is_near &= (by > plane.edges[0]) & (by < plane.edges[-1]) & np.isfinite(length)
        worst = max(worst, float(deviation[is_near & (deviation < length)].max(initial=0)))
    # The distance of an arc from its chord falls with the square of their number.
    return int(np.clip(np.ceil(np.sqrt(worst / _LARGEST_DEVIATION)), 1, _MOST_CHORDS))


def _sample(first: float, step: float, count: int) -> np.ndarray:
    return first + step * np.unique(np.linspace(0, count - 1, min(count, 96)).round())


def _clip(y: np.ndarray, grid: Grid) -> np.ndarray:
    return np.clip(y, -90, 90) if grid.is_geographic else y


def _unwrap(x: np.ndarray, near: np.ndarray | float, plane: Grid) -> np.ndarray:
    """Turn columns of a geographic plane by whole circles to the nearest to others."""
    circle = 360 / plane.step
    return near + (x - near + circle / 2) % circle - circle / 2


def _cut_band(
    plane: _Plane, polygons: Grid, area: np.ndarray, rows: range, chords: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cut the cells of some rows of the polygons' grid; their numbers, those of the plane, and areas."""
    from seaice.regridding import _overlap_kernels

    columns = _find_columns(plane, polygons, rows)
    xs, ys = _list_corners(plane, polygons, rows, columns, chords)
    area = area[rows[0] : rows[-1] + 1, columns.start : columns.stop].ravel()
    torn = np.abs(_measure_polygons(xs, ys)) > _LARGEST_MAGNIFICATION * area / plane.unit
    xs[torn] = np.nan
    room = _count_pieces(plane, xs, ys)
    numbers, cells, areas = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room)
    size = _overlap_kernels.cut_polygons(
        xs, ys, plane.edges, plane.grid.columns, plane.wraps, plane.cell_area,
        plane.slope_x, plane.slope_y, numbers, cells, areas,
    )  # fmt: skip
    assert size >= 0, "more pieces than cells in the bounds of the polygons"
    height, width = np.divmod(numbers[:size], max(len(columns), 1))
    numbers = (height + rows[0]) * polygons.columns + width + columns.start
    return numbers, cells[:size], areas[:size]


def _find_columns(plane: _Plane, polygons: Grid, rows: range) -> range:
    """Find the columns whose cells in some rows may meet the plane: most grids meet in a part."""
    xs, ys = _list_corners(plane, polygons, rows, range(polygons.columns), 1)
    edges, last = plane.edges, plane.grid.columns
    # The arc of an edge leaves its chord by less than its length.
    margin_x, margin_y = np.ptp(xs, axis=1), np.ptp(ys, axis=1)
    with np.errstate(invalid="ignore"):
        meets = (ys.max(axis=1) + margin_y > edges[0]) & (ys.min(axis=1) - margin_y < edges[-1])
        if not plane.wraps:
            meets &= (xs.max(axis=1) + margin_x > 0) & (xs.min(axis=1) - margin_x < last)
    columns = np.flatnonzero(meets.reshape(len(rows), -1).any(axis=0))
    return range(columns[0], columns[-1] + 1) if columns.size else range(0)


def _list_corners(
    plane: _Plane, polygons: Grid, rows: range, cells: range, chords: int
) -> tuple[np.ndarray, np.ndarray]:
    """List the corners of cells in the plane, anticlockwise, float64 (cells, 4 chords)."""
    columns, height = len(cells), len(rows)
    share = np.arange(1, chords) / chords
    # Whole columns and parts apart, so that the same corner is the same number everywhere.
    whole, part = np.divmod(np.arange(columns * chords + 1), chords)
    across = polygons.west + (cells.start + whole + part / chords) * polygons.step
    lines = polygons.south + np.arange(rows[0], rows[-1] + 2) * polygons.step
    between = polygons.south + (np.array(rows)[:, np.newaxis] + share) * polygons.step
    uprights = polygons.west + (cells.start + np.arange(columns + 1)) * polygons.step
    corners = []
    level = _broadcast(across, _clip(lines, polygons)[:, np.newaxis])
    steep = _broadcast(uprights, _clip(between, polygons)[..., np.newaxis])
    for flat, upright in zip(
        plane.locate(*level, polygons), plane.locate(*steep, polygons), strict=True
    ):
        sides = np.empty((height, columns, 4, chords))
        along = flat[:, :-1].reshape(height + 1, columns, chords)
        back = flat[:, :0:-1].reshape(height + 1, columns, chords)[:, ::-1]
        sides[:, :, 0], sides[:, :, 2] = along[:-1], back[1:]
        sides[:, :, 1, 0], sides[:, :, 3, 0] = flat[:-1, chords::chords], along[1:, :, 0]
        sides[:, :, 1, 1:] = upright[:, :, 1:].transpose(0, 2, 1)
        sides[:, :, 3, 1:] = upright[:, ::-1, :-1].transpose(0, 2, 1)
        corners.append(sides.reshape(height * columns, 4 * chords))
    xs, ys = corners
    if plane.grid.is_geographic:
        xs = _unwrap(xs, xs[:, :1], plane.grid)
        middle = 0.5 * (xs.min(axis=1) + xs.max(axis=1))
        xs += (_unwrap(middle, plane.grid.columns / 2, plane.grid) - middle)[:, np.newaxis]
    return xs, ys


def _broadcast(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.broadcast_arrays(x, y)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def _measure_polygons(xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Measure the areas of polygons in the plane."""
    with np.errstate(invalid="ignore", over="ignore"):
        x, y = xs - xs[:, :1], ys - ys[:, :1]
        cross = x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]
        return 0.5 * cross.sum(axis=1)


def _count_pieces(plane: _Plane, xs: np.ndarray, ys: np.ndarray) -> int:
    """Count the cells of the plane in the bounds of polygons: at least as many as pieces."""
    finite = np.isfinite(xs).all(axis=1) & np.isfinite(ys).all(axis=1)
    xs, ys = xs[finite], ys[finite]
    if not xs.size:
        return 0
    first = np.searchsorted(plane.edges, ys.min(axis=1), side="right") - 1
    last = np.searchsorted(plane.edges, ys.max(axis=1), side="left")
    rows = np.minimum(last, plane.grid.rows) - np.maximum(first, 0)
    low, high = np.floor(xs.min(axis=1)), np.ceil(xs.max(axis=1))
    if not plane.wraps:
        low, high = np.maximum(low, 0), np.minimum(high, plane.grid.columns)
    columns = np.maximum(high - low, 0)
    return int((np.maximum(rows, 0) * columns).sum())
