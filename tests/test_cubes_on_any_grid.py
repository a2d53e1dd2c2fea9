"""Masks, cubes, pictures and the index on grids of other products: EPSG:3413, EASE2 and 0.25 degrees."""

from datetime import date

import numpy as np
import pytest
from cubes import write_cube
from grid_truths import LOCATED, PLACES, TEXTS, measure_area
from PIL import Image

from seaice import cf
from seaice.cube.file import CubeFile
from seaice.drawing.projection import make_projection
from seaice.flags import Surface
from seaice.gridding import project
from seaice.grids import parse_grid, read_file_grid
from seaice.ice_index.stage import ice_index
from seaice.masking.land_mask import classify, write_mask
from seaice.masks import Mask, assume_pole_hole, find_pole_hole, read_mask
from seaice.pictures.visualize import visualize, visualize_mask
from seaice.regions import read_regions


@pytest.fixture(params=TEXTS)
def case(request):
    grid = parse_grid(request.param)
    return grid, LOCATED[request.param]


def make_surface(grid, cells):
    """Ocean with Svalbard as land and the cells beside it as coast."""
    surface = np.full(grid.shape, Surface.OCEAN, np.uint8)
    row, column = cells["Svalbard"]
    surface[row - 1 : row + 2, column - 1 : column + 2] = Surface.COAST
    surface[row, column] = Surface.LAND
    return surface


def check_picture(path):
    with Image.open(path) as picture:
        assert min(picture.size) > 100 and len(picture.convert("RGB").getcolors(1 << 20)) > 20


def check_conventions(path, report):
    checkers = pytest.importorskip("compliance_checker.runner")
    checkers.CheckSuite.load_all_available_checkers()
    passed, errors = checkers.ComplianceChecker.run_checker(
        str(path), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
    )
    assert passed and not errors, report.read_text()


def test_a_mask_is_read_back(case, tmp_path):
    grid, cells = case
    mask = Mask(make_surface(grid, cells), np.zeros(grid.shape, np.float32), grid)
    write_mask(tmp_path / "mask.nc", mask, {})
    read = read_mask(tmp_path / "mask.nc")
    assert (read.grid, read.grid.id) == (grid, grid.id)
    np.testing.assert_array_equal(read.surface, mask.surface)
    visualize_mask(input_file=tmp_path / "mask.nc", output_file=tmp_path / "mask.png", dpi=40)
    check_picture(tmp_path / "mask.png")


def test_the_pole_hole_is_found(case):
    """A cap of missing cells about the pole, and missing land elsewhere."""
    grid, cells = case
    latitude = grid.longitude_latitude()[1]
    missing = np.where(latitude > 88.9, 20, 0)
    missing[cells["Svalbard"]] = 20
    surface = classify(missing, 20, grid)
    assert surface[cells["North Pole"]] == Surface.POLE_HOLE
    np.testing.assert_array_equal(surface == Surface.POLE_HOLE, latitude > 88.9)
    np.testing.assert_array_equal(find_pole_hole(missing > 10, grid), latitude > 88.9)
    assert surface[cells["Svalbard"]] == Surface.LAND
    # A circle of 110 km: 0.98 of a degree of the meridian.
    hole = assume_pole_hole(grid)
    assert hole[latitude > 89.05].all() and not hole[latitude < 88.97].any()


