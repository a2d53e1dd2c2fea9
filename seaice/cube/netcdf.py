"""Writing a cube as a NetCDF-4 file: its variables, then packed days, then attributes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.cube.packing import (
    PACKED,
    Packing,
)
from seaice.dates import day_number
from seaice.grids import Grid
from seaice.open_file import open_hdf5

PER_DAY = ("missing_ocean_cells", "missing_pole_cells", "filled_ocean_cells", "day_status")
# Numbers of HDF5's filters by compression, for words and for bytes: shuffle, deflate, Zstandard.
_FILTERS = {
    ("zlib", True): [2, 1],
    ("zlib", False): [1],
    ("zstd", True): [32015],
    ("zstd", False): [32015],
    ("none", True): [1],
    ("none", False): [1],
}


def create(
    path: Path,
    *,
    start: date,
    days: int,
    grid: Grid,
    surface: np.ndarray,
    lat_lon: bool,
    attributes: Mapping[str, Any],
    compression: str,
    further: Sequence[cf.Variable] = (),
) -> None:
    """Make a cube with all its variables and its time axis; :class:`Cube` adds the days.

    Parameters are those of :func:`seaice.cube.zarr.create`.
    """
    import netCDF4

    with netCDF4.Dataset(path, "w") as dataset:
        dataset.setncatts(dict(attributes))
        cf.write_time(dataset, day_number(start) + np.arange(days, dtype=np.int32))
        cf.write_grid(dataset, grid, lat_lon=lat_lon)
        dataset.createDimension("text", cf.TEXT_WIDTHS["input_file"])
        dataset.createDimension("digest", cf.TEXT_WIDTHS["input_sha256"])
        cf.define_variable(dataset, "surface")[:] = surface
        level = 0 if compression == "none" else 1
        rows: list[str | cf.Variable] = [*PACKED, *further]
        for row in rows:
            cf.define_variable(
                dataset, row, compression="zlib" if compression == "none" else compression, level=level
            )
        for name in (*PER_DAY, *cf.TEXT_WIDTHS):
            cf.define_variable(dataset, name)


def clone(source: Path, target: Path) -> None:
    """Make a copy of a cube that can be written to."""
    shutil.copyfile(source, target)


def stored_tile(path: Path) -> tuple[int, int] | None:
    """Rows and columns of a chunk of a cube, None if its chunks are not one day deep."""
    with open_hdf5(path) as file:
        chunks = file[PACKED[0]].chunks
    return (chunks[1], chunks[2]) if chunks and chunks[0] == 1 else None


def check_packing(path: Path, packing: Packing) -> None:
    """Refuse a cube whose chunks are not as this packing makes them; InputError.

    Chunks are appended as they are, so they must be what the file says they are.
    """
    with open_hdf5(path) as file:
        for name in PACKED:
            chunks, filters = file[name].chunks, _filters(file[name])
            if (
                chunks != (1, *packing.tile)
                or filters != _FILTERS[packing.compression, name == PACKED[0]]
            ):
                raise InputError(
                    f"{path} was stored by another program: {name} has chunks {chunks} and HDF5 filters "
                    f"{filters}; make the cube again with --force to extend it"
                )


def _filters(variable: Any) -> list[int]:
    creation = variable.id.get_create_plist()
    return [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]


class Cube:
    """Puts packed days into a cube.

    The per-day variables are written by the NetCDF library. Chunks bypass the filters of HDF5:
    they are packed already, and their bytes are stored as they are.

    Parameters
    ----------
    path : Path
        A cube made by :func:`create`, or a copy of a finished one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: Any = None
        self._tiles: dict[str, list[tuple[int, int]]] = {}

    def annotate(self, attributes: Mapping[str, Any]) -> None:
        """Replace global attributes; a ``history`` is put before the existing one."""
        with self._library() as dataset:
            before = dataset.getncattr("history") if "history" in dataset.ncattrs() else ""
            dataset.setncatts(cf.add_history(attributes, before))

    def put_table(self, first: int, table: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Write the per-day variables of a run of days; the time axis grows to hold them.

        Parameters
        ----------
        first : int
            Position of the first day on the axis.
        table : mapping
            Arrays with one row a day, texts as lists.
        """
        with self._library() as dataset:
            for name, rows in table.items():
                if name in cf.TEXT_WIDTHS:
                    width = cf.TEXT_WIDTHS[name]
                    rows = np.stack([cf.encode_text(str(text), width) for text in rows])
                dataset[name][first : first + len(rows)] = rows

    def put_map(self, name: str, values: np.ndarray) -> None:
        """Store a map without time, as stored numbers."""
        with self._library() as dataset:
            dataset[name][:] = values

    def put_day(self, i: int, chunks: Mapping[str, Sequence[bytes]]) -> None:
        """Store the packed chunks (:class:`seaice.cube.packing.PackedDay`) of the day at a position."""
        if self._file is None:
            self._open()
        for name, of_variable in chunks.items():
            variable = self._file[name].id
            for (y, x), chunk in zip(self._tiles[name], of_variable, strict=True):
                variable.write_direct_chunk((i, y, x), chunk)

    def _open(self) -> None:
        import h5py

        self._file = h5py.File(self._path, "r+")
        days = len(self._file["time"])
        for name, variable in self._file.items():
            if variable.ndim != 3:
                continue
            variable.resize(days, axis=0)
            rows, columns = (
                range(0, n, step)
                for n, step in zip(variable.shape[1:], variable.chunks[1:], strict=True)
            )
            self._tiles[name] = [(y, x) for y in rows for x in columns]

    def _library(self) -> Any:
        import netCDF4

        self.close()
        dataset = netCDF4.Dataset(self._path, "r+")
        dataset.set_auto_maskandscale(False)
        dataset.set_auto_chartostring(False)
        return dataset

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
