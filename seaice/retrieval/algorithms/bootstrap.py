"""The Bootstrap algorithm: how far from open water towards a line of closed ice (Comiso 1986).

Comiso 1986, doi:10.1029/JC091iC01p00975. The weather filter is that of the NOAA/NSIDC Climate Data
Record for AMSR2 (G02202, doi:10.7265/efmz-2t65). Two things differ from that record: water, ice and the
lines of closed ice are those of the tie points, not of each day's own temperatures, and what lies beyond
the water counts as negative, where a distance without sign gives 8 to 11 percent of ice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.tie_points import Hemisphere, Signatures

CHANNELS = ("18.7V", "23.8V", "36.5V", "36.5H")
SENSORS = ("AMSR2",)
# Of the distance from water to ice: nearer to the line of ice than this the polarisations are used.
_NEAR_ICE = 0.08
_COOLER = -2.0  # kelvin, of the line of ice in 18.7 GHz
# Above this 36.5V it may be weather whatever 36.5H is, kelvin.
_WARM = 230.0


@dataclass(frozen=True)
class Weather:
    """Where 18.7V and 23.8V say that there is no ice: lines of them, kelvin."""

    offset: float
    slope: float
    largest_step: float


@dataclass(frozen=True)
class WeatherFilter:
    """The weather filter of a hemisphere, winter and summer.

    Attributes
    ----------
    line : tuple of 2 floats
        Offset and slope in 36.5V of the 36.5H below which it may be weather.
    winter, summer : Weather
    """

    line: tuple[float, float]
    winter: Weather
    summer: Weather


_SOUTH_WEATHER = Weather(85.13, 0.5379, 14.3)
FILTERS: dict[Hemisphere, WeatherFilter] = {
    "north": WeatherFilter((-71.99, 1.20), Weather(84.73, 0.5352, 13.7), Weather(82.71, 0.5352, 21.7)),
    "south": WeatherFilter((-90.62, 1.2759), _SOUTH_WEATHER, _SOUTH_WEATHER),
}


def find_weather(hemisphere: Hemisphere, day: date) -> Weather:
    """Find the filter of a day: winter November to April, summer June to September, and between."""
    share = {5: (day.day - 0.5) / 31, 10: 1 - (day.day - 0.5) / 31}.get(
        day.month, float(6 <= day.month <= 9)
    )
    winter, summer = FILTERS[hemisphere].winter, FILTERS[hemisphere].summer
    return Weather(
        winter.offset + share * (summer.offset - winter.offset),
        winter.slope,
        winter.largest_step + share * (summer.largest_step - winter.largest_step),
    )


def compute_share(
    x: np.ndarray, y: np.ndarray, *, water: np.ndarray, line: tuple[float, float]
) -> np.ndarray:
    """Compute how far points in the plane of two channels are on their way from water to a line.

    Parameters
    ----------
    x, y : ndarray
        Kelvin.
    water : ndarray, shape (2,)
        Tie point.
    line : tuple of 2 floats
        Offset and slope of y of closed ice.

    Returns
    -------
    ndarray
        0 at water, 1 on the line, negative on the other side of water.

    Examples
    --------
    >>> compute_share(
    ...     np.array([225.0]), np.array([180.0]), water=np.array([215.0, 150.0]), line=(-20, 1.1)
    ... ).round(4).tolist()
    [0.2857]
    """
    offset, slope = line
    height = offset + slope * water[0] - water[1]
    return np.asarray(((y - water[1]) - slope * (x - water[0])) / height)


def retrieve_bootstrap(temperatures: Temperatures, signatures: Signatures) -> Retrieval:
    """Retrieve the concentration by Bootstrap, with its weather filter."""
    selected = signatures.select(("36.5V", "36.5H", "18.7V", "23.8V"))
    v37, h37, v19, v22 = (temperatures[channel].astype(np.float64) for channel in selected.channels)
    water = selected.water.mean
    by_polarisation = _fit_line(signatures, "36.5H", 0)
    by_frequency = _fit_line(signatures, "18.7V", _COOLER)
    near = _NEAR_ICE * (by_polarisation[0] + by_polarisation[1] * water[0] - water[1])
    line = FILTERS[signatures.hemisphere].line
    weather = find_weather(signatures.hemisphere, signatures.day)
    with np.errstate(invalid="ignore"):
        is_near_ice = h37 > by_polarisation[0] + by_polarisation[1] * v37 - near
        share = np.where(
            is_near_ice,
            compute_share(v37, h37, water=water[[0, 1]], line=by_polarisation),
            compute_share(v37, v19, water=water[[0, 2]], line=by_frequency),
        )
        is_open_water = (v19 < weather.offset + weather.slope * v22) | (v22 - v19 > weather.largest_step)
        is_open_water &= (h37 < line[0] + line[1] * v37) | (v37 >= _WARM)
    return Retrieval(share.astype(np.float32), is_open_water)


def _fit_line(signatures: Signatures, channel: str, shift: float) -> tuple[float, float]:
    """Offset and slope of a channel of closed ice as a line of 36.5V."""
    ice = signatures.select(("36.5V", channel)).ice
    slope = float(ice.covariance[0, 1] / ice.covariance[0, 0])
    return float(ice.mean[1] - slope * ice.mean[0]) + shift, slope
