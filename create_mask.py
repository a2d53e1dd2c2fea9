r"""Make a surface mask (land, coast, pole hole, ocean) from many daily grids.

Examples
  python create_mask.py --source_dir data --start_date 20240101 --end_date 20241231 \
      --output_file land_mask.nc
  python create_mask.py --source_dir data --start_date 20240101 --end_date 20240331 \
      --output_file land_mask.nc --threshold 0.9

python create_mask.py --help has every option and more examples.
"""

import sys

from seaice.commands.create_mask import main

if __name__ == "__main__":
    sys.exit(main())
