r"""Keep a cube current: fetch what is new or changed, append it, make index, map and report, give alarm.

Examples
  python update.py --config daily.toml
  python update.py --config daily.toml --dry_run
  python update.py --start_date 20240101 --download output_dir=data grid=n6250 \
      --consolidate_data source_dir=data land_mask_file=land_mask.nc output_file=cube.nc \
      --ice_index output_csv=index.csv plot=index.png

A file for --config has a table for each stage that shall run, with the options of that stage:
  start_date = 2024-01-01
  alarm_command = "mail -s 'sea ice cube' operator@example.org"
  [download]
  output_dir = "data"
  grid = "n6250"
  [consolidate_data]
  source_dir = "data"
  land_mask_file = "land_mask.nc"
  output_file = "cube.nc"

Every step is a call of a stage, and its command line is logged; --dry_run only prints them. Land
mask and fitted weights stay those of the first day: they are never made again.

Exit status: 0 the cube is current, 1 a step failed or there is an alarm (each on a line), 2 wrong
usage, 130 interrupted. A second run at the same time ends with 1 and does nothing.
"""

import argparse
from collections.abc import Sequence

from seaice import cli
from seaice.update.stage import update

# Days; more than any record holds.
_LONGEST = 100_000


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``update.py``."""
    parser = cli.make_parser(__doc__, update)
    add = parser.add_argument
    add("--start_date", type=cli.day, metavar="DATE", help="first day of the cube (default: the cube's)")
    add("--end_date", type=cli.day, metavar="DATE", help="day that counts as today (default: today)")
    for stage, text, required in (
        ("download", "fetch daily files; left out where something else brings them", False),
        ("consolidate_data", "extend the cube, or make it when it is not there", True),
        ("ice_index", "extent and area of the cube", False),
        ("visualization", "map of the last day", False),
        ("report", "report of the cube", False),
    ):
        add(
            f"--{stage}",
            nargs="+",
            required=required,
            metavar=cli.ASSIGNMENT,
            help=f"{text}: options of {stage}.py",
        )
    add(
        "--look_back",
        type=cli.between(0, _LONGEST, int),
        metavar="DAYS",
        help="days before today that are compared with the server and taken again where they changed "
        "(default %(default)s)",
    )
    add(
        "--late_days",
        type=cli.between(0, _LONGEST, int),
        metavar="DAYS",
        help="alarm if the last observed day is longer ago (default %(default)s)",
    )
    add(
        "--watch_days",
        type=cli.between(0, _LONGEST, int),
        metavar="DAYS",
        help="alarm if one of so many days before today is absent, rejected or suspicious "
        "(default %(default)s)",
    )
    add(
        "--alarm_command",
        metavar="COMMAND",
        help="command that gets the alarms on its standard input, one a line",
    )
    add("--dry_run", action="store_true", help="only print the command lines of the steps")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), update, argv)
