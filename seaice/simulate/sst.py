"""Simulated sea surface temperature in the layout of the ODYSSEA L3S and L4 products.

L3S holds the observations between clouds, with quality levels; L4 is a smooth analysis without gaps,
with small errors everywhere. Both have the packing, flags and names of GHRSST (GDS 2.1), in the file
form of the Copernicus Zarr stores: one stack (time, latitude, longitude).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from seaice.dates import day_number
from seaice.drawing.gshhg import find_land
from seaice.grids.sphere import compute_unit_vectors
from seaice.runtime import atomic_write

SCALE, OFFSET, FILL = 0.01, 273.15, -32768
_WAVES = 240
_METRES_OF_A_DEGREE = 111_120.0
_SEA_BIT, _LAND_BIT, _LAKE_BIT, _ICE_BIT = 1, 2, 4, 8


@dataclass(frozen=True)
class SimulatedSst:
    """The L3S and the L4 file, and the truth behind them.

    Attributes
    ----------
    l3s, l4 : Path
    truth : ndarray of float64, shape (time, latitude, longitude)
        Kelvin; NaN over land.
    """

    l3s: Path
    l4: Path
    truth: np.ndarray


def write_sst(
    folder: Path, days: Sequence[date], *, step: float = 2.0, cloud_share: float = 0.45, seed: int = 0
) -> SimulatedSst:
    """Write ``l3s.nc`` and ``l4.nc`` for some days on a global grid.

    Parameters
    ----------
    folder : Path
    days : sequence of date
    step : float
        Cell size of the grid, degrees.
    cloud_share : float
        Share of the sea under clouds, 0..1.
    seed : int

    Examples
    --------
    >>> sst = write_sst(folder, [date(2024, 6, 1)], step=10.0)  # doctest: +SKIP
    >>> sst.truth.shape  # doctest: +SKIP
    (1, 18, 36)
    """
    latitude = np.arange(-90 + step / 2, 90, step)
    longitude = np.arange(-180 + step / 2, 180, step)
    east, north = np.meshgrid(longitude, latitude)
    land = find_land(north, east, step=step * _METRES_OF_A_DEGREE)
    rng = np.random.default_rng(seed)
    waves, clouds, errors = (_Waves.draw(rng, slope) for slope in (1.6, 1.2, 1.0))
    truth = np.stack(
        [_compute_mean(north) + 2.0 * waves.evaluate(north, east, t) for t in range(len(days))]
    )
    truth = np.maximum(truth, 271.35)
    observed, analysed = truth.copy(), truth.copy()
    quality = np.empty(truth.shape, np.int8)
    for t in range(len(days)):
        cover = clouds.evaluate(north, east, 4.0 * t)
        edge = np.quantile(cover[~land], cloud_share)
        quality[t] = np.where(cover < edge, 0, np.where(cover < edge + 0.15, 3, 5))
        observed[t] += rng.normal(0, 0.1, land.shape) - np.where(quality[t] == 3, 1.5, 0.0)
        analysed[t] += 0.3 * errors.evaluate(north, east, t)
    truth[:, land] = np.nan
    ice = ~land & (truth <= 271.35)
    quality[ice | np.isnan(truth)] = 0
    axes = (days, latitude, longitude)
    l3s, l4 = Path(folder) / "l3s.nc", Path(folder) / "l4.nc"
    _write_file(l3s, axes, _make_l3s(observed, quality))
    _write_file(l4, axes, _make_l4(analysed, land, ice))
    return SimulatedSst(l3s, l4, truth)


@dataclass(frozen=True)
class _Waves:
    """A red random field on the sphere that drifts with time: a sum of plane waves through it."""

    directions: np.ndarray
    numbers: np.ndarray
    phases: np.ndarray
    amplitudes: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, slope: float) -> _Waves:
        directions = rng.normal(size=(_WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        numbers = np.exp(rng.uniform(np.log(2), np.log(40), _WAVES))
        amplitudes = numbers ** (0.5 - slope)
        amplitudes /= np.sqrt((amplitudes**2).sum() / 2)
        return cls(directions, numbers, rng.uniform(0, 2 * np.pi, _WAVES), amplitudes)

    def evaluate(self, latitude: np.ndarray, longitude: np.ndarray, time: float) -> np.ndarray:
        """Values of unit variance at degrees north and east, ``time`` in days."""
        vectors = compute_unit_vectors(latitude, longitude, axis=-1)
        total = np.zeros(latitude.shape)
        for u, k, p, a in zip(self.directions, self.numbers, self.phases, self.amplitudes, strict=True):
            total += a * np.cos(k * (vectors @ u) + p + 0.02 * k * time)
        return total


def _compute_mean(latitude: np.ndarray) -> np.ndarray:
    """Mean temperature by latitude, kelvin."""
    kelvin: np.ndarray = 271.0 + 29.0 * np.cos(np.radians(latitude)) ** 2
    return kelvin


def _make_l3s(observed: np.ndarray, quality: np.ndarray) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    values = np.where(quality > 0, observed, np.nan)
    words = "no_data bad_data worst_quality low_quality acceptable_quality best_quality"
    return {
        "sea_surface_temperature": (
            _pack(values),
            {
                "standard_name": "sea_surface_foundation_temperature",
                "long_name": "sea surface foundation temperature",
                "units": "kelvin",
                "scale_factor": SCALE,
                "add_offset": OFFSET,
                "valid_range": np.array([-300, 4500], np.int16),
                "_FillValue": np.int16(FILL),
                "ancillary_variables": "quality_level",
            },
        ),
        "quality_level": (
            quality,
            {
                "long_name": "quality level of the sea surface temperature",
                "flag_values": np.arange(6, dtype=np.int8),
                "flag_meanings": words,
                "_FillValue": np.int8(-128),
            },
        ),
    }


def _make_l4(
    analysed: np.ndarray, land: np.ndarray, ice: np.ndarray
) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    mask = np.where(land, _LAND_BIT, _SEA_BIT).astype(np.int8)
    mask = np.where(ice, _SEA_BIT | _ICE_BIT, np.broadcast_to(mask, ice.shape)).astype(np.int8)
    return {
        "analysed_sst": (
            _pack(np.where(land, np.nan, analysed)),
            {
                "standard_name": "sea_surface_foundation_temperature",
                "long_name": "analysed sea surface temperature",
                "units": "kelvin",
                "scale_factor": SCALE,
                "add_offset": OFFSET,
                "valid_range": np.array([-300, 4500], np.int16),
                "_FillValue": np.int16(FILL),
            },
        ),
        "mask": (
            mask,
            {
                "long_name": "land sea ice lake bit mask",
                "flag_masks": np.array([_SEA_BIT, _LAND_BIT, _LAKE_BIT, _ICE_BIT], np.int8),
                "flag_meanings": "sea land lake ice",
                "_FillValue": np.int8(-128),
            },
        ),
    }


def _pack(kelvin: np.ndarray) -> np.ndarray:
    steps = np.rint((kelvin - OFFSET) / SCALE)
    return np.where(np.isnan(steps), FILL, steps).astype(np.int16)


def _write_file(
    path: Path,
    axes: tuple[Sequence[date], np.ndarray, np.ndarray],
    variables: dict[str, tuple[np.ndarray, dict[str, Any]]],
) -> None:
    import netCDF4

    days, latitude, longitude = axes
    since = day_number(date(1981, 1, 1))
    seconds = np.array([(day_number(day) - since) * 86400 for day in days], np.int32)
    coordinates = {
        "time": (seconds, {"standard_name": "time", "units": "seconds since 1981-01-01 00:00:00"}),
        "latitude": (latitude, {"standard_name": "latitude", "units": "degrees_north"}),
        "longitude": (longitude, {"standard_name": "longitude", "units": "degrees_east"}),
    }
    with atomic_write.atomic(path, checksum=True) as part, netCDF4.Dataset(part, "w") as dataset:
        dataset.Conventions = "CF-1.7, ACDD-1.3"
        dataset.title = "simulated sea surface temperature"
        for name, (values, attributes) in coordinates.items():
            dataset.createDimension(name, len(values))
            dataset.createVariable(name, values.dtype, (name,))[:] = values
            dataset[name].setncatts(attributes)
        for name, (values, attributes) in variables.items():
            fill = attributes.pop("_FillValue")
            variable = dataset.createVariable(
                name, values.dtype, ("time", "latitude", "longitude"), fill_value=fill, zlib=True
            )
            variable.set_auto_maskandscale(False)
            variable.setncatts(attributes)
            variable[:] = values
