r"""A cube or field on another grid, or its values at points and along tracks.

On another grid, a value is the mean over the common true areas of the cells (conservative),
so that the area of ice is kept; classes come from the nearest cell. Missing cells and land do
not count: valid_share tells how much of a cell had a value, land_share how much is land. The
fill flag of a cell is the one that covers the largest part of it; expected errors are combined
as if all erred alike, which is the most they can be. A regridded cube is a cube.

At points, every row of a table gets the value of its day and place, with flag, expected error,
distance to the centre of the cell and difference in time, or the reason why it has none.

Examples
  python regrid.py --input_file cube.nc --grid ease2n25000 --output_file cube_ease2.nc --workers 4
  python regrid.py --input_file cube.nc --grid other_cube.nc --output_file cube_there.zarr
  python regrid.py --input_file cube.nc --points buoys.csv --output_file ice_at_buoys.csv
  python regrid.py --input_file sst.nc --grid n25000 --method bilinear --output_file sst_n25.nc

References
  Conservative remapping: Jones 1999, doi:10.1175/1520-0493(1999)127<2204:FASOCR>2.0.CO;2
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.regridding.stage import regrid
from seaice.regridding.weights import METHODS


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``regrid.py``."""
    parser = cli.make_parser(__doc__, regrid)
    parser.add_argument(
        "--input_file",
        type=Path,
        required=True,
        help="cube of consolidate_data.py, or a field on a grid (.nc, .zarr)",
    )
    parser.add_argument(
        "--output_file",
        type=Path,
        required=True,
        help="file to write: .nc or .zarr; for points .csv or .nc",
    )
    cli.add_grid(parser, default="none: either this or --points")
    parser.add_argument(
        "--points",
        type=Path,
        metavar="FILE",
        help="table (.csv) or NetCDF file with time, latitude and longitude, by their usual names",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="default: conservative; nearest for classes and at points",
    )
    parser.add_argument("--variable", metavar="NAME", help="variable of a field file that has several")
    cli.add_period(parser, required=False)
    parser.add_argument(
        "--smallest_share",
        type=cli.between(0, 1),
        help="least share of what is not land that must have a value (default %(default)s)",
    )
    parser.add_argument(
        "--smallest_ocean_share",
        type=cli.between(0, 1),
        help="least share of a cell that makes it ocean (default %(default)s); 0 with "
        "--smallest_share 0 keeps all ice, in broader coasts",
    )
    parser.add_argument(
        "--workers",
        type=cli.at_least(1),
        help="processes that share the days; the result is the same (default %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), regrid, argv)
