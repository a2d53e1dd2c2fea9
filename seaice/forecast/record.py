"""What a forecast may know: the observed days of a cube, and inputs filled from the past alone."""

from __future__ import annotations

import copy
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError
from seaice.cf import is_ice
from seaice.cube.file import CubeFile
from seaice.dates import DateRange
from seaice.flags import FillFlag, Surface, is_ocean
from seaice.grids import Grid
from seaice.masks import read_mask

# Days that a value is carried on for a cell without a later one.
LONGEST_CARRY = 30
# How far the active region reaches beyond cells that had ice.
_ACTIVE_KILOMETRES = 100.0
_CACHE_BYTES = 1 << 28


class SeaIceRecord:
    """The days of a cube as observed, and as a forecast sees them.

    Only observed values of the cube are used, whatever filled its gaps: a filled value may know
    later days. Inputs are filled here, from the days before. Not for sharing between processes.

    Parameters
    ----------
    cube_file : Path
        Cube of ``consolidate_data.py``, or other daily maps of concentration.
    mask_file : Path, optional
        Mask of ``create_mask.py``; by default the surface of the cube counts.

    Raises
    ------
    InputError
        If cube or mask cannot be read, or they lie on different grids.

    Attributes
    ----------
    path : Path
    days : list of date
        Every day from the first to the last of the cube, or of the part that :meth:`up_to` leaves.
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.flags.Surface`.
    ocean : ndarray of bool, shape (rows, columns)
        Cells that are forecast, the pole hole too.
    hole : ndarray of bool, shape (rows, columns)
        The pole hole: never observed, so never scored.
    cell_area : ndarray of float64, shape (rows, columns)
        True areas, km2.
    attributes : dict
        Global attributes of the cube.
    tells_filled : bool
        Whether the cube tells filled values from observed ones; else all count as observed.
    """

    def __init__(self, cube_file: Path, mask_file: Path | None = None) -> None:
        self._cube = CubeFile(cube_file)
        try:
            self.path = self._cube.path
            self.days, self._stored_days = _list_days(self._cube), frozenset(self._cube.dates)
            self.grid: Grid = self._cube.grid
            self.attributes: dict[str, Any] = self._cube.attributes
            self.tells_filled = self._cube.has("fill_flag")
            self.surface = _read_surface(self._cube, mask_file)
        except BaseException:
            self._cube.close()
            raise
        self.ocean, self.hole = is_ocean(self.surface), self.surface == Surface.POLE_HOLE
        self.cell_area = self.grid.cell_area()
        self._rim = _find_rim(self.hole, self.ocean)
        self._observed, self._inputs = _DayCache(self.grid), _DayCache(self.grid)
        self._shares: dict[date, float] = {}

    def up_to(self, last_day: date) -> SeaIceRecord:
        """The same record without the days after one: whoever gets it cannot read them."""
        part = copy.copy(self)
        part.days = self.days[: bisect_right(self.days, last_day)]
        return part

    def read_observed(self, day: date) -> np.ndarray:
        """Concentration that was observed on a day.

        Returns
        -------
        ndarray of float32, shape (rows, columns), read-only
            Fraction 0..1; NaN where it was not observed, outside the ocean and in the pole hole.
        """
        return self._observed.get(self._check(day), self._read_observed)

    def read_input(self, day: date) -> np.ndarray:
        """Concentration of all the ocean as known on a day; no later day is read.

        A cell without a value takes its last one, of up to 30 days before, else that of the nearest
        cell; the pole hole takes the mean of its rim.

        Returns
        -------
        ndarray of float32, shape (rows, columns), read-only
            Fraction 0..1; NaN outside the ocean, and everywhere where nothing is known.
        """
        return self._inputs.get(self._check(day), self._fill_from_past)

    def complete(self, field: np.ndarray) -> np.ndarray:
        """Give ocean cells without a value that of the nearest cell, the pole hole the mean of its rim.

        Parameters
        ----------
        field : ndarray of float, shape (rows, columns)
            NaN outside the ocean; changed in place. All NaN stays all NaN.
        """
        unknown = self._find_unknown(field)
        if unknown.size and unknown.size < np.count_nonzero(self.ocean & ~self.hole):
            _copy_nearest(field, unknown)
        if self._rim.any():
            field[self.hole & self.ocean] = field[self._rim].mean()
        return field

    def measure_observed(self, day: date, cells: np.ndarray | None = None) -> float:
        """Share of cells observed on a day; of the ocean outside the pole hole by default."""
        if cells is not None:
            return self._compute_share(day, cells)
        if day not in self._shares:
            self._shares[day] = self._compute_share(day, self.ocean)
        return self._shares[self._check(day)]

    def _compute_share(self, day: date, cells: np.ndarray) -> float:
        is_known = np.isfinite(self.read_observed(day)[cells & self.ocean & ~self.hole])
        return float(is_known.mean()) if is_known.size else 0.0

    def find_active_region(self, training_days: Iterable[date]) -> np.ndarray:
        """Cells that had at least 15 percent ice on a training day, and the ocean within 100 km.

        The region grows by steps of one cell to the four neighbours.

        Returns
        -------
        ndarray of bool, shape (rows, columns)
            Without the pole hole.
        """
        from scipy.ndimage import binary_dilation

        icy = np.zeros(self.grid.shape, bool)
        for day in training_days:
            icy |= is_ice(self.read_observed(day))
        steps = round(_ACTIVE_KILOMETRES / self.grid.kilometres)
        grown = binary_dilation(icy, iterations=steps) if steps else icy
        return np.asarray(grown & self.ocean & ~self.hole)

    def close(self) -> None:
        """Close the cube."""
        self._cube.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _check(self, day: date) -> date:
        if not self.days or not self.days[0] <= day <= self.days[-1]:
            reach = f"{self.days[0]} to {self.days[-1]}" if self.days else "no day"
            raise InputError(f"{self.path} has no {day} to read: it offers {reach}")
        return day

    def _read_observed(self, day: date) -> np.ndarray:
        if day not in self._stored_days:
            return np.full(self.grid.shape, np.float32(np.nan))
        number = self._cube.index(day)
        observed = self._cube.flags(number) == self._cube.flag_value(FillFlag.OBSERVED.meaning)
        cells = observed & self.ocean & ~self.hole
        return np.where(cells, self._cube.concentration(number), np.float32(np.nan))

    def _fill_from_past(self, day: date) -> np.ndarray:
        values = self.read_observed(day).ravel().copy()
        unknown = self._find_unknown(values)
        position = bisect_right(self.days, day) - 1
        for earlier in reversed(self.days[max(0, position - LONGEST_CARRY) : position]):
            if not unknown.size:
                break
            values[unknown] = self.read_observed(earlier).ravel()[unknown]
            unknown = unknown[np.isnan(values[unknown])]
        return self.complete(values.reshape(self.grid.shape))

    def _find_unknown(self, values: np.ndarray) -> np.ndarray:
        return np.flatnonzero(
            (self.ocean & ~self.hole & np.isnan(values.reshape(self.grid.shape))).ravel()
        )


