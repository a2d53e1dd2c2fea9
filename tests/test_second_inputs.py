"""Masks, references and held-out cells are brought onto the cells of a field by their places."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from seaice import InputError
from seaice.fields.alignment import match_cells
from seaice.fields.axes import FieldAxes
from seaice.fields.fill import fill_field
from seaice.fields.options import ReadOptions
from seaice.fields.read import read_gappy
from seaice.gapfill.methods import make_method
from seaice.gapfill.sphere.scattering import Scattering
from seaice.grids import get_grid
from seaice.scoring.gaps import read_held_out

LAT = np.array([60.0, 61.0, 62.0])
LON = np.array([0.0, 90.0, 180.0, 270.0])
SEA = np.array([[1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], np.int8)
BINARY = {"standard_name": "sea_binary_mask"}


def write(path, name, values, lat, lon, *, dims=("lat", "lon"), days=None, attributes=()):
    """One variable on latitudes and longitudes, 1-D or 2-D."""
    with netCDF4.Dataset(path, "w") as dataset:
        values = np.asarray(values)
        if days is not None:
            dims = ("time", *dims)
            dataset.createDimension("time", len(days))
            time = dataset.createVariable("time", "f8", ("time",))
            time.units = "days since 1970-01-01"
            time[:] = days
        for dimension, size in zip(dims, values.shape, strict=True):
            if dimension != "time":
                dataset.createDimension(dimension, size)
        for axis, numbers, units in (("lat", lat, "degrees_north"), ("lon", lon, "degrees_east")):
            if numbers is not None:
                own = (axis,) if np.ndim(numbers) == 1 else dims[-2:]
                position = dataset.createVariable(axis, "f8", own)
                position.units = units
                position[:] = numbers
        variable = dataset.createVariable(name, values.dtype, dims)
        variable.setncatts(dict(attributes))
        variable[:] = values
    return path


@pytest.fixture
def field(tmp_path):
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return write(tmp_path / "field.nc", "v", values, LAT, LON, days=[0, 1])


def read_sea(field, mask, **options):
    return read_gappy(field, ReadOptions(mask_file=mask, **options)).field.sea


def test_a_mask_comes_onto_the_cells_of_the_field(tmp_path, field):
    """Rows and columns in the other order, another frame of longitudes, columns before rows."""
    turned = np.argsort((LON + 180) % 360)
    lon_2d, lat_2d = np.meshgrid(LON, LAT)
    variants = {
        "rows": (SEA[::-1], LAT[::-1], LON, ("lat", "lon")),
        "columns": (SEA[:, ::-1], LAT, LON[::-1], ("lat", "lon")),
        "frame": (SEA[:, turned], LAT, (LON[turned] + 180) % 360 - 180, ("lat", "lon")),
        "below_zero": (SEA, LAT, LON - 360, ("lat", "lon")),
        "exchanged": (SEA.T, LAT, LON, ("lon", "lat")),
        "positions": (SEA[::-1], lat_2d[::-1], lon_2d[::-1], ("a", "b")),
        "exchanged_positions": (SEA.T, lat_2d.T, lon_2d.T, ("a", "b")),
        "turned_positions": (SEA[:, turned], lat_2d[:, turned], lon_2d[:, turned] - 360, ("a", "b")),
    }
    for name, (cells, lat, lon, dims) in variants.items():
        mask = write(tmp_path / f"{name}.nc", "mask", cells, lat, lon, dims=dims, attributes=BINARY)
        assert read_sea(field, mask).tolist() == (SEA == 1).tolist(), name


@pytest.mark.parametrize(
    ("lat", "lon"),
    [(LAT + 0.5, LON), (LAT, LON + 45), (LAT * 0.2, LON), (60 + 2 * (LAT - 60), LON), (LAT, LON / 2)],
    ids=["half a row", "half a column", "elsewhere", "other rows", "other columns"],
)
def test_a_mask_of_other_cells_is_refused(tmp_path, field, lat, lon):
    mask = write(tmp_path / "mask.nc", "mask", SEA, lat, lon, attributes=BINARY)
    with pytest.raises(InputError, match=r"mask lies .* degrees away from the field") as caught:
        read_sea(field, mask)
    assert "\n" not in str(caught.value)


def write_projected(path, grid, values, *, y, x):
    """Write a map with the projection of a grid, and coordinates in any order."""
    with netCDF4.Dataset(path, "w") as dataset:
        for name, numbers in (("y", y), ("x", x)):
            dataset.createDimension(name, numbers.size)
            coordinate = dataset.createVariable(name, "f8", (name,))
            coordinate.units = "m"
            coordinate[:] = numbers
        dataset.createVariable("crs", "i4", ()).setncatts(grid.to_cf())
        stored = dataset.createVariable("v", "f4", ("y", "x"))
        stored.grid_mapping = "crs"
        stored[:] = values


def test_a_mask_without_positions_is_taken_in_the_order_of_the_file_and_says_so(tmp_path):
    grid = get_grid("n25000").crop(slice(0, 3), slice(0, 4))
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    path = tmp_path / "north_first.nc"
    write_projected(path, grid, values, y=grid.y[::-1], x=grid.x)
    mask = write(tmp_path / "mask.nc", "mask", SEA, None, None, dims=("a", "b"), attributes=BINARY)
    source = read_gappy(path, ReadOptions(mask_file=mask))
    assert source.axes.flipped
    assert source.field.sea.tolist() == (SEA[::-1] == 1).tolist(), "turned as the field is"
    assert any("in the order of the file" in note for note in source.notes)


def test_cells_of_a_projection_are_compared_in_kilometres_and_with_positions(tmp_path):
    grid = get_grid("n25000").crop(slice(100, 103), slice(200, 204))
    longitude, latitude = grid.longitude_latitude()
    axes = FieldAxes.of_grid(grid)
    order = match_cells(FieldAxes.of_positions(latitude[::-1], longitude[::-1]), axes, Path("m"), "m")
    assert order.arrange(SEA[::-1]).tolist() == SEA.tolist()
    with pytest.raises(InputError, match="away from the field"):
        match_cells(FieldAxes.of_positions(latitude + 0.2, longitude), axes, Path("m"), "m")
    neighbours = get_grid("n25000").crop(slice(101, 104), slice(200, 204))
    with pytest.raises(InputError, match="lies on another grid"):
        match_cells(FieldAxes.of_grid(neighbours), axes, Path("m"), "m")


def test_a_reference_comes_onto_the_cells_of_the_field(tmp_path, field, monkeypatch):
    handed = []

    def fill(method, gappy, *, reference_values):
        handed.append(reference_values)
        return make_method("linear").fill(gappy)

    monkeypatch.setattr(Scattering, "fill", fill)
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for lat, maps in ((LAT, values), (LAT[::-1], values[:, ::-1])):
        reference = write(tmp_path / "reference.nc", "r", maps, lat, LON, days=[0, 1])
        fill_field(
            input_file=field,
            output_file=tmp_path / "out.nc",
            method=make_method("scattering"),
            reference_file=reference,
        )
    np.testing.assert_array_equal(handed[0], values)
    np.testing.assert_array_equal(handed[1], values)
    reference = write(tmp_path / "reference.nc", "r", values, LAT * 0.2, LON, days=[0, 1])
    with pytest.raises(InputError, match=r"r lies .* degrees away from the field"):
        fill_field(
            input_file=field,
            output_file=tmp_path / "out.nc",
            method=make_method("scattering"),
            reference_file=reference,
        )


def test_held_out_cells_come_onto_the_cells_and_days_of_the_field(tmp_path, field):
    source = read_gappy(field)
    cells = np.zeros((2, 3, 4), np.int8)
    cells[0, 2, 1] = cells[1, 0, 3] = 1
    for name, maps, lat, days in (
        ("same", cells, LAT, [0, 1]),
        ("rows", cells[:, ::-1], LAT[::-1], [0, 1]),
        ("days", np.concatenate([cells[:1] * 0, cells, cells[:1] * 0]), LAT, [-1, 0, 1, 2]),
    ):
        path = write(tmp_path / f"{name}.nc", "held_out", maps, lat, LON, days=days)
        np.testing.assert_array_equal(read_held_out(path, source), cells == 1, err_msg=name)
    path = write(tmp_path / "late.nc", "held_out", cells, LAT, LON, days=[1, 2])
    with pytest.raises(InputError, match="no cells to hold out for 1970-01-01"):
        read_held_out(path, source)
    path = write(tmp_path / "elsewhere.nc", "held_out", cells, LAT + 20, LON, days=[0, 1])
    with pytest.raises(InputError, match="away from the field"):
        read_held_out(path, source)


def test_held_out_cells_of_an_array_are_in_the_order_of_the_file(tmp_path):
    grid = get_grid("n25000").crop(slice(0, 3), slice(0, 4))

    class Source:
        axes = FieldAxes.of_grid(grid)

    np.save(tmp_path / "cells.npy", SEA[np.newaxis] == 1)
    assert read_held_out(tmp_path / "cells.npy", Source())[0].tolist() == (SEA == 1).tolist()
    Source.axes = FieldAxes(None, "y", "x", grid.shape, np.zeros(1), grid=grid, flipped=True)
    assert read_held_out(tmp_path / "cells.npy", Source())[0].tolist() == (SEA[::-1] == 1).tolist()


def test_coordinates_in_kilometres_are_those_of_the_grid(tmp_path):
    grid = get_grid("n25000")
    for units in ("km", "kilometers", None):
        path = tmp_path / f"{units}.nc"
        with netCDF4.Dataset(path, "w") as dataset:
            for name, numbers in (("y", grid.y[::-1]), ("x", grid.x)):
                dataset.createDimension(name, numbers.size)
                coordinate = dataset.createVariable(name, "f4", (name,))
                coordinate[:] = numbers / 1000
                if units:
                    coordinate.units = units
            dataset.createVariable("v", "f4", ("y", "x"))[:] = 1
        axes = read_gappy(path).axes
        assert axes.grid is not None
        assert axes.grid.same_cells(grid)
        assert axes.flipped


def test_a_field_with_descending_columns_keeps_its_order_in_the_output(tmp_path):
    grid = get_grid("n25000").crop(slice(0, 6), slice(0, 8))
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    values[2, 3] = np.nan
    path, output = tmp_path / "f.nc", tmp_path / "out.nc"
    write_projected(path, grid, values, y=grid.y[::-1], x=grid.x[::-1])
    source = read_gappy(path)
    np.testing.assert_array_equal(source.field.values[0], values[::-1, ::-1])
    fill_field(input_file=path, output_file=output, method=make_method("linear"))
    with netCDF4.Dataset(output) as dataset:
        filled = np.ma.filled(dataset["v"][:], np.nan)
        flag = np.asarray(dataset["fill_flag"][:])
        np.testing.assert_array_equal(dataset["x"][:], grid.x[::-1])
    np.testing.assert_array_equal(np.argwhere(flag != 0), [[2, 3]])
    assert filled[2, 3] == pytest.approx(2 * 8 + 3)
    np.testing.assert_array_equal(np.delete(filled, 2 * 8 + 3), np.delete(values, 2 * 8 + 3))
