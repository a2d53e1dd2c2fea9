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


class EdgePair:
    """Two ice edges, with the great circles from the cells of each to the nearest of the other.

    Parameters
    ----------
    forecast, reference : ndarray of bool, shape (rows, columns)
        Edge cells of the whole grid.
    points : ndarray of float, shape (rows, columns, 3)
        Unit vectors of all cell centres, see :func:`seaice.grids.sphere.compute_unit_vectors`.

    Attributes
    ----------
    forecast_distances, reference_distances : ndarray of float64
        Distance from each cell of one edge, row by row, to the nearest of the other, km; NaN where
        the other has no cell.
    """

    def __init__(self, forecast: np.ndarray, reference: np.ndarray, points: np.ndarray) -> None:
        self._edges = forecast, reference
        flat = points.reshape(-1, 3)
        positions = [flat[np.flatnonzero(edge)] for edge in self._edges]
        self.forecast_distances = _measure_nearest(*positions)
        self.reference_distances = _measure_nearest(*positions[::-1])

    def average(self, region: np.ndarray | None = None) -> EdgeDistances:
        """Average the distances.

        Parameters
        ----------
        region : ndarray of bool, shape (rows, columns), optional
            Distances from the edge cells in it alone count; the nearest cell may lie outside.
        """
        means = []
        distances = (self.forecast_distances, self.reference_distances)
        for edge, values in zip(self._edges, distances, strict=True):
            counted = values if region is None else values[region[edge]]
            means.append(float(counted.mean()) if counted.size else np.nan)
        return EdgeDistances(*means)


def _measure_nearest(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Measure the distance from each point of the first array to the nearest of the second, km."""
    from scipy.spatial import cKDTree

    if not len(end):
        return np.full(len(start), np.nan)
    chords, _ = cKDTree(end).query(start)
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.minimum(chords / 2, 1.0)))


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


def share_windows(event: np.ndarray, window: int = 9) -> np.ndarray:
    """Compute the share of event cells in the square window around every cell.

    Parameters
    ----------
    event : ndarray of bool, shape (rows, columns)
        Beyond the grid there is none.
    window : int
        Width of the windows, an odd number of cells.

    Returns
    -------
    ndarray of float64, shape (rows, columns)
    """
    half = window // 2
    padded = np.pad(event.astype(np.int32), ((half + 1, half), (half + 1, half)))
    sums = padded.cumsum(axis=0, dtype=np.int32).cumsum(axis=1, dtype=np.int32)
    counts = (
        sums[window:, window:] - sums[:-window, window:] - sums[window:, :-window]
        + sums[:-window, :-window]
    )  # fmt: skip
    share: np.ndarray = counts / window**2
    return share


def compare_fractions(forecast: np.ndarray, reference: np.ndarray) -> FractionsScore:
    """Compare two shares of event cells in windows, such as those of :func:`share_windows`.

    With edge cells as the event it tells how well the edge lies; with ice as the event it is near 1
    for any forecast.

    Parameters
    ----------
    forecast, reference : ndarray of float, same shape
        Of the cells whose windows count.

    Examples
    --------
    >>> edges = [np.eye(5, k=shift, dtype=bool) for shift in (0, 1)]
    >>> round(compare_fractions(*(share_windows(edge, 3) for edge in edges)).skill, 3)
    0.855
    """
    return FractionsScore(
        float(np.sum((forecast - reference) ** 2)), float(np.sum(forecast**2 + reference**2))
    )
