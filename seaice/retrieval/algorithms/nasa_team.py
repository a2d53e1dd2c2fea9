"""The NASA Team algorithm: open water, first-year and multiyear ice from two ratios.

Cavalieri, Gloersen, Campbell 1984, doi:10.1029/JD089iD04p05355. Tie points for AMSR2 and the thresholds
of the weather filter are those of the NOAA/NSIDC Climate Data Record (G02202, doi:10.7265/efmz-2t65).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.algorithms.gradient_ratio import compute_gradient_ratio
from seaice.retrieval.tie_points import Hemisphere, Signatures

CHANNELS = ("18.7V", "18.7H", "23.8V", "36.5V")
SENSORS = ("AMSR2",)


@dataclass(frozen=True)
class EndMembers:
    """Pure surfaces as 18.7V, 18.7H and 36.5V, kelvin, and the thresholds of the weather filter.

    Attributes
    ----------
    water, first_year, multiyear : tuple of 3 floats
    cloud_water, water_vapour : float
        Gradient ratios of 36.5 and of 23.8 to 18.7 GHz above which there is no ice.
    """

    water: tuple[float, float, float]
    first_year: tuple[float, float, float]
    multiyear: tuple[float, float, float]
    cloud_water: float
    water_vapour: float


END_MEMBERS: dict[Hemisphere, EndMembers] = {
    "north": EndMembers(
        (190.55, 109.60, 211.20), (253.07, 234.73, 244.16), (225.80, 196.75, 193.78), 0.050, 0.045
    ),
    "south": EndMembers(
        (190.79, 110.20, 211.90), (258.78, 242.83, 249.25), (249.71, 215.22, 217.10), 0.057, 0.045
    ),
}


def compute_ice_types(
    vertical_19: np.ndarray, horizontal_19: np.ndarray, vertical_37: np.ndarray, members: EndMembers
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the shares of first-year and of multiyear ice.

    Examples
    --------
    >>> shares = compute_ice_types(
    ...     np.array([230.0]), np.array([180.0]), np.array([225.0]), END_MEMBERS["north"]
    ... )
    >>> [round(100 * share.item(), 2) for share in shares]
    [25.26, 34.04]
    """
    polarisation = (vertical_19 - horizontal_19) / (vertical_19 + horizontal_19)
    gradient = (vertical_37 - vertical_19) / (vertical_37 + vertical_19)
    by_polarisation, by_gradient = [], []
    for vertical, horizontal, high in (members.water, members.first_year, members.multiyear):
        by_polarisation.append(vertical - horizontal - polarisation * (vertical + horizontal))
        by_gradient.append(high - vertical - gradient * (high + vertical))
    first = [part - by_polarisation[0] for part in by_polarisation[1:]]
    second = [part - by_gradient[0] for part in by_gradient[1:]]
    determinant = first[0] * second[1] - first[1] * second[0]
    first_year = (first[1] * by_gradient[0] - second[1] * by_polarisation[0]) / determinant
    multiyear = (second[0] * by_polarisation[0] - first[0] * by_gradient[0]) / determinant
    return first_year, multiyear


def retrieve_nasa_team(temperatures: Temperatures, signatures: Signatures) -> Retrieval:
    """Retrieve the concentration of both kinds of ice by NASA Team, with its weather filter."""
    members = END_MEMBERS[signatures.hemisphere]
    v19, h19, v37 = (temperatures[c].astype(np.float64) for c in ("18.7V", "18.7H", "36.5V"))
    first_year, multiyear = compute_ice_types(v19, h19, v37, members)
    with np.errstate(invalid="ignore"):
        is_open_water = (
            compute_gradient_ratio(temperatures, "36.5V", "18.7V") > members.cloud_water
        ) | (compute_gradient_ratio(temperatures, "23.8V", "18.7V") > members.water_vapour)
    return Retrieval((first_year + multiyear).astype(np.float32), is_open_water)
