"""Reading a dataset of one row a chunk past the HDF5 library's chunk-by-chunk path.

The Bremen files keep one row a chunk: thousands of calls into the library for a day. Here
the chunks are listed once, the file is read once, and compiled loops inflate the rows in all
threads: four tenths of the CPU time, bit for bit the same values.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from seaice.open_file import open_hdf5
from seaice.runtime.threads import each_band

_FILTERS = [2, 1]  # shuffle, then deflate


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
            # Numbers alone: thousands of objects that live on keep the garbage collector busy.
            begins, ends = [0] * len(out), [0] * len(out)

            def note(chunk: Any) -> None:
                if not chunk.filter_mask:
                    row = chunk.chunk_offset[0]
                    begins[row], ends[row] = chunk.byte_offset, chunk.byte_offset + chunk.size

            dataset.id.chunk_iter(note)
        return 0 not in ends and _inflate(content, begins, ends, out)
    except (OSError, LookupError, RuntimeError, ValueError, OverflowError):
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


def _inflate(content: bytes, begins: list[int], ends: list[int], out: np.ndarray) -> bool:
    """Inflate the rows, which lie between these bytes; whether all are sound."""
    from seaice.sources.bremen import _kernels

    is_row = np.zeros(len(out), bool)
    where = (np.frombuffer(content, np.uint8), np.array(begins, np.int64), np.array(ends, np.int64))
    each_band(_kernels.inflate_rows, len(out), *where, out.view(np.uint32), is_row)
    return bool(is_row.all())
