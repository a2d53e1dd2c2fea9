"""A checksum behind NetCDF and HDF5 files, and in the metadata of Zarr groups, that readers compare.

HDF5 keeps no checksum of its chunk indexes, of arrays without filters and of texts of any
length: a flipped bit there loses rows or changes coordinates without a word. So the writers of this
toolbox append a few bytes behind what the HDF5 library reads: a CRC32C of the whole file but for
chunks whose filter has a checksum of its own. A program that changes the file cuts them off,
for the library ends a file where its own content ends; without them nothing is compared.

Zarr stores checksums with its chunks, but none of its metadata. Every ``zarr.json`` ends in a line
of blanks and tabs, which are the bits of the CRC32C of the text before. Readers of JSON pass over
them, and a program that changes the metadata writes the file anew without them.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

# Filters of HDF5 with a checksum in what they store: deflate, Fletcher32, Zstandard as cubes use it.
_CHECKED_FILTERS = {1, 3, 32015}
_MAGIC = b"seaice: CRC32C\r\n"
# Behind the content: the deflated table, then its size, the checksum of the ranges in it, the checksum
# of the table and of these two numbers, and the magic bytes.
_SIZES = struct.Struct("<QI")
_END = struct.Struct(f"<I{len(_MAGIC)}s")
_TAIL = _SIZES.size + _END.size
_SIGN = re.compile(rb"\n([ \t]{32})\Z")


def append_checksum(path: Path) -> None:
    """Append the checksum to a NetCDF-4 or HDF5 file, or to the metadata in a Zarr group.

    Any other file is left as it is, such as a NetCDF-3 file.
    """
    if path.is_dir():
        for metadata in _list_metadata(path):
            _sign_metadata(metadata)
    elif _is_hdf5(path):
        tail = _make_tail(path)
        with path.open("ab") as content:
            content.write(tail)


def compare_checksum(path: Path) -> bool:
    """Compare a file or the metadata of a Zarr group with the checksum in it.

    Returns
    -------
    bool
        False if there is no checksum.

    Raises
    ------
    OSError
        If the content is another, or cannot be read.
    """
    if path.is_dir():
        compared = [_compare_metadata(file) for file in _list_metadata(path)]
        return all(compared)
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return compare_content(content)


def compare_content(content: bytes | mmap.mmap) -> bool:
    """Compare the bytes of a file as :func:`compare_checksum` does."""
    from google_crc32c import value as crc32c

    if len(content) < _TAIL or content[-len(_MAGIC) :] != _MAGIC:
        return False
    table_end = len(content) - _TAIL
    sizes = content[table_end : table_end + _SIZES.size]
    size, checksum = _SIZES.unpack(sizes)
    table = content[max(0, table_end - size) : table_end]
    if crc32c(bytes(table) + sizes) != _END.unpack_from(content, table_end + _SIZES.size)[0]:
        raise OSError("its checksum is damaged")
    if _compute_checksum(content, _unpack_ranges(table)) != checksum:
        raise OSError("its content does not fit its checksum")
    return True


def _is_hdf5(path: Path) -> bool:
    import h5py

    return bool(h5py.is_hdf5(path))


def _make_tail(path: Path) -> bytes:
    from google_crc32c import value as crc32c

    ranges = _list_ranges(path)
    table = zlib.compress(np.diff(ranges.reshape(-1), prepend=0).astype("<i8").tobytes())
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        sizes = _SIZES.pack(len(table), _compute_checksum(content, ranges))
    return table + sizes + _END.pack(crc32c(table + sizes), _MAGIC)


def _unpack_ranges(table: bytes) -> np.ndarray:
    return np.cumsum(np.frombuffer(zlib.decompress(table), "<i8")).reshape(-1, 2)


def _list_ranges(path: Path) -> np.ndarray:
    """First and last byte + 1 of all that lies outside of chunks with a checksum of their own."""
    import h5py

    chunks: list[tuple[int, int]] = []

    def list_chunks(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None and _has_checked_chunks(item):
            item.id.chunk_iter(
                lambda chunk: (
                    None
                    if chunk.filter_mask
                    else chunks.append((chunk.byte_offset, chunk.byte_offset + chunk.size))
                )
            )

    with h5py.File(path, "r+") as file:  # the library cuts off what follows its content
        offset = file.userblock_size
        file.visititems(list_chunks)
    covered = np.sort(np.array(chunks, np.int64).reshape(-1, 2), axis=0) + offset
    bounds = np.concatenate([[0], covered.reshape(-1), [path.stat().st_size]]).reshape(-1, 2)
    return bounds[bounds[:, 1] > bounds[:, 0]]


def _has_checked_chunks(dataset: Any) -> bool:
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(i)[0] for i in range(creation.get_nfilters())}
    return bool(filters & _CHECKED_FILTERS)


def _compute_checksum(content: Any, ranges: np.ndarray) -> int:
    from google_crc32c import extend

    checksum = 0
    with memoryview(content) as view:
        for start, stop in ranges.tolist():
            for first in range(start, stop, 1 << 24):
                checksum = extend(checksum, bytes(view[first : min(stop, first + (1 << 24))]))
    return int(checksum)


def _list_metadata(path: Path) -> list[Path]:
    return sorted(path.rglob("zarr.json"))


def _sign_metadata(file: Path) -> None:
    """Write the checksum behind a text; a new file, for the old one may be linked from elsewhere."""
    text = _SIGN.sub(b"", file.read_bytes())
    temporary = file.with_name(f".{file.name}.part")
    temporary.write_bytes(text + b"\n" + _make_sign(text))
    os.replace(temporary, file)


def _make_sign(text: bytes) -> bytes:
    from google_crc32c import value as crc32c

    return f"{crc32c(text):032b}".replace("0", " ").replace("1", "\t").encode()


def _compare_metadata(file: Path) -> bool:
    content = file.read_bytes()
    sign = _SIGN.search(content)
    if sign and sign[1] != _make_sign(content[: sign.start()]):
        raise OSError(f"{file.name} of {file.parent.name} does not fit its checksum")
    return sign is not None
