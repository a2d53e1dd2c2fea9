"""Shapes of faults: fields that are moved or turned, parts without ice, stripes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seaice.daily.health.sample import ICE_EDGE, HealthSample

# What may have happened to the axes of a field, and how it is undone.
_TURNS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "flipped top to bottom": lambda field: field[::-1],
    "flipped left to right": lambda field: field[:, ::-1],
    "turned by 180 degrees": lambda field: field[::-1, ::-1],
    "transposed": lambda field: field.T,
    "transposed and turned by 180 degrees": lambda field: field[::-1, ::-1].T,
    "turned by 90 degrees to the right": np.rot90,
    "turned by 90 degrees to the left": lambda field: np.rot90(field, -1),
}
# A field is taken for moved or turned where that explains so much of what changed.
_EXPLAINED_SHARE = 0.45
_COMPARED_SHARE = 0.5
# Boxes by which a field is moved at most in the search for the best match.
_FARTHEST = 40
_PARTS = 36  # sectors of 10 degrees
_EMPTY_SHARE = 0.95  # of the ice of a row, a column or a sector that is gone
# Stripes: steps of the direction, degrees; widths, boxes; boxes between two parts of one stripe.
_DIRECTION_STEP, _WIDTHS, _BREAK = 3, (2, 5), 3


def measure_match(field: np.ndarray, reference: np.ndarray, *, least: int = 1) -> float:
    """Mean absolute difference of two fields where either has ice, percent.

    Infinite if fewer than ``least`` boxes are compared.

    Examples
    --------
    >>> measure_match(np.array([[90.0, 0.0, np.nan]]), np.array([[70.0, 0.0, 50.0]]))
    20.0
    """
    with np.errstate(invalid="ignore"):
        difference = np.abs(field - reference)
        ice = (difference >= 0) & ((field >= ICE_EDGE) | (reference >= ICE_EDGE))
    return float(difference[ice].mean()) if np.count_nonzero(ice) >= least else np.inf


class Match(NamedTuple):
    """How a field matches that of another day when something is undone.

    Attributes
    ----------
    words : str
        What was done to the field.
    before, after : float
        Mean absolute difference as the field is, and with that undone, percent.
    """

    words: str
    before: float
    after: float


def find_turn(day: HealthSample, reference: HealthSample) -> Match | None:
    """Find out whether a field is flipped, transposed or turned; None if not."""
    as_is = measure_match(day.percent, reference.percent)
    matches = [
        Match(
            words,
            as_is,
            measure_match(undo(day.percent), reference.percent, least=_count_least(reference)),
        )
        for words, undo in _TURNS.items()
        if undo(day.percent).shape == reference.percent.shape
    ]
    return _choose_match(matches)


def find_shift(day: HealthSample, reference: HealthSample) -> Match | None:
    """Find out whether a field is moved as a whole, by whole boxes; None if not."""
    rows, columns = _search_shift(day.percent, reference.percent)
    if not rows and not columns:
        return None
    as_is = measure_match(day.percent, reference.percent)
    overlap = _overlap(day.percent, reference.percent, rows, columns)
    moved = measure_match(*overlap, least=_count_least(reference))
    words = f"{rows * day.kilometres:+.0f} km in y and {columns * day.kilometres:+.0f} km in x"
    return _choose_match([Match(words, as_is, moved)])


def _count_least(reference: HealthSample) -> int:
    """Boxes of ice that are compared at least, for a match to explain something."""
    return max(1, int(np.count_nonzero(reference.percent >= ICE_EDGE) * _COMPARED_SHARE))


def _choose_match(matches: list[Match]) -> Match | None:
    best = min(matches, key=lambda match: match.after)
    return best if best.after < (1 - _EXPLAINED_SHARE) * best.before else None


def _search_shift(day: np.ndarray, reference: np.ndarray) -> tuple[int, int]:
    """Rows and columns by which ``day`` is moved against ``reference``: least mean square difference."""
    from scipy.fft import irfft2, next_fast_len, rfft2

    shape = tuple(next_fast_len(length + min(length, _FARTHEST)) for length in day.shape)

    def transform(field: np.ndarray) -> np.ndarray:
        return np.asarray(rfft2(field, shape))

    parts = []
    for field in (day, reference):
        is_value = ~np.isnan(field)
        percent = np.where(is_value, field, 0).astype(np.float64)
        parts.append((transform(is_value.astype(np.float64)), transform(percent), transform(percent**2)))
    (mask, value, square), (mask_old, value_old, square_old) = parts
    product = np.conj(mask_old) * square + np.conj(square_old) * mask - 2 * np.conj(value_old) * value
    squares, counts = irfft2(product, shape), irfft2(np.conj(mask_old) * mask, shape)
    reach = [np.arange(-min(n, _FARTHEST) + 1, min(n, _FARTHEST)) for n in day.shape]
    near = np.ix_(*reach)
    squares, counts = squares[near], counts[near]
    squares = np.where(counts > 0.5 * counts.max(), squares / np.maximum(counts, 1), np.inf)
    y, x = np.unravel_index(int(squares.argmin()), squares.shape)
    return int(reach[0][y]), int(reach[1][x])


def _overlap(
    day: np.ndarray, reference: np.ndarray, rows: int, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Parts of two fields that lie over each other when ``day`` is moved back."""
    cut_day, cut_reference = [], []
    for moved, length in ((rows, day.shape[0]), (columns, day.shape[1])):
        cut_day.append(slice(max(moved, 0), length + min(moved, 0)))
        cut_reference.append(slice(max(-moved, 0), length - max(moved, 0)))
    return day[tuple(cut_day)], reference[tuple(cut_reference)]


