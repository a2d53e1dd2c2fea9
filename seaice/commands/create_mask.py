r"""Make a surface mask (land, coast, pole hole, ocean) from many daily grids.

A cell that is missing on at least THRESHOLD of the days read is land, unless it is the
pole hole, which is recognised by its place. One day is in memory at a time.

Examples
  python create_mask.py --source_dir data --start_date 20240101 --end_date 20241231 \
      --output_file land_mask.nc
  python create_mask.py --source_dir data --start_date 20240101 --end_date 20240331 \
      --output_file land_mask.nc --threshold 0.9

The output holds land_mask (1 = land, 0 = not land), surface (classes) and nan_ratio.
To set land to zero multiply with utils.load_ocean_mask(FILE), not with land_mask.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.masking.land_mask import create_mask


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``create_mask.py``."""
    parser = cli.make_parser(__doc__, create_mask)
    parser.add_argument(
        "--source_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder of daily files, subfolders too (default %(default)s, or SEAICE_DATA_DIR)",
    )
    cli.add_period(parser)
    parser.add_argument("--output_file", type=Path, required=True, help="NetCDF file to write")
    parser.add_argument(
        "--threshold",
        type=cli.between(0, 1),
        help="share of missing days from which a cell is land (default %(default)s)",
    )
    parser.add_argument(
        "--valid_ice",
        nargs="+",
        metavar="FILE",
        help="files or folders of the cells on which ice is possible in a month (NSIDC-0622), the month "
        "as two digits of the name or as MONTH=FILE",
    )
    cli.add_engine(parser)
    cli.add_product(parser)
    parser.add_argument("--grid", help="take only files of this grid, e.g. n3125")
    parser.add_argument("--bad_days_file", type=Path, help="YAML list of days not to use, with reasons")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), create_mask, argv)
