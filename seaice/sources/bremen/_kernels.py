"""Compiled loops of the readers. Arrays in, output arrays passed in; no checks here."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop


@compile_loop
def unshuffle(shuffled, words):  # type: ignore[no-untyped-def]
    """Undo HDF5's shuffle filter of rows of 4-byte values.

    A row of ``shuffled`` (rows, 4 columns) uint8 holds the lowest bytes of all its values,
    then the next ones, and so on; ``words`` (rows, columns) uint32 receives the values.
    """
    rows, columns = words.shape
    for y in range(rows):
        row = shuffled[y]
        for x in range(columns):
            words[y, x] = (
                np.uint32(row[x])
                | (np.uint32(row[columns + x]) << 8)
                | (np.uint32(row[2 * columns + x]) << 16)
                | (np.uint32(row[3 * columns + x]) << 24)
            )
