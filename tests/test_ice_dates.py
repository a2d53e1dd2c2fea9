"""Dates of retreat and advance by cell: years by hand, a slow reference, properties, files, trends."""

from datetime import date, timedelta

import netCDF4
import numpy as np
import pytest
from cubes import small_grid, write_cube
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

import ice_index as script
from seaice import InputError
from seaice.flags import FillFlag, Surface
from seaice.gapfill.departure import Departure
from seaice.gapfill.expected_error import NONE, STEP, of_day, read_table
from seaice.grids import get_grid
from seaice.ice_index.dates import season_state
from seaice.ice_index.dates.events import EVENTS, DateRule, DateStatus
from seaice.ice_index.dates.file import open_dates_file
from seaice.ice_index.dates.ice_year import IceYear, Season
from seaice.ice_index.dates.season_state import SeasonState
from seaice.ice_index.dates.trend import compute_trend
from seaice.runtime import threads

NAN = np.nan
TRUSTED = np.zeros(256, bool)
TRUSTED[FillFlag.OBSERVED] = True
# Twenty days, the tenth of which is the minimum.
SHORT = IceYear(date(2019, 3, 1), date(2019, 3, 10), date(2019, 3, 21))
FIRST = 60  # 1 March


def follow(values, *, flags=None, errors=None, year=SHORT, rule=None) -> SeasonState:
    """Follow cells, (days, cells), over an ice year."""
    values = np.asarray(values, np.float32).reshape(len(year), -1)
    cells = values.shape[1]
    flags = np.zeros(values.shape, np.uint8) if flags is None else np.asarray(flags, np.uint8)
    flags = flags.reshape(values.shape)
    state = SeasonState.begin(year, np.arange(cells), rule or DateRule(run_days=3))
    for number in range(len(year)):
        day = year.start + timedelta(days=number)
        error = None if errors is None else np.asarray(errors, np.float32).reshape(values.shape)[number]
        state.follow(number, day.month, values[number], flags[number], TRUSTED, error)
    return state


def date_of(state: SeasonState, name: str, cell: int = 0) -> tuple[int, int, int, DateStatus]:
    """Day, earliest and latest day as days of the ice year from 0, and status."""
    dates = state.find_dates(name)
    days = (int(part[cell]) - FIRST for part in dates[:3])
    return (*days, DateStatus(int(dates.status[cell])))


def year_of(text: str) -> list[float]:
    """A year from letters: C closed ice, i ice, . water, blanks nothing, ? missing."""
    return [{"C": 0.9, "i": 0.3, ".": 0.0, "?": NAN}[letter] for letter in text.replace(" ", "")]


# --- dates by hand ----------------------------------------------------------------------


def test_dates_by_hand():
    #                      0123456789 0123456789
    state = follow(year_of("CCCiiCii.i .....i.iiC"[:21]))
    assert len(year_of("CCCiiCii.i .....i.iiC")) == 20
    assert date_of(state, "opening")[:3] == (5, 5, 5)
    # Ice on the day of the minimum itself: no retreat, and so no advance.
    assert date_of(state, "retreat")[3] == DateStatus.ICE_AT_MINIMUM
    assert date_of(state, "first_ice")[3] == DateStatus.ICE_AT_MINIMUM
    assert date_of(state, "closing") == (19, 19, 19, DateStatus.DATE)
    assert state.count_ice_free_days().days.tolist() == [7]


def test_a_run_makes_an_advance_and_shorter_ones_do_not():
    #                      0123456789 0123456789
    state = follow(year_of("CCCCii.... .ii..i.iii"))
    assert date_of(state, "retreat") == (5, 5, 5, DateStatus.DATE)
    assert date_of(state, "first_ice") == (11, 11, 11, DateStatus.DATE)
    assert date_of(state, "advance") == (17, 17, 17, DateStatus.DATE)
    assert date_of(state, "closing")[3] == DateStatus.NOT_REACHED


def test_a_run_that_the_end_of_the_ice_year_cuts_is_no_advance():
    state = follow(year_of("CCCCii.... ........ii"))
    assert date_of(state, "advance")[3] == DateStatus.NOT_REACHED
    assert date_of(state, "first_ice")[0] == 18


