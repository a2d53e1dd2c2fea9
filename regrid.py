"""A cube or field on another grid, or its values at points and along tracks.

Examples
  python regrid.py --input_file cube.nc --grid ease2n25000 --output_file cube_ease2.nc
  python regrid.py --input_file cube.nc --points buoys.csv --output_file ice_at_buoys.csv

python regrid.py --help has every option and more examples.
"""

import sys

from seaice.commands.regrid import main

if __name__ == "__main__":
    sys.exit(main())
