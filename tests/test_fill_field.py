"""Filling a file: the output is the input with its gaps filled, and says so."""

import json
from datetime import date

import netCDF4
import numpy as np
import pytest
import xarray as xr

import fill_gaps
from seaice import InputError
from seaice.fields.fill import fill_field
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.flags import FillFlag
from seaice.gapfill.field import FieldFill, FieldMethod, GappyField, finish
from seaice.gapfill.field.eof import Eof
from seaice.gapfill.field.linear import Linear
from seaice.gapfill.gaussian import Gaussian
from seaice.gapfill.methods import fill_maps, make_method
from seaice.gapfill.temporal import Temporal
from seaice.grids import get_grid
from seaice.simulate.sst import write_sst

DAYS = [date(2024, 6, d) for d in (1, 2, 3, 4)]


@pytest.fixture(scope="module")
def sst(tmp_path_factory):
    return write_sst(tmp_path_factory.mktemp("sst"), DAYS, step=10.0, seed=1)


def raw(path, name):
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_maskandscale(False)
        return dataset[name][:]


def fill(sst, output, **more):
    options = {"method": Temporal(), "mask_file": sst.l4, "input_file": sst.l3s, **more}
    return fill_field(output_file=output, **options)


def test_observed_cells_keep_the_very_numbers_of_the_input(sst, tmp_path):
    output = tmp_path / "filled.nc"
    fill(sst, output)
    before, after = raw(sst.l3s, "sea_surface_temperature"), raw(output, "sea_surface_temperature")
    flag, quality = raw(output, "fill_flag"), raw(sst.l3s, "quality_level")
    observed = flag == FillFlag.OBSERVED
    assert after.dtype == before.dtype == np.int16
    np.testing.assert_array_equal(after[observed], before[observed])
    assert (quality[observed] == 5).all() and observed.sum() > 300
    new = (flag != FillFlag.OBSERVED) & (flag < FillFlag.LAND)
    assert new.sum() > 100 and (after[new] != -32768).all()
    assert (after[flag >= FillFlag.LAND] == -32768).all()
    land = np.isnan(sst.truth)
    assert (flag[land] == FillFlag.LAND).all() and (flag[~land] != FillFlag.LAND).all()


def test_filled_values_survive_the_packing(sst, tmp_path):
    output = tmp_path / "filled.nc"
    fill(sst, output)
    field = read_gappy(sst.l3s, ReadOptions(mask_file=sst.l4)).field
    made = fill_maps(field, Temporal()).values
    with xr.open_dataset(output) as dataset:
        stored = dataset["sea_surface_temperature"].values
    # xarray packs kelvin as float64; half a step of 0.01 K.
    np.testing.assert_array_equal(np.isnan(stored), np.isnan(made))
    assert np.nanmax(np.abs(stored - made)) < 0.00501


@pytest.mark.slow
def test_zarr_and_netcdf_hold_the_same(sst, tmp_path):
    fill(sst, tmp_path / "a.nc")
    fill(sst, tmp_path / "a.zarr")
    with xr.open_dataset(tmp_path / "a.nc") as one, xr.open_zarr(tmp_path / "a.zarr") as other:
        for name in ("sea_surface_temperature", "fill_flag", "land_mask", "time", "latitude"):
            np.testing.assert_array_equal(one[name].values, other[name].values)
            assert one[name].attrs.keys() == other[name].attrs.keys()
        assert one.attrs.keys() == other.attrs.keys()


def test_units_are_changed_when_asked(sst, tmp_path):
    fill(sst, tmp_path / "kelvin.nc")
    fill(sst, tmp_path / "celsius.nc", units="degC")
    with xr.open_dataset(tmp_path / "kelvin.nc") as k, xr.open_dataset(tmp_path / "celsius.nc") as c:
        kelvin, celsius = k["sea_surface_temperature"], c["sea_surface_temperature"]
        assert celsius.attrs["units"] == "degC"
        assert np.nanmax(np.abs(kelvin.values - 273.15 - celsius.values)) < 0.006
    with pytest.raises(InputError, match="cannot change 'kelvin' into 'm'"):
        fill(sst, tmp_path / "metres.nc", units="m")
    assert not (tmp_path / "metres.nc").exists()


