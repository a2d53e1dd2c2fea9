"""Baselines: their rules against plain sums over all cells, and that none of them sees the future."""

from datetime import date, timedelta

import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube

import consolidate_data
import create_mask
import forecast
from seaice import InputError
from seaice.dates import DateRange
from seaice.flags import FillFlag, Surface
from seaice.forecast.baselines import calendar_days, increments
from seaice.forecast.baselines.baseline import Training
from seaice.forecast.baselines.registry import BASELINES
from seaice.forecast.baselines.stage import make_baselines
from seaice.forecast.file import ForecastFile
from seaice.forecast.record import SeaIceRecord
from seaice.forecast.schedule import make_schedule, parse_leads
from seaice.forecast.scoring.stage import score_forecasts

ROWS, COLUMNS = 12, 14
SHORT = DateRange(date(2024, 1, 1), date(2024, 3, 10))
TEST = (date(2024, 2, 20), date(2024, 3, 2))
WITHOUT_YEARS = [name for name, baseline in BASELINES.items() if not baseline.years]
WITH_YEARS = [name for name, baseline in BASELINES.items() if baseline.years]
HALF_STEP = 5.1e-5  # of the files


def surface_of_test():
    surface = np.zeros((ROWS, COLUMNS), np.uint8)
    surface[:, 0] = Surface.LAND
    surface[5:7, 6:8] = Surface.POLE_HOLE
    return surface


def write_days(path, days, values, flags=None):
    values = np.where(surface_of_test() == Surface.POLE_HOLE, np.nan, values)
    grid = small_grid(ROWS, COLUMNS)
    return write_cube(
        path, dates=days, concentration=values, surface=surface_of_test(), grid=grid, flags=flags
    )


