"""Compiled loops over the pixels of swaths: averages and interpolation by distance on the ground."""

from __future__ import annotations

import numpy as np

from seaice.runtime.compiled_kernels import compile_loop

_compile = compile_loop(error_model="numpy")
_NEWTON_STEPS = 5


@_compile
def _square_distance(position, scan, pixel, x, y, z):  # type: ignore[no-untyped-def]
    dx = position[0, scan, pixel] - x
    dy = position[1, scan, pixel] - y
    dz = position[2, scan, pixel] - z
    return dx * dx + dy * dy + dz * dz


@_compile
def _walk_to_nearest(position, scan, pixel, x, y, z):  # type: ignore[no-untyped-def]
    """Nearest pixel of a scan and its square distance, downhill from another pixel."""
    pixels = position.shape[2]
    nearest = _square_distance(position, scan, pixel, x, y, z)
    for step in (-1, 1):
        while 0 <= pixel + step < pixels:
            square = _square_distance(position, scan, pixel + step, x, y, z)
            if not square < nearest:
                break
            nearest, pixel = square, pixel + step
    return pixel, nearest


@_compile
def list_neighbours(position, scan, pixel, x, y, z, reach, numbers, squares):  # type: ignore[no-untyped-def]
    """List the pixels within a distance, scan after scan to either side of a first one.

    Neighbouring scans lie ever further away, and so do neighbouring pixels of a scan.

    Parameters
    ----------
    position : float64 (3, scans, pixels)
        Kilometres from the centre of the Earth.
    scan, pixel : int
        Where to begin.
    x, y, z, reach : float
        Kilometres.
    numbers, squares : int64, float64 (most,)
        Filled with scan * pixels + pixel, and square distances.

    Returns
    -------
    int
        How many there are.
    """
    scans, pixels = position.shape[1:]
    limit = reach * reach
    count = 0
    for direction in (-1, 1):
        row = scan if direction == -1 else scan + 1
        middle = pixel
        while 0 <= row < scans:
            middle, nearest = _walk_to_nearest(position, row, middle, x, y, z)
            if nearest > limit:
                break
            for step in (-1, 1):
                column = middle if step == -1 else middle + 1
                while 0 <= column < pixels and count < len(numbers):
                    square = _square_distance(position, row, column, x, y, z)
                    if not square <= limit:
                        break
                    numbers[count] = row * pixels + column
                    squares[count] = square
                    count += 1
                    column += step
            row += direction
    return count


@_compile
def average(position, values, target, needed, sigma, reach, least, most, results):  # type: ignore[no-untyped-def]
    """Average pixels about other places, with the weights of a Gaussian.

    Parameters
    ----------
    position : float64 (3, scans, pixels)
    values : float32 (fields, scans * pixels)
    target : float64 (3, scans, pixels)
        Of as many scans.
    needed : bool (scans, pixels)
        Places to be computed.
    sigma, reach : float
        Kilometres.
    least : float
        Share of the weight that must be on pixels with a value.
    most : int
        Neighbours.
    results : float32 (fields, scans, pixels)
    """
    fields = len(values)
    scans, pixels = target.shape[1:]
    numbers, squares = np.empty(most, np.int64), np.empty(most)
    sums, weights = np.empty(fields), np.empty(fields)
    factor = -0.5 / (sigma * sigma)
    for scan in range(scans):
        for pixel in range(pixels):
            results[:, scan, pixel] = np.nan
            if not needed[scan, pixel]:
                continue
            begin = pixel * position.shape[2] // pixels
            x, y, z = target[0, scan, pixel], target[1, scan, pixel], target[2, scan, pixel]
            count = list_neighbours(position, scan, begin, x, y, z, reach, numbers, squares)
            total = 0.0
            sums[:], weights[:] = 0.0, 0.0
            for neighbour in range(count):
                weight = np.exp(factor * squares[neighbour])
                total += weight
                for field in range(fields):
                    value = values[field, numbers[neighbour]]
                    if np.isfinite(value):
                        sums[field] += weight * value
                        weights[field] += weight
            for field in range(fields):
                if weights[field] > 0 and weights[field] >= least * total:
                    results[field, scan, pixel] = sums[field] / weights[field]


