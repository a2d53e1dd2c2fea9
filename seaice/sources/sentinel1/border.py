"""Pixels of an image that hold backscatter: neither empty ones nor the noise along the borders."""

from __future__ import annotations

import numpy as np

_LEAST_RUN = 100
# Samples at both sides of an image whose values are small but not 0 before version 2.9 of the processor.
TRIM_BEFORE_2_9 = 200


def find_valid(numbers: np.ndarray, trim: int = 0) -> np.ndarray:
    """Find the pixels with backscatter.

    A pixel is valid if it is above 0 in all polarisations and lies between the first and the last run
    of more than 100 such pixels of its row. Thresholds on backscatter would take calm water for noise.

    Parameters
    ----------
    numbers : ndarray of uint16, shape (polarisations, rows, samples)
        Digital numbers; 0 is no data.
    trim : int
        Valid pixels to leave out at both ends of every row.

    Returns
    -------
    ndarray of bool, shape (rows, samples)
    """
    positive: np.ndarray = np.all(numbers > 0, axis=0)
    samples = positive.shape[1]
    run = min(_LEAST_RUN + 1, samples)
    sums = np.zeros((len(positive), samples + 1), np.int32)
    np.cumsum(positive, axis=1, out=sums[:, 1:])
    full = sums[:, run:] - sums[:, :-run] == run
    first = full.argmax(axis=1)
    last = samples - 1 - full[:, ::-1].argmax(axis=1)
    columns = np.arange(samples)
    inside = (columns >= (first + trim)[:, None]) & (columns <= (last - trim)[:, None])
    return positive & inside & full.any(axis=1)[:, None]
