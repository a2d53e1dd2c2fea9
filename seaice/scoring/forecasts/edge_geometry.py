"""Where two ice edges run: edge cells, their length, distances between them, fractions in windows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

EARTH_RADIUS = 6371.0  # km


def find_edge_cells(ice: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Find the ice cells with open water among their four neighbours.

    As in Melsom et al. 2019 (doi:10.5194/os-15-615-2019), but that land, the pole hole and missing
    cells make no edge.

    Parameters
    ----------
    ice : ndarray of bool, shape (rows, columns)
    cells : ndarray of bool, same shape
        Ocean cells with a value; all others are neither ice nor open water.

    Examples
    --------
    >>> ice = np.array([[True, True, False], [True, True, False]])
    >>> find_edge_cells(ice, np.array([[True, True, True], [True, True, False]])).astype(int)
    array([[0, 1, 0],
           [0, 0, 0]])
    """
    water = np.pad(cells & ~ice, 1)
    beside_water = water[:-2, 1:-1] | water[2:, 1:-1] | water[1:-1, :-2] | water[1:-1, 2:]
    edge: np.ndarray = cells & ice & beside_water
    return edge


def measure_edge_length(edge: np.ndarray, area: np.ndarray) -> float:
    """Measure the length of an edge: each edge cell counts the side of a square of its true area."""
    return float(np.sqrt(area[edge]).sum())


class EdgeDistances(NamedTuple):
    """Distances between the cells of two ice edges, km; NaN where one of them has no cell.

    Attributes
    ----------
    from_forecast, from_reference : float
        Mean distance of the edge cells of one to the nearest edge cell of the other.
    """

    from_forecast: float
    from_reference: float

    @property
    def average(self) -> float:
        """Mean of the two means (D_AVG of Melsom et al. 2019)."""
        return (self.from_forecast + self.from_reference) / 2

    @property
    def modified_hausdorff(self) -> float:
        """Larger of the two means, the modified Hausdorff distance (Dukhovskoy et al. 2015)."""
        return float(np.maximum(self.from_forecast, self.from_reference))


def place_on_sphere(longitude: np.ndarray, latitude: np.ndarray) -> np.ndarray:
    """Return points in degrees as unit vectors, float64 (..., 3)."""
    lam, phi = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=-1)


class IceEdge:
    """Cells of an ice edge, ready for the search of the nearest.

    Parameters
    ----------
    edge : ndarray of bool, shape (rows, columns)
    points : ndarray of float, shape (rows, columns, 3)
        Unit vectors of all cell centres, see :func:`place_on_sphere`.
    """

    def __init__(self, edge: np.ndarray, points: np.ndarray) -> None:
        from scipy.spatial import cKDTree

        self.edge = edge
        self._points = points[edge]
        self._tree = cKDTree(self._points) if len(self._points) else None

    def measure_distances(self, other: IceEdge) -> np.ndarray:
        """Measure the great circles from each cell to the nearest of another edge, km; flat array."""
        if other._tree is None:
            return np.full(len(self._points), np.nan)
        chords, _ = other._tree.query(self._points)
        return 2 * EARTH_RADIUS * np.arcsin(np.minimum(chords / 2, 1.0))


def measure_edge_distances(
    forecast: IceEdge, reference: IceEdge, region: np.ndarray | None = None
) -> EdgeDistances:
    """Measure the mean distances between two ice edges along great circles.

    Parameters
    ----------
    forecast, reference : IceEdge
        Edges of the whole grid.
    region : ndarray of bool, shape (rows, columns), optional
        Distances are taken from the edge cells in it alone; the nearest cell may lie outside.
    """
    means = []
    for start, end in ((forecast, reference), (reference, forecast)):
        distances = start.measure_distances(end)
        if region is not None:
            distances = distances[region[start.edge]]
        means.append(float(distances.mean()) if distances.size else np.nan)
    return EdgeDistances(*means)


class FractionsScore(NamedTuple):
    """Sums of the fractions skill score of Roberts and Lean 2008, doi:10.1175/2007MWR2123.1.

    Attributes
    ----------
    difference, total : float
        Sum of the squared differences of the two fractions, and of their squares. Both may be summed
        over maps before ``skill`` is taken.
    """

    difference: float
    total: float

    @property
    def skill(self) -> float:
        """1 is perfect, 0 no overlap at all; NaN without an event."""
        return 1 - self.difference / self.total if self.total else np.nan


def compute_fractions_score(
    forecast: np.ndarray, reference: np.ndarray, cells: np.ndarray, window: int = 9
) -> FractionsScore:
    """Compare the fractions of event cells in square windows around every cell.

    With edge cells as the event it tells how well the edge lies; with ice as the event it is near 1
    for any forecast.

    Parameters
    ----------
    forecast, reference : ndarray of bool, shape (rows, columns)
        Where the event is. Beyond the grid there is none.
    cells : ndarray of bool, same shape
        Cells whose windows count.
    window : int
        Width of the windows, an odd number of cells.
    """
    shares = [_share_in_windows(event, window)[cells] for event in (forecast, reference)]
    difference, total = shares[0] - shares[1], shares[0] ** 2 + shares[1] ** 2
    return FractionsScore(float(np.sum(difference**2)), float(np.sum(total)))


def _share_in_windows(event: np.ndarray, window: int) -> np.ndarray:
    """Share of the cells of the windows that are event cells, from the sums of all cells so far."""
    half = window // 2
    padded = np.pad(event.astype(np.int64), ((half + 1, half), (half + 1, half)))
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    counts = (
        sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window]
        + sums[:-window, :-window]
    )  # fmt: skip
    share: np.ndarray = counts / window**2
    return share
