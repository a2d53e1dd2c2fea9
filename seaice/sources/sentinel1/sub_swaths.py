"""Which sub-swath (EW1 to EW5) every pixel of a merged image comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from seaice import InputError


class SwathBlock(NamedTuple):
    """Rectangle of pixels of one sub-swath.

    Attributes
    ----------
    swath : str
    first_line, first_sample : int
        The last ones follow from the next block and the next sub-swath.
    """

    swath: str
    first_line: int
    first_sample: int


class Segment(NamedTuple):
    """Lines over which the bounds of the sub-swaths do not change.

    Attributes
    ----------
    first, stop : int
        Lines.
    edges : ndarray of int64, shape (swaths + 1,)
        First sample of each sub-swath, and the number of samples.
    blocks : tuple of int
        Number of the block of every sub-swath.
    """

    first: int
    stop: int
    edges: np.ndarray
    blocks: tuple[int, ...]


class SubSwaths:
    """Bounds of the sub-swaths of an image.

    Blocks leave gaps at the sides of an image and between each other. A sub-swath reaches to the next
    one, the outer ones to the sides; a block reaches to the next of its sub-swath, the first and the
    last to the ends of the image.

    Parameters
    ----------
    blocks : sequence of SwathBlock
        None: the image is one sub-swath.
    shape : (int, int)
        Lines and samples.

    Attributes
    ----------
    segments : tuple of Segment
        From the first to the last line.
    count : int
        Number of sub-swaths.

    Raises
    ------
    InputError
        If sub-swaths change their order.

    Examples
    --------
    >>> swaths = SubSwaths([SwathBlock("EW1", 0, 3), SwathBlock("EW2", 0, 40)], (100, 90))
    >>> [segment.edges.tolist() for segment in swaths.segments]
    [[0, 40, 90]]
    """

    def __init__(self, blocks: Sequence[SwathBlock], shape: tuple[int, int]) -> None:
        lines, samples = shape
        blocks = blocks or [SwathBlock("", 0, 0)]
        numbers: dict[str, list[int]] = {}
        for number, block in enumerate(blocks):
            numbers.setdefault(block.swath, []).append(number)
        # By lines within a sub-swath, and sub-swaths from near to far range.
        members = [sorted(group, key=lambda k: blocks[k].first_line) for group in numbers.values()]
        members.sort(key=lambda group: np.median([blocks[k].first_sample for k in group]))
        self.count = len(members)
        starts = {0, *(blocks[k].first_line for group in members for k in group[1:])}
        bounds = [*sorted(start for start in starts if 0 <= start < lines), lines]
        self.segments = tuple(
            self._make_segment(blocks, members, first, stop, samples) for first, stop in pairwise(bounds)
        )

    @staticmethod
    def _make_segment(
        blocks: Sequence[SwathBlock], members: list[list[int]], first: int, stop: int, samples: int
    ) -> Segment:
        active = tuple(
            max((k for k in group if blocks[k].first_line <= first), default=group[0], key=group.index)
            for group in members
        )
        edges = np.array([0, *(blocks[k].first_sample for k in active[1:]), samples], np.int64)
        edges[:-1] = np.minimum(edges[:-1], samples)
        if (np.diff(edges) < 0).any():
            raise InputError(
                f"expected sub-swaths side by side, found first samples {edges[:-1].tolist()} at line "
                f"{first}; download the product again"
            )
        return Segment(first, stop, edges, active)

    def find_edges(self, line: float) -> np.ndarray:
        """Edges in force at a line; those of the first or last segment outside the image."""
        firsts = [segment.first for segment in self.segments]
        return self.segments[max(0, int(np.searchsorted(firsts, line, side="right")) - 1)].edges

    def iterate(self, rows: range) -> Iterator[tuple[slice, Segment]]:
        """Segments that rows belong to, each with the slice of the rows within ``rows``."""
        for segment in self.segments:
            first, stop = max(segment.first, rows.start), min(segment.stop, rows.stop)
            if first < stop:
                yield slice(first - rows.start, stop - rows.start), segment
