"""Fill the gaps of any field, and judge the methods that do so.

Examples
  python fill_gaps.py fill --input_file sst.nc --method eof --output_file filled.nc
  python fill_gaps.py score --input_file cube.nc --methods temporal hybrid --output_dir scores

python fill_gaps.py --help has every option and more examples.
"""

import sys

from seaice.commands.fill_gaps import main

if __name__ == "__main__":
    sys.exit(main())
