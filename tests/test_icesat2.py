"""ICESat-2 granules: names, beams, times, fills, filters, damage, and the simulated ones."""

import importlib.util
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from freeboard_truth import expected_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError, grids
from seaice.simulate import list_simulated_passes, simulate_segments, write_atl10
from seaice.simulate.atl10_segments import SimulatedPass
from seaice.sources.icesat2.granule import convert_delta_time_to_utc, read_granule
from seaice.sources.icesat2.names import GranuleName, list_granules
from seaice.sources.icesat2.orientation import Orientation
from seaice.sources.icesat2.tracks import EXTRAS, UNKNOWN, Selection, Track, select_segments

HAS_H5CORO = importlib.util.find_spec("h5coro") is not None
WITH_H5CORO = [
    pytest.mark.skipif(not HAS_H5CORO, reason="h5coro is not installed (the extra icesat2)"),
    # It logs every name that is not there by a method that Python has given up.
    pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning"),
]
ENGINES = ["h5py", pytest.param("h5coro", marks=WITH_H5CORO)]
FREEBOARDS = "processed_ATL10-01_20220107195849_02531401_006_01.h5"
FILL = np.float32(3.4028235e38)
STRONG_BACKWARD = ["gt1l", "gt2l", "gt3l"]
(PASS,) = list_simulated_passes(
    datetime(2022, 1, 7, 19, 50, tzinfo=UTC), datetime(2022, 1, 7, 20, tzinfo=UTC)
)


_written: dict[tuple, bytes] = {}


def written(folder: Path, *, without: str | None = None, **options) -> Path:
    """A simulated granule of ``PASS``, made once for the same options."""
    import h5py

    folder.mkdir(exist_ok=True)
    path = folder / f"{PASS.name(options.get('release', '006'))}.h5"
    key = tuple((name, str(value)) for name, value in sorted(options.items()))
    if key not in _written:
        _written[key] = write_atl10(folder, PASS, **options).read_bytes()
    path.write_bytes(_written[key])
    if without is not None:
        with h5py.File(path, "a") as file:
            del file[without]
    return path


def iso(seconds: float) -> str:
    whole = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=np.floor(seconds * 1e6))
    return whole.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def same(one: Track, other: Track) -> None:
    for field in fields(Track):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name), field.name)


# Names


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        (FREEBOARDS, ("ATL10", "north", 253, 14, "006", "01")),
        ("ATL10-02_20181227215113_13790101_006_02.h5", ("ATL10", "south", 1379, 1, "006", "02")),
        ("processed_ATL07-01_20190222003738_08490201_003_02", ("ATL07", "north", 849, 2, "003", "02")),
        ("ATL10-01_20220107195849_02531401_006_01_subset.h5", ("ATL10", "north", 253, 14, "006", "01")),
        ("123_ATL10-01_20220107195849_02531401_006_01.h5", ("ATL10", "north", 253, 14, "006", "01")),
        ("ATL10-01_20220107195849_02531401_006_01.H5", ("ATL10", "north", 253, 14, "006", "01")),
        ("ATL10-01_20220107195849_02531401_006_01.hdf5", ("ATL10", "north", 253, 14, "006", "01")),
        ("ATL06_20220107195849_02531401_006_01.h5", None),
        ("ATL10-03_20220107195849_02531401_006_01.h5", None),
        ("ATL10-01_20221307195849_02531401_006_01.h5", None),
        ("ATL10-01_20220107195849_02531401_006_01.h5.part", None),
    ],
)
def test_names(name, parts):
    found = GranuleName.parse(name)
    if parts is None:
        assert found is None
    else:
        assert (
            found.product,
            found.hemisphere,
            found.ground_track,
            found.cycle,
            found.release,
            found.version,
        ) == parts


def test_a_folder_gives_the_newest_version_of_each_granule(tmp_path):
    for name in (
        "ATL10-01_20220107195849_02531401_006_01.h5",
        "ATL10-01_20220107195849_02531401_005_02.h5",
        "ATL10-01_20220102203248_01771401_006_01_north.h5",
        "ATL10-01_20220102203248_01771401_006_01_south.h5",
        "ATL07-01_20220102203248_01771401_006_01.h5",
        "notes.h5",
    ):
        (tmp_path / name).touch()
    (tmp_path / "again").mkdir()
    (tmp_path / "again/ATL10-01_20220107195849_02531401_006_01.h5").touch()
    found = list_granules(tmp_path)
    assert [path.name for path in found] == [
        "ATL10-01_20220102203248_01771401_006_01_north.h5",
        "ATL10-01_20220102203248_01771401_006_01_south.h5",
        "ATL10-01_20220107195849_02531401_006_01.h5",
    ]
    assert len(list_granules(tmp_path, product="ATL07")) == 1
    with pytest.raises(InputError, match="expected a folder of ATL10 granules"):
        list_granules(tmp_path / "none")


