"""Gappy fields of any kind: what is read, what is taken out, which cells are sea."""

from datetime import date

import netCDF4
import numpy as np
import pytest

from seaice import InputError
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.grids import get_grid
from seaice.simulate.sst import write_sst


def write(path, variables, *, dimensions, coordinates=(), attributes=()):
    """A NetCDF file: variables are name -> (dtype, dimensions, array, attributes)."""
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in dimensions.items():
            dataset.createDimension(name, size)
        for name, (dtype, dims, values, more) in {**dict(coordinates), **variables}.items():
            more = dict(more)
            fill = more.pop("_FillValue", None)
            made = dataset.createVariable(name, dtype, dims, fill_value=fill)
            made.set_auto_maskandscale(False)
            made.setncatts(more)
            made[:] = values
        dataset.setncatts(dict(attributes))
    return path


LAT = ("f4", ("lat",), [10.0, 20.0], {"units": "degrees_north"})
LON = ("f4", ("lon",), [0.0, 120.0, 240.0], {"units": "degrees_east"})
TIME = ("i4", ("time",), [0, 86400], {"units": "seconds since 1981-01-01", "standard_name": "time"})


@pytest.fixture
def kelvin(tmp_path):
    """Two maps of packed kelvin, 2 x 3 cells around the globe, with quality levels."""
    stored = np.array([[[0, 100, -32768], [200, 300, 4400]], [[1, 2, 3], [4, 5, 6]]], np.int16)
    quality = np.array([[[5, 5, 0], [2, 5, 4]], [[5, 5, 5], [5, 5, 5]]], np.int8)
    packing = {"scale_factor": 0.01, "add_offset": 273.15, "_FillValue": np.int16(-32768)}
    dims = ("time", "lat", "lon")
    return write(
        tmp_path / "sst.nc",
        {
            "sst": ("i2", dims, stored, {**packing, "units": "kelvin", "standard_name": "sst"}),
            "quality_level": ("i1", dims, quality, {"flag_meanings": "a b", "flag_values": [0, 1]}),
        },
        dimensions={"time": 2, "lat": 2, "lon": 3},
        coordinates={"time": TIME, "lat": LAT, "lon": LON},
    )


def test_packed_kelvin_become_doubles_and_poor_quality_is_missing(kelvin):
    source = read_gappy(kelvin, ReadOptions(variable="sst", quality_level=4))
    first = source.field.values[0]
    assert source.field.values.dtype == np.float64
    np.testing.assert_allclose(first[0, :2], [273.15, 274.15], rtol=1e-14)
    assert np.isnan(first[0, 2]) and np.isnan(first[1, 0]), "missing, and quality 2"
    np.testing.assert_allclose(first[1, 1:], [276.15, 317.15], rtol=1e-14)
    np.testing.assert_array_equal(source.field.days, [4018.0, 4019.0])
    assert source.field.wraps and source.field.units == "kelvin"
    assert "quality_level of at least 4: 1 values taken out" in source.notes


def test_best_quality_is_the_default_and_zero_takes_everything(kelvin):
    best = read_gappy(kelvin, ReadOptions(variable="sst")).field
    everything = read_gappy(kelvin, ReadOptions(variable="sst", quality_level=0)).field
    assert best.observed[0].sum() == 3
    assert everything.observed[0].sum() == 5


def test_only_the_days_asked_for_are_read(kelvin):
    source = read_gappy(kelvin, ReadOptions(variable="sst", start_date=date(1981, 1, 2)))
    assert source.field.values.shape == (1, 2, 3)
    np.testing.assert_allclose(source.field.values[0, 0], 273.15 + np.array([1, 2, 3]) / 100)
    with pytest.raises(InputError, match=r"no map from 1990-01-01 .* holds 1981-01-01 to 1981-01-02"):
        read_gappy(kelvin, ReadOptions(variable="sst", start_date=date(1990, 1, 1)))


def test_a_stack_without_mask_takes_what_was_ever_seen_for_sea(kelvin):
    with netCDF4.Dataset(kelvin, "a") as dataset:
        dataset["sst"].set_auto_maskandscale(False)
        dataset["sst"][:, 0, 2] = -32768
    source = read_gappy(kelvin, ReadOptions(variable="sst"))
    assert source.field.sea.tolist() == [[True, True, False], [True, True, True]]
    assert any("1 cells that were never observed count as land" in note for note in source.notes)


def test_one_map_without_mask_is_all_sea_and_says_so(tmp_path):
    values = np.array([[1, np.nan]], np.float32)
    path = write(tmp_path / "one.nc", {"v": ("f4", ("a", "b"), values, {})}, dimensions={"a": 1, "b": 2})
    source = read_gappy(path)
    assert source.field.sea.all() and source.axes.time is None
    assert any("every missing cell counts as sea" in note for note in source.notes)


