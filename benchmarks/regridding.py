"""Cubes on another grid, and values at points, against numpy, scipy and pyresample.

Claim: at 3.125 km a day with its flags and errors is carried to 25 km (cells that nest) and to EASE2
12.5 km (cells that do not) in a tenth of the time that pyresample takes for its values alone, with
weights that are computed once; peak memory does not grow with the number of days. Alternatives, each
with NaN left out: pyresample's BucketResampler, which takes the cells of the input for points (and so is
off where few lie in a cell); the mean over blocks of cells by numpy, weighted by their areas (nested
only); scipy's sparse product of the same weights. numpy and scipy must agree within 1e-5, else the exit
status is 1.

  python benchmarks/regridding.py --grid n12500 --days 4 --points 100000
  python benchmarks/regridding.py --grid n3125 --days 12 --points 1000000
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import stopwatch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.cube import netcdf
from seaice.flags import FillFlag, Surface
from seaice.grids import Grid, get_grid
from seaice.regridding.carry import CarriedDay, carry_day
from seaice.regridding.maps import make_packing
from seaice.regridding.output import pack_maps, store_cube_day
from seaice.regridding.sample import sample_points
from seaice.regridding.source import open_source
from seaice.regridding.stage import regrid
from seaice.regridding.weights import Weights, compute_weights
from seaice.runtime.memory import release_memory

TOLERANCE = 1e-5


def make_day(grid: Grid, number: int = 0) -> CarriedDay:
    """Ice about the pole with leads, a land of its own, a missing swath and filled cells."""
    y, x = np.meshgrid(grid.y.astype(np.float32), grid.x.astype(np.float32), indexing="ij")
    ice = 1.4 - np.hypot(x, y) / 2e6 + 0.2 * np.sin(x / 3e4 + number) * np.cos(y / 2e4)
    values = np.clip(ice, 0, 1).astype(np.float32)
    land = make_land(grid)
    swath = np.abs(x + 1.3 * y - 2e5 * number) < 8e4
    values[land | (swath & (y < 0))] = np.nan
    flags = np.where(np.isnan(values), FillFlag.NOT_FILLED, FillFlag.OBSERVED).astype(np.uint8)
    flags[swath & (y >= 0)] = FillFlag.DEPARTURE_TWO_SIDED
    flags[land] = FillFlag.LAND
    errors = np.where(flags == FillFlag.DEPARTURE_TWO_SIDED, np.float32(0.05), np.float32(np.nan))
    days = np.where(flags == FillFlag.DEPARTURE_TWO_SIDED, 11, 0).astype(np.uint8)
    return CarriedDay(values, np.ones_like(values), flags, days, errors)


def make_land(grid: Grid) -> np.ndarray:
    y, x = np.meshgrid(grid.y, grid.x, indexing="ij")
    return np.hypot(x + 2.5e6, y - 1e6) < 1.2e6


def by_toolbox(day: CarriedDay, weights: Weights, target: Grid) -> np.ndarray:
    """All that a day has: values, share, flags, days and errors."""
    whole = carry_day(
        weights, target.shape, day.values, smallest_share=0.0,
        flags=day.flags, days=day.days, errors=day.errors,
    )  # fmt: skip
    return whole.values


def by_numpy(day: CarriedDay, source: Grid, target: Grid, area: np.ndarray) -> np.ndarray:
    """Means over blocks, weighted by area; values alone."""
    k = round(target.step / source.step)
    valid = np.where(np.isnan(day.values), 0, area)
    blocks = (target.rows, k, target.columns, k)
    total = (np.nan_to_num(day.values) * valid).reshape(blocks).sum(axis=(1, 3))
    with np.errstate(invalid="ignore"):
        return total / valid.reshape(blocks).sum(axis=(1, 3))


def by_scipy(day: CarriedDay, matrix: object, target: Grid) -> np.ndarray:
    """Two products with a sparse matrix; values alone."""
    flat = day.values.ravel()
    valid = ~np.isnan(flat)
    with np.errstate(invalid="ignore"):
        mean = (matrix @ np.nan_to_num(flat)) / (matrix @ valid.astype(np.float32))
    return mean.reshape(target.shape)


def make_pyresample(source: Grid, target: Grid) -> Callable[[CarriedDay], np.ndarray]:
    """Pyresample's average of the cells whose centre lies in a target cell; its cells are found once."""
    import dask.array
    from pyresample.bucket import BucketResampler
    from pyresample.geometry import AreaDefinition

    west, east, south, north = target.extent
    extent = (west, south, east, north)
    area = AreaDefinition("a", "a", "a", target.crs, target.columns, target.rows, extent)
    lon, lat = (dask.array.from_array(a, chunks=1 << 22) for a in source.longitude_latitude())
    resampler = BucketResampler(area, lon.ravel(), lat.ravel())

    def average(day: CarriedDay) -> np.ndarray:
        values = dask.array.from_array(day.values.ravel(), chunks=1 << 22)
        return np.asarray(resampler.get_average(values, skipna=True))[::-1]

    return average


