"""Drop-in-the-bucket statistics: hand-made truths, a slow reference, merging, projections."""

import math
from collections import defaultdict
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from seaice import InputError
from seaice.gridding import (
    DROPPED,
    STATISTICS,
    BucketAccumulator,
    Buckets,
    compute_buckets,
    locate_cells,
    merge_all,
    project,
)
from seaice.gridding.period import Period
from seaice.gridding.projection import find_polar_projection
from seaice.grids import Grid, get_grid, list_grid_ids
from seaice.runtime import threads as bands

EASE = get_grid("ease2n25000")
# An equal-area plane around (0, 0) so that cells are easy to name: 4 rows, 5 columns of 10 km.
PLATE = Grid("custom", 4, 5, 10_000.0, -20_000.0, -20_000.0, "EPSG:6931")


def places(x, y, grid=PLATE):
    """Latitude and longitude of points in the plane."""
    crs = grid.crs
    lon, lat = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(x, y)
    return np.asarray(lat), np.asarray(lon)


def reference(rows, columns, values, weights):
    """Plain Python, two passes, exactly rounded sums."""
    found = defaultdict(list)
    for row, column, value, weight in zip(rows, columns, values, weights, strict=True):
        found[row, column].append((float(value), float(weight)))
    statistics = {}
    for cell, members in found.items():
        whole = math.fsum(w for _, w in members)
        mean = math.fsum(v * w for v, w in members) / whole
        spread = math.fsum(w * (v - mean) ** 2 for v, w in members) / whole
        statistics[cell] = {
            "count": len(members),
            "weight_sum": whole,
            "mean": mean,
            "std": math.sqrt(spread),
            "weight_mean": whole / len(members),
            "minimum": min(v for v, _ in members),
            "maximum": max(v for v, _ in members),
        }
    return statistics


def test_the_worked_example():
    lat, lon = places([5000.0] * 3, [5000.0] * 3)
    found = compute_buckets(lat, lon, [0.1, 0.3, 0.2], [10, 30, 60], grid=PLATE)
    row, column = 2, 2
    assert found.make_field("count")[row, column] == 3
    expected = {"mean": 0.22, "std": 0.06, "weight_mean": 100 / 3, "weight_sum": 100}
    expected |= {"minimum": 0.1, "maximum": 0.3, "track_count": 1}
    for name, value in expected.items():
        assert found.make_field(name)[row, column] == pytest.approx(value, rel=1e-14), name
    assert found.observations == 3


def test_empty_is_nan_with_count_0():
    lat, lon = places([5000.0], [5000.0])
    found = compute_buckets(lat, lon, [7.0], grid=PLATE)
    for name in STATISTICS:
        field = found.make_field(name)
        assert field.shape == PLATE.shape
        empty = np.delete(field.ravel(), 2 * 5 + 2)
        if name.endswith("count"):
            assert field.dtype == np.int32 and (empty == 0).all()
        else:
            assert np.isnan(empty).all()
    assert found.make_field("std")[2, 2] == 0 and found.make_field("mean")[2, 2] == 7
    with pytest.raises(InputError, match="expected a statistic out of count"):
        found.make_field("median")


def test_every_point_goes_to_the_cell_that_holds_it():
    """The transposition, the wrong end of the rows, and aliasing would show here."""
    for row in range(PLATE.rows):
        for column in range(PLATE.columns):
            lat, lon = places([PLATE.x[column]], [PLATE.y[row]])
            found = compute_buckets(lat, lon, [1.0], grid=PLATE)
            assert np.argwhere(found.make_field("count")).tolist() == [[row, column]]