_BITS = {"flag_masks": np.array([1, 2, 4, 8], "i1"), "flag_meanings": "sea land lake ice"}
_CODES = {"flag_values": np.array([0, 1, 2], "i1"), "flag_meanings": "ocean land coast"}


@pytest.mark.parametrize(
    ("attributes", "codes", "sea"),
    [
        (_BITS, [1, 9, 2], "110"),
        (_CODES, [0, 1, 2], "101"),
        ({"standard_name": "land_binary_mask"}, [0, 1, 0], "101"),
        ({"standard_name": "sea_binary_mask"}, [0, 1, 0], "010"),
    ],
)  # fmt: skip
def test_a_mask_is_read_by_what_it_says(tmp_path, kelvin, attributes, codes, sea):
    mask = write(
        tmp_path / "mask.nc",
        {"mask": ("i1", ("lat", "lon"), [codes, codes], attributes)},
        dimensions={"lat": 2, "lon": 3},
        coordinates={"lat": LAT, "lon": LON},
    )
    found = read_gappy(kelvin, ReadOptions(variable="sst", mask_file=mask)).field.sea
    assert ["".join("01"[int(c)] for c in row) for row in found] == [sea, sea]


def test_a_mask_that_does_not_say_what_it_means_is_refused_until_told(tmp_path, kelvin):
    mask = write(
        tmp_path / "mask.nc",
        {"mask": ("f4", ("lat", "lon"), [[1, 1, 0], [0, 1, 1]], {})},
        dimensions={"lat": 2, "lon": 3},
        coordinates={"lat": LAT, "lon": LON},
    )
    with pytest.raises(InputError, match="--mask_means sea or land"):
        read_gappy(kelvin, ReadOptions(variable="sst", mask_file=mask))
    sea = read_gappy(kelvin, ReadOptions(variable="sst", mask_file=mask, mask_means="sea")).field.sea
    land = read_gappy(kelvin, ReadOptions(variable="sst", mask_file=mask, mask_means="land")).field.sea
    assert sea.tolist() == [[True, True, False], [False, True, True]]
    np.testing.assert_array_equal(land, ~sea)


def test_a_mask_whose_rows_run_the_other_way_is_turned(tmp_path, kelvin):
    mask = write(
        tmp_path / "mask.nc",
        {"mask": ("i1", ("lat", "lon"), [[1, 1, 1], [0, 0, 1]], {"standard_name": "sea_binary_mask"})},
        dimensions={"lat": 2, "lon": 3},
        coordinates={"lat": ("f4", ("lat",), [20.0, 10.0], LAT[3]), "lon": LON},
    )
    found = read_gappy(kelvin, ReadOptions(variable="sst", mask_file=mask)).field.sea
    assert found.tolist() == [[False, False, True], [True, True, True]]


def test_a_mask_of_another_place_or_shape_is_refused(tmp_path, kelvin):
    more = {"standard_name": "sea_binary_mask"}
    elsewhere = write(
        tmp_path / "elsewhere.nc",
        {"mask": ("i1", ("lat", "lon"), [[1, 1, 1], [0, 0, 1]], more)},
        dimensions={"lat": 2, "lon": 3},
        coordinates={"lat": ("f4", ("lat",), [30.0, 40.0], LAT[3]), "lon": LON},
    )
    with pytest.raises(InputError, match="20 degrees away from the field"):
        read_gappy(kelvin, ReadOptions(variable="sst", mask_file=elsewhere))
    small = write(
        tmp_path / "small.nc",
        {"mask": ("i1", ("lat", "lon"), [[1, 1]], more)},
        dimensions={"lat": 1, "lon": 2},
    )
    with pytest.raises(InputError, match=r"expected mask of 2 x 3 cells, found 1 x 2"):
        read_gappy(kelvin, ReadOptions(variable="sst", mask_file=small))


def test_flag_codes_among_the_data_are_missing_and_tell_land(tmp_path):
    stored = np.array([[[10, 255, 251], [20, 255, 30]]], np.uint8)
    more = {
        "scale_factor": 0.2,
        "flag_values": np.array([251, 255], np.uint8),
        "flag_meanings": "rain land_mass",
    }
    path = write(
        tmp_path / "wind.nc",
        {"wind": ("u1", ("time", "lat", "lon"), stored, more)},
        dimensions={"time": 1, "lat": 2, "lon": 3},
        coordinates={"lat": LAT, "lon": LON},
    )
    field = read_gappy(path).field
    np.testing.assert_allclose(field.values[0], [[2, np.nan, np.nan], [4, np.nan, 6]], rtol=1e-6)
    assert field.sea.tolist() == [[True, False, True], [True, False, True]]


