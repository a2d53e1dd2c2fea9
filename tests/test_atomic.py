"""Files appear whole or not at all, one writer at a time."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from seaice import InputError
from seaice.runtime.atomic_write import (
    atomic,
    exclusive,
)

ROOT = Path(__file__).resolve().parent.parent


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_success_leaves_only_the_file(tmp_path):
    with atomic(tmp_path / "a.nc") as temporary:
        temporary.write_text("new")
        assert temporary.suffix == ".nc"
        assert not (tmp_path / "a.nc").exists()
    assert names(tmp_path) == ["a.nc"]
    assert (tmp_path / "a.nc").read_text() == "new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_what_was_there(tmp_path, error):
    target = tmp_path / "a.nc"
    target.write_text("old")
    with pytest.raises(error), atomic(target) as temporary:
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == ["a.nc"]
    assert target.read_text() == "old"


def test_failed_verification_keeps_what_was_there(tmp_path):
    target = tmp_path / "a.nc"
    target.write_text("old")

    def verify(path):
        raise OSError(f"bad {path.read_text()}")

    with pytest.raises(OSError, match="bad new"), atomic(target, verify=verify) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.nc"]


def test_what_a_killed_run_left_is_cleared(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from seaice.runtime.atomic_write import atomic\n"
        "with atomic(Path(sys.argv[1])) as t:\n"
        "    t.write_text('half'); print('writing', flush=True); os.kill(os.getpid(), 9)\n"
    )
    target = tmp_path / "a.nc"
    done = subprocess.run([sys.executable, "-c", code, str(target)], cwd=ROOT, capture_output=True)
    assert done.returncode == -9
    assert len(names(tmp_path)) == 2  # the temporary file and the lock file
    with atomic(target) as temporary:
        assert not temporary.exists()
        temporary.write_text("whole")
    assert names(tmp_path) == ["a.nc"]


def test_second_writer_is_refused_and_told_of_the_first(tmp_path):
    code = (
        "import sys; from pathlib import Path; from seaice.runtime.atomic_write import atomic\n"
        "with atomic(Path(sys.argv[1])) as t:\n"
        "    t.write_text('first'); print('writing', flush=True); sys.stdin.read()\n"
    )
    target = tmp_path / "a.nc"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(target)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as first:
        assert first.stdout.readline() == b"writing\n"
        with pytest.raises(InputError) as error, atomic(target):
            raise AssertionError("two writers")
        assert f"is being written by process {first.pid} on " in str(error.value)
        first.stdin.close()
        assert first.wait() == 0
    assert target.read_text() == "first"
    assert names(tmp_path) == ["a.nc"]


@pytest.mark.slow
@pytest.mark.parametrize("locks", ["file_lock.fcntl", "None"], ids=["of the kernel", "of our own"])
def test_many_writers_take_turns(tmp_path, locks):
    """Whoever gets the lock is alone, also when the lock file is removed and made again."""
    code = (
        "import sys, time; from pathlib import Path; from seaice import InputError\n"
        f"from seaice.runtime import file_lock; file_lock.fcntl = {locks}\n"
        "from seaice.runtime.atomic_write import exclusive\n"
        "path, done = Path(sys.argv[1]), 0\n"
        "while done < 60:\n"
        "    try:\n"
        "        with exclusive(path):\n"
        "            n = int(path.read_text()); time.sleep(0.0005); path.write_text(str(n + 1))\n"
        "        done += 1\n"
        "    except InputError:\n"
        "        time.sleep(0.0002)\n"
    )
    counter = tmp_path / "n"
    counter.write_text("0")
    runs = [subprocess.Popen([sys.executable, "-c", code, str(counter)], cwd=ROOT) for _ in range(3)]
    assert [r.wait() for r in runs] == [0, 0, 0]
    assert counter.read_text() == "180"
    assert names(tmp_path) == ["n"]


def test_missing_folder(tmp_path):
    with (
        pytest.raises(InputError, match="the folder of the output does not exist"),
        atomic(tmp_path / "no" / "a.nc"),
    ):
        pass


def test_folder_in_the_place_of_the_file(tmp_path):
    with (
        pytest.raises(InputError, match="expected a file name for the output, found a folder"),
        atomic(tmp_path),
    ):
        pass


def test_hdf_error_names_the_likely_cause(tmp_path):
    with (
        pytest.raises(OSError, match="disk, a quota or a file-size limit is full"),
        atomic(tmp_path / "a.nc"),
    ):
        raise RuntimeError("NetCDF: HDF error")


def test_exclusive_is_free_again_after_use(tmp_path):
    for _ in range(2):
        with exclusive(tmp_path / "x"):
            time.sleep(0)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "message",
    [
        "NetCDF: HDF error",
        "[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0",
        "PytorchStreamWriter failed writing file data/1: file write failed",
    ],
)
def test_every_library_that_meets_a_full_disk_names_the_folder(tmp_path, message):
    with pytest.raises(OSError) as error, atomic(tmp_path / "a.pt") as part:
        part.write_bytes(b"half")
        raise RuntimeError(message)
    assert error.value.filename == str(tmp_path) and "is full" in str(error.value)
    assert names(tmp_path) == []
