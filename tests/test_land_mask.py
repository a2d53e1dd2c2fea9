"""create_mask: statistics, classes, the file, bad input."""

import numpy as np
import pytest
import xarray as xr
from days import GRID, make_folder

import create_mask as script
from seaice.flags import Surface
from seaice.grids import Grid, get_grid
from seaice.masking.land_mask import classify
from seaice.masks import (
    assume_pole_hole,
    find_pole_hole,
    read_mask,
)


def run(folder, output, *words):
    return script.main(
        [
            *("--source_dir", str(folder.path), "--start_date", f"{folder.day(0)}"),
            *("--end_date", f"{folder.end}", "--output_file", str(output), *words),
        ]
    )


def test_classes_by_hand():
    grid = get_grid("n25000").crop(slice(0, 3), slice(0, 6))
    missing = np.array(
        [
            [17, 17, 16, 11, 10, 0],
            [20, 20, 16, 11, 10, 0],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    # 17 of 20 is 0.85: land. 11 of 20 is more than half: rarely observed, unless beside land.
    assert classify(missing, 20, grid).tolist() == [
        [1, 1, 2, 4, 0, 0],
        [1, 1, 2, 4, 0, 0],
        [2, 2, 2, 0, 0, 0],
    ]


@pytest.mark.parametrize("days", range(1, 60))
def test_threshold_is_exact(days):
    grid = get_grid("n25000").crop(slice(0, 1), slice(0, days + 1))
    land = classify(np.arange(days + 1)[None], days, grid, threshold=0.85)[0] == Surface.LAND
    assert land.tolist() == [100 * n >= 85 * days for n in range(days + 1)]


@pytest.mark.parametrize("step", [25000, 12500, 6250])
def test_pole_hole_is_recognised_and_never_land(step):
    grid = get_grid(f"n{step}")
    rows, columns = (int(round((5_350_000) / step)), int(round(3_850_000 / step)))
    half = 300_000 // step
    part = grid.crop(slice(rows - half, rows + half), slice(columns - half, columns + half))
    distance = part.distance_to_pole()
    missing = np.where(distance < 95_000, 20, 0)
    missing[:3] = 20  # land beyond the reach of the hole
    rim = (distance >= 95_000) & (distance < 95_000 + step)
    missing[rim] = 11
    surface = classify(missing, 20, part)
    np.testing.assert_array_equal(surface == Surface.POLE_HOLE, distance < 95_000)
    assert (surface[rim] == Surface.RARELY_OBSERVED_OCEAN).all()
    assert (surface[:3] == Surface.LAND).all()


def test_pole_hole_is_cut_where_land_statistics_join_it():
    missing = np.ones(GRID.shape, bool)
    hole = find_pole_hole(missing, GRID)
    distance = GRID.distance_to_pole()
    np.testing.assert_array_equal(hole, distance <= 165_000)


def test_no_pole_hole_in_the_south_or_where_the_pole_is_observed():
    south = get_grid("s25000")
    assert not find_pole_hole(np.ones(south.shape, bool), south).any()
    assert not assume_pole_hole(south).any()
    away = GRID.distance_to_pole() > 60_000
    assert not find_pole_hole(away, GRID).any()
    utm = Grid("custom", 4, 4, 1000, 400_000, 7_000_000, "EPSG:32633")
    assert not find_pole_hole(np.ones(utm.shape, bool), utm).any()


@pytest.mark.slow
def test_mask_file(tmp_path, capsys):
    folder = make_folder(tmp_path / "in")
    assert run(folder, tmp_path / "mask.nc") == 0
    out, log = capsys.readouterr()
    assert "] 2024-01-06 absent (no file in the source folder)\n" in log
    assert "days read: 19 of 24" in out
    assert (
        "left out: absent, no file in the source folder: 2024-01-06, 2024-01-12 to 2024-01-15\n" in log
    )
    mask = read_mask(tmp_path / "mask.nc")
    present = np.stack([f for f in folder.fields if f is not None])
    np.testing.assert_allclose(mask.nan_ratio, np.isnan(present).mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(mask.land, folder.land)
    np.testing.assert_array_equal(mask.surface == Surface.POLE_HOLE, folder.hole)
    assert mask.grid.same_cells(GRID)
    with xr.open_dataset(tmp_path / "mask.nc") as opened:
        assert (opened.land_mask.values == folder.land).all()
        assert opened.land_mask.attrs["flag_meanings"] == "not_land land"
        assert opened.land_mask.attrs["grid_mapping"] == "crs"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "mask.nc"]


@pytest.mark.slow
def test_rejected_days_are_named_and_not_counted(tmp_path, capsys):
    folder = make_folder(tmp_path / "in")
    run(folder, tmp_path / "whole.nc")
    folder.fields[8] = None
    folder.file(8).write_text("<!DOCTYPE html><html>please log in</html>")
    folder.file(9).write_bytes(folder.file(9).read_bytes()[:9000])
    capsys.readouterr()
    assert run(folder, tmp_path / "mask.nc") == 0
    shown = capsys.readouterr()
    assert "days read: 17 of 24" in shown.out
    assert "left out: 2024-01-09 rejected (asi-AMSR2-n25000-20240109-v5.4.nc): a web page" in shown.err
    assert "left out: 2024-01-10 rejected" in shown.err
    ratio = read_mask(tmp_path / "mask.nc").nan_ratio
    kept = [f for i, f in enumerate(folder.fields) if f is not None and i != 9]
    np.testing.assert_allclose(ratio, np.isnan(np.stack(kept)).mean(axis=0), atol=1e-6)


@pytest.mark.slow
def test_known_bad_days_are_no_failure(tmp_path, capsys):
    folder = make_folder(tmp_path / "in", absent=())
    bad = tmp_path / "bad.yml"
    bad.write_text("bad:\n  - {first: 2024-01-03, last: 2024-01-04, reason: sensor in safe mode}\n")
    assert run(folder, tmp_path / "mask.nc", "--bad_days_file", str(bad)) == 0
    out = capsys.readouterr().out
    assert "days read: 22 of 24" in out
    assert "2024-01-03 rejected (asi-AMSR2-n25000-20240103-v5.4.nc): sensor in safe mode" in out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("bad: [5]", "bad.yml: expected lists 'absent' and 'bad'"),
        ("bad:\n  - {first: 1, reason: x}", "bad.yml: expected lists"),
        ("bad:\n  - {first: 2024-02-30, reason: x}", "bad.yml: expected lists"),
        ("bad:\n  - {first: 2024-02-03, last: 2024-02-01, reason: x}", "bad.yml: expected lists"),
        ("BAD: []", "unknown list 'BAD'"),
    ],
)
def test_bad_list_of_bad_days(tmp_path, capsys, content, message):
    folder = make_folder(tmp_path / "in", days=2, absent=())
    (tmp_path / "bad.yml").write_text(content)
    assert run(folder, tmp_path / "m.nc", "--bad_days_file", str(tmp_path / "bad.yml")) == 1
    assert message in capsys.readouterr().err


