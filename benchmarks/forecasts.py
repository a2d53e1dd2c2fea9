"""Baselines and networks compared, on real days of 25 km and on simulated days of 3.125 km.

Claim: a network that starts from the last day has less RMSE than persistence at every lead, and the
95 percent interval of its skill over all leads lies above 0; one on a baseline is shown. Skills are
those against persistence, in the region of ice. Networks train on the days before the test. Their
numbers of steps were chosen by this command with the end of February as the test; March had no part in
it. Without --source_dir the simulated days alone are compared: 90 days of a square of the grid n3125
between Greenland and Franz Josef Land, with true coasts and gaps of observation; its ice is a pattern
that drifts with weather of some days.

  python benchmarks/forecasts.py
  python benchmarks/forecasts.py --source_dir days --product index.yml
  python benchmarks/forecasts.py --test 2025-02-15 2025-02-28 --simulated_steps 300 100
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.cube.consolidate import consolidate
from seaice.dates import parse_date
from seaice.forecast.baselines.stage import make_baselines
from seaice.forecast.network.train import train_network
from seaice.forecast.scoring.stage import score_forecasts
from seaice.forecast.scoring.summary import ALL_LEADS, ScoreRow
from seaice.gapfill.temporal import Temporal
from seaice.grids import Grid, get_grid
from seaice.masking.land_mask import create_mask
from seaice.report import Report
from seaice.scoring.forecasts.blocks import Estimate
from seaice.simulate import SimulatedObservations, write_day

BASELINES = ("persistence", "damped", "rolling", "lagged")
# Options of the trainings; one on a baseline needs fewer steps than one that starts from the last day.
NETWORKS: dict[str, dict[str, Any]] = {
    "network": {},
    "network, season-neutral": {"season_neutral": True},
    "network on rolling": {"on": "rolling"},
}
EDGE_LEADS = (1, 3, 7)

PRODUCT = r"""
units: percent
codes: {120: land}
forms:
  - file: 'simulated_(?P<day>\d{8})\.nc'
    container: netcdf
    variable: z
