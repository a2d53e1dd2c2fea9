"""Compiled loops from stored codes to the values of a sample. Arguments are not checked here.

The signatures are written out: importing this module compiles every loop (or loads it from the
disk), and no worker has to compile one. No loop uses Numba's own threads: a process that was
forked after a parallel loop would be killed by the next one. The loops release the interpreter,
so several threads may run them at the same time.
"""

from __future__ import annotations

import numpy as np
from numba import types

from seaice.runtime.compiled_kernels import compile_loop

_RECTANGLE = (types.int64,) * 6  # row, column, to_row, to_column, height, width


def _make_read_only(dtype, dimensions):  # type: ignore[no-untyped-def]
    """Return the type of a C-contiguous array that a loop only reads."""
    return types.Array(dtype, dimensions, "C", readonly=True)


def _make_signature(value, *codes):  # type: ignore[no-untyped-def]
    """Return the signature of a loop: types of the arguments with the codes, dtype of the output."""
    land = (_make_read_only(types.boolean, 2), value, types.boolean)
    out = types.Array(value, 2, "C")
    return types.void(*codes, _make_read_only(value, 1), out, *_RECTANGLE, *land)


_CODES = _make_read_only(types.uint16, 2)
_FLAGS = _make_read_only(types.uint8, 2)
_BYTES = _make_read_only(types.uint8, 1)


@compile_loop(
    signatures=[
        _make_signature(types.float32, _CODES),
        _make_signature(types.uint16, _CODES),
        _make_signature(types.uint8, _CODES),
        _make_signature(types.float32, _FLAGS),
        _make_signature(types.uint8, _FLAGS),
    ],
)
def look_up(  # type: ignore[no-untyped-def]
    codes, table, out, row, column, to_row, to_column, height, width, land, land_value, with_land
):
    """Write the values of a rectangle of codes, ``table[code]``, to a rectangle of ``out``.

    The rectangle starts at (row, column) of ``codes`` and at (to_row, to_column) of ``out``.
    ``land`` has the shape of ``out``; with ``with_land``, cells where it is True get ``land_value``.
    """
    for y in range(height):
        code_row = codes[row + y, column : column + width]
        out_row = out[to_row + y, to_column : to_column + width]
        for x in range(width):
            out_row[x] = table[code_row[x]]
        if with_land:
            # A second loop without a branch: the compiler turns it into vector instructions.
            land_row = land[to_row + y, to_column : to_column + width]
            for x in range(width):
                out_row[x] = land_value if land_row[x] else out_row[x]


@compile_loop(
    signatures=[
        _make_signature(types.float32, _BYTES, types.int64),
        _make_signature(types.uint16, _BYTES, types.int64),
        _make_signature(types.uint8, _BYTES, types.int64),
    ],
)
def look_up_shuffled(  # type: ignore[no-untyped-def]
    shuffled,
    columns,
    table,
    out,
    row,
    column,
    to_row,
    to_column,
    height,
    width,
    land,
    land_value,
    with_land,
):
    """Do the same for a tile of ``columns`` columns whose bytes are in the order of the shuffle filter.

    HDF5's shuffle filter stores the low bytes of all 2-byte codes first, then all high bytes.
    """
    half = shuffled.size // 2  # index of the first high byte
    # The codes of a row are joined first: two loops without a branch become vector instructions.
    code_row = np.empty(width, np.uint16)
    for y in range(height):
        first = (row + y) * columns + column
        low = shuffled[first : first + width]
        high = shuffled[half + first : half + first + width]
        for x in range(width):
            code_row[x] = np.uint16(low[x]) | (np.uint16(high[x]) << np.uint16(8))
        out_row = out[to_row + y, to_column : to_column + width]
        for x in range(width):
            out_row[x] = table[code_row[x]]
        if with_land:
            land_row = land[to_row + y, to_column : to_column + width]
            for x in range(width):
                out_row[x] = land_value if land_row[x] else out_row[x]
