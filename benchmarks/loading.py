"""Samples out of a cube against netCDF4 and xarray, and of a training cache against a bare memory map.

netCDF4 and xarray read the same cube; xarray also reads the same values as they are often kept,
float32 with deflate 4 and the NetCDF library's own chunks. numpy reads the file of the cache,
converted to float32. A sample is 5 + 3 adjacent days; patches lie at random, but hold ocean.
Everything is run in turn, sample by sample, in one process after a warm-up, which is compared value
by value; ratios are those of the medians, of the time that passes and of that of all processors. The
files are in the memory of the system. On a coarse grid take many days, for the library keeps 64 MB
of a file decoded.

  python benchmarks/loading.py --days 24
  python benchmarks/loading.py --grid n12500 --days 200 --folder /tmp/loading
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice import cf
from seaice.cube.consolidate import consolidate
from seaice.cube.file import CubeFile
from seaice.dates import day_number
from seaice.masking.land_mask import create_mask
from seaice.runtime.threads import allowed_processors
from seaice.simulate import simulate_days
from seaice.training.cache import (
    CacheDescription,
    cache_cube,
)
from seaice.training.dataset import ConsolidatedSICDataset

START = date(2024, 1, 1)
SIMULATED = 8  # days that are made; the others are copies of them
INPUTS, TARGETS = 5, 3
# Reads the same file as the Dataset.
XARRAY = "xarray, int16 deflate 1"
COUNTS = ("missing_ocean_cells", "missing_pole_cells", "filled_ocean_cells")

Reader = Callable[[int, slice, slice], tuple[torch.Tensor, ...]]


def make_base(folder: Path, grid: str) -> Path:
    """A small cube as consolidate_data.py makes it."""
    period = {"start_date": START, "end_date": START + timedelta(days=SIMULATED - 1)}
    simulate_days(output_dir=folder / "days", grid=grid, **period)
    create_mask(source_dir=folder / "days", output_file=folder / "mask.nc", **period)
    consolidate(
        source_dir=folder / "days",
        land_mask_file=folder / "mask.nc",
        output_file=folder / "base.nc",
        **period,
    )
    return folder / "base.nc"


def copy_days(base: Path, target: Path, days: int, **storage: object) -> None:
    """A cube of repeated days; ``storage`` replaces the table's filters of the concentration."""
    import netCDF4

    with CubeFile(base) as cube, netCDF4.Dataset(target, "w") as dataset:
        first = day_number(cube.dates[0])
        cf.write_time(dataset, np.arange(first, first + days, dtype=np.int32))
        cf.write_grid(dataset, cube.grid)
        cf.define_variable(dataset, "surface")[:] = cube.surface
        if storage:
            row = cf.VARIABLES["sea_ice_conc"]
            tile = (1, *cf.choose_chunk_shape(cube.grid.shape))
            options = {"fill_value": row.fill_value, "chunksizes": tile, **storage}
            variable = dataset.createVariable(row.name, row.dtype, row.dimensions, **options)
            variable.set_auto_maskandscale(False)
            variable.setncatts(row.attributes)
        else:
            variable = cf.define_variable(dataset, "sea_ice_conc")
        flags = cf.define_variable(dataset, "fill_flag")
        for i in range(days):
            variable[i] = cube.variable("sea_ice_conc", i % SIMULATED)
            flags[i] = cube.flags(i % SIMULATED)
        for name in COUNTS:
            counts = cube.variable(name)
            cf.define_variable(dataset, name)[:] = np.resize(counts, days)


def write_plain(base: Path, target: Path, days: int) -> None:
    """The same values as float32, deflate 4, chunks as the library chooses them."""
    import netCDF4

    with CubeFile(base) as cube, netCDF4.Dataset(target, "w") as dataset:
        for name, size in zip(("time", "y", "x"), (days, *cube.grid.shape), strict=True):
            dataset.createDimension(name, size)
        options = {"compression": "zlib", "complevel": 4, "fill_value": np.float32(np.nan)}
        variable = dataset.createVariable("sea_ice_conc", "f4", ("time", "y", "x"), **options)
        chunk = variable.chunking()[0]
        # Whole chunks at a time, for they may be several days deep.
        for first in range(0, days, chunk):
            some = [cube.concentration(i % SIMULATED) for i in range(first, min(first + chunk, days))]
            variable[first : first + len(some)] = np.stack(some)


def make_files(folder: Path, grid: str, days: int) -> None:
    base = make_base(folder, grid)
    copy_days(base, folder / "cube.nc", days)
    # The HDF5 library would share the decoded chunks of one file between netCDF4 and xarray.
    shutil.copyfile(folder / "cube.nc", folder / "copy.nc")
    copy_days(base, folder / "zstd.nc", days, compression="zstd", complevel=1, shuffle=False)
    write_plain(base, folder / "plain.nc", days)
    for dtype in ("float16", "uint8"):
        cache_cube(cube_file=folder / "cube.nc", output_dir=folder / dtype, dtype=dtype)


