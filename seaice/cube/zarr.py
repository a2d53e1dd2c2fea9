"""Writing a cube as a Zarr v3 group: a folder with the variables of the NetCDF cube.

A day of a gridded variable is one shard: a file of encoded chunks with an index. Days are
written as encoded chunks, so that days can be encoded in parallel; each day has files of
its own. Everything of a day that is not gridded is a row of a table
in chunks of 1024 days.

Files are only ever replaced, never changed in place, so that a copy may share them with
its original (:func:`clone`).
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from seaice import (
    InputError,
    cf,
)
from seaice.cube.packing import Packing
from seaice.cube.shards import (
    CHUNK_KEYS,
    Layout,
    layout_of,
    own_layout,
    read_index,
    write_shard,
)
from seaice.dates import day_number
from seaice.grids import Grid
from seaice.open_file import open_zarr

if TYPE_CHECKING:
    import zarr

# Names as in the option; what the Zarr specification calls them. "zlib" is deflate in both
# containers, which Zarr v3 knows in the wrapping of gzip alone.
CODECS: dict[str, dict[str, Any]] = {
    "zstd": {"name": "zstd", "configuration": {"level": 1, "checksum": True}},
    "zlib": {"name": "gzip", "configuration": {"level": 1}},
    "none": {"name": "gzip", "configuration": {"level": 0}},  # copies, with a checksum
}

# A file of every 1024 days and variable: an append rewrites the last one.
DAYS_PER_CHUNK = 1024

# What NetCDF returns for a value that was never written. It must differ from every value: 0
# would mean open water, observed, or 1970.
_UNWRITTEN: dict[str, Any] = {
    "i4": -2147483647,
    "i2": -32767,
    "i1": -127,
    "u1": 255,
    "f4": np.nan,
    "f8": np.nan,
}

_GZIP_START = b"\x1f\x8b\x08"  # signature and method; flags and four bytes of time follow

GRIDDED = tuple(n for n, v in cf.VARIABLES.items() if v.dimensions == ("time", "y", "x"))
TABLE = tuple(n for n, v in cf.VARIABLES.items() if v.dimensions[0] == "time" and n not in GRIDDED)


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

    Parameters
    ----------
    path : Path
        Folder to make.
    start : date
        First day.
    days : int
        Length of the time axis.
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.flags.Surface`.
    lat_lon : bool
        Store latitude and longitude of every cell too.
    attributes : mapping
        Global attributes.
    compression : {"zstd", "zlib", "none"}
        Compression of every chunk, see ``CODECS``; level 1.
    further : sequence of Variable
        Maps that only some cubes have.

    Raises
    ------
    InputError
        If the compression is another.
    """
    import zarr

    if compression not in CODECS:
        raise InputError(f"expected compression to be one of {', '.join(CODECS)}, found {compression!r}")
    group = zarr.create_group(str(path), zarr_format=3)
    make = _Maker(group, days, grid, compression, lat_lon)
    make.array("time", "i4", ("time",), cf.TIME_ATTRIBUTES)
    make.array("time_bnds", "i4", ("time", "bnds"), {})
    for name, values in (("y", grid.y), ("x", grid.x)):
        make.array(name, "f8", (name,), cf.describe_axis(name, grid))[:] = values
    make.array("crs", "i4", (), cf.describe_crs(grid))[...] = np.int32(0)
    if lat_lon:
        longitude, latitude = grid.longitude_latitude()
        make.of_table("lat")[:] = latitude
        make.of_table("lon")[:] = longitude
    make.of_table("surface")[:] = surface
    rows: list[str | cf.Variable] = [*GRIDDED, *TABLE, *further]
    for row in rows:
        make.of_table(row)
    _write_group(path, {**attributes, "grid_id": grid.id})
    with Cube(path) as cube:
        cube._begin_days(day_number(start), slice(0, days))
    _clear_times(path, [name for name in make.names if name not in GRIDDED])