def measure_repeated_share(day: HealthSample, reference: HealthSample, *, least: int) -> float:
    """Measure which share of the boxes partly covered on both days has exactly the same value.

    Boxes of 0 and of 100 percent stay so for weeks and do not count; 0 if fewer than ``least`` boxes do.
    """
    share = 0.0
    for step in (8, 1):  # rows in a while tell nearly always that the days differ
        new, old = day.percent[::step], reference.percent[::step]
        partly = (new > 0) & (new < 100) & (old > 0) & (old < 100)
        count = np.count_nonzero(partly)
        if count * step < least:
            return 0.0
        share = int(np.count_nonzero((new == old) & partly)) / max(int(count), 1)
        if share < 0.5:
            break
    return share


@dataclass(frozen=True)
class EmptyPart:
    """A part of the grid that is empty on a day, and the ice that it holds on days around.

    Attributes
    ----------
    words : str
        Which part it is.
    ice : float
        Square kilometres of boxes with ice there on all the days around.
    """

    words: str
    ice: float


def find_empty_part(
    day: HealthSample, references: Sequence[HealthSample], *, least: float
) -> EmptyPart | None:
    """Find the part with most ice on days around that is 0 percent on a day.

    Parts are runs of whole rows, of whole columns, and sectors about the middle of the grid.

    Parameters
    ----------
    day : HealthSample
    references : sequence of HealthSample
        A box counts where all of them have ice.
    least : float
        Square kilometres of ice in the part; None is returned below.
    """
    ice = np.logical_and.reduce([reference.percent >= ICE_EDGE for reference in references])
    empty = ice & (day.percent == 0)
    if float(day.area[empty].sum()) < _EMPTY_SHARE * least:
        return None
    rows, columns = day.percent.shape
    parts: list[EmptyPart] = []
    with_ice, without = np.where(ice, day.area, 0), np.where(empty, day.area, 0)
    for axis, name in ((1, "rows"), (0, "columns")):
        first, last, area = _find_longest_run(with_ice.sum(axis), without.sum(axis))
        parts.append(EmptyPart(f"{name} {first} to {last} of {(rows, columns)[1 - axis]} boxes", area))
    y, x = np.nonzero(ice)
    angle = np.degrees(np.arctan2(y - (rows - 1) / 2, x - (columns - 1) / 2)) % 360
    sector = np.minimum((angle * _PARTS / 360).astype(int), _PARTS - 1)
    # A sector may lie across the direction that the count begins at.
    twice = [np.tile(np.bincount(sector, field[ice], _PARTS), 2) for field in (with_ice, without)]
    first, last, area = _find_longest_run(twice[0], twice[1], most=_PARTS)
    width = 360 // _PARTS
    parts.append(EmptyPart(f"a sector of {(last - first + 1) * width} degrees", area))
    largest = max(parts, key=lambda part: part.ice)
    return largest if largest.ice > least else None


