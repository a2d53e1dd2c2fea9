"""Climatology, anomalies, months, years and trends: by hand, against pandas, and the files."""

import csv
import os
import re
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from cubes import small_grid, write_cube
from hypothesis import given, settings
from hypothesis import strategies as st
from index_years import simulate_extent, write_nsidc_days
from PIL import Image

import ice_index as script
from seaice import InputError
from seaice.grids import get_grid
from seaice.ice_index.climate.climatology import PERCENTILES, compute_climatology, read_climatology
from seaice.ice_index.climate.days import (
    arrange_by_year,
    average_trailing_days,
    fill_single_days,
    rank_among,
)
from seaice.ice_index.climate.periods import average_months, summarise_years
from seaice.ice_index.climate.record import describe_climate
from seaice.ice_index.climate.trend import fit_trend
from seaice.ice_index.series_file import read_series
from seaice.ice_index.stage import ice_index

NAN = np.nan
REAL = os.environ.get("SEAICE_REAL_DATA")


def series_of(days, values):
    return pd.Series(values, pd.DatetimeIndex(days))


@pytest.fixture(scope="module")
def long_series():
    """Twelve years with leap days, missing days (one a 29 February) and a gap of three days."""
    days, extent = simulate_extent(date(2012, 1, 1), date(2023, 10, 20))
    extent = extent.round(3) * 1e6
    at = {day: number for number, day in enumerate(days)}
    missing = [date(2013, 5, 7), date(2016, 2, 29), date(2016, 12, 31), date(2019, 1, 1)]
    missing += [date(2020, 7, 1) + timedelta(days=number) for number in range(3)]
    extent[[at[day] for day in missing]] = NAN
    return days, extent


# --- days ---------------------------------------------------------------------------------


def test_a_single_missing_day_is_filled_and_a_longer_gap_is_not():
    values = np.array([NAN, 1.0, NAN, 2.0, NAN, NAN, 5.0, NAN])
    expected = [NAN, 1.0, 1.5, 2.0, NAN, NAN, 5.0, NAN]
    np.testing.assert_array_equal(fill_single_days(values), expected)
    assert np.isnan(values[2]), "the input stays"


def test_every_other_day_becomes_a_full_series():
    """As SMMR measured."""
    values = np.where(np.arange(31) % 2 == 0, np.arange(31.0), NAN)
    np.testing.assert_array_equal(fill_single_days(values), np.arange(31.0))


@pytest.mark.parametrize("days", [1, 2])
def test_one_and_two_days_have_nothing_to_fill(days):
    np.testing.assert_array_equal(fill_single_days(np.full(days, NAN)), np.full(days, NAN))


def test_day_366_of_a_common_year_is_new_year():
    days = [date(2023, 12, 30) + timedelta(days=number) for number in range(370)]
    years, table = arrange_by_year(days, np.arange(370.0))
    assert years.tolist() == [2023, 2024, 2025]
    assert table[0, 363:].tolist() == [0, 1, 2]
    assert table[1, 0] == 2 and table[1, 59] == 61  # 29 February is day 60
    assert table[1, 365] == 367  # 31 December of a leap year
    assert table[2, :2].tolist() == [368, 369] and np.isnan(table[2, 2:]).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.just(NAN), st.integers(0, 4).map(float)), min_size=1, max_size=9))
def test_ranks_are_those_of_pandas(values):
    rank, count = rank_among(np.array(values)[:, None])
    np.testing.assert_array_equal(rank[:, 0], pd.Series(values).rank(method="min"))
    assert count[0] == pd.Series(values).count()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.one_of(st.just(NAN), st.integers(0, 9).map(float)), min_size=1, max_size=20))
def test_trailing_means_are_those_of_pandas(values):
    expected = pd.Series(values).rolling(5, min_periods=2).mean()
    np.testing.assert_allclose(average_trailing_days(np.array(values)), expected, atol=1e-12)


# --- climatology --------------------------------------------------------------------------


