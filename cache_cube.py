"""Make the training cache of a cube: its concentration as one plain array, mapped when read.

Examples
  python cache_cube.py --cube_file cube.nc --output_dir cache
  python cache_cube.py --cube_file cube.nc --output_dir cache --dtype uint8 --force

python cache_cube.py --help has every option and more examples.
"""

import sys

from seaice.commands.cache_cube import main

if __name__ == "__main__":
    sys.exit(main())
