"""Forecast daily ice concentration by simple rules and by a network that has to beat them; score both.

Examples
  python forecast.py baseline --cube_file cube.nc --test 2025-03-01 2025-03-31 --output_dir base
  python forecast.py baseline --cube_file cube.nc --test 20250301 20250331 --output_dir base --leads 1-14

python forecast.py --help has every option and more examples.
"""

import sys

from seaice.commands.forecast import main

if __name__ == "__main__":
    sys.exit(main())
