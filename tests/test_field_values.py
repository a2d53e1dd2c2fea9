"""Values, times and fill values of foreign fields: what cannot be is taken out, refused or named."""

import re

import netCDF4
import numpy as np
import pytest
import zarr
from test_second_inputs import write

from seaice import InputError
from seaice.fields.fill import fill_field
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.gapfill.methods import make_method
from seaice.grids import get_grid

LAT = np.linspace(60.0, 69.0, 10)
LON = np.linspace(0.0, 9.0, 10)
ICE = {"standard_name": "sea_ice_area_fraction", "units": "percent"}


def write_maps(tmp_path, maps, attributes, *, name="v", days=None, file_attributes=()):
    maps = np.asarray(maps)
    days = np.arange(len(maps)) if days is None else days
    path = write(tmp_path / "f.nc", name, maps, LAT, LON, days=days, attributes=attributes)
    with netCDF4.Dataset(path, "a") as dataset:
        dataset.setncatts(dict(file_attributes))
    return path


def make_ramp(count=3):
    """Percent of ice that rises from row to row, the same on every day."""
    return np.repeat(np.linspace(0, 100, 100, dtype=np.float32).reshape(1, 10, 10), count, axis=0)


@pytest.mark.parametrize(
    ("attributes", "value", "file_attributes", "note"),
    [
        ({"units": "degC"}, -1000.0, {}, r"1 values \(-1000 degC\) cannot be"),
        ({"units": "K"}, 0.0, {}, r"1 values \(0 K\) cannot be"),
        (
            {"units": "1"},
            -999.0,
            {"_FillValue": np.float32(-999)},
            "1 values of -999, the file's _FillValue",
        ),
        ({"units": "1"}, 9.96921e36, {}, "NetCDF's default fill value"),
    ],
)
def test_codes_that_nobody_declared_are_no_observations(
    tmp_path, attributes, value, file_attributes, note
):
    base = 280.0 if attributes["units"] == "K" else 5.0
    maps = base + make_ramp(1) / 100
    maps[0, 2, 3] = value
    path = write_maps(tmp_path, maps, attributes, file_attributes=file_attributes)
    with netCDF4.Dataset(path) as dataset:
        assert "_FillValue" not in dataset["v"].ncattrs()
    source = read_gappy(path)
    assert np.argwhere(~np.isfinite(source.field.values)).tolist() == [[0, 2, 3]]
    assert any(re.search(note, text) for text in source.notes), source.notes


def test_differences_of_temperatures_stay_and_wrong_units_are_named(tmp_path):
    maps = make_ramp(1) / 20 - 2
    difference = read_gappy(write_maps(tmp_path, maps, {"units": "K"}))
    assert np.isfinite(difference.field.values).all()
    assert not any("temperatures" in note for note in difference.notes)
    named = {"units": "K", "standard_name": "sea_surface_temperature"}
    source = read_gappy(write_maps(tmp_path, maps, named))
    assert any("check the units" in note for note in source.notes)


def test_a_lone_usual_code_far_from_all_values_is_refused(tmp_path):
    maps = make_ramp(1)
    maps[0, :2] = -999
    path = write_maps(tmp_path, maps, {"units": "mg m-3"})
    with pytest.raises(InputError, match=r"20 values of v are -999, .* say --valid_range"):
        read_gappy(path)
    source = read_gappy(path, ReadOptions(valid_range=(0.0, 100.0)))
    assert int(source.field.observed.sum()) == 80


def test_fractions_among_percent_are_refused(tmp_path):
    maps = make_ramp()
    maps[1] /= 100
    with pytest.raises(InputError, match=r"v of 1970-01-02 looks like fractions, where full ice is 100"):
        read_gappy(write_maps(tmp_path, maps, ICE))
    with pytest.raises(InputError, match="--valid_range 0 1"):
        read_gappy(write_maps(tmp_path, make_ramp() / 100, ICE))
    with pytest.raises(InputError, match=r"looks like percent, .*--valid_range 0 100"):
        read_gappy(write_maps(tmp_path, make_ramp(), {**ICE, "units": "1"}))


