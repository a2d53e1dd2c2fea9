"""Whole scenes by overlapping tiles, whose predictions fade into each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from seaice import InputError
from seaice.sources.ai4arctic.tables import COARSE

# Images (B, C, size, size) float32 to what can be averaged, (B, K, size, size).
Predict = Callable[[np.ndarray], np.ndarray]


def tile_starts(length: int, size: int, overlap: int) -> np.ndarray:
    """First pixels of the tiles along an axis; the last one is shifted back to the edge.

    Examples
    --------
    >>> tile_starts(250, 100, 20).tolist(), tile_starts(60, 100, 20).tolist()
    ([0, 80, 150], [0])
    """
    if length <= size:
        return np.zeros(1, np.int64)
    return np.append(np.arange(0, length - size, size - overlap), length - size)


def tile_weights(length: int, size: int, overlap: int) -> np.ndarray:
    """Share of every tile in every pixel along an axis.

    A quarter wave over the overlap at both ends, divided by the sum over the tiles, so that the
    shares of a pixel add up to 1. Products of the shares along both axes add up to 1 as well.

    Returns
    -------
    ndarray of float64, shape (tiles, size)
        0 beyond the end of an axis that is shorter than a tile.
    """
    starts = tile_starts(length, size, overlap)
    ramp = np.ones(size)
    if overlap:
        rise = np.sin(np.pi / 2 * (np.arange(overlap) + 0.5) / overlap) ** 2
        ramp[:overlap], ramp[size - overlap :] = rise, rise[::-1]
    total = np.zeros(max(length, size))
    for start in starts:
        total[start : start + size] += ramp
    shares = np.stack([ramp / total[start : start + size] for start in starts])
    shares[:, length:] = 0
    return shares


def blend(
    sar: np.ndarray,
    predict: Predict,
    *,
    amsr2: np.ndarray | None = None,
    size: int = 224,
    overlap: int = 56,
    batch_size: int = 8,
) -> np.ndarray:
    """Predict a whole scene by overlapping tiles.

    Tiles without any SAR are not predicted. What is held besides input and output is one batch.
    Tiles are added in one order, whatever the batches are.

    Parameters
    ----------
    sar : ndarray of float32, shape (2, lines, samples)
        As stored; 0 in both: no SAR. A scene smaller than a tile is continued with that.
    predict : callable
        Given images (B, C, size, size) float32, returns (B, K, size, size): anything whose mean
        makes sense, such as probabilities.
    amsr2 : ndarray of float32, shape (14, h, w), optional
        Cells of 25 x 25 pixels, appended to the channels of the images; NaN becomes 0, the mean of
        the channel.
    size, overlap : int
        Pixels; the overlap is at most half of the size.
    batch_size : int

    Returns
    -------
    ndarray of float32, shape (K, lines, samples)
        NaN where there is no SAR.

    Raises
    ------
    InputError
        If a number is out of range, nothing has SAR, or ``predict`` returns another shape.

    Examples
    --------
    >>> made = blend(np.ones((2, 5, 9), np.float32), lambda images: images[:, :1], size=4, overlap=2)
    >>> made.shape, bool(np.allclose(made, 1))
    ((1, 5, 9), True)
    """
    _check(sar, amsr2, size, overlap, batch_size)
    there = (sar[0] != 0) | (sar[1] != 0)
    lines, samples = there.shape
    shares = [tile_weights(length, size, overlap) for length in (lines, samples)]
    starts = [tile_starts(length, size, overlap) for length in (lines, samples)]
    places = (
        (i, j, int(row), int(column))
        for i, row in enumerate(starts[0])
        for j, column in enumerate(starts[1])
        if there[row : row + size, column : column + size].any()
    )
    made: np.ndarray | None = None
    for batch in _batches(places, batch_size):
        images = np.stack([_image(sar, amsr2, row, column, size) for _, _, row, column in batch])
        found = _predicted(predict, images)
        if made is None:
            made = np.zeros((found.shape[1], lines, samples), np.float32)
        for (i, j, row, column), tile in zip(batch, found, strict=True):
            part = made[:, row : row + size, column : column + size]
            height, width = part.shape[1:]
            share = shares[0][i, :height, None] * shares[1][j, None, :width]
            part += tile[:, :height, :width] * share.astype(np.float32)
    if made is None:
        raise InputError("expected pixels with SAR, found none in the scene; give another")
    made[:, ~there] = np.nan
    return made


def _check(sar: np.ndarray, amsr2: np.ndarray | None, size: int, overlap: int, batch_size: int) -> None:
    if sar.ndim != 3 or sar.shape[0] != 2:
        raise InputError(f"expected SAR of shape (2, lines, samples), found {sar.shape}")
    if size < 1 or not 0 <= overlap <= size // 2 or batch_size < 1:
        raise InputError(
            f"expected a tile and a batch of at least 1 and an overlap of 0 to half of the tile, found "
            f"tile {size}, overlap {overlap}, batch {batch_size}"
        )
    if amsr2 is not None and (amsr2.ndim != 3 or 0 in amsr2.shape):
        raise InputError(f"expected AMSR2 of shape (channels, lines, samples), found {amsr2.shape}")


def _batches(places: Iterator[tuple[int, int, int, int]], size: int) -> Iterator[list]:
    while batch := list(islice(places, size)):
        yield batch


def _image(sar: np.ndarray, amsr2: np.ndarray | None, row: int, column: int, size: int) -> np.ndarray:
    """Channels of one tile, (C, size, size) float32."""
    channels = 2 + (0 if amsr2 is None else amsr2.shape[0])
    image = np.zeros((channels, size, size), np.float32)
    part = sar[:, row : row + size, column : column + size]
    image[:2, : part.shape[1], : part.shape[2]] = part
    if amsr2 is not None:
        cells = [
            np.minimum((start + np.arange(size)) // COARSE, count - 1)
            for start, count in zip((row, column), amsr2.shape[1:], strict=True)
        ]
        image[2:] = np.nan_to_num(amsr2[:, cells[0][:, None], cells[1][None, :]], nan=0.0)
    return image


def _predicted(predict: Predict, images: np.ndarray) -> np.ndarray:
    found = np.asarray(predict(images), np.float32)
    wanted = (images.shape[0], *images.shape[2:])
    if found.ndim != 4 or (found.shape[0], *found.shape[2:]) != wanted:
        raise InputError(
            f"expected a prediction of shape (batch, classes, lines, samples) for images "
            f"{images.shape}, found {found.shape}"
        )
    return found
