"""Compiled loops from stored codes to the values of an item. No checks here.

Signatures are written out, so that importing this module compiles everything there is (or
loads it from the disk) and nothing is compiled in a worker. Nothing here runs in parallel:
a process that was forked after a parallel loop would be killed by the next one. The loops
let go of the interpreter, so threads may call them at once.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

_CELLS = ("int64", "int64", "int64", "int64", "int64", "int64")


def _read_only(kind, dimensions):  # type: ignore[no-untyped-def]
    return types.Array(kind, dimensions, "C", readonly=True)


def _signature(codes, value, first, extra=()):  # type: ignore[no-untyped-def]
    cells = [getattr(types, name) for name in _CELLS]
    land = (_read_only(types.boolean, 2), value, types.boolean)
    out = types.Array(value, 2, "C")
    return types.void(first, *extra, _read_only(value, 1), out, *cells, *land)


_CODES = types.Array(types.uint16, 2, "C", readonly=True)
_FLAGS = types.Array(types.uint8, 2, "C", readonly=True)
_BYTES = types.Array(types.uint8, 1, "C", readonly=True)


@njit(
    [
        _signature(types.uint16, types.float32, _CODES),
        _signature(types.uint16, types.uint16, _CODES),
        _signature(types.uint16, types.uint8, _CODES),
        _signature(types.uint8, types.float32, _FLAGS),
        _signature(types.uint8, types.uint8, _FLAGS),
    ],
    nogil=True,
    cache=True,
)
def look_up(  # type: ignore[no-untyped-def]
    codes, table, out, row, column, to_row, to_column, height, width, land, land_value, with_land
):
    """Put ``table[code]`` of a rectangle of ``codes`` into ``out``.

    The rectangle begins at (row, column) of ``codes`` and (to_row, to_column) of ``out``.
    ``land`` has the shape of ``out``; where it is True ``land_value`` is put instead, if
    ``with_land``.
    """
    for y in range(height):
        line = codes[row + y, column : column + width]
        target = out[to_row + y, to_column : to_column + width]
        for x in range(width):
            target[x] = table[line[x]]
        if with_land:
            dry = land[to_row + y, to_column : to_column + width]
            for x in range(width):
                target[x] = land_value if dry[x] else target[x]


@njit(
    [
        _signature(types.uint16, types.float32, _BYTES, (types.int64,)),
        _signature(types.uint16, types.uint16, _BYTES, (types.int64,)),
        _signature(types.uint16, types.uint8, _BYTES, (types.int64,)),
    ],
    nogil=True,
    cache=True,
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
    """The same of a tile of ``columns`` columns under HDF5's shuffle filter.

    ``shuffled`` holds the low bytes of all its 2-byte codes, then the high bytes.
    """
    half = shuffled.size // 2
    # A row of whole codes first: two short loops that the compiler makes wide ones.
    codes = np.empty(width, np.uint16)
    for y in range(height):
        begin = (row + y) * columns + column
        low = shuffled[begin : begin + width]
        high = shuffled[half + begin : half + begin + width]
        for x in range(width):
            codes[x] = np.uint16(low[x]) | (np.uint16(high[x]) << np.uint16(8))
        target = out[to_row + y, to_column : to_column + width]
        for x in range(width):
            target[x] = table[codes[x]]
        if with_land:
            dry = land[to_row + y, to_column : to_column + width]
            for x in range(width):
                target[x] = land_value if dry[x] else target[x]
