r"""Grid AMSR2 swaths: brightness temperatures, one file a time step and orbit direction.

Takes archives of any layout, L1B granules, or folders of them. By default every pixel counts in
the cell that holds its centre: mean, standard deviation, number and mean time of observation.

Examples
  python grid_swaths.py --input archive --output_dir tb --grid n12500
  python grid_swaths.py --input archive/AMSR2_swaths_20200101_000000_to_20200131_235959.h5 \
      --output_dir tb --grid ease2n12500 --channels 36.5H --orbit A --workers 2
  python grid_swaths.py --input l1b --output_dir tb --grid s12500 --channels 89AH --resample nearest
  python grid_swaths.py --input archive --output_dir tb --period 5D --start_date 20200101 \
      --grid EPSG:4326:0.25:-180,50,180,90
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.swaths.grid import (
    RESAMPLES,
    grid_swaths,
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``grid_swaths.py``."""
    parser = cli.make_parser(__doc__, grid_swaths)
    parser.add_argument(
        "-i",
        "--input",
        nargs="+",
        type=Path,
        required=True,
        metavar="PATH",
        help="archives, L1B granules, or folders of them",
    )
    parser.add_argument(
        "-o", "--output_dir", type=Path, required=True, metavar="DIR", help="folder for the grids"
    )
    cli.add_grid(parser)
    cli.add_cadence(parser)
    parser.add_argument(
        "--channels",
        nargs="+",
        metavar="CHANNEL",
        help="such as 36.5V 89AH (default: those of the first archive; 36.5H of granules)",
    )
    parser.add_argument(
        "--resample",
        choices=RESAMPLES,
        help="bucket, or pyresample's nearest or gaussian within the footprint (default %(default)s)",
    )
    parser.add_argument("--orbit", choices=("A", "D", "both"), help="half orbits (default %(default)s)")
    cli.add_period(parser, required=False)
    cli.add_engine(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), grid_swaths, argv)
