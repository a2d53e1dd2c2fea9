"""Writing so that an output appears whole or not at all, one writer at a time.

An output is a file, or a folder where its name ends in ``.zarr``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from seaice import InputError
from seaice.open_file.checksum import append_checksum

# An output of this ending is a folder.
FOLDER_ENDING = ".zarr"


class HeldByAnother(InputError):
    """Another run holds the right to write a file; the message names that run."""


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the right to write ``path``; refuse while another process holds it.

    The lock is the kernel's (flock on a sibling file), so a killed process leaves none.
    A folder that a killed process had moved aside and not yet replaced is put back.

    Raises
    ------
    HeldByAnother
        If another run holds it.
    InputError
        If there is no such folder, or a folder of that name.
    OSError
        If the folder may not be written to.
    """
    path = _resolve_output(path)
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
        _recover(path)
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(handle)


@contextmanager
def atomic(
    path: Path,
    *,
    verify: Callable[[Path], object] | None = None,
    locked: bool = False,
    checksum: bool = False,
) -> Iterator[Path]:
    """Write a file, or a folder of that ending, so that it appears whole or not at all.

    Yields the path of a temporary sibling, which does not exist. On leaving, the sibling is
    flushed to the disk, checked by ``verify`` and renamed to ``path``; on any error it is
    removed and what stood at ``path`` before stays untouched. Only one process at a time
    may do so. A symbolic link at ``path`` is followed, not replaced.

    A folder cannot be replaced in one step: for a moment the earlier one stands aside under
    a hidden name. Who is killed then leaves it there, and :func:`exclusive` puts it back.

    Parameters
    ----------
    path : Path
    verify : callable, optional
        Given the temporary sibling; raises if it is not what it should be.
    locked : bool
        The caller holds :func:`exclusive` for this path already.
    checksum : bool
        Append the checksum that our readers compare (:mod:`seaice.open_file.checksum`): for the
        arrays of this toolbox, not for files of others.

    Raises
    ------
    InputError
        If the folder is missing or another run writes the same file.
    OSError
        If the disk is full or the output cannot be written.
    """
    path = _resolve_output(path)
    with nullcontext() if locked else exclusive(path):
        temporary = _locate_temporary(path)
        _remove(temporary)  # what a killed run left; nobody else can be writing it
        try:
            yield temporary
            if checksum:
                append_checksum(temporary)
            _flush_all(temporary)
            if verify is not None:
                verify(temporary)
            _replace(path, temporary)
        except BaseException as error:
            explanation = _explain_error(error, temporary)
            _recover(path)
            _remove(temporary)
            if explanation is error:
                raise
            raise explanation from error


def clear(path: Path) -> None:
    """Remove what a killed run left beside an output; the caller holds :func:`exclusive`."""
    _remove(_locate_temporary(_resolve_output(path)))


def _locate_temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.part{path.suffix}")


def _resolve_output(path: Path) -> Path:
    """Resolve the path of an output, links followed; refuse it where it could not be written."""
    path = Path(path).resolve()
    if not path.parent.is_dir():
        raise InputError(f"the folder of the output does not exist: {path.parent}; make it first")
    if path.suffix == FOLDER_ENDING:
        if path.exists() and not (path / "zarr.json").is_file():
            content = "another folder" if path.is_dir() else "a file"
            raise InputError(
                f"expected a Zarr group or nothing at the output, found {content}: {path}; remove it or "
                "choose another name"
            )
    elif path.is_dir():
        raise InputError(f"expected a file name for the output, found a folder: {path}")
    return path


def locate_replaced(path: Path) -> Path:
    """Return where an earlier folder stands while it is replaced."""
    return path.with_name(f".{path.name}.old{path.suffix}")


def _replace(path: Path, temporary: Path) -> None:
    """Rename the temporary sibling to the output."""
    earlier = path.is_dir()  # a file is replaced in one step
    if earlier:
        path.rename(locate_replaced(path))
    os.replace(temporary, path)
    flush(path.parent)
    if earlier:
        # Under a name that is never put back: from here on it may be half removed.
        locate_replaced(path).rename(temporary)
        shutil.rmtree(temporary, ignore_errors=True)  # the next run removes what is left


def _recover(path: Path) -> None:
    """Put back a folder that stands aside, or remove it where it has been replaced."""
    replaced = locate_replaced(path)
    if path.suffix != FOLDER_ENDING or not replaced.is_dir():
        return
    if path.exists():
        shutil.rmtree(replaced)
    else:
        replaced.rename(path)
        flush(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush_all(path: Path) -> None:
    """Have the kernel write a file, or a folder with all that is in it, to the disk."""
    if path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                flush(Path(folder, name))
            flush(Path(folder))
    else:
        flush(path)


def _explain_error(error: BaseException, temporary: Path) -> BaseException:
    """Return an error that names the cause where the disk is full; otherwise the error itself.

    The NetCDF library only says «HDF error» then.
    """
    # h5py has the number in its text only.
    number = re.search(r"errno = (\d+)", str(error))
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if isinstance(error, RuntimeError) and number and int(number[1]) in full:
        return explain_full_disk(OSError(int(number[1]), os.strerror(int(number[1]))), temporary.parent)
    if isinstance(error, RuntimeError) and "HDF" in str(error):
        return explain_full_disk(error, temporary.parent)
    if isinstance(error, OSError) and error.errno in full:
        return explain_full_disk(error, temporary.parent)
    return error


def explain_full_disk(error: BaseException, folder: Path) -> OSError:
    """Return the error to raise where writing into a folder has failed for want of space."""
    free = shutil.disk_usage(folder).free
    reason = error.strerror if isinstance(error, OSError) else error
    return OSError(
        errno.ENOSPC,
        f"writing failed ({reason}) with {free / 1e6:.0f} MB free: the disk, a quota or a "
        "file-size limit is full",
        str(folder),
    )


# Every other file that is written to the same folder would meet these too.
_DISK_TROUBLE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
}


def is_disk_trouble(error: OSError) -> bool:
    """Whether an error of writing is one of the disk, so that no other file can be written either."""
    return error.errno in _DISK_TROUBLE


def flush(path: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
