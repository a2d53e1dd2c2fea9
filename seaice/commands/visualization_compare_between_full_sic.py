r"""Draw a day as observed, the same day of a cube, and how every value came about.

Examples
  python visualization_compare_between_full_sic.py --date 20240417 \
      --original_file data/asi-AMSR2-n3125-20240417-v5.4.nc --consolidated_file cube.nc
  python visualization_compare_between_full_sic.py --date 20240417 --no_land \
      --original_file data/asi-AMSR2-n3125-20240417-v5.4.nc --consolidated_file cube.nc \
      --output_file april.png --dpi 200
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.drawing.coastlines import CHOICES
from seaice.pictures.visualize import compare


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``visualization_compare_between_full_sic.py``."""
    parser = cli.make_parser(__doc__, compare)
    add = parser.add_argument
    add("--original_file", type=Path, required=True, help="daily file (.nc, .hdf, .tif)")
    add("--consolidated_file", type=Path, required=True, help="cube of consolidate_data.py (.nc, .zarr)")
    add("--date", type=cli.day, required=True, help="day, YYYYMMDD or YYYY-MM-DD")
    add("--output_file", type=Path, help="picture (default: interpolation_comparison_YYYYMMDD.png)")
    add("--no_land", action="store_true", help="do not paint land over cells without a value")
    add("--coastlines", choices=CHOICES, help="source of the coast outlines (default %(default)s)")
    add("--dpi", type=cli.at_least(20), help="dots per inch (default %(default)s)")
    add("--show", action="store_true", help="also open a window")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), compare, argv)