def test_values_out_of_the_packed_range_are_missing(tmp_path):
    stored = np.array([[-5, 0], [100, 101]], np.int16)
    more = {"scale_factor": 0.01, "valid_range": np.array([0, 100], np.int16)}
    path = write(
        tmp_path / "conc.nc",
        {"c": ("i2", ("y", "x"), stored, {**more, "standard_name": "sea_ice_area_fraction"})},
        dimensions={"y": 2, "x": 2},
    )
    source = read_gappy(path)
    assert source.is_concentration and source.field.valid_range == (0.0, 1.0)
    assert source.field.observed.tolist() == [[[False, True], [True, False]]]
    assert "2 values outside 0 to 1 are missing values" in source.notes
    other = read_gappy(path, ReadOptions(valid_range=(-1.0, 0.5)))
    assert other.field.observed.tolist() == [[[True, True], [False, False]]]


def test_rows_of_a_projected_file_that_run_south_are_turned(tmp_path):
    grid = get_grid("n25000")
    values = np.arange(grid.rows * grid.columns, dtype=np.float32).reshape(grid.shape)
    path = write(
        tmp_path / "p.nc",
        {
            "v": ("f4", ("y", "x"), values[::-1], {"grid_mapping": "crs"}),
            "crs": ("i4", (), 0, grid.to_cf()),
        },
        dimensions={"y": grid.rows, "x": grid.columns},
        coordinates={
            "y": ("f8", ("y",), grid.y[::-1], {"units": "m"}),
            "x": ("f8", ("x",), grid.x, {"units": "m"}),
        },
    )
    source = read_gappy(path)
    assert source.grid is not None and source.grid.id == "n25000"
    np.testing.assert_array_equal(source.field.values[0], values)
    _, latitude = grid.longitude_latitude()
    np.testing.assert_array_equal(source.field.latitude, latitude)


def test_values_that_an_earlier_run_filled_are_no_observations(tmp_path):
    flags = np.array([[0, 1], [255, 0]], np.uint8)
    path = write(
        tmp_path / "filled.nc",
        {
            "v": ("f4", ("y", "x"), [[1, 2], [9e9, 4]],
                  {"ancillary_variables": "fill_flag", "_FillValue": 9e9}),
            "fill_flag": ("u1", ("y", "x"), flags,
                          {"flag_values": np.array([0, 1, 255], np.uint8),
                           "flag_meanings": "observed temporal not_filled"}),
        },
        dimensions={"y": 2, "x": 2},
    )  # fmt: skip
    source = read_gappy(path, ReadOptions(variable="v"))
    assert source.field.observed.tolist() == [[[True, False], [False, True]]]
    assert "1 values were filled by an earlier run and are filled anew" in source.notes


