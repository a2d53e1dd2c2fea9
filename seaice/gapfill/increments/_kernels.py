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
from seaice.runtime.compiled_kernels import compile_loop

# Side of the squares of cells that are worked on at a time: what they need stays in the cache.
TILE = 32
# Days beyond either end of a gap that are looked at.
FURTHER = 4
# A cell that is missing on one of them takes its nearest observation within so many days.
NEAREST = 3
# Cells around a box that the patches of the ends of a gap hold; longer distances to a contour are cut.
MARGIN = 8
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
UNUSED, IN_GAP, BESIDE_GAP, WITHOUT_ICE = 0, 1, 2, 3

_NAN = np.float32(np.nan)
# Division by zero gives NaN or infinity: a check before every division would keep loops from being
# compiled for many cells at once.
_compile = compile_loop(error_model="numpy")


@_compile
def _value_near(values, flag, order, s, away, end, cell):  # type: ignore[no-untyped-def]
    """A cell on the s-th day, or on the nearest day on which it is observed, not beyond the end."""
    for k in range(NEAREST + 1):
        for day in (s + away * k, s - away * k):
            is_usable = 0 <= day < order.size and (day - end) * away >= 0
            if is_usable and flag[order[day], cell] == OBSERVED:
                return values[order[day], cell]
    return _NAN


@_compile
def _fill_patch(values, flag, index, order, s, away, end, south, west, patch):  # type: ignore[no-untyped-def]
    """Values about a box, NaN where there are none; returns whether any is above 0."""
    patch[:] = _NAN
    any_ice = False
    is_usable = 0 <= s < order.size
    slot = order[s] if is_usable else 0
    columns = range(max(0, -west), min(patch.shape[1], index.shape[1] - west))
    for i in range(max(0, -south), min(patch.shape[0], index.shape[0] - south)):
        for j in columns:
            cell = index[south + i, west + j]
            if cell < 0:
                continue
            if is_usable and flag[slot, cell] == OBSERVED:
                v = values[slot, cell]
            else:
                v = _value_near(values, flag, order, s, away, end, cell)
            patch[i, j] = v
            any_ice |= v > 0
    return any_ice


@_compile
def _sum_rows(patch, sums, counts):  # type: ignore[no-untyped-def]
    """Sums and numbers of the values in 3, 5 and 9 cells of a row about every cell 4 from the border."""
    columns = patch.shape[1]
    zeroed, valid = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for i in range(patch.shape[0]):
        for j in range(columns):
            v = patch[i, j]
            is_valid = v == v
            zeroed[j] = v if is_valid else np.float32(0.0)
            valid[j] = np.float32(1.0) if is_valid else np.float32(0.0)
        for j in range(4, columns - 4):
            s = zeroed[j - 1] + zeroed[j] + zeroed[j + 1]
            n = valid[j - 1] + valid[j] + valid[j + 1]
            sums[0, i, j], counts[0, i, j] = s, n
            s += zeroed[j - 2] + zeroed[j + 2]
            n += valid[j - 2] + valid[j + 2]
            sums[1, i, j], counts[1, i, j] = s, n
            s += zeroed[j - 4] + zeroed[j - 3] + zeroed[j + 3] + zeroed[j + 4]
            n += valid[j - 4] + valid[j - 3] + valid[j + 3] + valid[j + 4]
            sums[2, i, j], counts[2, i, j] = s, n


@_compile
def _sum_columns(sums, margin, width, out):  # type: ignore[no-untyped-def]
    """Sums of 2 width + 1 rows about every cell that is ``margin`` or more from the border."""
    for i in range(out.shape[0]):
        row = out[i]
        row[:] = np.float32(0.0)
        for k in range(i + margin - width, i + margin + width + 1):
            source = sums[k, margin : margin + out.shape[1]]
            for j in range(row.size):
                row[j] += source[j]


@_compile
def _average(patch, means):  # type: ignore[no-untyped-def]
    """Means over 3 x 3, 5 x 5 and 9 x 9 cells about every cell of a box; NaN without a value."""
    sums, counts = np.empty((3, *patch.shape), np.float32), np.empty((3, *patch.shape), np.float32)
    _sum_rows(patch, sums, counts)
    number = np.empty_like(means[0])
    for k, width in enumerate((1, 2, 4)):
        _sum_columns(sums[k], MARGIN, width, means[k])
        _sum_columns(counts[k], MARGIN, width, number)
        for i in range(number.shape[0]):
            for j in range(number.shape[1]):
                means[k, i, j] /= number[i, j]