def compute_as_nsidc(days, values, first, last):
    """NSIDC's rule with pandas: fill, cut to the years, 366 days from every 1 January on."""
    series = series_of(days, values)
    isolated = series.isna() & series.shift(1).notna() & series.shift(-1).notna()
    series = series.where(~isolated, series.interpolate())
    series = series[f"{first}-01-01" : f"{last}-12-31"]
    stacked = pd.concat(
        [series.reindex(pd.date_range(f"{year}-01-01", periods=366)).reset_index(drop=True)
         for year in range(first, last + 1)],
        axis=1,
    )  # fmt: skip
    levels = [stacked.quantile(level / 100, axis=1) for level in PERCENTILES]
    return np.array([stacked.mean(axis=1), stacked.std(axis=1), *levels])


@pytest.mark.parametrize("first, last", [(2012, 2022), (2013, 2016), (2014, 2015)])
def test_the_rule_of_nsidc_comes_out(long_series, first, last):
    days, values = long_series
    years, table = arrange_by_year(days, fill_single_days(values))
    usual = compute_climatology(years, table, first_year=first, last_year=last)
    got = np.array([usual.mean, usual.standard_deviation, *usual.percentiles])
    expected = compute_as_nsidc(days, values, first, last)
    # NSIDC rounds to 0.001 million km2; here nothing is left to rounding.
    np.testing.assert_allclose(got, expected, atol=1e-3, equal_nan=True)
    assert usual.label == f"{first}-{last}"
    assert usual.years[0] == last - first + 1
    # Of the last year 1 January after it does not count, unless it is a leap year.
    assert usual.years[365] == last - first + (last % 4 == 0)


def test_climatology_by_hand():
    years, table = np.arange(2001, 2005), np.full((4, 366), NAN)
    table[:, 0] = 1, 2, 4, 9
    table[:2, 1] = 3, 5
    table[0, 2] = 7
    usual = compute_climatology(years, table, first_year=2001, last_year=2003)
    assert (usual.mean[0], usual.years[0]) == (pytest.approx(7 / 3), 3)
    assert usual.standard_deviation[0] == pytest.approx(np.sqrt(14 / 6))
    assert usual.percentiles[:, 0].tolist() == pytest.approx([1.2, 1.5, 2, 3, 3.6])
    assert (usual.mean[1], usual.standard_deviation[1]) == (4, pytest.approx(np.sqrt(2)))
    assert usual.mean[2] == 7 and np.isnan(usual.standard_deviation[2]), "one year has no spread"
    assert np.isnan(usual.mean[3]) and usual.years[3] == 0
    assert compute_climatology(years, table, first_year=2003, last_year=2003) is None


def test_climatologies_are_read_again(tmp_path, folder, long_series):
    """NSIDC's layout, with its rounding, and the table of the stage."""
    days, values = long_series
    ((key, own),) = read_climatology(folder / "climatology.csv").items()
    assert key == ("extent", "whole grid")
    expected = compute_as_nsidc(days, values, 2012, 2021)
    got = [own.mean, own.standard_deviation, *own.percentiles]
    np.testing.assert_allclose(got, expected, atol=0.06)
    assert (own.label, own.years[59]) == ("2012-2021 of climatology.csv", 10)
    published = tmp_path / "N_seaice_extent_climatology_2012-2021_v4.0.csv"
    lines = ["std Years = 2012-2021", "DOY,   Average Extent,   Std Deviation,      10th"]
    lines += [
        f"{day:03d}," + ",".join(f"{value / 1e6:17.3f}" for value in expected[:, day - 1])
        for day in range(1, 367)
    ]
    published.write_text("\n".join(lines) + "\n")
    ((key, rounded),) = read_climatology(published).items()
    assert (key, rounded.includes(2012), rounded.includes(2022)) == (("extent", ""), True, False)
    got = np.array([rounded.mean, rounded.standard_deviation, *rounded.percentiles])
    np.testing.assert_allclose(got, expected, atol=500.1)
    # Against it the anomalies are the same but for the rounding.
    series = read_series(folder / "daily.csv", whole_grid="whole grid")
    plain, against = (
        describe_climate(series, climatology_years=(2012, 2021), published=each, least_days=20)[0]
        for each in (None, {key: rounded})
    )
    np.testing.assert_allclose(plain.anomaly, against.anomaly, atol=501)
    np.testing.assert_allclose(plain.month_anomaly, against.month_anomaly, atol=50_000)
    assert against.label == f"2012-2021 of {published.name}"