@pytest.mark.parametrize("factor", [10, 2.55])
def test_tenths_of_a_percent_called_percent_are_refused(tmp_path, factor):
    maps = np.clip(make_ramp(), 60, None) * factor
    with pytest.raises(InputError, match=r"of v lie outside 0 to 100, up to .*--valid_range"):
        read_gappy(write_maps(tmp_path, maps, ICE))
    options = ReadOptions(valid_range=(0, 100 * factor))
    assert read_gappy(write_maps(tmp_path, maps, ICE), options).field.observed.all()


def test_codes_in_most_cells_are_no_other_unit(tmp_path):
    maps = make_ramp()
    maps[:, :7] = 120
    source = read_gappy(write_maps(tmp_path, maps, ICE))
    assert not source.field.observed[:, :7].any() and source.field.observed[:, 7:].all()


def test_low_ice_in_percent_is_right(tmp_path):
    """A few percent in a few cells, and no ice at all, are observations."""
    maps = np.zeros((3, 10, 10), np.float32)
    maps[:, 0, :5] = [0.2, 0.5, 0.7, 0.9, 1.0]
    source = read_gappy(write_maps(tmp_path, maps, ICE))
    assert source.field.observed.all()


def test_a_map_of_zeros_amid_ice_is_named(tmp_path):
    maps = make_ramp(4)
    maps[1, 5:] = 0
    source = read_gappy(write_maps(tmp_path, maps, ICE))
    assert [note for note in source.notes if "exactly 0" in note] == [
        "1970-01-02: 50 of 50 cells that are half covered or more before and after are exactly 0; if "
        "they were not observed, leave the map out"
    ]
    assert not [n for n in read_gappy(write_maps(tmp_path, make_ramp(4), ICE)).notes if "exactly" in n]


def test_0_declared_as_missing_is_for_the_user_to_settle(tmp_path):
    path = tmp_path / "zero.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("y", 2)
        dataset.createDimension("x", 3)
        variable = dataset.createVariable("v", "u1", ("y", "x"), fill_value=0)
        variable.setncatts(ICE)
        variable.set_auto_maskandscale(False)
        variable[:] = [[0, 50, 100], [0, 0, 10]]
    with pytest.raises(InputError, match="v declares 0 as missing, which is also no ice"):
        read_gappy(path)
    assert int(read_gappy(path, ReadOptions(valid_range=(1, 100))).field.observed.sum()) == 3
    assert int(read_gappy(path, ReadOptions(valid_range=(0, 100))).field.observed.sum()) == 6


@pytest.mark.parametrize(("fill", "attribute"), [(0, None), (0, 255), (255, None)])
def test_zero_percent_in_zarr_2_is_an_observation(tmp_path, fill, attribute):
    """Libraries write the fill value 0 unasked; the output keeps the zeros too."""
    path = tmp_path / "v2.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    maps = make_ramp().astype("u1")
    maps[:, 0] = 0
    maps[1, 4] = 255
    more = {**ICE, "valid_min": 0, "valid_max": 100} | ({"_FillValue": attribute} if attribute else {})
    for name, values, dims, attributes, own_fill in (
        ("time", np.arange(3), ["time"], {"units": "days since 1970-01-01"}, 0),
        ("lat", LAT, ["lat"], {"units": "degrees_north"}, 0),
        ("lon", LON, ["lon"], {"units": "degrees_east"}, 0),
        ("ice", maps, ["time", "lat", "lon"], more, fill),
    ):
        array = group.create_array(name, shape=values.shape, dtype=values.dtype, fill_value=own_fill)
        array[...] = values
        array.attrs.update({"_ARRAY_DIMENSIONS": dims, **attributes})
    source = read_gappy(path)
    assert np.isfinite(source.field.values[maps == 0]).all()
    assert np.isnan(source.field.values[maps == 255]).all()
    assert any("in Zarr and taken as a value" in n for n in source.notes) == (
        fill == 0 and not attribute
    )
    assert source.field.longitude[0, 0] == 0
    output = tmp_path / "out.nc"
    fill_field(input_file=path, output_file=output, method=make_method("temporal"))
    with netCDF4.Dataset(output) as dataset:
        stored = np.ma.filled(dataset["ice"][:].astype("f4"), np.nan)
        assert (np.asarray(dataset["fill_flag"][:])[maps == 0] == 0).all()
    assert (stored[maps == 0] == 0).all()


