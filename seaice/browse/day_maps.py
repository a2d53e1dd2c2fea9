"""A daily file on the page: its concentration, as it was observed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice.browse.layers import CONCENTRATION, Layer, Surroundings
from seaice.browse.map_file import WHOLE, locate_cells
from seaice.drawing.palette import make_no_value_swatch
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.pictures.read_concentration import read_daily


class DayMaps:
    """Map of a daily file of any product (see :class:`seaice.browse.map_file.MapFile`).

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If it is no daily file, or cannot be read.
    """

    first_row = "bottom"

    def __init__(self, path: Path) -> None:
        day = read_daily(Path(path), None)
        self.path = Path(path)
        self.attributes: Mapping[str, Any] = {"source": day.source}
        self.grid: Grid = day.grid
        self.shape = day.grid.shape
        self.bounds = (0, self.shape[0], 0, self.shape[1])
        self.missing = make_no_value_swatch(day.missing)
        self.dates: list[date] = [] if day.date is None else [day.date]
        self.steps = ["without a date" if day.date is None else str(day.date)]
        self.notes = [""]
        self.layers = [CONCENTRATION]
        self.series: tuple[str, ...] = ()
        self._values = day.concentration
        no_cell = np.zeros(self.shape, bool)
        is_lake = no_cell if day.surface is None else day.surface == Surface.LAKE
        is_land = no_cell if day.land is None else day.land & ~is_lake
        self._around = Surroundings(is_land, is_lake)

    def read(self, layer: Layer, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """See :class:`seaice.browse.map_file.MapFile`."""
        return layer.pack(self._values[rows, columns], self._around.cut(rows, columns))

    def locate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`seaice.browse.map_file.MapFile`."""
        return locate_cells(self.grid, rows, columns)

    def close(self) -> None:
        """See :class:`seaice.browse.map_file.MapFile`."""
