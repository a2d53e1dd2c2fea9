"""Reading AMSR2 L1B granules: counts, fill values, times, positions, overlap, damage."""

import shutil
from datetime import UTC, datetime, timedelta

import h5py
import numpy as np
import pytest

from seaice import InputError
from seaice.simulate import compute_true_positions, list_simulated_granules, write_granule
from seaice.sources.amsr2.l1b import (
    GranuleName,
    find_granules,
    read_granule,
    read_start,
    take_every_second,
)
from seaice.sources.amsr2.swath import (
    APPROXIMATED,
    COREGISTERED,
    GIVEN,
)

RADIUS = 6371.0
SCANS, OVERLAP = 12, 3


@pytest.fixture(scope="module")
def granule():
    start = datetime(2020, 3, 1, tzinfo=UTC)
    return list_simulated_granules(start, start + timedelta(hours=2))[1]


@pytest.fixture(scope="module")
def plain(granule, tmp_path_factory):
    return write_granule(tmp_path_factory.mktemp("l1b"), granule, scans=SCANS, overlap=OVERLAP)


@pytest.fixture
def path(plain, tmp_path):
    return shutil.copy2(plain, tmp_path / plain.name)


def kilometres(first, second):
    """Great-circle distance of two pairs of latitude and longitude."""

    def vectors(places):
        lat, lon = (np.radians(np.asarray(a, np.float64)) for a in places)
        return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])

    chord = np.linalg.norm(vectors(first) - vectors(second), axis=0)
    return 2 * RADIUS * np.arcsin(chord / 2)


def truth_of(granule, frequency):
    places = compute_true_positions(granule, frequency, scans=SCANS, overlap=OVERLAP)
    return [values[OVERLAP:-OVERLAP] for values in places]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("GW1AM2_201307010942_035A_L1SGBTBR_2220220.h5", True),
        ("GW1AM2_201307010942_035D_L1DLBTBR_2220220", True),
        ("GW1AM2_201307010942_035A_L1SGRTBR_2220220.H5", True),
        ("GW1AM2_201307010942_035A_L2SGSICLC_3300300.h5", False),
        ("GW1AM2_201313010942_035A_L1SGBTBR_2220220.h5", False),
        ("GW1AM2_201307010942_035X_L1SGBTBR_2220220.h5", False),
        ("asi-AMSR2-n6250-20200101-v5.4.nc", False),
    ],
)
def test_names(name, known):
    assert (GranuleName.parse(name) is not None) == known


def test_what_a_name_says():
    name = GranuleName.parse("GW1AM2_201307010942_035D_L1SGBTBR_2220220.h5")
    assert name.start == datetime(2013, 7, 1, 9, 42, tzinfo=UTC)
    assert (name.path_number, name.orbit_type, name.version) == (35, "D", "2220220")


def test_a_granule_as_it_is(path, granule):
    swath = read_granule(path)
    with h5py.File(path) as file:
        raw = file["Brightness Temperature (36.5GHz,H)"][OVERLAP:-OVERLAP]
    assert swath.counts["36.5H"].dtype == np.uint16 and (swath.counts["36.5H"] == raw).all()
    assert swath.scale_factors == {"36.5H": 0.01}
    assert swath.granule_id == granule.granule_id
    assert swath.orbit_type == ("A" if granule.ascending else "D")
    assert abs(swath.start_time - granule.start) < timedelta(milliseconds=2)
    np.testing.assert_allclose(np.diff(swath.scan_times), 1.49985, atol=1e-4)
    assert swath.details["overlap_scans_trimmed"] == [OVERLAP, OVERLAP]
    assert swath.details["product_version"] == "2"
    assert swath.kelvin().dtype == np.float32
    np.testing.assert_allclose(swath.kelvin(), raw * 0.01, rtol=1e-6)


@pytest.mark.parametrize("frequency", ["6.9", "7.3", "10.7", "18.7", "23.8", "36.5"])
def test_coregistered_positions_are_the_true_ones(path, granule, frequency):
    swath = read_granule(path, channels=[f"{frequency}V"])
    truth = truth_of(granule, frequency)
    places = swath.positions[frequency]
    assert places.method == COREGISTERED
    assert kilometres((places.latitude, places.longitude), truth).max() < 0.5
    with h5py.File(path) as file:
        names = [f"{word} of Observation Point for 89A" for word in ("Latitude", "Longitude")]
        given = [file[name][OVERLAP:-OVERLAP] for name in names]
    assert kilometres(take_every_second(*given), truth).min() > 3, "the old rule is far off"


