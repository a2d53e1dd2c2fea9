"""Cells that a chart is drawn on: those of a grid, or the pixels of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from seaice.gridding import project
from seaice.grids import Grid
from seaice.segmentation.mapping.scene_projection import SceneProjection, expect_image
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.ai4arctic.scene import SceneName, open_scene

# Equal-area projections of the two hemispheres, for the areas of pixels.
_EQUAL_AREA = {True: "EPSG:6931", False: "EPSG:6932"}
# Part of the extent of a scene by which the box around it is larger.
_MARGIN = 0.05


class Cells(Protocol):
    """Cells of any kind, in rows and columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""

    @property
    def projection(self) -> str:
        """Reference system of the points that :meth:`locate` takes, as pyproj reads it."""

    @property
    def box(self) -> tuple[float, float, float, float] | None:
        """West, south, east and north around the cells, outside of which nothing is located."""

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Locate points: columns and rows, float64, whole numbers at the edges of cells."""

    def compute_areas(self, rows: range) -> np.ndarray:
        """Compute the true areas of the cells of some rows, square kilometres, float64."""

    def describe(self) -> str:
        """Describe the cells and where they lie."""


@dataclass(frozen=True)
class GridCells:
    """Cells of a grid."""

    grid: Grid
    box: None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.grid.shape

    @property
    def projection(self) -> str:
        """Projection of the grid."""
        return self.grid.projection

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Locate points: columns and rows; within a cell of degrees, rows go by area."""
        grid = self.grid
        columns, rows = (x - grid.west) / grid.step, (y - grid.south) / grid.step
        if grid.is_geographic:
            edges = np.clip(grid.south + np.arange(grid.rows + 1) * grid.step, -90, 90)
            sines = np.sin(np.radians(edges))
            rows = np.interp(np.sin(np.radians(y)), sines, np.arange(grid.rows + 1.0))
        return columns, rows

    @cached_property
    def _areas(self) -> np.ndarray:
        return self.grid.cell_area()

    def compute_areas(self, rows: range) -> np.ndarray:
        """Compute the true areas of the cells of some rows, square kilometres."""
        return self._areas[rows.start : rows.stop]

    def describe(self) -> str:
        """Describe the grid and where it lies."""
        return f"the grid {self.grid.describe_place()}"


@dataclass(frozen=True)
class ScenePixels:
    """Pixels of a SAR scene.

    Attributes
    ----------
    path : Path
    name : str
    positions : Geolocation
    spacing : float
        Distance of pixels, metres.
    start : datetime or None
        UTC; None if the name does not state it.
    has_chart : bool
        Whether the file of the scene holds a chart of its own.
    """

    path: Path
    name: str
    positions: Geolocation
    spacing: float
    start: datetime | None
    has_chart: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Number of lines and of samples."""
        return self.positions.shape

    @cached_property
    def _plane(self) -> SceneProjection:
        return SceneProjection(self.positions, self.spacing)

    @property
    def projection(self) -> str:
        """Polar stereographic projection of the hemisphere."""
        return f"EPSG:{self._plane.epsg_code}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """West, south, east and north around the scene, metres."""
        west, east, south, north = self._plane.grid.extent
        margin = _MARGIN * max(east - west, north - south)
        return west - margin, south - margin, east + margin, north + margin

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Locate points: samples and lines, whole numbers at the edges of pixels."""
        lines, samples = self._plane.find_pixels(x, y)
        return samples + 0.5, lines + 0.5

    @cached_property
    def _point_areas(self) -> np.ndarray:
        """Area of a pixel at the geolocation points, square kilometres."""
        latitude, longitude = self.positions.latitude, self.positions.longitude
        name = _EQUAL_AREA[bool(latitude.mean() >= 0)]
        grid = Grid("custom", 1, 1, 1.0, 0.0, 0.0, name)
        x, y = (
            part.reshape(latitude.shape) for part in project(latitude.ravel(), longitude.ravel(), grid)
        )
        axes = self.positions.lines, self.positions.samples
        (x_down, x_right), (y_down, y_right) = (np.gradient(part, *axes) for part in (x, y))
        return np.asarray(np.abs(x_down * y_right - x_right * y_down) / 1e6)

    def compute_areas(self, rows: range) -> np.ndarray:
        """Compute the true areas of the pixels of some lines, square kilometres."""
        from scipy.interpolate import RegularGridInterpolator

        axes = self.positions.lines, self.positions.samples
        interpolate = RegularGridInterpolator(axes, self._point_areas)
        lines, samples = np.array(rows, np.float64)[:, None], np.arange(self.shape[1])[None]
        return np.asarray(interpolate(np.broadcast_arrays(lines, samples)))

    def describe(self) -> str:
        """Describe the scene and where it lies."""
        latitude, longitude = self.positions.interpolate(
            np.array([self.shape[0] / 2]), np.array([self.shape[1] / 2])
        )
        return f"the scene {self.name} around latitude {latitude[0]:.2f}, longitude {longitude[0]:.2f}"


def read_scene_pixels(path: Path) -> ScenePixels:
    """Read where the pixels of a scene lie.

    Raises
    ------
    InputError
        If the scene cannot be read, or its geolocation points are not those of an image.
    """
    scene = open_scene(path)
    positions = scene.read_positions()
    expect_image(positions, scene.spacing)
    name = SceneName.parse(scene.name)
    start = None if name is None else name.start
    return ScenePixels(path, scene.name, positions, scene.spacing, start, scene.has_own_chart)


def list_bands(shape: tuple[int, int], cells: int) -> Sequence[range]:
    """Divide rows into bands of about a number of cells."""
    height = max(1, cells // shape[1])
    return [range(first, min(first + height, shape[0])) for first in range(0, shape[0], height)]
