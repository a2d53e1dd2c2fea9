"""Size of the fields in a folder of daily files: rows and columns, grids, forms, days.

Examples
  python get_dims.py --source_dir data
  python get_dims.py --source_dir .

python get_dims.py --help has every option and more examples.
"""

import sys

from seaice.commands.get_dims import main

if __name__ == "__main__":
    sys.exit(main())
