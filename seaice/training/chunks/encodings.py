"""Codes of a cache: concentration in one or two bytes a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_STEP = np.float32(0.0001)
_MISSING_INT16 = -32768
_STEPS = 250
_MISSING_UINT8 = 255
# No value of a cube lies beyond 0..1; one that does is given this code and then refused.
_BEYOND_UINT8 = 254


@dataclass(frozen=True)
class Encoding:
    """One way to store fractions.

    Attributes
    ----------
    encode : callable
        Codes of fractions, float32 with NaN; uint16 or uint8.
    decode : callable
        Fractions of such codes, float32 with NaN.
    codes : dtype
        Of what ``encode`` gives.
    largest_error : float
        Of a value 0..1 of a cube, percent.
    beyond : int, optional
        Code of values that cannot be kept.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    codes: np.dtype[np.unsignedinteger]
    largest_error: float
    beyond: int | None = None

    def values(self) -> np.ndarray:
        """What every code stands for, float32 (65536,) or (256,)."""
        return self.decode(np.arange(1 << 8 * self.codes.itemsize).astype(self.codes))


def _to_float16(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).view(np.uint16)


def _of_float16(codes: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        values = codes.view(np.float16).astype(np.float32)
    values[np.isnan(values)] = np.nan  # half of the codes of NaN are signals, which warn when used
    return values


def _to_uint8(values: np.ndarray) -> np.ndarray:
    steps = np.rint(values * np.float32(_STEPS))
    steps[(steps < 0) | (steps > _STEPS)] = _BEYOND_UINT8
    return np.where(np.isnan(values), _MISSING_UINT8, steps).astype(np.uint8)


def _of_uint8(codes: np.ndarray) -> np.ndarray:
    values = codes.astype(np.float32) / np.float32(_STEPS)
    values[codes > _STEPS] = np.nan
    return values


def _to_int16(values: np.ndarray) -> np.ndarray:
    steps = np.rint(values / _STEP)
    return np.where(np.isnan(values), _MISSING_INT16, steps).astype(np.int16).view(np.uint16)


def _of_int16(codes: np.ndarray) -> np.ndarray:
    packed = codes.view(np.int16)
    values = packed * _STEP
    values[packed == _MISSING_INT16] = np.nan
    return values


# float16 has steps of 2**-11 between 0.5 and 1. int16 is what the cube itself holds.
ENCODINGS: dict[str, Encoding] = {
    "float16": Encoding(_to_float16, _of_float16, np.dtype("<u2"), 100 * 2**-12),
    "uint8": Encoding(_to_uint8, _of_uint8, np.dtype("u1"), 100 * 0.5 / _STEPS, _BEYOND_UINT8),
    "int16": Encoding(_to_int16, _of_int16, np.dtype("<u2"), 0.0),
}
