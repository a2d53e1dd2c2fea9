"""Surface classes and the codes of every flag this package writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import (
    InputError,
)
from seaice.flags import (
    Surface,
)
from seaice.grids import Grid


@dataclass(frozen=True)
class Mask:
    """Surface classes of a grid.

    Attributes
    ----------
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`Surface`.
    nan_ratio : ndarray of float32, shape (rows, columns)
        Share of the days read on which the cell was missing, 0..1.
    grid : Grid
    """

    surface: np.ndarray
    nan_ratio: np.ndarray
    grid: Grid

    @property
    def land(self) -> np.ndarray:
        """True on land, bool (rows, columns)."""
        return self.surface == Surface.LAND

    @property
    def ocean(self) -> np.ndarray:
        """True on everything but land, bool (rows, columns)."""
        return ~self.land


def read_mask(path: Path) -> Mask:
    """Read a mask file of ``create_mask.py``.

    Raises
    ------
    InputError
        If the file is missing, unreadable or no mask.
    """
    import netCDF4

    from seaice import cf

    path = Path(path)
    if not path.is_file():
        raise InputError(f"no such mask file: {path}; make it with create_mask.py")
    try:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            missing = [n for n in ("surface", "land_mask", "nan_ratio") if n not in dataset.variables]
            if missing:
                raise InputError(f"{path} is no mask of create_mask.py: it lacks {', '.join(missing)}")
            return Mask(
                np.asarray(dataset["surface"][:]),
                np.asarray(dataset["nan_ratio"][:]),
                cf.read_grid(dataset),
            )
    except (OSError, RuntimeError) as error:
        raise InputError(f"{path} is no readable NetCDF file ({error})") from None


# The pole hole of AMSR2 at 25 km reaches down to 88.52 N (cell corners); a circle of this
# radius in the plane holds it on every grid. No land lies within 700 km of the North Pole.
LARGEST_POLE_HOLE_RADIUS = 165_000.0


# Without statistics: the hole seen in Bremen files ends 94 to 97 km from the pole.
USUAL_POLE_HOLE_RADIUS = 110_000.0


def pole_hole(always_missing: np.ndarray, grid: Grid) -> np.ndarray:
    """The part of the always-missing cells that is the pole hole.

    Recognised by geometry: the connected component that holds the North Pole, cut at the
    largest radius the sensors' hole has.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        All False on southern grids and where the pole lies outside.
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
    parts, _ = label((always_missing & near)[rows, columns], structure=np.ones((3, 3), int))
    at_pole = np.unique(parts[distance[rows, columns] <= 0.75 * grid.step])
    hole[rows, columns] = np.isin(parts, at_pole[at_pole > 0])
    return hole


def assumed_pole_hole(grid: Grid) -> np.ndarray:
    """Where the pole hole is when no mask tells: a circle (north), nothing (south)."""
    distance = grid.distance_to_pole()
    if distance is None or grid.hemisphere == "south":
        return np.zeros(grid.shape, bool)
    return np.asarray(distance <= USUAL_POLE_HOLE_RADIUS)
