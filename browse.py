"""Look at a file in a browser: maps by day, how values came about, series of a cell, box or region.

Examples
  python browse.py --input_file cube.nc
  python browse.py --input_file cube.nc --output_dir site

python browse.py --help has every option and more examples.
"""

import sys

from seaice.commands.browse import main

if __name__ == "__main__":
    sys.exit(main())
