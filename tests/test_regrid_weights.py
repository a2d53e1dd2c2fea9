"""Overlaps of cells, weights and the carrying of a day, against truths by hand and slow references."""

import shutil
import subprocess

import netCDF4
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seaice import InputError, cf
from seaice.flags import Surface
from seaice.grids import Grid, get_grid, parse_grid
from seaice.regridding.carry import carry_day, carry_surface
from seaice.regridding.overlap import compute_overlaps
from seaice.regridding.weights import compute_matrix, compute_weights

HUGHES, WGS84, EASE2, SOUTH = "EPSG:3411", "EPSG:3413", "EPSG:6931", "EPSG:6932"
DEGREES = "EPSG:4326"


def make_grid(projection, rows, columns, step, west, south):
    return Grid("small", rows, columns, step, west, south, projection)


PAIRS = {
    "pole_in_the_middle": (
        make_grid(WGS84, 7, 6, 60e3, -190e3, -200e3),
        make_grid(EASE2, 5, 5, 110e3, -275e3, -275e3),
    ),
    "fine_to_coarse": (
        make_grid(EASE2, 20, 20, 25e3, 0.0, -1500e3),
        make_grid(WGS84, 3, 4, 130e3, 850e3, -950e3),
    ),
    "across_180_degrees": (
        make_grid(DEGREES, 8, 10, 2.0, 170.0, 64.0),
        make_grid(WGS84, 6, 6, 200e3, -1700e3, 600e3),
    ),
    "globe_to_north": (
        make_grid(DEGREES, 9, 18, 20.0, 0.0, -90.0),
        make_grid(EASE2, 4, 4, 1200e3, -2400e3, -2400e3),
    ),
    "north_to_globe": (
        make_grid(EASE2, 6, 6, 800e3, -2400e3, -2400e3),
        make_grid(DEGREES, 12, 24, 15.0, -180.0, -90.0),
    ),
    "south": (
        make_grid("EPSG:3976", 8, 8, 150e3, -600e3, -600e3),
        make_grid(SOUTH, 5, 7, 170e3, -500e3, -400e3),
    ),
    "degrees": (
        make_grid(DEGREES, 6, 12, 30.0, -180.0, -90.0),
        make_grid(DEGREES, 9, 18, 20.0, 5.0, -90.0),
    ),
}


def list_outline(grid, row, column, count):
    """Longitude and latitude along the edge of a cell."""
    k = np.arange(count) / count
    x = np.concatenate([k, np.ones(count), 1 - k, np.zeros(count)])
    y = np.concatenate([np.zeros(count), k, np.ones(count), 1 - k])
    return grid.transform_to_degrees(
        grid.west + (column + x) * grid.step,
        np.clip(grid.south + (row + y) * grid.step, *((-90, 90) if grid.is_geographic else (-1e9, 1e9))),
    )


def compute_slowly(source, target, south):
    """Overlaps of polygons in an equal-area plane about a pole, by shapely."""
    from pyproj import Transformer
    from shapely import STRtree, make_valid, polygons

    transformer = Transformer.from_crs(DEGREES, SOUTH if south else EASE2, always_xy=True)
    shapes = []
    for grid in (source, target):
        cells = []
        for row in range(grid.rows):
            for column in range(grid.columns):
                longitude, latitude = list_outline(grid, row, column, 100)
                # What lies beyond the equator is torn in this plane; no pair meets there.
                beyond = (latitude > -1).any() if south else (latitude < 1).any()
                points = np.column_stack(transformer.transform(longitude, latitude))
                cells.append(make_valid(polygons(np.zeros((4, 2)) if beyond else points)))
        shapes.append(cells)
    areas = np.zeros((len(shapes[1]), len(shapes[0])))
    for t, s in STRtree(shapes[0]).query(shapes[1]).T:
        areas[t, s] = shapes[1][t].intersection(shapes[0][s]).area / 1e6
    return areas


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "degrees"])
def test_overlaps_agree_with_polygons(name):
    source, target = PAIRS[name]
    expected = compute_slowly(source, target, name == "south")
    areas = compute_overlaps(source, target).toarray()
    if name.startswith("globe") or name.endswith("globe"):
        whole = (areas > 0) & (expected == 0)
        areas[whole] = 0  # cells that reach the equator
    smallest = min(source.cell_area().max(), target.cell_area().max())
    # Grid.cell_area is that of the middle of a cell: wrong by some 1e-4 in cells of a thousand km.
    tolerance = 1e-3 if "globe" in name else 1.2e-4
    assert np.abs(areas - expected).max() < tolerance * smallest
    assert (expected > 0).sum() > 20