def test_points_beyond_the_grid_are_dropped_and_counted():
    beyond = [
        (-20_001, 0),
        (30_001, 0),
        (0, -20_001),
        (0, 20_001),
        (30_001, 20_001),
        (1e6, 5),
        (5, -1e6),
    ]
    lat, lon = places(*map(np.array, zip(*beyond, strict=True)))
    found = compute_buckets(lat, lon, np.ones(len(beyond)), grid=PLATE)
    assert found.cells.size == 0 and found.observations == 0
    assert found.dropped == {"outside": 7, "no_position": 0, "no_value": 0, "no_weight": 0}
    # One column too far east must not be the first cell of the next row.
    lat, lon = places([30_500.0], [5000.0])
    assert locate_cells(lat, lon, PLATE).tolist() == [-1]


def test_a_point_on_an_edge_belongs_to_one_cell():
    from seaice.gridding import _kernels

    x = np.array([-20_000.0, -10_000.0, 0.0, 30_000.0, 30_000 - 1e-9, 5.0, 5.0, np.nan])
    y = np.array([-20_000.0, -20_000.0, 10_000.0, 0.0, 0.0, 20_000.0, 20_000 - 1e-8, 0.0])
    cells = np.empty(x.size, np.int32)
    _kernels.locate_projected_cells(x, y, PLATE.west, PLATE.south, PLATE.step, 4, 5, cells)
    assert cells.tolist() == [-1, -1, 2 * 5 + 2, -1, 1 * 5 + 4, 3 * 5 + 2, 3 * 5 + 2, -2]


def test_the_pole_lies_in_one_of_the_four_cells_at_the_centre():
    for name, pole in (("ease2n25000", 90.0), ("ease2s25000", -90.0)):
        grid = get_grid(name)
        found = locate_cells(np.full(4, pole), np.array([0.0, 90, 180, -90]), grid)
        assert (found == found[0]).all()
        assert set(divmod(int(found[0]), grid.columns)) <= {359, 360}


def test_named_places_of_the_reference():
    x, y = project(np.array([84.0, 70, 60]), np.array([0.0, 90, 180]), get_grid("ease2n6250"))
    np.testing.assert_allclose(x, [0, 2221670.89, 0], atol=0.006)
    np.testing.assert_allclose(y, [-669833.02, 0, 3309819.55], atol=0.006)
    south = get_grid("ease2s6250")
    lat, lon = places(1e6 + 1, 2e6 - 1, south)
    row, column = divmod(int(locate_cells(np.atleast_1d(lat), np.atleast_1d(lon), south)[0]), 2880)
    assert (2880 - 1 - row, column) == (1120, 1600), "row 1120 from the top"


def test_the_antimeridian_has_two_sides_and_one_cell():
    lat = np.full(3, 75.0)
    lon = np.array([180.0, -180.0, 540.0])
    assert len(set(locate_cells(lat, lon, EASE).tolist())) == 1
    x, y = project(np.full(2, 75.0), np.array([179.999999, -179.999999]), EASE)
    assert abs(x[0] - x[1]) < 1 and y[0] == pytest.approx(y[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in list_grid_ids() if n.endswith("25000")])
def test_the_closed_form_is_that_of_pyproj(name):
    grid = get_grid(name)
    pole = find_polar_projection(grid.projection).pole
    rng = np.random.default_rng(1)
    lat = pole * np.concatenate([rng.uniform(-60, 90, 20_000), 90 - 10.0 ** rng.uniform(-2, 1, 5000)])
    lon = rng.uniform(-360, 360, lat.size)
    x, y = project(lat, lon, grid)
    transformer = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True)
    off = np.hypot(
        *(ours - theirs for ours, theirs in zip((x, y), transformer.transform(lon, lat), strict=True))
    )
    far = np.hypot(x, y) > 100_000
    assert off[far].max() < 2e-6, "a micrometre or two"
    assert off.max() < 1e-3, "a millimetre"


