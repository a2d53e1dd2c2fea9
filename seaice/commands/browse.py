r"""Look at a file in a browser: maps by day, how values came about, series of a cell, box or region.

Examples
  python browse.py --input_file cube.nc
  python browse.py --input_file cube.nc other_cube.nc --port 8080
  python browse.py --input_file cube.nc --climatology_file many_years.nc
  python browse.py --input_file freeboard.nc --output_dir site

Open the address that is printed. The page is served to this machine alone; on a server, forward the
port: ssh -L 8080:127.0.0.1:8080 server. With --output_dir it becomes a folder that opens from the disk,
offline, and that any web server can serve.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.browse.stage import browse


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``browse.py``."""
    parser = cli.make_parser(__doc__, browse)
    add = parser.add_argument
    add(
        "--input_file",
        nargs="+",
        type=Path,
        required=True,
        metavar="FILE",
        help="cubes of consolidate_data.py, other gridded files, or maps of segmentation.py predict",
    )
    add("--output_dir", type=Path, metavar="DIR", help="export the page to this folder and end")
    add(
        "--host", help="address to listen on; any but the default can be reached by others (%(default)s)"
    )
    add("--port", type=cli.between(0, 65535, int), help="port to listen on; 0 takes a free one")
    add("--region", nargs="+", help="regions, as in ice_index.py (default: the seas of the grid)")
    add(
        "--climatology_file",
        type=Path,
        metavar="FILE",
        help="cube of the years to which anomalies are shown (default: the file, if it has the years)",
    )
    add(
        "--largest_side",
        type=cli.at_least(64),
        metavar="CELLS",
        help="cells along the longer side of an exported map (%(default)s)",
    )
    add(
        "--cache_dir",
        type=Path,
        metavar="DIR",
        help="folder for series while the page is served (default: a temporary one)",
    )
    add("--open_browser", action="store_true", help="open the page in the browser of this machine")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), browse, argv)
