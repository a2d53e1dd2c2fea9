"""Positions seen by a conical scanner in the orbit of :mod:`seaice.swaths.orbit`.

The numbers are those of AMSR2 on GCOM-W1, the Earth a sphere. Every scan has a number on one
endless clock, and everything about a scan follows from its number: two granules that
both hold it agree to the last bit, which matrix products would not promise.

The antenna looks ahead and turns from right to left. Its samples span 75.7 degrees to either
side, a swath of 1597 km; the 1450 km of the data sheets are the inner 61 degrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.leap_seconds import convert_tai93_to_utc, convert_utc_to_tai93
from seaice.swaths.orbit import (
    EARTH_RADIUS,
    INCLINATION,
    NODE_LOCAL_TIME,
    PERIOD,
    PHASE,
)

SCAN_PERIOD = 1.49985  # seconds, 40 turns a minute
ALTITUDE = 699.6  # kilometres
SAMPLES = 486  # of 89 GHz in a scan; the other channels have every second one
SAMPLE_TIME = 0.0013  # seconds
SAMPLE_ANGLE = np.radians(360 / SCAN_PERIOD * SAMPLE_TIME)
OFF_NADIR = np.radians(47.5)  # of the 89 GHz A feedhorn
# Angle at the centre of the Earth between the satellite and its footprints.
CONE = float(np.arcsin((EARTH_RADIUS + ALTITUDE) / EARTH_RADIUS * np.sin(OFF_NADIR)) - OFF_NADIR)
INCIDENCE = float(np.degrees(OFF_NADIR + CONE))
B_BEHIND_A = 5.0  # kilometres along the track
SPACING = float(np.sin(CONE) * SAMPLE_ANGLE)  # of two samples, at the centre of the Earth

# Coefficients of a true file: where along the scan, in samples of 89 GHz after the sample
# 2 i, and how far across it the beam of each low frequency points.
A1 = {"6.9": 1.16934, "7.3": 0.86160, "10.7": 1.04596, "18.7": 1.08919, "23.8": 1.08342, "36.5": 0.80741}
A2 = {
    "6.9": -0.03576,
    "7.3": -0.04742,
    "10.7": -0.20515,
    "18.7": 0.01587,
    "23.8": -0.06023,
    "36.5": 0.05469,
}
FREQUENCIES = (*A1, "89A", "89B")

# By which the satellite's revolutions since 1970 exceed the orbit number of GCOM-W1: it
# puts orbit 679 on 2012-07-02 23:18 and orbit 40552 on 2020-01-01 00:47, as true files do.
_REVOLUTIONS_BEFORE_LAUNCH = 225_388


@dataclass(frozen=True)
class Footprints:
    """Unit vectors from the centre of the Earth, turning with it, float64 (scans, samples)."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def latitude_longitude(self) -> tuple[np.ndarray, np.ndarray]:
        """Degrees, longitude -180..180, float64 (scans, samples)."""
        latitude = np.degrees(np.arcsin(np.clip(self.z, -1, 1)))
        return latitude, np.degrees(np.arctan2(self.y, self.x))


def compute_scan_times(scans: np.ndarray) -> np.ndarray:
    """Seconds of TAI93 of the middle of scans, float64."""
    return scans * SCAN_PERIOD


def compute_days(scans: np.ndarray) -> np.ndarray:
    """UTC days since 1970-01-01, the time axis of :mod:`seaice.swaths.orbit`, float64."""
    return convert_tai93_to_utc(compute_scan_times(scans)) / 86400


def find_half_orbit(days: float) -> int:
    """Number of the half orbit whose start is nearest to a time; even numbers are ascending passes.

    Parameters
    ----------
    days : float
        UTC days since 1970-01-01.
    """
    return round((days / PERIOD - PHASE + 0.25) * 2)


def compute_half_orbit_start(number: int) -> float:
    """UTC days since 1970-01-01 at which a half orbit starts."""
    return (number / 2 - 0.25 + PHASE) * PERIOD


def find_first_scan(number: int) -> int:
    """Number of the first scan of a half orbit."""
    start = convert_utc_to_tai93(compute_half_orbit_start(number) * 86400)
    return int(np.ceil(float(start) / SCAN_PERIOD))


def compute_orbit_number(half_orbit: int) -> int:
    """Number of the revolution whose ascending node a half orbit holds or follows."""
    return half_orbit // 2 - _REVOLUTIONS_BEFORE_LAUNCH


def compute_path_number(half_orbit: int) -> int:
    """One of the 233 paths of the 16-day cycle, 1..233.

    Paths are numbered westward, so a revolution is 16 paths from the one before. The two
    offsets were read off the names of 14 true granules of 2012 to 2025.
    """
    offset = 13 if half_orbit % 2 == 0 else 29
    return (16 * compute_orbit_number(half_orbit) + offset - 1) % 233 + 1


def compute_orbit_position(scans: np.ndarray) -> np.ndarray:
    """Orbit number and the part flown since the ascending node, float64.

    :mod:`seaice.swaths.orbit` gives the position of the swath, which lies ahead of the satellite.
    """
    return compute_days(scans) / PERIOD - PHASE - CONE / (2 * np.pi) - _REVOLUTIONS_BEFORE_LAUNCH


