"""One swath of brightness temperatures: what an archive keeps of a granule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seaice import InputError, cf
from seaice.sources.amsr2.channels import (
    CHANNELS,
    count_pixels,
)

if TYPE_CHECKING:
    import xarray

FILL_VALUE = 65535  # raw count of a missing pixel in an archive
SCALE = 0.01  # kelvin per count where an archive does not say
UNUSABLE = 65534  # from here on a raw count of a granule is no measurement
UNKNOWN = "unknown"  # channel or frequency of an archive that does not say
TIME_UNITS = "seconds since 1970-01-01T00:00:00Z"

# How positions were found.
COREGISTERED = "co-registration"
APPROXIMATED = "every second 89A pixel"
GIVEN = "as in the granule"


@dataclass(frozen=True)
class Positions:
    """Where the pixels of one frequency lie.

    Attributes
    ----------
    latitude, longitude : ndarray of float32, shape (scans, pixels)
        Degrees north and east, -180..180. NaN: unknown.
    method : str
        ``co-registration``, ``every second 89A pixel`` (an approximation, 4 to 6 km off),
        ``as in the granule`` (89 GHz) or ``unknown``.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    method: str = UNKNOWN


@dataclass(frozen=True)
class Swath:
    """Brightness temperatures of one granule.

    Attributes
    ----------
    counts : mapping of str to ndarray of uint16, shape (scans, pixels)
        Raw counts by channel name ("36.5H"; "unknown" in archives that do not say).
        65535: missing. Archives of other writers may hold int16 or kelvin in float32.
    scale_factors : mapping of str to float
        Kelvin per count by channel.
    positions : mapping of str to Positions
        By frequency; empty where the archive has none.
    scan_times : ndarray of float64, shape (scans,), or None
        Seconds since 1970-01-01T00:00:00 UTC; NaN: unknown.
    granule_id : str
        Empty where unknown.
    orbit_type : str
        "A" ascending, "D" descending, "U" unknown.
    details : mapping
        Whatever else the metadata hold.

    Examples
    --------
    >>> swath = Swath({"36.5H": np.array([[20000, 65535]], np.uint16)}, {"36.5H": 0.01})
    >>> swath.kelvin().tolist()
    [[200.0, nan]]
    """

    counts: Mapping[str, np.ndarray]
    scale_factors: Mapping[str, float]
    positions: Mapping[str, Positions] = field(default_factory=dict)
    scan_times: np.ndarray | None = None
    granule_id: str = ""
    orbit_type: str = "U"
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, the first one first."""
        return tuple(self.counts)

    @property
    def shape(self) -> tuple[int, int]:
        """Scans and pixels of the first channel."""
        return cast(tuple[int, int], next(iter(self.counts.values())).shape)

    @property
    def is_empty(self) -> bool:
        """Whether no channel has a single measurement."""
        return all(is_missing(as_counts(values)).all() for values in self.counts.values())

    @property
    def start_time(self) -> datetime | None:
        """UTC of the first scan of known time; else the one in the metadata; None: unknown."""
        return self._time(0, "start_time")

    @property
    def end_time(self) -> datetime | None:
        """UTC of the last scan of known time; else the one in the metadata; None: unknown."""
        return self._time(-1, "end_time")

    def _time(self, which: int, name: str) -> datetime | None:
        times = None if self.scan_times is None else self.scan_times[np.isfinite(self.scan_times)]
        try:
            if times is not None and times.size:
                return datetime.fromtimestamp(float(times[which]), UTC)
            return as_utc(str(self.details[name]))
        except (KeyError, ValueError, OverflowError, OSError):
            return None

    def kelvin(self, channel: str | None = None) -> np.ndarray:
        """Brightness temperature, K, float32 (scans, pixels); NaN where missing.

        Parameters
        ----------
        channel : str, optional
            The first one by default.

        Raises
        ------
        InputError
            If the swath has no such channel.
        """
        name = self.channels[0] if channel is None else channel
        if name not in self.counts:
            raise InputError(
                f"expected a channel out of {', '.join(self.channels)}, found {name!r} "
                f"({self.granule_id or 'swath without a name'})"
            )
        counts = as_counts(self.counts[name])
        # Floats are kelvin already, whatever the metadata say.
        scale = 1.0 if counts.dtype.kind == "f" else self.scale_factors.get(name, SCALE)
        kelvin = (counts * np.float64(scale)).astype(np.float32)  # the nearest to the decimal
        kelvin[is_missing(counts)] = np.nan
        return kelvin

    def to_xarray(self, frequency: str | None = None) -> xarray.Dataset:
        """The channels of one frequency as a labelled dataset with CF names.

        Parameters
        ----------
        frequency : str, optional
            "36.5", "89A", ...; the first channel's by default.

        Returns
        -------
        xarray.Dataset
            ``brightness_temperature_36_5H(scan, pixel)`` in kelvin with NaN; coordinates
            ``time(scan)``, ``lat(scan, pixel)``, ``lon(scan, pixel)`` where known.

        Raises
        ------
        InputError
            If the swath has no channel of that frequency.
        """
        return build_dataset(self, frequency or get_frequency(self.channels[0]))

    def summary(self) -> dict[str, Any]:
        """What the metadata of an archive say about this swath; only JSON types."""
        first = self.channels[0]
        values = as_counts(self.counts[first])
        valid = values[~is_missing(values)]
        start, end = self.start_time, self.end_time
        said = {
            "granule_id": self.granule_id,
            "orbit_type": self.orbit_type,
            "start_time": start and as_text(start),
            "end_time": end and as_text(end),
            "channels": list(self.channels),
            "shape": list(self.shape),
            "scale_factor": self.scale_factors.get(first),
            "scale_factors": dict(self.scale_factors),
            "fill_value": FILL_VALUE,
            "temp_range": [valid.min().item(), valid.max().item()] if valid.size else None,
            "valid_count": int(valid.size),
            "positions": {name: places.method for name, places in self.positions.items()},
        }
        for places in list(self.positions.values())[:1]:
            said["lat_range"] = _range(places.latitude)
            said["lon_range"] = _range(places.longitude)
        # In one order, so that a swath that was read is written as it was.
        return {**{key: value for key, value in self.details.items() if key not in said}, **said}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the swath by the names that archives give them.

        ``temperature`` (raw counts), ``latitude``, ``longitude``, ``scan_times``; with several
        channels or frequencies their names follow an underscore: ``temperature_36.5H``.
        """
        several, places = len(self.counts) > 1, len(self.positions) > 1
        named = {f"temperature_{c}" if several else "temperature": a for c, a in self.counts.items()}
        for frequency, position in self.positions.items():
            ending = f"_{frequency}" if places else ""
            named["latitude" + ending] = position.latitude
            named["longitude" + ending] = position.longitude
        if self.scan_times is not None:
            named["scan_times"] = self.scan_times
        return named


