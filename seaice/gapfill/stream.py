"""Filling days that are read one by one, with only the days within reach in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from seaice.gapfill import Filled, FillStep, Frames, allocate_days, flag_raw_day

# Days that are read while another is filled.
_AHEAD = 2


class FillStream:
    """Runs the steps of a daily method over a run of days.

    All days lie in one ring that is written over as the days go by: memory is one frame for
    every day within reach and a few more, whatever the length of the run. Days ahead are read
    in a thread of their own.

    Parameters
    ----------
    read : callable
        ``read(day, frame)`` puts the raw values of a day (an integer) into ``frame``,
        float32 (rows, columns), NaN for missing. Called once a day, in order, in one thread.
    seen : (int, int)
        First and last day that may be looked at; days beyond do not exist.
    ocean : ndarray of bool, shape (rows, columns)
    steps : sequence of FillStep
        At least one.
    keep : int
        The arrays of a day stay as they are until so many further days have been yielded.

    Examples
    --------
    >>> from seaice.gapfill.temporal import Temporal
    >>> stack = np.array([10, np.nan, 30], np.float32).reshape(3, 1, 1)
    >>> def read(day, frame):
    ...     frame[:] = stack[day]
    >>> stream = FillStream(read, (0, 2), np.ones((1, 1), bool), Temporal().steps())
    >>> [float(day.values[0, 0]) for day in stream.days(0, 2)]
    [10.0, 20.0, 30.0]
    """

    def __init__(
        self,
        read: Callable[[int, np.ndarray], None],
        seen: tuple[int, int],
        ocean: np.ndarray,
        steps: Sequence[FillStep],
        *,
        keep: int = 1,
    ) -> None:
        self._read = read
        self._seen = seen
        self._ocean = ocean
        self._steps = list(steps)
        # How far each step runs ahead of the last one, and how far the whole looks ahead.
        self._lead = [sum(s.reach for s in steps[k + 1 :]) for k in range(len(steps))]
        self._ahead = sum(s.reach for s in steps)
        back = max(s.reach - lead for s, lead in zip(steps, self._lead, strict=True))
        self._back = max(back, keep)
        self._ring = allocate_days((self._back + 1 + self._ahead + _AHEAD, *ocean.shape))

    def days(self, first: int, last: int) -> Iterator[Filled]:
        """Yield every day from first to last, filled; arrays of shape (rows, columns)."""
        begin = max(self._seen[0], first - self._ahead)
        end = min(self._seen[1], last + self._ahead)
        done = [max(self._seen[0], first - lead) for lead in self._lead]
        read = arrived = begin
        coming: dict[int, Future[None]] = {}
        with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
            try:
                # The days before the first are gone through too, so that the ring is wide enough.
                for number in range(first - self._ahead, last + 1):
                    while read <= min(end, number + self._ahead + _AHEAD):
                        frame = self._ring.values[self._slot(read)]
                        coming[read] = reader.submit(self._read, read, frame)
                        read += 1
                    while arrived <= min(end, number + self._ahead):
                        coming.pop(arrived).result()
                        flag_raw_day(self._ring.day(self._slot(arrived)), self._ocean)
                        arrived += 1
                    for k, lead in enumerate(self._lead):
                        while done[k] <= min(end, number + lead):
                            self._fill(self._steps[k], done[k], begin, arrived - 1)
                            done[k] += 1
                    if number >= first:
                        yield self._ring.day(self._slot(number))
            finally:
                for future in coming.values():
                    future.cancel()

    def _slot(self, number: int) -> int:
        return number % len(self._ring.values)

    def _fill(self, step: FillStep, number: int, begin: int, end: int) -> None:
        earliest = max(begin, number - step.reach)
        latest = min(end, number + step.reach)
        order = np.arange(earliest, latest + 1) % len(self._ring.values)
        step.fill_day(Frames(self._ring, order), number - earliest)
