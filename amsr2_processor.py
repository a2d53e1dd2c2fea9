"""Collect brightness temperatures of AMSR2 (JAXA, Level 1B or 1R) into one archive of swaths.

Examples
  python amsr2_processor.py --start 2020-01-01 --end 2020-01-31 --output_dir archive --layout hdf5
  python amsr2_processor.py --start "2020-01-01 00:00:00" --end "2020-01-01 06:00:00"

python amsr2_processor.py --help has every option and more examples.
"""

import sys

from seaice.commands.amsr2_processor import main

if __name__ == "__main__":
    sys.exit(main())
