"""Compiled loops of the fitted fill; see :mod:`seaice.gapfill._kernels` for the conventions.

A missing cell has a gap of its own: ``back`` days to its last observed day and ``forward`` days to the
next one; one of them is 0 where a side has no day. The cells of a tile with the same gap are worked on
together, in the box around them. What is looked at around a cell lies in patches: the box and a margin,
NaN where there is land or no value.
"""

from __future__ import annotations

import numpy as np

from seaice.flags import FillFlag
from seaice.gapfill._kernels import OBSERVED, has_value_in_time
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
_DIAGONAL = np.float32(np.sqrt(2.0))


@compile_loop
def _value_near(values, flag, order, s, away, gap, cell):  # type: ignore[no-untyped-def]
    """A cell on the s-th day, or on the nearest day on which it is observed, outside the gap."""
    for k in range(NEAREST + 1):
        for day in (s + away * k, s - away * k):
            is_usable = 0 <= day < order.size and not gap[0] < day < gap[1]
            if is_usable and flag[order[day], cell] == OBSERVED:
                return values[order[day], cell]
    return _NAN


@compile_loop
def _fill_patch(values, flag, index, order, s, away, gap, south, west, patch):  # type: ignore[no-untyped-def]
    for i in range(patch.shape[0]):
        for j in range(patch.shape[1]):
            y, x = south + i, west + j
            patch[i, j] = _NAN
            if 0 <= y < index.shape[0] and 0 <= x < index.shape[1]:
                cell = index[y, x]
                if cell >= 0:
                    patch[i, j] = _value_near(values, flag, order, s, away, gap, cell)


@compile_loop
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


@compile_loop
def _mean(sums, counts, width, i, j):  # type: ignore[no-untyped-def]
    total, count = np.float32(0.0), np.float32(0.0)
    for k in range(i - width, i + width + 1):
        total += sums[k, j]
        count += counts[k, j]
    return total / count


@compile_loop
def _mean_3(patch, i, j, otherwise):  # type: ignore[no-untyped-def]
    total, count = np.float32(0.0), np.float32(0.0)
    for k in range(i - 1, i + 2):
        for m in range(j - 1, j + 2):
            v = patch[k, m]
            if v == v:
                total += v
                count += np.float32(1.0)
    return total / count if count > 0 else otherwise


@compile_loop
def measure_distance(patch, level, distance):  # type: ignore[no-untyped-def]
    """Distance in cells to the contour of a level, at most MARGIN; negative below the level.

    Cells beside the contour have half a cell; from there the steps to the eight neighbours are added
    up in two sweeps. Cells without a value are crossed, and have no sign of their own.
    """
    rows, columns = patch.shape
    farthest = np.float32(MARGIN)
    is_crossed = False
    for i in range(rows):
        for j in range(columns):
            v = patch[i, j]
            distance[i, j] = farthest
            is_high = v >= level
            if v == v:
                for k, m in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                    if 0 <= k < rows and 0 <= m < columns:
                        w = patch[k, m]
                        if w == w and (w >= level) != is_high:
                            distance[i, j] = np.float32(0.5)
                            is_crossed = True
    if is_crossed:
        unit = np.float32(1.0)
        for i in range(rows):
            for j in range(columns):
                d = distance[i, j]
                if i > 0:
                    d = min(d, distance[i - 1, j] + unit)
                    if j > 0:
                        d = min(d, distance[i - 1, j - 1] + _DIAGONAL)
                    if j < columns - 1:
                        d = min(d, distance[i - 1, j + 1] + _DIAGONAL)
                if j > 0:
                    d = min(d, distance[i, j - 1] + unit)
                distance[i, j] = d
        for i in range(rows - 1, -1, -1):
            for j in range(columns - 1, -1, -1):
                d = distance[i, j]
                if i < rows - 1:
                    d = min(d, distance[i + 1, j] + unit)
                    if j > 0:
                        d = min(d, distance[i + 1, j - 1] + _DIAGONAL)
                    if j < columns - 1:
                        d = min(d, distance[i + 1, j + 1] + _DIAGONAL)
                if j < columns - 1:
                    d = min(d, distance[i, j + 1] + unit)
                distance[i, j] = d
    for i in range(rows):
        for j in range(columns):
            if not patch[i, j] >= level:
                distance[i, j] = -distance[i, j]


