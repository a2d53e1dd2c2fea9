"""Samples out of a cube against plain xarray, and out of a training cache against a bare memory map.

The named alternatives read the same values: xarray from a float32 file with deflate 4 and the
NetCDF library's own chunks, and numpy from the file of the cache, converted to float32. A
sample is 5 + 3 adjacent days; patches lie at random, but hold ocean. Everything is run in
turn, sample by sample, in one process after a warm-up, which is compared value by value;
ratios are those of the medians. The files are in the memory of the system. On a coarse grid
take many days, for the library keeps 64 MB of a file decoded.

  python benchmarks/loading.py --days 24
  python benchmarks/loading.py --grid n12500 --days 200 --folder /tmp/loading
"""

from __future__ import annotations

import argparse
import statistics
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
    copy_days(base, folder / "zstd.nc", days, compression="zstd", complevel=1, shuffle=False)
    write_plain(base, folder / "plain.nc", days)
    for dtype in ("float16", "uint8"):
        cache_cube(cube_file=folder / "cube.nc", output_dir=folder / dtype, dtype=dtype)


def plain_reader(folder: Path) -> Reader:
    import xarray

    values = xarray.open_dataset(folder / "plain.nc", decode_times=False)["sea_ice_conc"]

    def read(first: int, rows: slice, columns: slice) -> tuple[torch.Tensor, ...]:
        days = slice(first, first + INPUTS + TARGETS)
        stack = values.isel(time=days, y=rows, x=columns).values
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
        "xarray, float32 deflate 4": plain_reader(folder),
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
        limit = 0.00201 if "uint8" in name else 0.00025 if "float16" in name else 0.0
        if (found - truth).abs().max() > limit:
            raise SystemExit(f"{name} gives other values than xarray")


def measure(folder: Path, shape: tuple[int, int], days: int, patch: int | None, samples: int) -> None:
    """Medians over random samples, every reader in turn."""
    readers = readers_of(folder, days, patch)
    times: dict[str, list[float]] = {name: [] for name in readers}
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
            begin = time.perf_counter()
            kept = read(first, rows, columns)
            seconds = time.perf_counter() - begin
            del kept
            if number:  # the first is the warm-up
                times[name].append(seconds)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    plain, bare = medians["xarray, float32 deflate 4"], medians["numpy.memmap, float16"]
    what = "full frames" if patch is None else f"patches of {patch} x {patch} cells"
    print(f"{INPUTS} + {TARGETS} days, {what}, {samples} samples")
    for name, seconds in medians.items():
        print(
            f"  {name:<28} {1000 * seconds:9.1f} ms   {plain / seconds:6.1f} x xarray"
            f"   {seconds / bare:5.2f} of numpy.memmap's time"
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
