"""The benchmarks run, and compare equal results only."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(p for p in (ROOT / "benchmarks").glob("*.py") if "__main__" in p.read_text())
# A frame of 448 x 304 cells and few days: seconds, the numbers mean nothing.
TINY = ["--grid", "n25000", "--repeats", "1"]


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """The help of every script, of one process: what it loads takes longer than the help."""
    folder = tmp_path_factory.mktemp("help")
    code = (
        "import contextlib, io, json, runpy, sys\n"
        "helps = {}\n"
        "for path in sys.argv[1:]:\n"
        "    sys.argv, said = [path, '--help'], io.StringIO()\n"
        "    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):\n"
        "        runpy.run_path(path, run_name='__main__')\n"
        "    helps[path] = said.getvalue()\n"
        "print(json.dumps(helps))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *SCRIPTS],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "benchmarks")},
        capture_output=True,
        text=True,
        check=True,
    )
    return {Path(path).name: said for path, said in json.loads(done.stdout).items()}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_help_works_and_knows_the_words_of_the_table(path, helps, benchmark):
    said = helps[path.name]
    assert "usage:" in said
    for claim in benchmark("run_all").CLAIMS:
        if claim.script == path.name:
            for word in [*claim.small.split(), *claim.full.split()]:
                assert not word.startswith("--") or word in said


def test_table_names_existing_scripts(benchmark):
    claims = benchmark("run_all").CLAIMS
    assert {c.script for c in claims} - {p.name for p in SCRIPTS} <= {"loading.py"}
    for key in ("name", "title", "script"):
        assert len({getattr(c, key) for c in claims}) == len(claims)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Simulated days, made by the first benchmark that is run."""
    return tmp_path_factory.mktemp("benchmark")


@pytest.mark.slow
def test_interval_coverage_has_a_row_for_every_test(benchmark, capsys):
    coverage = benchmark("interval_coverage")
    assert coverage.main(["--series", "20"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(int(row[0]), int(row[1])) for row in rows] == list(coverage.TESTS)
    assert all(0 <= float(share) <= 100 for row in rows for share in row[2:])


def test_departures_of_extents_from_a_straight_line(benchmark):
    """By hand: a day of 10 between 6 and 8, a day of 8 between 10 and 9; none where a day lacks."""
    measure = benchmark("fitted_fill").measure_departures
    extents = np.array([6, 10, 8, 9, np.nan])
    np.testing.assert_allclose(measure(extents, [(1, 1)]), [30, -18.75])
    np.testing.assert_allclose(measure(extents, [(2, 1)]), [100 * (1 - (6 + 2 * 9) / 3 / 8)], atol=1e-9)


@pytest.mark.slow
def test_fill_kernel_compares_equal_results(benchmark, folder, capsys):
    words = [*TINY, "--days", "3", "--crop", "64", "--folder", str(folder)]
    assert benchmark("fill_kernel").main(words) == 0
    said = capsys.readouterr().out
    assert said.count("cells compared") == 6
    assert "CPU, of ours" in said


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [0.001, pytest.param(np.nan, marks=pytest.mark.thorough)])
def test_fill_kernel_refuses_other_results(benchmark, folder, capsys, monkeypatch, wrong):
    from seaice.gapfill.gaussian import Gaussian

    true = Gaussian.fill

    def perturbed(method, stack, ocean, **options):
        filled = true(method, stack, ocean, **options)
        cell = tuple(np.argwhere(np.isnan(stack) & ocean)[0])
        filled.values[cell] += wrong
        return filled

    monkeypatch.setattr(Gaussian, "fill", perturbed)
    words = [*TINY, "--days", "3", "--crop", "64", "--folder", str(folder)]
    assert benchmark("fill_kernel").main(words) == 1
    said = capsys.readouterr().out
    assert "EXPECTED AT MOST 0.0001" in said
    assert "CPU, of ours" not in said


@pytest.mark.slow
def test_mask_refuses_other_results(benchmark, folder, capsys, monkeypatch):
    mask = benchmark("mask")
    words = [*TINY, "--days", "2", "--folder", str(folder)]
    assert mask.main(words) == 0
    assert "create_mask / netCDF4 and np.isnan" in capsys.readouterr().out
    true = mask.by_netcdf4
    monkeypatch.setattr(mask, "by_netcdf4", lambda paths: true(paths[:1]))
    assert mask.main(words) == 1
    assert "netCDF4 and np.isnan gives other shares" in capsys.readouterr().out