@compile_loop
def _describe_end(  # type: ignore[no-untyped-def]
    values, flag, index, order, s, away, gap, box, cells, patch, sums, counts, features, side
):
    """Features of one end of a gap: the s-th day and the days beyond it. ``patch`` holds the day."""
    south, north, west, east = box
    for n in range(cells.shape[0]):
        i, j = cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for k in range(i - 1, i + 2):
            for m in range(j - 1, j + 2):
                v = patch[k, m]
                low = v if v < low else low
                high = v if v > high else high
        features[VALUE + side, n] = patch[i, j]
        features[MEAN_3 + side, n] = _mean(sums[0], counts[0], 1, i, j)
        features[MEAN_5 + side, n] = _mean(sums[1], counts[1], 2, i, j)
        features[MEAN_9 + side, n] = _mean(sums[2], counts[2], 4, i, j)
        features[LOWEST + side, n], features[HIGHEST + side, n] = low, high
    distance = np.empty_like(patch)
    for c in range(3):
        measure_distance(patch, np.float32(CONTOURS[c]), distance)
        for n in range(cells.shape[0]):
            i, j = cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN
            features[DISTANCES + 2 * c + side, n] = distance[i, j]
    beyond = np.empty((2, north - south + 2, east - west + 2), np.float32)
    for k in range(2):
        _fill_patch(
            values, flag, index, order, s + away * (k + 1), away, gap, south - 1, west - 1, beyond[k]
        )
    series = np.empty(FURTHER + 1, np.float32)
    for n in range(cells.shape[0]):
        y, x = cells[n]
        i, j = y - south + 1, x - west + 1
        series[0] = features[VALUE + side, n]
        for k in range(1, FURTHER + 1):
            if k < 3:
                v = beyond[k - 1, i, j]
            else:
                v = _value_near(values, flag, order, s + away * k, away, gap, index[y, x])
            series[k] = v if v == v else series[0]
        near_mean = features[MEAN_3 + side, n]
        features[NEXT + side, n], features[SECOND + side, n] = series[1], series[2]
        features[NEXT_MEAN + side, n] = _mean_3(beyond[0], i, j, near_mean)
        features[SECOND_MEAN + side, n] = _mean_3(beyond[1], i, j, near_mean)
        total = np.float32(0.0)
        for k in range(1, FURTHER + 1):
            total += series[k]
        features[FURTHER_MEAN + side, n] = total / np.float32(FURTHER)
        mean, squares = (total + series[0]) / np.float32(FURTHER + 1), np.float32(0.0)
        for k in range(FURTHER + 1):
            squares += (series[k] - mean) * (series[k] - mean)
        features[DEVIATION + side, n] = np.sqrt(squares / np.float32(FURTHER + 1))


@compile_loop
def _smear(patch, i, j, beside):  # type: ignore[no-untyped-def]
    """Mean of the 3 x 3 cells about a cell, those beside it weighted by rows and columns."""
    total, weight = np.float32(0.0), np.float32(0.0)
    for k in range(-1, 2):
        for m in range(-1, 2):
            v = patch[i + k, j + m]
            if v == v:
                w = np.float32(1.0)
                if k != 0:
                    w *= beside
                if m != 0:
                    w *= beside
                total += w * v
                weight += w
    return total / weight


@compile_loop
def describe_cells(  # type: ignore[no-untyped-def]
    values, flag, index, order, t, back, forward, beside, cells, features, estimates, columns
):
    """Features of cells (n, 2) that have one gap in common, scaled for a network.

    ``estimates[n]`` becomes the fill in time of every cell, percent; ``columns[n]`` the column of its
    features, -1 where there is no ice about it. Returns the number of columns. ``beside[d]`` is the
    weight of the next row or column on a day d days away.
    """
    gap = (t - back if back > 0 else -1, t + forward if forward > 0 else order.size)
    box = _box_of(cells)
    south, north, west, east = box
    shape = (north - south + 2 * MARGIN, east - west + 2 * MARGIN)
    patches = np.empty((2, *shape), np.float32)
    sums, counts = np.empty((2, 3, *shape), np.float32), np.empty((2, 3, *shape), np.float32)
    for side in range(2):
        if (back, forward)[side] > 0:
            s, away = (t - back, t + forward)[side], (-1, 1)[side]
            _fill_patch(
                values, flag, index, order, s, away, gap, south - MARGIN, west - MARGIN, patches[side]
            )
            _sum_rows(patches[side], sums[side], counts[side])
    icy, estimates_of_icy = np.empty_like(cells), np.empty_like(estimates)
    used = 0
    for n in range(cells.shape[0]):
        i, j = cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN
        estimate, is_open = np.float32(0.0), True
        for side in range(2):
            days = (back, forward)[side]
            if days > 0:
                share = np.float32((back + forward - days) / (back + forward))
                end = _smear(patches[side], i, j, np.float32(beside[days]))
                estimate += end * (share if back > 0 and forward > 0 else np.float32(1.0))
                is_open &= _mean(sums[side, 2], counts[side, 2], 4, i, j) < OPEN_WATER
        estimates[n], columns[n] = estimate, -1
        if not is_open:
            icy[used], estimates_of_icy[used], columns[n] = cells[n], estimate, used
            used += 1
    if used == 0:
        return 0
    icy = icy[:used]
    for side in range(2):
        if (back, forward)[side] > 0:
            s, away = (t - back, t + forward)[side], (-1, 1)[side]
            _describe_end(
                values, flag, index, order, s, away, gap, box, icy,
                patches[side], sums[side], counts[side], features, side,
            )  # fmt: skip
    if back == 0 or forward == 0:
        side = 0 if back > 0 else 1
        for row in range(0, PAIRED, 2):
            features[row + 1 - side, :used] = features[row + side, :used]
    _measure_land(index, box, icy, features)
    days = (back, forward) if back > 0 and forward > 0 else (back + forward, back + forward)
    _scale(features, estimates_of_icy, days, used)
    return used


