"""Locks among processes: the kernel's where the file system has them, else a file made by one alone.

A lock of the kernel (flock) ends with its process. Some file systems have none (Lustre by default,
NFS without a lock daemon, all of Windows). There the lock is a file that only one process can make;
it names its process, so that what a killed one has left is recognised on the same machine.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seaice import InputError

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

_NO_KERNEL_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_LONGEST_NOTE = 300  # bytes of a lock file
_WAIT = 0.02  # seconds between two attempts at a lock that another process holds
_ATTEMPTS = 50
_LONGEST_WAIT = 60  # seconds for a line to be appended


def locate_lock(path: Path) -> Path:
    """Path of the lock file of an output."""
    return path.with_name(f".{path.name}.lock")


class LockHeld(Exception):
    """Another process holds the lock; the message names it."""


class _NoKernelLocks(Exception):
    """The file system has no locks of the kernel."""


@contextmanager
def hold_lock(lock: Path) -> Iterator[None]:
    """Hold a lock file; it is removed at the end.

    Raises
    ------
    LockHeld
        If another process holds it.
    InputError
        If something else has the name of the lock file.
    OSError
        If the file cannot be made.
    """
    try:
        handle = _lock_with_kernel(lock)
    except _NoKernelLocks:
        with _hold_own_file(lock):
            yield
        return
    try:
        os.ftruncate(handle, 0)
        os.write(handle, _describe_this_process().encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


def _lock_with_kernel(lock: Path) -> int:
    """Lock a file and return its descriptor; the file is no link and holds nothing but a note."""
    if fcntl is None:
        raise _NoKernelLocks
    while True:
        handle, is_writable = _open_lock(lock)
        try:
            _check_note(lock, handle)
            _flock(lock, handle)
            is_current = _is_same_file(lock, handle)
            if is_current and is_writable:
                return handle
            if is_current:  # a killed run of another user has left it
                lock.unlink()
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # the former holder removed the file between our open and our lock


def _open_lock(lock: Path) -> tuple[int, bool]:
    """Open a lock file, made if need be; returns the descriptor, and whether it may be written to."""
    try:
        return os.open(lock, _FLAGS | _NO_LINK, 0o644), True
    except PermissionError:
        if not lock.exists():
            raise  # the folder may not be written to
        return os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | _NO_LINK), False
    except OSError as error:
        if lock.is_symlink() or lock.is_dir() or error.errno == errno.ENXIO:
            raise _refuse(lock) from None
        raise


def _check_note(lock: Path, handle: int) -> None:
    """Refuse a file that is no lock file: its content would be lost."""
    status = os.fstat(handle)
    note = os.pread(handle, _LONGEST_NOTE, 0) if stat.S_ISREG(status.st_mode) else b"?"
    is_note = not note or (note.startswith(b"process ") and status.st_size < _LONGEST_NOTE)
    if not is_note or status.st_nlink > 1:
        raise _refuse(lock)


def _refuse(lock: Path) -> InputError:
    return InputError(
        f"expected a lock file of this toolbox or none, found a link or another file: {lock}; look "
        "at it and remove it"
    )


def _flock(lock: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockHeld(_wait_for_holder(handle)) from None
    except OSError as error:
        if error.errno not in _NO_KERNEL_LOCKS:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(lock)) from None
        if _is_same_file(lock, handle) and not os.fstat(handle).st_size:
            lock.unlink(missing_ok=True)  # nobody can hold it here; it must not stay
        raise _NoKernelLocks from None


def _is_same_file(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _wait_for_holder(handle: int) -> str:
    """Who holds a lock; the holder writes its name a moment after it has the lock."""
    for _ in range(_ATTEMPTS // 5):
        note = os.pread(handle, _LONGEST_NOTE, 0)
        if note:
            break
        time.sleep(_WAIT)
    return _read_holder(note)


def _read_holder(note: bytes) -> str:
    lines = note.decode("utf-8", "replace").splitlines()
    return lines[0].strip() if lines and lines[0].strip() else "another process"


def _describe_this_process() -> str:
    started = _read_start_time(os.getpid())
    line = f"process {os.getpid()} on {socket.gethostname()}\n"
    return f"{line}started {started}\n" if started else line


def _read_start_time(process: int) -> str:
    """When a process was started, as the kernel counts: two processes of one number differ in it."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


# --- without locks of the kernel ----------------------------------------------------------


@contextmanager
def _hold_own_file(lock: Path) -> Iterator[None]:
    """Hold a lock by a file that only one process can make; :class:`LockHeld` if another holds it."""
    own_lock = lock.with_suffix(".held")
    note = f"{_describe_this_process()}key {uuid.uuid4().hex}\n".encode()
    while True:
        try:
            handle = os.open(own_lock, _FLAGS | os.O_EXCL, 0o644)
            break
        except FileExistsError:
            _remove_left_behind(own_lock)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(note)
        yield
    finally:
        if _read_note(own_lock) in (note, b""):
            own_lock.unlink(missing_ok=True)


def _remove_left_behind(own_lock: Path) -> None:
    """Remove the lock file of a process that has ended; LockHeld if it may still run."""
    note = _read_note(own_lock)
    for _ in range(_ATTEMPTS):
        if note is None:
            return  # its holder has just removed it
        if note:
            break
        time.sleep(_WAIT)  # just made: its holder has not written its name yet
        note = _read_note(own_lock)
    if note and not note.startswith(b"process "):
        raise _refuse(own_lock)
    if not note or not _has_ended(note):
        raise LockHeld(
            f"{_read_holder(note or b'')} (this file system has no locks of the kernel: if that process "
            f"has ended, remove {own_lock})"
        )
    # Of two processes that come here at once one moves the file; what it moved is looked at again.
    aside = own_lock.with_name(f"{own_lock.name}.{uuid.uuid4().hex}")
    with suppress(FileNotFoundError):
        own_lock.rename(aside)
        if _read_note(aside) != note:
            with suppress(OSError):
                os.link(aside, own_lock)
        aside.unlink()


def _read_note(lock: Path) -> bytes | None:
    """The content of a lock file; None if there is none."""
    try:
        handle = os.open(lock, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _NO_LINK)
    except FileNotFoundError:
        return None
    except OSError:
        return b"?"
    try:
        return os.read(handle, _LONGEST_NOTE)
    finally:
        os.close(handle)


def _has_ended(note: bytes) -> bool:
    """Whether the process that a note names is known to have ended: on this machine alone."""
    match = re.match(r"process (\d{1,9}) on (\S+)(?:\nstarted (\d+))?", note.decode("utf-8", "replace"))
    if match is None or match[2] != socket.gethostname() or os.name == "nt":
        return False
    process = int(match[1])
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return bool(match[3]) and _read_start_time(process) not in ("", match[3])


@contextmanager
def hold_file(handle: int, path: Path) -> Iterator[None]:
    """Wait for and hold an open file among all processes, while a line is appended to it."""
    try:
        if fcntl is None:
            raise OSError(errno.ENOSYS, "no locks")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in _NO_KERNEL_LOCKS:
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from None
    else:
        yield  # closing the file gives it back
        return
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        with ExitStack() as stack:
            try:
                stack.enter_context(_hold_own_file(locate_lock(path)))
            except LockHeld as error:
                if time.monotonic() > deadline:
                    raise OSError(errno.EBUSY, f"in use by {error}", str(path)) from None
                time.sleep(_WAIT)
                continue
            yield
            return
