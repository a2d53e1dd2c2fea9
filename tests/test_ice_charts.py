"""Ice charts: eggs by hand, reading, drawing on scenes and grids, comparison with cubes, bad files."""

import csv
import json
import shutil
import sqlite3
import tarfile
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
import shapefile
import shapely
import xarray as xr
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer
from sar_scenes import scenes_in

from seaice import InputError
from seaice.commands import segmentation
from seaice.cube.file import CubeFile
from seaice.gridding.cover import CellOutline
from seaice.grids import Grid, get_grid
from seaice.open_file import open_netcdf
from seaice.pictures.read_field import read_field
from seaice.regions import read_regions
from seaice.runtime.threads import use_threads
from seaice.segmentation.charts import raster as raster_module
from seaice.segmentation.charts.cells import GridCells, read_scene_pixels
from seaice.segmentation.charts.comparison import compare_with_cube
from seaice.segmentation.charts.label import label
from seaice.segmentation.charts.raster import draw_chart
from seaice.segmentation.data.patch_dataset import read_patch
from seaice.segmentation.mapping.input_scene import ScaledImage
from seaice.simulate.ice_chart import SimulatedChart, simulate_chart, write_chart
from seaice.simulate.sar.safe import SafeSettings, write_safe
from seaice.sources.ai4arctic.scene import SAR_CHANNELS, SCALING, open_scene
from seaice.sources.ice_chart.chart import LABELS, IceChart, read_chart
from seaice.sources.ice_chart.codes import COLUMNS, PolygonType
from seaice.sources.ice_chart.egg import Reason, label_polygon
from seaice.sources.sentinel1.file import open_image

TIME = datetime(2018, 3, 4, 18, tzinfo=UTC)
DAY = date(2018, 3, 4)
# Pairs of columns of the egg in the order in which truths are written below.
EGG = ("CT", "CA", "SA", "FA", "CB", "SB", "FB", "CC", "SC", "FC")


def egg(text: str, kind: str = "I") -> dict[str, str]:
    """``CT  CA SA FA  CB SB FB ...``; codes that are left out are not set."""
    return (
        dict.fromkeys(COLUMNS, "-9") | dict(zip(EGG, text.split(), strict=False)) | {"POLY_TYPE": kind}
    )


@pytest.mark.parametrize(
    ("codes", "percent", "sic", "sod", "floe"),
    [
        # One type has the total concentration, whatever it is.
        ("00", 0, 0, 0, 0),
        ("55", 0, 0, 0, 0),
        ("98", 0, 0, 0, 0),
        ("01 -9 81 99", 5, 0, 0, 0),
        ("02 -9 98 10", 5, 0, 0, 0),
        ("10 -9 81 02", 10, 1, 1, 1),
        ("20 -9 82 03", 20, 2, 1, 2),
        ("30 -9 83 04", 30, 3, 2, 3),
        ("40 -9 84 05", 40, 4, 2, 4),
        ("50 -9 85 06", 50, 5, 2, 5),
        ("60 -9 87 07", 60, 6, 3, 5),
        ("70 -9 88 09", 70, 7, 3, 6),
        ("80 -9 89 10", 80, 8, 3, 6),
        ("90 -9 86 00", 90, 9, 4, 0),
        ("91 -9 91 06", 95, 10, 4, 5),
        ("92 -9 93 06", 100, 10, 4, 5),
        ("92 -9 95 06", 100, 10, 5, 5),
        ("92 -9 96 06", 100, 10, 5, 5),
        ("92 -9 97 06", 100, 10, 5, 5),
        # Glacier ice, lake ice and what is undetermined or not set have no class.
        ("92 -9 98 10", 100, 10, Reason.NO_CLASS, 6),
        ("92 -9 76 05", 100, 10, Reason.NO_CLASS, 4),
        ("92 -9 99 99", 100, 10, Reason.UNDETERMINED, Reason.UNDETERMINED),
        ("92", 100, 10, Reason.NOT_SET, Reason.NOT_SET),
        # Forms without a size.
        ("92 -9 87 08", 100, 10, 3, Reason.FAST_ICE),
        ("92 -9 87 01", 100, 10, 3, Reason.NO_CLASS),
        ("92 -9 87 22", 100, 10, 3, Reason.NO_CLASS),
        ("92 -9 87 14", 100, 10, 3, Reason.NO_CLASS),
        # From one tenth to another.
        ("12 -9 84 05", 15, Reason.BETWEEN_TENTHS, 2, 4),
        ("13 -9 84 05", 20, 2, 2, 4),
        ("46 -9 84 05", 50, 5, 2, 4),
        ("89 -9 84 05", 85, Reason.BETWEEN_TENTHS, 2, 4),
        ("81 -9 84 05", 90, 9, 2, 4),
        # Of several types the one with 65 percent of the total: 6 of 9 tenths are, 5 of 8 are not.
        ("90 60 87 05 30 84 04", 90, 9, 3, 4),
        ("80 50 87 05 30 84 04", 80, 8, Reason.NO_DOMINANT, Reason.NO_DOMINANT),
        ("91 70 97 06 30 87 05", 95, 10, 5, 5),
        ("91 60 97 06 40 87 05", 95, 10, Reason.NO_DOMINANT, Reason.NO_DOMINANT),
        ("92 20 97 06 80 81 99", 100, 10, 1, Reason.UNDETERMINED),
        # Types of one class count together; three of one class too.
        ("92 40 85 06 40 84 07 20 81 99", 100, 10, 2, 5),
        ("92 30 89 06 30 88 06 40 87 06", 100, 10, 3, 5),
        # Fast ice anywhere.
        ("92 80 87 05 20 81 08", 100, 10, 3, Reason.FAST_ICE),
        # A share of the total that is missing: the rest is a fourth type without concentration.
        ("92 40 97 06 20 87 05", 100, 10, Reason.NO_DOMINANT, Reason.NO_DOMINANT),
        # What is not known of a type or of the total may be the largest part.
        ("92 -9 97 06 20 87 05", 100, 10, Reason.NO_DOMINANT, Reason.NO_DOMINANT),
        ("99 -9 87 05", np.nan, Reason.UNDETERMINED, 3, 4),
        ("99 50 87 05 20 84 05", np.nan, Reason.UNDETERMINED, Reason.NO_DOMINANT, Reason.NO_DOMINANT),
        ("-9 -9 87 05", np.nan, Reason.NOT_SET, 3, 4),
        ("9- -9 5C 9P", np.nan, *[Reason.UNKNOWN_CODE] * 3),
    ],
)
def test_egg_by_hand(codes, percent, sic, sod, floe):
    labels = label_polygon(egg(codes))
    np.testing.assert_equal(labels.percent, percent)
    for found, expected in zip(labels[2:], (sic, sod, floe), strict=True):
        assert found == ((255, expected) if isinstance(expected, str) else (expected, ""))


