"""Measures, intervals and spectra: small truths by hand, and slow references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.ice_index.stage import extent_and_area
from seaice.scoring.forecasts.ice_edge import ice_edge_error
from seaice.scoring.measures import (
    Coverage,
    HeldOutCells,
    Measures,
    compute_cell_areas,
    measure,
    measure_coverage,
)
from seaice.scoring.paired import compare_paired
from seaice.scoring.spectra import compute_radial_spectrum, make_taper

NAN = np.nan


def test_the_ice_edge_on_three_by_three_cells():
    # fill      truth      cells of 1, 2, 4, ... 256 km2
    # 0 20 90   0  0 95    over: cell 1 (2 km2) and cell 6 (64)
    # 0 10 80   0 20 80    under: cell 4 (16)
    # 15 0 14   14 0 14
    fill = np.array([0, 20, 90, 0, 10, 80, 15, 0, 14], float)
    truth = np.array([0, 0, 95, 0, 20, 80, 14, 0, 14], float)
    area = 2.0 ** np.arange(9)
    made = measure(fill, HeldOutCells(truth, np.zeros(9, int), area, 100.0))
    assert (made.overestimate, made.underestimate, made.ice_edge_error) == (66, 16, 82)
    assert (made.extent_error, made.extent_error_absolute) == (50, 50)
    assert made.edge_disagreement == 3 / 9
    # Ice in ice-covered cells: 0.2*2 + 0.9*4 + 0.8*32 + 0.15*64 less 0.95*4 + 0.2*16 + 0.8*32
    assert made.area_error == pytest.approx(39.2 - 32.6)
    # Errors 20, -5, -10, 1; marginal (15 to 80): cells 4 and 5; between (5 and 95): 4, 5, 6 and 8
    assert made.rmse == pytest.approx(np.sqrt((400 + 25 + 100 + 1) / 9))
    assert made.mae == 4 and made.bias == pytest.approx(6 / 9)
    assert made.rmse_marginal == pytest.approx(np.sqrt(100 / 2))
    assert made.rmse_between == pytest.approx(np.sqrt(101 / 4))


def test_areas_are_means_over_the_days():
    # Day 3: over 1 km2. Day 7: under 1 km2. The signed extent cancels, its magnitude does not.
    cells = HeldOutCells(np.array([0.0, 1.0]), np.array([3, 7]), np.ones(2), 1.0)
    made = measure(np.array([1.0, 0.0]), cells)
    assert (made.ice_edge_error, made.extent_error, made.extent_error_absolute) == (1, 0, 1)


def test_percent_and_fraction_give_the_same_measures():
    rng = np.random.default_rng(0)
    truth, fill = rng.random((2, 500))
    cells = (np.zeros(500, int), np.ones(500))
    one = measure(fill, HeldOutCells(truth, *cells, 1.0))
    hundred = measure(100 * fill, HeldOutCells(100 * truth, *cells, 100.0))
    assert hundred.rmse_marginal == pytest.approx(100 * one.rmse_marginal)
    assert hundred.area_error == pytest.approx(one.area_error)
    assert hundred.edge_disagreement == one.edge_disagreement


def test_a_stored_15_percent_is_ice():
    # 0.15 as float32 lies below 0.15.
    made = measure(
        np.array([0.15], np.float32), HeldOutCells(np.array([0.2]), np.zeros(1, int), np.ones(1), 1.0)
    )
    assert made.edge_disagreement == 0


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0, 1))
def test_the_areas_are_those_of_ice_index(seed, share):
    rng = np.random.default_rng(seed)
    truth, fill, area = rng.random((3, 40))
    truth[::3], fill[1::3] = 0, 1
    fill[rng.random(40) < share] = NAN
    made = measure(fill, HeldOutCells(truth, np.zeros(40, int), area, 1.0))
    edge = ice_edge_error(fill, truth, area)
    assert made.ice_edge_error == pytest.approx(edge.integrated, nan_ok=True)
    assert made.extent_error == pytest.approx(edge.extent_difference, nan_ok=True)
    known = np.isfinite(fill)
    both = [extent_and_area(values[known], area[known]) for values in (fill, truth)]
    assert made.area_error == pytest.approx(float(both[0].area[0] - both[1].area[0]), nan_ok=True)


def test_unfilled_cells_are_counted_and_left_out():
    made = measure(
        np.array([NAN, 3.0, NAN, 5.0]), HeldOutCells(np.array([0.0, 2.0, 9.0, 4.0]), np.arange(4))
    )
    assert (made.held_out, made.filled, made.unfilled_share) == (4, 2, 0.5)
    assert (made.rmse, made.mae, made.bias, made.correlation) == (1, 1, 1, pytest.approx(1))
    # No concentration: nothing about ice.
    assert all(np.isnan(getattr(made, name)) for name in Measures.names()[7:])


def test_nothing_filled_is_nan_and_never_0():
    made = measure(np.full(3, NAN), HeldOutCells(np.zeros(3), np.zeros(3, int), np.ones(3), 1.0))
    assert made.unfilled_share == 1
    assert all(np.isnan(getattr(made, name)) for name in Measures.names()[3:])


def test_correlation_of_a_constant_is_nan():
    assert np.isnan(measure(np.ones(3), HeldOutCells(np.arange(3.0), np.zeros(3, int))).correlation)


def test_coverage_by_hand():
    truth = np.array([50.0, 50, 50, 50, 0])
    fill = np.array([51.0, 53, 56, NAN, 1])
    expected = np.full(5, 2.0)
    # Errors 1, 3, 6 against 2: one within one, two within two; the last is open water.
    assert measure_coverage(
        fill, expected, HeldOutCells(truth, np.zeros(5, int), None, 100.0)
    ) == Coverage(3, 1 / 3, 2 / 3)
    assert measure_coverage(fill, expected, HeldOutCells(truth, np.zeros(5, int))) == Coverage(
        4, 2 / 4, 3 / 4
    )
    assert measure_coverage(fill, None, HeldOutCells(truth, np.zeros(5, int))).cells == 0


@settings(max_examples=20, deadline=None)
@given(north=st.booleans(), rows=st.integers(2, 9), columns=st.integers(2, 9))
def test_cell_areas_of_the_globe_sum_to_its_surface(north, rows, columns):
    latitude = (np.arange(rows) + 0.5) * 180 / rows - 90
    longitude = (np.arange(columns) + 0.5) * 360 / columns
    latitude = latitude if north else latitude[::-1]
    areas = compute_cell_areas(*np.meshgrid(latitude, longitude, indexing="ij"))
    if columns > 2:  # of two columns half a turn apart the sign is anyone's guess
        assert areas.sum() == pytest.approx(4 * np.pi * 6371**2)
    assert areas.shape == (rows, columns)


def test_cell_areas_are_not_guessed_where_the_grid_is_no_regular_one():
    latitude, longitude = np.meshgrid([1.0, 2, 3], [4.0, 5], indexing="ij")
    assert compute_cell_areas(latitude + 0.1 * longitude, longitude) is None
    assert compute_cell_areas(latitude[:1], longitude[:1]) is None


def test_paired_difference_by_hand():
    # Day 0: errors 3 and 0; day 1: 1 and 2, of one cell more that only one of them fills.
    one, other = np.array([3.0, 1, NAN]), np.array([0.0, 2, 7])
    made = compare_paired(one, other, np.array([0, 1, 1]))
    assert made.difference == pytest.approx(np.sqrt(10 / 2) - np.sqrt(4 / 2))
    assert (made.days, made.cells) == (2, 2)
    assert np.isnan([made.low, made.high]).all() and not made.decided
    assert compare_paired(one, other, np.array([0, 1, 1]), measure="mae").difference == 2 - 1
    assert np.isnan(compare_paired(one * NAN, other, np.zeros(3)).difference)


def test_the_interval_holds_the_truth_nearly_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = {1: 0, 7: 0}
    for trial in range(100):
        # Runs of 5 days share an error; the true difference of the mean errors is 0.
        a, b = (np.repeat(rng.exponential(size=24), 5) for _ in range(2))
        for block in inside:
            made = compare_paired(
                a, b, np.arange(120), measure="mae", block_days=block, samples=300, seed=trial
            )
            inside[block] += made.low <= 0 <= made.high
    assert inside[7] >= 80 > 70 > inside[1]


def test_longer_blocks_see_that_neighbouring_days_go_together():
    rng = np.random.default_rng(1)
    a, b = (np.repeat(rng.exponential(size=24), 5) for _ in range(2))
    widths = []
    for block in (1, 5):
        made = compare_paired(a, b, np.arange(120), measure="mae", block_days=block)
        widths.append(made.high - made.low)
    assert widths[1] > 1.5 * widths[0]


def test_paired_difference_is_the_same_for_the_same_seed():
    errors = np.random.default_rng(0).normal(size=(2, 60))
    made = [compare_paired(*errors, np.arange(60), seed=s) for s in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    with pytest.raises(InputError, match="rmse or mae"):
        compare_paired(*errors, np.arange(60), measure="r2")


@pytest.mark.parametrize("known", ["all", "half", "disc"])
def test_white_noise_has_the_same_power_whatever_is_known(known):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(128, 128)) * 3
    y, x = np.mgrid[:128, :128]
    mask = {"all": y >= 0, "half": x < 64, "disc": np.hypot(y - 64, x - 64) < 40}[known]
    made = compute_radial_spectrum(np.where(mask, noise, NAN), make_taper(mask), 2.0, 2.0, rings=6)
    # 3 squared times 4 km2; the widest rings hold thousands of modes.
    assert made.power[-3:] == pytest.approx(36, rel=0.15)


def test_a_wave_stands_at_its_length():
    x = np.arange(100) * 5.0
    wave = np.tile(np.cos(2 * np.pi * x / 50), (80, 1))
    made = compute_radial_spectrum(wave, np.ones_like(wave), 5.0, 5.0)
    assert 1 / made.wavenumber[np.argmax(made.power)] == pytest.approx(50, rel=0.08)


def test_no_spectrum_of_nothing():
    with pytest.raises(InputError, match="no cell is known"):
        compute_radial_spectrum(np.full((4, 4), NAN), np.ones((4, 4)), 1, 1)


def test_the_taper_falls_to_the_edges():
    window = make_taper(np.ones((1, 11), bool), width=1)
    assert window.shape == (1, 11)
    wide = make_taper(np.ones((21, 21), bool), width=4)
    assert wide[10, 10] == 1 and wide[0, 10] == pytest.approx(np.sin(np.pi / 10) ** 2)