def test_a_file_says_how_it_was_made(sst, tmp_path):
    output = tmp_path / "filled.nc"
    fill(sst, output, method=Temporal(max_gap_days=2, one_sided_days=1))
    with xr.open_dataset(output) as dataset:
        made = json.loads(dataset.attrs["parameters"])
        assert (made["method"], made["max_gap_days"], made["past_only"]) == ("temporal", 2, False)
        assert "fill_field(" in dataset.attrs["history"] and "l3s.nc" in dataset.attrs["history"]
        assert json.loads(dataset.attrs["input"])["mask"].endswith("l4.nc: mask")
        flag = dataset["fill_flag"]
        assert "temporal_two_sided" in flag.attrs["flag_meanings"]
        assert dataset["sea_surface_temperature"].attrs["ancillary_variables"] == "fill_flag"
        assert "quality_level" not in dataset


def test_filling_again_starts_from_what_was_observed(sst, tmp_path):
    fill(sst, tmp_path / "once.nc")
    fill(sst, tmp_path / "twice.nc", input_file=tmp_path / "once.nc")
    for name in ("sea_surface_temperature", "fill_flag"):
        np.testing.assert_array_equal(raw(tmp_path / "once.nc", name), raw(tmp_path / "twice.nc", name))


def test_rows_come_back_in_the_order_of_the_file(tmp_path):
    grid = get_grid("n25000").crop(slice(0, 3), slice(0, 3))
    values = np.array([[1, 2, 3], [4, np.nan, 6], [7, 8, 9]], np.float32)
    path = tmp_path / "down.nc"
    attributes = {"grid_mapping": "crs", "standard_name": "sea_ice_area_fraction", "units": "%"}
    data = xr.Dataset(
        {"c": (("y", "x"), values, attributes), "crs": ((), 0, grid.to_cf())},
        coords={"y": ("y", grid.y[::-1], {"units": "m"}), "x": ("x", grid.x, {"units": "m"})},
    )
    data.to_netcdf(path)
    fill_field(input_file=path, output_file=tmp_path / "o.nc", method=Gaussian(), variable="c")
    with xr.open_dataset(tmp_path / "o.nc") as made:
        np.testing.assert_array_equal(made["c"].values[0], [1, 2, 3])
        np.testing.assert_array_equal(made["c"].values[2], [7, 8, 9])
        assert made["fill_flag"].values[1, 1] == FillFlag.SPACETIME_GAUSSIAN
        assert made["fill_flag"].dims == ("y", "x")
        assert made["c"].attrs["grid_mapping"] == made["fill_flag"].attrs["grid_mapping"] == "crs"


def test_a_filled_value_is_never_the_fill_code(tmp_path):
    path = tmp_path / "bytes.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in (("time", 3), ("y", 1), ("x", 1)):
            dataset.createDimension(name, size)
        dataset.createVariable("time", "i4", ("time",))[:] = [0, 1, 2]
        dataset["time"].units = "days since 2020-01-01"
        made = dataset.createVariable("v", "u1", ("time", "y", "x"), fill_value=10)
        made.set_auto_maskandscale(False)
        made[:] = np.array([9, 10, 11], np.uint8).reshape(3, 1, 1)
    fill_field(input_file=path, output_file=tmp_path / "o.nc", method=Temporal())
    assert raw(tmp_path / "o.nc", "v").ravel().tolist() == [9, 11, 11]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"output_file": "x.txt"}, "expected an ending of .nc"),
        ({"variable": "quality"}, "no variable 'quality'"),
        ({"valid_range": (0.0, 1.0)}, "nothing is observed"),
        ({"valid_range": (1.0, 0.0)}, "LOW below HIGH"),
        ({"reference_file": "l4"}, "temporal matches no reference"),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_left(sst, tmp_path, more, said):
    more = {"output_file": "o.nc", **more}
    output = tmp_path / more.pop("output_file")
    if "reference_file" in more:
        more["reference_file"] = sst.l4
    with pytest.raises(InputError, match=said):
        fill(sst, output, **more)
    assert list(tmp_path.iterdir()) == []


