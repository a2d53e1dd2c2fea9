"""The fill by fitted increments: its parts by hand, its laws, and what is done with its weights."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from days import make_folder
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cube import assert_same_cube, mask_words, words

import consolidate_data
import create_mask
import fill_gaps
from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import FillFlag
from seaice.gapfill import Record
from seaice.gapfill.departure import Departure
from seaice.gapfill.increments import Increments, _neighbourhood, fit
from seaice.gapfill.increments import _kernels as kernels
from seaice.gapfill.increments._patch_kernels import measure_tenths
from seaice.gapfill.increments.weights import (
    PACKAGED,
    IncrementWeights,
    Network,
    describe_weights,
    packaged_weights,
    read_weights,
)
from seaice.gapfill.ocean_cells import OceanCells
from seaice.grids import get_grid
from seaice.runtime import threads
from seaice.simulate import write_day
from seaice.simulate.sst import write_sst
from seaice.sources.bremen.names import DayFile

NAN = np.float32(np.nan)
PLAIN = Increments()
INCREMENTS = [int(flag) for flag in FillFlag if flag.name.startswith(("INCREMENT", "KRIGED"))]


def moving_ice(days: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """An edge and floes that move, with noise, float32 (days, rows, columns)."""
    rng = np.random.default_rng(seed)
    t, y, x = np.mgrid[:days, :rows, :columns]
    field = 60 + 70 * np.sin(x / 5 + t / 6) * np.cos(y / 7 - t / 8)
    return np.clip(field + rng.normal(0, 3, field.shape), 0, 100).astype(np.float32)


def gappy_ice(days: int, rows: int, columns: int, seed: int, share: float) -> np.ndarray:
    """Moving ice with blocks, single cells and some days missing."""
    stack, rng = moving_ice(days, rows, columns, seed), np.random.default_rng(seed)
    stack[rng.random(stack.shape) < share / 3] = NAN
    stack[:, 2:7, 3:9][rng.random(days) < share] = NAN
    stack[rng.random(days) < share / 2] = NAN
    return stack


def some_ocean(rows: int, columns: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, columns)) > 0.15


def distances(patch, level=15.0):
    patch = np.array(patch, np.float32)
    tenths = measure_tenths(patch, np.float32(level))
    return np.where(patch >= level, 1, -1).astype(np.float32) * (tenths * np.float32(0.1))


def test_distances_to_a_contour_by_hand():
    np.testing.assert_array_equal(
        distances([[90, 15, 14, 0, 0]] * 2), [[1.5, 0.5, -0.5, -1.5, -2.5]] * 2
    )
    # Around a corner: a step aside costs one, a step to a diagonal cell 1.4.
    expected = [[0.5, -0.5, -1.5], [-0.5, -1.5, -1.9], [-1.5, -1.9, -2.9]]
    np.testing.assert_allclose(distances([[90, 0, 0], [0, 0, 0], [0, 0, 0]]), expected, rtol=1e-6)
    # There is no contour between land and ice, and none in a field of one value.
    np.testing.assert_array_equal(distances([[80, NAN, 0, 0]]), [[8, -8, -8, -8]])
    np.testing.assert_array_equal(distances([[50] * 3]), [[8] * 3])
    # A cell without a value is crossed.
    np.testing.assert_array_equal(distances([[90, 0, NAN, 0]]), [[0.5, -0.5, -1.5, -2.5]])


class Described:
    """The features of one cell, computed cell by cell as they are defined."""

    def __init__(self, stack, ocean, t, back, forward, beside):
        self.stack, self.ocean, self.t, self.beside = stack, ocean, t, beside
        self.days = back, forward

    def near(self, s, away, y, x):
        if not (0 <= y < self.ocean.shape[0] and 0 <= x < self.ocean.shape[1] and self.ocean[y, x]):
            return None
        for k in range(4):
            for day in (s + away * k, s - away * k):
                # Neither from inside the gap nor from beyond it.
                beyond = self.days[0] <= self.t - day if away < 0 else self.days[1] <= day - self.t
                usable = 0 <= day < len(self.stack) and beyond
                if usable and not np.isnan(self.stack[day, y, x]):
                    return float(self.stack[day, y, x])
        return None

    def around(self, s, away, y, x, width):
        steps = range(-width, width + 1)
        values = [self.near(s, away, y + i, x + j) for i in steps for j in steps]
        return [v for v in values if v is not None]

    def distance(self, s, away, y, x, level):
        patch = [[self.near(s, away, y + i, x + j) for j in range(-8, 9)] for i in range(-8, 9)]
        return distances(np.array(patch, np.float64), level)[8, 8]

    def end(self, side, y, x):
        """The features of one end and its share of the estimate."""
        away, days = (-1, 1)[side], self.days[side]
        s = self.t + away * days
        series = [self.near(s + away * k, away, y, x) for k in range(5)]
        series = [series[0] if v is None else v for v in series]
        means = [np.mean(self.around(s, away, y, x, width)) for width in (1, 2, 4)]
        beyond = [self.around(s + away * k, away, y, x, 1) for k in (1, 2)]
        of_3 = self.around(s, away, y, x, 1)
        weights = [
            (self.beside[days] ** (abs(i) + abs(j)), self.near(s, away, y + i, x + j))
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        ]
        kept = [(w, v) for w, v in weights if v is not None]
        smeared = sum(w * v for w, v in kept) / sum(w for w, _ in kept)
        features = [
            *(series[0], means[0], min(of_3), max(of_3), means[1], means[2]),
            *(series[1], series[2], *(np.mean(b) if b else means[0] for b in beyond)),
            *(np.mean(series[1:]), np.std(series)),
            *(self.distance(s, away, y, x, level) for level in (15, 50, 80)),
        ]
        return features, smeared

    def features(self, y, x):
        ends = {side: self.end(side, y, x) for side in (0, 1) if self.days[side]}
        if len(ends) == 2:
            back, forward = self.days
            estimate = (forward * ends[0][1] + back * ends[1][1]) / (back + forward)
            days = self.days
        else:
            estimate = next(iter(ends.values()))[1]
            days = (sum(self.days),) * 2
        ends = [ends.get(side, next(iter(ends.values())))[0] for side in (0, 1)]
        rows = []
        for k in range(15):
            shift, scale = (estimate if k < 11 else 0), (0.1 if k < 12 else 0.25)
            rows += [scale * (ends[side][k] - shift) for side in (0, 1)]
        near = [(y + i, x + j) for i in range(-8, 9) for j in range(-8, 9)]
        inside = [0 <= q < self.ocean.shape[0] and 0 <= r < self.ocean.shape[1] for q, r in near]
        sea = [0.0 if ok and not self.ocean[at] else 1.0 for ok, at in zip(inside, near, strict=True)]
        land = distances(np.reshape(sea, (17, 17)), 0.5)[8, 8]
        return [*rows, *(d / 2 - 1 for d in days), estimate / 50 - 1, land / 4], estimate


@pytest.mark.parametrize(
    ("back", "forward", "ice_before"),
    [(2, 3, True), (1, 1, True), (3, 0, True), (0, 2, True), (2, 3, False)],
)
def test_features_are_those_of_a_slow_reference(back, forward, ice_before):
    """Means of what is observed, further days, at most three days off, never from inside the gap."""
    rng, t, beside = np.random.default_rng(4), 6, np.linspace(1, 0.2, 10)
    ocean = np.ones((3, 12), bool)
    ocean[0, 4:6] = ocean[2, 9] = False
    stack = moving_ice(13, 3, 12, 5)
    if not ice_before:
        stack[:t] = 0
    stack[rng.random(stack.shape) < 0.35] = NAN
    for end in ([t - back] if back else []) + ([t + forward] if forward else []):
        stack[end, 1, 6] = 40 + end if ice_before or end > t else 0
    cells = OceanCells(ocean)
    expected, estimate = Described(stack, ocean, t, back, forward, beside).features(1, 6)

    def describe(stack):
        values = cells.compress(stack)
        flag = np.where(np.isnan(values), FillFlag.NOT_FILLED, FillFlag.OBSERVED).astype(np.uint8)
        features, estimates = np.empty((kernels.FEATURES, 1), np.float32), np.empty(1, np.float32)
        columns = np.empty(1, np.int64)
        used = kernels.describe_cells(
            values, flag, cells.index, np.arange(13), t, beside, np.array([[1, 6]]),
            np.array([[back], [forward]]), features, estimates, columns, kernels.make_scratch(),
        )  # fmt: skip
        assert used == 1 and columns[0] == 0
        return features[:, 0], estimates[0]

    features, estimates = describe(stack)
    assert estimates == pytest.approx(estimate, abs=1e-3)
    np.testing.assert_allclose(features, expected, atol=2e-4)
    inside = np.arange(t - back + 1 if back else 0, t + forward if forward else 13)
    other = stack.copy()
    other[inside] = 77
    np.testing.assert_array_equal(describe(other)[0], features)


def random_network(seed: int = 0) -> Network:
    rng = np.random.default_rng(seed)
    network = Network.of_sizes(kernels.FEATURES, 7, 5)
    return Network(*(rng.normal(0, 0.4, a.shape).astype(np.float32) for a in network))


MIRROR = [f ^ 1 if f < kernels.PAIRED else f for f in range(kernels.FEATURES)]


def output_of(network, features, is_mirrored=False):
    """The network in NumPy, float64; features (n, FEATURES)."""
    w1, b1, w2, b2, w3, b3 = (np.asarray(a, np.float64) for a in network)

    def activate(x):
        return 0.5 * x * (1 + x / np.sqrt(1 + x * x))

    x = np.asarray(features, np.float64)[:, MIRROR if is_mirrored else slice(None)]
    return activate(activate(x @ w1 + b1) @ w2 + b2) @ w3 + b3[0]


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_network_gives_what_numpy_gives(is_mirrored):
    network = random_network()
    features = np.random.default_rng(1).normal(0, 1, (150, kernels.FEATURES)).astype(np.float32)
    outputs = np.full(150, 2, np.float32)
    kernels.evaluate(network, np.ascontiguousarray(features.T), 150, is_mirrored, outputs)
    np.testing.assert_allclose(outputs - 2, output_of(network, features, is_mirrored), atol=2e-5)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_slopes_are_those_of_finite_differences(is_mirrored):
    network, rng = random_network(3), np.random.default_rng(2)
    features = rng.normal(0, 1, (20, kernels.FEATURES)).astype(np.float32)
    target, batch = rng.normal(0, 1, 20).astype(np.float32), np.array([3, 1, 17, 8])
    edge = np.stack([*rng.normal(0, 1, (2, 20)), rng.integers(0, 2, 20), rng.uniform(0, 2, 20)], axis=1)
    edge = edge.astype(np.float32)
    slopes = Network(*(np.full_like(a, 9) for a in network))
    kernels._differentiate(network, slopes, features, target, edge, batch, is_mirrored)

    def error(network):
        output = output_of(network, features[batch], is_mirrored)
        start, step, side, weight = edge[batch].T.astype(np.float64)
        z = start + step * output
        penalty = weight * ((np.sqrt(1 + z**2) + z) / 2 - side * z)
        return np.mean((output - target[batch]) ** 2 + penalty)

    for part, slope in zip(Network._fields, slopes, strict=True):
        for place in list(np.ndindex(slope.shape))[:: max(1, slope.size // 12)]:
            moved = []
            for step in (-1e-5, 1e-5):
                array = np.array(getattr(network, part), np.float64)
                array[place] += step
                moved.append(error(network._replace(**{part: array})))
            assert slope[place] == pytest.approx((moved[1] - moved[0]) / 2e-5, rel=2e-3, abs=2e-5)


def test_thresholds_keep_the_ice_of_both_ends(monkeypatch):
    """By hand: ice lies where the estimate is above 14 in gaps of 1 + 1 days, above 18 in 9 + 9 days."""
    monkeypatch.setattr(fit, "_CLASS", 50)
    estimate = np.tile(np.arange(0, 30, 0.5, dtype=np.float32), 2)
    code = np.repeat(np.array([11, 99], np.uint8), 60)
    ends = np.where(estimate >= np.where(code == 11, 14, 18), 60, 2)
    features = np.zeros((120, kernels.FEATURES), np.float32)
    features[:, kernels.VALUE] = features[:, kernels.VALUE + 1] = (ends - estimate) / 10
    unused = np.zeros(120, np.float32), code, np.zeros(120, bool)
    samples = fit.Samples(features, estimate, *unused)
    network = Network.of_sizes(kernels.FEATURES, 7, 5)
    thresholds = fit._fit_thresholds(network, samples, True)
    # The variance of a random walk is b f / (b + f): 0.5, 2.5 and 4.5.
    np.testing.assert_allclose(thresholds[[11, 55, 99]], [14, 16, 18], rtol=1e-5)
    # Days without ice tell nothing.
    nothing = replace(samples, features=np.zeros_like(features), estimate=np.zeros_like(estimate))
    assert (fit._fit_thresholds(network, nothing, True) == 15).all()


def test_the_threshold_of_a_gap_is_that_of_both_its_ends():
    stack, ocean = gappy_ice(12, 20, 20, 4, 0.0), np.ones((20, 20), bool)
    stack[4:6] = NAN
    at_15 = np.full(100, 15, np.float32)
    fills = []
    for gaps in ((), (12,), (11, 22, 33)):
        thresholds = at_15.copy()
        thresholds[list(gaps)] = 10
        weights = packaged_weights()
        two_sided = replace(weights.two_sided, thresholds=thresholds)
        fills.append(replace(PLAIN, fitted=replace(weights, two_sided=two_sided)).fill(stack, ocean))
    plain, moved, others = (f.values[4:6] for f in fills)
    is_low = (plain > 10) & (plain < 15)
    # The first day is one day from its end before and two from the next, the second the reverse.
    assert is_low[0].any() and (moved[0][is_low[0]] >= 15).all()
    np.testing.assert_array_equal(moved[1], plain[1])
    np.testing.assert_array_equal(others, plain)


def test_cells_with_neighbours_keep_their_side_of_the_edge():
    stack, ocean = gappy_ice(12, 20, 20, 4, 0.0), np.ones((20, 20), bool)
    stack[5, :, :16] = NAN
    weights = packaged_weights()
    fills = []
    for threshold in (15, 10):
        thresholds = np.full(100, threshold, np.float32)
        two_sided = replace(weights.two_sided, thresholds=thresholds)
        fills.append(replace(PLAIN, fitted=replace(weights, two_sided=two_sided)).fill(stack, ocean))
    plain, moved = (f.values[5] for f in fills)
    is_kriged = fills[0].flag[5] == FillFlag.KRIGED_TWO_SIDED
    is_alone = fills[0].flag[5] == FillFlag.INCREMENT_TWO_SIDED
    np.testing.assert_array_equal(moved[is_kriged], plain[is_kriged])
    assert (moved[is_alone] != plain[is_alone]).any() and is_kriged.any()


@pytest.mark.parametrize(("observed", "predicted"), [((46, 43), 40), ((90, 20), 40), ((43, 47), -60)])
def test_kriging_of_two_neighbours_by_hand(observed, predicted):
    """One cell west and two cells east of the gap; the result stays among their values and the first."""
    index = np.arange(5, dtype=np.int32)[None]
    filled = np.array([0, observed[0], 40, 0, observed[1]], np.float32)
    codes = np.array([255, 0, 1, 255, 0], np.uint8)
    state = np.array([0, 2, 1, 0, 2], np.uint8)
    positions = np.array([-9, 2, 0, -9, 1], np.int32)
    prediction, spread = np.array([40, predicted, predicted], np.float32), np.array([0.5, 2.0, 4.0])
    offsets, correlation = _neighbourhood()
    days = np.array([0, 0, 11, 0, 0], np.uint8)
    kernels.krige(
        0, 1, np.array([[0, 0]]), index, state, positions, prediction, spread, offsets, correlation,
        filled, codes, days,
    )  # fmt: skip
    one, two, three = np.exp(-((np.array([1, 2, 3]) / 3.0) ** 0.6))
    weights = np.linalg.solve([[1, three], [three, 1]], [one, two])
    expected = 40 + 0.5 * weights @ ((np.array(observed) - predicted) / [4.0, 2.0])
    assert filled[2] == pytest.approx(
        np.clip(expected, min(40, *observed), max(40, *observed)), abs=1e-4
    )
    assert codes.tolist() == [255, 0, FillFlag.KRIGED_TWO_SIDED, 255, 0]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 0.9), st.booleans())
def test_laws(seed, share, past_only):
    stack, ocean = gappy_ice(14, 13, 15, seed, share), some_ocean(13, 15, seed)
    method = replace(PLAIN, past_only=past_only)
    filled = method.fill(stack, ocean)
    observed = ocean & ~np.isnan(stack)
    np.testing.assert_array_equal(filled.values[observed], stack[observed])
    assert (filled.flag[observed] == FillFlag.OBSERVED).all()
    assert np.isnan(filled.values[:, ~ocean]).all() and (filled.flag[:, ~ocean] == FillFlag.LAND).all()
    new = filled.values[:, ocean][~observed[:, ocean]]
    assert not ((new < 0) | (new > 100)).any()
    if past_only and share > 0:
        later = stack.copy()
        later[9:] = gappy_ice(14, 13, 15, seed + 1, 0.2)[9:]
        for a, b in zip(filled, method.fill(later, ocean), strict=True):
            np.testing.assert_array_equal(a[:9], b[:9])


def test_both_networks_and_the_kriging_take_part():
    flag = PLAIN.fill(gappy_ice(14, 13, 15, 3, 0.6), some_ocean(13, 15)).flag
    assert set(INCREMENTS) <= set(np.unique(flag).tolist())


def test_bands_in_any_order_and_number_give_the_same(monkeypatch):
    stack, ocean = gappy_ice(9, 140, 70, 2, 0.7), some_ocean(140, 70)
    expected = PLAIN.fill(stack, ocean)

    def backwards(loop, rows, *arguments, multiple=11):
        for i in reversed(range(0, rows, multiple)):
            loop(i, min(rows, i + multiple), *arguments)

    monkeypatch.setattr("seaice.gapfill.increments.each_band", backwards)
    for a, b in zip(expected, PLAIN.fill(stack, ocean), strict=True):
        np.testing.assert_array_equal(a, b)


def test_leaving_out_what_is_far_from_ice_changes_nothing(monkeypatch):
    stack = gappy_ice(24, 60, 50, 3, 0.5)
    is_water = np.zeros((60, 50), bool)  # the ice ends with a block of 8, in rows and in columns
    is_water[40:] = is_water[:, 16:] = True
    stack[:, is_water] = np.where(np.isnan(stack[:, is_water]), NAN, 0)
    stack[10:12] = NAN
    ocean = some_ocean(60, 50)
    expected = PLAIN.fill(stack, ocean)
    assert (expected.flag == FillFlag.TEMPORAL_TWO_SIDED)[:, :, 40:].any()
    monkeypatch.setattr("seaice.gapfill.find_beside", lambda marks: np.ones(1, bool))
    for a, b in zip(expected, PLAIN.fill(stack, ocean), strict=True):
        np.testing.assert_array_equal(a, b)


def test_cells_that_no_network_changes_keep_the_correction_by_neighbours():
    """Ice in the next block, so that the cell is looked at, but none within four cells on both days."""
    stack = np.zeros((3, 16, 32), np.float32)
    stack[:, :, :4] = 80
    stack[1, :, 12:17] = 20
    stack[1, 8, 14] = NAN
    filled, plain = (m.fill(stack, np.ones((16, 32), bool)) for m in (PLAIN, Departure()))
    assert filled.flag[1, 8, 14] == FillFlag.DEPARTURE_TWO_SIDED and filled.values[1, 8, 14] > 15
    for a, b in zip(filled, plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_spread_is_measured_where_neighbours_take_part():
    """A cell alone in its gap lies outside the box that is measured: it must not be read there."""
    index = np.arange(80 * 80, dtype=np.int32).reshape(80, 80)
    values = np.random.default_rng(0).uniform(0, 100, (3, 80 * 80)).astype(np.float32)
    state = np.full(80 * 80, kernels.ALONE_IN_GAP, np.uint8)
    state[index[3, 3]] = kernels.IN_GAP
    spread, cells = np.full(2, -1.0), np.array([[3, 3], [63, 63]])
    memory = np.full(5 * (kernels.TILE + 4) ** 2, np.nan)
    kernels._measure_spread(
        values, np.zeros(values.shape, np.uint8), np.arange(3), 1, 1, index, state, cells, memory, spread
    )
    change = (values[2] - values[0].astype(np.float64)).reshape(80, 80)[1:6, 1:6] ** 2 / 2
    smooth = np.exp(-0.5 * np.arange(-2, 3.0) ** 2)
    expected = np.sqrt(smooth @ change @ smooth / smooth.sum() ** 2 + 0.3)
    np.testing.assert_allclose(spread, [expected, -1.0], rtol=1e-6)


def test_days_further_away_than_the_reach_do_not_matter():
    assert PLAIN.reach == 15
    stack, ocean = gappy_ice(45, 12, 14, 6, 0.8), some_ocean(12, 14)
    whole = PLAIN.fill(stack, ocean, days=slice(20, 24))
    part = PLAIN.fill(stack[5:39], ocean, days=slice(15, 19))
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isin(whole.flag, INCREMENTS).any()


# Fits: a few steps on a few samples are enough to see what is done with the weights.


@pytest.fixture
def quick(monkeypatch):
    for name, value in {
        "_SAMPLES": 6000, "_FEWEST_SAMPLES": 1500, "_TRIAL_EPOCHS": 4, "_EPOCHS": 4, "_FEWEST_STEPS": 60,
    }.items():  # fmt: skip
        monkeypatch.setattr(fit, name, value)


@pytest.fixture
def fits(monkeypatch):
    """Spans of the records that were fitted."""
    spans = []

    def choose(record, packaged, beside):
        spans.append(record.last - record.first + 1)
        return fit.choose_weights(record, packaged, beside)

    monkeypatch.setattr("seaice.gapfill.increments.choose_weights", choose)
    return spans


def make_day(i: int) -> date:
    return date(2024, 1, 1) + timedelta(days=i)


def fitted(stack, ocean=None):
    ocean = np.ones(stack.shape[1:], bool) if ocean is None else ocean
    return PLAIN.fit(Record.of_stack(stack, ocean)).weights_in_use


def origins(weights):
    return [weights.made_of[f"{kind}_sided"]["origin"] for kind in ("two", "one")]


@pytest.mark.slow
def test_a_record_gets_weights_of_its_own(quick):
    stack = gappy_ice(20, 32, 30, 1, 0.3)
    weights = fitted(stack)
    assert origins(weights) == ["record", "record"]
    assert "two-sided fitted to the record, RMSE -" in describe_weights(weights)
    try:
        threads.use_threads(1)
        assert fitted(stack).digest == weights.digest
    finally:
        threads.use_threads(None)
    again = IncrementWeights.of_json(weights.to_json())
    assert again.digest == weights.digest
    for a, b in zip(again.two_sided.network, weights.two_sided.network, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("made", "origin"), [("short", "package"), ("water", "package"), ("ice", "none")]
)
def test_where_nothing_can_be_learned(quick, made, origin):
    """In 14 days, without ice, or where the linear fill is right already."""
    stack = {
        "short": gappy_ice(14, 30, 30, 0, 0.3),
        "water": np.zeros((16, 12, 12), np.float32),
        "ice": np.full((16, 12, 12), 100, np.float32),
    }[made]
    weights = fitted(stack)
    assert origins(weights) == [origin, origin]
    stack[5:7], stack[9, 3:8, 3:8], stack[-1] = NAN, NAN, NAN
    filled = replace(PLAIN, fitted=weights).fill(stack, np.ones(stack.shape[1:], bool))
    assert not np.isnan(filled.values).any()
    if made != "short":
        assert (filled.values == (0 if made == "water" else 100)).all()


@pytest.mark.parametrize(
    ("of_record", "of_package", "origin"),
    [(-1.0, -2.0, "record"), (0.5, -2.0, "package"), (None, None, "package"), (0.5, 0.0, "none")],
)
def test_weights_are_taken_where_they_help(monkeypatch, of_record, of_package, origin):
    packaged = packaged_weights()

    def gain(network, samples, is_two_sided):
        return of_record if network.longest == 5 else of_package

    monkeypatch.setattr(fit, "measure_gain", gain)
    monkeypatch.setattr(fit, "fit_network", lambda *a, **more: replace(packaged.two_sided, longest=5))
    count = 5000
    samples = fit.Samples(
        np.zeros((count, kernels.FEATURES), np.float32),
        *np.zeros((2, count), np.float32),
        np.full(count, 11, np.uint8),
        np.arange(count) > 4000,
    )
    monkeypatch.setattr(
        fit, "sample_record", lambda record, beside: dict.fromkeys((True, False), samples)
    )
    weights = fitted(np.zeros((20, 3, 3), np.float32))
    assert origins(weights) == [origin, origin]
    networks = {"record": 5, "package": packaged.two_sided.longest, "none": None}
    assert (weights.two_sided and weights.two_sided.longest) == networks[origin]
    assert weights.made_of["two_sided"].get("first_day") == (
        "1970-01-01" if origin == "record" else None
    )
    assert ("fitted_to" in weights.made_of["one_sided"]) == (origin == "package")


def test_without_networks_the_fill_is_that_of_departure():
    none = IncrementWeights(
        None, None, {"two_sided": {"origin": "none"}, "one_sided": {"origin": "none"}}
    )
    assert not none.is_fitted.any()
    stack, ocean = gappy_ice(12, 20, 20, 4, 0.6), some_ocean(20, 20)
    for a, b in zip(
        replace(PLAIN, fitted=none).fill(stack, ocean), Departure().fill(stack, ocean), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    assert "two-sided none, as neither the record's" in describe_weights(none)


def test_one_network_alone_fills_its_own_gaps():
    stack, ocean = gappy_ice(12, 20, 20, 4, 0.6), some_ocean(20, 20)
    for side, kept in (("two_sided", "ONE_SIDED"), ("one_sided", "TWO_SIDED")):
        weights = replace(packaged_weights(), **{side: None})
        flag = replace(PLAIN, fitted=weights).fill(stack, ocean).flag
        names = {FillFlag(f).name for f in np.unique(flag)}
        assert f"KRIGED_{kept}" in names
        assert not {n for n in names if n.startswith(("INC", "KRIGED")) and not n.endswith(kept)}


def test_a_fit_reads_no_more_of_a_long_record_than_of_a_few_months():
    reads = []

    def read(day, frame):
        reads.append(day)
        frame[:] = NAN

    record = Record(100, 4099, OceanCells(np.ones((4, 4), bool)), read)
    assert not any(map(len, fit.sample_record(record, PLAIN._smearing()).values()))
    windows = fit.choose_windows(100, 4099)
    assert len(windows) == 8 and windows[0][0][0] == 100 and windows[-1][0][1] <= 4099
    assert len(reads) == len(set(reads)) == sum(b - a + 1 for _, (a, b) in windows) <= 8 * 63


# Weights of a cube.


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Days with a mask; the last of them are not read at first."""
    top = tmp_path_factory.mktemp("case")
    folder = make_folder(top / "in", days=19, absent=(5, 11, 12))
    assert create_mask.main(mask_words(folder, top / "mask.nc")) == 0
    return folder, ["--land_mask_file", str(top / "mask.nc")]


