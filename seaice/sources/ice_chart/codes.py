"""Codes of SIGRID-3 charts: concentration, stage of development and form of ice, and their classes.

The classes are those of the AI4Arctic scenes (:mod:`seaice.sources.ai4arctic.tables`), so that charts
and scenes have the same labels.

References
----------
JCOMM Technical Report 23, SIGRID-3: a vector archive format for sea ice charts (2014).
Stokholm et al. 2024, The AutoICE Challenge, The Cryosphere 18, 3471, doi:10.5194/tc-18-3471-2024.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any

# Columns of a polygon: total concentration; then concentration, stage and form of up to three types of
# ice, from the thickest on.
TYPE_COLUMNS = (("CA", "SA", "FA"), ("CB", "SB", "FB"), ("CC", "SC", "FC"))
COLUMNS = ("CT", *(column for columns in TYPE_COLUMNS for column in columns), "POLY_TYPE")
NOT_SET, UNDETERMINED = "-9", "99"

# Codes from one tenth to another have the concentration halfway between, percent.
_RANGES = {
    "12": 15, "13": 20, "23": 25, "24": 30, "34": 35, "35": 40, "45": 45, "46": 50, "56": 55, "57": 60,
    "67": 65, "68": 70, "78": 75, "79": 80, "89": 85, "81": 90,
}  # fmt: skip
_TENTHS = {f"{tenths}0": 10 * tenths for tenths in range(1, 10)}
# Open water (less than a tenth) and bergy water have 5 percent, and are class 0; 91 is more than nine
# tenths, and class 10 as 92 is.
CONCENTRATION_PERCENT: Mapping[str, int] = MappingProxyType(
    {"00": 0, "55": 0, "98": 0, "01": 5, "02": 5, **_TENTHS, "91": 95, "92": 100, **_RANGES}
)
# Concentration in tenths, by which types of ice are weighed and classes are numbered.
CONCENTRATION_TENTHS: Mapping[str, float] = MappingProxyType(
    {code: percent / 10 for code, percent in CONCENTRATION_PERCENT.items()}
    | {"01": 0.0, "02": 0.0, "91": 10.0}
)
# Stage of development; codes without a class are None.
STAGE_CLASSES: Mapping[str, int | None] = MappingProxyType(
    {"00": 0, "01": 0, "80": 0, "81": 1, "82": 1, "83": 2, "84": 2, "85": 2, "87": 3, "88": 3, "89": 3}
    | {"86": 4, "91": 4, "93": 4, "95": 5, "96": 5, "97": 5}
    | dict.fromkeys(("74", "75", "76", "77", "78", "98"))  # lake ice and glacier ice
)
FAST_ICE = "08"
# Form: pancakes, shuga and brash, fast ice, level ice, strips and patches are of no size of floes.
FORM_CLASSES: Mapping[str, int | None] = MappingProxyType(
    {"00": 0, "02": 1, "03": 2, "04": 3, "05": 4, "06": 5, "07": 5, "09": 6, "10": 6}
    | dict.fromkeys(("01", FAST_ICE, "21", "22", "91", *(str(code) for code in range(11, 21))))
)


class PolygonType(IntEnum):
    """What a polygon of a chart is, and what a cell without a chart is."""

    OUTSIDE_THE_CHART = 0
    WATER = 1
    ICE = 2
    LAND = 3
    ICE_SHELF = 4
    NO_DATA = 5


POLYGON_TYPES: Mapping[str, PolygonType] = MappingProxyType(
    {
        "W": PolygonType.WATER,
        "I": PolygonType.ICE,
        "L": PolygonType.LAND,
        "S": PolygonType.ICE_SHELF,
        "N": PolygonType.NO_DATA,
    }
)


def normalise_code(value: Any) -> str:
    """Normalise a code to text of two digits; a code that is not set is ``-9``.

    Files that were saved by other programs hold numbers without their leading zero.

    Examples
    --------
    >>> [normalise_code(value) for value in ("02", 2, 2.0, " 92 ", None, "", -9, "9-")]
    ['02', '02', '02', '92', '-9', '-9', '-9', '9-']
    """
    if value is None or value != value:
        return NOT_SET
    text = str(value).strip()
    if re.fullmatch(r"-?\d+\.0*", text):
        text = text.partition(".")[0]
    return text.zfill(2) if text.isdigit() else text or NOT_SET
