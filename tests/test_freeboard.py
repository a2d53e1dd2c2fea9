"""grid_freeboard.py: granules of ICESat-2 to daily and monthly grids."""

import json
import re
import threading
from collections import defaultdict
from datetime import UTC, date, datetime

import h5py
import netCDF4
import numpy as np
import pytest
from pyproj import Transformer
from test_engine import kill_a_worker_when

import grid_freeboard
import seaice
from seaice import InputError
from seaice.freeboard.area import (
    NAMED_AREAS,
    Area,
    read_area,
)
from seaice.gridding import MergeTree, compute_buckets, locate_cells, merge_all
from seaice.grids import get_grid, parse_grid
from seaice.report import Progress
from seaice.simulate import list_simulated_passes, write_atl10
from seaice.sources.icesat2.granule import read_granule

GRID = get_grid("ease2n25000")
# Five passes before and after midnight between two months.
START = datetime(2022, 1, 31, 19, tzinfo=UTC)
END = datetime(2022, 2, 1, 3, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("atl10")
    for number, each in enumerate(list_simulated_passes(START, END)):
        release = "005" if number == 1 else "006"
        turn = ("backward", "forward", "turning")[number % 3]
        absent = ("gt2l/freeboard_segment",) if number == 0 else ()
        write_atl10(
            folder, each, segments=250, reach=2000.0, release=release, orientation=turn, absent=absent
        )
    assert len(list(folder.iterdir())) == 5
    return folder


def run(*words):
    return grid_freeboard.main([str(word) for word in ("--grid", "ease2n25000", *words)])


def fields(path):
    with netCDF4.Dataset(path) as dataset:
        return {
            name: np.ma.filled(variable[:].astype(np.float64), np.nan)
            for name, variable in dataset.variables.items()
            if variable.dimensions == ("time", "y", "x")
        }


def slow_reference(folder, *, beams="strong", ice=False, worst=5):
    """Plain loops and pyproj: statistics by day and cell."""
    transformer = Transformer.from_crs(GRID.crs.geodetic_crs, GRID.crs, always_xy=True)
    found = defaultdict(list)
    for path in sorted(folder.glob("*.h5")):
        for track in read_granule(path, beams=beams).tracks:
            beam = f"{path.name} {track.beam}"
            x, y = transformer.transform(track.longitude, track.latitude)
            for i in range(len(track)):
                value, weight = float(track.value[i]), float(track.length[i])
                if not (np.isfinite(value) and weight > 0) or not 1 <= track.quality[i] <= worst:
                    continue
                if ice and track.surface_type[i] != 1:
                    continue
                day = datetime.fromtimestamp(track.time[i], UTC).date()
                column = int(np.floor((x[i] - GRID.west) / GRID.step))
                row = GRID.rows - 1 - int(np.floor((GRID.extent[3] - y[i]) / GRID.step))
                found[day, row, column].append((value, weight, float(track.uncertainty[i]), beam))
    return found


def check(path, reference, key_of):
    """Compare a file with the reference, cell by cell."""
    groups = defaultdict(list)
    for (day, row, column), members in reference.items():
        groups[key_of(day), row, column] += members
    stored = fields(path)
    assert int(stored["segment_count"].sum()) == sum(map(len, groups.values()))
    assert {tuple(c) for c in np.argwhere(stored["segment_count"])} == set(groups)
    for cell, members in groups.items():
        value, weight, uncertainty, track = (np.array(each) for each in zip(*members, strict=True))
        mean = (value * weight).sum() / weight.sum()
        spread = (weight * (value - mean) ** 2).sum() / weight.sum()
        assert stored["freeboard_mean"][cell] == pytest.approx(mean, rel=2e-7)
        assert stored["freeboard_std"][cell] == pytest.approx(np.sqrt(spread), rel=1e-6, abs=1e-7)
        assert stored["segment_count"][cell] == len(members)
        assert stored["segment_length_mean"][cell] == pytest.approx(weight.mean(), rel=2e-7)
        assert stored["track_count"][cell] == len(set(track.tolist()))
        known = np.isfinite(uncertainty)
        expected = (uncertainty * weight)[known].sum() / weight[known].sum() if known.any() else np.nan
        found = stored["freeboard_uncertainty"][cell]
        assert found == pytest.approx(expected, rel=2e-7, nan_ok=True)
    empty = stored["segment_count"] == 0
    assert np.isnan(stored["freeboard_mean"][empty]).all(), "empty is never 0"


@pytest.mark.slow
def test_days_against_the_slow_reference(folder, tmp_path):
    assert run("--input_dir", folder, "--output_file", tmp_path / "f.nc") == 0
    reference = slow_reference(folder)
    days = sorted({day for day, _, _ in reference})
    assert days == [date(2022, 1, 31), date(2022, 2, 1)], "passes over midnight"
    check(tmp_path / "f.nc", reference, days.index)
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert dataset["time"][:].tolist() == [19023, 19024]
        assert dataset["time_bnds"][:].tolist() == [[19023, 19024], [19024, 19025]]
        assert "standard_name" not in dataset["freeboard_mean"].ncattrs(), (
            "snow and ice, no freeboard of ice"
        )
        assert dataset.Conventions == "CF-1.11" and "ATL10-01_" in dataset.input_granules
        assert dataset["crs"].grid_mapping_name == "lambert_azimuthal_equal_area"


@pytest.mark.slow
def test_months_and_all_and_filters(folder, tmp_path):
    reference = slow_reference(folder)
    months = [(2022, 1), (2022, 2)]
    assert run("--input_dir", folder, "--output_file", tmp_path / "m.nc", "--period", "month") == 0
    check(tmp_path / "m.nc", reference, lambda day: months.index((day.year, day.month)))
    with netCDF4.Dataset(tmp_path / "m.nc") as dataset:
        assert dataset["time_bnds"][:].tolist() == [[18993, 19024], [19024, 19052]]
    assert run("--input_dir", folder, "--output_file", tmp_path / "a.nc", "--period", "all") == 0
    check(tmp_path / "a.nc", reference, lambda day: 0)
    more = ["--beams", "all", "--surface", "ice", "--max_quality", "3", "--period", "all"]
    assert run("--input_dir", folder, "--output_file", tmp_path / "i.nc", *more) == 0
    check(tmp_path / "i.nc", slow_reference(folder, beams="all", ice=True, worst=3), lambda day: 0)


@pytest.mark.slow
def test_weeks_and_days_that_are_counted(folder, tmp_path):
    """31 January 2022 was a Monday."""
    reference = slow_reference(folder)
    words = ["--input_dir", folder, "--output_file", tmp_path / "f.nc", "--period"]
    assert run(*words, "week") == 0
    check(tmp_path / "f.nc", reference, lambda day: 0)
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert dataset["time_bnds"][:].tolist() == [[19023, 19030]]
        assert json.loads(dataset.parameters)["period"] == "week"
    # Steps of two days from 1970-01-01 on begin on days of even numbers, else on the first day.
    assert run(*words, "2D", "--force") == 0
    check(tmp_path / "f.nc", reference, lambda day: int(day >= date(2022, 2, 1)))
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert dataset["time_bnds"][:].tolist() == [[19022, 19024], [19024, 19026]]
    assert run(*words, "2D", "--start_date", "20220131", "--force") == 0
    check(tmp_path / "f.nc", reference, lambda day: 0)
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert dataset["time_bnds"][:].tolist() == [[19023, 19025]]
    with pytest.raises(SystemExit):
        run(*words, "fortnight")


@pytest.mark.slow
def test_grids_of_an_option_and_of_a_file(folder, tmp_path):
    words = ["--input_dir", folder, "--period", "all", "--output_file"]
    edges = "EPSG:6931:25000:-9000000,-9000000,9000000,9000000"
    for name, grid in (("a", edges), ("b", tmp_path / "a.nc")):
        assert run(*words, tmp_path / f"{name}.nc", "--grid", grid) == 0
        check(tmp_path / f"{name}.nc", slow_reference(folder), lambda day: 0)
        with netCDF4.Dataset(tmp_path / f"{name}.nc") as dataset:
            assert dataset.grid_id == "ease2n25000"
            assert json.loads(dataset.parameters)["grid"] == "ease2n25000"
    globe = "EPSG:4326:0.5:-180,60,180,90"
    assert run(*words, tmp_path / "g.nc", "--grid", globe) == 0
    by_cell = defaultdict(int)
    for path in sorted(folder.glob("*.h5")):
        for track in read_granule(path, beams="strong").tracks:
            passes = np.isfinite(track.value) & (track.length > 0) & (track.quality >= 1)
            passes &= (track.quality <= 5) & (track.latitude >= 60)
            for lat, lon in zip(track.latitude[passes], track.longitude[passes], strict=True):
                by_cell[int((lat - 60) * 2), int((lon + 180) * 2)] += 1
    with netCDF4.Dataset(tmp_path / "g.nc") as dataset:
        count = dataset["segment_count"][0].filled(0)
        assert json.loads(dataset.parameters)["grid"] == globe
        assert dataset["x"].standard_name == "longitude" and dataset["x"].units == "degrees_east"
        assert (dataset.geospatial_lat_min, dataset.geospatial_lon_max) == (60, 180)
    assert {tuple(cell): int(count[tuple(cell)]) for cell in np.argwhere(count)} == by_cell
    assert sum(by_cell.values()) > 100


@pytest.mark.slow
def test_every_filter_is_counted(folder, tmp_path, capsys):
    words = ["--input_dir", folder, "--output_file", tmp_path / "f.nc", "--surface", "ice"]
    assert run(*words, "--preset", "atl20") == 0
    out = capsys.readouterr().out
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        dropped = json.loads(dataset.segments_dropped)
        used = int(dataset["segment_count"][:].sum())
    assert dropped["the spacecraft turned"] > 0 and dropped["surface is not ice"] > 0
    total, kept = map(int, re.search(r"5 granules, (\d+) segments, (\d+) used", out).groups())
    assert kept == used and total == used + sum(dropped.values())
    for name, count in dropped.items():
        assert (f"dropped: {name}: {count}" in out) == (count > 0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed")
@pytest.mark.parametrize(
    "more",
    [
        ["--workers", "2"],
        pytest.param(["--dask", "local", "--workers", "2"], marks=pytest.mark.thorough),
    ],
)
def test_a_worker_killed_on_the_way_changes_nothing(folder, tmp_path, monkeypatch, more):
    if "--dask" in more:
        pytest.importorskip("distributed")
    assert run("--input_dir", folder, "--output_file", tmp_path / "1.nc") == 0
    done, stop, killed = [], threading.Event(), []
    unit = Progress.unit
    monkeypatch.setattr(Progress, "unit", lambda *given, **more: done.append(1) or unit(*given, **more))
    killer = threading.Thread(target=kill_a_worker_when, args=(lambda: done, stop, killed))
    killer.start()
    try:
        assert run("--input_dir", folder, "--output_file", tmp_path / "2.nc", *more) == 0
    finally:
        stop.set()
        killer.join()
    assert killed
    one, two = fields(tmp_path / "1.nc"), fields(tmp_path / "2.nc")
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.slow
def test_days_are_clipped_and_absent_ones_are_there(folder, tmp_path):
    more = ["--start_date", "20220201", "--end_date", "20220203"]
    assert run("--input_dir", folder, "--output_file", tmp_path / "f.nc", *more) == 0
    stored = fields(tmp_path / "f.nc")["segment_count"]
    assert stored.shape[0] == 3 and stored[0].sum() > 0 and stored[1:].sum() == 0


@pytest.mark.slow
def test_a_region_clips_segments_and_cuts_the_grid(folder, tmp_path, capsys):
    assert run("--input_dir", folder, "--output_file", tmp_path / "whole.nc", "--period", "all") == 0
    box = ["--bbox", "-180", "80", "180", "84"]
    assert run("--input_dir", folder, "--output_file", tmp_path / "box.nc", "--period", "all", *box) == 0
    said = capsys.readouterr().out
    assert "outside the area box" in said and "box.nc: 1 time step, " in said
    with netCDF4.Dataset(tmp_path / "box.nc") as dataset:
        assert len(dataset.dimensions["x"]) < 100
        assert np.isin(dataset["x"][:], GRID.x).all() and np.isin(dataset["y"][:], GRID.y).all()
    count = 0
    for path in folder.glob("*.h5"):
        for track in read_granule(path).tracks:
            good = np.isfinite(track.value) & (track.quality >= 1) & (track.length > 0)
            count += (good & (track.latitude >= 80) & (track.latitude <= 84)).sum()
    assert fields(tmp_path / "box.nc")["segment_count"].sum() == count > 0
    wrong = ["--region", "antarctic", "--output_file", tmp_path / "w.nc"]
    assert run("--input_dir", folder, *wrong) == 1


def test_areas(tmp_path):
    box = Area("box", (170.0, 60.0, -170.0, 70.0))
    lat, lon = np.array([65.0, 65, 65, 65, 71, np.nan]), np.array([175.0, -175, 190, 0, 175, 175])
    assert box.contains(lat, lon).tolist() == [True, True, True, False, False, False]
    whole = Area("arctic", NAMED_AREAS["arctic"])
    assert whole.contains(np.array([60.0, 90, 59.9]), np.array([180.0, -180, 0])).tolist() == [
        True,
        True,
        False,
    ]
    part = whole.crop(GRID)
    assert part.rows == part.columns < 300
    corner = locate_cells(np.array([60.0]), np.array([45.0]), part)
    assert corner[0] >= 0
    polygon = {"type": "Polygon", "coordinates": [[[0, 70], [40, 70], [40, 80], [0, 70]]]}
    path = tmp_path / "bay.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [{"geometry": polygon}]}))
    bay = read_area(str(path), None)
    assert bay.name == "bay" and bay.bbox == (0, 70, 40, 80)
    assert bay.contains(np.array([72.0, 79.0]), np.array([35.0, 5.0])).tolist() == [True, False]
    for region, bbox, words in (
        ("arctic", (0, 60, 10, 70), "found both"),
        ("atlantis", None, "or a GeoJSON file"),
        (None, (0, 70, 10, 60), "south below north"),
        (None, (5, 60, 5, 70), "south below north"),
    ):
        with pytest.raises(InputError, match=words):
            read_area(region, bbox)
    for corners, (lat, lon), inside in (
        # Beyond 180 degrees, a bow tie, and the pole as an edge of the plane.
        ([[170, 70], [190, 70], [190, 80], [170, 80]], ([75, 75, 75, 75], [175, -175, 5, 185]), "1101"),
        ([[0, 70], [10, 80], [10, 70], [0, 80]], ([75, 75, 79], [1, 9, 5]), "110"),
        ([[-180, 80], [180, 80], [180, 90], [-180, 90]], ([90, 85, 85, 79], [3, 180, -180, 0]), "1110"),
    ):
        polygon = {"type": "Polygon", "coordinates": [[*corners, corners[0]]]}
        nothing = {"type": "Feature", "geometry": None}
        content = {"type": "FeatureCollection", "features": [{"geometry": polygon}, nothing]}
        path.write_text(json.dumps(content))
        found = read_area(str(path), None).contains(np.array(lat, float), np.array(lon, float))
        assert "".join(map(str, found.astype(int))) == inside
    for given, width, usual in (
        ((-180, 60, 360, 90), 360, (-180, 60, 180, 90)),
        ((0, 60, 360, 90), 360, (-180, 60, 180, 90)),
        ((170, 60, 190, 70), 20, (170, 60, -170, 70)),
        ((170, 60, -170, 70), 20, (170, 60, -170, 70)),
    ):
        box = read_area(None, given)
        assert (box.width, box.catalogue_bbox) == (width, usual)
        assert box.contains(np.array([65.0, 65.0]), np.array([175.0, -175.0])).all()
    path.write_text("not json")
    with pytest.raises(InputError, match="expected GeoJSON"):
        read_area(str(path), None)


def write_geojson(path, *rings):
    """A file with a polygon for each ring, which is closed here."""
    polygons = [[[*ring, ring[0]]] for ring in rings]
    path.write_text(json.dumps({"type": "MultiPolygon", "coordinates": polygons}))
    return str(path)


def test_polygons_that_are_split_at_180_degrees_belong_together(tmp_path):
    east = [[162, -79], [180, -79], [180, -75], [162, -75]]
    west = [[-180, -79], [-156, -79], [-156, -75], [-180, -75]]
    for rings in ((east, west), (west, east)):
        ross = read_area(write_geojson(tmp_path / "ross.geojson", *rings), None)
        assert ross.width == 42
        assert ross.catalogue_bbox == (162, -79, -156, -75)
        longitudes = np.array([161.0, 163, 179, -179, -157, -155, 0])
        inside = ross.contains(np.full(7, -77.0), longitudes)
        assert "".join(map(str, inside.astype(int))) == "0111100"
        assert ross.crop(get_grid("ease2s25000")).rows < 40
    apart = read_area(
        write_geojson(
            tmp_path / "a.geojson", [[0, 70], [10, 70], [5, 80]], [[90, 70], [99, 70], [95, 80]]
        ),
        None,
    )
    assert apart.bbox == (0, 70, 99, 80)


def test_a_ring_round_the_pole_is_no_sliver(tmp_path):
    parallel = [[longitude, -75] for longitude in range(-180, 181, 10)]
    wavy = [[longitude, -75 + longitude % 3] for longitude in range(-180, 180, 10)]
    for ring in (parallel, wavy):
        with pytest.raises(InputError, match="goes round the pole but encloses almost nothing"):
            read_area(write_geojson(tmp_path / "cap.geojson", ring), None)
    for closed in (
        [*parallel, [180, -90], [-180, -90]],
        [*parallel, *([longitude, -70] for longitude in range(180, -181, -10))],
        [*parallel, [180, -60], [-180, -60]],
    ):
        area = read_area(write_geojson(tmp_path / "cap.geojson", closed), None)
        assert area.width == 360


def test_errors_of_a_region_name_its_file(tmp_path):
    metres = [[1e5, 2e5], [3e5, 2e5], [3e5, 4e5]]
    with pytest.raises(InputError, match=r"metres.geojson: expected longitudes .* and latitudes"):
        read_area(write_geojson(tmp_path / "metres.geojson", metres), None)
    with pytest.raises(InputError, match="found none with an area"):
        read_area(write_geojson(tmp_path / "line.geojson", [[0, 60], [10, 60], [5, 60]]), None)


@pytest.mark.slow
def test_a_granule_in_several_files_is_counted_once(tmp_path):
    """A granule, subsets of it and renamed copies give together what the granule gives."""
    whole, several = tmp_path / "whole", tmp_path / "several"
    for folder in (whole, several):
        folder.mkdir()
    first = list_simulated_passes(START, END)[0]
    path = write_atl10(whole, first, segments=120, reach=2000.0)
    (several / path.name).write_bytes(path.read_bytes())
    (several / f"processed_{path.name}").write_bytes(path.read_bytes())
    (several / f"123_{path.stem}.H5").write_bytes(path.read_bytes())
    (several / "mine.hdf5").write_bytes(path.read_bytes())
    half = several / f"{path.stem}_half.h5"
    half.write_bytes(path.read_bytes())
    with h5py.File(half, "a") as file:
        for beam in ("gt1l", "gt1r"):
            del file[beam]
    (several / "notes.h5").write_text("no granule")
    (several / f"{path.name}.gz").write_text("packed")
    reports = []
    for folder in (whole, several):
        report = seaice.freeboard.grid.grid_freeboard(
            input_dir=folder, output_file=tmp_path / f"{folder.name}.nc", grid="ease2n25000"
        )
        reports.append(report)
    for name in ("segments", "kept", "dropped", "granules"):
        assert reports[0].values[name] == reports[1].values[name], name
    one, other = fields(tmp_path / "whole.nc"), fields(tmp_path / "several.nc")
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], name)
    assert any("in several files of one granule, taken once" in line for line in reports[1].lines)
    assert [line.split(":")[0].rpartition("/")[2] for line in reports[1].left_out] == [
        f"{path.name}.gz",
        "notes.h5",
    ]