@pytest.mark.skipif(not REAL, reason="SEAICE_REAL_DATA is not set")
def test_the_climatology_of_nsidc_is_read():
    (path,) = (Path(REAL) / "nasateam").glob("N_seaice_extent_climatology_*.csv")
    ((_, usual),) = read_climatology(path).items()
    assert (usual.first_year, usual.last_year) == (1981, 2010)
    assert (usual.mean[5], usual.standard_deviation[5]) == pytest.approx((14.028e6, 0.447e6))
    assert np.count_nonzero(~np.isnan(usual.mean)) == 32, "days 1 to 31 and 366"
    inside = ~np.isnan(usual.mean)
    assert (np.diff(usual.percentiles[:, inside], axis=0) > 0).all()


# --- months, years, trends ------------------------------------------------------------------


def test_a_month_needs_its_days():
    days = [date(2021, 1, 1) + timedelta(days=number) for number in range(59)]
    values = np.ones(59)
    values[:12] = NAN  # January keeps 19 days
    values[31:39] = NAN  # February 20
    values[45] = NAN  # and one that is filled
    values[44], values[46] = 3, 5
    months = average_months(days, values)
    assert (months.days.tolist(), months.filled_days.tolist()) == ([19, 20], [0, 1])
    assert np.isnan(months.mean[0])
    assert months.mean[1] == pytest.approx((17 + 3 + 4 + 5) / 20)
    assert average_months(days, values, least_days=19).mean[0] == 1
    assert np.isnan(average_months(days, values, least_days=21).mean).all()


def test_months_are_those_of_pandas(long_series):
    days, values = long_series
    months = average_months(days, values)
    filled = series_of(days, fill_single_days(values))
    groups = filled.groupby([filled.index.year, filled.index.month])
    expected = groups.mean().where(groups.count() >= 20)
    np.testing.assert_allclose(months.mean, expected)
    assert list(zip(months.year, months.month, strict=True)) == list(expected.index)


def test_lowest_and_highest_days_of_a_year(long_series):
    days, values = long_series
    values = values.copy()
    at = {day: number for number, day in enumerate(days)}
    values[[at[date(2015, 9, 12)], at[date(2015, 9, 20)]]] = 2e6
    years = summarise_years(days, values, average_months(days, values))
    series = series_of(days, values)
    own = years.year.tolist().index(2015)
    assert (years.minimum.value[own], years.minimum.day[own]) == (2e6, date(2015, 9, 12))
    assert (years.minimum.ties[own], years.maximum.ties[own]) == (2, 1)
    assert years.maximum.day[own] == series["2015"].idxmax().date()
    smooth = series_of(days, fill_single_days(values)).rolling(5, min_periods=2).mean()["2015"]
    assert years.minimum.day_of_five[own] == smooth.idxmin().date()
    assert years.minimum.value_of_five[own] == pytest.approx(smooth.min())
    assert years.mean[own] == pytest.approx(values[at[date(2015, 1, 1)] : at[date(2016, 1, 1)]].mean())
    # 2023 ends in October: its minimum and maximum count, its mean does not.
    assert np.isnan(years.mean[-1]) and not np.isnan(years.mean[:-1]).any()
    assert years.minimum.counts.all() and years.maximum.counts.all()
    shorter = days[:-45], values[:-45]  # to 5 September
    years = summarise_years(*shorter, average_months(*shorter))
    assert years.minimum.counts.tolist() == [True] * 11 + [False]
    assert years.maximum.counts.all()


