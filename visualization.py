r"""Draw a map of one day of sea ice concentration: a daily file or a day of a cube.

The map is in the file's own projection, so every cell is where it was measured.

Examples
  python visualization.py --input_file data/asi-AMSR2-n6250-20240417-v5.4.nc
  python visualization.py --input_file data/asi-AMSR2-n6250-20240417-v5.4.nc \
      --land_mask_file land_mask.nc --ice_edge --output_file april.pdf
  python visualization.py --input_file cube.nc --date 20240417 --coastlines mask

Natural Earth coast outlines are used where cartopy has them on this machine (or within three
seconds from the network); without them the outline of the land mask is drawn.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.coastlines import CHOICES
from seaice.pictures import visualize


def build_parser() -> argparse.ArgumentParser:
    """Command line of this stage."""
    parser = cli.make_parser(__doc__, visualize)
    add = parser.add_argument
    add(
        "--input_file",
        type=Path,
        required=True,
        help="daily file (.nc, .hdf, .tif) or cube (.nc, .zarr)",
    )
    add("--output_file", type=Path, help="picture to write (default: named after the input, .png)")
    add("--date", type=cli.day, help="day of a cube, YYYYMMDD or YYYY-MM-DD")
    add("--land_mask_file", type=Path, help="mask that tells land from missing in a daily file")
    add("--coastlines", choices=CHOICES, help="where coast outlines come from (default %(default)s)")
    add(
        "--ice_edge",
        type=cli.between(0.01, 99.99),
        nargs="?",
        const=15.0,
        metavar="PERCENT",
        help="draw the line of this concentration (15 if no number is given)",
    )
    add("--dpi", type=cli.at_least(20), help="dots per inch (default %(default)s)")
    add("--show", action="store_true", help="also open a window")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; the exit status."""
    return cli.run(build_parser(), visualize, argv)


if __name__ == "__main__":
    sys.exit(main())
