"""Power of thermal noise in an image, from the noise vectors of a product.

Since version 2.9 of the processor (March 2018) noise is a vector in range times one in azimuth, before
it was a vector in range alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from seaice import InputError
from seaice.sources.sentinel1.documents import Document
from seaice.sources.sentinel1.lookup_table import LookupTable, read_vectors
from seaice.sources.sentinel1.sub_swaths import SubSwaths, SwathBlock

# How thermal noise is treated: subtracted, subtracted with its mean added back, or kept.
NoiseCorrection = Literal["esa", "esa_floor", "none"]

_RANGE = "noiseRangeVectorList/noiseRangeVector"
_AZIMUTH = "noiseAzimuthVectorList/noiseAzimuthVector"
_BEFORE_2_9 = "noiseVectorList/noiseVector"


class ThermalNoise:
    """Power of noise of every pixel, in squared digital numbers.

    Parameters
    ----------
    document : Document
        ``annotation/calibration/noise-*.xml``.
    blocks : sequence of SwathBlock
        Sub-swaths by the annotation; where the noise vectors in azimuth state them, those are used.
    shape : (int, int)
        Lines and samples.

    Raises
    ------
    InputError
        If the document has no noise vectors, or damaged ones.
    """

    def __init__(self, document: Document, blocks: Sequence[SwathBlock], shape: tuple[int, int]) -> None:
        vectors = read_vectors(document.list_elements(_RANGE), "noiseRangeLut")
        if not vectors:
            vectors = read_vectors(document.list_elements(_BEFORE_2_9), "noiseLut")
        if not vectors:
            raise InputError(
                f"expected noise vectors in {document.name}, found none; download the product again, or "
                "--noise none"
            )
        self._azimuth = [_read_azimuth(element) for element in document.list_elements(_AZIMUTH)]
        self.has_azimuth = bool(self._azimuth)
        if self.has_azimuth:
            blocks = [block for block, _, _ in self._azimuth]
        self._swaths = SubSwaths(blocks, shape)
        self._table = LookupTable(vectors, self._swaths, shape[1])

    def interpolate(self, rows: range) -> np.ndarray:
        """Interpolate the noise of consecutive rows, float32 (rows, samples)."""
        power = self._table.interpolate(rows)
        if not self.has_azimuth:
            return power
        numbers = np.arange(rows.start, rows.stop)
        for part, segment in self._swaths.iterate(rows):
            for number, first, stop in zip(
                segment.blocks, segment.edges[:-1], segment.edges[1:], strict=True
            ):
                _, lines, values = self._azimuth[number]
                # A block of one line, and lines beyond those of a block, have the nearest value.
                factor = np.interp(numbers[part], lines, values).astype(np.float32)
                power[part, first:stop] *= factor[:, None]
        return power


def _read_azimuth(element: Document) -> tuple[SwathBlock, np.ndarray, np.ndarray]:
    """Block of a sub-swath, and lines and factors of its noise vector in azimuth."""
    lines, values = element.read_numbers("line"), element.read_numbers("noiseAzimuthLut")
    if lines.size != values.size or (np.diff(lines) <= 0).any():
        raise InputError(
            f"expected increasing lines, one for each noiseAzimuthLut, found {lines.size} for "
            f"{values.size} in {element.name}; download the product again"
        )
    first = element.read_integer("firstAzimuthLine"), element.read_integer("firstRangeSample")
    return SwathBlock(element.read_text("swath"), *first), lines, values