# The true granules: beam, segments, those used, dropped by filter, first and last time
TRUE = {
    "atl10/processed_ATL10-01_20220102203248_01771401_006_01.h5": [
        ("gt1l", 597, 0, {"fill value": 597}, "20:58:59.471105", "20:59:20.494253"),
        ("gt2l", 198, 0, {"fill value": 198}, "20:59:18.829642", "20:59:20.638759"),
        ("gt3l", 314, 0, {"fill value": 314}, "20:58:58.778664", "20:59:20.779702"),
    ],
    "atl10/processed_ATL10-01_20220103200708_01921401_006_01.h5": [
        ("gt2l", 76, 0, {"fill value": 76}, "20:33:22.294060", "20:33:22.760031"),
        ("gt3l", 3656, 0, {"fill value": 3656}, "20:33:19.945188", "20:33:30.226306"),
    ],
    f"atl10/{FREEBOARDS}": [
        ("gt1l", 490, 0, {"fill value": 490}, "20:24:53.309981", "20:24:59.669855"),
        ("gt2l", 369, 351, {"fill value": 18}, "20:24:53.165637", "20:25:09.880224"),
        ("gt3l", 246, 240, {"fill value": 6}, "20:24:52.135425", "20:24:58.930668"),
    ],
    "atl07/processed_ATL07-01_20190222003738_08490201_003_02.h5": [
        ("gt1l", 75, 42, {"fill value": 33}, "01:06:32.530835", "01:06:34.808300"),
        ("gt2l", 27, 1, {"fill value": 26}, "01:06:33.012855", "01:06:35.234673"),
        (
            "gt3l",
            368,
            312,
            {"fill value": 53, "invalid quality (-1)": 3},
            "01:06:31.676057",
            "01:06:35.953367",
        ),
    ],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TRUE)
def test_true_granules(real_data, name, engine):
    granule = read_granule(real_data / name, engine=engine)
    assert granule.product == name[:5].upper()
    assert granule.release == name[-9:-6]
    found = []
    for track in granule.tracks:
        assert track.strong
        kept, dropped = select_segments(track, Selection())
        assert kept.sum() + sum(dropped.values()) == len(track)
        times = [iso(seconds).partition("T")[2].rstrip("Z") for seconds in track.time[[0, -1]]]
        counts = {filter_: count for filter_, count in dropped.items() if count}
        found.append((track.beam, len(track), int(kept.sum()), counts, *times))
    expected = TRUE[name]
    assert [each[:4] for each in found] == [each[:4] for each in expected]
    for each, known in zip(found, expected, strict=True):
        for one, other in zip(each[4:], known[4:], strict=True):
            seconds = [float(time[-9:]) for time in (one, other)]
            assert one[:6] == other[:6]
            assert seconds[0] == pytest.approx(seconds[1], abs=2.1e-6)


def test_times_against_the_header_of_the_files(real_data):
    """The first and last time in UTC as text and as a count, both written by NASA."""
    import h5py

    assert iso(float(convert_delta_time_to_utc(126821692.33026528))) == "2022-01-07T20:14:52.330265Z"
    paths = [*real_data.glob("atl10/*.h5"), *real_data.glob("atl07/*.h5")]
    assert paths
    for path in paths:
        with h5py.File(path) as file:
            held = file["ancillary_data"]
            for which in ("start", "end"):
                count = float(held[f"{which}_delta_time"][0])
                text = held[f"data_{which}_utc"][0].decode()
                moment = datetime.fromisoformat(text).timestamp()
                assert float(convert_delta_time_to_utc(count)) == pytest.approx(moment, abs=1.5e-6)


def test_what_a_true_subset_lacks_is_said(real_data):
    granule = read_granule(real_data / "atl10/processed_ATL10-01_20220103200708_01921401_006_01.h5")
    (line,) = granule.notes
    assert line.startswith("gt1l: freeboard_segment is not there")
    heights = read_granule(
        real_data / "atl07/processed_ATL07-01_20190222003738_08490201_003_02.h5", beams="all"
    )
    assert [track.beam for track in heights.tracks] == ["gt1l", "gt1r", "gt2l", "gt3l", "gt3r"]
    assert any(line.startswith("gt2r: sea_ice_segments") for line in heights.notes)


