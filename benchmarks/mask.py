"""create_mask.py against merely counting the missing cells of the same days.

Claim: a further day costs a mask about what it costs to read it. The named alternatives are a
plain loop that reads the files with netCDF4 and adds up np.isnan, and xarray: open_mfdataset
with one chunk a file (its default here is one a row: more than ten times slower), the mean of isnull.
All must give the same share of missing days for every cell, else the exit status is 1.

The whole run is divided by its days; the cost of a further day is that of a longer run less
that of a shorter one.

  python benchmarks/mask.py
  python benchmarks/mask.py --grid n3125 --days 12 --folder /tmp/days
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import simulated
import stopwatch
from simulated import Days

OURS = "create_mask"
# A share of days is stored as float32.
TOLERANCE = 1e-6


def by_toolbox(days: Days, count: int) -> np.ndarray:
    import netCDF4

    from seaice.masking.land_mask import create_mask

    output = days.folder / "mask_of_benchmark.nc"
    create_mask(
        source_dir=days.folder / "days",
        start_date=simulated.START,
        end_date=simulated.day(count - 1),
        output_file=output,
        grid=days.grid.id,
    )
    with netCDF4.Dataset(output) as dataset:
        dataset.set_auto_mask(False)
        return np.asarray(dataset["nan_ratio"][:])


def by_netcdf4(paths: list[Path]) -> np.ndarray:
    import netCDF4

    missing: np.ndarray | int = 0
    for path in paths:
        with netCDF4.Dataset(path) as dataset:
            dataset.set_auto_maskandscale(False)
            missing = missing + np.isnan(dataset["z"][:])
    return np.asarray(missing / len(paths))


def by_xarray(paths: list[Path]) -> np.ndarray:
    import xarray

    with xarray.open_mfdataset(
        paths,
        combine="nested",
        concat_dim="time",
        chunks={"y": -1, "x": -1},
        data_vars=["z"],
        coords="minimal",
        compat="override",
        join="override",
    ) as dataset:
        return np.asarray(dataset["z"].isnull().mean("time"))


def has_dask() -> bool:
    from importlib.util import find_spec

    return find_spec("dask") is not None


def main(words: Sequence[str] | None = None) -> int:
    options = simulated.parser_of(__doc__, days=12, repeats=3).parse_args(words)
    with simulated.simulated_days(options) as days:
        print(f"grid {days.grid}, {days.count} days, medians of {options.repeats}")
        return measure(days, max(1, days.count // 4), options.repeats)


def measure(days: Days, short: int, repeats: int) -> int:
    runs = {OURS: lambda n: by_toolbox(days, n)}
    runs["netCDF4 and np.isnan"] = lambda n: by_netcdf4(days.paths[:n])
    if has_dask():
        runs["xarray open_mfdataset, isnull"] = lambda n: by_xarray(days.paths[:n])
    else:
        print("xarray is not measured: open_mfdataset needs dask")
    ratios = {name: run(days.count) for name, run in runs.items()}
    for name, ratio in ratios.items():
        worst = float(np.abs(ratio - ratios[OURS]).max())
        if not worst <= TOLERANCE:
            print(f"{name} gives other shares of missing days, by up to {worst:g}: nothing is timed")
            return 1
    print(f"shares of missing days agree within {TOLERANCE:g} at all {ratios[OURS].size} cells")
    sides = {
        f"{name} {n}": (lambda run=run, n=n: run(n))
        for name, run in runs.items()
        for n in (short, days.count)
    }
    times = stopwatch.in_turn(sides, repeats)
    print(f"{'seconds':<32} {'a day':>8} {'CPU':>8} {'further day':>12} {'CPU':>8}")
    rows = {}
    for name in runs:
        whole, part = times[f"{name} {days.count}"], times[f"{name} {short}"]
        rows[name] = [t / days.count for t in whole]
        rows[name] += [(a - b) / (days.count - short) for a, b in zip(whole, part, strict=True)]
        a, b, c, d = rows[name]
        print(f"{name:<32} {a:8.4f} {b:8.4f} {c:12.4f} {d:8.4f}")
    for name in list(runs)[1:]:
        a, _, c, _ = (ours / theirs for ours, theirs in zip(rows[OURS], rows[name], strict=True))
        print(f"create_mask / {name}: {a:.2f} a day, {c:.2f} a further day")
    return 0


if __name__ == "__main__":
    sys.exit(main())
