"""Damage of HDF5 files that the HDF5 library does not survive, or does not see.

Attributes that are texts of any length lie in global heaps. A heap with an object of length zero, as
one flipped bit makes it, sends the library into a loop without end that not even Ctrl-C interrupts. A
chunk that the index of a dataset does not list any more is read as fill values. The layouts are those
of the HDF5 File Format Specification 3.0 (The HDF Group), sections III.A and III.E.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SCANNED = 1 << 28  # bytes of a file in which every byte is looked at; of a larger one its objects
_SEARCHED = 1 << 26  # bytes of a file of which all chunks are listed
_HEAP = b"GCOL\x01\0\0\0"  # signature and version of a heap
_LENGTH = struct.Struct("<Q")  # bytes of the whole heap; follows the signature
_OBJECT = struct.Struct("<HHIQ")  # head of an object: number, references, reserved, length
_ENDLESS = "a table of texts in it is damaged"
_SHUFFLE, _DEFLATE, _FLETCHER = 2, 1, 3  # numbers of filters in the HDF5 registry
_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]")  # start of a chunk that deflate has packed
_MOST_ATTEMPTS = 4096  # at finding chunks
# What h5py raises on damage.
_DAMAGE = (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError, SystemError)


def check_file(path: Path, *, chunks: bool) -> None:
    """Check a file as :func:`check_content` does its bytes."""
    if not path.stat().st_size:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_content(content, chunks=chunks)


def check_content(content: bytes | mmap.mmap, *, chunks: bool) -> None:
    """Check the heaps of an HDF5 file and, if asked for, the indexes of its chunks.

    Anything but an HDF5 file passes; the library says what is wrong with it.

    Parameters
    ----------
    content : bytes or mmap
    chunks : bool
        Check all datasets as :func:`check_chunks` does, unless the file is large.

    Raises
    ------
    OSError
        If the file is damaged.
    """
    import h5py

    if SIGNATURE not in content[:4096]:
        return
    if len(content) > _SCANNED:
        if not _read_texts(content):
            _scan_heaps(content)
        return
    # A heap that was given up may be half overwritten: only those that are in use matter then.
    if not all(_is_whole_heap(content, start) for start in _find_heaps(content)):
        _read_texts(content)
    if chunks and len(content) <= _SEARCHED:
        with h5py.File(_GuardedFile(content), "r") as file:
            _refuse_external(file)
            for dataset in _list_chunked(file):
                check_chunks(dataset, content)


def _scan_heaps(content: bytes | mmap.mmap) -> None:
    if not all(_is_whole_heap(content, start) for start in _find_heaps(content)):
        raise OSError(_ENDLESS)


def _find_heaps(content: bytes | mmap.mmap) -> Iterator[int]:
    start = content.find(_HEAP)
    while start >= 0:
        yield start
        start = content.find(_HEAP, start + 1)


def _is_whole_heap(content: bytes | mmap.mmap, start: int) -> bool:
    """Whether a heap can be walked to its end."""
    position = start + len(_HEAP)
    if position + _LENGTH.size > len(content):
        return False
    end = start + _LENGTH.unpack_from(content, position)[0]
    position += _LENGTH.size
    if end > len(content):
        return False
    while position + _OBJECT.size <= end:
        number, _, _, length = _OBJECT.unpack_from(content, position)
        # Number 0 is the free rest, whose length counts its own head; others end at a multiple of 8.
        step = _OBJECT.size + (length + 7) // 8 * 8 if number else length
        if step < _OBJECT.size or position + step > end:
            return False
        position += step
    return True


class _GuardedFile(io.RawIOBase):
    """A file for the HDF5 library in which heaps without an end are no heaps.

    The library reads a heap in one piece, from its first byte on.
    """

    def __init__(self, content: bytes | mmap.mmap) -> None:
        self._content = content
        self._position = 0
        self.is_endless = False  # whether such a heap was read

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; returns it."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._content)}
        self._position = bases[whence] + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on; returns the number of bytes."""
        view = memoryview(buffer).cast("B")
        piece = self._content[self._position : self._position + len(view)]
        if piece[: len(_HEAP)] == _HEAP and not _is_whole_heap(self._content, self._position):
            self.is_endless = True
            piece = bytes(len(piece))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def _read_texts(content: bytes | mmap.mmap) -> bool:
    """Read all attributes, so that every heap they lie in is looked at.

    Returns
    -------
    bool
        Whether these are all heaps that may be read: false if a dataset has texts or lists, too.

    Raises
    ------
    OSError
        If a heap has no end.
    """
    import h5py

    file = _GuardedFile(content)
    has_all = True

    def read_attributes(item: Any) -> None:
        for name in item.attrs:
            with suppress(*_DAMAGE):  # the reader says what is wrong with it
                item.attrs[name]

    def visit(_: str, item: Any) -> None:
        nonlocal has_all
        read_attributes(item)
        has_all &= not isinstance(item, h5py.Dataset) or not item.dtype.hasobject

    with suppress(*_DAMAGE), h5py.File(file, "r") as opened:
        read_attributes(opened)
        opened.visititems(visit)
    if file.is_endless:
        raise OSError(_ENDLESS)
    return has_all


