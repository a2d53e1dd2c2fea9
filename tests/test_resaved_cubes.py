"""Cubes and masks that other programs have written again: read by their attributes, or refused."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import FillFlag, Surface
from seaice.training.dataset import ConsolidatedSICDataset

# What xarray says about bounds and integers is no matter of ours.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::xarray.SerializationWarning")

DAYS = ["2020-02-27", "2020-02-28", "2020-02-29", "2020-03-01", "2020-03-02"]
ROWS, COLUMNS = 6, 4


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """A cube whose values all differ, with land in one corner and one missing cell."""
    surface = np.full((ROWS, COLUMNS), Surface.OCEAN, np.uint8)
    surface[0, :2], surface[5, 3] = Surface.LAND, Surface.POLE_HOLE
    values = np.arange(5 * ROWS * COLUMNS).reshape(5, ROWS, COLUMNS) / 125
    values[2, 3, 1] = np.nan
    path = tmp_path_factory.mktemp("cube") / "cube.nc"
    grid = small_grid(ROWS, COLUMNS)
    return write_cube(path, dates=DAYS, concentration=values, surface=surface, grid=grid)


@pytest.fixture(scope="module")
def opened(cube):
    with xr.open_dataset(cube) as dataset:
        yield dataset.load()


def in_kilometres(dataset: xr.Dataset) -> xr.Dataset:
    for name in ("x", "y"):
        axis = dataset[name] / 1000
        dataset = dataset.assign_coords({name: axis.assign_attrs(dataset[name].attrs | {"units": "km"})})
    return dataset


def renumber_surface(dataset: xr.Dataset) -> xr.Dataset:
    codes = dataset.surface.copy(data=dataset.surface.values + 10)
    codes.attrs["flag_values"] = np.asarray(dataset.surface.attrs["flag_values"]) + 10
    codes.attrs.pop("valid_range")
    return dataset.assign(surface=codes)


def in_percent(dataset: xr.Dataset) -> xr.Dataset:
    percent = dataset.sea_ice_conc.drop_encoding() * 100
    percent.attrs |= {"units": "%", "valid_range": [0.0, 100.0]}
    return dataset.assign(sea_ice_conc=percent)


HALF = np.timedelta64(12, "h")
# Name of what another program has done, and the change itself.
CHANGES = {
    "nothing": lambda x: x,
    "noon": lambda x: x.assign_coords(time=x.time + HALF),
    "columns before rows": lambda x: x.transpose("time", "x", "y", ...),
    "time last": lambda x: x.transpose("y", "x", "time", ...),
    "rows from the north": lambda x: x.isel(y=slice(None, None, -1)),
    "columns from the east": lambda x: x.isel(x=slice(None, None, -1)),
    "turned by half a circle, columns first": lambda x: x.isel(
        x=slice(None, None, -1), y=slice(None, None, -1)
    ).transpose("x", "y", "time", ...),
    "unpacked": lambda x: x.drop_encoding(),
    "unpacked to double": lambda x: x.assign(sea_ice_conc=x.sea_ice_conc.astype("f8").drop_encoding()),
    "percent": in_percent,
    "kilometres": in_kilometres,
    "other codes of the surface": renumber_surface,
    "flags as floats": lambda x: x.assign(fill_flag=x.fill_flag.astype("f4")),
}
PACKED = {"dtype": "i2", "scale_factor": 1 / 65000, "add_offset": 0.5, "_FillValue": -32768}
# Encodings of the time and of the concentration.
ENCODINGS = {
    "days since 2019": {"time": {"units": "days since 2019-01-01"}},
    "hours": {"time": {"units": "hours since 2020-01-01 12:00", "dtype": "f8"}},
    "seconds": {"time": {"units": "seconds since 1970-01-01", "dtype": "i8"}},
    "offset": {"sea_ice_conc": PACKED},
    "another scale": {"sea_ice_conc": PACKED | {"scale_factor": 1 / 32000, "add_offset": 0.0}},
    "unsigned": {
        "sea_ice_conc": {"dtype": "u2", "scale_factor": 1e-4, "_FillValue": 65535, "add_offset": 0.0}
    },
    "two missing codes": {"sea_ice_conc": {"dtype": "f4", "_FillValue": 1e20, "missing_value": 1e20}},
}


def check_equal(path: Path, cube: Path, *, days: list[int] | None = None, error: float = 2e-5) -> None:
    """A cube written again gives the days, cells and items of the cube itself."""
    with CubeFile(cube) as one, CubeFile(path) as two:
        days = days or list(range(len(one.dates)))
        assert two.dates == [one.dates[day] for day in days]
        assert two.grid.same_cells(one.grid)
        np.testing.assert_array_equal(two.surface, one.surface)
        for number, day in enumerate(days):
            for part in ((), (slice(1, 5), slice(2, 3)), (slice(0, 6, 2), slice(-2, None))):
                values, expected = two.concentration(number, *part), one.concentration(day, *part)
                assert values.dtype == np.float32
                np.testing.assert_allclose(values, expected, rtol=0, atol=error)
                np.testing.assert_array_equal(two.flags(number, *part), one.flags(day, *part))
        first, last = two.dates[0], two.dates[-1]
    if len(days) < len(DAYS):
        return
    options = {"largest_missing_share": 1.0, "returns": ("inputs", "dates", "ocean", "input_flags")}
    items = [ConsolidatedSICDataset(p, first, last, 2, 1, **options)[0] for p in (cube, path)]
    for name, tensor in items[0].items():
        np.testing.assert_allclose(items[1][name], tensor, rtol=0, atol=error, err_msg=name)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_changed_cube_is_read_by_its_attributes(cube, opened, tmp_path, change, ending):
    path = tmp_path / f"again.{ending}"
    changed = CHANGES[change](opened.copy())
    if ending == "nc":
        changed.to_netcdf(path)
    else:
        changed.drop_encoding().to_zarr(path, zarr_format=3, consolidated=False)
    check_equal(path, cube)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_other_encodings_are_undone(cube, opened, tmp_path, encoding):
    path = tmp_path / "again.nc"
    dataset = opened.copy()
    for name, values in ENCODINGS[encoding].items():
        dataset[name].encoding = {}
        dataset.to_netcdf(path, encoding={name: values})
    check_equal(path, cube)


def test_days_that_a_calendar_leaves_out_are_absent(cube, opened, tmp_path):
    path = tmp_path / "again.nc"
    opened.drop_vars("time_bnds").convert_calendar("noleap").to_netcdf(path)
    check_equal(path, cube, days=[0, 1, 3, 4])


def test_days_that_were_inserted_have_no_value(cube, opened, tmp_path):
    """What resampling inserts is missing on every cell, whatever the type of the flags became."""
    path = tmp_path / "again.nc"
    one_day_less = opened.isel(time=[0, 1, 3, 4])
    with_gap = one_day_less.reindex(time=opened.time)
    with_gap.assign(surface=opened.surface).drop_encoding().to_netcdf(path)
    with CubeFile(path) as again:
        assert len(again.dates) == 5
        assert np.isnan(again.concentration(2)).all()
        assert (again.flags(2) == FillFlag.NOT_FILLED).all()
    with pytest.raises(InputError, match="2 with a day of too many missing ocean cells"):
        ConsolidatedSICDataset(path, DAYS[1], DAYS[4], 2, 1)


def test_netcdf_3_has_no_unsigned_bytes(cube, opened, tmp_path):
    path = tmp_path / "again.nc"
    texts = [name for name in opened if opened[name].dtype.kind in "OSU"]
    dataset = opened.drop_vars(texts).drop_encoding()
    dataset["fill_flag"] = dataset.fill_flag.copy(data=dataset.fill_flag.values.view("i1"))
    for variable in dataset.variables.values():
        variable.attrs |= {k: np.int16(v) for k, v in variable.attrs.items() if k == "flag_values"}
        variable.attrs.pop("valid_range", None)
    dataset.fill_flag.attrs["_Unsigned"] = "true"
    dataset.to_netcdf(path, format="NETCDF3_64BIT")
    check_equal(path, cube)


def repeat_days(dataset: xr.Dataset) -> xr.Dataset:
    parts = [dataset.isel(time=slice(0, 3)), dataset.isel(time=slice(2, 5))]
    return xr.concat(parts, "time", data_vars="minimal", coords="minimal", compat="override")


REFUSED = {
    "days twice": (repeat_days, "found 2020-02-29 after 2020-02-29"),
    "days backwards": (
        lambda x: x.isel(time=slice(None, None, -1)),
        "found 2020-03-01 after 2020-03-02",
    ),
    "no day": (lambda x: x.isel(time=slice(0, 0)), "expected at least one day, found none"),
    "a calendar of 360 days": (
        lambda x: x.assign_coords(time=xr.date_range("2020-02-28", periods=5, calendar="360_day")),
        "of the calendar '360_day'",
    ),
    "times without units": (
        lambda x: x.assign_coords(time=np.arange(5)),
        "expected times such as days since 1970-01-01",
    ),
    "one day without its axis": (lambda x: x.isel(time=0), "expected a list of times"),
    "surface of every day": (
        lambda x: x.assign(surface=x.surface.expand_dims(time=x.time)),
        "expected surface(y, x), found surface(time, y, x)",
    ),
    "surface without meanings": (
        lambda x: x.assign(surface=x.surface.copy().drop_attrs()),
        "expected flag_values and flag_meanings",
    ),
    "a code without a meaning": (
        lambda x: x.assign(surface=x.surface.copy(data=np.where(x.surface == 1, 9, x.surface))),
        "codes that its flag_meanings do not explain: 9",
    ),
    "percent called fractions": (
        lambda x: x.assign(sea_ice_conc=(x.sea_ice_conc * 100).drop_encoding()),
        "expected sea_ice_conc as fractions 0 to 1, found",
    ),
    "kilometres without units": (
        lambda x: x.assign_coords(x=x.x.drop_attrs() / 1000, y=x.y.drop_attrs() / 1000),
        "may be metres or kilometres",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_what_cannot_be_understood_is_refused(opened, tmp_path, change):
    alter, message = REFUSED[change]
    path = tmp_path / "again.nc"
    alter(opened.copy().drop_vars("time_bnds")).drop_encoding().to_netcdf(path)
    with pytest.raises(InputError) as error, CubeFile(path) as again:
        again.concentration(slice(None))
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_day_is_added_to_a_cube_of_another_layout(opened, tmp_path):
    path = tmp_path / "again.nc"
    opened.to_netcdf(path, encoding={"time": {"units": "days since 2019-01-01"}})
    with CubeFile(path) as again:
        assert again.stores_plain_codes
        assert not again.is_as_written


def test_chunks_are_read_directly_where_the_layout_allows(cube, opened, tmp_path):
    """A cube of this toolbox, and one that only counts time otherwise, need no library to be read."""
    from seaice.training.chunks.tiles import TileSource

    path = tmp_path / "again.nc"
    opened.to_netcdf(path, encoding={"time": {"units": "hours since 2019-01-01"}})
    for one in (cube, path):
        dataset = ConsolidatedSICDataset(one, DAYS[0], DAYS[-1], 2, 1, largest_missing_share=1.0)
        assert isinstance(dataset._reader._sources["concentration"], TileSource)


def test_flag_values_of_a_cube_are_its_own(cube, opened, tmp_path):
    """A file may number its flags otherwise: the meaning counts."""
    path = tmp_path / "again.nc"
    codes = opened.fill_flag.copy(data=opened.fill_flag.values - np.uint8(250))
    codes.attrs["flag_values"] = np.asarray(opened.fill_flag.attrs["flag_values"]) - np.uint8(250)
    opened.assign(fill_flag=codes).to_netcdf(path)
    with CubeFile(path) as again, netCDF4.Dataset(cube) as raw:
        observed = again.flags(0) == again.flag_value("observed")
        np.testing.assert_array_equal(observed, raw["fill_flag"][0] == FillFlag.OBSERVED)