@pytest.mark.parametrize("name", ["ease2n25000", "n25000"])
def test_next_to_the_pole_the_closed_form_is_the_exact_one(name):
    """There pyproj itself is off by up to 18 cm (equal-area): 50 digits decide."""
    mp = pytest.importorskip("mpmath").mp.clone()
    mp.dps = 50
    known = find_polar_projection(get_grid(name).projection)
    e, a = mp.mpf(known.e), mp.mpf(known.a)
    for distance in (1e-9, 1e-7, 1e-5, 1e-3, 0.1):
        lat = 90 - distance
        phi = mp.mpf(lat) * mp.pi / 180
        s = mp.sin(phi)
        if known.kind == 0:

            def q(z):
                return (1 - e**2) * (z / (1 - (e * z) ** 2) + mp.atanh(e * z) / e)

            true = a * mp.sqrt(q(mp.mpf(1)) - q(s))
        else:
            true = mp.mpf(known.factor) * mp.tan(mp.pi / 4 - phi / 2) * mp.exp(e * mp.atanh(e * s))
        x, y = project(np.array([lat]), np.array([20.0]), get_grid(name))
        assert abs(float(mp.hypot(mp.mpf(x[0]), mp.mpf(y[0])) / true - 1)) < 1e-14


def test_other_projections_go_through_pyproj():
    grid = Grid("custom", 40, 50, 50_000.0, 3_000_000.0, 2_000_000.0, "EPSG:3035")
    assert find_polar_projection(grid.projection) is None
    lat, lon = np.array([52.0, np.nan, 91.0, 52.0]), np.array([10.0, 10.0, 10.0, np.inf])
    cells = locate_cells(lat, lon, grid)
    # EPSG:3035 has (52 N, 10 E) at (4321000, 3210000).
    assert divmod(int(cells[0]), 50) == (24, 26)
    assert cells[1:].tolist() == [-2, -2, -2]


def test_what_has_no_place_value_or_weight_is_never_counted():
    lat = np.array([80, np.nan, 80, 91, 80, 80, 80, 80, 80, 80.0])
    lon = np.array([5, 5, np.inf, 5, 5, 5, 5, 5, 5, 5.0])
    values = np.array([1, 2, 3, 4, np.nan, np.inf, 5, 6, 7, 8.0])
    weights = np.array([1, 1, 1, 1, 1, 1, 0, -1, np.nan, 3.0])
    found = compute_buckets(lat, lon, values, weights, grid=EASE)
    assert found.dropped == {"outside": 0, "no_position": 3, "no_value": 2, "no_weight": 3}
    assert found.table[:, 0].tolist() == [2] and found.compute("mean")[0] == pytest.approx(25 / 4)
    assert found.observations + sum(found.dropped.values()) == 10


def test_lengths_must_agree():
    for arrays in (([80.0], [5.0, 6.0], [1.0]), ([80.0], [5.0], [1.0, 2.0])):
        with pytest.raises(InputError, match="expected"):
            compute_buckets(*map(np.array, arrays), grid=EASE)
    with pytest.raises(InputError, match="one length"):
        compute_buckets(np.array([80.0]), np.array([5.0]), np.array([1.0]), np.ones(2), grid=EASE)


tracks = st.lists(
    st.lists(
        st.tuples(
            st.floats(-24_000, 34_000),
            st.floats(-24_000, 24_000),
            st.floats(-1e3, 1e3),
            st.floats(0.001, 1e3),
        ),
        max_size=30,
    ),
    max_size=6,
)


