"""Consolidation against merely reading the inputs and writing the output.

Claim: with `departure` a day with its expected errors costs two thirds of what netCDF4 takes to read its
file and to write the same four variables with the same chunks and filters, nothing filled; with
`increments` nine tenths, a day without a file three times as much as another. Both are run in turn
in one process, after a warm-up; the cost of a day is the slope between 36 and 72 days, both longer
than the time until the ring of days in memory is full. A day without a file has a figure of its own:
the same run with some files taken away. Peak memory is that of a process of its own; for several
numbers of days the cost grows linearly, the memory does not.

Twelve days are simulated, some 6 percent of their ocean missing, and linked forwards and backwards
under as many dates as are needed.

  python benchmarks/consolidation.py --grid n12500
  python benchmarks/consolidation.py --grid n3125 --method departure --scaling_days 10 50 200
  python benchmarks/consolidation.py --grid n3125 --method increments --parts slope
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from simulated import START, Days, day, linked, parser_of, simulated_days
from stopwatch import Seconds, timed

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice import cf
from seaice.cube.consolidate import consolidate
from seaice.cube.file import CubeFile
from seaice.cube.packing import PACKED
from seaice.gapfill.increments.weights import PACKAGED, packaged_weights
from seaice.gapfill.methods import daily_methods
from seaice.sources.bremen.reader import read_day

SIMULATED = 12
# UTC hours without data: wedges of 7 to 15 percent of the ocean on every second day.
OUTAGES = {
    i: (4.0, end) for i, end in ((1, 13.0), (3, 14.0), (5, 14.2), (7, 12.5), (9, 14.6), (11, 14.0))
}
# The ring of `increments` holds 33 days: until it is full, every day takes memory from the system anew.
SHORT = 36
# Days without a file, far enough apart to be single ones, and on both sides of each a whole ring.
ABSENT = (33, 41, 49, 57)
PARTS = ("slope", "absent", "memory")
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


def read_and_write(sources: list[Path], cube: Path, target: Path) -> None:
    """Read every input and write what a cube holds, a few of its days in turn."""
    import netCDF4

    with CubeFile(cube) as opened:
        grid = opened.grid
        fields = [[opened.variable(name, i) for name in PACKED] for i in range(SHORT - 4, SHORT)]
    with netCDF4.Dataset(target, "w") as dataset:
        cf.write_time(dataset)
        cf.write_grid(dataset, grid)
        variables = [cf.define_variable(dataset, name) for name in PACKED]
        for i, source in enumerate(sources):
            with netCDF4.Dataset(source) as daily:
                daily.set_auto_maskandscale(False)
                daily["z"][:]
            for variable, values in zip(variables, fields[i % len(fields)], strict=True):
                variable[i] = values


def words(sources: list[Path], mask: Path, days: int, target: Path) -> dict[str, object]:
    """The options of a consolidation of the first days."""
    return {
        "source_dir": sources[0].parent,
        "start_date": START,
        "end_date": day(days - 1),
        "land_mask_file": mask,
        "output_file": target,
    }


def alone(options: dict[str, object], method: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a process of its own."""
    given = {"weights": PACKAGED} if method == "increments" else {}
    pairs = {**options, "method": method, **given}.items()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE.format(root=str(ROOT))]
        + [str(word) for name, value in pairs for word in (f"--{name}", value)]
        + ["--force"],
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, peak = (float(line.split()[1]) for line in done.stdout.splitlines()[-2:])
    return seconds, peak


def main() -> None:
    parser = parser_of(__doc__, days=72, repeats=3)
    parser.add_argument("--method", default="departure", choices=daily_methods(), help="[%(default)s]")
    parser.add_argument(
        "--scaling_days", type=int, nargs="*", default=[], help="numbers of days to run alone"
    )
    parser.add_argument(
        "--parts",
        nargs="+",
        default=PARTS,
        choices=PARTS,
        help="a day with and without filling, days without a file, a process of its own",
    )
    options = parser.parse_args()
    shortest = max(ABSENT) if "absent" in options.parts else SHORT
    if options.days <= shortest:
        parser.error(f"--days must be above {shortest}")
    count, options.days = options.days, SIMULATED
    with (
        simulated_days(options, OUTAGES) as days,
        tempfile.TemporaryDirectory(dir=days.folder) as folder,
    ):
        measure(days, Path(folder), count, options)


def measure(days: Days, folder: Path, long: int, options: argparse.Namespace) -> None:
    sources = linked(days, folder / "all", max([long, *options.scaling_days]))
    fewer = linked(days, folder / "fewer", long, absent=ABSENT)
    cube, other = folder / "cube.nc", folder / "other.nc"
    # A fit to the days is no cost of a day: increments take their packaged weights.
    given = {"fitted": packaged_weights()} if options.method == "increments" else {}
    method = daily_methods()[options.method](**given)

    def fill(files: list[Path], count: int) -> None:
        arguments: Any = words(files, days.mask_file, count, cube)
        consolidate(**arguments, method=method, force=True)

    sides: dict[str, Callable[[], None]] = {
        "few": lambda: fill(sources, SHORT),
        "few copied": lambda: read_and_write(sources[:SHORT], cube, other),
        "many": lambda: fill(sources, long),
        "many copied": lambda: read_and_write(sources[:long], cube, other),
        "absent": lambda: fill(fewer, long),
    }
    if "absent" not in options.parts:
        del sides["absent"]
    print(f"grid {days.grid}, {SHORT} to {long} days, {options.method}, medians of {options.repeats}")
    print(f"{100 * missing_share(days):.1f} % of the ocean missing", flush=True)
    if options.parts != ["memory"]:
        fill(sources, SHORT)  # warm-up: compiles the kernels
        compare(
            [{name: timed(run) for name, run in sides.items()} for _ in range(options.repeats)], long
        )
    if "memory" in options.parts:
        for count in options.scaling_days or [long]:
            seconds, peak = alone(words(sources, days.mask_file, count, cube), options.method)
            print(f"{count:>4} days, a process of its own {seconds:9.1f} s {peak:7.0f} MB at most")


def compare(rounds: list[dict[str, Seconds]], long: int) -> None:
    """Print what a day costs, from the slopes between few and many days."""

    def slope(more: str, less: str, divisor: int) -> Seconds:
        differences = [(r[more].wall - r[less].wall, r[more].cpu - r[less].cpu) for r in rounds]
        return Seconds(
            *(statistics.median(column) / divisor for column in zip(*differences, strict=True))
        )

    own, copied = (slope(f"many{kind}", f"few{kind}", long - SHORT) for kind in ("", " copied"))
    print(f"consolidation                  {own.wall:7.3f} s a day ({own.cpu:.3f} s of CPU)")
    print(f"read and write, nothing filled {copied.wall:7.3f} s a day ({copied.cpu:.3f} s of CPU)")
    wall, cpu = own.wall / copied.wall, own.cpu / copied.cpu
    print(f"ratio                          {wall:7.2f}         ({cpu:.2f} of CPU)", flush=True)
    if "absent" in rounds[0]:
        extra = slope("absent", "many", len(ABSENT))
        wall, cpu = own.wall + extra.wall, own.cpu + extra.cpu
        print(f"a day without a file           {wall:7.3f} s       ({cpu:.3f} s of CPU)", flush=True)


def missing_share(days: Days) -> float:
    """The part of the ocean that is missing, of all days."""
    ocean = days.ocean()
    return float(np.mean([np.isnan(read_day(path)[0][ocean]).mean() for path in days.paths]))


if __name__ == "__main__":
    main()
