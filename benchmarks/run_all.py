"""Run every benchmark small and write what they print to docs/benchmarks.md.

python benchmarks/run_all.py            small: a coarse grid, a few minutes
python benchmarks/run_all.py --full     the 3.125 km grid
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SMALL = {
    "Consolidation": [
        "consolidation.py",
        "--grid",
        "n12500",
        "--days",
        "12",
        "--memory_days",
        "20",
        "40",
    ],
}
FULL = {
    "Consolidation": [
        "consolidation.py",
        "--grid",
        "n3125",
        "--days",
        "12",
        "--memory_days",
        "20",
        "40",
    ],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--full", action="store_true", help="the 3.125 km grid")
    parser.add_argument("--output_file", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`. Compare the ratios, not the seconds: machines differ.",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}",
    ]
    for title, words in (FULL if options.full else SMALL).items():
        command = [sys.executable, str(ROOT / "benchmarks" / words[0]), *words[1:]]
        print(f"$ python benchmarks/{' '.join(words)}", flush=True)
        # Log lines of the runs go to the terminal, results into the table.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(done.stdout)
        lines += ["", f"## {title}", "", f"`python benchmarks/{' '.join(words)}`", ""]
        lines += ["```", done.stdout.rstrip(), "```"]
    options.output_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"wrote {options.output_file}")


if __name__ == "__main__":
    main()
