"""Stopping a consolidation at any moment, and going on: nothing lost, the same content."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from days import make_folder
from test_cube import ROOT, assert_same_cube, mask_words, words

import consolidate_data as script
import create_mask
from seaice.cube.batches import (
    Batch,
    FinishedBatches,
)

COMMAND = [sys.executable, str(ROOT / "consolidate_data.py")]
SPOOL = ".c.nc.days"
LATE = 0  # a little less than the cube needs
FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.path.insert(0, {root!r})
import consolidate_data
sys.exit(consolidate_data.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    top = tmp_path_factory.mktemp("stop")
    folder = make_folder(top / "in")
    mask = top / "mask.nc"
    assert create_mask.main(mask_words(folder, mask)) == 0
    masked = ["--land_mask_file", str(mask)]
    assert script.main(words(folder, top / "cube.nc", *masked)) == 0
    return folder, masked, top / "cube.nc"


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def kill_at(command: list[str], text: str) -> str:
    """Kill the command as soon as it logs ``text``; returns what it logged."""
    said = ""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            said += line
            if text in line:
                process.kill()
                break
        assert process.wait() == -signal.SIGKILL
    return said


@pytest.mark.slow
def test_a_kill_costs_at_most_one_batch(case, tmp_path):
    folder, masked, whole = case
    target = tmp_path / "c.nc"
    command = COMMAND + words(folder, target, *masked, "--batch_size", "5")
    kill_at(command, "[13/24]")
    assert not target.exists()
    batches = FinishedBatches.beside(target).batches()
    assert [batch.path.name for batch in batches] == [
        "2024-01-01_2024-01-05.days",
        "2024-01-06_2024-01-10.days",
    ]
    kept = [batch.path.stat().st_mtime_ns for batch in batches]
    said = kill_at(command, "[9/14]")
    assert "10 of 24 days are finished already" in said
    assert [b.path.stat().st_mtime_ns for b in FinishedBatches.beside(target).batches()][:2] == kept
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0
    assert "15 of 24 days are finished already" in done.stderr
    assert "24 days 2024-01-01 to 2024-01-24" in done.stdout
    assert_same_cube(whole, target)
    assert names(tmp_path) == ["c.nc"]


@pytest.mark.slow
@pytest.mark.parametrize("batch", ["1", "7", pytest.param("100", marks=pytest.mark.thorough)])
def test_another_batch_size_goes_on_too(case, tmp_path, batch):
    folder, masked, whole = case
    target = tmp_path / "c.nc"
    kill_at(COMMAND + words(folder, target, *masked, "--batch_size", "4"), "[11/24]")
    assert script.main(words(folder, target, *masked, "--batch_size", batch)) == 0
    assert_same_cube(whole, target)


def kill_after(arguments: list[str], seconds: float) -> None:
    """Kill the script some seconds after its first day was done."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    with subprocess.Popen(COMMAND + arguments, **quiet) as process:
        process.stderr.readline()
        time.sleep(seconds)
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.thorough) for seed in (2, 3))]
)
def test_kills_at_random_moments(case, tmp_path, seed):
    """Two kills, then the same command to its end. Some kills come too late: that is a moment too."""
    folder, masked, whole = case
    arguments = words(folder, tmp_path / "c.nc", *masked, "--batch_size", "3")
    moment = random.Random(seed)
    for _ in range(2):
        kill_after(arguments, moment.uniform(0, 0.15))
    assert script.main(arguments) == 0
    assert_same_cube(whole, tmp_path / "c.nc")
    assert names(tmp_path) == ["c.nc"]


@pytest.mark.slow
def test_an_interruption_keeps_what_is_finished(case, tmp_path):
    folder, masked, whole = case
    target = tmp_path / "c.nc"
    command = COMMAND + words(folder, target, *masked, "--batch_size", "5")
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "[12/24]" in line:
                process.send_signal(signal.SIGTERM)
                break
        said = process.stderr.read()
        assert process.wait() == 130
    assert "10 finished days in" in said
    assert "run the same command again" in said
    assert names(tmp_path) == [".c.nc.days"]
    assert script.main(words(folder, target, *masked)) == 0
    assert_same_cube(whole, target)


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "left"), [(2000, []), (15000, [SPOOL]), (LATE, [SPOOL])])
def test_a_full_disk_is_told_and_the_same_command_goes_on(case, tmp_path, limit, left):
    """In the first batch; when the cube is begun; and while the finished days are put into it."""
    folder, masked, whole = case
    limit = limit or whole.stat().st_size - 3000
    target = tmp_path / "c.nc"
    options = words(folder, target, *masked, "--batch_size", "1")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK.format(root=str(ROOT), limit=limit), *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "a quota or a file-size limit is full" in done.stderr.splitlines()[-1]
    assert "make space and run the same command again" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == left
    assert script.main(options) == 0
    assert_same_cube(whole, target)
    assert names(tmp_path) == ["c.nc"]


def finished_part(case, tmp_path, *more: str) -> Path:
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    kill_at(COMMAND + words(folder, target, *masked, "--batch_size", "2", *more), "[21/24]")
    return target


