"""Coastlines of Natural Earth: read from the disk, or downloaded within a time limit.

Natural Earth (https://www.naturalearthdata.com, public domain) is searched where cartopy keeps it:
in the folder named by ``CARTOPY_DATA_DIR``, then in ``~/.local/share/cartopy``. The download is not
cartopy's: it ends after a time limit whatever the network does, and only complete files are stored.
"""

from __future__ import annotations

import io
import logging
import queue
import threading
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from seaice import InputError
from seaice.grids import Grid
from seaice.runtime.atomic_write import atomic

logger = logging.getLogger(__name__)

Choice = Literal["auto", "natural_earth", "mask", "none"]
CHOICES: tuple[Choice, ...] = ("auto", "natural_earth", "mask", "none")

# (resolution, layer) in order of preference. Polygons of land are drawn as land; lines
# only as lines. 1:50 million has the detail of a few kilometres that these maps show.
_LAYERS = (
    ("50m", "land"), ("10m", "land"), ("50m", "coastline"), ("10m", "coastline"),
    ("110m", "land"), ("110m", "coastline"),
)  # fmt: skip
_SUFFIXES = (".dbf", ".shx", ".prj", ".cpg", ".shp")  # .shp last: where it is, all files are
_NEEDED_SUFFIXES = (".shp", ".shx", ".dbf")


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


def find_coastlines(
    choice: Choice, grid: Grid, *, answer_within: float = 3.0
) -> tuple[Coastlines | None, str | None]:
    """Find the coastlines for a map of a grid.

    Parameters
    ----------
    choice : {"auto", "natural_earth", "mask", "none"}
        With ``auto`` Natural Earth is read from the disk or downloaded; if neither is possible there
        are no coastlines. ``natural_earth`` waits longer for the download and fails without it.
        With the other two there are no coastlines.
    grid : Grid
        Coasts far from it are left out.
    answer_within : float
        Seconds that ``auto`` waits for the answer of the server.

    Returns
    -------
    coastlines : Coastlines or None
    reason : str or None
        Reason why ``auto`` has no coastlines.

    Raises
    ------
    InputError
        If ``natural_earth`` cannot be downloaded or read, or the choice is unknown.
    """
    if choice not in CHOICES:
        raise InputError(f"unknown coastlines {choice!r}; choose one of {', '.join(CHOICES)}")
    if choice in ("mask", "none"):
        return None, None
    shapefile = find_shapefile()
    if shapefile is None:
        seconds = answer_within if choice == "auto" else max(answer_within, 15.0)
        try:
            shapefile = fetch(answer_within=seconds, whole_within=4 * seconds)
        except OSError as error:
            folder = _locate_target("50m", "land").parent
            reason = f"Natural Earth is not in {folder} and cannot be fetched ({error})"
            if choice == "natural_earth":
                raise InputError(f"{reason}; put ne_50m_land there or use --coastlines mask") from None
            return None, reason
    try:
        return _read(shapefile, grid), None
    except InputError as error:
        if choice == "natural_earth":
            raise
        return None, str(error)


def find_shapefile() -> Path | None:
    """Find the best complete shapefile of Natural Earth on this machine; None if there is none."""
    downloader = _get_downloader()
    for resolution, layer in _LAYERS:
        keys = _make_keys(resolution, layer)
        for path in (downloader.pre_downloaded_path(keys), downloader.target_path(keys)):
            if path is not None and all(path.with_suffix(s).is_file() for s in _NEEDED_SUFFIXES):
                return Path(path)
    return None


def _get_downloader() -> Any:
    """Return cartopy's downloader, of which only the paths and the URL are used."""
    from cartopy.io import Downloader

    return Downloader.from_config(("shapefiles", "natural_earth"))


def _make_keys(resolution: str, layer: str) -> dict[str, Any]:
    import cartopy

    return {"config": cartopy.config, "resolution": resolution, "category": "physical", "name": layer}


