"""The hybrid of two lines of three channels, as in the records of OSI SAF and ESA CCI.

Lavergne et al. 2019, doi:10.5194/tc-13-49-2019: one line of the channels scatters least over open
water, one at closed ice, both blind to the kind of ice. Between 70 and 90 percent one leads over to
the other.
"""

from __future__ import annotations

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.algorithms.base import OPEN_WATER
from seaice.retrieval.tie_points import Signatures

CHANNELS = ("18.7V", "36.5V", "36.5H")
_FIRST_BLEND, _LAST_BLEND = 0.7, 0.9


def find_lines(signatures: Signatures) -> tuple[np.ndarray, np.ndarray]:
    """Find the weights of channels that scatter least over water, and at ice.

    Returns
    -------
    water_line, ice_line : ndarray of float64, shape (channels,)
        Per kelvin above water; both give 1 for the step from water to ice, and 0 for a step along
        the axis in which ice varies most.
    """
    step = signatures.ice.mean - signatures.water.mean
    axis = np.linalg.eigh(signatures.ice.covariance)[1][:, -1]
    conditions = np.stack([step, axis])
    lines = []
    for surface in (signatures.water, signatures.ice):
        weighed = np.linalg.solve(surface.covariance, conditions.T)
        lines.append(weighed @ np.linalg.solve(conditions @ weighed, [1, 0]))
    return lines[0], lines[1]


def retrieve_hybrid(temperatures: Temperatures, signatures: Signatures) -> Retrieval:
    """Retrieve the concentration by the hybrid of two lines."""
    selected = signatures.select(CHANNELS)
    above_water = [temperatures[c] - mean for c, mean in zip(CHANNELS, selected.water.mean, strict=True)]
    at_water, at_ice = (
        sum(weight * part for weight, part in zip(line, above_water, strict=True))
        for line in find_lines(selected)
    )
    share = np.clip((at_water - _FIRST_BLEND) / (_LAST_BLEND - _FIRST_BLEND), 0, 1)
    concentration = np.asarray(at_water + share * (at_ice - at_water), np.float32)
    with np.errstate(invalid="ignore"):
        return Retrieval(concentration, concentration < OPEN_WATER)
