r"""Grid ICESat-2 sea ice freeboard (ATL10), or heights (ATL07), weighted by segment length.

Takes granules of a folder, or searches for them and fetches them (earthaccess), or reads them
where they lie on S3. Writes mean, standard deviation, uncertainty, number and mean length of the
segments and the number of tracks for each cell and time step. Every filter says how many segments
it dropped.

Examples
  python grid_freeboard.py --input_dir atl10 --output_file freeboard.nc --grid ease2n25000
  python grid_freeboard.py --region ross_sea --start_date 20190901 --end_date 20190930 \
      --period month --output_file ross.nc
  python grid_freeboard.py --input_dir atl10 --output_file ice.nc --grid ease2n6250 --surface ice \
      --preset atl20 --points segments.parquet

A search needs pip install "seaice-toolbox[icesat2]" and an Earthdata account: EARTHDATA_USERNAME
and EARTHDATA_PASSWORD, EARTHDATA_TOKEN, or ~/.netrc (https://urs.earthdata.nasa.gov).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli, settings
from seaice.freeboard.grid import grid_freeboard

CHOICES = {
    "product": (("ATL10", "ATL07"), "freeboard, or heights"),
    "beams": (("strong", "weak", "all"), "beams"),
    "surface": (("ice", "lead", "all"), "kinds of segments"),
    "preset": (
        ("none", "atl20"),
        "atl20: quality 1 to 4, 25 km off land, 50 percent ice",
    ),
    "engine": (("h5py", "h5coro"), "reader"),
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``grid_freeboard.py``."""
    parser = cli.make_parser(__doc__, grid_freeboard)
    parser.add_argument(
        "-o", "--output_file", type=Path, required=True, metavar="FILE", help="NetCDF file"
    )
    parser.add_argument(
        "-i",
        "--input_dir",
        type=Path,
        metavar="DIR",
        help="folder of granules; without it they are fetched",
    )
    cli.add_period(parser, required=False)
    parser.add_argument(
        "--bbox",
        nargs=4,
        type=cli.between(-180, 360),
        metavar=("WEST", "SOUTH", "EAST", "NORTH"),
        help="only segments in this box, degrees; the grid is cut to it",
    )
    parser.add_argument(
        "--region",
        metavar="NAME",
        help="only segments in arctic, antarctic, ross_sea or polygons (GeoJSON, shapefile, GeoPackage)",
    )
    parser.add_argument("--cloud", action="store_true", help="read granules on S3 (AWS us-west-2)")
    parser.add_argument(
        "--download_dir",
        type=Path,
        default=settings.data_dir() / "icesat2",
        metavar="DIR",
        help="folder to which granules are fetched (default %(default)s)",
    )
    parser.add_argument("--release", help="release of the product, for the search (default %(default)s)")
    cli.add_grid(parser, "ease2n6250 or ease2s6250, as the area or granules")
    cli.add_cadence(parser)
    for name, (choices, text) in CHOICES.items():
        parser.add_argument(f"--{name}", choices=choices, help=f"{text} (default %(default)s)")
    parser.add_argument(
        "--max_quality",
        type=cli.between(1, 5, int),
        metavar="N",
        help="worst quality flag, 1 best to 5; invalid ones are never used (default %(default)s)",
    )
    parser.add_argument(
        "--min_count",
        type=cli.at_least(1),
        metavar="N",
        help="segments that a cell needs for a value (default %(default)s)",
    )
    parser.add_argument("--points", type=Path, metavar="FILE", help="segments used, as GeoParquet")
    cli.add_engine(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), grid_freeboard, argv)