@pytest.mark.slow
def test_the_grid_is_that_of_the_granules(tmp_path, capsys):
    passes = list_simulated_passes(START, END)
    write_atl10(tmp_path, passes[0], segments=50, reach=2000.0)
    words = ["--input_dir", str(tmp_path), "--output_file", str(tmp_path / "f.nc"), "--period", "all"]
    assert grid_freeboard.main(words) == 0
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert dataset.grid_id == "ease2n6250"
    assert grid_freeboard.main([*words, "--grid", "ease2s25000", "--force"]) == 1
    assert "no grid is written (ease2s25000, south)" in capsys.readouterr().err
    (tmp_path / "ATL10-02_20220301000000_00010101_006_01.h5").touch()
    assert grid_freeboard.main([*words, "--force"]) == 1
    assert "granules of one hemisphere, found north and south" in capsys.readouterr().err


def test_a_grid_smaller_than_the_points_by_which_an_area_is_found():
    grid = parse_grid("EPSG:4326:0.1:10.3,70.3,10.6,70.6")
    assert read_area("arctic", None).crop(grid) == grid


GLOBES = [f"EPSG:4326:0.5:{west},-90,{west + 360},90" for west in (-180, 0)]


@pytest.mark.parametrize("name", ["ease2n25000", "n25000", "s25000", "ease2s25000", *GLOBES])
def test_a_cut_grid_loses_no_cell(name):
    grid = parse_grid(name)
    pole = -1 if grid.hemisphere == "south" else 1
    for west, low, east, high in ((-180, 60, 180, 90), (150, 65, -150, 75), (-50, 84, -20, 88)):
        south, north = sorted((pole * low, pole * high))
        area = Area("a", (float(west), float(south), float(east), float(north)))
        part = area.crop(grid)
        rng = np.random.default_rng(0)
        lat = rng.uniform(south, north, 20_000)
        lon = west + rng.uniform(0, (east - west) % 360 or 360, lat.size)
        there = locate_cells(lat, lon, grid) >= 0
        assert ((locate_cells(lat, lon, part) >= 0) == there).all()


