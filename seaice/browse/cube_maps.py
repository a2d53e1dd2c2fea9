"""A cube on the page: concentration, how it came about, expected errors, anomalies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from seaice import InputError
from seaice.browse.layers import CONCENTRATION, Layer, Surroundings
from seaice.browse.map_file import locate_cells
from seaice.cube.file import WHOLE, CubeFile
from seaice.drawing import palette
from seaice.flags import DayStatus, FillFlag, Surface
from seaice.ice_index.climate.climatology import LEAST_YEARS
from seaice.pictures.read_concentration import find_outside

if TYPE_CHECKING:
    from seaice.forecast.baselines.climatology import Climatology

_PERCENT = 100.0
_OBSERVED = replace(CONCENTRATION, name="observed", label="sea ice concentration, observed values only")
_ERROR = Layer(
    name="error",
    label="expected error of filled values",
    units="percentage points",
    scale=0.01,
    digits=2,
    colours=palette.SPREAD,
    edges=(0.0, 30.0),
)
_DAYS_BACK = Layer(
    name="days_back",
    label="days back to the observation that a fill in time used",
    units="days",
    colours=palette.COUNT,
    edges=(0.0, 9.0),
)
_DAYS_FORWARD = replace(
    _DAYS_BACK,
    name="days_forward",
    label="days forward to the observation that a fill in time used",
)
_ANOMALY = Layer(
    name="anomaly",
    label="difference from the mean of the years",
    units="percentage points",
    scale=0.01,
    digits=2,
    colours=palette.CHANGE,
    edges=(-60.0, 60.0),
)
# 10 x days back + days forward; 0 where no fill in time was done.
_PACKED_DAYS = "days_back_forward"


class CubeMaps:
    """Maps of a cube or of other daily maps of concentration (see :class:`MapFile`).

    Parameters
    ----------
    path : Path
    climatology_file : Path, optional
        Cube of the years of the climatology.
    """

    first_row = "bottom"
    missing = palette.make_no_value_swatch("no value")

    def __init__(self, path: Path, *, climatology_file: Path | None = None) -> None:
        self.cube = CubeFile(path)
        self.path = Path(path)
        self.attributes = self.cube.attributes
        self.grid = self.cube.grid
        self.shape = self.grid.shape
        self.bounds = (0, self.shape[0], 0, self.shape[1])
        self.dates = self.cube.dates
        self.steps = [str(day) for day in self.dates]
        self.notes = self._describe_days()
        self._climatology_file = climatology_file or self._find_own_years()
        self.layers = self._list_layers()
        self.series = tuple(layer.name for layer in self.layers if not layer.is_static)

    def _find_own_years(self) -> Path | None:
        span = (self.dates[-1] - self.dates[0]).days
        return self.path if span >= 365 * LEAST_YEARS else None

    def _describe_days(self) -> list[str]:
        count = len(self.dates)
        reasons = self.cube.texts("day_reason") if self.cube.has("day_reason") else [""] * count
        codes = self.cube.variable("day_status") if self.cube.has("day_status") else np.zeros(count)
        words = {int(DayStatus.ABSENT): "absent", int(DayStatus.REJECTED): "rejected"}
        notes = []
        for code, reason in zip(codes.tolist(), reasons, strict=True):
            word = words.get(int(code), "suspicious" if reason else "")
            notes.append(f"{word}: {reason}" if word and reason else word)
        return notes

    def _list_layers(self) -> list[Layer]:
        layers = [CONCENTRATION]
        if self.cube.has("fill_flag"):
            layers += [_OBSERVED, self.flags]
        if self.cube.has("sea_ice_conc_error"):
            layers.append(_ERROR)
        if self._climatology_file is not None:
            layers.append(_ANOMALY)
        if self.cube.has(_PACKED_DAYS):
            layers += [_DAYS_BACK, _DAYS_FORWARD]
        if self.cube.has("surface"):
            classes = {int(Surface[name.upper()]): swatch for name, swatch in palette.SURFACE.items()}
            layers.append(
                Layer(name="surface", label="surface", store="uint8", classes=classes, is_static=True)
            )
        return layers

    @cached_property
    def flags(self) -> Layer:
        """How values came about."""
        spare = cycle(palette.SPARE)
        classes = {}
        for flag in FillFlag:
            try:
                code = self.cube.flag_value(flag.meaning)
            except KeyError:  # the file is older than this method
                continue
            label = flag.meaning.replace("_", " ")
            classes[code] = palette.FILL.get(flag.meaning) or palette.Swatch(label, next(spare))
        label = "how values came about"
        return Layer(name="fill_flag", label=label, store="uint8", classes=classes)

    @cached_property
    def _around(self) -> Surroundings:
        is_water = np.isin(self.cube.surface, (Surface.LAKE, Surface.NEVER_ICE))
        outside = find_outside(self.cube)
        is_land = ~self.cube.ocean & ~is_water & ~outside
        return Surroundings(is_land, is_water & ~outside)

    def read(self, layer: Layer, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """See :class:`MapFile`."""
        readers: dict[str, Callable[[int, slice, slice], np.ndarray]] = {
            "concentration": self._read_percent,
            "observed": self._read_observed,
            "error": self.read_error,
            "anomaly": self._read_anomaly,
            "days_back": lambda *part: self._read_days(*part)[0],
            "days_forward": lambda *part: self._read_days(*part)[1],
        }
        if layer.name == "fill_flag":
            return layer.pack(self.cube.flags(step, rows, columns))
        if layer.name == "surface":
            return layer.pack(self.cube.surface[rows, columns])
        return layer.pack(readers[layer.name](step, rows, columns), self._around.cut(rows, columns))

    def _read_percent(self, step: int, rows: slice, columns: slice) -> np.ndarray:
        return self.cube.concentration(step, rows, columns) * np.float32(_PERCENT)

    def _read_observed(self, step: int, rows: slice, columns: slice) -> np.ndarray:
        is_observed = self.cube.flags(step, rows, columns) == self.cube.flag_value("observed")
        return np.where(is_observed, self._read_percent(step, rows, columns), np.float32(np.nan))

    def read_error(self, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """Expected error, percentage points, float32; NaN where the cube does not tell it."""
        error = self.cube.standard_error(step, rows, columns)
        if error is None:
            return np.full(self.cube.surface[rows, columns].shape, np.float32(np.nan))
        return error * np.float32(_PERCENT)

    def _read_days(self, step: int, rows: slice, columns: slice) -> np.ndarray:
        packed = np.nan_to_num(self.cube.variable(_PACKED_DAYS, step, rows, columns)).astype(np.float32)
        days = np.stack(np.divmod(packed, 10))
        return np.where(days > 0, days, np.float32(np.nan))

    def _read_anomaly(self, step: int, rows: slice, columns: slice) -> np.ndarray:
        mean = self._climatology.average(self.dates[step])[rows, columns]
        return self._read_percent(step, rows, columns) - mean * np.float32(_PERCENT)

    @cached_property
    def _climatology(self) -> Climatology:
        """The climatology that forecasts are judged against, of all years of its file."""
        from seaice.dates import DateRange
        from seaice.forecast.baselines.baseline import Training
        from seaice.forecast.baselines.climatology import Climatology
        from seaice.forecast.record import SeaIceRecord

        assert self._climatology_file is not None
        record = SeaIceRecord(self._climatology_file)
        if not record.grid.same_cells(self.grid):
            record.close()
            raise InputError(
                f"{self._climatology_file} lies on another grid than {self.path}: "
                f"{record.grid.describe_place()}, expected {self.grid.describe_place()}"
            )
        return Climatology(Training(record, DateRange(record.days[0], record.days[-1]), (1,)))

    def locate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`MapFile`."""
        return locate_cells(self.grid, rows, columns)

    def close(self) -> None:
        """See :class:`MapFile`."""
        self.cube.close()
