"""University of Bremen files: names, places, listing, reading."""

import io
import os
import struct
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
from days import GRID, START, make_folder
from PIL import Image

from seaice import InputError
from seaice.daily.folder import DailyGrids
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import get_grid
from seaice.runtime.digests import digest_file
from seaice.simulate import write_day
from seaice.sources import RejectedDay
from seaice.sources.bremen.hdf5_rows import read_rows
from seaice.sources.bremen.names import (
    DayFile,
    list_days,
    read_special_days,
)
from seaice.sources.bremen.reader import (
    read_day,
    read_grid_of,
)

NAMES = {
    "asi-AMSR2-n3125-20200101-v5.4.nc": ("AMSR2", "n3125", date(2020, 1, 1), "5.4", "nc"),
    "asi-AMSR2-s6250-20171211-v5.hdf": ("AMSR2", "s6250", date(2017, 12, 11), "5", "hdf"),
    "asi-n6250-20060229-v5.4.nc": None,
    "asi-n6250-20060228-v5.4.nc": ("AMSR-E", "n6250", date(2006, 2, 28), "5.4", "nc"),
    "asi-AMSR2-s3125-20230701-v5.4.tif": ("AMSR2", "s3125", date(2023, 7, 1), "5.4", "tif"),
    "asi-AMSR2-s3125-20230701-v5.4_old.tif": None,
    "asi-AMSR2-s3125-20230701-v5.4_visual.png": None,
    "asi-AMSR2-n3125-20200101-v5.4.nc.part": None,
    ".asi-AMSR2-n3125-20200101-v5.4.nc": None,
    "cube.nc": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_name_grammar(name):
    file = DayFile.parse(name)
    if NAMES[name] is None:
        assert file is None
    else:
        assert (file.sensor, file.grid_id, file.day, file.version, file.form) == NAMES[name]
        assert file.name == name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (
            "asi-AMSR2-n3125-20200101-v5.4.nc",
            "amsr2/asi_daygrid_swath/n3125/netcdf/2020/asi-AMSR2-n3125-20200101-v5.4.nc",
        ),
        (
            "asi-AMSR2-s3125-20230701-v5.4.tif",
            "amsr2/asi_daygrid_swath/s3125/2023/jul/Antarctic3125/asi-AMSR2-s3125-20230701-v5.4.tif",
        ),
        (
            "asi-n6250-20060228-v5.4.hdf",
            "amsre/asi_daygrid_swath/n6250/2006/feb/Arctic/asi-n6250-20060228-v5.4.hdf",
        ),
    ],
)
def test_places(name, path):
    assert DayFile.parse(name).url_path == path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("bad:\n" + "- {first: 0001-01-01, last: 9999-12-31, reason: x}\n" * 30, "more than 50000"),
        ("absent:\n" + "- {first: 1950-01-01, last: 2050-12-31, reason: x}\n" * 3, "more than 50000"),
        ("bad: [&a [x, x], &b [*a, *a], *b]", "aliases of lists and mappings"),
        ("bad: &b [{first: 2024-01-01, reason: x}]\nabsent: *b", "aliases of lists and mappings"),
        ("[" * 20_000, "nested too deeply"),
        ("#" * (5 << 20), "more than 4194304 bytes"),
    ],
    ids=lambda value: value[:20],
)
def test_lists_of_days_without_end(tmp_path, text, reason):
    path = tmp_path / "days.yml"
    path.write_text(text)
    begin = time.process_time()  # not of the clock, for other work may run beside it
    with pytest.raises(InputError, match=reason):
        read_special_days(path)
    assert time.process_time() - begin < 3


def test_a_reason_may_be_named_twice(tmp_path):
    path = tmp_path / "days.yml"
    path.write_text(
        "bad:\n- {first: 2024-01-01, reason: &r no calibration}\n- {first: 2024-01-03, reason: *r}\n"
    )
    bad = read_special_days(path).bad
    assert bad[date(2024, 1, 1)] == bad[date(2024, 1, 3)] == "no calibration"


