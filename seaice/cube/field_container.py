"""Ice concentration of other programs, and what ``fill_gaps.py`` makes of it, read like a cube."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from seaice import InputError, cf
from seaice.dates import from_day_number
from seaice.fields.options import ReadOptions
from seaice.fields.stack import FieldStack, find_concentration
from seaice.flags import FillFlag, Surface, flag_attributes, is_ocean, read_flag_values
from seaice.grids import CellLayout
from seaice.open_file.address import Place
from seaice.units import find_conversion

WHOLE = slice(None)


class FieldContainer:
    """A stack of daily maps of ice concentration in the words of a cube.

    Its variables are ``time``, a regular daily axis on which days without a map are missing;
    ``sea_ice_conc`` as fractions; ``fill_flag`` of the file, or what values and land say;
    ``surface``; and, where the file has them, ``sea_ice_conc_error`` and ``days_back_forward``.

    Parameters
    ----------
    path : Path
        NetCDF file or Zarr group.

    Raises
    ------
    InputError
        If its concentration is no stack of daily maps on a grid, or in units of another kind.
    """

    def __init__(self, path: Place, variable: str) -> None:
        self._field = field = FieldStack(path, ReadOptions(variable=variable, quality_level=0))
        try:
            self._first_day, self._maps = _number_days(field)
        except BaseException:
            field.close()
            raise
        self.attributes: dict[str, Any] = field.file_attributes
        self._flag = field.find_fill_flag()
        self._error = field.find_ancillary("standard_error", "standard_uncertainty")

    @classmethod
    def find(cls, path: Place) -> FieldContainer | None:
        """Open the ice concentration of a file; None if there is none."""
        name = find_concentration(path)
        return None if name is None else cls(path, name)

    def has(self, name: str) -> bool:
        """Whether the file tells what a variable of a cube tells."""
        if name in ("fill_flag", "surface", "sea_ice_conc_error"):
            return {
                "fill_flag": self._flag is not None,
                "surface": self._surface is not None,
                "sea_ice_conc_error": self._error is not None,
            }[name]
        return name in ("time", "x", "y", "sea_ice_conc") or (
            name == "days_back_forward" and self._field.has(name)
        )

    @cached_property
    def _surface(self) -> np.ndarray | None:
        return self._field.read_surface()

    @cached_property
    def _flags(self) -> dict[str, int]:
        """The code of every meaning of ``fill_flag``; a cell without a value always has one."""
        if self._flag is None:
            return {flag.meaning: int(flag) for flag in FillFlag}
        codes = read_flag_values(self._field.attributes_of(self._flag))
        for meaning in ("land", "not_filled"):
            codes.setdefault(meaning, max(set(range(256)) - set(codes.values())))
        return codes

    def attributes_of(self, name: str) -> dict[str, Any]:
        """Attributes of a variable."""
        if name == "time":
            return dict(cf.TIME_ATTRIBUTES)
        if name == "surface":
            return flag_attributes(Surface)
        if name == "fill_flag":
            codes = self._flags
            return {"flag_values": list(codes.values()), "flag_meanings": " ".join(codes)}
        return {"units": "1"}

    def dimensions(self, name: str) -> tuple[str, ...]:
        """Dimensions of a variable."""
        return {"time": ("time",), "surface": ("y", "x")}.get(name, ("time", "y", "x"))

    def layout(self) -> CellLayout:
        """The grid and the order of its cells, in which variables are read here."""
        return CellLayout(self._field.grid)

    def read(self, name: str, index: tuple[int | slice, ...] = ()) -> np.ndarray:
        """A part of a variable; OSError or InputError if it cannot be read."""
        if name == "time":
            return self._first_day + np.arange(self._maps.size)[index or ...]
        if name == "surface":
            all_ocean = np.zeros(self._field.grid.shape, np.uint8)
            return (all_ocean if self._surface is None else self._surface)[index or ...]
        days, *cells = index or (WHOLE,)
        return self._read_days(name, days, *(part for part in cells if isinstance(part, slice)))

    def _read_days(
        self, name: str, days: int | slice = WHOLE, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """Read days of a variable; those without a map are missing."""
        maps = self._maps[days]
        if maps.ndim == 0:
            return self._read_map(name, int(maps), rows, columns)
        frames = [self._read_map(name, number, rows, columns) for number in maps.tolist()]
        return np.stack(frames) if frames else self._read_map(name, -1, rows, columns)[np.newaxis][:0]

    def _read_map(self, name: str, number: int, rows: slice, columns: slice) -> np.ndarray:
        field, part = self._field, (number, rows, columns)
        if name == "fill_flag":
            return self._read_flags(*part)
        if name == "days_back_forward":
            return (
                np.zeros(self._shape_of(rows, columns), np.uint8)
                if number < 0
                else (np.nan_to_num(field.read_other(name, *part)).astype(np.uint8))
            )
        if number < 0:
            return np.full(self._shape_of(rows, columns), np.nan, np.float32)
        if name == "sea_ice_conc":
            return field.read(*part)
        assert self._error is not None
        factor, _ = find_conversion(str(field.attributes_of(self._error).get("units", "1")), "1")
        return (field.read_other(self._error, *part) * factor).astype(np.float32)

    def _read_flags(self, number: int, rows: slice, columns: slice) -> np.ndarray:
        codes = self._flags
        if number >= 0 and self._flag is not None:
            stored = self._field.read_other(self._flag, number, rows, columns)
            flags = np.where(stored == stored, stored, codes["not_filled"])
            return (flags.astype(np.int64) % 256).astype(np.uint8)
        flags = np.full(self._shape_of(rows, columns), codes["not_filled"], np.uint8)
        if number >= 0:
            flags[~np.isnan(self._field.read(number, rows, columns))] = codes["observed"]
        if self._surface is not None:
            flags[~is_ocean(self._surface[rows, columns])] = codes["land"]
        return flags

    def _shape_of(self, rows: slice, columns: slice) -> tuple[int, int]:
        ranges = zip((rows, columns), self._field.grid.shape, strict=True)
        height, width = (len(range(*part.indices(size))) for part, size in ranges)
        return height, width

    def texts(self, name: str) -> list[str]:
        """A text variable, which no field has."""
        raise KeyError(f"{self._field.path} has no {name}")

    def close(self) -> None:
        """Close the file."""
        self._field.close()


def _number_days(field: FieldStack) -> tuple[int, np.ndarray]:
    """Number the maps of a stack by day.

    Returns
    -------
    first : int
        The first day, counted from 1970-01-01.
    maps : ndarray of int64, shape (days,)
        The map of every day of the regular axis; -1 for a day without one.
    """
    if field.periods is None:
        raise InputError(f"expected {field.variable} with a time, found maps without days")
    days = field.periods[:, 0]
    steps = np.diff(days)
    if days.size and (steps <= 0).any():
        number = int(np.argmax(steps <= 0))
        repeated, before = (from_day_number(int(days[i])) for i in (number + 1, number))
        raise InputError(
            f"expected days in order, once each, found {repeated} after {before}; sort the file by time "
            "and drop what is there twice"
        )
    if (field.periods[:, 1] > days).any():
        raise InputError(
            f"expected daily maps of {field.variable}, found one of "
            f"{int((field.periods[:, 1] - days).max()) + 1} days; CubeDataset reads maps of longer steps"
        )
    maps = np.full(int(days[-1] - days[0]) + 1, -1)
    maps[days - days[0]] = np.arange(days.size)
    return int(days[0]), maps
