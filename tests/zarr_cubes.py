"""Zarr cubes for tests: the twin of a NetCDF cube, packed tile by tile in the plainest way."""

from __future__ import annotations

import gzip
from pathlib import Path

import netCDF4
import numpy as np

from seaice import cf
from seaice.cube import zarr
from seaice.dates import from_day_number

TEXTS = {
    "day_reason": "øöß, more than the file keeps of it: " + 200 * "é",
    "input_file": "asi-AMSR2-n25000-20240102-v5.4.nc",
    "input_sha256": "0123456789abcdef" * 4,
}


def add_texts(path: Path) -> Path:
    """Texts of every day for a cube of ``write_cube``; the second day has them all."""
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset.createDimension("text", 160)
        dataset.createDimension("digest", 64)
        for name, text in TEXTS.items():
            width = cf.TEXT_WIDTHS[name]
            rows = [text if i == 1 else "" for i in range(len(dataset["time"]))]
            variable = cf.define_variable(dataset, name)
            variable.set_auto_chartostring(False)
            variable[:] = np.stack([cf.encode_text(row, width) for row in rows])
    return path


def encoded(field: np.ndarray, compression: str) -> list[bytes]:
    """The chunks of one day, row by row of tiles; beyond the grid they are filled with 7."""
    height, width = cf.choose_chunk_shape(field.shape)
    rows, columns = (-(-n // t) * t for n, t in zip(field.shape, (height, width), strict=True))
    wide = np.full((rows, columns), 7, field.dtype.newbyteorder("<"))
    wide[: field.shape[0], : field.shape[1]] = field
    tiles = [
        wide[y : y + height, x : x + width].tobytes()
        for y in range(0, rows, height)
        for x in range(0, columns, width)
    ]
    if compression == "zstd":
        from numcodecs.zstd import Zstd

        return [Zstd(level=1).encode(tile) for tile in tiles]
    return [gzip.compress(tile, 1 if compression == "zlib" else 0, mtime=0) for tile in tiles]


def tables(dataset: netCDF4.Dataset, first: int, last: int) -> dict:
    """Rows of the per-day variables that a cube has."""
    found = {}
    for name in ("time", "time_bnds", *zarr.TABLE):
        if name in dataset.variables:
            rows = dataset[name][first:last]
            found[name] = [cf.decode_text(r) for r in rows] if rows.dtype.kind == "S" else rows
    return found


def opened(path: Path) -> netCDF4.Dataset:
    dataset = netCDF4.Dataset(path)
    dataset.set_auto_maskandscale(False)
    dataset.set_auto_chartostring(False)
    return dataset


def twin(
    source: Path, target: Path, *, compression: str = "zstd", lat_lon: bool = False, days=None
) -> Path:
    """Write the first days (by default all) of a NetCDF cube as a Zarr cube."""
    with opened(source) as dataset:
        days = len(dataset["time"]) if days is None else days
        zarr.create(
            target,
            start=from_day_number(dataset["time"][0]),
            days=days,
            grid=cf.read_grid(dataset),
            surface=np.asarray(dataset["surface"][:]),
            lat_lon=lat_lon,
            attributes={k: dataset.getncattr(k) for k in dataset.ncattrs() if k != "grid_id"},
            compression=compression,
        )
        put(dataset, target, 0, days, compression)
    return target


def put(dataset: netCDF4.Dataset, target: Path, first: int, last: int, compression: str) -> None:
    """Put some days of a NetCDF cube into a Zarr cube."""
    with zarr.Cube(target) as cube:
        cube.put_table(first, tables(dataset, first, last))
        for i in range(first, last):
            fields = {name: np.asarray(dataset[name][i]) for name in zarr.GRIDDED}
            cube.put_day(i, {name: encoded(f, compression) for name, f in fields.items()})


def damage(path: Path, name: str, day: int) -> Path:
    """Flip the bytes in the middle of a day's file, where its chunks are."""
    file = path / name / f"c.{day}.0.0"
    content = bytearray(file.read_bytes())
    for k in range(len(content) // 4):
        content[k] ^= 0xFF
    file.write_bytes(bytes(content))
    return path
