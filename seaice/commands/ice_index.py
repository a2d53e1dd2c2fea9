r"""Daily sea ice extent and area of a cube, for the whole grid and by region.

A cell is ice-covered from --threshold on; extent is the true area of these cells, area
the ice in them. Missing cells are never taken for open water: their area is given beside
the result, and a day without any value has an empty row. What is made of the pole hole
(--pole_hole) stands in every output:
  filled   by its values; where still missing: ice-covered in extent, left out of area
  ice      unless observed: ice-covered in extent, left out of area (Sea Ice Index)
  exclude  left out of both

Examples
  python ice_index.py --input_file cube.nc --output_csv index.csv --plot index.png
  python ice_index.py --input_file cube.nc --output_file index.nc --region box=1600,1800,1100,1300
  python ice_index.py --input_file cube.nc --output_csv seas.csv \
      --region Arctic_region_mask_Meier_AnnGlaciol2007.msk   # from NSIDC, 25 km
  python ice_index.py --input_file cube2023.nc cube2024.nc --series_file before.csv \
      --output_dir index --climatology_years 1991 2020
  python ice_index.py --series_file N_seaice_extent_daily_v4.0.csv --output_dir index \
      --climatology_years 1981 2010
  python ice_index.py --input_file cube.nc --preset nsidc --land_mask_file land_mask.nc \
      --climatology_file N_seaice_extent_climatology_1981-2010_v4.0.csv --output_dir index
  python ice_index.py --input_file cube.nc --animation winter.gif --fps 8 --pixels 600 \
      --start_date 20240101 --end_date 20240229
  python ice_index.py --input_file cube.nc --dates_file dates.nc --dates_plot dates.png

References
  Regions: Meier et al. 2007, doi:10.3189/172756407782871170;
  NSIDC-0780, doi:10.5067/CYW3O8ZUNIWC
  Trends: Santer et al. 2000, doi:10.1029/1999JD901105; Sea Ice Index: NSIDC G02135,
  doi:10.7265/a98x-0f50
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from seaice import cli
from seaice.ice_index.conventions import POLE_HOLE_RULES, PRESETS
from seaice.ice_index.dates.stage import DEFAULT_MAPS, QUANTITIES
from seaice.ice_index.stage import ice_index


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command-line options of ``ice_index.py``."""
    parser = cli.make_parser(__doc__, ice_index)
    parser.add_argument(
        "--input_file",
        type=Path,
        nargs="+",
        help="cube of consolidate_data.py (.nc, .zarr), or several that follow each other",
    )
    parser.add_argument(
        "--series_file",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="series of an earlier run (.csv, .nc), or daily extent of NSIDC "
        "(N_seaice_extent_daily_v4.0.csv), beside or instead of a cube",
    )
    cli.add_period(parser, required=False)
    parser.add_argument(
        "--land_mask_file",
        type=Path,
        help="mask of create_mask.py: what is no ocean in it does not count, nor water on which no ice "
        "is possible in the month of the day",
    )
    parser.add_argument(
        "--output_csv", type=Path, help="series as CSV, one row a day and region, in km2"
    )
    parser.add_argument("--output_file", type=Path, help="series as CF NetCDF, in km2")
    parser.add_argument("--plot", type=Path, help="series as a picture (.png, .pdf, .svg and others)")
    parser.add_argument(
        "--animation", type=Path, help="the days as .gif, or as .mp4 where ffmpeg is there"
    )
    parser.add_argument("--fps", type=cli.between(0.1, 50), help="days a second (default %(default)s)")
    parser.add_argument(
        "--pixels",
        type=cli.between(100, 4000, int),
        help="longer side of a frame of the animation (default %(default)s)",
    )
    parser.add_argument(
        "--region",
        nargs="+",
        action="extend",
        metavar="REGION",
        help="box [NAME=]YMIN,YMAX,XMIN,XMAX (half-open ranges of cells, row 0 in the south); a sea "
        "such as barents, a box of degrees; polygons, GeoJSON or a shapefile (FILE:PROPERTY for "
        "names of another property than name); or a region file: flat 25 km mask (Meier et al. 2007) or "
        "NetCDF with integers on y, x (FILE:VARIABLE where it has several)",
    )
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        help="convention of the numbers: nsidc is that of the Sea Ice Index and needs --land_mask_file "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--threshold",
        type=cli.between(0, 1),
        help="fraction, 0 to 1 (default: that of the preset, 0.15)",
    )
    parser.add_argument(
        "--pole_hole",
        choices=list(POLE_HOLE_RULES),
        help="see below (default: that of the preset, filled or ice)",
    )
    many = parser.add_argument_group("series of years")
    many.add_argument(
        "--output_dir",
        type=Path,
        metavar="DIR",
        help="folder of climatology, anomalies, months, years and trends as CSV and in one NetCDF file, "
        "with pictures",
    )
    many.add_argument(
        "--climatology_years",
        type=cli.between(1850, 2200, int),
        nargs=2,
        metavar=("FIRST", "LAST"),
        help="years of the climatology (default: all of the series but the last one)",
    )
    many.add_argument(
        "--climatology_file",
        type=Path,
        metavar="FILE",
        help="a climatology instead of own years: that of NSIDC "
        "(N_seaice_extent_climatology_1981-2010_v4.0.csv), or climatology.csv of an earlier run",
    )
    many.add_argument(
        "--least_days",
        type=cli.between(1, 31, int),
        metavar="DAYS",
        help="days that a monthly mean needs (default %(default)s)",
    )
    group = parser.add_argument_group("dates of retreat and advance by cell")
    group.add_argument(
        "--dates_file",
        type=Path,
        help="opening, retreat, first ice, advance, closing and ice-free days of every cell and ice "
        "year, with intervals and trends, as CF NetCDF",
    )
    group.add_argument("--dates_plot", type=Path, help="maps of the last dates as a picture")
    group.add_argument("--trend_plot", type=Path, help="maps of trends over ten ice years or more")
    group.add_argument(
        "--map_of",
        nargs="+",
        choices=list(QUANTITIES),
        metavar="QUANTITY",
        help=f"what the maps show: {', '.join(QUANTITIES)} (default {' '.join(DEFAULT_MAPS)})",
    )
    group.add_argument(
        "--ice_year",
        nargs=2,
        metavar="MM-DD",
        help="first day of ice years and day of the minimum (default 03-01 09-15 in the north, 09-15 "
        "02-15 in the south)",
    )
    group.add_argument(
        "--closed_threshold",
        type=cli.between(0, 1),
        help="concentration of closed ice, for opening and closing (default %(default)s)",
    )
    group.add_argument(
        "--run_days",
        type=cli.between(1, 60, int),
        help="days of ice in a row that make an advance (default %(default)s)",
    )
    group.add_argument(
        "--trend_months",
        type=cli.between(1, 12, int),
        nargs="+",
        metavar="MONTH",
        help="months whose mean concentration has a trend (default all)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage; returns the exit status."""
    return cli.run(build_parser(), ice_index, argv)