def _find_longest_run(
    ice: np.ndarray, empty: np.ndarray, most: int | None = None
) -> tuple[int, int, float]:
    """First and last number of the run with the most ice in which nearly all is empty, and its ice."""
    best = 0, 0, 0.0
    begin, area = -1, 0.0
    for number in range(len(ice)):
        if empty[number] < _EMPTY_SHARE * ice[number]:
            begin, area = -1, 0.0
            continue
        if begin < 0:
            if not ice[number]:
                continue
            begin = number
        if most is not None and number - begin >= most:
            break
        area += float(ice[number])
        if ice[number] and area > best[2]:
            best = begin, number, area
    return best


def mark_odd(day: HealthSample, reference: HealthSample, *, reach: int, margin: float) -> np.ndarray:
    """Mark the boxes that lie beyond the values of another day nearby.

    Returns
    -------
    ndarray of int8, shape (rows, columns)
        1 above, -1 below, 0 elsewhere.
    """
    from seaice.daily.health._kernels import mark_odd_boxes

    odd = np.empty(day.percent.shape, np.int8)
    mark_odd_boxes(day.percent, reference.percent, reach, np.float32(margin), odd)
    return odd


class Stripe(NamedTuple):
    """A stripe of boxes.

    Attributes
    ----------
    length, width : int
        Boxes.
    """

    length: int
    width: int


def find_stripe(marked: np.ndarray, *, least: int) -> Stripe | None:
    """Find the longest straight stripe of marked boxes; None if it is shorter than ``least``.

    A stripe is full of marked boxes along its length, and beside it there are far fewer of them, so
    that a patch is no stripe.

    Parameters
    ----------
    marked : ndarray of bool, shape (rows, columns)
    least : int
        Boxes.

    Examples
    --------
    >>> marked = np.zeros((40, 40), bool)
    >>> marked[8, 5:35] = True
    >>> find_stripe(marked, least=20)
    Stripe(length=30, width=2)
    """
    y, x = np.nonzero(marked)
    if y.size < least:
        return None
    best: Stripe | None = None
    for degrees in range(0, 180, _DIRECTION_STEP):
        sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        across, along = y * cosine - x * sine, x * cosine + y * sine
        across -= across.min()
        counts = np.bincount(across.astype(int), minlength=1)
        for width in _WIDTHS:
            stripe = _measure_stripe(across, along, counts, width, least)
            if stripe is not None and (best is None or stripe.length > best.length):
                best = stripe
    return best


def _measure_stripe(
    across: np.ndarray, along: np.ndarray, counts: np.ndarray, width: int, least: int
) -> Stripe | None:
    sums = np.convolve(counts, np.ones(width, int))  # of the bins up to each one
    end = int(sums.argmax())
    if sums[end] < least:
        return None
    aside = [sums[n] for n in (end - width - 1, end + width + 1) if 0 <= n < len(sums)]
    if aside and max(aside) > sums[end] / 3:
        return None
    inside = (across >= end - width + 1) & (across < end + 1)
    steps = np.unique(np.rint(along[inside]).astype(int))
    runs = np.split(steps, np.nonzero(np.diff(steps) > _BREAK)[0] + 1)
    longest = max(runs, key=lambda run: int(run[-1] - run[0]))
    length = int(longest[-1] - longest[0]) + 1
    if length < least or len(longest) < 0.6 * length or length < 4 * width:
        return None
    return Stripe(length, width)