def test_trend_by_hand_and_against_scipy():
    from scipy.stats import linregress, t

    time, values = np.arange(1990.0, 1998), np.array([5.0, 4.0, NAN, 6.0, 3.0, 1.0, 3.0, 0.0])
    trend = fit_trend(time, values)
    has_value = ~np.isnan(values)
    fit = linregress(time[has_value], values[has_value])
    residual = (values - fit.intercept - fit.slope * time)[has_value]
    pairs = [(0, 1), (2, 3), (3, 4), (4, 5), (5, 6)]  # not across the gap
    correlation = np.mean([residual[a] * residual[b] for a, b in pairs]) / np.mean(residual**2)
    assert correlation < 0 and trend.autocorrelation == pytest.approx(correlation)
    assert (trend.size, trend.effective_count) == (7, 7), "alike in no way: nothing is added"
    half = t.ppf(0.975, 5) * fit.stderr
    assert trend[:3] == pytest.approx((fit.slope, fit.slope - half, fit.slope + half))
    assert trend.predict(np.array([1990.0]))[0] == pytest.approx(fit.intercept + fit.slope * 1990)


def test_years_beside_a_gap_are_no_neighbours():
    """By hand: of 2, 3, 4 and 8, 9 the pair 4 and 8 says nothing about how alike neighbours are."""
    time, values = np.array([2.0, 3, 4, 8, 9]), np.array([1.0, 5, 2, 9, 3])
    residual = values - np.polyval(np.polyfit(time, values, 1), time)
    pairs = residual[[0, 1, 3]] * residual[[1, 2, 4]]
    expected = pairs.mean() / (residual**2).mean()
    assert fit_trend(time, values).autocorrelation == pytest.approx(expected)
    # The same years with empty ones between them.
    whole = np.full(8, np.nan)
    whole[(time - 2).astype(int)] = values
    assert fit_trend(np.arange(2.0, 10), whole).autocorrelation == pytest.approx(expected)


def test_trend_of_years_that_are_alike_is_less_sure():
    rng = np.random.default_rng(1)
    inside = {"alike": [], "plain": []}
    for _ in range(300):
        noise = np.zeros(60)
        for year in range(1, 60):
            noise[year] = 0.5 * noise[year - 1] + rng.normal()
        trend = fit_trend(np.arange(60.0), noise)
        inside["alike"].append(trend.low <= 0 <= trend.high)
        plain = (trend.high - trend.slope) * np.sqrt((trend.effective_count - 2) / 58)
        inside["plain"].append(abs(trend.slope) <= plain)
    assert 0.89 <= np.mean(inside["alike"]) <= 0.98
    assert np.mean(inside["plain"]) < np.mean(inside["alike"]) - 0.08, "as if years were independent"


@pytest.mark.parametrize("values", [[], [1.0, 2.0], [NAN, 1.0, NAN, 2.0]])
def test_too_few_values_have_no_trend(values):
    trend = fit_trend(np.arange(float(len(values))), np.array(values))
    assert np.isnan([trend.slope, trend.low, trend.high]).all()


def test_a_straight_line_is_certain():
    trend = fit_trend(np.arange(5.0), 3 - 2 * np.arange(5.0))
    assert trend[:3] == pytest.approx((-2, -2, -2))


# --- the stage ----------------------------------------------------------------------------


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name] or "nan") for row in rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, long_series):
    days, values = long_series
    place = tmp_path_factory.mktemp("years")
    path = write_nsidc_days(place / "N_seaice_extent_daily_v4.0.csv", days, values / 1e6)
    words = ["--series_file", str(path), "--output_dir", str(place / "index")]
    assert script.main([*words, "--climatology_years", "2012", "2021"]) == 0
    return place / "index"


