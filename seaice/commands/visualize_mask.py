"""Draw a mask: its surface classes beside the share of days without a value.

Examples
  python visualize_mask.py --input_file land_mask.nc --output_file land_mask.png
  python visualize_mask.py --input_file land_mask.nc --coastlines none --dpi 150
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.drawing.coastlines import CHOICES
from seaice.pictures.visualize import visualize_mask


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``visualize_mask.py``."""
    parser = cli.make_parser(__doc__, visualize_mask)
    add = parser.add_argument
    add("--input_file", type=Path, required=True, help="mask of create_mask.py")
    add("--output_file", type=Path, help="picture to write (default: named after the input, .png)")
    add(
        "--coastlines",
        choices=[choice for choice in CHOICES if choice != "mask"],
        help="coast outlines to compare the mask with (default %(default)s)",
    )
    add("--dpi", type=cli.at_least(20), help="dots per inch (default %(default)s)")
    add("--show", action="store_true", help="also open a window")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), visualize_mask, argv)
