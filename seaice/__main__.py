"""``python -m seaice``: the command ``seaice``."""

import sys

from seaice.commands import main

if __name__ == "__main__":
    sys.exit(main())