@pytest.mark.slow
def test_bad_granules_are_named_and_the_rest_goes_on(folder, tmp_path, capsys):
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for path in folder.glob("*.h5"):
        (mixed / path.name).write_bytes(path.read_bytes())
    passes = list_simulated_passes(datetime(2022, 3, 1, tzinfo=UTC), datetime(2022, 3, 1, 8, tzinfo=UTC))
    defects = ("truncated", "html", "no_beams")
    for each, defect in zip(passes, defects, strict=False):
        write_atl10(mixed, each, segments=100, defect=defect)
    assert run("--input_dir", mixed, "--output_file", tmp_path / "f.nc") == 0
    err = capsys.readouterr().err
    lines = [line for line in err.splitlines() if line.startswith("left out: ")]
    assert len(lines) == 3 and all("ATL10-01_20220301" in line for line in lines)
    assert "Traceback" not in err
    assert run("--input_dir", folder, "--output_file", tmp_path / "g.nc") == 0
    with netCDF4.Dataset(tmp_path / "f.nc") as dataset:
        assert "ATL10-01_20220301" not in dataset.input_granules
        assert len(dataset.input_granules.split()) == 5
    good, all_of_it = fields(tmp_path / "g.nc"), fields(tmp_path / "f.nc")
    assert good["segment_count"].sum() == all_of_it["segment_count"].sum()