def test_overlaps_of_degrees_are_products_of_overlaps_along_the_axes():
    source, target = PAIRS["degrees"]
    areas = compute_overlaps(source, target)
    np.testing.assert_allclose(areas.sum(axis=0), source.cell_area().ravel(), rtol=1e-12)
    np.testing.assert_allclose(areas.sum(axis=1), target.cell_area().ravel(), rtol=1e-12)
    # The target column from 345 to 365 degrees takes 15 of source 330 to 360 and 5 of 0 to 30.
    last = areas.toarray()[17].reshape(6, 12)
    np.testing.assert_allclose(last[0, 5:7] / last[0].sum(), [0.75, 0.25])


def measure_exactly(grid, parts=8):
    """Areas of cells as sums over small parts."""
    step = grid.step / parts
    fine = Grid("fine", parts * grid.rows, parts * grid.columns, step, grid.west, grid.south, WGS84)
    return fine.cell_area().reshape(grid.rows, parts, grid.columns, parts).sum(axis=(1, 3))


@pytest.mark.parametrize("step", [25000, 12500])
def test_overlaps_add_up_to_the_true_areas(step):
    """Those of small parts: in the middle of a cell of 25 km the scale is wrong by 1e-6."""
    source = get_grid("n25000").crop(slice(100, 340), slice(60, 250))
    source = Grid("wgs84", *source.shape, source.step, source.west, source.south, WGS84)
    target = get_grid(f"ease2n{step}")
    areas = compute_overlaps(source, target)
    of_source = np.asarray(areas.sum(axis=0))
    exact = measure_exactly(source)
    np.testing.assert_allclose(of_source, exact.ravel(), rtol=2e-6)
    assert abs(of_source.sum() / exact.sum() - 1) < 2e-7
    of_target = np.asarray(areas.sum(axis=1)) / target.cell_area().ravel()
    assert of_target.max() < 1 + 5e-6
    inside = np.flatnonzero(np.abs(of_target - 1) < 1e-5)
    assert inside.size > 25e3


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9),
    columns=st.integers(1, 9),
    step=st.floats(8e3, 300e3),
    west=st.floats(-600e3, 300e3),
    south=st.floats(-600e3, 300e3),
    is_source=st.booleans(),
)
def test_a_grid_inside_another_is_divided_without_a_gap(rows, columns, step, west, south, is_source):
    around = make_grid(EASE2, 90, 90, 100e3, -4500e3, -4500e3)
    inner = make_grid(WGS84, rows, columns, step, west, south)
    pair = (inner, around) if is_source else (around, inner)
    areas = compute_overlaps(*pair).sum(axis=0 if is_source else 1)
    # The middle of a cell stands for its scale: wrong by less than 1e-4 up to 300 km.
    np.testing.assert_allclose(areas, inner.cell_area().ravel(), rtol=3e-4)


def test_grids_that_nest_have_blocks_of_the_same_area():
    fine, coarse = get_grid("n12500"), get_grid("n25000")
    areas = compute_overlaps(fine, coarse)
    assert set(np.diff(areas.indptr)) == {4}
    first = areas.indices[:4]
    assert first.tolist() == [0, 1, 608, 609]
    np.testing.assert_allclose(areas.data[:4], fine.cell_area().ravel()[first], rtol=1e-13)


@pytest.mark.parametrize("method", ["conservative", "nearest", "bilinear"])
def test_grids_that_do_not_meet(method):
    with pytest.raises(InputError, match=r"the grids do not meet: n25000 .* s25000"):
        compute_matrix(get_grid("n25000"), get_grid("s25000"), method)


def carry(source, target, values, *, ocean=None, method="conservative", **arguments):
    ocean = np.ones(source.shape, bool) if ocean is None else ocean
    weights = compute_weights(source, target, ocean, method)
    return carry_day(weights, target.shape, values, **arguments), weights