def test_true_freeboards_against_plain_reading(real_data):
    """Values by hand, with a guess for the fill that this file allows."""
    import h5py

    path = real_data / "atl10" / FREEBOARDS
    granule = read_granule(path, beams="all", extras=EXTRAS)
    with h5py.File(path) as file:
        for track in granule.tracks:
            group = file[f"{track.beam}/freeboard_segment"]
            height = group["beam_fb_height"][:]
            valid = height < 100
            np.testing.assert_array_equal(np.isfinite(track.value), valid)
            np.testing.assert_array_equal(track.value[valid], height[valid])
            np.testing.assert_array_equal(track.latitude, group["latitude"][:])
            np.testing.assert_array_equal(track.length, group["heights/height_segment_length_seg"][:])
            np.testing.assert_array_equal(track.surface_type, group["heights/height_segment_type"][:])
            np.testing.assert_array_equal(track.concentration, group["heights/ice_conc_amsr2"][:])
            assert track.strong is (group.parent.attrs["atlas_beam_type"] == b"strong")
    strong = [track for track in granule.tracks if track.strong]
    dropped = [select_segments(track, Selection(surface="ice"))[1] for track in strong]
    assert sum(counts["surface is not ice"] for counts in dropped) == 209  # leads among 591


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_engines_give_the_same_true_values(real_data, engine):
    for path in [*real_data.glob("atl10/*.h5"), *real_data.glob("atl07/*.h5")]:
        one, other = (
            read_granule(path, beams="all", extras=EXTRAS, engine=each) for each in ("h5py", engine)
        )
        assert one.notes == other.notes
        assert (one.name, one.product, one.release) == (other.name, other.product, other.release)
        for pair in zip(one.tracks, other.tracks, strict=True):
            same(*pair)


def test_h5coro_that_is_not_there_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5coro", None)
    with pytest.raises(InputError, match=r'pip install "seaice-toolbox\[icesat2\]"'):
        read_granule(tmp_path / "any.h5", engine="h5coro")


# Orientation


@pytest.mark.parametrize(
    ("codes", "times", "asked", "found"),
    [
        ([0], [5.0], [1.0, 9.0], [0, 0]),
        ([1], [5.0], [1.0, np.nan], [1, 1]),
        ([0, 2, 1], [0.0, 10.0, 20.0], [-1, 0, 9.9, 10, 19.9, 20, 99], [0, 0, 0, 2, 2, 1, 1]),
        ([1, 0], [20.0, 0.0], [1.0, 20.0], [0, 1]),
        ([0, 1], [0.0, 10.0], [np.nan], [-1]),
        ([0, 1], [0.0], [1.0], [-1]),
        ([7], [0.0], [1.0], [-1]),
        ([], [], [1.0], [-1]),
    ],
)
def test_orientation_at_a_time(codes, times, asked, found):
    orientation = Orientation.from_arrays(np.array(codes, np.int8), np.array(times))
    assert orientation.get_codes(np.array(asked)).tolist() == found


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("turn", "beams", "found"),
    [
        ("backward", "strong", STRONG_BACKWARD),
        ("forward", "strong", ["gt1r", "gt2r", "gt3r"]),
        ("backward", "weak", ["gt1r", "gt2r", "gt3r"]),
        ("transition", "strong", []),
        ("transition", "all", []),
    ],
)
def test_beams_by_orientation(tmp_path, turn, beams, found, engine):
    path = written(tmp_path, segments=30, orientation=turn)
    granule = read_granule(path, beams=beams, engine=engine)
    assert [track.beam for track in granule.tracks] == found
    assert granule.transition_count == (120 if turn == "transition" else 0)
    if turn == "transition":
        assert granule.notes[0].startswith("gt1l: 30 of 30 segments are left out")
    else:
        assert granule.notes == ()


@pytest.mark.slow
def test_orientation_that_changes_within_a_granule(tmp_path):
    path = written(tmp_path, segments=300, orientation="turning")
    both = read_granule(path, beams="all")
    assert len(both.tracks) == 12
    left, right = (
        {track.strong: track for track in both.tracks if track.beam == beam} for beam in ("gt2l", "gt2r")
    )
    assert left[True].time.max() < left[False].time.min()
    assert right[False].time.max() < right[True].time.min()
    third = (left[False].time.max() - left[True].time.min()) / 3
    assert left[False].time.min() - left[True].time.max() == pytest.approx(third, rel=0.05)
    strong = read_granule(path)
    assert [track.beam for track in strong.tracks] == [f"gt{i}{side}" for i in "123" for side in "lr"]
    whole = simulate_segments(PASS, "gt2l", segments=300)
    used = len(left[True]) + len(left[False])
    np.testing.assert_array_equal(left[True].latitude, whole["latitude"][: len(left[True])])
    assert 0 < 300 - used < 150
    assert both.transition_count == strong.transition_count
    assert both.transition_count + sum(map(len, both.tracks)) == 3 * 300 + 3 * 100


