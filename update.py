"""Keep a cube current: fetch what is new or changed, append it, make index, map and report, give alarm.

Examples
  python update.py --config daily.toml
  python update.py --config daily.toml --dry_run

python update.py --help has every option and more examples.
"""

import sys

from seaice.commands.update import main

if __name__ == "__main__":
    sys.exit(main())
