"""Simulated days in the layout of NSIDC-0051, version 1: NASA Team concentration as bytes.

A header of 300 bytes, then one byte a cell, the row of the largest y first: 0 to 250 for 0 to 100
percent, 251 pole hole, 253 coast, 254 land, 255 missing. DiGirolamo et al. 2022,
doi:10.5067/MPYG15WAA4WX.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np

from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic

_POLE_HOLE, _COAST, _LAND, _MISSING = 251, 253, 254, 255
_HOLE_RADIUS = 100_000.0  # metres


def write_nasa_team_day(
    folder: Path, day: date, concentration: np.ndarray, land: np.ndarray, grid: Grid
) -> Path:
    """Write a day and return the path of the file.

    Parameters
    ----------
    folder : Path
    day : date
        Of 2008 or later: the name says that the satellite is F17.
    concentration : ndarray of float, shape (rows, columns)
        Percent; NaN is missing. Row 0 is the smallest y.
    land : ndarray of bool, shape (rows, columns)
    grid : Grid
        The grid of NSIDC at 25 km, n25000 or s25000.
    """
    from scipy.ndimage import binary_erosion

    is_missing = np.isnan(concentration)
    codes = np.where(is_missing, _MISSING, np.rint(2.5 * np.nan_to_num(concentration)))
    distance = grid.distance_to_pole()
    if grid.hemisphere == "north" and distance is not None:
        codes[is_missing & (distance < _HOLE_RADIUS)] = _POLE_HOLE
    codes[land] = _COAST
    codes[binary_erosion(land, np.ones((3, 3), bool), border_value=1)] = _LAND
    half = "s" if grid.hemisphere == "south" else "n"
    name = f"nt_{day:%Y%m%d}_f17_v1.1_{half}.bin"
    path = folder / name
    with atomic(path) as temporary:
        temporary.write_bytes(_make_header(name, day, grid) + codes[::-1].astype(np.uint8).tobytes())
    return path


def _make_header(name: str, day: date, grid: Grid) -> bytes:
    number = f"{day.timetuple().tm_yday:03}"
    edge = "31.10" if grid.hemisphere == "north" else "39.40"
    fields = [
        f"{_MISSING:05}", f"{grid.columns:05}", f"{grid.rows:05}", "1.799", edge, "45.00", "558.4",
        "154.0", "234.0", "SSMIS", "17 cn", number, "-9999", "-9999", number, "-9999", "-9999",
        f"{day.year}", number, "00000", "00250",
    ]  # fmt: skip
    head = b"".join(text.rjust(5).encode() + b"\0" for text in fields)
    texts = ((name, 24), ("SIMULATED sea ice concentration, no observation", 80), ("", 70))
    return head + b"".join(text.encode()[:size].ljust(size, b"\0") for text, size in texts)