@pytest.mark.slow
def test_beam_type_that_contradicts_the_orientation_is_reported(tmp_path):
    import h5py

    path = written(tmp_path, segments=30)
    with h5py.File(path, "a") as file:
        file["gt2l"].attrs["atlas_beam_type"] = np.bytes_("weak")
    granule = read_granule(path)
    assert [track.beam for track in granule.tracks] == STRONG_BACKWARD
    assert granule.notes == (
        "gt2l: strong by the orientation and weak by atlas_beam_type for 30 segments; the orientation "
        "is used",
    )


def test_beam_type_decides_where_there_is_no_orientation(tmp_path):
    import h5py

    path = written(tmp_path, segments=30, without="orbit_info/sc_orient")
    granule = read_granule(path)
    assert [track.beam for track in granule.tracks] == STRONG_BACKWARD
    assert granule.notes[0].startswith("orbit_info/sc_orient is not there")
    with h5py.File(path, "a") as file:
        del file["gt1l"].attrs["atlas_beam_type"]
    assert [track.beam for track in read_granule(path).tracks] == ["gt2l", "gt3l"]
    known = {track.beam: track.strong for track in read_granule(path, beams="all").tracks}
    assert known["gt1l"] is None
    assert known["gt1r"] is False


# Reading


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("release", ["005", "006"])
def test_both_layouts_against_the_simulated_truth(tmp_path, release, engine):
    path = written(tmp_path, segments=500, release=release, seed=3)
    granule = read_granule(path, beams="all", extras=EXTRAS, engine=engine)
    assert (granule.product, granule.release, granule.notes) == ("ATL10", release, ())
    for track in granule.tracks:
        held = simulate_segments(PASS, track.beam, segments=500, strong=track.strong, seed=3)
        concentration = "ice_conc_amsr2" if release == "006" else "ice_conc_ssmi"
        for name, key in (
            ("latitude", "latitude"),
            ("longitude", "longitude"),
            ("value", "beam_fb_height"),
            ("length", "height_segment_length_seg"),
            ("uncertainty", "beam_fb_unc"),
            ("quality", "beam_fb_quality_flag"),
            ("surface_type", "height_segment_type"),
            ("podppd", "podppd_flag"),
            ("layer", "layer_flag"),
            ("dist2land", "height_segment_dist2land"),
            ("concentration", concentration),
        ):
            values = held[key]
            if values.dtype == np.float32:
                values = np.where(values == FILL, np.float32(np.nan), values)
            np.testing.assert_array_equal(getattr(track, name), values, name)
        moments = held["delta_time"] + datetime(2018, 1, 1, tzinfo=UTC).timestamp()
        np.testing.assert_allclose(track.time, moments, rtol=0, atol=5e-7)
        dtypes = [getattr(track, name).dtype for name in ("value", "length", "uncertainty", "quality")]
        assert dtypes == [np.float32, np.float32, np.float32, np.int8]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_fill_values_are_those_of_the_file(tmp_path, engine):
    """Not whatever is great: 150 m stays, and another fill value goes."""
    import h5py

    path = written(tmp_path, segments=10)
    name = "gt1l/freeboard_segment/beam_fb_height"
    with h5py.File(path, "a") as file:
        del file[name]
        values = np.array([150, 0, -999, 0.2, np.inf, FILL, np.nan, 1, 2, 3], np.float32)
        made = file.create_dataset(name, data=values, chunks=(10,), compression=1, fillvalue=-999)
        made.attrs["_FillValue"] = np.float32(-999)
    track, *_ = read_granule(path, engine=engine).tracks
    expected = np.float32([150, 0, np.nan, 0.2, np.nan, FILL, np.nan, 1, 2, 3])
    np.testing.assert_array_equal(track.value, expected)