def plain_words(case, output, *more, last=16):
    """Words without weights."""
    folder, masked = case
    return mask_words(folder, output, *masked, *more, last=last)


def weights_of(path: Path) -> IncrementWeights:
    weights = read_weights(path)
    with CubeFile(path) as cube:
        assert cube.parameters["fill_weights"] == weights.digest
    return weights


@pytest.mark.slow
def test_weights_of_a_cube(case, tmp_path, quick, fits, capsys):
    target = tmp_path / "c.nc"
    assert consolidate_data.main(plain_words(case, target)) == 0
    weights = weights_of(target)
    assert fits == [17] and "record" in origins(weights)
    capsys.readouterr()
    assert consolidate_data.main(plain_words(case, target)) == 0
    assert "complete already" in capsys.readouterr().out
    assert fits == [17], "no fit for what is there"

    other = tmp_path / "other.zarr"
    assert consolidate_data.main(plain_words(case, other, "--batch_size", "4", "--force")) == 0
    assert weights_of(other).digest == weights.digest
    (tmp_path / "w.json").write_text(weights.to_json())
    for number, source in enumerate((target, other, tmp_path / "w.json")):
        again = tmp_path / f"again{number}.nc"
        assert consolidate_data.main(plain_words(case, again, "--weights", str(source))) == 0
        assert_same_cube(target, again)
    assert fits == [17, 17]

    assert consolidate_data.main(plain_words(case, target, "--append", last=18)) == 0
    assert fits == [17, 17] and weights_of(target).digest == weights.digest
    assert consolidate_data.main(plain_words(case, again, "--force", last=18)) == 0
    assert fits == [17, 17, 19] and weights_of(again).digest != weights.digest
    assert consolidate_data.main(plain_words(case, again, "--weights", str(PACKAGED), last=18)) == 2
    assert f"fill_weights {weights_of(again).digest} -> " in capsys.readouterr().err


