"""What a forecast may know, and the files of forecasts."""

from datetime import date, timedelta

import netCDF4
import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube

from seaice import InputError
from seaice.cube.file import CubeFile
from seaice.flags import FillFlag, Surface
from seaice.forecast.file import ForecastFile, describe_forecast, write_forecast
from seaice.forecast.record import SeaIceRecord
from seaice.pictures.read_concentration import read_map_day, recognise_kind

START = date(2024, 2, 20)
ROWS, COLUMNS = 12, 14


def surface_of_test():
    surface = np.zeros((ROWS, COLUMNS), np.uint8)
    surface[:, 0] = Surface.LAND
    surface[5:7, 6:8] = Surface.POLE_HOLE
    return surface


def make_values(days, seed=0):
    rng = np.random.default_rng(seed)
    return np.round(rng.uniform(0, 1, (days, ROWS, COLUMNS)), 4)


def make_cube(path, values, flags=None):
    dates = [START + timedelta(days=k) for k in range(len(values))]
    surface = surface_of_test()
    grid = small_grid(ROWS, COLUMNS)
    return write_cube(path, dates=dates, concentration=values, surface=surface, grid=grid, flags=flags)


def test_inputs_are_filled_from_the_past_and_targets_are_observed(tmp_path):
    values = make_values(4)
    values[2, 3, 3] = values[1, 3, 3] = values[3, 4, 4] = np.nan
    values[:, 9, 9] = np.nan  # never observed
    values[:, 5:7, 6:8] = np.nan
    with SeaIceRecord(make_cube(tmp_path / "cube.nc", values)) as record:
        day = START + timedelta(days=2)
        observed, known = record.read_observed(day), record.read_input(day)
        assert np.isnan(observed[[3, 9, 5, 0], [3, 9, 6, 0]]).all()
        assert known[3, 3] == pytest.approx(values[0, 3, 3], abs=1e-6)
        assert known[4, 4] == pytest.approx(values[2, 4, 4], abs=1e-6)
        assert known[9, 9] in known[[8, 9, 9, 10], [9, 8, 10, 9]]
        rim = np.zeros((ROWS, COLUMNS), bool)
        rim[4:8, 5:9], rim[5:7, 6:8] = True, False
        assert known[5, 6] == pytest.approx(values[2][rim].mean(), abs=1e-5)
        assert np.isnan(known[:, 0]).all() and np.isfinite(known[:, 1:]).all()
        assert record.measure_observed(day) == pytest.approx(1 - 2 / (ROWS * (COLUMNS - 1) - 4))
        # No day after the last one can be read.
        part = record.up_to(day)
        np.testing.assert_array_equal(part.read_input(day), known)
        with pytest.raises(InputError, match="offers 2024-02-20 to 2024-02-22"):
            part.read_observed(day + timedelta(days=1))


def test_what_filled_a_cube_does_not_matter(tmp_path):
    values = make_values(3)
    flags = np.zeros(values.shape, np.uint8)
    flags[1, 4:6, 3:6] = FillFlag.INCREMENT_TWO_SIDED
    flags[2, 8] = FillFlag.PRODUCER_INTERPOLATED
    other = np.where(flags == FillFlag.OBSERVED, values, 0.5)
    records = [
        SeaIceRecord(make_cube(tmp_path / f"{number}.nc", v, flags))
        for number, v in enumerate((values, other))
    ]
    for day in records[0].days:
        np.testing.assert_array_equal(*(record.read_input(day) for record in records))
        np.testing.assert_array_equal(*(record.read_observed(day) for record in records))
    for record in records:
        record.close()


def test_the_active_region_grows_by_four_neighbours_within_the_ocean(tmp_path):
    values = np.zeros((2, ROWS, COLUMNS))
    values[0, 2, 2], values[1, 2, 12] = 0.15, 0.9
    with SeaIceRecord(make_cube(tmp_path / "cube.nc", values)) as record:
        active = record.find_active_region(record.days[:1])
    rows, columns = np.indices((ROWS, COLUMNS))
    expected = (abs(rows - 2) + abs(columns - 2) <= 4) & (columns > 0)
    np.testing.assert_array_equal(active, expected & (surface_of_test() == Surface.OCEAN))


