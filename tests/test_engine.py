"""Work on local processes and on dask: the same result, and dead workers' work done again."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import netCDF4
import numpy as np
import pytest
from days import make_folder
from test_cube import ROOT, assert_same_cube, mask_words, words

import consolidate_data
import create_mask
from seaice import InputError
from seaice.cube.batches import FinishedBatches
from seaice.cube.fill_days import (
    Superseded,
    announce,
    fill_days_of_task,
    withdraw,
)
from seaice.runtime.workers import (
    Engine,
    split_days,
)

# dask's own: it opens sockets and closes loops in other threads at exit.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:distributed"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:tornado"),
]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    top = tmp_path_factory.mktemp("engine")
    folder = make_folder(top / "in")
    assert create_mask.main(mask_words(folder, top / "mask.nc")) == 0
    masked = ["--land_mask_file", str(top / "mask.nc")]
    assert consolidate_data.main(words(folder, top / "cube.nc", *masked)) == 0
    return folder, masked, top


def die_once(marker: Path, number: int) -> int:
    """Kill the own process the first time it is called with 1."""
    if number == 1 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 10 * number


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number: int) -> None:
    raise InputError(f"no {number}")


def collected(engine: Engine, function, units) -> dict[int, int]:
    found = {}
    with engine.start() as crew:
        crew.do(function, units, found.__setitem__)
    return found


ENGINES = {"processes": Engine(2), "dask": Engine(2, "local")}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_a_dead_workers_unit_is_done_again(engine, tmp_path):
    units = [(tmp_path / "died", n) for n in range(6)]
    assert collected(engine, die_once, units) == {n: 10 * n for n in range(6)}
    assert (tmp_path / "died").exists()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_a_unit_that_always_kills_its_worker_is_given_up(engine):
    with pytest.raises(OSError, match="run the same command again"):
        collected(engine, die, [(1,)])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_what_a_unit_raises_is_raised(engine):
    with pytest.raises(InputError, match="no 3"):
        collected(engine, refuse, [(3,)])


@pytest.mark.slow
def test_no_scheduler_and_no_workers(monkeypatch):
    monkeypatch.setattr("seaice.runtime.workers._ANSWER_SECONDS", 1)
    with pytest.raises(InputError, match="no dask scheduler answers at"):
        Engine(1, "127.0.0.1:1").start().__enter__()
    with pytest.raises(InputError, match="workers must be at least 1"):
        Engine(0)


@pytest.mark.parametrize(
    ("first", "last", "parts", "multiple"), [(0, 99, 8, 30), (5, 5, 4, 30), (0, 89, 3, 30), (0, 9, 4, 1)]
)
def test_spans_are_the_days_in_whole_batches(first, last, parts, multiple):
    cut = split_days(first, last, parts=parts, multiple=multiple)
    assert [n for a, b in cut for n in range(a, b + 1)] == list(range(first, last + 1))
    assert len(cut) <= parts
    assert all((b - a + 1) % multiple == 0 for a, b in cut[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("more", [["--workers", "2"], ["--dask", "local", "--workers", "2"]])
def test_the_same_cube_and_mask(case, tmp_path, more, capsys):
    folder, masked, top = case
    options = words(folder, tmp_path / "c.nc", *masked, "--batch_size", "3", *more)
    assert consolidate_data.main(options) == 0
    assert_same_cube(top / "cube.nc", tmp_path / "c.nc")
    said = capsys.readouterr().err
    assert "[24/24]" in said
    assert create_mask.main(mask_words(folder, tmp_path / "mask.nc", *more)) == 0
    with netCDF4.Dataset(top / "mask.nc") as a, netCDF4.Dataset(tmp_path / "mask.nc") as b:
        for name in ("surface", "nan_ratio", "land_mask"):
            np.testing.assert_array_equal(a[name][:], b[name][:])
    assert "[24/24]" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.nc", "mask.nc"]


def kill_a_worker_when(there, stop: threading.Event, killed: list[int]) -> None:
    """Kill one process started by this one as soon as ``there()``."""
    import multiprocessing

    while not stop.is_set():
        children = [c for c in multiprocessing.active_children() if c.pid]
        if children and there():
            os.kill(children[0].pid, signal.SIGKILL)
            killed.append(children[0].pid)
            return
        time.sleep(0.005)


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        ["--workers", "2"],
        pytest.param(["--dask", "local", "--workers", "2"], marks=pytest.mark.thorough),
    ],
)
def test_a_worker_killed_on_the_way_changes_nothing(case, tmp_path, more):
    folder, masked, top = case
    target = tmp_path / "c.nc"
    spool = FinishedBatches.beside(target).path
    stop, killed = threading.Event(), []
    there = lambda: any(spool.glob("*.days"))  # noqa: E731
    killer = threading.Thread(target=kill_a_worker_when, args=(there, stop, killed))
    killer.start()
    try:
        options = words(folder, target, *masked, "--batch_size", "1", *more)
        assert consolidate_data.main(options) == 0
    finally:
        stop.set()
        killer.join()
    assert killed
    assert_same_cube(top / "cube.nc", target)


@pytest.mark.slow
def test_a_dask_worker_of_many_threads(case, tmp_path):
    """The default of «dask worker»; the HDF5 libraries allow but one at a time."""
    from distributed import LocalCluster

    folder, masked, top = case
    with LocalCluster(
        n_workers=1, threads_per_worker=4, dashboard_address=":0", silence_logs=40
    ) as cluster:
        more = ["--dask", cluster.scheduler_address, "--workers", "4", "--batch_size", "2"]
        assert consolidate_data.main(words(folder, tmp_path / "c.nc", *masked, *more)) == 0
    assert_same_cube(top / "cube.nc", tmp_path / "c.nc")


def together(path: Path, number: int) -> None:
    """Leave a mark while at work; fail if there is one."""
    path.touch(exist_ok=False)
    time.sleep(0.05)
    path.unlink()


@pytest.mark.slow
def test_units_in_one_process_do_not_overlap(tmp_path):
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=1, threads_per_worker=4, dashboard_address=":0", silence_logs=40
    ) as cluster:
        units = [(tmp_path / "mark", n) for n in range(8)]
        assert len(collected(Engine(1, cluster.scheduler_address), together, units)) == 8


def alone_until(text: str, number: int, command: list[str]) -> tuple[int, float]:
    """Signal a command once it says a text; its status, and how long its processes lived on."""
    pipe = {"stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipe) as process:
        for line in process.stderr:
            if text in line:
                process.send_signal(number)
                break
        begin = time.monotonic()
        status = process.wait()
    while time.monotonic() < begin + 20:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    return status, time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_workers_do_not_outlive_the_run(case, tmp_path, number, status):
    folder, masked, top = case
    options = words(folder, tmp_path / "c.nc", *masked, "--batch_size", "1", "--workers", "2")
    command = [sys.executable, str(ROOT / "consolidate_data.py"), *options]
    found, seconds = alone_until("[2/24]", number, command)
    assert found == status
    assert seconds < 15
    assert not (tmp_path / "c.nc").exists()
    assert consolidate_data.main(options) == 0
    assert_same_cube(top / "cube.nc", tmp_path / "c.nc")


STOPPED_BETWEEN_RESULTS = """
import time
from seaice.runtime.workers import Engine

