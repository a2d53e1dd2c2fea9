"""Names, tables, reading and geolocation of AI4Arctic scenes."""

import shutil
from collections import Counter
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sar_scenes import SIZE, rewrite, scenes_in

from seaice import InputError
from seaice.grids.sphere import compute_unit_vectors
from seaice.simulate import damage as file_damage
from seaice.simulate import write_scenes
from seaice.simulate.sar.layout import compute_geolocation_points
from seaice.sources.ai4arctic import scene as ai4arctic
from seaice.sources.ai4arctic.geolocation import (
    orient_lines_first,
)
from seaice.sources.ai4arctic.scene import (
    AMSR2_CHANNELS,
    ERA5_FIELDS,
    SCALING,
    TEST_SCENES,
    Geolocation,
    SceneName,
    group_same_scenes,
    list_scenes,
    open_scene,
    unscale,
)

RAW = (
    "S1A_EW_GRDM_1SDH_20180124T194759_20180124T194859_020297_022AB1_9F3C"
    "_icechart_dmi_201801241950_CapeFarewell_RIC.nc"
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return scenes_in(tmp_path_factory.mktemp("scenes"), scenes=2)


@pytest.fixture
def copy(made, tmp_path):
    return shutil.copy(made[0].path, tmp_path / made[0].path.name)


# Names


def test_raw_name_gives_the_ready_name_by_position():
    found = SceneName.parse(RAW)
    assert found.name == f"{RAW[17:32]}_{RAW[77:80]}_prep"
    assert (found.satellite, found.orbit, found.region) == ("S1A", 20297, "CapeFarewell")
    assert found.acquisition == ("S1A", 20297) and found.is_test


@pytest.mark.parametrize(
    "name",
    [
        "20180124T194759_dmi.nc",
        "20181324T194759_dmi_prep.nc",
        "20180124T194759_nic_prep.nc",
        "x20180124T194759_dmi_prep.nc",
        "20180124T194759_dmi_prep_patch003",
        "",
    ],
)
def test_other_names_are_none(name):
    assert SceneName.parse(name) is None


def test_ready_names_and_references():
    found = SceneName.parse("20200728T120112_cis_prep_reference.nc")
    assert found.name == "20200728T120112_cis_prep" and found.is_reference
    assert found.acquisition is None and not found.is_test


def test_official_list_has_twenty_scenes():
    assert len(set(TEST_SCENES)) == 20
    assert Counter(name[-3:] for name in TEST_SCENES) == {"dmi": 8, "cis": 12}
    assert all(SceneName.parse(f"{name}_prep").is_test for name in TEST_SCENES)


def test_tables_hold_the_published_numbers():
    assert len(AMSR2_CHANNELS) == 14 and AMSR2_CHANNELS[0] == "btemp_6_9h"
    assert AMSR2_CHANNELS[-1] == "btemp_89_0v"
    assert set(SCALING) >= {*AMSR2_CHANNELS, *ERA5_FIELDS}
    # z = 1 in both channels, in the units of a model pretrained on dB (reference, section 11).
    hh = (unscale("nersc_sar_primary", np.float64([0, 1])) + 12.599) / 5.195
    assert hh.round(5).tolist() == [-0.36752, 0.72194]


# Reading


def test_scene_holds_the_truth_scaled(made):
    scene, truth = open_scene(made[0].path), made[0].truth
    assert scene.shape == SIZE and scene.name == made[0].name
    sar = scene.read_sar()
    assert sar.dtype == np.float32 and sar.shape == (2, *SIZE)
    blank = np.isnan(truth.backscatter[0])
    assert blank.any() and (sar[:, blank] == 0).all()
    for k, name in enumerate(ai4arctic.SAR_CHANNELS):
        np.testing.assert_allclose(
            unscale(name, sar[k])[~blank], truth.backscatter[k][~blank], rtol=0, atol=1e-4
        )
    np.testing.assert_array_equal(scene.read_sic(), truth.sic)
    np.testing.assert_array_equal(scene.find_valid(), (truth.sic != 255) & ~blank)
    assert scene.read_amsr2().shape == (14, SIZE[0] // 25, SIZE[1] // 25)
    kelvin = unscale("btemp_89_0v", scene.read_amsr2()[13])
    np.testing.assert_allclose(kelvin, truth.temperatures[13], atol=1e-3)
    assert scene.read_distance().shape == scene.read_incidence().shape == SIZE
    assert scene.read_era5().shape[0] == 6
    assert SceneName.parse(scene.original).name == scene.name


def test_test_scene_takes_its_charts_from_the_reference(made, tmp_path):
    test = made[-1]
    scene = open_scene(test.path)
    assert scene.reference == test.reference
    np.testing.assert_array_equal(scene.read_sic(), test.truth.sic)
    alone = open_scene(shutil.copy(test.path, tmp_path))
    assert alone.read_sic() is None
    np.testing.assert_array_equal(alone.find_valid(), np.isfinite(test.truth.backscatter[0]))
    assert not alone.find_valid().all()
    elsewhere = open_scene(alone.path, reference=test.reference)
    np.testing.assert_array_equal(elsewhere.read_sic(), test.truth.sic)


def test_every_variable_is_read_once(made, monkeypatch):
    asked, real = [], ai4arctic.read_variable

    def counted(path, name, *more):
        asked.append(name)
        return real(path, name, *more)

    monkeypatch.setattr(ai4arctic, "read_variable", counted)
    scene = open_scene(made[0].path)
    for _ in range(2):
        scene.read_sar(), scene.read_sic(), scene.read_amsr2()
        scene.read_distance(), scene.find_valid(), scene.read_positions()
    assert max(Counter(asked).values()) == 1 and len(asked) == 2 + 1 + 14 + 1 + 2


def test_arrays_cannot_be_written_to(made):
    with pytest.raises(ValueError, match="read-only"):
        open_scene(made[0].path).read_sar()[0, 0, 0] = 1


def one_nan():
    values = np.zeros(SIZE, np.float32)
    values[3, 4] = np.nan
    return values


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values", "read", "said"),
    [
        ("nersc_sar_primary", one_nan(), "read_sar", "found 1 values that are not"),
        ("nersc_sar_secondary", np.zeros((5, 5), np.float32), None, "two SAR channels of one shape"),
        ("nersc_sar_secondary", None, None, "expected a variable nersc_sar_secondary, found none"),
        ("SIC", np.full(SIZE, 11, np.uint8), "read_sic", "found 11"),
        ("SIC", np.full(SIZE, 256, np.int16), "read_sic", "found 256"),
        ("SIC", np.full(SIZE, -5, np.int16), "read_sic", "found -5"),
        (
            "nersc_sar_primary",
            np.zeros(SIZE, np.int16),
            "read_sar",
            "floating-point numbers, found int16",
        ),
        ("nersc_sar_primary", np.zeros(SIZE, np.complex64), "read_sar", "found complex64"),
        ("nersc_sar_primary", h5py.Empty("f4"), None, r"two SAR channels of one shape .* found \(\)"),
        ("SIC", np.zeros(SIZE, np.float32), "read_sic", "expected SIC in whole numbers, found float32"),
        ("SIC", np.zeros((4, 4), np.uint8), "read_sic", "expected SIC of shape"),
        ("distance_map", None, "read_distance", "expected a variable distance_map"),
        (
            "btemp_6_9h",
            np.zeros((2, 2), np.float32),
            "read_amsr2",
            "expected a 2 km grid of about 6 x 7",
        ),
        ("btemp_6_9h", np.float32(1), "read_amsr2", r"expected a 2 km grid .* found \(\)"),
        ("btemp_36_5v", None, "read_amsr2", "expected a variable btemp_36_5v"),
        ("btemp_36_5v", np.zeros((6, 6), np.float32), "read_amsr2", "expected btemp_36_5v of shape"),
        (
            "sar_grid2d_latitude",
            np.full((21, 21), 99.0),
            "read_positions",
            "geolocation points on Earth",
        ),
        (
            "sar_grid2d_latitude",
            np.full((21, 21), np.nan),
            "read_positions",
            "geolocation points on Earth",
        ),
        (
            "sar_grid2d_latitude",
            np.zeros((0, 21)),
            "read_positions",
            r"2 x 2 .* found \(0, 21\) latitudes",
        ),
    ],
)
def test_bad_content_is_told_in_one_line(copy, name, values, read, said):
    rewrite(copy, name, values)
    with pytest.raises(InputError, match=said) as caught:
        scene = open_scene(copy)
        getattr(scene, read)()
    assert "\n" not in str(caught.value) and copy.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "value", "read", "said"),
    [
        (
            "SIC",
            "chart_fill_value",
            0,
            "read_sic",
            "missing values of SIC as 255, found chart_fill_value 0",
        ),
        ("SIC", "_FillValue", np.uint8(10), "read_sic", "found _FillValue 10"),
        ("SIC", "scale_factor", 10.0, "read_sic", "SIC as published, found it packed with scale_factor"),
        ("nersc_sar_secondary", "add_offset", 1.0, "read_sar", "packed with add_offset"),
        (
            "nersc_sar_primary",
            "variable_fill_value",
            -9.0,
            "read_sar",
            "as 0, found variable_fill_value -9",
        ),
        (
            "",
            "pixel_spacing",
            "wide",
            "read_positions",
            "expected pixel_spacing in metres, found 'wide'",
        ),
        ("", "pixel_spacing", 0, "read_positions", "expected pixel_spacing in metres, found 0"),
        ("", "ice_service", "nic", "service", "expected the ice service dmi or cis, found 'nic'"),
    ],
)
def test_attributes_that_change_the_meaning_are_refused(copy, name, key, value, read, said):
    with h5py.File(copy, "r+") as file:
        item = file[name] if name else file
        item.attrs[key] = value
        if key == "variable_fill_value":
            item[0, :3] = value
    with pytest.raises(InputError, match=said) as caught:
        found = getattr(open_scene(copy), read)
        found()
    assert "\n" not in str(caught.value) and copy.name in str(caught.value)