class _Maker:
    """Makes the arrays of one cube."""

    def __init__(
        self, group: zarr.Group, days: int, grid: Grid, compression: str, lat_lon: bool
    ) -> None:
        self._group = group
        self._sizes = {"time": days, "bnds": 2, "y": grid.rows, "x": grid.columns}
        self._tile = cf.choose_chunk_shape(grid.shape)
        self._codec = CODECS[compression]
        self.names: list[str] = []
        self._lat_lon = lat_lon

    def of_table(self, name: str | cf.Variable) -> zarr.Array[Any]:
        """A variable of ``cf.VARIABLES``, or a row like these; characters become strings."""
        row = cf.VARIABLES[name] if isinstance(name, str) else name
        attributes = cf.describe_variable(row, lat_lon=self._lat_lon)
        if row.dtype == "S1":
            return self.array(row.name, "S1", row.dimensions[:1], attributes)
        return self.array(row.name, row.dtype, row.dimensions, attributes, row.fill_value)

    def array(
        self,
        name: str,
        dtype: str,
        dimensions: tuple[str, ...],
        attributes: Mapping[str, Any],
        fill: float | None = None,
    ) -> zarr.Array[Any]:
        """Any variable; ``fill`` is its ``_FillValue``, if it has one."""
        attributes = {k: make_plain(v) for k, v in attributes.items()}
        if fill is not None:
            attributes["_FillValue"] = encode_fill_value(fill, dtype)
        shape = tuple(self._sizes[d] for d in dimensions)
        chunks, shards = self._chunks(dimensions)
        self.names.append(name)
        array = self._group.create_array(
            name,
            shape=shape,
            chunks=chunks,
            shards=shards,
            dtype=str if dtype == "S1" else dtype,
            fill_value="" if dtype == "S1" else _UNWRITTEN[dtype] if fill is None else fill,
            compressors=[self._codec] if self._codec else None,
            chunk_key_encoding=CHUNK_KEYS,
            dimension_names=dimensions,
            attributes=attributes,
        )
        return stored_whole(array)

    def _chunks(self, dimensions: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Shape of the chunks, and of the shard that holds them."""
        if dimensions[-2:] == ("y", "x"):
            layout = Layout((self._sizes["y"], self._sizes["x"]), self._tile, "u1", "", 0)
            day = (1,) * (len(dimensions) - 2)
            return day + self._tile, day + layout.shard
        return tuple(DAYS_PER_CHUNK if d == "time" else self._sizes[d] for d in dimensions), None


def encode_fill_value(fill: float, dtype: str) -> Any:
    """Encode a fill value as an attribute: xarray expects those of floats as base64 of a double."""
    if dtype.startswith("f"):
        return base64.standard_b64encode(np.float64(fill).astype("<f8").tobytes()).decode()
    return fill


def stored_whole(array: zarr.Array[Any]) -> zarr.Array[Any]:
    """An array that stores every chunk, be it of nothing but fill values.

    An absent chunk file is then one that was lost.
    """
    return array.with_config({"write_empty_chunks": True})


def make_plain(value: Any) -> Any:
    """A value of an attribute in a type of JSON; 0.0001 stays 0.0001, not its nearest float32."""
    if isinstance(value, np.float32):
        return float(str(value))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


class Cube:
    """A cube made by :func:`create`, or a :func:`clone` of one, open for writing.

    :meth:`put_day` may be called for different days from several threads at once, also from
    several processes. Everything else is for one caller.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path
    days : int
        Length of the time axis.
    tiles : tuple of int
        Rows and columns of chunks that a day has.
    """

    def __init__(self, path: Path) -> None:
        import zarr

        self.path = Path(path)
        self._group = zarr.open_group(str(path), mode="r+", zarr_format=3, use_consolidated=False)
        self._arrays = {name: stored_whole(array) for name, array in self._group.arrays()}
        daily = self._arrays[GRIDDED[0]]
        layout = own_layout(daily)
        if layout is None:
            raise InputError(f"{path} was not laid out by this toolbox, so no day can be put into it")
        self.days, self.tiles = daily.shape[0], layout.tiles

    def put_day(self, i: int, chunks: Mapping[str, Sequence[bytes]]) -> None:
        """Write the gridded variables of a day; files of the same name are replaced.

        Parameters
        ----------
        i : int
            Position on the time axis.
        chunks : mapping
            Encoded chunks by name of the variable, row by row of tiles, each of a whole
            tile, little-endian and compressed as the cube was created.

        Raises
        ------
        ValueError
            If the day or a number of chunks is not one of this cube.
        """
        expected = self.tiles[0] * self.tiles[1]
        if not 0 <= i < self.days:
            raise ValueError(f"expected a day from 0 to {self.days - 1}, found {i}")
        for name, encoded in chunks.items():
            if self._arrays[name].ndim != 3 or len(encoded) != expected:
                raise ValueError(
                    f"expected {expected} chunks of {', '.join(GRIDDED)}, found {len(encoded)} of {name}"
                )
            write_shard(self.path / name / f"c.{i}.0.0", encoded)

    def put_map(self, name: str, values: np.ndarray) -> None:
        """Store a map without time, as stored numbers."""
        self._arrays[name][:] = values
        _clear_times(self.path, [name])

    def put_table(self, first: int, table: Mapping[str, np.ndarray | Sequence[str]]) -> None:
        """Write the per-day variables of adjacent days; the time axis grows to hold them.

        Parameters
        ----------
        first : int
            Position of the first day.
        table : mapping
            Values by name of the variable, one row a day; texts as strings, cut to the
            bytes that the NetCDF cube has for them.

        Raises
        ------
        ValueError
            If the variables differ in their number of rows, or days were left out before.
        """
        counts = {len(rows) for rows in table.values()}
        if len(counts) != 1 or not 0 <= first <= self.days:
            raise ValueError(
                f"expected as many rows of every variable from a day up to {self.days} on, found "
                f"{sorted(counts)} rows from {first}"
            )
        last = first + counts.pop()
        self.resize(max(self.days, last))
        for name, rows in table.items():
            width = cf.TEXT_WIDTHS.get(name)
            texts = [_cut(str(text), width) for text in rows] if width else []
            self._arrays[name][first:last] = np.array(texts, object) if width else np.asarray(rows)
        _clear_times(self.path, ["time", "time_bnds", *TABLE])

    def resize(self, days: int) -> None:
        """Lengthen the time axis; the new days are missing until they are put.

        Raises
        ------
        ValueError
            If it would become shorter.
        """
        if days < self.days:
            raise ValueError(f"expected at least the {self.days} days there are, found {days}")
        if days == self.days:
            return
        for name in ("time", "time_bnds", *GRIDDED, *TABLE):
            array = self._arrays[name]
            array.resize((days, *array.shape[1:]))
        before, self.days = self.days, days
        first = int(np.asarray(self._arrays["time"][:1])[0])
        self._begin_days(first, slice(before, days))
        _write_group(self.path, self.attributes)

    def _begin_days(self, first: int, part: slice) -> None:
        """Write dates and bounds of new days, and fill values for everything else."""
        numbers = np.arange(first + part.start, first + part.stop, dtype=np.int32)
        self._arrays["time"][part] = numbers
        self._arrays["time_bnds"][part] = np.stack([numbers, numbers + 1], axis=1)
        for name in TABLE:
            array = self._arrays[name]
            array[part] = np.full(numbers.size, array.fill_value, array.dtype)

    @property
    def attributes(self) -> dict[str, Any]:
        """Global attributes."""
        stored = json.loads((self.path / "zarr.json").read_text(encoding="utf-8"))
        return dict(stored["attributes"])

    def annotate(self, attributes: Mapping[str, Any]) -> None:
        """Replace global attributes; a ``history`` is put before the existing one."""
        earlier = self.attributes
        merged = cf.add_history(attributes, earlier.get("history", ""))
        _write_group(self.path, earlier | merged)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def stored_tile(path: Path) -> tuple[int, int] | None:
    """Rows and columns of a chunk of a cube, None if it is not in shards of one day."""
    layout = own_layout(open_zarr(path)[GRIDDED[0]])
    return layout.tile if layout else None


def check_packing(path: Path, packing: Packing) -> None:
    """Refuse a cube whose chunks are not as this packing makes them; InputError."""
    codec = CODECS[packing.compression].get("name", "")
    group = open_zarr(path)
    for name in GRIDDED:
        layout = own_layout(group[name])
        if layout is None or (layout.tile, layout.codec) != (packing.tile, codec):
            raise InputError(
                f"{path} was stored by another program: {name} is not in shards of one day with chunks "
                f"of {packing.tile} and {codec or 'no codec'}; make the cube again with --force to "
                "extend it"
            )


def _cut(text: str, width: int) -> str:
    return cf.decode_text(cf.encode_text(text, width))


def _write_group(path: Path, attributes: Mapping[str, Any]) -> None:
    """Write the metadata of the group and of all its arrays into one file.

    One read then opens the cube. xarray warns where they are in several files; zarr-python
    reads them but warns when it writes them, so they are put together here.
    """
    arrays = {
        folder.parent.name: json.loads(folder.read_text(encoding="utf-8"))
        for folder in sorted(path.glob("*/zarr.json"), key=_order)
    }
    content = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": {k: make_plain(v) for k, v in attributes.items()},
        "consolidated_metadata": {"kind": "inline", "must_understand": False, "metadata": arrays},
    }
    temporary = path / ".zarr.json.part"
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False), encoding="utf-8")
    os.replace(temporary, path / "zarr.json")


def _clear_times(path: Path, names: Sequence[str]) -> None:
    """Set the time of writing to zero in the gzip headers that the Zarr library has written.

    With them two cubes of the same content would differ in their bytes. Checksums are of the content
    behind the headers, and of the index of a shard.
    """
    for name in names:
        stored = json.loads((path / name / "zarr.json").read_text(encoding="utf-8"))
        layout = layout_of(stored) if stored["codecs"][0]["name"] == "sharding_indexed" else None
        for chunk in sorted((path / name).glob("c*")):
            content = bytearray(chunk.read_bytes())
            starts = [0]
            if layout is not None:
                with chunk.open("rb") as file:
                    index = read_index(file.fileno(), layout.tiles[0] * layout.tiles[1], chunk)
                starts = [offset for offset in index[:, 0].tolist() if offset >= 0]
            for start in starts:
                if content[start : start + 3] == _GZIP_START:
                    content[start + 4 : start + 8] = bytes(4)
            temporary = chunk.with_name(f".{chunk.name}.part")
            temporary.write_bytes(content)
            os.replace(temporary, chunk)


def _order(metadata: Path) -> tuple[int, str]:
    """Position of an array in a listing, as in the NetCDF cube."""
    names = ["time", "time_bnds", "y", "x", "crs", "lat", "lon", "surface", *GRIDDED, *TABLE]
    name = metadata.parent.name
    return (names.index(name) if name in names else len(names)), name


def clone(source: Path, target: Path) -> None:
    """Copy a cube by hard links where the disk has them.

    Writing into the copy leaves the original as it is, for files are replaced. An append
    thus need not copy the days it keeps.
    """

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:  # another disk, or one without links
            shutil.copyfile(one, other)

    shutil.copytree(source, target, copy_function=link)
