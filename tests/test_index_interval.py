"""The intervals of extent and area: by hand, against a double sum, and on held-out real days."""

import csv
from datetime import date, timedelta

import netCDF4
import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice.flags import FillFlag, Surface
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.gapfill.methods import make_method
from seaice.grids import get_grid
from seaice.ice_index.interval import ErrorBlocks, Interval, bound_sums
from seaice.ice_index.stage import extent_and_area, ice_index

NAN = np.nan
FILLED = FillFlag.DEPARTURE_TWO_SIDED


def bound(concentration, error, *, days=11, shape=None, region=None, count=1):
    """Intervals of a day in which every cell with an error was filled."""
    value = np.asarray(concentration, float).ravel()
    error = None if error is None else np.asarray(error, float).ravel()
    area = np.full(value.size, 625.0)
    region = np.ones(value.size, int) if region is None else region
    is_filled = np.zeros(value.size, bool) if error is None else ~np.isnan(error)
    sums = extent_and_area(value, area, region=region, count=count)
    blocks = ErrorBlocks.of(shape or (1, value.size), np.arange(value.size), kilometres=25)
    interval = bound_sums(
        sums.extent, sums.area, concentration=value, cell_area=area, is_filled=is_filled,
        error=error, blocks=blocks, region=region, days_back_forward=np.full(value.size, days, np.uint8),
    )  # fmt: skip
    return sums, interval


def test_observed_days_are_certain():
    sums, interval = bound([0.0, 0.15, 0.9, NAN], [NAN] * 4)
    assert interval.extent_low == interval.extent_high == sums.extent == 1250
    assert interval.area_low == interval.area_high == sums.area


def test_a_region_without_a_value_has_no_interval():
    _, interval = bound([NAN, 0.5], [NAN, NAN], region=np.array([1, 2]), count=2)
    assert [np.isnan(end).tolist() for end in interval] == [[True, False]] * 4


@pytest.mark.parametrize("apart", [4, 12, 40])
@pytest.mark.parametrize(
    ("days", "share"), [(0, 0.15), (11, 0.15), (24, 0.3), (99, 0.5), (20, 0.3), (1, 0.15)]
)
def test_two_cells_by_hand(apart, days, share):
    # Far from their limits: among closed ice, filled values of 80 percent with an error of 5.
    value, error = np.ones(60), np.full(60, NAN)
    value[[2, 2 + apart]], error[[2, 2 + apart]] = 0.8, 0.05
    sums, interval = bound(value, error, days=days)
    distance = apart * 25.0
    correlation = (1 - share) * np.exp(-distance / 100) + share * np.exp(-distance / 700)
    expected = 1.96 * 0.05 * 625 * np.sqrt(2 + 2 * correlation)
    assert interval.area_high[0] - sums.area[0] == pytest.approx(expected, rel=1e-6)
    assert sums.area[0] - interval.area_low[0] == pytest.approx(expected, rel=1e-6)
    assert interval.extent_low == pytest.approx(interval.extent_high), "far above 15 percent"


def test_an_interval_ends_where_all_filled_cells_are_water_or_ice():
    sums, interval = bound([1.0, 0.15, 0.1], [NAN, 0.5, 0.5])
    assert (interval.extent_low[0], sums.extent[0], interval.extent_high[0]) == (625, 1250, 1875)
    assert interval.area_low[0] == 625 and sums.area[0] < interval.area_high[0] <= 1875


def test_a_filled_cell_without_an_error_may_be_anything():
    value, area = np.array([1.0, 1.0]), np.full(2, 625.0)
    blocks = ErrorBlocks.of((1, 2), np.arange(2), kilometres=25)
    settings_of_day = {
        "concentration": value, "cell_area": area, "blocks": blocks, "region": np.ones(2, int),
        "is_filled": np.array([True, False]), "days_back_forward": np.zeros(2, np.uint8),
    }  # fmt: skip
    sums = extent_and_area(value, area)
    interval = bound_sums(sums.extent, sums.area, error=np.array([NAN, NAN]), **settings_of_day)
    assert interval.extent_low[0] == pytest.approx(1250 - 1.96 * 0.5 * 625, rel=1e-6)
    absent = bound_sums(sums.extent, sums.area, error=None, **settings_of_day)
    assert np.isnan(absent).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.sampled_from([12.5, 25.0, 50.0]))
