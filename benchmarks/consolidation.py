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
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from simulated import START, Days, day, linked, parser_of, simulated_days

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice import cf
from seaice.cube.consolidate import consolidate
from seaice.cube.file import CubeFile
from seaice.gapfill.departure import Departure
from seaice.masks import read_mask
from seaice.sources.bremen.reader import read_day

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


def read_and_write(sources: list[Path], cube: Path, target: Path) -> float:
    """Seconds to read every input and to write the cube's arrays, already computed."""
    import netCDF4

    with CubeFile(cube) as made:
        grid = made.grid
        packed = made.variable("sea_ice_conc", 0)
        names = ("fill_flag", "days_back_forward", "sea_ice_conc_error")
        fields = (packed, *(made.variable(name, 0) for name in names))
    begin = time.perf_counter()
    with netCDF4.Dataset(target, "w") as dataset:
        cf.write_time(dataset)
        cf.write_grid(dataset, grid)
        variables = [cf.define_variable(dataset, name) for name in ("sea_ice_conc", *names)]
        for i, source in enumerate(sources):
            with netCDF4.Dataset(source) as opened:
                opened.set_auto_maskandscale(False)
                opened["z"][:]
            for variable, values in zip(variables, fields, strict=True):
                variable[i] = values
    return time.perf_counter() - begin


def words(sources: list[Path], mask: Path, days: int, target: Path) -> dict[str, object]:
    """The options of a consolidation of the first days."""
    return {
        "source_dir": sources[0].parent,
        "start_date": START,
        "end_date": day(days - 1),
        "land_mask_file": mask,
        "output_file": target,
    }


def run_consolidation(options: dict[str, object]) -> float:
    begin = time.perf_counter()
    consolidate(**options, force=True)
    return time.perf_counter() - begin


def fill_seconds(days: Days, sources: list[Path]) -> float:
    stack = np.stack([read_day(path)[0] for path in sources[:27]])
    ocean = read_mask(days.mask_file).ocean
    inner = slice(12, len(stack) - 12)
    Departure().fill(stack, ocean, days=inner)
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        Departure().fill(stack, ocean)
        middle = time.perf_counter()
        Departure().fill(stack, ocean, days=inner)
        # Both copy and look at the whole stack; the longer one fills so many days more.
        times.append((2 * middle - begin - time.perf_counter()) / (len(stack) - 3 - 6))
    return statistics.median(times)


def alone(options: dict[str, object]) -> tuple[float, float]:
    """Seconds and peak megabytes of a process of its own."""
    said = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT)), *said, "--force"],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = (float(line.split()[1]) for line in done.stdout.splitlines()[-2:])
    return seconds, peak


def main() -> None:
    parser = parser_of(__doc__, days=60, repeats=3)
    parser.add_argument(
        "--scaling_days", type=int, nargs="*", default=[], help="numbers of days to run alone"
    )
    options = parser.parse_args()
    if options.days <= SHORT:
        parser.error(f"--days must be above {SHORT}")
    wanted, options.days = options.days, SIMULATED
    with simulated_days(options) as days, tempfile.TemporaryDirectory(dir=days.folder) as folder:
        measure(days, Path(folder), wanted, options)


def measure(days: Days, folder: Path, long: int, options: argparse.Namespace) -> None:
    sources = linked(days, folder, max([long, *options.scaling_days]))
    cube, other, between = folder / "cube.nc", folder / "other.nc", long - SHORT
    few = words(sources, days.mask_file, SHORT, cube)
    many = words(sources, days.mask_file, long, cube)
    run_consolidation(few)  # warm-up: compiles the kernels
    ours, theirs, cpu = [], [], []
    for _ in range(options.repeats):
        begin = time.process_time()
        less = run_consolidation(few)
        middle = time.process_time()
        more = run_consolidation(many)
        cpu.append((time.process_time() - middle - (middle - begin)) / between)
        ours.append((more - less) / between)
        less = read_and_write(sources[:SHORT], cube, other)
        theirs.append((read_and_write(sources[:long], cube, other) - less) / between)
    own, plain = statistics.median(ours), statistics.median(theirs)
    print(f"grid {days.grid}, {long} days, medians of {options.repeats}")
    print(f"fill (departure)               {fill_seconds(days, sources):7.3f} s a day")
    print(f"consolidation                  {own:7.3f} s a day ({statistics.median(cpu):.3f} s of CPU)")
    print(f"read and write, nothing filled {plain:7.3f} s a day")
    print(f"ratio                          {own / plain:7.2f}")
    for count in options.scaling_days:
        seconds, peak = alone(words(sources, days.mask_file, count, cube))
        print(f"{count:>4} days, a process of its own {seconds:9.1f} s {peak:7.0f} MB at most")


if __name__ == "__main__":
    main()
