"""A small folder of daily files around the pole, with everything known about it."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from seaice.grids import Grid, get_grid
from seaice.simulate import write_day
from seaice.sources.bremen.names import DayFile

# 40 x 36 cells of 25 km with the pole at the corner of cells (20, 18).
GRID: Grid = get_grid("n25000").crop(slice(194, 234), slice(136, 172))
START = date(2024, 1, 1)


@dataclass
class Folder:
    """What the files hold: percent, NaN missing; ``None`` for a day without a file."""

    path: Path
    land: np.ndarray
    hole: np.ndarray
    fields: list[np.ndarray | None]

    def day(self, i: int) -> date:
        return START + timedelta(days=int(i))

    @property
    def end(self) -> date:
        return self.day(len(self.fields) - 1)

    def file(self, i: int) -> Path:
        return self.path / DayFile("AMSR2", "n25000", self.day(i), "5.4", "nc").name

    def write(self, i: int) -> None:
        write_day(self.file(i), self.fields[i], GRID)

    def stack(self) -> np.ndarray:
        empty = np.full(GRID.shape, np.nan, np.float32)
        return np.stack([empty if f is None else f for f in self.fields])


def make_folder(
    path: Path, *, days: int = 24, absent: tuple[int, ...] = (5, 11, 12, 13, 14), seed: int = 0
) -> Folder:
    """Moving ice with wedge-like gaps; land in a corner; a pole hole; absent days."""
    rng = np.random.default_rng(0)
    rows, columns = GRID.shape
    ys, xs = np.mgrid[:rows, :columns]
    land = (ys < 6) & (xs < 9)
    hole = GRID.distance_to_pole() < 95_000
    fields: list[np.ndarray | None] = []
    for t in range(days):
        field = np.clip(55 + 60 * np.sin(xs / 6 + t / 9) * np.cos(ys / 8 - t / 11), 0, 100)
        for _ in range(3):
            y, x = rng.integers(0, rows - 8), rng.integers(0, columns - 8)
            field[y : y + 12, x : x + 8] = np.nan
        field[land | hole] = np.nan
        fields.append(field.astype(np.float32))
    folder = Folder(path, land, hole, fields)
    path.mkdir(parents=True, exist_ok=True)
    for t in range(days):
        if t in absent:
            fields[t] = None
        else:
            folder.write(t)
    return folder