@pytest.mark.slow
def test_changed_inputs_are_fitted_again(case, tmp_path, quick, fits):
    folder = make_folder(tmp_path / "in", days=17, absent=(5,))
    target, changed = tmp_path / "c.nc", (folder, case[1])
    assert consolidate_data.main(plain_words(changed, target)) == 0
    before = weights_of(target)
    folder.fields[6] = np.where(np.isnan(folder.fields[6]), NAN, np.float32(50))
    folder.write(6)
    assert consolidate_data.main(plain_words(changed, target)) == 0
    assert fits == [17, 17] and weights_of(target).digest != before.digest


@pytest.mark.slow
def test_what_looks_ahead_is_not_fitted_with_past_only(case, tmp_path, fits):
    for more in (["--past_only"], ["--weights", str(PACKAGED)], ["--method", "departure"]):
        target = tmp_path / f"{more[0].strip('-')}.nc"
        assert consolidate_data.main(plain_words(case, target, *more)) == 0
    assert fits == []
    assert weights_of(tmp_path / "past_only.nc").digest == packaged_weights().digest
    with xr.open_dataset(tmp_path / "method.nc") as cube:
        assert "fill_weights" not in cube.attrs


@pytest.mark.slow
@pytest.mark.parametrize("days", [10, 16])
def test_the_antarctic(tmp_path, quick, days):
    grid = get_grid("s25000").crop(slice(100, 140), slice(150, 190))
    stack = gappy_ice(days, 40, 40, 3, 0.4)
    stack[:, :5, :6] = NAN
    for i, field in enumerate(stack):
        name = DayFile("AMSR2", "s25000", make_day(i), "5.4", "nc").name
        if not np.isnan(field).all():
            write_day(tmp_path / name, field, grid)
    target = tmp_path / "cube.nc"
    period = ["--start_date", "20240101", "--end_date", str(make_day(days - 1))]
    source = ["--source_dir", str(tmp_path), "--output_file", str(target)]
    assert consolidate_data.main([*period, *source]) == 0
    with CubeFile(target) as cube:
        values, flags = cube.concentration(slice(None)), cube.flags(slice(None))
    assert values[~np.isnan(values)].min() >= 0 and values[~np.isnan(values)].max() <= 1
    assert np.isin(flags, INCREMENTS).any()
    assert ("record" in origins(weights_of(target))) == (days == 16)


