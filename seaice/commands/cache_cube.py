"""Make the training cache of a cube: its concentration as one plain array, mapped when read.

Nothing is decompressed when a sample is read, and all processes of a machine share what is
in memory. float16 and int16 take 2 bytes a cell and day, uint8 takes 1.

Examples
  python cache_cube.py --cube_file cube.nc --output_dir cache
  python cache_cube.py --cube_file cube.nc --output_dir cache --dtype uint8 --force
  python cache_cube.py --cube_file cube.nc --output_dir cache --verify

Give the folder to the Dataset: ConsolidatedSICDataset("cube.nc", ..., cache="cache").
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.training.cache import cache_cube


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``cache_cube.py``."""
    parser = cli.make_parser(__doc__, cache_cube)
    add = parser.add_argument
    add("--cube_file", type=Path, required=True, help="cube of consolidate_data.py")
    add("--output_dir", type=Path, required=True, help="folder of the cache, new or empty")
    add(
        "--dtype",
        choices=["float16", "uint8", "int16"],
        help="wrong by at most 0.024 percent, by 0.2 percent, not at all (default %(default)s)",
    )
    cli.add_period(parser, required=False)
    add("--verify", action="store_true", help="only compare the checksums of the cache that is there")
    add("-f", "--force", action="store_true", help="replace the cache that is there")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), cache_cube, argv)