def test_several_fields_want_a_choice(kelvin):
    with netCDF4.Dataset(kelvin, "a") as dataset:
        dataset.createVariable("wind", "f4", ("time", "lat", "lon"))[:] = 1
    with pytest.raises(InputError, match="choose one with --variable"):
        read_gappy(kelvin)
    with pytest.raises(InputError, match="no variable 'ssst'; it holds"):
        read_gappy(kelvin, ReadOptions(variable="ssst"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.nc", b"<html>not found</html>", "expected a NetCDF file, found a web page"),
        ("cut.nc", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "is no readable NetCDF file"),
        ("absent.nc", None, "no such file"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        read_gappy(path)
    assert name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_is_no_zarr_group_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected a NetCDF file or a Zarr group, found the folder"):
        read_gappy(tmp_path)


def test_simulated_sst_has_the_layout_of_the_products(tmp_path):
    made = write_sst(tmp_path, [date(2024, 6, 1), date(2024, 6, 2)], step=10.0, seed=3)
    l3s = read_gappy(made.l3s, ReadOptions(mask_file=made.l4))
    l4 = read_gappy(made.l4, ReadOptions(variable="analysed_sst"))
    np.testing.assert_array_equal(l3s.field.sea, l4.field.sea)
    np.testing.assert_array_equal(l3s.field.sea, ~np.isnan(made.truth[0]))
    share = l3s.field.observed.sum() / (2 * l3s.field.sea.sum())
    assert 0.3 < share < 0.6
    seen = l3s.field.observed
    assert np.abs(l3s.field.values - made.truth)[seen].std() < 0.15, "noise of 0.1 K"
    assert l4.field.missing.sum() == 0
    assert 0.1 < np.nanstd(l4.field.values - made.truth) < 0.6, "an analysis is no truth"


def one_by_one(tmp_path, dtype, stored, attributes, *, time=TIME):
    """Maps of 2 x 3 cells of one variable, as stored."""
    stored = np.asarray(stored)
    return write(
        tmp_path / "odd.nc",
        {"v": (dtype, ("time", "lat", "lon"), stored, {"units": "1", **attributes})},
        dimensions={"time": len(stored), "lat": 2, "lon": 3},
        coordinates={"time": time, "lat": LAT, "lon": LON},
    )


SIX = np.array([[[1, 2, 3], [4, 5, 6]], [[6, 5, 4], [3, 2, 1]]])


@pytest.mark.parametrize(
    ("dtype", "attributes", "limits"),
    [
        ("i2", {"scale_factor": -0.5, "valid_range": np.array([0, 10], "i2")}, (-5.0, 0.0)),
        ("i1", {"_Unsigned": "true", "valid_range": np.array([0, -6], "i1")}, (0.0, 250.0)),
        ("f4", {"valid_min": np.float32(np.nan), "valid_max": np.float32(9)}, (-np.inf, 9.0)),
    ],
)
def test_odd_valid_ranges_are_read_as_meant(tmp_path, dtype, attributes, limits):
    field = read_gappy(one_by_one(tmp_path, dtype, SIX, attributes)).field
    assert field.valid_range == limits and field.observed.all()


@pytest.mark.parametrize("said", ["0, 240", np.array([1.0, 2.0, 3.0])])
def test_a_valid_range_that_is_none_is_refused(tmp_path, said):
    with pytest.raises(InputError, match="two numbers as its valid range"):
        read_gappy(one_by_one(tmp_path, "f4", SIX, {"valid_range": said}))


def test_a_field_in_days_is_a_field_of_numbers(tmp_path):
    stored = np.where(SIX == 2, -9, SIX)
    path = one_by_one(tmp_path, "i2", stored, {"units": "days", "_FillValue": np.int16(-9)})
    values = read_gappy(path).field.values
    np.testing.assert_array_equal(np.isnan(values), SIX == 2)
    assert np.nanmax(values) == 6


@pytest.mark.parametrize("times", [[20200101.0, 20200102.0], [0.0, np.nan]])
def test_times_without_units_that_are_no_days_are_refused(tmp_path, times):
    path = one_by_one(tmp_path, "f4", SIX, {}, time=("f8", ("time",), times, {}))
    with pytest.raises(InputError, match="cannot be days"):
        read_gappy(path)


@pytest.mark.parametrize("times", [[86400, 0], [0, 0]])
def test_times_out_of_order_are_refused(tmp_path, times):
    with pytest.raises(InputError, match="ascending times, found some equal or descending"):
        read_gappy(one_by_one(tmp_path, "f4", SIX, {}, time=(*TIME[:2], times, TIME[3])))


def test_whole_degrees_are_positions_too(tmp_path):
    path = write(
        tmp_path / "whole.nc",
        {"v": ("f4", ("lat", "lon"), SIX[0], {})},
        dimensions={"lat": 2, "lon": 3},
        coordinates={
            "lat": ("i4", ("lat",), [10, 20], {"units": "degrees_north"}),
            "lon": ("i4", ("lon",), [0, 120, 240], {"units": "degrees_east"}),
        },
    )
    np.testing.assert_array_equal(read_gappy(path).field.latitude, [[10] * 3, [20] * 3])
    with pytest.raises(InputError, match="one map without a time axis"):
        read_gappy(path, ReadOptions(start_date=date(2024, 1, 1)))


def test_columns_first_in_a_plane_are_turned(tmp_path):
    grid = get_grid("n25000")
    metres = {"units": "m"}
    stored = np.arange(grid.rows * grid.columns, dtype=np.float32).reshape(grid.shape)
    path = write(
        tmp_path / "turned.nc",
        {"v": ("f4", ("x", "y"), stored.T, {})},
        dimensions={"y": grid.rows, "x": grid.columns},
        coordinates={"y": ("f8", ("y",), grid.y, metres), "x": ("f8", ("x",), grid.x, metres)},
    )
    source = read_gappy(path)
    np.testing.assert_array_equal(source.field.values[0], stored)
    assert source.grid.same_cells(grid)


def test_a_single_number_is_no_map(tmp_path):
    path = write(tmp_path / "0.nc", {"v": ("f4", (), 1.0, {})}, dimensions={})
    with pytest.raises(InputError, match=r"\(y, x\), found \(\)"):
        read_gappy(path, ReadOptions(variable="v"))


def test_a_file_without_values_says_so(tmp_path):
    with pytest.raises(InputError, match="no value that may be used"):
        read_gappy(one_by_one(tmp_path, "f4", np.full(SIX.shape, np.nan), {}))