def test_special_days():
    days = read_special_days()
    assert {date(2013, 5, 11), date(2013, 5, 12), date(2013, 5, 13)} <= set(days.absent)
    assert date(2013, 5, 10) not in days.absent
    assert date(2012, 7, 2) not in days.absent
    assert date(2012, 7, 1) in days.absent


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_best_of_several_files_of_a_day(tmp_path):
    stem = "asi-AMSR2-n6250-20200101"
    touch(
        tmp_path,
        f"a/{stem}-v5.4.tif",
        f"b/{stem}-v5.4.hdf",
        f"c/{stem}-v5.nc",
        f"d/{stem}-v5.4.nc",
        f"e/{stem}-v5.10.nc",
        f"e/{stem}-v5.4_old.tif",
        "e/readme.txt",
    )
    found = list_days(tmp_path, DateRange.parse(20200101, 20200131))
    expected = ["e/{}-v5.10.nc", "d/{}-v5.4.nc", "c/{}-v5.nc", "b/{}-v5.4.hdf", "a/{}-v5.4.tif"]
    assert [[f.path for f in files] for files in found.values()] == [
        [tmp_path / name.format(stem) for name in expected]
    ]


def test_the_next_best_file_is_used_where_the_best_cannot_be(tmp_path, caplog):
    folder = make_folder(tmp_path / "in", days=3, absent=())
    good = folder.file(1).read_bytes()
    older = folder.file(1).with_name(folder.file(1).name.replace("v5.4", "v5"))
    older.write_bytes(good)
    folder.file(1).write_bytes(good[:5000])
    days = DailyGrids(source_dir=folder.path, period=DateRange(folder.day(0), folder.end))
    values, record = days.read(folder.day(1))
    np.testing.assert_array_equal(values, folder.fields[1])
    assert (record.status, record.file) == (DayStatus.PRESENT, older.name)
    assert days.digest(folder.day(1), name=older.name) == record.sha256
    undigested = days.read(folder.day(1), with_digest=False)[1]
    assert undigested == replace(record, sha256="")
    assert "is used, for" in caplog.text


def test_links_and_unreadable_folders(tmp_path):
    folder = make_folder(tmp_path / "in", days=2, absent=())
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(folder.path)
    (tmp_path / "top" / "circle").symlink_to(tmp_path / "top")
    found = list_days(tmp_path / "top", DateRange(folder.day(0), folder.end))
    assert len(found) == 2
    assert all(len(files) == 1 for files in found.values())


def test_a_folder_that_cannot_be_listed_is_no_absent_day(tmp_path, monkeypatch):
    import os

    folder = make_folder(tmp_path / "in", days=2, absent=())
    (folder.path / "2023").mkdir()
    scan = os.scandir

    def refuse(path):
        if str(path).endswith("2023"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"a folder cannot be read: .*2023 \(Permission denied\)"):
        list_days(folder.path, DateRange(folder.day(0), folder.end))


def test_several_grids_want_a_choice(tmp_path):
    touch(tmp_path, "asi-AMSR2-n6250-20200101-v5.4.nc", "asi-AMSR2-n3125-20200101-v5.4.nc")
    period = DateRange.parse(20200101, 20200101)
    with pytest.raises(InputError, match=r"files of several grids \(n3125, n6250\); choose one"):
        list_days(tmp_path, period)
    assert list_days(tmp_path, period, grid_id="n3125")[START.replace(2020)][0].grid_id == "n3125"


def test_read_day_returns_what_was_written(tmp_path):
    folder = make_folder(tmp_path, days=1, absent=())
    values, grid = read_day(folder.file(0))
    np.testing.assert_array_equal(values, folder.fields[0])
    assert values.dtype == np.float32
    assert grid.same_cells(GRID)
    assert read_grid_of(folder.file(0)) == grid


@pytest.fixture
def fields(tmp_path):
    """A day in the true layout, and the same values laid out otherwise."""
    folder = make_folder(tmp_path, days=1, absent=())
    return folder.file(0), folder.fields[0]


def test_rows_are_read_past_the_library_bit_for_bit(fields):
    path, values = fields
    out = np.zeros(GRID.shape, np.float32)
    assert read_rows(path.read_bytes(), "z", out)
    np.testing.assert_array_equal(out.view(np.uint32), values.view(np.uint32))
    found, _ = read_day(path, out=out)
    assert found is out


