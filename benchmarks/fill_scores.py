"""How well the methods fill gaps that were cut on purpose into real (or simulated) days.

Turns 90 real days of 25 km concentration (NSIDC Sea Ice Index, in the folder named by
SEAICE_REAL_DATA) into daily files, drops 0 to 4 orbits a day, four single days and one run
of four days, runs create_mask.py and consolidate_data.py as a user would, and compares
what the cubes say with what was removed. The plain rule in time is the named alternative.

  SEAICE_REAL_DATA=/path/to/data python benchmarks/fill_scores.py
  python benchmarks/fill_scores.py --keep /tmp/scores
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.cube_file import CubeFile  # noqa: E402
from seaice.grids import get_grid  # noqa: E402
from seaice.masks import FillFlag, Surface  # noqa: E402
from seaice.orbit import SwathMap, half_orbits  # noqa: E402
from seaice.period import from_day_number  # noqa: E402
from seaice.simulate import write_day  # noqa: E402
from seaice.sources.bremen import DayFile  # noqa: E402

METHODS = ("temporal", "gaussian", "hybrid", "departure")
FLAGS = (
    FillFlag.TEMPORAL_TWO_SIDED,
    FillFlag.TEMPORAL_ONE_SIDED,
    FillFlag.DEPARTURE_TWO_SIDED,
    FillFlag.DEPARTURE_ONE_SIDED,
    FillFlag.SPACETIME_GAUSSIAN,
)
SINGLE_DAYS = (9, 24, 47, 71)
OUTAGE_START = 57
SOURCE = "sea_ice_index/g02135_north_daily_20250101_20250331.nc"


def real_truth(folder: Path) -> tuple[list[date], np.ndarray]:
    """Percent, NaN where unknown (land, coast, pole hole, missing)."""
    import netCDF4

    with netCDF4.Dataset(folder / SOURCE) as dataset:
        dataset.set_auto_mask(False)
        codes = dataset["code"][:]
        days = [from_day_number(n) for n in dataset["time"][:]]
    return days, np.where(codes <= 1000, codes / 10, np.nan).astype(np.float32)


def carve(days: list[date], truth: np.ndarray, *, seed: int, outage: int) -> np.ndarray:
    """Observed fields: what the kept half orbits see of the truth; absent days all NaN."""
    rng = np.random.default_rng(seed)
    swaths = SwathMap(get_grid("n25000"))
    observed = np.full_like(truth, np.nan)
    for t, day in enumerate(days):
        if t in SINGLE_DAYS or OUTAGE_START <= t < OUTAGE_START + outage:
            continue
        halves = half_orbits(day)
        orbits = rng.choice(len(halves) // 2, size=rng.integers(0, 5), replace=False)
        dropped = {2 * o for o in orbits} | {2 * o + 1 for o in orbits}
        seen = swaths.covered([h for i, h in enumerate(halves) if i not in dropped])
        observed[t] = np.where(seen, truth[t], np.nan)
    return observed


def run(script: str, *words: object) -> str:
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def make_cubes(folder: Path, days: list[date], observed: np.ndarray) -> dict[str, Path]:
    grid, source = get_grid("n25000"), folder / "days"
    source.mkdir(parents=True, exist_ok=True)
    for day, field in zip(days, observed, strict=True):
        if not np.isnan(field).all():
            write_day(source / DayFile("AMSR2", grid.id, day, "5.4", "nc").name, field, grid)
    period = ["--source_dir", source, "--start_date", days[0], "--end_date", days[-1]]
    print(run("create_mask.py", *period, "--output_file", folder / "mask.nc"))
    cubes = {}
    for method in METHODS:
        cubes[method] = folder / f"{method}.nc"
        more = ["--land_mask_file", folder / "mask.nc", "--method", method]
        print(run("consolidate_data.py", *period, *more, "--output_file", cubes[method]))
    return cubes


def score(name: str, value: np.ndarray, truth: np.ndarray) -> None:
    error = (value - truth).astype(np.float64)
    edge = (truth > 5) & (truth < 95)
    print(
        f"  {name:<34} cells {value.size:>8}  RMSE {np.sqrt((error**2).mean()):6.3f}  "
        f"MAE {np.abs(error).mean():6.3f}  RMSE 5..95 {np.sqrt((error[edge] ** 2).mean()):7.3f}  "
        f"ice edge differs {100 * ((value >= 15) != (truth >= 15)).mean():6.3f} %"
    )


def compare(cubes: dict[str, Path], truth: np.ndarray, observed: np.ndarray) -> None:
    values, flags = {}, {}
    for method, path in cubes.items():
        with CubeFile(path) as cube:
            values[method] = 100 * cube.concentration(slice(None))
            flags[method] = cube.flags(slice(None))
            ocean = (cube.surface != Surface.LAND) & (cube.surface != Surface.POLE_HOLE)
    removed = ~np.isnan(truth) & np.isnan(observed) & ocean
    filled = {m: removed & ~np.isnan(v) for m, v in values.items()}
    common = np.logical_and.reduce(list(filled.values()))
    print(f"removed ocean cells with known truth: {removed.sum()}")
    print("each method on all the removed cells it fills:")
    for m in METHODS:
        score(m, values[m][filled[m]], truth[filled[m]])
        left = (removed & ~filled[m]).sum()
        print(f"    left unfilled: {left} ({100 * left / removed.sum():.3f} %)")
    print("on the cells all methods fill:")
    for m in METHODS:
        score(m, values[m][common], truth[common])
    for m in ("gaussian", "hybrid", "departure"):
        both = filled[m] & filled["temporal"]
        print(f"{m} against temporal, on the cells both fill, and the rest:")
        for n in ("temporal", m):
            score(n, values[n][both], truth[both])
        rest = filled[m] & ~both
        if rest.any():
            score(f"{m}, filled by it alone", values[m][rest], truth[rest])
    for m in ("hybrid", "departure"):
        print(f"{m}, by how the value came about:")
        for flag in FLAGS:
            cells = filled[m] & (flags[m] == flag)
            if cells.any():
                score(flag.name.lower(), values[m][cells], truth[cells])
        unfilled = ocean & np.isnan(values[m])
        print(f"ocean cells {m} left without a value, truth known or not: {unfilled.sum()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--outage_days", type=int, default=4, help="length of the outage")
    parser.add_argument("--keep", type=Path, help="folder for the files (default: temporary)")
    options = parser.parse_args()
    real = os.environ.get("SEAICE_REAL_DATA")
    if not real:
        raise SystemExit("set SEAICE_REAL_DATA to the folder that holds " + SOURCE)
    days, truth = real_truth(Path(real))
    observed = carve(days, truth, seed=options.seed, outage=options.outage_days)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        compare(make_cubes(folder, days, observed), truth, observed)


if __name__ == "__main__":
    main()
