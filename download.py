"""Fetch daily sea ice concentration grids of the University of Bremen (ASI, AMSR2 and AMSR-E).

Examples
  python download.py --start_date 20240101 --end_date 20241231 -o data
  python download.py --start_date 2020-09-01 --end_date 2020-09-30 --grid s6250 -o data/s6250 -p 2

python download.py --help has every option and more examples.
"""

import sys

from seaice.commands.download import main

if __name__ == "__main__":
    sys.exit(main())