@pytest.mark.slow
def test_batches_of_other_options_or_inputs_are_not_used(case, tmp_path, caplog):
    folder, masked, whole = case
    target = finished_part(case, tmp_path, "--max_gap_days", "2")
    caplog.set_level("INFO", "seaice")
    assert script.main(words(folder, target, *masked)) == 0
    assert_same_cube(whole, target)


@pytest.mark.slow
def test_a_changed_input_costs_the_batches_within_its_reach(case, tmp_path):
    folder, masked, _ = case
    target = finished_part(case, tmp_path)
    changed = folder.file(2).read_bytes()
    try:
        folder.file(2).write_bytes(folder.file(3).read_bytes())
        before = len(FinishedBatches.beside(target).batches())
        assert script.main(words(folder, target, *masked, "--batch_size", "2")) == 0
        assert script.main(words(folder, tmp_path / "d.nc", *masked)) == 0
        assert before == 10
        assert_same_cube(tmp_path / "d.nc", target)
    finally:
        folder.file(2).write_bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["index", "trailer", "truncated", "empty"])
def test_a_damaged_batch_is_made_again(case, tmp_path, where):
    folder, masked, whole = case
    target = finished_part(case, tmp_path)
    path = FinishedBatches.beside(target).batches()[3].path
    content = bytearray(path.read_bytes())
    if where == "index":
        content[-60] ^= 1
    elif where == "trailer":
        content[-3] ^= 1
    path.write_bytes({"truncated": content[:-9], "empty": b""}.get(where, bytes(content)))
    assert script.main(words(folder, target, *masked)) == 0
    assert_same_cube(whole, target)


@pytest.mark.slow
def test_damaged_days_in_a_batch_are_never_put_into_a_cube(case, tmp_path, capsys):
    folder, masked, _ = case
    target = finished_part(case, tmp_path)
    path = FinishedBatches.beside(target).batches()[3].path
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    assert [made.record.day.day for made in Batch(path).days] == [7, 8]
    assert script.main(words(folder, target, *masked)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert "is damaged at 2024-01-07; remove it and run the same command again" in last
    assert not target.exists()
    path.unlink()
    assert script.main(words(folder, target, *masked)) == 0


@pytest.mark.slow
def test_an_append_goes_on_too(case, tmp_path):
    folder, masked, whole = case
    target = tmp_path / "c.nc"
    assert script.main([*words(folder, target, *masked), "--end_date", "20240110"]) == 0
    kept = target.read_bytes()
    command = COMMAND + words(folder, target, *masked, "--batch_size", "2", "--append")
    kill_at(command, "[9/")
    assert target.read_bytes() == kept
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 0
    assert "days are finished already" in said.stderr
    import netCDF4
    import numpy as np

    with netCDF4.Dataset(whole) as a, netCDF4.Dataset(target) as b:
        for name in a.variables:
            np.testing.assert_array_equal(a[name][:], b[name][:], err_msg=name)


@pytest.mark.slow
def test_batches_of_the_same_days_do_not_get_in_each_others_way(case, tmp_path):
    """Another batch size on another machine; the same command puts it right."""
    folder, masked, whole = case
    target = finished_part(case, tmp_path)
    other = tmp_path / "other" / "c.nc"
    other.parent.mkdir()
    kill_at(COMMAND + words(folder, other, *masked, "--batch_size", "3"), "[10/24]")
    for batch in FinishedBatches.beside(other).batches():
        batch.path.rename(FinishedBatches.beside(target).path / batch.path.name)
    assert script.main(words(folder, target, *masked)) == 0
    assert_same_cube(whole, target)


@pytest.mark.slow
def test_what_a_run_left_that_was_killed_at_its_very_end_is_removed(case, tmp_path, capsys):
    folder, masked, _ = case
    target = tmp_path / "c.nc"
    assert script.main(words(folder, target, *masked)) == 0
    FinishedBatches.beside(target).path.mkdir()
    (FinishedBatches.beside(target).path / "task.pickle").touch()
    (tmp_path / ".c.nc.part.nc").touch()
    assert script.main(words(folder, target, *masked)) == 0
    assert "complete already" in capsys.readouterr().out
    assert names(tmp_path) == ["c.nc"]


@pytest.mark.slow
def test_a_bad_day_whose_reason_changes_on_the_way(case, tmp_path):
    """The cube says what an uninterrupted run would say."""
    folder, masked, _ = case
    target, bad = tmp_path / "c.nc", tmp_path / "bad.yml"
    entry = "bad:\n  - {{first: 2024-01-03, last: 2024-01-03, reason: {}}}\n"
    bad.write_text(entry.format("stripes"))
    options = [*masked, "--bad_days_file", str(bad)]
    kill_at(COMMAND + words(folder, target, *options, "--batch_size", "2"), "[20/24]")
    bad.write_text(entry.format("spots"))
    assert script.main(words(folder, target, *options)) == 0
    assert script.main(words(folder, tmp_path / "d.nc", *options)) == 0
    assert_same_cube(tmp_path / "d.nc", target)
