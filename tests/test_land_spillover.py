"""The filters of land spill-over against small fields whose result is written out by hand."""

import numpy as np
import pytest

from seaice.daily.land_spillover import find_shore, remove_land_spillover

M = np.nan
LAND = np.zeros((9, 12), bool)
LAND[:, :4] = True  # a straight shore: rings 1, 2 and 3 are the columns 4, 5 and 6
SHORE = find_shore(LAND)


def day(*columns):
    """A field whose columns from the shore on have these values; the land is missing."""
    field = np.full(LAND.shape, M, np.float32)
    field[:, 4:] = 0
    field[:, 4 : 4 + len(columns)] = columns
    return field


def test_rings_are_counted_over_the_diagonal():
    land = np.zeros((7, 7), bool)
    land[0, 0] = True
    assert find_shore(land).ring.tolist() == [
        [0, 1, 2, 3, 4, 4, 4],
        [1, 1, 2, 3, 4, 4, 4],
        [2, 2, 2, 3, 4, 4, 4],
        [3, 3, 3, 3, 4, 4, 4],
        [4, 4, 4, 4, 4, 4, 4],
        [4, 4, 4, 4, 4, 4, 4],
        [4, 4, 4, 4, 4, 4, 4],
    ]


def test_land_pretends_ninety_percent_of_its_share_of_the_window():
    # The window of ring 1 has three of seven columns of land, that of ring 2 two.
    row = SHORE.land_percent[4]
    assert row[4] == pytest.approx(90 * 3 / 7) and row[5] == pytest.approx(90 * 2 / 7)
    assert (row[[0, 3, 6, 11]] == -1).all()
    assert (SHORE.outer_count[4, 3:11] == [7, 7, 7, 7, 7, 7, 7, 0]).all()


def test_ice_before_open_water_is_removed():
    field = day(70, 50, 0, 0)
    filtered, is_removed = remove_land_spillover(field, SHORE)
    assert (filtered[:, 4:6] == 0).all() and is_removed[:, 4:6].all()
    assert not is_removed[:, :4].any() and not is_removed[:, 6:].any()
    assert np.isnan(filtered[:, :4]).all() and filtered.dtype == np.float32
    assert field[0, 4] == 70  # the input is not changed


def test_one_cell_of_ice_or_a_missing_one_in_the_window_keeps_the_ice():
    for value in (1, M):
        field = day(70, 50, 0, 0)
        field[0, 6] = value
        _, is_removed = remove_land_spillover(field, SHORE)
        # Rows 0 to 3 have row 0 in their windows.
        assert is_removed[:, 4].tolist() == [False] * 4 + [True] * 5


def test_ice_that_land_alone_would_pretend_is_removed():
    for columns, expected in (
        ((38, 25, 80, 90), [True, True]),
        ((39, 26, 80, 90), [False, False]),
        ((39, 25, 80, 90), [False, True]),
    ):
        filtered, is_removed = remove_land_spillover(day(*columns), SHORE)
        assert is_removed[4, 4:6].tolist() == expected
        assert (filtered[4, 6:8] == [80, 90]).all()


def test_missing_cells_stay_missing_and_open_water_is_not_called_removed():
    filtered, is_removed = remove_land_spillover(day(M, 0, 0, 0), SHORE)
    assert np.isnan(filtered[:, 4]).all() and not is_removed.any()
    assert not remove_land_spillover(np.full((3, 3), 50.0), find_shore(np.zeros((3, 3), bool)))[1].any()


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((70, 50, 14, 90), [True, True]),
        ((70, 50, 15, 0), [False, False]),
        ((70, 50, M, 0), [False, False]),
        ((70, 0, 14, 0), [True, False]),
    ],
)
def test_improved_filter_carries_ring_three_to_the_shore(columns, expected):
    filtered, is_removed = remove_land_spillover(day(*columns), SHORE, improved=True)
    assert (is_removed[:, 4:6] == expected).all()
    assert (filtered[:, 4] == (0 if expected[0] else columns[0])).all()


def test_improved_filter_averages_the_neighbours_that_have_a_value():
    # One row: ring 3 on both sides of a strait of five cells, 20 and 10 percent.
    land = np.array([[False] * 3 + [True] + [False] * 3])
    shore = find_shore(land)
    assert shore.ring.tolist() == [[3, 2, 1, 0, 1, 2, 3]]
    field = np.array([[20, 50, 50, M, 50, 50, 10]])
    assert remove_land_spillover(field, shore, improved=True)[0].tolist()[0][:3] == [20, 50, 50]
    assert remove_land_spillover(field, shore, improved=True)[0].tolist()[0][4:] == [0, 0, 10]


def test_improved_filter_reaches_a_bay_over_land():
    land = np.ones((9, 9), bool)
    land[4, 4] = False  # a bay of one cell
    land[:, 6:] = False
    field = np.where(land, M, 0.0)
    field[4, 4] = 80
    shore = find_shore(land)
    assert shore.ring[4].tolist() == [0, 0, 0, 0, 1, 0, 1, 2, 3]
    assert remove_land_spillover(field, shore, improved=True)[1][4, 4]
    field[:, 8] = 40
    assert not remove_land_spillover(field, shore, improved=True)[1][4, 4]
    # Without a ring 3 anywhere nothing is known, and nothing is removed.
    land[:, 6:] = True
    assert not remove_land_spillover(field, find_shore(land), improved=True)[1].any()


def test_rows_and_columns_are_treated_alike():
    field, land = np.random.default_rng(3).choice([0, 20, 60, M], (40, 30)), np.zeros((40, 30), bool)
    land[10:20, 12:25] = land[30:, :9] = True
    for improved in (False, True):
        _, is_removed = remove_land_spillover(field, find_shore(land), improved=improved)
        _, turned = remove_land_spillover(field.T[::-1], find_shore(land.T[::-1]), improved=improved)
        assert is_removed.any() and np.array_equal(turned, is_removed.T[::-1])


def test_a_bay_without_open_water_in_its_window_keeps_what_land_cannot_pretend():
    land = np.ones((9, 9), bool)
    land[4, 4] = False
    field = np.where(land, M, 90.0)
    assert not remove_land_spillover(field, find_shore(land))[1].any()
    field[4, 4] = 88  # 48 of 49 cells of land pretend 88.2 percent
    assert remove_land_spillover(field, find_shore(land))[1].tolist() == (~land).tolist()


def test_the_window_is_mirrored_at_the_edge_of_the_grid():
    land = np.zeros((9, 7), bool)
    land[:, 0] = True
    # The window of column 1 holds columns 1, 0, 0, 1, 2, 3 and 4: two of land.
    assert find_shore(land).land_percent[4, 1] == pytest.approx(90 * 2 / 7)
