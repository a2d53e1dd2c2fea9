"""Compiled inner loops of the gridding: projection to cells, and sums by cell.

The projections use polynomials (Taylor series) for sine and cosine on at most an eighth of a
turn, so that the compiler turns the loops into vector instructions; the first term that is left
out is below 1e-17. Angles are reduced in degrees, where 90 and 180 are exact.

References
----------
Snyder (1987), Map projections: a working manual, doi:10.3133/pp1395, equations 3-12, 24-17
(Lambert azimuthal equal-area) and 15-9, 21-33 (polar stereographic).
"""

import math

import numpy as np
from numba import njit

from seaice.runtime.compiled_kernels import compile_loop

EQUAL_AREA, STEREOGRAPHIC = 0, 1  # kinds of projection
OUTSIDE, NO_POSITION = -1, -2  # cells of points beyond the grid, and of points without position
# The binary logarithm of the number of neighbouring cells that one thread owns. So neighbours stay
# together, and no two threads write to the same cache line (32 numbers of 4 bytes are two lines).
RUN_BITS = 5
# Columns of the table of sums.
COUNT, WEIGHT, MEAN, SQUARES, LOWEST, HIGHEST = range(6)

_RADIAN = math.pi / 180


@njit(inline="always")
def _sine(x: float) -> float:
    """Sine of -pi/4 <= x <= pi/4."""
    z = x * x
    p = 1.0 / 355687428096000.0
    p = p * z - 1.0 / 1307674368000.0
    p = p * z + 1.0 / 6227020800.0
    p = p * z - 1.0 / 39916800.0
    p = p * z + 1.0 / 362880.0
    p = p * z - 1.0 / 5040.0
    p = p * z + 1.0 / 120.0
    p = p * z - 1.0 / 6.0
    return x + x * z * p


@njit(inline="always")
def _cosine(x: float) -> float:
    """Cosine of -pi/4 <= x <= pi/4."""
    z = x * x
    p = 1.0 / 20922789888000.0
    p = p * z - 1.0 / 87178291200.0
    p = p * z + 1.0 / 479001600.0
    p = p * z - 1.0 / 3628800.0
    p = p * z + 1.0 / 40320.0
    p = p * z - 1.0 / 720.0
    p = p * z + 1.0 / 24.0
    return 1.0 - 0.5 * z + z * z * p


@njit(inline="always")
def _compute_radius(lat: float, kind: int, a: float, e: float, factor: float) -> float:
    """Distance from the pole in the plane, metres.

    ``lat`` is in degrees, positive towards the pole of the projection. The formulas are written in
    the distance from the pole, because 1 - sin(lat) would lose digits next to it. ``factor`` is
    that of :class:`seaice.gridding.projection.PolarProjection`.
    """
    half = (90.0 - lat) * (0.5 * _RADIAN)  # 0 at the pole, pi/2 at the opposite pole
    # Beyond the equator the complement is used, for which sine and cosine change roles.
    far = half > 0.25 * math.pi
    near = 0.5 * math.pi - half if far else half
    s, c = _sine(near), _cosine(near)
    sine_half = c if far else s
    cosine_half = s if far else c
    versine = 2.0 * sine_half * sine_half  # 1 - sin(lat)
    sin_lat = 1.0 - versine
    e2 = e * e
    if kind == EQUAL_AREA:
        one, two = 1.0 - e2 * sin_lat, 1.0 - e2 * sin_lat * sin_lat
        ratio = versine / (one * two)  # one division for both terms
        part = ratio * one * (1.0 + e2 * sin_lat)
        # (atanh(e) - atanh(e sin(lat))) / e, as a single atanh
        part += (1.0 - e2) * ratio * two * _atanh_over(e * ratio * two)
        return a * math.sqrt(part)
    z = e * e * sin_lat * _atanh_over(e * sin_lat)
    return factor * (sine_half / cosine_half) * _exponential(z)


@njit(inline="always")
def _atanh_over(z: float) -> float:
    """atanh(z) / z for -0.17 <= z <= 0.17."""
    q = z * z
    p = 1.0 / 21.0
    p = p * q + 1.0 / 19.0
    p = p * q + 1.0 / 17.0
    p = p * q + 1.0 / 15.0
    p = p * q + 1.0 / 13.0
    p = p * q + 1.0 / 11.0
    p = p * q + 1.0 / 9.0
    p = p * q + 1.0 / 7.0
    p = p * q + 1.0 / 5.0
    p = p * q + 1.0 / 3.0
    return 1.0 + q * p


