"""Damage done to files on purpose: what simulated archives hold beside sound files."""

from __future__ import annotations

import zlib
from pathlib import Path

from seaice.open_file import open_hdf5

ERROR_PAGE = "<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"


def cut_in_half(path: Path) -> None:
    """Leave the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip_bit(path: Path, dataset: str) -> None:
    """Change one bit of the deflated values of an HDF5 dataset, one that makes a difference.

    Not every bit does: zlib can often code the same bytes in more than one way.
    """
    with open_hdf5(path) as file:
        stored = file[dataset].id
        chunks = [stored.get_chunk_info(i) for i in range(stored.get_num_chunks())]
    largest = max(chunks, key=lambda chunk: chunk.size)
    content = bytearray(path.read_bytes())
    chunk = slice(largest.byte_offset, largest.byte_offset + largest.size)
    for position in range(largest.byte_offset + largest.size // 2, chunk.stop):
        content[position] ^= 0b100
        try:
            zlib.decompress(content[chunk])
        except zlib.error:
            break
        content[position] ^= 0b100
    path.write_bytes(content)