def test_numbers_that_a_file_calls_missing_are_missing(copy):
    values = open_scene(copy).read_amsr2()[0].copy()
    values[2, 3] = -999
    rewrite(copy, "btemp_6_9h", values)
    with h5py.File(copy, "r+") as file:
        file["btemp_6_9h"].attrs["_FillValue"] = np.float32(-999)
        file["SIC"].attrs["_FillValue"] = np.uint8(255)
        file["nersc_sar_primary"].attrs["_FillValue"] = np.float32(np.nan)
    scene = open_scene(copy)
    assert np.argwhere(np.isnan(scene.read_amsr2())).tolist() == [[0, 2, 3]]
    assert scene.read_sic() is not None and np.isfinite(scene.read_sar()).all()


def test_what_was_never_written_is_no_number(tmp_path):
    """As netCDF reads it, and as a flipped bit in the list of the chunks leaves it."""
    (made,) = write_scenes(tmp_path, scenes=1, test_scenes=0, size=(100, 100))
    with netCDF4.Dataset(made.path, "r+") as file:
        for name, axes in (
            ("hv", ("sar_lines", "sar_samples")),
            ("tb", ("2km_grid_lines", "2km_grid_samples")),
        ):
            file.createVariable(name, "f4", axes)
    with h5py.File(made.path, "r+") as file:
        for name, other in (("hv", "nersc_sar_secondary"), ("tb", "btemp_7_3v")):
            del file[other]
            file.move(name, other)
    scene = open_scene(made.path)
    with pytest.raises(InputError, match=r"nersc_sar_secondary as 0, found _FillValue 9.969"):
        scene.read_sar()
    assert np.isnan(scene.read_amsr2()).all(axis=(1, 2)).tolist() == [n == 3 for n in range(14)]


