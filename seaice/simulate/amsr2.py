"""Simulated AMSR2 level 1 granules in the exact layout of the true files.

A granule is half a revolution of GCOM-W1 (:mod:`seaice.swaths.orbit`), scanned as AMSR2 scans
(:mod:`seaice.simulate.scan_geometry`), over an invented globe (:mod:`seaice.simulate.amsr2_signal`).
All of it is a function of the scan alone, so that the overlap scans of a granule are those
of its neighbours to the last bit. No value was measured, and each file says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from seaice import InputError
from seaice.leap_seconds import convert_tai93_to_time, convert_tai93_to_utc, convert_time_to_tai93
from seaice.simulate import damage
from seaice.simulate import scan_geometry as geometry
from seaice.simulate.amsr2_layout import (
    BAD_SCAN_TIME,
    NO_ANGLE,
    NO_FLAG,
    NO_PLACE,
    NO_VALUE,
    NOT_USABLE,
    Variable,
    make_variables,
    name_brightness,
    write_file,
)
from seaice.swaths import orbit

GranuleDefect = Literal[
    "truncated",
    "bit_flipped",
    "html",
    "no_coefficients",
    "no_overlap_attribute",
    "all_missing",
    "zeros",
    "bad_scans",
    "no_channel",
    "no_direction",
]
STANDARD = "L1SGBTBR_2220220"

_PRODUCT = re.compile(r"L1(SG|DL)(BTB|RTB)R_(\d)(\d{3})(\d{3})")
_MAIN_CHANNEL = name_brightness("36.5", "H")
_REMARK = "Simulated: no value in this file was measured"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedGranule:
    """Half a revolution, as the archive names it.

    Attributes
    ----------
    start, end : datetime
        First and last scan without the overlap, UTC, whole milliseconds (cut at the start,
        the next at the end, so that both scans lie between them).
    ascending : bool
    path_number : int
        1..233.
    orbit_number : int
        Number of the revolution whose ascending node the granule holds or follows.
    node_longitude : float
        Longitude where the swath crosses the equator northward, degrees east.
    """

    start: datetime
    end: datetime
    ascending: bool
    path_number: int
    orbit_number: int
    node_longitude: float

    @property
    def granule_id(self) -> str:
        """Name of the standard L1B file, without ``.h5``."""
        return self.name(STANDARD)

    def name(self, product: str) -> str:
        """Name of the granule in another product, such as ``L1SGRTBR_2220220``."""
        letter = "A" if self.ascending else "D"
        return f"GW1AM2_{self.start:%Y%m%d%H%M}_{self.path_number:03d}{letter}_{product}"


def list_simulated_granules(start: datetime, end: datetime) -> list[SimulatedGranule]:
    """List the granules whose nominal start lies in a closed span of time, in order.

    Parameters
    ----------
    start, end : datetime
        UTC, with their zone.

    Returns
    -------
    list of SimulatedGranule
        About 29.125 a day, each beginning where the one before ends.

    Raises
    ------
    InputError
        If a time has no time zone.

    Examples
    --------
    >>> first, *later = list_simulated_granules(
    ...     datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC)
    ... )
    >>> first.granule_id, len(later)
    ('GW1AM2_202001010045_189D_L1SGBTBR_2220220', 28)
    """
    for time in (start, end):
        convert_time_to_tai93(time)  # refuses a time without a zone
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    # A granule begins with the first scan of its half orbit, a time after that.
    day, last = (start - timedelta(minutes=1)).date(), end.date()
    granules = []
    while day <= last:
        granules += [_make_granule(half) for half in orbit.list_half_orbits(day)]
        day += timedelta(days=1)
    return [granule for granule in granules if start <= granule.start <= end]


def _make_granule(half: orbit.HalfOrbit) -> SimulatedGranule:
    number = geometry.find_half_orbit(half.start)
    first, last = geometry.find_first_scan(number), geometry.find_first_scan(number + 1) - 1
    times = geometry.compute_scan_times(np.array([first, last]))
    return SimulatedGranule(
        convert_tai93_to_time(times[0]),
        convert_tai93_to_time(times[1], up=True),
        half.ascending,
        geometry.compute_path_number(number),
        geometry.compute_orbit_number(number),
        half.node_longitude,
    )


def compute_true_positions(
    granule: SimulatedGranule, frequency: str, *, scans: int | None = None, overlap: int = 30
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the true positions of the footprints of a granule.

    They come from the geometry of the scan, not from the positions and coefficients in the file.

    Parameters
    ----------
    granule : SimulatedGranule
    frequency : str
        ``6.9``, ``7.3``, ``10.7``, ``18.7``, ``23.8``, ``36.5``, ``89A`` or ``89B``.
    scans, overlap : int, optional
        As for :func:`write_granule`.

    Returns
    -------
    latitude, longitude : ndarray of float64, shape (scans + 2 * overlap, 243 or 486)
        Degrees, longitude -180..180.

    Raises
    ------
    InputError
        If the frequency or the number of scans is not possible.
    """
    if frequency not in geometry.FREQUENCIES:
        frequencies = ", ".join(geometry.FREQUENCIES)
        raise InputError(f"expected a frequency of {frequencies}, found {frequency!r}")
    numbers = _number_scans(granule, scans, overlap)
    return geometry.compute_footprints(numbers, frequency).latitude_longitude()


