"""Classic NetCDF files that are cut short or whose header is damaged.

The NetCDF library reads what lies behind the end of such a file as zeros, and from memory it may crash.
The layout is that of the NetCDF Classic Format Specification (Unidata), of versions 1, 2 and 5.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"CDF"
_VERSIONS = {1, 2, 5}
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
# Bytes of a value of each type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
_MOST_ITEMS = 1 << 16  # dimensions, attributes or variables of a file
_DAMAGED = "its header is damaged"


def check_file(path: Path) -> None:
    """Check a file as :func:`check_content` does its bytes."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_content(content)


def check_content(content: bytes | mmap.mmap) -> None:
    """Check that a classic NetCDF file has all the bytes that its header promises.

    Anything else passes.

    Raises
    ------
    OSError
        If it is shorter, or its header is damaged.
    """
    if content[:3] != MAGIC:
        return
    try:
        needed = _measure(_Header(content))
    except (struct.error, KeyError, IndexError):
        raise OSError(_DAMAGED) from None
    if needed > len(content):
        raise OSError(f"it is cut short: {len(content)} bytes of {needed}")


def _measure(header: _Header) -> int:
    """Count the bytes up to the end of the last value of a file."""
    count = header.read_count()
    is_streamed = count >= (1 << 32) - 1  # the writer has not said how many records follow
    lengths = header.read_dimensions()
    header.skip_attributes()
    variables = header.read_variables(lengths)
    ends = [v.begin + v.size for v in variables if not v.has_records]
    records = [v for v in variables if v.has_records]
    # Records are padded to four bytes, but for those of a single variable.
    step = records[0].size if len(records) == 1 else sum(-(-v.size // 4) * 4 for v in records)
    if count and not is_streamed:
        ends += [v.begin + (count - 1) * step + v.size for v in records]
    return max(ends, default=header.position)


@dataclass(frozen=True)
class _StoredVariable:
    """Where the values of a variable lie, or those of its first record."""

    begin: int
    size: int
    has_records: bool


class _Header:
    """Reads the header of a file from its start to its end."""

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self._version = content[3]
        if self._version not in _VERSIONS:
            raise OSError(_DAMAGED)
        self._count = ">Q" if self._version == 5 else ">I"
        self._offset = ">I" if self._version == 1 else ">Q"
        self.position = 4

    def _read(self, layout: str) -> int:
        (number,) = struct.unpack_from(layout, self._content, self.position)
        self.position += struct.calcsize(layout)
        return int(number)

    def read_count(self) -> int:
        """Read a number of items, or of records."""
        return self._read(self._count)

    def _skip(self, size: int) -> None:
        self.position += -(-size // 4) * 4
        if self.position > len(self._content):
            raise OSError(_DAMAGED)

    def _read_list(self, tag: int) -> int:
        """Read the head of a list; returns how many items follow."""
        kind, count = self._read(">I"), self.read_count()
        if (kind, count) != (0, 0) and (kind != tag or count > _MOST_ITEMS):
            raise OSError(_DAMAGED)
        return count

    def read_dimensions(self) -> list[int]:
        """Read the lengths of the dimensions; 0 is that of records."""
        lengths = []
        for _ in range(self._read_list(_DIMENSIONS)):
            self._skip(self.read_count())
            lengths.append(self.read_count())
        return lengths

    def skip_attributes(self) -> None:
        """Pass over a list of attributes."""
        for _ in range(self._read_list(_ATTRIBUTES)):
            self._skip(self.read_count())
            self._skip(_SIZES[self._read(">I")] * self.read_count())

    def read_variables(self, lengths: list[int]) -> list[_StoredVariable]:
        """Read where all variables lie."""
        variables = []
        for _ in range(self._read_list(_VARIABLES)):
            self._skip(self.read_count())
            count = self.read_count()
            if count > _MOST_ITEMS:
                raise OSError(_DAMAGED)
            shape = [lengths[self.read_count()] for _ in range(count)]
            self.skip_attributes()
            kind = self._read(">I")
            self.read_count()  # the size, which is too small a number for large variables
            begin = self._read(self._offset)
            has_records = bool(shape) and shape[0] == 0
            size = _SIZES[kind] * math.prod(shape[1:] if has_records else shape)
            variables.append(_StoredVariable(begin, size, has_records))
        return variables
