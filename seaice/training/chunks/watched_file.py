"""A file read at any place from any process, as long as it stays the file it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from seaice import InputError


class FileState(NamedTuple):
    """What changes when a file is written to or replaced.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Time of the last change, nanoseconds.
    inode : int
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, file: Path | int) -> FileState:
        """State of a path (links are followed) or of an open descriptor; OSError if there is none."""
        found = os.stat(file)
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class WatchedFile:
    """Reads by offset, from several threads at once and on either side of a fork.

    The file is opened when a process first reads. No handle is pickled, and one inherited
    through fork is closed, not used.

    Parameters
    ----------
    path : Path
        Absolute, for the process may be in another folder when it opens it.
    state : FileState, optional
        The file as it is expected; by default as it is now.
    """

    def __init__(self, path: Path, state: FileState | None = None) -> None:
        self.path = path
        self.state = state or FileState.of(path)
        self._handle: int | None = None
        self._process: int | None = None

    def handle(self) -> int:
        """Give the descriptor of this process.

        Raises
        ------
        InputError
            If the file has gone, or was changed or replaced since.
        """
        if self._handle is None or self._process != os.getpid():
            self.close()
            try:
                self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise InputError(
                    f"no such cube: {self.path}; make it with consolidate_data.py"
                ) from None
            self._process = os.getpid()
        if FileState.of(self._handle) != self.state:
            self.close()
            raise another_cube(self.path)
        return self._handle

    def read(self, offset: int, size: int) -> bytes:
        """Bytes from a place on, fewer at the end of the file. Call :meth:`handle` before."""
        assert self._handle is not None
        return os.pread(self._handle, size, offset)

    def expect(self, offset: int, size: int) -> None:
        """Have the disk fetch bytes that will be read soon, without waiting for them."""
        if self._handle is not None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close this process's descriptor; the next read opens it again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None, "_process": None}

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def another_cube(path: Path) -> InputError:
    """What to say of a cube that is not the one a Dataset was made of."""
    return InputError(f"{path} is another cube than before; make the Dataset anew")
