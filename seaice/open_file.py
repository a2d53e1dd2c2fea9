"""Damage of HDF5 files: what the library would never return from, and what to say of the rest.

Attributes that are texts of any length lie in global heaps. A heap with an object of length
zero, as one flipped bit makes it, sends the HDF5 library into a loop without end that not
even Ctrl-C interrupts. So the heaps are walked here before the library sees the file.

References
----------
The HDF Group, HDF5 File Format Specification 3.0, section III.E (global heap).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

_START = b"GCOL\x01\0\0\0"  # signature and version of a heap
_LENGTH = struct.Struct("<Q")  # of the heap; follows the start
_OBJECT = struct.Struct("<HHIQ")  # number, references, reserved, length


def heaps_are_whole(path: Path) -> bool:
    """Whether every global heap of a file can be walked to its end. O(bytes), few of them read.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    if not path.stat().st_size:
        return True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return all(_is_whole(content, start) for start in _starts(content))


def _starts(content: mmap.mmap) -> Iterator[int]:
    start = content.find(_START)
    while start >= 0:
        yield start
        start = content.find(_START, start + 1)


def _is_whole(content: mmap.mmap, start: int) -> bool:
    place = start + len(_START)
    if place + _LENGTH.size > len(content):
        return False
    end = start + _LENGTH.unpack_from(content, place)[0]
    place += _LENGTH.size
    if end > len(content):
        return False
    while place + _OBJECT.size <= end:
        number, _, _, length = _OBJECT.unpack_from(content, place)
        # Number 0 is the free rest, whose length counts its own head; others end at a multiple of 8.
        step = _OBJECT.size + (length + 7) // 8 * 8 if number else length
        if step < _OBJECT.size or place + step > end:
            return False
        place += step
    return True


def explained(path: Path, error: BaseException) -> str:
    """One line for a file that cannot be read."""
    if not path.exists():
        return f"no such file: {path}"
    if path.is_dir():
        return f"expected an HDF5 file, found a folder: {path}"
    reason = " ".join(str(error).split()) or type(error).__name__
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as refused:
        return f"the file cannot be read ({refused.strerror}): {path}; check its permissions"
    if not start:
        return f"expected an HDF5 file, found an empty file: {path}; fetch it again"
    if b"<html" in start.lower() or b"<!doctype" in start.lower():
        return f"expected an HDF5 file, found a web page: {path}; fetch it again"
    return f"the file cannot be read ({reason}): {path}; fetch it again"
