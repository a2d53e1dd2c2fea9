"""Look-up tables of calibration and noise: vectors over pixels at some lines, for every pixel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seaice import InputError
from seaice.sources.sentinel1.documents import Document
from seaice.sources.sentinel1.sub_swaths import SubSwaths


class LookupVector(NamedTuple):
    """Values at some pixels of a line.

    Attributes
    ----------
    line : float
        Number of the line; it may lie outside the image.
    pixels : ndarray of float64, shape (n,)
        Increasing.
    values : ndarray of float64, shape (n,)
    """

    line: float
    pixels: np.ndarray
    values: np.ndarray


def read_vectors(elements: Sequence[Document], name: str) -> list[LookupVector]:
    """Read vectors from elements with ``line``, ``pixel`` and the values called ``name``.

    Returns
    -------
    list of LookupVector
        In the order of their lines.

    Raises
    ------
    InputError
        If pixels do not increase, or there are more or fewer of them than values.
    """
    vectors = []
    for element in elements:
        pixels, values = element.read_numbers("pixel"), element.read_numbers(name)
        if pixels.size != values.size or (np.diff(pixels) <= 0).any():
            raise InputError(
                f"expected increasing pixels, one for each {name}, found {pixels.size} for "
                f"{values.size} in {element.name}; download the product again"
            )
        vectors.append(LookupVector(element.read_number("line"), pixels, values))
    return sorted(vectors, key=lambda vector: vector.line)


class LookupTable:
    """Bilinear interpolation of vectors, within the sub-swaths.

    Values have a step at the bound of two sub-swaths, so that the vectors of a sub-swath are
    interpolated between its own pixels alone. Up to a bound or a side they go on linearly for one more
    distance of two pixels of the vector, and stay constant beyond; before the first and after the last
    line the nearest vector is used.

    Parameters
    ----------
    vectors : sequence of LookupVector
        In the order of their lines, at least one.
    swaths : SubSwaths
    samples : int
        Width of the image.
    """

    def __init__(self, vectors: Sequence[LookupVector], swaths: SubSwaths, samples: int) -> None:
        self._lines = np.array([vector.line for vector in vectors])
        self._swaths, self._samples = swaths, samples
        # Every vector as every sub-swath continues it, (swaths, vectors, samples).
        self._tables = np.empty((swaths.count, len(vectors), samples), np.float32)
        columns = np.arange(samples, dtype=np.float64)
        for k, vector in enumerate(vectors):
            edges = swaths.find_edges(vector.line)
            for swath in range(swaths.count):
                inside = (vector.pixels >= edges[swath]) & (vector.pixels < edges[swath + 1])
                if not inside.any():
                    inside[:] = True
                self._tables[swath, k] = extend_linearly(
                    columns, vector.pixels[inside], vector.values[inside]
                )

    def interpolate(self, rows: range) -> np.ndarray:
        """Interpolate consecutive rows of the image.

        Returns
        -------
        ndarray of float32, shape (rows, samples)
        """
        numbers = np.arange(rows.start, rows.stop, dtype=np.float64)
        position = np.interp(numbers, self._lines, np.arange(self._lines.size, dtype=np.float64))
        lower = np.minimum(position.astype(np.int64), max(self._lines.size - 2, 0))
        upper = np.minimum(lower + 1, self._lines.size - 1)
        weight = (position - lower).astype(np.float32)
        field = np.empty((len(rows), self._samples), np.float32)
        for part, segment in self._swaths.iterate(rows):
            for swath, (first, stop) in enumerate(
                zip(segment.edges[:-1], segment.edges[1:], strict=True)
            ):
                table = self._tables[swath, :, first:stop]
                # Rows between the same two vectors are computed together.
                for pair in np.unique(lower[part]):
                    selected = np.flatnonzero(lower[part] == pair) + part.start
                    block = slice(selected[0], selected[-1] + 1)
                    start, step = table[pair], table[upper[selected[0]]] - table[pair]
                    np.multiply.outer(weight[block], step, out=field[block, first:stop])
                    field[block, first:stop] += start
        return field


def extend_linearly(columns: np.ndarray, pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interpolate values linearly, and continue them by one distance of pixels at both ends.

    Parameters
    ----------
    columns : ndarray of float64, shape (m,)
    pixels, values : ndarray of float64, shape (n,)
        Pixels increasing.

    Returns
    -------
    ndarray of float64, shape (m,)

    Examples
    --------
    >>> extend_linearly(np.arange(9.0), np.array([3.0, 5.0]), np.array([10.0, 14.0])).tolist()
    [6.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 18.0]
    """
    if pixels.size > 1:
        first, last = pixels[1] - pixels[0], pixels[-1] - pixels[-2]
        below, above = 2 * values[0] - values[1], 2 * values[-1] - values[-2]
        pixels = np.concatenate([[pixels[0] - first], pixels, [pixels[-1] + last]])
        values = np.concatenate([[below], values, [above]])
    return np.interp(columns, pixels, values)
