"""What the page can ask: a key such as ``tile/0/2/31/1/0/0``, answered with JSON or the bytes of cells.

A key holds numbers alone. Nothing of it is ever part of a path.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import seaice
from seaice import InputError, cf
from seaice.browse.cube_maps import CubeMaps
from seaice.browse.geometry import PositionNodes, list_graticule, project_coast
from seaice.browse.layers import LAND, NO_VALUE, WATER, describe_swatch
from seaice.browse.map_file import MapFile
from seaice.browse.series import SeriesStore, make_frames, round_all
from seaice.drawing import palette
from seaice.ice_index.stage import WHOLE_GRID, read_divisions
from seaice.regions import Regions, find_seas

logger = logging.getLogger(__name__)

TILE = 512
_CACHE_BYTES = 128 << 20
JSON, BYTES = "application/json", "application/octet-stream"
_WATER = palette.Swatch("lake, or ocean without ice", "#b9d3e6")


# Characters of a text of a file that are shown.
_MOST_TEXT = 500


# Held while a file is read: the library of NetCDF files is not for several threads, whichever file each
# of them reads.
_READING = threading.Lock()


class NoSuchAnswer(Exception):
    """A key that the page never asks."""


class Answer(NamedTuple):
    """Content and media type of an answer."""

    content: bytes
    kind: str


@dataclass(frozen=True)
class View:
    """How the cells of a file are cut into tiles.

    Attributes
    ----------
    tile : int
        Cells along a side of a tile.
    levels : tuple of int
        On level k every 2**k-th cell is shown.
    """

    tile: int
    levels: tuple[int, ...]

    @classmethod
    def of(cls, shape: tuple[int, int], tile: int = TILE) -> View:
        """All levels down to one tile."""
        most = max(0, int(np.ceil(np.log2(max(shape) / tile))))
        return cls(tile, tuple(range(most + 1)))

    def choose_cells(self, count: int, level: int, number: int) -> np.ndarray:
        """Numbers of the rows or columns that a tile shows, of ``count``; empty beyond the map."""
        side = 1 << level
        end = -(-count // side)
        first = min(number * self.tile, end)  # a client may ask for a number of any size
        samples = np.arange(first, min(first + self.tile, end))
        return np.minimum(samples * side + side // 2, count - 1)


class FileAnswers:
    """Answers about one file.

    Parameters
    ----------
    maps : MapFile
    folder : Path
        For the stores of series.
    regions : sequence of str
        Regions as in ``ice_index.py``; by default the seas of the grid.
    view : View, optional
    """

    def __init__(
        self, maps: MapFile, folder: Path, *, regions: Sequence[str] = (), view: View | None = None
    ) -> None:
        self.maps, self._folder, self._regions = maps, folder, list(regions)
        self.view = view or View.of(maps.shape)
        self._lock = _READING
        self._tile_lock, self._store_lock = threading.Lock(), threading.Lock()
        self._tiles: OrderedDict[tuple[int, ...], bytes] = OrderedDict()
        self._stores: dict[str, SeriesStore] = {}
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._stamp = _read_stamp(maps.path)

    def check_unchanged(self) -> None:
        """Raise InputError if the file is no longer the one that was opened."""
        if _read_stamp(self.maps.path) != self._stamp:
            raise InputError(
                f"{self.maps.path.name} has changed since browse.py opened it; start browse.py again"
            )

    @cached_property
    def _nodes(self) -> PositionNodes:
        with self._lock:
            return PositionNodes.of(self.maps)

    def describe(self) -> dict[str, Any]:
        """What the page must know of the file, for JSON."""
        maps = self.maps
        text = {name: str(maps.attributes.get(name, "")) for name in ("title", "source", "references")}
        store = None if not maps.series else self.open_store(maps.series[0])
        grid = maps.grid
        return text | {
            "file": maps.path.name,
            "isSimulated": cf.is_simulated(maps.attributes),
            "isIce": isinstance(maps, CubeMaps),
            "rows": maps.shape[0],
            "columns": maps.shape[1],
            "firstRow": maps.first_row,
            "grid": "lines and samples of a scene" if grid is None else str(grid),
            "place": maps.path.name if grid is None else grid.describe_place(),
            "kilometres": None if grid is None else grid.kilometres,
            "steps": maps.steps,
            "days": [str(day) for day in maps.dates],
            "notes": maps.notes,
            "layers": [layer.describe() for layer in maps.layers],
            "series": list(maps.series),
            "bounds": list(maps.bounds),
            "special": _describe_special(maps.missing),
            "tile": self.view.tile,
            "levels": list(self.view.levels),
            "nodeRows": self._nodes.rows.tolist(),
            "nodeColumns": self._nodes.columns.tolist(),
            "graticule": list_graticule(grid),
            "regions": [] if store is None else list(store.summary.regions),
            "coarse": None if store is None else store.coarse,
            "coarseShape": None if store is None else list(store.coarse_shape),
        }

    def read_positions(self) -> bytes:
        """Unit vectors of the nodes, float32."""
        return self._nodes.vectors.astype("<f4").tobytes()

    def read_coast(self) -> bytes:
        """Coastlines, float32."""
        return project_coast(self.maps.grid).astype("<f4").tobytes()

    def read_tile(self, layer: int, step: int, level: int, row: int, column: int) -> bytes:
        """Cells of a tile, row by row, as :meth:`seaice.browse.layers.Layer.pack` stores them."""
        if layer >= len(self.maps.layers) or step >= len(self.maps.steps):
            raise NoSuchAnswer
        if level not in self.view.levels:
            raise NoSuchAnswer
        if self.maps.layers[layer].is_static:
            step = 0
        key = (layer, step, level, row, column)
        with self._tile_lock:
            if key in self._tiles:
                self._tiles.move_to_end(key)
                return self._tiles[key]
        content = self._cut_tile(*key)
        with self._tile_lock:
            self._tiles[key] = content
            while sum(map(len, self._tiles.values())) > _CACHE_BYTES and len(self._tiles) > 1:
                self._tiles.popitem(last=False)
        return content

    def _cut_tile(self, layer: int, step: int, level: int, row: int, column: int) -> bytes:
        numbers = zip(self.maps.shape, (row, column), strict=True)
        rows, columns = (self.view.choose_cells(count, level, n) for count, n in numbers)
        if not rows.size or not columns.size:
            raise NoSuchAnswer
        parts = [slice(int(cells[0]), int(cells[-1]) + 1) for cells in (rows, columns)]
        with self._lock:
            cells = self.maps.read(self.maps.layers[layer], step, *parts)
        shown = cells[np.ix_(rows - rows[0], columns - columns[0])]
        return shown.astype(shown.dtype.newbyteorder("<")).tobytes()

    def open_store(self, name: str) -> SeriesStore:
        """The store of the series of a layer; its days are read in the background from now on."""
        maps = self.maps
        name = maps.series[0] if isinstance(maps, CubeMaps) else name
        with self._store_lock:
            if name not in self._stores:
                layer = next(layer for layer in maps.layers if layer.name == name)
                path = self._folder / f"{id(self)}_{len(self._stores)}.h5"
                regions, read = self._plan_regions()
                store = SeriesStore(
                    make_frames(maps, layer),
                    path,
                    lock=self._lock,
                    regions=regions,
                    read_divisions=read,
                )
                self._stores[name] = store
                self._start(store)
            return self._stores[name]

    def _plan_regions(self) -> tuple[list[str], Callable[[], Sequence[Regions]]]:
        """Names of the regions of a cube, and what reads them; that of seas takes its time."""
        maps = self.maps
        if not isinstance(maps, CubeMaps):
            return [], tuple
        cube = maps.cube
        with self._lock:
            ocean = cube.ocean
            divisions = read_divisions(cube, ocean, self._regions) if self._regions else []
        if not divisions:
            seas = find_seas(cube.grid, ocean)
            return [WHOLE_GRID, *seas], lambda: read_divisions(cube, ocean, seas)
        return [name for division in divisions for name in division.names], lambda: divisions

    def _start(self, store: SeriesStore) -> None:
        def build() -> None:
            try:
                store.build(self._stopped.is_set)
            except Exception as error:
                store.summary.trouble = f"series cannot be made: {error}"
                logger.exception("%s: series cannot be made", self.maps.path)

        thread = threading.Thread(target=build, name="series", daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Wait until the series that were asked for are complete."""
        for thread in self._threads:
            thread.join()

    def _get_store(self, layer: int) -> SeriesStore:
        if layer >= len(self.maps.layers) or self.maps.layers[layer].name not in self.maps.series:
            raise NoSuchAnswer
        return self.open_store(self.maps.layers[layer].name)

    def summarise(self) -> dict[str, Any]:
        """Shares of the days as far as they are computed."""
        if not self.maps.series:
            return {"done": len(self.maps.steps), "observed": [], "damaged": {}, "trouble": ""}
        summary = self.open_store(self.maps.series[0]).summary
        done = summary.done
        shares = {
            name: round_all(getattr(summary, name)[:done], 5)
            for name in ("observed", "filled", "missing")
        }
        damaged = {str(step): text for step, text in list(summary.damaged.items())}
        return shares | {"done": done, "damaged": damaged, "trouble": summary.trouble}

    def read_region(self, number: int) -> dict[str, Any]:
        """Extent and area of a region."""
        summary = None if not self.maps.series else self.open_store(self.maps.series[0]).summary
        if summary is None or number >= len(summary.regions):
            raise NoSuchAnswer
        done = summary.done
        parts = {
            name: round_all(getattr(summary, name)[:done, number], 1) for name in ("extent", "area")
        }
        return parts | {"done": done}

    def read_cell(self, layer: int, row: int, column: int) -> dict[str, Any]:
        """Series of a cell."""
        if row >= self.maps.shape[0] or column >= self.maps.shape[1]:
            raise NoSuchAnswer
        return self._get_store(layer).read_cell(row, column)

    def read_box(self, layer: int, *ends: int) -> dict[str, Any]:
        """Series of the coarse cells from a first to a last row and column."""
        store = self._get_store(layer)
        row0, row1, column0, column1 = ends
        rows, columns = store.coarse_shape
        if not (row0 <= row1 < rows and column0 <= column1 < columns):
            raise NoSuchAnswer
        return store.read_box(slice(row0, row1 + 1), slice(column0, column1 + 1))

    def close(self) -> None:
        """Stop the work in the background, and close the file and its stores."""
        self._stopped.set()
        self.wait()
        for store in self._stores.values():
            store.close()
        with self._lock:
            self.maps.close()


