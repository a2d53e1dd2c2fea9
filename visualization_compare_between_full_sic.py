r"""Draw a day as observed, the same day of a cube, and how every value came about.

Examples
  python visualization_compare_between_full_sic.py --date 20240417 \
      --original_file data/asi-AMSR2-n3125-20240417-v5.4.nc --consolidated_file cube.nc
  python visualization_compare_between_full_sic.py --date 20240417 --no_land \
      --original_file data/asi-AMSR2-n3125-20240417-v5.4.nc --consolidated_file cube.nc \
      --output_file april.png --dpi 200

python visualization_compare_between_full_sic.py --help has every option and more examples.
"""

import sys

from seaice.commands.visualization_compare_between_full_sic import main

if __name__ == "__main__":
    sys.exit(main())
