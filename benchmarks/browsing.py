"""The page of browse.py against opening the same cube with xarray.

Claim: a click on a cell is answered within 0.2 s for a year of days, once the series are made, and a
day within the time that reading it takes. ``browse.py`` runs in a process of its own and is asked over
HTTP for just what the page asks for; xarray, which a plot of hvplot or panel reads with, is asked for
the same numbers from the same file in this process. Both must give the same.

Some days are simulated, linked under as many dates as are needed, and filled.

  python benchmarks/browsing.py --grid n12500 --days 60
  python benchmarks/browsing.py --grid n6250 --days 365
  python benchmarks/browsing.py --grid n3125 --days 30
"""

from __future__ import annotations

import http.client
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from simulated import START, Days, day, linked, parser_of, simulated_days

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.cube.consolidate import consolidate
from seaice.gapfill.departure import Departure

SIMULATED = 6
# Dots of the page's map along a side, as on a usual screen.
DOTS = 900
BOX_KILOMETRES = 1000.0


class Page:
    """What the page asks, over one connection."""

    def __init__(self, url: str) -> None:
        host = url.removeprefix("http://").rstrip("/")
        self._connection = http.client.HTTPConnection(host, timeout=600)
        self.meta = json.loads(self.ask("meta"))["files"][0]

    def ask(self, key: str) -> bytes:
        """The content of an answer."""
        self._connection.request("GET", f"/data/{key}")
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{key}: {answer.status} {content[:200]!r}")
        return content

    @property
    def level(self) -> int:
        """The level of a map that fills the screen."""
        scale = DOTS / max(self.meta["rows"], self.meta["columns"])
        level = int(np.floor(np.log2(1 / scale) + 0.35))
        return min(max(level, 0), self.meta["levels"][-1])

    def read_map(self, step: int) -> np.ndarray:
        """Concentration in percent of the cells that the map of a day shows; NaN where there is none."""
        side, tile = 2**self.level, self.meta["tile"]
        counts = [-(-self.meta[name] // side) for name in ("rows", "columns")]
        shown = np.empty(counts)
        for r in range(-(-counts[0] // tile)):
            for c in range(-(-counts[1] // tile)):
                part = np.s_[r * tile : (r + 1) * tile, c * tile : (c + 1) * tile]
                content = self.ask(f"tile/0/0/{step}/{self.level}/{r}/{c}")
                cells = np.frombuffer(content, "<i2").reshape(shown[part].shape)
                shown[part] = np.where(cells < -32000, np.nan, cells * 0.01)
        return shown

    def wait(self) -> float:
        """Seconds until the series of all days are made."""
        start = time.perf_counter()
        while json.loads(self.ask("summary/0"))["done"] < len(self.meta["steps"]):
            time.sleep(0.05)
        return time.perf_counter() - start

    def read_cell(self, row: int, column: int) -> np.ndarray:
        """Series of a cell, percent."""
        return np.array(json.loads(self.ask(f"cell/0/0/{row}/{column}"))["values"], float)

    def read_box(self, *ends: int) -> np.ndarray:
        """Extent of a box of coarse cells, km2."""
        return np.array(json.loads(self.ask("box/0/0/" + "/".join(map(str, ends))))["extent"], float)


@contextmanager
def served(cube: Path) -> Any:
    """A process of browse.py and its address."""
    command = [sys.executable, str(ROOT / "browse.py"), "--input_file", str(cube)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        url = next(m[1] for line in process.stderr if (m := re.search(r"open (http://\S+)", line)))
        # Its log must not fill the pipe.
        drain = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield url, process.pid
        finally:
            process.terminate()
            process.wait()
            drain.terminate()
            drain.wait()


def read_memory(pid: int, name: str) -> float:
    """Megabytes that a process holds (VmRSS) or held at most (VmHWM)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def make_cube(days: Days, folder: Path, count: int) -> Path:
    linked(days, folder, count)
    cube = folder / "cube.nc"
    consolidate(
        source_dir=folder / "days",
        start_date=START,
        end_date=day(count - 1),
        land_mask_file=days.mask_file,
        output_file=cube,
        method=Departure(),
    )
    return cube


def time_each(work: Callable[[Any], Any], items: list[Any]) -> tuple[float, list[Any]]:
    """Median seconds of a call, and the results."""
    seconds, results = [], []
    for item in items:
        start = time.perf_counter()
        results.append(work(item))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), results


def choose_cells(cube: Path, count: int) -> list[tuple[int, int]]:
    """Cells of the ocean."""
    import xarray as xr

    with xr.open_dataset(cube) as dataset:
        cells = np.argwhere(dataset["surface"].values == 0)
    chosen = np.random.default_rng(0).choice(len(cells), count, replace=False)
    return [(int(row), int(column)) for row, column in cells[chosen]]


def measure(cube: Path, repeats: int) -> bool:
    """Print the seconds of both ways; whether they gave the same."""
    import xarray as xr

    cells = choose_cells(cube, repeats)
    with served(cube) as (url, pid):
        start = time.perf_counter()
        page = Page(url)
        for key in ("positions/0", "coast/0"):
            page.ask(key)
        first_map = page.read_map(0)
        first = time.perf_counter() - start
        making = page.wait()
        steps = [1 + i % (len(page.meta["steps"]) - 1) for i in range(repeats)]
        following, maps = time_each(page.read_map, steps)
        click, series = time_each(lambda cell: page.read_cell(*cell), cells)
        half = round(BOX_KILOMETRES / page.meta["kilometres"] / page.meta["coarse"] / 2)
        row, column = (count // 2 for count in page.meta["coarseShape"])
        box = (row - half, row + half - 1, column - half, column + half - 1)
        summing, sums = time_each(lambda ends: page.read_box(*ends), [box] * repeats)
        memory = read_memory(pid, "VmRSS"), read_memory(pid, "VmHWM")
    side = 2**page.level

    def read_map(step: int) -> Any:
        return 100 * dataset["sea_ice_conc"].isel(time=step).values[side // 2 :: side, side // 2 :: side]

    def read_cell(cell: tuple[int, int]) -> Any:
        return 100 * dataset["sea_ice_conc"].isel(y=cell[0], x=cell[1]).values

    def read_box(ends: tuple[int, ...]) -> Any:
        coarse = page.meta["coarse"]
        rows, columns = (slice(a * coarse, (b + 1) * coarse) for a, b in (ends[:2], ends[2:]))
        part = dataset["sea_ice_conc"].isel(y=rows, x=columns)
        return np.stack([day >= 0.15 for day in part.values]).sum(axis=(1, 2))

    start = time.perf_counter()
    with xr.open_dataset(cube) as dataset:
        other_first_map = read_map(0)
        other_first = time.perf_counter() - start
        other_following, other_maps = time_each(read_map, steps)
        # So many clicks as a user has patience for.
        other_click, other_series = time_each(read_cell, cells[:3])
        other_summing, counts = time_each(read_box, [box])
    print(f"{'':26}  browse.py     xarray   ratio")
    rows = {
        "first map, s": (first, other_first),
        "next day, s": (following, other_following),
        "click on a cell, s": (click, other_click),
        f"box of {BOX_KILOMETRES:g} km, s": (summing, other_summing),
    }
    for name, (own, other) in rows.items():
        print(f"{name:26} {own:10.4f} {other:10.4f} {own / other:7.3f}")
    print(f"series of all days made in {making:.1f} s more, in the background")
    print(f"memory of the server       {memory[0]:.0f} MB, at most {memory[1]:.0f} MB")
    pairs = [(first_map, other_first_map), *zip(maps, other_maps, strict=True)]
    pairs += zip(series[:3], other_series, strict=True)
    is_same = all(np.allclose(a, b, atol=0.0051, equal_nan=True) for a, b in pairs)
    # Cells by their areas, which differ by a fifth over a box: the sums must go together.
    ratio = sums[0] / np.maximum(counts[0], 1)
    return is_same and float(np.ptp(ratio) / np.mean(ratio)) < 0.05


def main() -> int:
    parser = parser_of(__doc__, days=60, repeats=9)
    options = parser.parse_args()
    count, options.days = options.days, SIMULATED
    with simulated_days(options) as days, tempfile.TemporaryDirectory(dir=days.folder) as folder:
        cube = make_cube(days, Path(folder), count)
        size = cube.stat().st_size / 1e6
        print(f"grid {days.grid}, {count} days, {size:.0f} MB", flush=True)
        is_same = measure(cube, options.repeats)
    print("both gave the same" if is_same else "FAILED: they gave different numbers")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
