"""Granules of Level 1B and Level 1R of the AMSR series: times, brightness temperatures, positions.

References
----------
JAXA, AMSR2 Level 1 Product Format Specification (GCOM-W1), https://gportal.jaxa.jp.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.grids.sphere import compute_unit_vectors
from seaice.leap_seconds import convert_tai93_to_utc
from seaice.open_file import DAMAGE, explain_damage, open_hdf5
from seaice.open_file.hdf5_damage import SIGNATURE, check_chunks
from seaice.sources.amsr2.channels import (
    CHANNELS,
    DEFAULT_CHANNELS,
    HORNS,
    RESAMPLED,
    RESAMPLED_CHANNELS,
    Channel,
    as_channels,
)
from seaice.sources.amsr2.sensors import (
    ENDINGS,
    SENSORS,
    GranuleName,
    Level,
    Sensor,
    get_sensor,
    looks_like_name,
)
from seaice.sources.amsr2.swath import (
    APPROXIMATED,
    COREGISTERED,
    FILL_VALUE,
    GIVEN,
    UNUSABLE,
    Positions,
    Swath,
    as_utc,
)

logger = logging.getLogger(__name__)

Overlap = Literal["trim", "keep"]

_OTHER_KINDS = (".nc", ".nc4", ".cdf", ".npz")  # endings of files that are no granules, if HDF5 at all

# Of the co-registration of low frequencies with 89A, see :func:`coregister`.
_COEFFICIENT = re.compile(r"(\d+)G-(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)$")
_FREQUENCIES = {"6": "6.9", "7": "7.3", "10": "10.7", "18": "18.7", "23": "23.8", "36": "36.5"}
_NO_ANGLE = 1e-6  # sine of the angle between two pixels below which they coincide
_ROWS = 128  # scans at a time: the unit vectors of a block stay in the cache


def find_granules(
    folder: Path, *, ignore: Callable[[Path], bool] = lambda _: False
) -> tuple[dict[Path, GranuleName], list[str]]:
    """Find the granules of a folder and those below it, of any sensor and level, by name.

    A file under another name is recognised by what it holds, such as a browser's second copy.

    Parameters
    ----------
    folder : Path
    ignore : callable, optional
        Tells which files are something else, such as archives, and are passed over.

    Returns
    -------
    granules : dict of Path to GranuleName
    left_out : list of str
        Files that look like granules and are none that can be read, with the reason.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of AMSR2 granules, found none: {folder}")
    granules: dict[Path, GranuleName] = {}
    left_out = []
    for path in sorted(folder.rglob("*"), key=lambda path: (path.name, path)):
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if is_hidden or not path.is_file() or not looks_like_granule(path) or ignore(path):
            continue
        try:
            granules[path] = identify_granule(path)
        except InputError as error:
            left_out.append(str(error))
    return granules, left_out


def looks_like_granule(path: Path) -> bool:
    """Whether a file has the ending or the first bytes of HDF5 files, or the name of a granule."""
    if path.suffix.lower() in ENDINGS or looks_like_name(path.name):
        return True
    if path.suffix.lower() in _OTHER_KINDS:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) == SIGNATURE
    except OSError:
        return False


def identify_granule(path: Path) -> GranuleName:
    """Read which granule a file is: by its name, else by the id in it.

    Raises
    ------
    InputError
        If it is none that can be read; the message says what it is.
    """
    name = GranuleName.parse(path.name)
    if name is None or is_granule(path) is False:  # else who reads it says why it cannot be opened
        with explain_damage(path, "HDF5"), open_hdf5(path) as file:
            name = GranuleName.parse(_Granule(path, file).read_text("GranuleID") or "") or name
            if name is None or (SENSORS[name.sensor].is_read and not _holds_temperatures(file)):
                raise InputError(
                    f"expected an AMSR2 granule (L1B or L1R), found another HDF5 file: {path}"
                )
    _check_readable(name, path)
    return name


def _check_readable(name: GranuleName | None, path: Path) -> None:
    if name is not None and not SENSORS[name.sensor].is_read:
        readable = ", ".join(sensor.name for sensor in SENSORS.values() if sensor.is_read)
        raise InputError(
            f"expected a granule of {readable}, found one of {name.sensor}, whose layout differs and is "
            f"not read yet: {path}"
        )


