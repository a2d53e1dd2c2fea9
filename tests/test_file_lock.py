"""Locks follow no links, empty no other files, and work where the kernel has none."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seaice import InputError
from seaice.runtime import file_lock
from seaice.runtime.atomic_write import HeldByAnother, atomic, exclusive, open_own_folder
from seaice.runtime.json_files import append_line

ROOT = Path(__file__).resolve().parent.parent


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def no_kernel_locks(request, monkeypatch):
    """A file system as Lustre by default, or NFS without a lock daemon."""

    def refuse(handle, operation):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(file_lock.fcntl, "flock", refuse)


@pytest.mark.parametrize("link", ["symbolic", "dangling", "hard", "file", "folder", "fifo"])
def test_what_is_no_lock_file_stays_as_it_is(tmp_path, link):
    target, lock = tmp_path / "thesis", tmp_path / ".a.nc.lock"
    target.write_text("three years of work")
    if link == "hard":
        os.link(target, lock)
    elif link in ("symbolic", "dangling"):
        lock.symlink_to(target if link == "symbolic" else tmp_path / "none")
    elif link == "folder":
        lock.mkdir()
    elif link == "fifo":
        os.mkfifo(lock)
    else:
        lock.write_text("my notes")
    before = names(tmp_path)
    with (
        pytest.raises(InputError, match="found a link or another file") as error,
        atomic(tmp_path / "a.nc"),
    ):
        raise AssertionError("the work began")
    assert str(lock) in str(error.value)
    assert names(tmp_path) == before
    assert target.read_text() == "three years of work"


def test_the_note_of_a_killed_run_is_no_obstacle(tmp_path):
    (tmp_path / ".a.nc.lock").write_text("process 999999 on elsewhere")  # as version 0.1 wrote it
    with atomic(tmp_path / "a.nc") as part:
        part.write_text("new")
    assert names(tmp_path) == ["a.nc"]


def test_without_locks_of_the_kernel(tmp_path, no_kernel_locks):
    with exclusive(tmp_path / "a.nc"):
        assert names(tmp_path) == [".a.nc.held"]
        with pytest.raises(InputError) as error, exclusive(tmp_path / "a.nc"):
            raise AssertionError("two writers")
        assert f"is being written by process {os.getpid()} on " in str(error.value)
        assert str(tmp_path / ".a.nc.held") in str(error.value)
    for number in range(2):
        append_line(tmp_path / "manifest.jsonl", {"number": number})
    assert names(tmp_path) == ["manifest.jsonl"]
    assert (tmp_path / "manifest.jsonl").read_text().count("\n") == 2


def test_without_fcntl(tmp_path, monkeypatch):
    monkeypatch.setattr(file_lock, "fcntl", None)  # as on Windows
    with atomic(tmp_path / "a.nc") as part:
        part.write_text("new")
    append_line(tmp_path / "b.jsonl", {})
    assert names(tmp_path) == ["a.nc", "b.jsonl"]


@pytest.mark.parametrize("left_by", ["ended", "restarted", "elsewhere", "stranger"])
def test_what_a_killed_run_left_without_locks_of_the_kernel(tmp_path, no_kernel_locks, left_by):
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        child.wait()
    host = "elsewhere" if left_by == "elsewhere" else file_lock.socket.gethostname()
    process = os.getpid() if left_by == "restarted" else child.pid
    note = f"process {process} on {host}\nstarted 1\n"
    held = tmp_path / ".a.nc.held"
    held.write_text("my notes" if left_by == "stranger" else note)
    if left_by in ("ended", "restarted"):
        with exclusive(tmp_path / "a.nc"):
            pass
        assert names(tmp_path) == []
        return
    expected = str(held) if left_by == "stranger" else f"if that process has ended, remove {held}"
    with pytest.raises(InputError) as error, exclusive(tmp_path / "a.nc"):
        raise AssertionError("two writers")
    assert expected in str(error.value)
    assert names(tmp_path) == [held.name]


def test_other_errors_of_locking_name_the_file(tmp_path, monkeypatch):
    def fail(handle, operation):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(file_lock.fcntl, "flock", fail)
    with pytest.raises(OSError) as error, exclusive(tmp_path / "a.nc"):
        raise AssertionError("no lock")
    assert error.value.filename == str(tmp_path / ".a.nc.lock")


def test_a_holder_that_has_just_come_is_named(tmp_path):
    lock = tmp_path / ".a.nc.lock"
    handle = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    threading.Timer(0.05, os.write, (handle, b"process 7 on elsewhere\n")).start()
    with pytest.raises(HeldByAnother, match="process 7 on elsewhere"), exclusive(tmp_path / "a.nc"):
        raise AssertionError("no lock")
    os.close(handle)


def test_a_look_needs_no_lock(tmp_path, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    with monkeypatch.context() as read_only:  # root may write anywhere
        read_only.setattr(file_lock.os, "open", refuse)
        with exclusive(tmp_path / "a.nc", look_first=True):
            pass
        with pytest.raises(PermissionError), exclusive(tmp_path / "a.nc"):
            raise AssertionError("no lock")


@pytest.mark.parametrize("nature", ["link", "file", "open"])
def test_hidden_folders_of_others_are_not_used(tmp_path, nature):
    folder, other = tmp_path / ".c.nc.days", tmp_path / "other"
    other.mkdir()
    if nature == "link":
        folder.symlink_to(other)
    elif nature == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(InputError, match="expected unfinished work of your own or nothing at"):
        open_own_folder(folder)
    assert names(tmp_path) == [".c.nc.days", "other"]


def test_a_hidden_folder_of_another_user_is_not_used(tmp_path):
    folder = tmp_path / ".c.nc.days"
    folder.mkdir()
    try:
        os.chown(folder, 12345, -1)
    except PermissionError:
        pytest.skip("only root can give a folder away")
    with pytest.raises(InputError, match="a folder of another user"):
        open_own_folder(folder)


def test_a_hidden_folder_of_ones_own_is_taken_over(tmp_path):
    folder = tmp_path / ".c.nc.days"
    for _ in range(2):
        open_own_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert names(tmp_path) == [".c.nc.days"]
