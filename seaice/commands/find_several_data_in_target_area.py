r"""Find the days with missing data in a part of the grid, and suspicious days.

Counts the missing cells of every day in a box, lists the days with at least
--threshold_percent of them missing, and names the days without a usable file. Names suspicious
days too: jumps against the days around, fields that are moved, turned or repeated, halves without
ice, stripes; for them the whole field counts, not the box. Ranges are
half-open: ymin and xmin are in the box, ymax and xmax are not. Row 0 is the southernmost.
Without --land_mask_file land counts as missing, for the files do not tell them apart.

Examples
  python find_several_data_in_target_area.py --source_dir data --start_date 20240101 \
      --end_date 20240131 --ymin 900 --ymax 1000 --xmin 600 --xmax 700
  python find_several_data_in_target_area.py --source_dir data --start_date 2024-01-01 \
      --end_date 2024-03-31 --bounds 0 500000 -1500000 -1000000 --threshold_percent 5 \
      --land_mask_file land_mask.nc --output_csv missing.csv --output_file box.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.daily.inspect import find_missing


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``find_several_data_in_target_area.py``."""
    parser = cli.make_parser(__doc__, find_missing)
    parser.add_argument(
        "--source_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder of daily files, subfolders too (default %(default)s, or SEAICE_DATA_DIR)",
    )
    cli.add_period(parser)
    box = parser.add_argument_group("the box: four index limits, or bounds in metres")
    for name, description in (
        ("ymin", "first row"),
        ("ymax", "first row beyond"),
        ("xmin", "first column"),
        ("xmax", "first column beyond"),
    ):
        box.add_argument(f"--{name}", type=int, metavar="N", help=description)
    box.add_argument(
        "--bounds",
        type=float,
        nargs=4,
        metavar=("WEST", "EAST", "SOUTH", "NORTH"),
        help="metres in the projection of the files; takes cells whose centre lies within or on them",
    )
    parser.add_argument(
        "--threshold_percent",
        type=cli.between(0, 100),
        help="list days with at least this percentage missing (default %(default)s)",
    )
    parser.add_argument(
        "--land_mask_file", type=Path, help="mask of create_mask.py: look at ocean cells only"
    )
    cli.add_product(parser)
    parser.add_argument("--grid", help="take only files of this grid, e.g. n3125")
    parser.add_argument("--output_csv", type=Path, help="the table as CSV, one row a day")
    parser.add_argument(
        "--output_file", type=Path, help="picture: the box on a map of the first readable day"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), find_missing, argv)