def write_granule(
    folder: Path,
    granule: SimulatedGranule,
    *,
    scans: int | None = None,
    overlap: int = 30,
    seed: int = 0,
    defect: GranuleDefect | None = None,
    product: str = STANDARD,
) -> Path:
    """Write the file of a granule; a file of the same name is replaced.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.
    granule : SimulatedGranule
        One of :func:`list_simulated_granules`.
    scans : int, optional
        Nominal scans; a granule shorter than its half orbit ends early. All by default.
    overlap : int, optional
        Scans before and after those, which the neighbours hold too.
    seed : int, optional
        The invented globe and the noise.
    defect : str, optional
        What is wrong with the file, one of :data:`GranuleDefect`.
    product : str, optional
        Last part of the name: level, kind and version. ``RTB`` gives the layout of L1R.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If a parameter is not possible.
    """
    match = _PRODUCT.fullmatch(product)
    if match is None:
        raise InputError(f"expected a product such as {STANDARD}, found {product!r}")
    if defect is not None and defect not in get_args(GranuleDefect):
        kinds = ", ".join(get_args(GranuleDefect))
        raise InputError(f"unknown defect {defect!r}; known are {kinds}")
    numbers = _number_scans(granule, scans, overlap)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{granule.name(product)}.h5"
    if defect == "html":
        path.write_text(damage.ERROR_PAGE)
        return path
    resampled = match[2] == "RTB"
    contents = make_variables(numbers, seed=seed, resampled=resampled)
    attributes = _make_attributes(granule, numbers, overlap, match, contents)
    _spoil(contents, attributes, overlap, defect)
    write_file(path, contents, attributes)
    if defect == "truncated":
        damage.cut_in_half(path)
    elif defect == "bit_flipped":
        damage.flip_bit(path, _choose_main_channel(contents))
    return path


def _number_scans(granule: SimulatedGranule, scans: int | None, overlap: int) -> np.ndarray:
    """Numbers of the scans of a file."""
    start = convert_time_to_tai93(granule.start)
    first = round(start / geometry.SCAN_PERIOD)
    days = float(convert_tai93_to_utc(start)) / 86400
    full = geometry.find_first_scan(geometry.find_half_orbit(days) + 1) - first
    if scans is not None and not 1 <= scans <= full:
        raise InputError(f"expected 1 to {full} scans for {granule.granule_id}, found {scans}")
    if overlap < 0:
        raise InputError(f"expected 0 or more overlap scans, found {overlap}")
    return np.arange(first - overlap, first + (scans or full) + overlap)


def _make_attributes(
    granule: SimulatedGranule,
    scans: np.ndarray,
    overlap: int,
    product: re.Match[str],
    contents: dict[str, Variable],
) -> dict[str, str]:
    """Global attributes in the order of the true files, all text."""
    nominal = scans[overlap : len(scans) - overlap]
    times = geometry.compute_scan_times(nominal)
    start, end = convert_tai93_to_time(times[0]), convert_tai93_to_time(times[-1], up=True)
    half = geometry.find_half_orbit(float(geometry.compute_days(nominal[0])))
    crossing_days, crossing_longitude = geometry.find_equator_crossing(half)
    crossing = _EPOCH + timedelta(days=crossing_days)
    orbits = np.floor(geometry.compute_orbit_position(nominal[[0, -1]])).astype(int)
    size = sum(variable.values.nbytes for variable in contents.values()) / 1e6
    attributes = {
        "ProductName": "AMSR2-L1R" if product[2] == "RTB" else "AMSR2-L1B",
        "GranuleID": granule.name(product[0]),
        "ProductVersion": product[3],
        "AlgorithmVersion": product[4],
        "ParameterVersion": product[5],
        "ProductionDateTime": _format_time(end + timedelta(hours=2)),
        "ProductSize_MByte": f"{size:.1f}",
        "ObservationStartDateTime": _format_time(start),
        "ObservationEndDateTime": _format_time(end),
        "EquatorCrossingDateTime": _format_time(crossing),
        "EquatorCrossingLongitude": f"{crossing_longitude:.2f}",
        "PassNumber": str(granule.path_number),
        "StartOrbitNumber": str(orbits[0]),
        "StopOrbitNumber": str(orbits[1]),
        "OrbitDirection": "Ascending" if granule.ascending else "Descending",
        "NumberOfScans": str(len(nominal)),
        "OverlapScans": str(overlap),
        "NumberOfMissingScans": "0",
        "NumberOfPackets": str(16 * len(scans)),
        "NumberMissingPackets": "0",
        "NumberOfGoodPackets": str(16 * len(scans)),
    }
    attributes |= _describe_outline(contents, overlap)
    return attributes | _make_fixed_attributes(granule, product)


