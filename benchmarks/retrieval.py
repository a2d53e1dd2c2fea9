"""A day of ice concentration from simulated half orbits against reading the same files alone.

Both sides run in processes of their own, so that the peak memory is theirs. Reading takes the channels
of the base retrieval, with positions and scan times, as kelvin; the other side is the stage as a user
calls it, from files to a written day. The numbers of both are CPU seconds of all threads.

  python benchmarks/retrieval.py --half_orbits 6 --grid n12500
  python benchmarks/retrieval.py --half_orbits 29 --grid n6250
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.retrieval import get_algorithm
from seaice.retrieval.days.inputs import list_swath_channels
from seaice.retrieval.days.stage import retrieve_concentration
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.l1b import read_granule

DAY = datetime(2020, 1, 15, tzinfo=UTC)


def make_granules(folder: Path, count: int) -> None:
    """Half orbits that begin on one day, as the sensor makes them."""
    for granule in list_simulated_granules(DAY, DAY + timedelta(days=1))[:count]:
        write_granule(folder, granule)


def read_all(folder: Path) -> None:
    """Read what the retrieval reads, one granule after the other."""
    channels = [*list_swath_channels([get_algorithm("base")]), "89BV", "89BH"]
    for path in sorted(folder.glob("*.h5")):
        swath = read_granule(path, channels=channels)
        for channel in channels:
            swath.kelvin(channel)


def retrieve_all(folder: Path, grid: str, footprint: str) -> None:
    """Retrieve the day into a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as output:
        retrieve_concentration(
            input=[folder],
            output_dir=Path(output),
            grid=grid,
            footprint=footprint,  # type: ignore[arg-type]
            start_date=DAY.date(),
            end_date=DAY.date(),
        )


def measure(words: Sequence[str]) -> dict[str, float]:
    """Run this script as one side, in a process of its own."""
    command = [sys.executable, __file__, *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def run_side(options: argparse.Namespace) -> None:
    """Print the seconds and the peak memory of one side as JSON."""
    wall, cpu = time.perf_counter(), time.process_time()
    if options.side == "reading":
        read_all(options.folder)
    else:
        retrieve_all(options.folder, options.grid, options.side)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": peak}
    print(json.dumps(seconds))


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half_orbits", type=int, default=6)
    parser.add_argument("--grid", default="n12500")
    parser.add_argument("--folder", type=Path, help="granules made before, or to be kept")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.side:
        run_side(options)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not list(folder.glob("*.h5")):
            make_granules(folder, options.half_orbits)
        given = ["--folder", str(folder), "--grid", options.grid]
        print(f"{len(list(folder.glob('*.h5')))} half orbits to {options.grid}")
        print(f"{'':24} {'s':>8} {'CPU s':>8} {'peak MB':>8} {'of reading':>10}")
        sides = {"reading alone": "reading"}
        sides |= {f"concentration, {km} km": km for km in ("20", "9", "4")}
        measure([*given, "--side", "20"])  # compiled loops are kept
        reading = measure([*given, "--side", "reading"])
        for name, side in sides.items():
            result = reading if side == "reading" else measure([*given, "--side", side])
            wall, cpu, peak = (result[key] for key in ("wall", "cpu", "peak"))
            print(f"{name:24} {wall:8.1f} {cpu:8.1f} {peak:8.0f} {cpu / reading['cpu']:10.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
