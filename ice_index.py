"""Daily sea ice extent and area of a cube, for the whole grid and by region.

Examples
  python ice_index.py --input_file cube.nc --output_csv index.csv --plot index.png
  python ice_index.py --input_file cube.nc --output_file index.nc --region box=160,220,120,180
  python ice_index.py --series_file N_seaice_extent_daily_v4.0.csv --output_dir index

python ice_index.py --help has every option and more examples.
"""

import sys

from seaice.commands.ice_index import main

if __name__ == "__main__":
    sys.exit(main())