def test_always_never_and_ties_at_the_threshold():
    at = np.float32(0.0001) * np.int16(1500)  # a stored 15 percent, just below it as float32
    just_below = np.float32(0.0001) * np.int16(1499)
    years = np.stack([np.full(20, at), np.full(20, just_below), np.full(20, 0.9)], axis=1)
    state = follow(years)
    for name in ("retreat", "first_ice", "advance"):
        status = state.find_dates(name).status.tolist()
        assert status == [
            DateStatus.ICE_ALL_SEASON, DateStatus.NEVER_ICE, DateStatus.ICE_ALL_SEASON
        ]  # fmt: skip
    assert state.find_dates("opening").status.tolist()[:2] == [DateStatus.NEVER_ICE] * 2
    assert state.count_ice_free_days().days.tolist() == [0, 20, 0]


def test_ice_on_one_day_alone():
    state = follow(year_of("...i...... .........."))
    assert date_of(state, "retreat") == (3, 3, 3, DateStatus.DATE)
    assert date_of(state, "advance")[3] == DateStatus.NOT_REACHED


def test_missing_days_widen_the_interval_to_the_ends_of_the_gap_and_are_no_water():
    #                      0123456789 0123456789
    state = follow(year_of("CCCii??... ...??iiiii"))
    assert date_of(state, "retreat") == (4, 4, 6, DateStatus.DATE)
    assert date_of(state, "first_ice") == (15, 13, 15, DateStatus.DATE)
    assert date_of(state, "advance") == (15, 13, 15, DateStatus.DATE)
    counts = state.count_ice_free_days()
    assert [int(part[0]) for part in counts] == [-1, -1, -1]  # four of twenty days are missing


def test_a_missing_day_neither_makes_nor_breaks_a_run():
    #                      0123456789 0123456789
    state = follow(year_of("CCCii..... ..ii?i...."))
    assert date_of(state, "advance") == (12, 12, 19, DateStatus.DATE)


def test_all_missing_is_not_enough_data_and_no_date():
    state = follow(np.full(20, NAN))
    for name in EVENTS:
        day, earliest, latest, status = (int(part[0]) for part in state.find_dates(name))
        assert (day, earliest, latest, status) == (-1, -1, -1, DateStatus.NOT_ENOUGH_DATA)
    assert np.isnan(state.average()).all()


def test_no_event_needs_values_on_nearly_all_days():
    state = follow(year_of("????...... .........."))
    assert date_of(state, "retreat")[3] == DateStatus.NOT_ENOUGH_DATA
    assert date_of(state, "first_ice")[3] == DateStatus.NEVER_ICE


def filled(text: str, values: dict[int, float], error: float):
    """A year with filled values, their flags and errors."""
    stack = np.array(year_of(text))
    flags = np.zeros(20, np.uint8)
    errors = np.full(20, NAN)
    for day, value in values.items():
        stack[day], flags[day], errors[day] = value, FillFlag.DEPARTURE_TWO_SIDED, error
    return stack, flags, errors


def test_filled_values_make_an_interval_of_their_errors(monkeypatch):
    monkeypatch.setattr(season_state, "WIDTH", 2.0)
    values = {5: 0.5, 6: 0.3, 7: 0.1}
    stack, flags, errors = filled("CCCCC???.. ....iiiiii", values, error=0.1)
    state = follow(stack, flags=flags, errors=errors)
    # 0.3 +- 0.2 may be below 0.15, 0.1 +- 0.2 above it.
    assert date_of(state, "retreat") == (6, 5, 7, DateStatus.DATE)
    assert date_of(state, "opening") == (4, 4, 4, DateStatus.DATE)
    certain = follow(stack, flags=flags, errors=np.where(np.isnan(errors), NAN, 0.005))
    assert date_of(certain, "retreat") == (6, 6, 6, DateStatus.DATE)


def test_a_filled_value_without_an_error_may_be_anything():
    stack, flags, _ = filled("CCCCC???.. ....iiiiii", {5: 0.5, 6: 0.3, 7: 0.1}, error=0.1)
    assert date_of(follow(stack, flags=flags), "retreat") == (6, 4, 7, DateStatus.DATE)


def test_an_observed_value_keeps_its_date_whatever_error_its_product_tells():
    stack = np.array(year_of("CCCCi..... ....iiiiii"))
    state = follow(stack, errors=np.full(20, 0.3))
    assert date_of(state, "retreat") == (4, 4, 4, DateStatus.DATE)


# --- ice years --------------------------------------------------------------------------