def _holds_temperatures(file: Any) -> bool:
    return any(name.startswith("Brightness Temperature (") for name in file)


def is_granule(path: Path) -> bool | None:
    """Whether an HDF5 file holds brightness temperatures by channel; None if it cannot be opened.

    Only the names in it are read.
    """
    try:
        with open_hdf5(path, for_names=True) as file:
            return _holds_temperatures(file)
    except DAMAGE:
        return None


def read_start(path: Path) -> datetime | None:
    """Read the UTC start in a granule, to the millisecond; None where it cannot be read."""
    try:
        with open_hdf5(path) as file:
            return _Granule(path, file).read_time("ObservationStartDateTime")
    except DAMAGE:
        return None


def read_granule(
    path: Path,
    *,
    channels: Sequence[str] | None = None,
    coordinates: bool = True,
    overlap: Overlap = "trim",
) -> Swath:
    """Read channels of a granule.

    Raw counts stay as they are in the file, with one missing value: 65534, 65535 and the
    impossible 0 all become 65535, and are counted apart.

    Parameters
    ----------
    path : Path
    channels : sequence of str, optional
        Such as "36.5H", or of L1R "res23-36.5H"; see :mod:`seaice.sources.amsr2.channels`. By default
        36.5H; of L1R that at its finest footprint.
    coordinates : bool
        Positions as well, of every frequency asked for. The resampled channels of L1R share theirs.
    overlap : {"trim", "keep"}
        What to do with the scans before and after the nominal part, which repeat those of
        the neighbouring granules.

    Returns
    -------
    Swath

    Raises
    ------
    InputError
        If the file cannot be read, lacks a channel, or holds no scan; names the file.
    """
    requested = None if channels is None else as_channels(channels)
    with explain_damage(path, "HDF5"), open_hdf5(path) as file:
        granule = _Granule(path, file)
        if requested is None:
            requested = as_channels(DEFAULT_CHANNELS[granule.level])
        return granule.read_swath(requested, coordinates=coordinates, overlap=overlap)


def list_channels(path: Path) -> tuple[str, ...]:
    """Names of all channels that a granule holds.

    Raises
    ------
    InputError
        If the file cannot be read or is no granule.
    """
    with explain_damage(path, "HDF5"), open_hdf5(path) as file:
        return tuple(channel.name for channel in _Granule(path, file).list_channels())


