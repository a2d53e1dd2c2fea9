"""Maps of whole scenes: where pixels lie, what is missing, and the share of ice by cell."""

import json
import shutil

import netCDF4
import numpy as np
import pytest
from cubes import write_cube
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from sar_scenes import rewrite, scenes_in, write_checkpoint

import seaice
from seaice import InputError
from seaice.flags import (
    FillFlag,
    Surface,
)
from seaice.grids import get_grid
from seaice.segmentation.data.labels import LabelRule
from seaice.segmentation.mapping.geotiff import write_geotiff
from seaice.segmentation.mapping.head_layers import LayerPlan
from seaice.segmentation.mapping.ice_share import (
    compare_with_cube,
    compute_fields,
    write_ice_share,
)
from seaice.segmentation.mapping.predict import predict
from seaice.segmentation.mapping.predict_scene import (
    classify_surface,
    map_scene,
)
from seaice.segmentation.mapping.scene_map import (
    read_scene_map,
    write_rasters,
)
from seaice.segmentation.mapping.scene_projection import SceneProjection
from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.ai4arctic.scene import (
    SCALING,
    open_scene,
)

TILES = {"tile": 64, "overlap": 16}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    scenes_in(root, scenes=2, test_scenes=0)
    return root


@pytest.fixture
def scene(scenes, tmp_path):
    """A scene whose HH is the probability that is to be found, with land and a hole in the SAR."""
    path = tmp_path / "20180109T074103_dmi_prep.nc"
    shutil.copy(sorted((scenes / "train").glob("*.nc"))[0], path)
    lines, samples = open_scene(path).shape
    hh = 0.05 + 0.9 * np.add.outer(np.arange(lines), np.arange(samples)) / (lines + samples)
    hh = hh.astype(np.float32)
    hv = np.ones_like(hh)
    hh[20:30, 40:60] = hv[20:30, 40:60] = 0
    zone = np.full(hh.shape, 5.0)
    zone[:10, :15] = 0
    mean, deviation = SCALING["distance_map"]
    rewrite(path, "nersc_sar_primary", hh)
    rewrite(path, "nersc_sar_secondary", hv)
    rewrite(path, "distance_map", ((zone - mean) / deviation).astype(np.float32))
    return path


def as_probability(images):
    return images[:, :1]


def mapped(path, **options):
    return map_scene(
        open_scene(path), as_probability, LayerPlan("classes"), LabelRule(), **TILES | options
    )


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model") / "best.pt")


# What is found


def test_land_and_pixels_without_sar_are_missing(scene):
    made, opened = mapped(scene), open_scene(scene)
    probability = made.layers["ice_probability"]
    hh = opened.read_sar()[0]
    hole = np.zeros(hh.shape, bool)
    hole[20:30, 40:60] = True
    land = np.zeros(hh.shape, bool)
    land[:10, :15] = True
    np.testing.assert_array_equal(np.isnan(probability), hole | land)
    known = ~(hole | land)
    np.testing.assert_allclose(probability[known], hh[known], rtol=1e-6)
    assert (made.surface[hole] == 255).all()
    assert (made.surface[land] == 2).all()
    clear = known & (np.abs(hh - 0.5) > 1e-6)
    np.testing.assert_array_equal(made.surface[clear], hh[clear] > 0.5)


def test_concentration_is_ice_from_the_class_of_the_rule_on():
    level = np.array([0.0, 0.14, 0.16, 0.2, 1.0, np.nan], np.float32)
    layers = {"ice_probability": 0 * level, "ice_concentration": level}
    assert classify_surface(layers, LabelRule(0.2)).tolist() == [0, 0, 1, 1, 1, 255]
    assert classify_surface(layers, LabelRule(0.1)).tolist() == [0, 1, 1, 1, 1, 255]


def test_a_scene_of_another_name(scene, tmp_path):
    other = tmp_path / "mine.nc"
    scene.rename(other)
    with pytest.raises(InputError, match=r"expected a scene named .*mine\.nc"):
        mapped(other)


# Where it lies