def test_ice_years_of_both_hemispheres():
    north = Season.of(get_grid("n25000")).make_year(2019)
    assert (north.start, north.minimum, north.end) == (
        date(2019, 3, 1), date(2019, 9, 15), date(2020, 3, 1)
    )  # fmt: skip
    assert (north.label, len(north), north.first_day_of_year) == (2019, 366, 60)
    south = Season.of(get_grid("s25000")).make_year(2018)
    assert (south.start, south.minimum, south.label) == (date(2018, 9, 15), date(2019, 2, 15), 2019)
    assert south.days_before + south.days_after == len(south) == 365
    years = Season.of(get_grid("s25000")).list_years(date(2019, 1, 1), date(2019, 9, 15))
    assert [year.label for year in years] == [2019, 2020]


def test_days_count_on_over_new_year_and_know_leap_years():
    season = Season((3, 1), (9, 15))
    for number, first, new_year in ((2019, 60, 366), (2020, 61, 367)):
        year = season.make_year(number)
        values = np.zeros(len(year))
        values[: year.days_before - 60] = 0.9
        values[(date(number + 1, 1, 1) - year.start).days :] = 0.9
        state = follow(values, year=year, rule=DateRule())
        assert state.find_dates("advance").day.tolist() == [new_year]
        retreat = date(number, 1, 1) + timedelta(days=int(state.find_dates("retreat").day[0]) - 1)
        assert retreat == year.minimum - timedelta(days=60)
        assert year.first_day_of_year == first


@pytest.mark.parametrize("days", [("02-29", "09-15"), ("3", "09-15"), ("03-01", "03-01"), ("x", "y")])
def test_a_season_of_no_calendar_days_is_refused(days):
    with pytest.raises(InputError, match="--ice_year: expected"):
        Season.of(get_grid("n25000"), days)


# --- the slow reference, and properties -------------------------------------------------


def reference_dates(most, value, least, run_days) -> dict[str, list[int | None]]:
    """Dates of one cell of SHORT for its three readings, by plain search."""
    dates: dict[str, list[int | None]] = {name: [] for name in EVENTS}
    for reading in (most, value, least):
        ice = [day for day in range(20) if reading[day] >= 0.15 - 1e-6]
        closed = [day for day in range(20) if reading[day] >= 0.8 - 1e-6]
        dates["opening"].append(max((day for day in closed if day < 10), default=None))
        dates["retreat"].append(max((day for day in ice if day < 10), default=None))
        dates["first_ice"].append(min((day for day in ice if day >= 10), default=None))
        dates["closing"].append(min((day for day in closed if day >= 10), default=None))
        with_value = [day for day in range(10, 20) if not np.isnan(reading[day])]
        runs = [
            with_value[i]
            for i in range(len(with_value) - run_days + 1)
            if all(day in ice for day in with_value[i : i + run_days])
        ]
        dates["advance"].append(min(runs, default=None))
    return dates


amounts = st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.5, 0.8, 0.85, 1.0])
years = st.lists(st.tuples(amounts, st.sampled_from("ooofm")), min_size=20, max_size=20)


@settings(max_examples=60, deadline=None)
@given(years, st.integers(1, 4))
def test_the_loop_finds_what_a_plain_search_finds(days, run_days):
    value = np.array([NAN if kind == "m" else amount for amount, kind in days])
    is_filled = np.array([kind == "f" for _, kind in days])
    spread = season_state.WIDTH * np.float32(0.1) * is_filled
    most = np.where(np.isnan(value), np.inf, value.astype(np.float32) + spread)
    least = np.where(np.isnan(value), -np.inf, value.astype(np.float32) - spread)
    state = follow(
        value,
        flags=np.where(is_filled, FillFlag.LINEAR, FillFlag.OBSERVED),
        errors=np.where(is_filled, 0.1, NAN),
        rule=DateRule(run_days=run_days),
    )
    expected = reference_dates(most, value, least, run_days)
    for name, event in EVENTS.items():
        day, earliest, latest, status = date_of(state, name)
        if status != DateStatus.DATE:
            continue
        by_most, by_value, by_least = expected[name]
        assert day == by_value
        early, late = (by_least, by_most) if event.side == "last" else (by_most, by_least)
        assert earliest == (0 if early is None else early)
        assert latest == (19 if late is None else late)
        assert earliest <= day <= latest