def test_unknown_methods_and_parameters_are_refused():
    with pytest.raises(InputError, match="temporal takes no lmaxx; it takes max_gap_days"):
        make_method("temporal", {"lmaxx": 3})
    with pytest.raises(InputError, match="unknown method 'magic'"):
        make_method("magic")


def test_the_input_is_never_the_output(sst):
    with pytest.raises(InputError, match="is read by this run"):
        fill(sst, sst.l3s)


def test_the_script_fills_and_reports(sst, tmp_path, capsys):
    words = ["fill", "--input-file", sst.l3s, "--mask_file", sst.l4, "--method", "temporal"]
    words += ["--max_gap_days", "3", "--output_file", tmp_path / "o.nc"]
    assert fill_gaps.main([str(w) for w in words]) == 0
    said = capsys.readouterr().out
    assert "4 maps" in said and "filled by temporal" in said
    with xr.open_dataset(tmp_path / "o.nc") as dataset:
        assert json.loads(dataset.attrs["parameters"])["max_gap_days"] == 3
    words[words.index("--max_gap_days")] = "--sigma"
    assert fill_gaps.main([str(w) for w in words]) == 1
    assert "temporal takes no sigma" in capsys.readouterr().err


def test_finish_holds_the_laws():
    values = np.array([[[1.5, np.nan, np.nan, np.nan, 7.0]]])
    sea = np.array([[True, True, True, True, False]])
    field = GappyField(values, sea, np.zeros(1), valid_range=(0.0, 2.0))
    made = finish(
        field,
        np.array([[[9.0, 1.0, 5.0, np.nan, 1.0]]]),
        FillFlag.LOESS,
        error=np.full((1, 1, 5), 0.25),
    )
    np.testing.assert_array_equal(made.values, [[[1.5, 1.0, 2.0, np.nan, np.nan]]])
    codes = [FillFlag.OBSERVED, FillFlag.LOESS, FillFlag.LOESS, FillFlag.NOT_FILLED, FillFlag.LAND]
    np.testing.assert_array_equal(made.flag, [[codes]])
    np.testing.assert_array_equal(made.error, [[[np.nan, 0.25, 0.25, np.nan, np.nan]]])
    assert made.notes["clipped"] == 1


def test_numbers_told_are_short(sst, tmp_path):
    report = fill_field(
        input_file=sst.l3s, mask_file=sst.l4, output_file=tmp_path / "o.nc", method=Eof()
    )
    (line,) = [text for text in report.lines if "singular_values" in text]
    assert max(map(len, line.partition(": ")[2].strip("[]").split(", "))) <= 7


def test_errors_of_a_method_are_written(sst, tmp_path):
    fill(sst, tmp_path / "o.nc", method=WithError())
    with xr.open_dataset(tmp_path / "o.nc") as dataset:
        error = dataset["sea_surface_temperature_error"]
        assert error.attrs["units"] == "K"
        assert error.attrs["standard_name"].endswith(" standard_error")
        filled = ~np.isin(dataset["fill_flag"].values, (0, 254, 255))
        np.testing.assert_array_equal(np.isfinite(error.values), filled)
        assert (error.values[filled] == 0.5).all()


class WithError(FieldMethod):
    """A method that puts the mean everywhere."""

    name = "with_error"

    def fill(self, gappy: GappyField) -> FieldFill:
        mean = np.full(gappy.values.shape, np.nanmean(gappy.values))
        return finish(gappy, mean, FillFlag.LINEAR, error=np.full(mean.shape, 0.5))


def packed_file(path, stored, attributes, *, fill_value=None):
    with netCDF4.Dataset(path, "w") as dataset:
        for name, size in zip(("time", "lat", "lon"), stored.shape, strict=True):
            dataset.createDimension(name, size)
        made = dataset.createVariable("v", stored.dtype, ("time", "lat", "lon"), fill_value=fill_value)
        made.set_auto_maskandscale(False)
        made.setncatts({"units": "K", **attributes})
        made[:] = stored
    return path


