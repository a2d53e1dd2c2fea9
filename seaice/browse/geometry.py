"""Where the cells of a map lie: positions, coasts, meridians and parallels, all in cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from seaice.browse.map_file import MapFile
from seaice.drawing.coastlines import Coastlines, find_coastlines
from seaice.drawing.graticule import make_graticule
from seaice.grids import Grid
from seaice.grids.sphere import compute_unit_vectors

# Cells between two nodes, at least; and nodes along a side, at most.
_LEAST_STEP, _MOST_NODES = 8, 100
# A point of a coast is left out if it lies so near to the one before, cells.
_NEAR = 0.4


@dataclass(frozen=True)
class PositionNodes:
    """Positions of every n-th cell, between which the page interpolates.

    Attributes
    ----------
    rows, columns : ndarray of int
        Numbers of the cells.
    vectors : ndarray of float32, shape (rows, columns, 3)
        Unit vectors, which are continuous at the date line and the poles.
    """

    rows: np.ndarray
    columns: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, maps: MapFile) -> PositionNodes:
        """Nodes of a file."""
        rows, columns = (_choose_nodes(count) for count in maps.shape)
        latitude, longitude = maps.locate(rows, columns)
        return cls(rows, columns, compute_unit_vectors(latitude, longitude, axis=2).astype(np.float32))


def _choose_nodes(count: int) -> np.ndarray:
    step = max(_LEAST_STEP, -(-count // _MOST_NODES))
    return np.unique(np.append(np.arange(0, count, step), count - 1))


def project_coast(grid: Grid | None) -> np.ndarray:
    """Coastlines in columns and rows from the outer corner of the grid on.

    Parameters
    ----------
    grid : Grid or None
        None has no coast.

    Returns
    -------
    ndarray of float32, shape (points, 2)
        Lines one after another, with NaN between them; empty without coastlines on this machine.
    """
    coast = None if grid is None else find_coastlines("auto", grid)[0]
    if grid is None or coast is None:
        return np.empty((0, 2), np.float32)
    lines = [_thin_out(line) for line in _project_lines(coast, grid)]
    between = np.full((1, 2), np.nan)
    parts = [part for line in lines if len(line) > 1 for part in (line, between)]
    return np.concatenate(parts or [np.empty((0, 2))]).astype(np.float32)


def _project_lines(coast: Coastlines, grid: Grid) -> list[np.ndarray]:
    """Lines in cells; cut where they leave the grid."""
    from pyproj import Transformer
    from shapely import get_coordinates, get_parts

    runs = [get_coordinates(line) for line in get_parts(get_parts(coast.lines))]
    if not runs:
        return []
    degrees = np.concatenate(runs)
    project = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    x, y = project.transform(degrees[:, 0], degrees[:, 1])
    cells = np.stack([(x - grid.west) / grid.step, (y - grid.south) / grid.step], axis=1)
    limits = np.array([grid.columns, grid.rows], float)
    is_inside = np.isfinite(cells).all(axis=1) & ((cells > -20) & (cells < limits + 20)).all(axis=1)
    with np.errstate(invalid="ignore"):
        is_far = (np.abs(np.diff(cells, axis=0)) > limits / 4).any(axis=1)
    ends = np.cumsum([len(run) for run in runs])[:-1]
    changes = np.flatnonzero(np.diff(is_inside)) + 1
    cuts = np.unique(np.concatenate([ends, changes, np.flatnonzero(is_far) + 1]))
    pieces = zip(np.split(cells, cuts), np.split(is_inside, cuts), strict=True)
    return [piece for piece, inside in pieces if inside.size and inside[0]]


def _thin_out(line: np.ndarray) -> np.ndarray:
    """Leave out points that lie less than a part of a cell along the line from the last one kept."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    stretch = (along / _NEAR).astype(np.int64)
    is_kept = np.append(True, np.diff(stretch) > 0)
    is_kept[-1] = True
    return line[is_kept]


def list_graticule(grid: Grid | None) -> list[dict[str, Any]]:
    """Meridians and parallels in columns and rows, for JSON; nothing without a grid."""
    if grid is None:
        return []
    lines = []
    for line in make_graticule(grid):
        inside = np.isfinite(line.x)
        pieces = np.split(np.arange(line.x.size), np.flatnonzero(np.diff(inside)) + 1)
        for piece in pieces:
            if inside[piece[0]] and piece.size > 1:
                piece = np.unique(np.append(piece[::8], piece[-1]))
                x, y = (line.x[piece] - grid.west), (line.y[piece] - grid.south)
                points = np.stack([x, y], axis=1) / grid.step
                lines.append({"label": line.label, "points": points.round(3).tolist()})
    return lines