def test_the_folder_holds_everything(folder, long_series):
    days, values = long_series
    expected = [
        "anomalies.csv",
        "anomalies_0_whole_grid.png",
        "climatology.csv",
        "daily.csv",
        "index.nc",
    ]
    expected += ["months.csv", "trends.csv", "years.csv", "years_0_whole_grid.png"]
    assert sorted(path.name for path in folder.iterdir()) == expected
    anomalies = rows_of(folder / "anomalies.csv")
    usual = compute_as_nsidc(days, values, 2012, 2021)
    day = np.array([each.timetuple().tm_yday for each in days]) - 1
    filled = fill_single_days(values)
    np.testing.assert_allclose(column(anomalies, "value_km2"), filled, atol=0.06)
    np.testing.assert_allclose(column(anomalies, "anomaly_km2"), filled - usual[0, day], atol=0.11)
    standardised = (filled - usual[0, day]) / usual[1, day]
    np.testing.assert_allclose(column(anomalies, "standardised_anomaly"), standardised, atol=6e-4)
    assert column(anomalies, "is_filled").sum() == 4, "not the gap of three days"
    series = series_of(days, filled)
    september = series[series.index.day_of_year == 250]
    own = [row for row in anomalies if date.fromisoformat(row["date"]).timetuple().tm_yday == 250]
    assert column(own, "rank_from_lowest").tolist() == september.rank().tolist()
    assert {row["ranked_years"] for row in own} == {"12"}
    assert [row["in_climatology"] for row in own] == ["1"] * 10 + ["0"] * 2
    for name in ("anomalies", "climatology", "months", "trends", "years"):
        rows = rows_of(folder / f"{name}.csv")
        assert {row["climatology"] for row in rows} == {"2012-2021"}
        assert all("ice-covered from 15 percent; pole hole, unless" in row["convention"] for row in rows)


def test_months_years_and_trends_of_the_folder(folder, long_series):
    days, values = long_series
    months = rows_of(folder / "months.csv")
    own = [row for row in months if row["month"] == "9"]
    mean = average_months(days, values).mean.reshape(-1)[8::12]
    np.testing.assert_allclose(column(own, "mean_km2"), mean, atol=0.06)
    np.testing.assert_allclose(column(own, "anomaly_km2"), mean - mean[:10].mean(), atol=0.11)
    assert column(own, "rank_from_lowest").tolist() == pd.Series(mean).rank().tolist()
    trends = {row["trend_of"]: row for row in rows_of(folder / "trends.csv")}
    assert len(trends) == 16
    fit = fit_trend(np.arange(12.0), mean)
    september = trends["September"]
    assert float(september["trend_km2_per_decade"]) == pytest.approx(10 * fit.slope, abs=0.06)
    assert float(september["trend_low_km2_per_decade"]) == pytest.approx(10 * fit.low, abs=0.06)
    percent = 1000 * fit.slope / mean[:10].mean()
    assert float(september["trend_percent_per_decade"]) == pytest.approx(percent, abs=6e-3)
    assert (september["values"], trends["annual mean"]["values"]) == ("12", "11")
    assert int(trends["all months"]["values"]) == len(months)
    assert float(trends["all months"]["effective_values"]) < len(months) / 2
    # The made-up trend, -0.6 million km2 a decade, lies within most of the intervals.
    low, high = (column(trends.values(), f"trend_{end}_km2_per_decade") for end in ("low", "high"))
    assert ((low < -0.6e6) & (high > -0.6e6)).mean() > 0.6
    (last,) = (row for row in rows_of(folder / "years.csv") if row["year"] == "2023")
    assert (last["mean_km2"], last["minimum_counts"], last["minimum_ranked_years"]) == ("", "1", "12")
    assert last["minimum_date"] == series_of(days, values)["2023"].idxmin().date().isoformat()


def test_netcdf_holds_the_tables(folder, long_series):
    days, _ = long_series
    with xr.open_dataset(folder / "index.nc") as dataset:
        assert dataset["sea_ice_extent"].shape == (len(days), 1)
        usual = dataset["extent_climatological_mean"]
        rows = rows_of(folder / "climatology.csv")
        np.testing.assert_allclose(usual[0], column(rows, "mean_km2"), atol=0.06)
        assert usual.attrs["comment"] == "climatology 2012-2021"
        assert dataset["extent_percentiles"].dims == ("region", "percentile", "day_of_year")
        np.testing.assert_allclose(
            dataset["extent_percentiles"].sel(percentile=90)[0],
            column(rows, "percentile_90_km2"),
            atol=0.06,
        )
        years = rows_of(folder / "years.csv")
        when = dataset["extent_minimum_date"][0].dt.strftime("%Y-%m-%d")
        assert when.values.tolist() == [row["minimum_date"] for row in years]
        assert str(dataset["month"][1].values)[:10] == "2012-02-01"
        assert "September" in dataset["trend_name"].values
        assert "extent_climatological_mean" in dataset and "area_climatological_mean" not in dataset


