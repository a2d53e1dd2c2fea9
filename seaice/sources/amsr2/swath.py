"""A swath of brightness temperatures: the part of a granule that an archive keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from seaice import InputError, cf
from seaice.sources.amsr2.channels import HORNS, find_channel
from seaice.sources.amsr2.sensors import SENSORS, GranuleName

if TYPE_CHECKING:
    import xarray

FILL_VALUE = 65535  # raw count of a missing pixel in an archive
SCALE = 0.01  # kelvin per count where an archive does not say
UNUSABLE = 65534  # from here on a raw count of a granule is no measurement
UNKNOWN = "unknown"  # channel or frequency of an archive that does not say
TIME_UNITS = "seconds since 1970-01-01T00:00:00Z"
LATITUDE = {**cf.LATITUDE, "long_name": "latitude of the pixel"}
LONGITUDE = {**cf.LONGITUDE, "long_name": "longitude of the pixel"}
_LAST_TIME = 9.2e9  # seconds since 1970 that fit into 64 bits of nanoseconds

# How positions were computed.
COREGISTERED = "co-registration"
APPROXIMATED = "every second 89A pixel"
GIVEN = "as in the granule"


@dataclass(frozen=True)
class Positions:
    """Positions of the pixels of one frequency, or of all resampled channels.

    Attributes
    ----------
    latitude, longitude : ndarray of float32, shape (scans, pixels)
        Degrees north and east, -180..180. NaN: unknown.
    method : str
        ``co-registration``, ``every second 89A pixel`` (an approximation, 4 to 6 km off),
        ``as in the granule`` (89 GHz and resampled channels) or ``unknown``.
    """

    latitude: np.ndarray
    longitude: np.ndarray
    method: str = UNKNOWN

    def __repr__(self) -> str:
        return f"<positions of {' x '.join(map(str, self.latitude.shape))} pixels: {self.method}>"


@dataclass(frozen=True)
class Swath:
    """Brightness temperatures of one granule.

    Attributes
    ----------
    counts : mapping of str to ndarray of uint16, shape (scans, pixels)
        Raw counts by channel name ("36.5H", "res23-36.5H"; "unknown" in archives that do not say).
        65535: missing. Archives of other writers may hold int16 or kelvin in float32.
    scale_factors : mapping of str to float
        Kelvin per count by channel.
    positions : mapping of str to Positions
        Positions by frequency, of all resampled channels under "resampled"; empty where the archive
        has none.
    scan_times : ndarray of float64, shape (scans,), or None
        Seconds since 1970-01-01T00:00:00 UTC; NaN: unknown.
    granule_id : str
        Empty where unknown.
    orbit_type : str
        "A" ascending, "D" descending, "U" unknown.
    details : mapping
        All other metadata.

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

    def __repr__(self) -> str:
        scans, pixels = self.shape if self.counts else (0, 0)
        start = self.start_time
        return (
            f"<swath {self.granule_id or 'without a name'}: {', '.join(self.counts) or 'no channel'}, "
            f"{scans} scans of {pixels} pixels, from {as_text(start) if start else 'an unknown time'}>"
        )

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, the first one first."""
        return tuple(self.counts)

    @property
    def sensor(self) -> str:
        """Name of the sensor, by the metadata, else by the granule id; "unknown" where neither says."""
        name = GranuleName.parse(self.granule_id)
        return str(self.details.get("sensor") or (name.sensor if name else UNKNOWN))

    @property
    def level(self) -> str:
        """Level of the granule, "L1B" or "L1R", found as the sensor is."""
        name = GranuleName.parse(self.granule_id)
        return str(self.details.get("level") or (name.level if name else UNKNOWN))

    @property
    def product_version(self) -> str:
        """Version of the product, such as "2", found as the sensor is."""
        name = GranuleName.parse(self.granule_id)
        return str(self.details.get("product_version") or (name.version[:1] if name else UNKNOWN))

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
        return self._get_time(0, "start_time")

    @property
    def end_time(self) -> datetime | None:
        """UTC of the last scan of known time; else the one in the metadata; None: unknown."""
        return self._get_time(-1, "end_time")

    def _get_time(self, index: int, name: str) -> datetime | None:
        times = None if self.scan_times is None else self.scan_times[np.isfinite(self.scan_times)]
        try:
            if times is not None and times.size:
                return datetime.fromtimestamp(float(times[index]), UTC)
            return as_utc(str(self.details[name]))
        except (KeyError, ValueError, OverflowError, OSError):
            return None

    def kelvin(self, channel: str | None = None) -> np.ndarray:
        """Return the brightness temperature, K, float32 (scans, pixels); NaN where missing.

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

    def to_xarray(self, positions: str | None = None) -> xarray.Dataset:
        """Return the channels that share their positions as a labelled dataset with CF names.

        Parameters
        ----------
        positions : str, optional
            A frequency, "36.5", "89A", ..., or "resampled"; those of the first channel by default.

        Returns
        -------
        xarray.Dataset
            ``brightness_temperature_36_5H(scan, pixel)`` in kelvin with NaN; coordinates
            ``time(scan)``, ``lat(scan, pixel)``, ``lon(scan, pixel)`` where known.

        Raises
        ------
        InputError
            If the swath has no channel there.
        """
        return build_dataset(self, positions or name_positions(self.channels[0]))

    def summarise(self) -> dict[str, Any]:
        """Return the metadata of this swath in an archive; only JSON types."""
        first = self.channels[0]
        values = as_counts(self.counts[first])
        valid = values[~is_missing(values)]
        start, end = self.start_time, self.end_time
        summary = {
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
            "positions": {name: positions.method for name, positions in self.positions.items()},
        }
        for positions in list(self.positions.values())[:1]:
            summary["lat_range"] = _find_range(positions.latitude)
            summary["lon_range"] = _find_range(positions.longitude)
        # In one order, so that a swath that was read is written as it was.
        details = {key: value for key, value in self.details.items() if key not in summary}
        return {**details, **summary}

    def name_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the swath by the names that archives give them.

        ``temperature`` (raw counts), ``latitude``, ``longitude``, ``scan_times``; with several
        channels or frequencies their names follow an underscore: ``temperature_36.5H``.
        """
        has_channels, has_frequencies = len(self.counts) > 1, len(self.positions) > 1
        arrays = {
            f"temperature_{channel}" if has_channels else "temperature": counts
            for channel, counts in self.counts.items()
        }
        for frequency, position in self.positions.items():
            ending = f"_{frequency}" if has_frequencies else ""
            arrays["latitude" + ending] = position.latitude
            arrays["longitude" + ending] = position.longitude
        if self.scan_times is not None:
            arrays["scan_times"] = self.scan_times
        return arrays


def from_parts(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Swath:
    """Build a swath from metadata and arrays of an archive.

    The inverse of :meth:`Swath.summarise` and :meth:`Swath.name_arrays`.

    Raises
    ------
    InputError
        If there is no array called ``temperature``, or metadata or an array is not what its
        name says.
    """
    try:
        return _from_parts(metadata, arrays)
    except InputError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split())[:100]
        raise InputError(f"damaged: the metadata of a swath are none ({reason})") from None


def _from_parts(metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Swath:
    names = [name for name in arrays if name == "temperature" or name.startswith("temperature_")]
    if not names:
        raise InputError(
            f"expected an array «temperature», found {', '.join(map(str, arrays)) or 'none'}"
        )
    listed_channels = [str(name) for name in metadata.get("channels") or []]
    if len(names) > 1 and "temperature" in names:
        names.remove("temperature")  # the classic layout repeats the first channel under this name
    channels = [name.partition("_")[2] or (listed_channels or [UNKNOWN])[0] for name in names]
    counts = {channel: arrays[name] for channel, name in zip(channels, names, strict=True)}
    for channel, values in counts.items():
        if values.ndim != 2 or values.dtype.kind not in "iuf":
            raise InputError(
                f"expected a two-dimensional array of numbers, found {values.dtype} {values.shape}: "
                f"{channel}"
            )
    scale = metadata.get("scale_factor")
    factors: Mapping[str, Any] = metadata.get("scale_factors") or dict.fromkeys(channels, scale)
    # Seven digits: a factor that went through float32 is the decimal it was meant to be.
    scales = {n: float(f"{float(np.ravel(v)[0]):.7g}") for n, v in factors.items() if v is not None}
    times = arrays.get("scan_times")
    if times is not None and (times.ndim != 1 or times.dtype.kind not in "iuf"):
        raise InputError(f"expected numbers as scan times, found {times.dtype} {times.shape}")
    own_keys = {"channels", "scale_factor", "scale_factors", "positions", "orbit_type", "granule_id"}
    own_keys |= {"scan_times", "scan_time_units", "fill_value", "group"}
    return Swath(
        counts=counts,
        scale_factors=scales,
        positions=_read_positions(metadata, arrays, name_positions(channels[0])),
        scan_times=None if times is None else np.asarray(times, np.float64),
        granule_id=str(metadata.get("granule_id") or ""),
        orbit_type=str(metadata.get("orbit_type") or "U")[:1],
        details={key: value for key, value in metadata.items() if key not in own_keys},
    )


def _read_positions(
    metadata: Mapping[str, Any], arrays: Mapping[str, np.ndarray], first: str
) -> dict[str, Positions]:
    methods = metadata.get("positions")
    methods = methods if isinstance(methods, Mapping) else {}
    positions = {}
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
            positions[frequency] = Positions(arrays[name], arrays[f"longitude{ending}"], method)
    if len(positions) > 1:
        return {name: of_name for name, of_name in positions.items() if name in methods} or positions
    return positions


def name_positions(channel: str) -> str:
    """Return the name of a channel's positions, its frequency or "resampled"; else "unknown"."""
    parts = find_channel(channel)
    return parts.positions if parts else UNKNOWN