def test_the_area_of_ice_is_kept():
    source = get_grid("n25000")
    source = Grid("wgs84", *source.shape, source.step, source.west, source.south, WGS84)
    target = get_grid("ease2n12500")
    y, x = np.meshgrid(source.y, source.x, indexing="ij")
    ice = np.clip(1.5 - np.hypot(x, y) / 2e6, 0, 1).astype(np.float32)
    day, _ = carry(source, target, ice, smallest_share=0.0)
    before, after = (
        np.nansum(values.astype(np.float64) * grid.cell_area())
        for values, grid in ((ice, source), (day.values, target))
    )
    assert before > 5e6
    assert abs(after / before - 1) < 1.5e-6
    assert abs(after / np.sum(ice * measure_exactly(source)) - 1) < 1e-7


def test_a_linear_field_is_kept():
    source, target = get_grid("ease2n25000"), make_grid(EASE2, 90, 80, 13e3, -700e3, -500e3)
    slope = 1e-7
    line = slope * source.x + 0 * source.y[:, np.newaxis]
    expected = slope * target.x + 0 * target.y[:, np.newaxis]
    exact, _ = carry(source, target, line, method="bilinear")
    np.testing.assert_allclose(exact.values, expected, atol=1e-7)
    mean, _ = carry(source, target, line)
    # Cells are constant within: no further off than half a source cell, and not at all on average.
    assert np.abs(mean.values - expected).max() < slope * 12.6e3
    assert abs((mean.values - expected).mean()) < slope * 500


def test_missing_cells_and_land_by_hand():
    """Four cells of one latitude make one of two columns; the numbers are quarters."""
    source = make_grid(DEGREES, 1, 4, 1.0, 0.0, 0.0)
    target = make_grid(DEGREES, 1, 1, 4.0, 0.0, 0.0)
    # The target has four latitudes, of which the source covers the first.
    target_row = Grid("row", 1, 1, 4.0, 0.0, -3.0, DEGREES)
    values = np.array([[0.2, 0.6, np.nan, 0.9]], np.float32)
    ocean = np.array([[True, True, True, False]])
    flags = np.array([[11, 10, 255, 254]], np.uint8)
    days = np.array([[20, 33, 0, 0]], np.uint8)
    errors = np.array([[np.nan, 0.1, np.nan, np.nan]], np.float32)
    for grid, covered in ((target, 0.25), (target_row, 0.25)):
        day, weights = carry(
            source, grid, values, ocean=ocean, flags=flags, days=days, errors=errors, smallest_share=0.1
        )
        assert day.values[0, 0] == pytest.approx(0.4)
        assert weights.land[0] == pytest.approx(covered / 4, rel=1e-3)
        # Two of the three parts that are sea, of a quarter of the cell, without its land.
        expected = 2 / 4 * covered / (1 - covered / 4)
        assert day.share[0, 0] == pytest.approx(expected, rel=3e-3)
        assert day.errors[0, 0] == pytest.approx(0.05)
        assert (day.flags[0, 0], day.days[0, 0]) == (10, 33)  # equal areas: the lower code
        empty, _ = carry(source, grid, values, ocean=ocean, flags=flags, smallest_share=0.5)
        assert np.isnan(empty.values[0, 0])
        assert empty.flags[0, 0] == 255


def test_surface_is_that_of_the_larger_part():
    source = make_grid(DEGREES, 1, 8, 0.5, 0.0, 0.0)
    target = make_grid(DEGREES, 1, 4, 1.0, 0.0, -0.5)
    classes = [[Surface.LAND, Surface.OCEAN, Surface.LAKE, Surface.LAND,
                Surface.OCEAN, Surface.COAST, Surface.LAKE, Surface.LAKE]]  # fmt: skip
    matrix, whole = compute_matrix(source, target, "conservative")
    from seaice.regridding.weights import leave_out_land

    weights = leave_out_land(matrix, whole, np.ones(source.shape, bool))
    surface = carry_surface(weights, target.shape, np.array(classes, np.uint8))
    assert surface.tolist() == [[Surface.OCEAN, Surface.LAND, Surface.OCEAN, Surface.LAKE]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["conservative", "nearest", "bilinear"]))