def test_signed_bytes_that_mean_unsigned_keep_high_values(tmp_path):
    stored = np.full((1, 3, 5), 200, np.uint8)
    stored[0, 1, 2] = 255
    attributes = {"_Unsigned": "true", "scale_factor": np.float32(0.5)}
    path = packed_file(tmp_path / "in.nc", stored.view(np.int8), attributes, fill_value=np.int8(-1))
    output = tmp_path / "out.nc"
    fill_field(input_file=path, output_file=output, method=Linear())
    with xr.open_dataset(output) as dataset:
        np.testing.assert_array_equal(dataset["v"], np.full((1, 3, 5), 100.0))
    fill_field(input_file=path, output_file=output, method=Linear(), units="degC")
    assert "_Unsigned" not in netCDF4.Dataset(output)["v"].ncattrs()


@pytest.mark.parametrize("attributes", [{}, {"missing_value": np.int32(-9999)}])
def test_what_means_missing_is_no_observed_number(tmp_path, attributes):
    stored = np.array([[[0, 255, 7], [241, 5, 254]]], np.uint8)
    path = packed_file(tmp_path / "in.nc", stored, attributes, fill_value=False)
    fill_field(input_file=path, output_file=tmp_path / "out.nc", method=Linear(), valid_range=(-1, 256))
    with xr.open_dataset(tmp_path / "out.nc") as dataset:
        np.testing.assert_array_equal(dataset["v"], stored)


def test_half_floats_are_written_as_floats(tmp_path):
    values = np.ones((1, 2, 3), np.float16)
    values[0, 0, 1] = np.nan
    path, output = tmp_path / "half.zarr", tmp_path / "out.nc"
    xr.Dataset({"v": (("time", "lat", "lon"), values)}).to_zarr(path, zarr_format=2)
    fill_field(input_file=path, output_file=output, method=Linear())
    assert (raw(output, "v") == 1).all() and raw(output, "v").dtype == np.float32


def test_a_group_of_the_older_zarr_becomes_one_of_the_newer(tmp_path, sst):
    older, output = tmp_path / "older.zarr", tmp_path / "new.zarr"
    with xr.open_dataset(sst.l3s) as dataset:
        dataset.drop_encoding().to_zarr(older, zarr_format=2)
    fill(sst, output, input_file=older)
    with xr.open_dataset(output, engine="zarr", chunks=None) as dataset:
        assert dataset["sea_surface_temperature"].notnull().sum() > 300


def test_the_projection_outlives_a_second_filling(tmp_path):
    grid = get_grid("n25000").crop(slice(10, 14), slice(20, 23))
    path = tmp_path / "in.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createVariable("crs", "S1", ()).setncatts({"grid_mapping_name": "polar_stereographic"})
        for name, values in (("y", grid.y), ("x", grid.x)):
            dataset.createDimension(name, values.size)
            dataset.createVariable(name, "f8", (name,))[:] = values
        made = dataset.createVariable("v", "f4", ("y", "x"))
        made[:] = np.arange(12).reshape(4, 3)
        made.grid_mapping = "crs"
    for number in (1, 2):
        output = tmp_path / f"{number}.nc"
        fill_field(input_file=path, output_file=output, method=Linear())
        with netCDF4.Dataset(output) as dataset:
            assert dataset["crs"].grid_mapping_name == "polar_stereographic"
            assert dataset["crs"].shape == ()
        path = output


def test_options_that_would_be_ignored_are_refused(sst, tmp_path):
    with pytest.raises(InputError, match="give that too"):
        fill(sst, tmp_path / "o.nc", reference_variable="analysed_sst")
    with pytest.raises(InputError, match="seed must be at least 0"):
        Eof(seed=-1)


@pytest.mark.slow
def test_cf_compliance(sst, tmp_path):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    output, report = tmp_path / "filled.nc", tmp_path / "report.txt"
    fill(sst, output)
    with netCDF4.Dataset(output) as dataset:
        assert "_FillValue" not in dataset["latitude"].ncattrs()
    passed, errors = ComplianceChecker.run_checker(
        str(output), ["cf:1.11"], 0, "lenient", output_filename=str(report), output_format="text"
    )
    assert passed and not errors, report.read_text()
