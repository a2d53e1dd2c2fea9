"""Scores of forecasts: truths by hand, identities, the package ``scores``, and intervals that hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.grids.sphere import compute_unit_vectors
from seaice.scoring.forecasts.blocks import (
    BlockBootstrap,
    choose_block_days,
    draw_blocks,
    measure_interval_coverage,
)
from seaice.scoring.forecasts.cell_errors import (
    average_maps,
    compute_cell_errors,
    compute_root_mean_square_error,
    compute_skill,
)
from seaice.scoring.forecasts.edge_geometry import (
    EdgePair,
    compare_fractions,
    find_edge_cells,
    measure_edge_length,
    share_windows,
)
from seaice.scoring.forecasts.ice_edge import (
    compute_binary_accuracy,
    compute_spatial_probability_score,
    ice_edge_error,
)
from seaice.scoring.forecasts.members import (
    ProbabilitySums,
    compare_spread_with_error,
    compute_fair_crps,
    count_ranks,
)

NAN = np.nan


def draw_ice(seed, shape=(40,), members=None):
    """Concentrations with open water, closed ice, missing cells, and true areas."""
    rng = np.random.default_rng(seed)
    ice = np.clip(rng.normal(0.5, 0.6, (*(() if members is None else (members,)), *shape)), 0, 1)
    truth, area = np.clip(rng.normal(0.5, 0.6, shape), 0, 1), rng.uniform(400, 660, shape)
    ice[..., 0], truth[..., 1] = NAN, NAN
    return ice, truth, area


def test_cell_errors_by_hand():
    # Errors 0.2, -0.1 on 1 and 3 km2; the third and fourth cell are missing in one.
    errors = compute_cell_errors(
        np.array([0.7, 0.1, NAN, 0.5]), np.array([0.5, 0.2, 0.5, NAN]), np.array([1.0, 3, 50, 50])
    )
    assert errors == pytest.approx((4, (0.04 + 0.03) / 4, (0.2 + 0.3) / 4, (0.2 - 0.3) / 4))
    nothing = compute_cell_errors(np.array([NAN]), np.array([1.0]), np.ones(1))
    assert nothing.area == 0 and np.isnan(nothing[1:]).all()


def test_squares_are_averaged_before_the_root():
    # Two days of RMSE 3 and 4 are no RMSE of 3.5; the second lead lacks a day.
    by_lead, all_leads = compute_root_mean_square_error(np.array([[9.0, 25.0], [16.0, NAN]]))
    assert by_lead == pytest.approx([np.sqrt(12.5), 5])
    assert all_leads == pytest.approx(np.sqrt((12.5 + 25) / 2))
    weights = np.array([[2, 0], [0, 2]])
    drawn, _ = compute_root_mean_square_error(np.array([[9.0, 25.0], [16.0, NAN]]), weights)
    np.testing.assert_allclose(drawn, [[3, 5], [4, NAN]])


def test_an_average_does_not_count_days_without_a_score():
    assert average_maps(np.array([[1.0, NAN], [3.0, NAN]])).tolist() == pytest.approx(
        [2, NAN], nan_ok=True
    )


def test_skill_has_no_value_without_a_reference():
    skill = compute_skill(np.array([0.0, 1, 0]), np.array([2.0, 0, 0]))
    np.testing.assert_array_equal(skill, [100, NAN, NAN])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 9999))
def test_identities(seed):
    ice, truth, area = draw_ice(seed)
    edge = ice_edge_error(ice, truth, area)
    assert edge.integrated == pytest.approx(edge.absolute_extent + edge.misplacement)
    assert edge.integrated == edge.overestimate + edge.underestimate
    probability = np.where(np.isnan(ice), NAN, ice >= 0.15)
    assert compute_spatial_probability_score(probability, truth, area) == pytest.approx(edge.integrated)
    common = ~np.isnan(ice + truth)
    flat = np.full(area.shape, 5.0)
    wrong = ice_edge_error(ice, truth, flat).integrated / flat[common].sum()
    assert compute_binary_accuracy(ice, truth) == pytest.approx(100 * (1 - wrong))
    np.testing.assert_allclose(compute_fair_crps(ice[np.newaxis], truth), np.abs(ice - truth))
    assert compute_cell_errors(truth, truth, area)[1:] == (0, 0, 0)
    assert ice_edge_error(truth, truth, area).integrated == 0


def test_a_perfect_forecast_has_no_error():
    _, truth, area = draw_ice(0)
    assert compute_binary_accuracy(truth, truth) == 100
    members = np.repeat(truth[np.newaxis], 5, axis=0)
    np.testing.assert_array_equal(compute_fair_crps(members, truth)[2:], 0)
    ice = (np.add.outer(np.arange(9), np.arange(9)) < 7) & True
    cells = np.ones_like(ice)
    points = compute_unit_vectors(*np.meshgrid(np.arange(9.0), np.arange(70.0, 79.0))[::-1], axis=-1)
    edge = find_edge_cells(ice, cells)
    assert edge.sum() == 7
    assert EdgePair(edge, edge, points).average() == (0, 0)
    assert compare_fractions(share_windows(edge), share_windows(edge)).skill == 1


def test_land_holes_and_missing_cells_make_no_edge():
    ice = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1]], bool)
    cells = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 1, 1]], bool)
    # Open water: only (0, 3); (1, 3) is missing and (2, 0) is land.
    edge = find_edge_cells(ice, cells)
    assert np.argwhere(edge).tolist() == [[0, 2]]
    area = np.full(edge.shape, 625.0)
    area[0, 2] = 400
    assert measure_edge_length(edge, area) == 20


def test_edge_distances_are_great_circles():
    # Along the meridian 0: one edge at 70 N, the other at 71 N, with a patch of it at 80 N.
    longitude, latitude = np.zeros((1, 3)), np.array([[70.0, 71, 80]])
    points = compute_unit_vectors(latitude, longitude, axis=-1)
    first, second = (np.array([cells], bool) for cells in ((1, 0, 0), (0, 1, 1)))
    pair = EdgePair(first, second, points)
    distances = pair.average()
    degree = 6371 * np.pi / 180
    assert distances == pytest.approx((degree, 5.5 * degree))
    assert distances.average == pytest.approx(3.25 * degree)
    assert distances.modified_hausdorff == pytest.approx(5.5 * degree)
    # Of a region the nearest cell may lie outside.
    inside = pair.average(np.array([[False, True, False]]))
    assert np.isnan(inside.from_forecast) and inside.from_reference == pytest.approx(degree)
    nothing = EdgePair(first, np.zeros((1, 3), bool), points).average()
    assert np.isnan(nothing).all() and np.isnan(nothing.average)


def test_fractions_in_windows_by_hand():
    # Windows of three cells in one row of five: events at 1 and at 2 share two of four windows.
    first, second = (np.arange(5) == k for k in (1, 2))
    score = compare_fractions(*(share_windows(event[np.newaxis], 3) for event in (first, second)))
    assert score.difference == pytest.approx(2 / 81) and score.total == pytest.approx(6 / 81)
    assert score.skill == pytest.approx(2 / 3)
    assert np.isnan(compare_fractions(np.zeros(5), np.zeros(5)).skill)


def test_crps_by_hand():
    # |x - y|: 0.1, 0.3; the pair differs by 0.4: 0.2 - 0.4 / 2.
    assert compute_fair_crps(np.array([0.2, 0.6]), np.array(0.3)) == pytest.approx(0)
    assert compute_fair_crps(np.array([0.5, 0.6, 0.8]), np.array(0.0)) == pytest.approx(
        1.9 / 3 - (0.1 + 0.2 + 0.3) / 6
    )


def test_spread_equals_error_of_a_reliable_ensemble():
    rng = np.random.default_rng(1)
    centre, width = rng.normal(size=20_000), rng.uniform(0.1, 2, 20_000)
    members = centre + width * rng.normal(size=(5, 20_000))
    truth = centre + width * rng.normal(size=20_000)
    result = compare_spread_with_error(members, truth, np.ones(20_000), bins=5)
    # The error of the mean has m + 1 parts of m: with the plain variance it would be 10 percent larger.
    assert np.sqrt(np.mean(result.error**2)) == pytest.approx(
        np.sqrt(np.mean(result.spread**2)), rel=0.02
    )
    assert (np.diff(result.error) > 0).all()


def test_ranks_are_level_with_ties_and_leave_cells_without_a_choice_out():
    rng = np.random.default_rng(2)
    values = np.clip(rng.normal(0.1, 0.5, (5, 60_000)), 0, 1)  # 42 percent of all values are 0
    ranks = count_ranks(values[:4], values[4], generator=np.random.default_rng(0))
    assert ranks.size == 5 and ranks.sum() == 60_000 - (values.max(axis=0) == 0).sum()
    assert np.abs(ranks / ranks.sum() - 0.2).max() < 0.01
    by_hand = count_ranks(
        np.array([[0.0, 0.1, NAN], [0.0, 0.2, 0.0]]), np.array([0.0, 0.15, 0.3]),
        generator=np.random.default_rng(0),
    )  # fmt: skip
    assert by_hand.tolist() == [0, 1, 0]


def test_brier_score_by_hand():
    # Probability 0 on 6 km2 (ice on 1), 0.5 on 2 (ice on 1), 1 on 2 (ice on 2).
    sums = ProbabilitySums(2)
    sums.add(np.array([0, 0, 0.5]), np.array([True, False, True]), np.array([1.0, 5, 1]))
    sums.add(np.array([0.5, 1.0]), np.array([False, True]), np.array([1.0, 2]))
    brier = sums.compute_brier_score()
    assert brier.score == pytest.approx((1 + 0.25 * 2) / 10)
    assert brier.frequency.tolist() == pytest.approx([1 / 6, 0.5, 1])
    assert brier.share.tolist() == [0.6, 0.2, 0.2]
    assert brier.reliability == pytest.approx(0.6 / 36)
    assert brier.uncertainty == pytest.approx(0.24)
    assert brier.score == pytest.approx(brier.reliability - brier.resolution + brier.uncertainty)
    assert np.isnan(ProbabilitySums(3).compute_brier_score().score)


# --- the package scores -----------------------------------------------------------------


@pytest.fixture(scope="module")
def arrays():
    pytest.importorskip("scores")
    import xarray

    def label(values, *dims):
        return xarray.DataArray(values, dims=dims)

    return label


def test_errors_agree_with_scores(arrays):
    from scores import continuous

    ice, truth, area = draw_ice(3, (6, 30))
    errors = [compute_cell_errors(*day) for day in zip(ice, truth, area, strict=True)]
    labelled = [arrays(values, "day", "cell") for values in (ice, truth)]
    for function, name in ((continuous.mse, "square"), (continuous.mae, "absolute")):
        expected = function(*labelled, preserve_dims="day", weights=arrays(area, "day", "cell"))
        np.testing.assert_allclose([getattr(e, name) for e in errors], expected, rtol=1e-8)
    expected = continuous.additive_bias(
        *labelled, preserve_dims="day", weights=arrays(area, "day", "cell")
    )
    np.testing.assert_allclose([e.signed for e in errors], expected, atol=1e-8)
    pooled, _ = compute_root_mean_square_error(np.array([[e.square] for e in errors]))
    even = np.ones((6, 30))
    by_day = [compute_cell_errors(*day) for day in zip(ice, truth, even, strict=True)]
    assert compute_root_mean_square_error(np.array([[e.square] for e in by_day]))[0] == pytest.approx(
        float(continuous.rmse(*labelled)), rel=1e-8
    )
    assert pooled != pytest.approx(float(continuous.rmse(*labelled)), rel=1e-4)


def test_crps_agrees_with_scores(arrays):
    from scores.probability import crps_for_ensemble

    members, truth, _ = draw_ice(4, members=7)
    expected = crps_for_ensemble(
        arrays(members, "member", "cell"), arrays(truth, "cell"), "member", method="fair",
        preserve_dims="cell",
    )  # fmt: skip
    np.testing.assert_allclose(compute_fair_crps(members, truth), expected, atol=1e-8)


def test_brier_score_agrees_with_scores(arrays):
    from scores.probability import brier_score

    members, truth, area = draw_ice(5, members=4)
    members, truth, area = members[:, 2:], truth[2:], area[2:]
    probability, event = (members >= 0.15).mean(axis=0), truth >= 0.15
    sums = ProbabilitySums(4)
    sums.add(probability, event, area)
    expected = brier_score(
        arrays(probability, "cell"), arrays(event.astype(float), "cell"), weights=arrays(area, "cell")
    )
    assert sums.compute_brier_score().score == pytest.approx(float(expected), rel=1e-8)
    spatial = compute_spatial_probability_score(probability, truth, area)
    assert spatial == pytest.approx(float(expected) * area.sum(), rel=1e-8)


def test_ranks_agree_with_scores(arrays):
    from scores.probability import rank_histogram

    rng = np.random.default_rng(6)
    members, truth = rng.random((5, 3000)), rng.beta(2, 2, 3000)
    ranks = count_ranks(members, truth, generator=rng)
    expected = rank_histogram(arrays(members, "member", "cell"), arrays(truth, "cell"), "member")
    np.testing.assert_allclose(ranks / ranks.sum(), expected, atol=1e-8)


def test_fractions_agree_with_scores():
    pytest.importorskip("scores")
    from scores.spatial import fss_2d_single_field

    rng = np.random.default_rng(7)
    first, second = rng.random((2, 20, 30))
    for window in (3, 5):
        inside = slice(window // 2, -(window // 2))
        shares = (share_windows(field > 0.8, window)[inside, inside] for field in (first, second))
        score = compare_fractions(*shares)
        expected = fss_2d_single_field(first, second, event_threshold=0.8, window_size=(window, window))
        assert score.skill == pytest.approx(float(expected), abs=1e-8)


# --- intervals --------------------------------------------------------------------------


def test_blocks_are_circular_and_keep_neighbours_together():
    drawn = draw_blocks(7, 3, samples=200, seed=0)
    assert drawn.shape == (200, 7)
    steps = np.diff(drawn, axis=1) % 7
    assert (steps[:, [0, 1, 3, 4]] == 1).all()
    assert set(drawn[:, 0]) == set(range(7))  # a block may start on any day
    with pytest.raises(InputError, match="blocks and samples of at least 1, found 0"):
        draw_blocks(7, 0, samples=1, seed=0)


def test_block_days_cover_the_lead():
    assert [choose_block_days(lead) for lead in (1, 10, 14)] == [10, 10, 14]


def test_too_few_days_give_no_interval_or_say_so():
    squares = np.random.default_rng(0).random(40)

    def mean(weights):
        return weights @ squares[: weights.shape[-1]] / weights.sum(axis=-1)

    for days, has_interval, is_short in (
        (19, False, True),
        (20, True, True),
        (39, True, True),
        (40, True, False),
    ):
        bootstrap = BlockBootstrap(days, 10)
        estimate = bootstrap.estimate(mean)
        assert estimate.value == pytest.approx(squares[:days].mean())
        assert np.isfinite(estimate.low) == np.isfinite(estimate.high) == has_interval
        assert bootstrap.is_short == is_short


def test_pairs_are_drawn_together():
    # The forecast is always a tenth better: its skill is certain however much the days differ.
    reference = np.random.default_rng(1).lognormal(size=50)
    estimate = BlockBootstrap(50, 10).estimate(
        lambda weights: compute_skill(weights @ (0.9 * reference), weights @ reference)
    )
    assert estimate == pytest.approx((10, 10, 10), abs=1e-3)


def test_intervals_hold_a_known_skill():
    days = {"days": 1500, "correlation": 0.6, "series": 400}
    assert 91 <= measure_interval_coverage(block_days=30, **days) <= 98
    assert measure_interval_coverage(block_days=1, **days) < 75
