"""Compiled loops that turn a part of a day into the bytes of a chunk. No checks here."""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.runtime.compiled_kernels import compile_loop

NOT_FILLED = int(FillFlag.NOT_FILLED)


@compile_loop
def pack(values, flag, hole, corner, steps, fill_value, words, counts):  # type: ignore[no-untyped-def]
    """Round values to whole steps (``steps`` a unit), and count cells by flag.

    ``words`` (rows, columns) int16 receives the tile that begins at ``corner``, filled up with
    ``fill_value`` where it overhangs the grid. A value is NaN where the flag says land or not
    filled, and nowhere else. ``counts`` (2, 256) is added to: ``counts[0]`` by flag, but a cell of
    the pole hole that is not filled in ``counts[1]``.
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
            # NaN cannot be converted to int16; it is replaced before the conversion, not after.
            number = np.float64(v) if v == v else 0.0
            words[i, j] = np.int16(np.rint(number * steps)) if v == v else missing
        for j in range(right):
            code = flag[y, corner[1] + j]
            if code == NOT_FILLED and hole[y, corner[1] + j]:
                counts[1, code] += 1
            else:
                counts[0, code] += 1


@compile_loop
def shuffle(words, octets):  # type: ignore[no-untyped-def]
    """Write all low bytes of the words, then all high bytes, as HDF5's shuffle filter does.

    Neighbouring values differ little, so their high bytes are nearly all the same; beside each other
    they compress far better than in turn with the low ones.
    """
    flat = words.reshape(-1)
    for k in range(flat.size):
        octets[k] = flat[k] & 0xFF
    for k in range(flat.size):
        octets[flat.size + k] = (flat[k] >> 8) & 0xFF


@compile_loop
def cut(field, corner, octets):  # type: ignore[no-untyped-def]
    """Copy the tile of ``field`` uint8 that begins at ``corner``; 0 where it overhangs."""
    bottom = min(octets.shape[0], field.shape[0] - corner[0])
    right = min(octets.shape[1], field.shape[1] - corner[1])
    octets[:] = 0
    for i in range(bottom):
        for j in range(right):
            octets[i, j] = field[corner[0] + i, corner[1] + j]
