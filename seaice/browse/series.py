"""Series of cells and boxes of a file, from a store that is laid out along time.

A file of maps holds a day in one piece, so that a year of one cell is spread over all of it. The store
is written once from a pass over the days, in pieces of some days by 32 x 32 cells, and beside it sums
over coarse cells of about 25 km, from which series of boxes are added up.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from seaice import InputError
from seaice.browse.cube_maps import CubeMaps
from seaice.browse.layers import Layer
from seaice.browse.map_file import WHOLE, MapFile
from seaice.cf import ICE_EDGE
from seaice.ice_index.stage import extent_and_area
from seaice.regions import Regions
from seaice.report import Progress

logger = logging.getLogger(__name__)

# Side of a piece, cells; cells of a batch of days, which decides the memory that is needed.
_SIDE, _BATCH_CELLS, _MOST_DAYS = 32, 36_000_000, 32
COARSE_KILOMETRES = 25.0
_PERCENT = 100.0
# Sums over a coarse cell: km2 with a value and that times the value; for ice also km2 observed, km2
# within the extent, km2 with an expected error and that times the error.
_SUMS = ("area", "amount")
_ICE_SUMS = ("observed", "extent", "error_area", "error_amount")


@dataclass(frozen=True)
class SeriesFrame:
    """A step as a series needs it.

    Attributes
    ----------
    values : ndarray of float32, shape (rows, columns)
        In units of the layer; NaN has no value, such as land.
    packed : dict of str to ndarray, shape (rows, columns)
        What the store keeps of every cell: ``value``; of ice also ``flag`` and ``error``.
    observed : ndarray of bool, shape (rows, columns), or None
        None where the file does not tell filled values from observed ones.
    error : ndarray of float32, shape (rows, columns), or None
        Expected error, in units of the layer; NaN where there is none.
    """

    values: np.ndarray
    packed: dict[str, np.ndarray]
    observed: np.ndarray | None = None
    error: np.ndarray | None = None


class FrameSource(Protocol):
    """Reads steps for a store, and says what it keeps."""

    layer: Layer
    is_ice: bool
    types: dict[str, np.dtype[Any]]
    ocean: np.ndarray

    @property
    def maps(self) -> MapFile:
        """The file."""

    def read(self, step: int) -> SeriesFrame:
        """Read a step; InputError if it cannot be read."""


class CubeFrames:
    """Days of a cube: concentration, flags and expected errors, whichever layer is shown."""

    is_ice = True

    def __init__(self, maps: CubeMaps) -> None:
        self.maps = maps
        self._cube = maps.cube
        self.layer = maps.layers[0]
        self.ocean = maps.cube.ocean
        self._has_flags, self._has_error = (
            maps.cube.has(name) for name in ("fill_flag", "sea_ice_conc_error")
        )
        self.types: dict[str, np.dtype[Any]] = {"value": np.dtype(np.int16)}
        if self._has_flags:
            self.types["flag"] = np.dtype(np.uint8)
        if self._has_error:
            self.types["error"] = np.dtype(np.int16)

    def read(self, step: int) -> SeriesFrame:
        """See :class:`FrameSource`."""
        values = self._cube.concentration(step) * np.float32(100)
        packed = {"value": self.layer.pack(values)}
        observed = error = None
        if self._has_flags:
            packed["flag"] = self._cube.flags(step)
            observed = packed["flag"] == self._cube.flag_value("observed")
        if self._has_error:
            error = self.maps.read_error(step)
            packed["error"] = self.layer.pack(error)
        return SeriesFrame(values, packed, observed, error)


class FieldFrames:
    """Steps of one layer of any other file."""

    is_ice = False

    def __init__(self, maps: MapFile, layer: Layer) -> None:
        self.maps, self.layer = maps, layer
        self.types: dict[str, np.dtype[Any]] = {"value": np.dtype(layer.store)}
        self.ocean = np.ones(maps.shape, bool)

    def read(self, step: int) -> SeriesFrame:
        """See :class:`FrameSource`."""
        packed = self.maps.read(self.layer, step, WHOLE, WHOLE)
        return SeriesFrame(self.layer.unpack(packed).astype(np.float32), {"value": packed})


def make_frames(maps: MapFile, layer: Layer) -> FrameSource:
    """What the series of a layer are made of."""
    return CubeFrames(maps) if isinstance(maps, CubeMaps) else FieldFrames(maps, layer)


@dataclass
class Summary:
    """Numbers of every step, as far as they are computed; NaN before.

    Attributes
    ----------
    done : int
        Number of steps that are computed.
    observed, filled, missing : ndarray of float64, shape (steps,)
        Shares of the ocean area.
    regions : tuple of str
    extent, area : ndarray of float64, shape (steps, regions)
        km2.
    damaged : dict of int to str
        Steps that cannot be read, with the reason.
    trouble : str
        Why no further step is computed; empty while all goes well.
    """

    observed: np.ndarray
    filled: np.ndarray
    missing: np.ndarray
    extent: np.ndarray
    area: np.ndarray
    regions: tuple[str, ...] = ()
    done: int = 0
    damaged: dict[int, str] = field(default_factory=dict)
    trouble: str = ""

    @classmethod
    def make(cls, steps: int, regions: Sequence[str]) -> Summary:
        """Numbers of which none is computed."""
        shares, sums = (np.full(shape, np.nan) for shape in ((3, steps), (2, steps, len(regions))))
        return cls(shares[0], shares[1], shares[2], sums[0], sums[1], tuple(regions))


def round_all(values: np.ndarray, digits: int) -> list[float | None]:
    """Rounded numbers for JSON; None where there is none."""
    return [None if value != value else round(value, digits) for value in values.tolist()]


class SeriesStore:
    """Store of the series of a layer, filled by :meth:`build` and read at any time.

    Parameters
    ----------
    source : FrameSource
    path : Path
        HDF5 file to make.
    lock : threading.Lock
        Held while the file of maps is read.
    regions : sequence of str
        Regions whose extent is summed, of ice: the whole ocean and the others.
    read_divisions : callable
        Returns the divisions of the grid into these regions, in order; called by :meth:`build`.

    Attributes
    ----------
    summary : Summary
    coarse : int
        Cells along a side of a coarse cell.
    coarse_shape : (int, int)
    """

    def __init__(
        self,
        source: FrameSource,
        path: Path,
        *,
        lock: threading.Lock,
        regions: Sequence[str] = (),
        read_divisions: Callable[[], Sequence[Regions]] = tuple,
    ) -> None:
        grid = source.maps.grid
        if grid is None:
            raise InputError(f"{source.maps.path}: expected maps on a grid, found none")
        self._source, self._grid, self._path, self._lock = source, grid, path, lock
        self._read_divisions = read_divisions
        self.steps = len(source.maps.steps)
        self.coarse = max(1, round(COARSE_KILOMETRES / grid.kilometres))
        self.coarse_shape = tuple(-(-count // self.coarse) for count in grid.shape)
        self.summary = Summary.make(self.steps, regions)
        self._batch = int(np.clip(_BATCH_CELLS // (grid.rows * grid.columns), 1, _MOST_DAYS))
        self._file = self._create()

    @property
    def sum_names(self) -> tuple[str, ...]:
        """Names of the sums over coarse cells."""
        return _SUMS + (_ICE_SUMS if self._source.is_ice else ())

    def _create(self) -> Any:
        import h5py

        file = h5py.File(self._path, "w", libver="latest")
        for shape, names in (
            (self._grid.shape, self._source.types),
            (self.coarse_shape, dict.fromkeys(self.sum_names, np.dtype(np.float32))),
        ):
            side = tuple(min(_SIDE, count) for count in shape)
            for name, kind in names.items():
                file.create_dataset(
                    name,
                    (self.steps, *shape),
                    kind,
                    chunks=(min(self._batch, self.steps), *side),
                    compression="lzf",
                    shuffle=kind.itemsize > 1,
                )
        return file

    @cached_property
    def cell_area(self) -> np.ndarray:
        """Area of the cells, km2, float32 (rows, columns)."""
        return self._grid.cell_area().astype(np.float32)

    @cached_property
    def ocean_area(self) -> np.ndarray:
        """Area of the coarse cells that may have a value, km2, float64."""
        return self._sum_blocks(self.cell_area * self._source.ocean)

    @cached_property
    def _regions(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
        """Cells, their areas and codes, and the number of regions of every division."""
        area, parts = self._grid.cell_area().ravel(), []
        for division in self._read_divisions():
            cells = np.flatnonzero(division.codes).astype(np.int32)
            codes = division.codes.ravel()[cells].astype(np.intp)
            parts.append((cells, area[cells], codes, len(division.names)))
        return parts

    def build(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Read all steps once; ends early when ``stop`` says so."""
        with Progress(total=self.steps, label="days", logger=logger) as progress:
            for first in range(0, self.steps, self._batch):
                steps = range(first, min(first + self._batch, self.steps))
                frames = self._make_batch(len(steps))
                for place, step in enumerate(steps):
                    if stop():
                        return
                    self._add_step(frames, place, step)
                    progress.unit(f"{self._source.maps.steps[step]} indexed")
                for name, part in frames.items():
                    self._file[name][steps.start : steps.stop] = part
                self.summary.done = steps.stop

    def _make_batch(self, count: int) -> dict[str, np.ndarray]:
        fine = {n: np.zeros((count, *self._grid.shape), t) for n, t in self._source.types.items()}
        coarse = {n: np.zeros((count, *self.coarse_shape), np.float32) for n in self.sum_names}
        return fine | coarse

    def _add_step(self, frames: dict[str, np.ndarray], place: int, step: int) -> None:
        try:
            with self._lock:
                frame = self._source.read(step)
        except InputError as error:
            self.summary.damaged[step] = str(error)
            frames["value"][place] = self._source.layer.pack(np.full(self._grid.shape, np.nan))
            return
        for name, cells in frame.packed.items():
            frames[name][place] = cells
        for name, cells in self._weigh(frame):
            frames[name][place] = self._sum_blocks(cells)
        if self.summary.regions:
            self._sum_regions(frame, step)

    def _weigh(self, frame: SeriesFrame) -> list[tuple[str, np.ndarray]]:
        """Areas of every cell whose sums the store keeps."""
        area, has_value = self.cell_area, ~np.isnan(frame.values)
        values = np.where(has_value, frame.values, np.float32(0))
        parts = [("area", area * has_value), ("amount", area * values)]
        if self._source.is_ice:
            observed = has_value if frame.observed is None else frame.observed & has_value
            error = frame.error if frame.error is not None else np.full_like(values, np.nan)
            has_error = ~np.isnan(error)
            is_ice = has_value & (values >= np.float32(_PERCENT * ICE_EDGE - 1e-4))
            parts += [
                ("observed", area * observed),
                ("extent", area * is_ice),
                ("error_area", area * has_error),
                ("error_amount", area * np.where(has_error, error, np.float32(0))),
            ]
        return parts

    def _sum_blocks(self, cells: np.ndarray) -> np.ndarray:
        """Sum cells over coarse cells; those at the far edges may be smaller."""
        for axis in (0, 1):
            starts = np.arange(0, cells.shape[axis], self.coarse)
            cells = np.add.reduceat(cells, starts, axis=axis, dtype=np.float64)
        return cells

    def _sum_regions(self, frame: SeriesFrame, step: int) -> None:
        sums, first, summary = [], 0, self.summary
        for cells, area, codes, count in self._regions:
            values = frame.values.ravel()[cells] / np.float32(_PERCENT)
            observed = None if frame.observed is None else frame.observed.ravel()[cells]
            day = extent_and_area(values, area, region=codes, count=count, observed=observed)
            part = slice(first, first + count)
            summary.extent[step, part], summary.area[step, part] = day.extent, day.area
            if not first:  # the whole ocean
                has_value = ~np.isnan(values)
                measured = has_value if observed is None else has_value & observed
                sums = [float(area[part].sum()) for part in (measured, has_value)]
                total = float(area.sum()) or np.nan  # a map without ocean has no shares
                summary.observed[step] = sums[0] / total
                summary.filled[step] = (sums[1] - sums[0]) / total
                summary.missing[step] = 1 - sums[1] / total
            first += count

    def read_cell(self, row: int, column: int) -> dict[str, Any]:
        """Series of a cell, for JSON: values, flags and errors; None where there is no number."""
        done, layer = self.summary.done, self._source.layer
        if not (0 <= row < self._grid.rows and 0 <= column < self._grid.columns):
            raise InputError(f"expected a cell of {self._grid.shape}, found {row}, {column}")
        stored = {name: self._file[name][:done, row, column] for name in self._source.types}
        answer: dict[str, Any] = {"done": done, "values": round_all(layer.unpack(stored["value"]), 4)}
        if "flag" in stored:
            answer["flags"] = stored["flag"].tolist()
        if "error" in stored:
            answer["errors"] = round_all(layer.unpack(stored["error"]), 4)
        return answer

    def read_box(self, rows: slice, columns: slice) -> dict[str, Any]:
        """Series of a box of coarse cells, for JSON: km2, or the mean of a layer that is no ice."""
        sums = self.sum_box(rows, columns)
        done, area = self.summary.done, sums["area"]
        if not self._source.is_ice:
            mean = np.divide(sums["amount"], area, out=np.full(done, np.nan), where=area > 0)
            return {"done": done, "mean": round_all(mean, 4), "area": round_all(area, 1)}
        has_value = area > 0
        observed = sums["observed"] / np.maximum(area, 1e-9)
        missing = self.ocean_area[rows, columns].sum() - area
        return {
            "done": done,
            "extent": round_all(np.where(has_value, sums["extent"], np.nan), 1),
            "area": round_all(np.where(has_value, sums["amount"] / _PERCENT, np.nan), 1),
            "observed": round_all(np.where(has_value, observed, np.nan), 4),
            "missing": round_all(missing, 1),
        }

    def sum_box(self, rows: slice, columns: slice) -> dict[str, np.ndarray]:
        """Sums over a box of coarse cells, float64 (steps done,) by name."""
        parts = self.read_sums(rows, columns)
        return {name: part.sum(axis=(1, 2), dtype=np.float64) for name, part in parts.items()}

    def read_sums(self, rows: slice, columns: slice) -> dict[str, np.ndarray]:
        """Sums of the coarse cells of a box, float32 (steps done, rows, columns) by name."""
        done = self.summary.done
        return {name: self._file[name][:done, rows, columns] for name in self.sum_names}

    def close(self) -> None:
        """Close and remove the store."""
        self._file.close()
        self._path.unlink(missing_ok=True)
