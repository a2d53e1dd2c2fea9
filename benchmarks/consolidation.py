"""Consolidation against merely reading the inputs and writing the output.

Claim: a day costs no more than netCDF4 takes to read its file and to write the same three
variables with the same chunks and filters, nothing filled. Both are run in turn in one process,
after a warm-up; the cost of a day is marginal (a longer run less a shorter one, both longer than
the ring of days that is in memory). Then cost and peak memory of processes of their own, for
several numbers of days: the cost grows linearly, the memory does not.

Twelve days are simulated and linked forwards and backwards under as many dates as are wanted.

  python benchmarks/consolidation.py --grid n12500 --days 60
  python benchmarks/consolidation.py --grid n3125 --days 60 --scaling_days 10 50 200
"""

from __future__ import annotations

import argparse
import os
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
from seaice.sources.bremen import DayFile  # noqa: E402
from seaice.sources.bremen_reader import read_day  # noqa: E402

START = date(2024, 1, 1)
SIMULATED = 12
SHORT = 20
MEASURE = """
import sys
sys.path.insert(0, {root!r})
import consolidate_data
import time
begin = time.perf_counter()
status = consolidate_data.main(sys.argv[1:])
print("seconds", time.perf_counter() - begin)
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


def fill_seconds(folder: Path, sources: list[Path]) -> float:
    from seaice.masks import read_mask

    stack = np.stack([read_day(s)[0] for s in sources[:19]])
    ocean = read_mask(folder / "mask.nc").ocean
    inner = slice(8, len(stack) - 8)
    hybrid.fill(stack[:, :64, :64].copy(), ocean[:64, :64].copy())
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        hybrid.fill(stack, ocean)
        whole = time.perf_counter() - begin
        begin = time.perf_counter()
        hybrid.fill(stack, ocean, days=inner)
        part = time.perf_counter() - begin
        times.append((whole - part) / (len(stack) - 3 - 2 * 3))
    return statistics.median(times)


def alone(folder: Path, days: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a process of its own."""
    words = ["--source_dir", folder / "days", "--start_date", START, "--end_date", day(days - 1)]
    words += ["--land_mask_file", folder / "mask.nc", "--output_file", folder / "m.nc", "--force"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT)), *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = (float(line.split()[1]) for line in done.stdout.splitlines()[-2:])
    return seconds, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--grid", default="n3125")
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scaling_days", type=int, nargs="*", default=[])
    parser.add_argument("--folder", type=Path, help="keep the days here")
    options = parser.parse_args()
    if options.days <= SHORT:
        parser.error(f"--days must be above {SHORT}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        make_days(folder, options.grid, max([options.days, *options.scaling_days]))
        measure(folder, options)


def make_days(folder: Path, grid: str, count: int) -> None:
    end = day(SIMULATED - 1)
    if not (folder / "mask.nc").exists():
        simulate_days(output_dir=folder / "simulated", start_date=START, end_date=end, grid=grid)
        create_mask(
            source_dir=folder / "simulated",
            start_date=START,
            end_date=end,
            output_file=folder / "mask.nc",
        )
    sources = sorted((folder / "simulated").rglob("*.nc"))
    there_and_back = [*sources, *sources[-2:0:-1]]
    (folder / "days").mkdir(exist_ok=True)
    for i in range(count):
        target = folder / "days" / DayFile("AMSR2", grid, day(i), "5.4", "nc").name
        if not target.exists():
            os.link(there_and_back[i % len(there_and_back)], target)


def measure(folder: Path, options: argparse.Namespace) -> None:
    sources = sorted((folder / "days").glob("*.nc"))
    long, between = options.days, options.days - SHORT
    cube, other = folder / "cube.nc", folder / "other.nc"
    run_consolidation(folder, SHORT, cube)  # warm-up: compiles the kernels
    ours, theirs, cpu = [], [], []
    for _ in range(options.repeats):
        begin = time.process_time()
        less = run_consolidation(folder, SHORT, cube)
        middle = time.process_time()
        more = run_consolidation(folder, long, cube)
        cpu.append((time.process_time() - middle - (middle - begin)) / between)
        ours.append((more - less) / between)
        less = read_and_write(sources[:SHORT], cube, other)
        theirs.append((read_and_write(sources[:long], cube, other) - less) / between)
    own, plain = statistics.median(ours), statistics.median(theirs)
    print(f"grid {get_grid(options.grid)}, {long} days, medians of {options.repeats}")
    print(f"fill (hybrid)                  {fill_seconds(folder, sources):7.3f} s a day")
    print(f"consolidation                  {own:7.3f} s a day ({statistics.median(cpu):.3f} s of CPU)")
    print(f"read and write, nothing filled {plain:7.3f} s a day")
    print(f"ratio                          {own / plain:7.2f}")
    for days in options.scaling_days:
        seconds, peak = alone(folder, days)
        print(f"{days:>4} days, a process of its own {seconds:9.1f} s {peak:7.0f} MB at most")


if __name__ == "__main__":
    main()