def test_blocks_are_a_double_sum(seed, kilometres):
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 9)), int(rng.integers(1, 9)))
    cells = np.flatnonzero(rng.random(shape) < 0.7)
    if not cells.size:
        return
    blocks = ErrorBlocks.of(shape, cells, kilometres=kilometres)
    near, far = errors = rng.random((2, cells.size))
    total = blocks.shape[0] * blocks.shape[1]
    sums = [np.bincount(blocks.number, part, minlength=total) for part in errors]
    width = round(50 / kilometres)
    rows, columns = (index // width * width * kilometres for index in np.unravel_index(cells, shape))
    distance = np.hypot(rows[:, None] - rows, columns[:, None] - columns)
    variance = near @ np.exp(-distance / 100) @ near + far @ np.exp(-distance / 700) @ far
    assert blocks.combine(*sums) == pytest.approx(np.sqrt(variance), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 9999))
def test_intervals_hold_the_value_and_stay_possible(seed):
    rng = np.random.default_rng(seed)
    shape = (7, 9)
    value = rng.choice([0.0, 0.1, 0.14, 0.16, 0.5, 1.0, NAN], shape)
    error = np.where(rng.random(shape) < 0.5, rng.uniform(0, 0.6, shape), NAN)
    error[np.isnan(value)] = NAN
    region = rng.integers(0, 4, shape).ravel()
    sums, interval = bound(value, error, shape=shape, region=region, count=3)
    is_value = ~np.isnan(sums.extent)
    total = np.bincount(region, np.where(np.isnan(value), 0, 625).ravel(), minlength=4)[1:]
    for low, middle, high in (
        (interval.extent_low, sums.extent, interval.extent_high),
        (interval.area_low, sums.area, interval.area_high),
    ):
        assert (low[is_value] <= middle[is_value] + 1e-6).all()
        assert (middle[is_value] <= high[is_value] + 1e-6).all()
        assert (low[is_value] >= -1e-6).all() and (high[is_value] <= total[is_value] + 1e-6).all()


# --- the stage --------------------------------------------------------------------------

GRID = small_grid(6, 6)
DAYS = [date(2024, 2, 28) + timedelta(days=n) for n in range(3)]


@pytest.fixture
def cube(tmp_path):
    """The second day filled, at the edge of the ice; a pole hole that is always filled."""
    surface = np.full(GRID.shape, Surface.OCEAN, np.uint8)
    surface[0] = Surface.LAND
    surface[5, 5] = Surface.POLE_HOLE
    value = np.tile(np.array([1, 1, 0.6, 0.2, 0, 0]), (3, 6, 1))
    value[:, 0] = NAN
    flags = np.full(value.shape, FillFlag.OBSERVED, np.uint8)
    flags[1], flags[:, 5, 5], flags[:, 0] = FILLED, FillFlag.POLE_HOLE, FillFlag.LAND
    error = np.where(flags == FILLED, 0.1, NAN)
    error[:, 5, 5] = 0.3
    return write_cube(
        tmp_path / "cube.nc",
        dates=DAYS, concentration=value, surface=surface, grid=GRID, flags=flags, errors=error,
    )  # fmt: skip


def test_the_interval_is_in_every_output(cube, tmp_path):
    table, file = tmp_path / "index.csv", tmp_path / "index.nc"
    box = "right=1,6,3,6"
    report = ice_index(
        input_file=cube, output_csv=table, output_file=file, region=[box], pole_hole="ice"
    )
    series = report.values["series"]
    width = series.extent_high - series.extent_low
    assert (width[[0, 2]] == 0).all(), "observed but for the pole hole, whose rule is certain"
    assert (width[1] > 0).all()
    with table.open(newline="", encoding="utf-8") as source:
        rows = list(csv.DictReader(source))
    with netCDF4.Dataset(file) as dataset:
        for name in Interval._fields:
            np.testing.assert_array_equal(dataset[name][:], getattr(series, name))
            assert dataset[name].units == "km2" and "95 percent" in dataset[name].long_name
            written = np.array([float(row[f"{name}_km2"]) for row in rows]).reshape(3, 2)
            np.testing.assert_allclose(written, getattr(series, name), atol=0.06)
        assert dataset["sea_ice_extent"].ancillary_variables == "extent_low extent_high"
        assert dataset["sea_ice_area"].ancillary_variables == "area_low area_high"
    assert any("the widest 95 percent interval is that of 2024-02-29" in line for line in report.lines)


