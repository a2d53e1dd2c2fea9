"""Steps of a file as the store of series reads them."""

from __future__ import annotations

from typing import Any

import numpy as np

from seaice.browse.cube_maps import CubeMaps
from seaice.browse.layers import Layer
from seaice.browse.map_file import WHOLE, MapFile
from seaice.browse.series import FrameSource, SeriesFrame


class CubeFrames:
    """Days of a cube: concentration, flags and expected errors, whichever layer is shown."""

    is_ice = True

    def __init__(self, maps: CubeMaps) -> None:
        self.maps = maps
        self._cube = maps.cube
        self.layer = maps.layers[0]
        self.ocean = maps.cube.ocean
        self._has_flags, self._has_error = (
            maps.cube.has(name) for name in ("fill_flag", "sea_ice_conc_error")
        )
        self.types: dict[str, np.dtype[Any]] = {"value": np.dtype(np.int16)}
        if self._has_flags:
            self.types["flag"] = np.dtype(np.uint8)
        if self._has_error:
            self.types["error"] = np.dtype(np.int16)

    def read(self, step: int) -> SeriesFrame:
        """See :class:`seaice.browse.series.FrameSource`."""
        values = self._cube.concentration(step) * np.float32(100)
        packed = {"value": self.layer.pack(values)}
        observed = error = None
        if self._has_flags:
            packed["flag"] = self._cube.flags(step)
            observed = packed["flag"] == self._cube.flag_value("observed")
        if self._has_error:
            error = self.maps.read_error(step)
            packed["error"] = self.layer.pack(error)
        return SeriesFrame(values, packed, observed, error)


class FieldFrames:
    """Steps of one layer of any other file."""

    is_ice = False

    def __init__(self, maps: MapFile, layer: Layer) -> None:
        self.maps, self.layer = maps, layer
        self.types: dict[str, np.dtype[Any]] = {"value": np.dtype(layer.store)}
        self.ocean = np.ones(maps.shape, bool)

    def read(self, step: int) -> SeriesFrame:
        """See :class:`seaice.browse.series.FrameSource`."""
        packed = self.maps.read(self.layer, step, WHOLE, WHOLE)
        return SeriesFrame(self.layer.unpack(packed).astype(np.float32), {"value": packed})


def make_frames(maps: MapFile, layer: Layer) -> FrameSource:
    """What the series of a layer are made of."""
    return CubeFrames(maps) if isinstance(maps, CubeMaps) else FieldFrames(maps, layer)
