"""Where the low-frequency pixels of AMSR2 Level 1B lie, from the positions of the 89A pixels.

The file gives positions for 89 GHz only. Each other frequency looks along and across the
scan a little aside of the 89A pixels, by two coefficients that stand in the file.

References
----------
JAXA, AMSR2 Level 1 Product Format Specification; AMSR2 Data Users' Manual.
"""

from __future__ import annotations

import re

import numpy as np

_COEFFICIENT = re.compile(r"(\d+)G-(-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)$")
_FREQUENCIES = {"6": "6.9", "7": "7.3", "10": "10.7", "18": "18.7", "23": "23.8", "36": "36.5"}
_NO_ANGLE = 1e-6  # sine of the angle of two pixels below which they are one
_ROWS = 128  # scans at a time: the unit vectors of a block stay in the cache


def parse_coefficients(text: str) -> dict[str, float]:
    """The values of ``CoRegistrationParameterA1`` or ``...A2`` by frequency.

    The first hyphen after the frequency is a separator, a second one is a minus sign. What
    cannot be read is left out.

    Examples
    --------
    >>> parse_coefficients("6G-1.16934, 36G--0.05469")
    {'6.9': 1.16934, '36.5': -0.05469}
    """
    values = {}
    for part in text.split(","):
        found = _COEFFICIENT.match(part.strip())
        if found and found[1] in _FREQUENCIES:
            values[_FREQUENCIES[found[1]]] = float(found[2])
    return values


def coregister(
    latitude: np.ndarray, longitude: np.ndarray, a1: float, a2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pixels of a low frequency.

    Pixel i lies, seen from 89A pixel 2i, a1 times the angle to 89A pixel 2i + 1 on towards
    that pixel, and a2 times that angle to the left of the way. O(pixels).

    Parameters
    ----------
    latitude, longitude : ndarray of float, shape (scans, 486)
        Of the 89A pixels, degrees north and east. NaN: unknown.
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
        vectors = _unit_vectors(latitude[rows], longitude[rows])
        x, y, z = _between(vectors[..., 0::2], vectors[..., 1::2], a1, a2)
        new_latitude[rows] = np.degrees(np.arcsin(np.clip(z, -1, 1)))
        new_longitude[rows] = np.degrees(np.arctan2(y, x))
    return new_latitude, new_longitude


def every_second(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 89A pixels 2i as an approximation: about 4 to 6 km off."""
    return latitude[:, 0::2].astype(np.float32), longitude[:, 0::2].astype(np.float32)


def _unit_vectors(latitude: np.ndarray, longitude: np.ndarray) -> np.ndarray:
    """Geocentric unit vectors, float64, shape (3, scans, pixels)."""
    lat, lon = np.radians(latitude, dtype=np.float64), np.radians(longitude, dtype=np.float64)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _between(p1: np.ndarray, p2: np.ndarray, a1: float, a2: float) -> np.ndarray:
    """The points at (a1, a2) of the frames that p1 and p2 span; shape (3, scans, pixels / 2)."""
    normal = np.cross(p1, p2, axis=0)
    sine = np.sqrt((normal**2).sum(axis=0))
    theta = np.arctan2(sine, (p1 * p2).sum(axis=0))  # exact for small angles, unlike acos
    one = sine < _NO_ANGLE
    with np.errstate(invalid="ignore", divide="ignore"):
        ez = normal / sine
    ey = np.cross(ez, p1, axis=0)
    along, across = a1 * theta, a2 * theta
    point = np.cos(across) * (np.cos(along) * p1 + np.sin(along) * ey) + np.sin(across) * ez
    return np.where(one, p1, point)
