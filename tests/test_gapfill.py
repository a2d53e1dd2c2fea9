"""Filling: small truths by hand, a slow reference, and the laws as properties."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill import (
    Filled,
    FillStep,
    Frames,
    _kernels,
    lead_of_steps,
    reach_of_steps,
    run_steps,
)
from seaice.gapfill.departure import Departure
from seaice.gapfill.gaussian import Gaussian
from seaice.gapfill.hybrid import Hybrid
from seaice.gapfill.methods import daily_methods, method_class
from seaice.gapfill.ocean_cells import OceanCells
from seaice.gapfill.pole_hole import fill_pole_hole, pole_hole_step
from seaice.gapfill.stream import FillStream
from seaice.gapfill.temporal import Temporal
from seaice.runtime import threads

NAN = np.nan
FILLS = daily_methods()


def one_cell(*values):
    return np.array(values, np.float32).reshape(-1, 1, 1)


OCEAN = np.ones((1, 1), bool)


def test_kernel_codes_are_the_published_flags():
    pairs = {
        "OBSERVED": FillFlag.OBSERVED,
        "TWO_SIDED": FillFlag.TEMPORAL_TWO_SIDED,
        "ONE_SIDED": FillFlag.TEMPORAL_ONE_SIDED,
        "GAUSSIAN": FillFlag.SPACETIME_GAUSSIAN,
        "POLE_HOLE": FillFlag.POLE_HOLE,
        "DEPARTURE_TWO_SIDED": FillFlag.DEPARTURE_TWO_SIDED,
        "DEPARTURE_ONE_SIDED": FillFlag.DEPARTURE_ONE_SIDED,
        "LAND": FillFlag.LAND,
        "NOT_FILLED": FillFlag.NOT_FILLED,
    }
    for name, flag in pairs.items():
        assert getattr(_kernels, name) == flag


def test_temporal_between_two_days():
    # p = 40 two days back, n = 80 three days forward: 40 + 2 * 40 / 5 = 56
    filled = Temporal().fill(one_cell(40, NAN, NAN, NAN, NAN, 80), OCEAN)
    assert filled.values[:, 0, 0].tolist() == [40, 48, 56, 64, 72, 80]
    assert filled.days_back_forward[:, 0, 0].tolist() == [0, 14, 23, 32, 41, 0]
    assert filled.flag[:, 0, 0].tolist() == [0, 1, 1, 1, 1, 0]


def test_temporal_reaches_five_days_to_both_sides_and_three_to_one():
    filled = Temporal().fill(one_cell(10, *[NAN] * 9, 20), OCEAN)
    # Day 5 is 5 from both ends; days 4 and 6 are 6 from one end and 4 from the other.
    assert filled.flag[:, 0, 0].tolist() == [0, 2, 2, 2, 255, 1, 255, 2, 2, 2, 0]
    assert filled.values[[1, 2, 3, 5, 7, 8, 9], 0, 0].tolist() == [10, 10, 10, 15, 20, 20, 20]
    assert np.isnan(filled.values[[4, 6], 0, 0]).all()
    assert filled.days_back_forward[:, 0, 0].tolist() == [0, 10, 20, 30, 0, 55, 0, 3, 2, 1, 0]


def test_temporal_past_only_never_looks_ahead():
    filled = Temporal(past_only=True).fill(one_cell(NAN, 30, NAN, NAN, NAN, NAN, 90), OCEAN)
    assert filled.flag[:, 0, 0].tolist() == [255, 0, 2, 2, 2, 255, 0]
    assert filled.values[2:5, 0, 0].tolist() == [30, 30, 30]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_gap_days": 10}, "max_gap_days must be 0 to 9, found 10"),
        ({"max_gap_days": -1}, "max_gap_days must be 0 to 9, found -1"),
        ({"one_sided_days": 6}, "one_sided_days must be 0 to max_gap_days (5), found 6"),
        ({"one_sided_days": -1}, "one_sided_days must be 0 to max_gap_days (5), found -1"),
    ],
)
def test_temporal_refuses_limits(options, message):
    with pytest.raises(InputError) as error:
        Temporal(**options).fill(one_cell(1), OCEAN)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "options", [{"time_window": -1}, {"space_window": -1}, {"sigma": 0.0}, {"alpha": -1.0}]
)
def test_gaussian_refuses_parameters(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Gaussian(**options).fill(one_cell(1), OCEAN)


def test_gaussian_by_hand():
    # A missing cell between 10 (one cell west) and 40 (two cells east), and 70 a day later.
    stack = np.array([[[10, NAN, NAN, 40]], [[NAN, 70, NAN, NAN]]], np.float32)
    sigma, alpha = 2.0, 3.0
    w = np.exp(-np.array([1, 4, alpha]) / (2 * sigma**2))
    expected = (w @ [10, 40, 70]) / w.sum()
    filled = Gaussian(alpha=alpha, sigma=sigma).fill(stack, np.ones((1, 4), bool))
    assert filled.values[0, 0, 1] == pytest.approx(expected, abs=1e-5)
    assert filled.flag[0, 0].tolist() == [0, 3, 3, 0]


def test_gaussian_says_nothing_beyond_its_window():
    stack = np.full((1, 1, 20), NAN, np.float32)
    stack[0, 0, 0] = 50
    filled = Gaussian(space_window=7).fill(stack, np.ones((1, 20), bool))
    assert filled.flag[0, 0].tolist() == [0] + [3] * 7 + [255] * 12


def test_gaussian_respects_the_smallest_weight():
    # exp(-49 / (2 sigma^2)) at distance 7 falls below 1e-6 for sigma = 1.
    stack = np.array([[[50, *[NAN] * 7]]], np.float32)
    filled = Gaussian(sigma=1.0).fill(stack, np.ones((1, 8), bool))
    weights = np.exp(-(np.arange(8.0) ** 2) / 2)
    assert (filled.flag[0, 0] == 3).tolist() == [False, *(weights[1:] > 1e-6)]


def gaussian_by_triple_loop(stack, ocean, *, time_window, space_window, alpha, sigma):
    """The definition, cell by cell."""
    depth, rows, columns = stack.shape
    out = np.where(ocean, stack, NAN).astype(np.float64)
    for t, y, x in np.argwhere(np.isnan(stack) & ocean):
        total = weight = 0.0
        for s in range(max(0, t - time_window), min(depth, t + time_window + 1)):
            for q in range(max(0, y - space_window), min(rows, y + space_window + 1)):
                for r in range(max(0, x - space_window), min(columns, x + space_window + 1)):
                    v = stack[s, q, r]
                    if ocean[q, r] and not np.isnan(v):
                        d2 = (r - x) ** 2 + (q - y) ** 2 + alpha * (s - t) ** 2
                        w = np.exp(-d2 / (2 * sigma**2))
                        total += w * float(v)
                        weight += w
        if weight > 1e-6:
            out[t, y, x] = total / weight
    return out


@st.composite
def gappy_stacks(draw, *, days=6, rows=7, columns=9):
    shape = (draw(st.integers(1, days)), draw(st.integers(1, rows)), draw(st.integers(1, columns)))
    values = draw(hnp.arrays(np.float32, shape, elements=st.floats(0, 100, width=32)))
    gaps = draw(hnp.arrays(bool, shape))
    land = draw(hnp.arrays(bool, shape[1:]))
    stack = np.where(gaps, np.float32(NAN), values)
    for day in draw(st.sets(st.integers(0, shape[0] - 1), max_size=2)):
        stack[day] = NAN
    return stack, ~land


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    gappy_stacks(),
    st.integers(0, 4),
    st.integers(0, 5),
    st.floats(0, 30),
    st.floats(0.3, 9),
)
def test_gaussian_equals_the_triple_loop(case, time_window, space_window, alpha, sigma):
    stack, ocean = case
    options = {
        "time_window": time_window,
        "space_window": space_window,
        "alpha": alpha,
        "sigma": sigma,
    }
    expected = gaussian_by_triple_loop(stack, ocean, **options)
    found = Gaussian(**options).fill(stack, ocean).values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_gaussian_equals_the_triple_loop_across_tiles():
    rng = np.random.default_rng(5)
    stack = rng.uniform(0, 100, (4, 40, 70)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.85] = NAN
    stack[:, 10:30, 20:50] = NAN
    ocean = rng.random((40, 70)) > 0.1
    options = {"time_window": 2, "space_window": 6, "alpha": 15.0, "sigma": 7.0}
    expected = gaussian_by_triple_loop(stack, ocean, **options)
    np.testing.assert_allclose(
        Gaussian(**options).fill(stack, ocean).values, expected, rtol=0, atol=1e-4
    )


def temporal_by_definition(stack, ocean, *, max_gap_days, one_sided_days):
    """Per cell, with a plain search for the nearest observed days."""
    out = np.where(ocean, stack, NAN).astype(np.float64)
    depth = len(stack)
    for t, y, x in np.argwhere(np.isnan(stack) & ocean):
        seen = [s for s in range(depth) if not np.isnan(stack[s, y, x])]
        back = [t - s for s in seen if 0 < t - s <= max_gap_days]
        forward = [s - t for s in seen if 0 < s - t <= max_gap_days]
        if back and forward:
            b, f = min(back), min(forward)
            p, n = float(stack[t - b, y, x]), float(stack[t + f, y, x])
            out[t, y, x] = p + b * (n - p) / (b + f)
        elif back and min(back) <= one_sided_days:
            out[t, y, x] = stack[t - min(back), y, x]
        elif forward and min(forward) <= one_sided_days:
            out[t, y, x] = stack[t + min(forward), y, x]
    return out


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(gappy_stacks(days=14, rows=2, columns=3), st.integers(0, 9), st.data())
def test_temporal_equals_its_definition(case, max_gap_days, data):
    stack, ocean = case
    one_sided_days = data.draw(st.integers(0, max_gap_days))
    limits = {"max_gap_days": max_gap_days, "one_sided_days": one_sided_days}
    expected = temporal_by_definition(stack, ocean, **limits)
    filled = Temporal(**limits).fill(stack, ocean)
    np.testing.assert_allclose(filled.values, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(gappy_stacks(days=8), st.sampled_from(sorted(FILLS)), st.booleans())
def test_laws_of_filling(case, name, past_only):
    stack, ocean = case
    before = stack.copy()
    filled = FILLS[name](past_only=past_only).fill(stack, ocean)
    np.testing.assert_array_equal(stack, before)
    observed = ocean & ~np.isnan(stack)
    np.testing.assert_array_equal(filled.values[observed], stack[observed])
    assert (filled.flag[observed] == FillFlag.OBSERVED).all()
    assert np.isnan(filled.values[:, ~ocean]).all()
    assert (filled.flag[:, ~ocean] == FillFlag.LAND).all()
    invented = ~np.isnan(filled.values) & ~observed
    np.testing.assert_array_equal(
        invented,
        np.isin(filled.flag, [1, 2, 3, *range(10, 16)]),
        "a value is flagged exactly where invented",
    )
    np.testing.assert_array_equal(
        filled.days_back_forward > 0,
        np.isin(filled.flag, [1, 2, *range(10, 16)]),
        "days are told of fills in time",
    )
    if invented.any():
        # The networks of increments may leave the range of their sources, but not that of ice.
        sources = np.array([0, 100]) if name == "increments" else stack[observed]
        assert filled.values[invented].min() >= sources.min()
        assert filled.values[invented].max() <= sources.max()


@settings(max_examples=30, deadline=None)
@given(gappy_stacks(days=8), st.sampled_from(sorted(FILLS)))
def test_land_is_never_a_source(case, name):
    stack, ocean = case
    other = stack.copy()
    other[:, ~ocean] = 77
    one, two = FILLS[name]().fill(stack, ocean), FILLS[name]().fill(other, ocean)
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(FILLS))
@pytest.mark.parametrize("past_only", [False, True])
def test_result_depends_on_nothing_beyond_the_reach(name, past_only):
    rng = np.random.default_rng(3)
    stack = rng.uniform(0, 100, (30, 12, 13)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.7] = NAN
    stack[10:15] = NAN
    ocean = rng.random((12, 13)) > 0.2
    method = FILLS[name](past_only=past_only)
    whole, reach = method.fill(stack, ocean), method.reach
    for first in range(0, 30, 4):
        start, end = max(0, first - reach), min(30, first + 4 + reach)
        days = slice(first - start, min(first + 4, 30) - start)
        part = method.fill(stack[start:end], ocean, days=days)
        for a, b in zip(whole, part, strict=True):
            np.testing.assert_array_equal(a[first : first + 4], b)


@pytest.mark.parametrize("name", sorted(FILLS))
def test_past_only_never_uses_a_later_day(name):
    rng = np.random.default_rng(4)
    stack = rng.uniform(0, 100, (12, 9, 9)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.7] = NAN
    ocean = np.ones((9, 9), bool)
    method = FILLS[name](past_only=True)
    whole = method.fill(stack, ocean)
    for last in range(12):
        known = method.fill(stack[: last + 1], ocean)
        np.testing.assert_array_equal(known.values[last], whole.values[last])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FILLS))
@pytest.mark.parametrize("past_only", [False, True])
def test_a_stream_of_days_equals_the_stack(name, past_only):
    """Also where the days that may be seen end, and where the first day wanted is a later one."""
    rng = np.random.default_rng(6)
    stack = rng.uniform(0, 100, (33, 11, 10)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.75] = NAN
    stack[12:22] = NAN
    ocean = rng.random((11, 10)) > 0.2
    hole = np.zeros_like(ocean)
    hole[4:6, 4:7] = True
    steps = [*FILLS[name](past_only=past_only).steps(hole), pole_hole_step(hole)]
    for seen, first, last in (((0, 32), 0, 32), ((0, 32), 9, 20), ((4, 29), 4, 29), ((7, 7), 7, 7)):
        asked = []

        def read(day, frame, asked=asked):
            asked.append(day)
            frame[:] = stack[day]

        cells = OceanCells(ocean)
        stream = FillStream(read, seen, cells, steps)
        days = slice(first - seen[0], last + 1 - seen[0])
        expected = run_steps(stack[seen[0] : seen[1] + 1], ocean, steps, days)
        for k, (day, gaps) in enumerate(stream.days(first, last)):
            for a, b in zip(expected.day(k), day, strict=True):
                np.testing.assert_array_equal(cells.compress(a), b)
            np.testing.assert_array_equal(gaps, np.flatnonzero(day.flag != FillFlag.OBSERVED))
        reach = reach_of_steps(steps)
        assert asked == list(range(max(seen[0], first - reach), min(seen[1], last + reach) + 1))


def far_mean(sight: int) -> FillStep:
    """A step that fills with the mean of the observed values of a cell within sight."""

    def fill_day(frames: Frames, t: int) -> None:
        near = slice(max(0, t - sight), t + sight + 1)
        flag, values = (a[frames.order[near]] for a in (frames.flag, frames.values))
        observed = flag == FillFlag.OBSERVED
        todo = frames.missing()
        todo = todo[observed.any(axis=0)[todo]]
        frames.day.values[todo] = np.where(observed, values, 0).sum(0)[todo] / observed.sum(0)[todo]
        frames.day.flag[todo] = FillFlag.LINEAR
        frames.day.days_back_forward[todo] = len(frames.order)

    return FillStep(0, fill_day, sight=sight)


def raise_fills(frames: Frames, t: int) -> None:
    """Put other values and another flag in place of what was filled in time."""
    filled = np.isin(frames.day.flag, [FillFlag.TEMPORAL_TWO_SIDED, FillFlag.TEMPORAL_ONE_SIDED])
    frames.day.values[filled] += 1000
    frames.day.flag[filled] = FillFlag.LINEAR


def test_a_step_that_rewrites_waits_for_those_that_still_use_the_day():
    temporal, gaussian = Hybrid(max_gap_days=2, one_sided_days=2).steps()
    steps = [temporal, gaussian, FillStep(0, raise_fills, rewrites=True)]
    assert lead_of_steps(steps) == [6, 3, 0]
    rng = np.random.default_rng(3)
    stack = rng.uniform(0, 100, (30, 6, 5)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.7] = NAN
    stack[9:16, :, :2] = NAN
    cells = OceanCells.everywhere((6, 5))
    whole = run_steps(stack, cells.ocean, steps)
    assert {FillFlag.LINEAR, FillFlag.SPACETIME_GAUSSIAN} <= set(np.unique(whole.flag).tolist())
    assert whole.values[whole.flag == FillFlag.SPACETIME_GAUSSIAN].max() <= 100
    for first in (0, 11, 14):
        stream = FillStream(lambda day, frame: np.copyto(frame, stack[day]), (0, 29), cells, steps)
        for (number, (day, _)), _ in pairwise(enumerate(stream.days(first, 29), start=first)):
            for a, b in zip(whole.day(number), day, strict=True):
                np.testing.assert_array_equal(cells.compress(a), b)


def test_a_step_that_sees_observed_days_far_away_costs_no_reach_of_the_steps_before():
    temporal, gaussian = Hybrid(max_gap_days=2, one_sided_days=2).steps()
    far = far_mean(7)
    assert reach_of_steps([temporal, gaussian]) == 5
    assert reach_of_steps([temporal, gaussian, far]) == 7
    assert reach_of_steps([far, temporal, gaussian]) == 10
    rng = np.random.default_rng(2)
    stack = rng.uniform(0, 100, (40, 6, 5)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.8] = NAN
    stack[9:21], stack[:, 3] = NAN, NAN
    cells = OceanCells(rng.random((6, 5)) > 0.2)
    for steps in ([temporal, gaussian, far], [far, temporal, gaussian], [gaussian, far]):
        whole = run_steps(stack, cells.ocean, steps)
        assert (whole.flag == FillFlag.LINEAR).any()
        stream = FillStream(lambda day, frame: np.copyto(frame, stack[day]), (0, 39), cells, steps)
        # A day stays as it is until the next one has come.
        for (number, (day, _)), _ in pairwise(enumerate(stream.days(0, 39))):
            for a, b in zip(whole.day(number), day, strict=True):
                np.testing.assert_array_equal(cells.compress(a), b)
        reach = reach_of_steps(steps)
        part = run_steps(stack[18 - reach : 18 + reach + 1], cells.ocean, steps, slice(reach, reach + 1))
        for a, b in zip(whole.day(18), part.day(0), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8, bool])
def test_ocean_cells_go_out_and_come_back(dtype):
    rng = np.random.default_rng(5)
    field = rng.integers(0, 2, (3, 40, 7)).astype(dtype)
    ocean = rng.random((40, 7)) > 0.1
    ocean[3] = False
    cells = OceanCells(ocean)
    vectors = cells.compress(field)
    np.testing.assert_array_equal(vectors, field[:, ocean])
    np.testing.assert_array_equal(cells.expand(vectors, 1), np.where(ocean, field, dtype(1)))
    np.testing.assert_array_equal(np.stack([cells.rows, cells.columns], 1), np.argwhere(ocean))
    assert (cells.index[ocean] == np.arange(len(cells))).all() and (cells.index[~ocean] == -1).all()
    inner = [all(np.pad(ocean, 1)[y : y + 3, x : x + 3].flat) for y, x in np.argwhere(ocean)]
    assert cells.inner.tolist() == inner and any(inner)
    for tile in ((40, 7), (16, 3), (1, 1), (99, 99)):
        runs = cells.runs(tile)
        numbers = np.full(ocean.shape, -1)
        across = -(-7 // tile[1])
        for i in range(len(runs.ends) - 1):
            *parts, _ends = runs.of_tile(i)
            for cell, row, column, length in zip(*parts, strict=True):
                numbers[row, column : column + length] = range(cell, cell + length)
                for x in (column, column + length - 1):
                    assert row // tile[0] * across + x // tile[1] == i
        np.testing.assert_array_equal(numbers, cells.index)
    for y in range(40):
        assert cells.first[y + 1] - cells.first[y] == ocean[y].sum()


def test_reach_is_needed_in_full():
    """A value 8 days away does reach a hybrid fill: 3 in space-time, 5 in time."""
    stack = np.full((17, 1, 2), NAN, np.float32)
    stack[0, 0, 0], stack[10, 0, 0] = 10, 50
    filled = Hybrid().fill(stack, np.ones((1, 2), bool))
    changed = stack.copy()
    changed[0, 0, 0] = 90
    refilled = Hybrid().fill(changed, np.ones((1, 2), bool))
    moved = np.flatnonzero(
        (filled.values != refilled.values)[:, 0, 1] & ~np.isnan(filled.values[:, 0, 1])
    )
    assert moved.max() == 8
    assert Hybrid().reach == 8


@pytest.mark.parametrize("name", sorted(FILLS))
def test_threads_do_not_matter(name):
    rng = np.random.default_rng(8)
    stack = rng.uniform(0, 100, (9, 90, 70)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.8] = NAN
    ocean = rng.random((90, 70)) > 0.2
    results = []
    try:
        for n in (1, 3):
            threads.use_threads(n)
            results.append(FILLS[name]().fill(stack, ocean))
    finally:
        threads.use_threads(None)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


def test_hybrid_takes_time_first_and_space_from_the_rest():
    stack = np.full((3, 1, 4), NAN, np.float32)
    stack[0, 0, :2], stack[2, 0, :2] = [10, 20], [30, 60]
    filled = Hybrid().fill(stack, np.ones((1, 4), bool))
    assert filled.flag[1, 0].tolist() == [1, 1, 3, 3]
    in_time = Temporal().fill(stack, np.ones((1, 4), bool))
    expected = Gaussian().fill(in_time.values, np.ones((1, 4), bool))
    np.testing.assert_array_equal(filled.values, expected.values)


def test_constant_field_stays_constant():
    stack = np.full((7, 20, 20), np.float32(33.3), np.float32)
    stack[np.random.default_rng(0).random(stack.shape) < 0.9] = NAN
    filled = Hybrid().fill(stack, np.ones((20, 20), bool))
    assert set(np.unique(filled.values)) == {np.float32(33.3)}


def departure_by_definition(stack, ocean, *, max_gap, one_sided, spread, sigma):
    """The first step, cell by cell, from the words that describe it."""
    depth, rows, columns = stack.shape
    seen = ~np.isnan(stack) & ocean
    out = np.where(ocean, stack, NAN).astype(np.float64)
    corrected = np.zeros(stack.shape, bool)
    far = int(np.ceil(2.5 * sigma))

    def around(y, x, reach):
        for q in range(max(0, y - reach), min(rows, y + reach + 1)):
            for r in range(max(0, x - reach), min(columns, x + reach + 1)):
                yield q, r, (q - y) ** 2 + (r - x) ** 2

    def smeared(s, days, y, x):
        near = [(q, r, d2) for q, r, d2 in around(y, x, 1 if spread else 0) if seen[s, q, r]]
        w = np.array([np.exp(-d2 / (2 * spread * days)) if d2 else 1.0 for *_, d2 in near])
        return w @ [float(stack[s, q, r]) for q, r, _ in near] / w.sum()

    for t, y, x in np.argwhere(~seen & ocean):
        back = [t - s for s in range(depth) if seen[s, y, x] and 0 < t - s <= max_gap]
        ahead = [s - t for s in range(depth) if seen[s, y, x] and 0 < s - t <= max_gap]
        sides = [(t - min(back), min(back))] if back else []
        sides += [(t + min(ahead), min(ahead))] if ahead else []
        if not sides or (len(sides) == 1 and sides[0][1] > one_sided):
            continue
        total = sum(days for _, days in sides)
        share = [1.0] if len(sides) == 1 else [1 - days / total for _, days in sides]
        ends = [smeared(s, days, y, x) for s, days in sides]
        estimate, weight, above, values = np.dot(share, ends), 0.0, 0.0, list(ends)
        for q, r, d2 in around(y, x, far) if sigma else ():
            if seen[t, q, r] and all(seen[s, q, r] for s, _ in sides):
                w = np.exp(-d2 / (2 * sigma**2))
                course = np.dot(share, [float(stack[s, q, r]) for s, _ in sides])
                above, weight = above + w * (stack[t, q, r] - course), weight + w
                values.append(float(stack[t, q, r]))
        if weight:
            estimate = np.clip(estimate + above / (weight + 0.2), min(values), max(values))
        out[t, y, x], corrected[t, y, x] = estimate, weight > 0
    return out, corrected


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    gappy_stacks(days=9),
    st.integers(0, 9),
    st.data(),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.sampled_from([0.0, 0.5, 1.5]),
)
def test_departure_equals_its_definition(case, max_gap, data, spread, sigma):
    stack, ocean = case
    one_sided = data.draw(st.integers(0, max_gap))
    limits = {"max_gap_days": max_gap, "one_sided_days": one_sided}
    steps = Departure(**limits, spread=spread, neighbour_sigma=sigma).steps()[:1]
    filled = run_steps(stack, ocean, steps)
    expected, corrected = departure_by_definition(
        stack, ocean, max_gap=max_gap, one_sided=one_sided, spread=spread, sigma=sigma
    )
    np.testing.assert_allclose(filled.values, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(np.isin(filled.flag, [10, 11]), corrected)
    in_time = Temporal(**limits).fill(stack, ocean)
    np.testing.assert_array_equal(filled.days_back_forward, in_time.days_back_forward)
    plain = np.where(corrected, filled.flag - 9, filled.flag)
    np.testing.assert_array_equal(plain, in_time.flag)


@pytest.mark.slow
def test_departure_equals_its_definition_across_tiles_and_bands():
    rng = np.random.default_rng(9)
    stack = rng.uniform(0, 100, (5, 70, 40)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.6] = NAN
    stack[2, 20:60, 5:38] = NAN
    ocean = rng.random((70, 40)) > 0.1
    try:
        threads.use_threads(3)
        filled = run_steps(stack, ocean, Departure().steps()[:1])
    finally:
        threads.use_threads(None)
    expected, corrected = departure_by_definition(
        stack, ocean, max_gap=9, one_sided=9, spread=0.2, sigma=1.5
    )
    np.testing.assert_allclose(filled.values, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(np.isin(filled.flag, [10, 11]), corrected)


def test_departure_by_hand():
    # In time: 50 -> 70, so 60 on the day between. The neighbours one cell away are 6 below their
    # own course (50 -> 70 too): two of weight w = exp(-1 / 4.5), and 0.2 says "no departure".
    stack = np.array([[[50] * 3], [[54, NAN, 54]], [[70] * 3]], np.float32)
    filled = Departure(spread=0).fill(stack, np.ones((1, 3), bool))
    w = 2 * np.exp(-1 / 4.5)
    assert filled.values[1, 0, 1] == pytest.approx(60 - 6 * w / (w + 0.2), abs=1e-4)
    assert (filled.flag[1, 0, 1], filled.days_back_forward[1, 0, 1]) == (10, 11)
    one = Departure(spread=0).fill(stack[:2], np.ones((1, 3), bool))
    assert one.values[1, 0, 1] == pytest.approx(50 + 4 * w / (w + 0.2), abs=1e-4)
    assert (one.flag[1, 0, 1], one.days_back_forward[1, 0, 1]) == (11, 10)


def test_departure_smears_a_source_more_the_farther_its_day():
    stack = np.full((5, 1, 3), NAN, np.float32)
    stack[0] = [[0, 90, 0]]
    filled = Departure(max_gap_days=4, one_sided_days=4).fill(stack, np.ones((1, 3), bool))
    w = np.exp(-1 / (2 * 0.2 * np.arange(1, 5)))
    np.testing.assert_allclose(filled.values[1:, 0, 1], 90 / (1 + 2 * w), atol=1e-4)


def test_departure_without_its_own_terms_is_hybrid():
    rng = np.random.default_rng(10)
    stack = rng.uniform(0, 100, (16, 40, 20)).astype(np.float32)
    stack[rng.random(stack.shape) < 0.8] = NAN
    ocean = rng.random((40, 20)) > 0.2
    options = {"max_gap_days": 5, "one_sided_days": 3, "alpha": 15.0, "sigma": 7.0}
    found = Departure(spread=0, neighbour_sigma=0, **options).fill(stack, ocean)
    for a, b in zip(found, Hybrid().fill(stack, ocean), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("sigma", [0.0, 1.5, 4.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_departure_passes_over_water_alone(monkeypatch, sigma, sign):
    rng = np.random.default_rng(12)
    stack = sign * rng.uniform(0, 100, (14, 60, 50)).astype(np.float32)
    stack[:, 41:] = stack[:, :, 16:] = 0  # beside the rim of a block of 8, and at one
    stack[rng.random(stack.shape) < 0.4] = NAN
    stack[6:8, 30:50] = NAN
    ocean, method = rng.random((60, 50)) > 0.2, Departure(neighbour_sigma=sigma)
    expected = method.fill(stack, ocean)
    monkeypatch.setattr("seaice.gapfill.find_beside", lambda marks: np.ones(1, bool))
    for a, b in zip(expected, method.fill(stack, ocean), strict=True):
        np.testing.assert_array_equal(a, b)


def test_departures_feed_the_gaussian_step():
    stack = np.full((2, 1, 3), 40, np.float32)
    stack[1] = [[46, NAN, NAN]]
    stack[0, 0, 2] = NAN
    ocean = np.ones((1, 3), bool)
    filled = Departure(time_window=0, space_window=1).fill(stack, ocean)
    assert filled.flag[1, 0].tolist() == [0, FillFlag.DEPARTURE_ONE_SIDED, FillFlag.SPACETIME_GAUSSIAN]
    assert filled.values[1, 0, 2] == filled.values[1, 0, 1]


@pytest.mark.parametrize(
    "options", [{"spread": -0.1}, {"spread": np.inf}, {"neighbour_sigma": -1.0}, {"max_gap_days": 10}]
)
def test_departure_refuses_parameters(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Departure(**options).fill(one_cell(1), OCEAN)


def hole_case():
    stack = np.full((2, 5, 5), 80, np.float32)
    stack[:, 1:4, 1:4] = NAN
    stack[0, 0, :] = 20
    hole = np.zeros((5, 5), bool)
    hole[1:4, 1:4] = True
    return stack, hole


def test_pole_hole_from_its_ring():
    stack, hole = hole_case()
    ocean = np.ones((5, 5), bool)
    kept = Gaussian().fill(stack, ocean, hole=hole)
    assert (kept.flag[:, hole] == FillFlag.NOT_FILLED).all()
    filled = fill_pole_hole(kept, hole)
    assert (filled.flag[:, hole] == FillFlag.POLE_HOLE).all()
    assert (filled.values[1][hole] == 80).all()
    # Centre, day 0: 16 ring cells weigh 1/d2: d2 = 4 (4 cells), 5 (8 cells), 8 (4 cells); the
    # row of 20s has one of the first, two of the second and two of the third.
    total, north = 4 / 4 + 8 / 5 + 4 / 8, 1 / 4 + 2 / 5 + 2 / 8
    assert filled.values[0, 2, 2] == pytest.approx((20 * north + 80 * (total - north)) / total)
    assert filled.values[0, 1, 2] < filled.values[0, 3, 2], "nearer to the row of 20s"
    assert np.isnan(kept.values[:, hole]).all(), "the argument is not changed"


def test_pole_hole_without_surroundings_stays_missing():
    stack, hole = hole_case()
    stack[1] = NAN
    ocean = np.ones((5, 5), bool)
    filled = fill_pole_hole(Temporal(one_sided_days=0).fill(stack, ocean), hole)
    assert (filled.flag[1][hole] == FillFlag.NOT_FILLED).all()
    assert np.isnan(filled.values[1]).all()


def test_pole_hole_uses_no_value_of_its_own_pass():
    values = np.full((1, 1, 6), NAN, np.float32)
    values[0, 0, 0], values[0, 0, 5] = 0, 100
    flag = np.where(np.isnan(values), 255, 0).astype(np.uint8)
    hole = np.array([[False, True, True, True, True, False]])
    filled = fill_pole_hole(Filled(values, flag, np.zeros_like(flag), np.zeros_like(flag)), hole)
    expected = [100 * (1 / (5 - x) ** 2) / (1 / x**2 + 1 / (5 - x) ** 2) for x in range(1, 5)]
    np.testing.assert_allclose(filled.values[0, 0, 1:5], expected, atol=1e-4)


def test_wrong_arrays_are_refused():
    with pytest.raises(InputError, match="expected a float32 stack"):
        Temporal().fill(np.zeros((2, 3, 3)), np.ones((3, 3), bool))
    with pytest.raises(InputError, match=r"expected a bool mask of shape \(3, 3\)"):
        Gaussian().fill(np.zeros((2, 3, 3), np.float32), np.ones((3, 4), bool))
    with pytest.raises(InputError, match="unknown method 'magic'; known are increments"):
        method_class("magic")
