r"""Retrieve daily ice concentration from AMSR2 brightness temperatures.

Takes swaths, from archives of any layout, granules or folders of them, or gridded temperatures of
grid_swaths.py. Swaths are retrieved pixel by pixel, every pass is put on the grid, and the passes of a
UTC day are averaged by their variances. Writes sic-SENSOR-GRID-YYYYMMDD-v0.1.nc with standard errors
and flags, which create_mask.py, consolidate_data.py and all other stages of daily files read.

python retrieve_concentration.py days --help shows all options.

Examples
  python retrieve_concentration.py --input archive --output_dir sic --grid n6250
  python retrieve_concentration.py --input l1b --output_dir sic --grid s12500 --algorithm base asi \
      --start_date 20200101 --end_date 20200131 --workers 2
  python retrieve_concentration.py --input tb --output_dir sic --land_mask_file land_mask.nc
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.retrieval import ALGORITHMS
from seaice.retrieval.days.stage import FOOTPRINTS, retrieve_concentration

# The first one may be left out.
COMMANDS: cli.Commands = {
    "days": (retrieve_concentration, "retrieve days; the word may be left out"),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``retrieve_concentration.py``."""
    parser = cli.make_parser(__doc__)
    (days,) = cli.add_commands(parser, COMMANDS, default="days")
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
        help=f"out of {', '.join(ALGORITHMS)} (default base); further ones stand beside the first as "
        "sea_ice_conc_NAME",
    )
    cli.add_grid(days, "n6250, or that of gridded temperatures")
    add(
        "--footprint",
        choices=FOOTPRINTS,
        help="kilometres to which the concentration is sharpened; auto: 4 for cells up to 6.25 km, else "
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
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), COMMANDS, argv)