def check_chunks(
    dataset: Any, content: bytes | mmap.mmap | None = None, *, written_whole: bool = False
) -> None:
    """Check that the index of a dataset lists its chunks, each once, and that none was lost.

    Parameters
    ----------
    dataset : h5py.Dataset
        Any dataset; one that is not stored in chunks passes.
    content : bytes or mmap, optional
        The file that it is in, if it was opened from memory.
    written_whole : bool
        Whether every chunk was written, so that an absent one was lost.

    Raises
    ------
    OSError
        If its index is damaged.
    """
    if dataset.chunks is None or not dataset.size:
        return
    if content is None:
        with (
            Path(dataset.file.filename).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        ):
            check_chunks(dataset, mapped, written_whole=written_whole)
        return
    steps, filters = dataset.chunks, _list_filters(dataset)
    # Texts and lists of any length are stored as references, whose size is not that of the type.
    size = 0 if dataset.dtype.hasobject else math.prod(steps) * dataset.dtype.itemsize
    chunks = _list_chunks(dataset)
    has_own_places = len({chunk.chunk_offset for chunk in chunks}) == len(chunks) and all(
        first % step == 0 and first < length
        for chunk in chunks
        for first, step, length in zip(chunk.chunk_offset, steps, dataset.shape, strict=True)
    )
    if not (
        has_own_places
        and all(chunk.byte_offset + chunk.size <= len(content) for chunk in chunks)
        and (not size or all(_is_packed_as_said(chunk, filters, size) for chunk in chunks))
        and all(_is_found(dataset, chunk, content) for chunk in chunks[:_MOST_ATTEMPTS])
    ):
        raise OSError(f"the index of the chunks of {dataset.name} is damaged")
    needed = math.prod(-(-n // step) for n, step in zip(dataset.shape, steps, strict=True))
    can_be_recognised = size and _DEFLATE in filters
    if len(chunks) < needed and (
        written_whole or (can_be_recognised and _has_lost_chunk(dataset.file, content, size))
    ):
        raise OSError(f"chunks of {dataset.name} are lost")


def _refuse_external(file: Any) -> None:
    """Refuse values that lie in a file of another name, whatever is in it."""
    import h5py

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.external:
            raise OSError(f"the values of {name} lie in another file, {item.external[0][0]}")

    file.visititems(visit)


def _list_chunked(file: Any) -> list[Any]:
    """The datasets of a file that are stored in chunks."""
    import h5py

    datasets: list[Any] = []

    def visit(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None:
            datasets.append(item)

    file.visititems(visit)
    return datasets


def _list_chunks(dataset: Any) -> list[Any]:
    chunks: list[Any] = []
    dataset.id.chunk_iter(chunks.append)
    return chunks


def _list_filters(dataset: Any) -> list[int]:
    creation = dataset.id.get_create_plist()
    return [creation.get_filter(number)[0] for number in range(creation.get_nfilters())]


def _is_found(dataset: Any, chunk: Any, content: bytes | mmap.mmap) -> bool:
    """Whether reading, which searches the index, comes to the chunk that is listed."""
    try:
        _, stored = dataset.id.read_direct_chunk(chunk.chunk_offset)
    except (OSError, RuntimeError):
        return False
    return bool(stored == content[chunk.byte_offset : chunk.byte_offset + chunk.size])


def _is_packed_as_said(chunk: Any, filters: list[int], size: int) -> bool:
    """Whether a chunk may have left out the filters that it says it has left out.

    Only a compression that would have made it longer is left out.
    """
    if not chunk.filter_mask:
        return bool(filters) or chunk.size == size
    left_out = [number for bit, number in enumerate(filters) if chunk.filter_mask >> bit & 1]
    fletcher = 4 if _FLETCHER in filters else 0
    return (
        not chunk.filter_mask >> len(filters)
        and not {_SHUFFLE, _FLETCHER} & set(left_out)
        and chunk.size == size + fletcher
    )


def _has_lost_chunk(file: Any, content: bytes | mmap.mmap, size: int) -> bool:
    """Whether a whole deflated chunk stands between those of the indexes.

    A chunk that was never written leaves nothing behind.
    """
    chunks = [chunk for dataset in _list_chunked(file) for chunk in _list_chunks(dataset)]
    spans = sorted((chunk.byte_offset, chunk.byte_offset + chunk.size) for chunk in chunks)
    bounds = [0, *(bound for span in spans for bound in span), len(content)]
    attempts = 0
    for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
        for match in _DEFLATED.finditer(content, start, max(start, stop)):
            attempts += 1
            if attempts > _MOST_ATTEMPTS:
                return False
            inflater = zlib.decompressobj()
            with suppress(zlib.error):
                length = len(inflater.decompress(content[match.start() : stop], size + 1))
                if length == size and inflater.eof:
                    return True
    return False
