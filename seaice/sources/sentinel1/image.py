"""An image of Sentinel-1 with pixels of 80 m: backscatter in decibels, positions, how it was made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from seaice.sources.ai4arctic.geolocation import Geolocation
from seaice.sources.sentinel1.positions import Residual, TiePoints

PIXEL_METRES = 80.0
# Lower backscatter is set to this value: where noise is subtracted, power may come out below 0.
FLOOR_DECIBELS = -40.0


@dataclass(frozen=True)
class SwathBounds:
    """Samples at which a sub-swath begins, over some lines.

    Attributes
    ----------
    first, stop : int
        Lines.
    samples : tuple of float
        Without the first sub-swath.
    """

    first: int
    stop: int
    samples: tuple[float, ...]


@dataclass(frozen=True)
class Sentinel1Image:
    """An image with pixels of 80 m.

    Attributes
    ----------
    path : Path
    name : str
        Name of the product, or of the file without its ending.
    start : datetime
        UTC.
    decibels : dict of str to ndarray of float32, shape (lines, samples)
        Sigma nought by polarisation; NaN where there is none, in all polarisations alike.
    positions : Geolocation
    residual : Residual
        Of the positions.
    noise : str
        ``esa``, ``esa_floor``, ``none``, ``nersc``, or ``unknown``.
    noise_power : dict of str to float
        Mean power of thermal noise by polarisation, as sigma nought (linear); empty if unknown.
    tie_points : TiePoints or None
        With incidence angles; None if unknown.
    swath_bounds : tuple of SwathBounds
        Empty if unknown.
    attributes : dict
        Of the file and its processing: platform, processor version, share of pixels at the floor.
    factor : int
        Pixels of the file along a side of a pixel.
    """

    path: Path
    name: str
    start: datetime
    decibels: dict[str, np.ndarray]
    positions: Geolocation
    residual: Residual
    noise: str
    noise_power: Mapping[str, float]
    tie_points: TiePoints | None
    swath_bounds: tuple[SwathBounds, ...]
    attributes: dict[str, Any]
    factor: int

    @property
    def shape(self) -> tuple[int, int]:
        """Lines and samples."""
        return self.positions.shape

    def interpolate_incidence(self) -> np.ndarray | None:
        """Interpolate the incidence angle, degrees, float32 (lines, samples); None if unknown."""
        if self.tie_points is None:
            return None
        return self.tie_points.interpolate_incidence(self.shape, self.factor)


def average_pixels(field: np.ndarray, factor: int) -> np.ndarray:
    """Average blocks of pixels; NaN where one of them is NaN.

    Parameters
    ----------
    field : ndarray of float32, shape (..., lines, samples)
        Lines and samples that fill no block are left out.
    factor : int

    Examples
    --------
    >>> average_pixels(np.array([[1.0, 2.0, 5.0], [3.0, 2.0, 5.0]]), 2).tolist()
    [[2.0]]
    """
    if factor == 1:
        return field
    lines, samples = (count // factor for count in field.shape[-2:])
    # Sums of strided views are much quicker than a mean over short axes.
    total = np.zeros((*field.shape[:-2], lines, samples), field.dtype)
    for i in range(factor):
        for j in range(factor):
            total += field[..., i : lines * factor : factor, j : samples * factor : factor]
    return total / factor**2


def convert_to_decibels(power: np.ndarray) -> float:
    """Convert power to decibels in place, not below the floor.

    Parameters
    ----------
    power : ndarray of float32
        Linear; NaN stays.

    Returns
    -------
    float
        Share of the values that are at the floor.
    """
    least = np.float32(10 ** (FLOOR_DECIBELS / 10))
    low, count = 0, 0
    for row in power:
        low += int((row < least).sum())
        count += int(np.isfinite(row).sum())
        np.maximum(row, least, out=row)
        np.log10(row, out=row)
        row *= 10
    return low / max(count, 1)
