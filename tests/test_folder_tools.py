"""Looking at a folder of daily files: sizes, and missing data in a box."""

import csv
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from PIL import Image

import find_several_data_in_target_area as finder
import get_dims as dims
from seaice import InputError
from seaice.daily.folder import DailyGrids
from seaice.daily.inspect import (
    find_missing,
    get_dims,
)
from seaice.dates import DateRange, format_runs
from seaice.grids import get_grid
from seaice.simulate import write_day

N25 = get_grid("n25000")
# Ten rows and eight columns of the Arctic Ocean.
GRID = N25.crop(slice(220, 230), slice(140, 148))
NAN = np.nan


def write(folder, day, field, grid=GRID, grid_id="n25000"):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"asi-AMSR2-{grid_id}-{day}-v5.4.nc"
    write_day(path, field, grid)
    return path


def ice():
    return np.full(GRID.shape, 80.0)


@pytest.fixture
def folder(tmp_path):
    """1 and 2 January present, 3 absent, 4 damaged, 5 present."""
    data = tmp_path / "data"
    first = ice()
    first[2, 3] = NAN  # in the box of rows 2:6, columns 3:8
    first[5, 7] = NAN  # its last cell
    first[6, 7] = first[5, 2] = NAN  # just outside
    second = ice()
    second[2:6, 3:8] = NAN
    for day, field in (("20240101", first), ("20240102", second), ("20240105", ice())):
        write(data, day, field)
    (data / "asi-AMSR2-n25000-20240104-v5.4.nc").write_bytes(b"\x89HDF damaged")
    return data


PERIOD = ["--start_date", "20240101", "--end_date", "2024-01-05"]
BOX = ["--ymin", "2", "--ymax", "6", "--xmin", "3", "--xmax", "8"]


# --- get_dims ---------------------------------------------------------------------------


def test_dims_of_a_folder(folder, capsys):
    assert dims.main(["--source_dir", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "height (rows): 10", "width (columns): 8", "grid: epsg3411_25000 (10 x 8 cells of 25 km)",
    ]  # fmt: skip
    assert "grids: n25000 (4 files)" in lines
    assert "forms: nc (4 files)" in lines
    assert "files: 4, first day 2024-01-01, last day 2024-01-05" in lines
    assert "days without a file in between: 1 (2024-01-03)" in lines


def test_dims_look_in_the_place_of_the_environment(folder, monkeypatch, capsys):
    monkeypatch.setenv("SEAICE_DATA_DIR", str(folder))
    assert dims.main([]) == 0
    assert "height (rows): 10" in capsys.readouterr().out


def test_dims_pass_over_files_that_cannot_be_read_and_name_them(folder, capsys):
    (folder / "asi-AMSR2-n25000-20231230-v5.4.nc").write_bytes(b"")
    bad = folder / "asi-AMSR2-n25000-20231231-v5.4.nc"
    bad.write_bytes(b"\x89HDF damaged")
    assert dims.main(["--source_dir", str(folder)]) == 0
    said = capsys.readouterr()
    assert "height (rows): 10" in said.out
    assert "20231230-v5.4.nc: the file is empty" in said.err
    assert f"left out: {bad}: no readable NetCDF file" in said.err


def test_dims_name_every_grid_and_a_name_that_lies(folder, capsys):
    south = get_grid("s25000")
    write(folder / "south", "20240101", np.full(south.shape, 50.0), south, "s25000")
    write(folder / "lies", "20240101", np.full(south.shape, 50.0), south, "s12500")
    report = get_dims(source_dir=folder)
    assert report.values == {"height": 10, "width": 8}
    assert "grid: s25000 (332 x 316 cells of 25 km)" in report.lines
    assert "the files named s12500 are on the grid s25000 (332 x 316 cells of 25 km)" in report.left_out


def test_dims_of_nothing(tmp_path, capsys):
    with pytest.raises(InputError, match="does not exist"):
        get_dims(source_dir=tmp_path / "no")
    with pytest.raises(InputError, match=r"no daily file .* give the folder download.py wrote to"):
        get_dims(source_dir=tmp_path)
    (tmp_path / "asi-AMSR2-n25000-20240101-v5.4.nc").write_bytes(b"")
    with pytest.raises(InputError, match=r"not one of the 1 daily files in .* can be read \(.*empty\)"):
        get_dims(source_dir=tmp_path)


def test_runs_of_days():
    first = date(2024, 2, 28)
    days = [first + timedelta(days=n) for n in (0, 1, 2, 4, 6, 7)]
    assert format_runs(days) == ["2024-02-28 to 2024-03-01", "2024-03-03", "2024-03-05 to 2024-03-06"]
    assert format_runs([]) == []


def test_days_without_a_file_are_told_before_the_work(folder, caplog):
    DailyGrids(source_dir=folder, period=DateRange(date(2024, 1, 1), date(2124, 1, 5)))
    (line,) = caplog.messages
    today = datetime.now(UTC).date()
    assert line == (
        f"36525 of 36529 days without a file in {folder}: 2024-01-03, 2024-01-06 to 2124-01-05; it "
        f"ends in the future (today is {today})"
    )
    caplog.clear()
    DailyGrids(source_dir=folder, period=DateRange(date(2024, 1, 1), date(2024, 1, 2)))
    assert caplog.messages == []


# --- missing data in a box --------------------------------------------------------------


def test_missing_cells_of_the_box_are_counted(folder, tmp_path, capsys):
    table = tmp_path / "table.csv"
    status = finder.main(["--source_dir", str(folder), *PERIOD, *BOX, "--output_csv", str(table)])
    assert status == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith("box rows 2:6, columns 3:8: 20 cells, land among them")
    assert "2024-01-01          2    10.000" in lines
    assert "2024-01-02         20   100.000" in lines
    assert "2024-01-03  absent" in lines
    assert "2024-01-04  rejected" in lines
    assert "2024-01-05          0     0.000" in lines
    assert "days with at least 0.1 percent missing: 2 of 3 readable: 2024-01-01, 2024-01-02" in lines
    assert "left out: absent, no file in the source folder: 2024-01-03" in said.err
    assert "left out: 2024-01-04 rejected (asi-AMSR2-n25000-20240104-v5.4.nc): no readable" in said.err
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["missing_cells"] for row in rows] == ["2", "20", "", "", "0"]
    assert [row["missing_percent"] for row in rows] == ["10.0000", "100.0000", "", "", "0.0000"]
    assert [row["at_least_0.1_percent"] for row in rows] == ["1", "1", "", "", "0"]
    assert rows[2]["status"] == "absent"
    assert rows[3]["reason"].startswith("no readable NetCDF file")


