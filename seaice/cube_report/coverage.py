"""How the values of a cube came about, day by day and region by region."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np

from seaice.cube.file import CubeFile
from seaice.flags import DayStatus, FillFlag
from seaice.regions import Regions
from seaice.report import Progress

logger = logging.getLogger(__name__)

# A cell without a value has the flag not_filled, whatever wrote the cube.
_MISSING = FillFlag.NOT_FILLED.meaning
_OBSERVED = FillFlag.OBSERVED.meaning


@dataclass(frozen=True)
class Coverage:
    """Ocean area of a cube by day, region and flag.

    Attributes
    ----------
    dates : list of date
    regions : tuple of str
        The first is the whole grid.
    flags : tuple of str
        Meanings of the flags that occur, observed first and missing last.
    area : ndarray of float64, shape (days, regions, flags)
        km2.
    cells : ndarray of int64, shape (days, flags)
        Numbers of cells of the whole grid.
    error : ndarray of float64, shape (days, flags)
        Mean expected error of the cells of the whole grid, fraction; NaN where none is told.
    status : ndarray of uint8, shape (days,)
        :class:`seaice.flags.DayStatus`.
    reasons : list of str
        Why a day is absent, rejected or suspicious; else empty.
    observed_days : ndarray of int32, shape (rows, columns)
        Number of days on which a cell was observed.
    """

    dates: list[date]
    regions: tuple[str, ...]
    flags: tuple[str, ...]
    area: np.ndarray
    cells: np.ndarray
    error: np.ndarray
    status: np.ndarray
    reasons: list[str]
    observed_days: np.ndarray

    @cached_property
    def shares(self) -> np.ndarray:
        """Share of the ocean area of a region, shape (days, regions, flags)."""
        return self.area / np.maximum(self.area.sum(axis=2, keepdims=True), 1e-9)

    def share_of(self, *kinds: str) -> np.ndarray:
        """Share (days, regions) of the ocean that is ``observed``, ``filled`` or ``missing``."""
        chosen = [i for i, flag in enumerate(self.flags) if _name_kind(flag) in kinds]
        return self.shares[:, :, chosen].sum(axis=2)  # type: ignore[no-any-return]

    def list_days(self, status: DayStatus) -> list[int]:
        """Positions of the days of a status."""
        return np.flatnonzero(self.status == status).tolist()

    @property
    def suspicious(self) -> list[int]:
        """Positions of the days that are kept and look wrong."""
        is_kept = self.status == DayStatus.PRESENT
        return [i for i, reason in enumerate(self.reasons) if reason and is_kept[i]]


def _name_kind(flag: str) -> str:
    return {_OBSERVED: "observed", _MISSING: "missing"}.get(flag, "filled")


def measure_coverage(cube: CubeFile, divisions: Sequence[Regions]) -> Coverage:
    """Read all days of a cube once and sum its ocean by region and flag.

    Parameters
    ----------
    cube : CubeFile
    divisions : sequence of Regions
        Divisions of the grid, the first of which is the whole grid.
    """
    cells = np.flatnonzero(cube.ocean)
    codes = [division.codes.ravel()[cells].astype(np.int64) for division in divisions]
    insides = [np.flatnonzero(code) for code in codes]
    codes = [256 * (code[inside] - 1) for code, inside in zip(codes, insides, strict=True)]
    counts = [len(division.names) for division in divisions]
    cell_area = cube.grid.cell_area().ravel()[cells]
    meanings = _name_codes(cube)
    observed = meanings[0][1]
    area = np.zeros((len(cube.dates), sum(counts), 256))
    numbers = np.zeros((len(cube.dates), 256), np.int64)
    error = np.full((len(cube.dates), 256), np.nan)
    observed_days = np.zeros(cube.grid.shape, np.int32)
    with Progress(total=len(cube.dates), label="days", logger=logger) as progress:
        for i, day in enumerate(cube.dates):
            flags = cube.flags(i).ravel()[cells]
            flags[np.isnan(cube.concentration(i).ravel()[cells])] = FillFlag.NOT_FILLED
            parts = [
                np.bincount(code + flags[inside], cell_area[inside], count * 256).reshape(count, 256)
                for code, inside, count in zip(codes, insides, counts, strict=True)
            ]
            area[i], numbers[i] = np.concatenate(parts), np.bincount(flags, minlength=256)
            error[i] = _average_error(cube, i, flags, cells)
            observed_days.ravel()[cells] += flags == observed
            progress.unit(
                f"{day}: {100 * numbers[i, meanings[0][1]] / max(cells.size, 1):.1f} % observed"
            )
    used = [(name, code) for name, code in meanings if numbers[:, code].any()]
    chosen = [code for _, code in used]
    return Coverage(
        cube.dates,
        tuple(name for division in divisions for name in division.names),
        tuple(name for name, _ in used),
        area[:, :, chosen],
        numbers[:, chosen],
        error[:, chosen],
        cube.variable("day_status") if cube.has("day_status") else np.zeros(len(cube.dates), np.uint8),
        cube.texts("day_reason") if cube.has("day_reason") else [""] * len(cube.dates),
        observed_days,
    )


def _name_codes(cube: CubeFile) -> list[tuple[str, int]]:
    """Meaning and code of the flags of a cube: observed first, missing last, land left out."""
    names = [flag.meaning for flag in FillFlag if flag.is_filled]
    codes = [(_OBSERVED, cube.flag_value(_OBSERVED))]
    for name in names:
        try:
            codes.append((name, cube.flag_value(name)))
        except KeyError:  # of a later version than the cube
            continue
    return [*codes, (_MISSING, int(FillFlag.NOT_FILLED))]


def _average_error(cube: CubeFile, day: int, flags: np.ndarray, cells: np.ndarray) -> np.ndarray:
    error = cube.standard_error(day)
    if error is None:
        return np.full(256, np.nan)
    values = error.ravel()[cells]
    has_error = ~np.isnan(values)
    counts = np.bincount(flags[has_error], minlength=256)
    sums = np.bincount(flags[has_error], values[has_error], 256)
    return np.divide(sums, counts, out=np.full(256, np.nan), where=counts > 0)
