"""Consolidation on the full 3.125 km grid against merely reading the inputs and writing the output.

The named alternative reads the same files with netCDF4 and writes the same three variables
with the same chunks and filters, and fills nothing. Both are run in turn in one process,
after a warm-up; cost per day is marginal (a longer run less a shorter one). Peak memory is
that of a process of its own, for several numbers of days.

  python benchmarks/consolidation.py --days 12
  python benchmarks/consolidation.py --days 12 --grid n6250 --memory_days 12 24
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice import products  # noqa: E402
from seaice.cube import consolidate  # noqa: E402
from seaice.cube_file import CubeFile  # noqa: E402
from seaice.gapfill import hybrid  # noqa: E402
from seaice.grids import get_grid  # noqa: E402
from seaice.land_mask import create_mask  # noqa: E402
from seaice.simulate import simulate_days  # noqa: E402
from seaice.sources.bremen_reader import read_day  # noqa: E402

START = date(2024, 1, 1)
MEASURE = """
import sys
sys.path.insert(0, {root!r})
import consolidate_data
status = consolidate_data.main(sys.argv[1:])
# Not ru_maxrss: a process inherits that from the one that started it.
lines = open("/proc/self/status").read().splitlines()
print("peak", next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
sys.exit(status)
"""


def day(i: int) -> date:
    return START + timedelta(days=i)


def read_and_write(sources: list[Path], cube: Path, target: Path) -> float:
    """Seconds to read every input and to write the cube's arrays, already computed."""
    import netCDF4

    with CubeFile(cube) as made:
        grid = made.grid
        packed = made.variable("sea_ice_conc", 0)
        flags, days = made.flags(0), made.variable("days_back_forward", 0)
    begin = time.perf_counter()
    with netCDF4.Dataset(target, "w") as dataset:
        products.write_time(dataset)
        products.write_grid(dataset, grid)
        names = ("sea_ice_conc", "fill_flag", "days_back_forward")
        variables = [products.define(dataset, name) for name in names]
        for i, source in enumerate(sources):
            with netCDF4.Dataset(source) as opened:
                opened.set_auto_maskandscale(False)
                opened["z"][:]
            for variable, values in zip(variables, (packed, flags, days), strict=True):
                variable[i] = values
    return time.perf_counter() - begin


def run_consolidation(folder: Path, days: int, target: Path) -> float:
    begin = time.perf_counter()
    consolidate(
        source_dir=folder / "days",
        start_date=START,
        end_date=day(days - 1),
        land_mask_file=folder / "mask.nc",
        output_file=target,
        force=True,
    )
    return time.perf_counter() - begin


def fill_seconds(folder: Path, sources: list[Path], days: int) -> float:
    stack = np.stack([read_day(s)[0] for s in sources[: min(days, 19)]])
    from seaice.masks import read_mask

    ocean = read_mask(folder / "mask.nc").ocean
    inner = slice(8, len(stack) - 8) if len(stack) > 16 else slice(None)
    hybrid.fill(stack[:, :64, :64].copy(), ocean[:64, :64].copy())
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        hybrid.fill(stack, ocean, days=inner)
        times.append(time.perf_counter() - begin)
    return statistics.median(times) / len(range(*inner.indices(len(stack))))


def peak_memory(folder: Path, days: int) -> float:
    words = ["--source_dir", folder / "days", "--start_date", START, "--end_date", day(days - 1)]
    words += ["--land_mask_file", folder / "mask.nc", "--output_file", folder / "m.nc", "--force"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT)), *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grid", default="n3125")
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--memory_days", type=int, nargs="*", default=[])
    parser.add_argument("--folder", type=Path, help="keep the simulated days here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        count = max([options.days, *options.memory_days])
        if not (folder / "mask.nc").exists():
            simulate_days(
                output_dir=folder / "days", start_date=START, end_date=day(count - 1), grid=options.grid
            )
            create_mask(
                source_dir=folder / "days",
                start_date=START,
                end_date=day(count - 1),
                output_file=folder / "mask.nc",
            )
        measure(folder, options)


def measure(folder: Path, options: argparse.Namespace) -> None:
    grid = get_grid(options.grid)
    sources = sorted((folder / "days").rglob("*.nc"))
    short, long = max(2, options.days // 4), options.days
    cube, other = folder / "cube.nc", folder / "other.nc"
    run_consolidation(folder, short, cube)  # warm-up: compiles the kernels
    ours, theirs = [], []
    for _ in range(options.repeats):
        ours.append(
            (run_consolidation(folder, long, cube) - run_consolidation(folder, short, cube))
            / (long - short)
        )
        theirs.append(
            (read_and_write(sources[:long], cube, other) - read_and_write(sources[:short], cube, other))
            / (long - short)
        )
    own, plain = statistics.median(ours), statistics.median(theirs)
    print(f"grid {grid}, {long} days, medians of {options.repeats}")
    print(f"fill (hybrid)                  {fill_seconds(folder, sources, long):7.3f} s a day")
    print(f"consolidation                  {own:7.3f} s a day")
    print(f"read and write, nothing filled {plain:7.3f} s a day")
    print(f"ratio                          {own / plain:7.2f}")
    for days in options.memory_days:
        print(f"peak memory, {days:>4} days         {peak_memory(folder, days):7.0f} MB")


if __name__ == "__main__":
    main()
