"""A fixture for any test that needs a cube: valid, and holding exactly given arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from seaice import cf
from seaice.dates import (
    day_number,
    parse_date,
)
from seaice.flags import (
    DayStatus,
    FillFlag,
    Surface,
)
from seaice.grids import Grid

# Codes of values nobody measured.
INVENTED = [int(f) for f in FillFlag if f not in (FillFlag.OBSERVED, FillFlag.LAND, FillFlag.NOT_FILLED)]


def small_grid(rows: int, columns: int, step: float = 25000.0) -> Grid:
    """A part of the north polar stereographic plane around the pole."""
    name = f"epsg3411_{step:g}"
    return Grid(name, rows, columns, step, -columns * step / 2, -rows * step / 2, "EPSG:3411")


def default_flags(concentration: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """LAND over land, NOT_FILLED where missing, else OBSERVED; uint8 (time, y, x)."""
    flags = np.where(np.isnan(concentration), FillFlag.NOT_FILLED, FillFlag.OBSERVED)
    return np.where(surface == Surface.LAND, FillFlag.LAND, flags).astype(np.uint8)


def day_counts(flags: np.ndarray, surface: np.ndarray) -> dict[str, np.ndarray]:
    """The per-day counts a cube carries, int32 (time,)."""
    missing = flags == FillFlag.NOT_FILLED
    pole = surface == Surface.POLE_HOLE
    ocean = surface != Surface.LAND
    return {
        "missing_ocean_cells": (missing & ocean & ~pole).sum(axis=(1, 2)).astype(np.int32),
        "missing_pole_cells": (missing & pole).sum(axis=(1, 2)).astype(np.int32),
        "filled_ocean_cells": (np.isin(flags, INVENTED) & ocean).sum(axis=(1, 2)).astype(np.int32),
    }


def write_cube(
    path: Path,
    *,
    dates: Sequence[Any],
    concentration: np.ndarray,
    surface: np.ndarray,
    grid: Grid,
    flags: np.ndarray | None = None,
    parameters: dict[str, Any] | None = None,
    counts: bool = True,
    errors: np.ndarray | None = None,
) -> Path:
    """Write a valid cube with given values.

    Parameters
    ----------
    dates : sequence of dates in any form
        The time axis, as given: leave a day out to test an irregular axis.
    concentration : ndarray, shape (time, rows, columns)
        Fraction 0..1; NaN is missing. Land is always written as missing.
    surface : ndarray, shape (rows, columns)
        Codes of ``Surface``.
    flags : ndarray, optional
        Codes of ``FillFlag``; by default see :func:`default_flags`.
    counts : bool
        Write the per-day counts too.
    errors : ndarray, shape (time, rows, columns), optional
        Expected errors as fractions, multiples of 0.005; NaN for none. By default the cube has none.
    """
    concentration = np.asarray(concentration, dtype=np.float64)
    land = surface == Surface.LAND
    if flags is None:
        flags = default_flags(concentration, surface)
    packed = np.where(
        np.isnan(concentration) | land,
        cf.CONCENTRATION_FILL,
        np.rint(np.nan_to_num(concentration) / cf.CONCENTRATION_SCALE),
    ).astype(np.int16)
    with netCDF4.Dataset(path, "w") as dataset:
        cf.write_grid(dataset, grid)
        cf.write_time(dataset, np.array([day_number(parse_date(d)) for d in dates], dtype=np.int32))
        cf.define_variable(dataset, "surface")[:] = surface
        cf.define_variable(dataset, "sea_ice_conc")[:] = packed
        cf.define_variable(dataset, "fill_flag")[:] = flags
        cf.define_variable(dataset, "days_back_forward")[:] = np.zeros_like(flags)
        steps = np.full(flags.shape, np.nan) if errors is None else errors / cf.ERROR_SCALE
        codes = np.where(np.isnan(steps), cf.ERROR_FILL, np.rint(np.nan_to_num(steps)))
        cf.define_variable(dataset, "sea_ice_conc_error")[:] = codes.astype(np.int8)
        cf.define_variable(dataset, "day_status")[:] = np.where(
            (flags == FillFlag.OBSERVED).any(axis=(1, 2)), DayStatus.PRESENT, DayStatus.ABSENT
        )
        if counts:
            for name, values in day_counts(flags, surface).items():
                cf.define_variable(dataset, name)[:] = values
        dataset.setncatts(
            cf.describe_file(
                title="a cube for a test",
                summary="given arrays",
                source="test",
                stage="write_cube",
                parameters=parameters or {},
                references="none",
            )
        )
    return Path(path)


def damage(path: Path, name: str, number: int = 0) -> Path:
    """Flip the bytes of one stored chunk, as a broken disk or transfer would."""
    import h5py

    with h5py.File(path) as file:
        chunk = file[name].id.get_chunk_info(number)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        flipped = bytes(byte ^ 0xFF for byte in file.read(chunk.size))
        file.seek(chunk.byte_offset)
        file.write(flipped)
    return path
