"""Prediction of whole scenes by overlapping tiles, which are blended into each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from seaice import InputError
from seaice.segmentation.samples.scene_channels import read_window

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
    pixels: Sequence[np.ndarray] | np.ndarray,
    predict: Predict,
    *,
    coarse: np.ndarray | None = None,
    has_sar: np.ndarray | None = None,
    size: int = 224,
    overlap: int = 56,
    batch_size: int = 8,
) -> np.ndarray:
    """Predict a whole scene by overlapping tiles, and join the bands of :func:`iterate_bands`.

    Returns
    -------
    ndarray of float32, shape (K, lines, samples)
        NaN where there is no SAR.

    Raises
    ------
    InputError
        As :func:`iterate_bands`.

    Examples
    --------
    >>> sar = np.ones((2, 5, 9), np.float32)
    >>> blended = blend_tiles(sar, lambda images: images[:, :1], size=4, overlap=2)
    >>> blended.shape, bool(np.allclose(blended, 1))
    ((1, 5, 9), True)
    """
    bands = iterate_bands(
        pixels,
        predict,
        coarse=coarse,
        has_sar=has_sar,
        size=size,
        overlap=overlap,
        batch_size=batch_size,
    )
    return np.concatenate([band for _, band in bands], axis=1)


def iterate_bands(
    pixels: Sequence[np.ndarray] | np.ndarray,
    predict: Predict,
    *,
    coarse: np.ndarray | None = None,
    has_sar: np.ndarray | None = None,
    size: int = 224,
    overlap: int = 56,
    batch_size: int = 8,
) -> Iterator[tuple[int, np.ndarray]]:
    """Predict a whole scene by overlapping tiles; lines that no later tile covers come out at once.

    Tiles without any SAR are not predicted. Memory is needed for the input, one batch and the lines of
    one tile. Tiles are added in the same order for every batch size, so that sums are rounded alike.

    Parameters
    ----------
    pixels : sequence of ndarray of float32, shape (lines, samples), or one array of them
        Channels as stored. A scene smaller than a tile is continued without SAR.
    predict : callable
        Given images (B, C, size, size) float32, returns (B, K, size, size): numbers that can be
        averaged, such as probabilities.
    coarse : ndarray of float32, shape (channels, h, w), optional
        Cells of 25 x 25 pixels, appended to the channels of the images; NaN becomes 0, the mean of
        the channel.
    has_sar : ndarray of bool, shape (lines, samples), optional
        By default where one of the channels is not 0.
    size, overlap : int
        Pixels; the overlap is at most half of the size.
    batch_size : int

    Yields
    ------
    first : int
        First line of the band.
    band : ndarray of float32, shape (K, n, samples)
        NaN where there is no SAR.

    Raises
    ------
    InputError
        If a number is out of range, no pixel has SAR, or ``predict`` returns another shape.
    """
    _check(pixels, coarse, size, overlap, batch_size)
    if has_sar is None:
        has_sar = np.logical_or.reduce([channel != 0 for channel in pixels])
    lines, samples = has_sar.shape
    weights = [compute_tile_weights(length, size, overlap) for length in (lines, samples)]
    sums: np.ndarray | None = None
    first = 0
    for batch in _group_tiles(_list_tiles(has_sar, size, overlap), batch_size):
        images = np.stack([read_window(pixels, coarse, tile[2], tile[3], size) for tile in batch])
        predictions = _predict_batch(predict, images)
        if sums is None:
            sums = np.zeros((predictions.shape[1], min(size, lines), samples), np.float32)
        for (i, j, row, column), prediction in zip(batch, predictions, strict=True):
            while first < row:
                count = min(row - first, sums.shape[1])
                yield first, _blank(sums[:, :count], has_sar[first : first + count])
                sums = np.concatenate([sums[:, count:], np.zeros_like(sums[:, :count])], axis=1)
                first += count
            part = sums[:, :, column : column + size]
            height, width = part.shape[1:]
            weight = weights[0][i, :height, None] * weights[1][j, None, :width]
            part += prediction[:, :height, :width] * weight.astype(np.float32)
    if sums is None:
        raise InputError("expected pixels with SAR, found none in the scene; give another")
    for start in range(first, lines, sums.shape[1]):
        band = sums[:, : lines - start] if start == first else np.zeros_like(sums[:, : lines - start])
        yield start, _blank(band, has_sar[start : start + band.shape[1]])


def _blank(band: np.ndarray, has_sar: np.ndarray) -> np.ndarray:
    return np.where(has_sar, band, np.float32(np.nan))


def _list_tiles(has_sar: np.ndarray, size: int, overlap: int) -> Iterator[tuple[int, int, int, int]]:
    """Number of every tile with SAR along both axes, and its upper left pixel."""
    starts = [find_tile_starts(length, size, overlap) for length in has_sar.shape]
    for i, row in enumerate(starts[0].tolist()):
        for j, column in enumerate(starts[1].tolist()):
            if has_sar[row : row + size, column : column + size].any():
                yield i, j, row, column


def _check(
    pixels: Sequence[np.ndarray] | np.ndarray,
    coarse: np.ndarray | None,
    size: int,
    overlap: int,
    batch_size: int,
) -> None:
    shapes = {channel.shape for channel in pixels}
    if len(shapes) != 1 or len(min(shapes)) != 2:
        raise InputError(f"expected channels of one shape (lines, samples), found {sorted(shapes)}")
    if size < 1 or not 0 <= overlap <= size // 2 or batch_size < 1:
        raise InputError(
            f"expected a tile and a batch of at least 1 and an overlap of 0 to half of the tile, found "
            f"tile {size}, overlap {overlap}, batch {batch_size}"
        )
    if coarse is not None and (coarse.ndim != 3 or 0 in coarse.shape):
        raise InputError(
            f"expected cells of 2 km of shape (channels, lines, samples), found {coarse.shape}"
        )


def _group_tiles(
    tiles: Iterator[tuple[int, int, int, int]], size: int
) -> Iterator[list[tuple[int, int, int, int]]]:
    while batch := list(islice(tiles, size)):
        yield batch


def _predict_batch(predict: Predict, images: np.ndarray) -> np.ndarray:
    predictions = np.asarray(predict(images), np.float32)
    expected = (images.shape[0], *images.shape[2:])
    if predictions.ndim != 4 or (predictions.shape[0], *predictions.shape[2:]) != expected:
        raise InputError(
            f"expected a prediction of shape (batch, classes, lines, samples) for images "
            f"{images.shape}, found {predictions.shape}"
        )
    return predictions
