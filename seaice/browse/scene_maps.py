"""A map of a SAR scene on the page, on the scene's own lines and samples."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from seaice.browse.layers import Layer
from seaice.browse.map_file import WHOLE
from seaice.drawing import palette
from seaice.drawing.palette import Swatch
from seaice.flags import read_flag_values
from seaice.grids import Grid
from seaice.open_file import is_netcdf, open_netcdf

_AXES = ("line", "sample")
_POSITIONS = ("lat", "lon")
_CLASSES = {
    "water": Swatch("water", palette.ICE[2]),
    "ice": Swatch("ice", palette.ICE[-1]),
    "land": palette.LAND_SWATCH,
    "missing": palette.make_no_value_swatch("missing"),
}
_DIGITS = 4


class SceneMaps:
    """Layers of the map of a scene (see :class:`seaice.browse.map_file.MapFile`).

    Parameters
    ----------
    path : Path
        Map of ``segmentation.py predict``.
    """

    first_row = "top"
    missing = palette.make_no_value_swatch("no value")
    grid: Grid | None = None

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._dataset = open_netcdf(self.path)
        dataset = self._dataset
        self.attributes: Mapping[str, Any] = {k: dataset.getncattr(k) for k in dataset.ncattrs()}
        self.shape = (len(dataset.dimensions["line"]), len(dataset.dimensions["sample"]))
        self.bounds = (0, self.shape[0], 0, self.shape[1])
        start = datetime.fromtimestamp(float(dataset["time"][...]), UTC)
        self.dates: list[date] = [start.date()]
        self.steps = [f"{start:%Y-%m-%d %H:%M} UTC"]
        self.notes = [""]
        names = [
            name
            for name, variable in dataset.variables.items()
            if variable.dimensions == _AXES and name not in _POSITIONS
        ]
        self.layers = [self._make_layer(name) for name in names]
        self.series: tuple[str, ...] = ()

    def _make_layer(self, name: str) -> Layer:
        variable = self._dataset[name]
        attributes = {k: variable.getncattr(k) for k in variable.ncattrs()}
        label = str(attributes.get("long_name", name.replace("_", " ")))
        if "flag_meanings" in attributes:
            spare = cycle(palette.SPARE)
            classes = {
                code: _CLASSES.get(word) or Swatch(word.replace("_", " "), next(spare))
                for word, code in read_flag_values(attributes).items()
            }
            return Layer(name=name, label=label, store="uint8", classes=classes)
        is_probability = "probability" in name
        return Layer(
            name=name,
            label=label,
            store="float32",
            digits=_DIGITS,
            colours=palette.HOURS if is_probability else palette.ICE,
        )

    def read(self, layer: Layer, step: int, rows: slice = WHOLE, columns: slice = WHOLE) -> np.ndarray:
        """See :class:`seaice.browse.map_file.MapFile`."""
        stored = np.ma.asarray(self._dataset[layer.name][rows, columns])
        if layer.classes:
            return layer.pack(np.ma.filled(stored, 255))
        return layer.pack(np.ma.filled(stored.astype(np.float32), np.nan))

    def locate(self, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`seaice.browse.map_file.MapFile`."""
        latitude, longitude = (self._dataset[name] for name in _POSITIONS)
        lat, lon = (
            np.stack([np.ma.filled(variable[row, :], np.nan)[columns] for row in rows.tolist()])
            for variable in (latitude, longitude)
        )
        return lat, lon

    def close(self) -> None:
        """See :class:`seaice.browse.map_file.MapFile`."""
        if self._dataset.isopen():
            self._dataset.close()


def is_scene_map(path: Path) -> bool:
    """Whether a file is a map on lines and samples of a scene."""
    if not is_netcdf(path):
        return False
    with open_netcdf(path) as dataset:
        return all(
            name in dataset.variables and dataset[name].dimensions == _AXES for name in _POSITIONS
        )
