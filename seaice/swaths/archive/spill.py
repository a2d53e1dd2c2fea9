"""A temporary file for the arrays of a classic archive while it is open."""

from __future__ import annotations

import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

SMALL = 4096  # bytes; shorter arrays stay in memory
# A pickle may have so many values, and one more for so many bytes of arrays (a swath has a
# thousand values). A file with more grows while it is unpacked.
_MOST_VALUES = 1 << 20
_BYTES_PER_VALUE = 256


class SpillFile:
    """A temporary file without a name that holds arrays; it vanishes with this process.

    Parameters
    ----------
    folder : Path, optional
        Folder of the file; the system's folder for temporary files by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._end = 0

    def store(self, content: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> SpilledArray:
        """Store the bytes of an array; the bytes of a small one stay in memory."""
        if len(content) < SMALL:
            return SpilledArray(None, 0, dtype, shape, order, content)
        array = SpilledArray(self, self._end, dtype, shape, order)
        try:
            self._file.write(content)
            self._file.flush()
        except OSError as error:
            reason = f"{error.strerror}: the arrays of a classic archive need room while it is open"
            raise OSError(error.errno, reason, str(self._folder)) from None
        self._end += len(content)
        return array

    @property
    def most_values(self) -> int:
        """Number of values that a pickle with these arrays may have; one with more is hostile."""
        return _MOST_VALUES + self._end // _BYTES_PER_VALUE

    def read(self, offset: int, size: int) -> bytes:
        """Bytes that were stored."""
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Close the file, which removes it."""
        self._file.close()


@dataclass(frozen=True)
class SpilledArray:
    """An array whose bytes are in a :class:`SpillFile`, or in memory if it is small.

    Attributes
    ----------
    spill : SpillFile or None
        None: the bytes are ``content``.
    offset : int
        Position of the first byte in the file.
    dtype : dtype
    shape : tuple of int
    order : str
        "C" or "F", the order of the bytes in memory.
    content : bytes
        Bytes of a small array.
    """

    spill: SpillFile | None
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    order: str
    content: bytes = b""

    def load(self) -> np.ndarray:
        """The array, in memory and writable."""
        size = self.dtype.itemsize * math.prod(self.shape)
        content = self.content if self.spill is None else self.spill.read(self.offset, size)
        values = np.frombuffer(bytearray(content), self.dtype) if size else np.empty(0, self.dtype)
        return values.reshape(self.shape, order="F" if self.order == "F" else "C")
