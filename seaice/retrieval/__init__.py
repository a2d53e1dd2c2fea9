"""Ice concentration from brightness temperatures."""

from __future__ import annotations

from functools import partial

from seaice import InputError
from seaice.retrieval.algorithm import Algorithm, Retrieval
from seaice.retrieval.algorithms import asi, base, bootstrap, climate_record, hybrid, nasa_team

DEFAULT = "base"
ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("base", base.CHANNELS, "23.8", base.retrieve_base, is_sharpened=True),
        Algorithm(
            "base_6",
            base.COARSE_CHANNELS,
            "23.8",
            partial(base.retrieve_base, channels=base.COARSE_CHANNELS),
            is_sharpened=True,
        ),
        Algorithm(
            "base_12",
            base.ALL_CHANNELS,
            "6.9",
            partial(
                base.retrieve_base,
                channels=base.ALL_CHANNELS,
                open_water=base.OPEN_WATER_LOW_CHANNELS,
            ),
            is_sharpened=True,
        ),
        Algorithm("hybrid", hybrid.CHANNELS, "18.7", hybrid.retrieve_hybrid),
        Algorithm(
            "nasa_team",
            nasa_team.CHANNELS,
            "23.8",
            nasa_team.retrieve_nasa_team,
            nasa_team.SENSORS,
        ),
        Algorithm(
            "bootstrap",
            bootstrap.CHANNELS,
            "23.8",
            bootstrap.retrieve_bootstrap,
            bootstrap.SENSORS,
        ),
        Algorithm(
            "cdr",
            climate_record.CHANNELS,
            "23.8",
            climate_record.retrieve_climate_record,
            nasa_team.SENSORS,
        ),
        Algorithm("asi", asi.CHANNELS, "89A", asi.retrieve_asi, bootstrap.SENSORS),
    )
}

__all__ = ["ALGORITHMS", "DEFAULT", "Algorithm", "Retrieval", "get_algorithm"]


def get_algorithm(name: str) -> Algorithm:
    """Return the algorithm of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in ALGORITHMS:
        raise InputError(f"expected an algorithm out of {', '.join(ALGORITHMS)}, found {name!r}")
    return ALGORITHMS[name]
