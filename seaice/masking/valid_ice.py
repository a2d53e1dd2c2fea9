"""Cells on which ice is possible, month by month, from files of classes such as those of NSIDC-0622.

Outside them a daily product may show ice where there cannot be any: wind and cloud over warm water.
Meier, W. N., J. Stroeve, F. Fetterer (2007), doi:10.3189/172756407782871170, and the valid ice masks
of NSIDC-0622 from the charts of the U.S. National Ice Center.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.fields.axes import read_axes
from seaice.fields.open import open_stored
from seaice.flags import read_flag_values
from seaice.grids import Grid
from seaice.report import listing

_MONTHS = range(1, 13)
# NIC_valid_ice_mask.N25km.01.1972-2007.nc; v01 and r01 are versions.
_MONTH_IN_NAME = re.compile(r"(?<![0-9vr])(0[1-9]|1[0-2])(?![0-9])", re.IGNORECASE)
_VALID = ("valid_ice", "ice_possible", "sea_ice_possible")
_NOT_VALID = ("ocean", "no_ice_possible", "never_ice")


@dataclass(frozen=True)
class ValidIce:
    """Where ice is possible in some months, and which cells are inland water.

    Attributes
    ----------
    months : dict of int to ndarray of bool, shape (rows, columns)
        True where ice is possible in the month.
    lakes : ndarray of bool, shape (rows, columns)
        Cells that any of the files calls a lake.
    """

    months: dict[int, np.ndarray]
    lakes: np.ndarray

    @property
    def never(self) -> np.ndarray | None:
        """Cells on which ice is possible in no month; None if not all twelve months are here."""
        if sorted(self.months) != list(_MONTHS):
            return None
        return ~np.logical_or.reduce(list(self.months.values()))


def read_valid_ice(texts: Sequence[str | Path], grid: Grid) -> ValidIce:
    """Read files of one month each.

    Parameters
    ----------
    texts : sequence of str or Path
        Files whose name holds the month as two digits, folders of such files, or ``MONTH=FILE``
        where the name does not tell it or another month shall use the file.
    grid : Grid
        The grid that the files must lie on.

    Raises
    ------
    InputError
        If a file cannot be read, holds no classes, lies on another grid, or the month of a file is
        not known or is there twice.
    """
    months: dict[int, np.ndarray] = {}
    lakes = np.zeros(grid.shape, bool)
    for month, path in _list_files(texts):
        if month in months:
            raise InputError(f"two files of valid ice of month {month}, one of them {path}; give one")
        months[month], of_file = _read_classes(path, grid)
        lakes |= of_file
    return ValidIce(dict(sorted(months.items())), lakes)


def _list_files(texts: Sequence[str | Path]) -> list[tuple[int, Path]]:
    files: list[tuple[int, Path]] = []
    for text in texts:
        month, equals, name = str(text).partition("=")
        if equals and month.isdigit() and int(month) in _MONTHS:
            files.append((int(month), Path(name)))
            continue
        path = Path(text)
        inside = sorted(path.glob("*.nc")) if path.is_dir() else [path]
        if not inside:
            raise InputError(f"expected NetCDF files of valid ice in {path}, found none")
        files += [(_find_month(file), file) for file in inside]
    return files


def _find_month(path: Path) -> int:
    if not path.exists():
        raise InputError(f"no such file or folder: {path}")
    months = _MONTH_IN_NAME.findall(path.name)
    if len(months) != 1:
        raise InputError(
            f"the name of {path} does not tell one month (two digits); give it as MONTH={path}, or the "
            "files of valid ice without it"
        )
    return int(months[0])


def _read_classes(path: Path, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Where ice is possible, and lakes, of a file; rows from the smallest y on."""
    with open_stored(path) as dataset:
        for variable in dataset.data_vars.values():
            try:
                values = read_flag_values(variable.attrs)
            except InputError:
                continue
            if variable.ndim >= 2 and any(word in values for word in _VALID):
                break
        else:
            raise InputError(
                f"{path}: expected a variable whose flag_meanings have {listing(list(_VALID))}, found "
                f"{listing(list(map(str, dataset.data_vars)))}"
            )
        axes = read_axes(dataset, variable, path)
        if axes.grid is None or not axes.grid.same_cells(grid):
            raise InputError(f"{path} lies on another grid: expected {grid}, found {axes.grid}")
        codes = axes.turn(np.asarray(variable.squeeze(drop=True).transpose(axes.y, axes.x).values))
    unknown = np.setdiff1d(codes, list(values.values()))
    if unknown.size:
        words = listing(unknown.tolist())
        raise InputError(f"{path}: {variable.name} holds codes without a meaning: {words}")
    lakes = [value for word, value in values.items() if "lake" in word.split("_")]
    # Land is no water without ice: what a file says of land must not make a cell of another mask count.
    no_ice = [values[word] for word in _NOT_VALID if word in values]
    if not no_ice:
        raise InputError(
            f"{path}: expected {listing(list(_NOT_VALID))} among the flag_meanings of {variable.name}, "
            f"found {listing(list(values))}"
        )
    return ~np.isin(codes, no_ice), np.isin(codes, lakes)
