"""Grids against the published tables, PROJ and real NSIDC files."""

import numpy as np
import pytest
from pyproj import CRS

from seaice import InputError
from seaice.grids import Grid, get_grid, list_grid_ids, recognise_grid

# (rows, columns, first x, last x, first y, last y) of the University of Bremen grids.
TABLE = {
    "n6250": (1792, 1216, -3846875, 3746875, -5346875, 5846875),
    "n3125": (3584, 2432, -3848437.5, 3748437.5, -5348437.5, 5848437.5),
    "s6250": (1328, 1264, -3946875, 3946875, -3946875, 4346875),
    "s3125": (2656, 2528, -3948437.5, 3948437.5, -3948437.5, 4348437.5),
    "n25000": (448, 304, -3837500, 3737500, -5337500, 5837500),
    "s25000": (332, 316, -3937500, 3937500, -3937500, 4337500),
    "ease2n25000": (720, 720, -8987500, 8987500, -8987500, 8987500),
    "ease2s6250": (2880, 2880, -8996875, 8996875, -8996875, 8996875),
    "n10000": (1120, 760, -3845000, 3745000, -5345000, 5845000),
    "s10000": (830, 790, -3945000, 3945000, -3945000, 4345000),
    "osisafn25000": (432, 432, -5387500, 5387500, -5387500, 5387500),
    "osisafs12500": (864, 864, -5393750, 5393750, -5393750, 5393750),
    "osisafn50000": (216, 216, -5375000, 5375000, -5375000, 5375000),
}
# Longitude and latitude of the corner cells: SW, SE, NW, NE.
CORNERS = {
    "n6250": [(-80.7336, 33.9566), (-9.9788, 34.3770), (168.3424, 31.0111), (102.3469, 31.3958)],
    "s6250": [(-135.0, -41.4811), (135.0, -41.4811), (-42.2388, -39.2644), (42.2388, -39.2644)],
    "n10000": [(-80.7299, 33.9755), (-9.9828, 34.3960), (168.3380, 31.0294), (102.3516, 31.4141)],
    "osisafn25000": [(-45.0, 16.6239), (45.0, 16.6239), (-135.0, 16.6239), (135.0, 16.6239)],
    "osisafn12500": [(-45.0, 16.5243), (45.0, 16.5243), (-135.0, 16.5243), (135.0, 16.5243)],
    "n25000": [(-80.71499, 34.05146), (-9.99898, 34.47208), (168.32042, 31.10267), (102.37031, 31.4875)],
}


@pytest.mark.parametrize("grid_id", TABLE)
def test_shape_and_centres(grid_id):
    grid = get_grid(grid_id)
    assert (*grid.shape, grid.x[0], grid.x[-1], grid.y[0], grid.y[-1]) == TABLE[grid_id]


@pytest.mark.slow
@pytest.mark.parametrize("grid_id", CORNERS)
def test_corners(grid_id):
    longitude, latitude = get_grid(grid_id).longitude_latitude()
    for (row, column), expected in zip(
        [(0, 0), (0, -1), (-1, 0), (-1, -1)], CORNERS[grid_id], strict=True
    ):
        found = (longitude[row, column], latitude[row, column])
        assert found == pytest.approx(expected, abs=1e-4)


def test_ease_points():
    grid = get_grid("ease2n25000")
    from pyproj import Transformer

    to_grid = Transformer.from_crs(4326, grid.crs, always_xy=True)
    assert to_grid.transform(0, 84) == pytest.approx((0, -669833.02), abs=0.01)
    assert to_grid.transform(90, 70) == pytest.approx((2221670.89, 0), abs=0.01)


def test_cell_area_sums():
    assert get_grid("n25000").cell_area().sum() == pytest.approx(75_660_222.4, rel=1e-6)
    assert get_grid("s25000").cell_area().sum() == pytest.approx(61_055_050.9, rel=1e-6)
    assert (get_grid("ease2s25000").cell_area() == 625).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("latitude", "ratio"), [(50, 0.829252), (60, 0.925574), (75, 1.027215), (85, 1.059081)]
)
def test_cell_area_by_latitude(latitude, ratio):
    grid = get_grid("n6250")
    latitudes = grid.longitude_latitude()[1]
    row, column = np.unravel_index(np.abs(latitudes - latitude).argmin(), grid.shape)
    assert grid.cell_area()[row, column] / 6.25**2 == pytest.approx(ratio, rel=2e-4)


def test_cell_area_of_any_projection_agrees_with_proj():
    grid = get_grid("n25000")
    from pyproj import Proj

    scale = Proj(grid.crs).get_factors(*(a[::40, ::40] for a in grid.longitude_latitude())).areal_scale
    np.testing.assert_allclose(grid.cell_area()[::40, ::40], 625 / scale, rtol=1e-6)
    other = Grid("custom", 20, 20, 1000, 400_000, 7_000_000, "EPSG:32633")
    assert other.cell_area() == pytest.approx(1.0, rel=2e-3)


