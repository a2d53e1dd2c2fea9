r"""Turn a folder of daily grids into one gap-free, flagged cube.

Examples
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20241231 \
      --land_mask_file land_mask.nc --output_file cube.nc
  python consolidate_data.py --source_dir data --start_date 20240101 --end_date 20250131 \
      --land_mask_file land_mask.nc --output_file cube.nc --append

python consolidate_data.py --help has every option and more examples.
"""

import sys

from seaice.commands.consolidate_data import main

if __name__ == "__main__":
    sys.exit(main())
