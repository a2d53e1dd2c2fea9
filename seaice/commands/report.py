r"""Write one self-contained HTML page about a cube: coverage, filling, errors, extent, provenance.

Examples
  python report.py --input_file cube.nc --output_file report.html
  python report.py --input_file cube.nc --output_file report.html --series_file before.csv
  python report.py --input_file cube.nc --output_file report.html --scores scores \
      --region Arctic_region_mask_Meier_AnnGlaciol2007.msk

The page holds its pictures and needs no network: it can be mailed, opened on a phone and printed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.cube_report.stage import report_cube


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``report.py``."""
    parser = cli.make_parser(__doc__, report_cube)
    add = parser.add_argument
    add("--input_file", type=Path, required=True, help="cube of consolidate_data.py (.nc, .zarr)")
    add("--output_file", type=Path, required=True, help="page to write (.html)")
    add("--land_mask_file", type=Path, help="mask of create_mask.py, as in ice_index.py")
    add("--region", nargs="+", help="regions, as in ice_index.py (default: the seas of the grid)")
    add(
        "--series_file",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="series of earlier years (.csv, .nc), of ice_index.py with the same regions or of NSIDC",
    )
    add("--scores", type=Path, metavar="DIR", help="folder of fill_gaps.py score")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), report_cube, argv)
