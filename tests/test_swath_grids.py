"""grid_swaths.py: swaths of archives and granules to daily grids."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime

import netCDF4
import numpy as np
import pytest
import swaths
from pyproj import Transformer

import amsr2_processor
import grid_swaths
from seaice.gridding.file import TimeStep, describe_statistic, write_gridded
from seaice.grids import get_grid
from seaice.simulate import list_simulated_granules, write_granule
from seaice.sources.amsr2.l1b import read_granule
from seaice.sources.amsr2.swath import (
    Positions,
    Swath,
)
from seaice.swaths.archive import (
    create_archive,
    load_swaths,
)
from seaice.swaths.find import OpenArchives

# Descending half orbits begin in the far north; the last one begins shortly before midnight.
START = datetime(2020, 3, 1, 12, 0, tzinfo=UTC)
END = datetime(2020, 3, 2, 3, 0, tzinfo=UTC)
GRID = get_grid("n25000")
SCANS = 30


@pytest.fixture(scope="module")
def granules(tmp_path_factory):
    folder = tmp_path_factory.mktemp("l1b")
    for granule in list_simulated_granules(START, END):
        if not granule.ascending:
            write_granule(folder, granule, scans=SCANS, overlap=2)
    return folder


@pytest.fixture(scope="module")
def archive(granules, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    words = ["--start", f"{START:%Y-%m-%d %H:%M}", "--end", f"{END:%Y-%m-%d %H:%M}", "--layout", "hdf5"]
    words += ["--orbit", "D", "--channels", "36.5H", "18.7V"]
    assert amsr2_processor.main([*words, "--output_dir", str(folder), "--input_dir", str(granules)]) == 0
    return next(folder.glob("*.h5"))


def run(*words):
    return grid_swaths.main([str(word) for word in ("--grid", "n25000", *words)])


def fields(path):
    with netCDF4.Dataset(path) as dataset:
        return {
            name: np.ma.filled(variable[0].astype(np.float64), np.nan)
            for name, variable in dataset.variables.items()
            if variable.dimensions == ("time", "y", "x")
        }


def slow_reference(paths, channel, day):
    """One pixel after the other, projected by pyproj."""
    transformer = Transformer.from_crs(GRID.crs.geodetic_crs, GRID.crs, always_xy=True)
    values, hours = defaultdict(list), defaultdict(list)
    midnight = datetime.combine(day, datetime.min.time(), UTC).timestamp()
    for path in paths:
        swath = read_granule(path, channels=[channel])
        places = next(iter(swath.positions.values()))
        x, y = transformer.transform(places.longitude, places.latitude)
        kelvin = swath.kelvin()
        for scan, time in enumerate(swath.scan_times):
            if not midnight <= time < midnight + 86400:
                continue
            for pixel in range(kelvin.shape[1]):
                column = int(np.floor((x[scan, pixel] - GRID.west) / GRID.step))
                row = GRID.rows - 1 - int(np.floor((GRID.extent[3] - y[scan, pixel]) / GRID.step))
                if (
                    0 <= column < GRID.columns
                    and 0 <= row < GRID.rows
                    and np.isfinite(kelvin[scan, pixel])
                ):
                    values[row, column].append(float(kelvin[scan, pixel]))
                    hours[row, column].append((time - midnight) / 3600)
    return values, hours


@pytest.mark.slow
@pytest.mark.parametrize("source", ["granules", "archive"])
def test_equals_the_slow_reference(granules, archive, tmp_path, source):
    given = granules if source == "granules" else archive
    assert run("--input", given, "--output_dir", tmp_path, "--channels", "36.5H") == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["AMSR2_TB_n25000_20200301_D.nc", "AMSR2_TB_n25000_20200302_D.nc"]
    day = datetime(2020, 3, 1).date()
    values, hours = slow_reference(sorted(granules.iterdir()), "36.5H", day)
    found = fields(tmp_path / names[0])
    assert len(values) > 1000
    assert {tuple(cell) for cell in np.argwhere(found["brightness_temperature_36_5H_count"])} == set(
        values
    )
    for cell, seen in list(values.items())[::7]:
        assert found["brightness_temperature_36_5H"][cell] == pytest.approx(np.mean(seen), rel=1e-6)
        assert found["brightness_temperature_36_5H_std"][cell] == pytest.approx(np.std(seen), abs=1e-4)
        assert found["brightness_temperature_36_5H_count"][cell] == len(seen)
        assert found["observation_time"][cell] == pytest.approx(np.mean(hours[cell]), rel=1e-6)
    empty = found["brightness_temperature_36_5H_count"] == 0
    assert np.isnan(found["brightness_temperature_36_5H"][empty]).all()


@pytest.mark.slow
def test_a_swath_over_midnight_stands_in_both_days_once(granules, tmp_path):
    """The day is that of the scan: no pixel twice, none lost."""
    assert run("--input", granules, "--output_dir", tmp_path) == 0
    total = sum(fields(p)["brightness_temperature_36_5H_count"].sum() for p in tmp_path.iterdir())
    inside = 0
    for path in granules.iterdir():
        places = read_granule(path).positions["36.5"]
        from seaice.gridding import locate_cells

        inside += (locate_cells(places.latitude, places.longitude, GRID) >= 0).sum()
    assert total == inside


def test_scans_of_one_granule_on_two_days(tmp_path):
    times = datetime(2020, 3, 1, 23, 59, 57, tzinfo=UTC).timestamp() + 1.5 * np.arange(4)
    from seaice.swaths.grid import select_scans

    swath = Swath({"36.5H": np.ones((4, 3), np.uint16)}, {}, scan_times=times)
    first = datetime(2020, 3, 1, tzinfo=UTC).timestamp()
    assert select_scans(swath, first).tolist() == [True, True, False, False]
    assert select_scans(swath, first + 86400).tolist() == [False, False, True, True]
    assert not select_scans(swath, first + 2 * 86400).any()
    # Of unknown time at the border, at an end: of one day all the same. A time gone wild: of none.
    for wild in (np.nan, times[0] + 1e6):
        for scan in range(4) if np.isnan(wild) else (1,):
            damaged = times.copy()
            damaged[scan] = wild
            each = Swath({"36.5H": np.ones((4, 3), np.uint16)}, {}, scan_times=damaged)
            days = sum(select_scans(each, first + day * 86400).astype(int) for day in (0, 1))
            assert days.tolist() == [0 if i == scan and wild == wild else 1 for i in range(4)]


def test_all_channels_of_an_archive_and_its_attributes(archive, tmp_path):
    assert run("--input", archive, "--output_dir", tmp_path) == 0
    with netCDF4.Dataset(tmp_path / "AMSR2_TB_n25000_20200301_D.nc") as dataset:
        assert {"brightness_temperature_36_5H", "brightness_temperature_18_7V"} <= set(dataset.variables)
        variable = dataset["brightness_temperature_18_7V"]
        assert variable.standard_name == "brightness_temperature" and variable.units == "K"
        assert variable.units_metadata == "temperature: on_scale"
        assert "36_5H" in dataset["observation_time"].long_name, "of which channel"
        assert dataset.Conventions == "CF-1.11" and dataset.orbit_direction == "descending"
        assert variable.coordinates == "orbit"
        assert str(dataset["orbit"][...]) == "descending"
        assert dataset.input_granules.count("GW1AM2_20200301") >= 5
        assert dataset["time_bnds"][0].tolist() == [18322, 18323]


def test_ascending_and_descending_files_open_together(tmp_path):
    import xarray

    grid = GRID.crop(slice(0, 2), slice(0, 3))
    opened = []
    for number, direction in enumerate(("ascending", "descending")):
        write_gridded(
            tmp_path / f"{direction}.nc",
            grid=grid,
            steps=[TimeStep(date(2020, 3, 1), date(2020, 3, 1))],
            variables=[describe_statistic("tb", "temperature", "K", cell_methods="area: mean")],
            fields=lambda _, number=number: {"tb": np.full(grid.shape, 200.0 + number)},
            attributes={},
            labels={"orbit": direction},
        )
        with xarray.open_dataset(tmp_path / f"{direction}.nc") as dataset:
            opened.append(dataset.load())
    together = xarray.concat(opened, "orbit")
    assert together.orbit.values.tolist() == ["ascending", "descending"]
    assert (together.tb.sel(orbit="descending") == 201).all()


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_readers_place_it_right(archive, tmp_path):
    import rioxarray
    import xarray

    assert run("--input", archive, "--output_dir", tmp_path, "--start_date", "20200302") == 0
    (path,) = tmp_path.iterdir()
    data = xarray.open_dataset(path)["brightness_temperature_36_5H"][0]
    row, column = np.argwhere(np.isfinite(data.values))[0]
    lat, lon = (values[row, column] for values in GRID.longitude_latitude()[::-1])
    with rioxarray.open_rasterio(f'NETCDF:"{path}":brightness_temperature_36_5H', masked=True) as raster:
        assert raster.rio.crs.to_epsg() == 3411
        x, y = Transformer.from_crs(GRID.crs.geodetic_crs, GRID.crs, always_xy=True).transform(lon, lat)
        near = raster.sel(x=x, y=y, method="nearest").squeeze()
        assert float(near) == pytest.approx(float(data.values[row, column]))


@pytest.mark.slow
def test_run_again_and_with_other_parameters(archive, tmp_path, capsys):
    assert run("--input", archive, "--output_dir", tmp_path) == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    capsys.readouterr()
    assert run("--input", archive, "--output_dir", tmp_path) == 0
    assert capsys.readouterr().out.count("already there") == 2
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert run("--input", archive, "--output_dir", tmp_path, "--channels", "36.5H") == 0
    assert "already there" not in capsys.readouterr().out


@pytest.mark.slow
def test_workers_and_inputs_given_twice_do_not_show(archive, granules, tmp_path):
    assert run("--input", archive, "--output_dir", tmp_path / "a", "--channels", "36.5H") == 0
    more = ["--workers", 2, "--channels", "36.5H"]
    assert run("--input", archive, granules, archive, "--output_dir", tmp_path / "b", *more) == 0
    for path in (tmp_path / "a").iterdir():
        for name, field in fields(path).items():
            np.testing.assert_array_equal(field, fields(tmp_path / "b" / path.name)[name])


@pytest.mark.slow
def test_longer_time_steps(archive, tmp_path):
    """1 and 2 March 2020 were a Sunday and a Monday."""
    name = "brightness_temperature_36_5H"
    words = ["--input", archive, "--channels", "36.5H", "--output_dir"]
    assert run(*words, tmp_path / "days") == 0
    first, second = (fields(path) for path in sorted((tmp_path / "days").iterdir()))
    count = first[f"{name}_count"] + second[f"{name}_count"]
    total = sum(np.nan_to_num(day[name]) * day[f"{name}_count"] for day in (first, second))
    expected = {
        "week": [("20200224_20200301", first), ("20200302_20200308", second)],
        "month": [("202003", None)],
        "all": [("20200301_20200302", None)],
        "3D": [("20200229_20200302", None)],  # day 18321 after 1970-01-01 is 29 February
        "1D": [("20200301", first), ("20200302", second)],
    }
    for period, steps in expected.items():
        assert run(*words, tmp_path / period, "--period", period) == 0
        paths = sorted((tmp_path / period).iterdir())
        assert [path.name for path in paths] == [f"AMSR2_TB_n25000_{stamp}_D.nc" for stamp, _ in steps]
        for path, (_, day) in zip(paths, steps, strict=True):
            step = fields(path)
            if day is not None:
                np.testing.assert_array_equal(step[name], day[name])
                continue
            np.testing.assert_array_equal(step[f"{name}_count"], count)
            np.testing.assert_allclose(step[name] * count, np.where(count, total, np.nan), rtol=1e-6)
    with netCDF4.Dataset(tmp_path / "week" / "AMSR2_TB_n25000_20200224_20200301_D.nc") as dataset:
        assert dataset["time_bnds"][:].tolist() == [[18316, 18323]]
        hours = dataset["observation_time"][:]
    # From Monday 00:00 on; the scans are of Sunday.
    np.testing.assert_allclose(hours.compressed(), first["observation_time"][~hours.mask[0]] + 144)


@pytest.mark.slow
def test_days_beyond_the_dates_asked_for_are_in_no_longer_step(tmp_path, capsys):
    """A granule over midnight holds scans of the day before."""
    days = datetime(2020, 3, 2, tzinfo=UTC), datetime(2020, 3, 4, tzinfo=UTC)
    granule = next(g for g in list_simulated_granules(*days) if g.start.date() != g.end.date())
    path = write_granule(tmp_path, granule)
    name, output = "brightness_temperature_36_5H_count", tmp_path / "tb"
    words = ["--input", path, "--output_dir", output, "--grid", "EPSG:4326:2:-180,-90,180,90"]
    words = [str(word) for word in words]

    def count(stamp):
        return fields(output / f"AMSR2_TB_epsg4326_2_{stamp}_D.nc")[name]

    assert grid_swaths.main(words) == 0
    first, second = count("20200302"), count("20200303")
    assert first.sum() > 1000 and second.sum() > 1000
    later = [*words, "--start_date", "20200303", "--period", "month"]
    assert grid_swaths.main(later) == 0
    np.testing.assert_array_equal(count("202003"), second)
    capsys.readouterr()
    # The same file of other days is made again, that of the same days is not.
    assert grid_swaths.main(later) == 0
    assert "already there" in capsys.readouterr().out
    assert grid_swaths.main([*words, "--period", "month"]) == 0
    np.testing.assert_array_equal(count("202003"), first + second)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["bucket", "nearest"])
def test_latitude_and_longitude(granules, tmp_path, way):
    if way == "nearest":
        pytest.importorskip("pyresample")
    globe = "EPSG:4326:1:-180,0,180,90"
    words = ["--input", granules, "--channels", "36.5H", "--start_date", "20200302", "--grid", globe]
    assert grid_swaths.main(list(map(str, [*words, "--output_dir", tmp_path, "--resample", way]))) == 0
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("AMSR2_TB_epsg4326_1_20200302_D")
    values = defaultdict(list)
    midnight = datetime(2020, 3, 2, tzinfo=UTC).timestamp()
    for granule in sorted(granules.iterdir()):
        swath = read_granule(granule, channels=["36.5H"])
        positions = next(iter(swath.positions.values()))
        rows = (swath.scan_times >= midnight) & np.isfinite(swath.scan_times)
        for lat, lon, kelvin in zip(
            positions.latitude[rows].ravel(), positions.longitude[rows].ravel(),
            swath.kelvin()[rows].ravel(), strict=True,
        ):  # fmt: skip
            if lat >= 0 and np.isfinite(kelvin):
                # A cell holds its northern and its western edge.
                cell = 89 - int(np.floor(90 - float(lat))), int(np.floor((float(lon) + 180) % 360))
                values[cell].append(float(kelvin))
    name = "brightness_temperature_36_5H"
    gridded = fields(path)[name]
    assert len(values) > 500 and {column for _, column in values} > {0, 1, 358, 359}
    if way == "bucket":
        assert {tuple(cell) for cell in np.argwhere(np.isfinite(gridded))} == set(values)
        for cell, kelvin in values.items():
            assert gridded[cell] == pytest.approx(np.mean(kelvin), rel=1e-6)
    else:
        means = np.full(gridded.shape, np.nan)
        for cell, kelvin in values.items():
            means[cell] = np.mean(kelvin)
        both = np.isfinite(gridded) & np.isfinite(means)
        # Cells at the edge of a swath hold no pixel near their centre.
        assert both.sum() > 100 and both[:, :2].any() and both[:, -2:].any()
        assert np.corrcoef(gridded[both], means[both])[0, 1] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("way", ["nearest", "gaussian"])
def test_interpolated_by_pyresample(archive, tmp_path, way):
    pytest.importorskip("pyresample")
    words = ["--input", archive, "--channels", "36.5H", "--start_date", "20200302"]
    assert run(*words, "--output_dir", tmp_path, "--resample", way) == 0
    assert run(*words, "--output_dir", tmp_path) == 0
    name = "brightness_temperature_36_5H"
    found = fields(tmp_path / f"AMSR2_TB_n25000_20200302_D_{way}.nc")[name]
    bucket = fields(tmp_path / "AMSR2_TB_n25000_20200302_D.nc")[name]
    both = np.isfinite(found) & np.isfinite(bucket)
    assert both.sum() > 0.9 * np.isfinite(bucket).sum() > 100
    # Row 0 is the south in both, else the fields would not resemble each other.
    assert np.corrcoef(found[both], bucket[both])[0, 1] > 0.9


@pytest.mark.slow
def test_archives_that_cannot_be_gridded(granules, archive, tmp_path, capsys):
    bare = tmp_path / "bare"
    words = ["--start", f"{START:%Y-%m-%d %H:%M}", "--end", f"{END:%Y-%m-%d %H:%M}", "--orbit", "D"]
    argv = [*words, "--no_coordinates", "--output_dir", str(bare), "--input_dir", str(granules)]
    assert amsr2_processor.main(argv) == 0
    (path,) = bare.glob("AMSR2_temp_only_*.h5")
    assert run("--input", path, "--output_dir", tmp_path / "tb") == 1
    err = capsys.readouterr().err
    assert "carries no positions of 36.5H" in err and "--coordinates" in err
    assert run("--input", archive, "--output_dir", tmp_path / "tb", "--channels", "89AV") == 1
    err = capsys.readouterr().err
    assert "expected the channels 89AV, found 36.5H, 18.7V" in err and "--channels" in err
    old = tmp_path / "old.npz"
    with load_swaths(archive) as swaths, create_archive(old, layout="swath_array", count=1) as writer:
        swath = swaths[0]
        writer.add(Swath(swath.counts, swath.scale_factors, swath.positions))
        writer.finish({})
    assert run("--input", old, "--output_dir", tmp_path / "tb") == 1
    assert "does not say when" in capsys.readouterr().err
    assert run("--input", tmp_path / "none.h5", "--output_dir", tmp_path / "tb") == 1
    assert "no such file" in capsys.readouterr().err
    assert run("--input", archive, "--output_dir", tmp_path / "tb", "--start_date", "20210101") == 1
    assert "found none in the input" in capsys.readouterr().err
    assert run("--input", archive, "--output_dir", tmp_path / "tb", "--grid", "n1") == 1


def test_a_damaged_swath_is_named_and_the_rest_goes_on(granules, archive, tmp_path, capsys):
    damaged = tmp_path / archive.name
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 4
    damaged.write_bytes(content)
    assert run("--input", damaged, "--output_dir", tmp_path / "tb") == 0
    err = capsys.readouterr().err
    assert "left out: damaged" in err and "Traceback" not in err
    assert len(list((tmp_path / "tb").iterdir())) == 2


@pytest.mark.slow
def test_a_damaged_swath_is_tried_again(archive, tmp_path, capsys):
    """What failed is not taken for done: the next run makes the file whole."""
    there = tmp_path / archive.name
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 4
    there.write_bytes(content)
    words = ["--input", there, "--output_dir", tmp_path / "tb", "--channels", "36.5H", "18.7V"]
    for _ in range(2):
        assert run(*words) == 0
        assert "left out: damaged" in capsys.readouterr().err, "still damaged, still said"
    there.write_bytes(archive.read_bytes())
    assert run(*words) == 0
    assert run("--input", archive, "--output_dir", tmp_path / "good") == 0
    for path in (tmp_path / "good").iterdir():
        for name, field in fields(path).items():
            np.testing.assert_array_equal(field, fields(tmp_path / "tb" / path.name)[name])


def odd_swaths():
    """Swaths of damaged archives, and what is said of them."""
    good = swaths.make_swath(0)
    far = good.scan_times.copy()
    far[-1] = 1e11
    places = good.positions["36.5"]
    narrow = Positions(places.latitude[:, :100], places.longitude[:, :100])
    return [
        (replace(good, scan_times=np.full(20, np.nan)), "does not say when"),
        (replace(good, scan_times=far), "expected a swath of less than 3:00:00"),
        (replace(good, scan_times=good.scan_times[:10]), "of 10 scans: 36.5H"),
        (replace(good, positions={"36.5": narrow}), "positions of one shape"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("odd", range(4))
def test_an_odd_swath_leaves_the_others_as_they_are(odd, tmp_path, capsys):
    swath, words = odd_swaths()[odd]
    others = [swaths.make_swath(2), swaths.make_swath(4)]
    path = swaths.write(tmp_path / "a.h5", [others[0], swath, others[1]], layout="hdf5")
    good = swaths.write(tmp_path / "b.h5", others, layout="hdf5")
    assert run("--input", path, "--output_dir", tmp_path / "a") == 0
    err = capsys.readouterr().err
    assert err.count("left out: ") == 1 and words in err
    assert run("--input", good, "--output_dir", tmp_path / "b") == 0
    (one,), (other,) = (list((tmp_path / name).iterdir()) for name in "ab")
    for name, field in fields(one).items():
        np.testing.assert_array_equal(field, fields(other)[name])


def test_odd_archives_beside_a_good_one(tmp_path, monkeypatch, capsys):
    """Unreadable ones are named, empty ones and unknown directions are no reason to stop."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.h5").write_bytes(b"no archive")
    swaths.write(folder / "b.h5", [])
    sideways = replace(swaths.make_swath(0, channels=("18.7V",)), orbit_type="x")
    swaths.write(folder / "c.h5", [sideways])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run("--input", "../in", "--output_dir", "tb") == 0
    assert capsys.readouterr().err.count("left out: ") == 1
    (path,) = (tmp_path / "here" / "tb").iterdir()
    assert path.name == "AMSR2_TB_n25000_20200101_U.nc"
    assert "brightness_temperature_18_7V" in fields(path), "channels of the first that has swaths"


