"""Any gridded file on the page: freeboard, brightness temperature, counts, flags, own or foreign."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError
from seaice.browse.layers import Layer, Surroundings
from seaice.browse.map_file import WHOLE, locate_cells
from seaice.dates import from_day_number
from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.fields.open import open_field
from seaice.fields.options import ReadOptions
from seaice.fields.read import can_be_field
from seaice.fields.stack import FieldStack
from seaice.gridding.file import TimeStep
from seaice.grids import Grid
from seaice.open_file import open_netcdf
from seaice.pictures.colour_scale import choose_scale
from seaice.pictures.foreign_field import read_foreign_field
from seaice.pictures.read_field import (
    MapField,
    describe_step,
    find_main_variable,
    is_own_grid,
    list_maps,
    list_time_steps,
    read_field,
)
from seaice.report import listing

# Steps whose values decide the colours of a layer.
_LOOKED_AT = 3
# Maps kept in memory.
_KEPT = 8
# Fields of a file of another program that are offered.
_MOST_FIELDS = 12
# Part of the extent of the values that is shown around them.
_MARGIN = 0.08


class FieldMaps:
    """Maps of the variables of a gridded file (see :class:`seaice.browse.map_file.MapFile`).

    Parameters
    ----------
    path : Path

    Raises
    ------
    InputError
        If the file holds no map that can be drawn.
    """

    first_row = "bottom"
    missing = Swatch("no observation", palette.NO_OBSERVATION)

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        with open_netcdf(self.path) as dataset:
            self.attributes: Mapping[str, Any] = {k: dataset.getncattr(k) for k in dataset.ncattrs()}
            self._is_static, steps = _list_own_maps(dataset, self.path)
        if not self._is_static:
            self._is_static, steps = _list_foreign_maps(self.path)
        self.dates: list[date] = [step.start for step in steps]
        self.steps = [describe_step(step) for step in steps] or ["without time"]
        self.notes = [""] * len(self.steps)
        self._factors: dict[str, float] = {}
        self._field = lru_cache(maxsize=_KEPT)(self._read_field)
        layers = map(self._make_layer, self._is_static)
        self.layers = [layer for layer in layers if layer is not None]
        if not self.layers:
            raise InputError(f"{self.path} holds no map with a value")
        main = self._field(self.layers[0].name, len(self.steps) - 1)
        self.grid: Grid = main.grid
        self.shape = self.grid.shape
        self.bounds = _frame_values(main.has_value)
        self.series = tuple(
            layer.name for layer in self.layers if not layer.is_static and not layer.classes
        )

    def _read_field(self, name: str, step: int) -> MapField:
        day = None if self._is_static[name] else self.dates[step]
        read = read_field if is_own_grid(self.path, name) else read_foreign_field
        return read(self.path, name, day)

    def _make_layer(self, name: str) -> Layer | None:
        """The layer of a variable, with the colours of the pictures; None if it has no value."""
        count = 1 if self._is_static[name] else len(self.steps)
        looked_at = sorted({round(i) for i in np.linspace(0, count - 1, min(count, _LOOKED_AT))})
        fields = [field for step in looked_at if (field := self._field(name, step)).has_value.any()]
        if not fields:
            return None
        field = max(fields, key=lambda field: np.count_nonzero(field.has_value))
        if field.flags is not None:
            return self._make_classes(field)
        scale = choose_scale(field)
        self._factors[name] = scale.factor
        return Layer(
            name=name,
            label=field.long_name,
            units="%" if scale.factor != 1 else field.units,
            store="float32",
            digits=_count_digits(scale.high - scale.low),
            colours=scale.colours,
            edges=scale.edges,
            is_static=self._is_static[name],
        )

    def _make_classes(self, field: MapField) -> Layer:
        spare = cycle(palette.SPARE)
        swatches = palette.SURFACE | palette.FILL
        classes = {
            code: swatches.get(word) or Swatch(word.replace("_", " "), next(spare))
            for code, word in (field.flags or {}).items()
        }
        return Layer(
            name=field.name,
            label=field.long_name,
            store="uint8",
            classes=classes,
            is_static=self._is_static[field.name],
        )

    def read(self, layer: Layer, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """See :class:`seaice.browse.map_file.MapFile`."""
        field = self._field(layer.name, step)
        values = field.values[rows, columns]
        if layer.classes:
            return layer.pack(np.nan_to_num(values, nan=255))
        around = None
        if field.land is not None:
            around = Surroundings(field.land & ~field.has_value, np.zeros(self.shape, bool))
            around = around.cut(rows, columns)
        return layer.pack(values * np.float32(self._factors[layer.name]), around)

    def locate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`seaice.browse.map_file.MapFile`."""
        return locate_cells(self.grid, rows, columns)

    def close(self) -> None:
        """See :class:`seaice.browse.map_file.MapFile`."""
        self._field.cache_clear()


def _list_own_maps(dataset: Any, path: Path) -> tuple[dict[str, bool], list[TimeStep]]:
    """Variables (time, y, x) and (y, x), the main one first, whether they lack a time; and the steps."""
    names = list_maps(dataset)
    main = find_main_variable(dataset, names)
    axes = {dataset[name].dimensions[0] for name in names if dataset[name].ndim == 3}
    if len(axes) > 1:
        raise InputError(f"{path}: expected maps on one time axis, found {listing(sorted(axes))}")
    steps = [step for axis in axes for step in list_time_steps(dataset, path, axis)]
    names.sort(key=lambda name: name != main)
    return {name: dataset[name].ndim == 2 for name in names}, steps


def _list_foreign_maps(path: Path) -> tuple[dict[str, bool], list[TimeStep]]:
    """The fields of a file of another program that lie on the axes of the first, and its steps."""
    with open_field(path) as dataset:
        candidates = [str(name) for name, array in dataset.data_vars.items() if can_be_field(array)]
    # None is the field that stands out, if one does.
    steps: list[TimeStep] | None = None
    is_static: dict[str, bool] = {}
    reason: InputError | None = None
    for name in (None, *candidates[:_MOST_FIELDS]):
        try:
            with FieldStack(path, ReadOptions(variable=name)) as stack:
                periods = [] if stack.periods is None else stack.periods.tolist()
                variable = stack.variable
        except InputError as error:
            reason = reason or error
            continue
        own = [TimeStep(from_day_number(first), from_day_number(last)) for first, last in periods]
        steps = own if steps is None else steps
        if own == steps:
            is_static.setdefault(variable, not own)
    if steps is None:
        raise reason or InputError(f"{path} holds no map that can be drawn")
    return is_static, steps


def _frame_values(has_value: np.ndarray) -> tuple[int, int, int, int]:
    """The rectangle of the cells with a value and some around it: rows and columns; else all."""
    if not has_value.any():
        return 0, has_value.shape[0], 0, has_value.shape[1]
    ends = []
    for axis, count in ((1, has_value.shape[0]), (0, has_value.shape[1])):
        cells = np.flatnonzero(has_value.any(axis=axis))
        margin = 2 + int(_MARGIN * (cells[-1] - cells[0]))
        ends += [max(0, int(cells[0]) - margin), min(count, int(cells[-1]) + 1 + margin)]
    return ends[0], ends[1], ends[2], ends[3]


def _count_digits(span: float) -> int:
    """Decimals by which a thousandth of a range can be told."""
    return int(np.clip(3 - np.floor(np.log10(max(span, 1e-9))), 0, 6))
