"""Compiled loops that turn a part of a day into the bytes of a chunk. No checks here."""

from __future__ import annotations

import numpy as np
from numba import njit

LAND, NOT_FILLED = 254, 255


@njit(nogil=True, cache=True)
def pack(  # type: ignore[no-untyped-def]
    values, flag, hole, corner, steps, fill_value, shuffle, words, counts
):
    """Round values to whole steps (``steps`` a unit), and count flags.

    ``words`` (rows, columns) int16 receives the tile that begins at ``corner``, filled up with
    ``fill_value`` where it overhangs the grid. With ``shuffle`` its memory holds all low bytes,
    then all high bytes. ``counts`` (7,) is added to: observed, two-sided, one-sided, Gaussian,
    pole hole, missing ocean outside the pole hole, missing pole hole.
    """
    rows, columns = flag.shape
    height, width = words.shape
    flat = words.reshape(-1)
    octets = flat.view(np.uint8)
    half = height * width
    for i in range(height):
        for j in range(width):
            y, x = corner[0] + i, corner[1] + j
            word = np.int16(fill_value)
            if y < rows and x < columns:
                code = flag[y, x]
                if code < LAND:
                    word = np.int16(np.rint(np.float64(values[y, x]) * steps))
                    counts[code] += 1
                elif code == NOT_FILLED:
                    counts[6 if hole[y, x] else 5] += 1
            k = i * width + j
            if shuffle:
                octets[k] = word & 0xFF
                octets[half + k] = (word >> 8) & 0xFF
            else:
                flat[k] = word


@njit(nogil=True, cache=True)
def cut(field, corner, octets):  # type: ignore[no-untyped-def]
    """Copy the tile of ``field`` uint8 that begins at ``corner``; 0 where it overhangs."""
    rows, columns = field.shape
    height, width = octets.shape
    for i in range(height):
        for j in range(width):
            y, x = corner[0] + i, corner[1] + j
            octets[i, j] = field[y, x] if y < rows and x < columns else 0
