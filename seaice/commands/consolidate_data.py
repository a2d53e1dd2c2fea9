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
from seaice.gapfill import METHODS


def build_parser() -> argparse.ArgumentParser:
    """Command line of this stage."""
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
    add("--method", choices=list(METHODS), help="how to fill (default %(default)s)")
    add(
        "--batch_size",
        type=cli.at_least(1),
        metavar="DAYS",
        help="days kept together when they are finished, and what a stop costs at most; the result "
        "does not depend on it (default %(default)s)",
    )
    add(
        "--max_gap_days",
        type=cli.between(0, 9, int),
        metavar="DAYS",
        help="fill in time: largest distance to the day before and after (default 9 for departure, "
        "else 5)",
    )
    add(
        "--one_sided_days",
        type=cli.between(0, 9, int),
        metavar="DAYS",
        help="fill in time: largest distance from one side alone (default 9 for departure, else 3; "
        "max_gap_days if that is less)",
    )
    gaussian = "Gaussian (default %(default)s)"
    add("--time_window", type=cli.between(0, 30, int), metavar="DAYS", help=gaussian)
    add("--space_window", type=cli.between(0, 500, int), metavar="CELLS", help=gaussian)
    add(
        "--alpha",
        type=cli.between(0, 1e6),
        help="Gaussian: weight of a day (default 4 for departure, else 15)",
    )
    add(
        "--sigma",
        type=cli.between(0.01, 1e6),
        metavar="CELLS",
        help="Gaussian: width (default 1.5 for departure, else 7)",
    )
    add(
        "--spread",
        type=cli.between(0, 100),
        help="departure: smearing of a source, cells squared a day (default %(default)s)",
    )
    add(
        "--neighbour_sigma",
        type=cli.between(0, 100),
        metavar="CELLS",
        help="departure: width of the correction by neighbours (default %(default)s)",
    )
    add(
        "--pole_hole",
        choices=["fill", "keep"],
        help="fill it from its surroundings or keep it missing (default %(default)s)",
    )
    add("--past_only", action="store_true", help="fill from earlier days alone (real time)")
    add("--halo", action="store_true", help="let days outside the period help to fill its ends")
    add("--append", action="store_true", help="extend the cube that is there to --end_date")
    add("--lat_lon", action="store_true", help="store latitude and longitude of every cell")
    add("--compression", choices=COMPRESSIONS, help="of the daily fields (default %(default)s)")
    cli.add_engine(parser)
    add("--grid", help="take only files of this grid, e.g. n3125")
    add("--bad_days_file", type=Path, help="YAML list of days not to use, with reasons")
    add("--error_table", type=Path, metavar="FILE", help="expected errors, of fill_gaps.py calibrate")
    add("-f", "--force", action="store_true", help="replace the cube that is there")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), consolidate, argv)
