"""Masks: the surface class of every cell, read from a mask file, and the cells of the pole hole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.flags import Surface, is_ocean, translate_surface
from seaice.grids import CellLayout, Grid
from seaice.open_file import explain_damage, open_netcdf

if TYPE_CHECKING:
    import netCDF4

# Radius of a circle about the pole, in metres of the projection, that holds the pole hole on every
# grid. The pole hole of AMSR2 at 25 km reaches down to 88.52 N (cell corners); no land lies within
# 700 km of the North Pole.
LARGEST_POLE_HOLE_RADIUS = 165_000.0
# Radius assumed without statistics: the hole in Bremen files ends 94 to 97 km from the pole.
USUAL_POLE_HOLE_RADIUS = 110_000.0


@dataclass(frozen=True)
class Mask:
    """Surface class of every cell of a grid, and how often the cell was missing.

    Attributes
    ----------
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.flags.Surface`.
    nan_ratio : ndarray of float32, shape (rows, columns)
        Share of the days read on which the cell was missing, 0..1.
    grid : Grid
        The grid of all arrays.
    valid_ice : mapping of int to ndarray of bool, shape (rows, columns)
        For the months (1 to 12) that were given, the cells on which ice is possible in the month.
    """

    surface: np.ndarray
    nan_ratio: np.ndarray
    grid: Grid
    valid_ice: Mapping[int, np.ndarray] = field(default_factory=dict)

    def __repr__(self) -> str:
        cells = int(np.count_nonzero(self.land))
        return f"Mask({self.grid}: {cells} of {self.surface.size} cells are land)"

    @property
    def land(self) -> np.ndarray:
        """Whether a cell is land, bool (rows, columns)."""
        return self.surface == Surface.LAND

    @property
    def ocean(self) -> np.ndarray:
        """Whether a cell is filled and counted: no land, no lake, not without ice in every month."""
        return is_ocean(self.surface)


def read_mask(path: Path) -> Mask:
    """Read a mask file of ``create_mask.py``.

    Raises
    ------
    InputError
        If the file is missing, unreadable or no mask.
    """
    from seaice import cf

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such mask file: {path}; make it with create_mask.py")
    with explain_damage(path, "NetCDF"), open_netcdf(path) as dataset:
        dataset.set_auto_maskandscale(False)
        missing = [n for n in ("surface", "land_mask", "nan_ratio") if n not in dataset.variables]
        if missing:
            raise InputError(f"{path} is no mask of create_mask.py: it lacks {', '.join(missing)}")
        layout = cf.read_layout(dataset)
        fields = {}
        for name in ("surface", "nan_ratio"):
            variable = dataset[name]
            if sorted(variable.dimensions) != ["x", "y"]:
                raise InputError(
                    f"{path}: expected {name}(y, x), found {name}({', '.join(variable.dimensions)})"
                )
            fields[name] = layout.read(variable.dimensions, variable.__getitem__, {})
        attributes = {
            name: {k: dataset[name].getncattr(k) for k in dataset[name].ncattrs()} for name in fields
        }
        try:
            surface = translate_surface(fields["surface"], attributes["surface"])
            packing = cf.ValuePacking.read(attributes["nan_ratio"], "nan_ratio")
        except InputError as error:
            raise InputError(f"{path} cannot be used as a mask: {error}") from None
        valid_ice = _read_valid_ice(dataset, layout, path)
        return Mask(surface, packing.unpack(fields["nan_ratio"]), layout.grid, valid_ice)


def _read_valid_ice(dataset: netCDF4.Dataset, layout: CellLayout, path: Path) -> dict[int, np.ndarray]:
    """Read the months of ``valid_ice`` of a mask file that has some."""
    if "valid_ice" not in dataset.variables:
        return {}
    variable = dataset["valid_ice"]
    if sorted(variable.dimensions) != ["month", "x", "y"] or "month" not in dataset.variables:
        raise InputError(
            f"{path}: expected valid_ice(month, y, x) and month, found "
            f"valid_ice({', '.join(variable.dimensions)})"
        )
    months = np.asarray(dataset["month"][:]).astype(int).tolist()
    return {
        month: layout.read(variable.dimensions, variable.__getitem__, {"month": number}) == 1
        for number, month in enumerate(months)
    }


def find_pole_hole(always_missing: np.ndarray, grid: Grid) -> np.ndarray:
    """Find the pole hole among the cells that are missing on every day.

    The pole hole is the connected group of such cells that holds the North Pole, without
    cells further from the pole than :data:`LARGEST_POLE_HOLE_RADIUS`.

    Parameters
    ----------
    always_missing : ndarray of bool, shape (rows, columns)
        Cells without a value on any day.
    grid : Grid

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        All False on southern grids and on grids without the pole.
    """
    from scipy.ndimage import label

    hole = np.zeros(grid.shape, bool)
    distance = grid.distance_to_pole()
    if distance is None or grid.hemisphere == "south":
        return hole
    near = distance <= LARGEST_POLE_HOLE_RADIUS
    if not near.any():
        return hole
    rows, columns = (slice(i.min(), i.max() + 1) for i in np.nonzero(near))
    groups, _ = label((always_missing & near)[rows, columns], structure=np.ones((3, 3), int))
    # The pole may lie on a corner of cells, 0.71 of a cell from the four nearest centres.
    at_pole = np.unique(groups[distance[rows, columns] <= 0.75 * 1000 * grid.kilometres])
    hole[rows, columns] = np.isin(groups, at_pole[at_pole > 0])
    return hole


def assume_pole_hole(grid: Grid) -> np.ndarray:
    """Assume the pole hole without a mask: a circle about the North Pole, no cell on southern grids.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
    """
    distance = grid.distance_to_pole()
    if distance is None or grid.hemisphere == "south":
        return np.zeros(grid.shape, bool)
    return np.asarray(distance <= USUAL_POLE_HOLE_RADIUS)