@njit(inline="always")
def _exponential(z: float) -> float:
    """exp(z) for -0.01 <= z <= 0.01."""
    p = 1.0 / 720.0
    p = p * z + 1.0 / 120.0
    p = p * z + 1.0 / 24.0
    p = p * z + 1.0 / 6.0
    p = p * z + 0.5
    return 1.0 + z + z * z * p


@njit(inline="always")
def _project_point(
    lat: float,
    lon: float,
    kind: int,
    pole: float,
    lon0: float,
    a: float,
    e: float,
    factor: float,
    east: float,
    north: float,
) -> tuple[float, float]:
    """X and y of a point, metres.

    The angle from the meridian ``lon0`` is split into quarter turns and a rest of at most an eighth
    of a turn, for which the polynomials hold.
    """
    radius = _compute_radius(pole * lat, kind, a, e, factor)
    turn = lon - lon0
    turn -= 360.0 * np.floor(turn * (1.0 / 360.0) + 0.5)  # -180..180
    quarter = np.floor(turn * (1.0 / 90.0) + 0.5)  # -2..2
    rest = (turn - 90.0 * quarter) * _RADIAN
    s, c = _sine(rest), _cosine(rest)
    odd = abs(quarter) == 1.0
    sine = c if odd else s
    cosine = s if odd else c
    sine = -sine if quarter == -1.0 or abs(quarter) == 2.0 else sine
    cosine = -cosine if quarter == 1.0 or abs(quarter) == 2.0 else cosine
    return east + radius * sine, north - pole * radius * cosine


@compile_loop(error_model="numpy")
def project(
    lat: np.ndarray,
    lon: np.ndarray,
    kind: int,
    pole: float,
    lon0: float,
    a: float,
    e: float,
    factor: float,
    east: float,
    north: float,
    x: np.ndarray,
    y: np.ndarray,
) -> None:
    """X and y of points, metres; NaN stays NaN."""
    for i in range(lat.size):
        x[i], y[i] = _project_point(lat[i], lon[i], kind, pole, lon0, a, e, factor, east, north)


@njit(inline="always")
def _find_cell(
    x: float, y: float, west: float, south: float, step: float, rows: int, columns: int
) -> np.int32:
    """Index of the cell of a point (row times columns plus column); OUTSIDE beyond the grid.

    A cell holds its western and northern edge: rows are counted from the north and then turned
    around, because row 0 is the south.
    """
    column = np.floor((x - west) / step)
    row = rows - 1.0 - np.floor((south + rows * step - y) / step)
    inside = (column >= 0.0) & (column < columns) & (row >= 0.0) & (row < rows)
    return np.int32(row * columns + column) if inside else np.int32(OUTSIDE)


@compile_loop(error_model="numpy")
def locate_cells(
    lat: np.ndarray,
    lon: np.ndarray,
    kind: int,
    pole: float,
    lon0: float,
    a: float,
    e: float,
    factor: float,
    east: float,
    north: float,
    west: float,
    south: float,
    step: float,
    rows: int,
    columns: int,
    cells: np.ndarray,
) -> None:
    """Index of the cell of every point by latitude and longitude; OUTSIDE or NO_POSITION if none."""
    for i in range(lat.size):
        x, y = _project_point(lat[i], lon[i], kind, pole, lon0, a, e, factor, east, north)
        has_position = (abs(lat[i]) <= 90.0) & (abs(lon[i]) < np.inf)  # false of NaN
        cell = _find_cell(x, y, west, south, step, rows, columns)
        cells[i] = cell if has_position else np.int32(NO_POSITION)


@compile_loop(error_model="numpy")
def locate_projected_cells(
    x: np.ndarray,
    y: np.ndarray,
    west: float,
    south: float,
    step: float,
    rows: int,
    columns: int,
    cells: np.ndarray,
) -> None:
    """Index of the cell of every point in the plane; infinite is OUTSIDE, NaN is NO_POSITION."""
    for i in range(x.size):
        cell = _find_cell(x[i], y[i], west, south, step, rows, columns)
        has_position = (x[i] == x[i]) & (y[i] == y[i])  # false of NaN
        cells[i] = cell if has_position else np.int32(NO_POSITION)


