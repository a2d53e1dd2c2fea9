"""Compiled loops of the fitted fill; see :mod:`seaice.gapfill._kernels` for the conventions.

A missing cell has a gap of its own: ``back`` days to its last observed day and ``forward`` days to the
next one; one of them is 0 where a side has no day. The cells of a tile with the same gap are worked on
together, in the box around them. What is looked at around a cell lies in patches: the box and a margin,
NaN where there is land or no value.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.gapfill._kernels import (
    BLOCK,
    ICE_BLOCK,
    NO,
    OBSERVED,
    UNKNOWN,
    YES,
    _is_block_near,
    has_value_in_time,
    is_near_ice,
)
from seaice.gapfill.increments._patch_kernels import (
    MARGIN,
    average,
    average_3,
    cut_runs,
    fill_patch,
    find_extremes,
    list_runs,
    measure_tenths,
    smear,
    take_cells,
)
from seaice.runtime.compiled_kernels import compile_loop

# Side of the squares of cells that are worked on at a time: what they need stays in the cache, and the
# margins about them are few.
TILE = 64
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

# Kriging of the departures of observed cells from their own prediction.
NEIGHBOURS = 12
ACTIVITY_DAYS = 6
# Activity is smoothed over so many cells to either side, with a standard deviation of one.
_SMOOTHING = 2
_SMOOTH = np.exp(-0.5 * np.arange(-_SMOOTHING, _SMOOTHING + 1.0) ** 2)

# States of a cell in a prediction.
UNUSED, IN_GAP, BESIDE_GAP, WITHOUT_ICE, ALONE_IN_GAP = 0, 1, 2, 3, 4

# Division by zero gives NaN or infinity: a check before every division would keep loops from being
# compiled for many cells at once.
_compile = compile_loop(error_model="numpy")
_compile_inline = compile_loop(error_model="numpy", inline=True)


@_compile_inline
def _sign_distance(tenths, value, level):  # type: ignore[no-untyped-def]
    """Distance to a contour in cells, negative where the value is below the level."""
    d = np.float32(tenths) * np.float32(0.1)
    return d if value >= np.float32(level) else -d


@_compile
def _describe_end(  # type: ignore[no-untyped-def]
    values, flag, index, order, s, away, box, cells, members, patch, means, ocean, runs, features, side
):
    """Features of one end of a gap: the s-th day, in ``patch``, and the days beyond it.

    Those of every member go to the column of its number.
    """
    south, north, west, east = box
    rows, width = north - south, patch.shape[1]
    lowest, highest = np.empty((rows, width), np.float32), np.empty((rows, width), np.float32)
    find_extremes(patch, lowest, highest)
    near_15 = measure_tenths(patch, np.float32(CONTOURS[0]))
    near_50 = measure_tenths(patch, np.float32(CONTOURS[1]))
    near_80 = measure_tenths(patch, np.float32(CONTOURS[2]))
    beyond = np.empty((2, rows + 2, east - west + 2), np.float32)
    beyond_means = np.empty((2, rows, east - west + 2), np.float32)
    size, is_whole = cut_runs(*ocean, cells, members, box, 1, runs)
    for k in range(2):
        day = s + away * (k + 1)
        is_complete = fill_patch(values, flag, order, day, away, s, runs[:size], beyond[k])
        average_3(beyond[k], is_whole and is_complete, beyond_means[k])
    numbers = np.empty(members.size, np.int64)
    for m in range(members.size):
        numbers[m] = index[cells[members[m], 0], cells[members[m], 1]]
    far = np.empty((FURTHER - 2, members.size), np.float32)
    for k in range(FURTHER - 2):
        take_cells(values, flag, order, s + away * (k + 3), away, s, numbers, far[k])
    series = np.empty(FURTHER + 1, np.float32)
    for m in range(members.size):
        n = members[m]
        i, j = cells[n, 0] - south, cells[n, 1] - west
        own = patch[i + MARGIN, j + MARGIN]
        features[VALUE + side, n] = own
        features[MEAN_3 + side, n] = means[0, i, j + MARGIN]
        features[MEAN_5 + side, n] = means[1, i, j + MARGIN]
        features[MEAN_9 + side, n] = means[2, i, j + MARGIN]
        features[LOWEST + side, n] = lowest[i, j + MARGIN]
        features[HIGHEST + side, n] = highest[i, j + MARGIN]
        q, r = i + MARGIN, j + MARGIN
        # Not in a loop: every look at an array of a tuple counts references to it.
        features[DISTANCES + side, n] = _sign_distance(near_15[q, r], own, CONTOURS[0])
        features[DISTANCES + 2 + side, n] = _sign_distance(near_50[q, r], own, CONTOURS[1])
        features[DISTANCES + 4 + side, n] = _sign_distance(near_80[q, r], own, CONTOURS[2])
        series[0] = own
        for k in range(1, FURTHER + 1):
            v = beyond[k - 1, i + 1, j + 1] if k <= 2 else far[k - 3, m]
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
    patch_memory, mean_memory, smeared_memory, members, runs, all_runs, ends = scratch
    count = cells.shape[0]
    if count == 0:
        return 0
    south, north, west, east = _box_of(cells, np.arange(count))
    origin = (south - MARGIN, west - MARGIN)
    list_runs(index, origin, (north + MARGIN - origin[0], east + MARGIN - origin[1]), all_runs, ends)
    ocean = (all_runs, ends, origin)
    estimates[:count] = np.float32(0.0)
    columns[:count] = -1
    occurs = np.zeros((2, beside.size), np.bool_)
    for n in range(count):
        occurs[0, gaps[0, n]] = occurs[1, gaps[1, n]] = True
    # Once more for ends without ice about them whose other end has some.
    for sweep in range(2):
        for side in range(2):
            for days in range(1, beside.size):
                if not occurs[side, days]:
                    continue
                size = _list_members(gaps[side], days, count, members)
                if sweep == 1 and not _any_has_ice(columns, members[:size]):
                    continue
                box = _box_of(cells, members[:size])
                patch, mean, smeared = _cut(box, patch_memory, mean_memory, smeared_memory)
                s, away = (t - days, -1) if side == 0 else (t + days, 1)
                number, is_whole = cut_runs(*ocean, cells, members[:size], box, MARGIN, runs)
                is_complete = fill_patch(values, flag, order, s, away, s, runs[:number], patch)
                is_full = is_whole and is_complete
                average(patch, is_full, mean)
                if sweep == 0:
                    smear(patch, is_full, np.float32(beside[days]), smeared)
                    _estimate(cells, gaps, side, box, members[:size], mean, smeared, estimates, columns)
                if _any_has_ice(columns, members[:size]):
                    _describe_end(
                        values, flag, index, order, s, away, box, cells, members[:size], patch, mean,
                        ocean, runs, features, side,
                    )  # fmt: skip
                    occurs[side, days] = False
    used = _compact(columns, count, features)
    if used > 0:
        _finish_features(index, cells, gaps, estimates, columns, count, used, features)
    return used


@_compile
def _estimate(  # type: ignore[no-untyped-def]
    cells, gaps, side, box, members, mean, smeared, estimates, columns
):
    """Add the share of one end to the fill in time; cells with ice about them get their own column."""
    for n in members:
        i, j = cells[n, 0] - box[0], cells[n, 1] - box[2] + MARGIN
        days, opposite = gaps[side, n], gaps[1 - side, n]
        share = np.float32(opposite / (days + opposite)) if opposite > 0 else np.float32(1.0)
        estimates[n] += share * smeared[i, j]
        if mean[2, i, j] >= OPEN_WATER:
            columns[n] = n


@_compile
def _any_has_ice(columns, members):  # type: ignore[no-untyped-def]
    has_ice = False
    for n in members:
        has_ice |= columns[n] >= 0
    return has_ice


@_compile
def _compact(columns, count, features):  # type: ignore[no-untyped-def]
    """Close the gaps between the columns in use; returns their number."""
    used = 0
    for n in range(count):
        if columns[n] >= 0:
            columns[n] = used
            used += 1
    if used < count:
        for row in range(DAYS):
            feature = features[row]
            for n in range(count):
                if columns[n] >= 0:
                    feature[columns[n]] = feature[n]
    return used


@_compile
def make_scratch():  # type: ignore[no-untyped-def]
    """Memory for :func:`describe_cells`."""
    width = TILE + 2 * MARGIN
    patch, mean = np.empty(width * width, np.float32), np.empty(3 * TILE * width, np.float32)
    # Of the cells of a row no more than every second one begins a run.
    most = width * (width // 2 + 1)
    runs, all_runs, ends = (
        np.empty((most, 4), np.int32),
        np.empty((most, 3), np.int32),
        np.empty(width + 1, np.int32),
    )
    smeared, members = np.empty(TILE * width, np.float32), np.empty(TILE * TILE, np.int64)
    return patch, mean, smeared, members, runs, all_runs, ends


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
def _add_inputs(weights, k, j, inputs, units):  # type: ignore[no-untyped-def]
    """Add the weighted inputs of the k-th and the j-th unit to their rows of ``units``.

    In their order, four inputs at a time: each is taken from memory once for both.
    """
    count, second = inputs.shape[0], k + 1
    for f in range(0, count - 3, 4):
        w0, w1, w2, w3 = weights[f, k], weights[f + 1, k], weights[f + 2, k], weights[f + 3, k]
        u0, u1, u2, u3 = weights[f, j], weights[f + 1, j], weights[f + 2, j], weights[f + 3, j]
        for n in range(_BLOCK):
            a, b, c, d = inputs[f, n], inputs[f + 1, n], inputs[f + 2, n], inputs[f + 3, n]
            v = units[k, n] + w0 * a
            v = v + w1 * b
            v = v + w2 * c
            u = units[second, n] + u0 * a
            u = u + u1 * b
            u = u + u2 * c
            units[k, n] = v + w3 * d
            units[second, n] = u + u3 * d
    for f in range(count - count % 4, count):
        w, u = weights[f, k], weights[f, j]
        for n in range(_BLOCK):
            units[k, n] += w * inputs[f, n]
            units[second, n] += u * inputs[f, n]
    for n in range(_BLOCK):
        units[k, n] = _activate(units[k, n])
        units[second, n] = _activate(units[second, n])


@_compile
def _compute_layer(weights, bias, inputs, units):  # type: ignore[no-untyped-def]
    """The units of a layer, two at a time; where their number is odd, ``units`` has one row more."""
    for k in range(0, bias.size, 2):
        j = min(k + 1, bias.size - 1)
        for n in range(_BLOCK):
            units[k, n], units[k + 1, n] = bias[k], bias[j]
        _add_inputs(weights, k, j, inputs, units)


@_compile
def evaluate(network, features, count, is_mirrored, increments):  # type: ignore[no-untyped-def]
    """Add the output of a network to ``increments`` (n).

    ``network`` is (weights_1 (34, 24), bias_1, weights_2 (24, 12), bias_2, weights_3 (12,), bias_3).
    Cells are worked on in blocks, and the sums of a cell run over its features in order: its result
    does not depend on the other cells.
    """
    w1, b1, w2, b2, w3, b3 = network
    inputs = np.zeros((w1.shape[0], _BLOCK), np.float32)
    first = np.empty((b1.size + b1.size % 2, _BLOCK), np.float32)
    second = np.empty((b2.size + b2.size % 2, _BLOCK), np.float32)
    output = np.empty((1, _BLOCK), np.float32)
    for begin in range(0, count, _BLOCK):
        size = min(_BLOCK, count - begin)
        for f in range(w1.shape[0]):
            row = f ^ 1 if is_mirrored and f < PAIRED else f
            for n in range(size):
                inputs[f, n] = features[row, begin + n]
        _compute_layer(w1, b1, inputs, first)
        _compute_layer(w2, b2, first[: b1.size], second)
        output[0, :] = b3[0]
        for k in range(w3.size):
            w = w3[k]
            for n in range(_BLOCK):
                output[0, n] += w * second[k, n]
        for n in range(size):
            increments[begin + n] += output[0, n]


@_compile
def mark_cells(  # type: ignore[no-untyped-def]
    first, end, gaps, flag, days, slot, rows, columns, index, ice, order, t, is_fitted, offsets,
    observed, near, state, marked
):  # fmt: skip
    """Mark cells that were filled in time over a gap that the networks know, and observed ones beside.

    Of the cells ``gaps`` of the day in slot ``slot`` this call looks at ``first`` to ``end``. Those
    without any ice about them on the days that fill them are left out: the networks would leave them
    as they are. The nearest observed cells of every marked gap cell are marked too; a gap cell with
    none within reach becomes ALONE_IN_GAP.

    ``marked`` (rows and columns of tiles) says where there are marked cells. ``observed`` and ``near``
    (rows, columns of blocks), unknown at first, remember where there is an observed cell and where one
    is near. Two threads may mark the same; both write the same.
    """
    margin, last, is_near_any_ice = np.int64(0), -1, False
    for n in range(offsets.shape[0]):
        margin = max(margin, -(-abs(offsets[n, 0]) // BLOCK))
    for cell in gaps[first:end]:
        if not (has_value_in_time(flag[slot, cell]) and is_fitted[days[cell]]):
            continue
        row, column = np.int64(rows[cell]), np.int64(columns[cell])
        # Cells beside each other mostly have the same answer.
        key = (row // ICE_BLOCK * ice.shape[2] + column // ICE_BLOCK) * 256 + days[cell]
        if key != last:
            last = key
            is_near_any_ice = bool(is_near_ice(ice, order, t, days[cell], row, column))
        if not is_near_any_ice:
            continue
        marked[row // TILE, column // TILE] = True
        size, block = 0, (row // BLOCK, column // BLOCK)
        if near[block] == UNKNOWN:
            is_near = _is_block_near(flag, slot, index, observed, block[0], block[1], margin)
            near[block] = YES if is_near else NO
        for n in range(offsets.shape[0] if near[block] == YES else 0):
            y, x = row + offsets[n, 0], column + offsets[n, 1]
            if not (0 <= y < index.shape[0] and 0 <= x < index.shape[1]):
                continue
            neighbour = index[y, x]
            if neighbour >= 0 and flag[slot, neighbour] == OBSERVED:
                state[neighbour] = BESIDE_GAP
                marked[y // TILE, x // TILE] = True
                size += 1
                if size == NEIGHBOURS:
                    break
        state[cell] = IN_GAP if size > 0 else ALONE_IN_GAP


@_compile
def _list_cells(  # type: ignore[no-untyped-def]
    flag, days, order, t, limits, is_fitted, index, tile, state, cells, gaps, positions, begin
):
    """List the cells in use of a tile and their gaps; returns how many there are.

    The gap of an observed cell is that which it had, were it missing: days to the nearest observed one
    before and after, 0 where none is. See :func:`predict`.
    """
    south, west, count = tile[0] * TILE, tile[1] * TILE, 0
    most_back, most_forward = min(limits[0], t), min(limits[1], order.size - 1 - t)
    for y in range(south, min(index.shape[0], south + TILE)):
        for x in range(west, min(index.shape[1], west + TILE)):
            cell = index[y, x]
            if cell < 0 or state[cell] == UNUSED:
                continue
            back, forward = np.int64(days[cell]) // 10, np.int64(days[cell]) % 10
            if state[cell] == BESIDE_GAP:
                back = forward = np.int64(1)
                while back <= most_back and flag[order[t - back], cell] != OBSERVED:
                    back += 1
                while forward <= most_forward and flag[order[t + forward], cell] != OBSERVED:
                    forward += 1
                back = back if back <= most_back else np.int64(0)
                forward = forward if forward <= most_forward else np.int64(0)
                if not is_fitted[10 * back + forward]:
                    state[cell] = UNUSED
                    continue
            cells[count, 0], cells[count, 1] = y, x
            gaps[0, count], gaps[1, count] = back, forward
            positions[cell] = begin + count
            count += 1
    return count


@_compile
def predict(  # type: ignore[no-untyped-def]
    first, end, tiles, values, flag, days, order, t, lead, index, limits, is_fitted, beside, both, one,
    thresholds, state, positions, prediction, spread
):  # fmt: skip
    """Predict the cells of the t-th day that lie in or beside a gap from other days alone.

    ``tiles`` (n, 2) are those to look at, of which this call takes ``first`` to ``end``. A cell without
    ice about it gets the state WITHOUT_ICE. An observed cell whose gap would be unknown, were it
    missing, becomes UNUSED.

    ``prediction`` becomes percent, and ``spread`` the change a day about a cell by which departures are
    scaled, for which no more than ``lead`` later days are looked at. In both every tile has as many
    places as cells, of which the first are used; ``positions`` says where a cell stands.
    """
    cells, gaps = np.empty((TILE * TILE, 2), np.int64), np.empty((2, TILE * TILE), np.int64)
    # Some columns more, so that the rows do not fall on the same lines of the cache.
    features = np.empty((FEATURES, TILE * TILE + 16), np.float32)
    estimates, columns = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.int64)
    outputs = np.empty((2, TILE * TILE), np.float32)
    scratch, boxes = make_scratch(), np.empty(5 * (TILE + 2 * _SMOOTHING) ** 2)
    for number in range(first, end):
        begin = number * TILE * TILE
        count = _list_cells(
            flag, days, order, t, limits, is_fitted, index, tiles[number], state, cells, gaps, positions,
            begin,
        )  # fmt: skip
        predicted = prediction[begin : begin + count]
        used = describe_cells(
            values, flag, index, order, t, beside, cells[:count], gaps, features, estimates, columns,
            scratch,
        )  # fmt: skip
        _measure_spread(
            values, flag, order, t, lead, index, state, cells[:count], boxes,
            spread[begin : begin + count],
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
                predicted[n] = estimates[n]
                state[cell] = WITHOUT_ICE
                continue
            back, forward = gaps[0, n], gaps[1, n]
            is_two_sided = back > 0 and forward > 0
            scale = spread_of_gap(back, forward) * np.float32(0.5 if is_two_sided else 1.0)
            v = estimates[n] + scale * outputs[0 if is_two_sided else 1, columns[n]]
            v = min(max(v, np.float32(0.0)), np.float32(100.0))
            if state[cell] == ALONE_IN_GAP:
                # Where neighbours take part they tell on which side of the edge a cell lies.
                v = move_threshold(v, thresholds[0 if is_two_sided else 1, 10 * back + forward])
            predicted[n] = v


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


# Systems of equations that are solved side by side, and a number that they are rounded up to.
_LANES, _ROUND = 32, 8


@_compile_inline
def _measure_activity(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, cell, size, total, before, first, last
):
    """Mean squared change a day between successive observations near the t-th day, that day left out.

    Of ``size`` cells beside each other, from ``cell`` on; ``before``, ``first`` and ``last`` are memory
    for as many.
    """
    # Unsigned, and no slices: see :func:`fill_patch`.
    begin, cell, size = max(0, t - ACTIVITY_DAYS), np.uintp(cell), np.uintp(size)
    for k in range(size):
        total[k] = np.float32(0.0)
        before[k] = np.float32(np.nan)  # which nothing is equal to, before the first observation
        first[k], last[k] = np.uint8(255), np.uint8(0)
    for s in range(begin, min(order.size, t + lead + 1)):
        if s == t:
            continue
        slot, day = np.uintp(order[s]), np.uint8(s - begin)
        for k in range(size):
            is_observed = flag[slot, cell + k] == OBSERVED
            step = values[slot, cell + k] - before[k]
            total[k] += step * step if is_observed & (step == step) else np.float32(0.0)
            before[k] = values[slot, cell + k] if is_observed else before[k]
        for k in range(size):
            is_observed = flag[slot, cell + k] == OBSERVED
            last[k] = day if is_observed else last[k]
            first[k] = min(first[k], day) if is_observed else first[k]
    for k in range(size):
        days = np.float32(last[k]) - np.float32(first[k])
        total[k] = total[k] / days if days > np.float32(0.0) else np.float32(0.0)


@_compile
def _find_activity(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, index, origin, ends, activity, is_ocean
):
    """Activity of all ocean cells that are at most _SMOOTHING away from one that is used.

    The boxes ``activity`` and ``is_ocean`` (1 on ocean) begin at ``origin``; ``ends`` (2, rows) are the
    first column in use of every row and the one behind the last. Between these all cells are taken.
    """
    rows, columns = activity.shape
    activity[:] = 0.0
    is_ocean[:] = 0.0
    total, before = np.empty(columns, np.float32), np.empty(columns, np.float32)
    first, last = np.empty(columns, np.uint8), np.empty(columns, np.uint8)
    for i in range(max(0, -origin[0]), min(rows, index.shape[0] - origin[0])):
        begin, end = columns, np.int64(0)
        for k in range(max(0, i - _SMOOTHING), min(rows, i + _SMOOTHING + 1)):
            begin, end = min(begin, ends[0, k]), max(end, ends[1, k])
        j = max(0, -origin[1], begin - _SMOOTHING)
        end = min(columns, index.shape[1] - origin[1], end + _SMOOTHING)
        y = origin[0] + i
        while j < end:
            cell, n = np.int64(index[y, origin[1] + j]), 1
            if cell >= 0:
                while j + n < end and index[y, origin[1] + j + n] == cell + n:
                    n += 1
                _measure_activity(values, flag, order, t, lead, cell, n, total, before, first, last)
                for k in range(n):
                    activity[i, j + k], is_ocean[i, j + k] = total[k], 1.0
            j += n


@_compile
def _smooth(field, step, out):  # type: ignore[no-untyped-def]
    """Weighted sums of 5 cells of a flattened box that are ``step`` cells apart; its rim is left out."""
    a, b, c, d, e = field, field[step:], field[2 * step :], field[3 * step :], field[4 * step :]
    middle = out[_SMOOTHING * step :]
    for n in range(e.size):
        total = _SMOOTH[0] * a[n] + _SMOOTH[1] * b[n]
        total += _SMOOTH[2] * c[n]
        total += _SMOOTH[3] * d[n]
        middle[n] = total + _SMOOTH[4] * e[n]


@_compile
def _measure_spread(  # type: ignore[no-untyped-def]
    values, flag, order, t, lead, index, state, cells, memory, spread
):
    """Root mean square change a day about cells (n, 2) of a tile, but for those alone in their gap.

    ``memory`` is for five boxes about all of them, the rims of whose sums mean nothing.
    """
    south, north, west, east = index.shape[0], 0, index.shape[1], 0
    for n in range(cells.shape[0]):
        if state[index[cells[n, 0], cells[n, 1]]] != ALONE_IN_GAP:
            south, north = min(south, cells[n, 0]), max(north, cells[n, 0] + 1)
            west, east = min(west, cells[n, 1]), max(east, cells[n, 1] + 1)
    if north == 0:
        return
    origin = (south - _SMOOTHING, west - _SMOOTHING)
    shape = (north - south + 2 * _SMOOTHING, east - west + 2 * _SMOOTHING)
    size, width = shape[0] * shape[1], shape[1]
    boxes = memory[: 5 * size].reshape(5, size)
    activity, is_ocean, along, total, weight = boxes[0], boxes[1], boxes[2], boxes[3], boxes[4]
    ends = np.zeros((2, shape[0]), np.int64)
    ends[0] = width
    for n in range(cells.shape[0]):
        if state[index[cells[n, 0], cells[n, 1]]] != ALONE_IN_GAP:
            i, j = cells[n, 0] - origin[0], cells[n, 1] - origin[1]
            ends[0, i], ends[1, i] = min(ends[0, i], j), max(ends[1, i], j + 1)
    _find_activity(
        values, flag, order, t, lead, index, origin, ends, activity.reshape(shape),
        is_ocean.reshape(shape),
    )  # fmt: skip
    for field, sums in ((activity, total), (is_ocean, weight)):
        along[:] = 0.0
        _smooth(field, 1, along)
        _smooth(along, width, sums)
    for n in range(cells.shape[0]):
        if state[index[cells[n, 0], cells[n, 1]]] != ALONE_IN_GAP:
            i = (cells[n, 0] - origin[0]) * width + cells[n, 1] - origin[1]
            spread[n] = np.sqrt(total[i] / weight[i] + 0.3)


@_compile
def _solve(matrices, vectors, size, count):  # type: ignore[no-untyped-def]
    """Solve symmetric positive definite systems in place (Cholesky); the results are in ``vectors``.

    ``matrices`` (rows, columns, systems), ``vectors`` (rows, systems): the same step of all of them
    is done at once.
    """
    for k in range(size):
        pivots, values = matrices[k, k], vectors[k]
        for n in range(count):
            pivot = np.sqrt(max(pivots[n], 1e-12))
            pivots[n] = pivot
            values[n] /= pivot
        for i in range(k + 1, size):
            column, vector = matrices[i, k], vectors[i]
            for n in range(count):
                c = column[n] / pivots[n]
                column[n] = c
                vector[n] -= c * values[n]
            for j in range(k + 1, i + 1):
                row, factors = matrices[i, j], matrices[j, k]
                for n in range(count):
                    row[n] -= column[n] * factors[n]
    for i in range(size - 1, -1, -1):
        vector, pivots = vectors[i], matrices[i, i]
        for k in range(i + 1, size):
            column, values = matrices[k, i], vectors[k]
            for n in range(count):
                vector[n] -= column[n] * values[n]
        for n in range(count):
            vector[n] /= pivots[n]


@_compile
def _weigh(cells, near, sizes, correlation, matrices, weights):  # type: ignore[no-untyped-def]
    """Weights of simple kriging of cells by the cells near them, for all of them side by side.

    Where a cell has fewer neighbours than another, those that lack are of no consequence.
    """
    size, count = 0, cells.shape[0]
    for n in range(count):
        size = max(size, sizes[n])
    for n in range(-(-count // _ROUND) * _ROUND):
        number = sizes[n] if n < count else 0
        for i in range(size):
            for j in range(i):
                matrices[i, j, n] = 0.0
            matrices[i, i, n] = 1.0
            weights[i, n] = 0.0
        for i in range(number):
            y, x = np.int64(near[n, i, 0]), np.int64(near[n, i, 1])
            for j in range(i + 1):
                d = (y - near[n, j, 0]) ** 2 + (x - near[n, j, 1]) ** 2
                matrices[i, j, n] = correlation[d]
            weights[i, n] = correlation[(y - cells[n, 0]) ** 2 + (x - cells[n, 1]) ** 2]
    _solve(matrices, weights, size, -(-count // _ROUND) * _ROUND)


@_compile
def krige(  # type: ignore[no-untyped-def]
    first,
    end,
    tiles,
    index,
    state,
    positions,
    prediction,
    spread,
    offsets,
    correlation,
    filled,
    codes,
    days,
):
    """Correct the predictions of gap cells by the departures of observed cells of the day.

    ``tiles`` (n, 2) are those to look at, of which this call takes ``first`` to ``end``. ``positions``,
    ``prediction`` and ``spread`` are those of :func:`predict`. ``offsets`` (n, 2) are the rows and
    columns to neighbours, nearest first; ``correlation[d]`` is that of two departures at a squared
    distance of d. ``filled``, ``codes`` and ``days`` (cells) are those of the day.
    """
    cells, sizes = np.empty((TILE * TILE, 2), np.int64), np.empty(TILE * TILE, np.int64)
    near = np.empty((TILE * TILE, NEIGHBOURS, 2), np.int32)
    matrices = np.empty((NEIGHBOURS, NEIGHBOURS, _LANES))
    weights = np.empty((NEIGHBOURS, _LANES))
    for number in range(first, end):
        south, west = tiles[number, 0] * TILE, tiles[number, 1] * TILE
        count = 0
        for y in range(south, min(index.shape[0], south + TILE)):
            for x in range(west, min(index.shape[1], west + TILE)):
                cell = index[y, x]
                if cell < 0 or state[cell] not in (IN_GAP, ALONE_IN_GAP):
                    continue
                size = 0
                if state[cell] == IN_GAP:
                    size = _list_near(codes, index, state, offsets, y, x, near[count])
                is_two_sided = days[cell] > 10 and days[cell] % 10 > 0
                if size == 0:
                    filled[cell] = prediction[positions[cell]]
                    codes[cell] = INCREMENT_TWO_SIDED if is_two_sided else INCREMENT_ONE_SIDED
                    continue
                codes[cell] = KRIGED_TWO_SIDED if is_two_sided else KRIGED_ONE_SIDED
                cells[count, 0], cells[count, 1], sizes[count] = y, x, size
                count += 1
        for begin in range(0, count, _LANES):
            part = slice(begin, min(count, begin + _LANES))
            _weigh(cells[part], near[part], sizes[part], correlation, matrices, weights)
            _add_departures(
                cells[part],
                near[part],
                sizes[part],
                index,
                positions,
                prediction,
                spread,
                weights,
                filled,
            )


@_compile
def _add_departures(  # type: ignore[no-untyped-def]
    cells, near, sizes, index, positions, prediction, spread, weights, filled
):
    """Add to the predictions of cells the weighted departures of the observed ones near them."""
    for n in range(cells.shape[0]):
        cell = index[cells[n, 0], cells[n, 1]]
        position = positions[cell]
        estimate, total = np.float64(prediction[position]), 0.0
        low = high = estimate
        for i in range(sizes[n]):
            neighbour = index[near[n, i, 0], near[n, i, 1]]
            v, beside = np.float64(filled[neighbour]), positions[neighbour]
            total += weights[i, n] * ((v - prediction[beside]) / spread[beside])
            low, high = min(low, v), max(high, v)
        estimate += total * spread[position]
        filled[cell] = min(max(estimate, low), high)


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
def train(  # type: ignore[no-untyped-def]
    network, slopes, means, squares, features, target, edge, samples, batch, progress, rate, decay,
    is_paired
):  # fmt: skip
    """Go through samples once in steps of AdamW; the network is changed in place.

    The loss of an output x is (x - target)^2, plus a penalty for the wrong side of the ice edge:
    weight ((sqrt(1 + z^2) + z) / 2 - side z), where z = a + b x.

    Parameters
    ----------
    network : tuple
        As in :func:`evaluate`; ``slopes``, ``means`` and ``squares`` are tuples of arrays like it.
    features : ndarray of float32, shape (n, FEATURES)
    target : ndarray of float32, shape (n,)
    edge : ndarray of float32, shape (n, 4)
        a, b, side (1 where there is ice, else 0) and weight of every sample.
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
        part = samples[begin : begin + batch]
        _differentiate(network, slopes, features, target, edge, part, is_mirrored)
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
def _differentiate(  # type: ignore[no-untyped-def]
    network, slopes, features, target, edge, batch, is_mirrored
):
    """Slopes of the mean loss of a batch."""
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
        a, b, side, weight = edge[s, 0], edge[s, 1], edge[s, 2], edge[s, 3]
        z, unit = a + b * output, np.float32(1.0)
        likely = np.float32(0.5) * (unit + z / np.sqrt(unit + z * z))
        error = np.float32(2.0) * (output - target[s]) + weight * b * (likely - side)
        error /= np.float32(batch.size)
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