class _Granule:
    """An open granule."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self.file = file
        name = GranuleName.parse(self.read_text("GranuleID") or "")  # that of the file may be another
        self.name = name or GranuleName.parse(path.name.removesuffix(".part"))

    @property
    def level(self) -> Level:
        """By the name, else by the attribute, else by the names of the datasets."""
        if self.name is not None:
            return self.name.level
        product = self.read_text("ProductName") or ""
        is_resampled = "L1R" in product or any("(res" in name for name in self.file)
        return "L1R" if is_resampled else "L1B"

    @property
    def sensor(self) -> Sensor:
        """By the attribute, else by the name; AMSR2 where neither says."""
        try:
            return get_sensor(self.read_text("SensorShortName") or "")
        except InputError:
            return SENSORS[self.name.sensor if self.name else "AMSR2"]

    def list_channels(self) -> list[Channel]:
        """The channels that the file has."""
        channels = [*CHANNELS.values(), *RESAMPLED_CHANNELS.values()]
        return [channel for channel in channels if channel.get_dataset(self.level) in self.file]

    def read_swath(self, channels: tuple[Channel, ...], *, coordinates: bool, overlap: Overlap) -> Swath:
        _check_readable(self.name, self.path)
        scans = self._get_channel(channels[0]).shape[0]
        seconds = convert_tai93_to_utc(self._read_scan_times(scans))
        seconds[~self._are_plausible(seconds)] = np.nan
        rows = self._find_nominal_scans(seconds) if overlap == "trim" else slice(0, scans)
        if rows.stop <= rows.start:
            raise InputError(f"expected scans besides the overlap, found none of {scans}: {self.path}")
        read = {channel.name: self._read_counts(channel, scans, rows) for channel in channels}
        missing = {name: part[1] for name, part in read.items()}
        zeros = {name: part[2] for name, part in read.items()}
        swath = Swath(
            counts={name: part[0] for name, part in read.items()},
            scale_factors={
                channel.name: self._read_scale(channel.get_dataset(self.level)) for channel in channels
            },
            scan_times=seconds[rows],
            granule_id=self._read_granule_id(),
            orbit_type=self._read_orbit_type(),
            details={
                "sensor": self.sensor.name,
                "level": self.level,
                "start_time": self.read_text("ObservationStartDateTime"),
                "end_time": self.read_text("ObservationEndDateTime"),
                "product_version": self._read_version(),
                "overlap_scans_trimmed": [rows.start, scans - rows.stop],
                "missing_count": sum(missing.values()),
                "zero_count": sum(zeros.values()),
            },
        )
        if not coordinates:
            return swath
        names = list(dict.fromkeys(channel.positions for channel in channels))
        positions = self._read_positions(names, scans, rows)
        return replace(swath, positions=positions)

    def _get_channel(self, channel: Channel) -> Any:
        """The dataset of a channel; the message about one of the other level says what is here."""
        name = channel.get_dataset(self.level)
        if name not in self.file and self.level not in channel.levels:
            available = self.list_channels()
            same_ghz = [candidate for candidate in available if candidate.ghz == channel.ghz]
            names = [c.name for c in same_ghz or available if c.polarization == channel.polarization]
            raise InputError(
                f"expected the channel {channel.name} of {channel.levels[0]}, found a granule of "
                f"{self.level}, which has {', '.join(names) or 'no channel'}: {self.path}"
            )
        return self._get_dataset(name)

    def _get_dataset(self, name: str) -> Any:
        if name not in self.file:
            like = [n for n in self.file if n.startswith(name[:22])]
            raise InputError(
                f"expected the dataset «{name}», found {', '.join(like) or 'nothing alike'} in "
                f"{self.path}: is it a granule of L1B or L1R?"
            )
        check_chunks(self.file[name])
        return self.file[name]

    def read_text(self, name: str) -> str | None:
        """Read a global attribute, an array of one string, as text; None where it is absent."""
        if name not in self.file.attrs:
            return None
        value = np.ravel(self.file.attrs[name])
        if not value.size:
            return None
        text = value[0].decode("ascii", "replace") if isinstance(value[0], bytes) else str(value[0])
        return text.strip("\x00 ")

    def _read_granule_id(self) -> str:
        """Read the id that the file itself gives; its name may have been changed."""
        return self.name.granule_id if self.name else self.path.name.partition(".")[0]

    def _read_orbit_type(self) -> str:
        direction = (self.read_text("OrbitDirection") or "").upper()[:1]
        if direction in ("A", "D"):
            return direction
        return self.name.orbit_type if self.name else "U"

    def _read_version(self) -> str:
        version = self.read_text("ProductVersion")
        return version or (self.name.version[0] if self.name else "")

    def _read_scale(self, dataset: str) -> float:
        scale = np.ravel(self.file[dataset].attrs.get("SCALE FACTOR", [0.01]))
        # The file has 0.01 in float32: as decimal it is 0.01, not 0.00999999978.
        factor = float(str(np.float32(scale[0])))
        if not 0 < factor < 1000:
            raise InputError(
                f"expected a scale factor such as 0.01, found {factor}: {dataset} in {self.path}"
            )
        return factor

    def _read_counts(self, channel: Channel, scans: int, rows: slice) -> tuple[np.ndarray, int, int]:
        dataset = self._get_channel(channel)
        horns = 2 if channel.positions in HORNS else 1
        shapes = [(scans, pixels * horns) for pixels in self.sensor.pixels]
        if dataset.shape not in shapes or dataset.dtype.kind not in "iu":
            raise InputError(
                f"expected whole numbers of shape {shapes[0]}, found {dataset.dtype} {dataset.shape}: "
                f"{channel.get_dataset(self.level)} in {self.path}"
            )
        counts = np.ascontiguousarray(dataset[rows]).astype(np.uint16, copy=False)
        bad, zero = counts >= UNUSABLE, counts == 0
        counts[bad | zero] = FILL_VALUE
        return counts, int(bad.sum()), int(zero.sum())

    def _read_scan_times(self, scans: int) -> np.ndarray:
        if "Scan Time" not in self.file:
            return np.full(scans, np.nan)
        times = np.asarray(self._get_dataset("Scan Time")[:], np.float64)
        if times.shape != (scans,):
            raise InputError(f"expected {scans} scan times, found {times.shape}: {self.path}")
        return times

    def _are_plausible(self, seconds: np.ndarray) -> np.ndarray:
        """Tell which times lie within a day of the name or the attribute: damage makes absurd times."""
        start = self.read_time("ObservationStartDateTime") or (self.name.start if self.name else None)
        if start is None:
            return np.isfinite(seconds)
        with np.errstate(invalid="ignore"):
            return np.abs(seconds - start.timestamp()) < 86400

    def read_time(self, name: str) -> datetime | None:
        """Read a global attribute as UTC time; None where it is absent or no time."""
        try:
            return as_utc(self.read_text(name) or "")
        except ValueError:
            return None

    def _find_nominal_scans(self, seconds: np.ndarray) -> slice:
        """Find the scans that are not overlap: by the numbers in the file, else by the times."""
        scans = len(seconds)
        overlap, nominal = (self._read_number(n) for n in ("OverlapScans", "NumberOfScans"))
        if overlap is not None and overlap >= 0 and (nominal is None or nominal + 2 * overlap == scans):
            return slice(overlap, scans - overlap)
        start, end = (self.read_time(f"Observation{end}DateTime") for end in ("Start", "End"))
        if start is None or end is None:
            logger.warning("%s: says nothing about overlap; all %d scans are kept", self.path, scans)
            return slice(0, scans)
        # The attributes have milliseconds, the scan times more.
        with np.errstate(invalid="ignore"):
            within = (seconds >= start.timestamp() - 0.01) & (seconds <= end.timestamp() + 0.01)
        nominal_scans = np.flatnonzero(within)
        if not nominal_scans.size:
            return slice(0, 0)
        return slice(int(nominal_scans[0]), int(nominal_scans[-1]) + 1)

    def _read_number(self, name: str) -> int | None:
        try:
            return int(float(self.read_text(name) or ""))
        except ValueError:
            return None

    def _read_positions(self, names: list[str], scans: int, rows: slice) -> dict[str, Positions]:
        """Positions by the names that channels give to theirs: frequencies, or "resampled"."""
        a1, a2 = self._read_coefficients("A1"), self._read_coefficients("A2")
        horns = {name if name in HORNS else "89A" for name in names}
        of_horns = {horn: self._read_horn_positions(horn, scans, rows) for horn in horns}
        positions = {}
        for frequency in names:
            if frequency in HORNS:
                positions[frequency] = Positions(*of_horns[frequency], GIVEN)
                continue
            if frequency == RESAMPLED:
                positions[frequency] = Positions(*take_every_second(*of_horns["89A"]), GIVEN)
                continue
            pixels_89a = of_horns["89A"]
            if frequency in a1 and frequency in a2:
                coregistered = coregister(*pixels_89a, a1[frequency], a2[frequency])
                positions[frequency] = Positions(*coregistered, COREGISTERED)
            else:
                logger.warning(
                    "%s: no co-registration coefficients for %s GHz; positions are those of every "
                    "second 89A pixel, 4 to 6 km off",
                    self.path,
                    frequency,
                )
                positions[frequency] = Positions(*take_every_second(*pixels_89a), APPROXIMATED)
        return positions

    def _read_coefficients(self, name: str) -> dict[str, float]:
        return parse_coefficients(self.read_text(f"CoRegistrationParameter{name}") or "")

    def _read_horn_positions(self, horn: str, scans: int, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Read latitude and longitude of an 89 GHz horn; NaN where they are no coordinates."""
        coordinates = []
        for name in ("Latitude", "Longitude"):
            dataset = self._get_dataset(f"{name} of Observation Point for {horn}")
            shapes = [(scans, 2 * pixels) for pixels in self.sensor.pixels]
            if dataset.shape not in shapes:
                raise InputError(
                    f"expected positions of shape {shapes[0]}, found {dataset.shape}: {self.path}"
                )
            coordinates.append(np.asarray(dataset[rows], np.float32))
        latitude, longitude = coordinates
        with np.errstate(invalid="ignore"):
            is_valid = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
        latitude[~is_valid] = longitude[~is_valid] = np.nan
        return latitude, longitude


