"""Write one self-contained HTML page about a cube: coverage, filling, errors, extent, provenance.

Examples
  python report.py --input_file cube.nc --output_file report.html
  python report.py --input_file cube.nc --output_file report.html --scores scores

python report.py --help has every option and more examples.
"""

import sys

from seaice.commands.report import main

if __name__ == "__main__":
    sys.exit(main())