def test_types_of_polygons():
    land = {**dict.fromkeys(COLUMNS, "-9"), "POLY_TYPE": "L"}
    for kind, expected in (("L", "LAND"), ("S", "ICE_SHELF"), ("N", "NO_DATA"), ("?", "NO_DATA")):
        labels = label_polygon({**land, "POLY_TYPE": kind})
        assert labels.kind == PolygonType[expected]
        assert [label.value for label in labels[2:]] == [255] * 3
        assert not any(label.reason for label in labels[2:])
    assert label_polygon({**land, "POLY_TYPE": "w"})[2:] == ((0, ""),) * 3


@pytest.fixture(scope="module")
def simulated() -> SimulatedChart:
    return simulate_chart(np.random.default_rng(4), latitude=72.0, longitude=-60.0)


@pytest.fixture(scope="module")
def chart_file(simulated, tmp_path_factory) -> Path:
    return write_chart(tmp_path_factory.mktemp("charts"), simulated, TIME)


@pytest.fixture(scope="module")
def chart(chart_file) -> IceChart:
    return read_chart(chart_file)


def assert_same(first: IceChart, second: IceChart) -> None:
    assert first.labels == second.labels
    np.testing.assert_allclose(first.areas, second.areas, rtol=1e-9)


def test_every_container_holds_the_same_chart(simulated, chart_file, chart, tmp_path):
    assert chart.time == TIME
    assert not chart.unknown_codes and not chart.repaired
    assert [str(labels.kind) for labels in chart.labels] == [
        str({"W": 1, "I": 2, "L": 3}[codes["POLY_TYPE"]]) for codes in simulated.codes
    ]
    with zipfile.ZipFile(chart_file) as archive:
        archive.extractall(tmp_path)
    with tarfile.open(tmp_path / "chart.tar", "w") as tar:
        for path in sorted(tmp_path.glob("cis*")):
            tar.add(path, f"folder/{path.name}")
    assert_same(read_chart(next(tmp_path.glob("*.shp"))), chart)
    assert_same(read_chart(tmp_path / "chart.tar"), chart)
    assert_same(read_chart(write_chart(tmp_path / "chart.gpkg", simulated, TIME)), chart)


def test_numbers_instead_of_texts(simulated, chart, tmp_path):
    """Programs that save a table again may make numbers of codes: 01 becomes 1, or 1.0."""
    path = write_chart(tmp_path / "chart.gpkg", simulated, TIME)
    with sqlite3.connect(path) as base:
        (table,) = base.execute("SELECT table_name FROM gpkg_contents").fetchone()
        columns = ", ".join(f"{c} REAL" for c in COLUMNS[:-1])
        base.execute(
            f"CREATE TABLE numbers (fid INTEGER PRIMARY KEY, geom POLYGON, {columns}, poly_type TEXT)"
        )
        names = ", ".join(COLUMNS)
        base.execute(f'INSERT INTO numbers SELECT fid, geom, {names} FROM "{table}"')
        for listing in ("gpkg_contents", "gpkg_geometry_columns"):
            base.execute(f"UPDATE {listing} SET table_name = 'numbers'")
    saved = read_chart(path, TIME)
    assert_same(saved, chart)
    assert read_chart(path).time is None