# What is no file of weights.


def altered(change) -> str:
    stored = json.loads(PACKAGED.read_text())
    change(stored)
    return json.dumps(stored)


BAD = {
    "html": "<html><body>Login</body></html>",
    "truncated": PACKAGED.read_text()[:3000],
    "empty": "",
    "another": '{"models": {}}',
    "list": "[1, 2]",
    "a number": "7",
    "not of base 64": altered(lambda s: s["two_sided"].update(weights_1="Tof4?")),
    "other sizes": altered(lambda s: s["one_sided"].update(bias_1=s["one_sided"]["bias_2"])),
    "not numbers": altered(lambda s: s["two_sided"].update(bias_3="AADAfw==")),
    "threshold": altered(lambda s: s["two_sided"].update(thresholds=[float("nan")] * 100)),
    "thresholds by length": altered(lambda s: s["two_sided"].update(thresholds=[15.0] * 19)),
    "length": altered(lambda s: s["two_sided"].update(longest=200)),
    "no network": altered(lambda s: s.update(two_sided=3)),
}


@pytest.mark.parametrize("kind", [*BAD, "missing", "folder", "no cube", "a cube without"])
def test_a_file_that_holds_no_weights(case, tmp_path, capsys, kind):
    path = tmp_path / ("w.nc" if "cube" in kind else "w.json")
    if kind in BAD:
        path.write_text(BAD[kind])
    elif kind == "folder":
        path.mkdir()
    elif kind == "no cube":
        path.write_text("nothing")
    elif kind == "a cube without":
        netCDF4.Dataset(path, "w").close()
    target = tmp_path / "c.nc"
    assert consolidate_data.main(plain_words(case, target, "--weights", str(path))) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ") and str(path) in line and len(line) < 300
    assert "fill_gaps.py fit" in line and not target.exists()


