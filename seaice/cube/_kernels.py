"""Compiled loops that turn a part of a day into the bytes of a chunk. No checks here."""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.runtime.compiled_kernels import compile_loop

NOT_FILLED = int(FillFlag.NOT_FILLED)


@compile_loop
def pack(values, flag, index, hole, corner, steps, fill_value, words, counts):  # type: ignore[no-untyped-def]
    """Round values to whole steps (``steps`` a unit), and count cells by flag.

    ``index`` (rows, columns) is the number of a cell in the vectors ``values``, ``flag`` and
    ``hole``, -1 on land. ``words`` (rows, columns) int16 receives the tile that begins at
    ``corner``, with ``fill_value`` on land and where it overhangs the grid. A value is NaN where
    the flag says not filled, and nowhere else. ``counts`` (2, 256) is added to: ``counts[0]`` by
    flag, but a cell of the pole hole that is not filled in ``counts[1]``.
    """
    bottom = min(words.shape[0], index.shape[0] - corner[0])
    right = min(words.shape[1], index.shape[1] - corner[1])
    words[:] = np.int16(fill_value)
    for i in range(bottom):
        for j in range(right):
            c = index[corner[0] + i, corner[1] + j]
            if c < 0:
                continue
            code, v = flag[c], values[c]
            if v == v:
                words[i, j] = np.int16(np.rint(np.float64(v) * steps))
            counts[1 if code == NOT_FILLED and hole[c] else 0, code] += 1


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
def cut(vector, index, corner, land, octets):  # type: ignore[no-untyped-def]
    """Copy the tile of a vector that begins at ``corner``; ``land`` on land, 0 where it overhangs."""
    bottom = min(octets.shape[0], index.shape[0] - corner[0])
    right = min(octets.shape[1], index.shape[1] - corner[1])
    octets[:] = 0
    for i in range(bottom):
        for j in range(right):
            c = index[corner[0] + i, corner[1] + j]
            octets[i, j] = vector[c] if c >= 0 else land
