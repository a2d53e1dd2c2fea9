"""The part of a grid that a map of a study area shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seaice import InputError
from seaice.freeboard.area import read_area
from seaice.grids import Grid
from seaice.regions import Box


@dataclass(frozen=True, kw_only=True)
class StudyArea:
    """Options that choose a study area; at most one of them is set.

    Attributes
    ----------
    bbox : sequence of four float, optional
        West, south, east, north, degrees.
    bounds : sequence of four float, optional
        West, east, south, north, metres in the map projection of the file.
    region : str, optional
        ``arctic``, ``antarctic``, ``ross_sea`` or a GeoJSON file.
    """

    bbox: Sequence[float] | None = None
    bounds: Sequence[float] | None = None
    region: str | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is a study area."""
        return any(option is not None for option in (self.bbox, self.bounds, self.region))

    def find_cells(self, grid: Grid) -> tuple[slice, slice]:
        """Find the rows and the columns of a grid that hold the study area.

        Raises
        ------
        InputError
            If several options are set, one of them is no area, or the area lies beyond the grid.
        """
        if self.bounds is not None:
            if self.bbox is not None or self.region is not None:
                raise InputError("expected one of --bbox, --bounds and --region, found several")
            west, east, south, north = self.bounds
            box = Box.from_bounds((west, east, south, north), grid)
            return box.rows, box.columns
        area = read_area(self.region, self.bbox)
        if area is None:
            return slice(0, grid.rows), slice(0, grid.columns)
        part = area.crop(grid)
        row = round((part.south - grid.south) / grid.step)
        column = round((part.west - grid.west) / grid.step)
        return slice(row, row + part.rows), slice(column, column + part.columns)