def parse_coefficients(text: str) -> dict[str, float]:
    """Parse the values of ``CoRegistrationParameterA1`` or ``...A2`` by frequency.

    The first hyphen after the frequency is a separator, a second one is a minus sign. What
    cannot be read is left out.

    Examples
    --------
    >>> parse_coefficients("6G-1.16934, 36G--0.05469")
    {'6.9': 1.16934, '36.5': -0.05469}
    """
    values = {}
    for part in text.split(","):
        match = _COEFFICIENT.match(part.strip())
        if match and match[1] in _FREQUENCIES:
            values[_FREQUENCIES[match[1]]] = float(match[2])
    return values


def coregister(
    latitude: np.ndarray, longitude: np.ndarray, a1: float, a2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the positions of the pixels of a low frequency from those of 89A.

    Pixel i lies, seen from 89A pixel 2i, a1 times the angle to 89A pixel 2i + 1 further
    towards that pixel, and a2 times that angle to the left. O(pixels).

    Parameters
    ----------
    latitude, longitude : ndarray of float, shape (scans, 486)
        Positions of the 89A pixels, degrees north and east. NaN: unknown.
    a1, a2 : float
        Coefficients of the frequency.

    Returns
    -------
    latitude, longitude : ndarray of float32, shape (scans, 243)
        Degrees; longitude -180..180. NaN where either 89A pixel is unknown.

    Examples
    --------
    >>> lat, lon = coregister(np.array([[75.0, 75.03]]), np.array([[-40.0, -40.12]]), 0.80741, 0.05469)
    >>> round(float(lat[0, 0]), 4), round(float(lon[0, 0]), 4)
    (75.0225, -40.1032)
    """
    scans, pixels = latitude.shape
    new_latitude = np.empty((scans, pixels // 2), np.float32)
    new_longitude = np.empty_like(new_latitude)
    for first in range(0, scans, _ROWS):
        rows = slice(first, first + _ROWS)
        vectors = compute_unit_vectors(latitude[rows], longitude[rows])
        x, y, z = _shift_points(vectors[..., 0::2], vectors[..., 1::2], a1, a2)
        new_latitude[rows] = np.degrees(np.arcsin(np.clip(z, -1, 1)))
        new_longitude[rows] = np.degrees(np.arctan2(y, x))
    return new_latitude, new_longitude


def take_every_second(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take the positions of the 89A pixels 2i.

    Those of the resampled pixels of Level 1R; of Level 1B an approximation, about 4 to 6 km off.
    """
    return latitude[:, 0::2].astype(np.float32), longitude[:, 0::2].astype(np.float32)


def _shift_points(p1: np.ndarray, p2: np.ndarray, a1: float, a2: float) -> np.ndarray:
    """Shift p1 by a1 angles towards p2 and a2 angles to the left; shape (3, scans, pixels / 2)."""
    normal = np.cross(p1, p2, axis=0)
    sine = np.sqrt((normal**2).sum(axis=0))
    theta = np.arctan2(sine, (p1 * p2).sum(axis=0))  # exact for small angles, unlike acos
    coincide = sine < _NO_ANGLE
    with np.errstate(invalid="ignore", divide="ignore"):
        ez = normal / sine
    ey = np.cross(ez, p1, axis=0)
    along, across = a1 * theta, a2 * theta
    point = np.cos(across) * (np.cos(along) * p1 + np.sin(along) * ey) + np.sin(across) * ez
    return np.where(coincide, p1, point)