@pytest.mark.slow
def test_nothing_to_grid(folder, tmp_path, capsys):
    assert run("--input_dir", tmp_path, "--output_file", tmp_path / "f.nc") == 1
    assert "expected ATL10 granules, found none" in capsys.readouterr().err
    assert run("--output_file", tmp_path / "f.nc") == 1
    assert "to search" in capsys.readouterr().err
    argv = ["--input_dir", folder, "--output_file", tmp_path / "f.nc", "--start_date", "20300101"]
    assert run(*argv, "--end_date", "20300102") == 1
    assert "no segment of" in capsys.readouterr().err
    assert not (tmp_path / "f.nc").exists()


@pytest.mark.slow
def test_cells_with_few_segments_have_no_value(folder, tmp_path):
    words = ["--input_dir", folder, "--period", "all"]
    assert run(*words, "--output_file", tmp_path / "1.nc") == 0
    assert run(*words, "--output_file", tmp_path / "9.nc", "--min_count", 9) == 0
    one, nine = fields(tmp_path / "1.nc"), fields(tmp_path / "9.nc")
    few = one["segment_count"] < 9
    assert np.isnan(nine["freeboard_mean"][few]).all()
    np.testing.assert_array_equal(nine["freeboard_mean"][~few], one["freeboard_mean"][~few])
    np.testing.assert_array_equal(nine["segment_count"], one["segment_count"])


