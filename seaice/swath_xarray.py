"""A swath as an xarray dataset with CF names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seaice import InputError
from seaice.swath import TIME_UNITS, Swath, frequency_of

if TYPE_CHECKING:
    import xarray

_LAST = 9.2e9  # seconds since 1970 that fit into 64 bits of nanoseconds

LATITUDE = {"standard_name": "latitude", "units": "degrees_north", "long_name": "latitude of the pixel"}
LONGITUDE = {
    "standard_name": "longitude",
    "units": "degrees_east",
    "long_name": "longitude of the pixel",
}


def temperature_name(channel: str) -> str:
    """Name of a channel's variable in a CF file: 36.5H is ``brightness_temperature_36_5H``."""
    return f"brightness_temperature_{channel.replace('.', '_')}"


def temperature_attributes(channel: str) -> dict[str, Any]:
    """CF attributes of a brightness temperature in kelvin."""
    frequency = frequency_of(channel)
    ghz = (
        "" if frequency == "unknown" else f" at {frequency.rstrip('AB')} GHz, {channel[-1]} polarization"
    )
    return {
        "standard_name": "brightness_temperature",
        "long_name": f"brightness temperature{ghz}",
        "units": "K",
    }


def dataset_of(swath: Swath, frequency: str) -> xarray.Dataset:
    """See :meth:`seaice.swath.Swath.to_xarray`."""
    import xarray

    channels = [name for name in swath.channels if frequency_of(name) == frequency]
    if not channels:
        there = ", ".join(dict.fromkeys(frequency_of(name) for name in swath.channels))
        raise InputError(f"expected a frequency out of {there}, found {frequency!r}")
    positions = swath.positions.get(frequency)
    shapes = {swath.counts[name].shape for name in channels}
    shapes |= {positions.latitude.shape, positions.longitude.shape} if positions else set()
    times = swath.scan_times
    if len(shapes) > 1 or (times is not None and len(times) != next(iter(shapes))[0]):
        raise InputError(
            f"expected temperatures, positions and times of one shape, found {sorted(shapes)} "
            f"({swath.granule_id or 'swath without a name'}, {frequency})"
        )
    dataset = xarray.Dataset(
        {
            temperature_name(name): (
                ("scan", "pixel"),
                swath.kelvin(name),
                temperature_attributes(name),
            )
            for name in channels
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": f"AMSR2 brightness temperatures, granule {swath.granule_id or 'unknown'}",
            "granule_id": swath.granule_id,
            "orbit_type": swath.orbit_type,
            "platform": "GCOM-W1",
            "instrument": "AMSR2",
        },
    )
    if positions is not None:
        dataset.coords["lat"] = (("scan", "pixel"), positions.latitude, LATITUDE)
        dataset.coords["lon"] = (("scan", "pixel"), positions.longitude, LONGITUDE)
        dataset.attrs["positions"] = positions.method
    if times is not None:
        dataset.coords["time"] = ("scan", _instants(times), _time_attributes())
    return dataset


def _time_attributes() -> dict[str, str]:
    return {"standard_name": "time", "long_name": "time of the scan (UTC)"}


def _instants(seconds: np.ndarray) -> np.ndarray:
    """Seconds as datetime64[ns] to the microsecond; NaN as NaT."""
    microseconds = np.full(seconds.shape, np.iinfo(np.int64).min)
    known = np.abs(seconds) < _LAST  # false of NaN
    microseconds[known] = np.round(seconds[known] * 1e6)
    return microseconds.astype("datetime64[us]").astype("datetime64[ns]")


__all__ = ["LATITUDE", "LONGITUDE", "TIME_UNITS", "dataset_of", "temperature_attributes"]
