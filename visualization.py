r"""Draw a map of a file: sea ice concentration, a mask, freeboard or brightness temperature.

Examples
  python visualization.py --input_file data/asi-AMSR2-n3125-20240417-v5.4.nc
  python visualization.py --input_file data/asi-AMSR2-n3125-20240417-v5.4.nc \
      --land_mask_file land_mask.nc --ice_edge --output_file april.pdf

python visualization.py --help has every option and more examples.
"""

import sys

from seaice.commands.visualization import main

if __name__ == "__main__":
    sys.exit(main())