@pytest.mark.slow
@pytest.mark.parametrize(
    "layout",
    [
        {"chunksizes": (2, GRID.columns)},
        {"shuffle": False},
        {"fletcher32": True},
        {"zlib": False, "shuffle": False},
        {"contiguous": True, "zlib": False, "shuffle": False},
        {"endian": "big", "datatype": ">f4"},
        {"datatype": "f8"},
    ],
    ids=str,
)
def test_other_layouts_are_left_to_the_library(fields, layout, tmp_path):
    _, values = fields
    path = tmp_path / "asi-AMSR2-n25000-20240101-v5.4.nc"
    options = {"zlib": True, "shuffle": True, "chunksizes": (1, GRID.columns), **layout}
    if options.get("contiguous"):
        options.pop("chunksizes")
    with netCDF4.Dataset(path, "w") as dataset:
        for name, axis in (("x", GRID.x), ("y", GRID.y)):
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createVariable("crs", "i4").setncatts(GRID.to_cf())
        kind = options.pop("datatype", "f4")
        z = dataset.createVariable("z", kind, ("y", "x"), fill_value=np.nan, **options)
        z.grid_mapping = "crs"
        z[:] = values
    out = np.zeros(GRID.shape, np.float32)
    assert not read_rows(path.read_bytes(), "z", out)
    found, _ = read_day(path, out=out)
    np.testing.assert_array_equal(found, values)


def test_rows_never_written_and_damage_are_left_to_the_library(fields, tmp_path):
    path, values = fields
    content = bytearray(path.read_bytes())
    content[-2000] ^= 0x10
    path.write_bytes(bytes(content))
    out = np.zeros(GRID.shape, np.float32)
    assert not read_rows(path.read_bytes(), "z", out)
    with pytest.raises(RejectedDay, match="the data are damaged"):
        read_day(path, out=out)
    assert not read_rows(b"no file", "z", out)


def index_of_row(content: bytes, row: int) -> int:
    """Where the index of the chunks of z has the number of a row."""
    with h5py.File(io.BytesIO(content)) as file:
        size = file["z"].id.get_chunk_info(row).size
    return content.index(struct.pack("<IIQQQ", size, 0, row, 0, 0)) + 8


def test_a_lost_row_is_damage_and_one_never_written_is_not(fields, tmp_path):
    path, values = fields
    h5py.File(path, "r+").close()  # a file of others has no checksum
    content = bytearray(path.read_bytes())
    content[index_of_row(bytes(content), 5)] ^= 1  # row 5 is listed as row 4
    path.write_bytes(content)
    with pytest.raises(RejectedDay, match=r"the data are damaged .*index of the chunks of /z"):
        read_day(path)
    sparse = tmp_path / "asi-AMSR2-n25000-20240103-v5.4.nc"
    with netCDF4.Dataset(sparse, "w") as dataset:
        for name, axis in (("x", GRID.x), ("y", GRID.y)):
            dataset.createDimension(name, axis.size)
            dataset.createVariable(name, "f8", (name,))[:] = axis
        dataset.createVariable("crs", "i4").setncatts(GRID.to_cf())
        layout = {"zlib": True, "chunksizes": (1, GRID.columns), "fill_value": np.nan}
        z = dataset.createVariable("z", "f4", ("y", "x"), **layout)
        z.grid_mapping = "crs"
        z[:20] = values[:20]
    np.testing.assert_array_equal(read_day(sparse)[0][:20], values[:20])
    assert np.isnan(read_day(sparse)[0][20:]).all()


def write_odd(path: Path, *, x="f8", x_dimensions=("x",), columns=GRID.columns, z="f4") -> None:
    with netCDF4.Dataset(path, "w") as dataset:
        dataset.createDimension("y", GRID.rows)
        dataset.createDimension("x", columns)
        dataset.createVariable("y", "f8", ("y",))[:] = GRID.y
        axis = dataset.createVariable("x", x, x_dimensions)
        if (x, x_dimensions, columns) == ("f8", ("x",), GRID.columns):
            axis[:] = GRID.x
        kind = dataset.createVLType(np.float32, "list") if z == "vlen" else z
        dataset.createVariable("z", kind, ("y", "x"), chunksizes=(1, min(columns, 1000)))
        dataset.createVariable("crs", "i4").setncatts(GRID.to_cf())
        dataset["z"].grid_mapping = "crs"


