r"""Fill the gaps of any field, and judge the methods that do so.

Takes one map or a stack of maps from NetCDF or Zarr, on latitude and longitude or in a projected
plane. Land is neither used nor filled, observed values stay as they are, every filled value is
flagged. docs/gap_filling.md says which method suits what.

Examples
  python fill_gaps.py fill --input_file sst.nc --method eof --output_file filled.nc
  python fill_gaps.py fill --input_file l3s.nc --variable sea_surface_temperature --quality_level 5 \
      --mask_file l4.nc --method loess --nx 15 --ny 15 --units degC --output_file filled.zarr
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.fill_field import fill_field
from seaice.gapfill.field import FIELD_METHODS
from seaice.gapfill.options import method_options

COMMANDS = {
    "fill": (fill_field, "fill the gaps of a field"),
}


def build_parser() -> argparse.ArgumentParser:
    """Command line of this stage."""
    parser = cli.make_parser(__doc__)
    (fill,) = cli.add_commands(parser, COMMANDS)
    cli.add_reading(fill)
    add = fill.add_argument
    add("--output_file", type=Path, required=True, metavar="FILE", help="to write (.nc or .zarr)")
    add("--method", choices=list(FIELD_METHODS), required=True, help="how to fill")
    add("--units", metavar="UNIT", help="of the output, e.g. degC (default: those of the input)")
    add(
        "--reference_file",
        type=Path,
        metavar="FILE",
        help="scattering: maps whose statistics are matched, on the same cells",
    )
    add("--reference_variable", metavar="NAME", help="its variable")
    cli.add_parameters(fill, "options of the methods", method_options())
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