def test_index_and_picture_of_a_cube(case, tmp_path):
    grid, cells = case
    surface = make_surface(grid, cells)
    concentration = np.zeros((2, *grid.shape))
    shares = dict(zip(cells, (0.5, 0.9, 0.25, 1.0), strict=False))
    for name, share in shares.items():
        concentration[1][cells[name]] = share
    concentration[1][10, 7] = np.nan
    path = write_cube(
        tmp_path / "cube.nc", dates=["2020-01-01", "2020-01-02"], concentration=concentration,
        surface=surface, grid=grid,
    )  # fmt: skip
    with CubeFile(path) as cube:
        assert (cube.grid, cube.grid.id) == (grid, grid.id)
        for name, share in shares.items():
            expected = np.nan if name == "Svalbard" else share
            assert cube.concentration(1)[cells[name]] == pytest.approx(expected, nan_ok=True)
    assert read_file_grid(path) == grid
    check_conventions(path, tmp_path / "conventions.txt")

    report = ice_index(input_file=path, output_csv=tmp_path / "index.csv")
    series = report.values["series"]
    areas = {name: measure_area(grid, *cells[name]) for name in cells if name != "Svalbard"}
    assert series.extent[1, 0] == pytest.approx(sum(areas.values()), rel=1e-5)
    assert series.area[1, 0] == pytest.approx(sum(shares[n] * a for n, a in areas.items()), rel=1e-5)
    assert series.missing_area[1, 0] == pytest.approx(measure_area(grid, 10, 7), rel=1e-5)

    picture = tmp_path / "map.png"
    visualize(input_file=path, date=date(2020, 1, 2), output_file=picture, dpi=40, ice_edge=15.0)
    check_picture(picture)


def test_coordinates_of_the_map_are_those_of_the_grid(case):
    """So an image of the cells is not resampled, and coastlines lie where they belong."""
    import cartopy.crs as ccrs

    grid, cells = case
    longitude, latitude = np.array([PLACES[name] for name in cells]).T
    points = make_projection(grid).transform_points(ccrs.Geodetic(), longitude, latitude)
    np.testing.assert_allclose(
        points[:, :2].T, project(latitude, longitude, grid), atol=1e-6 * grid.step
    )


@pytest.mark.parametrize("west", [0, 90])
def test_a_map_of_other_longitudes_begins_where_the_grid_does(west):
    import cartopy.crs as ccrs

    grid = parse_grid(f"EPSG:4326:0.5:{west},-90,{west + 360},90")
    longitude, latitude = np.array([-170.0, -0.1, 0.1, 89.9, 179.0]), np.full(5, 60.0)
    points = make_projection(grid).transform_points(ccrs.Geodetic(), longitude, latitude)
    np.testing.assert_allclose(points[:, 0], (longitude - west) % 360 + west, atol=1e-6)


def test_regions_of_nsidc_on_any_grid(case, real_data):
    grid, cells = case
    path = real_data / "grids" / "Arctic_region_mask_Meier_AnnGlaciol2007.msk"
    regions = read_regions(str(path), grid)
    numbers = {
        name: regions.codes[cells[name]] for name in ("North Pole", "Chukchi Sea at the dateline")
    }
    names = {name: regions.names[number - 1] for name, number in numbers.items() if number}
    assert names["North Pole"] == "Central Arctic"
    assert names.get("Chukchi Sea at the dateline", "Chukchi Sea") in ("Chukchi Sea", "Bering Sea")
    longitude, latitude = grid.longitude_latitude()
    # Kara Sea, wherever its cell lies.
    row, column = np.unravel_index(
        np.hypot(latitude - 75.0, (longitude - 70.0) * np.cos(np.radians(75))).argmin(), grid.shape
    )
    assert regions.names[regions.codes[row, column] - 1] == "Kara Sea"


def test_bounds_of_a_globe():
    bounds = cf.describe_bounds(parse_grid("EPSG:4326:0.25:0,-90,360,90"))
    limits = {key.removeprefix("geospatial_"): bounds[key] for key in list(bounds)[2:]}
    assert limits == {"lat_min": -90.0, "lat_max": 90.0, "lon_min": -180.0, "lon_max": 180.0}
    bering = cf.describe_bounds(parse_grid("EPSG:4326:0.5:170,50,-160,70"))
    assert (bering["geospatial_lon_min"], bering["geospatial_lon_max"]) == (170.0, -160.0)
    # EPSG:4326 has the latitude first.
    assert bering["geospatial_bounds"].startswith("POLYGON ((50 170, 50 200, 70 200")
