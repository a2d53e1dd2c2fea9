"""Real spherical harmonics, on the whole sphere or on a region stretched to a hemisphere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice import InputError
from seaice.gapfill import sphere
from seaice.gapfill.field import GappyField

# Fields whose sea reaches farther than this from its middle are fitted on the whole sphere, degrees.
LARGEST_CAP = 60.0
# The rim of the hemisphere stands this much outside the region, as the slope across it is zero.
RIM = 1.15


@dataclass(frozen=True)
class Frame:
    """Coordinates in which the harmonics are taken.

    Attributes
    ----------
    turn : ndarray of float64, shape (3, 3)
        Rows are the new axes; the pole is the last one.
    stretch : float
        Factor of the distance from the pole; 1 on the whole sphere.
    cap : bool
        Only harmonics that are even about the equator.
    """

    turn: np.ndarray
    stretch: float
    cap: bool

    def basis(self, place: np.ndarray, lmax: int) -> np.ndarray:
        """Harmonics at unit vectors of the Earth, float64 (coefficient, place)."""
        x, y, z = self.turn @ place.T
        theta = np.arctan2(np.hypot(x, y), z) * self.stretch
        return real_harmonics(np.minimum(theta, np.pi), np.arctan2(y, x), lmax)[self.kept(lmax)]

    def kept(self, lmax: int) -> np.ndarray:
        """Which coefficients are used, bool ((lmax + 1)^2,)."""
        degree, order = degrees_and_orders(lmax)
        even = (degree + np.abs(order)) % 2 == 0
        return even if self.cap else np.ones(degree.size, bool)


def degrees_and_orders(lmax: int) -> tuple[np.ndarray, np.ndarray]:
    """Degree l and order m of each coefficient: l rises, m runs from -l to l (sines where m < 0)."""
    degree = np.repeat(np.arange(lmax + 1), 2 * np.arange(lmax + 1) + 1)
    return degree, np.arange(degree.size) - degree**2 - degree


def real_harmonics(theta: np.ndarray, phi: np.ndarray, lmax: int) -> np.ndarray:
    """Real spherical harmonics, orthonormal on the sphere.

    Parameters
    ----------
    theta : ndarray of float64, shape (place,)
        Angle from the pole, radians.
    phi : ndarray of float64, shape (place,)
        Longitude, radians.
    lmax : int

    Returns
    -------
    ndarray of float64, shape ((lmax + 1)^2, place)
        In the order of :func:`degrees_and_orders`.

    Examples
    --------
    >>> y = real_harmonics(np.array([0.0]), np.array([0.0]), 1)
    >>> bool(np.allclose(y[:, 0] * np.sqrt(4 * np.pi), [1, 0, np.sqrt(3), 0]))
    True
    """
    out = np.empty(((lmax + 1) ** 2, theta.size))
    x, s = np.cos(theta), np.sin(theta)
    sectoral = np.full(theta.size, np.sqrt(1 / (4 * np.pi)))
    for m in range(lmax + 1):
        if m > 0:
            sectoral = sectoral * s * np.sqrt((2 * m + 1) / (2 * m))
        before, now = np.zeros(theta.size), sectoral
        cosine, sine = np.cos(m * phi), np.sin(m * phi)
        for degree in range(m, lmax + 1):
            if degree > m:
                a = np.sqrt((4.0 * degree**2 - 1) / (degree**2 - m**2))
                b = np.sqrt(((degree - 1.0) ** 2 - m**2) / (4 * (degree - 1.0) ** 2 - 1))
                before, now = now, a * (x * now - b * before)
            middle = degree**2 + degree
            if m == 0:
                out[middle] = now
            else:
                out[middle + m] = np.sqrt(2) * now * cosine
                out[middle - m] = np.sqrt(2) * now * sine
    return out


def choose_frame(gappy: GappyField, coordinates: str) -> Frame:
    """The whole sphere, or a cap for a region.

    Raises
    ------
    InputError
        For an unknown word, or a cap for a field that goes round the Earth.
    """
    if coordinates not in ("auto", "globe", "cap"):
        raise InputError(f"expected coordinates auto, globe or cap, found {coordinates!r}")
    latitude, longitude = sphere.positions(gappy)
    place = sphere.unit_vectors(latitude[gappy.sea], longitude[gappy.sea])
    middle = place.mean(axis=0)
    length = float(np.linalg.norm(middle))
    globe = Frame(np.eye(3), 1.0, False)
    if coordinates == "globe" or (coordinates == "auto" and length < 0.1):
        return globe
    pole = middle / max(length, 1e-9)
    radius = float(np.degrees(np.arccos(np.clip((place @ pole).min(), -1, 1))))
    if coordinates == "auto" and radius > LARGEST_CAP:
        return globe
    if radius > 120 or length < 1e-3:
        raise InputError(
            f"expected a region for coordinates cap, found sea {radius:.0f} degrees from its middle; "
            "take globe"
        )
    east = np.cross([0.0, 0.0, 1.0], pole)
    east = east / np.linalg.norm(east) if np.linalg.norm(east) > 1e-9 else np.array([1.0, 0, 0])
    stretch = (np.pi / 2) / np.radians(max(radius, 0.01) * RIM)
    return Frame(np.stack([east, np.cross(pole, east), pole]), float(stretch), True)
