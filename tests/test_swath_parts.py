"""Leap seconds, channels, co-registration, instants: hand-made truths."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaice import InputError
from seaice.dates import parse_timestamp
from seaice.leap_seconds import (
    convert_tai93_to_time,
    convert_tai93_to_utc,
    convert_time_to_tai93,
    convert_utc_to_tai93,
)
from seaice.runtime.json_files import (
    append_line,
    parse_lines,
)
from seaice.sources.amsr2.channels import (
    CHANNELS,
    as_channel,
    as_channels,
)
from seaice.sources.amsr2.l1b import (
    coregister,
    parse_coefficients,
    take_every_second,
)

A1 = "6G-1.16934,7G-0.86160,10G-1.04596,18G-1.08919,23G-1.08342,36G-0.80741"
A2 = "6G--0.03576,7G--0.04742,10G--0.20515,18G-0.01587, 23G--0.06023, 36G-0.05469"


def seconds(text: str) -> float:
    return float(np.datetime64(text, "ms").astype(np.int64)) / 1e3


@pytest.mark.parametrize(
    ("utc", "tai93"),
    [
        ("1993-01-01", 0),
        ("1993-07-01", 15638401),
        ("2009-01-01", 504921607),
        ("2012-07-01", 615254408),
        ("2015-07-01", 709862409),
        ("2017-01-01", 757382410),
    ],
)
def test_leap_seconds_of_the_table(utc, tai93):
    assert convert_tai93_to_utc(tai93) == seconds(utc)
    assert convert_utc_to_tai93(seconds(utc)) == tai93
    assert convert_utc_to_tai93(seconds(utc) - 1) in (tai93 - 1, tai93 - 2), "a leap second lies between"


def test_a_real_granule():
    # 2013-07-01 035A: scan 331 is 331 scans after scan 0 at 09:42:08.16
    scan_0 = convert_tai93_to_utc(646825832.611 - 331 * 1.49985)
    assert scan_0 == pytest.approx(seconds("2013-07-01T09:42:08.161"), abs=0.002)


def test_time_never_runs_backwards_over_a_leap_second():
    times = convert_tai93_to_utc(np.arange(757382408.0, 757382412.0, 0.25))
    assert (np.diff(times) >= 0).all()
    inside = convert_tai93_to_utc(757382409.5)  # 23:59:60.5
    assert seconds("2016-12-31T23:59:59.999") < inside < seconds("2017-01-01")


def test_unknown_times_stay_unknown():
    assert np.isnan(convert_tai93_to_utc(np.array([-1.0, np.nan, np.inf]))).all()
    assert np.isnan(convert_utc_to_tai93(np.nan))


def test_moments_in_tai93():
    moment = datetime(2012, 7, 1, tzinfo=UTC)
    assert convert_time_to_tai93(moment) == 615254408
    assert convert_tai93_to_time(615254408) == moment
    assert convert_tai93_to_time(615254406.5) == moment - timedelta(seconds=0.5), (
        "before the leap second"
    )
    assert convert_tai93_to_time(615254407.75) == moment - timedelta(milliseconds=1), "within it"
    assert convert_tai93_to_time(615254407.75, up=True) == moment
    with pytest.raises(InputError, match="with its zone"):
        convert_time_to_tai93(moment.replace(tzinfo=None))


@given(st.integers(725846400, 2_000_000_000))
def test_whole_seconds_come_back(second):
    assert convert_tai93_to_utc(convert_time_to_tai93(datetime.fromtimestamp(second, UTC))) == second


@given(st.floats(0, 2e9))
def test_times_come_back(tai93):
    there = convert_utc_to_tai93(convert_tai93_to_utc(tai93))
    assert there == pytest.approx(tai93, abs=1.001 if abs(there - tai93) > 0.1 else 1e-5)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("36.5H", "36.5H"),
        ("36.5h", "36.5H"),
        ("36H", "36.5H"),
        ("6.9V", "6.9V"),
        ("10.7GHz,H", "10.7H"),
        ("89AV", "89AV"),
        ("89.0GHz-B,H", "89BH"),
        ("89.0AV", "89AV"),
    ],
)
def test_channel_names(text, name):
    assert as_channel(text).name == name


@pytest.mark.parametrize("text", ["", "36", "89V", "36.5AH", "12H", "H", "36.5X", "36.5H7"])
def test_channels_that_are_none(text):
    with pytest.raises(InputError, match=r"expected a channel out of 6\.9V"):
        as_channel(text)


def test_datasets_of_the_product():
    assert len(CHANNELS) == 16
    assert CHANNELS["36.5H"].dataset == "Brightness Temperature (36.5GHz,H)"
    assert CHANNELS["89BV"].dataset == "Brightness Temperature (89.0GHz-B,V)"
    assert CHANNELS["89BV"].pixels == 486 and CHANNELS["6.9V"].pixels == 243
    assert [c.name for c in as_channels(["36.5H", "18V", "36H"])] == ["36.5H", "18.7V"]
    with pytest.raises(InputError, match="at least one channel"):
        as_channels([])


def test_coefficients_as_the_file_writes_them():
    a2 = parse_coefficients(A2)
    assert a2 == {
        "6.9": -0.03576,
        "7.3": -0.04742,
        "10.7": -0.20515,
        "18.7": 0.01587,
        "23.8": -0.06023,
        "36.5": 0.05469,
    }
    assert parse_coefficients("") == parse_coefficients("nonsense, 36G, 99G-1.0") == {}


@pytest.mark.parametrize(
    ("frequency", "latitude", "longitude"),
    [
        ("36.5", 75.022529, -40.103197),
        ("18.7", 75.032180, -40.132567),
        ("10.7", 75.037748, -40.101716),
        ("6.9", 75.036185, -40.136218),
    ],
)
def test_the_worked_example(frequency, latitude, longitude):
    coefficients = parse_coefficients(A1)[frequency], parse_coefficients(A2)[frequency]
    found = coregister(np.array([[75.0, 75.03]]), np.array([[-40.0, -40.12]]), *coefficients)
    assert found[0][0, 0] == pytest.approx(latitude, abs=5e-6)
    assert found[1][0, 0] == pytest.approx(longitude, abs=5e-6)


def test_no_shift_is_the_first_pixel_and_one_the_second():
    rng = np.random.default_rng(3)
    latitude = rng.uniform(-89, 89, (7, 12)).astype(np.float32)
    longitude = rng.uniform(-180, 180, (7, 12)).astype(np.float32)
    for shift, pixel in ((0.0, 0), (1.0, 1)):
        found = coregister(latitude, longitude, shift, 0.0)
        np.testing.assert_allclose(found[0], latitude[:, pixel::2], atol=2e-5)
        np.testing.assert_allclose(found[1], longitude[:, pixel::2], atol=2e-4)
    assert (take_every_second(latitude, longitude)[0] == latitude[:, ::2]).all()


def test_positions_over_the_pole_and_the_date_line():
    latitude = np.array([[89.99, 89.99, 10.0, 10.0]])
    longitude = np.array([[0.0, 180.0, 179.99, -179.99]])
    found = coregister(latitude, longitude, 0.5, 0.0)
    assert found[0][0, 0] == pytest.approx(90, abs=1e-4)
    assert abs(found[1][0, 1]) == pytest.approx(180, abs=1e-4)


def test_one_point_twice_and_unknown_points():
    latitude = np.array([[50.0, 50.0, np.nan, 1.0, 1.0, np.nan]])
    longitude = np.array([[5.0, 5.0, np.nan, 1.0, 1.0, np.nan]])
    found = coregister(latitude, longitude, 0.8, 0.05)
    assert found[0][0, 0] == pytest.approx(50) and found[1][0, 0] == pytest.approx(5)
    assert np.isnan(found[0][0, 1:]).all() and np.isnan(found[1][0, 1:]).all()


@given(st.integers(1, 300))
def test_blocks_do_not_show(scans):
    rng = np.random.default_rng(scans)
    latitude, longitude = rng.uniform(-80, 80, (scans, 4)), rng.uniform(-180, 180, (scans, 4))
    whole = coregister(latitude, longitude, 0.8, 0.05)
    last = coregister(latitude[-1:], longitude[-1:], 0.8, 0.05)
    assert (whole[0][-1] == last[0][0]).all() and (whole[1][-1] == last[1][0]).all()


def test_instants():
    whole = datetime(2020, 1, 1, tzinfo=UTC)
    assert (
        parse_timestamp("2020-01-01")
        == parse_timestamp("20200101")
        == parse_timestamp(date(2020, 1, 1))
        == whole
    )
    assert parse_timestamp("20200101", last=True) == datetime(2020, 1, 1, 23, 59, 59, tzinfo=UTC)
    assert parse_timestamp("2020-01-01T06:30:15") == datetime(2020, 1, 1, 6, 30, 15, tzinfo=UTC)
    assert parse_timestamp("2020-01-01 06:30:15", last=True) == datetime(
        2020, 1, 1, 6, 30, 15, tzinfo=UTC
    )
    assert parse_timestamp("2020-01-01T06:30+02:00") == datetime(2020, 1, 1, 4, 30, tzinfo=UTC)
    for wrong in ("yesterday", "2020-13-01", "2020-01-01 25:00:00", "", 7, None):
        with pytest.raises(InputError):
            parse_timestamp(wrong)


def test_a_torn_line_costs_itself_only(tmp_path):
    path = tmp_path / "journal.jsonl"
    append_line(path, {"a": 1})
    with path.open("ab") as file:
        file.write(b'{"a": 2, "b')
    append_line(path, {"a": 3})
    assert list(parse_lines(path.read_bytes())) == [{"a": 1}, None, {"a": 3}]