@_compile
def _average_3(patch, means):  # type: ignore[no-untyped-def]
    """Means over 3 x 3 cells about every cell of a box with a margin of one; NaN without a value."""
    rows, columns = means.shape
    sums, counts = np.zeros((rows + 2, columns), np.float32), np.zeros((rows + 2, columns), np.float32)
    for i in range(rows + 2):
        for k in range(3):
            source = patch[i, k : k + columns]
            for j in range(columns):
                v = source[j]
                sums[i, j] += v if v == v else np.float32(0.0)
                counts[i, j] += np.float32(1.0) if v == v else np.float32(0.0)
    for i in range(rows):
        for j in range(columns):
            count = counts[i, j] + counts[i + 1, j] + counts[i + 2, j]
            means[i, j] = (sums[i, j] + sums[i + 1, j] + sums[i + 2, j]) / count


@_compile
def _find_extremes(patch, lowest, highest):  # type: ignore[no-untyped-def]
    """Smallest and largest value in the 3 x 3 cells about every cell of a box."""
    lowest[:], highest[:] = np.float32(np.inf), np.float32(-np.inf)
    rows, columns = lowest.shape
    for i in range(rows):
        for k in range(i + MARGIN - 1, i + MARGIN + 2):
            for m in range(MARGIN - 1, MARGIN + 2):
                source = patch[k, m : m + columns]
                for j in range(columns):
                    v = source[j]
                    lowest[i, j] = v if v < lowest[i, j] else lowest[i, j]
                    highest[i, j] = v if v > highest[i, j] else highest[i, j]


@_compile
def measure_distance(patch, level, distance):  # type: ignore[no-untyped-def]
    """Distance in cells to the contour of a level, at most MARGIN; negative below the level.

    Cells beside the contour have half a cell; from there the steps to the eight neighbours, 1 or 1.4
    cells, are added up in two sweeps. Cells without a value are crossed, and count as below. The sums
    are kept in tenths of a cell, as whole numbers.
    """
    rows, columns = patch.shape
    farthest = np.int32(10 * MARGIN)
    side = np.full((rows + 2, columns + 2), np.int32(2), np.int32)  # 1 above, 0 below, 2 no value
    low = high = False
    for i in range(rows):
        for j in range(columns):
            v = patch[i, j]
            number = np.int32(1) if v >= level else (np.int32(0) if v < level else np.int32(2))
            side[i + 1, j + 1] = number
            low |= number == 0
            high |= number == 1
    if not (low and high):
        for i in range(rows):
            for j in range(columns):
                distance[i, j] = np.float32(MARGIN) if patch[i, j] >= level else np.float32(-MARGIN)
        return
    tenths = np.full((rows + 2, columns + 2), farthest, np.int32)
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            v = side[i, j]
            is_beside = (
                (v + side[i, j - 1] == 1) | (v + side[i, j + 1] == 1)
                | (v + side[i - 1, j] == 1) | (v + side[i + 1, j] == 1)
            )  # fmt: skip
            tenths[i, j] = np.int32(5) if is_beside else farthest
    for i in range(1, rows + 1):
        _take_steps(tenths[i - 1], tenths[i])
        row = tenths[i]
        for j in range(2, columns + 1):
            row[j] = min(row[j], row[j - 1] + np.int32(10))
    for i in range(rows, 0, -1):
        _take_steps(tenths[i + 1], tenths[i])
        row = tenths[i]
        for j in range(columns - 1, 0, -1):
            row[j] = min(row[j], row[j + 1] + np.int32(10))
    for i in range(rows):
        for j in range(columns):
            d = np.float32(tenths[i + 1, j + 1]) * np.float32(0.1)
            distance[i, j] = d if patch[i, j] >= level else -d


@_compile
def _take_steps(source, row):  # type: ignore[no-untyped-def]
    """Steps from the row beside, straight and diagonal."""
    for j in range(1, row.size - 1):
        d = min(row[j], source[j] + np.int32(10))
        d = min(d, source[j - 1] + np.int32(14))
        row[j] = min(d, source[j + 1] + np.int32(14))


