"""Daily files that somebody has altered: turned, renamed, in fractions, 0 where nothing was seen."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from days import GRID, make_folder

from seaice.commands import consolidate_data as script
from seaice.daily.folder import DailyGrids
from seaice.dates import DateRange
from seaice.flags import DayStatus
from seaice.grids import get_grid
from seaice.masking.land_mask import create_mask
from seaice.masks import read_mask
from seaice.simulate import write_day, write_day_geotiff
from seaice.sources import RejectedDay
from seaice.sources.bremen.reader import read_day

NAME = "asi-AMSR2-n25000-20240101-v5.4.nc"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("in"), days=3, absent=())


def add_time(dataset: xr.Dataset, day: str) -> xr.Dataset:
    return dataset.assign(z=dataset.z.expand_dims(time=np.array([day], "M8[ns]")))


# What was done to a file; its values are those of the file as it was.
CHANGES = {
    "rows from the north": lambda x: x.isel(y=slice(None, None, -1)),
    "columns from the east": lambda x: x.isel(x=slice(None, None, -1)),
    "columns before rows": lambda x: x.transpose("x", "y"),
    "a time of one day": lambda x: add_time(x, "2024-01-01T12"),
    "a time of one day, from the north": lambda x: add_time(
        x.isel(y=slice(None, None, -1)), "2024-01-01"
    ),
    "a level of one": lambda x: x.assign(z=x.z.expand_dims("level", axis=-1)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_cells_lie_where_the_coordinates_say(folder, tmp_path, change):
    path = tmp_path / NAME
    with xr.open_dataset(folder.file(0)) as dataset:
        CHANGES[change](dataset.load()).to_netcdf(path)
    values, grid = read_day(path)
    np.testing.assert_array_equal(values, folder.fields[0])
    assert grid.same_cells(GRID)


def write_geotiff(path: Path, codes: np.ndarray, tags: dict[int, tuple[float, ...]]) -> None:
    from PIL import Image, TiffImagePlugin, TiffTags

    written = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, numbers in tags.items():
        written.tagtype[tag] = TiffTags.DOUBLE
        written[tag] = numbers
    Image.fromarray(np.ascontiguousarray(codes)).save(path, format="TIFF", tiffinfo=written)


@pytest.mark.parametrize(
    ("turned", "tags"),
    [
        (True, {}),
        (True, {33550: (25000, 25000, 0), 33922: (0, 0, 0, -3.85e6, 5.85e6, 0)}),
        (True, {33550: (25000, 25000, 0), 33922: (0, 448, 0, -3.85e6, -5.35e6, 0)}),
        (False, {34264: (25000, 0, 0, -3.85e6, 0, 25000, 0, -5.35e6, *[0] * 7, 1)}),
        (False, {33550: (25000, -25000, 0), 33922: (0, 0, 0, -3.85e6, -5.35e6, 0)}),
    ],
)
def test_rows_of_a_geotiff_run_as_its_tags_say(tmp_path, turned, tags):
    grid, path = get_grid("n25000"), tmp_path / NAME.replace(".nc", ".tif")
    codes = (np.arange(grid.rows * grid.columns) % 101).reshape(grid.shape).astype(np.uint8)
    write_geotiff(path, codes[::-1] if turned else codes, tags)
    np.testing.assert_array_equal(read_day(path)[0], codes)


def test_a_geotiff_of_another_place_is_rejected(tmp_path):
    path = tmp_path / NAME.replace(".nc", ".tif")
    codes = np.full((448, 304), 50, np.uint8)
    write_geotiff(path, codes, {33550: (25000, 25000, 0), 33922: (0, 0, 0, 0, 0, 0)})
    with pytest.raises(RejectedDay, match="on another grid"):
        read_day(path)


def rewrite(path: Path, field: np.ndarray, **attributes: object) -> None:
    with netCDF4.Dataset(path, "r+") as dataset:
        dataset["z"][:] = field
        dataset["z"].setncatts(attributes)


def test_values_that_cannot_be_a_concentration(folder, tmp_path):
    path, field = tmp_path / NAME, folder.fields[0]
    shutil.copy(folder.file(0), path)
    rewrite(path, field / 100)
    with pytest.raises(RejectedDay, match="no value above 1 percent: fractions 0 to 1, not percent"):
        read_day(path)
    rewrite(path, field, missing_value=np.float32(0))
    with pytest.raises(RejectedDay, match="0 percent is missing, which is open water"):
        read_day(path)
    whole = get_grid("n25000")
    write_day(
        path, np.where(np.arange(whole.rows)[:, np.newaxis] < 300, 0, np.full(whole.shape, 80)), whole
    )
    with pytest.raises(RejectedDay, match="0 stands for missing"):
        read_day(path)
    shutil.copy(folder.file(0), path)
    with xr.open_dataset(folder.file(0)) as dataset:
        add_time(dataset.load(), "2024-01-02").to_netcdf(path)
    with pytest.raises(RejectedDay, match="its name says 2024-01-01, its time 2024-01-02"):
        read_day(path)


def test_little_ice_is_no_fraction(tmp_path):
    """A summer day of a small region: few cells with little ice."""
    field = np.zeros(GRID.shape)
    field[:3, :4] = 0.8
    write_day(tmp_path / NAME, field, GRID)
    assert read_day(tmp_path / NAME)[0].max() == pytest.approx(0.8)


@pytest.fixture(scope="module")
def winter(tmp_path_factory):
    """Nine days of a large region whose ice edge moves by a cell a day."""
    path = tmp_path_factory.mktemp("winter")
    grid = get_grid("n25000").crop(slice(150, 230), slice(100, 180))
    for i in range(9):
        field = np.where(np.arange(80)[:, np.newaxis] < 60 + i, 90.0, 0.0) * np.ones(80)
        field[:, :5] = np.nan
        write_day(path / NAME.replace("0101", f"010{i + 1}"), field, grid)
    return path


def spoil(source: Path, target: Path, days: tuple[int, ...], keep: np.ndarray) -> DailyGrids:
    """Copy the folder; on some days everything but ``keep`` is 0 where it was ice."""
    shutil.copytree(source, target)
    for day in days:
        path = target / NAME.replace("0101", f"010{day}")
        with netCDF4.Dataset(path) as dataset:
            field = dataset["z"][:].filled(np.nan)
        rewrite(path, np.where(keep | np.isnan(field), field, 0))
    period = DateRange(date(2024, 1, 1), date(2024, 1, 9))
    return DailyGrids(source_dir=target, period=period)


FEW = np.zeros((80, 80), bool)
FEW[::20, ::25] = True
HALF = np.zeros((80, 80), bool)
HALF[:, :40] = True


@pytest.mark.parametrize("keep", [FEW, HALF], ids=["few cells kept", "half kept"])
@pytest.mark.slow
@pytest.mark.parametrize("days", [(5,), (1,), (9,), (4, 5, 6), (2, 8)])
def test_ice_that_is_gone_on_one_day_is_rejected(winter, tmp_path, keep, days):
    daily = spoil(winter, tmp_path / "in", days, keep)
    statuses = [daily.read(day)[1].status for day in daily.period]
    assert statuses == [DayStatus.REJECTED if day in days else DayStatus.PRESENT for day in range(1, 10)]
    # Whatever is read before, and in whichever part: the same.
    for day in reversed(list(daily.period)):
        alone = daily.select(DateRange(day, day))
        assert alone.read(day)[1].status == statuses[day.day - 1]
    rejected = daily.read(date(2024, 1, days[0]))[1]
    assert "of the ice of the days around is exactly 0 percent on this day alone" in rejected.reason


def test_ice_that_goes_and_stays_away_is_no_fault(winter, tmp_path):
    daily = spoil(winter, tmp_path / "in", (5, 6, 7, 8, 9), HALF)
    statuses = [daily.read(date(2024, 1, day))[1].status for day in range(1, 6)]
    assert statuses == [DayStatus.PRESENT] * 5


@pytest.mark.slow
def test_an_append_judges_the_last_days_again(winter, tmp_path):
    """The end of a cube looks different once the days after it are there: as if made in one run."""
    three_quarters = np.zeros((80, 80), bool)
    three_quarters[:, :53] = True
    spoil(winter, tmp_path / "in", (6,), three_quarters)
    first = ["--source_dir", str(tmp_path / "in"), "--start_date", "20240101"]
    one, two = tmp_path / "one.nc", tmp_path / "two.nc"
    assert script.main([*first, "--end_date", "20240109", "--output_file", str(one)]) == 0
    assert script.main([*first, "--end_date", "20240106", "--output_file", str(two)]) == 0
    more = ["--end_date", "20240109", "--output_file", str(two), "--append"]
    assert script.main([*first, *more]) == 0
    with netCDF4.Dataset(one) as whole, netCDF4.Dataset(two) as appended:
        np.testing.assert_array_equal(whole["day_status"][:], [0, 0, 0, 0, 0, 2, 0, 0, 0])
        for name in ("day_status", "fill_flag", "sea_ice_conc"):
            np.testing.assert_array_equal(whole[name][:], appended[name][:])


RENAMED = {
    "20240102-v5.4.nc": "asi-AMSR2-n25000-20240102-v5.4 (1).nc",
    "20240103-v5.4.nc": "asi-AMSR2-n25000-20240103-v5.4.nc4",
    "20240104-v5.4.nc": "ASI-AMSR2-N25000-20240104-V5.4.NC",
    "20240105-v5.4.nc": "20240105.nc",
    "20240106-v5.4.nc": "asi-AMSR2-n25000-20240106-v5.4_clean.nc",
    "20240107-v5.4.nc": "asi-AMSR2-n25000-20240107-v5.4.nc.gz",
}


def rename_all(source: Path, target: Path) -> None:
    shutil.copytree(source, target)
    for old, new in RENAMED.items():
        (target / f"asi-AMSR2-n25000-{old}").rename(target / new)
    (target / "cube_20240105.nc").write_bytes(b"something else")
    (target / "asi-AMSR2-n25000-20240101-v5.4_visual.png").write_bytes(b"a picture")


def test_files_of_nearly_the_right_name_are_named_and_counted(winter, tmp_path, capsys):
    rename_all(winter, tmp_path / "in")
    source = ["--source_dir", str(tmp_path / "in"), "--start_date", "20240101"]
    output = ["--end_date", "20240109", "--output_file", str(tmp_path / "cube.nc")]
    assert script.main([*source, *output]) == 0
    text = "".join(capsys.readouterr())
    assert "days: 5 present, 4 absent" in text
    assert "4 files of daily data, it seems, not used" in text
    for name in ("v5.4 (1).nc", "20240105.nc", "v5.4_clean.nc", "v5.4.nc.gz"):
        assert name in text
    assert script.main([*source, *output, "--strict"]) == 1


def test_the_content_tells_day_and_grid(winter, tmp_path):
    """A time, or the own name in the history as the real files have it, stand for the name."""
    rename_all(winter, tmp_path / "in")
    with netCDF4.Dataset(tmp_path / "in" / "asi-AMSR2-n25000-20240106-v5.4_clean.nc", "r+") as dataset:
        dataset.history = "GDAL CreateCopy( /data/asi-AMSR2-n25000-20240106-v5.4.nc, ... )"
    path = tmp_path / "in" / "20240105.nc"
    with xr.open_dataset(path) as dataset:
        timed = add_time(dataset.load(), "2024-01-05")
    timed.to_netcdf(path)
    period = DateRange(date(2024, 1, 1), date(2024, 1, 9))
    daily = DailyGrids(source_dir=tmp_path / "in", period=period)
    present = [day for day in period if daily.read(day)[1].status == DayStatus.PRESENT]
    assert present == [period.start + timedelta(days=i) for i in (0, 2, 3, 4, 5, 7, 8)]
    assert len(daily.unnamed) == 2


def test_only_files_of_nearly_the_right_name(tmp_path, capsys):
    (tmp_path / "asi-AMSR2-n25000-20240106-v5.4_clean.nc").write_bytes(b"CDF")
    words = ["--source_dir", str(tmp_path), "--start_date", "20240101", "--end_date", "20240109"]
    assert script.main([*words, "--output_file", str(tmp_path / "c.nc")]) == 1
    assert (
        "1 file of nearly such a name (asi-AMSR2-n25000-20240106-v5.4_clean" in capsys.readouterr().err
    )


def test_a_mask_from_the_north_is_turned(folder, tmp_path):
    mask, turned = tmp_path / "mask.nc", tmp_path / "turned.nc"
    create_mask(source_dir=folder.path, start_date=folder.day(0), end_date=folder.end, output_file=mask)
    with xr.open_dataset(mask) as dataset:
        dataset.isel(y=slice(None, None, -1)).transpose("x", "y").to_netcdf(turned)
    one, two = read_mask(mask), read_mask(turned)
    np.testing.assert_array_equal(one.surface, two.surface)
    np.testing.assert_allclose(one.nan_ratio, two.nan_ratio)
    assert one.grid == two.grid


@pytest.mark.slow
def test_real_days_are_not_refused(real_data):
    """Real days of 25 km, with their gaps, of a whole winter: none is judged wrongly."""
    from seaice.daily.neighbours import NEIGHBOUR_DAYS, measure_vanished_share, sample_day

    path = real_data / "sea_ice_index" / "g02135_north_daily_20250101_20250331.nc"
    with netCDF4.Dataset(path) as dataset:
        dataset.set_auto_mask(False)
        codes = dataset["code"][:].astype(np.float32)
    codes[codes > 1000] = np.nan
    samples = [sample_day(day / 10, get_grid("n25000")) for day in codes]
    shares = [
        measure_vanished_share(day, samples[max(0, i - NEIGHBOUR_DAYS) : i])
        for i, day in enumerate(samples)
        if i
    ]
    assert max(shares) < 0.01


def test_geotiff_of_the_writer_is_read_as_written(tmp_path):
    grid, path = get_grid("n25000"), tmp_path / NAME.replace(".nc", ".tif")
    codes = (np.arange(grid.rows * grid.columns) % 101).reshape(grid.shape).astype(np.float32)
    write_day_geotiff(path, codes, grid)
    np.testing.assert_array_equal(read_day(path)[0], codes)
