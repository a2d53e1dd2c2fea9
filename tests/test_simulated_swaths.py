"""Simulated level 1 granules: the layout of the files, the clock, the geometry, the values."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import h5py
import numpy as np
import pytest

from seaice import InputError
from seaice.leap_seconds import convert_time_to_tai93
from seaice.simulate import (
    amsr2_layout,
    compute_true_positions,
    list_simulated_granules,
    scan_geometry,
    write_granule,
)
from seaice.simulate.scan_geometry import FREQUENCIES
from seaice.swaths.orbit import EARTH_RADIUS

LOW = ("6.9", "7.3", "10.7", "18.7", "23.8", "36.5")
MAIN = "Brightness Temperature (36.5GHz,H)"


def granules(text: str, count: int = 1):
    start = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return list_simulated_granules(start, start + timedelta(minutes=52 * count))[:count]


@pytest.fixture(scope="module")
def granule():
    return granules("2020-03-01 00:00")[0]


@pytest.fixture(scope="module")
def short(granule, tmp_path_factory):
    """40 nominal scans and 2 x 30 of overlap."""
    return write_granule(tmp_path_factory.mktemp("short"), granule, scans=40)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory):
    folder = tmp_path_factory.mktemp("full")
    pair = granules("2020-03-01 00:00", 2)
    return pair, [write_granule(folder, one) for one in pair]


def contents(path):
    with h5py.File(path) as file:
        return {name: file[name][:] for name in file}, {k: v[0] for k, v in file.attrs.items()}


# ---- layout ------------------------------------------------------------------------------


def expected_layout(n: int) -> dict[str, tuple]:
    layout = {}
    for pol in "VH":
        for frequency in LOW:
            layout[f"Brightness Temperature ({frequency}GHz,{pol})"] = ((n, 243), "<u2", 0.01, b"K")
        for horn in "AB":
            layout[f"Brightness Temperature (89.0GHz-{horn},{pol})"] = ((n, 486), "<u2", 0.01, b"K")
    for horn in "AB":
        for word in ("Latitude", "Longitude"):
            layout[f"{word} of Observation Point for 89{horn}"] = ((n, 486), "<f4", 1, b"deg")
    for word in ("Earth Incidence", "Earth Azimuth", "Sun Azimuth", "Sun Elevation"):
        layout[word] = ((n, 243), "<i2", 0.01, b"deg")
    return layout | {
        "Scan Time": ((n,), "<f8", 1, b"sec"),
        "Position in Orbit": ((n,), "<f8", 1, b""),
        "Land_Ocean Flag 6 to 36": ((4, n, 243), "|u1", 1, b"percent"),
        "Land_Ocean Flag 89": ((2, n, 486), "|u1", 1, b"percent"),
        "Pixel Data Quality 6 to 36": ((n, 486), "|u1", 1, b""),
        "Pixel Data Quality 89": ((n, 486), "|u1", 1, b""),
        "Scan Data Quality": ((n, 512), "|u1", 1, b""),
        "Navigation Data": ((n, 6), "<f4", 1, b""),
    }


ENGINEERING = {
    *(
        f"{word} {band}"
        for band in ("6 to 36", "89")
        for word in ("Interpolation Flag", "Hot Load Count")
    ),
    *(f"Cold Sky Mirror Count {band}" for band in ("6 to 36", "89")),
    *("Observation Supplement", "PCD Data", "Rx Offset_Gain Count"),
    *("SPC Temperature Count", "SPS Temperature Count"),
}


def test_datasets_are_those_of_the_true_files(short):
    expected = expected_layout(100)
    with h5py.File(short) as file:
        assert set(file) == set(expected) | ENGINEERING
        for name, (shape, dtype, scale, unit) in expected.items():
            stored = file[name]
            assert (stored.shape, stored.dtype.str) == (shape, dtype), name
            assert list(stored.attrs) == ["SCALE FACTOR", "UNIT"], name
            found = stored.attrs["SCALE FACTOR"]
            assert (found.dtype, found.shape) == (np.dtype("<f4"), (1,)), name
            assert found[0] == np.float32(scale), name
            text = stored.attrs.get_id("UNIT")
            kind = text.get_type()
            assert text.shape == (1,) and not kind.is_variable_str(), name
            assert kind.get_cset() == h5py.h5t.CSET_ASCII
            assert kind.get_strpad() == h5py.h5t.STR_NULLPAD
            assert stored.attrs["UNIT"][0] == unit, name


def test_global_attributes_are_texts_of_variable_length(short, granule):
    with h5py.File(short) as file:
        for name in file.attrs:
            kind = file.attrs.get_id(name).get_type()
            assert file.attrs.get_id(name).shape == (1,), name
            assert kind.is_variable_str() and kind.get_cset() == h5py.h5t.CSET_ASCII, name
        found = {name: value[0] for name, value in file.attrs.items()}
    assert found["GranuleID"] == granule.granule_id == short.stem
    assert found["ProductName"] == "AMSR2-L1B"
    assert (found["ProductVersion"], found["AlgorithmVersion"], found["ParameterVersion"]) == (
        "2",
        "220",
        "220",
    )
    assert (found["NumberOfScans"], found["OverlapScans"]) == ("40", "30")
    assert found["OrbitDirection"] == ("Ascending" if granule.ascending else "Descending")
    assert int(found["PassNumber"]) == granule.path_number
    assert found["PlatformShortName"] == "GCOM-W1" and found["SensorShortName"] == "AMSR2"
    assert found["CoRegistrationParameterA1"] == (
        "6G-1.16934,7G-0.86160,10G-1.04596,18G-1.08919,23G-1.08342,36G-0.80741"
    )
    assert found["CoRegistrationParameterA2"] == (
        "6G--0.03576,7G--0.04742,10G--0.20515,18G-0.01587,23G--0.06023,36G-0.05469"
    )
    assert len(found["GringPointLatitude"].split(",")) == 8
    assert "imulated" in found["AutomaticQAFlagExplanation"], "the file says that it is invented"


def test_layout_of_l1r(tmp_path, granule):
    path = write_granule(tmp_path, granule, scans=10, product="L1SGRTBR_2220220")
    assert path.name == f"{granule.granule_id.replace('BTBR', 'RTBR')}.h5"
    found, attributes = contents(path)
    assert attributes["ProductName"] == "AMSR2-L1R"
    counts = {"res06": 7, "res10": 5, "res23": 4, "res36": 2, "original": 2}
    for group, count in counts.items():
        names = [name for name in found if f"({group}," in name]
        assert len(names) == 2 * count, group
        assert {found[name].shape for name in names} == {(70, 486 if group == "original" else 243)}
    assert found["Area Mean Height"].dtype == np.int16
    sharp = found["Brightness Temperature (original,89GHz-A,V)"][:, ::2].astype(int)
    for group, kelvin in (("res36", 8.0), ("res06", 20.0)):
        coarse = found[f"Brightness Temperature ({group},89.0GHz,V)"]
        difference = (coarse - sharp).std() / 100
        assert 0 < difference < kelvin, "one and the same ground, averaged"


# ---- granules and the clock --------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("day", "leap"), [("2013-07-01", 8), ("2016-01-01", 9), ("2020-01-01", 10)])
def test_scan_times_count_leap_seconds(tmp_path, day, leap):
    (one,) = granules(day)
    found, attributes = contents(write_granule(tmp_path, one, scans=5))
    unix = found["Scan Time"] + 725846400 - leap
    start, end = (
        datetime.fromisoformat(attributes[f"Observation{word}DateTime"]).timestamp()
        for word in ("Start", "End")
    )
    assert start == one.start.timestamp()
    assert 0 <= unix[30] - start < 0.001 and 0 <= end - unix[34] < 0.001
    assert np.allclose(np.diff(unix), 1.49985, atol=1e-6)


def test_a_short_granule_ends_early(tmp_path, granule):
    found, attributes = contents(write_granule(tmp_path, granule, scans=40, overlap=2))
    assert found["Scan Time"].shape == (44,)
    end = datetime.fromisoformat(attributes["ObservationEndDateTime"])
    assert abs((end - granule.start).total_seconds() - 39 * 1.49985) < 0.002
    assert end < granule.end


def test_a_week_of_granules_follows_without_a_gap():
    start = datetime(2020, 1, 1, tzinfo=UTC)
    week = list_simulated_granules(start, start + timedelta(days=7))
    assert abs(len(week) - 7 * 29.125) <= 1
    assert len({one.granule_id for one in week}) == len(week)
    for before, after in pairwise(week):
        assert abs((after.start - before.end).total_seconds() - 1.49985) < 0.003
        assert after.ascending is not before.ascending
        assert after.orbit_number - before.orbit_number == after.ascending
    assert list_simulated_granules(week[3].start, week[5].start) == week[3:6], "both ends belong"
    assert list_simulated_granules(week[3].start + timedelta(milliseconds=1), week[4].start) == [week[4]]


def test_a_leap_second_is_one_scan_more_and_no_gap():
    before, around, after = granules("2016-12-31 22:20", 3)
    assert before.end < around.start < datetime(2017, 1, 1, tzinfo=UTC) < around.end < after.start
    with_leap = convert_time_to_tai93(around.end) - convert_time_to_tai93(around.start)
    assert abs(with_leap - (around.end - around.start).total_seconds() - 1) < 1e-6
    assert abs(convert_time_to_tai93(after.start) - convert_time_to_tai93(around.end) - 1.49985) < 0.003


@pytest.mark.parametrize(
    ("minute", "path", "orbit"),
    [
        ("2012-07-02 23:18", "175D", 679),
        ("2013-07-01 09:42", "035A", 5972),
        ("2012-07-26 11:45", "055A", None),
        ("2017-07-16 05:10", "232D", None),
        ("2020-01-01 00:47", "189D", 40552),
        ("2023-08-30 10:33", "051D", None),
        ("2025-07-06 06:51", "015D", None),
    ],
)
def test_paths_and_orbits_are_those_of_true_granules(minute, path, orbit):
    true_start = datetime.fromisoformat(minute).replace(tzinfo=UTC)
    (one,) = list_simulated_granules(
        true_start - timedelta(minutes=5), true_start + timedelta(minutes=5)
    )
    assert abs(one.start - true_start) < timedelta(minutes=3)
    assert one.granule_id.split("_")[2] == path
    assert orbit in (None, one.orbit_number)


def test_times_must_know_their_zone():
    with pytest.raises(InputError, match="with its zone"):
        list_simulated_granules(datetime(2020, 1, 1), datetime(2020, 1, 2))


# ---- the same scan in two files ----------------------------------------------------------


@pytest.mark.slow
def test_overlap_scans_are_those_of_the_neighbour(neighbours):
    (first, second), paths = neighbours
    (before, _), (after, attributes) = (contents(path) for path in paths)
    assert 1974 <= int(attributes["NumberOfScans"]) <= 1984
    for name, values in before.items():
        axis = 1 if values.ndim == 3 else 0
        count = values.shape[axis]
        shared = values.take(range(count - 60, count), axis)
        assert shared.tobytes() == after[name].take(range(60), axis).tobytes(), name
    assert np.diff(after["Scan Time"][28:32]) == pytest.approx(1.49985, abs=1e-6)


def test_a_scan_is_the_same_wherever_a_run_begins(granule):
    """Not at the mercy of how vectors are cut into registers, or runs into blocks."""
    numbers = np.arange(418_000_000, 418_000_150)
    whole = amsr2_layout.make_variables(numbers, seed=3, resampled=False)
    part = amsr2_layout.make_variables(numbers[13:144], seed=3, resampled=False)
    for name, variable in whole.items():
        values = variable.values.take(range(13, 144), variable.scan_axis)
        assert values.tobytes() == part[name].values.tobytes(), name


@pytest.mark.slow
def test_same_bytes_whatever_is_written_first(tmp_path):
    one, other = granules("2020-03-01 00:00", 2)
    for folder, order in (("a", (one, other)), ("b", (other, one))):
        for granule in order:
            write_granule(tmp_path / folder, granule, scans=3, seed=5)
    for granule in (one, other):
        a, b = (tmp_path / folder / f"{granule.granule_id}.h5" for folder in "ab")
        assert a.read_bytes() == b.read_bytes()
    again = write_granule(tmp_path / "c", one, scans=3, seed=6)
    assert not np.array_equal(contents(again)[0][MAIN], contents(tmp_path / "a" / again.name)[0][MAIN])


# ---- geometry ----------------------------------------------------------------------------


def unit(latitude, longitude):
    latitude, longitude = np.radians(latitude), np.radians(longitude)
    return np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)],
        -1,
    )


def kilometres(a, b):
    return EARTH_RADIUS * 2 * np.arcsin(np.sqrt(((a - b) ** 2).sum(-1)) / 2)


def co_registered(p1, p2, a1, a2):
    """The formula of JAXA, straight from the reference."""
    normal = np.cross(p1, p2)
    length = np.sqrt((normal**2).sum(-1, keepdims=True))
    theta = np.arctan2(length, (p1 * p2).sum(-1, keepdims=True))
    ez = normal / length
    ey = np.cross(ez, p1)
    along = np.cos(a1 * theta) * p1 + np.sin(a1 * theta) * ey
    return np.cos(a2 * theta) * along + np.sin(a2 * theta) * ez


def test_formula_of_this_test_gives_the_worked_example():
    a, b = unit(75.00, -40.00), unit(75.03, -40.12)
    assert kilometres(co_registered(a, b, 0.80741, 0.05469), unit(75.022529, -40.103197)) < 2e-4
    assert kilometres(co_registered(a, b, 1.04596, -0.20515), unit(75.037748, -40.101716)) < 2e-4


# Without the formula: the distance is that of the coefficients times 4.474 km.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("frequency", "apart"),
    [("6.9", 5.235), ("7.3", 3.862), ("10.7", 4.773), ("18.7", 4.874), ("23.8", 4.856), ("36.5", 3.620)],
)
def test_co_registration_recovers_the_true_positions(neighbours, frequency, apart):
    (one, _), (path, _) = neighbours
    found, attributes = contents(path)
    a1, a2 = (
        float(
            dict(part.split("-", 1) for part in attributes[name].split(","))[
                frequency.split(".")[0] + "G"
            ]
        )
        for name in ("CoRegistrationParameterA1", "CoRegistrationParameterA2")
    )
    some = slice(None, None, 20)
    words = ("Latitude", "Longitude")
    places = unit(*(found[f"{w} of Observation Point for 89A"][some].astype(np.float64) for w in words))
    truth = unit(*(degrees[some] for degrees in compute_true_positions(one, frequency)))
    p1, p2 = places[:, ::2], places[:, 1::2]
    assert kilometres(co_registered(p1, p2, a1, a2), truth).max() < 0.01
    error = kilometres(p1, truth)
    assert error.mean() == pytest.approx(apart, abs=0.01)
    assert error.max() < apart + 0.02


@pytest.mark.slow
def test_spacing_and_width_of_the_swath(granule):
    a, b = (unit(*compute_true_positions(granule, horn)) for horn in ("89A", "89B"))
    assert a.shape == (len(b), 486, 3)
    assert np.abs(kilometres(a[1:, 243], a[:-1, 243]) - 10.23).max() < 0.03
    a, b = a[::20], b[::20]
    assert np.abs(kilometres(a[:, 1:], a[:, :-1]) - 4.474).max() < 0.02
    assert np.abs(kilometres(a[:, 0], a[:, -1]) - 1597).max() < 2
    inner = (485 - 61 / 0.15602) / 2  # the samples within 61 degrees to either side
    assert kilometres(a[:, round(inner)], a[:, 485 - round(inner)]).mean() == pytest.approx(1450, abs=15)
    assert kilometres(a, b) == pytest.approx(5.0)


@pytest.mark.slow
def test_the_antenna_looks_ahead_and_turns_to_the_left(granule):
    a = unit(*compute_true_positions(granule, "89A"))
    flight = a[1000, 243] - a[999, 243]
    left = np.cross(a[1000, 243], flight)
    assert (a[1000, 485] - a[1000, 0]) @ left > 0
    middle = (a[1000, 0] + a[1000, 485]) / 2
    assert (a[1000, 243] - middle) @ flight > 0
    assert (a - unit(*compute_true_positions(granule, "89B")))[1000, 243] @ flight > 0, (
        "B comes behind A"
    )


def test_the_swath_is_where_the_orbit_module_has_it():
    ascending = next(g for g in granules("2020-03-01 00:00", 2) if g.ascending)
    latitude, longitude = compute_true_positions(ascending, "89A")
    middle = latitude[:, 242:244].mean(1)
    crossing = np.abs(middle).argmin()
    assert abs(longitude[crossing, 242] - ascending.node_longitude) < 0.15
    assert latitude[:, 242].max() == pytest.approx(81.81, abs=0.05), "the turning point"


@pytest.mark.slow
def test_close_to_a_true_granule(tmp_path):
    """Single values of GW1AM2_201307010942_035A, which a public reader's tests state.

    The true orbit is 70 s off the simulated one on that day, the true Earth is no sphere.
    """
    (one,) = granules("2013-07-01 09:30")
    found, _ = contents(write_granule(tmp_path, one))
    assert found["Position in Orbit"][-1] == pytest.approx(5972.2365, abs=0.002)
    latitude = found["Latitude of Observation Point for 89A"]
    assert latitude[-1, 482] == pytest.approx(74.36, abs=0.15)
    assert found["Earth Azimuth"][251, 104] / 100 == pytest.approx(164.06, abs=1)
    step = found["Earth Azimuth"][251, 105] - found["Earth Azimuth"][251, 104]
    assert step / 100 == pytest.approx(163.64 - 164.06, abs=0.03)
    assert found["Earth Azimuth"][924, 106] / 100 == pytest.approx(-179.28, abs=0.5)
    assert latitude[251, 216] - latitude[251, 214] == pytest.approx(-0.02426, rel=0.08)
    assert found["Earth Incidence"].mean() / 100 == pytest.approx(55.27, abs=0.5)


def test_true_positions_of_a_short_granule_are_those_of_the_full_one(granule):
    for frequency in FREQUENCIES:
        full = compute_true_positions(granule, frequency)
        part = compute_true_positions(granule, frequency, scans=5, overlap=4)
        for whole, piece in zip(full, part, strict=True):
            assert whole[26:39].tobytes() == piece.tobytes()


# ---- values ------------------------------------------------------------------------------


@pytest.mark.slow
def test_temperatures_are_plausible(neighbours):
    found, _ = contents(neighbours[1][0])
    flags = found["Land_Ocean Flag 6 to 36"]
    high = found["Land_Ocean Flag 89"]
    for frequency, flag in zip(LOW, flags[[0, 0, 1, 2, 2, 3]], strict=True):
        v, h = (found[f"Brightness Temperature ({frequency}GHz,{p})"] / 100 for p in "VH")
        assert h.min() > 60 and v.max() < 300
        assert 240 < h[flag == 100].mean() < v[flag == 100].mean() < 290
        sea = (flag == 0) & (h < 180)
        assert sea.mean() > 0.3 and (v - h)[sea].mean() > 30, frequency
        ice = (flag == 0) & (h > 195)
        assert ice.mean() > 0.02 and h[ice].max() < 270, frequency
    for horn, flag in zip("AB", high, strict=True):
        v, h = (found[f"Brightness Temperature (89.0GHz-{horn},{p})"] / 100 for p in "VH")
        assert h.min() > 150 and v.max() < 300
        assert (v - h)[flag == 0].mean() > 10
    for flag in (*flags, *high):
        assert set(np.unique(flag)) == set(range(101))
        assert 0.05 < (flag > 50).mean() < 0.6


@pytest.mark.slow
def test_a_channel_sees_the_ground_at_its_own_places(neighbours):
    """36.5 GHz lies 0.81 samples of 89A behind every second one, so nearer to the next."""
    found, _ = contents(neighbours[1][0])
    low, high = (
        found[name][i].astype(float)
        for name, i in (("Land_Ocean Flag 6 to 36", 3), ("Land_Ocean Flag 89", 0))
    )
    coast = (low > 5) & (low < 95)
    to_next, to_same = (np.abs(low - high[:, first::2])[coast].mean() for first in (1, 0))
    assert to_next < 0.7 * to_same


@pytest.mark.slow
def test_noise_is_that_of_the_instrument(neighbours):
    found, _ = contents(neighbours[1][0])
    inland = (found["Land_Ocean Flag 6 to 36"][:, 100:1900] == 100).all(0)
    three = inland[:, 2:] & inland[:, 1:-1] & inland[:, :-2]
    for frequency, expected in (("6.9", 0.34), ("36.5", 0.70)):
        kelvin = found[f"Brightness Temperature ({frequency}GHz,H)"][100:1900] / 100
        # A second difference along the scan is blind to what changes smoothly.
        noise = (kelvin[:, 2:] - 2 * kelvin[:, 1:-1] + kelvin[:, :-2]) / np.sqrt(6)
        assert noise[three].std() == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_the_sun_is_high_where_it_is_day(neighbours):
    (one, _), (path, _) = neighbours
    found, _ = contents(path)
    longitude = found["Longitude of Observation Point for 89A"][1000, 242]
    hour = (one.start + timedelta(seconds=970 * 1.49985)).timestamp() % 86400 / 3600
    local = (hour + longitude / 15) % 24
    elevation = found["Sun Elevation"][1000, 121] / 100
    assert (elevation > 0) is (6 < local < 18)
    day = found["Sun Elevation"] if one.ascending else -found["Sun Elevation"]
    assert day[900:1100].min() > 0, "ascending passes are those of the day"


# ---- defects -----------------------------------------------------------------------------


def spoilt(tmp_path, granule, defect, **options):
    return write_granule(tmp_path, granule, scans=40, defect=defect, **options)


def test_broken_files_cannot_be_opened(tmp_path, granule):
    for defect in ("truncated", "html"):
        path = spoilt(tmp_path, granule, defect)
        with pytest.raises(OSError):
            h5py.File(path)


@pytest.mark.slow
@pytest.mark.parametrize("product", ["L1SGBTBR_2220220", "L1SGRTBR_2220220"])
def test_a_flipped_bit_breaks_one_channel(tmp_path, granule, product):
    path = spoilt(tmp_path, granule, "bit_flipped", product=product)
    name = MAIN if "BTBR" in product else MAIN.replace("(", "(res36,")
    with h5py.File(path) as file:
        with pytest.raises(OSError):
            file[name][:]
        assert file["Scan Time"][:].shape == (100,)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defect", "lost"),
    [
        ("no_coefficients", {"CoRegistrationParameterA1", "CoRegistrationParameterA2"}),
        ("no_overlap_attribute", {"OverlapScans"}),
        ("no_direction", {"OrbitDirection"}),
    ],
)
def test_lost_attributes(tmp_path, granule, short, defect, lost):
    sound, damaged = contents(short), contents(spoilt(tmp_path, granule, defect))
    assert set(sound[1]) - set(damaged[1]) == lost
    assert all(np.array_equal(values, damaged[0][name]) for name, values in sound[0].items())


def test_a_lost_channel(tmp_path, granule, short):
    found, _ = contents(spoilt(tmp_path, granule, "no_channel"))
    assert set(contents(short)[0]) - set(found) == {MAIN}


@pytest.mark.slow
def test_all_missing_and_zeros(tmp_path, granule, short):
    sound, _ = contents(short)
    names = [name for name in sound if name.startswith("Brightness")]
    missing, _ = contents(spoilt(tmp_path, granule, "all_missing"))
    zeros, _ = contents(spoilt(tmp_path, granule, "zeros"))
    for name in names:
        assert (missing[name] == 65535).all()
        assert sound[name].min() > 0
        gone = zeros[name] == 0
        assert 0.009 < gone.mean() < 0.011
        assert np.array_equal(zeros[name][~gone], sound[name][~gone])


def test_bad_scans(tmp_path, granule, short):
    sound, _ = contents(short)
    found, attributes = contents(spoilt(tmp_path, granule, "bad_scans"))
    bad = np.flatnonzero(found["Scan Time"] < 0)
    assert bad.tolist() == [40, 41, 42] and attributes["NumberOfMissingScans"] == "3"
    assert (found[MAIN][bad] == 65535).all() and (found[MAIN][50, 121:] == 65534).all()
    assert (found["Latitude of Observation Point for 89A"][bad] <= -9991).all()
    assert (found["Sun Azimuth"][bad] <= -32767).all()
    assert (found["Land_Ocean Flag 89"][:, bad] == 255).all()
    good = np.setdiff1d(np.arange(100), [*bad, 50])
    assert np.array_equal(found[MAIN][good], sound[MAIN][good])


def test_a_bad_scan_of_a_granule_of_one(tmp_path, granule):
    found, _ = contents(write_granule(tmp_path, granule, scans=1, overlap=0, defect="bad_scans"))
    assert found["Scan Time"].tolist() == [-9999]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scans": 0}, "expected 1 to 19.. scans"),
        ({"scans": 3000}, "expected 1 to 19.. scans"),
        ({"scans": 5, "overlap": -1}, "0 or more overlap"),
        ({"defect": "burnt"}, "unknown defect 'burnt'"),
        ({"product": "L2SGSICLC3_1"}, "expected a product such as"),
    ],
)
def test_bad_parameters_in_one_line(tmp_path, granule, options, message):
    with pytest.raises(InputError, match=message) as error:
        write_granule(tmp_path, granule, **options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_unknown_frequency(granule):
    with pytest.raises(InputError, match="found '36'"):
        compute_true_positions(granule, "36")


def test_numbers_of_half_orbits_and_their_times_agree():
    for number in range(462_000, 462_400):
        assert scan_geometry.find_half_orbit(scan_geometry.compute_half_orbit_start(number)) == number
        first = scan_geometry.find_first_scan(number)
        after = float(
            scan_geometry.compute_days(np.array(first))
        ) - scan_geometry.compute_half_orbit_start(number)
        assert -1e-9 <= after * 86400 < 1.49985
