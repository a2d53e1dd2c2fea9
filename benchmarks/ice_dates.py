"""How often the interval of a date of retreat or advance holds the date without gaps, and the speed.

Claim: of intervals with a width 90 to 99 percent hold the date that the cell has without gaps, for gaps
of 1 to 9 whole days and for patches; a date without a width is right in 99 percent of the cells or more.

A simulated sea of one ice year is hidden on days and in patches, filled by the default method, and given
the expected errors of a cube. The true dates are those of the sea without gaps.

  python benchmarks/ice_dates.py
  python benchmarks/ice_dates.py --seeds 4
  python benchmarks/ice_dates.py --cube cube.nc   # days a second, and against reading alone
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.cube.file import CubeFile
from seaice.flags import FillFlag
from seaice.gapfill.departure import Departure
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.grids import get_grid
from seaice.ice_index.dates.events import EVENTS, DateRule, DateStatus
from seaice.ice_index.dates.ice_year import IceYear, Season
from seaice.ice_index.dates.season_state import EventDates, SeasonState
from seaice.ice_index.dates.stage import CubeDays, DayReader
from seaice.simulate.sea import SyntheticSea

_MARGIN = 12  # days before and after the ice year, that fills may use


def simulate_year(grid_name: str, year: IceYear, seed: int) -> np.ndarray:
    """Concentration of every day with a margin, percent, float32 (days, rows, columns)."""
    sea = SyntheticSea(get_grid(grid_name), seed=seed)
    first = year.start - timedelta(days=_MARGIN)
    days = len(year) + 2 * _MARGIN
    truth = [sea.compute_truth(first + timedelta(days=n)) for n in range(days)]
    return np.round(np.stack(truth), 2)


def hide_values(truth: np.ndarray, rng: np.random.Generator, *, between: float) -> np.ndarray:
    """Hide runs of 1 to 9 whole days, about ``between`` days apart, and squares for as long."""
    stack = truth.copy()
    day = int(rng.integers(1, 10))
    while day < len(stack):
        length = int(rng.integers(1, 10))
        stack[day : day + length] = np.nan
        day += length + 1 + int(rng.exponential(between))
    rows, columns = stack.shape[1:]
    for day in range(0, len(stack), 2):
        row, column = int(rng.integers(rows)), int(rng.integers(columns))
        size, length = int(rng.integers(20, 80)), int(rng.integers(1, 10))
        stack[day : day + length, row : row + size, column : column + size] = np.nan
    return stack


def find_all_dates(
    stack: np.ndarray, year: IceYear, cells: np.ndarray, gaps: np.ndarray | None
) -> dict[str, EventDates]:
    """Dates of a complete stack, or of one that is filled first where ``gaps`` is the hidden one."""
    state = SeasonState.begin(year, cells, DateRule())
    trusted = np.zeros(256, bool)
    trusted[FillFlag.OBSERVED] = True
    filled = None
    if gaps is not None:
        ocean = np.zeros(stack.shape[1:], bool)
        ocean.reshape(-1)[cells] = True
        filled = Departure().fill(gaps, ocean)
    table = read_table()
    for number in range(len(year)):
        day = year.start + timedelta(days=number)
        position = number + _MARGIN
        values, flag, error = stack[position] / 100, np.zeros(stack.shape[1:], np.uint8), None
        if filled is not None:
            frame = filled.day(position)
            values, flag = frame.values / 100, frame.flag
            steps = of_day(frame, table)
            error = np.where(steps == NONE, np.nan, steps * STEP / 100).astype(np.float32).ravel()
        state.follow(number, day.month, values.astype(np.float32).ravel(), flag.ravel(), trusted, error)
    return {name: state.find_dates(name) for name in EVENTS}


def measure_coverage(seeds: int, grid_name: str, between: float) -> None:
    """Print the coverage by event."""
    year = Season.of(get_grid(grid_name)).make_year(2019)
    totals = {name: np.zeros(6) for name in EVENTS}
    widths: dict[str, list[np.ndarray]] = {name: [] for name in EVENTS}
    for seed in range(seeds):
        truth = simulate_year(grid_name, year, seed)
        cells = np.flatnonzero(~np.isnan(truth[0]))
        gaps = hide_values(truth, np.random.default_rng(seed), between=between)
        true = find_all_dates(truth, year, cells, None)
        estimated = find_all_dates(truth, year, cells, gaps)
        for name in EVENTS:
            has_both = (true[name].status == DateStatus.DATE) & (
                estimated[name].status == DateStatus.DATE
            )
            low, high, day = (
                part[has_both]
                for part in (estimated[name].earliest, estimated[name].latest, true[name].day)
            )
            holds, is_wide = (low <= day) & (day <= high), high > low
            totals[name] += [
                has_both.sum(), is_wide.sum(), (holds & is_wide).sum(), (~is_wide).sum(),
                (holds & ~is_wide).sum(), (true[name].status != estimated[name].status).sum(),
            ]  # fmt: skip
            widths[name].append((high - low)[is_wide])
    print(f"{seeds} simulated ice years of {grid_name}, outages about {between:g} days apart")
    header = f"{'dates':>9}{'wide %':>8}{'held %':>8}{'days':>6}{'exact held %':>14}{'status %':>10}"
    print(" " * 10 + header)
    for name, (count, wide, held, exact, right, other) in totals.items():
        width = np.median(np.concatenate(widths[name])) if wide else np.nan
        print(
            f"{name:>10}{count:>9.0f}{100 * wide / count:>8.1f}{100 * held / max(wide, 1):>8.1f}"
            f"{width:>6.0f}{100 * right / max(exact, 1):>14.2f}{100 * other / count:>10.2f}"
        )


def measure_speed(path: Path) -> None:
    """Print the processor time a day of reading a cube, and of following its cells."""
    with CubeFile(path) as cube:
        numbers, cells = range(len(cube.dates)), np.flatnonzero(cube.ocean)
        year = Season.of(cube.grid).list_years(cube.dates[0], cube.dates[-1])[0]
        reader, state = (
            DayReader([CubeDays(cube, numbers, cube.ocean)]),
            SeasonState.begin(year, cells, DateRule()),
        )
        days = [(day, reader.read(day)) for day in cube.dates[:2]]
        state.follow(0, 3, *days[0][1])  # compiled
        spent = np.zeros((2, 2))
        for number, day in enumerate(cube.dates):
            marks = [(time.perf_counter(), time.process_time())]
            content = reader.read(day)
            marks.append((time.perf_counter(), time.process_time()))
            state.follow(number, day.month, *content)
            marks.append((time.perf_counter(), time.process_time()))
            spent += np.diff(marks, axis=0)
        (read, read_cpu), (follow, follow_cpu) = spent / len(numbers)
    kept = sum(part.nbytes for part in vars(state).values() if isinstance(part, np.ndarray))
    print(f"{cube.grid}, {len(cells)} cells, {len(numbers)} days; state of {kept / 1e6:.0f} MB")
    print(f"reading {1000 * read:.0f} ms a day ({1000 * read_cpu:.0f} of processor time)")
    print(f"following {1000 * follow:.0f} ms a day ({1000 * follow_cpu:.0f} of processor time)")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=1, help="simulated years (default %(default)s)")
    parser.add_argument("--grid", default="n25000", help="grid of them (default %(default)s)")
    parser.add_argument(
        "--between", type=float, default=20, help="mean days between outages (default %(default)s)"
    )
    parser.add_argument("--cube", type=Path, help="measure the speed on a cube instead")
    options = parser.parse_args(argv)
    if options.cube is not None:
        measure_speed(options.cube)
        return 0
    begun = time.perf_counter()
    measure_coverage(options.seeds, options.grid, options.between)
    print(f"{time.perf_counter() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