@pytest.mark.slow
def test_the_netcdf_file_follows_cf(folder):
    checker = Path(sys.executable).with_name("compliance-checker")
    if not checker.exists():
        pytest.skip("compliance-checker is not installed")
    words = [str(checker), "--test=cf:1.11", "--criteria=normal", str(folder / "index.nc")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert "Errors" not in done.stdout, done.stdout
    assert done.returncode == 0, done.stdout


def test_pictures_show_years_bands_and_trends(folder):
    for name, colours in (
        ("years_0_whole_grid", [(0xC8, 0x45, 0x2C), (0xEC, 0xEF, 0xF2), (0x14, 0x30, 0x4F)]),
        ("anomalies_0_whole_grid", [(0x3F, 0x8F, 0xC5), (0xD9, 0x69, 0x4F), (0x14, 0x30, 0x4F)]),
    ):
        with Image.open(folder / f"{name}.png") as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        for colour in colours:
            assert (np.abs(pixels - colour).max(axis=2) < 8).sum() > 100, (name, colour)


def test_an_earlier_series_goes_on_with_a_cube(tmp_path, folder, caplog):
    """CSV and NetCDF of an earlier run, a cube after them; where both have a day the cube counts."""
    grid = small_grid(2, 3)
    days = [date(2023, 10, 18) + timedelta(days=number) for number in range(4)]
    cube = write_cube(
        tmp_path / "cube.nc",
        dates=days,
        concentration=np.ones((4, *grid.shape)),
        surface=np.zeros(grid.shape, np.uint8),
        grid=grid,
    )
    for name in ("daily.csv", "index.nc"):
        report = ice_index(
            input_file=cube,
            series_file=[folder / name],
            pole_hole="ice",
            output_csv=tmp_path / "all.csv",
        )
        series = report.values["series"]
        assert (series.dates[0], series.dates[-1]) == (date(2012, 1, 1), days[-1])
        area = grid.cell_area().sum()
        np.testing.assert_allclose(series.extent[-4:, 0], area)
        earlier = read_series(folder / name, whole_grid="whole grid")
        np.testing.assert_array_equal(series.extent[:-4, 0], earlier.extent[:-3, 0])
        assert np.isnan(series.area[0, 0]) and series.area[-1, 0] == pytest.approx(area)
        assert [line for line in report.lines if "3 days that an earlier source has too" in line]
        again = read_series(tmp_path / "all.csv", whole_grid="whole grid")
        np.testing.assert_allclose(again.extent, series.extent, atol=0.06)
        assert again.surface_rule == series.surface_rule != ""
    with pytest.raises(InputError, match=r"expected one threshold, found 0.3 in cube.nc and 0.15 in"):
        ice_index(input_file=cube, series_file=[folder / "daily.csv"], threshold=0.3)


def test_two_cubes_follow_each_other(tmp_path):
    grid, days = small_grid(2, 3), [date(2023, 12, 30) + timedelta(days=number) for number in range(6)]
    cubes = [
        write_cube(
            tmp_path / f"{number}.nc",
            dates=own,
            concentration=np.full((len(own), *grid.shape), share),
            surface=np.zeros(grid.shape, np.uint8),
            grid=grid,
        )
        for number, (own, share) in enumerate([(days[:3], 0.5), (days[2:], 1.0)])
    ]
    series = ice_index(input_file=cubes).values["series"]
    assert series.dates == days and series.source == "0.nc, 1.nc"
    np.testing.assert_allclose(series.area[:, 0] / grid.cell_area().sum(), [0.5] * 3 + [1] * 3)
    cut = ice_index(input_file=cubes, start_date=days[4]).values["series"]
    assert cut.dates == days[4:]
    with pytest.raises(InputError, match="no cube has a day from 2030-01-01 to None; choose other days"):
        ice_index(input_file=cubes, start_date=date(2030, 1, 1))
    with pytest.raises(InputError, match="expected one --input_file for --animation, found 2; name one"):
        ice_index(input_file=cubes, animation=tmp_path / "days.gif")
    with pytest.raises(
        InputError, match=r"expected at least 2 years with values .* found fewer in 2023"
    ):
        ice_index(input_file=cubes, output_dir=tmp_path / "index")


def test_cubes_of_other_cells_and_of_the_other_hemisphere(tmp_path):
    days = [date(2023, 12, 30) + timedelta(days=number) for number in range(3)]
    grids = [small_grid(2, 3), small_grid(2, 2), get_grid("s25000").crop(slice(0, 2), slice(0, 3))]
    cubes = [
        write_cube(
            tmp_path / f"{number}.nc",
            dates=[days[number]],
            concentration=np.ones((1, *grid.shape)),
            surface=np.zeros(grid.shape, np.uint8),
            grid=grid,
        )
        for number, grid in enumerate(grids)
    ]
    note = "the cubes lie on different grids, so that a step between them may be no change of the ice"
    for chosen, count in ((cubes[:2], 1), (cubes[:1], 0)):
        assert sum(line.startswith(note) for line in ice_index(input_file=chosen).lines) == count
    with pytest.raises(InputError, match=r"one hemisphere, found .*1.nc of the north and .*2.nc of the"):
        ice_index(input_file=cubes[1:])
    published = tmp_path / "S_seaice_extent_climatology_1981-2010_v4.0.csv"
    published.write_text("std Years = 1981-2010\nDOY\n1,13,0.5,12,12.5,13,13.5,14\n")
    with pytest.raises(InputError, match=r"0.nc of the north and S_seaice_extent_climatology"):
        ice_index(input_file=cubes[0], climatology_file=published, output_dir=tmp_path / "index")


def test_lines_of_blanks_and_absent_values_in_a_series_of_nsidc(tmp_path):
    days, extent = simulate_extent(date(2023, 1, 1), date(2023, 1, 3))
    path = write_nsidc_days(tmp_path / "days.csv", days, extent)
    lines = path.read_text().splitlines()
    lines[3] = "2023,    01,  02,           ,      0.000, []"
    path.write_text("\n".join([*lines[:4], "", "   ", *lines[4:], "  , ,"]))
    series = read_series(path, whole_grid="whole grid")
    assert np.isnan(series.extent[:, 0]).tolist() == [False, True, False]


def test_few_years_are_told(tmp_path, caplog):
    days, extent = simulate_extent(date(2020, 1, 1), date(2023, 3, 1))
    path = write_nsidc_days(tmp_path / "days.csv", days, extent)
    ice_index(series_file=[path], output_dir=tmp_path / "index")
    assert "the climatology has 3 years only: its spread and percentiles are rough" in caplog.text


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "expected numbers of a climatology, found no day"),
        (["000,10,1,9,9,10,11,11"], "found day 0 of the year with 7 values"),
        (["367,10,1,9,9,10,11,11"], "found day 367 of the year with 7 values"),
        (["001,10,1"], "found day 1 of the year with 2 values"),
        (["001,-9999,1,9,9,10,11,11"], "^[^:]*: expected areas of 0 to 510.1 million km2, found -9999"),
    ],
)
def test_a_climatology_of_nsidc_with_faults_is_refused(tmp_path, rows, message):
    path = tmp_path / "climatology.csv"
    path.write_text("\n".join(["std Years = 1981-2010", "DOY", *rows]))
    with pytest.raises(InputError, match=message):
        read_climatology(path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: lines[:1], "daily.csv holds no day"),
        (lambda lines: [*lines[:4], lines[4][:14]], "expected [0-9]+ columns in every row, found 2 in"),
        (lambda lines: [*lines[:4], lines[3]], "expected one row a day and region; drop"),
        (lambda lines: [*lines[:4], lines[4].replace(",0.15,", ",0.3,")], "threshold, found 0.15 and"),
    ],
)
def test_a_table_of_days_that_was_edited_is_refused(tmp_path, folder, edit, message):
    lines = (folder / "daily.csv").read_text().splitlines()
    path = tmp_path / "daily.csv"
    path.write_text("\n".join([*lines[:3], "", *lines[3:9]]))
    assert len(read_series(path, whole_grid="whole grid").dates) == 8
    path.write_text("\n".join(edit(lines)))
    with pytest.raises(InputError, match=message):
        read_series(path, whole_grid="whole grid")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected --input_file or --series_file, found neither"),
        ({"series_file": ["no.csv"]}, "no such series: no.csv; expected CSV or NetCDF"),
        ({"series_file": ["text.csv"]}, "text.csv is no series: expected CSV or NetCDF"),
        ({"series_file": ["bad.csv"]}, "bad.csv: expected days and numbers, found .*month"),
        ({"series_file": ["twice.csv"]}, "^twice.csv: expected days in order, once each"),
        ({"series_file": ["code.csv"]}, "^code.csv: expected areas of 0 to 510.1 mill.*found -9999;"),
        ({"series_file": ["km2.csv"]}, "^km2.csv: expected areas .*found 1.*check the unit"),
        ({"series_file": ["N_seaice_extent_1.csv", "S_seaice_extent_1.csv"]},
         "expected sources of one hemisphere, found N_seaice_extent_1.csv of the north and S_sea"),
        ({"series_file": ["days.csv"], "output_dir": "index"}, "expected at least 2 years with values"),
        ({"series_file": ["days.csv"], "output_dir": "index", "climatology_years": (2010, 2000)},
         "expected --climatology_years FIRST LAST, two years or more, found 2010 2000"),
        ({"series_file": ["days.csv"], "climatology_years": (2000, 2010)}, "needs --output_dir"),
        ({"series_file": ["days.csv"], "output_dir": "index", "climatology_file": "text.csv"},
         "text.csv is no climatology: expected a file of NSIDC that begins with 'std Years ='"),
        ({"series_file": ["days.csv"], "output_dir": "text.csv"}, "expected a folder for --output_dir"),
        ({"series_file": ["days.csv"], "start_date": date(2030, 1, 1)}, "expected days from 2030-01-01"),
        ({"series_file": ["days.csv"], "region": ["barents"], "threshold": 0.3},
         "--region, --threshold: expected an --input_file, found series alone"),
        ({"series_file": ["days.csv"], "preset": "noaa"}, "expected preset to be toolbox, nsidc, found"),
        ({"input_file": "cube.nc", "preset": "nsidc"}, "the preset nsidc leaves out .*--land_mask"),
    ],
)  # fmt: skip
def test_what_does_not_work_is_one_line(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    days, extent = simulate_extent(date(2023, 1, 1), date(2023, 1, 9))
    write_nsidc_days(Path("days.csv"), days, extent)
    write_nsidc_days(Path("twice.csv"), days[:1] * 2, extent[:2])
    write_nsidc_days(Path("code.csv"), days, np.full(9, -9999.0))
    write_nsidc_days(Path("km2.csv"), days, 1e6 * extent)
    for half in "NS":
        write_nsidc_days(Path(f"{half}_seaice_extent_1.csv"), days, extent)
    Path("text.csv").write_text("one,two\n1,2\n")
    Path("bad.csv").write_text(Path("days.csv").read_text().replace("01,  02,", "13,  02,"))
    options = {
        name: [Path(v) for v in value] if name == "series_file" else value
        for name, value in options.items()
    }
    for name in ("output_dir", "climatology_file"):
        if name in options:
            options[name] = Path(options[name])
    with pytest.raises(InputError, match=message) as error:
        ice_index(**options)
    assert not re.search("\n", str(error.value))