ODD = {
    "scalar": {"x_dimensions": ()},
    "text": {"x": str},
    "characters": {"x": "S1"},
    "two axes": {"x_dimensions": ("y", "x")},
    "2^40 cells": {"columns": 1 << 40},
    "2^36 cells": {"columns": 1 << 36},
    "lists": {"z": "vlen"},
    "texts": {"z": str},
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_a_rejected_day(tmp_path, kind):
    path = tmp_path / "asi-AMSR2-n25000-20240101-v5.4.nc"
    write_odd(path, **ODD[kind])
    for read in (read_day, read_grid_of):
        if read is read_day or kind not in ("lists", "texts"):
            with pytest.raises(RejectedDay, match=r"^expected"):
                read(path)


def test_a_pipe_a_device_and_a_huge_picture_are_rejected_days(tmp_path):
    folder = make_folder(tmp_path, days=1, absent=())
    os.mkfifo(tmp_path / "asi-AMSR2-n25000-20240102-v5.4.nc")
    (tmp_path / "asi-AMSR2-n25000-20240103-v5.4.nc").symlink_to("/dev/zero")
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "TIFF")
    content = bytearray(picture.getvalue())
    for tag in (256, 257):  # width and length
        at = content.index(struct.pack("<H", tag), 8)
        content[at : at + 12] = struct.pack("<HHII", tag, 4, 1, 60000)
    (tmp_path / "asi-AMSR2-n25000-20240104-v5.4.tif").write_bytes(content)
    for day, reason in ((2, "a pipe or a device"), (3, "a pipe or a device"), (4, "3600000000|60000")):
        path = next(tmp_path.glob(f"*2024010{day}*"))
        with pytest.raises(RejectedDay, match=reason):
            read_day(path)
    days = DailyGrids(source_dir=tmp_path, period=DateRange(START, date(2024, 1, 4)))
    records = [days.read(day)[1].status for day in days.period]
    assert records[0] == DayStatus.PRESENT and DayStatus.PRESENT not in records[1:]
    assert folder.file(0).exists()


def test_values_and_digest_are_of_one_file(tmp_path, monkeypatch):
    folder = make_folder(tmp_path, days=1, absent=())
    digest = digest_file(folder.file(0))
    replaced = np.full(GRID.shape, 50, np.float32)

    def replace_and_read(*arguments, **options):
        write_day(folder.file(0), replaced, GRID)
        return read_day(*arguments, **options)

    monkeypatch.setattr("seaice.sources.bremen.reader.read_day", replace_and_read)
    days = DailyGrids(source_dir=tmp_path, period=DateRange(START, START))
    values, record = days.read(START)
    np.testing.assert_array_equal(values, folder.fields[0])
    assert record.sha256 == digest != digest_file(folder.file(0))


def rewrite(path: Path, change) -> None:
    with netCDF4.Dataset(path, "r+") as dataset:
        change(dataset)


def test_packed_files_with_a_fill_value_are_read(tmp_path):
    path = tmp_path / "asi-AMSR2-n25000-20240101-v5.4.nc"
    with netCDF4.Dataset(path, "w") as dataset:
        for name, values in (("x", GRID.x), ("y", GRID.y)):
            dataset.createDimension(name, values.size)
            dataset.createVariable(name, "f8", (name,))[:] = values
        z = dataset.createVariable("z", "i2", ("y", "x"), fill_value=-1)
        z.scale_factor = 0.5
        z.grid_mapping = "crs"
        z.set_auto_maskandscale(False)
        z[:] = np.where(np.arange(z.size).reshape(z.shape) % 3 == 0, -1, 80)
        dataset.createVariable("crs", "i4").setncatts(GRID.to_cf())
    values, _ = read_day(path)
    assert np.isnan(values.ravel()[::3]).all()
    assert (values.ravel()[1::3] == 40).all()


@pytest.fixture
def file(tmp_path):
    return make_folder(tmp_path, days=1, absent=()).file(0)


