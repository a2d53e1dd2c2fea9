"""Draw a mask: its surface classes beside the share of days without a value.

Examples
  python visualize_mask.py --input_file land_mask.nc --output_file land_mask.png
  python visualize_mask.py --input_file land_mask.nc --coastlines none --dpi 150

python visualize_mask.py --help has every option and more examples.
"""

import sys

from seaice.commands.visualize_mask import main

if __name__ == "__main__":
    sys.exit(main())