@settings(max_examples=60, deadline=None)
@given(years, st.lists(st.integers(0, 19), min_size=1, max_size=6))
def test_more_missing_days_never_narrow_an_interval(days, hidden):
    value = np.array([NAN if kind == "m" else amount for amount, kind in days])
    fewer = value.copy()
    fewer[hidden] = NAN
    before, after = follow(value), follow(fewer)
    for name in EVENTS:
        _, earliest, latest, status = date_of(before, name)
        _, earlier, later, later_status = date_of(after, name)
        if status == later_status == DateStatus.DATE:
            assert earlier <= earliest
            assert later >= latest
    fewest, most = (int(part[0]) for part in before.count_ice_free_days()[1:])
    less, more = (int(part[0]) for part in after.count_ice_free_days()[1:])
    if min(fewest, less) >= 0:
        assert less <= fewest
        assert more >= most


def test_no_cell_depends_on_others_nor_on_threads(monkeypatch):
    rng = np.random.default_rng(1)
    values = np.where(rng.random((20, 3000)) < 0.1, NAN, rng.random((20, 3000)))
    flags = rng.choice([0, 10], size=values.shape)
    errors = np.full(values.shape, 0.05)
    together = follow(values, flags=flags, errors=errors)
    order = rng.permutation(3000)
    monkeypatch.setattr(threads, "_threads", 1)
    other = follow(values[:, order], flags=flags[:, order], errors=errors[:, order])
    for name in EVENTS:
        for part, expected in zip(other.find_dates(name), together.find_dates(name), strict=True):
            np.testing.assert_array_equal(part, expected[order])
    np.testing.assert_array_equal(other.average(), together.average()[order])


# --- trends -----------------------------------------------------------------------------


def test_trends_agree_with_scipy_where_years_are_alike_by_chance():
    from scipy.stats import linregress

    rng = np.random.default_rng(3)
    years = np.arange(2000, 2020)
    values = rng.normal(size=(20, 200)) + 0.1 * years[:, np.newaxis]
    trend = compute_trend(values, years)
    for cell in range(200):
        expected = linregress(years, values[:, cell])
        assert trend.slope[cell] == pytest.approx(10 * expected.slope, rel=1e-5)
        # The correlation of the residuals only ever takes years away.
        assert trend.p_value[cell] >= expected.pvalue * 0.999 - 1e-7


def test_trends_of_years_that_are_alike_are_rarely_significant_without_one():
    rng = np.random.default_rng(4)
    noise = rng.normal(size=(90, 4000))
    for year in range(1, 90):
        noise[year] += 0.4 * noise[year - 1]
    trend = compute_trend(noise[50:], np.arange(40))
    assert 0.03 < (trend.p_value < 0.05).mean() < 0.09


def test_trends_need_ten_years_and_know_constants():
    values = np.full((12, 3), 5.0)
    values[:3, 1] = NAN
    values[:, 2] = NAN
    trend = compute_trend(values, np.arange(12))
    assert trend.years.tolist() == [12, 9, 0]
    assert trend.slope[0] == 0
    assert trend.p_value[0] == 1
    assert np.isnan(trend.slope[1:]).all()


# --- coverage ---------------------------------------------------------------------------


def simulate_field(rng: np.random.Generator, days: int, size: int) -> np.ndarray:
    """Ice of a small sea, percent (days, size, size): a season, and weather that wanders for days."""
    day = np.arange(days)[:, np.newaxis, np.newaxis]
    lag = 25 * gaussian_filter(rng.normal(size=(size, size)), 6) * 6 + np.linspace(0, 50, size)
    weather = np.zeros((days, size, size))
    for number in range(1, days):
        shock = 3 * gaussian_filter(rng.normal(size=(size, size)), 3)
        weather[number] = 0.8 * weather[number - 1] + shock
    retreat, advance = 110 + lag, 300 - lag
    inside = np.maximum((retreat - day) / 3, (day - advance) / 2.5) + 5 * weather
    ice = 100 * (1 - np.exp(-np.clip(inside, 0, None) / 3))
    return np.round(ice, 2).astype(np.float32)


def hide_and_fill(truth: np.ndarray, rng: np.random.Generator):
    """Hide runs of 1 to 9 days, and fill them with the errors of a cube; all as fractions."""
    gappy, day = truth.copy(), 12
    while day < len(truth) - 12:
        length = int(rng.integers(1, 10))
        gappy[day : day + length] = NAN
        day += length + 1 + int(rng.exponential(20))
    filled = Departure().fill(gappy, np.ones(truth.shape[1:], bool))
    steps = np.stack([of_day(filled.day(number), read_table()) for number in range(len(truth))])
    errors = np.where(steps == NONE, NAN, steps * STEP / 100)
    return filled.values / 100, filled.flag, errors


