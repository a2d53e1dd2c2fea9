"""Reading a consolidated cube: concentration, flags, surface, days and grid."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any, Self

import numpy as np

from seaice import InputError, masks
from seaice.atomic import aside
from seaice.cube_storage import DAMAGE, open_container
from seaice.grids import Grid
from seaice.period import as_date, from_day_number

WHOLE = slice(None)


class CubeFile:
    """A cube made by ``consolidate_data.py``, open for reading.

    Not for sharing between processes or threads: open one in each.

    Parameters
    ----------
    path : Path
        NetCDF file, or folder that is a Zarr group.

    Raises
    ------
    InputError
        If it is missing, unreadable or no cube.

    Attributes
    ----------
    path : Path
    dates : list of date
        Every day of the regular axis.
    grid : Grid
    surface : ndarray of uint8, shape (rows, columns)
        Codes of :class:`seaice.masks.Surface`.
    attributes : dict
        Global attributes.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise InputError(f"no such cube: {self.path}{_left_aside(self.path)}")
        self._container = open_container(self.path)
        try:
            self._read_axes()
        except BaseException:
            self._container.close()
            raise

    def _read_axes(self) -> None:
        needed = ("time", "sea_ice_conc", "fill_flag", "surface", "x", "y")
        missing = [n for n in needed if not self._container.has(n)]
        if missing:
            raise InputError(
                f"{self.path} is no cube of consolidate_data.py: it lacks {', '.join(missing)}"
            )
        try:
            self.dates: list[date] = [from_day_number(n) for n in self._container.read("time")]
            self.grid: Grid = self._container.grid()
            self.surface: np.ndarray = self._container.read("surface")
        except DAMAGE as error:
            raise InputError(
                f"{self.path} is damaged: its axes or surface cannot be read ({error}); make the "
                "cube again with consolidate_data.py --force"
            ) from None
        self.attributes: dict[str, Any] = self._container.attributes
        packed = self._container.attributes_of("sea_ice_conc")
        self._scale = np.float32(packed["scale_factor"])
        self._fill = np.int16(packed["_FillValue"])
        self._number = {day: i for i, day in enumerate(self.dates)}

    @property
    def ocean(self) -> np.ndarray:
        """True where the surface is anything but land, bool (rows, columns)."""
        return self.surface != masks.Surface.LAND

    @property
    def parameters(self) -> dict[str, Any]:
        """What the cube was made with; InputError if the file does not tell."""
        try:
            return dict(json.loads(self.attributes["parameters"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self.path} does not tell the parameters it was made with") from None

    def has(self, name: str) -> bool:
        """Whether the file holds a variable."""
        return self._container.has(name)

    def index(self, day: Any) -> int:
        """Position of a day on the axis; InputError if the cube does not reach it."""
        wanted = as_date(day)
        if wanted not in self._number:
            raise InputError(
                f"{self.path} has no {wanted}: it reaches from {self.dates[0]} to {self.dates[-1]}"
            )
        return self._number[wanted]

    def concentration(
        self, days: int | slice, rows: slice = WHOLE, columns: slice = WHOLE
    ) -> np.ndarray:
        """Concentration as a fraction 0..1, float32; NaN over land and where nothing may be said.

        Parameters
        ----------
        days : int or slice
            Positions on the time axis.
        rows, columns : slice
            Part of the grid; only that part is read.
        """
        packed = self._read("sea_ice_conc", days, rows, columns)
        values = packed * self._scale
        values[packed == self._fill] = np.nan
        return values

    def flags(self, days: int | slice, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """Codes of ``fill_flag``, uint8; read them with :meth:`flag_value`."""
        return self._read("fill_flag", days, rows, columns)

    def flag_value(self, meaning: str, variable: str = "fill_flag") -> int:
        """The code that means ``meaning`` in this file (see :func:`seaice.masks.value_for_meaning`)."""
        return masks.value_for_meaning(self._container.attributes_of(variable), meaning)

    def variable(self, name: str, days: int | slice = WHOLE) -> np.ndarray:
        """A stored array of any other variable, as stored; for texts see :meth:`texts`."""
        return self._read(name, days)

    def texts(self, name: str) -> list[str]:
        """A per-day text variable (``input_file``, ``input_sha256``, ``day_reason``)."""
        try:
            return self._container.texts(name)
        except DAMAGE as error:
            raise self._damaged(name, WHOLE, error) from None

    def _read(self, name: str, *index: int | slice) -> np.ndarray:
        try:
            return self._container.read(name, index)
        except DAMAGE as error:
            raise self._damaged(name, index[0], error) from None

    def _damaged(self, name: str, days: int | slice, error: Exception) -> InputError:
        return InputError(
            f"{self.path} is damaged: {name} cannot be read at {self._named_days(days)} "
            f"({error}); make the cube again with consolidate_data.py --force"
        )

    def _named_days(self, days: int | slice) -> str:
        chosen = self.dates[days] if isinstance(days, slice) else [self.dates[days]]
        return f"{chosen[0]} to {chosen[-1]}" if len(chosen) > 1 else str(chosen[0])

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _left_aside(path: Path) -> str:
    """What to do about a cube that is not there."""
    left = aside(path.resolve())
    if left.is_dir():
        return f", but {left}, which a killed run moved aside; run consolidate_data.py again"
    return "; make it with consolidate_data.py"