@_compile
def _describe_end(  # type: ignore[no-untyped-def]
    values, flag, index, order, s, away, box, cells, members, columns, patch, means, features, side
):
    """Features of one end of a gap: the s-th day, in ``patch``, and the days beyond it."""
    south, north, west, east = box
    lowest = np.empty((north - south, east - west), np.float32)
    highest = np.empty_like(lowest)
    _find_extremes(patch, lowest, highest)
    distances = np.empty((3, *patch.shape), np.float32)
    for c in range(3):
        measure_distance(patch, np.float32(CONTOURS[c]), distances[c])
    beyond = np.empty((FURTHER, north - south + 2, east - west + 2), np.float32)
    beyond_means = np.empty((2, north - south, east - west), np.float32)
    for k in range(FURTHER):
        _fill_patch(
            values, flag, index, order, s + away * (k + 1), away, s, south - 1, west - 1, beyond[k]
        )
    for k in range(2):
        _average_3(beyond[k], beyond_means[k])
    series = np.empty(FURTHER + 1, np.float32)
    for member in members:
        n = columns[member]
        i, j = cells[member, 0] - south, cells[member, 1] - west
        own = patch[i + MARGIN, j + MARGIN]
        features[VALUE + side, n] = own
        features[MEAN_3 + side, n] = means[0, i, j]
        features[MEAN_5 + side, n] = means[1, i, j]
        features[MEAN_9 + side, n] = means[2, i, j]
        features[LOWEST + side, n], features[HIGHEST + side, n] = lowest[i, j], highest[i, j]
        for c in range(3):
            features[DISTANCES + 2 * c + side, n] = distances[c, i + MARGIN, j + MARGIN]
        for k in range(2):
            v = beyond_means[k, i, j]
            features[NEXT_MEAN + 2 * k + side, n] = v if v == v else means[0, i, j]
        series[0] = own
        for k in range(1, FURTHER + 1):
            v = beyond[k - 1, i + 1, j + 1]
            series[k] = v if v == v else own
        features[NEXT + side, n], features[SECOND + side, n] = series[1], series[2]
        total = series[1] + series[2] + series[3] + series[4]
        features[FURTHER_MEAN + side, n] = total / np.float32(FURTHER)
        mean, squares = (total + own) / np.float32(FURTHER + 1), np.float32(0.0)
        for k in range(FURTHER + 1):
            squares += (series[k] - mean) * (series[k] - mean)
        features[DEVIATION + side, n] = np.sqrt(squares / np.float32(FURTHER + 1))


@_compile
def _smear(patch, beside, smeared):  # type: ignore[no-untyped-def]
    """Means of the 3 x 3 cells about every cell of a box, weighted by rows and columns."""
    rows, columns = smeared.shape
    total, weight = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for i in range(rows):
        total[:] = weight[:] = np.float32(0.0)
        for k in range(-1, 2):
            for m in range(-1, 2):
                w = np.float32(1.0)
                if k != 0:
                    w *= beside
                if m != 0:
                    w *= beside
                source = patch[i + k + MARGIN, m + MARGIN : m + MARGIN + columns]
                for j in range(columns):
                    v = source[j]
                    total[j] += w * v if v == v else np.float32(0.0)
                    weight[j] += w if v == v else np.float32(0.0)
        for j in range(columns):
            smeared[i, j] = total[j] / weight[j]


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
    for side in range(2):
        for days in range(1, beside.size):
            size = _list_members(gaps[side], days, count, members)
            if size == 0:
                continue
            box = _box_of(cells, members[:size])
            patch, mean, smear = _cut(box, patches[side, days], means[side, days], smeared[side, days])
            s, away = (t - days, -1) if side == 0 else (t + days, 1)
            _fill_patch(values, flag, index, order, s, away, s, box[0] - MARGIN, box[2] - MARGIN, patch)
            _average(patch, mean)
            _smear(patch, np.float32(beside[days]), smear)
            for n in members[:size]:
                i, j = cells[n, 0] - box[0], cells[n, 1] - box[2]
                opposite = gaps[1 - side, n]
                share = np.float32(opposite / (days + opposite)) if opposite > 0 else np.float32(1.0)
                estimates[n] += share * smear[i, j]
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
            size = _list_members(gaps[side], days, count, members)
            if size == 0:
                continue
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
                values, flag, index, order, s, away, box, cells, members[:icy], columns, patch, mean,
                features, side,
            )  # fmt: skip
    _finish_features(index, cells, gaps, estimates, columns, count, features)
    return used


@_compile
def make_scratch():  # type: ignore[no-untyped-def]
    """Memory for :func:`describe_cells`, by side and days to the end of a gap."""
    size = TILE + 2 * MARGIN
    patches = np.empty((2, 10, size * size), np.float32)
    means = np.empty((2, 10, 3 * TILE * TILE), np.float32)
    smeared = np.empty((2, 10, TILE * TILE), np.float32)
    return patches, means, smeared, np.empty(TILE * TILE, np.int64)


