"""Check archives of AMSR2 swaths: every swath, duplicates, gaps in time, completeness.

Examples
  python verify_archive.py archive/AMSR2_swaths_20200101_000000_to_20200107_235959.npz
  python verify_archive.py archive/*.npz --plot 5 --output_dir pictures

python verify_archive.py --help has every option and more examples.
"""

import sys

from seaice.commands.verify_archive import main

if __name__ == "__main__":
    sys.exit(main())
