"""Values at points: by hand, in any order, with the reason where there is none."""

import csv

import netCDF4
import numpy as np
import pandas as pd
import pytest
from cubes import write_cube

from seaice import InputError
from seaice.commands import regrid as command
from seaice.flags import FillFlag, Surface
from seaice.grids import Grid
from seaice.regridding.point_table import read_points
from seaice.regridding.sample import Reason, sample_points
from seaice.regridding.source import open_source
from seaice.regridding.stage import regrid

DAYS = ["2024-03-01", "2024-03-02"]
GRID = Grid("degrees", 4, 5, 1.0, 178.0, 70.0, "EPSG:4326")  # 178 E to 177 W, 70 to 74 N


@pytest.fixture
def cube(tmp_path):
    concentration = np.arange(40).reshape(2, 4, 5) / 100
    surface = np.zeros(GRID.shape, np.uint8)
    surface[0, 0] = Surface.LAND
    concentration[1, 3, 4] = np.nan
    flags = np.where(np.isnan(concentration), FillFlag.NOT_FILLED, FillFlag.OBSERVED)
    flags[:, 0, 0] = FillFlag.LAND
    flags[0, 2, 2] = FillFlag.EOF
    errors = np.full(flags.shape, np.nan)
    errors[0, 2, 2] = 0.05
    return write_cube(
        tmp_path / "cube.nc", dates=DAYS, concentration=concentration, surface=surface, grid=GRID,
        flags=flags.astype(np.uint8), errors=errors,
    )  # fmt: skip


# Buoy, time, latitude, longitude: the row after the one before is earlier, later, elsewhere.
ROWS = [
    ("b2", "2024-03-02T06:00:00Z", 71.5, -179.5),
    ("007", "2024-03-01 12:00", 72.5, 180.5),
    ("a", "2024-03-01", 70.2, 178.9),
    ("a", "2024-03-02 18:00", 73.6, 182.4),
    ("a", "2024-03-05", 71.5, 180.0),
    ("a", "2024-03-01", 60.0, 180.0),
    ("a", "", 71.5, 180.0),
    ("a", "2024-03-01", "", 180.0),
]
REASONS = ["", "", "land", "no_value", "outside_period", "outside_grid", "no_time", "no_position"]


def write_table(path, rows=ROWS, names=("buoy", "Time (UTC)", "Lat", "Longitude [deg]"), separator=","):
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([names, *rows])
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_by_hand(cube, tmp_path, separator, capsys):
    points, path = write_table(tmp_path / "points.csv", separator=separator), tmp_path / "out.csv"
    arguments = ["--input_file", cube, "--points", points, "--output_file", path]
    assert command.main(list(map(str, arguments))) == 0
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert list(rows.columns[:4]) == ["buoy", "Time (UTC)", "Lat", "Longitude [deg]"]
    assert rows["buoy"].tolist() == [row[0] for row in ROWS]
    assert rows["reason"].tolist() == REASONS
    # Row 1 (71 to 72 N), column 2 (180 to 179 W), second day; row 2, column 2, first day.
    assert rows["sea_ice_conc"].tolist() == ["0.27", "0.12", "", "", "", "", "", ""]
    assert rows["flag_meaning"].tolist()[:4] == ["observed", "eof", "land", "not_filled"]
    assert rows["flag"].tolist()[:2] == ["0", str(int(FillFlag.EOF))]
    assert rows["expected_error"].tolist()[:2] == ["", "0.05"]
    assert rows["time_difference_hours"].tolist()[:3] == ["-6", "0", "-12"]
    assert float(rows["distance_km"][0]) == 0
    # 0.3 degrees of latitude and 0.4 of longitude at 70 N.
    assert float(rows["distance_km"][2]) == pytest.approx(np.hypot(0.3 * 111.5, 0.4 * 38.2), rel=0.02)
    assert "2 of 8 points have a value" in capsys.readouterr().out


def test_netcdf_in_and_out(cube, tmp_path):
    import xarray as xr

    frame = pd.DataFrame(ROWS[:4], columns=["buoy", "t", "y", "x"])
    xr.Dataset(
        {"speed": ("obs", np.arange(4.0)), "t": ("obs", pd.to_datetime(
            frame["t"], utc=True, format="ISO8601").dt.tz_localize(None), {"standard_name": "time"})},
        {"y": ("obs", frame["y"].astype(float), {"standard_name": "latitude"}),
         "x": ("obs", frame["x"].astype(float), {"standard_name": "longitude"})},
    ).to_netcdf(tmp_path / "points.nc")  # fmt: skip
    path = tmp_path / "out.nc"
    regrid(input_file=cube, points=tmp_path / "points.nc", output_file=path)
    with netCDF4.Dataset(path) as dataset:
        assert dataset["sea_ice_conc"][:2].tolist() == pytest.approx([0.27, 0.12])
        assert dataset["sea_ice_conc"][:].mask.tolist() == [False, False, True, True]
        assert dataset["speed"][:].tolist() == [0, 1, 2, 3]
        assert dataset["reason"].flag_meanings.split()[dataset["reason"][2]] == "land"
        assert dataset.featureType == "point"