def test_89_ghz_has_positions_of_its_own(path, granule):
    swath = read_granule(path, channels=["89AH", "89BV", "36.5V"])
    for horn in ("89A", "89B"):
        truth = truth_of(granule, horn)
        places = swath.positions[horn]
        assert places.method == GIVEN and places.latitude.shape == (SCANS, 486)
        assert kilometres((places.latitude, places.longitude), truth).max() < 0.01
    assert list(swath.positions) == ["89A", "89B", "36.5"]
    assert swath.counts["89BV"].shape == (SCANS, 486)


def test_without_coefficients_the_approximation_is_flagged(tmp_path, granule, caplog):
    path = write_granule(tmp_path, granule, scans=5, defect="no_coefficients")
    places = read_granule(path).positions["36.5"]
    assert places.method == APPROXIMATED
    assert "no co-registration coefficients for 36.5 GHz" in caplog.text
    with h5py.File(path) as file:
        assert (places.latitude == file["Latitude of Observation Point for 89A"][30:-30, ::2]).all()


def test_without_coordinates(path):
    assert read_granule(path, coordinates=False).positions == {}


def test_fill_values_and_zeros_are_missing_and_counted_apart(path):
    with h5py.File(path, "r+") as file:
        counts = file["Brightness Temperature (36.5GHz,H)"]
        counts[OVERLAP, :4] = [65535, 65534, 0, 65533]
        counts[0, 0] = 0  # in the overlap: not counted
    swath = read_granule(path)
    assert swath.counts["36.5H"][0, :4].tolist() == [65535, 65535, 65535, 65533]
    assert np.isnan(swath.kelvin()[0, :3]).all() and swath.kelvin()[0, 3] == np.float32(655.33)
    assert swath.details["missing_count"] == 2 and swath.details["zero_count"] == 1
    assert swath.summarise()["valid_count"] == SCANS * 243 - 3


def test_the_files_own_scale_factor(path):
    with h5py.File(path, "r+") as file:
        file["Brightness Temperature (36.5GHz,H)"].attrs["SCALE FACTOR"] = np.array([0.02], np.float32)
    swath = read_granule(path)
    assert swath.scale_factors == {"36.5H": 0.02}
    assert swath.kelvin()[0, 0] == np.float32(swath.counts["36.5H"][0, 0] * 0.02)


@pytest.mark.slow
def test_overlap_kept_and_neighbours_agree_there(tmp_path):
    start = datetime(2020, 3, 1, tzinfo=UTC)
    first, second = list_simulated_granules(start, start + timedelta(hours=2))[:2]
    swaths = [
        read_granule(write_granule(tmp_path, each, overlap=4), overlap="keep")
        for each in (first, second)
    ]
    shared = np.intersect1d(*(swath.scan_times.round(3) for swath in swaths))
    assert len(shared) == 8, "what trimming avoids"
    trimmed = [read_granule(tmp_path / f"{each.granule_id}.h5") for each in (first, second)]
    step = trimmed[1].scan_times[0] - trimmed[0].scan_times[-1]
    assert step == pytest.approx(1.49985, abs=1e-3), "no scan twice, none lost"


def test_overlap_by_times_where_the_number_is_absent(tmp_path, granule):
    path = write_granule(tmp_path, granule, scans=SCANS, overlap=OVERLAP, defect="no_overlap_attribute")
    assert read_granule(path).shape == (SCANS, 243)


def test_a_number_of_overlap_scans_that_does_not_fit(path):
    with h5py.File(path, "r+") as file:
        file.attrs["OverlapScans"] = np.array(["5"], object)
    assert read_granule(path).shape == (SCANS, 243), "the times decide"


def test_bad_scans(tmp_path, granule):
    swath = read_granule(
        write_granule(tmp_path, granule, scans=SCANS, overlap=OVERLAP, defect="bad_scans")
    )
    lost = np.isnan(swath.scan_times)
    assert 0 < lost.sum() < SCANS
    assert np.isnan(swath.kelvin()[lost]).all()


def test_abnormal_positions_are_unknown(path):
    with h5py.File(path, "r+") as file:
        file["Latitude of Observation Point for 89A"][OVERLAP, :2] = -9999.0
    places = read_granule(path).positions["36.5"]
    assert np.isnan(places.latitude[0, 0]) and np.isnan(places.longitude[0, 0])
    assert np.isfinite(places.latitude[0, 1:]).all()