def netcdf_reader(path: Path) -> Reader:
    import netCDF4

    variable = netCDF4.Dataset(path)["sea_ice_conc"]
    variable.set_auto_maskandscale(False)
    scale, missing = np.float32(variable.scale_factor), variable._FillValue

    def read(first: int, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
        stored = variable[first : first + INPUTS + TARGETS, rows, columns]
        stack = np.where(stored == missing, np.float32(0), stored * scale)
        both = torch.from_numpy(stack[:, np.newaxis])
        return both[:INPUTS], both[INPUTS:]

    return read


def xarray_reader(path: Path) -> Reader:
    import xarray

    values = xarray.open_dataset(path, decode_times=False)["sea_ice_conc"]

    def read(first: int, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
        days = slice(first, first + INPUTS + TARGETS)
        stack = values.isel(time=days, y=rows, x=columns).values.astype(np.float32, copy=False)
        both = torch.from_numpy(np.nan_to_num(stack, copy=False)[:, np.newaxis])
        return both[:INPUTS], both[INPUTS:]

    return read


def memmap_reader(folder: Path) -> Reader:
    there = CacheDescription.read(folder / "float16")
    values = np.memmap(folder / "float16" / there.array, np.float16, "r", shape=there.shape)

    def read(first: int, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
        stack = values[first : first + INPUTS + TARGETS, rows, columns]
        return (torch.from_numpy(stack.astype(np.float32)[:, np.newaxis]),)

    return read


def dataset_of(path: Path, days: int, patch: int | None, **options: object) -> ConsolidatedSICDataset:
    last = START + timedelta(days=days - 1)
    options |= {"largest_missing_share": 1, "patch_size": patch}
    return ConsolidatedSICDataset(path, START, last, INPUTS, TARGETS, **options)


def dataset_reader(path: Path, days: int, patch: int | None, **options: object) -> Reader:
    dataset = dataset_of(path, days, patch, **options)
    asked: tuple[slice, slice] = (slice(0), slice(0))
    # The places are those of all readers.
    dataset._part = lambda number: asked  # type: ignore[method-assign]

    def read(first: int, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
        nonlocal asked
        asked = rows, columns
        return dataset[first]

    return read


def readers_of(folder: Path, days: int, patch: int | None) -> dict[str, Reader]:
    cube = folder / "cube.nc"
    return {
        "xarray, float32 deflate 4": xarray_reader(folder / "plain.nc"),
        XARRAY: xarray_reader(cube),
        "netCDF4, int16 deflate 1": netcdf_reader(folder / "copy.nc"),
        "cube, int16 deflate 1": dataset_reader(cube, days, patch),
        "cube, int16 zstd 1": dataset_reader(folder / "zstd.nc", days, patch),
        "numpy.memmap, float16": memmap_reader(folder),
        "cache, float16": dataset_reader(cube, days, patch, cache=folder / "float16"),
        "cache, uint8": dataset_reader(cube, days, patch, cache=folder / "uint8", cache_dtype="uint8"),
    }


def check(readers: dict[str, Reader], first: int, rows: slice, columns: slice) -> None:
    """All readers give the same values, up to what the cache says of itself."""
    truth = torch.cat(readers["xarray, float32 deflate 4"](first, rows, columns))
    for name, read in readers.items():
        found = torch.cat(read(first, rows, columns)).nan_to_num()
        limit = 0.00201 if "uint8" in name else 0.00025 if "float16" in name else 1e-7
        if (found - truth).abs().max() > limit:
            raise SystemExit(f"{name} gives other values than xarray")


def measure(folder: Path, shape: tuple[int, int], days: int, patch: int | None, samples: int) -> None:
    """Medians over random samples, every reader in turn."""
    readers = readers_of(folder, days, patch)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in readers}
    places = dataset_of(folder / "cube.nc", days, patch, returns=("origin",))
    random = np.random.default_rng(0)
    for number in range(samples + 1):
        places.set_epoch(number)
        first = int(random.integers(len(places)))
        corner = places[first]["origin"].tolist()
        size = shape if patch is None else (patch, patch)
        rows, columns = (slice(c, c + n) for c, n in zip(corner, size, strict=True))
        if not number:
            check(readers, first, rows, columns)
        for name, read in readers.items():
            begin = time.perf_counter(), time.process_time()
            kept = read(first, rows, columns)
            ends = time.perf_counter(), time.process_time()
            del kept
            if number:  # the first is the warm-up
                times[name].append((ends[0] - begin[0], ends[1] - begin[1]))
    medians = {name: np.median(pairs, axis=0) for name, pairs in times.items()}
    xarray, memmap = medians[XARRAY], medians["numpy.memmap, float16"]
    what = "full frames" if patch is None else f"patches of {patch} x {patch} cells"
    print(f"{INPUTS} + {TARGETS} days, {what}, {samples} samples")
    print(f"  {'':<26} {'ms':>8} {'CPU ms':>8}   x xarray (CPU)   of numpy.memmap's time")
    for name, (seconds, cpu_seconds) in medians.items():
        gain, cpu_gain = xarray / (seconds, cpu_seconds)
        print(
            f"  {name:<26} {1000 * seconds:8.1f} {1000 * cpu_seconds:8.1f}"
            f"   {gain:6.1f} ({cpu_gain:5.1f})   {seconds / memmap[0]:8.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grid", default="n3125")
    parser.add_argument("--days", type=int, default=24)
    parser.add_argument("--samples", type=int, default=15, help="full frames; of patches 4 times more")
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--folder", type=Path, help="keep the files here, and take those that are here")
    options = parser.parse_args()
    if options.days < INPUTS + TARGETS:
        parser.error(f"a sample takes {INPUTS + TARGETS} days")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "uint8" / "cache.json").exists():
            make_files(folder, options.grid, options.days)
        with CubeFile(folder / "cube.nc") as cube:
            grid, days = cube.grid, len(cube.dates)
        print(f"grid {grid}, {days} days, {allowed_processors()} processors")
        measure(folder, grid.shape, days, None, options.samples)
        measure(folder, grid.shape, days, options.patch, 4 * options.samples)


if __name__ == "__main__":
    main()