def test_real_areas_and_latitudes(real_data):
    grid = get_grid("n25000")

    def field(name, scale):
        # NSIDC's first row is the northernmost y, ours the southernmost.
        return np.fromfile(real_data / "grids" / name, "<i4").reshape(grid.shape)[::-1] / scale

    south = np.fromfile(real_data / "grids" / "pss25area_v3.dat", "<i4").reshape(332, 316)[::-1] / 1000
    np.testing.assert_allclose(get_grid("s25000").cell_area(), south, rtol=1e-5)
    np.testing.assert_allclose(grid.cell_area(), field("psn25area_v3.dat", 1000), atol=1e-3)
    longitude, latitude = grid.longitude_latitude()
    np.testing.assert_allclose(latitude, field("psn25lats_v3.dat", 1e5), atol=1e-5)
    turn = (longitude - field("psn25lons_v3.dat", 1e5) + 180) % 360 - 180
    assert np.abs(turn).max() < 2e-5


@pytest.mark.parametrize("grid_id", list_grid_ids())
def test_cf_round_trip(grid_id):
    grid = get_grid(grid_id)
    found = recognise_grid(grid.x, grid.y, grid.to_cf())
    assert (found, found.id) == (grid, grid_id)


def test_registered_cells_without_a_projection():
    grid = get_grid("s6250")
    assert recognise_grid(grid.x, grid.y) == grid


def test_other_ellipsoid_keeps_the_id_and_the_cells():
    grid = get_grid("n6250")
    found = recognise_grid(grid.x, grid.y, CRS.from_epsg(3413).to_cf())
    assert (found.id, found.projection) == ("n6250", "EPSG:3413")
    assert found.same_cells(grid)


def test_a_projection_is_searched_once(monkeypatch):
    grid, searches = get_grid("n25000"), []
    search = CRS.from_cf
    monkeypatch.setattr(CRS, "from_cf", lambda cf: (searches.append(cf), search(cf))[1])
    attributes = {**grid.to_cf(), "references": "a text of its own"}
    del attributes["crs_wkt"]
    for _ in range(3):
        assert recognise_grid(grid.x, grid.y, attributes) == grid
    assert len(searches) == 1


def test_a_part_is_read_back_with_a_name_of_its_own():
    part = get_grid("n25000").crop(slice(100, 180), slice(20, 90))
    found = recognise_grid(part.x, part.y, part.to_cf())
    assert found.id == "epsg3411_25000"
    assert found.same_cells(part)
    assert not found.same_cells(get_grid("n25000"))


def test_hemispheres():
    found = {i: get_grid(i).hemisphere for i in ("n3125", "s3125", "ease2n25000", "ease2s25000")}
    assert list(found.values()) == ["north", "south", "north", "south"]
    north = get_grid("n25000").crop(slice(0, 50), slice(0, 50))
    south = Grid("x", 50, 50, 25000, north.west, north.south, "EPSG:3412")
    assert not north.same_cells(south)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([0, 1, 3], [0, 1, 2], "x coordinates are not ascending in even steps"),
        ([2, 1, 0], [0, 1, 2], "x coordinates are not ascending"),
        ([0, 1, np.nan], [0, 1, 2], "x coordinates are not ascending"),
        ([0, 1, 2], [0, 2, 4], "cells are not square: 1 m in x, 2 m in y"),
        ([0], [0, 1], "expected a list of x coordinates"),
        ([0, 1, 2], [0, 1, 2], "cannot tell the projection"),
    ],
)
def test_bad_coordinates(x, y, message):
    with pytest.raises(InputError, match=message):
        recognise_grid(np.array(x, float), np.array(y, float))


def test_unknown_grid_lists_the_known():
    with pytest.raises(InputError, match=r"unknown grid 'n1000'; expected one of n3125, n6250"):
        get_grid("n1000")


def test_empty_part_is_refused():
    with pytest.raises(InputError, match="expected a non-empty index range"):
        get_grid("n25000").crop(slice(5, 5), slice(0, 3))


def test_cells_that_fit_two_projections_are_not_guessed():
    grid = get_grid("ease2s25000")
    with pytest.raises(InputError, match="cannot tell the projection"):
        recognise_grid(grid.x, grid.y)


def test_false_easting_and_poles_elsewhere():
    ups = Grid("custom", 40, 40, 1000, 1_980_000, 1_980_000, "EPSG:5041")
    assert ups.distance_to_pole().min() == pytest.approx(np.hypot(500, 500))
    assert ups.cell_area() == pytest.approx(1 / 0.994**2, rel=1e-3)
    assert Grid("custom", 4, 4, 1000, 0, 0, "EPSG:3035").distance_to_pole() is None


def test_the_same_numbers_about_another_meridian_are_another_place():
    """Only the polar stereographic grids of NSIDC tell their projection by their edges."""

    def read(grid, meridian):
        attributes = grid.to_cf()
        for name in ("crs_wkt", "projected_crs_name"):
            attributes.pop(name, None)
        for name in ("straight_vertical_longitude_from_pole", "longitude_of_projection_origin"):
            if name in attributes:
                attributes[name] = meridian
        return recognise_grid(grid.x, grid.y, attributes)

    ease, stereographic = get_grid("ease2n25000"), get_grid("n25000")
    assert read(ease, 0.0).same_cells(ease)
    turned = read(ease, -45.0)
    assert turned.id == "custom"  # no EPSG code has this meridian
    assert not turned.same_cells(ease)
    assert not ease.same_cells(turned)
    part = stereographic.crop(slice(10, 20), slice(30, 50))
    assert read(part, -45.0).same_cells(part)
    assert not read(part, 0.0).same_cells(part)
    trap = read(stereographic, 135.0)
    assert trap.same_cells(stereographic)
    np.testing.assert_allclose(trap.longitude_latitude(), stereographic.longitude_latitude(), atol=0.01)
