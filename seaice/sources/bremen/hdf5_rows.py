"""Reading a dataset of one row a chunk past the HDF5 library's chunk-by-chunk path.

The Bremen files keep one row a chunk: thousands of calls into the library for a day. Here
the chunks are listed once, the file is read once, and ISA-L inflates the rows: about a
third of the time, bit for bit the same values.
"""

from __future__ import annotations

import io
import threading
from typing import Any

import numpy as np

from seaice.open_file import open_hdf5
from seaice.runtime.threads import each_band

_FILTERS = [2, 1]  # shuffle, then deflate
_scratch = threading.local()  # one day of shuffled bytes a thread, used again and again


def read_rows(content: bytes, name: str, out: np.ndarray) -> bool:
    """Read a two-dimensional float32 dataset, deflated and shuffled, one row a chunk.

    Parameters
    ----------
    content : bytes
        The file.
    name : str
        Name of the dataset in the root group.
    out : ndarray of float32, shape (rows, columns)
        Receives the values.

    Returns
    -------
    bool
        False where the file is laid out otherwise or is damaged; ``out`` is then of no
        use, and the library shall read the file or say what is wrong with it.
    """
    try:
        with open_hdf5(io.BytesIO(content)) as file:
            dataset = file[name]
            if not _has_the_layout(dataset, out.shape):
                return False
            chunks: list[Any] = []
            dataset.id.chunk_iter(chunks.append)
        rows = {chunk.chunk_offset[0] for chunk in chunks}
        whole = len(rows) == len(chunks) == len(out) and not any(chunk.filter_mask for chunk in chunks)
        return whole and _inflate(memoryview(content), chunks, out)
    except (OSError, LookupError, RuntimeError, ValueError):
        return False


def _has_the_layout(dataset: Any, shape: tuple[int, ...]) -> bool:
    creation = dataset.id.get_create_plist()
    filters = [creation.get_filter(i)[0] for i in range(creation.get_nfilters())]
    return bool(
        dataset.shape == shape
        and dataset.dtype == np.dtype("<f4")
        and dataset.chunks == (1, shape[1])
        and filters == _FILTERS
    )


def _inflate(content: memoryview, chunks: list[Any], out: np.ndarray) -> bool:
    from isal import isal_zlib

    from seaice.sources.bremen import _kernels

    rows, columns = out.shape
    shuffled = getattr(_scratch, "bytes", None)
    if shuffled is None or shuffled.shape != (rows, 4 * columns):
        shuffled = _scratch.bytes = np.empty((rows, 4 * columns), np.uint8)
    # A byte more than a row: a buffer that is just full is doubled before its checksum is read.
    decompress, header, room = isal_zlib.decompress, 15, 4 * columns + 1
    damaged: Any = isal_zlib.error
    try:
        for chunk in chunks:
            data = content[chunk.byte_offset : chunk.byte_offset + chunk.size]
            # A row of another length does not fit: ValueError, as for any damage.
            shuffled[chunk.chunk_offset[0]] = np.frombuffer(decompress(data, header, room), np.uint8)
    except damaged:
        return False
    each_band(_kernels.unshuffle, rows, shuffled, out.view(np.uint32))
    return True