def _read_stamp(path: Path) -> tuple[int, int, int] | None:
    """What tells a file from a later one; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _describe_special(missing: palette.Swatch) -> list[dict[str, Any]]:
    """Legend entries of cells without a number, for JSON: without a value, land, water."""
    swatches = {NO_VALUE: missing, LAND: palette.LAND_SWATCH, WATER: _WATER}
    return [describe_swatch(code, swatch) for code, swatch in swatches.items()]


class Answers:
    """Answers about some files.

    Parameters
    ----------
    files : sequence of FileAnswers
    is_exported : bool
        Whether the page reads script files of a folder.
    """

    def __init__(self, files: Sequence[FileAnswers], *, is_exported: bool = False) -> None:
        self.files, self._is_exported = list(files), is_exported
        self._routes: list[tuple[str, Callable[..., Any]]] = [
            (r"summary/(\d+)", lambda f: self._get(f).summarise()),
            (r"region/(\d+)/(\d+)", lambda f, *n: self._get(f).read_region(*n)),
            (r"positions/(\d+)", lambda f: self._get(f).read_positions()),
            (r"coast/(\d+)", lambda f: self._get(f).read_coast()),
            (r"tile/(\d+)/(\d+)/(\d+)/(\d+)/(\d+)/(\d+)", lambda f, *n: self._get(f).read_tile(*n)),
            (r"cell/(\d+)/(\d+)/(\d+)/(\d+)", lambda f, *n: self._get(f).read_cell(*n)),
            (r"box/(\d+)/(\d+)/(\d+)/(\d+)/(\d+)/(\d+)", lambda f, *n: self._get(f).read_box(*n)),
        ]

    def _get(self, number: int) -> FileAnswers:
        if number >= len(self.files):
            raise NoSuchAnswer
        self.files[number].check_unchanged()
        return self.files[number]

    def describe(self) -> dict[str, Any]:
        """All that the page must know before it asks."""
        colours = {
            "coast": palette.COASTLINE,
            "graticule": palette.GRATICULE,
            "hatch": palette.NO_VALUE_HATCH,
        }
        return {
            "version": seaice.__version__,
            "isExported": self._is_exported,
            "colours": colours,
            "files": [clean_texts(file.describe()) for file in self.files],
        }

    def answer(self, key: str) -> Answer:
        """Answer a key.

        Raises
        ------
        NoSuchAnswer
            If no answer has the key.
        InputError
            If the file cannot be read there.
        """
        if key == "meta":
            return Answer(write_json(self.describe()), JSON)
        for pattern, reply in self._routes:
            match = re.fullmatch(pattern, key, re.ASCII) if len(key) < 80 else None
            if match:
                content = reply(*map(int, match.groups()))
                if isinstance(content, bytes):
                    return Answer(content, BYTES)
                return Answer(write_json(content), JSON)
        raise NoSuchAnswer

    def hide_folders(self, text: str) -> str:
        """A message with the names of the files alone: where they lie is nobody else's business."""
        for file in self.files:
            text = text.replace(str(file.maps.path), file.maps.path.name)
        return text

    def close(self) -> None:
        """Close all files."""
        for file in self.files:
            file.close()


def clean_texts(content: Any) -> Any:
    r"""JSON content without what a text may do to a page.

    Examples
    --------
    >>> clean_texts({"title": "ice \u202e\n1"})
    {'title': 'ice 1'}
    """
    if isinstance(content, dict):
        return {name: clean_texts(part) for name, part in content.items()}
    if isinstance(content, list):
        return [clean_texts(part) for part in content]
    if not isinstance(content, str):
        return content
    printable = (letter if letter.isprintable() else " " for letter in content[: 4 * _MOST_TEXT])
    shown = " ".join("".join(printable).split())
    return shown if len(shown) <= _MOST_TEXT else f"{shown[:_MOST_TEXT]} ..."


def write_json(content: Any) -> bytes:
    """JSON of numbers that are finite, and texts of whatever characters."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")
