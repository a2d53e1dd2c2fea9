"""Drop-in-the-bucket statistics against geopandas, pyproj with numpy, and pyresample.

Claim: from latitude and longitude to count, weighted mean, standard deviation, mean weight, minimum
and maximum at least 5 times faster than the fastest of them; memory flat in the number of points
when they are streamed. Named alternatives, vectorised as their users write them: geopandas to_crs
and a pandas groupby; pyproj and numpy.bincount (with numpy.minimum.at for the extremes); pyresample's
BucketResampler (which has count and mean only, so only those are asked of it). Points lie along
tracks, as those of ICESat-2. All must agree within 1e-9, else the exit status is 1.

  python benchmarks/gridding.py --points 1000000
  python benchmarks/gridding.py --points 16000000 --grid ease2s6250
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import stopwatch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.gridding import BucketAccumulator, compute_buckets, locate_cells
from seaice.grids import Grid, get_grid

OURS = "toolbox"
# What the authors of a tutorial report for 15.9 million segments: projection, cell, statistics.
PUBLISHED = {"points": 15_917_557, "seconds": 15.8 + 102 + 23.1}
TOLERANCE = 1e-9

Points = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Result = dict[str, np.ndarray]


def make_points(count: int, grid: Grid, seed: int = 0) -> Points:
    """Points of about 20 m spacing along tracks over a polar cap."""
    rng = np.random.default_rng(seed)
    track = 200_000
    number, along = np.divmod(np.arange(count), track)
    phase = along / track * np.pi
    pole = 1 if grid.hemisphere == "north" else -1
    lat = pole * (60 + 27.9 * np.sin(phase))
    lon = (137.5 * number + 160 * phase / np.pi + 3 * np.sin(phase)) % 360 - 180
    value = np.abs(rng.normal(0.3, 0.2, count))
    weight = rng.uniform(10, 100, count)
    return lat, lon, value, weight


def by_toolbox(points: Points, grid: Grid) -> Result:
    lat, lon, value, weight = points
    found = compute_buckets(lat, lon, value, weight, grid=grid)
    names = ("count", "mean", "std", "weight_mean", "minimum", "maximum")
    return {"cells": found.cells} | {name: found.compute(name) for name in names}


def _cells(x: np.ndarray, y: np.ndarray, grid: Grid) -> np.ndarray:
    column = np.floor((x - grid.west) / grid.step).astype(np.int64)
    from_top = np.floor((grid.extent[3] - y) / grid.step).astype(np.int64)
    inside = (column >= 0) & (column < grid.columns) & (from_top >= 0) & (from_top < grid.rows)
    return np.where(inside, (grid.rows - 1 - from_top) * grid.columns + column, -1)


def by_pyproj(points: Points, grid: Grid) -> Result:
    from pyproj import Transformer

    lat, lon, value, weight = points
    transformer = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    cells = _cells(*transformer.transform(lon, lat), grid)
    inside = cells >= 0
    cells, value, weight = cells[inside], value[inside], weight[inside]
    size = grid.rows * grid.columns
    count = np.bincount(cells, minlength=size)
    total = np.bincount(cells, weight, minlength=size)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(cells, weight * value, minlength=size) / total
        spread = np.bincount(cells, weight * (value - mean[cells]) ** 2, minlength=size) / total
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, cells, value)
    np.maximum.at(high, cells, value)
    met = np.flatnonzero(count)
    return {
        "cells": met,
        "count": count[met],
        "mean": mean[met],
        "std": np.sqrt(spread[met]),
        "weight_mean": total[met] / count[met],
        "minimum": low[met],
        "maximum": high[met],
    }


def by_geopandas(points: Points, grid: Grid) -> Result:
    import geopandas
    import pandas

    lat, lon, value, weight = points
    frame = geopandas.GeoDataFrame(
        {"value": value, "weight": weight},
        geometry=geopandas.points_from_xy(lon, lat),
        crs=grid.crs.geodetic_crs,
    ).to_crs(grid.crs)
    table = pandas.DataFrame(
        {
            "cell": _cells(frame.geometry.x.to_numpy(), frame.geometry.y.to_numpy(), grid),
            "value": value,
            "weight": weight,
            "weighted": weight * value,
        }
    )
    table = table[table["cell"] >= 0]
    sums = table.groupby("cell").agg(
        count=("value", "size"),
        total=("weight", "sum"),
        weighted=("weighted", "sum"),
        minimum=("value", "min"),
        maximum=("value", "max"),
    )
    mean = sums["weighted"] / sums["total"]
    deviation = table["weight"] * (table["value"] - mean.reindex(table["cell"]).to_numpy()) ** 2
    spread = deviation.groupby(table["cell"]).sum() / sums["total"]
    return {
        "cells": sums.index.to_numpy(),
        "count": sums["count"].to_numpy(),
        "mean": mean.to_numpy(),
        "std": np.sqrt(spread.to_numpy()),
        "weight_mean": (sums["total"] / sums["count"]).to_numpy(),
        "minimum": sums["minimum"].to_numpy(),
        "maximum": sums["maximum"].to_numpy(),
    }


def by_pyresample(points: Points, grid: Grid) -> Result:
    """Count and weighted mean, from sums of the weights and of the weighted values."""
    import dask.array
    from pyresample.bucket import BucketResampler
    from pyresample.geometry import AreaDefinition

    lat, lon, value, weight = (dask.array.from_array(a, chunks=1 << 22) for a in points)
    west, east, south, north = grid.extent
    area = AreaDefinition("a", "a", "a", grid.crs, grid.columns, grid.rows, (west, south, east, north))
    resampler = BucketResampler(area, lon, lat)
    fields = (resampler.get_count(), resampler.get_sum(weight), resampler.get_sum(weight * value))
    count, total, weighted = (np.asarray(f)[::-1].ravel() for f in dask.compute(*fields))
    met = np.flatnonzero(count)
    return {"cells": met, "count": count[met], "mean": weighted[met] / total[met]}


def disagreement(ours: Result, theirs: Result) -> float:
    """Largest difference of any statistic; infinite where the cells differ."""
    if ours["cells"].shape != theirs["cells"].shape or (ours["cells"] != theirs["cells"]).any():
        return float("inf")
    return max(float(np.abs(ours[name] - theirs[name]).max()) for name in theirs)


def steps(points: Points, grid: Grid, repeats: int) -> None:
    """Points a second of the projection and of the aggregation alone."""
    from pyproj import Transformer

    lat, lon, value, weight = points
    transformer = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    cells = locate_cells(lat, lon, grid)
    sides: dict[str, Callable[[], object]] = {
        "projection and cells, toolbox": lambda: locate_cells(lat, lon, grid),
        "projection, pyproj": lambda: transformer.transform(lon, lat),
        "aggregation, toolbox": lambda: _aggregate(cells, value, weight, grid),
    }
    for name, seconds in stopwatch.in_turn(sides, repeats).items():
        print(f"{name:32} {lat.size / seconds.wall / 1e6:8.1f} million points a second")


def _aggregate(cells: np.ndarray, value: np.ndarray, weight: np.ndarray, grid: Grid) -> None:
    sums = BucketAccumulator(grid)
    sums.add_cells(cells, value, weight)
    sums.get_buckets()


def streamed(grid: Grid, count: int) -> None:
    """Peak memory of a stream of one and of four times as many points."""
    for times in (1, 4):
        sums = BucketAccumulator(grid)
        part = min(count, 1_000_000)
        for number in range(times * count // part):
            lat, lon, value, weight = make_points(part, grid, seed=number)
            sums.add(lat, lon, value, weight)
        sums.get_buckets()
        print(f"streamed {times * count / 1e6:6.1f} million points: peak memory {_peak():7.0f} MB")


def _peak() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    return float("nan")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--grid", default="ease2s6250")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args(words)
    grid = get_grid(options.grid)
    streamed(grid, options.points // 4)
    points = make_points(options.points, grid)
    sides = {OURS: by_toolbox, "pyproj and numpy": by_pyproj}
    for module, name, side in (
        ("geopandas", "geopandas and pandas", by_geopandas),
        ("pyresample", "pyresample, count and mean only", by_pyresample),
    ):
        if find_spec(module):
            sides[name] = side
        else:
            print(f"{name}: not measured, {module} is not installed")
    ours = by_toolbox(points, grid)
    print(f"{options.points / 1e6:.1f} million points on {grid}, {ours['cells'].size} cells met")
    for name, side in sides.items():
        worst = disagreement(ours, side(points, grid))
        if not worst <= TOLERANCE:
            print(f"{name} gives other statistics, by up to {worst:g}: nothing is timed")
            return 1
    print(f"all statistics agree within {TOLERANCE:g}")
    runs = {name: (lambda side=side: side(points, grid)) for name, side in sides.items()}
    times = stopwatch.in_turn(runs, options.repeats)
    print(f"{'from positions to statistics':32} {'s':>8} {'CPU s':>8} {'of ours':>8}")
    for name, seconds in times.items():
        ratio = seconds.wall / times[OURS].wall
        print(f"{name:32} {seconds.wall:8.2f} {seconds.cpu:8.2f} {ratio:8.1f}")
    published = PUBLISHED["seconds"] * options.points / PUBLISHED["points"]
    print(
        f"{'published per point, scaled':32} {published:8.2f} {'':8} {published / times[OURS].wall:8.1f}"
    )
    steps(points, grid, options.repeats)
    return 0


if __name__ == "__main__":
    sys.exit(main())
