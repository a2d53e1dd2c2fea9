r"""Grid AMSR2 swaths: brightness temperatures, one file a time step and orbit direction.

Examples
  python grid_swaths.py --input archive --output_dir tb --grid n12500
  python grid_swaths.py --input archive/AMSR2_swaths_20200101_000000_to_20200131_235959.npz \
      --output_dir tb --grid ease2n12500 --channels 36.5H --orbit A --workers 2

python grid_swaths.py --help has every option and more examples.
"""

import sys

from seaice.commands.grid_swaths import main

if __name__ == "__main__":
    sys.exit(main())
