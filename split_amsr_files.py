"""Split archives of AMSR2 swaths into parts, by number of swaths, by day or by month.

Examples
  python split_amsr_files.py --input archive/AMSR2_swaths_*.npz --output_dir parts --chunk_size 500
  python split_amsr_files.py --input archive/AMSR2_swaths_*.npz --output_dir days --by day --layout hdf5

python split_amsr_files.py --help has every option and more examples.
"""

import sys

from seaice.commands.split_amsr_files import main

if __name__ == "__main__":
    sys.exit(main())