def _locate_target(resolution: str, layer: str) -> Path:
    """Return the path where cartopy keeps the shapefile of a layer."""
    return Path(_get_downloader().target_path(_make_keys(resolution, layer)))


def fetch(*, answer_within: float, whole_within: float) -> Path:
    """Download the preferred layer into the data folder of cartopy.

    Parameters
    ----------
    answer_within, whole_within : float
        Seconds after which the server must have answered, and must have sent the whole file.

    Returns
    -------
    Path
        The shapefile.

    Raises
    ------
    OSError
        If the download fails for any reason; no incomplete file is left then.
    """
    resolution, layer = _LAYERS[0]
    url = _get_downloader().url(_make_keys(resolution, layer))
    logger.debug("fetching %s", url)
    content = _download(url, answer_within=answer_within, whole_within=whole_within)
    target = _locate_target(resolution, layer)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            missing = [s for s in _NEEDED_SUFFIXES if target.with_suffix(s).name not in names]
            if missing:
                raise OSError(f"{url} lacks {', '.join(missing)}")
            for suffix in _SUFFIXES:
                part = target.with_suffix(suffix)
                if part.name in names:
                    with atomic(part) as temporary:
                        temporary.write_bytes(archive.read(part.name))
    except (zipfile.BadZipFile, InputError) as error:
        raise OSError(f"{url}: {error}") from None
    return target


def _download(url: str, *, answer_within: float, whole_within: float) -> bytes:
    """Read a URL in a thread, and give up waiting for the thread after a time limit.

    The time-out of a socket limits neither the look-up of a name nor a server that sends a byte
    now and then.
    """
    # The thread puts None when the server has answered, then the content; or an error.
    messages: queue.Queue[bytes | Exception | None] = queue.Queue()
    host = urllib.parse.urlsplit(url).netloc

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=answer_within) as response:
                messages.put(None)
                messages.put(response.read())
        except Exception as error:  # raised below, in the thread of the caller
            messages.put(error)

    threading.Thread(target=read, daemon=True, name="natural-earth").start()
    for limit, failure in ((answer_within, "no answer"), (whole_within, "not whole")):
        try:
            message = messages.get(timeout=limit)
        except queue.Empty:
            raise OSError(f"{failure} after {limit:g} s from {host}") from None
        if isinstance(message, Exception):
            reason = getattr(message, "reason", message)
            raise OSError(f"{host}: {' '.join(str(reason).split()) or type(message).__name__}")
        if message is not None:
            return message
    raise AssertionError("the thread puts None first, then the content")


def _read(path: Path, grid: Grid) -> Coastlines:
    from cartopy.io.shapereader import Reader

    """Read the coastlines near a grid from a shapefile; InputError if it is damaged."""
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
    """Return the outlines of land polygons without their edges at 180 degrees and at the South Pole.

    These edges close the polygons on a map of longitude and latitude and are no coasts.
    """
    import numpy as np
    from shapely import LineString, get_parts

    lines = []
    for polygon in get_parts(polygons):
        for ring in (polygon.exterior, *polygon.interiors):
            points = np.asarray(ring.coords)[:, :2]
            edge = (np.abs(points[:, 0]) > 179.999) | (points[:, 1] < -89.999)
            cuts = np.flatnonzero(edge[1:] & edge[:-1]) + 1  # a segment on such an edge is dropped
            lines += [LineString(run) for run in np.split(points, cuts) if len(run) > 1]
    return lines


def _compute_latitude_range(grid: Grid) -> tuple[float, float]:
    """Return the latitudes of a grid with a margin of 2 degrees."""
    import numpy as np
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 31), np.linspace(south, north, 31))
    latitude = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True).transform(xs, ys)[1]
    latitude = latitude[np.isfinite(latitude)]
    return float(latitude.min()) - 2.0, float(latitude.max()) + 2.0
