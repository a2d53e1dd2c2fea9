"""What the page asks of a file of maps, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seaice.browse.layers import Layer
from seaice.drawing.palette import Swatch
from seaice.grids import Grid

WHOLE = slice(None)


class MapFile(Protocol):
    """A file of maps, open for reading by one thread at a time.

    Attributes
    ----------
    path : Path
    shape : (int, int)
        Rows and columns.
    first_row : {"bottom", "top"}
        Where row 0 lies on the page.
    steps : list of str
        Names of the time steps.
    dates : list of date
        First day of the steps; empty without a time.
    notes : list of str
        What is to be said of a step, empty for most.
    layers : list of Layer
        The first is shown at the start.
    series : tuple of str
        Layers of which a click shows a series.
    missing : Swatch
        How cells without a value are drawn.
    bounds : (int, int, int, int)
        First and end row, first and end column of what is shown at the start.
    """

    path: Path
    shape: tuple[int, int]
    first_row: str
    steps: list[str]
    dates: list[date]
    notes: list[str]
    layers: list[Layer]
    series: tuple[str, ...]
    missing: Swatch
    bounds: tuple[int, int, int, int]

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Global attributes."""

    @property
    def grid(self) -> Grid | None:
        """None for a scene, whose cells lie on no grid."""

    def read(self, layer: Layer, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """Cells of a layer as :meth:`Layer.pack` stores them; InputError if they cannot be read."""

    def locate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of cells, degrees, for rows (m,) and columns (n,): arrays (m, n)."""

    def close(self) -> None:
        """Close the file."""


def locate_cells(grid: Grid, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of the cells of some rows (m,) and columns (n,), degrees, (m, n) each."""
    longitude, latitude = grid.transform_to_degrees(*np.meshgrid(grid.x[columns], grid.y[rows]))
    return latitude, longitude
