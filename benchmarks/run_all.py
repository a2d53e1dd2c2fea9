"""Run the benchmarks, one script a claim, and write what they print to docs/benchmarks.md.

python benchmarks/run_all.py                      small: a coarse grid, a few minutes
python benchmarks/run_all.py --full               3584 x 2432 cells, an hour or more
python benchmarks/run_all.py --only mask          one of them; the other sections are kept
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"

HEAD = """# Benchmarks

Written by `make bench`, one section a claim. Compare the ratios, not the seconds: machines differ.
Each script first checks that both sides give the same result, then runs them in turn in one process.
"""


@dataclass(frozen=True)
class Claim:
    """One section of the page. ``small`` and ``full`` are the script's words."""

    name: str
    title: str
    script: str
    small: str
    full: str
    takes_folder: bool = True


CLAIMS = (
    Claim(
        "fill",
        "Filling: 100 times less CPU time than the windowed loop at 3584 x 2432 cells",
        "fill_kernel.py",
        "--grid n12500 --days 10",
        "--grid n3125 --days 10",
    ),
    Claim(
        "consolidation",
        "Consolidation: with `departure` less than reading and writing, in constant memory",
        "consolidation.py",
        "--grid n12500 --scaling_days 10 50 200",
        "--grid n3125 --scaling_days 10 50 200",
    ),
    Claim(
        "products",
        "Products: a day of a general NetCDF product at most 1.5 times merely reading and writing it",
        "products.py",
        "--days 36",
        "--days 60",
        takes_folder=False,
    ),
    Claim(
        "kills",
        "Stopping: killed at any moment, the same cube",
        "kills.py",
        "--grid n12500 --kills 10",
        "--grid n6250 --kills 50",
        takes_folder=False,
    ),
    Claim(
        "mask",
        "Mask: a further day costs about what it costs to read it",
        "mask.py",
        "--grid n12500 --days 12",
        "--grid n3125 --days 12",
    ),
    Claim(
        "storage",
        "Storage: chunk shapes, packings and codecs of the cube",
        "storage.py",
        "--grid n12500 --days 12 --cube_days 24",
        "--grid n3125 --days 12 --cube_days 60",
    ),
    Claim(
        "loading",
        "Loading: samples a second for training",
        "loading.py",
        "--grid n12500 --days 60 --samples 10",
        "--grid n3125 --days 24 --samples 10",
    ),
    Claim(
        "forecast_training",
        "Training a forecast: steps a second, and where their time goes",
        "forecast_training.py",
        "--grids n25000 --seconds 0",
        "",
        takes_folder=False,
    ),
    Claim(
        "segmentation_speed",
        "Segmentation: steps a second and scenes an hour, and equal maps for any batch of tiles",
        "segmentation_speed.py",
        "--updates 1 --side 400",
        "",
        takes_folder=False,
    ),
    Claim(
        "archive",
        "Swath archives: one swath opens 100 times faster than the classic archive loads",
        "archive.py",
        "--swaths 60",
        "--swaths 300 --scans 2040",
        takes_folder=False,
    ),
    Claim(
        "collection",
        "Swath collection: a failing server and a killed client lose nothing",
        "collection.py",
        "--days 1 --kills 4",
        "--days 7 --scans 40 --kills 20",
        takes_folder=False,
    ),
    Claim(
        "gridding",
        "Gridding: from positions to statistics at least 5 times faster than the alternatives",
        "gridding.py",
        "--points 2000000",
        "--points 16000000",
        takes_folder=False,
    ),
    Claim(
        "regridding",
        "Regridding: a day with flags and errors in a tenth of the time of pyresample for its values",
        "regridding.py",
        "--grid n12500 --days 4 --points 100000",
        "--grid n3125 --days 12 --points 1000000",
        takes_folder=False,
    ),
    Claim(
        "algorithms",
        "Retrieval: the base algorithm in a third of the time of numpy",
        "algorithms.py",
        "--places 200000",
        "--places 1000000",
        takes_folder=False,
    ),
    Claim(
        "sharpening",
        "Sharpening: at most 0.6 of the error of ASI at cells of 6.25 km",
        "sharpening.py",
        "--size 64 --scenes 1 --distances 25",
        "--size 128 --scenes 4",
        takes_folder=False,
    ),
    Claim(
        "intervals",
        "Intervals of skill: blocks of 30 days hold a known skill 91 to 98 times in 100",
        "interval_coverage.py",
        "--series 500",
        "--series 2000",
        takes_folder=False,
    ),
    Claim(
        "browsing",
        "Browsing: a click on a cell within 0.2 s for a year of days, against xarray",
        "browsing.py",
        "--grid n12500 --days 60",
        "--grid n6250 --days 365",
        takes_folder=False,
    ),
    Claim(
        "dates",
        "Dates by cell: intervals hold the date without gaps in 90 to 99 percent",
        "ice_dates.py",
        "--seeds 1",
        "--seeds 3",
        takes_folder=False,
    ),
    Claim(
        "retrieval",
        "Retrieval: a day of half orbits to concentration, against reading the same files",
        "retrieval.py",
        "--half_orbits 4 --grid n12500",
        "--half_orbits 29 --grid n6250",
        takes_folder=False,
    ),
    Claim(
        "patches",
        "SAR patches: no more than three times what reading the scenes takes",
        "patches.py",
        "--size 1500 --scenes 2",
        "--size 5000 --scenes 1 --repeats 2",
        takes_folder=False,
    ),
)


