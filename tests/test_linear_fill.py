"""Linear interpolation along axes against hand-written truths and a plain reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.flags import FillFlag
from seaice.gapfill.field import GappyField
from seaice.gapfill.field.linear import Linear
from seaice.gapfill.methods import fill_maps

N = np.nan


def field(values, sea=None, **more) -> GappyField:
    values = np.asarray(values, more.pop("dtype", np.float64))
    values = values.reshape((1,) * (3 - values.ndim) + values.shape)
    sea = np.ones(values.shape[1:], bool) if sea is None else np.asarray(sea, bool)
    days = more.pop("days", np.arange(len(values), dtype=float))
    return GappyField(values, sea.reshape(values.shape[1:]), days, **more)


def test_a_row_is_filled_between_its_ends_only():
    made = Linear(axis="x").fill(field([[N, 1, N, N, 4, N]]))
    np.testing.assert_allclose(made.values[0, 0], [N, 1, 2, 3, 4, N])
    assert made.flag[0, 0].tolist() == [255, 0, 5, 5, 0, 255]
    assert made.notes["axis"] == "x" and made.error is None


def test_both_weighs_by_the_spread_of_a_pinned_walk():
    values = [[N, 6, N], [0, N, N], [N, N, N], [N, 0, 2]]
    # Along y: ends 1 above and 2 below, spread 2/3, value 4. Along x there is no second end.
    assert Linear().fill(field(values)).values[0, 1, 1] == pytest.approx(4)
    values[1][2] = 8
    # Along x: ends 1 left and 1 right, spread 1/2, value 4 -> shift it to 5 by the right end.
    values[1][2] = 10
    assert Linear().fill(field(values)).values[0, 1, 1] == pytest.approx((4 * 1.5 + 5 * 2) / 3.5)


def test_land_parts_an_interval():
    values, sea = [[1, N, N, N, 9]], [[1, 1, 0, 1, 1]]
    made = Linear(axis="x").fill(field(values, sea))
    assert np.isnan(made.values[0, 0, 1:4]).all()
    assert made.flag[0, 0].tolist() == [0, 255, FillFlag.LAND, 255, 0]


def test_land_values_are_no_ends():
    assert np.isnan(Linear(axis="x").fill(field([[1, N, 5]], [[1, 1, 0]])).values[0, 0, 1])


@pytest.mark.parametrize(("limit", "filled"), [(0, 2), (1, 0), (2, 2), (3, 2)])
def test_limit_counts_missing_cells(limit, filled):
    made = Linear(axis="x", limit=limit).fill(field([[1, N, N, 4]]))
    assert (made.flag == FillFlag.LINEAR).sum() == filled


def test_global_rows_are_circles():
    longitude, latitude = np.meshgrid([45.0, 135, 225, 315], [0.0, 10])
    values = [[10, N, 30, N], [N, N, 7, N]]
    here = field(values, latitude=latitude, longitude=longitude, wraps=True)
    made = Linear(axis="x").fill(here).values[0]
    np.testing.assert_allclose(made[0], [10, 20, 30, 20])
    assert np.isnan(made[1, [0, 1, 3]]).all(), "one cell alone is not two ends"
    plain = Linear(axis="x").fill(field(values)).values[0]
    assert np.isnan(plain[0, 3])


@pytest.mark.parametrize("start", [0, 1, 2, 3])
def test_where_a_circle_is_cut_does_not_matter(start):
    values = np.roll([[10, N, N, 40, N, N]], start, axis=1)
    made = Linear(axis="x").fill(field(values, wraps=True)).values[0]
    np.testing.assert_allclose(np.roll(made, -start, axis=1)[0], [10, 20, 30, 40, 30, 20])


def test_real_coordinates_count():
    longitude, latitude = np.meshgrid([0.0, 1, 4], [60.0, 50])
    made = Linear(axis="x").fill(field([[0, N, 4], [N, N, N]], latitude=latitude, longitude=longitude))
    assert made.values[0, 0, 1] == pytest.approx(1)


def test_degrees_of_longitude_shrink_towards_the_pole():
    longitude, latitude = np.meshgrid([0.0, 1, 2], [59.0, 60, 61])
    values = [[N, 3, N], [0, N, 0], [N, 3, N]]
    made = Linear().fill(field(values, latitude=latitude, longitude=longitude)).values[0, 1, 1]
    assert made == pytest.approx(3 * 1 / (1 + 1 / np.cos(np.radians(60))))


def test_curved_grids_are_taken_in_cells():
    latitude = np.array([[80.0, 81, 85], [80, 82, 86]])
    longitude = np.array([[0.0, 1, 40], [2, 3, 50]])
    made = Linear(axis="x").fill(field([[0, N, 4], [N, N, N]], latitude=latitude, longitude=longitude))
    assert made.values[0, 0, 1] == pytest.approx(2)


def test_time_in_days():
    values = np.array([0, N, 10, N]).reshape(4, 1, 1)
    made = Linear(axis="time").fill(field(values, days=np.array([0.0, 1, 5, 6]))).values.ravel()
    np.testing.assert_allclose(made, [0, 2, 10, N])


def slow_row(row, sea, limit):
    made = row.copy()
    for i in range(row.size):
        if sea[i] and np.isnan(row[i]):
            left = next((j for j in range(i - 1, -1, -1) if not sea[j] or row[j] == row[j]), None)
            right = next((j for j in range(i + 1, row.size) if not sea[j] or row[j] == row[j]), None)
            if left is None or right is None or not sea[left] or not sea[right]:
                continue
            if not limit or right - left - 1 <= limit:
                made[i] = np.interp(i, [left, right], [row[left], row[right]])
    return np.where(sea, made, np.nan)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_rows_and_columns_equal_the_plain_rule(seed, limit):
    random = np.random.default_rng(seed)
    values = np.where(random.random((6, 9)) < 0.4, random.normal(size=(6, 9)), np.nan)
    sea = random.random((6, 9)) < 0.85
    along = Linear(axis="x", limit=limit).fill(field(values, sea)).values[0]
    down = Linear(axis="y", limit=limit).fill(field(values, sea)).values[0]
    np.testing.assert_allclose(along, [slow_row(r, s, limit) for r, s in zip(values, sea, strict=True)])
    slow = np.array([slow_row(r, s, limit) for r, s in zip(values.T, sea.T, strict=True)])
    np.testing.assert_allclose(down, slow.T)
    both = Linear(limit=limit).fill(field(values, sea)).values[0]
    seen = np.isfinite(values) & sea
    np.testing.assert_array_equal(both[seen], values[seen])
    known = np.stack([along, down])[:, ~seen & sea]
    middle = both[~seen & sea]
    there = np.isfinite(known).any(axis=0)
    assert (np.isfinite(middle) == there).all()
    assert (middle[there] >= np.nanmin(known[:, there], axis=0) - 1e-12).all()
    assert (middle[there] <= np.nanmax(known[:, there], axis=0) + 1e-12).all()


@pytest.mark.parametrize(
    ("parameters", "words"),
    [({"axis": "z"}, "known are both"), ({"limit": -1}, "limit"), ({"axis": "time"}, "3 maps")],
)
def test_refusals(parameters, words):
    with pytest.raises(InputError, match=words):
        fill_maps(field([[1, N, 2]]), Linear(**parameters))
