"""Writing so that an output appears whole or not at all, one writer at a time.

An output is a file, or a folder where its name ends in ``.zarr`` or it has a mark.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from seaice import InputError
from seaice.open_file.checksum import append_checksum
from seaice.runtime.file_lock import LockHeld, hold_lock, locate_lock
from seaice.runtime.output_kinds import EMPTY, check_replaceable, name_kind, recognise_kind

# An output of this ending is a folder.
FOLDER_ENDING = ".zarr"


class HeldByAnother(InputError):
    """Another run holds the right to write a file; the message names that run."""


@contextmanager
def exclusive(path: Path, *, kind: str = "", look_first: bool = False, mark: str = "") -> Iterator[None]:
    """Hold the right to write ``path``; refuse while another process holds it.

    A killed process leaves no lock that counts (:mod:`seaice.runtime.file_lock`).
    A folder that a killed process had moved aside and not yet replaced is put back.

    Parameters
    ----------
    path : Path
    kind : str, optional
        Kind of the output, a value of :data:`seaice.cf.KINDS`: a file of another kind is refused
        now. Without it :func:`atomic` refuses only when the output is written.
    look_first : bool
        The caller first looks whether anything is to be done: where the folder may not be
        written to there is no lock, and the first attempt to write fails.
    mark : str, optional
        As in :func:`atomic`.

    Raises
    ------
    HeldByAnother
        If another run holds it.
    OutputRefused
        If a file of another kind is there.
    InputError
        If there is no such folder, or a folder of that name.
    OSError
        If the folder may not be written to.
    """
    path = _resolve_output(path, mark)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_lock(locate_lock(path)))
        except LockHeld as holder:
            raise HeldByAnother(
                f"{path} is being written by {holder}; wait for it or choose another output"
            ) from None
        except OSError as error:
            if not (look_first and error.errno in _MAY_NOT_WRITE):
                raise
        else:
            _recover(path, mark)
        if kind:
            check_replaceable(path, name_kind(kind))
        yield


@contextmanager
def atomic(
    path: Path,
    *,
    verify: Callable[[Path], object] | None = None,
    locked: bool = False,
    checksum: bool = False,
    kind: str = "",
    mark: str = "",
) -> Iterator[Path]:
    """Write a file, or a folder of that ending, so that it appears whole or not at all.

    Yields the path of a temporary sibling, which does not exist. On leaving, the sibling is
    flushed to the disk, checked by ``verify`` and renamed to ``path``; on any error it is
    removed and what stood at ``path`` before stays untouched. Only one process at a time
    may do so. A symbolic link at ``path`` is followed, not replaced. A file of another kind than
    what was written is never replaced (:mod:`seaice.runtime.output_kinds`).

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
    kind : str, optional
        As in :func:`exclusive`.
    mark : str, optional
        The output is a folder of any name, in which a file of this name is written: a folder that is
        there is replaced if it is empty or has one too.

    Raises
    ------
    OutputRefused
        If a file of another kind is there.
    InputError
        If the folder is missing or another run writes the same file.
    OSError
        If the disk is full or the output cannot be written.
    """
    path = _resolve_output(path, mark)
    with nullcontext() if locked else exclusive(path, kind=kind, mark=mark):
        temporary = _locate_temporary(path)
        _remove(temporary)  # what a killed run left; nobody else can be writing it
        try:
            yield temporary
            if checksum:
                append_checksum(temporary)
            _flush_all(temporary)
            if verify is not None:
                verify(temporary)
            is_record = path.name.startswith(".") or path.parent.name.startswith(".")
            if path.exists() and not is_record:  # what is hidden are records of ours
                written = recognise_kind(temporary)
                if written != EMPTY:  # a list that has become empty
                    check_replaceable(path, written)
            _replace(path, temporary)
        except BaseException as error:
            explanation = _explain_error(error, temporary)
            _recover(path, mark)
            _remove(temporary)
            if explanation is error:
                raise
            raise explanation from error


def clear(path: Path) -> None:
    """Remove what a killed run left beside an output; the caller holds :func:`exclusive`."""
    _remove(_locate_temporary(_resolve_output(path)))


def _locate_temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.part{path.suffix}")


def _resolve_output(path: Path, mark: str = "") -> Path:
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
    elif mark and path.is_dir():
        if any(path.iterdir()) and not (path / mark).is_file():
            raise InputError(
                f"expected a new or empty folder for the output, or one of an earlier run, found other "
                f"files in {path}; choose another folder"
            )
    elif path.is_dir():
        raise InputError(f"expected a file name for the output, found a folder: {path}")
    if path.exists() and not path.is_dir() and not path.is_file():
        raise InputError(f"expected a file or nothing at the output, found a device or pipe: {path}")
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


def _recover(path: Path, mark: str = "") -> None:
    """Put back a folder that stands aside, or remove it where it has been replaced."""
    replaced = locate_replaced(path)
    if not (mark or path.suffix == FOLDER_ENDING) or not replaced.is_dir():
        return
    if path.exists():
        shutil.rmtree(replaced)
    else:
        replaced.rename(path)
        flush(path.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
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


# What the libraries of NetCDF, HDF5 and torch say where a file cannot be written to its end.
_WRITING_FAILED = r"HDF|PytorchStreamWriter|inline_container|file write failed|iostream error"


def _explain_error(error: BaseException, temporary: Path) -> BaseException:
    """Return an error that names the cause where the disk is full; otherwise the error itself."""
    # h5py has the number in its text only.
    number = re.search(r"errno = (\d+)", str(error))
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if isinstance(error, RuntimeError) and number and int(number[1]) in full:
        return explain_full_disk(OSError(int(number[1]), os.strerror(int(number[1]))), temporary.parent)
    if isinstance(error, RuntimeError) and re.search(_WRITING_FAILED, str(error)):
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


_MAY_NOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS}

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


def open_own_folder(path: Path) -> None:
    """Make a hidden folder for unfinished work, or take over the one that a stopped run has left.

    Its name is predictable. In a folder that others may write to, one of them could have made it,
    and put there what the work would be continued with.

    Raises
    ------
    InputError
        If it is a link or a file, belongs to another user, or others may write to it.
    OSError
        If it cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
        return
    except FileExistsError:
        status = path.lstat()
    # A new folder shows which owner and mode the file system gives: some know neither.
    with tempfile.TemporaryDirectory(prefix=f"{path.name}.", dir=path.parent) as probe:
        new = os.stat(probe)
    is_own = status.st_uid == new.st_uid
    is_open = bool(status.st_mode & ~new.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    if not stat.S_ISDIR(status.st_mode) or not is_own or is_open:
        nature = "a link or file" if not stat.S_ISDIR(status.st_mode) else "a folder of another user"
        if stat.S_ISDIR(status.st_mode) and is_own:
            nature = "a folder that others may write to"
        raise InputError(
            f"expected unfinished work of your own or nothing at {path}, found {nature}; look at it and "
            "remove it, or choose another output"
        )


def flush(path: Path) -> None:
    """Have the kernel write a file, or the names in a folder, to the disk."""
    if os.name == "nt" and path.is_dir():
        return  # Windows opens no folders
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
