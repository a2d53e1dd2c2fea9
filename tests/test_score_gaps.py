"""Gaps cut on purpose: where they lie, that only observed sea is cut, that a seed decides."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError
from seaice.dates import from_day_number
from seaice.gapfill.field import GappyField
from seaice.grids import get_grid
from seaice.scoring.gaps import (
    Gap,
    HeldOut,
    count_days_missing,
    cut_gaps,
)
from seaice.scoring.shapes import SHAPES, GapSettings
from seaice.swaths.orbit import (
    SwathMap,
    list_half_orbits,
)

GRID = get_grid("n25000")
SOME = GapSettings(outage_days=(2, 3), single_days=2)


def field(days=30, shape=(6, 7), start=20000, gappy=False, seed=1):
    rng = np.random.default_rng(seed)
    values = rng.random((days, *shape)).astype(np.float32)
    if gappy:
        values[rng.random(values.shape) < 0.2] = np.nan
    sea = np.ones(shape, bool)
    sea[0, :2] = False
    return GappyField(values, sea, np.arange(start, start + days, dtype=float), valid_range=(0.0, 1.0))


def polar_field(days=8, pole_seen=True):
    longitude, latitude = GRID.longitude_latitude()
    values = np.full((days, *GRID.shape), 50, np.float32)
    if not pole_seen:
        values[:, latitude > 89] = np.nan
    sea = latitude > 50
    times = np.arange(20100, 20100 + days, dtype=float)
    return GappyField(values, sea, times, latitude, longitude, valid_range=(0.0, 100.0), units="%")


def of_kind(held_out, kind):
    numbers = [n for n, gap in enumerate(held_out.gaps, 1) if gap.kind == kind]
    return np.isin(held_out.number, numbers)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kinds=st.sets(
        st.sampled_from(["outages", "single_days", "clouds", "coast", "last_days"]), min_size=1
    ),
)
def test_only_observed_sea_is_cut_and_something_is_left(seed, kinds):
    gappy = field(gappy=True)
    held_out = cut_gaps(gappy, sorted(kinds), settings=replace(SOME, coast_share=1.0), seed=seed)
    assert not (held_out.mask & ~gappy.observed).any()
    assert (gappy.observed & ~held_out.mask).any()
    assert set(held_out.kinds) == kinds
    counts = np.bincount(held_out.number.ravel(), minlength=len(held_out.gaps) + 1)
    assert counts[1:].tolist() == [gap.cells for gap in held_out.gaps]


def test_the_same_seed_cuts_the_same_and_another_seed_does_not():
    one, same, other = (
        cut_gaps(field(), ["outages", "single_days"], settings=SOME, seed=s) for s in (3, 3, 4)
    )
    assert np.array_equal(one.number, same.number)
    assert one.gaps == same.gaps
    assert not np.array_equal(one.number, other.number)


def test_the_order_in_which_kinds_are_named_does_not_matter():
    one = cut_gaps(field(gappy=True), ["clouds", "outages"], settings=SOME)
    other = cut_gaps(field(gappy=True), ["outages", "clouds"], settings=SOME)
    assert np.array_equal(one.number, other.number)


def test_cut_is_a_copy_without_the_held_out_values():
    gappy = field()
    before = gappy.values.copy()
    held_out = cut_gaps(gappy, ["single_days"], settings=SOME)
    cut = held_out.cut(gappy)
    assert np.isnan(cut.values[held_out.mask]).all()
    assert np.array_equal(cut.values[~held_out.mask], before[~held_out.mask])
    assert np.array_equal(gappy.values, before)


def test_outages_have_their_lengths_and_lie_apart():
    held_out = cut_gaps(field(60), ["outages", "single_days"], settings=SOME)
    absent = np.array([of[field().sea].all() for of in held_out.mask])
    runs = np.split(np.flatnonzero(absent), np.flatnonzero(np.diff(np.flatnonzero(absent)) > 1) + 1)
    assert sorted(map(len, runs)) == [1, 1, 2, 3]
    assert not absent[[0, -1]].any()
    assert min(b[0] - a[-1] for a, b in pairwise(runs)) > 6
    assert sorted(gap.days for gap in held_out.gaps) == [1, 1, 2, 3]


def test_a_short_record_holds_its_outages_closer_together_or_refuses():
    held_out = cut_gaps(field(9), ["outages"], settings=SOME)
    assert sorted(gap.days for gap in held_out.gaps) == [2, 3]
    with pytest.raises(InputError, match="no room for whole maps missing in runs of 3, 2 among 6 maps"):
        cut_gaps(field(6), ["outages"], settings=SOME)


def test_last_days_are_the_last():
    held_out = cut_gaps(field(5), ["last_days"], settings=GapSettings(last_days=2))
    assert held_out.mask.any(axis=(1, 2)).tolist() == [False, False, False, True, True]
    with pytest.raises(InputError, match="cannot cut the last 5 of 5 maps"):
        cut_gaps(field(5), ["last_days"], settings=GapSettings(last_days=5))


def test_clouds_are_those_of_another_map():
    gappy = field(2, gappy=True)
    held_out = cut_gaps(gappy, ["clouds"], settings=GapSettings(cloud_share=1.0))
    assert np.array_equal(held_out.mask[0], gappy.missing[1] & gappy.observed[0])
    assert np.array_equal(held_out.mask[1], gappy.missing[0] & gappy.observed[1])


def test_one_map_gets_its_own_clouds_moved():
    gappy = field(1, gappy=True)
    held_out = cut_gaps(gappy, ["clouds"], settings=GapSettings(cloud_share=1.0))
    assert 0 < held_out.mask.sum() <= gappy.missing.sum()


def test_coastal_strips_lie_beside_land():
    held_out = cut_gaps(field(2), ["coast"], settings=GapSettings(coast_cells=1, coast_share=1.0))
    expected = np.zeros((6, 7), bool)
    expected[0, 2] = expected[1, :3] = True
    assert np.array_equal(held_out.mask[0], expected)


def test_the_pole_hole_is_a_disc_around_the_pole():
    gappy = polar_field(2)
    held_out = cut_gaps(gappy, ["pole_hole"], grid=GRID)
    assert np.array_equal(held_out.mask[1], gappy.latitude > 88)
    south = replace(gappy, latitude=-gappy.latitude)
    assert np.array_equal(cut_gaps(south, ["pole_hole"]).number, held_out.number)


def test_where_the_pole_is_not_observed_the_hole_lies_beside_it():
    gappy = polar_field(2, pole_seen=False)
    held_out = cut_gaps(gappy, ["pole_hole"], grid=GRID)
    rows, columns = np.nonzero(held_out.mask[0])
    assert 0.9 * (gappy.latitude > 88).sum() < rows.size < 1.1 * (gappy.latitude > 88).sum()
    assert np.ptp(rows) <= 18 and np.ptp(columns) <= 18
    assert gappy.latitude[rows, columns].min() > 90 - 7 - 2
    assert gappy.observed[0][rows, columns].all()


@pytest.mark.slow
def test_orbits_are_what_the_dropped_orbits_alone_would_have_seen():
    gappy = polar_field(3)
    held_out = cut_gaps(gappy, ["orbits"], grid=GRID, settings=GapSettings(orbits=2))
    swaths = SwathMap(GRID)
    for gap in held_out.gaps:
        halves = list_half_orbits(from_day_number(int(gappy.days[gap.first])))
        # Every cell that is cut was within the swath of some orbit of that day.
        assert not (held_out.mask[gap.first] & ~swaths.find_covered(halves)).any()
        # Two orbits of 14 cannot hide more than their own swaths.
        most = max(swaths.find_covered(halves[i : i + 4])[gappy.sea].mean() for i in range(0, 26, 2))
        assert held_out.mask[gap.first][gappy.sea].mean() < 2 * most


def test_cells_that_are_given():
    gappy = field(3)
    chosen = np.zeros(gappy.values.shape, bool)
    chosen[1, 2, 3] = chosen[2, 0, 0] = True  # the second is land
    held_out = cut_gaps(gappy, ["given"], held_out_cells=chosen)
    assert np.argwhere(held_out.number).tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match="give held_out_file"):
        cut_gaps(gappy, ["given"])
    with pytest.raises(InputError, match=r"as bool \(3, 6, 7\), found bool of \(3, 6, 6\)"):
        cut_gaps(gappy, ["given"], held_out_cells=chosen[:, :, 1:])


def test_what_lacks_on_every_map_belongs_to_no_outage():
    # A coastal strip is still a strip on the days of an outage.
    wide = replace(SOME, coast_cells=1, coast_share=1.0)
    held_out = cut_gaps(field(), ["outages", "coast"], settings=wide)
    strip = of_kind(held_out, "coast")
    assert (strip == strip[0]).all()


def test_kinds_that_a_field_cannot_have_are_told_or_left_out():
    with pytest.raises(InputError, match="polar grids only"):
        cut_gaps(field(), ["orbits"])
    with pytest.raises(InputError, match=f"out of {', '.join(SHAPES)}, found snow"):
        cut_gaps(field(), ["snow"])
    held_out = cut_gaps(field(), None, settings=SOME)
    assert set(held_out.left_out) == {"given", "pole_hole", "clouds", "orbits"}
    assert set(held_out.kinds) == set(SHAPES) - set(held_out.left_out)


def test_nothing_observed_is_never_left_to_a_method():
    gappy = field(1)
    with pytest.raises(InputError, match=r"\(given\) leave nothing observed of 1 maps"):
        cut_gaps(gappy, ["given"], held_out_cells=np.ones(gappy.values.shape, bool))


@pytest.mark.parametrize(
    "bad", [{"orbits": 0}, {"outage_days": (2, 0)}, {"pole_radius": 0}, {"coast_share": 2}]
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(InputError, match="found"):
        GapSettings(**bad)


def test_days_missing_by_hand():
    # Days 0, 1, 2, 5, 6, 7 of one cell: observed on 0 and 6; day 2 is a real gap.
    values = np.array([1, 1, np.nan, 1, 1, 1], np.float32).reshape(6, 1, 1)
    gappy = GappyField(values, np.ones((1, 1), bool), np.array([0.0, 1, 2, 5, 6, 7]))
    number = np.array([0, 1, 0, 1, 0, 2], np.uint16).reshape(6, 1, 1)
    held_out = HeldOut(number, (Gap("given", 0, 0, 2), Gap("last_days", 1, 5, 1)))
    # Days 1 to 5 lie between the observed days 0 and 6; day 7 ends the record.
    assert count_days_missing(gappy, held_out).tolist() == [5, 5, 1]


def test_two_maps_on_one_day_are_a_day_apart_at_most():
    values = np.ones((3, 1, 1), np.float32)
    gappy = GappyField(values, np.ones((1, 1), bool), np.array([5.1, 5.4, 5.8]))
    number = np.array([0, 1, 0], np.uint16).reshape(3, 1, 1)
    assert count_days_missing(gappy, HeldOut(number, (Gap("given", 0, 1, 1),))).tolist() == [1]