def test_few_days_are_called_few(tmp_path, capsys):
    folder = make_folder(tmp_path / "in", days=3, absent=())
    assert run(folder, tmp_path / "mask.nc") == 0
    assert "only 3 days could be read" in capsys.readouterr().out


def test_nothing_usable_writes_nothing(tmp_path, capsys):
    folder = make_folder(tmp_path / "in", days=2, absent=())
    for i in range(2):
        folder.file(i).write_bytes(b"")
    assert run(folder, tmp_path / "mask.nc") == 1
    assert "not one of the 2 daily files" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_a_foreign_file_is_not_replaced(tmp_path, capsys):
    folder = make_folder(tmp_path / "in", days=2, absent=())
    target = tmp_path / "thesis.nc"
    target.write_text("three years of work")
    assert run(folder, target) == 2
    message = capsys.readouterr().err
    assert "expected a new file or a mask, found" in message and "a text, so it is not" in message
    assert target.read_text() == "three years of work"


@pytest.mark.parametrize("value", ["1.5", "-0.1", "x"])
def test_threshold_out_of_range_is_wrong_usage(tmp_path, capsys, value):
    with pytest.raises(SystemExit) as stop:
        script.main(
            ["--source_dir", ".", "--start_date", "20240101", "--end_date", "20240102"]
            + ["--output_file", "x.nc", "--threshold", value]
        )
    assert stop.value.code == 2
    assert "--threshold: expected a number" in capsys.readouterr().err


@pytest.mark.slow
def test_real_pole_hole(real_data, tmp_path, capsys):
    """Two real days: the hole of some 95 km radius is found, Greenland is land."""
    status = script.main(
        ["--source_dir", str(real_data / "bremen"), "--start_date", "20160417"]
        + ["--end_date", "20160417", "--output_file", str(tmp_path / "m.nc")]
    )
    assert status == 0
    mask = read_mask(tmp_path / "m.nc")
    hole = mask.surface == Surface.POLE_HOLE
    assert hole.sum() == 687
    assert mask.grid.distance_to_pole()[hole].max() == pytest.approx(93_600, rel=0.001)
    longitude, latitude = mask.grid.longitude_latitude()
    summit = np.hypot(longitude + 38.5, (latitude - 72.6) * 3).argmin()
    assert mask.land.ravel()[summit]


def test_the_place_of_the_output_is_looked_at_first(tmp_path, capsys):
    folder = make_folder(tmp_path / "in", days=2, absent=())
    assert run(folder, tmp_path / "no" / "mask.nc") == 1
    shown = capsys.readouterr().err
    assert "the folder of the output does not exist" in shown
    assert "[1/2]" not in shown
    assert run(folder, tmp_path / "mask.txt") == 1
    assert "expected an output name that ends in .nc" in capsys.readouterr().err
