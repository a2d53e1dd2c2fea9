"""The cells of a grid that a wide-swath radiometer in a sun-synchronous orbit observes in a day.

The orbit is that of GCOM-W1, which carries AMSR2: circular, 98.2 degrees of inclination,
233 revolutions in 16 days (98.9 minutes each), ascending node at 13:30 local mean time.
The Earth is a sphere here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from seaice.dates import day_number
from seaice.grids import Grid

INCLINATION = 98.186  # degrees
PERIOD = 16 / 233  # days from ascending node to ascending node
NODE_LOCAL_TIME = 13.5 / 24  # days after local midnight
# Share of an orbit period from 1970-01-01 00:00 UTC to the next ascending node. It was determined
# from the swath gaps of two Bremen files (2016-04-17 and 2020-01-01): of the union of true and
# computed gaps 89 and 91 percent lie in both.
PHASE = 0.585
EARTH_RADIUS = 6371.0  # kilometres
# With this width the pole hole is that of the Bremen files, 690 cells of 6.25 km. It is wider than
# the nominal 1450 km of AMSR2, as those files show a wider swath.
SWATH_WIDTH = 1632.0  # kilometres

_TURN = 1 << 16  # angles are stored in 1/65536 of a turn, as uint16, whose arithmetic wraps like angles
_ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class HalfOrbit:
    """Half a revolution, from one turning point near a pole to the other.

    Attributes
    ----------
    start : float
        Days since 1970-01-01 00:00 UTC.
    ascending : bool
        Northward (the day side of this orbit) or southward.
    node_longitude : float
        Longitude where the revolution crosses the equator northward, degrees east, -180..180.
    """

    start: float
    ascending: bool
    node_longitude: float


def list_half_orbits(day: date) -> list[HalfOrbit]:
    """List the half orbits that start on a UTC day in order of time, 29 or 30 of them.

    Examples
    --------
    >>> len(list_half_orbits(date(2020, 1, 1)))
    29
    """
    midnight = day_number(day)
    first = int(np.floor(midnight / PERIOD)) - 1
    halves = []
    for revolution in range(first, first + int(1 / PERIOD) + 4):
        node = (revolution + PHASE) * PERIOD
        longitude = 360 * (NODE_LOCAL_TIME - node % 1)
        longitude = (longitude + 180) % 360 - 180
        for ascending in (True, False):
            start = node - PERIOD / 4 if ascending else node + PERIOD / 4
            if midnight <= start < midnight + 1:
                halves.append(HalfOrbit(start, ascending, longitude))
    return sorted(halves, key=lambda half: half.start)


def compute_start_hour(half: HalfOrbit) -> float:
    """Compute the UTC hour at which a half orbit starts, 0..24."""
    return (half.start - np.floor(half.start)) * 24


class SwathMap:
    """Finds the cells of a grid that half orbits observe.

    The swath of a half orbit covers one range of longitude at each latitude. All half
    orbits of one direction have the same ranges, turned by the longitude of the node,
    so a cell needs one subtraction and one comparison for each half orbit.

    Parameters
    ----------
    grid : Grid
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._latitude = np.empty(grid.shape, np.uint16)
        self._longitude = np.empty(grid.shape, np.uint16)
        for rows in _list_blocks(grid.rows):
            longitude, latitude = grid.crop(rows, slice(None)).longitude_latitude()
            self._longitude[rows] = _to_turns(longitude)
            self._latitude[rows] = np.round((latitude + 90) / 180 * (_TURN - 1))

    def find_covered(self, halves: list[HalfOrbit], *, swath_width: float = SWATH_WIDTH) -> np.ndarray:
        """Find the cells within half a swath of the ground track of any of the half orbits.

        The distance is the great-circle distance across the track, with the Earth turning below
        the satellite.

        Parameters
        ----------
        halves : list of HalfOrbit
        swath_width : float, optional
            Kilometres.

        Returns
        -------
        ndarray of bool, shape (rows, columns)
        """
        covered = np.zeros(self.grid.shape, bool)
        for rows in _list_blocks(self.grid.rows):
            latitude, longitude = self._latitude[rows], self._longitude[rows]
            for direction in (True, False):
                nodes = [h.node_longitude for h in halves if h.ascending is direction]
                ranges = _compute_ranges(direction, swath_width)
                west, width = (table[latitude] for table in ranges)
                east_of_edge = longitude - west
                for node in _to_turns(np.array(nodes)):
                    covered[rows] |= east_of_edge - node < width
        return covered


def _list_blocks(rows: int) -> list[slice]:
    return [slice(r, min(r + _ROWS_AT_A_TIME, rows)) for r in range(0, rows, _ROWS_AT_A_TIME)]


def _to_turns(degrees: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(degrees) / 360 * _TURN).astype(np.int64).astype(np.uint16)


@lru_cache(maxsize=32)
def _compute_ranges(ascending: bool, swath_width: float) -> tuple[np.ndarray, np.ndarray]:
    """Western edge and width of the swath of a half orbit at each latitude, from south to north.

    Returns
    -------
    west, width : ndarray of uint16, shape (65536,)
        1/65536 of a turn, for latitudes from -90 to 90; ``west`` is relative to the
        node. The width is 0 where the swath does not reach.
    """
    sine = np.sin(np.radians(np.linspace(-90, 90, _TURN)))
    half_width = swath_width / 2 / EARTH_RADIUS
    left, right = (_locate_edge(sine, ascending, edge) for edge in (half_width, -half_width))
    west, east = (left, right) if ascending else (right, left)
    # The two edges meet at a turning point; rounding must not make that a whole turn.
    width = np.mod(east - west + 1e-9, 360) - 1e-9
    return _to_turns(west), np.round(width / 360 * _TURN).astype(np.uint16)


def _locate_edge(sine: np.ndarray, ascending: bool, offset: float) -> np.ndarray:
    """Longitude, relative to the node, where an edge of the swath crosses a latitude.

    ``offset`` is the angle from the track, positive to the left. A point of the edge at
    the argument of latitude u has
    sin(latitude) = cos(offset) sin(u) sin(i) + sin(offset) cos(i), which gives u. Where the
    edge does not reach that latitude, the swath ends at the scan line of the turning
    point (u = 90 or -90 degrees), which lies on one meridian.
    """
    inclination = np.radians(INCLINATION)
    sine_of_argument = (sine - np.sin(offset) * np.cos(inclination)) / (
        np.cos(offset) * np.sin(inclination)
    )
    argument = np.arcsin(np.clip(sine_of_argument, -1, 1))
    if not ascending:
        argument = np.pi - argument
    east = np.cos(offset) * np.sin(argument) * np.cos(inclination) - np.sin(offset) * np.sin(inclination)
    ahead = np.cos(offset) * np.cos(argument)
    turned = np.degrees(argument) * PERIOD  # by which the Earth turned since the node
    return np.degrees(np.arctan2(east, ahead)) - turned