def test_intervals_hold_the_dates_of_a_simulated_sea():
    rng = np.random.default_rng(5)
    year = Season((3, 1), (9, 15)).make_year(2019)
    margin, counts = 12, np.zeros(5)
    truth = simulate_field(rng, len(year) + 2 * margin, 48)
    parts = hide_and_fill(truth, rng)
    inside = slice(margin, -margin)
    values, flags, errors = (part[inside].reshape(len(year), -1) for part in parts)
    complete = follow(truth[inside].reshape(len(year), -1) / 100, year=year, rule=DateRule())
    gappy = follow(values, flags=flags, errors=errors, year=year, rule=DateRule())
    for name in EVENTS:
        true, dates = complete.find_dates(name), gappy.find_dates(name)
        both = (true.status == DateStatus.DATE) & (dates.status == DateStatus.DATE)
        is_wide = both & (dates.latest > dates.earliest)
        holds = (dates.earliest <= true.day) & (true.day <= dates.latest)
        print(f"{name}: {100 * holds[is_wide].mean():.1f} percent of {is_wide.sum()} intervals hold")
        parts = (both, is_wide, holds & is_wide, both & ~is_wide, holds & both & ~is_wide)
        counts += [part.sum() for part in parts]
    dates, wide, held, exact, right = counts
    print(f"{100 * held / wide:.1f} percent of {wide:.0f} intervals, {100 * right / exact:.1f} of days")
    assert 0.2 * dates < wide < 0.8 * dates
    assert 0.90 <= held / wide <= 0.99
    assert right / exact > 0.95


# --- the stage --------------------------------------------------------------------------


def write_year(path, *, start=date(2019, 3, 1), days=366, south=False, part=slice(None)):
    """A cube of 3 x 4 cells: columns of land, never ice, ice all season, and a season with a gap."""
    concentration = np.zeros((days, 3, 4))
    concentration[:, :, 2] = 0.95
    season = np.abs(np.arange(days) - 200) > 60  # ice up to day 139, and from day 261 on
    concentration[season, :, 3] = 0.95
    surface = np.zeros((3, 4), np.uint8)
    surface[:, 0] = Surface.LAND
    flags = np.zeros(concentration.shape, np.uint8)
    flags[:, :, 0] = FillFlag.LAND
    errors = np.full(concentration.shape, NAN)
    gap = slice(138, 143)
    concentration[gap, 0, 3], errors[gap, 0, 3] = [0.8, 0.5, 0.2, 0.1, 0.0], 0.1
    flags[gap, 0, 3] = FillFlag.DEPARTURE_TWO_SIDED
    concentration[gap, 1, 3], flags[gap, 1, 3] = NAN, FillFlag.NOT_FILLED
    grid = get_grid("s25000").crop(slice(0, 3), slice(0, 4)) if south else small_grid(3, 4)
    dates = [start + timedelta(days=n) for n in range(days)]
    return write_cube(
        path, dates=dates[part], concentration=concentration[part], surface=surface, grid=grid,
        flags=flags[part], errors=errors[part],
    )  # fmt: skip


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    return write_year(tmp_path_factory.mktemp("year") / "cube.nc")


def test_the_script_writes_dates_that_xarray_reads(cube, tmp_path, capsys):
    import xarray

    dates, picture = tmp_path / "dates.nc", tmp_path / "dates.png"
    options = ["--input_file", cube, "--dates_file", dates, "--dates_plot", picture]
    options += ["--map_of", "retreat", "ice_free_days", "--trend_months", "9"]
    assert script.main(list(map(str, options))) == 0
    lines = capsys.readouterr().out
    assert "Day of retreat (last ice day) 2019: 3 cells, median 2019-07-18" in lines
    assert picture.stat().st_size > 10000
    with xarray.open_dataset(dates) as file:
        assert file.time.dt.strftime("%Y-%m-%d").values.tolist() == ["2019-03-01"]
        assert "doi:10.1029/2012GL050874" in file.attrs["references"]
        retreat, status = file.day_of_retreat[0].values, file.day_of_retreat_status[0].values
        first = FIRST + 139
        np.testing.assert_array_equal(retreat[:, 3], [first + 1, first - 2, first])
        assert (np.isnan(retreat[:, :3])).all()
        assert status[0].tolist() == [
            DateStatus.LAND, DateStatus.NEVER_ICE, DateStatus.ICE_ALL_SEASON, DateStatus.DATE
        ]  # fmt: skip
        width = (file.day_of_retreat_latest - file.day_of_retreat_earliest)[0].values[:, 3]
        assert width.tolist() == [3, 5, 0]  # 0.0 may be 0.23
        advance = file.day_of_advance[0].values[:, 3]
        assert advance.tolist() == [FIRST + 261] * 3
        assert file.ice_free_days[0, 2, 1:].values.tolist() == [366, 0, 121]
        mean = file.sea_ice_conc_mean[0, 2, 1:].values
        np.testing.assert_allclose(mean, [0, 0.95, 0], atol=1e-6)
        assert "September" in file.sea_ice_conc_mean.long_name


