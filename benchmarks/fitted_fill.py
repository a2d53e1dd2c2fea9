"""The fill fitted to a record against other rules, and how well the extent of a day can be known at all.

Claim: on gaps cut into the last month of 90 real days RMSE and mean absolute error are below those of
both. The first table tells how far observed extents lie from the straight line between two days.

Gaps are cut into the last days (up to 4 orbits a day, single days, an outage); networks are fitted to
the record so cut, as ``consolidate_data.py`` does it. Several draws of gaps are scored together.

  python benchmarks/fitted_fill.py --input_file g02135_north_daily_20250101_20250331.nc
  python benchmarks/fitted_fill.py --input_file ice.nc --variable sic --draws 1 --judged_days 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.flags import FillFlag
from seaice.gapfill import Record
from seaice.gapfill.departure import Departure
from seaice.gapfill.field import GappyField
from seaice.gapfill.increments import Increments
from seaice.gapfill.temporal import Temporal
from seaice.grids import Grid
from seaice.scoring.calibration import percent_of
from seaice.scoring.gaps import HeldOut, cut_gaps
from seaice.scoring.measures import compute_cell_areas
from seaice.scoring.paired import compare_paired
from seaice.scoring.shapes import GapSettings

EDGE = 15.0
# Days to both ends of the gaps whose extent is compared with the straight line between the ends.
GAPS = {"single days": [(1, 1)], "outages of 4 days": [(1, 4), (2, 3), (3, 2), (4, 1)]}
METHODS = ("temporal", "departure", "increments")
NEIGHBOURS = (FillFlag.DEPARTURE_TWO_SIDED, FillFlag.DEPARTURE_ONE_SIDED)


@dataclass(frozen=True)
class Draw:
    """A record with gaps, what was cut out, and what each method puts there."""

    percent: GappyField
    held_out: HeldOut
    fills: dict[str, np.ndarray]
    has_neighbours: np.ndarray


def fill_draw(percent: GappyField, grid: Grid | None, judged_days: int, seed: int) -> Draw:
    """Cut gaps into the last days of a record and fill them."""
    before = len(percent.days) - judged_days
    settings = GapSettings(outage_days=(4,), single_days=3, orbits=4)
    kinds = ["orbits", "single_days", "outages"] if grid is not None else ["single_days", "outages"]
    held_out = cut_gaps(
        percent.only(slice(before, None)), kinds, grid=grid, settings=settings, seed=seed
    )
    number = np.concatenate([np.zeros((before, *percent.sea.shape), np.uint16), held_out.number])
    held_out = replace(held_out, number=number)
    cut = held_out.cut(percent).values.astype(np.float32)
    fitted = Increments().fit(Record.of_stack(cut, percent.sea))
    departure = Departure().fill(cut, percent.sea)
    fills = {
        "temporal": Temporal().fill(cut, percent.sea).values,
        "departure": departure.values,
        "increments": fitted.fill(cut, percent.sea).values,
    }
    return Draw(percent, held_out, fills, np.isin(departure.flag, NEIGHBOURS))


def select_cells(draw: Draw) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names of groups of held-out cells, and where they are."""
    mask = draw.held_out.mask
    yield "all", mask
    kinds = np.array(["", *(gap.kind for gap in draw.held_out.gaps)])[draw.held_out.number]
    for kind in draw.held_out.kinds:
        yield kind, kinds == kind
    if "orbits" in draw.held_out.kinds:
        yield "orbits, neighbours", (kinds == "orbits") & draw.has_neighbours


def measure_cells(draws: Sequence[Draw]) -> dict[str, np.ndarray]:
    """RMSE, MAE and percent on the wrong side of the edge by group, float64 (methods, 3)."""
    sums: dict[str, np.ndarray] = {}
    for draw in draws:
        for name, cells in select_cells(draw):
            truth = draw.percent.values[cells].astype(np.float64)
            for m, method in enumerate(METHODS):
                fill = draw.fills[method][cells]
                error = fill - truth
                is_wrong = (fill >= EDGE) != (truth >= EDGE)
                total = [np.nansum(error**2), np.nansum(abs(error)), is_wrong.sum(), truth.size]
                sums.setdefault(name, np.zeros((len(METHODS), 4)))[m] += total
    tables = {}
    for name, total in sums.items():
        mean = total[:, :3] / total[:, 3:]
        tables[name] = np.stack([np.sqrt(mean[:, 0]), mean[:, 1], 100 * mean[:, 2]], axis=1)
    return tables


def measure_extent_errors(draws: Sequence[Draw], area: np.ndarray) -> dict[str, np.ndarray]:
    """Errors of the extent of absent days by kind of gap, percent, float64 (days, methods)."""
    errors: dict[str, list[list[float]]] = {}
    for draw in draws:
        for name, cells in select_cells(draw):
            if name not in ("single_days", "outages"):
                continue
            for t in np.flatnonzero(cells.any(axis=(1, 2))):
                weights, truth = area[cells[t]], draw.percent.values[t][cells[t]]
                extents = [weights[draw.fills[m][t][cells[t]] >= EDGE].sum() for m in METHODS]
                observed = weights[truth >= EDGE].sum()
                errors.setdefault(name, []).append([100 * (e / observed - 1) for e in extents])
    return {name: np.array(rows) for name, rows in errors.items()}


