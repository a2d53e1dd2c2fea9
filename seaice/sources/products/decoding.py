"""From stored numbers to percent and classes; pure functions of arrays.

Codes are looked up among the raw numbers, before anything is scaled: 254 times 0.01 looks like a
concentration, 254 does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from seaice.report import format_count
from seaice.sources import RejectedDay
from seaice.sources.products.product import CellClass, FlagMeaning, Units

_TOLERANCE = 1e-3  # percent, for numbers rounded by a scale
_UNKNOWN = 255
# So many cells of at most one percent of ice, and none with more, are no sea.
_MANY_CELLS = 20
# Classes that say what is below: they hold whatever the concentration is.
_IS_BELOW = np.zeros(256, bool)
_IS_BELOW[[CellClass.LAND, CellClass.COAST, CellClass.LAKE]] = True


@dataclass(frozen=True)
class Coding:
    """What the stored numbers of a variable mean.

    Attributes
    ----------
    scale, offset : float
        Stored number times scale, plus offset, is in ``units``.
    units : {"percent", "fraction"}
    codes : tuple of (int, CellClass)
        Numbers that are no concentration.
    fills : tuple of float
        Numbers that stand for nothing: ``_FillValue`` and ``missing_value``.
    """

    scale: float
    offset: float
    units: Units
    codes: tuple[tuple[int, CellClass], ...] = ()
    fills: tuple[float, ...] = ()

    @property
    def percent(self) -> float:
        """Percent of one unit."""
        return 100.0 if self.units == "fraction" else 1.0


def decode_concentration(raw: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    """Decode stored numbers to percent and classes.

    Parameters
    ----------
    raw : ndarray of any integer or floating type, shape (rows, columns)
    coding : Coding

    Returns
    -------
    concentration : ndarray of float32, same shape
        Percent, 0..100; NaN at cells without a value.
    classes : ndarray of uint8, same shape
        :class:`CellClass`.

    Raises
    ------
    RejectedDay
        If a number is neither a code nor within 0..100 percent.

    Examples
    --------
    >>> coding = Coding(0.4, 0, "percent", ((254, CellClass.LAND),))
    >>> percent, classes = decode_concentration(np.array([[0, 250, 254]], np.uint8), coding)
    >>> percent.tolist(), classes.tolist()
    ([[0.0, 100.0, nan]], [[0, 0, 2]])
    """
    if raw.dtype.kind in "iu" and raw.dtype.itemsize <= 2:
        percent_table, class_table = _build_tables(coding, raw.dtype.str)
        index = raw.view(f"u{raw.dtype.itemsize}") if raw.dtype.isnative else raw.astype("=i4") & 0xFFFF
        concentration, classes = percent_table[index], class_table[index]
    else:
        concentration, classes = _decode_numbers(raw, coding)
    if classes.max(initial=0) == _UNKNOWN:
        raise RejectedDay(_explain_unknown(raw[classes == _UNKNOWN], coding))
    return concentration, classes


@lru_cache(maxsize=64)
def _build_tables(coding: Coding, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Percent and class of every number of a type of one or two bytes, by its bits."""
    kind = np.dtype(dtype).newbyteorder("=")
    bits = np.arange(1 << 8 * kind.itemsize, dtype=f"u{kind.itemsize}")
    percent, classes = _decode_numbers(bits.view(kind), coding)
    percent.setflags(write=False)
    classes.setflags(write=False)
    return percent, classes