def compare(source: Grid, target: Grid, repeats: int) -> bool:
    """Time a day from one grid to another in every way; whether those that must agree do."""
    from scipy.sparse import csr_array

    day, area = make_day(source), source.cell_area().astype(np.float32)
    ocean, computed = ~make_land(source), []
    wall, cpu = stopwatch.timed(lambda: computed.append(compute_weights(source, target, ocean)))
    (weights,) = computed
    count = weights.indices.size / 1e6
    print(f"{source.id} to {target.id}: {count:.1f} million weights {wall:.1f} s, {cpu:.1f} CPU s")
    shape = (target.rows * target.columns, source.rows * source.columns)
    matrix = csr_array((weights.weights, weights.indices, weights.indptr), shape=shape)
    pyresample = make_pyresample(source, target)
    sides: dict[str, Callable[[], np.ndarray]] = {
        "toolbox, with flags and errors": lambda: by_toolbox(day, weights, target),
        "scipy, values alone": lambda: by_scipy(day, matrix, target),
        "pyresample, values alone": lambda: pyresample(day),
    }
    if target.projection == source.projection:
        sides["numpy blocks, values alone"] = lambda: by_numpy(day, source, target, area)
    results = {name: run() for name, run in sides.items()}
    ours = results["toolbox, with flags and errors"]
    agrees = True
    for name, seconds_of_side in stopwatch.in_turn(sides, repeats).items():
        both = ~np.isnan(ours) & ~np.isnan(results[name])
        difference = float(np.abs(ours - results[name])[both].max())
        agrees &= "pyresample" in name or difference < TOLERANCE
        wall, cpu = seconds_of_side
        print(f"  {name:32} {wall:7.3f} s {cpu:7.3f} CPU s, largest difference {difference:.1e}")
    return agrees


def write_cube(path: Path, grid: Grid, days: int) -> None:
    packing = make_packing(path, grid)
    surface = np.where(make_land(grid), Surface.LAND, Surface.OCEAN).astype(np.uint8)
    netcdf.create(
        path, start=date(2024, 1, 1), days=days, grid=grid, surface=surface, lat_lon=False,
        attributes={}, compression=packing.compression,
    )  # fmt: skip
    with netcdf.Cube(path) as cube:
        for number in range(days):
            stored = store_cube_day(make_day(grid, number))
            del stored["valid_share"]
            cube.put_day(number, pack_maps(stored, packing))


def stream(folder: Path, source: Grid, target: Grid, days: int) -> None:
    """Time the stage from file to file, and its peak memory for a quarter of the days and for all."""
    path, output = folder / "cube.nc", folder / "out.nc"
    write_cube(path, source, days)
    for count in (max(1, days // 4), days):
        release_memory()
        reset_peak()
        options = {"grid": target.id, "end_date": date(2024, 1, count)}
        work = partial(regrid, input_file=path, output_file=output, **options)
        wall, cpu = stopwatch.timed(work)
        print(
            f"file to file {source.id} to {target.id}: {count} days with the weights {wall:.1f} s, "
            f"{cpu:.1f} CPU s, peak memory {read_peak():.0f} MB"
        )


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def read_peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    return float("nan")


def sample(folder: Path, days: int, points: int) -> None:
    """Time points in no order over all days."""
    random = np.random.default_rng(0)
    time_of = np.datetime64("2024-01-01", "s") + random.integers(0, days * 86400, points)
    latitude, longitude = random.uniform(60, 90, points), random.uniform(-180, 180, points)
    source = open_source(folder / "cube.nc")
    for method in ("nearest", "bilinear"):
        begin, cpu = time.perf_counter(), time.process_time()
        samples = sample_points(source, time_of, latitude, longitude, method=method)
        wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
        valued = int((samples.reason == 0).sum())
        print(
            f"points, {method}: {points / wall:,.0f} a second, {points / cpu:,.0f} a CPU second "
            f"({valued} of {points} have a value)"
        )
    source.close()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", default="n12500", help="grid of the input")
    parser.add_argument("--days", type=int, default=4, help="days of the cube, at most 31")
    parser.add_argument("--points", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    words = parser.parse_args(argv)
    source = get_grid(words.grid)
    targets = [get_grid("n25000"), get_grid("ease2n12500")]
    outcomes = [compare(source, target, words.repeats) for target in targets]
    agrees = all(outcomes)
    with tempfile.TemporaryDirectory() as folder:
        stream(Path(folder), source, targets[1], words.days)
        sample(Path(folder), words.days, words.points)
    print(f"numpy and scipy {'agree' if agrees else 'DO NOT agree'} within {TOLERANCE:g}")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main())