def test_a_chart_stored_the_other_way_round_is_refused(tmp_path):
    (made,) = write_scenes(tmp_path, scenes=1, test_scenes=0, size=(100, 100))
    open_scene(made.path).read_sic()
    with h5py.File(made.path, "r+") as file:
        turned = file["SIC"][...].T
        del file["SIC"]
        file["SIC"] = turned
        for axis, name in enumerate(("sar_samples", "sar_lines")):
            file["SIC"].dims[axis].attach_scale(file[name])
    with pytest.raises(
        InputError, match="SIC over sar_lines, sar_samples, found sar_samples, sar_lines"
    ):
        open_scene(made.path).read_sic()


def test_a_file_without_permission_is_told_in_one_line(copy, monkeypatch):
    def refused(*words, **more):
        raise PermissionError(13, "Permission denied", str(copy))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\): .*permissions"):
        open_scene(copy)


def test_files_that_are_no_scene_are_told_in_one_line(copy, tmp_path):
    for damage, said in (
        (lambda p: file_damage.cut_in_half(p), "no readable HDF5 file"),
        (lambda p: p.write_text(file_damage.ERROR_PAGE), "found a web page"),
        (lambda p: p.write_bytes(b""), "found an empty file"),
        (lambda p: p.unlink(), "no such"),
        (lambda p: p.mkdir(), "found a folder"),
    ):
        damage(copy)
        with pytest.raises(InputError, match=said) as caught:
            open_scene(copy).read_sar()
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_found_when_it_is_read(copy):
    file_damage.flip_bit(copy, "SIC")
    scene = open_scene(copy)
    scene.read_sar()
    with pytest.raises(InputError, match="no readable HDF5 file"):
        scene.read_sic()