def _decode_numbers(raw: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    numbers = raw.astype(np.float64)
    percent = (numbers * coding.scale + coding.offset) * coding.percent
    within = (percent >= -_TOLERANCE) & (percent <= 100 + _TOLERANCE)
    classes = np.where(within, np.uint8(CellClass.VALUE), np.uint8(_UNKNOWN))
    classes[np.isnan(numbers)] = CellClass.MISSING
    for fill in coding.fills:
        classes[raw == fill] = CellClass.MISSING
    for code, cell_class in coding.codes:
        classes[raw == code] = cell_class
    percent = np.clip(percent, 0, 100).astype(np.float32)
    percent[classes != CellClass.VALUE] = np.nan
    return percent, classes


def _explain_unknown(raw: np.ndarray, coding: Coding) -> str:
    """Say what is wrong with numbers that are neither concentrations nor codes."""
    numbers, counts = np.unique(raw, return_counts=True)
    scaled = numbers.astype(np.float64) * coding.scale + coding.offset
    cells = format_count(int(counts.sum()), "cell")
    if (
        coding.units == "fraction"
        and scaled.max() <= 100 + _TOLERANCE
        and scaled.min() >= 0
        and numbers.size > 5
    ):
        return f"{cells} above 1, up to {scaled.max():g}: percent, not fractions 0 to 1"
    common = numbers[np.argsort(-counts, kind="stable")][:5]
    listed = ", ".join(f"{number:g}" for number in common.tolist())
    more = " and others" if numbers.size > common.size else ""
    return (
        f"{cells} with a stored number that is neither a code of the product nor within 0..100 percent: "
        f"{listed}{more}"
    )


def decode_error(raw: np.ndarray, coding: Coding) -> np.ndarray:
    """Decode a standard error to percent, float32; NaN where the number says nothing."""
    numbers = raw.astype(np.float64)
    for fill in coding.fills:
        numbers[raw == fill] = np.nan
    percent = (numbers * coding.scale + coding.offset) * coding.percent
    percent[~((percent >= 0) & (percent <= 100 + _TOLERANCE))] = np.nan
    return percent.astype(np.float32)


def decode_bits(
    raw: np.ndarray, meanings: tuple[tuple[int, FlagMeaning], ...], fills: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Decode a variable of bits to the classes they give and to whether a value is interpolated.

    Parameters
    ----------
    raw : ndarray
        As stored.
    meanings : tuple of (int, FlagMeaning)
        Of each bit; of several bits of a cell that give a class, the last listed counts.
    fills : tuple of float
        Numbers that stand for no bit.

    Returns
    -------
    classes : ndarray of uint8
        0 where no bit gives a class.
    is_interpolated : ndarray of bool
    """
    codes = _read_flag_codes(raw, fills)
    class_table, interpolated_table = _build_bit_tables(meanings)
    return class_table[codes], interpolated_table[codes]


def decode_values(
    raw: np.ndarray, meanings: tuple[tuple[int, FlagMeaning], ...], fills: tuple[float, ...], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Decode a variable of numbers that exclude each other, as :func:`decode_bits`.

    Raises
    ------
    RejectedDay
        If a number has no meaning.
    """
    codes = _read_flag_codes(raw, fills)
    class_table, interpolated_table, has_meaning = _build_value_tables(meanings, bool(fills))
    if not has_meaning[codes].all():
        unknown, counts = np.unique(codes[~has_meaning[codes]], return_counts=True)
        raise RejectedDay(
            f"{format_count(int(counts.sum()), 'cell')} of {name} with a number of no known "
            f"meaning: {', '.join(map(str, unknown[:5].tolist()))}"
        )
    return class_table[codes], interpolated_table[codes]


def _read_flag_codes(raw: np.ndarray, fills: tuple[float, ...]) -> np.ndarray:
    """Return flags as numbers 0..65535; 0 stands for none, and for what is no number."""
    if raw.dtype.kind == "f":
        raw = np.where(np.isfinite(raw), raw, 0)
        if (raw != np.rint(raw)).any():
            raise RejectedDay("a flag variable has broken numbers")
    for fill in fills:
        if fill and (is_fill := raw == fill).any():
            raw = np.where(is_fill, 0, raw)
    if raw.dtype.itemsize == 1:
        return raw.view(np.uint8)
    if raw.size and not -(1 << 15) <= raw.min() <= raw.max() < 1 << 16:
        raise RejectedDay(f"a flag variable has numbers from {raw.min():g} to {raw.max():g}")
    return raw.astype(np.int64) & 0xFFFF


@lru_cache(maxsize=64)
def _build_bit_tables(meanings: tuple[tuple[int, FlagMeaning], ...]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(1 << 16)
    classes, is_interpolated = np.zeros(codes.size, np.uint8), np.zeros(codes.size, bool)
    for bit, meaning in meanings:
        has_bit = codes & bit != 0
        if meaning.cell_class is not None:
            classes[has_bit] = meaning.cell_class
        is_interpolated |= has_bit & meaning.is_interpolated
    return classes, is_interpolated


@lru_cache(maxsize=64)
def _build_value_tables(
    meanings: tuple[tuple[int, FlagMeaning], ...], has_fill: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    classes, is_interpolated = np.zeros(1 << 16, np.uint8), np.zeros(1 << 16, bool)
    has_meaning = np.zeros(1 << 16, bool)
    has_meaning[0] = has_fill
    for value, meaning in meanings:
        classes[value] = CellClass.VALUE if meaning.cell_class is None else meaning.cell_class
        is_interpolated[value], has_meaning[value] = meaning.is_interpolated, True
    return classes, is_interpolated, has_meaning


def apply_classes(classes: np.ndarray, flag_classes: np.ndarray) -> None:
    """Put the classes of a flag variable into those of the concentration.

    Land, coast and lake hold whatever the concentration is; water without ice only on the sea; and
    the pole hole and missing cells only where there is no value.

    Parameters
    ----------
    classes : ndarray of uint8
        Changed.
    flag_classes : ndarray of uint8, same shape
        0 where the flags say nothing.
    """
    if not flag_classes.any():
        return
    is_below = _IS_BELOW[flag_classes]
    is_sea = ~_IS_BELOW[classes]
    is_open = (flag_classes == CellClass.NEVER_ICE) & is_sea & (classes != CellClass.POLE_HOLE)
    is_hole = (flag_classes == CellClass.POLE_HOLE) & (classes == CellClass.MISSING)
    np.copyto(classes, flag_classes, where=is_below | is_open | is_hole)


def check_values(concentration: np.ndarray, *, may_be_ice_free: bool) -> None:
    """Reject a day without a value, without ice, or with fractions that are called percent."""
    highest = np.fmax.reduce(concentration, axis=None)
    if np.isnan(highest):
        raise RejectedDay("no cell has a value")
    if highest <= 0 and not may_be_ice_free:
        raise RejectedDay("every observed cell is exactly 0 percent")
    if 0 < highest <= 1 + _TOLERANCE and np.count_nonzero(concentration > 0) >= _MANY_CELLS:
        raise RejectedDay(f"no value above {highest:.3g} percent: fractions 0 to 1, not percent")
