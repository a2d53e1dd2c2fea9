r"""Turn a folder of daily grids into one gap-free, flagged cube.

Every day from start to end is in the cube, absent and rejected ones too. Each value
carries a flag: observed, filled in time (corrected by neighbours or not), filled in space
and time, pole hole, missing.

Examples
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20241231 \
      --land_mask_file land_mask.nc --output_file cube.nc
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20250131 \
      --land_mask_file land_mask.nc --output_file cube.nc --append
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20240331 \
      --land_mask_file land_mask.nc --output_file simple.nc --method temporal --pole_hole keep
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20241231 \
      --land_mask_file land_mask.nc --output_file cube.zarr --compression zstd --workers 2

The same command run again finds the cube complete, makes it again if an input changed, or goes
on where it was stopped: finished days wait in a hidden folder beside the output.
Filling in time follows the NOAA/NSIDC Climate Data Record, doi:10.7265/efmz-2t65.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.cube.consolidate import consolidate
from seaice.cube.packing import COMPRESSIONS
from seaice.gapfill.methods import daily_methods, make_method
from seaice.runtime.options import merged_options


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``consolidate_data.py``."""
    parser = cli.make_parser(__doc__, consolidate)
    add = parser.add_argument
    add(
        "--source_dir",
        type=Path,
        default=settings.data_dir(),
        help="folder of daily files, subfolders too (default %(default)s, or SEAICE_DATA_DIR)",
    )
    cli.add_period(parser)
    add("--output_file", type=Path, required=True, help="cube to write (.nc or .zarr)")
    add("--land_mask_file", type=Path, help="mask of create_mask.py; without it land is filled too")
    add(
        "--batch_size",
        type=cli.at_least(1),
        metavar="DAYS",
        help="days that are stored together; a run that is stopped loses at most so many finished "
        "days; the result does not depend on it (default %(default)s)",
    )
    add(
        "--pole_hole",
        choices=["fill", "keep"],
        help="fill the pole hole from its surroundings or keep it missing (default %(default)s)",
    )
    add(
        "--remove_land_spillover",
        action="store_true",
        help="set false ice along shores to open water (flagged) before the days are filled",
    )
    add(
        "--reject",
        choices=["suspicious"],
        help="fill days whose values are in doubt beside the days around as if they were absent; "
        "without it they are kept, and day_reason says what is suspicious",
    )
    add("--halo", action="store_true", help="let days outside the period help to fill its ends")
    add("--append", action="store_true", help="extend the cube that is there to --end_date")
    add(
        "--compare_since",
        type=cli.day,
        metavar="DATE",
        help="with --append: fill again from the first day, from this one on, whose file has changed "
        "(default: only the last days are compared, and absent ones)",
    )
    add("--lat_lon", action="store_true", help="store latitude and longitude of every cell")
    add(
        "--compression",
        choices=COMPRESSIONS,
        help="compression of the daily fields (default %(default)s)",
    )
    cli.add_engine(parser)
    cli.add_product(parser)
    add("--grid", help="take only files of this grid, e.g. n3125")
    add("--bad_days_file", type=Path, help="YAML list of days not to use, with reasons")
    add("--error_table", type=Path, metavar="FILE", help="expected errors, of fill_gaps.py calibrate")
    add("-f", "--force", action="store_true", help="replace the cube that is there")
    methods = daily_methods()
    cli.add_method(parser, list(methods), merged_options(methods), make_method)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), consolidate, argv)