@pytest.mark.slow
@settings(deadline=None)
@given(tracks)
def test_equals_the_slow_reference_and_itself_in_any_partition(given_tracks):
    parts, rows, columns, values, weights = [], [], [], [], []
    whole = BucketAccumulator(PLATE)
    for track in given_tracks:
        x, y, v, w = (
            np.array(column, np.float64) for column in (zip(*track, strict=True) if track else [[]] * 4)
        )
        lat, lon = places(x, y)
        parts.append(compute_buckets(lat, lon, v, w, grid=PLATE))
        whole.add(lat, lon, v, w)
        cells = locate_cells(lat, lon, PLATE)
        inside = cells >= 0
        rows += (cells[inside] // 5).tolist()
        columns += (cells[inside] % 5).tolist()
        values += v[inside].tolist()
        weights += w[inside].tolist()
    truth = reference(rows, columns, values, weights)
    combined = [whole.get_buckets(), merge_all(parts, PLATE), merge_all(parts[::-1], PLATE)]
    one = Buckets.make_empty(PLATE)
    for part in parts:
        one = part.merge(one)
    for found in (*combined, one):
        assert {divmod(int(cell), 5) for cell in found.cells} == set(truth)
        assert (np.diff(found.cells) > 0).all()
        for name in STATISTICS[:-1]:
            expected = np.array([truth[divmod(int(cell), 5)][name] for cell in found.cells])
            scale = 1e-9 if name == "std" else 1e-12
            np.testing.assert_allclose(found.compute(name), expected, rtol=1e-12, atol=scale * 1e3)
        assert found.dropped == combined[0].dropped
        np.testing.assert_array_equal(found.tracks, combined[0].tracks)
        assert (found.compute("std") >= 0).all()


def test_small_spreads_of_large_values():
    """What the sum of squares loses: 250 K with a spread of a millikelvin."""
    rng = np.random.default_rng(2)
    values = 250 + rng.normal(0, 1e-3, 100_000)
    found = compute_buckets(np.full(values.size, 80.0), np.full(values.size, 5.0), values, grid=EASE)
    assert found.compute("std")[0] == pytest.approx(values.std(), rel=1e-9)
    same = compute_buckets(np.full(1000, 80.0), np.full(1000, 5.0), np.full(1000, 0.1), grid=EASE)
    assert same.compute("std")[0] == 0 and same.compute("mean")[0] == 0.1


@pytest.mark.slow
def test_threads_and_blocks_do_not_show(monkeypatch):
    rng = np.random.default_rng(5)
    n = 30_000
    lat, lon = 60 + np.cumsum(rng.normal(0, 0.01, n)) % 30, np.cumsum(rng.normal(0, 0.05, n))
    values, weights = (
        rng.normal(0.3, 0.1, n).astype(np.float32),
        rng.uniform(5, 100, n).astype(np.float32),
    )
    results = []
    for threads in (1, 2, 3, 8):
        bands.use_threads(threads)
        try:
            results.append(compute_buckets(lat, lon, values, weights, grid=EASE))
        finally:
            bands.use_threads(None)
    for other in results[1:]:
        assert (results[0].cells == other.cells).all() and (results[0].table == other.table).all()
    monkeypatch.setattr("seaice.gridding._POINTS_AT_A_TIME", 7)
    blocks = compute_buckets(lat, lon, values, weights, grid=EASE)
    np.testing.assert_allclose(blocks.table, results[0].table, rtol=1e-12, atol=1e-12)
    assert blocks.dropped == results[0].dropped


def test_tracks_of_a_cell_are_counted_once_each():
    sums = BucketAccumulator(PLATE)
    out_and_back = [-15_000.0, 5000, -15_000]
    for _ in range(3):
        sums.add(*places(out_and_back, [-15_000.0] * 3), np.ones(3))
    sums.add(*places([5000.0], [-15_000.0]), np.array([np.nan]))
    field = sums.get_buckets().make_field("track_count")
    assert field[0, 0] == 3 and field[0, 2] == 3 and field.sum() == 6


@pytest.mark.slow
def test_parts_of_a_track_count_once():
    sums = BucketAccumulator(PLATE)
    for name in ("gt1l", "gt1l", "gt2l", None, None, "gt2l"):
        sums.add(*places([5.0], [5.0]), np.array([1.0]), track=name)
    assert sums.get_buckets().tracks.tolist() == [5]


def test_more_may_be_added_after_a_result():
    sums = BucketAccumulator(PLATE)
    sums.add(*places([5.0], [5.0]), np.array([1.0]))
    first = sums.get_buckets()
    sums.add(*places([5.0], [5.0]), np.array([3.0]))
    assert first.compute("mean").tolist() == [1.0] and sums.get_buckets().compute("mean").tolist() == [
        2.0
    ]


def test_nothing_and_two_grids():
    nothing = merge_all([], EASE)
    assert nothing.cells.size == 0 and np.isnan(nothing.make_field("mean")).all()
    assert set(nothing.dropped) == set(DROPPED)
    with pytest.raises(InputError, match="of one grid"):
        nothing.merge(Buckets.make_empty(PLATE))


def test_memory_does_not_grow_with_the_points():
    sums = BucketAccumulator(PLATE)
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.uniform(-20_000, 30_000, 5000), rng.uniform(-20_000, 20_000, 5000)
        sums.add(*places(x, y), x)
    assert sum(len(table) for table in sums._tables) <= 2 * 20
    assert sums.get_buckets().observations == 100_000


# ---------------------------------------------------------------------- latitude and longitude

GLOBE = Grid("globe", 720, 1440, 0.25, -180.0, -90.0, "EPSG:4326")
# Latitude, longitude, and row and column counted from 90 south and 180 west by hand.
GLOBAL_PLACES = [
    (90.0, 0.0, 719, 720),
    (90.0, 123.4, 719, 1213),
    (-90.0, -180.0, 0, 0),
    (-0.1, 0.0, 359, 720),
    (0.0, 0.0, 359, 720),  # a cell holds its northern edge, not its southern one
    (78.05, 16.1, 672, 784),
    (66.1, 180.0, 624, 0),
    (66.1, -180.0, 624, 0),
    (66.1, 179.99, 624, 1439),
    (66.1, 540.0, 624, 0),
    (-0.1, 359.99, 359, 719),
    (-0.1, -1e-15, 359, 720),  # rounded to Greenwich
]


@pytest.mark.parametrize(("lat", "lon", "row", "column"), GLOBAL_PLACES)
@pytest.mark.parametrize("west", [-180.0, 0.0, 30.0])
def test_named_places_on_a_globe(lat, lon, row, column, west):
    grid = Grid("globe", 720, 1440, 0.25, west, -90.0, "EPSG:4326")
    turned = (column - int((west + 180) / 0.25)) % 1440
    cell = int(locate_cells(np.array([lat]), np.array([lon]), grid)[0])
    assert divmod(cell, 1440) == (row, turned)


def test_a_region_across_the_dateline_holds_what_lies_in_it():
    grid = Grid("bering", 40, 60, 0.5, 170.0, 50.0, "EPSG:4326")  # 170 E to 160 W, 50 to 70 N
    lat, lon = np.array([60.1, 60.1, 60.1, 60.1, 49.9]), np.array([179.9, -179.9, 169.9, -159.9, 180.0])
    assert locate_cells(lat, lon, grid).tolist() == [20 * 60 + 19, 20 * 60 + 20, -1, -1, -1]
    x, y = project(lat, lon, grid)
    np.testing.assert_allclose(x, [179.9, 180.1, 529.9, 200.1, 180.0])
    assert y.tolist() == lat.tolist()


def test_every_observation_of_the_globe_is_counted_once():
    rng = np.random.default_rng(3)
    lat, lon = np.degrees(np.arcsin(rng.uniform(-1, 1, 20_000))), rng.uniform(-360, 720, 20_000)
    buckets = compute_buckets(lat, lon, np.ones(lat.size), grid=GLOBE)
    assert buckets.observations == lat.size and buckets.dropped == dict.fromkeys(DROPPED, 0)
    count = buckets.make_field("count")
    expected = np.zeros_like(count)
    cells = np.floor((lat + 90) * 4).astype(int), np.floor((lon + 180) % 360 * 4).astype(int)
    np.add.at(expected, cells, 1)
    np.testing.assert_array_equal(count, expected)


@pytest.mark.parametrize("code", [4326, 6933, 3035, 3413, 3408, 3976, 32633, 3031])
def test_any_projection_is_that_of_pyproj_whatever_the_blocks(code, monkeypatch):
    latitudes = {6933: (-80, 80), 3976: (-89, -50), 3031: (-89, -50), 32633: (40, 80), 3035: (35, 70)}
    rng = np.random.default_rng(code)
    lat = rng.uniform(*latitudes.get(code, (40, 89)), 5000)
    lon = rng.uniform(-10, 40, lat.size)
    grid = Grid("any", 100, 100, 1.0 if code == 4326 else 50_000.0, -20.0, 0.0, f"EPSG:{code}")
    expected = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True).transform(lon, lat)
    results = []
    for block, number in ((1 << 17, 1), (700, 3), (13, 2)):
        monkeypatch.setattr("seaice.gridding.projection._BLOCK", block)
        monkeypatch.setattr(bands, "count_threads", lambda number=number: number)
        results.append((*project(lat, lon, grid), locate_cells(lat, lon, grid)))
    np.testing.assert_allclose(results[0][:2], expected, rtol=0, atol=1e-6)
    for result in results[1:]:
        for one, other in zip(results[0], result, strict=True):
            np.testing.assert_array_equal(one, other)