def test_points_as_geoparquet(folder, tmp_path):
    geopandas = pytest.importorskip("geopandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    words = ["--input_dir", folder, "--output_file", tmp_path / "f.nc", "--period", "all"]
    assert run(*words, "--points", tmp_path / "p.parquet") == 0
    frame = geopandas.read_parquet(tmp_path / "p.parquet")
    metadata = parquet.read_schema(tmp_path / "p.parquet").metadata
    assert metadata[b"software"] == f"seaice {seaice.__version__}".encode()
    assert frame.crs.to_epsg() == 4326 or "CRS84" in str(frame.crs)
    stored = fields(tmp_path / "f.nc")
    assert len(frame) == stored["segment_count"].sum()
    assert set(frame["beam"]) <= {"gt1l", "gt2l", "gt3l", "gt1r", "gt2r", "gt3r"}
    found = compute_buckets(
        frame.geometry.y.to_numpy(),
        frame.geometry.x.to_numpy(),
        frame["value"].to_numpy(),
        frame["length"].to_numpy(),
        grid=GRID,
    )
    np.testing.assert_allclose(found.make_field("mean"), stored["freeboard_mean"][0], rtol=2e-7)
    assert frame["time"].min().to_pydatetime() > START


def test_points_that_cannot_be_written(folder, tmp_path, capsys, monkeypatch):
    """Said before anything is read or fetched; a failure half-way leaves what was there."""
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(
        "seaice.freeboard.grid._Query.obtain_granules", lambda *given: pytest.fail("has searched")
    )
    words = ["--output_file", tmp_path / "f.nc", "--start_date", "20220131", "--end_date", "20220201"]
    assert run(*words, "--points", tmp_path / "none" / "p.parquet") == 1
    assert "the folder of the output does not exist" in capsys.readouterr().err
    assert run(*words, "--input_dir", folder, "--cloud") == 1
    assert "expected --input_dir or --cloud, found both" in capsys.readouterr().err
    for name in ("f.nc", "p.parquet"):
        (tmp_path / name).write_text("of an earlier run")

    def fail(*given):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.ParquetWriter, "close", fail)
    assert run(*words, "--input_dir", folder, "--points", tmp_path / "p.parquet") == 1
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "f.nc": "of an earlier run",
        "p.parquet": "of an earlier run",
    }


