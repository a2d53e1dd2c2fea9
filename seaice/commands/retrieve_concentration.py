r"""Retrieve daily ice concentration from AMSR2 brightness temperatures.

Takes swaths, from archives of any layout, granules or folders of them, or gridded temperatures of
grid_swaths.py. Swaths are retrieved pixel by pixel, every pass is put on the grid, and the passes of a
UTC day are averaged by their variances. Writes sic-SENSOR-GRID-YYYYMMDD-v0.1.nc with standard errors
and flags, which create_mask.py, consolidate_data.py and all other stages of daily files read.

``evaluate`` judges the algorithms on samples of known concentration, ``fit`` fits tie points to such
samples, ``refresh`` brings tie points up to date by swaths. docs/concentration.md has algorithms and
scores. python retrieve_concentration.py days --help shows the options of days.

Examples
  python retrieve_concentration.py --input archive --output_dir sic --grid n6250
  python retrieve_concentration.py --input l1b --output_dir sic --grid s12500 --algorithm base asi \
      --start_date 20200101 --end_date 20200131 --workers 2
  python retrieve_concentration.py --input tb --output_dir sic --land_mask_file land_mask.nc
  python retrieve_concentration.py refresh --input archive --hemisphere north --output_file north.json
  python retrieve_concentration.py fit --samples rrdp.csv.gz --sensor AMSR2 --hemisphere north \
      --product "JAXA L1 version 2" --output_file amsr2_north.json
  python retrieve_concentration.py evaluate --samples rrdp.csv.gz --sensor AMSR2 --hemisphere north \
      --algorithm base asi --output_file scores.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.retrieval import ALGORITHMS
from seaice.retrieval.days.stage import FOOTPRINTS, retrieve_concentration
from seaice.retrieval.fit import fit_tie_point_file
from seaice.retrieval.judging.stage import evaluate_algorithms
from seaice.retrieval.refresh import refresh_tie_points
from seaice.retrieval.tie_points import HEMISPHERES

# The first one may be left out.
COMMANDS: cli.Commands = {
    "days": (retrieve_concentration, "retrieve days; the word may be left out"),
    "evaluate": (evaluate_algorithms, "judge algorithms on samples of known concentration"),
    "fit": (fit_tie_point_file, "fit tie points to samples of known concentration"),
    "refresh": (refresh_tie_points, "bring the means of tie points up to date by swaths"),
}
_ALGORITHMS = f"out of {', '.join(ALGORITHMS)} (default base)"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``retrieve_concentration.py``."""
    parser = cli.make_parser(__doc__)
    days, evaluate, fit, refresh = cli.add_commands(parser, COMMANDS, default="days")
    add = days.add_argument
    add(
        "-i",
        "--input",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help="archives, granules or folders of them, or gridded temperatures (AMSR2_TB_GRID_DATE_A.nc)",
    )
    add("-o", "--output_dir", type=Path, required=True, metavar="DIR", help="folder for the days")
    add(
        "--algorithm",
        nargs="+",
        choices=list(ALGORITHMS),
        metavar="NAME",
        help=f"{_ALGORITHMS}; further ones stand beside the first as sea_ice_conc_NAME",
    )
    cli.add_grid(days, "n6250, or that of gridded temperatures")
    add(
        "--footprint",
        choices=FOOTPRINTS,
        help="kilometres to which the concentration is sharpened; auto: 4 for cells up to 12.5 km, else "
        "9; 20: not at all (default %(default)s)",
    )
    cli.add_period(days, required=False)
    add(
        "--tie_points",
        type=Path,
        metavar="FILE",
        help="tie points (default: those of the package for sensor and hemisphere)",
    )
    add(
        "--land_mask_file",
        type=Path,
        metavar="FILE",
        help="mask of create_mask.py on the same grid (default: the coastline)",
    )
    add(
        "--keep_land_in_view",
        action="store_true",
        help="do not take land out of the temperatures of coastal pixels",
    )
    add(
        "--remove_land_spillover",
        action="store_true",
        help="set false ice along shores to open water, by the rule of NASA Team 2",
    )
    add("--swath_dir", type=Path, metavar="DIR", help="folder for single passes as files")
    cli.add_engine(days)

    for judging in (evaluate, fit):
        add = judging.add_argument
        add("--sensor", required=True, metavar="NAME", help="such as AMSR2 or AMSR-E")
        add("--hemisphere", choices=HEMISPHERES, required=True, help="of the samples")

    add = evaluate.add_argument
    add("--samples", type=Path, required=True, metavar="FILE", help="samples (.csv, .csv.gz)")
    add("-o", "--output_file", type=Path, required=True, metavar="FILE", help="scores to write (.json)")
    add("--algorithm", nargs="+", choices=list(ALGORITHMS), metavar="NAME", help=_ALGORITHMS)
    add("--tie_points", type=Path, metavar="FILE", help="tie points (default: those of the package)")
    add("--held_out", action="store_true", help="only days that no packaged tie point was fitted to")
    add("--picture_file", type=Path, metavar="FILE", help="picture of the scores")
    add("--seed", type=cli.at_least(0), metavar="N", help="of the mixtures (default %(default)s)")

    add = fit.add_argument
    add("--samples", nargs="+", type=Path, required=True, metavar="FILE", help="samples (.csv, .csv.gz)")
    add("--product", required=True, metavar="NAME", help='of the sensor, "JAXA L1 version 2"')
    add("-o", "--output_file", type=Path, required=True, metavar="FILE", help="tie points (.json)")
    add("--source", metavar="TEXT", help="where the samples come from (default: their files)")
    add("--all_days", action="store_true", help="fit to every day, not to three of four")

    add = refresh.add_argument
    add(
        "-i",
        "--input",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help="archives, granules or folders of them",
    )
    add("--hemisphere", choices=HEMISPHERES, required=True, help="whose tie points")
    add("-o", "--output_file", type=Path, required=True, metavar="FILE", help="tie points (.json)")
    add("--tie_points", type=Path, metavar="FILE", help="to start with (default: packaged AMSR2)")
    cli.add_period(refresh, required=False)
    add("--swaths", type=cli.at_least(1), metavar="N", help="read at most so many (default %(default)s)")
    add("--seed", type=cli.at_least(0), metavar="N", help="of the choice (default %(default)s)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), COMMANDS, argv)