def write_record(path, days, *, is_v4):
    """A climate data record of NOAA and NSIDC: land by words, axes by standard names."""
    grid = get_grid("n25000").crop(slice(200, 220), slice(100, 130))
    time, x, y = ("tdim", "xgrid", "ygrid") if is_v4 else ("time", "x", "y")
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in ((time, None), ("y", grid.rows), ("x", grid.columns)):
            dataset.createDimension(name, size)
        dataset.createVariable("projection", "S1", ()).setncatts(grid.to_cf())
        axis = dataset.createVariable("time", "f8", (time,))
        axis.setncatts({"standard_name": "time", "units": "days since 1601-01-01 00:00:00"})
        axis[:] = [day + 134774 for day in days]
        for name, dimension, numbers in ((x, "x", grid.x), (y, "y", grid.y[::-1])):
            axis = dataset.createVariable(name, "f4", (dimension,))
            axis.standard_name, axis.units = f"projection_{dimension}_coordinate", "meters"
            axis[:] = numbers
        ice = dataset.createVariable("cdr_seaice_conc", "u1", (time, "y", "x"), fill_value=255)
        ice.set_auto_maskandscale(False)
        ice.setncatts({
            "standard_name": "sea_ice_area_fraction", "units": "1", "grid_mapping": "projection",
            "scale_factor": np.float32(0.01), "valid_range": np.array([0, 100], "u1"),
            "flag_values": np.array([251, 252, 253, 254, 255], "u1"),
            "flag_meanings": "pole_hole lakes coastal land_mask missing_data"})  # fmt: skip
        maps = np.full((len(days), grid.rows, grid.columns), 80, "u1")
        maps[:, 0, :4] = [251, 252, 253, 254]
        maps[len(days) // 2, 5:9, 5:9] = 255
        ice[:] = maps
    return grid


@pytest.mark.parametrize("is_v4", [True, False])
def test_climate_data_records_keep_land_time_and_place(tmp_path, is_v4):
    days = [18000, 18001, 18002, 18060, 18061]
    grid = write_record(tmp_path / "cdr.nc", days, is_v4=is_v4)
    source = read_gappy(tmp_path / "cdr.nc")
    assert source.field.days.tolist() == days
    assert source.grid.same_cells(grid)
    assert source.axes.flipped
    assert source.field.sea[-1, :5].tolist() == [True, False, False, False, True]
    output = tmp_path / "filled.nc"
    fill_field(input_file=tmp_path / "cdr.nc", output_file=output, method=make_method("temporal"))
    with netCDF4.Dataset(output) as dataset:
        names = {"time", "xgrid", "ygrid"} if is_v4 else {"time", "x", "y"}
        assert names <= set(dataset.variables)
        flags = np.asarray(dataset["fill_flag"][2, 5:9, 5:9])
        assert (flags == 2).all(), "on one side alone: the next map is 58 days away"
    again = read_gappy(output, ReadOptions(variable="cdr_seaice_conc"))
    assert again.field.days.tolist() == days
    assert again.grid.same_cells(grid)


def test_months_and_maps_without_times_are_named(tmp_path):
    path = write_maps(tmp_path, make_ramp(), {"units": "1"})
    with netCDF4.Dataset(path, "a") as dataset:
        dataset["time"].units = "months since 2020-01-01"
    with pytest.raises(
        InputError, match="time counts in «months since 2020-01-01», whose lengths differ"
    ):
        read_gappy(path)
    with netCDF4.Dataset(tmp_path / "n.nc", "w") as dataset:
        for name, size in (("n", 3), ("y", 10), ("x", 10)):
            dataset.createDimension(name, size)
        dataset.createVariable("v", "f4", ("n", "y", "x"))[:] = make_ramp()
    assert (
        "n has no times: the maps count as days one after the other"
        in read_gappy(tmp_path / "n.nc").notes
    )
