"""Split archives of AMSR2 swaths into parts, by number of swaths, by day or by month.

Reads and writes every layout, one swath in memory at a time. Parts are called as the archive
with _part_XofY, the day or the month at the end. A part that is there already stays.

Examples
  python split_amsr_files.py --input archive/AMSR2_swaths_*.h5 --output_dir parts --chunk_size 500
  python split_amsr_files.py --input archive/AMSR2_*.h5 --output_dir days --by day --layout swath_array
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.swaths.archive import LAYOUTS
from seaice.swaths.split import split_archives


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``split_amsr_files.py``."""
    parser = cli.make_parser(__doc__, split_archives)
    parser.add_argument(
        "-i", "--input", nargs="+", type=Path, required=True, metavar="ARCHIVE", help="archives to split"
    )
    parser.add_argument(
        "-o", "--output_dir", type=Path, required=True, metavar="DIR", help="folder for the parts"
    )
    parser.add_argument(
        "--chunk_size",
        type=cli.at_least(1),
        metavar="N",
        help="swaths of a part (default %(default)s)",
    )
    parser.add_argument(
        "--by", choices=("count", "day", "month"), help="unit of a part (default %(default)s)"
    )
    parser.add_argument(
        "--layout",
        choices=("same", *LAYOUTS),
        help="layout of the parts; an archive of another layout is converted (default %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), split_archives, argv)