def from_parts(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Swath:
    """The swath of an archive's metadata and arrays; the inverse of ``summary`` and ``arrays``.

    Raises
    ------
    InputError
        If there is no array called ``temperature``, or metadata or an array is not what its
        name says.
    """
    try:
        return _from_parts(said, arrays)
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"damaged: the metadata of a swath are none ({reason})") from None


def _from_parts(said: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Swath:
    names = [name for name in arrays if name == "temperature" or name.startswith("temperature_")]
    if not names:
        raise InputError(
            f"expected an array «temperature», found {', '.join(map(str, arrays)) or 'none'}"
        )
    known = [str(name) for name in said.get("channels") or []]
    if len(names) > 1 and "temperature" in names:
        names.remove("temperature")  # the classic layout repeats the first channel under this name
    channels = [name.partition("_")[2] or (known or [UNKNOWN])[0] for name in names]
    counts = {channel: arrays[name] for channel, name in zip(channels, names, strict=True)}
    for channel, values in counts.items():
        if values.ndim != 2 or values.dtype.kind not in "iuf":
            raise InputError(
                f"expected a two-dimensional array of numbers, found {values.dtype} {values.shape}: "
                f"{channel}"
            )
    scale = said.get("scale_factor")
    given: Mapping[str, Any] = said.get("scale_factors") or dict.fromkeys(channels, scale)
    # Seven digits: a factor that went through float32 is the decimal it was meant to be.
    scales = {n: float(f"{float(np.ravel(v)[0]):.7g}") for n, v in given.items() if v is not None}
    times = arrays.get("scan_times")
    if times is not None and (times.ndim != 1 or times.dtype.kind not in "iuf"):
        raise InputError(f"expected numbers as scan times, found {times.dtype} {times.shape}")
    taken = {"channels", "scale_factor", "scale_factors", "positions", "orbit_type", "granule_id"}
    taken |= {"scan_times", "scan_time_units", "fill_value", "group"}
    return Swath(
        counts=counts,
        scale_factors=scales,
        positions=_positions(said, arrays, get_frequency(channels[0])),
        scan_times=None if times is None else np.asarray(times, np.float64),
        granule_id=str(said.get("granule_id") or ""),
        orbit_type=str(said.get("orbit_type") or "U")[:1],
        details={key: value for key, value in said.items() if key not in taken},
    )


def _positions(
    said: Mapping[str, Any], arrays: Mapping[str, np.ndarray], first: str
) -> dict[str, Positions]:
    methods = said.get("positions")
    methods = methods if isinstance(methods, Mapping) else {}
    found = {}
    for name in arrays:
        if name == "latitude" or name.startswith("latitude_"):
            ending = name.removeprefix("latitude")
            if f"longitude{ending}" not in arrays:
                continue
            for values in (arrays[name], arrays[f"longitude{ending}"]):
                if values.ndim != 2 or values.dtype.kind != "f":
                    raise InputError(f"expected positions, found {values.dtype} {values.shape}: {name}")
            frequency = ending[1:] or next(iter(methods), first)
            method = str(methods.get(frequency, UNKNOWN))
            found[frequency] = Positions(arrays[name], arrays[f"longitude{ending}"], method)
    if len(found) > 1:
        found = {name: places for name, places in found.items() if name in methods} or found
    return found


def get_frequency(channel: str) -> str:
    """Frequency of a channel name; "unknown" of an unknown one."""
    return CHANNELS[channel].frequency if channel in CHANNELS else UNKNOWN


def as_counts(values: np.ndarray) -> np.ndarray:
    """Raw counts as what they are: older archives hold unsigned counts in signed integers."""
    signed = values.dtype.kind == "i" and values.dtype.itemsize == 2
    return values.view(values.dtype.str.replace("i", "u")) if signed else values


def is_missing(values: np.ndarray) -> np.ndarray:
    """Pixels without a measurement: fill values and zero in counts, NaN and zero in kelvin."""
    if values.dtype.kind == "f":
        return ~(values > 0)
    return cast(np.ndarray, (values >= UNUSABLE) | (values <= 0))


def as_text(time: datetime) -> str:
    """UTC time as ISO 8601 with milliseconds and Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_utc(text: str) -> datetime:
    """UTC time from ISO 8601; without a zone it is taken as UTC.

    Raises
    ------
    ValueError
        If the text is no such time.
    """
    time = datetime.fromisoformat(text)
    try:
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"a time at the end of the calendar: {text}") from error


def count_expected_pixels(channel: str) -> int | None:
    """Pixels of a scan of a channel; None of an unknown one."""
    return count_pixels(CHANNELS[channel].frequency) if channel in CHANNELS else None


def _range(values: np.ndarray) -> list[float] | None:
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if known.size else None


_LAST = 9.2e9  # seconds since 1970 that fit into 64 bits of nanoseconds


LATITUDE = {**cf.LATITUDE, "long_name": "latitude of the pixel"}
LONGITUDE = {**cf.LONGITUDE, "long_name": "longitude of the pixel"}


def get_temperature_name(channel: str) -> str:
    """Name of a channel's variable in a CF file: 36.5H is ``brightness_temperature_36_5H``."""
    return f"brightness_temperature_{channel.replace('.', '_')}"


def describe_temperature(channel: str) -> dict[str, Any]:
    """CF attributes of a brightness temperature in kelvin."""
    frequency = get_frequency(channel)
    ghz = (
        "" if frequency == "unknown" else f" at {frequency.rstrip('AB')} GHz, {channel[-1]} polarization"
    )
    return {
        "standard_name": "brightness_temperature",
        "long_name": f"brightness temperature{ghz}",
        "units": "K",
    }


def build_dataset(swath: Swath, frequency: str) -> xarray.Dataset:
    """See :meth:`seaice.sources.amsr2.swath.Swath.to_xarray`."""
    import xarray

    channels = [name for name in swath.channels if get_frequency(name) == frequency]
    if not channels:
        there = ", ".join(dict.fromkeys(get_frequency(name) for name in swath.channels))
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
            get_temperature_name(name): (
                ("scan", "pixel"),
                swath.kelvin(name),
                describe_temperature(name),
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


__all__ = ["LATITUDE", "LONGITUDE", "TIME_UNITS", "build_dataset", "describe_temperature"]
