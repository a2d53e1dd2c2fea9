"""Arrays that wait on the disk until they are asked for."""

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
# thousand). More is a file that grows while it is unpacked.
_MOST_OPERATIONS = 1 << 20
_BYTES_AN_OPERATION = 256


class Spill:
    """A nameless file that holds arrays; it goes when it is closed, or with this process.

    Parameters
    ----------
    folder : Path, optional
        Where; the system's folder for temporary files by default.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._end = 0

    def keep(self, content: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> SpilledArray:
        """Put the bytes of an array on the disk."""
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
    def room(self) -> int:
        """How many values a file with these arrays may have; more is malice."""
        return _MOST_OPERATIONS + self._end // _BYTES_AN_OPERATION

    def read(self, offset: int, size: int) -> bytes:
        """Bytes that were kept."""
        return os.pread(self._file.fileno(), size, offset)

    def close(self) -> None:
        """Give the space back."""
        self._file.close()


@dataclass(frozen=True)
class SpilledArray:
    """An array that waits on the disk."""

    spill: Spill | None
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    order: str
    content: bytes = b""

    def load(self) -> np.ndarray:
        """The array, in memory and writable."""
        size = self.dtype.itemsize * math.prod(self.shape)
        content = self.content if self.spill is None else self.spill.read(self.offset, size)
        flat = np.frombuffer(bytearray(content), self.dtype) if size else np.empty(0, self.dtype)
        return flat.reshape(self.shape, order="F" if self.order == "F" else "C")
