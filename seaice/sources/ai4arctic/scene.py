"""Scenes of the AI4Arctic sea ice challenge dataset (ready-to-train): names, tables, reading.

A scene is one Sentinel-1 EW image at 80 m with an ice chart, AMSR2 and ERA5 on a 2 km grid.
Variables are standard-scaled (see :data:`SCALING`) and stay so: ``value = stored * std + mean``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np

from seaice import InputError
from seaice.sources.ai4arctic.file import (
    contents,
    read_variable,
)
from seaice.sources.ai4arctic.geolocation import (
    Geolocation,
    lines_first,
)
from seaice.sources.ai4arctic.names import (
    SceneName,
    Service,
    list_scenes,
    same_scene_groups,
)
from seaice.sources.ai4arctic.tables import (
    AMSR2_CHANNELS,
    CLASS_COUNTS,
    COARSE,
    ERA5_FIELDS,
    FLOE_NAMES,
    NO_CLASS,
    PIXEL_METRES,
    SAR_CHANNELS,
    SCALING,
    SIC_PERCENT,
    SOD_NAMES,
    TEST_SCENES,
)

__all__ = [
    "AMSR2_CHANNELS",
    "CLASS_COUNTS",
    "COARSE",
    "ERA5_FIELDS",
    "FLOE_NAMES",
    "NO_CLASS",
    "PIXEL_METRES",
    "SAR_CHANNELS",
    "SCALING",
    "SIC_PERCENT",
    "SOD_NAMES",
    "TEST_SCENES",
    "Geolocation",
    "Scene",
    "SceneName",
    "list_scenes",
    "open_scene",
    "same_scene_groups",
    "unscaled",
]


def unscaled(name: str, stored: np.ndarray) -> np.ndarray:
    """Values in the units of :data:`SCALING` from stored ones.

    Examples
    --------
    >>> unscaled("nersc_sar_primary", np.float64([0, 1])).round(2).tolist()
    [-14.51, -8.85]
    """
    mean, deviation = SCALING[name]
    found: np.ndarray = stored * deviation + mean
    return found


def open_scene(path: Path, *, reference: Path | None = None) -> Scene:
    """Look at a scene; its variables are read when they are asked for, each once.

    Parameters
    ----------
    path : Path
        ``*_prep.nc``.
    reference : Path, optional
        Charts of a test scene; by default ``*_prep_reference.nc`` beside it, if there.

    Raises
    ------
    InputError
        If the file cannot be read, or has no SAR of two equal shapes.
    """
    return Scene(Path(path), reference)


class Scene:
    """One scene. Arrays are shared and must not be written to; let go of the scene to free them.

    Attributes
    ----------
    path : Path
    reference : Path or None
        File of the charts, if it is another one.
    name : str
        File name without ``.nc``.
    shape : (int, int)
        Lines and samples of the SAR grid.
    attributes : dict
        Global, of the file.
    """

    def __init__(self, path: Path, reference: Path | None = None) -> None:
        self.path = path
        beside = path.with_name(f"{path.stem}_reference.nc")
        self.reference = reference or (beside if beside.is_file() else None)
        self.name = path.stem
        self._shapes, self._axes, self.attributes = contents(path)
        self._kept: dict[str, np.ndarray] = {}
        shapes = [self._shape_of(name) for name in SAR_CHANNELS]
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or min(shapes[0]) < 2:
            raise InputError(
                f"expected two SAR channels of one shape (lines, samples), found {shapes[0]} and "
                f"{shapes[1]}: {path}; fetch it again"
            )
        self.shape: tuple[int, int] = (shapes[0][0], shapes[0][1])

    @property
    def service(self) -> Service:
        """Whose ice chart it is: by the file's attribute, else by its name."""
        named = SceneName.parse(self.name)
        found = str(self.attributes.get("ice_service", named.service if named else ""))
        if found not in ("dmi", "cis"):
            raise InputError(f"expected the ice service dmi or cis, found {found!r}: {self.path}")
        return "dmi" if found == "dmi" else "cis"

    @property
    def original(self) -> str:
        """Raw name, which tells satellite, orbit and region; empty if the file does not say it."""
        return str(self.attributes.get("original_id", ""))

    def sar(self) -> np.ndarray:
        """HH and HV as stored, float32 (2, lines, samples); exactly 0 in both: no SAR.

        Raises
        ------
        InputError
            If a value is not finite.
        """
        return self._once("sar", self._read_sar)

    def incidence(self) -> np.ndarray:
        """Incidence angle as stored, float32 (lines, samples); NaN: not known."""
        return self._once("sar_incidenceangle", lambda: self._full("sar_incidenceangle"))

    def distance(self) -> np.ndarray:
        """Zone of distance to land as stored, float32 (lines, samples); NaN: not known."""
        return self._once("distance_map", lambda: self._full("distance_map"))

    def sic(self) -> np.ndarray | None:
        """Class of ice concentration, uint8 (lines, samples), 255: no data; None without labels."""
        return self.chart("SIC")

    def chart(self, name: str) -> np.ndarray | None:
        """A chart out of SIC, SOD and FLOE, uint8 (lines, samples); None without labels.

        Raises
        ------
        InputError
            If it has a class that is not in the table, or another shape than the SAR.
        """
        if name in self._shapes:
            return self._once(name, lambda: self._read_chart(name, self.path))
        reference = self.reference
        if reference is None:
            return None
        return self._once(name, lambda: self._read_chart(name, reference))

    def amsr2(self) -> np.ndarray:
        """Brightness temperatures as stored, float32 (14, lines, samples) of 2 km; NaN: missing."""
        return self._once("amsr2", lambda: self._coarse(AMSR2_CHANNELS))

    def era5(self) -> np.ndarray:
        """The fields of :data:`ERA5_FIELDS` as stored, float32 (6, lines, samples); NaN: missing."""
        return self._once("era5", lambda: self._coarse(ERA5_FIELDS))

    def valid(self) -> np.ndarray:
        """Pixels with SAR and, where there is a chart, with a class; bool (lines, samples)."""
        return self._once("valid", self._find_valid)

    def positions(self) -> Geolocation:
        """Latitude and longitude of the geolocation points, with their lines and samples.

        Raises
        ------
        InputError
            If there are none, fewer than 2 x 2, or one is no place on Earth.
        """
        return self._geolocation

    @cached_property
    def _geolocation(self) -> Geolocation:
        names = ("sar_grid2d_latitude", "sar_grid2d_longitude")
        shapes = [self._shape_of(name) for name in names]
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or min(shapes[0]) < 2:
            raise InputError(
                f"expected at least 2 x 2 geolocation points, found {shapes[0]} latitudes and "
                f"{shapes[1]} longitudes: {self.path}; fetch it again"
            )
        latitude, longitude = (read_variable(self.path, name, shapes[0], np.float64) for name in names)
        if not ((np.abs(latitude) <= 90).all() and (np.abs(longitude) <= 360).all()):
            raise InputError(
                f"expected geolocation points on Earth, found latitude {latitude.min()} to "
                f"{latitude.max()}, longitude {longitude.min()} to {longitude.max()}: {self.path}; "
                "fetch it again"
            )
        latitude, longitude = lines_first(latitude, longitude, self.shape, self.spacing)
        # The points of a Sentinel-1 product lie evenly from the first to the last pixel.
        lines = np.linspace(0, self.shape[0] - 1, latitude.shape[0])
        samples = np.linspace(0, self.shape[1] - 1, latitude.shape[1])
        return Geolocation(lines, samples, latitude, longitude, self.shape)

    @property
    def spacing(self) -> float:
        """Metres between pixels."""
        found = self.attributes.get("pixel_spacing", PIXEL_METRES)
        if not isinstance(found, int | float) or not 0 < found < np.inf:
            raise InputError(f"expected pixel_spacing in metres, found {found!r}: {self.path}")
        return float(found)

    def _once(self, key: str, read: Callable[[], np.ndarray]) -> np.ndarray:
        if key not in self._kept:
            made = read()
            made.setflags(write=False)
            self._kept[key] = made
        return self._kept[key]

    def _shape_of(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise InputError(f"expected a variable {name}, found none: {self.path}; fetch it again")
        return self._shapes[name]

    def _read_sar(self) -> np.ndarray:
        made = np.empty((2, *self.shape), np.float32)
        for channel, name in zip(made, SAR_CHANNELS, strict=True):
            channel[:] = read_variable(self.path, name, self.shape, np.float32, self._axes)
            bad = int(np.count_nonzero(~np.isfinite(channel)))
            if bad:
                raise InputError(
                    f"expected finite {name} (0 for no SAR), found {bad} values that are not: "
                    f"{self.path}; use the ready-to-train version"
                )
        return made

    def _full(self, name: str) -> np.ndarray:
        self._shape_of(name)
        return read_variable(self.path, name, self.shape, np.float32, self._axes)

    def _coarse(self, names: tuple[str, ...]) -> np.ndarray:
        shape = self._shape_of(names[0])
        apart = [abs(n - k * COARSE) for n, k in zip(self.shape, shape, strict=False)]
        if len(shape) != 2 or max(apart) > 2 * COARSE or not min(shape):
            raise InputError(
                f"expected a 2 km grid of about {self.shape[0] // COARSE} x "
                f"{self.shape[1] // COARSE} cells, found {shape} of {names[0]}: {self.path}; "
                "fetch it again"
            )
        for name in names:
            self._shape_of(name)
        return np.stack([read_variable(self.path, name, shape, np.float32) for name in names])

    def _read_chart(self, name: str, path: Path) -> np.ndarray:
        chart = read_variable(path, name, self.shape, None, self._axes)
        beyond = (chart < 0) | (chart >= CLASS_COUNTS[name]) & (chart != NO_CLASS)
        if beyond.any():
            raise InputError(
                f"expected classes 0 to {CLASS_COUNTS[name] - 1} or 255 in {name}, found "
                f"{int(chart[beyond][0])}: {path}; use the ready-to-train version"
            )
        return chart.astype(np.uint8, copy=False)

    def _find_valid(self) -> np.ndarray:
        sar, sic = self.sar(), self.sic()
        found: np.ndarray = (sar[0] != 0) | (sar[1] != 0)
        return found if sic is None else found & (sic != NO_CLASS)
