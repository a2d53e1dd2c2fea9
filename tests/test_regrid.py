"""Cubes and fields on another grid: as cubes and fields again, with everything that belongs to them."""

import netCDF4
import numpy as np
import pytest
import xarray as xr
from cubes import small_grid, write_cube

from seaice import InputError
from seaice.commands import regrid as command
from seaice.cube.file import CubeFile
from seaice.flags import FillFlag, Surface
from seaice.grids import Grid, get_grid
from seaice.ice_index.stage import ice_index
from seaice.pictures.read_concentration import read_cube_day
from seaice.pictures.visualize import visualize
from seaice.regridding.stage import regrid
from seaice.training.dataset import ConsolidatedSICDataset

DAYS = ["2024-01-01", "2024-01-02", "2024-01-03"]
GRID = small_grid(40, 36)
TARGET = "EPSG:6931:40000:-480000,-480000,480000,480000"


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    """Three days of 25 km: ice about the pole, land in the south, a filled band, a missing corner."""
    path = tmp_path_factory.mktemp("regrid") / "cube.nc"
    y, x = np.meshgrid(GRID.y, GRID.x, indexing="ij")
    ice = np.clip(1.2 - np.hypot(x, y) / 6e5, 0, 1)
    concentration = np.stack([ice, 0.9 * ice, 0.8 * ice]).astype(np.float32)
    surface = np.where(y < -400e3, Surface.LAND, Surface.OCEAN).astype(np.uint8)
    concentration[:, surface == Surface.LAND] = np.nan
    concentration[1, 25:, :9] = np.nan
    flags = np.where(np.isnan(concentration), FillFlag.NOT_FILLED, FillFlag.OBSERVED)
    flags[:, surface == Surface.LAND] = FillFlag.LAND
    flags[2, 20:24] = FillFlag.DEPARTURE_TWO_SIDED
    errors = np.full(flags.shape, np.nan, np.float32)
    errors[flags == FillFlag.DEPARTURE_TWO_SIDED] = 0.1
    write_cube(
        path, dates=DAYS, concentration=concentration, surface=surface, grid=GRID,
        flags=flags.astype(np.uint8), errors=errors,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def regridded(cube):
    path = cube.with_name("ease2.nc")
    assert command.main(["--input_file", str(cube), "--grid", TARGET, "--output_file", str(path)]) == 0
    return path


def test_a_cube_stays_a_cube(cube, regridded, tmp_path):
    with CubeFile(regridded, only_cube=True) as after, CubeFile(cube) as before:
        assert after.dates == before.dates
        assert after.grid.shape == (24, 24)
        assert (after.surface == Surface.LAND).any()
        assert np.isnan(after.concentration(0)[after.surface == Surface.LAND]).all()
        assert (after.flags(0)[after.surface == Surface.LAND] == FillFlag.LAND).all()
        filled = after.flags(2) == after.flag_value("departure_two_sided")
        assert filled.any()
        error = after.standard_error(2)
        assert np.nanmax(error) == pytest.approx(0.1)
        assert np.isfinite(error[filled]).all()
        assert np.isnan(after.standard_error(0)).all()
    series = [ice_index(input_file=path).values["series"] for path in (cube, regridded)]
    # The input reaches beyond the target, but its ice does not lie there.
    area = [part.area[:, 0] for part in series]
    np.testing.assert_allclose(area[1][0], area[0][0], rtol=0.08)
    with netCDF4.Dataset(regridded) as dataset:
        assert dataset["filled_ocean_cells"][:].tolist() == [0, 0, int(filled.sum())]
    visualize(input_file=regridded, date=series[0].dates[0], output_file=tmp_path / "map.png", dpi=40)
    dataset = ConsolidatedSICDataset(
        regridded, DAYS[0], DAYS[2], input_length=1, pred_length=1, largest_missing_share=0.1
    )
    assert len(dataset) == 2


def test_shares_by_hand(cube, regridded):
    """A target cell of the middle of the missing corner has no value; one at its edge has a part."""
    with netCDF4.Dataset(regridded) as dataset:
        share, land = dataset["valid_share"][:], dataset["land_share"][:]
        assert dataset["sea_ice_conc"].ancillary_variables
        assert "largest part" in dataset.comment
        values = dataset["sea_ice_conc"][:]
    inside = share[0].filled(0) == 1
    assert inside.sum() > 200
    assert np.ma.is_masked(share)  # cells that are all land
    assert share[1][inside].min() == 0
    assert ((share[1] > 0) & (share[1] < 1))[inside].sum() > 3
    assert values.mask[1][share[1].filled(1) < 0.49].all()
    assert ((land > 0.01) & (land < 0.99)).any()


def test_all_ice_is_kept_where_no_share_is_too_small(cube, tmp_path):
    path = tmp_path / "all.nc"
    everything = {"smallest_share": 0.0, "smallest_ocean_share": 0.0}
    target = "EPSG:3411:17000:-850000,-850000,850000,850000"
    regrid(input_file=cube, output_file=path, grid=target, **everything)
    with CubeFile(cube) as before, CubeFile(path) as after:
        share = (1 - after.variable("land_share").astype(float)) * after.variable("valid_share", 0)
        share[~(share <= 1)] = 0
        area, other = before.grid.cell_area(), after.grid.cell_area()
        ice = np.nansum(before.concentration(0).astype(float) * area)
        kept = np.nansum(after.concentration(0).astype(float) * share * other)
        assert kept == pytest.approx(ice, rel=1e-5)  # stored in steps
        regrid(input_file=cube, output_file=tmp_path / "half.nc", grid=target)
        with CubeFile(tmp_path / "half.nc") as half:
            assert half.ocean.sum() < after.ocean.sum()
            lost = np.nansum(half.concentration(0).astype(float) * share * other)
            assert lost < 0.995 * ice
        outside = np.isnan(np.ma.filled(after.variable("land_share"), np.nan)) | (
            after.variable("land_share") > 1
        )
        assert read_cube_day(after, before.dates[0]).land[outside].sum() == 0 < outside.sum()


@pytest.mark.slow
def test_zarr_and_workers_give_the_same(cube, regridded, tmp_path):
    path = tmp_path / "ease2.zarr"
    regrid(input_file=cube, output_file=path, grid=TARGET, workers=2)
    with CubeFile(path, only_cube=True) as one, CubeFile(regridded) as other:
        for name in ("sea_ice_conc", "fill_flag", "days_back_forward", "sea_ice_conc_error"):
            np.testing.assert_array_equal(one.variable(name), other.variable(name))
        np.testing.assert_array_equal(one.variable("valid_share"), other.variable("valid_share"))
        np.testing.assert_array_equal(one.variable("land_share"), other.variable("land_share"))
    with xr.open_dataset(path) as one, xr.open_dataset(regridded) as other:
        np.testing.assert_array_equal(one.land_share, other.land_share)
    assert not list(tmp_path.glob(".*weights"))


def test_days_are_selected(cube, tmp_path):
    path = tmp_path / "part.nc"
    arguments = ["--input_file", cube, "--grid", TARGET, "--output_file", path, "--start_date", DAYS[1]]
    assert command.main(list(map(str, arguments))) == 0
    with CubeFile(path) as part:
        assert [str(day) for day in part.dates] == DAYS[1:]


def test_the_grid_of_a_file_is_taken(cube, regridded, tmp_path):
    path = tmp_path / "back.nc"
    regrid(input_file=regridded, output_file=path, grid=str(cube), method="nearest")
    with CubeFile(path) as back, CubeFile(cube) as first:
        assert back.grid.same_cells(first.grid)
        both = ~np.isnan(back.concentration(0)) & ~np.isnan(first.concentration(0))
        assert np.abs(back.concentration(0) - first.concentration(0))[both].max() < 0.1


def write_field(path, **attributes):
    """Two maps of temperature on latitude and longitude, rows from the north."""
    latitude, longitude = np.arange(89, 59, -2.0), np.arange(1, 360, 2.0)
    values = np.broadcast_to(270 + latitude[:, np.newaxis] / 10, (2, 15, 180)).copy()
    values[1, :4] = np.nan
    described = {"units": "K", "standard_name": "sea_surface_temperature", **attributes}
    dataset = xr.Dataset(
        {"sst": (("time", "lat", "lon"), values.astype(np.float32), described)},
        {
            "time": np.array(["2024-01-01T12", "2024-01-02T12"], "M8[ns]"),
            "lat": ("lat", latitude, {"units": "degrees_north"}),
            "lon": ("lon", longitude, {"units": "degrees_east"}),
        },
    )
    dataset.to_netcdf(path)
    return values


@pytest.mark.parametrize("ending", [".nc", ".zarr"])
def test_a_field_stays_a_field(tmp_path, ending):
    write_field(tmp_path / "sst.nc")
    path = tmp_path / f"out{ending}"
    regrid(
        input_file=tmp_path / "sst.nc",
        output_file=path,
        grid="EPSG:3413:100000:-500000,-500000,500000,500000",
    )
    with xr.open_dataset(path) as dataset:
        assert dataset.sst.dims == ("time", "y", "x")
        assert dataset.sst.attrs["units"] == "K"
        assert str(dataset.time.values[0]).startswith("2024-01-01")
        assert float(dataset.sst[0].min()) > 270 + 8.3
        assert np.isnan(dataset.sst[1].values[4:6, 4:6]).all()
        assert float(dataset.valid_share[0].min()) == 1
        assert dataset.crs.attrs["grid_mapping_name"] == "polar_stereographic"
    again = tmp_path / "again.nc"
    regrid(input_file=path, output_file=again, grid="EPSG:6931:100000:-300000,-300000,300000,300000")
    with xr.open_dataset(again) as dataset:
        assert float(dataset.sst[0].mean()) == pytest.approx(278.7, abs=0.2)


def test_concentration_is_chosen_among_several(tmp_path):
    grid = Grid("x", 10, 10, 50e3, -250e3, -250e3, "EPSG:6931")
    described = {"units": "%", "grid_mapping": "crs"}
    xr.Dataset(
        {
            "raw": (("y", "x"), np.full((10, 10), 20.0), described),
            "ice_conc": (("y", "x"), np.full((10, 10), 40.0), described),
            "crs": ((), 0, grid.to_cf()),
        },
        {"y": grid.y, "x": grid.x},
    ).to_netcdf(tmp_path / "day.nc")
    path, target = tmp_path / "o.nc", "EPSG:6931:25000:-100000,-100000,100000,100000"
    regrid(input_file=tmp_path / "day.nc", output_file=path, grid=target)
    regrid(input_file=tmp_path / "day.nc", output_file=tmp_path / "p.nc", grid=target, variable="raw")
    with xr.open_dataset(path) as chosen, xr.open_dataset(tmp_path / "p.nc") as asked:
        assert float(chosen.ice_conc.max()) == pytest.approx(0.4)
        assert chosen.ice_conc.attrs["units"] == "1"
        assert float(asked.raw.max()) == 20


def test_classes_come_from_the_nearest_cell(tmp_path):
    classes = np.arange(100, dtype=np.uint8).reshape(10, 10) % 3
    attributes = {
        "flag_values": np.array([0, 1, 2], np.uint8),
        "flag_meanings": "sea land ice",
        "grid_mapping": "crs",
    }
    grid = Grid("x", 10, 10, 50e3, -250e3, -250e3, "EPSG:6931")
    crs = ((), 0, grid.to_cf())
    xr.Dataset(
        {"classes": (("y", "x"), classes, attributes), "crs": crs}, {"y": grid.y, "x": grid.x}
    ).to_netcdf(tmp_path / "classes.nc")
    path, target = tmp_path / "o.nc", "EPSG:6931:25000:-275000,-250000,250000,250000"
    regrid(input_file=tmp_path / "classes.nc", output_file=path, grid=target)
    with netCDF4.Dataset(path) as dataset:
        values = dataset["classes"][:]
        np.testing.assert_array_equal(values[:, 1:], np.kron(classes, np.ones((2, 2))))
        assert values.mask[:, 0].all()
        assert dataset["classes"].flag_meanings == "sea land ice"
    with pytest.raises(InputError, match="holds classes, of which there is no mean"):
        regrid(input_file=tmp_path / "classes.nc", output_file=path, grid=target, method="bilinear")


def test_what_cannot_be_done(cube, tmp_path, caplog):
    path = tmp_path / "o.nc"
    with pytest.raises(InputError, match="the grids do not meet"):
        regrid(input_file=cube, output_file=path, grid="s25000")
    with pytest.raises(InputError, match="either --grid or --points, found neither"):
        regrid(input_file=cube, output_file=path)
    with pytest.raises(InputError, match="would replace an input"):
        regrid(input_file=cube, output_file=cube, grid=TARGET)
    (tmp_path / "other.nc").write_bytes(cube.read_bytes())
    with pytest.raises(InputError, match="would replace an input"):
        regrid(input_file=cube, output_file=tmp_path / "other.nc", grid=str(tmp_path / "other.nc"))
    with pytest.raises(InputError, match="has no map of 2025-01-01"):
        regrid(
            input_file=cube, output_file=path, grid=TARGET, start_date=np.datetime64("2025-01-01").item()
        )
    with pytest.raises(InputError, match=r"ends in \.nc or \.zarr"):
        regrid(input_file=cube, output_file=tmp_path / "o.tif", grid=TARGET)
    (tmp_path / "text.nc").write_text("no file of numbers")
    with pytest.raises(InputError, match=r"text\.nc"):
        regrid(input_file=tmp_path / "text.nc", output_file=path, grid=TARGET)
    assert not path.exists()
    assert not list(tmp_path.glob(".*weights"))
    regrid(input_file=cube, output_file=path, grid="EPSG:6931:5000:-100000,-100000,100000,100000")
    assert "cells of 25 km are divided into cells of 5 km" in caplog.text


def test_registered_grids_reach_beyond_the_input(cube, tmp_path):
    path = tmp_path / "o.nc"
    report = regrid(input_file=cube, output_file=path, grid="osisafn50000")
    with CubeFile(path) as out:
        assert out.grid == get_grid("osisafn50000")
        assert (out.surface == Surface.LAND).mean() > 0.9  # neither filled nor counted
        assert np.isfinite(out.concentration(0)).sum() > 300
    assert report.values["area_after"] / report.values["area_before"] > 0.97