def measure_departures(extents: np.ndarray, gaps: Sequence[tuple[int, int]]) -> np.ndarray:
    """Departures of extents from the straight line between the days at both ends, percent.

    Parameters
    ----------
    extents : ndarray of float64, shape (days,)
        NaN for days without.
    gaps : sequence of (int, int)
        Days back and forward to the ends.

    Examples
    --------
    >>> measure_departures(np.array([10.0, 12, 10]), [(1, 1)]).round(2).tolist()
    [16.67]
    """
    departures = []
    for back, forward in gaps:
        days = np.arange(back, len(extents) - forward)
        line = forward * extents[days - back] + back * extents[days + forward]
        departures.append(100 * (1 - line / (back + forward) / extents[days]))
    joined = np.concatenate(departures)
    return joined[np.isfinite(joined)]


def measure_extents(percent: GappyField, area: np.ndarray) -> np.ndarray:
    """Extents of the days over cells that are hardly ever missing, float64; NaN for days with gaps."""
    observed = percent.observed
    always = percent.sea & (observed.mean(axis=0) > 0.95)
    ice = (percent.values >= EDGE) & always
    extents = (ice * area).sum(axis=(1, 2))
    is_whole = observed[:, always].mean(axis=1) > 0.99
    return np.asarray(np.where(is_whole, extents, np.nan))


def print_extents(percent: GappyField, area: np.ndarray, judged_days: int) -> None:
    """Print how far extents lie from straight lines, before the judged days and on them."""
    extents, before = measure_extents(percent, area), len(percent.days) - judged_days
    print("observed extent against the straight line between both ends: mean absolute, rms, %")
    for name, gaps in GAPS.items():
        for words, part in (("before", extents[:before]), ("judged", extents[before:])):
            d = measure_departures(part, gaps)
            print(f"  {name:<20}{words:<8}{np.abs(d).mean():6.2f}{np.sqrt((d**2).mean()):6.2f}")


def print_scores(draws: Sequence[Draw], area: np.ndarray) -> None:
    """Print scores, errors of the extent and paired differences."""
    print("increments: RMSE, its ratio to temporal and departure, then the ratios of MAE and edge")
    for name, table in measure_cells(draws).items():
        ratios = (table[2] / table[:2]).T
        numbers = "".join(f"{a:8.3f}{b:8.3f}" for a, b in ratios)
        print(f"  {name:<20}{table[2, 0]:6.2f}{numbers}")
    print("errors of the extent of absent days, %: mean and mean absolute by method")
    for name, errors in measure_extent_errors(draws, area).items():
        numbers = zip(METHODS, errors.mean(axis=0), np.abs(errors).mean(axis=0), strict=True)
        print(f"  {name:<14}" + "".join(f"  {m} {mean:+.2f} {size:.2f}" for m, mean, size in numbers))
    print("increments minus departure, each draw: difference and 95 % interval")
    for draw in draws:
        mask = draw.held_out.mask
        truth, day = draw.percent.values[mask].astype(np.float64), np.nonzero(mask)[0]
        errors = (draw.fills[m][mask] - truth for m in ("increments", "departure"))
        for measure, d in compare_both(*errors, day).items():
            print(f"  {measure}  {d.difference:+.3f} [{d.low:+.3f}, {d.high:+.3f}]")


def compare_both(error: np.ndarray, reference: np.ndarray, day: np.ndarray) -> dict:
    """Paired differences of RMSE and MAE, by days in blocks of five."""
    return {
        "RMSE": compare_paired(error, reference, day, measure="rmse", block_days=5),
        "MAE": compare_paired(error, reference, day, measure="mae", block_days=5),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input_file", type=Path, required=True, help="daily concentration")
    parser.add_argument("--variable", help="its variable")
    parser.add_argument("--valid_range", type=float, nargs=2, help="least and largest value")
    parser.add_argument("--judged_days", type=int, default=31, help="last days (default %(default)s)")
    parser.add_argument("--record_days", type=int, default=50, help="days filled (default %(default)s)")
    parser.add_argument("--draws", type=int, default=3, help="draws of gaps (default %(default)s)")
    options = parser.parse_args(argv)
    limits = None if options.valid_range is None else tuple(options.valid_range)
    reading = ReadOptions(variable=options.variable, valid_range=limits, concentration=True)
    source = read_gappy(options.input_file, reading)
    percent = percent_of(source.field)
    if source.grid is not None:
        area = source.grid.cell_area()
    else:
        area = compute_cell_areas(percent.latitude, percent.longitude)
    print_extents(percent, area, options.judged_days)
    record = percent.only(slice(-options.record_days, None))
    draws = [
        fill_draw(record, source.grid, options.judged_days, seed) for seed in range(1, options.draws + 1)
    ]
    print_scores(draws, area)
    return 0


if __name__ == "__main__":
    sys.exit(main())
