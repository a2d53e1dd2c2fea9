"""Compiled loops that turn a part of a day into the bytes of a chunk. No checks here."""

from __future__ import annotations

import numpy as np
from numba import njit

LAND, NOT_FILLED = 254, 255
# Codes up to here are counted by their number; the departures, next in the order of the counts.
POLE_HOLE, DEPARTURE_TWO_SIDED, DEPARTURE_ONE_SIDED = 4, 10, 11


@njit(nogil=True, cache=True)
def pack(values, flag, hole, corner, steps, fill_value, words, counts):  # type: ignore[no-untyped-def]
    """Round values to whole steps (``steps`` a unit), and count flags.

    ``words`` (rows, columns) int16 receives the tile that begins at ``corner``, filled up with
    ``fill_value`` where it overhangs the grid. A value is NaN where the flag says land or not
    filled, and nowhere else. ``counts`` (9,) is added to: observed, two-sided, one-sided,
    Gaussian, pole hole, departure two-sided, departure one-sided, missing ocean outside the
    pole hole, missing pole hole.
    """
    bottom = min(words.shape[0], flag.shape[0] - corner[0])
    right = min(words.shape[1], flag.shape[1] - corner[1])
    missing = np.int16(fill_value)
    words[:] = missing
    for i in range(bottom):
        y = corner[0] + i
        # Two loops: without the counting the first one is done for many cells at once.
        for j in range(right):
            v = values[y, corner[1] + j]
            said = np.float64(v) if v == v else 0.0
            words[i, j] = np.int16(np.rint(said * steps)) if v == v else missing
        for j in range(right):
            code = flag[y, corner[1] + j]
            if code <= POLE_HOLE:
                counts[code] += 1
            elif code in (DEPARTURE_TWO_SIDED, DEPARTURE_ONE_SIDED):
                counts[5 + code - DEPARTURE_TWO_SIDED] += 1
            elif code == NOT_FILLED:
                counts[8 if hole[y, corner[1] + j] else 7] += 1


@njit(nogil=True, cache=True)
def shuffle(words, octets):  # type: ignore[no-untyped-def]
    """Write all low bytes of the words, then all high bytes, as HDF5's shuffle filter does."""
    flat = words.reshape(-1)
    for k in range(flat.size):
        octets[k] = flat[k] & 0xFF
    for k in range(flat.size):
        octets[flat.size + k] = (flat[k] >> 8) & 0xFF


@njit(nogil=True, cache=True)
def cut(field, corner, octets):  # type: ignore[no-untyped-def]
    """Copy the tile of ``field`` uint8 that begins at ``corner``; 0 where it overhangs."""
    bottom = min(octets.shape[0], field.shape[0] - corner[0])
    right = min(octets.shape[1], field.shape[1] - corner[1])
    octets[:] = 0
    for i in range(bottom):
        for j in range(right):
            octets[i, j] = field[corner[0] + i, corner[1] + j]