@pytest.mark.slow
def test_longitudes_of_0_to_360_and_absurd_times(tmp_path):
    import h5py

    path = written(tmp_path, segments=5)
    with h5py.File(path, "a") as file:
        group = file["gt1l/freeboard_segment"]
        group["longitude"][:] = [181, 359.5, -180, 180, 1e9]
        times = group["delta_time"][:]
        group["delta_time"][:] = [np.nan, 1.7976931348623157e308, -5, times[3] + 1e6, times[4]]
    track, *_ = read_granule(path).tracks
    assert track.longitude.tolist() == [-179, -0.5, -180, 180, 1e9]
    assert np.isnan(track.time).tolist() == [True, True, True, True, False]
    dropped = select_segments(track, Selection())[1]
    assert (dropped["not finite position"], dropped["no time"]) == (1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("absent", "beams", "line"),
    [
        ("gt2l", 2, "gt2l: the beam is not there or has no positions; it is left out"),
        ("gt2l/freeboard_segment", 2, "gt2l: freeboard_segment is not there"),
        (
            "gt2l/freeboard_segment/longitude",
            2,
            "gt2l: freeboard_segment is not there or has no positions",
        ),
        (
            "gt2l/freeboard_segment/beam_fb_height",
            2,
            "gt2l: freeboard_segment/beam_fb_height is not there",
        ),
        (
            "gt2l/freeboard_segment/heights",
            3,
            "gt2l: freeboard_segment/heights/height_segment_length_seg",
        ),
        ("gt2l/freeboard_segment/beam_fb_unc", 3, "gt2l: freeboard_segment/beam_fb_unc is not there"),
        (
            "gt2l/freeboard_segment/beam_fb_quality_flag",
            3,
            "gt2l: freeboard_segment/beam_fb_quality_flag",
        ),
        ("gt2r", 3, None),
        ("ancillary_data/atlas_sdp_gps_epoch", 3, "ancillary_data/atlas_sdp_gps_epoch is not there"),
        ("ancillary_data", 3, "ancillary_data/atlas_sdp_gps_epoch is not there"),
        ("quality_assessment", 3, None),
    ],
)
def test_what_is_missing_is_reported_and_not_fatal(tmp_path, absent, beams, line, engine):
    path = written(tmp_path, segments=20, without=absent)
    granule = read_granule(path, engine=engine)
    assert len(granule.tracks) == beams
    if line is None:
        assert granule.notes == ()
    else:
        assert granule.notes[0].startswith(line)
    assert granule.release == "006"
    whole = read_granule(written(tmp_path / "whole", segments=20))
    np.testing.assert_array_equal(granule.tracks[0].time, whole.tracks[0].time)


@pytest.mark.slow
def test_what_is_missing_is_never_0(tmp_path):
    group = "gt2l/freeboard_segment"
    absent = [f"{group}/heights", f"{group}/beam_fb_unc", f"{group}/beam_fb_quality_flag"]
    path = written(tmp_path, segments=20, absent=absent)
    track = read_granule(path, extras=EXTRAS).tracks[1]
    assert np.isnan(track.length).all()
    assert np.isnan(track.uncertainty).all()
    assert (track.quality == UNKNOWN).all()
    assert (track.surface_type == UNKNOWN).all()
    assert track.podppd is track.layer is track.dist2land is track.concentration is None
    assert not select_segments(track, Selection())[0].any()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("truncated", "no readable HDF5 file"),
        ("bit_flipped", "no readable HDF5 file"),
        ("html", "found a web page"),
        ("no_beams", "expected segments, found none in any beam"),
    ],
)
def test_damage_is_one_clear_line(tmp_path, defect, message, engine):
    path = written(tmp_path, segments=2000, defect=defect)
    with pytest.raises(InputError, match=message) as caught:
        read_granule(path, engine=engine)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_things_are_refused(tmp_path, engine):
    import h5py

    with pytest.raises(InputError, match="no such file"):
        read_granule(tmp_path / "none.h5", engine=engine)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(InputError, match="found an empty file"):
        read_granule(tmp_path / "empty.h5", engine=engine)
    (tmp_path / "text.h5").write_text("no granule " * 999)
    with pytest.raises(InputError, match="no readable HDF5 file"):
        read_granule(tmp_path / "text.h5", engine=engine)
    with h5py.File(tmp_path / "ATL06.h5", "w") as file:
        file.attrs["short_name"] = np.bytes_("ATL06")
        file["gt1l/land_ice_segments/latitude"] = np.zeros(3)
    with pytest.raises(InputError, match="expected an ATL10 or ATL07 granule, found"):
        read_granule(tmp_path / "ATL06.h5", engine=engine)
    path = write_atl10(
        tmp_path,
        PASS,
        segments=9,
        absent=[f"gt{i}{side}/freeboard_segment" for i in "123" for side in "lr"],
    )
    with pytest.raises(InputError, match="expected segments, found none in any beam"):
        read_granule(path, engine=engine)


@pytest.mark.slow
def test_options_that_are_not_possible(tmp_path):
    path = written(tmp_path, segments=9)
    with pytest.raises(InputError, match="strong, weak or all"):
        read_granule(path, beams="left")
    with pytest.raises(InputError, match="h5py or h5coro"):
        read_granule(path, engine="netCDF4")
    with pytest.raises(InputError, match="extras out of"):
        read_granule(path, extras=["height"])


@pytest.mark.slow
def test_two_hundred_damaged_granules(tmp_path):
    """Each is read or refused with its name; nothing else is ever raised."""
    whole = written(tmp_path, segments=60, reach=20).read_bytes()
    path = tmp_path / f"{PASS.name()}.h5"
    rng = np.random.default_rng(5)
    refused = 0
    for number in range(200):
        content = bytearray(whole)
        if number % 2:
            content = content[: rng.integers(0, len(content))]
        else:
            # Most of the file is data that is packed; its head and tables are what can confuse.
            for place in rng.integers(0, len(content), 40):
                content[place] ^= 1 << rng.integers(0, 8)
        path.write_bytes(content)
        try:
            granule = read_granule(path)
        except InputError as error:
            refused += 1
            assert str(path) in str(error)
        else:
            assert number % 2 == 0
            assert granule.tracks
    assert refused > 120


