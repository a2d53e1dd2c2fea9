"""Check archives of AMSR2 swaths: every swath, duplicates, gaps in time, completeness.

Takes folders of granules as well, with sizes, scans and shares of measurements, and names the odd ones.
Says of every archive what it is worth: GOOD (more than 95 percent good swaths), USABLE (more
than 80), else DAMAGED. The exit status is 0 only where nothing at all is wrong. Where an
archive has no times its completeness is unknown, which is no failure. A classic archive runs
nothing of what its pickle says.

Examples
  python verify_archive.py archive/AMSR2_swaths_20200101_000000_to_20200107_235959.h5
  python verify_archive.py archive/*.h5 --plot 5 --output_dir pictures
  python verify_archive.py damaged.h5 --repair
  python verify_archive.py l1b
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.swaths.verify import verify_archives


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``verify_archive.py``."""
    parser = cli.make_parser(__doc__, verify_archives)
    parser.add_argument(
        "archives", nargs="+", type=Path, metavar="PATH", help="archives, granules, or folders of them"
    )
    parser.add_argument(
        "--repair",
        action="store_true",
        help="write the good swaths of a damaged archive to NAME_repaired",
    )
    parser.add_argument(
        "--plot",
        type=cli.between(0, 50, int),
        metavar="N",
        help="draw N swaths of each archive into NAME_h5_swaths.png or NAME_npz_swaths.png "
        "(default %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="folder for repaired archives and pictures (default: that of the archive or granules)",
    )
    parser.add_argument(
        "--dpi",
        type=cli.between(20, 1200, int),
        help="dots per inch of the pictures (default %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), verify_archives, argv)