def test_geopackages_are_regions_too(simulated, tmp_path):
    grid = get_grid("n25000").crop(slice(0, 224), slice(0, 304))
    path = write_chart(tmp_path / "chart.gpkg", simulated, TIME)
    regions = read_regions(f"{path}:POLY_TYPE", grid)
    assert set(regions.names) == {"W", "I", "L"}
    raster = draw_chart(read_chart(path), GridCells(grid))
    for number, name in enumerate(regions.names, start=1):
        kinds = raster.kind[regions.codes == number]
        assert (kinds == {"W": 1, "I": 2, "L": 3}[name]).mean() > 0.8


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 2**32 - 1), st.integers(3, 30), st.booleans())
def test_cover_is_exact(seed, corners, has_hole):
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    centre, radius = rng.uniform(-3, 12, 2), rng.uniform(1, 9, corners)
    star = shapely.Polygon(centre + radius[:, None] * np.column_stack([np.cos(angles), np.sin(angles)]))
    star = star.buffer(0)
    polygon = star.difference(shapely.Point(*centre).buffer(0.7)) if has_hole else star
    cells = shapely.box(
        *np.meshgrid(np.arange(10), np.arange(8)), *np.meshgrid(np.arange(1, 11), np.arange(1, 9))
    )
    covered = np.zeros(cells.shape)
    for part in shapely.get_parts([polygon]):
        rings = [(part.exterior, False), *((ring, True) for ring in part.interiors)]
        outline = CellOutline.of(
            [(*(np.array(axis) for axis in ring.coords.xy), hole) for ring, hole in rings]
        )
        for rows in (range(3), range(3, 8)):
            window = outline.cover(rows, 10)
            if window is not None:
                covered[rows.start : rows.stop][window[:2]] += window[2]
    np.testing.assert_allclose(covered, shapely.area(shapely.intersection(polygon, cells)), atol=1e-9)


@pytest.mark.parametrize(
    "grid",
    [
        get_grid("n12500"),
        get_grid("n25000"),
        get_grid("ease2n12500"),
        Grid("geographic", 160, 1440, 0.25, -180.0, 50.0, "EPSG:4326"),
        Grid("far", 160, 1440, 0.25, 0.0, 50.0, "EPSG:4326"),
    ],
    ids=["n12500", "n25000", "ease2n12500", "degrees from -180", "degrees from 0"],
)
def test_areas_on_grids_are_those_of_the_polygons(chart, grid):
    raster = draw_chart(chart, GridCells(grid))
    np.testing.assert_allclose(raster.covered, chart.areas, rtol=1e-3)
    assert raster.covered.sum() == pytest.approx(chart.areas.sum(), rel=1e-4)
    assert raster.overlap < 1e-3
    # The ice that the file holds: concentration, its part of the cell and the area of the cell.
    has_value = np.isfinite(raster.concentration)
    ice = np.sum((raster.concentration * raster.share * grid.cell_area())[has_value])
    assert ice == pytest.approx(np.nansum(chart.areas * chart.concentration), rel=1e-4)


def test_cells_by_hand(tmp_path):
    """Two rows of cells: 90 percent on 1.5 columns, water on 1.5, 50 percent on 0.3 of the fourth."""
    grid = Grid("small", 4, 4, 25_000.0, 0.0, -2_000_000.0, "EPSG:3413")
    x, y = grid.west + 25_000 * np.array([0, 1.5, 3, 3.3]), grid.south + 25_000 * np.array([1, 3])
    boxes = [shapely.box(x[k], y[0], x[k + 1], y[1]) for k in range(3)]
    eggs = [egg("90 -9 87 05"), egg("00", "W"), egg("50 -9 84 03")]
    chart = read_chart(write_eggs(tmp_path / "a.gpkg", boxes, eggs))
    raster = draw_chart(chart, GridCells(grid))
    none = [np.nan] * 4
    row = [0.9, 0.45, 0, 0.5]
    np.testing.assert_allclose(raster.concentration, [none, row, row, none], atol=1e-6)
    np.testing.assert_allclose(
        raster.share, [[0] * 4, [1, 1, 1, 0.3], [1, 1, 1, 0.3], [0] * 4], atol=1e-6
    )
    # Of two equal parts the smaller class; of a chart that covers less than half of a cell none.
    assert raster.classes["SIC"][1].tolist() == [9, 0, 0, 255]
    assert raster.classes["SOD"][1].tolist() == [3, 0, 0, 255]
    assert raster.kind[1].tolist() == [2, 1, 1, 0]


