"""Granules resampled to common footprints, of other sensors and under other names, in every stage."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import h5py
import netCDF4
import numpy as np
import pytest
import xarray
from gportal_catalogue import products_in
from gportal_server import GPortalServer

import amsr2_processor
import grid_swaths
import split_amsr_files
import verify_archive
from seaice import InputError
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.channels import (
    CHANNELS,
    PRESETS,
    RESAMPLED_CHANNELS,
    as_channel,
    as_channels,
    find_level,
)
from seaice.sources.amsr2.l1b import find_granules, identify_granule, list_channels, read_granule
from seaice.sources.amsr2.sensors import GranuleName, get_sensor
from seaice.swaths.archive import load_swaths

START = datetime(2020, 3, 1, 12, 0, tzinfo=UTC)
L1R = "L1SGRTBR_2220220"
SPAN = ["--start", "2020-03-01 12:00", "--end", "2020-03-01 15:30"]
TWO = ("res23-36.5V", "res36-89H")


@pytest.fixture(scope="module")
def granules():
    return [g for g in list_simulated_granules(START, START + timedelta(hours=3.5)) if not g.ascending]


@pytest.fixture(scope="module")
def l1r(granules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("l1r")
    for granule in granules:
        write_granule(folder, granule, scans=12, overlap=2, product=L1R)
    return folder


@pytest.fixture(scope="module")
def l1b(granules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("l1b")
    for granule in granules:
        write_granule(folder, granule, scans=12, overlap=2)
    return folder


@pytest.fixture
def path(l1r):
    return sorted(l1r.iterdir())[0]


def collect(folder, output, *more):
    argv = [*SPAN, "--orbit", "D", "--input_dir", folder, "--output_dir", output, *more]
    return amsr2_processor.main(list(map(str, argv)))


@pytest.mark.parametrize(
    ("name", "sensor", "level", "version"),
    [
        ("GW1AM2_202003011200_035A_L1SGBTBR_2220220.h5", "AMSR2", "L1B", "2220220"),
        ("GW1AM2_202003011200_035A_L1DLRTBR_2220220.HE5", "AMSR2", "L1R", "2220220"),
        ("PM1AME_200703011200_035D_L1SGRTBR_4400400.h5", "AMSR-E", "L1R", "4400400"),
        ("GGWAM3_202607010942A035_L1RTBR_1000.nc", "AMSR3", "L1R", "1000"),
        ("GGWAM3_202607010942_035A_L1SGBTBR_1110110.h5", "AMSR3", "L1B", "1110110"),
    ],
)
def test_sensor_level_and_version_of_a_name(name, sensor, level, version):
    parsed = GranuleName.parse(name)
    assert (parsed.sensor, parsed.level, parsed.version) == (sensor, level, version)
    assert parsed.granule_id == name.rpartition(".")[0] and parsed.path_number == 35


def test_names_of_channels():
    assert len(RESAMPLED_CHANNELS) == 2 * (7 + 5 + 4 + 2)
    for text in ("res23-36.5V", "RES23,36.5GHz,V", "res23 36V"):
        assert as_channel(text).name == "res23-36.5V"
    assert as_channel("res36-89H").dataset == "Brightness Temperature (res36,89.0GHz,H)"
    assert as_channel("original,89GHz-A,V") is CHANNELS["89AV"]
    assert CHANNELS["89AV"].get_dataset("L1R") == "Brightness Temperature (original,89GHz-A,V)"
    for text in ("res36-18.7V", "res23-89AV", "res07-6.9V"):
        with pytest.raises(InputError, match=r"res36- with 36\.5 89"):
            as_channel(text)
    assert find_level(as_channels(["36.5H", "89AV"])) == "L1B"
    with pytest.raises(InputError, match="expected channels of one level"):
        find_level(as_channels(["36.5H", "res36-36.5H"]))
    assert get_sensor("amsre").datasets == {"L1B": "25001000", "L1R": "25001001"}
    with pytest.raises(InputError, match="expected a sensor out of AMSR2, AMSR-E, AMSR3"):
        get_sensor("SSMIS")


def test_every_channel_of_a_resampled_granule(path):
    names = list_channels(path)
    assert set(names) == {*RESAMPLED_CHANNELS, "89AV", "89AH", "89BV", "89BH"}
    swath = read_granule(path, channels=names)
    with h5py.File(path) as file:
        for name in names:
            channel = as_channel(name)
            raw = file[channel.get_dataset("L1R")][2:-2]
            np.testing.assert_array_equal(swath.counts[name], raw)
            assert raw.shape == (12, channel.pixels)
        latitude = file["Latitude of Observation Point for 89A"][2:-2]
        longitude = file["Longitude of Observation Point for 89A"][2:-2]
    assert set(swath.positions) == {"resampled", "89A", "89B"}
    positions = swath.positions["resampled"]
    np.testing.assert_array_equal(positions.latitude, latitude[:, ::2])
    np.testing.assert_array_equal(positions.longitude, longitude[:, ::2])
    assert positions.method == "as in the granule"
    assert (swath.sensor, swath.level, swath.product_version) == ("AMSR2", "L1R", "2")
    assert {"sensor": "AMSR2", "level": "L1R"}.items() <= swath.summarise().items()
    assert read_granule(path).channels == ("res36-36.5H",)
    dataset = swath.to_xarray("resampled")
    assert dataset.brightness_temperature_res23_18_7V.attrs["long_name"] == (
        "brightness temperature at 18.7 GHz, V polarization, footprint res23"
    )


def test_a_channel_of_the_other_level_names_what_is_here(path, l1b):
    with pytest.raises(
        InputError, match=r"36\.5H of L1B, found a .* L1R, which has res06-36\.5H, res10-"
    ):
        read_granule(path, channels=["36.5H"])
    other = sorted(l1b.iterdir())[0]
    with pytest.raises(InputError, match=r"res36-89H of L1R, found a .* L1B, which has 89AH, 89BH: "):
        read_granule(other, channels=["res36-89H"])


@pytest.mark.parametrize("layout", ["hdf5", "swath_array"])
def test_from_granules_to_grids(l1r, granules, tmp_path, layout):
    assert collect(l1r, tmp_path / "a", "--channels", *TWO, "--layout", layout) == 0
    (archive,) = (tmp_path / "a").glob("AMSR2_swaths_*")
    with load_swaths(archive) as swaths:
        assert swaths.info["parameters"]["level"] == "L1R"
        assert swaths.info["title"].startswith("AMSR2 L1R") and "L1SGRTBR" in swaths.info["source"]
        for granule, swath in zip(granules, swaths, strict=True):
            read = read_granule(l1r / f"{granule.name(L1R)}.h5", channels=TWO)
            for name, array in read.name_arrays().items():
                np.testing.assert_array_equal(swath.name_arrays()[name], array)
            assert {n: p.method for n, p in swath.positions.items()} == {
                "resampled": "as in the granule"
            }
            assert list(swath.name_arrays()) == [
                "temperature_res23-36.5V",
                "temperature_res36-89H",
                "latitude",
                "longitude",
                "scan_times",
            ]
            assert (swath.sensor, swath.level) == ("AMSR2", "L1R")
    if layout == "hdf5":
        with xarray.open_dataset(archive, group=granules[0].name(L1R)) as dataset:
            temperature = dataset["temperature_res23-36.5V"]
            assert temperature.attrs["long_name"].endswith("36.5 GHz, V polarization, footprint res23")
            assert {"latitude", "longitude", "scan_times"} <= set(temperature.coords)
    assert verify_archive.main([str(archive)]) == 0
    parts = tmp_path / "parts"
    assert (
        split_amsr_files.main(["--input", str(archive), "--output_dir", str(parts), "--by", "day"]) == 0
    )
    grids = []
    for name, source in (("parts", parts), ("granules", l1r)):
        words = ["--input", str(source), "--output_dir", str(tmp_path / name / "tb"), "--grid", "n25000"]
        assert grid_swaths.main([*words, "--channels", *TWO]) == 0
        (file,) = (tmp_path / name / "tb").glob("AMSR2_TB_n25000_20200301_D.nc")
        with netCDF4.Dataset(file) as dataset:
            assert dataset.instrument == "AMSR2" and "L1SGRTBR" in dataset.source
            grids.append(dataset["brightness_temperature_res23_36_5V"][:].filled(np.nan))
    assert np.isfinite(grids[0]).sum() > 100
    np.testing.assert_array_equal(*grids)


def test_the_level_follows_from_the_channels_or_the_folder(l1r, l1b, tmp_path, capsys):
    both = tmp_path / "both"
    shutil.copytree(l1b, both)
    shutil.copytree(l1r, both, dirs_exist_ok=True)
    concentration = PRESETS["concentration"]
    cases = (
        (l1r, (), ("res36-36.5H",)),
        (both, (), ("36.5H",)),
        (both, ("--channels", "res36-36.5H"), ("res36-36.5H",)),
        (both, ("--level", "L1R", "--channels", "89AV"), ("89AV",)),
        (l1b, ("--preset", "concentration"), concentration["L1B"]),
        (both, ("--preset", "concentration", "--level", "L1R"), concentration["L1R"]),
    )
    for number, (folder, more, names) in enumerate(cases):
        output = tmp_path / str(number)
        assert collect(folder, output, *more) == 0
        (archive,) = output.glob("*.h5")
        with load_swaths(archive) as swaths:
            assert len(swaths) == 2 and swaths[0].channels == names
            level = "L1R" if names[0].startswith("res") or "L1R" in more else "L1B"
            assert swaths[1].level == level and swaths[1].positions
    assert "left out: granules of AMSR2 L1B: GW1AM2_" in capsys.readouterr().err
    assert len(concentration["L1B"]) == 8 and len(concentration["L1R"]) == 12


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            ("--preset", "concentration", "--channels", "36.5H"),
            "--preset concentration or --channels, found both",
        ),
        (("--preset", "concentration", "--no_coordinates"), "expected positions for --preset"),
        (("--level", "L1R", "--channels", "36.5H"), "expected channels of L1R, found 36.5H of L1B"),
        (("--channels", "36.5H", "res23-36.5H"), "expected channels of one level"),
        (("--sensor", "AMSR-E"), "expected AMSR-E L1R granules"),
    ],
)
def test_contradictions_are_one_line(l1r, tmp_path, more, words, capsys):
    assert collect(l1r, tmp_path, *more) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert words in line


def test_channels_of_the_other_level_are_not_gridded(l1r, tmp_path, capsys):
    words = [
        "--input",
        str(l1r),
        "--output_dir",
        str(tmp_path),
        "--grid",
        "n25000",
        "--channels",
        "36.5H",
    ]
    assert grid_swaths.main(words) == 1
    assert "choose others with --channels, such as res36-36.5H" in capsys.readouterr().err


def test_resampled_granules_of_g_portal(l1r, tmp_path, monkeypatch):
    monkeypatch.setenv("GPORTAL_USERNAME", "somebody")
    monkeypatch.setenv("GPORTAL_PASSWORD", "secret")
    products = [replace(product, dataset="11001002") for product in products_in(l1r)]
    argv = [*SPAN, "--orbit", "D", "--level", "L1R", "--output_dir", str(tmp_path)]
    server = GPortalServer(l1r, products, username="somebody", password="secret")
    with server, server.aimed():
        assert amsr2_processor.main(argv) == 0
        assert {query["datasetId"] for query in server.searches()} == {"11001002"}
    with load_swaths(next(tmp_path.glob("*.h5"))) as swaths:
        assert [swath.level for swath in swaths] == ["L1R", "L1R"]


def make_amsre(source, folder, pixels=243):
    """A granule of AMSR-E in the format of AMSR2: of its name, without 7.3 GHz."""
    name = source.name.replace("GW1AM2_2020", "PM1AME_2010")
    path = folder / name
    folder.mkdir(exist_ok=True)
    shutil.copy(source, path)
    with h5py.File(path, "r+") as file:
        text = h5py.string_dtype("ascii")
        for key, value in (("GranuleID", path.stem), ("SensorShortName", "AMSR-E")):
            file.attrs.create(key, np.array([value], object), dtype=text)
        for key in ("ObservationStartDateTime", "ObservationEndDateTime"):
            value = file.attrs[key][0].replace("2020-", "2010-")
            file.attrs.create(key, np.array([value], object), dtype=text)
        # Ten years and a day earlier: the years between hold three leap seconds, two days of leap years.
        file["Scan Time"][...] -= (datetime(2020, 3, 1) - datetime(2010, 3, 1)).days * 86400 + 3
        for key in [key for key in file if "7.3GHz" in key]:
            del file[key]
        for key in [key for key in file if "GHz" in key or "Observation Point" in key]:
            width = pixels * (2 if file[key].shape[1] == 486 else 1)
            values, attributes = file[key][:, :width], dict(file[key].attrs)
            del file[key]
            file[key] = values
            file[key].attrs.update(attributes)
    return path


@pytest.mark.parametrize("pixels", [243, 196])
def test_amsre_in_the_format_of_amsr2(l1b, tmp_path, pixels, capsys):
    path = make_amsre(sorted(l1b.iterdir())[0], tmp_path / "l1b", pixels)
    name = identify_granule(path)
    assert (name.sensor, name.level) == ("AMSR-E", "L1B")
    span = ["--start", "2010-03-01", "--end", "2010-03-01", "--orbit", "D"]
    words = [*span, "--input_dir", str(path.parent), "--output_dir", str(tmp_path / "archive")]
    amsr2_processor.main(words)
    (archive,) = (tmp_path / "archive").glob("AMSR-E_swaths_20100301_000000_to_20100301_235959*.h5")
    with load_swaths(archive) as swaths:
        assert swaths[0].sensor == "AMSR-E" and swaths[0].shape == (12, pixels)
        assert swaths[0].to_xarray().attrs["platform"] == "Aqua"
    capsys.readouterr()
    verify_archive.main([str(archive)])
    assert "valid 1, damaged 0" in capsys.readouterr().out
    words = ["--input", str(archive), "--output_dir", str(tmp_path / "tb"), "--grid", "n25000"]
    assert grid_swaths.main(words) == 0
    with netCDF4.Dataset(tmp_path / "tb" / "AMSR-E_TB_n25000_20100301_D.nc") as dataset:
        assert dataset.platform == "Aqua" and "AMSR-E on Aqua" in dataset.source
    assert grid_swaths.main([*words[:2], str(l1b), *words[2:]]) == 1
    assert "expected swaths of one sensor, found AMSR" in capsys.readouterr().err


def test_granules_under_other_names(l1r, path, tmp_path):
    names = (
        f"{path.stem} (1).h5",
        f"Copy of {path.name}",
        f"{path.stem}.H5",
        f"{path.stem}.he5",
        f"{path.name}.1",
        "no ending",
        "data.bin",
    )
    for name in names:
        shutil.copy(path, tmp_path / name)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / f"{path.name}.part").write_bytes(path.read_bytes()[:1000])
    granules, left_out = find_granules(tmp_path)
    assert {name.granule_id for name in granules.values()} == {path.stem}
    assert {path.name for path in granules} == set(names)
    (line,) = left_out
    assert f"{path.name}.part" in line
    assert identify_granule(tmp_path / "data.bin").level == "L1R"