@pytest.mark.slow
def test_storage_refuses_other_content(benchmark, folder, capsys, monkeypatch):
    storage = benchmark("storage")
    words = [*TINY, "--days", "2", "--cube_days", "9", "--only", "8 days, about 256"]
    words += ["--folder", str(folder)]
    assert storage.main(words) == 0
    said = capsys.readouterr().out
    assert "| zstd 1, 8 days, about 256 | 8 x 224 x 304 |" in said
    true = storage.unpack
    monkeypatch.setattr(storage, "unpack", lambda stored: true(stored) + np.float32(1e-4))
    assert storage.main(words) == 1
    assert "what was read is not what was written" in capsys.readouterr().out


def test_archive_refuses_other_counts(benchmark, tmp_path, monkeypatch):
    archive = benchmark("archive")
    (tmp_path / "warm").mkdir()
    for place, swaths in ((tmp_path, 3), (tmp_path / "warm", 1)):
        archive.make_counts(place / "counts.npy", swaths, 20)
    for side in archive.SIDES:
        found = archive.run_side(side, tmp_path, coordinates=False)
        assert found["equal"] and found["bytes"] > 0, side
    true = archive.open_one
    monkeypatch.setattr(archive, "open_one", lambda *given: true(*given) + np.uint16(1))
    for path in (tmp_path / "hdf5.h5", tmp_path / "warm_hdf5.h5"):
        path.unlink()
    assert not archive.run_side("hdf5", tmp_path, coordinates=False)["equal"]


@pytest.mark.slow
def test_gridding_refuses_other_statistics(benchmark, capsys, monkeypatch):
    gridding = benchmark("gridding")
    words = ["--points", "20000", "--grid", "ease2s25000", "--repeats", "1"]
    assert gridding.main(words) == 0
    assert "all statistics agree within 1e-09" in capsys.readouterr().out
    true = gridding.by_pyproj
    monkeypatch.setattr(
        gridding, "by_pyproj", lambda *given: true(*given) | {"mean": true(*given)["mean"] + 1e-6}
    )
    assert gridding.main(words) == 1
    assert "pyproj and numpy gives other statistics" in capsys.readouterr().out


@pytest.mark.thorough
@pytest.mark.slow
def test_regridding_refuses_other_values(benchmark, capsys, monkeypatch):
    regridding = benchmark("regridding")
    words = ["--grid", "n25000", "--days", "1", "--points", "100", "--repeats", "1"]
    assert regridding.main(words) == 0
    assert "numpy and scipy agree" in capsys.readouterr().out
    true = regridding.by_scipy
    monkeypatch.setattr(regridding, "by_scipy", lambda *given: true(*given) + 1e-4)
    for name in ("stream", "sample"):  # they compare nothing
        monkeypatch.setattr(regridding, name, lambda *given: None)
    assert regridding.main(words) == 1


@pytest.fixture
def page(benchmark, monkeypatch, tmp_path):
    """A page with a section of every claim, and the runner with scripts that only say a word."""
    run_all = benchmark("run_all")
    existing = tuple(c for c in run_all.CLAIMS if (ROOT / "benchmarks" / c.script).exists())
    monkeypatch.setattr(run_all, "CLAIMS", existing)
    monkeypatch.setattr(run_all, "run", lambda claim, words: f"first {claim.name}\n")
    path = tmp_path / "benchmarks.md"
    assert run_all.main(["--output_file", str(path)]) == 0
    return run_all, path


def test_only_one_section_is_replaced(page, monkeypatch):
    run_all, path = page
    before = path.read_text()
    monkeypatch.setattr(run_all, "run", lambda claim, words: f"second {claim.name}\n")
    assert run_all.main(["--output_file", str(path), "--only", "mask"]) == 0
    assert path.read_text() == before.replace("first mask", "second mask")
    assert before.count("\n## ") == len(run_all.CLAIMS)
    assert before.count(run_all.machine()) == len(run_all.CLAIMS)


def test_a_failed_script_leaves_its_section_and_status_1(page, monkeypatch, capsys):
    run_all, path = page
    before = path.read_text()
    monkeypatch.setattr(
        run_all, "run", lambda claim, words: None if claim.name == "fill" else f"second {claim.name}\n"
    )
    assert run_all.main(["--output_file", str(path), "--full"]) == 1
    assert "first fill" in path.read_text()
    assert all(f"first {claim.name}" in before for claim in run_all.CLAIMS)
    assert path.read_text().count("\nsecond ") == len(run_all.CLAIMS) - 1
    assert "failed: fill" in capsys.readouterr().err


def test_an_absent_script_is_skipped(page, monkeypatch, capsys):
    run_all, path = page
    absent = run_all.Claim("other", "Other", "no_such.py", "", "")
    monkeypatch.setattr(run_all, "CLAIMS", (*run_all.CLAIMS, absent))
    assert run_all.main(["--output_file", str(path), "--only", "other"]) == 0
    assert "other: skipped, there is no benchmarks/no_such.py" in capsys.readouterr().out
