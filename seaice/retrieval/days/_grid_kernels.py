"""Compiled loops that spread the pixels of a pass over the cells of a grid, and sum passes."""

from __future__ import annotations

import math

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

_compile = compile_loop(error_model="numpy")

# A point on the edge of two triangles belongs to both, so that rounding leaves none out.
_ROUNDING = 1e-6


@_compile
def _turn(column, reference, period):  # type: ignore[no-untyped-def]
    """Turn a column by whole circles to the one nearest to another column."""
    if period > 0:
        return column - period * np.round((column - reference) / period)
    return column


@_compile
def spread_mesh(columns, rows, values, parts, longest, period, sums, hits):  # type: ignore[no-untyped-def]
    """Spread values linearly between the corners of a mesh, two triangles a square.

    Parameters
    ----------
    columns, rows : float64 (scans, pixels)
        Where the corners lie, in points of the grid; the point 0, 0 is the first. NaN: unknown.
    values : float32 (scans, pixels, fields)
        A corner whose first value is NaN counts for nothing.
    parts : int
        Points along the side of a cell.
    longest : float
        Longest side of a triangle, in points; a longer one spans a gap.
    period : float
        Points of a whole circle of longitude; 0 in a map projection.
    sums : float32 (rows, columns, fields)
        Sums over the points of every cell, to which is added.
    hits : uint16 (rows, columns)
        Numbers of points in the sums.
    """
    scans, pixels, fields = values.shape
    end_row, end_column = hits.shape[0] * parts, hits.shape[1] * parts
    for i in range(scans - 1):
        for j in range(pixels - 1):
            for half in range(2):
                # One triangle has the next pixel of this scan, the other that of the next scan.
                i_b, j_b = i + half, j + 1 - half
                row_a, row_b, row_c = rows[i, j], rows[i_b, j_b], rows[i + 1, j + 1]
                if not (max(row_a, row_b, row_c) >= 0 and min(row_a, row_b, row_c) < end_row):
                    continue
                column_a = columns[i, j]
                column_b = _turn(columns[i_b, j_b], column_a, period)
                column_c = _turn(columns[i + 1, j + 1], column_a, period)
                right_b, up_b = column_b - column_a, row_b - row_a
                right_c, up_c = column_c - column_a, row_c - row_a
                side = max(abs(right_b), abs(up_b), abs(right_c), abs(up_c))
                area = right_b * up_c - right_c * up_b
                if not (side <= longest and abs(area) > 0):
                    continue
                first_column = math.ceil(min(column_a, column_b, column_c))
                last_column = math.floor(max(column_a, column_b, column_c))
                first_row = max(0, math.ceil(min(row_a, row_b, row_c)))
                last_row = min(end_row - 1, math.floor(max(row_a, row_b, row_c)))
                for row in range(first_row, last_row + 1):
                    up = row - row_a
                    for column in range(first_column, last_column + 1):
                        right = column - column_a
                        share_b = (right * up_c - right_c * up) / area
                        share_c = (right_b * up - right * up_b) / area
                        share_a = 1 - share_b - share_c
                        if min(share_a, share_b, share_c) < -_ROUNDING:
                            continue
                        place = column % int(period) if period > 0 else column
                        if not 0 <= place < end_column:
                            continue
                        share_a = 0.0 if np.isnan(values[i, j, 0]) else share_a
                        share_b = 0.0 if np.isnan(values[i_b, j_b, 0]) else share_b
                        share_c = 0.0 if np.isnan(values[i + 1, j + 1, 0]) else share_c
                        total = share_a + share_b + share_c
                        if total < 0.5:
                            continue
                        cell_row, cell_column = row // parts, place // parts
                        hits[cell_row, cell_column] += 1
                        for k in range(fields):
                            value = 0.0
                            if share_a > 0:
                                value += share_a * values[i, j, k]
                            if share_b > 0:
                                value += share_b * values[i_b, j_b, k]
                            if share_c > 0:
                                value += share_c * values[i + 1, j + 1, k]
                            sums[cell_row, cell_column, k] += value / total


@_compile
def add_pass(sums, hits, least, totals, passes):  # type: ignore[no-untyped-def]
    """Add the means of a pass to the sums of a day, weighed by their variance; clear those of the pass.

    Parameters
    ----------
    sums : float32 (rows, columns, fields)
        Concentration, standard error, and whatever is averaged beside.
    hits : uint16 (rows, columns)
    least : int
        Points that a cell needs.
    totals : float32 (rows, columns, 1 + fields)
        Sum of the weights; weighted sums, but of the standard error the smallest.
    passes : uint8 (rows, columns)

    Returns
    -------
    int
        Cells that the pass has met.
    """
    rows, columns, fields = sums.shape
    met = 0
    for row in range(rows):
        for column in range(columns):
            number = hits[row, column]
            if number == 0:
                continue
            if number >= least:
                met += 1
                error = sums[row, column, 1] / number
                weight = 1 / (error * error) if error > 0 else 1.0
                totals[row, column, 0] += weight
                for k in range(fields):
                    if k != 1:
                        totals[row, column, 1 + k] += weight * (sums[row, column, k] / number)
                if passes[row, column] == 0 or error < totals[row, column, 2]:
                    totals[row, column, 2] = error
                if passes[row, column] < 255:
                    passes[row, column] += 1
            hits[row, column] = 0
            for k in range(fields):
                sums[row, column, k] = 0
    return met