# Selecting


def track_of(**arrays) -> Track:
    count = len(next(iter(arrays.values())))
    plain = {
        "latitude": np.full(count, 80.0),
        "longitude": np.zeros(count),
        "time": np.zeros(count),
        "value": np.ones(count, np.float32),
        "length": np.ones(count, np.float32),
        "uncertainty": np.ones(count, np.float32),
        "quality": np.ones(count, np.int8),
        "surface_type": np.ones(count, np.int8),
    }
    return Track("granule", "gt1l", True, **{**plain, **{k: np.array(v) for k, v in arrays.items()}})


def test_every_segment_is_counted_by_the_first_filter_that_drops_it():
    nan = np.nan
    track = track_of(
        latitude=[nan, 91, 80, 80, 80, 80, 80, 80, 80, 80, 80.0],
        time=[0, nan, nan, 0, 0, 0, 0, 0, 0, 0, 0.0],
        value=[0, 0, 0, nan, 1, 1, 1, 1, 1, 0, 1.0],
        length=[1, 1, 1, nan, nan, 0, 1, 1, 1, 1, 1.0],
        quality=np.int8([1, 1, 1, -1, -1, 1, -1, 0, 4, 3, 1]),
        surface_type=np.int8([1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 1]),
    )
    kept, dropped = select_segments(track, Selection(surface="ice", max_quality=3))
    assert list(dropped.items()) == [
        ("not finite position", 2),
        ("no time", 1),
        ("fill value", 1),
        ("no length", 2),
        ("invalid quality (-1)", 2),
        ("quality worse than 3", 1),
        ("surface is not ice", 1),
    ]
    assert kept.tolist() == [False] * 10 + [True]


@pytest.mark.parametrize(
    ("selection", "arrays", "kept"),
    [
        (Selection(), {"value": [0.0, -0.1]}, [1, 1]),
        (
            Selection(surface="lead"),
            {"surface_type": [-1, 0, 1, 2, 9, 10, UNKNOWN]},
            [0, 0, 0, 1, 1, 0, 0],
        ),
        (Selection(surface="ice"), {"surface_type": [-1, 0, 1, 2, UNKNOWN]}, [0, 0, 1, 0, 0]),
        (Selection(surface="all"), {"surface_type": [-1, 0, 1, 2, UNKNOWN]}, [1, 1, 1, 1, 1]),
        (Selection(), {"quality": [-1, 0, 1, 5, 6, UNKNOWN]}, [0, 0, 1, 1, 0, 1]),
        (Selection(max_quality=4), {"quality": [-1, 1, 4, 5, UNKNOWN]}, [0, 1, 1, 0, 0]),
        (Selection(nominal_pointing=True), {"podppd": [0, 1, 4, UNKNOWN]}, [1, 0, 0, 0]),
        (Selection(nominal_pointing=True), {"value": [1.0, 1.0]}, [0, 0]),
        (Selection(clear=True), {"layer": [0, 1, UNKNOWN]}, [1, 0, 0]),
        (Selection(least_land_distance=25), {"dist2land": [24999, 25000, np.nan]}, [0, 1, 0]),
        (Selection(least_concentration=50), {"concentration": [49, 50, np.nan]}, [0, 1, 0]),
        (Selection(shortest=2, longest=200), {"length": [1.9, 2, 200, 201, np.nan]}, [0, 1, 1, 0, 0]),
        (
            Selection(preset="atl20"),
            {
                "quality": [4, 5, 1, 1],
                "dist2land": [3e4, 3e4, 2e4, 3e4],
                "concentration": [60, 60, 60, 40.0],
            },
            [1, 0, 0, 0],
        ),
        (
            Selection(preset="atl20", max_quality=2, least_concentration=80),
            {"quality": [2, 3, 1], "dist2land": [3e4] * 3, "concentration": [90, 90, 70.0]},
            [1, 0, 0],
        ),
    ],
)
def test_filters(selection, arrays, kept):
    mask, dropped = select_segments(track_of(**arrays), selection)
    assert mask.astype(int).tolist() == kept
    assert sum(dropped.values()) == kept.count(0)