def test_bilinear_lies_between_and_leaves_land_out(cube):
    time = np.array(["2024-03-01"] * 3, "M8[ns]")
    # In the middle of four centres; beside land; a centre itself.
    latitude, longitude = np.array([72.0, 71.0, 72.5]), np.array([181.0, 179.0, 180.5])
    source = open_source(cube)
    samples = sample_points(source, time, latitude, longitude, method="bilinear")
    assert samples.values[0] == pytest.approx((0.07 + 0.08 + 0.12 + 0.13) / 4)
    assert samples.values[2] == pytest.approx(0.12)
    # Of 71 N, 179 E the centres are those of rows 0 and 1, columns 0 and 1; the first is land.
    assert samples.values[1] == pytest.approx((0.01 + 0.05 + 0.06) / 3)
    assert samples.errors[0] == pytest.approx(0.05 / 4)
    source.close()


def test_order_and_part_do_not_matter(cube):
    random = np.random.default_rng(3)
    time = np.datetime64("2024-02-29", "ns") + random.integers(0, 4 * 86400, 500) * np.timedelta64(
        1, "s"
    )
    latitude, longitude = random.uniform(69, 75, 500), random.uniform(-190, 190, 500)
    longitude[::2] = random.uniform(177, 184, 250)
    with_source = open_source(cube)
    for method in ("nearest", "bilinear"):
        whole = sample_points(with_source, time, latitude, longitude, method=method)
        order = random.permutation(500)[:200]
        part = sample_points(
            with_source, time[order], latitude[order], longitude[order] - 360, method=method
        )
        for one, other in zip(whole, part, strict=True):
            np.testing.assert_allclose(one[order], other, rtol=1e-6, atol=1e-6)
        assert set(np.unique(whole.reason)) >= {Reason.VALUE, Reason.OUTSIDE_GRID, Reason.OUTSIDE_PERIOD}
    with_source.close()


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (("time", "lat", "lon"), ("2024-01-05 06:30", 80, 10)),
        (("location-long", "location-lat", "timestamp"), (10, 80, "2024-01-05T06:30:00Z")),
        (("date", "time", "LATITUDE", "LONGITUDE"), ("2024-01-05", "06:30", 80, 10)),
        (("Year", "Month", "Day", "Hour", "Minute", "lat", "lon"), (2024, 1, 5, 6, 30, 80, 10)),
        (("BuoyID", "Year", "Hour", "Min", "DOY", "Lat", "Lon"), (1, 2024, 6, 30, 5, 80, 10)),
        (("Year", "POS_DOY", "Lat", "Lon"), (2024, 5.2708333333, 80, 10)),
        (("datetime_utc", "Latitude (deg)", "Longitude (degrees)"), ("20240105T0630", 80, 10)),
    ],
)
def test_usual_names(tmp_path, names, row):
    table = read_points(write_table(tmp_path / "points.csv", [row], names))
    assert abs(table.time[0] - np.datetime64("2024-01-05T06:30")) < np.timedelta64(10, "s")
    assert (table.latitude[0], table.longitude[0]) == (80, 10)


@pytest.mark.parametrize(
    ("names", "row", "day"),
    [
        ("year,month,day", "2024,02,29", "2024-02-29"),
        ("year,month,day", "2024,,21", "NaT"),
        ("year,month,day", "2024,13,1", "NaT"),
        ("year,month,day", "2023,2,29", "NaT"),
        ("year,month,day", "2024,2,0", "NaT"),
        ("year,doy", "2024,366.5", "2024-12-31T12"),
        ("year,doy", "2023,366", "NaT"),
        ("year,doy", "2023,inf", "NaT"),
        ("year,doy,hour", ",1,6", "NaT"),
    ],
)
def test_what_is_no_day_has_no_time(tmp_path, names, row, day):
    path = tmp_path / "points.csv"
    path.write_text(f"{names},lat,lon\n{row},80,10\n")
    np.testing.assert_array_equal(read_points(path).time, np.array([day], "M8[ns]"))


def test_what_cannot_be_read(cube, tmp_path):
    path = tmp_path / "out.csv"

    def refuse(message, rows, names, content=None):
        points = write_table(tmp_path / "points.csv", rows, names)
        if content is not None:
            points.write_bytes(content)
        with pytest.raises(InputError, match=message):
            regrid(input_file=cube, points=points, output_file=path)

    refuse("expected a column of times", [(71, 180)], ("lat", "lon"))
    refuse("expected columns latitude and longitude", [(71, 180)], ("a", "b"))
    refuse("found '31/01/24'; write year, month, day", [("31/01/24", 71, 180)], ("time", "lat", "lon"))
    refuse("latitude and longitude are not exchanged", [("2024-03-01", -71, 90)], ("time", "lat", "lon"))
    refuse("holds no points", [], ("time", "lat", "lon"))
    refuse(
        "expected degrees as decimal numbers in lat", [("2024-03-01", "71 N", 3)], ("time", "lat", "lon")
    )
    refuse("is no text in UTF-8", [], ("a", "b"), b"\x89PNG\xff\xfe\x00")
    # By the names alone, the latitude would be read as the time and the longitude as the latitude.
    refuse("expected 3 values a row", [("2024-03-01", 71, 80, 5)], ("time", "lat", "lon"))
    with pytest.raises(InputError, match="for the cells of a grid give the file as --grid"):
        regrid(input_file=cube, points=cube, output_file=path)
    with pytest.raises(InputError, match="no such file of points"):
        regrid(input_file=cube, points=tmp_path / "no.csv", output_file=path)
    points = write_table(tmp_path / "points.csv")
    with pytest.raises(InputError, match="expected nearest or bilinear at points"):
        regrid(input_file=cube, points=points, output_file=path, method="conservative")
    with pytest.raises(InputError, match=r"ends in \.csv or \.nc"):
        regrid(input_file=cube, points=points, output_file=tmp_path / "o.zarr")
    assert not path.exists()
