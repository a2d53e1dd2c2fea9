"""Units of fields: telling whether two are the same, and changing between those that are linear."""

from __future__ import annotations

import numpy as np

from seaice import InputError

# Name, factor and offset to the first unit of the family.
_FAMILIES: tuple[dict[str, tuple[float, float]], ...] = (
    {"K": (1.0, 0.0), "degC": (1.0, 273.15)},
    {"1": (1.0, 0.0), "%": (0.01, 0.0)},
    {"m": (1.0, 0.0), "cm": (0.01, 0.0), "km": (1000.0, 0.0)},
    {"m s-1": (1.0, 0.0), "cm s-1": (0.01, 0.0)},
)
_OTHER_NAMES = {
    "kelvin": "K",
    "degk": "K",
    "degree_celsius": "degC",
    "degrees_celsius": "degC",
    "degree celsius": "degC",
    "degrees celsius": "degC",
    "celsius": "degC",
    "degc": "degC",
    "deg_c": "degC",
    "percent": "%",
    "": "1",
    "fraction": "1",
    "m/s": "m s-1",
    "cm/s": "cm s-1",
    "metre": "m",
    "meter": "m",
}


def canonical(units: str) -> str:
    """One name for the many of a unit.

    Examples
    --------
    >>> canonical("degree Celsius"), canonical("kelvin")
    ('degC', 'K')
    """
    stripped = units.strip()
    return _OTHER_NAMES.get(stripped.lower(), stripped)


def conversion(units: str, wanted: str) -> tuple[float, float]:
    """Factor and offset that turn values in ``units`` into ``wanted``.

    Raises
    ------
    InputError
        If no linear change between the two is known.

    Examples
    --------
    >>> conversion("kelvin", "celsius")
    (1.0, -273.15)
    """
    here, there = canonical(units), canonical(wanted)
    if here == there:
        return 1.0, 0.0
    for family in _FAMILIES:
        if here in family and there in family:
            (factor, offset), (onto, other) = family[here], family[there]
            return factor / onto, (offset - other) / onto
    raise InputError(f"cannot change {units!r} into {wanted!r}; leave the units as they are")


def convert(values: np.ndarray, units: str, wanted: str) -> np.ndarray:
    """Values in other units; the same array where nothing changes."""
    factor, offset = conversion(units, wanted)
    if (factor, offset) == (1.0, 0.0):
        return values
    changed: np.ndarray = values * factor + offset
    return changed
