r"""Fill the gaps of any field, and judge the methods that do so.

Takes one map or a stack of maps from NetCDF or Zarr, on latitude and longitude or in a projected
plane. Land is neither used nor filled, observed values stay as they are, every filled value is
flagged. docs/gap_filling.md says which method suits what.

Examples
  python fill_gaps.py fill --input_file sst.nc --method eof --output_file filled.nc
  python fill_gaps.py fill --input_file l3s.nc --variable sea_surface_temperature --quality_level 5 \
      --mask_file l4.nc --method loess --nx 15 --ny 15 --units degC --output_file filled.zarr
  python fill_gaps.py score --input_file cube.nc --methods temporal hybrid --output_dir scores
  python fill_gaps.py score --input_file sst.nc --methods linear eof few=eof --parameters few.modes=2 \
      --gaps clouds --output_dir scores
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.fields.fill import fill_field
from seaice.fields.fit import fit_weights
from seaice.gapfill.methods import all_methods, make_method
from seaice.runtime.options import merged_options
from seaice.scoring.calibration_stage import calibrate_errors
from seaice.scoring.shapes import SHAPES
from seaice.scoring.stage import METHODS, score_gaps

COMMANDS: cli.Commands = {
    "fill": (fill_field, "fill the gaps of a field"),
    "score": (score_gaps, "cut gaps into what was observed and see how well methods fill them"),
    "fit": (fit_weights, "fit the weights of the method increments to a field"),
    "calibrate": (calibrate_errors, "fit the expected errors of consolidate_data.py to a field"),
}
# Options of the gaps: type, name of the value, what it is.
GAPS = {
    "single_days": (cli.at_least(1), "N", "days cut one by one"),
    "last_days": (cli.at_least(1), "N", "days cut at the end of the record, as in real time"),
    "orbits": (cli.at_least(1), "N", "most orbits dropped on a day"),
    "pole_radius": (cli.between(0, 30), "DEGREES", "radius of the pole hole"),
    "cloud_share": (cli.between(0, 1), "SHARE", "share of the maps with clouds of another map"),
    "coast_cells": (cli.at_least(1), "CELLS", "width of strips along the coast"),
    "coast_share": (cli.between(0, 1), "SHARE", "share of the coast with such strips"),
    "seed": (cli.at_least(0), "N", "of the random numbers that place the gaps"),
    "dpi": (cli.between(20, 1200, int), "N", "of the picture"),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``fill_gaps.py``."""
    parser = cli.make_parser(__doc__)
    fill, score, fit, calibrate = cli.add_commands(parser, COMMANDS)
    cli.add_reading(fill)
    add = fill.add_argument
    add("--output_file", type=Path, required=True, metavar="FILE", help="filled field (.nc or .zarr)")
    add("--units", metavar="UNIT", help="units of the output, e.g. degC (default: as the input)")
    add(
        "--reference_file",
        type=Path,
        metavar="FILE",
        help="scattering: maps whose statistics are matched, on the same cells",
    )
    add("--reference_variable", metavar="NAME", help="variable of the reference file")
    methods = all_methods()
    cli.add_method(fill, list(methods), merged_options(methods), make_method)

    cli.add_reading(score)
    add = score.add_argument
    add(
        "--output_dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for table, JSON and picture",
    )
    add(
        "--methods",
        nargs="+",
        metavar="NAME",
        help=f"methods, or LABEL=METHOD (default: {', '.join(METHODS)}; the first for ice alone)",
    )
    add("--parameters", nargs="+", metavar="LABEL.NAME=VALUE", help="parameters of the methods")
    add("--against", metavar="LABEL", help="method to compare the others with (default: the first)")
    add("--gaps", nargs="+", choices=list(SHAPES), help="kinds of gaps (default: all that fit)")
    add("--outage_days", nargs="+", type=cli.at_least(1), metavar="N", help="lengths of outages")
    for name, (kind, value, text) in GAPS.items():
        add(f"--{name}", type=kind, metavar=value, help=f"{text} (default %(default)s)")
    add(
        "--held_out_file",
        type=Path,
        metavar="FILE",
        help="cells to hold out: .npy or NetCDF, or the folder of DINEOF's sample",
    )
    add("--picture_date", type=cli.day, metavar="DATE", help="day whose errors are drawn")

    cli.add_reading(fit)
    add = fit.add_argument
    add("--output_file", type=Path, required=True, metavar="FILE", help="weights to write (.json)")

    cli.add_reading(calibrate)
    add = calibrate.add_argument
    add("--output_file", type=Path, required=True, metavar="FILE", help="table to write (.json)")
    add("--seeds", type=cli.at_least(1), metavar="N", help="draws of gaps (default %(default)s)")
    add(
        "--fit_share",
        type=cli.between(0.2, 0.9),
        metavar="SHARE",
        help="share of the days that the fit sees (default %(default)s)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), COMMANDS, argv)