@pytest.mark.parametrize("start", [date(2019, 3, 1), date(2019, 9, 1)])
def test_a_map_without_any_date_is_drawn(tmp_path, start):
    """Half of an ice year has no date of advance, or none of retreat."""
    first = (start - date(2019, 3, 1)).days
    cube = write_year(tmp_path / "cube.nc", part=slice(first, first + 180))
    picture = tmp_path / "dates.png"
    words = ["--input_file", cube, "--dates_file", tmp_path / "dates.nc", "--dates_plot", picture]
    assert script.main(list(map(str, words))) == 0
    assert picture.stat().st_size > 10000


def test_a_year_in_two_cubes_has_the_same_dates(cube, tmp_path):
    halves = [
        write_year(tmp_path / f"{number}.nc", part=part)
        for number, part in enumerate((slice(139), slice(139, None)))
    ]
    contents = []
    for name, cubes in (("one.nc", [cube]), ("two.nc", halves)):
        words = ["--input_file", *map(str, cubes), "--dates_file", str(tmp_path / name)]
        assert script.main(words) == 0
        with netCDF4.Dataset(tmp_path / name) as file:
            file.set_auto_mask(False)
            contents.append({key: file[key][:] for key in file.variables if key.startswith("day_")})
    for key, values in contents[0].items():
        np.testing.assert_array_equal(values, contents[1][key], err_msg=key)


def test_dates_of_the_south_are_those_of_its_ice_year(tmp_path):
    cube = write_year(tmp_path / "cube.nc", start=date(2018, 9, 15), days=365, south=True)
    dates = tmp_path / "dates.nc"
    assert script.main(["--input_file", str(cube), "--dates_file", str(dates)]) == 0
    with netCDF4.Dataset(dates) as file:
        assert file["ice_year"][:].tolist() == [2019]
        assert int(file["day_of_retreat"][0, 2, 3]) == 258 + 139


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dates_plot", "d.png"], "--dates_plot draws what --dates_file holds"),
        (["--dates_file", "d.nc", "--trend_plot", "t.png"], "at least 10 ice years, found 1"),
        (["--dates_file", "d.nc", "--closed_threshold", "0.1"], "--closed_threshold of at least"),
        (["--dates_file", "d.nc", "--end_date", "20190401"], "too few days for dates by cell"),
        (["--dates_file", "d.nc", "--dates_plot", "d.png", "--map_of", "concentration"], "no date"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_one_line(cube, tmp_path, capsys, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    assert script.main(["--input_file", str(cube), *options]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "d.nc").exists()


def test_trends_of_dates_in_a_file(tmp_path):
    grid, cells, season = small_grid(1, 2), np.arange(2), Season((3, 1), (9, 15))
    ice_years = [season.make_year(number) for number in range(2001, 2013)]
    path = tmp_path / "dates.nc"
    with open_dates_file(
        path, grid=grid, years=ice_years, cells=cells, rule=DateRule(), attributes={}
    ) as writer:
        for position, year in enumerate(ice_years):
            values = np.zeros((len(year), 2), np.float32)
            # A retreat two days earlier every year; the second cell has no ice from the tenth year on.
            values[: 120 - 2 * position - (year.first_day_of_year - 60), 0] = 0.9
            values[:100, 1] = 0.9 if position < 9 else 0
            writer.write_year(position, follow(values, year=year, rule=DateRule()))
        writer.write_trends(np.arange(2001, 2013))
    with netCDF4.Dataset(path) as file:
        assert file["day_of_retreat_trend"][0, 0] == pytest.approx(-20)
        assert file["day_of_retreat_trend_p_value"][0, 0] < 1e-3
        assert file["day_of_retreat_trend_years"][0].tolist() == [12, 9]
        assert np.ma.filled(file["day_of_retreat_trend"][0], NAN)[1] != 0
        assert np.isnan(np.ma.filled(file["day_of_retreat_trend"][0], NAN)[1])
        assert file["ice_free_days_trend"][0, 0] > 15