def test_listing(made, tmp_path):
    folder = made[0].path.parent.parent
    assert [p.stem for p in list_scenes(folder)] == sorted(each.name for each in made)
    with pytest.raises(InputError, match="expected scenes named"):
        list_scenes(tmp_path)
    with pytest.raises(InputError, match="expected a folder of scenes"):
        list_scenes(tmp_path / "none")
    for sub in "ab":
        (tmp_path / sub).mkdir()
        shutil.copy(made[0].path, tmp_path / sub)
    with pytest.raises(InputError, match="expected every scene once"):
        list_scenes(tmp_path)


# Positions


def metres(one, other):
    steps = compute_unit_vectors(*one) - compute_unit_vectors(*other)
    return np.sqrt((steps**2).sum(axis=0)) * 6371e3


def equidistant(middle, rows, columns):
    """True places of pixels about a place, by vectors alone."""
    up = compute_unit_vectors(*middle)
    east = np.cross([0, 0, 1], up)
    east /= np.linalg.norm(east)
    north = np.cross(up, east)
    y, x = np.broadcast_arrays((rows - 2500) * 80.0, (columns - 2600) * 80.0)
    angle, bearing = np.hypot(x, y) / 6371e3, np.arctan2(x, y)
    direction = np.multiply.outer(north, np.cos(bearing)) + np.multiply.outer(east, np.sin(bearing))
    v = np.multiply.outer(up, np.cos(angle)) + direction * np.sin(angle)
    return np.degrees(np.arcsin(v[2])), np.degrees(np.arctan2(v[1], v[0]))


@given(
    middle=st.sampled_from([(72.0, -20.0), (75.0, 180.0), (75.0, -179.9), (89.9, 10.0), (-70.0, 0.0)]),
    place=st.tuples(st.floats(0, 5000), st.floats(0, 5200)),
)
@settings(max_examples=30, deadline=None)
def test_positions_are_right_at_the_date_line_and_the_pole(middle, place):
    lines, samples = np.linspace(0, 5000, 21), np.linspace(0, 5200, 21)
    lat, lon = equidistant(middle, lines[:, None], samples[None])
    points = Geolocation(lines, samples, lat, lon, (5001, 5201))
    rows, columns = np.float64([place[0]]), np.float64([place[1]])
    assert metres(points.interpolate(rows, columns), equidistant(middle, rows, columns)).max() < 5


def test_four_points_do_for_a_scene():
    lines, samples = np.array([0.0, 5000]), np.array([100.0, 5100])
    lat, lon = equidistant((75.0, -60.0), lines[:, None], samples[None])
    points = Geolocation(lines, samples, lat, lon, (5001, 5201))
    middle = points.interpolate(np.array([2500.0]), np.array([2600.0]))
    assert metres(middle, (np.array([75.0]), np.array([-60.0]))) < 5