def test_the_pole_hole_adds_only_where_its_values_count(cube):
    filled, excluded = (
        ice_index(input_file=cube, pole_hole=rule).values["series"] for rule in ("filled", "exclude")
    )
    assert (filled.extent_high > filled.extent_low).all()
    np.testing.assert_array_equal(
        (excluded.extent_high > excluded.extent_low)[:, 0], [False, True, False]
    )


def test_a_cube_without_errors_says_so(cube, tmp_path):
    with netCDF4.Dataset(cube, "a") as dataset:
        dataset.renameVariable("sea_ice_conc_error", "hidden")
    report = ice_index(input_file=cube, plot=tmp_path / "index.png", pole_hole="exclude")
    assert np.isnan(report.values["series"].extent_low[:, 0]).tolist() == [False, True, False]
    assert any("without an interval: the cube has no expected errors" in line for line in report.lines)


def test_a_cube_written_again_has_the_same_intervals(cube, tmp_path):
    expected = ice_index(input_file=cube).values["series"]
    with xr.open_dataset(cube) as dataset:
        again = dataset.load().drop_encoding().drop_vars(["days_back_forward", "time_bnds"])
    again.to_netcdf(tmp_path / "again.nc")
    series = ice_index(input_file=tmp_path / "again.nc").values["series"]
    for name in Interval._fields:
        np.testing.assert_allclose(getattr(series, name), getattr(expected, name), rtol=1e-6)


@pytest.mark.slow
def test_intervals_hold_the_real_extent_of_held_out_days(real_data):
    path = real_data / "sea_ice_index/g02135_north_daily_20250101_20250331.nc"
    with netCDF4.Dataset(path) as source:
        source.set_auto_maskandscale(False)
        code = source["code"][:]
    ocean = ~np.isin(code, (2510, 2530, 2540)).any(axis=0)
    percent = np.where((code <= 1000) & ocean, code / 10, NAN).astype(np.float32)
    cells, area = np.flatnonzero(ocean), get_grid("n25000").cell_area()[ocean]
    blocks = ErrorBlocks.of(ocean.shape, cells, kilometres=25)
    method, table = make_method("departure"), read_table()
    inside, width, miss = [], [], []
    for length, first in [(1, 15), (3, 70), (5, 40), (9, 20)]:
        days = slice(first - 13, first + length + 13)
        cut = percent[days].copy()
        cut[13 : 13 + length] = NAN
        filled = method.fill(cut, ocean)
        for t in range(13, 13 + length):
            day = filled.day(t)
            steps = of_day(day, table)[ocean]
            truth = percent[days][t][ocean] / 100
            value = np.where(np.isnan(truth), NAN, day.values[ocean] / 100)
            real, sums = (extent_and_area(v, area) for v in (truth, value))
            interval = bound_sums(
                sums.extent, sums.area, concentration=value, cell_area=area, blocks=blocks,
                is_filled=~np.isnan(value), error=np.where(steps == NONE, NAN, steps * STEP / 100),
                region=np.ones(cells.size, int), days_back_forward=day.days_back_forward[ocean],
            )  # fmt: skip
            for low, high, found, true in (
                (interval.extent_low, interval.extent_high, sums.extent, real.extent),
                (interval.area_low, interval.area_high, sums.area, real.area),
            ):
                inside.append(bool((low <= true) & (true <= high)))
                width.append(float((high - low)[0] / 2))
                miss.append(float((found - true)[0]))
    assert np.mean(inside) >= 0.95
    # Wide enough to hold, narrow enough to say something.
    assert np.mean(width) < 3 * np.sqrt(np.mean(np.square(miss)))
    assert np.mean(width) < 0.3e6