def field(value):
    return np.full(GRID.shape, value, np.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda p: p.write_bytes(b""), "the file is empty"),
        (lambda p: p.unlink(), r"cannot be read \(No such file or directory\)"),
        (lambda p: p.write_text("\n<!DOCTYPE html><html>"), "a web page"),
        (lambda p: p.write_text('<?xml version="1.0"?><html>'), "a web page"),
        (lambda p: p.write_text("CDF? no"), "no readable NetCDF file, truncated or damaged"),
        (lambda p: p.write_bytes(p.read_bytes()[:8000]), "no readable NetCDF file"),
        (lambda p: write_day(p, field(0), GRID), "every observed cell is exactly 0 percent"),
        (lambda p: write_day(p, field(np.nan), GRID), "every cell is missing"),
        (lambda p: write_day(p, field(101), GRID), r"1440 values outside 0\.\.100 percent"),
        (lambda p: write_day(p, field(-1), GRID), "smallest -1, largest -1"),
        (lambda p: write_day(p, field(np.inf), GRID), "values outside"),
        (lambda p: rewrite(p, lambda d: d.renameVariable("z", "sic")), "no z .the file holds"),
        (lambda p: rewrite(p, lambda d: d["x"].__setitem__(3, 0)), "not ascending in even steps"),
        (
            lambda p: rewrite(p, lambda d: d["z"].setncattr("scale_factor", "big")),
            "scale_factor as text",
        ),
        (
            lambda p: rewrite(p, lambda d: d["x"].setncattr("units", "degrees")),
            "expected x and y in metres, or both in degrees",
        ),
    ],
)
def test_rejections(file, spoil, reason):
    spoil(file)
    with pytest.raises(RejectedDay, match=reason):
        read_day(file)


def test_rounding_noise_is_clipped_not_rejected(file):
    noisy = field(50)
    noisy[0, 0], noisy[0, 1] = 100.0005, -0.0005
    write_day(file, noisy, GRID)
    values, _ = read_day(file)
    assert (values[0, 0], values[0, 1]) == (100, 0)


def test_other_grid_is_named(file):
    with pytest.raises(
        RejectedDay, match=r"on another grid: expected n25000 \(448 x 304 .* found epsg3411_25000"
    ):
        read_day(file, grid=get_grid("n25000"))


def test_unknown_suffix(tmp_path):
    (tmp_path / "x.grb").write_bytes(b"GRIB")
    with pytest.raises(RejectedDay, match=r"expected a \.nc, \.hdf or \.tif file, found x\.grb"):
        read_day(tmp_path / "x.grb")


def test_the_usual_grid_wins_over_an_odd_first_file(tmp_path):
    folder = make_folder(tmp_path, days=7, absent=())
    write_day(folder.file(0), np.full((448, 304), 5.0), get_grid("n25000"))
    days = DailyGrids(source_dir=tmp_path, period=DateRange(folder.day(0), folder.end))
    assert days.grid.same_cells(GRID)
    values, record = days.read(folder.day(0))
    assert values is None
    assert record.status == DayStatus.REJECTED
    assert record.reason.startswith("on another grid")
    assert len(record.sha256) == 64


@pytest.mark.slow
def test_real_days(real_data):
    for name, seen in (("20160417", 0.4838), ("20200101", 0.4856)):
        values, grid = read_day(real_data / "bremen" / f"asi-AMSR2-n6250-{name}-v5.4.nc")
        assert grid == get_grid("n6250")
        assert (~np.isnan(values)).mean() == pytest.approx(seen, abs=5e-5)
        longitude, latitude = grid.longitude_latitude()

        def at(lon, lat, values=values, longitude=longitude, latitude=latitude):
            distance = np.hypot((longitude - lon) * np.cos(np.radians(lat)), latitude - lat)
            return values.ravel()[distance.argmin()]

        assert np.isnan(at(-40, 72)), "Greenland's ice sheet"
        assert at(5, 65) == 0, "the Norwegian Sea"
        assert at(-150, 80) > 90, "the Beaufort Sea in winter and spring"
        assert np.isnan(values[grid.distance_to_pole() < 80_000]).all(), "the pole hole"
