"""AMSR2 Level 1B granules: names, times, brightness temperatures, positions.

References
----------
JAXA, AMSR2 Level 1 Product Format Specification (GCOM-W1), https://gportal.jaxa.jp.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seaice import InputError
from seaice.channels import LOW_FREQUENCIES, Channel, as_channels
from seaice.coregistration import coregister, every_second, parse_coefficients
from seaice.leap_seconds import utc_from_tai93
from seaice.sources.hdf5_damage import explained, heaps_are_whole
from seaice.swath import (
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

DEFAULT_CHANNELS = ("36.5H",)
Overlap = Literal["trim", "keep"]

# What damage makes of a file: also absurd sizes, and groups where datasets should be.
_UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    MemoryError,
)

_NAME = re.compile(
    r"GW1AM2_(?P<start>\d{12})_(?P<path>\d{3})(?P<orbit>[AD])_L1\w\wBTBR_(?P<version>\d{7})$"
)


@dataclass(frozen=True)
class GranuleName:
    """What the name of a Level 1B granule says.

    Attributes
    ----------
    granule_id : str
        The name without ``.h5``.
    start : datetime
        UTC, to the minute, of the first scan that is not overlap.
    path_number : int
        1..233.
    orbit_type : str
        "A" ascending, "D" descending.
    version : str
        Product version (1 digit), algorithm and parameter version (3 digits each).
    """

    granule_id: str
    start: datetime
    path_number: int
    orbit_type: str
    version: str

    @classmethod
    def parse(cls, name: str) -> GranuleName | None:
        """The parts of a file name or granule id; None of any other name.

        Examples
        --------
        >>> GranuleName.parse("GW1AM2_201307010942_035A_L1SGBTBR_2220220.h5").orbit_type
        'A'
        """
        granule_id = name.removesuffix(".h5")
        found = _NAME.match(granule_id)
        if not found:
            return None
        try:
            start = datetime.strptime(found["start"], "%Y%m%d%H%M").replace(tzinfo=UTC)
        except ValueError:
            return None
        return cls(granule_id, start, int(found["path"]), found["orbit"], found["version"])


def list_granules(folder: Path) -> list[Path]:
    """Level 1B files of a folder and those below it, by name.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"expected a folder of AMSR2 L1B granules, found none: {folder}")
    found = [
        path for path in folder.rglob("GW1AM2_*.h5") if GranuleName.parse(path.name) and path.is_file()
    ]
    return sorted(found, key=lambda path: (path.name, path))


def start_of(path: Path) -> datetime | None:
    """UTC start of a granule as it says itself, to the millisecond; None where it cannot be read."""
    import h5py

    try:
        if not heaps_are_whole(path):
            return None
        with h5py.File(path, "r") as file:
            return _Granule(path, file).moment("ObservationStartDateTime")
    except _UNREADABLE:
        return None