def write_eggs(path, polygons, eggs, crs=3413, time=TIME):
    """A chart of given polygons and eggs; the columns that no rule reads are not set."""
    others = dict.fromkeys(("CN", "CD", "CF"), "-9")
    names = (*COLUMNS[:-1], *others, "POLY_TYPE")
    codes = [{name: (each | others)[name] for name in names} for each in eggs]
    return write_chart(path, SimulatedChart(CRS.from_user_input(crs), polygons, codes), time)


def test_result_depends_on_neither_threads_nor_bands(chart, monkeypatch):
    cells = GridCells(get_grid("ease2n12500"))
    rasters = []
    for threads, band_cells in ((1, 1 << 19), (2, 1 << 14)):
        use_threads(threads)
        monkeypatch.setattr(raster_module, "_BAND_CELLS", band_cells)
        rasters.append(draw_chart(chart, cells))
    use_threads(None)
    first, second = rasters
    for name in ("kind", "concentration", "share"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in LABELS:
        np.testing.assert_array_equal(first.classes[name], second.classes[name])
    np.testing.assert_allclose(first.covered, second.covered, rtol=1e-12)


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """A scene without a chart, and the chart of its surroundings."""
    written = scenes_in(tmp_path_factory.mktemp("scenes"), scenes=1)[1]
    written.reference.unlink()
    latitude, longitude = written.truth.centre
    rng = np.random.default_rng(2)
    chart = simulate_chart(rng, latitude=latitude, longitude=longitude, kilometres=30)
    path = write_chart(written.path.parent / "chart.gpkg", chart, TIME)
    return written.path, path


def test_pixels_have_the_class_of_the_polygon_below_them(scene):
    """A slow reference: the polygon that holds the centre of the pixel, found point by point."""
    pixels, chart = read_scene_pixels(scene[0]), read_chart(scene[1])
    raster = draw_chart(chart, pixels)
    rows, columns = np.indices(pixels.shape)
    latitude, longitude = pixels.positions.interpolate(rows[:, :1], columns[:1])
    x, y = Transformer.from_crs(4326, chart.crs, always_xy=True).transform(longitude, latitude)
    centres = shapely.points(x, y)
    seen = np.zeros(pixels.shape, bool)
    for number, polygon in enumerate(chart.polygons):
        inside = shapely.contains_xy(polygon, x, y)
        near = inside & (shapely.distance(centres, polygon.exterior) < 60)
        far = inside & ~near
        for name in LABELS:
            assert (raster.classes[name][far] == chart.get_classes(name)[number]).all()
            agrees = raster.classes[name][near] == chart.get_classes(name)[number]
            assert agrees.mean() > 0.9 if near.sum() > 100 else True
        seen |= far
    assert seen.mean() > 0.9
    # The areas of the pixels add up to those of the polygons within.
    total = pixels.compute_areas(range(pixels.shape[0])).sum()
    assert raster.covered.sum() == pytest.approx(total, rel=1e-6)
    assert total == pytest.approx(pixels.shape[0] * pixels.shape[1] * 0.0064, rel=1e-2)


def test_labels_of_a_scene_become_patches(scene, tmp_path):
    folder = tmp_path / "scenes"
    shutil.copytree(scene[0].parent, folder)
    path = folder / scene[0].name
    reference = path.with_name(f"{path.stem}_reference.nc")
    report = label(chart=[scene[1]], scene=path, output_file=reference)
    assert report.exit_status() == 0
    assert any("hours apart" in line for line in report.lines)
    opened, raster = open_scene(path), draw_chart(read_chart(scene[1]), read_scene_pixels(path))
    for name in LABELS:
        np.testing.assert_array_equal(opened.read_chart(name), raster.classes[name])
    arguments = ["--size", "64", "--per_scene", "5", "--output_dir", str(tmp_path / "patches")]
    assert segmentation.main(["patches", "--input_dir", str(folder), *arguments]) == 0
    patches = sorted((tmp_path / "patches").glob("*.npz"))
    assert patches
    with np.load(patches[0]) as patch:
        rows, columns = (slice(int(patch[k]), int(patch[k]) + 64) for k in ("row", "column"))
        has_class = patch["sic"] != 255
        assert has_class.any()
        expected = raster.classes["SIC"][rows, columns]
        np.testing.assert_array_equal(patch["sic"][has_class], expected[has_class])


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A product of Sentinel-1, and the chart of its surroundings."""
    folder = tmp_path_factory.mktemp("image")
    settings = SafeSettings(start=datetime(2018, 3, 4, 17, 30, 5, tzinfo=UTC))
    noise = np.random.default_rng(0).normal(0, 0.5, (2, 500, 700))
    sigma = 10 ** (np.array([-1.3, -2.2])[:, None, None] + noise)
    chart = simulate_chart(
        np.random.default_rng(1),
        latitude=settings.centre[0],
        longitude=settings.centre[1],
        kilometres=40,
    )
    return write_safe(folder, sigma, settings), write_chart(folder, chart, TIME)


def test_an_image_and_a_chart_become_a_scene_and_patches(image, tmp_path):
    product, chart = image
    path = tmp_path / "20180304T173005_cis_prep.nc"
    with pytest.raises(InputError, match=r"expected the name 20180304T173005_cis_prep.nc"):
        label(chart=[chart], scene=product, output_file=tmp_path / "20180304T173006_cis_prep.nc")
    assert label(chart=[chart], scene=product, output_file=path).exit_status() == 0
    scene, opened = open_scene(path), open_image(product)
    expected = ScaledImage(opened, {name: SCALING[name] for name in SAR_CHANNELS}, "esa_floor")
    np.testing.assert_allclose(scene.read_sar(), expected.read_sar(), atol=1e-6)
    assert scene.noise == "esa_floor" and scene.service == "cis" and scene.spacing == 80
    assert scene.original.startswith("S1A_EW_GRDM_1SDH_") and "icechart_cis_SGRDSIM" in scene.original
    # Positions by points that lie evenly are those of the image, within a metre.
    rows, columns = np.indices(scene.shape)[:, ::13, ::17]
    here = scene.read_positions().interpolate(rows, columns)
    there = opened.positions.interpolate(rows, columns)
    distance = Geod(ellps="WGS84").inv(here[1], here[0], there[1], there[0])[2]
    assert distance.max() < 1
    raster = draw_chart(read_chart(chart), read_scene_pixels(path))
    agrees = scene.read_sic() == raster.classes["SIC"]
    assert agrees.mean() > 0.995 and len(np.unique(scene.read_sic())) > 2
    # Without AMSR2 and distance to land, which an image does not hold.
    arguments = ["--size", "64", "--per_scene", "4", "--output_dir", str(tmp_path / "patches")]
    assert segmentation.main(["patches", "--input_dir", str(tmp_path), *arguments]) == 0
    patches = sorted((tmp_path / "patches").glob("*.npz"))
    image, charts = read_patch(patches[0], 64, inputs="sar+incidence", charts=LABELS)
    assert image.shape == (3, 64, 64) and charts.shape == (3, 64, 64)
    with pytest.raises(InputError, match="amsr2"):
        read_patch(patches[0], 64, inputs="sar+amsr2")


def test_options_of_images(image, scene, tmp_path):
    with pytest.raises(InputError, match="expected --noise, --bands and --unit with an image"):
        label(chart=[scene[1]], scene=scene[0], output_file=tmp_path / "a.nc", noise="esa")
    path = tmp_path / "20180304T173005_cis_prep.nc"
    label(chart=[image[1]], scene=image[0], output_file=path, noise="none")
    assert open_scene(path).noise == "none"
    single = SafeSettings(start=datetime(2018, 3, 4, 17, 30, 5, tzinfo=UTC), polarisations=("HH",))
    product = write_safe(tmp_path, np.full((1, 300, 400), 0.05), single)
    with pytest.raises(InputError, match=r"HV|polarisation"):
        label(chart=[image[1]], scene=product, output_file=path)


def test_file_of_labels_describes_itself(chart_file, chart, tmp_path):
    path = tmp_path / "labels.nc"
    label(chart=[chart_file], grid="n25000", output_file=path)
    with xr.open_dataset(path) as dataset:
        assert str(dataset.time.values[0])[:10] == "2018-03-04"
        assert dataset.attrs["chart_time"] == "2018-03-04T18:00:00Z"
        names = dataset.SOD.flag_meanings.split()
        values = dict(zip(names, np.atleast_1d(dataset.SOD.flag_values).tolist(), strict=True))
        assert values["old_ice"] == 5 and len(values) == 6
        assert np.nanmax(dataset.SOD) <= 5 and np.isnan(dataset.SOD).any()
        without = json.loads(dataset.FLOE.without_class)
        areas = json.loads(dataset.SIC.area_of_classes_km2)
    expected = chart.count_without_class()["FLOE"]
    assert {reason: row["polygons"] for reason, row in without.items()} == {
        reason: row["polygons"] for reason, row in expected.items()
    }
    assert sum(areas.values()) == pytest.approx(
        chart.areas[np.isin(chart.kinds, (1, 2))].sum(), rel=1e-3
    )
    with CubeFile(path) as cube:
        assert cube.dates == [DAY] and cube.grid.same_cells(get_grid("n25000"))


def test_cells_without_a_class_are_drawn_without_a_value(chart_file, tmp_path):
    path = tmp_path / "labels.nc"
    label(chart=[chart_file], grid="n25000", output_file=path)
    with open_netcdf(path) as dataset:
        field = read_field(path, "SOD", None)
        stored = np.asarray(dataset["SOD"][0].filled(255))
    np.testing.assert_array_equal(np.isnan(field.values), stored == 255)
    assert set(field.flags) == set(range(6))


def test_a_cube_beside_a_chart_by_hand(tmp_path):
    """90 percent on four columns beside water on 3.4; the cube has 80 percent, one column further."""
    grid = Grid("small", 6, 8, 25_000.0, 0.0, -2_000_000.0, "EPSG:3413")
    corner = np.array([grid.west, grid.south])
    boxes = [
        shapely.box(*(corner + 25_000 * np.array(low)), *(corner + 25_000 * np.array(high)))
        for low, high in (((0, 0), (4, 6)), ((4, 0), (7.4, 6)))
    ]
    chart = read_chart(write_eggs(tmp_path / "a.gpkg", boxes, [egg("90 -9 87 05"), egg("00", "W")]))
    values = np.zeros((1, *grid.shape), np.float32)
    values[:, :, :5] = 0.8
    values[0, 0, 0] = np.nan
    path = tmp_path / "cube.nc"
    time = xr.DataArray([np.datetime64("2018-03-04", "ns")], dims="time")
    maps = xr.DataArray(values, {"time": time, "y": grid.y, "x": grid.x}, ("time", "y", "x"))
    maps.attrs = {"standard_name": "sea_ice_area_fraction", "units": "1", "grid_mapping": "crs"}
    crs = xr.DataArray(0, attrs=grid.to_cf())
    dataset = maps.to_dataset(name="sea_ice_conc").assign(crs=crs)
    dataset.x.attrs, dataset.y.attrs = (
        {"standard_name": f"projection_{axis}_coordinate", "units": "m"} for axis in "xy"
    )
    dataset.to_netcdf(path)
    area = grid.cell_area()
    with CubeFile(path) as cube:
        rows = compare_with_cube(chart, cube, DAY)
    ice, water = area[:, :4].ravel()[1:], area[:, 4:7].ravel()
    wrong = area[:, 4]
    overall = rows[0]
    assert (overall.label, overall.cells, overall.filled_cells) == ("all", 41, 0)
    assert overall.area_km2 == pytest.approx(ice.sum() + water.sum())
    expected = (-10 * ice.sum() + 80 * wrong.sum()) / (ice.sum() + water.sum())
    assert overall.bias_percent == pytest.approx(expected, abs=1e-4)
    assert overall.over_km2 == pytest.approx(wrong.sum()) and overall.under_km2 == 0
    assert overall.edge_km == pytest.approx(np.sqrt((ice.sum() + water.sum()) / 41), rel=1e-6)
    by_class = {(row.label, row.class_name): row for row in rows[1:]}
    assert set(by_class) == {
        *(("SIC", "0 percent"), ("SIC", "90 percent")),
        *(("SOD", "open water"), ("SOD", "thin first-year ice")),
        *(("FLOE", "open water"), ("FLOE", "big floe")),
    }
    assert by_class["SIC", "90 percent"].bias_percent == pytest.approx(-10, abs=1e-4)
    assert by_class["SOD", "open water"].cube_percent == pytest.approx(80 * wrong.sum() / water.sum())
    table = tmp_path / "table.csv"
    assert label(chart=[chart.path], against=path, output_file=table).exit_status() == 0
    with table.open() as file:
        written = list(csv.DictReader(file))
    assert len(written) == 7
    assert float(written[0]["bias_percent"]) == pytest.approx(overall.bias_percent, abs=1e-4)
    assert written[1]["edge_km"] == ""


def test_chart_of_another_projection_is_transformed(simulated, chart, tmp_path):
    """The same chart in degrees, and on the other side of the date line."""
    transform = Transformer.from_crs(simulated.crs, 4326, always_xy=True).transform
    dense = [shapely.segmentize(polygon, 1000) for polygon in simulated.polygons]
    for turn in (0.0, -120.0):

        def turn_degrees(x, y, turn=turn):
            longitude, latitude = transform(x, y)
            return (longitude + turn + 180) % 360 - 180, latitude

        degrees = [shapely.transform(each, turn_degrees, interleaved=False) for each in dense]
        path = tmp_path / f"degrees{turn:g}.zip"
        write_chart(path, SimulatedChart(CRS.from_epsg(4326), degrees, simulated.codes), TIME)
        turned = read_chart(path)
        np.testing.assert_allclose(turned.areas, chart.areas, rtol=1e-4)
        raster = draw_chart(turned, GridCells(get_grid("ease2n12500")))
        assert raster.covered.sum() == pytest.approx(chart.areas.sum(), rel=1e-4)


def test_polygon_that_crosses_itself_is_repaired_and_counted(tmp_path, caplog):
    bow_tie = shapely.Polygon([(0, -2e6), (1e5, -1.9e6), (1e5, -2e6), (0, -1.9e6)])
    path = write_eggs(tmp_path / "a.gpkg", [bow_tie], [egg("90 -9 87 05")])
    chart = read_chart(path)
    assert chart.repaired == 1 and "repaired 1 polygon" in caplog.text
    # Two triangles of a quarter of the square each.
    raster = draw_chart(chart, GridCells(get_grid("ease2n12500")))
    whole = read_chart(write_eggs(tmp_path / "b.gpkg", [bow_tie.envelope], [egg("90 -9 87 05")]))
    assert raster.covered.sum() == pytest.approx(whole.areas.sum() / 2, rel=1e-3)


def test_unknown_codes_are_counted(tmp_path, caplog):
    square = shapely.box(0, -2e6, 1e5, -1.9e6)
    eggs = [egg("9- -9 87 05"), egg("90 -9 5C 05"), egg("90 -9 5C 9P"), egg("90 -9 87 05", "X")]
    path = write_eggs(tmp_path / "a.gpkg", [square] * 4, eggs)
    chart = read_chart(path)
    assert chart.unknown_codes == {"CT 9-": 1, "FA 9P": 1, "POLY_TYPE X": 1, "SA 5C": 2}
    assert "CT 9- (1)" in caplog.text
    counts = chart.count_without_class()
    assert counts["SIC"][Reason.UNKNOWN_CODE]["polygons"] == 1
    assert counts["SOD"][Reason.UNKNOWN_CODE]["polygons"] == 2
    raster = draw_chart(chart, GridCells(get_grid("ease2n12500")))
    assert raster.overlap == pytest.approx(3 * chart.areas[0], rel=0.1)
    assert "more than one polygon covers" in caplog.text


def unpack(chart_file, folder, *without):
    with zipfile.ZipFile(chart_file) as archive:
        archive.extractall(folder)
    for ending in without:
        next(folder.glob(f"*{ending}")).unlink()
    return next(folder.glob("*.shp"))


def drop_column(chart_file, folder, name):
    path = unpack(chart_file, folder)
    other = folder / "other.shp"
    with shapefile.Reader(str(path)) as reader, shapefile.Writer(str(other)) as writer:
        for field in reader.fields[1:]:
            if field[0] != name:
                writer.field(*field)
        for each in reader.iterShapeRecords():
            writer.shape(each.shape)
            writer.record(**{k: v for k, v in each.record.as_dict().items() if k != name})
    shutil.copy(path.with_suffix(".prj"), other.with_suffix(".prj"))
    return other


def write_text(path, text="no chart"):
    path.write_text(text)
    return path


def pack(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda chart, d: d / "none.gpkg", "no such file"),
        (lambda chart, d: write_text(d / "a.txt"), "expected an ice chart, a file ending in"),
        (lambda chart, d: write_text(d / "a.gpkg"), "expected a GeoPackage with polygons"),
        (lambda chart, d: write_text(d / "a.zip"), "expected an archive with a shapefile"),
        (lambda chart, d: write_text(d / "a.shp"), "expected its reference system in a.prj"),
        (lambda chart, d: write_text(d / "a.json", "{}"), "expected GeoJSON with polygons"),
        (
            lambda chart, d: pack(d / "a.zip", "a.txt"),
            "expected one shapefile in the archive, found none",
        ),
        (lambda chart, d: pack(d / "a.zip", "a.shp", "b.shp"), "found a.shp, b.shp; unpack it"),
        (lambda chart, d: unpack(chart, d, ".prj"), "expected its reference system in"),
        (lambda chart, d: unpack(chart, d, ".dbf"), "expected the properties of its shapes in"),
        (lambda chart, d: drop_column(chart, d, "SB"), "found no SB among"),
        (lambda chart, d: drop_column(chart, d, "POLY_TYPE"), "found no POLY_TYPE among"),
    ],
    ids=lambda value: value.split(",")[0] if isinstance(value, str) else "",
)
def test_what_is_no_chart_is_one_clear_line(chart_file, tmp_path, make, message, caplog):
    path = make(chart_file, tmp_path)
    output = tmp_path / "out.nc"
    with pytest.raises(InputError, match=message) as refusal:
        label(chart=[path], grid="n25000", output_file=output)
    assert str(path.name) in str(refusal.value) and "\n" not in str(refusal.value)
    assert not output.exists()


def test_chart_and_cells_that_do_not_meet(chart_file, scene, tmp_path):
    far = simulate_chart(np.random.default_rng(4), latitude=75.0, longitude=150.0)
    path = write_chart(tmp_path, far, TIME)
    for target in ({"scene": scene[0]}, {"grid": "EPSG:3413:25000:0,-2500000,250000,-2250000"}):
        with pytest.raises(InputError, match="do not meet; give a chart"):
            label(chart=[path], output_file=tmp_path / "out.nc", **target)
    south = simulate_chart(np.random.default_rng(4), latitude=-70.0, longitude=-60.0)
    with pytest.raises(InputError, match="do not meet"):
        label(
            chart=[write_chart(tmp_path, south, TIME)], scene=scene[0], output_file=tmp_path / "out.nc"
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of --scene, --grid, --cube and --against, found none"),
        ({"grid": "n25000", "cube": Path("a.nc")}, "found --grid and --cube"),
        ({"grid": "nowhere"}, "unknown grid"),
        ({"cube": Path("none.nc")}, "no such cube"),
        ({"grid": "n25000", "output_file": Path("labels.csv")}, "expected an ending of .nc"),
        ({"against": Path("none.nc")}, "expected an ending of .csv or .txt"),
        ({"grid": "n25000", "chart": 2}, "expected one --chart, found 2"),
    ],
)
def test_options_that_do_not_fit(chart_file, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    charts = [chart_file] * options.pop("chart", 1)
    with pytest.raises(InputError, match=message):
        label(**{"chart": charts, "output_file": Path("labels.nc"), **options})


def test_date_where_no_name_states_it(simulated, tmp_path):
    path = write_chart(tmp_path / "chart.gpkg", simulated, TIME)
    with sqlite3.connect(path) as base:
        (table,) = base.execute("SELECT table_name FROM gpkg_contents").fetchone()
        base.execute(f'ALTER TABLE "{table}" RENAME TO chart')
        for listing in ("gpkg_contents", "gpkg_geometry_columns"):
            base.execute(f"UPDATE {listing} SET table_name = 'chart'")
    with pytest.raises(InputError, match=r"expected the date of the chart in its name.*give --date"):
        label(chart=[path], grid="n25000", output_file=tmp_path / "out.nc")
    arguments = ["--chart", str(path), "--grid", "n25000", "--output_file", str(tmp_path / "out.nc")]
    assert segmentation.main(["label", *arguments, "--date", "2018-03-05"]) == 0
    with CubeFile(tmp_path / "out.nc") as cube:
        assert cube.dates == [date(2018, 3, 5)]


# The table of the real chart: polygons and square kilometres by type and total concentration.
REAL_TOTALS = {
    ("W", 0.0): (1, 50_950), ("I", 0.1): (9, 8_871), ("I", 0.2): (12, 41_280), ("I", 0.5): (9, 51_263),
    ("I", 0.7): (7, 43_294), ("I", 0.8): (11, 27_274), ("I", 0.9): (19, 190_837),
    ("I", 0.95): (40, 330_908), ("I", 1.0): (185, 131_100), ("I", 0.05): (4, 87_336 + 595_076),
}  # fmt: skip
REAL_CLASSES = {
    "SIC": {0: (5, 733_363), 1: (9, 8_871), 2: (12, 41_280), 5: (9, 51_263), 7: (7, 43_294),
            8: (11, 27_274), 9: (19, 190_837), 10: (225, 462_008)},
    "SOD": {0: (5, 733_363), 1: (39, 170_989), 2: (109, 265_056), 3: (76, 71_538), 5: (30, 171_194),
            255: (38, 146_049)},
    "FLOE": {0: (5, 733_363), 3: (11, 95_349), 4: (10, 46_281), 5: (7, 126_148), 255: (264, 557_047)},
}  # fmt: skip


def test_real_chart(real_data):
    (path,) = (real_data / "ice_chart").glob("*.gpkg")
    chart = read_chart(path)
    assert len(chart.polygons) == 432 and chart.time == datetime(2020, 11, 2, 18, tzinfo=UTC)
    assert not chart.repaired and not chart.unknown_codes
    assert chart.areas.sum() == pytest.approx(3_456_044, abs=3)
    kinds, concentration = chart.kinds, np.round(chart.concentration, 2)
    for (kind, value), (count, area) in REAL_TOTALS.items():
        chosen = (kinds == PolygonType[{"W": "WATER", "I": "ICE"}[kind]]) & (concentration == value)
        assert (chosen.sum(), chart.areas[chosen].sum()) == (count, pytest.approx(area, abs=1, rel=2e-5))
    sea = np.isin(kinds, (PolygonType.WATER, PolygonType.ICE))
    for name, rows in REAL_CLASSES.items():
        classes = np.where(sea, chart.get_classes(name), 254)
        assert set(classes) - {254} == set(rows)
        for value, (count, area) in rows.items():
            chosen = classes == value
            assert (chosen.sum(), chart.areas[chosen].sum()) == (
                count,
                pytest.approx(area, abs=1, rel=2e-5),
            )
    assert (kinds == PolygonType.LAND).sum() == 128 and (kinds == PolygonType.ICE_SHELF).sum() == 7
    raster = draw_chart(chart, GridCells(get_grid("n3125")))
    for name, rows in REAL_CLASSES.items():
        for value, (_, area) in rows.items():
            covered = raster.covered[sea & (chart.get_classes(name) == value)].sum()
            assert covered == pytest.approx(area, rel=1e-3)
