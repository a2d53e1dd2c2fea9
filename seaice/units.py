"""Units of fields: names of the same unit, and linear conversion between units."""

from __future__ import annotations

import numpy as np

from seaice import InputError

# Each dictionary holds units that can be converted into each other: name, then the factor and
# the offset that turn a value into the first unit of the dictionary.
_FAMILIES: tuple[dict[str, tuple[float, float]], ...] = (
    {"K": (1.0, 0.0), "degC": (1.0, 273.15)},
    {"1": (1.0, 0.0), "%": (0.01, 0.0)},
    {"m": (1.0, 0.0), "cm": (0.01, 0.0), "km": (1000.0, 0.0)},
    {"m s-1": (1.0, 0.0), "cm s-1": (0.01, 0.0)},
)
_SYNONYMS = {
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


def normalise_name(units: str) -> str:
    """Return the one name that this package uses for a unit; an unknown unit keeps its name.

    Examples
    --------
    >>> normalise_name("degree Celsius"), normalise_name("kelvin")
    ('degC', 'K')
    """
    stripped = units.strip()
    return _SYNONYMS.get(stripped.lower(), stripped)


def find_conversion(source: str, target: str) -> tuple[float, float]:
    """Find the factor and the offset that convert values from one unit to another.

    Parameters
    ----------
    source, target : str
        Names of the units.

    Returns
    -------
    factor, offset : float
        ``value_in_target = value_in_source * factor + offset``.

    Raises
    ------
    InputError
        If no linear conversion between the two is known.

    Examples
    --------
    >>> find_conversion("kelvin", "celsius")
    (1.0, -273.15)
    """
    source_name, target_name = normalise_name(source), normalise_name(target)
    if source_name == target_name:
        return 1.0, 0.0
    for family in _FAMILIES:
        if source_name in family and target_name in family:
            source_factor, source_offset = family[source_name]
            target_factor, target_offset = family[target_name]
            return source_factor / target_factor, (source_offset - target_offset) / target_factor
    raise InputError(f"cannot change {source!r} into {target!r}; leave the units as they are")


def convert(values: np.ndarray, source: str, target: str) -> np.ndarray:
    """Convert values from one unit to another; the same array where the units are the same.

    Raises
    ------
    InputError
        If no linear conversion between the two is known.
    """
    factor, offset = find_conversion(source, target)
    if (factor, offset) == (1.0, 0.0):
        return values
    converted: np.ndarray = values * factor + offset
    return converted
