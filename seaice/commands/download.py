r"""Fetch daily sea ice concentration grids of the University of Bremen (ASI, AMSR2 and AMSR-E).

Each file is checked before it gets its name. Run the same command again to continue
after an interruption, or to fetch what was not published yet; what is there is kept.

Examples
  python download.py --start_date 20240101 --end_date 20241231 -o data
  python download.py --start_date 2020-09-01 --end_date 2020-09-30 --grid s6250 -o data/s6250 -p 2
  python download.py --start_date 20240101 --end_date 20241231 -o data --update
  python download.py --start_date 20240101 --end_date 20240131 -o data \
      --base_url https://mirror.example.org/bremen --base_url https://data.seaice.uni-bremen.de

Exit status: 0 every day is there or not upstream (named, and asked for again by the next run),
1 some could not be fetched, 2 wrong usage, 130 interrupted. manifest.jsonl in the folder records
size, SHA-256, address and version of each file. Proxies and .netrc are taken from the environment.

Please cite Spreen et al. (2008), doi:10.1029/2005JC003384, and acknowledge the University of
Bremen when you use the data.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.sources.bremen.fetch import (
    FORMS,
    GRIDS,
    fetch_days,
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``download.py``."""
    parser = cli.make_parser(__doc__, fetch_days)
    cli.add_period(parser)
    parser.add_argument(
        "-o",
        "--output_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder for the files (default %(default)s, or the environment's SEAICE_DATA_DIR)",
    )
    parser.add_argument(
        "--grid",
        choices=GRIDS,
        metavar="GRID",
        help="n or s and the cell size in metres: n3125 n6250 s3125 s6250 "
        "(12500 and 25000 exist on test servers only; default %(default)s)",
    )
    parser.add_argument(
        "--sensor",
        choices=("auto", "AMSR2", "AMSR-E"),
        help="AMSR-E: 2002-06-01 to 2011-10-04, AMSR2: from 2012-07-02; "
        "auto takes the one of each day (default %(default)s)",
    )
    parser.add_argument("--form", choices=FORMS, help="NetCDF, HDF4 or GeoTIFF (default %(default)s)")
    parser.add_argument(
        "--base_url",
        action="append",
        metavar="URL",
        help="host with the layout of the archive; give it again for further ones, asked in order "
        "(default: SEAICE_BREMEN_HOSTS, else the hosts of the University of Bremen)",
    )
    parser.add_argument("-f", "--force", action="store_true", help="fetch every day again")
    parser.add_argument("--update", action="store_true", help="fetch days again that changed upstream")
    parser.add_argument(
        "--check",
        action="store_true",
        help="compare files already there with the SHA-256 in the manifest, fetch again what differs",
    )
    parser.add_argument(
        "-p",
        "--processes",
        type=cli.at_least(1),
        metavar="N",
        help="files fetched at the same time (default %(default)s)",
    )
    parser.add_argument(
        "--retries",
        type=cli.at_least(0),
        metavar="N",
        help="further attempts after a time-out, a broken connection, HTTP 429 or 5xx, with "
        "growing waits (default %(default)s)",
    )
    parser.add_argument(
        "--timeout",
        type=cli.at_least(0.1, float),
        metavar="SECONDS",
        help="longest silence of a server (default %(default)s)",
    )
    parser.add_argument(
        "--dry_run", action="store_true", help="only list what would be fetched, without asking a server"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), fetch_days, argv, default_hosts=settings.bremen_hosts())
