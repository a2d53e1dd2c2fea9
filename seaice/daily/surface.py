"""The surface as the files of a product describe it: land, lakes, pole hole, water without ice."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np

from seaice.daily.source import DayContent
from seaice.flags import Surface
from seaice.grids import Grid
from seaice.masks import find_pole_hole
from seaice.sources.products import CellClass

MONTHS = range(1, 13)


@dataclass
class SurfaceCount:
    """Numbers of days on which the cells of a grid have no value, by class.

    Attributes
    ----------
    days : int
        Days that were added.
    counts : dict of CellClass to ndarray of int32, shape (rows, columns)
        Days on which a cell was of a class, for MISSING and the other classes that occurred; values
        and NEVER_ICE, which is told by month, are not counted.
    no_ice : dict of int to ndarray of bool, shape (rows, columns)
        For every month with days on which the product told it: cells in which it allowed no ice on
        any of them.
    has_classes : bool
        Whether the product has classes; otherwise land is missing like all else.
    tells_pole_hole : bool
        Whether it has one for the pole hole; otherwise that is what is missing about the pole.
    """

    days: int = 0
    counts: dict[CellClass, np.ndarray] = field(default_factory=dict)
    no_ice: dict[int, np.ndarray] = field(default_factory=dict)
    has_classes: bool = False
    tells_pole_hole: bool = False

    @property
    def missing(self) -> np.ndarray:
        """Days on which a cell was missing, int32 (rows, columns)."""
        return self.counts[CellClass.MISSING]

    @property
    def nan_ratio(self) -> np.ndarray:
        """Share of the days on which a cell had no value, float32 (rows, columns)."""
        return (np.sum(list(self.counts.values()), axis=0) / self.days).astype(np.float32)

    @property
    def valid_ice(self) -> dict[int, np.ndarray]:
        """Cells on which ice is possible, for every month in which the product told it."""
        return {month: ~never for month, never in sorted(self.no_ice.items())}

    def add(self, content: DayContent, day: date) -> None:
        """Add a day."""
        self.days += 1
        if content.classes is None:
            self._count(CellClass.MISSING, np.isnan(content.concentration))
            return
        self.has_classes = True
        self.tells_pole_hole |= content.tells_pole_hole
        self._count(CellClass.MISSING, content.classes == CellClass.MISSING)
        for code in np.unique(content.classes).tolist():
            if code not in (CellClass.VALUE, CellClass.MISSING, CellClass.NEVER_ICE):
                self._count(CellClass(code), content.classes == code)
        never = content.classes == CellClass.NEVER_ICE
        if never.any():
            self._add_no_ice(day.month, never)

    def merge(self, other: SurfaceCount) -> None:
        """Add the days of another count."""
        self.days += other.days
        self.has_classes |= other.has_classes
        self.tells_pole_hole |= other.tells_pole_hole
        for cell_class, days in other.counts.items():
            self._count(cell_class, days)
        for month, never in other.no_ice.items():
            self._add_no_ice(month, never)

    def _count(self, cell_class: CellClass, days: np.ndarray) -> None:
        if cell_class not in self.counts:
            self.counts[cell_class] = np.zeros(days.shape, np.int32)
        self.counts[cell_class] += days

    def _add_no_ice(self, month: int, never: np.ndarray) -> None:
        self.no_ice[month] = self.no_ice[month] & never if month in self.no_ice else never

    def classify(self, grid: Grid) -> np.ndarray:
        """Classify the surface by what the product says about the cells.

        Returns
        -------
        ndarray of uint8, shape (rows, columns)
            Codes of :class:`seaice.flags.Surface`: land (coast of the product too) and lakes by most
            of the days, pole hole where it has no value on any and is called so on one, or lies about
            the pole if the product has no class for that. Water is without ice if the product told so
            on the days of every month of the year.

        Examples
        --------
        >>> from seaice.grids import get_grid
        >>> grid = get_grid("n25000").crop(slice(0, 1), slice(0, 3))
        >>> count = SurfaceCount()
        >>> classes = np.array([[CellClass.LAND, CellClass.VALUE, CellClass.VALUE]], np.uint8)
        >>> count.add(DayContent(np.zeros((1, 3), np.float32), grid, classes), date(2024, 1, 1))
        >>> count.classify(grid)
        array([[1, 2, 0]], dtype=uint8)
        """
        from scipy.ndimage import binary_dilation

        none = np.zeros(grid.shape, np.int32)
        count = {cell_class: self.counts.get(cell_class, none) for cell_class in CellClass}
        without_value = count[CellClass.MISSING] + count[CellClass.POLE_HOLE]
        hole = without_value == self.days
        if self.tells_pole_hole:
            hole &= count[CellClass.POLE_HOLE] > 0
        else:
            hole = find_pole_hole(hole, grid)
        land = 2 * (count[CellClass.LAND] + count[CellClass.COAST]) > self.days
        surface = np.full(grid.shape, Surface.OCEAN, np.uint8)
        surface[2 * without_value > self.days] = Surface.RARELY_OBSERVED_OCEAN
        surface[binary_dilation(land, structure=np.ones((3, 3), bool))] = Surface.COAST
        surface[hole] = Surface.POLE_HOLE
        if sorted(self.no_ice) == list(MONTHS):
            surface[np.logical_and.reduce(list(self.no_ice.values()))] = Surface.NEVER_ICE
        surface[2 * count[CellClass.LAKE] > self.days] = Surface.LAKE
        surface[land] = Surface.LAND
        return surface