def test_direction_by_the_file_then_by_the_name(tmp_path, path, granule):
    own = "A" if granule.ascending else "D"
    with h5py.File(path, "r+") as file:
        file.attrs["OrbitDirection"] = np.array(["Descending" if own == "A" else "Ascending"], object)
    assert read_granule(path).orbit_type != own
    silent = write_granule(tmp_path / "b", granule, scans=2, defect="no_direction")
    assert read_granule(silent).orbit_type == own
    nameless = silent.rename(tmp_path / "renamed.h5")
    with h5py.File(nameless, "r+") as file:
        del file.attrs["GranuleID"]
    assert read_granule(nameless).orbit_type == "U"


def test_every_channel(path):
    from seaice.sources.amsr2.channels import CHANNELS

    swath = read_granule(path, channels=list(CHANNELS))
    assert swath.channels == tuple(CHANNELS)
    assert len(swath.positions) == 8
    for name in CHANNELS:
        kelvin = swath.kelvin(name)
        assert np.nanmin(kelvin) > 50 and np.nanmax(kelvin) < 330


@pytest.mark.parametrize(
    ("defect", "words"),
    [
        ("truncated", "no readable HDF5 file"),
        ("html", "found a web page"),
        ("no_channel", "expected the dataset «Brightness Temperature (36.5GHz,H)»"),
    ],
)
def test_granules_that_are_no_good(tmp_path, granule, defect, words):
    path = write_granule(tmp_path, granule, scans=5, defect=defect)
    with pytest.raises(InputError) as caught:
        read_granule(path)
    message = str(caught.value)
    assert words in message and str(path) in message and "\n" not in message


def test_bit_flips_are_found_or_harmless(tmp_path, granule):
    path = write_granule(tmp_path, granule, scans=20, defect="bit_flipped")
    with pytest.raises(InputError, match="no readable HDF5 file"):
        read_granule(path)


def test_no_file_an_empty_one_and_another_kind(tmp_path):
    for name, content, words in (
        ("none.h5", None, "no such file"),
        ("empty.h5", b"", "an empty file"),
        ("text.h5", b"hello", "no readable HDF5 file"),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            read_granule(path)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["z"] = np.zeros((3, 3))
    with pytest.raises(InputError, match="is it a granule of L1B or L1R"):
        read_granule(other)


def test_only_overlap_is_left(path):
    with h5py.File(path, "r+") as file:
        file.attrs["OverlapScans"] = np.array([str((SCANS + 2 * OVERLAP) // 2)], object)
        file.attrs["NumberOfScans"] = np.array(["0"], object)
    with pytest.raises(InputError, match="besides the overlap"):
        read_granule(path)


def test_listing_a_folder(tmp_path, plain):
    folder = tmp_path / "2020" / "03"
    folder.mkdir(parents=True)
    (folder / plain.name).touch()
    (folder / "notes.txt").touch()
    (folder / f"{plain.name}.part").touch()
    granules, left_out = find_granules(tmp_path)
    assert list(granules) == [folder / plain.name]
    assert len(left_out) == 1 and f"{plain.name}.part" in left_out[0]
    with pytest.raises(InputError, match="found none"):
        find_granules(tmp_path / "absent")


def test_texts_whose_damage_sends_the_library_into_a_loop(path):
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\x01")
    content[heap + 16] = 0  # the first object is now the free rest ...
    content[heap + 24 : heap + 32] = bytes(8)  # ... of no length
    path.write_bytes(content)
    with pytest.raises(InputError, match="a table of texts in it is damaged"):
        read_granule(path)
    assert read_start(path) is None


@pytest.mark.parametrize("scale", [[], [0.0], [np.nan], [-1.0]])
def test_a_scale_factor_that_is_none(path, scale):
    with h5py.File(path, "r+") as file:
        file["Brightness Temperature (36.5GHz,H)"].attrs["SCALE FACTOR"] = np.array(scale, np.float32)
    with pytest.raises(InputError):
        read_granule(path)


def test_the_start_as_the_granule_says_it(path, granule):
    assert abs(read_start(path) - granule.start) < timedelta(milliseconds=2)
    path.write_bytes(b"no granule")
    assert read_start(path) is None
