"""Make the distributions of brightness temperatures that simulated AMSR2 granules follow.

The samples are those of the Round Robin Data Package of the ESA Climate Change Initiative
(doi:10.6084/m9.figshare.6626549), a CSV file for each hemisphere. Days whose ordinal number leaves 3
when divided by 4 are taken and no others, so that tie points fitted to the others are independent of
the simulated swaths.

  python benchmarks/temperature_statistics.py --samples north.csv.gz south.csv.gz
"""

from __future__ import annotations

import argparse
from pathlib import Path

from seaice.simulate.globe.temperature_statistics import PACKAGED, fit_statistics, write_statistics


def main() -> int:
    """Fit and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="CSV files")
    parser.add_argument("--output_file", type=Path, default=PACKAGED, help="default: %(default)s")
    arguments = parser.parse_args()
    statistics = fit_statistics(arguments.samples)
    write_statistics(arguments.output_file, statistics)
    for one in statistics:
        print(f"{one.hemisphere} {one.season} {one.surface}: {one.samples} samples of {one.days} days")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
