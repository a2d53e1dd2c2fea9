"""Scores against small truths, slow references and, where installed, torchmetrics."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.evaluation.metrics import (
    EdgeDistances,
    average_over_batches,
    compute_edge_kilometres,
    compute_intervals,
    compute_r2,
    compute_r2_arrays,
    compute_score_arrays,
    compute_scores,
    compute_seed_interval,
    count_confusion,
    find_edge_pixels,
    measure_edge_distances,
    merge_classes,
    pool_by_key,
    round_for_json,
)

# Small label maps by seed: drawing every cell by hypothesis takes seconds.
LABELS = st.builds(
    lambda rows, cells, seed: np.random.default_rng(seed).choice(
        np.array([0, 1, 255], np.uint8), (rows, cells)
    ),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 999),
)
TABLES = arrays(np.int64, (5, 2, 2), elements=st.integers(0, 50))


def test_scores_by_hand():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 255], np.uint8)
    made = np.array([0, 0, 0, 1, 1, 1, 0, 0])
    counts = count_confusion(truth, made)
    assert counts.tolist() == [[3, 1], [1, 2]]
    found = compute_scores(counts)
    assert found["iou_water"] == 3 / 5 and found["iou_ice"] == 2 / 4
    assert found["iou_mean"] == pytest.approx(0.55) and found["accuracy"] == 5 / 7
    assert found["f1_water"] == 6 / 8 and found["f1_ice"] == 4 / 6


@settings(deadline=None, max_examples=50)
@given(LABELS, st.integers(0, 2**32 - 1))
def test_confusion_equals_the_loop(truth, seed):
    made = np.random.default_rng(seed).integers(0, 2, truth.shape)
    wanted = np.zeros((2, 2), int)
    for real, predicted in zip(truth.ravel(), made.ravel(), strict=True):
        if real != 255:
            wanted[real, predicted] += 1
    np.testing.assert_array_equal(count_confusion(truth, made), wanted)
    both, real, predicted = (wanted[1, 1], wanted[1].sum(), wanted[:, 1].sum())
    union = real + predicted - both
    assert compute_scores(wanted)["iou_ice"] == pytest.approx(
        both / union if union else np.nan, nan_ok=True
    )


def test_class_that_is_nowhere_has_no_score():
    found = compute_scores(np.array([[5, 0], [0, 0]]))
    assert math.isnan(found["iou_ice"]) and found["iou_mean"] == 1
    assert all(math.isnan(value) for value in compute_scores(np.zeros((2, 2), int)).values())


def test_pooled_score_does_not_depend_on_batches_and_the_old_one_does():
    # A false ice pixel in a batch without ice makes that batch 0, whatever its size.
    tables = np.array([[[99, 1], [0, 0]], [[0, 0], [0, 100]], [[50, 0], [0, 50]], [[50, 0], [0, 50]]])
    assert compute_scores(tables.sum(0))["iou_ice"] == 200 / 201
    old = average_over_batches(tables, 1)
    assert old["iou_ice"] == pytest.approx((0 + 1 + 1 + 1) / 4)
    assert old["iou_water"] == pytest.approx((0.99 + 1 + 1) / 3)  # empty union left out
    assert old["iou_mean"] == pytest.approx((old["iou_ice"] + old["iou_water"]) / 2)
    assert average_over_batches(tables, 2)["iou_ice"] == pytest.approx((100 / 101 + 1) / 2)
    assert average_over_batches(tables, 3)["iou_ice"] == pytest.approx((150 / 151 + 1) / 2)


def test_scores_equal_those_of_torchmetrics():
    reason = "torchmetrics is not installed"
    classification = pytest.importorskip("torchmetrics.functional.classification", reason=reason)
    import torch

    rng = np.random.default_rng(0)
    truth = rng.choice(np.array([0, 1, 255], np.uint8), (50, 40), p=[0.5, 0.4, 0.1])
    made = rng.integers(0, 2, truth.shape)
    found = compute_scores(count_confusion(truth, made))
    pair = torch.from_numpy(made), torch.from_numpy(truth.astype(np.int64))
    options = {"num_classes": 2, "ignore_index": 255}
    iou = classification.multiclass_jaccard_index(*pair, average="none", **options)
    f1 = classification.multiclass_f1_score(*pair, average="none", **options)
    accuracy = classification.multiclass_accuracy(*pair, average="micro", **options)
    assert [found["iou_water"], found["iou_ice"]] == pytest.approx(iou.tolist(), abs=1e-6)
    assert [found["f1_water"], found["f1_ice"]] == pytest.approx(f1.tolist(), abs=1e-6)
    assert found["accuracy"] == pytest.approx(float(accuracy), abs=1e-6)


@pytest.mark.parametrize("threshold", [0.1, 0.15, 0.2, 1.0])
def test_concentration_counts_become_water_and_ice(threshold):
    rule = LabelRule(threshold)
    rng = np.random.default_rng(1)
    truth, made = (rng.integers(0, 11, 3000).astype(np.uint8) for _ in range(2))
    wanted = count_confusion(rule.label(truth), rule.label(made))
    np.testing.assert_array_equal(merge_classes(count_confusion(truth, made, 11), rule), wanted)


@pytest.mark.slow
@settings(deadline=None, max_examples=50)
@given(st.integers(0, 1000))
def test_r2_equals_its_definition(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 11, 60).astype(np.uint8)
    made = np.clip(truth + rng.integers(-3, 4, 60), 0, 10)
    counts = count_confusion(truth, made, 11)
    real = truth.astype(float)
    wanted = 1 - ((real - made) ** 2).sum() / ((real - real.mean()) ** 2).sum()
    assert compute_r2(counts) == pytest.approx(wanted, abs=1e-12)
    assert compute_r2_arrays(counts[None])[0] == pytest.approx(wanted, abs=1e-12)


def test_r2_of_billions_of_pixels_is_exact():
    table = np.zeros((11, 11), np.int64)
    table[0, 0], table[10, 10], table[10, 9] = 4 * 10**9, 4 * 10**9, 1
    assert 0 < 1 - compute_r2(table) < 1e-11
    assert math.isnan(compute_r2(np.diag([7, *[0] * 10])))


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_arrays_of_tables_equal_single_ones(tables):
    made = compute_score_arrays(tables)
    for k, table in enumerate(tables):
        for name, value in compute_scores(table).items():
            np.testing.assert_equal(made[name][k], value)


def test_bootstrap_draws_scenes():
    good, bad = np.array([[90, 0], [0, 90]]), np.array([[0, 90], [90, 0]])
    found = compute_intervals(np.stack([good, good, bad, good]), repeats=2000)["accuracy"]
    assert found.value == 0.75 and found.low == 0.25 and found.high == 1
    # 12 scenes: binomial with p = 0.75, its quantiles of 2.5 and 97.5 percent are 6 and 12 of 12.
    many = compute_intervals(np.stack([good, good, bad, good] * 3), repeats=4000)["accuracy"]
    assert many.low == pytest.approx(6 / 12, abs=0.09) and many.high <= 1
    alone = compute_intervals(good[None])["accuracy"]
    assert alone.value == 1 and math.isnan(alone.low) and math.isnan(alone.high)
    again = compute_intervals(np.stack([good, bad, bad]), seed=4)
    assert again == compute_intervals(np.stack([good, bad, bad]), seed=4)


def test_interval_over_seeds_is_students():
    found = compute_seed_interval([0.80, 0.82, 0.84])
    assert found.value == pytest.approx(0.82)
    assert found.high - found.value == pytest.approx(4.302653 * 0.02 / math.sqrt(3), rel=1e-6)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert math.isnan(compute_seed_interval([0.5]).low)


def columns(edge: int, size: int = 12) -> np.ndarray:
    return np.tile((np.arange(size) >= edge).astype(np.uint8), (size, 1))


def test_edge_distance_of_shifted_edges():
    found = measure_edge_distances(columns(5), columns(8))
    assert found == EdgeDistances(36.0, 12, 36.0, 12, compared=1, one_sided=0)
    assert compute_edge_kilometres(np.array([found]))["ice_edge_km"][0] == pytest.approx(3 * 0.08)
    assert measure_edge_distances(columns(5), columns(5)).to_truth == 0


def test_edge_distance_is_symmetric():
    truth = columns(5)
    made = truth.copy()
    made[4:6, 1] = 1  # false ice far out
    one = compute_edge_kilometres(np.array([measure_edge_distances(truth, made)]))["ice_edge_km"][0]
    other = compute_edge_kilometres(np.array([measure_edge_distances(made, truth)]))["ice_edge_km"][0]
    assert one == pytest.approx(other)
    assert one == pytest.approx(0.08 * (8 / 14 + 0) / 2)


def test_patch_with_one_edge_is_counted_apart():
    assert measure_edge_distances(columns(5), columns(0)) == EdgeDistances(one_sided=1)
    assert measure_edge_distances(columns(0), columns(0)) == EdgeDistances()
    assert math.isnan(compute_edge_kilometres(np.array([EdgeDistances(one_sided=1)]))["ice_edge_km"][0])


def test_what_is_ignored_makes_no_edge():
    truth = columns(6)
    truth[:, 4:6] = 255
    assert not find_edge_pixels(truth).any()
    # The prediction is not looked at there either.
    assert measure_edge_distances(truth, columns(5)) == EdgeDistances()


@settings(deadline=None, max_examples=50)
@given(LABELS)
def test_edges_equal_the_loop(labels):
    made = find_edge_pixels(labels)
    rows, cells = labels.shape
    for i in range(rows):
        for j in range(cells):
            around = [(i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)]
            beside = [labels[a, b] for a, b in around if 0 <= a < rows and 0 <= b < cells]
            assert made[i, j] == (labels[i, j] == 1 and 0 in beside)


def test_sums_by_scene():
    tables = np.arange(12).reshape(3, 2, 2)
    found = pool_by_key(tables, ["b", "a", "b"])
    assert list(found) == ["a", "b"]
    np.testing.assert_array_equal(found["b"], tables[0] + tables[2])
    assert round_for_json(math.nan) is None and round_for_json(1 / 3) == 0.333333