def test_a_grid_of_pixels_is_the_same_as_pixels_one_by_one(made):
    scene = open_scene(made[0].path)
    rows, columns = np.array([[5.0], [0.0], [159.0]]), np.array([[189.0, 3.5]])
    fast = scene.read_positions().interpolate(rows, columns)
    slow = scene.read_positions().interpolate(*(a.ravel() for a in np.broadcast_arrays(rows, columns)))
    assert fast[0].shape == (3, 2)
    assert metres((fast[0].ravel(), fast[1].ravel()), slow).max() < 1e-3
    corner = scene.read_positions().interpolate(0, 0)
    points = scene.read_positions()
    assert metres(corner, (points.latitude[0, 0], points.longitude[0, 0])) < 1e-3


def test_pixels_are_80_metres_apart_at_the_place_of_the_scene(made):
    scene = open_scene(made[0].path)
    lat, lon = scene.read_positions().interpolate(np.array([79.0, 80, 80]), np.array([94.0, 94, 95]))
    steps = metres((lat[:-1], lon[:-1]), (lat[1:], lon[1:]))
    np.testing.assert_allclose(steps, 80, rtol=1e-3)
    assert abs(lat[0] - made[0].truth.centre[0]) < 0.01


def test_points_stored_with_samples_first_are_turned(made, copy):
    lat, lon = compute_geolocation_points(made[0].truth)
    for values in (lat, lat.T):
        turned = orient_lines_first(values, lon if values is lat else lon.T, SIZE, 80.0)
        np.testing.assert_array_equal(turned[0], lat)
    square = orient_lines_first(lat.T, lon.T, (175, 175), 80.0)
    np.testing.assert_array_equal(square[0], lat.T)  # nothing tells: as in the file
    rewrite(copy, "sar_grid2d_latitude", lat.T)
    rewrite(copy, "sar_grid2d_longitude", lon.T)
    np.testing.assert_array_equal(open_scene(copy).read_positions().latitude, lat)


# Scenes that belong together


def test_groups_by_start_pass_and_orbit():
    names = [
        "20200728T120112_cis_prep",
        "20200728T120112_dmi_prep",
        "20200319T101935_cis_prep",
        "20200319T102035_cis_prep",
        "20200319T111935_cis_prep",
        "20210101T000000_dmi_prep",
    ]
    assert group_same_scenes(names) == [
        ("20200319T101935_cis_prep", "20200319T102035_cis_prep"),
        ("20200319T111935_cis_prep",),
        ("20200728T120112_cis_prep", "20200728T120112_dmi_prep"),
        ("20210101T000000_dmi_prep",),
    ]


def raw(name, satellite, orbit):
    start, service = name.split("_")[:2]
    tail = f"cis_SGRDIEA_{start[:13]}Z_pl_a"
    if service == "dmi":
        tail = f"dmi_{start[:8]}{start[9:13]}_NorthWest_RIC"
    return f"{satellite}_EW_GRDM_1SDH_{start}_{start}_{orbit:06d}_00AAAA_00AA_icechart_{tail}.nc"


def test_orbits_decide_where_they_are_known():
    names = ["20200319T101935_cis_prep", "20200319T102035_cis_prep", "20200319T104000_cis_prep"]
    orbits = dict(zip(names, ((7, "S1A"), (8, "S1A"), (7, "S1A")), strict=True))
    originals = {name: raw(name, satellite, n) for name, (n, satellite) in orbits.items()}
    assert group_same_scenes(names, originals) == [(names[0], names[2]), (names[1],)]
    # Of one start is one scene, whatever else is said.
    twins = ["20200319T101935_cis_prep", "20200319T101935_dmi_prep"]
    assert group_same_scenes(twins, {twins[0]: raw(twins[0], "S1A", 7)}) == [tuple(twins)]
    apart = {twins[0]: raw(twins[0], "S1A", 7), twins[1]: raw(twins[1], "S1A", 8)}
    assert group_same_scenes(twins, apart) == [tuple(twins)]
    with pytest.raises(InputError, match="expected a scene name"):
        group_same_scenes(["scene_1"])
