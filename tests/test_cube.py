"""consolidate_data: content, invariance, append, bad input, opening elsewhere."""

import errno
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from days import GRID, Folder, make_folder

import consolidate_data as script
import create_mask
from seaice import InputError
from seaice.cube import (
    netcdf,
    zarr,
)
from seaice.cube.file import CubeFile
from seaice.cube.netcdf import check_packing
from seaice.cube.packing import (
    PACKED,
    Packing,
)
from seaice.flags import (
    DayStatus,
    FillFlag,
    Surface,
)
from seaice.gapfill import expected_error
from seaice.gapfill.departure import Departure
from seaice.gapfill.increments import Increments
from seaice.gapfill.increments.weights import PACKAGED, packaged_weights
from seaice.gapfill.pole_hole import fill_pole_hole
from seaice.grids import get_grid
from seaice.simulate import write_day

ROOT = Path(__file__).resolve().parent.parent


def mask_words(folder: Folder, output: Path, *more: str, first: int = 0, last: int | None = None):
    """Words of create_mask.py."""
    end = folder.end if last is None else folder.day(last)
    return [
        *("--source_dir", str(folder.path), "--start_date", f"{folder.day(first)}"),
        *("--end_date", f"{end}", "--output_file", str(output), *more),
    ]


def words(folder: Folder, output: Path, *more: str, first: int = 0, last: int | None = None):
    """Words of consolidate_data.py; the default method gets weights, as a fit takes a while."""
    weights = [] if "--method" in more else ["--weights", str(PACKAGED)]
    return mask_words(folder, output, *weights, *more, first=first, last=last)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A folder, its mask and its cube, made once and not changed by the tests."""
    top = tmp_path_factory.mktemp("case")
    folder = make_folder(top / "in")
    assert create_mask.main(mask_words(folder, top / "mask.nc")) == 0
    masked = ["--land_mask_file", str(top / "mask.nc")]
    assert script.main(words(folder, top / "cube.nc", *masked)) == 0
    return folder, masked, top / "cube.nc"


def assert_same_cube(one: Path, two: Path) -> None:
    with xr.open_dataset(one, decode_cf=False) as a, xr.open_dataset(two, decode_cf=False) as b:
        assert set(a.variables) == set(b.variables)
        for name in a.variables:
            np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)
            assert str(a[name].attrs) == str(b[name].attrs)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "options"),
    [(Increments(fitted=packaged_weights()), []), (Departure(), ["--method", "departure"])],
    ids=["increments", "departure"],
)
def test_cube_equals_the_array_functions(case, tmp_path, method, options):
    folder, masked, path = case
    if options:
        path = tmp_path / "c.nc"
        assert script.main(words(folder, path, *masked, *options)) == 0
    filled = method.fill(folder.stack(), ~folder.land, hole=folder.hole)
    filled = fill_pole_hole(filled, folder.hole)
    with CubeFile(path) as cube:
        assert cube.dates == [folder.day(i) for i in range(24)]
        np.testing.assert_array_equal(cube.flags(slice(None)), filled.flag)
        found = 100 * cube.concentration(slice(None)).astype(np.float64)
        np.testing.assert_allclose(found, filled.values, atol=0.00501)
        np.testing.assert_array_equal(cube.variable("days_back_forward"), filled.days_back_forward)
        table = expected_error.read_table()
        errors = [expected_error.of_day(filled.day(i), table) for i in range(24)]
        np.testing.assert_array_equal(cube.variable("sea_ice_conc_error").view(np.uint8), errors)
        has_error = np.isin(filled.flag, [int(flag) for flag in table.models])
        np.testing.assert_array_equal(np.array(errors) != 255, has_error)
        assert cube.surface[folder.hole].tolist() == [Surface.POLE_HOLE] * folder.hole.sum()


def test_observed_values_come_back_within_half_a_step(case):
    folder, _, path = case
    with CubeFile(path) as cube:
        for i, field in enumerate(folder.fields):
            if field is None:
                continue
            seen = ~np.isnan(field)
            error = 100 * cube.concentration(i)[seen].astype(np.float64) - field[seen]
            assert np.abs(error).max() <= 0.005 + 1e-5
            assert (cube.flags(i)[seen] == FillFlag.OBSERVED).all()


def test_days_are_told(case):
    folder, _, path = case
    with CubeFile(path) as cube:
        status = cube.variable("day_status")
        assert [i for i in range(24) if status[i] == DayStatus.ABSENT] == [5, 11, 12, 13, 14]
        names, digests = cube.texts("input_file"), cube.texts("input_sha256")
        assert names[0] == folder.file(0).name
        assert names[5] == "" == digests[5]
        import hashlib

        assert digests[3] == hashlib.sha256(folder.file(3).read_bytes()).hexdigest()
        assert cube.texts("day_reason")[5] == "no file in the source folder"
        flags = cube.flags(slice(None))
        ocean = cube.ocean & (cube.surface != Surface.POLE_HOLE)
        missing = [int((f[ocean] == FillFlag.NOT_FILLED).sum()) for f in flags]
        assert cube.variable("missing_ocean_cells").tolist() == missing
        assert {0, 4, 12, 14, 254} <= set(np.unique(flags)) <= {0, 4, 12, 13, 14, 15, 254}
        filled = [int((~np.isin(f, [0, 254, 255])).sum()) for f in flags]
        assert cube.variable("filled_ocean_cells").tolist() == filled


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 7, 30])
def test_batch_size_does_not_matter(case, tmp_path, batch):
    folder, masked, path = case
    assert script.main(words(folder, tmp_path / "c.nc", *masked, "--batch_size", str(batch))) == 0
    assert_same_cube(path, tmp_path / "c.nc")


@pytest.mark.slow
def test_threads_and_file_order_do_not_matter(case, tmp_path):
    """One thread, in another process, from files laid out in another order and in subfolders."""
    folder, masked, path = case
    shuffled = tmp_path / "shuffled"
    for i in np.random.default_rng(1).permutation(24):
        if folder.fields[i] is not None:
            target = shuffled / f"{i % 3}" / folder.file(i).name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(folder.file(i).read_bytes())
    other = Folder(shuffled, folder.land, folder.hole, folder.fields)
    command = [sys.executable, str(ROOT / "consolidate_data.py")]
    import os

    done = subprocess.run(
        command + words(other, tmp_path / "c.nc", *masked),
        env={**os.environ, "NUMBA_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert_same_cube(path, tmp_path / "c.nc")


@pytest.mark.slow
def test_a_start_further_away_than_the_reach_does_not_matter(case, tmp_path):
    folder, masked, path = case
    assert script.main(words(folder, tmp_path / "c.nc", *masked, first=3)) == 0
    with CubeFile(path) as long, CubeFile(tmp_path / "c.nc") as short:
        for name in PACKED:
            days = long.variable(name)[19:], short.variable(name)[16:]
            np.testing.assert_array_equal(*days, err_msg=name)


@pytest.mark.slow
def test_halo_uses_the_days_around(case, tmp_path):
    folder, masked, path = case
    assert script.main(words(folder, tmp_path / "c.nc", *masked, "--halo", first=9, last=15)) == 0
    with CubeFile(path) as long, CubeFile(tmp_path / "c.nc") as short:
        np.testing.assert_array_equal(long.flags(slice(9, 16)), short.flags(slice(0, 7)))


@pytest.mark.slow
@pytest.mark.parametrize("last", [2, 8, 12, 16])
def test_append_equals_one_run(case, tmp_path, last):
    folder, masked, path = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=last)) == 0
    assert script.main(words(folder, target, *masked, "--append")) == 0
    assert_same_cube(path, target)
    with CubeFile(target) as cube:
        history = cube.attributes["history"].splitlines()
        assert len(history) == 2
        assert "2024-01-24" in history[0]
        assert cube.attributes["time_coverage_end"].startswith("2024-01-24")


@pytest.mark.slow
def test_append_takes_in_a_day_that_came_late(case, tmp_path):
    folder, masked, path = case
    late = make_folder(tmp_path / "in", absent=(3, 5, 11, 12, 13, 14))
    target = tmp_path / "c.nc"
    assert script.main(words(late, target, *masked, last=20)) == 0
    late.file(3).write_bytes(folder.file(3).read_bytes())
    assert script.main(words(late, target, *masked, "--append")) == 0
    assert_same_cube(path, target)


def test_append_compares_files_as_far_back_as_it_is_told(case, tmp_path, capsys):
    """A file that is replaced long before the end: by default an append does not read it again."""
    folder = make_folder(tmp_path / "in")
    masked, target, now = case[1], tmp_path / "c.nc", ["--method", "temporal"]
    assert script.main(words(folder, target, *masked, *now)) == 0
    folder.fields[2] = folder.fields[2] / 2
    folder.write(2)
    assert script.main(words(folder, target, *masked, *now, "--append")) == 0
    fresh = tmp_path / "fresh.nc"
    assert script.main(words(folder, fresh, *masked, *now)) == 0
    with CubeFile(target) as old, CubeFile(fresh) as new:
        assert old.texts("input_sha256")[2] != new.texts("input_sha256")[2]
    late = ["--compare_since", str(folder.day(3))]
    assert script.main(words(folder, target, *masked, *now, "--append", *late)) == 0
    with CubeFile(target) as old, CubeFile(fresh) as new:
        assert old.texts("input_sha256")[2] != new.texts("input_sha256")[2]
    assert script.main(words(folder, target, *masked, *now, *late)) == 1
    assert "expected --append beside it, found none" in capsys.readouterr().err
    early = ["--compare_since", str(folder.day(2))]
    assert script.main(words(folder, target, *masked, *now, "--append", *early)) == 0
    assert_same_cube(fresh, target)


@pytest.mark.slow
def test_append_refuses(case, tmp_path, capsys):
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, "--append")) == 1
    assert "nothing to append to" in capsys.readouterr().err
    assert script.main(words(folder, target, *masked, first=2, last=9)) == 0
    before = target.read_bytes()
    for more, message in (
        (["--sigma", "5"], "made with other parameters (sigma 1.5 -> 5.0)"),
        ([], "--start_date 2024-01-01 leaves a hole or lies before the cube"),
    ):
        first = 2 if more else 0
        capsys.readouterr()
        assert script.main(words(folder, target, *masked, *more, "--append", first=first)) == 1
        assert message in capsys.readouterr().err
    assert script.main(words(folder, target, *masked, "--append", first=11)) == 1
    assert "leaves a hole" in capsys.readouterr().err
    assert target.read_bytes() == before


@pytest.mark.slow
def test_append_refuses_to_lose_observed_days(case, tmp_path, capsys):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=20)) == 0
    folder.file(18).unlink()
    assert script.main(words(folder, target, *masked, "--append")) == 1
    assert (
        "holds days whose files are no longer in the source folder (2024-01-19)"
        in capsys.readouterr().err
    )


@pytest.mark.slow
def test_second_run_finds_it_done_and_a_changed_input_makes_it_again(case, tmp_path, capsys):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked)) == 0
    stamp = target.stat().st_mtime_ns
    capsys.readouterr()
    assert script.main(words(folder, target, *masked)) == 0
    assert "complete already" in capsys.readouterr().out
    assert target.stat().st_mtime_ns == stamp
    folder.fields[6] = np.where(np.isnan(folder.fields[6]), np.float32(np.nan), np.float32(50))
    folder.write(6)
    assert script.main(words(folder, target, *masked)) == 0
    with CubeFile(target) as cube:
        seen = ~np.isnan(folder.fields[6])
        assert (cube.concentration(6)[seen] == np.float32(0.5)).all()
    stamp = target.stat().st_mtime_ns
    assert script.main(words(folder, target, *masked, "--force")) == 0
    assert target.stat().st_mtime_ns != stamp


@pytest.mark.slow
def test_without_a_mask_the_cost_is_told(case, tmp_path, capsys):
    folder, _, _ = case
    assert script.main(words(folder, tmp_path / "c.nc")) == 0
    assert "up to 175 km of coast get invented values" in capsys.readouterr().err
    with CubeFile(tmp_path / "c.nc") as cube:
        assert cube.ocean.all()
        assert (cube.flags(0)[folder.land] == FillFlag.SPACETIME_GAUSSIAN).any()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["temporal", "gaussian", "hybrid", "departure"])
def test_pole_hole_kept_or_filled(case, tmp_path, method):
    folder, masked, _ = case
    for choice in ("fill", "keep"):
        target = tmp_path / f"{choice}.nc"
        more = [*masked, "--method", method, "--pole_hole", choice]
        assert script.main(words(folder, target, *more, last=4)) == 0
        with CubeFile(target) as cube:
            expected = FillFlag.POLE_HOLE if choice == "fill" else FillFlag.NOT_FILLED
            assert (cube.flags(slice(None))[:, folder.hole] == expected).all()
            assert np.isnan(cube.concentration(0)[folder.hole]).all() == (choice == "keep")
            missing = cube.variable("missing_pole_cells")
            assert (missing == (0 if choice == "fill" else folder.hole.sum())).all()


@pytest.mark.slow
def test_past_only_does_not_know_the_future(case, tmp_path):
    folder, masked, _ = case
    one, two = tmp_path / "one.nc", tmp_path / "two.nc"
    assert script.main(words(folder, one, *masked, "--past_only", last=9)) == 0
    assert script.main(words(folder, two, *masked, "--past_only", last=15)) == 0
    with CubeFile(one) as a, CubeFile(two) as b:
        np.testing.assert_array_equal(a.concentration(slice(0, 10)), b.concentration(slice(0, 10)))
        assert not [f for f in np.unique(a.flags(slice(None))) if FillFlag(f).name.endswith("TWO_SIDED")]
        assert (a.flags(slice(None)) == FillFlag.KRIGED_ONE_SIDED).any()


DEFECTS = {
    "truncated": lambda f, i: f.file(i).write_bytes(f.file(i).read_bytes()[:-3000]),
    "html": lambda f, i: f.file(i).write_text("<html><body>Login</body></html>"),
    "empty": lambda f, i: f.file(i).write_bytes(b""),
    "all_zero": lambda f, i: write_day(f.file(i), np.where(f.land, np.nan, 0), GRID),
    "all_missing": lambda f, i: write_day(f.file(i), np.full(GRID.shape, np.nan), GRID),
    "out_of_range": lambda f, i: write_day(f.file(i), np.where(f.land, np.nan, 120), GRID),
    "other_grid": lambda f, i: write_day(f.file(i), np.zeros((448, 304)) + 5, get_grid("n25000")),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEFECTS)
def test_a_bad_day_is_filled_like_an_absent_one(case, tmp_path, capsys, kind):
    _, masked, path = case
    folder = make_folder(tmp_path / "in", absent=(11, 12, 13, 14))
    DEFECTS[kind](folder, 5)
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked)) == 0
    said = capsys.readouterr().err
    assert "left out: 2024-01-06 rejected (asi-AMSR2-n25000-20240106-v5.4.nc): " in said
    assert "] 2024-01-12 absent (no file in the source folder): 0 cells observed, " in said
    with CubeFile(path) as absent, CubeFile(target) as rejected:
        np.testing.assert_array_equal(
            absent.concentration(slice(None)), rejected.concentration(slice(None))
        )
        assert rejected.variable("day_status")[5] == DayStatus.REJECTED
    assert script.main(words(folder, target, *masked)) == 0
    out, err = capsys.readouterr()
    assert "complete already" in out and "left out: 2024-01-06" in err, "a second run tells it again"


@pytest.mark.slow
def test_a_flipped_bit_is_noticed(case, tmp_path, capsys):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    content = bytearray(folder.file(7).read_bytes())
    content[-2000] ^= 0x10
    folder.file(7).write_bytes(bytes(content))
    assert script.main(words(folder, tmp_path / "c.nc", *masked)) == 0
    assert "2024-01-08 rejected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--batch_size", "0"], "--batch_size: expected a number not below 1, found 0"),
        (["--space_window", "-2"], "--space_window: expected a number from 0 to 500, found -2"),
        (["--time_window", "100000000"], "--time_window: expected a number from 0 to 30"),
        (["--sigma", "nan"], "--sigma: expected a number from 0.01 to 1000000.0, found nan"),
        (["--sigma", "0"], "--sigma: expected a number from 0.01"),
        (["--max_gap_days", "10"], "--max_gap_days: expected a number from 0 to 9, found 10"),
        (["--method", "magic"], "invalid choice: 'magic'"),
        (["--end_date", "20230101"], "--end_date 2023-01-01 is before --start_date"),
    ],
)
def test_wrong_usage(case, tmp_path, capsys, more, message):
    folder, masked, _ = case
    with pytest.raises(SystemExit) as stop:
        script.main(words(folder, tmp_path / "c.nc", *masked, *more))
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            ["--one_sided_days", "8", "--method", "hybrid"],
            "one_sided_days must be 0 to max_gap_days (5), found 8",
        ),
        (["--source_dir", "no/folder"], "expected a folder of daily files, but no/folder does not"),
        (["--land_mask_file", "no/mask.nc"], "no such mask file: no/mask.nc"),
        (["--output_file", "no/c.nc"], "the folder of the output does not exist: "),
        (["--output_file", "c.h5"], "expected an output name that ends in .nc or .zarr, found c.h5"),
        (
            ["--start_date", "20300101", "--end_date", "20300102"],
            "no daily file from 2030-01-01 to 2030-01-02",
        ),
        (["--grid", "s3125"], "no daily file on grid s3125"),
    ],
)
def test_one_clear_line(case, tmp_path, capsys, more, message):
    folder, masked, _ = case
    assert script.main(words(folder, tmp_path / "c.nc", *masked, *more)) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error
    assert list(tmp_path.iterdir()) == []
    assert not Path("no").exists()


def test_empty_folder_and_file_in_its_place(case, tmp_path, capsys):
    _, masked, _ = case
    empty = tmp_path / "empty"
    empty.mkdir()
    folder = Folder(empty, None, None, [None] * 3)
    assert script.main(words(folder, tmp_path / "c.nc", *masked)) == 1
    assert "no daily file (asi-AMSR2-GRID-YYYYMMDD-v5.4.nc)" in capsys.readouterr().err
    (tmp_path / "f").write_text("")
    folder = Folder(tmp_path / "f", None, None, [None] * 3)
    assert script.main(words(folder, tmp_path / "c.nc", *masked)) == 1
    assert "is a file" in capsys.readouterr().err


def test_mask_of_another_grid(case, tmp_path, capsys):
    folder, _, _ = case
    other = get_grid("n25000").crop(slice(100, 140), slice(136, 172))
    from seaice.masking.land_mask import write_mask
    from seaice.masks import Mask

    zeros = np.zeros(other.shape)
    write_mask(tmp_path / "m.nc", Mask(zeros.astype(np.uint8), zeros.astype(np.float32), other), {})
    more = ["--land_mask_file", str(tmp_path / "m.nc")]
    assert script.main(words(folder, tmp_path / "c.nc", *more)) == 1
    assert "make a mask from files of the same grid" in capsys.readouterr().err


def test_a_complete_cube_needs_no_right_to_write(case, tmp_path, capsys, monkeypatch):
    """Root may write anywhere, so that the lock is refused here."""
    folder, masked, path = case

    def refuse(lock):
        raise PermissionError(errno.EACCES, "Permission denied", str(lock))

    monkeypatch.setattr("seaice.runtime.file_lock._open_lock", refuse)
    assert script.main(words(folder, path, *masked)) == 0
    assert "complete already" in capsys.readouterr().out


def test_cube_given_as_mask_and_foreign_output(case, tmp_path, capsys):
    folder, masked, path = case
    assert script.main(words(folder, tmp_path / "c.nc", "--land_mask_file", str(path))) == 1
    assert "is no mask of create_mask.py" in capsys.readouterr().err
    target = tmp_path / "notes.nc"
    target.write_text("mine")
    assert script.main(words(folder, target, *masked)) == 2
    assert "notes.nc, a text, so it is not replaced" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert script.main(words(folder, target, *masked, "--force")) == 0
    assert CubeFile(target).dates


def test_two_runs_on_one_output(case, tmp_path, capsys):
    from seaice.runtime.atomic_write import exclusive

    folder, masked, _ = case
    with exclusive(tmp_path / "c.nc"):
        assert script.main(words(folder, tmp_path / "c.nc", *masked)) == 1
    assert "is being written by process" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def named_places(path: Path):
    """Concentration that another reader finds at the centres of some cells, day 0."""
    grid = GRID
    cells = [(2, 30), (35, 3), (20, 10), (8, 8)]
    return grid, cells, [(grid.x[c], grid.y[r]) for r, c in cells]


# GDAL says so of the file as a whole, before it looks at the variable.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Dataset has no geotransform", "ignore::PendingDeprecationWarning")
def test_same_values_at_the_same_places_in_other_readers(case):
    import rioxarray
    from pyproj import Transformer
    from pyresample.utils.cf import load_cf_area

    folder, _, path = case
    grid, cells, points = named_places(path)
    with CubeFile(path) as cube:
        expected = [float(cube.concentration(0)[r, c]) for r, c in cells]
    assert len(set(expected)) == len(cells), "the places differ, so a flip would show"
    with xr.open_dataset(path) as opened:
        day = opened.sea_ice_conc.isel(time=0)
        found = [float(day.sel(x=x, y=y, method="nearest")) for x, y in points]
        assert found == pytest.approx(expected, abs=1e-6)
    with rioxarray.open_rasterio(path, variable=["sea_ice_conc"], mask_and_scale=True) as raster:
        data = (
            raster if hasattr(raster, "rio") and "sea_ice_conc" not in raster else raster["sea_ice_conc"]
        )
        assert "3411" in data.rio.crs.to_wkt()
        assert data.rio.bounds() == pytest.approx(
            (grid.extent[0], grid.extent[2], grid.extent[1], grid.extent[3])
        )
        values = [float(data[0].sel(x=x, y=y, method="nearest").squeeze()) for x, y in points]
        assert values == pytest.approx(expected, abs=1e-6)
    area, _ = load_cf_area(str(path), variable="sea_ice_conc")
    to_geographic = Transformer.from_crs(grid.crs, grid.crs.geodetic_crs, always_xy=True)
    for (row, column), (x, y) in zip(cells, points, strict=True):
        longitude, latitude = to_geographic.transform(x, y)
        assert area.get_array_indices_from_lonlat(longitude, latitude) == (column, row)


@pytest.mark.slow
def test_cf_compliance(case, tmp_path):
    from compliance_checker.runner import CheckSuite, ComplianceChecker

    CheckSuite.load_all_available_checkers()
    _, masked, path = case
    for file in (path, Path(masked[1])):
        report = tmp_path / f"{file.stem}.txt"
        passed, errors = ComplianceChecker.run_checker(
            str(file), ["cf:1.11"], 0, "strict", output_filename=str(report), output_format="text"
        )
        assert passed and not errors, report.read_text()


def shorter(path: Path) -> list[date]:
    with CubeFile(path) as cube:
        return cube.dates


@pytest.mark.slow
def test_a_cube_is_not_replaced_by_a_poorer_one(case, tmp_path, capsys):
    """A forgotten --append, another grid, or files that have gone must not cost what was made."""
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=20)) == 0
    before = target.read_bytes()
    capsys.readouterr()
    assert script.main(words(folder, target, *masked, first=21)) == 2
    assert "give --append to extend it, another --output_file, or --force" in capsys.readouterr().err
    folder.file(3).unlink()
    assert script.main(words(folder, target, *masked, "--end_date", "20240124", last=20)) == 1
    assert "files are no longer in the source folder (2024-01-04)" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert script.main(words(folder, target, *masked, "--force", first=21)) == 0
    assert len(shorter(target)) == 3


def test_a_cube_of_other_parameters_is_not_replaced_without_force(case, tmp_path, capsys):
    """The mask forgotten, or another method: what is there stays, and the message says what differs."""
    folder, masked, path = case
    target = tmp_path / "c.nc"
    target.write_bytes(path.read_bytes())
    before = target.read_bytes()
    for given, difference in (
        ([], "another land mask"),
        ([*masked, "--method", "temporal"], "method increments -> temporal"),
        ([*masked, "--compression", "none"], "compression zlib -> none"),
        ([*masked, "--pole_hole", "keep"], "pole_hole fill -> keep"),
    ):
        assert script.main(words(folder, target, *given)) == 2
        error = capsys.readouterr().err
        assert difference in error
        assert "is not replaced" in error
        assert "--force" in error
        assert target.read_bytes() == before


def test_days_in_doubt_are_rejected_in_all_of_a_cube_or_in_none(case, capsys):
    folder, masked, path = case
    assert script.main(words(folder, path, *masked, "--append", "--reject", "suspicious")) == 1
    error = capsys.readouterr().err
    assert "(reject none -> suspicious); append with the same ones, or make a new cube" in error


def test_a_cube_of_an_earlier_version_is_not_extended(case, tmp_path, capsys):
    """Whichever method is asked for: it does not store all parameters of today."""
    folder, masked, path = case
    old = tmp_path / "old.nc"
    old.write_bytes(path.read_bytes())
    with netCDF4.Dataset(old, "r+") as dataset:
        parameters = json.loads(dataset.parameters)
        del parameters["error_table"]
        dataset.parameters = json.dumps(parameters)
    for method in ("increments", "hybrid"):
        assert script.main(words(folder, old, *masked, "--append", "--method", method)) == 1
        error = capsys.readouterr().err
        assert "an earlier version made it: extend it with that one, or make it again with" in error


def test_force_replaces_neither_the_mask_it_reads_nor_daily_files(case, tmp_path, capsys):
    folder, masked, _ = case
    mask = Path(masked[1])
    own = tmp_path / "mask.nc"
    own.write_bytes(mask.read_bytes())
    for output, mask_file, message in (
        (own, own, "the output would replace the mask"),
        (tmp_path / folder.file(2).name, mask, "the output has the name of a daily file"),
    ):
        given = ["--land_mask_file", str(mask_file), "--force"]
        assert script.main(words(folder, output, *given)) == 1
        assert message in capsys.readouterr().err
    assert own.read_bytes() == mask.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("append", [False, True])
def test_a_rejected_day_fetched_again_is_taken_in(case, tmp_path, capsys, append):
    _, masked, path = case
    folder = make_folder(tmp_path / "in")
    good = folder.file(2).read_bytes()
    folder.file(2).write_text("<html>busy</html>")
    target = tmp_path / "c.nc"
    last = 20 if append else None
    assert script.main(words(folder, target, *masked, last=last)) == 0
    folder.file(2).write_bytes(good)
    assert script.main(words(folder, target, *masked, *(["--append"] if append else []))) == 0
    assert_same_cube(path, target)


@pytest.mark.slow
def test_an_append_tells_of_earlier_rejected_days_too(case, tmp_path, capsys):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    folder.file(2).write_text("<html>busy</html>")
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=20)) == 0
    for _ in range(2):
        capsys.readouterr()
        assert script.main(words(folder, target, *masked, "--append")) == 0
        assert "left out: 2024-01-03 rejected" in capsys.readouterr().err


@pytest.mark.slow
def test_a_longer_list_of_bad_days_is_heeded(case, tmp_path):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked)) == 0
    (tmp_path / "bad.yml").write_text("bad: [{first: 2024-01-03, reason: spill-over}]")
    bad = ["--bad_days_file", str(tmp_path / "bad.yml")]
    assert script.main(words(folder, target, *masked, *bad)) == 0
    with CubeFile(target) as cube:
        assert cube.variable("day_status")[2] == DayStatus.REJECTED
        assert cube.texts("day_reason")[2] == "spill-over"
    assert script.main(words(folder, target, *masked)) == 0
    with CubeFile(target) as cube:
        assert cube.variable("day_status")[2] == DayStatus.PRESENT


@pytest.mark.slow
def test_a_changed_neighbour_of_a_halo_is_noticed(case, tmp_path, capsys):
    _, masked, _ = case
    folder = make_folder(tmp_path / "in")
    target, again = tmp_path / "c.nc", tmp_path / "d.nc"
    run = ["--halo"]
    assert script.main(words(folder, target, *masked, *run, first=4, last=18)) == 0
    folder.fields[19] = np.where(np.isnan(folder.fields[19]), np.float32(np.nan), np.float32(50))
    folder.write(19)
    assert script.main(words(folder, target, *masked, *run, first=4, last=18)) == 0
    assert script.main(words(folder, again, *masked, *run, first=4, last=18)) == 0
    assert_same_cube(again, target)
    with CubeFile(target) as cube:
        assert set(json.loads(cube.attributes["halo_inputs"])) == {
            f"{folder.day(i)}" for i in (0, 1, 2, 3, *range(19, 24))
        }


@pytest.mark.slow
def test_append_takes_the_mask_of_the_cube(case, tmp_path, capsys):
    folder, masked, path = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=20)) == 0
    assert script.main(words(folder, target, "--append")) == 0
    assert_same_cube(path, target)
    assert "no --land_mask_file" not in capsys.readouterr().err
    assert script.main(words(folder, tmp_path / "d.nc", last=20)) == 0
    first, second, *_ = capsys.readouterr().err.splitlines()
    assert "WARNING 5 of 21 days without a file in " in first, "said before the work"
    assert "WARNING no --land_mask_file, so land counts as ocean" in second


@pytest.mark.slow
def test_a_link_is_followed_not_replaced(case, tmp_path):
    folder, masked, path = case
    real, link = tmp_path / "real.nc", tmp_path / "link.nc"
    link.symlink_to(real)
    assert script.main(words(folder, link, *masked)) == 0
    assert link.is_symlink()
    assert_same_cube(path, real)


@pytest.mark.slow
@pytest.mark.parametrize(("compression", "filters"), [("zstd", [32015]), ("none", [1])])
def test_compression_changes_the_bytes_alone(case, tmp_path, capsys, compression, filters):
    import h5py

    folder, masked, path = case
    target = tmp_path / "c.nc"
    short = words(folder, target, *masked, "--compression", compression, last=15)
    assert script.main(short) == 0
    more = words(folder, target, *masked, "--append")
    assert script.main(more) == 1
    assert f"compression {compression} -> zlib" in capsys.readouterr().err
    assert script.main([*more, "--compression", compression]) == 0
    with CubeFile(path) as a, CubeFile(target) as b:
        for name in ("sea_ice_conc", "fill_flag", "sea_ice_conc_error", "missing_ocean_cells"):
            np.testing.assert_array_equal(a.variable(name), b.variable(name))
    with h5py.File(target) as file:
        creation = file["sea_ice_conc"].id.get_create_plist()
        assert [creation.get_filter(i)[0] for i in range(creation.get_nfilters())] == filters


@pytest.mark.slow
def test_a_cube_of_the_first_version_is_extended(case, tmp_path):
    """It does not tell its compression."""
    folder, masked, path = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=15)) == 0
    with netCDF4.Dataset(target, "r+") as dataset:
        told = json.loads(dataset.parameters)
        assert told.pop("compression") == "zlib"
        dataset.parameters = json.dumps(told)
    assert script.main(words(folder, target, *masked, "--append")) == 0
    with CubeFile(path) as a, CubeFile(target) as b:
        np.testing.assert_array_equal(a.variable("sea_ice_conc"), b.variable("sea_ice_conc"))


@pytest.mark.parametrize(("compression", "tile"), [("zlib", (20, 36)), ("zstd", (40, 36))])
def test_chunks_are_appended_only_where_they_fit(case, compression, tile):
    """A cube that another program has repacked must not get chunks it cannot read."""
    _, _, path = case
    check_packing(path, Packing("zlib", False, (40, 36), (40, 36)))
    with pytest.raises(InputError, match="was stored by another program: sea_ice_conc has chunks"):
        check_packing(path, Packing(compression, False, (40, 36), tile))


@pytest.mark.slow
def test_a_cube_that_another_program_has_rewritten_is_not_appended_to(case, tmp_path, capsys):
    """The same chunks without the shuffle filter: what is appended would be read as noise."""
    folder, masked, _ = case
    own, target = tmp_path / "own.nc", tmp_path / "c.nc"
    assert script.main(words(folder, own, *masked, last=12)) == 0
    with netCDF4.Dataset(own) as a, netCDF4.Dataset(target, "w") as b:
        for dataset in (a, b):
            dataset.set_auto_maskandscale(False)
            dataset.set_auto_chartostring(False)
        b.setncatts({k: a.getncattr(k) for k in a.ncattrs()})
        for name, dimension in a.dimensions.items():
            b.createDimension(name, None if dimension.isunlimited() else len(dimension))
        for name, variable in a.variables.items():
            stored = {k: variable.getncattr(k) for k in variable.ncattrs()}
            made = b.createVariable(
                name,
                variable.dtype,
                variable.dimensions,
                fill_value=stored.pop("_FillValue", None),
                chunksizes=None if variable.chunking() == "contiguous" else variable.chunking(),
                zlib=True,
                shuffle=False,
            )
            made.setncatts(stored)
            made[...] = variable[...]
    before = target.read_bytes()
    assert script.main(words(folder, target, *masked, "--append")) == 1
    assert "was stored by another program" in capsys.readouterr().err
    assert target.read_bytes() == before


def copied(folder: Folder, path: Path, leave_out: tuple[int, ...] = ()) -> Folder:
    path.mkdir()
    other = Folder(path, folder.land, folder.hole, folder.fields)
    for i, field in enumerate(folder.fields):
        if field is not None and i not in leave_out:
            other.file(i).write_bytes(folder.file(i).read_bytes())
    return other


@pytest.mark.slow
def test_a_late_day_and_a_changed_one_before_it_are_both_taken_in(case, tmp_path):
    """Going back for one day brings another changed one into view, with days before it."""
    folder, masked, _ = case
    other = copied(folder, tmp_path / "in", leave_out=(9,))
    target, short = tmp_path / "c.nc", ["--max_gap_days", "1", "--time_window", "1"]
    assert script.main(words(other, target, *masked, *short, last=20)) == 0
    other.file(9).write_bytes(folder.file(9).read_bytes())
    other.file(7).write_bytes(folder.file(8).read_bytes())
    assert script.main(words(other, target, *masked, *short, "--append")) == 0
    assert script.main(words(other, tmp_path / "fresh.nc", *masked, *short)) == 0
    with CubeFile(target) as a, CubeFile(tmp_path / "fresh.nc") as b:
        for name in PACKED:
            np.testing.assert_array_equal(a.variable(name), b.variable(name), err_msg=name)


@pytest.mark.slow
def test_a_better_file_of_a_day_is_taken_in(case, tmp_path, capsys):
    folder, masked, _ = case
    other = copied(folder, tmp_path / "in")
    target = tmp_path / "c.nc"
    assert script.main(words(other, target, *masked)) == 0
    better = other.file(8).with_name(other.file(8).name.replace("v5.4", "v5.5"))
    better.write_bytes(other.file(9).read_bytes())
    assert script.main(words(other, target, *masked)) == 0
    assert "complete already" not in capsys.readouterr().out
    with CubeFile(target) as cube:
        assert cube.texts("input_file")[8] == better.name
    assert script.main(words(other, target, *masked)) == 0
    assert "complete already" in capsys.readouterr().out


@pytest.mark.slow
def test_a_rejected_file_that_was_removed_is_absent_from_then_on(case, tmp_path, capsys):
    folder, masked, _ = case
    other = copied(folder, tmp_path / "in")
    target = tmp_path / "c.nc"
    other.file(8).write_text("<html>gone</html>")
    assert script.main(words(other, target, *masked)) == 0
    other.file(8).unlink()
    assert script.main(words(other, target, *masked)) == 0
    assert "complete already" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_bad_day_in_a_halo_is_noticed(case, tmp_path, capsys):
    folder, masked, _ = case
    target, bad = tmp_path / "c.nc", tmp_path / "bad.yml"
    options = words(folder, target, *masked, "--halo", first=8, last=10)
    assert script.main(options) == 0
    bad.write_text("bad:\n  - {first: 2024-01-08, last: 2024-01-08, reason: stripes}\n")
    assert script.main([*options, "--bad_days_file", str(bad)]) == 0
    assert "complete already" not in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["nc", "zarr"])
def test_a_cube_with_other_chunks_keeps_them_when_it_is_extended(case, tmp_path, monkeypatch, ending):
    folder, masked, path = case
    target = tmp_path / f"c.{ending}"
    with monkeypatch.context() as patched:
        patched.setattr("seaice.cube.consolidate.choose_chunk_shape", lambda shape: (20, 9))
        patched.setattr("seaice.cf.choose_chunk_shape", lambda shape: (20, 9))
        assert script.main(words(folder, target, *masked, last=15)) == 0
    assert script.main(words(folder, target, *masked, "--append")) == 0
    container = zarr if ending == "zarr" else netcdf
    assert container.stored_tile(target) == (20, 9)
    with CubeFile(path) as a, CubeFile(target) as b:
        np.testing.assert_array_equal(a.variable("sea_ice_conc"), b.variable("sea_ice_conc"))


@pytest.mark.slow
def test_lat_lon_on_request(case, tmp_path, capsys):
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, last=4)) == 0
    assert script.main(words(folder, target, *masked, "--lat_lon", "--append", last=4)) == 1
    assert "has no lat and lon" in capsys.readouterr().err
    assert script.main(words(folder, target, *masked, "--lat_lon", last=4)) == 0
    longitude, latitude = GRID.longitude_latitude()
    with CubeFile(target) as cube:
        np.testing.assert_array_equal(cube.variable("lat"), latitude)
        np.testing.assert_array_equal(cube.variable("lon"), longitude)


def test_a_damaged_cube_is_named(case, tmp_path, capsys):
    folder, masked, path = case
    target = tmp_path / "c.nc"
    target.write_bytes(path.read_bytes())
    with netCDF4.Dataset(target, "r+") as dataset:
        dataset.parameters = "not json"
    assert script.main(words(folder, target, *masked)) == 1
    assert "does not tell the parameters it was made with" in capsys.readouterr().err


def test_max_gap_alone_may_be_short(case, tmp_path):
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, "--max_gap_days", "2", last=4)) == 0
    with CubeFile(target) as cube:
        assert cube.parameters["one_sided_days"] == 2


@pytest.mark.parametrize("variable", ["surface", "sea_ice_conc"])
def test_a_damaged_chunk_is_named(case, tmp_path, variable):
    from cubes import damage

    from seaice import InputError

    _, _, path = case
    target = tmp_path / "c.nc"
    target.write_bytes(path.read_bytes())
    damage(target, variable)
    with pytest.raises(InputError, match=r"c\.nc is damaged: .* --force"), CubeFile(target) as cube:
        cube.concentration(0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("departure", {"max_gap_days": 9, "one_sided_days": 9, "alpha": 4.0, "sigma": 1.5}),
        ("hybrid", {"max_gap_days": 5, "one_sided_days": 3, "alpha": 15.0, "sigma": 7.0}),
    ],
)
def test_every_method_has_its_own_defaults(case, tmp_path, method, expected):
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked, "--method", method, last=3)) == 0
    with CubeFile(target) as cube:
        assert {name: cube.parameters[name] for name in expected} == expected
        assert ("spread" in cube.parameters) == (method == "departure")


def test_parameters_of_the_method_go_through_a_file_of_options(case, tmp_path):
    folder, masked, _ = case
    config, target = tmp_path / "a.toml", tmp_path / "c.nc"
    more = ["--max_gap_days", "4", "--past_only", "--write_config", str(config)]
    assert script.main(words(folder, target, *masked, *more, last=2)) == 0
    assert not target.exists()
    text = config.read_text()
    assert 'method = "increments"\n' in text and "max_gap_days = 4\n" in text and "alpha" not in text
    assert script.main(["--config", str(config)]) == 0
    with CubeFile(target) as cube:
        kept = {name: cube.parameters[name] for name in ("max_gap_days", "past_only", "alpha")}
    assert kept == {"max_gap_days": 4, "past_only": True, "alpha": 4.0}


def test_a_parameter_of_another_method_is_refused(case, tmp_path, capsys):
    folder, masked, _ = case
    more = ["--method", "temporal", "--sigma", "3"]
    assert script.main(words(folder, tmp_path / "c.nc", *masked, *more)) == 1
    assert "temporal takes no sigma; it takes max_gap_days" in capsys.readouterr().err