@pytest.mark.slow
@pytest.mark.parametrize(("threshold", "days"), [(10, 2), (10.001, 1), (100, 1), (0, 3)])
def test_threshold_is_included(folder, threshold, days):
    report = find_missing(
        source_dir=folder, start_date=date(2024, 1, 1), end_date=date(2024, 1, 5),
        ymin=2, ymax=6, xmin=3, xmax=8, threshold_percent=threshold,
    )  # fmt: skip
    assert len(report.values["listed"]) == days


def test_bounds_in_metres_are_the_same_box(folder):
    x, y = GRID.x, GRID.y
    report = find_missing(
        source_dir=folder, start_date=date(2024, 1, 1), end_date=date(2024, 1, 2),
        bounds=(x[3] - 1, x[7] + 1, y[2] - 1, y[5] + 1),
    )  # fmt: skip
    assert report.lines[0].startswith("box rows 2:6, columns 3:8: 20 cells")
    assert [day.missing for day in report.values["days"]] == [2, 20]


def test_negative_bounds_on_the_command_line(folder, capsys):
    west, east, south, north = (f"{n:.0f}" for n in GRID.extent)
    assert west.startswith("-")
    words = ["--source_dir", str(folder), "--start_date", "20240101", "--end_date", "20240101"]
    assert finder.main([*words, "--bounds", west, east, south, north]) == 0
    assert "box rows 0:10, columns 0:8: 80 cells" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["{:.3e}", "{:.5E}", "{:.1f}", "{:.0f}."])
def test_bounds_may_have_exponents(folder, capsys, form):
    values = GRID.x[0], GRID.x[-1], GRID.y[0], GRID.y[1]
    assert min(values) < -1e5
    words = ["--source_dir", str(folder), "--start_date", "20240101", "--end_date", "20240101"]
    assert finder.main([*words, "--bounds", *(form.format(v) for v in values)]) == 0
    assert "box rows 0:2, columns 0:8: 16 cells" in capsys.readouterr().out


def mask_with_land(path):
    """A mask file with land in columns 3 and 4."""
    import netCDF4

    from seaice import cf
    from seaice.flags import Surface

    surface = np.zeros(GRID.shape, np.uint8)
    surface[:, 3:5] = Surface.LAND
    with netCDF4.Dataset(path, "w") as dataset:
        cf.write_grid(dataset, GRID)
        cf.define_variable(dataset, "surface")[:] = surface
        cf.define_variable(dataset, "land_mask")[:] = (surface == Surface.LAND).astype(np.uint8)
        cf.define_variable(dataset, "nan_ratio")[:] = np.zeros(GRID.shape, np.float32)
    return path