def machine() -> str:
    """What the numbers were measured with, in one line."""
    model = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        found = re.search(r"^model name\s*:\s*(.+)$", cpu.read_text(), re.MULTILINE)
        model = found.group(1) if found else model
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {usable} processors, {platform.system()}, Python {platform.python_version()}"


def sections_of(text: str) -> dict[str, str]:
    """The sections of a page by the script that each names."""
    sections = {}
    for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]:
        found = re.search(r"^`python benchmarks/(\S+\.py)", part, re.MULTILINE)
        if found:
            sections[found.group(1)] = part.strip()
    return sections


def section(claim: Claim, words: str, printed: str) -> str:
    date = f"{datetime.now(UTC):%Y-%m-%d}"
    # A script that prints a table in Markdown is not to be fenced.
    body = printed.strip() if "\n|---" in printed else f"```\n{printed.rstrip()}\n```"
    return (
        f"## {claim.title}\n\n`python benchmarks/{claim.script} {words}`\n\n"
        f"{date}, {machine()}\n\n{body}"
    )


def run(claim: Claim, words: Sequence[str]) -> str | None:
    """What the script prints; None where it fails, which is said."""
    command = [sys.executable, str(HERE / claim.script), *words]
    print(f"$ python benchmarks/{claim.script} {' '.join(words)}", flush=True)
    # Log lines of the runs go to the terminal, results into the page.
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    print(done.stdout, flush=True)
    if done.returncode:
        print(f"{claim.script} ended with status {done.returncode}", file=sys.stderr)
        return None
    return done.stdout


def write_page(path: Path, sections: dict[str, str]) -> None:
    """In the order of the table; a section of no claim is dropped."""
    kept = [sections[claim.script] for claim in CLAIMS if claim.script in sections]
    path.write_text("\n\n".join([HEAD.strip(), *kept]) + "\n", encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--full", action="store_true", help="the 3.125 km grid")
    made.add_argument("--only", choices=[claim.name for claim in CLAIMS], help="run one of them")
    made.add_argument("--folder", type=Path, help="keep the simulated days here, a folder a size")
    made.add_argument("--output_file", type=Path, default=PAGE, help="[docs/benchmarks.md]")
    return made


def main(words: Sequence[str] | None = None) -> int:
    options = parser().parse_args(words)
    page = options.output_file
    failed = []
    for claim in CLAIMS:
        if options.only not in (None, claim.name):
            continue
        if not (HERE / claim.script).exists():
            print(f"{claim.name}: skipped, there is no benchmarks/{claim.script}")
            continue
        chosen = claim.full if options.full else claim.small
        words = chosen.split()
        if options.folder and claim.takes_folder:
            words += ["--folder", str(options.folder / ("full" if options.full else "small"))]
        printed = run(claim, words)
        if printed is None:
            failed.append(claim.name)
            continue
        # Read anew and written after every script, so that a run that is stopped loses nothing.
        sections = sections_of(page.read_text(encoding="utf-8")) if page.exists() else {}
        write_page(page, sections | {claim.script: section(claim, chosen, printed)})
        print(f"wrote {page}")
    if failed:
        print(f"failed: {', '.join(failed)}; their sections are as they were", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