"""
LAND = 120  # as in the description
# Centre of the simulated square on the map, metres.
CENTRE_X, CENTRE_Y = 700_000.0, -700_000.0


@dataclass(frozen=True)
class Comparison:
    """Daily files, and what is learnt from them.

    ``steps`` are those of a network from the last day and of one on a baseline.
    """

    title: str
    source_dir: Path
    product: Path
    days: tuple[date, date]
    test: tuple[date, date]
    steps: tuple[int, int]
    folder: Path


def simulate(folder: Path, cells: int, days: tuple[date, date]) -> None:
    """Write simulated days of a square of the grid n3125, and the description of their files."""
    sea = SimulatedObservations(cut_square(get_grid("n3125"), cells), seed=1)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "product.yml").write_text(PRODUCT)
    for number in range((days[1] - days[0]).days + 1):
        day = days[0] + timedelta(days=number)
        values = sea.observe(day)
        values[sea.land] = LAND
        write_day(folder / f"simulated_{day:%Y%m%d}.nc", values, sea.grid)


def cut_square(grid: Grid, cells: int) -> Grid:
    """Cut a square of cells around the centre out of a grid."""
    column = round((CENTRE_X - grid.west) / grid.step) - cells // 2
    row = round((CENTRE_Y - grid.south) / grid.step) - cells // 2
    west, south = grid.west + column * grid.step, grid.south + row * grid.step
    return replace(grid, rows=cells, columns=cells, west=west, south=south)


def make_cube(comparison: Comparison) -> dict[str, Path]:
    """Make mask and cube of the daily files."""
    first, last = comparison.days
    comparison.folder.mkdir(parents=True, exist_ok=True)
    mask, cube = comparison.folder / "mask.nc", comparison.folder / "cube.nc"
    days: dict[str, Any] = {
        "source_dir": comparison.source_dir,
        "product": [comparison.product],
        "start_date": first,
        "end_date": last,
    }
    create_mask(**days, output_file=mask)
    consolidate(**days, land_mask_file=mask, output_file=cube, method=Temporal())
    return {"cube_file": cube, "mask_file": mask}


def forecast_all(comparison: Comparison, files: Mapping[str, Path]) -> dict[str, tuple[Path, float]]:
    """Forecast the test by every method: the file, and the CPU seconds of learning and forecasting."""
    made: dict[str, tuple[Path, float]] = {}
    for name in BASELINES:
        output = {"methods": [name], "output_dir": comparison.folder / "baselines"}
        seconds, report = measure(lambda o=output: make_baselines(test=comparison.test, **files, **o))
        made[name] = report.outputs[0], seconds
    for name, options in NETWORKS.items():
        settings = options | {
            "name": name,
            "steps": comparison.steps["on" in options],
            "output_dir": comparison.folder / name.replace(",", "").replace(" ", "_"),
        }
        seconds, report = measure(
            lambda s=settings: train_network(test=comparison.test, validation_days=0, **files, **s)
        )
        made[name] = report.outputs[1], seconds
    return made


def measure(run: Callable[[], Report]) -> tuple[float, Report]:
    """Run a stage: CPU seconds of all threads, and its report."""
    before = time.process_time()
    report = run()
    return time.process_time() - before, report


def compare(comparison: Comparison) -> bool:
    """Print the tables of one set of days; False where a network does not hold the claim."""
    files = make_cube(comparison)
    made = forecast_all(comparison, files)
    report = score_forecasts(
        forecast=[path for path, _ in made.values()], output_dir=comparison.folder / "scores", **files
    )
    by_method: dict[str, list[ScoreRow]] = {}
    for row in report.values["rows"]:
        by_method.setdefault(row.method, []).append(row)
    print(f"### {comparison.title}\n")
    print(describe(comparison, report))
    print_errors(by_method, {name: seconds for name, (_, seconds) in made.items()})
    print_skill("RMSE", by_method, lambda row: row.skill_rmse)
    print_skill("IIEE", by_method, lambda row: row.skill_iiee)
    return all(holds(by_method[name]) for name, options in NETWORKS.items() if "on" not in options)


def describe(comparison: Comparison, report: Report) -> str:
    """Say what was compared, in the words that a table of scores needs."""
    first, settings = report.values["rows"][0], report.values["settings"]
    steps = "{} steps, on a baseline {}".format(*comparison.steps)
    return (
        f"{first.starts} initial days {settings['initial_days']}; training days "
        f"{settings['training_days']}; ice from 15 %; active region of {first.cells} cells, "
        f"{first.area_km2 / 1e6:.2f} million km2; intervals of 95 % from {report.values['blocks']:.1f} "
        f"blocks of 10 days; networks: {steps}.\n"
    )


def print_errors(by_method: Mapping[str, Sequence[ScoreRow]], seconds: Mapping[str, float]) -> None:
    """Print errors, edge lengths and CPU seconds, a row a method."""
    at = f"at {', '.join(map(str, EDGE_LEADS))} days"
    print(f"| method | RMSE {at}, % | IIEE {at}, 1000 km2 | over, under | edge length {at} | CPU s |")
    print("|---|---|---|---|---|--:|")
    for name, rows in by_method.items():
        leads = [row for row in rows if row.lead in EDGE_LEADS]
        last = leads[-1]
        cells = [
            ", ".join(f"{row.rmse.value:.2f}" for row in leads),
            ", ".join(f"{take_value(row.iiee):.0f}" for row in leads),
            f"{last.over:.0f}, {last.under:.0f}",
            ", ".join(f"{row.edge_length_ratio:.2f}" for row in leads),
            f"{seconds[name]:.0f}",
        ]
        print(f"| {name} | {' | '.join(cells)} |")
    print()


def print_skill(
    score: str, by_method: Mapping[str, Sequence[ScoreRow]], take: Callable[[ScoreRow], Estimate]
) -> None:
    """Print the skill by lead with its intervals, a row a method."""
    leads = [str(row.lead) for row in by_method["persistence"]]
    print(f"| {score} skill, %, at lead | {' | '.join(leads)} |")
    print("|---|" + "---|" * len(leads))
    for name, rows in by_method.items():
        if name != "persistence":
            print(f"| {name} | {' | '.join(format_estimate(take(row)) for row in rows)} |")
    print()


def take_value(score: float | Estimate) -> float:
    """Value of a score with or without an interval."""
    return score.value if isinstance(score, Estimate) else score


def format_estimate(skill: Estimate) -> str:
    """Format a skill with its interval, where there is one."""
    interval = f" [{skill.low:+.1f}, {skill.high:+.1f}]" if skill.low == skill.low else ""
    return f"{skill.value:+.1f}{interval}"


def holds(rows: Sequence[ScoreRow]) -> bool:
    """Whether a network has less RMSE than persistence at every lead, and surely so over all."""
    skills = {row.lead: row.skill_rmse for row in rows}
    return all(skill.value > 0 for skill in skills.values()) and not skills[ALL_LEADS].low <= 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source_dir", type=Path, help="daily files of real days")
    parser.add_argument("--product", type=Path, help="description of those files, YAML")
    parser.add_argument(
        "--days", nargs=2, type=parse_date, default=(date(2025, 1, 1), date(2025, 3, 31)),
        metavar=("FROM", "TO"), help="first and last day (default: the 90 days from 2025-01-01 on)",
    )  # fmt: skip
    parser.add_argument(
        "--test", nargs=2, type=parse_date, default=(date(2025, 3, 1), date(2025, 3, 31)),
        metavar=("FROM", "TO"), help="first and last target (default: March 2025)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", nargs=2, type=int, default=(2400, 400), metavar=("N", "N_ON"),
        help="steps on real days, and those on a baseline (default 2400 400)",
    )  # fmt: skip
    parser.add_argument(
        "--simulated_steps", nargs=2, type=int, default=(600, 200), metavar=("N", "N_ON"),
        help="the same on simulated days (default 600 200)",
    )  # fmt: skip
    parser.add_argument(
        "--cells", type=int, default=512, help="side of the simulated square, 0 for none (default 512)"
    )
    parser.add_argument("--folder", type=Path, help="keep cubes, forecasts and pictures here")
    return parser


def main(words: Sequence[str] | None = None) -> int:
    parser = build_parser()
    options = parser.parse_args(words)
    if (options.source_dir is None) != (options.product is None):
        parser.error("give --source_dir and --product together, or neither")
    days, test = tuple(options.days), tuple(options.test)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        comparisons = []
        if options.source_dir:
            real = folder / "real"
            title = "Real days"
            steps = tuple(options.steps)
            comparisons.append(
                Comparison(title, options.source_dir, options.product, days, test, steps, real)
            )
        if options.cells:
            source, steps = folder / "simulated_days", tuple(options.simulated_steps)
            simulate(source, options.cells, days)
            title = f"Simulated days, {options.cells} x {options.cells} cells of 3.125 km"
            product, simulated = source / "product.yml", folder / "simulated"
            comparisons.append(Comparison(title, source, product, days, test, steps, simulated))
        held = [compare(comparison) for comparison in comparisons]
    if not all(held):
        print("a network is no better than persistence")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
