"""Samples of days: means of boxes of some 25 km, in which days of any grid are compared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seaice.grids import Grid

BOX_KILOMETRES = 25.0
ICE_EDGE = 15.0  # percent


@dataclass(frozen=True, eq=False)  # an array has no one answer to ==
class HealthSample:
    """The ice of a day in boxes.

    Attributes
    ----------
    number : int
        Day number.
    percent : ndarray of float32, shape (rows, columns)
        Mean concentration of a box; NaN where less than half of it has a value.
    area : ndarray of float32, shape (rows, columns)
        Square kilometres of a box.
    kilometres : float
        Side of a box.
    """

    number: int
    percent: np.ndarray
    area: np.ndarray
    kilometres: float


def sample_health(concentration: np.ndarray, grid: Grid, number: int) -> HealthSample:
    """Average the boxes of a day.

    Fine grids are thinned: of cells of 3.125 km every second one in every second row is looked at.

    Parameters
    ----------
    concentration : ndarray of float32, shape (rows, columns)
        Percent; NaN is missing.
    grid : Grid
    number : int
        Day number.
    """
    from seaice.daily.health._kernels import average_boxes

    side, area = lay_boxes(grid)
    means = np.empty(area.shape, np.float32)
    average_boxes(np.ascontiguousarray(concentration, np.float32), side, max(1, side // 4), means)
    return HealthSample(number, means, area, side * grid.kilometres)


@lru_cache(maxsize=4)
def lay_boxes(grid: Grid) -> tuple[int, np.ndarray]:
    """Cells of a side of a box, and the areas of the boxes, square kilometres, float32."""
    side = min(max(1, round(BOX_KILOMETRES / grid.kilometres)), *grid.shape)
    rows, columns = (length // side for length in grid.shape)
    inside = grid.crop(slice(0, rows * side), slice(0, columns * side))
    area = inside.cell_area().reshape(rows, side, columns, side).sum(axis=(1, 3))
    return side, area.astype(np.float32)


@dataclass(frozen=True)
class Change:
    """What changed from a reference day to a day, where both have values.

    Attributes
    ----------
    days : int
        Days from the reference to the day; negative if the reference is later.
    area, extent : float
        Square kilometres of ice that came; extent is that of boxes with at least 15 percent.
    mean : float
        Mean absolute change of the concentration of boxes with ice on either day, percent.
    ice : float
        Square kilometres of boxes with ice on either day.
    rows, columns : float
        Kilometres by which the field as a whole is displaced, least squares over its slopes.
    """

    days: int
    area: float
    extent: float
    mean: float
    ice: float
    rows: float
    columns: float

    @property
    def displacement(self) -> float:
        """Kilometres of the displacement."""
        return float(np.hypot(self.rows, self.columns))


@lru_cache(maxsize=64)  # the days before are compared with each other again for the next day
def measure_change(day: HealthSample, reference: HealthSample) -> Change:
    """Measure what changed from a reference day to a day."""
    from seaice.daily.health._kernels import compare_boxes

    sums = np.empty(11)
    compare_boxes(day.percent, reference.percent, day.area, np.float32(ICE_EDGE), sums)
    extent_old, extent_new, area_old, area_new, ice, change, *equations = sums.tolist()
    yy, xy, xx, yd, xd = equations
    determinant = yy * xx - xy * xy
    rows = columns = 0.0
    if determinant > 1e-6 * yy * xx:
        rows = -(xx * yd - xy * xd) / determinant * day.kilometres
        columns = -(yy * xd - xy * yd) / determinant * day.kilometres
    return Change(
        days=day.number - reference.number,
        area=(area_new - area_old) / 100,
        extent=extent_new - extent_old,
        mean=change / ice if ice else 0.0,
        ice=ice,
        rows=rows,
        columns=columns,
    )