@compile_loop
def _box_of(cells):  # type: ignore[no-untyped-def]
    south, west = cells[0, 0], cells[0, 1]
    north, east = south + 1, west + 1
    for n in range(cells.shape[0]):
        south, north = min(south, cells[n, 0]), max(north, cells[n, 0] + 1)
        west, east = min(west, cells[n, 1]), max(east, cells[n, 1] + 1)
    return south, north, west, east


@compile_loop
def _measure_land(index, box, cells, features):  # type: ignore[no-untyped-def]
    south, north, west, east = box
    land = np.empty((north - south + 2 * MARGIN, east - west + 2 * MARGIN), np.float32)
    for i in range(land.shape[0]):
        for j in range(land.shape[1]):
            y, x = south - MARGIN + i, west - MARGIN + j
            is_inside = 0 <= y < index.shape[0] and 0 <= x < index.shape[1]
            land[i, j] = np.float32(0.0) if is_inside and index[y, x] < 0 else np.float32(1.0)
    distance = np.empty_like(land)
    measure_distance(land, np.float32(0.5), distance)
    for n in range(cells.shape[0]):
        features[LAND_DISTANCE, n] = distance[cells[n, 0] - south + MARGIN, cells[n, 1] - west + MARGIN]


@compile_loop
def _scale(features, estimates, days, count):  # type: ignore[no-untyped-def]
    """Bring features to the size of one."""
    tenth, quarter = np.float32(0.1), np.float32(0.25)
    for row in range(DEVIATION):
        for n in range(count):
            features[row, n] = (features[row, n] - estimates[n]) * tenth
    for row in range(DEVIATION, DISTANCES):
        for n in range(count):
            features[row, n] *= tenth
    for row in range(DISTANCES, DAYS):
        for n in range(count):
            features[row, n] *= quarter
    for n in range(count):
        features[DAYS, n] = np.float32(days[0] / 2 - 1)
        features[DAYS + 1, n] = np.float32(days[1] / 2 - 1)
        features[ESTIMATE, n] = estimates[n] / np.float32(50.0) - np.float32(1.0)
        features[LAND_DISTANCE, n] *= quarter


@compile_loop
def _activate(x):  # type: ignore[no-untyped-def]
    """A smooth step-up, close to the error-function unit, of operations that round everywhere alike."""
    half = np.float32(0.5)
    return half * x * (np.float32(1.0) + x / np.sqrt(np.float32(1.0) + x * x))


_BLOCK = 64


@compile_loop
def evaluate(network, features, count, is_mirrored, increments):  # type: ignore[no-untyped-def]
    """Add the output of a network to ``increments`` (n).

    ``network`` is (weights_1 (34, 24), bias_1, weights_2 (24, 12), bias_2, weights_3 (12,), bias_3).
    Cells are worked on in blocks, and the sums of a cell run over its features in order: its result
    does not depend on the other cells.
    """
    w1, b1, w2, b2, w3, b3 = network
    first = np.empty((b1.size, _BLOCK), np.float32)
    second = np.empty((b2.size, _BLOCK), np.float32)
    for begin in range(0, count, _BLOCK):
        size = min(_BLOCK, count - begin)
        for k in range(b1.size):
            row = first[k]
            for n in range(size):
                row[n] = b1[k]
            for f in range(w1.shape[0]):
                w = w1[f ^ 1 if is_mirrored and f < PAIRED else f, k]
                feature = features[f]
                for n in range(size):
                    row[n] += w * feature[begin + n]
            for n in range(size):
                row[n] = _activate(row[n])
        for k in range(b2.size):
            row = second[k]
            for n in range(size):
                row[n] = b2[k]
            for f in range(w2.shape[0]):
                w = w2[f, k]
                unit = first[f]
                for n in range(size):
                    row[n] += w * unit[n]
            for n in range(size):
                row[n] = _activate(row[n])
        for n in range(size):
            total = b3[0]
            for k in range(w3.size):
                total += w3[k] * second[k, n]
            increments[begin + n] += total