def read_granule(
    path: Path,
    *,
    channels: Sequence[str] = DEFAULT_CHANNELS,
    coordinates: bool = True,
    overlap: Overlap = "trim",
) -> Swath:
    """Read channels of a granule.

    Raw counts stay as they are in the file, with one missing value: 65534, 65535 and the
    impossible 0 all become 65535, and are counted apart.

    Parameters
    ----------
    path : Path
    channels : sequence of str
        Such as "36.5H"; see :data:`seaice.channels.CHANNELS`.
    coordinates : bool
        Positions as well, of every frequency asked for.
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
    import h5py

    wanted = as_channels(channels)
    try:
        if not heaps_are_whole(path):
            raise OSError("its texts are damaged")
        with h5py.File(path, "r") as file:
            return _Granule(path, file).swath(wanted, coordinates=coordinates, overlap=overlap)
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(explained(path, error)) from error


class _Granule:
    """An open granule."""

    def __init__(self, path: Path, file: Any) -> None:
        self.path = path
        self.file = file
        self.name = GranuleName.parse(path.name.removesuffix(".part"))

    def swath(self, channels: Iterable[Channel], *, coordinates: bool, overlap: Overlap) -> Swath:
        channels = tuple(channels)
        scans = self._dataset(channels[0].dataset).shape[0]
        seconds = utc_from_tai93(self._scan_times(scans))
        seconds[~self._plausible(seconds)] = np.nan
        rows = self._nominal(seconds) if overlap == "trim" else slice(0, scans)
        if rows.stop <= rows.start:
            raise InputError(f"expected scans besides the overlap, found none of {scans}: {self.path}")
        read = {channel.name: self._counts(channel, scans, rows) for channel in channels}
        missing = {name: part[1] for name, part in read.items()}
        zeros = {name: part[2] for name, part in read.items()}
        swath = Swath(
            counts={name: part[0] for name, part in read.items()},
            scale_factors={channel.name: self._scale(channel.dataset) for channel in channels},
            scan_times=seconds[rows],
            granule_id=self._granule_id(),
            orbit_type=self._orbit_type(),
            details={
                "start_time": self._attribute("ObservationStartDateTime"),
                "end_time": self._attribute("ObservationEndDateTime"),
                "product_version": self._version(),
                "overlap_scans_trimmed": [rows.start, scans - rows.stop],
                "missing_count": sum(missing.values()),
                "zero_count": sum(zeros.values()),
            },
        )
        if not coordinates:
            return swath
        places = self._positions([channel.frequency for channel in channels], scans, rows)
        return replace(swath, positions=places)

    def _dataset(self, name: str) -> Any:
        if name not in self.file:
            like = [n for n in self.file if n.startswith(name[:22])]
            raise InputError(
                f"expected the dataset «{name}», found {', '.join(like) or 'nothing alike'} in "
                f"{self.path}: is it an L1B granule?"
            )
        return self.file[name]

    def _attribute(self, name: str) -> str | None:
        """A global attribute as text: they are arrays of one string."""
        if name not in self.file.attrs:
            return None
        value = np.ravel(self.file.attrs[name])
        if not value.size:
            return None
        text = value[0].decode("ascii", "replace") if isinstance(value[0], bytes) else str(value[0])
        return text.strip("\x00 ")

    def _granule_id(self) -> str:
        """The granule's own name for itself; the file may have been renamed."""
        own = GranuleName.parse(self._attribute("GranuleID") or "")
        known = own or self.name
        return known.granule_id if known else self.path.name.partition(".")[0]

    def _orbit_type(self) -> str:
        own = (self._attribute("OrbitDirection") or "").upper()[:1]
        if own in ("A", "D"):
            return own
        return self.name.orbit_type if self.name else "U"

    def _version(self) -> str:
        own = self._attribute("ProductVersion")
        return own or (self.name.version[0] if self.name else "")

    def _scale(self, dataset: str) -> float:
        scale = np.ravel(self.file[dataset].attrs.get("SCALE FACTOR", [0.01]))
        # The file has 0.01 in float32: as decimal it is 0.01, not 0.00999999978.
        factor = float(str(np.float32(scale[0])))
        if not 0 < factor < 1000:
            raise InputError(
                f"expected a scale factor such as 0.01, found {factor}: {dataset} in {self.path}"
            )
        return factor

    def _counts(self, channel: Channel, scans: int, rows: slice) -> tuple[np.ndarray, int, int]:
        dataset = self._dataset(channel.dataset)
        if dataset.shape != (scans, channel.pixels) or dataset.dtype.kind not in "iu":
            raise InputError(
                f"expected whole numbers of shape {(scans, channel.pixels)}, found {dataset.dtype} "
                f"{dataset.shape}: {channel.dataset} in {self.path}"
            )
        counts = np.ascontiguousarray(dataset[rows]).astype(np.uint16, copy=False)
        bad, zero = counts >= UNUSABLE, counts == 0
        counts[bad | zero] = FILL_VALUE
        return counts, int(bad.sum()), int(zero.sum())

    def _scan_times(self, scans: int) -> np.ndarray:
        if "Scan Time" not in self.file:
            return np.full(scans, np.nan)
        times = np.asarray(self.file["Scan Time"][:], np.float64)
        if times.shape != (scans,):
            raise InputError(f"expected {scans} scan times, found {times.shape}: {self.path}")
        return times

    def _plausible(self, seconds: np.ndarray) -> np.ndarray:
        """Times within a day of the name or the attribute: damage makes absurd ones."""
        start = self.moment("ObservationStartDateTime") or (self.name.start if self.name else None)
        if start is None:
            return np.isfinite(seconds)
        with np.errstate(invalid="ignore"):
            return np.abs(seconds - start.timestamp()) < 86400

    def moment(self, name: str) -> datetime | None:
        """A global attribute as UTC time; None where it is none."""
        try:
            return as_utc(self._attribute(name) or "")
        except ValueError:
            return None

    def _nominal(self, seconds: np.ndarray) -> slice:
        """Scans that are not overlap: by the file's numbers, else by the times."""
        scans = len(seconds)
        overlap, nominal = (self._number(n) for n in ("OverlapScans", "NumberOfScans"))
        if overlap is not None and overlap >= 0 and (nominal is None or nominal + 2 * overlap == scans):
            return slice(overlap, scans - overlap)
        start, end = (self.moment(f"Observation{which}DateTime") for which in ("Start", "End"))
        if start is None or end is None:
            logger.warning("%s: says nothing about overlap; all %d scans are kept", self.path, scans)
            return slice(0, scans)
        # The attributes have milliseconds, the scan times more.
        with np.errstate(invalid="ignore"):
            within = (seconds >= start.timestamp() - 0.01) & (seconds <= end.timestamp() + 0.01)
        known = np.flatnonzero(within)
        return slice(int(known[0]), int(known[-1]) + 1) if known.size else slice(0, 0)

    def _number(self, name: str) -> int | None:
        try:
            return int(float(self._attribute(name) or ""))
        except ValueError:
            return None

    def _positions(self, frequencies: list[str], scans: int, rows: slice) -> dict[str, Positions]:
        a1, a2 = self._coefficients("A1"), self._coefficients("A2")
        horns = {name if name not in LOW_FREQUENCIES else "89A" for name in frequencies}
        given = {horn: self._given(horn, scans, rows) for horn in horns}
        positions = {}
        for frequency in dict.fromkeys(frequencies):
            if frequency in given:
                positions[frequency] = Positions(*given[frequency], GIVEN)
                continue
            places = given["89A"]
            if frequency in a1 and frequency in a2:
                coregistered = coregister(*places, a1[frequency], a2[frequency])
                positions[frequency] = Positions(*coregistered, COREGISTERED)
            else:
                logger.warning(
                    "%s: no co-registration coefficients for %s GHz; positions are those of every "
                    "second 89A pixel, 4 to 6 km off",
                    self.path,
                    frequency,
                )
                positions[frequency] = Positions(*every_second(*places), APPROXIMATED)
        return positions

    def _coefficients(self, name: str) -> dict[str, float]:
        return parse_coefficients(self._attribute(f"CoRegistrationParameter{name}") or "")

    def _given(self, horn: str, scans: int, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """Latitude and longitude of an 89 GHz horn; NaN where abnormal."""
        places = []
        for what in ("Latitude", "Longitude"):
            dataset = self._dataset(f"{what} of Observation Point for {horn}")
            if dataset.shape != (scans, 486):
                raise InputError(
                    f"expected positions of shape {(scans, 486)}, found {dataset.shape}: {self.path}"
                )
            places.append(np.asarray(dataset[rows], np.float32))
        latitude, longitude = places
        with np.errstate(invalid="ignore"):
            known = (np.abs(latitude) <= 90) & (np.abs(longitude) <= 180)
        latitude[~known] = longitude[~known] = np.nan
        return latitude, longitude
