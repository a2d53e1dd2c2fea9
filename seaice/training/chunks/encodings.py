"""Encodings of a training cache: concentration as codes of one or two bytes a cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_INT16_STEP = np.float32(0.0001)
_INT16_MISSING = -32768
_UINT8_STEPS = 250  # codes 0 to 250 are the fractions 0 to 1
_UINT8_MISSING = 255
# No value of a cube lies outside 0..1; one that does gets this code, and the cache is refused.
_UINT8_INVALID = 254


@dataclass(frozen=True)
class CacheEncoding:
    """Encoding of fractions as codes.

    Attributes
    ----------
    encode : callable
        Turns fractions, float32 with NaN, into codes, uint16 or uint8.
    decode : callable
        Turns codes into fractions, float32 with NaN.
    code_dtype : dtype
        Type of the codes.
    largest_error : float
        Largest error of an encoded value 0..1, percent.
    invalid_code : int, optional
        Code of values that the encoding cannot represent.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    decode: Callable[[np.ndarray], np.ndarray]
    code_dtype: np.dtype[np.unsignedinteger]
    largest_error: float
    invalid_code: int | None = None

    def decode_all_codes(self) -> np.ndarray:
        """Return the fraction of every code, float32 with NaN, shape (65536,) or (256,)."""
        return self.decode(np.arange(1 << 8 * self.code_dtype.itemsize).astype(self.code_dtype))


def _encode_float16(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float16).view(np.uint16)


def _decode_float16(codes: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        values = codes.view(np.float16).astype(np.float32)
    # Half of the bit patterns of NaN are signalling: numpy warns when such a NaN is used.
    values[np.isnan(values)] = np.nan
    return values


def _encode_uint8(values: np.ndarray) -> np.ndarray:
    steps = np.rint(values * np.float32(_UINT8_STEPS))
    steps[(steps < 0) | (steps > _UINT8_STEPS)] = _UINT8_INVALID
    return np.where(np.isnan(values), _UINT8_MISSING, steps).astype(np.uint8)


def _decode_uint8(codes: np.ndarray) -> np.ndarray:
    values = codes.astype(np.float32) / np.float32(_UINT8_STEPS)
    values[codes > _UINT8_STEPS] = np.nan
    return values


def _encode_int16(values: np.ndarray) -> np.ndarray:
    steps = np.rint(values / _INT16_STEP)
    return np.where(np.isnan(values), _INT16_MISSING, steps).astype(np.int16).view(np.uint16)


def _decode_int16(codes: np.ndarray) -> np.ndarray:
    packed = codes.view(np.int16)
    values = packed * _INT16_STEP
    values[packed == _INT16_MISSING] = np.nan
    return values


# float16 has steps of 2**-11 between 0.5 and 1. int16 is the packing of the cube itself.
ENCODINGS: dict[str, CacheEncoding] = {
    "float16": CacheEncoding(_encode_float16, _decode_float16, np.dtype("<u2"), 100 * 2**-12),
    "uint8": CacheEncoding(
        _encode_uint8, _decode_uint8, np.dtype("u1"), 100 * 0.5 / _UINT8_STEPS, _UINT8_INVALID
    ),
    "int16": CacheEncoding(_encode_int16, _decode_int16, np.dtype("<u2"), 0.0),
}
