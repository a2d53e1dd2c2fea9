"""Chunks of HDF5 datasets, compressed by ISA-L, which is faster than the library's own filter."""

from __future__ import annotations

from typing import Any

import numpy as np


def write_chunks(dataset: Any, values: np.ndarray, *, axis: int = 0) -> None:
    """Write the values of a chunked, deflated dataset, chunk by chunk along an axis.

    Parameters
    ----------
    dataset : h5py.Dataset
        New, with the shape and type of the values; its chunks divide it along one axis only.
    values : ndarray
    axis : int
    """
    from isal import isal_zlib

    chunk, length = dataset.chunks, dataset.chunks[axis]
    for first in range(0, values.shape[axis], length):
        part = values[(slice(None),) * axis + (slice(first, first + length),)]
        # The file holds the last chunk in full, zeros behind the end of the values.
        part = np.pad(part, [(0, full - size) for full, size in zip(chunk, part.shape, strict=True)])
        data = np.ascontiguousarray(part).reshape(-1).view(np.uint8)
        if dataset.shuffle:
            # All first bytes of the values, then all second bytes, and so on: they compress better.
            data = np.ascontiguousarray(data.reshape(-1, values.dtype.itemsize).T)
        offset = [0] * values.ndim
        offset[axis] = first
        dataset.id.write_direct_chunk(tuple(offset), isal_zlib.compress(data, 1))
