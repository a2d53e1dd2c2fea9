"""Codes and meanings of surface classes and of every flag this package writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

import numpy as np

from seaice import InputError


class Surface(IntEnum):
    """Surface class of a cell. What is not in :data:`NOT_OCEAN` counts as ocean and is filled."""

    OCEAN = 0
    LAND = 1
    COAST = 2  # ocean cell beside land
    POLE_HOLE = 3
    RARELY_OBSERVED_OCEAN = 4  # missing on more than half of the days, below the threshold
    LAKE = 5  # lakes, rivers and other inland water
    NEVER_ICE = 6  # ocean on which ice is possible in no month


# Classes that are neither filled nor counted.
NOT_OCEAN = (Surface.LAND, Surface.LAKE, Surface.NEVER_ICE)


def is_ocean(surface: np.ndarray) -> np.ndarray:
    """Tell the cells that are filled and counted.

    Parameters
    ----------
    surface : ndarray of uint8
        Codes of :class:`Surface`.

    Returns
    -------
    ndarray of bool, same shape

    Examples
    --------
    >>> is_ocean(np.array([Surface.OCEAN, Surface.LAND, Surface.LAKE, Surface.POLE_HOLE])).tolist()
    [True, False, False, True]
    """
    table = np.ones(256, bool)
    table[list(NOT_OCEAN)] = False
    return table[surface]


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
    INCREMENT_TWO_SIDED = 12
    INCREMENT_ONE_SIDED = 13
    KRIGED_TWO_SIDED = 14
    KRIGED_ONE_SIDED = 15
    RELAXATION = 16
    PRODUCER_INTERPOLATED = 17  # by the producer of the daily file, in space or time
    SPILLOVER_REMOVED = 18  # set to open water by the filter of land spill-over
    LAND = 254  # land, lake or water without ice in any month; surface tells which
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
    # As this toolbox writes them: no cell has to be looked at twice.
    is_usual = codes.dtype == np.uint8 and list(numbers) == list(map(int, numbers.values()))
    if is_usual and list(numbers) == list(range(len(numbers))) and codes.max(initial=0) < len(numbers):
        return codes
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


# Surface classes of foreign files. Every provider has words of its own: «land_mask»,
# «1_observation_over_land», «open-lake», «over_ocean». A word names a class if it consists of words for
# that class and of words without a meaning of their own; «land_spillover_filter_applied» is no land.


class SurfaceClass(Enum):
    """Class of a cell as a word of a foreign file names it."""

    SEA = "sea"
    ICE = "ice"  # ice without a word for what is below it
    LAND = "land"
    LAKE = "lake"  # lakes, rivers and other inland water
    OUTSIDE = "outside"  # beyond the Earth or the domain
    MISSING = "missing"
    UNKNOWN = "unknown"


_LAND = {
    "coast", "coastal", "coastline", "coastlines", "continent", "glacier", "ground", "island",
    "islands", "land", "landmask", "landmass", "sheet", "shelf", "shore", "shoreline", "shorelines",
    "snow", "terrain",
}  # fmt: skip
_LAKE = {"fresh", "freshwater", "inland", "lake", "lakes", "pond", "reservoir", "river", "rivers"}
# The hole in the observations about the pole is sea.
_SEA = {
    "hole", "marine", "ocean", "oceans", "openwater", "polehole", "sea", "seas", "seawater", "water",
}  # fmt: skip
_OUTSIDE = {"beyond", "off", "outside"}
_MISSING = {
    "fill", "invalid", "missing", "nodata", "unavailable", "unclassified", "undefined", "unobserved",
}  # fmt: skip
_NEGATIONS = {"no", "non", "not"}
# Words that do not change the class of the words beside them.
_FILLERS = {
    "a", "about", "and", "area", "areas", "at", "be", "binary", "bodies", "body", "cell", "cells",
    "class", "classification", "code", "contains", "continental", "cover", "covered", "data", "deep",
    "domain", "earth", "ephemeral", "filled", "flag", "floating", "free", "grid", "has", "in", "is",
    "mask", "masked", "mass", "moderate", "observation", "observations", "observed", "of", "on",
    "only", "open", "optional", "or", "over", "permanent", "pixel", "pixels", "planet", "point",
    "points", "pole", "rarely", "region", "salt", "shallow", "space", "surface", "the", "to", "type",
    "valid", "value", "values", "with",
}  # fmt: skip
_ICE = {"ice", "icecovered", "seaice", "firstyear", "multiyear"}


@dataclass(frozen=True)
class SurfaceCodes:
    """Codes or bits of a mask with their classes.

    Attributes
    ----------
    classes : dict of int to SurfaceClass
        Class of every code, or of every bit.
    words : dict of int to str
        Word of the file for every code or bit.
    are_bits : bool
        Whether the numbers are bits of which a cell may have several.
    """

    classes: dict[int, SurfaceClass]
    words: dict[int, str]
    are_bits: bool

    @property
    def tells_surface(self) -> bool:
        """Whether a code tells sea from land."""
        return bool(set(self.classes.values()) & {SurfaceClass.SEA, SurfaceClass.LAND})

    def explains_as_bits(self, codes: np.ndarray) -> bool:
        """Whether the listed numbers are bits, although the file lists them as values.

        These are 1, 2, 4 at least, and some of the codes are sums of them.
        """
        listed = list(self.classes)
        if self.are_bits or len(listed) < 3 or not all(n > 0 and n & (n - 1) == 0 for n in listed):
            return False
        numbers = np.unique(codes).astype(np.int64)
        return bool((numbers & ~sum(listed) == 0).all() and not np.isin(numbers, listed).all())

    def list_codes(self, *classes: SurfaceClass) -> list[int]:
        """List the codes of some classes."""
        return [code for code, surface in self.classes.items() if surface in classes]


def classify_word(word: str) -> SurfaceClass:
    """Return the class that a word of ``flag_meanings`` names.

    Examples
    --------
    >>> [classify_word(word).value for word in ("land_mask", "open-lake", "not_land", "land_spillover")]
    ['land', 'lake', 'sea', 'unknown']
    """
    tokens = _split_word(word)
    known = _LAND | _LAKE | _SEA | _OUTSIDE | _MISSING | _NEGATIONS | _FILLERS | _ICE
    if not tokens or not tokens <= known:
        return SurfaceClass.UNKNOWN
    if tokens & _NEGATIONS:
        return _negate(tokens)
    # "floating ice shelf" and "ice on land" are land; "lake ice" is lake; "sea ice" is sea.
    for words, surface in (
        (_MISSING, SurfaceClass.MISSING),
        (_OUTSIDE, SurfaceClass.OUTSIDE),
        (_LAKE, SurfaceClass.LAKE),
        (_LAND, SurfaceClass.LAND),
        (_SEA, SurfaceClass.SEA),
        (_ICE, SurfaceClass.ICE),
    ):
        if tokens & words:
            return surface
    return SurfaceClass.UNKNOWN


def _negate(tokens: set[str]) -> SurfaceClass:
    """Return the class of a word such as «not land», «non ocean» or «no data»."""
    if tokens & _LAND:
        return SurfaceClass.SEA
    if tokens & _SEA:
        return SurfaceClass.LAND
    is_absence = tokens & {"data", "value", "values", "observation", "observations"}
    return SurfaceClass.MISSING if is_absence else SurfaceClass.UNKNOWN


def _split_word(word: str) -> set[str]:
    """Split a word at underscores, hyphens, spaces and capitals, without numbers."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", word)
    return {token for token in re.split(r"[^a-z]+", spaced.lower()) if token}


