"""The combination of the NOAA/NSIDC Climate Data Record: the larger of NASA Team and Bootstrap.

Meier et al. 2021, NOAA/NSIDC Climate Data Record of Passive Microwave Sea Ice Concentration, version 4,
doi:10.7265/efmz-2t65.
"""

from __future__ import annotations

import numpy as np

from seaice.retrieval.algorithm import Retrieval, Temperatures
from seaice.retrieval.algorithms import bootstrap, nasa_team
from seaice.retrieval.tie_points import Signatures

CHANNELS: tuple[str, ...] = tuple(dict.fromkeys((*nasa_team.CHANNELS, *bootstrap.CHANNELS)))


def retrieve_climate_record(temperatures: Temperatures, signatures: Signatures) -> Retrieval:
    """Retrieve the larger concentration of both algorithms; each weather filter clears it."""
    parts = (
        nasa_team.retrieve_nasa_team(temperatures, signatures),
        bootstrap.retrieve_bootstrap(temperatures, signatures),
    )
    return Retrieval(
        np.maximum(parts[0].concentration, parts[1].concentration),
        parts[0].is_open_water | parts[1].is_open_water,
    )