def test_heights_of_atl07(real_data, tmp_path):
    words = [
        "--input_dir",
        real_data / "atl07",
        "--product",
        "ATL07",
        "--output_file",
        tmp_path / "h.nc",
    ]
    assert run(*words) == 0
    with netCDF4.Dataset(tmp_path / "h.nc") as dataset:
        assert "height_mean" in dataset.variables and dataset["segment_count"][:].sum() > 100


def test_true_granules_against_pandas(real_data, tmp_path, capsys):
    """Totals of the true granules by an independent way, to 1e-9."""
    pandas = pytest.importorskip("pandas")
    points = tmp_path / "p.parquet"
    pytest.importorskip("pyarrow")
    words = ["--input_dir", real_data / "atl10", "--output_file", tmp_path / "f.nc"]
    assert run(*words, "--points", points) == 0
    out = capsys.readouterr().out
    assert "3 granules" in out and "591 used" in out
    assert "2022-01-07 20:2" in out
    rows = []
    for path in sorted((real_data / "atl10").glob("*.h5")):
        with h5py.File(path) as file:
            for beam in ("gt1l", "gt2l", "gt3l"):  # backward in all of them
                group = file[beam].get("freeboard_segment")
                if group is None:
                    continue
                height = group["beam_fb_height"]
                frame = pandas.DataFrame(
                    {
                        "lat": group["latitude"][:],
                        "lon": group["longitude"][:],
                        "value": height[:].astype(np.float64),
                        "length": group["heights/height_segment_length_seg"][:].astype(np.float64),
                        "quality": group["beam_fb_quality_flag"][:],
                    }
                )
                rows.append(frame[(height[:] < height.attrs["_FillValue"]) & (frame["quality"] != -1)])
    frame = pandas.concat(rows)
    x, y = Transformer.from_crs(4326, 6931, always_xy=True).transform(frame["lon"], frame["lat"])
    frame["cell"] = np.floor((9e6 - y) / 25000) * 720 + np.floor((x + 9e6) / 25000)
    frame["weighted"] = frame["value"] * frame["length"]
    sums = frame.groupby("cell")[["weighted", "length"]].sum()
    mean = (sums["weighted"] / sums["length"]).to_numpy()
    ours = compute_buckets(
        frame["lat"].to_numpy(),
        frame["lon"].to_numpy(),
        frame["value"].to_numpy(),
        frame["length"].to_numpy(),
        grid=GRID,
    )
    assert len(frame) == ours.observations == 591
    np.testing.assert_allclose(np.sort(ours.compute("mean")), np.sort(mean), rtol=1e-9)
    stored = fields(tmp_path / "f.nc")["freeboard_mean"]
    np.testing.assert_allclose(np.sort(stored[np.isfinite(stored)]), np.sort(mean), rtol=1e-6)


def test_a_tree_gives_the_same_bits_as_a_list():
    rng = np.random.default_rng(7)
    parts = [
        compute_buckets(rng.uniform(70, 80, 50), rng.uniform(0, 9, 50), rng.normal(size=50), grid=GRID)
        for _ in range(11)
    ]
    tree = MergeTree(GRID)
    for part in parts:
        tree.add(part)
    one, other = tree.get_buckets(), merge_all(parts, GRID)
    assert (one.table == other.table).all() and (one.cells == other.cells).all()
    assert one.observations == 550
