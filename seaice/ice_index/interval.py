"""How far the extent and area of a day may be off because of its filled cells.

A filled value has an expected error. Errors of neighbouring cells are alike: weather that a fill
does not see moves the ice edge along hundreds of kilometres. The errors of a sum therefore do not
cancel as those of independent cells would, and are far less than if all cells erred together.
One part of the variance is taken to fade over 100 km, the other over 700 km; the longer the gap, the
greater the second part. Lengths and parts fit the errors of whole days held out of real Arctic
winter days (25 km; gaps of 1 to 12 days, and of 1 to 5 days at the end of a record).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seaice.cf import ICE_EDGE, is_ice

# Share of an interval, and its half width in standard errors of a normal distribution.
LEVEL = 0.95
_HALF_WIDTH = 1.96
# Correlations of the two parts of an error fade as exp(-distance / length), in km.
_LENGTHS = (100.0, 700.0)
# Share of the far part: so much a day from source to source, three times so much with one source.
_SHARE_A_DAY, _LEAST_SHARE, _MOST_SHARE = 0.05, 0.15, 0.5
_BLOCK = 50.0  # cells are summed in blocks of about so many km, whose errors are equal
_LEAST_ERROR = 1e-4  # fraction; below it a filled value is as good as certain


class Interval(NamedTuple):
    """Ends of the 95 percent intervals by region: ndarrays of float64, shape (regions,), in km2.

    Attributes
    ----------
    extent_low, extent_high, area_low, area_high : ndarray
    """

    extent_low: np.ndarray
    extent_high: np.ndarray
    area_low: np.ndarray
    area_high: np.ndarray


@dataclass(frozen=True)
class ErrorBlocks:
    """Blocks of cells, and the correlation of errors between them.

    Attributes
    ----------
    number : ndarray of intp, shape (cells,)
        Block of every cell.
    shape : (int, int)
        Rows and columns of blocks.
    padded : (int, int)
        At least twice the shape, so that no distance wraps around.
    spectra : tuple of ndarray of float64
        Fourier transforms of the two correlations on the padded shape.
    """

    number: np.ndarray
    shape: tuple[int, int]
    padded: tuple[int, int]
    spectra: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, grid_shape: tuple[int, int], cells: np.ndarray, *, kilometres: float) -> ErrorBlocks:
        """Blocks for some cells of a grid.

        Parameters
        ----------
        grid_shape : (int, int)
            Rows and columns of the grid.
        cells : ndarray of int, shape (cells,)
            Flat numbers of the cells.
        kilometres : float
            Width of a cell.
        """
        from scipy.fft import next_fast_len, rfft2

        width = max(1, round(_BLOCK / kilometres))
        rows, columns = np.unravel_index(cells, grid_shape)
        shape = -(-grid_shape[0] // width), -(-grid_shape[1] // width)
        padded = (next_fast_len(2 * shape[0], real=True), next_fast_len(2 * shape[1], real=True))
        along = [np.fft.fftfreq(length, 1 / length) * width * kilometres for length in padded]
        distance = np.hypot(along[0][:, None], along[1][None, :])
        spectra = tuple(rfft2(np.exp(-distance / length)).real for length in _LENGTHS)
        number = (rows // width) * shape[1] + columns // width
        return cls(number.astype(np.intp), shape, padded, spectra)

    def combine(self, *errors: np.ndarray) -> float:
        """Combine the errors of blocks, shape (blocks,) a part, to the standard error of their sum."""
        from scipy.fft import irfft2, rfft2

        variance = 0.0
        for part, spectrum in zip(errors, self.spectra, strict=True):
            if part.any():
                field = part.reshape(self.shape)
                spread = irfft2(rfft2(field, self.padded) * spectrum, self.padded)
                variance += float((field * spread[: self.shape[0], : self.shape[1]]).sum())
        return float(np.sqrt(max(variance, 0.0)))


def bound_sums(
    extent: np.ndarray,
    area: np.ndarray,
    *,
    concentration: np.ndarray,
    cell_area: np.ndarray,
    is_filled: np.ndarray,
    error: np.ndarray | None,
    days_back_forward: np.ndarray,
    blocks: ErrorBlocks,
    region: np.ndarray,
    threshold: float = ICE_EDGE,
) -> Interval:
    """Compute the intervals of the extent and area of one day by region.

    Observed cells and cells without a value add nothing: what is missing is told by its own area.
    No end goes beyond what it would be if every filled cell were open water, or ice.

    Parameters
    ----------
    extent, area : ndarray of float64, shape (regions,)
        As :func:`seaice.ice_index.stage.extent_and_area` gives them, km2; NaN has no interval.
    concentration, cell_area : ndarray, shape (cells,)
        Fraction 0..1, and km2.
    is_filled : ndarray of bool, shape (cells,)
        Whether the value of a cell counts and was filled.
    error : ndarray, shape (cells,), or None
        Expected standard error of the filled values, fraction; a filled cell where it is NaN may be
        anything. None where the cube holds no errors: then a day with filled cells has no interval.
    days_back_forward : ndarray of uint8, shape (cells,)
        10 x days back + days forward of a fill in time, else 0.
    blocks : ErrorBlocks
        Of the same cells.
    region : ndarray of int, shape (cells,)
        0 = left out, 1.. = number of the region.
    threshold : float
        A cell is ice-covered from this concentration on.

    Examples
    --------
    One filled cell at the edge of the ice, as likely ice as water:

    >>> blocks = ErrorBlocks.of((1, 3), np.arange(3), kilometres=25)
    >>> ends = bound_sums(
    ...     np.array([200.0]), np.array([115.0]), blocks=blocks, region=np.ones(3, int),
    ...     concentration=np.array([1.0, 0.15, 0.0]), cell_area=np.full(3, 100.0),
    ...     is_filled=np.array([False, True, False]), error=np.array([np.nan, 0.2, np.nan]),
    ...     days_back_forward=np.array([0, 11, 0]))
    >>> [round(float(end[0])) for end in ends]
    [102, 200, 100, 154]
    """
    from scipy.special import ndtr

    count = len(extent)
    filled = np.flatnonzero(is_filled & (region > 0))
    region = region[filled].astype(np.intp)
    value, size = concentration[filled], cell_area[filled]

    def sum_by_region(weight: np.ndarray) -> np.ndarray:
        return np.bincount(region, weights=weight, minlength=count + 1)[1 : count + 1]

    if error is None:
        unknown = np.where(sum_by_region(size) > 0, np.nan, 0.0)
        return Interval(extent + unknown, extent + unknown, area + unknown, area + unknown)
    has_error = ~np.isnan(error[filled])
    spread = np.where(has_error, np.maximum(np.nan_to_num(error[filled]), _LEAST_ERROR), 0.5)
    likelihood = np.where(has_error, ndtr((value - threshold) / spread), 0.5)
    is_covered = is_ice(value, threshold)
    share = _share_far_errors(days_back_forward[filled])
    ends = []
    for total, deviation, carried in (
        (extent, np.sqrt(likelihood * (1 - likelihood)), is_covered),
        (area, spread, is_covered * value),
    ):
        errors = size * deviation * np.sqrt([1 - share, share])
        half = _HALF_WIDTH * _combine_by_region(errors, blocks.number[filled], region, count, blocks)
        lowest = total - sum_by_region(size * carried)
        ends += [
            np.maximum(total - half, lowest),
            np.minimum(total + half, lowest + sum_by_region(size)),
        ]
    return Interval(*ends)


def _share_far_errors(days_back_forward: np.ndarray) -> np.ndarray:
    """Share of the variance of errors that fades over the longer distance."""
    back, forward = np.divmod(days_back_forward.astype(np.intp), 10)
    days = (back + forward) * np.where((back == 0) | (forward == 0), 3, 1)
    return np.clip(_SHARE_A_DAY * days, _LEAST_SHARE, _MOST_SHARE)


def _combine_by_region(
    errors: np.ndarray, block: np.ndarray, region: np.ndarray, count: int, blocks: ErrorBlocks
) -> np.ndarray:
    """Standard error of the sum of the errors of cells, shape (2 parts, cells), by region."""
    total = blocks.shape[0] * blocks.shape[1]
    sums = [
        np.bincount(region * total + block, weights=part, minlength=(count + 1) * total)
        for part in errors
    ]
    near, far = (part.reshape(count + 1, total) for part in sums)
    return np.array([blocks.combine(near[number], far[number]) for number in range(1, count + 1)])