def stop(number, result):
    time.sleep(0.3)  # the workers send further results
    raise KeyboardInterrupt

if __name__ == "__main__":
    with Engine(2).start() as workers:
        workers.do(bytes, [(60_000_000,)] * 20, stop)
"""


def test_a_run_that_is_stopped_does_not_wait_for_the_rest_of_a_result(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPPED_BETWEEN_RESULTS)
    run = subprocess.run([sys.executable, script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60)  # fmt: skip
    assert run.stderr.rstrip().endswith("KeyboardInterrupt")


def test_work_of_a_run_that_is_over_is_refused(tmp_path):
    (tmp_path / "spool").mkdir()
    announce(tmp_path / "spool", "now")
    with pytest.raises(Superseded):
        fill_days_of_task(tmp_path / "spool", "before", b"", 1, 0, 1)
    withdraw(tmp_path / "spool")
    with pytest.raises(Superseded):
        fill_days_of_task(tmp_path / "spool", "now", b"", 1, 0, 1)


class _Payload:
    """Runs a command of its maker when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def test_no_pickle_of_a_folder_is_read(tmp_path):
    """The name of the folder is predictable: another user may have put something there."""
    announce(tmp_path, "now")
    (tmp_path / "task.pickle").write_bytes(pickle.dumps(_Payload(tmp_path / "marker")))
    with pytest.raises(zlib.error):
        fill_days_of_task(tmp_path, "now", b"no task", 1, 0, 1)
    assert not (tmp_path / "marker").exists()