def as_counts(values: np.ndarray) -> np.ndarray:
    """Return raw counts as unsigned integers, which older archives hold as signed ones."""
    signed = values.dtype.kind == "i" and values.dtype.itemsize == 2
    return values.view(values.dtype.str.replace("i", "u")) if signed else values


def is_missing(values: np.ndarray) -> np.ndarray:
    """Tell which pixels are not measured: fill values and zero in counts, NaN and zero in kelvin."""
    if values.dtype.kind == "f":
        return ~(values > 0)
    return cast(np.ndarray, (values >= UNUSABLE) | (values <= 0))


def as_text(time: datetime) -> str:
    """Return a time in UTC as ISO 8601 with milliseconds and Z."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def as_utc(text: str) -> datetime:
    """Return the UTC time of a text in ISO 8601; without a zone it is taken as UTC.

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


def list_expected_pixels(channel: str, sensor: str) -> tuple[int, ...]:
    """Return the possible numbers of pixels of a scan of a channel; none for an unknown one."""
    parts = find_channel(channel)
    if parts is None:
        return ()
    low = SENSORS[sensor if sensor in SENSORS else "AMSR2"].pixels
    return tuple(count * (2 if parts.positions in HORNS else 1) for count in low)


def _find_range(values: np.ndarray) -> list[float] | None:
    finite = values[np.isfinite(values)]
    return [float(finite.min()), float(finite.max())] if finite.size else None