@njit(inline="always")
def _combine(
    table: np.ndarray,
    slot: int,
    count: float,
    weight: float,
    mean: float,
    squares: float,
    lowest: float,
    highest: float,
) -> None:
    """Combine sums with those of a row of the table.

    The deviations from the two means become deviations from the common mean by the formula of
    Chan et al. (1979), Stanford STAN-CS-79-773.
    """
    table_weight = table[slot, WEIGHT]
    total_weight = table_weight + weight
    difference = mean - table[slot, MEAN]
    share = weight / total_weight
    table[slot, COUNT] += count
    table[slot, WEIGHT] = total_weight
    table[slot, MEAN] += difference * share
    table[slot, SQUARES] += squares + difference * difference * table_weight * share
    table[slot, LOWEST] = min(table[slot, LOWEST], lowest)
    table[slot, HIGHEST] = max(table[slot, HIGHEST], highest)


@compile_loop(error_model="numpy")
def add(
    cells: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    owner: int,
    owners: int,
    slot_of: np.ndarray,
    table: np.ndarray,
    cell_of: np.ndarray,
    tracks: np.ndarray,
    last_tracks: np.ndarray,
    track: int,
    used: int,
    dropped: np.ndarray,
) -> int:
    """Add points to the sums of the cells that a thread owns; returns the number of slots in use.

    A slot is a row of ``table``; ``slot_of`` has the slot of each cell of the grid and ``cell_of``
    the cell of each slot. A run of points in the same cell is summed about its first value, which
    loses no digits where values are large and differ little, and is combined with the cell once.
    Runs end where the cell changes, for any number of owners, so that all of them give the same bits.

    ``tracks`` counts the tracks with points in a cell, ``last_tracks`` holds the number of the last.
    ``dropped`` counts points outside the grid and points without position (by owner 0 only), and
    points without value and without weight (each by the owner of its cell).
    """
    uniform = weights.size == 0
    mask = owners - 1
    current = np.int32(-3)  # no cell yet
    is_own = False
    count = 0.0
    weight = first = total = squares = lowest = highest = 0.0
    slot = 0
    for i in range(cells.size):
        cell = cells[i]
        if cell < 0:
            if owner == 0:
                dropped[-1 - cell] += 1
            continue
        if cell != current:
            if count > 0.0:
                mean = total / weight
                spread = max(0.0, squares - total * mean)
                _combine(table, slot, count, weight, first + mean, spread, lowest, highest)
                count = 0.0
            current = cell
            is_own = (cell >> RUN_BITS) & mask == owner
        if not is_own:
            continue
        value = values[i]
        if not abs(value) < np.inf:
            dropped[2] += 1
            continue
        w = 1.0 if uniform else weights[i]
        if not 0.0 < w < np.inf:
            dropped[3] += 1
            continue
        if count == 0.0:
            slot = slot_of[cell]
            if slot < 0:
                slot = used
                used += 1
                slot_of[cell] = slot
                cell_of[slot] = cell
                table[slot, COUNT] = table[slot, WEIGHT] = table[slot, MEAN] = table[slot, SQUARES] = 0.0
                table[slot, LOWEST] = np.inf
                table[slot, HIGHEST] = -np.inf
            if last_tracks[slot] != track:
                last_tracks[slot] = track
                tracks[slot] += 1
            weight = total = squares = 0.0
            first = lowest = highest = value
        d = value - first
        count += 1.0
        weight += w
        total += w * d
        squares += w * d * d
        lowest = min(lowest, value)
        highest = max(highest, value)
    if count > 0.0:
        mean = total / weight
        spread = max(0.0, squares - total * mean)
        _combine(table, slot, count, weight, first + mean, spread, lowest, highest)
    return used


@compile_loop(error_model="numpy")
def merge(
    cells_a: np.ndarray,
    table_a: np.ndarray,
    cells_b: np.ndarray,
    table_b: np.ndarray,
    cells: np.ndarray,
    table: np.ndarray,
    rows_a: np.ndarray,
    rows_b: np.ndarray,
) -> int:
    """Merge two tables, each sorted by cell, into ``cells`` and ``table``; returns the number of cells.

    ``rows_a`` and ``rows_b`` receive the row of the result for every row of either table.
    """
    i = j = n = 0
    while i < cells_a.size or j < cells_b.size:
        if j >= cells_b.size or (i < cells_a.size and cells_a[i] < cells_b[j]):
            cells[n] = cells_a[i]
            table[n] = table_a[i]
            rows_a[i] = n
            i += 1
        elif i >= cells_a.size or cells_b[j] < cells_a[i]:
            cells[n] = cells_b[j]
            table[n] = table_b[j]
            rows_b[j] = n
            j += 1
        else:
            cells[n] = cells_a[i]
            table[n] = table_a[i]
            b = table_b[j]
            _combine(table, n, b[0], b[1], b[2], b[3], b[4], b[5])
            rows_a[i] = rows_b[j] = n
            i += 1
            j += 1
        n += 1
    return n