@compile_loop
def _gap_of(flag, order, t, limits, y_cell):  # type: ignore[no-untyped-def]
    """Days to the nearest observed day before and after the t-th; 0 where there is none."""
    back = forward = 0
    for k in range(1, min(limits[0], t) + 1):
        if flag[order[t - k], y_cell] == OBSERVED:
            back = k
            break
    for k in range(1, min(limits[1], order.size - 1 - t) + 1):
        if flag[order[t + k], y_cell] == OBSERVED:
            forward = k
            break
    return back, forward


@compile_loop
def mark_gaps(y0, y1, flag, days, index, is_fitted, state):  # type: ignore[no-untyped-def]
    """Mark the cells of a day that were filled in time over a gap that the networks know."""
    for y in range(y0, y1):
        for x in range(index.shape[1]):
            cell = index[y, x]
            if cell >= 0:
                is_filled = flag[cell] != OBSERVED and has_value_in_time(flag[cell])
                state[cell] = IN_GAP if is_filled and is_fitted[days[cell]] else UNUSED


@compile_loop
def mark_neighbours(y0, y1, flag, index, reach, state):  # type: ignore[no-untyped-def]
    """Mark observed cells within ``reach`` rows and columns of a marked gap."""
    rows, columns = index.shape
    in_rows = np.zeros(columns, np.bool_)
    for y in range(y0, y1):
        any_gap = False
        for x in range(columns):
            in_rows[x] = False
        for q in range(max(0, y - reach), min(rows, y + reach + 1)):
            for x in range(columns):
                cell = index[q, x]
                if cell >= 0 and state[cell] == IN_GAP:
                    in_rows[x] = any_gap = True
        if not any_gap:
            continue
        for x in range(columns):
            cell = index[y, x]
            if cell < 0 or flag[cell] != OBSERVED:
                continue
            for r in range(max(0, x - reach), min(columns, x + reach + 1)):
                if in_rows[r]:
                    state[cell] = BESIDE_GAP
                    break


