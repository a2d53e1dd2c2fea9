r"""Grid ICESat-2 sea ice freeboard (ATL10), or heights (ATL07), weighted by segment length.

Examples
  python grid_freeboard.py --input_dir atl10 --output_file freeboard.nc --grid ease2n25000
  python grid_freeboard.py --region ross_sea --start_date 20190901 --end_date 20190930 \
      --period month --output_file ross.nc

python grid_freeboard.py --help has every option and more examples.
"""

import sys

from seaice.commands.grid_freeboard import main

if __name__ == "__main__":
    sys.exit(main())
