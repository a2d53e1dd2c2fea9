"""Compiled loops of the fitted fill; see :mod:`seaice.gapfill._kernels` for the conventions.

A missing cell has a gap of its own: ``back`` days to its last observed day and ``forward`` days to the
next one; one of them is 0 where a side has no day. The cells of a tile with the same gap are worked on
together, in the box around them. What is looked at around a cell lies in patches: the box and a margin,
NaN where there is land or no value.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.gapfill._kernels import ICE_BLOCK, OBSERVED, has_value_in_time
from seaice.gapfill.increments._patch_kernels import (
    MARGIN,
    NEAREST,
    average,
    average_3,
    fill_patch,
    find_extremes,
    measure_tenths,
    smear,
    take_cells,
    value_near,
)
from seaice.runtime.compiled_kernels import compile_loop

# Side of the squares of cells that are worked on at a time: what they need stays in the cache.
TILE = 32
# Days beyond either end of a gap that are looked at.
FURTHER = 4
CONTOURS = (15.0, 50.0, 80.0)
# Percent. Where both means over 9 x 9 cells are below it there is no ice that a network could know of.
OPEN_WATER = np.float32(0.05)

# Rows of the features. Those of the two ends stand in turn, so that the mirror in time exchanges
# row 2 k and row 2 k + 1.
VALUE, MEAN_3, LOWEST, HIGHEST, MEAN_5, MEAN_9 = 0, 2, 4, 6, 8, 10
NEXT, SECOND, NEXT_MEAN, SECOND_MEAN, FURTHER_MEAN, DEVIATION = 12, 14, 16, 18, 20, 22
DISTANCES, DAYS, ESTIMATE, LAND_DISTANCE = 24, 30, 32, 33
FEATURES = 34
PAIRED = 32

INCREMENT_TWO_SIDED = int(FillFlag.INCREMENT_TWO_SIDED)
INCREMENT_ONE_SIDED = int(FillFlag.INCREMENT_ONE_SIDED)
KRIGED_TWO_SIDED, KRIGED_ONE_SIDED = int(FillFlag.KRIGED_TWO_SIDED), int(FillFlag.KRIGED_ONE_SIDED)

# States of a cell in a prediction.
UNUSED, IN_GAP, BESIDE_GAP, WITHOUT_ICE, ALONE_IN_GAP = 0, 1, 2, 3, 4

# Division by zero gives NaN or infinity: a check before every division would keep loops from being
# compiled for many cells at once.
_compile = compile_loop(error_model="numpy")


@_compile
def _describe_end(  # type: ignore[no-untyped-def]
    values, flag, index, order, s, away, box, cells, members, columns, patch, is_full, means, features,
    side
):  # fmt: skip
    """Features of one end of a gap: the s-th day, in ``patch``, and the days beyond it."""
    south, north, west, east = box
    rows, width = north - south, patch.shape[1]
    lowest, highest = np.empty((rows, width), np.float32), np.empty((rows, width), np.float32)
    find_extremes(patch, lowest, highest)
    tenths = (
        measure_tenths(patch, np.float32(CONTOURS[0])),
        measure_tenths(patch, np.float32(CONTOURS[1])),
        measure_tenths(patch, np.float32(CONTOURS[2])),
    )
    beyond = np.empty((2, rows + 2, east - west + 2), np.float32)
    beyond_means = np.empty((2, rows, east - west + 2), np.float32)
    for k in range(2):
        is_whole = fill_patch(
            values, flag, index, order, s + away * (k + 1), away, s, south - 1, west - 1, beyond[k]
        )
        average_3(beyond[k], is_whole, beyond_means[k])
    numbers = np.empty(members.size, np.int64)
    for m in range(members.size):
        numbers[m] = index[cells[members[m], 0], cells[members[m], 1]]
    far = np.full((FURTHER - 2, members.size), np.float32(np.nan))
    for k in range(FURTHER - 2):
        day = s + away * (k + 3)
        if 0 <= day < order.size:
            take_cells(values[order[day]], flag[order[day]], numbers, far[k])
    series = np.empty(FURTHER + 1, np.float32)
    for m in range(members.size):
        member = members[m]
        n = columns[member]
        i, j = cells[member, 0] - south, cells[member, 1] - west
        own = patch[i + MARGIN, j + MARGIN]
        features[VALUE + side, n] = own
        features[MEAN_3 + side, n] = means[0, i, j + MARGIN]
        features[MEAN_5 + side, n] = means[1, i, j + MARGIN]
        features[MEAN_9 + side, n] = means[2, i, j + MARGIN]
        features[LOWEST + side, n] = lowest[i, j + MARGIN]
        features[HIGHEST + side, n] = highest[i, j + MARGIN]
        for c in range(3):
            d = np.float32(tenths[c][i + MARGIN, j + MARGIN]) * np.float32(0.1)
            features[DISTANCES + 2 * c + side, n] = d if own >= np.float32(CONTOURS[c]) else -d
        series[0] = own
        for k in range(1, FURTHER + 1):
            if k <= 2:
                v = beyond[k - 1, i + 1, j + 1]
            else:
                v = far[k - 3, m]
                if v != v:
                    v = value_near(values, flag, order, s + away * k, away, s, numbers[m])
            series[k] = v if v == v else own
        for k in range(2):
            v = beyond_means[k, i, j + 1]
            features[NEXT_MEAN + 2 * k + side, n] = v if v == v else means[0, i, j + MARGIN]
        features[NEXT + side, n], features[SECOND + side, n] = series[1], series[2]
        total = series[1] + series[2] + series[3] + series[4]
        features[FURTHER_MEAN + side, n] = total / np.float32(FURTHER)
        mean, squares = (total + own) / np.float32(FURTHER + 1), np.float32(0.0)
        for k in range(FURTHER + 1):
            squares += (series[k] - mean) * (series[k] - mean)
        features[DEVIATION + side, n] = np.sqrt(squares / np.float32(FURTHER + 1))


@_compile
def describe_cells(  # type: ignore[no-untyped-def]
    values, flag, index, order, t, beside, cells, gaps, features, estimates, columns, scratch
):
    """Features of cells (n, 2) of one tile on the t-th day, scaled for a network.

    ``gaps`` (2, n) are the days to the end of each cell's gap before and after that day, 0 where a side
    has none. ``estimates[n]`` becomes the fill in time of every cell, percent; ``columns[n]`` the column
    of its features, -1 where there is no ice about it. Returns the number of columns. ``beside[d]`` is
    the weight of the next row or column on a day d days away; ``scratch`` is :func:`make_scratch`.
    """
    patches, means, smeared, members = scratch
    count = cells.shape[0]
    estimates[:count] = np.float32(0.0)
    columns[:count] = -1
    is_full = np.zeros((2, beside.size), np.bool_)
    occurs = np.zeros((2, beside.size), np.bool_)
    for n in range(count):
        occurs[0, gaps[0, n]] = occurs[1, gaps[1, n]] = True
    for side in range(2):
        for days in range(1, beside.size):
            if not occurs[side, days]:
                continue
            size = _list_members(gaps[side], days, count, members)
            box = _box_of(cells, members[:size])
            patch, mean, smear_box = _cut(
                box, patches[side, days], means[side, days], smeared[side, days]
            )
            s, away = (t - days, -1) if side == 0 else (t + days, 1)
            is_full[side, days] = fill_patch(
                values, flag, index, order, s, away, s, box[0] - MARGIN, box[2] - MARGIN, patch
            )
            average(patch, is_full[side, days], mean)
            smear(patch, is_full[side, days], np.float32(beside[days]), smear_box)
            for n in members[:size]:
                i, j = cells[n, 0] - box[0], cells[n, 1] - box[2] + MARGIN
                opposite = gaps[1 - side, n]
                share = np.float32(opposite / (days + opposite)) if opposite > 0 else np.float32(1.0)
                estimates[n] += share * smear_box[i, j]
                if mean[2, i, j] >= OPEN_WATER:
                    columns[n] = 0
    used = 0
    for n in range(count):
        if columns[n] == 0:
            columns[n] = used
            used += 1
    if used == 0:
        return 0
    for side in range(2):
        for days in range(1, beside.size):
            if not occurs[side, days]:
                continue
            size = _list_members(gaps[side], days, count, members)
            box = _box_of(cells, members[:size])
            icy = 0
            for n in members[:size]:
                if columns[n] >= 0:
                    members[icy] = n
                    icy += 1
            if icy == 0:
                continue
            patch, mean, _ = _cut(box, patches[side, days], means[side, days], smeared[side, days])
            s, away = (t - days, -1) if side == 0 else (t + days, 1)
            _describe_end(
                values, flag, index, order, s, away, box, cells, members[:icy], columns, patch,
                is_full[side, days], mean, features, side,
            )  # fmt: skip
    _finish_features(index, cells, gaps, estimates, columns, count, used, features)
    return used


@_compile
def make_scratch():  # type: ignore[no-untyped-def]
    """Memory for :func:`describe_cells`, by side and days to the end of a gap."""
    width = TILE + 2 * MARGIN
    patches = np.empty((2, 10, width * width), np.float32)
    means = np.empty((2, 10, 3 * TILE * width), np.float32)
    smeared = np.empty((2, 10, TILE * width), np.float32)
    return patches, means, smeared, np.empty(TILE * TILE, np.int64)


@_compile
def _cut(box, patch, mean, smeared):  # type: ignore[no-untyped-def]
    """The parts of scratch memory that a box needs."""
    rows, width = box[1] - box[0], box[3] - box[2] + 2 * MARGIN
    height = rows + 2 * MARGIN
    return (
        patch[: height * width].reshape(height, width),
        mean[: 3 * rows * width].reshape(3, rows, width),
        smeared[: rows * width].reshape(rows, width),
    )


@_compile
def _list_members(days_of_cells, days, count, members):  # type: ignore[no-untyped-def]
    size = 0
    for n in range(count):
        if days_of_cells[n] == days:
            members[size] = n
            size += 1
    return size


@_compile
def _box_of(cells, members):  # type: ignore[no-untyped-def]
    south, west = cells[members[0], 0], cells[members[0], 1]
    north, east = south + 1, west + 1
    for n in members:
        south, north = min(south, cells[n, 0]), max(north, cells[n, 0] + 1)
        west, east = min(west, cells[n, 1]), max(east, cells[n, 1] + 1)
    return south, north, west, east


@_compile
def _finish_features(  # type: ignore[no-untyped-def]
    index, cells, gaps, estimates, columns, count, used, features
):
    """Distance to land, days, and the scale of all features; a side without a day is as the other."""
    south, north, west, east = index.shape[0], 0, index.shape[1], 0
    for n in range(count):
        if columns[n] >= 0:
            south, north = min(south, cells[n, 0]), max(north, cells[n, 0] + 1)
            west, east = min(west, cells[n, 1]), max(east, cells[n, 1] + 1)
    distance = _measure_land(index, south - MARGIN, north + MARGIN, west - MARGIN, east + MARGIN)
    tenth, quarter = np.float32(0.1), np.float32(0.25)
    of_columns = np.empty(used, np.float32)
    for n in range(count):
        k = columns[n]
        if k < 0:
            continue
        of_columns[k] = estimates[n]
        back, forward = gaps[0, n], gaps[1, n]
        if back == 0 or forward == 0:
            side = 0 if back > 0 else 1
            for row in range(0, PAIRED, 2):
                features[row + 1 - side, k] = features[row + side, k]
            back = forward = back + forward
        features[DAYS, k] = np.float32(back / 2 - 1)
        features[DAYS + 1, k] = np.float32(forward / 2 - 1)
        features[ESTIMATE, k] = estimates[n] / np.float32(50.0) - np.float32(1.0)
        d = np.float32(distance[cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN])
        features[LAND_DISTANCE, k] = d * tenth * quarter
    for row in range(DEVIATION):
        feature = features[row]
        for k in range(used):
            feature[k] = (feature[k] - of_columns[k]) * tenth
    for row in range(DEVIATION, DAYS):
        feature, scale = features[row], tenth if row < DISTANCES else quarter
        for k in range(used):
            feature[k] *= scale


@_compile
def _measure_land(index, south, north, west, east):  # type: ignore[no-untyped-def]
    """Distance to land in tenths of a cell; what lies beyond the grid is no land."""
    land = np.ones((north - south, east - west), np.float32)
    first, end = max(0, -west), min(land.shape[1], index.shape[1] - west)
    for i in range(max(0, -south), min(land.shape[0], index.shape[0] - south)):
        numbers, row = index[south + i, west + first : west + end], land[i, first:end]
        for j in range(row.size):
            row[j] = np.float32(0.0) if numbers[j] < 0 else np.float32(1.0)
    return measure_tenths(land, np.float32(0.5))


@_compile
def _activate(x):  # type: ignore[no-untyped-def]
    """A smooth step-up, close to the error-function unit, of operations that round everywhere alike."""
    half = np.float32(0.5)
    return half * x * (np.float32(1.0) + x / np.sqrt(np.float32(1.0) + x * x))


_BLOCK = 64


@_compile
def _add_inputs(weights, k, inputs, row):  # type: ignore[no-untyped-def]
    """Add the weighted inputs of the k-th unit to ``row``, in their order, four at a time."""
    count = inputs.shape[0]
    for f in range(0, count - 3, 4):
        w0, w1, w2, w3 = weights[f, k], weights[f + 1, k], weights[f + 2, k], weights[f + 3, k]
        x0, x1, x2, x3 = inputs[f], inputs[f + 1], inputs[f + 2], inputs[f + 3]
        for n in range(_BLOCK):
            v = row[n] + w0 * x0[n]
            v = v + w1 * x1[n]
            v = v + w2 * x2[n]
            row[n] = v + w3 * x3[n]
    for f in range(count - count % 4, count):
        w, x = weights[f, k], inputs[f]
        for n in range(_BLOCK):
            row[n] += w * x[n]
    for n in range(_BLOCK):
        row[n] = _activate(row[n])


@_compile
def evaluate(network, features, count, is_mirrored, increments):  # type: ignore[no-untyped-def]
    """Add the output of a network to ``increments`` (n).

    ``network`` is (weights_1 (34, 24), bias_1, weights_2 (24, 12), bias_2, weights_3 (12,), bias_3).
    Cells are worked on in blocks, and the sums of a cell run over its features in order: its result
    does not depend on the other cells.
    """
    w1, b1, w2, b2, w3, b3 = network
    inputs = np.zeros((w1.shape[0], _BLOCK), np.float32)
    first = np.empty((b1.size, _BLOCK), np.float32)
    second = np.empty((b2.size, _BLOCK), np.float32)
    output = np.empty((1, _BLOCK), np.float32)
    for begin in range(0, count, _BLOCK):
        size = min(_BLOCK, count - begin)
        for f in range(w1.shape[0]):
            feature = features[f ^ 1 if is_mirrored and f < PAIRED else f, begin : begin + size]
            inputs[f, :size] = feature
        for k in range(b1.size):
            first[k, :] = b1[k]
            _add_inputs(w1, k, inputs, first[k])
        for k in range(b2.size):
            second[k, :] = b2[k]
            _add_inputs(w2, k, first, second[k])
        output[0, :] = b3[0]
        for k in range(w3.size):
            w, unit = w3[k], second[k]
            for n in range(_BLOCK):
                output[0, n] += w * unit[n]
        for n in range(size):
            increments[begin + n] += output[0, n]


@_compile
def _find_gap(flag, order, t, limits, cell):  # type: ignore[no-untyped-def]
    """Days from the t-th to the nearest observed one before and after; 0 where none is."""
    back = forward = 0
    for k in range(1, min(limits[0], t) + 1):
        if flag[order[t - k], cell] == OBSERVED:
            back = k
            break
    for k in range(1, min(limits[1], order.size - 1 - t) + 1):
        if flag[order[t + k], cell] == OBSERVED:
            forward = k
            break
    return back, forward


@_compile
def _is_near_ice(ice, order, s, away, row, column):  # type: ignore[no-untyped-def]
    """Whether the s-th day, or a day that completes it, has ice in a block or in one beside it."""
    is_near = False
    for k in range(NEAREST + 1):
        day = s + away * k
        if 0 <= day < order.size:
            is_near |= ice[order[day], row, column]
    return is_near


@_compile
def mark_gaps(  # type: ignore[no-untyped-def]
    gaps, flag, days, rows, columns, ice, order, t, is_fitted, state, touched
):
    """Mark the cells of a day that were filled in time over a gap that the networks know.

    ``touched`` (rows and columns of tiles) becomes true for tiles that hold such a cell. Cells without
    any ice about them on the days that fill it are left out: the networks would leave them as they are.
    """
    for cell in gaps:
        if not (has_value_in_time(flag[cell]) and is_fitted[days[cell]]):
            continue
        y, x = rows[cell] // ICE_BLOCK, columns[cell] // ICE_BLOCK
        back, forward = np.int64(days[cell]) // 10, np.int64(days[cell]) % 10
        is_near = back > 0 and _is_near_ice(ice, order, t - back, -1, y, x)
        if is_near or (forward > 0 and _is_near_ice(ice, order, t + forward, 1, y, x)):
            state[cell] = IN_GAP
            touched[rows[cell] // TILE, columns[cell] // TILE] = True


@_compile
def mark_neighbours(  # type: ignore[no-untyped-def]
    gaps, flag, rows, columns, index, offsets, state, touched
):
    """Mark the nearest observed cells of every marked gap cell, and the tiles they are in.

    A gap cell with none within reach becomes ALONE_IN_GAP.
    """
    for cell in gaps:
        if state[cell] != IN_GAP:
            continue
        size = 0
        for n in range(offsets.shape[0]):
            y, x = rows[cell] + offsets[n, 0], columns[cell] + offsets[n, 1]
            if not (0 <= y < index.shape[0] and 0 <= x < index.shape[1]):
                continue
            neighbour = index[y, x]
            if neighbour >= 0 and flag[neighbour] == OBSERVED:
                state[neighbour] = BESIDE_GAP
                touched[y // TILE, x // TILE] = True
                size += 1
                if size == NEIGHBOURS:
                    break
        if size == 0:
            state[cell] = ALONE_IN_GAP


@_compile
def predict(  # type: ignore[no-untyped-def]
    first, end, tiles, values, flag, days, order, t, index, limits, is_fitted, beside, both, one,
    thresholds, state, prediction
):  # fmt: skip
    """Predict the cells of the t-th day that lie in or beside a gap from other days alone.

    ``tiles`` (n, 2) are those to look at, of which this call takes ``first`` to ``end``. ``prediction``
    becomes percent; a cell without ice about it gets the state WITHOUT_ICE. An observed
    cell whose gap would be unknown, were it missing, becomes UNUSED.
    """
    cells, gaps = np.empty((TILE * TILE, 2), np.int64), np.empty((2, TILE * TILE), np.int64)
    # Some columns more, so that the rows do not fall on the same lines of the cache.
    features = np.empty((FEATURES, TILE * TILE + 16), np.float32)
    estimates, columns = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.int64)
    outputs = np.empty((2, TILE * TILE), np.float32)
    scratch = make_scratch()
    for number in range(first, end):
        south, west = tiles[number, 0] * TILE, tiles[number, 1] * TILE
        count = 0
        for y in range(south, min(index.shape[0], south + TILE)):
            for x in range(west, min(index.shape[1], west + TILE)):
                cell = index[y, x]
                if cell < 0 or state[cell] == UNUSED:
                    continue
                back, forward = np.int64(days[cell]) // 10, np.int64(days[cell]) % 10
                if state[cell] == BESIDE_GAP:
                    back, forward = _find_gap(flag, order, t, limits, cell)
                    if not is_fitted[10 * back + forward]:
                        state[cell] = UNUSED
                        continue
                cells[count, 0], cells[count, 1] = y, x
                gaps[0, count], gaps[1, count] = back, forward
                count += 1
        used = describe_cells(
            values, flag, index, order, t, beside, cells[:count], gaps, features, estimates, columns,
            scratch,
        )  # fmt: skip
        outputs[:, :used] = np.float32(0.0)
        any_two = any_one = False
        for n in range(count):
            is_two_sided = gaps[0, n] > 0 and gaps[1, n] > 0
            any_two |= is_two_sided
            any_one |= not is_two_sided
        if any_two:
            evaluate(both, features, used, False, outputs[0])
            evaluate(both, features, used, True, outputs[0])
        if any_one:
            evaluate(one, features, used, False, outputs[1])
        for n in range(count):
            cell = index[cells[n, 0], cells[n, 1]]
            if columns[n] < 0:
                prediction[cell] = estimates[n]
                state[cell] = WITHOUT_ICE
                continue
            back, forward = gaps[0, n], gaps[1, n]
            is_two_sided = back > 0 and forward > 0
            scale = spread_of_gap(back, forward) * np.float32(0.5 if is_two_sided else 1.0)
            v = estimates[n] + scale * outputs[0 if is_two_sided else 1, columns[n]]
            v = min(max(v, np.float32(0.0)), np.float32(100.0))
            threshold = thresholds[0 if is_two_sided else 1, back + forward]
            prediction[cell] = move_threshold(v, threshold)


@_compile
def spread_of_gap(back, forward):  # type: ignore[no-untyped-def]
    """Percent by which the output of a network is multiplied.

    It grows as the standard error of a random walk does between two known days, or after one.
    """
    days = back * forward / (back + forward) if back > 0 and forward > 0 else back + forward
    return np.float32(10.0 * np.sqrt(np.float64(days)))


@_compile
def move_threshold(v, threshold):  # type: ignore[no-untyped-def]
    """Stretch values below 30 percent so that ``threshold`` comes to lie at 15."""
    if v < threshold:
        return v * (np.float32(15.0) / threshold)
    if v < np.float32(30.0):
        return np.float32(15.0) + (v - threshold) * (np.float32(15.0) / (np.float32(30.0) - threshold))
    return v


# Kriging of the departures of observed cells from their own prediction.
NEIGHBOURS = 12
ACTIVITY_DAYS = 6
# Activity is smoothed over so many cells to either side, with a standard deviation of one.
_SMOOTHING = 2
_SMOOTH = np.exp(-0.5 * np.arange(-_SMOOTHING, _SMOOTHING + 1.0) ** 2)


@_compile
def _measure_activity(values, flag, order, t, lead, cell):  # type: ignore[no-untyped-def]
    """Mean squared change a day between successive observations near the t-th day, that day left out."""
    total, days, last, before = 0.0, 0, -1, 0.0
    for s in range(max(0, t - ACTIVITY_DAYS), min(order.size, t + lead + 1)):
        if s != t and flag[order[s], cell] == OBSERVED:
            v = np.float64(values[order[s], cell])
            if last >= 0:
                total += (v - before) * (v - before)
                days += s - last
            last, before = s, v
    return total / days if days > 0 else 0.0


@_compile
def _solve(matrix, vector, size, column):  # type: ignore[no-untyped-def]
    """Solve a symmetric positive definite system in place (Cholesky); the result is in ``vector``.

    ``column`` is memory for ``size`` numbers. What a column adds to those behind it is subtracted at
    once: no sum waits for its last summand.
    """
    for k in range(size):
        pivot = np.sqrt(max(matrix[k, k], 1e-12))
        matrix[k, k] = pivot
        vector[k] /= pivot
        for i in range(k + 1, size):
            column[i] = matrix[i, k] / pivot
        for i in range(k + 1, size):
            c, row = column[i], matrix[i]
            row[k] = c
            vector[i] -= c * vector[k]
            for j in range(k + 1, i + 1):
                row[j] -= c * column[j]
    for i in range(size - 1, -1, -1):
        total = vector[i]
        for k in range(i + 1, size):
            total -= matrix[k, i] * vector[k]
        vector[i] = total / matrix[i, i]


@_compile
def krige(  # type: ignore[no-untyped-def]
    first, end, tiles, values, flag, order, t, lead, index, state, prediction, offsets, correlation,
    filled, codes, days
):  # fmt: skip
    """Correct the predictions of gap cells by the departures of observed cells of the day.

    ``tiles`` (n, 2) are those to look at, of which this call takes ``first`` to ``end``. ``offsets``
    (n, 2) are the rows and columns to neighbours, nearest first; ``correlation[d]`` is that of two
    departures at a squared distance of d. ``lead`` is how many later days may be looked at.
    """
    margin = np.abs(offsets).max() + _SMOOTHING
    side = TILE + 2 * margin
    spread, activity = np.empty((side, side)), np.empty((side, side))
    near, departures = np.empty((NEIGHBOURS, 2), np.int64), np.empty(NEIGHBOURS)
    matrix, weights = np.empty((NEIGHBOURS, NEIGHBOURS)), np.empty(NEIGHBOURS)
    column = np.empty(NEIGHBOURS)
    codes_here, values_here = flag[order[t]], values[order[t]]
    for number in range(first, end):
        south, west = tiles[number, 0] * TILE, tiles[number, 1] * TILE
        origin = (south - margin, west - margin)
        spread[:] = np.nan
        activity[:] = np.nan
        for y in range(south, min(index.shape[0], south + TILE)):
            for x in range(west, min(index.shape[1], west + TILE)):
                cell = index[y, x]
                if cell < 0 or state[cell] not in (IN_GAP, ALONE_IN_GAP):
                    continue
                size = 0
                if state[cell] == IN_GAP:
                    size = _list_near(codes_here, index, state, offsets, y, x, near)
                estimate = np.float64(prediction[cell])
                low = high = estimate
                for i in range(size):
                    neighbour = index[near[i, 0], near[i, 1]]
                    v = np.float64(values_here[neighbour])
                    departures[i] = (v - prediction[neighbour]) / _measure_spread(
                        values, flag, order, t, lead, index, origin, near[i, 0], near[i, 1],
                        activity, spread,
                    )  # fmt: skip
                    low, high = min(low, v), max(high, v)
                if size > 0:
                    _weigh(near[:size], y, x, correlation, matrix, weights, column)
                    total = 0.0
                    for i in range(size):
                        total += weights[i] * departures[i]
                    estimate += total * _measure_spread(
                        values, flag, order, t, lead, index, origin, y, x, activity, spread
                    )
                    estimate = min(max(estimate, low), high)
                filled[cell] = estimate
                is_two_sided = days[cell] > 10 and days[cell] % 10 > 0
                if size > 0:
                    codes[cell] = KRIGED_TWO_SIDED if is_two_sided else KRIGED_ONE_SIDED
                else:
                    codes[cell] = INCREMENT_TWO_SIDED if is_two_sided else INCREMENT_ONE_SIDED


@_compile
def _list_near(flag, index, state, offsets, y, x, near):  # type: ignore[no-untyped-def]
    """List those of the nearest observed cells that have a prediction; returns how many there are."""
    size = count = 0
    for n in range(offsets.shape[0]):
        q, r = y + offsets[n, 0], x + offsets[n, 1]
        if not (0 <= q < index.shape[0] and 0 <= r < index.shape[1]):
            continue
        neighbour = index[q, r]
        if neighbour < 0 or flag[neighbour] != OBSERVED:
            continue
        if state[neighbour] != UNUSED:
            near[size, 0], near[size, 1] = q, r
            size += 1
        count += 1
        if count == NEIGHBOURS:
            break
    return size


@_compile
def _measure_spread(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, index, origin, y, x, activity, spread
):
    """Root mean square change a day about a cell.

    ``activity`` and ``spread`` keep what has been measured, NaN elsewhere; they begin at ``origin``.
    """
    i, j = y - origin[0], x - origin[1]
    if spread[i, j] == spread[i, j]:
        return spread[i, j]
    total = weight = 0.0
    for k in range(-_SMOOTHING, _SMOOTHING + 1):
        total_of_row = weight_of_row = 0.0
        for m in range(-_SMOOTHING, _SMOOTHING + 1):
            if not (0 <= y + k < index.shape[0] and 0 <= x + m < index.shape[1]):
                continue
            cell = index[y + k, x + m]
            if cell < 0:
                continue
            if activity[i + k, j + m] != activity[i + k, j + m]:
                activity[i + k, j + m] = _measure_activity(values, flag, order, t, lead, cell)
            w = _SMOOTH[m + _SMOOTHING]
            total_of_row += w * activity[i + k, j + m]
            weight_of_row += w
        total += _SMOOTH[k + _SMOOTHING] * total_of_row
        weight += _SMOOTH[k + _SMOOTHING] * weight_of_row
    spread[i, j] = np.sqrt(total / weight + 0.3)
    return spread[i, j]


@_compile
def _weigh(near, y, x, correlation, matrix, weights, column):  # type: ignore[no-untyped-def]
    """Weights of simple kriging of a cell by others."""
    for i in range(near.shape[0]):
        for j in range(i + 1):
            d = (near[i, 0] - near[j, 0]) ** 2 + (near[i, 1] - near[j, 1]) ** 2
            matrix[i, j] = correlation[d]
        weights[i] = correlation[(near[i, 0] - y) ** 2 + (near[i, 1] - x) ** 2]
    _solve(matrix, weights, near.shape[0], column)


@_compile
def train(  # type: ignore[no-untyped-def]
    network, slopes, means, squares, features, target, samples, batch, progress, rate, decay, is_paired
):
    """Go through samples once in steps of AdamW on the squared error; the network is changed in place.

    Parameters
    ----------
    network : tuple
        As in :func:`evaluate`; ``slopes``, ``means`` and ``squares`` are tuples of arrays like it.
    features : ndarray of float32, shape (n, FEATURES)
    target : ndarray of float32, shape (n,)
    samples : ndarray of int64
        Numbers of the samples, in the order in which they are taken.
    batch : int
        Number of samples of a step.
    progress : (int, int)
        Number of steps done, and of all steps: the rate falls like half a cosine.
    rate, decay : float
    is_paired : bool
        Whether every other step sees the samples mirrored in time.
    """
    step, steps = progress
    for begin in range(0, samples.size - batch + 1, batch):
        is_mirrored = is_paired and step % 2 == 1
        _differentiate(network, slopes, features, target, samples[begin : begin + batch], is_mirrored)
        now = np.float32(rate * 0.5 * (1.0 + np.cos(np.pi * step / steps)))
        step += 1
        first = np.float32(1.0 / (1.0 - 0.9**step))
        second = np.float32(1.0 / (1.0 - 0.999**step))
        w1, b1, w2, b2, w3, b3 = network
        g1, h1, g2, h2, g3, h3 = slopes
        m1, n1, m2, n2, m3, n3 = means
        q1, r1, q2, r2, q3, r3 = squares
        for k in range(w1.shape[0]):
            _descend(w1[k], g1[k], m1[k], q1[k], now, first, second, decay)
        for k in range(w2.shape[0]):
            _descend(w2[k], g2[k], m2[k], q2[k], now, first, second, decay)
        _descend(b1, h1, n1, r1, now, first, second, np.float32(0.0))
        _descend(b2, h2, n2, r2, now, first, second, np.float32(0.0))
        _descend(w3, g3, m3, q3, now, first, second, np.float32(0.0))
        _descend(b3, h3, n3, r3, now, first, second, np.float32(0.0))


@_compile
def _descend(weights, slope, mean, square, rate, first, second, decay):  # type: ignore[no-untyped-def]
    for k in range(weights.size):
        g = slope[k]
        mean[k] = np.float32(0.9) * mean[k] + np.float32(0.1) * g
        square[k] = np.float32(0.999) * square[k] + np.float32(0.001) * g * g
        size = np.sqrt(square[k] * second) + np.float32(1e-8)
        weights[k] -= rate * (mean[k] * first / size + decay * weights[k])


@_compile
def _differentiate(network, slopes, features, target, batch, is_mirrored):  # type: ignore[no-untyped-def]
    """Slopes of the mean squared error of a batch."""
    w1, b1, w2, b2, w3, b3 = network
    g1, h1, g2, h2, g3, h3 = slopes
    for array in (g1, g2):
        array[:] = np.float32(0.0)
    for vector in (h1, h2, g3, h3):
        vector[:] = np.float32(0.0)
    x = np.empty(w1.shape[0], np.float32)
    a1, u1, e1 = np.empty_like(b1), np.empty_like(b1), np.empty_like(b1)
    a2, u2, e2 = np.empty_like(b2), np.empty_like(b2), np.empty_like(b2)
    for s in batch:
        for f in range(x.size):
            x[f] = features[s, f ^ 1 if is_mirrored and f < PAIRED else f]
        a1[:] = b1
        for f in range(x.size):
            for k in range(b1.size):
                a1[k] += w1[f, k] * x[f]
        for k in range(b1.size):
            u1[k] = _activate(a1[k])
        a2[:] = b2
        for f in range(b1.size):
            for k in range(b2.size):
                a2[k] += w2[f, k] * u1[f]
        output = b3[0]
        for k in range(b2.size):
            u2[k] = _activate(a2[k])
            output += w3[k] * u2[k]
        error = (output - target[s]) * np.float32(2.0 / batch.size)
        h3[0] += error
        for k in range(b2.size):
            g3[k] += error * u2[k]
            e2[k] = error * w3[k] * _slope(a2[k])
            h2[k] += e2[k]
        for f in range(b1.size):
            total = np.float32(0.0)
            for k in range(b2.size):
                g2[f, k] += e2[k] * u1[f]
                total += e2[k] * w2[f, k]
            e1[f] = total * _slope(a1[f])
            h1[f] += e1[f]
        for f in range(x.size):
            for k in range(b1.size):
                g1[f, k] += e1[k] * x[f]


@_compile
def _slope(x):  # type: ignore[no-untyped-def]
    """Derivative of :func:`_activate`."""
    unit = np.float32(1.0)
    root = np.sqrt(unit + x * x)
    return np.float32(0.5) * (unit + x * (np.float32(2.0) + x * x) / (root * root * root))
