"""Coast outlines: Natural Earth where it is at hand, and never a hang where it is not.

Natural Earth (https://www.naturalearthdata.com, public domain) is looked for where cartopy keeps
it: the folder named by ``CARTOPY_DATA_DIR``, then ``~/.local/share/cartopy``.
A download is our own, not cartopy's: it ends after a given time whatever the network
does, and files appear whole.
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
_PARTS = (".dbf", ".shx", ".prj", ".cpg", ".shp")  # .shp last: its presence means complete
_NEEDED = (".shp", ".shx", ".dbf")


@dataclass(frozen=True)
class Coastlines:
    """Outlines in longitude and latitude.

    Attributes
    ----------
    polygons : list of shapely geometries
        Land, for painting; empty where only lines are known.
    lines : list of shapely geometries
        The coast, for drawing.
    source : str
        For people, such as ``Natural Earth 1:50m``.
    """

    polygons: list[Any]
    lines: list[Any]
    source: str


def find(choice: Choice, grid: Grid, *, patience: float = 3.0) -> tuple[Coastlines | None, str | None]:
    """Get coast outlines for a grid.

    Parameters
    ----------
    choice : {"auto", "natural_earth", "mask", "none"}
        ``auto`` takes Natural Earth from the disk, else tries to fetch it within
        ``patience``, else does without. ``natural_earth`` waits longer and insists.
    grid : Grid
        Outlines far from it are left out.
    patience : float
        Seconds ``auto`` waits for the server's answer.

    Returns
    -------
    coastlines : Coastlines or None
        None if there are none or none were wanted.
    reason : str or None
        Why ``auto`` found none that can be used.

    Raises
    ------
    InputError
        If ``natural_earth`` cannot be had or read, or the choice is unknown.
    """
    if choice not in CHOICES:
        raise InputError(f"unknown coastlines {choice!r}; choose one of {', '.join(CHOICES)}")
    if choice in ("mask", "none"):
        return None, None
    found = on_disk()
    if found is None:
        wait = patience if choice == "auto" else max(patience, 15.0)
        try:
            found = fetch(answer_within=wait, whole_within=4 * wait)
        except OSError as error:
            reason = f"Natural Earth is not in {data_folder()} and cannot be fetched ({error})"
            if choice == "natural_earth":
                raise InputError(f"{reason}; put ne_50m_land there or use --coastlines mask") from None
            return None, reason
    try:
        return _read(found, grid), None
    except InputError as error:
        if choice == "natural_earth":
            raise
        return None, str(error)


def data_folder() -> Path:
    """Where cartopy keeps the physical layers of Natural Earth."""
    return _target("50m", "land").parent


def on_disk() -> Path | None:
    """The best complete Natural Earth shapefile on this machine, without any network."""
    downloader = _downloader()
    for resolution, layer in _LAYERS:
        keys = _keys(resolution, layer)
        for path in (downloader.pre_downloaded_path(keys), downloader.target_path(keys)):
            if path is not None and all(path.with_suffix(s).is_file() for s in _NEEDED):
                return Path(path)
    return None


def _downloader() -> Any:
    from cartopy.io import Downloader

    return Downloader.from_config(("shapefiles", "natural_earth"))


def _keys(resolution: str, layer: str) -> dict[str, Any]:
    import cartopy

    return {"config": cartopy.config, "resolution": resolution, "category": "physical", "name": layer}


def _target(resolution: str, layer: str) -> Path:
    return Path(_downloader().target_path(_keys(resolution, layer)))


def fetch(*, answer_within: float, whole_within: float) -> Path:
    """Fetch the preferred layer into cartopy's data folder.

    Parameters
    ----------
    answer_within, whole_within : float
        Seconds until the server must have answered, and must have sent everything.

    Raises
    ------
    OSError
        If that fails for any reason; nothing half-made is left.
    """
    resolution, layer = _LAYERS[0]
    url = _downloader().url(_keys(resolution, layer))
    logger.debug("fetching %s", url)
    content = _download(url, answer_within=answer_within, whole_within=whole_within)
    target = _target(resolution, layer)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = set(archive.namelist())
            missing = [s for s in _NEEDED if target.with_suffix(s).name not in names]
            if missing:
                raise OSError(f"{url} lacks {', '.join(missing)}")
            for suffix in _PARTS:
                part = target.with_suffix(suffix)
                if part.name in names:
                    with atomic(part) as temporary:
                        temporary.write_bytes(archive.read(part.name))
    except (zipfile.BadZipFile, InputError) as error:
        raise OSError(f"{url}: {error}") from None
    return target


def _download(url: str, *, answer_within: float, whole_within: float) -> bytes:
    """Read a URL in a thread that is left behind when time is up.

    A socket's time-out does not bound a name look-up, nor a server that sends a byte
    now and then; waiting for the thread does.
    """
    said: queue.Queue[bytes | Exception | None] = queue.Queue()
    host = urllib.parse.urlsplit(url).netloc

    def read() -> None:
        try:
            with urllib.request.urlopen(url, timeout=answer_within) as response:
                said.put(None)
                said.put(response.read())
        except Exception as error:  # handed to the caller below
            said.put(error)

    threading.Thread(target=read, daemon=True, name="natural-earth").start()
    for limit, what in ((answer_within, "no answer"), (whole_within, "not whole")):
        try:
            word = said.get(timeout=limit)
        except queue.Empty:
            raise OSError(f"{what} after {limit:g} s from {host}") from None
        if isinstance(word, Exception):
            reason = getattr(word, "reason", word)
            raise OSError(f"{host}: {' '.join(str(reason).split()) or type(word).__name__}")
        if word is not None:
            return word
    raise AssertionError("the reader says an answer, then the content")


def _read(path: Path, grid: Grid) -> Coastlines:
    from cartopy.io.shapereader import Reader

    resolution, layer = path.stem.split("_")[1:3]
    low, high = _latitude_range(grid)
    try:
        geometries = list(Reader(str(path)).geometries())
        near = [g for g in geometries if g.bounds[3] >= low and g.bounds[1] <= high]
        coast = _coast_of(near) if layer == "land" else near
    except Exception as error:  # pyshp, fiona and shapely raise kinds of their own for damage
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path} is no readable shapefile ({text}); delete it and try again") from None
    return Coastlines(near if layer == "land" else [], coast, f"Natural Earth 1:{resolution}")


def _coast_of(polygons: list[Any]) -> list[Any]:
    """Rims of land polygons without the seams at 180 degrees and at the South Pole, no coasts."""
    import numpy as np
    from shapely import LineString, get_parts

    lines = []
    for polygon in get_parts(polygons):
        for ring in (polygon.exterior, *polygon.interiors):
            points = np.asarray(ring.coords)[:, :2]
            edge = (np.abs(points[:, 0]) > 179.999) | (points[:, 1] < -89.999)
            cuts = np.flatnonzero(edge[1:] & edge[:-1]) + 1
            lines += [LineString(run) for run in np.split(points, cuts) if len(run) > 1]
    return lines


def _latitude_range(grid: Grid) -> tuple[float, float]:
    import numpy as np
    from pyproj import Transformer

    west, east, south, north = grid.extent
    xs, ys = np.meshgrid(np.linspace(west, east, 31), np.linspace(south, north, 31))
    latitude = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True).transform(xs, ys)[1]
    latitude = latitude[np.isfinite(latitude)]
    return float(latitude.min()) - 2.0, float(latitude.max()) + 2.0