def read_surface_codes(attributes: Mapping[str, Any]) -> SurfaceCodes | None:
    """Read the codes of a mask from ``flag_meanings`` with ``flag_values`` or ``flag_masks``.

    Returns
    -------
    SurfaceCodes or None
        None if the attributes do not give one word for every code.
    """
    text = str(attributes.get("flag_meanings", attributes.get("flag_mask_meanings", "")))
    listed = [part.strip() for part in text.split(",")] if "," in text else text.split()
    pairs = [re.fullmatch(r"(\d+)\s*[=:]\s*(.+)", part) for part in listed]
    if listed and all(pairs):
        # The words bear their codes themselves: «1=open-sea, 2=land, 13=open-lake with ice».
        words = {int(pair[1]): pair[2] for pair in pairs if pair}
        return SurfaceCodes({code: classify_word(word) for code, word in words.items()}, words, False)
    values = read_numbers(attributes.get("flag_values"))
    bits = read_numbers(attributes.get("flag_masks"))
    # With both, a value is what a cell shows under its mask; values that it cannot show are codes.
    are_bits = bool(bits) and not values and all(bit > 0 and bit & (bit - 1) == 0 for bit in bits)
    numbers = values or bits
    counted = [re.match(r"(\d+)_", word) for word in listed]
    if are_bits and len(bits) != len(listed) and all(counted):
        # One word more than masks: the words count the bits themselves, «1_observation_over_land».
        numbers = [1 << int(count[1]) for count in counted if count]
    if not numbers or len(numbers) != len(listed):
        return None
    words = dict(zip(numbers, listed, strict=True))
    classes = {code: classify_word(word) for code, word in words.items()}
    if not are_bits and _are_own_codes(words):
        # In masks of this package the coast is the ocean beside the land.
        classes[int(Surface.COAST)] = SurfaceClass.SEA
    return SurfaceCodes(classes, words, are_bits)


def read_numbers(attribute: Any) -> list[int]:
    """Read the numbers of an attribute, which some files write as text: «0b, 1b» or «0, 1»."""
    if attribute is None:
        return []
    if isinstance(attribute, str):
        parts = [re.sub(r"[a-zA-Z]+$", "", part) for part in re.split(r"[\s,]+", attribute.strip())]
        return [int(part) for part in parts] if all(re.fullmatch(r"-?\d+", p) for p in parts) else []
    numbers = np.atleast_1d(attribute)
    return [int(number) for number in numbers] if numbers.dtype.kind in "iuf" else []


def _are_own_codes(words: Mapping[int, str]) -> bool:
    """Whether codes and words are those of :class:`Surface`, or some of them."""
    expected = {int(surface): surface.name.lower() for surface in Surface}
    return all(expected.get(code) == word.lower() for code, word in words.items())
