"""Rasters read row by row with rasterio, which reads zips, tiles and compressed files in place."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from seaice import InputError


@contextmanager
def open_raster(address: str, path: Path) -> Iterator[Any]:
    """Open a raster; errors of reading name ``path``.

    Raises
    ------
    InputError
        If it is none, or is damaged or cut.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            warnings.simplefilter("ignore", PendingDeprecationWarning)  # of affine
            with rasterio.open(address) as raster:
                yield raster
    except (RasterioError, OSError) as error:
        cause = error.__cause__ or error
        reason = " ".join(str(cause).split())[:150]
        raise InputError(
            f"expected a whole TIFF, found a damaged or cut one: {path} ({reason}); download it again"
        ) from None


def read_rows(raster: Any, band: int, rows: range) -> np.ndarray:
    """Read consecutive rows of a band (from 1), shape (rows, columns)."""
    window = ((rows.start, rows.stop), (0, raster.width))
    return np.asarray(raster.read(band, window=window))


def split_rows(lines: int, samples: int, factor: int) -> Iterator[range]:
    """Split the lines of an image into blocks of about 2 million pixels and whole means.

    Examples
    --------
    >>> list(split_rows(7, 400_000, 2))
    [range(0, 4), range(4, 6)]
    """
    step = max(1, 2_000_000 // max(samples, 1) // factor) * factor
    stop = lines // factor * factor
    for first in range(0, stop, step):
        yield range(first, min(first + step, stop))