class _DayCache:
    """Maps of the days that were read last."""

    def __init__(self, grid: Grid) -> None:
        self._most = max(16, _CACHE_BYTES // (4 * grid.rows * grid.columns))
        self._maps: OrderedDict[date, np.ndarray] = OrderedDict()

    def get(self, day: date, read: Callable[[date], np.ndarray]) -> np.ndarray:
        """The map of a day; read only if it is not here."""
        if day not in self._maps:
            values = read(day)
            values.flags.writeable = False
            self._maps[day] = values
            if len(self._maps) > self._most:
                self._maps.popitem(last=False)
        self._maps.move_to_end(day)
        return self._maps[day]


def _list_days(cube: CubeFile) -> list[date]:
    if not cube.dates:
        raise InputError(f"{cube.path} has no day; make it with consolidate_data.py")
    return list(DateRange(cube.dates[0], cube.dates[-1]))


def _read_surface(cube: CubeFile, mask_file: Path | None) -> np.ndarray:
    """Surface classes by a cube and a mask: what is no ocean, or pole hole, in one of them."""
    if mask_file is None:
        return cube.surface
    mask = read_mask(mask_file)
    if not mask.grid.same_cells(cube.grid):
        raise InputError(
            f"{mask_file} lies on another grid than {cube.path}: {mask.grid.describe_place()}, "
            f"expected {cube.grid.describe_place()}"
        )
    by_mask = ~mask.ocean | (mask.surface == Surface.POLE_HOLE)
    return np.where(cube.ocean & by_mask, mask.surface, cube.surface)


def _find_rim(hole: np.ndarray, ocean: np.ndarray) -> np.ndarray:
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(hole, structure=np.ones((3, 3), bool)) & ocean & ~hole)


def _copy_nearest(field: np.ndarray, unknown: np.ndarray) -> None:
    """Give cells the value of the nearest cell that has one."""
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(np.isnan(field), return_distances=False, return_indices=True)
    rows, columns = np.unravel_index(unknown, field.shape)
    field[rows, columns] = field[tuple(nearest[:, rows, columns])]
