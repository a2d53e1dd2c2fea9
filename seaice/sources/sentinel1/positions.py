"""Latitude and longitude of the pixels of an image, from points whose positions are in the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from seaice import InputError
from seaice.grids.sphere import compute_unit_vectors
from seaice.sources.ai4arctic.geolocation import EARTH_RADIUS_METRES, Geolocation
from seaice.sources.sentinel1.documents import Document

_LATTICE = 21
_HIGHEST_ORDER = 4


class Residual(NamedTuple):
    """Distance between points that a fit did not use and their fitted positions.

    Attributes
    ----------
    rms, largest : float
        Metres; NaN where there are too few points.
    method : str
    """

    rms: float
    largest: float
    method: str

    def __str__(self) -> str:
        if np.isnan(self.rms):
            return f"{self.method}, too few points for a residual"
        return f"{self.method}, residual {self.rms:.2g} m rms and at most {self.largest:.2g} m"


@dataclass(frozen=True)
class TiePoints:
    """Grid of points of a product; whole numbers of lines and samples are centres of pixels.

    Attributes
    ----------
    lines : ndarray of float64, shape (m,)
    samples : ndarray of float64, shape (n,)
    latitude, longitude, incidence : ndarray of float64, shape (m, n)
        Degrees.
    """

    lines: np.ndarray
    samples: np.ndarray
    latitude: np.ndarray
    longitude: np.ndarray
    incidence: np.ndarray

    def locate_pixels(self, shape: tuple[int, int], factor: int) -> tuple[Geolocation, Residual]:
        """Positions of pixels that are means of ``factor`` x ``factor`` pixels of the product.

        Parameters
        ----------
        shape : (int, int)
            Lines and samples of the means.
        factor : int

        Returns
        -------
        Geolocation
            Cubic splines in unit vectors through all points.
        Residual
            Of splines through every second point, at the other points.
        """
        lines, samples = (compute_mean_index(axis, factor) for axis in (self.lines, self.samples))
        positions = Geolocation(lines, samples, self.latitude, self.longitude, shape)
        return positions, _measure_residual(positions)

    def interpolate_incidence(self, shape: tuple[int, int], factor: int) -> np.ndarray:
        """Interpolate the incidence angle, degrees, float32 ``shape``; bilinear."""
        from scipy.interpolate import RectBivariateSpline

        lines, samples = (compute_mean_index(axis, factor) for axis in (self.lines, self.samples))
        spline = RectBivariateSpline(lines, samples, self.incidence, kx=1, ky=1, s=0)
        return np.asarray(spline(np.arange(shape[0]), np.arange(shape[1])), np.float32)


def compute_mean_index(index: np.ndarray, factor: int) -> np.ndarray:
    """Convert numbers of pixels to those of means of ``factor`` pixels.

    Examples
    --------
    >>> compute_mean_index(np.array([0.0, 1.0, 2.5]), 2).tolist()
    [-0.25, 0.25, 1.0]
    """
    return np.asarray((index - (factor - 1) / 2) / factor)


def read_tie_points(document: Document) -> TiePoints:
    """Read the grid of points of an annotation.

    Raises
    ------
    InputError
        If points are absent, off the Earth or no grid.
    """
    names = ("line", "pixel", "latitude", "longitude", "incidenceAngle")
    path = "geolocationGrid/geolocationGridPointList/geolocationGridPoint"
    points = np.array(
        [[point.read_number(name) for name in names] for point in document.list_elements(path)]
    ).reshape(-1, len(names))
    lines, samples = np.unique(points[:, 0]), np.unique(points[:, 1])
    shape = (lines.size, samples.size)
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    grid = np.stack(np.meshgrid(lines, samples, indexing="ij"), axis=-1).reshape(-1, 2)
    if min(shape) < 2 or ordered.shape[0] != len(grid) or (ordered[:, :2] != grid).any():
        raise InputError(
            f"expected a grid of geolocation points, found {len(points)} on {shape[0]} lines and "
            f"{shape[1]} pixels in {document.name}; download the product again"
        )
    latitude, longitude, incidence = (ordered[:, k].reshape(shape) for k in (2, 3, 4))
    if np.abs(latitude).max() > 90 or np.abs(longitude).max() > 360:
        raise InputError(
            f"expected geolocation points on Earth, found latitude {latitude.min():g} to "
            f"{latitude.max():g} in {document.name}; download the product again"
        )
    return TiePoints(lines, samples, latitude, longitude, incidence)


def _measure_residual(positions: Geolocation) -> Residual:
    rows, columns = (np.arange(0, axis.size, 2) for axis in (positions.lines, positions.samples))
    method = f"splines through {positions.latitude.size} points of a grid"
    if min(rows.size, columns.size) < 4:
        return Residual(np.nan, np.nan, method)
    half = np.ix_(rows, columns)
    coarse = Geolocation(
        positions.lines[rows],
        positions.samples[columns],
        positions.latitude[half],
        positions.longitude[half],
        positions.shape,
    )
    # Points beyond the last one that is used would be extrapolated.
    lines, samples = (
        axis[: keep[-1] + 1] for axis, keep in ((positions.lines, rows), (positions.samples, columns))
    )
    inside = np.s_[: lines.size, : samples.size]
    fitted = coarse.interpolate(*np.meshgrid(lines, samples, indexing="ij"))
    metres = measure_distance(*fitted, positions.latitude[inside], positions.longitude[inside])
    is_used = np.zeros(metres.shape, bool)
    is_used[half] = True
    return _summarise(metres[~is_used], method)


def measure_distance(
    latitude: np.ndarray, longitude: np.ndarray, latitude2: np.ndarray, longitude2: np.ndarray
) -> np.ndarray:
    """Measure the distance of pairs of points, metres; arguments in degrees, of one shape."""
    first = compute_unit_vectors(latitude, longitude)
    second = compute_unit_vectors(latitude2, longitude2)
    return np.asarray(EARTH_RADIUS_METRES * np.sqrt(((first - second) ** 2).sum(axis=0)))


def _summarise(metres: np.ndarray, method: str) -> Residual:
    return Residual(float(np.sqrt((metres**2).mean())), float(metres.max()), method)


def fit_control_points(
    points: np.ndarray, shape: tuple[int, int], factor: int
) -> tuple[Geolocation, Residual]:
    """Fit polynomials to control points in a map projection around their middle.

    The order, 1 to 4, is the one that foretells points best that are left out one by one. In degrees a
    polynomial would err by a pixel near the pole.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 4)
        Line, sample, latitude, longitude (degrees) of every point, in any order; whole numbers of lines
        and samples are centres of pixels of the file.
    shape : (int, int)
        Lines and samples of the means.
    factor : int
        Pixels of the file along a side of a mean.

    Returns
    -------
    Geolocation
        A lattice of points from the first to the last mean.
    Residual

    Raises
    ------
    InputError
        If there are fewer than four points, or they lie on a line.
    """
    lines, samples, latitude, longitude = points.T
    x, y, plane = _project_locally(latitude, longitude)
    targets = np.stack([x, y], axis=1)
    offset = np.array([lines.mean(), samples.mean()])
    scale = np.maximum(np.array([np.ptp(lines), np.ptp(samples)]) / 2, 1.0)
    best: tuple[np.ndarray, int, np.ndarray] | None = None
    for order in range(1, _HIGHEST_ORDER + 1):
        design = _make_design(points[:, :2], offset, scale, order)
        if len(points) < design.shape[1] + 1 or np.linalg.matrix_rank(design) < design.shape[1]:
            break
        basis, triangle = np.linalg.qr(design)
        coefficients = np.linalg.solve(triangle, basis.T @ targets)
        leverage = (basis**2).sum(axis=1)
        # Residual of each point if the fit leaves it out.
        errors = (targets - design @ coefficients) / np.maximum(1 - leverage, 1e-9)[:, None]
        metres = np.hypot(*errors.T)
        if best is None or (metres**2).mean() < (best[2] ** 2).mean():
            best = coefficients, order, metres
    if best is None:
        raise InputError(f"expected at least 4 control points across the image, found {len(points)}")
    coefficients, order, metres = best
    down, across = (np.linspace(0, count - 1, _LATTICE) for count in shape)
    nodes = [axis * factor + (factor - 1) / 2 for axis in (down, across)]
    mesh = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, 2)
    fitted = _make_design(mesh, offset, scale, order) @ coefficients
    lon, lat = plane.transform(fitted[:, 0], fitted[:, 1], direction="INVERSE")
    grid = (_LATTICE, _LATTICE)
    positions = Geolocation(down, across, np.reshape(lat, grid), np.reshape(lon, grid), shape)
    return positions, _summarise(metres, f"polynomials of order {order} through {len(points)} points")


def _project_locally(latitude: np.ndarray, longitude: np.ndarray) -> tuple[np.ndarray, np.ndarray, Any]:
    """Coordinates in a stereographic projection around the middle of points, and its transformer."""
    from pyproj import Transformer

    east, north, up = compute_unit_vectors(latitude, longitude).reshape(3, -1).mean(axis=1)
    lat0, lon0 = np.degrees([np.arctan2(up, np.hypot(east, north)), np.arctan2(north, east)])
    plane = f"+proj=stere +lat_0={lat0:.6f} +lon_0={lon0:.6f} +datum=WGS84"
    transformer = Transformer.from_crs("EPSG:4326", plane, always_xy=True)
    x, y = transformer.transform(longitude, latitude)
    return np.asarray(x), np.asarray(y), transformer


def _make_design(points: np.ndarray, offset: np.ndarray, scale: np.ndarray, order: int) -> np.ndarray:
    """Products of powers of scaled lines and samples up to an order, (n, terms)."""
    line, sample = ((points - offset) / scale).T
    return np.stack(
        [line**i * sample**j for i in range(order + 1) for j in range(order + 1 - i)], axis=1
    )