@_compile
def _locate_between(position, first, last, row, column, x, y, z):  # type: ignore[no-untyped-def]
    """Fractional scan and pixel of a point, between two scans; NaN where positions are unknown."""
    last_column = position.shape[2] - 1
    for _ in range(_NEWTON_STEPS):
        i = min(max(int(row), first), last - 1)
        j = min(max(int(column), 0), last_column - 1)
        up, right = row - i, column - j
        rr, cc, rc, rd, cd = 0.0, 0.0, 0.0, 0.0, 0.0
        for axis in range(3):
            a, b = position[axis, i, j], position[axis, i, j + 1]
            c, d = position[axis, i + 1, j], position[axis, i + 1, j + 1]
            along_row = (c - a) + right * ((d - b) - (c - a))
            along_column = (b - a) + up * ((d - c) - (b - a))
            point = x if axis == 0 else (y if axis == 1 else z)
            offset = point - a - up * (c - a) - right * along_column
            rr += along_row * along_row
            cc += along_column * along_column
            rc += along_row * along_column
            rd += along_row * offset
            cd += along_column * offset
        determinant = rr * cc - rc * rc
        row = min(max(row + (cc * rd - rc * cd) / determinant, first), last)
        column = min(max(column + (rr * cd - rc * rd) / determinant, 0.0), last_column)
        if not np.isfinite(row + column):
            return np.nan, np.nan
    return row, column


@_compile
def locate(position, target, rows, columns):  # type: ignore[no-untyped-def]
    """Find where among the pixels of a swath other places lie.

    Parameters
    ----------
    position, target : float64 (3, scans, pixels)
        Of as many scans.
    rows, columns : float32 (scans, pixels)
        Filled with fractional numbers of scans and pixels, within the swath; NaN where unknown.
    """
    scans, pixels = target.shape[1:]
    last = position.shape[1] - 1
    for scan in range(scans):
        for pixel in range(pixels):
            x, y, z = target[0, scan, pixel], target[1, scan, pixel], target[2, scan, pixel]
            begin = pixel * position.shape[2] / pixels
            row, column = _locate_between(position, 0, last, float(scan), begin, x, y, z)
            # Beside a scan without positions: on the scan itself.
            if np.isnan(row) and scan > 0:
                row, column = _locate_between(position, scan - 1, scan, float(scan), begin, x, y, z)
            if np.isnan(row) and scan < last:
                row, column = _locate_between(position, scan, scan + 1, float(scan), begin, x, y, z)
            rows[scan, pixel], columns[scan, pixel] = row, column


@_compile
def interpolate(fields, rows, columns, results):  # type: ignore[no-untyped-def]
    """Interpolate fields linearly; where less than half of the weight has a value there is none.

    Parameters
    ----------
    fields : float32 (fields, scans, pixels)
    rows, columns : float32 (places,)
        As of :func:`locate`.
    results : float32 (fields, places)
    """
    count, scans, pixels = fields.shape
    for position in range(len(rows)):
        row, column = rows[position], columns[position]
        if not np.isfinite(row + column):
            results[:, position] = np.nan
            continue
        i, j = min(int(row), scans - 2), min(int(column), pixels - 2)
        up, right = row - i, column - j
        for field in range(count):
            total, weights = 0.0, 0.0
            for corner in range(4):
                above, beside = corner // 2, corner % 2
                weight = (up if above else 1 - up) * (right if beside else 1 - right)
                value = fields[field, i + above, j + beside]
                if np.isfinite(value):
                    total += weight * value
                    weights += weight
            results[field, position] = total / weights if weights >= 0.5 else np.nan
