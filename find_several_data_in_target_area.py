r"""Find the days with missing data in a part of the grid, and suspicious days.

Examples
  python find_several_data_in_target_area.py --source_dir data --start_date 20240101 \
      --end_date 20240131 --ymin 900 --ymax 1000 --xmin 600 --xmax 700
  python find_several_data_in_target_area.py --source_dir data --start_date 2024-01-01 \
      --end_date 2024-03-31 --bounds 0 500000 -1500000 -1000000 --threshold_percent 5 \
      --land_mask_file land_mask.nc --output_csv missing.csv --output_file box.png

python find_several_data_in_target_area.py --help has every option and more examples.
"""

import sys

from seaice.commands.find_several_data_in_target_area import main

if __name__ == "__main__":
    sys.exit(main())
