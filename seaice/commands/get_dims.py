"""Size of the fields in a folder of daily files: rows and columns, grids, forms, days.

Only names, sizes and the first readable file of each grid are looked at; whether every
value can be used is what consolidate_data.py checks.

Examples
  python get_dims.py --source_dir data
  python get_dims.py --source_dir filled.nc   # a cube or any other file of maps
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.daily.inspect import get_dims


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``get_dims.py``."""
    parser = cli.make_parser(__doc__, get_dims)
    parser.add_argument(
        "--source_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder of daily files, subfolders too (default %(default)s)",
    )
    cli.add_product(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), get_dims, argv)