@compile_loop
def predict(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, days, order, t, index, limits, is_fitted, beside, both, one, thresholds,
    state, prediction
):  # fmt: skip
    """Predict the marked cells of the t-th day from other days alone.

    ``prediction`` becomes percent; a cell without ice about it gets the state WITHOUT_ICE, one whose
    gap the networks do not know UNUSED.
    """
    codes = np.empty(TILE * TILE, np.uint8)
    cells = np.empty((TILE * TILE, 2), np.int64)
    group = np.empty((TILE * TILE, 2), np.int64)
    features = np.empty((FEATURES, TILE * TILE), np.float32)
    estimates, increments = np.empty(TILE * TILE, np.float32), np.empty(TILE * TILE, np.float32)
    columns = np.empty(TILE * TILE, np.int64)
    for south in range(y0, y1, TILE):
        for west in range(0, index.shape[1], TILE):
            count = 0
            for y in range(south, min(y1, south + TILE)):
                for x in range(west, min(index.shape[1], west + TILE)):
                    cell = index[y, x]
                    if cell < 0 or state[cell] == UNUSED:
                        continue
                    code = days[cell]
                    if state[cell] == BESIDE_GAP:
                        back, forward = _gap_of(flag, order, t, limits, cell)
                        code = np.uint8(10 * back + forward)
                        if not is_fitted[code]:
                            state[cell] = UNUSED
                            continue
                    codes[count] = code
                    cells[count, 0], cells[count, 1] = y, x
                    count += 1
            done = 0
            while done < count:
                # The first code that is west: all cells of it are one group.
                code, members = np.uint8(0), 0
                for n in range(count):
                    if codes[n] != 0 and (members == 0 or codes[n] == code):
                        code = codes[n]
                        codes[n] = 0
                        group[members] = cells[n]
                        members += 1
                done += members
                back, forward = np.int64(code // 10), np.int64(code % 10)
                used = describe_cells(
                    values, flag, index, order, t, back, forward, beside, group[:members],
                    features, estimates, columns,
                )  # fmt: skip
                increments[:used] = np.float32(0.0)
                is_two_sided = back > 0 and forward > 0
                if is_two_sided:
                    evaluate(both, features, used, False, increments)
                    evaluate(both, features, used, True, increments)
                else:
                    evaluate(one, features, used, False, increments)
                scale = spread_of_gap(back, forward)
                scale *= np.float32(0.5) if is_two_sided else np.float32(1.0)
                threshold = thresholds[0 if is_two_sided else 1, back + forward]
                for n in range(members):
                    cell = index[group[n, 0], group[n, 1]]
                    if columns[n] < 0:
                        prediction[cell] = estimates[n]
                        state[cell] = WITHOUT_ICE
                    else:
                        v = estimates[n] + scale * increments[columns[n]]
                        prediction[cell] = move_threshold(
                            min(max(v, np.float32(0.0)), np.float32(100.0)), threshold
                        )


@compile_loop
def spread_of_gap(back, forward):  # type: ignore[no-untyped-def]
    """Percent by which the output of a network is multiplied.

    It grows as the standard error of a random walk does between two known days, or after one.
    """
    days = back * forward / (back + forward) if back > 0 and forward > 0 else back + forward
    return np.float32(10.0 * np.sqrt(np.float64(days)))


@compile_loop
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


@compile_loop
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


@compile_loop
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


@compile_loop
def krige(  # type: ignore[no-untyped-def]
    y0, y1, values, flag, order, t, lead, index, state, prediction, offsets, correlation, filled, codes,
    days
):  # fmt: skip
    """Correct the predictions of gap cells by the departures of observed cells of the day.

    ``offsets`` (n, 2) are the rows and columns to neighbours, nearest first; ``correlation[d]`` is that
    of two departures at a squared distance of d.
    """
    here = order[t]
    rows, columns = index.shape
    reach = np.abs(offsets).max()
    margin = reach + 2
    smooth = np.exp(-0.5 * np.arange(-2.0, 3.0) ** 2)
    for south in range(y0, y1, TILE):
        for west in range(0, columns, TILE):
            north, east = min(y1, south + TILE), min(columns, west + TILE)
            any_gap = any_neighbour = False
            for y in range(max(0, south - reach), min(rows, north + reach)):
                for x in range(max(0, west - reach), min(columns, east + reach)):
                    cell = index[y, x]
                    if cell >= 0:
                        any_neighbour |= flag[here, cell] == OBSERVED and state[cell] != UNUSED
                        if state[cell] == IN_GAP and south <= y < north and west <= x < east:
                            any_gap = True
            if not any_gap:
                continue
            spread = np.ones((north - south + 2 * margin, east - west + 2 * margin))
            if any_neighbour:
                raw = np.full_like(spread, np.nan)
                for i in range(spread.shape[0]):
                    for j in range(spread.shape[1]):
                        y, x = south - margin + i, west - margin + j
                        if 0 <= y < rows and 0 <= x < columns and index[y, x] >= 0:
                            raw[i, j] = _measure_activity(values, flag, order, t, lead, index[y, x])
                for i in range(2, spread.shape[0] - 2):
                    for j in range(2, spread.shape[1] - 2):
                        total, weight = 0.0, 0.0
                        for k in range(5):
                            for m in range(5):
                                v = raw[i + k - 2, j + m - 2]
                                if v == v:
                                    w = smooth[k] * smooth[m]
                                    total += w * v
                                    weight += w
                        if weight > 0:
                            spread[i, j] = np.sqrt(total / weight + 0.3)
            _krige_tile(
                flag[here], values[here], index, state, prediction, offsets, correlation,
                (south, north, west, east), margin, spread, any_neighbour, filled, codes, days,
            )  # fmt: skip


@compile_loop
def _krige_tile(  # type: ignore[no-untyped-def]
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


@compile_loop
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


@compile_loop
def _descend(weights, slope, mean, square, rate, first, second, decay):  # type: ignore[no-untyped-def]
    for k in range(weights.size):
        g = slope[k]
        mean[k] = np.float32(0.9) * mean[k] + np.float32(0.1) * g
        square[k] = np.float32(0.999) * square[k] + np.float32(0.001) * g * g
        size = np.sqrt(square[k] * second) + np.float32(1e-8)
        weights[k] -= rate * (mean[k] * first / size + decay * weights[k])


@compile_loop
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


@compile_loop
def _slope(x):  # type: ignore[no-untyped-def]
    """Derivative of :func:`_activate`."""
    unit = np.float32(1.0)
    root = np.sqrt(unit + x * x)
    return np.float32(0.5) * (unit + x * (np.float32(2.0) + x * x) / (root * root * root))