def drift(days, seed=0):
    """Ice that wanders from day to day, with some cells that were not observed."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.08, (days, ROWS, COLUMNS))
    values = np.round(np.abs((np.cumsum(steps, axis=0) + rng.uniform(0, 1, steps[0].shape)) % 2 - 1), 4)
    values[rng.uniform(0, 1, values.shape) < 0.02] = np.nan
    return values


@pytest.fixture(scope="module")
def short_cube(tmp_path_factory):
    return write_days(tmp_path_factory.mktemp("short") / "cube.nc", list(SHORT), drift(len(SHORT)))


@pytest.fixture(scope="module")
def years():
    """Days around the end of February of 21 years with values."""
    days = [d for y in range(2000, 2021) for d in DateRange(date(y, 2, 17), date(y, 3, 14))]
    rng = np.random.default_rng(4)
    base = rng.uniform(0, 1, (ROWS, COLUMNS))
    trend = rng.normal(0, 0.01, base.shape)
    values = np.empty((len(days), ROWS, COLUMNS))
    anomaly = np.zeros(base.shape)
    for number, day in enumerate(days):
        anomaly = 0.8 * anomaly + rng.normal(0, 0.05, base.shape)
        values[number] = base + trend * (day.year - 2010) + anomaly
    values = np.round(values.clip(0, 1), 4)
    values[rng.uniform(0, 1, values.shape) < 0.02] = np.nan
    return days, values


YEARS_TEST = (date(2020, 2, 27), date(2020, 3, 3))


@pytest.fixture(scope="module")
def long_cube(years, tmp_path_factory):
    return write_days(tmp_path_factory.mktemp("long") / "cube.nc", *years)


def run(cube, output_dir, methods, test=TEST, leads="1-3", **more):
    report = make_baselines(
        cube_file=cube, methods=methods, test=test, leads=leads, output_dir=output_dir, **more
    )
    assert report.failed == []
    assert report.outputs == [output_dir / f"{name}.nc" for name in methods]
    return report


def read_all(path):
    with ForecastFile(path) as file:
        return {day: file.read(day) for day in file.initial_days}


def test_persistence_mean_and_members_are_the_last_days(short_cube, tmp_path):
    """The first instead of the last of the days that are read, a stale baseline, would not pass."""
    run(short_cube, tmp_path, ["persistence", "mean3", "lagged"])
    persistence, mean3, lagged = (
        read_all(tmp_path / f"{name}.nc") for name in ("persistence", "mean3", "lagged")
    )
    assert list(persistence) == list(DateRange(date(2024, 2, 19), date(2024, 2, 28)))
    with SeaIceRecord(short_cube) as record:
        for day in persistence:
            past = np.stack([record.read_input(day - timedelta(days=back)) for back in range(7)])
            assert lagged[day].shape == (7, 3, ROWS, COLUMNS)
            for lead in range(3):
                np.testing.assert_allclose(persistence[day][0, lead], past[0], atol=HALF_STEP)
                np.testing.assert_allclose(mean3[day][0, lead], past[:3].mean(axis=0), atol=HALF_STEP)
                np.testing.assert_allclose(lagged[day][:, lead], past, atol=HALF_STEP)


def collect_pairs(record, training, features, starts, lead):
    """Features, increments and areas of all observed active cells, by plain stacking."""
    parts = []
    for start in starts:
        target = record.read_observed(start + timedelta(days=lead))
        cells = training.active & np.isfinite(target)
        increment = (target - record.read_input(start))[cells]
        parts.append(
            (np.stack([*features(record, start)])[:, cells].T, increment, record.cell_area[cells])
        )
    return (np.concatenate(column) for column in zip(*parts, strict=True))


def solve_plainly(*pairs):
    features, increment, area = pairs
    root = np.sqrt(area)
    return np.linalg.lstsq(features * root[:, np.newaxis], increment * root, rcond=None)[0]


@pytest.mark.parametrize("name", ["damped", "rolling"])
def test_increments_are_least_squares_of_the_days_already_seen(short_cube, tmp_path, name):
    run(short_cube, tmp_path, [name])
    forecasts = read_all(tmp_path / f"{name}.nc")
    with SeaIceRecord(short_cube) as record:
        schedule = make_schedule(record, test=DateRange(*TEST), leads=(1, 2, 3), history=7)
        training = Training.of(record, schedule)
        day = date(2024, 2, 26)
        for lead in (1, 3):
            if name == "damped":
                features = increments.compute_departure
                first, last = SHORT.start + timedelta(days=9), schedule.training.end
            else:
                features = increments.Stencil(record)
                first, last = day - timedelta(days=44 + lead), day
            starts = DateRange(max(first, SHORT.start + timedelta(days=6)), last - timedelta(days=lead))
            solved = solve_plainly(*collect_pairs(record, training, features, starts, lead))
            expected = record.read_input(day) + np.tensordot(
                solved, np.stack([*features(record, day)]), 1
            )
            np.testing.assert_allclose(
                forecasts[day][0, lead - 1], expected.clip(0, 1), atol=1e-5 + HALF_STEP
            )
            assert np.abs(solved).max() > 0.01


def test_the_stencil_looks_past_land(tmp_path):
    """Means are over ocean: along a shore of ice they are no smaller than in its middle."""
    cube = write_days(tmp_path / "cube.nc", list(SHORT)[:8], np.full((8, ROWS, COLUMNS), 0.8))
    with SeaIceRecord(cube) as record:
        features = np.stack([*increments.Stencil(record)(record, record.days[-1])])
    assert features.shape == (10, ROWS, COLUMNS)
    np.testing.assert_allclose(features[:8], 0, atol=1e-6)
    assert features[9, 0, 5] == pytest.approx(0.8) and (features[:, :, 0] == 0).all()


def near(days, middle):
    """Whether days lie within seven days of a calendar day; 29 February counts with 28 February."""
    plain = [d.replace(year=2001, day=28 if (d.month, d.day) == (2, 29) else d.day) for d in days]
    return np.array([abs((day - middle.replace(year=2001)).days) <= 7 for day in plain])


def test_climatology_and_its_probability_are_those_of_the_training_years(years, long_cube, tmp_path):
    run(long_cube, tmp_path, ["climatology", "anomaly"], YEARS_TEST)
    days, values = years
    training = np.array([day <= date(2020, 2, 26) for day in days])
    day, target = date(2020, 2, 28), date(2020, 3, 1)
    means = {}
    for calendar_day in (day, target):
        chosen = values[near(days, calendar_day) & training]
        means[calendar_day] = np.nanmean(chosen, axis=0)
        share = (chosen >= 0.15).sum(axis=0) / np.isfinite(chosen).sum(axis=0)
    ocean = surface_of_test() == Surface.OCEAN
    with ForecastFile(tmp_path / "climatology.nc") as file:
        assert file.initial_days[2] == day
        np.testing.assert_allclose(file.read(day)[0, 1][ocean], means[target][ocean], atol=1e-4)
        probability = file.read_probability(day)[1]
        np.testing.assert_allclose(probability[ocean], share[ocean], atol=1e-4)
        assert 0 < probability[ocean].min() < probability[ocean].max() <= 1 or (share == 1).any()
    with SeaIceRecord(long_cube) as record:
        expected = means[target] + record.read_input(day) - means[day]
    anomaly = read_all(tmp_path / "anomaly.nc")[day][0, 1]
    np.testing.assert_allclose(anomaly[ocean], expected.clip(0, 1)[ocean], atol=2e-4)


def test_a_leap_day_takes_the_mean_of_its_neighbours(long_cube, tmp_path):
    run(long_cube, tmp_path, ["climatology"], YEARS_TEST)
    maps = read_all(tmp_path / "climatology.nc")[date(2020, 2, 27)][0]
    np.testing.assert_allclose(maps[1], (maps[0] + maps[2]) / 2, atol=1.6e-4)


def test_the_trend_is_a_straight_line_over_the_years(years, long_cube, tmp_path):
    run(long_cube, tmp_path, ["trend"], YEARS_TEST)
    days, values = years
    target = date(2020, 3, 3)
    part = near(days, target) & np.array([day <= date(2020, 2, 26) for day in days])
    chosen, row, column = values[part], 3, 4
    time = np.array([(day - target).days for day, used in zip(days, part, strict=True) if used])
    known = np.isfinite(chosen[:, row, column])
    line = np.polyfit(time[known], chosen[known, row, column], 1)
    forecasts = read_all(tmp_path / "trend.nc")
    assert forecasts[date(2020, 2, 29)][0, 2, row, column] == pytest.approx(line[1], abs=1e-3)
    assert abs(line[1] - np.nanmean(chosen[:, row, column])) > 5e-3


def test_anomalies_fade_as_in_the_training_years(long_cube, tmp_path):
    run(long_cube, tmp_path, ["damped_anomaly", "anomaly", "climatology"], YEARS_TEST)
    day = date(2020, 2, 27)
    damped, whole, mean = (
        read_all(tmp_path / f"{name}.nc")[day][0]
        for name in ("damped_anomaly", "anomaly", "climatology")
    )
    clear = (np.abs(whole - mean) > 0.1) & (whole > 0.02) & (whole < 0.98)
    for lead in (1, 3):
        part = ((damped - mean) / np.where(clear, whole - mean, np.nan))[lead - 1]
        assert np.nanmin(part) > -0.01 and np.nanmax(part) < 1.01
        # The trend keeps a part of every anomaly; the rest fades by 0.8 a day.
        assert 0.8**lead - 0.05 < np.nanmedian(part) < 0.99
    assert np.nanmedian(((damped - mean) / (whole - mean))[0][clear[0]]) > np.nanmedian(
        ((damped - mean) / (whole - mean))[2][clear[2]]
    )


@pytest.mark.parametrize("kind", ["short", "years"])
def test_no_forecast_sees_a_later_day(kind, years, tmp_path):
    days, values = (list(SHORT), drift(len(SHORT))) if kind == "short" else years
    names, test = (WITHOUT_YEARS, TEST) if kind == "short" else (WITH_YEARS, YEARS_TEST)
    run(write_days(tmp_path / "cube.nc", days, values), tmp_path / "before", names, test)
    with ForecastFile(tmp_path / "before" / f"{names[0]}.nc") as file:
        first, last = file.initial_days[0], file.initial_days[-1]
    for day in (first, last) if kind == "short" else (first,):
        changed = np.array([other > day for other in days])
        other = np.array(values)
        other[changed] = np.random.default_rng(9).uniform(0, 1, other[changed].shape).round(4)
        folder = tmp_path / str(day)
        run(write_days(tmp_path / "changed.nc", days, other), folder, names, test)
        for name in names:
            before, after = (read_all(f / f"{name}.nc")[day] for f in (tmp_path / "before", folder))
            assert before.tobytes() == after.tobytes(), name
        if day == first:  # the change is one: later forecasts see it
            later = (read_all(f / f"{names[1]}.nc")[last] for f in (tmp_path / "before", folder))
            assert not np.array_equal(*later, equal_nan=True)


def test_a_cube_filled_from_later_days_gives_the_same_forecasts(tmp_path):
    values = drift(len(SHORT))
    flags = np.where(np.isnan(values), FillFlag.INCREMENT_TWO_SIDED, FillFlag.OBSERVED).astype(np.uint8)
    later = np.where(np.isnan(values), 0.5, values)
    run(write_days(tmp_path / "cube.nc", list(SHORT), values), tmp_path / "gaps", WITHOUT_YEARS)
    run(
        write_days(tmp_path / "filled.nc", list(SHORT), later, flags), tmp_path / "filled", WITHOUT_YEARS
    )
    for name in WITHOUT_YEARS:
        gaps, filled = (read_all(tmp_path / kind / f"{name}.nc") for kind in ("gaps", "filled"))
        for day in gaps:
            np.testing.assert_array_equal(gaps[day], filled[day])


def test_a_file_without_flags_is_used_with_a_warning(short_cube, tmp_path):
    with xr.open_dataset(short_cube, decode_times=False) as cube:
        kept = cube[["sea_ice_conc", "crs", "surface"]].drop_vars(["lat", "lon"], errors="ignore")
        kept.sea_ice_conc.attrs.pop("ancillary_variables")
        kept.to_netcdf(tmp_path / "plain.nc")
    report = run(tmp_path / "plain.nc", tmp_path / "plain", ["persistence"])
    (line,) = report.left_out
    assert "plain.nc does not tell filled values from observed ones" in line
    assert run(short_cube, tmp_path / "flags", ["persistence"]).left_out == []
    plain, flags = (read_all(tmp_path / kind / "persistence.nc") for kind in ("plain", "flags"))
    for day in flags:
        np.testing.assert_array_equal(plain[day], flags[day])


def test_days_that_cannot_be_used_are_named(tmp_path):
    values = drift(len(SHORT))
    lost = SHORT.start + timedelta(days=55)
    values[55] = np.nan
    report = run(write_days(tmp_path / "cube.nc", list(SHORT), values), tmp_path / "base", ["rolling"])
    assert lost not in report.values["initial_days"] and len(report.values["initial_days"]) == 9
    assert report.left_out == [f"initial day {lost}: 0% of the ocean observed"]


@pytest.mark.parametrize(
    "words, message",
    [
        (
            ["--methods", "climatology"],
            "climatology needs at least 10 years of training days, the cube has 70",
        ),
        (["--methods", "trend"], "trend needs at least 20 years"),
        (["--test", "2024-03-01", "2024-03-12"], "after the last day of"),
        (["--test", "2024-02-20", "2024-02-22"], "3 days, too few for leads 1 to 7"),
        (["--train", "2024-01-01", "2024-02-25"], "the last day that the first forecast may know"),
        (["--train", "2023-01-01", "2024-02-10"], "begin before"),
        (["--leads", "3-1"], "expected leads in days"),
        (["--test", "2024-01-12", "2024-01-20"], "damped needs at least 17 observed days to learn from"),
        (["--mask_file", "cube"], "is no mask of create_mask.py"),
    ],
)
def test_bad_input_is_one_line(short_cube, tmp_path, capsys, words, message):
    words = [str(short_cube) if word == "cube" else word for word in words]
    test = [] if "--test" in words else ["--test", "2024-02-20", "2024-03-02"]
    command = [
        "baseline",
        "--cube_file",
        str(short_cube),
        "--output_dir",
        str(tmp_path / "base"),
        "--quiet",
    ]
    assert forecast.main([*command, *test, *words]) == 1
    (line,) = (line for line in capsys.readouterr().err.splitlines() if message in line)
    assert line.startswith(("error: ", "failed: "))


def test_years_are_counted_by_season():
    test = DateRange(date(2011, 12, 28), date(2012, 1, 5))
    winters = [DateRange(date(y, 6, 1), date(2011, 12, 20)) for y in (2001, 2002)]
    # The window of 28 December begins on the 21st.
    assert [calendar_days.count_years(training, test) for training in winters] == [10, 9]


def test_leads_are_read_in_order():
    assert parse_leads("1-3, 7,10-11") == (1, 2, 3, 7, 10, 11)
    for text in ("", "0-3", "2,1", "1-3,3", "a"):
        with pytest.raises(InputError, match="expected leads in days"):
            parse_leads(text)


PRODUCT = r"""
units: percent
scale: 0.1
codes: {2510: pole_hole, 2530: coast, 2540: land, 2550: missing}
forms:
  - file: 'g02135_(?P<hemisphere>north|south)_daily_\d{8}_\d{8}\.nc'
    container: netcdf
    variable: code
