"""Simulated days and their mask in a folder: what the benchmarks work on."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from seaice.grids import Grid, get_grid

START = date(2024, 1, 1)


def day(i: int) -> date:
    return START + timedelta(days=i)


def parser_of(description: str | None, *, days: int, repeats: int) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--grid", default="n12500", help="n12500 is small, n3125 is full [%(default)s]")
    parser.add_argument("--days", type=int, default=days, help="simulated days [%(default)s]")
    parser.add_argument("--repeats", type=int, default=repeats, help="rounds [%(default)s]")
    parser.add_argument(
        "--folder", type=Path, help="keep simulated days and mask here, one folder a grid"
    )
    return parser


@dataclass(frozen=True)
class Days:
    """A folder that holds ``days/`` and ``mask.nc``."""

    folder: Path
    grid: Grid
    count: int

    @property
    def paths(self) -> list[Path]:
        """The daily files, in order."""
        return [source_path(self.folder, self.grid.id, i) for i in range(self.count)]

    @property
    def mask_file(self) -> Path:
        """The land mask of the days."""
        return self.folder / "mask.nc"

    def ocean(self) -> np.ndarray:
        """True on ocean, bool (rows, columns)."""
        from seaice.masks import read_mask

        return read_mask(self.mask_file).ocean

    def stack(self) -> np.ndarray:
        """Percent, float32 (days, rows, columns); NaN where missing."""
        from seaice.sources.bremen.reader import read_day

        return np.stack([read_day(path, grid=self.grid)[0] for path in self.paths])


def source_path(folder: Path, grid: str, i: int) -> Path:
    from seaice.sources.bremen.names import (
        VERSION,
        DayFile,
    )

    return folder / "days" / DayFile("AMSR2", grid, day(i), VERSION, "nc").name


@contextmanager
def simulated_days(
    options: argparse.Namespace, outages: Mapping[int, tuple[float, float]] | None = None
) -> Iterator[Days]:
    """The days asked for; those the folder lacks are simulated first.

    ``outages`` are UTC hours of a day, counted from 0, in which nothing was received.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        days = Days(folder, get_grid(options.grid), options.days)
        _simulate(days, outages or {})
        yield days


def linked(days: Days, folder: Path, count: int, *, absent: Iterable[int] = ()) -> list[Path]:
    """Files of as many days as wanted: the simulated ones, there and back again, under their dates.

    Days that are ``absent`` have none.
    """
    there_and_back = [*days.paths, *days.paths[-2:0:-1]]
    (folder / "days").mkdir(parents=True, exist_ok=True)
    paths = [source_path(folder, days.grid.id, i) for i in range(count)]
    for i, path in enumerate(paths):
        path.unlink(missing_ok=True)
        if i not in absent:
            os.link(there_and_back[i % len(there_and_back)], path)
    return [path for path in paths if path.exists()]


def _simulate(days: Days, outages: Mapping[int, tuple[float, float]]) -> None:
    from seaice.masking.land_mask import create_mask
    from seaice.simulate import simulate_days

    lacking = [i for i, path in enumerate(days.paths) if not path.exists()]
    if lacking:
        simulate_days(
            output_dir=days.folder / "days",
            start_date=day(lacking[0]),
            end_date=day(days.count - 1),
            grid=days.grid.id,
            outages={day(i): hours for i, hours in outages.items() if i >= lacking[0]},
        )
    if lacking or not days.mask_file.exists():
        create_mask(
            source_dir=days.folder / "days",
            start_date=START,
            end_date=day(days.count - 1),
            output_file=days.mask_file,
            grid=days.grid.id,
        )
