"""Codes and meanings of surface classes and of every flag this package writes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np


class Surface(IntEnum):
    """Surface class of a cell. Everything but LAND counts as ocean and is filled."""

    OCEAN = 0
    LAND = 1
    COAST = 2  # ocean cell beside land
    POLE_HOLE = 3
    RARELY_OBSERVED_OCEAN = 4  # missing on more than half of the days, below the threshold


class FillFlag(IntEnum):
    """Code of ``fill_flag``: whether a value was observed, and by which method it was filled if not."""

    OBSERVED = 0
    TEMPORAL_TWO_SIDED = 1
    TEMPORAL_ONE_SIDED = 2
    SPACETIME_GAUSSIAN = 3
    POLE_HOLE = 4
    LINEAR = 5
    LOESS = 6
    HARMONIC = 7
    EOF = 8
    SCATTERING = 9
    DEPARTURE_TWO_SIDED = 10
    DEPARTURE_ONE_SIDED = 11
    LAND = 254
    NOT_FILLED = 255

    @property
    def meaning(self) -> str:
        """Word for the flag in ``flag_meanings``."""
        return self.name.lower()

    @property
    def is_filled(self) -> bool:
        """Whether a cell with this flag has a filled value."""
        return self not in (FillFlag.OBSERVED, FillFlag.LAND, FillFlag.NOT_FILLED)

    @property
    def is_one_sided(self) -> bool:
        """Whether a cell with this flag was filled from days on one side alone."""
        return self.name.endswith("ONE_SIDED")


class DayStatus(IntEnum):
    """Status of a day: its file was read, there is no file, or its values cannot be right."""

    PRESENT = 0
    ABSENT = 1
    REJECTED = 2


def flag_attributes(codes: type[IntEnum]) -> dict[str, Any]:
    """CF attributes ``flag_values``, ``flag_meanings`` and ``valid_range`` of a class of codes."""
    values = np.array([int(code) for code in codes], dtype=np.uint8)
    return {
        "flag_values": values,
        "flag_meanings": " ".join(code.name.lower() for code in codes),
        "valid_range": np.array([values.min(), values.max()], dtype=np.uint8),
    }


def find_flag_value(attributes: Mapping[str, Any], meaning: str) -> int:
    """Find the number that has a meaning in the attributes of a file's flag variable.

    Parameters
    ----------
    attributes : mapping
        Attributes of a flag variable.
    meaning : str
        A word of ``flag_meanings``, e.g. ``"observed"``.

    Returns
    -------
    int
        The entry of ``flag_values`` at the same position.

    Raises
    ------
    KeyError
        If ``flag_meanings`` does not have the word.

    Examples
    --------
    >>> find_flag_value(flag_attributes(Surface), "pole_hole")
    3
    """
    meanings = str(attributes["flag_meanings"]).split()
    values = np.atleast_1d(attributes["flag_values"])
    if meaning not in meanings:
        raise KeyError(f"no flag means {meaning!r}; the file has {', '.join(meanings)}")
    return int(values[meanings.index(meaning)])