def get_temperature_name(channel: str) -> str:
    """Return the CF name of a channel: 36.5H is ``brightness_temperature_36_5H``."""
    return f"brightness_temperature_{channel.replace('.', '_').replace('-', '_')}"


def describe_temperature(channel: str) -> dict[str, Any]:
    """Return the CF attributes of a brightness temperature in kelvin."""
    return {
        "standard_name": "brightness_temperature",
        "long_name": name_quantity(channel),
        "units": "K",
    }


def name_quantity(channel: str) -> str:
    """Return what a channel measures, in words."""
    parts = find_channel(channel)
    if parts is None:
        return "brightness temperature"
    ghz = f"{parts.ghz} GHz, {parts.polarization} polarization"
    size = f", footprint {parts.footprint}" if parts.footprint else ""
    return f"brightness temperature at {ghz}{size}"


def describe_sensor(name: str) -> dict[str, str]:
    """Return platform and instrument as attributes; those of AMSR2 where the sensor is unknown."""
    sensor = SENSORS[name if name in SENSORS else "AMSR2"]
    return {"platform": sensor.platform, "instrument": sensor.name}


def build_dataset(swath: Swath, pixels: str) -> xarray.Dataset:
    """Build the dataset of :meth:`Swath.to_xarray`."""
    import xarray

    channels = [name for name in swath.channels if name_positions(name) == pixels]
    if not channels:
        present = ", ".join(dict.fromkeys(name_positions(name) for name in swath.channels))
        raise InputError(f"expected a frequency out of {present}, found {pixels!r}")
    positions = swath.positions.get(pixels)
    shapes = {swath.counts[name].shape for name in channels}
    shapes |= {positions.latitude.shape, positions.longitude.shape} if positions else set()
    times = swath.scan_times
    if len(shapes) > 1 or (times is not None and len(times) != next(iter(shapes))[0]):
        raise InputError(
            f"expected temperatures, positions and times of one shape, found {sorted(shapes)} "
            f"({swath.granule_id or 'swath without a name'}, {pixels})"
        )
    instrument = describe_sensor(swath.sensor)["instrument"]
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
            "title": f"{instrument} brightness temperatures, granule {swath.granule_id or 'unknown'}",
            "granule_id": swath.granule_id,
            "orbit_type": swath.orbit_type,
            **describe_sensor(swath.sensor),
        },
    )
    if positions is not None:
        dataset.coords["lat"] = (("scan", "pixel"), positions.latitude, LATITUDE)
        dataset.coords["lon"] = (("scan", "pixel"), positions.longitude, LONGITUDE)
        dataset.attrs["positions"] = positions.method
    if times is not None:
        dataset.coords["time"] = ("scan", _to_datetime64(times), _time_attributes())
    return dataset


def _time_attributes() -> dict[str, str]:
    return {"standard_name": "time", "long_name": "time of the scan (UTC)"}


def _to_datetime64(seconds: np.ndarray) -> np.ndarray:
    """Seconds as datetime64[ns] to the microsecond; NaN as NaT."""
    microseconds = np.full(seconds.shape, np.iinfo(np.int64).min)
    is_known = np.abs(seconds) < _LAST_TIME  # false of NaN
    microseconds[is_known] = np.round(seconds[is_known] * 1e6)
    return microseconds.astype("datetime64[us]").astype("datetime64[ns]")
