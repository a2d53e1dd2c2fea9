r"""Retrieve daily ice concentration from AMSR2 brightness temperatures.

Examples
  python retrieve_concentration.py --input archive --output_dir sic --grid n6250
  python retrieve_concentration.py --input l1b --output_dir sic --grid s12500 --algorithm base asi \
      --start_date 20200101 --end_date 20200131 --workers 2

python retrieve_concentration.py --help has every option and more examples.
"""

import sys

from seaice.commands.retrieve_concentration import main

if __name__ == "__main__":
    sys.exit(main())
