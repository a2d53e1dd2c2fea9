"""Compiled loops that turn a part of a day into the bytes of a chunk. No checks here."""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.runtime.compiled_kernels import compile_loop

NOT_FILLED = int(FillFlag.NOT_FILLED)


@compile_loop
def pack(cell, row, column, length, values, corner, steps, missing, words):  # type: ignore[no-untyped-def]
    """Round values to whole steps (``steps`` a unit) in a tile that begins at ``corner``.

    ``words`` (rows, columns) int16 receives ``missing`` where a value is NaN, and stays as it is
    where no run of ocean cells lies (:class:`seaice.gapfill.ocean_cells.Runs`).
    """
    for i in range(cell.size):
        x, n = column[i] - corner[1], length[i]
        out, vector = words[row[i] - corner[0], x : x + n], values[cell[i] : cell[i] + n]
        for k in range(n):
            v = vector[k]
            # NaN cannot be converted to int16; it is replaced before the conversion, not after.
            number = np.float64(v) if v == v else 0.0
            out[k] = np.int16(np.rint(number * steps)) if v == v else missing


@compile_loop
def pack_shuffled(cell, row, column, length, values, corner, steps, missing, octets):  # type: ignore[no-untyped-def]
    """The same with all low bytes of the words before all high bytes, as HDF5's shuffle filter does.

    Neighbouring values differ little, so their high bytes are nearly all the same; beside each other
    they compress far better than in turn with the low ones. ``octets`` (2, rows, columns).
    """
    for i in range(cell.size):
        y, x, n = row[i] - corner[0], column[i] - corner[1], length[i]
        low, high = octets[0, y, x : x + n], octets[1, y, x : x + n]
        vector = values[cell[i] : cell[i] + n]
        for k in range(n):
            v = vector[k]
            number = np.float64(v) if v == v else 0.0
            word = np.int16(np.rint(number * steps)) if v == v else missing
            low[k] = np.uint8(word & 0xFF)
            high[k] = np.uint8((word >> 8) & 0xFF)


@compile_loop
def cut(cell, row, column, length, vectors, corner, octets):  # type: ignore[no-untyped-def]
    """Copy runs of vectors into a tile of each (vectors, rows, columns); the rest of it stays."""
    for v in range(octets.shape[0]):
        for i in range(cell.size):
            x, n = column[i] - corner[1], length[i]
            out, source = octets[v, row[i] - corner[0], x : x + n], vectors[v][cell[i] : cell[i] + n]
            for k in range(n):
                out[k] = source[k]


@compile_loop
def count_gaps(gaps, rows, columns, flag, hole, tile, has_gaps, counts):  # type: ignore[no-untyped-def]
    """Mark the tiles (rows, columns of tiles) in which cells ``gaps`` lie, and count these by flag.

    ``counts`` (2, 256): ``counts[0]`` by flag, but a cell of the pole hole that is not filled is in
    ``counts[1]``.
    """
    for c in gaps:
        has_gaps[rows[c] // tile[0], columns[c] // tile[1]] = True
        code = flag[c]
        counts[1 if code == NOT_FILLED and hole[c] else 0, code] += 1
