"""Codes and meanings of surface classes and of every flag this package writes."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np

from seaice import InputError


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
    InputError
        If the attributes are no list of flags.

    Examples
    --------
    >>> find_flag_value(flag_attributes(Surface), "pole_hole")
    3
    """
    codes = read_flag_values(attributes)
    if meaning not in codes:
        raise KeyError(f"no flag means {meaning!r}; the file has {', '.join(codes)}")
    return codes[meaning]


def read_flag_values(attributes: Mapping[str, Any]) -> dict[str, int]:
    """Read the numbers of all meanings of a file's flag variable; InputError if it tells none.

    Examples
    --------
    >>> read_flag_values({"flag_values": "0b, 1b", "flag_meanings": "ocean land"})
    {'ocean': 0, 'land': 1}
    """
    meanings = str(attributes.get("flag_meanings", "")).split()
    stored = attributes.get("flag_values", ())
    try:
        if isinstance(stored, str):  # as some programs print a list
            stored = [int(text.rstrip("bBuUsSlL")) for text in stored.replace(",", " ").split()]
        # A file without unsigned bytes has -2 for 254.
        values = [int(number) % 256 for number in np.atleast_1d(stored)]
    except (TypeError, ValueError):
        values = []
    if not meanings or len(values) != len(meanings):
        raise InputError(
            f"expected flag_values and flag_meanings, found {len(values)} numbers for "
            f"{len(meanings)} meanings"
        )
    return dict(zip(meanings, values, strict=True))


def translate_surface(codes: np.ndarray, attributes: Mapping[str, Any]) -> np.ndarray:
    """Translate the surface classes of a file to the codes of :class:`Surface`, by their meanings.

    Parameters
    ----------
    codes : ndarray
        As stored.
    attributes : mapping
        Attributes of the variable.

    Returns
    -------
    ndarray of uint8, same shape

    Raises
    ------
    InputError
        If a code has no meaning, or one that is no surface class.
    """
    values = read_flag_values(attributes)
    numbers = {value: Surface[name.upper()] for name, value in values.items() if name in _SURFACES}
    present = np.unique(codes)
    unexplained = [number for number in present.tolist() if number % 256 not in numbers]
    if unexplained:
        raise InputError(
            f"its surface holds codes that its flag_meanings do not explain: "
            f"{', '.join(f'{number:g}' for number in unexplained[:5])}"
        )
    table = np.zeros(256, np.uint8)
    for value, surface in numbers.items():
        table[value] = surface
    return table[codes.astype(np.int64) % 256]


_SURFACES = tuple(surface.name.lower() for surface in Surface)
