"""From stored numbers to percent and classes; pure functions of arrays.

Codes are looked up among the raw numbers, before anything is scaled: 254 times 0.01 looks like a
concentration, 254 does not. For numbers of one or two bytes every answer stands in a table.
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
# Above the class in a table of flags: the value is interpolated.
_INTERPOLATED = 1 << 3
_BELOW = (CellClass.LAND, CellClass.COAST, CellClass.LAKE)


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
    from seaice.sources.products import _kernels

    if _fits_table(raw):
        concentration, classes = np.empty(raw.shape, np.float32), np.empty(raw.shape, np.uint8)
        tables = _build_tables(coding, raw.dtype.str)
        highest = _kernels.look_up_cells(
            _take_bits(raw), *tables, concentration.reshape(-1), classes.reshape(-1)
        )
    else:
        concentration, classes = _decode_numbers(raw, coding)
        highest = classes.max(initial=0)
    if highest == _UNKNOWN:
        raise RejectedDay(_explain_unknown(raw[classes == _UNKNOWN], coding))
    return concentration, classes


def _fits_table(raw: np.ndarray) -> bool:
    return raw.dtype.kind in "iu" and raw.dtype.itemsize <= 2


def _take_bits(raw: np.ndarray) -> np.ndarray:
    """Return the bits of numbers of one or two bytes, flat: positions in a table."""
    raw = raw if raw.dtype.isnative else raw.astype(raw.dtype.newbyteorder("="))
    return np.ascontiguousarray(raw).reshape(-1).view(f"u{raw.dtype.itemsize}")


def _list_numbers(dtype: str) -> np.ndarray:
    """List every number of a type of one or two bytes, in the order of its bits."""
    native = np.dtype(dtype).newbyteorder("=")
    return np.arange(1 << 8 * native.itemsize, dtype=f"u{native.itemsize}").view(native)


@lru_cache(maxsize=64)
def _build_tables(coding: Coding, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    return _decode_numbers(_list_numbers(dtype), coding)


def _decode_numbers(raw: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray]:
    percent = _scale_numbers(raw, coding)
    classes = np.full(raw.shape, _UNKNOWN, np.uint8)
    classes[(percent >= -_TOLERANCE) & (percent <= 100 + _TOLERANCE)] = CellClass.VALUE
    classes[np.isnan(percent)] = CellClass.MISSING
    for fill in coding.fills:
        classes[raw == fill] = CellClass.MISSING
    for code, cell_class in coding.codes:
        classes[raw == code] = cell_class
    percent = np.clip(percent, 0, 100).astype(np.float32)
    percent[classes != CellClass.VALUE] = np.nan
    return percent, classes


def _scale_numbers(raw: np.ndarray, coding: Coding) -> np.ndarray:
    """Return percent, before anything is left out."""
    factor, offset = coding.scale * coding.percent, coding.offset * coding.percent
    if raw.dtype == np.float32 and offset == 0:
        return raw * np.float32(factor)
    return raw.astype(np.float64) * factor + offset


def _explain_unknown(raw: np.ndarray, coding: Coding) -> str:
    """Say what is wrong with numbers that are neither concentrations nor codes."""
    numbers, counts = np.unique(raw, return_counts=True)
    scaled = numbers.astype(np.float64) * coding.scale + coding.offset
    cells = format_count(int(counts.sum()), "cell")
    are_percent = scaled.max() <= 100 + _TOLERANCE and scaled.min() >= 0 and numbers.size > 5
    if coding.units == "fraction" and are_percent:
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
    from seaice.sources.products import _kernels

    if not _fits_table(raw):
        return _decode_errors(raw, coding)
    error = np.empty(raw.shape, np.float32)
    table = _build_error_table(coding, raw.dtype.str)
    _kernels.look_up_errors(_take_bits(raw), table, error.reshape(-1))
    return error


@lru_cache(maxsize=64)
def _build_error_table(coding: Coding, dtype: str) -> np.ndarray:
    return _decode_errors(_list_numbers(dtype), coding)


def _decode_errors(raw: np.ndarray, coding: Coding) -> np.ndarray:
    percent = _scale_numbers(raw, coding).astype(np.float32)
    is_none = ~((percent >= 0) & (percent <= 100))
    for fill in coding.fills:
        is_none |= raw == fill
    percent[is_none] = np.nan
    return percent


# --- flags --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FlagCoding:
    """What the numbers of a flag variable mean.

    Attributes
    ----------
    meanings : tuple of (int, FlagMeaning)
        Of each bit or number. Of several bits of a cell that give a class, the last listed counts.
    are_bits : bool
        Whether a cell may have several of them; otherwise a number without a meaning is an error.
    fills : tuple of float
        Numbers that stand for no flag.
    """

    meanings: tuple[tuple[int, FlagMeaning], ...]
    are_bits: bool
    fills: tuple[float, ...] = ()

    @property
    def tells_interpolated(self) -> bool:
        """Whether a flag says that a value is interpolated."""
        return any(meaning.is_interpolated for _, meaning in self.meanings)


def apply_flags(
    classes: np.ndarray, raw: np.ndarray, coding: FlagCoding, *, is_interpolated: np.ndarray, name: str
) -> None:
    """Put what a flag variable says into the classes of a day.

    Land, coast and lake hold whatever the concentration is; water without ice only on the sea; and
    the pole hole and missing cells only where there is no value.

    Parameters
    ----------
    classes : ndarray of uint8
        :class:`CellClass` by the concentration; changed.
    raw : ndarray, same shape
        The flags as stored.
    coding : FlagCoding
    is_interpolated : ndarray of bool, same shape
        Set where a flag says so.
    name : str
        Of the flag variable, for messages.

    Raises
    ------
    RejectedDay
        If a number has no meaning.
    """
    from seaice.sources.products import _kernels

    raw = _narrow_flags(raw, name)
    table = _build_flag_table(coding, raw.dtype.str)
    bits = _take_bits(raw)
    if not coding.are_bits:
        _refuse_unknown(table.take(bits) == _UNKNOWN, raw, name)
    _kernels.look_up_flags(bits, table, _MERGED, classes.reshape(-1), is_interpolated.reshape(-1))


def _refuse_unknown(is_unknown: np.ndarray, raw: np.ndarray, name: str) -> None:
    if is_unknown.any():
        numbers = np.unique(raw.reshape(-1)[is_unknown])
        cells = format_count(int(np.count_nonzero(is_unknown)), "cell")
        listed = ", ".join(map(str, numbers[:5].tolist()))
        raise RejectedDay(f"{cells} of {name} with a number of no known meaning: {listed}")


def _narrow_flags(raw: np.ndarray, name: str) -> np.ndarray:
    """Return flags as integers of at most two bytes; what is no number is 0."""
    if _fits_table(raw):
        return raw
    if raw.dtype.kind == "f":
        raw = np.where(np.isfinite(raw), raw, 0)
        if (raw != np.rint(raw)).any():
            raise RejectedDay(f"{name} has broken numbers")
    if raw.size and not (raw.min() >= -(1 << 15) and raw.max() < 1 << 15):
        raise RejectedDay(f"{name} has numbers from {raw.min():g} to {raw.max():g}, no flags")
    return raw.astype(np.int16)


@lru_cache(maxsize=64)
def _build_flag_table(coding: FlagCoding, dtype: str) -> np.ndarray:
    """Class and mark of interpolation of every number of a type."""
    numbers = _list_numbers(dtype)
    codes = _take_bits(numbers).astype(np.int64)
    table = np.full(codes.size, 0 if coding.are_bits else _UNKNOWN, np.uint8)
    for number, meaning in coding.meanings:
        has_flag = codes & number != 0 if coding.are_bits else codes == number
        if not coding.are_bits:
            table[has_flag] = 0
        if meaning.cell_class is not None:
            table[has_flag] = table[has_flag] & _INTERPOLATED | meaning.cell_class
        if meaning.is_interpolated:
            table[has_flag] |= _INTERPOLATED
    for fill in coding.fills:
        table[numbers == fill] = 0
    return table


def _build_merged() -> np.ndarray:
    """Class of a cell by that of a flag, times eight, plus that of the concentration."""
    merged = np.tile(np.arange(8, dtype=np.uint8), 8).reshape(8, 8)
    for flag in _BELOW:
        merged[flag] = flag
    merged[CellClass.NEVER_ICE, [CellClass.VALUE, CellClass.MISSING]] = CellClass.NEVER_ICE
    merged[CellClass.POLE_HOLE, CellClass.MISSING] = CellClass.POLE_HOLE
    return merged.reshape(-1)


_MERGED = _build_merged()


def clear_cells(
    classes: np.ndarray,
    concentration: np.ndarray,
    error: np.ndarray | None,
    interpolated: np.ndarray | None,
    *,
    may_be_ice_free: bool,
) -> None:
    """Clear everything at cells without a value, and check what is left.

    Parameters
    ----------
    classes : ndarray of uint8, shape (rows, columns)
        :class:`CellClass`.
    concentration, error, interpolated : ndarray, same shape
        Changed: NaN and False at cells without a value.
    may_be_ice_free : bool

    Raises
    ------
    RejectedDay
        If no cell has a value, none has ice, or fractions are called percent.
    """
    from seaice.sources.products import _kernels

    highest, count = _kernels.clear_cells(
        classes.reshape(-1),
        concentration.reshape(-1),
        np.empty(0, np.float32) if error is None else error.reshape(-1),
        np.empty(0, bool) if interpolated is None else interpolated.reshape(-1),
    )
    if highest < 0:
        raise RejectedDay("no cell has a value")
    if not count and not may_be_ice_free:
        raise RejectedDay("every observed cell is exactly 0 percent")
    if count >= _MANY_CELLS and highest <= 1 + _TOLERANCE:
        raise RejectedDay(f"no value above {highest:.3g} percent: fractions 0 to 1, not percent")