def find_equator_crossing(half_orbit: int) -> tuple[float, float]:
    """Find the time and the longitude at which the satellite crosses the equator in a half orbit.

    Returns
    -------
    days, longitude : float
        UTC days since 1970-01-01; degrees, -180..180.
    """
    days = compute_half_orbit_start(half_orbit) + (0.25 + CONE / (2 * np.pi)) * PERIOD
    longitude = 360 * (NODE_LOCAL_TIME - days % 1) + (0 if half_orbit % 2 == 0 else 180)
    return days, (longitude + 180) % 360 - 180


def compute_satellite_vectors(scans: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upward, forward and leftward unit vectors of the satellite, turning with the Earth.

    Returns
    -------
    up, forward, left : ndarray of float64, shape (3, scans)
    """
    days = compute_days(scans)
    argument = 2 * np.pi * np.mod(days / PERIOD - PHASE, 1) - CONE
    # The plane of the orbit does not turn against the mean sun, so the Earth turns once a day below it.
    turn = 2 * np.pi * (NODE_LOCAL_TIME - np.mod(days, 1))
    inclination = np.radians(INCLINATION)
    sine, cosine = np.sin(argument), np.cos(argument)
    tilt, slope = np.cos(inclination), np.sin(inclination)
    fixed = (
        (cosine, sine * tilt, sine * slope),
        (-sine, cosine * tilt, cosine * slope),
        (np.zeros_like(sine), np.full_like(sine, -slope), np.full_like(sine, tilt)),
    )
    turned = [
        np.stack([x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn), z])
        for x, y, z in fixed
    ]
    return turned[0], turned[1], turned[2]


def locate_samples(frequency: str) -> np.ndarray:
    """Positions of the beams of a frequency along the scan, in samples of 89 GHz, float64."""
    if frequency in A1:
        return 2 * np.arange(SAMPLES // 2) + A1[frequency]
    return np.arange(float(SAMPLES))


def compute_footprints(
    scans: np.ndarray, frequency: str, *, samples: np.ndarray | None = None
) -> Footprints:
    """Compute the positions where the beams of one frequency meet the ground.

    Parameters
    ----------
    scans : ndarray of int
        Numbers of scans, shape (scans,).
    frequency : str
        One of ``FREQUENCIES``.
    samples : ndarray of float, optional
        Positions along the scan in samples of 89 GHz, in place of those of the beams.

    Returns
    -------
    Footprints
        486 samples of 89A and 89B, 243 of the others.
    """
    sample = locate_samples(frequency) if samples is None else samples
    if frequency in A1:
        cone = CONE - A2[frequency] * SPACING  # positive is towards the satellite
    else:
        cone = CONE - (B_BEHIND_A / EARTH_RADIUS if frequency == "89B" else 0)
    from_middle = sample - (SAMPLES - 1) / 2
    azimuth = from_middle * SAMPLE_ANGLE
    days = from_middle * SAMPLE_TIME / 86400
    flown, turned = 2 * np.pi * days / PERIOD, -2 * np.pi * days
    ahead, aside = np.sin(cone) * np.cos(azimuth), np.sin(cone) * np.sin(azimuth)
    upward = np.cos(cone) * np.cos(flown) - ahead * np.sin(flown)
    forward = np.cos(cone) * np.sin(flown) + ahead * np.cos(flown)
    up, front, left = compute_satellite_vectors(scans)
    x, y, z = (
        upward * up[i][:, None] + forward * front[i][:, None] + aside * left[i][:, None]
        for i in range(3)
    )
    return Footprints(
        x * np.cos(turned) - y * np.sin(turned), x * np.sin(turned) + y * np.cos(turned), z
    )


@dataclass(frozen=True)
class Angles:
    """Directions at the footprints, degrees, float64 (scans, samples).

    Attributes
    ----------
    earth_azimuth : ndarray
        Direction to the point below the satellite, clockwise from north, -180..180.
    sun_azimuth, sun_elevation : ndarray
        Direction to the sun: clockwise from north, -180..180, and above the horizon, -90..90.
    """

    earth_azimuth: np.ndarray
    sun_azimuth: np.ndarray
    sun_elevation: np.ndarray


def compute_angles(scans: np.ndarray, footprints: Footprints) -> Angles:
    """Compute the directions from the footprints to the satellite and to the sun.

    The sun is the mean sun of astronomy, which moves evenly along the equator in the course of a
    day and whose declination is a cosine of the day of the year.

    Parameters
    ----------
    scans : ndarray of int, shape (scans,)
        Numbers of the scans.
    footprints : Footprints
        Footprints of these scans.

    Returns
    -------
    Angles
        Degrees, float64 (scans, samples).
    """
    days = compute_days(scans)
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (days + 10) / 365.25)
    noon = np.pi - 2 * np.pi * np.mod(days, 1)
    sun = np.stack(
        [np.cos(declination) * np.cos(noon), np.cos(declination) * np.sin(noon), np.sin(declination)]
    )
    height = (footprints.x * sun[0][:, None] + footprints.y * sun[1][:, None]) + footprints.z * sun[2][
        :, None
    ]
    return Angles(
        _compute_azimuth(footprints, compute_satellite_vectors(scans)[0]),
        _compute_azimuth(footprints, sun),
        np.degrees(np.arcsin(np.clip(height, -1, 1))),
    )


def _compute_azimuth(footprints: Footprints, target: np.ndarray) -> np.ndarray:
    """Azimuth of a direction that is given for each scan, shape (3, scans)."""
    east = footprints.x * target[1][:, None] - footprints.y * target[0][:, None]
    level = footprints.x * target[0][:, None] + footprints.y * target[1][:, None]
    north = (1 - footprints.z**2) * target[2][:, None] - footprints.z * level
    return np.degrees(np.arctan2(east, north))