def test_damaged_weights_of_a_cube_are_named(case, tmp_path, capsys):
    target = tmp_path / "c.nc"
    folder, masked = case
    assert consolidate_data.main(words(folder, target, *masked, last=3)) == 0
    with netCDF4.Dataset(target, "r+") as dataset:
        dataset.fill_weights = "nothing"
    assert consolidate_data.main(plain_words(case, target, "--append", last=4)) == 1
    assert "the fill_weights of the cube cannot be read" in capsys.readouterr().err


def test_a_field_that_is_no_concentration(tmp_path, capsys):
    sst = write_sst(tmp_path, [make_day(i) for i in range(3)], step=10.0)
    field = ["--input_file", str(sst.l3s), "--mask_file", str(sst.l4)]
    output = ["--output_file", str(tmp_path / "filled.nc")]
    assert fill_gaps.main(["fill", *field, "--method", "increments", *output]) == 1
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: increments fills ice concentration alone; take departure")
    output = ["--output_file", str(tmp_path / "w.json")]
    assert fill_gaps.main(["fit", *field, *output]) == 1
    assert "is not known to be ice concentration" in capsys.readouterr().err
    assert not (tmp_path / "w.json").exists() and not (tmp_path / "filled.nc").exists()


def test_it_is_scored_first_where_the_field_is_concentration(case, tmp_path, monkeypatch):
    labels = []

    def record(field, held_out, methods, **more):
        labels.append(list(methods))
        raise InputError("that is all")

    monkeypatch.setattr("seaice.scoring.stage.score_fills", record)
    sst = write_sst(tmp_path, [make_day(i) for i in range(3)], step=10.0)
    folder, masked = case
    assert consolidate_data.main(words(folder, tmp_path / "c.nc", *masked, last=4)) == 0
    for field in (["--input_file", sst.l3s, "--mask_file", sst.l4], ["--input_file", tmp_path / "c.nc"]):
        score = ["score", *map(str, field), "--gaps", "single_days", "--single_days", "1"]
        assert fill_gaps.main([*score, "--output_dir", str(tmp_path)]) == 1
    others = ["departure", "temporal", "gaussian", "hybrid"]
    assert labels == [others, ["increments", *others]]


