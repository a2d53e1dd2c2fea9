"""Writing so that a file appears whole or not at all, one writer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from seaice import InputError


class HeldByAnother(InputError):
    """Another run holds the right to write a file; the message names that run."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the right to write ``path``; refuse while another process holds it.

    The lock is the kernel's (flock on a sibling file), so a killed process leaves none.

    Raises
    ------
    HeldByAnother
        If another run holds it.
    InputError
        If there is no such folder, or a folder of that name.
    OSError
        If the folder may not be written to.
    """
    path = _target(path)
    lock = path.with_name(f".{path.name}.lock")
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(handle)
            raise HeldByAnother(
                f"{path} is being written by {holder}; wait for it or choose another output"
            ) from None
        try:
            current = os.stat(lock).st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            current = False
        if current:
            break
        os.close(handle)  # the former holder removed the file between our open and our lock
    try:
        os.ftruncate(handle, 0)
        os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def atomic(
    path: Path, *, verify: Callable[[Path], object] | None = None, locked: bool = False
) -> Iterator[Path]:
    """Write a file so that it appears whole or not at all.

    Yields the path of a temporary sibling. On leaving, the sibling is flushed to the
    disk, checked by ``verify`` and renamed to ``path``; on any error it is removed and
    what stood at ``path`` before stays untouched. Only one process at a time may do so.
    A symbolic link at ``path`` is followed, not replaced.

    Parameters
    ----------
    path : Path
    verify : callable, optional
        Given the temporary file; raises if it is not what it should be.
    locked : bool
        The caller holds :func:`exclusive` for this path already.

    Raises
    ------
    InputError
        If the folder is missing or another run writes the same file.
    OSError
        If the disk is full or the place cannot be written.
    """
    path = _target(path)
    with nullcontext() if locked else exclusive(path):
        temporary = path.with_name(f".{path.name}.part{path.suffix}")
        temporary.unlink(missing_ok=True)  # what a killed run left; nobody else can be writing it
        try:
            yield temporary
            flush(temporary)
            if verify is not None:
                verify(temporary)
            os.replace(temporary, path)
            flush(path.parent)
        except BaseException as error:
            explained = _explained(error, temporary)
            temporary.unlink(missing_ok=True)
            if explained is error:
                raise
            raise explained from error


def _target(path: Path) -> Path:
    """The file a path stands for, in a folder that exists."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"the folder of the output does not exist: {path.parent}; make it first")
    if path.is_dir():
        raise InputError(f"expected a file name for the output, found a folder: {path}")
    return path


def _explained(error: BaseException, temporary: Path) -> BaseException:
    """Name the likely cause when the NetCDF library only says «HDF error»."""
    if not isinstance(error, RuntimeError) or "HDF" not in str(error):
        return error
    return full_disk(error, temporary.parent)


def full_disk(error: BaseException, folder: Path) -> OSError:
    """The error to raise where writing into a folder has failed for want of space."""
    free = shutil.disk_usage(folder).free
    reason = error.strerror if isinstance(error, OSError) else error
    return OSError(
        errno.ENOSPC,
        f"writing failed ({reason}) with {free / 1e6:.0f} MB free: the disk, a quota or a "
        "file-size limit is full",
        str(folder),
    )


def flush(path: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