def test_land_is_left_out_with_a_mask(folder, tmp_path):
    report = find_missing(
        source_dir=folder, start_date=date(2024, 1, 1), end_date=date(2024, 1, 2),
        ymin=2, ymax=6, xmin=3, xmax=8, land_mask_file=mask_with_land(tmp_path / "mask.nc"),
    )  # fmt: skip
    assert report.lines[0] == "box rows 2:6, columns 3:8: 12 ocean cells"
    # (2, 3) is land; (5, 7) is ocean: 1 of 12, then all.
    assert [day.missing for day in report.values["days"]] == [1, 12]
    with pytest.raises(InputError, match=r"the box \(rows 0:2, columns 3:5\) holds no ocean cell"):
        find_missing(
            source_dir=folder, start_date=date(2024, 1, 1), end_date=date(2024, 1, 2),
            ymin=0, ymax=2, xmin=3, xmax=5, land_mask_file=tmp_path / "mask.nc",
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("box", "message"),
    [
        (["--ymin", "-1", "--ymax", "6", "--xmin", "3", "--xmax", "8"], "0 <= ymin < ymax <= 10"),
        (["--ymin", "2", "--ymax", "2", "--xmin", "3", "--xmax", "8"], "found ymin 2 and ymax 2"),
        (["--ymin", "2", "--ymax", "6", "--xmin", "3", "--xmax", "9"], "expected 0 <= xmin < xmax <= 8"),
        (["--ymin", "2"], "--xmin and --xmax or --bounds, found 1 of the four"),
        ([*BOX, "--bounds", "0", "1", "0", "1"], "found 4 of the four and --bounds"),
        (["--bounds", "-330000", "-320000", "155000", "160000"], "no cell centre of the grid epsg3411"),
        (["--bounds", "-1e9", "1", "0", "1"], "expected bounds within the grid, found west -1e+09"),
    ],
)  # fmt: skip
def test_boxes_that_cannot_be(folder, box, message, capsys):
    assert finder.main(["--source_dir", str(folder), *PERIOD, *box]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_dates_in_the_wrong_order_are_wrong_usage(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        finder.main(
            ["--source_dir", str(folder), "--start_date", "20240105", "--end_date", "20240101", *BOX]
        )
    assert stop.value.code == 2
    assert "exchange them" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("masked", [False, True])
def test_picture_shows_the_box(folder, tmp_path, masked):
    picture = tmp_path / "box.png"
    report = find_missing(
        source_dir=folder, start_date=date(2024, 1, 1), end_date=date(2024, 1, 1),
        ymin=2, ymax=6, xmin=3, xmax=8, output_file=picture,
        land_mask_file=mask_with_land(tmp_path / "mask.nc") if masked else None,
    )  # fmt: skip
    assert report.outputs == [picture]
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert pixels.shape[1] > pixels.shape[0] > 300
    outline = np.abs(pixels - (0xE4, 0x57, 0x2E)).max(axis=2) < 20
    rows, columns = np.flatnonzero(outline.any(axis=1)), np.flatnonzero(outline.any(axis=0))
    # Around the box: the colour stands in both maps and encloses an area.
    assert columns.min() < pixels.shape[1] / 2 < columns.max()
    assert np.ptp(rows) > 50


@pytest.mark.slow
def test_the_box_is_drawn_where_it_lies(tmp_path):
    """Row 0 is the south: a box in the first rows must stand below the middle of the map."""
    data = tmp_path / "data"
    write(data, "20240101", np.full(N25.shape, 50.0), N25)
    picture = tmp_path / "box.png"
    find_missing(
        source_dir=data, start_date=date(2024, 1, 1), end_date=date(2024, 1, 1),
        ymin=0, ymax=40, xmin=260, xmax=300, output_file=picture,
    )  # fmt: skip
    with Image.open(picture) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    outline = np.abs(pixels - (0xE4, 0x57, 0x2E)).max(axis=2) < 20
    height, width = outline.shape
    whole = outline[: int(height * 0.92), : width // 2]  # the left map, without the legend
    rows, columns = np.nonzero(whole)
    assert rows.min() > 0.6 * height
    assert columns.min() > 0.25 * width


def test_no_readable_day_draws_nothing(tmp_path):
    data = tmp_path / "data"
    path = write(data, "20240101", np.full(GRID.shape, NAN))
    report = find_missing(
        source_dir=data, start_date=date(2024, 1, 1), end_date=date(2024, 1, 1),
        ymin=0, ymax=2, xmin=0, xmax=2, output_file=tmp_path / "box.png",
    )  # fmt: skip
    assert f"2024-01-01 rejected ({path.name}): every cell is missing" in report.left_out
    assert f"no day can be read, so {tmp_path / 'box.png'} was not drawn" in report.failed
    assert not (tmp_path / "box.png").exists()