@pytest.mark.slow
def test_a_fit_is_written_and_read(case, tmp_path, quick):
    folder, masked = case
    cube, output = tmp_path / "c.nc", tmp_path / "w.json"
    assert consolidate_data.main(words(folder, cube, *masked)) == 0
    assert fill_gaps.main(["fit", "--input_file", str(cube), "--output_file", str(output)]) == 0
    weights = read_weights(output)
    assert "record" in origins(weights)
    assert weights.made_of["two_sided"].get("first_day", "2024-01-01") == "2024-01-01"
    again = tmp_path / "again.nc"
    assert consolidate_data.main(plain_words(case, again, "--weights", str(output))) == 0
    assert weights_of(again).digest == weights.digest


@pytest.mark.slow
def test_a_grid_of_many_cells_gives_no_more_samples_than_a_small_one(monkeypatch):
    """What a fit costs in time and memory does not grow with the grid."""
    from seaice.gapfill.increments import fit

    monkeypatch.setattr(fit, "_SAMPLES", 8_000)
    monkeypatch.setattr(fit, "_GAPS_PER_DAY", 2)
    rng = np.random.default_rng(5)
    rows = columns = 800  # nine regions
    field = np.clip(100 * rng.random((rows, columns)), 1, 99).astype(np.float32)
    stack = np.stack([np.clip(field + rng.normal(0, 3), 1, 99) for _ in range(15)]).astype(np.float32)
    record = Record.of_stack(stack, np.ones((rows, columns), bool))
    for samples in fit.sample_record(record, PLAIN._smearing()).values():
        assert 4_000 < len(samples) < 8_800
