"""Prediction of whole scenes by overlapping tiles, which are blended into each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from seaice import InputError
from seaice.segmentation.data.coarse_cells import (
    expand_coarse,
    find_coarse_window,
)

# From images (B, C, size, size) float32 to predictions that can be averaged, (B, K, size, size).
Predict = Callable[[np.ndarray], np.ndarray]


def find_tile_starts(length: int, size: int, overlap: int) -> np.ndarray:
    """Find the first pixels of the tiles along an axis; the last tile ends at the edge.

    Examples
    --------
    >>> find_tile_starts(250, 100, 20).tolist(), find_tile_starts(60, 100, 20).tolist()
    ([0, 80, 150], [0])
    """
    if length <= size:
        return np.zeros(1, np.int64)
    return np.append(np.arange(0, length - size, size - overlap), length - size)


def compute_tile_weights(length: int, size: int, overlap: int) -> np.ndarray:
    """Compute the weight of every tile in every of its pixels along an axis.

    Weights rise and fall as the square of a quarter of a sine wave over the overlap at both ends. They
    are divided by their sum over the tiles, so that those of a pixel add up to 1. Products of the
    weights along both axes then add up to 1 as well.

    Returns
    -------
    ndarray of float64, shape (tiles, size)
        0 beyond the end of an axis that is shorter than a tile.

    Examples
    --------
    >>> compute_tile_weights(6, 4, 2).round(3).tolist()
    [[1.0, 1.0, 0.854, 0.146], [0.146, 0.854, 1.0, 1.0]]
    """
    starts = find_tile_starts(length, size, overlap)
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


def blend_tiles(
    sar: np.ndarray,
    predict: Predict,
    *,
    amsr2: np.ndarray | None = None,
    size: int = 224,
    overlap: int = 56,
    batch_size: int = 8,
) -> np.ndarray:
    """Predict a whole scene by overlapping tiles.

    Tiles without any SAR are not predicted. Memory is needed for input, output and one batch. Tiles are
    added in the same order for every batch size, so that sums are rounded alike.

    Parameters
    ----------
    sar : ndarray of float32, shape (2, lines, samples)
        As stored; 0 in both: no SAR. A scene smaller than a tile is continued without SAR.
    predict : callable
        Given images (B, C, size, size) float32, returns (B, K, size, size): numbers that can be
        averaged, such as probabilities.
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
        If a number is out of range, no pixel has SAR, or ``predict`` returns another shape.

    Examples
    --------
    >>> sar = np.ones((2, 5, 9), np.float32)
    >>> blended = blend_tiles(sar, lambda images: images[:, :1], size=4, overlap=2)
    >>> blended.shape, bool(np.allclose(blended, 1))
    ((1, 5, 9), True)
    """
    _check(sar, amsr2, size, overlap, batch_size)
    has_sar = (sar[0] != 0) | (sar[1] != 0)
    lines, samples = has_sar.shape
    weights = [compute_tile_weights(length, size, overlap) for length in (lines, samples)]
    starts = [find_tile_starts(length, size, overlap) for length in (lines, samples)]
    # Number of the tile along both axes, and its upper left pixel.
    tiles = (
        (i, j, int(row), int(column))
        for i, row in enumerate(starts[0])
        for j, column in enumerate(starts[1])
        if has_sar[row : row + size, column : column + size].any()
    )
    blended: np.ndarray | None = None
    for batch in _group_tiles(tiles, batch_size):
        images = np.stack([_cut_image(sar, amsr2, row, column, size) for _, _, row, column in batch])
        predictions = _predict_batch(predict, images)
        if blended is None:
            blended = np.zeros((predictions.shape[1], lines, samples), np.float32)
        for (i, j, row, column), prediction in zip(batch, predictions, strict=True):
            part = blended[:, row : row + size, column : column + size]
            height, width = part.shape[1:]
            weight = weights[0][i, :height, None] * weights[1][j, None, :width]
            part += prediction[:, :height, :width] * weight.astype(np.float32)
    if blended is None:
        raise InputError("expected pixels with SAR, found none in the scene; give another")
    blended[:, ~has_sar] = np.nan
    return blended


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


def _group_tiles(
    tiles: Iterator[tuple[int, int, int, int]], size: int
) -> Iterator[list[tuple[int, int, int, int]]]:
    while batch := list(islice(tiles, size)):
        yield batch


def _cut_image(
    sar: np.ndarray, amsr2: np.ndarray | None, row: int, column: int, size: int
) -> np.ndarray:
    """Channels of one tile, (C, size, size) float32."""
    channels = 2 + (0 if amsr2 is None else amsr2.shape[0])
    image = np.zeros((channels, size, size), np.float32)
    part = sar[:, row : row + size, column : column + size]
    image[:2, : part.shape[1], : part.shape[2]] = part
    if amsr2 is not None:
        rows = find_coarse_window(row, size, amsr2.shape[1])
        columns = find_coarse_window(column, size, amsr2.shape[2])
        cells = expand_coarse(amsr2[:, rows, columns], (row, column), size)
        image[2:] = np.nan_to_num(cells, nan=0.0)
    return image


def _predict_batch(predict: Predict, images: np.ndarray) -> np.ndarray:
    predictions = np.asarray(predict(images), np.float32)
    expected = (images.shape[0], *images.shape[2:])
    if predictions.ndim != 4 or (predictions.shape[0], *predictions.shape[2:]) != expected:
        raise InputError(
            f"expected a prediction of shape (batch, classes, lines, samples) for images "
            f"{images.shape}, found {predictions.shape}"
        )
    return predictions