def _describe_outline(contents: dict[str, Variable], overlap: int) -> dict[str, str]:
    """Eight points around the nominal part, from the first sample of the first scan."""
    corners_by_word = {}
    for word in ("Latitude", "Longitude"):
        values = contents[f"{word} of Observation Point for 89A"].values
        rows, columns = (overlap, len(values) // 2, len(values) - 1 - overlap), (0, 242, 485)
        corners = ((0, 0), (1, 0), (2, 0), (2, 1), (2, 2), (1, 2), (0, 2), (0, 1))
        corners_by_word[f"GringPoint{word}"] = ",".join(
            f"{values[rows[r], columns[c]]:.2f}" for r, c in corners
        )
    return corners_by_word


def _make_fixed_attributes(granule: SimulatedGranule, product: re.Match[str]) -> dict[str, str]:
    attributes = {
        "OrbitDataType": "ONBOARD",
        "OrbitDataFileName": f"GW1_{granule.start:%Y%m%d}_simulated",
        "NumberOfInputFiles": "1",
        "InputFileName": f"{granule.name(product[0])}.L1A",
        "PlatformShortName": "GCOM-W1",
        "SensorShortName": "AMSR2",
        "AntennaRotationVelocity": "40.0",
        "AutomaticQAFlag": "Fair",
        "AutomaticQAFlagExplanation": _REMARK,
        "EphemerisQA": "OK",
        "QAPercentMissingData": "0",
        "QAPercentOutofBoundsData": "0",
        "QAPercentParityErrorData": "0",
        "ECSDataModel": "B.0",
        "Operation": "Standard" if product[1] == "SG" else "Near real time",
        "PGEName": "seaice.simulate.amsr2",
        "ProcessingCenter": "Simulation",
        "ContactOrganizationName": "Simulation",
    }
    for name, coefficients in (("A1", geometry.A1), ("A2", geometry.A2)):
        text = ",".join(f"{key.split('.')[0]}G-{value:.5f}" for key, value in coefficients.items())
        attributes[f"CoRegistrationParameter{name}"] = text
    bands = [f"{key.split('.')[0]}G" for key in geometry.FREQUENCIES]
    for name in ("CalibrationCurveCoefficient#1", "CoefficientAvv", "CoefficientAhh"):
        attributes[name] = ",".join(f"{band}-1.00000" for band in bands)
    return attributes


def _format_time(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time.microsecond // 1000:03d}Z"


def _list_temperatures(contents: dict[str, Variable]) -> list[np.ndarray]:
    return [v.values for name, v in contents.items() if name.startswith("Brightness Temperature")]


def _choose_main_channel(contents: dict[str, Variable]) -> str:
    """Name of the 36.5 GHz horizontal channel, in L1R at its finest resolution."""
    name = _MAIN_CHANNEL
    return name if name in contents else name.replace("(", "(res36,")


def _spoil(
    contents: dict[str, Variable],
    attributes: dict[str, str],
    overlap: int,
    defect: GranuleDefect | None,
) -> None:
    """Bring a defect into what is about to be written."""
    if defect == "no_coefficients":
        del attributes["CoRegistrationParameterA1"], attributes["CoRegistrationParameterA2"]
    elif defect == "no_overlap_attribute":
        del attributes["OverlapScans"]
    elif defect == "no_direction":
        del attributes["OrbitDirection"]
    elif defect == "no_channel":
        del contents[_choose_main_channel(contents)]
    elif defect == "all_missing":
        for values in _list_temperatures(contents):
            values[:] = NO_VALUE
    elif defect == "zeros":
        for values in _list_temperatures(contents):
            values.flat[7::101] = 0
    elif defect == "bad_scans":
        missing = _spoil_scans(contents, overlap)
        attributes["NumberOfMissingScans"] = str(missing)


def _spoil_scans(contents: dict[str, Variable], overlap: int) -> int:
    """Lose up to three scans a quarter into the nominal part, and half of the middle scan.

    The lost scans have no time, no positions and no values. The middle one has its time and
    positions, but half of its temperatures are marked as not usable.

    Returns
    -------
    int
        Scans lost.
    """
    nominal = len(contents["Scan Time"].values) - 2 * overlap
    first, middle = overlap + nominal // 4, overlap + nominal // 2
    lost = slice(first, min(first + 3, middle)) if nominal > 1 else slice(first, first + 1)
    for values in _list_temperatures(contents):
        values[middle, values.shape[1] // 2 :] = NOT_USABLE
        values[lost] = NO_VALUE
    for name, variable in contents.items():
        if "Observation Point" in name:
            variable.values[lost] = NO_PLACE
        elif name.startswith(("Earth", "Sun ")):
            variable.values[lost] = NO_ANGLE
        elif name.startswith("Land_Ocean"):
            variable.values[:, lost] = NO_FLAG
    contents["Scan Time"].values[lost] = BAD_SCAN_TIME
    return lost.stop - lost.start