@pytest.mark.parametrize("members", [None, 3])
def test_a_forecast_comes_back(tmp_path, members):
    grid, leads = small_grid(ROWS, COLUMNS), [1, 2, 7]
    days = [START, START + timedelta(days=1)]
    shape = (2, *([] if members is None else [members]), 3, ROWS, COLUMNS)
    values = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    values[..., 0] = np.nan
    probability = np.round(np.random.default_rng(2).uniform(0, 1, (2, 3, ROWS, COLUMNS)), 4)
    attributes = describe_forecast(
        method="test", title="a test", parameters={}, source={"title": "G02135"}, references="none"
    )
    path = write_forecast(
        tmp_path / "fc.nc",
        initial_days=days,
        leads=leads,
        forecast=zip(days, values, probability, strict=True),
        grid=grid,
        attributes=attributes,
        members=members,
        has_probability=True,
    )
    with ForecastFile(path) as file:
        assert (file.method, file.initial_days, file.leads) == ("test", days, leads)
        assert file.members == (members or 1) and file.grid.same_cells(grid)
        for number, day in enumerate(days):
            expected = values[number] if members else values[number][np.newaxis]
            np.testing.assert_allclose(file.read(day), expected, atol=5.1e-5)
            np.testing.assert_allclose(file.read_probability(day), probability[number], atol=1e-6)
        with pytest.raises(InputError, match="no forecast from 2024-03-01"):
            file.read(date(2024, 3, 1))
    with xr.open_dataset(path, decode_timedelta=True) as opened:
        assert opened.time.values[1, 2] == np.datetime64("2024-02-28")
        assert opened.sea_ice_conc.dims[-4:] == ("forecast_reference_time", "leadtime", "y", "x")


@pytest.mark.parametrize("members", [None, 3])
def test_the_last_forecast_is_read_like_a_cube(tmp_path, members):
    days, leads = [START, START + timedelta(days=1)], [1, 3]
    shape = (2, *([] if members is None else [members]), 2, ROWS, COLUMNS)
    values = np.round(np.random.default_rng(5).uniform(0, 1, shape), 4)
    surface = surface_of_test()
    values[..., surface == Surface.LAND] = np.nan
    path = write_forecast(
        tmp_path / "fc.nc",
        initial_days=days,
        leads=leads,
        forecast=zip(days, values, strict=True),
        grid=small_grid(ROWS, COLUMNS),
        surface=surface,
        attributes={},
        members=members,
    )
    expected = values[1] if members is None else values[1].mean(axis=0)
    with CubeFile(path) as cube:
        assert cube.dates == [START + timedelta(days=lead) for lead in (2, 3, 4)]
        np.testing.assert_array_equal(cube.surface, surface)
        for lead, day in ((0, cube.dates[0]), (1, cube.dates[2])):
            np.testing.assert_allclose(cube.concentration(day), expected[lead], atol=5.1e-5)
        assert np.isnan(cube.concentration(1)).all()
    drawn = read_map_day(path, START + timedelta(days=2), None)
    assert recognise_kind(path) == "cube"
    np.testing.assert_allclose(drawn.concentration, 100 * expected[0], atol=6e-3)


def test_percent_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="fractions 0 to 1, found 0 to 40"):
        write_forecast(
            tmp_path / "fc.nc",
            initial_days=[START],
            leads=[1],
            forecast=[(START, np.full((1, ROWS, COLUMNS), 40.0))],
            grid=small_grid(ROWS, COLUMNS),
            attributes={},
        )
    assert not list(tmp_path.glob("*.nc"))


def write_icenet(path, values, grid):
    """A file in the layout of IceNet: columns before leads, rows from the north, kilometres."""
    with netCDF4.Dataset(path, "w") as dataset:
        axes = {"time": np.arange(len(values)), "yc": grid.y[::-1] / 1000, "xc": grid.x / 1000}
        for name, axis in {**axes, "leadtime": np.arange(values.shape[-1]) + 1}.items():
            dataset.createDimension(name, len(axis))
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset["time"].units = f"days since {START}"
        for axis in ("x", "y"):
            described = {"units": "km", "standard_name": f"projection_{axis}_coordinate"}
            dataset[f"{axis}c"].setncatts(described)
        dataset.createVariable("grid", "i4", ()).setncatts(grid.to_cf())
        dates = dataset.createVariable("forecast_date", "i4", ("time", "leadtime"))
        dates.units = f"days since {START}"
        dates[:] = axes["time"][:, np.newaxis] + dataset["leadtime"][:]
        mean = dataset.createVariable("sic_mean", "f4", ("time", "yc", "xc", "leadtime"))
        mean.setncatts({"grid_mapping": "grid", "units": "1"})
        mean[:] = values


def test_files_of_icenet_are_read(tmp_path):
    values = np.random.default_rng(3).uniform(0, 1, (2, ROWS, COLUMNS, 5)).astype(np.float32)
    grid = small_grid(ROWS, COLUMNS)
    write_icenet(tmp_path / "south_daily_forecast.nc", values, grid)
    with ForecastFile(tmp_path / "south_daily_forecast.nc") as file:
        assert file.method == "south_daily_forecast" and file.members == 1
        assert file.initial_days == [START, START + timedelta(days=1)] and file.leads == [1, 2, 3, 4, 5]
        assert file.grid.same_cells(grid) and file.read_probability(START) is None
        expected = values[1, ::-1].transpose(2, 0, 1)[np.newaxis]
        np.testing.assert_array_equal(file.read(file.initial_days[1]), expected)


def test_another_file_is_no_forecast(tmp_path):
    path = make_cube(tmp_path / "cube.nc", make_values(2))
    with pytest.raises(InputError, match=r"cube.nc is no forecast file: expected sea_ice_conc\("):
        ForecastFile(path)
