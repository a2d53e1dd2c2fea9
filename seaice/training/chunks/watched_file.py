"""Files that are read by offset and refused as soon as they are not the same file any more."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from seaice import InputError
from seaice.open_file.address import Address


class FileState(NamedTuple):
    """State of a file; it changes when the file is written to or replaced.

    Attributes
    ----------
    size : int
        Bytes.
    mtime_ns : int
        Time of the last change, nanoseconds.
    inode : int
        Number of the file in its file system.
    """

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def read(cls, file: Path | int) -> FileState:
        """Read the state of a path (links are followed) or of an open descriptor.

        Raises
        ------
        OSError
            If there is no such file.
        """
        status = os.stat(file)
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class WatchedFile:
    """File that several threads and processes read by offset.

    Every process opens the file for itself when it first reads: a descriptor is neither pickled
    nor used by a process that inherited it through a fork.

    Parameters
    ----------
    path : Path
        Absolute, because the process may be in another folder when it opens the file.
    state : FileState, optional
        The expected state of the file; by default its state now.
    """

    def __init__(self, path: Path, state: FileState | None = None) -> None:
        self.path = path
        self.state = state or FileState.read(path)
        self._handle: int | None = None
        self._process: int | None = None  # that opened the file

    def get_handle(self) -> int:
        """Return the descriptor of this process; open the file first if need be.

        Raises
        ------
        InputError
            If the file is gone, or was changed or replaced since.
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
        # Of the descriptor: it keeps reading the old file if the path is given to another one.
        if FileState.read(self._handle) != self.state:
            self.close()
            raise make_changed_cube_error(self.path)
        return self._handle

    def read(self, offset: int, size: int) -> bytes:
        """Read bytes from an offset on, fewer at the end of the file; after :meth:`get_handle`."""
        assert self._handle is not None
        return os.pread(self._handle, size, offset)  # no common file position, so safe in threads

    def prefetch(self, offset: int, size: int) -> None:
        """Ask the system to load bytes that will be read soon, without waiting for them."""
        if self._handle is not None and hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self._handle, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the descriptor of this process; the next :meth:`get_handle` opens the file again."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_handle": None, "_process": None}

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()


def make_changed_cube_error(path: Path | Address) -> InputError:
    """Return the error for a cube that was changed or replaced since the Dataset was made."""
    return InputError(f"{path} is another cube than before; make the Dataset anew")