@pytest.mark.parametrize(
    "wrong",
    [{"surface": "water"}, {"preset": "best"}, {"max_quality": 0}, {"shortest": 9, "longest": 2}],
)
def test_selections_that_are_not_possible(wrong):
    with pytest.raises(InputError, match="expected"):
        Selection(**wrong)


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([80.0, np.nan, 95.0]),
            st.sampled_from([0.3, 0.0, np.nan]),
            st.sampled_from([10.0, 0.0, np.nan]),
            st.sampled_from([-1, 1, 3, 5, UNKNOWN]),
            st.sampled_from([-1, 0, 1, 2, 9, UNKNOWN]),
        ),
        min_size=1,
    ),
    st.sampled_from(["all", "ice", "lead"]),
    st.integers(1, 5),
)
def test_kept_and_dropped_make_up_the_track(rows, surface, max_quality):
    latitude, value, length, quality, kind = zip(*rows, strict=True)
    track = track_of(
        latitude=latitude,
        value=value,
        length=length,
        quality=np.int8(quality),
        surface_type=np.int8(kind),
    )
    selection = Selection(surface=surface, max_quality=max_quality)
    kept, dropped = select_segments(track, selection)
    assert kept.sum() + sum(dropped.values()) == len(track)
    assert not np.isnan(track.value[kept]).any()
    assert (track.length[kept] > 0).all()
    each = [select_segments(track_of_one(track, i), selection)[0][0] for i in range(len(track))]
    assert kept.tolist() == each


def track_of_one(track: Track, index: int) -> Track:
    names = ("latitude", "value", "length", "quality", "surface_type")
    return track_of(**{name: getattr(track, name)[[index]] for name in names})


# Simulated granules


@pytest.mark.slow
def test_simulated_layout_is_that_of_a_true_file(real_data, tmp_path):
    import h5py

    with (
        h5py.File(write_atl10(tmp_path, PASS, segments=90)) as made,
        h5py.File(real_data / "atl10" / FREEBOARDS) as true,
    ):
        compared = []

        def compare(name, item):
            assert name in true, name
            if isinstance(item, h5py.Group):
                return
            other = true[name]
            assert item.dtype == other.dtype, name
            assert item.ndim == other.ndim, name
            assert item.attrs["units"] == other.attrs["units"], name
            assert ("_FillValue" in item.attrs) == ("_FillValue" in other.attrs), name
            for attribute in ("_FillValue", "flag_values", "flag_meanings", "coordinates"):
                if attribute in item.attrs:
                    np.testing.assert_array_equal(item.attrs[attribute], other.attrs[attribute], name)
            if name.startswith("gt"):
                assert (item.chunks, item.shuffle) == (other.chunks, other.shuffle), name
                assert (item.compression, item.compression_opts) == (
                    other.compression,
                    other.compression_opts,
                )
                assert item.fillvalue == other.fillvalue, name
            compared.append(name)

        made.visititems(compare)
        assert len(compared) > 300
        for name, value in made["gt2l"].attrs.items():
            assert value == true["gt2l"].attrs[name], name


def test_simulated_ground_track_is_near_the_true_one(real_data):
    import h5py

    with h5py.File(real_data / "atl10" / FREEBOARDS) as file:
        for beam in ("gt1l", "gt2l", "gt3r"):
            group = file[f"{beam}/freeboard_segment"]
            true = [group[name][0] for name in ("delta_time", "latitude", "longitude")]
            held = simulate_segments(PASS, beam, segments=20000, reach=9000)
            nearest = int(np.abs(held["delta_time"] - true[0]).argmin())
            assert held["latitude"][nearest] == pytest.approx(true[1], abs=0.4)
            assert held["longitude"][nearest] == pytest.approx(true[2], abs=1.5)


def test_simulated_passes_have_the_names_of_true_ones():
    assert PASS.name() == FREEBOARDS.removeprefix("processed_").removesuffix(".h5")
    start = datetime(2022, 1, 1, tzinfo=UTC)
    day = list_simulated_passes(start, start + timedelta(days=1), hemisphere="south")
    assert len(day) == 15
    for each in day:
        name = GranuleName.parse(each.name("005"))
        assert (name.hemisphere, name.ground_track, name.cycle) == (
            "south",
            each.ground_track,
            each.cycle,
        )
        assert name.start == each.start
    # The node of a true granule of 76 revolutions before.
    before = SimulatedPass(PASS.revolution - 76, "north")
    assert (before.ground_track, before.cycle) == (177, 14)
    assert abs(before.start - datetime(2022, 1, 2, 20, 32, 48, tzinfo=UTC)) < timedelta(seconds=5)
    assert before.node_longitude == pytest.approx(162.87, abs=0.1)