def test_closed_forms_are_used_where_there_are():
    kinds = {
        code: find_polar_projection(f"EPSG:{code}") for code in (3413, 3976, 3031, 6931, 3408, 3409)
    }
    assert [kind is not None and kind.kind for kind in kinds.values()] == [1, 1, 1, 0, 0, 0]
    assert find_polar_projection("EPSG:6933") is None and find_polar_projection("EPSG:4326") is None


# ---------------------------------------------------------------------- time steps


@pytest.mark.parametrize(
    ("text", "origin", "first", "last", "steps"),
    [
        ("day", None, (2020, 2, 28), (2020, 3, 1), ["2020-02-28", "2020-02-29", "2020-03-01"]),
        # 1 January 2020 was a Wednesday.
        ("week", None, (2020, 1, 1), (2020, 1, 6),
         ["2019-12-30 to 2020-01-05", "2020-01-06 to 2020-01-12"]),
        ("week", (2020, 1, 1), (2020, 1, 5), (2020, 1, 5), ["2019-12-30 to 2020-01-05"]),
        ("week", None, (1969, 12, 28), (1969, 12, 28), ["1969-12-22 to 1969-12-28"]),
        ("month", None, (2019, 12, 31), (2020, 2, 1),
         ["2019-12-01 to 2019-12-31", "2020-01-01 to 2020-01-31", "2020-02-01 to 2020-02-29"]),
        ("all", None, (2019, 12, 31), (2020, 2, 1), ["2019-12-31 to 2020-02-01"]),
        ("5D", (2020, 1, 3), (2020, 1, 3), (2020, 1, 8),
         ["2020-01-03 to 2020-01-07", "2020-01-08 to 2020-01-12"]),
        # Day 18262 is 1 January 2020: 18260 of them are whole steps of five days.
        ("5D", None, (2020, 1, 1), (2020, 1, 1), ["2019-12-30 to 2020-01-03"]),
        ("1D", (2020, 1, 3), (2020, 1, 3), (2020, 1, 3), ["2020-01-03"]),
    ],
)  # fmt: skip
def test_time_steps(text, origin, first, last, steps):
    period = Period.parse(text, origin=date(*origin) if origin else None)
    listed = period.list_steps(date(*first), date(*last))
    assert [str(step) for step in listed] == steps
    if text != "all":
        for step in listed:
            assert period.find_step(step.start) == period.find_step(step.end) == step


@pytest.mark.parametrize("text", ["year", "0D", "D", "-5D", "5 D", "99999D", "Day", ""])
def test_periods_that_are_none(text):
    with pytest.raises(
        InputError, match="expected a period out of day, week, month, all or a number of d"
    ):
        Period.parse(text)