"""
PERSISTENCE = [4.73, 6.56, 7.89, 8.87, 9.62, 10.20, 10.67]
PERSISTENCE_EDGE = [372, 501, 596, 658, 687, 697, 707]


@pytest.fixture(scope="module")
def real_cube(real_data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    (folder / "index.yml").write_text(PRODUCT)
    days = ["--source_dir", str(real_data / "sea_ice_index"), "--product", str(folder / "index.yml")]
    days += ["--start_date", "20250101", "--end_date", "20250331"]
    mask, cube = folder / "mask.nc", folder / "cube.nc"
    assert create_mask.main([*days, "--output_file", str(mask)]) == 0
    words = ["--land_mask_file", str(mask), "--output_file", str(cube), "--method", "temporal"]
    assert consolidate_data.main([*days, *words]) == 0
    return cube, mask


def test_real_days_give_the_figures_of_the_reference(real_cube, tmp_path):
    cube, mask = real_cube
    test = (date(2025, 3, 1), date(2025, 3, 31))
    run(cube, tmp_path, ["persistence", "rolling", "lagged"], test, "1-7", mask_file=mask)
    files = [tmp_path / f"{name}.nc" for name in ("persistence", "rolling", "lagged")]
    report = score_forecasts(
        forecast=files, cube_file=cube, mask_file=mask, output_dir=tmp_path / "scores"
    )
    by_method = {}
    for row in report.values["rows"]:
        by_method.setdefault(row.method, []).append(row)
    persistence, rolling, lagged = by_method.values()
    assert persistence[0].area_km2 / 1e6 == pytest.approx(18.4, abs=0.2)
    assert {row.starts for row in persistence} == {25}
    np.testing.assert_allclose([row.rmse.value for row in persistence[:7]], PERSISTENCE, atol=0.05)
    np.testing.assert_allclose([row.iiee for row in persistence[:7]], PERSISTENCE_EDGE, atol=5)
    assert (persistence[0].over, persistence[0].under) == pytest.approx((180, 192), abs=1)
    assert [lagged[k].crps for k in (0, 6)] == pytest.approx([2.37, 4.16], abs=0.01)
    assert [lagged[k].sps for k in (0, 6)] == pytest.approx([381, 593], abs=1)
    assert min(row.skill_rmse.value for row in rolling) >= 4
    assert rolling[-1].skill_rmse.value >= 6.5 and rolling[-1].skill_rmse.low > 0
    assert rolling[-1].skill_iiee.value >= 2
    assert 0.8 < rolling[-1].edge_length_ratio < 0.9