@pytest.mark.parametrize("hemisphere", ["north", "south"])
def test_simulated_ice_is_polar_and_has_everything(hemisphere):
    each = SimulatedPass(PASS.revolution, hemisphere)
    held = simulate_segments(each, "gt1l", segments=20000)
    latitude = held["latitude"] * (1 if hemisphere == "north" else -1)
    assert latitude.min() > 45
    assert latitude.max() < 88.1
    assert set(held["height_segment_type"]) == set(range(-1, 10))
    assert set(held["beam_fb_quality_flag"]) == {-1, 1, 2, 3, 4, 5}
    assert set(held["podppd_flag"]) == set(range(8))
    assert set(held["layer_flag"]) == {0, 1}
    valid = held["beam_fb_height"] != FILL
    lead = (held["height_segment_type"] >= 2) & valid
    ice = (held["height_segment_type"] == 1) & valid
    assert np.median(held["beam_fb_height"][lead]) < 0.05
    assert 0.1 < np.median(held["beam_fb_height"][ice]) < 0.5
    assert held["beam_fb_height"][valid].min() == 0
    assert (np.diff(held["delta_time"]) > 0).all()
    assert 0.03 < 1 - valid.mean() < 0.3
    assert (held["height_segment_length_seg"] == FILL).any()


@pytest.mark.slow
def test_simulated_granules_depend_on_seed_pass_and_beam_alone(tmp_path):
    one = write_atl10(tmp_path / "one", PASS, segments=50).read_bytes()
    assert write_atl10(tmp_path / "two", PASS, segments=50).read_bytes() == one
    assert write_atl10(tmp_path / "two", PASS, segments=50, seed=1).read_bytes() != one
    first, second = (simulate_segments(PASS, beam, segments=50) for beam in ("gt1l", "gt2l"))
    assert not np.array_equal(first["beam_fb_height"], second["beam_fb_height"])


def places(beams, time):
    """Longitude and latitude at a time of beams that are mappings of arrays."""
    names = ("longitude", "latitude")
    return [[np.interp(time, beam["delta_time"], beam[name]) for name in names] for beam in beams]


def turn_to_the_next_pair(left, right, time) -> float:
    """Degrees clockwise from the direction of flight to the other beam."""
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    (here, there), (ahead,) = places([left, right], time), places([left], time + 0.5)
    return (geod.inv(*here, *there)[0] - geod.inv(*here, *ahead)[0]) % 360


def test_simulated_beams_lie_beside_each_other():
    """3.3 km between pairs and 90 m within, gt1l the leftmost."""
    from pyproj import Geod

    geod = Geod(a=6371000, b=6371000)
    beams = [
        simulate_segments(PASS, beam, segments=2000, reach=100) for beam in ("gt1l", "gt1r", "gt2l")
    ]
    time = beams[0]["delta_time"][1000]
    first, second, third = places(beams, time)
    assert geod.inv(*first, *second)[2] == pytest.approx(90, abs=3)
    assert geod.inv(*first, *third)[2] == pytest.approx(3300, abs=5)
    assert turn_to_the_next_pair(beams[0], beams[2], time) == pytest.approx(90, abs=3)


def test_true_beams_lie_on_the_same_side(real_data):
    import h5py

    with h5py.File(real_data / "atl10" / FREEBOARDS) as file:
        names = ("delta_time", "longitude", "latitude")
        beams = [
            {name: file[f"{beam}/freeboard_segment/{name}"][:] for name in names}
            for beam in ("gt1l", "gt3l")
        ]
    turn = turn_to_the_next_pair(*beams, beams[0]["delta_time"][100])
    assert turn == pytest.approx(90, abs=10)


def test_simulated_options_that_are_not_possible(tmp_path):
    for wrong in ({"release": "004"}, {"orientation": "up"}, {"defect": "rust"}, {"segments": 1}):
        with pytest.raises(InputError, match="expected"):
            write_atl10(tmp_path, PASS, **wrong)


def test_expected_grid_by_hand():
    """Lengths 10, 30, 60 m with freeboards 0.1, 0.3, 0.2 m: the worked example of ATL20's formulas."""
    grid = grids.get_grid("ease2n25000")
    near = [(84.0, 0.1, value, length) for value, length in ((0.1, 10), (0.3, 30), (0.2, 60))]
    tracks = [("a", near[:2]), ("b", near[2:]), ("c", [(-80.0, 0.0, 1.0, 1.0), (84.0, 90.1, 0.5, 7)])]
    found = expected_grid(tracks, grid)
    assert set(found) == {(333, 360), (360, 386)}
    cell = found[333, 360]
    assert cell[:1] + cell[4:] == (3, 2)
    assert cell[1:4] == pytest.approx((0.22, 0.06, 100 / 3), abs=1e-12)
    assert found[360, 386] == pytest.approx((1, 0.5, 0, 7, 1))


@pytest.mark.slow
def test_reading_is_quick_and_whole(tmp_path):
    """20,000 segments a strong beam: what is written is what is read."""
    path = write_atl10(Path(tmp_path), PASS)
    granule = read_granule(path, beams="all")
    assert sum(map(len, granule.tracks)) == 3 * 20000 + 3 * 6666