def test_of_two_versions_of_a_granule_the_newer_one(tmp_path):
    old, new = swaths.make_swath(0), swaths.make_swath(0)
    kelvin = {"36.5H": np.full((20, 243), 25000, np.uint16)}
    new = replace(new, counts=kelvin, granule_id=new.granule_id.replace("2220220", "3220220"))
    for order in ((old, new), (new, old)):
        path = swaths.write(tmp_path / f"from_{order[0].granule_id}.h5", order)
        assert run("--input", path, "--output_dir", tmp_path / "tb") == 0
        found = fields(next((tmp_path / "tb").iterdir()))
        assert set(np.unique(found["brightness_temperature_36_5H_count"])) == {0, 1}
        assert np.nanmin(found["brightness_temperature_36_5H"]) == 250


def test_a_channel_without_a_pixel_is_missing(tmp_path):
    pytest.importorskip("pyresample")
    swath = swaths.make_swath(0, channels=("36.5H", "18.7V"))
    swath = replace(swath, counts={**swath.counts, "18.7V": np.full((20, 243), 65535, np.uint16)})
    path = swaths.write(tmp_path / "a.h5", [swath])
    assert run("--input", path, "--output_dir", tmp_path / "tb", "--resample", "nearest") == 0
    found = fields(next((tmp_path / "tb").iterdir()))
    assert np.isnan(found["brightness_temperature_18_7V"]).all()
    assert np.isfinite(found["brightness_temperature_36_5H"]).any()


def test_few_archives_are_open_at_a_time_and_none_is_stale(tmp_path):
    paths = [swaths.write(tmp_path / f"{n}.h5", [swaths.make_swath(n)]) for n in range(12)]
    archives = OpenArchives()
    opened = [archives.get(path) for path in paths]
    assert archives.get(paths[-1]) is opened[-1]
    assert archives.get(paths[0]) is not opened[0], "closed when others came"
    assert len(archives._open) < len(paths)
    paths[-1].unlink()
    swaths.write(paths[-1], [swaths.make_swath(40)])
    assert archives.get(paths[-1]).entries[0]["granule_id"] == swaths.make_swath(40).granule_id
    archives.close()