def geolocation(lat0, lon0, *, shape=(90, 110), turn=0.3, points=(5, 6)):
    """A flat image of 80 m pixels around a place, turned."""
    lines, samples = (np.linspace(0, n - 1, k) for n, k in zip(shape, points, strict=True))
    down, right = np.meshgrid((lines - shape[0] / 2) * 80, (samples - shape[1] / 2) * 80, indexing="ij")
    east = right * np.cos(turn) + down * np.sin(turn)
    north = right * np.sin(turn) - down * np.cos(turn)
    plane = f"+proj=aeqd +lat_0={lat0} +lon_0={lon0} +datum=WGS84"
    lon, lat = Transformer.from_crs(plane, "EPSG:4326", always_xy=True).transform(east, north)
    return Geolocation(lines, samples, lat, lon, shape)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.floats(50, 90), st.floats(-90, -50)),
    st.floats(-180, 180),
    st.floats(-np.pi, np.pi),
    st.integers(0, 2**32 - 1),
)
def test_places_and_pixels_are_inverse(lat0, lon0, turn, seed):
    positions = geolocation(lat0, lon0, turn=turn)
    plane = SceneProjection(positions)
    assert plane.epsg_code == (3413 if lat0 > 0 else 3976)
    rng = np.random.default_rng(seed)
    lines, samples = rng.uniform(0, 89, 20), rng.uniform(0, 109, 20)
    x, y = plane.locate_pixels(lines, samples)
    found = plane.find_pixels(x, y)
    np.testing.assert_allclose(found, [lines, samples], atol=1e-3)
    lat, lon = positions.interpolate(lines, samples)
    expected = Transformer.from_crs(4326, plane.epsg_code, always_xy=True).transform(lon, lat)
    np.testing.assert_allclose([x, y], expected, atol=0.5)
    west, east, south, north = plane.grid.extent
    assert ((x > west) & (x < east) & (y > south) & (y < north)).all()