@_compile
def _cut(box, patch, mean, smear):  # type: ignore[no-untyped-def]
    """The parts of scratch memory that a box needs."""
    rows, columns = box[1] - box[0], box[3] - box[2]
    height, width = rows + 2 * MARGIN, columns + 2 * MARGIN
    return (
        patch[: height * width].reshape(height, width),
        mean[: 3 * rows * columns].reshape(3, rows, columns),
        smear[: rows * columns].reshape(rows, columns),
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
def _finish_features(index, cells, gaps, estimates, columns, count, features):  # type: ignore[no-untyped-def]
    """Distance to land, days, and the scale of all features; a side without a day is as the other."""
    south, north, west, east = index.shape[0], 0, index.shape[1], 0
    for n in range(count):
        if columns[n] >= 0:
            south, north = min(south, cells[n, 0]), max(north, cells[n, 0] + 1)
            west, east = min(west, cells[n, 1]), max(east, cells[n, 1] + 1)
    distance = np.empty((north - south + 2 * MARGIN, east - west + 2 * MARGIN), np.float32)
    _measure_land(index, south - MARGIN, west - MARGIN, distance)
    tenth, quarter = np.float32(0.1), np.float32(0.25)
    for n in range(count):
        k = columns[n]
        if k < 0:
            continue
        back, forward = gaps[0, n], gaps[1, n]
        if back == 0 or forward == 0:
            side = 0 if back > 0 else 1
            for row in range(0, PAIRED, 2):
                features[row + 1 - side, k] = features[row + side, k]
            back = forward = back + forward
        for row in range(DEVIATION):
            features[row, k] = (features[row, k] - estimates[n]) * tenth
        for row in range(DEVIATION, DISTANCES):
            features[row, k] *= tenth
        for row in range(DISTANCES, DAYS):
            features[row, k] *= quarter
        features[DAYS, k] = np.float32(back / 2 - 1)
        features[DAYS + 1, k] = np.float32(forward / 2 - 1)
        features[ESTIMATE, k] = estimates[n] / np.float32(50.0) - np.float32(1.0)
        d = distance[cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN]
        features[LAND_DISTANCE, k] = d * quarter


@_compile
def _measure_land(index, south, west, distance):  # type: ignore[no-untyped-def]
    """Distance to land; what lies beyond the grid is no land."""
    land = np.ones(distance.shape, np.float32)
    first, end = max(0, -west), min(land.shape[1], index.shape[1] - west)
    for i in range(max(0, -south), min(land.shape[0], index.shape[0] - south)):
        for j in range(first, end):
            if index[south + i, west + j] < 0:
                land[i, j] = np.float32(0.0)
    measure_distance(land, np.float32(0.5), distance)


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
    """Mark the nearest observed cells of every marked gap cell, and the tiles they are in."""
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


@_compile
def predict(  # type: ignore[no-untyped-def]
    first, end, tiles, values, flag, days, order, t, index, limits, is_fitted, beside, both, one,
    thresholds, kind, state, prediction
):  # fmt: skip
    """Predict the cells of the t-th day in a state ``kind`` from other days alone.

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
                if cell < 0 or state[cell] != kind:
                    continue
                back, forward = np.int64(days[cell]) // 10, np.int64(days[cell]) % 10
                if kind == BESIDE_GAP:
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


@_compile
def _measure_activity(values, flag, order, t, lead, cell):  # type: ignore[no-untyped-def]
    """Mean squared change a day between successive observations near the t-th day, that day west out."""
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
def _solve(matrix, vector, size):  # type: ignore[no-untyped-def]
    """Solve a symmetric positive definite system in place (Cholesky); the result is in ``vector``."""
    for i in range(size):
        for j in range(i + 1):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            if i == j:
                matrix[i, i] = np.sqrt(max(total, 1e-12))
            else:
                matrix[i, j] = total / matrix[j, j]
    for i in range(size):
        total = vector[i]
        for k in range(i):
            total -= matrix[i, k] * vector[k]
        vector[i] = total / matrix[i, i]
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
    here = order[t]
    reach = np.abs(offsets).max()
    for number in range(first, end):
        south, north, west, east = index.shape[0], 0, index.shape[1], 0
        for y in range(tiles[number, 0] * TILE, min(index.shape[0], (tiles[number, 0] + 1) * TILE)):
            for x in range(tiles[number, 1] * TILE, min(index.shape[1], (tiles[number, 1] + 1) * TILE)):
                cell = index[y, x]
                if cell >= 0 and state[cell] == IN_GAP:
                    south, north = min(south, y), max(north, y + 1)
                    west, east = min(west, x), max(east, x + 1)
        if south >= north:
            continue
        box = (south, north, west, east)
        any_neighbour = False
        for y in range(max(0, south - reach), min(index.shape[0], north + reach)):
            for x in range(max(0, west - reach), min(index.shape[1], east + reach)):
                cell = index[y, x]
                any_neighbour |= cell >= 0 and flag[here, cell] == OBSERVED and state[cell] != UNUSED
        margin = reach + 2
        spread = np.ones((north - south + 2 * margin, east - west + 2 * margin))
        if any_neighbour:
            _measure_spread(values, flag, order, t, lead, index, south - margin, west - margin, spread)
        _krige_box(
            flag[here], values[here], index, state, prediction, offsets, correlation, box, margin,
            spread, any_neighbour, filled, codes, days,
        )  # fmt: skip


@_compile
def _measure_spread(values, flag, order, t, lead, index, south, west, spread):  # type: ignore[no-untyped-def]
    """Root mean square change a day about the cells of a field that begins at a row and a column."""
    smooth = np.exp(-0.5 * np.arange(-2.0, 3.0) ** 2)
    rows, columns = spread.shape
    # Sums of the values and of the weights: first along rows, then along columns.
    activity, valid = np.zeros((rows, columns)), np.zeros((rows, columns))
    for i in range(max(0, -south), min(rows, index.shape[0] - south)):
        for j in range(max(0, -west), min(columns, index.shape[1] - west)):
            cell = index[south + i, west + j]
            if cell >= 0:
                activity[i, j] = _measure_activity(values, flag, order, t, lead, cell)
                valid[i, j] = 1.0
    sums, weights = np.zeros((rows, columns)), np.zeros((rows, columns))
    for i in range(rows):
        for k in range(5):
            for j in range(2, columns - 2):
                sums[i, j] += smooth[k] * activity[i, j + k - 2]
                weights[i, j] += smooth[k] * valid[i, j + k - 2]
    for i in range(2, rows - 2):
        for j in range(2, columns - 2):
            total = weight = 0.0
            for k in range(5):
                total += smooth[k] * sums[i + k - 2, j]
                weight += smooth[k] * weights[i + k - 2, j]
            if weight > 0:
                spread[i, j] = np.sqrt(total / weight + 0.3)


@_compile
def _krige_box(  # type: ignore[no-untyped-def]
    flag, values, index, state, prediction, offsets, correlation, box, margin, spread, any_neighbour,
    filled, codes, days
):  # fmt: skip
    south, north, west, east = box
    near = np.empty((NEIGHBOURS, 2), np.int64)
    matrix, weights = np.empty((NEIGHBOURS, NEIGHBOURS)), np.empty(NEIGHBOURS)
    departures = np.empty(NEIGHBOURS)
    for y in range(south, north):
        for x in range(west, east):
            cell = index[y, x]
            if cell < 0 or state[cell] != IN_GAP:
                continue
            estimate = np.float64(prediction[cell])
            size, low, high = 0, estimate, estimate
            for n in range(offsets.shape[0] if any_neighbour else 0):
                q, r = y + offsets[n, 0], x + offsets[n, 1]
                if not (0 <= q < index.shape[0] and 0 <= r < index.shape[1]):
                    continue
                neighbour = index[q, r]
                if neighbour < 0 or flag[neighbour] != OBSERVED or state[neighbour] == UNUSED:
                    continue
                near[size, 0], near[size, 1] = q, r
                v = np.float64(values[neighbour])
                departures[size] = (v - prediction[neighbour]) / spread[
                    q - south + margin, r - west + margin
                ]
                low, high = min(low, v), max(high, v)
                size += 1
                if size == NEIGHBOURS:
                    break
            if size > 0:
                for i in range(size):
                    for j in range(i + 1):
                        d = (near[i, 0] - near[j, 0]) ** 2 + (near[i, 1] - near[j, 1]) ** 2
                        matrix[i, j] = correlation[d]
                    weights[i] = correlation[(near[i, 0] - y) ** 2 + (near[i, 1] - x) ** 2]
                _solve(matrix, weights, size)
                total = 0.0
                for i in range(size):
                    total += weights[i] * departures[i]
                estimate += spread[y - south + margin, x - west + margin] * total
                estimate = min(max(estimate, low), high)
            filled[cell] = estimate
            is_two_sided = days[cell] > 10 and days[cell] % 10 > 0
            if size > 0:
                codes[cell] = KRIGED_TWO_SIDED if is_two_sided else KRIGED_ONE_SIDED
            else:
                codes[cell] = INCREMENT_TWO_SIDED if is_two_sided else INCREMENT_ONE_SIDED


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
