"""Scenes of the AI4Arctic sea ice challenge dataset (ready-to-train version).

A scene is one Sentinel-1 EW image with pixels of 80 m, an ice chart, and AMSR2 and ERA5 values on a
grid of 2 km. The dataset stores most variables scaled to mean 0 and standard deviation 1 (see
:data:`~seaice.sources.ai4arctic.tables.SCALING`). They are read as stored; :func:`unscale` gives
physical units.

References
----------
Buus-Hinkler et al. 2022, Ready-To-Train AI4Arctic Sea Ice Challenge Dataset, doi:10.11583/DTU.21316608.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from seaice import InputError, cf
from seaice.sources.ai4arctic.file import (
    read_contents,
    read_variable,
)
from seaice.sources.ai4arctic.geolocation import (
    Geolocation,
    orient_lines_first,
)
from seaice.sources.ai4arctic.names import (
    SceneName,
    Service,
    group_same_scenes,
    list_scenes,
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
    "group_same_scenes",
    "list_scenes",
    "open_scene",
    "unscale",
]


def unscale(name: str, stored: np.ndarray) -> np.ndarray:
    """Convert stored values of a variable to the units of the table ``SCALING``.

    Parameters
    ----------
    name : str
        Name of the variable, such as ``nersc_sar_primary``.
    stored : ndarray

    Returns
    -------
    ndarray, same shape
        ``stored * standard deviation + mean``; NaN stays NaN.

    Examples
    --------
    >>> unscale("nersc_sar_primary", np.float64([0, 1])).round(2).tolist()
    [-14.51, -8.85]
    """
    mean, deviation = SCALING[name]
    values: np.ndarray = stored * deviation + mean
    return values


def open_scene(path: Path, *, reference: Path | None = None) -> Scene:
    """Open a scene; each variable is read when it is first asked for, and kept.

    Parameters
    ----------
    path : Path
        ``*_prep.nc``.
    reference : Path, optional
        File with the charts of a test scene; by default ``*_prep_reference.nc`` in the same
        folder, if it exists.

    Raises
    ------
    InputError
        If the file cannot be read, or does not have two SAR channels of one shape.
    """
    return Scene(Path(path), reference)


class Scene:
    """One scene. Its arrays are kept in memory as long as the scene, and cannot be written to.

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
        Global attributes of the file.
    """

    def __init__(self, path: Path, reference: Path | None = None) -> None:
        self.path = path
        beside = path.with_name(f"{path.stem}_reference.nc")
        self.reference = reference or (beside if beside.is_file() else None)
        self.name = path.stem
        self._shapes, self._axes, self.attributes = read_contents(path)
        self._arrays: dict[str, np.ndarray] = {}
        shapes = [self._get_shape(name) for name in SAR_CHANNELS]
        if shapes[0] != shapes[1] or len(shapes[0]) != 2 or min(shapes[0]) < 2:
            raise InputError(
                f"expected two SAR channels of one shape (lines, samples), found {shapes[0]} and "
                f"{shapes[1]}: {path}; fetch it again"
            )
        self.shape: tuple[int, int] = (shapes[0][0], shapes[0][1])

    @property
    def service(self) -> Service:
        """Ice service that drew the chart, from the attribute of the file, else from its name."""
        name = SceneName.parse(self.name)
        service = str(self.attributes.get("ice_service", name.service if name else ""))
        if service not in ("dmi", "cis"):
            raise InputError(f"expected the ice service dmi or cis, found {service!r}: {self.path}")
        return "dmi" if service == "dmi" else "cis"

    @property
    def original(self) -> str:
        """Raw name, which states satellite, orbit and region; empty if the file does not hold it."""
        return str(self.attributes.get("original_id", ""))

    @property
    def start(self) -> datetime:
        """Start of the SAR image, UTC, from the name.

        Raises
        ------
        InputError
            If the name is not that of a scene.
        """
        name = SceneName.parse(self.name)
        if name is None:
            raise InputError(
                "expected a scene named YYYYMMDDThhmmss_dmi_prep.nc or ..._cis_prep.nc, found "
                f"{self.path}"
            )
        return name.start

    @property
    def noise(self) -> str:
        """What was done about thermal noise: ``nersc``, ``simulated``, or what the file states."""
        if "noise" in self.attributes:
            return str(self.attributes["noise"])
        return "simulated" if "simulated" in str(self.attributes.get("comment", "")) else "nersc"

    @property
    def is_of_image(self) -> bool:
        """Whether ``label`` made the file of an image, which holds SAR and charts alone."""
        return self.attributes.get(cf.KIND_ATTRIBUTE) == cf.KINDS["label"]

    @property
    def has_own_chart(self) -> bool:
        """Whether the file of the scene itself holds a chart of concentration."""
        return "SIC" in self._shapes

    def has_variable(self, name: str) -> bool:
        """Whether the file of the scene holds a variable; its charts may lie in the reference."""
        return name in self._shapes

    def read_sar(self) -> np.ndarray:
        """Read the SAR channels HH and HV as stored.

        Returns
        -------
        ndarray of float32, shape (2, lines, samples)
            Exactly 0 in both channels where there is no SAR.

        Raises
        ------
        InputError
            If a value is not finite.
        """
        return self._read_once("sar", self._read_sar_channels)

    def read_incidence(self) -> np.ndarray:
        """Read the incidence angle as stored, float32 (lines, samples); NaN where missing."""
        return self._read_once("sar_incidenceangle", lambda: self._read_full("sar_incidenceangle"))

    def read_distance(self) -> np.ndarray:
        """Read the zone of distance to land as stored, float32 (lines, samples); NaN where missing."""
        return self._read_once("distance_map", lambda: self._read_full("distance_map"))

    def read_sic(self) -> np.ndarray | None:
        """Read the classes of ice concentration.

        Returns
        -------
        ndarray of uint8, shape (lines, samples), or None
            Class k is a concentration of 10 k percent; 255 where there are no data. None if
            neither the scene nor its reference holds a chart.
        """
        return self.read_chart("SIC")

    def read_chart(self, name: str) -> np.ndarray | None:
        """Read a chart.

        Parameters
        ----------
        name : {"SIC", "SOD", "FLOE"}
            Ice concentration, stage of development or floe size.

        Returns
        -------
        ndarray of uint8, shape (lines, samples), or None
            Classes of the tables; 255 where there are no data. None if neither the scene nor its
            reference holds the chart.

        Raises
        ------
        InputError
            If the chart has a class that is not in the table, or another shape than the SAR.
        """
        if name in self._shapes:
            return self._read_once(name, lambda: self._read_classes(name, self.path))
        reference = self.reference
        if reference is None:
            return None
        return self._read_once(name, lambda: self._read_classes(name, reference))

    def read_amsr2(self) -> np.ndarray:
        """Read the brightness temperatures as stored.

        Returns
        -------
        ndarray of float32, shape (14, lines, samples) of the 2 km grid
            In the order of ``AMSR2_CHANNELS``; NaN where missing.
        """
        return self._read_once("amsr2", lambda: self._read_coarse(AMSR2_CHANNELS))

    def read_era5(self) -> np.ndarray:
        """Read the ERA5 fields as stored.

        Returns
        -------
        ndarray of float32, shape (6, lines, samples) of the 2 km grid
            In the order of ``ERA5_FIELDS``; NaN where missing.
        """
        return self._read_once("era5", lambda: self._read_coarse(ERA5_FIELDS))

    def find_valid(self) -> np.ndarray:
        """Find the pixels that have SAR and, if there is a chart, a class; bool (lines, samples)."""
        return self._read_once("valid", self._compute_valid)

    def read_positions(self) -> Geolocation:
        """Read latitude and longitude of the geolocation points.

        Raises
        ------
        InputError
            If there are fewer than 2 x 2 points, or a latitude or longitude is impossible.
        """
        return self._geolocation

    @cached_property
    def _geolocation(self) -> Geolocation:
        names = ("sar_grid2d_latitude", "sar_grid2d_longitude")
        shapes = [self._get_shape(name) for name in names]
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
        latitude, longitude = orient_lines_first(latitude, longitude, self.shape, self.spacing)
        # The points of a Sentinel-1 product lie evenly from the first to the last pixel.
        lines = np.linspace(0, self.shape[0] - 1, latitude.shape[0])
        samples = np.linspace(0, self.shape[1] - 1, latitude.shape[1])
        return Geolocation(lines, samples, latitude, longitude, self.shape)

    @property
    def spacing(self) -> float:
        """Distance between pixels in metres."""
        spacing = self.attributes.get("pixel_spacing", PIXEL_METRES)
        if not isinstance(spacing, int | float) or not 0 < spacing < np.inf:
            raise InputError(f"expected pixel_spacing in metres, found {spacing!r}: {self.path}")
        return float(spacing)

    def _read_once(self, key: str, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Get a kept array, or read it, make it read-only and keep it."""
        if key not in self._arrays:
            array = read()
            array.setflags(write=False)
            self._arrays[key] = array
        return self._arrays[key]

    def _get_shape(self, name: str) -> tuple[int, ...]:
        if name not in self._shapes:
            raise InputError(f"expected a variable {name}, found none: {self.path}; fetch it again")
        return self._shapes[name]

    def _read_sar_channels(self) -> np.ndarray:
        sar = np.empty((2, *self.shape), np.float32)
        for channel, name in zip(sar, SAR_CHANNELS, strict=True):
            channel[:] = read_variable(self.path, name, self.shape, np.float32, self._axes)
            count = int(np.count_nonzero(~np.isfinite(channel)))
            if count:
                raise InputError(
                    f"expected finite {name} (0 for no SAR), found {count} values that are not: "
                    f"{self.path}; use the ready-to-train version"
                )
        return sar

    def _read_full(self, name: str) -> np.ndarray:
        """Read a variable of the SAR grid."""
        self._get_shape(name)
        return read_variable(self.path, name, self.shape, np.float32, self._axes)

    def _read_coarse(self, names: tuple[str, ...]) -> np.ndarray:
        """Read variables of the 2 km grid, one after the other along a first axis."""
        shape = self._get_shape(names[0])
        misfits = [
            abs(pixels - cells * COARSE) for pixels, cells in zip(self.shape, shape, strict=False)
        ]
        if len(shape) != 2 or max(misfits) > 2 * COARSE or not min(shape):
            raise InputError(
                f"expected a 2 km grid of about {self.shape[0] // COARSE} x "
                f"{self.shape[1] // COARSE} cells, found {shape} of {names[0]}: {self.path}; "
                "fetch it again"
            )
        for name in names:
            self._get_shape(name)
        return np.stack([read_variable(self.path, name, shape, np.float32) for name in names])

    def _read_classes(self, name: str, path: Path) -> np.ndarray:
        """Read a chart from a file and check its classes."""
        chart = read_variable(path, name, self.shape, None, self._axes)
        beyond = (chart < 0) | (chart >= CLASS_COUNTS[name]) & (chart != NO_CLASS)
        if beyond.any():
            raise InputError(
                f"expected classes 0 to {CLASS_COUNTS[name] - 1} or 255 in {name}, found "
                f"{int(chart[beyond][0])}: {path}; use the ready-to-train version"
            )
        return chart.astype(np.uint8, copy=False)

    def _compute_valid(self) -> np.ndarray:
        sar, sic = self.read_sar(), self.read_sic()
        has_sar: np.ndarray = (sar[0] != 0) | (sar[1] != 0)
        return has_sar if sic is None else has_sar & (sic != NO_CLASS)