@pytest.mark.parametrize(("lat0", "lon0"), [(78.0, 12.0), (90.0, 0.0), (-70.0, 179.95)])
def test_resampling_takes_the_nearest_pixel(lat0, lon0):
    """Against a search through all pixels."""
    positions = geolocation(lat0, lon0, shape=(40, 50))
    plane = SceneProjection(positions)
    number = np.arange(2000).reshape(40, 50)
    low, high = plane.resample([(number % 250).astype(np.uint8), (number // 250).astype(np.uint8)])
    lines, samples = np.meshgrid(np.arange(40.0), np.arange(50.0), indexing="ij")
    px, py = plane.locate_pixels(lines, samples)
    checked = 0
    for row in range(3, plane.grid.rows, 7):
        for column in range(2, plane.grid.columns, 5):
            x, y = plane.grid.x[column], plane.grid.y[row]
            apart = np.hypot(px - x, py - y)
            if low[row, column] == 255:
                assert apart.min() > 30
                continue
            found = 250 * int(high[row, column]) + int(low[row, column])
            assert apart.ravel()[found] <= apart.min() + 2
            checked += 1
    assert checked > 10


def test_geotiff_opens_in_its_place(scene, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    made = mapped(scene)
    names = {name: tmp_path / f"{name}.tif" for name in ("surface_class", "ice_probability")}
    write_rasters(names, made, 80.0)
    places = [(5, 5), (25, 50), (60, 100), (120, 30), (140, 180)]
    lat, lon = made.positions.interpolate(*np.array(places, float).T)
    for name, expected in (
        ("surface_class", [made.surface[place] for place in places]),
        ("ice_probability", [made.layers["ice_probability"][place] for place in places]),
    ):
        with rasterio.open(names[name]) as image:
            assert image.crs.to_epsg() == 3413
            assert image.nodata == 255
            assert image.tags()["TIFFTAG_SOFTWARE"] == f"seaice {seaice.__version__}"
            assert image.res == (80, 80)
            assert image.transform.e == -80
            x, y = Transformer.from_crs(4326, image.crs, always_xy=True).transform(lon, lat)
            found = np.array([v[0] for v in image.sample(zip(x, y, strict=True))], float)
        if name == "surface_class":
            assert found.tolist() == expected
            continue
        missing = np.isnan(expected)
        assert (found[missing] == 255).all()
        np.testing.assert_allclose(found[~missing] / 100, np.array(expected)[~missing], atol=0.012)
    # Numbers that differ from pixel to pixel: at most one cell away, along one axis or both.
    plane = SceneProjection(made.positions, 80.0)
    lines, samples = np.meshgrid(*(np.arange(n) for n in made.surface.shape), indexing="ij")
    numbers = ((11 * lines + 31 * samples) % 250).astype(np.uint8)
    write_geotiff(tmp_path / "numbers.tif", *plane.resample([numbers]), plane.grid, plane.epsg_code)
    with rasterio.open(tmp_path / "numbers.tif") as image:
        found = np.array([v[0] for v in image.sample(zip(x, y, strict=True))], int)
    near = [{(11 * (r + i) + 31 * (s + j)) % 250 for i in range(-1, 2) for j in range(-1, 2)}
            for r, s in places]  # fmt: skip
    assert all(value in some for value, some in zip(found, near, strict=True))


# Share of ice


@pytest.mark.slow
def test_shares_equal_a_slow_count(scene):
    """Cell by cell, with pyproj on the grid's own ellipsoid."""
    made, grid = mapped(scene), get_grid("n3125")
    fields = compute_fields(made, grid)
    rows, columns = np.meshgrid(*(np.arange(n) for n in made.surface.shape), indexing="ij")
    lat, lon = made.positions.interpolate(rows, columns)
    x, y = Transformer.from_crs(grid.crs.geodetic_crs, grid.crs, always_xy=True).transform(lon, lat)
    row = np.floor((y - grid.south) / grid.step).astype(int)
    column = np.floor((x - grid.west) / grid.step).astype(int)
    known = made.surface <= 1
    cells = {}
    for place, surface, p in zip(
        zip(row[known], column[known], strict=True),
        made.surface[known],
        made.layers["ice_probability"][known],
        strict=True,
    ):
        cells.setdefault(place, []).append((surface, p))
    assert fields["pixel_count"].sum() == known.sum()
    assert np.argwhere(fields["pixel_count"]).shape[0] == len(cells) > 20
    for place, values in cells.items():
        ice, p = np.array(values, float).T
        assert fields["pixel_count"][place] == len(ice)
        assert fields["sea_ice_conc"][place] == pytest.approx(ice.mean(), abs=1e-12)
        assert fields["probability_mean"][place] == pytest.approx(p.mean(), abs=1e-6)
    assert np.isnan(fields["sea_ice_conc"][fields["pixel_count"] == 0]).all()


@pytest.mark.slow
def test_comparison_with_a_cube_by_hand(scene, tmp_path):
    made, grid = mapped(scene), get_grid("n6250")
    share = tmp_path / "share.nc"
    write_ice_share(share, made, grid, {"Conventions": "CF-1.11"})
    fields = compute_fields(made, grid)
    enough = fields["pixel_count"] >= 0.5 * (6250 / 80) ** 2
    places = [tuple(place) for place in np.argwhere(enough)][:3]
    shares = [float(np.float32(fields["sea_ice_conc"][place])) for place in places]
    cube = np.full((2, *grid.shape), np.nan, np.float32)
    flags = np.full(cube.shape, FillFlag.NOT_FILLED, np.uint8)
    others = [0.14, 0.9, 0.5]
    for place, other in zip(places, others, strict=True):
        cube[(1, *place)], flags[(1, *place)] = other, FillFlag.OBSERVED
    flags[(1, *places[2])] = FillFlag.TEMPORAL_TWO_SIDED
    path = write_cube(
        tmp_path / "cube.nc",
        dates=["20180108", "20180109"],
        concentration=cube,
        surface=np.full(grid.shape, Surface.OCEAN, np.uint8),
        grid=grid,
        flags=flags,
    )
    found = compare_with_cube(share, path)
    difference = np.array(shares) - others
    assert found["day"] == "2018-01-09"
    assert (found["cells"], found["filled"]) == (3, 1)
    assert found["difference_mean"] == pytest.approx(difference.mean(), abs=1e-6)
    assert found["rmse"] == pytest.approx(np.sqrt((difference**2).mean()), abs=1e-6)
    same = [(s >= 0.15) == (o >= 0.15) for s, o in zip(shares, others, strict=True)]
    assert found["agreement"] == pytest.approx(np.mean(same))
    write_ice_share(share, made, get_grid("n12500"), {})
    with pytest.raises(InputError, match="expected the cells of"):
        compare_with_cube(share, path)


def test_a_scene_beyond_the_grid(scene, tmp_path):
    with pytest.raises(InputError, match="expected pixels on the grid s3125"):
        write_ice_share(tmp_path / "share.nc", mapped(scene), get_grid("s3125"), {})


# The stage


@pytest.mark.slow
def test_stage_makes_a_cf_map_and_keeps_it(scene, checkpoint, tmp_path):
    out = tmp_path / "maps"
    options = {"checkpoint": checkpoint, "scene": scene, "output_dir": out, "device": "cpu"}
    first = predict(**options, batch_size=3)
    assert first.exit_status() == 0
    stem = "20180109T074103_dmi_prep"
    assert sorted(p.name for p in out.iterdir()) == [
        f"{stem}_ice.nc",
        f"{stem}_ice_probability.tif",
        f"{stem}_ice_share.nc",
        f"{stem}_surface_class.tif",
    ]
    with netCDF4.Dataset(out / f"{stem}_ice.nc") as dataset:
        assert dataset.Conventions == "CF-1.11"
        assert json.loads(dataset.parameters)["tile"] == 64
        assert "20 percent or more" in dataset.label_rule
        surface = dataset["surface_class"]
        assert surface.dtype == np.uint8
        assert surface.flag_meanings == "water ice land missing"
        assert surface.flag_values.tolist() == [0, 1, 2, 255]
        assert surface.coordinates == "time lat lon"
        start = netCDF4.num2date(dataset["time"][...], dataset["time"].units)
        assert start.isoformat() == "2018-01-09T07:41:03"
        points = open_scene(scene).read_positions()
        corner = dataset["lat"][-1, 0], dataset["lon"][-1, 0]
        assert corner == pytest.approx((points.latitude[-1, 0], points.longitude[-1, 0]), abs=1e-5)
        known = surface[:] <= 1
        probability = np.ma.filled(dataset["ice_probability"][:], np.nan)
        assert (np.isfinite(probability) == known).all()
        clear = known & (np.abs(probability - 0.5) > 1e-3)
        assert ((probability > 0.5) == (surface[:] == 1))[clear].all()
        assert first.values[stem]["pixels"] == known.sum()
    with netCDF4.Dataset(out / f"{stem}_ice_share.nc") as dataset:
        assert dataset["sea_ice_conc"].shape == (1, *get_grid("n3125").shape)
        assert dataset["pixel_count"][:].sum() == known.sum()
    files = {p: p.stat().st_mtime_ns for p in out.iterdir()}
    again = predict(**options, batch_size=5)
    assert "already there" in again.lines[0]
    assert {p: p.stat().st_mtime_ns for p in out.iterdir()} == files
    with pytest.raises(InputError, match="with another overlap; choose another"):
        predict(**options, overlap=8)
    assert predict(**options, overlap=8, force=True).exit_status() == 0


@pytest.mark.slow
def test_maps_do_not_depend_on_the_batch_size(scene, checkpoint, tmp_path):
    found = []
    for size in (1, 7):
        out = tmp_path / f"batch{size}"
        options = {"geotiff": False, "batch_size": size, "device": "cpu"}
        predict(checkpoint=checkpoint, scene=scene, output_dir=out, **options)
        made, attributes = read_scene_map(next(out.glob("*_ice.nc")))
        found.append((made.surface.tobytes(), made.layers["ice_probability"].tobytes()))
        assert attributes["scene_id"] == scene.stem
    assert found[0] == found[1]


@pytest.mark.slow
def test_a_damaged_scene_of_a_folder_is_told_and_the_others_made(scenes, checkpoint, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(scenes / "train", folder)
    first, second = sorted(folder.glob("*.nc"))
    first.write_bytes(first.read_bytes()[:3000])
    out = tmp_path / "out"
    report = predict(checkpoint=checkpoint, scene=folder, output_dir=out, geotiff=False, device="cpu")
    assert len(report.failed) == 1
    assert first.name in report.failed[0]
    assert (out / f"{second.stem}_ice.nc").is_file()
    assert not list(out.glob(f"{first.stem}*"))


def test_what_cannot_be_used(scene, checkpoint, tmp_path):
    options = {"checkpoint": checkpoint, "scene": scene, "output_dir": tmp_path, "device": "cpu"}
    for change, text in (
        ({"scene": tmp_path / "none.nc"}, "no such scene"),
        ({"overlap": 40}, "overlap of 0 to half"),
        ({"batch_size": 0}, "batch_size of at least 1"),
        ({"checkpoint": tmp_path / "none.pt"}, "no checkpoint"),
        ({"ice_share_grid": "x1"}, "unknown grid"),
        ({"cube_file": tmp_path / "none.nc"}, "no such cube"),
    ):
        with pytest.raises(InputError, match=text):
            predict(**options | change)
    rewrite(scene, "distance_map", None)
    with pytest.raises(InputError, match="expected a variable distance_map"):
        predict(**options)


@pytest.mark.slow
def test_script_makes_maps_that_keep_the_conventions(scene, checkpoint, tmp_path, capsys):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    import segmentation

    words = ["predict", "--checkpoint", str(checkpoint), "--scene", str(scene), "--no_geotiff"]
    assert segmentation.main([*words, "--output_dir", str(tmp_path), "--tile", "96"]) == 0
    assert "percent of the pixels are ice" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.tif"))
    CheckSuite.load_all_available_checkers()
    for name in ("ice", "ice_share"):
        told = tmp_path / f"{name}.txt"
        passed, errors = ComplianceChecker.run_checker(
            str(tmp_path / f"{scene.stem}_{name}.nc"),
            ["cf:1.11"],
            0,
            "strict",
            output_filename=str(told),
            output_format="text",
        )
        assert passed, told.read_text()
        assert not errors
    assert segmentation.main([*words, "--output_dir", str(tmp_path), "--tile", "64"]) == 1
    assert "with another tile, overlap; choose another" in capsys.readouterr().err