def test_carried_values_lie_between_those_of_the_source(seed, method):
    random = np.random.default_rng(seed)
    source = make_grid(WGS84, 12, 11, 50e3, -300e3, -250e3)
    target = make_grid(EASE2, 9, 9, 40e3, -180e3, -180e3)
    values = random.random(source.shape).astype(np.float32)
    values[random.random(source.shape) < 0.3] = np.nan
    day, weights = carry(source, target, values, method=method, smallest_share=0.0)
    assert np.nanmin(day.values) >= np.nanmin(values) - 1e-6
    assert np.nanmax(day.values) <= np.nanmax(values) + 1e-6
    dense = np.zeros((81, 132))
    for t in range(81):
        part = slice(weights.indptr[t], weights.indptr[t + 1])
        dense[t, weights.indices[part]] = weights.weights[part]
    valid = dense @ ~np.isnan(values.ravel())
    with np.errstate(invalid="ignore"):
        expected = dense @ np.nan_to_num(values.ravel()) / valid
    np.testing.assert_allclose(day.values.ravel(), np.where(valid > 0, expected, np.nan), atol=1e-6)


def write_with_bounds(path, grid, values=None):
    """A file for cdo: positions of centres and corners, and their areas from the corners."""
    outline = [
        [list_outline(grid, row, column, 1) for column in range(grid.columns)]
        for row in range(grid.rows)
    ]
    corners = np.array(outline)
    longitude, latitude = grid.longitude_latitude()
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("y", grid.rows), ("x", grid.columns), ("corner", 4)):
            dataset.createDimension(name, size)
        for name, centre, k in (("lat", latitude, 1), ("lon", longitude, 0)):
            variable = dataset.createVariable(name, "f8", ("y", "x"))
            described = cf.LATITUDE if name == "lat" else cf.LONGITUDE
            variable.setncatts({**described, "bounds": f"{name}_bnds"})
            variable[:] = centre
            dataset.createVariable(f"{name}_bnds", "f8", ("y", "x", "corner"))[:] = corners[:, :, k]
        variable = dataset.createVariable("v", "f8", ("y", "x"), fill_value=-9.0)
        variable.coordinates = "lat lon"
        variable[:] = np.zeros(grid.shape) if values is None else values


@pytest.mark.skipif(shutil.which("cdo") is None, reason="cdo is not installed")
@pytest.mark.slow
def test_conservative_weights_agree_with_cdo(tmp_path):
    source = Grid("wgs84", 40, 40, 25e3, -500e3, -2000e3, WGS84)
    target = get_grid("ease2n12500").crop(slice(620, 656), slice(620, 656))
    y, x = np.meshgrid(source.y, source.x, indexing="ij")
    values = 0.5 + 0.5 * np.sin(x / 9e4) * np.cos(y / 7e4)
    write_with_bounds(tmp_path / "source.nc", source, values)
    write_with_bounds(tmp_path / "target.nc", target)
    command = ["cdo", "-s", f"remapcon,{tmp_path}/target.nc", tmp_path / "source.nc", tmp_path / "o.nc"]
    subprocess.run(list(map(str, command)), check=True, timeout=120)
    day, _ = carry(source, target, values)
    with netCDF4.Dataset(tmp_path / "o.nc") as dataset:
        expected = np.ma.filled(dataset["v"][:], np.nan)
    both = np.isfinite(expected) & np.isfinite(day.values)
    assert both.sum() > 1200
    assert np.abs(day.values - expected)[both].max() < 1e-4


def test_weights_survive_being_saved(tmp_path):
    from seaice.regridding.weights import Weights

    weights = compute_weights(*PAIRS["south"], np.ones(PAIRS["south"][0].shape, bool))
    weights.save(tmp_path)
    for name, array in vars(Weights.load(tmp_path)).items():
        np.testing.assert_array_equal(array, getattr(weights, name))


def test_a_grid_from_a_text_is_taken():
    target = parse_grid("EPSG:6931:100000:-1000000,-1000000,1000000,1000000")
    assert compute_overlaps(target, target).nnz == 400
